//! What goes no further, and who is told.

use super::*;

#[test]
fn a_spent_hop_limit_is_told_from_the_inside_address() {
    with_bench(&gateway(), |mut near| {
        for hop_limit in [0, 1] {
            let left = near.pass(INSIDE, &from_inside(true, hop_limit));
            let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
            let ip = Ipv4Packet::new_checked(&frame[link::HEADER..]).unwrap();
            assert_eq!(
                (ip.src_addr(), ip.dst_addr()),
                ("10.1.0.1".parse().unwrap(), "10.1.0.2".parse().unwrap())
            );
            assert_eq!(
                Icmpv4Packet::new_checked(ip.payload()).unwrap().msg_type(),
                smoltcp::wire::Icmpv4Message::TimeExceeded
            );
            let left = near.pass(INSIDE, &from_inside(false, hop_limit));
            let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
            let ip = Ipv6Packet::new_checked(&frame[link::HEADER..]).unwrap();
            assert_eq!(
                Icmpv6Packet::new_checked(ip.payload()).unwrap().msg_type(),
                smoltcp::wire::Icmpv6Message::TimeExceeded
            );
        }
        assert_eq!(near.shared.counted().time_exceeded, 4);
    });
}

/// RFC 4301 §8.2.1: what no longer fits once it is sealed.
#[test]
fn too_long_packets_are_told_what_fits() {
    let config = gateway();
    with_bench(&config, |mut near| {
        near.install(&config, 0, 0x8000_0000);
        let payload = [&[3, 232, 7, 208, 5, 184, 0, 0][..], &[7; 1_456]].concat();
        let left = near.pass(INSIDE, &packet("10.1.0.2", "10.2.0.1", UDP, 64, &payload));
        let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        let icmp = &frame[link::HEADER + 20..];
        assert_eq!(icmp[..2], [3, 4]);
        let fits = u16::from_be_bytes([icmp[6], icmp[7]]);
        assert!((1_400..1_484).contains(&fits), "{fits}");
        let longest = packet("10.1.0.2", "10.2.0.1", UDP, 64, &[7; 1_484][..usize::from(fits) - 20]);
        assert_eq!(near.pass(INSIDE, &longest)[0].0, OUTSIDE, "it was true");
    });
}

#[test]
fn what_policy_forbids_is_refused_with_an_error() {
    with_bench(&gateway(), |mut near| {
        let left = near.pass(INSIDE, &packet("10.1.0.2", "198.51.100.1", UDP, 64, &datagram()));
        let [(INSIDE, frame)] = &left[..] else { panic!("{left:?}") };
        assert_eq!(frame[link::HEADER + 20..][..2], [3, 13]);
        assert_eq!(near.shared.counted().prohibited, 1);
    });
}

#[test]
fn packets_that_no_router_passes_on_are_dropped() {
    with_bench(&gateway(), |mut near| {
        for (from, to) in
            [("10.1.0.2", "224.0.0.5"), ("10.1.0.2", "10.1.255.255"), ("10.1.0.2", "169.254.0.1")]
        {
            assert_eq!(near.pass(INSIDE, &packet(from, to, UDP, 64, &datagram())), []);
        }
        assert_eq!(near.pass(INSIDE, &packet("fd00:a::2", "fe80::1", UDP, 64, &datagram())), []);
        assert_eq!(near.shared.counted().unforwardable, 4);
        for from in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.1.0.1", "192.0.2.1"] {
            assert_eq!(near.pass(INSIDE, &packet(from, "10.2.0.1", UDP, 64, &datagram())), []);
        }
        assert_eq!(near.shared.counted().martian, 6);
        let mut damaged = from_inside(true, 64);
        damaged[10] ^= 1;
        assert_eq!(near.pass(INSIDE, &damaged), []);
        assert_eq!(near.pass(INSIDE, &[0x45, 0, 0]), []);
        assert_eq!(near.shared.counted().malformed, 2);
    });
}

#[test]
fn hostile_frames_do_no_harm() {
    let config = gateway();
    with_bench(&config, |mut near| {
        near.install(&config, 0, 0x8000_0000);
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let seeds = [from_inside(true, 64), from_inside(false, 64), sealed_by_peer(&config, true)];
        for round in 0..20_000 {
            let mut frame = [&[0; link::HEADER][..], &seeds[round % 3]].concat();
            let port = (round % 2) as u8;
            link::address(&mut frame, PEER, if port == OUTSIDE { OUR_OUTSIDE } else { OUR_INSIDE });
            for _ in 0..random() % 6 {
                let at = usize::from(random()) % frame.len();
                frame[at] = random();
            }
            frame.truncate(frame.len() - usize::from(random()) % 9 * usize::from(random() % 2));
            near.now = Instant::from_millis(round as u64);
            near.arrive(port, &mut frame);
            near.left();
        }
    });
}
