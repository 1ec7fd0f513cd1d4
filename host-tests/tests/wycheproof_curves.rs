//! Project Wycheproof's vectors against key exchange and signatures.

use ike_core::auth::ecdsa_sig_value;
use ike_core::crypto::software::{Software, SoftwareExchange};
use ike_core::crypto::{BadPublicValue, Crypto, Group, KeyExchange, PublicKey};
use ike_core::wire::spki;
use wycheproof::{TestResult, ecdh, ecdsa, eddsa, xdh};

/// Public values as points. A compressed one is never right in a KE payload (RFC 5903 §7).
#[test]
fn ecdh_p256_points() {
    let (mut agreed, mut refused) = (0, 0);
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let shared = match test.public_key.strip_prefix(&[4]) {
            Some(value) => agree_p256(&test.private_key, value),
            None => {
                // The form octet is not on the wire, so this has the wrong length.
                agree_p256(&test.private_key, test.public_key.get(1..).unwrap_or_default())
            }
        };
        match test.result {
            TestResult::Valid => {
                assert_eq!(shared.as_deref(), Ok(&test.shared_secret[..]), "case {}", test.tc_id);
                agreed += 1;
            }
            TestResult::Invalid => {
                assert_eq!(shared, Err(BadPublicValue), "case {}", test.tc_id);
                refused += 1;
            }
            TestResult::Acceptable => {
                assert_eq!(
                    test.flags[..],
                    [ecdh::TestFlag::CompressedPublic, ecdh::TestFlag::CompressedPoint]
                );
                assert_eq!(shared, Err(BadPublicValue), "case {}", test.tc_id);
                refused += 1;
            }
        }
    }
    assert_eq!((agreed, refused), (330, 25));
}

/// Public values as SubjectPublicKeyInfo: of all encodings that others might put up with, one is read.
#[test]
fn ecdh_p256_subject_public_key_info() {
    let (mut agreed, mut refused) = (0, 0);
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let shared = match spki::parse(&test.public_key) {
            Ok(PublicKey::EcdsaP256(value)) => agree_p256(&test.private_key, &value),
            _ => Err(BadPublicValue),
        };
        if test.result == TestResult::Valid {
            assert_eq!(shared.as_deref(), Ok(&test.shared_secret[..]), "case {}", test.tc_id);
            agreed += 1;
        } else {
            assert_eq!(shared, Err(BadPublicValue), "case {} {:?}", test.tc_id, test.flags);
            refused += 1;
        }
    }
    assert_eq!((agreed, refused), (330, 282));
}

fn agree_p256(private: &[u8], public: &[u8]) -> Result<Vec<u8>, BadPublicValue> {
    // Private keys are integers there, with a leading zero or without.
    let digits = &private[private.iter().take_while(|octet| **octet == 0).count()..];
    let mut secret = [0; 32];
    secret[32 - digits.len()..].copy_from_slice(digits);
    let exchange = SoftwareExchange::new(Group::P256, &secret).unwrap();
    exchange.agree(public).map(|shared| shared.octets().to_vec())
}

/// RFC 8031 §3.2: values that are not canonical or lie on the twist are used as they are, and what
/// yields zero is refused.
#[test]
fn x25519() {
    let (mut agreed, mut refused) = (0, 0);
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let secret = test.private_key[..].try_into().unwrap();
        let exchange = SoftwareExchange::new(Group::Curve25519, &secret).unwrap();
        let shared = exchange.agree(&test.public_key).map(|shared| shared.octets().to_vec());
        assert_ne!(test.result, TestResult::Invalid);
        if test.flags.contains(&xdh::TestFlag::ZeroSharedSecret) {
            assert_eq!(shared, Err(BadPublicValue), "case {}", test.tc_id);
            refused += 1;
        } else {
            assert_eq!(shared.as_deref(), Ok(&test.shared_secret[..]), "case {}", test.tc_id);
            agreed += 1;
        }
    }
    assert_eq!((agreed, refused), (487, 31));
}

/// The form of method 14 and of certificates.
#[test]
fn ecdsa_p256_in_der() {
    let decode = |octets: &[u8]| {
        let signature = ecdsa_sig_value::decode(octets)?;
        // Whatever is accepted is the only encoding of its value.
        assert_eq!(ecdsa_sig_value::encode(&signature), octets);
        Some(signature)
    };
    assert_eq!(ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256, decode), (174, 310));
}

/// The form of method 9 and of DNSSEC.
#[test]
fn ecdsa_p256_side_by_side() {
    let decode = |octets: &[u8]| octets.try_into().ok();
    assert_eq!(ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256P1363, decode), (173, 89));
}

fn ecdsa(name: ecdsa::TestName, decode: impl Fn(&[u8]) -> Option<[u8; 64]>) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for group in ecdsa::TestSet::load(name).unwrap().test_groups {
        let key = spki::parse(&group.der).unwrap();
        for test in &group.tests {
            let verified = verify(&key, &test.msg, decode(&test.sig));
            assert_eq!(verified, !test.result.must_fail(), "case {} {:?}", test.tc_id, test.flags);
            if verified { good += 1 } else { bad += 1 }
        }
    }
    (good, bad)
}

#[test]
fn ed25519() {
    let (mut good, mut bad) = (0, 0);
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = spki::parse(&group.der).unwrap();
        for test in &group.tests {
            let verified = verify(&key, &test.msg, test.sig[..].try_into().ok());
            assert_eq!(verified, !test.result.must_fail(), "case {} {:?}", test.tc_id, test.flags);
            if verified { good += 1 } else { bad += 1 }
        }
    }
    assert_eq!((good, bad), (88, 63));
}

/// The message in two pieces, as AUTH has it in three.
fn verify(key: &PublicKey, message: &[u8], signature: Option<[u8; 64]>) -> bool {
    let (first, second) = message.split_at(message.len() / 2);
    signature.is_some_and(|signature| Software.verify(key, &[first, second], &signature).is_ok())
}
