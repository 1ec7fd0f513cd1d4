//! Key exchanges in CREATE_CHILD_SA (RFC 7296 §1.3, §2.17, §2.18): keys of Child SAs that do not come from
//! the IKE SA's alone, and peers that want another group.

use std::time::Duration;

use esp_engine::sa::{SaReport, Spi};
use host_tests::forge;
use host_tests::link::{Direction, Fault, Odds};
use host_tests::pair::Pair;
use host_tests::parties::{self, PEER, leak_all};
use host_tests::stage::{LONG, give, to_a, to_b};
use ike_core::config::Suite;
use ike_core::crypto::Group;
use ike_core::output::{IkeKeys, IkeSpis};
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header};
use ike_core::wire::notify::{NotifyType, NotifyView};

/// Longer than an IKE SA waits for its end.
const MINUTES: Duration = Duration::from_secs(600);

/// What is rekeyed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum What {
    Child,
    IkeSa,
}

/// Two groups, Curve25519 first.
const TWO: &[Suite] = &[Suite::FAST_SOFTWARE, Suite::HARDWARE_AES];

/// The same with an additional key exchange.
const HYBRID: &[Suite] = &[
    Suite { additional: Some(Group::P384), ..Suite::FAST_SOFTWARE },
    Suite { additional: Some(Group::P384), ..Suite::HARDWARE_AES },
];

/// SAs that stand; both ends know two groups and want fresh keys for Child SAs.
fn standing(seed: u64) -> Pair {
    standing_with(TWO, seed)
}

fn standing_with(suites: &'static [Suite], seed: u64) -> Pair {
    let with_pfs = |mut config: ike_core::config::Config<'static>| {
        config.suites = suites;
        config.policies = leak_all(vec![ike_core::config::IkePolicy { pfs: true, ..config.policies[0] }]);
        config
    };
    let mut pair = Pair::new(with_pfs(parties::a()), with_pfs(parties::b()), seed);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1);
    pair.trace.clear();
    pair
}

fn begin(pair: &mut Pair, what: What, from_a: bool) {
    let side = if from_a { &mut pair.a } else { &mut pair.b };
    match what {
        What::Child => {
            let spi = side.installed[0].inbound;
            side.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(spi));
        }
        What::IkeSa => side.endpoint.rekey_ike_sas(pair.now, PEER),
    }
}

/// Begins, and the other end wants this group instead.
fn begin_with_wrong_guess(pair: &mut Pair, keys: &IkeKeys, what: What, from_a: bool, group: u16) {
    pair.link.cut = true;
    begin(pair, what, from_a);
    pair.drain();
    let (direction, there, back) =
        if from_a { (Direction::AtoB, to_b(), to_a()) } else { (Direction::BtoA, to_a(), to_b()) };
    let asked = pair.datagrams.iter().rfind(|(way, _)| *way == direction).expect("asked").1.clone();
    let id = Header::parse(&asked).expect("IKE").message_id;
    // The other end has answered something under this number.
    let header =
        forge::header(keys, ExchangeType::INFORMATIONAL, Flags { initiator: from_a, response: false }, id);
    assert_eq!(give(pair, there, &forge::sealed(keys, &header, |_| Ok(()))), Ok(()));
    pair.drain();
    pair.link.cut = false;
    let header =
        forge::header(keys, ExchangeType::CREATE_CHILD_SA, Flags { initiator: !from_a, response: true }, id);
    let refusal = NotifyView::new(NotifyType::INVALID_KE_PAYLOAD, &group.to_be_bytes()).kind;
    let data = group.to_be_bytes();
    let answer = forge::sealed(keys, &header, |w| NotifyView::new(refusal, &data).write(w));
    assert_eq!(give(pair, back, &answer), Ok(()));
}

struct Before {
    child: Spi,
    ike: Vec<IkeSpis>,
    keys: IkeKeys,
}

fn before(pair: &Pair) -> Before {
    let ike = pair.a.endpoint.status().map(|sa| sa.spis).collect();
    Before { child: pair.a.installed[0].inbound, ike, keys: forge::keys(&pair.a) }
}

/// One pair and one IKE SA, the one that was rekeyed another than before.
fn assert_replaced(pair: &Pair, before: &Before, what: What, case: &str) {
    let case = format!("{what:?}, {case}:\n{}", pair.trace);
    assert!(pair.agree(), "{case}");
    assert_eq!(pair.a.installed.len(), 1, "{case}");
    let [a, b] = [&pair.a, &pair.b].map(|s| s.endpoint.status().map(|sa| sa.spis).collect::<Vec<_>>());
    assert_eq!(a, b, "{case}");
    assert_eq!(a.len(), 1, "{case}");
    assert_eq!(a != before.ike, what == What::IkeSa, "{case}");
    assert_eq!(pair.a.installed[0].inbound != before.child, what == What::Child, "{case}");
    assert!(pair.a.failed().is_empty() && pair.b.failed().is_empty(), "{case}");
}

/// Groups of the KE payloads in CREATE_CHILD_SA messages under these keys.
fn groups(pair: &Pair, keys: &IkeKeys) -> Vec<u16> {
    let sealed = pair.datagrams.iter().filter(|(_, datagram)| {
        let header = Header::parse(datagram).expect("IKE");
        header.exchange == ExchangeType::CREATE_CHILD_SA && header.initiator_spi.0 == keys.spis.initiator
    });
    let opened = sealed.map(|(_, datagram)| forge::opened(keys, datagram));
    let payloads = opened.flat_map(|(_, first, text)| forge::split(first, &text));
    payloads
        .filter(|payload| payload.kind == PayloadType::KE)
        .map(|payload| u16::from_be_bytes([payload.body[0], payload.body[1]]))
        .collect()
}

/// RFC 7296 §1.3.3, §2.17: a policy that wants it gets keys by a key exchange of their own, in the group of
/// the IKE SA, from either end, on any cable.
#[test]
fn fresh_keys_for_successors() {
    for from_a in [true, false] {
        let mut pair = standing(1);
        let before = before(&pair);
        begin(&mut pair, What::Child, from_a);
        pair.settle(LONG);
        assert_replaced(&pair, &before, What::Child, "once");
        assert_eq!(groups(&pair, &before.keys), [31, 31]);
    }
    for seed in 0..20 {
        let mut pair = standing(seed);
        let before = before(&pair);
        pair.link.odds = Odds { drop: 10, duplicate: 5, delay: 10, corrupt: 5 };
        begin(&mut pair, What::Child, true);
        begin(&mut pair, What::Child, false);
        pair.settle(MINUTES);
        assert_replaced(&pair, &before, What::Child, &format!("seed {seed}"));
    }
}

/// RFC 7296 §1.3: the group that the peer wants is tried, once, with another public value. strongSwan
/// `child_rekey` and `ike_rekey` `regular_ke_invalid`; libreswan `ikev2-invalid-ke-07`.
#[test]
fn another_group_is_tried() {
    try_another_group(TWO);
}

/// RFC 9370 §2.2.4: an additional key exchange follows the second try as it would have followed the first.
/// strongSwan `child_rekey` and `ike_rekey` `regular_ke_invalid_multi_ke`.
#[test]
fn another_group_is_tried_before_an_additional_exchange() {
    try_another_group(HYBRID);
}

fn try_another_group(suites: &'static [Suite]) {
    for what in [What::Child, What::IkeSa] {
        for from_a in [true, false] {
            let mut pair = standing_with(suites, 1);
            let before = before(&pair);
            begin_with_wrong_guess(&mut pair, &before.keys, what, from_a, 19);
            pair.settle(MINUTES);
            assert_replaced(&pair, &before, what, "retry");
            assert_eq!(groups(&pair, &before.keys), [31, 19, 19], "{}", pair.trace);
            let is_followup = |datagram: &[u8]| {
                Header::parse(datagram).expect("IKE").exchange == ExchangeType::IKE_FOLLOWUP_KE
            };
            let follows = pair.datagrams.iter().filter(|(_, datagram)| is_followup(datagram)).count();
            assert_eq!(follows, if suites == HYBRID { 2 } else { 0 }, "{}", pair.trace);
        }
    }
}

/// RFC 7296 §1.3, §2.8.1: both ends guess wrong at once, and one of them may ask again late, so that the other
/// sees no collision. strongSwan `child_rekey` and `ike_rekey` `collision_ke_invalid`,
/// `collision_ke_invalid_delayed_retry`.
#[test]
fn both_ends_guess_wrong() {
    for what in [What::Child, What::IkeSa] {
        for seed in 1..8 {
            for late in [None, Some(0), Some(1)] {
                let mut pair = standing(seed);
                let before = before(&pair);
                begin_with_wrong_guess(&mut pair, &before.keys, what, true, 19);
                begin_with_wrong_guess(&mut pair, &before.keys, what, false, 19);
                let next = pair.link.sent();
                let delay = Fault::Delay(Duration::from_millis(500));
                pair.link.script = late.map(|n| (next + n, delay)).into_iter().collect();
                pair.settle(MINUTES);
                assert_replaced(&pair, &before, what, &format!("seed {seed}, {late:?}"));
            }
        }
    }
}

/// RFC 7296 §1.3, §3.3.6: a group that was not offered, or has been tried, is not tried; something else is
/// done for the SA's successor.
#[test]
fn useless_groups_are_not_tried() {
    for what in [What::Child, What::IkeSa] {
        for group in [31, 2, 0, 0xFFFF] {
            let mut pair = standing(1);
            let before = before(&pair);
            begin_with_wrong_guess(&mut pair, &before.keys, what, true, group);
            pair.settle(LONG);
            assert_eq!(groups(&pair, &before.keys), [31], "{what:?}, {group}");
            assert!(pair.agree(), "{}", pair.trace);
            assert_eq!(pair.a.installed.len(), 1);
            assert_ne!(pair.a.installed[0].inbound, before.child, "by a new negotiation");
        }
    }
}
