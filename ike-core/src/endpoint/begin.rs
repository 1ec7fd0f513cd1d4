//! How a negotiation of ours begins: from a policy to a peer, its address, and ours.

use core::net::{IpAddr, SocketAddr};

use esp_engine::sa::Mode;
use esp_engine::selector::Selectors;
use esp_engine::spd::{Action, PolicyId};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::config::{Config, IkePolicy, Peer};
use crate::crypto::Crypto;
use crate::error::{AcquireError, CloseReason};
use crate::exchange::ike_sa_init;
use crate::handshake::{Handshake, Want};
use crate::ike_sa::State;
use crate::output::Path;
use crate::pad::{Authentication, Matcher, PeerId};

/// The port that every negotiation begins on (RFC 7296 §2).
const IKE: u16 = 500;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    pub(super) fn begin(
        &mut self,
        now: Instant,
        policy: PolicyId,
        peer: Option<PeerId>,
        packet: Option<Selectors>,
    ) -> Result<(), AcquireError> {
        if self.shutting_down {
            return Err(AcquireError::ShuttingDown);
        }
        if !self.outbox.has_room() {
            return Err(AcquireError::NoBuffer);
        }
        let rule = self.config.policy(policy).ok_or(AcquireError::NoPolicy)?;
        let Action::Protect { mode, .. } = rule.action else {
            return Err(AcquireError::NoPolicy);
        };
        let wanted = match (rule.peer, peer) {
            (Peer::Entry(entry), _) => Some(entry),
            (Peer::Any, peer) => peer,
        };
        let path = self.config.path_for(wanted, mode, packet.as_ref())?;
        let entry = match wanted {
            Some(entry) => entry,
            None => self.config.likely_entry(path.remote.ip()).ok_or(AcquireError::NoPeer)?,
        };
        let want = Want { policy, peer: wanted, entry, packet, path, restarts: 0 };
        if packet.is_some_and(|packet| self.children.serves(policy, &packet)) {
            return Ok(());
        }
        if self.is_under_way(&want, path.remote.ip()) {
            return Ok(());
        }
        self.close_childless(path.remote.ip(), now);
        let slot = self.free_place().ok_or(AcquireError::NoSlot)?;
        let sa = ike_sa_init::initiator::begin(self, slot, now, want)?;
        if let Some(entry) = self.sas.get_mut(usize::from(slot)) {
            *entry = Some(sa);
        }
        Ok(())
    }

    /// Whether a handshake of ours will bring this Child SA.
    fn is_under_way(&self, want: &Want, remote: IpAddr) -> bool {
        let is_same = |other: &Want| other.policy == want.policy && other.peer == want.peer;
        self.sas.iter().flatten().any(|sa| {
            sa.path.remote.ip() == remote
                && match self.handshake_of(sa) {
                    Some(Handshake::InitSent(init)) => is_same(&init.want),
                    Some(Handshake::AuthSent(_, other)) => is_same(other),
                    _ => false,
                }
        })
    }

    /// An IKE SA that lost or never had its Child SA makes room for its successor.
    fn close_childless(&mut self, remote: IpAddr, now: Instant) {
        for slot in 0..u16::try_from(self.sas.len()).unwrap_or(u16::MAX) {
            if self.children.count(slot) > 0 || !self.outbox.has_room() {
                continue;
            }
            let _ = self.with_sa(slot, |endpoint, sa| {
                if sa.path.remote.ip() == remote && matches!(sa.state, State::Established(_)) {
                    endpoint.close_sa(slot, sa, CloseReason::NoChildLeft, now);
                }
                Ok(())
            });
        }
    }
}

impl Config<'_> {
    /// The first policy that this peer may serve.
    pub(super) fn policy_of(&self, peer: PeerId) -> Option<PolicyId> {
        let level = self.entry(peer)?.authentication.level();
        let serves = |policy: &IkePolicy<'_>| match (policy.action, policy.peer) {
            (Action::Protect { minimum, .. }, Peer::Any) => level >= minimum,
            (Action::Protect { .. }, Peer::Entry(entry)) => entry == peer,
            _ => false,
        };
        self.policies().find(|(_, policy)| serves(policy)).map(|(id, _)| id)
    }

    /// The entry that somebody at this address probably falls under.
    fn likely_entry(&self, address: IpAddr) -> Option<PeerId> {
        let is_there = |matcher: &Matcher<'_>, at: Option<SocketAddr>| match matcher {
            Matcher::Addresses(range) => range.contains(address),
            _ => at.is_some_and(|at| at.ip() == address),
        };
        let known = self.entries().find(|(_, entry)| is_there(&entry.matcher, entry.address));
        let wildcard = || self.entries().find(|(_, e)| matches!(e.authentication, Authentication::Btns));
        known.or_else(wildcard).or_else(|| self.entries().next()).map(|(id, _)| id)
    }

    /// Where the peer is, and which address of ours goes with it. In transport mode the packet says
    /// both.
    fn path_for(
        &self,
        peer: Option<PeerId>,
        mode: Mode,
        packet: Option<&Selectors>,
    ) -> Result<Path, AcquireError> {
        let configured = peer.and_then(|peer| self.entry(peer)).and_then(|entry| entry.address);
        let named = packet.filter(|_| mode == Mode::Transport);
        let remote = configured
            .or(named.map(|packet| SocketAddr::new(packet.destination, IKE)))
            .ok_or(AcquireError::NoAddress)?;
        let own = named.map(|packet| packet.source).filter(|own| own.is_ipv4() == remote.is_ipv4());
        let fits = |address: IpAddr| own.map_or(address.is_ipv4() == remote.is_ipv4(), |own| own == address);
        let local = self.local.iter().find(|local| fits(local.address));
        let (interface, address) = match (local, own) {
            (Some(local), _) => (local.interface, local.address),
            (None, Some(own)) => (0, own),
            (None, None) => return Err(AcquireError::NoLocalAddress),
        };
        Ok(Path { interface, local: SocketAddr::new(address, IKE), remote })
    }
}
