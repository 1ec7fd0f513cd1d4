//! The little of TCP (RFC 9293) that sits below a protected flow: the checksum, and the maximum
//! segment size that a SYN announces.

use core::net::IpAddr;

use super::{Checksum, get_u16, put};

/// Protocol number of TCP.
pub const PROTOCOL: u8 = 6;
/// Octets of a header without options.
pub const HEADER: usize = 20;

const CHECKSUM: usize = 16;
const FLAGS: usize = 13;
const SYN: u8 = 0x02;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;

/// Lowers the maximum segment size that a SYN announces to `limit` octets and mends the checksum.
/// Returns whether it changed anything; other segments and SYNs without the option stay as they are.
pub fn clamp_mss(segment: &mut [u8], limit: u16) -> bool {
    lower_mss(segment, limit).is_some()
}

fn lower_mss(segment: &mut [u8], limit: u16) -> Option<()> {
    if segment.get(FLAGS)? & SYN == 0 {
        return None;
    }
    let at = find_mss(segment)?;
    let announced = get_u16(segment, at)?;
    if announced <= limit {
        return None;
    }
    let checksum = get_u16(segment, CHECKSUM)?;
    put(segment, at, limit.to_be_bytes())?;
    put(segment, CHECKSUM, adjust(checksum, announced, limit, at).to_be_bytes())
}

/// Where the value of the MSS option lies.
fn find_mss(segment: &[u8]) -> Option<usize> {
    let end = usize::from(segment.get(12)? >> 4) * 4;
    let mut at = HEADER;
    // Every turn moves ahead by at least one octet of at most 40.
    while at < end {
        match *segment.get(at)? {
            OPTION_END => return None,
            OPTION_NOP => at += 1,
            kind => {
                let length = usize::from(*segment.get(at + 1)?);
                if kind == OPTION_MSS && length == 4 && at + length <= end {
                    return Some(at + 2);
                }
                at += if length < 2 { return None } else { length };
            }
        }
    }
    None
}

/// RFC 1624, equation 3, for a 16-bit value that may lie at an odd place.
fn adjust(checksum: u16, old: u16, new: u16, at: usize) -> u16 {
    let turn = |v: u16| if at.is_multiple_of(2) { v } else { v.swap_bytes() };
    let sum = u32::from(!checksum) + u32::from(!turn(old)) + u32::from(turn(new));
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded + (folded >> 16)) as u16)
}

/// Computes the checksum of `segment` and writes it.
pub(crate) fn fill_checksum(segment: &mut [u8], source: IpAddr, destination: IpAddr) -> Option<()> {
    put(segment, CHECKSUM, [0; 2])?;
    let sum = Checksum::pseudo_header(source, destination, PROTOCOL, segment.len()).add(segment).finish();
    put(segment, CHECKSUM, sum.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> (IpAddr, IpAddr) {
        ([192, 0, 2, 1].into(), [192, 0, 2, 2].into())
    }

    fn syn(options: &[u8]) -> heapless::Vec<u8, 60> {
        let mut segment = heapless::Vec::new();
        segment.extend_from_slice(&[0; HEADER]).unwrap();
        segment.extend_from_slice(options).unwrap();
        segment[12] = ((segment.len() / 4) as u8) << 4;
        segment[FLAGS] = SYN;
        fill_checksum(&mut segment, addresses().0, addresses().1).unwrap();
        segment
    }

    fn verifies(segment: &[u8]) -> bool {
        let (source, destination) = addresses();
        Checksum::pseudo_header(source, destination, PROTOCOL, segment.len()).add(segment).finish() == 0
    }

    #[test]
    fn lowers_and_keeps_the_checksum_right() {
        let aligned = syn(&[2, 4, 5, 0xb4]);
        let odd = syn(&[1, 2, 4, 5, 0xb4, 0, 0, 0]);
        for (mut segment, at) in [(aligned, 22), (odd, 23)] {
            assert!(clamp_mss(&mut segment, 1426));
            assert_eq!(get_u16(&segment, at), Some(1426));
            assert!(verifies(&segment));
        }
    }

    #[test]
    fn leaves_small_values_and_other_segments_alone() {
        let small = syn(&[2, 4, 2, 0]);
        let mut segment = small.clone();
        assert!(!clamp_mss(&mut segment, 1426));
        assert_eq!(segment, small);
        let mut data = syn(&[2, 4, 5, 0xb4]);
        data[FLAGS] = 0x10;
        assert!(!clamp_mss(&mut data, 536));
    }

    #[test]
    fn damaged_options_end_the_search() {
        for options in [&[3, 0, 2, 4][..], &[2, 4, 5, 0xb4], &[3, 200, 1, 1], &[2, 3, 5, 1]] {
            let mut segment = syn(options);
            if options[0] == 2 && options[1] == 4 {
                segment.truncate(23);
            }
            assert!(!clamp_mss(&mut segment, 100));
        }
        assert!(!clamp_mss(&mut [], 100));
    }
}
