//! What the packet path does to honest packets (RFC 4301 §5, RFC 4303 §3).

mod common;

use core::time::Duration;

use common::*;
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Cipher, RawKey};
use esp_engine::engine::{DfPolicy, Engine, Inbound, InstallError, Outbound, Output, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::{
    ChildSa, Encapsulation, KeyPair, Lifetime, Limits, Mode, PeerKey, SaReport, SaUpdate, Spi,
};
use esp_engine::selector::{AddressRange, PortRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::{Action, Level, Policy, PolicyId};
use esp_engine::time::Instant;

/// Every (mode × inner and outer IP version × algorithm × ESN × UDP encapsulation), at every
/// alignment and up to the MTU.
#[test]
fn every_kind_of_sa_returns_the_packet_octet_for_octet() {
    let mut cases = 0;
    for case in Case::all() {
        let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
        let mut a = case.engine_a(&mut memory_a, Settings::default());
        let mut b = case.engine_b(&mut memory_b, Settings::default());
        for extra in (0..40).chain([1000, 1300]) {
            let mut payload = MARKER.to_vec();
            payload.resize(MARKER.len() + extra, 0x5a);
            let clear = case.packet(&payload);
            let sealed = seal(&mut a, NOW, &clear);
            assert_eq!(open(&mut b, NOW, &sealed).as_ref(), Ok(&clear), "{case:?}");
        }
        cases += 1;
    }
    assert_eq!(cases, 24 * Algorithm::ALL.len());
}

/// A sealed packet's length is known before it is sealed, and is the IP header's own.
#[test]
fn length_is_exact() {
    for case in Case::all() {
        let mut memory = Memory::new();
        let mut a = case.engine_a(&mut memory, Settings::default());
        for payload in 0..9 {
            let sealed = seal(&mut a, NOW, &case.packet(&vec![1; payload]));
            let field = |at: usize| usize::from(u16::from_be_bytes([sealed[at], sealed[at + 1]]));
            let length = if case.outer_v6 { 40 + field(4) } else { field(2) };
            assert_eq!(length, sealed.len());
            let protocol = sealed[if case.outer_v6 { 6 } else { 9 }];
            assert_eq!(protocol, if case.encapsulated { 17 } else { 50 });
        }
    }
}

/// RFC 7634 Appendix A: an ESP packet in tunnel mode.
#[test]
fn opens_the_packet_of_rfc_7634() {
    let sealed = hex("4500008c234500004032de5bcb007199cb007105\
         01020304000000051011121314151617\
         24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb\
         61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0\
         76aaa8266b7fb0f7b11b369907e1ad43");
    let inner = hex("45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10000736270809\
         0a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637");
    let octets: Vec<u8> = (0x80..0xa4).collect();
    let key = RawKey::new(Algorithm::ChaCha20Poly1305, &octets).unwrap();
    let (us, them) = (ip("192.0.2.5"), ip("198.51.100.5"));
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let action = Action::Protect { mode: Mode::Tunnel, minimum: Level::Shared };
    engine.add_policy(Policy { local: all(us), remote: all(them), action }).unwrap();
    let child = ChildSa {
        inbound: Spi::new(0x0102_0304).unwrap(),
        local: ip("203.0.113.5"),
        remote: ip("203.0.113.153"),
        local_ts: all(us),
        remote_ts: all(them),
        keys: KeyPair { inbound: Cipher::new(&key).unwrap(), outbound: Cipher::new(&key).unwrap() },
        ..TUNNEL.child_a()
    };
    engine.install(NOW, child).unwrap();
    assert_eq!(open(&mut engine, NOW, &sealed), Ok(inner));
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// RFC 4301 §5.1: no SA, and nothing leaves; key management is told once a second and flow.
#[test]
fn flow_without_sa_is_held_and_asked_for() {
    let mut memory = Memory::new();
    let mut engine: TestEngine<'_> = Engine::new(Settings::default(), &mut memory);
    let policy = engine.add_policy(TRANSPORT.policy()).unwrap();
    let (a, b) = TRANSPORT.hosts();
    let ports = Ports::Known { source: 1024, destination: 179 };
    let flow = Selectors { source: a, destination: b, protocol: 6, ports };
    for (ms, told) in [(0, true), (500, false), (1000, true)] {
        let verdict = engine.outbound(after(ms), &TRANSPORT.packet(b"x"));
        assert_eq!(verdict, Outbound::Hold { policy, packet: flow });
        if told {
            assert_eq!(engine.poll_output(), Output::Acquire { policy, packet: flow });
        }
        assert_eq!(engine.poll_output(), Output::Timeout(None));
    }
    assert_eq!(engine.counters().without_sa, 3);
}

/// RFC 7296 §2.8: a new SA receives at once, but sends only when its peer is known to have it; the
/// old one still receives.
#[test]
fn newest_confirmed_sa_sends() {
    let case = TRANSPORT;
    let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
    let mut a = case.engine_a(&mut memory_a, Settings::default());
    let mut b = case.engine_b(&mut memory_b, Settings::default());
    let (next_a, next_b) = (Spi::new(A_SPI + 4).unwrap(), Spi::new(B_SPI + 4).unwrap());
    let child = ChildSa { inbound: next_b, outbound: next_a, may_send: false, ..case.child_b() };
    b.install(NOW, child).unwrap();
    let back = |b: &mut TestEngine<'_>, now| {
        let (host_a, host_b) = case.hosts();
        let sealed = seal(b, now, &udp(host_b, host_a, 1, 2, b"answer"));
        Spi::new(u32::from_be_bytes(*sealed[20..].first_chunk().unwrap())).unwrap()
    };
    assert_eq!(back(&mut b, after(60_000)), Spi::new(A_SPI).unwrap(), "time alone confirms no successor");

    a.install(NOW, ChildSa { inbound: next_a, outbound: next_b, ..case.child_a() }).unwrap();
    let on_old = {
        let (mut memory, now) = (Memory::new(), NOW);
        let mut old = case.engine_a(&mut memory, Settings::default());
        seal(&mut old, now, &case.packet(b"late"))
    };
    let on_new = seal(&mut a, NOW, &case.packet(b"first"));
    assert_eq!(on_new[20..24], (B_SPI + 4).to_be_bytes());
    assert!(open(&mut b, NOW, &on_new).is_ok());
    assert_eq!(b.poll_output(), Output::Sa(SaReport::FirstInbound(next_b)));
    assert_eq!(back(&mut b, NOW), next_a);
    assert!(open(&mut b, NOW, &on_old).is_ok(), "the old SA receives");
    assert!(b.remove(Spi::new(B_SPI).unwrap()));
    assert!(!b.remove(Spi::new(B_SPI).unwrap()));
    assert_eq!(back(&mut b, NOW), next_a);
}

/// A first SA whose peer says nothing is held back for a second only, and asks for no other.
#[test]
fn only_sa_is_used_after_a_second_without_a_sign() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let policy = engine.add_policy(TRANSPORT.policy()).unwrap();
    engine.install(NOW, ChildSa { may_send: false, ..TRANSPORT.child_a() }).unwrap();
    let packet = TRANSPORT.packet(b"x");
    let Outbound::Hold { policy: held, .. } = engine.outbound(after(999), &packet) else { panic!() };
    assert_eq!(held, policy);
    assert_eq!(engine.poll_output(), Output::Timeout(Some(after(1000))), "and nothing is acquired");
    engine.handle_timeout(after(1000));
    assert_eq!(engine.poll_output(), Output::Timeout(None));
    seal(&mut engine, after(1000), &packet);
}

/// RFC 7296 §2.8: who replaces a pair deletes the old one once it has the new one.
#[test]
fn a_successor_sends_as_soon_as_its_predecessor_is_gone() {
    let case = TRANSPORT;
    let mut memory = Memory::new();
    let mut engine = case.engine_a(&mut memory, Settings::default());
    let (next_a, next_b) = (Spi::new(A_SPI + 4).unwrap(), Spi::new(B_SPI + 4).unwrap());
    let successor = ChildSa { inbound: next_a, outbound: next_b, may_send: false, ..case.child_a() };
    engine.install(NOW, successor).unwrap();
    assert!(engine.remove(Spi::new(A_SPI).unwrap()));
    assert_eq!(seal(&mut engine, NOW, &case.packet(b"x"))[20..24], (B_SPI + 4).to_be_bytes());
}

/// RFC 7296 §2.8: a pair that only received for a while goes without a word about what was made meanwhile:
/// the peer may not have it.
#[test]
fn the_end_of_a_retired_pair_confirms_nothing() {
    let case = TRANSPORT;
    let mut memory = Memory::new();
    let mut engine = case.engine_a(&mut memory, Settings::default());
    let pair = |slot| ChildSa {
        inbound: Spi::new(A_SPI + slot).unwrap(),
        outbound: Spi::new(B_SPI + slot).unwrap(),
        may_send: false,
        ..case.child_a()
    };
    engine.install(NOW, pair(4)).unwrap();
    assert!(engine.retire(Spi::new(A_SPI).unwrap()));
    engine.install(NOW, pair(2)).unwrap();
    assert!(engine.remove(Spi::new(A_SPI).unwrap()));
    assert_eq!(seal(&mut engine, NOW, &case.packet(b"x"))[20..24], (B_SPI + 4).to_be_bytes());
}

/// RFC 7296 §2.8: who deletes a pair has its successor, which no later one overtakes that the peer may not
/// have, however long it waits.
#[test]
fn a_successor_that_the_peer_has_is_not_overtaken() {
    let case = TRANSPORT;
    let mut memory = Memory::new();
    let mut engine = case.engine_a(&mut memory, Settings::default());
    let pair = |slot| ChildSa {
        inbound: Spi::new(A_SPI + slot).unwrap(),
        outbound: Spi::new(B_SPI + slot).unwrap(),
        may_send: false,
        ..case.child_a()
    };
    engine.install(NOW, pair(4)).unwrap();
    assert!(engine.remove(Spi::new(A_SPI).unwrap()));
    engine.install(NOW, pair(2)).unwrap();
    for now in [NOW, after(60_000)] {
        assert_eq!(seal(&mut engine, now, &case.packet(b"x"))[20..24], (B_SPI + 4).to_be_bytes());
    }
}

/// RFC 4301 §4.4.2.1: soft limits report, hard limits stop both directions.
#[test]
fn limits_report_and_then_stop() {
    let soft = Limits { packets: 2, ..Limits::default() };
    let hard = Limits { packets: 3, ..Limits::default() };
    let case = TRANSPORT;
    let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
    let mut b = case.engine_b(&mut memory_b, Settings::default());
    let mut a: TestEngine<'_> = Engine::new(Settings::default(), &mut memory_a);
    a.add_policy(case.policy()).unwrap();
    a.install(NOW, ChildSa { lifetime: Lifetime { soft, hard }, ..case.child_a() }).unwrap();
    let spi = Spi::new(A_SPI).unwrap();
    let mut reports = Vec::new();
    for _ in 0..3 {
        seal(&mut a, NOW, &case.packet(b"x"));
        reports.push(a.poll_output());
    }
    let quiet = Output::Timeout(None);
    let (ageing, ended) = (SaReport::SoftExpired(spi), SaReport::HardExpired(spi));
    assert_eq!(reports, [quiet, Output::Sa(ageing), Output::Sa(ended)]);
    assert!(matches!(a.outbound(NOW, &case.packet(b"x")), Outbound::Hold { .. }));
    let (host_a, host_b) = case.hosts();
    let answer = seal(&mut b, NOW, &udp(host_b, host_a, 1, 2, b"x"));
    let refused = open(&mut a, NOW, &answer);
    assert_eq!(refused, Err(Inbound::Drop(esp_engine::counters::DropReason::Expired)));
}

#[test]
fn time_ends_an_sa_even_when_nobody_calls() {
    let limit = |seconds| Limits { time: Duration::from_secs(seconds), ..Limits::default() };
    let lifetime = Lifetime { soft: limit(10), hard: limit(20) };
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    engine.add_policy(TRANSPORT.policy()).unwrap();
    engine.install(NOW, ChildSa { lifetime, ..TRANSPORT.child_a() }).unwrap();
    let spi = Spi::new(A_SPI).unwrap();
    assert_eq!(engine.poll_output(), Output::Timeout(Some(after(10_000))));
    engine.handle_timeout(after(9_999));
    assert_eq!(engine.poll_output(), Output::Timeout(Some(after(10_000))));
    engine.handle_timeout(after(10_000));
    assert_eq!(engine.poll_output(), Output::Sa(SaReport::SoftExpired(spi)));
    assert_eq!(engine.poll_output(), Output::Timeout(Some(after(20_000))));
    assert!(matches!(engine.outbound(after(20_000), &TRANSPORT.packet(b"x")), Outbound::Hold { .. }));
    engine.handle_timeout(after(20_000));
    assert_eq!(engine.poll_output(), Output::Sa(SaReport::HardExpired(spi)));
    assert!(engine.sas().all(|sa| sa.expired));
}

/// RFC 4301 §4.4.2: a slot is never overwritten, and policy decides what may be installed.
#[test]
fn install_refuses_what_policy_does_not_allow() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let strict = Action::Protect { mode: Mode::Transport, minimum: Level::Shared };
    engine.add_policy(Policy { action: strict, ..TRANSPORT.policy() }).unwrap();
    engine.add_policy(Policy { action: Action::Bypass, ..TRANSPORT.policy() }).unwrap();
    let mut install = |child| engine.install(NOW, child);
    let child = || TRANSPORT.child_a();
    assert_eq!(install(ChildSa { level: Level::Known, ..child() }), Err(InstallError::TooWeak));
    assert_eq!(install(ChildSa { mode: Mode::Tunnel, ..child() }), Err(InstallError::WrongMode));
    assert_eq!(install(ChildSa { policy: PolicyId(1), ..child() }), Err(InstallError::NotProtected));
    assert_eq!(install(ChildSa { policy: PolicyId(9), ..child() }), Err(InstallError::NotProtected));
    assert_eq!(install(ChildSa { remote: ip("::1"), ..child() }), Err(InstallError::MixedFamilies));
    assert_eq!(install(child()), Ok(()));
    assert_eq!(install(child()), Err(InstallError::Occupied));
    let same_slot = Spi::new(A_SPI + u32::from(SLOTS)).unwrap();
    assert_eq!(install(ChildSa { inbound: same_slot, ..child() }), Err(InstallError::Occupied));
}

/// RFC 5660: a flow that lives under one key is not given to another, until its SA is gone.
#[test]
fn flow_belongs_to_the_peer_it_began_with() {
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    let stranger = || {
        let inbound = Spi::new(A_SPI + 1).unwrap();
        ChildSa { inbound, peer: PeerKey([0xc; 32]), ..TRANSPORT.child_a() }
    };
    assert_eq!(engine.install(NOW, stranger()), Err(InstallError::Latched));
    let successor = ChildSa { inbound: Spi::new(A_SPI + 2).unwrap(), ..TRANSPORT.child_a() };
    assert_eq!(engine.install(NOW, successor), Ok(()), "the same peer rekeys");
    for spi in [A_SPI, A_SPI + 2] {
        assert!(engine.remove(Spi::new(spi).unwrap()));
    }
    assert_eq!(engine.install(NOW, stranger()), Ok(()));
}

/// RFC 4301 §4.4.1.1: one policy, an SA for each far address.
#[test]
fn each_flow_finds_its_own_sa() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let (a, _) = TRANSPORT.hosts();
    let remote = [TrafficSelector::all(AddressRange::prefix(ip("192.0.2.0"), 24).unwrap())];
    let policy = Policy { remote: remote.iter().copied().collect(), ..TRANSPORT.policy() };
    engine.add_policy(policy).unwrap();
    let peer = |n: u8| ip(&format!("192.0.2.{}", 100 + n));
    for n in 0..8 {
        let child = ChildSa {
            inbound: Spi::for_slot(n.into(), SLOTS, 0x1234_5600),
            outbound: Spi::new(0x1000 + u32::from(n)).unwrap(),
            remote: peer(n),
            remote_ts: all(peer(n)),
            peer: PeerKey([n; 32]),
            ..TRANSPORT.child_a()
        };
        engine.install(NOW, child).unwrap();
    }
    for round in 0..2 {
        for n in 0..8 {
            let sealed = seal(&mut engine, NOW, &udp(a, peer(n), 1, 2, b"x"));
            assert_eq!(sealed[20..24], (0x1000 + u32::from(n)).to_be_bytes());
            assert_eq!(sealed[24..28], [0, 0, 0, round + 1]);
        }
    }
    for n in [3, 0, 7] {
        assert!(engine.remove(Spi::for_slot(n.into(), SLOTS, 0x1234_5600)));
        assert!(matches!(engine.outbound(NOW, &udp(a, peer(n), 1, 2, b"x")), Outbound::Hold { .. }));
    }
    assert_eq!(engine.sas().count(), 5);
}

/// A sequence number is spent when the decision falls; another SA in the slot never sees it.
#[test]
fn seal_is_bound_to_its_sa() {
    use esp_engine::counters::DropReason;
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    let packet = TRANSPORT.packet(MARKER);
    let Outbound::Seal(seal) = engine.outbound(NOW, &packet) else { panic!() };
    engine.remove(Spi::new(A_SPI).unwrap());
    engine.install(NOW, TRANSPORT.child_a()).unwrap();
    let mut out = [0xaa; 200];
    assert_eq!(engine.seal(seal, &packet, &mut out), Err(DropReason::SaGone));
    let Outbound::Seal(small) = engine.outbound(NOW, &packet) else { panic!() };
    assert_eq!(engine.seal(small, &packet, &mut out[..60]), Err(DropReason::BufferTooSmall));
    let Outbound::Seal(other) = engine.outbound(NOW, &packet) else { panic!() };
    assert_eq!(engine.seal(other, &TRANSPORT.packet(b"x"), &mut out), Err(DropReason::Malformed));
    assert!(!contains(&out, MARKER));
    let Outbound::Seal(third) = engine.outbound(NOW, &packet) else { panic!() };
    engine.seal(third, &packet, &mut out).unwrap();
    assert_eq!(out[24..28], [0, 0, 0, 3], "the numbers of abandoned seals are gaps");
}

/// RFC 4301 §8: the largest packet that fits passes, the next one is told what does.
#[test]
fn packets_that_no_longer_fit_are_told_the_size() {
    for (case, mtu, fits) in [
        (TRANSPORT, 1500, 1466),
        (Case { encapsulated: true, ..TRANSPORT }, 1500, 1458),
        (Case { inner_v6: true, outer_v6: true, ..TRANSPORT }, 1500, 1466),
        (TUNNEL, 1500, 1446),
        (Case { outer_v6: true, ..TUNNEL }, 1500, 1426),
        (Case { inner_v6: true, ..TUNNEL }, 1500, 1446),
        (TRANSPORT, 576, 542),
    ] {
        let mut memory = Memory::new();
        let mut engine = case.engine_a(&mut memory, Settings { mtu, ..Settings::default() });
        let headers = if case.inner_v6 { 60 } else { 40 };
        let packet = |length: usize| case.packet(&vec![7; length - headers]);
        assert!(seal(&mut engine, NOW, &packet(fits.into())).len() <= usize::from(mtu));
        let verdict = engine.outbound(NOW, &packet(usize::from(fits) + 1));
        assert_eq!(verdict, Outbound::TooBig { mtu: fits }, "{case:?}");
    }
}

/// RFC 8201 §4: no IPv6 host believes less than 1280.
#[test]
fn ipv6_is_never_told_less_than_its_minimum() {
    let case = Case { inner_v6: true, outer_v6: true, ..TRANSPORT };
    let mut memory = Memory::new();
    let mut engine = case.engine_a(&mut memory, Settings { mtu: 1280, ..Settings::default() });
    assert_eq!(engine.outbound(NOW, &case.packet(&[0; 1200])), Outbound::TooBig { mtu: 1280 });
    let settings = Settings { mtu: 1280, reserve_encapsulation: false, ..Settings::default() };
    let mut memory = Memory::new();
    assert_eq!(case.engine_a(&mut memory, settings).stack_mtu(), 1246);
}

#[test]
fn stack_mtu_is_what_every_policy_leaves() {
    let plain = Settings { reserve_encapsulation: false, ..Settings::default() };
    for (case, settings, mtu) in [
        (TRANSPORT, plain, 1466),
        (TRANSPORT, Settings::default(), 1458),
        (Case { inner_v6: true, outer_v6: true, ..TRANSPORT }, plain, 1466),
        (TUNNEL, plain, 1446),
        (TUNNEL, Settings::default(), 1418),
        (TRANSPORT, Settings { reserve_algorithm: Algorithm::Aes128CbcHmacSha256, ..plain }, 1458),
        (TUNNEL, Settings { reserve_algorithm: Algorithm::Aes256CbcHmacSha256, ..plain }, 1438),
    ] {
        let mut memory = Memory::new();
        assert_eq!(case.engine_a(&mut memory, settings).stack_mtu(), mtu, "{case:?}");
    }
    let mut memory = Memory::new();
    let engine: TestEngine<'_> = Engine::new(plain, &mut memory);
    assert_eq!(engine.stack_mtu(), 1500, "nothing is protected");
}

/// SYNs announce what fits, in both directions, with a right checksum.
#[test]
fn syn_announces_a_segment_that_fits() {
    for (case, size) in [
        (TRANSPORT, 1426),
        (Case { encapsulated: true, ..TRANSPORT }, 1418),
        (Case { inner_v6: true, outer_v6: true, ..TRANSPORT }, 1406),
        (TUNNEL, 1406),
        (Case { inner_v6: true, ..TUNNEL }, 1386),
    ] {
        let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
        let mut a = case.engine_a(&mut memory_a, Settings { mtu: 9000, ..Settings::default() });
        let mut b = case.engine_b(&mut memory_b, Settings::default());
        let (from, to) = case.hosts();
        let syn = tcp(from, to, 1, 179, 2, &[2, 4, 0x05, 0xb4], b"");
        let sealed = seal(&mut a, NOW, &syn);
        let clear = open(&mut b, NOW, &sealed).unwrap();
        let headers = if case.inner_v6 { 40 } else { 20 };
        let announced = u16::from_be_bytes([clear[headers + 22], clear[headers + 23]]);
        assert_eq!(announced, size, "{case:?}");
        assert_eq!(upper_checksum(from, to, 6, &clear[headers..]), 0);
        let back = seal(&mut b, NOW, &tcp(to, from, 179, 1, 0x12, &[2, 4, 0x05, 0xb4], b""));
        let clear = open(&mut a, NOW, &back).unwrap();
        assert_eq!(u16::from_be_bytes([clear[headers + 22], clear[headers + 23]]), size);
        assert_eq!(upper_checksum(to, from, 6, &clear[headers..]), 0);
    }
}

/// RFC 4301 §8.1: DF of the outer header is copied, set or cleared.
#[test]
fn df_follows_the_setting() {
    for (df, inner, outer) in [
        (DfPolicy::Copy, 0x40, 0x40),
        (DfPolicy::Copy, 0, 0),
        (DfPolicy::Set, 0, 0x40),
        (DfPolicy::Clear, 0x40, 0),
    ] {
        let mut memory = Memory::new();
        let mut engine = TUNNEL.engine_a(&mut memory, Settings { df, ..Settings::default() });
        let mut packet = TUNNEL.packet(b"x");
        packet[6] = inner;
        assert_eq!(seal(&mut engine, NOW, &packet)[6], outer);
    }
}

/// RFC 4301 §5.1.2 and RFC 6040: DSCP and ECN go out, congestion comes back in.
#[test]
fn congestion_marks_cross_the_tunnel() {
    for case in [TUNNEL, Case { inner_v6: true, ..TUNNEL }, Case { outer_v6: true, ..TUNNEL }] {
        let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
        let mut a = case.engine_a(&mut memory_a, Settings::default());
        let mut b = case.engine_b(&mut memory_b, Settings::default());
        let class = |octets: &[u8]| match octets[0] >> 4 {
            4 => octets[1],
            _ => (u16::from_be_bytes([octets[0], octets[1]]) >> 4) as u8,
        };
        let set = |octets: &mut [u8], class: u8| {
            if octets[0] >> 4 == 4 {
                octets[1] = class;
                octets[10..12].fill(0);
                let sum = checksum(&[&octets[..20]]);
                octets[10..12].copy_from_slice(&sum.to_be_bytes());
            } else {
                octets[0] = 0x60 | class >> 4;
                octets[1] = octets[1] & 0x0f | class << 4;
            }
        };
        let mut clear = case.packet(b"x");
        set(&mut clear, 0xb8 | 2);
        let mut sealed = seal(&mut a, NOW, &clear);
        assert_eq!(class(&sealed), 0xba);
        set(&mut sealed, 0x20 | 3);
        set(&mut clear, 0xb8 | 3);
        assert_eq!(open(&mut b, NOW, &sealed), Ok(clear.clone()), "marked, DSCP as it was");
        set(&mut clear, 0xb8);
        let mut sealed = seal(&mut a, NOW, &clear);
        set(&mut sealed, 0xb8 | 3);
        let reason = esp_engine::counters::DropReason::CongestionUnmarkable;
        assert_eq!(open(&mut b, NOW, &sealed), Err(Inbound::Drop(reason)));
    }
}

/// RFC 7296 §2.23: either form is accepted on every SA.
#[test]
fn both_forms_are_accepted_on_every_sa() {
    for encapsulated in [false, true] {
        let theirs = Case { encapsulated, ..TRANSPORT };
        let ours = Case { encapsulated: !encapsulated, ..TRANSPORT };
        let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
        let mut a = theirs.engine_a(&mut memory_a, Settings::default());
        let mut b = ours.engine_b(&mut memory_b, Settings::default());
        let clear = TRANSPORT.packet(b"x");
        assert_eq!(open(&mut b, NOW, &seal(&mut a, NOW, &clear)), Ok(clear));
        assert_eq!(b.poll_output(), Output::Sa(SaReport::FirstInbound(Spi::new(B_SPI).unwrap())));
        assert_eq!(b.poll_output(), Output::Timeout(None), "the form alone moves nobody");
    }
}

/// RFC 3948 §3.1.2: behind a NAT the checksum is wrong until it is recomputed.
#[test]
fn checksum_is_mended_behind_a_nat() {
    let case = Case { encapsulated: true, ..TRANSPORT };
    let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
    let mut a = case.engine_a(&mut memory_a, Settings::default());
    let outside = ip("203.0.113.7");
    let (host_a, host_b) = case.hosts();
    let mut b = Engine::new(Settings::default(), &mut memory_b);
    let policy = case.policy();
    b.add_policy(Policy { local: policy.remote, remote: all(outside), ..policy }).unwrap();
    let encapsulation = Some(Encapsulation { local_port: 4500, remote_port: 61000 });
    b.install(NOW, ChildSa { remote: outside, remote_ts: all(outside), encapsulation, ..case.child_b() })
        .unwrap();
    for clear in [tcp(host_a, host_b, 1, 2, 0x18, &[], b"segment"), udp(host_a, host_b, 1, 2, b"datagram")] {
        let sealed = seal(&mut a, NOW, &clear);
        let natted = udp(outside, host_b, 61000, 4500, &sealed[28..]);
        let opened = open(&mut b, NOW, &natted).unwrap();
        assert_eq!(upper_checksum(outside, host_b, opened[9], &opened[20..]), 0);
        assert_eq!(opened[opened.len() - 7..], clear[clear.len() - 7..]);
    }
}

/// RFC 7296 §2.23: only a new authentic packet moves the peer.
#[test]
fn only_a_new_packet_moves_the_peer() {
    let case = Case { encapsulated: true, ..TUNNEL };
    let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
    let mut a = case.engine_a(&mut memory_a, Settings::default());
    let mut b = case.engine_b(&mut memory_b, Settings::default());
    let (from, to) = (ip("203.0.113.9"), case.gates().1);
    let spi = Spi::new(B_SPI).unwrap();
    let sealed: Vec<Vec<u8>> = (0..4).map(|_| seal(&mut a, NOW, &case.packet(b"x"))).collect();
    let from_elsewhere = |b: &mut TestEngine<'_>, n: usize| {
        let _ = open(b, NOW, &udp(from, to, 7000, 4500, &sealed[n][28..]));
        match b.poll_output() {
            Output::Sa(SaReport::FirstInbound(_)) => b.poll_output(),
            other => other,
        }
    };
    open(&mut b, NOW, &sealed[1]).unwrap();
    assert_eq!(from_elsewhere(&mut b, 1), Output::Timeout(None), "a replay");
    assert_eq!(from_elsewhere(&mut b, 0), Output::Timeout(None), "older than the newest");
    let moved = SaReport::PeerMoved { spi, remote: "203.0.113.9:7000".parse().unwrap() };
    assert_eq!(from_elsewhere(&mut b, 2), Output::Sa(moved));
    let encapsulation = Some(Encapsulation { local_port: 4500, remote_port: 7000 });
    assert!(b.update(SaUpdate { inbound: spi, local: to, remote: from, encapsulation }));
    assert_eq!(from_elsewhere(&mut b, 3), Output::Timeout(None), "known by now");
    let (host_a, host_b) = case.hosts();
    let answer = seal(&mut b, NOW, &udp(host_b, host_a, 1, 2, b"x"));
    assert_eq!(answer[16..20], [203, 0, 113, 9]);
    assert_eq!(answer[22..24], 7000_u16.to_be_bytes());
}

/// RFC 3948 §4: whoever sends ESP need not remind the NAT.
#[test]
fn sent_esp_is_told() {
    let case = Case { encapsulated: true, ..TUNNEL };
    let mut memory = Memory::new();
    let mut a = case.engine_a(&mut memory, Settings::default());
    let (to, later) = ((case.gates().1, 4500).into(), NOW + Duration::from_secs(5));
    assert!(!a.has_sent_since(Instant::ZERO, to));
    let _ = seal(&mut a, NOW, &case.packet(b"x"));
    assert!(a.has_sent_since(NOW, to));
    assert!(!a.has_sent_since(later, to));
    assert!(!a.has_sent_since(NOW, (case.gates().1, 4501).into()));
}

/// RFC 4303 §2.6: a dummy is authentic, delivers nothing, and is not heard of twice.
#[test]
fn dummy_packets_are_dropped_and_counted() {
    use esp_engine::counters::DropReason;
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    let dummy = craft(&TRANSPORT, 1, &padded(b"anything", 59));
    assert_eq!(open(&mut engine, NOW, &dummy), Err(Inbound::Drop(DropReason::Dummy)));
    assert_eq!(open(&mut engine, NOW, &dummy), Err(Inbound::Drop(DropReason::Replayed)));
    assert_eq!(engine.counters().dropped(DropReason::Dummy), 1);
}

/// RFC 4303 §2.7: traffic flow confidentiality padding behind the inner packet is cut off.
#[test]
fn tfc_padding_is_cut_off() {
    let mut memory = Memory::new();
    let mut engine = TUNNEL.engine_a(&mut memory, Settings::default());
    let (a, b) = TUNNEL.hosts();
    let clear = udp(b, a, 1, 2, b"x");
    let mut payload = clear.clone();
    payload.resize(300, 0);
    let sealed = craft(&TUNNEL, 1, &padded(&payload, 4));
    assert_eq!(open(&mut engine, NOW, &sealed), Ok(clear));

    // In transport mode only a datagram says how long it is.
    for encapsulated in [false, true] {
        let case = Case { encapsulated, ..TRANSPORT };
        let mut memory = Memory::new();
        let mut engine = case.engine_a(&mut memory, Settings::default());
        let (a, b) = case.hosts();
        let datagram = udp(b, a, 1, 2, b"x");
        let mut payload = datagram[20..].to_vec();
        payload.resize(300, 0xee);
        let opened = open(&mut engine, NOW, &craft(&case, 1, &padded(&payload, 17))).unwrap();
        assert_eq!(opened[20..], datagram[20..]);
        assert_eq!(opened[2..4], [0, 29]);
    }
}

/// RFC 4303 §3.1.1: IPv6 options for routers stay outside, those for the destination go inside.
#[test]
fn ipv6_extension_headers_keep_their_places() {
    let case = Case { inner_v6: true, outer_v6: true, ..TRANSPORT };
    let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
    let mut a = case.engine_a(&mut memory_a, Settings::default());
    let mut b = case.engine_b(&mut memory_b, Settings::default());
    let (from, to) = case.hosts();
    let segment = &case.packet(MARKER)[40..];
    let mut body = vec![60, 0, 1, 4, 0, 0, 0, 0];
    body.extend([6, 0, 1, 4, 0, 0, 0, 0]);
    body.extend(segment);
    let clear = packet(from, to, 0, &body);
    let sealed = seal(&mut a, NOW, &clear);
    assert_eq!((sealed[6], sealed[40]), (0, 50), "hop-by-hop, then ESP");
    assert_eq!(open(&mut b, NOW, &sealed), Ok(clear));
}

/// RFC 4301 §8.2: a router's complaint about a packet that was sent lowers the path for ten minutes.
#[test]
fn path_mtu_is_learnt_and_forgotten() {
    for case in [TRANSPORT, Case { encapsulated: true, ..TUNNEL }, Case { outer_v6: true, ..TUNNEL }] {
        let mut memory = Memory::new();
        let mut engine = case.engine_a(&mut memory, Settings::default());
        let big = case.packet(&[0; 1380]);
        let sealed = seal(&mut engine, NOW, &big);
        let (us, _) = case.gates();
        let complaint = |quoted: &[u8], mtu: u16| {
            let [high, low] = mtu.to_be_bytes();
            let quoted = &quoted[..quoted.len().min(68)];
            if case.outer_v6 {
                let message = [&[2, 0, 0, 0, 0, 0, high, low], quoted].concat();
                packet(ip("2001:db8::ff"), us, 58, &message)
            } else {
                let message = [&[3, 4, 0, 0, 0, 0, high, low], quoted].concat();
                packet(ip("203.0.113.1"), us, 1, &message)
            }
        };
        let spi = if case.outer_v6 { 40 } else { 20 } + if case.encapsulated { 8 } else { 0 };
        let mut unknown = sealed.clone();
        unknown[spi] ^= 1;
        let mut unsent = sealed.clone();
        unsent[spi + 7] += 100;
        for quoted in [&unknown, &unsent] {
            let _ = engine.inbound(NOW, &mut complaint(quoted, 1400));
            seal(&mut engine, NOW, &big);
        }
        let _ = engine.inbound(NOW, &mut complaint(&sealed, 1400));
        let Outbound::TooBig { mtu } = engine.outbound(NOW, &big) else { panic!("{case:?}") };
        assert!(mtu < 1400 && mtu > 1300);
        seal(&mut engine, after(600_000), &big);
    }
}

/// Manual keying needs no key management.
#[test]
fn status_shows_what_is_installed() {
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    let packet = TRANSPORT.packet(b"x");
    seal(&mut engine, NOW, &packet);
    let status = engine.sas().next().unwrap();
    assert_eq!((status.sent.packets, status.sent.octets), (1, packet.len() as u64));
    assert_eq!((status.level, status.mode), (Level::Pinned, Mode::Transport));
    assert_eq!(status.algorithm, Algorithm::ChaCha20Poly1305);
    assert_eq!(status.inbound.get(), A_SPI);
}

/// The table of one policy per flow as a BGP router has it: ports narrow the SA.
#[test]
fn ports_narrow_an_sa() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let (a, b) = TRANSPORT.hosts();
    engine.add_policy(TRANSPORT.policy()).unwrap();
    let bgp =
        TrafficSelector { protocol: 6, ports: PortRange::single(179), addresses: AddressRange::single(b) };
    let child = ChildSa { remote_ts: [bgp].into_iter().collect(), ..TRANSPORT.child_a() };
    engine.install(NOW, child).unwrap();
    seal(&mut engine, NOW, &tcp(a, b, 1024, 179, 0x18, &[], b"x"));
    let other = tcp(a, b, 179, 1024, 0x18, &[], b"x");
    assert!(matches!(engine.outbound(NOW, &other), Outbound::Hold { .. }));
}

/// What one more pair of SAs costs in memory, with its place in the index and a window of 64 packets.
/// Key schedules are most of it, so it is told for ciphers of several sizes; the rest has a bound.
#[test]
fn pair_of_sas_stays_small() {
    /// Key and salt of 256 bits, where the cipher needs no schedule.
    type Key = [u8; 36];
    fn pair<C>() -> usize {
        size_of::<Resources<C, 1, 3, 2>>() - size_of::<Resources<C, 1, 2, 2>>()
    }
    for (name, pair, cipher) in [
        ("no keys", pair::<()>(), 0),
        ("ChaCha20-Poly1305 alone", pair::<Key>(), size_of::<Key>()),
        ("SoftwareCipher", pair::<SoftwareCipher>(), size_of::<SoftwareCipher>()),
    ] {
        println!("pair of SAs, {name}: {pair} octets, of which ciphers {}", 2 * cipher);
        assert!(pair - 2 * cipher <= 400, "{name}");
    }
}
