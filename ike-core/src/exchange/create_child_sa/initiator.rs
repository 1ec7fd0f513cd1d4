//! CREATE_CHILD_SA as initiator: what all answers have in common, those of IKE_FOLLOWUP_KE among them.

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{child, ike_sa, resume};
use crate::counters::bump;
use crate::crypto::{Crypto, Group, KeyExchange, SharedSecret};
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, Discarded, FailReason};
use crate::exchange::{Received, informational};
use crate::handshake::{Handshake, Tried};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, State};
use crate::proposal;
use crate::wire::ke::KeView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::transform::KeyExchangeMethod;
use crate::wire::writer::Writer;
use crate::wire::{Malformed, NoSpace};

/// The peer's answer.
#[inline(never)]
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
        Some(Handshake::CompletingChild(completing)) => {
            child::initiator::handle_followup(endpoint, slot, sa, completing, &answer, now);
        }
        Some(Handshake::CompletingIkeSa(completing)) => {
            ike_sa::initiator::handle_followup(endpoint, slot, sa, completing, &answer, now);
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
    Refused(NotifyView<'m>),
    Malformed(Malformed),
}

impl<'p, 'm> Answer<'p, 'm> {
    fn of(received: &'p Received<'m>) -> Self {
        match &received.payloads {
            Ok(payloads) => match payloads.error().filter(|_| payloads.sa.is_none()) {
                Some(error) => Self::Refused(error),
                None => Self::Made(payloads),
            },
            Err(malformed) => Self::Malformed(*malformed),
        }
    }
}

/// Our public value, if there is one.
pub(crate) fn write_exchange(
    exchange: Option<&impl KeyExchange>,
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    exchange.map_or(Ok(()), |exchange| {
        let method = KeyExchangeMethod(exchange.group().id());
        KeView { method, data: &exchange.public() }.write(writer)
    })
}

/// The secret of a key exchange of ours; without a good value of the peer's nothing can be made of its answer
/// (RFC 6989 §2.5).
pub(super) fn agree<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    exchange: &C::KeyExchange,
    payloads: &Payloads<'_>,
) -> Result<SharedSecret, NotifyType> {
    let is_ours = |ke: &&KeView<'_>| ke.method.0 == exchange.group().id();
    let ke = payloads.ke.as_ref().filter(is_ours).ok_or(NotifyType::INVALID_SYNTAX)?;
    bump(&mut endpoint.desk.counters.key_exchanges);
    exchange.clone().agree(ke.data).map_err(|_| NotifyType::INVALID_SYNTAX)
}

/// The groups to try next, if the peer asks for one that was offered and not tried (RFC 7296 §1.3).
pub(super) fn other_group<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    error: &NotifyView<'_>,
    tried: &Tried,
) -> Option<Tried> {
    let group = Group::from_id(error.wanted_key_exchange()?.0)?;
    let mut tried = tried.clone();
    let is_useful = proposal::groups(endpoint.config.suites).contains(&group) && !tried.contains(&group);
    (is_useful && !tried.is_empty() && tried.push(group).is_ok()).then_some(tried)
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
    } else if endpoint.is_idle(slot, sa) {
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
