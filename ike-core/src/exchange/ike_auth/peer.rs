//! Who the peer is: from its ID to a PAD entry, from the entry to the only method that will do, from
//! there to the keys that may have signed (RFC 4301 §4.4.3.4, RFC 5386 §2).

use core::net::IpAddr;

use esp_engine::sa::PeerKey;
use esp_engine::spd::Level;

use super::{Side, ppk, signed_octets};
use crate::auth::{AuthError, Expected, SignedOctets, verify};
use crate::crypto::{Crypto, KeyKind, PublicKey};
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::handshake::Agreed;
use crate::ike_sa::keys::Role;
use crate::output::Method;
use crate::pad::{Authentication, Identity, OwnedIdentity, PeerId};
use crate::wire::auth::AuthView;
use crate::wire::code_point::CertEncoding;
use crate::wire::payloads::Payloads;
use crate::wire::{rsa_public_key, spki};

/// Keys that are tried when the peer sends none.
const CANDIDATES: usize = 4;

/// A peer that proved who it is.
pub(crate) struct Proven {
    pub(crate) peer: PeerId,
    pub(crate) identity: OwnedIdentity,
    pub(crate) key: PeerKey,
    pub(crate) level: Level,
    pub(crate) method: Method,
}

/// What the peer calls itself, if its message says so.
pub(super) fn asserted(agreed: &Agreed, payloads: &Payloads<'_>) -> Option<OwnedIdentity> {
    let id = match agreed.role {
        Role::Initiator => payloads.idr.as_ref(),
        Role::Responder => payloads.idi.as_ref(),
    }?;
    Identity::from_wire(id.kind.0, id.data).to_owned()
}

/// The entry that the initiator claims to be, if that is known by a shared key: somebody may be guessing.
pub(super) fn with_secret<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    payloads: &Payloads<'_>,
    source: IpAddr,
) -> Option<PeerId> {
    let id = payloads.idi?;
    let (peer, entry) = endpoint.config.search(&Identity::from_wire(id.kind.0, id.data), source)?;
    matches!(entry.authentication, Authentication::SharedKey(_)).then_some(peer)
}

/// Judges the peer's identity and proof. `wanted`: the only entry that will do.
pub(super) fn judge<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    agreed: &Agreed,
    payloads: &Payloads<'_>,
    wanted: Option<PeerId>,
    source: IpAddr,
) -> Result<Proven, FailReason> {
    let id = match agreed.role {
        Role::Initiator => payloads.idr,
        Role::Responder => payloads.idi,
    };
    let id = id.ok_or(FailReason::BadMessage)?;
    let auth = payloads.auth.ok_or(FailReason::WrongMethod)?;
    let identity = Identity::from_wire(id.kind.0, id.data);
    let kept = identity.to_owned().ok_or(FailReason::UnknownPeer)?;
    let (peer, entry) = endpoint.config.search(&identity, source).ok_or(FailReason::UnknownPeer)?;
    if wanted.is_some_and(|wanted| wanted != peer) {
        return Err(FailReason::OtherPeer);
    }
    if ppk::is_missing(agreed, &entry) {
        return Err(FailReason::NoPpk);
    }
    let octets = signed_octets(endpoint, agreed, Side::Peer, &id)?;
    let (key, method) = if let Authentication::SharedKey(secret) = entry.authentication {
        verify(&endpoint.crypto, Expected::SharedKey(secret), agreed.hashes, &octets, auth)
            .map_err(reason)?;
        let hash = endpoint.crypto.sha256(&[&[kept.kind()], kept.data()]);
        (PeerKey(hash), Method::SharedKey)
    } else {
        let shown = shown_key(payloads);
        let key = proven_key(endpoint, agreed, &octets, auth, entry.authentication, shown)?;
        let hash = fingerprint(endpoint, &key);
        check_key(entry.authentication, &key, hash)?;
        let method = match key.kind() {
            KeyKind::Ed25519 => Method::Ed25519,
            KeyKind::EcdsaP256 => Method::EcdsaP256,
            KeyKind::EcdsaP384 => Method::EcdsaP384,
            KeyKind::Rsa => Method::Rsa,
        };
        (PeerKey(hash), method)
    };
    Ok(Proven { peer, identity: kept, key, level: entry.authentication.level(), method })
}

fn fingerprint<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, key: &PublicKey) -> [u8; 32] {
    endpoint.crypto.sha256(&[&spki::encode(key)])
}

/// The key of the first CERT payload, which is the one that signs (RFC 7296 §3.6). Of a certificate
/// only the key counts.
fn shown_key(payloads: &Payloads<'_>) -> Option<PublicKey> {
    let cert = payloads.certs().next()?;
    match cert.encoding {
        CertEncoding::RAW_PUBLIC_KEY => spki::parse(cert.data).ok(),
        CertEncoding::RAW_RSA_KEY => rsa_public_key::parse(cert.data).ok().map(PublicKey::Rsa),
        CertEncoding::X509_SIGNATURE => spki::from_certificate(cert.data).ok(),
        _ => None,
    }
}

/// The key that made the signature: the one that was shown, or else one of those that are pinned.
fn proven_key<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    agreed: &Agreed,
    octets: &SignedOctets<'_>,
    auth: AuthView<'_>,
    authentication: Authentication<'_>,
    shown: Option<PublicKey>,
) -> Result<PublicKey, FailReason> {
    let pinned = match authentication {
        Authentication::Pinned(keys) => keys,
        _ => &[],
    };
    let candidates = match &shown {
        Some(key) => core::slice::from_ref(key),
        None => pinned,
    };
    let mut failure = FailReason::NoKey;
    for candidate in candidates.iter().take(CANDIDATES) {
        let expected = Expected::Key { peer: candidate, own: endpoint.own_key.as_ref() };
        match verify(&endpoint.crypto, expected, agreed.hashes, octets, auth) {
            Ok(()) => return Ok(*candidate),
            Err(error) => failure = reason(error),
        }
    }
    Err(failure)
}

/// Whether the key that was proven is the entry's.
fn check_key(authentication: Authentication<'_>, key: &PublicKey, hash: [u8; 32]) -> Result<(), FailReason> {
    let is_known = match authentication {
        Authentication::Pinned(keys) => keys.contains(key),
        Authentication::Fingerprints(hashes) => hashes.contains(&hash),
        Authentication::Btns => true,
        Authentication::SharedKey(_) => false,
    };
    if is_known { Ok(()) } else { Err(FailReason::KeyMismatch(hash)) }
}

fn reason(error: AuthError) -> FailReason {
    match error {
        AuthError::MethodNotAllowed => FailReason::WrongMethod,
        AuthError::OwnKey => FailReason::OwnKey,
        AuthError::Malformed
        | AuthError::UnknownAlgorithm
        | AuthError::WrongKind
        | AuthError::HashNotListed
        | AuthError::Mismatch => FailReason::BadAuthentication,
    }
}
