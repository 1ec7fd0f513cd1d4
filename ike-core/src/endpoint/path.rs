//! From a policy to a peer, its address, and ours: what the configuration says of it.

use core::net::{IpAddr, SocketAddr};

use esp_engine::sa::Mode;
use esp_engine::selector::Selectors;
use esp_engine::spd::{Action, PolicyId};

use crate::config::{Config, IkePolicy, Peer};
use crate::error::AcquireError;
use crate::ike_sa::nat::ENCAPSULATED;
use crate::output::Path;
use crate::own::Own;
use crate::pad::{Matcher, PeerId};

/// The port that negotiations begin on, unless the entry says 4500 (RFC 7296 §2, §2.23).
pub(super) const IKE: u16 = 500;

/// Our port towards this one of the peer's: messages to 4500 carry the marker, and so do those from it.
pub(super) const fn own_port(remote: u16) -> u16 {
    if remote == ENCAPSULATED { ENCAPSULATED } else { IKE }
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

    /// Where the peer is, and which address of ours goes with it. In transport mode the packet says
    /// both, unless it is `known` from DNS. A stranger (RFC 5386), and whoever is known by its address (RFC 4025),
    /// speaks for nobody but itself, so it is where the packet goes to in tunnel mode too.
    pub(super) fn path_for(
        &self,
        ours: Own<'_>,
        peer: Option<PeerId>,
        known: Option<IpAddr>,
        mode: Mode,
        packet: Option<&Selectors>,
    ) -> Result<Path, AcquireError> {
        let entry = peer.and_then(|peer| self.entry(peer));
        let end_to_end = packet.filter(|_| mode == Mode::Transport);
        let is_peers = |packet: &&Selectors| match entry {
            Some(entry) => entry.is_where_packets_go(packet.destination),
            None => self.entries().any(|(_, entry)| entry.is_found_at(packet.destination)),
        };
        let remote = entry
            .and_then(|entry| entry.address)
            .or(known.map(|address| SocketAddr::new(address, IKE)))
            .or(end_to_end.or(packet.filter(is_peers)).map(|to| SocketAddr::new(to.destination, IKE)))
            .ok_or(AcquireError::NoAddress)?;
        let own = end_to_end.map(|packet| packet.source).filter(|own| own.is_ipv4() == remote.is_ipv4());
        let fits = |address: IpAddr| own.map_or(address.is_ipv4() == remote.is_ipv4(), |own| own == address);
        let local = ours.iter().find(|local| fits(local.address));
        let (interface, address) = match (local, own) {
            (Some(local), _) => (local.interface, local.address),
            // Nobody said which addresses are ours.
            (None, Some(own)) if self.local.is_empty() => (0, own),
            (None, _) => return Err(AcquireError::NoLocalAddress),
        };
        Ok(Path { interface, local: SocketAddr::new(address, own_port(remote.port())), remote })
    }
}

#[cfg(test)]
mod tests {
    use esp_engine::selector::{AddressRange, Ports};

    use super::*;
    use crate::config::{Local, Timing};
    use crate::own::Changes;
    use crate::pad::{Authentication, Claim, Identity, PadEntry, Published};

    const OWN: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
    const FAR: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 2));

    /// From a host behind us.
    fn packet() -> Selectors {
        let ports = Ports::Icmp { kind: 8, code: 0 };
        Selectors { source: [10, 1, 0, 2].into(), destination: FAR, protocol: 1, ports }
    }

    fn path(matcher: Matcher<'_>, authentication: Authentication<'_>) -> [Result<Path, AcquireError>; 2] {
        let entry = PadEntry {
            matcher,
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
        let own = Own { configured: config.local, changes: &Changes::new() };
        [Some(PeerId(0)), None].map(|peer| config.path_for(own, peer, None, Mode::Tunnel, Some(&packet())))
    }

    /// The peer is at the packet's destination.
    fn there() -> Result<Path, AcquireError> {
        let [local, remote] = [OWN, FAR].map(|address| SocketAddr::new(address, IKE));
        Ok(Path { interface: 0, local, remote })
    }

    /// RFC 5386 §2: a BTNS peer may only claim its own address.
    #[test]
    fn a_stranger_behind_a_tunnel_is_where_the_packet_goes_to() {
        assert_eq!(path(Matcher::Any, Authentication::Btns)[0], there());
    }

    /// RFC 4025 §1: whose key is under its reverse name is the address itself, named by the policy or not.
    #[test]
    fn whoever_is_known_by_its_address_is_where_the_packet_goes_to() {
        let in_dns = Authentication::Dns(Published::default());
        let range = |address| Matcher::Addresses(AddressRange::single(address));
        assert_eq!(path(range(FAR), in_dns), [there(), there()]);
        assert_eq!(path(range(OWN), in_dns), [Err(AcquireError::NoAddress), Err(AcquireError::NoAddress)]);
    }

    #[test]
    fn someone_known_may_be_the_gateway_of_others_and_needs_an_address() {
        let [known, _] = path(Matcher::Any, Authentication::SharedKey(b"secret"));
        assert_eq!(known, Err(AcquireError::NoAddress));
    }
}
