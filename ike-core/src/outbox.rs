//! What waits to be said, in causal order: events and datagrams in one queue, and one answer that
//! belongs to no IKE SA. An input is only taken when there is room for all that it can cause, so no
//! event is ever lost here; a datagram that finds no room is lost as on any link, and sent again.

use crate::output::{Event, Path};
use crate::resources::BufferId;

/// Entries that wait at most.
const CAPACITY: usize = 9;

/// The most entries that one input causes: the keys, what is remembered, the Install, both Established, a
/// failure, and the datagram.
const ROOM: usize = 7;

/// Octets of the longest answer without IKE SA: a cookie.
const REPLY: usize = 80;

/// One entry.
#[derive(Clone, Hash, Debug)]
#[expect(clippy::large_enum_variant, reason = "events are moved once, straight out of the endpoint")]
pub(crate) enum Queued {
    Event(Event),
    /// A message in a buffer, from the fragment with this number on.
    Message(Path, BufferId, u8),
    /// A NAT keepalive (RFC 3948 §4).
    Keepalive(Path),
}

/// The queue and the answer.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    queue: heapless::Deque<Queued, CAPACITY>,
    reply: Option<Path>,
    octets: heapless::Vec<u8, REPLY>,
}

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self { queue: heapless::Deque::new(), reply: None, octets: heapless::Vec::new() }
    }

    /// Whether another input may be taken.
    pub(crate) fn has_room(&self) -> bool {
        CAPACITY - self.queue.len() >= ROOM
    }

    pub(crate) fn event(&mut self, event: Event) {
        let pushed = self.queue.push_back(Queued::Event(event));
        debug_assert!(pushed.is_ok(), "an input caused more than {ROOM} outputs");
    }

    pub(crate) fn message(&mut self, path: Path, buffer: BufferId) {
        let _ = self.queue.push_back(Queued::Message(path, buffer, 0));
    }

    pub(crate) fn keepalive(&mut self, path: Path) {
        let _ = self.queue.push_back(Queued::Keepalive(path));
    }

    /// Puts the rest of what was popped back in front.
    pub(crate) fn first(&mut self, rest: Queued) {
        let _ = self.queue.push_front(rest);
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        self.queue.pop_front()
    }

    /// Puts an answer without IKE SA; `None` while another waits or when it is too long.
    pub(crate) fn reply(&mut self, path: Path, message: &[u8]) -> Option<()> {
        if self.reply.is_some() {
            return None;
        }
        self.octets.clear();
        if path.local.port() == crate::ike_sa::nat::ENCAPSULATED {
            self.octets.extend_from_slice(&[0; 4]).ok()?;
        }
        self.octets.extend_from_slice(message).ok()?;
        self.reply = Some(path);
        Some(())
    }

    /// The way of the answer that waits, which is then taken to have left.
    pub(crate) fn take_reply(&mut self) -> Option<Path> {
        self.reply.take()
    }

    /// The answer that left last.
    pub(crate) fn reply_octets(&self) -> &[u8] {
        &self.octets
    }
}

#[cfg(feature = "explore")]
impl core::hash::Hash for Outbox {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.queue.iter().for_each(|queued| queued.hash(state));
        self.reply.map(|path| (path, &self.octets)).hash(state);
    }
}
