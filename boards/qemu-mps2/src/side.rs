//! One end of the measured pair: an endpoint and an engine, each with a stopwatch around it.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::engine::{Engine, Settings};
use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, Selectors, TrafficSelector};
use esp_engine::spd::{Action, Level, Policy, PolicyId};
use esp_engine::time::Instant;
use ike_core::config::Config;
use ike_core::crypto::software::Software;
use ike_core::endpoint::Endpoint;
use ike_core::output::{Event, Output, Path};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::measure::Stopwatch;

/// State of one endpoint: an IKE SA, its handshake, and room to replace both.
pub type IkeResources = ike_core::resources::Resources<Software, 2, 2, 4, 8>;
/// State of one engine: four pairs of SAs with windows of 64 packets.
pub type EngineResources = esp_engine::resources::Resources<SoftwareCipher, 4, 4, 2>;

/// Where time stands while a handshake is measured.
pub const NOW: Instant = Instant::from_millis(1_000);
/// The policy that both ends share.
pub const POLICY: PolicyId = PolicyId(0);

/// An end of the cable.
pub struct Side<'r> {
    endpoint: Endpoint<'r, Software, ChaCha20Rng>,
    /// Its data plane.
    pub engine: Engine<'r, SoftwareCipher>,
    /// Instructions spent in the endpoint.
    pub ike: u64,
    /// Instructions spent on key schedules and installing.
    pub install: u64,
}

impl<'r> Side<'r> {
    /// An end with this configuration; `addresses` are its own and the peer's.
    pub fn new(
        config: &'r Config<'r>,
        addresses: [Ipv4Addr; 2],
        seed: u64,
        ike: &'r mut IkeResources,
        engine: &'r mut EngineResources,
    ) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(seed);
        let endpoint = Endpoint::new(config, ike, Software, rng).expect("the configuration works");
        *engine = EngineResources::new();
        let mut engine = Engine::new(Settings::default(), engine);
        let [local, remote] =
            addresses.map(|a| only(TrafficSelector::all(AddressRange::single(IpAddr::V4(a)))));
        let action = Action::Protect { mode: Mode::Transport, minimum: Level::Pinned };
        engine.add_policy(Policy { local, remote, action }).expect("the SPD has room");
        Self { endpoint, engine, ike: 0, install: 0 }
    }

    /// Begins to negotiate for a packet.
    pub fn acquire(&mut self, packet: Selectors) {
        let watch = Stopwatch::new();
        self.endpoint.acquire(NOW, POLICY, packet).expect("the peer is configured");
        self.ike += watch.instructions();
    }

    /// Takes a datagram of the other end's.
    pub fn receive(&mut self, path: Path, datagram: &mut [u8]) {
        let watch = Stopwatch::new();
        self.endpoint.handle_datagram(NOW, path, datagram).expect("the other end sends nothing bad");
        self.ike += watch.instructions();
    }

    /// Drains the endpoint until it has a datagram, which goes into `buffer`, or nothing more.
    pub fn transmit(&mut self, buffer: &mut [u8]) -> Option<(Path, usize)> {
        loop {
            let watch = Stopwatch::new();
            let output = self.endpoint.poll_output();
            self.ike += watch.instructions();
            match output {
                Output::Event(Event::Install(child)) => {
                    let watch = Stopwatch::new();
                    let child = child.build().expect("the backend has the algorithm");
                    self.engine.install(NOW, child).expect("the slot is free");
                    self.install += watch.instructions();
                }
                Output::Event(Event::Failed(failed)) => panic!("{:?}", failed.reason),
                Output::Event(_) => {}
                Output::Transmit { path, datagram } => {
                    buffer[..datagram.len()].copy_from_slice(datagram);
                    return Some((path, datagram.len()));
                }
                Output::Timeout(_) => return None,
            }
        }
    }
}

/// The same path seen from the other end.
pub fn reversed(path: Path) -> Path {
    Path { interface: 0, local: path.remote, remote: path.local }
}

/// A list of one selector.
pub fn only<L: FromIterator<TrafficSelector>>(ts: TrafficSelector) -> L {
    [ts].into_iter().collect()
}

/// Where an end answers.
pub fn ike_port(address: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(address), 500)
}
