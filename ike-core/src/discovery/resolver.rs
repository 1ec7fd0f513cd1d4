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
//!         Output::Proposed(result) => tell_who_proposed(result),
//!         Output::NotBefore(time) => store(time),
//!         Output::Anchors(anchors) => store(anchors.stored()),
//!         Output::Probed(server) => tell_operator(server),
//!         Output::Timeout(at) => break wake_me(at),
//!     }
//! }
//! ```
//! All state lies in [`Resources`]. Answers are found again until they expire, zones whose keys are known
//! shorten the way of later questions.

use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::UnixTime;
use super::cache::{self, Answer, Zones};
use super::clock::{Clock, later};
use super::dnssec::{Ds, MAX_VERIFICATIONS};
use super::lookup::{ASKS, Lookup, Means, Purpose, Trust};
use super::outcome::{Indeterminate, Security};
use super::output::Busy;
use super::question::{Question, Ticket};
use super::upstream::{Server, ServerStatus};
use crate::crypto::Crypto;
use crate::random::Random;
use desk::Desk;

pub use desk::Counters;
pub use probe::Examples;
pub use resources::Resources;
pub use time::TimeRefused;

mod desk;
mod follow;
mod probe;
mod receive;
mod resources;
mod send;
mod time;

/// Whom it asks and whom it believes.
#[derive(Copy, Clone, Debug)]
pub struct Config<'r> {
    /// Recursive servers, the preferred one first; at most [`super::upstream::MAX_SERVERS`].
    pub servers: &'r [Server],
    /// Keys of the root, at most [`super::anchors::MAX_ANCHORS`]; [`super::dnssec::ROOT`] has those of the
    /// Internet.
    pub anchors: &'r [Ds],
}

/// Why a resolver could not work.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ConfigError {
    /// Nobody to ask.
    NoServer,
    /// More servers than there is room for.
    TooManyServers,
    /// More trust anchors than there is room for.
    TooManyAnchors,
    /// The source of randomness failed.
    NoRandom,
}

/// A validating stub resolver.
pub struct Resolver<'r, C, R> {
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
        config: Config<'_>,
        clock: Clock,
        resources: &'r mut Resources<LOOKUPS, ANSWERS, ZONES>,
        crypto: C,
        rng: R,
    ) -> Result<Self, ConfigError> {
        const {
            assert!(LOOKUPS > 0 && LOOKUPS * ASKS < 32, "a socket has a bit of 32");
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
        if !resources.desk.anchors.configure(config.anchors) {
            return Err(ConfigError::TooManyAnchors);
        }
        Ok(Self {
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
    // Not inlined, as little as the others here that move whole lookups: what they need of the stack is free again when
    // signatures are verified.
    #[inline(never)]
    pub fn lookup(&mut self, now: Instant, ticket: Ticket, question: Question) -> Result<(), Busy> {
        self.desk.now = now;
        if let Some(answer) = cache::find(self.answers, &question, now) {
            answer.used = now;
            return answer.tickets.push(ticket).map_err(|_| Busy);
        }
        let mut under_way = self.lookups.iter_mut().flatten();
        if let Some(lookup) = under_way.find(|it| it.question == question && it.purpose == Purpose::Question)
        {
            return lookup.tickets.push(ticket).map_err(|_| Busy);
        }
        let trust = self.trust(now);
        let mut lookup = self.begin(question, trust)?;
        if let Some(others) = self.desk.servers.others_than_believed(now) {
            lookup.believe(others);
        }
        let joined = lookup.tickets.push(ticket).map_err(|_| Busy);
        self.start(lookup);
        joined
    }

    /// What answers have to show now, where nobody's word is enough.
    fn trust(&self, now: Instant) -> Trust {
        if self.desk.anchors.trusted().is_empty() {
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
        self.sweep();
        self.refresh();
        self.handle_probe(false);
    }

    /// Sockets that the caller may have to open at once.
    pub fn sockets(&self) -> usize {
        self.lookups.len() * ASKS + 1
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
        let time = match lookup.purpose {
            Purpose::Time(at, time) => later(time, now.since(at)),
            Purpose::Question | Purpose::Anchors => self.clock.time(now).unwrap_or(UnixTime(0)),
        };
        let mut means = Means {
            now,
            time,
            zones: &mut self.zones,
            servers: &mut self.desk.servers,
            anchors: &mut self.desk.anchors,
            crypto: &self.crypto,
        };
        Some(work(lookup, &mut means, &self.desk.secret))
    }

    /// Lookups that ended become what they were for.
    #[inline(never)]
    fn sweep(&mut self) {
        for slot in 0..self.lookups.len() {
            let place = self.lookups.get_mut(slot);
            if let Some(lookup) = place.and_then(|place| place.take_if(|lookup| lookup.is_done())) {
                self.ended(lookup);
            }
        }
    }

    fn ended(&mut self, lookup: Lookup) {
        let now = self.desk.now;
        self.desk.counters.verified(MAX_VERIFICATIONS - lookup.verifications_left());
        if let Purpose::Time(at, time) = lookup.purpose {
            self.judge_time(later(time, now.since(at)), lookup.outcome.security);
        }
        if let (Some(term), Some(time)) = (lookup.root, self.clock.time(now)) {
            let bound = self.clock.not_before(term.since.min(time));
            self.desk.not_before = bound.or(self.desk.not_before);
        }
        match lookup.purpose {
            Purpose::Time(..) => {}
            Purpose::Anchors => self.refreshed(&lookup),
            Purpose::Question => self.keep(lookup),
        }
    }

    /// An answer, for those who wait for it and who ask later.
    fn keep(&mut self, lookup: Lookup) {
        let now = self.desk.now;
        let expires = lookup.expires(now);
        if let Some(place) = cache::place(self.answers, &lookup.question) {
            let mut outcome = lookup.outcome;
            outcome.expires = expires;
            outcome.signatures_end = outcome
                .signed_until
                .zip(self.clock.time(now))
                .map(|(end, time)| now + Duration::from_secs(end.0.saturating_sub(time.0)));
            *place = Some(Answer { question: lookup.question, outcome, tickets: lookup.tickets, used: now });
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
