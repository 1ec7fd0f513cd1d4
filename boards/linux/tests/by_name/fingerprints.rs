//! Devices whose names have fingerprints of keys in DNS, and no keys.

use embassy_time::{Duration, Timer};
use esp_engine::spd::Level;
use firmware::management::explanation::Verdict;
use ike_core::discovery::ipseckey;
use ike_core::pad::{Presence, Security};

use crate::stage::*;

/// What near says about far after so many seconds, and the names that TLSA was asked for of.
fn after(seconds: u64, zone: &Shared) -> (firmware::management::Explanation, Vec<String>) {
    with_stations(zone, async |cable, [near, _], _| {
        Timer::after(Duration::from_secs(seconds)).await;
        assert!(!is_on_the_cable(cable));
        let asked = zone.borrow().asked.clone();
        (near.why("far.example").await.unwrap(), asked)
    })
}

/// RFC 7296 §3.6: each shows its key, and DNS has its fingerprint; both are validated, and `why` says by what.
#[test]
fn fingerprints_are_enough() {
    let zone = zone_of_fingerprints();
    with_stations(&zone, async |cable, [near, far], came_back| {
        Timer::after(Duration::from_secs(10)).await;
        assert!(*came_back.borrow(), "{:#?}\n{:#?}", near.log.borrow(), far.log.borrow());
        assert!(!is_on_the_cable(cable));
        for station in [near, far] {
            assert_eq!(station.status().await.ike_sas[0].level.unwrap().0, Level::Validated);
        }
        let dns = near.why("far.example").await.unwrap().dns.unwrap();
        assert_eq!(
            (dns.security, dns.presence, dns.fingerprints),
            (Security::Secure, Presence::Present, true)
        );
    });
    let mut asked = zone.borrow().asked.clone();
    asked.sort();
    assert_eq!(asked, ["_500._udp.far.example", "_500._udp.near.example"]);
}

/// Off unless it is switched on: not even asked for.
#[test]
fn nobody_asks_for_fingerprints_by_default() {
    let zone = zone_of_fingerprints();
    zone.borrow_mut().is_heeded = false;
    let (why, asked) = after(20, &zone);
    let dns = why.dns.unwrap();
    assert_eq!((dns.presence, dns.fingerprints), (Presence::Absent, false));
    assert_eq!(why.verdict, Verdict::Waiting);
    assert_eq!(why.ike.unwrap().last_reason.unwrap().words, "DNS has no key for the peer");
    assert_eq!(asked, [""; 0]);
}

/// Nor where there is a key, be it another one or one that cannot be used.
#[test]
fn nobody_asks_for_fingerprints_beside_a_key() {
    let of_near = zone().borrow().names["near.example"].1.clone();
    let unusable = vec![10, 0, 9, 1, 2, 3];
    assert!(ipseckey::Ipseckey::parse(&unusable).is_ok());
    for (ipseckey, words) in [
        (of_near, "the peer's key is not the one in DNS"),
        (unusable, "DNS has only keys that cannot be used for the peer"),
    ] {
        let zone = zone_of_fingerprints();
        zone.borrow_mut().names.get_mut("far.example").unwrap().1 = ipseckey;
        let (why, asked) = after(20, &zone);
        assert_eq!(why.ike.unwrap().last_reason.unwrap().words, words);
        assert!(asked.iter().all(|name| name != "_500._udp.far.example"), "{asked:?}");
    }
}

/// What is wrong with the fingerprints is the reason, and not that there is no key.
#[test]
fn fingerprints_that_do_not_do() {
    let refused = |zone: &Shared| {
        let why = after(20, zone).0;
        assert_eq!(why.verdict, Verdict::Waiting);
        let (dns, ike) = (why.dns.unwrap(), why.ike.unwrap());
        assert!(dns.fingerprints);
        (dns.security, dns.presence, ike.last_reason.map(|reason| reason.words.to_string()))
    };
    for (says, security) in [
        (Says::Unsigned, Security::Insecure),
        (Says::Failure, Security::Indeterminate),
        (Says::Nothing, Security::Indeterminate),
    ] {
        let zone = zone_of_fingerprints();
        zone.borrow_mut().says_of_fingerprints = says;
        assert_eq!(refused(&zone).0, security);
    }
    let zone = zone_of_fingerprints();
    zone.borrow_mut().fingerprints.insert("far.example", fingerprint(&NEAR));
    let other = Some("the peer's key is not the one in DNS".into());
    assert_eq!(refused(&zone), (Security::Secure, Presence::Present, other));
    zone.borrow_mut().fingerprints.insert("far.example", vec![3, 1, 2, 0]);
    let unusable = Some("DNS has only keys that cannot be used for the peer".into());
    assert_eq!(refused(&zone), (Security::Secure, Presence::OnlyUnusable, unusable));
    zone.borrow_mut().fingerprints.remove("far.example");
    let absent = Some("DNS has no key for the peer".into());
    assert_eq!(refused(&zone), (Security::Secure, Presence::Absent, absent));
}
