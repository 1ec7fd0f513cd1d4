//! One IKE SA (RFC 7296 §2). Its life, both roles:
//!
//! ```text
//! initiator:  Handshake(InitSent ─▶ [IntermediateSent ─▶] AuthSent) ─▶ Established ─▶ Closing
//! responder:  Handshake(InitAnswered)                               ─▶ Established ─▶ Concluded
//!                                                                   ─▶ Lingering
//! ```
//!
//! A successor (RFC 7296 §1.3.2) is Established from its beginning; where we ask for it, its slot is Reserved before.
//! Closing waits for the answer to our Delete. Lingering and Concluded only repeat their last answer. What a handshake
//! needs lies in a pool of its own, so that an IKE SA at rest is small.

use core::mem::size_of;
use core::net::IpAddr;

use esp_engine::crypto::RawKey;
use esp_engine::sa::{KeyPair, PeerKey};
use esp_engine::spd::Level;
use esp_engine::time::Instant;

use crate::config::Suite;
use crate::crypto::PrfOutput;
use crate::error::CloseReason;
use crate::exchange::mobike::Mobility;
use crate::ike_sa::fragmentation::Fragmentation;
use crate::ike_sa::keys::{IkeKeys, IkeSpis, Role};
use crate::ike_sa::nat::Nat;
use crate::ike_sa::timer::Timers;
use crate::ike_sa::window::Window;
use crate::output::{Method, Path};
use crate::pace::Pace;
use crate::pad::record::Way;
use crate::pad::{OwnedIdentity, PeerId};
use crate::wire::code_point::ExchangeType;
use crate::wire::header::{Flags, Header, IkeSpi};

pub(crate) mod fragmentation;
pub mod keys;
pub(crate) mod nat;
pub(crate) mod procedure;
pub(crate) mod table;
pub(crate) mod timer;
pub(crate) mod window;

const _: () = assert!(size_of::<IkeSa>() <= 1024);

/// Octets that one IKE SA at rest takes in the resources, indexes included, beside its last response in the pool.
pub const IKE_SA: usize = size_of::<table::Storage<2>>() - size_of::<table::Storage<1>>();

/// One IKE SA.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub struct IkeSa {
    pub(crate) spis: IkeSpis,
    pub(crate) role: Role,
    /// Where the peer is, and which address of ours it knows.
    pub(crate) path: Path,
    pub(crate) created: Instant,
    pub(crate) window: Window,
    pub(crate) timers: Timers,
    /// Messages sealed under our key: the counter that its IVs are made of (RFC 5282 §3.1).
    pub(crate) sealed: u64,
    pub(crate) fragmentation: Fragmentation,
    /// The peer's requests.
    pub(crate) pace: Pace,
    /// What the peer's CREATE_CHILD_SA began and IKE_FOLLOWUP_KE has to end: the slot in the pool of handshakes.
    pub(crate) followup: Option<u8>,
    pub(crate) state: State,
}

/// How far it has come.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) enum State {
    /// Only the SPI is taken: the exchanges that make a successor are under way.
    Reserved,
    /// The slot in the pool of handshakes.
    Handshake(u8),
    /// Both ends are authenticated.
    Established(Established),
    /// Our Delete waits for its answer, or for its turn.
    Closing(Established, CloseReason),
    /// Refused: only the last answer is repeated, and the place counts as half-open.
    Lingering,
    /// Ended by the peer and reported: only the last answer is repeated.
    Concluded,
    /// To be forgotten, and reported if anybody was told of it.
    Ended(Option<PeerId>, CloseReason),
    /// To be forgotten; what there was to say was said.
    Gone,
}

/// What stays of a handshake.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Established {
    /// Of the SK payload.
    pub(crate) keys: KeyPair<RawKey>,
    pub(crate) peer: PeerId,
    /// The address whose gateway the peer is (RFC 4025 §2.5); `None` where it speaks for itself.
    pub(crate) behind: Option<IpAddr>,
    pub(crate) identity: OwnedIdentity,
    pub(crate) key: PeerKey,
    pub(crate) level: Level,
    pub(crate) method: Method,
    pub(crate) nat: Nat,
    /// Both ends know MOBIKE.
    pub(crate) mobility: Option<Mobility>,
    pub(crate) since: Instant,
    /// When the peer was last heard.
    pub(crate) heard: Instant,
    pub(crate) standing: Standing,
    /// What was negotiated; a successor keeps it if it can.
    pub(crate) suite: Suite,
    /// Keys of later Child SAs and of a successor come from it (SK_d).
    pub(crate) sk_d: PrfOutput,
    /// A post-quantum preshared key went into it (RFC 8784).
    pub(crate) ppk: bool,
    /// A successor is to be asked for as soon as no other request waits for its answer.
    pub(crate) renewal_owed: bool,
    /// Since when the peer cannot do what it is asked for (TEMPORARY_FAILURE).
    pub(crate) refused_since: Option<Instant>,
    /// The peer was refused a successor of the IKE SA for the last request of ours.
    pub(crate) gives_way: bool,
    /// The peer makes no more Child SAs on this IKE SA (NO_ADDITIONAL_SAS).
    pub(crate) is_full: bool,
    /// Nothing proves the peer's key any more: it lives to its end and has no successor.
    pub(crate) is_ending: bool,
}

/// Where an IKE SA stands in the line of those that succeed each other (RFC 7296 §2.8.2).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Standing {
    /// It is the one that is used.
    Current,
    /// The peer made it in place of the IKE SA in this slot, while we ask for a successor too: the nonces
    /// will tell which one stays.
    Rival { of: u16 },
    /// The nonces told: it goes again, and nobody was told of it.
    Redundant,
    /// A successor took over.
    Replaced,
    /// Another IKE SA with the same peer stands, and this one goes when all that it carries has its like there.
    Yielding,
}

impl IkeSa {
    #[inline(never)]
    pub(crate) fn new(role: Role, spis: IkeSpis, path: Path, now: Instant) -> Self {
        Self {
            spis,
            role,
            path,
            created: now,
            window: Window::default(),
            timers: Timers::default(),
            sealed: 0,
            fragmentation: Fragmentation::Off,
            pace: Pace::new(),
            followup: None,
            state: State::Gone,
        }
    }

    /// The SPI that we chose.
    pub(crate) const fn own_spi(&self) -> u64 {
        match self.role {
            Role::Initiator => self.spis.initiator,
            Role::Responder => self.spis.responder,
        }
    }

    /// A header for a message of ours.
    #[inline(never)]
    pub(crate) fn header(&self, exchange: ExchangeType, response: bool, message_id: u32) -> Header {
        Header {
            initiator_spi: IkeSpi(self.spis.initiator),
            responder_spi: IkeSpi(self.spis.responder),
            next_payload: crate::wire::code_point::PayloadType::NONE,
            exchange,
            flags: Flags { initiator: self.role == Role::Initiator, response },
            message_id,
        }
    }

    /// What both ends proved, once they did.
    pub(crate) const fn established(&self) -> Option<&Established> {
        match &self.state {
            State::Established(established) | State::Closing(established, _) => Some(established),
            _ => None,
        }
    }

    /// What both ends proved, if requests of ours go out on it.
    pub(crate) const fn current(&self) -> Option<&Established> {
        match &self.state {
            State::Established(established) if matches!(established.standing, Standing::Current) => {
                Some(established)
            }
            _ => None,
        }
    }

    /// Whether nothing proves the peer's key any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.established().is_some_and(|established| established.is_ending)
    }

    /// How the peer is reached.
    pub(crate) fn way(&self) -> Way {
        Way { at: self.path.peer(), behind: self.established().and_then(|established| established.behind) }
    }

    /// Whether it only repeats its last answer, and gives way to whoever needs the place.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::Lingering | State::Concluded)
    }

    /// Whether the peer has not shown yet that it is worth its place.
    pub(crate) const fn is_half_open(&self) -> bool {
        matches!((&self.state, self.role), (State::Handshake(_), Role::Responder) | (State::Lingering, _))
    }
}

/// The keys of the SK payload from our side.
#[inline(never)]
pub(crate) fn cipher_keys(keys: &IkeKeys, role: Role) -> KeyPair<RawKey> {
    let pair = keys.cipher_keys(role);
    KeyPair { inbound: pair.inbound.clone(), outbound: pair.outbound.clone() }
}
