//! What the stack is told about a packet that no longer fits once it is sealed: "fragmentation
//! needed" (RFC 1191 §4) or "packet too big" (RFC 4443 §3.2), addressed from the packet's
//! destination since no router has an address here.

use super::link::Medium;
use crate::wire::ip::{ICMP, ICMP_V6};
use crate::wire::{Checksum, put};

/// Octets of the packet that come back with the error: headers of every usual chain.
const QUOTE: usize = 128;
/// Octets of the longest error: link header, IPv6 header, ICMPv6 header, quote.
pub(crate) const MAX_ERROR: usize = 14 + 40 + 8 + QUOTE;

const HOPS: u8 = 255;

/// A frame for the stack.
pub(crate) type ErrorFrame = heapless::Vec<u8, MAX_ERROR>;

/// The error for the packet in `frame`, whose link header has `medium`'s length. `None` for
/// packets that no error may answer: ICMP errors, IPv4 fragments behind the first, groups as destination.
pub(crate) fn too_big(medium: Medium, frame: &[u8], mtu: u16) -> Option<ErrorFrame> {
    let (link, packet) = frame.split_at_checked(medium.header_length())?;
    let mut error = ErrorFrame::new();
    // Back to where it came from.
    error.extend_from_slice(link.get(6..12).unwrap_or_default()).ok()?;
    error.extend_from_slice(link.get(..6).unwrap_or_default()).ok()?;
    error.extend_from_slice(link.get(12..).unwrap_or_default()).ok()?;
    match packet.first()? >> 4 {
        4 => fragmentation_needed(packet, mtu, &mut error)?,
        6 => packet_too_big(packet, mtu, &mut error)?,
        _ => return None,
    }
    Some(error)
}

fn fragmentation_needed(packet: &[u8], mtu: u16, error: &mut ErrorFrame) -> Option<()> {
    let header = packet.first_chunk::<20>()?;
    let [.., f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let options = packet.get(usize::from(header.first()? & 0xF) * 4..)?;
    let is_error = protocol == ICMP && !matches!(options.first()?, 0 | 8 | 13 | 14);
    if is_error || u16::from_be_bytes([f0 & 0x1F, f1]) != 0 || d0 >= 224 {
        return None;
    }
    let quote = packet.get(..packet.len().min(QUOTE))?;
    let [l0, l1] = u16::try_from(20 + 8 + quote.len()).ok()?.to_be_bytes();
    let mut ip = [0x45, 0, l0, l1, 0, 0, 0, 0, HOPS, ICMP, 0, 0, d0, d1, d2, d3, s0, s1, s2, s3];
    let sum = Checksum::default().add(&ip).finish();
    put(&mut ip, 10, sum.to_be_bytes())?;
    let [m0, m1] = mtu.to_be_bytes();
    let [c0, c1] = Checksum::default().add(&[3, 4, 0, 0, 0, 0, m0, m1]).add(quote).finish().to_be_bytes();
    error.extend_from_slice(&ip).ok()?;
    error.extend_from_slice(&[3, 4, c0, c1, 0, 0, m0, m1]).ok()?;
    error.extend_from_slice(quote).ok()
}

fn packet_too_big(packet: &[u8], mtu: u16, error: &mut ErrorFrame) -> Option<()> {
    let (fixed, rest) = packet.split_first_chunk::<40>()?;
    let (source, destination) = fixed.get(8..)?.split_at_checked(16)?;
    let next = *fixed.get(6)?;
    // Errors have types below 128; groups may be answered (RFC 4443 §2.4 e), but not from their address.
    if (next == ICMP_V6 && *rest.first()? < 128) || *destination.first()? == 0xFF {
        return None;
    }
    let quote = packet.get(..packet.len().min(QUOTE))?;
    let [l0, l1] = u16::try_from(8 + quote.len()).ok()?.to_be_bytes();
    let [m0, m1] = mtu.to_be_bytes();
    let pseudo = [0, 0, l0, l1, 0, 0, 0, ICMP_V6];
    let sum = Checksum::default().add(destination).add(source).add(&pseudo);
    let [c0, c1] = sum.add(&[2, 0, 0, 0, 0, 0, m0, m1]).add(quote).finish().to_be_bytes();
    error.extend_from_slice(&[0x60, 0, 0, 0, l0, l1, ICMP_V6, HOPS]).ok()?;
    error.extend_from_slice(destination).ok()?;
    error.extend_from_slice(source).ok()?;
    error.extend_from_slice(&[2, 0, c0, c1, 0, 0, m0, m1]).ok()?;
    error.extend_from_slice(quote).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(fragment: u8, protocol: u8, destination: u8, first: u8) -> [u8; 40] {
        let mut packet = [0; 40];
        packet[..20].copy_from_slice(&[
            0x45,
            0,
            0,
            40,
            0,
            0,
            0x40,
            fragment,
            64,
            protocol,
            0,
            0,
            192,
            0,
            2,
            1,
            destination,
            0,
            2,
            2,
        ]);
        packet[20] = first;
        packet
    }

    fn ipv6(next: u8, destination: u8, first: u8) -> [u8; 48] {
        let mut packet = [0; 48];
        (packet[0], packet[5], packet[6], packet[24], packet[40]) = (0x60, 8, next, destination, first);
        packet
    }

    /// RFC 1122 §3.2.2, RFC 4443 §2.4 (e): no error answers an error, a group, or a later fragment.
    #[test]
    fn some_packets_are_never_answered() {
        let answered = |packet: &[u8]| too_big(Medium::Ip, packet, 1_400).is_some();
        assert!(answered(&ipv4(0, 17, 192, 0)));
        assert!(answered(&ipv4(0, 1, 192, 8)), "an echo request is no error");
        assert!(!answered(&ipv4(0, 1, 192, 3)));
        assert!(!answered(&ipv4(1, 17, 192, 0)));
        assert!(!answered(&ipv4(0, 17, 224, 0)));
        assert!(answered(&ipv6(17, 0xFD, 0)));
        assert!(answered(&ipv6(58, 0xFD, 128)));
        assert!(!answered(&ipv6(58, 0xFD, 1)));
        assert!(!answered(&ipv6(17, 0xFF, 0)));
        assert!(!answered(&[0x50; 60]) && !answered(&[]) && !answered(&[0x45; 19]));
    }

    #[test]
    fn an_odd_quote_has_a_right_checksum() {
        let mut packet = [7; 61];
        packet[..40].copy_from_slice(&ipv4(0, 17, 192, 0));
        let error = too_big(Medium::Ip, &packet, 1_400).unwrap();
        assert_eq!(error.len(), 28 + 61);
        assert_eq!(Checksum::default().add(&error[..20]).finish(), 0);
        assert_eq!(Checksum::default().add(&error[20..]).finish(), 0);
    }
}
