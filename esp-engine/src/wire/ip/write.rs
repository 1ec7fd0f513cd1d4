//! Writing IP headers: a new one around a packet, and the few fields that change when ESP comes or
//! goes (RFC 4303 §3.1.1, RFC 4301 §5.1.2).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{V4_HEADER, V6_HEADER};
use crate::wire::{Checksum, get_u16, put};

/// Whether the checksum of an IPv4 header is right.
pub(crate) fn v4_checksum_is_right(header: &[u8]) -> bool {
    Checksum::default().add(header).finish() == 0
}

/// Writes the total length and the checksum of the IPv4 header in the first `header` octets.
fn finish_v4(octets: &mut [u8], header: usize, length: usize) -> Option<()> {
    put(octets, 2, u16::try_from(length).ok()?.to_be_bytes())?;
    put(octets, 10, [0; 2])?;
    let sum = Checksum::default().add(octets.get(..header)?).finish();
    put(octets, 10, sum.to_be_bytes())
}

/// Makes the packet in `octets` name `protocol` at `named_at` and be `length` octets long; `header`
/// is where its IP header or chain of extension headers ends.
pub(crate) fn rename(
    octets: &mut [u8],
    named_at: usize,
    protocol: u8,
    header: usize,
    length: usize,
) -> Option<()> {
    *octets.get_mut(named_at)? = protocol;
    if octets.first()? >> 4 == 4 {
        finish_v4(octets, header, length)
    } else {
        let payload = u16::try_from(length.checked_sub(V6_HEADER)?).ok()?;
        put(octets, 4, payload.to_be_bytes())
    }
}

/// An IP header without options, as tunnel mode puts it around a packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct OuterHeader {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) traffic_class: u8,
    pub(crate) dont_fragment: bool,
    /// Identification of IPv4; matters only where fragmentation is allowed (RFC 6864 §4).
    pub(crate) identification: u16,
}

/// TTL or hop limit of packets that we make (RFC 4301 §5.1.2: a matter of configuration).
pub(crate) const HOP_LIMIT: u8 = 64;

impl OuterHeader {
    /// Writes the header of a packet of `length` octets in all. `None` when the families differ or
    /// it does not fit.
    pub(crate) fn write(&self, octets: &mut [u8], length: usize) -> Option<()> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.write_v4(octets, length, source, destination)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.write_v6(octets, length, source, destination)
            }
            _ => None,
        }
    }

    fn write_v4(
        &self,
        octets: &mut [u8],
        length: usize,
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> Option<()> {
        let flags: u16 = if self.dont_fragment { 0x4000 } else { 0 };
        put(octets, 0, [0x45, self.traffic_class])?;
        put(octets, 4, self.identification.to_be_bytes())?;
        put(octets, 6, flags.to_be_bytes())?;
        put(octets, 8, [HOP_LIMIT, self.protocol])?;
        put(octets, 12, source.octets())?;
        put(octets, 16, destination.octets())?;
        finish_v4(octets, V4_HEADER, length)
    }

    fn write_v6(
        &self,
        octets: &mut [u8],
        length: usize,
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) -> Option<()> {
        let first = 6 << 28 | u32::from(self.traffic_class) << 20;
        put(octets, 0, first.to_be_bytes())?;
        put(octets, 7, [HOP_LIMIT])?;
        put(octets, 8, source.octets())?;
        put(octets, 24, destination.octets())?;
        rename(octets, 6, self.protocol, V6_HEADER, length)
    }
}

/// Writes the ECN bits of the packet in `octets` (RFC 3168 §5) and mends its header checksum.
pub(crate) fn set_ecn(octets: &mut [u8], ecn: u8) -> Option<()> {
    if octets.first()? >> 4 == 4 {
        let class = octets.get_mut(1)?;
        *class = *class & 0xfc | ecn & 3;
        let header = usize::from(octets.first()? & 15) * 4;
        let length = usize::from(get_u16(octets, 2)?);
        finish_v4(octets, header, length)
    } else {
        let octet = octets.get_mut(1)?;
        *octet = *octet & 0xcf | (ecn & 3) << 4;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ip::Packet;

    #[test]
    fn outer_headers_parse_back() {
        let mut header = OuterHeader {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            protocol: 50,
            traffic_class: 0xb9,
            dont_fragment: true,
            identification: 0,
        };
        for _ in 0..2 {
            let mut octets = [0; 100];
            header.write(&mut octets, 100).unwrap();
            let packet = Packet::parse(&octets).unwrap();
            assert_eq!((packet.length, packet.traffic_class, packet.dont_fragment), (100, 0xb9, true));
            assert_eq!(packet.selectors.source, header.source);
            assert!(packet.is_v6() || v4_checksum_is_right(&octets[..20]));
            set_ecn(&mut octets, 2).unwrap();
            assert_eq!(Packet::parse(&octets).unwrap().traffic_class, 0xba);
            header.source = IpAddr::V6(Ipv6Addr::LOCALHOST);
            let mixed = OuterHeader { destination: [192, 0, 2, 2].into(), ..header };
            assert_eq!(mixed.write(&mut [0; 100], 100), None, "mixed families");
            header.destination = header.source;
        }
    }
}
