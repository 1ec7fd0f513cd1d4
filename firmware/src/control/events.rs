//! What the endpoint wants done: SAs for Network, look-ups for the directory, news for the board.

use esp_engine::sa::{ChildSa, SaReport};
use esp_engine::selector::AddressRange;
use esp_engine::time::Instant;
use ike_core::crypto::Crypto;
use ike_core::error::CloseReason;
use ike_core::output;
use rand_core::TryCryptoRng;

use super::{Control, Listed, PeerState, reason};
use crate::queue::Command;
use crate::report::{Event, Sink};
use crate::storage::Storage;

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// What an event of the endpoint asks of Network; the board hears of it here.
    pub(super) fn act(&mut self, now: Instant, event: output::Event) -> Option<Command<C::Cipher>> {
        let news = match event {
            output::Event::Install(child) => return self.install(now, child),
            output::Event::Update(update) => return Some(Command::Update(update)),
            output::Event::Retire(spi) => return Some(Command::Retire(spi)),
            output::Event::Remove(spi) => {
                self.children.retain(|child| child.is.inbound != spi);
                self.sink.report(now, &Event::Removed(spi));
                return Some(Command::Remove(spi));
            }
            output::Event::Established(established) => {
                if Some(established.peer) == self.config.found_peer()
                    && let Some(captor) = &mut self.captor
                {
                    captor.proven(established.path.remote.ip(), established.key.0);
                }
                if let Some(state) = self.peers.get_mut(usize::from(established.peer.0)) {
                    *state = PeerState { reason: state.reason.take(), ..PeerState::new() };
                }
                Event::Established(established)
            }
            output::Event::Rekeyed { old, new } => {
                for child in self.children.iter_mut().filter(|child| child.is.ike == old) {
                    child.is.ike = new.spis;
                }
                Event::Rekeyed { old, new }
            }
            output::Event::ChildEstablished(child) => {
                // A status that lists only the first few is no reason to forget the SA itself.
                let _ = self.children.push(Listed { is: child.clone(), since: now });
                if let Some(captor) = &mut self.captor {
                    captor.established(now, child.policy);
                }
                Event::ChildEstablished(child)
            }
            output::Event::Failed(failed) => {
                if failed.peer == self.config.found_peer()
                    && let Some(captor) = &mut self.captor
                {
                    captor.failed_at(now, failed.path.remote.ip());
                }
                self.note(now, failed.peer, Some(failed.path.remote.ip()), reason::failed(&failed));
                if let Some(peer) = failed.peer {
                    self.call_later(now, peer);
                }
                Event::Failed(failed)
            }
            output::Event::Closed { spis, peer, reason } => {
                self.note(now, Some(peer), None, reason::closed(reason));
                if !matches!(reason, CloseReason::Requested | CloseReason::Replaced) {
                    self.call_later(now, peer);
                }
                Event::Closed { spis, peer, reason }
            }
            output::Event::Lookup { ticket, of } => {
                self.sink.report(now, &Event::Asked(of.clone()));
                self.look_up(now, ticket, &of);
                return None;
            }
            output::Event::Open { remote, until } => {
                self.sink.report(now, &Event::Open(remote));
                return Some(self.let_clear(now, AddressRange::single(remote), until));
            }
            output::Event::NotBegun { peer, policy, to, reason } => {
                if let Some(captor) = &mut self.captor {
                    captor.failed_for(now, policy);
                }
                let peer = peer.or_else(|| self.peer_of_policy(policy));
                self.begun(now, peer, to, Err(reason));
                if let Some(peer) = peer {
                    self.call_later(now, peer);
                }
                return None;
            }
            output::Event::Unrenewed { peer, until } => Event::Unrenewed { peer, until },
            output::Event::NoPlace(of) => {
                self.unplaced = Some(of.clone());
                Event::NoPlace(of)
            }
            #[cfg(feature = "keylog")]
            output::Event::Keys(keys) => Event::IkeKeys(keys),
            // Which events there are depends on features; what is not named here is for others.
            _ => return None,
        };
        self.sink.report(now, &news);
        None
    }

    fn install(&mut self, now: Instant, child: ChildSa) -> Option<Command<C::Cipher>> {
        #[cfg(feature = "keylog")]
        self.sink.report(now, &Event::ChildKeys(child.clone()));
        let spi = child.inbound;
        if core::mem::take(&mut self.is_unkept) {
            self.endpoint.handle_sa_report(now, SaReport::HardExpired(spi));
            return None;
        }
        match child.build() {
            Ok(built) => Some(Command::Install(built)),
            Err(unusable) => {
                self.sink.report(now, &Event::UnusableKey(spi, unusable.0));
                self.endpoint.handle_sa_report(now, SaReport::HardExpired(spi));
                None
            }
        }
    }
}
