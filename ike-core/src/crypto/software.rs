//! The backend in portable Rust, from the RustCrypto and dalek crates. [`Software`] itself holds
//! nothing; [`SoftwareExchange`] and [`SoftwareSigner`] hold secrets and wipe themselves when dropped.

use ed25519_dalek::VerifyingKey as EdwardsKey;
use esp_engine::crypto::software::SoftwareCipher;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use p256::ecdsa::VerifyingKey as EcdsaKey;
use p256::ecdsa::signature::{MultipartSigner, MultipartVerifier};
use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use p256::{FieldBytes, Sec1Point};
use rand_core::TryCryptoRng;
use sha1::Sha1;
use sha2::digest::{Key, Output};
use sha2::{Digest, Sha256, Sha384, Sha512};
use x25519_dalek::StaticSecret;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{
    BadPrivateKey, BadPublicValue, BadSignature, Crypto, Group, KeyExchange, Prf, PrfOutput, PrivateKey,
    PublicKey, PublicValue, RngFailure, SIGNATURE, SharedSecret, Signer,
};

/// Algorithms in portable Rust.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Software;

impl Crypto for Software {
    type Cipher = SoftwareCipher;
    type KeyExchange = SoftwareExchange;
    type Signer = SoftwareSigner;

    fn prf(&self, prf: Prf, key: &[u8], data: &[&[u8]]) -> PrfOutput {
        match prf {
            Prf::HmacSha256 => <[u8; 32]>::from(hmac::<Sha256>(key, data)).into(),
            Prf::HmacSha384 => <[u8; 48]>::from(hmac::<Sha384>(key, data)).into(),
            Prf::HmacSha512 => <[u8; 64]>::from(hmac::<Sha512>(key, data)).into(),
        }
    }

    fn sha1(&self, data: &[&[u8]]) -> [u8; 20] {
        digest(Sha1::new(), data).finalize().into()
    }

    fn sha256(&self, data: &[&[u8]]) -> [u8; 32] {
        digest(Sha256::new(), data).finalize().into()
    }

    fn generate<R: TryCryptoRng + ?Sized>(
        &self,
        group: Group,
        rng: &mut R,
    ) -> Result<SoftwareExchange, RngFailure> {
        // Random octets are no P-256 scalar once in 2^32; twice in a row means a broken source.
        for _ in 0..2 {
            let mut secret = Zeroizing::new([0; 32]);
            rng.try_fill_bytes(secret.as_mut_slice()).map_err(|_| RngFailure)?;
            if let Some(exchange) = SoftwareExchange::new(group, &secret) {
                return Ok(exchange);
            }
        }
        Err(RngFailure)
    }

    fn signer(&self, key: &PrivateKey) -> Result<SoftwareSigner, BadPrivateKey> {
        match key {
            PrivateKey::Ed25519(octets) => {
                Ok(SoftwareSigner::Ed25519(ed25519_dalek::SigningKey::from_bytes(octets)))
            }
            PrivateKey::EcdsaP256(octets) => p256::ecdsa::SigningKey::from_slice(octets)
                .map(SoftwareSigner::EcdsaP256)
                .map_err(|_| BadPrivateKey),
        }
    }

    fn verify(
        &self,
        key: &PublicKey,
        message: &[&[u8]],
        signature: &[u8; SIGNATURE],
    ) -> Result<(), BadSignature> {
        match key {
            PublicKey::Ed25519(octets) => verify_ed25519(octets, message, signature),
            PublicKey::EcdsaP256(octets) => verify_p256(octets, message, signature),
        }
    }
}

/// Our half of a key exchange.
#[derive(Clone)]
pub enum SoftwareExchange {
    /// Group 31.
    Curve25519(StaticSecret),
    /// Group 19.
    P256(p256::SecretKey),
}

impl SoftwareExchange {
    /// With a chosen secret, for known answers; `None` when the octets are no scalar of the group.
    pub fn new(group: Group, secret: &[u8; 32]) -> Option<Self> {
        match group {
            Group::Curve25519 => Some(Self::Curve25519(StaticSecret::from(*secret))),
            Group::P256 => p256::SecretKey::from_slice(secret).ok().map(Self::P256),
        }
    }
}

impl KeyExchange for SoftwareExchange {
    fn group(&self) -> Group {
        match self {
            Self::Curve25519(_) => Group::Curve25519,
            Self::P256(_) => Group::P256,
        }
    }

    fn public(&self) -> PublicValue {
        match self {
            Self::Curve25519(secret) => PublicValue::from(x25519_dalek::PublicKey::from(secret).to_bytes()),
            Self::P256(secret) => PublicValue::from(p256_octets(&secret.public_key())),
        }
    }

    fn agree(self, peer: &[u8]) -> Result<SharedSecret, BadPublicValue> {
        match &self {
            Self::Curve25519(secret) => {
                let peer = <[u8; 32]>::try_from(peer).map_err(|_| BadPublicValue)?;
                let shared = secret.diffie_hellman(&peer.into());
                // A point of small order: the result would not depend on our secret.
                if !shared.was_contributory() {
                    return Err(BadPublicValue);
                }
                Ok(SharedSecret::new(shared.to_bytes()))
            }
            Self::P256(secret) => {
                let octets = <&[u8; 64]>::try_from(peer).map_err(|_| BadPublicValue)?;
                let peer = p256_point(octets).ok_or(BadPublicValue)?;
                let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
                Ok(SharedSecret::new((*shared.raw_secret_bytes()).into()))
            }
        }
    }
}

impl ZeroizeOnDrop for SoftwareExchange {}

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

/// That what is inside the two enums wipes itself, as they promise: it depends on features of the crates.
const fn wipes_itself<T: ZeroizeOnDrop>() {}
const _: () = {
    wipes_itself::<StaticSecret>();
    wipes_itself::<p256::SecretKey>();
    wipes_itself::<ed25519_dalek::SigningKey>();
    wipes_itself::<p256::ecdsa::SigningKey>();
    // Of which HMAC is made.
    wipes_itself::<Sha256>();
    wipes_itself::<Sha384>();
    wipes_itself::<Sha512>();
};

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

/// RFC 2104. The key is brought to the block's length here, because then nothing can fail.
fn hmac<D: EagerHash + Digest>(key: &[u8], data: &[&[u8]]) -> Output<Hmac<D>> {
    let mut block = Zeroizing::new(Key::<Hmac<D>>::default());
    if key.len() <= block.len() {
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    } else {
        block.iter_mut().zip(D::digest(key)).for_each(|(to, from)| *to = from);
    }
    let mut mac = Hmac::<D>::new(&block);
    for piece in data {
        Mac::update(&mut mac, piece);
    }
    mac.finalize().into_bytes()
}

fn digest<D: Digest>(mut digest: D, data: &[&[u8]]) -> D {
    for piece in data {
        digest.update(piece);
    }
    digest
}

/// Whether y < 2^255 - 19, as RFC 8032 §5.1.3 wants; `octets` is y in little-endian order with a sign bit.
fn is_canonical(octets: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = octets;
    *lowest < 0xed || highest & 0x7f != 0x7f || middle.iter().any(|octet| *octet != 0xff)
}

/// `None` unless `octets` is `x | y` of a point on the curve, coordinates below p (RFC 6989 §2.3).
fn p256_point(octets: &[u8; 64]) -> Option<p256::PublicKey> {
    let (x, y) = octets.split_first_chunk::<32>()?;
    let y = <[u8; 32]>::try_from(y).ok()?;
    let point = Sec1Point::from_affine_coordinates(&FieldBytes::from(*x), &FieldBytes::from(y), false);
    p256::PublicKey::from_sec1_point(&point).into_option()
}

/// `x | y`.
fn p256_octets(key: &p256::PublicKey) -> [u8; 64] {
    let point = key.to_sec1_point(false);
    let mut octets = [0; 64];
    for (to, from) in octets.iter_mut().zip(point.as_bytes().iter().skip(1)) {
        *to = *from;
    }
    octets
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
