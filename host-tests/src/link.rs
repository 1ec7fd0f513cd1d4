//! The cable between two endpoints, in virtual time. Faults are scripted by the number of the datagram
//! or drawn from a seed; the same seed gives the same faults.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use esp_engine::time::Instant;
use ike_core::output::Path;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::nat_box::NatBox;

/// What may happen to a datagram.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is lost.
    Drop,
    /// It arrives twice, the second time a little later.
    Duplicate,
    /// It arrives late, behind what was sent after it.
    Delay(Duration),
    /// It arrives twice, very much later the second time.
    Echo(Duration),
    /// One octet arrives changed.
    Corrupt,
}

impl Fault {
    /// One of each kind.
    pub const ALL: [Self; 5] = [
        Self::Drop,
        Self::Duplicate,
        Self::Delay(Duration::from_millis(1_500)),
        Self::Echo(Duration::from_secs(20)),
        Self::Corrupt,
    ];
}

/// How often each fault happens by itself, in percent.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Odds {
    /// Lost.
    pub drop: u8,
    /// Doubled.
    pub duplicate: u8,
    /// Late by up to three seconds, so that others overtake it.
    pub delay: u8,
    /// One bit changed.
    pub corrupt: u8,
}

/// Which way a datagram goes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// From A to B.
    AtoB,
    /// From B to A.
    BtoA,
}

/// A datagram that arrives.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Which way it went.
    pub direction: Direction,
    /// As its receiver sees it.
    pub path: Path,
    /// UDP payload.
    pub datagram: Vec<u8>,
}

/// The cable.
pub struct Link {
    /// How long a datagram takes.
    pub latency: Duration,
    /// By how much longer it may take, by lot.
    pub jitter: Duration,
    /// Faults drawn by lot.
    pub odds: Odds,
    /// Faults by the number of the datagram, counted from 0 over both directions.
    pub script: Vec<(usize, Fault)>,
    /// A NAT in front of A.
    pub nat_of_a: Option<NatBox>,
    /// A NAT in front of B.
    pub nat_of_b: Option<NatBox>,
    /// Longer IP datagrams are lost, and nobody is told.
    pub mtu: usize,
    /// The same for datagrams from B alone.
    pub mtu_from_b: usize,
    /// Nothing passes.
    pub cut: bool,
    /// Nobody has this address.
    pub nobody: Option<IpAddr>,
    rng: ChaCha8Rng,
    sent: usize,
    serial: u64,
    in_flight: BTreeMap<(Instant, u64), Arrival>,
}

impl Link {
    /// A cable without faults.
    pub fn new(seed: u64) -> Self {
        Self {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            odds: Odds::default(),
            script: Vec::new(),
            nat_of_a: None,
            nat_of_b: None,
            mtu: usize::MAX,
            mtu_from_b: usize::MAX,
            cut: false,
            nobody: None,
            rng: ChaCha8Rng::seed_from_u64(seed),
            sent: 0,
            serial: 0,
            in_flight: BTreeMap::new(),
        }
    }

    /// How many datagrams were sent into it.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Takes a datagram in; returns what happens to it.
    pub fn send(&mut self, now: Instant, direction: Direction, path: Path, datagram: &[u8]) -> Option<Fault> {
        let number = self.sent;
        self.sent += 1;
        let scripted = self.script.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        let mtu = if direction == Direction::BtoA { self.mtu.min(self.mtu_from_b) } else { self.mtu };
        let ip = if path.remote.is_ipv4() { 20 } else { 40 };
        let fault = if self.cut || self.nobody == Some(path.remote.ip()) || datagram.len() + 8 + ip > mtu {
            Some(Fault::Drop)
        } else {
            scripted.or_else(|| self.draw())
        };
        let mut datagram = datagram.to_vec();
        let Some(path) = self.translate(now, direction, path) else {
            return Some(Fault::Drop);
        };
        let at = now + self.latency + self.lot(self.jitter);
        match fault {
            None => self.fly(at, direction, path, datagram),
            Some(Fault::Drop) => {}
            Some(Fault::Duplicate) => {
                self.fly(at, direction, path, datagram.clone());
                self.fly(at + Duration::from_millis(5), direction, path, datagram);
            }
            Some(Fault::Delay(late)) => self.fly(at + late, direction, path, datagram),
            Some(Fault::Echo(late)) => {
                self.fly(at, direction, path, datagram.clone());
                self.fly(at + late, direction, path, datagram);
            }
            Some(Fault::Corrupt) => {
                let place = self.rng.next_u32() as usize % datagram.len().max(1);
                if let Some(octet) = datagram.get_mut(place) {
                    *octet ^= 1 << (self.rng.next_u32() % 8);
                }
                self.fly(at, direction, path, datagram);
            }
        }
        fault
    }

    /// Puts a datagram of an attacker's making on the cable.
    pub fn inject(&mut self, now: Instant, direction: Direction, path: Path, datagram: Vec<u8>) {
        self.fly(now, direction, path, datagram);
    }

    fn fly(&mut self, at: Instant, direction: Direction, path: Path, datagram: Vec<u8>) {
        self.serial += 1;
        self.in_flight.insert((at, self.serial), Arrival { direction, path, datagram });
    }

    fn lot(&mut self, span: Duration) -> Duration {
        if span.is_zero() {
            return span;
        }
        span.mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX))
    }

    fn draw(&mut self) -> Option<Fault> {
        let lot = (self.rng.next_u32() % 100) as u8;
        let late = Duration::from_millis(u64::from(self.rng.next_u32() % 3_000));
        let Odds { drop, duplicate, delay, corrupt } = self.odds;
        match lot {
            n if n < drop => Some(Fault::Drop),
            n if n < drop + duplicate => Some(Fault::Duplicate),
            n if n < drop + duplicate + delay => Some(Fault::Delay(late)),
            n if n < drop + duplicate + delay + corrupt => Some(Fault::Corrupt),
            _ => None,
        }
    }

    /// The path as the receiver sees it; `None` when a NAT knows of no receiver.
    pub fn translate(&mut self, now: Instant, direction: Direction, path: Path) -> Option<Path> {
        let (near, far) = match direction {
            Direction::AtoB => (&mut self.nat_of_a, &mut self.nat_of_b),
            Direction::BtoA => (&mut self.nat_of_b, &mut self.nat_of_a),
        };
        let remote = near.as_mut().map_or(path.local, |nat| nat.leave(now, path.local));
        let local = match far {
            Some(nat) => nat.enter(now, path.remote)?,
            None => path.remote,
        };
        Some(Path { interface: path.interface, local, remote })
    }

    /// When the next datagram arrives.
    pub fn next(&self) -> Option<Instant> {
        self.in_flight.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next datagram off that has arrived by now.
    pub fn receive(&mut self, now: Instant) -> Option<Arrival> {
        let key = *self.in_flight.keys().next().filter(|(at, _)| *at <= now)?;
        self.in_flight.remove(&key)
    }
}
