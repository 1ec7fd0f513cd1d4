//! Measures Buttons on the Cortex-M4F instruction set: two endpoints and two engines in one image do
//! a handshake and pass packets. Prints instructions, deepest stack and static sizes, and exits with
//! a status that says whether everything worked; other images measure look-ups, and the algorithms that
//! the pairs do not use. See `.ci/bare-metal`.
#![no_std]
#![no_main]

#[cfg(feature = "resolver")]
mod look_up;
mod measure;
mod packets;
mod primitives;
#[cfg(feature = "public-key")]
mod public_key;
#[cfg(any(feature = "public-key", feature = "resolver"))]
mod rsa;
mod side;
mod sizes;

use core::net::{IpAddr, Ipv4Addr};

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::{Action, Level};
use ike_core::config::{Config, IkePolicy, Local, Peer, Suite, Timing};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Group, KeyKind, PrivateKey, Sha2, SignatureAlgorithm, Signer};
use ike_core::pad::{Authentication, Claim, Identity, Matcher, PadEntry, PeerId};
use measure::{Paint, Stopwatch};
use side::{EngineResources, IkeResources, Side, ike_port, reversed};
use static_cell::StaticCell;

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

// Made at the start: what is made before, and is not all zeros, lies in flash a second time.
static IKE: StaticCell<[IkeResources; 2]> = StaticCell::new();
static ENGINES: StaticCell<[EngineResources; 2]> = StaticCell::new();

#[entry]
fn main() -> ! {
    Stopwatch::start_timer();
    let ike = IKE.init_with(|| [IkeResources::new(), IkeResources::new()]);
    let engines = ENGINES.init_with(|| [EngineResources::new(), EngineResources::new()]);
    #[cfg(feature = "public-key")]
    {
        public_key::measure();
        debug::exit(debug::EXIT_SUCCESS);
    }
    #[cfg(feature = "resolver")]
    {
        look_up::measure();
        debug::exit(debug::EXIT_SUCCESS);
    }
    sizes::print();
    let ed25519 = [PrivateKey::Ed25519([0xA1; 32]), PrivateKey::Ed25519([0xB2; 32])];
    let p256 = [PrivateKey::EcdsaP256([0x11; 32]), PrivateKey::EcdsaP256([0x22; 32])];
    pair("fast-software, Ed25519", Suite::FAST_SOFTWARE, ed25519.clone(), ike, engines);
    pair("hardware-aes, P-256", Suite::HARDWARE_AES, p256, ike, engines);
    primitives::measure_ml_kem(Group::MlKem512);
    primitives::measure_ml_kem(Group::MlKem768);
    pair("post-quantum, Ed25519", Suite::POST_QUANTUM, ed25519, ike, engines);
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}

/// A handshake and packets with one suite and one kind of key.
fn pair(
    name: &str,
    suite: Suite,
    keys: [PrivateKey; 2],
    ike: &mut [IkeResources; 2],
    engines: &mut [EngineResources; 2],
) {
    let public = [&keys[0], &keys[1]].map(|k| Software.signer(k).expect("a good key").public_key());
    let [key_a, key_b] = keys;
    let ends = [(A, "a.example", key_a), (B, "b.example", key_b)];
    let names = [Identity::Fqdn("a.example"), Identity::Fqdn("b.example")];
    let all = [A, B].map(|a| [TrafficSelector::all(AddressRange::single(IpAddr::V4(a)))]);
    let action = Action::Protect { mode: Mode::Transport, minimum: Level::Pinned };
    let entry = |peer: usize| PadEntry {
        matcher: Matcher::Exact(names[peer]),
        authentication: Authentication::Pinned(core::slice::from_ref(&public[peer])),
        claim: Claim::OwnAddress,
        address: Some(ike_port(ends[peer].0)),
        send_key: false,
        childless: false,
        ppk: None,
    };
    let pads = [[entry(1)], [entry(0)]];
    let policies = [(0, 1), (1, 0)].map(|(own, peer)| {
        [IkePolicy { local: &all[own], remote: &all[peer], action, peer: Peer::Entry(PeerId(0)), pfs: false }]
    });
    let locals = [A, B].map(|a| [Local { interface: 0, address: IpAddr::V4(a) }]);
    let suites = [suite];
    let config = |own: usize| Config {
        identity: names[own],
        key: Some(ends[own].2.clone()),
        pad: &pads[own],
        policies: &policies[own],
        suites: &suites,
        local: &locals[own],
        timing: Timing::DEFAULT,
        force_encapsulation: false,
        mobike: false,
    };
    let configs = [config(0), config(1)];
    let ([ike_a, ike_b], [engine_a, engine_b]) = (ike, engines);
    let mut a = Side::new(&configs[0], [A, B], 1, ike_a, engine_a);
    let mut b = Side::new(&configs[1], [B, A], 2, ike_b, engine_b);

    hprintln!("{}", name);
    let algorithm = match ends[0].2.kind() {
        KeyKind::Ed25519 => SignatureAlgorithm::Ed25519,
        _ => SignatureAlgorithm::Ecdsa(Sha2::Sha256),
    };
    primitives::measure(suite.group, &ends[0].2, algorithm);
    let mut buffer = [0; 1500];
    let paint = Paint::new();
    handshake(&mut a, &mut b, &mut buffer);
    let stack = paint.deepest();
    hprintln!("  handshake, instructions: initiator {}, responder {}", a.ike, b.ike);
    hprintln!("  key schedules and install: {} a side", a.install);
    hprintln!("  deepest stack, octets: {}", stack);
    packets::measure(&mut a.engine, &mut b.engine, suite.esp, [A, B]);
}

/// Not inlined, so that its stack is counted whole.
#[inline(never)]
fn handshake(a: &mut Side<'_>, b: &mut Side<'_>, buffer: &mut [u8; 1500]) {
    let packet = Selectors {
        source: IpAddr::V4(A),
        destination: IpAddr::V4(B),
        protocol: 6,
        ports: Ports::Known { source: 50_000, destination: 179 },
    };
    a.acquire(packet);
    loop {
        let mut quiet = true;
        if let Some((path, length)) = a.transmit(buffer) {
            b.receive(reversed(path), &mut buffer[..length]);
            quiet = false;
        }
        if let Some((path, length)) = b.transmit(buffer) {
            a.receive(reversed(path), &mut buffer[..length]);
            quiet = false;
        }
        if quiet {
            return;
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}
