//! What a packet costs beyond its cipher.

use core::net::Ipv4Addr;

use cortex_m_semihosting::hprintln;
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, Associated, Cipher, RawKey};
use esp_engine::engine::{Engine, Inbound, Outbound};
use esp_engine::sa::Spi;

use crate::measure::Stopwatch;
use crate::side::NOW;

const ROUNDS: u64 = 16;
const IPV4_HEADER: usize = 20;
/// Padding, pad length and next header, at most.
const TRAILER: usize = 6;

/// Sends packets of 64 and 1,408 octets from one engine to the other, and the same text through the bare cipher.
pub fn measure(
    from: &mut Engine<'_, SoftwareCipher>,
    to: &mut Engine<'_, SoftwareCipher>,
    algorithm: Algorithm,
    addresses: [Ipv4Addr; 2],
) {
    for length in [64, 1408] {
        let mut packet = [0; 1500];
        let packet = &mut packet[..length];
        fill(packet, addresses);
        let mut frame = [0; 1600];
        let (mut seal, mut open) = (0, 0);
        for _ in 0..ROUNDS {
            let watch = Stopwatch::new();
            let Outbound::Seal(order) = from.outbound(NOW, packet) else { panic!("no SA to send on") };
            let sealed = from.seal(order, packet, &mut frame).expect("the frame has room");
            seal += watch.instructions();
            let watch = Stopwatch::new();
            let verdict = to.inbound(NOW, &mut frame[..sealed]);
            open += watch.instructions();
            let Inbound::Deliver(clear) = verdict else { panic!("{:?}", verdict) };
            assert!(frame[clear][IPV4_HEADER..] == packet[IPV4_HEADER..], "another packet came out");
        }
        let text = (length - IPV4_HEADER + 2).next_multiple_of(4);
        let (bare_seal, bare_open) = bare(algorithm, text);
        for (what, whole, bare) in [("seal", seal / ROUNDS, bare_seal), ("open", open / ROUNDS, bare_open)] {
            hprintln!(
                "  {} {}: {} instructions, cipher alone {}, beyond it {}",
                what,
                length,
                whole,
                bare,
                whole.saturating_sub(bare)
            );
        }
    }
}

/// Instructions for one seal and one open of `length` octets by the cipher alone.
fn bare(algorithm: Algorithm, length: usize) -> (u64, u64) {
    let key = RawKey::new(algorithm, &[7; 36][..algorithm.key_length()]).expect("the length fits");
    let cipher = SoftwareCipher::new(&key).expect("the backend has the algorithm");
    let spi = Spi::new(0x1000).expect("not reserved");
    let mut text = [0; 1500 + TRAILER];
    let text = &mut text[..length];
    let (mut iv, mut icv) = ([0; 8], [0; 16]);
    let (mut seal, mut open) = (0, 0);
    for sequence in 1..=ROUNDS {
        let associated = Associated::Esp { spi, sequence, extended: true };
        let watch = Stopwatch::new();
        cipher.seal(sequence, associated, &mut iv, text, &mut icv);
        seal += watch.instructions();
        let watch = Stopwatch::new();
        cipher.open(associated, &iv, text, &icv).expect("its own work");
        open += watch.instructions();
    }
    (seal / ROUNDS, open / ROUNDS)
}

/// An IPv4 packet with UDP inside.
fn fill(packet: &mut [u8], [source, destination]: [Ipv4Addr; 2]) {
    let length = u16::try_from(packet.len()).expect("a packet");
    packet.fill(0x5A);
    packet[..IPV4_HEADER].fill(0);
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[8] = 64;
    packet[9] = 17;
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&destination.octets());
    let sum: u32 = packet[..IPV4_HEADER].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet[20..24].copy_from_slice(&[0x13, 0x88, 0x13, 0x88]);
    packet[24..26].copy_from_slice(&(length - IPV4_HEADER as u16).to_be_bytes());
    packet[26..28].fill(0);
}
