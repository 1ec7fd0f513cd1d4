//! Selectors (RFC 4301 §4.4.1.1): those of one packet, and the ranges that policies and SAs are
//! made of (RFC 7296 §3.13).

use core::net::IpAddr;

/// A protocol number that stands for every next layer protocol.
pub const ANY_PROTOCOL: u8 = 0;

/// Traffic selectors on one side of a policy or a Child SA.
pub const MAX_TRAFFIC_SELECTORS: usize = 2;

/// A list of traffic selectors; a packet matches it when it matches one of them.
pub type TrafficSelectors = heapless::Vec<TrafficSelector, MAX_TRAFFIC_SELECTORS, u8>;

/// What one packet offers to a policy look-up.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Selectors {
    /// Source address of the (inner) packet.
    pub source: IpAddr,
    /// Destination address of the (inner) packet.
    pub destination: IpAddr,
    /// Next layer protocol, behind IPv6 extension headers.
    pub protocol: u8,
    /// What the next layer says beyond its number.
    pub ports: Ports,
}

/// The next layer's part of a packet's selectors.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ports {
    /// TCP, UDP, SCTP, DCCP, UDP-Lite.
    Known {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP or ICMPv6: one 16-bit value on both sides (RFC 7296 §3.13.1).
    Icmp {
        /// Message type.
        kind: u8,
        /// Message code.
        code: u8,
    },
    /// Not to be seen in this packet: a non-initial fragment, or a protocol without ports.
    Opaque,
}

impl Selectors {
    /// The same packet seen from the other end.
    pub fn reversed(self) -> Self {
        let ports = match self.ports {
            Ports::Known { source, destination } => Ports::Known { source: destination, destination: source },
            other => other,
        };
        Self { source: self.destination, destination: self.source, protocol: self.protocol, ports }
    }

    /// The source's side as a selector that only this flow matches.
    pub fn source_selector(&self) -> TrafficSelector {
        TrafficSelector {
            protocol: self.protocol,
            ports: self.ports.source_range(),
            addresses: AddressRange::single(self.source),
        }
    }

    /// The destination's side as a selector that only this flow matches.
    pub fn destination_selector(&self) -> TrafficSelector {
        self.reversed().source_selector()
    }
}

impl Ports {
    fn source_range(self) -> PortRange {
        match self {
            Self::Known { source, .. } => PortRange::single(source),
            Self::Icmp { kind, code } => PortRange::single(u16::from_be_bytes([kind, code])),
            Self::Opaque => PortRange::OPAQUE,
        }
    }
}

/// A range of addresses of one family, first ≤ last.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// `None` when the families differ or `first` lies behind `last`.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// One address.
    pub const fn single(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// The network of `length` leading bits around `address`; `None` when it has more bits than the family.
    pub fn prefix(address: IpAddr, length: u8) -> Option<Self> {
        match address {
            IpAddr::V4(a) => {
                let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let bits = a.to_bits();
                (length <= 32).then(|| Self {
                    first: IpAddr::V4((bits & !host).into()),
                    last: IpAddr::V4((bits | host).into()),
                })
            }
            IpAddr::V6(a) => {
                let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let bits = a.to_bits();
                (length <= 128).then(|| Self {
                    first: IpAddr::V6((bits & !host).into()),
                    last: IpAddr::V6((bits | host).into()),
                })
            }
        }
    }

    /// The lowest address.
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether this is a single address.
    pub fn is_single(&self) -> bool {
        self.first == self.last
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether all of `other` lies inside.
    pub fn covers(&self, other: &Self) -> bool {
        self.contains(other.first) && self.contains(other.last)
    }

    /// What both have in common.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.first.is_ipv4() != other.first.is_ipv4() {
            return None;
        }
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }
}

/// A range of ports, or of ICMP types and codes (type × 256 + code), or OPAQUE.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port, and packets whose ports are not to be seen.
    pub const ANY: Self = Self { first: 0, last: u16::MAX };
    /// Only packets whose ports are not to be seen (RFC 4301 §4.4.1.1).
    pub const OPAQUE: Self = Self { first: u16::MAX, last: 0 };

    /// `None` when `first` lies behind `last`, unless it is OPAQUE's way to be written.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last || (first == u16::MAX && last == 0) { Some(Self { first, last }) } else { None }
    }

    /// One port.
    pub const fn single(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// First port as it is written on the wire.
    pub const fn first(&self) -> u16 {
        self.first
    }

    /// Last port as it is written on the wire.
    pub const fn last(&self) -> u16 {
        self.last
    }

    /// Whether a packet with this value (`None`: not to be seen) lies inside.
    pub fn contains(&self, value: Option<u16>) -> bool {
        match value {
            Some(port) => self.first <= port && port <= self.last,
            None => *self == Self::ANY || *self == Self::OPAQUE,
        }
    }

    /// Whether all of `other` lies inside.
    pub fn covers(&self, other: &Self) -> bool {
        self == other
            || *self == Self::ANY
            || (*other != Self::OPAQUE && self.first <= other.first && other.last <= self.last)
    }

    /// What both have in common.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            return Some(*other);
        }
        if other.covers(self) {
            return Some(*self);
        }
        if *self == Self::OPAQUE || *other == Self::OPAQUE {
            return None;
        }
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }
}

/// One traffic selector (RFC 7296 §3.13.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct TrafficSelector {
    /// Next layer protocol, or [`ANY_PROTOCOL`].
    pub protocol: u8,
    /// Ports, or ICMP type and code.
    pub ports: PortRange,
    /// Addresses.
    pub addresses: AddressRange,
}

impl TrafficSelector {
    /// All traffic of these addresses.
    pub const fn all(addresses: AddressRange) -> Self {
        Self { protocol: ANY_PROTOCOL, ports: PortRange::ANY, addresses }
    }

    /// Whether one side of a packet matches.
    pub fn matches(&self, address: IpAddr, protocol: u8, value: Option<u16>) -> bool {
        self.addresses.contains(address)
            && (self.protocol == ANY_PROTOCOL || self.protocol == protocol)
            && self.ports.contains(value)
    }

    /// Whether the source's side of a packet matches.
    pub fn matches_source(&self, packet: &Selectors) -> bool {
        let value = match packet.ports {
            Ports::Known { source, .. } => Some(source),
            Ports::Icmp { kind, code } => Some(u16::from_be_bytes([kind, code])),
            Ports::Opaque => None,
        };
        self.matches(packet.source, packet.protocol, value)
    }

    /// Whether the destination's side of a packet matches.
    pub fn matches_destination(&self, packet: &Selectors) -> bool {
        self.matches_source(&packet.reversed())
    }

    /// Whether the source's side of a packet would match if its ports were to be seen.
    pub(crate) fn may_match_source(&self, packet: &Selectors, protocol_is_hidden: bool) -> bool {
        self.addresses.contains(packet.source)
            && (self.protocol == ANY_PROTOCOL || protocol_is_hidden || self.protocol == packet.protocol)
    }

    /// Whether all of `other` lies inside.
    pub fn covers(&self, other: &Self) -> bool {
        self.addresses.covers(&other.addresses)
            && (self.protocol == ANY_PROTOCOL || self.protocol == other.protocol)
            && self.ports.covers(&other.ports)
    }

    /// What both have in common.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (ANY_PROTOCOL, p) | (p, ANY_PROTOCOL) => p,
            (a, b) if a == b => a,
            _ => return None,
        };
        Some(Self {
            protocol,
            ports: self.ports.intersect(&other.ports)?,
            addresses: self.addresses.intersect(&other.addresses)?,
        })
    }
}
