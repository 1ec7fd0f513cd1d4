//! How a negotiation of ours begins, unless what it would bring is there or under way.

use core::net::IpAddr;
use core::time::Duration;

use esp_engine::sa::{Mode, Spi};
use esp_engine::selector::Selectors;
use esp_engine::spd::{Action, Level, PolicyId};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use super::names::{Direction, Question};
use super::path::{IKE, own_port};
use crate::child_sa::Child;
use crate::config::Peer;
use crate::crypto::Crypto;
use crate::error::{AcquireError, CloseReason, NameFault};
use crate::exchange::ike_auth::child::mode_of;
use crate::exchange::ike_sa_init;
use crate::handshake::{Handshake, Want};
use crate::ike_sa::{IkeSa, State};
use crate::output::{Event, Path};
use crate::pad::PeerId;
use crate::wants::Wanted;

/// How long packets pass in clear before it is looked again whether they could be protected (RFC 4322 §3.2: such
/// decisions expire).
const OPEN: Duration = Duration::from_secs(300);

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    pub(super) fn begin(
        &mut self,
        now: Instant,
        policy: PolicyId,
        peer: Option<PeerId>,
        packet: Option<Selectors>,
    ) -> Result<(), AcquireError> {
        if self.desk.shutting_down {
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
        let question = Question { policy, peer, packet };
        let direction = self.direction(now, mode, wanted, question).inspect_err(|reason| {
            // Who was somebody there before is not gone because his records are (RFC 7435 §3).
            if let (AcquireError::Name(NameFault::Absent), Some(packet)) = (reason, &packet)
                && !self.is_known_at(packet.destination)
            {
                self.open(now, policy, packet.destination);
            }
        })?;
        let Some(Direction { entry, path, behind }) = direction else {
            return Ok(());
        };
        let is_served = match &packet {
            Some(packet) => self.children.serves(policy, packet),
            None => self.standing_with(entry).is_some(),
        };
        if is_served {
            return Ok(());
        }
        if packet.is_some() && self.desk.setbacks.is_waiting(policy, path.peer(), now) {
            return Err(AcquireError::TooSoon);
        }
        if let Some(owner) = self.usable_for(entry, wanted.is_some(), policy, &path, behind) {
            if packet.is_none() && self.stands_alone(entry) {
                return Ok(());
            }
            return self.add(now, owner, Wanted { policy, packet, like: None });
        }
        if let Some(owner) = self.negotiating_with(entry, policy, &path, behind) {
            return self.desk.wants.note(owner, Wanted { policy, packet, like: None });
        }
        let want = Want { peer: wanted, packet, behind, ..Want::with(entry, policy, path) };
        self.start(now, want)
    }

    /// Whoever is at this address was shown to protect nothing: a policy that would rather protect lets packets pass
    /// there for a while. No other does, and silence shows nothing (RFC 7435 §3).
    pub(crate) fn open(&mut self, now: Instant, policy: PolicyId, remote: IpAddr) {
        let action = self.config.policy(policy).map(|rule| rule.action);
        if matches!(action, Some(Action::Protect { minimum: Level::Clear, .. })) {
            self.outbox.event(Event::Open { remote, until: now + OPEN });
        }
    }

    /// Begins a successor of this Child SA with the same peer, on an IKE SA of its own; the old one goes
    /// once the new one stands (RFC 7296 §2.8.3).
    pub(super) fn succeed(&mut self, now: Instant, spi: Spi) -> Result<(), AcquireError> {
        let child = self.children.find(spi).ok_or(AcquireError::NoPeer)?;
        let (owner, policy) = (child.owner, child.policy);
        let sa = self.sas.get(owner).ok_or(AcquireError::NoPeer)?;
        let State::Established(established) = &sa.state else {
            return Err(AcquireError::NoPeer);
        };
        let peer = established.peer;
        let (mut path, mut way) = (self.beginning(peer, sa.path), sa.way());
        if let Some(other) = self.moved_to(peer, policy, &way) {
            way = other;
            path = self.config.path_for(self.own(), Some(peer), Some(way.at), Mode::Tunnel, None)?;
        }
        let want = Want { behind: way.behind, replaces: Some(spi), ..Want::with(peer, policy, path) };
        self.start(now, want)
    }

    /// Begins another IKE SA for this packet of somebody behind us, whom nothing on this one is for, because the peer
    /// refuses a Child SA here: it may take us for the gateway of another address, and each asks for a proof of its own
    /// (RFC 4025 §2.5). `false` where that cannot be.
    pub(crate) fn begin_apart(&mut self, slot: u16, sa: &IkeSa, wanted: &Wanted, now: Instant) -> bool {
        let (Some(packet), Some(established)) = (wanted.packet, sa.current()) else { return false };
        let (peer, policy) = (established.peer, wanted.policy);
        let is_tunnel = self.config.policy(policy).map(mode_of) == Some(Mode::Tunnel);
        let is_its = |child: &Child| child.local_ts.iter().any(|ts| ts.addresses.contains(packet.source));
        let is_for_another = packet.source != sa.path.local.ip() && !self.children.of(slot).any(is_its);
        let is_free =
            self.desk.again.is_none() && !self.desk.setbacks.is_waiting(policy, sa.path.remote.ip(), now);
        if !is_tunnel || !is_for_another || !is_free || established.behind.is_some() {
            return false;
        }
        let path = self.beginning(peer, sa.path);
        self.desk.again = Some(Want { packet: Some(packet), ..Want::with(peer, policy, path) });
        true
    }

    /// The way that IKE_SA_INIT takes to this peer, where an IKE SA is on this one.
    pub(super) fn beginning(&self, peer: PeerId, mut path: Path) -> Path {
        let configured = self.config.entry(peer).and_then(|entry| entry.address);
        let port = configured.map_or(IKE, |address| address.port());
        path.remote.set_port(port);
        path.local.set_port(own_port(port));
        path
    }

    /// Begins what takes the place of an IKE SA that ended; when there is no room, packets ask for it again.
    pub(super) fn begin_in_place(&mut self, now: Instant, want: Want) {
        let Want { policy, packet, .. } = want;
        let _ = match self.negotiating_with(want.entry, policy, &want.path, want.behind) {
            Some(owner) => self.desk.wants.note(owner, Wanted { policy, packet, like: None }),
            None => self.start(now, want),
        };
    }

    /// A Child SA that stands with the peer of this entry.
    pub(super) fn standing_with(&self, peer: PeerId) -> Option<Spi> {
        let current = self.sas.of_entry(peer).filter(|(_, sa)| sa.current().is_some());
        let mut standing =
            current.filter_map(|(slot, _)| self.children.of(slot).find(|child| child.stands()));
        standing.next().map(|child| child.inbound)
    }

    /// The IKE SA on its way to this peer, for another policy, on which the Child SA can be made once it
    /// stands.
    fn negotiating_with(
        &self,
        entry: PeerId,
        policy: PolicyId,
        path: &Path,
        behind: Option<IpAddr>,
    ) -> Option<u16> {
        let is_so = |want: &Want| want.entry == entry && want.path == *path && want.behind == behind;
        let fits = |sa: &IkeSa| {
            let want = self.handshake_of(sa).and_then(Handshake::want);
            want.is_some_and(|want| want.policy != policy && is_so(want))
        };
        self.sas.at(path.peer()).find(|(_, sa)| fits(sa)).map(|(slot, _)| slot)
    }

    /// Begins what was put off until the IKE SA before it had its slot back.
    pub(super) fn begin_again(&mut self, now: Instant) {
        if let Some(want) = self.desk.again.take() {
            let _ = self.start(now, want);
        }
        if let Some(spi) = self.desk.due.take() {
            // When there is no room for it now, the old one lives on to its end.
            let _ = self.succeed(now, spi);
        }
    }

    fn start(&mut self, now: Instant, want: Want) -> Result<(), AcquireError> {
        if self.desk.shutting_down {
            return Err(AcquireError::ShuttingDown);
        }
        if !self.outbox.has_room() {
            return Err(AcquireError::NoBuffer);
        }
        let remote = want.path.peer();
        if self.is_under_way(&want, remote) {
            return Ok(());
        }
        self.close_childless(remote, now);
        let slot = self.sas.vacancy().ok_or(AcquireError::NoSlot)?;
        let sa = ike_sa_init::initiator::begin(self, slot, now, want)?;
        self.sas.put(slot, sa);
        Ok(())
    }

    /// Whether a handshake of ours will bring this Child SA.
    fn is_under_way(&self, want: &Want, remote: IpAddr) -> bool {
        let is_same =
            |other: &Want| (other.policy, other.peer, other.behind) == (want.policy, want.peer, want.behind);
        let mut wants =
            self.sas.at(remote).filter_map(|(_, sa)| self.handshake_of(sa).and_then(Handshake::want));
        wants.any(is_same)
    }

    /// An IKE SA that lost or never had its Child SA makes room for its successor.
    fn close_childless(&mut self, remote: IpAddr, now: Instant) {
        self.each_at(remote, |endpoint, slot, sa| {
            if endpoint.children.count(slot) == 0
                && endpoint.outbox.has_room()
                && matches!(&sa.state, State::Established(e) if !endpoint.stands_alone(e.peer))
            {
                endpoint.close_sa(slot, sa, CloseReason::NoChildLeft, now);
            }
        });
    }
}
