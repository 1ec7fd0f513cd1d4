//! Two parties for tests: names, addresses, keys, and configurations with which they know each other.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::{Action, Level};
use ike_core::config::{Config, IkePolicy, Local, Peer, Suite, Timing};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, PrivateKey, PublicKey, Signer};
use ike_core::pad::{Authentication, Claim, Identity, Matcher, PadEntry, PeerId, Published};

/// Address of A.
pub const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Address of B.
pub const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
/// A's key.
pub const A_KEY: PrivateKey = PrivateKey::Ed25519([0xA1; 32]);
/// B's key.
pub const B_KEY: PrivateKey = PrivateKey::Ed25519([0xB2; 32]);
/// The entry that each party has for the other.
pub const PEER: PeerId = PeerId(0);

/// The public half of a key.
pub fn public(key: &PrivateKey) -> PublicKey {
    Software.signer(key).expect("a key").public_key()
}

/// SHA-256 of the SubjectPublicKeyInfo.
pub fn fingerprint(key: &PrivateKey) -> [u8; 32] {
    Software.sha256(&[&ike_core::wire::spki::encode(&public(key))])
}

/// Anything that lives as long as the test process.
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Any number of them.
pub fn leak_all<T>(values: Vec<T>) -> &'static [T] {
    Box::leak(values.into_boxed_slice())
}

/// An entry for somebody with this name and key.
pub fn pinned(name: &'static str, key: &PrivateKey, address: IpAddr) -> PadEntry<'static> {
    PadEntry {
        matcher: Matcher::Exact(Identity::Fqdn(name)),
        authentication: Authentication::Pinned(leak_all(vec![public(key)])),
        claim: Claim::OwnAddress,
        address: Some((address, 500).into()),
        send_key: false,
        childless: false,
        ppk: None,
    }
}

/// An entry for somebody whose keys are in DNS.
pub fn published(matcher: Matcher<'static>) -> PadEntry<'static> {
    PadEntry {
        matcher,
        authentication: Authentication::Dns(Published::default()),
        address: None,
        send_key: true,
        ..BTNS
    }
}

/// The wildcard.
pub const BTNS: PadEntry<'static> = PadEntry {
    matcher: Matcher::Any,
    authentication: Authentication::Btns,
    claim: Claim::OwnAddress,
    address: None,
    send_key: false,
    childless: false,
    ppk: None,
};

/// The wildcard that remembers.
pub const FIRST_USE: PadEntry<'static> =
    PadEntry { authentication: Authentication::FirstUse { replace_after: Duration::ZERO }, ..BTNS };

/// A policy for all traffic between two hosts.
pub fn between(local: IpAddr, remote: IpAddr, minimum: Level, peer: Peer) -> IkePolicy<'static> {
    let all = |address| leak_all(vec![TrafficSelector::all(AddressRange::single(address))]);
    let action = Action::Protect { mode: Mode::Transport, minimum };
    IkePolicy { local: all(local), remote: all(remote), action, peer, pfs: false }
}

/// A, which pins B's key and protects all traffic with it in transport mode.
pub fn a() -> Config<'static> {
    config("a.example", A_KEY, A, vec![pinned("b.example", &B_KEY, B)], B)
}

/// B, likewise.
pub fn b() -> Config<'static> {
    config("b.example", B_KEY, B, vec![pinned("a.example", &A_KEY, A)], A)
}

/// A party with one policy for the first entry of its PAD.
pub fn config(
    name: &'static str,
    key: PrivateKey,
    own: IpAddr,
    pad: Vec<PadEntry<'static>>,
    peer: IpAddr,
) -> Config<'static> {
    Config {
        identity: Identity::Fqdn(name),
        key: Some(key),
        pad: leak_all(pad),
        policies: leak_all(vec![between(own, peer, Level::Pinned, Peer::Entry(PEER))]),
        suites: &[Suite::FAST_SOFTWARE],
        local: leak_all(vec![Local { interface: 0, address: own }]),
        timing: Timing::DEFAULT,
        force_encapsulation: false,
        mobike: false,
    }
}

/// Gives a party, in place of its policy, one for each of these protocols.
pub fn by_protocol(config: &mut Config<'static>, protocols: &[u8]) {
    let policy = config.policies[0];
    let only = |selectors: &[TrafficSelector], protocol| {
        leak_all(selectors.iter().map(|ts| TrafficSelector { protocol, ..*ts }).collect())
    };
    let narrowed = |protocol: &u8| IkePolicy {
        local: only(policy.local, *protocol),
        remote: only(policy.remote, *protocol),
        ..policy
    };
    config.policies = leak_all(protocols.iter().map(narrowed).collect());
}

/// A and B as strangers: each has the wildcard only, and a policy that takes anybody.
pub fn strangers() -> (Config<'static>, Config<'static>) {
    let stranger = |mut config: Config<'static>, own, peer| {
        config.pad = leak_all(vec![BTNS]);
        config.policies = leak_all(vec![between(own, peer, Level::Any, Peer::Any)]);
        config
    };
    (stranger(a(), A, B), stranger(b(), B, A))
}

/// Gives both parties this secret instead of keys.
pub fn share(config: &mut Config<'static>, secret: &'static [u8]) {
    let mut entry = config.pad[0];
    entry.authentication = Authentication::SharedKey(secret);
    config.pad = leak_all(vec![entry]);
    let mut policy = config.policies[0];
    policy.action = Action::Protect { mode: Mode::Transport, minimum: Level::Shared };
    config.policies = leak_all(vec![policy]);
}

/// Pins this key in the first entry, as another backend than [`Software`] makes it.
pub fn pin_with<C: Crypto>(crypto: C, config: &mut Config<'static>, key: &PrivateKey) {
    let mut entry = config.pad[0];
    let public = crypto.signer(key).expect("a key").public_key();
    entry.authentication = Authentication::Pinned(leak_all(vec![public]));
    config.pad = leak_all(vec![entry]);
}

/// Makes the policy one of tunnel mode between two networks behind the ends: 10.x.0.0/16 with x from
/// the last octet of each end's address.
pub fn make_tunnel(config: &mut Config<'static>, own: IpAddr, peer: IpAddr) {
    let network = |end: IpAddr| {
        let last = if let IpAddr::V4(end) = end { end.octets()[3] } else { 0 };
        AddressRange::prefix(IpAddr::from([10, last, 0, 0]), 16).expect("a prefix")
    };
    let mut policy = config.policies[0];
    policy.local = leak_all(vec![TrafficSelector::all(network(own))]);
    policy.remote = leak_all(vec![TrafficSelector::all(network(peer))]);
    policy.action = Action::Protect { mode: Mode::Tunnel, minimum: Level::Pinned };
    config.policies = leak_all(vec![policy]);
    let mut entry = config.pad[0];
    entry.claim = Claim::Ranges(leak_all(vec![network(peer)]));
    config.pad = leak_all(vec![entry]);
}
