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

use esp_engine::time::Instant;

use super::anchors::Anchors;
use super::cache::{Deepest, TICKETS, Zones};
use super::dnssec::{Bogus, DsSet, Term, Work};
use super::outcome::{Indeterminate, Outcome, Presence, Security};
use super::query::{self, Received};
use super::question::{Question, Ticket};
use super::records::Records;
use super::upstream::Upstreams;
use super::{Name, UnixTime};
use crate::crypto::Crypto;

pub(crate) use ask::{ASKS, Ask, Sent};

mod ask;
mod cuts;
mod ending;
mod next;
mod records;
mod silence;

/// Time for one question.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Queries for one question, repetitions included.
const QUERIES: u8 = 40;
/// Zones whose keys are fetched for one question.
const ZONES: usize = 12;
/// Aliases that are followed (RFC 1034 §3.6.2 sets no limit).
const ALIASES: u8 = 8;
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

/// What a lookup is for.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Purpose {
    /// Somebody's question.
    Question,
    /// Whether it can have been this late at that moment. It rests on nothing that is known.
    Time(Instant, UnixTime),
    /// What has become of the root's keys (RFC 5011 §2.3).
    Anchors,
}

/// A zone that is to be found on the way down.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct Goal {
    /// Labels of its name.
    depth: u8,
    /// A signature in an answer of this server says that there is one; otherwise it is looked whether there is.
    claim: Option<u8>,
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
    pub(crate) purpose: Purpose,
    pub(crate) asks: [Option<Ask>; ASKS],
    pub(crate) deadline: Instant,
    pub(crate) outcome: Outcome,
    /// Where the aliases have led so far, and how many they were.
    name: Name,
    alias: u8,
    state: State,
    trust: Trust,
    /// What it comes to where no server that is believed helps.
    own_trust: Trust,
    /// The deepest zone known around the name, when it was last decided what to ask.
    known: Option<Deepest>,
    goals: heapless::Vec<Goal, ZONES>,
    /// Servers that claimed what turned out wrong, as a set.
    distrusted: u8,
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
    /// For how long the root's keys are signed, if they were proven on the way.
    pub(crate) root: Option<Term>,
    /// A trust anchor was given up by its owner.
    pub(crate) revoked: bool,
}

/// What a lookup works with.
pub(crate) struct Means<'m, 'r, C> {
    pub(crate) now: Instant,
    /// The time of day, or what is taken for it.
    pub(crate) time: UnixTime,
    pub(crate) zones: &'m mut Zones<'r>,
    pub(crate) servers: &'m mut Upstreams,
    pub(crate) anchors: &'m mut Anchors,
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
            signatures_end: None,
            server: None,
            links: heapless::Vec::new(),
            records: Records::new(),
        };
        Self {
            name: question.name(),
            question,
            tickets: heapless::Vec::new(),
            purpose: Purpose::Question,
            root: None,
            revoked: false,
            asks: [const { None }; ASKS],
            deadline: now + PATIENCE,
            outcome,
            alias: 0,
            state: State::Records,
            trust,
            own_trust: trust,
            known: None,
            goals: heapless::Vec::new(),
            distrusted: 0,
            examined: 0,
            is_at_end: false,
            settled: [None; ASKS],
            queries_left: QUERIES,
            zones_left: ZONES as u8,
            work: Work::new(),
            ttl: u32::MAX,
            usable: 0,
            seen: 0,
            draw: draw | 1,
        }
    }

    /// Asks servers whose word is enough first; `others` are not among them.
    pub(crate) fn believe(&mut self, others: u8) {
        if !self.is_done() {
            self.trust = Trust::ServersWord;
            self.distrusted = others;
        }
    }

    /// Nobody's word helps: all servers are asked, from the beginning, and what they say is validated here.
    pub(super) fn validate_instead<C>(&mut self, means: &Means<'_, '_, C>) {
        let begun = Self::new(self.question.clone(), means.now, self.own_trust, self.draw);
        let tickets = core::mem::take(&mut self.tickets);
        let (queries_left, deadline) = (self.queries_left, self.deadline);
        *self = Self { tickets, queries_left, deadline, ..begun };
        self.proceed(means);
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

    /// The answer to one of its queries. What judges each kind of answer is not inlined: below it signatures are
    /// verified, and the stack is to hold but one of them.
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

    /// Signatures that may still be verified.
    pub(crate) const fn verifications_left(&self) -> u8 {
        self.work.verifications_left()
    }
}

/// What signatures that were not there, or say something else, come to.
const UNSIGNED: Security = Security::Bogus(Bogus::NoSignature);

/// What it comes to when an answer wants more than anybody may make us do (RFC 4035 §5.4).
const TOO_FAR: Security = Security::Bogus(Bogus::TooMuchWork);
