//! What it costs to find a peer's key by its name, validated from the root down: root signed by RSA with 2,048 bits, a
//! zone below it by ECDSA P-256, and below that one of each kind. First with nothing known, then other names of the
//! same zone, and the root's keys by themselves (RFC 5011). The servers' answers were recorded
//! (`host-tests/src/dns/measured.rs`).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use cortex_m_semihosting::hprintln;
use esp_engine::time::Instant;
use ike_core::crypto::software::Software;
use ike_core::crypto::{PrivateKey, Sha2, SignatureAlgorithm};
use ike_core::discovery::clock::Clock;
use ike_core::discovery::dnssec::Ds;
use ike_core::discovery::outcome::Security;
use ike_core::discovery::output::Output;
use ike_core::discovery::question::{Question, Ticket};
use ike_core::discovery::resolver::{Config, Resolver, Resources};
use ike_core::discovery::{Name, UnixTime};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use static_cell::ConstStaticCell;

use crate::measure::{Paint, Stopwatch};
use crate::{primitives, rsa};

/// What a device has: two look-ups at once, four answers and eight zones that are kept.
type Room = Resources<2, 4, 8>;
type Tested<'r> = Resolver<'r, Software, ChaCha20Rng>;

/// Names of that zone, of which nothing is known when the first one is asked for, and the keys that each leads to.
const NAMES: [(&str, &str, usize); 4] = [
    ("cold", "one.peer.test", 1),
    ("warm", "two.peer.test", 1),
    ("by CNAME and DNAME", "alias.peer.test", 1),
    ("not there", "nobody.peer.test", 0),
];
/// Octets of the DS record in front of the answers.
const DS: usize = 36;
/// Octets of a header, in front of the question (RFC 1035 §4.1).
const HEADER: usize = 12;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)), 53);
const NOW: Instant = Instant::from_millis(1_000);
/// Between the inception and the expiration of the recorded signatures.
const TIME: UnixTime = UnixTime(1_795_000_000);

/// Octets of stack below a look-up that are too many.
const STACK: usize = 16 * 1024;
/// Octets of all but answers and zones that are too many.
const WORKING_SET: usize = 8 * 1024;

static ROOM: ConstStaticCell<Room> = ConstStaticCell::new(Room::new());
static ANSWER: ConstStaticCell<[u8; 1232]> = ConstStaticCell::new([0; 1232]);

/// Prints all of it.
pub fn measure() {
    let (room, answer) = (ROOM.take(), ANSWER.take());
    let kept = 4 * Room::ANSWER + 8 * Room::ZONE;
    let working_set = size_of::<Room>() - kept;
    hprintln!(
        "resolver, octets: {} without cache (two look-ups of {}), and {} an answer, {} a zone",
        working_set,
        Room::LOOKUP,
        Room::ANSWER,
        Room::ZONE
    );
    assert!(working_set <= WORKING_SET, "the working set has grown");
    let mut deepest = 0;
    for (name, key, algorithm, file) in [
        (
            "Ed25519",
            PrivateKey::Ed25519([0xA1; 32]),
            SignatureAlgorithm::Ed25519,
            &include_bytes!("answers/ed25519.bin")[..],
        ),
        (
            "P-256",
            PrivateKey::EcdsaP256([0x11; 32]),
            SignatureAlgorithm::Ecdsa(Sha2::Sha256),
            include_bytes!("answers/p256.bin"),
        ),
        (
            "RSA-2048",
            rsa::key(),
            SignatureAlgorithm::RsaPkcs1(Sha2::Sha256),
            include_bytes!("answers/rsa.bin"),
        ),
    ] {
        hprintln!("a key by name, in a zone signed by {}", name);
        primitives::measure_verification(&key, algorithm);
        deepest = deepest.max(zone(file, room, answer));
    }
    assert!(deepest <= STACK, "the stack has grown");
}

/// Finds all names of a zone, and looks at the root's keys; octets of the deepest stack.
fn zone(file: &[u8], room: &mut Room, answer: &mut [u8; 1232]) -> usize {
    let (ds, answers) = file.split_at(DS);
    let anchors = [Ds::read(ds).expect("the root's")];
    let servers = [SERVER.into()];
    let config = Config { servers: &servers, anchors: &anchors };
    let mut clock = Clock::new(UnixTime(0));
    clock.set(NOW, TIME).expect("later than 1970");
    let rng = ChaCha20Rng::seed_from_u64(1);
    let mut resolver = Resolver::new(config, clock, room, Software, rng).expect("it works");
    let mut deepest = 0;
    let mut now = NOW;
    for (what, name, keys) in NAMES {
        let peer = Question::Peer(name.parse::<Name>().expect("a name"));
        let begin = |it: &mut Tested<'_>| it.lookup(now, Ticket(1), peer).expect("there is room");
        deepest = deepest.max(step(&mut resolver, now, what, begin, Some(keys), (answers, &mut *answer)));
        // Servers are asked so many questions a second and no more.
        now = now + Duration::from_secs(1);
    }
    let begin = |it: &mut Tested<'_>| {
        it.follow_root(now, None);
        it.handle_timeout(now);
    };
    deepest.max(step(&mut resolver, now, "keys of the root", begin, None, (answers, answer)))
}

/// What `begin` begins, and what came of it; octets of the deepest stack.
fn step(
    resolver: &mut Tested<'_>,
    now: Instant,
    what: &str,
    begin: impl FnOnce(&mut Tested<'_>),
    keys: Option<usize>,
    (answers, answer): (&[u8], &mut [u8; 1232]),
) -> usize {
    let before = counted(resolver);
    let paint = Paint::new();
    let (instructions, found) = carry(resolver, now, begin, answers, answer);
    let stack = paint.deepest();
    assert!(found == keys, "{:?}", found);
    let after = counted(resolver);
    let (queries, checks) = (after.0 - before.0, after.1 - before.1);
    assert!(queries > 0, "it asked");
    hprintln!(
        "  {}: {} queries, {} signatures, {} instructions, deepest stack {}",
        what,
        queries,
        checks,
        instructions,
        stack
    );
    stack
}

/// Queries and signatures so far.
fn counted(resolver: &Tested<'_>) -> (u32, u32) {
    let counters = resolver.counters();
    (counters.queries, counters.verifications)
}

/// Not inlined, so that its stack is counted whole. Instructions of the resolver alone, and the keys of an answer.
#[inline(never)]
fn carry(
    resolver: &mut Tested<'_>,
    now: Instant,
    begin: impl FnOnce(&mut Tested<'_>),
    answers: &[u8],
    answer: &mut [u8; 1232],
) -> (u64, Option<usize>) {
    let watch = Stopwatch::new();
    begin(resolver);
    let mut instructions = watch.instructions();
    let mut found = None;
    loop {
        let watch = Stopwatch::new();
        let output = resolver.poll_output();
        instructions += watch.instructions();
        match output {
            Output::Query { socket, server, octets, .. } => {
                let length = serve(octets, answers, answer);
                let watch = Stopwatch::new();
                resolver.handle_datagram(now, socket, server, &answer[..length]).expect("its own answer");
                instructions += watch.instructions();
            }
            Output::Answer { outcome, .. } => {
                assert!(outcome.security == Security::Secure, "{:?}", outcome.security);
                found = Some(outcome.keys().count());
            }
            Output::Timeout(_) => return (instructions, found),
            // Nothing that is part of a look-up.
            _ => {}
        }
    }
}

/// Writes the recorded answer to a query, with its ID and its letters; how many octets.
fn serve(query: &[u8], mut answers: &[u8], answer: &mut [u8; 1232]) -> usize {
    let name = query[HEADER..].iter().position(|octet| *octet == 0).expect("the root ends a name");
    let question = HEADER..HEADER + name + 5;
    loop {
        let (length, rest) = answers.split_first_chunk::<2>().expect("all answers are there");
        let (recorded, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        if recorded.get(question.clone()).is_some_and(|it| it.eq_ignore_ascii_case(&query[question.clone()]))
        {
            answer[..recorded.len()].copy_from_slice(recorded);
            answer[..2].copy_from_slice(&query[..2]);
            answer[question.clone()].copy_from_slice(&query[question]);
            return recorded.len();
        }
        answers = rest;
    }
}
