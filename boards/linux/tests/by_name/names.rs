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
