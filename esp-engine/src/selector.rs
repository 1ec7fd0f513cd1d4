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
    pub fn reversed(mut self) -> Self {
        self.reverse();
        self
    }

    /// Lets it be seen from the other end.
    #[inline]
    pub fn reverse(&mut self) {
        core::mem::swap(&mut self.source, &mut self.destination);
        if let Ports::Known { source, destination } = &mut self.ports {
            core::mem::swap(source, destination);
        }
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
        self.source().map_or(PortRange::OPAQUE, PortRange::single)
    }

    /// What the source's selector is held against; `None` when it is not to be seen.
    fn source(self) -> Option<u16> {
        match self {
            Self::Known { source, .. } => Some(source),
            Self::Icmp { kind, code } => Some(u16::from_be_bytes([kind, code])),
            Self::Opaque => None,
        }
    }

    /// What the destination's selector is held against.
    fn destination(self) -> Option<u16> {
        match self {
            Self::Known { destination, .. } => Some(destination),
            Self::Icmp { .. } | Self::Opaque => self.source(),
        }
    }
}

/// The one address that all selectors mean.
pub fn single_address(selectors: &TrafficSelectors) -> Option<IpAddr> {
    let (first, rest) = selectors.split_first()?;
    let same = first.addresses.is_single() && rest.iter().all(|ts| ts.addresses == first.addresses);
    same.then_some(first.addresses.first())
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

    /// Whether this is every address of its family.
    pub fn is_whole_family(&self) -> bool {
        Self::prefix(self.first, 0) == Some(*self)
    }

    /// Whether `address` lies inside.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        // As numbers: the order of `IpAddr` goes octet by octet, which every packet would pay for.
        match (self.first, address, self.last) {
            (IpAddr::V4(first), IpAddr::V4(address), IpAddr::V4(last)) => {
                first.to_bits() <= address.to_bits() && address.to_bits() <= last.to_bits()
            }
            (IpAddr::V6(first), IpAddr::V6(address), IpAddr::V6(last)) => {
                first.to_bits() <= address.to_bits() && address.to_bits() <= last.to_bits()
            }
            _ => false,
        }
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
    #[inline]
    pub fn matches(&self, address: IpAddr, protocol: u8, value: Option<u16>) -> bool {
        self.addresses.contains(address)
            && (self.protocol == ANY_PROTOCOL || self.protocol == protocol)
            && self.ports.contains(value)
    }

    /// Whether the source's side of a packet matches.
    pub fn matches_source(&self, packet: &Selectors) -> bool {
        self.matches(packet.source, packet.protocol, packet.ports.source())
    }

    /// Whether the destination's side of a packet matches.
    pub fn matches_destination(&self, packet: &Selectors) -> bool {
        self.matches(packet.destination, packet.protocol, packet.ports.destination())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn range(first: u8, last: u8) -> AddressRange {
        AddressRange::new(v4(first), v4(last)).unwrap()
    }

    fn ports(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn ranges_have_one_family_and_an_order() {
        assert_eq!(AddressRange::new(v4(2), v4(1)), None);
        assert_eq!(AddressRange::new(v4(1), IpAddr::from([0; 16])), None);
        assert!(range(1, 1).is_single());
        assert!(!range(1, 9).contains(IpAddr::from([0; 16])));
    }

    #[test]
    fn prefixes_are_ranges() {
        assert_eq!(AddressRange::prefix(v4(77), 24), Some(range(0, 255)));
        assert_eq!(AddressRange::prefix(v4(77), 32), Some(range(77, 77)));
        let everything = AddressRange::prefix(v4(77), 0).unwrap();
        assert_eq!((everything.first(), everything.last()), ([0; 4].into(), [255; 4].into()));
        assert_eq!(AddressRange::prefix(v4(77), 33), None);
        let v6 = IpAddr::from([0xfd; 16]);
        assert_eq!(AddressRange::prefix(v6, 128), Some(AddressRange::single(v6)));
        assert_eq!(AddressRange::prefix(v6, 0).unwrap().last(), IpAddr::from([255; 16]));
        assert_eq!(AddressRange::prefix(v6, 129), None);
    }

    #[test]
    fn intersections_lie_in_both() {
        assert_eq!(range(1, 5).intersect(&range(4, 9)), Some(range(4, 5)));
        assert_eq!(range(1, 5).intersect(&range(6, 9)), None);
        assert_eq!(range(1, 5).intersect(&AddressRange::single(IpAddr::from([0; 16]))), None);
        assert_eq!(ports(1, 5).intersect(&ports(5, 9)), Some(ports(5, 5)));
        assert_eq!(ports(1, 5).intersect(&ports(6, 9)), None);
        assert_eq!(PortRange::ANY.intersect(&ports(6, 9)), Some(ports(6, 9)));
    }

    /// RFC 4301 §4.4.1.1: OPAQUE is no range of ports, and only ANY holds it.
    #[test]
    fn opaque_matches_only_what_is_not_seen() {
        assert_eq!(PortRange::new(u16::MAX, 0), Some(PortRange::OPAQUE));
        assert_eq!(PortRange::new(9, 1), None);
        assert!(PortRange::OPAQUE.contains(None));
        assert!(!PortRange::OPAQUE.contains(Some(0)));
        assert!(PortRange::ANY.contains(None) && PortRange::ANY.contains(Some(u16::MAX)));
        assert!(!ports(0, 65534).contains(None));
        assert!(PortRange::ANY.covers(&PortRange::OPAQUE));
        assert!(!ports(0, 65534).covers(&PortRange::OPAQUE));
        assert_eq!(PortRange::OPAQUE.intersect(&PortRange::ANY), Some(PortRange::OPAQUE));
        assert_eq!(PortRange::OPAQUE.intersect(&ports(1, 2)), None);
    }

    fn bgp() -> Selectors {
        let ports = Ports::Known { source: 1024, destination: 179 };
        Selectors { source: v4(1), destination: v4(2), protocol: 6, ports }
    }

    #[test]
    fn sides_of_a_packet_match_their_own_selectors() {
        let packet = bgp();
        let (near, far) = (packet.source_selector(), packet.destination_selector());
        assert!(near.matches_source(&packet) && far.matches_destination(&packet));
        assert!(!far.matches_source(&packet) && !near.matches_destination(&packet));
        assert!(far.matches_source(&packet.reversed()));
        assert_eq!(packet.reversed().reversed(), packet);
        let udp = TrafficSelector { protocol: 17, ..near };
        assert!(!udp.matches_source(&packet));
        assert!(TrafficSelector { protocol: ANY_PROTOCOL, ..near }.matches_source(&packet));
    }

    /// RFC 7296 §3.13.1: type and code of ICMP stand where ports do, on both sides.
    #[test]
    fn icmp_type_and_code_are_one_value() {
        let echo = Selectors { protocol: 1, ports: Ports::Icmp { kind: 8, code: 0 }, ..bgp() };
        let only_echo = TrafficSelector {
            protocol: 1,
            ports: ports(0x0800, 0x08ff),
            addresses: AddressRange::single(v4(1)),
        };
        assert!(only_echo.matches_source(&echo));
        assert_eq!(echo.source_selector().ports, ports(0x0800, 0x0800));
        let unreachable = Selectors { ports: Ports::Icmp { kind: 3, code: 1 }, ..echo };
        assert!(!only_echo.matches_source(&unreachable));
        assert!(unreachable.destination_selector().matches_destination(&unreachable));
    }

    #[test]
    fn narrowing_keeps_what_both_allow() {
        let wide = TrafficSelector::all(range(0, 255));
        let narrow = bgp().destination_selector();
        assert_eq!(wide.intersect(&narrow), Some(narrow));
        assert!(wide.covers(&narrow) && !narrow.covers(&wide));
        let udp = TrafficSelector { protocol: 17, ..narrow };
        assert_eq!(udp.intersect(&narrow), None);
        assert!(!udp.covers(&narrow));
    }
}
