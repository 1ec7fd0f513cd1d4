//! A Child SA as initiator: the request and what comes of it.

use core::cmp::Ordering;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::initiator::{self, Answer, disagree, other_group, write_exchange};
use super::super::{proven, put_off};
use super::outcome::{conclude, give_up, is_still_wanted, keep_owed, prevail, take_back};
use crate::config::IkePolicy;
use crate::crypto::{Crypto, Group, SharedSecret};
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::exchange;
use crate::exchange::ike_auth::child::offer::Offered;
use crate::exchange::ike_auth::child::{self, Agreement};
use crate::exchange::ike_auth::initiator::write_mode;
use crate::exchange::ike_followup_ke;
use crate::handshake::{Aim, CompletingChild, Creating, FirstExchange, Handshake, Tried};
use crate::ike_sa::keys::{Nonces, Role, Secrets};
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, State};
use crate::narrow::is_subset;
use crate::proposal;
use crate::resources::free_slot;
use crate::wire::code_point::{ExchangeType, PayloadType, Protocol};
use crate::wire::nonce::NonceView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::{NoSpace, ts};

/// Asks, now or later; with a public value of the last of the groups tried, if there is any.
pub(in super::super) fn begin<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    aim: Aim,
    tried: Tried,
    now: Instant,
) {
    if send(endpoint, slot, sa, aim.clone(), tried, now).is_none() {
        put_off(endpoint, slot, sa, aim, now);
    }
}

/// Sends the request; `None` when that is not possible now.
#[inline(never)]
fn send<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    aim: Aim,
    tried: Tried,
    now: Instant,
) -> Option<()> {
    let config = endpoint.config;
    let policy = config.policy(aim.policy())?;
    let index = free_slot(endpoint.handshakes).and_then(|index| u8::try_from(index).ok())?;
    let group = tried.last().copied();
    let exchange = match group {
        Some(group) => Some(endpoint.crypto.generate(group, &mut endpoint.random).ok()?),
        None => None,
    };
    let nonce = endpoint.random.array().ok()?;
    let id = sa.window.next_request()?;
    let inbound = child::reserve(endpoint, slot, aim.policy()).ok()?;
    let (tsi, tsr) = offered(endpoint, &aim, policy, sa);
    let header = sa.header(ExchangeType::CREATE_CHILD_SA, false, id);
    let message = exchange::seal(endpoint, sa, &header, |writer| {
        if let Aim::Successor { of, .. } = &aim {
            let spi = of.get().to_be_bytes();
            let kind = NotifyType::REKEY_SA;
            NotifyView { protocol: Protocol::ESP, spi: &spi, kind, data: &[] }.write(writer)?;
        }
        proposal::offer_esp(config.suites, inbound, group, writer)?;
        NonceView::parse(&nonce).map_err(|_| NoSpace)?.write(writer)?;
        write_exchange(exchange.as_ref(), writer)?;
        ts::write(PayloadType::TSI, &tsi, writer)?;
        ts::write(PayloadType::TSR, &tsr, writer)?;
        write_mode(policy, writer)
    });
    let Some(message) = message else {
        endpoint.children.withdraw(inbound);
        return None;
    };
    if let Some(entry) = endpoint.handshakes.get_mut(usize::from(index)) {
        *entry = Some(Handshake::Creating(Creating { aim, inbound, exchange, tried, nonce, rival: None }));
    }
    if let State::Established(established) = &mut sa.state {
        established.gives_way = false;
    }
    exchange::send_request(endpoint, sa, message, Purpose::CreateChild(index), now);
    Some(())
}

/// TSi and TSr. A successor is offered with just what the old pair has, and no packet in front
/// (RFC 7296 §2.9.2).
fn offered<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    aim: &Aim,
    policy: &IkePolicy<'_>,
    sa: &IkeSa,
) -> (Offered, Offered) {
    match aim {
        Aim::New(wanted) => {
            if let Some(old) = wanted.like.and_then(|spi| endpoint.children.look(spi)) {
                return child::offer::like(old);
            }
            child::offer::offer(
                endpoint.own(),
                policy,
                wanted.packet.as_ref(),
                false,
                sa.path.local.ip(),
                &sa.way(),
            )
        }
        Aim::Successor { local_ts, remote_ts, .. } => {
            (local_ts.iter().copied().collect(), remote_ts.iter().copied().collect())
        }
    }
}

/// What the peer says to it.
#[inline(never)]
pub(in super::super) fn handle_answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    creating: Creating<C::KeyExchange>,
    answer: &Answer<'_, '_>,
    now: Instant,
) {
    // The peer ends its pair with the IKE SA, and ours never was.
    if matches!(sa.state, State::Closing(..)) {
        return;
    }
    match answer {
        Answer::Made(payloads) => accept(endpoint, slot, sa, creating, payloads, now),
        Answer::Refused(error) => refused(endpoint, slot, sa, creating, error, now),
        Answer::Malformed(malformed) => disagree(endpoint, slot, sa, malformed.notify(), now),
    }
}

/// The pair is there, unless the answer is not one to our offer.
#[inline(never)]
fn accept<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    creating: Creating<C::KeyExchange>,
    payloads: &Payloads<'_>,
    now: Instant,
) {
    let Some(nonce) = payloads.nonce.filter(|nonce| nonce.data() != creating.nonce) else {
        return disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now);
    };
    let (agreement, secret) = match judge(endpoint, sa, &creating, payloads) {
        Ok(judged) => judged,
        Err(FailReason::BadMessage) => {
            return disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now);
        }
        Err(reason) => return take_back(endpoint, slot, sa, &creating.aim, creating.inbound, reason, now),
    };
    let nonces = Nonces { initiator: &creating.nonce, responder: nonce.data() };
    let rival = creating.rival.as_ref().map(|rival| nonces.lowest().cmp(rival.lowest.as_slice()));
    match (rival, agreement.choice.additional, secret) {
        (Some(Ordering::Equal), ..) => disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now),
        // There is nothing to delete yet (RFC 9370 §2.2.4).
        (Some(Ordering::Less), Some(_), _) => {
            endpoint.children.withdraw(creating.inbound);
            keep_owed(endpoint, &creating.aim);
        }
        (_, Some(group), Some(secret)) => {
            let peer_nonce = nonce.data().iter().copied().collect();
            let first = FirstExchange { secret, own_nonce: creating.nonce, peer_nonce };
            go_on(endpoint, slot, sa, (creating.aim, agreement), (group, first), payloads, now);
        }
        (rival, _, secret) => {
            let secrets = secret.as_ref().map(Secrets::only);
            conclude(
                endpoint,
                slot,
                sa,
                &creating.aim,
                rival == Some(Ordering::Less),
                nonces,
                secrets,
                agreement,
            );
        }
    }
}

/// The exchange that stays has an additional key exchange, which follows (RFC 9370 §2.2.4).
#[inline(never)]
fn go_on<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    (aim, agreement): (Aim, Agreement),
    (group, first): (Group, FirstExchange),
    payloads: &Payloads<'_>,
    now: Instant,
) {
    let Some(link) = payloads.notify(NotifyType::ADDITIONAL_KEY_EXCHANGE) else {
        return disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now);
    };
    prevail(endpoint, sa, &aim);
    let (inbound, later) = (agreement.inbound, aim.clone());
    let sent = ike_followup_ke::initiator::begin(endpoint, sa, group, &link, now, |exchange| {
        Handshake::CompletingChild(CompletingChild { aim, agreement, exchange, first })
    });
    if sent.is_none() {
        endpoint.children.withdraw(inbound);
        put_off(endpoint, slot, sa, later, now);
    }
}

/// What the peer says to the additional key exchange.
#[inline(never)]
pub(in super::super) fn handle_followup<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    completing: CompletingChild<C::KeyExchange>,
    answer: &Answer<'_, '_>,
    now: Instant,
) {
    if matches!(sa.state, State::Closing(..)) {
        return;
    }
    let CompletingChild { aim, agreement, exchange, first } = completing;
    let judged = match answer {
        Answer::Made(payloads) => initiator::agree(endpoint, &exchange, payloads),
        Answer::Refused(error) => {
            endpoint.children.withdraw(agreement.inbound);
            return give_up(endpoint, slot, sa, aim, error.kind, now);
        }
        Answer::Malformed(malformed) => Err(malformed.notify()),
    };
    let additional = match judged {
        Ok(additional) => additional,
        Err(kind) => return disagree(endpoint, slot, sa, kind, now),
    };
    let key = sa.established().map(|established| established.key);
    if key.is_some_and(|key| endpoint.children.is_taken(key, &agreement.local_ts, &agreement.remote_ts)) {
        // Meanwhile the flow has come to live under another key.
        return take_back(endpoint, slot, sa, &aim, agreement.inbound, FailReason::OtherKeysFlow, now);
    }
    let secrets = Secrets { first: &first.secret, additional: Some(&additional) };
    conclude(endpoint, slot, sa, &aim, false, first.nonces(Role::Initiator), Some(secrets), agreement);
}

/// What the peer made, with the secret of a key exchange if there was one.
#[inline(never)]
fn judge<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
    creating: &Creating<C::KeyExchange>,
    payloads: &Payloads<'_>,
) -> Result<(Agreement, Option<SharedSecret>), FailReason> {
    let (Some(answer), Some(tsi), Some(tsr)) = (&payloads.sa, &payloads.tsi, &payloads.tsr) else {
        return Err(FailReason::BadMessage);
    };
    let established = sa.established().ok_or(FailReason::Internal)?;
    let id = creating.aim.policy();
    let policy = endpoint.config.policy(id).ok_or(FailReason::Internal)?;
    let offer = (id, &offered(endpoint, &creating.aim, policy, sa));
    let is_transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
    let proven = proven(established);
    let answer = (answer, tsi, tsr);
    let group = creating.tried.last().copied();
    let agreement =
        child::offer::accept(endpoint, sa, &proven, offer, creating.inbound, group, answer, is_transport)?;
    let secret = match &creating.exchange {
        Some(exchange) => {
            Some(initiator::agree(endpoint, exchange, payloads).map_err(|_| FailReason::BadMessage)?)
        }
        None => None,
    };
    match &creating.aim {
        // What lives in the old pair must live on in the new one (RFC 7296 §2.9.2).
        Aim::Successor { local_ts, remote_ts, .. }
            if !is_subset(local_ts, &agreement.local_ts) || !is_subset(remote_ts, &agreement.remote_ts) =>
        {
            Err(FailReason::AnswerNotOffered)
        }
        _ => Ok((agreement, secret)),
    }
}

/// The peer made no pair.
fn refused<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    creating: Creating<C::KeyExchange>,
    error: &NotifyView<'_>,
    now: Instant,
) {
    endpoint.children.withdraw(creating.inbound);
    if let (Some(tried), true) =
        (other_group(endpoint, error, &creating.tried), is_still_wanted(endpoint, &creating.aim))
    {
        return begin(endpoint, slot, sa, creating.aim, tried, now);
    }
    give_up(endpoint, slot, sa, creating.aim, error.kind, now);
}
