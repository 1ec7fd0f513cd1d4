//! Authentication payload (RFC 7296 §3.8). What its data means is the method's business.

use super::code_point::{AuthMethod, PayloadType};
use super::reader::Reader;
use super::writer::Writer;
use super::{Malformed, NoSpace};

/// A method and its proof.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct AuthView<'a> {
    /// How the sender authenticates itself.
    pub method: AuthMethod,
    /// Signature or MAC, in the method's form.
    pub data: &'a [u8],
}

impl<'a> AuthView<'a> {
    /// Reads the body of an AUTH payload.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let (method, _reserved) =
            reader.u8().zip(reader.octets(3)).ok_or(Malformed::PayloadTruncated(PayloadType::AUTH))?;
        Ok(Self { method: AuthMethod(method), data: reader.0 })
    }

    /// Appends this payload.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        writer.payload(PayloadType::AUTH, |body| {
            body.put(&[self.method.0, 0, 0, 0])?;
            body.put(self.data)
        })
    }
}
