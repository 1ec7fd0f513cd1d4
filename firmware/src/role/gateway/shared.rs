//! What the forwarding path and the rest of Network share: packets that wait for an SA either way, wakers,
//! counters. Everything is borrowed for one packet at most.

use core::cell::RefCell;
use core::net::IpAddr;
use core::task::{Context, Poll, Waker};

use esp_engine::early::{Early, Taken};
use esp_engine::hold::Hold;
use esp_engine::sa::Spi;
use esp_engine::selector::Selectors;
use esp_engine::time::Instant;

use super::inspect::Refusal;
use super::neighbour::HeldPacket;
use crate::config::Outside;
use crate::network::{DataPath, PathCounters};

/// What a forwarding path did, in packets. Counts saturate.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Sent on, or waiting for an SA or a neighbour.
    pub forwarded: u32,
    /// Waited for an SA.
    pub held: u32,
    /// Came before their SA and were kept for it.
    pub early: u32,
    /// Dropped: no IP packet, or a damaged header.
    pub malformed: u32,
    /// Dropped: a source address that cannot be there.
    pub martian: u32,
    /// Dropped: a destination that no router passes on.
    pub unforwardable: u32,
    /// Dropped: for us, but nothing of ours takes it.
    pub unserved: u32,
    /// Dropped: TTL or hop limit used up.
    pub time_exceeded: u32,
    /// Dropped: no way there.
    pub no_route: u32,
    /// Dropped: longer than what fits.
    pub too_big: u32,
    /// Dropped: policy forbids it.
    pub prohibited: u32,
    /// Dropped by the engine, which counts its reasons.
    pub engine: u32,
    /// Dropped: too many packets wait for an SA.
    pub hold_full: u32,
    /// Dropped: too many packets wait for neighbours.
    pub neighbour_full: u32,
    /// Dropped: the neighbour does not answer.
    pub host_unreachable: u32,
    /// Dropped: the port had no room.
    pub no_room: u32,
    /// Dropped: our own stack had no room.
    pub stack_full: u32,
    /// Dropped: fragments that cannot be joined.
    pub fragments: u32,
}

impl Counters {
    const ZERO: Self = Self {
        forwarded: 0,
        held: 0,
        early: 0,
        malformed: 0,
        martian: 0,
        unforwardable: 0,
        unserved: 0,
        time_exceeded: 0,
        no_route: 0,
        too_big: 0,
        prohibited: 0,
        engine: 0,
        hold_full: 0,
        neighbour_full: 0,
        host_unreachable: 0,
        no_room: 0,
        stack_full: 0,
        fragments: 0,
    };
}

/// What both sides share.
pub(crate) struct Shared {
    state: RefCell<State>,
}

struct State {
    /// Where the device is, if the path has yet to hear of it.
    outside: Option<Outside>,
    hold: Hold,
    early: Early,
    counters: Counters,
    path: Option<Waker>,
    network: Option<Waker>,
    moved: bool,
}

impl Shared {
    pub(super) const fn new() -> Self {
        Self {
            state: RefCell::new(State {
                outside: None,
                hold: Hold::new(),
                early: Early::new(),
                counters: Counters::ZERO,
                path: None,
                network: None,
                moved: false,
            }),
        }
    }

    /// Remembers whom an installed SA wakes.
    pub(super) fn register(&self, cx: &Context<'_>) {
        let mut state = self.state.borrow_mut();
        if !state.path.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            state.path = Some(cx.waker().clone());
        }
    }

    /// Where the device is, once each time that this changed.
    pub(super) fn take_outside(&self) -> Option<Outside> {
        self.state.borrow_mut().outside.take()
    }

    /// Forgets the packets that wait and come from an address that is no longer ours.
    pub(super) fn forget_from(&self, source: IpAddr) {
        self.state.borrow_mut().hold.forget_from(source);
    }

    /// Keeps a packet until there is an SA.
    pub(super) fn hold(&self, now: Instant, flow: Selectors, packet: &[u8]) -> Result<(), Refusal> {
        let mut state = self.state.borrow_mut();
        state.hold.push(now, flow, packet).map_err(|_| Refusal::HoldFull)?;
        state.counters.held = state.counters.held.saturating_add(1);
        Ok(())
    }

    /// A copy of the next packet whose SA may be there now.
    pub(super) fn next_due(&self, now: Instant) -> Option<HeldPacket> {
        HeldPacket::from_slice(self.state.borrow_mut().hold.next_due(now)?).ok()
    }

    /// Forgets the packet that [`Self::next_due`] shows.
    pub(super) fn remove_due(&self) {
        self.state.borrow_mut().hold.remove_due();
    }

    /// Lets the packet that [`Self::next_due`] shows wait on.
    pub(super) fn wait_on(&self) {
        self.state.borrow_mut().hold.wait_on();
    }

    /// Keeps a packet that came before its SA.
    pub(super) fn keep_early(&self, now: Instant, spi: Spi, packet: &[u8]) -> Result<(), Refusal> {
        let mut state = self.state.borrow_mut();
        state.early.push(now, spi, packet).map_err(|_| Refusal::Engine)?;
        state.counters.early = state.counters.early.saturating_add(1);
        Ok(())
    }

    /// The oldest packet that came before its SA, which is there now.
    pub(super) fn next_early(&self, now: Instant, is_there: impl Fn(Spi) -> bool) -> Option<Taken> {
        self.state.borrow_mut().early.take(now, is_there)
    }

    /// A packet went through the engine, which may have something to say.
    pub(super) fn note_moved(&self) {
        let mut state = self.state.borrow_mut();
        state.moved = true;
        if let Some(waker) = state.network.take() {
            waker.wake();
        }
    }

    pub(super) fn note_forwarded(&self) {
        let counters = &mut self.state.borrow_mut().counters;
        counters.forwarded = counters.forwarded.saturating_add(1);
    }

    pub(super) fn count(&self, refusal: Refusal) {
        let counters = &mut self.state.borrow_mut().counters;
        let count = match refusal {
            Refusal::Malformed => &mut counters.malformed,
            Refusal::Martian => &mut counters.martian,
            Refusal::Unforwardable => &mut counters.unforwardable,
            Refusal::Unserved => &mut counters.unserved,
            Refusal::TimeExceeded => &mut counters.time_exceeded,
            Refusal::NoRoute => &mut counters.no_route,
            Refusal::TooBig(_) => &mut counters.too_big,
            Refusal::Prohibited => &mut counters.prohibited,
            Refusal::Engine | Refusal::WantsSa(_) => &mut counters.engine,
            Refusal::HoldFull => &mut counters.hold_full,
            Refusal::NeighbourFull => &mut counters.neighbour_full,
            Refusal::HostUnreachable => &mut counters.host_unreachable,
            Refusal::NoRoom => &mut counters.no_room,
            Refusal::StackFull => &mut counters.stack_full,
            Refusal::Fragment => &mut counters.fragments,
        };
        *count = count.saturating_add(1);
    }

    pub(super) fn counted(&self) -> Counters {
        self.state.borrow().counters
    }
}

impl DataPath for Shared {
    fn wake(&self) {
        let mut state = self.state.borrow_mut();
        state.hold.retry();
        if let Some(waker) = state.path.take() {
            waker.wake();
        }
    }

    fn poll_moved(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if core::mem::take(&mut state.moved) {
            return Poll::Ready(());
        }
        state.network = Some(cx.waker().clone());
        Poll::Pending
    }

    fn readdress(&self, outside: &Outside) {
        self.state.borrow_mut().outside = Some(outside.clone());
    }

    fn counters(&self) -> PathCounters {
        PathCounters::Gateway(self.counted())
    }
}
