//! What protection costs in octets, and what follows from it (RFC 4301 §8): the MTU that is left,
//! the TCP segment size to announce, and which ICMP messages about a path are believed.

use core::time::Duration;

use crate::crypto::Algorithm;
use crate::sa::Mode;
use crate::wire::{esp, get_u16, get_u32, ip, tcp, udp};

/// The least MTU of an IPv6 link (RFC 8200 §5).
pub const V6_MINIMUM: u16 = 1280;
/// The least IPv4 path MTU that we believe in (RFC 4301 §8.2.1 leaves it to the implementation).
pub const V4_MINIMUM: u16 = 576;
/// How long a learnt path MTU holds (RFC 4301 §8.2.2, RFC 1191 §6.3).
pub const PATH_MTU_AGE: Duration = Duration::from_secs(600);
/// Below this an IPv4 link cannot be (RFC 791); older routers report zero (RFC 1191 §3).
const V4_LINK_MINIMUM: u16 = 68;

/// How packets of one SA are wrapped, as far as their size depends on it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Wrapping {
    /// Transport or tunnel.
    pub mode: Mode,
    /// Octets of IP headers before ESP: the packet's own in transport mode, the outer ones in
    /// tunnel mode.
    pub headers: usize,
    /// Whether a UDP header lies before ESP.
    pub encapsulated: bool,
    /// Lengths of IV, block and ICV.
    pub algorithm: Algorithm,
}

impl Wrapping {
    /// Octets of the sealed IP packet around `payload` octets of what ESP carries.
    pub fn sealed(&self, payload: usize) -> usize {
        self.before_esp() + esp::Layout::of_payload(self.algorithm, payload).length()
    }

    /// Octets that ESP may carry in a sealed packet of `mtu` octets.
    pub fn payload_limit(&self, mtu: u16) -> usize {
        let esp = usize::from(mtu).saturating_sub(self.before_esp());
        let fixed = esp::Layout::of_payload(self.algorithm, 0);
        let text = esp.saturating_sub(fixed.length() - fixed.text.len());
        let block = esp::alignment(self.algorithm);
        (text / block * block).saturating_sub(esp::TRAILER)
    }

    /// Octets of the largest clear IP packet that fits a sealed one of `mtu` octets.
    pub fn inner_mtu(&self, mtu: u16) -> u16 {
        let payload = self.payload_limit(mtu);
        let octets = match self.mode {
            Mode::Transport => self.headers + payload,
            Mode::Tunnel => payload,
        };
        u16::try_from(octets).unwrap_or(u16::MAX)
    }

    /// The TCP segment size to announce on this path; `inner_headers` are the octets of the clear
    /// packet's IP headers.
    pub fn segment_size(&self, mtu: u16, inner_headers: usize) -> u16 {
        let headers = inner_headers + tcp::HEADER;
        self.inner_mtu(mtu).saturating_sub(u16::try_from(headers).unwrap_or(u16::MAX))
    }

    fn before_esp(&self) -> usize {
        self.headers + if self.encapsulated { udp::HEADER } else { 0 }
    }
}

/// A router's complaint about one of our sealed packets.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct TooBigMessage {
    /// The packet it quotes.
    pub(crate) quoted: Quoted,
    /// What the router says its next link takes.
    pub(crate) mtu: u16,
}

/// The front of an ESP packet inside an ICMP message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Quoted {
    pub(crate) source: core::net::IpAddr,
    pub(crate) destination: core::net::IpAddr,
    pub(crate) esp: esp::Header,
}

impl TooBigMessage {
    /// Reads ICMP type 3 code 4 (RFC 1191) or ICMPv6 type 2 (RFC 4443 §3.2) about ESP, plain or in
    /// UDP. `None` for anything else.
    pub(crate) fn parse(packet: &ip::Packet, octets: &[u8]) -> Option<Self> {
        let icmp = octets.get(packet.upper..packet.length)?;
        let (kind, code) = (*icmp.first()?, *icmp.get(1)?);
        let mtu = match packet.selectors.protocol {
            ip::ICMP if (kind, code) == (3, 4) => get_u16(icmp, 6)?,
            ip::ICMP_V6 if kind == 2 => u16::try_from(get_u32(icmp, 4)?).unwrap_or(u16::MAX),
            _ => return None,
        };
        (packet.fragment == ip::Fragment::Whole).then_some(())?;
        Some(Self { quoted: Quoted::parse(icmp.get(8..)?)?, mtu })
    }

    /// The path MTU that follows, never below what every path must carry; `None` when no router
    /// can have meant it.
    pub(crate) fn path_mtu(&self) -> Option<u16> {
        if self.quoted.source.is_ipv6() {
            Some(self.mtu.max(V6_MINIMUM))
        } else {
            (self.mtu >= V4_LINK_MINIMUM).then(|| self.mtu.max(V4_MINIMUM))
        }
    }
}

impl Quoted {
    /// A quotation ends early, so lengths inside it are not checked against it.
    fn parse(octets: &[u8]) -> Option<Self> {
        let (source, destination, protocol, header) = match octets.first()? >> 4 {
            4 => {
                let source: [u8; 4] = *octets.get(12..)?.first_chunk()?;
                let destination: [u8; 4] = *octets.get(16..)?.first_chunk()?;
                let header = usize::from(octets.first()? & 15) * 4;
                (source.into(), destination.into(), *octets.get(9)?, header)
            }
            6 => {
                let source: [u8; 16] = *octets.get(8..)?.first_chunk()?;
                let destination: [u8; 16] = *octets.get(24..)?.first_chunk()?;
                (source.into(), destination.into(), *octets.get(6)?, ip::V6_HEADER)
            }
            _ => return None,
        };
        let start = match protocol {
            esp::PROTOCOL => header,
            udp::PROTOCOL => header + udp::HEADER,
            _ => return None,
        };
        Some(Self { source, destination, esp: esp::Header::read(octets.get(start..)?)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(headers: usize, encapsulated: bool) -> Wrapping {
        let algorithm = Algorithm::ChaCha20Poly1305;
        Wrapping { mode: Mode::Transport, headers, encapsulated, algorithm }
    }

    /// Sizes of a BGP session in transport mode: link MTU, IP header, payload limit, MTU of the
    /// stack, segment size, and segment size with UDP encapsulation.
    #[test]
    fn sizes_of_transport_mode() {
        for (mtu, headers, limit, stack, mss, mss_udp) in [
            (1500, 20, 1446, 1466, 1426, 1418),
            (1500, 40, 1426, 1466, 1406, 1398),
            (1492, 20, 1438, 1458, 1418, 1410),
            (1492, 40, 1418, 1458, 1398, 1390),
            (1280, 40, 1206, 1246, 1186, 1178),
            (9000, 20, 8946, 8966, 8926, 8918),
            (576, 20, 522, 542, 502, 494),
        ] {
            let plain = transport(headers, false);
            assert_eq!(plain.payload_limit(mtu), limit, "{mtu}");
            assert_eq!(plain.inner_mtu(mtu), stack, "{mtu}");
            assert_eq!(plain.segment_size(mtu, headers), mss, "{mtu}");
            assert_eq!(transport(headers, true).segment_size(mtu, headers), mss_udp, "{mtu}");
        }
    }

    /// What a 1,500-octet link leaves of a packet in transport mode over IPv4, by algorithm: IV, padding to
    /// the block and ICV differ.
    #[test]
    fn stack_mtu_by_algorithm() {
        let left =
            Algorithm::ALL.map(|algorithm| Wrapping { algorithm, ..transport(20, false) }.inner_mtu(1500));
        assert_eq!(left, [1466, 1466, 1466, 1458, 1458, 1474, 1466, 1466]);
    }

    /// The largest payload fits, one octet more does not.
    #[test]
    fn limit_is_exact() {
        for (mode, algorithm) in
            Algorithm::ALL.into_iter().flat_map(|a| [(Mode::Transport, a), (Mode::Tunnel, a)])
        {
            for (headers, encapsulated) in [(20, false), (20, true), (40, false), (40, true)] {
                let wrapping = Wrapping { mode, algorithm, ..transport(headers, encapsulated) };
                for mtu in 576..700 {
                    let limit = wrapping.payload_limit(mtu);
                    assert!(wrapping.sealed(limit) <= usize::from(mtu));
                    assert!(wrapping.sealed(limit + 1) > usize::from(mtu));
                }
            }
        }
    }

    #[test]
    fn links_smaller_than_the_overhead_carry_nothing() {
        assert_eq!(transport(40, true).payload_limit(68), 0);
        assert_eq!(Wrapping { mode: Mode::Tunnel, ..transport(40, true) }.segment_size(68, 40), 0);
    }

    /// RFC 4301 §8.2: what an unauthenticated message may lower is bounded.
    #[test]
    fn path_mtu_has_a_floor() {
        let message = |v6, mtu| {
            let address = if v6 { [1; 16].into() } else { [1; 4].into() };
            let esp = esp::Header { spi: 256, sequence: 1 };
            TooBigMessage { quoted: Quoted { source: address, destination: address, esp }, mtu }
        };
        for (v6, mtu, believed) in [
            (false, 0, None),
            (false, 67, None),
            (false, 68, Some(576)),
            (false, 1400, Some(1400)),
            (false, 65535, Some(65535)),
            (true, 0, Some(1280)),
            (true, 1400, Some(1400)),
        ] {
            assert_eq!(message(v6, mtu).path_mtu(), believed, "{mtu}");
        }
    }
}
