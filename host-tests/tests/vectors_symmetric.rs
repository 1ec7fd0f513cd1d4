//! Known answers of the RFCs for the PRF, the hash of NAT detection and the ciphers of the SK payload.

mod vectors_support;

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Associated, Cipher, Forged, RawKey};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Prf};
use vectors_support::{array, hex};

const PRFS: [Prf; 3] = [Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512];

/// RFC 4231 §4.2 to §4.8 (§4.6 prints 16 octets of the output).
#[test]
fn hmac_sha2() {
    let long = "aa".repeat(131);
    let (dd, cd) = ("dd".repeat(50), "cd".repeat(50));
    let first = text("Test Using Larger Than Block-Size Key - Hash Key First");
    let both = text(
        "This is a test using a larger than block-size key and a larger than block-size data. \
         The key needs to be hashed before being used by the HMAC algorithm.",
    );
    let cases: [(&str, Vec<u8>, [&str; 3]); 7] = [
        (
            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            text("Hi There"),
            [
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde \
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ],
        ),
        (
            "4a656665",
            text("what do ya want for nothing?"),
            [
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554 \
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ],
        ),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            hex(&dd),
            [
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
                "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27",
                "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39 \
                 bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
            ],
        ),
        (
            "0102030405060708090a0b0c0d0e0f10111213141516171819",
            hex(&cd),
            [
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
                "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb",
                "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db \
                 a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
            ],
        ),
        (
            "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
            text("Test With Truncation"),
            [
                "a3b6167473100ee06e0c796c2955552b",
                "3abf34c3503b2a23a46efc619baef897",
                "415fad6271580a531d4179bc891d87a6",
            ],
        ),
        (
            &long,
            first,
            [
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352 \
                 6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ],
        ),
        (
            &long,
            both,
            [
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
                "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d3860e6110c46523e",
                "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944 \
                 b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
            ],
        ),
    ];
    for (key, data, expected) in cases {
        for (prf, expected) in PRFS.into_iter().zip(expected) {
            let output = Software.prf(prf, &hex(key), &[&data]);
            assert_eq!(output.octets().len(), prf.output_length());
            assert!(output.octets().starts_with(&hex(expected)), "{prf:?}, {key}");
        }
    }
}

/// A key of exactly one block is used as it is, one octet more and it is hashed (RFC 2104 §2).
#[test]
fn hmac_keys_around_the_length_of_a_block() {
    let prf = |key: &[u8]| Software.prf(Prf::HmacSha256, key, &[b"data"]);
    let long = [7; 65];
    assert_eq!(prf(&long), prf(&Software.sha256(&[&long])));
    let prf_512 = |key: &[u8]| Software.prf(Prf::HmacSha512, key, &[b"data"]);
    assert_eq!(prf_512(&[7; 127]), prf_512(&[&[7; 127][..], &[0]].concat()));
    assert_ne!(prf_512(&[7; 128]), prf_512(&[7; 129]));
    assert_ne!(prf(&long[..64]), prf(&Software.sha256(&[&long[..64]])));
    assert_eq!(prf(b"key"), prf(b"key\0"));
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// prf(secret, "Key Pad for IKEv2") of RFC 7296 §2.15, computed with a second implementation.
#[test]
fn key_pad() {
    let padded = Software.prf(Prf::HmacSha256, b"secret", &[b"Key Pad for IKEv2"]);
    assert_eq!(padded.octets(), hex("5fd8819cd79c7d1470058863cddc51ba31b4b8c876e6a7a803c3c95aaf71c10d"));
}

/// NAT_DETECTION of RFC 7296 §2.23 for 192.0.2.1 port 500, computed with a second implementation.
#[test]
fn nat_detection() {
    let (spi_i, spi_r) = (hex("0001020304050607"), [0; 8]);
    let digest = Software.sha1(&[&spi_i, &spi_r, &[192, 0, 2, 1], &500_u16.to_be_bytes()]);
    assert_eq!(digest, array("0c2765788bb4317853269fbdd80011b85b67ed2a"));
}

/// RFC 8439 §2.8.2.
#[test]
fn chacha20_poly1305() {
    let plain = text(
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
         sunscreen would be it.",
    );
    seal_and_open(
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f 07000000",
        "4041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        &plain,
        "d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6 3dbea45e8ca9671282fafb69da92728b
         1a71de0a9e060b2905d6a5b67ecd3b36 92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
         3ff4def08e4b7a9de576d26586cec64b 6116",
        "1ae10b594f09e26a7e902ecbd0600691",
    );
}

/// RFC 7634 Appendix B: an INFORMATIONAL request with SET_WINDOW_SIZE.
#[test]
fn encrypted_payload_with_chacha20_poly1305() {
    seal_and_open(
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f a0a1a2a3",
        "1011121314151617",
        "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029",
        &hex("0000000c000040010000000a00"),
        "610394701f8d017f7c12924889",
        "6b71bfe25236efd7cdc67066906315b2",
    );
}

fn seal_and_open(key: &str, iv: &str, associated: &str, plain: &[u8], cipher_text: &str, tag: &str) {
    let key = RawKey::new(Algorithm::ChaCha20Poly1305, &hex(key)).unwrap();
    let cipher = SoftwareCipher::new(&key).unwrap();
    let associated = hex(associated);
    let counter = u64::from_be_bytes(array(iv));
    let (mut text, mut explicit, mut icv) = (plain.to_vec(), [0; 8], [0; 16]);
    cipher.seal(counter, Associated::Message(&associated), &mut explicit, &mut text, &mut icv);
    assert_eq!(explicit, array(iv));
    assert_eq!((&text, icv), (&hex(cipher_text), array(tag)));

    assert_eq!(cipher.open(Associated::Message(&associated), &explicit, &mut text, &icv), Ok(()));
    assert_eq!(text, plain);
    icv[15] ^= 1;
    let mut text = hex(cipher_text);
    assert_eq!(cipher.open(Associated::Message(&associated), &explicit, &mut text, &icv), Err(Forged));
}
