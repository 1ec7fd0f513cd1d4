//! Whole handshakes between two endpoints on a cable without faults.

use std::time::Duration;

use esp_engine::crypto::Algorithm;
use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use host_tests::pair::Pair;
use host_tests::parties;
use ike_core::output::{Event, Method, Role};

const LONG: Duration = Duration::from_secs(10);

/// RFC 7296 §1.2: two exchanges make an IKE SA and its first Child SA.
#[test]
fn two_exchanges_make_an_sa() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    pair.settle(LONG);
    println!("{}", pair.trace);
    assert_eq!(pair.link.sent(), 4);
    assert!(pair.agree());
    for (side, role, name) in
        [(&pair.a, Role::Initiator, "b.example"), (&pair.b, Role::Responder, "a.example")]
    {
        let established = side.established();
        assert_eq!(established.len(), 1);
        assert_eq!(established[0].role, role);
        assert_eq!(established[0].identity.to_string(), name);
        assert_eq!(established[0].level, Level::Pinned);
        assert_eq!(established[0].method, Method::Ed25519);
        let children = side.children();
        assert_eq!(children.len(), 1);
        assert_eq!(children[0].mode, Mode::Transport);
        assert_eq!(children[0].algorithm, Algorithm::ChaCha20Poly1305);
        assert!(children[0].extended_sequence);
        assert!(!children[0].encapsulated);
        assert_eq!(side.installed.len(), 1);
        assert!(side.discarded.is_empty());
    }
}

/// An SA is installed before the message that announces it leaves.
#[test]
fn sa_is_installed_before_it_is_announced() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    pair.settle(LONG);
    let install = pair.trace.find("B installs").expect("installed");
    let response = pair.trace.find("B sends IKE_AUTH").expect("sent");
    assert!(install < response, "{}", pair.trace);
    let order = |e: &Event| matches!(e, Event::Install(_) | Event::ChildEstablished(_));
    let events: Vec<_> = pair.b.events.iter().filter(|e| order(e)).collect();
    assert!(matches!(events[..], [Event::Install(_), Event::ChildEstablished(_)]));
}

/// Same seed, same trace, byte for byte; another seed, other octets.
#[test]
fn same_seed_same_trace() {
    let run = |seed| {
        let mut pair = Pair::new(parties::a(), parties::b(), seed);
        pair.initiate();
        pair.settle(LONG);
        (pair.trace, pair.datagrams)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}
