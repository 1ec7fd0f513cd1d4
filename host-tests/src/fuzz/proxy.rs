//! The capturing resolver between clients, servers and a resolver that say anything: it never panics, never
//! runs on for ever, answers no more than it was asked, and makes no entry at an address that others own.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_engine::selector::AddressRange;
use esp_engine::time::Instant;
use ike_core::crypto::PublicKey;
use ike_core::discovery::output::Socket;
use ike_core::discovery::proxy::settings::{Demand, Fate, Pattern, Rule, Settings};
use ike_core::discovery::proxy::{Client, Output, Progress, Proxy, Resources};
use ike_core::discovery::question::Ticket;
use ike_core::pad::{Gateway, PeerRecord, Presence, PublishedKey, Security};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Script;

const LAN: [u8; 4] = [10, 1, 0, 0];
const RESERVED: [u8; 4] = [192, 0, 2, 0];
const RULES: &[Rule<'static>] = &[
    Rule { names: Pattern(".bank.test"), demand: Demand::Require },
    Rule { names: Pattern(".test"), demand: Demand::Try },
];
/// A few names, so that questions meet.
const NAMES: [&[u8]; 6] = [
    b"\x03www\x04test\x00",
    b"\x01a\x04bank\x04test\x00",
    b"\x05plain\x07example\x00",
    b"\x03cdn\x04test\x00",
    b"\x09localhost\x00",
    b"\x01x\x05local\x00",
];
const TYPES: [u16; 8] = [1, 28, 65, 64, 45, 255, 16, 12];

/// A question to a server, as it went out.
struct Asked {
    socket: Socket,
    server: SocketAddr,
    octets: Vec<u8>,
}

struct World<'r> {
    proxy: Proxy<'r, ChaCha12Rng>,
    now: Instant,
    asked: VecDeque<Asked>,
    tickets: VecDeque<Ticket>,
    found: Vec<IpAddr>,
    questions: usize,
    replies: usize,
    reserved: AddressRange,
}

/// Plays a script.
pub fn run(octets: &[u8]) {
    let mut script = Script::new(octets);
    let range = |address: [u8; 4], length| AddressRange::prefix(address.into(), length).expect("a prefix");
    let (lan, reserved, open) = ([range(LAN, 16)], [range(RESERVED, 24)], [range([0; 4], 0)]);
    let servers = [SocketAddr::from(([198, 51, 100, 53], 53)), SocketAddr::from(([198, 51, 100, 54], 53))];
    let fate = |flag| if flag { Fate::Release } else { Fate::Refuse };
    let settings = Settings {
        servers: &servers[..script.below(3)],
        clients: &lan,
        inside: &lan,
        reserved: &reserved,
        open: &open,
        rules: RULES,
        bogus: fate(script.flag()),
        full: fate(script.flag()),
        ..Settings::DEFAULT
    };
    let mut resources = Box::new(Resources::<4, 6, 4>::new());
    let proxy = Proxy::new(&settings, &mut resources, ChaCha12Rng::from_seed([1; 32]));
    let mut world = World {
        proxy,
        now: Instant::from_millis(1_000),
        asked: VecDeque::new(),
        tickets: VecDeque::new(),
        found: Vec::new(),
        questions: 0,
        replies: 0,
        reserved: reserved[0],
    };
    while let Some(act) = script.more() {
        world.act(act, &mut script);
        world.drain();
    }
    world.now = world.now + Duration::from_secs(10);
    world.proxy.handle_timeout(world.now);
    world.drain();
}

impl World<'_> {
    fn act(&mut self, act: u8, script: &mut Script<'_>) {
        match act % 8 {
            0 => {
                self.now = self.now + Duration::from_millis(u64::from(script.octet()) * 16);
                self.proxy.handle_timeout(self.now);
            }
            1 => {
                let length = usize::from(script.octet());
                let client = client(script);
                self.ask(client, script.octets(length));
            }
            2 | 3 => {
                let client = client(script);
                let question = question(script);
                self.ask(client, &question);
            }
            4 => {
                let Some(asked) = self.asked.pop_front() else { return };
                let length = usize::from(script.octet());
                let mut octets = asked.octets.get(..2).unwrap_or_default().to_vec();
                octets.extend(script.octets(length));
                let _ = self.proxy.handle_answer(self.now, asked.socket, asked.server, &octets);
            }
            5 => {
                let Some(asked) = self.asked.pop_front() else { return };
                let octets = answer(&asked.octets, script);
                let _ = self.proxy.handle_answer(self.now, asked.socket, asked.server, &octets);
            }
            6 => {
                let record = record(self.now, script);
                let Some(ticket) = self.tickets.pop_front() else { return };
                self.proxy.handle_record(self.now, ticket, &record);
            }
            _ => {
                let progress = [Progress::Installed, Progress::Protected, Progress::Failed][script.below(3)];
                let Some(address) = self.found.pop() else { return self.proxy.handle_closed(self.now, 1) };
                self.proxy.handle_progress(self.now, address, progress);
            }
        }
    }

    fn ask(&mut self, client: Client, octets: &[u8]) {
        self.questions += usize::from(self.proxy.handle_query(self.now, client, octets).is_ok());
    }

    fn drain(&mut self) {
        for _ in 0..1_000 {
            let sockets = self.proxy.sockets();
            match self.proxy.poll_output() {
                Output::Timeout(_) => return,
                Output::Reply { octets, .. } => {
                    assert!(octets.len() >= 12 && octets[2] & 0x80 != 0, "an answer");
                    self.replies += 1;
                    assert!(self.replies <= self.questions, "one answer for a question");
                }
                Output::Query { socket, server, octets, .. } => {
                    assert!(usize::from(socket.0) < sockets);
                    self.asked.push_back(Asked { socket, server, octets: octets.to_vec() });
                }
                Output::Close(socket) => assert!(usize::from(socket.0) < sockets),
                Output::Lookup { ticket, .. } => self.tickets.push_back(ticket),
                Output::Found(found) => {
                    assert!(!self.reserved.contains(found.address) && !found.keys.is_empty());
                    self.found.push(found.address);
                }
                Output::Forget(gone) => self.found.retain(|known| *known != gone.address),
            }
        }
        panic!("no end of it");
    }
}

fn client(script: &mut Script<'_>) -> Client {
    let remote = IpAddr::from([10, 1, 0, script.octet() & 3]);
    match script.flag() {
        true => Client::Stream { remote, connection: 1 },
        false => Client::Datagram { remote: SocketAddr::new(remote, 40_000), local: [10, 1, 0, 1].into() },
    }
}

fn question(script: &mut Script<'_>) -> Vec<u8> {
    let mut octets = vec![0, script.octet(), 1, script.octet() & 0x30, 0, 1, 0, 0, 0, 0, 0, 0];
    octets.extend(NAMES[script.below(NAMES.len())]);
    octets.extend(TYPES[script.below(TYPES.len())].to_be_bytes());
    octets.extend([0, 1]);
    if script.flag() {
        octets[11] = 1;
        octets.extend([0, 0, 41, script.octet(), 0, 0, 0, 0x80, 0, 0, 0]);
    }
    octets
}

/// An answer to a question, with records of some types and any content.
fn answer(question: &[u8], script: &mut Script<'_>) -> Vec<u8> {
    let end = 12 + question.iter().skip(12).position(|octet| *octet == 0).unwrap_or(0) + 5;
    let mut octets = question[..end.min(question.len())].to_vec();
    octets[2] |= 0x80 | (script.octet() & 2);
    octets[3] = 0x80 | (script.octet() & 3);
    let count = script.octet() & 7;
    (octets[7], octets[9], octets[11]) = (count, 0, 0);
    for _ in 0..count {
        match script.flag() {
            true => octets.extend([0xC0, 12]),
            false => octets.extend(NAMES[script.below(NAMES.len())]),
        }
        let kind = script.octet();
        let rdata: Vec<u8> = match kind % 4 {
            0 => vec![[192, 198, 203, 10][script.below(4)], 0, 2, script.octet()],
            1 => NAMES[script.below(NAMES.len())].to_vec(),
            2 => [&[0, 1, 0, 0, 4, 0, 4][..], &[198, 51, 100, script.octet()]].concat(),
            _ => script.octets(usize::from(kind >> 4)).to_vec(),
        };
        let rtype = [1_u16, 5, 65, TYPES[script.below(TYPES.len())]][usize::from(kind % 4)];
        octets.extend(rtype.to_be_bytes());
        octets.extend([0, 1, 0, 0, script.octet(), 60, 0, u8::try_from(rdata.len()).unwrap_or(0)]);
        octets.extend(rdata);
    }
    octets
}

fn record(now: Instant, script: &mut Script<'_>) -> PeerRecord {
    let security =
        [Security::Secure, Security::Insecure, Security::Bogus, Security::Indeterminate][script.below(4)];
    let presence = [Presence::Present, Presence::Absent, Presence::OnlyUnusable][script.below(3)];
    let gateway =
        [Gateway::Owner, Gateway::Elsewhere, Gateway::Address([192, 0, 2, 1].into())][script.below(3)];
    let keys =
        (0..script.octet() & 3).map(|n| PublishedKey::Whole { key: PublicKey::Ed25519([n; 32]), gateway });
    PeerRecord {
        security,
        presence,
        keys: keys.collect(),
        is_wildcard: script.flag(),
        expires: now + Duration::from_secs(u64::from(script.octet())),
        ..PeerRecord::silence(now)
    }
}
