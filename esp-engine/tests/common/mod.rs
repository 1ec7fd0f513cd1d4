//! Two engines that share a pair of SAs, and the packets that pass between them.
#![allow(dead_code, reason = "every test binary uses its own part")]

use std::net::IpAddr;

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Associated, Cipher, RawKey};
use esp_engine::engine::{Engine, Inbound, Outbound, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::{ChildSa, Encapsulation, KeyPair, Lifetime, Mode, PeerKey, Spi};
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::{Action, Level, Policy, PolicyId};
use esp_engine::time::Instant;

pub type Memory = Resources<SoftwareCipher, 4, 8, 2>;
pub type TestEngine<'r> = Engine<'r, SoftwareCipher>;

/// Octets that only plain text carries.
pub const MARKER: &[u8] = b"clear text that nobody may see";

pub const SLOTS: u16 = 8;
pub const A_SPI: u32 = 0x8000_1001;
pub const B_SPI: u32 = 0x8000_2002;

/// What a pair of SAs is like.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Case {
    pub mode: Mode,
    /// The protected packets are IPv6.
    pub inner_v6: bool,
    /// The outer headers are IPv6; as the inner ones in transport mode.
    pub outer_v6: bool,
    pub algorithm: Algorithm,
    pub extended: bool,
    pub encapsulated: bool,
}

pub const TRANSPORT: Case = Case {
    mode: Mode::Transport,
    inner_v6: false,
    outer_v6: false,
    algorithm: Algorithm::ChaCha20Poly1305,
    extended: false,
    encapsulated: false,
};

pub const TUNNEL: Case = Case { mode: Mode::Tunnel, ..TRANSPORT };

impl Case {
    pub fn all() -> impl Iterator<Item = Self> {
        let flags = |bits: u32| move |n: u32| bits >> n & 1 == 1;
        (0..32).flat_map(move |bits| {
            let flag = flags(bits);
            let mode = if flag(0) { Mode::Tunnel } else { Mode::Transport };
            let case = Self {
                mode,
                inner_v6: flag(1),
                outer_v6: flag(2),
                extended: flag(3),
                encapsulated: flag(4),
                ..TRANSPORT
            };
            let possible = mode == Mode::Tunnel || case.inner_v6 == case.outer_v6;
            Algorithm::ALL
                .into_iter()
                .filter(move |_| possible)
                .map(move |algorithm| Self { algorithm, ..case })
        })
    }

    /// Addresses of the protected packets: A's and B's.
    pub fn hosts(&self) -> (IpAddr, IpAddr) {
        match (self.mode, self.inner_v6) {
            (Mode::Transport, _) => self.gates(),
            (Mode::Tunnel, false) => (ip("10.1.0.1"), ip("10.2.0.1")),
            (Mode::Tunnel, true) => (ip("fd01::1"), ip("fd02::1")),
        }
    }

    /// Outer addresses: A's and B's.
    pub fn gates(&self) -> (IpAddr, IpAddr) {
        if self.outer_v6 {
            (ip("2001:db8::1"), ip("2001:db8::2"))
        } else {
            (ip("192.0.2.1"), ip("192.0.2.2"))
        }
    }

    pub fn policy(&self) -> Policy {
        let (a, b) = self.hosts();
        Policy {
            local: all(a),
            remote: all(b),
            action: Action::Protect { mode: self.mode, minimum: Level::Null },
        }
    }

    /// The pair as A installs it.
    pub fn child_a(&self) -> ChildSa<SoftwareCipher> {
        let (local, remote) = self.gates();
        let (host, far) = self.hosts();
        ChildSa {
            policy: PolicyId(0),
            inbound: Spi::new(A_SPI).unwrap(),
            outbound: Spi::new(B_SPI).unwrap(),
            mode: self.mode,
            local,
            remote,
            encapsulation: self.encapsulated.then_some(Encapsulation { local_port: 4500, remote_port: 4500 }),
            extended_sequence: self.extended,
            local_ts: all(host),
            remote_ts: all(far),
            lifetime: Lifetime::default(),
            level: Level::Pinned,
            peer: PeerKey([0xb; 32]),
            may_send: true,
            keys: KeyPair { inbound: key(self.algorithm, 1), outbound: key(self.algorithm, 2) },
        }
        .build()
        .unwrap()
    }

    /// The pair as B installs it.
    pub fn child_b(&self) -> ChildSa<SoftwareCipher> {
        let a = self.child_a();
        let (far, host) = self.hosts();
        ChildSa {
            policy: a.policy,
            inbound: a.outbound,
            outbound: a.inbound,
            mode: a.mode,
            local: a.remote,
            remote: a.local,
            encapsulation: a.encapsulation,
            extended_sequence: a.extended_sequence,
            local_ts: all(host),
            remote_ts: all(far),
            lifetime: a.lifetime,
            level: a.level,
            peer: PeerKey([0xa; 32]),
            may_send: true,
            keys: KeyPair {
                inbound: Cipher::new(&key(self.algorithm, 2)).unwrap(),
                outbound: Cipher::new(&key(self.algorithm, 1)).unwrap(),
            },
        }
    }

    pub fn engine_a<'r>(&self, memory: &'r mut Memory, settings: Settings) -> TestEngine<'r> {
        let mut engine = Engine::new(settings, memory);
        engine.add_policy(self.policy()).unwrap();
        engine.install(NOW, self.child_a()).unwrap();
        engine
    }

    pub fn engine_b<'r>(&self, memory: &'r mut Memory, settings: Settings) -> TestEngine<'r> {
        let mut engine = Engine::new(settings, memory);
        let policy = self.policy();
        let policy = Policy { local: policy.remote, remote: policy.local, ..policy };
        engine.add_policy(policy).unwrap();
        engine.install(NOW, self.child_b()).unwrap();
        engine
    }

    /// A TCP packet from A's host to B's.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let (a, b) = self.hosts();
        tcp(a, b, 1024, 179, 0x18, &[], payload)
    }
}

pub const NOW: Instant = Instant::from_millis(1_000_000);

pub fn after(ms: u64) -> Instant {
    Instant::from_millis(NOW.as_millis() + ms)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn all<const N: usize>(address: IpAddr) -> heapless::Vec<TrafficSelector, N, u8> {
    [TrafficSelector::all(AddressRange::single(address))].into_iter().collect()
}

/// A key that depends on `seed`.
pub fn key(algorithm: Algorithm, seed: u8) -> RawKey {
    let octets: Vec<u8> = (0..algorithm.key_length()).map(|i| seed.wrapping_mul(37) ^ i as u8).collect();
    RawKey::new(algorithm, &octets).unwrap()
}

/// An IPv4 or IPv6 packet around `body`, with an octet of hop limit 64.
pub fn packet(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0];
            header[2..4].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            header[4..6].copy_from_slice(&(body.len() as u16).to_be_bytes());
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        _ => panic!("addresses of two families"),
    };
    octets.extend(body);
    octets
}

pub fn tcp(
    source: IpAddr,
    destination: IpAddr,
    from: u16,
    to: u16,
    flags: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.to_be_bytes());
    segment.extend(to.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2]);
    segment.extend([((20 + options.len() as u8) / 4) << 4, flags, 0x10, 0, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    let sum = upper_checksum(source, destination, 6, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    packet(source, destination, 6, &segment)
}

pub fn udp(source: IpAddr, destination: IpAddr, from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let sum = upper_checksum(source, destination, 17, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    packet(source, destination, 17, &datagram)
}

/// Zero over a segment that carries its right checksum.
pub fn upper_checksum(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> u16 {
    let octets = |address| match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let length = (body.len() as u32).to_be_bytes();
    checksum(&[&octets(source), &octets(destination), &[0, protocol], &length, body])
}

pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// Sends a packet through an engine that must seal it.
pub fn seal(engine: &mut TestEngine<'_>, now: Instant, clear: &[u8]) -> Vec<u8> {
    let Outbound::Seal(seal) = engine.outbound(now, clear) else { panic!("not sealed") };
    let mut frame = vec![0xee; seal.length() + 9];
    let length = seal.length();
    assert_eq!(engine.seal(seal, clear, &mut frame), Ok(length));
    assert_eq!(frame[length..], [0xee; 9], "nothing behind the packet is written");
    frame.truncate(length);
    let is_confidential = engine.sas().all(|sa| sa.algorithm.is_confidential());
    assert!(!is_confidential || !contains(&frame, MARKER));
    frame
}

/// Passes a packet to an engine: the clear packet if it delivers one.
pub fn open(engine: &mut TestEngine<'_>, now: Instant, sealed: &[u8]) -> Result<Vec<u8>, Inbound> {
    let mut frame = sealed.to_vec();
    match engine.inbound(now, &mut frame) {
        Inbound::Deliver(place) => Ok(frame[place].to_vec()),
        other => Err(other),
    }
}

pub fn contains(octets: &[u8], marker: &[u8]) -> bool {
    octets.windows(marker.len()).any(|window| window == marker)
}

/// An authentic ESP packet towards A with whatever text: payload, padding, pad length, next header.
pub fn craft(case: &Case, sequence: u64, text: &[u8]) -> Vec<u8> {
    let spi = Spi::new(A_SPI).unwrap();
    let cipher = SoftwareCipher::new(&key(case.algorithm, 1)).unwrap();
    let (mut iv, mut text, mut icv) = (vec![0; case.algorithm.iv_length()], text.to_vec(), [0; 16]);
    let associated = Associated::Esp { spi, sequence, extended: case.extended };
    cipher.seal(sequence, associated, &mut iv, &mut text, &mut icv);
    let mut esp = Vec::new();
    esp.extend(spi.get().to_be_bytes());
    esp.extend((sequence as u32).to_be_bytes());
    esp.extend(iv);
    esp.extend(text);
    esp.extend(icv);
    let (a, b) = case.gates();
    if case.encapsulated { udp(b, a, 4500, 4500, &esp) } else { packet(b, a, 50, &esp) }
}

/// A text of `payload` with the padding that RFC 4303 §2.4 asks of a cipher without blocks.
pub fn padded(payload: &[u8], next_header: u8) -> Vec<u8> {
    padded_to(4, payload, next_header)
}

/// The same for a cipher whose text ends on another boundary.
pub fn padded_to(boundary: usize, payload: &[u8], next_header: u8) -> Vec<u8> {
    let mut text = payload.to_vec();
    let padding = (payload.len() + 2).next_multiple_of(boundary) - payload.len() - 2;
    text.extend((1..=padding).map(|value| value as u8));
    text.extend([padding as u8, next_header]);
    text
}
