//! The half that thinks: it owns key management and may compute for seconds.
//!
//! One future: a report of Network, an elapsed time or an operator's request goes into the
//! [`Endpoint`]; what comes out goes down as [`Command`]s, in its order, key schedules built on the
//! way. It remembers the last reason for each peer and calls those again that shall be there at once.

mod address;
mod call;
mod capture;
mod clients;
mod directory;
mod events;
mod lease;
mod publish;
pub mod reason;
pub mod remembered;
mod reports;
mod requests;
mod status;
mod time;
mod why;

use core::cell::RefCell;
use core::convert::Infallible;
use core::net::IpAddr;
use core::time::Duration;

use embassy_futures::select::{Either3, select3};
use esp_engine::selector::AddressRange;
use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::config::ConfigError;
use ike_core::crypto::Crypto;
use ike_core::discovery::sntp::Sntp;
use ike_core::discovery::{Name, UnixTime, proxy, resolver};
use ike_core::endpoint::Endpoint;
use ike_core::error::AcquireError;
use ike_core::output::{self, ChildEstablished, Output, Ticket};
use ike_core::pad::{Identity, OwnedIdentity, PeerId, PeerRecord};
use ike_core::resources::Resources;
use rand_core::{TryCryptoRng, TryRng};

use self::capture::Captor;
use self::directory::{Directory, Step};
use self::publish::Publishing;
use self::remembered::MAX_REMEMBERED;
use self::time::{KnownAnchors, NotBefore};
use crate::clock;
use crate::config::capture::Lists;
use crate::config::clock::Source;
use crate::config::pad::Tables;
use crate::config::policies::MAX_FOUND;
use crate::config::{Config, MAX_PEERS, Outside, Prefix};
use crate::dhcp::Client;
use crate::management::{MAX_LISTED, Reason, Words};
use crate::queue::{Command, Datagram, Queues};
use crate::report::{Event, Message, Sink};
use crate::role::Board;
use crate::storage::{Key, Storage};

/// Look-ups that are under way at once.
pub const LOOKUPS: usize = 2;
/// Answers of DNS that are kept.
const ANSWERS: usize = 4;
/// Zones whose keys are kept.
const ZONES: usize = 8;
/// Questions of clients on their way at once.
pub(crate) const CLIENTS_HELD: usize = 8;
/// Names of clients whose keys are known, or known to be absent.
const CLIENTS_NAMES: usize = 16;
/// Addresses that names of clients led to; those without a place in the SPD are only remembered.
const CLIENTS_FOUND: usize = MAX_FOUND + 4;
/// Sockets that questions of clients take.
pub(crate) const CLIENT_SOCKETS: usize = CLIENTS_HELD + proxy::KEY_QUESTIONS;
/// Set in the tickets of the capturing resolver.
const CAPTURED: u32 = 1 << 31;
/// Addresses without protection that are remembered, as many as Network has room for.
const OPEN: usize = 16;
/// IKE messages in fragments that arrive at once.
const REASSEMBLIES: usize = 2;

/// What Control needs in memory.
pub struct Memory<
    C: Crypto,
    const IKE_SAS: usize,
    const HANDSHAKES: usize,
    const CHILD_SAS: usize,
    const BUFFERS: usize,
> {
    ike: Resources<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS, REASSEMBLIES, MAX_PEERS, MAX_REMEMBERED>,
    resolver: resolver::Resources<LOOKUPS, ANSWERS, ZONES>,
    proxy: proxy::Resources<CLIENTS_HELD, CLIENTS_NAMES, CLIENTS_FOUND>,
}

impl<C: Crypto, const IKE_SAS: usize, const HANDSHAKES: usize, const CHILD_SAS: usize, const BUFFERS: usize>
    Memory<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS>
{
    /// Unused; a device that starts again takes another.
    pub const fn new() -> Self {
        Self { ike: Resources::new(), resolver: resolver::Resources::new(), proxy: proxy::Resources::new() }
    }
}

impl<C: Crypto, const IKE_SAS: usize, const HANDSHAKES: usize, const CHILD_SAS: usize, const BUFFERS: usize>
    Default for Memory<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// Runs key management for ever.
///
/// # Errors
/// [`ConfigError`] when key management refuses its configuration at the start: our own key is none, or
/// is pinned for a peer.
pub async fn run<
    C: Crypto + Copy,
    R: TryCryptoRng,
    S: Sink,
    M: Storage,
    const IKE_SAS: usize,
    const HANDSHAKES: usize,
    const CHILD_SAS: usize,
    const BUFFERS: usize,
>(
    board: Board<'_, C, R, S, M>,
    queues: &Queues<C::Cipher>,
    memory: &mut Memory<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS>,
) -> Result<Infallible, ConfigError> {
    let Board { config, crypto, rng, sink, mut storage, management, time_of_day, seed: _, wakers: _ } = board;
    let tables = Tables::new(config);
    let (pad, policies) = (tables.pad(), tables.policies());
    let for_endpoint = config.for_key_management(&tables, &pad, &policies);
    let rng = RefCell::new(rng);
    let time = time_of_day.filter(|_| config.clock.source == Source::Board).map(|time| (clock::now(), time));
    let anchors = config.anchors();
    let servers = config.dns_servers();
    // Without servers, or without randomness, nobody can be asked, and who needs it waits in vain.
    let asks = resolver::Config { servers: &servers, anchors: &anchors };
    // What cannot be read was never kept: the bound is that of the program then, the anchors the configured ones.
    let bound = storage.load::<NotBefore>(Key::Clock).await.ok().flatten();
    let bound = UnixTime(bound.map_or(0, |bound| bound.0));
    let kept = storage.load::<KnownAnchors>(Key::Anchors).await.ok().flatten();
    let fingerprints = config.resolver.as_ref().is_some_and(|resolver| resolver.fingerprints);
    let directory =
        Directory::new(asks, fingerprints, (time, bound), &mut memory.resolver, crypto, Shared(&rng));
    let mut directory = directory.ok();
    if let Some(directory) = &mut directory {
        let kept = kept.as_ref().map(|kept| kept.0.as_slice());
        directory.begin_care(clock::now(), kept, config.probe_examples());
    }
    let lists = Lists::new(config);
    let settings = lists.as_ref().map(Lists::settings);
    let captor = settings
        .as_ref()
        .zip(config.found_policies().next())
        .map(|(settings, first)| Captor::new(settings, first, &mut memory.proxy, Shared(&rng)));
    let publishing = Publishing::new(config, clock::now(), time, crypto, Shared(&rng));
    let mut endpoint = Endpoint::new(&for_endpoint, &mut memory.ike, crypto, Shared(&rng))?;
    if config.has_dhcp() {
        endpoint.lost(Prefix::DHCP.address);
    }
    let mut control = Control {
        config,
        rng: Shared(&rng),
        lease: None,
        outside: config.outside(),
        captor,
        lookups: Vec::new(),
        queues,
        endpoint,
        directory,
        sntp: time::client(config, clock::now(), Shared(&rng)),
        publishing,
        sink,
        storage,
        peers: config.peers.iter().map(|_| PeerState::new()).collect(),
        children: Vec::new(),
        setbacks: Vec::new(),
        open: Vec::new(),
        status_wanted: false,
        is_unkept: false,
        unplaced: None,
    };
    control.recall_all().await;
    control.locate_all();
    control.open_all().await;
    control.call_at_once();
    loop {
        let timeout = control.drain().await;
        let wake = [timeout, control.next_call()].into_iter().flatten().min();
        match select3(queues.next_report(), clock::at(wake), management.next_request()).await {
            Either3::First(report) => {
                if let Some(response) = control.take(report) {
                    management.answer(response);
                }
            }
            Either3::Second(()) => {
                let now = clock::now();
                control.endpoint.handle_timeout(now);
                if let Some(directory) = &mut control.directory {
                    directory.handle_timeout(now);
                }
                if let Some(sntp) = &mut control.sntp {
                    sntp.handle_timeout(now);
                }
                if let Some(captor) = &mut control.captor {
                    captor.handle_timeout(now);
                }
                if let Some(publishing) = &mut control.publishing {
                    publishing.handle_timeout(now);
                }
                if let Some(lease) = &mut control.lease {
                    lease.handle_timeout(now);
                }
                control.call_due(now);
            }
            Either3::Third(request) => {
                if let Some(response) = control.serve(request).await {
                    management.answer(response);
                }
            }
        }
    }
}

/// One source of randomness for two.
struct Shared<'a, R>(&'a RefCell<R>);

impl<R> Clone for Shared<'_, R> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<R: TryCryptoRng> TryRng for Shared<'_, R> {
    type Error = R::Error;

    fn try_next_u32(&mut self) -> Result<u32, R::Error> {
        self.0.borrow_mut().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, R::Error> {
        self.0.borrow_mut().try_next_u64()
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), R::Error> {
        self.0.borrow_mut().try_fill_bytes(octets)
    }
}

impl<R: TryCryptoRng> TryCryptoRng for Shared<'_, R> {}

struct Control<'a, C: Crypto, R, S, M> {
    config: &'a Config,
    rng: R,
    /// Where the device is.
    outside: Outside,
    /// Who gives it its address, where a server does.
    lease: Option<Client<R>>,
    queues: &'a Queues<C::Cipher>,
    endpoint: Endpoint<'a, C, R>,
    /// Where peers by name are looked up.
    directory: Option<Directory<'a, C, R>>,
    /// What is done about the names that clients ask for.
    captor: Option<Captor<'a, R>>,
    /// Keys of clients' names that wait for a place in the directory.
    lookups: Vec<(Ticket, Name), CLIENTS_NAMES>,
    /// Who says how late it is, where servers do.
    sntp: Option<Sntp<R>>,
    /// What keeps our own name up to date.
    publishing: Option<Publishing<C, R>>,
    sink: S,
    /// What is remembered across restarts.
    storage: M,
    peers: Vec<PeerState, MAX_PEERS>,
    /// Child SAs that stand, as far as they fit; for the status only.
    children: Vec<Listed, MAX_LISTED>,
    /// What went wrong last with whom the configuration does not name, by address; the oldest first.
    setbacks: Vec<(IpAddr, Reason), MAX_LISTED>,
    /// Where policies that would rather protect let packets pass in clear, and until when; the first to end first.
    open: Vec<(AddressRange, Instant), OPEN>,
    /// An operator waits for the counters of Network.
    status_wanted: bool,
    /// What the next pair of SAs rests on could not be kept.
    is_unkept: bool,
    /// The last peer that there was no place to remember, until somebody is forgotten.
    unplaced: Option<OwnedIdentity>,
}

/// A Child SA that stands.
struct Listed {
    is: ChildEstablished,
    since: Instant,
}

/// What Control remembers of a peer.
struct PeerState {
    reason: Option<Reason>,
    /// When it is called again.
    call: Option<Instant>,
    pause: Duration,
}

impl PeerState {
    const fn new() -> Self {
        Self { reason: None, call: None, pause: call::FIRST_BREAK }
    }
}

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// Does everything that the endpoint, the resolver and the publisher want done; returns when they want to be
    /// called.
    async fn drain(&mut self) -> Option<Instant> {
        loop {
            let lease = self.drain_lease().await;
            let ike = self.drain_endpoint().await;
            let clients = match self.captor.as_mut().map(|captor| captor.step(clock::now())) {
                Some(capture::Step::Wait(moment)) => moment,
                Some(step) => {
                    self.carry_out(step).await;
                    continue;
                }
                None => None,
            };
            self.ask_for_keys();
            let time = self.drain_time().await;
            let step =
                self.directory.as_mut().map_or(Step::Wait(None), |directory| directory.step(clock::now()));
            match step {
                Step::Command(command) => self.queues.command(command).await,
                Step::Answer(ticket, record) if ticket.0 & CAPTURED != 0 => {
                    if let Some(captor) = &mut self.captor {
                        captor.learn(clock::now(), ticket, &record);
                    }
                }
                Step::Answer(ticket, record) => self.answer(ticket, record),
                Step::TimeJudged(result) => self.time_judged(clock::now(), result),
                Step::NotBefore(time) => self.store(Key::Clock, &NotBefore(time.0)).await,
                Step::Anchors(anchors) => self.store(Key::Anchors, &KnownAnchors(anchors)).await,
                Step::Probed(server) => self.sink.report(clock::now(), &Event::Probed(server)),
                Step::Wait(dns) => {
                    let own = self.drain_publishing().await;
                    return [lease, ike, clients, time, dns, own].into_iter().flatten().min();
                }
            }
        }
    }

    async fn drain_publishing(&mut self) -> Option<Instant> {
        loop {
            match self.publishing.as_mut()?.step() {
                publish::Step::Command(command) => self.queues.command(command).await,
                publish::Step::Event(event) => self.sink.report(clock::now(), &Event::Publication(event)),
                publish::Step::Wait(moment) => return moment,
            }
        }
    }

    async fn drain_endpoint(&mut self) -> Option<Instant> {
        loop {
            let command = match self.endpoint.poll_output() {
                Output::Timeout(moment) => return moment,
                Output::Event(output::Event::Addresses { peer, addresses }) => {
                    self.sink.report(clock::now(), &Event::Located { peer, addresses: addresses.clone() });
                    for (policy, rule) in self.config.policies_by_name(peer) {
                        let ranges = addresses.iter().map(|address| AddressRange::single(*address));
                        let remote = rule.remote_selectors(ranges);
                        self.queues.command(Command::Policy { policy, remote }).await;
                    }
                    None
                }
                Output::Transmit { path, datagram } => {
                    let Ok(datagram) = Datagram::from_slice(datagram) else { continue };
                    if let Some(message) = Message::of(path, &datagram) {
                        self.sink.report(clock::now(), &Event::Sent(path, message));
                    }
                    Some(Command::Transmit { path, datagram })
                }
                Output::Event(output::Event::Remember(number)) => {
                    self.keep(number).await;
                    None
                }
                Output::Event(event) => self.act(clock::now(), event),
            };
            if let Some(command) = command {
                self.queues.command(command).await;
            }
        }
    }

    /// Has DNS asked where all those are whose addresses policies need.
    fn locate_all(&mut self) {
        let now = clock::now();
        for place in 0..self.peers.len() {
            let peer = PeerId(u16::try_from(place).unwrap_or(u16::MAX));
            if self.config.policies_by_name(peer).next().is_some() {
                let located = self.endpoint.locate(now, peer);
                self.begun(now, Some(peer), None, located);
            }
        }
    }

    /// Policies that would rather protect, and whose peer is never called, have nothing to wait for.
    async fn open_all(&mut self) {
        for range in self.config.open_ranges() {
            let command = self.let_clear(clock::now(), range, Instant::from_millis(u64::MAX));
            self.queues.command(command).await;
        }
    }

    fn let_clear(&mut self, now: Instant, remote: AddressRange, until: Instant) -> Command<C::Cipher> {
        self.open.retain(|(other, until)| *other != remote && now < *until);
        if self.open.is_full() {
            self.open.remove(0);
        }
        // There is room now.
        let _ = self.open.push((remote, until));
        self.open.sort_unstable_by_key(|(_, until)| *until);
        Command::LetClear { remote, until }
    }

    /// Key management asks DNS for a peer.
    fn look_up(&mut self, now: Instant, ticket: Ticket, of: &OwnedIdentity) {
        let found = match (of.view(), &self.captor) {
            (Identity::Address(address), Some(captor)) => captor.record(now, address),
            _ => None,
        };
        let answer = match (found, &mut self.directory) {
            (Some(record), _) => Some(record),
            (None, Some(directory)) => directory.ask(now, ticket, of),
            (None, None) => Some(PeerRecord::silence(now)),
        };
        if let Some(record) = answer {
            self.answer(ticket, record);
        }
    }

    fn answer(&mut self, ticket: Ticket, record: PeerRecord) {
        let now = clock::now();
        self.sink.report(now, &Event::Answered { security: record.security, presence: record.presence });
        self.endpoint.handle_peer_record(now, ticket, record);
    }

    /// Takes note of a negotiation that could not begin.
    fn begun(
        &mut self,
        now: Instant,
        peer: Option<PeerId>,
        to: Option<IpAddr>,
        result: Result<(), AcquireError>,
    ) {
        let Err(reason) = result else { return };
        // Why the last attempt failed was noted when it did.
        if reason != AcquireError::TooSoon {
            self.note(now, peer, to, reason::not_begun(reason));
        }
        self.sink.report(now, &Event::NotStarted { peer, reason });
    }

    /// Remembers what went wrong: with a peer of the configuration, or else with whoever is at an address.
    fn note(&mut self, now: Instant, peer: Option<PeerId>, to: Option<IpAddr>, words: Words) {
        let reason = Reason { at_ms: now.as_millis(), words };
        match (peer.and_then(|peer| self.peers.get_mut(usize::from(peer.0))), to) {
            (Some(state), _) => state.reason = Some(reason),
            (None, Some(to)) => {
                self.setbacks.retain(|(address, _)| *address != to);
                if self.setbacks.is_full() {
                    self.setbacks.remove(0);
                }
                // There is room now.
                let _ = self.setbacks.push((to, reason));
            }
            (None, None) => {}
        }
    }

    fn peer_of_policy(&self, policy: esp_engine::spd::PolicyId) -> Option<PeerId> {
        match &self.config.policy(policy)?.action {
            crate::config::Action::Protect { peer: Some(name), .. } => self.config.peer_id(name),
            _ => None,
        }
    }
}
