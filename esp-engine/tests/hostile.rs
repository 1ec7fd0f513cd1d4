//! What the packet path does to packets that nobody honest sends: each is dropped under its own
//! reason, and nothing else changes.

mod common;

use common::*;
use esp_engine::counters::DropReason;
use esp_engine::crypto::Algorithm;
use esp_engine::engine::{Engine, Inbound, Outbound, Output, Settings};
use esp_engine::sa::{ChildSa, SaReport, Spi};
use esp_engine::selector::{AddressRange, PortRange, TrafficSelector};
use esp_engine::spd::{Action, Policy, Unmatched};

/// B's answer to A, as A's engine takes it.
fn answer(case: &Case) -> Vec<u8> {
    let (a, b) = case.hosts();
    udp(b, a, 1, 2, MARKER)
}

fn dropped(engine: &mut TestEngine<'_>, octets: &[u8]) -> DropReason {
    let count = |engine: &TestEngine<'_>| {
        engine.counters().early + engine.counters().drops().map(|(_, count)| count).sum::<u64>()
    };
    let before = count(engine);
    let reason = match open(engine, NOW, octets) {
        Err(Inbound::Drop(reason)) => reason,
        // Its sender has an SA here: another may be on its way.
        Err(Inbound::Early(_)) => DropReason::UnknownSpi,
        other => panic!("not dropped: {other:?}"),
    };
    assert_eq!(count(engine), before + 1, "each packet is counted once");
    reason
}

/// RFC 4303 §3.4.2.
#[test]
fn unknown_and_reserved_spis() {
    let (mut memory, mut other) = (Memory::new(), Memory::new());
    let mut a = TRANSPORT.engine_a(&mut memory, Settings::default());
    let mut b = TRANSPORT.engine_b(&mut other, Settings::default());
    let sealed = seal(&mut b, NOW, &answer(&TRANSPORT));
    for (spi, told) in
        [(0, false), (1, false), (255, false), (256, true), (A_SPI + 8, false), (A_SPI + 1, false)]
    {
        let mut packet = sealed.clone();
        packet[20..24].copy_from_slice(&u32::to_be_bytes(spi));
        assert_eq!(dropped(&mut a, &packet), DropReason::UnknownSpi, "{spi:#x}");
        let report = Output::Sa(SaReport::UnknownSpi { spi, remote: TRANSPORT.gates().1, port: None });
        let next = if told { report } else { Output::Timeout(None) };
        assert_eq!(a.poll_output(), next, "reserved ones and those within a second are not told");
    }
    assert!(open(&mut a, NOW, &sealed).is_ok());
}

/// RFC 4303 §2, §2.4: every length that cannot be: too short, or a text that ends within a block.
#[test]
fn short_esp_packets() {
    let transport = Algorithm::ALL.map(|algorithm| Case { algorithm, ..TRANSPORT });
    for case in transport.into_iter().chain([Case { encapsulated: true, ..TUNNEL }]) {
        let algorithm = case.algorithm;
        let around = 8 + algorithm.iv_length() + algorithm.icv_length();
        let block = algorithm.block_length().max(4);
        let mut memory = Memory::new();
        let mut engine = case.engine_a(&mut memory, Settings::default());
        let (a, b) = case.gates();
        let torn = (around..100).filter(|length| (length - around) % block != 0);
        for length in (0..=around).chain(torn) {
            let mut esp = [0x11; 100];
            esp[..4].copy_from_slice(&A_SPI.to_be_bytes());
            let esp = &esp[..length];
            let octets = if case.encapsulated { udp(b, a, 4500, 4500, esp) } else { packet(b, a, 50, esp) };
            assert_eq!(dropped(&mut engine, &octets), DropReason::EspLength, "{length}");
        }
    }
}

/// RFC 3948 §2: what else comes to port 4500.
#[test]
fn other_datagrams_on_the_encapsulation_port() {
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    let (a, b) = TRANSPORT.gates();
    for _ in 0..3 {
        assert_eq!(dropped(&mut engine, &udp(b, a, 4500, 4500, &[0xff])), DropReason::Keepalive);
    }
    for runt in [&[][..], &[0], &[0xff, 0xff], &[1, 2, 3]] {
        assert_eq!(dropped(&mut engine, &udp(b, a, 4500, 4500, runt)), DropReason::EspLength);
    }
}

/// RFC 4301 §4.4.1: IKE passes because a policy says so, and only where it says so. ESP on the same port
/// is ESP whatever that policy says.
#[test]
fn ike_passes_by_policy_only() {
    let (a, b) = TRANSPORT.gates();
    let ike = |to| udp(b, to, 4500, 4500, &[0, 0, 0, 0, 1, 2, 3, 4]);
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    assert_eq!(dropped(&mut engine, &ike(a)), DropReason::ClearWherePolicyProtects);

    let mut memory = Memory::new();
    let mut engine: TestEngine<'_> = Engine::new(Settings::default(), &mut memory);
    let port =
        TrafficSelector { protocol: 17, ports: PortRange::single(4500), addresses: AddressRange::single(a) };
    let bypass = Policy { local: [port].into_iter().collect(), remote: all(b), action: Action::Bypass };
    engine.add_policy(bypass).unwrap();
    assert_eq!(open(&mut engine, NOW, &ike(a)), Err(Inbound::Bypass));
    assert_eq!(dropped(&mut engine, &ike(ip("192.0.2.77"))), DropReason::NoPolicy);
    assert_eq!(dropped(&mut engine, &udp(b, a, 4500, 4500, &[1; 60])), DropReason::UnknownSpi);
}

/// RFC 4303 §3.4.3: a replay of every packet, and numbers left of the window.
#[test]
fn replays_and_late_packets() {
    for extended in [false, true] {
        let case = Case { extended, ..TRANSPORT };
        let mut memory = Memory::new();
        let mut engine = case.engine_a(&mut memory, Settings::default());
        let text = padded(&answer(&case)[20..], 17);
        let window = 64;
        assert_eq!(dropped(&mut engine, &craft(&case, 0, &text)), DropReason::ZeroSequence);
        for number in [1, 2, 70, 70 - window + 1, 71] {
            assert!(open(&mut engine, NOW, &craft(&case, number, &text)).is_ok(), "{number}");
        }
        for number in [70, 71, 70 - window + 2] {
            let seen = number != 70 - window + 2;
            let result = open(&mut engine, NOW, &craft(&case, number, &text));
            assert_eq!(result.is_err(), seen, "{number}");
        }
        assert_eq!(engine.counters().dropped(DropReason::Replayed), 2);
        if !extended {
            assert_eq!(dropped(&mut engine, &craft(&case, 71 - window, &text)), DropReason::TooOld);
        }
    }
}

/// RFC 4303 §3.4.3: the window moves only after the ICV verified.
#[test]
fn forged_number_moves_no_window() {
    for case in [TRANSPORT, Case { extended: true, ..TUNNEL }] {
        let (mut memory, mut other) = (Memory::new(), Memory::new());
        let mut a = case.engine_a(&mut memory, Settings::default());
        let mut b = case.engine_b(&mut other, Settings::default());
        let first = seal(&mut b, NOW, &answer(&case));
        let mut forged = first.clone();
        forged[24] |= 0x80;
        assert_eq!(dropped(&mut a, &forged), DropReason::Forged);
        assert_eq!(a.poll_output(), Output::Timeout(None), "nothing was received");
        assert!(open(&mut a, NOW, &first).is_ok());
    }
}

/// Every bit of an ESP packet is authenticated, or names the SA.
#[test]
fn flipped_bits() {
    for algorithm in Algorithm::ALL {
        let case = Case { algorithm, extended: true, ..TRANSPORT };
        let (mut memory, mut other) = (Memory::new(), Memory::new());
        let mut a = case.engine_a(&mut memory, Settings::default());
        let mut b = case.engine_b(&mut other, Settings::default());
        // No single bit makes the third number zero.
        let sealed: Vec<_> = (0..3).map(|_| seal(&mut b, NOW, &answer(&case))).collect();
        let sealed = &sealed[2];
        for bit in 0..(sealed.len() - 20) * 8 {
            let mut packet = sealed.clone();
            packet[20 + bit / 8] ^= 1 << (bit % 8);
            let reason = dropped(&mut a, &packet);
            let expected = if bit < 32 { DropReason::UnknownSpi } else { DropReason::Forged };
            assert_eq!(reason, expected, "bit {bit}");
        }
        assert!(open(&mut a, NOW, sealed).is_ok());
    }
}

/// RFC 4303 §3.4.1, and a header that transport mode would otherwise make good again.
#[test]
fn fragments_and_damaged_headers() {
    let (mut memory, mut other) = (Memory::new(), Memory::new());
    let mut a = TRANSPORT.engine_a(&mut memory, Settings::default());
    let mut b = TRANSPORT.engine_b(&mut other, Settings::default());
    let sealed = seal(&mut b, NOW, &answer(&TRANSPORT));
    for flags in [0x20, 0x01] {
        let mut fragment = sealed.clone();
        fragment[6] = flags;
        assert_eq!(dropped(&mut a, &fragment), DropReason::EspFragment);
    }
    let mut damaged = sealed.clone();
    damaged[8] ^= 1;
    assert_eq!(dropped(&mut a, &damaged), DropReason::BadHeaderChecksum);
}

/// RFC 4303 §2.4: the padding is looked at.
#[test]
fn wrong_padding() {
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    for (number, text) in [
        (1, &[1, 2, 3, 4, 5, 7, 2, 17][..]),
        (2, &[1, 2, 3, 4, 2, 1, 2, 17]),
        (3, &[1, 2, 7, 17]),
        (4, &[1, 2, 255, 17]),
    ] {
        assert_eq!(dropped(&mut engine, &craft(&TRANSPORT, number, text)), DropReason::BadPadding);
    }
}

/// RFC 4303 §2.4, RFC 3602 §2.4: the same for a cipher with blocks, up to the longest padding.
#[test]
fn wrong_padding_in_blocks() {
    let case = Case { algorithm: Algorithm::Aes128CbcHmacSha256, ..TRANSPORT };
    let mut memory = Memory::new();
    let mut engine = case.engine_a(&mut memory, Settings::default());
    let mut text = [0_u8; 16];
    text[14..].copy_from_slice(&[14, 59]);
    assert_eq!(dropped(&mut engine, &craft(&case, 1, &text)), DropReason::BadPadding, "zeros are no padding");
    for (octet, value) in text[..14].iter_mut().zip(1..) {
        *octet = value;
    }
    assert_eq!(dropped(&mut engine, &craft(&case, 2, &text)), DropReason::Dummy);
    text[14] = 15;
    assert_eq!(dropped(&mut engine, &craft(&case, 3, &text)), DropReason::BadPadding, "longer than the text");
    let mut longest: Vec<u8> = (1..=254).collect();
    longest.extend([254, 59]);
    assert_eq!(dropped(&mut engine, &craft(&case, 4, &longest)), DropReason::Dummy);
}

/// Authentic packets may carry only what the SA was made for.
#[test]
fn next_headers_that_cannot_be() {
    for case in [TRANSPORT, TUNNEL] {
        let mut memory = Memory::new();
        let mut engine = case.engine_a(&mut memory, Settings::default());
        let inner = answer(&case);
        for (number, next) in (1..).zip([0, 4, 41, 43, 44, 50, 51, 59, 17, 6]) {
            let payload = if case == TRANSPORT { &inner[20..] } else { &inner };
            let verdict = open(&mut engine, NOW, &craft(&case, number, &padded(payload, next)));
            let expected = match (case == TUNNEL, next) {
                (_, 59) => Some(DropReason::Dummy),
                (true, 4) | (false, 6 | 17) => None,
                _ => Some(DropReason::WrongNextHeader),
            };
            assert_eq!(verdict.err(), expected.map(Inbound::Drop), "next header {next}");
        }
    }
}

/// RFC 4301 §5.2: what comes out must fit the SA's selectors.
#[test]
fn opened_packets_outside_the_selectors() {
    let (a, b) = TRANSPORT.hosts();
    let ts = |address, ports| {
        let addresses = AddressRange::single(address);
        [TrafficSelector { protocol: 6, ports, addresses }].into_iter().collect()
    };
    let child = || ChildSa {
        local_ts: ts(a, PortRange::ANY),
        remote_ts: ts(b, PortRange::single(179)),
        ..TRANSPORT.child_a()
    };
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    engine.add_policy(TRANSPORT.policy()).unwrap();
    engine.install(NOW, child()).unwrap();
    let bgp = tcp(b, a, 179, 1024, 0x18, &[], b"x");
    assert_eq!(open(&mut engine, NOW, &craft(&TRANSPORT, 1, &padded(&bgp[20..], 6))), Ok(bgp));
    for (number, body, next) in [
        (2, &tcp(b, a, 180, 1024, 0x18, &[], b"x")[20..], 6),
        (3, &udp(b, a, 179, 1024, b"x")[20..], 17),
        (4, &[8, 0, 0, 0][..], 1),
        (5, &[0; 2][..], 6),
    ] {
        let packet = craft(&TRANSPORT, number, &padded(body, next));
        assert_eq!(dropped(&mut engine, &packet), DropReason::OutsideSelectors, "{number}");
    }
    // From another address, under the right SPI and key.
    let mut elsewhere = craft(&TRANSPORT, 6, &padded(&tcp(b, a, 179, 1024, 0x18, &[], b"x")[20..], 6));
    elsewhere[15] = 77;
    elsewhere[10..12].fill(0);
    let sum = checksum(&[&elsewhere[..20]]);
    elsewhere[10..12].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(dropped(&mut engine, &elsewhere), DropReason::OutsideSelectors);
}

/// RFC 4301 §5.2: the SPD is asked once more, for what came out.
#[test]
fn opened_packets_against_policy() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let (a, b) = TUNNEL.hosts();
    let dns =
        TrafficSelector { protocol: 17, ports: PortRange::single(53), addresses: AddressRange::single(b) };
    let discard = Policy { local: all(a), remote: [dns].into_iter().collect(), action: Action::Discard };
    engine.add_policy(discard).unwrap();
    let policy = engine.add_policy(TUNNEL.policy()).unwrap();
    engine.install(NOW, ChildSa { policy, ..TUNNEL.child_a() }).unwrap();
    let crafted = |number, from| craft(&TUNNEL, number, &padded(&udp(b, a, from, 9, b"x"), 4));
    assert_eq!(dropped(&mut engine, &crafted(1, 53)), DropReason::OutsidePolicy);
    assert!(open(&mut engine, NOW, &crafted(2, 54)).is_ok());
}

/// What lies in a tunnel must be one whole packet of the family that is announced.
#[test]
fn inner_packets_that_do_not_agree() {
    let mut memory = Memory::new();
    let mut engine = TUNNEL.engine_a(&mut memory, Settings::default());
    let inner = answer(&TUNNEL);
    let mut longer = inner.clone();
    longer[3] += 40;
    let mut no_version = inner.clone();
    no_version[0] = 0x15;
    let v6 = packet(ip("fd02::1"), ip("fd01::1"), 17, &[0; 8]);
    let mut jumbo = v6.clone();
    jumbo[4..7].copy_from_slice(&[0, 0, 0]);
    let mut options = inner.clone();
    options[0] = 0x4f;
    options.truncate(40);
    options[2..4].copy_from_slice(&[0, 40]);
    for (number, inner, next, reason) in [
        (1, &longer, 4, DropReason::InnerMalformed),
        (2, &no_version, 4, DropReason::InnerMalformed),
        (3, &vec![], 4, DropReason::InnerMalformed),
        (4, &jumbo, 41, DropReason::InnerMalformed),
        (5, &options, 4, DropReason::InnerMalformed),
        (6, &inner, 41, DropReason::WrongNextHeader),
        (7, &v6, 4, DropReason::WrongNextHeader),
        (8, &v6, 41, DropReason::OutsideSelectors),
    ] {
        let packet = craft(&TUNNEL, number, &padded(inner, next));
        assert_eq!(dropped(&mut engine, &packet), reason, "{number}");
    }
}

/// RFC 4301 §5.2: clear packets of a protected flow, whatever they look like.
#[test]
fn clear_packets_where_policy_protects() {
    let (a, b) = TRANSPORT.hosts();
    for with_sa in [false, true] {
        let mut memory = Memory::new();
        let mut engine = Engine::new(Settings::default(), &mut memory);
        engine.add_policy(TRANSPORT.policy()).unwrap();
        if with_sa {
            engine.install(NOW, TRANSPORT.child_a()).unwrap();
        }
        let mut fragment = tcp(b, a, 179, 1, 0x18, &[], b"");
        fragment[6..8].copy_from_slice(&[0, 5]);
        let reset = tcp(b, a, 179, 1, 0x04, &[], b"");
        let syn = tcp(b, a, 1, 179, 0x02, &[], b"");
        let unreachable = packet(b, a, 1, &[3, 3, 0, 0, 0, 0, 0, 0]);
        for octets in [&reset, &syn, &fragment, &unreachable, &packet(b, a, 89, &[])] {
            assert_eq!(dropped(&mut engine, octets), DropReason::ClearWherePolicyProtects);
        }
    }
}

/// RFC 4301 §7: fragments do not slip past a policy that asks for ports.
#[test]
fn fragments_of_flows_chosen_by_port() {
    let (a, b) = TRANSPORT.hosts();
    let bgp =
        TrafficSelector { protocol: 6, ports: PortRange::single(179), addresses: AddressRange::single(b) };
    let mut memory = Memory::new();
    let settings = Settings { unmatched: Unmatched::Bypass, ..Settings::default() };
    let mut engine: TestEngine<'_> = Engine::new(settings, &mut memory);
    let protect = Policy { remote: [bgp].into_iter().collect(), ..TRANSPORT.policy() };
    engine.add_policy(protect).unwrap();
    let mut inbound = tcp(b, a, 179, 1, 0x18, &[], b"");
    inbound[6..8].copy_from_slice(&[0, 5]);
    assert_eq!(dropped(&mut engine, &inbound), DropReason::UnclassifiableFragment);
    let mut outbound = tcp(a, b, 1, 179, 0x18, &[], b"");
    outbound[6..8].copy_from_slice(&[0, 5]);
    let verdict = engine.outbound(NOW, &outbound);
    assert_eq!(verdict, Outbound::Drop(DropReason::UnclassifiableFragment));
    outbound[6..8].copy_from_slice(&[0x20, 0]);
    let verdict = engine.outbound(NOW, &outbound);
    assert_eq!(verdict, Outbound::Drop(DropReason::FragmentInTransport));
    let mut datagram = udp(b, a, 179, 1, b"");
    datagram[6..8].copy_from_slice(&[0, 5]);
    assert_eq!(open(&mut engine, NOW, &datagram), Err(Inbound::Bypass), "no TCP");
}

/// RFC 4301 §4.4.1: what no policy matches is discarded in both directions.
#[test]
fn packets_without_policy() {
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    let (a, _) = TRANSPORT.hosts();
    let stranger = ip("198.51.100.1");
    assert_eq!(dropped(&mut engine, &udp(stranger, a, 1, 2, b"x")), DropReason::NoPolicy);
    let outbound = engine.outbound(NOW, &udp(a, stranger, 1, 2, b"x"));
    assert_eq!(outbound, Outbound::Drop(DropReason::NoPolicy));
    assert_eq!(engine.outbound(NOW, b"\x45 nothing"), Outbound::Drop(DropReason::Malformed));
    assert_eq!(dropped(&mut engine, &[]), DropReason::Malformed);
}

/// A flood of flows without SA loses no acquire that was not told, and says what it postponed.
#[test]
fn flood_of_flows_without_sa() {
    let mut memory = Memory::new();
    let mut engine: TestEngine<'_> = Engine::new(Settings::default(), &mut memory);
    engine.add_policy(TRANSPORT.policy()).unwrap();
    let (a, b) = TRANSPORT.hosts();
    for port in 0..100 {
        assert!(matches!(engine.outbound(NOW, &udp(a, b, port, 1, MARKER)), Outbound::Hold { .. }));
    }
    let mut told = 0;
    while let Output::Acquire { .. } = engine.poll_output() {
        told += 1;
    }
    assert_eq!(told + engine.counters().acquires_postponed, 100);
    assert_eq!(told, 16);
}

/// An SA removed while it has something to say leaves no trace in the queue.
#[test]
fn reports_of_a_removed_sa() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    engine.add_policy(TRANSPORT.policy()).unwrap();
    let spi = |n: u32| Spi::new(A_SPI + n).unwrap();
    for n in 0..4 {
        engine.install(NOW, ChildSa { inbound: spi(n), ..TRANSPORT.child_a() }).unwrap();
    }
    for n in 0..4 {
        let mut memory = Memory::new();
        let mut other = Engine::new(Settings::default(), &mut memory);
        let policy = TRANSPORT.policy();
        other.add_policy(Policy { local: policy.remote, remote: policy.local, ..policy }).unwrap();
        other.install(NOW, ChildSa { outbound: spi(n), ..TRANSPORT.child_b() }).unwrap();
        let sealed = seal(&mut other, NOW, &answer(&TRANSPORT));
        assert!(open(&mut engine, NOW, &sealed).is_ok());
    }
    for n in [1, 3, 0] {
        assert!(engine.remove(spi(n)));
    }
    engine.install(NOW, ChildSa { inbound: spi(3), ..TRANSPORT.child_a() }).unwrap();
    assert_eq!(engine.poll_output(), Output::Sa(SaReport::FirstInbound(spi(2))));
    assert_eq!(engine.poll_output(), Output::Timeout(None));
}
