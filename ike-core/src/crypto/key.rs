//! Keys that sign, as they are stored, sent and compared (RFC 8032, RFC 8410, RFC 5480, RFC 8017,
//! RFC 7670).
//! A [`PrivateKey`] wipes itself when dropped; a [`PublicKey`] is its SubjectPublicKeyInfo in another form.

use core::fmt;

use esp_engine::sa::PeerKey;
use rand_core::TryCryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Crypto, RsaPrivateKey, RsaPublicKey};
use crate::wire::spki;

/// What kind of key signs.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum KeyKind {
    /// Ed25519 (RFC 8032, RFC 8420).
    Ed25519,
    /// ECDSA on P-256 (RFC 4754).
    EcdsaP256,
    /// ECDSA on P-384 (RFC 4754).
    EcdsaP384,
    /// RSA (RFC 8017).
    Rsa,
}

/// A private key as it is stored. Wipes itself when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
#[cfg_attr(
    feature = "rsa",
    expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")
)]
pub enum PrivateKey {
    /// The 32 octets of RFC 8032 §5.1.5.
    Ed25519([u8; 32]),
    /// The scalar in network order, 1 ≤ d < n.
    EcdsaP256([u8; 32]),
    /// Likewise.
    EcdsaP384([u8; 48]),
    /// Primes and what belongs to them.
    Rsa(RsaPrivateKey),
}

/// Why there is no fresh key.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum NotGenerated {
    /// The source of randomness failed, or only yields octets that are no key.
    Random,
    /// RSA keys are made where there is more memory.
    Rsa,
}

impl PrivateKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`NotGenerated`].
    pub fn generate<C: Crypto, R: TryCryptoRng + ?Sized>(
        crypto: &C,
        kind: KeyKind,
        rng: &mut R,
    ) -> Result<Self, NotGenerated> {
        // Random octets are no P-256 scalar once in 2^32; twice in a row means a broken source.
        for _ in 0..2 {
            let mut longest = Zeroizing::new([0; 48]);
            rng.try_fill_bytes(longest.as_mut_slice()).map_err(|_| NotGenerated::Random)?;
            let octets = Zeroizing::new(longest.first_chunk().copied().unwrap_or_default());
            let key = match kind {
                KeyKind::Ed25519 => Self::Ed25519(*octets),
                KeyKind::EcdsaP256 => Self::EcdsaP256(*octets),
                KeyKind::EcdsaP384 => Self::EcdsaP384(*longest),
                KeyKind::Rsa => return Err(NotGenerated::Rsa),
            };
            if crypto.signer(&key).is_ok() {
                return Ok(key);
            }
        }
        Err(NotGenerated::Random)
    }

    /// Which algorithm it is for.
    pub const fn kind(&self) -> KeyKind {
        match self {
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::EcdsaP256(_) => KeyKind::EcdsaP256,
            Self::EcdsaP384(_) => KeyKind::EcdsaP384,
            Self::Rsa(_) => KeyKind::Rsa,
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?})", self.kind())
    }
}

/// A public key, not yet known to be a point of its curve: [`Crypto::verify`] finds out.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "rsa-4096",
    expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")
)]
pub enum PublicKey {
    /// The encoded point of RFC 8032 §5.1.2.
    Ed25519([u8; 32]),
    /// `x | y` in network order.
    EcdsaP256([u8; 64]),
    /// `x | y` in network order.
    EcdsaP384([u8; 96]),
    /// Modulus and exponent.
    Rsa(RsaPublicKey),
}

impl PublicKey {
    /// Which algorithm it is for.
    pub const fn kind(&self) -> KeyKind {
        match self {
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::EcdsaP256(_) => KeyKind::EcdsaP256,
            Self::EcdsaP384(_) => KeyKind::EcdsaP384,
            Self::Rsa(_) => KeyKind::Rsa,
        }
    }

    /// SHA-256 of its SubjectPublicKeyInfo: its name among peers.
    pub fn fingerprint<C: Crypto>(&self, crypto: &C) -> PeerKey {
        PeerKey(crypto.sha256(&[&spki::encode(self)]))
    }
}

#[cfg(all(test, feature = "software"))]
mod tests {
    use super::*;
    use crate::crypto::software::Software;

    #[test]
    fn debug_output_shows_no_secret() {
        let key = PrivateKey::EcdsaP256([0xab; 32]);
        let mut text = heapless::String::<32>::new();
        fmt::write(&mut text, format_args!("{key:?}")).unwrap();
        assert_eq!(text, "PrivateKey(EcdsaP256)");
    }

    struct Broken;

    impl rand_core::TryRng for Broken {
        type Error = fmt::Error;

        fn try_next_u32(&mut self) -> Result<u32, fmt::Error> {
            Err(fmt::Error)
        }

        fn try_next_u64(&mut self) -> Result<u64, fmt::Error> {
            Err(fmt::Error)
        }

        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), fmt::Error> {
            Err(fmt::Error)
        }
    }

    impl TryCryptoRng for Broken {}

    /// A source that answers, but always the same.
    struct Stuck(u8);

    impl rand_core::TryRng for Stuck {
        type Error = core::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(u32::from_ne_bytes([self.0; 4]))
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::from_ne_bytes([self.0; 8]))
        }

        fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
            octets.fill(self.0);
            Ok(())
        }
    }

    impl TryCryptoRng for Stuck {}

    /// There is no fallback: without randomness there is no key, neither to sign nor to exchange.
    #[test]
    fn a_failing_source_yields_no_key() {
        use crate::crypto::{Group, RngFailure};
        for kind in [KeyKind::Ed25519, KeyKind::EcdsaP256, KeyKind::EcdsaP384] {
            assert_eq!(PrivateKey::generate(&Software, kind, &mut Broken).err(), Some(NotGenerated::Random));
        }
        for group in [Group::Modp2048, Group::P256, Group::P384, Group::Curve25519] {
            assert_eq!(Software.generate(group, &mut Broken).err(), Some(RngFailure));
        }
    }

    /// 0 and 2^256 - 1 are no scalars of P-256 (FIPS 186-5 §A.2); the search for one ends. 0 is no exponent
    /// of a MODP group either.
    #[test]
    fn a_stuck_source_yields_no_p256_key() {
        use crate::crypto::{Group, RngFailure};
        for octet in [0, 0xff] {
            let key = PrivateKey::generate(&Software, KeyKind::EcdsaP256, &mut Stuck(octet));
            assert_eq!(key.err(), Some(NotGenerated::Random));
            assert_eq!(Software.generate(Group::P256, &mut Stuck(octet)).err(), Some(RngFailure));
        }
        assert_eq!(Software.generate(Group::Modp2048, &mut Stuck(0)).err(), Some(RngFailure));
    }
}
