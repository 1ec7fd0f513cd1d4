//! Packets that wait for their SA, and packets that do not fit: what the port between adapter and
//! network task does.

mod adapter;

use std::task::{Context, Poll, Waker};

use adapter::cable::{Cable, MARKER, Medium};
use adapter::host::{Host, PROTECTED, Under, Version, pass, spi};
use adapter::packets::{framed, udp};
use esp_engine::engine::Output;
use esp_engine::hold;
use esp_engine::sa::Mode;
use smoltcp::socket::tcp;
use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, IpAddress, Ipv4Packet, Ipv6Packet};

const ALL: [(Under, Version); 4] = [
    (Under::Driver, Version::V4),
    (Under::Driver, Version::V6),
    (Under::Device, Version::V4),
    (Under::Device, Version::V6),
];

const ESP: Option<u8> = Some(50);

fn moved(host: &Host) -> Poll<()> {
    host.port.poll_moved(&mut Context::from_waker(Waker::noop()))
}

fn acquired(host: &Host) -> bool {
    let output = host.engine.borrow_mut().poll_output();
    matches!(output, Output::Acquire { policy: PROTECTED, packet } if packet.destination == host_address(packet.source))
}

fn host_address(source: std::net::IpAddr) -> std::net::IpAddr {
    if source.is_ipv4() { Version::V4.address(1) } else { Version::V6.address(1) }
}

/// A host whose stack has begun to connect: addresses are resolved, the SYN waits.
fn connecting(cable: &Cable, under: Under, version: Version) -> [Host; 2] {
    let mut hosts = [0, 1].map(|side| Host::new(cable, side, under, Medium::Ethernet));
    let buffer = || tcp::SocketBuffer::new(vec![0; 1_024]);
    let handle = hosts[0].sockets.add(tcp::Socket::new(buffer(), buffer()));
    let remote = (IpAddress::from(version.address(1)), 179);
    let [client, _] = &mut hosts;
    client.sockets.get_mut::<tcp::Socket>(handle).connect(client.iface.context(), remote, 50_000).unwrap();
    for _ in 0..4 {
        hosts.iter_mut().for_each(|host| _ = host.poll());
        pass(100);
    }
    hosts
}

/// Adapter rule: a held packet leaves an otherwise idle stack as soon as its SA is installed.
#[test]
fn a_held_packet_leaves_an_idle_stack_once_its_sa_is_installed() {
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ethernet, 1_500);
        let [mut client, _server] = connecting(&cable, under, version);
        assert_eq!(client.port.counters().held, 1, "{under:?} {version:?}");
        assert_eq!(moved(&client), Poll::Ready(()));
        assert!(acquired(&client));
        assert!(!cable.take_protocols().contains(&ESP));
        client.poll();
        assert!(cable.take_seen().is_empty());

        client.woken.take();
        client.install(version);
        if under == Under::Driver {
            assert_eq!(client.woken.take(), 1, "the stack must be woken");
        }
        client.poll();
        let seen = cable.take_seen();
        assert_eq!(seen.len(), 1, "{under:?} {version:?}");
        assert_eq!(seen[0][..6], [2, 0, 0, 0, 0, 2], "to the address that was resolved before");
        assert_eq!(client.port.counters().released, 1);
    }
}

/// The waker of the network task fires when the engine has something to say.
#[test]
fn the_network_task_is_woken_by_packets() {
    let cable = Cable::new(Medium::Ip, 1_500);
    let mut host = Host::new(&cable, 0, Under::Driver, Medium::Ip);
    let woken = std::sync::Arc::new(adapter::host::Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert_eq!(host.port.poll_moved(&mut cx), Poll::Pending);
    host.transmit(&udp(Version::V4, 1, (7, 7), MARKER));
    assert_eq!(woken.take(), 1);
    assert_eq!(host.port.poll_moved(&mut cx), Poll::Ready(()));
    assert_eq!(host.port.poll_moved(&mut cx), Poll::Pending);
}

/// RFC 7296 §2.8: a responder waits for a packet on the new SA, which shows that the peer has it.
#[test]
fn what_waits_for_a_sign_of_the_peer_leaves_when_it_comes() {
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ip, 1_500);
        let [mut us, mut peer] = [0, 1].map(|side| Host::new(&cable, side, under, Medium::Ip));
        us.transmit(&udp(version, 1, (7, 7), MARKER));
        us.install_pair(version, false);
        assert!(us.receive().is_empty());
        assert!(cable.take_seen().is_empty(), "{under:?} {version:?}");

        peer.install(version);
        peer.transmit(&udp(version, 0, (8, 8), MARKER));
        assert_eq!(cable.take_protocols(), [ESP]);
        assert_eq!(us.receive().len(), 1);
        assert_eq!(cable.take_protocols(), [ESP]);
        assert_eq!(peer.receive(), [udp(version, 1, (7, 7), MARKER)]);
    }
}

/// RFC 7296 §2.8: a peer may send on an SA before we hear that it has it. A stranger's packets do not wait.
#[test]
fn what_comes_before_its_sa_reaches_the_stack_once_the_sa_is_there() {
    for under in [Under::Driver, Under::Device] {
        let cable = Cable::new(Medium::Ip, 1_500);
        let [mut us, mut peer] =
            [0, 1].map(|side| Host::over(cable.end(side), side, under, Medium::Ip, Mode::Tunnel));
        peer.install_sa(Mode::Tunnel, Version::V4, Version::V4, true);
        peer.transmit(&udp(Version::V4, 0, (7, 7), b"stranger"));
        us.receive();
        assert_eq!(us.port.counters().early, 0);

        us.install_sa(Mode::Tunnel, Version::V6, Version::V4, true);
        peer.transmit(&udp(Version::V4, 0, (8, 8), b"early"));
        us.receive();
        assert_eq!(us.port.counters().early, 1);
        us.woken.take();
        us.install_sa(Mode::Tunnel, Version::V4, Version::V4, true);
        if under == Under::Driver {
            assert_eq!(us.woken.take(), 1, "the stack must be woken");
        }
        assert_eq!(us.receive(), [udp(Version::V4, 0, (8, 8), b"early")]);
        assert!(us.receive().is_empty(), "once");
    }
}

#[test]
fn few_packets_wait_and_not_for_ever() {
    for under in [Under::Driver, Under::Device] {
        let cable = Cable::new(Medium::Ip, 1_500);
        let mut host = Host::new(&cable, 0, under, Medium::Ip);
        for n in 0..3 {
            host.transmit(&udp(Version::V4, 1, (7, 7), &[MARKER, &[n]].concat()));
        }
        let counters = host.port.counters();
        assert_eq!((counters.held, counters.hold_full), (2, 1));
        for port in 100..200 {
            host.transmit(&udp(Version::V4, 1, (port, 7), MARKER));
        }
        assert_eq!(host.port.counters().held, hold::PACKETS as u32);

        pass(hold::TIMEOUT.as_millis() as u64);
        host.install(Version::V4);
        assert!(host.receive().is_empty());
        assert!(cable.take_seen().is_empty());
        assert_eq!(host.port.counters().hold_expired, hold::PACKETS as u32);
    }
}

/// Packets of another flow keep waiting when an SA that does not serve them comes.
#[test]
fn an_sa_releases_what_it_serves_only() {
    let cable = Cable::new(Medium::Ip, 1_500);
    let mut host = Host::new(&cable, 0, Under::Driver, Medium::Ip);
    host.transmit(&udp(Version::V4, 1, (7, 7), MARKER));
    host.transmit(&udp(Version::V6, 1, (7, 7), MARKER));
    host.install(Version::V6);
    host.receive();
    assert_eq!(cable.take_seen().iter().map(|packet| packet[0] >> 4).collect::<Vec<_>>(), [6]);
    host.install(Version::V4);
    host.receive();
    assert_eq!(cable.take_seen().iter().map(|packet| packet[0] >> 4).collect::<Vec<_>>(), [4]);
}

#[test]
fn after_a_remove_nothing_leaves_in_clear() {
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ip, 1_500);
        let mut host = Host::new(&cable, 0, under, Medium::Ip);
        host.install(version);
        host.transmit(&udp(version, 1, (7, 7), MARKER));
        assert_eq!(cable.take_protocols(), [ESP]);
        assert!(host.engine.borrow_mut().remove(spi(version, 0)));
        host.port.wake();
        host.transmit(&udp(version, 1, (7, 7), MARKER));
        host.receive();
        assert!(cable.take_seen().is_empty());
        assert_eq!(host.port.counters().held, 1);
    }
}

/// A driver without a free frame keeps nothing from leaving later.
#[test]
fn what_finds_the_driver_full_leaves_when_there_is_room() {
    for under in [Under::Driver, Under::Device] {
        let cable = Cable::new(Medium::Ip, 1_500);
        let end = cable.end(0);
        let full = end.full.clone();
        let mut host = Host::over(end, 0, under, Medium::Ip, Mode::Transport);
        host.transmit(&udp(Version::V4, 1, (7, 7), MARKER));
        host.install(Version::V4);
        host.transmit(&udp(Version::V4, 1, (8, 8), &[b'x'; 1_472]));
        full.set(true);
        assert!(host.receive().is_empty());
        assert!(cable.take_seen().is_empty());
        full.set(false);
        assert_eq!(host.receive().len(), 1, "the error about the second packet");
        assert_eq!(cable.take_protocols(), [ESP]);
        assert_eq!(host.port.counters().released, 1);
    }
}

/// RFC 1191 §4, RFC 4443 §3.2: the stack hears that a packet does not fit, from its destination.
#[test]
fn the_stack_is_told_what_fits() {
    for (under, version) in ALL {
        for medium in [Medium::Ethernet, Medium::Ip] {
            let cable = Cable::new(medium, 1_500);
            let mut host = Host::new(&cable, 0, under, medium);
            host.install(version);
            host.receive();
            host.woken.take();
            let headers = if version == Version::V4 { 28 } else { 48 };
            let packet = udp(version, 1, (7, 7), &vec![b'x'; 1_500 - headers]);
            host.transmit(&framed(medium, 1, &packet));
            assert!(cable.take_seen().is_empty());
            assert_eq!(host.port.counters().too_big, 1);
            assert!(under == Under::Device || host.woken.take() == 1, "the stack must come back for it");

            let errors = host.receive();
            assert_eq!(errors.len(), 1, "{under:?} {version:?} {medium:?}");
            let error = &errors[0][medium.header()..];
            if medium == Medium::Ethernet {
                assert_eq!(errors[0][..12], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
            }
            let mtu = match version {
                Version::V4 => {
                    let outer = Ipv4Packet::new_checked(error).unwrap();
                    assert!(outer.verify_checksum());
                    assert_eq!(std::net::IpAddr::from(outer.dst_addr()), version.address(0));
                    let icmp = Icmpv4Packet::new_checked(outer.payload()).unwrap();
                    assert!(icmp.verify_checksum());
                    assert_eq!(outer.payload()[..2], [3, 4]);
                    assert_eq!(outer.payload()[8..][..64], packet[..64]);
                    u16::from_be_bytes([outer.payload()[6], outer.payload()[7]])
                }
                Version::V6 => {
                    let outer = Ipv6Packet::new_checked(error).unwrap();
                    assert_eq!(std::net::IpAddr::from(outer.dst_addr()), version.address(0));
                    let icmp = Icmpv6Packet::new_checked(outer.payload()).unwrap();
                    assert!(icmp.verify_checksum(&outer.src_addr(), &outer.dst_addr()));
                    assert_eq!(outer.payload()[..2], [2, 0]);
                    assert_eq!(outer.payload()[8..][..64], packet[..64]);
                    u16::from_be_bytes([outer.payload()[6], outer.payload()[7]])
                }
            };
            // What is told fits, and an octet more does not.
            for (octets, leaves) in [(usize::from(mtu), 1), (usize::from(mtu) + 1, 0)] {
                let packet = udp(version, 1, (7, 7), &vec![b'x'; octets - headers]);
                host.transmit(&framed(medium, 1, &packet));
                assert_eq!(cable.take_seen().len(), leaves, "{octets}");
            }
        }
    }
}
