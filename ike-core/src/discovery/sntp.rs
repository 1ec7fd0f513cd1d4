//! SNTP, the client's side (RFC 4330; RFC 5905 §14): what servers say that the time of day is.
//!
//! ```text
//! Resting ──▶ Asking ── reply ──▶ Told ── proven ──▶ Resting, for a day
//!               │ silence, nonsense, Kiss-o'-Death     ▲
//!               ▼                  refuted ──▶ the next server; after the last one a longer rest each time
//! ```
//! Nobody signs what a server says. So nothing is set by it here: it goes out as [`Output::Time`], the caller
//! has it proven ([`super::resolver::Resolver::propose_time`]) and says what came of it. A reply counts if it
//! repeats the 64 random bits of our Transmit Timestamp, which says nothing about our clock.

use core::net::SocketAddr;
use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::UnixTime;
use super::output::Transport;
use crate::random::Random;

pub use packet::{LENGTH, Useless};

mod packet;
#[cfg(test)]
mod tests;

/// Servers that can be known.
pub const MAX_SERVERS: usize = 4;

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a proof is waited for: a lookup takes five seconds at most.
const PROOF: Duration = Duration::from_secs(10);
/// The first rest after a round in which nobody helped: no server is asked twice within a minute
/// (RFC 4330 §10, 1).
const SHORT_REST: Duration = Duration::from_secs(64);
/// The rest after a time was proven, and the longest otherwise (RFC 4330 §10, "maximum timeout"): a clock that
/// is off by 200 ppm is off by 17 s then, and signatures are judged by the hour.
const LONG_REST: Duration = Duration::from_secs(86_400);

/// The next thing to be done.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Ask a server, from this port; whatever the socket was used for before is over.
    Query {
        /// Whom.
        server: SocketAddr,
        /// How: always a datagram.
        transport: Transport,
        /// The message.
        octets: [u8; LENGTH],
    },
    /// A server says that it is this late. Say by [`Sntp::judge`] what came of it.
    Time(UnixTime),
    /// Nothing more until this moment, or until an input.
    Timeout(Option<Instant>),
}

/// Why a datagram was dropped. Nothing changed.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Discarded {
    /// Nobody was asked, or somebody else.
    Unsolicited,
    /// It is no SNTP reply of our version (RFC 4330 §4, §5).
    NotReply,
    /// It does not repeat what we sent (RFC 4330 §5, check 3).
    WrongOrigin,
}

/// What a server was good for when it was asked last.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Use {
    /// Nobody knows yet.
    #[default]
    Untried,
    /// Its time was proven.
    Proven,
    /// The keys of the root say that it cannot be as late as it said, or nobody could say.
    Unproven,
    /// It did not answer.
    Silent,
    /// It answered, and has no time to give.
    Useless(Useless),
}

impl Use {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Untried => "not asked yet",
            Self::Proven => "its time was proven",
            Self::Unproven => "its time could not be proven",
            Self::Silent => "does not answer",
            Self::Useless(Useless::NotSynchronized) => "has no time itself",
            Self::Useless(Useless::KissOfDeath) => "asks not to be asked",
        }
    }
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Server {
    address: SocketAddr,
    was: Use,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    /// Nobody is asked.
    Resting { until: Instant },
    /// A server is asked; `sent` is its Transmit Timestamp, once the query has left.
    Asking { server: usize, sent: Option<[u8; 8]>, until: Instant },
    /// It said a time, which is looked into.
    Told { server: usize, time: Option<UnixTime>, until: Instant },
}

/// A client of configured servers.
#[derive(Debug)]
pub struct Sntp<R> {
    servers: heapless::Vec<Server, MAX_SERVERS>,
    state: State,
    /// Whom a round begins with, and how many were asked in it.
    first: usize,
    asked: usize,
    rest: Duration,
    random: Random<R>,
}

impl<R: TryCryptoRng> Sntp<R> {
    /// A client that asks the first of `servers` after `delay`: devices that start at the same moment should
    /// not ask at the same moment. Servers beyond [`MAX_SERVERS`] are left out; without any nothing happens.
    pub fn new(now: Instant, servers: &[SocketAddr], delay: Duration, rng: R) -> Self {
        let servers = servers.iter().map(|address| Server { address: *address, was: Use::Untried });
        Self {
            servers: servers.take(MAX_SERVERS).collect(),
            state: State::Resting { until: now + delay },
            first: 0,
            asked: 0,
            rest: SHORT_REST,
            random: Random::new(rng),
        }
    }

    /// Each server, and what it was good for.
    pub fn servers(&self) -> impl Iterator<Item = (SocketAddr, Use)> {
        self.servers.iter().map(|server| (server.address, server.was))
    }

    /// A datagram came on the socket of the last query. Of the two moments that are 2^32 s apart and could be
    /// meant (RFC 4330 §3), the one nearer to `bound` is: a time that it certainly is not earlier than.
    ///
    /// # Errors
    /// [`Discarded`].
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        bound: UnixTime,
        from: SocketAddr,
        octets: &[u8],
    ) -> Result<(), Discarded> {
        let State::Asking { server, sent: Some(sent), .. } = self.state else {
            return Err(Discarded::Unsolicited);
        };
        if self.servers.get(server).is_none_or(|server| server.address != from) {
            return Err(Discarded::Unsolicited);
        }
        match packet::read(octets, sent)? {
            Ok(seconds) => {
                let time = Some(packet::unix(seconds, bound));
                self.state = State::Told { server, time, until: now + PROOF };
            }
            Err(useless) => self.over(now, server, Use::Useless(useless)),
        }
        Ok(())
    }

    /// Whether the last [`Output::Time`] was proven. Without one that is open nothing happens.
    pub fn judge(&mut self, now: Instant, is_proven: bool) {
        match self.state {
            State::Told { server, time: None, .. } if is_proven => {
                self.mark(server, Use::Proven);
                self.first = server;
                (self.asked, self.rest) = (0, SHORT_REST);
                self.state = State::Resting { until: now + LONG_REST };
            }
            State::Told { server, time: None, .. } => self.over(now, server, Use::Unproven),
            _ => {}
        }
    }

    /// Time has passed. Earlier than [`Output::Timeout`] said it is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Resting { until } if until <= now => self.ask(now),
            State::Asking { server, until, .. } if until <= now => self.over(now, server, Use::Silent),
            State::Told { server, until, .. } if until <= now => self.over(now, server, Use::Unproven),
            _ => {}
        }
    }

    /// The next thing to be done; [`Output::Timeout`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output {
        match &mut self.state {
            State::Asking { server, sent: sent @ None, .. } => {
                let drawn = self.random.array::<12>();
                let server = self.servers.get(*server).map(|server| server.address);
                if let (Ok([a, b, c, d, origin @ ..]), Some(server)) = (drawn, server) {
                    *sent = Some(origin);
                    let transport = Transport::datagram([a, b, c, d]);
                    return Output::Query { server, transport, octets: packet::query(origin) };
                }
            }
            State::Told { time, .. } => {
                if let Some(time) = time.take() {
                    return Output::Time(time);
                }
            }
            State::Asking { .. } | State::Resting { .. } => {}
        }
        let (State::Resting { until } | State::Asking { until, .. } | State::Told { until, .. }) = self.state;
        Output::Timeout((!self.servers.is_empty()).then_some(until))
    }

    fn mark(&mut self, server: usize, was: Use) {
        if let Some(server) = self.servers.get_mut(server) {
            server.was = was;
        }
    }

    /// This server did not help.
    fn over(&mut self, now: Instant, server: usize, was: Use) {
        self.mark(server, was);
        self.ask(now);
    }

    /// Asks the next server of the round, if there is one; the rest behind each round is longer than the last.
    fn ask(&mut self, now: Instant) {
        let count = self.servers.len();
        while self.asked < count {
            let server = (self.first + self.asked).checked_rem(count).unwrap_or(0);
            self.asked += 1;
            if self.may_ask(server) {
                self.state = State::Asking { server, sent: None, until: now + PATIENCE };
                return;
            }
        }
        self.state = State::Resting { until: now + self.rest };
        self.asked = 0;
        self.rest = (self.rest * 2).min(LONG_REST);
    }

    /// Who asked not to be asked is left alone where another is left (RFC 4330 §8).
    fn may_ask(&self, server: usize) -> bool {
        let refuses = |server: &Server| server.was == Use::Useless(Useless::KissOfDeath);
        !self.servers.get(server).is_some_and(refuses) || self.servers.iter().all(refuses)
    }
}
