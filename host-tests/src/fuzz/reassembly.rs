//! Reassembly of IP fragments below the stack. All fragments of a datagram are cut from one pattern, so
//! whatever comes out whole must be that pattern, however it was cut, mixed, doubled and spoiled.

use std::time::Duration;

use esp_engine::reassembly::{Collected, FragmentError, HEADROOM, Reassembly};
use esp_engine::time::Instant;

use super::Script;

/// Fragments of up to four datagrams and any octets in any order, while time passes.
pub fn run(octets: &[u8]) {
    let mut script = Script::new(octets);
    let mut reassembly = Reassembly::new();
    let mut now = Instant::ZERO;
    // Whether all octets so far are from the pattern.
    let mut is_pure = true;
    while let Some(act) = script.more() {
        match act % 8 {
            0 => now = now + Duration::from_millis(u64::from(script.octet()) * 16),
            1 => {
                is_pure = false;
                let length = usize::from(script.octet());
                check(reassembly.collect(now, script.octets(length), |_| true), None);
            }
            2 => {
                let fragment = Fragment::read(&mut script).packet();
                let collected = reassembly.collect(now, &fragment, |_| false);
                assert!(matches!(
                    collected,
                    Collected::Passed | Collected::Dropped(FragmentError::Malformed)
                ));
            }
            3 => {
                is_pure = false;
                let mut packet = Fragment::read(&mut script).packet();
                let place = script.below(packet.len().min(60));
                packet[place] ^= script.octet();
                let _ = reassembly.collect(now, &packet, |_| true);
            }
            _ => {
                let fragment = Fragment::read(&mut script);
                let collected = reassembly.collect(now, &fragment.packet(), |_| true);
                check(collected, is_pure.then_some(&fragment));
            }
        }
    }
}

/// One fragment of the pattern.
struct Fragment {
    is_v6: bool,
    protocol: u8,
    datagram: u8,
    block: u16,
    length: u16,
    more: bool,
    congestion: u8,
    options: u8,
}

impl Fragment {
    fn read(script: &mut Script<'_>) -> Self {
        let kind = script.octet();
        Self {
            is_v6: kind & 1 == 1,
            protocol: if kind & 2 == 0 { 50 } else { 17 },
            datagram: kind >> 2 & 3,
            congestion: kind >> 4 & 3,
            options: kind >> 6,
            // Mostly within the 256 blocks of a context.
            block: script.number() & 0x01ff,
            length: script.number() & 0x07ff,
            more: script.flag(),
        }
    }

    fn octet(&self, at: usize) -> u8 {
        (at * 7 % 251) as u8 ^ self.datagram << 6 ^ self.protocol ^ u8::from(self.is_v6)
    }

    fn data(&self) -> Vec<u8> {
        let from = usize::from(self.block) * 8;
        (from..from + usize::from(self.length)).map(|at| self.octet(at)).collect()
    }

    fn packet(&self) -> Vec<u8> {
        if self.is_v6 { self.v6() } else { self.v4() }
    }

    fn v4(&self) -> Vec<u8> {
        let (data, options) = (self.data(), usize::from(self.options) * 4);
        let header = 20 + options;
        let place = self.block | if self.more { 0x2000 } else { 0 };
        let mut packet = vec![0x40 | (header / 4) as u8, self.congestion];
        packet.extend(((header + data.len()) as u16).to_be_bytes());
        packet.extend([0, self.datagram]);
        packet.extend(place.to_be_bytes());
        packet.extend([64, self.protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        packet.extend(vec![1; options]);
        packet.extend(data);
        packet
    }

    fn v6(&self) -> Vec<u8> {
        let (data, options) = (self.data(), usize::from(self.options) * 8);
        let mut packet = vec![0x60, self.congestion << 4, 0, 0];
        packet.extend(((options + 8 + data.len()) as u16).to_be_bytes());
        packet.extend([if options > 0 { 60 } else { 44 }, 64]);
        packet.extend([0x20; 15].iter().chain(&[1]).chain(&[0x20; 15]).chain(&[2]));
        if options > 0 {
            packet.extend([44, self.options - 1]);
            packet.extend(vec![0; options - 2]);
        }
        packet.extend([self.protocol, 0]);
        packet.extend((self.block << 3 | u16::from(self.more)).to_be_bytes());
        packet.extend([0, 0, 0, self.datagram]);
        packet.extend(data);
        packet
    }
}

/// What comes out whole is an IP packet without fragment fields; its payload is the pattern that the last
/// fragment was cut from, if there is one.
fn check(collected: Collected<'_>, last: Option<&Fragment>) {
    let Collected::Whole(datagram) = collected else {
        return;
    };
    let packet = &datagram[HEADROOM..];
    let header = match packet[0] >> 4 {
        4 => check_v4(packet),
        6 => check_v6(packet),
        version => panic!("IP version {version}"),
    };
    if let Some(last) = last {
        let is_pattern = packet[header..].iter().enumerate().all(|(at, octet)| *octet == last.octet(at));
        assert!(is_pattern, "other octets than were sent");
    }
}

/// Octets of the header.
fn check_v4(packet: &[u8]) -> usize {
    let header = usize::from(packet[0] & 0x0F) * 4;
    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
    assert_eq!([packet[6] & 0x3F, packet[7]], [0, 0], "fragment fields");
    let words = packet[..header].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF, "checksum");
    header
}

/// Octets of the headers in front of ESP or UDP.
fn check_v6(packet: &[u8]) -> usize {
    assert_eq!(40 + usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
    let (mut next, mut header) = (packet[6], 40);
    while !matches!(next, 50 | 17) {
        assert_ne!(next, 44, "a fragment header");
        next = packet[header];
        header += 8 + usize::from(packet[header + 1]) * 8;
    }
    header
}
