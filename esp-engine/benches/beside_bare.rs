//! What the packet path adds to the bare cipher, on machines that do other things as well: short
//! batches of both take turns, and the quickest batch of each counts. `cargo bench -p esp-engine
//! --bench beside_bare`.

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

use common::*;
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Associated, Cipher};
use esp_engine::engine::{Engine, Inbound};
use esp_engine::resources::Resources;
use esp_engine::sa::Spi;

const SIZES: [usize; 3] = [64, 512, 1408];
const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::Aes128Gcm16,
    Algorithm::ChaCha20Poly1305,
    Algorithm::Aes128CbcHmacSha256,
    Algorithm::NullHmacSha256,
    Algorithm::Aes128Gmac,
];
/// Packets in a batch.
const BATCH: usize = 50;
/// Batches of each kind.
const ROUNDS: usize = 2000;

/// Nanoseconds for one packet, in the quickest batch so far.
struct Best(Duration);

impl Best {
    fn new() -> Self {
        Self(Duration::MAX)
    }

    fn time(&mut self, batch: impl FnOnce()) {
        let start = Clock::now();
        batch();
        self.0 = self.0.min(start.elapsed());
    }

    fn nanoseconds(&self) -> f64 {
        self.0.as_nanos() as f64 / BATCH as f64
    }
}

fn main() {
    println!("{:<20} {:>6} {:>4} {:>9} {:>9} {:>6}", "ns per packet", "octets", "", "bare", "whole", "ratio");
    for algorithm in ALGORITHMS {
        for size in SIZES {
            let mut memory = Box::new(Resources::new());
            let mut engine = engine::<4>(algorithm, &mut memory);
            let [seal, open] = measure(algorithm, size, &mut engine);
            for (way, (bare, whole)) in [("seal", seal), ("open", open)] {
                let (bare, whole) = (bare.nanoseconds(), whole.nanoseconds());
                let name = format!("{algorithm:?}");
                println!("{name:<20} {size:>6} {way:>4} {bare:>9.0} {whole:>9.0} {:>6.2}", whole / bare);
            }
        }
    }
    // The largest table passes through the stack on its way to the heap.
    std::thread::Builder::new().stack_size(512 << 20).spawn(by_table).unwrap().join().unwrap();
}

/// The packet path with more and more SAs, each packet on another SA than the one before. What it cannot do
/// without is a cipher whose keys lie in memory that is not in the caches: so the yardstick is the bare cipher
/// with as many keys, taking turns.
fn by_table() {
    let mut rooms = (Box::new(Resources::new()), Box::new(Resources::new()), Box::new(Resources::new()));
    let mut tables = [
        Table::new::<4>(&mut rooms.0),
        Table::new::<1_000>(&mut rooms.1),
        Table::new::<65_000>(&mut rooms.2),
    ];
    for _ in 0..ROUNDS {
        tables.iter_mut().for_each(Table::round);
    }
    println!(
        "AES-128-GCM, 1408 octets, each packet under another key; in brackets in terms of the first line"
    );
    println!(
        "{:>6} {:>18} {:>18} {:>6} {:>18} {:>18} {:>6}",
        "SAs", "seal: bare", "whole", "ratio", "open: bare", "whole", "ratio"
    );
    let [first, ..] = tables.each_ref().map(|table| table.best.each_ref().map(Best::nanoseconds));
    for table in &tables {
        let own = table.best.each_ref().map(Best::nanoseconds);
        let shown: Vec<_> =
            own.iter().zip(first).map(|(own, first)| format!("{own:.0} ({:.2})", own / first)).collect();
        println!(
            "{:>6} {:>18} {:>18} {:>6.2} {:>18} {:>18} {:>6.2}",
            table.ciphers.len(),
            shown[0],
            shown[1],
            own[1] / own[0],
            shown[2],
            shown[3],
            own[3] / own[2]
        );
    }
}

/// An engine with its SAs, and as many bare ciphers.
struct Table<'r> {
    engine: Engine<'r, SoftwareCipher>,
    ciphers: Vec<SoftwareCipher>,
    turn: usize,
    /// Seal bare and whole, open bare and whole.
    best: [Best; 4],
}

impl<'r> Table<'r> {
    fn new<const SAS: usize>(memory: &'r mut Resources<SoftwareCipher, 1, SAS, 2>) -> Self {
        let algorithm = Algorithm::Aes128Gcm16;
        let ciphers = (0..SAS).map(|_| SoftwareCipher::new(&key(algorithm)).unwrap()).collect();
        let best = std::array::from_fn(|_| Best::new());
        Self { engine: engine::<SAS>(algorithm, memory), ciphers, turn: 0, best }
    }

    fn round(&mut self) {
        let Self { engine, ciphers, turn, best } = self;
        let [bare_seal, whole_seal, bare_open, whole_open] = best;
        let mut next = || {
            *turn = (*turn + 7_919) % ciphers.len();
            *turn
        };
        let associated = Associated::Esp { spi: Spi::new(4096).unwrap(), sequence: 1, extended: true };
        let mut clear = packet(US, peer(0), 1408);
        let mut frame = vec![0; 1600];
        let mut texts = vec![vec![0x5a; 1412]; BATCH];
        let (mut iv, mut icvs) = ([0; 8], [[0; 16]; BATCH]);
        let keys: Vec<_> = (0..BATCH).map(|_| next()).collect();
        bare_seal.time(|| {
            for ((text, icv), key) in texts.iter_mut().zip(&mut icvs).zip(&keys) {
                ciphers[*key].seal(1, associated, &mut iv, black_box(text), icv);
            }
        });
        bare_open.time(|| {
            for ((text, icv), key) in texts.iter_mut().zip(&icvs).zip(&keys) {
                ciphers[*key].open(associated, &iv, black_box(text), icv).unwrap();
            }
        });
        whole_seal.time(|| {
            for _ in 0..BATCH {
                seal(engine, towards(&mut clear, next() as u32), &mut frame);
            }
        });
        let frames = (0..BATCH).map(|_| answer(engine, towards(&mut clear, next() as u32)));
        let mut frames: Vec<_> = frames.collect();
        whole_open.time(|| {
            for frame in &mut frames {
                assert!(matches!(engine.inbound(NOW, black_box(frame)), Inbound::Deliver(_)));
            }
        });
    }
}

/// Bare and whole, for seal and for open.
fn measure(algorithm: Algorithm, size: usize, engine: &mut Engine<'_, SoftwareCipher>) -> [(Best, Best); 2] {
    let cipher = SoftwareCipher::new(&key(algorithm)).unwrap();
    let associated = Associated::Esp { spi: Spi::new(4096).unwrap(), sequence: 1, extended: true };
    let mut text = vec![0x5a; (size + 2).next_multiple_of(algorithm.block_length().max(4))];
    let (mut iv, mut icv) = ([0; 16], [0; 16]);
    let iv = &mut iv[..algorithm.iv_length()];
    cipher.seal(1, associated, iv, &mut text, &mut icv);
    let sealed = text.clone();
    let mut clear = packet(US, peer(0), size);
    let clear = towards(&mut clear, 1);
    let mut frame = vec![0; 1600];
    let mut best = [(Best::new(), Best::new()), (Best::new(), Best::new())];
    for _ in 0..ROUNDS {
        let [(bare_seal, whole_seal), (bare_open, whole_open)] = &mut best;
        bare_seal.time(|| {
            for _ in 0..BATCH {
                cipher.seal(1, associated, black_box(&mut *iv), black_box(&mut text), &mut [0; 16]);
            }
        });
        whole_seal.time(|| {
            for _ in 0..BATCH {
                seal(engine, clear, &mut frame);
            }
        });
        let mut texts = vec![sealed.clone(); BATCH];
        bare_open.time(|| {
            for text in &mut texts {
                cipher.open(associated, iv, black_box(text), &icv).unwrap();
            }
        });
        let mut frames: Vec<_> = (0..BATCH).map(|_| answer(engine, clear)).collect();
        whole_open.time(|| {
            for frame in &mut frames {
                assert!(matches!(engine.inbound(NOW, black_box(frame)), Inbound::Deliver(_)));
            }
        });
    }
    best
}
