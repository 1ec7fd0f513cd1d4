//! The link layer around an IP packet: Ethernet II (RFC 894, RFC 2464) or nothing.

use core::ops::Range;

use super::Refusal;
use crate::wire::get_u16;
use crate::wire::ip::{V4_HEADER, V6_HEADER};

/// Octets of an Ethernet II header.
pub const ETHERNET_HEADER: usize = 14;

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;
/// IEEE 802.1Q, 802.1ad, and what came before it.
const VLAN: [u16; 3] = [0x8100, 0x88A8, 0x9100];

/// What lies in front of an IP packet.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Medium {
    /// An Ethernet II header.
    Ethernet,
    /// Nothing.
    Ip,
}

/// What a frame carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// Address resolution, which no policy speaks of.
    Arp,
    /// An IP packet at this place, padding of the link layer cut off.
    Packet(Range<usize>),
}

impl Medium {
    /// Octets in front of the IP packet.
    pub const fn header_length(self) -> usize {
        match self {
            Self::Ethernet => ETHERNET_HEADER,
            Self::Ip => 0,
        }
    }

    /// Finds the IP packet, whose own length decides where it ends.
    pub(super) fn parse(self, frame: &[u8]) -> Result<Content, Refusal> {
        let (ether_type, packet) = match self {
            Self::Ip => (None, frame),
            Self::Ethernet => {
                let (header, packet) =
                    frame.split_first_chunk::<ETHERNET_HEADER>().ok_or(Refusal::Malformed)?;
                let [.., high, low] = *header;
                (Some(u16::from_be_bytes([high, low])), packet)
            }
        };
        match ether_type {
            Some(ARP) => return Ok(Content::Arp),
            Some(vlan) if VLAN.contains(&vlan) => return Err(Refusal::Vlan),
            Some(IPV4 | IPV6) | None => {}
            Some(_) => return Err(Refusal::EtherType),
        }
        let length = ip_length(packet).filter(|length| *length <= packet.len()).ok_or(Refusal::Malformed)?;
        if ether_type.is_some_and(|named| Some(named) != ether_type_of(packet)) {
            return Err(Refusal::Malformed);
        }
        Ok(Content::Packet(self.header_length()..self.header_length() + length))
    }

    /// Writes a header for the packet behind it with the addresses of `from`.
    pub(super) fn write_header(self, from: &[u8], frame: &mut [u8]) -> Option<()> {
        if self == Self::Ethernet {
            let (header, packet) = frame.split_first_chunk_mut::<ETHERNET_HEADER>()?;
            let ether_type = ether_type_of(packet)?.to_be_bytes();
            header.first_chunk_mut::<12>()?.copy_from_slice(from.first_chunk::<12>()?);
            header.last_chunk_mut::<2>()?.copy_from_slice(&ether_type);
        }
        Some(())
    }
}

/// The length that an IP packet says it has; a jumbogram (RFC 2675) says 0 and ends behind its header.
fn ip_length(packet: &[u8]) -> Option<usize> {
    match packet.first()? >> 4 {
        4 => Some(usize::from(get_u16(packet, 2)?)).filter(|length| *length >= V4_HEADER),
        6 => Some(V6_HEADER + usize::from(get_u16(packet, 4)?)),
        _ => None,
    }
}

fn ether_type_of(packet: &[u8]) -> Option<u16> {
    match packet.first()? >> 4 {
        4 => Some(IPV4),
        6 => Some(IPV6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn frame(ether_type: u16, packet: &[u8]) -> Vec<u8> {
        [&[2; 12][..], &ether_type.to_be_bytes(), packet].concat()
    }

    fn v4(length: u8) -> Vec<u8> {
        let mut packet = vec![0; usize::from(length)];
        packet[0] = 0x45;
        packet[3] = length;
        packet
    }

    #[test]
    fn padding_of_short_frames_is_cut_off() {
        let padded = frame(IPV4, &[v4(28), vec![0; 18]].concat());
        assert_eq!(Medium::Ethernet.parse(&padded), Ok(Content::Packet(14..42)));
        assert_eq!(Medium::Ip.parse(&v4(28)), Ok(Content::Packet(0..28)));
    }

    #[test]
    fn a_packet_that_claims_more_octets_than_arrived_is_refused() {
        assert_eq!(Medium::Ethernet.parse(&frame(IPV4, &v4(60)[..59])), Err(Refusal::Malformed));
        let mut v6 = vec![0; 40];
        v6[0] = 0x60;
        assert_eq!(Medium::Ip.parse(&v6), Ok(Content::Packet(0..40)));
        v6[5] = 1;
        assert_eq!(Medium::Ip.parse(&v6), Err(Refusal::Malformed));
        assert_eq!(Medium::Ip.parse(&v4(19)), Err(Refusal::Malformed));
    }

    #[test]
    fn the_ether_type_must_name_the_version() {
        assert_eq!(Medium::Ethernet.parse(&frame(IPV6, &v4(20))), Err(Refusal::Malformed));
        assert_eq!(Medium::Ethernet.parse(&frame(IPV4, &[0x50; 40])), Err(Refusal::Malformed));
    }

    #[test]
    fn only_ip_and_arp_pass() {
        assert_eq!(Medium::Ethernet.parse(&frame(ARP, &[0; 28])), Ok(Content::Arp));
        for vlan in VLAN {
            assert_eq!(Medium::Ethernet.parse(&frame(vlan, &v4(20))), Err(Refusal::Vlan));
        }
        for other in [0x0026, 0x88CC, 0x8863, 0x8847, 0x0805] {
            assert_eq!(Medium::Ethernet.parse(&frame(other, &v4(20))), Err(Refusal::EtherType));
        }
        assert_eq!(Medium::Ethernet.parse(&[0; 13]), Err(Refusal::Malformed));
    }
}
