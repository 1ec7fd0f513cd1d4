//! A successor of the IKE SA as initiator.

use core::cmp::Ordering;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::initiator::{Answer, agree, disagree, other_group, write_exchange};
use super::super::try_later;
use super::outcome::{Rivalry, conclude, drop_promised, give_up, yield_to};
use super::{Making, wait_for_delete};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::exchange::{self, ike_followup_ke};
use crate::handshake::{CompletingIkeSa, FirstExchange, Handshake, Rekeying, Tried};
use crate::ike_sa::keys::{IkeSpis, Role, Secrets};
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, Standing, State};
use crate::proposal::{self, IkeChoice, IkeSaKind};
use crate::resources::free_slot;
use crate::wire::NoSpace;
use crate::wire::code_point::ExchangeType;
use crate::wire::header::IkeSpi;
use crate::wire::nonce::NonceView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;

/// Asks, now or later, with a public value of the last of the groups tried.
pub(in super::super) fn begin<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    tried: Tried,
    now: Instant,
) {
    if send(endpoint, sa, tried, now).is_none() {
        try_later(endpoint, sa, now);
    }
}

/// Sends the request; `None` when that is not possible now.
#[inline(never)]
fn send<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    tried: Tried,
    now: Instant,
) -> Option<()> {
    let suites = endpoint.config.suites;
    let index = free_slot(endpoint.handshakes).and_then(|index| u8::try_from(index).ok())?;
    let id = sa.window.next_request()?;
    let place = endpoint.sas.vacancy()?;
    let exchange = endpoint.crypto.generate(*tried.last()?, &mut endpoint.random).ok()?;
    let nonce = endpoint.random.array().ok()?;
    let initiator = endpoint.fresh_ike_spi(place).ok()?;
    let header = sa.header(ExchangeType::CREATE_CHILD_SA, false, id);
    let message = exchange::seal(endpoint, sa, &header, |writer| {
        proposal::offer_ike(suites, Some(IkeSpi(initiator)), writer)?;
        NonceView::parse(&nonce).map_err(|_| NoSpace)?.write(writer)?;
        write_exchange(Some(&exchange), writer)
    })?;
    let mut reserved = IkeSa::new(Role::Initiator, IkeSpis { initiator, responder: 0 }, sa.path, now);
    reserved.state = State::Reserved;
    endpoint.sas.put(place, reserved);
    if let Some(entry) = endpoint.handshakes.get_mut(usize::from(index)) {
        let rekeying = Rekeying { slot: place, exchange, tried, nonce, rival: None, rival_slot: None };
        *entry = Some(Handshake::Rekeying(rekeying));
    }
    if let State::Established(established) = &mut sa.state {
        established.gives_way = false;
    }
    exchange::send_request(endpoint, sa, message, Purpose::CreateChild(index), now);
    Some(())
}

/// What the peer says to it.
#[inline(never)]
pub(in super::super) fn handle_answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    rekeying: Rekeying<C::KeyExchange>,
    answer: &Answer<'_, '_>,
    now: Instant,
) {
    let place = rekeying.slot;
    let judged = match answer {
        Answer::Made(payloads) => judge(endpoint, sa, rekeying, payloads).map(|agreed| (agreed, payloads)),
        Answer::Refused(error) => {
            endpoint.free_reserved(place);
            return refused(endpoint, slot, sa, &rekeying, error, now);
        }
        Answer::Malformed(malformed) => Err(malformed.notify()),
    };
    match judged {
        Ok((agreed, payloads)) if agreed.choice.suite.additional.is_some() => {
            go_on(endpoint, (slot, sa), place, agreed, payloads, now);
        }
        Ok((agreed, _)) => {
            let Agreed { spis, choice, first, .. } = &agreed;
            let secrets = Secrets::only(&first.secret);
            let nonces = first.nonces(Role::Initiator);
            let making = Making { role: Role::Initiator, spis: *spis, suite: choice.suite, secrets, nonces };
            conclude(endpoint, (slot, sa), place, &making, agreed.rival.as_ref(), now);
        }
        Err(kind) => {
            endpoint.free_reserved(place);
            disagree(endpoint, slot, sa, kind, now);
        }
    }
}

/// The nonces decide whether the additional key exchange follows: of the exchange that has the lowest one
/// nothing more comes, for there is nothing to delete yet (RFC 9370 §2.2.4).
#[inline(never)]
fn go_on<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    (slot, sa): (u16, &mut IkeSa),
    place: u16,
    agreed: Agreed,
    payloads: &Payloads<'_>,
    now: Instant,
) {
    let Agreed { spis, choice, first, rival } = agreed;
    let rival = rival.as_ref().and_then(|rival| rival.if_it_counts(endpoint, slot));
    let ordering = rival.map(|rival| rival.compare(first.nonces(Role::Initiator)));
    let made = rival.and_then(|rival| rival.slot);
    let link = payloads.notify(NotifyType::ADDITIONAL_KEY_EXCHANGE);
    let (Some(link), Some(group)) =
        (link.filter(|_| ordering != Some(Ordering::Equal)), choice.suite.additional)
    else {
        endpoint.free_reserved(place);
        return disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now);
    };
    if ordering == Some(Ordering::Less) || matches!(sa.state, State::Closing(..)) {
        endpoint.free_reserved(place);
        return yield_to(endpoint, sa, made, now);
    }
    if let Some(made) = made {
        endpoint.hand_over(made, slot);
        endpoint.sas.change(made, |made| wait_for_delete(made, Standing::Redundant, now));
    }
    drop_promised(endpoint, sa);
    let sent = ike_followup_ke::initiator::begin(endpoint, sa, group, &link, now, |exchange| {
        Handshake::CompletingIkeSa(CompletingIkeSa { slot: place, spis, choice, exchange, first })
    });
    if sent.is_none() {
        endpoint.free_reserved(place);
        try_later(endpoint, sa, now);
    }
}

/// What the peer says to the additional key exchange.
#[inline(never)]
pub(in super::super) fn handle_followup<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    completing: CompletingIkeSa<C::KeyExchange>,
    answer: &Answer<'_, '_>,
    now: Instant,
) {
    let CompletingIkeSa { slot: place, spis, choice, exchange, first } = completing;
    let judged = match answer {
        Answer::Made(payloads) => agree(endpoint, &exchange, payloads),
        Answer::Refused(error) => {
            endpoint.free_reserved(place);
            return give_up(endpoint, slot, sa, error.kind, now);
        }
        Answer::Malformed(malformed) => Err(malformed.notify()),
    };
    match judged {
        Ok(additional) => {
            let secrets = Secrets { first: &first.secret, additional: Some(&additional) };
            let nonces = first.nonces(Role::Initiator);
            let making = Making { role: Role::Initiator, spis, suite: choice.suite, secrets, nonces };
            conclude(endpoint, (slot, sa), place, &making, None, now);
        }
        Err(kind) => {
            endpoint.free_reserved(place);
            disagree(endpoint, slot, sa, kind, now);
        }
    }
}

/// What both ends agree on.
struct Agreed {
    spis: IkeSpis,
    choice: IkeChoice,
    first: FirstExchange,
    rival: Option<Rivalry>,
}

fn judge<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
    rekeying: Rekeying<C::KeyExchange>,
    payloads: &Payloads<'_>,
) -> Result<Agreed, NotifyType> {
    let broken = NotifyType::INVALID_SYNTAX;
    let reserved = endpoint.sas.get(rekeying.slot).ok_or(broken)?;
    let initiator = reserved.spis.initiator;
    let (Some(answer), Some(nonce), Some(ke)) = (&payloads.sa, &payloads.nonce, &payloads.ke) else {
        return Err(broken);
    };
    let choice = proposal::accept_ike(answer, endpoint.config.suites, IkeSaKind::Successor).ok_or(broken)?;
    let responder = choice.spi.ok_or(broken)?.0;
    let is_echo = nonce.data() == rekeying.nonce || initiator == responder;
    if choice.suite.group.id() != ke.method.0 || is_echo || sa.established().is_none() {
        return Err(broken);
    }
    let secret = agree(endpoint, &rekeying.exchange, payloads)?;
    let peer_nonce = nonce.data().iter().copied().collect();
    let first = FirstExchange { secret, own_nonce: rekeying.nonce, peer_nonce };
    let slot = rekeying.rival_slot;
    let rival = rekeying.rival.map(|exchange| Rivalry { exchange, slot });
    Ok(Agreed { spis: IkeSpis { initiator, responder }, choice, first, rival })
}

/// The peer made none.
fn refused<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    rekeying: &Rekeying<C::KeyExchange>,
    error: &NotifyView<'_>,
    now: Instant,
) {
    let kind = error.kind;
    let is_final = matches!(kind, NotifyType::INVALID_SYNTAX | NotifyType::AUTHENTICATION_FAILED);
    // The peer did not notice that we asked too: its own successor stands.
    let made = rekeying.rival_slot.and_then(|made| endpoint.rival_of(slot, made));
    if !is_final && made.is_some() {
        return yield_to(endpoint, sa, made, now);
    }
    match other_group(endpoint, error, &rekeying.tried) {
        Some(tried) if matches!(sa.state, State::Established(_)) => begin(endpoint, sa, tried, now),
        _ => give_up(endpoint, slot, sa, kind, now),
    }
}
