//! The message window, of size 1 in both directions (RFC 7296 §2.1 to §2.3). Requests are numbered per
//! direction; a request is sent again until it is answered, a response only because its request came
//! again. Checking a Message ID changes nothing: the window moves when the message proved genuine.

use core::time::Duration;

use esp_engine::time::Instant;

use crate::resources::BufferId;

/// Responses that are longer than their requests are repeated at most this often.
const REPLAY: Duration = Duration::from_secs(1);

/// Message IDs from here on are not used: the IKE SA ends before they wrap (RFC 7296 §2.2).
const LAST: u32 = u32::MAX - 1;

/// Message IDs from here on are left to what is needed to get a successor.
const NEARLY_LAST: u32 = LAST - (1 << 16);

/// Both directions of one IKE SA.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Window {
    next_request: u32,
    outstanding: Option<Outstanding>,
    expected: u32,
    answered: Option<Answered>,
}

/// Our request that waits for its answer.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Outstanding {
    /// Its Message ID.
    pub(crate) id: u32,
    /// The message.
    pub(crate) buffer: BufferId,
    /// How often it was sent.
    pub(crate) tries: u8,
    /// What it asks.
    pub(crate) purpose: Purpose,
}

/// What a request of ours asks.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Purpose {
    /// IKE_SA_INIT or IKE_AUTH, as the state says.
    Handshake,
    /// Delete of this IKE SA.
    DeleteIkeSa,
    /// Delete of Child SAs.
    DeleteChild,
    /// Whether the peer lives.
    Liveness,
    /// Says that our address is another (RFC 4555).
    UpdateAddresses,
    /// Whether the peer is where it says (RFC 4555).
    CheckAddress,
    /// An SA, new or in place of another (CREATE_CHILD_SA, IKE_FOLLOWUP_KE); the slot in the pool of handshakes.
    CreateChild(u8),
}

/// The peer's last request and what we said to it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct Answered {
    fingerprint: Fingerprint,
    response: BufferId,
    replayed: Option<Instant>,
    replays: u8,
}

/// What tells a retransmission from another message: the end of the datagram, its ICV.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Fingerprint {
    length: usize,
    end: [u8; 16],
}

impl Fingerprint {
    /// Of nothing.
    pub(crate) const NONE: Self = Self { length: 0, end: [0; 16] };

    /// Octets of the datagram.
    pub(crate) const fn length(self) -> usize {
        self.length
    }

    pub(crate) fn of(message: &[u8]) -> Self {
        Self { length: message.len(), end: message.last_chunk().copied().unwrap_or_default() }
    }
}

/// What a request's Message ID says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// The next one.
    New,
    /// The one that was answered last, unaltered: this was the answer.
    Again(BufferId),
    /// The number of the one answered last, with other content.
    Altered,
    /// Outside of the window.
    Outside,
}

impl Window {
    /// Where a request with this number stands.
    pub(crate) fn check_request(&self, id: u32, message: &[u8]) -> Request {
        if id == self.expected && id <= LAST {
            return Request::New;
        }
        match self.answered {
            Some(answered) if id.checked_add(1) == Some(self.expected) => {
                if answered.fingerprint == Fingerprint::of(message) {
                    Request::Again(answered.response)
                } else {
                    Request::Altered
                }
            }
            _ => Request::Outside,
        }
    }

    /// The request with the expected number proved genuine and got this response. Returns the
    /// response before it, which is not needed any more.
    pub(crate) fn answer(&mut self, fingerprint: Fingerprint, response: BufferId) -> Option<BufferId> {
        self.expected = self.expected.saturating_add(1);
        let answered = Answered { fingerprint, response, replayed: None, replays: 0 };
        self.answered.replace(answered).map(|before| before.response)
    }

    /// Whether the last response may leave again; if so, notes that it does. `rarely`: not within
    /// [`REPLAY`] of the last time.
    pub(crate) fn replay(&mut self, now: Instant, rarely: bool) -> bool {
        let Some(answered) = &mut self.answered else {
            return false;
        };
        if rarely && answered.replayed.is_some_and(|before| now.since(before) < REPLAY) {
            return false;
        }
        answered.replayed = Some(now);
        answered.replays = answered.replays.saturating_add(1);
        true
    }

    /// How often the last response left again.
    pub(crate) fn replays(&self) -> u8 {
        self.answered.map_or(0, |answered| answered.replays)
    }

    /// The last response has another form now.
    pub(crate) fn replace_response(&mut self, response: BufferId) {
        if let Some(answered) = &mut self.answered {
            answered.response = response;
        }
    }

    /// The last response, if there was one.
    pub(crate) fn last_response(&self) -> Option<BufferId> {
        self.answered.map(|answered| answered.response)
    }

    /// The number for our next request; `None` while one is outstanding or when they are used up.
    pub(crate) fn next_request(&self) -> Option<u32> {
        (self.outstanding.is_none() && self.next_request <= LAST).then_some(self.next_request)
    }

    /// Our request with the number from [`Self::next_request`] leaves.
    pub(crate) fn send(&mut self, buffer: BufferId, purpose: Purpose) {
        self.outstanding = Some(Outstanding { id: self.next_request, buffer, tries: 1, purpose });
    }

    /// Our request that waits for an answer.
    pub(crate) const fn outstanding(&self) -> Option<&Outstanding> {
        self.outstanding.as_ref()
    }

    /// The request leaves once more.
    pub(crate) fn send_again(&mut self) {
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.tries = outstanding.tries.saturating_add(1);
        }
    }

    /// The request has another form now, with tries of its own (RFC 7383 §2.5.2).
    pub(crate) fn replace_request(&mut self, request: BufferId) {
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.buffer = request;
            outstanding.tries = 1;
        }
    }

    /// Whether we wait for the answer with this number.
    pub(crate) fn awaits(&self, id: u32) -> bool {
        self.outstanding.is_some_and(|outstanding| outstanding.id == id)
    }

    /// The answer proved genuine.
    pub(crate) fn answered(&mut self) -> Option<Outstanding> {
        self.next_request = self.next_request.saturating_add(1);
        self.outstanding.take()
    }

    /// The request is taken back so that another with the same number replaces it (IKE_SA_INIT with a
    /// cookie or another group, RFC 7296 §2.6).
    pub(crate) fn take_back(&mut self) -> Option<Outstanding> {
        self.outstanding.take()
    }

    /// Whether so few numbers are left in either direction that a successor is wanted.
    pub(crate) const fn is_nearly_used_up(&self) -> bool {
        self.next_request > NEARLY_LAST || self.expected > NEARLY_LAST
    }

    /// Whether the numbers of either direction are used up.
    pub(crate) const fn is_used_up(&self) -> bool {
        self.next_request > LAST || self.expected > LAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Buffers;

    fn buffer() -> BufferId {
        let mut storage = [const { crate::resources::Buffer::new() }; 1];
        Buffers::new(&mut storage).allocate().expect("free")
    }

    const FIRST: &[u8] = b"a request with its sixteen octets";
    const OTHER: &[u8] = b"a request with other 16 octets in";

    /// RFC 7296 §2.1: the last request again gets the same response; the one before it gets nothing.
    #[test]
    fn only_the_last_request_is_answered_again() {
        let mut window = Window::default();
        assert_eq!(window.check_request(0, FIRST), Request::New);
        assert_eq!(window.answer(Fingerprint::of(FIRST), buffer()), None);
        assert_eq!(window.check_request(0, FIRST), Request::Again(buffer()));
        assert_eq!(window.check_request(0, OTHER), Request::Altered);
        assert_eq!(window.check_request(1, OTHER), Request::New);
        assert_eq!(window.answer(Fingerprint::of(OTHER), buffer()), Some(buffer()));
        assert_eq!(window.check_request(0, FIRST), Request::Outside);
        assert_eq!(window.check_request(1, OTHER), Request::Again(buffer()));
    }

    /// RFC 7296 §2.3: a window of 1 takes no request ahead of its turn.
    #[test]
    fn request_ahead_of_its_turn_is_outside() {
        let window = Window::default();
        assert_eq!(window.check_request(1, FIRST), Request::Outside);
        assert_eq!(window.check_request(u32::MAX, FIRST), Request::Outside);
    }

    /// RFC 7296 §2.2: Message IDs do not wrap.
    #[test]
    fn numbers_are_used_up_before_they_wrap() {
        let mut window = Window { next_request: LAST, expected: LAST, ..Window::default() };
        assert_eq!(window.next_request(), Some(LAST));
        assert_eq!(window.check_request(LAST, FIRST), Request::New);
        window.send(buffer(), Purpose::Liveness);
        window.answered();
        assert_eq!(window.next_request(), None);
        window.answer(Fingerprint::of(FIRST), buffer());
        assert!(window.is_used_up());
        assert_eq!(window.check_request(u32::MAX, FIRST), Request::Outside);
    }

    /// RFC 7296 §2.3: one request at a time.
    #[test]
    fn second_request_waits_for_the_first_answer() {
        let mut window = Window::default();
        window.send(buffer(), Purpose::Liveness);
        assert_eq!(window.next_request(), None);
        assert!(window.awaits(0));
        assert!(!window.awaits(1));
        assert!(window.answered().is_some());
        assert_eq!(window.next_request(), Some(1));
    }
}
