//! Names of clients: the capturing resolver between Network, which carries, the resolver, which validates, and
//! key management, which protects. Each address that is found gets one of a few places in the SPD.
//!
//! ```text
//! found ──▶ Trying: traffic waits ──▶ Protected ──▶ ended with its entry
//!              └─ IKE fails, or takes too long ──▶ Open: as without the entry, unless protection is required
//! ```

use core::net::IpAddr;
use core::time::Duration;

use esp_engine::selector::{ANY_PROTOCOL, Ports, Selectors};
use esp_engine::spd::{Level, PolicyId, PolicySelectors};
use esp_engine::time::Instant;
use heapless::{Deque, Vec};
use ike_core::discovery::Name;
use ike_core::discovery::output::{Socket, Transport};
use ike_core::discovery::proxy::settings::{Demand, Settings};
use ike_core::discovery::proxy::{Client, Found, MESSAGE, Output, Progress, Proxy, Resources};
use ike_core::discovery::question::Ticket;
use ike_core::discovery::stream::Stream;
use ike_core::pad::{Gateway, PeerRecord, Presence, PublishedKey, Security};
use rand_core::TryCryptoRng;

use super::{CLIENTS_FOUND, CLIENTS_HELD, CLIENTS_NAMES};
use crate::config::Outside;
use crate::config::policies::{MAX_FOUND, all_with};
use crate::network::dns::{self, OWN_SOCKETS};
use crate::queue::{Datagram, DnsReport, MAX_DATAGRAM};
use crate::report::{Capture as News, Captured};

/// How long traffic to a found address waits for an SA before it goes on as without the entry.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// For so long key management need not ask again for what was found.
const FRESH: Duration = Duration::from_secs(10);
/// Answers that come on connections at once.
const STREAMS: usize = 2;
/// What waits to be done, at most.
const PENDING: usize = 4 * MAX_FOUND;

/// The proxy and the places of the SPD that it fills.
pub(super) struct Captor<'r, R> {
    proxy: Proxy<'r, R>,
    /// Addresses of our own that the settings do not know: nothing is found there.
    own: Vec<IpAddr, 2>,
    first: PolicyId,
    places: [Option<Place>; MAX_FOUND],
    streams: Vec<(Socket, Stream<MESSAGE>), STREAMS>,
    pending: Deque<Change, PENDING>,
    /// The rest of an answer for a stream.
    rest: Option<(Client, Vec<u8, { MESSAGE + 2 }>)>,
}

/// One found address.
struct Place {
    address: IpAddr,
    demand: Demand,
    stage: Stage,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that was proven there last.
    key: Option<[u8; 32]>,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Stage {
    Trying(Instant),
    Protected,
    Open,
}

/// What an entry takes.
pub(super) enum Change {
    /// The far side of this policy is here from now on.
    Policy(PolicyId, PolicySelectors),
    /// Begin with whoever is there.
    Acquire(PolicyId, Selectors),
    /// End the SAs of this policy.
    End(PolicyId),
    /// The board hears of it.
    Report(News),
}

/// What is to be done next.
#[expect(clippy::large_enum_variant, reason = "there is no heap")]
pub(super) enum Step {
    /// Make, change or end an entry.
    Change(Change),
    /// Ask a server.
    Query(Socket, dns::Question),
    /// Nothing more is wanted on this socket.
    CloseQuery(Socket),
    /// Answer a client.
    Reply(Client, Datagram, bool),
    /// Have the key of this name validated.
    Lookup(Ticket, Name),
    /// Nothing until this moment.
    Wait(Option<Instant>),
}

impl<'r, R: TryCryptoRng> Captor<'r, R> {
    pub(super) fn new(
        settings: &'r Settings<'r>,
        first: PolicyId,
        resources: &'r mut Resources<CLIENTS_HELD, CLIENTS_NAMES, CLIENTS_FOUND>,
        rng: R,
    ) -> Self {
        Self {
            proxy: Proxy::new(settings, resources, rng),
            own: Vec::new(),
            first,
            places: [const { None }; MAX_FOUND],
            streams: Vec::new(),
            pending: Deque::new(),
            rest: None,
        }
    }

    /// The device is elsewhere.
    pub(super) fn readdress(&mut self, outside: &Outside) {
        self.own = outside.addresses().map(|own| own.address).take(2).collect();
    }

    /// A client asks.
    pub(super) fn asked(&mut self, now: Instant, client: Client, octets: &[u8]) {
        // What is dropped was counted.
        let _ = self.proxy.handle_query(now, client, octets);
    }

    /// A client's connection has ended.
    pub(super) fn gone(&mut self, now: Instant, connection: u16) {
        self.rest.take_if(
            |(client, _)| matches!(client, Client::Stream { connection: c, .. } if *c == connection),
        );
        self.proxy.handle_closed(now, connection);
    }

    /// The resolver has spoken.
    pub(super) fn learn(&mut self, now: Instant, ticket: Ticket, record: &PeerRecord) {
        self.proxy.handle_record(now, ticket, record);
    }

    /// Something came on a socket of ours.
    pub(super) fn take(&mut self, now: Instant, socket: Socket, news: DnsReport) {
        match news {
            DnsReport::Datagram { server, octets } => {
                let _ = self.proxy.handle_answer(now, socket, server, &octets);
            }
            DnsReport::Octets { server, octets } => {
                if !self.streams.iter().any(|(of, _)| *of == socket) {
                    let _ = self.streams.push((socket, Stream::new()));
                }
                let stream = self.streams.iter_mut().find(|(of, _)| *of == socket);
                if let Some((_, stream)) = stream
                    && let Ok(Some(message)) = stream.push(&octets)
                {
                    let _ = self.proxy.handle_answer(now, socket, server, message);
                    self.forget_stream(socket);
                }
            }
            // Its time runs out.
            DnsReport::Failed => self.forget_stream(socket),
        }
    }

    fn forget_stream(&mut self, socket: Socket) {
        self.streams.retain(|(of, _)| *of != socket);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.proxy.handle_timeout(now);
        for n in 0..MAX_FOUND {
            let is_late = |place: &Place| matches!(place.stage, Stage::Trying(until) if until <= now);
            if self.places.get(n).is_some_and(|place| place.as_ref().is_some_and(is_late)) {
                self.failed(now, n);
            }
        }
    }

    /// What key management is told about the keys at a found address.
    pub(super) fn record(&self, now: Instant, address: IpAddr) -> Option<PeerRecord> {
        let found = self.proxy.found().find(|found| found.address == address)?;
        let keys = found.keys.iter().map(|key| PublishedKey::Whole { key: *key, gateway: Gateway::Owner });
        Some(PeerRecord {
            security: if found.level >= Level::Validated { Security::Secure } else { Security::Insecure },
            presence: Presence::Present,
            keys: keys.collect(),
            addresses: [address].into_iter().collect(),
            is_wildcard: false,
            expires: found.expires.min(now + FRESH),
            signed_until: None,
        })
    }

    /// A Child SA of this policy stands.
    pub(super) fn established(&mut self, now: Instant, policy: PolicyId) {
        let Some((n, place)) = self.place_of(policy) else { return };
        let (address, key) = (place.address, place.key);
        let before = core::mem::replace(&mut place.stage, Stage::Protected);
        if before == Stage::Open {
            self.push(Change::Policy(self.policy(n), all_with(address)));
        }
        self.proxy.handle_progress(now, address, Progress::Protected);
        // A successor is no news.
        if before != Stage::Protected {
            self.tell(now, address, key, News::Protected);
        }
    }

    /// Whoever is at this address proved a key with this SHA-256 of its SubjectPublicKeyInfo.
    pub(super) fn proven(&mut self, address: IpAddr, key: [u8; 32]) {
        if let Some(place) = self.places.iter_mut().flatten().find(|place| place.address == address) {
            place.key = Some(key);
        }
    }

    /// The board hears what has become of the name that led to an address.
    fn tell(&mut self, now: Instant, address: IpAddr, key: Option<[u8; 32]>, news: fn(Captured) -> News) {
        let Some(found) = self.proxy.found().find(|found| found.address == address) else { return };
        let (name, ttl_s) = (found.name.clone(), seconds_left(now, found));
        self.push(Change::Report(news(Captured { name, address, key, ttl_s })));
    }

    /// Nothing comes of a negotiation with whoever is at this address.
    pub(super) fn failed_at(&mut self, now: Instant, address: IpAddr) {
        let is_it = |place: &Option<Place>| place.as_ref().is_some_and(|place| place.address == address);
        if let Some(n) = self.places.iter().position(is_it) {
            self.failed(now, n);
        }
    }

    /// Nothing comes of a negotiation for this policy.
    pub(super) fn failed_for(&mut self, now: Instant, policy: PolicyId) {
        if let Some((n, _)) = self.place_of(policy) {
            self.failed(now, n);
        }
    }

    /// Traffic goes on as it would have without the entry; nothing that was protected does.
    fn failed(&mut self, now: Instant, n: usize) {
        let policy = self.policy(n);
        let Some(Some(place)) = self.places.get_mut(n) else { return };
        if !matches!(place.stage, Stage::Trying(_)) {
            return;
        }
        let (address, demand, key) = (place.address, place.demand, place.key);
        place.stage = Stage::Open;
        if demand < Demand::Require {
            self.push(Change::Policy(policy, PolicySelectors::new()));
        }
        self.proxy.handle_progress(now, address, Progress::Failed);
        self.tell(now, address, key, News::Unprotected);
    }

    /// What is to be done, one thing at a time.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        loop {
            if let Some(order) = self.pending.pop_front() {
                return Step::Change(order);
            }
            if let Some(step) = self.next_part() {
                return step;
            }
            match self.proxy.poll_output() {
                Output::Timeout(moment) => {
                    return Step::Wait([moment, self.alarm()].into_iter().flatten().min());
                }
                Output::Reply { client, octets } => {
                    let mut whole = Vec::new();
                    if client.is_stream() {
                        let length = u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes();
                        let _ = whole.extend_from_slice(&length);
                    }
                    let _ = whole.extend_from_slice(octets);
                    self.rest = Some((client, whole));
                }
                Output::Query { socket, server, transport, octets } => {
                    let octets = Vec::from_slice(octets).unwrap_or_default();
                    let question = dns::Question { server, transport, octets };
                    if transport == Transport::Tcp {
                        self.forget_stream(socket);
                    }
                    return Step::Query(number(socket), question);
                }
                Output::Close(socket) => {
                    self.forget_stream(socket);
                    return Step::CloseQuery(number(socket));
                }
                Output::Lookup { ticket, name } => return Step::Lookup(ticket, name.clone()),
                Output::Found(found) => {
                    let found = found.clone();
                    self.found(now, &found);
                }
                Output::Forget(found) => {
                    let (name, address) = (found.name.clone(), found.address);
                    let captured = Captured { name, address, key: None, ttl_s: seconds_left(now, found) };
                    self.forget(captured);
                }
            }
        }
    }

    /// The next part of an answer: all of a datagram, as much of a stream as one command carries.
    fn next_part(&mut self) -> Option<Step> {
        let (client, whole) = self.rest.take()?;
        let (part, rest) = whole.split_at(whole.len().min(MAX_DATAGRAM));
        let octets = Datagram::from_slice(part).unwrap_or_default();
        if !rest.is_empty() {
            self.rest = Vec::from_slice(rest).ok().map(|rest| (client, rest));
        }
        Some(Step::Reply(client, octets, self.rest.is_some()))
    }

    /// An address was found, or its keys have changed.
    fn found(&mut self, now: Instant, found: &Found) {
        let address = found.address;
        let is_it = |place: &Option<Place>| place.as_ref().is_some_and(|place| place.address == address);
        if let Some(Some(place)) = self.places.iter_mut().find(|place| is_it(place)) {
            place.demand = found.demand;
            return;
        }
        if self.own.contains(&address) {
            return self.proxy.handle_progress(now, address, Progress::Failed);
        }
        self.push(Change::Report(News::Found(found.name.clone(), address)));
        let is_free = |place: &Option<Place>| {
            // Where it failed nothing is lost.
            place.as_ref().is_none_or(|p| p.stage == Stage::Open && p.demand < Demand::Require)
        };
        let Some(n) = self.places.iter().position(is_free) else {
            return self.proxy.handle_progress(now, address, Progress::Failed);
        };
        let (policy, stage) = (self.policy(n), Stage::Trying(now + PATIENCE));
        if let Some(place) = self.places.get_mut(n) {
            *place = Some(Place { address, demand: found.demand, stage, key: None });
        }
        self.push(Change::Policy(policy, all_with(address)));
        let packet = Selectors {
            source: found.client(),
            destination: address,
            protocol: ANY_PROTOCOL,
            ports: Ports::Opaque,
        };
        self.push(Change::Acquire(policy, packet));
        self.proxy.handle_progress(now, address, Progress::Installed);
    }

    fn forget(&mut self, captured: Captured) {
        let address = captured.address;
        let is_it = |place: &Option<Place>| place.as_ref().is_some_and(|place| place.address == address);
        let Some(n) = self.places.iter().position(is_it) else { return };
        let place = self.places.get_mut(n).and_then(Option::take);
        if let Some(Place { stage: Stage::Protected, key, .. }) = place {
            self.push(Change::Report(News::Unprotected(Captured { key, ..captured })));
        }
        let policy = self.policy(n);
        self.push(Change::Policy(policy, PolicySelectors::new()));
        self.push(Change::End(policy));
    }

    fn push(&mut self, order: Change) {
        // Each place is good for a few at a time.
        let pushed = self.pending.push_back(order);
        debug_assert!(pushed.is_ok());
    }

    /// The policy that holds traffic with this address to what was found; `None` while that goes on as without.
    pub(super) fn policy_at(&self, address: IpAddr) -> Option<PolicyId> {
        let holds = |place: &Option<Place>| {
            place.as_ref().is_some_and(|place| {
                place.address == address && (place.stage != Stage::Open || place.demand >= Demand::Require)
            })
        };
        self.places.iter().position(holds).map(|n| self.policy(n))
    }

    /// The name that led to this address.
    pub(super) fn name_at(&self, address: IpAddr) -> Option<&Name> {
        self.proxy.found().find(|found| found.address == address).map(|found| &found.name)
    }

    /// An address that this name led to.
    pub(super) fn address_of(&self, name: &str) -> Option<IpAddr> {
        let name: Name = name.parse().ok()?;
        self.proxy.found().find(|found| found.name == name).map(|found| found.address)
    }

    fn policy(&self, n: usize) -> PolicyId {
        PolicyId(self.first.0.saturating_add(u16::try_from(n).unwrap_or(u16::MAX)))
    }

    fn place_of(&mut self, policy: PolicyId) -> Option<(usize, &mut Place)> {
        let n = usize::from(policy.0.checked_sub(self.first.0)?);
        Some((n, self.places.get_mut(n)?.as_mut()?))
    }

    fn alarm(&self) -> Option<Instant> {
        let until = |place: &Place| match place.stage {
            Stage::Trying(until) => Some(until),
            Stage::Protected | Stage::Open => None,
        };
        self.places.iter().flatten().filter_map(until).min()
    }
}

fn seconds_left(now: Instant, found: &Found) -> u32 {
    u32::try_from(found.expires.since(now).as_secs()).unwrap_or(u32::MAX)
}

/// Network's number for a socket of the proxy's.
fn number(socket: Socket) -> Socket {
    Socket(socket.0.saturating_add(OWN_SOCKETS))
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
