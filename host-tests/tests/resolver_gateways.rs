//! Gateways that IPSECKEY records name (RFC 4025 §2.5, §3.1): their addresses and their keys are validated like
//! everything else, and what is not proven about them is left out.

use std::rc::Rc;

use host_tests::dns::{Signing, Tree, World, honest};
use ike_core::discovery::question::Question;
use ike_core::pad::{Gateway, PeerRecord, Presence, PublishedKey, Security};

const KEY: &str = "GhuEwFlMIDHlzdvElFUqA3kXCkFqMvSPRCZcQvsFIqU=";
const OTHER: &str = "3WTXgUvpn1RlCXnm80gGY2LZ/E1EUEZtZ33IDi8yfhM=";

fn world() -> World {
    let peer = format!(
        "gw.peer.test. A 192.0.2.9\n\
         gw.peer.test. AAAA 2001:db8::9\n\
         gw.peer.test. IPSECKEY 10 0 4 . {KEY}\n\
         named.peer.test. IPSECKEY 10 3 4 gw.peer.test. {OTHER}\n\
         named.peer.test. IPSECKEY 20 0 4 . {KEY}\n\
         named.peer.test. A 198.51.100.7\n\
         keyless.peer.test. IPSECKEY 10 3 0 gw.peer.test.\n\
         keyless.peer.test. A 198.51.100.8\n\
         unsigned.peer.test. IPSECKEY 10 3 4 gw.plain.test. {OTHER}\n\
         unsigned.peer.test. A 198.51.100.9\n\
         round.peer.test. IPSECKEY 10 3 0 named.peer.test.\n\
         round.peer.test. A 198.51.100.10\n"
    );
    let plain = format!(
        "gw.plain.test. A 192.0.2.10\n\
         far.plain.test. IPSECKEY 10 3 4 gw.peer.test. {OTHER}\n"
    );
    let reverse = format!(
        "11.2.0.192.in-addr.arpa. IPSECKEY 10 1 4 192.0.2.11 {KEY}\n\
         12.2.0.192.in-addr.arpa. IPSECKEY 10 1 0 192.0.2.11\n"
    );
    let tree = Rc::new(Tree::new(&[
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, ""),
        ("peer.test.", Signing::Signed, &peer),
        ("plain.test.", Signing::Unsigned, &plain),
        ("2.0.192.in-addr.arpa.", Signing::Signed, &reverse),
    ]));
    World::new(vec![honest(&tree)], tree.anchors())
}

/// What key management is told, a further question included.
fn record(question: Question) -> (PeerRecord, Option<Question>) {
    let mut world = world();
    let outcome = world.ask(question.clone());
    match outcome.further(&question) {
        Some(further) => {
            let gateway = world.ask(further.clone());
            (outcome.peer_record_through(&question, &further, &gateway), Some(further))
        }
        None => (outcome.peer_record(&question), None),
    }
}

fn of(name: &str) -> PeerRecord {
    record(Question::Peer(name.parse().expect("a name"))).0
}

fn gateways(record: &PeerRecord) -> Vec<Gateway> {
    record.keys.iter().map(PublishedKey::gateway).collect()
}

fn at(address: &str) -> Gateway {
    Gateway::Address(address.parse().expect("an address"))
}

/// RFC 4025 §2.5: the gateway's addresses are asked for; its own key has nothing to do with it.
#[test]
fn gateway_by_name() {
    let record = of("named.peer.test");
    assert_eq!((record.security, record.presence), (Security::Secure, Presence::Present));
    assert_eq!(gateways(&record), [at("2001:db8::9"), at("192.0.2.9"), Gateway::Owner]);
    assert_eq!(record.keys[0].whole(), record.keys[1].whole());
    assert_ne!(record.keys[0].whole(), record.keys[2].whole());
    assert_eq!(record.addresses.as_slice(), ["198.51.100.7".parse::<std::net::IpAddr>().unwrap()]);
}

/// RFC 4025 §3.1: a record without a key leaves it to the gateway, by its name or in the reverse tree.
#[test]
fn key_of_the_gateway_itself() {
    let by_name = of("keyless.peer.test");
    assert_eq!(gateways(&by_name), [at("2001:db8::9"), at("192.0.2.9")]);
    assert_eq!(by_name.keys[0].whole(), of("named.peer.test").keys[2].whole());
    let (by_address, further) = record(Question::Reverse([192, 0, 2, 12].into()));
    assert_eq!(further, Some(Question::Reverse([192, 0, 2, 11].into())));
    assert_eq!((by_address.presence, gateways(&by_address)), (Presence::Present, vec![at("192.0.2.11")]));
    assert_eq!(by_address.keys[0].whole(), by_name.keys[0].whole());
}

/// RFC 4025 §4.1.2: an address that nobody signed is no gateway's, and no unsigned record names one.
#[test]
fn gateway_that_nobody_signed() {
    let unsigned = of("unsigned.peer.test");
    assert_eq!((unsigned.security, gateways(&unsigned)), (Security::Secure, vec![Gateway::Elsewhere]));
    let (far, further) = record(Question::Peer("far.plain.test".parse().expect("a name")));
    assert_eq!((far.security, far.presence), (Security::Insecure, Presence::OnlyUnusable));
    assert!(far.keys.is_empty() && further.is_none());
}

/// A gateway has no gateway: of its keys only its own count.
#[test]
fn gateway_of_a_gateway() {
    let round = of("round.peer.test");
    assert_eq!(gateways(&round), [at("198.51.100.7")]);
    assert_eq!(round.keys[0].whole(), of("named.peer.test").keys[2].whole());
}
