//! A successor of the IKE SA as initiator.

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::initiator::{Answer, disagree, other_group, write_exchange};
use super::super::{is_out_of_step, try_later};
use super::{Making, announce, successor, wait_for_delete};
use crate::crypto::{Crypto, KeyExchange, SharedSecret};
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, FailReason};
use crate::exchange;
use crate::handshake::{Handshake, NONCE, Rekeying, Rival, Tried};
use crate::ike_sa::keys::{IkeSpis, Nonces, Role};
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, Standing, State};
use crate::proposal::{self, IkeChoice, IkeSaKind};
use crate::resources::free_slot;
use crate::wire::NoSpace;
use crate::wire::code_point::ExchangeType;
use crate::wire::header::IkeSpi;
use crate::wire::nonce::{MAX_NONCE, NonceView};
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;

/// Asks, now or later, with a public value of the last of the groups tried.
pub(in super::super) fn begin<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    tried: Tried,
    now: Instant,
) {
    if send(endpoint, slot, sa, tried, now).is_none() {
        try_later(endpoint, sa, now);
    }
}

/// Sends the request; `None` when that is not possible now.
fn send<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    tried: Tried,
    now: Instant,
) -> Option<()> {
    let suites = endpoint.config.suites;
    let index = free_slot(endpoint.handshakes).and_then(|index| u8::try_from(index).ok())?;
    let id = sa.window.next_request()?;
    let place = endpoint.free_place_beside(slot)?;
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
    if let Some(entry) = endpoint.sas.get_mut(usize::from(place)) {
        *entry = Some(reserved);
    }
    if let Some(entry) = endpoint.handshakes.get_mut(usize::from(index)) {
        *entry = Some(Handshake::Rekeying(Rekeying { slot: place, exchange, tried, nonce, rival: None }));
    }
    exchange::send_request(endpoint, sa, message, Purpose::CreateChild(index), now);
    Some(())
}

/// What the peer says to it.
pub(in super::super) fn handle_answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    rekeying: Rekeying<C::KeyExchange>,
    answer: &Answer<'_, '_>,
    now: Instant,
) {
    let place = rekeying.slot;
    let reserved = endpoint.sas.get_mut(usize::from(place)).and_then(Option::take);
    let judged = match (answer, reserved) {
        (Answer::Made(payloads), Some(reserved)) => judge(endpoint, sa, &reserved, rekeying, payloads),
        (Answer::Refused(error), _) => return refused(endpoint, slot, sa, &rekeying, error, now),
        (Answer::Malformed(malformed), _) => Err(malformed.notify()),
        (Answer::Made(_), None) => Err(NotifyType::INVALID_SYNTAX),
    };
    match judged {
        Ok(agreed) => conclude(endpoint, (slot, sa), place, &agreed, now),
        Err(kind) => disagree(endpoint, slot, sa, kind, now),
    }
}

/// What both ends agree on.
struct Agreed {
    spis: IkeSpis,
    choice: IkeChoice,
    secret: SharedSecret,
    own_nonce: [u8; NONCE],
    peer_nonce: heapless::Vec<u8, MAX_NONCE>,
    rival: Option<(u16, Rival)>,
}

fn judge<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
    reserved: &IkeSa,
    rekeying: Rekeying<C::KeyExchange>,
    payloads: &Payloads<'_>,
) -> Result<Agreed, NotifyType> {
    let broken = NotifyType::INVALID_SYNTAX;
    let (Some(answer), Some(nonce), Some(ke)) = (&payloads.sa, &payloads.nonce, &payloads.ke) else {
        return Err(broken);
    };
    let choice = proposal::accept_ike(answer, endpoint.config.suites, IkeSaKind::Successor).ok_or(broken)?;
    let group = rekeying.exchange.group();
    let responder = choice.spi.ok_or(broken)?.0;
    let spis = IkeSpis { responder, ..reserved.spis };
    let is_echo = nonce.data() == rekeying.nonce || spis.initiator == responder;
    if choice.suite.group != group || ke.method.0 != group.id() || is_echo || sa.established().is_none() {
        return Err(broken);
    }
    endpoint.desk.counters.key_exchanges = endpoint.desk.counters.key_exchanges.saturating_add(1);
    let secret = rekeying.exchange.agree(ke.data).map_err(|_| broken)?;
    let peer_nonce = nonce.data().iter().copied().collect();
    Ok(Agreed { spis, choice, secret, own_nonce: rekeying.nonce, peer_nonce, rival: rekeying.rival })
}

/// The successor stands. One of two goes again; so does one of an IKE SA that was to end meanwhile.
fn conclude<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    (slot, sa): (u16, &mut IkeSa),
    place: u16,
    agreed: &Agreed,
    now: Instant,
) {
    let Some(established) = sa.established() else {
        return;
    };
    let nonces = Nonces { initiator: &agreed.own_nonce, responder: &agreed.peer_nonce };
    let making = Making {
        role: Role::Initiator,
        spis: agreed.spis,
        suite: agreed.choice.suite,
        secret: &agreed.secret,
        nonces,
    };
    let mut new = successor(endpoint, (sa, established), &making, Standing::Current, now);
    let rival = agreed.rival.as_ref().and_then(|(rival, its)| Some((endpoint.rival_of(slot, *rival)?, its)));
    let closing = if let State::Closing(_, reason) = sa.state { Some(reason) } else { None };
    // Two of the four that are equal decide nothing, and no honest end sends them.
    if rival.is_some_and(|(_, its)| nonces.lowest() == its.lowest.as_slice()) {
        return disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now);
    }
    let is_lowest = rival.is_some_and(|(_, its)| nonces.lowest() < its.lowest.as_slice());
    if closing.is_some() || is_lowest {
        wait_for_delete(&mut new, Standing::Redundant, now);
        endpoint.close_sa(place, &mut new, closing.unwrap_or(CloseReason::Replaced), now);
        if let Some((rival, _)) = rival {
            endpoint.prevail(rival, sa.spis);
        }
        if closing.is_none() {
            wait_for_delete(sa, Standing::Replaced, now);
        }
    } else {
        endpoint.hand_over(rival.map_or(slot, |(rival, _)| rival), place);
        if let Some((rival, _)) = rival
            && let Some(Some(rival)) = endpoint.sas.get_mut(usize::from(rival))
        {
            wait_for_delete(rival, Standing::Redundant, now);
        }
        announce(endpoint, sa.spis, &new);
        new.timers.set(crate::ike_sa::timer::Timer::Resume, now);
        endpoint.close_sa(slot, sa, CloseReason::Replaced, now);
    }
    if let Some(entry) = endpoint.sas.get_mut(usize::from(place)) {
        *entry = Some(new);
    }
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
    if matches!(kind, NotifyType::INVALID_SYNTAX | NotifyType::AUTHENTICATION_FAILED) {
        return endpoint.end(slot, sa, CloseReason::RefusedByPeer(kind.0));
    }
    // The peer did not notice that we asked too: its own successor stands.
    if let Some((rival, _)) = &rekeying.rival
        && let Some(rival) = endpoint.rival_of(slot, *rival)
    {
        endpoint.prevail(rival, sa.spis);
        if let State::Established(_) = sa.state {
            wait_for_delete(sa, Standing::Replaced, now);
        }
        return;
    }
    let State::Established(established) = &mut sa.state else {
        return;
    };
    if let Some(tried) = other_group(endpoint, error, &rekeying.tried) {
        begin(endpoint, slot, sa, tried, now);
    } else if kind == NotifyType::TEMPORARY_FAILURE {
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
