//! Key Exchange payload (RFC 7296 §3.4).

use super::code_point::PayloadType;
use super::reader::Reader;
use super::transform::KeyExchangeMethod;
use super::writer::Writer;
use super::{Malformed, NoSpace};

/// A public value and the method that it belongs to. Whether the value is good is the method's business.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct KeView<'a> {
    /// The method, formerly the Diffie-Hellman group.
    pub method: KeyExchangeMethod,
    /// The public value.
    pub data: &'a [u8],
}

impl<'a> KeView<'a> {
    /// Reads the body of a KE payload.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let (method, _reserved) =
            reader.u16().zip(reader.u16()).ok_or(Malformed::PayloadTruncated(PayloadType::KE))?;
        Ok(Self { method: KeyExchangeMethod(method), data: reader.0 })
    }

    /// Appends this payload.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        writer.payload(PayloadType::KE, |body| {
            body.put(&self.method.0.to_be_bytes())?;
            body.put(&[0; 2])?;
            body.put(self.data)
        })
    }
}
