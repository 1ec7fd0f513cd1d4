//! Two endpoints in virtual time. Whatever one sends, the link carries to the other; time jumps to the
//! next moment at which anything happens. Everything that happens is written down.

use std::fmt::Write as _;
use std::time::Duration;

use esp_engine::sa::{ChildSa, Spi};
use esp_engine::time::Instant;
use ike_core::config::Config;
use ike_core::crypto::software::Software;
use ike_core::endpoint::Endpoint;
use ike_core::error::{AcquireError, CloseReason, Discarded};
use ike_core::output::{ChildEstablished, Established, Event, Failed, Output};
use ike_core::resources::Resources;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::link::{Direction, Fault, Link};
use crate::parties::{PEER, leak};
use crate::zone::Zone;

/// Resources of a tested endpoint.
pub type Room = Resources<Software, 4, 3, 32, 10, 2, 4, 4>;

/// An endpoint under test.
pub type Tested = Endpoint<'static, Software, ChaCha20Rng>;

/// One end.
pub struct Side {
    /// The endpoint.
    pub endpoint: Tested,
    /// What it said.
    pub events: Vec<Event>,
    /// Why it dropped datagrams.
    pub discarded: Vec<Discarded>,
    /// The pairs of SAs that its data plane has and may send on.
    pub installed: Vec<ChildSa>,
    /// Those that only receive what was on its way.
    pub retired: Vec<Spi>,
    timeout: Option<Instant>,
}

impl Side {
    fn new(config: Config<'static>, seed: u64) -> Self {
        let room = Box::leak(Box::new(Room::new()));
        let endpoint = Endpoint::new(leak(config), room, Software, ChaCha20Rng::seed_from_u64(seed));
        Self {
            endpoint: endpoint.expect("configuration works"),
            events: Vec::new(),
            discarded: Vec::new(),
            installed: Vec::new(),
            retired: Vec::new(),
            timeout: None,
        }
    }

    fn take(&mut self, event: Event) {
        match &event {
            Event::Install(child) => self.installed.push(child.clone()),
            Event::Retire(spi) => {
                self.remove(*spi);
                self.retired.push(*spi);
            }
            Event::Remove(spi) if self.retired.contains(spi) => self.retired.retain(|other| other != spi),
            Event::Remove(spi) => self.remove(*spi),
            _ => {}
        }
        self.events.push(event);
    }

    fn remove(&mut self, spi: Spi) {
        let before = self.installed.len();
        self.installed.retain(|child| child.inbound != spi);
        assert_eq!(self.installed.len() + 1, before, "removes what is installed");
    }

    /// IKE SAs that came to stand, in order.
    pub fn established(&self) -> Vec<&Established> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Established(e) = e { Some(e) } else { None })
            .collect()
    }

    /// Successors of IKE SAs, in order.
    pub fn successors(&self) -> Vec<&Established> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Rekeyed { new, .. } = e { Some(new) } else { None })
            .collect()
    }

    /// Child SAs that came to stand, in order.
    pub fn children(&self) -> Vec<&ChildEstablished> {
        self.events
            .iter()
            .filter_map(|e| if let Event::ChildEstablished(e) = e { Some(e) } else { None })
            .collect()
    }

    /// Negotiations that failed, in order.
    pub fn failed(&self) -> Vec<&Failed> {
        self.events.iter().filter_map(|e| if let Event::Failed(e) = e { Some(e) } else { None }).collect()
    }

    /// Why negotiations did not begin although DNS had its time, in order.
    pub fn not_begun(&self) -> Vec<AcquireError> {
        self.events
            .iter()
            .filter_map(|e| if let Event::NotBegun { reason, .. } = e { Some(*reason) } else { None })
            .collect()
    }

    /// Why IKE SAs ended, in order.
    pub fn closed(&self) -> Vec<CloseReason> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Closed { reason, .. } = e { Some(*reason) } else { None })
            .collect()
    }
}

/// Both ends and what is between them.
pub struct Pair {
    /// The present moment.
    pub now: Instant,
    /// One end.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// The cable.
    pub link: Link,
    /// What happened, a line each.
    pub trace: String,
    /// Every datagram that was sent, in order.
    pub datagrams: Vec<(Direction, Vec<u8>)>,
    /// What DNS says to both.
    pub zone: Zone,
    began: Instant,
}

impl Pair {
    /// Two endpoints on a cable; the seed decides randomness and faults.
    pub fn new(a: Config<'static>, b: Config<'static>, seed: u64) -> Self {
        Self::starting_at(Instant::from_millis(1_000), a, b, seed)
    }

    /// The same with a clock that starts elsewhere.
    pub fn starting_at(now: Instant, a: Config<'static>, b: Config<'static>, seed: u64) -> Self {
        let (a, b) = (Side::new(a, 2 * seed), Side::new(b, 2 * seed + 1));
        let link = Link::new(seed);
        let (zone, began) = (Zone::default(), now);
        Self { now, a, b, link, trace: String::new(), datagrams: Vec::new(), zone, began }
    }

    /// A and B with pinned keys on a cable without faults.
    pub fn pinned(seed: u64) -> Self {
        Self::new(crate::parties::a(), crate::parties::b(), seed)
    }

    /// A and B with pinned keys, whose SAs stand.
    pub fn standing() -> Self {
        let mut pair = Self::pinned(1);
        pair.initiate();
        pair.settle(Duration::from_secs(10));
        assert!(pair.agree() && pair.a.installed.len() == 1);
        pair
    }

    /// A begins anew with this configuration and remembers nothing.
    pub fn restart_a(&mut self, config: Config<'static>) {
        self.a = Side::new(config, 99);
    }

    /// The same for B.
    pub fn restart_b(&mut self, config: Config<'static>) {
        self.b = Side::new(config, 98);
    }

    /// A sets up an SA with B.
    pub fn initiate(&mut self) {
        self.a.endpoint.initiate(self.now, PEER).expect("begins");
        self.drain();
    }

    /// Writes down what both ends have to say and puts their datagrams on the cable.
    pub fn drain(&mut self) {
        self.drain_side(Direction::AtoB);
        self.drain_side(Direction::BtoA);
    }

    fn drain_side(&mut self, direction: Direction) {
        let Self { now, a, b, link, trace, datagrams, zone, began } = self;
        let (side, name) = match direction {
            Direction::AtoB => (a, 'A'),
            Direction::BtoA => (b, 'B'),
        };
        let at = now.since(*began).as_millis();
        let before = (trace.len(), datagrams.len());
        loop {
            match side.endpoint.poll_output() {
                Output::Event(event) => {
                    let _ = writeln!(trace, "{at:>7} {name} {}", describe(&event));
                    if let Event::Lookup { ticket, of } = &event {
                        zone.ask(*now, direction, *ticket, of);
                    }
                    side.take(event);
                }
                Output::Transmit { path, datagram } => {
                    let fault = link.send(*now, direction, path, datagram);
                    let fate = fault.map_or(String::new(), |fault| format!("  {}", fate(fault)));
                    let _ = writeln!(
                        trace,
                        "{at:>7} {name} sends {}{fate}",
                        message(path.local.port(), datagram)
                    );
                    datagrams.push((direction, datagram.to_vec()));
                }
                Output::Timeout(timeout) => {
                    side.timeout = timeout;
                    // A walk is dear, and most inputs of long tests lead to nothing.
                    let is_quiet = before == (trace.len(), datagrams.len());
                    assert!(is_quiet || side.endpoint.indexes_agree(), "{at} {name}: an index errs");
                    return;
                }
            }
        }
    }

    /// Goes on until nothing is under way, at most for `limit`; timers of SAs at rest do not count.
    pub fn settle(&mut self, limit: Duration) {
        self.drain();
        let end = self.now + limit;
        while self.step(end) {}
    }

    /// Lets this much time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle(time);
        self.now = end;
        self.tick();
    }

    /// Calls both timers now and says what comes of it.
    pub fn tick(&mut self) {
        self.a.endpoint.handle_timeout(self.now);
        self.b.endpoint.handle_timeout(self.now);
        self.drain();
    }

    /// The next thing that happens before `end`; false when there is none.
    pub fn step(&mut self, end: Instant) -> bool {
        let times = [self.link.next(), self.zone.next(), self.a.timeout, self.b.timeout];
        let Some(at) = times.into_iter().flatten().min().filter(|at| *at <= end) else {
            return false;
        };
        self.now = self.now.max(at);
        if let Some(arrival) = self.link.receive(self.now) {
            let mut datagram = arrival.datagram;
            let (side, name) = match arrival.direction {
                Direction::AtoB => (&mut self.b, 'B'),
                Direction::BtoA => (&mut self.a, 'A'),
            };
            if let Err(reason) = side.endpoint.handle_datagram(self.now, arrival.path, &mut datagram) {
                let at = self.now.since(self.began).as_millis();
                let _ = writeln!(self.trace, "{at:>7} {name} drops: {}", reason.words());
                side.discarded.push(reason);
            }
            self.drain();
        } else if let Some(answer) = self.zone.receive(self.now) {
            let side = if answer.to == Direction::AtoB { &mut self.a } else { &mut self.b };
            side.endpoint.handle_peer_record(self.now, answer.ticket, answer.record);
            self.drain();
        } else {
            self.tick();
        }
        true
    }

    /// Whether the newest pairs of both ends belong together: SPIs, keys, selectors, levels aside.
    pub fn agree(&self) -> bool {
        let pairs = |a: &ChildSa, b: &ChildSa| {
            a.inbound == b.outbound
                && a.outbound == b.inbound
                && a.keys.inbound == b.keys.outbound
                && a.keys.outbound == b.keys.inbound
                && a.local_ts == b.remote_ts
                && a.remote_ts == b.local_ts
                && a.mode == b.mode
                && a.extended_sequence == b.extended_sequence
                && a.encapsulation.is_some() == b.encapsulation.is_some()
        };
        self.a.installed.len() == self.b.installed.len()
            && self.a.installed.iter().all(|a| self.b.installed.iter().any(|b| pairs(a, b)))
    }
}

fn fate(fault: Fault) -> String {
    match fault {
        Fault::Drop => "lost".into(),
        Fault::Duplicate => "doubled".into(),
        Fault::Delay(late) => format!("late by {} ms", late.as_millis()),
        Fault::Echo(late) => format!("again after {} ms", late.as_millis()),
        Fault::Corrupt => "spoiled".into(),
    }
}

/// A datagram in words: exchange, direction, Message ID, octets.
fn message(port: u16, datagram: &[u8]) -> String {
    let octets = if port == 4500 { datagram.get(4..) } else { Some(datagram) };
    match octets.map(ike_core::wire::header::Header::parse) {
        Some(Ok(header)) => {
            let kind = if header.flags.response { "response" } else { "request" };
            format!("{:?} {kind} {}, {} octets", header.exchange, header.message_id, datagram.len())
        }
        _ => format!("{} octets", datagram.len()),
    }
}

/// An event in words.
pub fn describe(event: &Event) -> String {
    match event {
        Event::Remember(_) => "remembers the peer".into(),
        Event::NoPlace(of) => format!("has no place to remember {of}"),
        Event::Install(_) => "installs".into(),
        Event::Retire(_) => "retires".into(),
        Event::Remove(_) => "removes".into(),
        Event::Update(_) => "updates".into(),
        Event::Established(e) => format!("established with {} ({:?} by {:?})", e.identity, e.level, e.method),
        Event::Rekeyed { .. } => "has a successor of the IKE SA".into(),
        Event::ChildEstablished(c) => format!("has {:?} mode with {:?}", c.mode, c.algorithm),
        Event::Failed(f) => format!("failed: {}", f.reason.words()),
        Event::Closed { reason, .. } => format!("closed: {}", reason.words()),
        Event::Lookup { of, .. } => format!("asks DNS for {of}"),
        Event::Addresses { addresses, .. } => format!("knows the peer at {addresses:?}"),
        Event::Open { remote, .. } => format!("may send to {remote} in clear"),
        Event::Unrenewed { until: Some(_), .. } => "believes what nobody renews".into(),
        Event::Unrenewed { until: None, .. } => "believes it no longer".into(),
        Event::NotBegun { reason, .. } => format!("does not begin: {reason:?}"),
        _ => "has keys".into(),
    }
}
