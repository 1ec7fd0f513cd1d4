//! A pool of message buffers. A buffer is in use, free, or merely kept: its message was sent and may
//! be asked for again, until somebody else needs the room; the longest kept goes first.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use esp_engine::time::Instant;

use super::MESSAGE;

/// Octets of the non-ESP marker (RFC 7296 §3.1).
const MARKER: usize = 4;

/// Names a buffer until it is released or reclaimed; afterwards it names nothing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct BufferId {
    index: u8,
    generation: u16,
}

impl Hash for BufferId {
    /// Which buffer a message lies in says nothing; what is in them is compared as a whole.
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Room for one message behind a marker.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    octets: [u8; MARKER + MESSAGE],
    length: u16,
    generation: u16,
    usage: Usage,
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Usage {
    Free,
    InUse,
    Kept(Instant),
}

impl Buffer {
    pub(crate) const fn new() -> Self {
        Self { octets: [0; MARKER + MESSAGE], length: 0, generation: 0, usage: Usage::Free }
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
        let free = self.buffers.iter().position(|b| b.usage == Usage::Free);
        let index = free.or_else(|| self.longest_kept())?;
        let buffer = self.buffers.get_mut(index)?;
        buffer.generation = buffer.generation.wrapping_add(1);
        buffer.usage = Usage::InUse;
        buffer.length = 0;
        Some(BufferId { index: u8::try_from(index).ok()?, generation: buffer.generation })
    }

    /// Whether a stranger may have `wanted` buffers: one stays for the peers that are known.
    pub(crate) fn spare(&self, wanted: usize) -> bool {
        self.buffers.iter().filter(|b| b.usage != Usage::InUse).count() > wanted
    }

    fn longest_kept(&self) -> Option<usize> {
        let kept = self.buffers.iter().enumerate().filter_map(|(index, b)| match b.usage {
            Usage::Kept(since) => Some((since, index)),
            _ => None,
        });
        kept.min().map(|(_, index)| index)
    }

    fn find(&self, id: BufferId) -> Option<&Buffer> {
        let buffer = self.buffers.get(usize::from(id.index))?;
        (buffer.generation == id.generation && buffer.usage != Usage::Free).then_some(buffer)
    }

    fn find_mut(&mut self, id: BufferId) -> Option<&mut Buffer> {
        let buffer = self.buffers.get_mut(usize::from(id.index))?;
        (buffer.generation == id.generation && buffer.usage != Usage::Free).then_some(buffer)
    }

    /// The message in this buffer.
    pub(crate) fn message(&self, id: BufferId) -> Option<&[u8]> {
        let buffer = self.find(id)?;
        buffer.octets.get(MARKER..)?.get(..usize::from(buffer.length))
    }

    /// The message as it is sent: behind the marker if it leaves by port 4500.
    pub(crate) fn datagram(&self, id: BufferId, marker: bool) -> Option<&[u8]> {
        let buffer = self.find(id)?;
        let end = MARKER + usize::from(buffer.length);
        buffer.octets.get(if marker { 0 } else { MARKER }..end)
    }

    /// All the room for a message.
    pub(crate) fn room(&mut self, id: BufferId) -> Option<&mut [u8]> {
        self.find_mut(id)?.octets.get_mut(MARKER..)
    }

    /// Says how long the message is that was written into the room.
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

    /// The buffer is no longer needed, though its message may be asked for again.
    pub(crate) fn keep(&mut self, id: BufferId, now: Instant) {
        if let Some(buffer) = self.find_mut(id) {
            buffer.usage = Usage::Kept(now);
        }
    }

    /// Whether this message was kept for longer than `limit`.
    pub(crate) fn is_stale(&self, id: BufferId, now: Instant, limit: Duration) -> bool {
        match self.find(id).map(|b| b.usage) {
            Some(Usage::Kept(since)) => now.since(since) > limit,
            Some(_) => false,
            None => true,
        }
    }

    /// The buffer is free again.
    pub(crate) fn release(&mut self, id: BufferId) {
        if let Some(buffer) = self.find_mut(id) {
            buffer.usage = Usage::Free;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// What is kept makes room for what is needed, the oldest first, and is then forgotten.
    #[test]
    fn kept_message_makes_room() {
        let mut storage = [const { Buffer::new() }; 2];
        let mut pool = Buffers::new(&mut storage);
        let first = pool.store(b"first").expect("free");
        let second = pool.store(b"second").expect("free");
        assert_eq!(pool.allocate(), None);
        pool.keep(second, at(1));
        pool.keep(first, at(2));
        assert_eq!(pool.message(second), Some(&b"second"[..]));
        let third = pool.store(b"third").expect("kept buffers give way");
        assert_eq!(pool.message(second), None);
        assert_eq!(pool.message(first), Some(&b"first"[..]));
        assert_eq!(pool.datagram(third, true), Some(&b"\0\0\0\0third"[..]));
        assert_eq!(pool.datagram(third, false), Some(&b"third"[..]));
    }

    /// A name of a buffer does not survive its release.
    #[test]
    fn released_buffer_has_no_name() {
        let mut storage = [const { Buffer::new() }; 1];
        let mut pool = Buffers::new(&mut storage);
        let id = pool.store(b"one").expect("free");
        pool.release(id);
        assert_eq!(pool.message(id), None);
        let again = pool.store(b"two").expect("free");
        assert_ne!(again, id);
        assert_eq!(pool.message(id), None);
    }

    /// A message longer than a buffer is refused and takes no room.
    #[test]
    fn long_message_is_refused() {
        let mut storage = [const { Buffer::new() }; 1];
        let mut pool = Buffers::new(&mut storage);
        assert_eq!(pool.store(&[0; MESSAGE + 1]), None);
        assert!(pool.store(&[0; MESSAGE]).is_some());
    }

    /// Strangers leave one buffer for those who are known.
    #[test]
    fn strangers_leave_room() {
        let mut storage = [const { Buffer::new() }; 3];
        let mut pool = Buffers::new(&mut storage);
        assert!(pool.spare(2));
        assert!(!pool.spare(3));
        let _ = pool.allocate();
        assert!(!pool.spare(2));
    }
}
