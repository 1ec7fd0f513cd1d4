//! The host's embassy time driver, the only one in the program. Each thread has its own clock, so
//! tests that run side by side do not see each other's time. A clock is real, or virtual: then it
//! stands still until [`crate::executor::run`] finds all futures idle and moves it to the next timer,
//! and a run is the same each time.

use std::cell::RefCell;
use std::task::Waker;
use std::time::{Duration, Instant as Monotonic};

/// Which way a thread's time passes.
enum Pace {
    Real { origin: Monotonic },
    Virtual { micros: u64 },
}

struct Clock {
    pace: Pace,
    /// Moments in microseconds, and whom to wake then.
    alarms: Vec<(u64, Waker)>,
}

thread_local! {
    static CLOCK: RefCell<Clock> =
        RefCell::new(Clock { pace: Pace::Real { origin: Monotonic::now() }, alarms: Vec::new() });
}

struct HostDriver;

impl embassy_time_driver::Driver for HostDriver {
    fn now(&self) -> u64 {
        now_micros()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        CLOCK.with_borrow_mut(|clock| {
            match clock.alarms.iter_mut().find(|(_, other)| other.will_wake(waker)) {
                Some((moment, _)) => *moment = at.min(*moment),
                None => clock.alarms.push((at, waker.clone())),
            }
        });
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: HostDriver = HostDriver);

/// Makes this thread's time virtual, beginning at zero.
pub fn make_virtual() {
    CLOCK.set(Clock { pace: Pace::Virtual { micros: 0 }, alarms: Vec::new() });
}

/// Makes this thread's time pass as the machine's does, beginning at zero.
pub fn make_real() {
    CLOCK.set(Clock { pace: Pace::Real { origin: Monotonic::now() }, alarms: Vec::new() });
}

/// Whether this thread's time is virtual.
pub fn is_virtual() -> bool {
    CLOCK.with_borrow(|clock| matches!(clock.pace, Pace::Virtual { .. }))
}

/// Microseconds since this thread's clock began.
pub fn now_micros() -> u64 {
    CLOCK.with_borrow(|clock| match clock.pace {
        Pace::Real { origin } => u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX),
        Pace::Virtual { micros } => micros,
    })
}

/// How long until the next alarm; `None` when there is none.
pub fn until_next_alarm() -> Option<Duration> {
    let next = CLOCK.with_borrow(|clock| clock.alarms.iter().map(|(at, _)| *at).min())?;
    Some(Duration::from_micros(next.saturating_sub(now_micros())))
}

/// Moves a virtual clock to its next alarm; `false` when there is none.
pub fn jump_to_next_alarm() -> bool {
    CLOCK.with_borrow_mut(|clock| {
        let Some(next) = clock.alarms.iter().map(|(at, _)| *at).min() else { return false };
        if let Pace::Virtual { micros } = &mut clock.pace {
            *micros = next.max(*micros);
        }
        true
    })
}

/// Wakes everyone whose moment has come.
pub fn ring_due_alarms() {
    let now = now_micros();
    // Wakers run outside the borrow: waking may set a new alarm.
    let due: Vec<Waker> = CLOCK.with_borrow_mut(|clock| {
        clock.alarms.extract_if(.., |(at, _)| *at <= now).map(|(_, waker)| waker).collect()
    });
    due.into_iter().for_each(Waker::wake);
}
