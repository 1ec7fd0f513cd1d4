//! An engine that opens what it seals, and the packets for it.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, MAX_KEY, RawKey};
use esp_engine::engine::{Engine, Outbound, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::{ChildSa, KeyPair, Lifetime, Mode, PeerKey, Spi};
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::{Action, Level, Policy, PolicyId};
use esp_engine::time::Instant;

pub const NOW: Instant = Instant::from_millis(1000);
pub const US: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

pub fn peer(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + n))
}

fn only<const N: usize>(range: AddressRange) -> heapless::Vec<TrafficSelector, N, u8> {
    [TrafficSelector::all(range)].into_iter().collect()
}

pub fn key(algorithm: Algorithm) -> RawKey {
    RawKey::new(algorithm, &[7; MAX_KEY][..algorithm.key_length()]).unwrap()
}

/// An engine whose one policy is served by `SAS` pairs of SAs; both directions share a key, so that it
/// opens what it seals.
pub fn engine<const SAS: usize>(
    algorithm: Algorithm,
    memory: &mut Resources<SoftwareCipher, 1, SAS, 2>,
) -> Engine<'_, SoftwareCipher> {
    let mut engine = Engine::new(Settings::default(), memory);
    let action = Action::Protect { mode: Mode::Transport, minimum: Level::Any };
    let far = AddressRange::prefix(peer(0), 8).unwrap();
    engine.add_policy(Policy { local: only(AddressRange::single(US)), remote: only(far), action }).unwrap();
    for n in 0..SAS as u32 {
        let spi = Spi::for_slot(n as u16, engine.slots(), 0);
        let child = ChildSa {
            policy: PolicyId(0),
            inbound: spi,
            outbound: spi,
            mode: Mode::Transport,
            local: US,
            remote: peer(n),
            encapsulation: None,
            extended_sequence: true,
            local_ts: only(AddressRange::single(US)),
            remote_ts: only(AddressRange::single(peer(n))),
            lifetime: Lifetime::default(),
            level: Level::Known,
            peer: PeerKey([1; 32]),
            may_send: true,
            keys: KeyPair { inbound: key(algorithm), outbound: key(algorithm) },
        };
        engine.install(NOW, child.build().unwrap()).unwrap();
    }
    engine
}

/// An IPv4 packet with `payload` octets of an unassigned protocol.
pub fn packet(source: IpAddr, destination: IpAddr, payload: usize) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else { unreachable!() };
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 253, 0, 0];
    packet[2..4].copy_from_slice(&(20 + payload as u16).to_be_bytes());
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.resize(20 + payload, 0x5a);
    packet
}

/// Turns the packet to another peer.
pub fn towards(clear: &mut [u8], n: u32) -> &[u8] {
    if let IpAddr::V4(address) = peer(n) {
        clear[16..20].copy_from_slice(&address.octets());
    }
    clear
}

/// Decides and seals; octets of the frame.
pub fn seal(engine: &mut Engine<'_, SoftwareCipher>, clear: &[u8], frame: &mut [u8]) -> usize {
    let Outbound::Seal(seal) = engine.outbound(NOW, black_box(clear)) else { unreachable!("an SA is there") };
    engine.seal(seal, clear, frame).unwrap()
}

/// Seals a packet and turns the frame around, as if the other end had sent it: nothing in ESP covers
/// the addresses.
pub fn answer(engine: &mut Engine<'_, SoftwareCipher>, clear: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 1600];
    let length = seal(engine, clear, &mut frame);
    frame.truncate(length);
    for octet in 12..16 {
        frame.swap(octet, octet + 4);
    }
    frame
}
