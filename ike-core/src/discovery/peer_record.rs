//! From what DNS says to what key management makes of it: an [`Outcome`] as a [`PeerRecord`], and a peer as
//! a [`Question`]. A record that names a gateway elsewhere takes a second question, for the gateway:
//!
//! ```text
//! of the peer ─▶ no gateway elsewhere, or its address and its key are there ─▶ PeerRecord
//!      └─ a gateway's name, or no key: Outcome::further ─▶ of the gateway   ─▶ PeerRecord through it
//! ```

use core::net::IpAddr;

use super::ipseckey::{self, Ipseckey, RecordKey};
use super::outcome::{Outcome, Presence, Security};
use super::question::Question;
use super::{Name, outcome};
use crate::pad::{self, Gateway, Identity, PeerRecord, PublishedKey};

type Keys = heapless::Vec<PublishedKey, { pad::MAX_KEYS }>;

impl Question {
    /// About a peer: by its name, or by its address in the reverse tree; `None` for other identities.
    pub fn about(peer: &Identity<'_>) -> Option<Self> {
        match peer {
            Identity::Fqdn(name) => name.parse().ok().map(Self::Peer),
            Identity::Address(address) => Some(Self::Reverse(*address)),
            _ => None,
        }
    }
}

impl Outcome {
    /// What it says about the peer that `question` is about.
    pub fn peer_record(&self, question: &Question) -> PeerRecord {
        let mut keys = Keys::new();
        for record in self.keys() {
            if let RecordKey::Public(key) = record.key {
                // The first ones are enough.
                let _ = keys.push(PublishedKey { key, gateway: held_by(&record.gateway, question) });
            }
        }
        self.record_with(keys)
    }

    /// What has to be asked before its records are understood: about the gateway of the preferred one that names
    /// its gateway or leaves the key to it (RFC 4025 §3.1). An answer that is not secure says nothing about
    /// gateways (§4.1.2).
    pub fn further(&self, question: &Question) -> Option<Question> {
        let is_about_a_peer = !matches!(question, Question::Records { .. });
        let mut records = self.keys().filter(|_| is_about_a_peer && self.security == Security::Secure);
        records.find_map(|record| about_gateway(&record, question))
    }

    /// The same, when `gateway` is the answer to `further`. What that does not prove is left out; a gateway of the
    /// gateway is nobody's.
    pub fn peer_record_through(&self, question: &Question, further: &Question, gateway: &Self) -> PeerRecord {
        let mut keys = Keys::new();
        let mut add = |key, gateway| {
            let _ = keys.push(PublishedKey { key, gateway });
        };
        for record in self.keys() {
            let is_its = gateway.security == Security::Secure
                && about_gateway(&record, question).as_ref() == Some(further);
            match &record.key {
                _ if is_its => {
                    let own = gateway.peer_record(further);
                    let own = own.keys.iter().filter(|own| own.gateway == Gateway::Owner).map(|own| own.key);
                    let public = if let RecordKey::Public(key) = record.key { Some(key) } else { None };
                    let held = own.filter(|_| public.is_none()).chain(public);
                    for key in held.take(pad::MAX_KEYS) {
                        match further {
                            Question::Reverse(address) => add(key, Gateway::Address(*address)),
                            _ => gateway.addresses().for_each(|at| add(key, Gateway::Address(at))),
                        }
                    }
                }
                RecordKey::Public(key) => add(*key, held_by(&record.gateway, question)),
                RecordKey::Absent | RecordKey::Unusable { .. } => {}
            }
        }
        let record = self.record_with(keys);
        PeerRecord { expires: record.expires.min(gateway.expires), ..record }
    }

    fn record_with(&self, keys: Keys) -> PeerRecord {
        PeerRecord {
            security: self.security.class(),
            presence: match self.presence {
                Presence::Absent => Presence::Absent,
                _ if keys.is_empty() => Presence::OnlyUnusable,
                _ => Presence::Present,
            },
            keys,
            addresses: self.addresses().take(pad::MAX_ADDRESSES).collect(),
            is_wildcard: self.wildcard,
            expires: self.expires,
            signed_until: self.signatures_end,
        }
    }
}

/// The question about the gateway of a record, if that is elsewhere and has to be asked about.
fn about_gateway(record: &Ipseckey, question: &Question) -> Option<Question> {
    let is_keyless = match record.key {
        RecordKey::Public(_) => false,
        RecordKey::Absent => true,
        RecordKey::Unusable { .. } => return None,
    };
    match (&record.gateway, held_by(&record.gateway, question)) {
        (ipseckey::Gateway::Name(name), Gateway::Elsewhere) => Some(Question::Peer(name.clone())),
        (_, Gateway::Address(address)) if is_keyless => Some(Question::Reverse(address)),
        _ => None,
    }
}

/// Who holds the key of a record with this gateway.
fn held_by(gateway: &ipseckey::Gateway, question: &Question) -> Gateway {
    let at = |address: IpAddr| match question {
        Question::Reverse(owner) if *owner == address => Gateway::Owner,
        _ => Gateway::Address(address),
    };
    match gateway {
        ipseckey::Gateway::None => Gateway::Owner,
        ipseckey::Gateway::V4(address) => at((*address).into()),
        ipseckey::Gateway::V6(address) => at((*address).into()),
        ipseckey::Gateway::Name(name) if is_owner(name, question) => Gateway::Owner,
        ipseckey::Gateway::Name(_) => Gateway::Elsewhere,
    }
}

fn is_owner(name: &Name, question: &Question) -> bool {
    matches!(question, Question::Peer(owner) | Question::Records { name: owner, .. } if owner.for_slice() == name.for_slice())
}

const _: () = assert!(outcome::KEYS == pad::MAX_KEYS && outcome::ADDRESSES == pad::MAX_ADDRESSES);
