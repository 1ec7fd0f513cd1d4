//! A successor of the IKE SA as responder.

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::responder::{Fresh, Refusal, Request, exchange_keys};
use super::{Making, announce, successor, wait_for_delete};
use crate::config::Suite;
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{Discarded, FailReason};
use crate::exchange::{self, ike_followup_ke};
use crate::handshake::{FirstExchange, Followup, Handshake, NONCE, Promised, Rival};
use crate::ike_sa::keys::{IkeSpis, Nonces, Role, Secrets};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::{Established, IkeSa, Standing, State};
use crate::proposal::{self, IkeChoice, IkeSaKind};
use crate::resources::BufferId;
use crate::wire::NoSpace;
use crate::wire::code_point::ExchangeType;
use crate::wire::header::IkeSpi;
use crate::wire::nonce::NonceView;
use crate::wire::notify::NotifyType;

/// IKE SAs of one peer that wait for its Delete at most, so that it does not take all the room.
const WAITING: usize = 2;

/// Answers, makes the successor and hands the Child SAs over; with an additional key exchange it is only
/// promised.
#[inline(never)]
pub(in super::super) fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    request: &Request<'_, '_>,
) -> Result<(), Refusal> {
    let State::Established(established) = &sa.state else {
        return Err(Refusal::Notify(NotifyType::TEMPORARY_FAILURE));
    };
    let choice = choose(endpoint, established, request)?;
    if choice.suite.additional.is_some() && !endpoint.may_promise(sa) {
        return Err(Refusal::Notify(NotifyType::TEMPORARY_FAILURE));
    }
    let place = place(endpoint, established)?;
    let ke = request.payloads.ke.as_ref().ok_or(Refusal::Broken)?;
    let fresh = exchange_keys(endpoint, choice.suite.group, ke)?;
    let own_nonce: [u8; NONCE] = endpoint.random.array().map_err(|_| Refusal::None(Discarded::NoRandom))?;
    let own = endpoint.fresh_ike_spi(place).map_err(|_| Refusal::None(Discarded::NoRandom))?;
    let spis = IkeSpis { initiator: choice.spi.ok_or(Refusal::Broken)?.0, responder: own };
    let received = request.received;
    let response = write_response(endpoint, sa, received.header.message_id, &choice, own, &own_nonce, &fresh)
        .ok_or(Refusal::None(Discarded::NoBuffer))?;
    let nonces = Nonces { initiator: request.nonce.data(), responder: &own_nonce };
    if request.is_rival
        && let Some(Handshake::Rekeying(rekeying)) = endpoint.creation_mut(sa)
    {
        (rekeying.rival, rekeying.rival_slot) = (Some(Rival::new(nonces)), None);
    }
    if let Some(group) = choice.suite.additional {
        let peer_nonce = request.nonce.data().iter().copied().collect();
        let first = FirstExchange { secret: fresh.secret, own_nonce, peer_nonce };
        reserve(endpoint, sa, place, spis, now);
        let promised = Promised::IkeSa { slot: place, spis, choice };
        endpoint.promise(sa, Followup { promised, group, first }, now);
    } else {
        let secrets = Secrets::only(&fresh.secret);
        let making = Making { role: Role::Responder, spis, suite: choice.suite, secrets, nonces };
        stand(endpoint, (slot, sa), place, &making, request.is_rival, now);
    }
    exchange::send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    Ok(())
}

/// Keeps a place for what is promised.
fn reserve<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
    place: u16,
    spis: IkeSpis,
    now: Instant,
) {
    let mut reserved = IkeSa::new(Role::Responder, spis, sa.path, now);
    reserved.state = State::Reserved;
    endpoint.sas.put(place, reserved);
}

/// Makes what was promised.
pub(in crate::exchange) fn fulfil<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    (slot, sa): (u16, &mut IkeSa),
    (place, spis, choice): (u16, IkeSpis, &IkeChoice),
    (secrets, nonces): (Secrets<'_>, Nonces<'_>),
    is_rival: bool,
    now: Instant,
) {
    let making = Making { role: Role::Responder, spis, suite: choice.suite, secrets, nonces };
    stand(endpoint, (slot, sa), place, &making, is_rival, now);
}

/// The successor stands. The old one waits for its Delete, unless the nonces have yet to tell which successor
/// stays.
fn stand<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    (slot, sa): (u16, &mut IkeSa),
    place: u16,
    making: &Making<'_>,
    is_rival: bool,
    now: Instant,
) {
    let standing = if is_rival { Standing::Rival { of: slot } } else { Standing::Current };
    let State::Established(established) = &sa.state else {
        return;
    };
    let mut new = successor(endpoint, (sa, established), making, standing, now);
    endpoint.hand_over(slot, place);
    match endpoint.creation_mut(sa) {
        Some(Handshake::Rekeying(rekeying)) if is_rival => rekeying.rival_slot = Some(place),
        _ => {
            announce(endpoint, sa.spis, &new);
            wait_for_delete(sa, Standing::Replaced, now);
            // What was put off goes on when the peer has had time to take our answer.
            new.timers.set(Timer::Resume, now + endpoint.config.timing.retransmission);
        }
    }
    endpoint.sas.put(place, new);
}

/// What of the offer we take: what is in use if it is there, and what goes with the public value that we
/// have rather than with another. There is no successor without a key exchange (RFC 7296 §2.18).
fn choose<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    established: &Established,
    request: &Request<'_, '_>,
) -> Result<IkeChoice, Refusal> {
    let suites = endpoint.config.suites;
    let ke = request.payloads.ke.as_ref();
    let is_carried = |suite: &&Suite| ke.is_some_and(|ke| ke.method.0 == suite.group.id());
    let mut carried = core::iter::once(&established.suite).chain(suites).filter(is_carried);
    let choice = carried
        .find_map(|suite| proposal::choose_ike(request.offer, &[*suite], IkeSaKind::Successor).ok())
        .map_or_else(|| proposal::choose_ike(request.offer, suites, IkeSaKind::Successor), Ok)
        .map_err(|mismatch| Refusal::Failed(FailReason::NoProposal(mismatch)))?;
    let ke = ke.ok_or(Refusal::Broken)?;
    if ke.method.0 == choice.suite.group.id() {
        Ok(choice)
    } else {
        Err(Refusal::OtherGroup(choice.suite.group))
    }
}

/// Room for it.
fn place<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    established: &Established,
) -> Result<u16, Refusal> {
    let waiting = endpoint.sas.with(established.who()).filter(|sa| sa.current().is_none());
    if waiting.count() >= WAITING {
        return Err(Refusal::Notify(NotifyType::TEMPORARY_FAILURE));
    }
    endpoint.sas.vacancy().ok_or(Refusal::Notify(NotifyType::TEMPORARY_FAILURE))
}

fn write_response<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    id: u32,
    choice: &IkeChoice,
    own: u64,
    nonce: &[u8],
    fresh: &Fresh,
) -> Option<BufferId> {
    let header = sa.header(ExchangeType::CREATE_CHILD_SA, true, id);
    exchange::seal(endpoint, sa, &header, |writer| {
        proposal::answer_ike(choice, Some(IkeSpi(own)), writer)?;
        NonceView::parse(nonce).map_err(|_| NoSpace)?.write(writer)?;
        fresh.write(writer)?;
        ike_followup_ke::write_link(choice.suite.additional.map(|_| own.to_be_bytes()), writer)
    })
}
