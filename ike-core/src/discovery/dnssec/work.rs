//! What a validation may cost (RFC 4035 §5.4). Whoever writes a zone or an answer decides how many keys,
//! signatures and hashes are in it, and some make them collide (CVE-2023-50387, CVE-2023-50868): so there is
//! a budget for a resolution and one for each message, and what wants more is bogus.

use domain::base::Message;

use super::dnskey::ZoneKey;
use super::{Bogus, UnixTime};
use crate::crypto::Crypto;

/// Signatures verified for one resolution.
pub const MAX_VERIFICATIONS: u8 = 24;

/// Signatures of one message that may turn out wrong.
const MAX_FAILURES: u8 = 4;

/// Blocks of SHA-1 that the NSEC3 records of one message may cost: eight names with 50 iterations, or all
/// ancestors of a host in `ip6.arpa` with ten.
const MAX_BLOCKS: u16 = 512;

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
    work: &'v mut Work,
    failures: u8,
    blocks: u16,
}

impl<'v, C: Crypto> Validation<'v, C> {
    /// Begins to judge `answer`. Neither its header nor its question are looked at: which question it answers
    /// is known to who asked.
    pub const fn new(answer: &'v Message<[u8]>, now: UnixTime, crypto: &'v C, work: &'v mut Work) -> Self {
        Self { answer, now, crypto, work, failures: MAX_FAILURES, blocks: MAX_BLOCKS }
    }

    /// Verifies one signature. The signature is wrong ([`Bogus::BadSignature`]), or there is no work left.
    pub(super) fn verify(
        &mut self,
        key: &ZoneKey<'_>,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Bogus> {
        if self.failures == 0 {
            return Err(Bogus::TooMuchWork);
        }
        self.work.verifications = self.work.verifications.checked_sub(1).ok_or(Bogus::TooMuchWork)?;
        key.verify(self.crypto, message, signature).map_err(|_| {
            self.failures -= 1;
            Bogus::BadSignature
        })
    }

    /// SHA-1, for NSEC3.
    pub(super) fn sha1(&mut self, data: &[&[u8]]) -> Result<[u8; 20], Bogus> {
        // RFC 3174 §4: at least nine octets of padding, blocks of 64.
        let blocks = data.iter().map(|piece| piece.len()).sum::<usize>().saturating_add(72) / 64;
        let blocks = u16::try_from(blocks).map_err(|_| Bogus::TooMuchWork)?;
        self.blocks = self.blocks.checked_sub(blocks).ok_or(Bogus::TooMuchWork)?;
        Ok(self.crypto.sha1(data))
    }
}
