//! Post-quantum preshared keys (RFC 8784): a secret of both ends goes into SK_d and into the keys that
//! AUTH is made with, so that whoever records an exchange and breaks it one day still lacks the secret.
//! It is used in the first exchanges only, never at a rekeying.
//!
//! ```text
//! IKE_SA_INIT   I ─▶ R   … N(USE_PPK)                  R ─▶ I   … N(USE_PPK)
//! IKE_AUTH      I ─▶ R   SK { … N(PPK_IDENTITY, 2 | id) [N(NO_PPK_AUTH, AUTH without it)] }
//!               R ─▶ I   SK { … [N(PPK_IDENTITY)] }
//! ```

use super::OwnProof;
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::exchange::Received;
use crate::handshake::{Agreed, PpkUse, Want};
use crate::pad::{Identity, PadEntry, Ppk};
use crate::wire::NoSpace;
use crate::wire::auth::AuthView;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::writer::Writer;

/// How a responder goes on (RFC 8784 §3, table 1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Course<'c> {
    /// As if there were no such keys.
    Standard,
    /// As if there were none, with the proof that was made without.
    WithoutIt,
    /// With this secret.
    With(&'c [u8]),
    /// AUTHENTICATION_FAILED.
    Refuse,
}

/// `is_agreed`: both sent USE_PPK. `ours`: of the entry that the initiator falls under. `named`: the name of a
/// fixed key; one of another type is as good as none.
fn course<'c>(
    is_agreed: bool,
    ours: Option<Ppk<'c>>,
    named: Option<&[u8]>,
    has_other_proof: bool,
) -> Course<'c> {
    let is_mandatory = ours.is_some_and(|ppk| ppk.mandatory);
    match (is_agreed, named, ours) {
        (false, ..) if is_mandatory => Course::Refuse,
        (false, ..) => Course::Standard,
        (true, None, _) => Course::Refuse,
        (true, Some(named), Some(ppk)) if named == ppk.id => Course::With(ppk.secret),
        (true, Some(_), _) if has_other_proof && !is_mandatory => Course::WithoutIt,
        (true, Some(_), _) => Course::Refuse,
    }
}

/// As responder: takes the secret into the keys, or the other proof in AUTH's place.
pub(super) fn answer<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    agreed: &mut Agreed,
    received: &mut Received<'_>,
) -> Result<(), FailReason> {
    let Ok(payloads) = &mut received.payloads else {
        // Refused for what it is, later.
        return Ok(());
    };
    let source = received.path.peer();
    let identity = payloads.idi.map(|id| Identity::from_wire(id.kind.0, id.data));
    let entry = identity.and_then(|identity| endpoint.config.search(&identity, source));
    let ours = entry.and_then(|(_, entry)| entry.ppk);
    let named = payloads.notify(NotifyType::PPK_IDENTITY).and_then(|notify| notify.fixed_ppk_id());
    let other_proof = payloads.notify(NotifyType::NO_PPK_AUTH).map(|notify| notify.data);
    match course(agreed.ppk != PpkUse::None, ours, named, other_proof.is_some()) {
        Course::Standard => {}
        Course::WithoutIt => {
            let replace = |auth: AuthView<'_>| Some(AuthView { method: auth.method, data: other_proof? });
            payloads.auth = payloads.auth.and_then(replace);
        }
        Course::With(secret) => mix(endpoint, agreed, secret),
        Course::Refuse => return Err(FailReason::NoPpk),
    }
    Ok(())
}

/// As initiator: our proof with the secret, if the responder knows such keys, and beside it the one
/// without, if that would do.
pub(super) fn prove<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    agreed: &mut Agreed,
    entry: &PadEntry<'_>,
) -> Result<(OwnProof, Option<OwnProof>), FailReason> {
    let plain = OwnProof::new(endpoint, agreed, entry, agreed.key_wanted)?;
    let Some(ppk) = entry.ppk.filter(|_| agreed.ppk == PpkUse::Offered) else {
        return Ok((plain, None));
    };
    let keys = agreed.keys.clone();
    mix(endpoint, agreed, ppk.secret);
    let proof = OwnProof::new(endpoint, agreed, entry, agreed.key_wanted);
    // Which keys hold, the answer says.
    (agreed.keys, agreed.ppk) = (keys, PpkUse::Offered);
    Ok((proof?, (!ppk.mandatory).then_some(plain)))
}

/// The notifications behind our proof as initiator.
pub(super) fn write_identity(
    agreed: &Agreed,
    entry: &PadEntry<'_>,
    other: Option<&OwnProof>,
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    let Some(ppk) = entry.ppk.filter(|_| agreed.ppk == PpkUse::Offered) else {
        return Ok(());
    };
    NotifyView::write_fixed_ppk_id(ppk.id, writer)?;
    match other {
        Some(proof) => NotifyView::put(NotifyType::NO_PPK_AUTH, &proof.auth.data, writer),
        None => Ok(()),
    }
}

/// As initiator: takes the secret into the keys if the responder did.
pub(super) fn conclude<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    agreed: &mut Agreed,
    want: &Want,
    payloads: &Payloads<'_>,
) {
    let ours = endpoint.config.entry(want.entry).and_then(|entry| entry.ppk);
    if let Some(ppk) = ours.filter(|_| agreed.ppk == PpkUse::Offered)
        && payloads.notify(NotifyType::PPK_IDENTITY).is_some()
    {
        mix(endpoint, agreed, ppk.secret);
    }
}

/// Whether a peer of this entry has to be refused because the secret is not in the keys.
pub(super) fn is_missing(agreed: &Agreed, entry: &PadEntry<'_>) -> bool {
    agreed.ppk != PpkUse::Mixed && entry.ppk.is_some_and(|ppk| ppk.mandatory)
}

fn mix<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, agreed: &mut Agreed, secret: &[u8]) {
    agreed.keys = agreed.keys.with_ppk(&endpoint.crypto, agreed.suite.prf, secret);
    agreed.ppk = PpkUse::Mixed;
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONAL: Ppk<'static> = Ppk { id: b"id", secret: b"secret", mandatory: false };
    const MANDATORY: Ppk<'static> = Ppk { mandatory: true, ..OPTIONAL };

    /// RFC 8784 §3, table 1: received USE_PPK, received NO_PPK_AUTH, configured with the PPK that was
    /// named, PPK is mandatory, action.
    #[test]
    fn table_1() {
        let (id, other): (&[u8], &[u8]) = (b"id", b"other");
        for has_other_proof in [false, true] {
            for named in [None, Some(id), Some(other)] {
                assert_eq!(course(false, None, named, has_other_proof), Course::Standard);
                assert_eq!(course(false, Some(OPTIONAL), named, has_other_proof), Course::Standard);
                assert_eq!(course(false, Some(MANDATORY), named, has_other_proof), Course::Refuse);
            }
            for ours in [OPTIONAL, MANDATORY] {
                assert_eq!(course(true, Some(ours), Some(id), has_other_proof), Course::With(b"secret"));
                // "If no PPK_IDENTITY notification is found": AUTHENTICATION_FAILED.
                assert_eq!(course(true, Some(ours), None, has_other_proof), Course::Refuse);
            }
        }
        for ours in [None, Some(OPTIONAL)] {
            assert_eq!(course(true, ours, Some(other), false), Course::Refuse);
            assert_eq!(course(true, ours, Some(other), true), Course::WithoutIt);
        }
        assert_eq!(course(true, Some(MANDATORY), Some(other), false), Course::Refuse);
        assert_eq!(course(true, Some(MANDATORY), Some(other), true), Course::Refuse);
    }
}
