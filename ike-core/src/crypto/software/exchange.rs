//! Key exchange (RFC 8031, RFC 5903, RFC 3526, FIPS 203).

use x25519_dalek::StaticSecret;
use zeroize::ZeroizeOnDrop;

use super::curve::{p256_octets, p256_point, p384_octets, p384_point};
use super::ml_kem::MlKemSeed;
use super::modp;
use crate::crypto::{BadPublicValue, Group, KeyExchange, PublicValue, SharedSecret};

/// Our half of a key exchange.
#[derive(Clone)]
pub enum SoftwareExchange {
    /// Group 31.
    Curve25519(StaticSecret),
    /// Group 19.
    P256(p256::SecretKey),
    /// Group 20.
    P384(p384::SecretKey),
    /// Group 14.
    Modp2048(modp::Exponent),
    /// Methods 35 and 36.
    MlKem(MlKemSeed),
}

/// Octets of the secrets of a curve or of the MODP group.
pub(super) const fn secret_length(group: Group) -> usize {
    if matches!(group, Group::P384) { 48 } else { 32 }
}

impl SoftwareExchange {
    /// With a chosen secret, for known answers; `None` when the octets are no scalar of the group.
    pub fn new(group: Group, secret: &[u8]) -> Option<Self> {
        match group {
            Group::Curve25519 => Some(Self::Curve25519(<[u8; 32]>::try_from(secret).ok()?.into())),
            Group::P384 => p384::SecretKey::from_slice(secret).ok().map(Self::P384),
            Group::P256 => p256::SecretKey::from_slice(secret).ok().map(Self::P256),
            Group::Modp2048 => modp::Exponent::new(secret.try_into().ok()?).map(Self::Modp2048),
            Group::MlKem512 | Group::MlKem768 => None,
        }
    }
}

impl KeyExchange for SoftwareExchange {
    fn group(&self) -> Group {
        match self {
            Self::Curve25519(_) => Group::Curve25519,
            Self::P256(_) => Group::P256,
            Self::P384(_) => Group::P384,
            Self::Modp2048(_) => Group::Modp2048,
            Self::MlKem(seed) => seed.group(),
        }
    }

    fn public(&self) -> PublicValue {
        match self {
            Self::Curve25519(secret) => {
                x25519_dalek::PublicKey::from(secret).to_bytes().into_iter().collect()
            }
            Self::P256(secret) => p256_octets(&secret.public_key()).into_iter().collect(),
            Self::P384(secret) => p384_octets(&secret.public_key()).into_iter().collect(),
            Self::Modp2048(exponent) => exponent.public(),
            Self::MlKem(seed) => seed.encapsulation_key(),
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
            Self::P384(secret) => {
                let octets = <&[u8; 96]>::try_from(peer).map_err(|_| BadPublicValue)?;
                let peer = p384_point(octets).ok_or(BadPublicValue)?;
                let shared = p384::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
                Ok(SharedSecret::new::<48>((*shared.raw_secret_bytes()).into()))
            }
            Self::Modp2048(exponent) => exponent.agree(peer),
            Self::MlKem(seed) => seed.decapsulate(peer),
        }
    }
}

impl ZeroizeOnDrop for SoftwareExchange {}

/// That what is inside wipes itself, as it promises: it depends on features of the crates.
const fn wipes_itself<T: ZeroizeOnDrop>() {}
const _: () = {
    wipes_itself::<StaticSecret>();
    wipes_itself::<p256::SecretKey>();
    wipes_itself::<p384::SecretKey>();
    wipes_itself::<modp::Exponent>();
    wipes_itself::<MlKemSeed>();
};
