//! Validation of received messages (RFC 4033 to 4035, RFC 5155, RFC 6840): from the DS records of the root
//! down, zone by zone, by pure functions over [`Validation`], which is one message and what judging it may
//! still cost. A [`Zone`] is the authenticated keys of one zone and judges what that zone says: RRsets
//! ([`Zone::verify`]), whether a zone begins below it ([`Zone::delegation`]), and what does not exist
//! ([`Zone::denial`]). Who asks which question next is the resolver's business.

use super::UnixTime;

mod algorithm;
mod anchor;
mod canonical;
mod denial;
mod dnskey;
mod ds;
mod entry_point;
mod nsec;
mod nsec3;
mod rrset;
mod rrsig;
mod types;
mod work;
mod zone;

pub use algorithm::Algorithm;
pub use anchor::ROOT;
pub use ds::{Digest, Ds, DsSet, MAX_DS, MAX_DS_DATA, Unusable};
pub use entry_point::{EntryPoint, EntryPoints, Signers};
pub use work::{MAX_VERIFICATIONS, Validation, Work};
pub use zone::{Term, Zone};

/// Something proved by signatures, and for how long.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Proved<T> {
    /// What was proved.
    pub what: T,
    /// Seconds from now for which it may be kept: the least of the received TTL, the RRSIG's, its Original
    /// TTL and the time until it expires (RFC 4035 §5.3.3), and a day; of a denial three hours at most.
    pub ttl: u32,
    /// When the first of the signatures expires.
    pub until: UnixTime,
}

/// How the owner of a validated RRset came to have it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// It is in the zone under this very name.
    Exact,
    /// From a wildcard; no closer name exists (RFC 4035 §5.3.4, RFC 5155 §8.8).
    Wildcard,
    /// From a wildcard; no closer *signed* name exists, but with opt-out an unsigned one might: the answer is
    /// insecure (RFC 5155 §9.2).
    WildcardOptOut,
}

/// Whether a zone begins at a name below.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")]
pub enum Delegation {
    /// One does, and its keys are among these.
    Secure(DsSet),
    /// One does, or may under opt-out, and nothing signs its keys that we could verify: there is no DS
    /// record, or only such of unknown algorithms and digests (RFC 4035 §5.2, RFC 6840 §5.2). Everything at
    /// and below the name is insecure.
    Insecure,
    /// None does: the name, if it exists, belongs to this zone.
    NoCut,
    /// Neither the name nor any below it exists (RFC 8020).
    NxDomain,
}

/// What of a name does not exist.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Denial {
    /// The name exists, or a wildcard stands for it, without records of the type.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// Nothing signed exists there, but with opt-out something unsigned might (RFC 5155 §9.2): insecure.
    OptOut,
}

/// Why what a zone says is not to be believed.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Bogus {
    /// The message cannot be read.
    Malformed,
    /// There is no such RRset in the message.
    NoRecords,
    /// No RRSIG of this zone covers the RRset.
    NoSignature,
    /// The RRSIG that covers it has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It was made by no key of the zone that we know.
    NoKey,
    /// It was not made over these records, or breaks a rule (RFC 4035 §5.3.1).
    BadSignature,
    /// No DNSKEY record is what a DS record of the parent names.
    NoDnskeyForDs,
    /// No NSEC or NSEC3 records prove that what is missing does not exist.
    NoProof,
    /// NSEC3 wants more iterations than are to be computed for anybody (RFC 9276 §3.2).
    Iterations,
    /// It takes more signatures, hashes or records than anybody may make us look at.
    TooMuchWork,
}

impl Bogus {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Malformed => "the answer cannot be read",
            Self::NoRecords => "the records are not in the answer",
            Self::NoSignature => "it should be signed and is not",
            Self::Expired => "the signature has expired",
            Self::NotYetValid => "the signature is not valid yet",
            Self::NoKey => "it is signed by no key of the zone",
            Self::BadSignature => "the signature is wrong",
            Self::NoDnskeyForDs => "the zone has no key that its parent names",
            Self::NoProof => "nothing proves that it does not exist",
            Self::Iterations => "NSEC3 asks for too many iterations",
            Self::TooMuchWork => "it takes too much work to check",
        }
    }
}
