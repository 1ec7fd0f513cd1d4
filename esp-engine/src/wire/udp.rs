//! The UDP header (RFC 768).

use core::net::IpAddr;

use super::{Checksum, get_u16, put};

/// Protocol number of UDP.
pub const PROTOCOL: u8 = 17;
/// Octets of a header.
pub const HEADER: usize = 8;

/// A UDP header whose length agrees with the octets around it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Octets of header and payload; no more than there are.
    pub length: usize,
}

impl Header {
    /// `None` when `datagram` is shorter than its header says.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let length = usize::from(get_u16(datagram, 4)?);
        (length >= HEADER && length <= datagram.len()).then_some(Self {
            source: get_u16(datagram, 0)?,
            destination: get_u16(datagram, 2)?,
            length,
        })
    }

    /// Writes the header with a zero checksum; `None` when `datagram` is too short or too long.
    pub(crate) fn write(datagram: &mut [u8], source: u16, destination: u16) -> Option<()> {
        let length = u16::try_from(datagram.len()).ok()?;
        put(datagram, 0, source.to_be_bytes())?;
        put(datagram, 2, destination.to_be_bytes())?;
        put(datagram, 4, length.to_be_bytes())?;
        put(datagram, 6, [0; 2])
    }
}

/// Computes the checksum of `datagram` and writes it; zero is sent as all ones (RFC 768).
pub(crate) fn fill_checksum(datagram: &mut [u8], source: IpAddr, destination: IpAddr) -> Option<()> {
    put(datagram, 6, [0; 2])?;
    let sum = Checksum::pseudo_header(source, destination, PROTOCOL, datagram.len()).add(datagram).finish();
    put(datagram, 6, if sum == 0 { [0xff; 2] } else { sum.to_be_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_beyond_the_octets_is_refused() {
        let mut datagram = [0; 12];
        Header::write(&mut datagram, 4500, 4501).unwrap();
        assert_eq!(Header::read(&datagram), Some(Header { source: 4500, destination: 4501, length: 12 }));
        assert_eq!(Header::read(&datagram[..11]), None);
        datagram[5] = 7;
        assert_eq!(Header::read(&datagram), None, "shorter than its own header");
    }

    #[test]
    fn checksum_verifies() {
        let (source, destination) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mut datagram = [0xa5; 13];
        Header::write(&mut datagram, 1, 2).unwrap();
        fill_checksum(&mut datagram, source, destination).unwrap();
        let sum = Checksum::pseudo_header(source, destination, PROTOCOL, 13).add(&datagram);
        assert_eq!(sum.finish(), 0);
    }
}
