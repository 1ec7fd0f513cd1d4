//! What passes between devices that know each other by name, and what does not.

use embassy_time::{Duration, Timer};
use esp_engine::spd::Level;

use crate::stage::*;

/// "Protect everything to far.example" is enough; the other end takes whoever has a name under `.example`. Not one
/// packet leaves in clear, not even before DNS has said where far.example is.
#[test]
fn policy_for_a_name_is_enough() {
    with_stations(&zone(), async |cable, [near, far], came_back| {
        for _ in 0..100 {
            Timer::after(Duration::from_millis(100)).await;
        }
        assert!(*came_back.borrow(), "{:#?}\n{:#?}", near.log.borrow(), far.log.borrow());
        assert!(!is_on_the_cable(cable));
        for (station, peer, identity) in
            [(near, "far.example", "far.example"), (far, "customers", "near.example")]
        {
            let status = station.status().await;
            assert_eq!(status.ike_sas[0].level.unwrap().0, Level::Validated);
            assert_eq!(status.ike_sas[0].peer.as_deref(), Some(peer));
            assert_eq!(status.ike_sas[0].identity, identity);
        }
    });
}

/// A device that is put elsewhere and says so in DNS is found there by those who know its name, whichever end moves:
/// packets go on as soon as the old records are over, and not one in clear.
#[test]
fn devices_are_followed_by_their_names() {
    for mover in [0, 1] {
        let zone = zone();
        zone.borrow_mut().ttl = 5;
        with_stations(&zone, async |cable, stations, came_back| {
            Timer::after(Duration::from_secs(10)).await;
            assert!(came_back.take());
            let (name, address) = [("near.example", [192, 0, 2, 7]), ("far.example", [192, 0, 2, 8])][mover];
            zone.borrow_mut().names.get_mut(name).unwrap().0 = address.into();
            if mover == 1 {
                // Who calls by the name asks where it is: until then nobody is called.
                stations[0].calls.set(None);
            }
            stations[mover].put(&format!("192.0.2.{}/24", address[3])).await;
            Timer::after(Duration::from_secs(20)).await;
            if mover == 1 {
                stations[0].calls.set(Some(address.into()));
            }
            came_back.take();
            Timer::after(Duration::from_secs(20)).await;
            let logs = || stations.map(|station| station.log.borrow().join("\n"));
            assert!(came_back.take(), "{mover}: {:#?}", logs());
            assert!(!is_on_the_cable(cable), "{mover}: {:#?}", logs());
            let [mine, theirs] = [mover, 1 - mover].map(|n| stations[n]);
            let (mine, theirs) = (mine.status().await, theirs.status().await);
            let standing = |status: &firmware::management::Status| -> Vec<_> {
                let standing = status.ike_sas.iter().filter(|sa| sa.established);
                standing.map(|sa| sa.remote.ip()).collect()
            };
            assert_eq!(standing(&theirs), [std::net::IpAddr::from(address)], "{mover}: {:#?}", logs());
            assert_eq!(standing(&mine).len(), 1, "{mover}: {:#?}", logs());
        });
    }
}

/// A name that DNS does not have is not reached, in clear as little as otherwise, and `why` says so.
#[test]
fn name_that_is_not_there_is_not_reached() {
    let zone = zone();
    zone.borrow_mut().names.remove("far.example");
    with_stations(&zone, async |cable, [near, _], came_back| {
        Timer::after(Duration::from_secs(20)).await;
        assert!(!*came_back.borrow() && !is_on_the_cable(cable));
        let why = near.why("far.example").await.unwrap();
        assert_eq!(why.ike.unwrap().last_reason.unwrap().words, "DNS has no key for the peer");
    });
}

/// RFC 5452 §9: what comes just before the answer is not heard, and does not take its place.
#[test]
fn lie_before_the_answer() {
    let zone = zone();
    zone.borrow_mut().says = Says::ProvenBehindALie;
    with_stations(&zone, async |cable, [near, far], came_back| {
        Timer::after(Duration::from_secs(5)).await;
        assert!(*came_back.borrow(), "{:#?}\n{:#?}", near.log.borrow(), far.log.borrow());
        assert!(!is_on_the_cable(cable));
    });
}
