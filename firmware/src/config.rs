//! What an operator decides about a device: role, addresses, own key, peers, policies.
//!
//! A board reads a [`Config`] from wherever it keeps one ([`stored`] wraps it for flash), has it
//! checked ([`Config::check`]) and hands it to a role. [`policies`] and [`pad`] make of it what the
//! two cores take: the SPD (RFC 4301 §4.4.1) and the PAD (RFC 4301 §4.4.3).

mod belief;
pub mod capture;
pub mod check;
pub mod clock;
mod fault;
mod key;
pub mod outside;
pub mod pad;
mod peer;
pub mod policies;
pub mod publication;
pub mod stored;
mod suite;
mod timing;

pub use key::{PrivateKey, RsaKey, SharedKey};
pub use outside::{Outside, Site};
pub use peer::{Authentication, Dns, Peer, Ppk, Start, Whose};
pub use publication::Publication;
pub use suite::Suite;
pub use timing::Timing;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use esp_engine::sa::Mode;
use esp_engine::selector::{ANY_PROTOCOL, AddressRange, PortRange};
use esp_engine::spd::Level;
use heapless::{String, Vec};
use ike_core::discovery::dnssec::{Ds, ROOT};
use ike_core::discovery::resolver::Examples;
use ike_core::discovery::upstream::Server;
use ike_core::wire::spki;
use serde::{Deserialize, Serialize};

/// Ports of a device: one for a host, two for a gateway.
pub const MAX_INTERFACES: usize = 2;
/// Static routes.
pub const MAX_ROUTES: usize = 8;
/// Peers in the PAD, the BTNS wildcard included.
pub const MAX_PEERS: usize = 8;
/// Policies of the operator; the fixed ones come on top.
pub const MAX_POLICIES: usize = 16;
/// Keys or fingerprints of one peer: two at once let a peer change its key without a gap.
pub const MAX_KEYS: usize = 2;
/// Address ranges that one peer may speak for.
pub const MAX_RANGES: usize = 4;
/// Suites that are offered.
pub const MAX_SUITES: usize = 4;
/// Octets of a peer's or policy's name.
pub const MAX_NAME: usize = 32;
/// Octets of an identity.
pub const MAX_IDENTITY: usize = 64;
/// Octets of a SubjectPublicKeyInfo; RSA's depend on the features of `ike-core`.
pub const MAX_PUBLIC_KEY: usize = spki::MAX_LENGTH;
/// Octets of a shared key.
pub const MAX_SHARED_KEY: usize = 64;

/// Servers that names are asked of.
pub const MAX_SERVERS: usize = 2;
/// Keys of the root that are known: the present one and its successor.
pub const MAX_ANCHORS: usize = 2;
/// Octets of a DS record.
pub const MAX_DS: usize = 52;

/// How operators call a peer or a policy.
pub type Name = String<MAX_NAME>;

/// Everything an operator decides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Config {
    /// What the device is to its network.
    pub role: Role,
    /// Whom it claims to be.
    pub identity: Identity,
    /// What it proves that with.
    pub key: PrivateKey,
    /// Its ports, in the board's order; the first one faces the peers.
    pub interfaces: Vec<Interface, MAX_INTERFACES>,
    /// Networks that are not attached.
    pub routes: Vec<Route, MAX_ROUTES>,
    /// Whom it talks to, first match decides; the BTNS wildcard comes last (RFC 5386 §2).
    pub peers: Vec<Peer, MAX_PEERS>,
    /// What happens to which traffic, first match decides; what matches nothing is discarded.
    pub policies: Vec<Policy, MAX_POLICIES>,
    /// Algorithms, preferred first.
    pub suites: Vec<Suite, MAX_SUITES>,
    /// Whether ESP travels in UDP although no NAT lies between (RFC 7296 §2.23).
    pub force_encapsulation: bool,
    /// Whether peers in tunnel mode may get other addresses and say so (MOBIKE, RFC 4555).
    pub mobike: bool,
    /// Durations.
    pub timing: Timing,
    /// Whence it has the time of day.
    pub clock: clock::Clock,
    /// How names are looked up; needed where keys are in DNS.
    pub resolver: Option<Resolver>,
    /// Our own name in DNS, where the device keeps it up to date.
    pub publication: Option<Publication>,
}

impl Config {
    /// Whom DNS is asked of.
    pub fn dns_servers(&self) -> Vec<Server, MAX_SERVERS> {
        let resolver = self.resolver.iter();
        let servers =
            resolver.flat_map(|resolver| resolver.servers.iter().map(move |address| (resolver, address)));
        servers
            .map(|(resolver, address)| Server {
                address: *address,
                is_believed: resolver.believed.contains(address),
            })
            .collect()
    }

    /// Zones whose answers show what a server is good for: known of the Internet only.
    pub fn probe_examples(&self) -> Option<Examples> {
        let is_internet = self.resolver.as_ref().is_some_and(|resolver| resolver.anchors.is_empty());
        is_internet.then(Examples::internet).flatten()
    }

    /// What is believed about the root of DNS without proof.
    pub fn anchors(&self) -> Vec<Ds, MAX_ANCHORS> {
        match &self.resolver {
            Some(resolver) if !resolver.anchors.is_empty() => {
                resolver.anchors.iter().filter_map(|anchor| Ds::read(anchor).ok()).collect()
            }
            _ => ROOT.into_iter().collect(),
        }
    }
}

/// What the device is to its network.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Role {
    /// An end of its own traffic: one port, transport mode.
    Host,
    /// A router with two ports that protects other machines' traffic: tunnel mode.
    Gateway,
}

/// An identity as IKE shows it (RFC 7296 §3.5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Identity {
    /// ID_FQDN.
    Fqdn(String<MAX_IDENTITY>),
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_KEY_ID: octets that mean something to both ends only.
    KeyId(Vec<u8, MAX_IDENTITY>),
}

/// A port. Its MAC address is the driver's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interface {
    /// Own addresses with the length of the attached network: at most one a family. On the outer port the IPv4 address
    /// may be [`Prefix::DHCP`]; policies for it then name the unspecified address.
    pub addresses: Vec<Prefix, 2>,
}

impl Interface {
    /// The addresses that are known from the beginning.
    pub fn known(&self) -> Vec<Prefix, 2> {
        self.addresses.iter().filter(|own| !own.is_from_dhcp()).copied().collect()
    }
}

/// An address with a prefix length.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Prefix {
    /// An address; that of the network where a network is meant.
    pub address: IpAddr,
    /// Leading bits that are the network's.
    pub length: u8,
}

impl Prefix {
    /// In place of an address: a DHCP server gives one (RFC 2131).
    pub const DHCP: Self = Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 };

    /// Whether a DHCP server gives the address.
    pub fn is_from_dhcp(&self) -> bool {
        *self == Self::DHCP
    }

    /// All its addresses; `None` when the length exceeds the family's.
    pub fn range(&self) -> Option<AddressRange> {
        AddressRange::prefix(self.address, self.length)
    }

    /// Whether `address` belongs to this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.range().is_some_and(|range| range.contains(address))
    }
}

/// A network behind a neighbour.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// The network; length 0 is the default route.
    pub to: Prefix,
    /// The neighbour.
    pub via: IpAddr,
}

/// How names are looked up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resolver {
    /// Recursive servers, the preferred one first.
    pub servers: Vec<SocketAddr, MAX_SERVERS>,
    /// DS records of the root's keys as they are in DNS; none: those of the Internet.
    pub anchors: Vec<Vec<u8, MAX_DS>, MAX_ANCHORS>,
    /// Those of them whose word is enough, because a policy protects the way to them (RFC 4035 §4.9.3).
    pub believed: Vec<SocketAddr, MAX_SERVERS>,
    /// Whether fingerprints of keys count for names that are proven to have no key
    /// ([`ike_core::discovery::tlsa`], a convention of ours).
    pub fingerprints: bool,
    /// What is done about the names that clients behind a gateway ask for.
    pub capture: Option<capture::Capture>,
}

/// What happens to some traffic. Its selectors are named from our side and hold in both directions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// How the operator calls it.
    pub name: Name,
    /// Our side's addresses.
    pub local: Prefix,
    /// The far side's addresses.
    pub remote: Remote,
    /// IP protocol number, or 0 for every one.
    pub protocol: u8,
    /// Our side's ports.
    pub local_ports: Ports,
    /// The far side's ports.
    pub remote_ports: Ports,
    /// What happens.
    pub action: Action,
}

/// The far side of a policy.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Remote {
    /// A network.
    Network(Prefix),
    /// Wherever DNS says that the policy's peer is. As long as nobody knows that, it may be anywhere: nothing
    /// that a policy behind this one would let pass leaves before.
    Peer,
}

impl From<Prefix> for Remote {
    fn from(network: Prefix) -> Self {
        Self::Network(network)
    }
}

/// A range of ports.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ports {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl Ports {
    /// Every port.
    pub const ANY: Self = Self { first: 0, last: u16::MAX };

    /// One port.
    pub const fn single(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// The data plane's word for it; `None` when `first` lies behind `last`.
    pub fn range(self) -> Option<PortRange> {
        if self.first <= self.last { PortRange::new(self.first, self.last) } else { None }
    }
}

/// Every protocol.
pub const EVERY_PROTOCOL: u8 = ANY_PROTOCOL;

/// What a policy does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// Only inside ESP.
    Protect {
        /// Transport or tunnel.
        #[serde(with = "ModeWords")]
        mode: Mode,
        /// The weakest authentication that will do.
        #[serde(with = "LevelWords")]
        minimum: Level,
        /// The name of the peer that has to do it; `None`: whoever the PAD lets speak for the far side.
        peer: Option<Name>,
        /// Successors of its SAs get a key exchange of their own.
        pfs: bool,
    },
    /// In clear.
    Bypass,
    /// Not at all.
    Discard,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Mode")]
enum ModeWords {
    Transport,
    Tunnel,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Level")]
pub(crate) enum LevelWords {
    Clear,
    Null,
    Any,
    First,
    Known,
    Shared,
    Validated,
    Pinned,
}
