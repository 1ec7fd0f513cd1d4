//! Packets that grow: MTU, DF, MSS (RFC 4301 §8).

use esp_engine::crypto::Algorithm;
use esp_engine::engine::{DfPolicy, Engine, Outbound, Settings};

use crate::common::*;

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
