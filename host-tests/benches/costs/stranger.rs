//! The answer to the first message of somebody whose address may be spoofed: a cookie, and no state
//! (RFC 7296 §2.6).

use std::hint::black_box;
use std::net::Ipv4Addr;

use esp_engine::time::Instant;
use host_tests::pair::Room;
use host_tests::parties::{self, B};
use host_tests::stage;
use ike_core::crypto::Crypto;
use ike_core::crypto::software::Software;
use ike_core::error::Discarded;
use ike_core::output::{Output, Path};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::meter::{Best, Measured, NOW};

/// Messages in a turn.
const MESSAGES: u32 = 200;
const TURNS: usize = 200;

pub fn measure() {
    let mut config = parties::b();
    config.timing.cookie_threshold = 0;
    let mut room = Box::new(Room::new());
    let mut endpoint =
        Measured::new(&config, &mut room, Software, ChaCha20Rng::seed_from_u64(1)).expect("configured");
    let request = stage::request();
    let (mut answer, mut hash) = (Best::new(), Best::new());
    for turn in 0..TURNS as u32 {
        let mut messages: Vec<_> = (0..MESSAGES).map(|n| spoofed(&request, turn * MESSAGES + n)).collect();
        answer.time(|| {
            messages.iter_mut().for_each(|(path, octets)| demand(&mut endpoint, NOW, *path, octets))
        });
        // What a cookie cannot do without: the hash over secret, address, SPI and nonce.
        hash.time(|| {
            for _ in 0..MESSAGES {
                black_box(Software.sha256(&[black_box(&[1; 88])]));
            }
        });
    }
    assert_eq!(endpoint.status().count(), 0, "no state");
    assert_eq!(endpoint.counters().key_exchanges, 0, "no key exchange");
    let [answer, hash] = [answer, hash].map(|best| best.microseconds() / f64::from(MESSAGES));
    println!(
        "a cookie for a stranger's {} octets: {answer:.2} µs (aim: 3), of which the bare hash {hash:.2} µs",
        request.len()
    );
}

/// The request as another stranger sends it.
pub fn spoofed(request: &[u8], number: u32) -> (Path, Vec<u8>) {
    let source = Ipv4Addr::from_bits(0x0a00_0000 | number);
    let mut octets = request.to_vec();
    octets[4..8].copy_from_slice(&number.to_be_bytes());
    (Path { interface: 0, local: (B, 500).into(), remote: (source, 500).into() }, octets)
}

/// Hands the request over, which is answered by a cookie.
pub fn demand(endpoint: &mut Measured<'_>, now: Instant, path: Path, request: &mut [u8]) {
    assert_eq!(endpoint.handle_datagram(now, path, request), Err(Discarded::CookieDemanded));
    assert!(matches!(black_box(endpoint.poll_output()), Output::Transmit { .. }));
    assert!(matches!(endpoint.poll_output(), Output::Timeout(_)));
}
