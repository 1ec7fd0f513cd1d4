//! Packets that wait for a neighbour.

use super::*;

#[test]
fn an_unknown_neighbour_is_asked_for_and_its_packet_follows() {
    let config = gateway();
    let sealed = sealed_by_peer(&config, true);
    with_bench(&config, |mut near| {
        near.install(&config, 0, 0x8000_0000);
        near.now = Instant::ZERO;
        near.forwarding.tables.neighbours = Neighbours::new();
        let left = near.pass(OUTSIDE, &sealed);
        let [(INSIDE, question)] = &left[..] else { panic!("{left:?}") };
        let asked = link::read(HOST, question);
        assert_eq!(
            asked,
            Frame::Question {
                asker: Some(("10.1.0.1".parse().unwrap(), OUR_INSIDE)),
                target: "10.1.0.2".parse().unwrap(),
            }
        );
        let us = Own { link: HOST, address: "10.1.0.2".parse().unwrap() };
        let mut out = [0; link::MAX_MESSAGE];
        let asker = Some(("10.1.0.1".parse().unwrap(), OUR_INSIDE));
        let mut answer = link::answer(us, asker, &mut out).unwrap().to_vec();
        near.arrive(INSIDE, &mut answer);
        let left = near.left();
        let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        assert!(frame.ends_with(MARKER));
    });
}

/// Sealed before its neighbour is known: it waits sealed.
#[test]
fn a_sealed_packet_waits_for_the_way_to_the_peer() {
    let config = gateway();
    with_bench(&config, |mut near| {
        near.install(&config, 0, 0x8000_0000);
        near.forwarding.tables.neighbours = Neighbours::new();
        let left = near.pass(INSIDE, &from_inside(true, 64));
        let [(OUTSIDE, question)] = &left[..] else { panic!("{left:?}") };
        let Frame::Question { target, .. } = link::read(PEER, question) else { panic!() };
        assert_eq!(target, "192.0.2.2".parse::<IpAddr>().unwrap());
        let us = Own { link: PEER, address: target };
        let mut out = [0; link::MAX_MESSAGE];
        let asker = Some(("192.0.2.1".parse().unwrap(), OUR_OUTSIDE));
        let mut answer = link::answer(us, asker, &mut out).unwrap().to_vec();
        near.arrive(OUTSIDE, &mut answer);
        let left = near.left();
        let [(OUTSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        assert_eq!(frame[link::HEADER + 9], 50, "ESP");
    });
}

#[test]
fn a_host_that_does_not_answer_is_reported_to_the_source() {
    with_bench(&gateway(), |mut near| {
        let mut config = gateway();
        let route = crate::config::Route { to: prefix("10.9.0.0/16"), via: "10.1.0.9".parse().unwrap() };
        config.routes.push(route).unwrap();
        near.forwarding.routes = Routes::new(&config, &config.outside());
        let lost = packet("10.1.0.2", "10.9.0.1", UDP, 64, &datagram());
        assert_eq!(near.pass(INSIDE, &lost).len(), 1, "the first question");
        let mut errors = 0;
        for second in 1..=3 {
            near.now = Instant::from_millis(second * 1_000);
            for (_, frame) in near.left() {
                errors += u32::from(frame[12..14] == [8, 0] && frame[link::HEADER + 20..][..2] == [3, 1]);
            }
        }
        assert_eq!((errors, near.shared.counted().host_unreachable), (1, 1));
    });
}
