//! Two IKE SAs with one peer, of which one goes. Either is the successor of the other, begun for
//! reauthentication or because the peer fell silent (RFC 7296 §2.8.3), or both ends began at once, and then
//! both ends must let the same one go. RFC 7296 §2.8.1 lets nonces decide between rival successors; here it
//! is the initiators' SPIs, which are as random and known to both for good: the IKE SA with the lower one
//! goes, by the hand of its initiator, or some seconds later by that of its responder. It goes when all that
//! it carries has its like on the other, and it stays if the other went first.

use core::time::Duration;

use esp_engine::sa::Spi;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::crypto::Crypto;
use crate::error::CloseReason;
use crate::ike_sa::keys::Role;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::{Established, IkeSa, Standing, State};
use crate::narrow::is_subset;
use crate::wants::Wanted;

/// How long an IKE SA that has a successor stays beside it at least.
pub(super) const OVERLAP: Duration = Duration::from_secs(2);

/// How long its responder leaves it to its initiator to delete the one of two that goes.
const COURTESY: Duration = Duration::from_secs(10);

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// The IKE SA of this Child SA has a successor.
    pub(crate) fn retire(&mut self, replaced: Spi, now: Instant) {
        let Some(owner) = self.children.find(replaced).map(|child| child.owner) else {
            return;
        };
        self.sas.change(owner, |sa| {
            let is_waiting =
                sa.established().is_some_and(|established| established.standing == Standing::Yielding);
            if !is_waiting {
                yield_place(sa, now + OVERLAP);
            }
        });
    }

    /// An IKE SA has come to stand: if both ends began at once, one of the two goes.
    pub(crate) fn settle_rivalry(&mut self, sa: &mut IkeSa, now: Instant) {
        let mut seen = None;
        while let Some(slot) = self.sas.next_at(sa.path.peer(), seen) {
            seen = Some(slot);
            self.sas.change(slot, |other| {
                if sa.role != other.role && is_same_peer(sa, other) && is_crossing(sa, other) {
                    let loser = if sa.spis.initiator < other.spis.initiator { &mut *sa } else { other };
                    let wait = if loser.role == Role::Initiator { OVERLAP } else { COURTESY };
                    yield_place(loser, now + wait);
                }
            });
        }
    }

    /// The time of an IKE SA that has a successor is over, unless the successor is gone, or lacks a Child SA.
    pub(super) fn give_way(&mut self, slot: u16, sa: &mut IkeSa, now: Instant) {
        let heir = self.sas.at(sa.path.peer()).find(|(_, other)| is_same_peer(sa, other));
        let Some(heir) = heir.map(|(heir, _)| heir) else {
            if let State::Established(established) = &mut sa.state {
                established.standing = Standing::Current;
                let nat = established.nat;
                self.start_timers(sa, nat, now);
            }
            return;
        };
        if self.bring_along(slot, sa, heir) {
            sa.timers.set(Timer::Expire, now + OVERLAP);
            self.sas.change(heir, |heir| heir.timers.set(Timer::Resume, now));
        } else {
            self.close_sa(slot, sa, CloseReason::Replaced, now);
        }
    }

    /// Asks on its successor for what an IKE SA carries and the successor does not; whether there is any.
    fn bring_along(&mut self, slot: u16, sa: &IkeSa, heir: u16) -> bool {
        let remote = sa.path.peer();
        let mut is_missing = false;
        for child in self.children.of(slot).filter(|child| child.stands()) {
            let is_there = self.children.of(heir).any(|other| {
                other.stands()
                    && other.policy == child.policy
                    && is_subset(&child.local_ts, &other.local_ts)
                    && is_subset(&child.remote_ts, &other.remote_ts)
            });
            // What the peer refused does not come along.
            if !is_there && !self.desk.setbacks.is_known(child.policy, remote) {
                is_missing = true;
                let wanted = Wanted { policy: child.policy, packet: None, like: Some(child.inbound) };
                // When there is no room, it is asked for the next time.
                let _ = self.desk.wants.note(heir, wanted);
            }
        }
        is_missing
    }
}

/// Makes an IKE SA wait for its end beside its successor.
fn yield_place(sa: &mut IkeSa, until: Instant) {
    if let State::Established(established) = &mut sa.state {
        established.standing = Standing::Yielding;
        sa.timers.stop(Timer::Renew);
        sa.timers.stop(Timer::Reauthenticate);
        sa.timers.set(Timer::Expire, until);
    }
}

/// Whether both stand, with the same peer between the same addresses, and the second is to stay.
fn is_same_peer(one: &IkeSa, other: &IkeSa) -> bool {
    let (State::Established(a), State::Established(b)) = (&one.state, &other.state) else {
        return false;
    };
    let who = |e: &Established| (e.peer, e.key);
    who(a) == who(b)
        && a.identity == b.identity
        && b.standing == Standing::Current
        && one.path.peer() == other.path.peer()
        && one.path.local.ip() == other.path.local.ip()
}

/// Whether each was begun before the other stood.
fn is_crossing(one: &IkeSa, other: &IkeSa) -> bool {
    match (&one.state, &other.state) {
        (State::Established(a), State::Established(b)) => {
            one.created <= b.since && other.created <= a.since && a.standing == Standing::Current
        }
        _ => false,
    }
}
