//! A pool of datagram buffers. A message takes one, or a chain of them when it is fragmented; the first
//! names it. It is in use, free, or merely kept: it was sent and may be asked for again, until somebody
//! else needs the room; the longest kept goes first.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use esp_engine::time::Instant;

use super::MESSAGE;

#[cfg(test)]
mod tests;

/// Octets of the non-ESP marker (RFC 7296 §3.1).
const MARKER: usize = 4;

/// Names a message until it is released or reclaimed; afterwards it names nothing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct BufferId {
    index: u8,
    generation: u16,
}

impl Hash for BufferId {
    /// Which buffer a message lies in says nothing; what is in them is compared as a whole.
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Room for one datagram behind a marker.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    octets: [u8; MARKER + MESSAGE],
    length: u16,
    generation: u16,
    usage: Usage,
    /// Where the rest of the message is.
    next: Option<u8>,
    /// It is itself the rest of a message, and shares its fate.
    is_rest: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Usage {
    Free,
    InUse,
    Kept(Instant),
}

impl Buffer {
    pub(crate) const fn new() -> Self {
        let octets = [0; MARKER + MESSAGE];
        Self { octets, length: 0, generation: 0, usage: Usage::Free, next: None, is_rest: false }
    }

    #[cfg(feature = "explore")]
    pub(super) fn is_in_use(&self) -> bool {
        self.usage == Usage::InUse
    }

    /// What lies in it for whom; a free one holds nothing.
    #[cfg(feature = "explore")]
    pub(super) fn content(&self) -> (Usage, &[u8]) {
        let length = if self.usage == Usage::Free { 0 } else { usize::from(self.length) };
        (self.usage, self.octets.get(MARKER..).and_then(|octets| octets.get(..length)).unwrap_or_default())
    }
}

/// The pool.
#[derive(Debug)]
pub(crate) struct Buffers<'r> {
    buffers: &'r mut [Buffer],
}

impl<'r> Buffers<'r> {
    pub(crate) fn new(buffers: &'r mut [Buffer]) -> Self {
        Self { buffers }
    }

    /// A buffer for a peer that is known, or for a negotiation of ours.
    pub(crate) fn allocate(&mut self) -> Option<BufferId> {
        if !self.buffers.iter().any(|b| b.usage == Usage::Free) {
            let longest = self.longest_kept()?;
            self.set_usage(longest, Usage::Free);
        }
        let index = self.buffers.iter().position(|b| b.usage == Usage::Free)?;
        let buffer = self.buffers.get_mut(index)?;
        buffer.generation = buffer.generation.wrapping_add(1);
        buffer.usage = Usage::InUse;
        buffer.length = 0;
        buffer.next = None;
        buffer.is_rest = false;
        Some(BufferId { index: u8::try_from(index).ok()?, generation: buffer.generation })
    }

    /// Another buffer at the end of this message's chain.
    pub(crate) fn extend(&mut self, id: BufferId) -> Option<BufferId> {
        let last = self.chain(id).last()?;
        let rest = self.allocate()?;
        self.buffers.get_mut(usize::from(rest.index))?.is_rest = true;
        self.buffers.get_mut(usize::from(last))?.next = Some(rest.index);
        Some(rest)
    }

    /// Whether a stranger may have `wanted` buffers: one stays for the peers that are known.
    pub(crate) fn spare(&self, wanted: usize) -> bool {
        self.buffers.iter().filter(|b| b.usage != Usage::InUse).count() > wanted
    }

    fn longest_kept(&self) -> Option<BufferId> {
        let kept = self.buffers.iter().enumerate().filter_map(|(index, b)| match b.usage {
            Usage::Kept(since) if !b.is_rest => Some((since, index, b.generation)),
            _ => None,
        });
        let (_, index, generation) = kept.min()?;
        Some(BufferId { index: u8::try_from(index).ok()?, generation })
    }

    fn find(&self, id: BufferId) -> Option<&Buffer> {
        let buffer = self.buffers.get(usize::from(id.index))?;
        (buffer.generation == id.generation && buffer.usage != Usage::Free).then_some(buffer)
    }

    fn find_mut(&mut self, id: BufferId) -> Option<&mut Buffer> {
        let buffer = self.buffers.get_mut(usize::from(id.index))?;
        (buffer.generation == id.generation && buffer.usage != Usage::Free).then_some(buffer)
    }

    /// The places of a message's buffers, in order.
    fn chain(&self, id: BufferId) -> impl Iterator<Item = u8> {
        let first = self.find(id).map(|_| id.index);
        let next = |index: &u8| self.buffers.get(usize::from(*index))?.next;
        core::iter::successors(first, next).take(self.buffers.len())
    }

    /// The message in this buffer; of one in fragments, the first.
    pub(crate) fn message(&self, id: BufferId) -> Option<&[u8]> {
        self.fragment(id, 0)
    }

    /// The datagram with this number, counted from 0, of a message.
    pub(crate) fn fragment(&self, id: BufferId, number: u8) -> Option<&[u8]> {
        let index = self.chain(id).nth(usize::from(number))?;
        let buffer = self.buffers.get(usize::from(index))?;
        buffer.octets.get(MARKER..)?.get(..usize::from(buffer.length))
    }

    /// Octets of a message's longest datagram.
    pub(crate) fn longest(&self, id: BufferId) -> usize {
        let lengths = self.chain(id).filter_map(|index| self.buffers.get(usize::from(index)));
        lengths.map(|buffer| usize::from(buffer.length)).max().unwrap_or(0)
    }

    /// Octets of a message, all its datagrams together.
    pub(crate) fn length(&self, id: BufferId) -> usize {
        let lengths = self.chain(id).filter_map(|index| self.buffers.get(usize::from(index)));
        lengths.map(|buffer| usize::from(buffer.length)).sum()
    }

    /// How many datagrams a message has.
    pub(crate) fn count(&self, id: BufferId) -> usize {
        self.chain(id).count()
    }

    /// A datagram of a message as it is sent: behind the marker if it leaves by port 4500.
    pub(crate) fn datagram(&self, id: BufferId, number: u8, marker: bool) -> Option<&[u8]> {
        let index = self.chain(id).nth(usize::from(number))?;
        let buffer = self.buffers.get(usize::from(index))?;
        let end = MARKER + usize::from(buffer.length);
        buffer.octets.get(if marker { 0 } else { MARKER }..end)
    }

    /// All the room for a datagram.
    pub(crate) fn room(&mut self, id: BufferId) -> Option<&mut [u8]> {
        self.find_mut(id)?.octets.get_mut(MARKER..)
    }

    /// Says how long the datagram is that was written into the room.
    pub(crate) fn set_length(&mut self, id: BufferId, length: usize) {
        if let (Some(buffer), Ok(length)) = (self.find_mut(id), u16::try_from(length)) {
            buffer.length = length;
        }
    }

    /// Puts a message that came from the peer into a new buffer.
    pub(crate) fn store(&mut self, message: &[u8]) -> Option<BufferId> {
        let id = self.allocate()?;
        match self.room(id).and_then(|room| room.get_mut(..message.len())) {
            Some(room) => {
                room.copy_from_slice(message);
                self.set_length(id, message.len());
                Some(id)
            }
            None => {
                self.release(id);
                None
            }
        }
    }

    /// The message is no longer needed, though it may be asked for again.
    pub(crate) fn keep(&mut self, id: BufferId, now: Instant) {
        self.set_usage(id, Usage::Kept(now));
    }

    /// Whether this message was kept for longer than `limit`.
    pub(crate) fn is_stale(&self, id: BufferId, now: Instant, limit: Duration) -> bool {
        match self.find(id).map(|b| b.usage) {
            Some(Usage::Kept(since)) => now.since(since) > limit,
            Some(_) => false,
            None => true,
        }
    }

    /// The message's buffers are free again.
    pub(crate) fn release(&mut self, id: BufferId) {
        self.set_usage(id, Usage::Free);
    }

    fn set_usage(&mut self, id: BufferId, usage: Usage) {
        let mut next = self.find(id).map(|_| id.index);
        while let Some(buffer) = next.and_then(|index| self.buffers.get_mut(usize::from(index))) {
            buffer.usage = usage;
            next = buffer.next;
        }
    }
}
