//! One question of an asker, and the way to its answer (RFC 4035 §5).
//!
//! ```text
//! Anchor ── DNSKEY of the root ──▶ Records ── A, AAAA, IPSECKEY of the name ──▶ Done
//!                                   │   ▲
//!               signed by a zone whose  │ its keys are known, or it is known
//!               keys are not known      │ that nobody signs there
//!                                   ▼   │
//!                    Delegation ── DS ──▶ Keys ── DNSKEY of that zone
//! ```
//! Who signed an answer is no more than a hint where to look: from the deepest zone whose keys are known, the
//! way leads down to that zone, through each zone that a DS record's signature names. An answer that nobody
//! signed is looked for an unsigned zone above it, label by label. What the way may cost has bounds: queries,
//! zones, aliases, signatures and time.

use core::time::Duration;

use domain::base::Rtype;
use esp_engine::time::Instant;

use super::cache::{Deepest, TICKETS, Zones};
use super::dnssec::{Bogus, Ds, DsSet, Work};
use super::outcome::{Found, Indeterminate, Link, Outcome, Presence, Security};
use super::output::Discarded;
use super::query::{self, Received};
use super::question::{Question, Ticket};
use super::records::Records;
use super::upstream::Upstreams;
use super::{Name, UnixTime, depth};
use crate::crypto::Crypto;

pub(crate) use ask::{ASKS, Ask, Sent};

mod ask;
mod cuts;
mod records;

/// Time for one question.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Queries for one question, repetitions included.
const QUERIES: u8 = 40;
/// Zones whose keys are fetched for one question.
const ZONES: usize = 12;
/// Aliases that are followed (RFC 1034 §3.6.2 sets no limit).
const ALIASES: u8 = 8;
/// Labels above a name among which its zone is usually found.
const NEAR: u8 = 2;

/// Longest and shortest time that an outcome is kept, in seconds.
const MAX_TTL: u32 = 86_400;
const MIN_TTL: u32 = 5;
/// How long a refuted answer is not asked for again (RFC 4035 §4.7).
const BOGUS_TTL: u32 = 60;

/// What answers have to show.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Trust {
    /// Proof, from the trust anchor down.
    Proof,
    /// Nothing: they are as good as this.
    Nothing(Security),
    /// That the server says it proved them: the way to it is protected (RFC 4035 §4.9.3).
    ServersWord,
}

/// A zone that is to be found on the way down.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct Goal {
    /// Labels of its name.
    depth: u8,
    /// A signature says that there is one; otherwise it is looked whether there is.
    claimed: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to put the DS records on")]
enum State {
    /// The keys of the root are asked for.
    Anchor,
    /// The records are asked for.
    Records,
    /// DS records of the last goal are asked for.
    Delegation,
    /// So are its keys.
    Keys { ds: DsSet, until: UnixTime },
    /// The outcome stands.
    Done,
}

/// What is being found out.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) question: Question,
    pub(crate) tickets: heapless::Vec<Ticket, TICKETS>,
    /// No question at all, but whether it can be this late: set at the moment beside it.
    pub(crate) proof_of: Option<(Instant, UnixTime)>,
    pub(crate) asks: [Option<Ask>; ASKS],
    pub(crate) deadline: Instant,
    pub(crate) outcome: Outcome,
    /// Where the aliases have led so far, and how many they were.
    name: Name,
    alias: u8,
    state: State,
    trust: Trust,
    /// The deepest zone known around the name, when it was last decided what to ask.
    known: Option<Deepest>,
    goals: heapless::Vec<Goal, ZONES>,
    /// Below the deepest known zone no other begins down to this depth.
    examined: u8,
    /// The name is no alias: something was answered for itself.
    is_at_end: bool,
    /// Of each type of the question; `None` until it is answered.
    settled: [Option<Security>; ASKS],
    queries_left: u8,
    zones_left: u8,
    work: Work,
    ttl: u32,
    usable: u8,
    seen: u8,
    draw: u32,
}

/// What a lookup works with.
pub(crate) struct Means<'m, 'r, C> {
    pub(crate) now: Instant,
    /// The time of day, or what is taken for it.
    pub(crate) time: UnixTime,
    pub(crate) zones: &'m mut Zones<'r>,
    pub(crate) servers: &'m mut Upstreams,
    pub(crate) anchors: &'m [Ds],
    pub(crate) crypto: &'m C,
}

impl Lookup {
    /// A lookup that begins now. `draw` is random.
    pub(crate) fn new(question: Question, now: Instant, trust: Trust, draw: u32) -> Self {
        let outcome = Outcome {
            security: Security::Secure,
            presence: Presence::Absent,
            wildcard: false,
            left_out: 0,
            expires: now,
            signed_until: None,
            links: heapless::Vec::new(),
            records: Records::new(),
        };
        Self {
            name: question.name(),
            question,
            tickets: heapless::Vec::new(),
            proof_of: None,
            asks: [const { None }; ASKS],
            deadline: now + PATIENCE,
            outcome,
            alias: 0,
            state: State::Records,
            trust,
            known: None,
            goals: heapless::Vec::new(),
            examined: 0,
            is_at_end: false,
            settled: [None; ASKS],
            queries_left: QUERIES,
            zones_left: ZONES as u8,
            work: Work::new(),
            ttl: MAX_TTL,
            usable: 0,
            seen: 0,
            draw: draw | 1,
        }
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The name that a query of this lookup is for.
    pub(crate) fn asked_name(&self, ask: &Ask) -> Name {
        super::ancestor(self.name.for_slice(), ask.depth)
    }

    /// We check by ourselves, and want to see what a server would hold back (RFC 6840 §5.9).
    pub(crate) const fn checks_itself(&self) -> bool {
        !matches!(self.trust, Trust::ServersWord)
    }

    /// Asks what is to be asked next, by what is known now.
    pub(crate) fn proceed<C>(&mut self, means: &Means<'_, '_, C>) {
        if self.is_done() {
            return;
        }
        self.state = State::Records;
        let mut near = self.alias == 0;
        if self.trust == Trust::Proof {
            self.known = self.deepest(means);
            match self.known {
                None => self.state = State::Anchor,
                Some(Deepest::Unsigned(depth)) => {
                    self.link(depth, Found::Unsigned { cached: true });
                    self.trust = Trust::Nothing(Security::Insecure);
                }
                Some(Deepest::Signed(known)) => {
                    near &= depth(&self.name).saturating_sub(known) <= NEAR;
                    while self.goals.last().is_some_and(|goal| goal.depth <= known) {
                        self.goals.pop();
                    }
                    if !self.goals.is_empty() {
                        self.state = State::Delegation;
                    }
                }
            }
        }
        match self.state {
            State::Anchor => self.ask(0, 0, Rtype::DNSKEY),
            State::Delegation => {
                let goal = self.goals.last().map_or(0, |goal| goal.depth);
                self.ask(0, goal, Rtype::DS);
            }
            _ => self.ask_records(near || self.is_at_end),
        }
    }

    /// Asks for all that is still open, or, while the name may be an alias or its zone is not known, for what
    /// shows it.
    fn ask_records(&mut self, all: bool) {
        let depth = depth(&self.name);
        let types: heapless::Vec<Rtype, ASKS> = self.question.types().iter().copied().collect();
        for (place, rtype) in types.into_iter().enumerate() {
            if self.settled.get(place).is_some_and(Option::is_none) {
                if self.asks.get(place).is_some_and(Option::is_none) {
                    self.ask(place, depth, rtype);
                }
                if !all {
                    return;
                }
            }
        }
    }

    fn ask(&mut self, place: usize, depth: u8, rtype: Rtype) {
        self.put(place, Ask::new(depth, rtype));
    }

    /// A query leaves, be it a repetition; `false` when it was one too many, which ends the lookup.
    pub(crate) fn spend_query(&mut self) -> bool {
        match self.queries_left.checked_sub(1) {
            Some(left) => self.queries_left = left,
            None => self.end(Security::Indeterminate(Indeterminate::TooFar)),
        }
        !self.is_done()
    }

    /// What is out is no longer wanted.
    fn forget_asks(&mut self) {
        self.asks = [const { None }; ASKS];
    }

    /// Another lookup may have found a zone, so that what was about to be asked is needless now.
    pub(crate) fn reconsider<C>(&mut self, means: &Means<'_, '_, C>) {
        let waits = self.asks.iter().flatten().all(Ask::is_unsent);
        if waits
            && matches!(self.state, State::Anchor | State::Delegation)
            && self.deepest(means) != self.known
        {
            self.forget_asks();
            self.proceed(means);
        }
    }

    /// The deepest zone known around the name. What is to be proven about the time rests on none.
    fn deepest<C>(&self, means: &Means<'_, '_, C>) -> Option<Deepest> {
        match self.proof_of {
            None => means.zones.deepest(&self.name, means.time),
            Some(_) => None,
        }
    }

    /// The answer to one of its queries.
    pub(crate) fn handle_answer<C: Crypto>(
        &mut self,
        place: usize,
        answer: &Received<'_>,
        means: &mut Means<'_, '_, C>,
    ) {
        let Some(ask) = self.asks.get_mut(place).and_then(Option::take) else {
            return;
        };
        match answer.rcode {
            _ if answer.truncated && !ask.is_tcp() => self.put(place, ask.truncated()),
            0 | 3 => match self.state.clone() {
                State::Anchor => self.handle_anchor(ask, answer, means),
                State::Delegation => self.handle_delegation(ask, answer, means),
                State::Keys { ds, until } => self.handle_keys(ask, &ds, until, answer, means),
                State::Records => self.handle_records(place, ask, answer, means),
                State::Done => {}
            },
            query::FORMERR | query::NOTIMP | query::BADVERS if !ask.is_tcp() => {
                self.put(place, ask.over_tcp())
            }
            query::BADCOOKIE if !ask.is_tcp() => self.put(place, ask.with_new_cookie()),
            rcode => {
                self.elsewhere(place, ask, Security::Indeterminate(Indeterminate::Refused(rcode)), means)
            }
        }
    }

    /// Somebody who did not see the question answered it, or a server that is not what it was.
    pub(crate) fn handle_stray(&mut self, place: usize, reason: Discarded) {
        let Some(place) = self.asks.get_mut(place) else { return };
        let over_tcp = place.as_mut().is_some_and(|ask| match reason {
            Discarded::WrongId => ask.is_guessed_at(),
            Discarded::WrongCase => ask.is_misspelt(),
            Discarded::NoCookie => true,
            _ => false,
        });
        if over_tcp {
            *place = place.take().map(Ask::over_tcp);
        }
    }

    /// Nobody answered this query.
    pub(crate) fn handle_silence<C>(&mut self, place: usize, means: &mut Means<'_, '_, C>) {
        let Some(Some(ask)) = self.asks.get_mut(place) else { return };
        if ask.is_unsent() {
            return;
        }
        means.servers.unanswered(ask.server, means.now);
        if !ask.try_again() {
            let reason = ask.silence();
            self.fail(place, Security::Indeterminate(reason), means);
        }
    }

    /// Time has passed.
    pub(crate) fn handle_timeout<C>(&mut self, means: &mut Means<'_, '_, C>) {
        if means.now >= self.deadline {
            let silent = self.asks.iter().flatten().find(|ask| ask.is_silent());
            let reason = silent.map_or(Indeterminate::OutOfTime, Ask::silence);
            return self.end(Security::Indeterminate(reason));
        }
        for place in 0..ASKS {
            let over = |ask: &Ask| ask.sent.as_ref().is_some_and(|sent| sent.until <= means.now);
            if self.asks.get(place).and_then(Option::as_ref).is_some_and(over) {
                self.handle_silence(place, means);
            }
        }
    }

    /// Signatures that may still be verified.
    pub(crate) const fn verifications_left(&self) -> u8 {
        self.work.verifications_left()
    }

    fn put(&mut self, place: usize, ask: Ask) {
        if let Some(free) = self.asks.get_mut(place) {
            *free = Some(ask);
        }
    }

    /// This server's answer is of no use, for that reason: another is asked, and at last the same on a
    /// connection, where nobody could have forged it on the way.
    fn elsewhere<C>(&mut self, place: usize, ask: Ask, reason: Security, means: &Means<'_, '_, C>) {
        match ask.elsewhere(means.servers, means.now) {
            Some(next) => self.put(place, next),
            None => self.fail(place, reason, means),
        }
    }

    /// No server helps.
    pub(crate) fn fail<C>(&mut self, place: usize, reason: Security, means: &Means<'_, '_, C>) {
        if let Some(ask) = self.asks.get_mut(place) {
            *ask = None;
        }
        if !matches!(self.state, State::Records) {
            return self.end(reason);
        }
        if let Some(rtype) = self.question.types().get(place).copied() {
            self.link(depth(&self.name), Found::Failed { rtype, reason });
            self.settle(place, reason);
            self.proceed(means);
        }
    }

    /// All that is still open ends for this reason.
    pub(crate) fn end(&mut self, reason: Security) {
        if self.is_done() {
            return;
        }
        let (at, rtype) = match (&self.state, self.goals.last()) {
            (State::Anchor, _) => (0, Rtype::DNSKEY),
            (State::Delegation, Some(goal)) => (goal.depth, Rtype::DS),
            (State::Keys { .. }, Some(goal)) => (goal.depth, Rtype::DNSKEY),
            _ => (depth(&self.name), self.question.types().first().copied().unwrap_or(Rtype::ANY)),
        };
        self.link(at, Found::Failed { rtype, reason });
        for (place, _) in self.question.types().iter().enumerate() {
            if let Some(open @ None) = self.settled.get_mut(place) {
                *open = Some(reason);
            }
        }
        self.finish();
    }

    /// One type is answered, as well as this.
    fn settle(&mut self, place: usize, security: Security) {
        self.is_at_end = true;
        if let Some(settled) = self.settled.get_mut(place) {
            *settled = Some(security);
        }
        let open = self.settled.iter().zip(self.question.types()).any(|(settled, _)| settled.is_none());
        if !open {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.forget_asks();
        self.state = State::Done;
        let parts = self.settled.iter().flatten();
        let security = parts.fold(self.outcome.security, |least, part| least.and(*part));
        self.outcome.security = match (&self.question, self.settled) {
            // One family of addresses serves where the server is too old for the other.
            (Question::Peer(_), [Some(keys), Some(Security::Indeterminate(_)), Some(other)])
            | (Question::Peer(_), [Some(keys), Some(other), Some(Security::Indeterminate(_))])
                if self.outcome.addresses().next().is_some() =>
            {
                keys.and(other)
            }
            _ => security,
        };
        self.outcome.presence = match (self.usable, self.seen) {
            (0, 0) => Presence::Absent,
            (0, _) => Presence::OnlyUnusable,
            _ => Presence::Present,
        };
        if let Security::Bogus(_) = self.outcome.security {
            self.outcome.records.keep_only(Rtype::CNAME);
        }
    }

    /// Until when the outcome holds, if it is kept now.
    pub(crate) fn expires(&self, now: Instant) -> Instant {
        let ttl = match self.outcome.security {
            Security::Bogus(_) => BOGUS_TTL,
            Security::Indeterminate(_) => MIN_TTL,
            Security::Insecure | Security::Secure => self.ttl.clamp(MIN_TTL, MAX_TTL),
        };
        now + Duration::from_secs(ttl.into())
    }

    fn link(&mut self, depth: u8, what: Found) {
        let link = Link { name: self.alias, depth, what };
        if self.outcome.links.last() != Some(&link) {
            // A chain longer than this has its first links; what came of it is said elsewhere.
            let _ = self.outcome.links.push(link);
        }
    }
}

/// What signatures that were not there, or say something else, come to.
const UNSIGNED: Security = Security::Bogus(Bogus::NoSignature);
