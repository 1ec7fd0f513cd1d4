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
use crate::handshake::{Handshake, NONCE, Rival};
use crate::ike_sa::IkeSa;
use crate::ike_sa::keys::{Nonces, Role};
use crate::proposal::{self, Pfs};
use crate::resources::BufferId;
use crate::wire::code_point::{ExchangeType, PayloadType};
use crate::wire::ke::KeView;
use crate::wire::nonce::NonceView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::transform::KeyExchangeMethod;
use crate::wire::{NoSpace, ts};

/// Pairs that one IKE SA has at most, and one with a stranger (RFC 5386), so that nobody takes all the
/// room.
const PAIRS: u16 = 16;
const PAIRS_OF_A_STRANGER: u16 = 3;

/// Makes the pair, in place of `old` if there is one, and answers.
pub(in super::super) fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    request: &Request<'_, '_>,
    old: Option<Spi>,
) -> Result<(), Refusal> {
    let received = request.received;
    let (agreement, fresh) = agree(endpoint, slot, sa, request)?;
    let own_nonce: Result<[u8; NONCE], _> = endpoint.random.array();
    let response = own_nonce.ok().and_then(|own_nonce| {
        let id = received.header.message_id;
        Some((own_nonce, write_response(endpoint, sa, id, &own_nonce, &agreement, fresh.as_ref())?))
    });
    let (Some((own_nonce, response)), Some(established)) = (response, sa.established()) else {
        endpoint.children.withdraw(agreement.inbound);
        return Err(Refusal::None(Discarded::NoBuffer));
    };
    let nonces = Nonces { initiator: request.nonce.data(), responder: &own_nonce };
    let making = Making {
        role: Role::Responder,
        prf: established.suite.prf,
        sk_d: &established.sk_d,
        secret: fresh.as_ref().map(|fresh| &fresh.secret),
        nonces,
        nat: established.nat,
        // The old pair goes on until the peer uses the new one; without an old one there is no choice.
        may_send: old.is_none(),
        unsure_until: Some(now + UNSURE),
    };
    child::install(endpoint, slot, sa, &making, &proven(established), agreement);
    if let Some(old) = old {
        replace(endpoint, sa, old, request.is_rival.then(|| Rival::new(nonces)));
    }
    exchange::send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    Ok(())
}

/// What is agreed on, if anything can be.
fn agree<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &IkeSa,
    request: &Request<'_, '_>,
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
    let (proven, nat) = (proven(established), established.nat);
    let agreement =
        child::answer::answer(endpoint, slot, sa, &proven, nat, choice, payloads).map_err(Refusal::Failed)?;
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
        if let Some(Fresh { group, public, .. }) = fresh {
            KeView { method: KeyExchangeMethod(group.id()), data: public }.write(writer)?;
        }
        ts::write(PayloadType::TSI, &agreement.remote_ts, writer)?;
        ts::write(PayloadType::TSR, &agreement.local_ts, writer)?;
        if agreement.more {
            NotifyView::new(NotifyType::ADDITIONAL_TS_POSSIBLE, &[]).write(writer)?;
        }
        config.policy(agreement.policy).map_or(Ok(()), |policy| write_mode(policy, writer))
    })
}

/// The old pair has a successor of the peer's making; if we are asking for one too, the nonces of both
/// exchanges will tell which one stays.
fn replace<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, sa: &IkeSa, old: Spi, rival: Option<Rival>) {
    if let Some(child) = endpoint.children.find(old) {
        child.stage = Stage::Replaced;
        child.renewal_owed = false;
    }
    if let (Some(_), Some(Handshake::Creating(creating))) = (&rival, endpoint.creation_mut(sa)) {
        creating.rival = rival;
    }
}
