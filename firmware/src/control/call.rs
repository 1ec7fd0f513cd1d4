//! Peers that shall be there at once: when they are called, and called again.

use core::time::Duration;

use esp_engine::time::Instant;
use ike_core::crypto::Crypto;
use ike_core::pad::PeerId;
use rand_core::TryCryptoRng;

use super::Control;
use crate::clock;
use crate::config::Start;
use crate::report::Sink;
use crate::storage::Storage;

/// The first break before a lost peer is called again; each further one is twice as long.
pub(super) const FIRST_BREAK: Duration = Duration::from_secs(1);

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    pub(super) fn call_at_once(&mut self) {
        for (peer, state) in self.config.peers.iter().zip(&mut self.peers) {
            if peer.start == Start::AtOnce {
                state.call = Some(clock::now());
            }
        }
    }

    /// Calls a lost peer again after a break, if it shall be there at once.
    pub(super) fn call_later(&mut self, now: Instant, peer: PeerId) {
        let longest = Duration::from_secs(u64::from(self.config.timing.retry_s));
        let at_once = self.config.peer(peer).is_some_and(|entry| entry.start == Start::AtOnce);
        if let Some(state) = self.peers.get_mut(usize::from(peer.0)).filter(|_| at_once) {
            state.call = Some(now + state.pause.min(longest));
            state.pause = (state.pause * 2).min(longest);
        }
    }

    pub(super) fn next_call(&self) -> Option<Instant> {
        self.peers.iter().filter_map(|state| state.call).min()
    }

    pub(super) fn call_due(&mut self, now: Instant) {
        for place in 0..self.peers.len() {
            let peer = PeerId(u16::try_from(place).unwrap_or(u16::MAX));
            let due = self.peers.get_mut(place).and_then(|state| state.call.take_if(|moment| *moment <= now));
            if due.is_some() {
                let begun = self.endpoint.initiate(now, peer);
                self.begun(now, Some(peer), None, begun);
                if begun.is_err() {
                    self.call_later(now, peer);
                }
            }
        }
    }
}
