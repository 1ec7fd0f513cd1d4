//! A peer as the operator writes it; [`pad`](super::pad) makes PAD entries of it (RFC 4301 §4.4.3).

use core::net::IpAddr;

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use super::key::SharedKey;
use super::{Identity, MAX_IDENTITY, MAX_KEYS, MAX_PUBLIC_KEY, MAX_RANGES, Name, Prefix};

/// Someone who may come by an SA.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// How the operator calls it.
    pub name: Name,
    /// Whom it has to claim to be; `None` only for the BTNS wildcard.
    pub identity: Option<Identity>,
    /// Where it is; `None` when it calls us.
    pub address: Option<IpAddr>,
    /// The port that IKE begins on: 500, or 4500 where 500 does not get through (RFC 7296 §2.23).
    pub port: u16,
    /// What it has to prove that with.
    pub authentication: Authentication,
    /// Whose traffic it may carry; empty: only its own address.
    pub ranges: Vec<Prefix, MAX_RANGES>,
    /// Who begins.
    pub start: Start,
    /// Whether the IKE SA is begun without a Child SA (RFC 6023), and stands without.
    pub childless: bool,
    /// A secret that guards against whoever may break the key exchange one day (RFC 8784).
    pub ppk: Option<Ppk>,
}

/// A post-quantum preshared key (RFC 8784).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ppk {
    /// How both ends call it.
    pub id: Vec<u8, MAX_IDENTITY>,
    /// The secret.
    pub secret: SharedKey,
    /// Whether there is no IKE SA without it.
    pub mandatory: bool,
}

/// When an IKE SA is begun.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Start {
    /// When a packet asks for it.
    OnTraffic,
    /// When the device starts, and again whenever it is lost.
    AtOnce,
    /// Never: the peer begins.
    Never,
}

/// How a peer is known, strongest first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "how large an RSA key is, is a feature of ike-core; and there is no heap"
)]
pub enum Authentication {
    /// By one of these keys, each a DER SubjectPublicKeyInfo (RFC 7670).
    Pinned(Vec<Vec<u8, MAX_PUBLIC_KEY>, MAX_KEYS>),
    /// By a key whose SubjectPublicKeyInfo has one of these SHA-256 sums.
    Fingerprints(Vec<[u8; 32], MAX_KEYS>),
    /// By a shared key.
    Shared(SharedKey),
    /// By a key that DNS has for it, signed (RFC 4025).
    Dns(Dns),
    /// Not at all: any key will do, and it is shown as that (RFC 5386).
    Btns,
    /// Not at all, not even by a key (RFC 7619): whoever only listens learns nothing, and that is all.
    Null,
    /// Not at all; but its key is remembered, and nobody takes its place with another (RFC 5386 §4.2).
    FirstUse {
        /// Hours that a stranger has to be dead, so that another key may come under its name; 0: for ever.
        replace_after_h: u16,
    },
}

impl core::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Pinned(keys) => f.debug_tuple("Pinned").field(&keys.len()).finish(),
            Self::Fingerprints(sums) => f.debug_tuple("Fingerprints").field(&sums.len()).finish(),
            Self::Shared(_) => f.write_str("Shared(..)"),
            Self::Dns(dns) => f.debug_tuple("Dns").field(dns).finish(),
            Self::Btns => f.write_str("Btns"),
            Self::Null => f.write_str("Null"),
            Self::FirstUse { replace_after_h } => f.debug_tuple("FirstUse").field(replace_after_h).finish(),
        }
    }
}

impl Authentication {
    /// Whether it is for anyone; such entries come last.
    pub const fn is_wildcard(&self) -> bool {
        matches!(self, Self::Btns | Self::Null | Self::FirstUse { .. })
    }
}

/// Whose keys DNS is asked for, and what is allowed beyond the strictest reading of its answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dns {
    /// Whose.
    pub whose: Whose,
    /// The peer may be at an address that its name does not have: it roams, or sits behind a NAT.
    pub from_anywhere: bool,
    /// A record that comes from a wildcard of the zone will do.
    pub wildcards: bool,
}

/// Whose keys DNS is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Whose {
    /// The peer's, whose identity is its name.
    Name,
    /// Those of any peer whose name ends in this, which begins with a dot.
    Suffix(String<MAX_IDENTITY>),
    /// Those of any peer at these addresses, in the reverse tree.
    Network {
        /// The addresses.
        network: Prefix,
        /// Who has no key there is a stranger, and the BTNS wildcard is for him.
        or_stranger: bool,
    },
}
