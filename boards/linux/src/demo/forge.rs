//! Frames that an attacker makes.

use std::net::Ipv4Addr;

use crate::port::checksum;

/// TCP flag: open a connection.
pub const SYN: u8 = 0x02;
/// TCP flag: end a connection at once.
pub const RST: u8 = 0x04;

/// One end of a TCP connection on Ethernet.
#[derive(Copy, Clone)]
pub struct TcpEnd {
    /// Hardware address.
    pub hardware: [u8; 6],
    /// IP address.
    pub address: Ipv4Addr,
    /// Port.
    pub port: u16,
}

/// A clear TCP segment without data, right down to its checksums.
pub fn tcp_segment(source: TcpEnd, destination: TcpEnd, flags: u8, sequence: u32) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(destination.hardware);
    frame.extend(source.hardware);
    frame.extend([0x08, 0x00]);
    // IPv4, 40 octets in all, do not fragment, TTL 64, TCP, no checksum yet.
    frame.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(source.address.octets());
    frame.extend(destination.address.octets());
    frame.extend(source.port.to_be_bytes());
    frame.extend(destination.port.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff]);
    frame.extend(pseudo_header_sum(source.address, destination.address).to_be_bytes());
    frame.extend([0, 0]);
    let (header, tcp) = frame.split_at_mut(34);
    checksum::finish(tcp, 0, 16);
    checksum::finish(header, 14, 10);
    frame
}

fn pseudo_header_sum(source: Ipv4Addr, destination: Ipv4Addr) -> u16 {
    let words = |address: Ipv4Addr| {
        let [a, b, c, d] = address.octets();
        u32::from(u16::from_be_bytes([a, b])) + u32::from(u16::from_be_bytes([c, d]))
    };
    let sum = words(source) + words(destination) + 6 + 20;
    u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(0)
}

/// `frame` with one bit of its last octet but 20 turned over: ciphertext, in an ESP packet.
pub fn flip_one_bit(frame: &[u8]) -> Vec<u8> {
    let mut flipped = frame.to_vec();
    if let Some(octet) = flipped.iter_mut().rev().nth(20) {
        *octet ^= 1;
    }
    flipped
}

/// The packet with its sequence number 2^20 ahead: one bit, and one that no window has seen.
pub fn ahead_of_time(frame: &[u8]) -> Vec<u8> {
    // Ethernet 14, IPv4 20, UDP 8, SPI 4; UDP's checksum is given up, which IPv4 allows.
    let mut flipped = frame.to_vec();
    if let Some(checksum) = flipped.get_mut(40..42) {
        checksum.fill(0);
    }
    if let Some(octet) = flipped.get_mut(47) {
        *octet ^= 0x10;
    }
    flipped
}

/// An echo request from 10.2.0.1 to 10.1.0.2 in a frame like this one.
pub fn clear_ping(frame: &[u8]) -> Vec<u8> {
    let mut ping = frame.get(..14).unwrap_or_default().to_vec();
    ping.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0]);
    ping.extend(Ipv4Addr::new(10, 2, 0, 1).octets());
    ping.extend(Ipv4Addr::new(10, 1, 0, 2).octets());
    ping.extend([8, 0, 0, 0, 0, 1, 0, 1]);
    let (header, icmp) = ping.split_at_mut(34);
    checksum::finish(header, 14, 10);
    checksum::finish(icmp, 0, 2);
    ping
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_segment_has_the_checksums_that_a_stack_asks_for() {
        let end =
            |n, port| TcpEnd { hardware: [2, 0, 0, 0, 0, n], address: Ipv4Addr::new(192, 0, 2, n), port };
        let frame = tcp_segment(end(2, 179), end(1, 50_000), RST, 7);
        let packet = sums_are_right(&frame);
        assert_eq!(packet, (true, true));
    }

    /// Sums over the header and over the segment with its pseudo header, both of which must be all ones.
    fn sums_are_right(frame: &[u8]) -> (bool, bool) {
        let sum = |octets: &[u8]| {
            octets.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum::<u32>()
        };
        let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
        let pseudo = sum(&frame[26..34]) + 6 + 20;
        (fold(sum(&frame[14..34])) == 0xffff, fold(fold(sum(&frame[34..]) + pseudo)) == 0xffff)
    }
}
