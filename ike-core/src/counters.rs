//! How often things happened: every datagram that is dropped counts under its reason, so that a flood
//! or a mistake is seen without a log. Counters stop at their end instead of starting anew.

use crate::error::Discarded;

/// How often each thing happened since the endpoint was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counters {
    discarded: [u32; Discarded::ALL.len()],
    /// Datagrams that are no IKE message or whose payloads are none.
    pub malformed: u32,
    /// Datagrams that were taken.
    pub accepted: u32,
    /// Requests of ours that were sent again.
    pub retransmitted: u32,
    /// Requests of the peers that came again and were answered again.
    pub replayed: u32,
    /// IKE SAs that were established.
    pub established: u32,
    /// Negotiations that failed.
    pub failed: u32,
    /// Peers whose authentication failed.
    pub authentication_failed: u32,
    /// Strangers that were refused because their network has its share
    /// ([`FailReason::NetworkFull`](crate::error::FailReason::NetworkFull)).
    pub network_full: u32,
    /// Shared secrets computed: what a flood makes us pay for.
    pub key_exchanges: u32,
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self {
            discarded: [0; Discarded::ALL.len()],
            malformed: 0,
            accepted: 0,
            retransmitted: 0,
            replayed: 0,
            established: 0,
            failed: 0,
            authentication_failed: 0,
            network_full: 0,
            key_exchanges: 0,
        }
    }

    /// Datagrams dropped for this reason.
    pub fn discarded(&self, reason: Discarded) -> u32 {
        match Self::index(reason) {
            Some(index) => self.discarded.get(index).copied().unwrap_or(0),
            None => self.malformed,
        }
    }

    /// Datagrams dropped for whatever reason.
    pub fn discarded_in_all(&self) -> u32 {
        self.discarded.iter().fold(self.malformed, |sum, n| sum.saturating_add(*n))
    }

    pub(crate) fn count(&mut self, reason: Discarded) {
        let counter = match Self::index(reason) {
            Some(index) => self.discarded.get_mut(index),
            None => Some(&mut self.malformed),
        };
        if let Some(counter) = counter {
            bump(counter);
        }
    }

    fn index(reason: Discarded) -> Option<usize> {
        Discarded::ALL.iter().position(|other| *other == reason)
    }
}

/// Once more; a counter at its end stays there.
#[inline(never)]
pub(crate) fn bump(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
