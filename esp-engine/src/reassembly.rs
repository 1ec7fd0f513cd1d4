//! Reassembly of fragmented ESP and UDP below the stack (RFC 4303 §3.3.4, RFC 791 §3.2, RFC 8200 §4.5).
//!
//! ESP can only be opened whole, and stacks this small often cannot reassemble. Two contexts of
//! 2,048 octets collect fragments for 2 s each, only from addresses that an SA exists with, so a
//! stranger costs nothing. A context is free, collects, or is refused: after
//! an overlap the rest of the datagram is dropped as well (RFC 5722 §4). What comes out is one
//! contiguous IP packet without fragment header, with room for a link header in front of it.

use core::net::IpAddr;
use core::time::Duration;

use crate::time::Instant;
use fragment::{Fragment, Key};

mod fragment;

/// Datagrams that can be collected at the same time.
pub const CONTEXTS: usize = 2;
/// Octets of one context: link header, IP header and payload of one datagram.
pub const CONTEXT_OCTETS: usize = 2_048;
/// How long the first fragment that arrived waits for the last.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// Octets kept free in front of a datagram for the link header.
pub const HEADROOM: usize = 14;

/// Where the payload begins in a context; headers lie against it from the front.
const PAYLOAD_AT: usize = HEADROOM + 2 + fragment::MAX_HEADER;
/// Fragment offsets count in blocks of this many octets (RFC 791 §3.1).
const BLOCK: usize = 8;
const PAYLOAD_OCTETS: usize = CONTEXT_OCTETS - PAYLOAD_AT;

/// The contexts and what they hold.
pub struct Reassembly {
    contexts: [Context; CONTEXTS],
}

/// What became of a packet.
#[derive(PartialEq, Eq, Debug)]
pub enum Collected<'c> {
    /// It is no fragment of ESP or UDP, or comes from a stranger: it goes on as it is.
    Passed,
    /// The fragment is kept; others are missing.
    Waiting,
    /// The fragment, and with it perhaps the whole datagram, is dropped.
    Dropped(FragmentError),
    /// The datagram is whole: [`HEADROOM`] free octets, then the IP packet.
    Whole(&'c mut [u8]),
}

/// Why a fragment was dropped.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum FragmentError {
    /// Empty, not a multiple of 8 octets although others follow, behind the end, or its header lies.
    Malformed,
    /// It covers octets that are already there (RFC 5722 §4).
    Overlap,
    /// The datagram does not fit into a context.
    TooLong,
    /// All contexts are taken.
    NoContext,
    /// It belongs to a datagram that was refused before.
    Refused,
    /// Some fragments are marked as congested, others as not capable of being marked (RFC 3168 §5.3).
    Congestion,
}

impl Reassembly {
    /// All contexts free.
    pub const fn new() -> Self {
        Self { contexts: [const { Context { state: State::Free, octets: [0; CONTEXT_OCTETS] } }; CONTEXTS] }
    }

    /// Takes one whole IP packet (octets behind its total length cut off). `known` tells whether
    /// an SA exists with an address.
    pub fn collect(
        &mut self,
        now: Instant,
        packet: &[u8],
        known: impl FnOnce(IpAddr) -> bool,
    ) -> Collected<'_> {
        let fragment = match Fragment::parse(packet) {
            Ok(Some(fragment)) if known(fragment.key.source) => fragment,
            Ok(_) => return Collected::Passed,
            Err(reason) => return Collected::Dropped(reason),
        };
        self.expire(now);
        let Some(context) = self.context_for(now, &fragment) else {
            return Collected::Dropped(FragmentError::NoContext);
        };
        match context.add(&fragment) {
            Ok(false) => Collected::Waiting,
            Ok(true) => match context.finish() {
                Some(datagram) => Collected::Whole(datagram),
                None => Collected::Dropped(FragmentError::Malformed),
            },
            Err(reason) => Collected::Dropped(reason),
        }
    }

    /// Frees the contexts of datagrams that waited for [`TIMEOUT`]; how many were given up.
    pub fn expire(&mut self, now: Instant) -> u32 {
        let mut given_up = 0;
        for context in &mut self.contexts {
            match context.state {
                State::Collecting(Progress { until, .. }) if until <= now => {
                    context.state = State::Free;
                    given_up += 1;
                }
                State::Refused { until, .. } if until <= now => context.state = State::Free,
                _ => {}
            }
        }
        given_up
    }

    /// The context that collects this datagram already, else a free one, else a refused one.
    fn context_for(&mut self, now: Instant, fragment: &Fragment<'_>) -> Option<&mut Context> {
        // RFC 6946 §4: an atomic fragment has nothing to do with others of the same identification.
        let same = |c: &Context| !fragment.is_atomic() && c.state.key() == Some(fragment.key);
        let place = self
            .contexts
            .iter()
            .position(same)
            .or_else(|| self.contexts.iter().position(|c| matches!(c.state, State::Free)))
            .or_else(|| self.contexts.iter().position(|c| matches!(c.state, State::Refused { .. })))?;
        let context = self.contexts.get_mut(place)?;
        if !same(context) {
            context.state = State::Collecting(Progress::new(fragment.key, now + TIMEOUT));
        }
        Some(context)
    }
}

impl Default for Reassembly {
    fn default() -> Self {
        Self::new()
    }
}

struct Context {
    state: State,
    octets: [u8; CONTEXT_OCTETS],
}

enum State {
    Free,
    Collecting(Progress),
    Refused { key: Key, until: Instant },
}

impl State {
    fn key(&self) -> Option<Key> {
        match self {
            Self::Free => None,
            Self::Collecting(progress) => Some(progress.key),
            Self::Refused { key, .. } => Some(*key),
        }
    }
}

struct Progress {
    key: Key,
    until: Instant,
    /// One bit a block of payload that is there.
    blocks: [u64; CONTEXT_OCTETS / BLOCK / 64],
    /// Octets of the header, known once the first fragment is there.
    header: Option<usize>,
    /// Octets of the payload, known once the last fragment is there.
    total: Option<usize>,
    /// One bit an ECN code point seen (RFC 3168 §5).
    congestion: u8,
}

impl Context {
    /// Adds a fragment; `true` when none is missing any more. An error ends the datagram.
    fn add(&mut self, fragment: &Fragment<'_>) -> Result<bool, FragmentError> {
        let State::Collecting(progress) = &mut self.state else {
            return Err(FragmentError::Refused);
        };
        let result = progress.accept(fragment).and_then(|()| {
            let copied = copy(&mut self.octets, PAYLOAD_AT + fragment.offset, fragment.data);
            let header = fragment.header.as_ref().is_none_or(|header| {
                let at = PAYLOAD_AT.saturating_sub(header.octets.len());
                copy(&mut self.octets, at, header.octets)
                    && copy(&mut self.octets, at + header.next_header_at, &[fragment.key.protocol])
            });
            if copied && header { Ok(progress.is_whole()) } else { Err(FragmentError::TooLong) }
        });
        if result.is_err() {
            self.state = State::Refused { key: progress.key, until: progress.until };
        }
        result
    }

    /// Frees the context and hands out what it collected, lengths and checksum made right.
    fn finish(&mut self) -> Option<&mut [u8]> {
        let State::Collecting(progress) = core::mem::replace(&mut self.state, State::Free) else {
            return None;
        };
        let start = PAYLOAD_AT.checked_sub(progress.header?)?;
        let end = PAYLOAD_AT + progress.total?;
        let packet = self.octets.get_mut(start..end)?;
        fragment::make_whole(packet, progress.header?, progress.congested())?;
        self.octets.get_mut(start.checked_sub(HEADROOM)?..end)
    }
}

impl Progress {
    fn new(key: Key, until: Instant) -> Self {
        Self { key, until, blocks: [0; _], header: None, total: None, congestion: 0 }
    }

    /// Checks a fragment against those that are there and takes note of it.
    fn accept(&mut self, fragment: &Fragment<'_>) -> Result<(), FragmentError> {
        let end = fragment.offset + fragment.data.len();
        if fragment.data.is_empty() || (fragment.more && !fragment.data.len().is_multiple_of(BLOCK)) {
            return Err(FragmentError::Malformed);
        }
        if end > PAYLOAD_OCTETS {
            return Err(FragmentError::TooLong);
        }
        let blocks = fragment.offset / BLOCK..end.div_ceil(BLOCK);
        if blocks.clone().any(|block| self.has(block)) {
            return Err(FragmentError::Overlap);
        }
        if self.total.is_some_and(|total| end > total) || (!fragment.more && self.has_from(blocks.end)) {
            return Err(FragmentError::Malformed);
        }
        self.congestion |= 1 << fragment.congestion;
        if self.congestion & 0b1001 == 0b1001 {
            return Err(FragmentError::Congestion);
        }
        blocks.for_each(|block| self.mark(block));
        if !fragment.more {
            self.total = Some(end);
        }
        if let Some(header) = &fragment.header {
            self.header = Some(header.octets.len());
        }
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.header.is_some()
            && self.total.is_some_and(|total| (0..total.div_ceil(BLOCK)).all(|b| self.has(b)))
    }

    fn congested(&self) -> bool {
        self.congestion & 0b1000 != 0
    }

    fn has(&self, block: usize) -> bool {
        self.blocks.get(block / 64).is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    fn has_from(&self, block: usize) -> bool {
        (block..PAYLOAD_OCTETS.div_ceil(BLOCK)).any(|b| self.has(b))
    }

    fn mark(&mut self, block: usize) {
        if let Some(word) = self.blocks.get_mut(block / 64) {
            *word |= 1 << (block % 64);
        }
    }
}

fn copy(octets: &mut [u8], at: usize, from: &[u8]) -> bool {
    octets.get_mut(at..at + from.len()).map(|to| to.copy_from_slice(from)).is_some()
}

#[cfg(test)]
mod tests;
