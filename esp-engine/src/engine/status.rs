//! What a user may see of the SAD: each pair of SAs with its peer, its level and its traffic
//! (RFC 4301 §4.4.2.1).

use core::net::IpAddr;

use crate::counters::Traffic;
use crate::crypto::{Algorithm, Cipher};
use crate::sa::{Encapsulation, Mode, PeerKey, Spi};
use crate::sad::{Association, Stage};
use crate::selector::TrafficSelectors;
use crate::spd::{Level, PolicyId};

/// One pair of SAs as a user may see it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SaStatus<'a> {
    /// The policy it serves.
    pub policy: PolicyId,
    /// The SPI that we chose.
    pub inbound: Spi,
    /// The SPI that the peer chose.
    pub outbound: Spi,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's outer address.
    pub remote: IpAddr,
    /// UDP around ESP.
    pub encapsulation: Option<Encapsulation>,
    /// Cipher and integrity.
    pub algorithm: Algorithm,
    /// 64-bit sequence numbers.
    pub extended_sequence: bool,
    /// Traffic on our side.
    pub local_ts: &'a TrafficSelectors,
    /// Traffic on the peer's side.
    pub remote_ts: &'a TrafficSelectors,
    /// How well the peer was authenticated.
    pub level: Level,
    /// Who the peer is.
    pub peer: PeerKey,
    /// Whether the peer is known to have the SA.
    pub confirmed: bool,
    /// Whether a hard limit has ended it.
    pub expired: bool,
    /// Authenticated packets that arrived.
    pub received: Traffic,
    /// Packets that were sealed.
    pub sent: Traffic,
}

impl<'a> SaStatus<'a> {
    pub(super) fn of<C: Cipher>(sa: &'a Association<C>) -> Self {
        Self {
            policy: sa.policy,
            inbound: sa.inbound,
            outbound: sa.outbound,
            mode: sa.mode,
            local: sa.local,
            remote: sa.remote,
            encapsulation: sa.encapsulation,
            algorithm: sa.keys.inbound.algorithm(),
            extended_sequence: sa.extended,
            local_ts: &sa.local_ts,
            remote_ts: &sa.remote_ts,
            level: sa.level,
            peer: sa.peer,
            confirmed: sa.is_confirmed(),
            expired: sa.stage == Stage::Expired,
            received: sa.received,
            sent: sa.sent(),
        }
    }
}
