//! Two endpoints whose integrity check always matches, so that whatever a fuzzer writes into a message is
//! looked at. The octets are a script: who the two are, then what happens to them: a datagram arrives, is
//! lost, doubled, late, altered or made up, time passes, somebody asks for something, the data plane reports.
//!
//! What must hold, whatever happens: no panic; only what is installed is removed, moved or reported; what is remembered
//! of somebody changes by the operator's word or to something better; one input
//! causes a bounded number of outputs; what is discarded shows in no status; and once both ends shut down
//! and nothing arrives any more, the timers leave nothing behind.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use esp_engine::sa::{SaReport, Spi};
use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::{Level, PolicyId};
use esp_engine::time::Instant;
use ike_core::config::{Config, IkePolicy, Peer, Suite};
use ike_core::crypto::toy::Toy;
use ike_core::endpoint::Endpoint;
use ike_core::output::{Event, Output, Path, SaStatus};
use ike_core::remembered::Remembered;
use ike_core::resources::Resources;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header, IkeSpi};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::Script;
use crate::parties::{self, A, A_KEY, B, B_KEY, PEER};

mod edit;

/// IKE SAs that an endpoint has room for.
const SAS: usize = 4;
/// The most outputs that one input may cause.
const OUTPUTS: usize = 64;
/// Calls of the timers after which everything must have come to its end.
const ALARMS: usize = 400;
/// Datagrams that are remembered, to arrive again.
const MEMORY: usize = 16;

type Room = Resources<Toy<true>, SAS, 3, 8, 10, 2, 0, 2>;

/// First octets of scripts, and of calls, from here on mean what came later: those before keep the meaning that
/// the corpus knows.
const LATER: u8 = 250;

/// Who the two may be: with pinned keys, a shared secret, as strangers, in tunnel mode, behind a NAT.
static PARTIES: LazyLock<Vec<[Config<'static>; 2]>> = LazyLock::new(|| {
    let mut pinned = [parties::a(), parties::b()];
    parties::pin_with(Toy::<true>, &mut pinned[0], &B_KEY);
    parties::pin_with(Toy::<true>, &mut pinned[1], &A_KEY);
    let mut shared = pinned.clone();
    shared.iter_mut().for_each(|end| parties::share(end, b"a shared secret"));
    let (a, b) = parties::strangers();
    let mut tunnel = pinned.clone();
    parties::make_tunnel(&mut tunnel[0], A, B);
    parties::make_tunnel(&mut tunnel[1], B, A);
    let mut behind_nat = pinned.clone();
    for end in &mut behind_nat {
        end.force_encapsulation = true;
        end.timing.liveness = Duration::from_secs(30);
    }
    vec![pinned, shared, [a, b], tunnel, behind_nat]
});

/// Those who came later: with ML-KEM beside each curve, and the same where the path carries little, so that messages
/// are in fragments.
static LATER_PARTIES: LazyLock<Vec<[Config<'static>; 2]>> = LazyLock::new(|| {
    let mut hybrid = PARTIES[0].clone();
    for end in &mut hybrid {
        end.suites = &[Suite::POST_QUANTUM];
        end.policies = parties::leak_all(vec![IkePolicy { pfs: true, ..end.policies[0] }]);
    }
    let mut narrow = hybrid.clone();
    narrow.iter_mut().for_each(|end| end.timing.datagram = 576);
    vec![hybrid, narrow]
});

/// Calls by which the operator has a stranger forgotten, or given another key, where one is remembered.
const FORGET: u8 = 252;
const ACCEPT: u8 = 253;
/// The first octet of scripts with strangers whose keys are remembered.
const FIRST_USE: u8 = 252;

/// Each takes whoever comes first, and remembers his key.
static STRANGERS: LazyLock<[Config<'static>; 2]> = LazyLock::new(|| {
    let (a, b) = parties::strangers();
    [(a, A, B), (b, B, A)].map(|(mut end, own, peer)| {
        end.pad = parties::leak_all(vec![parties::FIRST_USE]);
        end.policies = parties::leak_all(vec![parties::between(own, peer, Level::First, Peer::Any)]);
        end
    })
});

/// How long a step of time is.
const STEPS: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(50 * 60),
    Duration::from_secs(24 * 3600),
];

/// Plays the script to its end.
pub fn run(octets: &[u8]) {
    let mut script = Script::new(octets);
    let ends = match script.octet() {
        FIRST_USE => &*STRANGERS,
        who @ LATER.. => &LATER_PARTIES[usize::from(who - LATER) % LATER_PARTIES.len()],
        who => &PARTIES[usize::from(who) % PARTIES.len()],
    };
    let mut rooms = [(); 2].map(|()| Box::new(Room::new()));
    let [a, b] = &mut rooms;
    let mut scene = Scene {
        now: Instant::from_millis(1_000),
        sides: [Side::new(&ends[0], a, 1), Side::new(&ends[1], b, 2)],
        under_way: VecDeque::new(),
        sent: VecDeque::new(),
    };
    while let Some(act) = script.more() {
        scene.act(act, &mut script);
        scene.drain();
    }
    scene.end();
}

/// One end.
struct Side<'r> {
    endpoint: Endpoint<'r, Toy<true>, ChaCha8Rng>,
    installed: Vec<Spi>,
    known: Vec<Remembered>,
    timeout: Option<Instant>,
}

impl<'r> Side<'r> {
    fn new(config: &'r Config<'static>, room: &'r mut Room, seed: u64) -> Self {
        let endpoint = Endpoint::new(config, room, Toy, ChaCha8Rng::seed_from_u64(seed));
        let endpoint = endpoint.expect("the configuration works");
        Self { endpoint, installed: Vec::new(), known: Vec::new(), timeout: None }
    }

    /// Takes a datagram; what is discarded shows nowhere.
    fn receive(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let before = (self.status(), self.remembered());
        if self.endpoint.handle_datagram(now, path, &mut datagram.to_vec()).is_err() {
            assert_eq!((self.status(), self.remembered()), before, "a discarded datagram changed something");
        }
    }

    fn remembered(&self) -> Vec<Remembered> {
        self.endpoint.remembered().map(|(_, known)| known.clone()).collect()
    }

    /// Nobody's level falls, and no stranger gets another key.
    fn check_remembered(&mut self) {
        let now = self.remembered();
        for before in &self.known {
            let after = now.iter().find(|after| after.of == before.of).expect("nobody is forgotten");
            assert!(after.level >= before.level, "{before:?} is less");
            assert!(after.level > Level::First || after.fingerprint == before.fingerprint, "another key");
        }
        self.known = now;
    }

    fn status(&self) -> Vec<SaStatus> {
        self.endpoint.status().collect()
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Install(child) => {
                assert!(!self.installed.contains(&child.inbound), "installed twice");
                self.installed.push(child.inbound);
            }
            Event::Remove(spi) => {
                let place = self.installed.iter().position(|other| other == spi);
                self.installed.remove(place.expect("only what is installed is removed"));
            }
            Event::Update(update) => assert!(self.installed.contains(&update.inbound), "moved"),
            Event::ChildEstablished(child) => assert!(self.installed.contains(&child.inbound), "announced"),
            _ => {}
        }
    }
}

/// A datagram with its way, as its receiver sees it.
#[derive(Clone)]
struct Datagram {
    to: usize,
    path: Path,
    /// Octets of the marker in front.
    marker: usize,
    octets: Vec<u8>,
}

impl Datagram {
    fn edit(&mut self, script: &mut Script<'_>) {
        edit::payloads(&mut self.octets, script, self.marker);
    }
}

/// Both ends and what is between them.
struct Scene<'r> {
    now: Instant,
    sides: [Side<'r>; 2],
    under_way: VecDeque<Datagram>,
    sent: VecDeque<Datagram>,
}

impl Scene<'_> {
    /// One line of the script.
    fn act(&mut self, act: u8, script: &mut Script<'_>) {
        match act % 16 {
            0..=2 => self.deliver(false, |_| {}),
            3 => drop(self.under_way.pop_front()),
            4 => self.deliver(true, |_| {}),
            5 => self.under_way.rotate_left(1.min(self.under_way.len())),
            6 => self.deliver(script.flag(), |datagram| edit::octets(&mut datagram.octets, script)),
            7 => self.deliver(script.flag(), |datagram| datagram.edit(script)),
            8 => self.again(script),
            9 => self.forge(script),
            10 => {
                let (to, path) = self.way(script);
                let length = usize::from(script.octet());
                self.sides[to].receive(self.now, path, script.octets(length));
            }
            11 | 12 => self.pass(STEPS[script.below(STEPS.len())]),
            13 => self.call(script),
            14 => self.report(script),
            _ => self.alarm(),
        }
    }

    /// The next datagram arrives, changed; `stays`: it will arrive once more.
    fn deliver(&mut self, stays: bool, change: impl FnOnce(&mut Datagram)) {
        let Some(next) = self.under_way.pop_front() else {
            return;
        };
        let mut changed = next.clone();
        change(&mut changed);
        self.sides[next.to].receive(self.now, next.path, &changed.octets);
        if stays {
            self.under_way.push_front(next);
        }
    }

    /// An earlier datagram arrives again, perhaps at its sender, from elsewhere, or altered.
    fn again(&mut self, script: &mut Script<'_>) {
        let how = script.octet();
        let Some(mut old) = self.sent.get(script.below(MEMORY)).cloned() else {
            return;
        };
        if how & 1 != 0 {
            old.to = 1 - old.to;
            std::mem::swap(&mut old.path.local, &mut old.path.remote);
        }
        if how & 2 != 0 {
            old.path.remote = elsewhere(script);
        }
        if how & 4 != 0 {
            old.edit(script);
        }
        self.sides[old.to].receive(self.now, old.path, &old.octets);
    }

    /// A message of a stranger's making within an IKE SA that is there.
    fn forge(&mut self, script: &mut Script<'_>) {
        let (to, path) = self.way(script);
        let statuses = self.sides[to].status();
        let Some(status) = statuses.get(script.below(SAS)) else {
            return;
        };
        let flags = Flags { initiator: script.flag(), response: script.flag() };
        let header = Header {
            initiator_spi: IkeSpi(status.spis.initiator),
            responder_spi: IkeSpi(status.spis.responder),
            next_payload: PayloadType::SK,
            exchange: ExchangeType(34 + script.octet() % 12),
            flags,
            message_id: u32::from(script.octet() % 8),
        };
        let (first, length) = (PayloadType(script.octet()), usize::from(script.octet()));
        let mut octets = edit::sealed(&header, first, script.octets(length));
        if path.local.port() == 4500 {
            octets.splice(0..0, [0; 4]);
        }
        self.sides[to].receive(self.now, path, &octets);
    }

    /// A way to one of the ends.
    fn way(&self, script: &mut Script<'_>) -> (usize, Path) {
        let to = usize::from(script.flag());
        let (own, peer) = if to == 0 { (A, B) } else { (B, A) };
        let port = if script.flag() { 4500 } else { 500 };
        let remote = if script.flag() { elsewhere(script) } else { (peer, port).into() };
        (to, Path { interface: 0, local: (own, port).into(), remote })
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.sides.iter_mut().for_each(|side| side.endpoint.handle_timeout(self.now));
    }

    /// Time passes until the next timer fires.
    fn alarm(&mut self) {
        if let Some(next) = self.sides.iter().filter_map(|side| side.timeout).min() {
            self.now = self.now.max(next);
            self.pass(Duration::ZERO);
        }
    }

    /// Somebody wants something of an end; refusals are in order.
    fn call(&mut self, script: &mut Script<'_>) {
        let (now, at) = (self.now, usize::from(script.flag()));
        let (own, peer) = if at == 0 { (A, B) } else { (B, A) };
        let endpoint = &mut self.sides[at].endpoint;
        let what = script.octet();
        let stranger = endpoint.remembered().find(|(_, known)| known.level == Level::First);
        let stranger = stranger.map(|(_, known)| known.of.clone());
        match (what, stranger) {
            (FORGET, Some(of)) => {
                endpoint.forget_peer(now, &of.view());
                return self.sides[at].known.clear();
            }
            (ACCEPT, Some(of)) => {
                endpoint.accept(now, &of.view(), [script.octet(); 32]);
                return self.sides[at].known.clear();
            }
            (LATER.., _) => return endpoint.rekey_ike_sas(now, PEER),
            _ => {}
        }
        let _ = match what % 5 {
            0 => endpoint.initiate(now, PEER),
            1 => endpoint.rekey(now, PEER),
            2 => {
                let ports = Ports::Known { source: script.number(), destination: 53 };
                let packet = Selectors { source: own, destination: peer, protocol: 17, ports };
                endpoint.acquire(now, PolicyId(0), packet)
            }
            3 => {
                endpoint.close(now, PEER);
                Ok(())
            }
            _ => {
                endpoint.shutdown(now);
                Ok(())
            }
        };
    }

    /// The data plane says something about an SA of its own, or of nobody's.
    fn report(&mut self, script: &mut Script<'_>) {
        let (now, side) = (self.now, &mut self.sides[usize::from(script.flag())]);
        let spi = side.installed.get(script.below(8)).copied();
        let report = match (script.octet() % 5, spi) {
            (0, Some(spi)) => SaReport::SoftExpired(spi),
            (1, Some(spi)) => SaReport::HardExpired(spi),
            (2, Some(spi)) => SaReport::FirstInbound(spi),
            (3, Some(spi)) => SaReport::PeerMoved { spi, remote: elsewhere(script) },
            _ => SaReport::UnknownSpi { spi: u32::from(script.number()), remote: A, port: None },
        };
        side.endpoint.handle_sa_report(now, report);
    }

    /// Takes in what both ends have to say.
    fn drain(&mut self) {
        for from in 0..2 {
            let side = &mut self.sides[from];
            for outputs in 0.. {
                assert!(outputs < OUTPUTS, "more and more outputs");
                match side.endpoint.poll_output() {
                    Output::Event(event) => side.take(&event),
                    Output::Transmit { path, datagram } => {
                        let marker = if path.local.port() == 4500 { 4 } else { 0 };
                        let path = Path { local: path.remote, remote: path.local, ..path };
                        let sent = Datagram { to: 1 - from, path, marker, octets: datagram.to_vec() };
                        self.sent.truncate(MEMORY - 1);
                        self.sent.push_front(sent.clone());
                        self.under_way.push_back(sent);
                    }
                    Output::Timeout(timeout) => {
                        side.timeout = timeout;
                        break;
                    }
                }
            }
            side.check_remembered();
            assert!(side.endpoint.status().count() <= SAS);
        }
    }

    /// Both ends shut down and hear nothing any more: nothing stays.
    fn end(&mut self) {
        let now = self.now;
        self.sides.iter_mut().for_each(|side| side.endpoint.shutdown(now));
        self.drain();
        for _ in 0..ALARMS {
            if self.sides.iter().all(|side| side.timeout.is_none()) {
                break;
            }
            self.alarm();
            self.drain();
        }
        for side in &self.sides {
            assert_eq!(side.timeout, None, "a timer goes on for ever");
            assert_eq!(side.status(), [], "an IKE SA stays");
            assert_eq!(side.installed, [], "a Child SA stays");
        }
    }
}

/// Somebody else's address, or the peer's with another port.
fn elsewhere(script: &mut Script<'_>) -> SocketAddr {
    let host = script.octet();
    ([192, 0, 2, host % 8], 500 + u16::from(host)).into()
}
