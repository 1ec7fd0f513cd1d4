//! What an endpoint is told once: who it is, whom it knows (PAD), what it protects (the SPD's view of
//! key management), which suites it offers and its times. Borrowed slices throughout, so a
//! configuration is a `const` or is put together at run time alike. [`Config::check`] refuses what
//! cannot work and says why.

use core::net::IpAddr;
use core::time::Duration;

use esp_engine::crypto::Algorithm;
use esp_engine::sa::{Lifetime, Limits};
use esp_engine::selector::TrafficSelector;
use esp_engine::spd::{Action, PolicyId};

use crate::crypto::{Group, Prf, PrivateKey};
use crate::pad::{Identity, PadEntry, PeerId};

pub use check::ConfigError;

mod check;

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
    /// Protection of IKE messages.
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

    /// The named suites, with their names.
    pub const NAMED: [(&'static str, Self); 3] = [
        ("fast-software", Self::FAST_SOFTWARE),
        ("hardware-aes", Self::HARDWARE_AES),
        ("post-quantum", Self::POST_QUANTUM),
    ];
}

/// Times and thresholds.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Timing {
    /// Wait for an answer before the first retransmission.
    pub retransmission: Duration,
    /// Each further wait is this many eighths of the one before.
    pub backoff_eighths: u8,
    /// Each wait is lengthened by up to this many percent at random.
    pub jitter_percent: u8,
    /// How often a request is sent in all before the peer counts as dead (RFC 7296 §2.4).
    pub tries: u8,
    /// How long a responder waits for IKE_AUTH.
    pub half_open: Duration,
    /// Half-open IKE SAs from which on a cookie is demanded (RFC 7296 §2.6).
    pub cookie_threshold: u8,
    /// Age at which the cookie secret is replaced; the one before stays good for as long again.
    pub cookie_secret: Duration,
    /// Half-open IKE SAs that one source address may have.
    pub half_open_per_source: u8,
    /// How long the last response is kept for a retransmitted request.
    pub response: Duration,
    /// How long packets to a peer go unanswered before it is asked whether it lives; zero never asks. The
    /// data plane is told the same ([`SaReport::Unanswered`](esp_engine::sa::SaReport)).
    pub liveness: Duration,
    /// Age at which an IKE SA is followed by a new one, so that both ends prove again who they are
    /// (RFC 7296 §2.8.3); zero: never.
    pub reauthentication: Duration,
    /// Age at which an IKE SA ends.
    pub ike_lifetime: Duration,
    /// Limits of Child SAs.
    pub child: Lifetime,
    /// Interval of NAT keepalives (RFC 3948 §4); zero sends none.
    pub keepalive: Duration,
    /// Octets of the longest IP datagram that a message leaves in whole; a longer one leaves in fragments, and
    /// in smaller ones when they are not answered (RFC 7383 §2.5.1). Zero neither sends nor takes any.
    pub datagram: u16,
}

impl Timing {
    /// Values for ordinary networks: a dead peer is given up after about two minutes.
    pub const DEFAULT: Self = Self {
        retransmission: Duration::from_millis(1_000),
        backoff_eighths: 14,
        jitter_percent: 15,
        tries: 7,
        half_open: Duration::from_secs(30),
        cookie_threshold: 2,
        cookie_secret: Duration::from_secs(60),
        half_open_per_source: 4,
        response: Duration::from_secs(180),
        liveness: Duration::from_secs(5),
        reauthentication: Duration::ZERO,
        ike_lifetime: Duration::from_secs(24 * 3600),
        child: Lifetime {
            soft: Limits { time: Duration::from_secs(50 * 60), octets: 0, packets: 3 << 46 },
            hard: Limits { time: Duration::from_secs(3600), octets: 0, packets: 1 << 48 },
        },
        keepalive: Duration::from_secs(20),
        datagram: 1280,
    };
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Config<'_> {
    /// The PAD with its numbers.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (PeerId, &PadEntry<'_>)> {
        (0..=u16::MAX).map(PeerId).zip(self.pad)
    }

    /// The SPD with its numbers.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (PolicyId, &IkePolicy<'_>)> {
        (0..=u16::MAX).map(PolicyId).zip(self.policies)
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
