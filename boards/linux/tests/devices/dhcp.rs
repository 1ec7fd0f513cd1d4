//! Devices whose outer address a DHCP server gives (RFC 2131), on a cable with such a server, which is honest, silent,
//! moody or hostile.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};

use buttons::cable::{Cable, End};
use buttons::{executor, time};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Instant, Timer};
use firmware::config::{Config, Prefix, Start};
use firmware::management::Response;

use crate::gateways::{inner, run_inner};
use crate::moved::{Heard, open, ping, pong, put, sources};
use crate::stage::*;

/// What a server gives, and for how many seconds.
struct Server {
    gives: Cell<Ipv4Addr>,
    lease: Cell<u32>,
    is_silent: Cell<bool>,
    /// The kinds of the messages that it heard (RFC 2132 §9.6).
    heard: RefCell<Vec<u8>>,
}

impl Server {
    fn new(gives: [u8; 4], lease: u32) -> Self {
        Self {
            gives: Cell::new(gives.into()),
            lease: Cell::new(lease),
            is_silent: Cell::new(false),
            heard: RefCell::default(),
        }
    }

    /// The answer to a message, and where it goes.
    fn answer(&self, message: &[u8]) -> Option<(Vec<u8>, IpAddr)> {
        let kind = message[242];
        self.heard.borrow_mut().push(kind);
        let ours: Ipv4Addr = <[u8; 4]>::try_from(&message[12..16]).unwrap().into();
        let given = self.gives.get();
        let is_renewal = kind == 3 && !ours.is_unspecified();
        let answer = match kind {
            1 => 2,
            3 if is_renewal && ours != given => 6,
            _ => 5,
        };
        let mut octets = message[..240].to_vec();
        octets[0] = 2;
        octets[16..20].copy_from_slice(&given.octets());
        octets.extend([
            53, 1, answer, 54, 4, 192, 0, 2, 254, 1, 4, 255, 255, 255, 0, 3, 4, 192, 0, 2, 254, 6, 4, 192, 0,
            2, 66, 51, 4,
        ]);
        octets.extend(self.lease.get().to_be_bytes());
        octets.push(255);
        let to = if is_renewal && message[10] == 0 { ours } else { Ipv4Addr::BROADCAST };
        (!self.is_silent.get()).then_some((octets, to.into()))
    }

    async fn serve(&self, stack: Stack<'_>) {
        let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
        let (mut rx, mut tx) = (vec![0; 4096], vec![0; 4096]);
        let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
        socket.bind(67).unwrap();
        let mut octets = vec![0; 1500];
        loop {
            let (length, _) = socket.recv_from(&mut octets).await.unwrap();
            if let Some((answer, to)) = self.answer(&octets[..length]) {
                socket.send_to(&answer, IpEndpoint::new(to.into(), 68)).await.unwrap();
            }
        }
    }
}

fn at(address: &str) -> embassy_net::Config {
    let address = embassy_net::Ipv4Cidr::new(address.parse().unwrap(), 24);
    embassy_net::Config::ipv4_static(embassy_net::StaticConfigV4 {
        address,
        gateway: None,
        dns_servers: Default::default(),
    })
}

/// Near has its address from a server, and protects all traffic with far, which takes it wherever it is.
fn hosts_with_dhcp() -> [Config; 2] {
    let [mut near, mut far] = hosts(true);
    near.interfaces[0].addresses[0] = Prefix::DHCP;
    near.policies[0].local = prefix("0.0.0.0/32");
    near.policies.push(open("0.0.0.0/0", "0.0.0.0/0")).unwrap();
    far.peers[0].address = None;
    far.policies[0].remote = prefix("192.0.2.0/24").into();
    [near, far]
}

async fn run_server(server: &Server, end: End) {
    run_inner(end, at("192.0.2.254"), async |stack| server.serve(stack).await).await;
}

/// The sources of IPv4 packets since then that are not the server's or far's.
fn own_sources(cable: &Cable, from: usize) -> Vec<IpAddr> {
    let others: [IpAddr; 2] = [[192, 0, 2, 254].into(), [192, 0, 2, 2].into()];
    sources(cable, from).into_iter().filter(|source| !others.contains(source)).collect()
}

/// Runs near, whose address this server gives, and far on one cable until `main` is done; near calls far all the time.
fn with_hosts(server: &Server, main: impl AsyncFnOnce(&Cable, [&Surroundings; 2], &Heard)) {
    time::make_virtual();
    let cable = Cable::new(1);
    let [near, far] = [Surroundings::new(), Surroundings::new()];
    let configs = hosts_with_dhcp();
    let heard = Heard::default();
    let to: IpAddr = [192, 0, 2, 2].into();
    let tasks: Vec<executor::Task> = vec![
        Box::pin(run_host(near.board(&configs[0]), plug(&cable, 1), async |stack| {
            ping(stack, to, heard.clone()).await
        })),
        Box::pin(run_host(far.board(&configs[1]), plug(&cable, 2), pong)),
        Box::pin(run_server(server, plug(&cable, 254))),
    ];
    executor::run(main(&cable, [&near, &far], &heard), tasks).unwrap();
}

#[test]
fn host_has_its_address_from_a_server_and_follows_it() {
    let server = Server::new([192, 0, 2, 9], 120);
    with_hosts(&server, async |cable, [near, far], heard| {
        until(10, || heard.get() > 0).await;
        assert!(heard.get() > 0, "{:#?}", near.log.borrow());
        let site = near.status().await.outside[0];
        assert_eq!((site.address, site.gateway), (prefix("192.0.2.9/24"), Some([192, 0, 2, 254].into())));
        assert!(matches!(put(near, "192.0.2.77/24").await, Response::Refused(_)));

        // Renewed twice without anybody noticing.
        Timer::after(Duration::from_secs(130)).await;
        assert!(heard.get() + 1_000 > Instant::now().as_millis());
        assert!(
            !near.has_seen("Closed {") && server.heard.borrow().len() >= 4,
            "{:?}",
            server.heard.borrow()
        );

        // Another address, which the server insists on by refusing the old one.
        let before = cable.seen().len();
        server.gives.set([192, 0, 2, 10].into());
        until(90, || near.has_seen("192.0.2.10")).await;
        let from = Instant::now().as_millis();
        Timer::after(Duration::from_secs(5)).await;
        assert!(heard.get() > from, "{:#?}", near.log.borrow());
        let unspecified = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let own: [IpAddr; 3] = [unspecified, [192, 0, 2, 9].into(), [192, 0, 2, 10].into()];
        assert_eq!(own_sources(cable, before), own);
        for device in [near, far] {
            let status = device.status().await;
            assert_eq!((status.ike_sas.len(), status.child_sas.len()), (1, 1), "{status:#?}");
        }

        // The server is gone, and with it, when its time is over, the address; nothing more leaves.
        server.is_silent.set(true);
        Timer::after(Duration::from_secs(125)).await;
        assert!(near.status().await.outside.is_empty(), "{:#?}", near.log.borrow());
        let before = cable.seen().len();
        Timer::after(Duration::from_secs(100)).await;
        assert_eq!(own_sources(cable, before), [unspecified], "nothing but questions for an address");

        // The same address again.
        server.is_silent.set(false);
        let from = Instant::now().as_millis();
        until(100, || heard.get() > from).await;
        assert!(heard.get() > from, "{:#?}", near.log.borrow());
        let overheard = overhear(cable);
        assert_eq!(overheard.other, 0, "{overheard:?}");
    });
}

/// A server that offers what belongs to others, or is no address, gets nowhere and is counted; with a good offer all
/// goes well.
#[test]
fn hostile_leases_are_refused() {
    let server = Server::new([192, 0, 2, 2], 3_600);
    with_hosts(&server, async |cable, [near, _], heard| {
        for address in [[192, 0, 2, 2], [0; 4], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1], [192, 0, 2, 255]] {
            server.gives.set(address.into());
            Timer::after(Duration::from_secs(70)).await;
            assert!(
                near.has_seen(&format!("LeaseRefused {{ address: {}", Ipv4Addr::from(address))),
                "{:#?}",
                near.log.borrow()
            );
        }
        let status = near.status().await;
        assert!(status.outside.is_empty() && status.refused_leases >= 6, "{status:#?}");
        assert!(!server.heard.borrow().contains(&3) && own_sources(cable, 0) == [IpAddr::from([0; 4])]);
        server.gives.set([192, 0, 2, 9].into());
        until(70, || heard.get() > 0).await;
        assert!(heard.get() > 0, "{:#?}", near.log.borrow());
        overhear(cable);
    });
}

/// A gateway likewise, with a peer that it calls at once; what clients inside say on DHCP's ports does not leave.
#[test]
fn gateway_has_its_address_from_a_server() {
    time::make_virtual();
    let mut configs = gateways();
    configs[0].interfaces[0].addresses[0] = Prefix::DHCP;
    configs[0].peers[0].start = Start::AtOnce;
    configs[1].peers[0].address = None;
    let (outside, near_inside, far_inside) = (Cable::new(1), Cable::new(2), Cable::new(3));
    let [near, far] = [Surroundings::new(), Surroundings::new()];
    let (heard, server) = (Heard::default(), Server::new([192, 0, 2, 9], 120));
    let tasks: Vec<executor::Task> = vec![
        Box::pin(run_gateway(near.board(&configs[0]), [plug(&outside, 1), plug(&near_inside, 11)])),
        Box::pin(run_gateway(far.board(&configs[1]), [plug(&outside, 2), plug(&far_inside, 12)])),
        Box::pin(run_inner(plug(&near_inside, 21), inner(&configs[0], 2), async |stack| {
            Timer::after(Duration::from_secs(10)).await;
            ping(stack, "10.2.0.2".parse().unwrap(), heard.clone()).await;
        })),
        Box::pin(run_inner(plug(&far_inside, 22), inner(&configs[1], 2), pong)),
        Box::pin(run_inner(plug(&near_inside, 23), inner(&configs[0], 3), async |stack| {
            let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
            let (mut rx, mut tx) = (vec![0; 4096], vec![0; 4096]);
            let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
            socket.bind(68).unwrap();
            loop {
                let _ =
                    socket.send_to(MARKER, IpEndpoint::new(Ipv4Addr::new(192, 0, 2, 254).into(), 67)).await;
                Timer::after(Duration::from_secs(1)).await;
            }
        })),
        Box::pin(run_server(&server, plug(&outside, 254))),
    ];
    let main = async {
        until(9, || near.has_seen(" Established(")).await;
        assert!(
            near.has_seen(" Established("),
            "called as soon as there is an address: {:#?}",
            near.log.borrow()
        );
        until(20, || heard.get() > 0).await;
        assert!(heard.get() > 0, "{:#?}", near.log.borrow());
        server.gives.set([192, 0, 2, 10].into());
        until(90, || near.has_seen("192.0.2.10")).await;
        let from = Instant::now().as_millis();
        Timer::after(Duration::from_secs(5)).await;
        assert!(heard.get() > from + 3_000, "{:#?}", near.log.borrow());
        overhear(&outside);
    };
    executor::run(main, tasks).unwrap();
}
