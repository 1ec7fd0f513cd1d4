//! The records themselves, or proof that there are none; and the aliases on the way to them.

use domain::base::Rtype;

use super::super::answer::{self, Said};
use super::super::cache::Deepest;
use super::super::dnssec::{Bogus, Denial, Origin, Proved, Validation, Zone};
use super::super::outcome::{Found, Security};
use super::super::query::Received;
use super::super::{Name, UnixTime, ancestor, depth};
use super::{ALIASES, Ask, Goal, Lookup, Means, TOO_FAR, Trust, UNSIGNED};
use crate::crypto::Crypto;

/// What is known of an answer before it is taken.
struct Judged {
    security: Security,
    /// How long it may be kept, in seconds; what the answer itself says where nothing is proven.
    ttl: Option<u32>,
    until: Option<UnixTime>,
    zone: Option<u8>,
    wildcard: bool,
    no_name: bool,
}

impl Lookup {
    /// An answer about the name itself.
    #[inline(never)]
    pub(super) fn handle_records<C: Crypto>(
        &mut self,
        place: usize,
        ask: Ask,
        answer: &Received<'_>,
        means: &mut Means<'_, '_, C>,
    ) {
        let said = answer::said(answer.message, &self.name, ask.rtype);
        let security = match self.trust {
            Trust::Nothing(security) => security,
            Trust::ServersWord if !means.servers.is_believed(ask.server) => {
                return self.validate_instead(means);
            }
            Trust::ServersWord if answer.authentic => Security::Secure,
            Trust::ServersWord => Security::Insecure,
            Trust::Proof => return self.prove(place, ask, &said, answer, means),
        };
        let judged = Judged {
            security,
            ttl: None,
            until: None,
            zone: None,
            wildcard: false,
            no_name: answer.rcode == 3,
        };
        self.take(place, ask.rtype, &said, &judged, answer, means);
    }

    fn prove<C: Crypto>(
        &mut self,
        place: usize,
        ask: Ask,
        said: &Said,
        answer: &Received<'_>,
        means: &mut Means<'_, '_, C>,
    ) {
        let Some(Deepest::Signed(known)) = self.deepest(means) else {
            return self.proceed(means);
        };
        let Some(signer) = answer::signer(answer.message, &self.name, ask.rtype, said) else {
            if self.next_label(known) > depth(&self.name) {
                return self.elsewhere(place, ask, UNSIGNED, means);
            }
            self.forget_asks();
            return self.look_below(known, means);
        };
        let Some(zone) = means.zones.signed(&self.name, signer, means.time) else {
            return match signer > known {
                true => self.seek(Goal { depth: signer, claim: Some(ask.server) }, means),
                false => self.elsewhere(place, ask, Security::Bogus(Bogus::NoKey), means),
            };
        };
        let mut validation = Validation::new(answer.message, means.time, means.crypto, &mut self.work);
        match judge(zone, &self.name, ask.rtype, said, &mut validation) {
            Ok(judged) => {
                let judged = Judged { zone: Some(signer), ..judged };
                self.take(place, ask.rtype, said, &judged, answer, means);
            }
            Err(bogus) => self.elsewhere(place, ask, Security::Bogus(bogus), means),
        }
    }

    /// What the answer says is taken for as good as it was judged.
    #[inline(never)]
    fn take<C>(
        &mut self,
        place: usize,
        rtype: Rtype,
        said: &Said,
        judged: &Judged,
        answer: &Received<'_>,
        means: &Means<'_, '_, C>,
    ) {
        if let Some(until) = judged.until {
            self.signed_until(until);
        }
        self.outcome.wildcard |= judged.wildcard;
        let ttl = match said {
            Said::Records => self.take_records(rtype, judged, answer),
            Said::Nothing => {
                let what = Found::Absent { rtype, zone: judged.zone, name: judged.no_name };
                self.link(depth(&self.name), what);
                answer::negative_ttl(answer.message)
            }
            Said::Alias(_) | Said::Redirect(..) => answer::alias_ttl(answer.message, &self.name, said),
        };
        self.ttl = self.ttl.min(judged.ttl.unwrap_or(ttl));
        match said {
            Said::Records | Said::Nothing => {
                self.settle(place, judged.security);
                if !self.is_done() {
                    self.proceed(means);
                }
            }
            Said::Alias(target) => self.follow(Some(target), Rtype::CNAME, judged, means),
            Said::Redirect(_, target) => self.follow(target.as_ref(), Rtype::DNAME, judged, means),
        }
    }

    fn take_records(&mut self, rtype: Rtype, judged: &Judged, answer: &Received<'_>) -> u32 {
        let own_only = judged.security.and(self.outcome.security) != Security::Secure;
        let into = &mut self.outcome.records;
        let collected = answer::collect(answer.message, &self.name, rtype, own_only, self.draw, into);
        self.outcome.left_out = self.outcome.left_out.saturating_add(collected.left_out);
        if rtype == self.question.types().first().copied().unwrap_or(rtype) {
            (self.seen, self.usable) = (collected.seen, collected.usable);
        }
        let what = Found::Records { rtype, zone: judged.zone, wildcard: judged.wildcard };
        self.link(depth(&self.name), what);
        collected.ttl
    }

    /// The question goes on at `target` (RFC 4025 §1.2, RFC 6672 §3.2). All types do: an alias has no other
    /// records.
    fn follow<C>(&mut self, target: Option<&Name>, by: Rtype, judged: &Judged, means: &Means<'_, '_, C>) {
        let what = Found::Records { rtype: by, zone: judged.zone, wildcard: judged.wildcard };
        self.link(depth(&self.name), what);
        self.outcome.security = self.outcome.security.and(judged.security);
        let Some(target) = target.filter(|_| self.alias < ALIASES) else {
            return self.end(TOO_FAR);
        };
        if !self.outcome.records.push(Rtype::CNAME, target.as_slice()) {
            return self.end(TOO_FAR);
        }
        self.forget_asks();
        self.alias += 1;
        self.name = target.clone();
        self.goals.clear();
        self.examined = 0;
        self.is_at_end = false;
        if self.trust == Trust::Nothing(Security::Insecure) {
            self.trust = Trust::Proof;
        }
        self.proceed(means);
    }
}

/// What `zone` proves of the answer.
fn judge<C: Crypto>(
    zone: &Zone,
    name: &Name,
    rtype: Rtype,
    said: &Said,
    answer: &mut Validation<'_, C>,
) -> Result<Judged, Bogus> {
    let of_set = |proved: Proved<Origin>| Judged {
        security: match proved.what {
            Origin::Exact | Origin::Wildcard => Security::Secure,
            Origin::WildcardOptOut => Security::Insecure,
        },
        ttl: Some(proved.ttl),
        until: Some(proved.until),
        zone: None,
        wildcard: proved.what != Origin::Exact,
        no_name: false,
    };
    match said {
        Said::Records => zone.verify(name, rtype, answer).map(of_set),
        Said::Alias(_) => zone.verify(name, Rtype::CNAME, answer).map(of_set),
        Said::Redirect(labels, _) => {
            let owner = ancestor(name.for_slice(), *labels);
            zone.verify(&owner, Rtype::DNAME, answer).map(of_set)
        }
        Said::Nothing => zone.denial(name, rtype, answer).map(|proved| Judged {
            security: match proved.what {
                Denial::NoData | Denial::NxDomain => Security::Secure,
                Denial::OptOut => Security::Insecure,
            },
            ttl: Some(proved.ttl),
            until: Some(proved.until),
            zone: None,
            wildcard: false,
            no_name: proved.what == Denial::NxDomain,
        }),
    }
}
