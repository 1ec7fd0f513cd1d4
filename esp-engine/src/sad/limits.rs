//! How long an SA lives (RFC 4301 §4.4.2.1): by time, octets and packets, a soft limit before a hard one.

use crate::sa::Limits;
use crate::time::Instant;

/// 32-bit sequence numbers ask for a successor here, a quarter before they end.
pub(super) const SOFT_PACKETS: u64 = 3 << 30;

/// Where an SA stands in its life.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Stage {
    /// No limit reached.
    Young,
    /// A successor is wanted.
    Ageing,
    /// It carries nothing any more.
    Expired,
}

/// [`Limits`] with what does not limit out of reach.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Bounds {
    pub(super) at: Instant,
    octets: u64,
    packets: u64,
}

impl Bounds {
    pub(super) const NEVER: Instant = Instant::from_millis(u64::MAX);

    /// When a successor is wanted.
    pub(super) fn soft(now: Instant, limits: Limits, extended: bool) -> Self {
        Self::new(now, limits, if extended { u64::MAX } else { SOFT_PACKETS })
    }

    /// When the SA ends: at the last sequence number if not before (RFC 4303 §3.3.3).
    pub(super) fn hard(now: Instant, limits: Limits, extended: bool) -> Self {
        Self::new(now, limits, if extended { u64::MAX } else { u64::from(u32::MAX) })
    }

    fn new(now: Instant, limits: Limits, packets: u64) -> Self {
        let or_never = |limit| if limit == 0 { u64::MAX } else { limit };
        Self {
            at: if limits.time.is_zero() { Self::NEVER } else { now + limits.time },
            octets: or_never(limits.octets),
            packets: or_never(limits.packets).min(packets),
        }
    }

    pub(super) fn reached(&self, now: Instant, octets: u64, packets: u64) -> bool {
        now >= self.at || octets >= self.octets || packets >= self.packets
    }
}
