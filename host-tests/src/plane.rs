//! Two devices in virtual time, each with a data plane: key management of [`Pair`], the engines that it
//! steers, and hosts that send a numbered packet now and then. ESP takes the same cable as IKE.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::engine::{Engine, Inbound, Outbound, Output, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::SaReport;
use esp_engine::selector::AddressRange;
use esp_engine::spd::Policy;
use esp_engine::time::Instant;
use ike_core::config::Config;
use ike_core::output::Event;

use crate::link::Direction;
use crate::pair::{Pair, Side};
use crate::parties::{A, B, leak};

/// How long an ESP packet takes.
const LATENCY: Duration = Duration::from_millis(10);
/// The shortest time between two looks at everything.
const TICK: Duration = Duration::from_millis(5);

/// The data plane of one end.
pub struct Plane {
    engine: Engine<'static, SoftwareCipher>,
    /// Events of key management that it has obeyed.
    obeyed: usize,
    arriving: BTreeMap<(Instant, u64), Vec<u8>>,
    /// When each numbered packet arrived.
    pub accepted: BTreeMap<u32, Instant>,
    /// Numbers of the packets that left under ESP.
    pub sent: Vec<u32>,
}

impl Plane {
    fn new(config: &Config<'_>) -> Self {
        let memory: &'static mut Resources<SoftwareCipher, 4, 32, 4> = Box::leak(Box::new(Resources::new()));
        let settings = Settings { silence: config.timing.liveness, ..Settings::default() };
        let mut engine = Engine::new(settings, memory);
        for policy in config.policies {
            let side = |selectors: &[_]| selectors.iter().copied().collect();
            let policy =
                Policy { local: side(policy.local), remote: side(policy.remote), action: policy.action };
            engine.add_policy(policy).expect("room");
        }
        Self { engine, obeyed: 0, arriving: BTreeMap::new(), accepted: BTreeMap::new(), sent: Vec::new() }
    }

    /// Does what key management says and tells it what the packets showed.
    fn follow(&mut self, side: &mut Side, now: Instant, is_deaf: bool) {
        for event in &side.events[self.obeyed..] {
            match event {
                Event::Install(child) => {
                    self.engine.install(now, child.clone().build().expect("known")).expect("installs");
                }
                Event::Update(update) => assert!(self.engine.update(*update)),
                Event::Retire(spi) => assert!(self.engine.retire(*spi)),
                Event::Remove(spi) => assert!(self.engine.remove(*spi)),
                Event::Open { remote, until } => self.let_clear(AddressRange::single(*remote), *until),
                _ => {}
            }
        }
        self.obeyed = side.events.len();
        self.engine.handle_timeout(now);
        loop {
            match self.engine.poll_output() {
                Output::Sa(SaReport::UnknownSpi { .. }) if is_deaf => {}
                Output::Sa(report) => side.endpoint.handle_sa_report(now, report),
                // A refusal is counted; the flow asks again.
                Output::Acquire { policy, packet } => _ = side.endpoint.acquire(now, policy, packet),
                Output::Timeout(_) => return,
            }
        }
    }

    /// Policies that would rather protect let packets pass in clear there.
    pub fn let_clear(&mut self, remote: AddressRange, until: Instant) {
        self.engine.let_clear(remote, until);
    }

    fn send(&mut self, now: Instant, clear: &[u8], number: u32) -> Option<Vec<u8>> {
        let seal = match self.engine.outbound(now, clear) {
            Outbound::Seal(seal) => seal,
            Outbound::Bypass => return Some(clear.to_vec()),
            _ => return None,
        };
        let mut frame = vec![0; 200];
        let length = self.engine.seal(seal, clear, &mut frame).expect("seals");
        frame.truncate(length);
        self.sent.push(number);
        Some(frame)
    }

    fn receive(&mut self, now: Instant) {
        while let Some(first) = self.arriving.first_entry().filter(|entry| entry.key().0 <= now) {
            let mut frame = first.remove();
            let place = match self.engine.inbound(now, &mut frame) {
                Inbound::Deliver(place) => place,
                Inbound::Bypass => 0..frame.len(),
                Inbound::Early(_) | Inbound::Drop(_) => continue,
            };
            let number = u32::from_be_bytes(frame[place][28..32].try_into().expect("four"));
            let before = self.accepted.insert(number, now);
            assert_eq!(before, None, "packet {number} was accepted twice");
        }
    }
}

/// Both devices and what is between them.
pub struct Devices {
    /// Key management of both, and the cable.
    pub pair: Pair,
    /// A's data plane.
    pub a: Plane,
    /// B's data plane.
    pub b: Plane,
    /// How often A's host sends a packet, if it does.
    pub from_a: Option<Duration>,
    /// How often B's host sends one.
    pub from_b: Option<Duration>,
    /// Nobody is told that ESP met no SA.
    pub deaf_to_hints: bool,
    parties: (Config<'static>, Config<'static>),
    due: [Instant; 2],
    number: u32,
    seed: u64,
}

impl Devices {
    /// Two devices on a cable, whose hosts are silent.
    pub fn new(a: Config<'static>, b: Config<'static>, seed: u64) -> Self {
        let pair = Pair::new(a.clone(), b.clone(), seed);
        let due = [pair.now; 2];
        let planes = (Plane::new(&a), Plane::new(&b));
        Self {
            pair,
            a: planes.0,
            b: planes.1,
            from_a: None,
            from_b: None,
            deaf_to_hints: false,
            parties: (a, b),
            due,
            number: 0,
            seed,
        }
    }

    /// Lets this much time pass while both hosts are silent.
    pub fn rest(&mut self, time: Duration) {
        (self.from_a, self.from_b) = (None, None);
        let end = self.pair.now + time;
        while self.pair.now < end {
            self.pair.pass(Duration::from_secs(1));
            self.follow();
        }
    }

    /// Lets this much time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.pair.now + time;
        while self.pair.now < end {
            self.follow();
            self.a.receive(self.pair.now);
            self.b.receive(self.pair.now);
            self.send(Direction::AtoB);
            self.send(Direction::BtoA);
            self.follow();
            let next = (self.pair.now + TICK).min(end);
            while self.pair.step(next) {}
            self.pair.now = next;
        }
        self.follow();
    }

    fn follow(&mut self) {
        self.a.follow(&mut self.pair.a, self.pair.now, self.deaf_to_hints);
        self.b.follow(&mut self.pair.b, self.pair.now, self.deaf_to_hints);
        self.pair.drain();
        self.a.follow(&mut self.pair.a, self.pair.now, self.deaf_to_hints);
        self.b.follow(&mut self.pair.b, self.pair.now, self.deaf_to_hints);
        self.pair.drain();
    }

    fn send(&mut self, direction: Direction) {
        let now = self.pair.now;
        let (from, to, plane, peer, every, due) = match direction {
            Direction::AtoB => (A, B, &mut self.a, &mut self.b, self.from_a, &mut self.due[0]),
            Direction::BtoA => (B, A, &mut self.b, &mut self.a, self.from_b, &mut self.due[1]),
        };
        let Some(every) = every.filter(|_| *due <= now) else {
            return;
        };
        *due = now + every;
        self.number += 1;
        let frame = plane.send(now, &packet(from, to, self.number), self.number);
        if let Some(frame) = frame.filter(|_| !self.pair.link.cut) {
            peer.arriving.insert((now + LATENCY, u64::from(self.number)), frame);
        }
    }

    /// A loses all its state, as if it had been switched off and on.
    pub fn restart_a(&mut self) {
        self.restart(Direction::AtoB);
    }

    /// B loses all its state.
    pub fn restart_b(&mut self) {
        self.restart(Direction::BtoA);
    }

    fn restart(&mut self, which: Direction) {
        self.seed += 1_000;
        let (a, b) = self.parties.clone();
        let mut fresh = Pair::new(a.clone(), b.clone(), self.seed);
        match which {
            Direction::AtoB => {
                std::mem::swap(&mut self.pair.a, &mut fresh.a);
                self.a = Plane::new(leak(a));
            }
            Direction::BtoA => {
                std::mem::swap(&mut self.pair.b, &mut fresh.b);
                self.b = Plane::new(leak(b));
            }
        }
    }

    /// How long the host of `plane` has waited for the last packet that arrived.
    pub fn silence(&self, plane: &Plane) -> Duration {
        let last = plane.accepted.values().max().copied().unwrap_or(Instant::ZERO);
        self.pair.now.since(last)
    }
}

/// A UDP packet with a number.
pub fn packet(from: IpAddr, to: IpAddr, number: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    for end in [from, to] {
        let IpAddr::V4(end) = end else { panic!("IPv4") };
        packet.extend(end.octets());
    }
    packet.extend([0x10, 0, 0x20, 0, 0, 12, 0, 0]);
    packet.extend(number.to_be_bytes());
    let sum =
        packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet
}
