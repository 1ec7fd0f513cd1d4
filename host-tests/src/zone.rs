//! DNS as endpoints under test see it: what is published about each name and address, and a resolver that
//! takes its time. What is not published is absent, and that is proven.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use esp_engine::time::Instant;
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, PrivateKey};
use ike_core::output::Ticket;
use ike_core::pad::{Gateway, OwnedIdentity, PeerRecord, Presence, PublishedKey, Security};
use ike_core::wire::spki;

use crate::link::Direction;
use crate::parties::public;

/// What is published and who asked.
pub struct Zone {
    /// How long an answer takes.
    pub latency: Duration,
    /// Nobody answers.
    pub cut: bool,
    /// How long answers are good.
    pub ttl: Duration,
    /// When their signatures end, of records that do not say it themselves.
    pub signed_until: Option<Instant>,
    /// Who asked for what, in order.
    pub asked: Vec<(Direction, String)>,
    records: BTreeMap<String, PeerRecord>,
    serial: u64,
    under_way: BTreeMap<(Instant, u64), Answer>,
}

/// An answer that arrives.
pub struct Answer {
    /// Whose question it was: `AtoB` for A's.
    pub to: Direction,
    /// The question.
    pub ticket: Ticket,
    /// What is published.
    pub record: PeerRecord,
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(30),
            cut: false,
            ttl: Duration::from_secs(3_600),
            signed_until: None,
            asked: Vec::new(),
            records: BTreeMap::new(),
            serial: 0,
            under_way: BTreeMap::new(),
        }
    }
}

impl Zone {
    /// Publishes something for a name or an address, in place of what was there.
    pub fn publish(&mut self, of: &str, record: PeerRecord) {
        self.records.insert(of.to_lowercase(), record);
    }

    /// A question.
    pub fn ask(&mut self, now: Instant, from: Direction, ticket: Ticket, of: &OwnedIdentity) {
        let of = of.to_string().trim_end_matches('.').to_lowercase();
        self.asked.push((from, of.clone()));
        if self.cut {
            return;
        }
        let record = self.records.get(&of).cloned().unwrap_or_else(absent);
        let at = now + self.latency;
        let signed_until = record.signed_until.or(self.signed_until);
        let record = PeerRecord { expires: at + self.ttl, signed_until, ..record };
        self.serial += 1;
        self.under_way.insert((at, self.serial), Answer { to: from, ticket, record });
    }

    /// When the next answer arrives.
    pub fn next(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }

    /// What has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Answer> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}

/// Signed: these keys, these addresses.
pub fn signed(keys: &[&PrivateKey], addresses: &[IpAddr]) -> PeerRecord {
    let published = |key: &&PrivateKey| PublishedKey::Whole { key: public(key), gateway: Gateway::Owner };
    PeerRecord {
        security: Security::Secure,
        presence: Presence::Present,
        keys: keys.iter().map(published).collect(),
        addresses: addresses.iter().copied().collect(),
        is_wildcard: false,
        expires: Instant::ZERO,
        signed_until: None,
    }
}

/// The proof that there is nothing.
pub fn absent() -> PeerRecord {
    PeerRecord { presence: Presence::Absent, ..signed(&[], &[]) }
}

/// The same record, believed as far as this.
pub fn only(security: Security, record: PeerRecord) -> PeerRecord {
    PeerRecord { security, ..record }
}

/// Signed: the fingerprints of these keys, where there are no keys, and these addresses.
pub fn fingerprints(keys: &[&PrivateKey], addresses: &[IpAddr]) -> PeerRecord {
    let print = |key: &&PrivateKey| Software.sha256(&[&spki::encode(&public(key))]);
    let keys = keys.iter().map(print).map(PublishedKey::Fingerprint).collect();
    PeerRecord { keys, ..signed(&[], addresses) }
}
