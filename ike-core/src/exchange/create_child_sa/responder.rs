//! CREATE_CHILD_SA as responder.

use esp_engine::sa::Spi;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{ours, proven};
use crate::child_sa::Stage;
use crate::crypto::{Crypto, Group, KeyExchange, PublicValue, SharedSecret};
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, Discarded, FailReason};
use crate::exchange::ike_auth::child::{self, Agreement, Making};
use crate::exchange::ike_auth::initiator::write_mode;
use crate::exchange::ike_auth::is_somebody;
use crate::exchange::{self, Received, informational};
use crate::handshake::{Handshake, NONCE, Rival};
use crate::ike_sa::IkeSa;
use crate::ike_sa::keys::{Nonces, Role};
use crate::ike_sa::procedure::{Theirs, Verdict, decide, is_lower};
use crate::ike_sa::window::Purpose;
use crate::proposal::{self, Pfs};
use crate::resources::BufferId;
use crate::wire::code_point::{ExchangeType, PayloadType, Protocol};
use crate::wire::ke::KeView;
use crate::wire::nonce::NonceView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::transform::KeyExchangeMethod;
use crate::wire::{NoSpace, ts};

/// Pairs that one IKE SA has at most, and one with a stranger (RFC 5386), so that nobody takes all the
/// room.
const PAIRS: u16 = 16;
const PAIRS_OF_A_STRANGER: u16 = 3;

/// Why there is no pair, in the peer's words.
enum Refusal {
    Notify(NotifyType),
    /// The KE payload is of another group (RFC 7296 §1.3).
    OtherGroup(Group),
    /// No such pair of Child SAs (RFC 7296 §2.25).
    NotFound(u32),
    /// It ends the IKE SA (RFC 7296 §2.21.3, RFC 6989 §2.5).
    Broken,
    Failed(FailReason),
}

/// What the key exchange brought.
struct Fresh {
    group: Group,
    public: PublicValue,
    secret: SharedSecret,
}

/// The peer's request.
pub(crate) fn handle_request<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: Received<'_>,
) -> Result<(), Discarded> {
    let Some(payloads) = informational::well_formed(endpoint, slot, sa, now, &received)? else {
        return Ok(());
    };
    let refusal = match answer(endpoint, slot, sa, now, &received, payloads) {
        Ok(result) => return result,
        Err(refusal) => refusal,
    };
    let (method, octets);
    let notify = match refusal {
        Refusal::Notify(kind) => NotifyView::new(kind, &[]),
        Refusal::Broken => NotifyView::new(NotifyType::INVALID_SYNTAX, &[]),
        Refusal::Failed(reason) => NotifyView::new(child::refusal(reason), &[]),
        Refusal::OtherGroup(group) => {
            method = group.id().to_be_bytes();
            NotifyView::new(NotifyType::INVALID_KE_PAYLOAD, &method)
        }
        Refusal::NotFound(spi) => {
            octets = spi.to_be_bytes();
            let kind = NotifyType::CHILD_SA_NOT_FOUND;
            NotifyView { protocol: Protocol::ESP, spi: &octets, kind, data: &[] }
        }
    };
    exchange::refuse(endpoint, sa, now, &received, &notify)?;
    match refusal {
        Refusal::Broken => {
            let reason = CloseReason::RefusedByPeer(NotifyType::INVALID_SYNTAX.0);
            informational::conclude(endpoint, slot, sa, reason, now);
        }
        Refusal::Failed(reason) => endpoint.fail(sa, None, reason),
        Refusal::Notify(_) | Refusal::OtherGroup(_) | Refusal::NotFound(_) => {}
    }
    Ok(())
}

/// What is asked: which of our pairs the REKEY_SA notification names, by the SPI that the peer receives
/// on (RFC 7296 §1.3.3).
fn asked<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, slot: u16, payloads: &Payloads<'_>) -> Theirs {
    let rekeyed = payloads.notify(NotifyType::REKEY_SA).and_then(|notify| notify.rekey_sa());
    if let Some((_, spi)) = rekeyed {
        let is_named = |outbound: Option<Spi>| outbound.is_some_and(|outbound| outbound.get() == spi);
        let child = endpoint.children.of(slot).find(|child| is_named(child.outbound));
        return Theirs::RekeyChild(child.map(|child| (child.inbound, child.stage)));
    }
    match (&payloads.tsi, &payloads.tsr) {
        (None, None) => Theirs::RekeyIkeSa,
        _ => Theirs::CreateChild,
    }
}

/// Makes the pair and answers; an error of the inner kind means that no answer was possible.
fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: &Received<'_>,
    payloads: &Payloads<'_>,
) -> Result<Result<(), Discarded>, Refusal> {
    let (Some(_), Some(nonce)) = (&payloads.sa, &payloads.nonce) else {
        return Err(Refusal::Broken);
    };
    let theirs = asked(endpoint, slot, payloads);
    let verdict = decide(ours(endpoint, sa), theirs);
    match verdict {
        Verdict::Normal | Verdict::Rival => {}
        Verdict::NotNow | Verdict::Crossed => {
            return Err(Refusal::Notify(NotifyType::TEMPORARY_FAILURE));
        }
        Verdict::NotFound => {
            let named = payloads.notify(NotifyType::REKEY_SA).and_then(|notify| notify.rekey_sa());
            return Err(Refusal::NotFound(named.map_or(0, |(_, spi)| spi)));
        }
    }
    let old = match theirs {
        Theirs::RekeyChild(Some((spi, _))) => Some(spi),
        Theirs::RekeyIkeSa => return Err(Refusal::Notify(NotifyType::NO_ADDITIONAL_SAS)),
        _ => None,
    };
    let (agreement, fresh) = agree(endpoint, slot, sa, payloads)?;
    let own_nonce: Result<[u8; NONCE], _> = endpoint.random.array();
    let response = own_nonce.ok().and_then(|own_nonce| {
        let id = received.header.message_id;
        Some((own_nonce, write_response(endpoint, sa, id, &own_nonce, &agreement, fresh.as_ref())?))
    });
    let (Some((own_nonce, response)), Some(established)) = (response, sa.established()) else {
        endpoint.children.withdraw(agreement.inbound);
        return Ok(Err(Discarded::NoBuffer));
    };
    let making = Making {
        role: Role::Responder,
        prf: established.prf,
        sk_d: &established.sk_d,
        secret: fresh.as_ref().map(|fresh| &fresh.secret),
        nonces: Nonces { initiator: nonce.data(), responder: &own_nonce },
        nat: established.nat,
        // The old pair goes on until the peer uses the new one; without an old one there is no choice.
        may_send: old.is_none(),
    };
    child::install(endpoint, slot, sa, &making, &proven(established), agreement);
    if let Some(old) = old {
        replace(endpoint, sa, old, verdict, nonce.data(), &own_nonce);
    }
    exchange::send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    Ok(Ok(()))
}

/// What is agreed on, if anything can be.
fn agree<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &IkeSa,
    payloads: &Payloads<'_>,
) -> Result<(Agreement, Option<Fresh>), Refusal> {
    let (Some(offer), Some(established)) = (&payloads.sa, sa.established()) else {
        return Err(Refusal::Broken);
    };
    let most = if is_somebody(established.level) { PAIRS } else { PAIRS_OF_A_STRANGER };
    if endpoint.children.of(slot).count() >= usize::from(most) {
        return Err(Refusal::Notify(NotifyType::NO_ADDITIONAL_SAS));
    }
    let carried = payloads.ke.map(|ke| ke.method.0);
    let choice = proposal::choose_esp(offer, endpoint.config.suites, Pfs::With(carried))
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

/// Our part of a key exchange.
fn exchange_keys<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    group: Group,
    ke: &KeView<'_>,
) -> Result<Fresh, Refusal> {
    endpoint.desk.counters.key_exchanges = endpoint.desk.counters.key_exchanges.saturating_add(1);
    let exchange = endpoint
        .crypto
        .generate(group, &mut endpoint.random)
        .map_err(|_| Refusal::Notify(NotifyType::TEMPORARY_FAILURE))?;
    let public = exchange.public();
    let secret = exchange.agree(ke.data).map_err(|_| Refusal::Broken)?;
    Ok(Fresh { group, public, secret })
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
        let (tsi, tsr) = agreement.answered();
        ts::write(PayloadType::TSI, &tsi, writer)?;
        ts::write(PayloadType::TSR, &tsr, writer)?;
        if agreement.more {
            NotifyView::new(NotifyType::ADDITIONAL_TS_POSSIBLE, &[]).write(writer)?;
        }
        config.policy(agreement.policy).map_or(Ok(()), |policy| write_mode(policy, writer))
    })
}

/// The old pair has a successor of the peer's making; if we are asking for one too, the nonces of both
/// exchanges will tell which one stays.
fn replace<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
    old: Spi,
    verdict: Verdict,
    nonce: &[u8],
    own_nonce: &[u8],
) {
    if verdict != Verdict::Rival {
        if let Some(child) = endpoint.children.find(old) {
            child.stage = Stage::Replaced;
            child.renewal_owed = false;
        }
        return;
    }
    let Some(Purpose::CreateChild(index)) = sa.window.outstanding().map(|outstanding| outstanding.purpose)
    else {
        return;
    };
    let lowest = if is_lower(nonce, own_nonce) { nonce } else { own_nonce };
    if let Some(Some(Handshake::Creating(creating))) = endpoint.handshakes.get_mut(usize::from(index)) {
        creating.rival = Some(Rival { lowest: lowest.iter().copied().collect() });
    }
}
