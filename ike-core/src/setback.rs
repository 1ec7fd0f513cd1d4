//! Setbacks: a negotiation that failed is not begun anew by the very next packet. The pause doubles with
//! each failure in a row, so that a peer that refuses us costs neither of us its processor.

use core::net::IpAddr;
use core::time::Duration;

use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;

/// Failures that are remembered; the one that ends first makes room.
const CAPACITY: usize = 8;

/// The first pause.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it doubles at most.
const MAX_DOUBLINGS: u8 = 6;

/// What failed of late.
#[derive(Clone, Hash, Debug, Default)]
pub(crate) struct Setbacks(heapless::Vec<Setback, CAPACITY>);

#[derive(Clone, Hash, Debug)]
struct Setback {
    policy: PolicyId,
    remote: IpAddr,
    doublings: u8,
    until: Instant,
}

impl Setbacks {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Whether packets for this policy and address have to wait.
    pub(crate) fn is_waiting(&self, policy: PolicyId, remote: IpAddr, now: Instant) -> bool {
        self.0.iter().any(|s| s.policy == policy && s.remote == remote && now < s.until)
    }

    /// A negotiation failed.
    pub(crate) fn failed(&mut self, policy: PolicyId, remote: IpAddr, now: Instant) {
        let before = self.take(policy, remote).map(|setback| (setback.doublings + 1).min(MAX_DOUBLINGS));
        let doublings = before.unwrap_or(0);
        if self.0.is_full() {
            let first = self.0.iter().enumerate().min_by_key(|(_, setback)| setback.until);
            if let Some((index, _)) = first {
                self.0.swap_remove(index);
            }
        }
        // There is room now.
        let _ = self.0.push(Setback { policy, remote, doublings, until: now + PAUSE * (1 << doublings) });
    }

    /// A negotiation succeeded: the next failure is a first one.
    pub(crate) fn succeeded(&mut self, policy: PolicyId, remote: IpAddr) {
        self.take(policy, remote);
    }

    fn take(&mut self, policy: PolicyId, remote: IpAddr) -> Option<Setback> {
        let index = self.0.iter().position(|s| s.policy == policy && s.remote == remote)?;
        Some(self.0.swap_remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const POLICY: PolicyId = PolicyId(3);

    const fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// The pause doubles with each failure in a row, to about a minute, and success ends the row.
    #[test]
    fn pauses_double_until_success() {
        let mut setbacks = Setbacks::default();
        for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000] {
            setbacks.failed(POLICY, REMOTE, at(0));
            assert!(setbacks.is_waiting(POLICY, REMOTE, at(pause - 1)));
            assert!(!setbacks.is_waiting(POLICY, REMOTE, at(pause)));
        }
        setbacks.succeeded(POLICY, REMOTE);
        assert!(!setbacks.is_waiting(POLICY, REMOTE, at(0)));
        setbacks.failed(POLICY, REMOTE, at(0));
        assert!(!setbacks.is_waiting(POLICY, REMOTE, at(1_000)));
    }

    /// Others do not wait, and the table makes room for the newest.
    #[test]
    fn others_do_not_wait() {
        let mut setbacks = Setbacks::default();
        for policy in 0..20 {
            setbacks.failed(PolicyId(policy), REMOTE, at(u64::from(policy)));
            assert!(setbacks.is_waiting(PolicyId(policy), REMOTE, at(u64::from(policy))));
        }
        assert!(!setbacks.is_waiting(PolicyId(99), REMOTE, at(0)));
        assert!(!setbacks.is_waiting(PolicyId(19), Ipv4Addr::LOCALHOST.into(), at(0)));
    }
}
