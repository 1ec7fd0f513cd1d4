//! The half that thinks: it owns key management and may compute for seconds.
//!
//! One future: a report of Network, an elapsed time or an operator's request goes into the
//! [`Endpoint`]; what comes out goes down as [`Command`]s, in its order, key schedules built on the
//! way. It remembers the last reason for each peer and calls those again that shall be there at once.

mod call;
pub mod reason;
mod status;

use core::convert::Infallible;
use core::time::Duration;

use embassy_futures::select::{Either3, select3};
use esp_engine::sa::{ChildSa, SaReport};
use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::config::ConfigError;
use ike_core::crypto::Crypto;
use ike_core::endpoint::Endpoint;
use ike_core::error::{AcquireError, CloseReason};
use ike_core::output::{self, ChildEstablished, Output, Phase, SaStatus};
use ike_core::pad::PeerId;
use ike_core::resources::Resources;
use rand_core::TryCryptoRng;

use crate::clock;
use crate::config::pad::Tables;
use crate::config::{Config, MAX_PEERS};
use crate::management::{MAX_LISTED, Reason, Request, Response, Words};
use crate::queue::{Command, Datagram, Notice, Queues, Report};
use crate::report::{Event, Message, Sink};
use crate::role::Board;

/// Runs key management for ever.
///
/// # Errors
/// [`ConfigError`] when key management refuses its configuration at the start: our own key is none, or
/// is pinned for a peer.
pub async fn run<
    C: Crypto,
    R: TryCryptoRng,
    S: Sink,
    const IKE_SAS: usize,
    const HANDSHAKES: usize,
    const CHILD_SAS: usize,
    const BUFFERS: usize,
>(
    board: Board<'_, C, R, S>,
    queues: &Queues<C::Cipher>,
    resources: &mut Resources<C, IKE_SAS, HANDSHAKES, CHILD_SAS, BUFFERS>,
) -> Result<Infallible, ConfigError> {
    let Board { config, crypto, rng, sink, management, seed: _, wakers: _ } = board;
    let tables = Tables::new(config);
    let (pad, policies) = (tables.pad(), tables.policies());
    let for_endpoint = config.for_key_management(&tables, &pad, &policies);
    let mut control = Control {
        config,
        queues,
        endpoint: Endpoint::new(&for_endpoint, resources, crypto, rng)?,
        sink,
        peers: config.peers.iter().map(|_| PeerState::new()).collect(),
        children: Vec::new(),
        status_wanted: false,
    };
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

struct Control<'a, C: Crypto, R, S> {
    config: &'a Config,
    queues: &'a Queues<C::Cipher>,
    endpoint: Endpoint<'a, C, R>,
    sink: S,
    peers: Vec<PeerState, MAX_PEERS>,
    /// Child SAs that stand, as far as they fit; for the status only.
    children: Vec<ChildEstablished, MAX_LISTED>,
    /// An operator waits for the counters of Network.
    status_wanted: bool,
}

/// What is wanted of one peer.
enum Order {
    Why,
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

impl<C: Crypto, R: TryCryptoRng, S: Sink> Control<'_, C, R, S> {
    /// Does everything that the endpoint wants done; returns when it wants to be called.
    async fn drain(&mut self) -> Option<Instant> {
        loop {
            let command = match self.endpoint.poll_output() {
                Output::Timeout(moment) => return moment,
                Output::Transmit { path, datagram } => {
                    let Ok(datagram) = Datagram::from_slice(datagram) else { continue };
                    if let Some(message) = Message::of(path, &datagram) {
                        self.sink.report(clock::now(), &Event::Sent(path, message));
                    }
                    Some(Command::Transmit { path, datagram })
                }
                Output::Event(event) => self.act(clock::now(), event),
            };
            if let Some(command) = command {
                self.queues.command(command).await;
            }
        }
    }

    /// What an event of the endpoint asks of Network; the board hears of it here.
    fn act(&mut self, now: Instant, event: output::Event) -> Option<Command<C::Cipher>> {
        let news = match event {
            output::Event::Install(child) => return self.install(now, child),
            output::Event::Update(update) => return Some(Command::Update(update)),
            output::Event::Retire(spi) => return Some(Command::Retire(spi)),
            output::Event::Remove(spi) => {
                self.children.retain(|child| child.inbound != spi);
                self.sink.report(now, &Event::Removed(spi));
                return Some(Command::Remove(spi));
            }
            output::Event::Established(established) => {
                if let Some(state) = self.peers.get_mut(usize::from(established.peer.0)) {
                    *state = PeerState { reason: state.reason.take(), ..PeerState::new() };
                }
                Event::Established(established)
            }
            output::Event::Rekeyed { old, new } => {
                for child in self.children.iter_mut().filter(|child| child.ike == old) {
                    child.ike = new.spis;
                }
                Event::Rekeyed { old, new }
            }
            output::Event::ChildEstablished(child) => {
                // A status that lists only the first few is no reason to forget the SA itself.
                let _ = self.children.push(child.clone());
                Event::ChildEstablished(child)
            }
            output::Event::Failed(failed) => {
                if let Some(peer) = failed.peer {
                    self.note(now, peer, reason::failed(&failed));
                    self.call_later(now, peer);
                }
                Event::Failed(failed)
            }
            output::Event::Closed { spis, peer, reason } => {
                self.note(now, peer, reason::closed(reason));
                if !matches!(reason, CloseReason::Requested | CloseReason::Replaced) {
                    self.call_later(now, peer);
                }
                Event::Closed { spis, peer, reason }
            }
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
                self.begun(now, self.peer_of_policy(policy), begun);
            }
            Report::Notice(Notice::Sa(news)) => {
                self.sink.report(now, &Event::Sa(news));
                self.endpoint.handle_sa_report(now, news);
            }
            Report::Notice(Notice::NotInstalled { spi, reason }) => {
                self.sink.report(now, &Event::NotInstalled(spi, reason));
                self.endpoint.handle_sa_report(now, SaReport::HardExpired(spi));
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
            Request::Shutdown => {
                self.peers.iter_mut().for_each(|state| state.call = None);
                self.endpoint.shutdown(now);
                return Some(Response::Done);
            }
            Request::Why(name) => (Order::Why, name),
            Request::Start(name) => (Order::Start, name),
            Request::RekeyIkeSa(name) => (Order::RekeyIkeSa, name),
            Request::Close(name) => (Order::Close, name),
        };
        let Some(peer) = self.config.peer_id(&name) else { return Some(Response::NoSuchPeer) };
        let state = self.peers.get_mut(usize::from(peer.0))?;
        Some(match order {
            Order::Why => Response::Why(state.reason.clone()),
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
    fn begun(&mut self, now: Instant, peer: Option<PeerId>, result: Result<(), AcquireError>) {
        let Err(reason) = result else { return };
        if let Some(peer) = peer {
            self.note(now, peer, reason::not_begun(reason));
        }
        self.sink.report(now, &Event::NotStarted { peer, reason });
    }

    fn note(&mut self, now: Instant, peer: PeerId, words: Words) {
        if let Some(state) = self.peers.get_mut(usize::from(peer.0)) {
            state.reason = Some(Reason { at_ms: now.as_millis(), words });
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
