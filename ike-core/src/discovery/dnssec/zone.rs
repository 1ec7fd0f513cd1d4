//! The authenticated keys of one zone, and what the zone says through them.

use domain::base::{Rtype, ToName, name};

use super::super::Name;
use super::{Bogus, Delegation, Denial, Ds, Origin, Proved, UnixTime, Validation};
use crate::crypto::Crypto;

/// A zone whose keys are known.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Zone {
    apex: Name,
    expires: UnixTime,
}

impl Zone {
    /// The root zone: its DNSKEY RRset in the answer section, signed by a key that an anchor names. (An old
    /// device may have none of today's anchors: then this is [`Bogus::NoDnskeyForDs`].)
    ///
    /// # Errors
    /// [`Bogus`].
    pub fn from_anchors<C: Crypto>(anchors: &[Ds], answer: &mut Validation<'_, C>) -> Result<Self, Bogus> {
        let root = name::Name::root_slice().try_to_name().map_err(|_| Bogus::Malformed)?;
        Self::from_ds(&root, anchors, answer)
    }

    /// The zone `apex`: its DNSKEY RRset in the answer section, signed by a key that one of `ds` names
    /// (RFC 4035 §5.2).
    ///
    /// # Errors
    /// [`Bogus`].
    pub fn from_ds<C: Crypto>(apex: &Name, ds: &[Ds], answer: &mut Validation<'_, C>) -> Result<Self, Bogus> {
        let _ = (apex, ds, answer.now, answer.answer, answer.crypto, &answer.work);
        Err(Bogus::NoDnskeyForDs)
    }

    /// Its name.
    pub const fn apex(&self) -> &Name {
        &self.apex
    }

    /// Until when its keys may be used, by the TTL of its DNSKEY RRset. That of the DS RRset may end earlier:
    /// whoever keeps a zone minds that, too.
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// The RRset `owner` `rtype` of the answer section: all records there of that owner (whatever their case)
    /// and type, and of class IN. If it comes from a wildcard, the authority section must show that no closer
    /// name exists (RFC 4035 §5.3).
    ///
    /// # Errors
    /// [`Bogus`]; [`Bogus::NoRecords`] when there is no such RRset.
    pub fn verify<C: Crypto>(
        &self,
        owner: &Name,
        rtype: Rtype,
        answer: &mut Validation<'_, C>,
    ) -> Result<Proved<Origin>, Bogus> {
        let _ = (owner, rtype, answer.now);
        Err(Bogus::NoRecords)
    }

    /// What the answer to a question for the DS records of `child` says, a name below the apex
    /// (RFC 4035 §5.2, RFC 5155 §8.9, RFC 6840 §4.4). A CNAME at `child`, or a DNAME above it, is one more
    /// way to have no zone of its own.
    ///
    /// # Errors
    /// [`Bogus`].
    pub fn delegation<C: Crypto>(
        &self,
        child: &Name,
        answer: &mut Validation<'_, C>,
    ) -> Result<Proved<Delegation>, Bogus> {
        let _ = (child, answer.now);
        Err(Bogus::NoProof)
    }

    /// What the authority section proves of the absence of `name` `rtype` (RFC 4035 §5.4, RFC 5155 §8). The
    /// RCODE is not looked at.
    ///
    /// # Errors
    /// [`Bogus`].
    pub fn denial<C: Crypto>(
        &self,
        name: &Name,
        rtype: Rtype,
        answer: &mut Validation<'_, C>,
    ) -> Result<Proved<Denial>, Bogus> {
        let _ = (name, rtype, answer.now);
        Err(Bogus::NoProof)
    }
}
