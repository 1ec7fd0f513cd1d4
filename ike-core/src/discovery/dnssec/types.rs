//! Type Bit Maps: which types a name has (RFC 4034 §4.1.2, RFC 5155 §3.2.1).

use domain::base::Rtype;

/// Types of a name. Its blocks are in ascending order and none is empty or longer than 32 octets: a bitmap
/// that breaks this rule could say two things of one type.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Types<'m>(&'m [u8]);

impl<'m> Types<'m> {
    /// Of a name that exists because of what is below it.
    pub(super) const NONE: Self = Self(&[]);

    /// `None` when it is malformed.
    pub(super) fn read(octets: &'m [u8]) -> Option<Self> {
        let mut rest = octets;
        let mut last = None;
        while let [window, length @ 1..=32, blocks @ ..] = rest {
            if last.replace(*window).is_some_and(|last| last >= *window) {
                return None;
            }
            rest = blocks.get(usize::from(*length)..)?;
        }
        rest.is_empty().then_some(Self(octets))
    }

    /// Whether the name has this type.
    pub(super) fn has(self, rtype: Rtype) -> bool {
        let [window, number] = rtype.to_int().to_be_bytes();
        let mut rest = self.0;
        while let [here, length, blocks @ ..] = rest {
            if *here == window {
                let octet =
                    blocks.get(..usize::from(*length)).and_then(|block| block.get(usize::from(number / 8)));
                return octet.is_some_and(|octet| octet & (0x80 >> (number % 8)) != 0);
            }
            rest = blocks.get(usize::from(*length)..).unwrap_or_default();
        }
        false
    }

    /// Whether a zone of its own begins at the name, and this is what its parent says of it: then it says
    /// nothing of what the child has (RFC 6840 §4.1).
    pub(super) fn is_delegation(self) -> bool {
        self.has(Rtype::NS) && !self.has(Rtype::SOA)
    }

    /// Whether nothing that this zone says exists below the name: it is delegated, or redirected.
    pub(super) fn is_end(self) -> bool {
        self.is_delegation() || self.has(Rtype::DNAME)
    }

    /// Whether the name has no data of this type, nor a CNAME in its place (RFC 6840 §4.3). DS is of the
    /// parent and all else of the child.
    pub(super) fn deny(self, rtype: Rtype) -> bool {
        let is_other_side = if rtype == Rtype::DS { self.has(Rtype::SOA) } else { self.is_delegation() };
        !self.has(rtype) && !self.has(Rtype::CNAME) && !is_other_side
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4034 §4.3: the example's bitmap.
    #[test]
    fn types_are_bits() {
        let mut octets = [0; 37];
        octets[..8].copy_from_slice(&[0, 6, 0x40, 0x01, 0, 0, 0, 0x03]);
        octets[8..10].copy_from_slice(&[4, 27]);
        octets[36] = 0x20;
        let types = Types::read(&octets).unwrap();
        for rtype in [Rtype::A, Rtype::MX, Rtype::RRSIG, Rtype::NSEC, Rtype::from_int(1234)] {
            assert!(types.has(rtype), "{rtype}");
        }
        for rtype in [Rtype::NS, Rtype::AAAA, Rtype::IPSECKEY, Rtype::from_int(1235), Rtype::from_int(65535)]
        {
            assert!(!types.has(rtype), "{rtype}");
        }
    }

    /// Each ends or is refused: no length makes it stand still.
    #[test]
    fn what_breaks_the_form_is_refused() {
        let long = |length: u8| [&[0, length][..], &[0xff; 33]].concat_array();
        for bad in [
            &[0][..],
            &[0, 0],
            &[0, 1],
            &[0, 2, 1],
            &[0, 1, 1, 0, 1, 1],
            &[1, 1, 1, 0, 1, 1],
            &[0, 1, 1, 7],
            &long(33),
        ] {
            assert_eq!(Types::read(bad), None, "{bad:?}");
        }
        assert!(Types::read(&long(32)[..34]).is_some());
        assert_eq!(Types::read(&[]), Some(Types::NONE));
        assert!(Types::read(&[0, 1, 1, 1, 1, 1]).is_some());
    }

    trait ConcatArray {
        fn concat_array(&self) -> [u8; 35];
    }

    impl ConcatArray for [&[u8]; 2] {
        fn concat_array(&self) -> [u8; 35] {
            let mut octets = [0; 35];
            octets.iter_mut().zip(self.iter().copied().flatten()).for_each(|(to, from)| *to = *from);
            octets
        }
    }

    fn types<const N: usize>(all: [Rtype; N]) -> [u8; 34] {
        let mut octets = [0; 34];
        octets[1] = 32;
        for rtype in all {
            let number = usize::from(rtype.to_int());
            octets[2 + number / 8] |= 0x80 >> (number % 8);
        }
        octets
    }

    /// RFC 6840 §4.1, §4.3, RFC 4035 §5.2.
    #[test]
    fn a_denial_is_of_the_right_side_and_not_beside_a_cname() {
        let (parent, child) = (types([Rtype::NS]), types([Rtype::NS, Rtype::SOA]));
        let (alias, plain) = (types([Rtype::CNAME]), types([Rtype::A]));
        let denied = |octets, rtype| Types::read(octets).unwrap().deny(rtype);
        assert!(denied(&parent, Rtype::DS) && !denied(&parent, Rtype::A));
        assert!(!denied(&child, Rtype::DS) && denied(&child, Rtype::A));
        assert!(!denied(&alias, Rtype::DS) && !denied(&alias, Rtype::A));
        assert!(denied(&plain, Rtype::DS) && !denied(&plain, Rtype::A) && denied(&plain, Rtype::AAAA));
    }
}
