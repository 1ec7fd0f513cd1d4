//! IKE_AUTH (RFC 7296 §1.2): both ends prove who they are and make the first Child SA.
//!
//! ```text
//! I ─▶ R   SK { IDi [N(INITIAL_CONTACT)] [CERT] CERTREQ [IDr] AUTH SA TSi TSr [N(USE_TRANSPORT_MODE)] }
//! R ─▶ I   SK { IDr [CERT] AUTH SA TSi TSr [N(USE_TRANSPORT_MODE)] }
//! ```

use core::time::Duration;

use esp_engine::spd::Level;
use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use crate::auth::{AuthData, IntAuth, NotProven, Proof, SignedOctets, prove};
use crate::counters::bump;
use crate::crypto::{Crypto, PrfOutput, PublicKey};
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::handshake::{Agreed, Handshake, Intermediate, PpkUse};
use crate::ike_sa::keys::Role;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::{Established, IkeSa, Standing, State, cipher_keys};
use crate::output::{self, Event};
use crate::pad::{Authentication, Identity, OwnedIdentity, PadEntry};
use crate::resources::BufferId;
use crate::wire::NoSpace;
use crate::wire::cert::CertView;
use crate::wire::code_point::{CertEncoding, IdType, PayloadType};
use crate::wire::id::IdView;
use crate::wire::notify::NotifyType;
use crate::wire::payloads::Payloads;
use crate::wire::writer::Writer;
use crate::wire::{rsa_public_key, spki};
#[cfg(feature = "keylog")]
use crate::{config::Suite, ike_sa::keys::IkeKeys};

pub(crate) mod child;
mod gateway;
pub(crate) mod initiator;
pub(crate) mod peer;
mod ppk;
pub(crate) mod responder;

use peer::Proven;

/// What we show: who we are, our key if it is wanted, and the proof.
struct OwnProof {
    identity: OwnedIdentity,
    key: Option<(CertEncoding, heapless::Vec<u8, { spki::MAX_LENGTH }>)>,
    auth: AuthData,
}

impl OwnProof {
    /// By the method of the peer's entry.
    fn new<C: Crypto, R>(
        endpoint: &Endpoint<'_, C, R>,
        agreed: &Agreed,
        entry: &PadEntry<'_>,
        key_wanted: Option<CertEncoding>,
    ) -> Result<Self, FailReason> {
        let identity = match entry.authentication {
            // Whoever proves nothing is nobody (RFC 7619 §2.2).
            Authentication::Null => Identity::Null,
            _ => endpoint.config.identity,
        };
        let identity = identity.to_owned().ok_or(FailReason::Internal)?;
        let view = identity_view(&identity)?;
        let octets = signed_octets(endpoint, agreed, Side::Own, &view)?;
        let (proof, key) = match (entry.authentication, &endpoint.signer) {
            (Authentication::SharedKey(secret), _) => (Proof::SharedKey(secret), None),
            (Authentication::Null, _) => (Proof::Null, None),
            (_, Some(signer)) => (Proof::Key(signer), endpoint.own_key),
            (_, None) => return Err(FailReason::Internal),
        };
        let shown = key.filter(|_| key_wanted.is_some() || entry.is_strangers() || entry.send_key);
        let auth = prove(&endpoint.crypto, proof, agreed.hashes, &octets).map_err(|reason| match reason {
            NotProven::NoCommonAlgorithm => FailReason::WrongMethod,
            NotProven::SigningFailed => FailReason::Internal,
        })?;
        Ok(Self { identity, key: shown.as_ref().map(|key| encoded(key, key_wanted)), auth })
    }

    fn write_identity(&self, payload: PayloadType, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        identity_view(&self.identity).map_err(|_| NoSpace)?.write(payload, writer)
    }

    fn write_key(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        match &self.key {
            Some((encoding, data)) => CertView { encoding: *encoding, data }.write(writer),
            None => Ok(()),
        }
    }
}

/// Our key as the peer wants it, for CERT. The old form is there for RSA only.
fn encoded(
    key: &PublicKey,
    wanted: Option<CertEncoding>,
) -> (CertEncoding, heapless::Vec<u8, { spki::MAX_LENGTH }>) {
    match (key, wanted) {
        (PublicKey::Rsa(key), Some(CertEncoding::RAW_RSA_KEY)) => {
            (CertEncoding::RAW_RSA_KEY, rsa_public_key::encode(key).into_iter().collect())
        }
        _ => (CertEncoding::RAW_PUBLIC_KEY, spki::encode(key)),
    }
}

fn identity_view(identity: &OwnedIdentity) -> Result<IdView<'_>, FailReason> {
    IdView::new(IdType(identity.kind()), identity.data()).map_err(|_| FailReason::Internal)
}

/// Whose proof it is.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Side {
    Own,
    Peer,
}

/// What one side signs: its own IKE_SA_INIT message, the other's nonce, its own identity, and what
/// IKE_INTERMEDIATE adds (RFC 7296 §2.15, RFC 9242 §3.3.2).
fn signed_octets<'a, C: Crypto, R>(
    endpoint: &'a Endpoint<'_, C, R>,
    agreed: &'a Agreed,
    side: Side,
    identity: &IdView<'_>,
) -> Result<SignedOctets<'a>, FailReason> {
    let is_initiator = (agreed.role == Role::Initiator) == (side == Side::Own);
    let (sk_p, message): (&PrfOutput, BufferId) = if is_initiator {
        (&agreed.keys.sk_pi, agreed.request)
    } else {
        (&agreed.keys.sk_pr, agreed.response)
    };
    let nonce: &[u8] = if side == Side::Own { &agreed.peer_nonce } else { &agreed.own_nonce };
    let message = endpoint.buffers.message(message).ok_or(FailReason::Internal)?;
    let octets = SignedOctets::new(&endpoint.crypto, agreed.suite.prf, sk_p, message, nonce, identity);
    let message_id = agreed.auth_id().to_be_bytes();
    Ok(match &agreed.intermediate {
        Some(Intermediate { initiator, responder, .. }) => {
            octets.with(IntAuth { initiator, responder, message_id })
        }
        None => octets,
    })
}

/// Both ends are authenticated: the handshake's slot is free again and the IKE SA stands.
fn establish<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    agreed: &Agreed,
    proven: &Proven,
    now: Instant,
) {
    endpoint.start_timers(sa, agreed.nat, now);
    let timing = &endpoint.config.timing;
    if !timing.reauthentication.is_zero() {
        // Without randomness there is no jitter, but there is still a limit.
        let random = endpoint.random.try_next_u32().unwrap_or(0);
        sa.timers.set(Timer::Reauthenticate, now + timing.reauthentication(sa.role, random));
    }
    sa.state = State::Established(Established {
        keys: cipher_keys(&agreed.keys, agreed.role),
        peer: proven.peer,
        behind: proven.behind,
        identity: proven.identity.clone(),
        key: proven.key,
        level: proven.level,
        method: proven.method,
        nat: agreed.nat,
        mobility: None,
        since: now,
        heard: now,
        standing: Standing::Current,
        suite: agreed.suite,
        renewal_owed: false,
        refused_since: None,
        sk_d: agreed.keys.sk_d.clone(),
        ppk: agreed.ppk == PpkUse::Mixed,
        gives_way: false,
        is_full: false,
        is_ending: false,
    });
    bump(&mut endpoint.desk.counters.established);
    if let State::Established(established) = &sa.state {
        let event = Event::Established(output::Established::of(sa, established));
        endpoint.outbox.event(event);
    }
}

/// The peer wants us to prove again who we are within this time (RFC 4478): a hint, which never makes us wait
/// longer than our own configuration, nor hurry so much that it keeps us busy.
pub(crate) fn hasten<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    payloads: &Payloads<'_>,
    now: Instant,
) {
    const SOONEST: Duration = Duration::from_secs(60);
    let wanted = payloads.notify(NotifyType::AUTH_LIFETIME).and_then(|notify| notify.auth_lifetime());
    let (Some(seconds), Role::Initiator, Some(established)) = (wanted, sa.role, sa.established()) else {
        return;
    };
    let own = endpoint.config.timing.reauthentication;
    let lifetime = (Duration::from_secs(u64::from(seconds)) / 10 * 9).max(SOONEST);
    if established.standing == Standing::Current && (own.is_zero() || lifetime < own) {
        sa.timers.set(Timer::Reauthenticate, now + lifetime);
    }
}

/// Reports the keys before anything is sealed with them.
#[cfg(feature = "keylog")]
pub(crate) fn log_keys<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
    suite: Suite,
    keys: &IkeKeys,
) {
    endpoint.outbox.event(Event::Keys(output::IkeKeys {
        spis: sa.spis,
        algorithm: suite.ike,
        initiator: keys.sk_ei.clone(),
        responder: keys.sk_er.clone(),
    }));
}

/// Takes the handshake out of its slot; [`put_back`] returns it.
pub(super) fn take_handshake<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
) -> Option<(u8, Handshake<C>)> {
    let State::Handshake(index) = sa.state else {
        return None;
    };
    Some((index, endpoint.handshakes.get_mut(usize::from(index))?.take()?))
}

pub(super) fn put_back<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, index: u8, handshake: Handshake<C>) {
    if let Some(entry) = endpoint.handshakes.get_mut(usize::from(index)) {
        *entry = Some(handshake);
    }
}

/// Whether a peer of this level is somebody, so that its IKE SA is kept without Child SA.
pub(crate) fn is_somebody(level: Level) -> bool {
    level >= Level::Shared
}
