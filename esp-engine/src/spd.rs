//! The security policy database (RFC 4301 §4.4.1): an ordered list, first match decides, and what
//! matches nothing is discarded.

use crate::sa::Mode;
use crate::selector::{Selectors, TrafficSelectors};

/// A policy's place in the SPD.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyId(pub u16);

/// How well a peer is authenticated, weakest first. A policy names the least it accepts.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// No protection at all.
    Clear,
    /// NULL authentication (RFC 7619): passive protection only.
    Null,
    /// Any key, by the BTNS wildcard (RFC 5386): continuity within the SA.
    Any,
    /// A key seen for the first time and remembered.
    First,
    /// The key that was remembered.
    Known,
    /// A shared key of the peer's entry.
    Shared,
    /// A key validated by DNSSEC for the peer's name or address.
    Validated,
    /// A key or fingerprint pinned in the peer's entry.
    Pinned,
}

/// One entry of the SPD; its selectors are named from our side and hold in both directions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    /// Traffic on our side.
    pub local: TrafficSelectors,
    /// Traffic on the far side.
    pub remote: TrafficSelectors,
    /// What happens to it.
    pub action: Action,
}

/// What a policy does (RFC 4301 §4.4.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Only inside ESP.
    Protect {
        /// Transport or tunnel.
        mode: Mode,
        /// The weakest authentication that is accepted.
        minimum: Level,
    },
    /// In clear.
    Bypass,
    /// Not at all.
    Discard,
}

impl Policy {
    /// Whether a packet that leaves matches.
    pub fn matches_outbound(&self, packet: &Selectors) -> bool {
        self.local.iter().any(|ts| ts.matches_source(packet))
            && self.remote.iter().any(|ts| ts.matches_destination(packet))
    }

    /// Whether a packet that arrived matches.
    pub fn matches_inbound(&self, packet: &Selectors) -> bool {
        self.matches_outbound(&packet.reversed())
    }
}
