//! Our own name: the publisher between the configuration, which says what it shall have, and Network, which
//! carries its updates.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::crypto::Crypto;
use ike_core::discovery::UnixTime;
use ike_core::discovery::output::Transport;
use ike_core::discovery::stream::Stream;
use ike_core::discovery::update::{Event, MAX_ADDRESSES, Output, Publisher};
use rand_core::TryCryptoRng;

use crate::config::{Config, Outside, Publication};
use crate::network::dns::{MAX_UPDATE, PUBLISHING, Question};
use crate::queue::{Command, DnsReport};

/// Devices that start at the same moment ask within so many ms of each other.
const FIRST_DELAY: u64 = 4_000;

/// Without an address nothing can be sent.
const WITHOUT_ADDRESS: Duration = Duration::from_secs(3_600);

/// The publisher, where it asks, and what it knows of the time of day.
pub(super) struct Publishing<C, R> {
    publisher: Publisher<C, R>,
    server: SocketAddr,
    /// Our addresses are published too.
    has_addresses: bool,
    time: Option<(Instant, UnixTime)>,
    /// What came on a connection so far.
    stream: Stream<MAX_UPDATE>,
}

/// What is to be done next.
#[expect(clippy::large_enum_variant, reason = "steps are moved once, straight into what they are for")]
pub(super) enum Step<C> {
    /// Tell Network.
    Command(Command<C>),
    /// Tell the board.
    Event(Event),
    /// Nothing until this moment.
    Wait(Option<Instant>),
}

impl<C: Crypto, R: TryCryptoRng> Publishing<C, R> {
    /// `None` when nothing is to be published, or not by names and a secret that the check would pass.
    pub(super) fn new(
        config: &Config,
        now: Instant,
        time: Option<(Instant, UnixTime)>,
        crypto: C,
        mut rng: R,
    ) -> Option<Self> {
        let publication = config.publication.as_ref()?;
        let mut octets = [0; 2];
        rng.try_fill_bytes(&mut octets).ok()?;
        let delay = Duration::from_millis(u64::from(u16::from_be_bytes(octets)) % FIRST_DELAY);
        let wanted = publication.wanted(config, &crypto)?;
        // The first address brings it forward.
        let delay = if config.has_dhcp() && publication.addresses { WITHOUT_ADDRESS } else { delay };
        let mut publisher = Publisher::new(publication.authority()?, crypto, rng);
        publisher.publish(now, wanted, delay);
        let Publication { server, addresses: has_addresses, .. } = *publication;
        Some(Self { publisher, server, has_addresses, time, stream: Stream::new() })
    }

    /// Somebody who is believed says how late it is.
    pub(super) fn set_time(&mut self, now: Instant, time: UnixTime) {
        self.time = Some((now, time));
    }

    /// The device is elsewhere: others shall find it there, at once.
    pub(super) fn readdress(&mut self, now: Instant, outside: &Outside) {
        if self.has_addresses {
            let addresses: Vec<IpAddr, MAX_ADDRESSES> =
                outside.addresses().map(|own| own.address).take(MAX_ADDRESSES).collect();
            self.publisher.readdress(now, &addresses);
        }
    }

    fn time(&self, now: Instant) -> Option<UnixTime> {
        let (then, time) = self.time?;
        Some(UnixTime(time.0.saturating_add(now.since(then).as_secs())))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let time = self.time(now);
        self.publisher.handle_timeout(now, time);
    }

    /// Something came on our socket; what the secret does not vouch for was counted.
    pub(super) fn take(&mut self, now: Instant, news: DnsReport) {
        let time = self.time(now);
        match news {
            DnsReport::Datagram { server, octets } if server == self.server => {
                let _ = self.publisher.handle_message(now, time, &octets);
            }
            DnsReport::Octets { octets, .. } => {
                if let Ok(Some(message)) = self.stream.push(&octets) {
                    let _ = self.publisher.handle_message(now, time, message);
                }
            }
            // Silence has its own time.
            DnsReport::Datagram { .. } | DnsReport::Failed => {}
        }
    }

    /// What the publisher wants done.
    pub(super) fn step<K>(&mut self) -> Step<K> {
        match self.publisher.poll_output() {
            Output::Event(event) => Step::Event(event),
            Output::Transmit { transport, octets } => {
                if transport == Transport::Tcp {
                    self.stream = Stream::new();
                }
                // The check of the configuration saw to it that there is room.
                let octets = octets.iter().copied().take(MAX_UPDATE).collect();
                let question = Question { server: self.server, transport, octets };
                Step::Command(Command::Query { socket: PUBLISHING, question })
            }
            Output::Timeout(moment) => Step::Wait(moment),
        }
    }
}
