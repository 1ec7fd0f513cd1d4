//! Project Wycheproof's vectors against the ciphers of ESP and of IKE's SK payload, and the PRF.

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Associated, Cipher, Forged, RawKey};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Prf};
use wycheproof::{aead, cipher, mac};

#[test]
fn aes_gcm() {
    // Left out: 192-bit keys, which neither ESP nor IKE asks for here (RFC 8221 §5), and nonces of
    // other than 96 bits, which salt and IV cannot make (RFC 4106 §4).
    assert_eq!(run(aead::TestName::AesGcm), Ran { good: 79, forged: 54, left_out: 183 });
}

#[test]
fn chacha20_poly1305() {
    // Left out: nonces of other than 96 bits (RFC 7634 §2).
    assert_eq!(run(aead::TestName::ChaCha20Poly1305), Ran { good: 256, forged: 60, left_out: 9 });
}

#[derive(Debug, Default, PartialEq)]
struct Ran {
    good: usize,
    forged: usize,
    left_out: usize,
}

fn run(name: aead::TestName) -> Ran {
    let mut ran = Ran::default();
    for group in aead::TestSet::load(name).unwrap().test_groups {
        let algorithm = match (name, group.key_size) {
            (aead::TestName::AesGcm, 128) => Some(Algorithm::Aes128Gcm16),
            (aead::TestName::AesGcm, 256) => Some(Algorithm::Aes256Gcm16),
            (aead::TestName::ChaCha20Poly1305, 256) => Some(Algorithm::ChaCha20Poly1305),
            _ => None,
        };
        assert_eq!(group.tag_size, 128);
        match algorithm {
            Some(algorithm) if group.nonce_size == 96 => {
                group.tests.iter().for_each(|test| check(algorithm, test, &mut ran));
            }
            _ => ran.left_out += group.tests.len(),
        }
    }
    ran
}

fn check(algorithm: Algorithm, test: &aead::Test, ran: &mut Ran) {
    let (salt, explicit) = test.nonce.split_at(4);
    let key = RawKey::new(algorithm, &[&test.key, salt].concat()).unwrap();
    let cipher = SoftwareCipher::new(&key).unwrap();
    let associated = Associated::Message(&test.aad);

    let mut text = test.ct.to_vec();
    let opened = cipher.open(associated, explicit, &mut text, &test.tag);
    if test.result.must_fail() {
        assert_eq!(opened, Err(Forged), "case {}", test.tc_id);
        ran.forged += 1;
        return;
    }
    assert_eq!((opened, &text[..]), (Ok(()), &test.pt[..]), "case {}", test.tc_id);

    let (mut iv, mut icv) = ([0; 8], [0; 16]);
    let counter = u64::from_be_bytes(explicit.try_into().unwrap());
    cipher.seal(counter, associated, &mut iv, &mut text, &mut icv);
    assert_eq!(iv, explicit, "case {}", test.tc_id);
    assert_eq!((&text[..], &icv[..]), (&test.ct[..], &test.tag[..]), "case {}", test.tc_id);
    ran.good += 1;
}

/// The vectors pad by PKCS #5, which is none of our business: what opens is compared with that padding.
#[test]
fn aes_cbc() {
    let (mut good, mut left_out) = (0, 0);
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        let algorithm = match group.key_size {
            128 => Some(Algorithm::Aes128CbcHmacSha256),
            256 => Some(Algorithm::Aes256CbcHmacSha256),
            _ => None,
        };
        for test in &group.tests {
            let Some(algorithm) = algorithm.filter(|_| !test.result.must_fail()) else {
                left_out += 1;
                continue;
            };
            let mac_key = [7; 32];
            let key = RawKey::new(algorithm, &[&test.key, &mac_key[..]].concat()).unwrap();
            let icv = Software.prf(Prf::HmacSha256, &mac_key, &[&test.nonce, &test.ct]);
            let mut text = test.ct.to_vec();
            let opened = SoftwareCipher::new(&key).unwrap().open(
                Associated::Message(b""),
                &test.nonce,
                &mut text,
                &icv.octets()[..16],
            );
            let padding = 16 - test.pt.len() % 16;
            let padded = [&test.pt[..], &vec![padding as u8; padding]].concat();
            assert_eq!((opened, text), (Ok(()), padded), "case {}", test.tc_id);
            good += 1;
        }
    }
    assert_eq!((good, left_out), (48, 168));
}

#[test]
fn hmac_sha2() {
    for (prf, name, expected) in [
        (Prf::HmacSha256, mac::TestName::HmacSha256, (66, 108)),
        (Prf::HmacSha384, mac::TestName::HmacSha384, (66, 108)),
        (Prf::HmacSha512, mac::TestName::HmacSha512, (66, 108)),
    ] {
        let (mut right, mut wrong) = (0, 0);
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                // Keys shorter and longer than the block, in two pieces of data; some tags are truncated.
                let (first, second) = test.msg.split_at(test.msg.len() / 3);
                let output = Software.prf(prf, &test.key, &[first, second]);
                let tag = &output.octets()[..group.tag_size / 8];
                assert_eq!(tag == &test.tag[..], !test.result.must_fail(), "{prf:?}, case {}", test.tc_id);
                if test.result.must_fail() { wrong += 1 } else { right += 1 }
            }
        }
        assert_eq!((right, wrong), expected, "{prf:?}");
    }
}
