//! Whole devices on simulated cables in virtual time: both halves of `firmware` in either role, their
//! IKE between them, and TCP through what they agree on. The cable between the devices is searched
//! for text that only the clear side may carry.

use std::cell::RefCell;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;

use buttons::cable::{Cable, End};
use buttons::{executor, key, time};
use embassy_futures::join::join;
use embassy_net::tcp::TcpSocket;
use embassy_net::{IpEndpoint, Stack, StackResources};
use embassy_time::{Duration, Timer};
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use esp_engine::time::Instant;
use firmware::config::{
    Action, Authentication, Config, Identity, Interface, Peer, Policy, Ports, Prefix, PrivateKey, Role,
    SharedKey, Start, Suite, Timing,
};
use firmware::control;
use firmware::management::{Management, Request, Response, Status};
use firmware::report::Event;
use firmware::role::{Board, gateway, host};
use firmware::side_by_side::{self, Wakers};
use ike_core::crypto::software::Software;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const MARKER: &[u8] = b"text that only the clear side carries";
/// Octets of the transfer behind the marker.
const TRANSFER: usize = 100_000;
const PORT: u16 = 7000;

const NEAR: PrivateKey = PrivateKey::Ed25519([1; 32]);
const FAR: PrivateKey = PrivateKey::P256([2; 32]);

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

fn pinned(key: &PrivateKey) -> Authentication {
    let spki = heapless::Vec::from_slice(&key::public(key).unwrap()).unwrap();
    Authentication::Pinned([spki].into_iter().collect())
}

fn identity(name: &str) -> Identity {
    Identity::Fqdn(name.try_into().unwrap())
}

fn peer(name: &str, address: &str, authentication: Authentication) -> Peer {
    Peer {
        name: name.try_into().unwrap(),
        identity: Some(identity(name)),
        address: address.parse().ok(),
        authentication,
        ranges: Default::default(),
        start: Start::OnTraffic,
        childless: false,
        port: 500,
        ppk: None,
    }
}

fn protect(local: &str, remote: &str, mode: Mode, minimum: Level, peer: &str) -> Policy {
    Policy {
        name: "traffic".try_into().unwrap(),
        local: prefix(local),
        remote: prefix(remote).into(),
        protocol: firmware::config::EVERY_PROTOCOL,
        local_ports: Ports::ANY,
        remote_ports: Ports::ANY,
        action: Action::Protect { mode, minimum, peer: Some(peer.try_into().unwrap()), pfs: false },
    }
}

fn device(role: Role, name: &str, key: PrivateKey, interfaces: &[&[&str]]) -> Config {
    let interface =
        |addresses: &&[&str]| Interface { addresses: addresses.iter().map(|text| prefix(text)).collect() };
    Config {
        role,
        identity: identity(name),
        key,
        interfaces: interfaces.iter().map(interface).collect(),
        routes: Default::default(),
        peers: Default::default(),
        policies: Default::default(),
        suites: [Suite::FastSoftware].into_iter().collect(),
        force_encapsulation: false,
        mobike: false,
        timing: Timing::default(),
        resolver: None,
    }
}

/// Two hosts that protect everything between them, over IPv4 or IPv6.
fn hosts(v4: bool) -> [Config; 2] {
    let addresses = if v4 { ["192.0.2.1/24", "192.0.2.2/24"] } else { ["2001:db8::1/64", "2001:db8::2/64"] };
    let bare = addresses.map(|text| text.split('/').next().unwrap());
    let single = bare.map(|text| format!("{text}/{}", if v4 { 32 } else { 128 }));
    let mut near = device(Role::Host, "near.example", NEAR, &[&addresses[..1]]);
    let mut far = device(Role::Host, "far.example", FAR, &[&addresses[1..]]);
    near.peers.push(peer("far.example", bare[1], pinned(&FAR))).unwrap();
    far.peers.push(peer("near.example", bare[0], pinned(&NEAR))).unwrap();
    let policy = |local: &str, remote: &str, by| protect(local, remote, Mode::Transport, Level::Pinned, by);
    near.policies.push(policy(&single[0], &single[1], "far.example")).unwrap();
    far.policies.push(policy(&single[1], &single[0], "near.example")).unwrap();
    [near, far]
}

/// Two gateways with a network of both families behind each; tunnels run over IPv4.
fn gateways() -> [Config; 2] {
    let mut near =
        device(Role::Gateway, "near.example", NEAR, &[&["192.0.2.1/24"], &["10.1.0.1/16", "fd00:a::1/64"]]);
    let mut far =
        device(Role::Gateway, "far.example", FAR, &[&["192.0.2.2/24"], &["10.2.0.1/16", "fd00:b::1/64"]]);
    near.peers.push(peer("far.example", "192.0.2.2", pinned(&FAR))).unwrap();
    far.peers.push(peer("near.example", "192.0.2.1", pinned(&NEAR))).unwrap();
    near.peers[0].ranges = [prefix("10.2.0.0/16"), prefix("fd00:b::/64")].into_iter().collect();
    far.peers[0].ranges = [prefix("10.1.0.0/16"), prefix("fd00:a::/64")].into_iter().collect();
    for (a, b) in [("10.1.0.0/16", "10.2.0.0/16"), ("fd00:a::/64", "fd00:b::/64")] {
        near.policies.push(protect(a, b, Mode::Tunnel, Level::Pinned, "far.example")).unwrap();
        far.policies.push(protect(b, a, Mode::Tunnel, Level::Pinned, "near.example")).unwrap();
    }
    [near, far]
}

type Log = Rc<RefCell<Vec<String>>>;

/// One device's surroundings.
struct Surroundings {
    management: Management,
    log: Log,
}

impl Surroundings {
    fn new() -> Self {
        Self { management: Management::new(), log: Log::default() }
    }

    fn board<'a>(
        &'a self,
        config: &'a Config,
    ) -> Board<'a, Software, ChaCha20Rng, impl FnMut(Instant, &Event) + use<'a>> {
        assert_eq!(config.check(), Ok(()));
        let log = self.log.clone();
        let seed = config.interfaces[0].addresses[0].address.to_string().bytes().map(u64::from).sum();
        Board {
            config,
            crypto: Software,
            rng: ChaCha20Rng::seed_from_u64(seed),
            sink: move |now: Instant, event: &Event| {
                log.borrow_mut().push(format!("{} {event:?}", now.as_millis()));
            },
            management: &self.management,
            seed,
            time_of_day: None,
            wakers: Box::leak(Box::new(Wakers::new())),
        }
    }

    async fn status(&self) -> Status {
        match self.management.ask(Request::Status).await {
            Response::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    async fn why(&self, peer: &str) -> Option<String> {
        match self.management.ask(Request::Why(peer.try_into().unwrap())).await {
            Response::Why(reason) => reason.map(|reason| reason.words.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn has_seen(&self, word: &str) -> bool {
        self.log.borrow().iter().any(|line| line.contains(word))
    }
}

async fn run_host(
    board: Board<'_, Software, ChaCha20Rng, impl FnMut(Instant, &Event)>,
    port: End,
    app: impl AsyncFnOnce(Stack<'_>),
) {
    let mut memory = Box::new(host::Memory::<SoftwareCipher, 8, 2, 10>::new());
    let mut ike = Box::new(control::Memory::<Software, 4, 4, 8, 8>::new());
    let result = host::run(board, port, &mut memory, &mut ike, app).await;
    panic!("a device ended: {result:?}");
}

async fn run_gateway(board: Board<'_, Software, ChaCha20Rng, impl FnMut(Instant, &Event)>, ports: [End; 2]) {
    let mut memory = Box::new(gateway::Memory::<SoftwareCipher, 8, 2, 10>::new());
    let mut ike = Box::new(control::Memory::<Software, 4, 4, 8, 24>::new());
    let result = gateway::run(board, ports, &mut memory, &mut ike, async |_| {}).await;
    panic!("a device ended: {result:?}");
}

/// Sends the marker and a transfer, and counts what comes back.
async fn call(stack: Stack<'_>, to: IpAddr) -> usize {
    let (mut rx, mut tx) = (vec![0; 8192], vec![0; 8192]);
    let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
    socket.connect(IpEndpoint::new(to.into(), PORT)).await.expect("connects");
    let text = [MARKER, &vec![b'.'; TRANSFER]].concat();
    let (mut reader, mut writer) = socket.split();
    let send = async {
        let mut rest = &text[..];
        while !rest.is_empty() {
            let n = writer.write(rest).await.expect("the connection lives");
            rest = &rest[n..];
        }
    };
    let count = async {
        let (mut back, mut buffer) = (0, vec![0; 4096]);
        while back < text.len() {
            back += reader.read(&mut buffer).await.expect("the connection lives");
        }
        back
    };
    join(send, count).await.1
}

/// Sends back what arrives.
async fn echo(stack: Stack<'_>) {
    loop {
        let (mut rx, mut tx) = (vec![0; 8192], vec![0; 8192]);
        let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
        socket.accept(PORT).await.expect("accepts");
        let mut buffer = vec![0; 4096];
        while let Ok(n @ 1..) = socket.read(&mut buffer).await {
            let mut octets = &buffer[..n];
            while !octets.is_empty() {
                let Ok(written) = socket.write(octets).await else { return };
                octets = &octets[written..];
            }
        }
    }
}

fn plug(cable: &Cable, last: u8) -> End {
    cable.plug([2, 0, 0, 0, 0, last])
}

/// What the eavesdropper between the devices saw, by what it is.
#[derive(Default, Debug)]
struct Overheard {
    ike: usize,
    esp: usize,
    esp_in_udp: usize,
    other: usize,
}

fn overhear(cable: &Cable) -> Overheard {
    let mut overheard = Overheard::default();
    for seen in cable.seen().iter() {
        assert!(!seen.octets.windows(MARKER.len()).any(|window| window == MARKER), "clear text on the cable");
        let ip = &seen.octets[14..];
        let (protocol, upper) = match (seen.octets[12], seen.octets[13]) {
            (0x08, 0x00) => (ip[9], &ip[20..]),
            (0x86, 0xDD) => (ip[6], &ip[40..]),
            _ => continue,
        };
        match protocol {
            50 => overheard.esp += 1,
            17 if upper[..4] == [0x11, 0x94, 0x11, 0x94] && upper[8..12] != [0; 4] => {
                overheard.esp_in_udp += 1
            }
            17 => overheard.ike += 1,
            58 => {}
            _ => overheard.other += 1,
        }
    }
    overheard
}

/// Runs two hosts until `main`, which gets both, is done.
fn with_hosts<T>(
    configs: &[Config; 2],
    to: IpAddr,
    main: impl AsyncFnOnce(&Cable, [&Surroundings; 2], Rc<RefCell<Option<usize>>>) -> T,
) -> T {
    time::make_virtual();
    let cable = Cable::new(1);
    let [near, far] = [Surroundings::new(), Surroundings::new()];
    let came_back = Rc::new(RefCell::new(None));
    let result = came_back.clone();
    let tasks: Vec<executor::Task> = vec![
        Box::pin(run_host(near.board(&configs[0]), plug(&cable, 1), async |stack| {
            let n = call(stack, to).await;
            result.replace(Some(n));
        })),
        Box::pin(run_host(far.board(&configs[1]), plug(&cable, 2), echo)),
    ];
    executor::run(main(&cable, [&near, &far], came_back), tasks).unwrap()
}

async fn until(limit: u64, done: impl Fn() -> bool) {
    for _ in 0..limit * 10 {
        if done() {
            return;
        }
        Timer::after(Duration::from_millis(100)).await;
    }
}

#[test]
fn two_hosts_talk_through_esp_in_transport_mode() {
    for v4 in [true, false] {
        let to = if v4 { "192.0.2.2" } else { "2001:db8::2" }.parse().unwrap();
        with_hosts(&hosts(v4), to, async |cable, [near, far], came_back| {
            until(60, || came_back.borrow().is_some()).await;
            assert_eq!(*came_back.borrow(), Some(MARKER.len() + TRANSFER), "{:#?}", near.log.borrow());
            let overheard = overhear(cable);
            assert_eq!((overheard.ike, overheard.other), (4, 0), "{overheard:?}");
            assert!(overheard.esp > 100);
            let status = near.status().await;
            assert_eq!(status.ike_sas[0].level.unwrap().0, Level::Pinned);
            assert_eq!(status.ike_sas[0].peer.as_deref(), Some("far.example"));
            assert_eq!(status.ike_sas[0].identity, "far.example");
            assert!(
                status.child_sas[0].octets.0 > TRANSFER as u64
                    && status.child_sas[0].octets.1 > TRANSFER as u64
            );
            assert_eq!(near.why("far.example").await, None);
            assert!(far.has_seen("FirstInbound"));
        });
    }
}

#[test]
fn two_hosts_talk_through_esp_in_udp_when_told_to() {
    let mut configs = hosts(true);
    for config in &mut configs {
        config.force_encapsulation = true;
        config.suites = [Suite::HardwareAes].into_iter().collect();
    }
    with_hosts(&configs, "192.0.2.2".parse().unwrap(), async |cable, [near, _], came_back| {
        until(60, || came_back.borrow().is_some()).await;
        assert_eq!(*came_back.borrow(), Some(MARKER.len() + TRANSFER), "{:#?}", near.log.borrow());
        let overheard = overhear(cable);
        assert!(overheard.esp == 0 && overheard.esp_in_udp > 100 && overheard.other == 0, "{overheard:?}");
    });
}

#[test]
fn two_hosts_with_a_shared_key_or_none_at_all_are_shown_for_what_they_are() {
    let shared = Authentication::Shared(SharedKey::new(&[7; 32]).unwrap());
    for (authentication, level) in [(shared, Level::Shared), (Authentication::Btns, Level::Any)] {
        let mut configs = hosts(true);
        for config in &mut configs {
            config.peers[0].authentication = authentication.clone();
            if level == Level::Any {
                config.peers[0].identity = None;
                config.peers[0].address = None;
            }
            let name = config.peers[0].name.clone();
            let Action::Protect { minimum, peer, .. } = &mut config.policies[0].action else { panic!() };
            (*minimum, *peer) = (level, Some(name));
        }
        with_hosts(&configs, "192.0.2.2".parse().unwrap(), async |cable, [near, _], came_back| {
            until(60, || came_back.borrow().is_some()).await;
            assert_eq!(*came_back.borrow(), Some(MARKER.len() + TRANSFER), "{:#?}", near.log.borrow());
            overhear(cable);
            let status = near.status().await;
            assert_eq!(status.ike_sas[0].level.unwrap().0, level);
            let authenticated = !status.child_sas[0].level.words().ends_with("not authenticated");
            assert_eq!(authenticated, level == Level::Shared);
        });
    }
}

#[test]
fn a_peer_with_another_key_is_refused_on_both_sides_and_nothing_passes() {
    let mut configs = hosts(true);
    configs[1].key = PrivateKey::P256([3; 32]);
    with_hosts(&configs, "192.0.2.2".parse().unwrap(), async |cable, [near, far], came_back| {
        until(20, || far.has_seen("Failed(") || near.has_seen("Failed(")).await;
        assert_eq!(*came_back.borrow(), None);
        assert_eq!(overhear(cable).esp, 0);
        let why = near.why("far.example").await.unwrap();
        assert!(why.starts_with("authentication failed"), "{why}");
        let status = near.status().await;
        assert!(status.child_sas.is_empty() && status.packets.without_sa > 0);
    });
}

#[test]
fn lost_peers_with_at_once_are_called_again_and_closed_ones_are_not() {
    let mut configs = hosts(true);
    configs[0].peers[0].start = Start::AtOnce;
    with_hosts(&configs, "192.0.2.2".parse().unwrap(), async |cable, [near, far], _| {
        until(10, || near.has_seen(" Established(")).await;
        assert!(near.has_seen(" Established("), "before any traffic: {:#?}", near.log.borrow());
        far.management.ask(Request::Close("near.example".try_into().unwrap())).await;
        until(10, || near.has_seen(" Closed ")).await;
        let established =
            |at: &Surroundings| at.log.borrow().iter().filter(|l| l.contains(" Established(")).count();
        until(10, || established(near) == 2).await;
        assert_eq!(established(near), 2, "{:#?}", near.log.borrow());
        assert_eq!(near.why("far.example").await.as_deref(), Some("deleted by the peer"));
        cable.cut(|_| true);
        near.management.ask(Request::Close("far.example".try_into().unwrap())).await;
        Timer::after(Duration::from_secs(120)).await;
        cable.mend();
        assert_eq!(established(near), 2, "who was told to close stays closed");
    });
}

#[test]
fn an_operator_has_sas_replaced() {
    with_hosts(&hosts(true), "192.0.2.2".parse().unwrap(), async |_, [near, _], came_back| {
        let far = || "far.example".try_into().unwrap();
        let early = near.management.ask(Request::RekeyIkeSa(far())).await;
        assert_eq!(early, Response::Refused("no IKE SA with this peer stands".try_into().unwrap()));
        until(60, || came_back.borrow().is_some()).await;
        let before = near.status().await;
        assert_eq!(near.management.ask(Request::RekeyIkeSa(far())).await, Response::Done);
        until(10, || near.has_seen(" Rekeyed")).await;
        Timer::after(Duration::from_secs(5)).await;
        let between = near.status().await;
        assert_ne!(before.ike_sas[0].spis, between.ike_sas[0].spis);
        assert_eq!(before.child_sas[0].inbound, between.child_sas[0].inbound);
        assert_eq!(near.management.ask(Request::Start(far())).await, Response::Done);
        Timer::after(Duration::from_secs(5)).await;
        let after = near.status().await;
        assert_eq!(between.ike_sas[0].spis, after.ike_sas[0].spis);
        assert_ne!(between.child_sas[0].inbound, after.child_sas[0].inbound);
        assert_eq!((after.ike_sas.len(), after.child_sas.len()), (1, 1));
    });
}

#[test]
fn an_unknown_peer_is_not_asked_about() {
    with_hosts(&hosts(true), "192.0.2.2".parse().unwrap(), async |_, [near, _], _| {
        let answer = near.management.ask(Request::Why("nobody".try_into().unwrap())).await;
        assert_eq!(answer, Response::NoSuchPeer);
    });
}

/// A plain stack behind a gateway.
async fn run_inner(port: End, config: embassy_net::Config, app: impl AsyncFnOnce(Stack<'_>)) {
    let mut resources = StackResources::<4>::new();
    let (stack, mut runner) = embassy_net::new(port, config, &mut resources, 5);
    let wakers: &'static Wakers = Box::leak(Box::new(Wakers::new()));
    let runner = pin!(async { runner.run().await });
    let app = pin!(async {
        app(stack).await;
        std::future::pending().await
    });
    let (nobody, no_one) = (pin!(std::future::pending()), pin!(std::future::pending()));
    side_by_side::run(wakers, [runner, app, nobody, no_one]).await;
}

fn inner(config: &Config, last: u8) -> embassy_net::Config {
    let mut out = embassy_net::Config::default();
    for own in &config.interfaces[1].addresses {
        match own.address {
            IpAddr::V4(gateway) => {
                let [a, b, c, _] = gateway.octets();
                out.ipv4 = embassy_net::ConfigV4::Static(embassy_net::StaticConfigV4 {
                    address: embassy_net::Ipv4Cidr::new([a, b, c, last].into(), own.length),
                    gateway: Some(gateway),
                    dns_servers: Default::default(),
                });
            }
            IpAddr::V6(gateway) => {
                let mut octets = gateway.octets();
                octets[15] = last;
                out.ipv6 = embassy_net::ConfigV6::Static(embassy_net::StaticConfigV6 {
                    address: embassy_net::Ipv6Cidr::new(octets.into(), own.length),
                    gateway: Some(gateway),
                    dns_servers: Default::default(),
                });
            }
        }
    }
    out
}

/// RFC 7383: the fragments of one message leave at once. On datagrams of 256 octets an ML-KEM value takes eight.
#[test]
fn two_gateways_take_messages_in_many_fragments() {
    let mut configs = gateways();
    for config in &mut configs {
        config.timing.datagram = 256;
        config.suites = [Suite::PostQuantum].into_iter().collect();
    }
    two_gateways_carry_both_families(&configs);
}

#[test]
fn two_gateways_carry_both_families_through_tunnels() {
    two_gateways_carry_both_families(&gateways());
}

fn two_gateways_carry_both_families(configs: &[Config; 2]) {
    time::make_virtual();
    let (outside, near_inside, far_inside) = (Cable::new(1), Cable::new(2), Cable::new(3));
    let [near, far] = [Surroundings::new(), Surroundings::new()];
    let came_back = RefCell::new(Vec::new());
    let results = &came_back;
    let tasks: Vec<executor::Task> = vec![
        Box::pin(run_gateway(near.board(&configs[0]), [plug(&outside, 1), plug(&near_inside, 11)])),
        Box::pin(run_gateway(far.board(&configs[1]), [plug(&outside, 2), plug(&far_inside, 12)])),
        Box::pin(run_inner(plug(&near_inside, 21), inner(&configs[0], 2), async |stack| {
            for to in ["10.2.0.2", "fd00:b::2"] {
                let n = call(stack, to.parse().unwrap()).await;
                results.borrow_mut().push(n);
            }
        })),
        Box::pin(run_inner(plug(&far_inside, 22), inner(&configs[1], 2), echo)),
    ];
    let main = async {
        until(120, || came_back.borrow().len() == 2).await;
        assert_eq!(*came_back.borrow(), [MARKER.len() + TRANSFER; 2], "{:#?}", near.log.borrow());
        let overheard = overhear(&outside);
        assert!(overheard.other == 0 && overheard.esp > 200, "{overheard:?}");
        let status = near.status().await;
        assert_eq!(status.child_sas.len(), 2, "{status:#?}");
    };
    executor::run(main, tasks).unwrap();
}
