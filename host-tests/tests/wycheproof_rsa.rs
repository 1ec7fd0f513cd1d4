//! Project Wycheproof's vectors against RSA signatures of 2,048 to 4,096 bits.

use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Sha2, SignatureAlgorithm};
use ike_core::wire::spki;
use wycheproof::{TestResult, rsa_pkcs1_verify, rsa_pss_verify};

/// Every case of a set: verified, refused, and refused for a key whose exponent is too small.
#[derive(PartialEq, Eq, Debug, Default)]
struct Count {
    good: usize,
    bad: usize,
    small_exponent: usize,
}

impl Count {
    fn case(
        &mut self,
        der: &[u8],
        algorithm: SignatureAlgorithm,
        [message, signature]: [&[u8]; 2],
        result: TestResult,
    ) -> bool {
        let Ok(key) = spki::parse(der) else {
            self.small_exponent += 1;
            return true;
        };
        let (first, second) = message.split_at(message.len() / 2);
        let verified = Software.verify(&key, algorithm, &[first, second], signature).is_ok();
        if verified {
            self.good += 1
        } else {
            self.bad += 1
        }
        // What others may put up with, such as a DigestInfo without NULL, is refused here.
        verified == (result == TestResult::Valid)
    }
}

fn pkcs1(name: rsa_pkcs1_verify::TestName, hash: Sha2) -> Count {
    let mut count = Count::default();
    for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
        for test in &group.tests {
            let algorithm = SignatureAlgorithm::RsaPkcs1(hash);
            let is_right = count.case(&group.der, algorithm, [&test.msg, &test.sig], test.result);
            assert!(is_right, "{name:?} case {} {:?}", test.tc_id, test.flags);
        }
    }
    count
}

fn pss(name: rsa_pss_verify::TestName, hash: Sha2) -> Count {
    let mut count = Count::default();
    for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
        for test in &group.tests {
            let algorithm = SignatureAlgorithm::RsaPss(hash);
            let is_right = count.case(&group.der, algorithm, [&test.msg, &test.sig], test.result);
            assert!(is_right, "{name:?} case {} {:?}", test.tc_id, test.flags);
        }
    }
    count
}

/// RFC 8017 §8.2.2.
#[test]
fn rsassa_pkcs1_v1_5() {
    use rsa_pkcs1_verify::TestName::*;
    for (name, hash) in [
        (Rsa2048Sha256, Sha2::Sha256),
        (Rsa2048Sha384, Sha2::Sha384),
        (Rsa2048Sha512, Sha2::Sha512),
        (Rsa3072Sha256, Sha2::Sha256),
        (Rsa3072Sha384, Sha2::Sha384),
        (Rsa3072Sha512, Sha2::Sha512),
        (Rsa4096Sha256, Sha2::Sha256),
        (Rsa4096Sha384, Sha2::Sha384),
        (Rsa4096Sha512, Sha2::Sha512),
    ] {
        let count = pkcs1(name, hash);
        println!("{name:?} {count:?}");
        assert!(count.good > 0 && count.bad > 200, "{name:?} {count:?}");
    }
}

/// RFC 8017 §8.1.2, with the salt as long as the hash.
#[test]
fn rsassa_pss() {
    use rsa_pss_verify::TestName::*;
    for (name, hash) in [
        (RsaPss2048Sha256Mgf1SaltLen32, Sha2::Sha256),
        (RsaPss2048Sha384Mgf1SaltLen48, Sha2::Sha384),
        (RsaPss3072Sha256Mgf1SaltLen32, Sha2::Sha256),
        (RsaPss4096Sha256Mgf1SaltLen32, Sha2::Sha256),
        (RsaPss4096Sha384Mgf1SaltLen48, Sha2::Sha384),
        (RsaPss4096Sha512Mgf1SaltLen64, Sha2::Sha512),
    ] {
        let count = pss(name, hash);
        println!("{name:?} {count:?}");
        assert!(count.good > 50 && count.bad > 40, "{name:?} {count:?}");
    }
}

/// Another length of salt, or another hash in MGF1, is another algorithm: none of its signatures holds.
#[test]
fn another_kind_of_pss() {
    use rsa_pss_verify::TestName::*;
    for (name, hash) in [
        (RsaPss2048Sha256Mgf1SaltLen0, Sha2::Sha256),
        (RsaPss2048Sha256Mgf1Sha1_20, Sha2::Sha256),
        (RsaPss4096Sha512Mgf1SaltLen32, Sha2::Sha512),
    ] {
        let mut count = Count::default();
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            // Among the bad ones of these sets are some with the parameters that are good here.
            for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                let algorithm = SignatureAlgorithm::RsaPss(hash);
                count.case(&group.der, algorithm, [&test.msg, &test.sig], test.result);
            }
        }
        assert!(count.good == 0 && count.bad > 20, "{name:?} {count:?}");
    }
}
