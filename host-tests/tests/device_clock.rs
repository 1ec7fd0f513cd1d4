//! The time of day and the keys of DNS's root on a whole device: firmware on its stack, its storage in a file, a
//! server of DNS and of the time beside it on a simulated cable, in virtual time. Each life ends with a power cut.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use buttons::cable::Cable;
use buttons::memory::room;
use buttons::{config, executor, key, state, time};
use domain::base::Rtype;
use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_time::{Duration, Timer};
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::time::Instant;
use firmware::config::{Config, PrivateKey};
use firmware::control;
use firmware::management::{Management, Request, Response, Status};
use firmware::report::{Event, TimeNews};
use firmware::role::{Board, host};
use firmware::side_by_side::Wakers;
use firmware::storage::{NoStorage, Storage};
use host_tests::dns::root::{DAY, data_keys, signed_at, signed_keys};
use host_tests::dns::{Asked, Reply, Signing, Tree};
use host_tests::signed_zone::{INCEPTION, ZoneKey};
use ike_core::crypto::KeyKind;
use ike_core::crypto::software::Software;
use ike_core::discovery::UnixTime;
use ike_core::discovery::outcome::{Indeterminate, Security};
use ike_core::discovery::output::{Socket, Transport};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// The true time when the first life begins.
const START: UnixTime = UnixTime(INCEPTION as u64 + 11 * DAY);
const SERVER: [u8; 4] = [192, 0, 2, 53];

const OF_DEVICE: &str = r#"role = "host"
identity = "near.example"
key = "own.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[peer]]
name = "customers"
dns-suffix = ".example"

[[policy]]
name = "customers"
local = "192.0.2.1/32"
remote = "192.0.2.2/32"
action = "protect"
minimum = "validated"

[clock]
source = "sntp"
servers = TIME_SERVERS

[dns]
servers = ["192.0.2.53"]
anchors = "root.ds"
"#;

const OF_SERVER: &str = r#"role = "host"
identity = "ns.example"
key = "own.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.53/24"]

[[policy]]
name = "all"
local = "192.0.2.53/32"
remote = "0.0.0.0/0"
action = "bypass"
"#;

/// What a time server says at a true time; `None` is silence.
type Says = fn(UnixTime) -> Option<UnixTime>;

/// What servers say: the first the root's keys at a true time, and each how late it is.
struct Outside {
    keys: fn(UnixTime) -> Reply,
    says: &'static [Says],
}

/// A device between its lives: its files, and the true time.
struct Device {
    folder: PathBuf,
    time: UnixTime,
}

/// What came of one life.
struct Life {
    status: Status,
    /// News of the time of day.
    news: Vec<TimeNews>,
    /// Whose word counted, each time when time servers disagreed.
    disagreed: Vec<Vec<bool>>,
    /// The true time in the end.
    end: UnixTime,
}

impl Life {
    /// What each time server was good for.
    fn uses(&self) -> Vec<&str> {
        self.status.clock.servers.iter().map(|(_, was)| was.as_str()).collect()
    }
}

fn entry_point(letter: u8) -> ZoneKey {
    ZoneKey::new(KeyKind::Ed25519, letter, 257)
}

fn keys(time: UnixTime) -> Reply {
    signed_keys(&[&entry_point(b'A'), &data_keys(0)], &[&entry_point(b'A')], time)
}

impl Device {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("clock-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        key::write_private(&folder.join("own.pem"), &PrivateKey::Ed25519([1; 32])).unwrap();
        let anchor = entry_point(b'A').ds(".");
        let digest: String = anchor.data()[4..].iter().map(|octet| format!("{octet:02x}")).collect();
        let line = format!(". DS {} {} 2 {digest}\n", anchor.key_tag, anchor.algorithm.number());
        fs::write(folder.join("root.ds"), line).unwrap();
        Self { folder, time: START }
    }

    fn read(&self, text: &str) -> Config {
        let file = self.folder.join("device.toml");
        fs::write(&file, text).unwrap();
        config::read(&file).unwrap_or_else(|bad| panic!("{bad}")).config
    }

    /// Lives for so many seconds.
    fn live(&mut self, seconds: u64, outside: &Outside) -> Life {
        time::make_virtual();
        let cable = Cable::new(1);
        let zones = [(".", Signing::Signed, ""), ("example.", Signing::Signed, "")];
        let tree = Tree::with_keys(&zones, data_keys);
        let servers: Vec<_> = (53..).take(outside.says.len()).collect();
        let addresses: Vec<_> = servers.iter().map(|last| format!("192.0.2.{last}")).collect();
        let device = self.read(&OF_DEVICE.replace("TIME_SERVERS", &format!("{addresses:?}")));
        let of_servers: Vec<_> =
            addresses.iter().map(|at| self.read(&OF_SERVER.replace("192.0.2.53", at))).collect();
        let storage = state::open(&self.folder.join("device.state")).unwrap();
        let asked = Management::new();
        let unasked: Vec<_> = servers.iter().map(|_| Management::new()).collect();
        let (log, start) = (RefCell::new((Vec::new(), Vec::new())), self.time);
        let hear = |_: Instant, event: &Event| match event {
            Event::Time(news) => log.borrow_mut().0.push(*news),
            Event::TimeServersDisagree(opinions) => {
                log.borrow_mut().1.push(opinions.iter().map(|opinion| opinion.is_taken).collect());
            }
            _ => {}
        };
        let mut tasks: Vec<executor::Task<'_>> =
            vec![Box::pin(run(&device, &cable, 1, storage, &asked, hear, async |_| {}))];
        let ends = servers.into_iter().zip(&of_servers).zip(&unasked).zip(outside.says);
        for (((number, config), unasked), says) in ends {
            let app = async |stack: Stack<'_>| {
                let dns = serve(stack, 53, |octets| Some(answer(&tree, outside, now(start), octets)));
                let clock = serve(stack, 123, |octets| say(says(now(start))?, octets));
                embassy_futures::join::join(dns, clock).await;
            };
            let deaf = |_: Instant, _: &Event| {};
            tasks.push(Box::pin(run(config, &cable, number, NoStorage, unasked, deaf, app)));
        }
        let status = executor::run(
            async {
                Timer::after(Duration::from_secs(seconds)).await;
                match asked.ask(Request::Status).await {
                    Response::Status(status) => status,
                    other => panic!("{other:?}"),
                }
            },
            tasks,
        );
        self.time = UnixTime(start.0 + seconds);
        let (news, disagreed) = log.into_inner();
        Life { status: status.unwrap(), news, disagreed, end: self.time }
    }
}

fn now(start: UnixTime) -> UnixTime {
    UnixTime(start.0 + embassy_time::Instant::now().as_secs())
}

async fn run<M: Storage>(
    config: &Config,
    cable: &Cable,
    number: u8,
    storage: M,
    management: &Management,
    sink: impl FnMut(Instant, &Event),
    app: impl AsyncFnOnce(Stack<'_>),
) {
    let board = Board {
        config,
        crypto: Software,
        rng: ChaCha20Rng::seed_from_u64(number.into()),
        sink,
        storage,
        management,
        time_of_day: Some(UnixTime(0)),
        seed: number.into(),
        wakers: Box::leak(Box::new(Wakers::new())),
    };
    let mut memory = room(host::Memory::<SoftwareCipher, 8, 2, 28>::new);
    let mut ike = room(control::Memory::<Software, 4, 4, 8, 10>::new);
    let life = room(|| host::run(board, cable.plug([2, 0, 0, 0, 0, number]), &mut memory, &mut ike, app));
    panic!("a device ended: {:?}", Box::into_pin(life).await);
}

/// Answers datagrams on a port.
async fn serve(stack: Stack<'_>, port: u16, answer: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 8], [PacketMetadata::EMPTY; 8]);
    let (mut rx, mut tx) = (vec![0; 8192], vec![0; 8192]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(port).unwrap();
    let mut octets = vec![0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut octets).await.unwrap();
        if let Some(answer) = answer(&octets[..length]) {
            socket.send_to(&answer, from.endpoint).await.unwrap();
        }
    }
}

fn answer(tree: &Tree, outside: &Outside, time: UnixTime, octets: &[u8]) -> Vec<u8> {
    let asked = Asked {
        at: Instant::ZERO,
        socket: Socket(0),
        server: SocketAddr::from((SERVER, 53)),
        transport: Transport::Tcp,
        octets: octets.to_vec(),
    };
    let is_root = asked.name().is_root() && asked.rtype() == Rtype::DNSKEY;
    asked.reply(&if is_root { (outside.keys)(time) } else { tree.answer(&asked.name(), asked.rtype()) })
}

/// An SNTP reply (RFC 4330 §4).
fn say(time: UnixTime, query: &[u8]) -> Option<Vec<u8>> {
    let mut octets = vec![0; 48];
    (octets[0], octets[1]) = (0x24, 1);
    octets[24..32].copy_from_slice(query.get(40..48)?);
    octets[40..44].copy_from_slice(&((time.0 + 2_208_988_800) as u32).to_be_bytes());
    Some(octets)
}

const TRUE: Outside = Outside { keys, says: &[Some] };
const NO_TIME: Outside = Outside { keys, says: &[|_| None] };

/// A clock at 1970 is none; a time server's word, proven, is one. The bound outlives a power cut, the clock does
/// not: after it nothing is known until a server says it again.
#[test]
fn learns_the_time_and_keeps_its_bound() {
    let mut device = Device::new("learns");
    let life = device.live(60, &TRUE);
    let clock = &life.status.clock;
    assert!(clock.unix.is_some_and(|unix| life.end.0 - unix <= 1), "{clock:?}");
    assert_eq!((clock.not_before, clock.servers[0].1.as_str()), (signed_at(START).0, "its time was proven"));
    assert!(matches!(life.news[..], [TimeNews::Set(_)]));
    let life = device.live(60, &NO_TIME);
    assert_eq!((life.status.clock.unix, life.status.clock.not_before), (None, signed_at(START).0));
    assert_eq!(life.status.clock.servers[0].1, "does not answer");
}

/// One false answer moves the clock, and nothing that is kept: the next life's server puts it right.
#[test]
fn one_false_answer_does_not_outlast_a_power_cut() {
    let mut device = Device::new("false");
    let life = device.live(60, &Outside { keys, says: &[|now| Some(UnixTime(now.0 + 5 * DAY))] });
    assert!(life.status.clock.unix.is_some_and(|unix| unix >= life.end.0 + 5 * DAY - 1));
    assert!(life.status.clock.not_before <= START.0);
    let life = device.live(60, &TRUE);
    assert!(life.status.clock.unix.is_some_and(|unix| unix <= life.end.0 && life.end.0 - unix <= 1));
}

/// A year ahead, for ever: never believed, nothing kept. Before what was kept: not even looked into.
#[test]
fn false_answers_are_never_believed() {
    let mut device = Device::new("forever");
    let year = Outside { keys, says: &[|now| Some(UnixTime(now.0 + 365 * DAY))] };
    let life = device.live(2 * DAY, &year);
    assert_eq!(life.status.clock.unix, None);
    assert!(
        life.news.iter().all(|news| matches!(news, TimeNews::NotProven(Security::Bogus(_)))),
        "{:?}",
        life.news
    );
    device.live(60, &TRUE);
    let life = device.live(60, &Outside { keys, says: &[|now| Some(UnixTime(now.0 - 30 * DAY))] });
    assert_eq!(life.status.clock.unix, None);
    assert!(matches!(life.news[..], [TimeNews::Refused(_)]), "{:?}", life.news);
}

/// Off the shelf after years: no time can be proven, and it says why.
#[test]
fn says_that_its_anchors_are_too_old() {
    let newer = |time| signed_keys(&[&entry_point(b'N'), &data_keys(0)], &[&entry_point(b'N')], time);
    let life = Device::new("shelf").live(60, &Outside { keys: newer, says: &[Some] });
    let no_anchor = TimeNews::NotProven(Security::Indeterminate(Indeterminate::NoAnchor));
    assert_eq!((life.news, life.status.clock.unix), (vec![no_anchor], None));
}

/// RFC 5011 on a device that loses power every nine days: the new key is learnt over some of its lives, and trusted
/// alone in the last one. What its server lacks is said.
#[test]
fn follows_the_root_over_power_cuts() {
    let mut device = Device::new("follows");
    let both = |time| {
        let (a, b) = (entry_point(b'A'), entry_point(b'B'));
        signed_keys(&[&a, &b, &data_keys(0)], &[&a], time)
    };
    let successor = entry_point(b'B').ds(".").key_tag;
    let state = |life: &Life| {
        let found = life.status.anchors.iter().find(|anchor| anchor.key_tag == successor);
        found.map(|anchor| anchor.state.as_str().to_owned())
    };
    let lives: Vec<_> = (0..4)
        .map(|_| state(&device.live(9 * DAY + 3_600, &Outside { keys: both, says: &[Some] })).unwrap())
        .collect();
    assert_eq!(lives, ["AddPend", "AddPend", "AddPend", "Valid"]);
    let alone = |time| signed_keys(&[&entry_point(b'B'), &data_keys(0)], &[&entry_point(b'B')], time);
    let life = device.live(60, &Outside { keys: alone, says: &[Some] });
    assert!(life.status.clock.unix.is_some());
    assert_eq!(life.status.dns[0].lacks[..], ["takes no TCP connections, so long answers cannot be had"]);
}

/// One of three lies: the others are heeded, and log and status name it.
#[test]
fn one_of_three_lies() {
    let outside = Outside { keys, says: &[Some, |now| Some(UnixTime(now.0 + 5 * DAY)), Some] };
    let life = Device::new("three").live(60, &outside);
    assert!(life.status.clock.unix.is_some_and(|unix| life.end.0 - unix <= 1));
    let words = ["its time was proven", "disagrees with those that are heeded", "its time was proven"];
    assert_eq!((life.uses(), &life.disagreed[..]), (words.to_vec(), &[vec![true, false, true]][..]));
}

/// Two disagree: nobody is believed, which log and status say, until one goes with what was kept or with a clock.
#[test]
fn two_disagree() {
    let mut device = Device::new("two");
    let outside = Outside { keys, says: &[|now| Some(UnixTime(now.0 - 60 * DAY)), Some] };
    let life = device.live(60, &outside);
    assert_eq!(
        (life.status.clock.unix, life.uses()),
        (None, vec!["disagrees with the others; none is heeded"; 2])
    );
    assert_eq!((&life.disagreed[..], life.news.len()), (&[vec![false; 2]][..], 0));
    device.live(60, &TRUE);
    let life = device.live(60, &outside);
    assert!(life.status.clock.unix.is_some_and(|unix| life.end.0 - unix <= 1));
    assert_eq!(life.uses(), ["disagrees with those that are heeded", "its time was proven"]);
}

/// One is silent: the others are heeded as if it were not there.
#[test]
fn one_is_silent() {
    let life = Device::new("silent").live(60, &Outside { keys, says: &[|_| None, Some, Some] });
    assert!(life.status.clock.unix.is_some_and(|unix| life.end.0 - unix <= 1));
    assert_eq!(life.uses(), ["does not answer", "its time was proven", "its time was proven"]);
    assert!(life.disagreed.is_empty());
}
