//! IKE_FOLLOWUP_KE (RFC 9370 §2.2.4): rekeyings and new Child SAs with a second key exchange, bad cables, peers that
//! do not go on or answer nonsense, and what each end holds meanwhile.

mod followup_support;

use std::time::Duration;

use followup_support::*;
use host_tests::forge;
use host_tests::link::{Direction, Fault, Odds};
use host_tests::stage::*;
use ike_core::config::Suite;
use ike_core::error::{CloseReason, Discarded};
use ike_core::wire::code_point::ExchangeType;
use ike_core::wire::notify::NotifyType;

/// Longer than anything here takes.
const MINUTES: Duration = Duration::from_secs(600);

/// RFC 9370 §2.2.4: a second exchange behind CREATE_CHILD_SA, then what follows anyway; from either end, in datagrams
/// of 1,280 octets at most. Both ends have the same keys. strongSwan `ike_rekey` and `child_rekey`
/// `regular_multi_ke`, `child_create` `multi_ke`; libreswan `ikev2-intermediate-10-rekey-ike`.
#[test]
fn additional_key_exchange_follows() {
    for suite in [Suite::POST_QUANTUM, SHORT] {
        for what in What::ALL {
            for from_a in [true, false] {
                let mut pair = stands(suite, 1);
                pair.link.mtu = 1280;
                let before = Before::of(&pair);
                begin(&mut pair, what, from_a);
                pair.settle(LONG);
                assert_done(&pair, &before, what, "once");
                let mut expected = vec![ExchangeType::CREATE_CHILD_SA, ExchangeType::IKE_FOLLOWUP_KE];
                if what != What::New {
                    expected.push(ExchangeType::INFORMATIONAL);
                }
                assert_eq!(exchanges(&pair), expected, "{what:?}\n{}", pair.trace);
            }
        }
    }
}

/// RFC 9370 §2.2.4: the answer to CREATE_CHILD_SA carries the link, the request sends it back as it came, the last
/// answer has none.
#[test]
fn the_link_comes_back() {
    for what in What::ALL {
        let mut pair = stands(SHORT, 1);
        let before = Before::of(&pair);
        begin(&mut pair, what, true);
        pair.settle(LONG);
        let links: Vec<_> =
            pair.datagrams[..4].iter().map(|(_, datagram)| link(&before.keys, datagram)).collect();
        assert!(links[0].is_none() && links[1].is_some() && links[3].is_none(), "{links:?}");
        assert_eq!(links[1], links[2]);
    }
}

/// RFC 7296 §2.1: whichever datagram suffers whichever fault, what was begun comes to its end once.
#[test]
fn additional_key_exchange_under_faults() {
    for what in What::ALL {
        let mut smooth = stands(Suite::POST_QUANTUM, 1);
        begin(&mut smooth, what, true);
        smooth.settle(LONG);
        for number in 0..smooth.datagrams.len() {
            for fault in Fault::ALL {
                let mut pair = stands(Suite::POST_QUANTUM, 1);
                let before = Before::of(&pair);
                pair.link.script = vec![(pair.link.sent() + number, fault)];
                begin(&mut pair, what, true);
                pair.settle(MINUTES);
                assert_done(&pair, &before, what, &format!("{fault:?} of {number}"));
            }
        }
    }
}

/// Both ends at once, on any cable.
#[test]
fn bad_cables() {
    for seed in 0..16 {
        for what in [What::Child, What::IkeSa] {
            let mut pair = stands(Suite::POST_QUANTUM, seed);
            let before = Before::of(&pair);
            pair.link.odds = Odds { drop: 8, duplicate: 8, delay: 8, corrupt: 2 };
            begin(&mut pair, what, true);
            begin(&mut pair, what, false);
            pair.settle(MINUTES);
            assert_done(&pair, &before, what, &format!("seed {seed}"));
        }
    }
}

/// RFC 9370 §2.2.4: before the last exchange neither end has made anything.
#[test]
fn nothing_is_made_before_the_last_exchange() {
    for what in What::ALL {
        let (pair, before, _) = before_followup(what);
        let both = [&pair.a, &pair.b];
        assert!(
            both.iter().all(|side| side.installed.len() == 1 && side.successors().is_empty()),
            "{what:?}"
        );
        assert_eq!(both.map(|side| side.installed[0].inbound), before.children);
    }
}

/// RFC 9370 §2.2.4: a link that nobody gave, or none, gets STATE_NOT_FOUND, which ends nothing; the true request
/// still finds what was promised.
#[test]
fn unknown_links_change_nothing() {
    for what in What::ALL {
        for change in [Change::Drop, Change::Alter, Change::Shorten] {
            let (mut pair, before, request) = before_followup(what);
            let forged = with_link(&before.keys, &request, change);
            assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
            assert_eq!(notify(&answers(&mut pair, &before.keys)[0]), Some(NotifyType::STATE_NOT_FOUND));
            let next = renumbered(&before.keys, &request);
            assert_eq!(give(&mut pair, to_b(), &next), Ok(()));
            assert_eq!(notify(&answers(&mut pair, &before.keys)[0]), None);
            assert!(pair.b.failed().is_empty() && pair.b.closed().is_empty(), "{what:?}");
        }
    }
}

/// The same without any CREATE_CHILD_SA before it, and after all is done.
#[test]
fn nobody_waits_for_it() {
    let mut pair = stands(SHORT, 1);
    let keys = forge::keys(&pair.a);
    let header = forge::header(&keys, ExchangeType::IKE_FOLLOWUP_KE, FROM_A, NEXT);
    assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()));
    assert_eq!(notify(&answers(&mut pair, &keys)[0]), Some(NotifyType::STATE_NOT_FOUND));
    assert!(pair.b.closed().is_empty() && pair.b.installed.len() == 1);
    // A response that nobody asked for.
    let header = forge::header(&keys, ExchangeType::IKE_FOLLOWUP_KE, ANSWER_OF_A, 0);
    let forged = forge::sealed(&keys, &header, |_| Ok(()));
    assert_eq!(give(&mut pair, to_b(), &forged), Err(Discarded::Unsolicited));
}

/// RFC 9370 §2.2.4: a peer that does not go on is waited for 20 s; what it comes with later is not found, and its
/// next try succeeds.
#[test]
fn who_does_not_go_on_is_forgotten() {
    for what in What::ALL {
        for (late, is_found) in [(19, true), (21, false)] {
            let (mut pair, before, request) = before_followup(what);
            pair.link.cut = true;
            pair.b.endpoint.handle_timeout(pair.now + Duration::from_secs(late));
            pair.now = pair.now + Duration::from_secs(late);
            assert_eq!(give(&mut pair, to_b(), &request), Ok(()));
            let answer = answers(&mut pair, &before.keys);
            let expected = if is_found { None } else { Some(NotifyType::STATE_NOT_FOUND) };
            assert_eq!(notify(&answer[0]), expected, "{what:?} after {late} s");
            pair.settle(MINUTES);
            assert_done(&pair, &before, what, &format!("{late} s"));
        }
    }
}

/// RFC 9370 §2.2.4: whoever never finds its state does not go on for ever: the IKE SA ends.
#[test]
fn state_that_is_never_found_ends_the_ike_sa() {
    let (mut pair, before, _) = before_followup(What::IkeSa);
    for _ in 0..200 {
        if !pair.a.closed().is_empty() {
            break;
        }
        pair.link.cut = true;
        let sent = pair.datagrams.len();
        while !pair.datagrams[sent..].iter().any(|(way, _)| *way == Direction::AtoB) {
            assert!(pair.step(pair.now + MINUTES), "{}", pair.trace);
        }
        let request = newest(&pair, Direction::AtoB);
        answer_with(&mut pair, &before.keys, &request, NotifyType::STATE_NOT_FOUND);
    }
    assert_eq!(pair.a.closed(), [CloseReason::OutOfStep], "{}", pair.trace);
}

/// RFC 7296 §2.1: the request once more gets the same answer, and nothing is done twice.
#[test]
fn repeated_request_gets_the_stored_answer() {
    let (mut pair, before, request) = before_followup(What::Child);
    assert_eq!(give(&mut pair, to_b(), &request), Ok(()));
    let sent = pair.datagrams.len();
    pair.link.cut = true;
    pair.drain();
    pair.now = pair.now + Duration::from_secs(2);
    assert_eq!(give(&mut pair, to_b(), &request), Ok(()));
    pair.drain();
    pair.link.cut = false;
    let answers: Vec<_> = pair.datagrams[sent..].iter().map(|(_, datagram)| datagram).collect();
    assert!(answers.len() == 2 && answers[0] == answers[1]);
    pair.settle(MINUTES);
    assert_done(&pair, &before, What::Child, "repeated");
    assert_eq!(pair.b.children().len(), 2);
}

/// RFC 6989 §2.5, RFC 9370 §2.2.4: a value that cannot be, of another method, or none at all ends the IKE SA, at
/// whichever end it comes.
#[test]
fn unusable_public_values_end_the_ike_sa() {
    for what in What::ALL {
        for change in [Change::Drop, Change::Alter, Change::Shorten] {
            let (mut pair, before, request) = before_followup(what);
            let forged = with_value(&before.keys, &request, change);
            assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
            assert_eq!(notify(&answers(&mut pair, &before.keys)[0]), Some(NotifyType::INVALID_SYNTAX));
            let reason = CloseReason::RefusedByPeer(NotifyType::INVALID_SYNTAX.0);
            assert_eq!(pair.b.closed(), [reason], "{what:?}");
            assert!(pair.b.installed.is_empty());

            let (mut pair, before, request) = before_followup(what);
            assert_eq!(give(&mut pair, to_b(), &request), Ok(()));
            pair.link.script = vec![(pair.link.sent(), Fault::Drop)];
            pair.drain();
            let forged = with_value(&before.keys, &newest(&pair, Direction::BtoA), change);
            assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
            pair.settle(LONG);
            assert_eq!(pair.a.closed(), [reason], "{what:?}");
            assert!(pair.a.installed.is_empty());
        }
    }
}
