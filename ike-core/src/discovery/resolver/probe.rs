//! Servers tried out before they are needed, one after the other, and again later: whether signatures, DS records
//! of the parent and proofs of absence come, whether datagrams and connections do.
//!
//! ```text
//! Keys ── UDP . DNSKEY ──▶ Connection ── TCP . DNSKEY ──▶ Delegation ── DS ──▶ Denial ── no such name ──▶ next
//! ```
//! Nothing is believed because of it: whoever forges an answer can only have a server asked last. At most eight
//! queries a server; what servers lack is said in their [`super::super::upstream::ServerStatus`].

use core::net::SocketAddr;
use core::time::Duration;

use domain::base::{Message, Rtype};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::lookup::{ASKS, Sent};
use super::super::output::{Discarded, Socket, Transport};
use super::super::query::{self, Query, Received, UDP_SIZE, spell};
use super::super::upstream::{Lack, Lacks, client_cookie};
use super::super::{Name, root};
use super::Resolver;
use super::send::Leaving;
use crate::crypto::Crypto;

/// How long each answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Datagrams with one question.
const TRIES: u8 = 3;
/// How long it takes until servers are tried out again: when one lacks something, and when none does.
const SOON: Duration = Duration::from_secs(900);
const LATER: Duration = Duration::from_secs(6 * 3_600);

/// What servers are asked for beside the keys of the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Examples {
    /// A signed zone, whose DS records are asked for.
    pub signed: Name,
    /// A zone that proves with NSEC3 what does not exist in it.
    pub hashed: Name,
}

impl Examples {
    /// Zones of the Internet that have been so for ten years.
    pub fn internet() -> Option<Self> {
        Some(Self { signed: "arpa".parse().ok()?, hashed: "com".parse().ok()? })
    }
}

/// What is asked now.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Step {
    Keys,
    Connection,
    Delegation,
    Denial,
}

/// A server that is being tried out.
#[derive(Clone, Debug)]
struct Trial {
    server: u8,
    step: Step,
    tries: u8,
    /// The label of a name that does not exist.
    label: [u8; 8],
    sent: Option<Sent>,
    /// The last answer did not fit in a datagram.
    truncated: bool,
    lacks: Lacks,
}

#[derive(Clone, Debug)]
enum State {
    /// Nobody is tried out, and nobody will be.
    Off,
    /// Nobody is until then.
    Resting(Instant),
    Trying(Trial),
}

/// The one trial at a time.
#[derive(Clone, Debug)]
pub(super) struct Probing {
    examples: Option<Examples>,
    state: State,
}

impl Probing {
    pub(super) const fn new() -> Self {
        Self { examples: None, state: State::Off }
    }

    /// When it wants to be called.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match &self.state {
            State::Off => None,
            State::Resting(until) => Some(*until),
            State::Trying(trial) => trial.sent.as_ref().map(|sent| sent.until),
        }
    }

    /// Whether something is waited for on its socket.
    pub(super) const fn is_out(&self) -> bool {
        matches!(&self.state, State::Trying(Trial { sent: Some(_), .. }))
    }

    fn question(&self, trial: &Trial) -> Option<(Name, Rtype)> {
        let examples = self.examples.as_ref();
        Some(match trial.step {
            Step::Keys | Step::Connection => (root(), Rtype::DNSKEY),
            Step::Delegation => (examples?.signed.clone(), Rtype::DS),
            Step::Denial => {
                let zone = examples?.hashed.as_slice();
                let octets =
                    [trial.label.len() as u8].into_iter().chain(trial.label).chain(zone.iter().copied());
                (Name::from_octets(octets.collect()).ok()?, Rtype::A)
            }
        })
    }
}

impl Trial {
    const fn new(server: u8) -> Self {
        Self {
            server,
            step: Step::Keys,
            tries: 0,
            label: [0; 8],
            sent: None,
            truncated: false,
            lacks: Lacks::new(),
        }
    }

    fn is_tcp(&self) -> bool {
        self.step == Step::Connection
            || self.truncated
            || self.lacks.has(Lack::Datagrams)
            || self.lacks.has(Lack::Letters)
    }

    fn next(&mut self, step: Step) {
        (self.step, self.tries, self.sent) = (step, 0, None);
    }

    /// The answer to the present step; whether the trial goes on.
    fn judge(&mut self, answer: &Received<'_>) -> bool {
        let was_tcp = self.is_tcp();
        let was_truncated = core::mem::replace(&mut self.truncated, answer.truncated);
        let is_short = answer.message.as_slice().len() <= UDP_SIZE.into();
        let has = |section, rtype| holds(answer.message, section, rtype);
        let is_understood = matches!(answer.rcode, 0 | 3);
        match self.step {
            Step::Keys if answer.truncated => {}
            Step::Delegation | Step::Denial if answer.truncated && !was_tcp => {
                let again = self.step;
                self.next(again);
                return true;
            }
            Step::Keys | Step::Connection => {
                if was_truncated && is_short {
                    self.lacks.add(Lack::Datagrams);
                }
                match answer.rcode {
                    0 if has(Section::Answer, Rtype::RRSIG) => {}
                    0 | 3 | query::FORMERR | query::NOTIMP | query::BADVERS => {
                        self.lacks.add(Lack::Signatures)
                    }
                    _ => self.lacks.add(Lack::Answers),
                }
            }
            Step::Delegation if is_understood && !has(Section::Answer, Rtype::DS) => {
                self.lacks.add(Lack::Delegations);
            }
            Step::Denial if is_understood => {
                let proves = has(Section::Authority, Rtype::NSEC3) || has(Section::Authority, Rtype::NSEC);
                if !proves || !has(Section::Authority, Rtype::RRSIG) {
                    self.lacks.add(Lack::Denials);
                }
            }
            Step::Delegation | Step::Denial => {}
        }
        self.go_on()
    }

    /// Nothing came, though it was asked for often enough; whether the trial goes on.
    fn give_up(&mut self) -> bool {
        match self.step {
            Step::Keys => self.lacks.add(Lack::Datagrams),
            Step::Connection if self.lacks.has(Lack::Datagrams) => {
                self.lacks = Lacks::new();
                self.lacks.add(Lack::Answers);
            }
            Step::Connection => self.lacks.add(Lack::Connections),
            // It answered before: this says something about the way, or about the zone.
            Step::Delegation | Step::Denial => {}
        }
        self.go_on()
    }

    fn go_on(&mut self) -> bool {
        let next = match self.step {
            Step::Keys => Step::Connection,
            Step::Connection => Step::Delegation,
            Step::Delegation => Step::Denial,
            Step::Denial => return false,
        };
        self.truncated &= next == Step::Connection;
        self.next(next);
        next == Step::Connection || !self.lacks.iter().any(Lack::is_fatal)
    }
}

/// The two sections that matter.
#[derive(Copy, Clone)]
enum Section {
    Answer,
    Authority,
}

fn holds(message: &Message<[u8]>, section: Section, rtype: Rtype) -> bool {
    let records = match section {
        Section::Answer => message.answer(),
        Section::Authority => message.authority(),
    };
    records.is_ok_and(|mut records| records.any(|record| record.is_ok_and(|record| record.rtype() == rtype)))
}

impl<C: Crypto, R: TryCryptoRng> Resolver<'_, C, R> {
    /// Has the servers tried out, now and again and again; without `examples` only for the keys of the root, which
    /// is all that is known of a root that is not the Internet's. Servers that are believed are left out.
    pub fn probe_servers(&mut self, now: Instant, examples: Option<Examples>) {
        self.desk.probing = Probing { examples, state: State::Resting(now) };
    }

    /// Whose number is that of no lookup's.
    pub(super) fn probe_socket(&self) -> Socket {
        Socket((self.lookups.len() * ASKS) as u8)
    }

    /// The next query of the trial, if it is to leave now.
    pub(super) fn next_probe(&mut self) -> Option<Leaving> {
        let socket = self.probe_socket();
        let State::Trying(trial @ Trial { sent: None, .. }) = &mut self.desk.probing.state else {
            return None;
        };
        let [id0, id1, p0, p1, p2, p3, rest @ ..] = self.random.array::<46>().ok()?;
        let server = self.desk.servers.address(trial.server)?;
        let (label, letters) = rest.split_first_chunk::<8>()?;
        trial.label = label.map(|octet| b'a' + octet % 26);
        let letters = *letters.first_chunk()?;
        let id = u16::from_be_bytes([id0, id1]);
        trial.sent = Some(Sent { id, letters, until: self.desk.now + PATIENCE });
        let transport = if trial.is_tcp() { Transport::Tcp } else { Transport::datagram([p0, p1, p2, p3]) };
        self.desk.draft = self.with_probe(|query| query.write())?;
        Some(Leaving { socket, server, transport })
    }

    /// Works on the query that is out.
    fn with_probe<T>(&self, work: impl FnOnce(&Query<'_>) -> T) -> Option<T> {
        let State::Trying(trial) = &self.desk.probing.state else { return None };
        let sent = trial.sent.as_ref()?;
        let (name, rtype) = self.desk.probing.question(trial)?;
        let server = self.desk.servers.address(trial.server)?;
        Some(work(&Query {
            id: sent.id,
            name: &spell(&name, &sent.letters),
            rtype,
            checking_disabled: true,
            client_cookie: client_cookie(&self.crypto, &self.desk.secret, server),
            server_cookie: self.desk.servers.cookie(trial.server),
            datagram: !trial.is_tcp(),
        }))
    }

    /// Something came on the trial's socket, from `from` if it is a datagram.
    pub(super) fn take_probe(&mut self, from: Option<SocketAddr>, octets: &[u8]) -> Result<(), Discarded> {
        let State::Trying(trial) = &self.desk.probing.state else { return Err(Discarded::Unsolicited) };
        let (server, is_tcp) = (trial.server, trial.is_tcp());
        let address = self.desk.servers.address(server);
        if is_tcp != from.is_none() || from.is_some_and(|from| Some(from) != address) {
            return Err(Discarded::Unsolicited);
        }
        let received = self.with_probe(|query| query.read(octets)).unwrap_or(Err(Discarded::Unsolicited));
        let State::Trying(trial) = &mut self.desk.probing.state else { return Err(Discarded::Unsolicited) };
        let goes_on = match &received {
            Ok(answer) => {
                self.desk.servers.answered(server, answer.cookie);
                if answer.rcode == query::BADCOOKIE && trial.tries == 0 {
                    (trial.tries, trial.sent) = (1, None);
                    return Ok(());
                }
                trial.judge(answer)
            }
            Err(Discarded::WrongCase) => {
                trial.lacks.add(Lack::Letters);
                let again = trial.step;
                trial.next(again);
                true
            }
            Err(reason) => return Err(*reason),
        };
        if !goes_on {
            self.conclude();
        }
        received.map(|_| ())
    }

    /// Time has passed, or nothing can come any more on the trial's socket.
    pub(super) fn handle_probe(&mut self, is_over: bool) {
        let now = self.desk.now;
        match &mut self.desk.probing.state {
            State::Resting(until) if *until <= now => self.try_from(0),
            State::Trying(trial) if is_over || trial.sent.as_ref().is_some_and(|sent| sent.until <= now) => {
                trial.sent = None;
                trial.tries += 1;
                let tries = if trial.is_tcp() { 1 } else { TRIES };
                if trial.tries >= tries && !trial.give_up() {
                    self.conclude();
                }
            }
            _ => {}
        }
    }

    /// What is known of a server now stands; the next one follows.
    fn conclude(&mut self) {
        if let State::Trying(trial) = &self.desk.probing.state {
            let (server, lacks) = (trial.server, trial.lacks);
            self.desk.servers.probed(server, lacks);
            self.desk.probed = self.desk.servers.status(self.desk.now).nth(server.into());
            self.try_from(server + 1);
        }
    }

    /// Tries out the next server from this one on.
    fn try_from(&mut self, first: u8) {
        let servers = &self.desk.servers;
        let next = (first..).take_while(|n| servers.address(*n).is_some()).find(|n| !servers.is_believed(*n));
        let good = servers.status(self.desk.now).all(|server| server.lacks.is_none_or(Lacks::is_empty));
        let rest = if good { LATER } else { SOON };
        self.desk.probing.state = match next {
            Some(server) => State::Trying(Trial::new(server)),
            None => State::Resting(self.desk.now + rest),
        };
    }
}
