//! What a device may go through: shutting down, clocks that start in 1970 and jump, randomness that fails,
//! slots used ten times over; and what it all takes.

use std::time::Duration;

use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use host_tests::pair::{Pair, Room};
use host_tests::parties::{self, A, B, PEER, leak};
use ike_core::config::Config;
use ike_core::crypto::software::Software;
use ike_core::endpoint::Endpoint;
use ike_core::error::{AcquireError, CloseReason, Discarded};
use ike_core::output::Phase;
use rand_core::{TryCryptoRng, TryRng};

const LONG: Duration = Duration::from_secs(10);

fn packet() -> Selectors {
    Selectors {
        source: A,
        destination: B,
        protocol: 6,
        ports: Ports::Known { source: 50_000, destination: 179 },
    }
}

fn assert_empty(pair: &Pair) {
    for side in [&pair.a, &pair.b] {
        assert!(side.installed.is_empty(), "{}", pair.trace);
        assert_eq!(side.endpoint.status().count(), 0, "{}", pair.trace);
    }
}

fn watchful() -> (Config<'static>, Config<'static>) {
    let (mut a, b) = (parties::a(), parties::b());
    a.timing.liveness = Duration::from_secs(30);
    (a, b)
}

/// Shutting down says goodbye to everybody and begins nothing.
#[test]
fn shutdown_says_goodbye() {
    let mut pair = Pair::standing();
    pair.a.endpoint.shutdown(pair.now);
    pair.settle(LONG);
    assert_empty(&pair);
    assert_eq!(pair.a.endpoint.initiate(pair.now, PEER), Err(AcquireError::ShuttingDown));
    assert_eq!(pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()), Err(AcquireError::ShuttingDown));
}

/// Status tells how far things are.
#[test]
fn status_tells_the_phase() {
    let mut pair = Pair::pinned(1);
    let phase = |side: &host_tests::pair::Side| side.endpoint.status().map(|s| s.phase).collect::<Vec<_>>();
    pair.initiate();
    assert_eq!(phase(&pair.a), [Phase::Init]);
    pair.step(pair.now + LONG);
    assert_eq!(phase(&pair.b), [Phase::Authenticating]);
    pair.step(pair.now + LONG);
    assert_eq!(phase(&pair.a), [Phase::Authenticating]);
    pair.settle(LONG);
    assert_eq!(phase(&pair.a), [Phase::Established]);
    assert_eq!(pair.a.endpoint.status().next().expect("one").children, 1);
    pair.link.cut = true;
    pair.a.endpoint.close(pair.now, PEER);
    pair.drain();
    assert_eq!(phase(&pair.a), [Phase::Closing]);
}

/// A device without a clock starts in 1970, and time may jump: each timer fires once.
#[test]
fn clock_from_1970_that_jumps() {
    let (mut a, b) = watchful();
    a.timing.ike_lifetime = Duration::from_secs(3600);
    let mut pair = Pair::starting_at(Instant::ZERO, a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
    pair.tick();
    pair.tick();
    assert_eq!(pair.link.sent(), 4);
    pair.now = pair.now + Duration::from_millis(1 << 32);
    pair.tick();
    pair.settle(Duration::from_secs(120));
    assert_eq!(pair.a.closed(), [CloseReason::Expired]);
    assert_empty(&pair);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
    // The call with an earlier time is harmless.
    pair.a.endpoint.handle_timeout(Instant::ZERO);
    pair.drain();
    assert_eq!(pair.a.installed.len(), 1);
}

/// Ten thousand negotiations that come to nothing or end at once leave no slot behind.
#[test]
fn slots_do_not_leak() {
    let (mut a, mut b) = (parties::a(), parties::b());
    for config in [&mut a, &mut b] {
        config.timing.half_open = Duration::from_secs(5);
        parties::share(config, b"secret");
    }
    let mut pair = Pair::new(a, b, 1);
    for round in 0..300 {
        pair.link.script.clear();
        let lost = pair.link.sent() + round % 5;
        pair.link.script.push((lost, host_tests::link::Fault::Drop));
        pair.link.cut = round % 7 == 6;
        pair.a.endpoint.initiate(pair.now, PEER).expect("there is always a slot");
        pair.settle(Duration::from_millis(30 * (round as u64 % 4)));
        pair.a.endpoint.close(pair.now, PEER);
        pair.settle(Duration::from_secs(200));
        pair.b.endpoint.close(pair.now, PEER);
        pair.settle(Duration::from_secs(200));
        pair.trace.clear();
        pair.datagrams.clear();
    }
    assert_empty(&pair);
    pair.link.cut = false;
    pair.link.script.clear();
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
}

struct Broken(u32);

impl TryRng for Broken {
    type Error = std::fmt::Error;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Err(std::fmt::Error)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Err(std::fmt::Error)
    }
    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
        self.0 = self.0.checked_sub(1).ok_or(std::fmt::Error)?;
        octets.fill(0x55);
        Ok(())
    }
}

impl TryCryptoRng for Broken {}

/// Without randomness, or with the same randomness again, nothing begins and nobody is answered.
#[test]
fn broken_randomness_stops_ike() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    let request = pair.datagrams[0].1.clone();
    for draws in [0, 1, 2, 3] {
        let room = leak_room();
        let mut broken = Endpoint::new(leak(parties::b()), room, Software, Broken(draws)).expect("works");
        assert_eq!(broken.initiate(pair.now, PEER), Err(AcquireError::NoRandom));
        let path = ike_core::output::Path { interface: 0, local: (B, 500).into(), remote: (A, 500).into() };
        let verdict = broken.handle_datagram(pair.now, path, &mut request.clone());
        assert_eq!(verdict, Err(Discarded::NoRandom));
        assert_eq!(broken.status().count(), 0);
    }
}

fn leak_room() -> &'static mut Room {
    Box::leak(Box::new(Room::new()))
}

/// What SAs at rest take, for the README.
#[test]
fn sizes() {
    println!(
        "one IKE SA {} octets, one Child SA pair {} octets",
        ike_core::ike_sa::IKE_SA,
        ike_core::child_sa::CHILD_SA
    );
    println!("resources for 4 IKE SAs, 3 handshakes, 8 Child SAs, 10 messages: {} octets", size_of::<Room>());
    const { assert!(ike_core::ike_sa::IKE_SA <= 1024) };
    const { assert!(ike_core::child_sa::CHILD_SA <= 400) };
}
