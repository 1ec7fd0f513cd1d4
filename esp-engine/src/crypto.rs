//! The seam to the ciphers: one [`Cipher`] is one direction of one SA with its key schedule built.
//! Combined-mode, encrypt-then-MAC and integrity-only transforms fit behind it alike.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::sa::Spi;

#[cfg(feature = "software")]
pub mod software;

/// Octets of the longest key with its salt.
pub const MAX_KEY: usize = 36;

/// Encryption and integrity algorithms of ESP and of IKE's SK payload (RFC 8221, RFC 8247).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// AES-GCM, 128-bit key, 16-octet ICV (RFC 4106, RFC 5282).
    Aes128Gcm16,
    /// AES-GCM, 256-bit key, 16-octet ICV.
    Aes256Gcm16,
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
}

impl Algorithm {
    /// Octets of KEYMAT for one direction: key, then salt (RFC 4106 §8.1, RFC 7634 §2).
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128Gcm16 => 20,
            Self::Aes256Gcm16 | Self::ChaCha20Poly1305 => 36,
        }
    }

    /// Octets of the explicit IV in each packet.
    pub const fn iv_length(self) -> usize {
        8
    }

    /// Octets of the integrity check value.
    pub const fn icv_length(self) -> usize {
        16
    }

    /// The plain text with its trailer is padded to a multiple of this (RFC 4303 §2.4: at least 4).
    pub const fn block_length(self) -> usize {
        4
    }
}

/// Key and salt of one direction as they come out of KEYMAT.
#[derive(Clone, PartialEq, Eq, Hash, Zeroize, ZeroizeOnDrop)]
pub struct RawKey {
    #[zeroize(skip)]
    algorithm: Algorithm,
    octets: [u8; MAX_KEY],
}

impl RawKey {
    /// `None` unless `octets` has the algorithm's length.
    pub fn new(algorithm: Algorithm, octets: &[u8]) -> Option<Self> {
        let mut key = Self { algorithm, octets: [0; MAX_KEY] };
        if octets.len() != algorithm.key_length() {
            return None;
        }
        key.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(key)
    }

    /// A key whose octets `fill` writes, exactly as many as the algorithm wants.
    pub fn derive(algorithm: Algorithm, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut key = Self { algorithm, octets: [0; MAX_KEY] };
        fill(key.octets.get_mut(..algorithm.key_length()).unwrap_or(&mut []));
        key
    }

    /// Which algorithm it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Key, then salt.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.algorithm.key_length()).unwrap_or(&self.octets)
    }
}

impl core::fmt::Debug for RawKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RawKey({:?})", self.algorithm)
    }
}

/// What is authenticated beside the text itself.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Associated<'a> {
    /// An ESP header (RFC 4303 §2, RFC 4106 §5).
    Esp {
        /// SPI on the wire.
        spi: Spi,
        /// Sequence number, all 64 bits.
        sequence: u64,
        /// Whether the high half is authenticated although it is not sent.
        extended: bool,
    },
    /// An IKE message up to the encrypted payload's IV (RFC 5282 §5.1).
    Message(&'a [u8]),
}

/// The key does not fit the backend: it has no such algorithm.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct UnusableKey(pub Algorithm);

/// The ICV does not match: forged, damaged, or another key.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Forged;

/// One direction of one SA: key schedule and salt. Wipes itself when dropped.
pub trait Cipher: Sized {
    /// Builds the key schedule.
    ///
    /// # Errors
    /// [`UnusableKey`] when the backend lacks the algorithm.
    fn new(key: &RawKey) -> Result<Self, UnusableKey>;

    /// The algorithm, and with it the lengths of IV, ICV and block.
    fn algorithm(&self) -> Algorithm;

    /// Encrypts `text` in place and writes `iv` and `icv`. `counter` must never repeat under one key:
    /// ESP passes the sequence number, IKE a count of sealed messages.
    fn seal(&self, counter: u64, associated: Associated<'_>, iv: &mut [u8], text: &mut [u8], icv: &mut [u8]);

    /// Verifies, then decrypts `text` in place.
    ///
    /// # Errors
    /// [`Forged`]; `text` then holds nothing that may be used.
    fn open(&self, associated: Associated<'_>, iv: &[u8], text: &mut [u8], icv: &[u8]) -> Result<(), Forged>;
}
