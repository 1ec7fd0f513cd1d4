//! Signatures in the AUTH payload: by which algorithm, and how it looks (RFC 7427, RFC 8420, RFC 4754,
//! RFC 7296 §3.8). An AlgorithmIdentifier is never parsed: it is one of those known here, octet by octet,
//! or it is refused, so parameters, other curves and other encodings have no way in.

use crate::crypto::{KeyKind, Sha2, Signature, SignatureAlgorithm};
use crate::wire::auth::AuthView;

use super::hash_algorithms::HashAlgorithms;
use super::{AuthData, AuthError, AuthMethod, ecdsa_sig_value};

/// AlgorithmIdentifiers with what they stand for (RFC 7427 Appendix A, RFC 8420 Appendix A). Of two for one
/// algorithm we write the first.
const IDENTIFIERS: [(&[u8], SignatureAlgorithm); 13] = [
    (&[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70], SignatureAlgorithm::Ed25519),
    (&ecdsa(2), SignatureAlgorithm::Ecdsa(Sha2::Sha256)),
    (&ecdsa(3), SignatureAlgorithm::Ecdsa(Sha2::Sha384)),
    (&ecdsa(4), SignatureAlgorithm::Ecdsa(Sha2::Sha512)),
    (&rsa_pss(1, 32), SignatureAlgorithm::RsaPss(Sha2::Sha256)),
    (&rsa_pss(2, 48), SignatureAlgorithm::RsaPss(Sha2::Sha384)),
    (&rsa_pss(3, 64), SignatureAlgorithm::RsaPss(Sha2::Sha512)),
    (&rsa_pss_with_trailer(1, 32), SignatureAlgorithm::RsaPss(Sha2::Sha256)),
    (&rsa_pss_with_trailer(2, 48), SignatureAlgorithm::RsaPss(Sha2::Sha384)),
    (&rsa_pss_with_trailer(3, 64), SignatureAlgorithm::RsaPss(Sha2::Sha512)),
    (&rsa_pkcs1(11), SignatureAlgorithm::RsaPkcs1(Sha2::Sha256)),
    (&rsa_pkcs1(12), SignatureAlgorithm::RsaPkcs1(Sha2::Sha384)),
    (&rsa_pkcs1(13), SignatureAlgorithm::RsaPkcs1(Sha2::Sha512)),
];

/// Octets of the longest identifier, that of RSASSA-PSS.
pub(super) const MAX_IDENTIFIER: usize = 72;

/// ecdsa-with-SHA2 (RFC 5758 §3.2).
const fn ecdsa(hash: u8) -> [u8; 12] {
    [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, hash]
}

/// shaNWithRSAEncryption (RFC 8017 Appendix A.2.4).
const fn rsa_pkcs1(hash: u8) -> [u8; 15] {
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, hash, 0x05, 0x00]
}

/// id-RSASSA-PSS with a hash function, MGF1 over the same, and the length of the salt (RFC 8017 Appendix
/// A.2.3). Without parameters it would mean SHA-1 (RFC 8247 §3.2). The trailer is the usual one, which DER
/// leaves out (X.690 §11.5); libreswan knows no other form.
#[rustfmt::skip]
const fn rsa_pss(hash: u8, salt: u8) -> [u8; 67] {
    [
        0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34,
        0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00,
        0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08,
        0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00,
        0xa2, 0x03, 0x02, 0x01, salt,
    ]
}

/// The same with the trailer spelt out, as the example of RFC 7427 Appendix A.4.3 has it.
const fn rsa_pss_with_trailer(hash: u8, salt: u8) -> [u8; MAX_IDENTIFIER] {
    const TRAILER: [u8; 5] = [0xa3, 0x03, 0x02, 0x01, 0x01];
    let mut identifier = [0; MAX_IDENTIFIER];
    let (front, back) = identifier.split_at_mut(MAX_IDENTIFIER - TRAILER.len());
    front.copy_from_slice(&rsa_pss(hash, salt));
    back.copy_from_slice(&TRAILER);
    // Both sequences are longer by the trailer.
    identifier[1] += TRAILER.len() as u8;
    identifier[14] += TRAILER.len() as u8;
    identifier
}

/// What both ends said in SIGNATURE_HASH_ALGORITHMS.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct SignatureHashes {
    /// What we sent; we always send it.
    pub ours: HashAlgorithms,
    /// What the peer sent, if it did: method 14 is then a MUST (RFC 7427 §3), otherwise out of the question.
    pub peer: Option<HashAlgorithms>,
}

/// The peer cannot verify signatures of our key.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NoCommonAlgorithm;

/// A peer's signature, and the algorithms that may have made it.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Claimed {
    pub(super) algorithms: &'static [SignatureAlgorithm],
    pub(super) signature: Signature,
}

impl SignatureHashes {
    /// How to sign with a key of this kind.
    pub(super) fn scheme_for(self, kind: KeyKind) -> Result<Scheme, NoCommonAlgorithm> {
        let scheme = match self.peer {
            Some(peer) => peer.best_for(kind).and_then(Scheme::digital),
            None => Scheme::of_method(kind),
        };
        scheme.ok_or(NoCommonAlgorithm)
    }

    /// The signature in authentication data that must come from a key of this kind.
    pub(super) fn decode(self, kind: KeyKind, auth: AuthView<'_>) -> Result<Claimed, AuthError> {
        if self.peer.is_some() {
            return match auth.method {
                AuthMethod::DIGITAL_SIGNATURE => self.decode_digital(kind, auth.data),
                _ => Err(AuthError::MethodNotAllowed),
            };
        }
        let scheme = Scheme::of_method(kind).filter(|scheme| scheme.method == auth.method);
        let scheme = scheme.ok_or(AuthError::MethodNotAllowed)?;
        if ecdsa_number(kind).is_some_and(|number| auth.data.len() != 2 * number) {
            return Err(AuthError::Malformed);
        }
        let signature = Signature::from_slice(auth.data).map_err(|_| AuthError::Malformed)?;
        Ok(Claimed { algorithms: scheme.accepted, signature })
    }

    fn decode_digital(self, kind: KeyKind, data: &[u8]) -> Result<Claimed, AuthError> {
        let (length, rest) = data.split_first().ok_or(AuthError::Malformed)?;
        let (identifier, value) = rest.split_at_checked(usize::from(*length)).ok_or(AuthError::Malformed)?;
        let known = IDENTIFIERS.iter().find(|(known, _)| *known == identifier);
        let (_, algorithm) = known.ok_or(AuthError::UnknownAlgorithm)?;
        if !algorithm.is_for(kind) {
            return Err(AuthError::WrongKind);
        }
        if !self.ours.allow(*algorithm) {
            return Err(AuthError::HashNotListed);
        }
        let signature = match ecdsa_number(kind) {
            Some(number) => ecdsa_sig_value::decode(value, number),
            None if kind == KeyKind::Ed25519 && value.len() != ED25519 => None,
            None => Signature::from_slice(value).ok(),
        };
        let signature = signature.ok_or(AuthError::Malformed)?;
        Ok(Claimed { algorithms: core::slice::from_ref(algorithm), signature })
    }
}

/// Octets of an Ed25519 signature.
const ED25519: usize = 64;

/// Octets of r and of s for keys that sign by ECDSA.
const fn ecdsa_number(kind: KeyKind) -> Option<usize> {
    match kind {
        KeyKind::EcdsaP256 => Some(32),
        KeyKind::EcdsaP384 => Some(48),
        KeyKind::Ed25519 | KeyKind::Rsa => None,
    }
}

/// How a signature is made and written down.
pub(super) struct Scheme {
    method: AuthMethod,
    /// What precedes the signature in method 14.
    identifier: &'static [u8],
    /// What we sign by.
    pub(super) algorithm: SignatureAlgorithm,
    /// What the method lets the peer have signed by.
    accepted: &'static [SignatureAlgorithm],
}

impl Scheme {
    /// Method 14 (RFC 7427 §3).
    fn digital(algorithm: SignatureAlgorithm) -> Option<Self> {
        let (identifier, known) = IDENTIFIERS.iter().find(|(_, known)| *known == algorithm)?;
        let accepted = core::slice::from_ref(known);
        Some(Self { method: AuthMethod::DIGITAL_SIGNATURE, identifier, algorithm, accepted })
    }

    /// The method that is for this kind of key only. In method 1 the signature itself tells its hash
    /// function, which must not be SHA-1 (RFC 8247 §3.1).
    fn of_method(kind: KeyKind) -> Option<Self> {
        use SignatureAlgorithm::{Ecdsa, RsaPkcs1};
        let (method, accepted): (_, &'static [_]) = match kind {
            KeyKind::EcdsaP256 => (AuthMethod::ECDSA_P256, &[Ecdsa(Sha2::Sha256)]),
            KeyKind::EcdsaP384 => (AuthMethod::ECDSA_P384, &[Ecdsa(Sha2::Sha384)]),
            KeyKind::Rsa => (
                AuthMethod::RSA_DIGITAL_SIGNATURE,
                &[RsaPkcs1(Sha2::Sha256), RsaPkcs1(Sha2::Sha384), RsaPkcs1(Sha2::Sha512)],
            ),
            KeyKind::Ed25519 => return None,
        };
        Some(Self { method, identifier: &[], algorithm: *accepted.first()?, accepted })
    }

    pub(super) fn encode(&self, signature: &Signature) -> AuthData {
        let is_digital = self.method == AuthMethod::DIGITAL_SIGNATURE;
        let length = is_digital.then_some(self.identifier.len() as u8);
        let front = length.into_iter().chain(self.identifier.iter().copied());
        let data = match self.algorithm {
            SignatureAlgorithm::Ecdsa(_) if is_digital => {
                front.chain(ecdsa_sig_value::encode(signature)).collect()
            }
            _ => front.chain(signature.iter().copied()).collect(),
        };
        AuthData { method: self.method, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7427 §3: method 14 if both sent the notification; RFC 8420 §2: EdDSA only to who listed Identity.
    #[test]
    fn the_peers_list_decides_the_scheme() {
        let with = |peer| SignatureHashes { ours: HashAlgorithms::ALL, peer };
        let only_sha = Some(HashAlgorithms { sha2_256: true, ..HashAlgorithms::NONE });
        let only_longer = Some(HashAlgorithms { sha2_384: true, sha2_512: true, ..HashAlgorithms::NONE });
        let only_identity = Some(HashAlgorithms { identity: true, ..HashAlgorithms::NONE });
        let scheme =
            |peer, kind| with(peer).scheme_for(kind).map(|scheme| (scheme.method.0, scheme.algorithm));
        use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
        for (peer, kind, expected) in [
            (None, KeyKind::EcdsaP256, Ok((9, Ecdsa(Sha2::Sha256)))),
            (None, KeyKind::EcdsaP384, Ok((10, Ecdsa(Sha2::Sha384)))),
            (None, KeyKind::Rsa, Ok((1, RsaPkcs1(Sha2::Sha256)))),
            (None, KeyKind::Ed25519, Err(NoCommonAlgorithm)),
            (only_sha, KeyKind::EcdsaP256, Ok((14, Ecdsa(Sha2::Sha256)))),
            (only_sha, KeyKind::EcdsaP384, Err(NoCommonAlgorithm)),
            (only_sha, KeyKind::Rsa, Ok((14, RsaPss(Sha2::Sha256)))),
            (only_sha, KeyKind::Ed25519, Err(NoCommonAlgorithm)),
            (only_longer, KeyKind::EcdsaP256, Ok((14, Ecdsa(Sha2::Sha384)))),
            (only_longer, KeyKind::EcdsaP384, Ok((14, Ecdsa(Sha2::Sha384)))),
            (only_longer, KeyKind::Rsa, Ok((14, RsaPss(Sha2::Sha384)))),
            (only_identity, KeyKind::EcdsaP256, Err(NoCommonAlgorithm)),
            (only_identity, KeyKind::Rsa, Err(NoCommonAlgorithm)),
            (only_identity, KeyKind::Ed25519, Ok((14, Ed25519))),
        ] {
            assert_eq!(scheme(peer, kind), expected, "{peer:?} {kind:?}");
        }
    }

    /// RFC 7427 §3: the identifier's length fits its octet, and each stands for one algorithm.
    #[test]
    fn identifiers_and_algorithms_belong_together() {
        for (identifier, algorithm) in IDENTIFIERS {
            assert_eq!(usize::from(identifier[1]) + 2, identifier.len());
            assert!(identifier.len() <= MAX_IDENTIFIER);
            let written = Scheme::digital(algorithm).unwrap().identifier;
            assert!(written == identifier || identifier.starts_with(&[0x30, 0x46]), "{identifier:?}");
        }
    }
}
