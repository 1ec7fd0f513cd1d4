//! A gateway that captures the names of its clients: what `why` says of one, while it is protected, while it cannot be,
//! and when its time is over.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;

use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Timer, with_timeout};
use esp_engine::spd::Level;
use firmware::management::explanation::{IkeStage, Origin, PolicyAction, Verdict};
use ike_core::discovery::ipseckey::Gateway;
use ike_core::pad::{Presence, Security};

use crate::inside::*;
use crate::stage::*;

/// Near protects what has a key, for two minutes at most, and lets the rest pass.
const OF_NEAR: &str = r#"
[dns]
servers = ["192.0.2.53"]

[dns.capture]
allow = ["."]
max-ttl = 120
"#;

/// The policies of near, behind others.
const POLICIES: &str = r#"
[[policy]]
name = "dns"
local = "192.0.2.1/32"
remote = "192.0.2.53/32"
action = "bypass"

[[policy]]
name = "rest"
local = "10.1.0.0/16"
remote = "0.0.0.0/0"
action = "bypass"
"#;

/// Far is its clients' server itself, and knows near.
const OF_FAR: &str = r#"
[[policy]]
name = "clients"
local = "192.0.2.2/32"
remote = "10.1.0.0/16"
action = "protect"
mode = "tunnel"
minimum = "pinned"
peer = "near"
"#;

/// Asks near for the addresses of far.example until it has one.
async fn resolve(stack: Stack<'_>) -> Ipv4Addr {
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
    let (mut rx, mut tx) = (vec![0; 4096], vec![0; 4096]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(40_000).unwrap();
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03far\x07example\0\0\x01\0\x01";
    let server = IpEndpoint::new(Ipv4Addr::new(10, 1, 0, 1).into(), 53);
    let mut octets = vec![0; 1500];
    loop {
        socket.send_to(question, server).await.unwrap();
        let answer = with_timeout(Duration::from_secs(3), socket.recv_from(&mut octets)).await;
        if let Ok(Ok((length, _))) = answer
            && octets[7] == 1
        {
            let address: [u8; 4] = octets[length - 4..length].try_into().unwrap();
            return address.into();
        }
        Timer::after(Duration::from_secs(1)).await;
    }
}

/// Runs both, with a client that asks for far.example and then sends there.
fn with_client(zone: &Shared, main: impl AsyncFnOnce(&buttons::cable::Cable, [&Station; 2], &RefCell<bool>)) {
    let of_near = OF_NEAR.to_owned() + POLICIES;
    with_gateways(
        zone,
        [&of_near, OF_FAR],
        async |stack, came_back| {
            let address = resolve(stack).await;
            call(stack, &Cell::new(Some(address.into())), came_back).await;
        },
        async |_, _| {},
        main,
    );
}

/// By its name and by its address the same chain: the found entry, the client's name, DNS, IKE and the SA.
#[test]
fn name_of_a_client_that_is_protected() {
    with_client(&zone(), async |cable, [near, far], came_back| {
        Timer::after(Duration::from_secs(10)).await;
        assert!(*came_back.borrow(), "{:#?}\n{:#?}", near.log.borrow(), far.log.borrow());
        assert!(!is_on_the_cable(cable), "not even the first packet");
        for whom in ["far.example", "FAR.example.", "192.0.2.2"] {
            let why = near.why(whom).await.unwrap();
            assert_eq!((why.verdict, why.address), (Verdict::Encrypted, "192.0.2.2".parse().ok()));
            let policy = why.policy.unwrap();
            assert_eq!((policy.name, policy.line), (None, None));
            assert_eq!(policy.action, PolicyAction::Protect(Level::Any));
            let name = why.name.unwrap();
            assert_eq!((name.name.as_str(), name.origin), ("far.example", Origin::Captured));
            let dns = why.dns.unwrap();
            assert_eq!((dns.security, dns.presence), (Security::Secure, Presence::Present));
            assert_eq!(why.ike.unwrap().stage, IkeStage::Established);
            assert_eq!(why.sa.unwrap().level.0, Level::Validated);
        }
        assert!(near.why("nobody.example").await.is_none());
    });
}

/// IKE does not get through: in clear as without the entry, and `why` says by which policy and what went wrong.
#[test]
fn name_of_a_client_that_cannot_be_protected() {
    with_client(&zone(), async |cable, [near, _], came_back| {
        cable.cut(|frame| frame.get(36..38).is_some_and(|port| port == 500_u16.to_be_bytes()));
        Timer::after(Duration::from_secs(55)).await;
        assert!(!*came_back.borrow() && is_on_the_cable(cable), "{:#?}", near.log.borrow());
        let Some(why) = near.why("far.example").await else { panic!("{:#?}", near.log.borrow()) };
        assert_eq!(why.verdict, Verdict::Clear);
        assert_eq!(why.policy.as_ref().unwrap().name.as_deref(), Some("rest"));
        assert_eq!(why.name.as_ref().unwrap().origin, Origin::Captured);
        let reason = why.ike.as_ref().unwrap().last_reason.as_ref().unwrap();
        assert!(reason.words.starts_with("no answer to IKE_SA_INIT"), "{}", reason.words);
    });
}

/// When the key is not found again the entry ends and its SA with it, however many others stand before it in the list:
/// eight with far as the gateway of a host.
#[test]
fn sa_ends_with_its_entry() {
    let policy = |[local, remote]: [&str; 2], port: u16, [peer, minimum]: [&str; 2]| {
        format!(
            "\n[[policy]]\nname = \"p{port}\"\nlocal = \"{local}\"\nremote = \"{remote}\"\nprotocol = \"udp\"\n\
             remote-ports = {port}\nlocal-ports = {port}\naction = \"protect\"\nmode = \"tunnel\"\n\
             minimum = \"{minimum}\"\npeer = \"{peer}\"\n"
        )
    };
    let (mut of_near, mut of_far) = (OF_NEAR.to_owned(), OF_FAR.to_owned());
    of_near += "\n[[peer]]\nname = \"others\"\ndns-network = \"198.51.100.0/24\"\n";
    let (inside, far_inside) = ("10.1.0.0/16", "198.51.100.0/24");
    for port in 7001..=7008 {
        of_near += &policy([inside, far_inside], port, ["others", "validated"]);
        of_far += &policy([far_inside, inside], port, ["near", "pinned"]);
    }
    of_near += POLICIES;
    let zone = zone();
    let of_client = record(&FAR, &Gateway::V4(Ipv4Addr::new(192, 0, 2, 2)));
    zone.borrow_mut().names.insert("2.100.51.198.in-addr.arpa", (FAR_CLIENT, of_client));
    with_gateways(
        &zone,
        [&of_near, &of_far],
        async |stack, came_back| {
            for port in 7001..=7008 {
                send(stack, port).await;
            }
            let address = resolve(stack).await;
            call(stack, &Cell::new(Some(address.into())), came_back).await;
        },
        async |_, _| {},
        async |_, [near, far], came_back| {
            Timer::after(Duration::from_secs(60)).await;
            assert!(*came_back.borrow(), "{:#?}\n{:#?}", near.log.borrow(), far.log.borrow());
            let why = near.why("192.0.2.2").await.unwrap();
            assert_eq!((why.verdict, why.sa.unwrap().age_s), (Verdict::Encrypted, None), "it is not listed");
            zone.borrow_mut().names.remove("far.example");
            Timer::after(Duration::from_secs(200)).await;
            let why = near.why("192.0.2.2").await.unwrap();
            assert!(why.verdict == Verdict::Clear && why.sa.is_none(), "{why:#?}");
            assert_eq!(far.status().await.child_sas.len(), 8, "far was told");
        },
    );
}

/// Sends packets from this port to the same one of the host behind far, for two seconds.
async fn send(stack: Stack<'_>, port: u16) {
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
    let (mut rx, mut tx) = (vec![0; 512], vec![0; 512]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(port).unwrap();
    for _ in 0..4 {
        socket.send_to(b"a packet", IpEndpoint::new(FAR_CLIENT.into(), port)).await.unwrap();
        Timer::after(Duration::from_millis(500)).await;
    }
}
