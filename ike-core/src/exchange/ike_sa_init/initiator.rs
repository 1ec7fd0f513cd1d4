//! IKE_SA_INIT as initiator: the request, its retries with a cookie or in another group, and the
//! answer. Nothing here is protected, so an error only counts as a hint, and every retry repeats the
//! whole offer (RFC 7296 §1.2, §2.6, §2.21.1).

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{
    derive, fragmentation, hashes, speaks_intermediate, wanted_key, write_exchange, write_fragmentation,
    write_hashes, write_intermediate,
};
use crate::counters::bump;
use crate::crypto::{Crypto, Group, KeyExchange};
use crate::endpoint::Endpoint;
use crate::error::{AcquireError, Discarded};
use crate::exchange::{self, ike_auth, ike_intermediate, mobike};
use crate::handshake::{Agreed, Handshake, InitSent, MAX_RETRIES, PpkUse, Want};
use crate::ike_sa::keys::{IkeSpis, Nonces, Role};
use crate::ike_sa::nat::{Detection, ENCAPSULATED, Nat};
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, State};
use crate::output::Path;
use crate::proposal::{self, IkeSaKind};
use crate::resources::free_slot;
use crate::wire::code_point::ExchangeType;
use crate::wire::header::{IkeSpi, Message};
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;

/// Makes an IKE SA for `slot` and sends its first request.
pub(crate) fn begin<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    now: Instant,
    want: Want,
) -> Result<IkeSa, AcquireError> {
    let index =
        free_slot(endpoint.handshakes).and_then(|i| u8::try_from(i).ok()).ok_or(AcquireError::NoSlot)?;
    let group = endpoint.config.suites.first().map_or(Group::Curve25519, |suite| suite.group);
    let exchange =
        endpoint.crypto.generate(group, &mut endpoint.random).map_err(|_| AcquireError::NoRandom)?;
    let nonce = endpoint.random.array().map_err(|_| AcquireError::NoRandom)?;
    let initiator = endpoint.fresh_ike_spi(slot).map_err(|_| AcquireError::NoRandom)?;
    let init = InitSent {
        want,
        exchange,
        nonce,
        cookie: heapless::Vec::new(),
        tried: heapless::Vec::from_iter([group]),
        retries: 0,
        hint: None,
    };
    let mut sa = IkeSa::new(Role::Initiator, IkeSpis { initiator, responder: 0 }, want.path, now);
    send(endpoint, &mut sa, &init, now).ok_or(AcquireError::NoBuffer)?;
    if let Some(entry) = endpoint.handshakes.get_mut(usize::from(index)) {
        *entry = Some(Handshake::InitSent(init));
    }
    sa.state = State::Handshake(index);
    Ok(sa)
}

/// Sends the request, in place of an earlier one if there is one.
fn send<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    init: &InitSent<C::KeyExchange>,
    now: Instant,
) -> Option<()> {
    let config = endpoint.config;
    let header = sa.header(ExchangeType::IKE_SA_INIT, false, 0);
    let (spis, path) = (sa.spis, sa.path);
    let ppk = config.entry(init.want.entry).and_then(|entry| entry.ppk);
    let buffer = exchange::write(endpoint, &header, |crypto, writer| {
        if !init.cookie.is_empty() {
            NotifyView::put(NotifyType::COOKIE, &init.cookie, writer)?;
        }
        proposal::offer_ike(config.suites, None, writer)?;
        write_exchange(init.exchange.group(), &init.exchange.public(), &init.nonce, writer)?;
        Detection::new(crypto, spis, &path, config.force_encapsulation).write(writer)?;
        write_fragmentation(&config.timing, writer)?;
        write_hashes(writer)?;
        write_intermediate(config.suites.iter().any(|suite| suite.additional.is_some()), writer)?;
        if ppk.is_some() { NotifyView::put(NotifyType::USE_PPK, &[], writer) } else { Ok(()) }
    })?;
    if let Some(before) = sa.window.take_back() {
        endpoint.buffers.release(before.buffer);
    }
    exchange::send_request(endpoint, sa, buffer, Purpose::Handshake, now);
    Some(())
}

/// An answer to our request, from whoever knows our SPI.
#[inline(never)]
pub(crate) fn handle_response<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    path: Path,
    message: &Message<'_>,
) -> Result<(), Discarded> {
    let State::Handshake(index) = sa.state else {
        return Err(Discarded::Unsolicited);
    };
    let payloads = message.payloads()?;
    let entry = endpoint.handshakes.get_mut(usize::from(index)).ok_or(Discarded::Unsolicited)?;
    match entry.take() {
        Some(Handshake::InitSent(mut init)) => {
            let result = judge(endpoint, slot, sa, &mut init, now, path, message, &payloads);
            let (handshake, result) = match result {
                Ok(Some(next)) => (next, Ok(())),
                Ok(None) => (Handshake::InitSent(init), Ok(())),
                Err(reason) => (Handshake::InitSent(init), Err(reason)),
            };
            if let Some(entry) = endpoint.handshakes.get_mut(usize::from(index)) {
                *entry = Some(handshake);
            }
            result
        }
        other => {
            if let Some(entry) = endpoint.handshakes.get_mut(usize::from(index)) {
                *entry = other;
            }
            Err(Discarded::Unsolicited)
        }
    }
}

/// What the answer leads to; `Ok(None)` when the request was sent anew.
#[expect(clippy::too_many_arguments, reason = "all of them are what an answer is judged by")]
#[inline(never)]
fn judge<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    init: &mut InitSent<C::KeyExchange>,
    now: Instant,
    path: Path,
    message: &Message<'_>,
    payloads: &Payloads<'_>,
) -> Result<Option<Handshake<C>>, Discarded> {
    if payloads.sa.is_some() {
        let ppk = endpoint.config.entry(init.want.entry).and_then(|entry| entry.ppk);
        if ppk.is_some_and(|ppk| ppk.mandatory) && payloads.notify(NotifyType::USE_PPK).is_none() {
            // Somebody may have left it out on the way: the true answer may still come.
            init.hint = Some(NotifyType::USE_PPK.0);
            return Err(Discarded::NoPpk);
        }
        return agree(endpoint, slot, sa, init, now, path, message, payloads).map(Some);
    }
    if let Some(notify) = payloads.notify(NotifyType::COOKIE) {
        let cookie = notify.cookie().ok_or(Discarded::BadCookie)?;
        if init.cookie == cookie {
            return Err(Discarded::UselessRetry);
        }
        retry(endpoint, sa, init, now, |_, init| {
            init.cookie = heapless::Vec::from_slice(cookie).map_err(|_| Discarded::BadCookie)?;
            Ok(())
        })?;
        return Ok(None);
    }
    if let Some(notify) = payloads.notify(NotifyType::INVALID_KE_PAYLOAD) {
        let wanted = notify.wanted_key_exchange().and_then(|method| Group::from_id(method.0));
        let group = wanted.ok_or(Discarded::UselessRetry)?;
        let is_offered = endpoint.config.suites.iter().any(|suite| suite.group == group);
        if !is_offered || init.tried.contains(&group) {
            return Err(Discarded::UselessRetry);
        }
        retry(endpoint, sa, init, now, |endpoint, init| {
            init.exchange =
                endpoint.crypto.generate(group, &mut endpoint.random).map_err(|_| Discarded::NoRandom)?;
            init.tried.push(group).map_err(|_| Discarded::UselessRetry)
        })?;
        return Ok(None);
    }
    // It may come from anybody, so we go on waiting; it is told when nothing better comes.
    init.hint = payloads.error().map(|notify| notify.kind.0).or(init.hint);
    Err(Discarded::Hint)
}

/// Sends the request anew after `change`, a bounded number of times.
fn retry<'r, C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'r, C, R>,
    sa: &mut IkeSa,
    init: &mut InitSent<C::KeyExchange>,
    now: Instant,
    change: impl FnOnce(&mut Endpoint<'r, C, R>, &mut InitSent<C::KeyExchange>) -> Result<(), Discarded>,
) -> Result<(), Discarded> {
    if init.retries >= MAX_RETRIES {
        return Err(Discarded::UselessRetry);
    }
    change(endpoint, init)?;
    init.retries += 1;
    send(endpoint, sa, init, now).ok_or(Discarded::NoBuffer)
}

/// The answer agrees: keys, then IKE_INTERMEDIATE if that is a part of it, then IKE_AUTH.
#[expect(clippy::too_many_arguments, reason = "all of them are what an answer is judged by")]
#[inline(never)]
fn agree<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    init: &InitSent<C::KeyExchange>,
    now: Instant,
    path: Path,
    message: &Message<'_>,
    payloads: &Payloads<'_>,
) -> Result<Handshake<C>, Discarded> {
    let (Some(answer), Some(ke), Some(nonce)) = (&payloads.sa, &payloads.ke, &payloads.nonce) else {
        return Err(Discarded::MissingPayload);
    };
    let responder = message.header.responder_spi;
    if responder == IkeSpi::ZERO || responder == message.header.initiator_spi {
        return Err(Discarded::BadSpi);
    }
    let kind = IkeSaKind::First { may_add: speaks_intermediate(payloads) };
    let choice = proposal::accept_ike(answer, endpoint.config.suites, kind);
    let suite = choice.ok_or(Discarded::NotOffered)?.suite;
    let group = init.exchange.group();
    if suite.group != group || ke.method.0 != group.id() {
        return Err(Discarded::NotOffered);
    }
    if nonce.data() == init.nonce {
        return Err(Discarded::BadNonce);
    }
    let peer_nonce = heapless::Vec::from_slice(nonce.data()).map_err(|_| Discarded::BadNonce)?;
    bump(&mut endpoint.desk.counters.key_exchanges);
    let secret = init.exchange.clone().agree(ke.data).map_err(|_| Discarded::BadKeyExchange)?;
    let spis = IkeSpis { responder: responder.0, ..sa.spis };
    let nonces = Nonces { initiator: &init.nonce, responder: nonce.data() };
    let keys = derive(&endpoint.crypto, &suite, &secret, nonces, spis);
    let pretended = endpoint.config.force_encapsulation;
    let nat = Nat::detect(&endpoint.crypto, payloads, spis, &path, pretended);
    let entry_has_ppk = endpoint.config.entry(init.want.entry).is_some_and(|entry| entry.ppk.is_some());
    let request = sa.window.outstanding().ok_or(Discarded::Unsolicited)?.buffer;
    let response = endpoint.buffers.store(message.octets()).ok_or(Discarded::NoBuffer)?;
    let mut agreed = Agreed {
        role: Role::Initiator,
        suite,
        keys,
        own_nonce: init.nonce,
        peer_nonce,
        request,
        response,
        nat,
        hashes: hashes(payloads),
        key_wanted: wanted_key(payloads),
        intermediate: None,
        ppk: PpkUse::new(entry_has_ppk, payloads),
        childless: payloads.notify(NotifyType::CHILDLESS_IKEV2_SUPPORTED).is_some(),
    };
    let before = (sa.spis, sa.path);
    sa.spis = spis;
    sa.fragmentation = fragmentation(&endpoint.config.timing, payloads);
    // MOBIKE moves there too, for the day when there is a NAT (RFC 4555 §3.3).
    let is_mobile = mobike::is_wanted(endpoint, init.want.policy)
        && payloads.notify(NotifyType::NAT_DETECTION_SOURCE_IP).is_some();
    if nat.wants_encapsulation() || is_mobile {
        sa.path.local.set_port(ENCAPSULATED);
        sa.path.remote.set_port(ENCAPSULATED);
    }
    let want = init.want;
    let begun = match agreed.awaits_intermediate() {
        Some(group) => ike_intermediate::begin(endpoint, sa, &agreed, group, now).map(Some),
        None => ike_auth::initiator::begin(endpoint, slot, sa, &mut agreed, &want, now).map(|()| None),
    };
    match begun {
        Ok(Some(additional)) => Ok(Handshake::IntermediateSent(agreed, want, additional)),
        Ok(None) => Ok(Handshake::AuthSent(agreed, want)),
        Err(reason) => {
            endpoint.buffers.release(response);
            (sa.spis, sa.path) = before;
            Err(reason)
        }
    }
}
