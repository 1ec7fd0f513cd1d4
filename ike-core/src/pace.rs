//! Limits of what strangers, or peers that ask too much, can make us do (RFC 7296 §2.21.4, RFC 7619 §3.2).

use core::time::Duration;

use esp_engine::time::Instant;

/// The time that a limit counts in.
const SPAN: Duration = Duration::from_secs(1);

/// How often something happened in the present second.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Pace {
    since: Instant,
    count: u16,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { since: Instant::ZERO, count: 0 }
    }

    /// Whether it happened `limit` times within this second.
    pub(crate) fn is_spent(&self, now: Instant, limit: u16) -> bool {
        self.count >= limit && now.since(self.since) < SPAN
    }

    /// It happens.
    pub(crate) fn spend(&mut self, now: Instant) {
        if self.count == 0 || now.since(self.since) >= SPAN {
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many a second, and as many again in the next.
    #[test]
    fn so_many_a_second() {
        let mut pace = Pace::new();
        for second in 0..3 {
            for n in 0..5 {
                let now = Instant::from_millis(10_000 + second * 1_000 + n);
                assert!(!pace.is_spent(now, 5), "{n} in second {second}");
                pace.spend(now);
            }
            assert!(pace.is_spent(Instant::from_millis(10_000 + second * 1_000 + 999), 5));
        }
    }
}
