//! How many errors a router sends (RFC 1812 §4.3.2.8, RFC 4443 §2.4(f)).

use core::time::Duration;

use esp_engine::time::Instant;

/// A token bucket for errors: a burst of ten, then ten a second (RFC 4443 §2.4(f)).
pub struct Limiter {
    tokens: u8,
    filled: Instant,
}

impl Limiter {
    const BURST: u8 = 10;
    const REFILL: Duration = Duration::from_millis(100);

    /// A full bucket.
    pub const fn new() -> Self {
        Self { tokens: Self::BURST, filled: Instant::ZERO }
    }

    /// Whether one more error may leave.
    pub fn allow(&mut self, now: Instant) -> bool {
        let periods = now.since(self.filled).as_millis() / Self::REFILL.as_millis();
        if periods > 0 {
            self.tokens =
                u8::try_from(periods).map_or(Self::BURST, |n| self.tokens.saturating_add(n).min(Self::BURST));
            self.filled = now;
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_limited_to_a_burst_and_a_rate() {
        let mut limiter = Limiter::new();
        let at = Instant::from_millis;
        let allowed = |limiter: &mut Limiter, now| (0..50).filter(|_| limiter.allow(now)).count();
        assert_eq!(allowed(&mut limiter, at(0)), 10);
        assert_eq!(allowed(&mut limiter, at(99)), 0);
        assert_eq!(allowed(&mut limiter, at(300)), 3);
        assert_eq!(allowed(&mut limiter, at(1_000_000)), 10);
    }
}
