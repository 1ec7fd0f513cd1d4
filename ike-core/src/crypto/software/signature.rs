//! Signatures (RFC 8032, FIPS 186-5).

use ed25519_dalek::VerifyingKey as EdwardsKey;
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::signature::{MultipartSigner, MultipartVerifier};
use zeroize::ZeroizeOnDrop;

use super::curve::{p256_octets, p256_point, p384_octets, p384_point};
use super::{rsa, sha2};
use crate::crypto::{
    BadPrivateKey, BadSignature, PrivateKey, PublicKey, RsaPrivateKey, Sha2, Signature, SignatureAlgorithm,
    Signer, SigningFailed,
};

/// A private key with its public key computed.
#[cfg_attr(
    feature = "rsa",
    expect(clippy::large_enum_variant, reason = "there is no heap to put the larger ones on")
)]
pub enum SoftwareSigner {
    /// Ed25519.
    Ed25519(ed25519_dalek::SigningKey),
    /// ECDSA on P-256.
    EcdsaP256(p256::ecdsa::SigningKey),
    /// ECDSA on P-384.
    EcdsaP384(p384::ecdsa::SigningKey),
    /// RSA.
    Rsa(RsaPrivateKey),
}

impl SoftwareSigner {
    pub(super) fn new(key: &PrivateKey) -> Result<Self, BadPrivateKey> {
        match key {
            PrivateKey::Ed25519(octets) => Some(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(octets))),
            PrivateKey::EcdsaP256(octets) => {
                p256::ecdsa::SigningKey::from_slice(octets).map(Self::EcdsaP256).ok()
            }
            PrivateKey::EcdsaP384(octets) => {
                p384::ecdsa::SigningKey::from_slice(octets).map(Self::EcdsaP384).ok()
            }
            PrivateKey::Rsa(key) => rsa::is_whole(key).then(|| Self::Rsa(key.clone())),
        }
        .ok_or(BadPrivateKey)
    }
}

impl Signer for SoftwareSigner {
    fn public_key(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key().to_bytes()),
            Self::EcdsaP256(key) => PublicKey::EcdsaP256(p256_octets(&key.verifying_key().into())),
            Self::EcdsaP384(key) => PublicKey::EcdsaP384(p384_octets(&key.verifying_key().into())),
            Self::Rsa(key) => PublicKey::Rsa(*key.public_key()),
        }
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: &[&[u8]]) -> Result<Signature, SigningFailed> {
        match (self, algorithm) {
            (Self::Ed25519(key), SignatureAlgorithm::Ed25519) => {
                Some(key.multipart_sign(message).to_bytes().into_iter().collect())
            }
            (Self::EcdsaP256(key), SignatureAlgorithm::Ecdsa(hash)) => {
                let signature: Option<p256::ecdsa::Signature> = key.sign_prehash(&sha2(hash, message)).ok();
                signature.map(|signature| signature.to_bytes().into_iter().collect())
            }
            (Self::EcdsaP384(key), SignatureAlgorithm::Ecdsa(hash)) => {
                let signature: Option<p384::ecdsa::Signature> = key.sign_prehash(&sha2(hash, message)).ok();
                signature.map(|signature| signature.to_bytes().into_iter().collect())
            }
            (Self::Rsa(key), algorithm) => rsa::sign(key, algorithm, message),
            _ => None,
        }
        .ok_or(SigningFailed)
    }
}

impl ZeroizeOnDrop for SoftwareSigner {}

/// That what is inside wipes itself, as it promises: it depends on features of the crates.
const fn wipes_itself<T: ZeroizeOnDrop>() {}
const _: () = {
    wipes_itself::<ed25519_dalek::SigningKey>();
    wipes_itself::<p256::ecdsa::SigningKey>();
    wipes_itself::<p384::ecdsa::SigningKey>();
    wipes_itself::<RsaPrivateKey>();
};

/// As [`crate::crypto::Crypto::verify`].
pub(super) fn verify(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[&[u8]],
    signature: &[u8],
) -> Result<(), BadSignature> {
    match (key, algorithm) {
        (PublicKey::Ed25519(octets), SignatureAlgorithm::Ed25519) => {
            verify_ed25519(octets, message, signature)
        }
        (PublicKey::EcdsaP256(octets), SignatureAlgorithm::Ecdsa(hash)) => {
            verify_p256(octets, hash, message, signature)
        }
        (PublicKey::EcdsaP384(octets), SignatureAlgorithm::Ecdsa(hash)) => {
            verify_p384(octets, hash, message, signature)
        }
        (PublicKey::Rsa(key), algorithm) => rsa::verify(key.numbers(), algorithm, message, signature),
        _ => Err(BadSignature),
    }
}

/// Not inlined, so that the stack never holds the tables of two algorithms.
#[inline(never)]
fn verify_ed25519(octets: &[u8; 32], message: &[&[u8]], signature: &[u8]) -> Result<(), BadSignature> {
    let key = EdwardsKey::from_bytes(octets).map_err(|_| BadSignature)?;
    if !is_canonical(octets) || key.is_weak() {
        return Err(BadSignature);
    }
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
    key.multipart_verify(message, &signature).map_err(|_| BadSignature)
}

/// Not inlined either.
#[inline(never)]
fn verify_p256(
    octets: &[u8; 64],
    hash: Sha2,
    message: &[&[u8]],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let key = p256_point(octets).ok_or(BadSignature)?;
    let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
    let key = p256::ecdsa::VerifyingKey::from(key);
    key.verify_prehash(&sha2(hash, message), &signature).map_err(|_| BadSignature)
}

/// Nor this.
#[inline(never)]
fn verify_p384(
    octets: &[u8; 96],
    hash: Sha2,
    message: &[&[u8]],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let key = p384_point(octets).ok_or(BadSignature)?;
    let signature = p384::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
    let key = p384::ecdsa::VerifyingKey::from(key);
    key.verify_prehash(&sha2(hash, message), &signature).map_err(|_| BadSignature)
}

/// Whether y < 2^255 - 19, as RFC 8032 §5.1.3 wants; `octets` is y in little-endian order with a sign bit.
fn is_canonical(octets: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = octets;
    *lowest < 0xed || highest & 0x7f != 0x7f || middle.iter().any(|octet| *octet != 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §5.1.3, around p = 2^255 - 19. Nobody knows a secret to a key beyond p, so no signature
    /// shows this.
    #[test]
    fn a_canonical_y_is_below_p() {
        let y = |lowest, highest| {
            let mut octets = [0xff; 32];
            (octets[0], octets[31]) = (lowest, highest);
            octets
        };
        for sign in [0, 0x80] {
            assert!(is_canonical(&y(0xec, sign | 0x7f)));
            assert!(!is_canonical(&y(0xed, sign | 0x7f)));
            assert!(!is_canonical(&y(0xff, sign | 0x7f)));
            assert!(is_canonical(&y(0xff, sign | 0x7e)));
        }
        let mut middle = y(0xff, 0x7f);
        middle[17] = 0xfe;
        assert!(is_canonical(&middle));
    }
}
