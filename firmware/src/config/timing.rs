//! Durations that an operator may change.

use serde::{Deserialize, Serialize};

/// Durations, in milliseconds or seconds as named.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timing {
    /// The first retransmission of a request follows after this many ms; later ones back off.
    pub retransmit_ms: u32,
    /// Times that a request is sent in all before the peer counts as gone.
    pub tries: u8,
    /// How long packets to a peer go unanswered before it is asked whether it lives, s; 0: never.
    pub liveness_s: u32,
    /// Age at which a Child SA ends, s; 0: none.
    pub child_lifetime_s: u32,
    /// Age at which an IKE SA ends, s.
    pub ike_lifetime_s: u32,
    /// Age of an IKE SA at which both ends prove again who they are, s; 0: never.
    pub reauthentication_s: u32,
    /// Interval at which a NAT is reminded of us, s; 0: never.
    pub keepalive_s: u32,
    /// Longest break before a peer with [`Start::AtOnce`](super::Start::AtOnce) is called again, s.
    pub retry_s: u32,
    /// Octets of the longest IP datagram that an IKE message leaves in unfragmented; 0: never fragment.
    pub datagram: u16,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retransmit_ms: 1_000,
            tries: 6,
            liveness_s: 5,
            child_lifetime_s: 3_600,
            ike_lifetime_s: 24 * 3_600,
            reauthentication_s: 0,
            keepalive_s: 20,
            retry_s: 60,
            datagram: 1_280,
        }
    }
}
