//! Both ends want something of the same pair at once.

use super::*;

/// RFC 7296 §2.8.1: both ends rekey the same pair at once; the exchange with the lowest nonce loses and
/// each end deletes what is its to delete. strongSwan `child_rekey` `collision`.
#[test]
fn both_ends_rekey_at_once() {
    let mut winners = [0, 0];
    for seed in 1..20 {
        let mut pair = standing(seed);
        let old = spis(&pair.a);
        soften(&mut pair.a, pair.now);
        soften(&mut pair.b, pair.now);
        pair.settle(LONG);
        assert_replaced(&pair, &old, &format!("seed {seed}"));
        assert_eq!(pair.link.sent(), 4 + 8, "two exchanges and two Deletes");
        winners[usize::from(newest(&pair.a).may_send)] += 1;
    }
    assert!(winners.iter().all(|wins| *wins > 0), "{winners:?}");
}

/// RFC 7296 §2.8.1: the same with every fault in every message, and with any one late.
#[test]
fn both_ends_rekey_at_once_under_loss() {
    for seed in 1..4 {
        for number in 4..12 {
            for fault in Fault::ALL {
                let mut pair = standing(seed);
                let old = spis(&pair.a);
                pair.link.script = vec![(number, fault)];
                soften(&mut pair.a, pair.now);
                soften(&mut pair.b, pair.now);
                pair.settle(MINUTES);
                assert_replaced(&pair, &old, &format!("seed {seed}, {fault:?} of datagram {number}"));
            }
        }
    }
}

/// RFC 7296 §2.25.1: a rekey meets a Delete of the same pair.
#[test]
fn rekey_meets_delete() {
    for seed in 1..10 {
        let mut pair = standing(seed);
        let expired = newest(&pair.b).inbound;
        soften(&mut pair.a, pair.now);
        pair.b.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(expired));
        pair.settle(MINUTES);
        assert!(pair.agree(), "{}", pair.trace);
        assert_eq!(pair.a.endpoint.status().count(), pair.b.endpoint.status().count(), "{}", pair.trace);
    }
}

/// RFC 7296 §2.8, §2.8.1: from the moment when an end decides to delete a pair, because it has a successor
/// or is the redundant one, nothing more is sent on it: the peer may forget it before we hear so.
#[test]
fn what_is_to_be_deleted_sends_nothing() {
    for seed in 1..20 {
        let mut pair = standing(seed);
        soften(&mut pair.a, pair.now);
        soften(&mut pair.b, pair.now);
        pair.settle(LONG);
        let mut retired = 0;
        for side in [&pair.a, &pair.b] {
            let place = |wanted: &dyn Fn(&Event) -> bool| side.events.iter().position(wanted);
            for event in &side.events {
                let Event::Retire(spi) = event else { continue };
                let at = place(&|e| matches!(e, Event::Retire(other) if other == spi));
                let installed = place(&|e| matches!(e, Event::Install(child) if child.inbound == *spi));
                let removed = place(&|e| matches!(e, Event::Remove(other) if other == spi));
                assert!(installed < at && at < removed, "seed {seed}");
                retired += 1;
            }
        }
        assert_eq!(retired, 4, "the old pair and the redundant one, at both ends; seed {seed}");
    }
}
