//! ICMP errors that a router owes (RFC 1812 §5.2.7, RFC 4443 §3) and answers to echo requests.
//!
//! An error is written only about packets that may cause one (RFC 1122 §3.2.2, RFC 4443 §2.4) and no
//! faster than [`Limiter`] allows.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{
    Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet,
    Ipv6Repr,
};

pub use limiter::Limiter;

mod limiter;

/// Octets of the longest error over IPv4 (RFC 1812 §4.3.2.3).
const LONGEST_V4: usize = 576;
/// Octets of the longest error over IPv6 (RFC 4443 §2.4).
const LONGEST_V6: usize = 1_280;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const ICMP_HEADER: usize = 8;
const HOP_LIMIT: u8 = 64;

/// Why a packet could not go on.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// Its TTL or hop limit is used up.
    TimeExceeded,
    /// It does not fit and must not be fragmented here; what would fit, octets.
    TooBig(u16),
    /// No route leads there.
    NoRoute,
    /// The last neighbour does not answer.
    HostUnreachable,
    /// Policy forbids it.
    Prohibited,
}

impl Problem {
    fn v4(self) -> (Icmpv4Message, u8, u32) {
        match self {
            Self::TimeExceeded => (Icmpv4Message::TimeExceeded, 0, 0),
            Self::TooBig(mtu) => (Icmpv4Message::DstUnreachable, 4, u32::from(mtu)),
            Self::NoRoute => (Icmpv4Message::DstUnreachable, 0, 0),
            Self::HostUnreachable => (Icmpv4Message::DstUnreachable, 1, 0),
            Self::Prohibited => (Icmpv4Message::DstUnreachable, 13, 0),
        }
    }

    fn v6(self) -> (Icmpv6Message, u8, u32) {
        match self {
            Self::TimeExceeded => (Icmpv6Message::TimeExceeded, 0, 0),
            Self::TooBig(mtu) => (Icmpv6Message::PktTooBig, 0, u32::from(mtu)),
            Self::NoRoute => (Icmpv6Message::DstUnreachable, 0, 0),
            Self::HostUnreachable => (Icmpv6Message::DstUnreachable, 3, 0),
            Self::Prohibited => (Icmpv6Message::DstUnreachable, 1, 0),
        }
    }
}

/// Writes an error about `packet` from `source` into `out` and returns its octets; `None` when the
/// packet must not cause one, or `source` is of the other family.
pub fn error<'o>(source: IpAddr, problem: Problem, packet: &[u8], out: &'o mut [u8]) -> Option<&'o mut [u8]> {
    match source {
        IpAddr::V4(source) => error_v4(source, problem, packet, out),
        IpAddr::V6(source) => error_v6(source, problem, packet, out),
    }
}

fn error_v4<'o>(
    source: Ipv4Addr,
    problem: Problem,
    packet: &[u8],
    out: &'o mut [u8],
) -> Option<&'o mut [u8]> {
    let about = Ipv4Packet::new_checked(packet).ok()?;
    let destination = about.src_addr();
    let is_error = about.next_header() == IpProtocol::Icmp
        && !matches!(about.payload().first().map(|t| Icmpv4Message::from(*t)), Some(kind) if is_query_v4(kind));
    if about.frag_offset() != 0 || is_error || !answerable_v4(destination) || !answerable_v4(about.dst_addr())
    {
        return None;
    }
    let quoted = packet.get(..usize::from(about.total_len()).min(LONGEST_V4 - V4_HEADER - ICMP_HEADER))?;
    let (kind, code, field) = problem.v4();
    let out = out.get_mut(..V4_HEADER + ICMP_HEADER + quoted.len())?;
    header_v4(source, destination, out);
    message(out.get_mut(V4_HEADER..)?, kind.into(), code, field, quoted)?;
    Icmpv4Packet::new_unchecked(out.get_mut(V4_HEADER..)?).fill_checksum();
    Some(out)
}

fn error_v6<'o>(
    source: Ipv6Addr,
    problem: Problem,
    packet: &[u8],
    out: &'o mut [u8],
) -> Option<&'o mut [u8]> {
    let about = Ipv6Packet::new_checked(packet).ok()?;
    let destination = about.src_addr();
    let is_error = match esp_engine::wire::ip::Packet::parse(packet)?.selectors {
        // Types below 128 are errors; a type that hides behind a fragment may be one.
        esp_engine::selector::Selectors { protocol: 58, ports, .. } => {
            !matches!(ports, esp_engine::selector::Ports::Icmp { kind: 128.., .. })
        }
        _ => false,
    };
    let unanswerable =
        destination.is_unspecified() || destination.is_multicast() || about.dst_addr().is_multicast();
    if is_error || unanswerable {
        return None;
    }
    let quoted = packet.get(..about.total_len().min(LONGEST_V6 - V6_HEADER - ICMP_HEADER))?;
    let (kind, code, field) = problem.v6();
    let out = out.get_mut(..V6_HEADER + ICMP_HEADER + quoted.len())?;
    header_v6(source, destination, out);
    message(out.get_mut(V6_HEADER..)?, kind.into(), code, field, quoted)?;
    Icmpv6Packet::new_unchecked(out.get_mut(V6_HEADER..)?).fill_checksum(&source, &destination);
    Some(out)
}

/// Turns an echo request to one of our addresses into its reply, in place. `false` when it is none.
pub fn echo(packet: &mut [u8]) -> bool {
    match packet.first().map(|octet| octet >> 4) {
        Some(4) => echo_v4(packet).is_some(),
        Some(6) => echo_v6(packet).is_some(),
        _ => false,
    }
}

fn echo_v4(packet: &mut [u8]) -> Option<()> {
    let mut ip = Ipv4Packet::new_checked(packet).ok()?;
    let whole = !ip.more_frags() && ip.frag_offset() == 0;
    if ip.next_header() != IpProtocol::Icmp || !whole || !ip.verify_checksum() {
        return None;
    }
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    {
        let mut icmp = Icmpv4Packet::new_checked(ip.payload_mut()).ok()?;
        if icmp.msg_type() != Icmpv4Message::EchoRequest || !answerable_v4(source) || !icmp.verify_checksum()
        {
            return None;
        }
        icmp.set_msg_type(Icmpv4Message::EchoReply);
        icmp.fill_checksum();
    }
    ip.set_src_addr(destination);
    ip.set_dst_addr(source);
    ip.set_hop_limit(HOP_LIMIT);
    ip.fill_checksum();
    Some(())
}

fn echo_v6(packet: &mut [u8]) -> Option<()> {
    let mut ip = Ipv6Packet::new_checked(packet).ok()?;
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    if ip.next_header() != IpProtocol::Icmpv6 || source.is_multicast() || source.is_unspecified() {
        return None;
    }
    {
        let mut icmp = Icmpv6Packet::new_checked(ip.payload_mut()).ok()?;
        if icmp.msg_type() != Icmpv6Message::EchoRequest || !icmp.verify_checksum(&source, &destination) {
            return None;
        }
        icmp.set_msg_type(Icmpv6Message::EchoReply);
        icmp.fill_checksum(&destination, &source);
    }
    ip.set_src_addr(destination);
    ip.set_dst_addr(source);
    ip.set_hop_limit(HOP_LIMIT);
    Some(())
}

fn is_query_v4(kind: Icmpv4Message) -> bool {
    matches!(
        kind,
        Icmpv4Message::EchoReply
            | Icmpv4Message::EchoRequest
            | Icmpv4Message::Timestamp
            | Icmpv4Message::TimestampReply
    )
}

fn answerable_v4(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_broadcast() || address.is_loopback())
}

fn header_v4(source: Ipv4Addr, destination: Ipv4Addr, out: &mut [u8]) {
    let payload_len = out.len() - V4_HEADER;
    let header = Ipv4Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Icmp,
        payload_len,
        hop_limit: HOP_LIMIT,
    };
    header.emit(&mut Ipv4Packet::new_unchecked(out), &smoltcp::phy::ChecksumCapabilities::default());
}

fn header_v6(source: Ipv6Addr, destination: Ipv6Addr, out: &mut [u8]) {
    let payload_len = out.len() - V6_HEADER;
    let header = Ipv6Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Icmpv6,
        payload_len,
        hop_limit: HOP_LIMIT,
    };
    header.emit(&mut Ipv6Packet::new_unchecked(out));
}

/// Type, code, a checksum of zero, the 32-bit field, and what the message is about.
fn message(out: &mut [u8], kind: u8, code: u8, field: u32, quoted: &[u8]) -> Option<()> {
    let (header, body) = out.split_first_chunk_mut::<ICMP_HEADER>()?;
    let [a, b, c, d] = field.to_be_bytes();
    *header = [kind, code, 0, 0, a, b, c, d];
    body.get_mut(..quoted.len())?.copy_from_slice(quoted);
    Some(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::vec::Vec;

    use super::*;

    /// A packet with `payload` of `protocol`; `from` and `to` say the family.
    pub(crate) fn packet(from: &str, to: &str, protocol: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
        let next_header = IpProtocol::from(protocol);
        let payload_len = payload.len();
        match (from.parse().unwrap(), to.parse().unwrap()) {
            (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
                let mut out = [&[0; V4_HEADER][..], payload].concat();
                let header = Ipv4Repr { src_addr, dst_addr, next_header, payload_len, hop_limit };
                header.emit(&mut Ipv4Packet::new_unchecked(&mut out[..]), &Default::default());
                out
            }
            (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
                let mut out = [&[0; V6_HEADER][..], payload].concat();
                let header = Ipv6Repr { src_addr, dst_addr, next_header, payload_len, hop_limit };
                header.emit(&mut Ipv6Packet::new_unchecked(&mut out[..]));
                out
            }
            _ => panic!("two families"),
        }
    }

    fn about(source: &str, problem: Problem, packet: &[u8]) -> Option<Vec<u8>> {
        let mut out = [0; 1_500];
        error(source.parse().unwrap(), problem, packet, &mut out).map(|octets| octets.to_vec())
    }

    #[test]
    fn an_ipv4_error_quotes_the_packet_and_checks_out() {
        let cause = packet("10.1.0.2", "10.2.0.1", 17, 1, b"0123456789");
        let octets = about("10.1.0.1", Problem::TimeExceeded, &cause).unwrap();
        let ip = Ipv4Packet::new_checked(&octets[..]).unwrap();
        assert!(ip.verify_checksum());
        assert_eq!(
            (ip.src_addr(), ip.dst_addr()),
            ("10.1.0.1".parse().unwrap(), "10.1.0.2".parse().unwrap())
        );
        let icmp = Icmpv4Packet::new_checked(ip.payload()).unwrap();
        assert!(icmp.verify_checksum());
        assert_eq!((icmp.msg_type(), icmp.msg_code()), (Icmpv4Message::TimeExceeded, 0));
        assert_eq!(&ip.payload()[8..], cause);
    }

    #[test]
    fn an_ipv6_error_quotes_the_packet_and_checks_out() {
        let cause = packet("fd00:a::2", "fd00:b::1", 17, 1, b"0123456789");
        let octets = about("fd00:a::1", Problem::TooBig(1_400), &cause).unwrap();
        let ip = Ipv6Packet::new_checked(&octets[..]).unwrap();
        assert_eq!(
            (ip.src_addr(), ip.dst_addr()),
            ("fd00:a::1".parse().unwrap(), "fd00:a::2".parse().unwrap())
        );
        let icmp = Icmpv6Packet::new_checked(ip.payload()).unwrap();
        assert!(icmp.verify_checksum(&ip.src_addr(), &ip.dst_addr()));
        assert_eq!((icmp.msg_type(), icmp.pkt_too_big_mtu()), (Icmpv6Message::PktTooBig, 1_400));
        assert_eq!(&ip.payload()[8..], cause);
    }

    /// RFC 792, RFC 1191 §4, RFC 1812 §5.2.7.1; RFC 4443 §3.
    #[test]
    fn each_problem_has_its_type_and_code() {
        let v4 = packet("10.1.0.2", "10.2.0.1", 17, 64, b"12345678");
        let v6 = packet("fd00:a::2", "fd00:b::1", 17, 64, b"12345678");
        for (problem, in_v4, in_v6) in [
            (Problem::TimeExceeded, [11, 0], [3, 0]),
            (Problem::TooBig(1_400), [3, 4], [2, 0]),
            (Problem::NoRoute, [3, 0], [1, 0]),
            (Problem::HostUnreachable, [3, 1], [1, 3]),
            (Problem::Prohibited, [3, 13], [1, 1]),
        ] {
            assert_eq!(about("10.1.0.1", problem, &v4).unwrap()[20..22], in_v4);
            assert_eq!(about("fd00:a::1", problem, &v6).unwrap()[40..42], in_v6);
        }
        let too_big = about("10.1.0.1", Problem::TooBig(1_400), &v4).unwrap();
        assert_eq!(too_big[26..28], 1_400u16.to_be_bytes());
    }

    #[test]
    fn long_packets_are_quoted_in_part() {
        let v4 = packet("10.1.0.2", "10.2.0.1", 17, 64, &[7; 1_400]);
        assert_eq!(about("10.1.0.1", Problem::NoRoute, &v4).unwrap().len(), LONGEST_V4);
        let v6 = packet("fd00:a::2", "fd00:b::1", 17, 64, &[7; 1_400]);
        assert_eq!(about("fd00:a::1", Problem::NoRoute, &v6).unwrap().len(), LONGEST_V6);
    }

    /// RFC 1122 §3.2.2, RFC 4443 §2.4(e).
    #[test]
    fn some_packets_never_cause_an_error() {
        let refused = |source: &str, cause: &[u8]| about(source, Problem::NoRoute, cause).is_none();
        let unreachable = [3, 1, 0, 0, 0, 0, 0, 0];
        assert!(refused("10.1.0.1", &packet("10.1.0.2", "10.2.0.1", 1, 64, &unreachable)));
        assert!(!refused("10.1.0.1", &packet("10.1.0.2", "10.2.0.1", 1, 64, &[8, 0, 0, 0, 0, 0, 0, 0])));
        assert!(refused("fd00:a::1", &packet("fd00:a::2", "fd00:b::1", 58, 64, &unreachable)));
        assert!(!refused(
            "fd00:a::1",
            &packet("fd00:a::2", "fd00:b::1", 58, 64, &[128, 0, 0, 0, 0, 0, 0, 0])
        ));
        for (from, to) in [("0.0.0.0", "10.2.0.1"), ("224.0.0.1", "10.2.0.1"), ("10.1.0.2", "224.0.0.5")] {
            assert!(refused("10.1.0.1", &packet(from, to, 17, 64, b"12345678")));
        }
        for (from, to) in [("::", "fd00:b::1"), ("ff02::1", "fd00:b::1"), ("fd00:a::2", "ff02::1")] {
            assert!(refused("fd00:a::1", &packet(from, to, 17, 64, b"12345678")));
        }
        let mut later = packet("10.1.0.2", "10.2.0.1", 17, 64, b"12345678");
        later[7] = 1;
        assert!(refused("10.1.0.1", &later));
        assert!(refused("10.1.0.1", &packet("fd00:a::2", "fd00:b::1", 17, 64, b"12345678")));
        assert!(refused("10.1.0.1", &later[..10]));
    }

    #[test]
    fn echo_requests_are_answered_in_place() {
        let mut request = [8, 0, 0, 0, 1, 2, 0, 1, b'p', b'i'];
        Icmpv4Packet::new_unchecked(&mut request[..]).fill_checksum();
        let mut octets = packet("10.1.0.2", "10.1.0.1", 1, 3, &request);
        assert!(echo(&mut octets));
        let ip = Ipv4Packet::new_checked(&octets[..]).unwrap();
        assert!(ip.verify_checksum() && Icmpv4Packet::new_checked(ip.payload()).unwrap().verify_checksum());
        assert_eq!((ip.dst_addr(), ip.hop_limit()), ("10.1.0.2".parse().unwrap(), 64));
        assert_eq!(ip.payload()[0], 0);
        assert_eq!(ip.payload()[4..], request[4..]);
        assert!(!echo(&mut octets), "a reply is not answered");

        let (near, far) = ("fd00:a::1".parse().unwrap(), "fd00:a::2".parse().unwrap());
        let mut request = [128, 0, 0, 0, 1, 2, 0, 1, b'p', b'i'];
        Icmpv6Packet::new_unchecked(&mut request[..]).fill_checksum(&far, &near);
        let mut octets = packet("fd00:a::2", "fd00:a::1", 58, 3, &request);
        assert!(echo(&mut octets));
        let ip = Ipv6Packet::new_checked(&octets[..]).unwrap();
        assert!(Icmpv6Packet::new_checked(ip.payload()).unwrap().verify_checksum(&near, &far));
        assert_eq!((ip.dst_addr(), ip.payload()[0]), (far, 129));
    }

    #[test]
    fn damaged_echo_requests_are_not_answered() {
        let mut octets = packet("10.1.0.2", "10.1.0.1", 1, 3, &[8, 0, 0, 0, 1, 2, 0, 1]);
        assert!(!echo(&mut octets), "checksum of zero");
        assert!(!echo(&mut []) && !echo(&mut [0x45]) && !echo(&mut [0x60; 8]));
    }
}
