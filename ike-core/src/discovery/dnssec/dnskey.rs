//! DNSKEY: the keys of a zone (RFC 4034 §2), as they are kept and as they verify.

use domain::dep::octseq::Parser;
use domain::rdata::Dnskey;

use super::{Algorithm, Digest, Ds};
use crate::crypto::{BadSignature, Crypto, PublicKey, RsaNumbers, Sha2, SignatureAlgorithm};

/// DNSKEY records of one zone; one with more is not looked at.
pub(super) const MAX_KEYS: usize = 12;

/// Keys with one tag and algorithm that a signature is tried with. Tags collide by chance once in 65,536
/// pairs, and otherwise by intent (CVE-2023-50387).
const MAX_CANDIDATES: usize = 2;

/// Octets of all keys of one zone: five of RSA with 2,048 bits. What does not fit is not kept, and verifies
/// nothing.
const MAX_OCTETS: usize = 1_536;

/// Keys of one zone.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Keys {
    /// Behind one another.
    octets: heapless::Vec<u8, MAX_OCTETS>,
    known: heapless::Vec<Known, MAX_KEYS>,
}

#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct Known {
    key_tag: u16,
    algorithm: Algorithm,
    start: u16,
    length: u16,
}

impl Keys {
    /// Keeps one, if there is room.
    pub(super) fn push(&mut self, key: &ZoneKey<'_>) {
        let start = self.octets.len();
        let (Ok(place), Ok(length)) = (u16::try_from(start), u16::try_from(key.key.len())) else { return };
        let known = Known { key_tag: key.key_tag, algorithm: key.algorithm, start: place, length };
        if !self.known.is_full() && self.octets.extend_from_slice(key.key).is_ok() {
            let _ = self.known.push(known);
        }
    }

    /// Ready to verify.
    pub(super) fn all(&self) -> heapless::Vec<ZoneKey<'_>, MAX_KEYS> {
        let keys = self.known.iter().filter_map(|known| {
            let start = usize::from(known.start);
            let key = self.octets.get(start..start + usize::from(known.length))?;
            Some(ZoneKey { key_tag: known.key_tag, algorithm: known.algorithm, key })
        });
        keys.collect()
    }
}

/// Those of a zone's keys that may have made a signature.
pub(super) fn candidates<'a, 'k>(
    keys: &'a [ZoneKey<'k>],
    key_tag: u16,
    algorithm: Algorithm,
) -> impl Iterator<Item = &'a ZoneKey<'k>> {
    keys.iter().filter(move |key| key.key_tag == key_tag && key.algorithm == algorithm).take(MAX_CANDIDATES)
}

/// One key that may sign data of its zone: its Zone Key flag is set, it is not revoked (RFC 5011 §2.1), and
/// its algorithm is supported. Its SEP flag is no concern of ours (RFC 4034 §2.1.1).
#[derive(Copy, Clone)]
pub(super) struct ZoneKey<'k> {
    key_tag: u16,
    algorithm: Algorithm,
    key: &'k [u8],
}

impl<'k> ZoneKey<'k> {
    /// From a record's data.
    pub(super) fn read(data: &'k [u8]) -> Option<Self> {
        let record = Dnskey::parse(&mut Parser::from_ref(data)).ok()?;
        if record.is_revoked() { None } else { Self::read_even_revoked(data) }
    }

    /// The same of a key that may be revoked: it still shows by its signature that its owner did that.
    pub(super) fn read_even_revoked(data: &'k [u8]) -> Option<Self> {
        let record = Dnskey::parse(&mut Parser::from_ref(data)).ok()?;
        let is_usable = record.is_zone_key() && record.protocol() == 3;
        let algorithm = Algorithm::from_number(record.algorithm().to_int()).filter(|_| is_usable)?;
        Some(Self { key_tag: record.key_tag(), algorithm, key: record.into_public_key() })
    }

    /// Whether a DS record names this key, whose record has this `data`, in the zone `apex` (in canonical
    /// form; RFC 4034 §5.1.4).
    pub(super) fn is_named<C: Crypto>(&self, ds: &Ds, apex: &[u8], data: &[u8], crypto: &C) -> bool {
        let digested = [apex, data];
        ds.key_tag == self.key_tag
            && ds.algorithm == self.algorithm
            && match ds.digest {
                Digest::Sha256(digest) => digest == crypto.sha256(&digested),
                Digest::Sha384(digest) => digest == crypto.sha384(&digested),
            }
    }

    /// Verifies a signature. A key that is none of its algorithm verifies nothing.
    pub(super) fn verify<C: Crypto>(
        &self,
        crypto: &C,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let (key, algorithm) = match self.algorithm {
            Algorithm::RsaSha256 => return self.verify_rsa(crypto, Sha2::Sha256, message, signature),
            Algorithm::RsaSha512 => return self.verify_rsa(crypto, Sha2::Sha512, message, signature),
            Algorithm::EcdsaP256Sha256 => {
                (self.key.try_into().map(PublicKey::EcdsaP256), SignatureAlgorithm::Ecdsa(Sha2::Sha256))
            }
            Algorithm::EcdsaP384Sha384 => {
                (self.key.try_into().map(PublicKey::EcdsaP384), SignatureAlgorithm::Ecdsa(Sha2::Sha384))
            }
            Algorithm::Ed25519 => (self.key.try_into().map(PublicKey::Ed25519), SignatureAlgorithm::Ed25519),
        };
        crypto.verify(&key.map_err(|_| BadSignature)?, algorithm, message, signature)
    }

    fn verify_rsa<C: Crypto>(
        &self,
        crypto: &C,
        hash: Sha2,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let key = rsa_numbers(self.key).ok_or(BadSignature)?;
        crypto.verify_rsa(key, hash, message, signature)
    }
}

/// RFC 3110 §2: the exponent's length in one octet, or zero and two, exponent, modulus.
fn rsa_numbers(key: &[u8]) -> Option<RsaNumbers<'_>> {
    let (length, rest) = match key {
        [0, high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        [length, rest @ ..] => (u16::from(*length), rest),
        [] => return None,
    };
    let (exponent, modulus) = rest.split_at_checked(length.into())?;
    RsaNumbers::new(modulus, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3110 §2: both forms of the length; what is cut short is no key.
    #[test]
    fn an_rsa_key_is_exponent_and_modulus() {
        let mut modulus = [0xa5; 128];
        let long = [&[0, 0, 3, 1, 0, 1][..], &modulus].concat_into::<256>();
        let short = [&[3, 1, 0, 1][..], &modulus].concat_into::<256>();
        for key in [&long, &short] {
            let numbers = rsa_numbers(key).unwrap();
            assert_eq!((numbers.modulus(), numbers.exponent()), (&modulus[..], 65_537));
        }
        modulus[127] = 0;
        for bad in [&[][..], &[0], &[0, 1], &[0, 0, 0], &[3, 1, 0], &[0, 255, 255, 1], &modulus] {
            assert!(rsa_numbers(bad).is_none(), "{bad:?}");
        }
    }

    trait ConcatInto {
        fn concat_into<const N: usize>(&self) -> heapless::Vec<u8, N>;
    }

    impl ConcatInto for [&[u8]; 2] {
        fn concat_into<const N: usize>(&self) -> heapless::Vec<u8, N> {
            self.iter().flat_map(|piece| piece.iter().copied()).collect()
        }
    }

    fn key(flags: u16, protocol: u8, algorithm: u8, key: &[u8]) -> heapless::Vec<u8, 100> {
        flags.to_be_bytes().into_iter().chain([protocol, algorithm]).chain(key.iter().copied()).collect()
    }

    /// RFC 4034 §2.1.1, §2.1.2, RFC 5011 §2.1: the Zone Key flag is needed, the SEP flag is not; Revoke ends
    /// a key's use.
    #[test]
    fn only_zone_keys_that_are_not_revoked_sign() {
        assert!(ZoneKey::read(&key(0x0100, 3, 15, &[7; 32])).is_some());
        assert!(ZoneKey::read(&key(0x0101, 3, 15, &[7; 32])).is_some());
        for (flags, protocol, algorithm) in
            [(0x0001, 3, 15), (0x0181, 3, 15), (0x0100, 2, 15), (0x0100, 3, 5), (0x0100, 3, 16)]
        {
            assert!(ZoneKey::read(&key(flags, protocol, algorithm, &[7; 32])).is_none());
        }
        assert!(ZoneKey::read(&[1, 0, 3]).is_none());
    }

    /// CVE-2023-50387: of many keys with one tag, two are tried; of many keys, those that there is room for.
    #[test]
    fn keys_with_one_tag_are_bounded() {
        let record = key(0x0100, 3, 15, &[7; 32]);
        let zone_key = ZoneKey::read(&record).unwrap();
        let mut keys = Keys::default();
        for _ in 0..100 {
            keys.push(&zone_key);
        }
        let keys = keys.all();
        assert_eq!(keys.len(), MAX_KEYS);
        assert_eq!(candidates(&keys, zone_key.key_tag, Algorithm::Ed25519).count(), MAX_CANDIDATES);
        assert_eq!(candidates(&keys, zone_key.key_tag ^ 1, Algorithm::Ed25519).count(), 0);
        assert_eq!(candidates(&keys, zone_key.key_tag, Algorithm::RsaSha256).count(), 0);
    }
}
