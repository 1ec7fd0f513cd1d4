//! How a negotiation of ours begins: from a policy to a peer, its address, and ours.

use core::net::{IpAddr, SocketAddr};

use esp_engine::sa::{Mode, Spi};
use esp_engine::selector::Selectors;
use esp_engine::spd::{Action, PolicyId};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use super::names::{Consulted, Question};
use crate::config::{Config, IkePolicy, Peer};
use crate::crypto::Crypto;
use crate::error::{AcquireError, CloseReason};
use crate::exchange::ike_sa_init;
use crate::handshake::{Handshake, Want};
use crate::ike_sa::nat::ENCAPSULATED;
use crate::ike_sa::{IkeSa, State};
use crate::output::Path;
use crate::pad::{Matcher, PadEntry, PeerId};
use crate::wants::Wanted;

/// The port that negotiations begin on, unless the entry says 4500 (RFC 7296 §2, §2.23).
pub(super) const IKE: u16 = 500;

/// Our port towards this one of the peer's: messages to 4500 carry the marker, and so do those from it.
const fn own_port(remote: u16) -> u16 {
    if remote == ENCAPSULATED { ENCAPSULATED } else { IKE }
}

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
        let known = match wanted.map(|entry| self.consult(now, entry, None, question)).transpose()? {
            Some(Consulted::Waits) => return Ok(()),
            Some(Consulted::At(address)) => Some(address),
            Some(Consulted::Unneeded) | None => None,
        };
        let path = self.config.path_for(wanted, known, mode, packet.as_ref())?;
        let entry = match wanted {
            Some(entry) => entry,
            None => self.likely_entry(path.remote.ip()).ok_or(AcquireError::NoPeer)?,
        };
        let entry = match self.consult_reverse(now, entry, path.remote.ip(), question)? {
            Some(entry) => entry,
            None => return Ok(()),
        };
        let is_served = match &packet {
            Some(packet) => self.children.serves(policy, packet),
            None => self.standing_with(entry).is_some(),
        };
        if is_served {
            return Ok(());
        }
        if packet.is_some() && self.desk.setbacks.is_waiting(policy, path.remote.ip(), now) {
            return Err(AcquireError::TooSoon);
        }
        if let Some(owner) = self.usable_for(entry, wanted.is_some(), policy, &path) {
            if packet.is_none() && self.stands_alone(entry) {
                return Ok(());
            }
            return self.add(now, owner, Wanted { policy, packet, like: None });
        }
        if let Some(owner) = self.negotiating_with(entry, policy, &path) {
            return self.desk.wants.note(owner, Wanted { policy, packet, like: None });
        }
        let want = Want {
            policy,
            peer: wanted,
            entry,
            packet,
            path,
            restarts: 0,
            single_pair: false,
            replaces: None,
        };
        self.start(now, want)
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
        let mut path = sa.path;
        let configured = self.config.entry(peer).and_then(|entry| entry.address);
        let port = configured.map_or(IKE, |address| address.port());
        path.remote.set_port(port);
        path.local.set_port(own_port(port));
        if let Some(address) = self.moved_to(peer, path.remote.ip()) {
            path = self.config.path_for(Some(peer), Some(address), Mode::Tunnel, None)?;
        }
        let (single_pair, replaces) = (false, Some(spi));
        let want = Want {
            policy,
            peer: Some(peer),
            entry: peer,
            packet: None,
            path,
            restarts: 0,
            single_pair,
            replaces,
        };
        self.start(now, want)
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
    fn negotiating_with(&self, entry: PeerId, policy: PolicyId, path: &Path) -> Option<u16> {
        let fits = |sa: &IkeSa| {
            let want = self.handshake_of(sa).and_then(Handshake::want);
            want.is_some_and(|want| want.entry == entry && want.policy != policy && want.path == *path)
        };
        self.sas.at(path.remote.ip()).find(|(_, sa)| fits(sa)).map(|(slot, _)| slot)
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
        let remote = want.path.remote.ip();
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
        let is_same = |other: &Want| other.policy == want.policy && other.peer == want.peer;
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
    pub(super) fn likely_entry(&self, address: IpAddr) -> Option<PeerId> {
        let is_there = |matcher: &Matcher<'_>, at: Option<SocketAddr>| match matcher {
            Matcher::Addresses(range) => range.contains(address),
            _ => at.is_some_and(|at| at.ip() == address),
        };
        let known = self.entries().find(|(_, entry)| is_there(&entry.matcher, entry.address));
        let discovered =
            || self.entries().find(|(_, e)| e.matcher == Matcher::Any && e.published().is_some());
        known
            .or_else(discovered)
            .or_else(|| self.strangers())
            .or_else(|| self.nobody())
            .or_else(|| self.entries().next())
            .map(|(id, _)| id)
    }

    /// Whether we have an address of this one's family.
    pub(super) fn has_local(&self, address: IpAddr) -> bool {
        self.local.iter().any(|local| local.address.is_ipv4() == address.is_ipv4())
    }

    /// Where the peer is, and which address of ours goes with it. In transport mode the packet says
    /// both, unless it is `known` from DNS. A stranger (RFC 5386) speaks for nobody but itself, so it is where the packet goes to in
    /// tunnel mode too.
    pub(super) fn path_for(
        &self,
        peer: Option<PeerId>,
        known: Option<IpAddr>,
        mode: Mode,
        packet: Option<&Selectors>,
    ) -> Result<Path, AcquireError> {
        let entry = peer.and_then(|peer| self.entry(peer));
        let end_to_end = packet.filter(|_| mode == Mode::Transport);
        let stranger = entry.is_some_and(PadEntry::is_where_packets_go);
        let remote = entry
            .and_then(|entry| entry.address)
            .or(known.map(|address| SocketAddr::new(address, IKE)))
            .or(end_to_end.or(packet.filter(|_| stranger)).map(|to| SocketAddr::new(to.destination, IKE)))
            .ok_or(AcquireError::NoAddress)?;
        let own = end_to_end.map(|packet| packet.source).filter(|own| own.is_ipv4() == remote.is_ipv4());
        let fits = |address: IpAddr| own.map_or(address.is_ipv4() == remote.is_ipv4(), |own| own == address);
        let local = self.local.iter().find(|local| fits(local.address));
        let (interface, address) = match (local, own) {
            (Some(local), _) => (local.interface, local.address),
            (None, Some(own)) => (0, own),
            (None, None) => return Err(AcquireError::NoLocalAddress),
        };
        Ok(Path { interface, local: SocketAddr::new(address, own_port(remote.port())), remote })
    }
}

#[cfg(test)]
mod tests {
    use esp_engine::selector::Ports;

    use super::*;
    use crate::config::{Local, Timing};
    use crate::pad::{Authentication, Claim, Identity};

    const OWN: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
    const FAR: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 2));

    /// From a host behind us.
    fn packet() -> Selectors {
        let ports = Ports::Icmp { kind: 8, code: 0 };
        Selectors { source: [10, 1, 0, 2].into(), destination: FAR, protocol: 1, ports }
    }

    fn path(authentication: Authentication<'_>) -> Result<Path, AcquireError> {
        let entry = PadEntry {
            matcher: Matcher::Any,
            authentication,
            claim: Claim::OwnAddress,
            address: None,
            send_key: true,
            childless: false,
            ppk: None,
        };
        let config = Config {
            identity: Identity::Fqdn("a.example"),
            key: None,
            pad: &[entry],
            policies: &[],
            suites: &[],
            local: &[Local { interface: 0, address: OWN }],
            timing: Timing::DEFAULT,
            force_encapsulation: false,
            mobike: false,
        };
        config.path_for(Some(PeerId(0)), None, Mode::Tunnel, Some(&packet()))
    }

    /// RFC 5386 §2: a BTNS peer may only claim its own address.
    #[test]
    fn a_stranger_behind_a_tunnel_is_where_the_packet_goes_to() {
        let path = path(Authentication::Btns).unwrap();
        assert_eq!((path.local, path.remote), (SocketAddr::new(OWN, IKE), SocketAddr::new(FAR, IKE)));
    }

    #[test]
    fn someone_known_may_be_the_gateway_of_others_and_needs_an_address() {
        assert_eq!(path(Authentication::SharedKey(b"secret")), Err(AcquireError::NoAddress));
    }
}
