//! How long answers are held, and what becomes of them.

extern crate std;

use std::vec::Vec;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use esp_engine::spd::Level;

use super::super::settings::{Demand, Fate, Settings};
use super::super::{Progress, Refused};
use super::bench::{
    Bench, Said, a, aaaa, answer, cname, founds, https, ipseckey, lookups, queries, rcode, replies, settings,
    ttls, v4,
};
use super::query;
use crate::pad::{PeerRecord, Presence, Security};

const WWW: [u8; 4] = [198, 51, 100, 7];

/// Both questions leave at once, so a name without key waits for no more than one round trip.
#[test]
fn a_name_without_key_is_not_delayed() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::A));
    assert_eq!(asked.iter().map(|asked| asked.rtype()).collect::<Vec<_>>(), [Rtype::A, Rtype::IPSECKEY]);
    bench.now += 30;
    assert!(replies(&bench.answer(&asked[0], &[a("www.test", 86_400, WWW)])).is_empty());
    bench.now += 1;
    let said = bench.answer(&asked[1], &[]);
    assert_eq!((ttls(&replies(&said)[0]), lookups(&said)), (std::vec![86_400], std::vec![]));
}

#[test]
fn the_key_may_be_known_to_be_absent_first() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::A));
    assert_eq!(replies(&bench.answer(&asked[1], &[])).len(), 0);
    assert_eq!(replies(&bench.answer(&asked[0], &[a("www.test", 60, WWW)])).len(), 1);
}

/// RFC 2308 §5: that there is none is remembered as its SOA says, at most for five minutes.
#[test]
fn absence_is_remembered() {
    for (minimum, remembered) in [(60, 60), (86_400, 300), (0, 5)] {
        let mut bench = Bench::new();
        let asked = queries(&bench.ask(2, "www.test", Rtype::A));
        bench.answer(&asked[0], &[a("www.test", 60, WWW)]);
        let mut denial = answer(&asked[1].octets, &[("test", Rtype::SOA, 86_400, soa(minimum))]);
        (denial[7], denial[9]) = (0, 1);
        bench.answer_with(&asked[1], &denial).unwrap();
        bench.now += remembered * 1_000 - 1;
        let asked = queries(&bench.ask(3, "www.test", Rtype::A));
        assert_eq!(asked.len(), 1, "{minimum}");
        bench.answer(&asked[0], &[a("www.test", 60, WWW)]);
        bench.now += 1;
        assert_eq!(queries(&bench.ask(4, "www.test", Rtype::A)).len(), 2, "{minimum}");
    }
}

fn soa(minimum: u32) -> Vec<u8> {
    let mut rdata = std::vec![0, 0];
    rdata.extend([0; 16]);
    rdata.extend(minimum.to_be_bytes());
    rdata
}

/// The order that keeps packets from leaving in clear: key, entry, answer.
#[test]
fn an_answer_follows_its_entry() {
    let mut bench = Bench::new();
    let record = bench.secure(600);
    let said = bench.find(2, "www.test", WWW, 86_400, &record);
    let [Said::Found(found)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((found.address, found.level, found.demand), (v4(WWW), Level::Validated, Demand::Try));
    let reply = replies(&bench.progress(WWW, Progress::Installed)).remove(0);
    assert_eq!(ttls(&reply), [600], "no longer than the entry");
}

/// A decides for AAAA: neither family goes ahead of the other, and the key is asked for once.
#[test]
fn both_families_share_one_decision() {
    let mut bench = Bench::new();
    let v4 = queries(&bench.ask(2, "www.test", Rtype::A));
    let v6 = queries(&bench.ask(2, "www.test", Rtype::AAAA));
    assert_eq!((v4.len(), v6.len()), (2, 1));
    assert!(replies(&bench.answer(&v6[0], &[aaaa("www.test", 60, 7)])).is_empty());
    let said = bench.answer(&v4[1], &[ipseckey("www.test", 600)]);
    let record = bench.secure(600);
    let said = bench.record(lookups(&said)[0].0, &record);
    assert_eq!((founds(&said).len(), replies(&said).len()), (1, 0));
    let said = bench.answer(&v4[0], &[a("www.test", 60, WWW)]);
    assert_eq!((founds(&said).len(), replies(&said).len()), (1, 0));
}

/// Stub resolvers ask again after a second at the earliest.
#[test]
fn nothing_is_held_for_longer_than_the_time_for_it() {
    for (hold, expected) in [(1_500, 1_500), (60_000, 1_500), (300, 300)] {
        let hold = core::time::Duration::from_millis(hold);
        let mut bench = Bench::with(Settings { hold, ..settings() });
        let asked = queries(&bench.ask(2, "www.test", Rtype::A));
        bench.now += 100;
        bench.answer(&asked[0], &[a("www.test", 86_400, WWW)]);
        assert_eq!(replies(&bench.pass(expected - 101)), [] as [Vec<u8>; 0]);
        let reply = replies(&bench.pass(1)).remove(0);
        assert_eq!(ttls(&reply), [60], "it is asked for again soon");
    }
}

#[test]
fn an_entry_that_nothing_is_heard_of_does_not_hold_for_ever() {
    let mut bench = Bench::new();
    let record = bench.secure(600);
    bench.find(2, "www.test", WWW, 60, &record);
    assert_eq!(replies(&bench.pass(1_499)).len(), 0);
    assert_eq!(replies(&bench.pass(1)).len(), 1);
}

/// What an operator requires is protected, or has no address.
#[test]
fn required_names_wait_for_an_sa() {
    let mut bench = Bench::new();
    let record = bench.secure(600);
    bench.find(2, "www.bank.test", WWW, 60, &record);
    assert!(replies(&bench.progress(WWW, Progress::Installed)).is_empty());
    let reply = replies(&bench.progress(WWW, Progress::Protected)).remove(0);
    assert_eq!((rcode(&reply), ttls(&reply).len()), (Rcode::NOERROR, 1));
}

#[test]
fn required_names_fail_closed() {
    let refused = |said: &[Said]| replies(said).iter().map(|reply| rcode(reply)).collect::<Vec<_>>();
    let mut bench = Bench::new();
    let record = bench.secure(600);
    bench.find(2, "www.bank.test", WWW, 60, &record);
    assert_eq!(refused(&bench.progress(WWW, Progress::Failed)), [Rcode::SERVFAIL], "IKE failed");
    let mut bench = Bench::new();
    bench.find(2, "www.bank.test", WWW, 60, &record);
    assert_eq!(refused(&bench.pass(1_500)), [Rcode::SERVFAIL], "no time left");
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.bank.test", Rtype::A));
    bench.answer(&asked[0], &[a("www.bank.test", 60, WWW)]);
    assert_eq!(refused(&bench.answer(&asked[1], &[])), [Rcode::SERVFAIL], "no key");
    let mut bench = Bench::new();
    let said = bench.find(2, "www.bank.test", [192, 0, 2, 1], 60, &record);
    assert_eq!(refused(&said), [Rcode::SERVFAIL], "somebody else's address");
}

/// RFC 7435 §3: what is forged does not open the way to clear text, unless the operator says so.
#[test]
fn forged_keys() {
    for (bogus, of, expected) in [
        (Fate::Refuse, "www.test", Rcode::SERVFAIL),
        (Fate::Release, "www.test", Rcode::NOERROR),
        (Fate::Release, "www.bank.test", Rcode::SERVFAIL),
    ] {
        let mut bench = Bench::with(Settings { bogus, ..settings() });
        let record = PeerRecord { security: Security::Bogus, ..bench.secure(60) };
        let said = bench.find(2, of, WWW, 60, &record);
        assert_eq!(replies(&said).iter().map(|reply| rcode(reply)).collect::<Vec<_>>(), [expected]);
        assert!(founds(&said).is_empty());
    }
}

/// RFC 4025 §4.1.2: an unsigned key proves nothing, but protects against whoever only listens.
#[test]
fn keys_that_are_not_proven_are_worth_less() {
    for (record, level) in [
        (PeerRecord { security: Security::Insecure, ..Bench::new().secure(60) }, Level::Any),
        (PeerRecord { security: Security::Indeterminate, ..Bench::new().secure(60) }, Level::Any),
        (PeerRecord { is_wildcard: true, ..Bench::new().secure(60) }, Level::Any),
        (Bench::new().secure(60), Level::Validated),
    ] {
        let said = Bench::new().find(2, "www.test", WWW, 60, &record);
        assert!(matches!(said.as_slice(), [Said::Found(found)] if found.level == level), "{said:?}");
    }
}

#[test]
fn keys_that_are_unusable_change_nothing() {
    let mut bench = Bench::new();
    let unusable =
        PeerRecord { presence: Presence::OnlyUnusable, keys: heapless::Vec::new(), ..bench.secure(60) };
    let said = bench.find(2, "www.test", WWW, 60, &unusable);
    assert_eq!((founds(&said).len(), replies(&said).len()), (0, 1));
    let silent = PeerRecord::silence(bench.instant());
    let said = bench.find(2, "other.test", WWW, 60, &silent);
    assert_eq!((founds(&said).len(), replies(&said).len()), (0, 1));
}

/// RFC 1034 §3.6.2: the key is asked for at the name and at the end of its aliases, and the nearest counts.
#[test]
fn the_end_of_aliases_may_have_the_key() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::A));
    let records =
        [cname("www.test", 60, "b.test"), cname("b.test", 60, "cdn.example"), a("cdn.example", 60, WWW)];
    let end = queries(&bench.answer(&asked[0], &records)).remove(0);
    assert!(end.octets.windows(13).any(|octets| octets == b"\x03cdn\x07example\0"));
    assert!(replies(&bench.answer(&asked[1], &[])).is_empty());
    let said = bench.answer(&end, &[ipseckey("cdn.example", 60)]);
    assert_eq!(lookups(&said)[0].1, "cdn.example");
    let record = bench.secure(60);
    assert_eq!(founds(&bench.record(lookups(&said)[0].0, &record)), [v4(WWW)]);
}

/// RFC 9460 §7.3: hints are addresses, and are held as such; the key may be that of the service's target.
#[test]
fn hints_are_held_like_addresses() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::HTTPS));
    assert_eq!(asked.len(), 2);
    let said = bench.answer(&asked[0], &[https("www.test", "pool.test", WWW)]);
    assert_eq!((replies(&said).len(), queries(&said).len()), (0, 1));
    bench.answer(&asked[1], &[]);
    let said = bench.answer(&queries(&said)[0], &[ipseckey("pool.test", 60)]);
    let record = bench.secure(60);
    let said = bench.record(lookups(&said)[0].0, &record);
    assert_eq!((founds(&said), replies(&said).len()), (std::vec![v4(WWW)], 0));
    assert_eq!(replies(&bench.progress(WWW, Progress::Installed)).len(), 1);
}

/// No server knows: there is nothing to wait for, and the name is looked at again soon.
#[test]
fn servers_that_do_not_know_about_keys() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::A));
    bench.answer(&asked[0], &[a("www.test", 3_600, WWW)]);
    let mut failed = answer(&asked[1].octets, &[]);
    failed[3] |= 2;
    let said = bench.answer_with(&asked[1], &failed).unwrap();
    assert_eq!(ttls(&replies(&said)[0]), [60]);
}

/// A key that does not fit is one; a denial of the name is none.
#[test]
fn what_counts_as_a_key() {
    let mut bench = Bench::new();
    let asked = queries(&bench.ask(2, "www.test", Rtype::A));
    let mut cut = answer(&asked[1].octets, &[]);
    cut[2] |= 2;
    assert_eq!(lookups(&bench.answer_with(&asked[1], &cut).unwrap()).len(), 1);
    let asked = queries(&bench.ask(2, "other.test", Rtype::A));
    let mut none = answer(&asked[1].octets, &[]);
    none[3] |= 3;
    assert_eq!(lookups(&bench.answer_with(&asked[1], &none).unwrap()).len(), 0);
}

/// Whoever asked with EDNS learns why (RFC 8914 §4).
#[test]
fn a_client_learns_why() {
    let mut bench = Bench::new();
    let mut question = query("www.bank.test", Rtype::A, 5);
    question[11] = 1;
    question.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    let asked = queries(&bench.send(super::bench::client(2), &question).unwrap());
    bench.answer(&asked[0], &[a("www.bank.test", 60, WWW)]);
    let reply = replies(&bench.answer(&asked[1], &[])).remove(0);
    assert!(reply.ends_with(&[0, 15, 0, 2, 0, 18]), "{:?}", Refused::Unprotected);
}
