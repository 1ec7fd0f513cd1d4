//! The time of day, without which no signature can be judged (RFC 4035 §5.3.1).
//!
//! A device may start in 1970. Its [`Clock`] is not set until somebody sets it, and never believes a time
//! before its lower bound: that of the build, or one that was kept across a restart. A time from the network
//! (SNTP, a peer's hint) is first proven by the resolver: keys of the root, asked for afresh, have to verify
//! at that time. Nothing is ever learned from an answer that was not proven, and the bound rises to when those
//! keys were signed, not to the time that was proposed: whoever lies within the life of that signature is
//! believed until somebody tells the truth, and no longer.

use core::time::Duration;

use esp_engine::time::Instant;

use super::UnixTime;

/// The time of day beside the resolver's own [`Instant`]s.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Clock {
    bound: UnixTime,
    known: Option<(Instant, UnixTime)>,
}

/// The time lies before what it certainly is.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct BeforeBound;

impl Clock {
    /// Not set; it is not earlier than `bound`.
    pub const fn new(bound: UnixTime) -> Self {
        Self { bound, known: None }
    }

    /// What it certainly is not earlier than.
    pub const fn bound(&self) -> UnixTime {
        self.bound
    }

    /// The time of day; `None` while it is not set.
    pub fn time(&self, now: Instant) -> Option<UnixTime> {
        let (at, time) = self.known?;
        Some(later(time, now.since(at)))
    }

    /// Sets it, on the word of somebody who is believed: a clock that runs on a battery, the operator.
    ///
    /// # Errors
    /// [`BeforeBound`]: it stays as it was.
    pub fn set(&mut self, now: Instant, time: UnixTime) -> Result<(), BeforeBound> {
        if time < self.bound {
            return Err(BeforeBound);
        }
        self.known = Some((now, time));
        Ok(())
    }

    /// Something was made at `moment`, by whom nobody can imitate: it is not earlier now. The bound, if that
    /// made it rise.
    pub fn not_before(&mut self, moment: UnixTime) -> Option<UnixTime> {
        let rises = self.bound < moment;
        self.bound = self.bound.max(moment);
        rises.then_some(self.bound)
    }
}

/// So long after `time`.
pub(super) const fn later(time: UnixTime, by: Duration) -> UnixTime {
    UnixTime(time.0.saturating_add(by.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: UnixTime = UnixTime(1_700_000_000);

    /// It goes on by itself, and stays unknown as long as nobody says it.
    #[test]
    fn time_passes() {
        let mut clock = Clock::new(BUILT);
        assert_eq!(clock.time(Instant::from_millis(5_000)), None);
        assert_eq!(clock.set(Instant::from_millis(5_000), UnixTime(1_800_000_000)), Ok(()));
        assert_eq!(clock.time(Instant::from_millis(65_999)), Some(UnixTime(1_800_000_060)));
    }

    /// What was true once cannot become earlier: a signature that expired stays so.
    #[test]
    fn nothing_before_the_bound() {
        let mut clock = Clock::new(BUILT);
        assert_eq!(clock.set(Instant::ZERO, UnixTime(1_600_000_000)), Err(BeforeBound));
        assert_eq!(clock.time(Instant::ZERO), None);
        clock.set(Instant::ZERO, UnixTime(1_800_000_000)).unwrap();
        assert_eq!(clock.not_before(UnixTime(1_799_000_000)), Some(UnixTime(1_799_000_000)));
        assert_eq!(clock.not_before(UnixTime(1_798_000_000)), None);
        assert_eq!(clock.set(Instant::ZERO, UnixTime(1_798_999_999)), Err(BeforeBound));
        assert_eq!(clock.set(Instant::ZERO, UnixTime(1_799_000_000)), Ok(()));
    }
}
