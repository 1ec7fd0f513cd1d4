//! What an endpoint is told once: who it is, whom it knows (PAD), what it protects (the SPD's view of
//! key management), which suites it offers and its times. Borrowed slices throughout, so a
//! configuration is a `const` or is put together at run time alike. [`Config::check`] refuses what
//! cannot work and says why.

use core::net::IpAddr;

use esp_engine::crypto::Algorithm;
use esp_engine::selector::TrafficSelector;
use esp_engine::spd::{Action, PolicyId};

use crate::crypto::{Group, Prf, PrivateKey};
use crate::pad::{Identity, PadEntry, PeerId};

pub use check::ConfigError;
pub use timing::{BadTiming, Timing};

mod check;
mod timing;

/// Octets of the longest identity that is sent or accepted.
pub const MAX_IDENTITY: usize = 128;

/// Everything an endpoint is told.
#[derive(Clone, Debug)]
pub struct Config<'c> {
    /// The identity that we send (IDi or IDr, RFC 7296 §3.5).
    pub identity: Identity<'c>,
    /// The key that we sign with; needed unless every peer shares a secret with us.
    pub key: Option<PrivateKey>,
    /// Whom we know, in the administrator's order; the first match decides (RFC 4301 §4.4.3.1).
    pub pad: &'c [PadEntry<'c>],
    /// The SPD as key management sees it: entry n is [`PolicyId`] n.
    pub policies: &'c [IkePolicy<'c>],
    /// What we offer and accept, best first.
    pub suites: &'c [Suite],
    /// Our own addresses, where negotiations start that no packet of ours names an address for.
    pub local: &'c [Local],
    /// Times and thresholds.
    pub timing: Timing,
    /// Claims that a NAT lies between, so that ESP travels in UDP (RFC 7296 §2.23 lets nobody refuse
    /// because of it).
    pub force_encapsulation: bool,
    /// Offers and takes MOBIKE (RFC 4555) where Child SAs are in tunnel mode, so that an end may get
    /// another address. A peer with it is followed when it says so, and not by its packets.
    pub mobike: bool,
}

/// One of our addresses.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Local {
    /// The interface, by the caller's numbering.
    pub interface: u8,
    /// The address.
    pub address: IpAddr,
}

/// One entry of the SPD with the peer that may serve it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct IkePolicy<'c> {
    /// Traffic on our side.
    pub local: &'c [TrafficSelector],
    /// Traffic on the far side.
    pub remote: &'c [TrafficSelector],
    /// What happens to it; only [`Action::Protect`] concerns key management.
    pub action: Action,
    /// Who may be at the other end.
    pub peer: Peer,
    /// Asks for a key exchange of their own for its Child SAs, so that whoever learns the keys of the IKE SA
    /// does not have theirs (RFC 7296 §1.3.1). The first one is made in IKE_AUTH, which has no place for it.
    pub pfs: bool,
}

/// Who may serve a policy.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Peer {
    /// The peer of this PAD entry and nobody else.
    Entry(PeerId),
    /// Whoever is authenticated well enough for the policy and may claim the addresses.
    Any,
}

/// Algorithms that are used together.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Suite {
    /// Protection of IKE messages; it has to be confidential.
    pub ike: Algorithm,
    /// What keys are derived and shared keys are proven with.
    pub prf: Prf,
    /// Key exchange.
    pub group: Group,
    /// A second one before IKE_AUTH (RFC 9370), without which the suite is neither offered nor taken: an
    /// attacker has to break both.
    pub additional: Option<Group>,
    /// Protection of packets.
    pub esp: Algorithm,
}

impl Suite {
    /// `fast-software`: what is quickest where nothing but the processor computes.
    pub const FAST_SOFTWARE: Self = Self {
        ike: Algorithm::ChaCha20Poly1305,
        prf: Prf::HmacSha256,
        group: Group::Curve25519,
        additional: None,
        esp: Algorithm::ChaCha20Poly1305,
    };
    /// `post-quantum`: as `fast-software`, and ML-KEM-768 beside Curve25519.
    pub const POST_QUANTUM: Self = Self { additional: Some(Group::MlKem768), ..Self::FAST_SOFTWARE };
    /// `hardware-aes`: what AES and P-256 engines compute.
    pub const HARDWARE_AES: Self = Self {
        ike: Algorithm::Aes128Gcm16,
        prf: Prf::HmacSha256,
        group: Group::P256,
        additional: None,
        esp: Algorithm::Aes128Gcm16,
    };

    /// `compat`: what every peer must have (RFC 8247 §2, RFC 8221 §5).
    pub const COMPAT: Self = Self {
        ike: Algorithm::Aes128CbcHmacSha256,
        prf: Prf::HmacSha256,
        group: Group::Modp2048,
        additional: None,
        esp: Algorithm::Aes128CbcHmacSha256,
    };

    /// The named suites, with their names.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("fast-software", Self::FAST_SOFTWARE),
        ("hardware-aes", Self::HARDWARE_AES),
        ("post-quantum", Self::POST_QUANTUM),
        ("compat", Self::COMPAT),
    ];
}

impl Config<'_> {
    /// The PAD with its numbers, for all of which there is room ([`Config::check`]).
    pub(crate) fn entries(&self) -> impl Iterator<Item = (PeerId, &PadEntry<'_>)> {
        self.pad.iter().enumerate().map(|(place, entry)| (PeerId(place as u16), entry))
    }

    /// The SPD with its numbers, likewise.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (PolicyId, &IkePolicy<'_>)> {
        self.policies.iter().enumerate().map(|(place, policy)| (PolicyId(place as u16), policy))
    }

    /// Whether any peer shares a post-quantum key with us (RFC 8784).
    pub(crate) fn has_ppk(&self) -> bool {
        self.pad.iter().any(|entry| entry.ppk.is_some())
    }

    /// Places that names need in the resources: each name that is known before, and one more for those that are not.
    pub(crate) fn names_needed(&self) -> usize {
        let known = self.entries().filter(|(_, entry)| entry.name(None).is_some()).count();
        let others =
            self.entries().any(|(_, entry)| entry.published().is_some() && entry.name(None).is_none());
        known + usize::from(others)
    }

    /// The entry for those whom nobody vouches for and who have a key.
    pub(crate) fn strangers(&self) -> Option<(PeerId, &PadEntry<'_>)> {
        self.entries().find(|(_, entry)| entry.is_strangers() && !entry.is_null())
    }

    /// The entry for those who prove nothing (RFC 7619).
    pub(crate) fn nobody(&self) -> Option<(PeerId, &PadEntry<'_>)> {
        self.entries().find(|(_, entry)| entry.is_null())
    }

    /// The entry with this number.
    pub(crate) fn entry(&self, id: PeerId) -> Option<&PadEntry<'_>> {
        self.pad.get(usize::from(id.0))
    }

    /// The policy with this number.
    pub(crate) fn policy(&self, id: PolicyId) -> Option<&IkePolicy<'_>> {
        self.policies.get(usize::from(id.0))
    }
}
