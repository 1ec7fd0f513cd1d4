//! CREATE_CHILD_SA as initiator: what all answers have in common.

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{child, ike_sa, resume};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, Discarded, FailReason};
use crate::exchange::{Received, informational};
use crate::handshake::Handshake;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, State};
use crate::wire::Malformed;
use crate::wire::notify::NotifyType;
use crate::wire::payloads::Payloads;

/// The peer's answer.
pub(crate) fn handle_response<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: Received<'_>,
) -> Result<(), Discarded> {
    let index = match sa.window.outstanding().map(|outstanding| outstanding.purpose) {
        Some(Purpose::CreateChild(index)) => index,
        _ => return Err(Discarded::WrongState),
    };
    if let Some(request) = sa.window.answered() {
        endpoint.buffers.release(request.buffer);
    }
    sa.timers.stop(Timer::Retransmit);
    let answer = Answer::of(&received);
    match endpoint.handshakes.get_mut(usize::from(index)).and_then(Option::take) {
        Some(Handshake::Creating(creating)) => {
            child::initiator::handle_answer(endpoint, slot, sa, creating, &answer, now);
        }
        Some(Handshake::Rekeying(rekeying)) => {
            ike_sa::initiator::handle_answer(endpoint, slot, sa, rekeying, &answer, now);
        }
        _ => return Err(Discarded::WrongState),
    }
    settle(endpoint, slot, sa, now);
    Ok(())
}

/// What the peer says to a request.
pub(super) enum Answer<'p, 'm> {
    /// It did what was asked.
    Made(&'p Payloads<'m>),
    /// It did not.
    Refused(NotifyType),
    Malformed(Malformed),
}

impl<'p, 'm> Answer<'p, 'm> {
    fn of(received: &'p Received<'m>) -> Self {
        match &received.payloads {
            Ok(payloads) => match payloads.error().filter(|_| payloads.sa.is_none()) {
                Some(error) => Self::Refused(error.kind),
                None => Self::Made(payloads),
            },
            Err(malformed) => Self::Malformed(*malformed),
        }
    }
}

/// Goes on with what was put off, or ends an IKE SA that has nothing left.
fn settle<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
) {
    if let State::Closing(_, reason) = sa.state {
        if sa.window.outstanding().is_none() && informational::delete_ike_sa(endpoint, sa, now).is_none() {
            endpoint.end(slot, sa, reason);
        }
        return;
    }
    if sa.current().is_none() {
        return;
    }
    if sa.window.is_used_up() {
        endpoint.end(slot, sa, CloseReason::Expired);
    } else if informational::is_idle(endpoint, slot) {
        endpoint.close_sa(slot, sa, CloseReason::NoChildLeft, now);
    } else {
        resume(endpoint, slot, sa, now);
    }
}

/// What the peer believes in cannot be known: the IKE SA ends (RFC 7296 §2.21.3).
pub(super) fn disagree<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    kind: NotifyType,
    now: Instant,
) {
    endpoint.fail(sa, None, FailReason::BadMessage);
    endpoint.close_sa(slot, sa, CloseReason::RefusedByPeer(kind.0), now);
}
