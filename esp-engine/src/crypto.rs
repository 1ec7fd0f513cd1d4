//! The seam to the ciphers: one [`Cipher`] is one direction of one SA with its key schedule built.
//! Combined-mode, encrypt-then-MAC and integrity-only transforms fit behind it alike.

use crate::sa::Spi;

#[cfg(feature = "software")]
pub mod software;

pub use algorithm::{Algorithm, MAX_KEY};
pub use key::RawKey;

mod algorithm;
mod key;

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
