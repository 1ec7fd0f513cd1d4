//! Whether the peer lives (RFC 7296 §2.4): it is asked when packets to it go unanswered, and only then; one
//! that does not answer is given up, and the next packet begins anew.

use std::time::Duration;

use esp_engine::sa::SaReport;
use host_tests::pair::Pair;
use host_tests::parties::{self, PEER};
use host_tests::plane::Devices;
use ike_core::error::CloseReason;

const EVERY: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3_600);

/// Two devices whose SAs stand.
fn standing() -> Devices {
    let mut devices = Devices::new(parties::a(), parties::b(), 1);
    devices.pair.initiate();
    devices.pass(Duration::from_secs(1));
    assert_eq!(devices.pair.a.installed.len(), 1);
    devices
}

/// libreswan `ikev2-liveness-01`, `ikev2-liveness-08`: as long as packets go both ways nobody is asked, and
/// as long as none goes, neither.
#[test]
fn nobody_is_asked_without_need() {
    for talks in [true, false] {
        let mut devices = standing();
        let before = devices.pair.link.sent();
        if talks {
            (devices.from_a, devices.from_b) = (Some(EVERY), Some(EVERY));
        }
        devices.pass(Duration::from_secs(600));
        assert_eq!(devices.pair.link.sent(), before, "{}", devices.pair.trace);
    }
}

/// libreswan `ikev2-liveness-02`, `ikev2-liveness-12`: the answers of one packet in a while are enough.
#[test]
fn rare_answers_are_enough() {
    let mut devices = standing();
    let before = devices.pair.link.sent();
    devices.from_a = Some(EVERY);
    devices.from_b = Some(Duration::from_secs(4));
    devices.pass(Duration::from_secs(300));
    assert_eq!(devices.pair.link.sent(), before, "{}", devices.pair.trace);
}

/// libreswan `ikev2-liveness-03`, `ikev2-liveness-10`: traffic that goes one way only brings a question every
/// few seconds, which the living peer answers.
#[test]
fn traffic_one_way_is_confirmed() {
    let mut devices = standing();
    let before = devices.pair.link.sent();
    devices.from_a = Some(EVERY);
    devices.pass(Duration::from_secs(100));
    let asked = (devices.pair.link.sent() - before) / 2;
    assert!((18..=20).contains(&asked), "{asked} questions in 100 s");
    assert!(devices.pair.a.closed().is_empty());
}

/// libreswan `ikev2-liveness-04`, `ikev2-liveness-05`, `ikev2-liveness-06`: a peer that answers no try is dead: its
/// SAs go, and packets begin anew as soon as it is there again.
#[test]
fn dead_peer_is_given_up_and_found_again() {
    let mut devices = standing();
    devices.pair.link.cut = true;
    devices.from_a = Some(EVERY);
    devices.pass(Duration::from_secs(90));
    assert_eq!(devices.pair.a.closed(), [CloseReason::PeerDead], "{}", devices.pair.trace);
    assert!(devices.pair.a.installed.is_empty());
    devices.pair.link.cut = false;
    let before = devices.b.accepted.len();
    devices.pass(Duration::from_secs(70));
    assert!(devices.b.accepted.len() > before, "{}", devices.pair.trace);
}

/// libreswan `ikev2-liveness-07`, `ikev2-liveness-11-silent`: a peer that is cut off while nothing is wanted of it
/// costs nothing, not even a question.
#[test]
fn silence_in_both_directions_is_no_death() {
    let mut devices = standing();
    devices.pair.link.cut = true;
    devices.pass(HOUR / 10);
    assert!(devices.pair.a.closed().is_empty() && devices.pair.b.closed().is_empty());
    devices.pair.link.cut = false;
    (devices.from_a, devices.from_b) = (Some(EVERY), Some(EVERY));
    devices.pass(Duration::from_secs(1));
    assert!(devices.a.accepted.len() >= 9 && devices.b.accepted.len() >= 9);
}

/// libreswan `ikev2-liveness-09`: a short break of the cable is survived by the same SAs.
#[test]
fn short_break_is_survived() {
    let mut devices = standing();
    let spi = devices.pair.a.installed[0].inbound;
    (devices.from_a, devices.from_b) = (Some(EVERY), Some(EVERY));
    devices.pass(Duration::from_secs(2));
    devices.pair.link.cut = true;
    devices.pass(Duration::from_secs(6));
    devices.pair.link.cut = false;
    devices.pass(Duration::from_secs(10));
    assert!(devices.pair.a.installed.iter().any(|child| child.inbound == spi), "{}", devices.pair.trace);
    assert!(devices.pair.a.closed().is_empty());
}

/// Liveness that is switched off asks nobody.
#[test]
fn zero_never_asks() {
    let mut a = parties::a();
    a.timing.liveness = Duration::ZERO;
    let mut pair = Pair::new(a, parties::b(), 1);
    pair.initiate();
    pair.settle(Duration::from_secs(10));
    let before = pair.link.sent();
    let spi = pair.a.installed[0].inbound;
    pair.now = pair.now + HOUR / 10;
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::Unanswered(spi));
    pair.settle(Duration::from_secs(10));
    assert_eq!(pair.link.sent(), before);
}

/// A peer that was heard just now by another way is not asked before its time.
#[test]
fn heard_by_ike_counts() {
    let mut pair = Pair::standing();
    let spi = pair.a.installed[0].inbound;
    pair.b.endpoint.rekey(pair.now, PEER).expect("begins");
    pair.settle(Duration::from_secs(1));
    let before = pair.link.sent();
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::Unanswered(spi));
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::Unanswered(pair.a.installed[0].inbound));
    pair.settle(Duration::from_secs(3));
    assert_eq!(pair.link.sent(), before);
    pair.settle(Duration::from_secs(10));
    assert_eq!(pair.link.sent(), before + 2);
}
