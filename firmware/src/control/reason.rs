//! Reasons in words, for `why`. Words only: whoever decides by a reason takes the typed event.

use core::fmt::Write;

use ike_core::discovery::outcome::{Indeterminate, Security};
use ike_core::error::{AcquireError, CloseReason, FailReason, Mismatch, Transform};
use ike_core::output::Failed;
use ike_core::wire::notify::NotifyType;

use crate::management::Words;

/// Why a negotiation failed, with what it failed at.
pub fn failed(failed: &Failed) -> Words {
    let mut words = Words::new();
    // What does not fit is cut off, which no one decides by.
    let _ = words.push_str(failed.reason.words());
    let _ = match failed.reason {
        FailReason::NoProposal(mismatch) => differs(&mut words, mismatch),
        FailReason::Refused(notify) => write!(words, " with {:?}", NotifyType(notify)),
        FailReason::NoAnswer { hint: Some(notify) } => {
            write!(words, "; someone sent {:?}", NotifyType(notify))
        }
        FailReason::KeyMismatch(fingerprint) | FailReason::KeyChanged { new: fingerprint, .. } => {
            let _ = words.push_str("; SHA-256 of its key: ");
            fingerprint.iter().try_for_each(|octet| write!(words, "{octet:02x}"))
        }
        _ => Ok(()),
    };
    words
}

/// Why an IKE SA ended.
pub(super) fn closed(reason: CloseReason) -> Words {
    let mut words = Words::new();
    let _ = match reason {
        CloseReason::RefusedByPeer(notify) => {
            write!(words, "{}: {:?}", reason.words(), NotifyType(notify))
        }
        _ => words.write_str(reason.words()),
    };
    words
}

/// Why no negotiation could begin.
pub(super) fn not_begun(reason: AcquireError) -> Words {
    let text = reason.words();
    Words::try_from(text).unwrap_or_default()
}

/// Why an answer of DNS is not proven; `None` when it is, or when it is proven that nobody signs it.
pub(super) fn unproven(security: Security) -> Option<Words> {
    let mut words = Words::new();
    let _ = match security {
        Security::Secure | Security::Insecure => return None,
        Security::Bogus(bogus) => words.write_str(bogus.words()),
        Security::Indeterminate(reason @ Indeterminate::Refused(rcode)) => {
            write!(words, "{}: RCODE {rcode}", reason.words())
        }
        Security::Indeterminate(reason) => words.write_str(reason.words()),
    };
    Some(words)
}

fn differs(words: &mut Words, mismatch: Mismatch) -> core::fmt::Result {
    let kind = match mismatch.kind {
        1 => "encryption",
        2 => "PRF",
        3 => "integrity",
        4 => "key exchange",
        5 => "sequence numbers",
        6..=12 => "additional key exchange",
        _ => "transform",
    };
    write!(words, ": {kind}: ours is ")?;
    transform(words, mismatch.ours)?;
    match mismatch.theirs {
        Some(theirs) => {
            words.write_str(", theirs is ")?;
            transform(words, theirs)
        }
        None => words.write_str(", theirs is not there or not said"),
    }
}

fn transform(words: &mut Words, transform: Transform) -> core::fmt::Result {
    write!(words, "{}", transform.id)?;
    transform.key_bits.map_or(Ok(()), |bits| write!(words, " with {bits} bits"))
}

#[cfg(test)]
mod tests {
    use ike_core::output::{Path, Role};

    use super::*;

    fn why(reason: FailReason) -> Words {
        let end = "192.0.2.1:500".parse().unwrap();
        let path = Path { interface: 0, local: end, remote: end };
        failed(&Failed {
            peer: None,
            identity: None,
            path,
            role: Role::Initiator,
            established: false,
            reason,
        })
    }

    #[test]
    fn a_mismatch_names_both_transforms() {
        let ours = Transform { id: 28, key_bits: None };
        let theirs = Some(Transform { id: 20, key_bits: Some(128) });
        assert_eq!(
            why(FailReason::NoProposal(Mismatch { kind: 1, ours, theirs })),
            "no proposal fits: encryption: ours is 28, theirs is 20 with 128 bits"
        );
    }

    #[test]
    fn a_missing_additional_key_exchange_is_named() {
        let ours = Transform { id: 36, key_bits: None };
        assert_eq!(
            why(FailReason::NoProposal(Mismatch { kind: 6, ours, theirs: None })),
            "no proposal fits: additional key exchange: ours is 36, theirs is not there or not said"
        );
    }

    #[test]
    fn an_unexpected_key_is_named_whole() {
        assert!(why(FailReason::KeyMismatch([0xAB; 32])).ends_with(&"ab".repeat(32)));
    }

    #[test]
    fn an_error_of_the_peer_has_its_name_or_its_number() {
        assert_eq!(why(FailReason::Refused(24)), "the peer refused with AUTHENTICATION_FAILED");
        assert_eq!(why(FailReason::Refused(8192)), "the peer refused with NotifyType(8192)");
        assert_eq!(closed(CloseReason::DeletedByPeer), "deleted by the peer");
    }
}
