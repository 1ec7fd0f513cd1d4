//! Setbacks: a negotiation that failed is not begun anew by the very next packet. The pause doubles with
//! each failure in a row, so that a peer that refuses us costs neither of us its processor. In the same way
//! nobody guesses a peer's shared key faster than that.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use esp_engine::time::Instant;

/// Failures that are remembered; the one that ends first makes room.
const CAPACITY: usize = 8;

/// The first pause.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it doubles at most.
const MAX_DOUBLINGS: u8 = 6;

/// What failed of late.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Setbacks<K>(heapless::Vec<Setback<K>, CAPACITY>);

#[derive(Clone, Hash, Debug)]
struct Setback<K> {
    what: K,
    remote: IpAddr,
    doublings: u8,
    until: Instant,
}

impl<K: PartialEq> Setbacks<K> {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Whether this and this address have to wait.
    pub(crate) fn is_waiting(&self, what: K, remote: IpAddr, now: Instant) -> bool {
        self.until(what, remote, now).is_some()
    }

    /// Until when this and this address have to wait, if they do.
    pub(crate) fn until(&self, what: K, remote: IpAddr, now: Instant) -> Option<Instant> {
        let setback = self.0.iter().find(|s| s.what == what && s.remote == remote && now < s.until)?;
        Some(setback.until)
    }

    /// Whether the last attempt failed, however long ago.
    pub(crate) fn is_known(&self, what: K, remote: IpAddr) -> bool {
        self.0.iter().any(|s| s.what == what && s.remote == remote)
    }

    /// A negotiation failed.
    pub(crate) fn failed(&mut self, what: K, remote: IpAddr, now: Instant) {
        let before = self.take(&what, remote).map(|setback| (setback.doublings + 1).min(MAX_DOUBLINGS));
        let doublings = before.unwrap_or(0);
        if self.0.is_full() {
            let first = self.0.iter().enumerate().min_by_key(|(_, setback)| setback.until);
            if let Some((index, _)) = first {
                self.0.swap_remove(index);
            }
        }
        // There is room now.
        let _ = self.0.push(Setback { what, remote, doublings, until: now + PAUSE * (1 << doublings) });
    }

    /// A negotiation succeeded: the next failure is a first one.
    pub(crate) fn succeeded(&mut self, what: K, remote: IpAddr) {
        self.take(&what, remote);
    }

    fn take(&mut self, what: &K, remote: IpAddr) -> Option<Setback<K>> {
        let index = self.0.iter().position(|s| s.what == *what && s.remote == remote)?;
        Some(self.0.swap_remove(index))
    }
}

/// The network that an address probably lies in, /24 or /56 (RFC 6177): whoever guesses, or comes as many strangers,
/// has more than one address of it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xFF).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 72 << 72).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use esp_engine::spd::PolicyId;

    const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const POLICY: PolicyId = PolicyId(3);

    const fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// The pause doubles with each failure in a row, to about a minute, and success ends the row.
    #[test]
    fn pauses_double_until_success() {
        let mut setbacks = Setbacks::new();
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

    /// RFC 6177: an end site has many networks of 64 bits.
    #[test]
    fn networks_are_those_of_sites() {
        let same = |a: &str, b: &str| {
            let network = |text: &str| network(text.parse().expect("an address"));
            network(a) == network(b)
        };
        assert!(same("192.0.2.1", "192.0.2.255") && !same("192.0.2.1", "192.0.3.1"));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:ff:2::"));
        assert!(!same("2001:db8:0:ff::1", "2001:db8:0:100::1"));
    }

    /// Others do not wait, and the table makes room for the newest.
    #[test]
    fn others_do_not_wait() {
        let mut setbacks = Setbacks::new();
        for policy in 0..20 {
            setbacks.failed(PolicyId(policy), REMOTE, at(u64::from(policy)));
            assert!(setbacks.is_waiting(PolicyId(policy), REMOTE, at(u64::from(policy))));
        }
        assert!(!setbacks.is_waiting(PolicyId(99), REMOTE, at(0)));
        assert!(!setbacks.is_waiting(PolicyId(19), Ipv4Addr::LOCALHOST.into(), at(0)));
    }
}
