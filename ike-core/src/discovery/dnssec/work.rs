//! What a validation may cost (RFC 4035 §5.4). Whoever writes a zone or an answer decides how many keys,
//! signatures and hashes are in it, and some make them collide (CVE-2023-50387, CVE-2023-50868): so there is
//! a budget for a resolution and one for each message, and what wants more is bogus.

use domain::base::Message;

use super::UnixTime;

/// Signatures verified for one resolution.
pub const MAX_VERIFICATIONS: u8 = 24;

/// What one resolution may still cost.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Work {
    verifications: u8,
}

impl Work {
    /// All that a resolution may cost.
    pub const fn new() -> Self {
        Self { verifications: MAX_VERIFICATIONS }
    }

    /// Signatures that may still be verified.
    pub const fn verifications_left(&self) -> u8 {
        self.verifications
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::new()
    }
}

/// One message being judged: at a time, by an implementation of the algorithms, within bounds of its own and
/// those of its resolution.
pub struct Validation<'v, C> {
    pub(super) answer: &'v Message<[u8]>,
    pub(super) now: UnixTime,
    pub(super) crypto: &'v C,
    pub(super) work: &'v mut Work,
}

impl<'v, C> Validation<'v, C> {
    /// Begins to judge `answer`. Neither its header nor its question are looked at: which question it answers
    /// is known to who asked.
    pub const fn new(answer: &'v Message<[u8]>, now: UnixTime, crypto: &'v C, work: &'v mut Work) -> Self {
        Self { answer, now, crypto, work }
    }
}
