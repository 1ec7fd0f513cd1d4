//! A Child SA as initiator: the request and what comes of it.

use esp_engine::sa::Spi;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::initiator::{Answer, disagree, other_group, write_exchange};
use super::super::{forgive, is_out_of_step, proven, put_off};
use crate::child_sa::{Sending, Stage};
use crate::config::IkePolicy;
use crate::crypto::{Crypto, KeyExchange, SharedSecret};
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, FailReason};
use crate::exchange;
use crate::exchange::ike_auth::child::offer::Offered;
use crate::exchange::ike_auth::child::{self, Agreement, Making};
use crate::exchange::ike_auth::initiator::write_mode;
use crate::handshake::{Aim, Creating, Handshake, Tried};
use crate::ike_sa::keys::{Nonces, Role};
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, State};
use crate::narrow::is_subset;
use crate::output::Event;
use crate::proposal;
use crate::resources::free_slot;
use crate::wants::Wanted;
use crate::wire::code_point::{ExchangeType, PayloadType, Protocol};
use crate::wire::ke::KeView;
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
            let (local, remote) = (sa.path.local.ip(), sa.path.remote.ip());
            child::offer::offer(policy, wanted.packet.as_ref(), false, local, remote)
        }
        Aim::Successor { local_ts, remote_ts, .. } => {
            (local_ts.iter().copied().collect(), remote_ts.iter().copied().collect())
        }
    }
}

/// What the peer says to it.
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
    match judge(endpoint, sa, &creating, payloads) {
        Ok((agreement, secret)) => {
            let nonces = Nonces { initiator: &creating.nonce, responder: nonce.data() };
            if creating.rival.as_ref().is_some_and(|rival| rival.lowest == nonces.lowest()) {
                return disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now);
            }
            conclude(endpoint, slot, sa, &creating, nonces, secret.as_ref(), agreement);
        }
        Err(FailReason::BadMessage) => disagree(endpoint, slot, sa, NotifyType::INVALID_SYNTAX, now),
        Err(reason) => {
            // The peer has installed what we refuse.
            endpoint.children.advance(slot, &[creating.inbound.get()], Stage::DeleteOwed);
            if let Aim::New(wanted) = creating.aim {
                endpoint.desk.setbacks.failed(wanted.policy, sa.path.remote.ip(), now);
            }
            endpoint.fail(sa, None, reason);
        }
    }
}

/// What the peer made, with the secret of a key exchange if there was one.
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
        Some(exchange) => Some(agree(endpoint, exchange, payloads)?),
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

/// The secret of the key exchange; without a good value of the peer's nothing can be made of its answer
/// (RFC 6989 §2.5).
fn agree<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    exchange: &C::KeyExchange,
    payloads: &Payloads<'_>,
) -> Result<SharedSecret, FailReason> {
    let is_ours = |ke: &&KeView<'_>| ke.method.0 == exchange.group().id();
    let ke = payloads.ke.as_ref().filter(is_ours).ok_or(FailReason::BadMessage)?;
    endpoint.desk.counters.key_exchanges = endpoint.desk.counters.key_exchanges.saturating_add(1);
    exchange.clone().agree(ke.data).map_err(|_| FailReason::BadMessage)
}

/// Installs the pair and says which one goes.
fn conclude<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    creating: &Creating<C::KeyExchange>,
    nonces: Nonces<'_>,
    secret: Option<&SharedSecret>,
    agreement: Agreement,
) {
    forgive(sa);
    let Some(established) = sa.established() else {
        return;
    };
    // The pair whose exchange has the lowest of the four nonces goes (RFC 7296 §2.8.1).
    let is_redundant = creating.rival.as_ref().is_some_and(|rival| nonces.lowest() < rival.lowest.as_slice());
    let making = Making {
        role: Role::Initiator,
        prf: established.suite.prf,
        sk_d: &established.sk_d,
        secret,
        nonces,
        nat: established.nat,
        may_send: !is_redundant,
        unsure_until: None,
    };
    child::install(endpoint, slot, sa, &making, &proven(established), agreement);
    match &creating.aim {
        Aim::New(wanted) => endpoint.desk.setbacks.succeeded(wanted.policy, sa.path.remote.ip()),
        Aim::Successor { of, .. } if is_redundant => {
            endpoint.children.advance(slot, &[creating.inbound.get()], Stage::DeleteOwed);
            retire(endpoint, creating.inbound);
            supersede(endpoint, *of, Stage::Replaced);
        }
        Aim::Successor { of, .. } => {
            retire(endpoint, *of);
            supersede(endpoint, *of, Stage::DeleteOwed);
        }
    }
}

/// Nothing more is sent on a pair that we delete: the peer may forget it long before we hear so.
fn retire<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, spi: Spi) {
    if let Some(child) = endpoint.children.find(spi).filter(|child| child.sending == Sending::Yes) {
        child.sending = Sending::Ended;
        endpoint.outbox.event(Event::Retire(spi));
    }
}

/// The old pair has a successor, unless its end has come for another reason.
fn supersede<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, of: Spi, stage: Stage) {
    if let Some(child) = endpoint.children.find(of).filter(|child| child.stands()) {
        child.stage = stage;
        child.renewal_owed = false;
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
    let kind = error.kind;
    endpoint.children.withdraw(creating.inbound);
    if let (Some(tried), true) =
        (other_group(endpoint, error, &creating.tried), is_still_wanted(endpoint, &creating.aim))
    {
        return begin(endpoint, slot, sa, creating.aim, tried, now);
    }
    let reason = FailReason::Refused(kind.0);
    match &creating.aim {
        _ if matches!(kind, NotifyType::INVALID_SYNTAX | NotifyType::AUTHENTICATION_FAILED) => {
            endpoint.end(slot, sa, CloseReason::RefusedByPeer(kind.0));
        }
        // The peer's Delete or its own successor overtook the answer.
        aim if !is_still_wanted(endpoint, aim) => {}
        _ if kind == NotifyType::TEMPORARY_FAILURE => {
            if !is_out_of_step(endpoint, slot, sa, now) {
                put_off(endpoint, slot, sa, creating.aim, now);
            }
        }
        Aim::Successor { of, policy, .. } if kind == NotifyType::CHILD_SA_NOT_FOUND => {
            endpoint.children.advance(slot, &[of.get()], Stage::Removed);
            let wanted = Wanted { policy: *policy, packet: None, like: None };
            // When there is no room, the next packet asks for it.
            let _ = endpoint.desk.wants.note(slot, wanted);
        }
        Aim::Successor { of, .. } => {
            endpoint.fail(sa, None, reason);
            // What this IKE SA cannot bring, another one may (RFC 7296 §2.8.3).
            endpoint.desk.due = Some(*of);
        }
        Aim::New(wanted) => {
            if kind == NotifyType::NO_ADDITIONAL_SAS
                && let State::Established(established) = &mut sa.state
            {
                established.is_full = true;
            } else {
                endpoint.desk.setbacks.failed(wanted.policy, sa.path.remote.ip(), now);
            }
            endpoint.fail(sa, None, reason);
        }
    }
}

/// Whether it has not been done or made needless by the peer.
fn is_still_wanted<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, aim: &Aim) -> bool {
    match aim {
        Aim::New(_) => true,
        Aim::Successor { of, .. } => endpoint.children.find(*of).is_some_and(|c| c.stage == Stage::Live),
    }
}
