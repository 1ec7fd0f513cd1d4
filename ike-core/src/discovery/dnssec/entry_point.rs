//! Secure entry points: what a DNSKEY RRset of the root says about keys that are, were or may become trust
//! anchors (RFC 5011 §2). Nothing here is trusted; who keeps the anchors decides what follows.

use domain::base::{Message, Rtype, name};
use domain::dep::octseq::Parser;
use domain::rdata::Dnskey;

use super::dnskey::{MAX_KEYS, ZoneKey};
use super::rrset::{RrSet, Section};
use super::{Algorithm, Bogus, Digest, Ds, Validation, rrsig};
use crate::crypto::Crypto;

/// The flag of a key that its owner has given up (RFC 5011 §3).
const REVOKE: u16 = 0x0080;

/// The keys of one RRset.
pub type EntryPoints = heapless::Vec<EntryPoint, MAX_KEYS>;

/// Those of them that signed the RRset, by their places in it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Signers(u16);

const _: () = assert!(MAX_KEYS <= u16::BITS as usize);

/// A key of the root, as one RRset shows it. Its tag and digests are those that it had, or would have, without
/// its Revoke flag: it stays the same key when it is revoked (RFC 5011 §2.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct EntryPoint {
    /// It is marked as a secure entry point (RFC 4034 §2.1.1).
    pub is_marked: bool,
    /// It is marked as revoked (RFC 5011 §3). That counts only if it says so itself.
    pub is_revoked: bool,
    /// It signed this RRset, at this time.
    pub signs: bool,
    pub(in crate::discovery) key_tag: u16,
    pub(in crate::discovery) algorithm: Algorithm,
    pub(in crate::discovery) sha256: [u8; 32],
    pub(in crate::discovery) sha384: [u8; 48],
}

impl EntryPoint {
    /// Which keys of the root signed the RRset in the answer section, revoked ones too.
    ///
    /// # Errors
    /// [`Bogus`]: there is no such RRset, or it is too large. A signature that is wrong is none.
    #[inline(never)]
    pub fn signers<C: Crypto>(answer: &mut Validation<'_, C>) -> Result<Signers, Bogus> {
        let root = super::super::root();
        let set = RrSet::find(answer.answer, Section::Answer, &root, Rtype::DNSKEY)?;
        if set.len() > MAX_KEYS {
            return Err(Bogus::TooMuchWork);
        }
        let mut signers = Signers(0);
        for (place, data) in set.data().enumerate() {
            let Some(key) = ZoneKey::read_even_revoked(data.octets()) else { continue };
            let of = (&root, Rtype::DNSKEY);
            match rrsig::verify_set((&root, &[key]), Section::Answer, of, &set, answer) {
                Ok(_) => signers.0 |= 1 << place,
                Err(Bogus::TooMuchWork) => return Err(Bogus::TooMuchWork),
                Err(_) => {}
            }
        }
        Ok(signers)
    }

    /// Every usable key of the root in the RRset of this answer, which these signed.
    pub fn read<C: Crypto>(answer: &Message<[u8]>, signers: Signers, crypto: &C) -> EntryPoints {
        let root = super::super::root();
        let set = RrSet::find(answer, Section::Answer, &root, Rtype::DNSKEY);
        let data = set.iter().flat_map(RrSet::data).enumerate();
        let usable = data.filter(|(_, data)| ZoneKey::read_even_revoked(data.octets()).is_some());
        let keys =
            usable.filter_map(|(place, data)| Self::new(data.octets(), signers.0 & 1 << place != 0, crypto));
        // No more than there is room for: that was checked.
        keys.take(MAX_KEYS).collect()
    }

    fn new<C: Crypto>(data: &[u8], signs: bool, crypto: &C) -> Option<Self> {
        let seen = Dnskey::parse(&mut Parser::from_ref(data)).ok()?;
        let flags = seen.flags() & !REVOKE;
        let key = Dnskey::new(flags, seen.protocol(), seen.algorithm(), *seen.public_key()).ok()?;
        let flags = flags.to_be_bytes();
        let digested = [name::Name::root_slice().as_slice(), &flags, data.get(2..)?];
        Some(Self {
            is_marked: seen.is_secure_entry_point(),
            is_revoked: seen.is_revoked(),
            signs,
            key_tag: key.key_tag(),
            algorithm: Algorithm::from_number(seen.algorithm().to_int())?,
            sha256: crypto.sha256(&digested),
            sha384: crypto.sha384(&digested),
        })
    }

    /// Whether `anchor` names this key.
    pub fn is_named(&self, anchor: &Ds) -> bool {
        (anchor.key_tag, anchor.algorithm) == (self.key_tag, self.algorithm)
            && match anchor.digest {
                Digest::Sha256(digest) => digest == self.sha256,
                Digest::Sha384(digest) => digest == self.sha384,
            }
    }

    /// What names it.
    pub const fn anchor(&self) -> Ds {
        Ds { key_tag: self.key_tag, algorithm: self.algorithm, digest: Digest::Sha256(self.sha256) }
    }
}
