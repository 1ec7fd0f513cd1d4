//! SNTP, the client's side (RFC 4330; RFC 5905 §14): what servers say that the time of day is.
//!
//! ```text
//! Resting ──▶ Asking one server after the other ── compared ──▶ Told ── proven ──▶ Resting, for a day
//!    ▲                                                │          │
//!    └── nobody has a time, or they disagree ─────────┴ refuted ─┘   a longer rest each time
//! ```
//! Nobody signs what a server says. So all are asked, and a time counts that more than half of those hold who
//! have one. Nothing is set by it here: it goes out as [`Output::Time`], the caller has it proven
//! ([`super::resolver::Resolver::propose_time`]) and says what came of it. A reply counts if it repeats the 64
//! random bits of our Transmit Timestamp, which says nothing about our clock.

use core::net::SocketAddr;
use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::UnixTime;
use super::output::Transport;
use crate::random::Random;

pub use output::{Discarded, Known, Opinion, Opinions, Output, Use};
pub use packet::{LENGTH, Useless};

use compare::Sample;

mod compare;
mod output;
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

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Server {
    address: SocketAddr,
    was: Use,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    /// Nobody is asked.
    Resting { until: Instant },
    /// A server is asked, since then; `sent` is its Transmit Timestamp, once the query has left.
    Asking { server: usize, sent: Option<[u8; 8]>, since: Instant },
    /// A time is agreed on, which is looked into.
    Told { time: Option<UnixTime>, until: Instant },
}

/// A client of configured servers.
#[derive(Debug)]
pub struct Sntp<R> {
    servers: heapless::Vec<Server, MAX_SERVERS>,
    state: State,
    /// How many had their turn in this round, and what was said in it.
    asked: usize,
    samples: heapless::Vec<Sample, MAX_SERVERS>,
    /// When the device started, as the clock had it that ran when the last answer came.
    clock: Option<i64>,
    /// They disagree, which nobody has been told yet.
    news: bool,
    rest: Duration,
    random: Random<R>,
}

impl<R: TryCryptoRng> Sntp<R> {
    /// A client that asks the first of `servers` after `delay`: devices that start at the same moment should
    /// not ask at the same moment. One that is there twice has one voice. Servers beyond [`MAX_SERVERS`] are left
    /// out; without any nothing happens.
    pub fn new(now: Instant, servers: &[SocketAddr], delay: Duration, rng: R) -> Self {
        let mut known = heapless::Vec::<Server, MAX_SERVERS>::new();
        for address in servers {
            if known.iter().all(|server| server.address.ip() != address.ip()) {
                let _ = known.push(Server { address: *address, was: Use::Untried });
            }
        }
        Self {
            servers: known,
            state: State::Resting { until: now + delay },
            asked: 0,
            samples: heapless::Vec::new(),
            clock: None,
            news: false,
            rest: SHORT_REST,
            random: Random::new(rng),
        }
    }

    /// Each server, and what it was good for.
    pub fn servers(&self) -> impl Iterator<Item = (SocketAddr, Use)> {
        self.servers.iter().map(|server| (server.address, server.was))
    }

    /// A datagram came on the socket of the last query. Of the two moments that are 2^32 s apart and could be
    /// meant (RFC 4330 §3), the one nearer to the lower bound is.
    ///
    /// # Errors
    /// [`Discarded`].
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        known: Known,
        from: SocketAddr,
        octets: &[u8],
    ) -> Result<(), Discarded> {
        let State::Asking { server, sent: Some(sent), since } = self.state else {
            return Err(Discarded::Unsolicited);
        };
        if self.servers.get(server).is_none_or(|server| server.address != from) {
            return Err(Discarded::Unsolicited);
        }
        match packet::read(octets, sent)? {
            Ok(seconds) => {
                let says = packet::unix(seconds, known.not_before);
                let sample = Sample::new(server, says, (since, now), known.not_before);
                // Each server has one turn.
                let _ = self.samples.push(sample);
                self.clock = known.clock.map(|clock| compare::start(clock, now));
            }
            Err(useless) => self.mark(server, Use::Useless(useless)),
        }
        self.ask(now);
        Ok(())
    }

    /// Whether the last [`Output::Time`] was proven. Without one that is open nothing happens.
    pub fn judge(&mut self, now: Instant, is_proven: bool) {
        if matches!(self.state, State::Told { time: None, .. }) {
            self.judged(now, is_proven);
        }
    }

    /// Time has passed. Earlier than [`Output::Timeout`] said it is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Resting { until } if until <= now => self.ask(now),
            State::Asking { server, since, .. } if since + PATIENCE <= now => {
                self.mark(server, Use::Silent);
                self.ask(now);
            }
            State::Told { until, .. } if until <= now => self.judged(now, false),
            _ => {}
        }
    }

    /// The next thing to be done; [`Output::Timeout`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output {
        if core::mem::take(&mut self.news) {
            return Output::Disagreement(self.opinions());
        }
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
        let until = match self.state {
            State::Resting { until } | State::Told { until, .. } => until,
            State::Asking { since, .. } => since + PATIENCE,
        };
        Output::Timeout((!self.servers.is_empty()).then_some(until))
    }

    fn opinions(&self) -> Opinions {
        let opinion = |sample: &Sample| {
            let Server { address, .. } = self.servers.get(sample.server)?;
            Some(Opinion { server: *address, says: sample.says, is_taken: sample.is_taken })
        };
        self.samples.iter().filter_map(opinion).collect()
    }

    fn mark(&mut self, server: usize, was: Use) {
        if let Some(server) = self.servers.get_mut(server) {
            server.was = was;
        }
    }

    /// Asks the next server of the round; when all had their turn, what they said is compared.
    fn ask(&mut self, now: Instant) {
        if matches!(self.state, State::Resting { .. }) {
            self.asked = 0;
            self.samples.clear();
        }
        while self.asked < self.servers.len() {
            let server = self.asked;
            self.asked += 1;
            if self.may_ask(server) {
                self.state = State::Asking { server, sent: None, since: now };
                return;
            }
        }
        self.compare(now);
    }

    fn compare(&mut self, now: Instant) {
        let agreed = compare::agree(&mut self.samples, self.clock);
        self.news = self.samples.iter().any(|sample| !sample.is_taken);
        let was = if agreed.is_some() { Use::Outvoted } else { Use::Contested };
        self.mark_all(false, was);
        match agreed {
            Some(start) => {
                let time = Some(compare::time(start, now));
                self.state = State::Told { time, until: now + PROOF };
            }
            None => self.rest(now),
        }
    }

    /// What the keys of the root say of the time that was agreed on.
    fn judged(&mut self, now: Instant, is_proven: bool) {
        self.mark_all(true, if is_proven { Use::Proven } else { Use::Unproven });
        if is_proven {
            self.rest = SHORT_REST;
            self.state = State::Resting { until: now + LONG_REST };
        } else {
            self.rest(now);
        }
    }

    /// Marks those whose word counts, or those whose word does not.
    fn mark_all(&mut self, taken: bool, was: Use) {
        for sample in self.samples.iter().filter(|sample| sample.is_taken == taken) {
            if let Some(server) = self.servers.get_mut(sample.server) {
                server.was = was;
            }
        }
    }

    /// The rest behind each round in which nobody helped is longer than the last.
    fn rest(&mut self, now: Instant) {
        self.state = State::Resting { until: now + self.rest };
        self.rest = (self.rest * 2).min(LONG_REST);
    }

    /// Who asked not to be asked is left alone where another is left (RFC 4330 §8).
    fn may_ask(&self, server: usize) -> bool {
        let refuses = |server: &Server| server.was == Use::Useless(Useless::KissOfDeath);
        !self.servers.get(server).is_some_and(refuses) || self.servers.iter().all(refuses)
    }
}
