//! IKE_AUTH as responder.

use core::net::IpAddr;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::child::{Agreement, Making};
use super::initiator::write_mode;
use super::peer::{self, Proven, Unproven, asserted};
use super::{OwnProof, child, establish, gateway, is_somebody, ppk, put_back, take_handshake};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, Discarded, FailReason};
use crate::exchange::ike_sa_init::wanted_key;
use crate::exchange::{self, Received, mobike};
use crate::handshake::{Agreed, Handshake, Held, PpkUse};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::{IkeSa, State, cipher_keys};
use crate::pad::PeerId;
use crate::pad::record::Way;
use crate::proposal::{self, Pfs};
use crate::resources::{BufferId, MESSAGE};
use crate::setback::network;
use crate::wire::code_point::{ExchangeType, PayloadType};
use crate::wire::encrypted::Clear;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::ts;

/// The peer's request, which proved to come from whom we agreed on keys with.
#[inline(never)]
pub(crate) fn handle_request<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    mut received: Received<'_>,
) -> Result<(), Discarded> {
    let (index, handshake) = take_handshake(endpoint, sa).ok_or(Discarded::WrongState)?;
    let Handshake::InitAnswered(mut agreed) = handshake else {
        put_back(endpoint, index, handshake);
        return Err(Discarded::WrongState);
    };
    // From here on the peer is wherever this message came from (RFC 7296 §2.23).
    let before = core::mem::replace(&mut sa.path, received.path);
    let without_ppk = (agreed.keys.clone(), agreed.ppk);
    let result = match ppk::answer(endpoint, &mut agreed, &mut received) {
        Ok(()) => judge(endpoint, slot, sa, &agreed, now, &received),
        Err(reason) => {
            let notify = NotifyView::new(NotifyType::AUTHENTICATION_FAILED, &[]);
            refuse(endpoint, sa, &agreed, now, &received, reason, &notify).map(|()| Judged::Answered)
        }
    };
    if let Ok(Judged::Answered) = result {
        put_back(endpoint, index, Handshake::InitAnswered(agreed));
        endpoint.free_handshake(index);
        return Ok(());
    }
    // It comes again, from the sender or from where it is kept.
    sa.path = before;
    (agreed.keys, agreed.ppk) = without_ppk;
    let (handshake, result) = match result {
        Ok(Judged::Asks(peer, way)) => hold(endpoint, slot, now, agreed, &received, (peer, way)),
        Ok(Judged::Answered) => (Handshake::InitAnswered(agreed), Ok(())),
        Err(reason) => (Handshake::InitAnswered(agreed), Err(reason)),
    };
    put_back(endpoint, index, handshake);
    result
}

/// What becomes of a request.
enum Judged {
    /// It is answered, whatever the answer is.
    Answered,
    /// First DNS has to be asked under this entry: about its sender, or about whose gateway it is.
    Asks(PeerId, Way),
}

/// Has DNS asked and keeps the request until it answers. Where there is no room to keep it, its retransmission
/// finds the answer.
#[inline(never)]
fn hold<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    now: Instant,
    agreed: Agreed,
    received: &Received<'_>,
    (entry, way): (PeerId, Way),
) -> (Handshake<C>, Result<(), Discarded>) {
    let text = endpoint.buffers.spare(1).then(|| endpoint.buffers.store(received.clear.text)).flatten();
    let source = received.path.peer();
    let asserted = received.payloads.as_ref().ok().and_then(|payloads| asserted(&agreed, payloads));
    let of = asserted.and_then(|asserted| endpoint.asked_about(entry, &asserted, &way));
    let held = of.ok_or(Discarded::WrongState).and_then(|of| endpoint.hold(now, slot, source, (entry, &of)));
    match (held, text) {
        (Ok(()), Some(text)) => {
            let Received { path, header, fingerprint, ref clear, .. } = *received;
            let held = Held { path, header, head: clear.head, fingerprint, text };
            (Handshake::AuthHeld(agreed, held), Ok(()))
        }
        (result, text) => {
            if let Some(text) = text {
                endpoint.buffers.release(text);
            }
            (Handshake::InitAnswered(agreed), result.and(Err(Discarded::AwaitsRecord)))
        }
    }
}

/// DNS has answered, or will not: the request that was kept is judged as if it came now.
pub(crate) fn resume<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
) -> Result<(), Discarded> {
    let (index, handshake) = take_handshake(endpoint, sa).ok_or(Discarded::WrongState)?;
    let Handshake::AuthHeld(agreed, held) = handshake else {
        put_back(endpoint, index, handshake);
        return Err(Discarded::WrongState);
    };
    put_back(endpoint, index, Handshake::InitAnswered(agreed));
    let mut room = [0; MESSAGE];
    let message = endpoint.buffers.message(held.text).unwrap_or_default();
    let text = room.get_mut(..message.len()).ok_or(Discarded::WrongState)?;
    text.copy_from_slice(message);
    endpoint.buffers.release(held.text);
    let Held { path, header, head, fingerprint, .. } = held;
    let clear = Clear { head, text };
    let payloads = Payloads::parse(clear.chain(header.critical()));
    handle_request(endpoint, slot, sa, now, Received { path, header, fingerprint, clear, payloads })
}

/// Answers, whatever the answer is; an error means that not even that was possible.
#[inline(never)]
fn judge<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    agreed: &Agreed,
    now: Instant,
    received: &Received<'_>,
) -> Result<Judged, Discarded> {
    let refuse = |endpoint: &mut _, sa: &mut _, reason, notify: &_| {
        refuse(endpoint, sa, agreed, now, received, reason, notify).map(|()| Judged::Answered)
    };
    let payloads = match &received.payloads {
        Ok(payloads) => payloads,
        Err(malformed) => {
            let mut octet = [0];
            let notify = exchange::refusal(*malformed, &mut octet);
            return refuse(endpoint, sa, FailReason::BadMessage, &notify);
        }
    };
    let source = sa.path.peer();
    let secret = peer::with_secret(endpoint, payloads, source);
    if secret.is_some_and(|entry| endpoint.desk.guesses.is_waiting(entry, network(source), now)) {
        return Err(Discarded::GuessLimit);
    }
    let judged = if payloads.eap.is_some() {
        Err(FailReason::WrongMethod)
    } else {
        match prove(endpoint, agreed, payloads, source, now) {
            Ok(proven) if !is_somebody(proven.level) && endpoint.is_network_full(proven.who(), source) => {
                Err(FailReason::NetworkFull)
            }
            Ok(proven) => Ok(proven),
            Err((_, Unproven::Refused(reason))) => Err(reason),
            Err((way, Unproven::Asks(peer, _))) => return Ok(Judged::Asks(peer, way)),
        }
    };
    match (secret, &judged) {
        (Some(entry), Err(FailReason::BadAuthentication)) => {
            endpoint.desk.guesses.failed(entry, network(source), now);
        }
        (Some(entry), Ok(_)) => endpoint.desk.guesses.succeeded(entry, network(source)),
        _ => {}
    }
    let proven = match judged {
        Ok(proven) => proven,
        Err(reason) => {
            let kind = match reason {
                FailReason::BadMessage => NotifyType::INVALID_SYNTAX,
                _ => NotifyType::AUTHENTICATION_FAILED,
            };
            return refuse(endpoint, sa, reason, &NotifyView::new(kind, &[]));
        }
    };
    let of_child = [payloads.sa.is_some(), payloads.tsi.is_some(), payloads.tsr.is_some()];
    if of_child.contains(&true) && of_child.contains(&false) {
        let notify = NotifyView::new(NotifyType::INVALID_SYNTAX, &[]);
        return refuse(endpoint, sa, FailReason::BadMessage, &notify);
    }
    endpoint.outrank(&proven, source);
    if payloads.notify(NotifyType::INITIAL_CONTACT).is_some() {
        endpoint.forget_before(sa, proven.who());
    }
    accept(endpoint, slot, sa, agreed, now, received, &proven, payloads).map(|()| Judged::Answered)
}

/// The peer proves itself as somebody's gateway, if it can be that, or else for itself.
fn prove<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    agreed: &Agreed,
    payloads: &Payloads<'_>,
    source: IpAddr,
    now: Instant,
) -> Result<Proven, (Way, Unproven)> {
    let itself = || {
        let way = Way::direct(source);
        peer::judge(endpoint, agreed, payloads, None, &way, now).map_err(|unproven| (way, unproven))
    };
    let Some((entry, way)) = gateway::of_somebody(endpoint, payloads, source) else {
        return itself();
    };
    match peer::judge(endpoint, agreed, payloads, Some(entry), &way, now) {
        Ok(proven) => Ok(proven),
        Err(asks @ Unproven::Asks(..)) => Err((way, asks)),
        // Nothing comes of that, but it may be somebody all the same.
        Err(refused) => match itself() {
            Err((_, Unproven::Refused(FailReason::UnknownPeer))) => Err((way, refused)),
            other => other,
        },
    }
}

/// The peer is who it says; the answer carries our proof and what became of the Child SA.
#[expect(clippy::too_many_arguments, reason = "all of them go into the answer")]
#[inline(never)]
fn accept<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    agreed: &Agreed,
    now: Instant,
    received: &Received<'_>,
    proven: &Proven,
    payloads: &Payloads<'_>,
) -> Result<(), Discarded> {
    let entry = *endpoint.config.entry(proven.peer).ok_or(Discarded::WrongState)?;
    let proof = match OwnProof::new(endpoint, agreed, &entry, wanted_key(payloads)) {
        Ok(proof) => proof,
        Err(reason) => {
            let notify = NotifyView::new(NotifyType::AUTHENTICATION_FAILED, &[]);
            return refuse(endpoint, sa, agreed, now, received, reason, &notify);
        }
    };
    // Without an offer the peer wants no Child SA yet (RFC 6023).
    let agreement = payloads.sa.as_ref().map(|offer| {
        let choice = proposal::choose_esp(offer, endpoint.config.suites, Pfs::None);
        let choice = choice.map_err(FailReason::NoProposal)?;
        child::answer::answer(endpoint, slot, sa, proven, agreed.nat, choice, payloads)
    });
    // A gateway is where the record says, and nowhere else.
    let is_mobile = payloads.notify(NotifyType::MOBIKE_SUPPORTED).is_some()
        && proven.behind.is_none()
        && matches!(&agreement, Some(Ok(agreement)) if mobike::is_wanted(endpoint, agreement.policy));
    let Some(response) = write_response(endpoint, sa, agreed, &proof, agreement.as_ref(), is_mobile) else {
        if let Some(Ok(agreement)) = agreement {
            endpoint.children.withdraw(agreement.inbound);
        }
        return Err(Discarded::NoBuffer);
    };
    #[cfg(feature = "keylog")]
    super::log_keys(endpoint, sa, agreed.suite, &agreed.keys);
    if is_somebody(proven.level) || matches!(agreement, Some(Ok(_))) {
        endpoint.remember(sa, proven, now);
    }
    establish(endpoint, sa, agreed, proven, now);
    peer::note_validated(endpoint, sa, proven, now);
    if is_mobile {
        mobike::agree(sa);
    }
    if !is_somebody(proven.level) {
        endpoint.suspect_others(now, sa.path.peer());
    }
    let is_childless = !matches!(agreement, Some(Ok(_)));
    let failure = match agreement {
        Some(Ok(agreement)) => {
            // Where there is an older pair it goes on until the peer uses the new one (RFC 7296 §2.8).
            let Agreement { policy, local_ts, remote_ts, .. } = &agreement;
            let may_send = !endpoint.children.are_served(*policy, local_ts, remote_ts);
            let making = Making { may_send, ..agreed.making() };
            child::install(endpoint, slot, sa, &making, proven, agreement);
            None
        }
        Some(Err(reason)) => Some(reason),
        None => None,
    };
    exchange::send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    endpoint.settle_rivalry(sa, now);
    if let Some(reason) = failure {
        endpoint.fail(sa, Some(proven.identity.clone()), reason);
    }
    if is_childless && !is_somebody(proven.level) {
        endpoint.close_sa(slot, sa, CloseReason::NoChildLeft, now);
    }
    Ok(())
}

#[inline(never)]
fn write_response<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    agreed: &Agreed,
    proof: &OwnProof,
    agreement: Option<&Result<Agreement, FailReason>>,
    is_mobile: bool,
) -> Option<BufferId> {
    let config = endpoint.config;
    let header = sa.header(ExchangeType::IKE_AUTH, true, agreed.auth_id());
    let key = cipher_keys(&agreed.keys, agreed.role).outbound;
    exchange::seal_with(endpoint, sa, &key, &header, |writer| {
        proof.write_identity(PayloadType::IDR, writer)?;
        proof.write_key(writer)?;
        proof.auth.view().write(writer)?;
        if agreed.ppk == PpkUse::Mixed {
            NotifyView::put(NotifyType::PPK_IDENTITY, &[], writer)?;
        }
        mobike::write_supported(is_mobile, writer)?;
        match agreement {
            None => Ok(()),
            Some(Ok(agreement)) => {
                proposal::answer_esp(&agreement.choice, agreement.inbound, writer)?;
                ts::write(PayloadType::TSI, &agreement.remote_ts, writer)?;
                ts::write(PayloadType::TSR, &agreement.local_ts, writer)?;
                if agreement.more {
                    NotifyView::put(NotifyType::ADDITIONAL_TS_POSSIBLE, &[], writer)?;
                }
                config.policy(agreement.policy).map_or(Ok(()), |policy| write_mode(policy, writer))
            }
            Some(Err(reason)) => NotifyView::put(child::refusal(*reason), &[], writer),
        }?;
        let lifetime = config.timing.reauthentication.as_secs();
        if lifetime == 0 {
            return Ok(());
        }
        let lifetime = u32::try_from(lifetime).unwrap_or(u32::MAX).to_be_bytes();
        NotifyView::put(NotifyType::AUTH_LIFETIME, &lifetime, writer)
    })
}

/// The IKE SA ends with this answer; it stays a while only to repeat it.
pub(in super::super) fn refuse<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    agreed: &Agreed,
    now: Instant,
    received: &Received<'_>,
    reason: FailReason,
    notify: &NotifyView<'_>,
) -> Result<(), Discarded> {
    let header = sa.header(received.header.exchange, true, received.header.message_id);
    let key = cipher_keys(&agreed.keys, agreed.role).outbound;
    let response = exchange::seal_with(endpoint, sa, &key, &header, |writer| notify.write(writer))
        .ok_or(Discarded::NoBuffer)?;
    let identity = received.payloads.as_ref().ok().and_then(|payloads| asserted(agreed, payloads));
    #[cfg(feature = "keylog")]
    super::log_keys(endpoint, sa, agreed.suite, &agreed.keys);
    endpoint.fail(sa, identity, reason);
    exchange::send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    sa.state = State::Lingering;
    sa.timers.set(Timer::Expire, now + endpoint.config.timing.half_open);
    Ok(())
}
