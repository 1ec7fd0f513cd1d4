//! Notify and Delete payloads (RFC 7296 §3.10, §3.11).

use ike_core::wire::Malformed;
use ike_core::wire::code_point::{PayloadType, Protocol};
use ike_core::wire::delete::{self, DeleteView};
use ike_core::wire::header::Message;
use ike_core::wire::notify::{NotifyType, NotifyView};
use ike_core::wire::transform::KeyExchangeMethod;
use ike_core::wire::writer::Writer;

use crate::support::{REQUEST, hex, message, part};

/// RFC 7296 §3.10: protocol, SPI size, type, SPI, data.
#[test]
fn a_notification_has_its_fields_where_the_rfc_draws_them() {
    let body = hex("03044009 aabbccdd 01");
    let notify = NotifyView::parse(&body).unwrap();
    let spi = [0xaa, 0xbb, 0xcc, 0xdd];
    let expected = NotifyView { protocol: Protocol::ESP, spi: &spi, kind: NotifyType::REKEY_SA, data: &[1] };
    assert_eq!(notify, expected);
    assert_eq!(notify.rekey_sa(), Some((Protocol::ESP, 0xaabb_ccdd)));
}

/// RFC 7296 §3.10: the SPI lies within the payload.
#[test]
fn an_spi_beyond_the_payload_is_refused() {
    for size in [1, 5, 255] {
        let body = [0, size, 0x40, 0x06];
        assert_eq!(NotifyView::parse(&body), Err(Malformed::PayloadTruncated(PayloadType::NOTIFY)));
    }
}

/// RFC 7296 §1.3.3: a Child SA is named by AH or ESP and four octets.
#[test]
fn rekey_sa_must_name_a_child_sa() {
    for protocol in [0, 1, 4, 255] {
        let body = [&[protocol, 4, 0x40, 0x09][..], &[1; 4]].concat();
        assert_eq!(NotifyView::parse(&body), Err(Malformed::RekeySa), "protocol {protocol}");
    }
    for size in [0_u8, 3, 5, 8] {
        let body = [&[3, size, 0x40, 0x09][..], &vec![1; usize::from(size)]].concat();
        assert_eq!(NotifyView::parse(&body), Err(Malformed::RekeySa), "size {size}");
    }
    assert!(NotifyView::parse(&[2, 4, 0x40, 0x09, 0, 0, 1, 0]).is_ok());
}

/// RFC 7296 §2.6: 1 to 64 octets.
#[test]
fn a_cookie_has_1_to_64_octets() {
    for (length, good) in [(0, false), (1, true), (64, true), (65, false)] {
        let data = vec![5; length];
        let notify = NotifyView::new(NotifyType::COOKIE, &data);
        assert_eq!(notify.cookie(), good.then_some(data.as_slice()));
    }
    assert_eq!(NotifyView::new(NotifyType::COOKIE2, &[1; 8]).cookie(), None);
}

/// RFC 7296 §2.23: SHA-1 has 20 octets; anything else is no digest.
#[test]
fn a_nat_detection_digest_has_20_octets() {
    for kind in [NotifyType::NAT_DETECTION_SOURCE_IP, NotifyType::NAT_DETECTION_DESTINATION_IP] {
        for length in [0, 19, 20, 21] {
            let data = vec![5; length];
            let digest = NotifyView::new(kind, &data).nat_detection();
            assert_eq!(digest, (length == 20).then_some(&[5; 20]));
        }
    }
}

/// RFC 7296 §1.2: two octets, the method that is wanted.
#[test]
fn invalid_ke_payload_names_a_method_in_two_octets() {
    for (data, expected) in [
        (&[0, 31][..], Some(KeyExchangeMethod::CURVE25519)),
        (&[0xff, 0xff], Some(KeyExchangeMethod(0xffff))),
        (&[], None),
        (&[31], None),
        (&[0, 0, 31], None),
    ] {
        assert_eq!(NotifyView::new(NotifyType::INVALID_KE_PAYLOAD, data).wanted_key_exchange(), expected);
    }
}

/// RFC 7296 §2.3: a window of nothing is none.
#[test]
fn a_window_size_is_four_octets_and_not_zero() {
    for (data, expected) in
        [(&[0, 0, 0, 3][..], Some(3)), (&[0xff; 4], Some(u32::MAX)), (&[0; 4], None), (&[0, 0, 3], None)]
    {
        assert_eq!(NotifyView::new(NotifyType::SET_WINDOW_SIZE, data).window_size(), expected);
    }
}

/// RFC 7296 §3.10.1: errors end at 16383.
#[test]
fn errors_lie_below_16384() {
    assert!(NotifyType::INVALID_SYNTAX.is_error() && NotifyType(16383).is_error());
    assert!(!NotifyType::INITIAL_CONTACT.is_error() && !NotifyType(65535).is_error());
    let octets = message(
        REQUEST,
        &[part(PayloadType::NOTIFY, &[0, 0, 0x40, 0]), part(PayloadType::NOTIFY, &[0, 0, 0, 14])],
    );
    let payloads = Message::parse(&octets).unwrap().payloads().unwrap();
    assert_eq!(payloads.error().map(|error| error.kind), Some(NotifyType::NO_PROPOSAL_CHOSEN));
    assert!(payloads.notify(NotifyType::INITIAL_CONTACT).is_some());
    assert_eq!(payloads.notify(NotifyType::COOKIE), None);
}

/// RFC 7296 §3.11: number × size is what follows, the size is the protocol's.
#[test]
fn a_delete_payload_that_lies_is_refused() {
    for body in [
        "03040001",
        "03040002 00000100",
        "03040000 00000100",
        "0304ffff 00000100",
        "03040001 000001",
        "03080001 0000010000000000",
        "03030001 000001",
        "03000001",
        "03000000",
        "01000001",
        "01040001 00000100",
        "01080000",
        "01000000 00",
        "00040001",
        "04ffffff 00",
    ] {
        assert_eq!(DeleteView::parse(&hex(body)), Err(Malformed::DeleteSpis), "{body}");
    }
}

/// RFC 7296 §1.4.1, §3.11: several SPIs of one protocol.
#[test]
fn the_spis_of_child_sas_are_read_in_their_order() {
    let body = hex("03040002 00000100 ffffffff");
    let view = DeleteView::parse(&body).unwrap();
    assert_eq!(view.protocol, Protocol::ESP);
    assert_eq!(view.spis().collect::<Vec<_>>(), [256, u32::MAX]);
}

/// RFC 7296 §3.11: what belongs to no protocol of ours names none of our SAs.
#[test]
fn a_delete_for_an_unknown_protocol_names_nothing() {
    for body in ["00000000", "00040001 00000100", "04040001 00000100"] {
        let body = hex(body);
        assert_eq!(DeleteView::parse(&body).unwrap().spis().count(), 0);
    }
}

/// RFC 7296 §3.11: several payloads may stand side by side.
#[test]
fn deletes_for_ike_and_esp_are_written_and_read() {
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
    delete::write_esp(&[0x100, 0x101], &mut writer).unwrap();
    delete::write_ike(&mut writer).unwrap();
    let payloads = Message::parse(writer.finish().unwrap()).unwrap().payloads().unwrap();
    let deletes: Vec<_> = payloads.deletes().map(|view| (view.protocol, view.spis().collect())).collect();
    assert_eq!(deletes, [(Protocol::ESP, vec![0x100, 0x101]), (Protocol::IKE, vec![])]);
}
