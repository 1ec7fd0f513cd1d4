//! Frames made by hand.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, IpRepr, UdpPacket, UdpRepr};

use super::cable::Medium;
use super::host::Version;

pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86DD;

/// An Ethernet frame to the host on `side` from the other.
pub fn ethernet(side: usize, ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let address = |side: usize| [2, 0, 0, 0, 0, side as u8 + 1];
    [&address(side)[..], &address(1 - side), &ether_type.to_be_bytes(), packet].concat()
}

/// A frame of `medium` with an IP packet to the host on `side`.
pub fn framed(medium: Medium, side: usize, packet: &[u8]) -> Vec<u8> {
    match medium {
        Medium::Ethernet => ethernet(side, if packet[0] >> 4 == 4 { IPV4 } else { IPV6 }, packet),
        Medium::Ip => packet.to_vec(),
    }
}

/// An IP packet from the host on the other side to that on `side`, with a correct header.
pub fn ip(version: Version, side: usize, protocol: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let repr = IpRepr::new(
        IpAddress::from(version.address(1 - side)),
        IpAddress::from(version.address(side)),
        IpProtocol::from(protocol),
        payload.len(),
        hops,
    );
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut packet[..], &ChecksumCapabilities::default());
    let header = repr.header_len();
    packet[header..].copy_from_slice(payload);
    packet
}

/// A UDP datagram in an IP packet from the host on the other side to that on `side`.
pub fn udp(version: Version, side: usize, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let repr = UdpRepr { src_port: ports.0, dst_port: ports.1 };
    let mut datagram = vec![0; 8 + payload.len()];
    let (from, to) = (version.address(1 - side).into(), version.address(side).into());
    let write = |room: &mut [u8]| room.copy_from_slice(payload);
    let checksums = ChecksumCapabilities::default();
    repr.emit(&mut UdpPacket::new_unchecked(&mut datagram[..]), &from, &to, payload.len(), write, &checksums);
    ip(version, side, 17, 64, &datagram)
}
