//! CREATE_CHILD_SA (RFC 7296 §1.3, §2.8): successors before their time, further Child SAs, what is
//! refused, and both ends at once. Traffic has a pair of SAs at every moment.

use std::time::Duration;

use esp_engine::sa::{ChildSa, SaReport, Spi};
use esp_engine::selector::{AddressRange, PortRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::PolicyId;
use host_tests::forge::{self, Payload};
use host_tests::link::{Direction, Fault, Odds};
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A, B, PEER, leak_all};
use ike_core::config::Config;
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Group, KeyExchange};
use ike_core::error::{CloseReason, FailReason};
use ike_core::output::{Event, IkeKeys, Path};
use ike_core::wire::code_point::{ExchangeType, PayloadType, Protocol};
use ike_core::wire::header::{Flags, Header};
use ike_core::wire::ke::KeView;
use ike_core::wire::nonce::NonceView;
use ike_core::wire::notify::{NotifyType, NotifyView};
use ike_core::wire::sa::Proposal;
use ike_core::wire::transform::{KeyExchangeMethod, Transform, TransformType};
use ike_core::wire::writer::Writer;
use ike_core::wire::{self, NoSpace, ts};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const MINUTES: Duration = Duration::from_secs(180);
const LONG: Duration = Duration::from_secs(10);

fn standing(seed: u64) -> Pair {
    let mut pair = Pair::pinned(seed);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1);
    pair.trace.clear();
    pair
}

fn soften(side: &mut Side, pair_now: esp_engine::time::Instant) {
    let spi = newest(side).inbound;
    side.endpoint.handle_sa_report(pair_now, SaReport::SoftExpired(spi));
}

fn newest(side: &Side) -> &ChildSa {
    side.installed.last().expect("installed")
}

fn spis(side: &Side) -> Vec<Spi> {
    side.installed.iter().map(|child| child.inbound).collect()
}

/// One pair at both ends, the same, made after `old`.
fn assert_replaced(pair: &Pair, old: &[Spi], case: &str) {
    let case = format!("{case}:\n{}", pair.trace);
    assert!(pair.agree(), "{case}");
    assert_eq!(pair.a.installed.len(), 1, "{case}");
    assert!(!old.contains(&pair.a.installed[0].inbound), "{case}");
    assert!(pair.a.failed().is_empty() && pair.b.failed().is_empty(), "{case}");
    assert!(pair.a.closed().is_empty() && pair.b.closed().is_empty(), "{case}");
}

/// RFC 7296 §1.3.3, §2.8: the successor is installed at both ends, then the old pair is deleted. strongSwan
/// `child_rekey` `regular`. strongSwan
/// `child_rekey` `regular`.
#[test]
fn rekey_is_one_exchange_and_a_delete() {
    let mut pair = standing(1);
    let old = spis(&pair.a);
    soften(&mut pair.a, pair.now);
    pair.settle(LONG);
    assert_replaced(&pair, &old, "rekey");
    insta::assert_snapshot!(pair.trace);
}

/// RFC 7296 §2.8: the responder may receive on the successor before it answers and does not send on it
/// before it hears on it; the initiator sends on it at once; the old pair stays until it is deleted.
#[test]
fn make_before_break() {
    for from_a in [true, false] {
        let mut pair = standing(1);
        let side = if from_a { &mut pair.a } else { &mut pair.b };
        soften(side, pair.now);
        pair.drain();
        assert_eq!((pair.a.installed.len(), pair.b.installed.len()), (1, 1));
        pair.step(pair.now + LONG);
        let count = |pair: &Pair| {
            let (own, other) = if from_a { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
            let receiving = |side: &Side| side.installed.len() + side.retired.len();
            (receiving(own), receiving(other))
        };
        assert_eq!(count(&pair), (1, 2), "{}", pair.trace);
        let responder = if from_a { &pair.b } else { &pair.a };
        assert!(!newest(responder).may_send);
        pair.step(pair.now + LONG);
        assert_eq!(count(&pair), (2, 2), "{}", pair.trace);
        let initiator = if from_a { &pair.a } else { &pair.b };
        assert!(newest(initiator).may_send);
        let sending = |pair: &Pair| (pair.a.installed.len(), pair.b.installed.len());
        pair.step(pair.now + LONG);
        assert_eq!((count(&pair), sending(&pair)), ((2, 2), (1, 1)), "{}", pair.trace);
        pair.settle(LONG);
        assert_eq!(count(&pair), (1, 1), "{}", pair.trace);
        assert!(pair.agree());
    }
}

/// RFC 7296 §2.9.2: a successor keeps mode and scope, however small the packet was that asked for the
/// first, and comes without a packet's selectors in front.
#[test]
fn successor_keeps_the_scope() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut pair = Pair::new(a, b, 1);
    let ports = Ports::Known { source: 50_000, destination: 179 };
    let packet =
        Selectors { source: [10, 1, 0, 9].into(), destination: [10, 2, 0, 9].into(), protocol: 6, ports };
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet).expect("begins");
    pair.settle(LONG);
    let first = pair.a.installed[0].clone();
    soften(&mut pair.a, pair.now);
    pair.settle(LONG);
    soften(&mut pair.b, pair.now);
    pair.settle(LONG);
    assert_replaced(&pair, &[first.inbound], "twice");
    let last = &pair.a.installed[0];
    assert_eq!((last.mode, &last.local_ts, &last.remote_ts), (first.mode, &first.local_ts, &first.remote_ts));
    assert_eq!(last.level, first.level);
    assert_ne!(last.keys.inbound, first.keys.inbound);
}

/// RFC 7296 §2.1: whichever message of a rekey suffers whichever fault, one pair is left at both ends.
#[test]
fn rekey_under_loss() {
    let mut table = String::new();
    for number in 4..8 {
        for fault in Fault::ALL {
            let mut pair = standing(1);
            let old = spis(&pair.a);
            pair.link.script = vec![(number, fault)];
            soften(&mut pair.a, pair.now);
            pair.drain();
            let began = pair.now;
            let done = |pair: &Pair| pair.a.installed.len() == 1 && spis(&pair.a) != old;
            while !done(&pair) && pair.step(began + MINUTES) {}
            let took = pair.now.since(began).as_millis();
            pair.settle(MINUTES);
            assert_replaced(&pair, &old, &format!("{fault:?} of datagram {number}"));
            table += &format!(
                "{number} {:<16} {took:>6} ms {:>3} datagrams\n",
                format!("{fault:?}"),
                pair.link.sent()
            );
        }
    }
    insta::assert_snapshot!(table);
}

/// RFC 7296 §2.8.1: both ends rekey the same pair at once; the exchange with the lowest nonce loses and
/// each end deletes what is its to delete. strongSwan `child_rekey` `collision`.
#[test]
fn both_ends_rekey_at_once() {
    let mut winners = [0, 0];
    for seed in 1..20 {
        let mut pair = standing(seed);
        let old = spis(&pair.a);
        soften(&mut pair.a, pair.now);
        soften(&mut pair.b, pair.now);
        pair.settle(LONG);
        assert_replaced(&pair, &old, &format!("seed {seed}"));
        assert_eq!(pair.link.sent(), 4 + 8, "two exchanges and two Deletes");
        winners[usize::from(newest(&pair.a).may_send)] += 1;
    }
    assert!(winners.iter().all(|wins| *wins > 0), "{winners:?}");
}

/// RFC 7296 §2.8.1: the same with every fault in every message, and with any one late.
#[test]
fn both_ends_rekey_at_once_under_loss() {
    for seed in 1..4 {
        for number in 4..12 {
            for fault in Fault::ALL {
                let mut pair = standing(seed);
                let old = spis(&pair.a);
                pair.link.script = vec![(number, fault)];
                soften(&mut pair.a, pair.now);
                soften(&mut pair.b, pair.now);
                pair.settle(MINUTES);
                assert_replaced(&pair, &old, &format!("seed {seed}, {fault:?} of datagram {number}"));
            }
        }
    }
}

/// RFC 7296 §2.25.1: a rekey meets a Delete of the same pair.
#[test]
fn rekey_meets_delete() {
    for seed in 1..10 {
        let mut pair = standing(seed);
        let expired = newest(&pair.b).inbound;
        soften(&mut pair.a, pair.now);
        pair.b.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(expired));
        pair.settle(MINUTES);
        assert!(pair.agree(), "{}", pair.trace);
        assert_eq!(pair.a.endpoint.status().count(), pair.b.endpoint.status().count(), "{}", pair.trace);
    }
}

fn packet() -> Selectors {
    to_port(179)
}

fn to_port(port: u16) -> Selectors {
    Selectors {
        source: A,
        destination: B,
        protocol: 6,
        ports: Ports::Known { source: 50_000, destination: port },
    }
}

/// Two policies for two services of the same peer.
fn two_services() -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = (parties::a(), parties::b());
    let tcp = |address, ports| {
        let addresses = AddressRange::single(address);
        leak_all(vec![TrafficSelector { protocol: 6, ports, addresses }])
    };
    let rule = a.policies[0];
    let ports = [PortRange::single(179), PortRange::single(22)];
    let at_a = ports.map(|port| ike_core::config::IkePolicy {
        local: tcp(A, PortRange::ANY),
        remote: tcp(B, port),
        ..rule
    });
    let rule = b.policies[0];
    let at_b = ports.map(|port| ike_core::config::IkePolicy {
        local: tcp(B, port),
        remote: tcp(A, PortRange::ANY),
        ..rule
    });
    a.policies = leak_all(at_a.to_vec());
    b.policies = leak_all(at_b.to_vec());
    (a, b)
}

/// RFC 7296 §1.3.1: a second policy of the same peer gets its Child SA on the IKE SA that stands.
#[test]
fn second_policy_uses_the_same_ike_sa() {
    let (a, b) = two_services();
    let mut pair = Pair::new(a, b, 1);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 4);
    for _ in 0..3 {
        pair.a.endpoint.acquire(pair.now, PolicyId(1), to_port(22)).expect("begins once");
    }
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 6, "{}", pair.trace);
    assert!(pair.agree(), "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 2);
    assert_eq!(pair.a.endpoint.status().count(), 1);
    assert_eq!(pair.a.endpoint.status().next().expect("one").children, 2);
    // One of them may end, and the other goes on.
    let first = pair.a.installed[0].inbound;
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(first));
    pair.settle(LONG);
    assert!(pair.agree());
    assert_eq!((pair.a.installed.len(), pair.a.endpoint.status().count()), (1, 1));
}

/// RFC 7296 §2.3: one request at a time: what is wanted meanwhile waits for its turn.
#[test]
fn wishes_wait_for_their_turn() {
    let (a, b) = two_services();
    let mut pair = Pair::new(a, b, 1);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    let old = spis(&pair.a);
    soften(&mut pair.a, pair.now);
    pair.a.endpoint.acquire(pair.now, PolicyId(1), to_port(22)).expect("waits");
    pair.settle(LONG);
    assert!(pair.agree(), "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 2, "{}", pair.trace);
    assert!(!spis(&pair.a).contains(&old[0]));
    assert_eq!(pair.link.sent(), 4 + 6);
}

/// RFC 7296 §2.1: a new Child SA from both ends at once, on bad cables.
#[test]
fn additional_child_sas_on_bad_cables() {
    for seed in 0..50 {
        let (a, b) = two_services();
        let mut pair = Pair::new(a, b, seed);
        pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
        pair.settle(LONG);
        pair.link.odds = Odds { drop: 10, duplicate: 5, delay: 5, corrupt: 5 };
        pair.a.endpoint.acquire(pair.now, PolicyId(1), to_port(22)).expect("begins");
        soften(&mut pair.b, pair.now);
        pair.settle(MINUTES);
        assert!(pair.agree(), "seed {seed}:\n{}", pair.trace);
        assert_eq!(pair.a.installed.len(), 2, "seed {seed}:\n{}", pair.trace);
        assert_eq!(pair.a.endpoint.status().count(), 1);
    }
}

/// RFC 7296 §2.25: CHILD_SA_NOT_FOUND names the SPI that was asked about, and changes nothing.
#[test]
fn unknown_child_is_not_found() {
    let mut pair = standing(1);
    let answer = ask(&mut pair, |writer| {
        rekey_of(0xDEAD_BEEF).write(writer)?;
        proposals(writer)?;
        nonce(writer)?;
        selectors(writer)
    });
    assert_eq!(answer, (NotifyType::CHILD_SA_NOT_FOUND, 0xDEAD_BEEF_u32.to_be_bytes().to_vec()));
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 7296 §2.7, §2.9, §1.3: what cannot be is refused with its reason, and the IKE SA stands.
#[test]
fn what_cannot_be_is_refused() {
    let mut pair = standing(1);
    let none = ask(&mut pair, |writer| {
        let transforms = [Transform { kind: TransformType::ENCR, id: 3, key_length: None }];
        let spi = [0x80, 0, 0, 1];
        wire::sa::write([Proposal { number: 1, protocol: Protocol::ESP, spi: &spi, transforms }], writer)?;
        nonce(writer)?;
        selectors(writer)
    });
    assert_eq!(none.0, NotifyType::NO_PROPOSAL_CHOSEN);
    let elsewhere = ask(&mut pair, |writer| {
        proposals(writer)?;
        nonce(writer)?;
        let all = [TrafficSelector::all(AddressRange::single([10, 9, 8, 7].into()))];
        ts::write(PayloadType::TSI, &all, writer)?;
        ts::write(PayloadType::TSR, &all, writer)?;
        NotifyView::new(NotifyType::USE_TRANSPORT_MODE, &[]).write(writer)
    });
    assert_eq!(elsewhere.0, NotifyType::TS_UNACCEPTABLE);
    let without_value = ask(&mut pair, |writer| {
        offer(Some(31), writer)?;
        nonce(writer)?;
        selectors(writer)
    });
    assert_eq!(without_value, (NotifyType::INVALID_KE_PAYLOAD, vec![0, 31]));
    let other_group = ask(&mut pair, |writer| {
        offer(Some(31), writer)?;
        nonce(writer)?;
        KeView { method: KeyExchangeMethod(19), data: &[4; 64] }.write(writer)?;
        selectors(writer)
    });
    assert_eq!(other_group, (NotifyType::INVALID_KE_PAYLOAD, vec![0, 31]));
    assert_eq!((pair.b.installed.len(), pair.b.endpoint.status().count()), (1, 1));
}

/// RFC 7296 §1.3.1: a peer that wants a key exchange for its Child SA gets one.
#[test]
fn fresh_keys_by_a_key_exchange() {
    let mut pair = standing(1);
    let keys = forge::keys(&pair.a);
    let ours = Software.generate(Group::Curve25519, &mut ChaCha20Rng::seed_from_u64(5)).expect("random");
    let id = next_id(&pair);
    let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, FROM_A, id);
    let request = forge::sealed(&keys, &header, |writer| {
        offer(Some(31), writer)?;
        nonce(writer)?;
        KeView { method: KeyExchangeMethod(31), data: &ours.public() }.write(writer)?;
        selectors(writer)
    });
    let answer = give(&mut pair, &keys, request);
    let body = |kind| answer.iter().find(|p| p.kind == kind).expect("there").body.clone();
    assert_eq!(body(PayloadType::KE)[..4], [0, 31, 0, 0]);
    assert!(ours.agree(&body(PayloadType::KE)[4..]).is_ok());
    assert_eq!(pair.b.installed.len(), 2);
}

/// A's request for a successor gets this refusal instead of B's answer.
fn refused(kind: NotifyType) -> Pair {
    let mut pair = standing(1);
    let keys = forge::keys(&pair.a);
    let id = next_id(&pair);
    pair.link.cut = true;
    soften(&mut pair.a, pair.now);
    pair.drain();
    // B has answered something under this number.
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, id);
    give(&mut pair, &keys, forge::sealed(&keys, &header, |_| Ok(())));
    let from_b = Flags { initiator: false, response: true };
    let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, from_b, id);
    let mut answer = forge::sealed(&keys, &header, |writer| NotifyView::new(kind, &[]).write(writer));
    let path = Path { interface: 0, local: (A, 500).into(), remote: (B, 500).into() };
    assert_eq!(pair.a.endpoint.handle_datagram(pair.now, path, &mut answer), Ok(()));
    pair.drain();
    pair
}

/// RFC 7296 §2.25: after TEMPORARY_FAILURE the same is asked again, but not at once.
#[test]
fn temporary_failure_is_waited_out() {
    let mut pair = refused(NotifyType::TEMPORARY_FAILURE);
    let (old, sent) = (spis(&pair.a), pair.link.sent());
    pair.settle(Duration::from_secs(3));
    assert_eq!(pair.link.sent(), sent, "{}", pair.trace);
    pair.settle(LONG);
    assert_replaced(&pair, &old, "after a while");
}

/// RFC 7296 §1.3, §2.8.3: what the peer does not do on this IKE SA is had by another IKE SA, before the
/// old one goes.
#[test]
fn refused_successor_comes_with_another_ike_sa() {
    for kind in
        [NotifyType::NO_ADDITIONAL_SAS, NotifyType::NO_PROPOSAL_CHOSEN, NotifyType::INVALID_KE_PAYLOAD]
    {
        let mut pair = refused(kind);
        let old = spis(&pair.a);
        pair.settle(MINUTES);
        assert!(pair.agree(), "{}", pair.trace);
        assert_eq!(pair.a.installed.len(), 1);
        assert_ne!(spis(&pair.a), old);
        assert_eq!(pair.a.failed()[0].reason, FailReason::Refused(kind.0));
        assert_eq!(pair.a.closed(), [CloseReason::Replaced]);
    }
}

/// RFC 7296 §2.25: what the peer says it does not have is gone here too, and a new pair takes its place.
/// strongSwan `child_rekey` `regular_responder_lost_sa`.
#[test]
fn child_that_the_peer_lost_is_made_anew() {
    let mut pair = refused(NotifyType::CHILD_SA_NOT_FOUND);
    let old = pair.trace.matches("A removes").count();
    pair.settle(LONG);
    assert_eq!(old, 1, "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert!(newest(&pair.a).may_send);
    assert_eq!(pair.b.installed.last().expect("made").outbound, newest(&pair.a).inbound);
    assert_eq!(pair.a.endpoint.status().count(), 1);
}

const FROM_A: Flags = Flags { initiator: true, response: false };

/// The number of A's next request, when none of its requests is under way.
fn next_id(pair: &Pair) -> u32 {
    let requests = pair.datagrams.iter().filter(|(direction, datagram)| {
        *direction == Direction::AtoB && !Header::parse(datagram).expect("IKE").flags.response
    });
    requests.map(|(_, datagram)| Header::parse(datagram).expect("IKE").message_id + 1).max().unwrap_or(0)
}

/// Gives B a message of A's making and returns its answer.
fn give(pair: &mut Pair, keys: &IkeKeys, request: Vec<u8>) -> Vec<Payload> {
    let path = Path { interface: 0, local: (B, 500).into(), remote: (A, 500).into() };
    // The request counts as A's, so that the next one has the next number.
    pair.datagrams.push((Direction::AtoB, request.clone()));
    assert_eq!(pair.b.endpoint.handle_datagram(pair.now, path, &mut request.clone()), Ok(()));
    pair.link.cut = true;
    pair.drain();
    pair.link.cut = false;
    let (_, first, text) = forge::opened(keys, &pair.datagrams.last().expect("answered").1);
    forge::split(first, &text)
}

/// Asks B for something as A and returns the notification that refuses it, with its SPI or its data.
fn ask(
    pair: &mut Pair,
    payloads: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>,
) -> (NotifyType, Vec<u8>) {
    let keys = forge::keys(&pair.a);
    let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, FROM_A, next_id(pair));
    let request = forge::sealed(&keys, &header, payloads);
    let answer = give(pair, &keys, request);
    let notify = NotifyView::parse(&answer[0].body).expect("a notification");
    (notify.kind, [notify.spi, notify.data].concat())
}

fn rekey_of(spi: u32) -> NotifyView<'static> {
    let spi = parties::leak(spi.to_be_bytes());
    NotifyView { protocol: Protocol::ESP, spi, kind: NotifyType::REKEY_SA, data: &[] }
}

fn proposals(writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    offer(None, writer)
}

/// ChaCha20-Poly1305 with 64-bit sequence numbers, and a key exchange of this method.
fn offer(method: Option<u16>, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let transform = |kind, id| Transform { kind, id, key_length: None };
    let exchange = method.map(|method| transform(TransformType::KE, method));
    let transforms =
        [Some(transform(TransformType::ENCR, 28)), exchange, Some(transform(TransformType::ESN, 1))];
    let transforms = transforms.into_iter().flatten();
    let spi = [0x80, 0, 0, 1];
    wire::sa::write([Proposal { number: 1, protocol: Protocol::ESP, spi: &spi, transforms }], writer)
}

fn nonce(writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    NonceView::parse(&[7; 32]).expect("legal").write(writer)
}

fn selectors(writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let all = |address| [TrafficSelector::all(AddressRange::single(address))];
    ts::write(PayloadType::TSI, &all(A), writer)?;
    ts::write(PayloadType::TSR, &all(B), writer)?;
    NotifyView::new(NotifyType::USE_TRANSPORT_MODE, &[]).write(writer)
}

/// RFC 7296 §2.8: rekeys in a row on a bad cable: one pair is left each time, and no slot or buffer
/// stays behind.
#[test]
fn many_rekeys_leave_nothing_behind() {
    let mut pair = standing(7);
    for round in 0..1_000 {
        pair.link.odds = Odds { drop: 5, duplicate: 2, delay: 2, corrupt: 0 };
        let old = spis(&pair.a);
        match round % 3 {
            0 => soften(&mut pair.a, pair.now),
            1 => soften(&mut pair.b, pair.now),
            _ => {
                soften(&mut pair.a, pair.now);
                soften(&mut pair.b, pair.now);
            }
        }
        pair.settle(MINUTES);
        assert_replaced(&pair, &old, &format!("round {round}"));
        pair.trace.clear();
        pair.datagrams.clear();
        pair.a.events.clear();
        pair.b.events.clear();
    }
    pair.link.odds = Odds::default();
    pair.a.endpoint.close(pair.now, PEER);
    pair.settle(MINUTES);
    assert_eq!(pair.a.closed(), [CloseReason::Requested]);
    assert_eq!(pair.a.endpoint.status().count() + pair.b.endpoint.status().count(), 0);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
    for _ in 0..3 {
        pair.initiate();
        pair.settle(LONG);
        assert!(pair.agree() && pair.a.installed.len() == 1);
        pair.a.endpoint.close(pair.now, PEER);
        pair.settle(LONG);
    }
}

/// RFC 7296 §2.8, §2.8.1: from the moment when an end decides to delete a pair, because it has a successor
/// or is the redundant one, nothing more is sent on it: the peer may forget it before we hear so.
#[test]
fn what_is_to_be_deleted_sends_nothing() {
    for seed in 1..20 {
        let mut pair = standing(seed);
        soften(&mut pair.a, pair.now);
        soften(&mut pair.b, pair.now);
        pair.settle(LONG);
        let mut retired = 0;
        for side in [&pair.a, &pair.b] {
            let place = |wanted: &dyn Fn(&Event) -> bool| side.events.iter().position(wanted);
            for event in &side.events {
                let Event::Retire(spi) = event else { continue };
                let at = place(&|e| matches!(e, Event::Retire(other) if other == spi));
                let installed = place(&|e| matches!(e, Event::Install(child) if child.inbound == *spi));
                let removed = place(&|e| matches!(e, Event::Remove(other) if other == spi));
                assert!(installed < at && at < removed, "seed {seed}");
                retired += 1;
            }
        }
        assert_eq!(retired, 4, "the old pair and the redundant one, at both ends; seed {seed}");
    }
}
