//! Messages of an attacker's making: in clear, or sealed with keys that a party gave away, so that
//! what is behind the integrity check can be tested too.

use esp_engine::crypto::{Associated, Cipher, RawKey};
use ike_core::crypto::Crypto;
use ike_core::crypto::software::Software;
use ike_core::output::{Event, IkeKeys};
use ike_core::wire::NoSpace;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::encrypted::{Encrypted, without_padding};
use ike_core::wire::header::{Flags, Header, IkeSpi, Message};
use ike_core::wire::writer::Writer;

use crate::pair::Side;

type SkCipher = <Software as Crypto>::Cipher;

/// Counters from here on are not used by the parties themselves.
const COUNTER: u64 = 1 << 40;

/// The keys that a side reported last.
pub fn keys(side: &Side) -> IkeKeys {
    let keys = side
        .events
        .iter()
        .rev()
        .find_map(|e| if let Event::Keys(keys) = e { Some(keys.clone()) } else { None });
    keys.expect("keys were reported")
}

/// A message in clear.
pub fn clear(header: &Header, payloads: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>) -> Vec<u8> {
    let mut room = vec![0; 65_000];
    let mut writer = Writer::new(&mut room, header).expect("room");
    payloads(&mut writer).expect("room");
    writer.finish().expect("room").to_vec()
}

/// A header of a first request.
pub fn init_header(spi: u64) -> Header {
    Header {
        initiator_spi: IkeSpi(spi),
        responder_spi: IkeSpi::ZERO,
        next_payload: PayloadType::NONE,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags { initiator: true, response: false },
        message_id: 0,
    }
}

/// A header within the IKE SA of these keys, from its initiator or its responder.
pub fn header(keys: &IkeKeys, exchange: ExchangeType, flags: Flags, message_id: u32) -> Header {
    Header {
        initiator_spi: IkeSpi(keys.spis.initiator),
        responder_spi: IkeSpi(keys.spis.responder),
        next_payload: PayloadType::NONE,
        exchange,
        flags,
        message_id,
    }
}

fn key_of<'k>(keys: &'k IkeKeys, header: &Header) -> &'k RawKey {
    if header.flags.initiator { &keys.initiator } else { &keys.responder }
}

/// A message whose SK payload holds these payloads, sealed by whom the header says.
pub fn sealed(
    keys: &IkeKeys,
    header: &Header,
    payloads: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>,
) -> Vec<u8> {
    let inner = clear(header, payloads);
    let first = Header::parse(&inner).expect("own").next_payload;
    sealed_text(keys, header, first, &inner[Header::LENGTH..])
}

/// A message whose SK payload holds these octets.
pub fn sealed_text(keys: &IkeKeys, header: &Header, first: PayloadType, text: &[u8]) -> Vec<u8> {
    let length = text.len() + 1 + 8 + 16 + 4;
    let total = u32::try_from(Header::LENGTH + length).expect("short");
    let mut message = Header { next_payload: PayloadType::SK, ..*header }.octets(total).to_vec();
    message.extend([first.0, 0]);
    message.extend(u16::try_from(length).expect("short").to_be_bytes());
    let (mut iv, mut icv) = ([0; 8], [0; 16]);
    let mut body = [text, &[0]].concat();
    let cipher = SkCipher::new(key_of(keys, header)).expect("known");
    cipher.seal(COUNTER, Associated::Message(&message), &mut iv, &mut body, &mut icv);
    [&message[..], &iv, &body, &icv].concat()
}

/// One of the fragments of a message, by number and total; they may be impossible ones.
pub fn fragment(
    keys: &IkeKeys,
    header: &Header,
    first: PayloadType,
    (number, total): (u16, u16),
    text: &[u8],
) -> Vec<u8> {
    let length = 8 + 8 + text.len() + 1 + 16;
    let all = u32::try_from(Header::LENGTH + length).expect("short");
    let mut message = Header { next_payload: PayloadType::SKF, ..*header }.octets(all).to_vec();
    message.extend([first.0, 0]);
    message.extend(u16::try_from(length).expect("short").to_be_bytes());
    message.extend(number.to_be_bytes());
    message.extend(total.to_be_bytes());
    let (mut iv, mut icv) = ([0; 8], [0; 16]);
    let mut body = [text, &[0]].concat();
    let cipher = SkCipher::new(key_of(keys, header)).expect("known");
    let counter = COUNTER + (u64::from(total) << 16) + u64::from(number);
    cipher.seal(counter, Associated::Message(&message), &mut iv, &mut body, &mut icv);
    [&message[..], &iv, &body, &icv].concat()
}

/// A sealed message cut into this many fragments.
pub fn cut(keys: &IkeKeys, datagram: &[u8], total: u16) -> Vec<Vec<u8>> {
    let (header, first, text) = opened(keys, datagram);
    let chunk = text.len().div_ceil(usize::from(total));
    let pieces = (1..=total).map(|number| {
        let start = (usize::from(number) - 1) * chunk;
        let piece = &text[start.min(text.len())..(start + chunk).min(text.len())];
        let first = if number == 1 { first } else { PayloadType::NONE };
        fragment(keys, &header, first, (number, total), piece)
    });
    pieces.collect()
}

/// What a sealed message says: header, type of the first payload, payloads.
pub fn opened(keys: &IkeKeys, datagram: &[u8]) -> (Header, PayloadType, Vec<u8>) {
    let mut octets = datagram.to_vec();
    let message = Message::parse(datagram).expect("a message");
    let header = message.header;
    let encrypted = Encrypted::find(&message).expect("well-formed").expect("sealed");
    let cipher = SkCipher::new(key_of(keys, &header)).expect("known");
    let parts = encrypted.parts(&mut octets, cipher.algorithm()).expect("long enough");
    cipher.open(Associated::Message(parts.associated), parts.iv, parts.text, parts.icv).expect("genuine");
    (header, encrypted.first, without_padding(parts.text).expect("padded").to_vec())
}

/// The same sealed message with other content.
pub fn altered(
    keys: &IkeKeys,
    datagram: &[u8],
    change: impl FnOnce(PayloadType, Vec<Payload>) -> Vec<Payload>,
) -> Vec<u8> {
    let (header, first, text) = opened(keys, datagram);
    let payloads = change(first, split(first, &text));
    let first = payloads.first().map_or(PayloadType::NONE, |payload| payload.kind);
    sealed_text(keys, &header, first, &join(&payloads))
}

/// A payload as octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload {
    /// Its type.
    pub kind: PayloadType,
    /// What is behind its generic header.
    pub body: Vec<u8>,
}

/// A chain taken apart.
pub fn split(first: PayloadType, mut text: &[u8]) -> Vec<Payload> {
    let mut payloads = Vec::new();
    let mut kind = first;
    while kind != PayloadType::NONE {
        let length = usize::from(u16::from_be_bytes([text[2], text[3]]));
        payloads.push(Payload { kind, body: text[4..length].to_vec() });
        kind = PayloadType(text[0]);
        text = &text[length..];
    }
    payloads
}

/// A chain put together.
pub fn join(payloads: &[Payload]) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        let next = payloads.get(index + 1).map_or(0, |next| next.kind.0);
        text.extend([next, 0]);
        text.extend(u16::try_from(payload.body.len() + 4).expect("short").to_be_bytes());
        text.extend(&payload.body);
    }
    text
}

/// A message in clear with other payloads.
pub fn altered_clear(datagram: &[u8], change: impl FnOnce(Vec<Payload>) -> Vec<Payload>) -> Vec<u8> {
    let header = Header::parse(datagram).expect("a header");
    let payloads = change(split(header.next_payload, &datagram[Header::LENGTH..]));
    let text = join(&payloads);
    let first = payloads.first().map_or(PayloadType::NONE, |payload| payload.kind);
    let total = u32::try_from(Header::LENGTH + text.len()).expect("short");
    [&Header { next_payload: first, ..header }.octets(total)[..], &text].concat()
}
