//! Transport mode through NATs and several clients behind one (RFC 7296 §2.23.1, RFC 3948 §5).

use std::net::{IpAddr, Ipv4Addr};

use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, PortRange, TrafficSelector};
use esp_engine::spd::{Action, Level};
use host_tests::nat_box::NatBox;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, A_KEY, B, PEER, leak_all};
use host_tests::stage::LONG;
use ike_core::config::{Config, IkePolicy, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::error::FailReason;
use ike_core::pad::Claim;

/// What B sees of the NAT in front of A.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
/// What A sees of the NAT in front of B.
const OUTSIDE_B: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
/// The key of another client behind A's NAT.
const C_KEY: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);

fn all(address: IpAddr) -> TrafficSelector {
    TrafficSelector::all(AddressRange::single(address))
}

/// A and B, each behind a NAT of its own; what each protects is between the addresses that it sees.
fn both_behind_nats() -> Pair {
    let (mut a, mut b) = (parties::a(), parties::b());
    let mut entry = a.pad[0];
    entry.address = Some((OUTSIDE_B, 500).into());
    a.pad = leak_all(vec![entry]);
    a.policies = leak_all(vec![parties::between(A, OUTSIDE_B, Level::Pinned, Peer::Entry(PEER))]);
    b.policies = leak_all(vec![parties::between(B, OUTSIDE, Level::Pinned, Peer::Entry(PEER))]);
    let mut pair = Pair::new(a, b, 1);
    pair.link.nat_of_a = Some(NatBox::dynamic(OUTSIDE));
    pair.link.nat_of_b = Some(NatBox::forwarding(OUTSIDE_B, B));
    pair
}

/// RFC 7296 §2.23.1: the whole scenario of the section. Each end has an SA between the addresses that
/// its own stack sees.
#[test]
fn both_ends_behind_nats() {
    let mut pair = both_behind_nats();
    pair.initiate();
    pair.settle(LONG);
    let ([at_a], [at_b]) = (&pair.a.installed[..], &pair.b.installed[..]) else { panic!("{}", pair.trace) };
    assert_eq!((at_a.local_ts[0], at_a.remote_ts[0]), (all(A), all(OUTSIDE_B)));
    assert_eq!((at_b.local_ts[0], at_b.remote_ts[0]), (all(B), all(OUTSIDE)));
    assert_eq!(at_a.keys.inbound, at_b.keys.outbound);
    assert!(at_a.encapsulation.is_some() && at_b.encapsulation.is_some());
}

/// RFC 7296 §2.23.1, §2.9.2: successors of either end's making have the same selectors, although the
/// two ends call each other by other addresses.
#[test]
fn successors_have_the_same_selectors() {
    for from_a in [true, false] {
        let mut pair = both_behind_nats();
        pair.initiate();
        pair.settle(LONG);
        let before = (pair.a.installed[0].clone(), pair.b.installed[0].clone());
        let side = if from_a { &mut pair.a } else { &mut pair.b };
        side.endpoint.rekey(pair.now, PEER).expect("begins");
        pair.settle(LONG);
        let ([at_a], [at_b]) = (&pair.a.installed[..], &pair.b.installed[..]) else {
            panic!("{}", pair.trace)
        };
        assert_ne!(at_a.inbound, before.0.inbound);
        assert_eq!((&at_a.local_ts, &at_a.remote_ts), (&before.0.local_ts, &before.0.remote_ts));
        assert_eq!((&at_b.local_ts, &at_b.remote_ts), (&before.1.local_ts, &before.1.remote_ts));
    }
}

/// RFC 7296 §2.23.1: "If an entry is found but it does not allow transport mode, undo the address
/// substitution and redo the SPD lookup": tunnel mode between whom the client named. A client that
/// wants transport mode only deletes that again (RFC 7296 §1.3.1).
#[test]
fn tunnel_mode_is_between_the_addresses_that_the_client_named() {
    let (a, mut b) = (parties::a(), parties::b());
    let mut entry = b.pad[0];
    entry.claim = Claim::Ranges(leak_all(vec![AddressRange::single(A)]));
    b.pad = leak_all(vec![entry]);
    let action = Action::Protect { mode: Mode::Tunnel, minimum: Level::Pinned };
    b.policies = leak_all(vec![IkePolicy { action, ..b.policies[0] }]);
    let mut pair = Pair::new(a, b, 1);
    pair.link.nat_of_a = Some(NatBox::dynamic(OUTSIDE));
    pair.initiate();
    pair.settle(LONG);
    let [child] = &pair.b.children()[..] else { panic!("{}", pair.trace) };
    assert_eq!((child.mode, child.remote_ts[0]), (Mode::Tunnel, all(A)));
    assert_eq!(pair.a.failed()[0].reason, FailReason::ModeUnacceptable);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
}

/// RFC 7296 §2.23.1: transport mode with selectors that are not the ends of IKE is none.
#[test]
fn transport_mode_for_somebody_else_is_refused() {
    let (mut a, mut b) = (parties::a(), parties::b());
    let elsewhere = IpAddr::from([192, 0, 2, 77]);
    a.policies = leak_all(vec![IkePolicy { remote: leak_all(vec![all(B)]), ..a.policies[0] }]);
    b.policies = leak_all(vec![parties::between(B, elsewhere, Level::Pinned, Peer::Entry(PEER))]);
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.failed()[0].reason, FailReason::SelectorsUnacceptable, "{}", pair.trace);
    assert!(pair.b.installed.is_empty());
}

/// B as the server of two clients behind one NAT, with one policy for both.
fn server(policy: IkePolicy<'static>, claim: Claim<'static>) -> Config<'static> {
    let client = |name, key| {
        let mut entry = parties::pinned(name, key, OUTSIDE);
        (entry.claim, entry.address) = (claim, None);
        entry
    };
    let mut b = parties::b();
    b.pad = leak_all(vec![client("a.example", &A_KEY), client("c.example", &C_KEY)]);
    b.policies = leak_all(vec![IkePolicy { peer: Peer::Any, ..policy }]);
    b
}

/// Both clients connect, one after the other; the second pair shows B as well.
fn two_clients(b: Config<'static>, clients: [(IpAddr, IkePolicy<'static>); 2]) -> (Pair, Pair) {
    let [first, second] = clients;
    let client = |name, key, (own, policy): (IpAddr, IkePolicy<'static>)| {
        let mut config = parties::config(name, key, own, parties::a().pad.to_vec(), B);
        if let Action::Protect { mode: Mode::Tunnel, .. } = policy.action {
            let mut entry = config.pad[0];
            entry.claim = Claim::Ranges(leak_all(vec![policy.remote[0].addresses]));
            config.pad = leak_all(vec![entry]);
        }
        config.policies = leak_all(vec![policy]);
        config
    };
    let nat = NatBox::dynamic(OUTSIDE);
    let mut one = Pair::new(client("a.example", A_KEY, first), b.clone(), 1);
    one.link.nat_of_a = Some(nat.clone());
    one.initiate();
    one.settle(LONG);
    assert_eq!(one.b.installed.len(), 1, "{}", one.trace);
    let mut other = Pair::new(client("c.example", C_KEY, second), b, 2);
    other.link.nat_of_a = Some(nat.from_port(30_000));
    std::mem::swap(&mut one.b, &mut other.b);
    other.now = one.now;
    other.initiate();
    other.settle(LONG);
    (one, other)
}

fn net(second: u8) -> TrafficSelector {
    TrafficSelector::all(AddressRange::prefix(IpAddr::from([10, second, 0, 0]), 16).expect("a prefix"))
}

fn tunnel(local: TrafficSelector, remote: TrafficSelector) -> IkePolicy<'static> {
    let action = Action::Protect { mode: Mode::Tunnel, minimum: Level::Pinned };
    IkePolicy {
        local: leak_all(vec![local]),
        remote: leak_all(vec![remote]),
        action,
        peer: Peer::Entry(PEER),
        pfs: false,
    }
}

/// RFC 3948 §5.1: two clients behind one NAT with the same inner addresses: the first keeps them.
#[test]
fn second_client_with_the_same_inner_addresses_is_refused() {
    let claim = Claim::Ranges(leak_all(vec![net(1).addresses]));
    let b = server(tunnel(net(2), net(1)), claim);
    let client = (A, tunnel(net(1), net(2)));
    let (first, second) = two_clients(b, [client, client]);
    assert_eq!(second.b.failed()[0].reason, FailReason::OtherKeysFlow, "{}", second.trace);
    assert_eq!(second.a.failed()[0].reason, FailReason::Refused(38));
    assert_eq!((first.a.installed.len(), second.b.installed.len()), (1, 1));
}

/// RFC 3948 §5.1: two clients behind one NAT with inner addresses of their own are both served.
#[test]
fn clients_with_other_inner_addresses_are_both_served() {
    let everybody = TrafficSelector::all(AddressRange::prefix([10, 0, 0, 0].into(), 8).expect("a prefix"));
    let b =
        server(tunnel(net(2), everybody), Claim::Ranges(leak_all(vec![net(1).addresses, net(3).addresses])));
    let elsewhere = IpAddr::from([192, 0, 2, 3]);
    let (first, second) = two_clients(b, [(A, tunnel(net(1), net(2))), (elsewhere, tunnel(net(3), net(2)))]);
    let [one, other] = &second.b.installed[..] else { panic!("{}", second.trace) };
    assert_eq!((one.remote, other.remote), (OUTSIDE, OUTSIDE));
    assert_ne!(one.encapsulation, other.encapsulation);
    assert_eq!((one.remote_ts[0], other.remote_ts[0]), (net(1), net(3)));
    assert_eq!((first.a.installed.len(), second.a.installed.len()), (1, 1));
}

/// RFC 3948 §5.2: in transport mode all clients behind a NAT look alike. One whose traffic could be
/// another's is refused, and served when it cannot.
#[test]
fn transport_mode_of_a_second_client_must_not_overlap() {
    let elsewhere = IpAddr::from([192, 0, 2, 3]);
    let b = || server(parties::between(B, OUTSIDE, Level::Pinned, Peer::Any), Claim::OwnAddress);
    let policy = |own| parties::between(own, B, Level::Pinned, Peer::Entry(PEER));
    let (_, second) = two_clients(b(), [(A, policy(A)), (elsewhere, policy(elsewhere))]);
    assert_eq!(second.b.failed()[0].reason, FailReason::OtherKeysFlow, "{}", second.trace);
    assert_eq!(second.b.installed.len(), 1);
    let on = |own, protocol| {
        let only =
            |address| leak_all(vec![TrafficSelector { protocol, ports: PortRange::ANY, ..all(address) }]);
        IkePolicy { local: only(own), remote: only(B), ..policy(own) }
    };
    let (_, second) = two_clients(b(), [(A, on(A, 6)), (elsewhere, on(elsewhere, 17))]);
    assert_eq!(second.b.installed.len(), 2, "{}", second.trace);
    assert_eq!(second.a.installed[0].local_ts[0].addresses.first(), elsewhere);
}

/// RFC 7296 §1.3.1: transport mode in an answer although tunnel mode was asked for is deleted.
#[test]
fn transport_mode_that_nobody_asked_for_is_deleted() {
    use host_tests::forge;
    use host_tests::link::Fault;
    use host_tests::stage::{give, to_a};
    use ike_core::wire::code_point::PayloadType;
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut pair = Pair::new(a, b, 1);
    pair.link.script = vec![(3, Fault::Drop)];
    pair.initiate();
    while pair.link.sent() < 4 {
        assert!(pair.step(pair.now + LONG));
    }
    let (keys, answer) = (forge::keys(&pair.a), pair.datagrams[3].1.clone());
    let forged = forge::altered(&keys, &answer, |_, mut payloads| {
        payloads.push(forge::Payload { kind: PayloadType::NOTIFY, body: vec![0, 0, 0x40, 7] });
        payloads
    });
    assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
    pair.settle(LONG);
    assert_eq!(pair.a.failed()[0].reason, FailReason::ModeUnacceptable, "{}", pair.trace);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
}
