//! Parts of one future that are polled only when they were woken themselves.
//!
//! embassy-net's sockets wake the stack's runner each time they are polled. Joined in one future with
//! one waker, both would wake each other for ever: a device that never sleeps, and on one core a
//! Control that never runs. So each part has a waker of its own, which notes who is meant and passes
//! the wake on. This is the only `unsafe` code of the crate, for the wakers' table.

use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use embassy_sync::waitqueue::AtomicWaker;

/// Parts that a Network has.
pub const PARTS: usize = 6;

/// The wakers of one Network's parts: a `static` of the board, for drivers keep wakers as long as
/// they like.
pub struct Wakers([Slot; PARTS]);

struct Slot {
    woken: AtomicBool,
    whole: AtomicWaker,
}

impl Wakers {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self([const { Slot { woken: AtomicBool::new(false), whole: AtomicWaker::new() } }; PARTS])
    }
}

impl Default for Wakers {
    fn default() -> Self {
        Self::new()
    }
}

impl Slot {
    fn waker(&'static self) -> Waker {
        // SAFETY: the table's functions take the pointer for the `&'static Slot` that it is, and a
        // slot may be shared between threads.
        unsafe { Waker::from_raw(RawWaker::new(core::ptr::from_ref(self).cast(), &TABLE)) }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(|slot| RawWaker::new(slot, &TABLE), wake, wake, |_| ());

fn wake(slot: *const ()) {
    // SAFETY: only `Slot::waker` makes wakers with this table, from a `&'static Slot`.
    let slot = unsafe { &*slot.cast::<Slot>() };
    slot.woken.store(true, Ordering::Release);
    slot.whole.wake();
}

/// A part, pinned by whoever runs it: futures that are passed on by value take their room twice.
pub type Part<'p> = Pin<&'p mut dyn Future<Output = Infallible>>;

/// Runs the parts of one Network for ever. `wakers` are theirs alone.
pub async fn run(wakers: &'static Wakers, mut parts: [Part<'_>; PARTS]) -> Infallible {
    wakers.0.iter().for_each(|slot| slot.woken.store(true, Ordering::Release));
    poll_fn(|cx| {
        for (slot, part) in wakers.0.iter().zip(&mut parts) {
            slot.whole.register(cx.waker());
            if slot.woken.load(Ordering::Acquire) {
                // A wake that comes between is answered by the poll below.
                slot.woken.store(false, Ordering::Release);
                let waker = slot.waker();
                if let Poll::Ready(never) = part.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Poll::Ready(never);
                }
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::cell::{Cell, RefCell};
    use std::pin::pin;

    use super::*;

    /// A part that counts its polls and lends its waker.
    async fn part(
        polls: &Cell<u32>,
        waker: &RefCell<Option<Waker>>,
        wakes: &RefCell<Option<Waker>>,
    ) -> Infallible {
        poll_fn(|cx| {
            polls.set(polls.get() + 1);
            waker.replace(Some(cx.waker().clone()));
            // As a socket does to its stack's runner.
            if let Some(other) = wakes.borrow().as_ref() {
                other.wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    #[test]
    fn a_part_that_wakes_another_at_each_poll_is_not_polled_for_ever() {
        let wakers: &'static Wakers = Box::leak(Box::default());
        let (polls_socket, polls_runner) = (Cell::new(0), Cell::new(0));
        let (socket, runner, nobody) = (RefCell::new(None), RefCell::new(None), RefCell::new(None));
        let first = pin!(part(&polls_socket, &socket, &runner));
        let second = pin!(part(&polls_runner, &runner, &nobody));
        let (third, fourth) = (pin!(core::future::pending()), pin!(core::future::pending()));
        let (fifth, sixth) = (pin!(core::future::pending()), pin!(core::future::pending()));
        let mut whole = pin!(run(wakers, [first, second, third, fourth, fifth, sixth]));
        let woken: &'static Wakers = Box::leak(Box::default());
        let mut turns = 0;
        let mut turn = || {
            woken.0[0].woken.store(false, Ordering::Release);
            assert!(whole.as_mut().poll(&mut Context::from_waker(&woken.0[0].waker())).is_pending());
            turns += 1;
            woken.0[0].woken.load(Ordering::Acquire)
        };
        while turn() {}
        let before = (polls_socket.get(), polls_runner.get());
        socket.borrow().as_ref().unwrap().wake_by_ref();
        while turn() {}
        let after = (polls_socket.get() - before.0, polls_runner.get() - before.1);
        assert_eq!(after, (1, 1));
        assert!(turns < 8, "{turns}");
    }

    #[test]
    fn clones_of_a_waker_are_known_as_the_same() {
        let wakers: &'static Wakers = Box::leak(Box::default());
        let waker = wakers.0[0].waker();
        assert!(waker.will_wake(&waker.clone()));
        assert!(!waker.will_wake(&wakers.0[1].waker()));
    }
}
