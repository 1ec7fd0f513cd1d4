//! Many routers that know nothing of each other: each has one policy, "protect everything", and finds keys in
//! the reverse tree with a validating resolver of its own (RFC 4025). A matrix says who has packets for whom.
//! In the end each flow has its SA. DNS is validated with real signatures; IKE's are [`Toy`]'s, because what
//! is counted here are messages, octets and memory, and how they grow with the number of routers.
//!
//! `cargo test -p host-tests --test reach -- --ignored --nocapture` lets 2,000 of them reach each other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use domain::base::Rtype;
use esp_engine::sa::Spi;
use esp_engine::selector::{AddressRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::{Action, Level, PolicyId};
use esp_engine::time::Instant;
use host_tests::dns::{Asked, Signing, Tree};
use host_tests::parties::{self, leak, leak_all, published};
use host_tests::signed_zone::{DnsName, NOW};
use ike_core::config::{Config, IkePolicy, Local, Peer};
use ike_core::crypto::software::Software;
use ike_core::crypto::toy::Toy;
use ike_core::crypto::{Crypto, PrivateKey, PublicKey, Signer};
use ike_core::discovery::clock::Clock;
use ike_core::discovery::output::{Output as Said, Socket, Transport};
use ike_core::discovery::question::Question;
use ike_core::discovery::resolver::{self, Resolver};
use ike_core::discovery::{UnixTime, ipseckey};
use ike_core::endpoint::Endpoint;
use ike_core::output::{Event, Output, Path, Role};
use ike_core::pad::{Identity, Matcher};
use ike_core::resources::Resources;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Others that each router has packets for.
const FLOWS: usize = 6;
/// From router to router, and half of the way to a DNS server and back.
const LATENCY: Duration = Duration::from_millis(10);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)), 53);

type Room = Resources<Toy<false>, 64, 16, 64, 48, 0, 16>;
type DnsRoom = resolver::Resources<4, 16, 4>;

struct Router {
    endpoint: Endpoint<'static, Toy<false>, ChaCha8Rng>,
    resolver: Resolver<'static, Software, ChaCha8Rng>,
    /// What the endpoint asked for.
    asked: BTreeMap<u32, Question>,
    /// When each of the two wants to be called.
    alarms: [Option<Instant>; 2],
    installed: BTreeMap<Spi, IpAddr>,
}

/// What happens when its moment comes, to the router with this number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Message(usize, usize, Vec<u8>),
    Answer(usize, Socket, Vec<u8>),
    Alarm(usize, usize),
    /// A packet for another; another second later if there is no SA yet.
    Packet(usize, usize),
}

#[derive(Default, Debug, PartialEq, Eq)]
struct Count {
    queries: u64,
    dns_octets: u64,
    messages: u64,
    ike_octets: u64,
    handshakes: u64,
    failed: u64,
    /// Of every message, in order.
    hash: u64,
}

struct Net {
    now: Instant,
    routers: Vec<Router>,
    tree: Tree,
    answers: HashMap<(DnsName, Rtype), host_tests::dns::Reply>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    serial: u64,
    flows: BTreeSet<(usize, usize)>,
    count: Count,
    hasher: DefaultHasher,
}

fn address(router: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0A01_0000 + u32::try_from(router).expect("few"))
}

fn number(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    address.to_bits().checked_sub(0x0A01_0000).map(|number| number as usize)
}

fn key(router: usize) -> PrivateKey {
    let mut secret = [0x51; 32];
    secret[..8].copy_from_slice(&(router as u64).to_be_bytes());
    PrivateKey::Ed25519(secret)
}

/// As [`Toy`] has it.
fn public(router: usize) -> PublicKey {
    Toy::<false>.signer(&key(router)).expect("a key").public_key()
}

fn config(router: usize, everyone: AddressRange) -> &'static Config<'static> {
    let mut config = parties::a();
    let own = IpAddr::from(address(router));
    config.identity = Identity::Address(own);
    config.key = Some(key(router));
    config.pad = leak_all(vec![published(Matcher::Addresses(everyone))]);
    let side = |range| leak_all(vec![TrafficSelector::all(range)]);
    config.policies = leak_all(vec![IkePolicy {
        local: side(AddressRange::single(own)),
        remote: side(everyone),
        action: Action::Protect { mode: esp_engine::sa::Mode::Transport, minimum: Level::Validated },
        peer: Peer::Any,
        pfs: false,
    }]);
    config.local = leak_all(vec![Local { interface: 0, address: own }]);
    leak(config)
}

/// The reverse tree: the root, and one zone with the key of each router.
fn tree(routers: usize) -> Tree {
    use std::fmt::Write;
    let mut zone = String::new();
    for router in 0..routers {
        let [a, b, c, d] = address(router).octets();
        let rdata = ipseckey::encode(10, &ipseckey::Gateway::None, &public(router));
        let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
        writeln!(zone, "{d}.{c}.{b}.{a}.in-addr.arpa. TYPE45 \\# {} {hex}", rdata.len()).expect("room");
    }
    Tree::new(&[(".", Signing::Signed, ""), ("10.in-addr.arpa.", Signing::Signed, &zone)])
}

/// Who has packets for whom: [`FLOWS`] others each, those with low numbers more often.
fn matrix(routers: usize, dice: &mut ChaCha8Rng) -> BTreeSet<(usize, usize)> {
    let mut flows = BTreeSet::new();
    let mut draw = || dice.next_u64() as usize % routers;
    for from in 0..routers {
        let mut others = BTreeSet::new();
        while others.len() < FLOWS.min(routers - 1) {
            others.insert(draw().min(draw()));
            others.remove(&from);
        }
        flows.extend(others.into_iter().map(|to| (from, to)));
    }
    flows
}

impl Net {
    fn new(routers: usize, seed: u64) -> Self {
        let tree = tree(routers);
        let anchors = leak_all(tree.anchors());
        let last = address(routers - 1).into();
        let everyone = AddressRange::new(address(0).into(), last).expect("a range");
        let router = |n: usize| {
            let rng = |salt: u64| ChaCha8Rng::seed_from_u64(seed << 32 | (n as u64) << 1 | salt);
            let mut clock = Clock::new(UnixTime(0));
            clock.set(Instant::ZERO, NOW).expect("later than 1970");
            let dns = resolver::Config { servers: leak_all(vec![SERVER.into()]), anchors };
            let room = Box::leak(Box::new(DnsRoom::new()));
            Router {
                endpoint: Endpoint::new(config(n, everyone), Box::leak(Box::new(Room::new())), Toy, rng(0))
                    .expect("a configuration that works"),
                resolver: Resolver::new(dns, clock, room, Software, rng(1)).expect("it works"),
                asked: BTreeMap::new(),
                alarms: [None, None],
                installed: BTreeMap::new(),
            }
        };
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let flows = matrix(routers, &mut dice);
        let mut net = Self {
            now: Instant::ZERO,
            routers: (0..routers).map(router).collect(),
            tree,
            answers: HashMap::new(),
            agenda: BinaryHeap::new(),
            serial: 0,
            flows: flows.clone(),
            count: Count::default(),
            hasher: DefaultHasher::new(),
        };
        for (from, to) in flows {
            let at = net.now + Duration::from_millis(dice.next_u64() % 60_000);
            net.note(at, Happening::Packet(from, to));
        }
        net
    }

    fn note(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.agenda.push(Reverse((at, self.serial, happening)));
    }

    /// Lets time pass until nothing more is asked for before `end`.
    fn run(&mut self, end: Instant) {
        while self.agenda.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            let Some(Reverse((at, _, happening))) = self.agenda.pop() else { return };
            self.now = at;
            self.happen(happening);
        }
        self.count.hash = self.hasher.finish();
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Message(to, from, mut octets) => {
                let ends = [to, from].map(|end| SocketAddr::new(address(end).into(), 500));
                let path = Path { interface: 0, local: ends[0], remote: ends[1] };
                let _ = self.routers[to].endpoint.handle_datagram(now, path, &mut octets);
                self.drain(to);
            }
            Happening::Answer(to, socket, octets) => {
                let _ = self.routers[to].resolver.handle_datagram(now, socket, SERVER, &octets);
                self.drain(to);
            }
            Happening::Alarm(who, which) if self.routers[who].alarms[which] == Some(now) => {
                self.routers[who].alarms[which] = None;
                match which {
                    0 => self.routers[who].endpoint.handle_timeout(now),
                    _ => self.routers[who].resolver.handle_timeout(now),
                }
                self.drain(who);
            }
            Happening::Alarm(..) => {}
            Happening::Packet(from, to) => {
                let destination = IpAddr::from(address(to));
                let is_there = self.routers[from].installed.values().any(|remote| *remote == destination);
                if !is_there {
                    let ports = Ports::Known { source: 1, destination: 2 };
                    let source = address(from).into();
                    let packet = Selectors { source, destination, protocol: 17, ports };
                    let _ = self.routers[from].endpoint.acquire(now, PolicyId(0), packet);
                    self.drain(from);
                    self.note(now + Duration::from_secs(1), Happening::Packet(from, to));
                }
            }
        }
    }

    /// Does what router `who` asks for, until it asks for nothing more.
    fn drain(&mut self, who: usize) {
        loop {
            let from_resolver = self.drain_resolver(who);
            if !self.drain_endpoint(who) && !from_resolver {
                return;
            }
        }
    }

    /// `true` when a look-up began.
    fn drain_endpoint(&mut self, who: usize) -> bool {
        let (now, mut asks, mut sent) = (self.now, false, Vec::new());
        let Router { endpoint, resolver, asked, alarms, installed } = &mut self.routers[who];
        let alarm = loop {
            match endpoint.poll_output() {
                Output::Event(Event::Lookup { ticket, of }) => {
                    let question = Question::about(&of.view()).expect("an address");
                    asked.insert(ticket.0, question.clone());
                    asks |= resolver.lookup(now, ticket, question).is_ok();
                }
                Output::Event(Event::Install(child)) => {
                    installed.insert(child.inbound, child.remote);
                }
                Output::Event(Event::Remove(spi)) => drop(installed.remove(&spi)),
                Output::Event(Event::Established(established)) => {
                    self.count.handshakes += u64::from(established.role == Role::Initiator);
                }
                Output::Event(Event::Failed(_)) => self.count.failed += 1,
                Output::Event(_) => {}
                Output::Transmit { path, datagram } => sent.push((path.remote.ip(), datagram.to_vec())),
                Output::Timeout(at) => break at,
            }
        };
        let is_new = alarms[0] != alarm;
        alarms[0] = alarm;
        if let Some(at) = alarm.filter(|_| is_new) {
            self.note(at.max(now), Happening::Alarm(who, 0));
        }
        for (to, octets) in sent {
            (now, who, to, &octets).hash(&mut self.hasher);
            self.count.messages += 1;
            self.count.ike_octets += octets.len() as u64;
            if let Some(to) = number(to) {
                self.note(now + LATENCY, Happening::Message(to, who, octets));
            }
        }
        asks
    }

    /// `true` when the endpoint got an answer.
    fn drain_resolver(&mut self, who: usize) -> bool {
        let (now, mut answered) = (self.now, false);
        loop {
            let Router { endpoint, resolver, asked, alarms, .. } = &mut self.routers[who];
            match resolver.poll_output() {
                Said::Query { socket, server, transport, octets } => {
                    let octets = octets.to_vec();
                    assert!(matches!(transport, Transport::Udp { .. }), "every answer fits a datagram");
                    let asked = Asked { at: now, socket, server, transport, octets };
                    self.answer(who, &asked);
                }
                Said::Answer { ticket, outcome } => {
                    if let Some(question) = asked.remove(&ticket.0) {
                        let record = outcome.peer_record(&question);
                        endpoint.handle_peer_record(now, ticket, record);
                        answered = true;
                    }
                }
                Said::Close { .. }
                | Said::Proposed(_)
                | Said::NotBefore(_)
                | Said::Anchors(_)
                | Said::Probed(_) => {}
                Said::Timeout(alarm) => {
                    let is_new = alarms[1] != alarm;
                    alarms[1] = alarm;
                    if let Some(at) = alarm.filter(|_| is_new) {
                        self.note(at.max(now), Happening::Alarm(who, 1));
                    }
                    return answered;
                }
            }
        }
    }

    /// The server's answer; what it has said once it knows by heart.
    fn answer(&mut self, who: usize, asked: &Asked) {
        // The letters of the question are the asker's choice.
        let name: DnsName = asked.words().split(' ').next().expect("a name").parse().expect("a name");
        let what = (name, asked.rtype());
        let reply =
            self.answers.entry(what).or_insert_with_key(|(name, rtype)| self.tree.answer(name, *rtype));
        let octets = asked.reply(reply);
        (self.now, who, &octets).hash(&mut self.hasher);
        self.count.queries += 1;
        self.count.dns_octets += (asked.octets.len() + octets.len()) as u64;
        self.note(self.now + 2 * LATENCY, Happening::Answer(who, asked.socket, octets));
    }

    /// Flows that have no SA.
    fn unreached(&self) -> usize {
        let has = |from: usize, to: usize| {
            self.routers[from].installed.values().any(|remote| *remote == IpAddr::from(address(to)))
        };
        self.flows.iter().filter(|(from, to)| !has(*from, *to)).count()
    }
}

/// Lets so many routers reach whom they have packets for, and says what it took.
fn reach(routers: usize, seed: u64) -> Count {
    let mut net = Net::new(routers, seed);
    net.run(Instant::from_millis(120_000));
    assert_eq!(net.unreached(), 0, "flows without SA, of {routers} routers: {:?}", net.count);
    let Count { queries, dns_octets, ike_octets, handshakes, failed, .. } = net.count;
    let (each, memory) = (routers as u64, size_of::<Room>() + size_of::<DnsRoom>());
    println!(
        "| {routers} | {} | {handshakes} | {failed} | {:.1} | {} | {} | {memory} |",
        net.flows.len(),
        queries as f64 / each as f64,
        dns_octets / each,
        ike_octets / each,
    );
    net.count
}

/// Each flow of 100 routers gets its SA, and the same seed gives the same messages.
#[test]
fn every_flow_is_protected() {
    let count = reach(100, 1);
    assert_eq!(count, reach(100, 1));
    assert_ne!(count.hash, reach(100, 2).hash);
}

/// What it takes a router does not grow with the number of routers.
#[test]
#[ignore = "takes minutes"]
fn two_thousand_routers_reach_each_other() {
    println!(
        "| routers | flows | handshakes | failed | queries each | DNS octets each | IKE octets each | memory each |"
    );
    let counts = [250, 500, 1_000, 2_000].map(|routers| (routers as u64, reach(routers, 1)));
    let [(few, at_first), .., (many, at_last)] = counts;
    assert!(at_last.queries / many <= at_first.queries / few + 2);
    assert!(at_last.ike_octets / many <= at_first.ike_octets / few * 11 / 10);
}
