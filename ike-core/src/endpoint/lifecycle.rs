//! How IKE SAs end: Delete, the sweep that reports and frees, and what is said of failures.

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::child_sa::DRAIN;
use crate::counters::bump;
use crate::crypto::Crypto;
use crate::error::{CloseReason, FailReason};
use crate::exchange::informational;
use crate::handshake::{Followup, Handshake, Promised, Want};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, Standing, State};
use crate::output::{Event, Failed};
use crate::pad::PeerId;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// Ends an established IKE SA with a Delete that the peer answers. Its Child SAs end now; those that have
    /// successors receive until the answer comes, for the peer sends on them until it has the Delete.
    pub(crate) fn close_sa(&mut self, slot: u16, sa: &mut IkeSa, reason: CloseReason, now: Instant) {
        let established = match core::mem::replace(&mut sa.state, State::Gone) {
            State::Established(established) => established,
            other => {
                sa.state = other;
                return;
            }
        };
        self.desk.wants.forget(slot);
        self.drop_followup(sa);
        for timer in Timer::ALL {
            if timer != Timer::Retransmit {
                sa.timers.stop(timer);
            }
        }
        if reason == CloseReason::Replaced {
            self.children.retire_all(slot);
            sa.timers.set(Timer::Expire, now + DRAIN);
        } else {
            self.children.remove_all(slot);
        }
        sa.state = State::Closing(established, reason);
        // While another request waits for its answer, the Delete waits for its turn.
        if sa.window.outstanding().is_none() && informational::delete_ike_sa(self, sa, now).is_none() {
            self.end(slot, sa, reason);
        }
    }

    /// Ends an IKE SA here and now; the peer knows, or is silent.
    pub(crate) fn end(&mut self, slot: u16, sa: &mut IkeSa, reason: CloseReason) {
        self.leave_succession(slot, sa, reason);
        self.children.remove_all(slot);
        self.desk.wants.forget(slot);
        self.give_up_request(sa);
        self.drop_followup(sa);
        sa.timers.stop_all();
        if let Some(established) = sa.established() {
            let is_told = !matches!(established.standing, Standing::Rival { .. } | Standing::Redundant);
            sa.state = State::Ended(is_told.then_some(established.peer), reason);
        }
    }

    /// What its end means while both ends ask for a successor (RFC 7296 §2.8.2).
    fn leave_succession(&mut self, slot: u16, sa: &IkeSa, reason: CloseReason) {
        // The peer takes its own successor back, so ours will stay: until then the old one serves.
        if let Some(Standing::Rival { of }) = sa.established().map(|established| established.standing)
            && reason == CloseReason::DeletedByPeer
        {
            self.hand_over(slot, of);
        }
        let Some(rival) = self.rival_made_on(slot, sa) else {
            return;
        };
        if reason == CloseReason::PeerDead {
            let _ = self.with_sa(rival, |endpoint, sa| {
                endpoint.end(rival, sa, reason);
                Ok(())
            });
        } else {
            self.prevail(rival, sa.spis);
        }
    }

    /// A Child SA of this IKE SA ended by our doing: the peer is told, and an IKE SA without any
    /// ends too.
    pub(super) fn child_ended(&mut self, owner: u16, now: Instant) {
        let _ = self.with_sa(owner, |endpoint, sa| {
            if endpoint.is_idle(owner, sa) {
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
        for slot in 0..self.sas.capacity() {
            let _ = self.with_sa(slot, |endpoint, sa| {
                let want = endpoint.handshake_of(sa).and_then(Handshake::want);
                let peer = sa.established().map(|e| e.peer).or(want.map(|want| want.entry));
                match sa.state {
                    State::Established(_) if concerns(peer) => endpoint.close_soon(slot, sa, reason, now),
                    State::Handshake(_) if concerns(peer) => endpoint.forget(sa),
                    _ => {}
                }
                Ok(())
            });
        }
    }

    /// Closes the established IKE SAs that this concerns.
    pub(crate) fn close_sas(&mut self, now: Instant, reason: CloseReason, concerns: impl Fn(&IkeSa) -> bool) {
        for slot in 0..self.sas.capacity() {
            let _ = self.with_sa(slot, |endpoint, sa| {
                if matches!(sa.state, State::Established(_)) && concerns(sa) {
                    endpoint.close_soon(slot, sa, reason, now);
                }
                Ok(())
            });
        }
    }

    /// Closes an IKE SA now, or as soon as there is room for what that causes.
    fn close_soon(&mut self, slot: u16, sa: &mut IkeSa, reason: CloseReason, now: Instant) {
        if self.outbox.has_room() && self.buffers.spare(0) {
            self.close_sa(slot, sa, reason, now);
        } else {
            sa.timers.set(Timer::Expire, now);
        }
    }

    /// Frees the IKE SAs that ended, unless they still have an answer to repeat; reports the first of which
    /// anybody was told.
    pub(super) fn sweep(&mut self) -> Option<Event> {
        while let Some(slot) = self.sas.first_ended() {
            let mut sa = self.sas.take(slot)?;
            let event = match core::mem::replace(&mut sa.state, State::Concluded) {
                State::Ended(Some(peer), reason) => {
                    self.names.note_change(peer);
                    Some(Event::Closed { spis: sa.spis, peer, reason })
                }
                _ => None,
            };
            if sa.timers.next().is_some() {
                self.sas.put(slot, sa);
            } else {
                self.free(slot, sa);
                self.sas.vacate(slot);
            }
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// Gives back what an IKE SA holds. Its last response stays in the pool until that needs the room,
    /// because it may not have left yet.
    pub(crate) fn free(&mut self, slot: u16, mut sa: IkeSa) {
        self.give_up_request(&mut sa);
        self.drop_followup(&mut sa);
        if let State::Handshake(index) = sa.state {
            self.free_handshake(index);
        }
        self.children.remove_all(slot);
    }

    /// Gives back what a request of ours holds that waits for its answer.
    fn give_up_request(&mut self, sa: &mut IkeSa) {
        if let Some(outstanding) = sa.window.take_back() {
            self.buffers.release(outstanding.buffer);
            if let Purpose::CreateChild(index) = outstanding.purpose {
                self.free_handshake(index);
            }
        }
    }

    /// Ends an IKE SA of which there is nothing more to say.
    pub(crate) fn forget(&mut self, sa: &mut IkeSa) {
        if let State::Handshake(index) = core::mem::replace(&mut sa.state, State::Gone) {
            self.free_handshake(index);
        }
    }

    /// A negotiation of ours failed: the next address of the peer has its turn, or packets have to wait a while
    /// before they begin another.
    pub(crate) fn set_back(&mut self, sa: &IkeSa, now: Instant) {
        let Some(want) = self.handshake_of(sa).and_then(Handshake::want).copied() else {
            return;
        };
        if let Some((path, behind)) = self.other_way(&want) {
            self.desk.again = Some(Want { path, behind, restarts: 0, ..want });
            return;
        }
        self.desk.setbacks.failed(want.policy, want.path.peer(), now);
    }

    pub(crate) fn free_handshake(&mut self, index: u8) {
        let handshake = self.handshakes.get_mut(usize::from(index)).and_then(Option::take);
        if let Some(slot) = handshake.as_ref().and_then(Handshake::reserved_slot) {
            self.free_reserved(slot);
        }
        if let Some(Handshake::Followup(Followup { promised: Promised::Child(agreement, _), .. })) =
            &handshake
        {
            self.children.withdraw(agreement.inbound);
        }
        if let Some(Handshake::AuthHeld(_, held)) = &handshake {
            self.buffers.release(held.text);
        }
        if let Some([request, response]) = handshake.and_then(|handshake| handshake.messages()) {
            self.buffers.release(request);
            self.buffers.release(response);
        }
    }

    /// Forgets what the peer's CREATE_CHILD_SA began: nothing has come of it yet (RFC 9370 §2.2.4).
    pub(crate) fn drop_followup(&mut self, sa: &mut IkeSa) {
        sa.timers.stop(Timer::Followup);
        if let Some(index) = sa.followup.take() {
            self.free_handshake(index);
        }
    }

    /// Gives back the place of a successor that does not come.
    pub(crate) fn free_reserved(&mut self, slot: u16) {
        if self.sas.get(slot).is_some_and(|sa| matches!(sa.state, State::Reserved)) {
            self.sas.vacate(slot);
        }
    }

    /// Reports a negotiation that came to nothing, or an IKE SA without its Child SA.
    pub(crate) fn fail(
        &mut self,
        sa: &IkeSa,
        identity: Option<crate::pad::OwnedIdentity>,
        reason: FailReason,
    ) {
        bump(&mut self.desk.counters.failed);
        if reason.is_authentication() {
            bump(&mut self.desk.counters.authentication_failed);
        }
        if reason == FailReason::NetworkFull {
            bump(&mut self.desk.counters.network_full);
        }
        let peer = match (sa.established(), self.handshake_of(sa).and_then(Handshake::want)) {
            (Some(established), _) => Some(established.peer),
            (None, Some(want)) => Some(want.entry),
            (None, None) => identity
                .as_ref()
                .and_then(|identity| self.config.search(&identity.view(), sa.path.peer()))
                .map(|(id, _)| id),
        };
        let established = sa.established().is_some();
        let failed = Failed { peer, identity, path: sa.path, role: sa.role, established, reason };
        self.outbox.event(Event::Failed(failed));
    }
}

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// Whether the IKE SA with a peer of this entry stands without Child SA too (RFC 6023).
    pub(crate) fn stands_alone(&self, peer: PeerId) -> bool {
        self.config.entry(peer).is_some_and(|entry| entry.childless)
    }

    /// Whether an IKE SA has no Child SA, is not about to get one, and is not wanted without.
    pub(crate) fn is_idle(&self, slot: u16, sa: &IkeSa) -> bool {
        let is_wanted = sa.established().is_some_and(|established| self.stands_alone(established.peer));
        !is_wanted && !self.desk.wants.has_any(slot) && !self.children.has_any(slot)
    }

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
