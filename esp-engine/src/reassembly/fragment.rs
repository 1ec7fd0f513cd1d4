//! One fragment as it arrives, and the header of the datagram that fragments become
//! (RFC 791 §3.1, RFC 8200 §4.5).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::FragmentError;
use crate::wire::ip::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING, V4_HEADER, V6_HEADER};
use crate::wire::{Checksum, esp, put, udp};

/// Octets of the longest header that is kept: an IPv4 header with all options, or an IPv6 header
/// with 24 octets of extension headers.
pub(super) const MAX_HEADER: usize = 64;

/// What fragments of one datagram have in common.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    destination: IpAddr,
    pub(super) protocol: u8,
    identification: u32,
}

/// One fragment of ESP or UDP.
pub(super) struct Fragment<'p> {
    pub(super) key: Key,
    /// Only in the fragment with offset 0.
    pub(super) header: Option<Header<'p>>,
    pub(super) data: &'p [u8],
    /// Octets of payload in front of this fragment.
    pub(super) offset: usize,
    /// Others follow.
    pub(super) more: bool,
    /// ECN code point, 0…3.
    pub(super) congestion: u8,
}

/// The headers in front of the payload, without fragment header.
pub(super) struct Header<'p> {
    pub(super) octets: &'p [u8],
    /// Which of its octets names the payload's protocol.
    pub(super) next_header_at: usize,
}

impl<'p> Fragment<'p> {
    /// `None` when the packet is no fragment, or of something else than ESP or UDP; whether it is a
    /// packet at all is the engine's to say.
    pub(super) fn parse(packet: &'p [u8]) -> Result<Option<Self>, FragmentError> {
        let fragment = match packet.first().map(|octet| octet >> 4) {
            Some(4) => Self::parse_v4(packet),
            Some(6) => Self::parse_v6(packet),
            _ => Ok(None),
        };
        fragment.map(|found| found.filter(|it| matches!(it.key.protocol, esp::PROTOCOL | udp::PROTOCOL)))
    }

    /// Whether it is the whole datagram (RFC 6946).
    pub(super) fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }

    fn parse_v4(packet: &'p [u8]) -> Result<Option<Self>, FragmentError> {
        let Some(fixed) = packet.first_chunk::<V4_HEADER>() else { return Ok(None) };
        let [version_length, service, _, _, id0, id1, flags0, flags1, _, protocol, ..] = *fixed;
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
        let flags = u16::from_be_bytes([flags0, flags1]);
        let (offset, more) = (usize::from(flags & 0x1FFF) * 8, flags & 0x2000 != 0);
        if offset == 0 && !more {
            return Ok(None);
        }
        let length = usize::from(version_length & 0xF) * 4;
        let parts = packet.split_at_checked(length).filter(|_| length >= V4_HEADER);
        let (octets, data) = parts.ok_or(FragmentError::Malformed)?;
        Ok(Some(Self {
            key: Key {
                source: Ipv4Addr::new(s0, s1, s2, s3).into(),
                destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
                protocol,
                identification: u16::from_be_bytes([id0, id1]).into(),
            },
            header: (offset == 0).then_some(Header { octets, next_header_at: 9 }),
            data,
            offset,
            more,
            congestion: service & 3,
        }))
    }

    fn parse_v6(packet: &'p [u8]) -> Result<Option<Self>, FragmentError> {
        let Some((fixed, mut rest)) = packet.split_first_chunk::<V6_HEADER>() else { return Ok(None) };
        let [_, class, _, _, _, _, mut next, ..] = *fixed;
        let (mut length, mut next_header_at) = (V6_HEADER, 6);
        // Hop-by-hop options, routing and destination options may stand in front (RFC 8200 §4.1).
        while matches!(next, HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS) {
            let [following, units, ..] = *rest else { return Ok(None) };
            let octets = usize::from(units) * 8 + 8;
            let Some(behind) = rest.get(octets..) else { return Ok(None) };
            rest = behind;
            (next, next_header_at) = (following, length);
            length += octets;
        }
        if next != FRAGMENT {
            return Ok(None);
        }
        if length > MAX_HEADER {
            return Err(FragmentError::TooLong);
        }
        let ([protocol, _, flags0, flags1, id @ ..], data) =
            rest.split_first_chunk::<8>().ok_or(FragmentError::Malformed)?;
        let flags = u16::from_be_bytes([*flags0, *flags1]);
        let octets = packet.get(..length).ok_or(FragmentError::Malformed)?;
        let (offset, more) = (usize::from(flags & 0xFFF8), flags & 1 != 0);
        let (source, destination) = addresses_v6(fixed).ok_or(FragmentError::Malformed)?;
        Ok(Some(Self {
            key: Key { source, destination, protocol: *protocol, identification: u32::from_be_bytes(*id) },
            header: (offset == 0).then_some(Header { octets, next_header_at }),
            data,
            offset,
            more,
            congestion: class >> 4 & 3,
        }))
    }
}

fn addresses_v6(header: &[u8; V6_HEADER]) -> Option<(IpAddr, IpAddr)> {
    let (source, destination) = header.get(8..)?.split_first_chunk::<16>()?;
    Some((Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination.first_chunk::<16>()?).into()))
}

/// Writes length, flags and checksum of a packet whose first `header` octets came from its first
/// fragment; `congested` sets the ECN field to CE (RFC 3168 §5.3).
pub(super) fn make_whole(packet: &mut [u8], header: usize, congested: bool) -> Option<()> {
    let length = u16::try_from(packet.len()).ok()?;
    match packet {
        [first, service, l0, l1, _, _, f0, f1, _, _, c0, c1, ..] if *first >> 4 == 4 => {
            [*l0, *l1] = length.to_be_bytes();
            [*f0, *f1] = [0, 0];
            [*c0, *c1] = [0, 0];
            *service |= if congested { 3 } else { 0 };
            let sum = Checksum::default().add(packet.get(..header)?).finish();
            put(packet, 10, sum.to_be_bytes())?;
        }
        [_, class, _, _, l0, l1, ..] => {
            [*l0, *l1] = length.checked_sub(V6_HEADER as u16)?.to_be_bytes();
            *class |= if congested { 0x30 } else { 0 };
        }
        _ => return None,
    }
    Some(())
}
