//! Both ends prove again who they are (RFC 7296 §2.8.3): a new IKE SA from IKE_SA_INIT on, all Child SAs come
//! along, and only then the old one goes.

use std::time::Duration;

use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use host_tests::forge;
use host_tests::link::Odds;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};
use host_tests::plane::Devices;
use host_tests::stage::{FROM_B, give, standing, to_a};
use ike_core::config::{Config, Timing};
use ike_core::error::CloseReason;
use ike_core::wire::code_point::ExchangeType;
use ike_core::wire::notify::{NotifyType, NotifyView};

const PROTOCOLS: [u8; 4] = [6, 17, 47, 132];

/// A dead peer is noticed within five seconds, so that short lifetimes make sense.
fn brisk(config: &mut Config<'static>) {
    config.timing.retransmission = Duration::from_millis(500);
    config.timing.tries = 4;
    config.timing.jitter_percent = 0;
}

fn parties() -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = (parties::a(), parties::b());
    brisk(&mut a);
    brisk(&mut b);
    (a, b)
}

fn policies(pair: &Pair) -> [Vec<u16>; 2] {
    [&pair.a, &pair.b].map(|side| {
        let mut policies: Vec<_> = side.installed.iter().map(|child| child.policy.0).collect();
        policies.sort_unstable();
        policies.dedup();
        policies
    })
}

/// RFC 7296 §2.8: who answers goes on with the old pair until the new one is used, which its answer may yet have to
/// announce.
#[test]
fn old_pair_goes_on_at_the_responder() {
    let (mut a, b) = parties();
    a.timing.reauthentication = Duration::from_secs(100);
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.pass(Duration::from_secs(1));
    let first = pair.b.installed[0].clone();
    assert!(first.may_send, "there is nothing else to send on");
    pair.pass(Duration::from_secs(105));
    let [second] = &*pair.b.installed else { panic!("{}", pair.trace) };
    assert!(second.inbound != first.inbound && !second.may_send, "{}", pair.trace);
}

/// At every moment each policy has its pair at both ends, whoever of the two asks for reauthentication; the old IKE SA
/// goes with a Delete.
#[test]
fn all_child_sas_come_along() {
    for by_a in [true, false] {
        let (mut a, mut b) = parties();
        parties::by_protocol(&mut a, &PROTOCOLS);
        parties::by_protocol(&mut b, &PROTOCOLS);
        let config = if by_a { &mut a } else { &mut b };
        config.timing.reauthentication = Duration::from_secs(100);
        let mut pair = Pair::new(a, b, 1);
        pair.initiate();
        let ports = Ports::Known { source: 5_000, destination: 179 };
        for (n, protocol) in (0..).zip(PROTOCOLS) {
            let packet = Selectors { source: A, destination: B, protocol, ports };
            let packet = if protocol == 47 { Selectors { ports: Ports::Opaque, ..packet } } else { packet };
            pair.a.endpoint.acquire(pair.now, PolicyId(n), packet).expect("begins");
        }
        pair.pass(Duration::from_secs(5));
        for _ in 0..500 {
            pair.pass(Duration::from_secs(1));
            assert_eq!(policies(&pair), [vec![0, 1, 2, 3], vec![0, 1, 2, 3]], "{}", pair.trace);
        }
        pair.pass(Duration::from_secs(10));
        assert!(pair.agree(), "{}", pair.trace);
        assert!(pair.a.closed().len() >= 4 && pair.a.closed().iter().all(|r| *r == CloseReason::Replaced));
        assert!(pair.b.closed().iter().all(|r| *r == CloseReason::DeletedByPeer), "{}", pair.trace);
        assert!(pair.a.failed().is_empty() && pair.b.failed().is_empty(), "{}", pair.trace);
    }
}

/// No packet is lost while one IKE SA takes over from the other, on a cable that loses messages of IKE.
#[test]
fn no_packet_is_lost_over_reauthentication() {
    let (mut a, b) = parties();
    a.timing.reauthentication = Duration::from_secs(60);
    let mut devices = Devices::new(a, b, 5);
    devices.pair.initiate();
    devices.pass(Duration::from_secs(1));
    devices.pair.link.odds = Odds { drop: 5, duplicate: 5, delay: 0, corrupt: 0 };
    (devices.from_a, devices.from_b) = (Some(Duration::from_millis(20)), Some(Duration::from_millis(20)));
    devices.pass(Duration::from_secs(120));
    (devices.from_a, devices.from_b) = (None, None);
    devices.pass(Duration::from_secs(1));
    assert!(devices.pair.a.established().len() >= 3, "{}", devices.pair.trace);
    for (from, to) in [(&devices.a, &devices.b), (&devices.b, &devices.a)] {
        let lost: Vec<_> = from.sent.iter().filter(|n| !to.accepted.contains_key(n)).collect();
        assert!(lost.is_empty() && from.sent.len() > 5_000, "{lost:?}\n{}", devices.pair.trace);
    }
}

/// A peer that cannot be reached when the time comes is tried again; the old IKE SA carries on meanwhile.
#[test]
fn reauthentication_is_tried_until_it_succeeds() {
    let (mut a, b) = parties();
    a.timing.reauthentication = Duration::from_secs(100);
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.pass(Duration::from_secs(79));
    pair.link.cut = true;
    pair.pass(Duration::from_secs(30));
    assert_eq!(pair.a.installed.len(), 1);
    assert!(pair.a.closed().is_empty(), "nothing was asked on it");
    pair.link.cut = false;
    pair.pass(Duration::from_secs(30));
    assert_eq!(pair.a.closed(), [CloseReason::Replaced], "{}", pair.trace);
    assert!(pair.agree());
}

/// RFC 4478: the responder says how long it waits, and an initiator without a time of its own keeps to it.
#[test]
fn authentication_lifetime_is_a_hint() {
    let (a, mut b) = parties();
    b.timing.reauthentication = Duration::from_secs(1_000);
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.pass(Duration::from_secs(895));
    assert!(pair.a.closed().is_empty());
    pair.pass(Duration::from_secs(20));
    assert_eq!(pair.a.closed(), [CloseReason::Replaced], "{}", pair.trace);
}

/// RFC 4478 §5: a lifetime of nothing, told over and over, hurries nobody beyond a new IKE SA a minute.
#[test]
fn authentication_lifetime_does_not_hurry_us() {
    let (mut pair, keys) = standing();
    for id in 0..20 {
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_B, id);
        let told = forge::sealed(&keys, &header, |writer| {
            NotifyView::new(NotifyType::AUTH_LIFETIME, &[0; 4]).write(writer)
        });
        assert_eq!(give(&mut pair, to_a(), &told), Ok(()));
        pair.pass(Duration::from_secs(2));
    }
    assert!(pair.a.closed().is_empty());
    pair.pass(Duration::from_secs(70));
    assert_eq!(pair.a.closed(), [CloseReason::Replaced], "{}", pair.trace);
}

/// Never is the default, for a pinned key does not become less trustworthy with time.
#[test]
fn never_by_default() {
    assert!(Timing::DEFAULT.reauthentication.is_zero());
    let mut pair = Pair::standing();
    pair.pass(Duration::from_secs(20 * 3_600));
    assert_eq!(pair.a.established().len(), 1);
    assert_eq!(pair.a.endpoint.status().filter(|sa| sa.peer == Some(PEER)).count(), 1);
}
