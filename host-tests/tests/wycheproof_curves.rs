//! Project Wycheproof's vectors against key exchange and signatures.

use ike_core::auth::ecdsa_sig_value;
use ike_core::crypto::software::{Software, SoftwareExchange};
use ike_core::crypto::{
    BadPublicValue, Crypto, Group, KeyExchange, PublicKey, Sha2, Signature, SignatureAlgorithm,
};
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

/// The larger curve, likewise.
#[test]
fn ecdh_p384_points() {
    let (mut agreed, mut refused) = (0, 0);
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp384r1Ecpoint).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let value = test.public_key.get(1..).unwrap_or_default();
        let shared = agree(Group::P384, &test.private_key, value);
        if test.result == TestResult::Valid {
            assert_eq!(shared.as_deref(), Ok(&test.shared_secret[..]), "case {}", test.tc_id);
            agreed += 1;
        } else {
            assert_eq!(shared, Err(BadPublicValue), "case {}", test.tc_id);
            refused += 1;
        }
    }
    assert!(agreed > 200 && refused > 10, "{agreed} {refused}");
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
    agree(Group::P256, private, public)
}

fn agree(group: Group, private: &[u8], public: &[u8]) -> Result<Vec<u8>, BadPublicValue> {
    // Private keys are integers there, with a leading zero or without.
    let digits = &private[private.iter().take_while(|octet| **octet == 0).count()..];
    let mut secret = vec![0; group.public_length() / 2];
    let zeros = secret.len() - digits.len();
    secret[zeros..].copy_from_slice(digits);
    let exchange = SoftwareExchange::new(group, &secret).unwrap();
    exchange.agree(public).map(|shared| shared.octets().to_vec())
}

/// RFC 8031 §3.2: values that are not canonical or lie on the twist are used as they are, and what
/// yields zero is refused.
#[test]
fn x25519() {
    let (mut agreed, mut refused) = (0, 0);
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let exchange = SoftwareExchange::new(Group::Curve25519, &test.private_key).unwrap();
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
        let signature = ecdsa_sig_value::decode(octets, 32)?;
        // Whatever is accepted is the only encoding of its value.
        assert_eq!(ecdsa_sig_value::encode(&signature), octets);
        Some(signature)
    };
    assert_eq!(ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256, Sha2::Sha256, decode), (174, 310));
}

/// The hash function is the signer's choice (RFC 7427 §3), shorter or longer than the curve.
#[test]
fn ecdsa_p256_with_sha_512() {
    let decode = |octets: &[u8]| ecdsa_sig_value::decode(octets, 32);
    let (good, bad) = ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha512, Sha2::Sha512, decode);
    assert!(good > 150 && bad > 250, "{good} {bad}");
}

#[test]
fn ecdsa_p384_in_der() {
    let decode = |octets: &[u8]| ecdsa_sig_value::decode(octets, 48);
    for (name, hash) in [
        (ecdsa::TestName::EcdsaSecp384r1Sha256, Sha2::Sha256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, Sha2::Sha384),
        (ecdsa::TestName::EcdsaSecp384r1Sha512, Sha2::Sha512),
    ] {
        let (good, bad) = ecdsa(name, hash, decode);
        assert!(good > 150 && bad > 250, "{name:?} {good} {bad}");
    }
}

/// The form of method 10.
#[test]
fn ecdsa_p384_side_by_side() {
    let decode = |octets: &[u8]| Signature::from_slice(octets).ok();
    let (good, bad) = ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha384P1363, Sha2::Sha384, decode);
    assert!(good > 150 && bad > 50, "{good} {bad}");
}

/// The form of method 9 and of DNSSEC.
#[test]
fn ecdsa_p256_side_by_side() {
    let decode = |octets: &[u8]| Signature::from_slice(octets).ok().filter(|octets| octets.len() == 64);
    assert_eq!(ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256P1363, Sha2::Sha256, decode), (173, 89));
}

fn ecdsa(name: ecdsa::TestName, hash: Sha2, decode: impl Fn(&[u8]) -> Option<Signature>) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for group in ecdsa::TestSet::load(name).unwrap().test_groups {
        let key = spki::parse(&group.der).unwrap();
        for test in &group.tests {
            let verified =
                verify(&key, SignatureAlgorithm::Ecdsa(hash), &test.msg, decode(&test.sig).as_deref());
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
            let verified = verify(&key, SignatureAlgorithm::Ed25519, &test.msg, Some(&test.sig));
            assert_eq!(verified, !test.result.must_fail(), "case {} {:?}", test.tc_id, test.flags);
            if verified { good += 1 } else { bad += 1 }
        }
    }
    assert_eq!((good, bad), (88, 63));
}

/// The message in two pieces, as AUTH has it in three.
fn verify(key: &PublicKey, algorithm: SignatureAlgorithm, message: &[u8], signature: Option<&[u8]>) -> bool {
    let (first, second) = message.split_at(message.len() / 2);
    signature.is_some_and(|signature| Software.verify(key, algorithm, &[first, second], signature).is_ok())
}
