//! The two ends, who is behind them, and what DNS says of those.

use std::net::{IpAddr, Ipv4Addr};

use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::{Action, Level, PolicyId};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, A_KEY, B, B_KEY, leak_all, pinned, public, published};
use host_tests::stage::LONG;
use host_tests::zone::signed;
use ike_core::config::{Config, IkePolicy, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::pad::{Claim, Gateway, Identity, Matcher, PadEntry, PeerId, PeerRecord, PublishedKey};

pub const OTHER: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);
/// A host behind B, which is its gateway.
pub const OWNER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
/// Another one.
pub const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 8));
/// A host behind A.
pub const INNER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 5));
/// Where nobody is.
pub const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));

pub fn net(address: [u8; 4], length: u8) -> AddressRange {
    AddressRange::prefix(IpAddr::from(address), length).expect("a prefix")
}

pub fn tunnel(local: AddressRange, remote: AddressRange, peer: Peer) -> IkePolicy<'static> {
    let all = |range| leak_all(vec![TrafficSelector::all(range)]);
    let action = Action::Protect { mode: Mode::Tunnel, minimum: Level::Validated };
    IkePolicy { local: all(local), remote: all(remote), action, peer, pfs: false }
}

/// A, with this entry for whoever is far away, and a network behind it.
pub fn near(entry: PadEntry<'static>, peer: Peer) -> Config<'static> {
    let mut a = parties::a();
    a.pad = leak_all(vec![entry]);
    a.policies = leak_all(vec![tunnel(net([10, 1, 0, 0], 16), net([0; 4], 0), peer)]);
    a
}

/// By its name.
pub fn by_name() -> Config<'static> {
    near(published(Matcher::Exact(Identity::Fqdn("far.example"))), Peer::Entry(PeerId(0)))
}

/// By its address, in the reverse tree.
pub fn by_address() -> Config<'static> {
    near(published(Matcher::Addresses(net([198, 51, 100, 0], 24))), Peer::Any)
}

/// B, the gateway of a whole network, which takes A by its name.
pub fn gateway() -> Config<'static> {
    let mut b = parties::b();
    let claim = Claim::Ranges(leak_all(vec![net([10, 1, 0, 0], 16)]));
    b.pad = leak_all(vec![PadEntry { claim, ..published(Matcher::Suffix(".example")) }]);
    b.policies = leak_all(vec![tunnel(net([198, 51, 100, 0], 24), net([10, 1, 0, 0], 16), Peer::Any)]);
    b
}

/// B, which knows A by its key and begins for whoever is behind it.
pub fn caller() -> Config<'static> {
    let mut b = gateway();
    let claim = Claim::Ranges(leak_all(vec![net([10, 1, 0, 0], 16)]));
    b.pad = leak_all(vec![PadEntry { claim, ..pinned("a.example", &A_KEY, A) }]);
    b.policies = leak_all(vec![IkePolicy { peer: Peer::Entry(PeerId(0)), ..b.policies[0] }]);
    b
}

/// The same for anybody at all.
pub fn caller_for_all() -> Config<'static> {
    let mut b = caller();
    b.policies = leak_all(vec![tunnel(net([0; 4], 0), net([10, 1, 0, 0], 16), Peer::Entry(PeerId(0)))]);
    b
}

/// The keys of an owner, each at a gateway.
pub fn at(gateways: &[(Gateway, &PrivateKey)], addresses: &[IpAddr]) -> PeerRecord {
    let published =
        |(gateway, key): &(Gateway, &PrivateKey)| PublishedKey::Whole { key: public(key), gateway: *gateway };
    PeerRecord { keys: gateways.iter().map(published).collect(), ..signed(&[], addresses) }
}

/// B is the gateway of `far.example` and of its address.
pub fn pair(a: Config<'static>) -> Pair {
    pair_with(a, gateway())
}

/// The same with a configuration of its own for B.
pub fn pair_with(a: Config<'static>, b: Config<'static>) -> Pair {
    let mut pair = Pair::new(a, b, 1);
    pair.zone.publish("a.example", signed(&[&A_KEY], &[A]));
    pair.zone.publish("far.example", at(&[(Gateway::Address(B), &B_KEY)], &[OWNER]));
    pair.zone.publish("198.51.100.7", at(&[(Gateway::Address(B), &B_KEY)], &[]));
    pair
}

fn packet(source: IpAddr, destination: IpAddr) -> Selectors {
    Selectors { source, destination, protocol: 17, ports: Ports::Known { source: 1, destination: 2 } }
}

/// A packet from behind A to this address, and what follows.
pub fn send(pair: &mut Pair, destination: IpAddr) {
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet(INNER, destination)).expect("begins");
    pair.settle(LONG);
}

/// A packet of somebody behind B to whoever is behind A, so that B begins, and what follows.
pub fn call(pair: &mut Pair, source: IpAddr) {
    begin(pair, source);
    pair.settle(LONG);
}

/// The same without what follows.
pub fn begin(pair: &mut Pair, source: IpAddr) {
    pair.b.endpoint.acquire(pair.now, PolicyId(0), packet(source, INNER)).expect("begins");
}

pub fn single(address: IpAddr) -> [AddressRange; 1] {
    [AddressRange::single(address)]
}

/// The far sides of A's Child SAs.
pub fn far_sides(pair: &Pair) -> Vec<AddressRange> {
    let children = pair.a.children().into_iter();
    children.flat_map(|child| child.remote_ts.iter().map(|ts| ts.addresses).collect::<Vec<_>>()).collect()
}
