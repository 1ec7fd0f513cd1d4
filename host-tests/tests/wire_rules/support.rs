//! Messages put together octet by octet, so that they can be wrong.

use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header, IkeSpi};

pub const REQUEST: Header = Header {
    initiator_spi: IkeSpi(0x0102_0304_0506_0708),
    responder_spi: IkeSpi::ZERO,
    next_payload: PayloadType::NONE,
    exchange: ExchangeType::IKE_SA_INIT,
    flags: Flags { initiator: true, response: false },
    message_id: 0,
};

pub const RESPONSE: Header = Header {
    responder_spi: IkeSpi(0x1112_1314_1516_1718),
    flags: Flags { initiator: false, response: true },
    ..REQUEST
};

/// A payload before it has its place in a chain.
pub struct Part<'a> {
    pub kind: PayloadType,
    pub critical: bool,
    pub body: &'a [u8],
}

pub fn part(kind: PayloadType, body: &[u8]) -> Part<'_> {
    Part { kind, critical: false, body }
}

pub fn critical(kind: PayloadType, body: &[u8]) -> Part<'_> {
    Part { kind, critical: true, body }
}

/// The chain's first type and its octets; `last` is the Next Payload of the last.
pub fn chain(parts: &[Part<'_>], last: PayloadType) -> (PayloadType, Vec<u8>) {
    let mut octets = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let next = parts.get(index + 1).map_or(last, |next| next.kind);
        octets.extend([next.0, if part.critical { 0x80 } else { 0 }]);
        octets.extend(u16::try_from(part.body.len() + 4).unwrap().to_be_bytes());
        octets.extend(part.body);
    }
    (parts.first().map_or(last, |part| part.kind), octets)
}

/// A message with `header` and the given octets behind it.
pub fn framed(header: Header, first: PayloadType, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(Header::LENGTH + body.len()).unwrap();
    let mut message = Header { next_payload: first, ..header }.octets(length).to_vec();
    message.extend(body);
    message
}

/// A message with `header` and these payloads.
pub fn message(header: Header, parts: &[Part<'_>]) -> Vec<u8> {
    let (first, octets) = chain(parts, PayloadType::NONE);
    framed(header, first, &octets)
}

/// The octets of a hexadecimal string; white space is skipped.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}
