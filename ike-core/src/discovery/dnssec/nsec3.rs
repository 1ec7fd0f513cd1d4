//! NSEC3: the same by hashes, so that a zone cannot be listed (RFC 5155). What is below opt-out may exist
//! unsigned.

use domain::base::ToName;

use super::super::Name;
use super::denial::{Absence, ancestor, wildcard};
use super::rrset::Record;
use super::types::Types;
use super::{Bogus, Validation};
use crate::crypto::Crypto;

/// Iterations that are computed for a zone; more make its denials bogus, because were they insecure, anybody
/// on the way could take the zone's signatures off (RFC 9276 §3.2, §4).
const MAX_ITERATIONS: u16 = 50;

/// SHA-1 of a name, the only hash that there is (RFC 5155 §11).
type Hash = [u8; 20];

/// One record.
pub(super) struct Nsec3<'m> {
    owner: Hash,
    next: Hash,
    is_opt_out: bool,
    parameters: Parameters<'m>,
    types: Types<'m>,
}

/// How a zone hashes its names.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Parameters<'m> {
    iterations: u16,
    salt: &'m [u8],
}

impl<'m> Nsec3<'m> {
    /// `None` when it is to be ignored: an unknown hash or flag (RFC 5155 §8.1, §8.2), an owner that is no
    /// hash directly below the apex, data that is malformed.
    pub(super) fn read(record: &Record<'m>, apex: &Name) -> Option<Self> {
        let owner = record.owner;
        let is_below_apex = owner.label_count() == apex.label_count() + 1 && owner.ends_with(apex);
        let hash = base32hex(owner.first().as_slice()).filter(|_| is_below_apex)?;
        let (&[1, flags @ 0..=1, iterations0, iterations1, length], rest) =
            record.data.octets().split_first_chunk()?
        else {
            return None;
        };
        let (salt, rest) = rest.split_at_checked(length.into())?;
        let (next, types) = rest.strip_prefix(&[20])?.split_first_chunk()?;
        Some(Self {
            owner: hash,
            next: *next,
            is_opt_out: flags == 1,
            parameters: Parameters { iterations: u16::from_be_bytes([iterations0, iterations1]), salt },
            types: Types::read(types)?,
        })
    }

    /// Whether the hash lies between owner and next hash (RFC 5155 §3.1.7); the last leads back to the first.
    fn covers(&self, hash: &Hash) -> bool {
        let (is_after, is_before) = (*hash > self.owner, *hash < self.next);
        if self.owner < self.next {
            is_after && is_before
        } else {
            *hash != self.owner && (is_after || is_before)
        }
    }
}

impl Parameters<'_> {
    /// RFC 5155 §5.
    fn hash<C: Crypto>(self, name: &impl ToName, answer: &mut Validation<'_, C>) -> Result<Hash, Bogus> {
        let name: Name = name.try_to_canonical_name().map_err(|_| Bogus::Malformed)?;
        let mut hash = answer.sha1(&[name.as_slice(), self.salt])?;
        for _ in 0..self.iterations {
            hash = answer.sha1(&[&hash, self.salt])?;
        }
        Ok(hash)
    }
}

/// The records of one zone with the same parameters (RFC 5155 §8.2).
struct Chain<'r, 'm> {
    records: &'r [Nsec3<'m>],
    parameters: Parameters<'m>,
}

impl<'r, 'm> Chain<'r, 'm> {
    fn new(records: &'r [Nsec3<'m>]) -> Result<Self, Bogus> {
        let parameters = records.first().ok_or(Bogus::NoProof)?.parameters;
        if parameters.iterations > MAX_ITERATIONS {
            return Err(Bogus::Iterations);
        }
        Ok(Self { records, parameters })
    }

    fn records(&self) -> impl Iterator<Item = &'r Nsec3<'m>> {
        let parameters = self.parameters;
        self.records.iter().filter(move |record| record.parameters == parameters)
    }

    fn at(&self, hash: &Hash) -> Option<&'r Nsec3<'m>> {
        self.records().find(|record| record.owner == *hash)
    }

    fn over(&self, hash: &Hash) -> Option<&'r Nsec3<'m>> {
        self.records().find(|record| record.covers(hash))
    }
}

/// RFC 5155 §8.4 to §8.7: a record at the name; or the proof of its closest encloser, and one at, or over,
/// the wildcard that would stand for it.
pub(super) fn absence<'m, C: Crypto>(
    records: &[Nsec3<'m>],
    name: &Name,
    apex: &Name,
    answer: &mut Validation<'_, C>,
) -> Result<Absence<'m>, Bogus> {
    let chain = Chain::new(records)?;
    let mut next_closer = chain.parameters.hash(name, answer)?;
    if let Some(record) = chain.at(&next_closer) {
        return Ok(Absence::Exists(record.types));
    }
    // RFC 5155 §8.3: the first ancestor with a record of its own is the closest encloser.
    let mut labels = name.label_count();
    let encloser = loop {
        labels -= 1;
        if labels < apex.label_count() {
            return Err(Bogus::NoProof);
        }
        let encloser = ancestor(name, labels).ok_or(Bogus::NoProof)?;
        let hash = chain.parameters.hash(&encloser, answer)?;
        if let Some(record) = chain.at(&hash) {
            if record.types.is_end() {
                return Err(Bogus::NoProof);
            }
            break encloser;
        }
        next_closer = hash;
    };
    if chain.over(&next_closer).ok_or(Bogus::NoProof)?.is_opt_out {
        return Ok(Absence::OptOut);
    }
    let wildcard = wildcard(&encloser).ok_or(Bogus::NoProof)?;
    let wildcard = chain.parameters.hash(&wildcard, answer)?;
    if let Some(record) = chain.at(&wildcard) {
        return Ok(Absence::Wildcard(record.types));
    }
    chain.over(&wildcard).map(|_| Absence::NoName).ok_or(Bogus::NoProof)
}

/// RFC 5155 §8.8: the next closer name to the wildcard's parent does not exist.
pub(super) fn no_closer<C: Crypto>(
    records: &[Nsec3<'_>],
    name: &Name,
    labels: u8,
    answer: &mut Validation<'_, C>,
) -> Result<bool, Bogus> {
    let chain = Chain::new(records)?;
    let next_closer = ancestor(name, usize::from(labels) + 2).ok_or(Bogus::NoProof)?;
    let hash = chain.parameters.hash(&next_closer, answer)?;
    chain.over(&hash).map(|record| record.is_opt_out).ok_or(Bogus::NoProof)
}

/// 32 characters of the alphabet with extended hex, in either case (RFC 4648 §7).
fn base32hex(characters: &[u8]) -> Option<Hash> {
    let characters: &[u8; 32] = characters.try_into().ok()?;
    let mut hash = [0; 20];
    for (octets, group) in hash.chunks_exact_mut(5).zip(characters.chunks_exact(8)) {
        let bits = group.iter().try_fold(0_u64, |bits, character| {
            let digit = char::from(*character).to_digit(32)?;
            Some(bits << 5 | u64::from(digit))
        })?;
        octets.copy_from_slice(bits.to_be_bytes().get(3..)?);
    }
    Some(hash)
}
