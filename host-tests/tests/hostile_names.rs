//! Hostile peers by name: what a stranger can make us ask, keep and believe (RFC 4301 §4.4.3.3, RFC 5386 §2,
//! RFC 7435 §3).

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::spd::Level;
use host_tests::forge;
use host_tests::link::Direction;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, A_KEY, B, B_KEY, BTNS, PEER, between, leak, leak_all, pinned, published};
use host_tests::stage::*;
use host_tests::zone::{absent, only, signed};
use ike_core::config::{Config, Local, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::error::{AcquireError, Discarded, FailReason, NameFault};
use ike_core::pad::{Authentication, Identity, Matcher, PadEntry, Published, Security};
use ike_core::wire::code_point::PayloadType;

const OTHER: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);

fn customers() -> PadEntry<'static> {
    published(Matcher::Suffix(".example"))
}

/// Whoever comes is looked for in the reverse tree or by its name; who is not there is a stranger.
fn everybody() -> PadEntry<'static> {
    let allowed = Published { or_stranger: true, ..Published::default() };
    PadEntry { authentication: Authentication::Dns(allowed), ..published(Matcher::Any) }
}

/// A pins B; B has these entries and takes whoever reaches this level.
fn before(pad: Vec<PadEntry<'static>>, minimum: Level) -> Pair {
    let mut b = parties::b();
    b.pad = leak_all(pad);
    b.policies = leak_all(vec![between(B, A, minimum, Peer::Any)]);
    Pair::new(parties::a(), b, 1)
}

fn attempt(pair: &mut Pair) -> Result<Level, FailReason> {
    pair.initiate();
    pair.settle(LONG);
    match (pair.b.established().last(), pair.b.failed().last()) {
        (_, Some(failed)) => Err(failed.reason),
        (Some(established), None) => Ok(established.level),
        (None, None) => panic!("{}", pair.trace),
    }
}

/// libreswan sends raw keys without CERT: those in DNS are tried, each once, and none of them is not enough.
#[test]
fn key_that_is_not_shown() {
    for (key, is_right) in [(A_KEY, true), (OTHER, false)] {
        let mut pair = before(vec![customers()], Level::Validated);
        pair.zone.publish("a.example", signed(&[&B_KEY, &OTHER, &key], &[A]));
        let (keys, auth) = stop_before_auth(&mut pair);
        let bare = forge::altered(&keys, &auth, |_, mut payloads| {
            payloads.retain(|payload| payload.kind != PayloadType::CERT);
            payloads
        });
        assert_eq!(give(&mut pair, to_b(), &bare), Ok(()));
        pair.settle(Duration::from_millis(500));
        assert_eq!(!pair.b.installed.is_empty(), is_right, "{}", pair.trace);
        if !is_right {
            assert_eq!(pair.b.failed()[0].reason, FailReason::BadAuthentication);
        }
    }
}

/// A signature that does not verify asks DNS for nothing.
#[test]
fn forged_signature_asks_for_nothing() {
    let mut pair = before(vec![customers()], Level::Validated);
    let (keys, auth) = stop_before_auth(&mut pair);
    let forged = forge::altered(&keys, &auth, |_, mut payloads| {
        for payload in payloads.iter_mut().filter(|payload| payload.kind == PayloadType::AUTH) {
            if let Some(last) = payload.body.last_mut() {
                *last ^= 1;
            }
        }
        payloads
    });
    assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
    pair.settle(Duration::from_millis(500));
    assert!(pair.zone.asked.is_empty());
    assert_eq!(pair.b.failed()[0].reason, FailReason::BadAuthentication);
}

/// One of many strangers, each with a name and an address of its own.
fn stranger(n: u8) -> Config<'static> {
    let own = IpAddr::from([10, n, 0, 1]);
    let mut config = parties::config("x", A_KEY, own, vec![pinned("b.example", &B_KEY, B)], B);
    config.identity = Identity::Fqdn(leak(format!("n{n}.example")));
    config.local = leak_all(vec![Local { interface: 0, address: own }]);
    config
}

/// A hundred strangers, each from a network of its own, claim a hundred names while DNS is silent: one look-up
/// at a time is open for them, and afterwards somebody who is known gets in.
#[test]
fn flood_of_names() {
    let mut pair = before(vec![customers()], Level::Validated);
    pair.zone.cut = true;
    let began = pair.now;
    for n in 0..100 {
        pair.restart_a(stranger(n));
        pair.initiate();
        pair.settle(Duration::from_millis(200));
        assert!(pair.b.endpoint.status().count() <= 4);
    }
    let seconds = pair.now.since(began).as_secs() as usize;
    assert!(pair.zone.asked.len() <= seconds / 4 + 1, "{} in {seconds} s", pair.zone.asked.len());
    assert!(pair.b.discarded.contains(&Discarded::LookupLimit), "{}", pair.trace);
    assert!(pair.b.installed.is_empty());
    pair.zone.cut = false;
    pair.zone.publish("a.example", signed(&[&A_KEY], &[A]));
    pair.restart_a(parties::a());
    pair.pass(Duration::from_secs(40));
    pair.initiate();
    pair.settle(Duration::from_secs(40));
    assert_eq!(pair.b.installed.len(), 1, "{}", pair.trace);
}

/// One network gets one look-up, then it waits, twice as long each time.
#[test]
fn one_network_asks_seldom() {
    let mut pair = before(vec![customers()], Level::Validated);
    for n in 0..40 {
        let mut config = parties::a();
        config.identity = Identity::Fqdn(leak(format!("n{n}.example")));
        pair.restart_a(config);
        pair.initiate();
        pair.settle(Duration::from_millis(300));
        pair.now = pair.now + Duration::from_millis(700);
    }
    assert!(pair.zone.asked.len() <= 7, "{:?}", pair.zone.asked);
}

/// RFC 7435 §3: for whom DNS has nothing, or nothing that is signed, the wildcard stands open; whom DNS has a key
/// for and who shows another, or for whom DNS was tampered with, does not become a stranger.
#[test]
fn who_becomes_a_stranger() {
    let right = || signed(&[&A_KEY], &[A]);
    let other = || signed(&[&OTHER], &[A]);
    let cases = [
        (right(), Ok(Level::Validated)),
        (absent(), Ok(Level::Any)),
        (only(Security::Insecure, right()), Ok(Level::Any)),
        (only(Security::Insecure, other()), Ok(Level::Any)),
        (only(Security::Indeterminate, absent()), Ok(Level::Any)),
        (other(), Err(FailReason::Name(NameFault::OtherKey))),
        (only(Security::Bogus, right()), Err(FailReason::Name(NameFault::Bogus))),
    ];
    for (record, expected) in cases {
        let mut pair = before(vec![everybody(), BTNS], Level::Any);
        pair.zone.publish("a.example", record);
        assert_eq!(attempt(&mut pair), expected, "{}", pair.trace);
    }
    // A name that the operator knows is never a stranger's.
    let mut pair = before(vec![customers(), BTNS], Level::Any);
    assert_eq!(attempt(&mut pair), Err(FailReason::Name(NameFault::Absent)));
}

/// RFC 5386 §2: a stranger speaks for its own address, unless that is somebody else's; that DNS gives a name an
/// address does not make it the owner's (RFC 4301 §4.4.3.3).
#[test]
fn name_at_somebody_elses_address() {
    let known = pinned("known.example", &OTHER, A);
    for published in [signed(&[&A_KEY], &[A]), absent()] {
        let mut pair = before(vec![known, everybody(), BTNS], Level::Any);
        pair.zone.publish("a.example", published);
        assert_eq!(attempt(&mut pair), Err(FailReason::SelectorsUnacceptable), "{}", pair.trace);
        assert!(pair.b.installed.is_empty());
    }
}

/// As initiator: no answer of DNS, or a wrong one, sends nothing to anybody.
#[test]
fn nothing_leaves_without_dns() {
    for security in [Security::Bogus, Security::Indeterminate, Security::Insecure] {
        let mut a = parties::a();
        a.pad = leak_all(vec![published(Matcher::Exact(Identity::Fqdn("b.example")))]);
        a.policies = leak_all(vec![between(A, B, Level::Validated, Peer::Entry(PEER))]);
        let mut pair = Pair::new(a, parties::b(), 1);
        pair.zone.publish("b.example", only(security, signed(&[&B_KEY], &[B])));
        pair.zone.cut = security == Security::Indeterminate;
        pair.initiate();
        pair.settle(LONG);
        assert!(matches!(pair.a.not_begun()[..], [AcquireError::Name(_)]));
        assert_eq!(pair.datagrams.len(), 0);
        assert!(pair.zone.asked.iter().all(|(who, _)| *who == Direction::AtoB));
    }
}
