//! Traffic over rekeys: two data planes carry a thousand packets a second in both directions while key
//! management replaces their SAs on a bad cable. No packet is lost and none is accepted twice
//! (RFC 7296 §2.8).

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::engine::{Engine, Inbound, Outbound, Output, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::{Action, Level, Policy};
use esp_engine::time::Instant;
use host_tests::link::Odds;
use host_tests::pair::{Pair, Side};
use host_tests::parties::{A, B};
use ike_core::output::Event;

/// How long an ESP packet takes.
const LATENCY: Duration = Duration::from_millis(10);

struct Plane {
    engine: Engine<'static, SoftwareCipher>,
    /// Events of key management that it has seen.
    seen: usize,
    arriving: VecDeque<(Instant, Vec<u8>)>,
    accepted: HashSet<u32>,
}

fn address(ip: std::net::IpAddr) -> [u8; 4] {
    let std::net::IpAddr::V4(ip) = ip else { panic!("IPv4") };
    ip.octets()
}

impl Plane {
    fn new(own: std::net::IpAddr, peer: std::net::IpAddr) -> Self {
        let memory: &'static mut Resources<SoftwareCipher, 4, 32, 4> = Box::leak(Box::new(Resources::new()));
        let mut engine = Engine::new(Settings::default(), memory);
        let all = |ip| [TrafficSelector::all(AddressRange::single(ip))].into_iter().collect();
        let action = Action::Protect { mode: Mode::Transport, minimum: Level::Pinned };
        engine.add_policy(Policy { local: all(own), remote: all(peer), action }).expect("room");
        Self { engine, seen: 0, arriving: VecDeque::new(), accepted: HashSet::new() }
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
        while self.arriving.front().is_some_and(|(at, _)| *at <= now) {
            let (_, mut frame) = self.arriving.pop_front().expect("there");
            let Inbound::Deliver(place) = self.engine.inbound(now, &mut frame) else {
                continue;
            };
            let number = u32::from_be_bytes(frame[place][28..32].try_into().expect("four"));
            assert!(self.accepted.insert(number), "packet {number} was accepted twice");
        }
    }
}

/// A UDP packet with a number.
fn packet(from: std::net::IpAddr, to: std::net::IpAddr, number: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(address(from));
    packet.extend(address(to));
    packet.extend([0x10, 0, 0x20, 0, 0, 12, 0, 0]);
    packet.extend(number.to_be_bytes());
    let sum =
        packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet
}

/// RFC 7296 §2.8: both ends act on soft limits of about two seconds, 5 % of IKE's messages are lost.
#[test]
fn no_packet_is_lost_over_rekeys() {
    let (mut a, mut b) = (host_tests::parties::a(), host_tests::parties::b());
    a.timing.child.soft.time = Duration::from_secs(2);
    b.timing.child.soft.time = Duration::from_secs(2);
    let mut pair = Pair::new(a, b, 3);
    pair.initiate();
    pair.settle(Duration::from_secs(1));
    let (mut at_a, mut at_b) = (Plane::new(A, B), Plane::new(B, A));
    pair.link.odds = Odds { drop: 5, duplicate: 2, delay: 0, corrupt: 0 };
    let mut now = pair.now;
    let mut number = 0;
    let (end, stop) = (now + Duration::from_secs(40), now + Duration::from_secs(41));
    while now < stop {
        at_a.follow(&mut pair.a, now);
        at_b.follow(&mut pair.b, now);
        pair.drain();
        at_a.follow(&mut pair.a, now);
        at_b.follow(&mut pair.b, now);
        at_a.receive(now);
        at_b.receive(now);
        if now < end {
            number += 1;
            let sent = at_a.send(now, &packet(A, B, number)).expect("A has an SA to send on");
            at_b.arriving.push_back((now + LATENCY, sent));
            let sent = at_b.send(now, &packet(B, A, number)).expect("B has an SA to send on");
            at_a.arriving.push_back((now + LATENCY, sent));
        }
        now = now + Duration::from_millis(1);
        while pair.step(now) {}
        pair.now = now;
    }
    let rekeys = pair.a.children().len() - 1;
    println!("{number} packets each way, {rekeys} successors");
    assert!(rekeys >= 18, "{rekeys}");
    assert_eq!((at_a.accepted.len(), at_b.accepted.len()), (number as usize, number as usize));
}
