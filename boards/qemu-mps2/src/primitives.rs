//! What each operation on a public key costs by itself.

use cortex_m_semihosting::hprintln;
use ike_core::crypto::software::{Software, SoftwareExchange};
use ike_core::crypto::{Crypto, Group, KeyExchange, PrivateKey, SignatureAlgorithm, Signer};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::measure::{Paint, Stopwatch};

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

/// Times the verification of a signature with `key`, and says how much stack it takes.
#[cfg(feature = "resolver")]
#[inline(never)]
pub fn measure_verification(key: &PrivateKey, algorithm: SignatureAlgorithm) {
    let signer = Software.signer(key).expect("a good key");
    let public_key = signer.public_key();
    let signature = signer.sign(algorithm, &[&MESSAGE]).expect("a key of that kind");
    let (verify, verdict) = painted(|| Software.verify(&public_key, algorithm, &[&MESSAGE], &signature));
    verdict.expect("its own work");
    hprintln!("  verify one {}, stack {}", verify.0, verify.1);
}

/// Times a key encapsulation at both ends, and says how much stack each step takes.
#[inline(never)]
pub fn measure_ml_kem(group: Group) {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    hprintln!("{:?}", group);
    let ours = Software.generate(group, &mut rng).expect("randomness");
    let (pair, public) = painted(|| ours.public());
    let (encapsulate, answer) = painted(|| Software.respond(group, &public, &mut rng));
    let (ciphertext, theirs) = answer.expect("a good key");
    let (decapsulate, secret) = painted(|| ours.agree(&ciphertext));
    assert_eq!(secret.expect("its own work").octets(), theirs.octets());
    hprintln!("  key pair {}, stack {}", pair.0, pair.1);
    hprintln!("  encapsulate {}, stack {}", encapsulate.0, encapsulate.1);
    hprintln!("  key pair from seed and decapsulate {}, stack {}", decapsulate.0, decapsulate.1);
}

/// Instructions and deepest stack.
fn painted<T>(operation: impl FnOnce() -> T) -> ((u64, usize), T) {
    let paint = Paint::new();
    let (instructions, result) = timed(operation);
    ((instructions, paint.deepest()), result)
}

fn timed<T>(operation: impl FnOnce() -> T) -> (u64, T) {
    let watch = Stopwatch::new();
    let result = operation();
    (watch.instructions(), result)
}
