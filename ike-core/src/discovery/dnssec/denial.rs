//! What does not exist, as NSEC or NSEC3 records of a zone prove it (RFC 4035 §5.4, RFC 5155 §8). Only
//! records whose signature is good are looked at; of both kinds, NSEC first.

use domain::base::{Rtype, ToName};

use super::super::Name;
use super::dnskey::ZoneKey;
use super::nsec::Nsec;
use super::nsec3::Nsec3;
use super::rrset::{self, Section};
use super::rrsig::{self, Signed};
use super::types::Types;
use super::{Bogus, UnixTime, Validation};
use crate::crypto::Crypto;

/// Records of one kind looked at in one message, good or bad: three names take one each at most (RFC 5155
/// §7.2), and a few may be there for something else.
const MAX_PROOFS: usize = 8;

/// Seconds that a denial is kept at most (RFC 2308 §5).
const MAX_TTL: u32 = 3 * 3_600;

/// What the records of a zone say of one name.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Absence<'m> {
    /// It exists, and has only these types.
    Exists(Types<'m>),
    /// It does not exist, and what stands for it is a wildcard with only these types.
    Wildcard(Types<'m>),
    /// It does not exist, and no wildcard stands for it.
    NoName,
    /// Nothing signed exists there.
    OptOut,
}

/// Proofs of one kind, verified.
pub(super) struct Proofs<'m> {
    kind: Kind<'m>,
    /// Until the first of them is too old, s.
    pub(super) ttl: u32,
    pub(super) until: UnixTime,
}

enum Kind<'m> {
    Nsec(heapless::Vec<Nsec<'m>, MAX_PROOFS>),
    Nsec3(heapless::Vec<Nsec3<'m>, MAX_PROOFS>),
}

impl<'m> Proofs<'m> {
    /// All of the authority section that `zone` signed.
    pub(super) fn read<C: Crypto>(
        zone: (&Name, &[ZoneKey<'_>]),
        answer: &mut Validation<'m, C>,
    ) -> Result<Self, Bogus> {
        let mut life = Life { ttl: MAX_TTL, until: UnixTime(u64::MAX), why: Bogus::NoProof };
        let nsec = read(zone, Rtype::NSEC, answer, &mut life, Nsec::read)?;
        let kind = if nsec.is_empty() {
            Kind::Nsec3(read(zone, Rtype::NSEC3, answer, &mut life, |record| Nsec3::read(record, zone.0))?)
        } else {
            Kind::Nsec(nsec)
        };
        if matches!(&kind, Kind::Nsec3(records) if records.is_empty()) {
            return Err(life.why);
        }
        Ok(Self { kind, ttl: negative_ttl(zone.0, answer)?.min(life.ttl), until: life.until })
    }

    /// What they say of `name`, which is in the zone `apex`.
    pub(super) fn absence<C: Crypto>(
        &self,
        name: &Name,
        apex: &Name,
        answer: &mut Validation<'_, C>,
    ) -> Result<Absence<'m>, Bogus> {
        match &self.kind {
            Kind::Nsec(records) => super::nsec::absence(records, name, apex).ok_or(Bogus::NoProof),
            Kind::Nsec3(records) => super::nsec3::absence(records, name, apex, answer),
        }
    }

    /// That `name` does not exist, nor anything closer to it than the wildcard with this many `labels` behind
    /// its asterisk (RFC 4035 §5.3.4, RFC 5155 §8.8); yields whether only nothing signed does.
    pub(super) fn no_closer<C: Crypto>(
        &self,
        name: &Name,
        labels: u8,
        apex: &Name,
        answer: &mut Validation<'_, C>,
    ) -> Result<bool, Bogus> {
        match &self.kind {
            Kind::Nsec(records) => {
                super::nsec::no_closer(records, name, labels, apex).then_some(false).ok_or(Bogus::NoProof)
            }
            Kind::Nsec3(records) => super::nsec3::no_closer(records, name, labels, answer),
        }
    }
}

struct Life {
    ttl: u32,
    until: UnixTime,
    why: Bogus,
}

/// Reads and verifies the records of one kind. One that comes from a wildcard proves nothing: it would be
/// moved to where its signer never put it.
fn read<'m, C: Crypto, R>(
    zone: (&Name, &[ZoneKey<'_>]),
    rtype: Rtype,
    answer: &mut Validation<'m, C>,
    life: &mut Life,
    read: impl Fn(&rrset::Record<'m>) -> Option<R>,
) -> Result<heapless::Vec<R, MAX_PROOFS>, Bogus> {
    let mut proofs = heapless::Vec::new();
    let mut looked_at = 0;
    let message = answer.answer;
    for record in rrset::records(message, Section::Authority)? {
        let record = record?;
        if record.rtype != rtype {
            continue;
        }
        looked_at += 1;
        if looked_at > MAX_PROOFS {
            return Err(Bogus::TooMuchWork);
        }
        let Some(proof) = read(&record) else { continue };
        match rrsig::verify(zone, Section::Authority, (&record.owner, rtype), answer) {
            Ok(Signed { ttl, until, wildcard: None, .. }) => {
                life.ttl = life.ttl.min(ttl);
                life.until = life.until.min(until);
                proofs.push(proof).map_err(|_| Bogus::TooMuchWork)?;
            }
            Ok(_) => {}
            Err(Bogus::TooMuchWork) => return Err(Bogus::TooMuchWork),
            Err(reason) => life.why = reason,
        }
    }
    Ok(proofs)
}

/// RFC 2308 §5: the SOA record's TTL and its MINIMUM field. Not verified: who alters it can only shorten what
/// the proofs themselves allow.
fn negative_ttl<C: Crypto>(apex: &Name, answer: &Validation<'_, C>) -> Result<u32, Bogus> {
    let mut ttl = u32::MAX;
    for record in rrset::records(answer.answer, Section::Authority)? {
        let record = record?;
        if record.is(apex, Rtype::SOA) {
            let minimum = record.data.octets().last_chunk().map(|octets| u32::from_be_bytes(*octets));
            ttl = record.ttl.min(minimum.unwrap_or(0));
        }
    }
    Ok(ttl)
}

/// How many labels, the root's included, two names have in common at their ends.
pub(super) fn common_labels(one: &impl ToName, other: &impl ToName) -> usize {
    let pairs = one.iter_labels().rev().zip(other.iter_labels().rev());
    pairs.take_while(|(one, other)| one == other).count()
}

/// The ancestor of `name` that has this many labels, the root's included.
pub(super) fn ancestor(name: &Name, labels: usize) -> Option<domain::base::Name<&[u8]>> {
    name.iter_suffixes().nth(name.label_count().checked_sub(labels)?)
}

/// The wildcard below `name`.
pub(super) fn wildcard(name: &domain::base::Name<&[u8]>) -> Option<Name> {
    let octets = [1, b'*'].iter().chain(name.as_slice()).copied();
    if name.len() + 2 > super::super::MAX_NAME {
        return None;
    }
    Name::from_octets(octets.collect()).ok()
}
