//! What time brings: retransmissions, handshakes begun anew or given up, lifetimes, liveness
//! (RFC 7296 §2.1, §2.4).

use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use super::Endpoint;
use super::hints::is_quiet;
use crate::counters::bump;
use crate::crypto::Crypto;
use crate::error::{CloseReason, FailReason};
use crate::exchange::{create_child_sa, fragment, ike_followup_ke, ike_sa_init, informational};
use crate::handshake::{Handshake, MAX_RESTARTS, TRIES_BEFORE_RESTART, Want};
use crate::ike_sa::nat::Nat;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, Standing, State};
use crate::pad::Authentication;
use crate::resources::BufferId;

/// Tries of a request after which it is sent in smaller fragments (RFC 7383 §2.5.2).
const TRIES_BEFORE_NARROWING: u8 = 2;

/// Unanswered tries of a question after which the peer may have restarted.
const TRIES_BEFORE_SUSPICION: u8 = 2;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// When the next thing happens of itself.
    pub(super) fn alarm(&self) -> Option<Instant> {
        let of_sas = self.sas.next_alarm().map(|(at, _)| at);
        let of_names = self.names.next(&self.desk.lookups);
        of_sas.into_iter().chain(self.children.next_drained()).chain(of_names).min()
    }

    /// Fires what is due of all IKE SAs, as far as there is room for what it causes.
    pub(super) fn run_all_timers(&mut self, now: Instant) {
        while let Some((at, slot)) = self.sas.next_alarm()
            && at <= now
            && self.outbox.has_room()
        {
            self.run_timers(slot, now);
        }
    }

    /// Fires what is due of one IKE SA, as far as there is room for what it causes.
    pub(super) fn run_timers(&mut self, slot: u16, now: Instant) {
        let is_due = |sa: &IkeSa| sa.timers.next().is_some_and(|at| at <= now);
        while self.outbox.has_room() && self.sas.get(slot).is_some_and(is_due) {
            let _ = self.with_sa(slot, |endpoint, sa| {
                if let Some(timer) = sa.timers.take_due(now) {
                    endpoint.fire(slot, sa, timer, now);
                }
                Ok(())
            });
            self.begin_again(now);
        }
    }

    #[inline(never)]
    fn fire(&mut self, slot: u16, sa: &mut IkeSa, timer: Timer, now: Instant) {
        match timer {
            Timer::Retransmit => self.retransmit(slot, sa, now),
            Timer::Expire => self.expire(slot, sa, now),
            Timer::Liveness => self.check_liveness(slot, sa, now),
            Timer::Resume => create_child_sa::resume(self, slot, sa, now),
            Timer::Renew => self.renew_ike_sa(now, slot, sa),
            Timer::Reauthenticate => self.reauthenticate(slot, sa, now),
            Timer::Followup => ike_followup_ke::responder::expire(self, slot, sa, now),
            Timer::Keepalive => {
                self.outbox.keepalive(sa.path);
                sa.timers.set(Timer::Keepalive, now + self.config.timing.keepalive);
            }
        }
    }

    /// Sets the timers of an IKE SA that stands from now on.
    pub(crate) fn start_timers(&mut self, sa: &mut IkeSa, nat: Nat, now: Instant) {
        let timing = &self.config.timing;
        // Without randomness there is no jitter, but there is still a successor.
        let random = self.random.try_next_u32().unwrap_or(0);
        sa.timers.set(Timer::Renew, now + timing.ike_soft_lifetime(random));
        sa.timers.set(Timer::Expire, now + timing.ike_lifetime);
        if nat.local && !timing.keepalive.is_zero() {
            sa.timers.set(Timer::Keepalive, now + timing.keepalive);
        }
    }

    /// Sets the timer for the answer to our request.
    pub(crate) fn await_answer(&mut self, sa: &mut IkeSa, now: Instant) {
        let tries = sa.window.outstanding().map_or(1, |outstanding| outstanding.tries);
        let is_random = self.config.timing.jitter_percent > 0;
        // Without randomness there is no jitter, but there are still retransmissions.
        let random = if is_random { self.random.try_next_u32().unwrap_or(0) } else { 0 };
        sa.timers.set(Timer::Retransmit, now + self.config.timing.wait(tries, random));
    }

    #[inline(never)]
    fn retransmit(&mut self, slot: u16, sa: &mut IkeSa, now: Instant) {
        let Some(outstanding) = sa.window.outstanding().copied() else {
            return;
        };
        if outstanding.tries >= TRIES_BEFORE_NARROWING && self.narrow(sa, outstanding.buffer, now) {
            return;
        }
        if self.restart(slot, sa, outstanding.tries, now) {
            return;
        }
        if outstanding.tries < self.config.timing.tries {
            sa.window.send_again();
            bump(&mut self.desk.counters.retransmitted);
            self.outbox.message(sa.path, outstanding.buffer);
            self.await_answer(sa, now);
            if outstanding.tries == TRIES_BEFORE_SUSPICION && outstanding.purpose == Purpose::Liveness {
                self.begin_beside(slot, sa);
            }
            return;
        }
        match sa.state {
            State::Handshake(_) => {
                let reason = self.silence(sa);
                self.set_back(sa, now);
                self.fail(sa, None, reason);
                self.forget(sa);
            }
            State::Established(_) => {
                self.note_dead(now, sa);
                self.end(slot, sa, CloseReason::PeerDead);
            }
            State::Closing(_, reason) => self.end(slot, sa, reason),
            State::Reserved | State::Lingering | State::Concluded | State::Ended(..) | State::Gone => {}
        }
    }

    /// Sends an unanswered request anew in smaller fragments, which the path may carry.
    fn narrow(&mut self, sa: &mut IkeSa, request: BufferId, now: Instant) -> bool {
        let Some(narrowed) = fragment::narrow(self, sa, request) else {
            return false;
        };
        sa.fragmentation = sa.fragmentation.narrowed();
        sa.window.replace_request(narrowed);
        bump(&mut self.desk.counters.retransmitted);
        self.outbox.message(sa.path, narrowed);
        self.await_answer(sa, now);
        true
    }

    /// Begins a handshake anew when what follows IKE_SA_INIT stays unanswered.
    fn restart(&mut self, slot: u16, sa: &mut IkeSa, tries: u8, now: Instant) -> bool {
        let want = match self.handshake_of(sa) {
            Some(Handshake::IntermediateSent(_, want, _) | Handshake::AuthSent(_, want))
                if want.restarts < MAX_RESTARTS =>
            {
                *want
            }
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

    #[inline(never)]
    fn expire(&mut self, slot: u16, sa: &mut IkeSa, now: Instant) {
        match &sa.state {
            State::Handshake(_) => {
                self.fail(sa, None, FailReason::HalfOpenExpired);
                self.forget(sa);
            }
            State::Established(established) => match established.standing {
                Standing::Yielding => self.give_way(slot, sa, now),
                // The peer shall hear of it, and of a thousand that end at once not all have room for a Delete.
                Standing::Current if !self.buffers.spare(0) => {
                    sa.timers.set(Timer::Expire, now + self.config.timing.retransmission);
                }
                Standing::Current => self.close_sa(slot, sa, CloseReason::Expired, now),
                Standing::Rival { .. } | Standing::Redundant | Standing::Replaced => {
                    self.close_sa(slot, sa, CloseReason::Replaced, now);
                }
            },
            State::Lingering | State::Concluded => sa.state = State::Gone,
            State::Closing(..) => self.children.remove_all(slot),
            State::Reserved | State::Ended(..) | State::Gone => {}
        }
    }

    /// Asks the peer whether it lives, unless it was heard in the meantime.
    fn check_liveness(&mut self, slot: u16, sa: &mut IkeSa, now: Instant) {
        if !matches!(sa.state, State::Established(_)) || !is_quiet(sa, now) {
            return;
        }
        match sa.window.outstanding().map(|outstanding| outstanding.tries) {
            None => informational::probe(self, sa, None, now),
            // Another request is as good a question.
            Some(tries) if tries > TRIES_BEFORE_SUSPICION => self.begin_beside(slot, sa),
            Some(_) => sa.timers.set(Timer::Liveness, now + self.config.timing.retransmission),
        }
    }

    /// A new IKE SA takes over from this one, with all its Child SAs; it is tried until it succeeds. A peer
    /// that only it can reach us has had its time (RFC 4478 §2).
    fn reauthenticate(&mut self, slot: u16, sa: &mut IkeSa, now: Instant) {
        self.begin_beside(slot, sa);
        if self.desk.due.is_some() {
            let random = self.random.try_next_u32().unwrap_or(0);
            sa.timers.set(Timer::Reauthenticate, now + self.config.timing.respite(random) * 8);
        } else {
            self.close_sa(slot, sa, CloseReason::Expired, now);
        }
    }

    /// A peer that stays silent may have restarted. A new IKE SA with it is begun beside the old one, which
    /// goes when the new one stands, or when the peer has not answered any try (RFC 7296 §2.4, §2.8.3).
    fn begin_beside(&mut self, slot: u16, sa: &IkeSa) {
        let State::Established(established) = &sa.state else {
            return;
        };
        let entry = self.config.entry(established.peer);
        let is_within_reach = entry.is_some_and(|entry| match entry.authentication {
            Authentication::Btns
            | Authentication::FirstUse { .. }
            | Authentication::Null
            | Authentication::Dns(_) => !established.nat.remote,
            _ => entry.address.is_some(),
        });
        if is_within_reach && established.standing == Standing::Current {
            self.desk.due = self.children.of(slot).find(|child| child.stands()).map(|child| child.inbound);
        }
    }
}
