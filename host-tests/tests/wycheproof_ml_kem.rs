//! Project Wycheproof's vectors against ML-KEM: key pairs from seeds, ciphertexts for good and bad keys,
//! secrets out of good, altered and truncated ciphertexts (FIPS 203 §6, §7).

use ike_core::crypto::software::{MlKemSeed, Software, SoftwareExchange};
use ike_core::crypto::{BadPublicValue, Crypto, ExchangeError, Group, KeyExchange};
use rand_core::{TryCryptoRng, TryRng};
use wycheproof::TestResult;
use wycheproof::mlkem::{TestName, TestSet};

fn exchange(group: Group, seed: &[u8]) -> SoftwareExchange {
    let seed = seed.try_into().expect("64 octets");
    SoftwareExchange::MlKem(MlKemSeed::new(group, seed).expect("of this kind"))
}

/// Yields what it was given, for a ciphertext that is known beforehand.
struct Given<'a>(&'a [u8]);

impl TryRng for Given<'_> {
    type Error = core::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!("octets are asked for")
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("octets are asked for")
    }
    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
        octets.copy_from_slice(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}

/// FIPS 203 §7.1: the encapsulation key that belongs to a seed.
#[test]
fn key_pairs() {
    for (group, name) in
        [(Group::MlKem512, TestName::MlKem512KeyGenSeed), (Group::MlKem768, TestName::MlKem768KeyGenSeed)]
    {
        let set = TestSet::load(name).expect("there");
        let mut count = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (seed, key) = (test.seed.as_ref().expect("a seed"), test.encaps_key.as_ref().expect("a key"));
            assert_eq!(exchange(group, seed).public()[..], key[..], "{group:?} case {}", test.tc_id);
            count += 1;
        }
        assert!(count >= 25, "{count}");
    }
}

/// FIPS 203 §7.2: ciphertext and secret for a key; keys with coefficients beyond the modulus or of another
/// length are refused.
#[test]
fn encapsulation() {
    for (group, name) in
        [(Group::MlKem512, TestName::MlKem512Encaps), (Group::MlKem768, TestName::MlKem768Encaps)]
    {
        let set = TestSet::load(name).expect("there");
        let (mut agreed, mut refused) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (key, message) =
                (test.encaps_key.as_ref().expect("a key"), test.msg.as_ref().expect("a message"));
            let answered = Software.respond(group, key, &mut Given(message));
            if test.result == TestResult::Valid {
                let (ciphertext, secret) = answered.expect("a good key");
                assert_eq!(
                    ciphertext[..],
                    test.ct.as_ref().expect("known")[..],
                    "{group:?} case {}",
                    test.tc_id
                );
                assert_eq!(ciphertext.len(), group.answer_length());
                assert_eq!(secret.octets(), &test.shared_secret.as_ref().expect("known")[..]);
                agreed += 1;
            } else {
                assert_eq!(
                    answered.err(),
                    Some(ExchangeError::BadPublicValue),
                    "{group:?} case {}",
                    test.tc_id
                );
                refused += 1;
            }
        }
        assert!(agreed >= 100 && refused >= 100, "{agreed} {refused}");
    }
}

/// FIPS 203 §6.3, §7.3: the secret in a ciphertext; an altered one yields another secret, one of another
/// length none.
#[test]
fn decapsulation() {
    for (group, name) in [(Group::MlKem512, TestName::MlKem512), (Group::MlKem768, TestName::MlKem768)] {
        let set = TestSet::load(name).expect("there");
        let (mut agreed, mut refused) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (Some(seed), Some(ciphertext)) = (&test.seed, &test.ct) else {
                continue;
            };
            if seed.len() != 64 {
                continue;
            }
            let secret = exchange(group, seed).agree(ciphertext);
            if test.result == TestResult::Valid {
                let known = test.shared_secret.as_ref().expect("known");
                assert_eq!(
                    secret.expect("right length").octets(),
                    &known[..],
                    "{group:?} case {}",
                    test.tc_id
                );
                agreed += 1;
            } else {
                assert_eq!(secret.err(), Some(BadPublicValue), "{group:?} case {}", test.tc_id);
                refused += 1;
            }
        }
        assert!(agreed >= 150 && refused >= 20, "{agreed} {refused}");
    }
}
