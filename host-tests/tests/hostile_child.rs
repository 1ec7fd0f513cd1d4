//! Hostile Child SAs: answers beyond the offer, SPIs and flows that are not to be had (RFC 7296 §2.9,
//! RFC 4303 §2.1, RFC 5660 §2.3).

use esp_engine::selector::{AddressRange, TrafficSelector};
use host_tests::forge::{self, Payload};
use host_tests::link::Direction;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};
use host_tests::stage::*;
use ike_core::error::{CloseReason, FailReason};
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::header::Header;

fn with_answer(change: impl Fn(&mut Vec<Payload>)) -> Pair {
    let (mut pair, keys, auth) = before_auth();
    assert_eq!(give(&mut pair, to_b(), &auth), Ok(()));
    pair.link.cut = true;
    pair.drain();
    pair.link.cut = false;
    let answer = pair.datagrams[3].1.clone();
    let forged = forge::altered(&keys, &answer, |_, mut payloads| {
        change(&mut payloads);
        payloads
    });
    assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
    pair.settle(LONG);
    pair
}

fn assert_child_deleted(pair: &Pair, reason: FailReason) {
    assert_eq!(pair.a.failed()[0].reason, reason, "{}", pair.trace);
    assert!(pair.a.failed()[0].established);
    assert!(pair.a.installed.is_empty());
    // The other end was told, so that nothing is sent into the void (RFC 7296 §1.3.1).
    assert!(pair.b.installed.is_empty(), "{}", pair.trace);
}

/// RFC 7296 §2.9: an answer that widens the selectors, or of another family, is deleted.
#[test]
fn wider_selectors_are_deleted() {
    let wide = |a: &str, b: &str| {
        let range =
            AddressRange::new(a.parse().expect("address"), b.parse().expect("address")).expect("range");
        forge::clear(&forge::init_header(1), |writer| {
            ike_core::wire::ts::write(PayloadType::TSR, &[TrafficSelector::all(range)], writer)
        })
    };
    for selector in
        [wide("192.0.2.0", "192.0.2.255"), wide("192.0.2.9", "192.0.2.9"), wide("2001:db8::1", "2001:db8::1")]
    {
        let pair = with_answer(|payloads| {
            let body = selector[Header::LENGTH + 4..].to_vec();
            payloads.iter_mut().filter(|p| p.kind == PayloadType::TSR).for_each(|p| p.body = body.clone());
        });
        assert_child_deleted(&pair, FailReason::AnswerNotOffered);
    }
}

/// RFC 7296 §1.3.1: tunnel mode where transport mode was asked for is deleted.
#[test]
fn other_mode_is_deleted() {
    let pair = with_answer(|payloads| payloads.retain(|p| p.kind != PayloadType::NOTIFY));
    assert_child_deleted(&pair, FailReason::ModeUnacceptable);
}

/// RFC 7296 §3.3.6: an ESP answer that is not one of the offers is deleted.
#[test]
fn other_esp_answer_is_deleted() {
    let pair = with_answer(|payloads| {
        payloads.iter_mut().filter(|p| p.kind == PayloadType::SA).for_each(|p| p.body[4] = 9);
    });
    assert_child_deleted(&pair, FailReason::AnswerNotOffered);
}

/// RFC 4303 §2.1: SPIs of the reserved range are refused.
#[test]
fn reserved_spi_is_refused() {
    for spi in [0_u32, 1, 255] {
        let (mut pair, keys, auth) = before_auth();
        let forged = forge::altered(&keys, &auth, |_, mut payloads| {
            let sa = payloads.iter_mut().find(|p| p.kind == PayloadType::SA).expect("there");
            sa.body[8..12].copy_from_slice(&spi.to_be_bytes());
            payloads
        });
        assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
        pair.drain();
        assert!(matches!(pair.b.failed()[0].reason, FailReason::NoProposal(_)));
        assert!(pair.b.installed.is_empty());
    }
}

/// RFC 5660 §2.3: a flow that lives under one key is not given to another key, even of a stranger who
/// may speak for the address.
#[test]
fn flow_of_a_living_key_is_not_given_away() {
    let (a, b) = parties::strangers();
    let mut a = a;
    a.pad = parties::leak_all(vec![parties::pinned("b.example", &parties::B_KEY, B), parties::BTNS]);
    a.policies = parties::leak_all(vec![parties::between(
        A,
        B,
        esp_engine::spd::Level::Pinned,
        ike_core::config::Peer::Entry(PEER),
    )]);
    let mut other = a.clone();
    other.key = Some(ike_core::crypto::PrivateKey::Ed25519([0xC3; 32]));
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1);
    let standing = pair.b.installed[0].clone();
    let mut thief = Pair::new(other, parties::strangers().1, 2);
    std::mem::swap(&mut pair.b, &mut thief.b);
    thief.now = pair.now;
    thief.initiate();
    thief.settle(LONG);
    assert_eq!(thief.b.failed()[0].reason, FailReason::OtherKeysFlow, "{}", thief.trace);
    assert_eq!(thief.b.installed, [standing]);
    assert!(thief.a.installed.is_empty());
    assert!(!thief.b.closed().contains(&CloseReason::InitialContact));
}

/// RFC 7296 §2.4, RFC 7619 §2.3: INITIAL_CONTACT of a nameless stranger removes nobody else's SA, not even
/// that of a peer which is known by its address and has no name either.
#[test]
fn initial_contact_of_a_nameless_stranger_removes_nothing() {
    use esp_engine::spd::Level;
    use ike_core::config::Peer;
    use ike_core::pad::{Identity, Matcher};
    let elsewhere = std::net::IpAddr::from([192, 0, 2, 3]);
    let nameless = |key, own| {
        let known = parties::pinned("b.example", &parties::B_KEY, B);
        let mut config = parties::config("", key, own, vec![known], B);
        config.identity = Identity::Null;
        config
    };
    let mut b = parties::b();
    let mut by_address = b.pad[0];
    by_address.matcher = Matcher::Addresses(AddressRange::single(A));
    b.pad = parties::leak_all(vec![by_address, parties::BTNS]);
    let stranger = parties::between(B, elsewhere, Level::Any, Peer::Any);
    b.policies = parties::leak_all(vec![b.policies[0], stranger]);
    let mut pair = Pair::new(nameless(parties::A_KEY, A), b, 1);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1, "{}", pair.trace);
    let key = ike_core::crypto::PrivateKey::Ed25519([0xC3; 32]);
    let mut other = Pair::new(nameless(key, elsewhere), parties::b(), 2);
    std::mem::swap(&mut pair.b, &mut other.b);
    other.now = pair.now + LONG;
    other.initiate();
    other.settle(LONG);
    assert_eq!(other.b.established().len(), 2, "{}", other.trace);
    assert!(other.b.closed().is_empty());
    assert_eq!(other.b.installed.len(), 2);
}

/// RFC 7296 §2.9: SINGLE_PAIR_REQUIRED brings another try with the packet's own selectors, and only one.
#[test]
fn single_pair_is_tried_once() {
    use esp_engine::selector::{Ports, Selectors};
    let mut pair = Pair::pinned(1);
    let ports = Ports::Known { source: 50_000, destination: 179 };
    let packet = Selectors { source: A, destination: B, protocol: 6, ports };
    pair.a.endpoint.acquire(pair.now, esp_engine::spd::PolicyId(0), packet).expect("begins");
    pair.drain();
    for attempt in 1..=2 {
        let asked = |(way, d): &&(Direction, Vec<u8>)| *way == Direction::AtoB && d[18] == 35;
        while pair.datagrams.iter().filter(asked).count() < attempt {
            assert!(pair.step(pair.now + LONG), "{}", pair.trace);
        }
        pair.link.cut = true;
        while pair.datagrams.last().is_none_or(|(way, d)| *way == Direction::AtoB || d[18] != 35) {
            assert!(pair.step(pair.now + LONG), "{}", pair.trace);
        }
        pair.link.cut = false;
        let keys = forge::keys(&pair.a);
        let asked = pair.datagrams.iter().rfind(asked).expect("sent");
        let (_, first, text) = forge::opened(&keys, &asked.1);
        let offered = forge::split(first, &text);
        let tsi = offered.iter().find(|p| p.kind == PayloadType::TSI).expect("there");
        assert_eq!(tsi.body[0], if attempt == 1 { 2 } else { 1 });
        let answer = pair.datagrams.last().expect("sent").1.clone();
        let refused = forge::altered(&keys, &answer, |_, mut payloads| {
            payloads.retain(|p| matches!(p.kind, PayloadType::IDR | PayloadType::AUTH));
            payloads.push(Payload { kind: PayloadType::NOTIFY, body: vec![0, 0, 0, 34] });
            payloads
        });
        assert_eq!(give(&mut pair, to_a(), &refused), Ok(()));
        pair.drain();
    }
    assert_eq!(pair.a.failed().iter().map(|f| f.reason).collect::<Vec<_>>(), [FailReason::Refused(34)]);
}
