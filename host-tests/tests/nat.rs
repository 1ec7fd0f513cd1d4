//! NATs between the ends, true and pretended: port 4500, keepalives, and peers whose NAT forgets them
//! (RFC 7296 §2.23, RFC 3948).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_engine::sa::{ChildSa, Encapsulation, SaReport, SaUpdate};
use host_tests::link::Direction;
use host_tests::nat_box::{FIRST_PORT, NatBox};
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A, B, PEER};
use host_tests::stage::{LONG, give};
use ike_core::error::Discarded;
use ike_core::output::{Event, Path};
use proptest::prelude::*;

/// What B sees of A's NAT.
const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

/// A behind a NAT and B, with tunnel mode between networks.
fn behind_nat(seed: u64) -> Pair {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut pair = Pair::new(a, b, seed);
    pair.link.nat_of_a = Some(NatBox::dynamic(OUTSIDE));
    pair
}

/// The same, when their SAs stand.
fn standing_behind_nat() -> Pair {
    let mut pair = behind_nat(1);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    pair
}

fn udp(child: &ChildSa) -> (u16, u16) {
    let Encapsulation { local_port, remote_port } = child.encapsulation.expect("in UDP");
    (local_port, remote_port)
}

/// Where an end takes its peer to be.
fn peer_of(side: &Side) -> SocketAddr {
    side.endpoint.status().next().expect("an IKE SA").path.remote
}

/// What the data plane was told about outer addresses.
fn updates(side: &Side) -> Vec<SaUpdate> {
    side.events
        .iter()
        .filter_map(|e| if let Event::Update(update) = e { Some(*update) } else { None })
        .collect()
}

/// RFC 7296 §2.23: with a NAT between them both ends move to port 4500 and wrap ESP in UDP.
#[test]
fn nat_moves_both_ends_to_4500() {
    let pair = standing_behind_nat();
    let (at_a, at_b) = (&pair.a.installed[0], &pair.b.installed[0]);
    assert_eq!(udp(at_a), (4500, 4500));
    // IKE_SA_INIT on port 500 had a mapping of its own.
    assert_eq!(udp(at_b), (4500, FIRST_PORT + 1));
    assert_eq!(at_b.remote, OUTSIDE);
}

/// RFC 7296 §2.23: whichever end is behind the NAT, and both of them.
#[test]
fn either_end_and_both_may_be_behind_a_nat() {
    let outside_b = IpAddr::from([203, 0, 113, 9]);
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut entry = a.pad[0];
    entry.address = Some((outside_b, 500).into());
    a.pad = parties::leak_all(vec![entry]);
    for of_a in [None, Some(NatBox::dynamic(OUTSIDE))] {
        let mut pair = Pair::new(a.clone(), b.clone(), 1);
        pair.link.nat_of_a = of_a.clone();
        pair.link.nat_of_b = Some(NatBox::forwarding(outside_b, B));
        pair.initiate();
        pair.settle(LONG);
        assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
        assert_eq!(pair.a.installed[0].remote, outside_b);
        assert_eq!(pair.b.installed[0].local, B);
        assert_eq!(pair.b.installed[0].remote, if of_a.is_some() { OUTSIDE } else { A });
    }
}

/// RFC 7296 §2.23: "An initiator can use port 4500 … regardless of whether or not there is a NAT, even
/// at the beginning". ESP is wrapped only where there is one; a successor begins there too.
#[test]
fn port_4500_from_the_first_message() {
    for nat in [None, Some(NatBox::dynamic(OUTSIDE))] {
        let (mut a, mut b) = (parties::a(), parties::b());
        parties::make_tunnel(&mut a, A, B);
        let mut entry = a.pad[0];
        entry.address = Some((B, 4500).into());
        a.pad = parties::leak_all(vec![entry]);
        a.timing.ike_lifetime = Duration::from_secs(600);
        parties::make_tunnel(&mut b, B, A);
        let mut pair = Pair::new(a, b, 1);
        pair.link.nat_of_a = nat.clone();
        pair.initiate();
        pair.pass(Duration::from_secs(580));
        assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
        let is_marked = |datagram: &[u8]| datagram.starts_with(&[0; 4]) || datagram == [0xFF];
        assert!(pair.datagrams.iter().all(|(_, datagram)| is_marked(datagram)));
        assert_eq!(pair.b.installed[0].encapsulation.map(|udp| udp.remote_port), nat.map(|_| FIRST_PORT));
    }
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

/// RFC 3948 §4: whoever is behind the NAT reminds it, and nobody else; not while it sends anyhow.
#[test]
fn nat_is_reminded_when_nothing_was_sent() {
    let mut pair = standing_behind_nat();
    let sent = pair.datagrams.len();
    pair.pass(Duration::from_secs(61));
    let kept: Vec<_> = pair.datagrams[sent..].iter().map(|(_, datagram)| datagram.as_slice()).collect();
    assert_eq!(kept, [[0xFF]; 3]);
    assert!(pair.datagrams[sent..].iter().all(|(way, _)| *way == Direction::AtoB));
    for _ in 0..12 {
        pair.a.endpoint.rekey(pair.now, PEER).expect("begins");
        pair.pass(Duration::from_secs(10));
    }
    let kept = pair.datagrams.iter().filter(|(_, datagram)| datagram == &[0xFF]).count();
    assert_eq!(kept, 3, "{}", pair.trace);
}

/// RFC 3948 §2.3: a keepalive is no message, and keeps the mapping.
#[test]
fn mapping_lives_as_long_as_keepalives() {
    let mut pair = behind_nat(1);
    pair.link.nat_of_a.as_mut().expect("there").timeout = Duration::from_secs(30);
    pair.initiate();
    pair.pass(Duration::from_secs(600));
    pair.b.endpoint.rekey(pair.now, PEER).expect("begins");
    pair.settle(Duration::from_secs(1));
    assert!(pair.agree() && pair.b.children().len() == 2, "{}", pair.trace);
}

/// RFC 7296 §2.23: the NAT forgets its mapping and gives A another: B follows A's next new message, and
/// all Child SAs go along.
#[test]
fn peer_is_followed_by_its_next_message() {
    let mut pair = standing_behind_nat();
    let before = peer_of(&pair.b);
    pair.link.nat_of_a.as_mut().expect("there").rebind();
    pair.a.endpoint.rekey(pair.now, PEER).expect("begins");
    pair.settle(LONG);
    let after = peer_of(&pair.b);
    assert_eq!((after.ip(), after.port()), (OUTSIDE, before.port() + 1));
    assert_eq!(udp(&pair.b.installed[0]), (4500, after.port()));
    assert!(pair.agree(), "{}", pair.trace);
    // The old pair was still there when the message came.
    let old = pair.b.children()[0].inbound;
    let update = updates(&pair.b).into_iter().find(|update| update.inbound == old).expect("moved");
    assert_eq!(update.encapsulation, pair.b.installed[0].encapsulation);
    // B's own messages find the way.
    pair.b.endpoint.close(pair.now, PEER);
    pair.settle(Duration::from_secs(1));
    assert_eq!(pair.a.installed.len(), 0, "{}", pair.trace);
}

/// RFC 7296 §2.23: ESP shows the new mapping as well; IKE goes along.
#[test]
fn peer_is_followed_by_its_esp() {
    let mut pair = standing_behind_nat();
    pair.link.nat_of_a.as_mut().expect("there").rebind();
    let on_4500 = Path { interface: 0, local: (A, 4500).into(), remote: (B, 4500).into() };
    let seen = pair.link.translate(pair.now, Direction::AtoB, on_4500).expect("passes");
    let spi = pair.b.installed[0].inbound;
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::PeerMoved { spi, remote: seen.remote });
    pair.drain();
    assert_eq!(peer_of(&pair.b), seen.remote);
    assert_eq!(updates(&pair.b).len(), 1);
    pair.b.endpoint.rekey(pair.now, PEER).expect("begins");
    pair.settle(Duration::from_secs(1));
    assert_eq!(pair.b.children().len(), 2, "{}", pair.trace);
}

/// RFC 7296 §2.23: nobody is followed when there is no NAT, and by nobody who is behind one himself.
#[test]
fn nobody_else_is_followed() {
    let remote = "203.0.113.99:31000".parse().expect("address");
    let mut pair = Pair::standing();
    let spi = pair.b.installed[0].inbound;
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::PeerMoved { spi, remote });
    pair.drain();
    assert!(updates(&pair.b).is_empty());
    let mut pair = standing_behind_nat();
    let spi = pair.a.installed[0].inbound;
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::PeerMoved { spi, remote });
    pair.drain();
    assert!(updates(&pair.a).is_empty());
    // One genuine new message that an attacker carries from elsewhere does not part A from B.
    pair.b.endpoint.rekey(pair.now, PEER).expect("begins");
    pair.link.cut = true;
    pair.drain();
    pair.link.cut = false;
    let message = pair.datagrams.last().expect("sent").1.clone();
    let elsewhere = Path { interface: 0, local: (A, 4500).into(), remote };
    assert_eq!(give(&mut pair, elsewhere, &message), Ok(()));
    pair.settle(LONG);
    assert_eq!(peer_of(&pair.a), (B, 4500).into());
    assert!(updates(&pair.a).is_empty());
}

/// RFC 3948 §2.2, §2.3: on port 4500 only what begins with the marker is a message.
#[test]
fn other_datagrams_on_4500_are_no_messages() {
    let mut pair = standing_behind_nat();
    let path = Path { interface: 0, local: (B, 4500).into(), remote: peer_of(&pair.b) };
    for octets in [&[][..], &[0xFF], &[0xFF; 3], &[0; 3], &[0, 0, 0, 1, 9]] {
        assert_eq!(give(&mut pair, path, octets), Err(Discarded::NotIke));
    }
    for octets in [&[0; 4][..], &[0; 4 + 27]] {
        assert!(matches!(give(&mut pair, path, octets), Err(Discarded::Malformed(_))));
    }
    assert!(pair.agree());
}

/// What may happen between two ends with a NAT in front of one.
#[derive(Clone, Debug)]
enum Move {
    /// The NAT forgets.
    Rebind,
    /// The NAT gets another address.
    Renumber(u8),
    /// A sends something new.
    Speak,
    /// B sends something new.
    Ask,
    /// Somebody sends an old datagram of A's once more, from where he likes.
    Replay(prop::sample::Index, [u8; 4], u16),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        Just(Move::Rebind),
        (1..9_u8).prop_map(Move::Renumber),
        Just(Move::Speak),
        Just(Move::Ask),
        (any::<prop::sample::Index>(), any::<[u8; 4]>(), any::<u16>())
            .prop_map(|(a, b, c)| Move::Replay(a, b, c)),
    ];
    proptest::collection::vec(one, 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// RFC 7296 §2.23: B takes A to be where A's last new message came from, whatever else comes from
    /// elsewhere; A never takes B to be anywhere else.
    #[test]
    fn peer_is_where_its_last_new_message_came_from(moves in moves()) {
        let mut pair = standing_behind_nat();
        let mut expected = peer_of(&pair.b);
        let on_4500 = Path { interface: 0, local: (A, 4500).into(), remote: (B, 4500).into() };
        // What B has had for sure: a message that it never got is new, whoever carries it.
        let from_a = |(way, d): &&(Direction, Vec<u8>)| *way == Direction::AtoB && d.starts_with(&[0; 4]);
        let mut heard: Vec<_> = pair.datagrams.iter().filter(from_a).map(|(_, d)| d.clone()).collect();
        let (mut settled, mut on_the_way) = (pair.datagrams.len(), Vec::new());
        for step in moves {
            match step {
                Move::Rebind => pair.link.nat_of_a.as_mut().expect("there").rebind(),
                Move::Renumber(last) => {
                    let nat = pair.link.nat_of_a.as_mut().expect("there");
                    nat.outside = IpAddr::from([203, 0, 113, last]);
                    nat.rebind();
                }
                Move::Speak => {
                    pair.a.endpoint.rekey(pair.now, PEER).expect("begins");
                    pair.settle(Duration::from_secs(1));
                    expected = pair.link.translate(pair.now, Direction::AtoB, on_4500).expect("passes").remote;
                    heard.append(&mut on_the_way);
                    on_the_way.extend(pair.datagrams[settled..].iter().filter(from_a).map(|(_, d)| d.clone()));
                    settled = pair.datagrams.len();
                }
                Move::Ask => {
                    // Whether it arrives depends on the NAT; A's answer is new as well.
                    let before = pair.datagrams.len();
                    pair.b.endpoint.rekey(pair.now, PEER).expect("begins");
                    pair.settle(Duration::from_millis(500));
                    if pair.datagrams[before..].iter().any(|(way, _)| *way == Direction::AtoB) {
                        expected = pair.link.translate(pair.now, Direction::AtoB, on_4500).expect("passes").remote;
                    }
                }
                Move::Replay(which, ip, port) => {
                    let path = Path { interface: 0, local: (B, 4500).into(), remote: (IpAddr::from(ip), port).into() };
                    let old: &Vec<u8> = which.get(&heard);
                    let _ = give(&mut pair, path, old);
                    pair.link.cut = true;
                    pair.drain();
                    pair.link.cut = false;
                    settled = pair.datagrams.len();
                }
            }
            prop_assert_eq!(peer_of(&pair.b), expected, "{}", pair.trace);
            prop_assert_eq!(peer_of(&pair.a), (B, 4500).into());
        }
    }
}
