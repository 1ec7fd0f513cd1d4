//! Records in a fixed number of octets: type and length in front of each record's data.

use domain::base::Rtype;

/// Octets in front of a record's data.
const HEAD: usize = 4;

/// The data of records, in the order in which they were put in.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Records<const N: usize> {
    octets: heapless::Vec<u8, N>,
}

impl<const N: usize> Records<N> {
    /// None.
    pub const fn new() -> Self {
        Self { octets: heapless::Vec::new() }
    }

    /// Puts one behind the others; `false` when there is no room for it.
    #[must_use]
    pub fn push(&mut self, rtype: Rtype, rdata: &[u8]) -> bool {
        let Ok(length) = u16::try_from(rdata.len()) else {
            return false;
        };
        if self.octets.capacity().saturating_sub(self.octets.len()) < HEAD + rdata.len() {
            return false;
        }
        let [type_high, type_low] = rtype.to_int().to_be_bytes();
        let [high, low] = length.to_be_bytes();
        let head = self.octets.extend_from_slice(&[type_high, type_low, high, low]);
        head.and_then(|()| self.octets.extend_from_slice(rdata)).is_ok()
    }

    /// Each record: its type and its data.
    pub fn iter(&self) -> impl Iterator<Item = (Rtype, &[u8])> {
        let mut rest = self.octets.as_slice();
        core::iter::from_fn(move || {
            let ([type_high, type_low, high, low], behind) = rest.split_first_chunk::<HEAD>()?;
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (rdata, behind) = behind.split_at_checked(length)?;
            rest = behind;
            Some((Rtype::from_int(u16::from_be_bytes([*type_high, *type_low])), rdata))
        })
    }

    /// The data of each record of this type.
    pub fn of(&self, rtype: Rtype) -> impl Iterator<Item = &[u8]> {
        self.iter().filter_map(move |(other, rdata)| (other == rtype).then_some(rdata))
    }

    /// Drops all others.
    pub fn keep_only(&mut self, rtype: Rtype) {
        let mut kept = Self::new();
        for rdata in self.of(rtype) {
            // There is room for a part of what there is.
            let _ = kept.push(rtype, rdata);
        }
        *self = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What went in comes out in order; what does not fit leaves the others as they were.
    #[test]
    fn records_in_order_as_far_as_they_fit() {
        let mut records = Records::<32>::new();
        assert!(records.push(Rtype::A, &[1; 4]));
        assert!(records.push(Rtype::IPSECKEY, &[2; 10]));
        assert!(!records.push(Rtype::A, &[3; 7]));
        assert!(records.push(Rtype::A, &[4; 4]));
        assert!(records.of(Rtype::A).eq([[1; 4].as_slice(), &[4; 4]]));
        assert!(records.of(Rtype::IPSECKEY).eq([[2; 10].as_slice()]));
        assert_eq!(records.iter().count(), 3);
        records.keep_only(Rtype::A);
        assert!(records.iter().eq([(Rtype::A, [1; 4].as_slice()), (Rtype::A, &[4; 4])]));
    }
}
