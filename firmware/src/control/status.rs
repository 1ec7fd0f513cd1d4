//! Puts together what an operator sees.

use core::fmt::Write;

use esp_engine::time::Instant;
use ike_core::crypto::Crypto;
use ike_core::discovery::anchors::Anchor;
use ike_core::discovery::sntp::Sntp;
use ike_core::discovery::upstream::{Lack, Lacks, ServerStatus};
use ike_core::output::{ChildEstablished, Phase, SaStatus};
use ike_core::pad::PeerId;
use rand_core::TryCryptoRng;

use super::Control;
use super::directory::Directory;
use super::remembered::words;
use crate::config::Name;
use crate::dhcp::Client;
use crate::management::{
    AnchorStatus, ChildSaStatus, ClockStatus, Datagrams, DnsServerStatus, IkeSaStatus, MAX_LACKS, PeerStatus,
    Phrase, Shown, Status, Words,
};
use crate::network::Counters;
use crate::report::Sink;
use crate::storage::Storage;

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    pub(super) fn status(&self, now: Instant, counters: &Counters) -> Status {
        let ike = self.endpoint.counters();
        Status {
            uptime_ms: now.as_millis(),
            remembers: self.storage.remembers(),
            unplaced: self.unplaced.as_ref().map(words),
            outside: self.outside.sites().take(2).collect(),
            refused_leases: self.lease.as_ref().map_or(0, Client::refused),
            clock: self.clock_status(now),
            dns: self.directory.iter().flat_map(Directory::servers).map(dns_server).collect(),
            anchors: self
                .directory
                .iter()
                .flat_map(|directory| directory.anchors().iter())
                .map(anchor)
                .collect(),
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
                network_full: ike.network_full,
            },
        }
    }

    fn clock_status(&self, now: Instant) -> ClockStatus {
        let directory = self.directory.as_ref();
        ClockStatus {
            source: self.config.clock.source,
            unix: directory.and_then(|directory| directory.time(now)).map(|time| time.0),
            not_before: directory.map_or(0, |directory| directory.not_before().0),
            servers: self
                .sntp
                .iter()
                .flat_map(Sntp::servers)
                .map(|(address, was)| (address, phrase(was.words())))
                .collect(),
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
            gateway_for: sa.behind,
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

fn dns_server(server: ServerStatus) -> DnsServerStatus {
    let lacks = server.lacks.into_iter().flat_map(Lacks::iter).map(Lack::words);
    let silent = server.silent.then_some(Lack::Answers.words()).filter(|_| server.lacks.is_none());
    DnsServerStatus {
        address: server.address,
        is_believed: server.is_believed,
        is_probed: server.lacks.is_some(),
        lacks: lacks.chain(silent).take(MAX_LACKS).map(phrase).collect(),
    }
}

fn anchor(anchor: &Anchor) -> AnchorStatus {
    AnchorStatus {
        key_tag: anchor.key.key_tag,
        state: phrase(anchor.state.words()),
        is_configured: anchor.is_configured,
    }
}

/// Words of ours, which all are short enough.
fn phrase(words: &str) -> Phrase {
    Phrase::try_from(words).unwrap_or_default()
}
