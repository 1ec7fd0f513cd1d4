//! The header and the chain of payloads (RFC 7296 §2.5, §3.1, §3.2).

use ike_core::wire::Malformed;
use ike_core::wire::chain::{Chain, Critical, MAX_PAYLOADS};
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header, IkeSpi, Message};
use ike_core::wire::nonce::NonceView;
use ike_core::wire::notify::{NotifyType, NotifyView};
use ike_core::wire::payloads::Payloads;
use ike_core::wire::writer::Writer;
use ike_core::wire::{NoSpace, vendor};

use crate::support::{REQUEST, RESPONSE, chain, critical, framed, hex, message, part};

const NONCE: [u8; 16] = [7; 16];
const UNKNOWN: PayloadType = PayloadType(200);

fn parse(octets: &[u8]) -> Result<Payloads<'_>, Malformed> {
    Message::parse(octets)?.payloads()
}

/// RFC 7296 §3.1: every field in its place.
#[test]
fn a_header_has_its_fields_where_the_rfc_draws_them() {
    let octets = hex("0102030405060708 1112131415161718 21202228 00000102 0000001c");
    let header = Header {
        initiator_spi: IkeSpi(0x0102_0304_0506_0708),
        responder_spi: IkeSpi(0x1112_1314_1516_1718),
        next_payload: PayloadType::SA,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags { initiator: true, response: true },
        message_id: 0x102,
    };
    assert_eq!(Header::parse(&octets), Ok(header));
    assert_eq!(header.octets(28), octets.as_slice());
}

/// RFC 7296 §3.1: the other flags must be ignored on receipt.
#[test]
fn reserved_flags_are_ignored() {
    let mut octets = message(REQUEST, &[]);
    octets[19] |= 0xd7;
    let header = Message::parse(&octets).unwrap().header;
    assert_eq!(header.flags, Flags { initiator: true, response: false });
}

/// RFC 7296 §3.1.
#[test]
fn datagrams_shorter_than_a_header_are_refused() {
    let octets = message(REQUEST, &[]);
    for length in 0..Header::LENGTH {
        assert_eq!(Message::parse(&octets[..length]).err(), Some(Malformed::HeaderTruncated));
        assert_eq!(Header::parse(&octets[..length]), Err(Malformed::HeaderTruncated));
    }
}

/// RFC 7296 §3.1: Length counts the whole message.
#[test]
fn a_length_that_is_not_the_datagrams_is_refused() {
    let good = message(REQUEST, &[part(PayloadType::NONCE, &NONCE)]);
    assert!(Message::parse(&good).is_ok());
    let real = u32::try_from(good.len()).unwrap();
    for length in [0, 27, 28, real - 1, real + 1, u32::MAX] {
        let mut octets = good.clone();
        octets[24..28].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Message::parse(&octets).err(), Some(Malformed::MessageLength), "{length}");
    }
}

/// RFC 7296 §2.5: another major version is told apart from garbage, the minor one is ignored.
#[test]
fn only_the_major_version_counts() {
    for (version, expected) in [
        (0x10, Some(Malformed::MajorVersion(1))),
        (0x2f, None),
        (0x30, Some(Malformed::MajorVersion(3))),
        (0xf0, Some(Malformed::MajorVersion(15))),
    ] {
        let mut octets = message(REQUEST, &[]);
        octets[17] = version;
        assert_eq!(Message::parse(&octets).err(), expected);
        assert_eq!(Header::parse(&octets), Ok(REQUEST));
    }
}

/// RFC 7296 §3.1: the initiator's SPI must not be zero.
#[test]
fn a_zero_initiator_spi_is_refused() {
    let octets = message(Header { initiator_spi: IkeSpi::ZERO, ..REQUEST }, &[]);
    assert_eq!(Message::parse(&octets).err(), Some(Malformed::ZeroInitiatorSpi));
}

/// RFC 7296 §3.2: the length includes the header's four octets.
#[test]
fn a_payload_shorter_than_its_header_is_refused() {
    for length in 0..4 {
        let body = [0, 0, 0, length, 0, 0, 0, 0];
        let octets = framed(REQUEST, PayloadType::NONCE, &body);
        assert_eq!(parse(&octets).err(), Some(Malformed::PayloadLength(PayloadType::NONCE)));
        let octets = framed(REQUEST, UNKNOWN, &body);
        assert_eq!(parse(&octets).err(), Some(Malformed::PayloadLength(UNKNOWN)));
    }
}

/// RFC 7296 §3.2.
#[test]
fn a_payload_that_reaches_beyond_the_message_is_refused() {
    for claimed in [21, u16::MAX] {
        let mut octets = message(REQUEST, &[part(PayloadType::NONCE, &NONCE)]);
        octets[30..32].copy_from_slice(&claimed.to_be_bytes());
        assert_eq!(parse(&octets).err(), Some(Malformed::PayloadLength(PayloadType::NONCE)));
    }
    for missing in 1..4 {
        let octets = framed(REQUEST, PayloadType::NONCE, &[0; 4][missing..]);
        assert_eq!(parse(&octets).err(), Some(Malformed::PayloadLength(PayloadType::NONCE)));
    }
}

/// RFC 7296 §3.3 to §3.13: each payload with nothing behind its generic header, and one octet short
/// of its fixed fields.
#[test]
fn payloads_shorter_than_their_fixed_fields_are_refused() {
    let fixed = [
        (PayloadType::KE, 4),
        (PayloadType::IDI, 4),
        (PayloadType::IDR, 4),
        (PayloadType::CERT, 1),
        (PayloadType::CERTREQ, 1),
        (PayloadType::AUTH, 4),
        (PayloadType::NOTIFY, 4),
        (PayloadType::DELETE, 4),
        (PayloadType::TSI, 4),
        (PayloadType::TSR, 4),
    ];
    for (kind, length) in fixed {
        for short in [0, length - 1] {
            let octets = message(REQUEST, &[part(kind, &vec![0; short])]);
            assert_eq!(parse(&octets).err(), Some(Malformed::PayloadTruncated(kind)), "{kind:?} {short}");
        }
    }
    let octets = message(REQUEST, &[part(PayloadType::SA, &[])]);
    assert_eq!(parse(&octets).err(), Some(Malformed::PayloadTruncated(PayloadType::SA)));
    for short in 1..8 {
        let octets = message(REQUEST, &[part(PayloadType::SA, &[0; 8][..short])]);
        assert_eq!(parse(&octets).err(), Some(Malformed::SubstructureLength));
    }
}

/// The number of payloads is bounded, whatever they are.
#[test]
fn a_flood_of_tiny_payloads_is_refused() {
    for kind in [PayloadType::VENDOR_ID, UNKNOWN] {
        let most: Vec<_> = (0..MAX_PAYLOADS).map(|_| part(kind, &[])).collect();
        assert!(parse(&message(REQUEST, &most)).is_ok());
        let one_more: Vec<_> = (0..=MAX_PAYLOADS).map(|_| part(kind, &[])).collect();
        assert_eq!(parse(&message(REQUEST, &one_more)).err(), Some(Malformed::TooManyPayloads));
        let many: Vec<_> = (0..500).map(|_| part(kind, &[0; 28])).collect();
        assert_eq!(parse(&message(REQUEST, &many)).err(), Some(Malformed::TooManyPayloads));
    }
}

/// RFC 7296 §2.5: payloads that are not understood and not critical are skipped.
#[test]
fn unknown_payloads_are_skipped() {
    for kind in (1..=32).chain([49, 52, 54, 127, 254, 255]).map(PayloadType) {
        let mut parts: Vec<_> = (0..30).map(|_| part(kind, &[1, 2, 3])).collect();
        parts.push(part(PayloadType::NONCE, &NONCE));
        let octets = message(REQUEST, &parts);
        let payloads = parse(&octets).unwrap();
        assert_eq!(payloads.nonce, NonceView::parse(&NONCE).ok(), "{kind:?}");
    }
}

/// RFC 7296 §2.5: a critical one refuses the request, and its type is what the answer carries.
#[test]
fn an_unknown_critical_payload_refuses_a_request() {
    let octets = message(REQUEST, &[part(PayloadType::NONCE, &NONCE), critical(UNKNOWN, &[1])]);
    let refusal = parse(&octets).err().unwrap();
    assert_eq!(refusal, Malformed::UnknownCritical(UNKNOWN));
    assert_eq!(refusal.notify(), NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD);
    let (first, inside) = chain(&[critical(UNKNOWN, &[])], PayloadType::NONE);
    let inside = Payloads::parse(Chain::inside(first, &inside, Critical::Refuse));
    assert_eq!(inside.err(), Some(Malformed::UnknownCritical(UNKNOWN)));
}

/// RFC 7296 §2.5: responses do not carry the bit, so it means nothing there.
#[test]
fn an_unknown_critical_payload_is_skipped_in_a_response() {
    let octets = message(RESPONSE, &[critical(UNKNOWN, &[1]), part(PayloadType::NONCE, &NONCE)]);
    assert!(parse(&octets).unwrap().nonce.is_some());
}

/// RFC 7296 §2.5: the bit is ignored in a payload that is understood.
#[test]
fn a_known_critical_payload_is_read_like_any_other() {
    let octets = message(REQUEST, &[critical(PayloadType::NONCE, &NONCE)]);
    assert!(parse(&octets).unwrap().nonce.is_some());
}

/// A second payload of what a message carries once is refused; neither the first nor the last wins.
#[test]
fn single_payloads_are_refused_when_they_come_twice() {
    let sa = hex("00000018 01010002 03000008 0100001c 00000008 02000005");
    let ts = hex("01000000 07000010 0000ffff c0000201 c0000201");
    let id = hex("02000000 61");
    let single: [(PayloadType, &[u8]); 10] = [
        (PayloadType::SA, &sa),
        (PayloadType::KE, &[0, 31, 0, 0, 1]),
        (PayloadType::NONCE, &NONCE),
        (PayloadType::IDI, &id),
        (PayloadType::IDR, &id),
        (PayloadType::AUTH, &[2, 0, 0, 0, 1]),
        (PayloadType::TSI, &ts),
        (PayloadType::TSR, &ts),
        (PayloadType::CP, &[1, 0, 0, 0]),
        (PayloadType::EAP, &[1, 0, 0, 4]),
    ];
    for (kind, body) in single {
        let once = [part(PayloadType::VENDOR_ID, &[]), part(kind, body)];
        assert!(parse(&message(REQUEST, &once)).is_ok(), "{kind:?}");
        let twice = [part(kind, body), part(PayloadType::VENDOR_ID, &[]), part(kind, body)];
        assert_eq!(parse(&message(REQUEST, &twice)).err(), Some(Malformed::Duplicate(kind)));
    }
}

/// RFC 7296 §3.2: Next Payload zero means the end.
#[test]
fn octets_behind_the_last_payload_are_refused() {
    let (first, mut octets) = chain(&[part(PayloadType::NONCE, &NONCE)], PayloadType::NONE);
    for _ in 0..4 {
        octets.push(0);
        assert_eq!(parse(&framed(REQUEST, first, &octets)).err(), Some(Malformed::TrailingOctets));
    }
    assert_eq!(parse(&framed(REQUEST, PayloadType::NONE, &[0])).err(), Some(Malformed::TrailingOctets));
}

/// RFC 7296 §1.4: an INFORMATIONAL message may carry nothing.
#[test]
fn a_message_without_payloads_is_good() {
    assert!(parse(&message(REQUEST, &[])).is_ok());
}

/// RFC 7296 §3.12: a Vendor ID is passed over, and lent, not copied.
#[test]
fn vendor_ids_are_lent_and_must_fit() {
    let id = vec![3; 1000];
    let octets = message(REQUEST, &[part(PayloadType::VENDOR_ID, &id), part(PayloadType::VENDOR_ID, &[])]);
    let ids: Vec<_> = parse(&octets).unwrap().vendor_ids().collect();
    assert_eq!(ids, [id.as_slice(), &[]]);
    assert_eq!(ids[0].as_ptr(), octets[32..].as_ptr());
    let mut octets = octets;
    octets[30..32].copy_from_slice(&60_000_u16.to_be_bytes());
    assert_eq!(parse(&octets).err(), Some(Malformed::PayloadLength(PayloadType::VENDOR_ID)));
}

/// RFC 7296 §3.9: 16 to 256 octets.
#[test]
fn a_nonce_has_16_to_256_octets() {
    for (length, good) in [(0, false), (15, false), (16, true), (256, true), (257, false)] {
        let octets = message(REQUEST, &[part(PayloadType::NONCE, &vec![1; length])]);
        assert_eq!(parse(&octets).err(), (!good).then_some(Malformed::NonceLength), "{length}");
    }
}

/// RFC 7296 §3.2: the writer links the payloads and counts the octets.
#[test]
fn the_writer_fills_in_next_payloads_and_lengths() {
    let mut buffer = [0xaa; 256];
    let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
    NonceView::parse(&NONCE).unwrap().write(&mut writer).unwrap();
    NotifyView::new(NotifyType::COOKIE, &[9; 8]).write(&mut writer).unwrap();
    let written = writer.finish().unwrap();
    let notify = [&[0, 0, 0x40, 0x06][..], &[9; 8]].concat();
    let parts = [part(PayloadType::NONCE, &NONCE), part(PayloadType::NOTIFY, &notify)];
    assert_eq!(written, message(REQUEST, &parts).as_slice());
}

/// A payload that does not fit is taken back; the message before it stays whole.
#[test]
fn a_payload_without_space_leaves_the_message_as_it_was() {
    for room in 0..24 {
        let mut buffer = vec![0; Header::LENGTH + 4 + 3 + room];
        let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
        vendor::write(b"abc", &mut writer).unwrap();
        let nonce = NonceView::parse(&NONCE).unwrap().write(&mut writer);
        assert_eq!(nonce, if room < 20 { Err(NoSpace) } else { Ok(()) });
        let written = writer.finish().unwrap();
        let payloads = parse(written).unwrap();
        assert_eq!(payloads.nonce.is_some(), room >= 20);
        assert_eq!(payloads.vendor_ids().collect::<Vec<_>>(), [b"abc"]);
    }
}

/// RFC 7296 §3.2: a payload's length has 16 bits.
#[test]
fn a_payload_longer_than_its_length_field_is_not_written() {
    let mut buffer = vec![0; 70_000];
    let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
    assert_eq!(vendor::write(&[0; 65_532], &mut writer), Err(NoSpace));
    assert_eq!(vendor::write(&[0; 65_531], &mut writer), Ok(()));
    assert_eq!(writer.finish().unwrap().len(), Header::LENGTH + 65_535);
}

/// A header needs its 28 octets.
#[test]
fn a_buffer_smaller_than_a_header_is_no_place_for_a_message() {
    for length in 0..Header::LENGTH {
        assert_eq!(Writer::new(&mut vec![0; length], &REQUEST).err(), Some(NoSpace));
    }
}
