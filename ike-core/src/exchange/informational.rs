//! INFORMATIONAL (RFC 7296 §1.4): Delete, liveness, and errors once the IKE SA stands.

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::ike_auth::hasten;
use super::{Received, create_child_sa, mobike, refusal, refuse, seal, send_request, send_response};
use crate::child_sa::{Child, DRAIN, Stage};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, Discarded};
use crate::ike_sa::procedure::{Theirs, Verdict, decide};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{Established, IkeSa, Standing, State};
use crate::wire::Malformed;
use crate::wire::code_point::{ExchangeType, Protocol};
use crate::wire::delete;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::writer::Writer;

/// Child SAs that one Delete names at most.
const DELETED: usize = 16;

/// The payloads of a request, unless it is refused because they are malformed.
pub(crate) fn well_formed<'p, 'm, C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: &'p Received<'m>,
) -> Result<Option<&'p Payloads<'m>>, Discarded> {
    let malformed = match &received.payloads {
        Ok(payloads) => return Ok(Some(payloads)),
        Err(malformed) => *malformed,
    };
    let mut octet = [0];
    let notify = refusal(malformed, &mut octet);
    refuse(endpoint, sa, now, received, &notify)?;
    if !matches!(malformed, Malformed::UnknownCritical(_)) {
        // Malformed behind a good integrity check: one of us is broken (RFC 7296 §2.21.3).
        conclude(endpoint, slot, sa, CloseReason::RefusedByPeer(malformed.notify().0), now);
    }
    Ok(None)
}

/// A request of an exchange that there is not: as malformed as an unknown payload's insides, and one of us is
/// broken (RFC 7296 §2.21.3).
#[inline(never)]
pub(crate) fn handle_unknown<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: &Received<'_>,
) -> Result<(), Discarded> {
    refuse(endpoint, sa, now, received, &NotifyView::new(NotifyType::INVALID_SYNTAX, &[]))?;
    conclude(endpoint, slot, sa, CloseReason::RefusedByPeer(NotifyType::INVALID_SYNTAX.0), now);
    Ok(())
}

/// A request on an IKE SA that stands.
#[inline(never)]
pub(crate) fn handle_request<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: Received<'_>,
) -> Result<(), Discarded> {
    let Some(payloads) = well_formed(endpoint, slot, sa, now, &received)? else {
        return Ok(());
    };
    let ending = ending(endpoint, sa, payloads);
    let header = sa.header(ExchangeType::INFORMATIONAL, true, received.header.message_id);
    let deleted = if ending.is_some() { heapless::Vec::new() } else { named(endpoint, slot, sa, payloads) };
    let paired: heapless::Vec<u32, DELETED> = deleted.iter().map(|(inbound, _)| *inbound).collect();
    let addresses = mobike::judge(endpoint, sa, &received.path, payloads);
    let response = seal(endpoint, sa, &header, |writer| {
        if !paired.is_empty() {
            delete::write_esp(&paired, writer)?;
        }
        addresses.write(writer)
    })
    .ok_or(Discarded::NoBuffer)?;
    send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    mobike::carry_out(endpoint, sa, received.path, &addresses, now);
    endpoint.children.release(slot, &paired, now + DRAIN);
    if let Some(spi) = payloads.notify(NotifyType::INVALID_SPI).and_then(|notify| notify.invalid_spi()) {
        renew_unknown(endpoint, slot, sa, spi, now);
    }
    hasten(endpoint, sa, payloads, now);
    if let Some(reason) = ending {
        conclude(endpoint, slot, sa, reason, now);
    } else if !paired.is_empty() && endpoint.is_idle(slot, sa) {
        endpoint.close_sa(slot, sa, CloseReason::NoChildLeft, now);
    } else if sa.window.is_used_up() {
        endpoint.end(slot, sa, CloseReason::Expired);
    }
    Ok(())
}

/// Whether the request ends the IKE SA (RFC 7296 §1.4.1, §2.21.2).
fn ending<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    sa: &IkeSa,
    payloads: &Payloads<'_>,
) -> Option<CloseReason> {
    if payloads.deletes().any(|delete| delete.protocol == Protocol::IKE)
        && decide(create_child_sa::ours(endpoint, sa), Theirs::DeleteIkeSa) == Verdict::Normal
    {
        return Some(CloseReason::DeletedByPeer);
    }
    let refused = payloads.notify(NotifyType::AUTHENTICATION_FAILED)?;
    Some(CloseReason::RefusedByPeer(refused.kind.0))
}

/// Child SAs that the peer deletes, by our SPI and the peer's. It names those that it receives on; of
/// pairs that we are deleting ourselves nothing is said (RFC 7296 §1.4.1).
fn named<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &IkeSa,
    payloads: &Payloads<'_>,
) -> heapless::Vec<(u32, u32), DELETED> {
    let mut named = heapless::Vec::new();
    let ours = create_child_sa::ours(endpoint, sa);
    for child in endpoint.children.of(slot) {
        let Some(outbound) = child.outbound.map(|spi| spi.get()) else {
            continue;
        };
        let mut deletes = payloads.deletes().filter(|delete| delete.protocol == Protocol::ESP);
        if deletes.any(|delete| delete.spis().any(|spi| spi == outbound))
            && decide(ours, Theirs::DeleteChild(child.stage)) == Verdict::Normal
            && named.push((child.inbound.get(), outbound)).is_err()
        {
            break;
        }
    }
    named
}

/// The peer does not know the SPI that we send with. That alone changes nothing (RFC 7296 §2.21.4): it is
/// asked for a successor, and what it answers decides (RFC 7296 §2.25).
fn renew_unknown<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    outbound: u32,
    now: Instant,
) {
    let is_meant = |child: &&Child| {
        child.stage == Stage::Live && child.outbound.is_some_and(|spi| spi.get() == outbound)
    };
    let meant = endpoint.children.of(slot).find(is_meant).map(|child| child.inbound);
    if let Some(spi) = meant {
        endpoint.children.change(spi, |child| child.renewal_owed = true);
        sa.timers.set(Timer::Resume, now);
    }
}

/// The peer ended the IKE SA and has our answer; it stays a while only to repeat it.
pub(crate) fn conclude<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    reason: CloseReason,
    now: Instant,
) {
    // A Delete of ours that crossed it is forgotten (RFC 7296 §2.25.2).
    let reason = match &sa.state {
        State::Closing(_, ours) => *ours,
        State::Established(Established { standing: Standing::Replaced | Standing::Yielding, .. }) => {
            CloseReason::Replaced
        }
        State::Established(_) if endpoint.rival_made_on(slot, sa).is_some() => CloseReason::Replaced,
        _ => reason,
    };
    endpoint.end(slot, sa, reason);
    sa.timers.set(Timer::Expire, now + endpoint.config.timing.half_open);
}

/// An answer to a request of ours.
#[inline(never)]
pub(crate) fn handle_response<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: Received<'_>,
) -> Result<(), Discarded> {
    let was_delete = Endpoint::<C, R>::is_deleting(sa);
    if let Some(request) = sa.window.answered() {
        endpoint.buffers.release(request.buffer);
        sa.timers.stop(Timer::Retransmit);
        let said = received.payloads.as_ref().ok().map(|payloads| (&received.path, payloads));
        let ending = said.and_then(|said| mobike::conclude(endpoint, slot, sa, now, request.purpose, said));
        if let Some(reason) = ending {
            endpoint.close_sa(slot, sa, reason, now);
            return Ok(());
        }
        if request.purpose == Purpose::DeleteChild {
            let deleted: heapless::Vec<u32, DELETED> = endpoint.children.at_stage(slot, Stage::Deleting);
            endpoint.children.release(slot, &deleted, now + DRAIN);
        }
    }
    let error = received.payloads.as_ref().ok().and_then(Payloads::error).map(|error| error.kind);
    match (&sa.state, error) {
        (State::Closing(_, reason), _) if was_delete => {
            let reason = *reason;
            endpoint.end(slot, sa, reason);
        }
        (State::Closing(_, reason), _) => {
            let reason = *reason;
            if delete_ike_sa(endpoint, sa, now).is_none() {
                endpoint.end(slot, sa, reason);
            }
        }
        (
            State::Established(_),
            Some(kind @ (NotifyType::INVALID_SYNTAX | NotifyType::AUTHENTICATION_FAILED)),
        ) => {
            endpoint.end(slot, sa, CloseReason::RefusedByPeer(kind.0));
        }
        (State::Established(_), _) if sa.window.is_used_up() => endpoint.end(slot, sa, CloseReason::Expired),
        _ => create_child_sa::resume(endpoint, slot, sa, now),
    }
    Ok(())
}

/// Sends a Delete of the IKE SA; `None` when that is not possible now.
pub(crate) fn delete_ike_sa<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    now: Instant,
) -> Option<()> {
    let header = sa.header(ExchangeType::INFORMATIONAL, false, sa.window.next_request()?);
    let message = seal(endpoint, sa, &header, delete::write_ike)?;
    send_request(endpoint, sa, message, Purpose::DeleteIkeSa, now);
    Some(())
}

/// Tells the peer of the Child SAs that ended by our doing, as soon as no other request is waiting
/// for its answer.
pub(crate) fn delete_children<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
) {
    let Some(id) = sa.window.next_request() else {
        return;
    };
    let owed: heapless::Vec<u32, DELETED> = endpoint.children.owed(slot, now);
    if owed.is_empty() {
        return;
    }
    let header = sa.header(ExchangeType::INFORMATIONAL, false, id);
    if let Some(message) = seal(endpoint, sa, &header, |writer| delete::write_esp(&owed, writer)) {
        endpoint.children.advance(slot, &owed, Stage::Deleting);
        send_request(endpoint, sa, message, Purpose::DeleteChild, now);
    }
}

/// Asks the peer whether it lives, unless it owes us an answer already; the question may carry news.
pub(crate) fn probe<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    news: Option<&NotifyView<'_>>,
    now: Instant,
) {
    let Some(id) = sa.window.next_request() else {
        return;
    };
    let header = sa.header(ExchangeType::INFORMATIONAL, false, id);
    let detection = mobike::beside_probe(endpoint, sa);
    let written = |writer: &mut Writer<'_>| {
        news.map_or(Ok(()), |notify| notify.write(writer))?;
        detection.map_or(Ok(()), |detection| detection.write(writer))
    };
    if let Some(message) = seal(endpoint, sa, &header, written) {
        send_request(endpoint, sa, message, Purpose::Liveness, now);
    }
}
