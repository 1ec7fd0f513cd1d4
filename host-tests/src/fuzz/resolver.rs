//! The resolver between a few askers and servers that answer as a script says: with keys, delegations,
//! records, aliases or denials in the name of whatever zone, with octets of any making, late or not at all.
//! Signatures always match, so that the way down from the root is walked as far as the script wants it.
//!
//! What must hold, whatever comes: no panic; every asker is answered once, within five seconds; a lookup
//! costs forty queries at most; what is secure was signed, and nothing is kept longer than a day.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use domain::base::Rtype;
use esp_engine::time::Instant;
use ike_core::crypto::Crypto;
use ike_core::crypto::toy::Toy;
use ike_core::discovery::clock::Clock;
use ike_core::discovery::dnssec::{Algorithm, Digest, Ds};
use ike_core::discovery::outcome::{Outcome, Security};
use ike_core::discovery::output::{Output, Socket, Transport};
use ike_core::discovery::question::{Question, Ticket};
use ike_core::discovery::resolver::{Config, Examples, Resolver, Resources};
use ike_core::discovery::upstream::Server;
use ike_core::discovery::{Name, UnixTime};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::Script;

const NOW: UnixTime = UnixTime(1_795_000_000);
const BACKEND: Toy<true> = Toy;
/// Lookups and queries of each.
const MOST: usize = 3 * 40;

/// Data of a DNSKEY record: RSA/SHA-256 with 1,024 bits.
static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| [&[1, 1, 3, 8, 3, 1, 0, 1][..], &[0xA5; 128]].concat());

static KEY_TAG: LazyLock<u16> = LazyLock::new(|| {
    let record = domain::rdata::Dnskey::new(257, 3, 8.into(), &KEY[4..]);
    record.expect("short").key_tag()
});

const NAMES: [&str; 5] = ["vpn.peer.test.", "alias.peer.test.", "test.", "a.b.c.d.peer.test.", "."];

/// What a server does with a query.
enum Act {
    Silent,
    Broken,
    Says(Vec<u8>),
}

/// Lets the script answer.
pub fn run(octets: &[u8]) {
    secures(octets);
}

/// How many of three lookups ended secure.
pub fn secures(octets: &[u8]) -> usize {
    let mut script = Script::new(octets);
    let servers = [53, 54].map(|n| Server::from(SocketAddr::from(([192, 0, 2, n], 53))));
    let anchors = [Ds {
        key_tag: *KEY_TAG,
        algorithm: Algorithm::RsaSha256,
        digest: Digest::Sha256(BACKEND.sha256(&[&[0], &KEY])),
    }];
    let mut clock = Clock::new(UnixTime(0));
    clock.set(Instant::ZERO, NOW).expect("later");
    let config = Config { servers: &servers, anchors: &anchors };
    let mut resources = Box::new(Resources::<2, 2, 3>::new());
    let rng = ChaCha20Rng::seed_from_u64(octets.len() as u64);
    let mut resolver = Resolver::new(config, clock, &mut resources, BACKEND, rng).expect("it works");
    let mut now = Instant::ZERO;
    let mut secure = 0;
    for ticket in 0..3 {
        let begun = now;
        let name: Name = NAMES[script.below(NAMES.len())].parse().expect("a name");
        let question = match script.below(3) {
            0 => Question::Peer(name),
            1 => Question::Reverse([192, 0, 2, 1].into()),
            _ => Question::Records { name, rtype: if ticket == 1 { Rtype::TLSA } else { Rtype::SOA } },
        };
        resolver.lookup(now, Ticket(ticket), question.clone()).expect("there is room");
        let outcome = wait(&mut resolver, &mut script, &mut now, Ticket(ticket));
        assert!(now.since(begun) <= Duration::from_secs(5), "{outcome:?}");
        assert!(outcome.expires.since(now) <= Duration::from_secs(86_400));
        if outcome.security == Security::Secure {
            assert!(outcome.signed_until.is_some_and(|until| until > NOW), "{outcome:?}");
            secure += 1;
        }
        if outcome.fingerprints_at(&question).is_some() {
            assert!(outcome.security == Security::Secure && outcome.keys().next().is_none(), "{outcome:?}");
        }
        let by_fingerprints = outcome.peer_record_by(&outcome);
        assert!(by_fingerprints.keys.is_empty() || outcome.security == Security::Secure, "{outcome:?}");
        // Whatever is known of it is forgotten in between, or is not.
        now = now + Duration::from_secs(if script.flag() { 100_000 } else { 1 });
    }
    assert!(resolver.counters().queries as usize <= MOST);
    look_after(&mut resolver, &mut script, now);
    secure
}

/// For half a day the root's keys are followed and servers tried out; no key of anybody's becomes an anchor.
fn look_after(resolver: &mut Tested<'_>, script: &mut Script<'_>, mut now: Instant) {
    let end = now + Duration::from_secs(43_200);
    let test: Name = "test".parse().expect("a name");
    resolver.follow_root(now, None);
    resolver.probe_servers(now, Some(Examples { signed: test.clone(), hashed: test }));
    loop {
        let mut acts = Vec::new();
        let alarm = loop {
            match resolver.poll_output() {
                Output::Query { socket, server, transport, octets } => {
                    acts.push((socket, server, transport, act(script, octets)));
                }
                Output::Timeout(alarm) => break alarm,
                _ => {}
            }
        };
        for (socket, server, transport, act) in acts {
            answer(resolver, now, socket, server, transport, act);
        }
        match alarm.map(|at| at.max(now)) {
            Some(at) if at <= end => now = at,
            _ => break,
        }
        resolver.handle_timeout(now);
    }
    assert!(resolver.anchors().trusted().len() <= 1);
}

type Tested<'r> = Resolver<'r, Toy<true>, ChaCha20Rng>;

/// Until the answer is there; nothing else is answered meanwhile.
fn wait(resolver: &mut Tested<'_>, script: &mut Script<'_>, now: &mut Instant, wanted: Ticket) -> Outcome {
    loop {
        let mut acts = Vec::new();
        let alarm = loop {
            match resolver.poll_output() {
                Output::Query { socket, server, transport, octets } => {
                    acts.push((socket, server, transport, act(script, octets)));
                }
                Output::Answer { ticket, outcome } => {
                    assert_eq!(ticket, wanted);
                    return outcome.clone();
                }
                Output::Close { .. }
                | Output::Proposed(_)
                | Output::NotBefore(_)
                | Output::Anchors(_)
                | Output::Probed(_) => {}
                Output::Timeout(alarm) => break alarm,
            }
        };
        let silent = acts.iter().all(|(.., act)| matches!(act, Act::Silent));
        for (socket, server, transport, act) in acts {
            answer(resolver, *now, socket, server, transport, act);
        }
        if silent {
            *now = alarm.expect("something is waited for").max(*now);
            resolver.handle_timeout(*now);
        }
    }
}

fn answer(
    resolver: &mut Tested<'_>,
    now: Instant,
    socket: Socket,
    server: SocketAddr,
    transport: Transport,
    act: Act,
) {
    // What does not match is counted.
    let _ = match (act, transport) {
        (Act::Silent, _) => Ok(()),
        (Act::Broken, _) => {
            resolver.handle_failure(now, socket);
            Ok(())
        }
        (Act::Says(octets), Transport::Udp { .. }) => resolver.handle_datagram(now, socket, server, &octets),
        (Act::Says(octets), Transport::Tcp) => resolver.handle_stream(now, socket, &octets),
    };
}

fn act(script: &mut Script<'_>, query: &[u8]) -> Act {
    let end = 12 + query[12..].iter().position(|octet| *octet == 0).expect("a name") + 1;
    let name = query[12..end].to_ascii_lowercase();
    let rtype = Rtype::from_int(u16::from_be_bytes([query[end], query[end + 1]]));
    let mut says =
        Message { query, end, flags: [0x84, 0], answer: (0, Vec::new()), authority: (0, Vec::new()) };
    match script.below(10) {
        0 => return Act::Silent,
        1 => return Act::Broken,
        2 => says.put(false, &name, Rtype::DNSKEY, &KEY, Some(&name)),
        3 => {
            let digest = BACKEND.sha256(&[&name, &KEY]);
            let ds = [&KEY_TAG.to_be_bytes()[..], &[8, 2], &digest].concat();
            says.put(false, &name, Rtype::DS, &ds, Some(suffix(&name, script.below(5))));
        }
        4 => {
            let length = script.below(60);
            let data = script.octets(length).to_vec();
            says.put(false, &name, rtype, &data, Some(suffix(&name, script.below(5))));
        }
        5 => {
            let target: Name = NAMES[script.below(NAMES.len())].parse().expect("a name");
            let zone = script.flag().then(|| suffix(&name, script.below(5)));
            says.put(false, &name, Rtype::CNAME, target.as_slice(), zone);
        }
        6 => {
            // No type at the name, and perhaps a cut.
            let types = [0, 6, script.octet(), 0, 0, 0, 0, 3];
            let data = [&name[..], &types].concat();
            says.put(true, &name, Rtype::NSEC, &data, Some(suffix(&name, script.below(5))));
        }
        7 => says.flags = [script.octet() | 0x80, script.octet()],
        8 => {
            let length = script.below(60);
            says.put(false, &name, rtype, script.octets(length), None);
        }
        _ => {
            let counts = [script.octet() & 3, script.octet() & 3, script.octet() & 3];
            let length = script.below(200);
            let mut octets = says.octets();
            [octets[7], octets[9], octets[11]] = counts;
            octets.extend(script.octets(length));
            return Act::Says(octets);
        }
    }
    Act::Says(says.octets())
}

/// The name without so many labels in front; the root at last.
fn suffix(name: &[u8], labels: usize) -> &[u8] {
    let mut rest = name;
    for _ in 0..labels {
        rest = rest.get(1 + usize::from(rest[0])..).filter(|rest| !rest.is_empty()).unwrap_or(rest);
    }
    rest
}

struct Message<'q> {
    query: &'q [u8],
    end: usize,
    flags: [u8; 2],
    answer: (u8, Vec<u8>),
    authority: (u8, Vec<u8>),
}

impl Message<'_> {
    /// A record, and its signature in the name of a zone: good for a day before and after now.
    fn put(&mut self, is_authority: bool, owner: &[u8], rtype: Rtype, data: &[u8], zone: Option<&[u8]>) {
        self.push(is_authority, owner, rtype, data);
        let Some(zone) = zone else { return };
        let labels = owner.iter().scan(0, |skip, octet| {
            let begins = *skip == 0;
            *skip = if begins { *octet } else { *skip - 1 };
            Some(u8::from(begins && *octet != 0))
        });
        let (labels, now) = (labels.sum::<u8>(), NOW.0 as u32);
        let signature = [
            &rtype.to_int().to_be_bytes()[..],
            &[8, labels, 0, 0, 14, 16],
            &(now + 86_400).to_be_bytes(),
            &(now - 86_400).to_be_bytes(),
            &KEY_TAG.to_be_bytes(),
            zone,
            &[7; 128],
        ];
        self.push(is_authority, owner, Rtype::RRSIG, &signature.concat());
    }

    fn push(&mut self, is_authority: bool, owner: &[u8], rtype: Rtype, data: &[u8]) {
        let (count, section) = if is_authority { &mut self.authority } else { &mut self.answer };
        *count += 1;
        section.extend(owner);
        section.extend(rtype.to_int().to_be_bytes());
        section.extend([0, 1, 0, 0, 14, 16]);
        section.extend((data.len() as u16).to_be_bytes());
        section.extend(data);
    }

    fn octets(&self) -> Vec<u8> {
        let [flags, more_flags] = self.flags;
        let counts = [0, 1, 0, self.answer.0, 0, self.authority.0, 0, 0];
        let question = &self.query[12..self.end + 4];
        let front = [&self.query[..2], &[flags, more_flags], &counts, question];
        [front.concat(), self.answer.1.clone(), self.authority.1.clone()].concat()
    }
}
