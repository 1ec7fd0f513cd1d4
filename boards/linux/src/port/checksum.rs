//! Checksums that a driver left for the hardware: on a veth pair and between virtual machines no
//! hardware ever comes, and a stack that checks would drop the packet.

/// Finishes the Internet checksum (RFC 1071) over everything from `start`, at `start + offset`, where
/// the sum over the pseudo header already stands; `false` when that lies outside of the frame.
pub fn finish(frame: &mut [u8], start: usize, offset: usize) -> bool {
    let Some(covered) = frame.get_mut(start..) else { return false };
    let sum = covered.chunks(2).fold(0_u32, |sum, pair| {
        sum + u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    // Zero stands for "no checksum" in UDP, and both forms of zero are the same sum (RFC 768).
    let value = match !u16::try_from(folded & 0xffff).unwrap_or(0) {
        0 => 0xffff,
        value => value,
    };
    let Some(field) = covered.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<2>()) else {
        return false;
    };
    *field = value.to_be_bytes();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_checksum_makes_the_whole_sum_right() {
        // UDP 1000 -> 2000, 3 octets, between 192.0.2.1 and 192.0.2.2: pseudo header summed by the kernel.
        let pseudo: u32 = 0xc000 + 0x0201 + 0xc000 + 0x0202 + 17 + 11;
        let pseudo = u16::try_from((pseudo & 0xffff) + (pseudo >> 16)).unwrap();
        let mut frame = vec![0xee; 4];
        frame.extend([0x03, 0xe8, 0x07, 0xd0, 0, 11]);
        frame.extend(pseudo.to_be_bytes());
        frame.extend([0xde, 0xad, 0xbe]);
        assert!(finish(&mut frame, 4, 6));
        let value = u16::from_be_bytes([frame[10], frame[11]]);
        let all =
            [pseudo, 0x03e8, 0x07d0, 11, value, 0xdead, 0xbe00].iter().map(|w| u32::from(*w)).sum::<u32>();
        let all = (all & 0xffff) + (all >> 16);
        assert_eq!((all & 0xffff) + (all >> 16), 0xffff);
    }

    #[test]
    fn a_place_outside_of_the_frame_is_refused() {
        let mut frame = [0; 20];
        assert!(!finish(&mut frame, 21, 0));
        assert!(!finish(&mut frame, 10, 9));
        assert_eq!(frame, [0; 20]);
    }
}
