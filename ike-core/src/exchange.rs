//! What all exchanges have in common: a protected message is opened, its payloads are checked, and
//! the exchange's own file takes over; a message of ours is sealed and sent.

use esp_engine::crypto::{Cipher, RawKey};
use esp_engine::sa::KeyPair;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::endpoint::relocate::followed;
use crate::error::Discarded;
use crate::handshake::Handshake;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::{Fingerprint, Purpose};
use crate::ike_sa::{IkeSa, State, cipher_keys};
use crate::output::Path;
use crate::resources::BufferId;
use crate::wire::code_point::ExchangeType;
use crate::wire::encrypted::{Clear, Encrypted, OpenError};
use crate::wire::header::{Flags, Header, Message};
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::writer::Writer;
use crate::wire::{Malformed, NoSpace};

pub(crate) mod create_child_sa;
pub(crate) mod fragment;
pub(crate) mod ike_auth;
pub(crate) mod ike_followup_ke;
pub(crate) mod ike_intermediate;
pub(crate) mod ike_sa_init;
pub(crate) mod informational;
pub(crate) mod mobike;

/// Requests that a peer may send in a second: more than any use of them needs (RFC 7619 §3.2).
const REQUESTS: u16 = 100;

/// A message that proved to be the peer's.
pub(crate) struct Received<'m> {
    pub(crate) path: Path,
    pub(crate) header: Header,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) clear: Clear<'m>,
    /// Its payloads, unless they are malformed.
    pub(crate) payloads: Result<Payloads<'m>, Malformed>,
}

/// A message with an SK payload for this IKE SA, whose Message ID is in the window.
pub(crate) fn handle_protected<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    path: Path,
    octets: &mut [u8],
) -> Result<(), Discarded> {
    let message = Message::parse(octets)?;
    let header = message.header;
    let keys = keys(endpoint, sa).ok_or(Discarded::WrongState)?;
    check_exchange(endpoint, sa, header.exchange, header.flags.response)?;
    if !header.flags.response && sa.pace.is_spent(now, REQUESTS) {
        return Err(Discarded::TooManyRequests);
    }
    let encrypted = Encrypted::find(&message)?.ok_or(Discarded::Hint)?;
    let cipher = C::Cipher::new(&keys.inbound).map_err(|_| Discarded::WrongState)?;
    if let Some(fragment) = encrypted.fragment {
        return fragment::gather(endpoint, slot, sa, now, path, octets, (encrypted, fragment), &cipher);
    }
    let fingerprint = Fingerprint::of(octets);
    let start = *octets.first_chunk().ok_or(Malformed::HeaderTruncated)?;
    let text = open(sa, now, &encrypted, octets, &cipher)?;
    let payloads = text.and_then(|text| Payloads::parse(encrypted.chain(&header, text)));
    let clear = Clear::new(&start, (encrypted.first, encrypted.reserved), text.unwrap_or_default());
    take(endpoint, slot, sa, now, Received { path, header, fingerprint, clear, payloads })
}

/// Opens what came from the peer, who is thereby heard; the inner error is its own mistake.
fn open<'m, C: Cipher>(
    sa: &mut IkeSa,
    now: Instant,
    encrypted: &Encrypted,
    octets: &'m mut [u8],
    cipher: &C,
) -> Result<Result<&'m [u8], Malformed>, Discarded> {
    let text = match encrypted.open(octets, cipher) {
        Ok(text) => Ok(text),
        Err(OpenError::Padding) => Err(Malformed::Padding),
        Err(OpenError::Truncated) => return Err(Malformed::EncryptedTruncated.into()),
        Err(OpenError::Forged) => return Err(Discarded::Forged),
    };
    if let State::Established(established) | State::Closing(established, _) = &mut sa.state {
        established.heard = now;
    }
    Ok(text)
}

/// A whole message that proved genuine goes to its exchange; a peer that moved is followed
/// (RFC 7296 §2.23).
fn take<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: Received<'_>,
) -> Result<(), Discarded> {
    if !received.header.flags.response {
        sa.pace.spend(now);
    }
    let Some(moved) = followed(sa, &received.path) else {
        return dispatch(endpoint, slot, sa, now, received);
    };
    let before = core::mem::replace(&mut sa.path, moved);
    let result = dispatch(endpoint, slot, sa, now, received);
    match result {
        Ok(()) => endpoint.children.relocate(slot),
        // It counts as unseen, and may come again from anywhere.
        Err(_) => sa.path = before,
    }
    result
}

/// To the exchange that it belongs to.
fn dispatch<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: Received<'_>,
) -> Result<(), Discarded> {
    if !received.header.flags.response {
        // One request at a time: it has our last answer (RFC 7296 §2.3).
        endpoint.children.confirm(slot);
    }
    match (received.header.exchange, received.header.flags.response) {
        (ExchangeType::IKE_INTERMEDIATE, false) => {
            ike_intermediate::handle_request(endpoint, sa, now, &received)
        }
        (ExchangeType::IKE_INTERMEDIATE, true) => {
            ike_intermediate::handle_response(endpoint, slot, sa, now, &received)
        }
        (ExchangeType::IKE_AUTH, false) => {
            ike_auth::responder::handle_request(endpoint, slot, sa, now, received)
        }
        (ExchangeType::IKE_AUTH, true) => {
            ike_auth::initiator::handle_response(endpoint, slot, sa, now, received)
        }
        (ExchangeType::CREATE_CHILD_SA, false) => {
            create_child_sa::responder::handle_request(endpoint, slot, sa, now, received)
        }
        (ExchangeType::IKE_FOLLOWUP_KE, false) => {
            ike_followup_ke::responder::handle_request(endpoint, slot, sa, now, received)
        }
        (ExchangeType::CREATE_CHILD_SA | ExchangeType::IKE_FOLLOWUP_KE, true) => {
            create_child_sa::initiator::handle_response(endpoint, slot, sa, now, received)
        }
        (exchange, false) if exchange != ExchangeType::INFORMATIONAL => {
            informational::handle_unknown(endpoint, slot, sa, now, &received)
        }
        (_, false) => informational::handle_request(endpoint, slot, sa, now, received),
        (_, true) => informational::handle_response(endpoint, slot, sa, now, received),
    }
}

/// IKE_AUTH and what was agreed on before it belong to the handshake and everything else behind it, whoever sends it (RFC 7296 §1.2).
fn check_exchange<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    sa: &IkeSa,
    exchange: ExchangeType,
    response: bool,
) -> Result<(), Discarded> {
    match exchange {
        ExchangeType::IKE_AUTH => match (endpoint.handshake_of(sa), response) {
            (Some(Handshake::AuthSent(..)), true) => Ok(()),
            (Some(Handshake::InitAnswered(agreed)), false) if agreed.awaits_intermediate().is_none() => {
                Ok(())
            }
            (Some(Handshake::AuthHeld(..)), false) => Err(Discarded::AwaitsRecord),
            _ => Err(Discarded::WrongState),
        },
        ExchangeType::IKE_INTERMEDIATE => match (endpoint.handshake_of(sa), response) {
            (Some(Handshake::IntermediateSent(..)), true) => Ok(()),
            (Some(Handshake::InitAnswered(agreed)), false) if agreed.awaits_intermediate().is_some() => {
                Ok(())
            }
            _ => Err(Discarded::UnexpectedExchange),
        },
        ExchangeType::INFORMATIONAL | ExchangeType::CREATE_CHILD_SA | ExchangeType::IKE_FOLLOWUP_KE => {
            match sa.established() {
                Some(_) if !response || exchange == awaited(endpoint, sa) => Ok(()),
                _ => Err(Discarded::WrongState),
            }
        }
        // Of exchanges that do not exist a peer is told, once it is known (RFC 7296 §2.21.3).
        ExchangeType(0..=33 | 38..=42 | 45..) if !response && sa.established().is_some() => Ok(()),
        _ => Err(Discarded::UnexpectedExchange),
    }
}

/// The exchange that our request began (RFC 7296 §2.2).
fn awaited<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, sa: &IkeSa) -> ExchangeType {
    match sa.window.outstanding().map(|outstanding| outstanding.purpose) {
        Some(Purpose::CreateChild(_)) => match endpoint.creation(sa) {
            Some(Handshake::CompletingChild(_) | Handshake::CompletingIkeSa(_)) => {
                ExchangeType::IKE_FOLLOWUP_KE
            }
            _ => ExchangeType::CREATE_CHILD_SA,
        },
        _ => ExchangeType::INFORMATIONAL,
    }
}

/// The keys of the SK payload, once there are any.
fn keys<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, sa: &IkeSa) -> Option<KeyPair<RawKey>> {
    match endpoint.handshake_of(sa) {
        Some(handshake) => handshake.agreed().map(|agreed| cipher_keys(&agreed.keys, agreed.role)),
        None => sa.established().map(|established| established.keys.clone()),
    }
}

/// Writes a message in clear into a buffer of its own.
pub(crate) fn write<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    header: &Header,
    payloads: impl FnOnce(&C, &mut Writer<'_>) -> Result<(), NoSpace>,
) -> Option<BufferId> {
    let buffer = endpoint.buffers.allocate()?;
    let written = endpoint.buffers.room(buffer).and_then(|room| {
        let mut writer = Writer::new(room, header).ok()?;
        payloads(&endpoint.crypto, &mut writer).ok()?;
        Some(writer.finish().ok()?.len())
    });
    keep_written(endpoint, buffer, written)
}

/// Writes and seals a message into a buffer of its own.
pub(crate) fn seal<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    header: &Header,
    payloads: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>,
) -> Option<BufferId> {
    endpoint.draft.write(header, payloads).ok()?;
    seal_draft(endpoint, sa, header)
}

/// Seals what was written.
#[inline(never)]
fn seal_draft<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    header: &Header,
) -> Option<BufferId> {
    let key = keys(endpoint, sa)?.outbound;
    fragment::seal_draft(endpoint, sa, &key, header, sa.fragmentation, 1)
}

/// As [`seal`], under a key that the IKE SA does not have yet.
pub(crate) fn seal_with<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    key: &RawKey,
    header: &Header,
    payloads: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>,
) -> Option<BufferId> {
    endpoint.draft.write(header, payloads).ok()?;
    fragment::seal_draft(endpoint, sa, key, header, sa.fragmentation, 1)
}

fn keep_written<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    buffer: BufferId,
    written: Option<usize>,
) -> Option<BufferId> {
    match written {
        Some(length) => {
            endpoint.buffers.set_length(buffer, length);
            Some(buffer)
        }
        None => {
            endpoint.buffers.release(buffer);
            None
        }
    }
}

/// Sends a request and waits for its answer.
pub(crate) fn send_request<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    buffer: BufferId,
    purpose: Purpose,
    now: Instant,
) {
    sa.window.send(buffer, purpose);
    endpoint.outbox.message(sa.path, buffer);
    endpoint.await_answer(sa, now);
    remind_later(endpoint, sa, now);
}

/// A message has just shown the NAT that its mapping is needed (RFC 3948 §4).
fn remind_later<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, sa: &mut IkeSa, now: Instant) {
    if sa.timers.is_set(Timer::Keepalive) {
        sa.timers.set(Timer::Keepalive, now + endpoint.config.timing.keepalive);
    }
}

/// Sends the response to the request with this fingerprint, by the way the request came.
pub(crate) fn send_response<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    path: Path,
    fingerprint: Fingerprint,
    response: BufferId,
    now: Instant,
) {
    if let Some(before) = put_response(endpoint, sa, path, fingerprint, response, now) {
        endpoint.buffers.release(before);
    }
}

/// As [`send_response`], but hands back the response before it, which is still needed.
pub(crate) fn put_response<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    path: Path,
    fingerprint: Fingerprint,
    response: BufferId,
    now: Instant,
) -> Option<BufferId> {
    endpoint.buffers.keep(response, now);
    endpoint.outbox.message(path, response);
    remind_later(endpoint, sa, now);
    sa.window.answer(fingerprint, response)
}

/// Refuses a protected request with one notification.
pub(crate) fn refuse<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    now: Instant,
    received: &Received<'_>,
    notify: &NotifyView<'_>,
) -> Result<(), Discarded> {
    let header = sa.header(received.header.exchange, true, received.header.message_id);
    let response = seal(endpoint, sa, &header, |writer| notify.write(writer)).ok_or(Discarded::NoBuffer)?;
    send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    Ok(())
}

/// What a malformed request is refused with (RFC 7296 §2.5, §2.21).
pub(crate) fn refusal<'a>(malformed: Malformed, octet: &'a mut [u8; 1]) -> NotifyView<'a> {
    if let Malformed::UnknownCritical(kind) = malformed {
        *octet = [kind.0];
        return NotifyView::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, octet);
    }
    NotifyView::new(malformed.notify(), &[])
}

/// Answers a request that made no IKE SA with one notification; silent while another such answer waits.
pub(crate) fn reply<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    path: Path,
    request: &Header,
    notify: &NotifyView<'_>,
) {
    let flags = Flags { initiator: !request.flags.initiator, response: true };
    send_alone(endpoint, path, &Header { flags, ..*request }, notify);
}

/// Sends one notification in clear that belongs to no IKE SA; silent while another such message waits.
pub(crate) fn send_alone<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    path: Path,
    header: &Header,
    notify: &NotifyView<'_>,
) {
    let mut room = [0; 80];
    let message = Writer::new(&mut room, header).and_then(|mut writer| {
        notify.write(&mut writer)?;
        writer.finish()
    });
    if let Ok(message) = message {
        // When it does not go out now, what caused it comes again.
        let _ = endpoint.outbox.reply(path, message);
    }
}
