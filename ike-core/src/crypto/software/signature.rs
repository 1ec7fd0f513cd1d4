//! Signatures (RFC 8032, FIPS 186-5 §6).

use ed25519_dalek::VerifyingKey as EdwardsKey;
use p256::ecdsa::VerifyingKey as EcdsaKey;
use p256::ecdsa::signature::{MultipartSigner, MultipartVerifier};
use zeroize::ZeroizeOnDrop;

use super::curve::{p256_octets, p256_point};
use crate::crypto::{BadPrivateKey, BadSignature, PrivateKey, PublicKey, SIGNATURE, Signer};

/// A private key with its public key computed.
pub enum SoftwareSigner {
    /// Ed25519.
    Ed25519(ed25519_dalek::SigningKey),
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256(p256::ecdsa::SigningKey),
}

impl Signer for SoftwareSigner {
    fn public_key(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key().to_bytes()),
            Self::EcdsaP256(key) => PublicKey::EcdsaP256(p256_octets(&key.verifying_key().into())),
        }
    }

    fn sign(&self, message: &[&[u8]]) -> [u8; SIGNATURE] {
        match self {
            Self::Ed25519(key) => key.multipart_sign(message).to_bytes(),
            Self::EcdsaP256(key) => {
                let signature: p256::ecdsa::Signature = key.multipart_sign(message);
                signature.to_bytes().into()
            }
        }
    }
}

impl ZeroizeOnDrop for SoftwareSigner {}

impl SoftwareSigner {
    pub(super) fn new(key: &PrivateKey) -> Result<Self, BadPrivateKey> {
        match key {
            PrivateKey::Ed25519(octets) => Ok(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(octets))),
            PrivateKey::EcdsaP256(octets) => {
                p256::ecdsa::SigningKey::from_slice(octets).map(Self::EcdsaP256).map_err(|_| BadPrivateKey)
            }
        }
    }
}

/// That what is inside wipes itself, as it promises: it depends on features of the crates.
const fn wipes_itself<T: ZeroizeOnDrop>() {}
const _: () = {
    wipes_itself::<ed25519_dalek::SigningKey>();
    wipes_itself::<p256::ecdsa::SigningKey>();
};

/// As [`crate::crypto::Crypto::verify`].
pub(super) fn verify(
    key: &PublicKey,
    message: &[&[u8]],
    signature: &[u8; SIGNATURE],
) -> Result<(), BadSignature> {
    match key {
        PublicKey::Ed25519(octets) => verify_ed25519(octets, message, signature),
        PublicKey::EcdsaP256(octets) => verify_p256(octets, message, signature),
    }
}

/// Not inlined, so that the stack never holds the tables of both algorithms.
#[inline(never)]
fn verify_ed25519(
    octets: &[u8; 32],
    message: &[&[u8]],
    signature: &[u8; SIGNATURE],
) -> Result<(), BadSignature> {
    let key = EdwardsKey::from_bytes(octets).map_err(|_| BadSignature)?;
    if !is_canonical(octets) || key.is_weak() {
        return Err(BadSignature);
    }
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.multipart_verify(message, &signature).map_err(|_| BadSignature)
}

/// Not inlined either.
#[inline(never)]
fn verify_p256(
    octets: &[u8; 64],
    message: &[&[u8]],
    signature: &[u8; SIGNATURE],
) -> Result<(), BadSignature> {
    let key = p256_point(octets).ok_or(BadSignature)?;
    let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
    EcdsaKey::from(key).multipart_verify(message, &signature).map_err(|_| BadSignature)
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
