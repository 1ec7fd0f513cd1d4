//! Nanoseconds for one ESP packet, beside the bare cipher on the same octets: what the packet path
//! adds is the difference. `cargo bench -p esp-engine`.

mod common;

use std::hint::black_box;

use common::*;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Associated, Cipher};
use esp_engine::engine::Inbound;
use esp_engine::resources::Resources;
use esp_engine::sa::Spi;

/// Octets of the payload that ESP carries.
const SIZES: [usize; 3] = [64, 512, 1408];
const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::Aes128Gcm16,
    Algorithm::ChaCha20Poly1305,
    Algorithm::Aes128CbcHmacSha256,
    Algorithm::NullHmacSha256,
    Algorithm::Aes128Gmac,
];
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
            group.bench_function(BenchmarkId::new(format!("open/{algorithm:?}"), size), |b| {
                b.iter_custom(|times| {
                    let mut spent = std::time::Duration::ZERO;
                    let mut left = times;
                    while left > 0 {
                        let batch = left.min(32);
                        let sealed = |_| answer(&mut engine, towards(&mut clear, next()));
                        let mut frames: Vec<_> = (0..batch).map(sealed).collect();
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
