//! Successors of IKE SAs (RFC 7296 §1.3.2, §2.8.2, §2.18): fresh keys and Message IDs, the same Child SAs,
//! and what happens when both ends ask at once, whatever the cable does.

use std::time::Duration;

use esp_engine::sa::{ChildSa, SaReport};
use host_tests::link::{Direction, Fault, Odds};
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, PEER};
use ike_core::error::CloseReason;
use ike_core::output::{Event, IkeSpis, Phase, Role};
use ike_core::wire::code_point::ExchangeType;
use ike_core::wire::header::Header;

/// Longer than any timer of an IKE SA that waits for its end, and less than lifetimes.
const LONG: Duration = Duration::from_secs(600);
/// Later than what is sent at once, and earlier than a retransmission.
const LATE: Fault = Fault::Delay(Duration::from_millis(500));
/// Later than the first retransmission.
const VERY_LATE: Fault = Fault::Delay(Duration::from_millis(1_500));

/// SAs that stand. The next datagram has number 4.
fn standing(seed: u64) -> Pair {
    let mut pair = Pair::pinned(seed);
    pair.initiate();
    pair.settle(Duration::from_secs(10));
    assert!(pair.agree() && pair.a.installed.len() == 1);
    pair.trace.clear();
    pair
}

fn rekey(pair: &mut Pair, from_a: bool) {
    let side = if from_a { &mut pair.a } else { &mut pair.b };
    side.endpoint.rekey_ike_sas(pair.now, PEER);
}

fn spis(side: &Side) -> Vec<IkeSpis> {
    side.endpoint.status().map(|sa| sa.spis).collect()
}

/// One IKE SA at both ends, the same, another than `old`, with the Child SAs of `before`; nothing was
/// installed or removed on the way.
fn assert_succeeded(pair: &Pair, old: &[IkeSpis], before: &[ChildSa], case: &str) {
    let case = format!("{case}:\n{}", pair.trace);
    assert_eq!(spis(&pair.a).len(), 1, "{case}");
    assert_eq!(spis(&pair.a), spis(&pair.b), "{case}");
    assert_ne!(spis(&pair.a), old, "{case}");
    assert_eq!(pair.a.installed, before, "{case}");
    assert!(pair.agree(), "{case}");
    for side in [&pair.a, &pair.b] {
        let status = side.endpoint.status().next().expect("one");
        assert_eq!((status.phase, status.children), (Phase::Established, 1), "{case}");
        assert_eq!(side.children().len(), 1, "{case}");
        assert!(side.failed().is_empty(), "{case}");
        assert!(side.closed().iter().all(|reason| *reason == CloseReason::Replaced), "{case}");
        assert_eq!(side.successors().len(), side.closed().len(), "{case}");
    }
}

/// Both ends ask at once, these datagrams have these faults; returns who made the survivor.
fn collide(seed: u64, script: &[(usize, Fault)]) -> Role {
    let mut pair = standing(seed);
    let (old, before) = (spis(&pair.a), pair.a.installed.clone());
    pair.link.script = script.to_vec();
    rekey(&mut pair, true);
    rekey(&mut pair, false);
    pair.settle(LONG);
    assert_succeeded(&pair, &old, &before, &format!("seed {seed}, {script:?}"));
    pair.a.endpoint.status().next().expect("one").role
}

/// RFC 7296 §1.3.2, §2.8: one exchange, then the Delete of the old IKE SA; whoever asked is the original
/// initiator of the new one, whose Message IDs begin at 0. strongSwan `ike_rekey` `regular`.
#[test]
fn rekey_is_one_exchange_and_a_delete() {
    for from_a in [true, false] {
        let mut pair = standing(1);
        let (old, before) = (spis(&pair.a), pair.a.installed.clone());
        rekey(&mut pair, from_a);
        pair.settle(LONG);
        assert_eq!(pair.link.sent(), 8, "{}", pair.trace);
        assert_succeeded(&pair, &old, &before, "rekey");
        let roles = [&pair.a, &pair.b].map(|side| side.successors()[0].role);
        let expected = [Role::Initiator, Role::Responder];
        assert_eq!(roles, if from_a { expected } else { [expected[1], expected[0]] });
        if from_a {
            insta::assert_snapshot!(pair.trace);
        }
        // The new one works in both directions, from 0 on.
        let child = before[0].clone();
        let (side, spi, direction) = if from_a {
            (&mut pair.b, child.outbound, Direction::BtoA)
        } else {
            (&mut pair.a, child.inbound, Direction::AtoB)
        };
        side.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(spi));
        pair.settle(LONG);
        assert!(pair.agree() && pair.a.installed != before, "{}", pair.trace);
        let sent = pair.datagrams[8..].iter().find(|(way, _)| *way == direction).expect("sent");
        let header = Header::parse(&sent.1).expect("IKE");
        assert_eq!((header.exchange, header.message_id), (ExchangeType::CREATE_CHILD_SA, 0));
        assert!(!header.flags.initiator, "B's request is not of the original initiator");
    }
}

/// RFC 7296 §2.8.2: the successor whose exchange has the lowest nonce goes again, at both ends, whoever
/// made it. strongSwan `ike_rekey` `collision`.
#[test]
fn both_ends_rekey_at_once() {
    let roles: Vec<Role> = (1..12).map(|seed| collide(seed, &[])).collect();
    assert!(roles.contains(&Role::Initiator) && roles.contains(&Role::Responder));
}

/// RFC 7296 §2.8.2: the Deletes overtake an answer. strongSwan `ike_rekey` `collision_delayed_response`.
#[test]
fn an_answer_comes_late() {
    for seed in 1..8 {
        for number in [6, 7] {
            collide(seed, &[(number, LATE)]);
            collide(seed, &[(number, VERY_LATE)]);
        }
    }
}

/// RFC 7296 §2.8.2: one end is through before the other's request comes, which gets TEMPORARY_FAILURE or
/// nothing. strongSwan `ike_rekey` `collision_delayed_request`, `collision_dropped_request`,
/// `collision_delayed_request_and_delete`.
#[test]
fn a_request_comes_late() {
    for seed in 1..8 {
        for number in [4, 5] {
            for fault in [LATE, VERY_LATE, Fault::Drop] {
                collide(seed, &[(number, fault)]);
                for delete in 6..9 {
                    collide(seed, &[(number, fault), (delete, LATE)]);
                    collide(seed, &[(number, fault), (delete, Fault::Drop)]);
                }
            }
        }
    }
}

/// RFC 7296 §2.1, §2.8.2: any two faults in any two messages of a collision.
#[test]
fn both_ends_rekey_at_once_on_bad_cables() {
    for first in 4..13 {
        for second in first..13 {
            for fault in Fault::ALL {
                collide((first * second) as u64, &[(first, fault), (second, LATE)]);
            }
        }
    }
    for seed in 0..60 {
        let mut pair = standing(seed);
        let (old, before) = (spis(&pair.a), pair.a.installed.clone());
        pair.link.odds = Odds { drop: 15, duplicate: 10, delay: 10, corrupt: 5 };
        rekey(&mut pair, true);
        rekey(&mut pair, seed % 3 == 0);
        pair.settle(LONG);
        assert_succeeded(&pair, &old, &before, &format!("seed {seed}"));
    }
}

/// RFC 7296 §2.25.2: a rekey meets the Delete of the same IKE SA, which is answered as usual; the rekey is
/// forgotten. strongSwan `ike_rekey` `collision_delete`, `collision_delete_drop_delete`.
#[test]
fn rekey_meets_the_end() {
    for from_a in [true, false] {
        for script in
            [vec![], vec![(4, LATE)], vec![(5, LATE)], vec![(5, Fault::Drop)], vec![(6, Fault::Drop)]]
        {
            let mut pair = standing(1);
            pair.link.script = script.clone();
            rekey(&mut pair, from_a);
            let (closing, other) =
                if from_a { (&mut pair.b, &mut pair.a) } else { (&mut pair.a, &mut pair.b) };
            let _ = other;
            closing.endpoint.close(pair.now, PEER);
            pair.settle(LONG);
            let case = format!("{from_a}, {script:?}:\n{}", pair.trace);
            for side in [&pair.a, &pair.b] {
                assert_eq!(side.endpoint.status().count(), 0, "{case}");
                assert!(side.installed.is_empty(), "{case}");
            }
        }
    }
}

/// RFC 7296 §2.25: an end that closes while its own request for a successor is under way closes that too.
#[test]
fn closing_while_rekeying_leaves_nothing() {
    for number in 4..10 {
        for fault in Fault::ALL {
            for both in [true, false] {
                let mut pair = standing(3);
                pair.link.script = vec![(number, fault)];
                rekey(&mut pair, true);
                if both {
                    rekey(&mut pair, false);
                }
                pair.drain();
                pair.a.endpoint.close(pair.now, PEER);
                pair.settle(LONG);
                let case = format!("{fault:?} of {number}, {both}:\n{}", pair.trace);
                assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{case}");
                assert_eq!(pair.a.endpoint.status().count() + pair.b.endpoint.status().count(), 0, "{case}");
            }
        }
    }
}

/// RFC 7296 §2.8: the soft limit of an IKE SA brings its successor in time, at either end, for ever.
#[test]
fn lifetimes_pass_without_an_end() {
    let (mut a, mut b) = (parties::a(), parties::b());
    a.timing.ike_lifetime = Duration::from_secs(600);
    b.timing.ike_lifetime = Duration::from_secs(600);
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(Duration::from_secs(10));
    let before = pair.a.installed.clone();
    for _ in 0..30 {
        pair.pass(Duration::from_secs(100));
        assert_eq!(pair.a.installed, before, "{}", pair.trace);
        assert!(pair.agree());
    }
    let count = pair.a.successors().len();
    assert!((5..=8).contains(&count), "{count} in 3,000 s:\n{}", pair.trace);
    assert!(pair.a.closed().iter().chain(&pair.b.closed()).all(|reason| *reason == CloseReason::Replaced));
}

/// RFC 7296 §2.25: two ends that refuse each other wait alike, so that bad luck could bring them together for as long
/// as an end has patience. The one that wants a Child SA lets the successor of the IKE SA go first.
#[test]
fn of_two_that_refuse_each_other_one_gives_way() {
    for seed in 0..20 {
        for from_a in [true, false] {
            let mut pair = standing(seed);
            let (one, other) = if from_a { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
            let spi = one.installed[0].inbound;
            one.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(spi));
            other.endpoint.rekey_ike_sas(pair.now, PEER);
            pair.settle(LONG);
            for side in [&pair.a, &pair.b] {
                let is_next = |event: &Event| matches!(event, Event::Rekeyed { .. } | Event::Install(_));
                let order: Vec<_> = side.events.iter().filter(|event| is_next(event)).collect();
                let case = format!("seed {seed}, {from_a}:\n{}", pair.trace);
                assert!(
                    matches!(order[..], [Event::Install(_), Event::Rekeyed { .. }, Event::Install(_)]),
                    "{case}"
                );
            }
        }
    }
}
