//! Traffic over rekeys: two data planes carry a thousand packets a second in both directions while key
//! management replaces their SAs on a bad cable. No packet is lost and none is accepted twice
//! (RFC 7296 §2.8).

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::engine::{Engine, Inbound, Outbound, Output, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::{Mode, SaReport};
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::{Action, Level, Policy};
use esp_engine::time::Instant;
use host_tests::link::Odds;
use host_tests::pair::{Pair, Side};
use host_tests::parties::{A, B, PEER};
use host_tests::plane::packet;
use ike_core::error::CloseReason;
use ike_core::output::Event;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// How long a packet takes at least, and by how much longer it may take, so that packets overtake each other
/// and IKE's messages.
const LATENCY: Duration = Duration::from_millis(10);
const JITTER: Duration = Duration::from_millis(50);

struct Plane {
    engine: Engine<'static, SoftwareCipher>,
    /// Events of key management that it has seen.
    seen: usize,
    arriving: BTreeMap<(Instant, u32), Vec<u8>>,
    accepted: HashSet<u32>,
}

impl Plane {
    fn new(own: std::net::IpAddr, peer: std::net::IpAddr) -> Self {
        let memory: &'static mut Resources<SoftwareCipher, 4, 32, 4> = Box::leak(Box::new(Resources::new()));
        let mut engine = Engine::new(Settings::default(), memory);
        let all = |ip| [TrafficSelector::all(AddressRange::single(ip))].into_iter().collect();
        let action = Action::Protect { mode: Mode::Transport, minimum: Level::Pinned };
        engine.add_policy(Policy { local: all(own), remote: all(peer), action }).expect("room");
        Self { engine, seen: 0, arriving: BTreeMap::new(), accepted: HashSet::new() }
    }

    /// Does what key management says and tells it what became of the SAs.
    fn follow(&mut self, side: &mut Side, now: Instant) {
        for event in &side.events[self.seen..] {
            match event {
                Event::Install(child) => {
                    let child = child.clone().build().expect("known");
                    self.engine.install(now, child).expect("installs");
                }
                Event::Retire(spi) => assert!(self.engine.retire(*spi)),
                Event::Remove(spi) => assert!(self.engine.remove(*spi)),
                _ => {}
            }
        }
        self.seen = side.events.len();
        self.engine.handle_timeout(now);
        while let Output::Sa(report) = self.engine.poll_output() {
            side.endpoint.handle_sa_report(now, report);
        }
    }

    /// Seals a packet; `None` when no SA can send it now.
    fn send(&mut self, now: Instant, clear: &[u8]) -> Option<Vec<u8>> {
        let Outbound::Seal(seal) = self.engine.outbound(now, clear) else {
            return None;
        };
        let mut frame = vec![0; 200];
        let length = self.engine.seal(seal, clear, &mut frame).expect("seals");
        frame.truncate(length);
        Some(frame)
    }

    fn receive(&mut self, now: Instant) {
        while let Some(first) = self.arriving.first_entry().filter(|entry| entry.key().0 <= now) {
            let mut frame = first.remove();
            let Inbound::Deliver(place) = self.engine.inbound(now, &mut frame) else {
                continue;
            };
            let number = u32::from_be_bytes(frame[place][28..32].try_into().expect("four"));
            assert!(self.accepted.insert(number), "packet {number} was accepted twice");
        }
    }
}

/// RFC 7296 §2.8: SAs are replaced, by either end or both at once, while 5 % of IKE's messages are lost and all
/// are late by up to 50 ms: every packet arrives, and once.
#[test]
fn no_packet_is_lost_over_rekeys() {
    carry_over(100, 10);
}

/// The same for 1,000 Child SAs and 100 IKE SAs: `cargo test -p host-tests --test rekey_traffic -- --ignored`.
#[test]
#[ignore = "takes a minute"]
fn no_packet_is_lost_over_a_thousand_rekeys() {
    carry_over(1_000, 100);
}

/// Goes on until so many successors have been made.
fn carry_over(child_sas: usize, ike_sas: usize) {
    let (mut a, mut b) = (host_tests::parties::a(), host_tests::parties::b());
    for config in [&mut a, &mut b] {
        config.timing.retransmission = Duration::from_millis(200);
        // The test says when, not the clock.
        config.timing.child.soft.time = Duration::from_secs(30 * 86_400);
        config.timing.child.hard.time = Duration::from_secs(60 * 86_400);
    }
    let mut pair = Pair::new(a, b, 3);
    pair.initiate();
    pair.settle(Duration::from_secs(1));
    let (mut at_a, mut at_b) = (Plane::new(A, B), Plane::new(B, A));
    pair.link.odds = Odds { drop: 5, ..Odds::default() };
    pair.link.jitter = JITTER;
    let mut lot = ChaCha8Rng::seed_from_u64(8);
    let (mut now, mut number, mut round, mut idle) = (pair.now, 0, 0_u32, None);
    while idle.is_none_or(|since| now.since(since) < Duration::from_secs(5)) {
        for _ in 0..2 {
            at_a.follow(&mut pair.a, now);
            at_b.follow(&mut pair.b, now);
            pair.drain();
        }
        at_a.receive(now);
        at_b.receive(now);
        if idle.is_none() {
            number += 1;
            let sent = at_a.send(now, &packet(A, B, number)).expect("A has an SA to send on");
            at_b.arriving.insert((now + late(&mut lot), number), sent);
            let sent = at_b.send(now, &packet(B, A, number)).expect("B has an SA to send on");
            at_a.arriving.insert((now + late(&mut lot), number), sent);
            if number.is_multiple_of(200) {
                round += 1;
                replace(&mut pair, now, round);
            }
            let (children, ikes) = made(&pair);
            idle = (children >= child_sas && ikes >= ike_sas).then_some(now);
        }
        now = now + Duration::from_millis(1);
        while pair.step(now) {}
        pair.now = now;
    }
    let (children, ikes) = made(&pair);
    println!("{number} packets each way, {children} successors of Child SAs, {ikes} of IKE SAs");
    assert_eq!((at_a.accepted.len(), at_b.accepted.len()), (number as usize, number as usize));
    assert!(pair.agree() && pair.a.installed.len() == 1);
    for side in [&pair.a, &pair.b] {
        assert!(side.closed().iter().all(|reason| *reason == CloseReason::Replaced), "{:?}", side.closed());
        assert!(side.failed().is_empty());
    }
}

fn late(lot: &mut ChaCha8Rng) -> Duration {
    LATENCY + JITTER.mul_f64(f64::from(lot.next_u32()) / f64::from(u32::MAX))
}

/// Either end, or both, asks for a successor of the Child SA, and of the IKE SA now and then.
fn replace(pair: &mut Pair, now: Instant, round: u32) {
    let from_a = !round.is_multiple_of(3);
    let from_b = !round.is_multiple_of(3) || round.is_multiple_of(2);
    for (side, asks) in [(&mut pair.a, from_a), (&mut pair.b, from_b && !from_a || round.is_multiple_of(5))] {
        let newest = side.installed.last().expect("installed").inbound;
        if asks {
            side.endpoint.handle_sa_report(now, SaReport::SoftExpired(newest));
        }
        if asks && round.is_multiple_of(10) {
            side.endpoint.rekey_ike_sas(now, PEER);
        }
    }
}

/// Successors of Child SAs and of IKE SAs.
fn made(pair: &Pair) -> (usize, usize) {
    (pair.a.children().len() - 1, pair.a.successors().len())
}
