//! What key management hands to the data plane: a [`ChildSa`], and the words it is made of.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;

use crate::crypto::{Cipher, RawKey, UnusableKey};
use crate::selector::TrafficSelectors;
use crate::spd::{Level, PolicyId};

/// A security parameters index outside the reserved range 0…255 (RFC 4303 §2.1).
///
/// The receiver of an SA chooses its SPI, so Buttons hides the SA's slot in the low bits: an
/// inbound look-up is one array access.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Spi(NonZeroU32);

impl Spi {
    /// The highest value that RFC 4303 reserves.
    pub const RESERVED: u32 = 255;

    /// `None` for a reserved value.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(v) if value > Self::RESERVED => Some(Self(v)),
            _ => None,
        }
    }

    /// An SPI for `slot` of a table with `slots` places, its high bits taken from `random`.
    pub const fn for_slot(slot: u16, slots: u16, random: u32) -> Self {
        let mask = slot_mask(slots);
        // The top bit keeps the value out of the reserved range whatever the rest is.
        let value = (random & !mask) | (slot as u32 & mask) | 0x8000_0000;
        match NonZeroU32::new(value) {
            Some(v) => Self(v),
            None => Self(NonZeroU32::MAX),
        }
    }

    /// The slot hidden in this SPI for a table with `slots` places.
    pub const fn slot(self, slots: u16) -> u16 {
        (self.0.get() & slot_mask(slots)) as u16
    }

    /// The value on the wire.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

const fn slot_mask(slots: u16) -> u32 {
    (slots as u32).next_power_of_two() - 1
}

/// How packets are wrapped (RFC 4301 §3.2).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// ESP lies between the packet's own IP header and its payload.
    Transport,
    /// The whole packet lies inside another.
    Tunnel,
}

/// UDP ports around ESP (RFC 3948).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Encapsulation {
    /// Our port, usually 4500.
    pub local_port: u16,
    /// The peer's port as we see it.
    pub remote_port: u16,
}

/// Who an SA is bound to, for latching: SHA-256 of the peer's SubjectPublicKeyInfo, or of its
/// identity where the method of authentication shows no key.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct PeerKey(pub [u8; 32]);

/// When an SA must be replaced (soft) and when it stops (hard). Zero means unlimited.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Lifetime {
    /// Asks for a successor.
    pub soft: Limits,
    /// Ends the SA.
    pub hard: Limits,
}

/// One set of limits; a zero field does not limit.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Limits {
    /// Age.
    pub time: Duration,
    /// Octets protected in one direction.
    pub octets: u64,
    /// Packets protected in one direction.
    pub packets: u64,
}

/// Keys of one pair of SAs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KeyPair<K> {
    /// For packets that we receive.
    pub inbound: K,
    /// For packets that we send.
    pub outbound: K,
}

/// A pair of SAs as IKE negotiated it (RFC 7296 §2.9, §2.17). `K` is [`RawKey`] when it leaves
/// key management and a [`Cipher`] with its key schedule when it enters the engine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ChildSa<K = RawKey> {
    /// The policy it serves.
    pub policy: PolicyId,
    /// The SPI that we chose; it names the pair towards key management.
    pub inbound: Spi,
    /// The SPI that the peer chose.
    pub outbound: Spi,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's outer address.
    pub remote: IpAddr,
    /// UDP around ESP, where a NAT lies between.
    pub encapsulation: Option<Encapsulation>,
    /// 64-bit sequence numbers (RFC 4303 §2.2.1).
    pub extended_sequence: bool,
    /// Traffic on our side.
    pub local_ts: TrafficSelectors,
    /// Traffic on the peer's side.
    pub remote_ts: TrafficSelectors,
    /// Limits.
    pub lifetime: Lifetime,
    /// How well the peer was authenticated.
    pub level: Level,
    /// Who the peer is.
    pub peer: PeerKey,
    /// Whether the peer is known to have the SA, so that we may send on it at once
    /// (RFC 7296 §2.8); otherwise the first packet that arrives on it says so.
    pub may_send: bool,
    /// Keys.
    pub keys: KeyPair<K>,
}

impl ChildSa<RawKey> {
    /// Builds the key schedules, which may take longer than a packet may wait.
    ///
    /// # Errors
    /// [`UnusableKey`] when `C` does not know the algorithm.
    pub fn build<C: Cipher>(self) -> Result<ChildSa<C>, UnusableKey> {
        let keys = KeyPair { inbound: C::new(&self.keys.inbound)?, outbound: C::new(&self.keys.outbound)? };
        Ok(self.with_keys(keys))
    }
}

impl<K> ChildSa<K> {
    fn with_keys<T>(self, keys: KeyPair<T>) -> ChildSa<T> {
        ChildSa {
            keys,
            policy: self.policy,
            inbound: self.inbound,
            outbound: self.outbound,
            mode: self.mode,
            local: self.local,
            remote: self.remote,
            encapsulation: self.encapsulation,
            extended_sequence: self.extended_sequence,
            local_ts: self.local_ts,
            remote_ts: self.remote_ts,
            lifetime: self.lifetime,
            level: self.level,
            peer: self.peer,
            may_send: self.may_send,
        }
    }
}

/// New outer addresses of a pair of SAs.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct SaUpdate {
    /// The pair, by the SPI that we chose.
    pub inbound: Spi,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's outer address.
    pub remote: IpAddr,
    /// UDP around ESP.
    pub encapsulation: Option<Encapsulation>,
}

/// What the data plane tells key management about an SA, named by the SPI that we chose.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum SaReport {
    /// A soft limit was reached: a successor is wanted.
    SoftExpired(Spi),
    /// A hard limit was reached: the SA carries nothing any more.
    HardExpired(Spi),
    /// The first packet arrived: the peer uses the SA.
    FirstInbound(Spi),
    /// Packets were sent, and none has arrived since the first of them for as long as the data plane was
    /// told to wait (RFC 7296 §2.4). Said again when more are sent into the silence.
    Unanswered(Spi),
    /// A new authenticated packet came from another address (RFC 7296 §2.23).
    PeerMoved {
        /// The SA it came on.
        spi: Spi,
        /// Where it came from.
        remote: SocketAddr,
    },
    /// A packet for an SPI that nobody has here.
    UnknownSpi {
        /// The value on the wire.
        spi: u32,
        /// Where it claims to come from.
        remote: IpAddr,
        /// The UDP port that it came from, where UDP lay around it (RFC 3948).
        port: Option<u16>,
    },
}
