//! What an endpoint tells about its IKE SAs, and about what protects one flow or would.

use core::net::IpAddr;

use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;

use super::Endpoint;
use crate::crypto::Crypto;
use crate::handshake::Handshake;
use crate::ike_sa::{Established, IkeSa, Standing, State};
use crate::output::{ChildStatus, Phase, SaStatus};
use crate::pad::{Addresses, PeerId};

impl<C: Crypto, R> Endpoint<'_, C, R> {
    pub(super) fn status_of(&self, slot: u16, sa: &IkeSa) -> Option<SaStatus> {
        let phase = match (&sa.state, self.handshake_of(sa)) {
            (State::Handshake(_), Some(Handshake::InitSent(_))) => Phase::Init,
            (State::Handshake(_), _) => Phase::Authenticating,
            (State::Established(Established { standing: Standing::Current, .. }), _) => Phase::Established,
            (State::Established(_) | State::Closing(..), _) => Phase::Closing,
            (State::Reserved | State::Lingering | State::Concluded | State::Ended(..) | State::Gone, _) => {
                return None;
            }
        };
        let want = self.handshake_of(sa).and_then(Handshake::want);
        let peer = sa.established().map(|e| e.peer).or(want.and_then(|want| want.peer));
        Some(SaStatus {
            spis: sa.spis,
            role: sa.role,
            phase,
            path: sa.path,
            peer,
            behind: sa.way().behind,
            level: sa.established().map(|established| established.level),
            method: sa.established().map(|established| established.method),
            identity: sa.established().map(|established| established.identity.clone()),
            children: self.children.count(slot),
        })
    }

    /// The pair of Child SAs by which packets of this policy leave; those to one address, if there is one.
    pub fn protection(&self, policy: PolicyId, remote: Option<IpAddr>) -> Option<ChildStatus> {
        let child = self.children.carrying(policy, remote)?;
        let established = self.sas.get(child.owner)?.established()?;
        Some(ChildStatus {
            peer: established.peer,
            inbound: child.inbound,
            outbound: child.outbound?,
            algorithm: child.algorithm?,
            level: established.level,
        })
    }

    /// Until when nothing is begun for this policy with a peer at `remote`, because the last attempt failed.
    pub fn put_off(&self, now: Instant, policy: PolicyId, remote: IpAddr) -> Option<Instant> {
        self.desk.setbacks.until(policy, remote, now)
    }

    /// Where the peer of this entry is, if it is known by name and that was found out: as
    /// [`crate::output::Event::Addresses`] said last.
    pub fn whereabouts(&self, peer: PeerId) -> Option<&Addresses> {
        self.names.told(peer)
    }
}
