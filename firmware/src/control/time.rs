//! The time of day between those who say it, the keys of DNS's root, which prove it, and what is kept of it.

use core::time::Duration;

use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::crypto::Crypto;
use ike_core::discovery::UnixTime;
use ike_core::discovery::anchors::MAX_STORED;
use ike_core::discovery::outcome::Security;
use ike_core::discovery::sntp::{Known, Output, Sntp};
use rand_core::TryCryptoRng;
use serde::{Deserialize, Serialize};

use super::Control;
use crate::clock;
use crate::config::Config;
use crate::network::dns::{Question, TIME};
use crate::queue::{Command, DnsReport};
use crate::report::{Event, Sink, TimeNews};
use crate::storage::{Key, Storage, Value};

/// Devices that start at the same moment ask within so many ms of each other.
const FIRST_DELAY: u64 = 4_000;

/// It is certainly not earlier than this, seconds since 1970.
#[derive(Copy, Clone, Serialize, Deserialize)]
pub(super) struct NotBefore(pub(super) u64);

impl Value for NotBefore {
    const VERSION: u8 = 1;
}

/// The keys of the root, as the resolver goes on from them.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KnownAnchors(pub(super) Vec<u8, MAX_STORED>);

impl Value for KnownAnchors {
    const VERSION: u8 = 1;
}

/// A client of the configured time servers; `None` without any, or without randomness.
pub(super) fn client<R: TryCryptoRng>(config: &Config, now: Instant, mut rng: R) -> Option<Sntp<R>> {
    let servers = &config.clock.servers;
    let mut octets = [0; 2];
    rng.try_fill_bytes(&mut octets).ok()?;
    let delay = Duration::from_millis(u64::from(u16::from_be_bytes(octets)) % FIRST_DELAY);
    (!servers.is_empty()).then(|| Sntp::new(now, servers, delay, rng))
}

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// Asks time servers, and has what they say proven; returns when they are asked next.
    pub(super) async fn drain_time(&mut self) -> Option<Instant> {
        loop {
            let now = clock::now();
            match self.sntp.as_mut()?.poll_output() {
                Output::Timeout(moment) => return moment,
                Output::Query { server, transport, octets } => {
                    let octets = octets.into_iter().collect();
                    let question = Question { server, transport, octets };
                    self.queues.command(Command::Query { socket: TIME, question }).await;
                }
                Output::Disagreement(opinions) => {
                    self.sink.report(now, &Event::TimeServersDisagree(opinions));
                }
                Output::Time(time) => {
                    let directory = self.directory.as_mut();
                    if directory.is_none_or(|directory| directory.propose_time(now, time).is_err()) {
                        self.sink.report(now, &Event::Time(TimeNews::Refused(time)));
                        self.judge_time(now, false);
                    }
                }
            }
        }
    }

    /// Something came on the socket for time servers.
    pub(super) fn take_time(&mut self, now: Instant, news: DnsReport) {
        let known = Known {
            not_before: self.directory.as_ref().map_or(UnixTime(0), |directory| directory.not_before()),
            clock: self.directory.as_ref().and_then(|directory| directory.time(now)),
        };
        if let (DnsReport::Datagram { server, octets }, Some(sntp)) = (news, &mut self.sntp) {
            // What is no reply to our question changes nothing, and silence has its own time.
            let _ = sntp.handle_datagram(now, known, server, &octets);
        }
    }

    /// What the keys of the root say of a time that a server said.
    pub(super) fn time_judged(&mut self, now: Instant, result: Result<UnixTime, Security>) {
        let news = match result {
            Ok(time) => TimeNews::Set(time),
            Err(security) => TimeNews::NotProven(security),
        };
        self.sink.report(now, &Event::Time(news));
        if let (Ok(time), Some(publishing)) = (result, &mut self.publishing) {
            publishing.set_time(now, time);
        }
        self.judge_time(now, result.is_ok());
    }

    fn judge_time(&mut self, now: Instant, is_proven: bool) {
        if let Some(sntp) = &mut self.sntp {
            sntp.judge(now, is_proven);
        }
    }

    /// The operator says how late it is; `false` when it certainly is later than that.
    pub(super) fn set_time(&mut self, now: Instant, time: UnixTime) -> bool {
        let taken = self.directory.as_mut().is_none_or(|directory| directory.set_time(now, time));
        if taken {
            self.sink.report(now, &Event::Time(TimeNews::Set(time)));
            if let Some(publishing) = &mut self.publishing {
                publishing.set_time(now, time);
            }
        }
        taken
    }

    /// Keeps what survives a restart; a device without storage says so in its status.
    pub(super) async fn store<T: Value>(&mut self, key: Key, value: &T) {
        if let Err(reason) = self.storage.store(key, value).await
            && self.storage.remembers()
        {
            self.sink.report(clock::now(), &Event::NotStored(reason));
        }
    }
}
