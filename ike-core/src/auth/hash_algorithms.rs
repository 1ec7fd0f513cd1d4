//! SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4, RFC 8420 §2): which hash functions a peer verifies signatures
//! with, and what follows from it for ours.

use crate::crypto::{KeyKind, Sha2, SignatureAlgorithm};

/// Those of the list that are known here.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct HashAlgorithms {
    /// SHA2-256 (2).
    pub sha2_256: bool,
    /// SHA2-384 (3).
    pub sha2_384: bool,
    /// SHA2-512 (4).
    pub sha2_512: bool,
    /// Identity (5), for Ed25519 (RFC 8420 §2).
    pub identity: bool,
}

impl HashAlgorithms {
    /// All that can be verified here: what we send.
    pub const ALL: Self = Self { sha2_256: true, sha2_384: true, sha2_512: true, identity: true };

    /// Nothing that is known here.
    pub const NONE: Self = Self { sha2_256: false, sha2_384: false, sha2_512: false, identity: false };

    /// From the notification's data; unknown algorithms are ignored. `None` when half a number is left over.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (numbers, []) = data.as_chunks::<2>() else { return None };
        let [sha2_256, sha2_384, sha2_512, identity] =
            [2, 3, 4, 5].map(|number: u16| numbers.contains(&number.to_be_bytes()));
        Some(Self { sha2_256, sha2_384, sha2_512, identity })
    }

    /// The notification's data.
    pub fn octets(self) -> heapless::Vec<u8, 8> {
        let listed = [(2, self.sha2_256), (3, self.sha2_384), (4, self.sha2_512), (5, self.identity)];
        listed
            .into_iter()
            .filter(|(_, is_listed)| *is_listed)
            .flat_map(|(n, _): (u16, _)| n.to_be_bytes())
            .collect()
    }

    /// Whether signatures by this algorithm can be verified.
    pub(super) const fn allow(self, algorithm: SignatureAlgorithm) -> bool {
        match algorithm {
            SignatureAlgorithm::Ed25519 => self.identity,
            SignatureAlgorithm::Ecdsa(hash)
            | SignatureAlgorithm::RsaPss(hash)
            | SignatureAlgorithm::RsaPkcs1(hash) => match hash {
                Sha2::Sha256 => self.sha2_256,
                Sha2::Sha384 => self.sha2_384,
                Sha2::Sha512 => self.sha2_512,
            },
        }
    }

    /// What a key of this kind signs by for whoever sent this list. RSA signs by PSS (RFC 8247 §3.2); the
    /// hash function is no longer than it has to be.
    pub(super) fn best_for(self, kind: KeyKind) -> Option<SignatureAlgorithm> {
        let by = |algorithm: fn(Sha2) -> SignatureAlgorithm, hashes: &[Sha2]| {
            hashes.iter().map(|hash| algorithm(*hash)).find(|algorithm| self.allow(*algorithm))
        };
        let all = [Sha2::Sha256, Sha2::Sha384, Sha2::Sha512];
        match kind {
            KeyKind::Ed25519 => Some(SignatureAlgorithm::Ed25519).filter(|algorithm| self.allow(*algorithm)),
            KeyKind::EcdsaP256 => by(SignatureAlgorithm::Ecdsa, &all),
            KeyKind::EcdsaP384 => by(SignatureAlgorithm::Ecdsa, &[Sha2::Sha384, Sha2::Sha512]),
            KeyKind::Rsa => by(SignatureAlgorithm::RsaPss, &all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7427 §4: a list of 16-bit numbers; what one does not know is no reason to refuse it.
    #[test]
    fn hash_algorithms_are_a_list_of_16_bit_numbers() {
        let parse = HashAlgorithms::parse;
        let none = HashAlgorithms::NONE;
        assert_eq!(
            parse(&[0, 1, 0, 2, 0, 5]),
            Some(HashAlgorithms { sha2_256: true, identity: true, ..none })
        );
        assert_eq!(parse(&[0, 3, 5, 0, 2, 2]), Some(HashAlgorithms { sha2_384: true, ..none }));
        assert_eq!(parse(&[0, 4, 0, 1]), Some(HashAlgorithms { sha2_512: true, ..none }));
        assert_eq!(parse(&[]), Some(none));
        assert_eq!(parse(&[0, 2, 0]), None);
        assert_eq!(HashAlgorithms::ALL.octets(), [0, 2, 0, 3, 0, 4, 0, 5]);
        assert_eq!(HashAlgorithms { identity: true, ..none }.octets(), [0, 5]);
        for list in [HashAlgorithms::ALL, none, HashAlgorithms { sha2_384: true, ..none }] {
            assert_eq!(parse(&list.octets()), Some(list));
        }
    }
}
