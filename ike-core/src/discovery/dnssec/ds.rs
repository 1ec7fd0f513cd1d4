//! DS: what a parent says about the keys of a child (RFC 4034 §5, RFC 4509, RFC 6605 §2).

use super::Algorithm;

/// DS records looked at for one zone; more are not.
pub const MAX_DS: usize = 4;

/// Octets of the longest data of a DS record that is usable.
pub const MAX_DS_DATA: usize = 4 + 48;

/// The usable DS records of a zone: at least one, each of a supported algorithm and digest.
pub type DsSet = heapless::Vec<Ds, MAX_DS>;

/// One DS record of a supported algorithm and digest.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ds {
    /// Narrows down the keys to look at; not an identity.
    pub key_tag: u16,
    /// The key's.
    pub algorithm: Algorithm,
    /// Over the zone's name and the DNSKEY record's data (RFC 4034 §5.1.4).
    pub digest: Digest,
}

/// Digest of a key, by its type. SHA-1 (1) is not supported.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Digest {
    /// Type 2.
    Sha256([u8; 32]),
    /// Type 4.
    Sha384([u8; 48]),
}

/// Why a DS record cannot be used.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// Its algorithm or its digest is not supported: as if it were not there (RFC 4035 §5.2).
    NotSupported,
    /// Its data has no form.
    Malformed,
}

impl Ds {
    /// From a record's data.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn read(data: &[u8]) -> Result<Self, Unusable> {
        let (&[tag0, tag1, algorithm, digest_type], digest) =
            data.split_first_chunk().ok_or(Unusable::Malformed)?;
        let algorithm = Algorithm::from_number(algorithm).ok_or(Unusable::NotSupported)?;
        let digest = match digest_type {
            2 => digest.try_into().map(Digest::Sha256),
            4 => digest.try_into().map(Digest::Sha384),
            _ => return Err(Unusable::NotSupported),
        };
        let digest = digest.map_err(|_| Unusable::Malformed)?;
        Ok(Self { key_tag: u16::from_be_bytes([tag0, tag1]), algorithm, digest })
    }

    /// Its record's data.
    pub fn data(&self) -> heapless::Vec<u8, MAX_DS_DATA> {
        let (number, digest): (u8, &[u8]) = match &self.digest {
            Digest::Sha256(digest) => (2, digest),
            Digest::Sha384(digest) => (4, digest),
        };
        let head = self.key_tag.to_be_bytes().into_iter().chain([self.algorithm.number(), number]);
        head.chain(digest.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4509 §2.1, RFC 6605 §2; digest 1 and algorithms 5 and 7 are as if they were not there.
    #[test]
    fn a_ds_record_has_a_digest_of_its_type() {
        let mut data = [7; 4 + 48];
        (data[2], data[3]) = (13, 2);
        let digest = Digest::Sha256([7; 32]);
        let ds = Ds { key_tag: 0x0707, algorithm: Algorithm::EcdsaP256Sha256, digest };
        assert_eq!(Ds::read(&data[..36]), Ok(ds));
        assert_eq!(ds.data(), &data[..36]);
        assert_eq!(Ds::read(&data[..35]), Err(Unusable::Malformed));
        assert_eq!(Ds::read(&data[..37]), Err(Unusable::Malformed));
        assert_eq!(Ds::read(&data[..3]), Err(Unusable::Malformed));
        data[3] = 4;
        assert_eq!(Ds::read(&data).map(|ds| ds.digest), Ok(Digest::Sha384([7; 48])));
        for (algorithm, digest_type) in [(13, 1), (13, 3), (5, 2), (7, 2), (16, 2), (253, 2)] {
            (data[2], data[3]) = (algorithm, digest_type);
            assert_eq!(Ds::read(&data[..36]), Err(Unusable::NotSupported));
        }
    }
}
