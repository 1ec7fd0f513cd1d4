//! The ESP packet (RFC 4303 §2): SPI and sequence number, then the text with its trailer, then the
//! ICV. An IV that the cipher carries is the first part of the text's field.

use core::ops::Range;

use super::{get_u32, put};
use crate::crypto::Algorithm;
use crate::sa::Spi;

/// Protocol number of ESP.
pub const PROTOCOL: u8 = 50;
/// Next header of a dummy packet (RFC 4303 §2.6).
pub const NEXT_DUMMY: u8 = 59;
/// Octets of SPI and sequence number.
pub const HEADER: usize = 8;
/// Octets of pad length and next header.
pub const TRAILER: usize = 2;

/// The two numbers at the front.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The value on the wire; it may be reserved.
    pub spi: u32,
    /// The low 32 bits.
    pub sequence: u32,
}

impl Header {
    /// `None` when `esp` is too short.
    pub fn read(esp: &[u8]) -> Option<Self> {
        Some(Self { spi: get_u32(esp, 0)?, sequence: get_u32(esp, 4)? })
    }

    /// Writes the front of `esp`; `None` when it is too short.
    pub(crate) fn write(esp: &mut [u8], spi: Spi, sequence: u64) -> Option<()> {
        put(esp, 0, spi.get().to_be_bytes())?;
        put(esp, 4, (sequence as u32).to_be_bytes())
    }
}

/// The text ends on a multiple of this (RFC 4303 §2.4).
pub(crate) fn alignment(algorithm: Algorithm) -> usize {
    algorithm.block_length().max(4)
}

/// Where the parts of one ESP packet lie, counted from its SPI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The explicit IV.
    pub iv: Range<usize>,
    /// What is encrypted: payload, padding, pad length, next header.
    pub text: Range<usize>,
    /// The integrity check value.
    pub icv: Range<usize>,
}

impl Layout {
    /// For a packet of `length` octets in all. `None` when that cannot be: too short, or the text
    /// is not a multiple of the block (RFC 4303 §2.4).
    pub fn of_length(algorithm: Algorithm, length: usize) -> Option<Self> {
        let text = HEADER + algorithm.iv_length();
        let icv = length.checked_sub(algorithm.icv_length())?;
        let octets = icv.checked_sub(text)?;
        (octets >= TRAILER && octets.is_multiple_of(alignment(algorithm))).then_some(Self {
            iv: HEADER..text,
            text: text..icv,
            icv: icv..length,
        })
    }

    /// For a payload of `payload` octets, with the least padding.
    pub fn of_payload(algorithm: Algorithm, payload: usize) -> Self {
        let start = HEADER + algorithm.iv_length();
        let end = start + (payload + TRAILER).next_multiple_of(alignment(algorithm));
        Self { iv: HEADER..start, text: start..end, icv: end..end + algorithm.icv_length() }
    }

    /// Octets of the whole ESP packet.
    pub fn length(&self) -> usize {
        self.icv.end
    }
}

/// Writes padding 1, 2, 3, …, its length and the next header behind the first `payload` octets of
/// `text` (RFC 4303 §2.4).
pub(crate) fn write_trailer(text: &mut [u8], payload: usize, next_header: u8) -> Option<()> {
    let (padding, trailer) = text.get_mut(payload..)?.split_last_chunk_mut::<TRAILER>()?;
    for (octet, value) in padding.iter_mut().zip(1..=u8::MAX) {
        *octet = value;
    }
    *trailer = [u8::try_from(padding.len()).ok()?, next_header];
    Some(())
}

/// Checks the padding of a decrypted `text`; octets of payload, and the next header. `None` when
/// the padding is longer than the text or is not 1, 2, 3, … (RFC 4303 §2.4).
pub fn read_trailer(text: &[u8]) -> Option<(usize, u8)> {
    let (rest, &[pad_length, next_header]) = text.split_last_chunk::<TRAILER>()?;
    let payload = rest.len().checked_sub(usize::from(pad_length))?;
    let in_order = rest.get(payload..)?.iter().copied().eq(1..=pad_length);
    in_order.then_some((payload, next_header))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHM: Algorithm = Algorithm::Aes128Gcm16;

    /// RFC 4303 §2.4: pad length and next header end on a 4-octet boundary, and on the cipher's block.
    #[test]
    fn text_ends_on_a_boundary() {
        for algorithm in Algorithm::ALL {
            let boundary = if algorithm.block_length() == 16 { 16 } else { 4 };
            for payload in 0..64 {
                let layout = Layout::of_payload(algorithm, payload);
                assert_eq!(layout.text.len() % boundary, 0);
                assert!(layout.text.len() - payload - TRAILER < boundary);
                assert_eq!(Layout::of_length(algorithm, layout.length()), Some(layout));
            }
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for length in (0..36).chain([37, 38, 39]) {
            assert_eq!(Layout::of_length(ALGORITHM, length), None, "{length}");
        }
        assert_eq!(Layout::of_length(ALGORITHM, 36).unwrap().text, 16..20);
    }

    #[test]
    fn trailer_reads_back() {
        let mut text = [0xee; 20];
        write_trailer(&mut text, 13, 6).unwrap();
        assert_eq!(text[13..], [1, 2, 3, 4, 5, 5, 6]);
        assert_eq!(read_trailer(&text), Some((13, 6)));
    }

    /// RFC 4303 §2.4: the receiver inspects the padding.
    #[test]
    fn wrong_padding_is_refused() {
        assert_eq!(read_trailer(&[9, 1, 3, 2, 6]), None);
        assert_eq!(read_trailer(&[9, 0, 1, 2, 6]), None);
        assert_eq!(read_trailer(&[1, 2, 3, 6]), None, "padding longer than the text");
        assert_eq!(read_trailer(&[6]), None);
        let mut longest = [0; 257];
        write_trailer(&mut longest, 0, 59).unwrap();
        assert_eq!(read_trailer(&longest), Some((0, 59)));
        assert_eq!(write_trailer(&mut [0; 259], 0, 59), None, "more padding than a length can say");
    }
}
