//! Refuses a configuration that cannot work or that would mean less protection than it says
//! (RFC 4301 §4.4, RFC 5386 §2): which entry, what is wrong with it, what to write instead.

use core::net::{IpAddr, SocketAddr};

use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use ike_core::discovery::dnssec::Ds;
use ike_core::discovery::proxy::settings::MAX_HOLD;
use ike_core::wire::spki;

use super::capture::Capture;
pub use super::fault::{Entry, Fault, Refused};
use super::{
    Action, Authentication, Config, EVERY_PROTOCOL, Identity, Peer, Policy, Ports, Prefix, PrivateKey,
    Remote, Role, Start, Suite, Whose,
};

/// Fewer octets of a shared key can be guessed off-line by whoever sees one exchange.
pub const MIN_SHARED_KEY: usize = 16;

/// IKE.
pub const IKE_PORT: u16 = 500;

/// IKE beside ESP in UDP.
pub const NAT_PORT: u16 = 4500;

/// Octets of a post-quantum preshared key: 256 bits, half of which count against a quantum computer
/// (RFC 8784 §6).
pub const MIN_PPK: usize = 32;

impl Config {
    /// Whether a device can work by this and means what it says.
    ///
    /// # Errors
    /// The first entry that it refuses.
    pub fn check(&self) -> Result<(), Refused> {
        self.check_interfaces()?;
        each(&self.routes, Entry::Route, |_, route| {
            network(route.to)?;
            same_family(route.to.address, route.via)?;
            self.check_remote(route.via)?;
            require(self.role == Role::Gateway || route.to.length == 0, Fault::HostRoute)?;
            let attached = self.addresses().any(|own| !own.is_from_dhcp() && own.contains(route.via));
            require(attached, Fault::Unreachable)
        })?;
        identity(&self.identity).map_err(|fault| Refused { entry: Entry::Identity, fault })?;
        self.check_key()?;
        each(&self.peers, Entry::Peer, |n, peer| self.check_peer(n, peer))?;
        each(&self.policies, Entry::Policy, |n, policy| self.check_policy(n, policy))?;
        self.check_resolver()?;
        self.check_clock().map_err(|fault| Refused { entry: Entry::Clock, fault })?;
        self.check_publication().map_err(|fault| Refused { entry: Entry::Publication, fault })?;
        let is_private = |suite: &Suite| suite.translate().ike.is_confidential();
        require(!self.suites.is_empty(), Fault::NoSuite)
            .and_then(|()| require(self.suites.iter().all(is_private), Fault::ReadableIke))
            .map_err(|fault| Refused { entry: Entry::Suites, fault })?;
        let timing = &self.timing;
        require(timing.retransmit_ms > 0 && timing.tries > 0 && timing.retry_s > 0, Fault::ZeroTiming)
            .and_then(|()| timing.translate().check().map_err(Fault::Timing))
            .and_then(|()| require(matches!(timing.datagram, 0 | 256..=1500), Fault::Datagram))
            .map_err(|fault| Refused { entry: Entry::Timing, fault })
    }

    /// Every address of the device.
    pub fn addresses(&self) -> impl Iterator<Item = &Prefix> {
        self.interfaces.iter().flat_map(|interface| &interface.addresses)
    }

    /// Whether `address` is the device's own.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.addresses().any(|own| own.address == address)
    }

    fn check_interfaces(&self) -> Result<(), Refused> {
        let ports = match self.role {
            Role::Host => require(self.interfaces.len() == 1, Fault::HostPorts),
            Role::Gateway => require(self.interfaces.len() == 2, Fault::GatewayPorts),
        };
        ports.map_err(|fault| Refused { entry: Entry::Interfaces, fault })?;
        each(&self.interfaces, Entry::Interface, |n, interface| {
            require(!interface.addresses.is_empty(), Fault::NoAddress)?;
            for (k, own) in interface.addresses.iter().enumerate() {
                if own.is_from_dhcp() {
                    require(n == 0, Fault::DhcpInside)?;
                } else {
                    unicast(own.address)?;
                }
                let range = own.range().ok_or(Fault::PrefixLength)?;
                let mut earlier = interface.addresses.iter().take(k);
                require(
                    earlier.all(|other| other.address.is_ipv4() != own.address.is_ipv4()),
                    Fault::SecondOfFamily,
                )?;
                let mut others = self.interfaces.iter().take(n).flat_map(|other| &other.addresses);
                let clash = others.any(|other| {
                    !other.is_from_dhcp() && other.range().is_some_and(|r| r.intersect(&range).is_some())
                });
                require(!clash, Fault::SameNetwork)?;
            }
            Ok(())
        })
    }

    fn check_key(&self) -> Result<(), Refused> {
        let needs_none =
            |peer: &Peer| matches!(peer.authentication, Authentication::Shared(_) | Authentication::Null);
        let signs = !self.peers.iter().all(needs_none);
        match &self.key {
            PrivateKey::None => require(!signs, Fault::NoOwnKey),
            PrivateKey::Ed25519(octets) | PrivateKey::P256(octets) => {
                require(*octets != [0; 32], Fault::ZeroKey)
            }
            PrivateKey::P384(parts) => require(*parts != [[0; 24]; 2], Fault::ZeroKey),
            PrivateKey::Rsa(key) => require(key.key().is_some(), Fault::BadRsaKey),
        }
        .map_err(|fault| Refused { entry: Entry::Key, fault })
    }

    fn check_resolver(&self) -> Result<(), Refused> {
        let asks = |peer: &Peer| matches!(peer.authentication, Authentication::Dns(_));
        let Some(resolver) = &self.resolver else {
            return match self.peers.iter().zip(0..).find(|(peer, _)| asks(peer)) {
                Some((_, place)) => Err(Refused { entry: Entry::Peer(place), fault: Fault::NoResolver }),
                None => Ok(()),
            };
        };
        let server = |server: &SocketAddr| self.check_remote(server.ip());
        require(!resolver.servers.is_empty(), Fault::NoServer)
            .and_then(|()| resolver.servers.iter().try_for_each(server))
            .and_then(|()| {
                resolver.believed.iter().try_for_each(|server| self.check_believed(*server, resolver))
            })
            .and_then(|()| {
                require(resolver.anchors.iter().all(|anchor| Ds::read(anchor).is_ok()), Fault::BadAnchor)
            })
            .and_then(|()| resolver.capture.as_ref().map_or(Ok(()), |capture| self.check_capture(capture)))
            .map_err(|fault| Refused { entry: Entry::Resolver, fault })
    }

    fn check_capture(&self, capture: &Capture) -> Result<(), Fault> {
        require(self.role == Role::Gateway, Fault::CaptureOnHost)?;
        require(self.policies.iter().any(Policy::is_open), Fault::NothingToRaise)?;
        require(u128::from(capture.hold_ms) <= MAX_HOLD.as_millis(), Fault::LongHold)?;
        let patterns = capture.rules.iter().map(|rule| &rule.names).chain(&capture.private);
        for pattern in patterns.filter(|pattern| pattern.as_str() != ".") {
            require(is_host_name(pattern.strip_prefix('.').unwrap_or(pattern)), Fault::BadPattern)?;
        }
        Ok(())
    }

    fn check_publication(&self) -> Result<(), Fault> {
        let Some(publication) = &self.publication else { return Ok(()) };
        let authority = publication.authority().ok_or(Fault::BadPublication)?;
        require(authority.name.ends_with(&authority.zone), Fault::BadPublication)?;
        let is_short = match &self.key {
            PrivateKey::None => false,
            PrivateKey::Ed25519(_) | PrivateKey::P256(_) | PrivateKey::P384(_) => true,
            PrivateKey::Rsa(key) => key.key().is_some_and(|key| key.public_key().modulus().len() <= 256),
        };
        require(is_short, Fault::LongPublication)?;
        self.check_remote(publication.server.ip())
    }

    fn check_peer(&self, n: usize, peer: &Peer) -> Result<(), Fault> {
        require(!peer.name.is_empty(), Fault::NoName)?;
        let mut earlier = self.peers.iter().take(n);
        require(earlier.all(|other| other.name != peer.name), Fault::DuplicateName)?;
        let mut earlier = self.peers.iter().take(n);
        let may_precede = |other: &Peer| match other.authentication {
            Authentication::Btns | Authentication::FirstUse { .. } => {
                peer.authentication == Authentication::Null
            }
            Authentication::Null => false,
            _ => true,
        };
        require(earlier.all(may_precede), Fault::BehindWildcard)?;
        if let Some(address) = peer.address {
            self.check_remote(address)?;
        }
        require(peer.start != Start::AtOnce || peer.address.is_some() || peer.is_by_name(), Fault::NoWay)?;
        for range in &peer.ranges {
            network(*range)?;
        }
        credential(&peer.authentication)?;
        require(matches!(peer.port, IKE_PORT | NAT_PORT), Fault::IkePort)?;
        if let Some(ppk) = &peer.ppk {
            require(!ppk.id.is_empty(), Fault::NamelessPpk)?;
            require(ppk.secret.octets().len() >= MIN_PPK, Fault::ShortPpk)?;
        }
        match &peer.identity {
            None if peer.authentication.is_wildcard() => {
                let is_wide = peer.address.is_none() && peer.ranges.is_empty() && peer.ppk.is_none();
                require(is_wide, Fault::NarrowWildcard)
            }
            None => match &peer.authentication {
                Authentication::Dns(dns) => check_whose(&dns.whose, peer),
                _ => Err(Fault::NoIdentity),
            },
            Some(id) if matches!(&peer.authentication, Authentication::Dns(dns) if dns.whose != Whose::Name || !matches!(id, Identity::Fqdn(_))) => {
                Err(Fault::NotByName)
            }
            Some(_) if peer.authentication.is_wildcard() => Err(Fault::NarrowWildcard),
            Some(id) => {
                identity(id)?;
                require(*id != self.identity, Fault::OwnIdentity)?;
                let mut earlier = self.peers.iter().take(n);
                require(earlier.all(|other| other.identity != peer.identity), Fault::DuplicateIdentity)
            }
        }
    }

    /// An address that a packet can be sent to: unicast and not ours.
    pub(super) fn check_remote(&self, address: IpAddr) -> Result<(), Fault> {
        unicast(address)?;
        require(!self.is_own(address), Fault::Ourselves)
    }

    fn check_policy(&self, n: usize, policy: &Policy) -> Result<(), Fault> {
        require(!policy.name.is_empty(), Fault::NoName)?;
        network(policy.local)?;
        require(!self.has_dhcp() || self.may_be_local(policy.local), Fault::FixedLocal)?;
        if let Remote::Network(remote) = policy.remote {
            network(remote)?;
            same_family(policy.local.address, remote.address)?;
        }
        for ports in [policy.local_ports, policy.remote_ports] {
            ports.range().ok_or(Fault::PortOrder)?;
            require(ports == Ports::ANY || has_ports(policy.protocol), Fault::NoPorts)?;
        }
        let mut earlier = self.policies.iter().take(n);
        require(!earlier.any(|other| other.covers(policy)), Fault::Shadowed)?;
        match &policy.action {
            Action::Bypass | Action::Discard => require(policy.remote != Remote::Peer, Fault::RemoteOfNobody),
            Action::Protect { mode, minimum, peer, .. } => {
                self.check_mode(*mode, policy)?;
                match peer {
                    Some(name) => {
                        let peer = self.peers.iter().find(|p| p.name == *name).ok_or(Fault::UnknownPeer)?;
                        self.check_pairing(policy, *minimum, peer)
                    }
                    None if policy.remote == Remote::Peer => Err(Fault::RemoteOfNobody),
                    None => {
                        let strong = |p: &Peer| p.best_level() >= *minimum && p.may_claim(policy);
                        require(*minimum != Level::Clear, Fault::ClearMinimum)?;
                        require(self.peers.iter().any(strong), Fault::NoPeer)
                    }
                }
            }
        }
    }

    /// Whether packets may come from there, where the outer IPv4 address is not known.
    fn may_be_local(&self, local: Prefix) -> bool {
        let Some(range) = local.range() else { return true };
        let behind = self.inside().chain(self.routes.iter().map(|route| &route.to)).filter_map(Prefix::range);
        local.address.is_ipv6()
            || range.contains(Prefix::DHCP.address)
            || self.role == Role::Gateway
                && (!range.is_single() || behind.into_iter().any(|net| net.covers(&range)))
    }

    fn check_mode(&self, mode: Mode, policy: &Policy) -> Result<(), Fault> {
        match mode {
            Mode::Tunnel => require(self.role == Role::Gateway, Fault::HostTunnel),
            // A wider prefix would claim protection for addresses whose packets never come by here.
            Mode::Transport => {
                let own = self.addresses().any(|own| policy.local.contains(own.address));
                let only_own = self.role == Role::Host || policy.local.range().is_some_and(|r| r.is_single());
                require(own && only_own, Fault::ForeignTransport)
            }
        }
    }

    fn check_pairing(&self, policy: &Policy, minimum: Level, peer: &Peer) -> Result<(), Fault> {
        require(peer.best_level() >= minimum, Fault::MinimumTooHigh)?;
        let is_in_dns = matches!(peer.authentication, Authentication::Dns(_));
        let may_be_clear = is_in_dns && !peer.is_by_name();
        require(minimum != Level::Clear || may_be_clear, Fault::ClearMinimum)?;
        let named = !peer.authentication.is_wildcard() && minimum != Level::Clear;
        require(!named || minimum >= Level::Shared, Fault::MinimumTooLow)?;
        require(policy.remote != Remote::Peer || peer.is_by_name(), Fault::RemoteOfNobody)?;
        require(peer.may_claim(policy), Fault::OutsideRanges)
    }
}

impl Peer {
    /// The strongest level that this peer's authentication can reach.
    pub fn best_level(&self) -> Level {
        match self.authentication {
            Authentication::Pinned(_) | Authentication::Fingerprints(_) => Level::Pinned,
            Authentication::Shared(_) => Level::Shared,
            Authentication::Dns(_) => Level::Validated,
            Authentication::Btns => Level::Any,
            Authentication::FirstUse { .. } => Level::Known,
            Authentication::Null => Level::Null,
        }
    }

    /// Whether DNS says where it is.
    pub fn is_by_name(&self) -> bool {
        matches!(&self.authentication, Authentication::Dns(dns) if dns.whose == Whose::Name)
    }

    /// Whether the PAD would let this peer have an SA for some of the policy's far side
    /// (RFC 4301 §4.4.3.3). A peer whose address is not known yet may turn out to be anywhere.
    fn may_claim(&self, policy: &Policy) -> bool {
        let Remote::Network(remote) = policy.remote else { return true };
        let Some(remote) = remote.range() else { return false };
        if self.ranges.is_empty() {
            return self.address.is_none_or(|address| remote.contains(address));
        }
        self.ranges.iter().filter_map(Prefix::range).any(|range| range.intersect(&remote).is_some())
    }
}

impl Policy {
    fn covers(&self, other: &Self) -> bool {
        let covers =
            |a: Prefix, b: Prefix| matches!((a.range(), b.range()), (Some(a), Some(b)) if a.covers(&b));
        let ports = |a: Ports, b: Ports| a.first <= b.first && b.last <= a.last;
        (self.protocol == EVERY_PROTOCOL || self.protocol == other.protocol)
            && covers(self.local, other.local)
            && match (self.remote, other.remote) {
                (Remote::Network(a), Remote::Network(b)) => covers(a, b),
                // Where a peer is, is not known yet.
                (Remote::Network(_) | Remote::Peer, _) => false,
            }
            && ports(self.local_ports, other.local_ports)
            && ports(self.remote_ports, other.remote_ports)
    }
}

fn each<T>(
    entries: &[T],
    name: fn(u8) -> Entry,
    check: impl Fn(usize, &T) -> Result<(), Fault>,
) -> Result<(), Refused> {
    for ((n, entry), place) in entries.iter().enumerate().zip(0..) {
        check(n, entry).map_err(|fault| Refused { entry: name(place), fault })?;
    }
    Ok(())
}

pub(super) fn require(holds: bool, fault: Fault) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault) }
}

pub(super) fn unicast(address: IpAddr) -> Result<(), Fault> {
    let broadcast = matches!(address, IpAddr::V4(a) if a.is_broadcast());
    require(
        !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast),
        Fault::NotUnicast,
    )
}

fn network(prefix: Prefix) -> Result<(), Fault> {
    let range = prefix.range().ok_or(Fault::PrefixLength)?;
    require(range.first() == prefix.address, Fault::HostBits)
}

fn same_family(a: IpAddr, b: IpAddr) -> Result<(), Fault> {
    require(a.is_ipv4() == b.is_ipv4(), Fault::MixedFamilies)
}

fn identity(identity: &Identity) -> Result<(), Fault> {
    match identity {
        Identity::Fqdn(name) => require(is_host_name(name), Fault::BadName),
        Identity::Address(address) => unicast(*address),
        Identity::KeyId(octets) => require(!octets.is_empty(), Fault::EmptyIdentity),
    }
}

fn is_host_name(name: &str) -> bool {
    name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

fn credential(authentication: &Authentication) -> Result<(), Fault> {
    match authentication {
        Authentication::Pinned(keys) => {
            require(!keys.is_empty(), Fault::NoCredential)?;
            require(keys.iter().all(|key| spki::parse(key).is_ok()), Fault::UnknownKey)
        }
        Authentication::Fingerprints(sums) => require(!sums.is_empty(), Fault::NoCredential),
        Authentication::Shared(key) => require(key.octets().len() >= MIN_SHARED_KEY, Fault::ShortSharedKey),
        Authentication::Dns(_)
        | Authentication::Btns
        | Authentication::Null
        | Authentication::FirstUse { .. } => Ok(()),
    }
}

/// Peers that DNS tells apart, of whom the configuration names none.
fn check_whose(whose: &Whose, peer: &Peer) -> Result<(), Fault> {
    require(peer.address.is_none() && peer.ppk.is_none(), Fault::NotByName)?;
    match whose {
        Whose::Name => Err(Fault::NoIdentity),
        Whose::Suffix(suffix) => {
            let name = suffix.strip_prefix('.').ok_or(Fault::BadSuffix)?;
            require(is_host_name(name), Fault::BadSuffix)
        }
        Whose::Network { network: addresses, .. } => network(*addresses),
    }
}

const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

#[cfg(test)]
#[path = "check_tests.rs"]
pub(crate) mod tests;
