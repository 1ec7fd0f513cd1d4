//! The network task's handle on an adapter.

use core::cell::RefCell;
use core::net::IpAddr;
use core::task::{Context, Poll, Waker};

use super::counters::{Counters, bump};
use super::too_big::ErrorFrame;
use crate::crypto::Cipher;
use crate::early::{Early, Taken};
use crate::engine::Engine;
use crate::hold::Hold;
use crate::selector::AddressRange;
use crate::time::Instant;

/// ICMP errors that may wait for the stack.
const ERRORS: usize = 2;
/// Rules for the time to live that a port knows.
pub const TTL_RULES: usize = 8;
/// Addresses of its own that a port knows.
const SOURCES: usize = 4;

/// What an adapter and the network task share: held and early packets, errors for the stack, wakers, counters.
/// One port belongs to one adapter. It is borrowed while a held packet is written to the wire, so
/// the driver below must not call it from its token.
pub struct Port {
    pub(super) state: RefCell<State>,
}

pub(super) struct State {
    pub(super) hold: Hold,
    pub(super) early: Early,
    pub(super) errors: heapless::Deque<ErrorFrame, ERRORS>,
    pub(super) ttl: heapless::Vec<TtlRule, TTL_RULES>,
    pub(super) sources: Option<Sources>,
    pub(super) counters: Counters,
    stack: Option<Waker>,
    network: Option<Waker>,
    moved: bool,
}

/// Addresses that the stack's packets may come from.
pub(super) type Sources = heapless::Vec<IpAddr, SOURCES>;

/// ESP packets from these addresses must have come few hops (RFC 5082).
pub(super) struct TtlRule {
    pub(super) peers: AddressRange,
    pub(super) minimum: u8,
}

impl Port {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self {
            state: RefCell::new(State {
                hold: Hold::new(),
                early: Early::new(),
                errors: heapless::Deque::new(),
                ttl: heapless::Vec::new(),
                sources: None,
                counters: Counters::new(),
                stack: None,
                network: None,
                moved: false,
            }),
        }
    }

    /// SAs changed (Install, Update, Remove) or a timer ran: held packets are tried again, and the
    /// stack wakes.
    pub fn wake(&self) {
        let mut state = self.state.borrow_mut();
        state.hold.retry();
        let waker = state.stack.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready once packets went through the engine since the last time, so that it may have
    /// something to say (`Engine::poll_output`): the network task waits here.
    pub fn poll_moved(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if core::mem::take(&mut state.moved) {
            return Poll::Ready(());
        }
        state.network = Some(cx.waker().clone());
        Poll::Pending
    }

    /// From now on an ESP packet from `peers` must arrive with this time to live or hop limit at
    /// least (RFC 5082), checked before it is opened. In transport mode the value goes up unchanged.
    ///
    /// # Errors
    /// Hands `peers` back when there are [`TTL_RULES`] rules already.
    pub fn require_ttl(&self, peers: AddressRange, minimum: u8) -> Result<(), AddressRange> {
        let rule = TtlRule { peers, minimum };
        self.state.borrow_mut().ttl.push(rule).map_err(|rule| rule.peers)
    }

    /// From now on only packets from these addresses leave, and those that have none yet (unspecified, or of the
    /// link). A connection outlives the address that it was made with; policy no longer knows that address, and
    /// might let it pass in clear. The first four count.
    pub fn set_sources(&self, own: impl IntoIterator<Item = IpAddr>) {
        self.state.borrow_mut().sources = Some(own.into_iter().take(SOURCES).collect());
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let state = self.state.borrow();
        Counters { hold_expired: state.hold.expired(), ..state.counters }
    }

    /// Remembers whom [`Self::wake`] wakes.
    pub(crate) fn register_stack(&self, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        if !state.stack.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.stack = Some(waker.clone());
        }
    }

    /// Whether a held packet is to be tried again.
    pub(crate) fn has_due(&self, now: Instant) -> bool {
        self.state.borrow_mut().hold.next_due(now).is_some()
    }

    /// Whether a packet that came before its SA can be opened by now.
    pub(crate) fn has_early<C: Cipher>(&self, engine: &RefCell<Engine<'_, C>>, now: Instant) -> bool {
        self.state.borrow().early.has(now, |spi| engine.borrow().has_sa(spi))
    }

    /// The oldest frame that [`Self::has_early`] means.
    pub(crate) fn next_early<C: Cipher>(
        &self,
        engine: &RefCell<Engine<'_, C>>,
        now: Instant,
    ) -> Option<Taken> {
        self.state.borrow_mut().early.take(now, |spi| engine.borrow().has_sa(spi))
    }

    /// Whether the stack has to hear of an error.
    pub(crate) fn has_error(&self) -> bool {
        !self.state.borrow().errors.is_empty()
    }

    /// The oldest error that the stack has to hear of.
    pub(crate) fn next_error(&self) -> Option<ErrorFrame> {
        self.state.borrow_mut().errors.pop_front()
    }

    /// A frame was copied from the driver's buffer into the adapter's.
    #[cfg(feature = "device")]
    pub(crate) fn note_copy_in(&self, octets: usize) {
        self.state.borrow_mut().counters.copied_in(octets);
    }

    /// A frame that no buffer takes was dropped.
    pub(crate) fn note_oversize(&self) {
        bump(&mut self.state.borrow_mut().counters.oversize);
    }

    /// Tells the network task that the engine saw a packet.
    pub(super) fn note_moved(&self) {
        let mut state = self.state.borrow_mut();
        state.moved = true;
        let waker = state.network.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Default for Port {
    fn default() -> Self {
        Self::new()
    }
}
