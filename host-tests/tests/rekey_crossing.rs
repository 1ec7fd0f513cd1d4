//! Procedures of both ends that cross each other on one IKE SA (RFC 7296 §2.8.1, §2.25): whatever meets
//! whatever, with messages lost, doubled or late, both ends agree in the end and nothing is left over.

use std::time::Duration;

use esp_engine::sa::{SaReport, Spi};
use esp_engine::selector::{AddressRange, PortRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::PolicyId;
use host_tests::forge;
use host_tests::link::{Direction, Fault};
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A, B, PEER, leak_all};
use host_tests::stage::{give, to_a};
use ike_core::config::{Config, IkePolicy};
use ike_core::error::{CloseReason, FailReason};
use ike_core::output::IkeSpis;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header};
use ike_core::wire::notify::{NotifyType, NotifyView};

const LONG: Duration = Duration::from_secs(10);
/// Longer than an IKE SA waits for its end.
const MINUTES: Duration = Duration::from_secs(600);
/// Later than what is sent at once, and earlier than a retransmission.
const LATE: Fault = Fault::Delay(Duration::from_millis(500));

/// What an end begins.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Act {
    /// A successor of the first Child SA.
    Rekey,
    /// The end of the first Child SA.
    Delete,
    /// A Child SA for the second policy.
    Create,
    /// A successor of the IKE SA.
    RekeyIke,
    /// The end of the IKE SA.
    DeleteIke,
}

impl Act {
    const ALL: [Self; 5] = [Self::Rekey, Self::Delete, Self::Create, Self::RekeyIke, Self::DeleteIke];
}

/// Two policies, for two services of B.
fn two_services() -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = (parties::a(), parties::b());
    let tcp = |address, ports| {
        leak_all(vec![TrafficSelector { protocol: 6, ports, addresses: AddressRange::single(address) }])
    };
    let ports = [PortRange::single(179), PortRange::single(22)];
    let rule = a.policies[0];
    let at_a = |port| IkePolicy { local: tcp(A, PortRange::ANY), remote: tcp(B, port), ..rule };
    a.policies = leak_all(ports.map(at_a).to_vec());
    let rule = b.policies[0];
    let at_b = |port| IkePolicy { local: tcp(B, port), remote: tcp(A, PortRange::ANY), ..rule };
    b.policies = leak_all(ports.map(at_b).to_vec());
    (a, b)
}

/// One Child SA, for the first policy. The next datagram has number 4.
fn standing(seed: u64) -> Pair {
    let (a, b) = two_services();
    let mut pair = Pair::new(a, b, seed);
    let first = to_port(true, 179);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), first).expect("begins");
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    assert_eq!(pair.link.sent(), 4);
    pair.trace.clear();
    pair
}

fn to_port(from_a: bool, port: u16) -> Selectors {
    let (source, destination) = if from_a { (A, B) } else { (B, A) };
    let ports = if from_a { (50_000, port) } else { (port, 50_000) };
    Selectors {
        source,
        destination,
        protocol: 6,
        ports: Ports::Known { source: ports.0, destination: ports.1 },
    }
}

fn begin(pair: &mut Pair, act: Act, from_a: bool) {
    let now = pair.now;
    let side = if from_a { &mut pair.a } else { &mut pair.b };
    let first = side.installed.first().map(|child| child.inbound);
    match (act, first) {
        (Act::Rekey, Some(spi)) => side.endpoint.handle_sa_report(now, SaReport::SoftExpired(spi)),
        (Act::Delete, Some(spi)) => side.endpoint.handle_sa_report(now, SaReport::HardExpired(spi)),
        (Act::Create, _) => {
            side.endpoint.acquire(now, PolicyId(1), to_port(from_a, 22)).expect("begins");
        }
        (Act::RekeyIke, _) => side.endpoint.rekey_ike_sas(now, PEER),
        (Act::DeleteIke, _) => side.endpoint.close(now, PEER),
        (Act::Rekey | Act::Delete, None) => {}
    }
}

fn ike_sas(side: &Side) -> Vec<IkeSpis> {
    side.endpoint.status().map(|sa| sa.spis).collect()
}

fn first_spis(pair: &Pair) -> Vec<Spi> {
    pair.a.installed.iter().map(|child| child.inbound).collect()
}

/// Both ends have the same IKE SA, if any, and the same Child SAs under it.
fn assert_agreed(pair: &Pair, case: &str) {
    assert!(pair.agree(), "{case}:\n{}", pair.trace);
    let (a, b) = (ike_sas(&pair.a), ike_sas(&pair.b));
    assert_eq!(a, b, "{case}:\n{}", pair.trace);
    assert!(a.len() <= 1, "{case}:\n{}", pair.trace);
    assert!(a.len() == 1 || pair.a.installed.is_empty(), "{case}:\n{}", pair.trace);
}

/// A begins one thing and B another at the same moment; the datagrams with these numbers, counted from 4, have
/// these faults.
fn cross(seed: u64, acts: (Act, Act), script: &[(usize, Fault)]) -> Pair {
    cross_in(standing(seed), acts, &format!("seed {seed}"), script)
}

fn cross_in(mut pair: Pair, acts: (Act, Act), case: &str, script: &[(usize, Fault)]) -> Pair {
    let first = pair.link.sent() - 4;
    pair.link.script = script.iter().map(|(number, fault)| (first + number, *fault)).collect();
    begin(&mut pair, acts.0, true);
    begin(&mut pair, acts.1, false);
    pair.settle(MINUTES);
    assert_agreed(&pair, &format!("{case}, {acts:?}, {script:?}"));
    pair
}

/// Two Child SAs, so that the IKE SA outlives either.
fn standing_with_two(seed: u64) -> Pair {
    let mut pair = standing(seed);
    begin(&mut pair, Act::Create, true);
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 2);
    pair
}

/// RFC 7296 §2.8.1, §2.8.2, §2.25: every two procedures, with any message lost, doubled, late or spoiled.
/// strongSwan `child_rekey` `collision`, `collision_delayed_response`, `collision_delayed_response_delete`,
/// `collision_delayed_request`, `collision_delete`, `collision_delete_drop_delete`,
/// `collision_delete_drop_rekey`, `collision_delete_delayed_response`, `collision_ike_rekey`,
/// `collision_ike_delete`; `child_delete` `collision_ike_delete`; `child_create` `collision_ike_rekey`; `ike_delete` `regular`, `collision`;
/// libreswan `crossing-streams-03-ikev2-delete-child`, `-ike`, `-child-vs-ike`, `-ike-vs-child`,
/// `crossing-streams-04-ikev2-initiator-child-up-ike-down`, `-ike-rekey-responder-child-up`.
#[test]
fn every_two_procedures() {
    for first in Act::ALL {
        for second in Act::ALL {
            cross(1, (first, second), &[]);
            for number in 4..8 {
                for fault in [LATE, Fault::Drop, Fault::Duplicate] {
                    cross(number as u64, (first, second), &[(number, fault)]);
                }
            }
        }
    }
}

/// RFC 7296 §1.4.1, §2.25: the end of one Child SA of two meets all else, and the other one goes on. strongSwan
/// `child_delete` `regular`, `collision`, `collision_drop`, `collision_ike_rekey`.
#[test]
fn the_end_of_one_of_two() {
    for other in [Act::Rekey, Act::Delete, Act::RekeyIke] {
        for acts in [(Act::Delete, other), (other, Act::Delete)] {
            for number in 4..9 {
                for fault in [LATE, Fault::Drop, Fault::Duplicate] {
                    let before = standing_with_two(number as u64);
                    let stays = before.a.installed[1].inbound;
                    let ike = ike_sas(&before.a);
                    let pair = cross_in(before, acts, "one of two", &[(number, fault)]);
                    assert!(first_spis(&pair).contains(&stays), "{}", pair.trace);
                    assert_eq!(ike_sas(&pair.a) != ike, other == Act::RekeyIke, "{}", pair.trace);
                    assert!(pair.a.installed.len() == 1 || other == Act::Rekey, "{}", pair.trace);
                }
            }
        }
    }
}

/// RFC 7296 §2.8.1, §2.25: two faults in a collision, among them a request that comes when the other end is
/// through with everything. strongSwan `child_rekey` `collision_delayed_request_more`,
/// `collision_delayed_request_more_delete`; `ike_rekey` `collision_delete`.
#[test]
fn two_faults_at_once() {
    let pairs = [
        (Act::Rekey, Act::Rekey),
        (Act::Rekey, Act::Delete),
        (Act::Rekey, Act::RekeyIke),
        (Act::Delete, Act::RekeyIke),
    ];
    for acts in pairs {
        for one in 4..8 {
            for other in one + 1..10 {
                for (here, there) in
                    [(LATE, LATE), (Fault::Drop, LATE), (LATE, Fault::Drop), (Fault::Drop, Fault::Drop)]
                {
                    cross((one * other) as u64, acts, &[(one, here), (other, there)]);
                }
            }
        }
    }
}

/// RFC 7296 §2.25.1, §2.25.2: what met TEMPORARY_FAILURE comes later: in the end both have what they asked.
#[test]
fn nothing_is_forgotten() {
    for (act, child_changes, count) in [(Act::Rekey, true, 1), (Act::Create, false, 2)] {
        for (from_a, from_b) in [(act, Act::RekeyIke), (Act::RekeyIke, act)] {
            let (old_ike, old) = {
                let pair = standing(1);
                (ike_sas(&pair.a), first_spis(&pair))
            };
            let pair = cross(1, (from_a, from_b), &[]);
            assert_ne!(ike_sas(&pair.a), old_ike, "{}", pair.trace);
            assert_eq!(pair.a.installed.len(), count, "{}", pair.trace);
            assert_eq!(!first_spis(&pair).contains(&old[0]), child_changes, "{}", pair.trace);
        }
    }
}

/// RFC 7296 §2.8: limits that the responder meets on the pair that was replaced: the soft one means nothing, at
/// the hard one it deletes what the initiator is deleting too. strongSwan `child_rekey`
/// `regular_responder_ignore_soft_expire`, `regular_responder_handle_hard_expire`, `regular_responder_delete`,
/// `regular_responder_incorrect_delete`.
#[test]
fn limits_of_a_replaced_pair() {
    for report in [SaReport::SoftExpired, SaReport::HardExpired] {
        for steps in 1..5 {
            let mut pair = standing(1);
            let old = pair.b.installed[0].inbound;
            let at_a = first_spis(&pair);
            begin(&mut pair, Act::Rekey, true);
            pair.drain();
            for _ in 0..steps {
                pair.step(pair.now + LONG);
            }
            pair.b.endpoint.handle_sa_report(pair.now, report(old));
            pair.settle(MINUTES);
            assert_agreed(&pair, &format!("{steps} steps"));
            assert_eq!(pair.a.installed.len(), 1, "{steps} steps:\n{}", pair.trace);
            assert!(!at_a.contains(&pair.a.installed[0].inbound));
        }
    }
}

/// RFC 7296 §2.8.1: either end deletes the old pair at any moment of a collision, although it lost or before
/// anything is decided. strongSwan `child_rekey` `collision_responder_incorrect_delete`.
#[test]
fn an_end_deletes_what_is_not_its_own() {
    for seed in 1..6 {
        for steps in 0..8 {
            for from_a in [true, false] {
                let mut pair = standing(seed);
                let old = [pair.a.installed[0].inbound, pair.b.installed[0].inbound];
                begin(&mut pair, Act::Rekey, true);
                begin(&mut pair, Act::Rekey, false);
                pair.drain();
                for _ in 0..steps {
                    pair.step(pair.now + LONG);
                }
                let (side, spi) = if from_a { (&mut pair.a, old[0]) } else { (&mut pair.b, old[1]) };
                side.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(spi));
                pair.settle(MINUTES);
                assert_agreed(&pair, &format!("seed {seed}, {steps} steps"));
                assert_eq!(pair.a.installed.len(), 1, "seed {seed}, {steps} steps:\n{}", pair.trace);
            }
        }
    }
}

/// RFC 7296 §2.4: a Delete of the old pair that is never answered means a dead peer. strongSwan `child_rekey`
/// `regular_delete_timeout`.
#[test]
fn unanswered_delete_of_the_old_pair() {
    let mut pair = standing(1);
    begin(&mut pair, Act::Rekey, true);
    pair.drain();
    pair.step(pair.now + LONG);
    pair.link.script = (6..40).map(|number| (number, Fault::Drop)).collect();
    pair.settle(MINUTES);
    assert_eq!(pair.a.closed(), [CloseReason::PeerDead], "{}", pair.trace);
    assert!(pair.a.installed.is_empty());
}

/// RFC 7296 §2.8: the same service is wanted by both ends at once: two pairs stand, and either may be used.
/// strongSwan `child_create` `duplicate`.
#[test]
fn both_ends_create_the_same() {
    let pair = cross(1, (Act::Create, Act::Create), &[]);
    assert_eq!(pair.a.installed.len(), 3, "{}", pair.trace);
}

/// RFC 7296 §2.3: what an end owes comes in turn, and nothing waits for ever: a rekey behind a rekey, a Delete
/// behind both, and a pair that goes before its rekeying is asked for. libreswan
/// `ikev2-child-rekey-06-deadlock`, `ikev2-child-rekey-07-deadlock`, `ikev2-child-rekey-08-deadlock`.
#[test]
fn procedures_wait_for_their_turn() {
    for vanishing in [false, true] {
        let mut pair = standing_with_two(1);
        let old = first_spis(&pair);
        let ike = ike_sas(&pair.a);
        for spi in &old {
            pair.a.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(*spi));
        }
        begin(&mut pair, Act::RekeyIke, true);
        if vanishing {
            let at_b = pair.b.installed.iter().find(|child| child.outbound == old[1]).expect("there").inbound;
            pair.b.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(at_b));
        }
        pair.settle(MINUTES);
        assert_agreed(&pair, "in turn");
        assert_ne!(ike_sas(&pair.a), ike, "{}", pair.trace);
        assert_eq!(pair.a.installed.len(), if vanishing { 1 } else { 2 }, "{}", pair.trace);
        assert!(first_spis(&pair).iter().all(|spi| !old.contains(spi)), "{}", pair.trace);
    }
}

/// RFC 7296 §2.8.1: an end whose own request gets nowhere has the peer's successor, and uses it: the first
/// request is lost, its retransmission meets TEMPORARY_FAILURE or CHILD_SA_NOT_FOUND. strongswan#1896.
#[test]
fn own_request_comes_to_nothing() {
    for from_a in [true, false] {
        let mut pair = standing(1);
        let old = first_spis(&pair);
        pair.link.script = vec![(if from_a { 4 } else { 5 }, Fault::Drop)];
        begin(&mut pair, Act::Rekey, true);
        begin(&mut pair, Act::Rekey, false);
        pair.settle(MINUTES);
        assert_agreed(&pair, "lost");
        assert_eq!(pair.a.installed.len(), 1);
        assert!(!first_spis(&pair).contains(&old[0]), "{}", pair.trace);
        assert!(pair.a.failed().is_empty() && pair.b.failed().is_empty());
    }
}

/// RFC 7296 §2.8.1: the same where the peer refuses our successor for good and makes its own. strongSwan issue
/// 2477.
#[test]
fn own_request_is_refused_and_the_peers_is_not() {
    let mut pair = standing(1);
    let keys = forge::keys(&pair.a);
    let old = first_spis(&pair);
    begin(&mut pair, Act::Rekey, true);
    begin(&mut pair, Act::Rekey, false);
    pair.link.script = vec![(4, Fault::Drop)];
    pair.drain();
    // B's request arrives, and A answers it; A's own was lost, and its answer is of our making.
    pair.step(pair.now + LONG);
    let id = Header::parse(&pair.datagrams[4].1).expect("IKE").message_id;
    let header =
        forge::header(&keys, ExchangeType::CREATE_CHILD_SA, Flags { initiator: false, response: true }, id);
    let refusal = NotifyView::new(NotifyType::TS_UNACCEPTABLE, &[]);
    assert_eq!(give(&mut pair, to_a(), &forge::sealed(&keys, &header, |w| refusal.write(w))), Ok(()));
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert!(!first_spis(&pair).contains(&old[0]), "{}", pair.trace);
    assert!(pair.agree() && pair.a.failed().is_empty(), "{}", pair.trace);
}

/// RFC 7296 §2.8, §2.25.1: the peer deletes the old pair at once, and its Delete overtakes the answer that made
/// the new one. strongswan#1458.
#[test]
fn a_delete_overtakes_the_answer() {
    let mut pair = standing(1);
    let old = first_spis(&pair);
    let at_b = pair.b.installed[0].inbound;
    pair.link.script = vec![(5, LATE)];
    begin(&mut pair, Act::Rekey, true);
    pair.drain();
    pair.step(pair.now + LONG);
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(at_b));
    pair.settle(MINUTES);
    assert_agreed(&pair, "overtaken");
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert!(!first_spis(&pair).contains(&old[0]), "{}", pair.trace);
}

/// RFC 7296 §2.9.2: the successor of a pair has its selectors: an answer with more or less is not taken, and the
/// peer is told. libreswan `ikev2-child-rekey-10-impair-rekey-respond-subnet`, `-supernet`.
#[test]
fn a_successor_has_the_same_selectors() {
    for (first, last) in [(0, u16::MAX), (178, 180), (180, 180)] {
        let mut pair = standing(1);
        let keys = forge::keys(&pair.a);
        let old = first_spis(&pair);
        pair.link.script = vec![(5, Fault::Drop)];
        begin(&mut pair, Act::Rekey, true);
        pair.drain();
        pair.step(pair.now + LONG);
        let answer = pair.datagrams[5].1.clone();
        let forged = forge::altered(&keys, &answer, |_, mut payloads| {
            let tsr = payloads.iter_mut().find(|payload| payload.kind == PayloadType::TSR).expect("there");
            tsr.body[8..10].copy_from_slice(&u16::to_be_bytes(first));
            tsr.body[10..12].copy_from_slice(&u16::to_be_bytes(last));
            payloads
        });
        assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
        pair.settle(LONG);
        assert_eq!(pair.a.failed()[0].reason, FailReason::AnswerNotOffered, "{}", pair.trace);
        assert_eq!(first_spis(&pair), old, "the old one goes on:\n{}", pair.trace);
        assert!(pair.agree(), "{}", pair.trace);
    }
}

/// RFC 7296 §2.25.1: a peer that asks for two successors of one pair gets one. strongswan#2945.
#[test]
fn one_pair_has_one_successor() {
    let mut pair = standing(1);
    let keys = forge::keys(&pair.a);
    pair.link.cut = true;
    begin(&mut pair, Act::Rekey, true);
    pair.drain();
    let (_, asked) = pair.datagrams.iter().rfind(|(way, _)| *way == Direction::AtoB).expect("asked").clone();
    let (header, first, text) = forge::opened(&keys, &asked);
    for (id, made) in [(header.message_id, 2), (header.message_id + 1, 2)] {
        let again = forge::sealed_text(&keys, &Header { message_id: id, ..header }, first, &text);
        assert_eq!(give(&mut pair, host_tests::stage::to_b(), &again), Ok(()));
        pair.drain();
        assert_eq!(pair.b.installed.len(), made);
    }
    let (_, refused) = pair.datagrams.last().expect("answered").clone();
    let (_, first, text) = forge::opened(&keys, &refused);
    let notify = NotifyView::parse(&forge::split(first, &text)[0].body).expect("a notification").kind;
    assert_eq!(notify, NotifyType::TEMPORARY_FAILURE);
}
