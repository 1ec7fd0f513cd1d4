//! What comes of a successor of the IKE SA that we asked for: it stands, it goes again because the peer's stays, or
//! there is none.

use core::cmp::Ordering;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::initiator::disagree;
use super::super::{is_out_of_step, try_later};
use super::{Making, announce, successor, wait_for_delete};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, FailReason};
use crate::handshake::Rival;
use crate::ike_sa::keys::Nonces;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::{IkeSa, Standing, State};
use crate::wire::notify::NotifyType;

/// The peer's exchange for a successor.
pub(super) struct Rivalry {
    pub(super) exchange: Rival,
    /// The slot of what came of it, once it did.
    pub(super) slot: Option<u16>,
}

impl Rivalry {
    /// Where the peer took its successor back, there is nothing to decide.
    pub(super) fn if_it_counts<C: Crypto, R: TryCryptoRng>(
        &self,
        endpoint: &Endpoint<'_, C, R>,
        of: u16,
    ) -> Option<&Self> {
        let stands = self.slot.is_none_or(|slot| endpoint.rival_of(of, slot).is_some());
        stands.then_some(self)
    }

    /// How the lower of our exchange's nonces stands to the lower of its.
    pub(super) fn compare(&self, ours: Nonces<'_>) -> Ordering {
        ours.lowest().cmp(self.exchange.lowest.as_slice())
    }
}

/// The successor stands. One of two goes again; so does one of an IKE SA that was to end meanwhile.
pub(super) fn conclude<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    (slot, sa): (u16, &mut IkeSa),
    place: u16,
    making: &Making<'_>,
    rival: Option<&Rivalry>,
    now: Instant,
) {
    let Some(established) = sa.established() else {
        return;
    };
    let rival = rival.and_then(|rival| rival.if_it_counts(endpoint, slot));
    let ordering = rival.map(|rival| rival.compare(making.nonces));
    let made = rival.and_then(|rival| rival.slot);
    // Two of the four that are equal decide nothing, and no honest end sends them.
    if ordering == Some(Ordering::Equal) {
        endpoint.free_reserved(place);
        return disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now);
    }
    let mut new = successor(endpoint, (sa, established), making, Standing::Current, now);
    let closing = if let State::Closing(_, reason) = sa.state { Some(reason) } else { None };
    if closing.is_some() || ordering == Some(Ordering::Less) {
        wait_for_delete(&mut new, Standing::Redundant, now);
        endpoint.close_sa(place, &mut new, closing.unwrap_or(CloseReason::Replaced), now);
        yield_to(endpoint, sa, made, now);
    } else {
        drop_promised(endpoint, sa);
        endpoint.hand_over(made.unwrap_or(slot), place);
        if let Some(made) = made {
            endpoint.sas.change(made, |made| wait_for_delete(made, Standing::Redundant, now));
        }
        announce(endpoint, sa.spis, &new);
        new.timers.set(Timer::Resume, now);
        endpoint.close_sa(slot, sa, CloseReason::Replaced, now);
    }
    endpoint.sas.put(place, new);
}

/// The peer's successor stays, if it stands already.
pub(super) fn yield_to<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    made: Option<u16>,
    now: Instant,
) {
    let Some(made) = made else {
        return;
    };
    endpoint.prevail(made, sa.spis);
    if matches!(sa.state, State::Established(_)) {
        wait_for_delete(sa, Standing::Replaced, now);
    }
}

/// Ours is the successor that stays: what the peer was promised is not made.
pub(super) fn drop_promised<C: Crypto, R: TryCryptoRng>(endpoint: &mut Endpoint<'_, C, R>, sa: &mut IkeSa) {
    if endpoint.promises_ike_sa(sa) {
        endpoint.drop_followup(sa);
    }
}

/// Nothing comes of it, for now or for good.
pub(super) fn give_up<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    kind: NotifyType,
    now: Instant,
) {
    if matches!(kind, NotifyType::INVALID_SYNTAX | NotifyType::AUTHENTICATION_FAILED) {
        return endpoint.end(slot, sa, CloseReason::RefusedByPeer(kind.0));
    }
    let State::Established(established) = &mut sa.state else {
        return;
    };
    if matches!(kind, NotifyType::TEMPORARY_FAILURE | NotifyType::STATE_NOT_FOUND) {
        if !is_out_of_step(endpoint, slot, sa, now) {
            try_later(endpoint, sa, now);
        }
    } else {
        // What this exchange cannot bring, a new negotiation may (RFC 7296 §2.8.3).
        established.renewal_owed = false;
        endpoint.desk.due = endpoint.children.of(slot).map(|child| child.inbound).next();
        endpoint.fail(sa, None, FailReason::Refused(kind.0));
    }
}
