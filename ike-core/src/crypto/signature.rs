//! The seam's half for signatures: algorithms, hash functions, signatures on their way.

use zeroize::ZeroizeOnDrop;

use super::rsa_key::{MAX_MODULUS, longer};
use super::{KeyKind, PublicKey};

/// Octets of the longest signature: ECDSA P-384's, or one as long as an RSA modulus.
pub const MAX_SIGNATURE: usize = longer(MAX_MODULUS, 96);

/// `R | S` for Ed25519 (RFC 8032 §5.1.6); `r | s` for ECDSA, each as long as the curve's order
/// (RFC 4754 §7); for RSA a number as long as the modulus (RFC 8017 §8).
pub type Signature = heapless::Vec<u8, MAX_SIGNATURE>;

/// Hash functions of the SHA-2 family (FIPS 180-4).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Sha2 {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Sha2 {
    /// Octets of its output.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// How a message is signed.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum SignatureAlgorithm {
    /// Ed25519 over the octets themselves (RFC 8032). Strict: S below the group order, A canonical and
    /// not of small order.
    Ed25519,
    /// ECDSA on the key's curve, with the deterministic nonce of RFC 6979.
    Ecdsa(Sha2),
    /// RSASSA-PSS, MGF1 with the same hash function, salt as long as its output (RFC 8017 §8.1).
    RsaPss(Sha2),
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    RsaPkcs1(Sha2),
}

impl SignatureAlgorithm {
    /// Whether keys of this kind sign by it.
    pub const fn is_for(self, kind: KeyKind) -> bool {
        match self {
            Self::Ed25519 => matches!(kind, KeyKind::Ed25519),
            Self::Ecdsa(_) => matches!(kind, KeyKind::EcdsaP256 | KeyKind::EcdsaP384),
            Self::RsaPss(_) | Self::RsaPkcs1(_) => matches!(kind, KeyKind::Rsa),
        }
    }
}

/// A private key ready for signing. Wipes itself when dropped.
pub trait Signer: ZeroizeOnDrop {
    /// The key that verifies what this one signs.
    fn public_key(&self) -> PublicKey;

    /// Signs the concatenated `message`. Needs no randomness: the same message has the same signature.
    ///
    /// # Errors
    /// [`SigningFailed`] for an algorithm that the key is not for, and when a fault in the machine made a
    /// wrong RSA signature, which would give the key away.
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[&[u8]]) -> Result<Signature, SigningFailed>;
}

/// Not made with this key over this message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BadSignature;

/// There is no signature.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SigningFailed;
