//! Peers whose keys are in DNS (RFC 4025): known by name before the first packet, or by the name that an
//! initiator gives; which of DNS's answers make them somebody.

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::spd::Level;
use host_tests::link::Direction;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, A_KEY, B, B_KEY, PEER, between, leak_all, published};
use host_tests::stage::LONG;
use host_tests::zone::{absent, only, signed};
use ike_core::config::{Config, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::error::{AcquireError, Discarded, FailReason, NameFault};
use ike_core::pad::{Authentication, Identity, Matcher, PadEntry, PeerRecord, Presence, Published, Security};
use ike_core::wire::code_point::ExchangeType;

const OTHER: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);
/// Where nobody is.
const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 77));

fn named(name: &'static str) -> PadEntry<'static> {
    published(Matcher::Exact(Identity::Fqdn(name)))
}

/// One party, which takes from anybody what is validated.
fn party(
    mut config: Config<'static>,
    own: IpAddr,
    peer: IpAddr,
    entry: PadEntry<'static>,
) -> Config<'static> {
    let is_known = matches!(entry.matcher, Matcher::Exact(Identity::Fqdn(_)));
    let who = if is_known { Peer::Entry(PEER) } else { Peer::Any };
    config.pad = leak_all(vec![entry]);
    config.policies = leak_all(vec![between(own, peer, Level::Validated, who)]);
    config
}

/// A knows B's name and nothing else; B takes whoever has a name under `.example`. DNS knows both.
fn pair() -> Pair {
    pair_with(published(Matcher::Suffix(".example")))
}

fn pair_with(of_b: PadEntry<'static>) -> Pair {
    let a = party(parties::a(), A, B, named("b.example"));
    let b = party(parties::b(), B, A, of_b);
    let mut pair = Pair::new(a, b, 1);
    pair.zone.publish("b.example", signed(&[&B_KEY], &[B]));
    pair.zone.publish("a.example", signed(&[&A_KEY], &[A]));
    pair
}

fn refused(reason: NameFault) -> FailReason {
    FailReason::Name(reason)
}

/// A's attempt that B refuses, and why.
fn refusal_by_b(record: PeerRecord) -> FailReason {
    let mut pair = pair();
    pair.zone.publish("a.example", record);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.b.installed.is_empty() && pair.a.installed.is_empty(), "{}", pair.trace);
    assert_eq!(pair.a.failed()[0].reason, FailReason::Refused(24), "AUTHENTICATION_FAILED");
    pair.b.failed()[0].reason
}

/// RFC 4025: A asks for the name that it knows, before it sends anything; B for the one that A gives. Both are
/// validated, which is more than a stranger and less than a pinned key.
#[test]
fn both_ends_are_known_by_name() {
    let mut pair = pair();
    pair.initiate();
    assert!(pair.datagrams.is_empty(), "first DNS, then the peer");
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    assert_eq!(pair.a.established()[0].level, Level::Validated);
    assert_eq!(pair.b.established()[0].level, Level::Validated);
    let asked: Vec<_> = pair.zone.asked.iter().map(|(who, of)| (*who, of.as_str())).collect();
    assert_eq!(asked, [(Direction::AtoB, "b.example"), (Direction::BtoA, "a.example")]);
    assert_eq!(pair.datagrams.len(), 4, "what waited for DNS was not sent twice");
}

/// As the responder, a name that the configuration has is looked up like any other.
#[test]
fn responder_knows_the_name_before() {
    let mut pair = pair_with(named("a.example"));
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.established()[0].level, Level::Validated);
    assert!(pair.agree());
}

/// A peer is known by its address in the reverse tree, in both roles.
#[test]
fn both_ends_are_known_by_address() {
    let reverse = || {
        let range = esp_engine::selector::AddressRange::prefix(B, 24).expect("a prefix");
        published(Matcher::Addresses(range))
    };
    let mut a = party(parties::a(), A, B, reverse());
    let mut b = party(parties::b(), B, A, reverse());
    (a.identity, b.identity) = (Identity::Address(A), Identity::Address(B));
    let mut pair = Pair::new(a, b, 1);
    for (address, key) in [(A, &A_KEY), (B, &B_KEY)] {
        pair.zone.publish(&address.to_string(), signed(&[key], &[]));
    }
    let packet = packet(B);
    pair.a.endpoint.acquire(pair.now, esp_engine::spd::PolicyId(0), packet).expect("begins");
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let asked: Vec<_> = pair.zone.asked.iter().map(|(_, of)| of.as_str()).collect();
    assert_eq!(asked, ["192.0.2.2", "192.0.2.1"]);
}

fn packet(destination: IpAddr) -> esp_engine::selector::Selectors {
    let ports = esp_engine::selector::Ports::Known { source: 1, destination: 2 };
    esp_engine::selector::Selectors { source: A, destination, protocol: 17, ports }
}

/// RFC 4025 §2.2: one of five keys is the peer's; with all five another's, it is refused.
#[test]
fn one_of_several_keys() {
    let other = |n| PrivateKey::Ed25519([n; 32]);
    let keys = [other(1), other(2), A_KEY, other(4)];
    let mut pair = pair();
    pair.zone.publish("a.example", signed(&keys.each_ref(), &[A]));
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1);
    let wrong = [other(1), other(2), other(3), other(4)];
    assert_eq!(refusal_by_b(signed(&wrong.each_ref(), &[A])), refused(NameFault::OtherKey));
}

/// RFC 4301 §4.4.3.3: a name whose key is right and whose addresses are elsewhere, unless that is waived.
#[test]
fn address_is_the_names() {
    assert_eq!(refusal_by_b(signed(&[&A_KEY], &[NOWHERE])), refused(NameFault::OtherAddress));
    let waived = Published { from_anywhere: true, ..Published::default() };
    let authentication = Authentication::Dns(waived);
    let mut pair = pair_with(PadEntry { authentication, ..published(Matcher::Suffix(".example")) });
    pair.zone.publish("a.example", signed(&[&A_KEY], &[NOWHERE]));
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 7435 §3: nothing but a secure answer with the right key makes an initiator somebody.
#[test]
fn responder_refuses_what_is_not_secure() {
    let right = || signed(&[&A_KEY], &[A]);
    let unusable = PeerRecord { presence: Presence::OnlyUnusable, ..absent() };
    let wildcard = PeerRecord { is_wildcard: true, ..right() };
    for (record, fault) in [
        (signed(&[&OTHER], &[A]), NameFault::OtherKey),
        (unusable, NameFault::OnlyUnusable),
        (absent(), NameFault::Absent),
        (only(Security::Insecure, right()), NameFault::Insecure),
        (only(Security::Bogus, right()), NameFault::Bogus),
        (only(Security::Indeterminate, right()), NameFault::Indeterminate),
        (wildcard, NameFault::Wildcard),
    ] {
        assert_eq!(refusal_by_b(record), refused(fault), "{fault:?}");
    }
}

/// The same answers let an initiator not even begin; it says why.
#[test]
fn initiator_does_not_begin_without_a_secure_answer() {
    let right = || signed(&[&B_KEY], &[B]);
    for (record, fault) in [
        (absent(), NameFault::Absent),
        (only(Security::Insecure, right()), NameFault::Insecure),
        (only(Security::Bogus, right()), NameFault::Bogus),
        (signed(&[&B_KEY], &[]), NameFault::NoAddress),
    ] {
        let mut pair = pair();
        pair.zone.publish("b.example", record);
        pair.initiate();
        pair.settle(LONG);
        assert!(pair.datagrams.is_empty(), "{}", pair.trace);
        assert_eq!(pair.a.not_begun(), [AcquireError::Name(fault)]);
    }
}

/// An initiator that reaches somebody without the published key has nothing to do with him.
#[test]
fn initiator_refuses_another_key() {
    let mut pair = pair();
    pair.zone.publish("b.example", signed(&[&OTHER], &[B]));
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.a.installed.is_empty());
    assert_eq!(pair.a.failed()[0].reason, refused(NameFault::OtherKey));
}

/// RFC 4035 §4.3: while nobody answers, a request waits; then it is refused, and a late answer is there for
/// the next.
#[test]
fn silence_of_dns_ends() {
    let mut pair = pair();
    pair.zone.latency = Duration::from_secs(6);
    pair.a.endpoint.handle_peer_record(pair.now, ike_core::output::Ticket(7), absent());
    pair.initiate();
    pair.settle(Duration::from_millis(4_100));
    assert_eq!(pair.a.not_begun(), [AcquireError::Name(NameFault::Indeterminate)]);
    pair.settle(LONG);
    pair.initiate();
    pair.settle(Duration::from_millis(4_500));
    assert!(pair.b.installed.is_empty());
    assert_eq!(pair.b.failed()[0].reason, refused(NameFault::Indeterminate), "{}", pair.trace);
    pair.settle(LONG);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.zone.asked.len(), 2, "both late answers were kept: {}", pair.trace);
    assert!(pair.agree() && pair.a.installed.len() == 1);
}

/// RFC 7296 §2.1: what comes again while DNS is asked changes nothing, and is answered once.
#[test]
fn retransmissions_while_dns_is_asked() {
    let mut pair = pair();
    pair.zone.latency = Duration::from_millis(3_900);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let waits = pair.b.discarded.iter().filter(|reason| **reason == Discarded::AwaitsRecord).count();
    assert!(waits >= 1, "{}", pair.trace);
    assert_eq!(pair.zone.asked.len(), 2);
    let answers = pair.datagrams.iter().filter(|(from, _)| *from == Direction::BtoA).count();
    assert_eq!(answers, 2, "IKE_SA_INIT and IKE_AUTH, once each");
    let auth = |datagram: &[u8]| datagram[18] == ExchangeType::IKE_AUTH.0;
    assert!(pair.datagrams.iter().filter(|(_, datagram)| auth(datagram)).count() > 2);
}

/// A record that is still good is used again; when a peer is not what it says, DNS is asked anew before the
/// peer is refused.
#[test]
fn remembered_records() {
    let mut pair = pair();
    pair.initiate();
    pair.settle(LONG);
    pair.a.endpoint.close(pair.now, PEER);
    pair.pass(Duration::from_secs(30));
    pair.initiate();
    pair.settle(LONG);
    assert_eq!((pair.zone.asked.len(), pair.a.installed.len()), (2, 1));
    pair.a.endpoint.close(pair.now, PEER);
    pair.pass(Duration::from_secs(30));
    let mut a = party(parties::a(), A, B, named("b.example"));
    a.key = Some(OTHER);
    pair.zone.publish("a.example", signed(&[&OTHER], &[A]));
    pair.restart_a(a);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1, "{}", pair.trace);
    assert_eq!(pair.b.established()[2].level, Level::Validated);
}

/// A name with several addresses: the next one has its turn when one does not answer.
#[test]
fn next_address() {
    let mut a = party(parties::a(), A, B, named("b.example"));
    a.policies = leak_all(vec![between(A, B, Level::Validated, Peer::Entry(PEER))]);
    let b = party(parties::b(), B, A, published(Matcher::Suffix(".example")));
    let mut pair = Pair::new(a, b, 1);
    pair.zone.publish("a.example", signed(&[&A_KEY], &[A]));
    pair.zone.publish("b.example", signed(&[&B_KEY], &[NOWHERE, B]));
    pair.link.nobody = Some(NOWHERE);
    pair.initiate();
    pair.settle(Duration::from_secs(120));
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    assert_eq!(pair.a.failed()[0].path.remote.ip(), NOWHERE);
}

/// At two thirds of a record's life it is asked for again, as long as an SA rests on it, and always if the
/// configuration has its name.
#[test]
fn records_in_use_are_renewed() {
    let mut pair = pair();
    pair.zone.ttl = Duration::from_secs(300);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.zone.asked.len(), 2);
    pair.pass(Duration::from_secs(205));
    assert_eq!(pair.zone.asked.len(), 4, "{:?}", pair.zone.asked);
    pair.a.endpoint.close(pair.now, PEER);
    pair.pass(Duration::from_secs(1_000));
    let by_b = pair.zone.asked.iter().filter(|(who, _)| *who == Direction::BtoA).count();
    assert_eq!((pair.zone.asked.len() - by_b, by_b), (7, 2), "{:?}", pair.zone.asked);
}
