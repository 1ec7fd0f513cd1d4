//! Authentication payload (RFC 7296 §3.8), and the digital signature within (RFC 7427 §3).

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

/// A signature with the AlgorithmIdentifier before it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct DigitalSignature<'a> {
    /// DER of the AlgorithmIdentifier.
    pub algorithm: &'a [u8],
    /// The signature in the algorithm's form.
    pub signature: &'a [u8],
}

impl<'a> AuthView<'a> {
    /// Reads the body of an AUTH payload.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`]; [`Malformed::DigitalSignature`] when the method is one and
    /// the data is not.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let (method, _reserved) =
            reader.u8().zip(reader.octets(3)).ok_or(Malformed::PayloadTruncated(PayloadType::AUTH))?;
        let view = Self { method: AuthMethod(method), data: reader.0 };
        if view.method == AuthMethod::DIGITAL_SIGNATURE {
            DigitalSignature::parse(view.data)?;
        }
        Ok(view)
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

impl<'a> DigitalSignature<'a> {
    /// Splits the data of method 14.
    ///
    /// # Errors
    /// [`Malformed::DigitalSignature`] unless there are an algorithm and a signature.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(data);
        let length = reader.u8().ok_or(Malformed::DigitalSignature)?;
        let algorithm = reader.octets(usize::from(length)).ok_or(Malformed::DigitalSignature)?;
        if algorithm.is_empty() || reader.is_empty() {
            return Err(Malformed::DigitalSignature);
        }
        Ok(Self { algorithm, signature: reader.0 })
    }

    /// Appends an AUTH payload of method 14.
    ///
    /// # Errors
    /// [`NoSpace`], also for an algorithm of more than 255 octets.
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        let length = u8::try_from(self.algorithm.len()).map_err(|_| NoSpace)?;
        writer.payload(PayloadType::AUTH, |body| {
            body.put(&[AuthMethod::DIGITAL_SIGNATURE.0, 0, 0, 0, length])?;
            body.put(self.algorithm)?;
            body.put(self.signature)
        })
    }
}
