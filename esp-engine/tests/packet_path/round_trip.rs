//! One packet there and back: formats, lengths, what is dropped on the way (RFC 4303 §2, §3).

use core::time::Duration;

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Cipher, RawKey};
use esp_engine::engine::{Engine, Inbound, Outbound, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::{ChildSa, KeyPair, Mode, Spi};
use esp_engine::spd::{Action, Level, Policy};
use esp_engine::time::Instant;

use crate::common::*;

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

/// What one more pair of SAs costs in memory, with its window of 64 packets, and with 32 octets of indexes.
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
        assert!(pair - 2 * cipher <= 400 + 32, "{name}");
    }
}
