//! One endpoint with a thousand peers in virtual time, with [`ike_core::crypto::toy`] for cryptography: SAs
//! are replaced by their ordinary lifetimes while 1 % of the messages are lost. All memory is sized
//! before anything begins; what is in use of it returns to where it was.
//!
//! `cargo test -p host-tests --test mass -- --ignored --nocapture` lets a day pass.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use esp_engine::sa::{Mode, SaReport, Spi};
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::{Action, Level};
use esp_engine::time::Instant;
use host_tests::parties::{self, PEER, leak, leak_all};
use ike_core::config::{Config, IkePolicy, Local, Peer};
use ike_core::crypto::toy::Toy;
use ike_core::endpoint::Endpoint;
use ike_core::output::{Event, Output, Path};
use ike_core::pad::{Identity, Matcher};
use ike_core::resources::{Resources, Usage};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const PEERS: usize = 1_000;
const HUB: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const LATENCY: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3_600);

type Standing<'e> = Endpoint<'e, Toy<false>, &'e mut ChaCha8Rng>;

/// Room for both SAs of each peer while one takes over from the other, and for strangers.
type HubRoom = Resources<Toy<false>, 2_100, 200, 2_400, 255, 0>;
type PeerRoom = Resources<Toy<false>, 3, 2, 4, 8, 0>;

/// State of an endpoint, of either size.
enum Room {
    Hub(Box<HubRoom>),
    Peer(Box<PeerRoom>),
}

struct End {
    room: Room,
    config: &'static Config<'static>,
    rng: ChaCha8Rng,
    /// Pairs of SAs that its data plane has, with how often a slot was taken.
    installed: HashMap<Spi, u64>,
    timeout: Option<Instant>,
}

impl End {
    fn endpoint(&mut self) -> Standing<'_> {
        let Self { room, config, rng, .. } = self;
        let endpoint = match room {
            Room::Hub(room) => Endpoint::attach(config, &mut **room, Toy, rng),
            Room::Peer(room) => Endpoint::attach(config, &mut **room, Toy, rng),
        };
        endpoint.expect("configuration works")
    }

    fn usage(&self) -> Usage {
        match &self.room {
            Room::Hub(room) => room.usage(),
            Room::Peer(room) => room.usage(),
        }
    }
}

/// What happens when its moment comes, to the end with this number; the hub is the last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrives(usize, [u8; 4], Vec<u8>),
    Timer(usize),
    /// The time of a pair is nearly over, or over, unless it is another one in the same slot.
    Soft(usize, u32, u64),
    Hard(usize, u32, u64),
    Initiates(usize),
}

#[derive(Default)]
struct Count {
    messages: u64,
    lost: u64,
    established: u64,
    rekeyed: u64,
    children: u64,
    failed: u64,
}

struct Mass {
    now: Instant,
    ends: Vec<End>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    serial: u64,
    dice: ChaCha8Rng,
    count: Count,
}

fn address(peer: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0A01_0000 + u32::try_from(peer).expect("few"))
}

fn config(own: IpAddr, remote: AddressRange, peer: Option<IpAddr>) -> &'static Config<'static> {
    let mut config = parties::a();
    config.identity = Identity::Address(own);
    let mut entry = config.pad[0];
    entry.matcher = Matcher::Any;
    entry.address = peer.map(|peer| (peer, 500).into());
    config.pad = leak_all(vec![entry]);
    parties::share(&mut config, b"a secret");
    let side = |range| leak_all(vec![TrafficSelector::all(range)]);
    let action = Action::Protect { mode: Mode::Transport, minimum: Level::Shared };
    let local = side(AddressRange::single(own));
    config.policies = leak_all(vec![IkePolicy {
        local,
        remote: side(remote),
        action,
        peer: Peer::Entry(PEER),
        pfs: false,
    }]);
    config.local = leak_all(vec![Local { interface: 0, address: own }]);
    config.timing.half_open_per_source = u8::MAX;
    config.timing.cookie_threshold = u8::MAX;
    leak(config)
}

impl Mass {
    fn new() -> Self {
        let end = |room, config, seed| End {
            room,
            config,
            rng: ChaCha8Rng::seed_from_u64(seed),
            installed: HashMap::new(),
            timeout: None,
        };
        let mut ends: Vec<End> = (0..PEERS)
            .map(|peer| {
                let config = config(address(peer).into(), AddressRange::single(HUB), Some(HUB));
                end(Room::Peer(Box::new(PeerRoom::new())), config, peer as u64)
            })
            .collect();
        let range = AddressRange::new(address(0).into(), address(PEERS - 1).into()).expect("a range");
        ends.push(end(Room::Hub(Box::new(HubRoom::new())), config(HUB, range, None), PEERS as u64));
        let mut mass = Self {
            now: Instant::from_millis(1_000),
            ends,
            agenda: BinaryHeap::new(),
            serial: 0,
            dice: ChaCha8Rng::seed_from_u64(7),
            count: Count::default(),
        };
        for peer in 0..PEERS {
            let at = mass.now + Duration::from_millis(100 * peer as u64);
            mass.note(at, Happening::Initiates(peer));
        }
        mass
    }

    fn note(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.agenda.push(Reverse((at, self.serial, happening)));
    }

    /// Gives an end an input and does what it asks for then.
    fn act(&mut self, who: usize, input: impl FnOnce(&mut Standing<'_>)) {
        let (mut sent, mut events) = (Vec::new(), Vec::new());
        let mut endpoint = self.ends[who].endpoint();
        input(&mut endpoint);
        let timeout = loop {
            match endpoint.poll_output() {
                Output::Event(event) => events.push(event),
                Output::Transmit { path, datagram } => sent.push((path, datagram.to_vec())),
                Output::Timeout(at) => break at,
            }
        };
        events.into_iter().for_each(|event| self.take(who, event));
        for (path, datagram) in sent {
            self.send(path, datagram);
        }
        if self.ends[who].timeout != timeout {
            self.ends[who].timeout = timeout;
            if let Some(at) = timeout {
                self.note(at.max(self.now), Happening::Timer(who));
            }
        }
    }

    fn take(&mut self, who: usize, event: Event) {
        match event {
            Event::Install(child) => {
                let (spi, serial) = (child.inbound, self.serial);
                assert!(self.ends[who].installed.insert(spi, serial).is_none(), "the slot was free");
                self.note(self.now + child.lifetime.soft.time, Happening::Soft(who, spi.get(), serial));
                self.note(self.now + child.lifetime.hard.time, Happening::Hard(who, spi.get(), serial));
                self.count.children += 1;
            }
            Event::Remove(spi) => assert!(self.ends[who].installed.remove(&spi).is_some()),
            Event::Established(_) => self.count.established += 1,
            Event::Rekeyed { .. } => self.count.rekeyed += 1,
            Event::Failed(_) => self.count.failed += 1,
            _ => {}
        }
    }

    fn send(&mut self, path: Path, datagram: Vec<u8>) {
        self.count.messages += 1;
        if self.dice.next_u32().is_multiple_of(100) {
            self.count.lost += 1;
            return;
        }
        let (IpAddr::V4(from), IpAddr::V4(to)) = (path.local.ip(), path.remote.ip()) else { return };
        let to = if IpAddr::V4(to) == HUB { PEERS } else { (to.to_bits() - address(0).to_bits()) as usize };
        self.note(self.now + LATENCY, Happening::Arrives(to, from.octets(), datagram));
    }

    /// Lets time pass until `end`.
    fn run(&mut self, end: Instant) {
        while self.agenda.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            let Some(Reverse((at, _, happening))) = self.agenda.pop() else { return };
            self.now = at;
            let now = at;
            match happening {
                Happening::Arrives(to, from, mut datagram) => {
                    let own = if to == PEERS { HUB } else { address(to).into() };
                    let remote = (IpAddr::from(from), 500).into();
                    let path = Path { interface: 0, local: (own, 500).into(), remote };
                    self.act(to, |endpoint| {
                        let _ = endpoint.handle_datagram(now, path, &mut datagram);
                    });
                }
                Happening::Timer(who) if self.ends[who].timeout == Some(at) => {
                    self.ends[who].timeout = None;
                    self.act(who, |endpoint| endpoint.handle_timeout(now));
                }
                Happening::Timer(_) => {}
                Happening::Initiates(peer) => {
                    self.act(peer, |endpoint| endpoint.initiate(now, PEER).expect("begins"));
                }
                Happening::Soft(who, spi, serial) => {
                    self.report(who, spi, serial, SaReport::SoftExpired);
                }
                Happening::Hard(who, spi, serial) => {
                    self.report(who, spi, serial, SaReport::HardExpired);
                }
            }
        }
        self.now = end;
    }

    fn report(&mut self, who: usize, spi: u32, serial: u64, report: fn(Spi) -> SaReport) {
        let spi = Spi::new(spi).expect("it was one");
        if self.ends[who].installed.get(&spi) == Some(&serial) {
            let now = self.now;
            self.act(who, |endpoint| endpoint.handle_sa_report(now, report(spi)));
        }
    }

    /// Each peer has one IKE SA and one pair of Child SAs, and the hub has as many as there are peers.
    fn assert_standing(&self, when: &str) {
        for (who, end) in self.ends.iter().enumerate() {
            let usage = end.usage();
            let count = if who == PEERS { PEERS } else { 1 };
            assert_eq!((usage.ike_sas, usage.children), (count, count), "{when}, end {who}: {usage:?}");
            assert_eq!(usage.handshakes, 0, "{when}, end {who}: {usage:?}");
            assert_eq!(usage.buffers, 0, "{when}, end {who}: {usage:?}");
            assert_eq!(end.installed.len(), count, "{when}, end {who}");
        }
    }
}

/// Lets so much time pass and says what happened in it.
fn pass(time: Duration) {
    let began = std::time::Instant::now();
    let mut mass = Mass::new();
    let start = mass.now;
    mass.run(start + time);
    // What is under way when time is up has its minutes to end; nothing new is asked for meanwhile.
    mass.agenda = std::mem::take(&mut mass.agenda)
        .into_iter()
        .filter(|Reverse((_, _, happening))| !matches!(happening, Happening::Soft(..) | Happening::Hard(..)))
        .collect();
    mass.run(start + time + Duration::from_secs(400));
    mass.assert_standing("at the end");
    let Count { messages, lost, established, rekeyed, children, failed } = mass.count;
    println!("{PEERS} peers, {time:?} in {:.1?}: {messages} messages, {lost} lost", began.elapsed());
    println!(
        "{established} IKE SAs set up, {rekeyed} rekeyed, {children} pairs of Child SAs, {failed} failures"
    );
    println!("octets: hub {}, peer {}", size_of::<HubRoom>(), size_of::<PeerRoom>());
    assert_eq!(mass.ends[PEERS].endpoint().status().count(), PEERS);
    let now = mass.now;
    mass.act(PEERS, |endpoint| endpoint.shutdown(now));
    mass.run(now + Duration::from_secs(400));
    for end in &mass.ends {
        assert_eq!(end.usage(), Usage { ike_sas: 0, handshakes: 0, children: 0, buffers: 0 });
        assert!(end.installed.is_empty());
    }
}

/// The hub's room does not fit on a test's stack.
fn with_room(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(test).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Counts return to their start after a replacement of every pair.
#[test]
fn a_thousand_peers_for_an_hour() {
    with_room(|| pass(HOUR));
}

/// The same for a day, in which IKE SAs are rekeyed too.
#[test]
#[ignore = "takes minutes"]
fn a_thousand_peers_for_a_day() {
    with_room(|| pass(24 * HOUR));
}
