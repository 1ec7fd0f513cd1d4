//! How IKE SAs age and end: timers, liveness, Delete, and the sweep that reports and frees.

use core::net::IpAddr;

use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use super::Endpoint;
use crate::crypto::Crypto;
use crate::error::{CloseReason, FailReason};
use crate::exchange::{ike_sa_init, informational};
use crate::handshake::{Handshake, MAX_RESTARTS, TRIES_BEFORE_RESTART, Want};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, State};
use crate::output::{Event, Failed};
use crate::pad::PeerId;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// Fires what is due of one IKE SA, as far as there is room for what it causes.
    pub(super) fn run_timers(&mut self, slot: usize, now: Instant) {
        while self.outbox.has_room() {
            let Some(Some(sa)) = self.sas.get_mut(slot) else {
                return;
            };
            let Some(timer) = sa.timers.take_due(now) else {
                return;
            };
            let Ok(slot) = u16::try_from(slot) else {
                return;
            };
            // The slot holds an IKE SA: it was just looked at.
            let _ = self.with_sa(slot, |endpoint, sa| {
                endpoint.fire(slot, sa, timer, now);
                Ok(())
            });
        }
    }

    fn fire(&mut self, slot: u16, sa: &mut IkeSa, timer: Timer, now: Instant) {
        match timer {
            Timer::Retransmit => self.retransmit(slot, sa, now),
            Timer::Expire => self.expire(slot, sa, now),
            Timer::Liveness => self.check_liveness(sa, now),
            Timer::Keepalive => {
                self.outbox.keepalive(sa.path);
                sa.timers.set(Timer::Keepalive, now + self.config.timing.keepalive);
            }
        }
    }

    /// Sets the timer for the answer to our request.
    pub(crate) fn await_answer(&mut self, sa: &mut IkeSa, now: Instant) {
        let tries = sa.window.outstanding().map_or(1, |outstanding| outstanding.tries);
        // Without randomness there is no jitter, but there are still retransmissions.
        let random = self.random.try_next_u32().unwrap_or(0);
        sa.timers.set(Timer::Retransmit, now + self.config.timing.wait(tries, random));
    }

    fn retransmit(&mut self, slot: u16, sa: &mut IkeSa, now: Instant) {
        let Some(outstanding) = sa.window.outstanding().copied() else {
            return;
        };
        if self.restart(slot, sa, outstanding.tries, now) {
            return;
        }
        if outstanding.tries < self.config.timing.tries {
            sa.window.send_again();
            self.counters.retransmitted = self.counters.retransmitted.saturating_add(1);
            self.outbox.message(sa.path, outstanding.buffer);
            self.await_answer(sa, now);
            return;
        }
        match sa.state {
            State::Handshake(_) => {
                let reason = self.silence(sa);
                self.fail(sa, None, reason);
                self.forget(sa);
            }
            State::Established(_) => self.end(slot, sa, CloseReason::PeerDead),
            State::Closing(_, reason) => self.end(slot, sa, reason),
            State::Lingering | State::Ended(..) | State::Gone => {}
        }
    }

    /// Begins a handshake anew when IKE_AUTH stays unanswered.
    fn restart(&mut self, slot: u16, sa: &mut IkeSa, tries: u8, now: Instant) -> bool {
        let want = match self.handshake_of(sa) {
            Some(Handshake::AuthSent(_, want)) if want.restarts < MAX_RESTARTS => *want,
            _ => return false,
        };
        if tries < TRIES_BEFORE_RESTART.min(self.config.timing.tries) {
            return false;
        }
        let want = Want { restarts: want.restarts + 1, ..want };
        let Ok(fresh) = ike_sa_init::initiator::begin(self, slot, now, want) else {
            return false;
        };
        let old = core::mem::replace(sa, fresh);
        self.free(slot, old);
        true
    }

    fn silence(&self, sa: &IkeSa) -> FailReason {
        match self.handshake_of(sa) {
            Some(Handshake::InitSent(init)) => FailReason::NoAnswer { hint: init.hint },
            _ => FailReason::NoAuthAnswer,
        }
    }

    fn expire(&mut self, slot: u16, sa: &mut IkeSa, now: Instant) {
        match &sa.state {
            State::Handshake(_) => {
                self.fail(sa, None, FailReason::HalfOpenExpired);
                self.forget(sa);
            }
            State::Established(_) => self.close_sa(slot, sa, CloseReason::Expired, now),
            State::Lingering => sa.state = State::Gone,
            State::Closing(..) | State::Ended(..) | State::Gone => {}
        }
    }

    fn check_liveness(&mut self, sa: &mut IkeSa, now: Instant) {
        let interval = self.config.timing.liveness;
        let Some(heard) = sa.established().map(|established| established.heard) else {
            return;
        };
        if now.since(heard) < interval {
            sa.timers.set(Timer::Liveness, heard + interval);
            return;
        }
        informational::probe(self, sa, now);
        if !interval.is_zero() {
            sa.timers.set(Timer::Liveness, now + interval);
        }
    }

    /// Somebody at this address sent what fits no SA: a hint, after which the peers there are asked
    /// whether they live (RFC 7296 §2.21.4).
    pub(super) fn probe(&mut self, remote: IpAddr, now: Instant) {
        for sa in self.sas.iter_mut().flatten() {
            let heard = sa.established().map(|established| established.heard);
            if sa.path.remote.ip() == remote
                && let Some(heard) =
                    heard.filter(|heard| now.since(*heard) >= self.config.timing.retransmission * 8)
                && let State::Established(_) = sa.state
            {
                sa.timers.set(Timer::Liveness, heard + self.config.timing.liveness);
            }
        }
        self.handle_timeout(now);
    }

    /// Ends an established IKE SA with a Delete that the peer answers. Its Child SAs end now.
    pub(crate) fn close_sa(&mut self, slot: u16, sa: &mut IkeSa, reason: CloseReason, now: Instant) {
        let established = match core::mem::replace(&mut sa.state, State::Gone) {
            State::Established(established) => established,
            other => {
                sa.state = other;
                return;
            }
        };
        self.children.remove_all(slot);
        sa.timers.stop(Timer::Expire);
        sa.timers.stop(Timer::Liveness);
        sa.timers.stop(Timer::Keepalive);
        sa.state = State::Closing(established, reason);
        // While another request waits for its answer, the Delete waits for its turn.
        if sa.window.outstanding().is_none() && informational::delete_ike_sa(self, sa, now).is_none() {
            self.end(slot, sa, reason);
        }
    }

    /// Ends an IKE SA here and now; the peer knows, or is silent.
    pub(crate) fn end(&mut self, slot: u16, sa: &mut IkeSa, reason: CloseReason) {
        self.children.remove_all(slot);
        sa.timers.stop_all();
        if let Some(peer) = sa.established().map(|established| established.peer) {
            sa.state = State::Ended(peer, reason);
        }
    }

    /// A Child SA of this IKE SA ended by our doing: the peer is told, and an IKE SA without any
    /// ends too.
    pub(super) fn child_ended(&mut self, owner: u16, now: Instant) {
        let _ = self.with_sa(owner, |endpoint, sa| {
            if endpoint.children.count(owner) == 0 {
                endpoint.close_sa(owner, sa, CloseReason::NoChildLeft, now);
            } else {
                informational::delete_children(endpoint, owner, sa, now);
            }
            Ok(())
        });
    }

    /// Closes the established IKE SAs and drops the handshakes whose peer this concerns.
    pub(super) fn close_where(
        &mut self,
        now: Instant,
        reason: CloseReason,
        concerns: impl Fn(Option<PeerId>) -> bool,
    ) {
        for slot in 0..u16::try_from(self.sas.len()).unwrap_or(u16::MAX) {
            let _ = self.with_sa(slot, |endpoint, sa| {
                let peer = match (sa.established(), endpoint.handshake_of(sa)) {
                    (Some(established), _) => Some(established.peer),
                    (None, Some(Handshake::InitSent(init))) => Some(init.want.entry),
                    (None, Some(Handshake::AuthSent(_, want))) => Some(want.entry),
                    _ => None,
                };
                match sa.state {
                    State::Established(_) if concerns(peer) => {
                        if endpoint.outbox.has_room() {
                            endpoint.close_sa(slot, sa, reason, now);
                        } else {
                            sa.timers.set(Timer::Expire, now);
                        }
                    }
                    State::Handshake(_) if concerns(peer) => endpoint.forget(sa),
                    _ => {}
                }
                Ok(())
            });
        }
    }

    /// Reports and frees one IKE SA that ended.
    pub(super) fn sweep(&mut self) -> Option<Event> {
        let is_ended = |sa: &Option<IkeSa>| matches!(sa, Some(IkeSa { state: State::Ended(..), .. }));
        let slot = self.sas.iter().position(is_ended)?;
        let sa = self.sas.get_mut(slot)?.take()?;
        let State::Ended(peer, reason) = sa.state else {
            return None;
        };
        let event = Event::Closed { spis: sa.spis, peer, reason };
        self.free(u16::try_from(slot).ok()?, sa);
        Some(event)
    }

    /// Gives back what an IKE SA holds. Its last response stays in the pool until that needs the room,
    /// because it may not have left yet.
    pub(crate) fn free(&mut self, slot: u16, mut sa: IkeSa) {
        if let Some(outstanding) = sa.window.take_back() {
            self.buffers.release(outstanding.buffer);
        }
        if let State::Handshake(index) = sa.state {
            self.free_handshake(index);
        }
        self.children.remove_all(slot);
    }

    /// Ends an IKE SA of which there is nothing more to say.
    pub(crate) fn forget(&mut self, sa: &mut IkeSa) {
        if let State::Handshake(index) = core::mem::replace(&mut sa.state, State::Gone) {
            self.free_handshake(index);
        }
    }

    pub(crate) fn free_handshake(&mut self, index: u8) {
        let handshake = self.handshakes.get_mut(usize::from(index)).and_then(Option::take);
        if let Some([request, response]) = handshake.and_then(|handshake| handshake.messages()) {
            self.buffers.release(request);
            self.buffers.release(response);
        }
    }

    /// Reports a negotiation that came to nothing, or an IKE SA without its Child SA.
    pub(crate) fn fail(
        &mut self,
        sa: &IkeSa,
        identity: Option<crate::pad::OwnedIdentity>,
        reason: FailReason,
    ) {
        self.counters.failed = self.counters.failed.saturating_add(1);
        if reason.is_authentication() {
            self.counters.authentication_failed = self.counters.authentication_failed.saturating_add(1);
        }
        let peer = match (sa.established(), self.handshake_of(sa)) {
            (Some(established), _) => Some(established.peer),
            (None, Some(Handshake::InitSent(init))) => Some(init.want.entry),
            (None, Some(Handshake::AuthSent(_, want))) => Some(want.entry),
            _ => identity
                .as_ref()
                .and_then(|identity| self.config.search(&identity.view(), sa.path.remote.ip()))
                .map(|(id, _)| id),
        };
        let established = sa.established().is_some();
        let failed = Failed { peer, identity, path: sa.path, role: sa.role, established, reason };
        self.outbox.event(Event::Failed(failed));
    }
}

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// What an IKE SA's handshake keeps in the pool.
    pub(crate) fn handshake_of(&self, sa: &IkeSa) -> Option<&Handshake<C>> {
        match sa.state {
            State::Handshake(index) => self.handshakes.get(usize::from(index)).and_then(Option::as_ref),
            _ => None,
        }
    }

    /// Whether our Delete is what the peer has to answer.
    pub(crate) fn is_deleting(sa: &IkeSa) -> bool {
        sa.window.outstanding().is_some_and(|outstanding| outstanding.purpose == Purpose::DeleteIkeSa)
    }
}
