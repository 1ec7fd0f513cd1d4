//! One pair of Child SAs, as key management keeps it: whose it is, which flows live in it, and how far it has
//! come. All of an endpoint lie in a table.

use core::mem::size_of;
use core::time::Duration;

use esp_engine::crypto::Algorithm;
use esp_engine::sa::{PeerKey, Spi};
use esp_engine::selector::TrafficSelectors;
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;

pub(crate) use table::Children;

pub(crate) mod table;

/// Octets that one pair of Child SAs takes in the resources, indexes included.
pub const CHILD_SA: usize = size_of::<table::Storage<2>>() - size_of::<table::Storage<1>>();

/// How long a pair that we made as responder waits for a sign that the peer has it: longer than the peer tries to
/// get our answer.
pub(crate) const UNSURE: Duration = Duration::from_secs(120);

/// How long what was on its way to a pair that was replaced may still arrive.
pub(crate) const DRAIN: Duration = Duration::from_secs(2);

/// A pair of Child SAs.
#[derive(Clone, Hash, Debug)]
pub struct Child {
    /// The slot of its IKE SA.
    pub(crate) owner: u16,
    /// The SPI that we chose.
    pub(crate) inbound: Spi,
    /// The SPI that the peer chose; `None` while the peer has not answered.
    pub(crate) outbound: Option<Spi>,
    pub(crate) policy: PolicyId,
    /// How packets are protected, once that is agreed on.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) peer: Option<PeerKey>,
    pub(crate) local_ts: TrafficSelectors,
    pub(crate) remote_ts: TrafficSelectors,
    pub(crate) stage: Stage,
    /// We made it as responder, and the peer has given no sign of having our answer: until this moment it is not
    /// asked about what it may not know.
    pub(crate) unsure_until: Option<Instant>,
    /// A successor is to be asked for as soon as no other request waits for its answer.
    pub(crate) renewal_owed: bool,
    /// The data plane has to be told that its outer addresses are others.
    pub(crate) update_owed: bool,
    pub(crate) sending: Sending,
}

/// Whether packets leave on a pair. The data plane is told once that they do no more.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Sending {
    /// As far as the data plane finds none better.
    Yes,
    /// The data plane has to be told that it only receives from now on.
    Ending,
    /// It only receives.
    Ended,
}

/// How far a pair of Child SAs has come. Whatever is no longer [`Stage::Live`] still receives until the
/// peer has said, or heard, that it is gone (RFC 7296 §1.4.1, §2.8).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    /// Only the SPI is taken: the peer has not answered.
    Reserved,
    /// It carries packets.
    Live,
    /// The peer made a successor and will delete it.
    Replaced,
    /// The peer must be told that it ends.
    DeleteOwed,
    /// Our Delete waits for its answer.
    Deleting,
    /// Both ends have said that it is gone, and its successor carries the flow; until this moment it receives
    /// what was on its way.
    Draining(Instant),
    /// The data plane must forget it.
    Removed,
}

impl Child {
    /// Whether it was agreed on and its end is not under way.
    pub(crate) fn stands(&self) -> bool {
        matches!(self.stage, Stage::Live | Stage::Replaced)
    }

    /// Whether the peer is taken to know it.
    pub(crate) fn is_known(&self, now: Instant) -> bool {
        self.unsure_until.is_none_or(|until| until <= now)
    }

    /// Nothing more may leave on it.
    fn end_sending(&mut self) {
        if self.sending == Sending::Yes && self.outbound.is_some() {
            self.sending = Sending::Ending;
        }
    }

    /// Whether key management has done with it.
    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Draining(_) | Stage::Removed)
    }
}
