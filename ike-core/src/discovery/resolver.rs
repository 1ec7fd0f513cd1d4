//! The resolver: it takes questions, keeps what was found out, and asks the servers (RFC 1034 §5.3.1,
//! RFC 4035 §5). A stub: recursion is the servers' work, validation its own.
//!
//! ```ignore
//! resolver.lookup(now, ticket, Question::Peer(name))?;
//! loop {
//!     match resolver.poll_output() {
//!         Output::Query { socket, server, transport, octets } => send(socket, server, transport, octets),
//!         Output::Close { socket } => close(socket),
//!         Output::Answer { ticket, outcome } => tell(ticket, outcome),
//!         Output::Time(time) => store(time),
//!         Output::Timeout(at) => break wake_me(at),
//!     }
//! }
//! ```
//! All state lies in [`Resources`]. Answers are found again until they expire, zones whose keys are known
//! shorten the way of later questions.

use core::net::SocketAddr;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::UnixTime;
use super::cache::{self, Answer, Zones};
use super::clock::{Clock, later};
use super::dnssec::{Ds, MAX_VERIFICATIONS};
use super::lookup::{ASKS, Lookup, Means, Trust};
use super::outcome::{Indeterminate, Security};
use super::output::Busy;
use super::question::{Question, Ticket};
use super::upstream::ServerStatus;
use crate::crypto::Crypto;
use crate::random::Random;
use desk::Desk;

pub use desk::Counters;
pub use resources::Resources;
pub use time::TimeRefused;

mod desk;
mod receive;
mod resources;
mod send;
mod time;

/// Whom it asks and whom it believes.
#[derive(Copy, Clone, Debug)]
pub struct Config<'r> {
    /// Recursive servers, the preferred one first; at most [`super::upstream::MAX_SERVERS`].
    pub servers: &'r [SocketAddr],
    /// Keys of the root; [`super::dnssec::ROOT`] has those of the Internet.
    pub anchors: &'r [Ds],
    /// The servers' word that they validated an answer is enough (the AD bit, RFC 4035 §4.9.3). Only where
    /// the way to each of them is protected; nothing is validated here then.
    pub believe_servers: bool,
}

/// Why a resolver could not work.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ConfigError {
    /// Nobody to ask.
    NoServer,
    /// More servers than there is room for.
    TooManyServers,
    /// The source of randomness failed.
    NoRandom,
}

/// A validating stub resolver.
pub struct Resolver<'r, C, R> {
    config: Config<'r>,
    crypto: C,
    random: Random<R>,
    clock: Clock,
    lookups: &'r mut [Option<Lookup>],
    answers: &'r mut [Option<Answer>],
    zones: Zones<'r>,
    desk: &'r mut Desk,
}

impl<'r, C: Crypto, R: TryCryptoRng> Resolver<'r, C, R> {
    /// A resolver that lives in `resources`, whatever lay there before.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new<const LOOKUPS: usize, const ANSWERS: usize, const ZONES: usize>(
        config: Config<'r>,
        clock: Clock,
        resources: &'r mut Resources<LOOKUPS, ANSWERS, ZONES>,
        crypto: C,
        rng: R,
    ) -> Result<Self, ConfigError> {
        const {
            assert!(LOOKUPS > 0 && LOOKUPS * ASKS <= 32, "a socket has a bit of 32");
            assert!(ANSWERS > 0, "an answer lies somewhere while it is told");
            assert!(ZONES > 1, "a zone is judged by its parent");
        }
        let mut random = Random::new(rng);
        resources.lookups.iter_mut().for_each(|place| *place = None);
        resources.answers.iter_mut().for_each(|place| *place = None);
        resources.zones.iter_mut().for_each(|place| *place = None);
        resources.desk = Desk::new();
        resources.desk.secret = random.array().map_err(|_| ConfigError::NoRandom)?;
        if config.servers.is_empty() {
            return Err(ConfigError::NoServer);
        }
        if !config.servers.iter().all(|server| resources.desk.servers.add(*server)) {
            return Err(ConfigError::TooManyServers);
        }
        Ok(Self {
            config,
            crypto,
            random,
            clock,
            lookups: &mut resources.lookups,
            answers: &mut resources.answers,
            zones: Zones::new(&mut resources.zones),
            desk: &mut resources.desk,
        })
    }

    /// Asks. The answer comes as [`crate::discovery::output::Output::Answer`], at once where it is known, after five
    /// seconds at most.
    ///
    /// # Errors
    /// [`Busy`]: there is no room for another question, or for another asker of this one.
    pub fn lookup(&mut self, now: Instant, ticket: Ticket, question: Question) -> Result<(), Busy> {
        self.desk.now = now;
        if let Some(answer) = cache::find(self.answers, &question, now) {
            answer.used = now;
            return answer.tickets.push(ticket).map_err(|_| Busy);
        }
        let mut under_way = self.lookups.iter_mut().flatten();
        if let Some(lookup) = under_way.find(|it| it.question == question && it.proof_of.is_none()) {
            return lookup.tickets.push(ticket).map_err(|_| Busy);
        }
        let trust = self.trust(now);
        let mut lookup = self.begin(question, trust)?;
        let joined = lookup.tickets.push(ticket).map_err(|_| Busy);
        self.start(lookup);
        joined
    }

    /// What answers have to show now.
    fn trust(&self, now: Instant) -> Trust {
        if self.config.believe_servers {
            Trust::ServersWord
        } else if self.config.anchors.is_empty() {
            Trust::Nothing(Security::Indeterminate(Indeterminate::NoAnchor))
        } else if self.clock.time(now).is_none() {
            Trust::Nothing(Security::Indeterminate(Indeterminate::ClockNotSet))
        } else {
            Trust::Proof
        }
    }

    fn begin(&mut self, question: Question, trust: Trust) -> Result<Lookup, Busy> {
        if self.lookups.iter().all(Option::is_some) {
            return Err(Busy);
        }
        let draw = self.random.array::<8>().map(|[a, b, c, d, ..]| u32::from_be_bytes([a, b, c, d]));
        let mut lookup = Lookup::new(question, self.desk.now, trust, draw.unwrap_or(0));
        if draw.is_err() {
            lookup.end(Security::Indeterminate(Indeterminate::NoRandom));
        }
        Ok(lookup)
    }

    fn start(&mut self, lookup: Lookup) {
        if let Some((slot, place)) = self.lookups.iter_mut().enumerate().find(|(_, place)| place.is_none()) {
            *place = Some(lookup);
            self.with_lookup(slot, |lookup, means, _| lookup.proceed(means));
        }
    }

    /// Time has passed. Earlier than [`crate::discovery::output::Output::Timeout`] said it is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.desk.now = now;
        for slot in 0..self.lookups.len() {
            self.with_lookup(slot, |lookup, means, _| lookup.handle_timeout(means));
        }
    }

    /// Sockets that the caller may have to open at once.
    pub fn sockets(&self) -> usize {
        self.lookups.len() * ASKS
    }

    /// What happened how often.
    pub const fn counters(&self) -> &Counters {
        &self.desk.counters
    }

    /// How the servers are, in the order of the configuration.
    pub fn servers(&self) -> impl Iterator<Item = ServerStatus> {
        self.desk.servers.status(self.desk.now)
    }

    /// Zones that are known.
    pub fn zones(&self) -> usize {
        self.zones.count()
    }

    /// Works on one lookup, with all that lookups work with, and the secret of our cookies.
    fn with_lookup<T>(
        &mut self,
        slot: usize,
        work: impl FnOnce(&mut Lookup, &mut Means<'_, 'r, C>, &[u8; 16]) -> T,
    ) -> Option<T> {
        let lookup = self.lookups.get_mut(slot)?.as_mut()?;
        let now = self.desk.now;
        let time = match lookup.proof_of {
            Some((at, time)) => later(time, now.since(at)),
            None => self.clock.time(now).unwrap_or(UnixTime(0)),
        };
        let mut means = Means {
            now,
            time,
            zones: &mut self.zones,
            servers: &mut self.desk.servers,
            anchors: self.config.anchors,
            crypto: &self.crypto,
        };
        Some(work(lookup, &mut means, &self.desk.secret))
    }

    /// Lookups that ended become answers, or the time.
    fn sweep(&mut self) {
        for place in self.lookups.iter_mut() {
            let Some(lookup) = place.take_if(|lookup| lookup.is_done()) else { continue };
            let now = self.desk.now;
            let spent = MAX_VERIFICATIONS - lookup.verifications_left();
            self.desk.counters.verified(spent);
            if let Some((at, time)) = lookup.proof_of {
                let time = later(time, now.since(at));
                if lookup.outcome.security == Security::Secure && self.clock.set(now, time).is_ok() {
                    self.desk.time = Some(self.clock.raise_bound(now));
                }
                continue;
            }
            let expires = lookup.expires(now);
            if let Some(place) = cache::place(self.answers, &lookup.question) {
                let mut outcome = lookup.outcome;
                outcome.expires = expires;
                *place =
                    Some(Answer { question: lookup.question, outcome, tickets: lookup.tickets, used: now });
            }
        }
    }
}

impl<C, R> core::fmt::Debug for Resolver<'_, C, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Resolver")
            .field("lookups", &self.lookups)
            .field("counters", &self.desk.counters)
            .finish_non_exhaustive()
    }
}
