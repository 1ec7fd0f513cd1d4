//! What an endpoint says: datagrams, events, and when it wants to be called again.

use core::net::{IpAddr, SocketAddr};

use esp_engine::crypto::Algorithm;
use esp_engine::sa::{ChildSa, Mode, PeerKey, SaUpdate, Spi};
use esp_engine::selector::TrafficSelectors;
use esp_engine::spd::{Level, PolicyId};
use esp_engine::time::Instant;

use crate::config::Suite;
use crate::error::{AcquireError, CloseReason, FailReason};
use crate::ike_sa::{self, IkeSa};
use crate::pad::{Addresses, OwnedIdentity, PeerId};

pub use crate::ike_sa::keys::{IkeSpis, Role};
pub use crate::names::Ticket;

/// Where a datagram came from or goes to: an answer leaves by the path its question came.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The interface, by the caller's numbering.
    pub interface: u8,
    /// Our address and port (500 or 4500).
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
}

impl Path {
    /// The peer's address, whatever its port.
    #[inline(never)]
    pub(crate) const fn peer(&self) -> IpAddr {
        self.remote.ip()
    }
}

/// The next thing that an endpoint wants done. Drain until [`Output::Timeout`] after every input.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "outputs are moved once, straight out of the endpoint")]
pub enum Output<'a> {
    /// Something happened that the caller acts on or reports.
    Event(Event),
    /// Send this datagram. On port 4500 it already begins with the non-ESP marker (RFC 7296 §3.1).
    Transmit {
        /// The way it takes.
        path: Path,
        /// UDP payload.
        datagram: &'a [u8],
    },
    /// Nothing more; call `handle_timeout` at this moment, or never if `None`.
    Timeout(Option<Instant>),
}

/// What key management asks of the data plane, and what it reports. Which there are depends on features.
#[derive(Clone, Hash, Debug)]
#[non_exhaustive]
pub enum Event {
    /// What is in this place of [`Endpoint::remembered`](crate::endpoint::Endpoint::remembered) is new, and has to be
    /// kept before anything else is done: an `Install` that comes next is of no use without it.
    Remember(u8),
    /// This peer is authenticated, and there is no place to remember that: whoever comes under its name later may
    /// get by with less.
    NoPlace(OwnedIdentity),
    /// Install this pair of SAs, both or neither.
    Install(ChildSa),
    /// Send nothing more on this pair of SAs, named by the SPI that we chose: it has a successor, and is removed
    /// when the peer sends on that too (RFC 7296 §2.8).
    Retire(Spi),
    /// Remove this pair of SAs, named by the SPI that we chose.
    Remove(Spi),
    /// Move this pair of SAs to other addresses.
    Update(SaUpdate),
    /// Both ends of an IKE SA are authenticated.
    Established(Established),
    /// An IKE SA took the place of another, with all its Child SAs; the old one is reported as closed later.
    Rekeyed {
        /// The SPIs of the old one.
        old: IkeSpis,
        /// The one that is used from now on.
        new: Established,
    },
    /// A Child SA was agreed on; its `Install` came before.
    ChildEstablished(ChildEstablished),
    /// A negotiation failed, or left its IKE SA without the Child SA that was asked for.
    Failed(Failed),
    /// An established IKE SA ended. Its `Remove`s come before.
    Closed {
        /// Its SPIs.
        spis: IkeSpis,
        /// The peer's entry.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// Ask DNS for this peer: for a name its A, AAAA and IPSECKEY records, for an address the IPSECKEY records
    /// of its name in the reverse tree. The answer goes to
    /// [`Endpoint::handle_peer_record`](crate::endpoint::Endpoint::handle_peer_record).
    Lookup {
        /// Names the question.
        ticket: Ticket,
        /// A name (ID_FQDN) or an address.
        of: OwnedIdentity,
    },
    /// The peer of this entry, which is known by name, is at these addresses, and those that its SAs still run to
    /// are among them. Policies for all traffic with it have to cover them from now on.
    Addresses {
        /// Its entry.
        peer: PeerId,
        /// Where it is.
        addresses: Addresses,
    },
    /// Nobody says more about a peer by name whose SAs stand, and the time of its record is over.
    Unrenewed {
        /// Its entry.
        peer: PeerId,
        /// Its key is believed until the first of the signatures ends that prove it. `None` when that was now: what
        /// stands lives to its end and has no successor.
        until: Option<Instant>,
    },
    /// A negotiation that waited for DNS did not begin.
    NotBegun {
        /// The peer's entry, if the policy names one.
        peer: Option<PeerId>,
        /// The policy.
        policy: PolicyId,
        /// Where the packet goes that asked for it, if one did.
        to: Option<IpAddr>,
        /// Why.
        reason: AcquireError,
    },
    /// Whoever is at this address was shown to protect nothing, by DNSSEC or by his own authenticated word: until then
    /// policies with [`Level::Clear`] for their minimum let packets pass in clear there.
    Open {
        /// Where.
        remote: IpAddr,
        /// How long.
        until: Instant,
    },
    /// The keys of an IKE SA, for Wireshark's `ikev2_decryption_table`.
    #[cfg(feature = "keylog")]
    Keys(IkeKeys),
}

/// How a peer proved who it is (RFC 7296 §2.15, RFC 7427).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// Ed25519 signature.
    Ed25519,
    /// ECDSA signature on P-256.
    EcdsaP256,
    /// ECDSA signature on P-384.
    EcdsaP384,
    /// RSA signature.
    Rsa,
    /// Shared key message integrity code.
    SharedKey,
    /// NULL authentication (RFC 7619).
    Null,
}

/// An IKE SA that stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Established {
    /// Its SPIs.
    pub spis: IkeSpis,
    /// Who began.
    pub role: Role,
    /// The peer's entry.
    pub peer: PeerId,
    /// The address whose gateway the peer is, and that it speaks for (RFC 4025 §2.5); `None` where it is nobody's.
    pub behind: Option<IpAddr>,
    /// What the peer called itself. Nobody vouches for what a BTNS peer or a gateway calls itself.
    pub identity: OwnedIdentity,
    /// What it is bound to.
    pub key: PeerKey,
    /// How well it is authenticated.
    pub level: Level,
    /// How it proved itself.
    pub method: Method,
    /// Whether a post-quantum preshared key is in its keys (RFC 8784).
    pub ppk: bool,
    /// What was negotiated; `suite.esp` is of the first Child SA asked for.
    pub suite: Suite,
    /// Where the peer is.
    pub path: Path,
}

impl Established {
    pub(crate) fn of(sa: &IkeSa, state: &ike_sa::Established) -> Self {
        Self {
            spis: sa.spis,
            role: sa.role,
            peer: state.peer,
            behind: state.behind,
            identity: state.identity.clone(),
            key: state.key,
            level: state.level,
            method: state.method,
            ppk: state.ppk,
            suite: state.suite,
            path: sa.path,
        }
    }
}

/// A Child SA that stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ChildEstablished {
    /// The IKE SA it belongs to.
    pub ike: IkeSpis,
    /// The peer's entry.
    pub peer: PeerId,
    /// The policy it serves.
    pub policy: PolicyId,
    /// The SPI that we chose.
    pub inbound: Spi,
    /// The SPI that the peer chose.
    pub outbound: Spi,
    /// Transport or tunnel.
    pub mode: Mode,
    /// How packets are protected.
    pub algorithm: Algorithm,
    /// 64-bit sequence numbers.
    pub extended_sequence: bool,
    /// UDP around ESP.
    pub encapsulated: bool,
    /// How well the peer is authenticated.
    pub level: Level,
    /// Traffic on our side.
    pub local_ts: TrafficSelectors,
    /// Traffic on the peer's side.
    pub remote_ts: TrafficSelectors,
}

/// A negotiation that came to nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Failed {
    /// The entry of the peer that was meant or that it claimed to be.
    pub peer: Option<PeerId>,
    /// What it called itself, if it came to that; unproven.
    pub identity: Option<OwnedIdentity>,
    /// Where it is.
    pub path: Path,
    /// Who began.
    pub role: Role,
    /// Whether the IKE SA stands although its Child SA failed.
    pub established: bool,
    /// Why.
    pub reason: FailReason,
}

/// What `status` says about one IKE SA.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SaStatus {
    /// Its SPIs; the responder's is zero until it is known.
    pub spis: IkeSpis,
    /// Who began.
    pub role: Role,
    /// Where it stands.
    pub phase: Phase,
    /// Where the peer is.
    pub path: Path,
    /// The peer's entry, once it is known.
    pub peer: Option<PeerId>,
    /// The address whose gateway the peer is (RFC 4025 §2.5); `None` where it is nobody's, or not known yet.
    pub behind: Option<IpAddr>,
    /// How well the peer is authenticated, once it is.
    pub level: Option<Level>,
    /// How the peer proved itself.
    pub method: Option<Method>,
    /// What the peer called itself.
    pub identity: Option<OwnedIdentity>,
    /// Child SAs under it.
    pub children: u16,
}

/// What there is to say about one pair of Child SAs that carries packets.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct ChildStatus {
    /// The peer's entry.
    pub peer: PeerId,
    /// The SPI that we chose.
    pub inbound: Spi,
    /// The SPI that the peer chose.
    pub outbound: Spi,
    /// How packets are protected.
    pub algorithm: Algorithm,
    /// How well the peer is authenticated.
    pub level: Level,
}

/// How far an IKE SA has come.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// IKE_SA_INIT was sent.
    Init,
    /// IKE_AUTH is under way.
    Authenticating,
    /// Both ends are authenticated.
    Established,
    /// It has a successor, or our Delete waits for its answer.
    Closing,
}

/// The keys of an IKE SA.
#[cfg(feature = "keylog")]
#[derive(Clone, Hash, Debug)]
pub struct IkeKeys {
    /// Its SPIs.
    pub spis: IkeSpis,
    /// The cipher of the SK payload.
    pub algorithm: Algorithm,
    /// SK_ei: key, then salt.
    pub initiator: esp_engine::crypto::RawKey,
    /// SK_er: key, then salt.
    pub responder: esp_engine::crypto::RawKey,
}
