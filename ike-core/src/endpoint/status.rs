//! What an endpoint tells about its IKE SAs.

use super::Endpoint;
use crate::crypto::Crypto;
use crate::handshake::Handshake;
use crate::ike_sa::{Established, IkeSa, Standing, State};
use crate::output::{Phase, SaStatus};

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
            level: sa.established().map(|established| established.level),
            method: sa.established().map(|established| established.method),
            identity: sa.established().map(|established| established.identity.clone()),
            children: self.children.count(slot),
        })
    }
}
