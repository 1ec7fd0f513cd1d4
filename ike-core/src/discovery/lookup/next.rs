//! What is asked next, by what is known; and whom, when an answer was of no use.

use domain::base::Rtype;

use super::super::cache::Deepest;
use super::super::outcome::{Found, Security};
use super::super::{Name, ancestor, depth};
use super::{ASKS, Ask, Lookup, Means, Purpose, State, TOO_FAR, Trust};

/// Labels above a name among which its zone is usually found.
const NEAR: u8 = 2;

impl Lookup {
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

    pub(super) fn ask(&mut self, place: usize, depth: u8, rtype: Rtype) {
        self.put(place, Ask::new(depth, rtype, self.distrusted));
    }

    /// A query leaves, be it a repetition; `false` when it was one too many, which ends the lookup.
    pub(crate) fn spend_query(&mut self) -> bool {
        match self.queries_left.checked_sub(1) {
            Some(left) => self.queries_left = left,
            None => self.end(TOO_FAR),
        }
        !self.is_done()
    }

    /// What is out is no longer wanted.
    pub(super) fn forget_asks(&mut self) {
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

    /// The deepest zone known around the name. What is to be found out about the root itself rests on none.
    pub(super) fn deepest<C>(&self, means: &Means<'_, '_, C>) -> Option<Deepest> {
        match self.purpose {
            Purpose::Question => means.zones.deepest(&self.zone_of(), means.time),
            Purpose::Time(..) | Purpose::Anchors => None,
        }
    }

    /// The name whose zone answers: of DS records that is the zone above (RFC 4035 §3.1.4.1).
    fn zone_of(&self) -> Name {
        let labels = depth(&self.name);
        let is_above = self.question.types() == [Rtype::DS];
        ancestor(self.name.for_slice(), if is_above { labels.saturating_sub(1) } else { labels })
    }

    pub(super) fn put(&mut self, place: usize, ask: Ask) {
        if let Some(free) = self.asks.get_mut(place) {
            *free = Some(ask);
        }
    }

    /// This server's answer is of no use, for that reason: another is asked, and at last the same on a
    /// connection, where nobody could have forged it on the way.
    pub(super) fn elsewhere<C>(
        &mut self,
        place: usize,
        ask: Ask,
        reason: Security,
        means: &Means<'_, '_, C>,
    ) {
        match ask.elsewhere(reason, means.servers, means.now) {
            Some(next) => self.put(place, next),
            None => self.fail(place, reason, means),
        }
    }
}
