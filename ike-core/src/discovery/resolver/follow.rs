//! The root's keys, looked at again and again so that a roll-over is not missed (RFC 5011 §2.3).

use core::time::Duration;

use domain::base::Rtype;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::anchors::Anchors;
use super::super::dnssec::Term;
use super::super::lookup::{Lookup, Purpose, Trust};
use super::super::question::Question;
use super::super::{UnixTime, root};
use super::Resolver;
use crate::crypto::Crypto;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// How long a free place for a lookup is waited for.
const BUSY: Duration = Duration::from_secs(60);

/// Whether and when the keys of the root are looked at next.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    /// `None` where they are not followed.
    next: Option<Instant>,
    /// Of the keys that were proven last, and when that was.
    term: Option<(Term, UnixTime)>,
}

impl Follow {
    pub(super) const fn new() -> Self {
        Self { next: None, term: None }
    }
}

impl<C: Crypto, R: TryCryptoRng> Resolver<'_, C, R> {
    /// Follows the keys of the root from now on, as soon as the time of day is known, going on from what
    /// [`crate::discovery::output::Output::Anchors`] had stored. What has no form is not gone on from.
    pub fn follow_root(&mut self, now: Instant, stored: Option<&[u8]>) {
        if let Some(stored) = stored {
            self.desk.anchors.resume(stored);
        }
        self.desk.follow.next = Some(now);
    }

    /// What is trusted of the root, and what is not yet or no longer.
    pub const fn anchors(&self) -> &Anchors {
        &self.desk.anchors
    }

    pub(super) const fn is_followed(&self) -> bool {
        self.desk.follow.next.is_some()
    }

    /// When they are looked at next: not before the time of day is known, nor while they are looked at.
    pub(super) fn next_refresh(&self) -> Option<Instant> {
        self.clock.time(self.desk.now)?;
        let under_way = self.lookups.iter().flatten().any(|lookup| lookup.purpose == Purpose::Anchors);
        self.desk.follow.next.filter(|_| !under_way)
    }

    /// Looks at them, if it is time. Not inlined: whoever calls this verifies signatures next, and the stack need not hold
    /// the new lookup then.
    #[inline(never)]
    pub(super) fn refresh(&mut self) {
        let now = self.desk.now;
        if self.next_refresh().is_none_or(|next| now < next) {
            return;
        }
        let keys = Question::Records { name: root(), rtype: Rtype::DNSKEY };
        let Ok(mut lookup) = self.begin(keys, Trust::Proof) else {
            self.desk.follow.next = Some(now + BUSY);
            return;
        };
        lookup.purpose = Purpose::Anchors;
        self.start(lookup);
    }

    /// They were looked at. What a revoked key has proven is forgotten.
    pub(super) fn refreshed(&mut self, lookup: &Lookup) {
        let (now, time) = (self.desk.now, self.clock.time(self.desk.now).unwrap_or(UnixTime(0)));
        if let Some(term) = lookup.root {
            self.desk.follow.term = Some((term, time));
        }
        let pause = match (lookup.root, self.desk.follow.term) {
            (Some(term), _) => interval(term, time, 2, 15 * DAY),
            (None, Some((term, then))) => interval(term, then, 10, DAY),
            (None, None) => HOUR,
        };
        self.desk.follow.next = Some(now + Duration::from_secs(pause));
        if lookup.revoked {
            self.zones.clear();
            for place in self.answers.iter_mut() {
                place.take_if(|answer| answer.tickets.is_empty());
            }
        }
    }
}

/// Seconds until the next look: a part of the TTL and of the rest of the signature's life, between an hour and
/// `most`.
fn interval(term: Term, seen: UnixTime, part: u64, most: u64) -> u64 {
    let left = term.until.0.saturating_sub(seen.0);
    most.min(u64::from(term.original_ttl) / part).min(left / part).max(HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5011 §2.3: queryInterval and retryTime.
    #[test]
    fn how_often_the_root_is_looked_at() {
        let seen = UnixTime(1_000_000);
        let term = |ttl, left| Term {
            since: UnixTime(0),
            until: UnixTime(seen.0 + left),
            original_ttl: ttl,
            expires: UnixTime(seen.0 + u64::from(ttl)),
        };
        let day = DAY as u32;
        for (ttl, left, query, retry) in [
            (2 * day, 20 * DAY, DAY, 2 * DAY / 10),
            (60 * day, 60 * DAY, 15 * DAY, DAY),
            (60 * day, 10 * DAY, 5 * DAY, DAY),
            (60, 20 * DAY, HOUR, HOUR),
            (2 * day, 100, HOUR, HOUR),
        ] {
            assert_eq!(interval(term(ttl, left), seen, 2, 15 * DAY), query, "{ttl} {left}");
            assert_eq!(interval(term(ttl, left), seen, 10, DAY), retry, "{ttl} {left}");
        }
    }
}
