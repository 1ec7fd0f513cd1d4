//! The half that thinks: it owns key management and may compute for seconds.
//!
//! One future: a report of Network, an elapsed time or an operator's request goes into the
//! [`Endpoint`]; what comes out goes down as [`Command`]s, in its order, key schedules built on the
//! way. It remembers the last reason for each peer and calls those again that shall be there at once.

mod call;
mod capture;
mod clients;
mod directory;
mod publish;
pub mod reason;
pub mod remembered;
mod status;
mod time;
mod why;

use core::cell::RefCell;
use core::convert::Infallible;
use core::net::IpAddr;
use core::time::Duration;

use embassy_futures::select::{Either3, select3};
use esp_engine::sa::{ChildSa, SaReport};
use esp_engine::selector::AddressRange;
use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::config::ConfigError;
use ike_core::crypto::Crypto;
use ike_core::discovery::output::Socket;
use ike_core::discovery::sntp::Sntp;
use ike_core::discovery::{Name, UnixTime, proxy, resolver};
use ike_core::endpoint::Endpoint;
use ike_core::error::{AcquireError, CloseReason};
use ike_core::output::{self, ChildEstablished, Output, Phase, SaStatus, Ticket};
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
use crate::config::{Config, MAX_PEERS};
use crate::management::{MAX_LISTED, Reason, Request, Response, Words};
use crate::network::dns::{OWN_SOCKETS, PUBLISHING, TIME};
use crate::queue::{Command, Datagram, Notice, Queues, Report};
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
    let mut directory = Directory::new(asks, (time, bound), &mut memory.resolver, crypto, Shared(&rng)).ok();
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
    let mut control = Control {
        config,
        captor,
        lookups: Vec::new(),
        queues,
        endpoint: Endpoint::new(&for_endpoint, &mut memory.ike, crypto, Shared(&rng))?,
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
#[derive(Copy, Clone)]
struct Shared<'a, R>(&'a RefCell<R>);

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
}

/// A Child SA that stands.
struct Listed {
    is: ChildEstablished,
    since: Instant,
}

/// What is wanted of one peer.
enum Order {
    Start,
    RekeyIkeSa,
    Close,
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
                    return [ike, clients, time, dns, own].into_iter().flatten().min();
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

    /// What an event of the endpoint asks of Network; the board hears of it here.
    fn act(&mut self, now: Instant, event: output::Event) -> Option<Command<C::Cipher>> {
        let news = match event {
            output::Event::Install(child) => return self.install(now, child),
            output::Event::Update(update) => return Some(Command::Update(update)),
            output::Event::Retire(spi) => return Some(Command::Retire(spi)),
            output::Event::Remove(spi) => {
                self.children.retain(|child| child.is.inbound != spi);
                self.sink.report(now, &Event::Removed(spi));
                return Some(Command::Remove(spi));
            }
            output::Event::Established(established) => {
                if Some(established.peer) == self.config.found_peer()
                    && let Some(captor) = &mut self.captor
                {
                    captor.proven(established.path.remote.ip(), established.key.0);
                }
                if let Some(state) = self.peers.get_mut(usize::from(established.peer.0)) {
                    *state = PeerState { reason: state.reason.take(), ..PeerState::new() };
                }
                Event::Established(established)
            }
            output::Event::Rekeyed { old, new } => {
                for child in self.children.iter_mut().filter(|child| child.is.ike == old) {
                    child.is.ike = new.spis;
                }
                Event::Rekeyed { old, new }
            }
            output::Event::ChildEstablished(child) => {
                // A status that lists only the first few is no reason to forget the SA itself.
                let _ = self.children.push(Listed { is: child.clone(), since: now });
                if let Some(captor) = &mut self.captor {
                    captor.established(now, child.policy);
                }
                Event::ChildEstablished(child)
            }
            output::Event::Failed(failed) => {
                if failed.peer == self.config.found_peer()
                    && let Some(captor) = &mut self.captor
                {
                    captor.failed_at(now, failed.path.remote.ip());
                }
                self.note(now, failed.peer, Some(failed.path.remote.ip()), reason::failed(&failed));
                if let Some(peer) = failed.peer {
                    self.call_later(now, peer);
                }
                Event::Failed(failed)
            }
            output::Event::Closed { spis, peer, reason } => {
                self.note(now, Some(peer), None, reason::closed(reason));
                if !matches!(reason, CloseReason::Requested | CloseReason::Replaced) {
                    self.call_later(now, peer);
                }
                Event::Closed { spis, peer, reason }
            }
            output::Event::Lookup { ticket, of } => {
                self.sink.report(now, &Event::Asked(of.clone()));
                self.look_up(now, ticket, &of);
                return None;
            }
            output::Event::Open { remote, until } => {
                self.sink.report(now, &Event::Open(remote));
                return Some(self.let_clear(now, AddressRange::single(remote), until));
            }
            output::Event::NotBegun { peer, policy, to, reason } => {
                if let Some(captor) = &mut self.captor {
                    captor.failed_for(now, policy);
                }
                let peer = peer.or_else(|| self.peer_of_policy(policy));
                self.begun(now, peer, to, Err(reason));
                if let Some(peer) = peer {
                    self.call_later(now, peer);
                }
                return None;
            }
            output::Event::Unrenewed { peer, until } => Event::Unrenewed { peer, until },
            #[cfg(feature = "keylog")]
            output::Event::Keys(keys) => Event::IkeKeys(keys),
            // Which events there are depends on features; what is not named here is for others.
            _ => return None,
        };
        self.sink.report(now, &news);
        None
    }

    fn install(&mut self, now: Instant, child: ChildSa) -> Option<Command<C::Cipher>> {
        #[cfg(feature = "keylog")]
        self.sink.report(now, &Event::ChildKeys(child.clone()));
        let spi = child.inbound;
        if core::mem::take(&mut self.is_unkept) {
            self.endpoint.handle_sa_report(now, SaReport::HardExpired(spi));
            return None;
        }
        match child.build() {
            Ok(built) => Some(Command::Install(built)),
            Err(unusable) => {
                self.sink.report(now, &Event::UnusableKey(spi, unusable.0));
                self.endpoint.handle_sa_report(now, SaReport::HardExpired(spi));
                None
            }
        }
    }

    /// A report of Network; the answer to an operator who waited for the counters.
    fn take(&mut self, report: Report) -> Option<Response> {
        let now = clock::now();
        match report {
            Report::Datagram { path, mut datagram } => {
                let message = Message::of(path, &datagram);
                let event = match (self.endpoint.handle_datagram(now, path, &mut datagram), message) {
                    (Ok(()), Some(message)) => Event::Received(path, message),
                    (Ok(()), None) => return None,
                    (Err(reason), _) => Event::Discarded(path, reason),
                };
                self.sink.report(now, &event);
            }
            Report::Notice(Notice::Acquire { policy, packet }) => {
                self.sink.report(now, &Event::Acquire { policy, packet });
                let begun = self.endpoint.acquire(now, policy, packet);
                self.begun(now, self.peer_of_policy(policy), Some(packet.destination), begun);
            }
            Report::Notice(Notice::Sa(news)) => {
                self.sink.report(now, &Event::Sa(news));
                self.endpoint.handle_sa_report(now, news);
            }
            Report::Notice(Notice::NotInstalled { spi, reason }) => {
                self.sink.report(now, &Event::NotInstalled(spi, reason));
                self.endpoint.handle_sa_report(now, SaReport::HardExpired(spi));
            }
            Report::Dns { socket: TIME, news } => self.take_time(now, news),
            Report::Dns { socket: PUBLISHING, news } => {
                if let Some(publishing) = &mut self.publishing {
                    publishing.take(now, news);
                }
            }
            Report::Dns { socket, news } => match socket.0.checked_sub(OWN_SOCKETS) {
                None => {
                    if let Some(directory) = &mut self.directory {
                        directory.take(now, socket, news);
                    }
                }
                Some(number) => {
                    if let Some(captor) = &mut self.captor {
                        captor.take(now, Socket(number), news);
                    }
                }
            },
            Report::Asked { client, octets } => {
                if let Some(captor) = &mut self.captor {
                    captor.asked(now, client, &octets);
                }
            }
            Report::Gone(connection) => {
                if let Some(captor) = &mut self.captor {
                    captor.gone(now, connection);
                }
            }
            Report::Counted(counters) => {
                self.sink.report(now, &Event::Counted(counters.clone()));
                if core::mem::take(&mut self.status_wanted) {
                    return Some(Response::Status(self.status(now, &counters)));
                }
            }
        }
        None
    }

    /// Carries out an operator's request; `None` when the answer has to wait for Network.
    async fn serve(&mut self, request: Request) -> Option<Response> {
        let now = clock::now();
        let (order, name) = match request {
            Request::Status => {
                self.status_wanted = true;
                self.queues.command(Command::Count).await;
                return None;
            }
            Request::SetClock(time) => {
                let later = || Words::try_from("it is certainly later than that").unwrap_or_default();
                let is_set = self.set_time(now, UnixTime(time));
                return Some(if is_set { Response::Done } else { Response::Refused(later()) });
            }
            Request::Shutdown => {
                self.peers.iter_mut().for_each(|state| state.call = None);
                self.endpoint.shutdown(now);
                return Some(Response::Done);
            }
            Request::Why(subject) => {
                return Some(self.explain(now, &subject).map_or(Response::NoSuchPeer, Response::Why));
            }
            Request::Remembered => return Some(self.all_remembered()),
            Request::Forget(of) => return Some(self.forget(now, &of).await),
            Request::Accept { of, fingerprint } => return Some(self.accept(now, &of, fingerprint).await),
            Request::Start(name) => (Order::Start, name),
            Request::RekeyIkeSa(name) => (Order::RekeyIkeSa, name),
            Request::Close(name) => (Order::Close, name),
        };
        let Some(peer) = self.config.peer_id(&name) else { return Some(Response::NoSuchPeer) };
        let state = self.peers.get_mut(usize::from(peer.0))?;
        Some(match order {
            Order::Start => match self.endpoint.rekey(now, peer) {
                Ok(()) => Response::Done,
                Err(reason) => Response::Refused(reason::not_begun(reason)),
            },
            Order::RekeyIkeSa if !self.endpoint.status().any(|sa| stands(&sa, peer)) => {
                Response::Refused(Words::try_from("no IKE SA with this peer stands").unwrap_or_default())
            }
            Order::RekeyIkeSa => {
                self.endpoint.rekey_ike_sas(now, peer);
                Response::Done
            }
            Order::Close => {
                state.call = None;
                self.endpoint.close(now, peer);
                Response::Done
            }
        })
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

/// Whether both ends are authenticated, and the other one is `peer`.
fn stands(sa: &SaStatus, peer: PeerId) -> bool {
    sa.peer == Some(peer) && sa.phase == Phase::Established
}
