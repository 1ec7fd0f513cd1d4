//! How a lookup ends: type by type, or all at once; and for how long that holds.

use core::time::Duration;

use domain::base::Rtype;
use esp_engine::time::Instant;

use super::super::depth;
use super::super::outcome::{Found, Link, Presence, Security};
use super::super::question::Question;
use super::{Lookup, Means, State, Trust};

/// Longest and shortest time that an outcome is kept, in seconds.
const MAX_TTL: u32 = 86_400;
const MIN_TTL: u32 = 5;
/// How long a refuted answer is not asked for again (RFC 4035 §4.7).
const BOGUS_TTL: u32 = 60;

impl Lookup {
    /// No server helps.
    pub(crate) fn fail<C>(&mut self, place: usize, reason: Security, means: &Means<'_, '_, C>) {
        if let Some(ask) = self.asks.get_mut(place) {
            *ask = None;
        }
        if self.trust == Trust::ServersWord {
            return self.validate_instead(means);
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
    pub(super) fn settle(&mut self, place: usize, security: Security) {
        self.is_at_end = true;
        if let Some(settled) = self.settled.get_mut(place) {
            *settled = Some(security);
        }
        let open = self.settled.iter().zip(self.question.types()).any(|(settled, _)| settled.is_none());
        if !open {
            self.finish();
        }
    }

    pub(super) fn finish(&mut self) {
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
                self.outcome.security.and(keys).and(other)
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

    pub(super) fn link(&mut self, depth: u8, what: Found) {
        let link = Link { name: self.alias, depth, what };
        if self.outcome.links.last() != Some(&link) {
            // A chain longer than this has its first links; what came of it is said elsewhere.
            let _ = self.outcome.links.push(link);
        }
    }
}
