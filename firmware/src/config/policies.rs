//! From an operator's [`Config`] to the SPD (RFC 4301 §4.4.1).
//!
//! The SPD begins with a short fixed list of what has to pass in clear for anything to work
//! (RFC 4301 §5.2: IKE; RFC 4861: Neighbor Discovery). It is the same list that operators are shown.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, PortRange, TrafficSelector};
use esp_engine::spd::{self, Level, PolicyId, PolicySelectors};
use heapless::Vec;

use ike_core::pad::PeerId;

use super::clock::MAX_TIME_SERVERS;
use super::{Action, Config, MAX_INTERFACES, MAX_POLICIES, MAX_SERVERS, Policy, Prefix, Remote, Role, Start};
use crate::dhcp::{CLIENT_PORT, SERVER_PORT};

/// Entries of the SPD: the fixed ones, then the operator's, and among them those for found addresses.
pub const MAX_SPD: usize = MAX_FIXED + MAX_POLICIES + MAX_FOUND;
/// Addresses that names of clients led to and that are protected at once.
pub const MAX_FOUND: usize = 8;
const MAX_FIXED: usize = 2 * MAX_INTERFACES + 2 + 2 * (MAX_SERVERS + 1) + MAX_TIME_SERVERS;

/// Protocol number of TCP.
pub const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What passes in clear whatever the operator writes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum FixedBypass {
    /// IKE on UDP port 500 of our own addresses.
    Ike,
    /// IKE, and ESP in UDP, on UDP port 4500 of our own addresses.
    IkeNat,
    /// ICMPv6 types 133 to 137. A gateway answers these itself and never forwards them.
    NeighbourDiscovery,
    /// DHCP from our UDP port 68 to servers' port 67, where the outer address comes from there.
    Dhcp,
    /// Questions to the configured DNS servers, but to those whose word is believed, and updates of our own name,
    /// from our own addresses.
    Dns,
    /// Questions to the configured time servers, from our own addresses.
    Time,
}

impl Config {
    /// The fixed entries that come before every policy of the operator.
    pub fn fixed_bypasses(&self) -> Vec<(FixedBypass, spd::Policy), MAX_FIXED> {
        let mut fixed = Vec::new();
        for interface in &self.interfaces {
            let own = |port| {
                let range = |a: IpAddr| TrafficSelector {
                    protocol: UDP,
                    ports: PortRange::single(port),
                    addresses: AddressRange::single(a),
                };
                interface.addresses.iter().map(|prefix| range(prefix.address)).collect()
            };
            for (what, port) in [(FixedBypass::Ike, 500), (FixedBypass::IkeNat, 4500)] {
                let _ = fixed.push((what, bypass(own(port), everywhere(UDP, PortRange::ANY))));
            }
        }
        if self.role == Role::Host {
            let both =
                everywhere(ICMPV6, PortRange::new(133 << 8, (137 << 8) | 0xFF).unwrap_or(PortRange::ANY));
            let _ = fixed.push((FixedBypass::NeighbourDiscovery, bypass(both.clone(), both)));
        }
        if self.has_dhcp() {
            let _ = fixed.push((FixedBypass::Dhcp, leases()));
        }
        let primary = self.publication.iter().map(|publication| &publication.server);
        // What is believed goes the protected way, or not at all.
        let servers = self.resolver.iter().flat_map(|resolver| {
            resolver.servers.iter().filter(|server| !resolver.believed.contains(server))
        });
        for server in servers.chain(primary) {
            for protocol in [UDP, TCP] {
                let _ = fixed.push((FixedBypass::Dns, self.questions(server, protocol)));
            }
        }
        for server in &self.clock.servers {
            let _ = fixed.push((FixedBypass::Time, self.questions(server, UDP)));
        }
        fixed
    }

    /// What we ask a server, and what it answers, in clear.
    fn questions(&self, server: &SocketAddr, protocol: u8) -> spd::Policy {
        let addresses = self.interfaces.first().map(|port| port.addresses.as_slice()).unwrap_or_default();
        let own = |prefix: &Prefix| TrafficSelector {
            protocol,
            ports: PortRange::ANY,
            addresses: AddressRange::single(prefix.address),
        };
        let ports = PortRange::single(server.port());
        let theirs = TrafficSelector { protocol, ports, addresses: AddressRange::single(server.ip()) };
        bypass(addresses.iter().map(own).collect(), [theirs].into_iter().collect())
    }

    /// Policies whose far side is wherever this peer is.
    pub fn policies_by_name(&self, peer: PeerId) -> impl Iterator<Item = (PolicyId, &Policy)> {
        let is_its = move |policy: &Policy| match &policy.action {
            Action::Protect { peer: Some(name), .. } => {
                policy.remote == Remote::Peer && self.peer_id(name) == Some(peer)
            }
            _ => false,
        };
        self.policies.iter().enumerate().filter(move |(_, p)| is_its(p)).map(|(n, p)| (self.policy_id(n), p))
    }

    /// Far sides of policies that would rather protect, and whose peer is never called.
    pub fn open_ranges(&self) -> impl Iterator<Item = AddressRange> {
        let range = |policy: &Policy| match (&policy.action, policy.remote) {
            (Action::Protect { minimum: Level::Clear, peer: Some(name), .. }, Remote::Network(network)) => {
                let peer = self.peer_id(name).and_then(|peer| self.peer(peer))?;
                network.range().filter(|_| peer.start == Start::Never)
            }
            _ => None,
        };
        self.policies.iter().filter_map(range)
    }

    /// The whole SPD in order, as it is at first.
    pub fn spd(&self) -> Vec<spd::Policy, MAX_SPD> {
        self.spd_entries().collect()
    }

    /// The entries of [`Config::spd`].
    pub(super) fn spd_entries(&self) -> impl Iterator<Item = spd::Policy> {
        let fixed = self.fixed_bypasses().into_iter().map(|(_, policy)| policy);
        let (before, behind) = self.policies.split_at(self.place_of_found());
        let found = core::iter::repeat_with(|| self.found_policy()).take(self.found_entries());
        let before = before.iter().filter_map(Policy::translate);
        fixed.chain(before).chain(found).chain(behind.iter().filter_map(Policy::translate))
    }

    /// Where the operator's policy number `n` (from 0) stands in [`Config::spd`].
    pub fn policy_id(&self, n: usize) -> PolicyId {
        let found = if n < self.place_of_found() { 0 } else { self.found_entries() };
        PolicyId(u16::try_from(self.fixed_bypasses().len() + found + n).unwrap_or(u16::MAX))
    }

    /// The operator's policy behind an entry of [`Config::spd`]; `None` for a fixed one, and one that is for a
    /// found address.
    pub fn policy(&self, id: PolicyId) -> Option<&Policy> {
        let n = usize::from(id.0).checked_sub(self.fixed_bypasses().len())?;
        let (place, found) = (self.place_of_found(), self.found_entries());
        match n {
            n if n < place => self.policies.get(n),
            n => self.policies.get(place..)?.get((n - place).checked_sub(found)?),
        }
    }

    /// Of the operator's policies, the first that lets everything pass in clear somewhere: what is found takes
    /// its place before it, behind all that protects or forbids.
    pub(crate) fn place_of_found(&self) -> usize {
        self.policies.iter().position(Policy::is_open).unwrap_or(self.policies.len())
    }

    fn found_entries(&self) -> usize {
        if self.capture().is_some() { MAX_FOUND } else { 0 }
    }

    /// The places in [`Config::spd`] that are for found addresses. Their far sides are empty until there are some.
    pub fn found_policies(&self) -> impl Iterator<Item = PolicyId> + use<> {
        let first = self.fixed_bypasses().len() + self.place_of_found();
        (first..first + self.found_entries()).map(|n| PolicyId(u16::try_from(n).unwrap_or(u16::MAX)))
    }

    fn found_policy(&self) -> spd::Policy {
        let network = |prefix: &Prefix| {
            Some(TrafficSelector { protocol: 0, ports: PortRange::ANY, addresses: prefix.range()? })
        };
        spd::Policy {
            local: self.inside().filter_map(network).collect(),
            remote: PolicySelectors::new(),
            action: spd::Action::Protect { mode: Mode::Tunnel, minimum: Level::Any },
        }
    }
}

/// All traffic with one address, as the far side of a policy.
pub fn all_with(address: IpAddr) -> PolicySelectors {
    let addresses = AddressRange::single(address);
    [TrafficSelector { protocol: 0, ports: PortRange::ANY, addresses }].into_iter().collect()
}

/// All traffic with anybody, as the far side of a policy.
pub(super) fn all_with_anybody() -> PolicySelectors {
    everywhere(0, PortRange::ANY)
}

impl Policy {
    /// `None` when a prefix or a range of ports makes no sense, which [`Config::check`] refuses.
    fn translate(&self) -> Option<spd::Policy> {
        let local = TrafficSelector {
            protocol: self.protocol,
            ports: self.local_ports.range()?,
            addresses: self.local.range()?,
        };
        let addresses: Vec<AddressRange, 2> = match self.remote {
            Remote::Network(network) => [network.range()?].into_iter().collect(),
            Remote::Peer => families().collect(),
        };
        Some(spd::Policy {
            local: [local].into_iter().collect(),
            remote: self.remote_selectors(addresses),
            action: match self.action {
                Action::Protect { mode, minimum, .. } => spd::Action::Protect { mode, minimum },
                Action::Bypass => spd::Action::Bypass,
                Action::Discard => spd::Action::Discard,
            },
        })
    }
}

impl Policy {
    /// Whether it lets everything pass in clear to some network.
    pub(super) fn is_open(&self) -> bool {
        self.action == Action::Bypass && self.is_for_all_traffic()
    }

    /// Whether its traffic goes through a tunnel.
    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self.action, Action::Protect { mode: Mode::Tunnel, .. })
    }

    /// Whether it is about every protocol and port.
    pub(crate) fn is_for_all_traffic(&self) -> bool {
        let is_all = |ports: super::Ports| ports == super::Ports::ANY;
        self.protocol == super::EVERY_PROTOCOL && is_all(self.local_ports) && is_all(self.remote_ports)
    }

    /// The far side's selectors, where its addresses are these.
    pub fn remote_selectors(&self, addresses: impl IntoIterator<Item = AddressRange>) -> PolicySelectors {
        let (protocol, ports) = (self.protocol, self.remote_ports.range().unwrap_or(PortRange::ANY));
        let selectors = addresses.into_iter().map(|addresses| TrafficSelector { protocol, ports, addresses });
        selectors.take(spd::MAX_POLICY_SELECTORS).collect()
    }
}

/// From this host on this network (RFC 6890 §2.2.2), and from its address when it has one; to everybody or from there.
fn leases() -> spd::Policy {
    let port =
        |addresses| TrafficSelector { protocol: UDP, ports: PortRange::single(CLIENT_PORT), addresses };
    let this_host = AddressRange::prefix(Prefix::DHCP.address, 8).map(port);
    let everybody = port(AddressRange::single(Ipv4Addr::BROADCAST.into()));
    let servers = everywhere(UDP, PortRange::single(SERVER_PORT));
    bypass(this_host.into_iter().chain([everybody]).collect(), servers)
}

fn bypass(local: PolicySelectors, remote: PolicySelectors) -> spd::Policy {
    spd::Policy { local, remote, action: spd::Action::Bypass }
}

/// Every address, by family.
fn families() -> impl Iterator<Item = AddressRange> {
    let families = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    families.into_iter().filter_map(|any| AddressRange::prefix(any, 0))
}

fn everywhere(protocol: u8, ports: PortRange) -> PolicySelectors {
    families().map(|addresses| TrafficSelector { protocol, ports, addresses }).collect()
}

#[cfg(test)]
mod tests {
    use esp_engine::selector::{Ports, Selectors};
    use esp_engine::spd::Action::{Bypass, Discard, Protect};

    use super::*;
    use crate::config::check::tests::{gateway, host};

    fn action(config: &Config, from: &str, to: &str, protocol: u8, ports: Ports) -> spd::Action {
        let packet =
            Selectors { source: from.parse().unwrap(), destination: to.parse().unwrap(), protocol, ports };
        config.spd().iter().find(|p| p.matches_outbound(&packet)).map_or(Discard, |p| p.action)
    }

    fn udp(source: u16, destination: u16) -> Ports {
        Ports::Known { source, destination }
    }

    #[test]
    fn ike_leaves_in_clear_from_our_own_addresses_only() {
        let config = gateway();
        for (from, to) in
            [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"), ("10.1.0.1", "10.2.0.1")]
        {
            assert_eq!(action(&config, from, to, UDP, udp(500, 500)), Bypass);
            assert_eq!(action(&config, from, to, UDP, udp(4500, 61_000)), Bypass);
        }
        assert!(matches!(action(&config, "10.1.0.2", "10.2.0.1", UDP, udp(500, 500)), Protect { .. }));
        assert!(matches!(action(&config, "10.1.0.1", "10.2.0.1", UDP, udp(501, 500)), Protect { .. }));
    }

    #[test]
    fn neighbour_discovery_passes_on_a_host_and_is_not_forwarded_by_a_gateway() {
        let solicitation = Ports::Icmp { kind: 135, code: 0 };
        assert_eq!(action(&host(), "fe80::1", "ff02::1:ff00:2", ICMPV6, solicitation), Bypass);
        assert_eq!(
            action(&host(), "fe80::1", "fe80::2", ICMPV6, Ports::Icmp { kind: 128, code: 0 }),
            Discard
        );
        assert!(matches!(action(&gateway(), "fd00:a::2", "fd00:b::1", ICMPV6, solicitation), Protect { .. }));
    }

    /// What was found decides behind all that protects or forbids, and before what passes in clear.
    #[test]
    fn found_addresses_come_before_the_first_bypass() {
        let mut config = gateway();
        let bypass = Policy {
            name: "rest".try_into().unwrap(),
            remote: Prefix { address: [0; 4].into(), length: 0 }.into(),
            action: Action::Bypass,
            ..config.policies[0].clone()
        };
        let place = config.policies.len();
        config.policies.push(bypass).unwrap();
        assert_eq!(config.found_policies().count(), 0);
        let capture = crate::config::capture::tests::capture();
        config.resolver = Some(crate::config::Resolver {
            servers: ["192.0.2.53:53".parse().unwrap()].into_iter().collect(),
            anchors: Vec::new(),
            believed: Vec::new(),
            fingerprints: false,
            capture: Some(capture),
        });
        config.check().unwrap();
        let found: std::vec::Vec<_> = config.found_policies().collect();
        assert_eq!(found.len(), MAX_FOUND);
        assert_eq!(config.policy_id(place - 1).0 + 1, found[0].0);
        assert_eq!(config.policy_id(place).0, found[MAX_FOUND - 1].0 + 1);
        for (n, policy) in config.policies.iter().enumerate() {
            assert_eq!(config.policy(config.policy_id(n)), Some(policy));
        }
        let spd = config.spd();
        for id in found {
            assert_eq!(config.policy(id), None);
            assert!(spd[usize::from(id.0)].remote.is_empty(), "it matches nothing yet");
        }
    }

    #[test]
    fn places_in_the_spd_lead_back_to_the_operators_policies() {
        for config in [host(), gateway()] {
            assert_eq!(config.spd().len(), config.fixed_bypasses().len() + config.policies.len());
            for (n, policy) in config.policies.iter().enumerate() {
                assert_eq!(config.policy(config.policy_id(n)), Some(policy));
            }
            assert_eq!(config.policy(PolicyId(0)), None);
        }
    }
}
