//! Signatures in the AUTH payload: which scheme is used, and how it looks (RFC 7427, RFC 8420,
//! RFC 4754). An AlgorithmIdentifier is never parsed: it is one of those known here, octet by octet, or
//! it is refused, so parameters, other curves and other encodings have no way in.

use crate::crypto::{KeyKind, SIGNATURE};
use crate::wire::auth::AuthView;

use super::ecdsa_sig_value;
use super::{AuthData, AuthError, AuthMethod};

/// AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 7427 Appendix A.3.2).
const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// AlgorithmIdentifier of Ed25519 (RFC 8420 Appendix A.1).
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// Hash algorithms of SIGNATURE_HASH_ALGORITHMS that are known here (RFC 7427 §4).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct HashAlgorithms {
    /// SHA2-256 (2), for ECDSA.
    pub sha2_256: bool,
    /// Identity (5), for Ed25519 (RFC 8420 §2).
    pub identity: bool,
}

impl HashAlgorithms {
    const SHA2_256: [u8; 2] = [0, 2];
    const IDENTITY: [u8; 2] = [0, 5];

    /// All that can be verified here: what we send.
    pub const ALL: Self = Self { sha2_256: true, identity: true };

    /// From the notification's data; unknown algorithms are ignored. `None` when half a number is left over.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (numbers, []) = data.as_chunks::<2>() else { return None };
        Some(Self {
            sha2_256: numbers.contains(&Self::SHA2_256),
            identity: numbers.contains(&Self::IDENTITY),
        })
    }

    /// The notification's data.
    pub fn octets(self) -> heapless::Vec<u8, 4> {
        let sha2_256 = self.sha2_256.then_some(Self::SHA2_256);
        let identity = self.identity.then_some(Self::IDENTITY);
        sha2_256.into_iter().chain(identity).flatten().collect()
    }

    const fn allow(self, kind: KeyKind) -> bool {
        match kind {
            KeyKind::Ed25519 => self.identity,
            KeyKind::EcdsaP256 => self.sha2_256,
        }
    }
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

impl SignatureHashes {
    /// How to sign with a key of this kind.
    pub(super) fn scheme_for(self, kind: KeyKind) -> Result<Scheme, NoCommonAlgorithm> {
        match (self.peer, kind) {
            (Some(peer), _) if peer.allow(kind) => Ok(Scheme::Digital(kind)),
            (None, KeyKind::EcdsaP256) => Ok(Scheme::EcdsaP256),
            _ => Err(NoCommonAlgorithm),
        }
    }

    /// The signature in authentication data that must come from a key of this kind.
    pub(super) fn decode(self, kind: KeyKind, auth: AuthView<'_>) -> Result<[u8; SIGNATURE], AuthError> {
        let AuthView { method, data } = auth;
        match (method, self.peer) {
            (AuthMethod::DIGITAL_SIGNATURE, Some(_)) => self.decode_digital(kind, data),
            (AuthMethod::ECDSA_P256, None) if kind == KeyKind::EcdsaP256 => {
                data.try_into().map_err(|_| AuthError::Malformed)
            }
            _ => Err(AuthError::MethodNotAllowed),
        }
    }

    fn decode_digital(self, kind: KeyKind, data: &[u8]) -> Result<[u8; SIGNATURE], AuthError> {
        let (length, rest) = data.split_first().ok_or(AuthError::Malformed)?;
        let (identifier, value) = rest.split_at_checked(usize::from(*length)).ok_or(AuthError::Malformed)?;
        let claimed = match identifier {
            ECDSA_SHA256 => KeyKind::EcdsaP256,
            ED25519 => KeyKind::Ed25519,
            _ => return Err(AuthError::UnknownAlgorithm),
        };
        if claimed != kind {
            return Err(AuthError::WrongKind);
        }
        if !self.ours.allow(kind) {
            return Err(AuthError::HashNotListed);
        }
        match kind {
            KeyKind::Ed25519 => value.try_into().ok(),
            KeyKind::EcdsaP256 => ecdsa_sig_value::decode(value),
        }
        .ok_or(AuthError::Malformed)
    }
}

/// How a signature is written down.
pub(super) enum Scheme {
    /// Method 9: r and s side by side (RFC 4754 §7).
    EcdsaP256,
    /// Method 14: AlgorithmIdentifier and signature (RFC 7427 §3).
    Digital(KeyKind),
}

impl Scheme {
    pub(super) fn encode(&self, signature: &[u8; SIGNATURE]) -> AuthData {
        match self {
            Self::EcdsaP256 => {
                AuthData { method: AuthMethod::ECDSA_P256, data: signature.iter().copied().collect() }
            }
            Self::Digital(KeyKind::EcdsaP256) => digital(ECDSA_SHA256, &ecdsa_sig_value::encode(signature)),
            Self::Digital(KeyKind::Ed25519) => digital(ED25519, signature),
        }
    }
}

fn digital(identifier: &[u8], value: &[u8]) -> AuthData {
    let length = [identifier.len() as u8];
    let data = length.iter().chain(identifier).chain(value).copied().collect();
    AuthData { method: AuthMethod::DIGITAL_SIGNATURE, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7427 §4: a list of 16-bit numbers; what one does not know is no reason to refuse it.
    #[test]
    fn hash_algorithms_are_a_list_of_16_bit_numbers() {
        let (sha2_256, identity) = (true, true);
        assert_eq!(HashAlgorithms::parse(&[0, 1, 0, 2, 0, 5]), Some(HashAlgorithms { sha2_256, identity }));
        assert_eq!(
            HashAlgorithms::parse(&[0, 3, 5, 0, 2, 2]),
            Some(HashAlgorithms { sha2_256: false, identity: false })
        );
        assert_eq!(HashAlgorithms::parse(&[0, 2, 0]), None);
        assert_eq!(HashAlgorithms::ALL.octets(), [0, 2, 0, 5]);
        assert_eq!(HashAlgorithms { sha2_256: false, identity }.octets(), [0, 5]);
    }

    /// RFC 7427 §3: method 14 if both sent the notification; RFC 8420 §2: EdDSA only to who listed Identity.
    #[test]
    fn the_peers_list_decides_the_scheme() {
        let with = |peer| SignatureHashes { ours: HashAlgorithms::ALL, peer };
        let only_sha = Some(HashAlgorithms { sha2_256: true, identity: false });
        let only_identity = Some(HashAlgorithms { sha2_256: false, identity: true });
        let method = |hashes: SignatureHashes, kind| {
            hashes.scheme_for(kind).map(|scheme| scheme.encode(&[1; SIGNATURE]).method)
        };
        assert_eq!(method(with(None), KeyKind::EcdsaP256), Ok(AuthMethod::ECDSA_P256));
        assert_eq!(method(with(None), KeyKind::Ed25519), Err(NoCommonAlgorithm));
        assert_eq!(method(with(only_sha), KeyKind::EcdsaP256), Ok(AuthMethod::DIGITAL_SIGNATURE));
        assert_eq!(method(with(only_sha), KeyKind::Ed25519), Err(NoCommonAlgorithm));
        assert_eq!(method(with(only_identity), KeyKind::EcdsaP256), Err(NoCommonAlgorithm));
        assert_eq!(method(with(only_identity), KeyKind::Ed25519), Ok(AuthMethod::DIGITAL_SIGNATURE));
    }
}
