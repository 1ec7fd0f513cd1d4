//! The way down from zone to zone (RFC 4035 §5): the keys of the root by the trust anchors, a DS record by
//! the keys of the parent, the keys of the child by the DS record; or proof that signing ends.

use domain::base::Rtype;

use super::super::answer;
use super::super::cache::{Cut, Deepest};
use super::super::clock::later;
use super::super::dnssec::{Bogus, Delegation, DsSet, EntryPoint, Signers, Term, Validation, Zone};
use super::super::outcome::{Found, Indeterminate, Security};
use super::super::query::Received;
use super::super::upstream::Unfit;
use super::super::{Name, UnixTime, ancestor, depth, root};
use super::{Ask, Goal, Lookup, Means, Purpose, State, TOO_FAR, Trust, UNSIGNED};
use crate::crypto::Crypto;

impl Lookup {
    /// The root's DNSKEY RRset.
    #[inline(never)]
    pub(super) fn handle_anchor<C: Crypto>(
        &mut self,
        ask: Ask,
        answer: &Received<'_>,
        means: &mut Means<'_, '_, C>,
    ) {
        let trusted = means.anchors.trusted();
        let mut validation = Validation::new(answer.message, means.time, means.crypto, &mut self.work);
        let found = Zone::prove(&root(), &trusted, &mut validation);
        let term = found.ok();
        if self.purpose == Purpose::Anchors {
            self.observe(term, answer, means);
        }
        let reason = match found {
            Ok(proven) => {
                self.root = term;
                self.zone_found(&root(), answer, proven.expires, means);
                return match self.purpose {
                    Purpose::Time(..) | Purpose::Anchors => self.finish(),
                    Purpose::Question => self.proceed(means),
                };
            }
            Err(Bogus::NoSignature | Bogus::NoRecords) => {
                means.servers.unfit(ask.server, Unfit::NoSignatures, means.now);
                Security::Indeterminate(Indeterminate::Unfit)
            }
            Err(Bogus::NoDnskeyForDs) => Security::Indeterminate(Indeterminate::NoAnchor),
            Err(bogus) => Security::Bogus(bogus),
        };
        self.elsewhere(0, ask, reason, means);
    }

    /// Shows the trust anchors what has become of the root's keys, valid or not: who gives up a key needs nobody
    /// else's signature for it.
    #[inline(never)]
    fn observe<C: Crypto>(
        &mut self,
        term: Option<Term>,
        answer: &Received<'_>,
        means: &mut Means<'_, '_, C>,
    ) {
        let mut validation = Validation::new(answer.message, means.time, means.crypto, &mut self.work);
        if let Ok(signers) = EntryPoint::signers(&mut validation) {
            let ttl = term.map_or(0, |term| term.original_ttl);
            self.revoked |= note(signers, ttl, answer, means);
        }
    }

    /// The DS records of the last goal, or why there are none.
    #[inline(never)]
    pub(super) fn handle_delegation<C: Crypto>(
        &mut self,
        ask: Ask,
        answer: &Received<'_>,
        means: &mut Means<'_, '_, C>,
    ) {
        let (Some(goal), Some(Deepest::Signed(known))) = (self.goals.last().copied(), self.deepest(means))
        else {
            return self.proceed(means);
        };
        match self.signer_of_delegation(goal, answer) {
            Some(signer) if signer >= goal.depth => {
                means.servers.unfit(ask.server, Unfit::ChildSide, means.now);
                self.elsewhere(0, ask, UNSIGNED, means);
            }
            Some(signer) if signer == known => self.judge_delegation(ask, goal, known, answer, means),
            Some(signer) if signer > known => {
                self.seek(Goal { depth: signer, claim: Some(ask.server) }, means);
            }
            None if self.next_label(known) < goal.depth => self.look_below(known, means),
            _ => self.elsewhere(0, ask, UNSIGNED, means),
        }
    }

    #[inline(never)]
    fn signer_of_delegation(&self, goal: Goal, answer: &Received<'_>) -> Option<u8> {
        let child = ancestor(self.name.for_slice(), goal.depth);
        let said = answer::said(answer.message, &child, Rtype::DS);
        answer::signer(answer.message, &child, Rtype::DS, &said)
    }

    fn judge_delegation<C: Crypto>(
        &mut self,
        ask: Ask,
        goal: Goal,
        known: u8,
        answer: &Received<'_>,
        means: &mut Means<'_, '_, C>,
    ) {
        let child = ancestor(self.name.for_slice(), goal.depth);
        let Some(parent) = means.zones.signed(&self.name, known, means.time) else {
            return self.proceed(means);
        };
        let mut validation = Validation::new(answer.message, means.time, means.crypto, &mut self.work);
        let judged = parent.delegation(&child, &mut validation);
        let proved = match &judged {
            Ok(proved) => proved,
            Err(bogus) => return self.elsewhere(0, ask, Security::Bogus(*bogus), means),
        };
        let until = proved.until.min(later(means.time, core::time::Duration::from_secs(proved.ttl.into())));
        match &proved.what {
            Delegation::Secure(ds) => {
                self.link(goal.depth, Found::Delegation);
                self.ask(0, goal.depth, Rtype::DNSKEY);
                if !self.is_done() {
                    self.state = State::Keys { ds: ds.clone(), until };
                }
            }
            Delegation::Insecure => {
                means.zones.keep_unsigned(&child, until);
                self.link(goal.depth, Found::Unsigned { cached: false });
                self.signed_until(proved.until);
                self.trust = Trust::Nothing(Security::Insecure);
                self.proceed(means);
            }
            Delegation::NoCut | Delegation::NxDomain if goal.claim.is_some() => {
                self.distrust(goal.claim, means);
            }
            // Nothing exists further down either (RFC 8020).
            Delegation::NxDomain => {
                self.examined = u8::MAX;
                self.look_below(known, means);
            }
            Delegation::NoCut => {
                self.link(goal.depth, Found::NoCut);
                self.examined = self.examined.max(goal.depth);
                self.goals.pop();
                self.look_below(known, means);
            }
        }
    }

    /// Signatures were made in the name of a zone that does not exist, or so a server said: the others are
    /// asked once more for what it answered.
    fn distrust<C>(&mut self, server: Option<u8>, means: &Means<'_, '_, C>) {
        self.distrusted |= server.and_then(|server| 1_u8.checked_shl(server.into())).unwrap_or(0);
        self.goals.clear();
        match means.servers.choose(means.now, 0, self.distrusted) {
            Some(_) => self.proceed(means),
            None => self.end(Security::Bogus(Bogus::NoKey)),
        }
    }

    /// The DNSKEY RRset of the last goal.
    #[inline(never)]
    pub(super) fn handle_keys<C: Crypto>(
        &mut self,
        ask: Ask,
        ds: &DsSet,
        until: UnixTime,
        answer: &Received<'_>,
        means: &mut Means<'_, '_, C>,
    ) {
        let apex = ancestor(self.name.for_slice(), ask.depth);
        let mut validation = Validation::new(answer.message, means.time, means.crypto, &mut self.work);
        match Zone::prove(&apex, ds, &mut validation) {
            Ok(proven) => {
                self.zone_found(&apex, answer, until.min(proven.expires), means);
                self.proceed(means);
            }
            Err(bogus) => self.elsewhere(0, ask, Security::Bogus(bogus), means),
        }
    }

    /// The keys of a zone are proven: they are kept. Not inlined: while they were being proven the stack had no room
    /// for them.
    #[inline(never)]
    fn zone_found<C>(
        &mut self,
        apex: &Name,
        answer: &Received<'_>,
        until: UnixTime,
        means: &mut Means<'_, '_, C>,
    ) {
        self.link(depth(apex), Found::Keys { cached: false });
        self.examined = 0;
        // They were found there just now.
        if let Ok(zone) = Zone::proven(apex, answer.message, until) {
            means.zones.keep(Cut::Signed(zone), until);
        }
    }

    /// A zone that has to be known first.
    pub(super) fn seek<C>(&mut self, goal: Goal, means: &Means<'_, '_, C>) {
        self.forget_asks();
        match self.zones_left.checked_sub(1) {
            Some(left) if self.goals.push(goal).is_ok() => {
                self.zones_left = if goal.claim.is_some() { left } else { self.zones_left };
                self.proceed(means);
            }
            _ => self.end(TOO_FAR),
        }
    }

    /// Nobody signed an answer: is there a zone that nobody signs, one label further down?
    pub(super) fn look_below<C>(&mut self, known: u8, means: &Means<'_, '_, C>) {
        let next = self.next_label(known);
        if next > depth(&self.name) {
            // There is none: now another server has to have the signature.
            self.goals.clear();
            return self.proceed(means);
        }
        match self.goals.last() {
            Some(goal) if goal.depth <= next => self.proceed(means),
            _ => self.seek(Goal { depth: next, claim: None }, means),
        }
    }

    /// The first label below the deepest known zone of which it is not known whether a zone begins there.
    pub(super) fn next_label(&self, known: u8) -> u8 {
        known.max(self.examined).saturating_add(1)
    }

    pub(super) fn signed_until(&mut self, until: UnixTime) {
        let least = self.outcome.signed_until.map_or(until, |other| other.min(until));
        self.outcome.signed_until = Some(least);
    }
}

/// What these keys signed is shown to the trust anchors; whether one of them was given up. By itself: what the keys are
/// told by does not lie on the stack while signatures are verified.
#[inline(never)]
fn note<C: Crypto>(signers: Signers, ttl: u32, answer: &Received<'_>, means: &mut Means<'_, '_, C>) -> bool {
    let seen = EntryPoint::read(answer.message, signers, means.crypto);
    means.anchors.observe(means.now, &seen, ttl)
}
