//! The little of DER (X.690 §8, §10) that keys and signatures need: elements with definite lengths in
//! their shortest form, INTEGERs that are not negative. Every value has exactly one encoding.

use super::reader::Reader;

/// Identifier octets.
pub(crate) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const SEQUENCE: u8 = 0x30;
    /// The version of a certificate (RFC 5280 §4.1).
    pub(crate) const VERSION: u8 = 0xa0;
}

/// Takes one element with this identifier off `reader` and returns its contents.
pub(crate) fn element<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    if reader.u8()? != tag {
        return None;
    }
    let length = length(reader)?;
    reader.octets(length)
}

/// The contents of the one element with this identifier that `der` is.
pub(crate) fn only(der: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Reader(der);
    element(&mut reader, tag).filter(|_| reader.is_empty())
}

/// Takes a number off `reader`; no zeros in front, so that zero is empty.
pub(crate) fn number<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    match element(reader, tag::INTEGER)? {
        [0] => Some(&[]),
        [0, number @ ..] if number.first().is_some_and(|octet| octet & 0x80 != 0) => Some(number),
        [0, ..] | [] => None,
        [first, ..] if first & 0x80 != 0 => None,
        number => Some(number),
    }
}

/// A definite length in its shortest form, below 65,536.
fn length(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.u8()? {
        short @ 0..=0x7f => Some(usize::from(short)),
        0x81 => reader.u8().filter(|&length| length >= 0x80).map(usize::from),
        0x82 => reader.u16().filter(|&length| length >= 0x100).map(usize::from),
        _ => None,
    }
}

/// Identifier and length of an element.
pub(crate) fn header(tag: u8, length: usize) -> heapless::Vec<u8, 4> {
    let [high, low] = (length as u16).to_be_bytes();
    match length {
        0..=0x7f => [tag, low].into_iter().collect(),
        0x80..=0xff => [tag, 0x81, low].into_iter().collect(),
        _ => [tag, 0x82, high, low].into_iter().collect(),
    }
}

/// A number to be written, with or without zeros in front.
#[derive(Copy, Clone)]
pub(crate) struct Number<'a>(&'a [u8]);

impl<'a> Number<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        Self(octets.get(zeros..).unwrap_or_default())
    }

    /// Zero is written as one octet, and a set top bit would make the number negative.
    fn zero(self) -> Option<u8> {
        self.0.first().is_none_or(|octet| octet & 0x80 != 0).then_some(0)
    }

    fn content(self) -> usize {
        self.0.len() + usize::from(self.zero().is_some())
    }

    /// Octets of the whole element.
    pub(crate) fn length(self) -> usize {
        header(tag::INTEGER, self.content()).len() + self.content()
    }

    /// The whole element.
    pub(crate) fn octets(self) -> impl Iterator<Item = u8> + use<'a> {
        header(tag::INTEGER, self.content()).into_iter().chain(self.zero()).chain(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X.690 §10.1: the shortest form of a length is the only one.
    #[test]
    fn lengths_have_one_form() {
        let read = |der: &[u8]| length(&mut Reader(der));
        assert_eq!(read(&[0x7f]), Some(0x7f));
        assert_eq!(read(&[0x81, 0x80]), Some(0x80));
        assert_eq!(read(&[0x82, 1, 0]), Some(0x100));
        for refused in [&[][..], &[0x80], &[0x81, 0x7f], &[0x82, 0, 0xff], &[0x83, 1, 0, 0], &[0xff]] {
            assert_eq!(read(refused), None, "{refused:02x?}");
        }
        for length_written in [0, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            assert_eq!(read(&header(tag::SEQUENCE, length_written)[1..]), Some(length_written));
        }
    }

    /// X.690 §8.3: no superfluous zero, nothing negative.
    #[test]
    fn numbers_have_one_form() {
        for (number_written, der) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0, 0x7f], &[2, 1, 0x7f]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[1, 0], &[2, 2, 1, 0]),
        ] {
            let written: heapless::Vec<u8, 8> = Number::new(number_written).octets().collect();
            assert_eq!(written, der);
            assert_eq!(Number::new(number_written).length(), der.len());
            assert_eq!(number(&mut Reader(der)), Some(Number::new(number_written).0));
        }
        for refused in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 0x7f], &[2, 2, 0, 0], &[2, 2, 1], &[3, 1, 1]] {
            assert_eq!(number(&mut Reader(refused)), None, "{refused:02x?}");
        }
    }
}
