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
> Hash for Resources<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS, REASSEMBLIES>
where
    C: Hash,
    C::KeyExchange: Hash,
{
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ike_sas.hash(state);
        self.handshakes.hash(state);
        self.children.hash(state);
        self.outbox.hash(state);
        self.desk.hash(state);
        let mut messages = self.buffers.each_ref().map(Buffer::content);
        messages.sort_unstable();
        messages.hash(state);
        self.reassemblies.each_ref().map(Reassembly::content).hash(state);
    }
}

impl Hash for Counters {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
