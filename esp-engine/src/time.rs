//! Time as the cores see it: an argument, never a clock of their own.

use core::hash::{Hash, Hasher};
use core::ops::Add;
use core::time::Duration;

/// A moment, in milliseconds since an epoch of the caller's choosing. It need not be the time of
/// day; it must not go backwards.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);

    /// The moment `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` lies ahead.
    #[inline(never)]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    // Not inlined: moments are reckoned in many places, and each would carry multiplications of 64 bits.
    #[inline(never)]
    fn add(self, duration: Duration) -> Self {
        let ms = duration.as_secs().saturating_mul(1_000).saturating_add(u64::from(duration.subsec_millis()));
        Self(self.0.saturating_add(ms))
    }
}

impl Hash for Instant {
    /// As a signed number, so that a hasher that means to can tell moments from other numbers: two states
    /// are the same whenever they are reached if they agree on what is how far ahead.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.0.cast_signed());
    }
}
