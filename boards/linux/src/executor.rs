//! One thread, a few tasks, each polled when it was woken. When all are idle, time moves on: real time
//! sleeps in `poll(2)` until a descriptor is ready or the next timer is due; virtual time jumps there.
//! embassy-executor's host platform has no hook for "all idle", which virtual time needs.
//!
//! Tasks have wakers of their own because embassy-net's sockets wake the stack's runner each time they
//! are polled: as one joined future the two would wake each other for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::{readiness, time};

/// Virtual time has nothing left that could ever happen.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Stalled;

/// Something that runs beside the main future for as long as that does.
pub type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs `main` to its end, and `tasks` beside it.
///
/// # Errors
/// [`Stalled`] when all are idle in virtual time and no timer is set.
pub fn run<'a, T: 'a>(main: impl Future<Output = T> + 'a, tasks: Vec<Task<'a>>) -> Result<T, Stalled> {
    let result = std::cell::RefCell::new(None);
    let main = async {
        let output = main.await;
        result.replace(Some(output));
    };
    let mut all: Vec<(Woken, Task<'_>)> = vec![(Woken::new(), Box::pin(main))];
    all.extend(tasks.into_iter().map(|task| (Woken::new(), task)));
    loop {
        while poll_woken(&mut all) {
            if let Some(output) = result.take() {
                return Ok(output);
            }
            time::ring_due_alarms();
        }
        if !time::is_virtual() {
            readiness::wait(time::until_next_alarm());
        } else if !time::jump_to_next_alarm() {
            return Err(Stalled);
        }
        time::ring_due_alarms();
    }
}

/// Polls each task that was woken; `false` when there was none.
fn poll_woken(all: &mut Vec<(Woken, Task<'_>)>) -> bool {
    let mut any = false;
    all.retain_mut(|(woken, task)| {
        if !woken.0.swap(false, Ordering::Acquire) {
            return true;
        }
        any = true;
        let waker = woken.waker();
        task.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending
    });
    any
}

/// Whether a task was woken since it was last polled. Wakers may outlive their task, so the flag does too.
struct Woken(&'static AtomicBool);

impl Woken {
    fn new() -> Self {
        Self(Box::leak(Box::new(AtomicBool::new(true))))
    }

    /// `std::task::Wake` does not promise that a waker's clones satisfy `will_wake`, which sockets with
    /// room for one waker depend on; a table that is a static does.
    fn waker(&self) -> Waker {
        // SAFETY: the table's functions treat the pointer as the `&'static AtomicBool` that it is.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(self.0).cast(), &TABLE)) }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(|flag| RawWaker::new(flag, &TABLE), raise, raise, |_| ());

fn raise(flag: *const ()) {
    // SAFETY: only `Woken::waker` makes wakers with this table, from a `&'static AtomicBool`.
    unsafe { &*flag.cast::<AtomicBool>() }.store(true, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use embassy_time::{Duration, Instant, Timer};

    use super::*;

    #[test]
    fn virtual_time_jumps_to_the_next_timer_and_wakes_in_order() {
        time::make_virtual();
        let start = std::time::Instant::now();
        let order = std::cell::RefCell::new(Vec::new());
        let wait = async |seconds: u64| {
            Timer::after(Duration::from_secs(seconds)).await;
            order.borrow_mut().push((seconds, Instant::now().as_secs()));
        };
        run(embassy_futures::join::join(wait(3600), wait(1)), vec![Box::pin(wait(60))]).unwrap();
        assert_eq!(*order.borrow(), [(1, 1), (60, 60), (3600, 3600)]);
        assert!(start.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn a_future_that_nothing_can_wake_is_an_error_not_a_hang() {
        time::make_virtual();
        assert_eq!(run(std::future::pending::<()>(), Vec::new()), Err(Stalled));
    }

    #[test]
    fn real_time_passes_at_its_own_pace() {
        time::make_real();
        let start = std::time::Instant::now();
        run(Timer::after(Duration::from_millis(20)), Vec::new()).unwrap();
        assert!(start.elapsed() >= std::time::Duration::from_millis(20));
    }
}
