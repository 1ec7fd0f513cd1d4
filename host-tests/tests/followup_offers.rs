//! Additional key exchanges in offers of CREATE_CHILD_SA (RFC 9370 §2.2.1, §2.2.4): which place of seven they have,
//! who leaves them out, and how many peers wait for theirs at once.

mod followup_support;

use followup_support::*;
use host_tests::forge;
use host_tests::link::{Direction, Fault};
use host_tests::pair::Pair;
use host_tests::parties::leak_all;
use host_tests::stage::*;
use ike_core::config::Suite;
use ike_core::error::CloseReason;
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::notify::NotifyType;

const EITHER: &[Suite] = &[SHORT, Suite::FAST_SOFTWARE];
const CIPHER: [u8; 4] = [1, 0, 0, 28];
const CURVE: [u8; 4] = [4, 0, 0, 31];
const SECOND: [u8; 4] = [6, 0, 0, 19];

/// A has begun, and its request is returned, which did not arrive.
fn asked(pair: &mut Pair, what: What) -> Vec<u8> {
    pair.link.script = vec![(pair.link.sent(), Fault::Drop)];
    begin(pair, what, true);
    newest(pair, Direction::AtoB)
}

/// The rest of the transforms of an offer.
fn others(what: What) -> Vec<[u8; 4]> {
    if what == What::IkeSa { vec![[2, 0, 0, 5]] } else { vec![[5, 0, 0, 1], [5, 0, 0, 0]] }
}

/// What B says to A's request with these key exchanges: its own, or the error.
fn chosen(of_b: &'static [Suite], what: What, exchanges: &[[u8; 4]]) -> Result<Vec<[u8; 4]>, NotifyType> {
    let mut pair = standing_with(of_b, of_b, 1);
    let keys = forge::keys(&pair.a);
    let request = asked(&mut pair, what);
    let offer = [&[CIPHER][..], &others(what), exchanges].concat();
    let request = with_transforms(&keys, &request, &offer);
    assert_eq!(give(&mut pair, to_b(), &request), Ok(()));
    let answer = &answers(&mut pair, &keys)[0];
    match answer.iter().find(|payload| payload.kind == PayloadType::SA) {
        Some(sa) => Ok(transforms(&sa.body).into_iter().filter(|t| t[0] == 4 || t[0] > 5).collect()),
        None => Err(notify(answer).expect("an error")),
    }
}

/// RFC 9370 §2.2.1: whichever place it has, NONE for the places that are not needed, no method twice.
#[test]
fn places_of_additional_exchanges() {
    let only = leak_all(vec![SHORT]);
    for what in What::ALL {
        let with = |more: &[[u8; 4]]| [&[CURVE][..], more].concat();
        assert_eq!(chosen(only, what, &with(&[SECOND])), Ok(with(&[SECOND])), "{what:?}");
        let holes = with(&[[7, 0, 0, 19], [9, 0, 0, 20], [9, 0, 0, 0], [11, 0, 0, 0]]);
        let expected = with(&[[7, 0, 0, 19], [9, 0, 0, 0], [11, 0, 0, 0]]);
        assert_eq!(chosen(only, what, &holes), Ok(expected), "{what:?}");
        for refused in [with(&[SECOND, [7, 0, 0, 20]]), with(&[[6, 0, 0, 31]]), with(&[[6, 0, 0, 20]])] {
            let answer = chosen(only, what, &refused);
            assert_eq!(answer, Err(NotifyType::NO_PROPOSAL_CHOSEN), "{what:?} {refused:?}");
        }
    }
}

/// RFC 9370 §2.2.4: an offer without it is refused for the IKE SA by who demands it, and taken by who does not; for
/// Child SAs, which may have no key exchange at all, the peer decides. libreswan
/// `ikev2-intermediate-11-rekey-ike-omit-addke-initiator`.
#[test]
fn offers_without_it() {
    let only = leak_all(vec![SHORT]);
    assert_eq!(chosen(only, What::IkeSa, &[CURVE]), Err(NotifyType::NO_PROPOSAL_CHOSEN));
    assert_eq!(chosen(EITHER, What::IkeSa, &[CURVE]), Ok(vec![CURVE]));
    assert_eq!(chosen(only, What::Child, &[CURVE]), Ok(vec![CURVE]));
    assert_eq!(chosen(only, What::Child, &[CURVE, SECOND, [6, 0, 0, 0]]), Ok(vec![CURVE, SECOND]));
    // A curve beside itself is no second one.
    let twice = [[4, 0, 0, 19], SECOND];
    assert_eq!(chosen(only, What::Child, &twice), Err(NotifyType::NO_PROPOSAL_CHOSEN));
}

/// RFC 9370 §2.2.4: the initiator takes no answer without what it offered, nor one that has it and no link.
/// libreswan `ikev2-intermediate-12-rekey-ike-omit-addke-responder`.
#[test]
fn answers_without_it() {
    for what in [What::IkeSa, What::Child] {
        for without_link in [false, true] {
            let mut pair = stands(SHORT, 1);
            let keys = forge::keys(&pair.a);
            let request = asked(&mut pair, what);
            let (_, sent) = ask(&mut pair, to_b(), &request);
            let rest = others(what)[0];
            let answer = if without_link {
                with_link(&keys, &sent[0].1, Change::Drop)
            } else {
                with_transforms(&keys, &sent[0].1, &[CIPHER, rest, CURVE])
            };
            assert_eq!(give(&mut pair, to_a(), &answer), Ok(()));
            pair.settle(LONG);
            if what == What::IkeSa || without_link {
                let reason = CloseReason::RefusedByPeer(NotifyType::INVALID_SYNTAX.0);
                assert_eq!(pair.a.closed(), [reason], "{what:?}\n{}", pair.trace);
            } else {
                assert_eq!(pair.a.failed().len(), 1, "{}", pair.trace);
            }
            assert!(pair.a.successors().is_empty());
        }
    }
}

/// Lists with and without it: what both ends like best is used.
#[test]
fn lists_meet_lists() {
    let only = leak_all(vec![SHORT]);
    let plain = leak_all(vec![Suite::FAST_SOFTWARE]);
    for (of_a, of_b, follows) in
        [(EITHER, only, true), (only, EITHER, true), (EITHER, EITHER, true), (EITHER, plain, false)]
    {
        for what in What::ALL {
            for from_a in [true, false] {
                let mut pair = standing_with(of_a, of_b, 1);
                let before = Before::of(&pair);
                begin(&mut pair, what, from_a);
                pair.settle(LONG);
                assert_done(&pair, &before, what, "lists");
                let kind = ike_core::wire::code_point::ExchangeType::IKE_FOLLOWUP_KE;
                assert_eq!(exchanges(&pair).contains(&kind), follows, "{what:?}\n{}", pair.trace);
            }
        }
    }
}

/// A peer that begins anew instead of going on has given up what it was promised before.
#[test]
fn one_promise_for_each_ike_sa() {
    let (mut pair, before, first) = before_followup(What::New);
    let keys = &before.keys;
    let request = pair.datagrams[0].1.clone();
    let (header, kind, text) = forge::opened(keys, &request);
    let again = ike_core::wire::header::Header { message_id: NEXT + 1, ..header };
    let anew = forge::sealed_text(keys, &again, kind, &text);
    let (_, sent) = ask(&mut pair, to_b(), &anew);
    let link_of_new = link(keys, &sent[0].1).expect("promised");
    let old = renumbered(keys, &first);
    assert_eq!(give(&mut pair, to_b(), &old), Ok(()));
    assert_eq!(notify(&answers(&mut pair, keys)[0]), Some(NotifyType::STATE_NOT_FOUND));
    let linked = forge::altered(keys, &renumbered(keys, &old), |_, mut payloads| {
        for payload in payloads.iter_mut().filter(|payload| payload.kind == PayloadType::NOTIFY) {
            payload.body.truncate(4);
            payload.body.extend(&link_of_new);
        }
        payloads
    });
    assert_eq!(give(&mut pair, to_b(), &linked), Ok(()));
    assert_eq!(notify(&answers(&mut pair, keys)[0]), None);
    assert_eq!(pair.b.installed.len(), 2);
}
