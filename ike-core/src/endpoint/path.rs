//! From a policy to a peer, its address, and ours: what the configuration says of it.

use core::net::{IpAddr, SocketAddr};

use esp_engine::sa::Mode;
use esp_engine::selector::Selectors;
use esp_engine::spd::{Action, PolicyId};

use crate::config::{Config, IkePolicy, Peer};
use crate::error::AcquireError;
use crate::ike_sa::nat::ENCAPSULATED;
use crate::output::Path;
use crate::pad::{Matcher, PadEntry, PeerId};

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
