//! Identification payloads (RFC 7296 §3.5).
//!
//! Data that its type does not allow is refused here, so that it never meets the PAD: an address of
//! the wrong length, a name with NUL, space or other octets outside of ASCII, and anything in
//! ID_NULL (RFC 7619 §2.2).

use core::net::IpAddr;

use super::code_point::{IdType, PayloadType};
use super::reader::Reader;
use super::writer::Writer;
use super::{Malformed, NoSpace};

/// The most octets of a domain name or mail address.
pub const MAX_NAME: usize = 255;
/// The most octets of any other identity.
pub const MAX_ID: usize = 1024;

/// Who a peer says it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct IdView<'a> {
    /// What the data is.
    pub kind: IdType,
    /// Identification data.
    pub data: &'a [u8],
    reserved: [u8; 3],
}

impl<'a> IdView<'a> {
    /// Nobody (RFC 7619 §2.2).
    pub const NULL: IdView<'static> = IdView { kind: IdType::NULL, data: &[], reserved: [0; 3] };

    /// An identity to be written.
    ///
    /// # Errors
    /// [`Malformed::Identity`].
    pub fn new(kind: IdType, data: &'a [u8]) -> Result<Self, Malformed> {
        Self { kind, data, reserved: [0; 3] }.checked()
    }

    /// Reads the body of an IDi or IDr payload, whose type is `payload`.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`], [`Malformed::Identity`].
    pub fn parse(payload: PayloadType, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let (kind, reserved) = reader.u8().zip(reader.array()).ok_or(Malformed::PayloadTruncated(payload))?;
        Self { kind: IdType(kind), data: reader.0, reserved: *reserved }.checked()
    }

    fn checked(self) -> Result<Self, Malformed> {
        let allowed = match self.kind {
            IdType::IPV4_ADDR => self.data.len() == 4,
            IdType::IPV6_ADDR => self.data.len() == 16,
            IdType::FQDN => is_name(self.data) && self.data.is_ascii(),
            IdType::RFC822_ADDR => is_name(self.data) && core::str::from_utf8(self.data).is_ok(),
            IdType::NULL => self.data.is_empty(),
            _ => !self.data.is_empty() && self.data.len() <= MAX_ID,
        };
        if allowed { Ok(self) } else { Err(Malformed::Identity(self.kind)) }
    }

    /// The four octets before the data, as the peer sent them: the MAC of the identity is over
    /// these and the data (RFC 7296 §2.15).
    pub const fn prefix(&self) -> [u8; 4] {
        let [a, b, c] = self.reserved;
        [self.kind.0, a, b, c]
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.kind {
            IdType::IPV4_ADDR => <[u8; 4]>::try_from(self.data).ok().map(IpAddr::from),
            IdType::IPV6_ADDR => <[u8; 16]>::try_from(self.data).ok().map(IpAddr::from),
            _ => None,
        }
    }

    /// Appends this as a payload of type `payload`: IDi or IDr.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn write(&self, payload: PayloadType, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        writer.payload(payload, |body| {
            body.put(&self.prefix())?;
            body.put(self.data)
        })
    }
}

fn is_name(data: &[u8]) -> bool {
    !data.is_empty() && data.len() <= MAX_NAME && data.iter().all(|&octet| octet > b' ' && octet != 0x7f)
}
