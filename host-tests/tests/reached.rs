//! Whoever is at the address that a packet goes to: an entry that only we begin with, and whose keys are those
//! that DNS, or a name that led there, has for that very address (RFC 4025, RFC 7435 §3).

use esp_engine::selector::{Ports, Selectors, TrafficSelector};
use esp_engine::spd::{Level, PolicyId};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, B_KEY, between, fingerprint, leak_all, public, published};
use host_tests::stage::LONG;
use host_tests::zone::{absent, only, signed};
use ike_core::config::{Config, IkePolicy, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::error::{FailReason, NameFault};
use ike_core::pad::{
    Authentication, Identity, Matcher, PadEntry, PeerId, PeerRecord, Presence, Published, Security,
};

const OTHER: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);

fn reached() -> PadEntry<'static> {
    let unproven = Published { unproven: true, ..Published::default() };
    PadEntry { authentication: Authentication::Dns(unproven), ..published(Matcher::Reached) }
}

/// A knows nobody but whoever is reached, who serves its only policy; `before` stands before that entry.
fn knows_nobody(before: &[PadEntry<'static>]) -> Config<'static> {
    let mut config = parties::a();
    let reached_is = PeerId(u16::try_from(before.len()).expect("few"));
    config.pad = leak_all([before, &[reached()]].concat());
    config.policies = leak_all(vec![between(A, B, Level::Any, Peer::Entry(reached_is))]);
    config
}

/// A packet of A's to B, when DNS has this for B's address.
fn packet_to_b(a: Config<'static>, record: PeerRecord) -> Pair {
    let mut pair = Pair::new(a, parties::b(), 1);
    pair.zone.publish(&B.to_string(), record);
    let ports = Ports::Known { source: 1, destination: 2 };
    let packet = Selectors { source: A, destination: B, protocol: 17, ports };
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet).expect("asks first");
    pair.settle(LONG);
    pair
}

/// The key decides, whatever the peer calls itself; the level says how well the key is known.
#[test]
fn key_of_the_address_will_do() {
    for (security, level) in [
        (Security::Secure, Level::Validated),
        (Security::Insecure, Level::Any),
        (Security::Indeterminate, Level::Any),
    ] {
        let pair = packet_to_b(knows_nobody(&[]), only(security, signed(&[&OTHER, &B_KEY], &[B])));
        assert!(pair.agree() && pair.a.installed.len() == 1, "{security:?} {}", pair.trace);
        assert_eq!(pair.a.established()[0].level, level, "{security:?}");
        let asked: Vec<_> = pair.zone.asked.iter().map(|(_, of)| of.as_str()).collect();
        assert_eq!(asked, ["192.0.2.2"], "the address, and no name that the peer gives");
    }
}

/// RFC 7435 §3: what is forged, or is not there, begins nothing.
#[test]
fn without_a_key_nothing_begins() {
    let unusable = PeerRecord { presence: Presence::OnlyUnusable, ..absent() };
    for record in [only(Security::Bogus, signed(&[&B_KEY], &[B])), absent(), unusable] {
        let pair = packet_to_b(knows_nobody(&[]), record);
        assert!(pair.datagrams.is_empty() && pair.a.installed.is_empty(), "{}", pair.trace);
    }
}

#[test]
fn whoever_has_another_key_is_refused() {
    let pair = packet_to_b(knows_nobody(&[]), signed(&[&OTHER], &[B]));
    assert!(pair.a.installed.is_empty() && !pair.a.failed().is_empty(), "{}", pair.trace);
}

/// RFC 5386 §2: a name that an entry is for has to be shown by that entry's peer, also by whoever is reached.
#[test]
fn name_of_another_entry_is_no_strangers() {
    let keys = leak_all(vec![public(&OTHER)]);
    let pinned = PadEntry {
        authentication: Authentication::Pinned(keys),
        ..published(Matcher::Exact(Identity::Fqdn("b.example")))
    };
    let pair = packet_to_b(knows_nobody(&[pinned]), signed(&[&B_KEY], &[B]));
    assert!(pair.a.installed.is_empty(), "{}", pair.trace);
    let shown = FailReason::KeyMismatch(fingerprint(&B_KEY));
    assert_eq!(pair.a.failed()[0].reason, shown);
}

/// RFC 4301 §4.4.3: whoever was reached may also be a peer that an entry names; then it has to be both.
#[test]
fn peer_of_another_entry_is_reached_too() {
    let b_key = leak_all(vec![public(&B_KEY)]);
    let pinned = PadEntry {
        authentication: Authentication::Pinned(b_key),
        ..published(Matcher::Exact(Identity::Fqdn("b.example")))
    };
    let pair = packet_to_b(knows_nobody(&[pinned]), signed(&[&B_KEY], &[B]));
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let established = &pair.a.established()[0];
    assert_eq!((established.peer, established.level), (PeerId(1), Level::Validated), "by the address");
    let pair = packet_to_b(knows_nobody(&[pinned]), signed(&[&OTHER], &[B]));
    assert!(pair.a.installed.is_empty(), "{}", pair.trace);
    assert_eq!(pair.a.failed()[0].reason, FailReason::Name(NameFault::OtherKey));
}

/// The same where a policy for the peer's name has found it before, and a name of somebody else leads to its address.
#[test]
fn peer_by_name_is_reached_too() {
    let by_name = published(Matcher::Exact(Identity::Fqdn("b.example")));
    let mut config = knows_nobody(&[by_name]);
    let udp = TrafficSelector { protocol: 17, ..config.policies[0].local[0] };
    let for_whoever = IkePolicy { local: leak_all(vec![udp]), ..config.policies[0] };
    config.policies = leak_all(vec![for_whoever, between(A, B, Level::Validated, Peer::Entry(PeerId(0)))]);
    for (keys, level) in [(&B_KEY, Some(Level::Validated)), (&OTHER, None)] {
        let mut pair = Pair::new(config.clone(), parties::b(), 1);
        pair.zone.publish("b.example", signed(&[&B_KEY], &[B]));
        pair.zone.publish(&B.to_string(), signed(&[keys], &[B]));
        for (policy, protocol) in [(PolicyId(1), 6), (PolicyId(0), 17)] {
            let ports = Ports::Known { source: 1, destination: 2 };
            let packet = Selectors { source: A, destination: B, protocol, ports };
            pair.a.endpoint.acquire(pair.now, policy, packet).expect("asks first");
            pair.settle(LONG);
        }
        let reached = pair.a.established().into_iter().find(|established| established.peer == PeerId(1));
        assert_eq!(reached.map(|reached| reached.level), level, "{}", pair.trace);
        assert!(pair.agree() && !pair.a.installed.is_empty(), "what stands stays: {}", pair.trace);
    }
}

/// Nobody comes in by such an entry.
#[test]
fn nobody_who_begins_is_reached() {
    let mut pair = Pair::new(knows_nobody(&[]), parties::b(), 1);
    pair.zone.publish(&B.to_string(), signed(&[&B_KEY], &[B]));
    pair.b.endpoint.initiate(pair.now, parties::PEER).expect("begins");
    pair.settle(LONG);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
    assert_eq!(pair.a.failed()[0].reason, FailReason::UnknownPeer);
}
