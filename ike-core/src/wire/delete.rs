//! Delete payload (RFC 7296 §3.11): the IKE SA, or Child SAs by the SPIs that the sender chose.

use super::code_point::{PayloadType, Protocol};
use super::reader::Reader;
use super::writer::Writer;
use super::{Malformed, NoSpace};

const CHILD_SPI: usize = 4;

/// What is deleted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct DeleteView<'a> {
    /// Whose SAs.
    pub protocol: Protocol,
    spis: &'a [u8],
}

impl<'a> DeleteView<'a> {
    /// Reads the body of a Delete payload. A protocol that is not known here names no SPIs.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`], [`Malformed::DeleteSpis`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let fields = reader.u8().zip(reader.u8()).zip(reader.u16());
        let ((protocol, size), count) = fields.ok_or(Malformed::PayloadTruncated(PayloadType::DELETE))?;
        let (protocol, size) = (Protocol(protocol), usize::from(size));
        let fits = match protocol {
            Protocol::IKE => size == 0 && count == 0,
            Protocol::AH | Protocol::ESP => size == CHILD_SPI,
            _ => true,
        };
        if !fits || usize::from(count).checked_mul(size) != Some(reader.0.len()) {
            return Err(Malformed::DeleteSpis);
        }
        let is_child = matches!(protocol, Protocol::AH | Protocol::ESP);
        Ok(Self { protocol, spis: if is_child { reader.0 } else { &[] } })
    }

    /// The SPIs of Child SAs, as the sender chose them for what it receives.
    pub fn spis(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.spis.as_chunks::<CHILD_SPI>().0.iter().map(|&spi| u32::from_be_bytes(spi))
    }
}

/// Appends a Delete payload for the IKE SA.
///
/// # Errors
/// [`NoSpace`].
pub fn write_ike(writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    writer.payload(PayloadType::DELETE, |body| body.put(&[Protocol::IKE.0, 0, 0, 0]))
}

/// Appends a Delete payload for Child SAs with ESP.
///
/// # Errors
/// [`NoSpace`].
pub fn write_esp(spis: &[u32], writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let count = u16::try_from(spis.len()).map_err(|_| NoSpace)?;
    writer.payload(PayloadType::DELETE, |body| {
        body.put(&[Protocol::ESP.0, 4])?;
        body.put(&count.to_be_bytes())?;
        spis.iter().try_for_each(|spi| body.put(&spi.to_be_bytes()))
    })
}
