//! The gateway begins: whoever it is and whatever it calls itself, the signed record of the address that it wants to
//! speak for makes it that address's gateway, and no other's.

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::sa::Mode;
use esp_engine::selector::AddressRange;
use esp_engine::spd::{Action, Level};
use host_tests::link::Direction;
use host_tests::pair::Pair;
use host_tests::parties::{A, B, B_KEY, leak_all, pinned, published};
use host_tests::zone::{absent, only};
use ike_core::config::{Config, IkePolicy, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::error::{FailReason, NameFault};
use ike_core::pad::{Gateway, Identity, Matcher, PadEntry, PeerId, PeerRecord, Presence, Security};

use crate::stage::*;

fn asked(pair: &Pair) -> Vec<&str> {
    let by_a = pair.zone.asked.iter().filter(|(who, _)| *who == Direction::AtoB);
    by_a.map(|(_, of)| of.as_str()).collect()
}

/// A has an SA for this address alone, with B as its gateway.
fn assert_gateway_of(pair: &Pair, owner: IpAddr) {
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let child = &pair.a.installed[0];
    assert_eq!((child.mode, child.remote, child.level), (Mode::Tunnel, B, Level::Validated));
    assert_eq!(far_sides(pair), single(owner));
    let established = pair.a.established();
    assert_eq!((established[0].behind, established[0].level), (Some(owner), Level::Validated));
}

fn assert_refused(pair: &Pair, reason: FailReason) {
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
    assert_eq!(pair.a.failed().last().map(|failed| failed.reason), Some(reason), "{}", pair.trace);
}

/// RFC 4025 §2.5, RFC 4301 §4.4.3.3: by the reverse tree. One question, about the address; the SA is for that alone,
/// although B offers all there is.
#[test]
fn gateway_of_an_address() {
    let mut pair = pair_with(by_address(), caller_for_all());
    call(&mut pair, OWNER);
    assert_gateway_of(&pair, OWNER);
    assert_eq!(asked(&pair), ["198.51.100.7"]);
    assert_eq!(pair.a.established()[0].identity.to_string(), "b.example");
    assert_eq!(pair.datagrams.len(), 4, "{}", pair.trace);
}

/// By a name of the configuration that has the address, whether DNS was asked for it before or not.
#[test]
fn gateway_of_a_name() {
    for is_located in [false, true] {
        let mut pair = pair_with(by_name(), caller());
        if is_located {
            pair.a.endpoint.locate(pair.now, PeerId(0)).expect("asks");
            pair.settle(Duration::from_secs(1));
        }
        call(&mut pair, OWNER);
        assert_gateway_of(&pair, OWNER);
        assert_eq!(asked(&pair), ["far.example"]);
    }
}

/// DNS does not say what a gateway calls itself: its name or its address will do as well as those of the owner. An
/// address that is neither's will not.
#[test]
fn what_a_gateway_calls_itself() {
    let from_b = |identity| Config { identity, ..caller() };
    for identity in [
        Identity::Fqdn("far.example"),
        Identity::Fqdn("gw.elsewhere.example"),
        Identity::Address(B),
        Identity::Address(OWNER),
        Identity::KeyId(b"gateway"),
    ] {
        for a in [by_name(), by_address()] {
            let mut pair = pair_with(a, from_b(identity));
            call(&mut pair, OWNER);
            assert_gateway_of(&pair, OWNER);
        }
    }
    let mut pair = pair_with(by_address(), from_b(Identity::Address(SECOND)));
    call(&mut pair, OWNER);
    assert_refused(&pair, FailReason::Name(NameFault::OtherAddress));
}

/// RFC 4025 §4.1.2: nothing but a signed record that names this gateway, with this key, at this address.
#[test]
fn what_makes_no_gateway() {
    let right = || at(&[(Gateway::Address(B), &B_KEY)], &[]);
    let with = |gateway, key: &PrivateKey| at(&[(gateway, key)], &[]);
    let unusable = PeerRecord { presence: Presence::OnlyUnusable, ..absent() };
    let wildcard = PeerRecord { is_wildcard: true, ..right() };
    for (record, fault) in [
        (absent(), NameFault::Absent),
        (unusable, NameFault::OnlyUnusable),
        (only(Security::Insecure, right()), NameFault::Insecure),
        (only(Security::Bogus, right()), NameFault::Bogus),
        (only(Security::Indeterminate, right()), NameFault::Indeterminate),
        (wildcard, NameFault::Wildcard),
        (with(Gateway::Address(B), &OTHER), NameFault::OtherKey),
        (with(Gateway::Address(NOWHERE), &B_KEY), NameFault::OtherKey),
        (with(Gateway::Elsewhere, &B_KEY), NameFault::OtherKey),
        (with(Gateway::Owner, &B_KEY), NameFault::OtherKey),
    ] {
        let mut pair = pair_with(by_address(), caller());
        pair.zone.publish("198.51.100.7", record);
        call(&mut pair, OWNER);
        assert_refused(&pair, FailReason::Name(fault));
    }
}

/// The name of the configuration has another address, or none, in the record that comes.
#[test]
fn name_without_the_address() {
    for addresses in [&[SECOND][..], &[]] {
        let mut pair = pair_with(by_name(), caller());
        pair.zone.publish("far.example", at(&[(Gateway::Address(B), &B_KEY)], addresses));
        call(&mut pair, OWNER);
        assert_refused(&pair, FailReason::UnknownPeer);
    }
}

/// RFC 4301 §4.4.3.3: a record gives away nothing that is somebody else's: of another entry, our own, of our own
/// network. Nobody is asked about it.
#[test]
fn owner_that_is_somebody_else() {
    let with = |entry: PadEntry<'static>| {
        let mut a = by_address();
        a.pad = leak_all(vec![published(Matcher::Addresses(net([0; 4], 0))), entry]);
        a
    };
    let claimed = |name, range| PadEntry {
        claim: ike_core::pad::Claim::Ranges(leak_all(vec![range])),
        ..pinned(name, &OTHER, NOWHERE)
    };
    let nobody = || with(claimed("other.example", AddressRange::single(NOWHERE)));
    for (a, owner) in [
        (with(pinned("other.example", &OTHER, OWNER)), OWNER),
        (with(claimed("other.example", net([198, 51, 100, 0], 24))), OWNER),
        (with(published(Matcher::Exact(Identity::Address(OWNER)))), OWNER),
        (nobody(), A),
        (nobody(), INNER),
        (nobody(), IpAddr::from([10, 1, 0, 9])),
    ] {
        let mut pair = pair_with(a, caller_for_all());
        pair.zone.publish(&owner.to_string(), at(&[(Gateway::Address(B), &B_KEY)], &[]));
        call(&mut pair, owner);
        assert_refused(&pair, FailReason::UnknownPeer);
        assert!(asked(&pair).is_empty(), "{}", pair.trace);
    }
    let mut pair = pair_with(nobody(), caller());
    call(&mut pair, OWNER);
    assert_gateway_of(&pair, OWNER);
}

/// Whoever says a name that another entry is for is judged by that entry, which says what it speaks for; and nobody is a
/// gateway where such a peer is.
#[test]
fn gateway_with_an_entry_of_its_own() {
    let both = |entry| {
        let mut a = by_address();
        a.pad = leak_all(vec![entry, a.pad[0]]);
        a
    };
    let mut pair = pair_with(both(pinned("b.example", &B_KEY, B)), caller());
    call(&mut pair, OWNER);
    assert_refused(&pair, FailReason::SelectorsUnacceptable);
    let mut pair = pair_with(both(pinned("other.example", &OTHER, B)), caller());
    call(&mut pair, OWNER);
    assert_refused(&pair, FailReason::UnknownPeer);
    let mut pair = pair_with(both(published(Matcher::Suffix(".example"))), caller());
    call(&mut pair, OWNER);
    assert_refused(&pair, FailReason::Name(NameFault::Absent));
}

/// A name that only the peer says could take any address with it: entries for the end of a name have no gateways.
#[test]
fn name_that_only_the_peer_says() {
    let a = near(published(Matcher::Suffix(".example")), Peer::Any);
    let mut pair = pair_with(a, Config { identity: Identity::Fqdn("far.example"), ..caller() });
    call(&mut pair, OWNER);
    assert_refused(&pair, FailReason::Name(NameFault::OtherAddress));
}

/// For whom DNS has no key the strangers' entry stands open, but strangers speak for themselves.
#[test]
fn stranger_is_no_gateway() {
    let allowed = ike_core::pad::Published { or_stranger: true, ..Default::default() };
    let mut a = by_address();
    let entry = PadEntry { authentication: ike_core::pad::Authentication::Dns(allowed), ..a.pad[0] };
    a.pad = leak_all(vec![entry, host_tests::parties::BTNS]);
    let action = Action::Protect { mode: Mode::Tunnel, minimum: Level::Any };
    a.policies = leak_all(vec![IkePolicy { action, ..a.policies[0] }]);
    for record in [absent(), only(Security::Insecure, at(&[(Gateway::Address(B), &B_KEY)], &[]))] {
        let mut pair = pair_with(a.clone(), caller());
        pair.zone.publish("198.51.100.7", record);
        call(&mut pair, OWNER);
        assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
    }
    let mut pair = pair_with(a, caller());
    call(&mut pair, OWNER);
    assert_gateway_of(&pair, OWNER);
}

/// RFC 7296 §2.9: without a packet's own selector in front nobody is asked about anybody, nor in transport mode.
#[test]
fn no_address_in_front() {
    let mut pair = pair_with(by_address(), caller());
    pair.b.endpoint.initiate(pair.now, PeerId(0)).expect("begins");
    pair.settle(host_tests::stage::LONG);
    assert_refused(&pair, FailReason::UnknownPeer);
    let transport = Action::Protect { mode: Mode::Transport, minimum: Level::Validated };
    for is_a in [true, false] {
        let (mut a, mut b) = (by_address(), caller());
        let config = if is_a { &mut a } else { &mut b };
        config.policies = leak_all(vec![IkePolicy { action: transport, ..config.policies[0] }]);
        let mut pair = pair_with(a, b);
        // In transport mode the packet is of B itself.
        call(&mut pair, if is_a { OWNER } else { B });
        assert!(pair.a.installed.is_empty() && asked(&pair).is_empty(), "{}", pair.trace);
    }
}

/// RFC 4025 §2.5: a gateway of two owners proves each on an IKE SA of its own: a Child SA for the second one is refused
/// on that of the first, and B begins anew for it. It is not the gateway of whoever else is behind it.
#[test]
fn gateway_of_several_owners() {
    let mut pair = pair_with(by_address(), caller());
    pair.zone.publish("198.51.100.8", at(&[(Gateway::Address(B), &B_KEY)], &[]));
    call(&mut pair, OWNER);
    call(&mut pair, SECOND);
    assert_eq!(
        far_sides(&pair),
        [AddressRange::single(OWNER), AddressRange::single(SECOND)],
        "{}",
        pair.trace
    );
    assert!(pair.agree() && pair.a.installed.len() == 2);
    let behind: Vec<_> = pair.a.established().iter().map(|established| established.behind).collect();
    assert_eq!(behind, [Some(OWNER), Some(SECOND)]);
    call(&mut pair, IpAddr::from([198, 51, 100, 9]));
    assert_eq!(pair.a.installed.len(), 2, "{}", pair.trace);
    assert_eq!(pair.a.failed().last().map(|failed| failed.reason), Some(FailReason::Name(NameFault::Absent)));
    pair.pass(Duration::from_secs(60));
    assert!(pair.agree() && pair.a.installed.len() == 2, "nothing that stands suffers: {}", pair.trace);
}

/// Whoever begins, the other end's packets take the same SA; and where both begin at once, one of two IKE SAs stays.
#[test]
fn either_end_begins() {
    let mut pair = pair_with(by_address(), caller());
    call(&mut pair, OWNER);
    send(&mut pair, OWNER);
    assert_eq!((pair.a.established().len(), pair.a.installed.len()), (1, 1), "{}", pair.trace);
    let mut pair = pair_with(by_address(), caller());
    pair.zone.latency = Duration::from_millis(1);
    begin(&mut pair, OWNER);
    send(&mut pair, OWNER);
    pair.pass(Duration::from_secs(30));
    assert!(pair.agree(), "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    let standing = pair.a.endpoint.status().count();
    assert_eq!((standing, pair.b.endpoint.status().count()), (1, 1), "{}", pair.trace);
}

/// RFC 7296 §2.23: A learns of the key from DNS alone, so B need not show it.
#[test]
fn key_that_is_not_shown() {
    for (key, is_right) in [(B_KEY, true), (OTHER, false)] {
        let mut b = caller();
        b.pad = leak_all(vec![PadEntry { send_key: false, ..b.pad[0] }]);
        let mut pair = pair_with(by_address(), b);
        pair.zone
            .publish("198.51.100.7", at(&[(Gateway::Address(B), &OTHER), (Gateway::Address(B), &key)], &[]));
        call(&mut pair, OWNER);
        assert_eq!(pair.a.installed.len(), usize::from(is_right), "{}", pair.trace);
    }
}

/// The record names another gateway when it is renewed: a successor is made there, and until it stands nothing is
/// lost. When the record is gone, what stands lives to its end.
#[test]
fn record_that_changes() {
    let elsewhere = at(&[(Gateway::Address(NOWHERE), &B_KEY)], &[]);
    for (record, has_moved) in [(elsewhere, true), (absent(), false)] {
        let mut a = by_address();
        a.timing.ike_lifetime = Duration::from_secs(900);
        let mut b = caller();
        b.timing.ike_lifetime = Duration::from_secs(20_000);
        let mut pair = pair_with(a, b);
        pair.zone.ttl = Duration::from_secs(300);
        call(&mut pair, OWNER);
        assert_gateway_of(&pair, OWNER);
        pair.zone.publish("198.51.100.7", record);
        pair.link.nobody = Some(NOWHERE);
        pair.pass(Duration::from_secs(325));
        let calls = pair.a.failed().iter().filter(|failed| failed.path.remote.ip() == NOWHERE).count();
        assert_eq!(calls > 0, has_moved, "{}", pair.trace);
        assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
        pair.pass(Duration::from_secs(600));
        assert_eq!(pair.a.installed.is_empty(), !has_moved, "{}", pair.trace);
        assert_eq!(pair.a.successors().is_empty(), !has_moved, "{}", pair.trace);
    }
}
