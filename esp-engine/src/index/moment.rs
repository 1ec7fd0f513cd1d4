//! Moments as keys.

use crate::time::Instant;

/// An [`Instant`] in two words of 32 bits: it leaves no gap beside the number of a slot.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Moment {
    high: u32,
    low: u32,
}

impl Moment {
    /// The beginning of time.
    pub const ZERO: Self = Self { high: 0, low: 0 };

    /// The same as an [`Instant`].
    pub const fn instant(self) -> Instant {
        Instant::from_millis(((self.high as u64) << 32) | self.low as u64)
    }
}

impl From<Instant> for Moment {
    fn from(at: Instant) -> Self {
        Self { high: (at.as_millis() >> 32) as u32, low: at.as_millis() as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They come in the order of time.
    #[test]
    fn moments_are_ordered_as_instants() {
        let times = [0, 1, u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, u64::MAX].map(Instant::from_millis);
        assert!(times.is_sorted_by_key(|at| Moment::from(*at)));
        assert!(times.iter().all(|at| Moment::from(*at).instant() == *at));
    }
}
