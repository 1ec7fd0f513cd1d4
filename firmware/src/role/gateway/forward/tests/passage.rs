//! What passes, sealed or in clear as policy says.

use super::*;

#[test]
fn protected_packets_leave_sealed_and_reach_the_other_side() {
    let config = gateway();
    for v4 in [true, false] {
        with_bench(&config, |mut near| {
            let n = usize::from(!v4);
            near.install(&config, n, 0x8000_0000 + n as u32);
            let left = near.pass(INSIDE, &from_inside(v4, 64));
            let [(OUTSIDE, frame)] = &left[..] else { panic!("{left:?}") };
            assert_eq!((&frame[..6], &frame[6..12]), (&PEER[..], &OUR_OUTSIDE[..]));
            let mut sealed = frame[link::HEADER..].to_vec();
            far_end(&config, |far| {
                let Inbound::Deliver(clear) = far.engine.borrow_mut().inbound(far.now, &mut sealed) else {
                    panic!()
                };
                assert_eq!(sealed[clear], from_inside(v4, 63), "one hop spent, nothing else changed");
            });
        });
    }
}

#[test]
fn what_the_peer_sealed_reaches_the_host_behind_us() {
    let config = gateway();
    for v4 in [true, false] {
        let sealed = sealed_by_peer(&config, v4);
        with_bench(&config, |mut near| {
            let n = usize::from(!v4);
            near.install(&config, n, 0x8000_0000 + n as u32);
            let left = near.pass(OUTSIDE, &sealed);
            let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
            assert_eq!((&frame[..6], &frame[6..12]), (&HOST[..], &OUR_INSIDE[..]));
            assert!(frame.ends_with(MARKER));
            assert_eq!(near.pass(OUTSIDE, &sealed), [], "a replay does not");
        });
    }
}

/// RFC 7296 §2.8: a peer may send on a successor before we hear that there is one.
#[test]
fn what_comes_before_its_sa_passes_once_the_sa_is_there() {
    let config = gateway();
    let sealed = sealed_by_peer(&config, true);
    with_bench(&config, |mut near| {
        assert_eq!(near.pass(OUTSIDE, &sealed), []);
        assert_eq!(near.shared.counted().early, 0, "nobody is kept waiting for a stranger");
        near.install(&config, 0, 0x8000_0001);
        assert_eq!(near.pass(OUTSIDE, &sealed), []);
        assert_eq!(near.shared.counted().early, 1);
        near.install(&config, 0, 0x8000_0000);
        let left = near.left();
        assert_eq!(left.iter().map(|(port, _)| *port).collect::<List<_>>(), [INSIDE]);
        assert_eq!(near.left(), [], "once");
    });
}

/// RFC 4301 §5.2: a clear packet of a flow that policy protects.
#[test]
fn clear_packets_of_protected_flows_do_not_get_in() {
    let config = gateway();
    with_bench(&config, |mut near| {
        for (from, to) in [("10.2.0.1", "10.1.0.2"), ("fd00:b::1", "fd00:a::2")] {
            assert_eq!(near.pass(OUTSIDE, &packet(from, to, UDP, 64, &datagram())), []);
        }
        let counters = near.engine.borrow().counters().clone();
        assert_eq!(counters.dropped(DropReason::ClearWherePolicyProtects), 2);
    });
}

#[test]
fn a_packet_without_its_sa_waits_and_leaves_sealed() {
    let config = gateway();
    with_bench(&config, |mut near| {
        assert_eq!(near.pass(INSIDE, &from_inside(true, 64)), []);
        assert_eq!(near.shared.counted().held, 1);
        near.install(&config, 0, 0x8000_0000);
        let left = near.left();
        assert_eq!(left.iter().map(|(port, _)| *port).collect::<List<_>>(), [OUTSIDE]);
        assert_eq!(near.left(), [], "once");
    });
}

#[test]
fn a_packet_whose_sa_is_another_waits_on() {
    let config = gateway();
    with_bench(&config, |mut near| {
        assert_eq!(near.pass(INSIDE, &from_inside(true, 64)), []);
        near.install(&config, 1, 0x8000_0001);
        assert_eq!(near.left(), []);
        near.install(&config, 0, 0x8000_0000);
        assert_eq!(near.left().len(), 1);
    });
}

/// Policy bypasses IKE of our own addresses only.
#[test]
fn ike_is_let_in_for_us_and_not_through_to_others() {
    with_bench(&gateway(), |mut near| {
        let mut ike = List::from([0x11, 0x94, 0x11, 0x94, 0, 40, 0, 0]);
        ike.resize(40, 0);
        assert_eq!(near.pass(OUTSIDE, &packet("192.0.2.2", "10.1.0.2", UDP, 64, &ike)), []);
        assert_eq!(near.engine.borrow().counters().dropped(DropReason::NoPolicy), 1);
        assert_eq!(near.pass(OUTSIDE, &packet("192.0.2.2", "192.0.2.1", UDP, 64, &ike)), []);
        let mut cx = core::task::Context::from_waker(core::task::Waker::noop());
        let mut stack = super::super::super::local::LocalDriver { local: near.local, mtu: 1_400 };
        assert!(embassy_net_driver::Driver::receive(&mut stack, &mut cx).is_some(), "ours goes to the stack");
    });
}

#[test]
fn the_inside_address_answers_echo_requests_and_nothing_else() {
    with_bench(&gateway(), |mut near| {
        let mut request = [8, 0, 0, 0, 1, 2, 0, 1];
        Icmpv4Packet::new_unchecked(&mut request[..]).fill_checksum();
        let left = near.pass(INSIDE, &packet("10.1.0.2", "10.1.0.1", 1, 64, &request));
        let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        assert_eq!(frame[link::HEADER + 20], 0);
        assert_eq!(near.pass(INSIDE, &packet("10.1.0.2", "10.1.0.1", UDP, 64, &datagram())), []);
        assert_eq!(near.shared.counted().unserved, 1);
    });
}

#[test]
fn packets_of_our_own_stack_take_the_same_way() {
    let config = gateway();
    with_bench(&config, |mut near| {
        let ike = [&[1, 244, 1, 244, 0, 12, 0, 0][..], b"ike!"].concat();
        let (now, mut cable) = (near.now, Cable::default());
        near.forwarding.send_own(now, &mut packet("192.0.2.1", "192.0.2.2", UDP, 64, &ike), &mut cable);
        near.forwarding.send_own(
            now,
            &mut packet("192.0.2.1", "198.51.100.1", UDP, 64, &datagram()),
            &mut cable,
        );
        let [(OUTSIDE, frame)] = &cable.0[..] else {
            panic!("IKE leaves in clear, what no policy allows does not")
        };
        assert!(frame.ends_with(b"ike!"));
    });
}
