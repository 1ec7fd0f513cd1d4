//! How SAs age, are replaced and end: Delete, liveness, lifetimes, INITIAL_CONTACT (RFC 7296 §1.4, §2.4,
//! §2.8).

use std::time::Duration;

use esp_engine::sa::SaReport;
use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};
use ike_core::error::{AcquireError, CloseReason};

const LONG: Duration = Duration::from_secs(10);

fn packet() -> Selectors {
    Selectors {
        source: A,
        destination: B,
        protocol: 6,
        ports: Ports::Known { source: 50_000, destination: 179 },
    }
}

fn assert_empty(pair: &Pair) {
    for side in [&pair.a, &pair.b] {
        assert!(side.installed.is_empty(), "{}", pair.trace);
        assert_eq!(side.endpoint.status().count(), 0, "{}", pair.trace);
    }
}

/// RFC 7296 §1.4.1: a Delete from either end ends the IKE SA and its Child SAs at both.
#[test]
fn delete_from_either_end() {
    for from_a in [true, false] {
        let mut pair = Pair::standing();
        let (side, other) = if from_a { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
        let _ = other;
        side.endpoint.close(pair.now, PEER);
        pair.settle(LONG);
        let (side, other) = if from_a { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
        assert_eq!(side.closed(), [CloseReason::Requested]);
        assert_eq!(other.closed(), [CloseReason::DeletedByPeer]);
        assert_empty(&pair);
    }
}

/// RFC 7296 §2.25.2: Deletes that cross each other end the IKE SA once at each end.
#[test]
fn deletes_may_cross() {
    let mut pair = Pair::standing();
    pair.a.endpoint.close(pair.now, PEER);
    pair.b.endpoint.close(pair.now, PEER);
    pair.settle(Duration::from_secs(120));
    assert_eq!(pair.a.closed(), [CloseReason::Requested]);
    assert_eq!(pair.b.closed(), [CloseReason::Requested]);
    assert_empty(&pair);
}

/// RFC 7296 §2.1: a Delete whose messages are lost is repeated; a peer that stays silent is forgotten.
#[test]
fn lost_deletes_are_repeated() {
    use host_tests::link::Fault;
    for number in [4, 5] {
        let mut pair = Pair::standing();
        pair.link.script = vec![(number, Fault::Drop)];
        pair.a.endpoint.close(pair.now, PEER);
        pair.settle(Duration::from_secs(2));
        assert_empty(&pair);
        assert_eq!(pair.a.closed(), [CloseReason::Requested]);
    }
    let mut pair = Pair::standing();
    pair.link.cut = true;
    pair.a.endpoint.close(pair.now, PEER);
    pair.settle(Duration::from_secs(120));
    assert_eq!(pair.a.closed(), [CloseReason::Requested]);
    assert_eq!(pair.a.endpoint.status().count(), 0);
}

/// A Child SA at its hard limit is removed and deleted at the peer; the next packet brings a new one.
#[test]
fn expired_child_is_replaced_on_demand() {
    let mut pair = Pair::standing();
    let spi = pair.a.installed[0].inbound;
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(spi));
    pair.settle(LONG);
    assert_empty(&pair);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
    assert!(pair.agree());
}

/// One negotiation for many packets, and none while an SA serves them.
#[test]
fn packets_of_one_policy_share_a_negotiation() {
    let mut pair = Pair::pinned(1);
    for _ in 0..100 {
        pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins once");
    }
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 4);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("is there");
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 4);
}

/// RFC 7296 §2.8: the lifetime of an IKE SA ends it, and its Child SAs, when no successor came in time.
#[test]
fn ike_sa_ends_with_its_lifetime() {
    let mut b = parties::b();
    b.timing.ike_lifetime = Duration::from_secs(100);
    let mut pair = Pair::new(parties::a(), b, 1);
    pair.initiate();
    pair.pass(Duration::from_secs(75));
    pair.link.cut = true;
    pair.pass(Duration::from_secs(24));
    assert_eq!(pair.b.installed.len(), 1);
    pair.pass(Duration::from_secs(2));
    assert!(pair.b.installed.is_empty());
    pair.pass(Duration::from_secs(120));
    assert_eq!(pair.b.closed(), [CloseReason::Expired]);
    assert_eq!(pair.b.endpoint.status().count(), 0);
}

/// A Child SA at its soft limit gets a successor, once, however often the limit is reported.
#[test]
fn soft_limit_brings_a_successor() {
    let mut pair = Pair::standing();
    let at_a = pair.a.installed[0].inbound;
    for _ in 0..3 {
        pair.a.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(at_a));
    }
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 8);
    assert_eq!(pair.a.installed.len(), 1);
    assert_ne!(pair.a.installed[0].inbound, at_a);
    assert!(pair.agree());
}

/// Either end may ask for a successor at any time; asking for an SA that stands begins nothing.
#[test]
fn successor_on_request() {
    for from_a in [true, false] {
        let mut pair = Pair::standing();
        let old = pair.a.installed[0].inbound;
        let side = if from_a { &mut pair.a } else { &mut pair.b };
        side.endpoint.initiate(pair.now, PEER).expect("stands");
        assert_eq!(pair.link.sent(), 4);
        side.endpoint.rekey(pair.now, PEER).expect("begins");
        pair.settle(LONG);
        assert_eq!(pair.a.installed.len(), 1);
        assert_ne!(pair.a.installed[0].inbound, old);
        assert!(pair.agree());
    }
}

/// RFC 7296 §2.4: a peer that never answers the request for a successor is dead.
#[test]
fn unanswered_successor_means_a_dead_peer() {
    let mut pair = Pair::standing();
    let spi = pair.a.installed[0].inbound;
    pair.link.cut = true;
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(spi));
    pair.settle(Duration::from_secs(300));
    assert_eq!(pair.a.closed(), [CloseReason::PeerDead]);
    assert!(pair.a.installed.is_empty());
}

/// A peer that refuses is asked again ever more rarely, however many packets want it.
#[test]
fn refused_negotiations_are_begun_ever_more_rarely() {
    let mut a = parties::a();
    a.key = Some(ike_core::crypto::PrivateKey::Ed25519([0xC3; 32]));
    let mut b = parties::b();
    b.timing.half_open = Duration::from_millis(500);
    let mut pair = Pair::new(a, b, 1);
    for _ in 0..6_000 {
        let _ = pair.a.endpoint.acquire(pair.now, PolicyId(0), packet());
        pair.pass(Duration::from_millis(20));
    }
    assert_eq!(pair.a.failed().len(), 7, "at 0, 1, 3, 7, 15, 31 and 63 seconds");
    let verdict = pair.a.endpoint.acquire(pair.now, PolicyId(0), packet());
    assert_eq!(verdict, Err(AcquireError::TooSoon));
}

/// RFC 7296 §2.21.4: a packet for an unknown SPI is a hint, which leads to a question and no more.
#[test]
fn unknown_spi_leads_to_a_probe() {
    let mut pair = Pair::standing();
    pair.now = pair.now + Duration::from_secs(60);
    for _ in 0..50 {
        pair.a
            .endpoint
            .handle_sa_report(pair.now, SaReport::UnknownSpi { spi: 12_345, remote: B, port: None });
        pair.drain();
    }
    assert_eq!(pair.link.sent(), 5);
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
}

/// RFC 7296 §2.4: a peer that restarts says so, and what it no longer knows is removed at once.
#[test]
fn restarted_peer_replaces_its_sas() {
    let mut pair = Pair::standing();
    let mut fresh = Pair::pinned(77);
    std::mem::swap(&mut pair.a, &mut fresh.a);
    let old = pair.b.installed[0].inbound;
    pair.now = pair.now + LONG;
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.closed(), [CloseReason::InitialContact]);
    assert_eq!(pair.b.installed.len(), 1);
    assert_ne!(pair.b.installed[0].inbound, old);
    assert!(pair.agree());
}
