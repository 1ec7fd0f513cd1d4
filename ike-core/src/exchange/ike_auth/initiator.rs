//! IKE_AUTH as initiator.

use esp_engine::spd::Level;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::peer::{self, Proven, Unproven, asserted};
use super::{child, establish, hasten, is_somebody, ppk, put_back, take_handshake};
use crate::child_sa::Stage;
use crate::config::IkePolicy;
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, Discarded, FailReason};
use crate::exchange::{self, Received, create_child_sa, informational, mobike};
use crate::handshake::{Agreed, Handshake, Want};
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, cipher_keys};
use crate::pad::record::Way;
use crate::pad::{Matcher, PadEntry};
use crate::proposal;
use crate::wants::Wanted;
use crate::wire::NoSpace;
use crate::wire::cert::CertRequestView;
use crate::wire::code_point::{ExchangeType, PayloadType};
use crate::wire::id::IdView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::ts;
use crate::wire::writer::Writer;

/// The peer makes Child SAs for one pair of addresses only: worth another try, unless that was one.
const SINGLE_PAIR: FailReason = FailReason::Refused(NotifyType::SINGLE_PAIR_REQUIRED.0);

/// Sends the request, which takes the place of that before it. Changes nothing when that fails.
pub(crate) fn begin<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    agreed: &mut Agreed,
    want: &Want,
    now: Instant,
) -> Result<(), Discarded> {
    let config = endpoint.config;
    let entry = *config.entry(want.entry).ok_or(Discarded::WrongState)?;
    let policy = config.policy(want.policy).ok_or(Discarded::WrongState)?;
    let (proof, other_proof) = ppk::prove(endpoint, agreed, &entry).map_err(|_| Discarded::NotOffered)?;
    // A successor is no first contact, even at another address.
    let is_first = want.replaces.is_none() && !endpoint.knows(sa);
    // A successor brings the Child SA of the old one along.
    let is_childless = entry.childless && agreed.childless && want.replaces.is_none();
    let inbound = if is_childless {
        None
    } else {
        Some(child::reserve(endpoint, slot, want.policy).map_err(|_| Discarded::NoSlot)?)
    };
    let (tsi, tsr) = offered(endpoint, policy, sa, want);
    let is_mobile = mobike::is_wanted(endpoint, want.policy);
    let header = sa.header(ExchangeType::IKE_AUTH, false, agreed.auth_id());
    let key = cipher_keys(&agreed.keys, agreed.role).outbound;
    let message = exchange::seal_with(endpoint, sa, &key, &header, |writer| {
        proof.write_identity(PayloadType::IDI, writer)?;
        // Nobody has a say about what stood before (RFC 7619 §2.3).
        if is_first && !entry.is_null() {
            NotifyView::put(NotifyType::INITIAL_CONTACT, &[], writer)?;
        }
        proof.write_key(writer)?;
        CertRequestView::RAW_PUBLIC_KEY.write(writer)?;
        // What a gateway calls itself, DNS does not say.
        if want.peer.is_some() && want.behind.is_none() {
            write_expected(&entry, writer)?;
        }
        proof.auth.view().write(writer)?;
        ppk::write_identity(agreed, &entry, other_proof.as_ref(), writer)?;
        let Some(inbound) = inbound else { return Ok(()) };
        proposal::offer_esp(config.suites, inbound, None, writer)?;
        ts::write(PayloadType::TSI, &tsi, writer)?;
        ts::write(PayloadType::TSR, &tsr, writer)?;
        write_mode(policy, writer)?;
        mobike::write_supported(is_mobile, writer)
    });
    let Some(message) = message else {
        if let Some(inbound) = inbound {
            endpoint.children.withdraw(inbound);
        }
        return Err(Discarded::NoBuffer);
    };
    // The message of IKE_SA_INIT is kept: it is signed by the other end too.
    if let Some(before) = sa.window.answered().filter(|before| before.buffer != agreed.request) {
        endpoint.buffers.release(before.buffer);
    }
    #[cfg(feature = "keylog")]
    super::log_keys(endpoint, sa, agreed.suite, &agreed.keys);
    exchange::send_request(endpoint, sa, message, Purpose::Handshake, now);
    Ok(())
}

/// Whom we expect, so that a peer with several identities shows the right one (RFC 7296 §1.2).
fn write_expected(entry: &PadEntry<'_>, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let Matcher::Exact(identity) = entry.matcher else {
        return Ok(());
    };
    let identity = identity.to_owned().ok_or(NoSpace)?;
    let kind = crate::wire::code_point::IdType(identity.kind());
    IdView::new(kind, identity.data()).map_err(|_| NoSpace)?.write(PayloadType::IDR, writer)
}

/// TSi and TSr for this want.
fn offered<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    policy: &IkePolicy<'_>,
    sa: &IkeSa,
    want: &Want,
) -> (child::offer::Offered, child::offer::Offered) {
    let old = want.replaces.and_then(|spi| endpoint.children.look(spi));
    // A peer that speaks for itself only is elsewhere now: so is what it speaks for.
    let is_elsewhere = want.replaces.is_some_and(|spi| endpoint.runs_elsewhere(spi, sa));
    let is_bound = endpoint.config.entry(want.entry).is_some_and(PadEntry::is_bound_to_its_address);
    if let Some(old) = old.filter(|_| !(is_elsewhere && is_bound)) {
        return child::offer::like(old);
    }
    let way = Way { at: sa.path.peer(), behind: want.behind };
    child::offer::offer(
        endpoint.own(),
        policy,
        want.packet.as_ref(),
        want.single_pair,
        sa.path.local.ip(),
        &way,
    )
}

pub(crate) fn write_mode(policy: &IkePolicy<'_>, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    if child::mode_of(policy) == esp_engine::sa::Mode::Transport {
        NotifyView::put(NotifyType::USE_TRANSPORT_MODE, &[], writer)?;
    }
    Ok(())
}

/// The peer's answer, which proved to come from whom we agreed on keys with.
#[inline(never)]
pub(crate) fn handle_response<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: Received<'_>,
) -> Result<(), Discarded> {
    let (index, handshake) = take_handshake(endpoint, sa).ok_or(Discarded::WrongState)?;
    let Handshake::AuthSent(mut agreed, want) = handshake else {
        put_back(endpoint, index, handshake);
        return Err(Discarded::WrongState);
    };
    if let Some(request) = sa.window.answered() {
        endpoint.buffers.release(request.buffer);
    }
    sa.timers.stop(crate::ike_sa::timer::Timer::Retransmit);
    let judged = match &received.payloads {
        Ok(payloads) => {
            ppk::conclude(endpoint, &mut agreed, &want, payloads);
            judge(endpoint, sa, &agreed, &want, payloads)
        }
        Err(_) => Err(FailReason::BadMessage),
    };
    let identity = received.payloads.as_ref().ok().and_then(|payloads| asserted(&agreed, payloads));
    match (judged, &received.payloads) {
        (Ok(proven), Ok(payloads)) => {
            endpoint.outrank(&proven, sa.path.peer());
            if is_somebody(proven.level) {
                endpoint.remember(sa, &proven, now);
            }
            establish(endpoint, sa, &agreed, &proven, now);
            peer::note_validated(endpoint, sa, &proven, now);
            if mobike::is_wanted(endpoint, want.policy)
                && payloads.notify(NotifyType::MOBIKE_SUPPORTED).is_some()
            {
                mobike::agree(sa);
            }
            finish_child(endpoint, slot, sa, &agreed, &want, &proven, payloads, now);
            put_back(endpoint, index, Handshake::AuthSent(agreed, want));
            endpoint.free_handshake(index);
            hasten(endpoint, sa, payloads, now);
            endpoint.settle_rivalry(sa, now);
            create_child_sa::resume(endpoint, slot, sa, now);
        }
        (judged, _) => {
            let reason = judged.err().unwrap_or(FailReason::BadMessage);
            put_back(endpoint, index, Handshake::AuthSent(agreed, want));
            endpoint.fail(sa, identity, reason);
            endpoint.set_back(sa, now);
            refuse_peer(endpoint, sa, reason, now);
            endpoint.forget(sa);
        }
    }
    Ok(())
}

fn judge<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    sa: &IkeSa,
    agreed: &Agreed,
    want: &Want,
    payloads: &Payloads<'_>,
) -> Result<Proven, FailReason> {
    if payloads.auth.is_none()
        && let Some(error) = payloads.error()
    {
        return Err(FailReason::Refused(error.kind.0));
    }
    if payloads.eap.is_some() {
        return Err(FailReason::WrongMethod);
    }
    let way = Way { at: sa.path.peer(), behind: want.behind };
    let wanted = want.peer.or(want.behind.map(|_| want.entry));
    // Before it began, DNS was asked whatever it was asked at all.
    peer::judge(endpoint, agreed, payloads, wanted, &way, sa.created).map_err(|unproven| match unproven {
        Unproven::Refused(reason) => reason,
        Unproven::Asks(_, fault) => FailReason::Name(fault),
    })
}

/// The peer believes in an IKE SA that we do not want: one message says so, whose answer nobody waits
/// for (RFC 7296 §2.21.2).
fn refuse_peer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    reason: FailReason,
    now: Instant,
) {
    if let (false, Some(id)) = (matches!(reason, FailReason::Refused(_)), sa.window.next_request()) {
        let header = sa.header(ExchangeType::INFORMATIONAL, false, id);
        let notify = NotifyView::new(NotifyType::AUTHENTICATION_FAILED, &[]);
        if let Some(message) = exchange::seal(endpoint, sa, &header, |writer| notify.write(writer)) {
            endpoint.buffers.keep(message, now);
            endpoint.outbox.message(sa.path, message);
        }
    }
}

/// The Child SA's part of the answer; whatever comes of it, the IKE SA stands.
#[expect(clippy::too_many_arguments, reason = "all of them are what an answer is judged by")]
#[inline(never)]
fn finish_child<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    agreed: &Agreed,
    want: &Want,
    proven: &Proven,
    payloads: &Payloads<'_>,
    now: Instant,
) {
    let Some(inbound) = endpoint.children.of(slot).map(|child| child.inbound).next() else {
        // We asked for none (RFC 6023). The packet that wants one gets it next; without room it asks again.
        endpoint.desk.setbacks.succeeded(want.policy, want.path.peer());
        if want.packet.is_some() {
            let wanted = Wanted { policy: want.policy, packet: want.packet, like: None };
            let _ = endpoint.desk.wants.note(slot, wanted);
        }
        return;
    };
    let is_transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
    let (reason, is_made) = match (&payloads.sa, &payloads.tsi, &payloads.tsr) {
        (Some(answer), Some(tsi), Some(tsr)) => {
            let offer = match endpoint.config.policy(want.policy) {
                Some(policy) => offered(endpoint, policy, sa, want),
                None => Default::default(),
            };
            let offer = (want.policy, &offer);
            let answer = (answer, tsi, tsr);
            match child::offer::accept(endpoint, sa, proven, offer, inbound, None, answer, is_transport) {
                Ok(agreement) => {
                    if !is_somebody(proven.level) {
                        endpoint.remember(sa, proven, now);
                    }
                    child::install(endpoint, slot, sa, &agreed.making(), proven, agreement);
                    endpoint.desk.setbacks.succeeded(want.policy, want.path.peer());
                    match want.replaces {
                        Some(replaced) if endpoint.runs_elsewhere(replaced, sa) => {
                            endpoint.retire_elsewhere(replaced, now);
                        }
                        Some(replaced) => endpoint.retire(replaced, now),
                        None => {}
                    }
                    return;
                }
                Err(reason) => (reason, true),
            }
        }
        _ => match payloads.error() {
            Some(error) => (FailReason::Refused(error.kind.0), false),
            None => (FailReason::BadMessage, false),
        },
    };
    if reason == SINGLE_PAIR && want.packet.is_some() && !want.single_pair {
        endpoint.children.withdraw(inbound);
        endpoint.desk.again = Some(Want { single_pair: true, ..*want });
        return;
    }
    if reason == FailReason::Refused(NotifyType::TS_UNACCEPTABLE.0) && proven.level >= Level::Validated {
        // It is known who refuses, and that it was not somebody on the way.
        let remote = want.packet.map_or(want.path.peer(), |packet| packet.destination);
        endpoint.open(now, want.policy, remote);
    }
    endpoint.desk.setbacks.failed(want.policy, want.path.peer(), now);
    endpoint.fail(sa, Some(proven.identity.clone()), reason);
    if is_made {
        // The peer has installed what we refuse.
        endpoint.children.change(inbound, |child| child.stage = Stage::DeleteOwed);
        informational::delete_children(endpoint, slot, sa, now);
    } else {
        endpoint.children.withdraw(inbound);
    }
    // Of an answer that names only half of a Child SA nobody knows what the peer believes in (RFC 7296 §2.21.3).
    if reason == FailReason::BadMessage || !is_somebody(proven.level) {
        endpoint.close_sa(slot, sa, CloseReason::NoChildLeft, now);
    }
}
