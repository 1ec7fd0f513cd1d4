//! Which key the peer proved to have: the one that it shows, or one of those that are known; and what DNS says about it.

use esp_engine::time::Instant;

use super::{Unproven, Way};
use crate::auth::{AuthError, Expected, SignatureHashes, SignedOctets, verify};
use crate::crypto::{Crypto, PublicKey};
use crate::endpoint::Endpoint;
use crate::error::{FailReason, NameFault};
use crate::pad::record::{ProvenKey, Verdict, weigh};
use crate::pad::{Authentication, Identity, PeerId, Published, PublishedKey};
use crate::wire::auth::AuthView;
use crate::wire::code_point::CertEncoding;
use crate::wire::payloads::Payloads;
use crate::wire::{rsa_public_key, spki};

/// Keys that are tried when the peer sends none.
const CANDIDATES: usize = 4;

/// A signature of the peer and the key that it shows.
pub(super) struct Signed<'a> {
    pub(super) hashes: SignatureHashes,
    pub(super) octets: &'a SignedOctets<'a>,
    pub(super) auth: AuthView<'a>,
    pub(super) shown: Option<PublicKey>,
}

/// The key that the peer proved, and what DNS makes of it. A key that is shown has to sign before anybody is
/// asked; before a peer is refused for what DNS said a while ago, DNS is asked again.
pub(super) fn published_key<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    signed: &Signed<'_>,
    (peer, of, published): (PeerId, &Identity<'_>, Published),
    way: &Way,
    since: Instant,
) -> Result<(Verdict, ProvenKey), Unproven> {
    let shown = match signed.shown {
        Some(_) => Some(proven_key(endpoint, signed, [].iter())?),
        None => None,
    };
    let known = endpoint.remembered_key(of, way.owner()).filter(|_| published.or_stranger);
    let name = endpoint.names.find(peer, of);
    let Some(record) = endpoint.names.fresh(peer, of, since) else {
        return Err(Unproven::Asks(peer, NameFault::Indeterminate));
    };
    let key = match (shown, record.fault(published)) {
        (Some(key), _) => key,
        (None, Some(fault)) if known.is_none() => return Err(FailReason::Name(fault).into()),
        (None, Some(_)) => proven_key(endpoint, signed, known.into_iter())?,
        (None, None) => {
            let of_name = record.keys.iter().filter_map(PublishedKey::whole);
            proven_key(endpoint, signed, known.into_iter().chain(of_name))?
        }
    };
    let key = measured(endpoint, key);
    let was_validated = name.is_some_and(|name| name.was_validated) || endpoint.was_validated(of);
    let verdict = weigh(record, of, &key, way, published, was_validated);
    match verdict {
        Verdict::Refused(fault @ (NameFault::OtherKey | NameFault::OtherAddress | NameFault::Absent))
            if name.is_some_and(|name| name.may_be_outdated(since)) =>
        {
            Err(Unproven::Asks(peer, fault))
        }
        verdict => Ok((verdict, key)),
    }
}

/// A key with its fingerprint.
pub(super) fn measured<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, key: PublicKey) -> ProvenKey {
    ProvenKey { key, fingerprint: endpoint.crypto.sha256(&[&spki::encode(&key)]) }
}

/// The key of the first CERT payload, which is the one that signs (RFC 7296 §3.6). Of a certificate
/// only the key counts.
pub(super) fn shown_key(payloads: &Payloads<'_>) -> Option<PublicKey> {
    let cert = payloads.certs().next()?;
    match cert.encoding {
        CertEncoding::RAW_PUBLIC_KEY => spki::parse(cert.data).ok(),
        CertEncoding::RAW_RSA_KEY => rsa_public_key::parse(cert.data).ok().map(PublicKey::Rsa),
        CertEncoding::X509_SIGNATURE => spki::from_certificate(cert.data).ok(),
        _ => None,
    }
}

/// The key that made the signature: the one that was shown, or else one of those that are known.
pub(super) fn proven_key<'k, C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    signed: &Signed<'_>,
    known: impl Iterator<Item = &'k PublicKey>,
) -> Result<PublicKey, FailReason> {
    let verifies = |candidate: &PublicKey| {
        let expected = Expected::Key { peer: candidate, own: endpoint.own_key.as_ref() };
        verify(&endpoint.crypto, expected, signed.hashes, signed.octets, signed.auth).map_err(reason)
    };
    if let Some(key) = signed.shown {
        return verifies(&key).map(|()| key);
    }
    let mut failure = FailReason::NoKey;
    for candidate in known.take(CANDIDATES) {
        match verifies(candidate) {
            Ok(()) => return Ok(*candidate),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// Whether the key that was proven is the entry's.
pub(super) fn check_key(
    authentication: Authentication<'_>,
    key: &PublicKey,
    hash: [u8; 32],
) -> Result<(), FailReason> {
    let is_known = match authentication {
        Authentication::Pinned(keys) => keys.contains(key),
        Authentication::Fingerprints(hashes) => hashes.contains(&hash),
        Authentication::Dns(_) | Authentication::Btns | Authentication::FirstUse { .. } => true,
        Authentication::SharedKey(_) | Authentication::Null => false,
    };
    if is_known { Ok(()) } else { Err(FailReason::KeyMismatch(hash)) }
}

pub(super) fn reason(error: AuthError) -> FailReason {
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
