//! We begin: IKE goes to the gateway.

use std::time::Duration;

use esp_engine::sa::Mode;
use esp_engine::selector::AddressRange;
use esp_engine::spd::Level;
use host_tests::pair::Pair;
use host_tests::parties::{A, B, B_KEY, between, leak_all, pinned};
use host_tests::zone::only;
use ike_core::config::Peer;
use ike_core::error::{AcquireError, FailReason, NameFault};
use ike_core::output::Event;
use ike_core::pad::{Gateway, PeerId, Security};

use crate::stage::*;

/// RFC 4025 §2.5, RFC 4301 §4.4.3.3: tunnel mode to the gateway, for the owner's address alone, although the gateway
/// would speak for more. Policies for the name follow the owner, not its gateway.
#[test]
fn gateway_of_a_configured_name() {
    let mut pair = pair(by_name());
    send(&mut pair, OWNER);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let child = &pair.a.installed[0];
    assert_eq!((child.mode, child.remote, child.level), (Mode::Tunnel, B, Level::Validated));
    assert_eq!(far_sides(&pair), single(OWNER));
    assert_eq!(pair.a.established()[0].identity.to_string(), "b.example", "DNS does not say its name");
    let told = pair.a.events.iter().find_map(|event| match event {
        Event::Addresses { addresses, .. } => Some(addresses.to_vec()),
        _ => None,
    });
    assert_eq!(told, Some(vec![OWNER]));
}

/// The same by the reverse tree; the gateway of two owners has an IKE SA for each.
#[test]
fn gateway_in_the_reverse_tree() {
    let mut pair = pair(by_address());
    pair.zone.publish("198.51.100.8", at(&[(Gateway::Address(B), &B_KEY)], &[]));
    send(&mut pair, OWNER);
    assert_eq!(far_sides(&pair), single(OWNER), "{}", pair.trace);
    send(&mut pair, SECOND);
    assert_eq!(
        far_sides(&pair),
        [AddressRange::single(OWNER), AddressRange::single(SECOND)],
        "{}",
        pair.trace
    );
    assert!(pair.agree() && pair.a.installed.len() == 2 && pair.a.established().len() == 2);
    let asked: Vec<_> = pair.zone.asked.iter().map(|(_, of)| of.as_str()).collect();
    assert_eq!(asked, ["198.51.100.7", "a.example", "198.51.100.8"]);
}

/// RFC 4025 §2.2: the gateway of the lowest precedence first, the next one when nobody answers there.
#[test]
fn gateways_by_precedence() {
    let mut pair = pair(by_name());
    let both = [(Gateway::Address(NOWHERE), &OTHER), (Gateway::Address(B), &B_KEY)];
    pair.zone.publish("far.example", at(&both, &[OWNER]));
    pair.link.nobody = Some(NOWHERE);
    send(&mut pair, OWNER);
    pair.settle(Duration::from_secs(120));
    assert_eq!(pair.a.failed()[0].path.remote.ip(), NOWHERE);
    assert!(pair.agree() && far_sides(&pair) == single(OWNER), "{}", pair.trace);
}

/// RFC 4025 §2.2: a record without gateway before one with: the owner itself is asked.
#[test]
fn owner_before_its_gateway() {
    let mut pair = pair(by_name());
    let both = [(Gateway::Owner, &OTHER), (Gateway::Address(B), &B_KEY)];
    pair.zone.publish("far.example", at(&both, &[OWNER]));
    pair.link.nobody = Some(OWNER);
    send(&mut pair, OWNER);
    pair.settle(Duration::from_secs(120));
    assert_eq!(pair.a.failed()[0].path.remote.ip(), OWNER);
    assert!(pair.agree() && far_sides(&pair) == single(OWNER), "{}", pair.trace);
}

/// RFC 4025 §4.1.2: nobody's word makes a gateway; nor does a gateway do in transport mode, at our own address, or at
/// one that another entry owns.
#[test]
fn what_makes_no_gateway() {
    let record = || at(&[(Gateway::Address(B), &B_KEY)], &[OWNER]);
    let mut with_other = by_name();
    with_other.pad = leak_all(vec![with_other.pad[0], pinned("other.example", &OTHER, B)]);
    let mut transport = by_name();
    transport.policies = leak_all(vec![between(A, OWNER, Level::Validated, Peer::Entry(PeerId(0)))]);
    for (config, record, fault) in [
        (by_name(), only(Security::Insecure, record()), NameFault::Insecure),
        (by_name(), only(Security::Bogus, record()), NameFault::Bogus),
        (by_name(), at(&[(Gateway::Address(A), &B_KEY)], &[OWNER]), NameFault::Gateway),
        (by_name(), at(&[(Gateway::Elsewhere, &B_KEY)], &[OWNER]), NameFault::Gateway),
        (with_other, record(), NameFault::Gateway),
        (transport, record(), NameFault::Gateway),
    ] {
        let mut pair = pair(config);
        pair.zone.publish("far.example", record);
        send(&mut pair, OWNER);
        assert!(pair.datagrams.is_empty(), "{}", pair.trace);
        assert_eq!(pair.a.not_begun(), [AcquireError::Name(fault)], "{fault:?}");
    }
}

/// Whoever is at the gateway's address without its key is refused, and so is one with a key that stands for another
/// gateway.
#[test]
fn gateway_without_its_key() {
    for (keys, nobody) in [
        (vec![(Gateway::Address(B), &OTHER)], NOWHERE),
        (vec![(Gateway::Address(B), &OTHER), (Gateway::Owner, &B_KEY)], OWNER),
        (vec![(Gateway::Address(B), &OTHER), (Gateway::Address(NOWHERE), &B_KEY)], NOWHERE),
    ] {
        let mut pair = pair(by_name());
        pair.link.nobody = Some(nobody);
        pair.zone.publish("far.example", at(&keys, &[OWNER]));
        send(&mut pair, OWNER);
        assert!(pair.a.installed.is_empty(), "{}", pair.trace);
        assert_eq!(pair.a.failed()[0].reason, FailReason::Name(NameFault::OtherKey));
    }
}

/// RFC 4301 §4.4.3.3: a name's owner does not own the address: that of another entry, or ours, gets no gateway.
#[test]
fn owner_at_somebody_elses_address() {
    let mut a = by_name();
    a.pad = leak_all(vec![a.pad[0], pinned("other.example", &OTHER, OWNER)]);
    for (config, owner) in [(a, OWNER), (by_name(), A)] {
        let mut pair = pair(config);
        pair.zone.publish("far.example", at(&[(Gateway::Address(B), &B_KEY)], &[owner]));
        send(&mut pair, owner);
        assert!(pair.a.installed.is_empty(), "{}", pair.trace);
    }
}

/// A packet to an address that the name does not have is not sent to its gateway.
#[test]
fn packet_to_another_address_than_the_owners() {
    let mut pair = pair(by_name());
    send(&mut pair, SECOND);
    assert!(pair.datagrams.is_empty() && pair.a.installed.is_empty());
    assert_eq!(pair.a.not_begun(), [AcquireError::Name(NameFault::OtherAddress)]);
}

/// The record names no gateway any more when it is renewed: what stands lives on while DNS says nothing else, and
/// an SA with a gateway whose key is gone has no successor there.
#[test]
fn gateway_that_is_another_one_now() {
    let mut pair = pair(by_name());
    pair.zone.ttl = Duration::from_secs(300);
    send(&mut pair, OWNER);
    assert_eq!(far_sides(&pair), single(OWNER));
    pair.zone.publish("far.example", at(&[(Gateway::Address(NOWHERE), &B_KEY)], &[OWNER]));
    pair.link.nobody = Some(NOWHERE);
    pair.pass(Duration::from_secs(205));
    let to_nowhere = |pair: &Pair| pair.a.failed().iter().any(|failed| failed.path.remote.ip() == NOWHERE);
    pair.pass(Duration::from_secs(120));
    assert!(to_nowhere(&pair), "a successor is made at the other gateway: {}", pair.trace);
    assert_eq!(pair.a.installed.len(), 1, "and until it stands nothing is lost");
}
