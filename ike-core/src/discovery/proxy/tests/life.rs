//! How entries live and end.

extern crate std;

use domain::base::Rtype;

use super::super::Progress;
use super::bench::{Bench, Said, a, founds, lookups, queries, replies, ttls, v4};
use crate::pad::{Gateway, PeerRecord, Presence, PublishedKey};

const WWW: [u8; 4] = [198, 51, 100, 7];

fn protected(seconds: u64) -> Bench {
    let mut bench = Bench::new();
    let record = bench.secure(seconds);
    bench.find(2, "www.test", WWW, 60, &record);
    bench.progress(WWW, Progress::Protected);
    bench
}

#[test]
fn an_entry_lives_as_long_as_its_key_and_its_answers_do_not_outlive_it() {
    let mut bench = protected(600);
    bench.pass(100_000);
    let asked = queries(&bench.ask(3, "www.test", Rtype::A));
    assert_eq!(asked.len(), 1, "the key is known");
    let said = bench.answer(&asked[0], &[a("www.test", 86_400, WWW)]);
    assert_eq!(ttls(&replies(&said)[0]), [500], "released at once");
}

#[test]
fn an_entry_without_sa_ends_with_its_key() {
    let mut bench = Bench::new();
    let record = bench.secure(600);
    bench.find(2, "www.test", WWW, 60, &record);
    bench.progress(WWW, Progress::Installed);
    let said = bench.pass(599_999);
    assert!(lookups(&said).is_empty() && queries(&said).is_empty());
    assert_eq!(bench.pass(1), [Said::Forget(v4(WWW))]);
    assert_eq!(bench.timeout(), None);
}

/// While an SA is in use its key is asked for again at two thirds of its life.
#[test]
fn a_key_in_use_is_asked_for_again() {
    let mut bench = protected(600);
    assert_eq!(queries(&bench.pass(399_999)), []);
    let asked = queries(&bench.pass(1)).remove(0);
    assert_eq!(asked.rtype(), Rtype::IPSECKEY);
    let said = bench.answer(&asked, &[super::bench::ipseckey("www.test", 600)]);
    let record = bench.secure(600);
    bench.record(lookups(&said)[0].0, &record);
    let said = bench.pass(399_999);
    assert!(!said.contains(&Said::Forget(v4(WWW))), "it lives on");
    assert_eq!(bench.proxy.found().count(), 1);
}

/// A key that is withdrawn makes nothing new, and ends nothing before its time.
#[test]
fn a_key_that_is_gone() {
    let mut bench = protected(600);
    let asked = queries(&bench.pass(400_000)).remove(0);
    bench.answer(&asked, &[]);
    assert!(!bench.pass(199_999).contains(&Said::Forget(v4(WWW))));
    assert!(bench.pass(1).contains(&Said::Forget(v4(WWW))));
}

#[test]
fn where_ike_failed_nobody_waits_again_for_a_while() {
    let mut bench = Bench::new();
    let record = bench.secure(600);
    bench.find(2, "www.test", WWW, 60, &record);
    assert_eq!(replies(&bench.progress(WWW, Progress::Failed)).len(), 1);
    bench.now += 10_000;
    let asked = queries(&bench.ask(3, "www.test", Rtype::A));
    let said = bench.answer(&asked[0], &[a("www.test", 3_600, WWW)]);
    assert_eq!((ttls(&replies(&said)[0]), founds(&said)), (std::vec![50], std::vec![]));
    assert_eq!(bench.pass(50_000), [Said::Forget(v4(WWW))]);
    let asked = queries(&bench.ask(3, "www.test", Rtype::A));
    assert_eq!(founds(&bench.answer(&asked[0], &[a("www.test", 3_600, WWW)])), [v4(WWW)], "tried again");
}

/// A second name with another key adds to what may be shown there, and lowers nothing that stands.
#[test]
fn a_second_name_at_the_address() {
    let mut bench = protected(600);
    let absent = PeerRecord { presence: Presence::Absent, keys: heapless::Vec::new(), ..bench.secure(60) };
    bench.find(3, "plainer.test", WWW, 60, &absent);
    let mut other = bench.secure(60);
    let key = crate::crypto::PublicKey::Ed25519([9; 32]);
    other.keys[0] = PublishedKey::Whole { key, gateway: Gateway::Owner };
    let said = bench.find(3, "evil.test", WWW, 60, &other);
    let Some(Said::Found(found)) = said.iter().find(|said| matches!(said, Said::Found(_))) else {
        panic!("{said:?}")
    };
    assert_eq!((found.keys.len(), found.progress()), (2, Some(Progress::Protected)));
    assert_eq!(found.expires.as_millis(), 610_000, "its end does not come nearer");
}
