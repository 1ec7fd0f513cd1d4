//! Certificate payloads, and the keys in them (RFC 7296 §3.6, RFC 7670, RFC 8410, RFC 5280).

use ike_core::crypto::PublicKey;
use ike_core::wire::Malformed;
use ike_core::wire::cert::{CertRequestView, CertView};
use ike_core::wire::code_point::{CertEncoding, PayloadType};
use ike_core::wire::header::Message;
use ike_core::wire::spki;
use ike_core::wire::writer::Writer;

use crate::support::{REQUEST, critical, hex, message, part};

/// The key of RFC 7670 Appendix A.1.
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004
    cb28e0999b9c7715fd0a80d8e47a77079716cbbf917dd72e97566ea1c066957c
    2b57c0235fb7489768d058ff4911c20fdbe71e3699d91339afbb903ee17255dc";

/// The key of RFC 8410 §10.1.
const ED25519: &str =
    "302a300506032b6570032100 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

/// A self-signed certificate with an Ed25519 key.
const ED25519_CERTIFICATE: &str = "
    3082013c3081efa003020102021424076629611fd67424c93d77440d4843fa7870a7300506032b657030143112301006035504030c0961
    2e6578616d706c65301e170d3236313132333139333235365a170d3336313132303139333235365a30143112301006035504030c09612e
    6578616d706c65302a300506032b6570032100e36783c9457117f19716020bf04756e9176989f9c8f2b5d0ef1e19941a334589a3533051
    301d0603551d0e04160414919e8f781db3b16ce0e3beb5361d32149573b046301f0603551d23041830168014919e8f781db3b16ce0e3be
    b5361d32149573b046300f0603551d130101ff040530030101ff300506032b65700341006ded24cbeab61114a342ab8a9256551713d858
    7bbc593595a39dda21e94c0cbad3fcfde5b6b815bfb881b40c899880cc81692a39f7160bbefc59ac294a916605";

/// A self-signed certificate with a P-256 key.
const P256_CERTIFICATE: &str = "
    3082017c30820123a00302010202140d1ee04235d543311c02fe75704cbff51acf98f0300a06082a8648ce3d0403023014311230100603
    5504030c09612e6578616d706c65301e170d3236313132333139333235365a170d3336313132303139333235365a301431123010060355
    04030c09612e6578616d706c653059301306072a8648ce3d020106082a8648ce3d03010703420004bfc4f14fb3a126d067e0320318955b
    61cc23d090e877a116975254f94c38fe6cb11cb095e70bebc400f53206391653f4578f5d6b17c1a6ea28d8e409bc970255a3533051301d
    0603551d0e04160414f54ea1060e045ae12af7a21a9ddd1339c1688417301f0603551d23041830168014f54ea1060e045ae12af7a21a9d
    dd1339c1688417300f0603551d130101ff040530030101ff300a06082a8648ce3d040302034700304402203a6f20b0e6890a1a95c6a747
    df9eb233af488b86e74fa26dd40479e264cd4d2d0220014a470b54eace409e76cbf70f869a4bfd757e0d0bb29e7bcadd2b6aba0694a3";

fn certificates() -> [(Vec<u8>, PublicKey); 2] {
    let ed25519 = hex("e36783c9457117f19716020bf04756e9176989f9c8f2b5d0ef1e19941a334589");
    let p256 = hex("bfc4f14fb3a126d067e0320318955b61cc23d090e877a116975254f94c38fe6c
                    b11cb095e70bebc400f53206391653f4578f5d6b17c1a6ea28d8e409bc970255");
    [
        (hex(ED25519_CERTIFICATE), PublicKey::Ed25519(ed25519.try_into().unwrap())),
        (hex(P256_CERTIFICATE), PublicKey::EcdsaP256(p256.try_into().unwrap())),
    ]
}

/// RFC 7670 Appendix A.1: the CERT payload, header included.
#[test]
fn the_cert_payload_of_rfc_7670_is_read_and_written() {
    let key = hex(P256);
    let payload = [hex("00000060 0f"), key.clone()].concat();
    let cert = CertView { encoding: CertEncoding::RAW_PUBLIC_KEY, data: &key };
    let mut buffer = [0; 256];
    let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
    cert.write(&mut writer).unwrap();
    let octets = writer.finish().unwrap();
    assert_eq!(octets[28..], payload);
    let payloads = Message::parse(octets).unwrap().payloads().unwrap();
    assert_eq!(payloads.certs().collect::<Vec<_>>(), [cert]);
    let parsed = spki::parse(cert.data).unwrap();
    assert_eq!(parsed, PublicKey::EcdsaP256(key[27..].try_into().unwrap()));
    assert_eq!(spki::encode(&parsed), key.as_slice());
}

/// RFC 8410 §4, §10.1.
#[test]
fn the_ed25519_key_of_rfc_8410_is_read_and_written() {
    let der = hex(ED25519);
    let parsed = spki::parse(&der).unwrap();
    assert_eq!(parsed, PublicKey::Ed25519(der[12..].try_into().unwrap()));
    assert_eq!(spki::encode(&parsed), der.as_slice());
}

/// RFC 7670 §3: a request for raw keys has no authority; it is five octets long.
#[test]
fn a_request_for_raw_keys_names_no_authority() {
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer, &REQUEST).unwrap();
    CertRequestView::RAW_PUBLIC_KEY.write(&mut writer).unwrap();
    let octets = writer.finish().unwrap();
    assert_eq!(octets[28..], hex("00000005 0f"));
    let payloads = Message::parse(octets).unwrap().payloads().unwrap();
    assert_eq!(payloads.cert_requests().collect::<Vec<_>>(), [CertRequestView::RAW_PUBLIC_KEY]);
}

/// RFC 7296 §3.6: several certificates keep their order, whatever their encoding.
#[test]
fn certificates_of_any_encoding_keep_their_order() {
    let octets = message(
        REQUEST,
        &[
            part(PayloadType::CERT, &[12, 1]),
            critical(PayloadType::CERT, &[15]),
            part(PayloadType::CERT, &[200]),
        ],
    );
    let payloads = Message::parse(&octets).unwrap().payloads().unwrap();
    let certs: Vec<_> = payloads.certs().map(|cert| (cert.encoding.0, cert.data)).collect();
    assert_eq!(certs, [(12, &[1][..]), (15, &[]), (200, &[])]);
}

/// RFC 8410 §4, RFC 5480 §2: there is one encoding of each key. Any other octet in what surrounds it,
/// another length, and octets behind it are no key: no other curve, compressed form, indefinite
/// length or unused bits.
#[test]
fn only_the_exact_encoding_of_a_key_is_read() {
    for (der, prefix) in [(hex(ED25519), 12), (hex(P256), 27)] {
        for at in 0..prefix {
            for bit in 0..8 {
                let mut wrong = der.clone();
                wrong[at] ^= 1 << bit;
                assert_eq!(spki::parse(&wrong), Err(Malformed::UnknownKey), "{at} {bit}");
            }
        }
        for length in 0..der.len() {
            assert_eq!(spki::parse(&der[..length]), Err(Malformed::UnknownKey));
        }
        assert_eq!(spki::parse(&[&der[..], &[0]].concat()), Err(Malformed::UnknownKey));
    }
    let compressed = [hex("3039301306072a8648ce3d020106082a8648ce3d030107032200 02"), vec![1; 32]].concat();
    assert_eq!(spki::parse(&compressed), Err(Malformed::UnknownKey));
    let indefinite = [hex("3080300506032b6570032100"), vec![1; 32], vec![0; 2]].concat();
    assert_eq!(spki::parse(&indefinite), Err(Malformed::UnknownKey));
}

/// RFC 5280 §4.1: the key of a certificate, whoever signed it.
#[test]
fn the_key_of_a_certificate_is_found() {
    for (der, key) in certificates() {
        assert_eq!(spki::from_certificate(&der), Ok(key));
    }
}

/// The contents of a certificate of version 1 with the key of RFC 8410 and a signature of `signature` octets.
fn contents(signature: u8) -> Vec<u8> {
    let serial_algorithm_issuer_validity_subject = hex("02 01 01  30 00  30 00  30 00  30 00");
    let inner = [serial_algorithm_issuer_validity_subject, hex(ED25519)].concat();
    let tbs = [&[0x30, u8::try_from(inner.len()).unwrap()][..], &inner].concat();
    [&tbs[..], &[0x30, 0, 3, signature], &vec![0; usize::from(signature)]].concat()
}

/// A certificate whose length is these octets.
fn certificate(length: &[u8], contents: &[u8]) -> Vec<u8> {
    [&[0x30], length, contents].concat()
}

/// RFC 5280 §4.1.2.1: version 1 is not written down.
#[test]
fn a_certificate_of_version_1_has_its_key_found() {
    let contents = contents(1);
    let length = u8::try_from(contents.len()).unwrap();
    let key = spki::from_certificate(&certificate(&[length], &contents)).unwrap();
    assert_eq!(spki::encode(&key), hex(ED25519).as_slice());
}

/// RFC 5280 §4.1: a certificate has three parts.
#[test]
fn a_certificate_with_a_fourth_part_is_refused() {
    let contents = [contents(1), vec![5, 0]].concat();
    let length = u8::try_from(contents.len()).unwrap();
    assert_eq!(spki::from_certificate(&certificate(&[length], &contents)), Err(Malformed::Der));
}

/// A certificate that is cut, or followed by more, is none.
#[test]
fn a_certificate_of_the_wrong_length_is_refused() {
    for (der, _) in certificates() {
        for length in 0..der.len() {
            assert_eq!(spki::from_certificate(&der[..length]), Err(Malformed::Der), "{length}");
        }
        assert_eq!(spki::from_certificate(&[&der[..], &[0]].concat()), Err(Malformed::Der));
    }
}

/// X.690 §10.1: lengths are definite and as short as possible.
#[test]
fn lengths_that_are_not_distinguished_are_refused() {
    let refused = |length: &[u8], contents: &[u8]| {
        assert_eq!(spki::from_certificate(&certificate(length, contents)), Err(Malformed::Der));
    };
    let long = contents(67);
    assert_eq!(long.len(), 128);
    assert!(spki::from_certificate(&certificate(&[0x81, 128], &long)).is_ok());
    refused(&[0x82, 0, 128], &long);
    refused(&[0x83, 0, 0, 128], &long);
    refused(&[0x84, 0, 0, 0, 128], &long);
    let short = &contents(66);
    assert_eq!(short.len(), 127);
    assert!(spki::from_certificate(&certificate(&[127], short)).is_ok());
    refused(&[0x81, 127], short);
    refused(&[0x82, 0, 127], short);
    refused(&[0x80], &[&short[..], &[0, 0]].concat());
    refused(&[0xff], short);
    let (der, _) = &certificates()[0];
    refused(&[&[0x83, 0], &der[2..4]].concat(), &der[4..]);
}

/// X.690 §10.1: two octets of length are for what one cannot say.
#[test]
fn a_length_of_255_has_one_octet() {
    let mut contents = contents(0);
    contents.truncate(contents.len() - 2);
    contents.extend([3, 0x81, 193]);
    contents.extend([0; 193]);
    assert_eq!(contents.len(), 255);
    assert!(spki::from_certificate(&certificate(&[0x81, 255], &contents)).is_ok());
    assert_eq!(spki::from_certificate(&certificate(&[0x82, 0, 255], &contents)), Err(Malformed::Der));
}

/// A certificate with another kind of key than ours carries nothing.
#[test]
fn a_certificate_with_another_kind_of_key_is_refused() {
    let (mut der, _) = certificates()[1].clone();
    let curve = hex("06082a8648ce3d030107");
    let at = der.windows(curve.len()).position(|window| window == curve).unwrap();
    der[at + curve.len() - 1] = 6;
    assert_eq!(spki::from_certificate(&der), Err(Malformed::UnknownKey));
}
