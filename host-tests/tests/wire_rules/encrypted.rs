//! Encrypted payloads (RFC 7296 §3.14, RFC 5282, RFC 7383 §2.5).

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Associated, Cipher, RawKey};
use ike_core::wire::Malformed;
use ike_core::wire::chain::Chain;
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::encrypted::{Encrypted, EncryptedWriter, Fragment, OpenError, capacity, without_padding};
use ike_core::wire::header::Message;
use ike_core::wire::nonce::NonceView;
use ike_core::wire::notify::{NotifyType, NotifyView};
use ike_core::wire::payloads::Payloads;

use crate::support::{REQUEST, chain, critical, framed, message, part};

/// What an IKE SA may use.
fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_confidential())
}

fn cipher(algorithm: Algorithm) -> SoftwareCipher {
    let key = vec![0x5a; algorithm.key_length()];
    SoftwareCipher::new(&RawKey::new(algorithm, &key).unwrap()).unwrap()
}

/// A message whose SK payload holds a nonce.
fn sealed(algorithm: Algorithm) -> Vec<u8> {
    let mut buffer = [0xaa; 256];
    let mut writer = EncryptedWriter::new(&mut buffer, &REQUEST, algorithm).unwrap();
    NonceView::parse(&[7; 16]).unwrap().write(writer.payloads()).unwrap();
    NotifyView::new(NotifyType::INITIAL_CONTACT, &[]).write(writer.payloads()).unwrap();
    writer.seal(&cipher(algorithm), 1).unwrap().to_vec()
}

fn find(octets: &[u8]) -> Result<Option<Encrypted>, Malformed> {
    Encrypted::find(&Message::parse(octets)?)
}

/// An SK payload around `text` as it is, padding included.
fn around(text: &[u8]) -> Vec<u8> {
    let algorithm = Algorithm::ChaCha20Poly1305;
    let body = [&[0; 8], text, &[0; 16]].concat();
    let mut octets = message(REQUEST, &[part(PayloadType::SK, &body)]);
    let parts = find(&octets).unwrap().unwrap().parts(&mut octets, algorithm).unwrap();
    cipher(algorithm).seal(3, Associated::Message(parts.associated), parts.iv, parts.text, parts.icv);
    octets
}

/// RFC 5282 §5.1: what is sealed opens, and the payloads are those that were written.
#[test]
fn what_is_sealed_opens() {
    for algorithm in algorithms() {
        let mut octets = sealed(algorithm);
        let header = Message::parse(&octets).unwrap().header;
        let encrypted = find(&octets).unwrap().unwrap();
        assert_eq!((encrypted.first, encrypted.fragment), (PayloadType::NONCE, None));
        let text = encrypted.open(&mut octets, &cipher(algorithm)).unwrap();
        let payloads = Payloads::parse(encrypted.chain(&header, text)).unwrap();
        assert_eq!(payloads.nonce, NonceView::parse(&[7; 16]).ok());
        assert!(payloads.notify(NotifyType::INITIAL_CONTACT).is_some());
    }
}

/// RFC 7296 §3.14, RFC 5282 §3: header, SK header, IV, payloads, one octet of pad length, ICV.
#[test]
fn an_encrypted_message_is_laid_out_as_the_rfc_draws_it() {
    let mut octets = sealed(Algorithm::Aes128Gcm16);
    assert_eq!(octets.len(), 28 + 4 + 8 + 20 + 8 + 1 + 16);
    assert_eq!(octets[16], PayloadType::SK.0);
    assert_eq!(octets[28..32], [PayloadType::NONCE.0, 0, 0, 57]);
    let before = octets.clone();
    let parts = find(&before).unwrap().unwrap().parts(&mut octets, Algorithm::Aes128Gcm16).unwrap();
    assert_eq!(parts.associated, &before[..32]);
    assert_eq!((parts.iv.len(), parts.text.len(), parts.icv.len()), (8, 29, 16));
}

/// RFC 7296 §3.14: with a cipher of blocks the padding fills the last one, and a text that is not whole
/// blocks is nobody's message.
#[test]
fn padding_fills_the_cipher_block() {
    let algorithm = Algorithm::Aes128CbcHmacSha256;
    for length in 16..64 {
        let mut buffer = [0xaa; 256];
        let mut writer = EncryptedWriter::new(&mut buffer, &REQUEST, algorithm).unwrap();
        NonceView::parse(&vec![7; length]).unwrap().write(writer.payloads()).unwrap();
        let mut octets = writer.seal(&cipher(algorithm), 1).unwrap().to_vec();
        let encrypted = find(&octets).unwrap().unwrap();
        let blocks = (4 + length + 1).next_multiple_of(16);
        assert_eq!(octets.len(), 28 + 4 + 16 + blocks + 16, "no more than is needed");
        for torn in 1..16 {
            let mut shorter = octets[..octets.len() - torn].to_vec();
            assert_eq!(encrypted.open(&mut shorter, &cipher(algorithm)), Err(OpenError::Truncated));
        }
        let text = encrypted.open(&mut octets, &cipher(algorithm)).unwrap();
        assert_eq!((text.len(), &text[4..]), (4 + length, &vec![7; length][..]));
    }
}

/// RFC 7383 §2.5.1: what is said to fit a datagram fits, and no octet more, whatever the cipher's block.
#[test]
fn a_fragment_fills_its_datagram_and_no_more() {
    for algorithm in algorithms() {
        for datagram in 548..600 {
            let length = |text: usize| {
                let (mut buffer, fragment) = ([0; 700], Fragment::new(2, 3));
                let mut writer = EncryptedWriter::begin(&mut buffer, &REQUEST, algorithm, fragment).unwrap();
                writer.put(PayloadType::NONE, &vec![7; text]).unwrap();
                writer.seal(&cipher(algorithm), 1).unwrap().len()
            };
            let most = capacity(datagram, algorithm);
            assert!(length(most) <= datagram && length(most + 1) > datagram, "{algorithm:?} {datagram}");
        }
    }
}

/// RFC 7296 §1.4: an empty request has an SK payload with nothing inside.
#[test]
fn an_empty_encrypted_message_opens() {
    let mut buffer = [0; 64];
    let algorithm = Algorithm::ChaCha20Poly1305;
    let writer = EncryptedWriter::new(&mut buffer, &REQUEST, algorithm).unwrap();
    let octets = writer.seal(&cipher(algorithm), 1).unwrap();
    let encrypted = find(octets).unwrap().unwrap();
    assert_eq!(encrypted.first, PayloadType::NONE);
    assert_eq!(encrypted.open(octets, &cipher(algorithm)), Ok(&[][..]));
}

/// RFC 5282 §5.1: header, IV, text and ICV are all authentic or the message is nobody's.
#[test]
fn a_message_with_any_bit_flipped_does_not_open() {
    for algorithm in algorithms() {
        let good = sealed(algorithm);
        let encrypted = find(&good).unwrap().unwrap();
        for at in 0..good.len() {
            let mut octets = good.clone();
            octets[at] ^= 1;
            assert_eq!(encrypted.open(&mut octets, &cipher(algorithm)), Err(OpenError::Forged), "{at}");
        }
    }
}

/// RFC 7296 §3.14: IV, pad length and ICV need their octets.
#[test]
fn an_sk_payload_without_room_for_iv_pad_length_and_icv_is_refused() {
    for length in 0..25 {
        let mut octets = message(REQUEST, &[part(PayloadType::SK, &vec![0; length])]);
        let encrypted = find(&octets).unwrap().unwrap();
        for algorithm in algorithms() {
            let parts = encrypted.parts(&mut octets, algorithm);
            assert_eq!(parts.err(), Some(Malformed::EncryptedTruncated), "{length}");
            let opened = encrypted.open(&mut octets, &cipher(algorithm));
            assert_eq!(opened, Err(OpenError::Truncated));
        }
    }
}

/// RFC 7296 §3.14: the pad length is the peer's word even when the ICV is good.
#[test]
fn more_padding_than_text_is_refused() {
    for (text, expected) in [
        (&[0][..], Ok(&[][..])),
        (&[1], Err(OpenError::Padding)),
        (&[255], Err(OpenError::Padding)),
        (&[9, 1], Ok(&[])),
        (&[9, 2], Err(OpenError::Padding)),
        (&[1, 2, 3, 4, 2], Ok(&[1, 2])),
    ] {
        let mut octets = around(text);
        let encrypted = find(&octets).unwrap().unwrap();
        assert_eq!(encrypted.open(&mut octets, &cipher(Algorithm::ChaCha20Poly1305)), expected);
        assert_eq!(without_padding(text).map_err(|_| OpenError::Padding), expected);
    }
    assert_eq!(without_padding(&[]), Err(Malformed::Padding));
}

/// RFC 7296 §3.14: the encrypted payload is the last.
#[test]
fn an_encrypted_payload_that_is_not_the_last_is_refused() {
    let long = [0; 40];
    for kind in [PayloadType::SK, PayloadType::SKF] {
        for behind in [PayloadType::NONCE, PayloadType::SK, PayloadType::SKF] {
            let octets = message(REQUEST, &[part(kind, &long), part(behind, &long)]);
            assert_eq!(find(&octets), Err(Malformed::TrailingOctets), "{behind:?} behind {kind:?}");
        }
    }
}

/// RFC 7296 §3.14: encrypted payloads do not nest.
#[test]
fn an_encrypted_payload_inside_another_is_refused() {
    for kind in [PayloadType::SK, PayloadType::SKF] {
        let (first, text) = chain(&[part(kind, &[0; 40])], PayloadType::NONE);
        let inside = Chain::inside(first, &text, REQUEST.critical());
        assert_eq!(Payloads::parse(inside).err(), Some(Malformed::NestedEncrypted));
    }
}

/// RFC 7296 §2.5, §3.14: what stands before SK is not encrypted. Unknown payloads there are skipped or
/// refused by the critical bit; known ones are never among the payloads that count.
#[test]
fn payloads_before_sk_are_not_trusted() {
    let (first, inside) = chain(&[part(PayloadType::NONCE, &[7; 16])], PayloadType::NONE);
    let body = [&[0; 8], inside.as_slice(), &[0], &[0; 16]].concat();
    let parts = [part(PayloadType::NOTIFY, &[0, 0, 0x40, 0]), part(PayloadType::SK, &body)];
    let (outer, octets) = chain(&parts, first);
    let mut octets = framed(REQUEST, outer, &octets);
    let header = Message::parse(&octets).unwrap().header;
    let encrypted = find(&octets).unwrap().unwrap();
    let cipher = cipher(Algorithm::Aes128Gcm16);
    let parts = encrypted.parts(&mut octets, Algorithm::Aes128Gcm16).unwrap();
    assert_eq!(parts.associated.len(), 28 + 8 + 4);
    cipher.seal(1, Associated::Message(parts.associated), parts.iv, parts.text, parts.icv);
    let text = encrypted.open(&mut octets, &cipher).unwrap();
    let payloads = Payloads::parse(encrypted.chain(&header, text)).unwrap();
    assert!(payloads.nonce.is_some());
    assert_eq!(payloads.notifies().count(), 0);

    let unknown = PayloadType(200);
    let octets = message(REQUEST, &[critical(unknown, &[]), part(PayloadType::SK, &[0; 40])]);
    assert_eq!(find(&octets), Err(Malformed::UnknownCritical(unknown)));
}

/// A message in clear has no encrypted payload.
#[test]
fn nothing_encrypted_is_found_in_clear() {
    assert_eq!(find(&message(REQUEST, &[part(PayloadType::NONCE, &[7; 16])])), Ok(None));
    assert_eq!(find(&message(REQUEST, &[])), Ok(None));
}

/// RFC 7383 §2.5: 1 ≤ number ≤ total, four octets before the IV.
#[test]
fn a_fragment_has_a_number_up_to_its_total() {
    for (number, total, good) in [
        (1, 1, true),
        (3, 3, true),
        (1, 65535, true),
        (0, 1, false),
        (0, 0, false),
        (1, 0, false),
        (4, 3, false),
        (65535, 1, false),
    ] {
        let (number, total): (u16, u16) = (number, total);
        let body = [&number.to_be_bytes()[..], &total.to_be_bytes(), &[0; 30]].concat();
        let (first, octets) = chain(&[part(PayloadType::SKF, &body)], PayloadType::IDI);
        let mut octets = framed(REQUEST, first, &octets);
        let found = find(&octets);
        if !good {
            assert_eq!(found, Err(Malformed::FragmentNumber), "{number} of {total}");
            continue;
        }
        let encrypted = found.unwrap().unwrap();
        assert_eq!((encrypted.first, encrypted.fragment), (PayloadType::IDI, Fragment::new(number, total)));
        let parts = encrypted.parts(&mut octets, Algorithm::Aes128Gcm16).unwrap();
        assert_eq!((parts.associated.len(), parts.text.len()), (36, 6));
    }
    for length in 0..4 {
        let octets = message(REQUEST, &[part(PayloadType::SKF, &[1; 4][..length])]);
        assert_eq!(find(&octets), Err(Malformed::PayloadTruncated(PayloadType::SKF)));
    }
}

/// A buffer one octet too small yields no message.
#[test]
fn an_encrypted_message_needs_room_for_its_icv() {
    let algorithm = Algorithm::Aes256Gcm16;
    for length in 0..57 {
        let mut buffer = vec![0; length];
        let sealed = EncryptedWriter::new(&mut buffer, &REQUEST, algorithm)
            .and_then(|writer| writer.seal(&cipher(algorithm), 1).map(|message| message.len()));
        assert!(sealed.is_err(), "{length}");
    }
}
