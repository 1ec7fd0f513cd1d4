//! Nanoseconds for one ESP packet, beside the bare cipher on the same octets: what the packet path
//! adds is the difference. `cargo bench -p esp-engine`.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Associated, Cipher, RawKey};
use esp_engine::engine::{Engine, Inbound, Outbound, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::{ChildSa, KeyPair, Lifetime, Mode, PeerKey, Spi};
use esp_engine::selector::{AddressRange, TrafficSelector, TrafficSelectors};
use esp_engine::spd::{Action, Level, Policy, PolicyId};
use esp_engine::time::Instant;

/// Octets of the payload that ESP carries.
const SIZES: [usize; 3] = [64, 512, 1408];
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Aes128Gcm16, Algorithm::ChaCha20Poly1305];
const NOW: Instant = Instant::from_millis(1000);
const US: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn peer(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + n))
}

fn only(range: AddressRange) -> TrafficSelectors {
    [TrafficSelector::all(range)].into_iter().collect()
}

fn key(algorithm: Algorithm) -> RawKey {
    RawKey::new(algorithm, &[7; 36][..algorithm.key_length()]).unwrap()
}

/// An engine whose one policy is served by `SAS` pairs of SAs; both directions share a key, so that it
/// opens what it seals.
fn engine<const SAS: usize>(
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
fn packet(source: IpAddr, destination: IpAddr, payload: usize) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else { unreachable!() };
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 253, 0, 0];
    packet[2..4].copy_from_slice(&(20 + payload as u16).to_be_bytes());
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.resize(20 + payload, 0x5a);
    packet
}

/// The cipher alone, on as many octets as ESP encrypts: payload and trailer.
fn bare(c: &mut Criterion) {
    let mut group = c.benchmark_group("bare");
    for algorithm in ALGORITHMS {
        for size in SIZES {
            let cipher = SoftwareCipher::new(&key(algorithm)).unwrap();
            let mut text = vec![0x5a; (size + 2).next_multiple_of(4)];
            let associated = Associated::Esp { spi: Spi::new(4096).unwrap(), sequence: 1, extended: true };
            let (mut iv, mut icv) = ([0; 8], [0; 16]);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(format!("seal/{algorithm:?}"), size), |b| {
                b.iter(|| cipher.seal(1, associated, &mut iv, black_box(&mut text), &mut icv));
            });
            text.fill(0x5a);
            cipher.seal(1, associated, &mut iv, &mut text, &mut icv);
            let sealed = text.clone();
            group.bench_function(BenchmarkId::new(format!("open/{algorithm:?}"), size), |b| {
                let fresh = || sealed.clone();
                let open = |text: &mut Vec<u8>| cipher.open(associated, &iv, text, &icv).unwrap();
                b.iter_batched_ref(fresh, open, BatchSize::SmallInput);
            });
        }
    }
}

/// The whole packet path, from clear IP packet to sealed IP packet and back.
fn whole<const SAS: usize>(c: &mut Criterion) {
    let mut group = c.benchmark_group(format!("whole/{SAS} SAs"));
    for algorithm in ALGORITHMS {
        for size in SIZES {
            let mut memory = Box::new(Resources::new());
            let mut engine = engine::<SAS>(algorithm, &mut memory);
            // Another SA each time, so that the table's size shows.
            let mut n = 0;
            let mut next = move || {
                n = (n + 7919) % SAS as u32;
                n
            };
            let mut clear = packet(US, peer(0), size);
            let mut frame = vec![0; 1600];
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(format!("seal/{algorithm:?}"), size), |b| {
                b.iter(|| seal(&mut engine, towards(&mut clear, next()), &mut frame));
            });
            let mut sealed = |engine: &mut Engine<'_, _>, n: u32| {
                let mut frame = vec![0; 1600];
                let length = seal(engine, towards(&mut clear, n), &mut frame);
                frame.truncate(length);
                // The answer comes from the other end; nothing in ESP covers the addresses.
                for octet in 12..16 {
                    frame.swap(octet, octet + 4);
                }
                frame
            };
            group.bench_function(BenchmarkId::new(format!("open/{algorithm:?}"), size), |b| {
                b.iter_custom(|times| {
                    let mut spent = std::time::Duration::ZERO;
                    let mut left = times;
                    while left > 0 {
                        let batch = left.min(32);
                        let mut frames: Vec<_> = (0..batch).map(|_| sealed(&mut engine, next())).collect();
                        let start = std::time::Instant::now();
                        for frame in &mut frames {
                            let verdict = engine.inbound(NOW, black_box(frame));
                            assert!(matches!(verdict, Inbound::Deliver(_)), "{verdict:?}");
                        }
                        spent += start.elapsed();
                        left -= batch;
                    }
                    spent
                });
            });
        }
    }
}

fn towards(clear: &mut [u8], n: u32) -> &[u8] {
    if let IpAddr::V4(address) = peer(n) {
        clear[16..20].copy_from_slice(&address.octets());
    }
    clear
}

fn seal(engine: &mut Engine<'_, SoftwareCipher>, clear: &[u8], frame: &mut [u8]) -> usize {
    let Outbound::Seal(seal) = engine.outbound(NOW, black_box(clear)) else { unreachable!("an SA is there") };
    engine.seal(seal, clear, frame).unwrap()
}

criterion_group! {
    name = packets;
    config = Criterion::default().sample_size(30)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = bare, whole::<4>, whole::<1000>, whole::<65_000>
}

/// The largest table passes through the stack on its way to the heap.
fn main() {
    let thread = std::thread::Builder::new().stack_size(512 << 20).spawn(packets).unwrap();
    thread.join().unwrap();
}
