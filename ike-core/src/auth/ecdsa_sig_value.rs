//! Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER } in DER and nothing but DER (RFC 3279 §2.2.3):
//! every signature has exactly one encoding that is accepted.

use crate::crypto::Signature;
use crate::wire::der::{self, Number, tag};
use crate::wire::reader::Reader;

/// Octets of a number for P-384, the longest.
const MAX_NUMBER: usize = 48;

/// Octets of the longest encoding: both integers with a leading zero.
pub const MAX_LENGTH: usize = 2 + 2 * (2 + 1 + MAX_NUMBER);

/// `r | s`, each of the same length and of at most 48 octets, in DER.
pub fn encode(signature: &[u8]) -> heapless::Vec<u8, MAX_LENGTH> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let (r, s) = (Number::new(r), Number::new(s));
    der::header(tag::SEQUENCE, r.length() + s.length())
        .into_iter()
        .chain(r.octets())
        .chain(s.octets())
        .collect()
}

/// `r | s`, each of `length` octets, of a DER encoding, or `None`. Whether they are in range is not looked
/// at here.
pub fn decode(octets: &[u8], length: usize) -> Option<Signature> {
    let mut reader = Reader(der::only(octets, tag::SEQUENCE)?);
    let numbers = [der::number(&mut reader)?, der::number(&mut reader)?];
    let mut signature = Signature::new();
    for number in numbers {
        let zeros = length.checked_sub(number.len())?;
        signature.resize(signature.len() + zeros, 0).ok()?;
        signature.extend_from_slice(number).ok()?;
    }
    reader.is_empty().then_some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(r: &[u8], s: &[u8]) -> Signature {
        let mut signature = Signature::from_slice(&[0; 64]).unwrap();
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
        assert_eq!(encode(&[0xff; 2 * MAX_NUMBER]).len(), MAX_LENGTH);
        for each in [small, zero, signature(&[0xff; 32], &[0xff; 32]), signature(&[0x7f; 32], &[0x7f; 32])] {
            assert_eq!(decode(&encode(&each), 32), Some(each));
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
            assert_eq!(decode(der, 32), None, "{der:02x?}");
        }
        assert_eq!(decode(&[0x30, 6, 2, 1, 1, 2, 1, 1], 32), Some(signature(&[1], &[1])));
    }

    #[test]
    fn integers_beyond_the_curve_are_refused() {
        let mut der = [0x11; 2 + 2 + 33 + 3];
        der[..4].copy_from_slice(&[0x30, 38, 2, 33]);
        der[37..].copy_from_slice(&[2, 1, 1]);
        assert_eq!(decode(&der, 32), None);
        assert!(decode(&der, 33).is_some());
    }
}
