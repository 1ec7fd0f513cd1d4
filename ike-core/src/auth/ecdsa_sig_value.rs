//! Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER } for P-256, in DER and nothing but DER
//! (RFC 3279 §2.2.3): every signature has exactly one encoding that is accepted.

use crate::crypto::SIGNATURE;

/// Octets of the longest encoding: both integers with a leading zero.
pub const MAX_LENGTH: usize = 2 + 2 * (2 + 33);

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// `r | s` in DER.
pub fn encode(signature: &[u8; SIGNATURE]) -> heapless::Vec<u8, MAX_LENGTH> {
    let (r, s) = signature.split_at(SIGNATURE / 2);
    let (r, s) = (Integer::of(r), Integer::of(s));
    let header = [SEQUENCE, r.encoded_length() + s.encoded_length()];
    header.into_iter().chain(r.octets()).chain(s.octets()).collect()
}

/// `r | s` of a DER encoding, or `None`. Whether they are in range is not looked at here.
pub fn decode(der: &[u8]) -> Option<[u8; SIGNATURE]> {
    let (body, []) = element(SEQUENCE, der)? else { return None };
    let (r, rest) = element(INTEGER, body)?;
    let (s, []) = element(INTEGER, rest)? else { return None };
    let mut signature = [0; SIGNATURE];
    let (left, right) = signature.split_at_mut(SIGNATURE / 2);
    right_align(r, left)?;
    right_align(s, right)?;
    Some(signature)
}

/// A non-negative number without superfluous zeros.
struct Integer<'a>(&'a [u8]);

impl<'a> Integer<'a> {
    fn of(octets: &'a [u8]) -> Self {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        Self(octets.get(zeros..).unwrap_or_default())
    }

    /// Zero is written as one octet, and a set top bit would make the number negative.
    fn needs_zero(&self) -> bool {
        self.0.first().is_none_or(|octet| octet & 0x80 != 0)
    }

    fn length(&self) -> u8 {
        self.0.len() as u8 + u8::from(self.needs_zero())
    }

    fn encoded_length(&self) -> u8 {
        2 + self.length()
    }

    fn octets(&self) -> impl Iterator<Item = u8> + use<'a> {
        let zero = self.needs_zero().then_some(0);
        [INTEGER, self.length()].into_iter().chain(zero).chain(self.0.iter().copied())
    }
}

/// The content of an element with this tag and a length below 128, and what follows it.
fn element(tag: u8, octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = octets.split_first_chunk()?;
    if found != tag || length & 0x80 != 0 {
        return None;
    }
    rest.split_at_checked(usize::from(length))
}

/// Content of an INTEGER into a field of fixed size; `None` if negative, not minimal or too large.
fn right_align(content: &[u8], field: &mut [u8]) -> Option<()> {
    let number = match content {
        [0] => &[],
        [0, next, ..] if next & 0x80 != 0 => content.get(1..)?,
        [0, ..] | [] => return None,
        [first, ..] if first & 0x80 != 0 => return None,
        _ => content,
    };
    let from = field.len().checked_sub(number.len())?;
    field.get_mut(from..)?.copy_from_slice(number);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(r: &[u8], s: &[u8]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        signature[32 - r.len()..32].copy_from_slice(r);
        signature[64 - s.len()..].copy_from_slice(s);
        signature
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        let small = signature(&[0x7f], &[0x80]);
        assert_eq!(encode(&small), [0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80]);
        let zero = signature(&[], &[1, 0]);
        assert_eq!(encode(&zero), [0x30, 7, 2, 1, 0, 2, 2, 1, 0]);
        assert_eq!(encode(&[0xff; SIGNATURE]).len(), MAX_LENGTH);
        for each in [small, zero, [0xff; SIGNATURE], [0x7f; SIGNATURE]] {
            assert_eq!(decode(&encode(&each)), Some(each));
        }
    }

    /// X.690 §8.3, §10.1: one value, one encoding.
    #[test]
    fn what_is_not_der_is_refused() {
        let refused: [&[u8]; 14] = [
            &[],
            &[0x30, 0],
            &[0x30, 3, 2, 1, 1],
            &[0x30, 6, 2, 1, 0xff, 2, 1, 1],       // negative
            &[0x30, 7, 2, 2, 0, 1, 2, 1, 1],       // superfluous zero
            &[0x30, 5, 2, 0, 2, 1, 1],             // integer without content
            &[0x30, 6, 2, 1, 1, 2, 1, 1, 0],       // something behind the sequence
            &[0x30, 7, 2, 1, 1, 2, 1, 1, 0],       // something behind s
            &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1],    // long form of length
            &[0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0], // indefinite length
            &[0x31, 6, 2, 1, 1, 2, 1, 1],          // a set
            &[0x30, 6, 3, 1, 1, 2, 1, 1],          // a bit string
            &[0x30, 7, 2, 1, 1, 2, 1, 1],          // length beyond the end
            &[0x30, 6, 2, 4, 1, 2, 1, 1],          // r beyond the sequence
        ];
        for der in refused {
            assert_eq!(decode(der), None, "{der:02x?}");
        }
        assert_eq!(decode(&[0x30, 6, 2, 1, 1, 2, 1, 1]), Some(signature(&[1], &[1])));
    }

    #[test]
    fn integers_of_more_than_256_bits_are_refused() {
        let mut der = [0x11; 2 + 2 + 33 + 3];
        der[..4].copy_from_slice(&[0x30, 38, 2, 33]);
        der[37..].copy_from_slice(&[2, 1, 1]);
        assert_eq!(decode(&der), None);
    }
}
