//! What a resolver has besides lookups, answers and zones.

use esp_engine::time::Instant;

use super::super::UnixTime;
use super::super::anchors::Anchors;
use super::super::outcome::Security;
use super::super::output::Discarded;
use super::super::query::MAX_QUERY;
use super::super::upstream::{ServerStatus, Upstreams};
use super::follow::Follow;
use super::probe::Probing;
use crate::pace::Pace;

/// What happened how often.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Counters {
    discarded: [u32; Discarded::ALL.len()],
    /// Queries sent, repetitions included.
    pub queries: u32,
    /// Answers taken.
    pub answers: u32,
    /// Signatures verified, good and bad ones.
    pub verifications: u32,
}

impl Counters {
    /// Messages dropped for this reason.
    pub fn discarded(&self, reason: Discarded) -> u32 {
        let index = Discarded::ALL.iter().position(|other| *other == reason);
        index.and_then(|index| self.discarded.get(index)).copied().unwrap_or(0)
    }

    pub(super) fn discard(&mut self, reason: Discarded) {
        let index = Discarded::ALL.iter().position(|other| *other == reason);
        if let Some(counter) = index.and_then(|index| self.discarded.get_mut(index)) {
            *counter = counter.saturating_add(1);
        }
    }

    pub(super) fn verified(&mut self, signatures: u8) {
        self.verifications = self.verifications.saturating_add(signatures.into());
    }
}

#[derive(Debug)]
pub(super) struct Desk {
    /// The moment of the last input.
    pub(super) now: Instant,
    pub(super) servers: Upstreams,
    pub(super) counters: Counters,
    pub(super) pace: Pace,
    /// What our cookies are made of (RFC 7873 §4.1).
    pub(super) secret: [u8; 16],
    /// Sockets that are open, a bit each.
    pub(super) open: u32,
    /// What came of a proposed time, when it is to be told.
    pub(super) proposed: Option<Result<UnixTime, Security>>,
    /// The bound of the time, when it is to be told.
    pub(super) not_before: Option<UnixTime>,
    /// What is trusted of the root.
    pub(super) anchors: Anchors,
    pub(super) follow: Follow,
    pub(super) probing: Probing,
    /// A server that was tried out, when it is to be told.
    pub(super) probed: Option<ServerStatus>,
    /// The query that leaves.
    pub(super) draft: heapless::Vec<u8, MAX_QUERY>,
}

impl Desk {
    pub(super) const fn new() -> Self {
        Self {
            now: Instant::ZERO,
            servers: Upstreams::new(),
            counters: Counters {
                discarded: [0; Discarded::ALL.len()],
                queries: 0,
                answers: 0,
                verifications: 0,
            },
            pace: Pace::new(),
            secret: [0; 16],
            open: 0,
            proposed: None,
            not_before: None,
            anchors: Anchors::new(),
            follow: Follow::new(),
            probing: Probing::new(),
            probed: None,
            draft: heapless::Vec::new(),
        }
    }
}
