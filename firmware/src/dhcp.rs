//! The device's outer IPv4 address from a DHCP server (RFC 2131), as a pure machine.
//!
//! ```text
//! Selecting ── DISCOVER ─▶ offer ─▶ Requesting ── REQUEST ─▶ ACK ─▶ Bound      Event::Bound
//!     ▲                                 │ NAK, silence               │ half of the lease
//!     ├─────────────────────────────────┘                            ▼
//!     └── NAK, lease over: Event::Lost ◀── Rebinding ◀────────── Renewing ── ACK ─▶ Bound
//! ```
//! Nobody signs what a DHCP server says, so it decides where the device is and which way leads out, and nothing
//! else: what it says of servers for names or the time is not even asked for. An offer that the rest of the
//! configuration forbids is not taken ([`Config::check_outside`](crate::config::Config::check_outside)); another
//! server may make a better one.
//!
//! It is not embassy-net's client: that one gives the stack an address before anybody can look at it, and needs an
//! Ethernet below, where a gateway's stack has none.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::TryRng;

use crate::config::Site;
use crate::config::check::Fault;
use lease::{Lease, Times, site};
pub(crate) use message::MESSAGE;
use message::{Kind, Reply, Request};
pub(crate) use output::{Discarded, Event, Output};

mod lease;
mod message;
mod output;
#[cfg(test)]
mod tests;

/// The client's port.
pub(crate) const CLIENT_PORT: u16 = 68;
/// The servers' port.
pub(crate) const SERVER_PORT: u16 = 67;
/// The break after a first message that nobody answers; each further one is twice as long (RFC 2131 §4.1).
const FIRST_PAUSE: Duration = Duration::from_secs(4);
/// The longest of these breaks.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// The shortest break between two tries to renew a lease (RFC 2131 §4.4.5).
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);
/// REQUESTs for one offer.
const TRIES: u8 = 4;
/// A lease that is shorter is not taken: it would keep the device busy with nothing else.
const SHORTEST: u32 = 60;
/// A lease that never ends (RFC 2131 §3.3).
const FOR_EVER: u32 = u32::MAX;
/// Devices that start at the same moment ask within so many ms of each other.
const FIRST_DELAY: u64 = 1_000;

/// A DHCP client.
pub(crate) struct Client<R> {
    link: [u8; 6],
    rng: R,
    phase: Phase,
    lease: Option<Lease>,
    /// What our messages of this phase are known by.
    id: u32,
    tries: u8,
    /// When the next message leaves, if one shall.
    again: Option<Instant>,
    is_unsent: bool,
    is_closing: bool,
    event: Option<Event>,
    refused: u32,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Phase {
    Selecting,
    Requesting { server: Ipv4Addr, address: Ipv4Addr },
    Bound,
    Renewing,
    Rebinding,
}

impl<R: TryRng> Client<R> {
    /// Has no address and asks for one soon. `link` is the port's Ethernet address.
    pub(crate) fn new(now: Instant, link: [u8; 6], rng: R) -> Self {
        let mut client = Self {
            link,
            rng,
            phase: Phase::Selecting,
            lease: None,
            id: 0,
            tries: 0,
            again: None,
            is_unsent: false,
            is_closing: false,
            event: None,
            refused: 0,
        };
        client.begin(Phase::Selecting);
        let delay = u64::from(client.random()) % FIRST_DELAY;
        client.again = Some(now + Duration::from_millis(delay));
        client
    }

    /// Offers and leases that could not be taken.
    pub(crate) const fn refused(&self) -> u32 {
        self.refused
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(Times { renew, rebind, end }) = self.lease.and_then(|lease| lease.times) {
            match self.phase {
                _ if end <= now => self.lose(now),
                Phase::Bound if renew <= now => self.begin_at(now, Phase::Renewing),
                Phase::Renewing if rebind <= now => self.begin_at(now, Phase::Rebinding),
                _ => {}
            }
        }
        if self.again.is_some_and(|again| again <= now) {
            if matches!(self.phase, Phase::Requesting { .. }) && self.tries >= TRIES {
                self.begin(Phase::Selecting);
            }
            self.is_unsent = true;
            self.again = Some(now + self.pause(now));
            self.tries = self.tries.saturating_add(1);
        }
    }

    /// A datagram came on our port. `check` says why the device cannot be somewhere.
    ///
    /// # Errors
    /// [`Discarded`]: nothing changed.
    pub(crate) fn handle_message(
        &mut self,
        now: Instant,
        octets: &[u8],
        check: impl Fn(&Site) -> Result<(), Fault>,
    ) -> Result<(), Discarded> {
        let reply = Reply::parse(octets).ok_or(Discarded::Malformed)?;
        if reply.id != self.id || reply.link != self.link || self.phase == Phase::Bound {
            return Err(Discarded::Unsolicited);
        }
        match (reply.kind, self.phase) {
            (Kind::Offer, Phase::Selecting) => {
                let server = reply.server.ok_or(Discarded::Malformed)?;
                if self.is_good(&reply, check) {
                    // The same number: it is one exchange (RFC 2131 §4.4.1).
                    self.phase = Phase::Requesting { server, address: reply.address };
                    (self.tries, self.again) = (0, Some(now));
                    self.handle_timeout(now);
                }
                Ok(())
            }
            (Kind::Ack, Phase::Requesting { server, address })
                if reply.server == Some(server) && reply.address == address =>
            {
                self.take(now, &reply, server, check);
                Ok(())
            }
            (Kind::Ack, Phase::Renewing | Phase::Rebinding) => {
                let server = reply.server.or(self.lease.map(|lease| lease.server));
                self.take(now, &reply, server.ok_or(Discarded::Malformed)?, check);
                Ok(())
            }
            (Kind::Nak, Phase::Requesting { server, .. }) if reply.server == Some(server) => {
                self.begin_at(now + FIRST_PAUSE, Phase::Selecting);
                Ok(())
            }
            (Kind::Nak, Phase::Renewing | Phase::Rebinding) => {
                self.lose(now);
                Ok(())
            }
            _ => Err(Discarded::Unsolicited),
        }
    }

    /// The next thing to be done; drain it after every input until [`Output::Timeout`].
    pub(crate) fn poll_output(&mut self) -> Output {
        if core::mem::take(&mut self.is_closing) {
            return Output::Close;
        }
        if let Some(event) = self.event.take() {
            return Output::Event(event);
        }
        if core::mem::take(&mut self.is_unsent) {
            let (to, message) = self.message();
            return Output::Transmit(SocketAddr::new(to.into(), SERVER_PORT), message);
        }
        let times = self.lease.and_then(|lease| lease.times);
        let due = times.map(|times| match self.phase {
            Phase::Bound => times.renew,
            Phase::Renewing => times.rebind,
            _ => times.end,
        });
        Output::Timeout(self.again.into_iter().chain(due).min())
    }

    fn message(&self) -> (Ipv4Addr, [u8; MESSAGE]) {
        let Self { id, link, .. } = *self;
        let lease = self.lease.map_or(Ipv4Addr::UNSPECIFIED, |lease| lease.address);
        let server = self.lease.map_or(Ipv4Addr::BROADCAST, |lease| lease.server);
        let (to, request) = match self.phase {
            Phase::Requesting { server, address } => (Ipv4Addr::BROADCAST, Request::Take { server, address }),
            Phase::Renewing => (server, Request::Renew { address: lease }),
            Phase::Rebinding => (Ipv4Addr::BROADCAST, Request::Renew { address: lease }),
            Phase::Selecting | Phase::Bound => (Ipv4Addr::BROADCAST, Request::Discover),
        };
        (to, message::write(id, link, request))
    }

    /// Whether an offer can be taken; otherwise somebody hears why not.
    fn is_good(&mut self, reply: &Reply, check: impl Fn(&Site) -> Result<(), Fault>) -> bool {
        let site = site(reply);
        let is_long = if reply.lease >= SHORTEST { Ok(()) } else { Err(Fault::ShortLease) };
        match is_long.and_then(|()| check(&site)) {
            Ok(()) => true,
            Err(fault) => {
                self.refused = self.refused.saturating_add(1);
                self.event = Some(Event::Refused(reply.address.into(), fault));
                false
            }
        }
    }

    /// A lease was given, or given for longer.
    fn take(
        &mut self,
        now: Instant,
        reply: &Reply,
        server: Ipv4Addr,
        check: impl Fn(&Site) -> Result<(), Fault>,
    ) {
        if !self.is_good(reply, check) {
            let refused = self.event;
            self.lose(now);
            self.again = Some(now + FIRST_PAUSE);
            if self.event.is_none() {
                self.event = refused;
            }
            return;
        }
        let site = site(reply);
        let times = Times::new(now, reply);
        self.lease = Some(Lease { site, address: reply.address, server, times });
        self.phase = Phase::Bound;
        (self.again, self.is_unsent, self.is_closing) = (None, false, true);
        self.event = Some(Event::Bound(site));
    }

    /// The lease is over.
    fn lose(&mut self, now: Instant) {
        if self.lease.take().is_some() {
            self.event = Some(Event::Lost);
        }
        self.begin_at(now, Phase::Selecting);
    }

    fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        self.id = self.random();
        self.tries = 0;
    }

    fn begin_at(&mut self, at: Instant, phase: Phase) {
        self.begin(phase);
        self.again = Some(at);
    }

    /// How long an answer is waited for.
    fn pause(&mut self, now: Instant) -> Duration {
        let left = |until: Option<Instant>| {
            until.map_or(RENEWAL_PAUSE, |until| (until.since(now) / 2).max(RENEWAL_PAUSE))
        };
        let times = self.lease.and_then(|lease| lease.times);
        match self.phase {
            Phase::Renewing => left(times.map(|times| times.rebind)),
            Phase::Rebinding => left(times.map(|times| times.end)),
            _ => {
                let pause = (FIRST_PAUSE * (1 << self.tries.min(4))).min(LONGEST_PAUSE);
                // "Randomized by the value of a uniform random number chosen from the range -1 to +1."
                pause - Duration::from_secs(1) + Duration::from_millis(u64::from(self.random()) % 2_000)
            }
        }
    }

    fn random(&mut self) -> u32 {
        self.rng.try_next_u32().unwrap_or(self.id.wrapping_add(1))
    }
}
