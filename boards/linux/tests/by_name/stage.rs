//! The devices, the server beside them, and what is heard of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use buttons::cable::Cable;
use buttons::key::{Spelling, spell};
use buttons::memory::room;
use buttons::{config, executor, key, manage, time};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Timer, with_timeout};
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::time::Instant;
use firmware::config::{Config, PrivateKey, Site};
use firmware::control;
use firmware::management::{Explanation, Management, Request, Response, Status};
use firmware::report::Event;
use firmware::role::{Board, gateway, host};
use firmware::side_by_side::Wakers;
use firmware::storage::NoStorage;
use ike_core::crypto::software::Software;
use ike_core::discovery::{ipseckey, tlsa};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const MARKER: &[u8] = b"text that only the clear side carries";
pub const PORT: u16 = 7000;
/// RFC 6698 §7.1.
const TLSA: u16 = 52;
/// RFC 4025 §2.
const IPSECKEY: u16 = 45;
pub const NEAR: PrivateKey = PrivateKey::Ed25519([1; 32]);
pub const FAR: PrivateKey = PrivateKey::P256([2; 32]);

const OF_NEAR: &str = r#"role = "host"
identity = "near.example"
key = "near.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[policy]]
name = "dns"
local = "192.0.2.1/32"
remote = "192.0.2.53/32"
action = "bypass"

[[policy]]
name = "to far"
local = "192.0.2.1/32"
remote = "far.example"
action = "protect"

[[policy]]
name = "rest"
local = "192.0.2.1/32"
remote = "0.0.0.0/0"
action = "bypass"

[dns]
servers = ["192.0.2.53"]
"#;

const OF_FAR: &str = r#"role = "host"
identity = "far.example"
key = "far.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.2/24"]

[[peer]]
name = "customers"
dns-suffix = ".example"

[[policy]]
name = "dns"
local = "192.0.2.2/32"
remote = "192.0.2.53/32"
action = "bypass"

[[policy]]
name = "customers"
local = "192.0.2.2/32"
remote = "192.0.2.0/24"
action = "protect"
minimum = "validated"

[dns]
servers = ["192.0.2.53"]
"#;

pub const OF_SERVER: &str = r#"role = "host"
identity = "ns.example"
key = "near.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.53/24"]

[[policy]]
name = "all"
local = "192.0.2.53/32"
remote = "0.0.0.0/0"
action = "bypass"
"#;

fn read(name: &str, text: &str) -> config::Device {
    // Tests run beside each other.
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("names-{name}-{number}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    key::write_private(&folder.join("near.pem"), &NEAR).unwrap();
    key::write_private(&folder.join("far.pem"), &FAR).unwrap();
    for (name, key) in [("near.pub", &NEAR), ("far.pub", &FAR)] {
        let public = spell(&key::public(key).unwrap(), Spelling::Base64).unwrap();
        fs::write(folder.join(name), public).unwrap();
    }
    let file = folder.join("device.toml");
    fs::write(&file, text).unwrap();
    config::read(&file).unwrap_or_else(|bad| panic!("{bad}"))
}

/// What the server has, and how it says it.
pub struct Zone {
    /// Addresses and IPSECKEY records by name.
    pub names: BTreeMap<&'static str, (Ipv4Addr, Vec<u8>)>,
    /// TLSA records by the name of the peer that they are for.
    pub fingerprints: BTreeMap<&'static str, Vec<u8>>,
    /// Whether the devices look for those.
    pub is_heeded: bool,
    pub says: Says,
    /// How it says what it has of fingerprints.
    pub says_of_fingerprints: Says,
    /// Names that TLSA was asked for of.
    pub asked: Vec<String>,
    /// Seconds.
    pub ttl: u32,
    /// Names whose keys were asked for, in order.
    pub asked_for_keys: Vec<String>,
}

/// How the server answers.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Says {
    /// What it validated.
    Proven,
    /// The same, just after somebody who guesses at the question's ID has refused it in its name.
    ProvenBehindALie,
    /// What nobody signs.
    Unsigned,
    /// That it failed (SERVFAIL).
    Failure,
    /// Nothing.
    Nothing,
}

pub type Shared = Rc<RefCell<Zone>>;

/// Both devices' names.
pub fn zone() -> Shared {
    let entries = [
        ("near.example", (Ipv4Addr::new(192, 0, 2, 1), record(&NEAR, &ipseckey::Gateway::None))),
        ("far.example", (Ipv4Addr::new(192, 0, 2, 2), record(&FAR, &ipseckey::Gateway::None))),
    ];
    Rc::new(RefCell::new(Zone {
        names: entries.into_iter().collect(),
        fingerprints: BTreeMap::new(),
        is_heeded: false,
        says: Says::Proven,
        says_of_fingerprints: Says::Proven,
        asked: Vec::new(),
        asked_for_keys: Vec::new(),
        ttl: 3_600,
    }))
}

/// Both devices' names, which have fingerprints and no keys.
pub fn zone_of_fingerprints() -> Shared {
    let zone = zone();
    let mut of = zone.borrow_mut();
    of.names.values_mut().for_each(|(_, ipseckey)| ipseckey.clear());
    of.fingerprints = [("near.example", fingerprint(&NEAR)), ("far.example", fingerprint(&FAR))].into();
    of.is_heeded = true;
    drop(of);
    zone
}

/// The record with a key's fingerprint.
pub fn fingerprint(key: &PrivateKey) -> Vec<u8> {
    tlsa::encode(&key::fingerprint(&key::public(key).unwrap())).to_vec()
}

/// An IPSECKEY record with the public half of this key.
pub fn record(key: &PrivateKey, gateway: &ipseckey::Gateway) -> Vec<u8> {
    let public = key::parse_spki(&key::public(key).unwrap()).unwrap();
    ipseckey::encode(10, gateway, &public).to_vec()
}

/// The answer to a question, marked as validated if it is (RFC 1035 §4, RFC 4035 §3.2.3).
fn answer(zone: &Shared, question: &[u8]) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    while question[at] != 0 {
        let length = usize::from(question[at]);
        name += &String::from_utf8_lossy(&question[at + 1..=at + length]);
        name.push('.');
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let end = at + 5;
    let mut zone = zone.borrow_mut();
    let name = name.trim_end_matches('.').to_lowercase();
    let says = match kind {
        TLSA => {
            zone.asked.push(name.clone());
            zone.says_of_fingerprints
        }
        IPSECKEY => {
            zone.asked_for_keys.push(name.clone());
            zone.says
        }
        _ => zone.says,
    };
    let flags = match says {
        Says::Proven | Says::ProvenBehindALie => 0xA0,
        Says::Unsigned => 0x80,
        Says::Failure => 0x82,
        Says::Nothing => return None,
    };
    let data = match (zone.names.get(name.as_str()), kind) {
        _ if says == Says::Failure => None,
        (Some((address, _)), 1) => Some(address.octets().to_vec()),
        (Some((_, ipseckey)), IPSECKEY) => Some(ipseckey.clone()).filter(|rdata| !rdata.is_empty()),
        (None, TLSA) => name.strip_prefix("_500._udp.").and_then(|name| zone.fingerprints.get(name)).cloned(),
        _ => None,
    };
    let count = u8::from(data.is_some());
    // QR, RD; RA, AD, RCODE; one question, so many answers.
    let mut message =
        [&question[..2], &[0x81, flags, 0, 1, 0, count, 0, 0, 0, 0], &question[12..end]].concat();
    if let Some(data) = data {
        message.extend([0xC0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message.extend(zone.ttl.to_be_bytes());
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
    Some(message)
}

pub async fn serve_dns(stack: Stack<'_>, zone: Shared) {
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 8], [PacketMetadata::EMPTY; 8]);
    let (mut rx, mut tx) = (vec![0; 8192], vec![0; 8192]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(53).unwrap();
    let mut octets = vec![0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut octets).await.unwrap();
        if let Some(answer) = answer(&zone, &octets[..length]) {
            if zone.borrow().says == Says::ProvenBehindALie {
                let mut lie = answer.clone();
                (lie[1], lie[3]) = (!lie[1], 0xA5);
                socket.send_to(&lie, from.endpoint).await.unwrap();
            }
            socket.send_to(&answer, from.endpoint).await.unwrap();
        }
    }
}

/// Sends the marker until it comes back.
pub async fn call(stack: Stack<'_>, to: &Cell<Option<IpAddr>>, came_back: &RefCell<bool>) {
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
    let (mut rx, mut tx) = (vec![0; 4096], vec![0; 4096]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(PORT).unwrap();
    let mut octets = vec![0; 1500];
    loop {
        if let Some(to) = to.get() {
            socket.send_to(MARKER, IpEndpoint::new(to.into(), PORT)).await.unwrap();
        }
        if with_timeout(Duration::from_millis(500), socket.recv_from(&mut octets)).await.is_ok() {
            came_back.replace(true);
        }
        Timer::after(Duration::from_millis(100)).await;
    }
}

pub async fn echo(stack: Stack<'_>) {
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

/// A device and what it said.
pub struct Station {
    config: Config,
    lines: Vec<u32>,
    management: Management,
    /// Whom it sends to, if it does.
    pub calls: Cell<Option<IpAddr>>,
    pub log: RefCell<Vec<String>>,
}

impl Station {
    pub fn new(name: &str, text: &str, heeds_fingerprints: bool) -> Self {
        let switched = text.replace("[dns]\n", "[dns]\nfingerprints = true\n");
        let text = if heeds_fingerprints { &switched } else { text };
        let config::Device { mut config, policy_lines: lines, .. } = read(name, text);
        // No configuration that passes its check would believe a server beside it: here nobody else is.
        if let Some(resolver) = &mut config.resolver {
            resolver.believed = resolver.servers.clone();
        }
        let calls = Cell::new(Some(Ipv4Addr::new(192, 0, 2, 2).into()));
        Self { config, lines, management: Management::new(), calls, log: RefCell::default() }
    }

    fn board(
        &self,
        number: u8,
    ) -> Board<'_, Software, ChaCha20Rng, impl FnMut(Instant, &Event) + use<'_>, NoStorage> {
        Board {
            config: &self.config,
            crypto: Software,
            rng: ChaCha20Rng::seed_from_u64(number.into()),
            sink: |now: Instant, event: &Event| {
                self.log.borrow_mut().push(format!("{} {event:?}", now.as_millis()));
            },
            storage: NoStorage,
            management: &self.management,
            time_of_day: None,
            seed: number.into(),
            wakers: Box::leak(Box::new(Wakers::new())),
        }
    }

    pub async fn run(&self, cable: &Cable, number: u8, app: impl AsyncFnOnce(Stack<'_>)) {
        let mut memory = room(host::Memory::<SoftwareCipher, 8, 2, 26>::new);
        let mut ike = room(control::Memory::<Software, 4, 4, 8, 10>::new);
        let (board, port) = (self.board(number), cable.plug([2, 0, 0, 0, 0, number]));
        let life = room(|| host::run(board, port, &mut memory, &mut ike, app));
        let result = Box::into_pin(life).await;
        panic!("a device ended: {result:?}");
    }

    /// As a gateway between these two cables.
    pub async fn run_between(
        &self,
        [outside, inside]: [&Cable; 2],
        number: u8,
        app: impl AsyncFnOnce(Stack<'_>),
    ) {
        let mut memory = room(gateway::Memory::<SoftwareCipher, 16, 2, 26>::new);
        let mut ike = room(control::Memory::<Software, 4, 4, 16, 24>::new);
        let ports = [(outside, 0), (inside, 1)].map(|(cable, port)| cable.plug([2, 0, 0, 0, port, number]));
        let board = self.board(number);
        let life = room(|| gateway::run(board, ports, &mut memory, &mut ike, app));
        let result = Box::into_pin(life).await;
        panic!("a device ended: {result:?}");
    }

    /// Puts the device elsewhere.
    pub async fn put(&self, address: &str) {
        let site = Site { address: config::prefix(address).unwrap(), gateway: None };
        assert_eq!(self.management.ask(Request::Put(site)).await, Response::Done);
    }

    pub async fn status(&self) -> Status {
        match self.management.ask(Request::Status).await {
            Response::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// What an operator is told who asks why; `None` for whom nobody knows.
    pub async fn why(&self, whom: &str) -> Option<Explanation> {
        match self.management.ask(Request::Why(buttons::why::subject(whom).unwrap())).await {
            Response::Why(mut explanation) => {
                manage::add_line(&mut explanation, &self.lines);
                Some(explanation)
            }
            Response::NoSuchPeer => None,
            other => panic!("{other:?}"),
        }
    }
}

/// Runs all three until `main` is done. Near sends to far, in clear or not, from the first moment on.
pub fn with_stations<T>(
    zone: &Shared,
    main: impl AsyncFnOnce(&Cable, [&Station; 2], &RefCell<bool>) -> T,
) -> T {
    with_configured(zone, [OF_NEAR, OF_FAR], main)
}

/// The same with other configurations of near and far.
pub fn with_configured<T>(
    zone: &Shared,
    [of_near, of_far]: [&str; 2],
    main: impl AsyncFnOnce(&Cable, [&Station; 2], &RefCell<bool>) -> T,
) -> T {
    time::make_virtual();
    let cable = Cable::new(1);
    let [near, far, server] = [("near", of_near), ("far", of_far), ("server", OF_SERVER)]
        .map(|(name, text)| Station::new(name, text, zone.borrow().is_heeded));
    let came_back = RefCell::new(false);
    let tasks: Vec<executor::Task<'_>> = vec![
        Box::pin(near.run(&cable, 1, async |stack| {
            call(stack, &near.calls, &came_back).await;
        })),
        Box::pin(far.run(&cable, 2, echo)),
        Box::pin(server.run(&cable, 53, async |stack| serve_dns(stack, zone.clone()).await)),
    ];
    executor::run(main(&cable, [&near, &far], &came_back), tasks).unwrap()
}

pub fn is_on_the_cable(cable: &Cable) -> bool {
    marked(cable) > 0
}

/// Frames with text that only the clear side carries.
pub fn marked(cable: &Cable) -> usize {
    let is_marked = |octets: &[u8]| octets.windows(MARKER.len()).any(|window| window == MARKER);
    cable.seen().iter().filter(|seen| is_marked(&seen.octets)).count()
}
