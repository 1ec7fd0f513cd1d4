//! IKE_INTERMEDIATE (RFC 9242): an additional key exchange between IKE_SA_INIT and IKE_AUTH, whose messages
//! may be fragmented (RFC 9370 §2.2.2). The keys that it yields are used from IKE_AUTH on; the messages
//! themselves enter AUTH, in the form that they have before encryption and fragmentation.
//!
//! ```text
//! I ─▶ R   HDR(A,B,1) SK { KEi(1) }
//! R ─▶ I   HDR(A,B,1) SK { KEr(1) }
//! ```

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{Received, ike_auth};
use crate::counters::bump;
use crate::crypto::{Crypto, ExchangeError, Group, KeyExchange, PrfOutput, SharedSecret};
use crate::endpoint::Endpoint;
use crate::error::{Discarded, FailReason};
use crate::exchange;
use crate::handshake::{Additional, Agreed, Handshake, Intermediate};
use crate::ike_sa::keys::{self, IkeKeys, Role, Secrets};
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, cipher_keys};
use crate::wire::code_point::ExchangeType;
use crate::wire::encrypted::Clear;
use crate::wire::ke::KeView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::transform::KeyExchangeMethod;

/// IntAuth_i1 or IntAuth_r1 = prf(SK_p, A | P) (RFC 9242 §3.3.2).
fn int_auth<C: Crypto>(crypto: &C, agreed: &Agreed, sender: Role, clear: &Clear<'_>) -> PrfOutput {
    let sk_p = match sender {
        Role::Initiator => &agreed.keys.sk_pi,
        Role::Responder => &agreed.keys.sk_pr,
    };
    crypto.prf(agreed.suite.prf, sk_p.octets(), &[&clear.head, clear.text])
}

/// The keys after this exchange: SKEYSEED(1) = prf(SK_d, SK(1) | Ni | Nr), the rest as before
/// (RFC 9370 §2.2.2).
fn next_keys<C: Crypto>(crypto: &C, agreed: &Agreed, sa: &IkeSa, secret: &SharedSecret) -> IkeKeys {
    let suite = keys::Suite { prf: agreed.suite.prf, cipher: agreed.suite.ike };
    let (old, nonces) = (&agreed.keys.sk_d, agreed.nonces());
    IkeKeys::rekeyed(crypto, suite.prf, old, suite, Secrets::only(secret), nonces, sa.spis)
}

/// As initiator: sends the request, which takes the place of IKE_SA_INIT's. Changes nothing when that fails.
pub(crate) fn begin<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    agreed: &Agreed,
    group: Group,
    now: Instant,
) -> Result<Additional<C::KeyExchange>, Discarded> {
    let exchange = endpoint.crypto.generate(group, &mut endpoint.random).map_err(|_| Discarded::NoRandom)?;
    let public = exchange.public();
    let header = sa.header(ExchangeType::IKE_INTERMEDIATE, false, 1);
    let key = cipher_keys(&agreed.keys, agreed.role).outbound;
    let message = exchange::seal_with(endpoint, sa, &key, &header, |writer| {
        KeView { method: KeyExchangeMethod(group.id()), data: &public }.write(writer)
    })
    .ok_or(Discarded::NoBuffer)?;
    let int_auth = int_auth(&endpoint.crypto, agreed, Role::Initiator, &endpoint.draft.clear());
    // The message of IKE_SA_INIT is kept: it is signed by the other end too.
    sa.window.answered();
    #[cfg(feature = "keylog")]
    ike_auth::log_keys(endpoint, sa, agreed.suite, &agreed.keys);
    exchange::send_request(endpoint, sa, message, Purpose::Handshake, now);
    Ok(Additional { exchange, int_auth })
}

/// The responder's answer, which proved to come from whom we agreed on keys with.
#[inline(never)]
pub(crate) fn handle_response<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: &Received<'_>,
) -> Result<(), Discarded> {
    let (index, handshake) = ike_auth::take_handshake(endpoint, sa).ok_or(Discarded::WrongState)?;
    let Handshake::IntermediateSent(mut agreed, want, additional) = handshake else {
        ike_auth::put_back(endpoint, index, handshake);
        return Err(Discarded::WrongState);
    };
    let secret = match judge(received, &additional.exchange) {
        Ok(secret) => secret,
        Err(reason) => {
            ike_auth::put_back(endpoint, index, Handshake::IntermediateSent(agreed, want, additional));
            endpoint.fail(sa, None, reason);
            endpoint.set_back(sa, now);
            endpoint.forget(sa);
            return Ok(());
        }
    };
    bump(&mut endpoint.desk.counters.key_exchanges);
    let responder = int_auth(&endpoint.crypto, &agreed, Role::Responder, &received.clear);
    let keys = next_keys(&endpoint.crypto, &agreed, sa, &secret);
    let before = core::mem::replace(&mut agreed.keys, keys);
    let sealed_with = cipher_keys(&before, agreed.role).outbound;
    let initiator = additional.int_auth.clone();
    agreed.intermediate = Some(Intermediate { initiator, responder, sealed_with });
    let result = ike_auth::initiator::begin(endpoint, slot, sa, &mut agreed, &want, now);
    let handshake = match result {
        Ok(()) => Handshake::AuthSent(agreed, want),
        Err(_) => {
            (agreed.keys, agreed.intermediate) = (before, None);
            Handshake::IntermediateSent(agreed, want, additional)
        }
    };
    ike_auth::put_back(endpoint, index, handshake);
    result
}

/// The secret that the answer leads to.
fn judge<K: KeyExchange>(received: &Received<'_>, exchange: &K) -> Result<SharedSecret, FailReason> {
    let payloads = received.payloads.as_ref().map_err(|_| FailReason::BadMessage)?;
    if let Some(error) = payloads.error() {
        return Err(FailReason::Refused(error.kind.0));
    }
    let ke = payloads.ke.filter(|ke| ke.method.0 == exchange.group().id()).ok_or(FailReason::BadMessage)?;
    exchange.clone().agree(ke.data).map_err(|_| FailReason::BadMessage)
}

/// As responder: the initiator's request, which proved to come from whom we agreed on keys with.
#[inline(never)]
pub(crate) fn handle_request<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    now: Instant,
    received: &Received<'_>,
) -> Result<(), Discarded> {
    let (index, handshake) = ike_auth::take_handshake(endpoint, sa).ok_or(Discarded::WrongState)?;
    let Handshake::InitAnswered(mut agreed) = handshake else {
        ike_auth::put_back(endpoint, index, handshake);
        return Err(Discarded::WrongState);
    };
    // From here on the peer is wherever this message came from (RFC 9242 §3.2).
    let before = core::mem::replace(&mut sa.path, received.path);
    let result = answer(endpoint, sa, &mut agreed, now, received);
    ike_auth::put_back(endpoint, index, Handshake::InitAnswered(agreed));
    if result.is_err() {
        sa.path = before;
    } else if sa.is_over() {
        endpoint.free_handshake(index);
    }
    result
}

/// Answers, whatever the answer is; an error means that not even that was possible.
fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    agreed: &mut Agreed,
    now: Instant,
    received: &Received<'_>,
) -> Result<(), Discarded> {
    let group = agreed.awaits_intermediate().ok_or(Discarded::WrongState)?;
    let mut octet = [0];
    let ke = match &received.payloads {
        Ok(payloads) => payloads.ke.filter(|ke| ke.method.0 == group.id()),
        Err(malformed) => {
            let notify = exchange::refusal(*malformed, &mut octet);
            return ike_auth::responder::refuse(
                endpoint,
                sa,
                agreed,
                now,
                received,
                FailReason::BadMessage,
                &notify,
            );
        }
    };
    let exchanged = ke.map(|ke| endpoint.crypto.respond(group, ke.data, &mut endpoint.random));
    let (public, secret) = match exchanged {
        Some(Ok(exchanged)) => exchanged,
        Some(Err(ExchangeError::NoRandom)) => return Err(Discarded::NoRandom),
        None | Some(Err(ExchangeError::BadPublicValue)) => {
            let notify = NotifyView::new(NotifyType::INVALID_SYNTAX, &[]);
            return ike_auth::responder::refuse(
                endpoint,
                sa,
                agreed,
                now,
                received,
                FailReason::BadMessage,
                &notify,
            );
        }
    };
    bump(&mut endpoint.desk.counters.key_exchanges);
    let header = sa.header(ExchangeType::IKE_INTERMEDIATE, true, received.header.message_id);
    let sealed_with = cipher_keys(&agreed.keys, agreed.role).outbound;
    let response = exchange::seal_with(endpoint, sa, &sealed_with, &header, |writer| {
        KeView { method: KeyExchangeMethod(group.id()), data: &public }.write(writer)
    })
    .ok_or(Discarded::NoBuffer)?;
    let initiator = int_auth(&endpoint.crypto, agreed, Role::Initiator, &received.clear);
    let responder = int_auth(&endpoint.crypto, agreed, Role::Responder, &endpoint.draft.clear());
    #[cfg(feature = "keylog")]
    ike_auth::log_keys(endpoint, sa, agreed.suite, &agreed.keys);
    agreed.keys = next_keys(&endpoint.crypto, agreed, sa, &secret);
    agreed.intermediate = Some(Intermediate { initiator, responder, sealed_with });
    // The response of IKE_SA_INIT is kept: it is signed.
    exchange::put_response(endpoint, sa, received.path, received.fingerprint, response, now);
    Ok(())
}
