//! What changes outside the protected part: UDP, NAT, congestion marks (RFC 3948, RFC 6040).

use esp_engine::engine::{Engine, Inbound, Output, Settings};
use esp_engine::sa::{ChildSa, Encapsulation, SaReport, SaUpdate, Spi};
use esp_engine::spd::Policy;

use crate::common::*;

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
