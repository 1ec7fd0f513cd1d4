//! The seam to cryptography: a backend implements [`Crypto`] and everything else is generic over it.
//! Values that cross the seam have fixed sizes, secrets wipe themselves when dropped, and messages are
//! passed as pieces (`&[&[u8]]`, concatenated) so that nobody needs a buffer to join them. Which
//! algorithms exist is the negotiation's business (RFC 8247); how they are computed is the backend's.

use core::fmt;
use core::hash::{Hash, Hasher};

use esp_engine::crypto::Cipher;
use rand_core::TryCryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

mod key;
mod rsa_key;
mod signature;
#[cfg(feature = "software")]
pub mod software;
#[cfg(feature = "toy")]
pub mod toy;

pub use key::{KeyKind, NotGenerated, PrivateKey, PublicKey};
pub(crate) use rsa_key::longer;
pub use rsa_key::{
    CrtNumbers, MAX_MODULUS, MIN_EXPONENT, MIN_MODULUS, RsaNumbers, RsaPrivateKey, RsaPublicKey,
};
pub use signature::{
    BadSignature, MAX_SIGNATURE, Sha2, Signature, SignatureAlgorithm, Signer, SigningFailed,
};

/// Octets of the longest PRF output (HMAC-SHA2-512).
pub const MAX_PRF: usize = 64;

/// Octets of the longest public value in a KE payload (ML-KEM-768).
pub const MAX_PUBLIC_VALUE: usize = 1184;

/// Octets of the longest secret that a key exchange yields.
pub const MAX_SHARED_SECRET: usize = 256;

/// A backend. It holds no keys; what it builds does.
pub trait Crypto {
    /// Protection of the SK payload (RFC 7296 §3.14, RFC 5282).
    type Cipher: Cipher;
    /// Our half of a key exchange that has begun.
    type KeyExchange: KeyExchange;
    /// A private key made ready for signing.
    type Signer: Signer;

    /// The negotiated pseudorandom function over the concatenated `data` (RFC 7296 §2.13).
    fn prf(&self, prf: Prf, key: &[u8], data: &[&[u8]]) -> PrfOutput;

    /// SHA-1, for NAT detection (RFC 7296 §2.23) and NSEC3 (RFC 5155 §5) only: nothing rests on it.
    fn sha1(&self, data: &[&[u8]]) -> [u8; 20];

    /// SHA-256, for fingerprints and cookies.
    fn sha256(&self, data: &[&[u8]]) -> [u8; 32];

    /// SHA-384, for DS records (RFC 6605 §2).
    fn sha384(&self, data: &[&[u8]]) -> [u8; 48];

    /// Begins a key exchange with a fresh secret.
    ///
    /// # Errors
    /// [`RngFailure`]: there is no other source of randomness to fall back to.
    fn generate<R: TryCryptoRng + ?Sized>(
        &self,
        group: Group,
        rng: &mut R,
    ) -> Result<Self::KeyExchange, RngFailure>;

    /// Answers a key exchange that the peer began: our public value, and the secret. Where both ends do the
    /// same, this is [`Self::generate`] and [`KeyExchange::agree`]; a key encapsulation has its own way.
    ///
    /// # Errors
    /// [`ExchangeError`].
    fn respond<R: TryCryptoRng + ?Sized>(
        &self,
        group: Group,
        peer: &[u8],
        rng: &mut R,
    ) -> Result<(PublicValue, SharedSecret), ExchangeError>;

    /// Makes a private key ready for signing, which costs one multiplication on its curve, or one RSA
    /// signature.
    ///
    /// # Errors
    /// [`BadPrivateKey`] when the octets are no key of that algorithm.
    fn signer(&self, key: &PrivateKey) -> Result<Self::Signer, BadPrivateKey>;

    /// Verifies a signature of the concatenated `message`.
    ///
    /// # Errors
    /// [`BadSignature`], also for a key that is no point on its curve or is not for the algorithm.
    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), BadSignature>;

    /// Verifies an RSASSA-PKCS1-v1_5 signature (RFC 8017 §8.2) of the concatenated `message` by a key that
    /// need not be one of a peer: zones of the DNS sign with others, too (RFC 5702).
    ///
    /// # Errors
    /// [`BadSignature`].
    fn verify_rsa(
        &self,
        key: RsaNumbers<'_>,
        hash: Sha2,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), BadSignature>;
}

/// Our half of a key exchange. Wipes itself when dropped.
pub trait KeyExchange: Clone + ZeroizeOnDrop {
    /// The group that it belongs to.
    fn group(&self) -> Group;

    /// What goes into our KE payload; computed at each call, at the cost of one multiplication.
    fn public(&self) -> PublicValue;

    /// The shared secret, as it enters SKEYSEED and KEYMAT.
    ///
    /// # Errors
    /// [`BadPublicValue`] when `peer` has the wrong length or fails the tests of RFC 6989 §2.1 (MODP:
    /// 1 < r < p - 1) or §2.3 (P-256, P-384: on the curve), or RFC 8031 §3.2 (Curve25519: the result must
    /// not be zero). A ciphertext of ML-KEM that is none for our key yields a secret that nobody knows
    /// (FIPS 203 §6.3).
    fn agree(self, peer: &[u8]) -> Result<SharedSecret, BadPublicValue>;
}

/// Pseudorandom functions (RFC 7296 §3.3.2, transform type 2).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Prf {
    /// PRF_HMAC_SHA2_256 (RFC 4868).
    HmacSha256,
    /// PRF_HMAC_SHA2_384.
    HmacSha384,
    /// PRF_HMAC_SHA2_512.
    HmacSha512,
}

impl Prf {
    /// The function with this transform identifier; `None` when it is not known here.
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            5 => Some(Self::HmacSha256),
            6 => Some(Self::HmacSha384),
            7 => Some(Self::HmacSha512),
            _ => None,
        }
    }

    /// The transform identifier.
    pub const fn id(self) -> u16 {
        match self {
            Self::HmacSha256 => 5,
            Self::HmacSha384 => 6,
            Self::HmacSha512 => 7,
        }
    }

    /// Octets of its output and of the keys that it prefers (RFC 7296 §2.13).
    pub const fn output_length(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

/// Groups of the key exchange (RFC 7296 §3.3.2, transform type 4).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Group {
    /// 2048-bit MODP group (RFC 3526 §3): values as long as the modulus.
    Modp2048,
    /// 256-bit random ECP group, NIST P-256 (RFC 5903): public value `x | y`, secret `x`.
    P256,
    /// 384-bit random ECP group, NIST P-384 (RFC 5903): likewise.
    P384,
    /// Curve25519 (RFC 8031).
    Curve25519,
    /// ML-KEM-512 (FIPS 203): encapsulation key one way, ciphertext the other.
    MlKem512,
    /// ML-KEM-768.
    MlKem768,
}

impl Group {
    /// The group with this transform identifier; `None` when it is not known here.
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            14 => Some(Self::Modp2048),
            19 => Some(Self::P256),
            20 => Some(Self::P384),
            31 => Some(Self::Curve25519),
            35 => Some(Self::MlKem512),
            36 => Some(Self::MlKem768),
            _ => None,
        }
    }

    /// The transform identifier.
    pub const fn id(self) -> u16 {
        match self {
            Self::Modp2048 => 14,
            Self::P256 => 19,
            Self::P384 => 20,
            Self::Curve25519 => 31,
            Self::MlKem512 => 35,
            Self::MlKem768 => 36,
        }
    }

    /// Octets of the public value of who begins.
    pub const fn public_length(self) -> usize {
        match self {
            Self::Modp2048 => 256,
            Self::P256 => 64,
            Self::P384 => 96,
            Self::Curve25519 => 32,
            Self::MlKem512 => 800,
            Self::MlKem768 => 1184,
        }
    }

    /// Octets of the public value of who answers.
    pub const fn answer_length(self) -> usize {
        match self {
            Self::MlKem512 => 768,
            Self::MlKem768 => 1088,
            _ => self.public_length(),
        }
    }
}

/// Content of a KE payload behind the group number.
pub type PublicValue = heapless::Vec<u8, MAX_PUBLIC_VALUE>;

/// Output of a pseudorandom function, or a key of its length. Wipes itself when dropped; compared in
/// constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PrfOutput {
    octets: [u8; MAX_PRF],
    length: u8,
}

impl PrfOutput {
    /// `None` when `octets` is longer than [`MAX_PRF`].
    pub fn new(octets: &[u8]) -> Option<Self> {
        let mut output = Self { octets: [0; MAX_PRF], length: u8::try_from(octets.len()).ok()? };
        output.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(output)
    }

    /// A key of the length that `prf` prefers, whose octets `fill` writes.
    pub(crate) fn derive(prf: Prf, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut key = Self { octets: [0; MAX_PRF], length: prf.output_length() as u8 };
        fill(key.octets.get_mut(..prf.output_length()).unwrap_or(&mut []));
        key
    }

    /// As long as the function's output.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or(&self.octets)
    }
}

impl<const N: usize> From<[u8; N]> for PrfOutput {
    fn from(first: [u8; N]) -> Self {
        const { assert!(N <= MAX_PRF) };
        let mut octets = [0; MAX_PRF];
        for (to, from) in octets.iter_mut().zip(first) {
            *to = from;
        }
        Self { octets, length: N as u8 }
    }
}

impl AsRef<[u8]> for PrfOutput {
    fn as_ref(&self) -> &[u8] {
        self.octets()
    }
}

impl PartialEq for PrfOutput {
    fn eq(&self, other: &Self) -> bool {
        self.octets().ct_eq(other.octets()).into()
    }
}

impl Eq for PrfOutput {}

impl Hash for PrfOutput {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}

impl fmt::Debug for PrfOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrfOutput({} octets)", self.length)
    }
}

/// What a key exchange yields, `g^ir` of RFC 7296. Wipes itself when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret {
    octets: [u8; MAX_SHARED_SECRET],
    length: u16,
}

impl SharedSecret {
    /// Of a group whose secrets have this length, in network order.
    pub fn new<const N: usize>(secret: [u8; N]) -> Self {
        const { assert!(N <= MAX_SHARED_SECRET) };
        let mut octets = [0; MAX_SHARED_SECRET];
        octets.iter_mut().zip(Zeroizing::new(secret).iter()).for_each(|(to, from)| *to = *from);
        Self { octets, length: N as u16 }
    }

    /// As it enters the key derivation.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or(&self.octets)
    }
}

impl Hash for SharedSecret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret")
    }
}

/// Why a key exchange is not answered.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ExchangeError {
    /// The source of randomness failed.
    NoRandom,
    /// The peer's public value is unusable (RFC 6989 §2.5, FIPS 203 §7.2).
    BadPublicValue,
}

/// The source of randomness failed; nothing was generated.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RngFailure;

/// The peer's public value is unusable (RFC 6989 §2.5).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BadPublicValue;

/// The stored octets are no private key of their algorithm.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BadPrivateKey;
