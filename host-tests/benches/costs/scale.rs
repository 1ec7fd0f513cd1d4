//! The same with many SAs in the tables. Nothing is found by walking them, so 65,530 SAs are to cost what 4 do, but
//! for memory that is not in the caches: everything on this page is within a tenth of the first line.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant as Clock};

use esp_engine::selector::{AddressRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use host_tests::parties::{self, A_KEY, B, B_KEY};
use host_tests::stage;
use ike_core::config::Config;
use ike_core::crypto::software::Software;
use ike_core::pad::Matcher;
use ike_core::resources::Resources;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::meter::{Measured, NOW, handshake};
use crate::stranger::{demand, spoofed};

/// Handshakes and batches of messages that are measured with each table.
const TURNS: u32 = 300;
/// Calls in a batch of those that take less than the clock can tell.
const BATCH: u32 = 50;

/// What is measured, a column each.
const COLUMNS: [&str; 4] = ["handshake", "stranger", "packet served", "idle call"];

/// The tables take turns, so that other work on the machine hits all alike.
pub fn measure() {
    let config = responder();
    let mut rooms = (Room::<8>::new(), Room::<1_004>::new(), Room::<65_534>::new());
    let mut tables = [
        Table::new(&config, &mut rooms.0, 4),
        Table::new(&config, &mut rooms.1, 1_000),
        Table::new(&config, &mut rooms.2, 65_530),
    ];
    let mut cell = Box::new(Cell::new());
    for table in &mut tables {
        (0..table.sas).for_each(|number| _ = table.visit(&mut cell, number));
    }
    let request = stage::request();
    for turn in 0..TURNS {
        tables.iter_mut().for_each(|table| table.turn(&mut cell, &request, turn));
    }
    println!(
        "responder, µs: the quickest of {TURNS} turns, and beside it in terms of the first line; then the same of the median"
    );
    println!("{:>8} {}", "SAs", COLUMNS.map(|column| format!("{column:>30}")).concat());
    let first = tables[0].columns();
    for table in &mut tables {
        let cells = std::iter::zip(table.columns(), first).map(|(own, first)| {
            let [quickest, median] = std::array::from_fn(|n| (own[n], own[n] / first[n]));
            format!("{:>9.2} {:>4.2} {:>9.2} {:>4.2}", quickest.0, quickest.1, median.0, median.1)
        });
        println!("{:>8} {}", table.sas, cells.map(|cell| format!("{cell:>30}")).collect::<String>());
    }
}

type Hub<const PLACES: usize> = Resources<Software, PLACES, 3, PLACES, 16>;
type Cell = Resources<Software, 1, 1, 1, 4>;

/// Memory of an endpoint.
struct Room<const PLACES: usize>(Box<Hub<PLACES>>);

impl<const PLACES: usize> Room<PLACES> {
    fn new() -> Self {
        Self(Box::new(Hub::new()))
    }
}

/// A responder with an IKE SA and a Child SA of each of so many peers, and places for a few more. It demands a
/// cookie of everybody.
struct Table<'r> {
    sas: u32,
    endpoint: Measured<'r>,
    now: Instant,
    /// What each turn took, by column.
    times: [Vec<Duration>; COLUMNS.len()],
}

impl<'r> Table<'r> {
    fn new<const PLACES: usize>(config: &'r Config<'r>, room: &'r mut Room<PLACES>, sas: u32) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(0);
        let endpoint = Measured::new(config, &mut room.0, Software, rng).expect("configured");
        Self { sas, endpoint, now: NOW, times: Default::default() }
    }

    /// A peer comes, a millisecond after the one before; what it cost us.
    fn visit(&mut self, cell: &mut Cell, number: u32) -> Duration {
        self.now = self.now + Duration::from_millis(1);
        let config = initiator(number);
        let rng = ChaCha20Rng::seed_from_u64(self.now.as_millis());
        let mut peer = Measured::new(&config, cell, Software, rng).expect("configured");
        handshake(self.now, &mut peer, &mut self.endpoint)[1]
    }

    fn turn(&mut self, cell: &mut Cell, request: &[u8], turn: u32) {
        // The same peer anew: its INITIAL_CONTACT ends what it had before.
        let handshake = self.visit(cell, turn * 7_919 % self.sas);
        let (now, sas) = (self.now, self.sas);
        let mut strangers: Vec<_> = (0..BATCH).map(|n| spoofed(request, turn * BATCH + n)).collect();
        let start = Clock::now();
        for (path, octets) in &mut strangers {
            demand(&mut self.endpoint, now, *path, octets);
        }
        let stranger = start.elapsed() / BATCH;
        let start = Clock::now();
        for n in 0..BATCH {
            let packet = packet((turn * BATCH + n) * 7_919 % sas);
            self.endpoint.acquire(now, PolicyId(0), black_box(packet)).expect("an SA is there");
        }
        let served = start.elapsed() / BATCH;
        let start = Clock::now();
        for _ in 0..BATCH {
            self.endpoint.handle_timeout(now);
            let _ = black_box(self.endpoint.poll_output());
        }
        let idle = start.elapsed() / BATCH;
        for (times, time) in self.times.iter_mut().zip([handshake, stranger, served, idle]) {
            times.push(time);
        }
    }

    /// The quickest and the median turn of each column, in µs.
    fn columns(&mut self) -> [[f64; 2]; COLUMNS.len()] {
        self.times.each_mut().map(|times| {
            times.sort_unstable();
            [0, times.len() / 2].map(|n| times[n].as_secs_f64() * 1e6)
        })
    }
}

/// A packet to a peer, whose SA is there.
fn packet(number: u32) -> Selectors {
    let ports = Ports::Known { source: 179, destination: 179 };
    Selectors { source: B, destination: address(number), protocol: 6, ports }
}

/// Knows everybody by the end of a name, with one policy for all.
fn responder() -> Config<'static> {
    let everybody = AddressRange::prefix(address(0), 8).expect("a prefix");
    let mut entry = parties::pinned("", &A_KEY, address(0));
    entry.matcher = Matcher::Suffix(".example");
    entry.address = None;
    let mut config = parties::config("b.example", B_KEY, B, vec![entry], B);
    let mut policy = config.policies[0];
    policy.remote = parties::leak_all(vec![TrafficSelector::all(everybody)]);
    config.policies = parties::leak_all(vec![policy]);
    config.timing.cookie_threshold = 0;
    config
}

/// One of the peers, with a name and an address of its own.
fn initiator(number: u32) -> Config<'static> {
    let name = parties::leak(format!("{number}.example"));
    parties::config(name, A_KEY, address(number), vec![parties::pinned("b.example", &B_KEY, B)], B)
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0b00_0000 | number).into()
}
