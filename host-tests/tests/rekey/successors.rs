//! A pair of SAs and its successor: what becomes of either, also under loss, again and again, or where the peer does
//! not want one.

use super::*;

/// RFC 7296 §1.3.3, §2.8: the successor is installed at both ends, then the old pair is deleted. strongSwan
/// `child_rekey` `regular`.
#[test]
fn rekey_is_one_exchange_and_a_delete() {
    let mut pair = standing(1);
    let old = spis(&pair.a);
    soften(&mut pair.a, pair.now);
    pair.settle(LONG);
    assert_replaced(&pair, &old, "rekey");
    insta::assert_snapshot!(pair.trace);
}

/// RFC 7296 §2.8: the responder may receive on the successor before it answers and does not send on it
/// before it hears on it; the initiator sends on it at once; the old pair stays until it is deleted.
#[test]
fn make_before_break() {
    for from_a in [true, false] {
        let mut pair = standing(1);
        let side = if from_a { &mut pair.a } else { &mut pair.b };
        soften(side, pair.now);
        pair.drain();
        assert_eq!((pair.a.installed.len(), pair.b.installed.len()), (1, 1));
        pair.step(pair.now + LONG);
        let count = |pair: &Pair| {
            let (own, other) = if from_a { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
            let receiving = |side: &Side| side.installed.len() + side.retired.len();
            (receiving(own), receiving(other))
        };
        assert_eq!(count(&pair), (1, 2), "{}", pair.trace);
        let responder = if from_a { &pair.b } else { &pair.a };
        assert!(!newest(responder).may_send);
        pair.step(pair.now + LONG);
        assert_eq!(count(&pair), (2, 2), "{}", pair.trace);
        let initiator = if from_a { &pair.a } else { &pair.b };
        assert!(newest(initiator).may_send);
        let sending = |pair: &Pair| (pair.a.installed.len(), pair.b.installed.len());
        pair.step(pair.now + LONG);
        assert_eq!((count(&pair), sending(&pair)), ((2, 2), (1, 1)), "{}", pair.trace);
        pair.settle(LONG);
        assert_eq!(count(&pair), (1, 1), "{}", pair.trace);
        assert!(pair.agree());
    }
}

/// RFC 7296 §2.9.2: a successor keeps mode and scope, however small the packet was that asked for the
/// first, and comes without a packet's selectors in front.
#[test]
fn successor_keeps_the_scope() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut pair = Pair::new(a, b, 1);
    let ports = Ports::Known { source: 50_000, destination: 179 };
    let packet =
        Selectors { source: [10, 1, 0, 9].into(), destination: [10, 2, 0, 9].into(), protocol: 6, ports };
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet).expect("begins");
    pair.settle(LONG);
    let first = pair.a.installed[0].clone();
    soften(&mut pair.a, pair.now);
    pair.settle(LONG);
    soften(&mut pair.b, pair.now);
    pair.settle(LONG);
    assert_replaced(&pair, &[first.inbound], "twice");
    let last = &pair.a.installed[0];
    assert_eq!((last.mode, &last.local_ts, &last.remote_ts), (first.mode, &first.local_ts, &first.remote_ts));
    assert_eq!(last.level, first.level);
    assert_ne!(last.keys.inbound, first.keys.inbound);
}

/// RFC 7296 §2.1: whichever message of a rekey suffers whichever fault, one pair is left at both ends.
#[test]
fn rekey_under_loss() {
    let mut table = String::new();
    for number in 4..8 {
        for fault in Fault::ALL {
            let mut pair = standing(1);
            let old = spis(&pair.a);
            pair.link.script = vec![(number, fault)];
            soften(&mut pair.a, pair.now);
            pair.drain();
            let began = pair.now;
            let done = |pair: &Pair| pair.a.installed.len() == 1 && spis(&pair.a) != old;
            while !done(&pair) && pair.step(began + MINUTES) {}
            let took = pair.now.since(began).as_millis();
            pair.settle(MINUTES);
            assert_replaced(&pair, &old, &format!("{fault:?} of datagram {number}"));
            table += &format!(
                "{number} {:<16} {took:>6} ms {:>3} datagrams\n",
                format!("{fault:?}"),
                pair.link.sent()
            );
        }
    }
    insta::assert_snapshot!(table);
}

/// A's request for a successor gets this refusal instead of B's answer.
fn refused(kind: NotifyType) -> Pair {
    let mut pair = standing(1);
    let keys = forge::keys(&pair.a);
    let id = next_id(&pair);
    pair.link.cut = true;
    soften(&mut pair.a, pair.now);
    pair.drain();
    // B has answered something under this number.
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, id);
    give(&mut pair, &keys, forge::sealed(&keys, &header, |_| Ok(())));
    let from_b = Flags { initiator: false, response: true };
    let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, from_b, id);
    let mut answer = forge::sealed(&keys, &header, |writer| NotifyView::new(kind, &[]).write(writer));
    let path = Path { interface: 0, local: (A, 500).into(), remote: (B, 500).into() };
    assert_eq!(pair.a.endpoint.handle_datagram(pair.now, path, &mut answer), Ok(()));
    pair.drain();
    pair
}

/// RFC 7296 §2.25: after TEMPORARY_FAILURE the same is asked again, but not at once.
#[test]
fn temporary_failure_is_waited_out() {
    let mut pair = refused(NotifyType::TEMPORARY_FAILURE);
    let (old, sent) = (spis(&pair.a), pair.link.sent());
    pair.settle(Duration::from_secs(3));
    assert_eq!(pair.link.sent(), sent, "{}", pair.trace);
    pair.settle(LONG);
    assert_replaced(&pair, &old, "after a while");
}

/// RFC 7296 §1.3, §2.8.3: what the peer does not do on this IKE SA is had by another IKE SA, before the
/// old one goes.
#[test]
fn refused_successor_comes_with_another_ike_sa() {
    for kind in
        [NotifyType::NO_ADDITIONAL_SAS, NotifyType::NO_PROPOSAL_CHOSEN, NotifyType::INVALID_KE_PAYLOAD]
    {
        let mut pair = refused(kind);
        let old = spis(&pair.a);
        pair.settle(MINUTES);
        assert!(pair.agree(), "{}", pair.trace);
        assert_eq!(pair.a.installed.len(), 1);
        assert_ne!(spis(&pair.a), old);
        assert_eq!(pair.a.failed()[0].reason, FailReason::Refused(kind.0));
        assert_eq!(pair.a.closed(), [CloseReason::Replaced]);
    }
}

/// RFC 7296 §2.25: what the peer says it does not have is gone here too, and a new pair takes its place.
/// strongSwan `child_rekey` `regular_responder_lost_sa`.
#[test]
fn child_that_the_peer_lost_is_made_anew() {
    let mut pair = refused(NotifyType::CHILD_SA_NOT_FOUND);
    let old = pair.trace.matches("A removes").count();
    pair.settle(LONG);
    assert_eq!(old, 1, "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert!(newest(&pair.a).may_send);
    assert_eq!(pair.b.installed.last().expect("made").outbound, newest(&pair.a).inbound);
    assert_eq!(pair.a.endpoint.status().count(), 1);
}

/// RFC 7296 §2.8: rekeys in a row on a bad cable: one pair is left each time, and no slot or buffer
/// stays behind.
#[test]
fn many_rekeys_leave_nothing_behind() {
    let mut pair = standing(7);
    for round in 0..1_000 {
        pair.link.odds = Odds { drop: 5, duplicate: 2, delay: 2, corrupt: 0 };
        let old = spis(&pair.a);
        match round % 3 {
            0 => soften(&mut pair.a, pair.now),
            1 => soften(&mut pair.b, pair.now),
            _ => {
                soften(&mut pair.a, pair.now);
                soften(&mut pair.b, pair.now);
            }
        }
        pair.settle(MINUTES);
        assert_replaced(&pair, &old, &format!("round {round}"));
        pair.trace.clear();
        pair.datagrams.clear();
        pair.a.events.clear();
        pair.b.events.clear();
    }
    pair.link.odds = Odds::default();
    pair.a.endpoint.close(pair.now, PEER);
    pair.settle(MINUTES);
    assert_eq!(pair.a.closed(), [CloseReason::Requested]);
    assert_eq!(pair.a.endpoint.status().count() + pair.b.endpoint.status().count(), 0);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
    for _ in 0..3 {
        pair.initiate();
        pair.settle(LONG);
        assert!(pair.agree() && pair.a.installed.len() == 1);
        pair.a.endpoint.close(pair.now, PEER);
        pair.settle(LONG);
    }
}
