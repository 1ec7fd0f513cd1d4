//! NATs between the ends, true and pretended (RFC 7296 §2.23, RFC 3948).

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::sa::SaReport;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};

const LONG: Duration = Duration::from_secs(10);

/// RFC 7296 §2.23: with a NAT between them both ends move to port 4500 and wrap ESP in UDP.
#[test]
fn nat_moves_both_ends_to_4500() {
    let (mut a, mut b) = (parties::a(), parties::b());
    let outside = IpAddr::from([203, 0, 113, 7]);
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut pair = Pair::new(a, b, 1);
    pair.link.nat = Some(outside);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree(), "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    let (at_a, at_b) = (&pair.a.installed[0], &pair.b.installed[0]);
    let udp = |child: &esp_engine::sa::ChildSa| child.encapsulation.expect("in UDP");
    assert_eq!((udp(at_a).local_port, udp(at_a).remote_port), (4500, 4500));
    assert_eq!((udp(at_b).local_port, udp(at_b).remote_port), (4500, 24_500));
    assert_eq!(at_b.remote, outside);
    // Whoever is behind it keeps the NAT's mapping alive (RFC 3948 §4), and nobody else does.
    let sent = pair.datagrams.len();
    pair.pass(Duration::from_secs(61));
    let kept: Vec<_> = pair.datagrams[sent..].iter().map(|(_, datagram)| datagram.as_slice()).collect();
    assert_eq!(kept, [[0xFF]; 3]);
}

/// RFC 7296 §2.23: a NAT may be claimed on purpose, so that ESP travels in UDP; in transport mode too.
#[test]
fn pretended_nat_is_as_good() {
    for (at_a, at_b) in [(true, false), (false, true), (true, true)] {
        let (mut a, mut b) = (parties::a(), parties::b());
        a.force_encapsulation = at_a;
        b.force_encapsulation = at_b;
        let mut pair = Pair::new(a, b, 1);
        pair.initiate();
        pair.settle(LONG);
        assert!(pair.agree(), "{}", pair.trace);
        assert!(pair.a.installed[0].encapsulation.is_some());
    }
}

/// RFC 7296 §2.23.1: transport mode through a NAT: the responder sees the NAT's address in place of the
/// initiator's, and answers with what was asked.
#[test]
fn transport_mode_through_a_nat() {
    let (a, mut b) = (parties::a(), parties::b());
    let outside = IpAddr::from([203, 0, 113, 7]);
    let level = esp_engine::spd::Level::Pinned;
    b.policies =
        parties::leak_all(vec![parties::between(B, outside, level, ike_core::config::Peer::Entry(PEER))]);
    let mut pair = Pair::new(a, b, 1);
    pair.link.nat = Some(outside);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert_eq!(pair.b.installed.len(), 1);
    assert_eq!(pair.a.installed[0].local_ts[0].addresses.first(), A);
    assert_eq!(pair.b.installed[0].remote_ts[0].addresses.first(), outside);
    assert_eq!(pair.a.installed[0].keys.inbound, pair.b.installed[0].keys.outbound);
}

/// RFC 7296 §2.23: a peer behind a NAT that moves is followed; without NAT nobody is.
#[test]
fn peer_behind_a_nat_may_move() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut pair = Pair::new(a, b, 1);
    pair.link.nat = Some(IpAddr::from([203, 0, 113, 7]));
    pair.initiate();
    pair.settle(LONG);
    let spi = pair.b.installed[0].inbound;
    let remote = "203.0.113.99:31000".parse().expect("address");
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::PeerMoved { spi, remote });
    pair.drain();
    assert!(pair.trace.contains("B updates"));
    let mut pair = Pair::standing();
    let spi = pair.b.installed[0].inbound;
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::PeerMoved { spi, remote });
    pair.drain();
    assert!(!pair.trace.contains("updates"));
}
