//! Our own address is another one (RFC 7296 says nothing of it; RFC 4555 is in `mobike.rs`): SAs from the old address
//! end, at the peer too, and are begun anew from the new one by the end that moved, without waiting for a packet.

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::selector::{AddressRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::PolicyId;
use host_tests::link::Fault;
use host_tests::nat_box::NatBox;
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A, B, PEER};
use host_tests::stage::*;
use ike_core::config::{Config, Local};
use ike_core::error::{AcquireError, CloseReason};
use ike_core::output::Phase;

const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
const THIRD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 3));

/// A in transport mode for its own address, and B, whose policy is for anybody.
fn hosts() -> (Config<'static>, Config<'static>) {
    let (a, mut b) = (parties::a(), parties::b());
    let all = TrafficSelector::all(AddressRange::prefix([0; 4].into(), 0).expect("a prefix"));
    let mut policy = b.policies[0];
    policy.remote = parties::leak_all(vec![all]);
    b.policies = parties::leak_all(vec![policy]);
    (a, b)
}

/// Both in tunnel mode for the networks behind them, without MOBIKE.
fn gateways() -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    (a, b)
}

fn standing((a, b): (Config<'static>, Config<'static>)) -> Pair {
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    pair
}

fn move_a(pair: &mut Pair, old: IpAddr, new: IpAddr) {
    pair.a.endpoint.moved(pair.now, old, Local { interface: 0, address: new });
    pair.drain();
}

fn ends(side: &Side) -> Vec<(IpAddr, IpAddr)> {
    side.endpoint.status().map(|sa| (sa.path.local.ip(), sa.path.remote.ip())).collect()
}

/// One IKE SA and one pair stand between these addresses, and nothing else is there.
fn assert_stands_at(pair: &Pair, own: IpAddr) {
    assert_eq!((ends(&pair.a), ends(&pair.b)), (vec![(own, B)], vec![(B, own)]), "{}", pair.trace);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    assert!(pair.a.endpoint.status().all(|sa| sa.phase == Phase::Established), "{}", pair.trace);
    assert_eq!((pair.a.installed[0].local, pair.b.installed[0].remote), (own, own));
}

/// RFC 7296 §1.4.1: the old SAs are deleted; §2.9: the policy for our own address offers the new one.
#[test]
fn sas_are_begun_anew_from_the_new_address_without_a_packet() {
    for (configs, is_transport) in [(hosts(), true), (gateways(), false)] {
        let mut pair = standing(configs);
        move_a(&mut pair, A, ELSEWHERE);
        pair.settle(LONG);
        assert_stands_at(&pair, ELSEWHERE);
        let expected = if is_transport {
            AddressRange::single(ELSEWHERE)
        } else {
            AddressRange::prefix([10, 1, 0, 0].into(), 16).expect("a prefix")
        };
        assert_eq!(pair.a.installed[0].local_ts[0].addresses, expected);
        assert_eq!(pair.a.closed(), [CloseReason::Moved]);
        assert!(pair.b.closed().len() == 1, "{}", pair.trace);
    }
}

/// The end that answered moves too.
#[test]
fn responder_moves() {
    let mut pair = standing(gateways());
    pair.b.endpoint.moved(pair.now, B, Local { interface: 0, address: ELSEWHERE });
    pair.settle(LONG);
    assert_eq!(
        (ends(&pair.a), ends(&pair.b)),
        (vec![(A, ELSEWHERE)], vec![(ELSEWHERE, A)]),
        "{}",
        pair.trace
    );
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
}

/// RFC 7296 §2.1: each message of the Delete and of what is begun may be lost, doubled, late or spoiled.
#[test]
fn moving_survives_a_bad_cable() {
    for fault in Fault::ALL {
        for number in 4..10 {
            let mut pair = standing(hosts());
            pair.link.script = vec![(number, fault)];
            move_a(&mut pair, A, ELSEWHERE);
            pair.settle(Duration::from_secs(120));
            pair.pass(Duration::from_secs(200));
            assert_stands_at(&pair, ELSEWHERE);
        }
    }
}

/// Twice in a row, the second time before anything has come of the first; and back to where it began.
#[test]
fn moving_twice_and_back() {
    for last in [THIRD, A] {
        let mut pair = standing(hosts());
        move_a(&mut pair, A, ELSEWHERE);
        pair.step(pair.now + LONG);
        move_a(&mut pair, ELSEWHERE, last);
        pair.settle(Duration::from_secs(120));
        pair.pass(Duration::from_secs(200));
        assert_stands_at(&pair, last);
    }
}

/// After any number of messages of a handshake of either end, and while SAs are being replaced.
#[test]
fn moving_in_the_middle_of_anything() {
    type Begin = fn(&mut Pair);
    let begins: [(bool, Begin); 4] = [
        (false, |pair| pair.a.endpoint.initiate(pair.now, PEER).expect("begins")),
        (true, |pair| pair.a.endpoint.rekey(pair.now, PEER).expect("begins")),
        (true, |pair| pair.a.endpoint.rekey_ike_sas(pair.now, PEER)),
        (true, |pair| pair.b.endpoint.rekey_ike_sas(pair.now, PEER)),
    ];
    for (n, (stands, begin)) in begins.into_iter().enumerate() {
        for steps in 0..5 {
            let (a, b) = hosts();
            let mut pair = if stands { standing((a, b)) } else { Pair::new(a, b, 1) };
            begin(&mut pair);
            pair.drain();
            for _ in 0..steps {
                pair.step(pair.now + LONG);
            }
            // What the peer has made of our last message stands before it hears of another place.
            pair.now = pair.now + Duration::from_millis(1);
            move_a(&mut pair, A, ELSEWHERE);
            pair.settle(Duration::from_secs(120));
            pair.pass(Duration::from_secs(300));
            assert!(!pair.a.installed.is_empty(), "{n} after {steps} steps\n{}", pair.trace);
            assert_stands_at(&pair, ELSEWHERE);
        }
    }
}

/// A handshake that a packet of the old address asked for is not about that address any more.
#[test]
fn packet_of_the_old_address_is_not_asked_for() {
    let (a, b) = hosts();
    let mut pair = Pair::new(a, b, 1);
    let packet = |source| Selectors {
        source,
        destination: B,
        protocol: 6,
        ports: Ports::Known { source: 50_000, destination: 179 },
    };
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet(A)).expect("begins");
    move_a(&mut pair, A, ELSEWHERE);
    pair.settle(LONG);
    assert_stands_at(&pair, ELSEWHERE);
    let late = pair.a.endpoint.acquire(pair.now, PolicyId(0), packet(A));
    assert_eq!(late, Err(AcquireError::NoLocalAddress));
}

/// Without an address nothing begins, and what stands waits: the same address again finds it, another one takes its
/// place.
#[test]
fn lost_address_is_waited_for() {
    for back in [A, ELSEWHERE] {
        let mut pair = standing(hosts());
        pair.a.endpoint.lost(A);
        pair.drain();
        assert!(pair.agree() && pair.a.closed().is_empty());
        pair.a.endpoint.close(pair.now, PEER);
        pair.settle(LONG);
        assert_eq!(pair.a.endpoint.initiate(pair.now, PEER), Err(AcquireError::NoLocalAddress));

        let mut pair = standing(hosts());
        pair.a.endpoint.lost(A);
        pair.pass(LONG);
        move_a(&mut pair, A, back);
        pair.settle(LONG);
        assert_stands_at(&pair, back);
        assert_eq!(pair.a.closed().len(), usize::from(back != A), "{}", pair.trace);
    }
}

/// What the peer alone can open, its NAT, is not called.
#[test]
fn peer_behind_a_nat_is_not_called() {
    let mut pair = Pair::new(gateways().0, gateways().1, 1);
    pair.link.nat_of_a = Some(NatBox::dynamic([203, 0, 113, 7].into()));
    pair.initiate();
    pair.settle(LONG);
    pair.b.endpoint.moved(pair.now, B, Local { interface: 0, address: ELSEWHERE });
    pair.settle(LONG);
    assert_eq!(pair.b.endpoint.status().count(), 0, "{}", pair.trace);
    assert_eq!(pair.b.closed(), [CloseReason::Moved]);
}

/// RFC 5386 §2: nobody else speaks for our address, the new one as little as the configured one did; and the old one
/// is no longer ours.
#[test]
fn strangers_do_not_get_the_new_address() {
    for (own, is_refused) in [(ELSEWHERE, true), (B, false)] {
        let (a, mut b) = (parties::a(), parties::b());
        b.pad = parties::leak_all(vec![parties::BTNS]);
        let all = TrafficSelector::all(AddressRange::prefix([0; 4].into(), 0).expect("a prefix"));
        let mut policy = parties::between(B, A, esp_engine::spd::Level::Any, ike_core::config::Peer::Any);
        policy.remote = parties::leak_all(vec![all]);
        b.policies = parties::leak_all(vec![policy]);
        let mut pair = Pair::new(a, b, 1);
        // B goes where A claims to be, and does not answer there: A's messages still reach it.
        pair.b.endpoint.moved(pair.now, B, Local { interface: 0, address: if is_refused { A } else { own } });
        pair.initiate();
        pair.settle(LONG);
        assert_eq!(pair.a.installed.is_empty(), is_refused, "{}", pair.trace);
    }
}

/// IPv6 likewise, and the IPv4 side does not notice.
#[test]
fn ipv6_moves() {
    let [one, two, three] =
        ["2001:db8::1", "2001:db8::2", "2001:db8:7::7"].map(|text| text.parse().expect("an address"));
    let mut a = parties::config(
        "a.example",
        parties::A_KEY,
        one,
        vec![parties::pinned("b.example", &parties::B_KEY, two)],
        two,
    );
    let mut b = parties::config(
        "b.example",
        parties::B_KEY,
        two,
        vec![parties::pinned("a.example", &parties::A_KEY, one)],
        one,
    );
    let mut policy = b.policies[0];
    policy.remote =
        parties::leak_all(vec![TrafficSelector::all(AddressRange::prefix(one, 0).expect("a prefix"))]);
    b.policies = parties::leak_all(vec![policy]);
    a.local = parties::leak_all(vec![Local { interface: 0, address: A }, a.local[0]]);
    let mut pair = standing((a, b));
    move_a(&mut pair, A, ELSEWHERE);
    assert!(pair.a.closed().is_empty());
    move_a(&mut pair, one, three);
    pair.settle(LONG);
    assert_eq!((ends(&pair.a), ends(&pair.b)), (vec![(three, two)], vec![(two, three)]), "{}", pair.trace);
    assert!(pair.agree() && pair.a.installed.len() == 1);
}
