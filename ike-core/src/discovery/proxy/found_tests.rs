//! Entries at addresses, apart from the questions that lead to them.

extern crate std;

use std::format;

use super::super::tests::name;
use super::*;

const KEY: PublicKey = PublicKey::Ed25519([1; 32]);

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1_000)
}

fn offer(
    entries: &mut Entries<'_>,
    from: &str,
    address: [u8; 4],
    key: PublishedKey,
    client: u8,
) -> Result<bool, NoEntry> {
    let claim = Claim {
        name: &name(from),
        address: address.into(),
        keys: &[key],
        level: Level::Validated,
        demand: Demand::Try,
        client: [10, 1, 0, client].into(),
        expires: at(60),
    };
    entries.claim(at(0), &claim)
}

const fn own(key: PublicKey) -> PublishedKey {
    PublishedKey::Whole { key, gateway: Gateway::Owner }
}

#[test]
fn fifty_names_at_one_address_share_one_bounded_entry() {
    let mut places = [const { None }; 8];
    let mut entries = Entries::new(&mut places);
    let mut changes = 0;
    for round in 0..3 {
        for n in 0..50 {
            let key = own(PublicKey::Ed25519([n; 32]));
            let from = format!("site{n}.example{n}.net");
            let changed = offer(&mut entries, &from, [198, 51, 100, 7], key, 2).unwrap();
            assert!(!changed || round == 0, "no flapping");
            changes += usize::from(changed);
        }
    }
    assert_eq!(entries.iter().count(), 1);
    assert_eq!(entries.find([198, 51, 100, 7].into()).unwrap().keys.len(), MAX_KEYS);
    assert_eq!(changes, MAX_KEYS);
}

#[test]
fn entries_of_a_client_and_of_a_zone_are_bounded() {
    let mut places = [const { None }; 64];
    let mut entries = Entries::new(&mut places);
    let taken = |entries: &mut Entries<'_>, from: fn(u8) -> std::string::String, net: u8, client: u8| {
        (0..50).filter(|n| offer(entries, &from(*n), [198, 51, net, *n], own(KEY), client).is_ok()).count()
    };
    assert_eq!(taken(&mut entries, |n| format!("h{n}.evil.example"), 100, 2), PER_ZONE);
    assert_eq!(taken(&mut entries, |n| format!("h{n}.zone{n}.example"), 101, 2), PER_CLIENT - PER_ZONE);
    assert_eq!(taken(&mut entries, |n| format!("h{n}.other{n}.example"), 102, 3), PER_CLIENT);
}

/// RFC 4025 §2.5: the key of a gateway is not that of the host, and no gateway is gone to.
#[test]
fn a_key_for_another_gateway_is_none_for_the_address() {
    let mut places = [const { None }; 8];
    let mut entries = Entries::new(&mut places);
    for (gateway, expected) in [
        (Gateway::Elsewhere, Err(NoEntry::NoKey)),
        (Gateway::Address([203, 0, 113, 9].into()), Err(NoEntry::NoKey)),
        (Gateway::Address([198, 51, 100, 7].into()), Ok(true)),
    ] {
        let key = PublishedKey::Whole { key: KEY, gateway };
        assert_eq!(offer(&mut entries, "www.example.net", [198, 51, 100, 7], key, 2), expected);
    }
}

#[test]
fn what_failed_is_left_alone_for_a_while_and_what_stands_is_not_given_up() {
    let mut places = [const { None }; 8];
    let mut entries = Entries::new(&mut places);
    let address = [198, 51, 100, 7].into();
    let claim = Claim {
        name: &name("www.example.net"),
        address,
        keys: &[own(KEY)],
        level: Level::Validated,
        demand: Demand::Try,
        client: [10, 1, 0, 2].into(),
        expires: at(3_600),
    };
    entries.claim(at(0), &claim).unwrap();
    let over = |entries: &mut Entries<'_>, seconds| {
        entries.handle_timeout(at(seconds));
        let place = entries.next_over()?;
        entries.get(place).map(|gone| gone.address)
    };
    entries.progress(at(1), address, Progress::Failed);
    entries.claim(at(2), &claim).unwrap();
    assert_eq!(over(&mut entries, 60), None);
    assert_eq!(over(&mut entries, 61), Some(address));
    entries.claim(at(61), &claim).unwrap();
    entries.progress(at(62), address, Progress::Protected);
    entries.progress(at(63), address, Progress::Failed);
    assert_eq!(over(&mut entries, 3_599), None);
    assert_eq!(over(&mut entries, 3_600), Some(address));
}
