//! The IKE header, and a datagram that is one message (RFC 7296 §3.1).
//!
//! [`Header::parse`] reads the fields of any 28 octets, so that a message of another major version
//! can be answered; [`Message::parse`] also checks that they make a message of IKE version 2.

use super::Malformed;
use super::chain::{Chain, Critical};
use super::code_point::{ExchangeType, PayloadType};
use super::payloads::Payloads;
use super::reader::Reader;

/// One end's name for an IKE SA; zero where the responder's is not known yet (RFC 7296 §2.6).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IkeSpi(pub u64);

impl IkeSpi {
    /// Not known yet.
    pub const ZERO: Self = Self(0);

    /// As on the wire and in key derivation.
    pub const fn octets(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// Flags of a message; the other bits are ignored (RFC 7296 §3.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flags {
    /// From the original initiator of the IKE SA.
    pub initiator: bool,
    /// An answer to the request with the same Message ID.
    pub response: bool,
}

impl Flags {
    const INITIATOR: u8 = 0x08;
    const RESPONSE: u8 = 0x20;

    const fn from_octet(octet: u8) -> Self {
        Self { initiator: octet & Self::INITIATOR != 0, response: octet & Self::RESPONSE != 0 }
    }

    const fn octet(self) -> u8 {
        (if self.initiator { Self::INITIATOR } else { 0 }) | (if self.response { Self::RESPONSE } else { 0 })
    }
}

/// The fields of an IKE header but its version and length.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// The original initiator's SPI.
    pub initiator_spi: IkeSpi,
    /// The original responder's SPI.
    pub responder_spi: IkeSpi,
    /// Type of the first payload. A writer sets it by itself.
    pub next_payload: PayloadType,
    /// What the exchange is for.
    pub exchange: ExchangeType,
    /// Direction and role.
    pub flags: Flags,
    /// Which request, and which answer to it.
    pub message_id: u32,
}

impl Header {
    /// Octets of a header.
    pub const LENGTH: usize = 28;
    /// Major version 2, minor version 0.
    pub const VERSION: u8 = 0x20;

    /// Reads the fields, whatever the version and the length.
    ///
    /// # Errors
    /// [`Malformed::HeaderTruncated`].
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        Self::fields(datagram).map(|(header, _, _)| header).ok_or(Malformed::HeaderTruncated)
    }

    /// The header, its version octet and its length.
    fn fields(datagram: &[u8]) -> Option<(Self, u8, u32)> {
        let mut reader = Reader(datagram);
        let initiator_spi = IkeSpi(u64::from_be_bytes(*reader.array()?));
        let responder_spi = IkeSpi(u64::from_be_bytes(*reader.array()?));
        let next_payload = PayloadType(reader.u8()?);
        let version = reader.u8()?;
        let exchange = ExchangeType(reader.u8()?);
        let flags = Flags::from_octet(reader.u8()?);
        let message_id = reader.u32()?;
        let length = reader.u32()?;
        let header = Self { initiator_spi, responder_spi, next_payload, exchange, flags, message_id };
        Some((header, version, length))
    }

    /// The header on the wire, for a message of `length` octets.
    pub fn octets(&self, length: u32) -> [u8; Self::LENGTH] {
        let mut octets = [0; Self::LENGTH];
        let fields = self
            .initiator_spi
            .octets()
            .into_iter()
            .chain(self.responder_spi.octets())
            .chain([self.next_payload.0, Self::VERSION, self.exchange.0, self.flags.octet()])
            .chain(self.message_id.to_be_bytes())
            .chain(length.to_be_bytes());
        for (octet, field) in octets.iter_mut().zip(fields) {
            *octet = field;
        }
        octets
    }

    /// Whether this may be a message of no IKE SA, the one kind whose initiator's SPI may be zero: a hint that
    /// somebody does not know an SPI (RFC 7296 §1.5).
    fn may_be_unnamed(&self) -> bool {
        self.exchange == ExchangeType::INFORMATIONAL
            && self.next_payload == PayloadType::NOTIFY
            && self.flags == (Flags { initiator: true, response: false })
            && (self.responder_spi, self.message_id) == (IkeSpi::ZERO, 0)
    }

    /// What to do about a critical payload that is not understood: a response never has one, so
    /// there the bit is ignored (RFC 7296 §2.5).
    pub const fn critical(&self) -> Critical {
        if self.flags.response { Critical::Ignore } else { Critical::Refuse }
    }
}

/// A datagram that is one message of IKE version 2, without the non-ESP marker.
#[derive(Copy, Clone, Debug)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    octets: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks version, length and the initiator's SPI, which may be zero in a hint only (RFC 7296 §1.5).
    ///
    /// # Errors
    /// [`Malformed::HeaderTruncated`], [`Malformed::MajorVersion`], [`Malformed::MessageLength`],
    /// [`Malformed::ZeroInitiatorSpi`].
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let (header, version, length) = Header::fields(datagram).ok_or(Malformed::HeaderTruncated)?;
        if version >> 4 != Header::VERSION >> 4 {
            return Err(Malformed::MajorVersion(version >> 4));
        }
        if usize::try_from(length) != Ok(datagram.len()) {
            return Err(Malformed::MessageLength);
        }
        if header.initiator_spi == IkeSpi::ZERO && !header.may_be_unnamed() {
            return Err(Malformed::ZeroInitiatorSpi);
        }
        Ok(Self { header, octets: datagram })
    }

    /// All octets, header included: what is signed and what is hashed (RFC 7296 §2.15, §2.1).
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The payloads that are not encrypted, in their order.
    pub fn chain(&self) -> Chain<'a> {
        let body = self.octets.get(Header::LENGTH..).unwrap_or_default();
        Chain::new(self.header.next_payload, body, self.header.critical())
    }

    /// The payloads of a message that is not encrypted, each checked.
    ///
    /// # Errors
    /// Whatever is wrong with the chain or one of its payloads.
    pub fn payloads(&self) -> Result<Payloads<'a>, Malformed> {
        Payloads::parse(self.chain())
    }
}
