//! Identification payloads (RFC 7296 §3.5, RFC 7619 §2.2).

use ike_core::wire::Malformed;
use ike_core::wire::code_point::{IdType, PayloadType};
use ike_core::wire::id::{IdView, MAX_ID, MAX_NAME};
use ike_core::wire::notify::NotifyType;

fn refused(kind: IdType, data: &[u8]) -> bool {
    let parsed = IdView::new(kind, data);
    let refusal = Malformed::Identity(kind);
    assert_eq!(parsed.err(), parsed.is_err().then_some(refusal));
    assert_eq!(refusal.notify(), NotifyType::AUTHENTICATION_FAILED);
    parsed.is_err()
}

/// RFC 7296 §2.15: what is signed begins with the type and the reserved octets, as they came.
#[test]
fn type_and_reserved_octets_are_kept_for_the_mac() {
    let id = IdView::parse(PayloadType::IDI, &[2, 1, 2, 3, b'a']).unwrap();
    assert_eq!((id.kind, id.data, id.prefix()), (IdType::FQDN, &b"a"[..], [2, 1, 2, 3]));
    assert_eq!(IdView::new(IdType::FQDN, b"a").unwrap().prefix(), [2, 0, 0, 0]);
}

/// RFC 7296 §3.5: 4 and 16 octets.
#[test]
fn an_address_has_its_familys_length() {
    for length in [0, 3, 5, 16] {
        assert!(refused(IdType::IPV4_ADDR, &vec![1; length]), "{length}");
    }
    for length in [0, 4, 15, 17] {
        assert!(refused(IdType::IPV6_ADDR, &vec![1; length]), "{length}");
    }
    let address = IdView::new(IdType::IPV4_ADDR, &[192, 0, 2, 1]).unwrap().address();
    assert_eq!(address, Some([192, 0, 2, 1].into()));
    let address = IdView::new(IdType::IPV6_ADDR, &[1; 16]).unwrap().address();
    assert_eq!(address, Some([1; 16].into()));
}

/// RFC 7296 §3.5: ASCII without terminators; an empty name is nobody's.
#[test]
fn a_domain_name_is_printable_ascii() {
    for bad in ["", "a\0", "\0", "a b", "a\r", "a\n", "a\u{7f}", "bücher.example"] {
        assert!(refused(IdType::FQDN, bad.as_bytes()), "{bad:?}");
    }
    assert!(refused(IdType::FQDN, &[b'a'; MAX_NAME + 1]));
    assert!(!refused(IdType::FQDN, &[b'a'; MAX_NAME]));
    assert!(!refused(IdType::FQDN, b"router-1.example.org"));
}

/// RFC 7296 §3.5: mail addresses may be UTF-8, but have no terminators either.
#[test]
fn a_mail_address_is_text() {
    for bad in [&b""[..], b"a@b\0", b"a @b", b"a@\xff", &[b'a'; MAX_NAME + 1]] {
        assert!(refused(IdType::RFC822_ADDR, bad), "{bad:?}");
    }
    assert!(!refused(IdType::RFC822_ADDR, "jürgen@example.org".as_bytes()));
}

/// RFC 7619 §2.2: nobody has no data.
#[test]
fn id_null_has_no_data() {
    assert!(!refused(IdType::NULL, &[]));
    assert!(refused(IdType::NULL, &[0]));
}

/// No identity is empty or without bounds.
#[test]
fn opaque_identities_have_data_and_bounds() {
    for kind in [IdType::KEY_ID, IdType::DER_ASN1_DN, IdType::DER_ASN1_GN, IdType(200)] {
        assert!(refused(kind, &[]));
        assert!(!refused(kind, &[0]));
        assert!(!refused(kind, &[0; MAX_ID]));
        assert!(refused(kind, &[0; 5000]));
    }
}
