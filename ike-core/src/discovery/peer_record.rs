//! From what DNS says to what key management makes of it: an [`Outcome`] as a [`PeerRecord`], and a peer as
//! a [`Question`].

use core::net::IpAddr;

use super::ipseckey::{self, RecordKey};
use super::outcome::{Outcome, Presence};
use super::question::Question;
use super::{Name, outcome};
use crate::pad::{self, Gateway, Identity, PeerRecord, PublishedKey};

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
        let usable = self.keys().filter_map(|record| {
            let gateway = held_by(&record.gateway, question);
            match record.key {
                RecordKey::Public(key) => Some(PublishedKey { key, gateway }),
                RecordKey::Absent | RecordKey::Unusable { .. } => None,
            }
        });
        let keys: heapless::Vec<_, { pad::MAX_KEYS }> = usable.take(pad::MAX_KEYS).collect();
        PeerRecord {
            security: self.security.class(),
            presence: match self.presence {
                Presence::Present if keys.is_empty() => Presence::OnlyUnusable,
                found => found,
            },
            keys,
            addresses: self.addresses().take(pad::MAX_ADDRESSES).collect(),
            is_wildcard: self.wildcard,
            expires: self.expires,
        }
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
