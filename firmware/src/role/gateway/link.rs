//! Ethernet around the gateway's packets, and the two protocols that ask for link addresses: ARP
//! (RFC 826) and Neighbor Discovery (RFC 4861 §4.3, §4.4, §7.1).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Packet,
    IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
};

use super::inspect;
use super::neighbour::LinkAddress;

/// Octets of an Ethernet header.
pub const HEADER: usize = 14;
/// Octets that any message of this module fits into, Ethernet header included.
pub const MAX_MESSAGE: usize = HEADER + V6_HEADER + NEIGHBOUR_MESSAGE;

const V6_HEADER: usize = 40;
/// A solicitation or advertisement with its link-address option.
const NEIGHBOUR_MESSAGE: usize = 32;
const BROADCAST: LinkAddress = [0xFF; 6];

/// What a frame is to a router.
#[derive(PartialEq, Eq, Debug)]
pub enum Frame {
    /// An IP packet behind the Ethernet header.
    Packet,
    /// A neighbour asks for the link address of `target` and told its own.
    Question {
        /// Who asks; `None` when it checks whether an address is taken.
        asker: Option<(IpAddr, LinkAddress)>,
        /// Whom it asks for.
        target: IpAddr,
    },
    /// A neighbour tells its link address.
    Answer(IpAddr, LinkAddress),
    /// Nothing for us.
    Other,
}

/// Reads a frame that arrived on a port with the address `own`.
pub fn read(own: LinkAddress, frame: &[u8]) -> Frame {
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return Frame::Other };
    let destination = ethernet.dst_addr();
    if destination.0 != own && !destination.is_multicast() || !ethernet.src_addr().is_unicast() {
        return Frame::Other;
    }
    match ethernet.ethertype() {
        EthernetProtocol::Arp => read_arp(ethernet.payload()).unwrap_or(Frame::Other),
        EthernetProtocol::Ipv6 => match read_neighbour(ethernet.payload()) {
            Some(message) => message,
            // What is sent to several hosts at once is not forwarded.
            None if destination.0 == own => Frame::Packet,
            None => Frame::Other,
        },
        EthernetProtocol::Ipv4 if destination.0 == own || inspect::is_lease(ethernet.payload()) => {
            Frame::Packet
        }
        _ => Frame::Other,
    }
}

fn read_arp(octets: &[u8]) -> Option<Frame> {
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: link,
        source_protocol_addr: sender,
        target_protocol_addr: target,
        ..
    } = ArpRepr::parse(&ArpPacket::new_checked(octets).ok()?).ok()?
    else {
        return None;
    };
    if !link.is_unicast() {
        return None;
    }
    match operation {
        ArpOperation::Request => {
            let asker = (!sender.is_unspecified()).then_some((sender.into(), link.0));
            Some(Frame::Question { asker, target: target.into() })
        }
        ArpOperation::Reply => Some(Frame::Answer(sender.into(), link.0)),
        ArpOperation::Unknown(_) => None,
    }
}

/// `None` when the packet is not Neighbor Discovery at all. What is, and fails the checks of RFC 4861
/// §7.1, is `Other`: it is never forwarded.
fn read_neighbour(octets: &[u8]) -> Option<Frame> {
    let ip = Ipv6Packet::new_checked(octets).ok()?;
    if ip.next_header() != IpProtocol::Icmpv6 {
        return None;
    }
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
    if !icmp.msg_type().is_ndisc() {
        return None;
    }
    // A hop limit of 255 says that no router passed it on.
    if ip.hop_limit() != 255 || icmp.msg_code() != 0 || !icmp.verify_checksum(&source, &destination) {
        return Some(Frame::Other);
    }
    let link = |raw: Option<smoltcp::wire::RawHardwareAddress>| {
        let address = EthernetAddress::from_bytes(raw.as_ref()?.as_bytes().first_chunk::<6>()?);
        address.is_unicast().then_some(address.0)
    };
    Some(match NdiscRepr::parse(&icmp) {
        Ok(NdiscRepr::NeighborSolicit { target_addr, lladdr }) if !target_addr.is_multicast() => {
            let asker = (!source.is_unspecified()).then(|| Some((source.into(), link(lladdr)?))).flatten();
            Frame::Question { asker, target: target_addr.into() }
        }
        Ok(NdiscRepr::NeighborAdvert { target_addr, lladdr, .. }) if !target_addr.is_multicast() => {
            link(lladdr).map_or(Frame::Other, |address| Frame::Answer(target_addr.into(), address))
        }
        _ => Frame::Other,
    })
}

/// Writes the Ethernet header of an IP packet that lies behind it in `frame`.
pub fn address(frame: &mut [u8], from: LinkAddress, to: LinkAddress) {
    let protocol = match frame.get(HEADER).map(|octet| octet >> 4) {
        Some(6) => EthernetProtocol::Ipv6,
        _ => EthernetProtocol::Ipv4,
    };
    header(frame, from, to, protocol);
}

fn header(frame: &mut [u8], from: LinkAddress, to: LinkAddress, protocol: EthernetProtocol) {
    if let Ok(mut ethernet) = EthernetFrame::new_checked(frame) {
        ethernet.set_src_addr(EthernetAddress(from));
        ethernet.set_dst_addr(EthernetAddress(to));
        ethernet.set_ethertype(protocol);
    }
}

/// Our side of a port: its link address, and the address of the family that is asked in.
#[derive(Copy, Clone, Debug)]
pub struct Own {
    /// Link address.
    pub link: LinkAddress,
    /// IP address.
    pub address: IpAddr,
}

/// Writes the question for `target` into `out`; `None` when the families differ or `out` is shorter
/// than [`MAX_MESSAGE`].
pub fn question(own: Own, target: IpAddr, out: &mut [u8]) -> Option<&mut [u8]> {
    match (own.address, target) {
        (IpAddr::V4(sender), IpAddr::V4(target)) => {
            arp(ArpOperation::Request, (own.link, sender), (BROADCAST, target), out)
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            let [.., a, b, c] = target.octets();
            let group = Ipv6Addr::from([0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, a, b, c]);
            let message = NdiscRepr::NeighborSolicit {
                target_addr: target,
                lladdr: Some(EthernetAddress(own.link).into()),
            };
            neighbour((own.link, source), ([0x33, 0x33, 0xFF, a, b, c], group), message, out)
        }
        _ => None,
    }
}

/// Writes our answer to `asker` into `out`; without an asker everyone is told (RFC 4861 §7.2.4).
pub fn answer(own: Own, asker: Option<(IpAddr, LinkAddress)>, out: &mut [u8]) -> Option<&mut [u8]> {
    match own.address {
        IpAddr::V4(sender) => {
            let (target, link) = match asker? {
                (IpAddr::V4(target), link) => (target, link),
                _ => return None,
            };
            arp(ArpOperation::Reply, (own.link, sender), (link, target), out)
        }
        IpAddr::V6(source) => {
            let (to, solicited) = match asker {
                Some((IpAddr::V6(target), link)) => ((link, target), NdiscNeighborFlags::SOLICITED),
                Some(_) => return None,
                None => (
                    ([0x33, 0x33, 0, 0, 0, 1], Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1)),
                    NdiscNeighborFlags::empty(),
                ),
            };
            let message = NdiscRepr::NeighborAdvert {
                flags: NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::OVERRIDE | solicited,
                target_addr: source,
                lladdr: Some(EthernetAddress(own.link).into()),
            };
            neighbour((own.link, source), to, message, out)
        }
    }
}

fn arp(
    operation: ArpOperation,
    from: (LinkAddress, Ipv4Addr),
    to: (LinkAddress, Ipv4Addr),
    out: &mut [u8],
) -> Option<&mut [u8]> {
    let message = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(from.0),
        source_protocol_addr: from.1,
        target_hardware_addr: EthernetAddress(to.0),
        target_protocol_addr: to.1,
    };
    let out = out.get_mut(..HEADER + message.buffer_len())?;
    header(out, from.0, to.0, EthernetProtocol::Arp);
    message.emit(&mut ArpPacket::new_unchecked(out.get_mut(HEADER..)?));
    Some(out)
}

fn neighbour<'o>(
    from: (LinkAddress, Ipv6Addr),
    to: (LinkAddress, Ipv6Addr),
    message: NdiscRepr<'_>,
    out: &'o mut [u8],
) -> Option<&'o mut [u8]> {
    let length = message.buffer_len();
    let out = out.get_mut(..HEADER + V6_HEADER + length)?;
    header(out, from.0, to.0, EthernetProtocol::Ipv6);
    let header = Ipv6Repr {
        src_addr: from.1,
        dst_addr: to.1,
        next_header: IpProtocol::Icmpv6,
        payload_len: length,
        hop_limit: 255,
    };
    header.emit(&mut Ipv6Packet::new_unchecked(out.get_mut(HEADER..)?));
    let whole = smoltcp::wire::Icmpv6Repr::Ndisc(message);
    let mut icmp = Icmpv6Packet::new_unchecked(out.get_mut(HEADER + V6_HEADER..)?);
    whole.emit(&from.1, &to.1, &mut icmp, &ChecksumCapabilities::default());
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::super::icmp::tests::packet;
    use super::*;

    const NEAR: LinkAddress = [2, 0, 0, 0, 0, 1];
    const FAR: LinkAddress = [2, 0, 0, 0, 0, 2];

    fn own(link: LinkAddress, address: &str) -> Own {
        Own { link, address: address.parse().unwrap() }
    }

    fn asked(from: Own, target: &str) -> Vec<u8> {
        question(from, target.parse().unwrap(), &mut [0; MAX_MESSAGE]).unwrap().to_vec()
    }

    #[test]
    fn a_question_is_answered_and_the_answer_understood() {
        for (near, far) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            let frame = asked(own(NEAR, near), far);
            let asker = Some((near.parse().unwrap(), NEAR));
            assert_eq!(read(FAR, &frame), Frame::Question { asker, target: far.parse().unwrap() });
            let mut out = [0; MAX_MESSAGE];
            let reply = answer(own(FAR, far), asker, &mut out).unwrap();
            assert_eq!(read(NEAR, reply), Frame::Answer(far.parse().unwrap(), FAR));
            assert_eq!(read([2, 0, 0, 0, 0, 3], reply), Frame::Other, "the answer is for the asker only");
        }
    }

    /// RFC 4861 §4.3: to the solicited-node multicast address, hop limit 255.
    #[test]
    fn a_solicitation_goes_to_the_targets_group() {
        let frame = asked(own(NEAR, "2001:db8::1"), "2001:db8::12:3456");
        assert_eq!(frame[..6], [0x33, 0x33, 0xFF, 0x12, 0x34, 0x56]);
        let ip = Ipv6Packet::new_checked(&frame[HEADER..]).unwrap();
        assert_eq!((ip.dst_addr(), ip.hop_limit()), ("ff02::1:ff12:3456".parse().unwrap(), 255));
    }

    /// RFC 4861 §7.1: hop limit 255, a right checksum; RFC 4862 §5.4.3: no asker.
    #[test]
    fn discovery_that_fails_the_checks_is_dropped_and_never_forwarded() {
        let sound = asked(own(NEAR, "2001:db8::1"), "2001:db8::2");
        for (at, what) in
            [(HEADER + 7, "hop limit"), (HEADER + V6_HEADER + 2, "checksum"), (HEADER + 8, "source")]
        {
            let mut frame = sound.clone();
            frame[at] ^= 1;
            assert_eq!(read(FAR, &frame), Frame::Other, "{what}");
        }
        let mut unicast = sound;
        unicast[..6].copy_from_slice(&FAR);
        unicast[HEADER + 7] = 254;
        assert_eq!(read(FAR, &unicast), Frame::Other);
    }

    #[test]
    fn only_packets_to_our_link_address_are_packets_for_a_router() {
        let mut frame = [&[0; HEADER][..], &packet("10.1.0.2", "10.2.0.1", 17, 64, b"payload")].concat();
        address(&mut frame, NEAR, FAR);
        assert_eq!(read(FAR, &frame), Frame::Packet);
        assert_eq!(read([2, 0, 0, 0, 0, 3], &frame), Frame::Other);
        for to in [BROADCAST, [0x33, 0x33, 0, 0, 0, 1], [1, 0, 0x5E, 0, 0, 1]] {
            address(&mut frame, NEAR, to);
            assert_eq!(read(FAR, &frame), Frame::Other);
        }
        address(&mut frame, BROADCAST, FAR);
        assert_eq!(read(FAR, &frame), Frame::Other, "no frame comes from a group");
    }

    #[test]
    fn short_frames_and_buffers_do_no_harm() {
        for frame in
            [asked(own(NEAR, "192.0.2.1"), "192.0.2.2"), asked(own(NEAR, "2001:db8::1"), "2001:db8::2")]
        {
            for length in 0..frame.len() {
                assert_ne!(read(FAR, &frame[..length]), read(FAR, &frame), "{length}");
            }
        }
        assert!(question(own(NEAR, "2001:db8::1"), "2001:db8::2".parse().unwrap(), &mut [0; 60]).is_none());
        assert!(question(own(NEAR, "192.0.2.1"), "2001:db8::2".parse().unwrap(), &mut [0; 99]).is_none());
    }
}
