//! Servers of DNS whose word is enough (RFC 4035 §4.9.3): it is worth what protects the way to them.

use core::net::SocketAddr;

use esp_engine::spd::Level;

use super::check::{Fault, require};
use super::{Action, Authentication, Config, EVERY_PROTOCOL, Policy, Ports, Remote, Resolver};

const UDP: u8 = 17;
const TCP: u8 = 6;

impl Config {
    /// Whether all questions to `server` go by SAs with a peer that is known by a key or secret of this
    /// configuration: one that DNS had to vouch for would wait for itself.
    pub(super) fn check_believed(&self, server: SocketAddr, resolver: &Resolver) -> Result<(), Fault> {
        require(resolver.servers.contains(&server), Fault::BelievedStranger)?;
        let is_protected = [UDP, TCP].into_iter().all(|protocol| {
            let first =
                self.policies.iter().find(|policy| self.is_met_by_questions(policy, server, protocol));
            first.is_some_and(|policy| {
                policy.local_ports == Ports::ANY && self.is_protected_by_key(&policy.action)
            })
        });
        require(is_protected, Fault::UnprotectedBelief)
    }

    fn is_protected_by_key(&self, action: &Action) -> bool {
        let Action::Protect { minimum, peer: Some(name), .. } = action else { return false };
        let peer = self.peers.iter().find(|peer| peer.name == *name);
        let has_key = |authentication: &Authentication| {
            matches!(
                authentication,
                Authentication::Pinned(_) | Authentication::Fingerprints(_) | Authentication::Shared(_)
            )
        };
        *minimum >= Level::Shared && peer.is_some_and(|peer| has_key(&peer.authentication))
    }

    /// Whether any question from our outer addresses meets this policy.
    fn is_met_by_questions(&self, policy: &Policy, server: SocketAddr, protocol: u8) -> bool {
        let mut own = self.interfaces.first().into_iter().flat_map(|port| &port.addresses);
        let Remote::Network(remote) = policy.remote else { return false };
        let ports = policy.remote_ports;
        [EVERY_PROTOCOL, protocol].contains(&policy.protocol)
            && remote.contains(server.ip())
            && (ports.first..=ports.last).contains(&server.port())
            && own.any(|own| policy.local.contains(own.address))
    }
}
