//! A new key in place of an old one without a moment in which a peer knows neither (RFC 7583 §2 says it of
//! zone keys): the new one is published beside the old, everybody's memory of the old RRset runs out, only
//! then it is used, and the old one goes.
//!
//! ```text
//! Steady ── begin ──▶ Adding ── published ──▶ Spreading ── TTL over ──▶ Usable ── switched ──▶ Steady
//! ```

use core::time::Duration;

use esp_engine::time::Instant;

use crate::crypto::PublicKey;

/// Where a change of keys stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Rollover {
    /// There is one key, or none.
    Steady,
    /// The next key is to be published.
    Adding { next: PublicKey },
    /// It is published; some still remember the RRset without it.
    Spreading { next: PublicKey, until: Instant },
    /// Everybody who asks gets it.
    Usable { next: PublicKey },
}

impl Rollover {
    /// The key beside the present one.
    pub(super) const fn next(&self) -> Option<&PublicKey> {
        match self {
            Self::Steady => None,
            Self::Adding { next } | Self::Spreading { next, .. } | Self::Usable { next } => Some(next),
        }
    }

    /// Both keys are published, with this many seconds to live.
    pub(super) fn published(&mut self, now: Instant, ttl: u32) {
        if let Self::Adding { next } = *self {
            *self = Self::Spreading { next, until: now + Duration::from_secs(ttl.into()) };
        }
    }

    /// When it goes on by itself.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Spreading { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Whether the next key's time has come, said once.
    pub(super) fn becomes_usable(&mut self, now: Instant) -> bool {
        match *self {
            Self::Spreading { next, until } if now >= until => {
                *self = Self::Usable { next };
                true
            }
            _ => false,
        }
    }
}
