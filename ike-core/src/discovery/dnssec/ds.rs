//! DS: what a parent says about the keys of a child (RFC 4034 §5, RFC 4509, RFC 6605 §2).

use super::Algorithm;

/// DS records looked at for one zone; more are not.
pub const MAX_DS: usize = 4;

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

impl Ds {
    /// From a record's data; `None` when it is malformed, or of an algorithm or digest not supported.
    pub fn read(data: &[u8]) -> Option<Self> {
        let (&[tag0, tag1, algorithm, digest_type], digest) = data.split_first_chunk()?;
        Some(Self {
            key_tag: u16::from_be_bytes([tag0, tag1]),
            algorithm: Algorithm::from_number(algorithm)?,
            digest: match digest_type {
                2 => Digest::Sha256(digest.try_into().ok()?),
                4 => Digest::Sha384(digest.try_into().ok()?),
                _ => return None,
            },
        })
    }
}
