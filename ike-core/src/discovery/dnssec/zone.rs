//! The authenticated keys of one zone, and what the zone says through them.

use domain::base::{Message, Rtype, ToName};

use super::super::Name;
use super::denial::{Absence, Proofs};
use super::dnskey::{Keys, MAX_KEYS, ZoneKey};
use super::rrset::{RrSet, Section};
use super::rrsig::Signed;
use super::{Bogus, Delegation, Denial, Ds, DsSet, Origin, Proved, UnixTime, Validation, ds, rrsig};
use crate::crypto::Crypto;

/// A zone whose keys are known.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Zone {
    /// In lower case.
    apex: Name,
    keys: Keys,
    expires: UnixTime,
}

/// For how long a zone's keys are signed, and how often they should be looked at.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Term {
    /// When the signature over them was made, or later: it is certainly not earlier than this now.
    pub since: UnixTime,
    /// When it expires.
    pub until: UnixTime,
    /// The TTL that the zone gives them, s.
    pub original_ttl: u32,
    /// Until when they may be used, by the TTL that is left.
    pub expires: UnixTime,
}

impl Zone {
    /// The zone `apex`: its DNSKEY RRset in the answer section, signed by a key that one of `ds` names
    /// (RFC 4035 §5.2). For the root these are the trust anchors; an old device may have none of today's, then
    /// this is [`Bogus::NoDnskeyForDs`].
    ///
    /// # Errors
    /// [`Bogus`].
    pub fn from_ds<C: Crypto>(apex: &Name, ds: &[Ds], answer: &mut Validation<'_, C>) -> Result<Self, Bogus> {
        let term = Self::prove(apex, ds, answer)?;
        Self::proven(apex, answer.answer, term.expires)
    }

    /// Whether that RRset is signed, and for how long; the keys are not copied yet, for they take as much stack as the
    /// signatures do.
    pub(crate) fn prove<C: Crypto>(
        apex: &Name,
        ds: &[Ds],
        answer: &mut Validation<'_, C>,
    ) -> Result<Term, Bogus> {
        let apex: Name = apex.try_to_canonical_name().map_err(|_| Bogus::Malformed)?;
        let set = RrSet::find(answer.answer, Section::Answer, &apex, Rtype::DNSKEY)?;
        if set.len() > MAX_KEYS {
            return Err(Bogus::TooMuchWork);
        }
        let crypto = answer.crypto;
        let named = set.data().filter_map(|data| {
            let key = ZoneKey::read(data.octets())?;
            ds.iter().any(|ds| key.is_named(ds, apex.as_slice(), data.octets(), crypto)).then_some(key)
        });
        // No more than there is room for: that was checked.
        let named: heapless::Vec<_, MAX_KEYS> = named.collect();
        if named.is_empty() {
            return Err(Bogus::NoDnskeyForDs);
        }
        let signed =
            rrsig::verify_set((&apex, &named), Section::Answer, (&apex, Rtype::DNSKEY), &set, answer)?;
        Ok(Term {
            since: signed.since,
            until: signed.until,
            original_ttl: signed.original_ttl,
            expires: UnixTime(answer.now.0 + u64::from(signed.ttl)),
        })
    }

    /// The zone whose DNSKEY RRset in this message is proven.
    pub(crate) fn proven(apex: &Name, message: &Message<[u8]>, expires: UnixTime) -> Result<Self, Bogus> {
        let apex: Name = apex.try_to_canonical_name().map_err(|_| Bogus::Malformed)?;
        let set = RrSet::find(message, Section::Answer, &apex, Rtype::DNSKEY)?;
        let keys = set.data().filter_map(|data| ZoneKey::read(data.octets()));
        let mut zone = Self { apex, keys: Keys::default(), expires };
        keys.for_each(|key| zone.keys.push(&key));
        Ok(zone)
    }

    /// Its name, in lower case.
    pub const fn apex(&self) -> &Name {
        &self.apex
    }

    /// Until when its keys may be used, by the TTL of its DNSKEY RRset. That of the DS RRset may end earlier:
    /// whoever keeps a zone minds that, too.
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// The RRset `owner` `rtype` of the answer section: all records there of that owner (whatever their case)
    /// and type, and of class IN. If it comes from a wildcard, the authority section must show that no closer
    /// name exists (RFC 4035 §5.3).
    ///
    /// # Errors
    /// [`Bogus`]; [`Bogus::NoRecords`] when there is no such RRset.
    #[inline(never)]
    pub fn verify<C: Crypto>(
        &self,
        owner: &Name,
        rtype: Rtype,
        answer: &mut Validation<'_, C>,
    ) -> Result<Proved<Origin>, Bogus> {
        let signed = rrsig::verify((&self.apex, &self.keys.all()), Section::Answer, (owner, rtype), answer)?;
        match signed.wildcard {
            None => Ok(Proved { what: Origin::Exact, ttl: signed.ttl, until: signed.until }),
            Some(labels) => self.no_closer(owner, labels, &signed, answer),
        }
    }

    /// That an RRset comes from a wildcard is proven. Not inlined: few do.
    #[inline(never)]
    fn no_closer<C: Crypto>(
        &self,
        owner: &Name,
        labels: u8,
        signed: &Signed,
        answer: &mut Validation<'_, C>,
    ) -> Result<Proved<Origin>, Bogus> {
        let proofs = Proofs::read((&self.apex, &self.keys.all()), answer)?;
        let is_opt_out = proofs.no_closer(owner, labels, &self.apex, answer)?;
        Ok(Proved {
            what: if is_opt_out { Origin::WildcardOptOut } else { Origin::Wildcard },
            ttl: signed.ttl.min(proofs.ttl),
            until: signed.until.min(proofs.until),
        })
    }

    /// What the answer to a question for the DS records of `child` says, a name below the apex
    /// (RFC 4035 §5.2, RFC 5155 §8.9, RFC 6840 §4.4). A CNAME at `child`, or a DNAME above it, is one more
    /// way to have no zone of its own.
    ///
    /// # Errors
    /// [`Bogus`].
    #[inline(never)]
    pub fn delegation<C: Crypto>(
        &self,
        child: &Name,
        answer: &mut Validation<'_, C>,
    ) -> Result<Proved<Delegation>, Bogus> {
        if !child.ends_with(&self.apex) || child.name_eq(&self.apex) {
            return Err(Bogus::NoProof);
        }
        match rrsig::verify((&self.apex, &self.keys.all()), Section::Answer, (child, Rtype::DS), answer) {
            Err(Bogus::NoRecords) => {}
            Err(bogus) => return Err(bogus),
            // Nothing is delegated by a wildcard (RFC 4592 §4.6).
            Ok(signed) if signed.wildcard.is_some() => return Err(Bogus::BadSignature),
            Ok(signed) => {
                let set = RrSet::find(answer.answer, Section::Answer, child, Rtype::DS)?;
                return Ok(Proved { what: secured_by(&set)?, ttl: signed.ttl, until: signed.until });
            }
        }
        self.no_delegation(child, answer)
    }

    /// The same where there are no DS records. Not inlined, as what other answers need is not: the stack holds but one.
    #[inline(never)]
    fn no_delegation<C: Crypto>(
        &self,
        child: &Name,
        answer: &mut Validation<'_, C>,
    ) -> Result<Proved<Delegation>, Bogus> {
        if let Some(proved) = self.redirection(child, answer)? {
            let what = match proved.what {
                Origin::Exact | Origin::Wildcard => Delegation::NoCut,
                Origin::WildcardOptOut => Delegation::Insecure,
            };
            return Ok(Proved { what, ttl: proved.ttl, until: proved.until });
        }
        let proofs = Proofs::read((&self.apex, &self.keys.all()), answer)?;
        let what = match proofs.absence(child, &self.apex, answer)? {
            Absence::Exists(types) if types.has(Rtype::DS) || types.has(Rtype::SOA) => {
                return Err(Bogus::NoProof);
            }
            Absence::Exists(types) if types.has(Rtype::NS) => Delegation::Insecure,
            Absence::Exists(_) => Delegation::NoCut,
            Absence::Wildcard(types) if types.deny(Rtype::DS) => Delegation::NoCut,
            Absence::Wildcard(_) => return Err(Bogus::NoProof),
            Absence::NoName => Delegation::NxDomain,
            Absence::OptOut => Delegation::Insecure,
        };
        Ok(Proved { what, ttl: proofs.ttl, until: proofs.until })
    }

    /// What the authority section proves of the absence of `name` `rtype` (RFC 4035 §5.4, RFC 5155 §8). The
    /// RCODE is not looked at.
    ///
    /// # Errors
    /// [`Bogus`].
    #[inline(never)]
    pub fn denial<C: Crypto>(
        &self,
        name: &Name,
        rtype: Rtype,
        answer: &mut Validation<'_, C>,
    ) -> Result<Proved<Denial>, Bogus> {
        if !name.ends_with(&self.apex) {
            return Err(Bogus::NoProof);
        }
        // By reference: what is moved takes its room on the stack twice.
        let proofs = &Proofs::read((&self.apex, &self.keys.all()), answer);
        let proofs = proofs.as_ref().map_err(|bogus| *bogus)?;
        let what = match proofs.absence(name, &self.apex, answer)? {
            Absence::Exists(types) | Absence::Wildcard(types) if types.deny(rtype) => Denial::NoData,
            Absence::Exists(_) | Absence::Wildcard(_) => return Err(Bogus::NoProof),
            Absence::NoName => Denial::NxDomain,
            Absence::OptOut => Denial::OptOut,
        };
        Ok(Proved { what, ttl: proofs.ttl, until: proofs.until })
    }

    /// A CNAME at the name or a DNAME above it (RFC 6672 §2.2), if there is one in the answer section.
    fn redirection<C: Crypto>(
        &self,
        name: &Name,
        answer: &mut Validation<'_, C>,
    ) -> Result<Option<Proved<Origin>>, Bogus> {
        for owner in name.iter_suffixes().take_while(|owner| owner.ends_with(&self.apex)).skip(1) {
            let owner = owner.try_to_name().map_err(|_| Bogus::Malformed)?;
            match self.verify(&owner, Rtype::DNAME, answer) {
                Err(Bogus::NoRecords) => {}
                other => return other.map(Some),
            }
        }
        match self.verify(name, Rtype::CNAME, answer) {
            Err(Bogus::NoRecords) => Ok(None),
            other => other.map(Some),
        }
    }
}

/// What the DS records of a child say: only those of supported algorithms and digests count, and if there is
/// none, the child might as well have no DS records (RFC 4035 §5.2, RFC 6840 §5.2).
fn secured_by(set: &RrSet<'_>) -> Result<Delegation, Bogus> {
    let mut usable = DsSet::new();
    let mut is_malformed = false;
    for data in set.data() {
        match Ds::read(data.octets()) {
            // Those that there is no room for are not looked at.
            Ok(ds) => drop(usable.push(ds)),
            Err(ds::Unusable::NotSupported) => {}
            Err(ds::Unusable::Malformed) => is_malformed = true,
        }
    }
    match (usable.is_empty(), is_malformed) {
        (false, _) => Ok(Delegation::Secure(usable)),
        (true, true) => Err(Bogus::Malformed),
        (true, false) => Ok(Delegation::Insecure),
    }
}
