//! Messages of the peers that arrive in fragments (RFC 7383 §2.6): a pool of slots, each for one
//! message. What is in a slot proved genuine; whoever waits longest gives way when the pool is full, and a
//! half-open IKE SA never takes the slot of one that stands.

use core::time::Duration;

use esp_engine::time::Instant;

use super::LONGEST;
use crate::error::Discarded;
use crate::ike_sa::window::Fingerprint;
use crate::wire::code_point::PayloadType;
use crate::wire::encrypted::Fragment;

/// Fragments of one message at most: [`LONGEST`] in datagrams of 576 octets and a good deal more.
const MAX_FRAGMENTS: usize = 64;

/// Which message a fragment belongs to.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Of {
    /// The SPI that we chose.
    pub(crate) spi: u64,
    /// A message to us answers a request of ours, or is one of the peer's.
    pub(crate) is_response: bool,
    pub(crate) message_id: u32,
}

/// A fragment, opened.
pub(crate) struct Piece<'f> {
    pub(crate) fragment: Fragment,
    /// Next Payload and reserved bits of its header: those of the first are the message's.
    pub(crate) first: (PayloadType, u8),
    /// Of the datagram that it came in.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) text: &'f [u8],
}

/// A message put together again.
pub(crate) struct Whole<'a> {
    pub(crate) first: (PayloadType, u8),
    /// Of the first fragment, which alone is answered when it comes again (RFC 7383 §2.6.1).
    pub(crate) fingerprint: Fingerprint,
    /// Octets of the longest datagram.
    pub(crate) longest: usize,
    /// The payloads that were inside.
    pub(crate) text: &'a [u8],
}

/// Room for one message.
#[derive(Clone, Debug)]
pub(crate) struct Reassembly {
    of: Option<Of>,
    /// Whether its IKE SA stands.
    stands: bool,
    since: Instant,
    total: u16,
    /// One bit for each fragment that is there.
    received: u64,
    lengths: [u16; MAX_FRAGMENTS],
    first: (PayloadType, u8),
    fingerprint: Fingerprint,
    longest: usize,
    /// The fragments that are there, in the order of their numbers.
    text: [u8; LONGEST],
}

impl Reassembly {
    pub(crate) const fn new() -> Self {
        Self {
            of: None,
            stands: false,
            since: Instant::from_millis(0),
            total: 0,
            received: 0,
            lengths: [0; MAX_FRAGMENTS],
            first: (PayloadType::NONE, 0),
            fingerprint: Fingerprint::NONE,
            longest: 0,
            text: [0; LONGEST],
        }
    }

    /// What lies in it since when; a free one holds nothing.
    #[cfg(feature = "explore")]
    pub(super) fn content(&self) -> Option<(Of, Instant, u16, u64, &[u8])> {
        Some((self.of?, self.since, self.total, self.received, self.whole()))
    }

    /// The fragments that are there.
    fn whole(&self) -> &[u8] {
        let length = self.lengths.iter().map(|length| usize::from(*length)).sum();
        self.text.get(..length).unwrap_or_default()
    }

    fn begin(&mut self, of: Of, stands: bool, now: Instant, total: u16) {
        self.of = Some(of);
        self.stands = stands;
        self.since = now;
        self.total = total;
        self.received = 0;
        self.lengths = [0; MAX_FRAGMENTS];
        self.longest = 0;
    }

    fn is_live(&self, now: Instant, limit: Duration) -> bool {
        self.of.is_some() && now.since(self.since) <= limit
    }

    /// Puts a fragment among the others; `None` when there is no room.
    fn insert(&mut self, piece: &Piece<'_>) -> Option<()> {
        let place = usize::from(piece.fragment.number()).checked_sub(1)?;
        let before: usize = self.lengths.get(..place)?.iter().map(|length| usize::from(*length)).sum();
        let all: usize = self.lengths.iter().map(|length| usize::from(*length)).sum();
        let end = before.checked_add(piece.text.len())?;
        if all.checked_add(piece.text.len())? > LONGEST {
            return None;
        }
        self.text.copy_within(before..all, end);
        self.text.get_mut(before..end)?.copy_from_slice(piece.text);
        *self.lengths.get_mut(place)? = u16::try_from(piece.text.len()).ok()?;
        self.received |= 1 << place;
        self.longest = self.longest.max(piece.fingerprint.length());
        if place == 0 {
            (self.first, self.fingerprint) = (piece.first, piece.fingerprint);
        }
        Some(())
    }

    const fn is_complete(&self) -> bool {
        self.received.count_ones() == self.total as u32
    }
}

/// The pool.
#[derive(Debug, Default)]
pub(crate) struct Reassemblies<'r> {
    slots: &'r mut [Reassembly],
    /// A message that is not complete by then is forgotten.
    limit: Duration,
}

impl<'r> Reassemblies<'r> {
    pub(crate) fn new(slots: &'r mut [Reassembly], limit: Duration) -> Self {
        Self { slots, limit }
    }

    fn position(&self, of: Of, now: Instant) -> Option<usize> {
        self.slots.iter().position(|slot| slot.of == Some(of) && slot.is_live(now, self.limit))
    }

    /// Whether a fragment is worth opening: one that we have, or of a coarser set, is not
    /// (RFC 7383 §2.6).
    pub(crate) fn check(&self, of: Of, fragment: Fragment, now: Instant) -> Result<(), Discarded> {
        if usize::from(fragment.total()) > MAX_FRAGMENTS {
            return Err(Discarded::TooManyFragments);
        }
        match self.position(of, now).and_then(|index| self.slots.get(index)) {
            Some(slot) if fragment.total() < slot.total => Err(Discarded::FragmentAgain),
            Some(slot) if fragment.total() == slot.total => {
                let bit = 1_u64.checked_shl(u32::from(fragment.number()).saturating_sub(1)).unwrap_or(0);
                if slot.received & bit == 0 { Ok(()) } else { Err(Discarded::FragmentAgain) }
            }
            _ => Ok(()),
        }
    }

    /// Adds a fragment that was checked and proved genuine; the whole message once it is complete, whose
    /// slot is then free.
    pub(crate) fn add(
        &mut self,
        of: Of,
        stands: bool,
        now: Instant,
        piece: &Piece<'_>,
    ) -> Result<Option<Whole<'_>>, Discarded> {
        let total = piece.fragment.total();
        let index = self.position(of, now).or_else(|| self.free(stands, now));
        let slot = index.and_then(|index| self.slots.get_mut(index)).ok_or(Discarded::NoBuffer)?;
        if slot.of != Some(of) || total > slot.total {
            slot.begin(of, stands, now, total);
        }
        if slot.insert(piece).is_none() {
            slot.of = None;
            return Err(Discarded::TooManyFragments);
        }
        if !slot.is_complete() {
            return Ok(None);
        }
        slot.of = None;
        let Reassembly { first, fingerprint, longest, .. } = *slot;
        Ok(Some(Whole { first, fingerprint, longest, text: slot.whole() }))
    }

    /// A slot that is free, or else that of the message that waits longest.
    fn free(&mut self, stands: bool, now: Instant) -> Option<usize> {
        let rank = |slot: &Reassembly| (slot.is_live(now, self.limit), slot.stands, slot.since);
        let may_go = |slot: &Reassembly| !slot.is_live(now, self.limit) || stands || !slot.stands;
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| may_go(slot));
        let (index, _) = slots.min_by_key(|(_, slot)| rank(slot))?;
        self.slots.get_mut(index)?.of = None;
        Some(index)
    }
}
