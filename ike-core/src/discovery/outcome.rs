//! What DNS says about a name, and how far that is to be believed (RFC 4033 §5, RFC 4035 §4.3).
//!
//! An [`Outcome`] holds the records that were asked for, those of IPSECKEY in the order of their precedence,
//! and the links of the chain that they hang on. It lives where the resolver keeps its answers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::Rtype;
use domain::base::name;
use esp_engine::time::Instant;

use super::dnssec::Bogus;
use super::ipseckey::Ipseckey;
use super::records::Records;
use super::{Name, UnixTime, tlsa};
use crate::pad;

pub use crate::pad::Presence;

/// Octets for the records of one outcome: four RSA keys of 2,048 bits and four IPv6 addresses, or many
/// short keys.
pub const RECORDS: usize = 1152;

/// Links of the chain that are remembered.
pub const LINKS: usize = 24;

/// Keys that a peer may have; the first by precedence (RFC 4025 §2.2).
pub const KEYS: usize = 4;

/// Addresses that a peer may have, of either family.
pub const ADDRESSES: usize = 4;

/// How far an answer is to be believed, the least first.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Security {
    /// It should be signed, and what is there does not prove it (RFC 4035 §4.3).
    Bogus(Bogus),
    /// It could not be found out.
    Indeterminate(Indeterminate),
    /// Proven that nobody signs it (RFC 4035 §5.2): anybody on the way could have made it.
    Insecure,
    /// Proven, from a trust anchor down; also that something does not exist.
    Secure,
}

/// Why an answer is neither proven nor refuted.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Indeterminate {
    /// No server answered in time.
    NoAnswer,
    /// The answer is too long for a datagram, and no connection brought it.
    NoConnection,
    /// The servers refused or failed, the last one with this RCODE (RFC 6895 §2.3).
    Refused(u16),
    /// The servers leave out what belongs to DNSSEC.
    Unfit,
    /// The time of day is not known, so no signature can be judged. The records are those of the answer.
    ClockNotSet,
    /// There is no trust anchor, or none that names a key of the root.
    NoAnchor,
    /// It took too long.
    OutOfTime,
    /// The source of randomness failed: nothing can be asked.
    NoRandom,
}

/// One link of the chain, from the trust anchor down.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Link {
    /// Which of the names: 0 the one that was asked for, n the end of its nth alias.
    pub name: u8,
    /// Labels of that name, counted from its end, that the link is about; 0 is the root.
    pub depth: u8,
    /// What was found there.
    pub what: Found,
}

/// What was found at a name of the chain.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Found {
    /// The keys of the zone, now authenticated: by an anchor at the root, by the DS records of its parent
    /// elsewhere. From the cache, if so.
    Keys {
        /// They had been found before.
        cached: bool,
    },
    /// DS records of the zone there, signed by its parent.
    Delegation,
    /// Proof that the zone there is not signed, or only in ways that we cannot check (RFC 6840 §5.2).
    Unsigned {
        /// It had been found before.
        cached: bool,
    },
    /// Proof that no zone begins there.
    NoCut,
    /// Records, signed by the zone of this depth.
    Records {
        /// Of what type.
        rtype: Rtype,
        /// Labels of the name of the zone; `None` where nobody signs.
        zone: Option<u8>,
        /// Made from a wildcard (RFC 4592).
        wildcard: bool,
    },
    /// That there are no records of this type.
    Absent {
        /// Of what type.
        rtype: Rtype,
        /// Labels of the name of the zone that proves it; `None` where nobody does.
        zone: Option<u8>,
        /// There are no records of any type either.
        name: bool,
    },
    /// It ends here.
    Failed {
        /// What was asked for.
        rtype: Rtype,
        /// Why.
        reason: Security,
    },
}

/// The answer to a [`super::question::Question`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Outcome {
    /// How far all of it is to be believed: as far as its weakest part.
    pub security: Security,
    /// Whether there is what was asked for; of a [`super::question::Question::Peer`] this is about its keys.
    pub presence: Presence,
    /// Records were made from a wildcard: the name was not chosen by who made the key.
    pub wildcard: bool,
    /// Records that are unusable, or for which there was no room.
    pub left_out: u8,
    /// It holds until then: the least TTL, lifetime of a signature or patience with a failure.
    pub expires: Instant,
    /// When the first of the signatures ends; `None` where none was checked.
    pub signed_until: Option<UnixTime>,
    /// The same by the clock that [`Outcome::expires`] counts by.
    pub signatures_end: Option<Instant>,
    /// The server that answered last, by its place in the configuration; `None` while none did.
    pub server: Option<u8>,
    /// The chain.
    pub links: heapless::Vec<Link, LINKS>,
    /// What was found: aliases first, in their order, then records.
    pub records: Records<RECORDS>,
}

impl Security {
    /// The lesser of the two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other.rank() < self.rank() { other } else { self }
    }

    /// Without the reason.
    pub const fn class(self) -> pad::Security {
        match self {
            Self::Secure => pad::Security::Secure,
            Self::Insecure => pad::Security::Insecure,
            Self::Bogus(_) => pad::Security::Bogus,
            Self::Indeterminate(_) => pad::Security::Indeterminate,
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Bogus(_) => 0,
            Self::Indeterminate(_) => 1,
            Self::Insecure => 2,
            Self::Secure => 3,
        }
    }
}

impl Outcome {
    /// Usable keys in the order of preference. With an answer that is not secure only those that are the
    /// name's own: a gateway elsewhere would be the word of a stranger (RFC 4025 §4.1.2).
    pub fn keys(&self) -> impl Iterator<Item = Ipseckey> {
        self.records.of(Rtype::IPSECKEY).filter_map(|rdata| Ipseckey::parse(rdata).ok())
    }

    /// Usable fingerprints, in the order of the answer.
    pub fn fingerprints(&self) -> impl Iterator<Item = [u8; 32]> {
        self.records.of(Rtype::TLSA).filter_map(tlsa::parse)
    }

    /// The addresses of the name, in the order of the answers.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v6 = self.records.of(Rtype::AAAA).filter_map(|rdata| rdata.try_into().ok());
        let v4 = self.records.of(Rtype::A).filter_map(|rdata| rdata.try_into().ok());
        v6.map(|octets: [u8; 16]| IpAddr::V6(Ipv6Addr::from(octets)))
            .chain(v4.map(|octets: [u8; 4]| IpAddr::V4(Ipv4Addr::from(octets))))
    }

    /// The names that the question went on to, in order (RFC 1034 §3.6.2).
    pub fn aliases(&self) -> impl Iterator<Item = &name::Name<[u8]>> {
        self.records.of(Rtype::CNAME).filter_map(|rdata| name::Name::from_slice(rdata).ok())
    }

    /// The name that `link` is about, where `asked` is the one that was asked for.
    pub fn name_of(&self, link: Link, asked: &Name) -> Name {
        let whole = match usize::from(link.name).checked_sub(1) {
            None => asked.for_slice(),
            Some(alias) => self.aliases().nth(alias).unwrap_or(asked.for_slice()),
        };
        super::ancestor(whole, link.depth)
    }
}

impl Indeterminate {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoAnswer => "no server answered",
            Self::NoConnection => "the answer is too long for UDP, and TCP to the servers does not work",
            Self::Refused(_) => "the servers refused or failed",
            Self::Unfit => "the servers leave out what belongs to DNSSEC",
            Self::ClockNotSet => "the time of day is not known, so signatures cannot be judged",
            Self::NoAnchor => "no trust anchor fits the keys of the root",
            Self::OutOfTime => "it took too long",
            Self::NoRandom => "the source of randomness failed",
        }
    }
}
