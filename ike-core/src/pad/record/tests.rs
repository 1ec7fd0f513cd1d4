//! Keys and ways held against records.

use core::net::Ipv4Addr;

use super::*;

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
const KEY: ProvenKey = key(1);
const NAME: Identity<'static> = Identity::Fqdn("a.example");
const WRONG: ProvenKey = key(2);
const DEMANDED: Published =
    Published { from_anywhere: false, wildcards: false, or_stranger: false, unproven: false };
const DISCOVERY: Published = Published { or_stranger: true, ..DEMANDED };

/// A key, and a fingerprint that stands for its own.
const fn key(n: u8) -> ProvenKey {
    ProvenKey { key: PublicKey::Ed25519([n; 32]), fingerprint: [!n; 32] }
}

const fn whole(proven: ProvenKey, gateway: Gateway) -> PublishedKey {
    PublishedKey::Whole { key: proven.key, gateway }
}

fn record(security: Security, presence: Presence) -> PeerRecord {
    let keys = match presence {
        Presence::Present => [whole(KEY, Gateway::Owner)].into_iter().collect(),
        _ => heapless::Vec::new(),
    };
    let addresses = [FROM].into_iter().collect();
    let expires = Instant::from_millis(1);
    PeerRecord { security, presence, keys, addresses, is_wildcard: false, expires, signed_until: None }
}

/// RFC 7435 §3, RFC 4322 §3.2, RFC 4025 §4.1.2: the table above, row by row. Only a secure answer
/// raises, only a secure denial or a proven lack of signatures makes a stranger, and bogus never does.
#[test]
fn every_answer_under_both_kinds_of_entry() {
    use NameFault::{Absent, Bogus, Indeterminate, Insecure, OnlyUnusable, OtherKey};
    use Verdict::{Refused, Stranger, Validated};
    let rows = [
        (Security::Secure, Presence::Present, KEY, Validated, Validated),
        (Security::Secure, Presence::Present, WRONG, Refused(OtherKey), Refused(OtherKey)),
        (Security::Secure, Presence::OnlyUnusable, KEY, Refused(OnlyUnusable), Refused(OnlyUnusable)),
        (Security::Secure, Presence::Absent, KEY, Refused(Absent), Stranger),
        (Security::Insecure, Presence::Present, KEY, Refused(Insecure), Stranger),
        (Security::Insecure, Presence::Present, WRONG, Refused(Insecure), Stranger),
        (Security::Insecure, Presence::OnlyUnusable, KEY, Refused(Insecure), Stranger),
        (Security::Insecure, Presence::Absent, KEY, Refused(Insecure), Stranger),
        (Security::Bogus, Presence::Present, KEY, Refused(Bogus), Refused(Bogus)),
        (Security::Bogus, Presence::Absent, KEY, Refused(Bogus), Refused(Bogus)),
        (Security::Indeterminate, Presence::Present, KEY, Refused(Indeterminate), Stranger),
        (Security::Indeterminate, Presence::Absent, KEY, Refused(Indeterminate), Stranger),
    ];
    for (security, presence, key, demanded, discovered) in rows {
        let record = record(security, presence);
        let at = |allowed| weigh(&record, &NAME, &key, &Way::direct(FROM), allowed, false);
        assert_eq!((at(DEMANDED), at(DISCOVERY)), (demanded, discovered), "{security:?} {presence:?}");
    }
}

/// RFC 7435 §3: a name that was validated once does not become a stranger because DNS is cut off.
#[test]
fn silence_does_not_lower_what_was_validated() {
    let silent = PeerRecord::silence(Instant::ZERO);
    assert_eq!(weigh(&silent, &NAME, &KEY, &Way::direct(FROM), DISCOVERY, false), Verdict::Stranger);
    let refused = Verdict::Refused(NameFault::Indeterminate);
    assert_eq!(weigh(&silent, &NAME, &KEY, &Way::direct(FROM), DISCOVERY, true), refused);
}

/// RFC 4301 §4.4.3.3: a name's key is no use at an address that the name does not have, unless the
/// operator waives that.
#[test]
fn key_at_another_address() {
    let record = record(Security::Secure, Presence::Present);
    let refused = Verdict::Refused(NameFault::OtherAddress);
    assert_eq!(weigh(&record, &NAME, &KEY, &Way::direct(OTHER), DEMANDED, false), refused);
    let waived = Published { from_anywhere: true, ..DEMANDED };
    assert_eq!(weigh(&record, &NAME, &KEY, &Way::direct(OTHER), waived, false), Verdict::Validated);
}

/// A name without addresses is nowhere; the record of an address is that address's alone.
#[test]
fn record_without_addresses() {
    let mut record = record(Security::Secure, Presence::Present);
    record.addresses.clear();
    let refused = Verdict::Refused(NameFault::OtherAddress);
    let at = |of, from| weigh(&record, of, &KEY, &Way::direct(from), DEMANDED, false);
    assert_eq!(at(&NAME, FROM), refused);
    assert_eq!(at(&Identity::Address(FROM), FROM), Verdict::Validated);
    assert_eq!(at(&Identity::Address(FROM), OTHER), refused);
}

/// Whoever has no key in DNS may be a stranger, but not the gateway of the one whose record was asked for.
#[test]
fn stranger_is_no_gateway() {
    let through = Way { at: OTHER, behind: Some(FROM) };
    for fault in [NameFault::Absent, NameFault::Insecure, NameFault::Indeterminate] {
        let record = match fault {
            NameFault::Absent => record(Security::Secure, Presence::Absent),
            NameFault::Insecure => record(Security::Insecure, Presence::Present),
            _ => PeerRecord::silence(Instant::ZERO),
        };
        assert_eq!(weigh(&record, &NAME, &KEY, &Way::direct(FROM), DISCOVERY, false), Verdict::Stranger);
        assert_eq!(weigh(&record, &NAME, &KEY, &through, DISCOVERY, false), Verdict::Refused(fault));
    }
}

/// RFC 4025 §2.5: a key of a gateway is good for who is at the gateway's address.
#[test]
fn key_of_a_gateway() {
    let mut record = record(Security::Secure, Presence::Present);
    let refused = Verdict::Refused(NameFault::OtherKey);
    for (gateway, verdict) in [
        (Gateway::Owner, Verdict::Validated),
        (Gateway::Address(FROM), Verdict::Validated),
        (Gateway::Address(OTHER), refused),
        (Gateway::Elsewhere, refused),
    ] {
        record.keys = [whole(KEY, gateway)].into_iter().collect();
        assert_eq!(weigh(&record, &NAME, &KEY, &Way::direct(FROM), DEMANDED, false), verdict, "{gateway:?}");
    }
}

/// RFC 4025 §2.2, §2.5, §4.1.2: ways by precedence, to the owner and to its gateways; to those only where the
/// record is signed.
#[test]
fn ways_to_the_owner_and_to_its_gateways() {
    let gateways = [Gateway::Address(OTHER), Gateway::Elsewhere, Gateway::Owner, Gateway::Address(FROM)];
    let keys = gateways.map(|gateway| whole(KEY, gateway));
    let mut record = record(Security::Secure, Presence::Present);
    record.keys = keys.into_iter().collect();
    let through = Way { at: OTHER, behind: Some(FROM) };
    assert_eq!(record.ways(None).as_slice(), [through, Way::direct(FROM)]);
    assert_eq!(weigh(&record, &NAME, &KEY, &through, DEMANDED, false), Verdict::Validated);
    let for_another = Way { at: OTHER, behind: Some(OTHER) };
    let refused = Verdict::Refused(NameFault::OtherAddress);
    assert_eq!(weigh(&record, &NAME, &KEY, &for_another, DEMANDED, false), refused);
    let waived = Published { from_anywhere: true, ..DEMANDED };
    assert_eq!(
        weigh(&record, &NAME, &KEY, &for_another, waived, false),
        refused,
        "it is no gateway of that one"
    );
    record.security = Security::Insecure;
    assert_eq!(record.ways(None).as_slice(), [Way::direct(FROM)]);
}

/// RFC 4592 §2.2.2: what a wildcard made up says nothing about one name.
#[test]
fn record_of_a_wildcard() {
    let record = PeerRecord { is_wildcard: true, ..record(Security::Secure, Presence::Present) };
    for allowed in [DEMANDED, DISCOVERY] {
        let refused = Verdict::Refused(NameFault::Wildcard);
        assert_eq!(weigh(&record, &NAME, &KEY, &Way::direct(FROM), allowed, false), refused);
        let waived = Published { wildcards: true, ..allowed };
        assert_eq!(weigh(&record, &NAME, &KEY, &Way::direct(FROM), waived, false), Verdict::Validated);
    }
}

/// The third of several keys is as good as the first (RFC 4025 §2.2).
#[test]
fn third_key_of_several() {
    let mut record = record(Security::Secure, Presence::Present);
    let keys = [WRONG, key(3), KEY];
    record.keys = keys.map(|key| whole(key, Gateway::Owner)).into_iter().collect();
    assert_eq!(weigh(&record, &NAME, &KEY, &Way::direct(FROM), DEMANDED, false), Verdict::Validated);
}

/// A fingerprint is as good as the key, for the owner of the record and for no other key.
#[test]
fn fingerprint_in_the_place_of_a_key() {
    let mut record = record(Security::Secure, Presence::Present);
    let prints = [key(3), KEY].map(|key| PublishedKey::Fingerprint(key.fingerprint));
    record.keys = prints.into_iter().collect();
    let at = |key, way| weigh(&record, &NAME, &key, &way, DEMANDED, false);
    assert_eq!(at(KEY, Way::direct(FROM)), Verdict::Validated);
    assert_eq!(at(WRONG, Way::direct(FROM)), Verdict::Refused(NameFault::OtherKey));
    let through = Way { at: OTHER, behind: Some(FROM) };
    assert_eq!(at(KEY, through), Verdict::Refused(NameFault::OtherKey));
    assert_eq!(record.ways(None).as_slice(), [Way::direct(FROM)]);
}
