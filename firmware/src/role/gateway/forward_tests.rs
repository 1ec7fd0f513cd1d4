use std::vec::Vec as List;

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, RawKey};
use esp_engine::resources::Resources;
use esp_engine::sa::{ChildSa, KeyPair, Lifetime, Mode, PeerKey, Spi};
use esp_engine::selector::TrafficSelector;
use esp_engine::spd::Level;
use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, Ipv4Packet, Ipv6Packet};

use super::super::icmp::tests::packet;
use super::*;
use crate::config::check::tests::{gateway, prefix};
use crate::config::policies::MAX_SPD;
use crate::network::{self, DataPath};

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
    let forwarding = Forwarding::new(config, [port(0), port(1)], &engine, &shared, &local, &mut tables);
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
            remote_ts: all(&policy.remote),
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
        core::mem::swap(&mut policy.local, &mut policy.remote);
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

#[test]
fn protected_packets_leave_sealed_and_reach_the_other_side() {
    let config = gateway();
    for v4 in [true, false] {
        with_bench(&config, |mut near| {
            let n = usize::from(!v4);
            near.install(&config, n, 0x8000_0000 + n as u32);
            let left = near.pass(INSIDE, &from_inside(v4, 64));
            let [(OUTSIDE, frame)] = &left[..] else { panic!("{left:?}") };
            assert_eq!((&frame[..6], &frame[6..12]), (&PEER[..], &OUR_OUTSIDE[..]));
            let mut sealed = frame[link::HEADER..].to_vec();
            far_end(&config, |far| {
                let Inbound::Deliver(clear) = far.engine.borrow_mut().inbound(far.now, &mut sealed) else {
                    panic!()
                };
                assert_eq!(sealed[clear], from_inside(v4, 63), "one hop spent, nothing else changed");
            });
        });
    }
}

#[test]
fn what_the_peer_sealed_reaches_the_host_behind_us() {
    let config = gateway();
    for v4 in [true, false] {
        let sealed = sealed_by_peer(&config, v4);
        with_bench(&config, |mut near| {
            let n = usize::from(!v4);
            near.install(&config, n, 0x8000_0000 + n as u32);
            let left = near.pass(OUTSIDE, &sealed);
            let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
            assert_eq!((&frame[..6], &frame[6..12]), (&HOST[..], &OUR_INSIDE[..]));
            assert!(frame.ends_with(MARKER));
            assert_eq!(near.pass(OUTSIDE, &sealed), [], "a replay does not");
        });
    }
}

/// RFC 4301 §5.2: a clear packet of a flow that policy protects.
#[test]
fn clear_packets_of_protected_flows_do_not_get_in() {
    let config = gateway();
    with_bench(&config, |mut near| {
        for (from, to) in [("10.2.0.1", "10.1.0.2"), ("fd00:b::1", "fd00:a::2")] {
            assert_eq!(near.pass(OUTSIDE, &packet(from, to, UDP, 64, &datagram())), []);
        }
        let counters = near.engine.borrow().counters().clone();
        assert_eq!(counters.dropped(DropReason::ClearWherePolicyProtects), 2);
    });
}

#[test]
fn a_packet_without_its_sa_waits_and_leaves_sealed() {
    let config = gateway();
    with_bench(&config, |mut near| {
        assert_eq!(near.pass(INSIDE, &from_inside(true, 64)), []);
        assert_eq!(near.shared.counted().held, 1);
        near.install(&config, 0, 0x8000_0000);
        let left = near.left();
        assert_eq!(left.iter().map(|(port, _)| *port).collect::<List<_>>(), [OUTSIDE]);
        assert_eq!(near.left(), [], "once");
    });
}

#[test]
fn a_packet_whose_sa_is_another_waits_on() {
    let config = gateway();
    with_bench(&config, |mut near| {
        assert_eq!(near.pass(INSIDE, &from_inside(true, 64)), []);
        near.install(&config, 1, 0x8000_0001);
        assert_eq!(near.left(), []);
        near.install(&config, 0, 0x8000_0000);
        assert_eq!(near.left().len(), 1);
    });
}

#[test]
fn a_spent_hop_limit_is_told_from_the_inside_address() {
    with_bench(&gateway(), |mut near| {
        for hop_limit in [0, 1] {
            let left = near.pass(INSIDE, &from_inside(true, hop_limit));
            let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
            let ip = Ipv4Packet::new_checked(&frame[link::HEADER..]).unwrap();
            assert_eq!(
                (ip.src_addr(), ip.dst_addr()),
                ("10.1.0.1".parse().unwrap(), "10.1.0.2".parse().unwrap())
            );
            assert_eq!(
                Icmpv4Packet::new_checked(ip.payload()).unwrap().msg_type(),
                smoltcp::wire::Icmpv4Message::TimeExceeded
            );
            let left = near.pass(INSIDE, &from_inside(false, hop_limit));
            let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
            let ip = Ipv6Packet::new_checked(&frame[link::HEADER..]).unwrap();
            assert_eq!(
                Icmpv6Packet::new_checked(ip.payload()).unwrap().msg_type(),
                smoltcp::wire::Icmpv6Message::TimeExceeded
            );
        }
        assert_eq!(near.shared.counted().time_exceeded, 4);
    });
}

/// RFC 4301 §8.2.1: what no longer fits once it is sealed.
#[test]
fn too_long_packets_are_told_what_fits() {
    let config = gateway();
    with_bench(&config, |mut near| {
        near.install(&config, 0, 0x8000_0000);
        let payload = [&[3, 232, 7, 208, 5, 184, 0, 0][..], &[7; 1_456]].concat();
        let left = near.pass(INSIDE, &packet("10.1.0.2", "10.2.0.1", UDP, 64, &payload));
        let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        let icmp = &frame[link::HEADER + 20..];
        assert_eq!(icmp[..2], [3, 4]);
        let fits = u16::from_be_bytes([icmp[6], icmp[7]]);
        assert!((1_400..1_484).contains(&fits), "{fits}");
        let longest = packet("10.1.0.2", "10.2.0.1", UDP, 64, &[7; 1_484][..usize::from(fits) - 20]);
        assert_eq!(near.pass(INSIDE, &longest)[0].0, OUTSIDE, "it was true");
    });
}

#[test]
fn what_policy_forbids_is_refused_with_an_error() {
    with_bench(&gateway(), |mut near| {
        let left = near.pass(INSIDE, &packet("10.1.0.2", "198.51.100.1", UDP, 64, &datagram()));
        let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        assert_eq!(frame[link::HEADER + 20..][..2], [3, 13]);
        assert_eq!(near.shared.counted().prohibited, 1);
    });
}

#[test]
fn packets_that_no_router_passes_on_are_dropped() {
    with_bench(&gateway(), |mut near| {
        for (from, to) in
            [("10.1.0.2", "224.0.0.5"), ("10.1.0.2", "10.1.255.255"), ("10.1.0.2", "169.254.0.1")]
        {
            assert_eq!(near.pass(INSIDE, &packet(from, to, UDP, 64, &datagram())), []);
        }
        assert_eq!(near.pass(INSIDE, &packet("fd00:a::2", "fe80::1", UDP, 64, &datagram())), []);
        assert_eq!(near.shared.counted().unforwardable, 4);
        for from in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.1.0.1", "192.0.2.1"] {
            assert_eq!(near.pass(INSIDE, &packet(from, "10.2.0.1", UDP, 64, &datagram())), []);
        }
        assert_eq!(near.shared.counted().martian, 6);
        let mut damaged = from_inside(true, 64);
        damaged[10] ^= 1;
        assert_eq!(near.pass(INSIDE, &damaged), []);
        assert_eq!(near.pass(INSIDE, &[0x45, 0, 0]), []);
        assert_eq!(near.shared.counted().malformed, 2);
    });
}

/// Policy bypasses IKE of our own addresses only.
#[test]
fn ike_is_let_in_for_us_and_not_through_to_others() {
    with_bench(&gateway(), |mut near| {
        let mut ike = List::from([0x11, 0x94, 0x11, 0x94, 0, 40, 0, 0]);
        ike.resize(40, 0);
        assert_eq!(near.pass(OUTSIDE, &packet("192.0.2.2", "10.1.0.2", UDP, 64, &ike)), []);
        assert_eq!(near.engine.borrow().counters().dropped(DropReason::NoPolicy), 1);
        assert_eq!(near.pass(OUTSIDE, &packet("192.0.2.2", "192.0.2.1", UDP, 64, &ike)), []);
        let mut cx = core::task::Context::from_waker(core::task::Waker::noop());
        let mut stack = super::super::local::LocalDriver { local: near.local, mtu: 1_400 };
        assert!(embassy_net_driver::Driver::receive(&mut stack, &mut cx).is_some(), "ours goes to the stack");
    });
}

#[test]
fn the_inside_address_answers_echo_requests_and_nothing_else() {
    with_bench(&gateway(), |mut near| {
        let mut request = [8, 0, 0, 0, 1, 2, 0, 1];
        Icmpv4Packet::new_unchecked(&mut request[..]).fill_checksum();
        let left = near.pass(INSIDE, &packet("10.1.0.2", "10.1.0.1", 1, 64, &request));
        let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        assert_eq!(frame[link::HEADER + 20], 0);
        assert_eq!(near.pass(INSIDE, &packet("10.1.0.2", "10.1.0.1", UDP, 64, &datagram())), []);
        assert_eq!(near.shared.counted().unserved, 1);
    });
}

#[test]
fn packets_of_our_own_stack_take_the_same_way() {
    let config = gateway();
    with_bench(&config, |mut near| {
        let ike = [&[1, 244, 1, 244, 0, 12, 0, 0][..], b"ike!"].concat();
        let (now, mut cable) = (near.now, Cable::default());
        near.forwarding.send_own(now, &mut packet("192.0.2.1", "192.0.2.2", UDP, 64, &ike), &mut cable);
        near.forwarding.send_own(
            now,
            &mut packet("192.0.2.1", "198.51.100.1", UDP, 64, &datagram()),
            &mut cable,
        );
        let [(OUTSIDE, frame)] = &cable.0[..] else {
            panic!("IKE leaves in clear, what no policy allows does not")
        };
        assert!(frame.ends_with(b"ike!"));
    });
}

#[test]
fn an_unknown_neighbour_is_asked_for_and_its_packet_follows() {
    let config = gateway();
    let sealed = sealed_by_peer(&config, true);
    with_bench(&config, |mut near| {
        near.install(&config, 0, 0x8000_0000);
        near.now = Instant::ZERO;
        near.forwarding.tables.neighbours = Neighbours::new();
        let left = near.pass(OUTSIDE, &sealed);
        let [(INSIDE, question)] = &left[..] else { panic!("{left:?}") };
        let asked = link::read(HOST, question);
        assert_eq!(
            asked,
            Frame::Question {
                asker: Some(("10.1.0.1".parse().unwrap(), OUR_INSIDE)),
                target: "10.1.0.2".parse().unwrap(),
            }
        );
        let us = Own { link: HOST, address: "10.1.0.2".parse().unwrap() };
        let mut out = [0; link::MAX_MESSAGE];
        let asker = Some(("10.1.0.1".parse().unwrap(), OUR_INSIDE));
        let mut answer = link::answer(us, asker, &mut out).unwrap().to_vec();
        near.arrive(INSIDE, &mut answer);
        let left = near.left();
        let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        assert!(frame.ends_with(MARKER));
    });
}

/// Sealed before its neighbour is known: it waits sealed.
#[test]
fn a_sealed_packet_waits_for_the_way_to_the_peer() {
    let config = gateway();
    with_bench(&config, |mut near| {
        near.install(&config, 0, 0x8000_0000);
        near.forwarding.tables.neighbours = Neighbours::new();
        let left = near.pass(INSIDE, &from_inside(true, 64));
        let [(OUTSIDE, question)] = &left[..] else { panic!("{left:?}") };
        let Frame::Question { target, .. } = link::read(PEER, question) else { panic!() };
        assert_eq!(target, "192.0.2.2".parse::<IpAddr>().unwrap());
        let us = Own { link: PEER, address: target };
        let mut out = [0; link::MAX_MESSAGE];
        let asker = Some(("192.0.2.1".parse().unwrap(), OUR_OUTSIDE));
        let mut answer = link::answer(us, asker, &mut out).unwrap().to_vec();
        near.arrive(OUTSIDE, &mut answer);
        let left = near.left();
        let [(OUTSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        assert_eq!(frame[link::HEADER + 9], 50, "ESP");
    });
}

#[test]
fn a_host_that_does_not_answer_is_reported_to_the_source() {
    with_bench(&gateway(), |mut near| {
        near.forwarding.routes = Routes::new(&{
            let mut config = gateway();
            config
                .routes
                .push(crate::config::Route { to: prefix("10.9.0.0/16"), via: "10.1.0.9".parse().unwrap() })
                .unwrap();
            config
        });
        let lost = packet("10.1.0.2", "10.9.0.1", UDP, 64, &datagram());
        assert_eq!(near.pass(INSIDE, &lost).len(), 1, "the first question");
        let mut errors = 0;
        for second in 1..=3 {
            near.now = Instant::from_millis(second * 1_000);
            for (_, frame) in near.left() {
                errors += u32::from(frame[12..14] == [8, 0] && frame[link::HEADER + 20..][..2] == [3, 1]);
            }
        }
        assert_eq!((errors, near.shared.counted().host_unreachable), (1, 1));
    });
}

#[test]
fn hostile_frames_do_no_harm() {
    let config = gateway();
    with_bench(&config, |mut near| {
        near.install(&config, 0, 0x8000_0000);
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let seeds = [from_inside(true, 64), from_inside(false, 64), sealed_by_peer(&config, true)];
        for round in 0..20_000 {
            let mut frame = [&[0; link::HEADER][..], &seeds[round % 3]].concat();
            let port = (round % 2) as u8;
            link::address(&mut frame, PEER, if port == OUTSIDE { OUR_OUTSIDE } else { OUR_INSIDE });
            for _ in 0..random() % 6 {
                let at = usize::from(random()) % frame.len();
                frame[at] = random();
            }
            frame.truncate(frame.len() - usize::from(random()) % 9 * usize::from(random() % 2));
            near.now = Instant::from_millis(round as u64);
            near.arrive(port, &mut frame);
            near.left();
        }
    });
}
