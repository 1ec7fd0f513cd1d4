//! Whole devices on simulated cables: their configurations, how they are run, and what is heard of them.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use buttons::cable::{Cable, End};
use buttons::memory::room;
use buttons::{executor, key, time};
use embassy_futures::join::join;
use embassy_net::tcp::TcpSocket;
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Timer};
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use esp_engine::time::Instant;
use firmware::config::{
    Action, Authentication, Config, Identity, Interface, Peer, Policy, Ports, Prefix, PrivateKey, Role,
    Start, Suite, Timing,
};
use firmware::control;
use firmware::management::{Management, Request, Response, Status, Subject};
use firmware::report::Event;
use firmware::role::{Board, gateway, host};
use firmware::side_by_side::Wakers;
use firmware::storage::{NoStorage, Storage};
use ike_core::crypto::software::Software;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub const MARKER: &[u8] = b"text that only the clear side carries";
/// Octets of the transfer behind the marker.
pub const TRANSFER: usize = 100_000;
pub const PORT: u16 = 7000;

pub const NEAR: PrivateKey = PrivateKey::Ed25519([1; 32]);
pub const FAR: PrivateKey = PrivateKey::P256([2; 32]);

pub fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

pub fn pinned(key: &PrivateKey) -> Authentication {
    let spki = heapless::Vec::from_slice(&key::public(key).unwrap()).unwrap();
    Authentication::Pinned([spki].into_iter().collect())
}

pub fn identity(name: &str) -> Identity {
    Identity::Fqdn(name.try_into().unwrap())
}

pub fn peer(name: &str, address: &str, authentication: Authentication) -> Peer {
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

pub fn protect(local: &str, remote: &str, mode: Mode, minimum: Level, peer: &str) -> Policy {
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

pub fn device(role: Role, name: &str, key: PrivateKey, interfaces: &[&[&str]]) -> Config {
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
        clock: Default::default(),
        resolver: None,
        publication: None,
    }
}

/// Two hosts that protect everything between them, over IPv4 or IPv6.
pub fn hosts(v4: bool) -> [Config; 2] {
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
pub fn gateways() -> [Config; 2] {
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

pub type Log = Rc<RefCell<Vec<String>>>;

/// One device's surroundings.
pub struct Surroundings {
    pub management: Management,
    pub log: Log,
}

impl Surroundings {
    pub fn new() -> Self {
        Self { management: Management::new(), log: Log::default() }
    }

    pub fn board<'a>(
        &'a self,
        config: &'a Config,
    ) -> Board<'a, Software, ChaCha20Rng, impl FnMut(Instant, &Event) + use<'a>, NoStorage> {
        self.board_with(config, NoStorage)
    }

    /// As [`Self::board`], with something that remembers.
    pub fn board_with<'a, M: Storage>(
        &'a self,
        config: &'a Config,
        storage: M,
    ) -> Board<'a, Software, ChaCha20Rng, impl FnMut(Instant, &Event) + use<'a, M>, M> {
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
            storage,
            management: &self.management,
            seed,
            time_of_day: None,
            wakers: Box::leak(Box::new(Wakers::new())),
        }
    }

    pub async fn status(&self) -> Status {
        match self.management.ask(Request::Status).await {
            Response::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub async fn why(&self, peer: &str) -> Option<String> {
        match self.management.ask(Request::Why(Subject::Name(peer.try_into().unwrap()))).await {
            Response::Why(why) => {
                why.ike.and_then(|ike| ike.last_reason).map(|reason| reason.words.to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn has_seen(&self, word: &str) -> bool {
        self.log.borrow().iter().any(|line| line.contains(word))
    }
}

pub async fn run_host(
    board: Board<'_, Software, ChaCha20Rng, impl FnMut(Instant, &Event), impl Storage>,
    port: End,
    app: impl AsyncFnOnce(Stack<'_>),
) {
    let mut memory = room(host::Memory::<SoftwareCipher, 8, 2, 26>::new);
    let mut ike = room(control::Memory::<Software, 4, 4, 8, 8>::new);
    let life = room(|| host::run(board, port, &mut memory, &mut ike, app));
    let result = Box::into_pin(life).await;
    panic!("a device ended: {result:?}");
}

pub async fn run_gateway(
    board: Board<'_, Software, ChaCha20Rng, impl FnMut(Instant, &Event), NoStorage>,
    ports: [End; 2],
) {
    let mut memory = room(gateway::Memory::<SoftwareCipher, 8, 2, 26>::new);
    let mut ike = room(control::Memory::<Software, 4, 4, 8, 24>::new);
    let life = room(|| gateway::run(board, ports, &mut memory, &mut ike, async |_| {}));
    let result = Box::into_pin(life).await;
    panic!("a device ended: {result:?}");
}

/// Sends the marker and a transfer, and counts what comes back.
pub async fn call(stack: Stack<'_>, to: IpAddr) -> usize {
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
pub async fn echo(stack: Stack<'_>) {
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

pub fn plug(cable: &Cable, last: u8) -> End {
    cable.plug([2, 0, 0, 0, 0, last])
}

/// What the eavesdropper between the devices saw, by what it is.
#[derive(Default, Debug)]
pub struct Overheard {
    pub ike: usize,
    pub esp: usize,
    pub esp_in_udp: usize,
    pub other: usize,
}

pub fn overhear(cable: &Cable) -> Overheard {
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
pub fn with_hosts<T>(
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

pub async fn until(limit: u64, done: impl Fn() -> bool) {
    for _ in 0..limit * 10 {
        if done() {
            return;
        }
        Timer::after(Duration::from_millis(100)).await;
    }
}
