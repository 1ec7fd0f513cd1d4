//! UDP encapsulation of ESP (RFC 3948): what a datagram on port 4500 is, and the header before
//! ESP. Either form is accepted on every SA (RFC 7296 §2.23).

use core::net::IpAddr;

use crate::sa::Encapsulation;
use crate::wire::{tcp, udp};

/// The port that IKE and ESP share behind a NAT (RFC 3948 §2.1).
pub const PORT: u16 = 4500;
/// The payload of a NAT keepalive (RFC 3948 §2.3).
pub const KEEPALIVE: u8 = 0xff;
/// Octets of zero before an IKE message on that port (RFC 3948 §2.2).
pub const NON_ESP_MARKER: usize = 4;

/// What a datagram to that port carries.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Datagram {
    /// A NAT keepalive.
    Keepalive,
    /// An IKE message behind its marker.
    Ike,
    /// An ESP packet.
    Esp,
    /// Too short for any of these.
    Runt,
}

impl Datagram {
    /// Tells by the UDP payload (RFC 3948 §2).
    pub fn of(payload: &[u8]) -> Self {
        match payload {
            [KEEPALIVE] => Self::Keepalive,
            [0, 0, 0, 0, ..] => Self::Ike,
            [_, _, _, _, ..] => Self::Esp,
            _ => Self::Runt,
        }
    }
}

/// Writes the UDP header at the front of `datagram`. Over IPv4 the checksum is zero (RFC 3948
/// §2.1); over IPv6 it is computed, since receivers drop zero there (RFC 8200 §8.1).
pub(crate) fn write_header(
    datagram: &mut [u8],
    ports: Encapsulation,
    source: IpAddr,
    destination: IpAddr,
) -> Option<()> {
    udp::Header::write(datagram, ports.local_port, ports.remote_port)?;
    if source.is_ipv6() { udp::fill_checksum(datagram, source, destination) } else { Some(()) }
}

/// Recomputes the checksum of a transport mode packet whose addresses a NAT has changed (RFC 3948
/// §3.1.2). ESP has authenticated the octets; a UDP sender's zero stays zero over IPv4.
pub(crate) fn mend_checksum(protocol: u8, upper: &mut [u8], source: IpAddr, destination: IpAddr) {
    // A segment too short to hold its checksum stays as it is: the stack above refuses it.
    let _mended = match protocol {
        tcp::PROTOCOL => tcp::fill_checksum(upper, source, destination),
        udp::PROTOCOL if source.is_ipv4() && matches!(upper, [_, _, _, _, _, _, 0, 0, ..]) => None,
        udp::PROTOCOL => udp::fill_checksum(upper, source, destination),
        _ => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3948 §2.2, §2.3.
    #[test]
    fn datagrams_are_told_apart() {
        assert_eq!(Datagram::of(&[0xff]), Datagram::Keepalive);
        assert_eq!(Datagram::of(&[0, 0, 0, 0]), Datagram::Ike);
        assert_eq!(Datagram::of(&[0, 0, 1, 0, 9]), Datagram::Esp);
        for runt in [&[][..], &[0xfe], &[0xff, 0xff], &[0, 0, 0]] {
            assert_eq!(Datagram::of(runt), Datagram::Runt);
        }
    }

    /// RFC 3948 §3.1.2, and RFC 768: zero means "not computed" over IPv4 only.
    #[test]
    fn absent_udp_checksum_stays_absent_over_ipv4() {
        let v4 = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let v6 = (IpAddr::from([1; 16]), IpAddr::from([2; 16]));
        let mut datagram = [0, 53, 0, 53, 0, 9, 0, 0, 7];
        mend_checksum(udp::PROTOCOL, &mut datagram, v4.0, v4.1);
        assert_eq!(datagram[6..8], [0, 0]);
        mend_checksum(udp::PROTOCOL, &mut datagram, v6.0, v6.1);
        assert_ne!(datagram[6..8], [0, 0]);
    }
}
