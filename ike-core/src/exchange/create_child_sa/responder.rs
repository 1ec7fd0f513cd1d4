//! CREATE_CHILD_SA as responder: what is asked, whether it may be now, and how it is refused.

use esp_engine::sa::Spi;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{child, ike_sa, ours};
use crate::counters::bump;
use crate::crypto::{Crypto, ExchangeError, Group, PublicValue, SharedSecret};
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, Discarded, FailReason};
use crate::exchange::ike_auth::child::refusal;
use crate::exchange::{self, Received, informational};
use crate::handshake::Handshake;
use crate::ike_sa::procedure::{Theirs, Verdict, decide};
use crate::ike_sa::{IkeSa, State};
use crate::wire::NoSpace;
use crate::wire::code_point::Protocol;
use crate::wire::ke::KeView;
use crate::wire::nonce::NonceView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::sa::SaView;
use crate::wire::transform::KeyExchangeMethod;
use crate::wire::writer::Writer;

/// Why there is no new SA, in the peer's words.
pub(crate) enum Refusal {
    Notify(NotifyType),
    /// The KE payload is of another group (RFC 7296 §1.3).
    OtherGroup(Group),
    /// No such pair of Child SAs (RFC 7296 §2.25).
    NotFound(u32),
    /// It ends the IKE SA (RFC 7296 §2.21.3, RFC 6989 §2.5).
    Broken,
    Failed(FailReason),
    /// No answer is possible now, and the peer asks again.
    None(Discarded),
}

/// A request that is well-formed.
pub(super) struct Request<'p, 'm> {
    pub(super) received: &'p Received<'m>,
    pub(super) payloads: &'p Payloads<'m>,
    pub(super) offer: &'p SaView<'m>,
    pub(super) nonce: &'p NonceView<'m>,
    /// We ask for the same.
    pub(super) is_rival: bool,
}

/// What a key exchange brought.
pub(crate) struct Fresh {
    pub(crate) group: Group,
    pub(crate) public: PublicValue,
    pub(crate) secret: SharedSecret,
}

impl Fresh {
    /// Appends the KE payload.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        KeView { method: KeyExchangeMethod(self.group.id()), data: &self.public }.write(writer)
    }
}

/// The peer's request.
#[inline(never)]
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
    match answer(endpoint, slot, sa, now, &received, payloads) {
        Ok(()) => Ok(()),
        Err(refused) => refuse(endpoint, slot, sa, now, &received, refused),
    }
}

/// Makes what is asked and answers.
fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: &Received<'_>,
    payloads: &Payloads<'_>,
) -> Result<(), Refusal> {
    let (Some(offer), Some(nonce)) = (&payloads.sa, &payloads.nonce) else {
        return Err(Refusal::Broken);
    };
    if is_own_nonce(endpoint, sa, nonce) {
        return Err(Refusal::Broken);
    }
    let theirs = asked(endpoint, slot, payloads, offer)?;
    if sa.is_ending() && !matches!(theirs, Theirs::RekeyChild(_)) {
        return Err(Refusal::Notify(NotifyType::NO_ADDITIONAL_SAS));
    }
    let verdict = decide(ours(endpoint, sa), theirs);
    match verdict {
        Verdict::Normal | Verdict::Rival => {}
        Verdict::NotNow | Verdict::Crossed => {
            if let State::Established(established) = &mut sa.state {
                established.gives_way |= theirs == Theirs::RekeyIkeSa;
            }
            return Err(Refusal::Notify(NotifyType::TEMPORARY_FAILURE));
        }
        Verdict::NotFound => return Err(Refusal::NotFound(named(payloads).unwrap_or(0))),
    }
    let request = Request { received, payloads, offer, nonce, is_rival: verdict == Verdict::Rival };
    match theirs {
        Theirs::RekeyIkeSa => ike_sa::responder::answer(endpoint, slot, sa, now, &request),
        Theirs::RekeyChild(Some((old, _))) => {
            child::responder::answer(endpoint, slot, sa, now, &request, Some(old))
        }
        _ => child::responder::answer(endpoint, slot, sa, now, &request, None),
    }
}

/// Whether our own nonce comes back: somebody plays with what we say, and the lowest nonce would decide
/// nothing (RFC 7296 §2.8.1).
fn is_own_nonce<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, sa: &IkeSa, nonce: &NonceView<'_>) -> bool {
    endpoint.creation(sa).and_then(Handshake::creation_nonce).is_some_and(|own| own == nonce.data())
}

/// What is asked: which of our pairs the REKEY_SA notification names, by the SPI that the peer receives
/// on (RFC 7296 §1.3.3). What names one twice, or a pair and an IKE SA at once, asks for nothing.
fn asked<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    payloads: &Payloads<'_>,
    offer: &SaView<'_>,
) -> Result<Theirs, Refusal> {
    let is_for_ike = offer.proposals().all(|proposal| proposal.protocol == Protocol::IKE);
    let has_selectors = payloads.tsi.is_some() || payloads.tsr.is_some();
    let rekeyed = payloads.notifies().filter(|notify| notify.kind == NotifyType::REKEY_SA).count();
    match (is_for_ike, has_selectors, rekeyed) {
        (true, false, 0) => return Ok(Theirs::RekeyIkeSa),
        (false, true, 0) => return Ok(Theirs::CreateChild),
        (false, true, 1) => {}
        _ => return Err(Refusal::Broken),
    }
    let spi = named(payloads);
    let is_named = |outbound: Option<Spi>| outbound.map(Spi::get) == spi;
    let child = endpoint.children.of(slot).find(|child| child.outbound.is_some() && is_named(child.outbound));
    Ok(Theirs::RekeyChild(child.map(|child| (child.inbound, child.stage))))
}

/// The SPI in the REKEY_SA notification.
fn named(payloads: &Payloads<'_>) -> Option<u32> {
    payloads.notify(NotifyType::REKEY_SA)?.rekey_sa().map(|(_, spi)| spi)
}

pub(crate) fn refuse<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: &Received<'_>,
    refused: Refusal,
) -> Result<(), Discarded> {
    let (method, octets);
    let notify = match refused {
        Refusal::Notify(kind) => NotifyView::new(kind, &[]),
        Refusal::Broken => NotifyView::new(NotifyType::INVALID_SYNTAX, &[]),
        Refusal::Failed(reason) => NotifyView::new(refusal(reason), &[]),
        Refusal::OtherGroup(group) => {
            method = group.id().to_be_bytes();
            NotifyView::new(NotifyType::INVALID_KE_PAYLOAD, &method)
        }
        Refusal::NotFound(spi) => {
            octets = spi.to_be_bytes();
            let kind = NotifyType::CHILD_SA_NOT_FOUND;
            NotifyView { protocol: Protocol::ESP, spi: &octets, kind, data: &[] }
        }
        Refusal::None(reason) => return Err(reason),
    };
    exchange::refuse(endpoint, sa, now, received, &notify)?;
    match refused {
        Refusal::Broken => {
            let reason = CloseReason::RefusedByPeer(NotifyType::INVALID_SYNTAX.0);
            informational::conclude(endpoint, slot, sa, reason, now);
        }
        Refusal::Failed(reason) => endpoint.fail(sa, None, reason),
        Refusal::Notify(_) | Refusal::OtherGroup(_) | Refusal::NotFound(_) | Refusal::None(_) => {}
    }
    Ok(())
}

/// Our part of a key exchange.
pub(crate) fn exchange_keys<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    group: Group,
    ke: &KeView<'_>,
) -> Result<Fresh, Refusal> {
    bump(&mut endpoint.desk.counters.key_exchanges);
    let exchanged = endpoint.crypto.respond(group, ke.data, &mut endpoint.random);
    let (public, secret) = exchanged.map_err(|error| match error {
        ExchangeError::NoRandom => Refusal::Notify(NotifyType::TEMPORARY_FAILURE),
        ExchangeError::BadPublicValue => Refusal::Broken,
    })?;
    Ok(Fresh { group, public, secret })
}
