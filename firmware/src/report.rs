//! What happens on a device, as typed events to one [`Sink`] of the board. Nothing else logs.

use core::net::IpAddr;

use esp_engine::crypto::Algorithm;
use esp_engine::engine::InstallError;
use esp_engine::sa::{SaReport, Spi};
use esp_engine::selector::Selectors;
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use ike_core::discovery::sntp::Opinions;
use ike_core::discovery::upstream::ServerStatus;
use ike_core::discovery::{self, UnixTime};
use ike_core::error::{AcquireError, CloseReason, Discarded};
use ike_core::output::{ChildEstablished, Established, Failed, IkeSpis, Path};
use ike_core::pad::{Addresses, OwnedIdentity, PeerId, Presence, Security};
use ike_core::remembered::Remembered;

use crate::config::Site;
use crate::config::check::Fault;
use crate::network::Counters;
use crate::storage::StorageError;

/// Where events go: a board's console, a log, a test.
pub trait Sink {
    /// Something happened at `now`. Must not block.
    fn report(&mut self, now: Instant, event: &Event);
}

impl<F: FnMut(Instant, &Event)> Sink for F {
    fn report(&mut self, now: Instant, event: &Event) {
        self(now, event);
    }
}

/// Something happened. Which events there are depends on features.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "events are lent to the sink and never stored; which is the largest depends on features"
)]
pub enum Event {
    /// An IKE message left.
    Sent(Path, Message),
    /// An IKE message arrived and was taken.
    Received(Path, Message),
    /// A datagram arrived on an IKE port and changed nothing.
    Discarded(Path, Discarded),
    /// A packet needs an SA.
    Acquire {
        /// The policy that it met.
        policy: PolicyId,
        /// The packet.
        packet: Selectors,
    },
    /// No negotiation could begin.
    NotStarted {
        /// For this peer, if it is known which.
        peer: Option<PeerId>,
        /// Why.
        reason: AcquireError,
    },
    /// DNS is asked for this name, or for this address in the reverse tree.
    Asked(OwnedIdentity),
    /// What DNS says about a peer came.
    Answered {
        /// How far it is to be believed.
        security: Security,
        /// Whether there are keys.
        presence: Presence,
    },
    /// News of the time of day.
    Time(TimeNews),
    /// Time servers disagree, and whose word counts.
    TimeServersDisagree(Opinions),
    /// A server of DNS was tried out.
    Probed(ServerStatus),
    /// Something that was learnt could not be kept across a restart.
    NotStored(StorageError),
    /// News of our own name in DNS.
    Publication(discovery::update::Event),
    /// A peer that is known by name is at these addresses; policies follow it.
    Located {
        /// Its entry.
        peer: PeerId,
        /// Where it is.
        addresses: Addresses,
    },
    /// The device itself is elsewhere.
    Moved {
        /// The address that was there last.
        old: IpAddr,
        /// Where it is now.
        site: Site,
    },
    /// The lease of this address of the device is over: it has none for now.
    Lost(IpAddr),
    /// A DHCP server offered an address that the device cannot have.
    LeaseRefused {
        /// The address.
        address: IpAddr,
        /// Why.
        reason: Fault,
    },
    /// Whoever is at this address was shown to protect nothing: policies that would rather protect let packets pass.
    Open(IpAddr),
    /// DNS says nothing more about a peer whose SAs stand: its key is believed until then, or not any more.
    Unrenewed {
        /// Its entry.
        peer: PeerId,
        /// When the signatures end that prove it; `None` when they have.
        until: Option<Instant>,
    },
    /// A name that a client asked for led to an address.
    Capture(Capture),
    /// Both ends of an IKE SA are authenticated.
    Established(Established),
    /// This is remembered of a peer from now on.
    Remembered(Remembered),
    /// There is no place to remember how well this peer was authenticated.
    NoPlace(OwnedIdentity),
    /// What is to be remembered of this peer could not be stored; a stranger is given up for that.
    NotKept(OwnedIdentity, StorageError),
    /// What was remembered of somebody cannot be read: no strangers are taken but those that are known.
    NotRecalled(StorageError),
    /// An IKE SA took the place of another, with all its Child SAs.
    Rekeyed {
        /// The SPIs of the old one.
        old: IkeSpis,
        /// The one that is used from now on.
        new: Established,
    },
    /// A Child SA was agreed on.
    ChildEstablished(ChildEstablished),
    /// A negotiation failed.
    Failed(Failed),
    /// An IKE SA ended.
    Closed {
        /// Its SPIs.
        spis: IkeSpis,
        /// The peer's entry.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// A pair of SAs is no longer there.
    Removed(Spi),
    /// News of an SA from the data plane.
    Sa(SaReport),
    /// The cipher of a new SA does not exist here; the SA is given up.
    UnusableKey(Spi, Algorithm),
    /// A pair of SAs could not be installed; it is given up.
    NotInstalled(Spi, InstallError),
    /// The counters of Network, which were asked for.
    Counted(Counters),
    /// The keys of an IKE SA, for captures.
    #[cfg(feature = "keylog")]
    IkeKeys(ike_core::output::IkeKeys),
    /// The keys of a pair of SAs, for captures.
    #[cfg(feature = "keylog")]
    ChildKeys(esp_engine::sa::ChildSa),
}

/// What becomes of a time that somebody says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum TimeNews {
    /// The time of day is set.
    Set(UnixTime),
    /// A server says this, and it certainly is later, or nobody could be asked whether it is true.
    Refused(UnixTime),
    /// What a server said was not proven by the keys of DNS's root.
    NotProven(discovery::outcome::Security),
}

/// What becomes of the names that clients ask for.
#[derive(Clone, Debug)]
pub enum Capture {
    /// The name has a key, and its address is to be protected.
    Found(discovery::Name, IpAddr),
    /// Traffic with the address is protected from now on.
    Protected(Captured),
    /// Traffic with the address is not protected, or no longer: it goes in clear, unless protection is required.
    Unprotected(Captured),
}

/// A name that a client asked for, and where it led.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// The name.
    pub name: discovery::Name,
    /// Its address.
    pub address: IpAddr,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that was proven there; `None` while none was.
    pub key: Option<[u8; 32]>,
    /// Seconds for which what led there still holds.
    pub ttl_s: u32,
}

/// What the header of an IKE message says (RFC 7296 §3.1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Exchange type (RFC 7296 §3.1): 34 IKE_SA_INIT, 35 IKE_AUTH and so on.
    pub exchange: u8,
    /// Whether it is a response.
    pub response: bool,
    /// Message ID.
    pub id: u32,
    /// Octets of the message.
    pub octets: usize,
}

impl Message {
    /// Reads the header in front of a UDP payload to or from a port of `path`; `None` when it is no
    /// IKE message.
    pub fn of(path: Path, datagram: &[u8]) -> Option<Self> {
        const NON_ESP_MARKER: [u8; 4] = [0; 4];
        let message =
            if path.local.port() == 500 { datagram } else { datagram.strip_prefix(&NON_ESP_MARKER)? };
        let header = message.first_chunk::<28>()?;
        let [.., exchange, flags, a, b, c, d, _, _, _, _] = *header;
        let id = u32::from_be_bytes([a, b, c, d]);
        Some(Self { exchange, response: flags & 0x20 != 0, id, octets: message.len() })
    }

    /// The exchange's name, or `None` for a number without one here.
    pub const fn exchange_name(self) -> Option<&'static str> {
        Some(match self.exchange {
            34 => "IKE_SA_INIT",
            35 => "IKE_AUTH",
            36 => "CREATE_CHILD_SA",
            37 => "INFORMATIONAL",
            43 => "IKE_INTERMEDIATE",
            44 => "IKE_FOLLOWUP_KE",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        let end = |address: [u8; 4]| (address, port).into();
        Path { interface: 0, local: end([192, 0, 2, 1]), remote: end([192, 0, 2, 2]) }
    }

    /// RFC 7296 §3.1: exchange type at octet 18, flags at 19, Message ID at 20.
    #[test]
    fn a_message_is_known_by_its_header_on_either_port() {
        let mut header = [0u8; 28];
        header[18..24].copy_from_slice(&[35, 0x20, 0, 0, 0, 1]);
        let message = Message { exchange: 35, response: true, id: 1, octets: 28 };
        assert_eq!(Message::of(path(500), &header), Some(message));
        assert_eq!(message.exchange_name(), Some("IKE_AUTH"));
        let marked = [&[0; 4][..], &header].concat();
        assert_eq!(Message::of(path(4500), &marked), Some(message));
        assert_eq!(Message::of(path(500), &header[..27]), None);
        assert_eq!(Message::of(path(4500), &[1; 40]), None);
    }
}
