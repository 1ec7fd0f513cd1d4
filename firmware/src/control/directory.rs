//! Peers by name: the resolver between key management, which asks, and Network, which carries.

use core::net::{IpAddr, SocketAddr};

use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::crypto::Crypto;
use ike_core::discovery::anchors::{Anchors, MAX_STORED};
use ike_core::discovery::clock::{BeforeBound, Clock};
use ike_core::discovery::outcome::{Outcome, Presence, Security};
use ike_core::discovery::output::{Output, Socket, Transport};
use ike_core::discovery::question::{Question, Ticket};
use ike_core::discovery::resolver::{Config, ConfigError, Examples, Resolver, Resources, TimeRefused};
use ike_core::discovery::stream::Stream;
use ike_core::discovery::upstream::{Server, ServerStatus};
use ike_core::discovery::{Name, Rtype, UnixTime};
use ike_core::pad::{OwnedIdentity, PeerRecord};
use rand_core::TryCryptoRng;

use super::{ANSWERS, LOOKUPS, ZONES};
use crate::config::MAX_PEERS;
use crate::network::dns;
use crate::queue::{Command, DnsReport};

/// Questions of key management that are open at most; those beyond what the resolver looks into at once wait.
const ASKED: usize = MAX_PEERS;

/// Answers that come on connections at once.
const STREAMS: usize = 2;

/// Answers that are remembered for an operator who asks.
const HEARD: usize = MAX_PEERS;

/// No clock of ours is behind this: the first second of the year in which this was written.
const NOT_BEFORE: UnixTime = UnixTime(1_767_225_600);

/// The resolver and what it is asked.
pub(super) struct Directory<'r, C, R> {
    resolver: Resolver<'r, C, R>,
    questions: Questions<'r>,
    streams: Vec<(Socket, Stream), STREAMS>,
}

/// What is asked, and what was answered.
struct Questions<'r> {
    servers: &'r [Server],
    /// Whether fingerprints are asked for where there is no key.
    fingerprints: bool,
    asked: Vec<Asked, ASKED>,
    unfinished: Option<Unfinished>,
    heard: Vec<Heard, HEARD>,
}

/// What becomes of an answer.
#[expect(clippy::large_enum_variant, reason = "there is no heap")]
enum Answered {
    /// Whoever asked is told.
    Tell(PeerRecord),
    /// First this is asked, about the gateway or the fingerprints.
    Ask(Question),
    /// It waits.
    Wait,
}

/// A question of key management.
struct Asked {
    ticket: Ticket,
    question: Question,
    /// The resolver looks into it.
    is_begun: bool,
    /// Its answer is there, and takes a further question that nobody could be asked yet.
    awaits_further: bool,
}

/// An answer that has to wait for another one, about its gateway or its fingerprints. One does at a time: answers are
/// large.
struct Unfinished {
    ticket: Ticket,
    question: Question,
    further: Question,
    outcome: Outcome,
}

/// The last answer to a question.
pub(super) struct Heard {
    question: Question,
    pub(super) security: Security,
    pub(super) presence: Presence,
    /// It is about fingerprints, because it is proven that there is no key.
    pub(super) is_about_fingerprints: bool,
    /// The server that answered last.
    pub(super) server: Option<SocketAddr>,
    pub(super) at: Instant,
    pub(super) expires: Instant,
}

/// What is to be done next.
#[expect(clippy::large_enum_variant, reason = "steps are moved once, straight into what they are for")]
pub(super) enum Step<C> {
    /// Tell Network.
    Command(Command<C>),
    /// Tell key management.
    Answer(Ticket, PeerRecord),
    /// What came of a time that a server said.
    TimeJudged(Result<UnixTime, Security>),
    /// Keep: it is certainly not earlier.
    NotBefore(UnixTime),
    /// Keep: the keys of the root.
    Anchors(Vec<u8, MAX_STORED>),
    /// Tell the board what a server lacks.
    Probed(ServerStatus),
    /// Nothing until this moment.
    Wait(Option<Instant>),
}

impl<'r, C: Crypto, R: TryCryptoRng> Directory<'r, C, R> {
    /// With a time that is believed, if there is one, and what was kept as its bound. `fingerprints`: whether they are
    /// asked for where there is no key.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(super) fn new(
        config: Config<'r>,
        fingerprints: bool,
        (time, bound): (Option<(Instant, UnixTime)>, UnixTime),
        resources: &'r mut Resources<LOOKUPS, ANSWERS, ZONES>,
        crypto: C,
        rng: R,
    ) -> Result<Self, ConfigError> {
        let mut clock = Clock::new(bound.max(NOT_BEFORE));
        if let Some((now, time)) = time {
            // A clock that is behind is none: everything stays undecided then.
            let _ = clock.set(now, time);
        }
        let questions = Questions {
            servers: config.servers,
            fingerprints,
            asked: Vec::new(),
            unfinished: None,
            heard: Vec::new(),
        };
        let resolver = Resolver::new(config, clock, resources, crypto, rng)?;
        Ok(Self { resolver, questions, streams: Vec::new() })
    }

    /// Follows the keys of the root from what was kept of them, and tries the servers out.
    pub(super) fn begin_care(&mut self, now: Instant, kept: Option<&[u8]>, examples: Option<Examples>) {
        self.resolver.follow_root(now, kept);
        self.resolver.probe_servers(now, examples);
    }

    /// A time server says that it is this late.
    ///
    /// # Errors
    /// [`TimeRefused`]: it is not looked into.
    pub(super) fn propose_time(&mut self, now: Instant, time: UnixTime) -> Result<(), TimeRefused> {
        self.resolver.propose_time(now, time)
    }

    /// Somebody who is believed says that it is this late; `false` when it certainly is later.
    pub(super) fn set_time(&mut self, now: Instant, time: UnixTime) -> bool {
        self.resolver.set_time(now, time).map_err(|BeforeBound| ()).is_ok()
    }

    /// What it certainly is not earlier than.
    pub(super) const fn not_before(&self) -> UnixTime {
        self.resolver.not_before()
    }

    /// The time of day, if it is known.
    pub(super) fn time(&self, now: Instant) -> Option<UnixTime> {
        self.resolver.time(now)
    }

    /// What is known of the keys of the root.
    pub(super) const fn anchors(&self) -> &Anchors {
        self.resolver.anchors()
    }

    /// How the servers are.
    pub(super) fn servers(&self) -> impl Iterator<Item = ServerStatus> {
        self.resolver.servers()
    }

    /// Key management asks; the answer at once, if it cannot be asked.
    pub(super) fn ask(&mut self, now: Instant, ticket: Ticket, of: &OwnedIdentity) -> Option<PeerRecord> {
        let unable = || Some(PeerRecord::silence(now));
        let Some(question) = Question::about(&of.view()) else { return unable() };
        if self
            .questions
            .asked
            .push(Asked { ticket, question, is_begun: false, awaits_further: false })
            .is_err()
        {
            return unable();
        }
        self.begin(now);
        None
    }

    /// The capturing resolver asks; `false` when it has to wait.
    pub(super) fn ask_for_key(&mut self, now: Instant, ticket: Ticket, name: &Name) -> bool {
        let question = Question::Records { name: name.clone(), rtype: Rtype::IPSECKEY };
        if self.questions.asked.is_full() || self.resolver.lookup(now, ticket, question.clone()).is_err() {
            return false;
        }
        self.questions.asked.push(Asked { ticket, question, is_begun: true, awaits_further: false }).is_ok()
    }

    /// Has the resolver look into what waits, the oldest first, as far as it has room.
    fn begin(&mut self, now: Instant) {
        let Questions { asked, unfinished, .. } = &mut self.questions;
        let may_go = |asked: &&mut Asked| !asked.is_begun && (!asked.awaits_further || unfinished.is_none());
        for asked in asked.iter_mut().filter(may_go) {
            asked.is_begun = self.resolver.lookup(now, asked.ticket, asked.question.clone()).is_ok();
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.resolver.handle_timeout(now);
    }

    /// Something came on a socket.
    pub(super) fn take(&mut self, now: Instant, socket: Socket, news: DnsReport) {
        match news {
            DnsReport::Datagram { server, octets } => {
                // What does not fit was counted.
                let _ = self.resolver.handle_datagram(now, socket, server, &octets);
            }
            DnsReport::Octets { octets, .. } => self.gather(now, socket, &octets),
            DnsReport::Failed => self.resolver.handle_failure(now, socket),
        }
    }

    fn gather(&mut self, now: Instant, socket: Socket, octets: &[u8]) {
        let place = self.streams.iter().position(|(of, _)| *of == socket);
        let place = place.or_else(|| {
            self.streams.push((socket, Stream::new())).ok()?;
            Some(self.streams.len() - 1)
        });
        let Some((_, stream)) = place.and_then(|place| self.streams.get_mut(place)) else {
            return self.resolver.handle_failure(now, socket);
        };
        match stream.push(octets) {
            Ok(None) => return,
            Ok(Some(message)) => drop(self.resolver.handle_stream(now, socket, message)),
            Err(_) => self.resolver.handle_failure(now, socket),
        }
        self.forget_stream(socket);
    }

    fn forget_stream(&mut self, socket: Socket) {
        self.streams.retain(|(of, _)| *of != socket);
    }

    /// What DNS said last of the keys of this name.
    pub(super) fn heard_of_name(&self, name: &str) -> Option<&Heard> {
        let asked: Name = name.parse().ok()?;
        self.questions.heard.iter().find(|heard| match &heard.question {
            Question::Peer(name) | Question::Records { name, .. } => *name == asked,
            Question::Reverse(_) => false,
        })
    }

    /// What DNS said last of the keys of this address in the reverse tree.
    pub(super) fn heard_of_address(&self, address: IpAddr) -> Option<&Heard> {
        self.questions.heard.iter().find(|heard| heard.question == Question::Reverse(address))
    }

    /// What the resolver wants done.
    pub(super) fn step<K>(&mut self, now: Instant) -> Step<K> {
        loop {
            return match self.resolver.poll_output() {
                Output::Answer { ticket, outcome } => {
                    let record = match self.questions.answered(now, ticket, outcome) {
                        Answered::Tell(record) => Some(record),
                        Answered::Ask(further)
                            if self.resolver.lookup(now, ticket, further.clone()).is_ok() =>
                        {
                            None
                        }
                        Answered::Ask(_) => self.questions.give_up(now),
                        Answered::Wait => None,
                    };
                    self.begin(now);
                    match record {
                        Some(record) => Step::Answer(ticket, record),
                        None => continue,
                    }
                }
                Output::Query { socket, server, transport, octets } => {
                    let octets = Vec::from_slice(octets).unwrap_or_default();
                    if matches!(transport, Transport::Tcp) {
                        self.forget_stream(socket);
                    }
                    Step::Command(Command::Query {
                        socket,
                        question: dns::Question { server, transport, octets },
                    })
                }
                Output::Close { socket } => {
                    self.forget_stream(socket);
                    Step::Command(Command::CloseQuery(socket))
                }
                Output::Proposed(result) => Step::TimeJudged(result),
                Output::NotBefore(time) => Step::NotBefore(time),
                Output::Anchors(anchors) => Step::Anchors(anchors.stored()),
                Output::Probed(server) => Step::Probed(server),
                Output::Timeout(moment) => Step::Wait(moment),
            };
        }
    }
}

impl Questions<'_> {
    fn answered(&mut self, now: Instant, ticket: Ticket, outcome: &Outcome) -> Answered {
        if let Some(waiting) = self.unfinished.take_if(|waiting| waiting.ticket == ticket) {
            return Answered::Tell(self.finished(now, &waiting, outcome));
        }
        let Some(place) = self.asked.iter().position(|asked| asked.ticket == ticket) else {
            return Answered::Wait;
        };
        let Asked { question, .. } = self.asked.remove(place);
        self.remember(now, &question, outcome, outcome.presence);
        let gateway = || outcome.further(&question);
        let fingerprints = || outcome.fingerprints_at(&question).filter(|_| self.fingerprints);
        match (gateway().or_else(fingerprints), &self.unfinished) {
            (None, _) => Answered::Tell(outcome.peer_record(&question)),
            (Some(_), Some(_)) => {
                // Its own place is free.
                let _ = self.asked.push(Asked { ticket, question, is_begun: false, awaits_further: true });
                Answered::Wait
            }
            (Some(further), None) => {
                let outcome = outcome.clone();
                self.unfinished = Some(Unfinished { ticket, question, further: further.clone(), outcome });
                Answered::Ask(further)
            }
        }
    }

    /// What there is to say with the answer to the further question. What was heard of fingerprints is heard of the peer.
    fn finished(&mut self, now: Instant, waiting: &Unfinished, answer: &Outcome) -> PeerRecord {
        let Unfinished { question, further, outcome: of_peer, .. } = waiting;
        if !further.is_about_fingerprints() {
            self.remember(now, further, answer, answer.presence);
            return of_peer.peer_record_through(question, further, answer);
        }
        let record = of_peer.peer_record_by(answer);
        self.remember(now, question, answer, record.presence);
        if let Some(heard) = self.heard.last_mut() {
            heard.is_about_fingerprints = true;
        }
        record
    }

    /// What there is to say without room for the further question: the peer is known without its gateway, and where its
    /// fingerprints are not known nobody knows whether it has a key.
    fn give_up(&mut self, now: Instant) -> Option<PeerRecord> {
        let Unfinished { question, further, outcome, .. } = self.unfinished.take()?;
        Some(match further.is_about_fingerprints() {
            true => PeerRecord::silence(now),
            false => outcome.peer_record(&question),
        })
    }

    /// In the place of the last answer to the same question, or of the oldest one.
    fn remember(&mut self, now: Instant, question: &Question, outcome: &Outcome, presence: Presence) {
        let server = outcome.server.and_then(|place| self.servers.get(usize::from(place)));
        let heard = Heard {
            question: question.clone(),
            security: outcome.security,
            presence,
            is_about_fingerprints: false,
            server: server.map(|server| server.address),
            at: now,
            expires: outcome.expires,
        };
        if let Some(place) = self.heard.iter().position(|old| old.question == heard.question) {
            self.heard.remove(place);
        } else if self.heard.is_full() {
            self.heard.remove(0);
        }
        // There is room now.
        let _ = self.heard.push(heard);
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
