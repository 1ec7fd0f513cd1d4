//! One packet's way through a router (RFC 1812 §5, RFC 4301 §5).
//!
//! ```text
//! outside ─▶ reassembly ─▶ Engine::inbound ─┐                    ┌─▶ our own stack
//! inside ───────────────────────────────────┼─▶ checks, TTL, way ┼─▶ inside
//! our own stack, ICMP errors, held packets ─┘                    └─▶ Engine::outbound ─▶ outside
//! ```
//! The first port is the unprotected side, the second the protected one (RFC 4301 §3.1): the engine
//! sees what crosses the outside, and that only. Each packet is copied once, from the frame that
//! brought it into the one that takes it on, and sealed on the way if policy says so.

use core::cell::RefCell;
use core::net::IpAddr;

use esp_engine::crypto::Cipher;
use esp_engine::engine::{Engine, Inbound};
use esp_engine::reassembly::{Collected, HEADROOM, Reassembly};
use esp_engine::time::Instant;
use esp_engine::wire::ip;
use heapless::{Deque, Vec};

use super::icmp::{self, Limiter};
use super::inspect::{self, Refusal, check_header, spend_hop};
use super::link::{self, Frame};
use super::local::Local;
use super::neighbour::{LinkAddress, Neighbours, Task};
use super::route::{Hop, Routes};
use super::shared::Shared;
use crate::config::{Config, Prefix};

pub use super::shared::Counters;

mod leave;
mod neighbours;

/// The port that faces the peers.
pub(super) const OUTSIDE: u8 = 0;
/// The port that faces the protected network.
pub(super) const INSIDE: u8 = 1;
/// Octets of the longest ICMP error.
const MAX_ERROR: usize = 1_280;
/// ICMP errors that wait.
const ERRORS: usize = 2;

/// Takes frames to a port; filled once their length is known.
pub(super) trait Wire {
    /// Sends a frame of `length` octets that `fill` writes; `false` when the port has no room.
    fn send(&mut self, port: u8, length: usize, fill: impl FnOnce(&mut [u8])) -> bool;
}

/// One port's own addresses.
pub(super) struct Port {
    pub(super) link: LinkAddress,
    /// Octets of the longest IP packet.
    pub(super) mtu: usize,
    pub(super) addresses: Vec<Prefix, 2>,
}

/// Where a packet comes from.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// In clear, from the protected side.
    Inside,
    /// In clear, from the unprotected side.
    Outside,
    /// Opened.
    Tunnel,
    /// Our own, or one that was on its way already.
    Here,
}

/// The forwarding path without its ports' drivers.
pub(super) struct Forwarding<'a, 'r, C: Cipher> {
    config: &'a Config,
    engine: &'a RefCell<Engine<'r, C>>,
    shared: &'a Shared,
    local: &'a Local,
    /// The stack of the capturing resolver, which has the addresses of the inside.
    clients: Option<&'a Local>,
    ports: [Port; 2],
    routes: Routes,
    tables: &'a mut Tables,
}

/// What the path remembers.
pub(super) struct Tables {
    neighbours: Neighbours,
    limiter: Limiter,
    errors: Deque<Vec<u8, MAX_ERROR>, ERRORS>,
}

impl Tables {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Self { neighbours: Neighbours::new(), limiter: Limiter::new(), errors: Deque::new() }
    }
}

impl<'a, 'r, C: Cipher> Forwarding<'a, 'r, C> {
    pub(super) fn new(
        config: &'a Config,
        ports: [Port; 2],
        engine: &'a RefCell<Engine<'r, C>>,
        shared: &'a Shared,
        (local, clients): (&'a Local, Option<&'a Local>),
        tables: &'a mut Tables,
    ) -> Self {
        let routes = Routes::new(config, &config.outside());
        Self { config, engine, shared, local, clients, ports, routes, tables }
    }

    /// Takes note that the device is elsewhere, if it was told; neighbours there are others.
    pub(super) fn follow(&mut self) {
        let Some(outside) = self.shared.take_outside() else { return };
        self.routes = Routes::new(self.config, &outside);
        self.tables.neighbours.forget(OUTSIDE);
        let [port, _] = &mut self.ports;
        for gone in port.addresses.iter().filter(|old| !outside.addresses().any(|own| own == **old)) {
            self.shared.forget_from(gone.address);
        }
        port.addresses = outside.addresses().collect();
    }

    /// A frame arrived on `port`.
    pub(super) fn arrive(
        &mut self,
        now: Instant,
        port: u8,
        reassembly: &mut Reassembly,
        frame: &mut [u8],
        wire: &mut impl Wire,
    ) {
        let Some(own) = self.port(port) else { return };
        match link::read(own.link, frame) {
            Frame::Other => {}
            Frame::Answer(neighbour, link) => {
                self.tables.neighbours.answered(now, Hop { interface: port, neighbour }, link)
            }
            Frame::Question { asker, target } => self.answer(now, port, asker, target, wire),
            Frame::Packet => {
                let packet = frame.get_mut(link::HEADER..).unwrap_or_default();
                if port == OUTSIDE {
                    self.arrive_outside(now, reassembly, packet, wire);
                } else {
                    self.forward(now, Origin::Inside, packet, wire);
                }
            }
        }
    }

    /// A packet of our own stack. A connection outlives the address that it was made with; policy no longer knows that
    /// address.
    pub(super) fn send_own(&mut self, now: Instant, packet: &mut [u8], wire: &mut impl Wire) {
        let source = ip::Packet::parse(packet).map(|parsed| parsed.selectors.source);
        // The unspecified address asks for one.
        if source.is_some_and(|source| !self.is_own(source) && !source.is_unspecified()) {
            return self.shared.count(Refusal::Martian);
        }
        self.forward(now, Origin::Here, packet, wire);
    }

    /// Does what is due: errors, packets whose SA or neighbour is there now, questions to neighbours.
    pub(super) fn attend(&mut self, now: Instant, wire: &mut impl Wire) {
        while let Some(mut packet) = self.shared.next_early(now, |spi| self.engine.borrow().has_sa(spi)) {
            self.open(now, &mut packet, wire);
        }
        while let Some(mut packet) = self.shared.next_due(now) {
            match self.try_forward(now, Origin::Here, &mut packet, wire) {
                Err(Refusal::WantsSa(_)) => self.shared.wait_on(),
                done => {
                    self.shared.remove_due();
                    if let Err(refusal) = done {
                        self.shared.count(refusal);
                    }
                }
            }
        }
        while let Some(task) = self.tables.neighbours.poll(now) {
            match task {
                Task::Solicit(hop) => self.solicit(hop, wire),
                Task::Absent(hop) => {
                    if let Some(packet) = self.tables.neighbours.give_up(hop) {
                        self.refuse(now, Origin::Inside, Refusal::HostUnreachable, &packet);
                    }
                }
            }
        }
        while let Some((hop, to, packet)) = self.tables.neighbours.take_ready() {
            if let Err(refusal) = self.transmit(hop, to, &packet, wire) {
                self.shared.count(refusal);
            }
        }
        while let Some(mut packet) = self.tables.errors.pop_front() {
            self.forward(now, Origin::Here, &mut packet, wire);
        }
    }

    /// When [`Self::attend`] has something to do next.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.tables.neighbours.next_timeout()
    }

    fn arrive_outside(
        &mut self,
        now: Instant,
        reassembly: &mut Reassembly,
        octets: &mut [u8],
        wire: &mut impl Wire,
    ) {
        reassembly.expire(now);
        let known = |source| self.engine.borrow().sas().any(|sa| sa.remote == source);
        let Some(packet) = ip::Packet::parse(octets).and_then(|parsed| octets.get_mut(..parsed.length))
        else {
            return self.shared.count(Refusal::Malformed);
        };
        let whole = match reassembly.collect(now, packet, known) {
            Collected::Passed => packet,
            Collected::Waiting => return,
            Collected::Dropped(_) => return self.shared.count(Refusal::Fragment),
            Collected::Whole(datagram) => datagram.get_mut(HEADROOM..).unwrap_or_default(),
        };
        self.open(now, whole, wire);
    }

    fn open(&mut self, now: Instant, whole: &mut [u8], wire: &mut impl Wire) {
        let verdict = self.engine.borrow_mut().inbound(now, whole);
        self.shared.note_moved();
        match verdict {
            Inbound::Bypass => self.forward(now, Origin::Outside, whole, wire),
            Inbound::Deliver(clear) => {
                let inner = whole.get_mut(clear).unwrap_or_default();
                self.forward(now, Origin::Tunnel, inner, wire);
            }
            Inbound::Early(spi) => {
                if let Err(refusal) = self.shared.keep_early(now, spi, whole) {
                    self.shared.count(refusal);
                }
            }
            Inbound::Drop(_) => self.shared.count(Refusal::Engine),
        }
    }

    fn forward(&mut self, now: Instant, origin: Origin, packet: &mut [u8], wire: &mut impl Wire) {
        match self.try_forward(now, origin, packet, wire) {
            Ok(()) => {}
            Err(Refusal::WantsSa(flow)) => {
                if let Err(refusal) = self.shared.hold(now, flow, packet) {
                    self.shared.count(refusal);
                }
            }
            Err(refusal) => self.refuse(now, origin, refusal, packet),
        }
    }

    fn try_forward(
        &mut self,
        now: Instant,
        origin: Origin,
        octets: &mut [u8],
        wire: &mut impl Wire,
    ) -> Result<(), Refusal> {
        let parsed = ip::Packet::parse(octets).ok_or(Refusal::Malformed)?;
        let packet = octets.get_mut(..parsed.length).ok_or(Refusal::Malformed)?;
        let (source, destination) = (parsed.selectors.source, parsed.selectors.destination);
        if origin == Origin::Here {
            if self.is_own(destination) {
                return Err(Refusal::Martian);
            }
            return self.leave(now, destination, packet, wire);
        }
        self.check_source(origin, source)?;
        check_header(packet)?;
        if self.is_own(destination) {
            return self.keep(now, origin, packet, destination, wire);
        }
        if origin == Origin::Outside && inspect::is_lease(packet) {
            return if self.local.deliver(packet) { Ok(()) } else { Err(Refusal::StackFull) };
        }
        self.check_destination(destination)?;
        spend_hop(packet)?;
        self.leave(now, destination, packet, wire)?;
        self.shared.note_forwarded();
        Ok(())
    }

    /// A packet for one of our own addresses. The stack has those of the outside; on the others we
    /// answer to echo requests, and to questions of the inside where names are captured, and that is all.
    fn keep(
        &mut self,
        now: Instant,
        origin: Origin,
        packet: &mut [u8],
        destination: IpAddr,
        wire: &mut impl Wire,
    ) -> Result<(), Refusal> {
        let outside = self.port(OUTSIDE).ok_or(Refusal::Unserved)?;
        if outside.addresses.iter().any(|own| own.address == destination) {
            return if self.local.deliver(packet) { Ok(()) } else { Err(Refusal::StackFull) };
        }
        if let Some(clients) = self.clients.filter(|_| origin == Origin::Inside && inspect::is_dns(packet)) {
            return if clients.deliver(packet) { Ok(()) } else { Err(Refusal::StackFull) };
        }
        if !icmp::echo(packet) {
            return Err(Refusal::Unserved);
        }
        let asker = ip::Packet::parse(packet).ok_or(Refusal::Malformed)?.selectors.destination;
        self.leave(now, asker, packet, wire)
    }

    /// Counts a packet that goes no further and tells its source why, if it may be told.
    fn refuse(&mut self, now: Instant, origin: Origin, refusal: Refusal, packet: &[u8]) {
        self.shared.count(refusal);
        let Some(problem) = refusal.problem().filter(|_| origin != Origin::Here) else { return };
        // What came out of a tunnel hears from the side that the tunnel's policy is for.
        let port = if origin == Origin::Outside { OUTSIDE } else { INSIDE };
        let v4 = packet.first().is_some_and(|octet| octet >> 4 == 4);
        let Some(source) = self.own_address(port, v4) else { return };
        let mut buffer = [0; MAX_ERROR];
        let Some(error) = icmp::error(source, problem, packet, &mut buffer) else { return };
        let to = ip::Packet::parse(error).map(|parsed| parsed.selectors.destination);
        if to.is_some_and(|to| !self.is_own(to))
            && self.tables.limiter.allow(now)
            && let Ok(error) = Vec::from_slice(error)
        {
            let _ = self.tables.errors.push_back(error);
        }
    }

    fn port(&self, port: u8) -> Option<&Port> {
        self.ports.get(usize::from(port))
    }

    pub(super) fn attached(&self, port: u8) -> impl Iterator<Item = &Prefix> {
        self.port(port).into_iter().flat_map(|port| &port.addresses)
    }

    fn own_address(&self, port: u8, v4: bool) -> Option<IpAddr> {
        self.attached(port).map(|prefix| prefix.address).find(|address| address.is_ipv4() == v4)
    }

    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        self.ports.iter().flat_map(|port| &port.addresses).any(|prefix| prefix.address == address)
    }
}

#[cfg(test)]
mod tests;
