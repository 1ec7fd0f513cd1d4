//! IKE_SA_INIT as responder. A stranger costs nothing until it is worth it: first the look at its
//! payloads, then the cookie, then the limits, and only then a key exchange (RFC 7296 §2.6, RFC 8019 §4).

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{
    derive, fragmentation, hashes, speaks_intermediate, wanted_key, write_exchange, write_fragmentation,
    write_hashes, write_intermediate,
};
use crate::config::Suite;
use crate::cookie::Request;
use crate::counters::bump;
use crate::crypto::{Crypto, ExchangeError, PublicValue, SharedSecret};
use crate::endpoint::Endpoint;
use crate::error::{Discarded, FailReason};
use crate::exchange;
use crate::handshake::{Agreed, Handshake, NONCE, PpkUse};
use crate::ike_sa::fragmentation::Fragmentation;
use crate::ike_sa::keys::{IkeSpis, Nonces, Role};
use crate::ike_sa::nat::{Detection, Nat};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Fingerprint;
use crate::ike_sa::{IkeSa, State};
use crate::output::Path;
use crate::proposal::{self, IkeChoice, IkeSaKind};
use crate::resources::{BufferId, MESSAGE, free_slot};
use crate::wire::Malformed;
use crate::wire::cert::CertRequestView;
use crate::wire::code_point::{ExchangeType, Protocol};
use crate::wire::header::Message;
use crate::wire::ke::KeView;
use crate::wire::nonce::NonceView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;

/// Buffers that a half-open IKE SA holds: both messages.
const BUFFERS: usize = 2;

/// A request that no IKE SA of ours has seen yet.
#[inline(never)]
pub(crate) fn handle_request<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    now: Instant,
    path: Path,
    message: &Message<'_>,
) -> Result<(), Discarded> {
    let payloads = match message.payloads() {
        Ok(payloads) => payloads,
        Err(Malformed::UnknownCritical(kind)) => {
            let notify =
                NotifyView::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, core::slice::from_ref(&kind.0));
            exchange::reply(endpoint, path, &message.header, &notify);
            return Err(Discarded::CriticalPayload);
        }
        Err(malformed) => return Err(malformed.into()),
    };
    let (Some(offer), Some(ke), Some(nonce)) = (&payloads.sa, &payloads.ke, &payloads.nonce) else {
        return Err(Discarded::MissingPayload);
    };
    if message.octets().len() > MESSAGE {
        return Err(Discarded::TooLong);
    }
    let slot = admit(endpoint, now, path, message, &payloads, nonce)?;
    let kind = IkeSaKind::First { may_add: speaks_intermediate(&payloads) };
    let choice = match proposal::choose_ike(offer, endpoint.config.suites, kind) {
        Ok(choice) => choice,
        Err(mismatch) => {
            let sa = IkeSa::new(Role::Responder, spis(message, 0), path, now);
            endpoint.fail(&sa, None, FailReason::NoProposal(mismatch));
            let notify = NotifyView::new(NotifyType::NO_PROPOSAL_CHOSEN, &[]);
            exchange::reply(endpoint, path, &message.header, &notify);
            return Err(Discarded::NoProposalChosen);
        }
    };
    let suite = choice.suite;
    if ke.method.0 != suite.group.id() {
        let wanted = suite.group.id().to_be_bytes();
        let notify = NotifyView::new(NotifyType::INVALID_KE_PAYLOAD, &wanted);
        exchange::reply(endpoint, path, &message.header, &notify);
        return Err(Discarded::OtherGroup);
    }
    let index = free_slot(endpoint.handshakes).and_then(|i| u8::try_from(i).ok()).ok_or(Discarded::NoSlot)?;
    let answer = compute(endpoint, slot, message, &suite, ke)?;
    let mut sa = IkeSa::new(Role::Responder, answer.spis, path, now);
    sa.fragmentation = fragmentation(&endpoint.config.timing, &payloads);
    let use_ppk = PpkUse::new(endpoint.config.has_ppk(), &payloads) == PpkUse::Offered;
    let response = write_response(endpoint, &sa, &choice, &answer, use_ppk).ok_or(Discarded::NoBuffer)?;
    let Some(request) = endpoint.buffers.store(message.octets()) else {
        endpoint.buffers.release(response);
        return Err(Discarded::NoBuffer);
    };
    let agreed = agreed(endpoint, &payloads, nonce, suite, &answer, request, response, &path);
    if let Some(entry) = endpoint.handshakes.get_mut(usize::from(index)) {
        *entry = Some(Handshake::InitAnswered(agreed));
    }
    sa.state = State::Handshake(index);
    sa.window.answer(Fingerprint::of(message.octets()), response);
    sa.timers.set(Timer::Expire, now + endpoint.config.timing.half_open);
    endpoint.outbox.message(path, response);
    endpoint.sas.put(slot, sa);
    Ok(())
}

fn spis(message: &Message<'_>, responder: u64) -> IkeSpis {
    IkeSpis { initiator: message.header.initiator_spi.0, responder }
}

/// Whether the stranger may go on, and the slot for it.
#[inline(never)]
fn admit<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    now: Instant,
    path: Path,
    message: &Message<'_>,
    payloads: &Payloads<'_>,
    nonce: &NonceView<'_>,
) -> Result<u16, Discarded> {
    // Who waits for DNS holds a place for seconds.
    let is_pressed = endpoint.sas.half_open() >= usize::from(endpoint.config.timing.cookie_threshold)
        || endpoint.names.held().count() > 1;
    if is_pressed {
        check_cookie(endpoint, now, path, message, payloads, nonce)?;
    }
    let from_source = endpoint.sas.at(path.peer()).filter(|(_, sa)| sa.is_half_open()).count();
    if from_source >= usize::from(endpoint.config.timing.half_open_per_source) {
        return Err(Discarded::HalfOpenLimit);
    }
    if free_slot(endpoint.handshakes).is_none() {
        return Err(Discarded::NoSlot);
    }
    if !endpoint.buffers.spare(BUFFERS) {
        return Err(Discarded::NoBuffer);
    }
    endpoint.slot_for_stranger(path.peer()).ok_or(Discarded::NoSlot)
}

fn check_cookie<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    now: Instant,
    path: Path,
    message: &Message<'_>,
    payloads: &Payloads<'_>,
    nonce: &NonceView<'_>,
) -> Result<(), Discarded> {
    let request = Request { nonce: nonce.data(), source: path.peer(), spi: message.header.initiator_spi.0 };
    let timing = &endpoint.config.timing;
    let shown = payloads.notify(NotifyType::COOKIE).map(|notify| notify.data);
    if shown.is_some_and(|shown| endpoint.desk.cookies.check(&endpoint.crypto, timing, now, request, shown)) {
        return Ok(());
    }
    let cookie = endpoint
        .desk
        .cookies
        .make(&endpoint.crypto, &mut endpoint.random, timing, now, request)
        .map_err(|_| Discarded::NoRandom)?;
    exchange::reply(endpoint, path, &message.header, &NotifyView::new(NotifyType::COOKIE, &cookie));
    Err(if shown.is_some() { Discarded::BadCookie } else { Discarded::CookieDemanded })
}

/// Our part of the exchange.
struct Answer {
    spis: IkeSpis,
    nonce: [u8; NONCE],
    public: PublicValue,
    secret: SharedSecret,
}

#[inline(never)]
fn compute<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    message: &Message<'_>,
    suite: &Suite,
    ke: &KeView<'_>,
) -> Result<Answer, Discarded> {
    if ke.data.len() != suite.group.public_length() {
        return Err(Discarded::BadKeyExchange);
    }
    bump(&mut endpoint.desk.counters.key_exchanges);
    let exchanged = endpoint.crypto.respond(suite.group, ke.data, &mut endpoint.random);
    let (public, secret) = exchanged.map_err(|error| match error {
        ExchangeError::NoRandom => Discarded::NoRandom,
        ExchangeError::BadPublicValue => Discarded::BadKeyExchange,
    })?;
    let responder = endpoint.fresh_ike_spi(slot).map_err(|_| Discarded::NoRandom)?;
    let nonce = endpoint.random.array().map_err(|_| Discarded::NoRandom)?;
    Ok(Answer { spis: spis(message, responder), nonce, public, secret })
}

fn write_response<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
    choice: &IkeChoice,
    answer: &Answer,
    use_ppk: bool,
) -> Option<BufferId> {
    let config = endpoint.config;
    let header = sa.header(ExchangeType::IKE_SA_INIT, true, 0);
    exchange::write(endpoint, &header, |crypto, writer| {
        proposal::answer_ike(choice, None, writer)?;
        write_exchange(choice.suite.group, &answer.public, &answer.nonce, writer)?;
        Detection::new(crypto, sa.spis, &sa.path, config.force_encapsulation).write(writer)?;
        CertRequestView::RAW_PUBLIC_KEY.write(writer)?;
        if sa.fragmentation != Fragmentation::Off {
            write_fragmentation(&config.timing, writer)?;
        }
        write_hashes(writer)?;
        write_intermediate(choice.suite.additional.is_some(), writer)?;
        // RFC 6023 §4 wants the protocol to be IKE.
        let kind = NotifyType::CHILDLESS_IKEV2_SUPPORTED;
        NotifyView { protocol: Protocol::IKE, spi: &[], kind, data: &[] }.write(writer)?;
        if use_ppk { NotifyView::put(NotifyType::USE_PPK, &[], writer) } else { Ok(()) }
    })
}

#[expect(clippy::too_many_arguments, reason = "all of them are what was agreed")]
#[inline(never)]
fn agreed<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    payloads: &Payloads<'_>,
    nonce: &NonceView<'_>,
    suite: Suite,
    answer: &Answer,
    request: BufferId,
    response: BufferId,
    path: &Path,
) -> Agreed {
    let nonces = Nonces { initiator: nonce.data(), responder: &answer.nonce };
    let asked = IkeSpis { responder: 0, ..answer.spis };
    let pretended = endpoint.config.force_encapsulation;
    let nat = Nat::detect(&endpoint.crypto, payloads, asked, path, pretended);
    Agreed {
        role: Role::Responder,
        suite,
        keys: derive(&endpoint.crypto, &suite, &answer.secret, nonces, answer.spis),
        own_nonce: answer.nonce,
        peer_nonce: nonce.data().iter().copied().collect(),
        request,
        response,
        nat,
        hashes: hashes(payloads),
        key_wanted: wanted_key(payloads),
        intermediate: None,
        childless: true,
        ppk: PpkUse::new(endpoint.config.has_ppk(), payloads),
    }
}
