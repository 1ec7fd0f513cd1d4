//! Nonce payload (RFC 7296 §3.9).

use super::code_point::PayloadType;
use super::writer::Writer;
use super::{Malformed, NoSpace};

/// The least octets of a nonce.
pub const MIN_NONCE: usize = 16;
/// The most octets of a nonce.
pub const MAX_NONCE: usize = 256;

/// A nonce of 16 to 256 octets.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NonceView<'a> {
    data: &'a [u8],
}

impl<'a> NonceView<'a> {
    /// Reads the body of a nonce payload, or makes a value to be written.
    ///
    /// # Errors
    /// [`Malformed::NonceLength`].
    pub const fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        if data.len() < MIN_NONCE || data.len() > MAX_NONCE {
            return Err(Malformed::NonceLength);
        }
        Ok(Self { data })
    }

    /// The nonce, without the payload's header.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Appends this payload.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        writer.payload(PayloadType::NONCE, |body| body.put(self.data))
    }
}
