use std::vec::Vec as List;

use esp_engine::counters::DropReason;
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, RawKey};
use esp_engine::engine::Outbound;
use esp_engine::resources::Resources;
use esp_engine::sa::{ChildSa, KeyPair, Lifetime, Mode, PeerKey, Spi};
use esp_engine::selector::TrafficSelector;
use esp_engine::spd::Level;
use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, Ipv4Packet, Ipv6Packet};

use super::super::icmp::tests::packet;
use super::super::link::Own;
use super::*;
use crate::config::check::tests::{gateway, prefix};
use crate::config::policies::MAX_SPD;
use crate::config::{Policy, Prefix, Remote};
use crate::network::{self, DataPath};

mod neighbours;
mod passage;
mod refusal;

const OUR_OUTSIDE: LinkAddress = [2, 0, 0, 0, 1, 0];
const OUR_INSIDE: LinkAddress = [2, 0, 0, 0, 1, 1];
/// The peer at 192.0.2.2 and 2001:db8::2.
const PEER: LinkAddress = [2, 0, 0, 0, 2, 0];
/// The host at 10.1.0.2 and fd00:a::2.
const HOST: LinkAddress = [2, 0, 0, 0, 2, 1];
const MARKER: &[u8] = b"only in clear text";
const UDP: u8 = 17;

type Memory = Resources<SoftwareCipher, MAX_SPD, 4, 2>;

/// Frames that left, by port.
#[derive(Default)]
struct Cable(List<(u8, List<u8>)>);

impl Wire for Cable {
    fn send(&mut self, port: u8, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        let mut frame = std::vec![0; length];
        fill(&mut frame);
        self.0.push((port, frame));
        true
    }
}

/// A gateway with its cables, in virtual time.
struct Bench<'a, 'r> {
    forwarding: Forwarding<'a, 'r, SoftwareCipher>,
    engine: &'a RefCell<Engine<'r, SoftwareCipher>>,
    shared: &'a Shared,
    local: &'a Local,
    reassembly: Reassembly,
    cable: Cable,
    now: Instant,
}

/// A gateway whose neighbours are known.
fn with_bench(config: &Config, test: impl FnOnce(Bench<'_, '_>)) {
    with_device(config, [OUR_OUTSIDE, OUR_INSIDE], |mut bench| {
        bench.introduce();
        test(bench);
    });
}

fn with_device(config: &Config, links: [LinkAddress; 2], test: impl FnOnce(Bench<'_, '_>)) {
    assert_eq!(config.check(), Ok(()));
    let mut memory = Memory::new();
    let engine = RefCell::new(network::engine(config, &mut memory, 1_500));
    let (shared, local, mut tables) = (Shared::new(), Local::new(), Tables::new());
    let port =
        |n: usize| Port { link: links[n], mtu: 1_500, addresses: config.interfaces[n].addresses.clone() };
    let forwarding =
        Forwarding::new(config, [port(0), port(1)], &engine, &shared, (&local, None), &mut tables);
    test(Bench {
        forwarding,
        engine: &engine,
        shared: &shared,
        local: &local,
        reassembly: Reassembly::new(),
        cable: Cable::default(),
        now: Instant::ZERO,
    });
}

impl Bench<'_, '_> {
    /// Both neighbours ask for us, so that they are known.
    fn introduce(&mut self) {
        for (port, from, address, target) in [
            (OUTSIDE, PEER, "192.0.2.2", "192.0.2.1"),
            (OUTSIDE, PEER, "2001:db8::2", "2001:db8::1"),
            (INSIDE, HOST, "10.1.0.2", "10.1.0.1"),
            (INSIDE, HOST, "fd00:a::2", "fd00:a::1"),
        ] {
            let us = Own { link: from, address: address.parse().unwrap() };
            let mut out = [0; link::MAX_MESSAGE];
            let mut frame = link::question(us, target.parse().unwrap(), &mut out).unwrap().to_vec();
            self.arrive(port, &mut frame);
        }
        assert_eq!(self.cable.0.len(), 4, "each was answered");
        self.cable.0.clear();
    }

    fn arrive(&mut self, port: u8, frame: &mut [u8]) {
        self.forwarding.arrive(self.now, port, &mut self.reassembly, frame, &mut self.cable);
    }

    /// A packet arrives; what left because of it.
    fn pass(&mut self, port: u8, packet: &[u8]) -> List<(u8, List<u8>)> {
        let (from, to) = if port == OUTSIDE { (PEER, OUR_OUTSIDE) } else { (HOST, OUR_INSIDE) };
        let mut frame = [&[0; link::HEADER][..], packet].concat();
        link::address(&mut frame, from, to);
        self.arrive(port, &mut frame);
        self.left()
    }

    fn left(&mut self) -> List<(u8, List<u8>)> {
        self.forwarding.attend(self.now, &mut self.cable);
        let left = core::mem::take(&mut self.cable.0);
        for (port, frame) in &left {
            let clear = frame.windows(MARKER.len()).any(|window| window == MARKER);
            assert!(*port == INSIDE || !clear, "protected text leaves in clear");
        }
        left
    }

    /// Installs the pair for policy `n` of the operator, as if agreed on with the peer.
    fn install(&mut self, config: &Config, n: usize, spi: u32) {
        let all = |prefix: &Prefix| [TrafficSelector::all(prefix.range().unwrap())].into_iter().collect();
        let policy = &config.policies[n];
        let v4 = policy.local.address.is_ipv4();
        let local =
            config.interfaces[0].addresses.iter().find(|own| own.address.is_ipv4() == v4).unwrap().address;
        let remote = config.routes.iter().find(|route| route.via.is_ipv4() == v4).unwrap().via;
        let child = ChildSa {
            policy: config.policy_id(n),
            inbound: Spi::new(spi).unwrap(),
            outbound: Spi::new(spi).unwrap(),
            mode: Mode::Tunnel,
            local,
            remote,
            encapsulation: None,
            extended_sequence: false,
            local_ts: all(&policy.local),
            remote_ts: all(&network(policy)),
            lifetime: Lifetime::default(),
            level: Level::Pinned,
            peer: PeerKey([7; 32]),
            may_send: true,
            keys: KeyPair { inbound: key(), outbound: key() },
        };
        self.engine.borrow_mut().install(self.now, child.build().unwrap()).unwrap();
        self.shared.wake();
    }
}

fn key() -> RawKey {
    RawKey::new(Algorithm::Aes128Gcm16, &[9; 20]).unwrap()
}

/// UDP ports 1000 to 2000, without checksum, with the marker.
fn datagram() -> List<u8> {
    [&[3, 232, 7, 208, 0, 8 + MARKER.len() as u8, 0, 0][..], MARKER].concat()
}

fn from_inside(v4: bool, hop_limit: u8) -> List<u8> {
    let (from, to) = if v4 { ("10.1.0.2", "10.2.0.1") } else { ("fd00:a::2", "fd00:b::1") };
    packet(from, to, UDP, hop_limit, &datagram())
}

fn network(policy: &Policy) -> Prefix {
    match policy.remote {
        Remote::Network(network) => network,
        Remote::Peer => panic!("no peer by name here"),
    }
}

/// The peer with both its SAs.
fn far_end(config: &Config, test: impl FnOnce(&mut Bench<'_, '_>)) {
    let mut far = config.clone();
    far.interfaces[0].addresses = ["192.0.2.2/24", "2001:db8::2/64"].map(prefix).into_iter().collect();
    far.interfaces[1].addresses = ["10.2.0.254/16", "fd00:b::fe/64"].map(prefix).into_iter().collect();
    for route in &mut far.routes {
        route.via = if route.via.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" }.parse().unwrap();
    }
    far.peers[0].address = "192.0.2.1".parse().ok();
    far.peers[0].ranges = config.policies.iter().map(|policy| policy.local).collect();
    for policy in &mut far.policies {
        let remote = network(policy);
        policy.remote = core::mem::replace(&mut policy.local, remote).into();
    }
    with_device(&far, [PEER, HOST], |mut bench| {
        for n in 0..2 {
            bench.install(&far, n, 0x8000_0000 + n as u32);
        }
        test(&mut bench);
    });
}

/// A packet from the far network to the near one, as the peer seals it.
fn sealed_by_peer(config: &Config, v4: bool) -> List<u8> {
    let (from, to) = if v4 { ("10.2.0.1", "10.1.0.2") } else { ("fd00:b::1", "fd00:a::2") };
    let clear = packet(from, to, UDP, 64, &datagram());
    let mut sealed = List::new();
    far_end(config, |far| {
        let outbound = far.engine.borrow_mut().outbound(far.now, &clear);
        let Outbound::Seal(seal) = outbound else { panic!("{outbound:?}") };
        sealed.resize(seal.length(), 0);
        far.engine.borrow_mut().seal(seal, &clear, &mut sealed).unwrap();
    });
    sealed
}
