//! The chain of payloads (RFC 7296 §3.2, §2.5): each names the type of the next.
//!
//! Unknown payloads are skipped, or refused when they are critical. An encrypted payload ends its
//! chain: what its Next Payload names lies inside (§3.14).

use super::Malformed;
use super::code_point::PayloadType;
use super::reader::Reader;

/// More payloads than this in one chain are refused, unknown ones counted.
pub const MAX_PAYLOADS: usize = 32;

/// Octets of the generic payload header.
pub const PAYLOAD_HEADER: usize = 4;

const CRITICAL: u8 = 0x80;

/// What to do about a critical payload that is not understood (RFC 7296 §2.5).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Critical {
    /// Refuse the message: it is a request.
    Refuse,
    /// Skip the payload like any other: it is a response.
    Ignore,
}

/// A payload of a known type, its body not yet looked at.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RawPayload<'a> {
    /// Its type.
    pub kind: PayloadType,
    /// The type that its header names as next: for SK and SKF that of the first payload inside.
    pub next: PayloadType,
    /// The critical bit and the reserved ones.
    pub flags: u8,
    /// What follows its generic header.
    pub body: &'a [u8],
}

/// Iterates over the payloads of known types. It ends after the first error.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    next: PayloadType,
    rest: &'a [u8],
    critical: Critical,
    inside: bool,
    count: usize,
}

impl<'a> Chain<'a> {
    /// The chain directly behind an IKE header.
    pub const fn new(first: PayloadType, octets: &'a [u8], critical: Critical) -> Self {
        Self { next: first, rest: octets, critical, inside: false, count: 0 }
    }

    /// The chain inside an encrypted payload, where no other encrypted payload may be.
    pub const fn inside(first: PayloadType, text: &'a [u8], critical: Critical) -> Self {
        Self { next: first, rest: text, critical, inside: true, count: 0 }
    }

    /// The next payload, known or not, and whether it is critical; `Ok(None)` at the end.
    fn step(&mut self) -> Result<Option<(RawPayload<'a>, bool)>, Malformed> {
        let kind = self.next;
        if kind == PayloadType::NONE {
            return if self.rest.is_empty() { Ok(None) } else { Err(Malformed::TrailingOctets) };
        }
        if self.count == MAX_PAYLOADS {
            return Err(Malformed::TooManyPayloads);
        }
        if self.inside && kind.is_encrypted() {
            return Err(Malformed::NestedEncrypted);
        }
        self.count = self.count.saturating_add(1);
        let (next, flags, body, rest) = split_payload(self.rest).ok_or(Malformed::PayloadLength(kind))?;
        self.rest = rest;
        self.next = if kind.is_encrypted() { PayloadType::NONE } else { next };
        Ok(Some((RawPayload { kind, next, flags, body }, flags & CRITICAL != 0)))
    }

    fn next_known(&mut self) -> Result<Option<RawPayload<'a>>, Malformed> {
        while let Some((payload, critical)) = self.step()? {
            if payload.kind.name().is_some() {
                return Ok(Some(payload));
            }
            if critical && self.critical == Critical::Refuse {
                return Err(Malformed::UnknownCritical(payload.kind));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Result<RawPayload<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_known().transpose();
        if matches!(item, Some(Err(_))) {
            self.next = PayloadType::NONE;
            self.rest = &[];
        }
        item
    }
}

/// Next Payload, flags, body, and what lies behind.
fn split_payload(octets: &[u8]) -> Option<(PayloadType, u8, &[u8], &[u8])> {
    let mut reader = Reader(octets);
    let next = PayloadType(reader.u8()?);
    let flags = reader.u8()?;
    let length = usize::from(reader.u16()?);
    let body = reader.octets(length.checked_sub(PAYLOAD_HEADER)?)?;
    Some((next, flags, body, reader.0))
}
