//! Strangers of one network (/24, /56) have half of what there is for strangers: of the places in which they are
//! remembered, and of the IKE SAs. Whom the configuration names gets a place before them, and if there is none, it is
//! said.

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::sa::SaReport;
use esp_engine::spd::Level;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, A_KEY, B, B_KEY, BTNS, FIRST_USE, between, leak_all, pinned};
use host_tests::stage::LONG;
use ike_core::config::{Config, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::error::{CloseReason, FailReason};
use ike_core::output::Event;
use ike_core::pad::{Authentication, Identity, PadEntry};
use ike_core::remembered::Remembered;

/// An address of another network than A's.
const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

/// The stranger number `n` of A's network; none is A itself.
fn near(n: u8) -> Config<'static> {
    caller(n, [192, 0, 2, 100 + n].into())
}

fn caller(n: u8, own: IpAddr) -> Config<'static> {
    let name: &str = Box::leak(format!("{n}.example").into_boxed_str());
    parties::config(name, PrivateKey::Ed25519([n; 32]), own, vec![pinned("b.example", &B_KEY, B)], B)
}

/// B with these entries, which takes from anywhere whoever reaches this level.
fn host(pad: Vec<PadEntry<'static>>, minimum: Level) -> Config<'static> {
    let mut b = parties::b();
    b.pad = leak_all(pad);
    let everywhere = (0..=255).map(|last| [192, 0, 2, last].into()).chain([FAR]);
    b.policies = leak_all(everywhere.map(|a| between(B, a, minimum, Peer::Any)).collect());
    b
}

/// What B makes of somebody who comes now.
fn attempt(pair: &mut Pair, config: Config<'static>) -> Result<Level, FailReason> {
    pair.restart_a(config);
    let before = (pair.b.established().len(), pair.b.failed().len());
    pair.initiate();
    pair.settle(LONG);
    match (pair.b.established().get(before.0), pair.b.failed().get(before.1)) {
        (_, Some(failed)) => Err(failed.reason),
        (Some(established), None) => Ok(established.level),
        (None, None) => panic!("{}", pair.trace),
    }
}

/// The same when no IKE SA of another stands.
fn attempt_alone(pair: &mut Pair, config: Config<'static>) -> Result<Level, FailReason> {
    let kept: Vec<(u8, Remembered)> =
        pair.b.endpoint.remembered().map(|(place, known)| (place, known.clone())).collect();
    let fresh = Pair::new(parties::a(), host(vec![FIRST_USE], Level::First), 7);
    pair.b = fresh.b;
    for (place, known) in kept {
        assert!(pair.b.endpoint.recall(place, known));
    }
    attempt(pair, config)
}

/// Of four places two go to one network; those who have them are still known, and another network's stranger has its
/// place.
#[test]
fn one_network_has_half_of_the_places() {
    let mut pair = Pair::new(near(1), host(vec![FIRST_USE], Level::First), 1);
    assert_eq!(attempt_alone(&mut pair, near(1)), Ok(Level::First), "{}", pair.trace);
    assert_eq!(attempt_alone(&mut pair, near(2)), Ok(Level::First), "{}", pair.trace);
    for n in 3..30 {
        assert_eq!(attempt_alone(&mut pair, near(n)), Err(FailReason::NetworkFull), "{}", pair.trace);
        assert_eq!(pair.b.endpoint.counters().network_full, 1);
    }
    assert_eq!(attempt_alone(&mut pair, near(1)), Ok(Level::Known));
    assert_eq!(attempt_alone(&mut pair, caller(30, FAR)), Ok(Level::First), "{}", pair.trace);
    assert_eq!(pair.b.endpoint.remembered().count(), 3);
}

/// Of four IKE SAs two go to one network, however many of its strangers come; one that comes again is no other, and
/// another network's stranger has its IKE SA.
#[test]
fn one_network_has_half_of_the_ike_sas() {
    let mut pair = Pair::new(near(1), host(vec![BTNS], Level::Any), 1);
    for n in 1..3 {
        assert_eq!(attempt(&mut pair, near(n)), Ok(Level::Any), "{}", pair.trace);
    }
    for n in 3..30 {
        assert_eq!(attempt(&mut pair, near(n)), Err(FailReason::NetworkFull), "{}", pair.trace);
        assert_eq!(pair.a.failed()[0].reason, FailReason::Refused(24), "AUTHENTICATION_FAILED");
    }
    assert_eq!(pair.b.endpoint.counters().network_full, 27);
    assert_eq!(attempt(&mut pair, near(2)), Ok(Level::Any), "{}", pair.trace);
    assert_eq!(attempt(&mut pair, caller(30, FAR)), Ok(Level::Any), "{}", pair.trace);
    assert_eq!(pair.b.installed.len(), 3, "{}", pair.trace);
}

/// Whom the configuration vouches for is no stranger, and has no quota.
#[test]
fn named_peers_have_no_quota() {
    let pad = vec![pinned("a.example", &A_KEY, A), BTNS];
    let mut pair = Pair::new(near(1), host(pad, Level::Any), 1);
    for n in 1..3 {
        assert_eq!(attempt(&mut pair, near(n)), Ok(Level::Any), "{}", pair.trace);
    }
    assert_eq!(attempt(&mut pair, parties::a()), Ok(Level::Pinned), "{}", pair.trace);
}

/// Strangers who were remembered before the configuration named anybody have all places: the named peer is
/// authenticated, it is said that this is not remembered, and nobody is forgotten for it.
#[test]
fn named_peer_without_a_place_is_told() {
    let mut pair = crowded(Duration::ZERO);
    pair.pass(Duration::from_secs(48 * 3_600));
    assert_eq!(attempt(&mut pair, parties::a()), Ok(Level::Pinned), "{}", pair.trace);
    assert_eq!(unplaced(&pair), ["a.example"]);
    assert_eq!(names(&pair), ["1.example", "x.example", "y.example", "z.example"]);
}

/// A named peer gets the place of a stranger whose name anybody could take by now, because it has been dead for as long
/// as the operator said; nobody else is forgotten for it, and no second one within a day.
#[test]
fn named_peer_gets_the_place_of_the_dead() {
    let mut pair = crowded(Duration::from_secs(2 * 3_600));
    assert_eq!(attempt(&mut pair, parties::a()), Ok(Level::Pinned), "{}", pair.trace);
    assert_eq!(unplaced(&pair), ["a.example"], "it has not been dead for long");
    pair.pass(Duration::from_secs(3 * 3_600));
    assert_eq!(attempt(&mut pair, parties::a()), Ok(Level::Pinned), "{}", pair.trace);
    let told = |event: &&Event| matches!(event, Event::Remember(_));
    assert!(matches!(pair.b.events.iter().rev().find(told), Some(Event::Remember(0))), "{}", pair.trace);
    assert_eq!(unplaced(&pair).len(), 1);
    assert_eq!(names(&pair), ["a.example", "x.example", "y.example", "z.example"]);
}

/// B knows A by key, and has all four places taken by strangers, of whom the first has just died.
fn crowded(replace_after: Duration) -> Pair {
    let entry = PadEntry { authentication: Authentication::FirstUse { replace_after }, ..FIRST_USE };
    let mut pair = Pair::new(near(1), host(vec![pinned("a.example", &A_KEY, A), entry], Level::First), 1);
    assert_eq!(attempt(&mut pair, near(1)), Ok(Level::First), "{}", pair.trace);
    let (_, known) = pair.b.endpoint.remembered().next().map(|(n, known)| (n, known.clone())).unwrap();
    for (place, name) in (1..).zip(["x.example", "y.example", "z.example"]) {
        let of = Identity::Fqdn(name).to_owned().unwrap();
        let address = IpAddr::from([203, 0, 113, place]);
        assert!(pair.b.endpoint.recall(place, Remembered { of, address, ..known.clone() }));
    }
    let inbound = pair.b.installed[0].inbound;
    pair.link.cut = true;
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::Unanswered(inbound));
    pair.pass(Duration::from_secs(600));
    pair.link.cut = false;
    assert_eq!(pair.b.closed(), [CloseReason::PeerDead], "{}", pair.trace);
    pair
}

/// Whom B had no place for.
fn unplaced(pair: &Pair) -> Vec<String> {
    let of = |event: &Event| if let Event::NoPlace(of) = event { Some(of.to_string()) } else { None };
    pair.b.events.iter().filter_map(of).collect()
}

fn names(pair: &Pair) -> Vec<String> {
    pair.b.endpoint.remembered().map(|(_, known)| known.of.to_string()).collect()
}
