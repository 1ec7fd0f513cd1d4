//! What DNS says about a peer changes while SAs with it stand: another key, another address, none at all
//! (RFC 7435 §3).

mod names_support;

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::time::Instant;
use host_tests::pair::Pair;
use host_tests::parties::{B, B_KEY, PEER};
use host_tests::zone::{absent, only, signed};
use ike_core::crypto::PrivateKey;
use ike_core::error::{AcquireError, CloseReason, FailReason, NameFault};
use ike_core::output::Event;
use ike_core::pad::Security;
use names_support::*;

const OTHER: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);

fn standing() -> Pair {
    standing_with(None, |_| {})
}

fn addresses(pair: &Pair) -> Vec<Vec<IpAddr>> {
    let of = |event: &Event| match event {
        Event::Addresses { addresses, .. } => Some(addresses.to_vec()),
        _ => None,
    };
    pair.a.events.iter().filter_map(of).collect()
}

/// Another address: the SA to it stands before the old one goes, and policies cover both meanwhile.
#[test]
fn peer_is_elsewhere() {
    let mut pair = standing();
    pair.zone.publish("b.example", signed(&[&B_KEY], &[B2]));
    pair.pass(Duration::from_secs(100));
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert_eq!(pair.a.installed[0].remote, B2);
    assert!(pair.agree());
    assert_eq!(addresses(&pair), [vec![B], vec![B, B2], vec![B2]], "{}", pair.trace);
    let place = |is: &dyn Fn(&Event) -> bool| pair.a.events.iter().position(is).expect("happened");
    let came = place(&|event| matches!(event, Event::Install(child) if child.remote == B2));
    let went = place(&|event| matches!(event, Event::Remove(_) | Event::Retire(_)));
    assert!(came < went, "no packet is lost");
    assert_eq!(pair.a.closed(), [CloseReason::Replaced]);
}

/// Another key, which the peer does not have yet: what stands goes on, and nothing new is made with the old key.
#[test]
fn key_that_the_peer_does_not_have_yet() {
    let mut pair = standing();
    pair.zone.publish("b.example", signed(&[&OTHER], &[B]));
    pair.pass(Duration::from_secs(100));
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert_eq!(pair.a.failed()[0].reason, FailReason::Name(NameFault::OtherKey));
    assert_eq!(pair.a.closed(), []);
}

/// Both keys at once, then the new one alone: nothing happens to who has the one that is there.
#[test]
fn second_key_beside_the_first() {
    let mut pair = standing();
    pair.zone.publish("b.example", signed(&[&OTHER, &B_KEY], &[B]));
    pair.pass(Duration::from_secs(100));
    assert_eq!((pair.a.established().len(), pair.a.closed().len()), (1, 0), "{}", pair.trace);
}

/// No key any more, or none that is signed: what stands lives to its end and has no successor.
#[test]
fn key_is_gone() {
    for record in [absent(), only(Security::Insecure, signed(&[&B_KEY], &[B]))] {
        let mut pair = standing();
        pair.zone.publish("a.example", absent());
        pair.zone.publish("b.example", record);
        pair.pass(Duration::from_secs(300));
        assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
        pair.pass(Duration::from_secs(400));
        assert!(pair.a.installed.is_empty(), "{}", pair.trace);
        assert!(pair.a.successors().is_empty());
    }
}

/// Forged answers, and none, change nothing about what was good, as long as it is.
#[test]
fn nothing_follows_from_bogus() {
    let mut pair = standing();
    pair.zone.publish("b.example", only(Security::Bogus, signed(&[&OTHER], &[B2])));
    pair.pass(Duration::from_secs(300));
    assert_eq!((pair.a.installed.len(), pair.a.closed().len(), pair.a.failed().len()), (1, 0, 0));
    assert_eq!(addresses(&pair), [vec![B]]);
}

/// When the signatures of what is published end.
const SIGNED_UNTIL: Instant = Instant::from_millis(6 * 3_600_000);

/// Both stand, ask DNS every 80 s, and prove every 1,000 s anew who they are.
fn standing_with_signatures() -> Pair {
    standing_with(Some(SIGNED_UNTIL), |config| {
        (config.timing.reauthentication, config.timing.ike_lifetime) =
            (Duration::from_secs(1_000), Duration::from_secs(2_000));
    })
}

/// Until when records are believed that nobody renewed, as each end said.
fn unrenewed(pair: &Pair) -> [Vec<Option<Instant>>; 2] {
    [&pair.a, &pair.b].map(|side| {
        let of = |event: &Event| if let Event::Unrenewed { until, .. } = event { Some(*until) } else { None };
        side.events.iter().filter_map(of).collect()
    })
}

/// RFC 8767: while nobody answers, what was validated is believed beyond its time where SAs rest on it: they are
/// replaced and prove anew who the peer is. Never beyond the signatures (RFC 4035 §5.3.3): then what stands lives to its
/// end, and nothing new begins.
#[test]
fn dns_is_silent_for_hours() {
    let mut pair = standing_with_signatures();
    pair.zone.cut = true;
    while pair.now < SIGNED_UNTIL {
        pair.pass(Duration::from_secs(60));
        assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    }
    assert!(pair.a.established().len() + pair.b.established().len() > 2 * 20, "{}", pair.trace);
    assert!(pair.a.failed().is_empty() && pair.b.failed().is_empty());
    assert_eq!(unrenewed(&pair), [vec![Some(SIGNED_UNTIL)], vec![Some(SIGNED_UNTIL)]]);
    let established = pair.a.established().len();
    pair.pass(Duration::from_secs(120));
    assert_eq!(unrenewed(&pair), [vec![Some(SIGNED_UNTIL), None], vec![Some(SIGNED_UNTIL), None]]);
    pair.pass(Duration::from_secs(2_000));
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
    assert_not_begun(&mut pair);
    assert_eq!(pair.a.established().len(), established, "{}", pair.trace);
}

/// A wants an SA, and has none because it does not know who the peer is: told at once, or when DNS has been asked.
fn assert_not_begun(pair: &mut Pair) {
    let unknown = AcquireError::Name(NameFault::Indeterminate);
    let begun = pair.a.endpoint.initiate(pair.now, PEER);
    pair.pass(Duration::from_secs(60));
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
    let is_told = |event: &Event| matches!(event, Event::NotBegun { reason, .. } if *reason == unknown);
    assert!(begun == Err(unknown) || pair.a.events.iter().any(is_told), "{begun:?}");
}

/// Forged answers are as good as silence.
#[test]
fn dns_is_forged_for_hours() {
    let mut pair = standing_with_signatures();
    for name in ["a.example", "b.example"] {
        pair.zone.publish(name, only(Security::Bogus, signed(&[&OTHER], &[B2])));
    }
    pair.pass(Duration::from_secs(3 * 3_600));
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    assert_eq!(unrenewed(&pair), [vec![Some(SIGNED_UNTIL)], vec![Some(SIGNED_UNTIL)]]);
}

/// Where answers that say nothing come at once, the next question waits: half of what is left of the record, again
/// and again, would have it asked for ever faster.
#[test]
fn questions_do_not_come_ever_faster() {
    let mut pair = standing();
    for name in ["a.example", "b.example"] {
        pair.zone.publish(name, only(Security::Bogus, signed(&[&OTHER], &[B2])));
    }
    let asked = |pair: &Pair| {
        let is_lookup = |event: &&Event| matches!(event, Event::Lookup { .. });
        pair.a.events.iter().filter(is_lookup).count()
    };
    let first = asked(&pair);
    for _ in 0..60 {
        let before = asked(&pair);
        pair.pass(Duration::from_secs(4));
        assert!(asked(&pair) - before <= 1, "{}", pair.trace);
    }
    assert!(asked(&pair) > first, "nobody asked");
}

/// Whoever has no SA with the peer believes nothing beyond its time.
#[test]
fn nothing_stale_without_an_sa() {
    let mut pair = standing_with_signatures();
    pair.a.endpoint.close(pair.now, PEER);
    pair.zone.cut = true;
    pair.pass(Duration::from_secs(300));
    assert_not_begun(&mut pair);
    assert_eq!(unrenewed(&pair), [vec![], vec![]]);
}

/// When DNS answers again, what it says counts: another key is used from then on, and silence begins anew.
#[test]
fn dns_speaks_again() {
    let mut pair = standing_with_signatures();
    pair.zone.cut = true;
    pair.pass(Duration::from_secs(3_600));
    pair.zone.cut = false;
    pair.zone.publish("a.example", absent());
    pair.zone.publish("b.example", absent());
    pair.pass(Duration::from_secs(2_500));
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
    assert_eq!(unrenewed(&pair), [vec![Some(SIGNED_UNTIL)], vec![Some(SIGNED_UNTIL)]]);
}
