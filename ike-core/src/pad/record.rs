//! What DNS says about a peer: its keys or their fingerprints, its addresses, and how far that is to be believed
//! (RFC 4025, RFC 4033 §5). Whoever resolves fills a [`PeerRecord`]; [`weigh`] holds a key against it.
//!
//! ```text
//!                                      entry demands DNS     nobody does (discovery)
//! secure, key among them               Validated             Validated
//! secure, key not among them           refused               refused
//! secure, of unusable algorithms only  refused               refused
//! secure denial                        refused               a stranger's entry
//! insecure, whatever it says           refused               a stranger's entry; [`Published::unproven`]: Any
//! bogus                                refused               refused
//! indeterminate                        refused               a stranger's entry, unless better was seen
//! ```

use core::net::IpAddr;

use esp_engine::time::Instant;

use super::Identity;
use crate::crypto::PublicKey;
use crate::error::NameFault;

/// Keys of one peer that are looked at, the preferred ones first.
pub const MAX_KEYS: usize = 4;

/// Addresses of one peer that are looked at.
pub const MAX_ADDRESSES: usize = 4;

/// Addresses of one peer.
pub type Addresses = heapless::Vec<IpAddr, MAX_ADDRESSES>;

/// What DNS says about one name, or about one address in the reverse tree.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PeerRecord {
    /// How far all of it is to be believed: as far as the weakest of the answers.
    pub security: Security,
    /// Whether there are IPSECKEY records, or fingerprints where it is proven that there are none.
    pub presence: Presence,
    /// The usable ones, by precedence. They are all of one form: fingerprints never stand beside keys.
    pub keys: heapless::Vec<PublishedKey, MAX_KEYS>,
    /// The name's addresses (A and AAAA); none for an address, which is its own.
    pub addresses: Addresses,
    /// The records come from a wildcard of the zone (RFC 4592), so they prove nothing about one name.
    pub is_wildcard: bool,
    /// When it has to be asked for again.
    pub expires: Instant,
    /// When the first of the signatures ends that prove it; `None` where none was checked.
    pub signed_until: Option<Instant>,
}

/// How far an answer is to be believed (RFC 4033 §5, RFC 4035 §4.3).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Security {
    /// Signed, from the trust anchor down to the answer or to the proof that there is none.
    Secure,
    /// Proven to be unsigned: anybody on the way may have written it.
    Insecure,
    /// It should be signed and is not, or not rightly.
    Bogus,
    /// Nobody knows: no answer, or no time of day.
    Indeterminate,
}

/// Whether there are records, as a rule of IPSECKEY.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Presence {
    /// At least one that can be used.
    Present,
    /// None that can be used.
    OnlyUnusable,
    /// None.
    Absent,
}

/// What a peer's key is known by.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "rsa",
    expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")
)]
pub enum PublishedKey {
    /// An IPSECKEY record with a usable key.
    Whole {
        /// The key.
        key: PublicKey,
        /// Who holds it.
        gateway: Gateway,
    },
    /// SHA-256 of its SubjectPublicKeyInfo ([`crate::discovery::tlsa`]): the key itself has to come in a CERT payload
    /// (RFC 7296 §3.6). The owner of the record holds it.
    Fingerprint([u8; 32]),
}

/// A fingerprint takes no more room than the key in whose place it stands.
const _: () = assert!(size_of::<PublishedKey>() <= size_of::<(PublicKey, Gateway)>());

/// A key that a peer proved to have.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct ProvenKey {
    pub(crate) key: PublicKey,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub(crate) fingerprint: [u8; 32],
}

impl PublishedKey {
    /// The key, if all of it is published.
    pub const fn whole(&self) -> Option<&PublicKey> {
        match self {
            Self::Whole { key, .. } => Some(key),
            Self::Fingerprint(_) => None,
        }
    }

    /// Who holds it.
    pub const fn gateway(&self) -> Gateway {
        match self {
            Self::Whole { gateway, .. } => *gateway,
            Self::Fingerprint(_) => Gateway::Owner,
        }
    }

    fn is(&self, proven: &ProvenKey) -> bool {
        match self {
            Self::Whole { key, .. } => *key == proven.key,
            Self::Fingerprint(fingerprint) => *fingerprint == proven.fingerprint,
        }
    }
}

/// Who holds a published key (RFC 4025 §2.5).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Gateway {
    /// The owner of the record: no gateway, or the owner's own name or address.
    Owner,
    /// Whoever is at this address.
    Address(IpAddr),
    /// Another name, whose addresses nobody has asked for.
    Elsewhere,
}

/// Ways to one peer that are looked at.
const MAX_WAYS: usize = MAX_KEYS + MAX_ADDRESSES;

/// A way to a peer.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Way {
    /// Where IKE goes.
    pub(crate) at: IpAddr,
    /// The address of the record's owner, whose gateway is there; `None` where the owner itself is.
    pub(crate) behind: Option<IpAddr>,
}

impl Way {
    /// To the owner of a record itself.
    pub(crate) const fn direct(at: IpAddr) -> Self {
        Self { at, behind: None }
    }

    /// The address that whoever is there speaks for.
    pub(crate) fn owner(&self) -> IpAddr {
        self.behind.unwrap_or(self.at)
    }
}

/// What an operator allows beyond the strictest reading of a record.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Published {
    /// The peer may come from an address that its name does not have: it roams, or sits behind a NAT.
    pub from_anywhere: bool,
    /// A record that comes from a wildcard of the zone will do.
    pub wildcards: bool,
    /// For whom DNS has no key, the strangers' entry behind this one is asked (RFC 7435 §3). Only for
    /// entries that name nobody.
    pub or_stranger: bool,
    /// A key that DNSSEC does not prove will do, as far as any key would: for entries that only raise protection.
    pub unproven: bool,
}

/// What becomes of a peer whose key was held against a record.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The key is the one that DNS has for it.
    Validated,
    /// The key is the one that DNS has for it, but nobody proves that.
    Unproven,
    /// DNS has none for it: it is a stranger.
    Stranger,
    /// It is refused.
    Refused(NameFault),
}

impl PeerRecord {
    /// What there is to say when nobody answers until `expires`.
    pub const fn silence(expires: Instant) -> Self {
        Self {
            security: Security::Indeterminate,
            presence: Presence::Absent,
            keys: heapless::Vec::new(),
            addresses: heapless::Vec::new(),
            is_wildcard: false,
            expires,
            signed_until: None,
        }
    }

    /// Until when it may be used if nobody can say more: beyond its time where SAs rest on its keys, but never
    /// beyond its signatures (RFC 8767 §4, RFC 4035 §5.3.3).
    pub(crate) fn usable_until(&self, is_in_use: bool) -> Instant {
        let proves_keys = self.security == Security::Secure && self.presence == Presence::Present;
        let signed = self.signed_until.filter(|_| is_in_use && proves_keys);
        signed.unwrap_or(self.expires).max(self.expires)
    }

    /// Why nothing can begin with this record; `None` when it has validated keys.
    pub(crate) fn fault(&self, allowed: Published) -> Option<NameFault> {
        match (self.security, self.presence) {
            (Security::Bogus, _) => Some(NameFault::Bogus),
            (Security::Insecure | Security::Indeterminate, Presence::Present) if allowed.unproven => None,
            (Security::Indeterminate, _) => Some(NameFault::Indeterminate),
            (Security::Insecure, _) => Some(NameFault::Insecure),
            (Security::Secure, Presence::Absent) => Some(NameFault::Absent),
            (Security::Secure, Presence::OnlyUnusable) => Some(NameFault::OnlyUnusable),
            (Security::Secure, Presence::Present) if self.is_wildcard && !allowed.wildcards => {
                Some(NameFault::Wildcard)
            }
            (Security::Secure, Presence::Present) => None,
        }
    }

    /// The ways to the peer, by precedence: to its addresses, or to `owner` alone, and to its gateways. An answer
    /// that nobody signed says nothing about gateways (RFC 4025 §4.1.2).
    pub(crate) fn ways(&self, owner: Option<IpAddr>) -> heapless::Vec<Way, MAX_WAYS> {
        let own = owner.as_ref().map_or(self.addresses.as_slice(), core::slice::from_ref);
        let mut ways = heapless::Vec::new();
        let mut add = |way| {
            if !ways.contains(&way) {
                // Of more than there is room for the first are tried.
                let _ = ways.push(way);
            }
        };
        for published in &self.keys {
            match (published.gateway(), own.first()) {
                (Gateway::Owner, _) => own.iter().for_each(|address| add(Way::direct(*address))),
                (Gateway::Address(at), _) if own.contains(&at) => add(Way::direct(at)),
                (Gateway::Address(at), behind @ Some(_)) if self.security == Security::Secure => {
                    add(Way { at, behind: behind.copied() });
                }
                (Gateway::Address(_) | Gateway::Elsewhere, _) => {}
            }
        }
        ways
    }

    /// Whether the peer may be reached like this.
    pub(crate) fn has_way(&self, way: &Way) -> bool {
        let owner = way.owner();
        (self.addresses.is_empty() || self.addresses.contains(&owner)) && self.ways(Some(owner)).contains(way)
    }

    /// Whether whoever is reached like this may show this key: it is published, and not for another gateway.
    pub(crate) fn has(&self, proven: &ProvenKey, way: &Way) -> bool {
        self.keys.iter().any(|published| published.is(proven) && published.gateway().is_at(way))
    }
}

impl Gateway {
    /// Whether whoever is reached like this may be it.
    pub(crate) fn is_at(self, way: &Way) -> bool {
        match self {
            Self::Owner => way.behind.is_none(),
            Self::Address(gateway) => gateway == way.at,
            Self::Elsewhere => false,
        }
    }
}

/// Holds a key, which the peer that is reached like this proved to have, against what DNS says about it, under the
/// name or the address `of`. `was_validated`: a key was validated for this peer before, and it does not become a
/// stranger because somebody keeps DNS from us.
pub(crate) fn weigh(
    record: &PeerRecord,
    of: &Identity<'_>,
    key: &ProvenKey,
    way: &Way,
    allowed: Published,
    was_validated: bool,
) -> Verdict {
    let is_there = match of {
        Identity::Address(address) => *address == way.owner(),
        _ => record.addresses.contains(&way.owner()),
    };
    let may_be_anywhere = allowed.from_anywhere && way.behind.is_none();
    let fault = match record.fault(allowed) {
        None if !record.has(key, way) => NameFault::OtherKey,
        None if !is_there && !may_be_anywhere => NameFault::OtherAddress,
        None if record.security == Security::Secure => return Verdict::Validated,
        None => return Verdict::Unproven,
        Some(fault) => fault,
    };
    let was_lowered = fault == NameFault::Indeterminate && was_validated;
    // A stranger is nobody's gateway.
    if fault.is_no_statement() && !was_lowered && allowed.or_stranger && way.behind.is_none() {
        Verdict::Stranger
    } else {
        Verdict::Refused(fault)
    }
}

#[cfg(test)]
mod tests;
