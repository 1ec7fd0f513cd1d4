//! NULL authentication (RFC 7619): protection from those who only listen, for those who are nobody.

use std::time::Duration;

use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::{Level, PolicyId};
use host_tests::forge::{self, Payload};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, B_KEY, BTNS, between, leak_all, pinned};
use host_tests::stage::*;
use ike_core::config::{Config, Peer};
use ike_core::error::FailReason;
use ike_core::output::Method;
use ike_core::pad::{Authentication, Identity, PadEntry};
use ike_core::wire::code_point::PayloadType;

const NULL: PadEntry<'static> = PadEntry { authentication: Authentication::Null, ..BTNS };

/// Both ends with these entries for anyone, and a policy that takes whoever reaches this level.
fn party(mut config: Config<'static>, pad: Vec<PadEntry<'static>>, minimum: Level) -> Config<'static> {
    let (own, peer) = if config.local[0].address == A { (A, B) } else { (B, A) };
    config.pad = leak_all(pad);
    config.policies = leak_all(vec![between(own, peer, minimum, Peer::Any)]);
    config
}

fn nobodies() -> Pair {
    let [a, b] = [parties::a(), parties::b()].map(|config| party(config, vec![NULL], Level::Null));
    Pair::new(a, b, 1)
}

/// A packet of A's wants an SA.
fn acquire(pair: &mut Pair) {
    let ports = Ports::Known { source: 1, destination: 2 };
    let packet = Selectors { source: A, destination: B, protocol: 17, ports };
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet).expect("begins");
}

fn call(pair: &mut Pair) {
    acquire(pair);
    pair.settle(LONG);
}

/// RFC 7619 §2.2: both ends are nobody, and are shown as that.
#[test]
fn both_ends_are_nobody() {
    let mut pair = nobodies();
    call(&mut pair);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    for side in [&pair.a, &pair.b] {
        let established = side.established()[0];
        assert_eq!((established.level, established.method), (Level::Null, Method::Null));
        assert_eq!(established.identity.view(), Identity::Null);
        assert!(side.installed[0].remote_ts.iter().all(|ts| ts.addresses.is_single()), "RFC 7619 §2.5");
    }
}

/// RFC 7619 §2.4: only where a policy says so.
#[test]
fn policy_has_to_allow_it() {
    let a = party(parties::a(), vec![NULL], Level::Null);
    let b = party(parties::b(), vec![BTNS, NULL], Level::Any);
    let mut pair = Pair::new(a, b, 1);
    call(&mut pair);
    assert!(pair.b.installed.is_empty());
    assert_eq!(pair.b.failed()[0].reason, FailReason::LevelTooLow);
    let b = party(parties::b(), vec![BTNS], Level::Any);
    let mut pair = Pair::new(party(parties::a(), vec![NULL], Level::Null), b, 1);
    call(&mut pair);
    assert_eq!(pair.b.failed()[0].reason, FailReason::WrongMethod);
    assert_eq!(pair.b.endpoint.status().filter(|sa| sa.level.is_some()).count(), 0);
}

/// RFC 7619 §3: where both NULL and a key are possible, the key is used.
#[test]
fn key_goes_before_nothing() {
    let [a, b] = [parties::a(), parties::b()].map(|config| party(config, vec![BTNS, NULL], Level::Null));
    let mut pair = Pair::new(a, b, 1);
    call(&mut pair);
    assert_eq!(pair.a.established()[0].level, Level::Any);
    assert_eq!(pair.b.established()[0].level, Level::Any);
}

/// RFC 7619 §2.3: INITIAL_CONTACT of nobody's ends nothing.
#[test]
fn initial_contact_of_nobody_ends_nothing() {
    let mut pair = nobodies();
    call(&mut pair);
    assert_eq!(pair.b.installed.len(), 1);
    pair.restart_a(party(parties::a(), vec![NULL], Level::Null));
    pair.link.script = vec![(pair.link.sent() + 2, host_tests::link::Fault::Drop)];
    let before = pair.link.sent();
    acquire(&mut pair);
    pair.drain();
    while pair.link.sent() < before + 3 {
        assert!(pair.step(pair.now + LONG));
    }
    let keys = forge::keys(&pair.a);
    let auth = pair.datagrams.last().expect("IKE_AUTH").1.clone();
    let greedy = forge::altered(&keys, &auth, |_, mut payloads| {
        // N(INITIAL_CONTACT).
        payloads.push(Payload { kind: PayloadType::NOTIFY, body: vec![0, 0, 0x40, 0] });
        payloads
    });
    assert_eq!(give(&mut pair, to_b(), &greedy), Ok(()));
    pair.settle(Duration::from_millis(500));
    assert_eq!(pair.b.closed(), [], "{}", pair.trace);
    assert_eq!(pair.b.installed.len(), 2);
}

/// RFC 7619 §3: whoever proves who he is takes the flow over, and nobody's SA ends.
#[test]
fn nobody_gives_way_to_somebody() {
    let mut pair = nobodies();
    let b = party(parties::b(), vec![pinned("a.example", &parties::A_KEY, A), NULL], Level::Null);
    pair.b = Pair::new(parties::a(), b, 3).b;
    call(&mut pair);
    assert_eq!(pair.b.established()[0].level, Level::Null, "{}", pair.trace);
    let a = party(parties::a(), vec![pinned("b.example", &B_KEY, B)], Level::Pinned);
    pair.restart_a(a);
    call(&mut pair);
    assert_eq!(pair.b.established()[1].level, Level::Pinned, "{}", pair.trace);
    assert_eq!(pair.b.installed.len(), 1);
    assert_eq!(pair.b.installed[0].level, Level::Pinned);
    assert_eq!(pair.b.closed().len(), 1);
}

/// libreswan `newoe-27-replace-sa-auth-authnull`: nobody gets no flow that is somebody's.
#[test]
fn nobody_does_not_replace_somebody() {
    let a = party(parties::a(), vec![pinned("b.example", &B_KEY, B)], Level::Pinned);
    let b = party(parties::b(), vec![pinned("a.example", &parties::A_KEY, B), NULL], Level::Null);
    let mut pair = Pair::new(a, b, 1);
    call(&mut pair);
    assert_eq!(pair.b.established()[0].level, Level::Pinned, "{}", pair.trace);
    pair.restart_a(party(parties::a(), vec![NULL], Level::Null));
    call(&mut pair);
    assert!(pair.a.installed.is_empty(), "{}", pair.trace);
    assert_eq!((pair.b.installed.len(), pair.b.installed[0].level), (1, Level::Pinned));
    assert_eq!(pair.b.failed()[0].reason, FailReason::OtherKeysFlow);
}
