//! What a router looks at before it passes a packet on (RFC 1812 §5.2, §5.3), and why it does not.

use core::net::{IpAddr, Ipv4Addr};

use esp_engine::crypto::Cipher;
use esp_engine::selector::{Ports, Selectors};
use esp_engine::wire::ip;
use smoltcp::wire::{Ipv4Packet, Ipv6Packet};

use super::forward::{Forwarding, INSIDE, OUTSIDE, Origin};
use super::icmp::Problem;
use crate::dhcp::{CLIENT_PORT, SERVER_PORT};

/// Why a packet goes no further.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    Malformed,
    Martian,
    Unforwardable,
    Unserved,
    TimeExceeded,
    NoRoute,
    TooBig(u16),
    Prohibited,
    Engine,
    /// It may wait.
    WantsSa(Selectors),
    HoldFull,
    NeighbourFull,
    HostUnreachable,
    NoRoom,
    StackFull,
    Fragment,
}

impl Refusal {
    /// What its source hears of it.
    pub(super) fn problem(self) -> Option<Problem> {
        match self {
            Self::TimeExceeded => Some(Problem::TimeExceeded),
            Self::NoRoute => Some(Problem::NoRoute),
            Self::TooBig(mtu) => Some(Problem::TooBig(mtu)),
            Self::Prohibited => Some(Problem::Prohibited),
            Self::HostUnreachable => Some(Problem::HostUnreachable),
            _ => None,
        }
    }
}

impl<C: Cipher> Forwarding<'_, '_, C> {
    /// Whether a packet may come from there with this source (RFC 1812 §5.3.7, §5.3.8).
    pub(super) fn check_source(&self, origin: Origin, source: IpAddr) -> Result<(), Refusal> {
        let broadcast = matches!(source, IpAddr::V4(a) if a.is_broadcast());
        let never = source.is_unspecified() || source.is_multicast() || source.is_loopback() || broadcast;
        let spoofed = origin == Origin::Outside && self.attached(INSIDE).any(|net| net.contains(source));
        if never || spoofed || self.is_own(source) { Err(Refusal::Martian) } else { Ok(()) }
    }

    /// Whether a router passes packets on to this destination.
    pub(super) fn check_destination(&self, destination: IpAddr) -> Result<(), Refusal> {
        let beyond_link = match destination {
            // Directed broadcasts are not forwarded either (RFC 2644).
            IpAddr::V4(a) => {
                let networks = self.attached(OUTSIDE).chain(self.attached(INSIDE));
                let directed = networks
                    .filter(|net| net.length < 31)
                    .any(|net| net.range().is_some_and(|range| range.last() == destination));
                !(a.is_broadcast() || a.is_link_local() || directed)
            }
            IpAddr::V6(a) => !a.is_unicast_link_local(),
        };
        let usable =
            !(destination.is_multicast() || destination.is_unspecified() || destination.is_loopback());
        if usable && beyond_link { Ok(()) } else { Err(Refusal::Unforwardable) }
    }
}

/// The checksum of an IPv4 header (RFC 1812 §5.2.2); IPv6 has none.
pub(super) fn check_header(packet: &[u8]) -> Result<(), Refusal> {
    match Ipv4Packet::new_checked(packet) {
        Ok(v4) if v4.version() == 4 && !v4.verify_checksum() => Err(Refusal::Malformed),
        _ => Ok(()),
    }
}

/// Whether it is for port 53, by UDP or TCP.
pub(super) fn is_dns(packet: &[u8]) -> bool {
    ip::Packet::parse(packet).is_some_and(|parsed| {
        matches!(parsed.selectors.protocol, 6 | 17)
            && matches!(parsed.selectors.ports, Ports::Known { destination: 53, .. })
    })
}

/// Whether it is what a DHCP server says to everybody, and to us among them.
pub(super) fn is_lease(packet: &[u8]) -> bool {
    ip::Packet::parse(packet).is_some_and(|parsed| {
        let Selectors { destination, protocol, ports, .. } = parsed.selectors;
        destination == IpAddr::V4(Ipv4Addr::BROADCAST)
            && protocol == 17
            && ports == Ports::Known { source: SERVER_PORT, destination: CLIENT_PORT }
    })
}

/// Lowers TTL or hop limit by one (RFC 1812 §5.3.1, RFC 8200 §3).
pub(super) fn spend_hop(packet: &mut [u8]) -> Result<(), Refusal> {
    if packet.first().is_some_and(|octet| octet >> 4 == 4) {
        let mut v4 = Ipv4Packet::new_checked(packet).map_err(|_| Refusal::Malformed)?;
        let left = v4.hop_limit().checked_sub(1).filter(|left| *left > 0).ok_or(Refusal::TimeExceeded)?;
        v4.set_hop_limit(left);
        v4.fill_checksum();
    } else {
        let mut v6 = Ipv6Packet::new_checked(packet).map_err(|_| Refusal::Malformed)?;
        let left = v6.hop_limit().checked_sub(1).filter(|left| *left > 0).ok_or(Refusal::TimeExceeded)?;
        v6.set_hop_limit(left);
    }
    Ok(())
}
