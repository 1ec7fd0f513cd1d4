//! From what DNS says to what key management makes of it: an [`Outcome`] as a [`PeerRecord`], and a peer as
//! a [`Question`]. A record that names a gateway elsewhere takes a second question, for the gateway:
//!
//! ```text
//! of the peer ─▶ no gateway elsewhere, or its address and its key are there ─▶ PeerRecord
//!      ├─ a gateway's name, or no key: Outcome::further ─▶ of the gateway   ─▶ PeerRecord through it
//!      └─ proof that there is no key: Outcome::fingerprints_at ─▶ of its fingerprints ─▶ PeerRecord with them
//! ```
//! The last way is gone only by who has asked for it ([`tlsa`]).

use core::net::IpAddr;

use domain::base::Rtype;
use esp_engine::time::Instant;

use super::ipseckey::{self, Ipseckey, RecordKey};
use super::outcome::{Outcome, Presence, Security};
use super::question::Question;
use super::{Name, copy, outcome, tlsa};
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
                let _ = keys.push(PublishedKey::Whole { key, gateway: held_by(&record.gateway, question) });
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

    /// Where fingerprints of its keys would be ([`tlsa`]): below the name at the end of its aliases. Only where it is
    /// proven that there is no IPSECKEY record, usable or not.
    pub fn fingerprints_at(&self, question: &Question) -> Option<Question> {
        let is_keyless = self.security == Security::Secure && self.presence == Presence::Absent;
        if !is_keyless || matches!(question, Question::Records { .. }) {
            return None;
        }
        let name = self.aliases().last().map_or_else(|| question.name(), copy);
        tlsa::owner(&name).map(|name| Question::Records { name, rtype: Rtype::TLSA })
    }

    /// What it says about the peer when `fingerprints` is the answer to [`Outcome::fingerprints_at`]. Those that are not
    /// signed give no key, and are the reason why there is none.
    pub fn peer_record_by(&self, fingerprints: &Self) -> PeerRecord {
        let security = self.security.and(fingerprints.security);
        let usable = fingerprints.fingerprints().filter(|_| security == Security::Secure);
        let keys: Keys = usable.take(pad::MAX_KEYS).map(PublishedKey::Fingerprint).collect();
        let presence = match fingerprints.presence {
            Presence::Absent => Presence::Absent,
            _ if keys.is_empty() => Presence::OnlyUnusable,
            _ => Presence::Present,
        };
        let record = self.record_with(Keys::new());
        PeerRecord {
            security: security.class(),
            presence,
            keys,
            is_wildcard: self.wildcard || fingerprints.wildcard,
            expires: record.expires.min(fingerprints.expires),
            signed_until: earlier(record.signed_until, fingerprints.signatures_end),
            ..record
        }
    }

    /// What it says about the peer when `gateway` is the answer to `further`. What that does not prove is left out; a
    /// gateway of the gateway is nobody's.
    pub fn peer_record_through(&self, question: &Question, further: &Question, gateway: &Self) -> PeerRecord {
        let mut keys = Keys::new();
        let mut add = |key, gateway| {
            let _ = keys.push(PublishedKey::Whole { key, gateway });
        };
        for record in self.keys() {
            let is_its = gateway.security == Security::Secure
                && about_gateway(&record, question).as_ref() == Some(further);
            match &record.key {
                _ if is_its => {
                    let own = gateway.peer_record(further);
                    let own = own.keys.iter().filter(|own| own.gateway() == Gateway::Owner);
                    let own = own.filter_map(PublishedKey::whole).copied();
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
        PeerRecord {
            expires: record.expires.min(gateway.expires),
            signed_until: earlier(record.signed_until, gateway.signatures_end),
            ..record
        }
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

/// Of the ends of two answers' signatures the first; where one of them has none, that of the other.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

fn is_owner(name: &Name, question: &Question) -> bool {
    matches!(question, Question::Peer(owner) | Question::Records { name: owner, .. } if owner.for_slice() == name.for_slice())
}

const _: () = assert!(outcome::KEYS == pad::MAX_KEYS && outcome::ADDRESSES == pad::MAX_ADDRESSES);

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::discovery::dnssec::Bogus;
    use crate::discovery::outcome::Indeterminate;
    use crate::discovery::records::Records;

    const PRINT: [u8; 32] = [7; 32];

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn peer() -> Question {
        Question::Peer(name("b.example"))
    }

    /// Holds for so many seconds, and its signatures for ten times as long.
    fn outcome(security: Security, presence: Presence, seconds: u64) -> Outcome {
        let after = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        Outcome {
            security,
            presence,
            wildcard: false,
            left_out: 0,
            expires: after(seconds),
            signed_until: None,
            signatures_end: Some(after(10 * seconds)),
            server: None,
            links: heapless::Vec::new(),
            records: Records::new(),
        }
    }

    /// Proof that there is no key, and an address.
    fn keyless() -> Outcome {
        let mut outcome = outcome(Security::Secure, Presence::Absent, 100);
        assert!(outcome.records.push(Rtype::A, &[192, 0, 2, 1]));
        outcome
    }

    fn fingerprints(security: Security, rdata: &[&[u8]]) -> Outcome {
        let presence = if rdata.is_empty() { Presence::Absent } else { Presence::Present };
        let mut outcome = outcome(security, presence, 200);
        assert!(rdata.iter().all(|rdata| outcome.records.push(Rtype::TLSA, rdata)));
        outcome
    }

    /// Nothing but a secure denial of keys leads to fingerprints, and no question that is not about a peer.
    #[test]
    fn fingerprints_only_where_there_is_proven_to_be_no_key() {
        let wanted = Question::Records { name: name("_500._udp.b.example"), rtype: Rtype::TLSA };
        assert_eq!(keyless().fingerprints_at(&peer()), Some(wanted));
        for presence in [Presence::Present, Presence::OnlyUnusable] {
            assert_eq!(outcome(Security::Secure, presence, 100).fingerprints_at(&peer()), None);
        }
        for security in [
            Security::Insecure,
            Security::Bogus(Bogus::NoSignature),
            Security::Indeterminate(Indeterminate::NoAnswer),
        ] {
            let outcome = Outcome { security, ..keyless() };
            assert_eq!(outcome.fingerprints_at(&peer()), None, "{security:?}");
        }
        let captured = Question::Records { name: name("b.example"), rtype: Rtype::IPSECKEY };
        assert_eq!(keyless().fingerprints_at(&captured), None);
        let reverse = Question::Reverse([192, 0, 2, 1].into());
        let wanted = Question::Records { name: name("_500._udp.1.2.0.192.in-addr.arpa"), rtype: Rtype::TLSA };
        assert_eq!(keyless().fingerprints_at(&reverse), Some(wanted));
    }

    #[test]
    fn fingerprints_are_keys_with_the_addresses_of_the_name() {
        let record = keyless().peer_record_by(&fingerprints(Security::Secure, &[&tlsa::encode(&PRINT)]));
        assert_eq!((record.security, record.presence), (pad::Security::Secure, Presence::Present));
        assert_eq!(record.keys, [PublishedKey::Fingerprint(PRINT)]);
        assert_eq!(record.addresses, [IpAddr::from([192, 0, 2, 1])]);
        let absent = keyless().peer_record_by(&fingerprints(Security::Secure, &[]));
        assert_eq!((absent.security, absent.presence), (pad::Security::Secure, Presence::Absent));
        let unusable = keyless().peer_record_by(&fingerprints(Security::Secure, &[&[2, 1, 1, 0], &[]]));
        assert_eq!((unusable.presence, unusable.keys.len()), (Presence::OnlyUnusable, 0));
    }

    /// RFC 4035 §4.3: an answer about fingerprints that is not secure gives none, and is why there is none.
    #[test]
    fn fingerprints_that_nobody_signed() {
        for security in [
            Security::Insecure,
            Security::Bogus(Bogus::NoSignature),
            Security::Indeterminate(Indeterminate::NoAnswer),
        ] {
            let record = keyless().peer_record_by(&fingerprints(security, &[&tlsa::encode(&PRINT)]));
            assert_eq!((record.security, record.keys.len()), (security.class(), 0));
            assert_ne!(record.presence, Presence::Present, "an entry that takes what is not proven");
        }
    }

    /// RFC 4592: one wildcard on the way is enough.
    #[test]
    fn fingerprints_of_a_wildcard() {
        let print = || fingerprints(Security::Secure, &[&tlsa::encode(&PRINT)]);
        assert!(!keyless().peer_record_by(&print()).is_wildcard);
        assert!(keyless().peer_record_by(&Outcome { wildcard: true, ..print() }).is_wildcard);
        assert!(Outcome { wildcard: true, ..keyless() }.peer_record_by(&print()).is_wildcard);
    }

    /// RFC 4035 §5.3.3: what two answers prove holds as long as both, and is signed as long as both.
    #[test]
    fn the_earlier_end_of_two_answers() {
        let ends =
            |record: PeerRecord| (record.expires.as_millis(), record.signed_until.map(|end| end.as_millis()));
        let of_keyless = Some(1_000_000);
        assert_eq!(
            ends(keyless().peer_record_by(&fingerprints(Security::Secure, &[]))),
            (100_000, of_keyless)
        );
        let sooner = outcome(Security::Secure, Presence::Absent, 50);
        assert_eq!(ends(keyless().peer_record_by(&sooner)), (50_000, Some(500_000)));
        let further = Question::Peer(name("gw.example"));
        assert_eq!(ends(keyless().peer_record_through(&peer(), &further, &sooner)), (50_000, Some(500_000)));
    }
}
