//! A Child SA as responder: what of the peer's offer we take, and the pair.

use esp_engine::sa::Spi;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::proven;
use super::super::responder::{Fresh, Refusal, Request, exchange_keys};
use crate::child_sa::{Stage, UNSURE};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{Discarded, FailReason};
use crate::exchange;
use crate::exchange::ike_auth::child::{self, Agreement, Making};
use crate::exchange::ike_auth::initiator::write_mode;
use crate::exchange::ike_auth::is_somebody;
use crate::exchange::ike_followup_ke;
use crate::handshake::{FirstExchange, Followup, Handshake, NONCE, Promised, Rival, child_link};
use crate::ike_sa::IkeSa;
use crate::ike_sa::keys::{Nonces, Role, Secrets};
use crate::narrow::is_subset;
use crate::proposal::{self, Pfs};
use crate::resources::BufferId;
use crate::wire::code_point::{ExchangeType, PayloadType};
use crate::wire::nonce::NonceView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::{NoSpace, ts};

/// Pairs that one IKE SA has at most, and one with a stranger (RFC 5386), so that nobody takes all the
/// room.
const PAIRS: u16 = 16;
const PAIRS_OF_A_STRANGER: u16 = 3;

/// Answers, and makes the pair, in place of `old` if there is one; with an additional key exchange it is only
/// promised.
pub(in super::super) fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    request: &Request<'_, '_>,
    old: Option<Spi>,
) -> Result<(), Refusal> {
    let received = request.received;
    let (agreement, fresh) = agree(endpoint, slot, sa, request, old)?;
    let own_nonce: Result<[u8; NONCE], _> = endpoint.random.array();
    let response = own_nonce.ok().and_then(|own_nonce| {
        let id = received.header.message_id;
        Some((own_nonce, write_response(endpoint, sa, id, &own_nonce, &agreement, fresh.as_ref())?))
    });
    let Some((own_nonce, response)) = response else {
        endpoint.children.withdraw(agreement.inbound);
        return Err(Refusal::None(Discarded::NoBuffer));
    };
    let nonces = Nonces { initiator: request.nonce.data(), responder: &own_nonce };
    if request.is_rival
        && let Some(Handshake::Creating(creating)) = endpoint.creation_mut(sa)
    {
        // The nonces of both exchanges will tell which successor stays.
        creating.rival = Some(Rival::new(nonces));
    }
    match (agreement.choice.additional, fresh) {
        (Some(group), Some(Fresh { secret, .. })) => {
            let peer_nonce = request.nonce.data().iter().copied().collect();
            let first = FirstExchange { secret, own_nonce, peer_nonce };
            let followup = Followup { promised: Promised::Child(agreement, old), group, first };
            endpoint.promise(sa, followup, now);
        }
        (_, fresh) => {
            let secrets = fresh.as_ref().map(|fresh| Secrets::only(&fresh.secret));
            install(endpoint, slot, sa, secrets, nonces, (agreement, old), now);
        }
    }
    exchange::send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    Ok(())
}

/// The pair stands, and the old one has a successor.
pub(in crate::exchange) fn install<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &IkeSa,
    secrets: Option<Secrets<'_>>,
    nonces: Nonces<'_>,
    (agreement, old): (Agreement, Option<Spi>),
    now: Instant,
) {
    let Some(established) = sa.established() else {
        return;
    };
    let making = Making {
        role: Role::Responder,
        prf: established.suite.prf,
        sk_d: &established.sk_d,
        secrets,
        nonces,
        nat: established.nat,
        // The old pair goes on until the peer uses the new one; without an old one there is no choice.
        may_send: old.is_none(),
        unsure_until: Some(now + UNSURE),
    };
    child::install(endpoint, slot, sa, &making, &proven(established), agreement);
    if let Some(old) = old {
        endpoint.children.change(old, |child| {
            child.stage = Stage::Replaced;
            child.renewal_owed = false;
        });
    }
}

/// What is agreed on, if anything can be.
#[inline(never)]
fn agree<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &IkeSa,
    request: &Request<'_, '_>,
    old: Option<Spi>,
) -> Result<(Agreement, Option<Fresh>), Refusal> {
    let payloads = request.payloads;
    let established = sa.established().ok_or(Refusal::Broken)?;
    let most = if is_somebody(established.level) { PAIRS } else { PAIRS_OF_A_STRANGER };
    if endpoint.children.of(slot).count() >= usize::from(most) {
        return Err(Refusal::Notify(NotifyType::NO_ADDITIONAL_SAS));
    }
    let carried = payloads.ke.map(|ke| ke.method.0);
    let choice = proposal::choose_esp(request.offer, endpoint.config.suites, Pfs::With(carried))
        .map_err(|mismatch| Refusal::Failed(FailReason::NoProposal(mismatch)))?;
    if let Some(group) = choice.group
        && carried != Some(group.id())
    {
        return Err(Refusal::OtherGroup(group));
    }
    if choice.additional.is_some() && !endpoint.may_promise(sa) {
        return Err(Refusal::Notify(NotifyType::TEMPORARY_FAILURE));
    }
    let (proven, nat) = (proven(established), established.nat);
    let agreement =
        child::answer::answer(endpoint, slot, sa, &proven, nat, choice, payloads).map_err(Refusal::Failed)?;
    if established.is_ending && !old.is_some_and(|old| is_for_the_same(endpoint, old, &agreement)) {
        endpoint.children.withdraw(agreement.inbound);
        return Err(Refusal::Notify(NotifyType::NO_ADDITIONAL_SAS));
    }
    let fresh = match (choice.group, &payloads.ke) {
        (Some(group), Some(ke)) => match exchange_keys(endpoint, group, ke) {
            Ok(fresh) => Some(fresh),
            Err(refusal) => {
                endpoint.children.withdraw(agreement.inbound);
                return Err(refusal);
            }
        },
        _ => None,
    };
    Ok((agreement, fresh))
}

/// Whether a successor covers nothing that the old pair does not.
fn is_for_the_same<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, old: Spi, agreement: &Agreement) -> bool {
    endpoint.children.look(old).is_some_and(|old| {
        is_subset(&agreement.local_ts, &old.local_ts) && is_subset(&agreement.remote_ts, &old.remote_ts)
    })
}

fn write_response<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    id: u32,
    nonce: &[u8],
    agreement: &Agreement,
    fresh: Option<&Fresh>,
) -> Option<BufferId> {
    let config = endpoint.config;
    let header = sa.header(ExchangeType::CREATE_CHILD_SA, true, id);
    exchange::seal(endpoint, sa, &header, |writer| {
        proposal::answer_esp(&agreement.choice, agreement.inbound, writer)?;
        NonceView::parse(nonce).map_err(|_| NoSpace)?.write(writer)?;
        fresh.map_or(Ok(()), |fresh| fresh.write(writer))?;
        ts::write(PayloadType::TSI, &agreement.remote_ts, writer)?;
        ts::write(PayloadType::TSR, &agreement.local_ts, writer)?;
        if agreement.more {
            NotifyView::put(NotifyType::ADDITIONAL_TS_POSSIBLE, &[], writer)?;
        }
        config.policy(agreement.policy).map_or(Ok(()), |policy| write_mode(policy, writer))?;
        let link = agreement.choice.additional.map(|_| child_link(agreement.inbound));
        ike_followup_ke::write_link(link, writer)
    })
}
