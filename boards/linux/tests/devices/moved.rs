//! Devices that get another address of their own while packets flow. A policy behind the one that protects would let
//! everything pass: nothing does, from neither address.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

use buttons::cable::Cable;
use buttons::{executor, time};
use embassy_futures::join::join;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use firmware::config::{Action, Config, Policy, Site};
use firmware::management::{Request, Response};

use crate::gateways::{inner, run_inner};
use crate::stage::*;

/// When the last answer came, in ms.
pub type Heard = Rc<Cell<u64>>;

/// Sends the marker ten times a second and notes when it came back last.
pub async fn ping(stack: Stack<'_>, to: IpAddr, heard: Heard) {
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
    let (mut rx, mut tx) = (vec![0; 4096], vec![0; 4096]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(PORT).unwrap();
    let mut octets = vec![0; 1500];
    loop {
        let _ = socket.send_to(MARKER, IpEndpoint::new(to.into(), PORT)).await;
        if with_timeout(Duration::from_millis(80), socket.recv_from(&mut octets)).await.is_ok() {
            heard.set(Instant::now().as_millis());
        }
        Timer::after(Duration::from_millis(100)).await;
    }
}

pub async fn pong(stack: Stack<'_>) {
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
    let (mut rx, mut tx) = (vec![0; 4096], vec![0; 4096]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(PORT).unwrap();
    let mut octets = vec![0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut octets).await.unwrap();
        let _ = socket.send_to(&octets[..length], from.endpoint).await;
    }
}

fn site(address: &str, gateway: Option<&str>) -> Site {
    Site { address: prefix(address), gateway: gateway.map(|via| via.parse().unwrap()) }
}

pub async fn put(device: &Surroundings, address: &str) -> Response {
    device.management.ask(Request::Put(site(address, None))).await
}

/// Everything that no earlier policy is for passes in clear.
pub fn open(local: &str, remote: &str) -> Policy {
    let mut policy = protect(local, remote, Mode::Transport, Level::Pinned, "nobody");
    policy.name = "rest".try_into().unwrap();
    policy.action = Action::Bypass;
    policy
}

/// Near, which is for its own address, and far, which takes it wherever it is.
fn wandering_hosts(v4: bool) -> [Config; 2] {
    let [mut near, mut far] = hosts(v4);
    let (network, all) = if v4 { ("192.0.2.0/24", "0.0.0.0/0") } else { ("2001:db8::/64", "::/0") };
    far.peers[0].address = None;
    far.policies[0].remote = prefix(network).into();
    for config in [&mut near, &mut far] {
        config.policies.push(open(all, all)).unwrap();
    }
    [near, far]
}

/// The sources of what is neither IKE nor neighbour discovery, in the frames behind the first `from`.
pub fn sources(cable: &Cable, from: usize) -> Vec<IpAddr> {
    let seen = cable.seen();
    let packets = seen[from..]
        .iter()
        .filter(|seen| seen.octets[12..14] == [8, 0] || seen.octets[12..14] == [0x86, 0xDD]);
    let mut sources: Vec<IpAddr> = packets
        .map(|seen| match seen.octets[12] {
            8 => <[u8; 4]>::try_from(&seen.octets[26..30]).unwrap().into(),
            _ => <[u8; 16]>::try_from(&seen.octets[22..38]).unwrap().into(),
        })
        .collect();
    sources.sort();
    sources.dedup();
    sources
}

#[test]
fn host_moves_under_traffic_and_back() {
    for v4 in [true, false] {
        let [first, second, other] = if v4 {
            ["192.0.2.1/24", "192.0.2.9/24", "192.0.2.2"]
        } else {
            ["2001:db8::1/64", "2001:db8::9/64", "2001:db8::2"]
        };
        let to: IpAddr = other.parse().unwrap();
        time::make_virtual();
        let cable = Cable::new(1);
        let [near, far] = [Surroundings::new(), Surroundings::new()];
        let configs = wandering_hosts(v4);
        let heard = Heard::default();
        let tasks: Vec<executor::Task> = vec![
            // The connection was made from the first address and lives there for ever.
            Box::pin(run_host(near.board(&configs[0]), plug(&cable, 1), async |stack| {
                join(ping(stack, to, heard.clone()), call_for_ever(stack, to)).await;
            })),
            Box::pin(run_host(far.board(&configs[1]), plug(&cable, 2), async |stack| {
                join(pong(stack), echo(stack)).await;
            })),
        ];
        let main = async {
            Timer::after(Duration::from_secs(10)).await;
            assert!(heard.get() > 9_000, "{:#?}", near.log.borrow());
            for address in [second, first, second] {
                let before = cable.seen().len();
                assert_eq!(put(&near, address).await, Response::Done);
                let from = Instant::now().as_millis();
                until(20, || heard.get() > from).await;
                assert!(
                    heard.get() > from && heard.get() < from + 2_000,
                    "{:#?}\n{:#?}",
                    near.log.borrow(),
                    far.log.borrow()
                );
                Timer::after(Duration::from_secs(30)).await;
                let own: IpAddr = address.split('/').next().unwrap().parse().unwrap();
                assert!(
                    sources(&cable, before).iter().all(|source| [own, to].contains(source)),
                    "{:?}",
                    sources(&cable, before)
                );
                for device in [&near, &far] {
                    let status = device.status().await;
                    assert_eq!((status.ike_sas.len(), status.child_sas.len()), (1, 1), "{status:#?}");
                }
                assert_eq!(near.status().await.outside[0], site(address, None));
                assert_eq!(far.status().await.ike_sas[0].remote.ip(), own);
            }
            let overheard = overhear(&cable);
            assert!(overheard.other == 0 && overheard.esp > 300, "{overheard:?}");
        };
        executor::run(main, tasks).unwrap();
    }
}

/// Keeps a connection busy; it is never over.
async fn call_for_ever(stack: Stack<'_>, to: IpAddr) {
    let (mut rx, mut tx) = (vec![0; 8192], vec![0; 8192]);
    let mut socket = embassy_net::tcp::TcpSocket::new(stack, &mut rx, &mut tx);
    socket.connect(IpEndpoint::new(to.into(), PORT)).await.expect("connects");
    let (mut reader, mut writer) = socket.split();
    let send = async {
        loop {
            let _ = writer.write(MARKER).await;
            Timer::after(Duration::from_millis(300)).await;
        }
    };
    let receive = async {
        let mut octets = vec![0; 4096];
        while let Ok(1..) = reader.read(&mut octets).await {}
    };
    join(send, receive).await;
}

/// Either gateway moves, with MOBIKE and without: tunnels go on, and hosts behind notice nothing but a pause.
#[test]
fn gateway_moves_under_traffic() {
    for (mobike, mover) in [(true, 0), (false, 0), (true, 1), (false, 1)] {
        time::make_virtual();
        let mut configs = gateways();
        for config in &mut configs {
            config.mobike = mobike;
            config.policies.push(open("0.0.0.0/0", "0.0.0.0/0")).unwrap();
        }
        configs[1].peers[0].address = None;
        let (outside, near_inside, far_inside) = (Cable::new(1), Cable::new(2), Cable::new(3));
        let devices = [Surroundings::new(), Surroundings::new()];
        let heard = Heard::default();
        let tasks: Vec<executor::Task> = vec![
            Box::pin(run_gateway(devices[0].board(&configs[0]), [plug(&outside, 1), plug(&near_inside, 11)])),
            Box::pin(run_gateway(devices[1].board(&configs[1]), [plug(&outside, 2), plug(&far_inside, 12)])),
            Box::pin(run_inner(plug(&near_inside, 21), inner(&configs[0], 2), async |stack| {
                ping(stack, "10.2.0.2".parse().unwrap(), heard.clone()).await;
            })),
            Box::pin(run_inner(plug(&far_inside, 22), inner(&configs[1], 2), pong)),
        ];
        let main = async {
            Timer::after(Duration::from_secs(10)).await;
            assert!(heard.get() > 9_000, "{:#?}", devices[0].log.borrow());
            assert_eq!(put(&devices[mover], "192.0.2.9/24").await, Response::Done);
            let from = Instant::now().as_millis();
            until(20, || heard.get() > from + 1_000).await;
            assert!(
                heard.get() > from + 1_000,
                "{mobike} {mover} {:#?}\n{:#?}",
                devices[0].log.borrow(),
                devices[1].log.borrow()
            );
            Timer::after(Duration::from_secs(30)).await;
            for device in &devices {
                let status = device.status().await;
                // Whoever calls the old address still is not answered there.
                let standing = status.ike_sas.iter().filter(|sa| sa.established).count();
                assert_eq!((standing, status.child_sas.len()), (1, 1), "{mobike} {mover} {status:#?}");
            }
            let moved: IpAddr = "192.0.2.9".parse().unwrap();
            let other = devices[1 - mover].status().await;
            assert!(other.ike_sas.iter().any(|sa| sa.established && sa.remote.ip() == moved), "{other:#?}");
            // Only an end that began moves its IKE SA (RFC 4555 §1.3).
            assert_eq!(devices[mover].has_seen("Closed { "), !(mobike && mover == 0));
            overhear(&outside);
        };
        executor::run(main, tasks).unwrap();
    }
}

/// What cannot be is refused with its reason, and changes nothing.
#[test]
fn addresses_that_cannot_be_are_refused() {
    time::make_virtual();
    let (outside, inside) = (Cable::new(1), Cable::new(2));
    let (near, config) = (Surroundings::new(), &gateways()[0]);
    let tasks: Vec<executor::Task> =
        vec![Box::pin(run_gateway(near.board(config), [plug(&outside, 1), plug(&inside, 11)]))];
    let main = async {
        let cases = [
            ("10.1.7.7/24", None, "both interfaces"),
            ("192.0.2.2/24", None, "a peer's or a server's"),
            ("10.2.0.7/24", None, "a peer's or a server's"),
            ("224.0.0.1/24", None, "unicast"),
            ("0.0.0.0/24", None, "unicast"),
            ("192.0.2.255/24", None, "unicast"),
            ("192.0.2.9/33", None, "prefix length"),
            ("2001:db8::9/64", None, "no address of this family"),
            ("192.0.2.9/24", Some("198.51.100.1"), "no interface is attached"),
            ("192.0.2.9/24", Some("2001:db8::1"), "mixed"),
        ];
        for (address, gateway, words) in cases {
            let site = site(address, gateway);
            match near.management.ask(Request::Put(site)).await {
                Response::Refused(reason) => assert!(reason.contains(words), "{address}: {reason}"),
                other => panic!("{address}: {other:?}"),
            }
        }
        assert_eq!(near.status().await.outside[..], [site("192.0.2.1/24", None)]);
        assert!(!near.has_seen("Moved"));
    };
    executor::run(main, tasks).unwrap();
}
