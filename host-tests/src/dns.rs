//! A resolver and its servers in virtual time. [`Tree`] is what there is to know: zones signed here, from the
//! root down. [`World`] carries queries to servers, which may answer truly, late, wrongly or not at all, and
//! keeps what was asked.

use std::net::SocketAddr;
use std::rc::Rc;

use domain::base::iana::Rcode;
use domain::base::message_builder::MessageBuilder;
use domain::base::name::ToName;
use domain::base::{Message, Rtype, StaticCompressor};
use esp_engine::time::Instant;
use ike_core::crypto::software::Software;
use ike_core::discovery::UnixTime;
use ike_core::discovery::clock::Clock;
use ike_core::discovery::dnssec::Ds;
use ike_core::discovery::outcome::{Outcome, Security};
use ike_core::discovery::output::{Discarded, Output, Socket, Transport};
use ike_core::discovery::question::{Question, Ticket};
use ike_core::discovery::resolver::{Config, Resolver, Resources};
use ike_core::discovery::upstream;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::parties::leak_all;
use crate::signed_zone::{DnsName, NOW, Rr, name, owned};

pub mod measured;
pub mod root;
mod tree;

pub use tree::{Reply, Signing, Tree};

/// Room for two lookups.
pub type Room = Resources<2, 4, 6>;

/// The resolver under test.
pub type Tested = Resolver<'static, Software, ChaCha20Rng>;

/// A query as it reached a server.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When.
    pub at: Instant,
    /// By which socket.
    pub socket: Socket,
    /// Whom.
    pub server: SocketAddr,
    /// How.
    pub transport: Transport,
    /// What.
    pub octets: Vec<u8>,
}

/// What comes back, and how many milliseconds later.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Milliseconds after the query.
    pub after: u64,
    /// Who seems to send it.
    pub from: SocketAddr,
    /// The message; nothing for a connection that breaks.
    pub octets: Option<Vec<u8>>,
}

/// What a server does with a query.
pub type Server = Box<dyn FnMut(&Asked) -> Vec<Arrival>>;

impl Asked {
    /// The message.
    pub fn message(&self) -> &Message<[u8]> {
        Message::from_slice(&self.octets).expect("a message")
    }

    /// The name that is asked for, in its letters.
    pub fn name(&self) -> DnsName {
        self.message().sole_question().expect("a question").qname().to_name()
    }

    /// The type.
    pub fn rtype(&self) -> Rtype {
        self.message().sole_question().expect("a question").qtype()
    }

    /// Both, for a list of what was asked.
    pub fn words(&self) -> String {
        format!("{} {}", self.name().fmt_with_dot().to_string().to_lowercase(), self.rtype())
    }

    /// Whether it is a datagram.
    pub fn is_datagram(&self) -> bool {
        matches!(self.transport, Transport::Udp { .. })
    }

    /// This message, after the usual while.
    pub fn answered(&self, octets: Vec<u8>) -> Vec<Arrival> {
        vec![Arrival { after: 10, from: self.server, octets: Some(octets) }]
    }

    /// An answer with these sections.
    pub fn reply(&self, reply: &Reply) -> Vec<u8> {
        self.reply_with(reply, &[])
    }

    /// The same with these options in its OPT record.
    pub fn reply_with(&self, reply: &Reply, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).expect("room");
        let mut answer = builder.start_answer(self.message(), reply.rcode).expect("room");
        answer.header_mut().set_ra(true);
        reply.answer.iter().for_each(|record| answer.push(record).expect("room"));
        let mut authority = answer.authority();
        reply.authority.iter().for_each(|record| authority.push(record).expect("room"));
        let mut additional = authority.additional();
        reply.additional.iter().for_each(|record| additional.push(record).expect("room"));
        let opt = additional.opt(|opt| {
            opt.set_udp_payload_size(1232);
            opt.set_dnssec_ok(true);
            for (code, data) in options {
                let length = data.len() as u16;
                opt.push_raw_option((*code).into(), length, |target| {
                    use domain::dep::octseq::OctetsBuilder;
                    target.append_slice(data)
                })?;
            }
            Ok(())
        });
        opt.expect("room");
        additional.finish().into_target()
    }

    /// That there is more than a datagram holds.
    pub fn truncated(&self) -> Vec<u8> {
        let mut octets = self.reply(&Reply::empty(Rcode::NOERROR));
        octets[2] |= 0x02;
        octets
    }
}

/// A server that answers by the tree; over UDP as far as the client takes it.
pub fn honest(tree: &Rc<Tree>) -> Server {
    let tree = Rc::clone(tree);
    Box::new(move |asked| {
        let octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
        asked.answered(if asked.is_datagram() && octets.len() > 1232 { asked.truncated() } else { octets })
    })
}

/// A server that says nothing.
pub fn silent() -> Server {
    Box::new(|_| Vec::new())
}

/// A resolver, its servers, and the time.
pub struct World {
    /// It.
    pub resolver: Tested,
    /// The servers, in the order of its configuration.
    pub servers: Vec<Server>,
    /// Now.
    pub now: Instant,
    /// Everything that was asked.
    pub asked: Vec<Asked>,
    /// Why messages were dropped.
    pub discarded: Vec<Discarded>,
    /// What came of times that were proposed.
    pub proposed: Vec<Result<u64, Security>>,
    /// What it had kept as the lower bound of the time.
    pub not_before: Option<UnixTime>,
    /// What it had kept of the root's keys, and when.
    pub stored: Vec<(Instant, Vec<u8>)>,
    addresses: &'static [upstream::Server],
    under_way: Vec<(Instant, Asked, Arrival)>,
    answers: Vec<(Ticket, Outcome)>,
    tickets: u32,
}

impl World {
    /// With these servers and the keys of this root, at [`NOW`].
    pub fn new(servers: Vec<Server>, anchors: Vec<Ds>) -> Self {
        let mut clock = Clock::new(UnixTime(0));
        clock.set(Instant::ZERO, NOW).expect("later than 1970");
        Self::with_clock(servers, anchors, clock)
    }

    /// With this clock.
    pub fn with_clock(servers: Vec<Server>, anchors: Vec<Ds>, clock: Clock) -> Self {
        let address = |n: usize| SocketAddr::from(([192, 0, 2, 53 + n as u8], 53));
        let addresses = leak_all((0..servers.len()).map(|n| address(n).into()).collect());
        let config = Config { servers: addresses, anchors: leak_all(anchors) };
        Self::with_config(servers, config, clock)
    }

    /// With this configuration.
    pub fn with_config(servers: Vec<Server>, config: Config<'static>, clock: Clock) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(1);
        let resolver =
            Resolver::new(config, clock, Box::leak(Box::new(Room::new())), Software, rng).expect("it works");
        Self {
            resolver,
            servers,
            now: Instant::ZERO,
            asked: Vec::new(),
            discarded: Vec::new(),
            proposed: Vec::new(),
            not_before: None,
            stored: Vec::new(),
            addresses: config.servers,
            under_way: Vec::new(),
            answers: Vec::new(),
            tickets: 0,
        }
    }

    /// Asks, and lets time pass until the answer is there.
    pub fn ask(&mut self, question: Question) -> Outcome {
        let ticket = self.begin(question);
        self.wait_for(ticket)
    }

    /// The keys and addresses of a peer.
    pub fn peer(&mut self, peer: &str) -> Outcome {
        self.ask(Question::Peer(owned(peer)))
    }

    /// Records of a type.
    pub fn records(&mut self, name: &str, rtype: Rtype) -> Outcome {
        self.ask(Question::Records { name: owned(name), rtype })
    }

    /// Asks.
    pub fn begin(&mut self, question: Question) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.resolver.lookup(self.now, ticket, question).expect("there is room");
        self.drain();
        ticket
    }

    /// Lets time pass until the answer is there.
    pub fn wait_for(&mut self, ticket: Ticket) -> Outcome {
        loop {
            if let Some(at) = self.answers.iter().position(|(other, _)| *other == ticket) {
                return self.answers.swap_remove(at).1;
            }
            assert!(self.step(), "nothing is going to happen, and {ticket:?} has no answer");
        }
    }

    /// Lets time pass until nothing happens any more.
    pub fn rest(&mut self) {
        while self.step() {}
    }

    /// Lets time pass until this moment.
    pub fn pass_until(&mut self, end: Instant) {
        while self.alarm().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// When something happens next.
    pub fn alarm(&mut self) -> Option<Instant> {
        let alarm = self.drain();
        self.under_way.iter().map(|(at, ..)| *at).chain(alarm).min()
    }

    /// The next thing that happens; `false` when there is none.
    fn step(&mut self) -> bool {
        let alarm = self.drain();
        let next = (0..self.under_way.len()).min_by_key(|n| self.under_way[*n].0);
        match (next, alarm) {
            (Some(next), alarm) if alarm.is_none_or(|alarm| self.under_way[next].0 <= alarm) => {
                let (at, asked, arrival) = self.under_way.remove(next);
                self.now = at.max(self.now);
                self.arrive(&asked, arrival);
            }
            (_, Some(alarm)) => {
                self.now = alarm.max(self.now);
                self.resolver.handle_timeout(self.now);
            }
            _ => return false,
        }
        self.drain();
        true
    }

    fn arrive(&mut self, asked: &Asked, arrival: Arrival) {
        let done = match (arrival.octets, asked.is_datagram()) {
            (None, _) => {
                self.resolver.handle_failure(self.now, asked.socket);
                Ok(())
            }
            (Some(octets), true) => {
                self.resolver.handle_datagram(self.now, asked.socket, arrival.from, &octets)
            }
            (Some(octets), false) => self.resolver.handle_stream(self.now, asked.socket, &octets),
        };
        self.discarded.extend(done.err());
    }

    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.resolver.poll_output() {
                Output::Query { socket, server, transport, octets } => {
                    self.under_way.retain(|(_, asked, _)| asked.socket != socket);
                    let asked = Asked { at: self.now, socket, server, transport, octets: octets.to_vec() };
                    let number = self.addresses.iter().position(|it| it.address == server).expect("a server");
                    for arrival in (self.servers[number])(&asked) {
                        let at = self.now + std::time::Duration::from_millis(arrival.after);
                        self.under_way.push((at, asked.clone(), arrival));
                    }
                    self.asked.push(asked);
                }
                Output::Close { socket } => self.under_way.retain(|(_, asked, _)| asked.socket != socket),
                Output::Answer { ticket, outcome } => self.answers.push((ticket, outcome.clone())),
                Output::Proposed(result) => self.proposed.push(result.map(|time| time.0)),
                Output::NotBefore(bound) => self.not_before = Some(bound),
                Output::Anchors(anchors) => self.stored.push((self.now, anchors.stored().to_vec())),
                Output::Probed(_) => {}
                Output::Timeout(alarm) => return alarm,
            }
        }
    }

    /// What was asked since the last call, as words.
    pub fn questions(&mut self) -> Vec<String> {
        self.asked.drain(..).map(|asked| asked.words()).collect()
    }
}

/// A record from its text.
pub fn record(text: &str) -> Rr {
    crate::signed_zone::records(text).remove(0)
}

/// The name as the zones have it.
pub fn dns_name(text: &str) -> DnsName {
    name(text)
}
