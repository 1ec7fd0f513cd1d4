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
pub mod pad;
pub mod policies;
pub mod publication;
pub mod stored;

pub use publication::Publication;

use core::net::{IpAddr, SocketAddr};

use esp_engine::crypto::Algorithm;
use esp_engine::sa::Mode;
use esp_engine::selector::{ANY_PROTOCOL, AddressRange, PortRange};
use esp_engine::spd::Level;
use heapless::{String, Vec};
use ike_core::crypto::{CrtNumbers, Group, MAX_MODULUS, Prf, RsaPrivateKey, RsaPublicKey};
use ike_core::discovery::dnssec::{Ds, ROOT};
use ike_core::discovery::resolver::Examples;
use ike_core::discovery::upstream::Server;
use ike_core::wire::spki;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

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

/// Our private key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[allow(
    clippy::large_enum_variant,
    reason = "how large an RSA key is, is a feature of ike-core; and there is no heap"
)]
pub enum PrivateKey {
    /// No key: every peer shares a secret with us.
    None,
    /// Ed25519 seed (RFC 8032 §5.1.5).
    Ed25519([u8; 32]),
    /// P-256 scalar, network order.
    P256([u8; 32]),
    /// RSA key.
    Rsa(RsaKey),
    /// P-384 scalar, network order, in two parts because serde's arrays end at 32.
    P384([[u8; 24]; 2]),
}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Ed25519(_) => "Ed25519(..)",
            Self::P256(_) => "P256(..)",
            Self::Rsa(_) => "Rsa(..)",
            Self::P384(_) => "P384(..)",
        })
    }
}

/// An RSA key in as little room as it needs: the exponent in four octets, the modulus, then the five
/// numbers of RFC 8017 §3.2, each half as long. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RsaKey(Vec<u8, { 4 + MAX_MODULUS / 2 * 7 }>);

impl RsaKey {
    /// From key management's form.
    pub fn new(key: &RsaPrivateKey) -> Self {
        let (public, crt) = (key.public_key(), key.crt());
        let primes = [crt.prime1, crt.prime2, crt.exponent1, crt.exponent2, crt.coefficient];
        let front = public.exponent().to_be_bytes().into_iter().chain(public.modulus().iter().copied());
        Self(front.chain(primes.into_iter().flatten().copied()).collect())
    }

    /// In key management's form; `None` when it is no key.
    pub fn key(&self) -> Option<RsaPrivateKey> {
        let (exponent, numbers) = self.0.split_first_chunk::<4>()?;
        let half = numbers.len() / 7;
        let (modulus, primes) = numbers.split_at_checked(2 * half)?;
        let zeros = exponent.iter().take_while(|octet| **octet == 0).count();
        let public = RsaPublicKey::new(modulus, exponent.get(zeros..)?)?;
        let mut primes = primes.chunks_exact(half.max(1));
        let mut next = || primes.next();
        RsaPrivateKey::new(
            public,
            CrtNumbers {
                prime1: next()?,
                prime2: next()?,
                exponent1: next()?,
                exponent2: next()?,
                coefficient: next()?,
            },
        )
    }
}

impl Zeroize for RsaKey {
    fn zeroize(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl Drop for RsaKey {
    fn drop(&mut self) {
        self.zeroize();
    }
}

/// A port. Its MAC address is the driver's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interface {
    /// Own addresses with the length of the attached network: at most one a family.
    pub addresses: Vec<Prefix, 2>,
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

/// Someone who may come by an SA.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// How the operator calls it.
    pub name: Name,
    /// Whom it has to claim to be; `None` only for the BTNS wildcard.
    pub identity: Option<Identity>,
    /// Where it is; `None` when it calls us.
    pub address: Option<IpAddr>,
    /// The port that IKE begins on: 500, or 4500 where 500 does not get through (RFC 7296 §2.23).
    pub port: u16,
    /// What it has to prove that with.
    pub authentication: Authentication,
    /// Whose traffic it may carry; empty: only its own address.
    pub ranges: Vec<Prefix, MAX_RANGES>,
    /// Who begins.
    pub start: Start,
    /// Whether the IKE SA is begun without a Child SA (RFC 6023), and stands without.
    pub childless: bool,
    /// A secret that guards against whoever may break the key exchange one day (RFC 8784).
    pub ppk: Option<Ppk>,
}

/// A post-quantum preshared key (RFC 8784).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ppk {
    /// How both ends call it.
    pub id: Vec<u8, MAX_IDENTITY>,
    /// The secret.
    pub secret: SharedKey,
    /// Whether there is no IKE SA without it.
    pub mandatory: bool,
}

/// When an IKE SA is begun.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Start {
    /// When a packet asks for it.
    OnTraffic,
    /// When the device starts, and again whenever it is lost.
    AtOnce,
    /// Never: the peer begins.
    Never,
}

/// How a peer is known, strongest first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "how large an RSA key is, is a feature of ike-core; and there is no heap"
)]
pub enum Authentication {
    /// By one of these keys, each a DER SubjectPublicKeyInfo (RFC 7670).
    Pinned(Vec<Vec<u8, MAX_PUBLIC_KEY>, MAX_KEYS>),
    /// By a key whose SubjectPublicKeyInfo has one of these SHA-256 sums.
    Fingerprints(Vec<[u8; 32], MAX_KEYS>),
    /// By a shared key.
    Shared(SharedKey),
    /// By a key that DNS has for it, signed (RFC 4025).
    Dns(Dns),
    /// Not at all: any key will do, and it is shown as that (RFC 5386).
    Btns,
    /// Not at all, not even by a key (RFC 7619): whoever only listens learns nothing, and that is all.
    Null,
    /// Not at all; but its key is remembered, and nobody takes its place with another (RFC 5386 §4.2).
    FirstUse {
        /// Hours that a stranger has to be dead, so that another key may come under its name; 0: for ever.
        replace_after_h: u16,
    },
}

impl core::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Pinned(keys) => f.debug_tuple("Pinned").field(&keys.len()).finish(),
            Self::Fingerprints(sums) => f.debug_tuple("Fingerprints").field(&sums.len()).finish(),
            Self::Shared(_) => f.write_str("Shared(..)"),
            Self::Dns(dns) => f.debug_tuple("Dns").field(dns).finish(),
            Self::Btns => f.write_str("Btns"),
            Self::Null => f.write_str("Null"),
            Self::FirstUse { replace_after_h } => f.debug_tuple("FirstUse").field(replace_after_h).finish(),
        }
    }
}

impl Authentication {
    /// Whether it is for anyone; such entries come last.
    pub const fn is_wildcard(&self) -> bool {
        matches!(self, Self::Btns | Self::Null | Self::FirstUse { .. })
    }
}

/// Whose keys DNS is asked for, and what is allowed beyond the strictest reading of its answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dns {
    /// Whose.
    pub whose: Whose,
    /// The peer may be at an address that its name does not have: it roams, or sits behind a NAT.
    pub from_anywhere: bool,
    /// A record that comes from a wildcard of the zone will do.
    pub wildcards: bool,
}

/// Whose keys DNS is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Whose {
    /// The peer's, whose identity is its name.
    Name,
    /// Those of any peer whose name ends in this, which begins with a dot.
    Suffix(String<MAX_IDENTITY>),
    /// Those of any peer at these addresses, in the reverse tree.
    Network {
        /// The addresses.
        network: Prefix,
        /// Who has no key there is a stranger, and the BTNS wildcard is for him.
        or_stranger: bool,
    },
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
    /// What is done about the names that clients behind a gateway ask for.
    pub capture: Option<capture::Capture>,
}

/// A secret of two; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedKey(Vec<u8, MAX_SHARED_KEY>);

impl SharedKey {
    /// `None` when it exceeds [`MAX_SHARED_KEY`] octets.
    pub fn new(octets: &[u8]) -> Option<Self> {
        Vec::from_slice(octets).ok().map(Self)
    }

    /// The secret.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

impl Drop for SharedKey {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
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

/// Algorithms that are offered and accepted together.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Suite {
    /// ChaCha20-Poly1305 and Curve25519: cheapest where no engine helps.
    FastSoftware,
    /// AES-GCM and P-256: for chips with engines, and for captures that tshark can decrypt.
    HardwareAes,
    /// As the first, and ML-KEM-768 beside Curve25519. Alone in the list it is demanded of every peer.
    PostQuantum,
    /// AES-CBC with HMAC-SHA2-256: what RFC 8247 and RFC 8221 demand of every peer.
    Compat,
    /// A choice of one's own.
    Custom {
        /// Protection of IKE messages.
        #[serde(with = "AlgorithmWords")]
        ike: Algorithm,
        /// What keys are derived with.
        #[serde(with = "PrfWords")]
        prf: Prf,
        /// Key exchange.
        #[serde(with = "GroupWords")]
        group: Group,
        /// Protection of packets; some only authenticate.
        #[serde(with = "AlgorithmWords")]
        esp: Algorithm,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Algorithm")]
enum AlgorithmWords {
    Aes128Gcm16,
    Aes256Gcm16,
    ChaCha20Poly1305,
    Aes128CbcHmacSha256,
    Aes256CbcHmacSha256,
    NullHmacSha256,
    Aes128Gmac,
    Aes256Gmac,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Prf")]
enum PrfWords {
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Group")]
enum GroupWords {
    Curve25519,
    P256,
    Modp2048,
    MlKem512,
    MlKem768,
    P384,
}

/// Durations, in milliseconds or seconds as named.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timing {
    /// The first retransmission of a request follows after this many ms; later ones back off.
    pub retransmit_ms: u32,
    /// Times that a request is sent in all before the peer counts as gone.
    pub tries: u8,
    /// How long packets to a peer go unanswered before it is asked whether it lives, s; 0: never.
    pub liveness_s: u32,
    /// Age at which a Child SA ends, s; 0: none.
    pub child_lifetime_s: u32,
    /// Age at which an IKE SA ends, s.
    pub ike_lifetime_s: u32,
    /// Age of an IKE SA at which both ends prove again who they are, s; 0: never.
    pub reauthentication_s: u32,
    /// Interval at which a NAT is reminded of us, s; 0: never.
    pub keepalive_s: u32,
    /// Longest break before a peer with [`Start::AtOnce`] is called again, s.
    pub retry_s: u32,
    /// Octets of the longest IP datagram that an IKE message leaves in unfragmented; 0: never fragment.
    pub datagram: u16,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retransmit_ms: 1_000,
            tries: 6,
            liveness_s: 5,
            child_lifetime_s: 3_600,
            ike_lifetime_s: 24 * 3_600,
            reauthentication_s: 0,
            keepalive_s: 20,
            retry_s: 60,
            datagram: 1_280,
        }
    }
}
