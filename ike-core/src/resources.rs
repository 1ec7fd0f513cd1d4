//! Every octet that this crate owns. [`Resources`] is sized by its caller and lent to an endpoint,
//! which erases the sizes. A full pool has a defined answer everywhere; nothing grows.

use crate::child_sa::{self, Children};
use crate::crypto::Crypto;
use crate::handshake::Handshake;
use crate::ike_sa::table::{self, IkeSas};
use crate::names::Name;
use crate::outbox::Outbox;
use crate::remembered::Place;

pub(crate) use buffers::{Buffer, BufferId, Buffers};
pub(crate) use desk::Desk;
pub(crate) use draft::Draft;
#[cfg(feature = "explore")]
pub use explore::Usage;
pub(crate) use reassembly::{Of, Piece, Reassemblies, Reassembly};

mod buffers;
mod desk;
mod draft;
#[cfg(feature = "explore")]
mod explore;
mod reassembly;

/// Octets of the longest datagram that is kept: an Ethernet frame's worth (RFC 7296 §2 wants 1,280).
pub const MESSAGE: usize = 1472;

/// Octets of the longest message that leaves or arrives in fragments (RFC 7296 §2 wants 3,000).
pub const LONGEST: usize = 3072;

/// Room for an endpoint's state.
///
/// `CHILD_SAS` must be the number of places in the data plane's SA table, because the SPIs that we
/// choose carry the slot. Three buffers serve one handshake, or more where messages are fragmented;
/// `REASSEMBLIES` such messages can arrive at once. `NAMES` peers can have their keys in DNS: one for each such
/// entry that names somebody, and some for those whose names are not known before. `REMEMBERED` peers are remembered
/// when their SAs are gone: one for each entry that names somebody, and some for strangers.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone))]
pub struct Resources<
    C: Crypto,
    const IKE_SAS: usize,
    const HANDSHAKES: usize,
    const CHILD_SAS: usize,
    const BUFFERS: usize,
    const REASSEMBLIES: usize = 2,
    const NAMES: usize = 0,
    const REMEMBERED: usize = 0,
> {
    pub(crate) ike_sas: table::Storage<IKE_SAS>,
    pub(crate) handshakes: [Option<Handshake<C>>; HANDSHAKES],
    pub(crate) children: child_sa::table::Storage<CHILD_SAS>,
    pub(crate) buffers: [Buffer; BUFFERS],
    pub(crate) reassemblies: [Reassembly; REASSEMBLIES],
    pub(crate) names: [Option<Name>; NAMES],
    pub(crate) remembered: [Option<Place>; REMEMBERED],
    pub(crate) draft: Draft,
    pub(crate) outbox: Outbox,
    pub(crate) desk: Desk,
}

impl<
    C: Crypto,
    const IKE_SAS: usize,
    const HANDSHAKES: usize,
    const CHILD_SAS: usize,
    const BUFFERS: usize,
    const REASSEMBLIES: usize,
    const NAMES: usize,
    const REMEMBERED: usize,
> Resources<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS, REASSEMBLIES, NAMES, REMEMBERED>
{
    /// Empty; fit for a `static`.
    pub const fn new() -> Self {
        Self {
            ike_sas: table::Storage::new(),
            handshakes: [const { None }; HANDSHAKES],
            children: child_sa::table::Storage::new(),
            buffers: [const { Buffer::new() }; BUFFERS],
            reassemblies: [const { Reassembly::new() }; REASSEMBLIES],
            names: [const { None }; NAMES],
            remembered: [const { None }; REMEMBERED],
            draft: Draft::new(),
            outbox: Outbox::new(),
            desk: Desk::new(),
        }
    }

    /// Makes it as new where it lies: the whole of it does not belong on a small machine's stack.
    pub(crate) fn clear(&mut self) {
        IkeSas::new(&mut self.ike_sas).clear();
        self.handshakes.iter_mut().for_each(|entry| *entry = None);
        Children::new(&mut self.children).clear();
        self.buffers.iter_mut().for_each(|buffer| *buffer = Buffer::new());
        self.reassemblies.iter_mut().for_each(|slot| *slot = Reassembly::new());
        self.names.iter_mut().for_each(|entry| *entry = None);
        self.remembered.iter_mut().for_each(|entry| *entry = None);
        self.draft = Draft::new();
        self.outbox = Outbox::new();
        self.desk = Desk::new();
    }
}

impl<
    C: Crypto,
    const IKE_SAS: usize,
    const HANDSHAKES: usize,
    const CHILD_SAS: usize,
    const BUFFERS: usize,
    const REASSEMBLIES: usize,
    const NAMES: usize,
    const REMEMBERED: usize,
> Default for Resources<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS, REASSEMBLIES, NAMES, REMEMBERED>
{
    fn default() -> Self {
        Self::new()
    }
}

/// The place of a slot that is free, as the number that goes into an SPI.
pub(crate) fn free_slot<T>(slots: &[Option<T>]) -> Option<u16> {
    slots.iter().position(Option::is_none).and_then(|index| u16::try_from(index).ok())
}
