//! Secrets of a device as they are stored: its own key, and those that it shares. They are wiped when dropped, and no
//! log shows them.

use heapless::Vec;
use ike_core::crypto::{CrtNumbers, MAX_MODULUS, RsaPrivateKey, RsaPublicKey};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::MAX_SHARED_KEY;

/// Our private key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[allow(
    clippy::large_enum_variant,
    reason = "how large an RSA key is, is a feature of ike-core; and there is no heap"
)]
pub enum PrivateKey {
    /// No key: every peer shares a secret with us.
    None,
    /// Ed25519 seed (RFC 8032 §5.1.5).
    Ed25519([u8; 32]),
    /// P-256 scalar, network order.
    P256([u8; 32]),
    /// RSA key.
    Rsa(RsaKey),
    /// P-384 scalar, network order, in two parts because serde's arrays end at 32.
    P384([[u8; 24]; 2]),
}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Ed25519(_) => "Ed25519(..)",
            Self::P256(_) => "P256(..)",
            Self::Rsa(_) => "Rsa(..)",
            Self::P384(_) => "P384(..)",
        })
    }
}

/// An RSA key in as little room as it needs: the exponent in four octets, the modulus, then the five
/// numbers of RFC 8017 §3.2, each half as long. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RsaKey(Vec<u8, { 4 + MAX_MODULUS / 2 * 7 }>);

impl RsaKey {
    /// From key management's form.
    pub fn new(key: &RsaPrivateKey) -> Self {
        let (public, crt) = (key.public_key(), key.crt());
        let primes = [crt.prime1, crt.prime2, crt.exponent1, crt.exponent2, crt.coefficient];
        let front = public.exponent().to_be_bytes().into_iter().chain(public.modulus().iter().copied());
        Self(front.chain(primes.into_iter().flatten().copied()).collect())
    }

    /// In key management's form; `None` when it is no key.
    pub fn key(&self) -> Option<RsaPrivateKey> {
        let (exponent, numbers) = self.0.split_first_chunk::<4>()?;
        let half = numbers.len() / 7;
        let (modulus, primes) = numbers.split_at_checked(2 * half)?;
        let zeros = exponent.iter().take_while(|octet| **octet == 0).count();
        let public = RsaPublicKey::new(modulus, exponent.get(zeros..)?)?;
        let mut primes = primes.chunks_exact(half.max(1));
        let mut next = || primes.next();
        RsaPrivateKey::new(
            public,
            CrtNumbers {
                prime1: next()?,
                prime2: next()?,
                exponent1: next()?,
                exponent2: next()?,
                coefficient: next()?,
            },
        )
    }
}

impl Zeroize for RsaKey {
    fn zeroize(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl Drop for RsaKey {
    fn drop(&mut self) {
        self.zeroize();
    }
}

/// A secret of two; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedKey(Vec<u8, MAX_SHARED_KEY>);

impl SharedKey {
    /// `None` when it exceeds [`MAX_SHARED_KEY`] octets.
    pub fn new(octets: &[u8]) -> Option<Self> {
        Vec::from_slice(octets).ok().map(Self)
    }

    /// The secret.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

impl Drop for SharedKey {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}
