//! IPv4 and IPv6 headers (RFC 791, RFC 8200) as the packet path sees them: where the upper layer
//! begins, where ESP goes, and the selectors of the packet (RFC 4301 §4.4.1.1).

use super::{get_u16, tcp, udp};
use crate::selector::{Ports, Selectors};

pub(crate) use write::{OuterHeader, rename, set_ecn, v4_checksum_is_right};

mod write;

/// Octets of an IPv4 header without options.
pub const V4_HEADER: usize = 20;
/// Octets of an IPv6 header without extension headers.
pub const V6_HEADER: usize = 40;
/// Next header of an IPv4 packet inside another.
pub const PROTOCOL_V4: u8 = 4;
/// Next header of an IPv6 packet inside another.
pub const PROTOCOL_V6: u8 = 41;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const AUTHENTICATION: u8 = 51;
pub(crate) const ICMP_V6: u8 = 58;
pub(crate) const DESTINATION_OPTIONS: u8 = 60;
const DCCP: u8 = 33;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// Extension headers that are walked before a packet counts as malformed.
const MAX_EXTENSIONS: usize = 8;

/// What a packet says about its place in a fragmented one.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fragment {
    /// Not a fragment.
    Whole,
    /// Offset zero, more to come.
    Initial,
    /// Offset above zero: the upper layer is not to be seen.
    Later,
}

/// A place in a header chain: where a header begins, and which octet names it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// First octet of the header.
    pub(crate) at: usize,
    /// The octet whose value is the header's protocol number.
    pub(crate) named_at: usize,
}

/// One parsed packet. All places lie inside the first `length` octets.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Octets of the packet; link padding behind it does not count.
    pub length: usize,
    /// Addresses, protocol and ports.
    pub selectors: Selectors,
    /// Whether it is a fragment.
    pub fragment: Fragment,
    /// The upper layer begins here.
    pub upper: usize,
    /// The packet's protocol has ports or types, but this packet does not show them, or not even
    /// the protocol is to be seen.
    pub hidden: bool,
    /// DF of IPv4; always true of IPv6 (RFC 8200 §5).
    pub dont_fragment: bool,
    /// DSCP and ECN.
    pub traffic_class: u8,
    pub(crate) upper_named_at: usize,
    /// ESP goes here in transport mode (RFC 4303 §3.1.1).
    pub(crate) esp_goes: Place,
}

impl Packet {
    /// `None` when the octets are no IP packet, or its lengths do not agree.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        match octets.first()? >> 4 {
            4 => parse_v4(octets),
            6 => parse_v6(octets),
            _ => None,
        }
    }

    /// Whether it is IPv6.
    pub fn is_v6(&self) -> bool {
        self.selectors.source.is_ipv6()
    }

    /// Protocol number that announces this packet inside another.
    pub(crate) fn protocol_inside(&self) -> u8 {
        if self.is_v6() { PROTOCOL_V6 } else { PROTOCOL_V4 }
    }
}

fn parse_v4(octets: &[u8]) -> Option<Packet> {
    let header = usize::from(octets.first()? & 0x0f) * 4;
    let length = usize::from(get_u16(octets, 2)?);
    if header < V4_HEADER || length < header {
        return None;
    }
    let octets = octets.get(..length)?;
    let protocol = *octets.get(9)?;
    let flags = get_u16(octets, 6)?;
    let fragment = match (flags & 0x1fff, flags & 0x2000) {
        (0, 0) => Fragment::Whole,
        (0, _) => Fragment::Initial,
        _ => Fragment::Later,
    };
    let (ports, hidden) = upper_ports(octets, header, protocol, fragment);
    let source: [u8; 4] = *octets.get(12..)?.first_chunk()?;
    let destination: [u8; 4] = *octets.get(16..)?.first_chunk()?;
    Some(Packet {
        length,
        selectors: Selectors { source: source.into(), destination: destination.into(), protocol, ports },
        fragment,
        upper: header,
        hidden,
        dont_fragment: flags & 0x4000 != 0,
        traffic_class: *octets.get(1)?,
        upper_named_at: 9,
        esp_goes: Place { at: header, named_at: 9 },
    })
}

fn parse_v6(octets: &[u8]) -> Option<Packet> {
    let length = V6_HEADER + usize::from(get_u16(octets, 4)?);
    let octets = octets.get(..length)?;
    let chain = Chain::walk(octets)?;
    let (ports, mut hidden) = upper_ports(octets, chain.upper.at, chain.protocol, chain.fragment);
    // Behind a later fragment's header lies the middle of something; its first header may have been
    // another extension header, and then not even the protocol is known (RFC 4301 §7).
    hidden |= chain.fragment == Fragment::Later && is_extension(chain.protocol);
    let source: [u8; 16] = *octets.get(8..)?.first_chunk()?;
    let destination: [u8; 16] = *octets.get(24..)?.first_chunk()?;
    Some(Packet {
        length,
        selectors: Selectors {
            source: source.into(),
            destination: destination.into(),
            protocol: chain.protocol,
            ports,
        },
        fragment: chain.fragment,
        upper: chain.upper.at,
        hidden,
        dont_fragment: true,
        traffic_class: (get_u16(octets, 0)? >> 4) as u8,
        upper_named_at: chain.upper.named_at,
        esp_goes: chain.esp_goes,
    })
}

/// The extension headers of an IPv6 packet.
struct Chain {
    protocol: u8,
    fragment: Fragment,
    upper: Place,
    esp_goes: Place,
}

impl Chain {
    fn walk(octets: &[u8]) -> Option<Self> {
        let mut place = Place { at: V6_HEADER, named_at: 6 };
        let mut chain =
            Self { protocol: *octets.get(6)?, fragment: Fragment::Whole, upper: place, esp_goes: place };
        for _ in 0..MAX_EXTENSIONS {
            if !is_extension(chain.protocol) || chain.fragment == Fragment::Later {
                chain.upper = place;
                return (place.at <= octets.len()).then_some(chain);
            }
            let length = chain.extension_length(octets, place)?;
            let next = Place { at: place.at + length, named_at: place.at };
            // Options for the destination stay inside ESP unless a routing header follows them.
            if chain.protocol != DESTINATION_OPTIONS {
                chain.esp_goes = next;
            }
            chain.protocol = *octets.get(place.at)?;
            place = next;
        }
        None
    }

    fn extension_length(&mut self, octets: &[u8], place: Place) -> Option<usize> {
        match self.protocol {
            // Only the first header may be one (RFC 8200 §4.1).
            HOP_BY_HOP if place.at != V6_HEADER => None,
            FRAGMENT => {
                let field = get_u16(octets, place.at + 2)?;
                self.fragment = match (field >> 3, field & 1) {
                    (0, 0) => self.fragment,
                    (0, _) => Fragment::Initial,
                    _ => Fragment::Later,
                };
                Some(8)
            }
            _ => Some(usize::from(*octets.get(place.at + 1)?) * 8 + 8),
        }
    }
}

/// Whether a protocol number is that of an IPv6 extension header.
pub(crate) fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

/// What the upper layer shows, and whether it hides what it should have.
fn upper_ports(octets: &[u8], at: usize, protocol: u8, fragment: Fragment) -> (Ports, bool) {
    let has_ports = matches!(protocol, tcp::PROTOCOL | udp::PROTOCOL | UDP_LITE | SCTP | DCCP);
    let has_type = matches!(protocol, ICMP | ICMP_V6);
    if !has_ports && !has_type {
        return (Ports::Opaque, false);
    }
    let first = octets.get(at..).and_then(<[u8]>::first_chunk::<4>);
    match (first, fragment) {
        (_, Fragment::Later) | (None, _) => (Ports::Opaque, true),
        (Some(&[kind, code, ..]), _) if has_type => (Ports::Icmp { kind, code }, false),
        (Some(&[a, b, c, d]), _) => {
            let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            (Ports::Known { source, destination }, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(chain: &[u8], first: u8) -> heapless::Vec<u8, 256> {
        let mut octets = heapless::Vec::new();
        octets.resize(V6_HEADER, 0).unwrap();
        octets[0] = 0x60;
        octets[5] = chain.len() as u8;
        octets[6] = first;
        octets.extend_from_slice(chain).unwrap();
        octets
    }

    fn v4(total: u16, flags: u16, protocol: u8, body: &[u8]) -> heapless::Vec<u8, 256> {
        let mut octets = heapless::Vec::new();
        octets.resize(V4_HEADER, 0).unwrap();
        octets[0] = 0x45;
        octets[2..4].copy_from_slice(&total.to_be_bytes());
        octets[6..8].copy_from_slice(&flags.to_be_bytes());
        octets[9] = protocol;
        octets.extend_from_slice(body).unwrap();
        octets
    }

    const PORTS: [u8; 4] = [0, 179, 1, 2];

    #[test]
    fn link_padding_does_not_count() {
        let packet = Packet::parse(&v4(24, 0, 6, &[0, 179, 1, 2, 0, 0, 0])).unwrap();
        assert_eq!((packet.length, packet.upper), (24, 20));
        assert_eq!(packet.selectors.ports, Ports::Known { source: 179, destination: 258 });
        assert_eq!(Packet::parse(&v4(25, 0, 6, &PORTS)), None, "longer than the octets");
        assert_eq!(Packet::parse(&v4(19, 0, 6, &PORTS)), None, "shorter than the header");
    }

    /// RFC 4301 §7: a non-initial fragment shows no ports.
    #[test]
    fn later_fragments_hide_their_ports() {
        for (flags, fragment, hidden) in [
            (0x4000, Fragment::Whole, false),
            (0x2000, Fragment::Initial, false),
            (0x2001, Fragment::Later, true),
            (0x0001, Fragment::Later, true),
        ] {
            let packet = Packet::parse(&v4(24, flags, 17, &PORTS)).unwrap();
            assert_eq!((packet.fragment, packet.hidden), (fragment, hidden));
        }
        let ospf = Packet::parse(&v4(24, 1, 89, &PORTS)).unwrap();
        assert!(!ospf.hidden, "a protocol without ports hides none");
        assert!(Packet::parse(&v4(22, 0, 6, &[0, 179])).unwrap().hidden, "cut before its ports");
    }

    /// RFC 4303 §3.1.1: ESP lies behind hop-by-hop, routing and fragment headers, and before
    /// destination options that only the last destination reads.
    #[test]
    fn esp_goes_behind_headers_that_routers_read() {
        let hop = [DESTINATION_OPTIONS, 0, 0, 0, 0, 0, 0, 0];
        let early = [ROUTING, 0, 0, 0, 0, 0, 0, 0];
        let routing = [DESTINATION_OPTIONS, 0, 0, 0, 0, 0, 0, 0];
        let late = [6, 0, 0, 0, 0, 0, 0, 0];
        let mut chain = heapless::Vec::<u8, 64>::new();
        for header in [&hop[..], &early, &routing, &late, &PORTS] {
            chain.extend_from_slice(header).unwrap();
        }
        let packet = Packet::parse(&v6(&chain, HOP_BY_HOP)).unwrap();
        assert_eq!(packet.esp_goes, Place { at: 64, named_at: 56 });
        assert_eq!((packet.upper, packet.upper_named_at), (72, 64));
        assert_eq!(packet.selectors.ports, Ports::Known { source: 179, destination: 258 });
    }

    #[test]
    fn hidden_protocol_of_a_later_fragment() {
        let later = [DESTINATION_OPTIONS, 0, 0, 8, 0, 0, 0, 1, 6, 0, 0, 0];
        let packet = Packet::parse(&v6(&later, FRAGMENT)).unwrap();
        assert_eq!((packet.fragment, packet.hidden), (Fragment::Later, true));
    }

    #[test]
    fn chains_that_do_not_end_are_malformed() {
        assert_eq!(Packet::parse(&v6(&[60, 9, 0, 0, 0, 0, 0, 0], DESTINATION_OPTIONS)), None);
        let mut chain = [0; 80];
        for header in chain.chunks_mut(8) {
            header[0] = DESTINATION_OPTIONS;
        }
        assert_eq!(Packet::parse(&v6(&chain, DESTINATION_OPTIONS)), None, "ten extension headers");
        assert_eq!(Packet::parse(&v6(&[HOP_BY_HOP, 0, 0, 0, 0, 0, 0, 0], HOP_BY_HOP)), None);
        assert_eq!(Packet::parse(&[]), None);
        assert_eq!(Packet::parse(&[0x50; 40]), None);
    }
}
