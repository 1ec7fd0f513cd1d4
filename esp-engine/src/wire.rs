//! What packets look like: views of IP, UDP, TCP and ESP headers, and the Internet checksum.
//!
//! Nothing here trusts a length: every access is checked, and every walk is bounded.

pub mod esp;
pub mod ip;
pub mod tcp;
pub mod udp;

use core::net::IpAddr;

/// Reads two octets in network order at `at`.
pub(crate) fn get_u16(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|c| u16::from_be_bytes(*c))
}

/// Reads four octets in network order at `at`.
pub(crate) fn get_u32(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().map(|c| u32::from_be_bytes(*c))
}

/// Writes `value` at `at`; `None` when it does not fit.
pub(crate) fn put<const N: usize>(octets: &mut [u8], at: usize, value: [u8; N]) -> Option<()> {
    *octets.get_mut(at..)?.first_chunk_mut()? = value;
    Some(())
}

/// The Internet checksum (RFC 1071), still open to more octets.
#[derive(Copy, Clone, Default)]
pub(crate) struct Checksum(u64);

impl Checksum {
    /// Begins with the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1).
    pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        Self::default()
            .address(source)
            .address(destination)
            .add(&[0, protocol])
            .add(&(length as u64).to_be_bytes())
    }

    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => self.add(&a.octets()),
            IpAddr::V6(a) => self.add(&a.octets()),
        }
    }

    /// Adds octets; only the last piece may have an odd number of them.
    pub(crate) fn add(mut self, octets: &[u8]) -> Self {
        // Four octets at a time: carries gather in the upper half, and are folded at the end.
        let (words, rest) = octets.as_chunks::<4>();
        for word in words {
            self.0 += u64::from(u32::from_be_bytes(*word));
        }
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.0 += u64::from(u32::from_be_bytes(last));
        self
    }

    /// The complement, as it is written into a header; 0 over data that contains its own checksum.
    pub(crate) fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > u64::from(u16::MAX) {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 §3: the example sums to 0xddf2.
    #[test]
    fn sums_the_example_of_rfc_1071() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Checksum::default().add(&octets).finish(), !0xddf2);
    }

    /// RFC 1071 §1: an odd octet counts as if a zero followed.
    #[test]
    fn pads_an_odd_octet_with_zero() {
        for length in 0..16 {
            let octets: [u8; 16] = core::array::from_fn(|i| if i < length { 0xab ^ i as u8 } else { 0 });
            let short = Checksum::default().add(&octets[..length]).finish();
            assert_eq!(short, Checksum::default().add(&octets).finish(), "{length}");
        }
    }
}
