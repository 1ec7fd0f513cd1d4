//! Why traffic with an address or a name is encrypted, or is not: the chain from the policy to the SA, each link as
//! far as the device knows it. Nothing of it is asked of the network.
//!
//! ```text
//! policy ──▶ name ──▶ DNS and DNSSEC ──▶ IKE ──▶ SA
//! ```

use core::net::{IpAddr, SocketAddr};

use esp_engine::spd::Level;
use heapless::String;
use ike_core::pad::{Presence, Security};
use serde::{Deserialize, Serialize};

use super::{Reason, Shown, Words};
use crate::config::{LevelWords, MAX_IDENTITY, Name};

/// A name that an operator asks about.
pub type Asked = String<MAX_IDENTITY>;

/// What is asked about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Subject {
    /// Traffic with this address.
    Address(IpAddr),
    /// A peer as the configuration calls it, or as it calls itself, or a name that a client asked for.
    Name(Asked),
}

/// The whole chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// Milliseconds from the start of the device to this answer.
    pub at_ms: u64,
    /// What becomes of packets to the address.
    pub verdict: Verdict,
    /// The address, if the device knows one for the name.
    pub address: Option<IpAddr>,
    /// The policy that decides; `None` where none matches.
    pub policy: Option<PolicyLink>,
    /// The name that has to do with it.
    pub name: Option<NameLink>,
    /// What DNS said last.
    pub dns: Option<DnsLink>,
    /// How it stands with key management; `None` where a policy wants none.
    pub ike: Option<IkeLink>,
    /// The SA.
    pub sa: Option<SaLink>,
}

/// What becomes of packets to an address.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// They leave encrypted.
    Encrypted,
    /// They leave by an SA that only authenticates them: everybody on the way can read them.
    Authenticated,
    /// They leave in clear.
    Clear,
    /// They wait for an SA, and are dropped when none comes.
    Waiting,
    /// They are dropped.
    Discarded,
}

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyLink {
    /// Its name; none for the entry of a found address.
    pub name: Option<Name>,
    /// Its place in the configuration, from 0.
    pub place: Option<u16>,
    /// The line that it begins in, where the configuration is a file.
    pub line: Option<u32>,
    /// What it does.
    pub action: PolicyAction,
    /// It is about some protocols or ports only; what others meet stands behind it.
    pub is_partial: bool,
}

/// What a policy does.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PolicyAction {
    /// Packets leave by SAs whose peer is known at least so well.
    Protect(#[serde(with = "LevelWords")] Level),
    /// They leave in clear.
    Bypass,
    /// They do not leave.
    Discard,
}

/// A name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NameLink {
    /// It.
    pub name: Words,
    /// How it came to be here.
    pub origin: Origin,
}

/// How a name came to be here.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// The configuration has it.
    Configured,
    /// A client asked for it.
    Captured,
}

/// The last answer of DNS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DnsLink {
    /// How far it is to be believed.
    #[serde(with = "SecurityWords")]
    pub security: Security,
    /// Why it is not to be believed further.
    pub reason: Option<Words>,
    /// Whether there are keys.
    #[serde(with = "PresenceWords")]
    pub presence: Presence,
    /// All this is about fingerprints of keys; it is proven that there are no keys themselves.
    pub fingerprints: bool,
    /// The server that answered last.
    pub server: Option<SocketAddr>,
    /// Seconds since it came.
    pub age_s: u32,
    /// Seconds for which it still holds.
    pub left_s: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Security")]
enum SecurityWords {
    Secure,
    Insecure,
    Bogus,
    Indeterminate,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Presence")]
enum PresenceWords {
    Present,
    OnlyUnusable,
    Absent,
}

/// How it stands with key management.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IkeLink {
    /// The peer's name in the configuration.
    pub peer: Option<Name>,
    /// Where its gateway is, if the IKE SA is with that (RFC 4025 §2.5).
    pub gateway: Option<IpAddr>,
    /// How far it is.
    pub stage: IkeStage,
    /// The last thing that went wrong, long ago perhaps.
    pub last_reason: Option<Reason>,
    /// When it is tried next, where nothing stands and nothing is under way.
    pub next: Option<NextTry>,
}

/// How far key management is with a peer.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IkeStage {
    /// Nothing stands, nothing is under way.
    None,
    /// DNS is being asked, or has to be.
    AwaitsDns,
    /// A negotiation is under way.
    Negotiating,
    /// An IKE SA stands.
    Established,
}

/// When a negotiation begins.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NextTry {
    /// With the next packet.
    WithPacket,
    /// With the first packet from now on in so many milliseconds.
    WithPacketIn(u64),
    /// In so many milliseconds.
    In(u64),
    /// When the peer begins.
    ByPeer,
}

/// The SA by which packets leave.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SaLink {
    /// How well the peer is authenticated.
    pub level: Shown,
    /// The SPI that we chose.
    pub inbound: u32,
    /// The SPI that the peer chose.
    pub outbound: u32,
    /// Seconds since it stands; `None` for one of more than are listed.
    pub age_s: Option<u32>,
}
