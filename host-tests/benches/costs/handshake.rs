//! A handshake by algorithm: what it costs each end, beside the public-key operations in it.

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

use host_tests::pair::Room;
use host_tests::parties::{self, A, A_KEY, B, B_KEY};
use ike_core::config::{Config, Suite};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, KeyExchange, KeyKind, PrivateKey, Sha2, SignatureAlgorithm, Signer};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::meter::{Best, Measured, NOW, handshake};

const TURNS: usize = 60;

/// What may be negotiated: a line each.
const SUITES: &[(&str, Suite)] = &Suite::NAMED;

/// How both ends prove themselves, a line each: the keys of both, or a shared secret.
const PROOFS: [(&str, Option<[PrivateKey; 2]>); 4] = [
    ("Ed25519", Some([A_KEY, B_KEY])),
    ("ECDSA P-256", Some([PrivateKey::EcdsaP256([0x31; 32]), PrivateKey::EcdsaP256([0x32; 32])])),
    ("ECDSA P-384", Some([PrivateKey::EcdsaP384([0x31; 48]), PrivateKey::EcdsaP384([0x32; 48])])),
    ("shared secret", None),
];

pub fn measure() {
    println!("{:<16} {:<14} {:>10} {:>10} {:>10} {:>7}", "µs", "", "initiator", "responder", "bare", "ratio");
    for &(suite_name, suite) in SUITES {
        for (proof_name, keys) in &PROOFS {
            let [initiator, responder, bare] = one(suite, keys.as_ref());
            let whole = (initiator.microseconds() + responder.microseconds()) / 2.0;
            println!(
                "{suite_name:<16} {proof_name:<14} {:>10.0} {:>10.0} {:>10.0} {:>7.2}",
                initiator.microseconds(),
                responder.microseconds(),
                bare.microseconds(),
                whole / bare.microseconds()
            );
        }
    }
}

/// Initiator, responder, and the bare operations of one end.
fn one(suite: Suite, keys: Option<&[PrivateKey; 2]>) -> [Best; 3] {
    let [a, b] = configs(suite, keys);
    let mut rooms = [(); 2].map(|()| Box::new(Room::new()));
    let [room_a, room_b] = &mut rooms;
    let mut best = [Best::new(); 3];
    for turn in 0..TURNS as u64 {
        let rng = |end| ChaCha20Rng::seed_from_u64(2 * turn + end);
        let mut a = Measured::new(&a, room_a, Software, rng(0)).expect("configured");
        let mut b = Measured::new(&b, room_b, Software, rng(1)).expect("configured");
        let [initiator, responder] = handshake(NOW, &mut a, &mut b);
        best[0].take(initiator);
        best[1].take(responder);
        bare(&mut best[2], suite, keys, &mut rng(2));
    }
    best
}

fn configs(suite: Suite, keys: Option<&[PrivateKey; 2]>) -> [Config<'static>; 2] {
    let suites: &'static [Suite] = parties::leak_all(vec![suite]);
    let mut ends = [parties::a(), parties::b()];
    if let Some([a, b]) = keys {
        let end = |name, own: &PrivateKey, address, peer_name, peer: &PrivateKey, peer_address| {
            let entry = parties::pinned(peer_name, peer, peer_address);
            parties::config(name, own.clone(), address, vec![entry], peer_address)
        };
        ends = [end("a.example", a, A, "b.example", b, B), end("b.example", b, B, "a.example", a, A)];
    } else {
        ends.iter_mut().for_each(|end| parties::share(end, b"a secret that both ends know"));
    }
    ends.map(|end| Config { suites, ..end })
}

/// The public-key operations of an initiator: key pairs, agreements, a signature, a verification.
fn bare(best: &mut Best, suite: Suite, keys: Option<&[PrivateKey; 2]>, rng: &mut ChaCha20Rng) {
    let signers = keys.map(|[own, peer]| [own, peer].map(|key| Software.signer(key).expect("a key")));
    let message = [0x5a; 400];
    let algorithm = keys.map_or(SignatureAlgorithm::Ed25519, |[own, _]| algorithm(own.kind()));
    let sign = |key: &<Software as Crypto>::Signer| key.sign(algorithm, &[&message]).expect("of its kind");
    let shown = signers.as_ref().map(|[_, peer]| (peer.public_key(), sign(peer)));
    let mut spent = Duration::ZERO;
    for group in [Some(suite.group), suite.additional].into_iter().flatten() {
        let start = Clock::now();
        let own = Software.generate(group, rng).expect("random");
        let public = own.public();
        spent += start.elapsed();
        let (answer, _) = Software.respond(group, &public, rng).expect("a good value");
        let start = Clock::now();
        black_box(own.agree(&answer).expect("a good value"));
        spent += start.elapsed();
    }
    let start = Clock::now();
    if let (Some([own, _]), Some((key, signature))) = (&signers, &shown) {
        black_box(sign(own));
        Software.verify(key, algorithm, &[&message], signature).expect("genuine");
    }
    best.take(spent + start.elapsed());
}

/// What two ends that know all hash functions sign by.
fn algorithm(kind: KeyKind) -> SignatureAlgorithm {
    match kind {
        KeyKind::Ed25519 => SignatureAlgorithm::Ed25519,
        KeyKind::EcdsaP256 => SignatureAlgorithm::Ecdsa(Sha2::Sha256),
        KeyKind::EcdsaP384 => SignatureAlgorithm::Ecdsa(Sha2::Sha384),
        KeyKind::Rsa => SignatureAlgorithm::RsaPss(Sha2::Sha256),
    }
}
