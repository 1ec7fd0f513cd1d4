//! A peer by its name: from the root down through two zones, and one more name of a zone that is known already, beside
//! the bare signatures that this needs. The servers' part is played back.

use std::cell::RefCell;
use std::rc::Rc;

use host_tests::dns::measured::{self, PEERS, SIGNATURES};
use host_tests::dns::{Room, Server, World};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, KeyKind, PrivateKey, Sha2, SignatureAlgorithm, Signer};

use crate::meter::Best;

const TURNS: usize = 50;
/// Octets under each signature: an RRset of usual length with its RRSIG's fields.
const SIGNED: [u8; 200] = [0x5A; 200];

pub fn measure() {
    println!("look-ups, µs, and beside their bare signatures: cold, then another name of the same zone");
    for (name, kind) in
        [("Ed25519", KeyKind::Ed25519), ("ECDSA P-256", KeyKind::EcdsaP256), ("RSA-2048", KeyKind::Rsa)]
    {
        let (tree, tape) = (measured::tree(kind), Rc::new(RefCell::new(Vec::new())));
        let mut world = World::new(vec![measured::recording(&tree, &tape)], tree.anchors());
        let counts = PEERS.map(|peer| {
            world.peer(peer);
            (world.resolver.counters().queries, world.resolver.counters().verifications)
        });
        let all: usize = SIGNATURES.iter().sum();
        let [(queries, checks), (all_queries, all_checks)] = counts;
        assert_eq!(usize::from(checks as u16), all);
        let checkers = measured::kinds(kind).map(checker);
        let (mut cold, mut warm, mut bare) = (Best::new(), Best::new(), [Best::new(); 3]);
        for _ in 0..TURNS {
            // The same seed draws the same IDs and letters, so that the answers fit again.
            let mut tape = tape.borrow().clone().into_iter();
            let playing: Server = Box::new(move |asked| asked.answered(tape.next().expect("recorded")));
            let mut world = World::new(vec![playing], tree.anchors());
            cold.time(|| world.peer(PEERS[0]));
            warm.time(|| world.peer(PEERS[1]));
            for (best, check) in bare.iter_mut().zip(&checkers) {
                best.time(check);
            }
        }
        let bare = bare.map(Best::microseconds);
        let bare_cold: f64 = bare.iter().zip(SIGNATURES).map(|(one, count)| one * count as f64).sum();
        let bare_warm = bare[2] * f64::from(all_checks - checks);
        let [cold, warm] = [cold, warm].map(Best::microseconds);
        println!(
            "{name:>12} {queries} queries, {checks} signatures: {cold:.0} ({:.2}); {} and {}: {warm:.0} ({:.2})",
            cold / bare_cold,
            all_queries - queries,
            all_checks - checks,
            warm / bare_warm
        );
    }
    println!("octets: a lookup {}, an answer {}, a zone {}", Room::LOOKUP, Room::ANSWER, Room::ZONE);
}

/// Checks one signature of a kind.
fn checker(kind: KeyKind) -> impl Fn() {
    let (private, algorithm) = match kind {
        KeyKind::Ed25519 => (PrivateKey::Ed25519([1; 32]), SignatureAlgorithm::Ed25519),
        KeyKind::EcdsaP256 => (PrivateKey::EcdsaP256([1; 32]), SignatureAlgorithm::Ecdsa(Sha2::Sha256)),
        KeyKind::EcdsaP384 => (PrivateKey::EcdsaP384([1; 48]), SignatureAlgorithm::Ecdsa(Sha2::Sha384)),
        KeyKind::Rsa => (measured::rsa(), SignatureAlgorithm::RsaPkcs1(Sha2::Sha256)),
    };
    let signer = Software.signer(&private).expect("a key");
    let (public, signature) = (signer.public_key(), signer.sign(algorithm, &[&SIGNED]).expect("signs"));
    move || Software.verify(&public, algorithm, &[&SIGNED], &signature).expect("its own work")
}
