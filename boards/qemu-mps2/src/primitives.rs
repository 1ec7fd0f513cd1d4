//! What each operation on a public key costs by itself.

use cortex_m_semihosting::hprintln;
use ike_core::crypto::software::{Software, SoftwareExchange};
use ike_core::crypto::{Crypto, Group, KeyExchange, PrivateKey, SignatureAlgorithm, Signer};

use crate::measure::Stopwatch;

const MESSAGE: [u8; 512] = [0x5A; 512];

/// Times both halves of a key exchange in `group`, then a signature with `key` and its verification.
#[inline(never)]
pub fn measure(group: Group, key: &PrivateKey, algorithm: SignatureAlgorithm) {
    let length = if group == Group::P384 { 48 } else { 32 };
    let exchange =
        |secret| SoftwareExchange::new(group, &[secret; 48][..length]).expect("a scalar of the group");
    let peer = exchange(0x44).public();
    let (generated, ours) = timed(|| exchange(0x33));
    let (public, _) = timed(|| ours.public());
    let (agree, secret) = timed(|| ours.agree(&peer));
    secret.expect("the peer's value is good");

    let (signer, ours) = timed(|| Software.signer(key).expect("a good key"));
    let public_key = ours.public_key();
    let (sign, signature) = timed(|| ours.sign(algorithm, &[&MESSAGE]));
    let signature = signature.expect("a key of that kind");
    let (verify, verdict) = timed(|| Software.verify(&public_key, algorithm, &[&MESSAGE], &signature));
    verdict.expect("its own work");
    hprintln!("  key pair {}, agree {}", generated + public, agree);
    hprintln!("  signer {} (once), sign {}, verify {}", signer, sign, verify);
}

fn timed<T>(operation: impl FnOnce() -> T) -> (u64, T) {
    let watch = Stopwatch::new();
    let result = operation();
    (watch.instructions(), result)
}
