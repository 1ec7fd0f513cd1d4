//! Two stacks of smoltcp talk over both adapters, both IP versions and both media: everything that
//! crosses the cable is ESP, and nothing is copied more often than the adapter rules allow.

mod adapter;

use adapter::cable::{Cable, MARKER, Medium, Route};
use adapter::host::{Host, Under, Version, now, pass};
use adapter::packets::{framed, udp};
use esp_engine::sa::Mode;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{icmp, tcp};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress};

const MEGABYTE: usize = 1 << 20;
const ESP: Option<u8> = Some(50);

/// Every adapter under every version.
const ALL: [(Under, Version); 4] = [
    (Under::Driver, Version::V4),
    (Under::Driver, Version::V6),
    (Under::Device, Version::V4),
    (Under::Device, Version::V6),
];

fn hosts(cable: &Cable, under: Under, medium: Medium, version: Version) -> [Host; 2] {
    let hosts = [0, 1].map(|side| Host::new(cable, side, under, medium));
    hosts.iter().for_each(|host| host.install(version));
    hosts
}

/// Plain text that the cable knows.
fn text(length: usize) -> Vec<u8> {
    MARKER.iter().copied().cycle().take(length).collect()
}

fn tcp_socket(host: &mut Host) -> SocketHandle {
    let buffer = || tcp::SocketBuffer::new(vec![0; 32 * 1024]);
    host.sockets.add(tcp::Socket::new(buffer(), buffer()))
}

/// Sends `text` from host 0 to host 1 over TCP; what arrived.
fn transfer(hosts: &mut [Host; 2], version: Version, text: &[u8]) -> Vec<u8> {
    let [client, server] = hosts;
    let (to, from) = (tcp_socket(client), tcp_socket(server));
    server.sockets.get_mut::<tcp::Socket>(from).listen(179).unwrap();
    let remote = (IpAddress::from(version.address(1)), 179);
    client.sockets.get_mut::<tcp::Socket>(to).connect(client.iface.context(), remote, 50_000).unwrap();
    let (mut sent, mut received) = (0, Vec::new());
    let end = now().as_millis() + 60_000;
    while received.len() < text.len() {
        assert!(now().as_millis() < end, "{} of {} octets arrived", received.len(), text.len());
        let socket = client.sockets.get_mut::<tcp::Socket>(to);
        if socket.can_send() {
            sent += socket.send_slice(&text[sent..]).unwrap();
        }
        client.poll();
        server.poll();
        let socket = server.sockets.get_mut::<tcp::Socket>(from);
        while socket.can_recv() {
            socket.recv(|octets| (octets.len(), received.extend_from_slice(octets))).unwrap();
        }
        pass(1);
    }
    received
}

/// Whether host 1 answers an echo request of host 0 that carries `text`.
fn ping(hosts: &mut [Host; 2], version: Version, text: &[u8]) -> bool {
    let [client, server] = hosts;
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 8 * 1024]);
    let handle = client.sockets.add(icmp::Socket::new(buffer(), buffer()));
    let (local, remote) = (version.address(0), version.address(1));
    let socket = client.sockets.get_mut::<icmp::Socket>(handle);
    socket.bind(icmp::Endpoint::Ident(7)).unwrap();
    let octets = socket.send(8 + text.len(), remote.into()).unwrap();
    match (local, remote) {
        (std::net::IpAddr::V6(local), std::net::IpAddr::V6(remote)) => {
            let echo = Icmpv6Repr::EchoRequest { ident: 7, seq_no: 1, data: text };
            echo.emit(&local, &remote, &mut Icmpv6Packet::new_unchecked(octets), &Default::default());
        }
        _ => {
            let echo = Icmpv4Repr::EchoRequest { ident: 7, seq_no: 1, data: text };
            echo.emit(&mut Icmpv4Packet::new_unchecked(octets), &Default::default());
        }
    }
    for _ in 0..100 {
        client.poll();
        server.poll();
        pass(1);
    }
    let socket = client.sockets.get_mut::<icmp::Socket>(handle);
    socket.can_recv() && socket.recv().unwrap().0.ends_with(text)
}

#[test]
fn a_megabyte_and_a_ping_cross_as_esp_only() {
    for (under, version) in ALL {
        for medium in [Medium::Ethernet, Medium::Ip] {
            let cable = Cable::new(medium, 1_500);
            let mut hosts = hosts(&cable, under, medium, version);
            assert!(ping(&mut hosts, version, &text(56)), "{under:?} {version:?} {medium:?}");
            assert!(transfer(&mut hosts, version, &text(MEGABYTE)) == text(MEGABYTE));
            let protocols = cable.take_protocols();
            let clear = protocols.iter().filter(|protocol| **protocol != ESP).count();
            // A question and an answer of address resolution from each side at most.
            assert!(clear <= if medium == Medium::Ethernet { 4 } else { 0 }, "{clear} clear frames");
            assert!(protocols.len() > MEGABYTE / 1_500);
        }
    }
}

/// The largest segment fills the cable's MTU exactly or misses it by less than a block of padding.
#[test]
fn the_stack_sees_a_lowered_mtu_and_does_every_checksum() {
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ethernet, 1_500);
        let mut hosts = hosts(&cable, under, Medium::Ethernet, version);
        let capabilities = smoltcp::phy::Device::capabilities(&hosts[0].link);
        assert_eq!(
            capabilities.max_transmission_unit,
            14 + usize::from(hosts[0].engine.borrow().stack_mtu())
        );
        assert!(capabilities.max_transmission_unit < 1_514);
        assert!(capabilities.checksum.tcp.tx() && capabilities.checksum.tcp.rx());
        assert!(capabilities.checksum.ipv4.tx() && capabilities.checksum.ipv4.rx());
        assert!(capabilities.checksum.icmpv6.tx() && capabilities.checksum.icmpv6.rx());
        transfer(&mut hosts, version, &text(100_000));
        let largest = cable.take_seen().iter().map(Vec::len).max().unwrap();
        assert!((1_500..=1_514).contains(&largest), "{under:?} {version:?}: {largest}");
    }
}

/// Adapter rule: one copy a packet and direction, and none inwards where the driver lends its frame.
#[test]
fn a_packet_is_copied_once_at_most() {
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ip, 1_500);
        let mut hosts = hosts(&cable, under, Medium::Ip, version);
        transfer(&mut hosts, version, &text(100_000));
        let sealed: u64 = cable.take_seen().iter().map(|frame| frame.len() as u64).sum();
        let [client, server] = hosts.map(|host| host.port.counters());
        let frames = u64::from(client.sent + server.sent);
        let out = client.octets_copied_out + server.octets_copied_out;
        // ESP adds header, IV, up to 3 octets of padding, trailer and ICV to what was copied once.
        let overhead = 8 + 8 + 2 + 16;
        assert!(out <= sealed - frames * overhead, "{under:?}: {out} of {sealed}");
        assert!(out >= sealed - frames * (overhead + 3), "{under:?}: {out} of {sealed}");
        let within = client.octets_copied_in + server.octets_copied_in;
        assert_eq!(within, if under == Under::Driver { 0 } else { sealed });
    }
}

/// RFC 4303 §3.3.4: a router, or the source itself, cut ESP into fragments.
#[test]
fn fragmented_esp_reaches_the_stack_whole() {
    for (under, version) in ALL {
        for medium in [Medium::Ethernet, Medium::Ip] {
            let cable = Cable::new(medium, 1_500);
            let mut hosts = [0, 1].map(|side| {
                let mut end = cable.end(side);
                end.route = Route::Fragmenting(704);
                let host = Host::over(end, side, under, medium, Mode::Transport);
                host.install(version);
                host
            });
            assert!(ping(&mut hosts, version, &text(1_000)), "{under:?} {version:?} {medium:?}");
            assert!(transfer(&mut hosts, version, &text(100_000)) == text(100_000));
            let counters = hosts[1].port.counters();
            assert!(counters.reassembled > 60, "{counters:?}");
            assert_eq!(counters.fragments_dropped, 0);
        }
    }
}

/// RFC 3948: fragments of UDP 4500, whose later ones show no port.
#[test]
fn fragmented_udp_encapsulation_reaches_the_stack_whole() {
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ip, 1_500);
        let mut hosts = [0, 1].map(|side| {
            let mut end = cable.end(side);
            end.route = Route::Fragmenting(400);
            let host = Host::over(end, side, under, Medium::Ip, Mode::Transport);
            host.install(version);
            host.encapsulate(version);
            host
        });
        assert!(ping(&mut hosts, version, &text(1_000)), "{under:?} {version:?}");
        assert_eq!(cable.take_protocols(), [Some(17), Some(17)]);
        let counters = hosts[1].port.counters();
        assert_eq!((counters.fragments, counters.reassembled), (3, 1));
    }
}

/// In tunnel mode the packet outside may be of the other version: the link header names what is there.
#[test]
fn a_tunnel_between_versions_names_the_right_ether_type() {
    for (under, inner) in ALL {
        let outer = if inner == Version::V4 { Version::V6 } else { Version::V4 };
        let cable = Cable::new(Medium::Ethernet, 1_500);
        let mut hosts = [0, 1].map(|side| {
            let host = Host::over(cable.end(side), side, under, Medium::Ethernet, Mode::Tunnel);
            host.install_sa(Mode::Tunnel, inner, outer, true);
            host
        });
        let frame = framed(Medium::Ethernet, 1, &udp(inner, 1, (7, 7), MARKER));
        hosts[0].transmit(&frame);
        let seen = cable.take_seen();
        assert_eq!(seen[0][..12], frame[..12]);
        assert_eq!(seen[0][12..14], if outer == Version::V4 { [0x08, 0x00] } else { [0x86, 0xDD] });
        assert_eq!(hosts[1].receive(), [frame], "{under:?} {inner:?}");
    }
}

/// The state that an adapter adds to an engine, for machines that count octets.
#[test]
fn an_adapter_owns_less_than_fourteen_kilobytes() {
    use esp_engine::adapter::{Buffers, Port};
    let octets = size_of::<Port>() + size_of::<Buffers>();
    println!("port {} and buffers {} octets", size_of::<Port>(), size_of::<Buffers>());
    assert!(octets < 14 * 1_024, "{octets}");
}
