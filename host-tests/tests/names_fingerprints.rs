//! Peers of whom DNS has the fingerprint of a key only: the key itself comes in the CERT payload (RFC 7296 §3.6). In
//! all else it is like a key in DNS.

use std::time::Duration;

use esp_engine::spd::Level;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, A_KEY, B, B_KEY, PEER, between, leak_all, published};
use host_tests::stage::LONG;
use host_tests::zone::{absent, fingerprints, only, signed};
use ike_core::config::{Config, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::error::{AcquireError, CloseReason, FailReason, NameFault};
use ike_core::output::Event;
use ike_core::pad::{Identity, Matcher, PadEntry, PeerRecord, Presence, Security};

const OTHER: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);

fn party(
    mut config: Config<'static>,
    (own, peer): (std::net::IpAddr, std::net::IpAddr),
    entry: PadEntry<'static>,
) -> Config<'static> {
    let is_named = matches!(entry.matcher, Matcher::Exact(_));
    let who = if is_named { Peer::Entry(PEER) } else { Peer::Any };
    config.pad = leak_all(vec![entry]);
    config.policies = leak_all(vec![between(own, peer, Level::Validated, who)]);
    config.timing.ike_lifetime = Duration::from_secs(600);
    config
}

/// A knows B's name, B takes whoever has a name under `.example`; DNS has nothing but fingerprints.
fn pair() -> Pair {
    let a = party(parties::a(), (A, B), published(Matcher::Exact(Identity::Fqdn("b.example"))));
    let b = party(parties::b(), (B, A), published(Matcher::Suffix(".example")));
    let mut pair = Pair::new(a, b, 1);
    pair.zone.ttl = Duration::from_secs(120);
    pair.zone.publish("a.example", fingerprints(&[&A_KEY], &[A]));
    pair.zone.publish("b.example", fingerprints(&[&B_KEY], &[B]));
    pair
}

fn standing() -> Pair {
    let mut pair = pair();
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    pair
}

/// Both show their key, which nobody knew before, and both are validated.
#[test]
fn both_ends_are_known_by_fingerprint() {
    let pair = standing();
    for side in [&pair.a, &pair.b] {
        assert_eq!(side.established()[0].level, Level::Validated);
    }
    assert_eq!(pair.datagrams.len(), 4, "no exchange more than with keys");
}

/// The same for peers that are known by their addresses, in the reverse tree.
#[test]
fn both_ends_are_known_by_address() {
    let range = || Matcher::Addresses(esp_engine::selector::AddressRange::prefix(B, 24).expect("a prefix"));
    let mut a = party(parties::a(), (A, B), published(range()));
    let mut b = party(parties::b(), (B, A), published(range()));
    (a.identity, b.identity) = (Identity::Address(A), Identity::Address(B));
    let mut pair = Pair::new(a, b, 1);
    for (address, key) in [(A, &A_KEY), (B, &B_KEY)] {
        pair.zone.publish(&address.to_string(), fingerprints(&[key], &[]));
    }
    let ports = esp_engine::selector::Ports::Known { source: 1, destination: 2 };
    let packet = esp_engine::selector::Selectors { source: A, destination: B, protocol: 17, ports };
    pair.a.endpoint.acquire(pair.now, esp_engine::spd::PolicyId(0), packet).expect("begins");
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
}

/// Another key than the fingerprint's is refused, at either end, and so is every answer that is not secure.
#[test]
fn what_is_refused() {
    let right = || fingerprints(&[&A_KEY], &[A]);
    let elsewhere = fingerprints(&[&A_KEY], &["192.0.2.77".parse().unwrap()]);
    let unusable = PeerRecord { presence: Presence::OnlyUnusable, ..absent() };
    for (record, fault) in [
        (fingerprints(&[&OTHER], &[A]), NameFault::OtherKey),
        (elsewhere, NameFault::OtherAddress),
        (unusable, NameFault::OnlyUnusable),
        (PeerRecord { is_wildcard: true, ..right() }, NameFault::Wildcard),
        (only(Security::Insecure, right()), NameFault::Insecure),
        (only(Security::Bogus, right()), NameFault::Bogus),
        (only(Security::Indeterminate, right()), NameFault::Indeterminate),
    ] {
        let mut pair = pair();
        pair.zone.publish("a.example", record);
        pair.initiate();
        pair.settle(LONG);
        assert!(pair.b.installed.is_empty() && pair.a.installed.is_empty(), "{}", pair.trace);
        assert_eq!(pair.b.failed()[0].reason, FailReason::Name(fault));
    }
    let mut pair = pair();
    pair.zone.publish("b.example", fingerprints(&[&OTHER], &[B]));
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.a.installed.is_empty());
    assert_eq!(pair.a.failed()[0].reason, FailReason::Name(NameFault::OtherKey));
}

/// What is not proven does not even let an initiator begin.
#[test]
fn initiator_does_not_begin_without_a_secure_answer() {
    for (security, fault) in [
        (Security::Insecure, NameFault::Insecure),
        (Security::Bogus, NameFault::Bogus),
        (Security::Indeterminate, NameFault::Indeterminate),
    ] {
        let mut pair = pair();
        pair.zone.publish("b.example", only(security, fingerprints(&[&B_KEY], &[B])));
        pair.initiate();
        pair.settle(LONG);
        assert!(pair.datagrams.is_empty(), "{}", pair.trace);
        assert_eq!(pair.a.not_begun(), [AcquireError::Name(fault)]);
    }
}

/// The next key beside the present one, then the next one alone in whatever form: nothing happens to who has it.
#[test]
fn roll_over_by_two_fingerprints() {
    let mut pair = standing();
    for record in [
        fingerprints(&[&OTHER, &B_KEY], &[B]),
        fingerprints(&[&B_KEY], &[B]),
        signed(&[&B_KEY], &[B]),
        fingerprints(&[&B_KEY], &[B]),
    ] {
        pair.zone.publish("b.example", record);
        pair.pass(Duration::from_secs(100));
        assert_eq!((pair.a.established().len(), pair.a.closed().len()), (1, 0), "{}", pair.trace);
    }
}

/// Another fingerprint: the peer has to prove itself anew, and what stands goes on while it cannot.
#[test]
fn fingerprint_is_another() {
    let mut pair = standing();
    pair.zone.publish("b.example", fingerprints(&[&OTHER], &[B]));
    pair.pass(Duration::from_secs(100));
    assert_eq!(pair.a.failed()[0].reason, FailReason::Name(NameFault::OtherKey), "{}", pair.trace);
    assert_eq!((pair.a.installed.len(), pair.a.closed()), (1, Vec::<CloseReason>::new()));
}

/// No fingerprint any more: what stands lives to its end and has no successor (RFC 7435 §3).
#[test]
fn fingerprint_is_gone() {
    let mut pair = standing();
    pair.zone.publish("a.example", absent());
    pair.zone.publish("b.example", absent());
    pair.pass(Duration::from_secs(300));
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    pair.pass(Duration::from_secs(400));
    assert!(pair.a.installed.is_empty() && pair.a.successors().is_empty(), "{}", pair.trace);
}

/// RFC 8767: while DNS is silent a fingerprint is used as long as it is signed, like a key.
#[test]
fn fingerprint_while_dns_is_silent() {
    let mut pair = pair();
    let end = esp_engine::time::Instant::from_millis(1_800_000);
    pair.zone.signed_until = Some(end);
    pair.initiate();
    pair.settle(LONG);
    pair.zone.cut = true;
    pair.pass(Duration::from_secs(1_700));
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let until = |event: &Event| if let Event::Unrenewed { until, .. } = event { Some(*until) } else { None };
    assert_eq!(pair.a.events.iter().filter_map(until).collect::<Vec<_>>(), [Some(end)]);
    pair.pass(Duration::from_secs(1_500));
    assert!(pair.a.installed.is_empty(), "{}", pair.trace);
}
