//! States that behave alike hash alike: what was counted and in which buffers messages lie tells
//! nothing about what comes.

use core::hash::{Hash, Hasher};

use super::{Buffer, Reassembly, Resources};
use crate::counters::Counters;
use crate::crypto::Crypto;

impl<
    C: Crypto,
    const IKE_SAS: usize,
    const HANDSHAKES: usize,
    const CHILD_SAS: usize,
    const BUFFERS: usize,
    const REASSEMBLIES: usize,
    const NAMES: usize,
    const REMEMBERED: usize,
> Hash for Resources<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS, REASSEMBLIES, NAMES, REMEMBERED>
where
    C: Hash,
    C::KeyExchange: Hash,
{
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ike_sas.slots.hash(state);
        self.handshakes.hash(state);
        self.children.slots.hash(state);
        self.names.hash(state);
        self.remembered.hash(state);
        self.outbox.hash(state);
        self.desk.hash(state);
        let mut messages = self.buffers.each_ref().map(Buffer::content);
        messages.sort_unstable();
        messages.hash(state);
        self.reassemblies.each_ref().map(Reassembly::content).hash(state);
    }
}

/// What is in use of each pool.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Usage {
    /// IKE SAs, those that only repeat their last answer included.
    pub ike_sas: usize,
    /// Negotiations under way.
    pub handshakes: usize,
    /// Pairs of Child SAs, those that are only asked for included.
    pub children: usize,
    /// Messages that are needed; those merely kept give way.
    pub buffers: usize,
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
    /// The messages that may leave again.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.buffers.iter().map(|buffer| buffer.content().1).filter(|message| !message.is_empty())
    }

    /// What is in use.
    pub fn usage(&self) -> Usage {
        Usage {
            ike_sas: self.ike_sas.slots.iter().flatten().count(),
            handshakes: self.handshakes.iter().flatten().count(),
            children: self.children.slots.iter().flatten().count(),
            buffers: self.buffers.iter().filter(|buffer| buffer.is_in_use()).count(),
        }
    }
}

impl Hash for Counters {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
