//! Puts together what an operator sees.

use core::fmt::Write;

use esp_engine::time::Instant;
use ike_core::crypto::Crypto;
use ike_core::output::{ChildEstablished, Phase, SaStatus};
use ike_core::pad::PeerId;
use rand_core::TryCryptoRng;

use super::Control;
use crate::config::Name;
use crate::management::{ChildSaStatus, Datagrams, IkeSaStatus, PeerStatus, Shown, Status, Words};
use crate::network::Counters;
use crate::report::Sink;
use crate::storage::Storage;

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    pub(super) fn status(&self, now: Instant, counters: &Counters) -> Status {
        let ike = self.endpoint.counters();
        Status {
            uptime_ms: now.as_millis(),
            remembers: self.storage.remembers(),
            peers: (0..)
                .map(PeerId)
                .zip(&self.config.peers)
                .map(|(id, peer)| self.peer(id, &peer.name))
                .collect(),
            ike_sas: self
                .endpoint
                .status()
                .take(crate::management::MAX_LISTED)
                .map(|sa| self.ike_sa(&sa))
                .collect(),
            child_sas: self.children.iter().map(|child| self.child_sa(&child.is, counters)).collect(),
            packets: counters.packets(),
            datagrams: Datagrams {
                accepted: ike.accepted,
                discarded: ike.discarded_in_all(),
                established: ike.established,
                failed: ike.failed,
            },
        }
    }

    fn peer(&self, id: PeerId, name: &Name) -> PeerStatus {
        let established =
            self.endpoint.status().filter(|sa| sa.peer == Some(id) && sa.phase == Phase::Established);
        PeerStatus {
            name: name.clone(),
            established: u16::try_from(established.count()).unwrap_or(u16::MAX),
            last_reason: self.peers.get(usize::from(id.0)).and_then(|state| state.reason.clone()),
        }
    }

    fn ike_sa(&self, sa: &SaStatus) -> IkeSaStatus {
        let mut identity = Words::new();
        if let Some(claimed) = &sa.identity {
            let _ = write!(identity, "{}", claimed.view());
        }
        IkeSaStatus {
            peer: sa.peer.and_then(|id| self.config.peer(id)).map(|peer| peer.name.clone()),
            identity,
            spis: (sa.spis.initiator, sa.spis.responder),
            established: sa.phase == Phase::Established,
            level: sa.level.map(Shown),
            remote: sa.path.remote,
            children: sa.children,
        }
    }

    fn child_sa(&self, child: &ChildEstablished, counters: &Counters) -> ChildSaStatus {
        let carried = counters.carried(child.inbound);
        ChildSaStatus {
            policy: self.config.policy(child.policy).map(|policy| policy.name.clone()).unwrap_or_default(),
            inbound: child.inbound.get(),
            outbound: child.outbound.get(),
            level: Shown(child.level),
            packets: (carried.inbound.packets, carried.outbound.packets),
            octets: (carried.inbound.octets, carried.outbound.octets),
        }
    }
}
