//! What clients, names and servers do that mean no good.

extern crate std;

use std::format;
use std::vec::Vec;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use esp_engine::selector::AddressRange;

use super::super::settings::{Fate, Settings};
use super::super::{Discarded, Progress};
use super::bench::{Bench, Said, a, answer, client, founds, https, queries, rcode, replies, settings, v4};
use super::query;
use crate::crypto::PublicKey;
use crate::pad::{Gateway, PublishedKey};

const WWW: [u8; 4] = [198, 51, 100, 7];

/// A key that somebody with this gateway holds.
const fn held_by(gateway: Gateway) -> PublishedKey {
    PublishedKey::Whole { key: PublicKey::Ed25519([1; 32]), gateway }
}

/// Ten thousand names in a second: servers hear of as many as one client may ask, and of 20 keys.
#[test]
fn a_client_that_asks_for_ten_thousand_names_a_second() {
    let mut bench = Bench::new();
    let (mut passed, mut keys) = (0, 0);
    for n in 0..10_000_u16 {
        bench.now += u64::from(n % 10 == 0);
        let question = query(&format!("n{n}.evil{n}.test"), Rtype::A, n);
        let said = bench.send(client(2), &question).unwrap_or_default();
        let (own, others): (Vec<_>, Vec<_>) =
            queries(&said).into_iter().partition(|asked| asked.rtype() == Rtype::IPSECKEY);
        passed += others.len();
        keys += own.len();
    }
    assert!(passed <= 2 * 50 + 8 && keys <= 2 * 20, "{passed} {keys}");
    assert!(bench.proxy.counters().discarded(Discarded::TooMany) > 9_000);
    let asked = queries(&bench.send(client(3), &query("plain.test", Rtype::A, 1)).unwrap());
    assert_eq!(asked[0].rtype(), Rtype::A, "others are served");
}

/// Answers that wait for ever: the oldest of the client that has most go, those of others stay.
#[test]
fn a_client_that_fills_the_table() {
    for (full, expected) in [(Fate::Release, Rcode::NOERROR), (Fate::Refuse, Rcode::SERVFAIL)] {
        let mut bench = Bench::with(Settings { full, ..settings() });
        let mine = queries(&bench.ask(3, "mine.test", Rtype::A)).remove(0);
        bench.answer(&mine, &[a("mine.test", 60, WWW)]);
        let mut gone = Vec::new();
        for n in 0..12 {
            bench.now += 1;
            let of = format!("n{n}.test");
            let said = bench.ask(2, &of, Rtype::A);
            gone.extend(replies(&said));
            if let Some(asked) = queries(&said).iter().find(|asked| asked.rtype() == Rtype::A) {
                gone.extend(replies(&bench.answer(asked, &[a(&of, 60, WWW)])));
            }
        }
        assert_eq!(gone.len(), 12 - 6);
        assert!(gone.iter().all(|reply| rcode(reply) == expected));
        assert!(gone.iter().all(|reply| !reply.windows(4).any(|octets| octets == b"mine")));
    }
}

/// Answers released together are as many as the questions, and no longer than what servers sent: the device
/// makes no pulse bigger than what it was sent.
#[test]
fn answers_that_are_timed_together() {
    let mut bench = Bench::new();
    let mut sent = 0;
    for n in 0..7 {
        let of = format!("n{n}.test");
        let asked = queries(&bench.ask(2, &of, Rtype::A)).remove(0);
        let octets = answer(&asked.octets, &[a(&of, 60, WWW)]);
        sent += octets.len();
        bench.answer_with(&asked, &octets).unwrap();
    }
    let said = replies(&bench.pass(1_500));
    assert_eq!((said.len(), said.iter().map(Vec::len).sum::<usize>()), (7, sent));
}

/// A stranger's signed name that points at somebody else's address: no entry, whatever its key and its
/// gateway, and the answer is as it would have been.
#[test]
fn a_name_that_points_at_what_others_own() {
    let targets = [
        ("another peer's", [192, 0, 2, 80]),
        ("our own outer", [192, 0, 2, 1]),
        ("the gateway's", [192, 0, 2, 254]),
        ("the resolver's", [198, 51, 100, 53]),
        ("everybody's", [224, 0, 0, 1]),
    ];
    for (whose, address) in targets {
        let mut bench = Bench::new();
        let mut record = bench.secure(600);
        for gateway in [Gateway::Owner, Gateway::Address(v4(address))] {
            record.keys[0] = held_by(gateway);
            let said = bench.find(2, "evil.test", address, 60, &record);
            assert!(founds(&said).is_empty(), "{whose}");
            assert_eq!(replies(&said).len(), 1, "{whose}");
        }
        assert_eq!(bench.proxy.found().count(), 0);
    }
}

/// A public address that is nobody's in particular: IKE goes there and nowhere else. Whoever is there and
/// does not have the key is as reachable as before.
#[test]
fn a_name_that_points_at_a_public_address() {
    let mut bench = Bench::new();
    let mut record = bench.secure(600);
    let said = bench.find(2, "evil.test", [203, 0, 113, 80], 60, &record);
    assert_eq!(founds(&said), [v4([203, 0, 113, 80])]);
    assert_eq!(replies(&bench.progress([203, 0, 113, 80], Progress::Failed)).len(), 1);
    record.keys[0] = held_by(Gateway::Address([203, 0, 113, 66].into()));
    let said = bench.find(2, "evil2.test", [203, 0, 113, 81], 60, &record);
    assert_eq!((founds(&said).len(), replies(&said).len()), (0, 1), "no key of a gateway is used");
}

/// A found name opens no way that policy does not.
#[test]
fn a_name_that_points_where_nothing_goes_in_clear() {
    let open = [AddressRange::prefix(v4([198, 51, 100, 0]), 24).unwrap()];
    let mut bench =
        Bench::with(Settings { open: std::boxed::Box::leak(std::boxed::Box::new(open)), ..settings() });
    let record = bench.secure(600);
    assert!(founds(&bench.find(2, "evil.test", [203, 0, 113, 80], 60, &record)).is_empty());
    assert_eq!(founds(&bench.find(2, "www.test", WWW, 60, &record)), [v4(WWW)]);
}

/// The address lies inside, and the name comes from outside: it does not even get that far.
#[test]
fn a_name_that_points_inside() {
    let mut bench = Bench::new();
    let record = bench.secure(600);
    let said = bench.find(2, "evil.test", [10, 1, 0, 1], 60, &record);
    assert!(founds(&said).is_empty());
    assert_eq!(bench.proxy.counters().rebinding, 1);
}

/// Fifty names with fifty keys at one address are one entry with a bounded union of keys.
#[test]
fn fifty_names_at_one_address() {
    let mut bench = Bench::new();
    let mut changes = 0;
    for n in 0..50 {
        bench.now += 1_100;
        let mut record = bench.secure(600);
        let key = PublicKey::Ed25519([n; 32]);
        record.keys[0] = PublishedKey::Whole { key, gateway: Gateway::Owner };
        changes += founds(&bench.find(2, &format!("site{n}.shop{n}.test"), WWW, 60, &record)).len();
        bench.progress(WWW, Progress::Installed);
    }
    assert_eq!((bench.proxy.found().count(), changes), (1, 4));
}

/// An HTTPS answer with hints while A is held: it is held too, and its addresses are protected too.
#[test]
fn hints_do_not_go_ahead() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::A));
    let hints = queries(&bench.ask(2, "www.test", Rtype::HTTPS)).remove(0);
    assert!(replies(&bench.answer(&hints, &[https("www.test", ".", [198, 51, 100, 8])])).is_empty());
    let said = bench.answer(&asked[1], &[super::bench::ipseckey("www.test", 60)]);
    let record = bench.secure(60);
    let said = bench.record(super::bench::lookups(&said)[0].0, &record);
    assert_eq!((founds(&said), replies(&said).len()), (std::vec![v4([198, 51, 100, 8])], 0));
}

/// More addresses than are looked at: what is required is not given one that would not be protected.
#[test]
fn more_addresses_than_can_be_protected() {
    let mut bench = Bench::new();
    let record = bench.secure(600);
    let asked = queries(&bench.ask(2, "www.bank.test", Rtype::A));
    let records: Vec<_> = (0..20).map(|n| a("www.bank.test", 60, [203, 0, 113, n])).collect();
    bench.answer(&asked[0], &records);
    let said = bench.answer(&asked[1], &[super::bench::ipseckey("www.bank.test", 60)]);
    let mut said = bench.record(super::bench::lookups(&said)[0].0, &record);
    for found in founds(&said) {
        let core::net::IpAddr::V4(v4) = found else { unreachable!() };
        said.extend(bench.progress(v4.octets(), Progress::Protected));
    }
    let refused: Vec<_> = replies(&said).iter().map(|reply| rcode(reply)).collect();
    assert_eq!(refused, [Rcode::SERVFAIL]);
}

/// A server of no good will sends records without end, or none that can be read.
#[test]
fn answers_that_cannot_be_read() {
    let mut bench = Bench::new();
    for (of, demanded) in [("www.test", true), ("plain.test", false)] {
        let asked = queries(&bench.ask(2, of, Rtype::A)).remove(0);
        let mut cut = answer(&asked.octets, &[a(of, 60, WWW)]);
        cut.truncate(cut.len() - 2);
        let said = bench.answer_with(&asked, &cut).unwrap();
        assert_eq!(rcode(&replies(&said)[0]), Rcode::SERVFAIL, "{demanded}");
    }
    let asked = queries(&bench.ask(2, "long.test", Rtype::A)).remove(0);
    let many: Vec<_> = (0..140).map(|_| a("long.test", 60, WWW)).collect();
    let said = bench.answer(&asked, &many);
    assert_eq!(rcode(&replies(&said)[0]), Rcode::SERVFAIL);
    assert!(matches!(said.last(), Some(Said::Reply(..))));
}
