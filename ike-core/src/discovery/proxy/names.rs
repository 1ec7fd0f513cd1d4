//! What is known about the keys of names: asked for once by one question of ours, validated by the resolver
//! only where there is a key, and remembered either way. A and AAAA of a name share it, so that no address
//! family goes ahead of the other.
//!
//! ```text
//! Wanted ──▶ Asking ──▶ Validating ──▶ Known(Keys, Bogus, Unusable)
//!    no pace     └─ no key ─────────────▶ Known(Absent)
//!    or socket   └─ no answer ──────────▶ Known(Unknown)
//! ```

use core::time::Duration;

use esp_engine::spd::Level;
use esp_engine::time::Instant;

use super::exchange::Exchange;
use crate::discovery::Name;
use crate::discovery::question::Ticket;
use crate::pad::{MAX_KEYS, PeerRecord, Presence, PublishedKey, Security};

/// How long it is remembered that a name has no key, at most and at least, in seconds (RFC 2308 §5).
const ABSENT: (u32, u32) = (300, 5);
/// How long it is remembered that nothing could be found out, or that it was forged, in seconds.
pub(super) const UNKNOWN: u32 = 60;

/// A name that somebody asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NameEntry {
    /// In lower case.
    pub(super) name: Name,
    pub(super) state: State,
    /// When somebody asked last.
    touched: Instant,
}

/// How far its key is known.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "how large a key is, is a feature; and there is no heap")]
pub(super) enum State {
    /// It is to be asked for.
    Wanted,
    /// The question for it is out, or about to be, on this one of the sockets for such questions.
    Asking(usize, Exchange),
    /// There is a key, and the resolver is to validate it, or does.
    Validating(Lookup),
    /// It is known until then.
    Known(Knowledge, Instant),
}

/// How far the resolver is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Lookup {
    /// It has yet to be asked.
    Due,
    /// It was asked under this ticket.
    Asked(Ticket),
}

/// What is known.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "how large a key is, is a feature; and there is no heap")]
pub(super) enum Knowledge {
    /// These keys, and how well they are known.
    Keys(heapless::Vec<PublishedKey, MAX_KEYS>, Level),
    /// There is none.
    Absent,
    /// There are some, none of which we can use.
    Unusable,
    /// What there is, is forged.
    Bogus,
    /// Nobody answers.
    Unknown,
}

/// What is known about the key of a name, and until when.
#[derive(Copy, Clone, Debug)]
pub(super) struct Known<'a> {
    /// Whose key it is.
    pub(super) name: &'a Name,
    pub(super) knowledge: &'a Knowledge,
    pub(super) until: Instant,
}

/// The table, in memory that the proxy is lent.
#[derive(Debug)]
pub(super) struct Names<'r>(&'r mut [Option<NameEntry>]);

impl<'r> Names<'r> {
    pub(super) const fn new(places: &'r mut [Option<NameEntry>]) -> Self {
        Self(places)
    }

    /// Sees to it that a name is known sooner or later; `false` when there is no room for it.
    pub(super) fn want(&mut self, now: Instant, name: &Name) -> bool {
        if let Some(entry) = self.find_mut(name) {
            entry.touched = now;
            if matches!(&entry.state, State::Known(_, until) if *until <= now) {
                entry.state = State::Wanted;
            }
            return true;
        }
        let Some(place) = self.place() else { return false };
        *place = Some(NameEntry { name: name.clone(), state: State::Wanted, touched: now });
        true
    }

    /// Asks anew for a name whose keys are in use, while what was known holds on. `false` when nothing is
    /// known about it.
    pub(super) fn renew(&mut self, name: &Name) -> bool {
        let Some(entry) = self.find_mut(name).filter(|entry| matches!(entry.state, State::Known(..))) else {
            return false;
        };
        entry.state = State::Wanted;
        true
    }

    /// A free place, or that of the name that nobody asked for longest, one that is known before one that is
    /// only wanted. What servers or the resolver were asked about stays.
    fn place(&mut self) -> Option<&mut Option<NameEntry>> {
        let age = |place: &Option<NameEntry>| match place {
            None => Some((0, Instant::ZERO)),
            Some(NameEntry { state: State::Known(..), touched, .. }) => Some((1, *touched)),
            Some(NameEntry { state: State::Wanted, touched, .. }) => Some((2, *touched)),
            Some(_) => None,
        };
        let oldest = self.0.iter().enumerate().filter_map(|(n, place)| Some((age(place)?, n))).min()?.1;
        self.0.get_mut(oldest)
    }

    /// What is known about a name, or else about the end of its aliases: the nearest key counts. `None`
    /// while it is being found out, and of names that nobody wanted.
    pub(super) fn nearest(&self, now: Instant, name: &Name, end: Option<&Name>) -> Option<Known<'_>> {
        let own = self.known(now, name)?;
        let (Knowledge::Absent | Knowledge::Unknown, Some(end)) = (own.knowledge, end) else {
            return Some(own);
        };
        let end = self.known(now, end)?;
        // Who could not learn whether there is a key does not say that there is none.
        let is_less = matches!((own.knowledge, end.knowledge), (Knowledge::Unknown, Knowledge::Absent));
        Some(if is_less { own } else { end })
    }

    fn known(&self, now: Instant, name: &Name) -> Option<Known<'_>> {
        let entry = self.find(name)?;
        match &entry.state {
            State::Known(knowledge, until) if *until > now => {
                Some(Known { name: &entry.name, knowledge, until: *until })
            }
            _ => None,
        }
    }

    /// Whether it will be known sooner or later.
    pub(super) fn is_under_way(&self, name: &Name) -> bool {
        self.find(name).is_some_and(|entry| !matches!(entry.state, State::Known(..)))
    }

    fn find(&self, name: &Name) -> Option<&NameEntry> {
        self.0.iter().flatten().find(|entry| entry.name == *name)
    }

    fn find_mut(&mut self, name: &Name) -> Option<&mut NameEntry> {
        self.0.iter_mut().flatten().find(|entry| entry.name == *name)
    }

    /// Places in all.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut NameEntry> {
        self.0.get_mut(place)?.as_mut()
    }

    /// The place of the first name in such a state.
    pub(super) fn position(&self, is_it: impl Fn(&State) -> bool) -> Option<usize> {
        self.0.iter().position(|entry| entry.as_ref().is_some_and(|entry| is_it(&entry.state)))
    }

    /// The state of each name.
    pub(super) fn states(&self) -> impl Iterator<Item = &State> {
        self.0.iter().flatten().map(|entry| &entry.state)
    }

    /// The name that is asked for on this socket.
    pub(super) fn asking(&mut self, socket: usize) -> Option<&mut NameEntry> {
        let is_it = |entry: &&mut NameEntry| matches!(entry.state, State::Asking(own, _) if own == socket);
        self.0.iter_mut().flatten().find(is_it)
    }

    /// One of so many sockets that no name is asked for on.
    pub(super) fn free_socket(&self, sockets: usize) -> Option<usize> {
        let asks = |state: &State, socket: &usize| matches!(state, State::Asking(own, _) if own == socket);
        (0..sockets).find(|socket| !self.states().any(|state| asks(state, socket)))
    }

    /// The name that the resolver was asked about under this ticket.
    pub(super) fn with_ticket(&mut self, ticket: Ticket) -> Option<&mut NameEntry> {
        let mut entries = self.0.iter_mut().flatten();
        entries.find(|entry| entry.state == State::Validating(Lookup::Asked(ticket)))
    }
}

impl NameEntry {
    /// There is no key, for so many seconds.
    pub(super) fn is_absent(&mut self, now: Instant, seconds: u32) {
        let (most, least) = ABSENT;
        self.state = State::Known(Knowledge::Absent, now + seconds_of(seconds.min(most).max(least)));
    }

    /// Nobody could tell.
    pub(super) fn is_unknown(&mut self, now: Instant) {
        self.state = State::Known(Knowledge::Unknown, now + seconds_of(UNKNOWN));
    }

    /// The resolver has spoken. A key that is not proven may still raise protection: whoever forges it has
    /// to sit on the way, where he could have suppressed it.
    pub(super) fn learn(&mut self, now: Instant, record: &PeerRecord, max_ttl: u32) {
        let longest = now + seconds_of(max_ttl);
        let until = record.expires.min(longest).max(now + seconds_of(ABSENT.1));
        let level = match record.security {
            Security::Secure if !record.is_wildcard => Level::Validated,
            _ => Level::Any,
        };
        let knowledge = match (record.security, record.presence) {
            (Security::Bogus, _) => Knowledge::Bogus,
            (_, Presence::Present) if !record.keys.is_empty() => Knowledge::Keys(record.keys.clone(), level),
            (_, Presence::Present | Presence::OnlyUnusable) => Knowledge::Unusable,
            (Security::Indeterminate, Presence::Absent) => Knowledge::Unknown,
            (_, Presence::Absent) => Knowledge::Absent,
        };
        self.state = State::Known(knowledge, until);
    }
}

pub(super) fn seconds_of(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
