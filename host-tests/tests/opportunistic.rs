//! Ends that know nothing of each other (RFC 7619, RFC 5386), in the places where peers meet: over IPv6, behind a NAT,
//! from two addresses, for one port; and SAs with nobody, replaced before their time.

use std::net::IpAddr;

use esp_engine::selector::{AddressRange, PortRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::{Level, PolicyId};
use host_tests::nat_box::NatBox;
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A, A_KEY, B, B_KEY, BTNS, between, leak_all};
use host_tests::stage::LONG;
use ike_core::config::{Config, IkePolicy, Local, Peer};
use ike_core::pad::{Authentication, PadEntry, PeerId};

const NULL: PadEntry<'static> = PadEntry { authentication: Authentication::Null, ..BTNS };
const UDP: u8 = 17;

/// Takes anyone from nobody on, and protects all traffic between these addresses.
fn party(own: IpAddr, peer: IpAddr, entry: PadEntry<'static>) -> Config<'static> {
    let (name, key) = if own < peer { ("a.example", A_KEY) } else { ("b.example", B_KEY) };
    let mut config = parties::config(name, key, own, vec![entry], peer);
    config.policies = leak_all(vec![between(own, peer, Level::Null, Peer::Any)]);
    config
}

fn pair(own: IpAddr, peer: IpAddr, entry: PadEntry<'static>) -> Pair {
    Pair::new(party(own, peer, entry), party(peer, own, entry), 1)
}

/// A packet of A's to this port of B's wants an SA.
fn call(pair: &mut Pair, (source, destination): (IpAddr, IpAddr), port: u16) {
    let ports = Ports::Known { source: 4_000, destination: port };
    let packet = Selectors { source, destination, protocol: UDP, ports };
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet).expect("begins");
    pair.settle(LONG);
}

fn levels(side: &Side) -> Vec<Level> {
    side.endpoint.status().filter_map(|sa| sa.level).collect()
}

/// RFC 7296 §2.8: successors of either kind, begun by either end, are as much nobody's as what they replace.
#[test]
fn sa_of_nobody_is_replaced() {
    for (entry, level) in [(NULL, Level::Null), (BTNS, Level::Any)] {
        let mut pair = pair(A, B, entry);
        call(&mut pair, (A, B), 7);
        for by_a in [true, false] {
            let now = pair.now;
            let side = if by_a { &mut pair.a } else { &mut pair.b };
            let before = side.installed[0].inbound;
            side.endpoint.rekey(now, PeerId(0)).expect("it stands");
            pair.settle(LONG);
            let side = if by_a { &mut pair.a } else { &mut pair.b };
            assert_ne!(side.installed[0].inbound, before);
            let ike = side.endpoint.status().next().expect("it stands").spis;
            side.endpoint.rekey_ike_sas(pair.now, PeerId(0));
            pair.settle(LONG);
            let side = if by_a { &pair.a } else { &pair.b };
            assert_ne!(side.endpoint.status().next().expect("it stands").spis, ike);
            assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
            assert_eq!((levels(&pair.a), levels(&pair.b)), (vec![level], vec![level]));
        }
    }
}

#[test]
fn ipv6_as_ipv4() {
    let [a, b] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().expect("an address"));
    for (entry, level) in [(NULL, Level::Null), (BTNS, Level::Any)] {
        let mut pair = pair(a, b, entry);
        call(&mut pair, (a, b), 7);
        assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
        assert_eq!((levels(&pair.a), levels(&pair.b)), (vec![level], vec![level]));
    }
}

/// RFC 7296 §2.23, §2.23.1: whoever is behind a NAT is known by the NAT's address, and speaks for that alone.
#[test]
fn stranger_behind_a_nat() {
    let outside = IpAddr::from([203, 0, 113, 7]);
    for (entry, level) in [(NULL, Level::Null), (BTNS, Level::Any)] {
        let mut b = party(B, A, entry);
        b.policies = leak_all(vec![between(B, outside, Level::Null, Peer::Any)]);
        let mut pair = Pair::new(party(A, B, entry), b, 1);
        pair.link.nat_of_a = Some(NatBox::dynamic(outside));
        call(&mut pair, (A, B), 7);
        let [at_a, at_b] = [&pair.a, &pair.b].map(|side| side.installed.first().expect("an SA"));
        assert_eq!((at_a.inbound, at_a.outbound), (at_b.outbound, at_b.inbound), "{}", pair.trace);
        assert_eq!((levels(&pair.a), levels(&pair.b)), (vec![level], vec![level]));
        let only = AddressRange::single(outside);
        assert!(pair.b.installed[0].remote_ts.iter().all(|ts| ts.addresses == only), "{}", pair.trace);
    }
}

/// RFC 4301 §4.4.1: SAs are between addresses; each of two has its own, with an IKE SA of its own where nobody is.
#[test]
fn each_of_two_addresses_has_its_own() {
    let other = IpAddr::from([192, 0, 2, 11]);
    for entry in [NULL, BTNS] {
        let mut a = party(A, B, entry);
        let mut b = party(B, A, entry);
        a.local = leak_all([A, other].map(|address| Local { interface: 0, address }).to_vec());
        let both = [A, other].map(|address| TrafficSelector::all(AddressRange::single(address))).to_vec();
        a.policies = leak_all(vec![IkePolicy {
            local: leak_all(both.clone()),
            ..between(A, B, Level::Null, Peer::Any)
        }]);
        b.policies =
            leak_all(vec![IkePolicy { remote: leak_all(both), ..between(B, A, Level::Null, Peer::Any) }]);
        let mut pair = Pair::new(a, b, 1);
        call(&mut pair, (A, B), 7);
        call(&mut pair, (other, B), 7);
        assert!(pair.agree(), "{}", pair.trace);
        let mut ours: Vec<_> = pair.b.installed.iter().map(|child| child.remote_ts[0].addresses).collect();
        ours.sort_by_key(|range| range.first());
        assert_eq!(ours, [A, other].map(AddressRange::single), "{}", pair.trace);
    }
}

/// RFC 7296 §2.9: a policy for one port makes an SA for that port, whichever end has it.
#[test]
fn policy_for_one_port() {
    let narrowed = |own: IpAddr, peer: IpAddr, is_served: bool| {
        let mut config = party(own, peer, NULL);
        let policy = config.policies[0];
        let only = |side: &[TrafficSelector], ports| {
            leak_all(side.iter().map(|ts| TrafficSelector { protocol: UDP, ports, ..*ts }).collect())
        };
        let (local, remote) = match is_served {
            true => (PortRange::single(7), PortRange::ANY),
            false => (PortRange::ANY, PortRange::single(7)),
        };
        let (local, remote) = (only(policy.local, local), only(policy.remote, remote));
        config.policies = leak_all(vec![IkePolicy { local, remote, ..policy }]);
        config
    };
    let mut pair = Pair::new(narrowed(A, B, false), narrowed(B, A, true), 1);
    call(&mut pair, (A, B), 7);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let child = &pair.a.installed[0];
    assert_eq!((child.remote_ts[0].ports, child.remote_ts[0].protocol), (PortRange::single(7), UDP));
    assert_eq!(pair.b.installed[0].local_ts[0].ports, PortRange::single(7));
}
