//! Certificate and Certificate Request payloads (RFC 7296 §3.6, §3.7, RFC 7670 §3).

use super::code_point::{CertEncoding, PayloadType};
use super::reader::Reader;
use super::writer::Writer;
use super::{Malformed, NoSpace};

/// A certificate or key, not yet looked at.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct CertView<'a> {
    /// What the data is.
    pub encoding: CertEncoding,
    /// Certificate data.
    pub data: &'a [u8],
}

impl<'a> CertView<'a> {
    /// Reads the body of a CERT payload.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (encoding, data) = split(PayloadType::CERT, body)?;
        Ok(Self { encoding, data })
    }

    /// Appends this payload.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        write(PayloadType::CERT, self.encoding, self.data, writer)
    }
}

/// What kind of certificate or key the peer would like to see.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct CertRequestView<'a> {
    /// The encoding it can use.
    pub encoding: CertEncoding,
    /// Hashes of trust anchors; empty for raw keys (RFC 7670 §3).
    pub authority: &'a [u8],
}

impl<'a> CertRequestView<'a> {
    /// Asks for a raw public key.
    pub const RAW_PUBLIC_KEY: CertRequestView<'static> =
        CertRequestView { encoding: CertEncoding::RAW_PUBLIC_KEY, authority: &[] };

    /// Reads the body of a CERTREQ payload.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (encoding, authority) = split(PayloadType::CERTREQ, body)?;
        Ok(Self { encoding, authority })
    }

    /// Appends this payload.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        write(PayloadType::CERTREQ, self.encoding, self.authority, writer)
    }
}

fn split(payload: PayloadType, body: &[u8]) -> Result<(CertEncoding, &[u8]), Malformed> {
    let mut reader = Reader(body);
    let encoding = reader.u8().ok_or(Malformed::PayloadTruncated(payload))?;
    Ok((CertEncoding(encoding), reader.0))
}

fn write(
    payload: PayloadType,
    encoding: CertEncoding,
    data: &[u8],
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    writer.payload(payload, |body| {
        body.put(&[encoding.0])?;
        body.put(data)
    })
}
