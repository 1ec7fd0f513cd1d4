//! The same with many SAs in the tables. A stranger's message is to cost the same; a handshake looks over the
//! tables of IKE SAs and Child SAs some dozens of times and costs more with each SA.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use esp_engine::selector::{AddressRange, TrafficSelector};
use host_tests::parties::{self, A_KEY, B, B_KEY};
use host_tests::stage;
use ike_core::config::Config;
use ike_core::crypto::software::Software;
use ike_core::pad::Matcher;
use ike_core::resources::Resources;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::meter::{Best, Measured, NOW, handshake};
use crate::stranger::{demand, spoofed};

/// Handshakes and messages that are measured with each table.
const TURNS: u32 = 200;

pub fn measure() {
    println!("{:>8} {:>14} {:>14} {:>14}", "SAs", "handshake, µs", "stranger, µs", "idle call, µs");
    with::<4, 8>();
    with::<1_000, 1_004>();
    with::<4_000, 4_004>();
}

/// The responder's cost when `SAS` peers have an IKE SA and a Child SA each, with places for a few more. It demands
/// a cookie of everybody.
fn with<const SAS: u32, const PLACES: usize>() {
    let config = responder();
    let mut room: Box<Resources<Software, PLACES, 3, PLACES, 16>> = Box::new(Resources::new());
    let mut cell = Box::new(Resources::<Software, 1, 1, 1, 4>::new());
    let rng = ChaCha20Rng::seed_from_u64(0);
    let mut endpoint = Measured::new(&config, &mut room, Software, rng).expect("configured");
    // A millisecond each, so that every visit is later than the one before.
    let mut now = NOW;
    let mut visit = |endpoint: &mut Measured<'_>, number| {
        now = now + Duration::from_millis(1);
        let config = initiator(number);
        let rng = ChaCha20Rng::seed_from_u64(now.as_millis());
        let mut peer = Measured::new(&config, &mut cell, Software, rng).expect("configured");
        (now, handshake(now, &mut peer, endpoint))
    };
    for number in 0..SAS {
        visit(&mut endpoint, number);
    }
    let request = stage::request();
    let (mut shaken, mut asked, mut idle) = (Best::new(), Best::new(), Best::new());
    for turn in 0..TURNS {
        // The same peer anew: its INITIAL_CONTACT ends what it had before.
        let (now, [_, responder]) = visit(&mut endpoint, turn * 7919 % SAS);
        shaken.take(responder);
        let (path, mut octets) = spoofed(&request, turn);
        asked.time(|| demand(&mut endpoint, now, path, &mut octets));
        idle.time(|| {
            endpoint.handle_timeout(now);
            let _ = endpoint.poll_output();
        });
    }
    println!(
        "{SAS:>8} {:>14.1} {:>14.2} {:>14.2}",
        shaken.microseconds(),
        asked.microseconds(),
        idle.microseconds()
    );
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
