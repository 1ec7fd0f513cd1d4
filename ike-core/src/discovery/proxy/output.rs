//! What the proxy wants done, in the order in which it has to happen: entries before the answers that lead
//! clients to them.

use core::net::SocketAddr;
use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::error::bump;
use super::found::Found;
use super::held::{Client, Held, Stage};
use super::names::{Lookup, State};
use super::{Proxy, Sent, reply};
use crate::discovery::Name;
use crate::discovery::output::{Socket, Transport};
use crate::discovery::question::Ticket;

/// How soon a question is tried again that the pace did not allow.
const LATER: Duration = Duration::from_millis(100);

/// Set in every ticket of ours.
const TICKETS: u32 = 1 << 31;

/// The next thing to be done.
#[derive(Debug)]
pub enum Output<'p> {
    /// Send a client its answer.
    Reply {
        /// Whom.
        client: Client,
        /// The message, without length in front.
        octets: &'p [u8],
    },
    /// Ask a server. Whatever the socket was used for before is over.
    Query {
        /// Which of the caller's sockets: below [`Proxy::sockets`].
        socket: Socket,
        /// Whom.
        server: SocketAddr,
        /// How.
        transport: Transport,
        /// The message, without length in front.
        octets: &'p [u8],
    },
    /// Nothing that comes on this socket is wanted any more.
    Close(Socket),
    /// Ask a resolver for the IPSECKEY records of this name; the answer goes to [`Proxy::handle_record`].
    Lookup {
        /// Whose question it is: with the top bit set, so that others can have the rest.
        ticket: Ticket,
        /// The name.
        name: &'p Name,
    },
    /// Protect traffic to this address, or go on with these keys. What comes of it goes to
    /// [`Proxy::handle_progress`].
    Found(&'p Found),
    /// This entry has ended: begin nothing new with its address.
    Forget(&'p Found),
    /// Nothing more until this moment, or until an input.
    Timeout(Option<Instant>),
}

impl<R: TryCryptoRng> Proxy<'_, R> {
    /// The next thing to be done; [`Output::Timeout`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output<'_> {
        self.free_sent();
        if let Some(place) = self.found.next_over() {
            return self.found.get(place).map_or(Output::Timeout(None), Output::Forget);
        }
        if let Some(place) = self.found.take_news() {
            bump(&mut self.desk.counters.found);
            return self.found.get(place).map_or(Output::Timeout(None), Output::Found);
        }
        if let Some(place) = self.names.position(|state| *state == State::Validating(Lookup::Due)) {
            return self.look_up(place);
        }
        if let Some(place) = self.held.iter().position(|held| held.as_ref().is_some_and(Held::is_due)) {
            return self.pass_on_question(place);
        }
        let is_due = |state: &State| matches!(state, State::Asking(_, exchange) if exchange.is_due);
        if let Some(place) = self.names.position(is_due) {
            return self.ask_for_key(place);
        }
        if let Some(socket) = self.next_unused() {
            return Output::Close(socket);
        }
        self.next_reply()
    }

    fn next_reply(&mut self) -> Output<'_> {
        if let Some((client, octets)) = &self.desk.reply {
            self.desk.sent = Sent::Own;
            return Output::Reply { client: *client, octets };
        }
        let mut places = self.held.iter().enumerate();
        let ready = places.find_map(|(place, held)| match held {
            Some(held @ Held { stage: Stage::Ready(refused), .. }) => Some((place, held, *refused)),
            _ => None,
        });
        let Some((place, held, refused)) = ready else { return Output::Timeout(self.alarm()) };
        self.desk.sent = Sent::Held(place);
        let counters = &mut self.desk.counters;
        bump(if refused.is_some() { &mut counters.refused } else { &mut counters.answered });
        Output::Reply { client: held.client, octets: &held.octets }
    }

    /// What was handed out is not needed any more.
    pub(super) fn free_sent(&mut self) {
        match core::mem::replace(&mut self.desk.sent, Sent::Nothing) {
            Sent::Nothing => {}
            Sent::Own => self.desk.reply = None,
            Sent::Held(place) => {
                if let Some(place) = self.held.get_mut(place) {
                    *place = None;
                }
            }
        }
    }

    fn look_up(&mut self, place: usize) -> Output<'_> {
        self.desk.tickets = self.desk.tickets.wrapping_add(1);
        let ticket = Ticket(TICKETS | self.desk.tickets);
        match self.names.get_mut(place) {
            Some(entry) => {
                entry.state = State::Validating(Lookup::Asked(ticket));
                Output::Lookup { ticket, name: &entry.name }
            }
            None => Output::Timeout(None),
        }
    }

    fn pass_on_question(&mut self, place: usize) -> Output<'_> {
        let socket = socket(place);
        match self.held.get_mut(place) {
            Some(Some(Held { stage: Stage::Out(exchange), octets, .. })) => {
                exchange.is_due = false;
                self.desk.open |= 1 << socket.0;
                let transport = exchange.transport;
                match self.settings.servers.get(exchange.server) {
                    Some(server) => Output::Query { socket, server: *server, transport, octets },
                    None => Output::Close(socket),
                }
            }
            _ => Output::Close(socket),
        }
    }

    fn ask_for_key(&mut self, place: usize) -> Output<'_> {
        let first = self.held.len();
        let Some(entry) = self.names.get_mut(place) else { return Output::Timeout(None) };
        let State::Asking(number, exchange) = &mut entry.state else { return Output::Timeout(None) };
        let socket = socket(first + *number);
        exchange.is_due = false;
        self.desk.open |= 1 << socket.0;
        let Some(server) = self.settings.servers.get(exchange.server) else { return Output::Close(socket) };
        let transport = exchange.transport;
        self.desk.question = reply::for_key(&entry.name, exchange.id);
        bump(&mut self.desk.counters.keys_asked);
        Output::Query { socket, server: *server, transport, octets: &self.desk.question }
    }

    /// A socket on which nothing is waited for any more.
    fn next_unused(&mut self) -> Option<Socket> {
        let first = self.held.len();
        let is_used = |number: usize| match self.held.get(number) {
            Some(held) => matches!(held, Some(Held { stage: Stage::Out(_), .. })),
            None => {
                let asks = |state: &State| matches!(state, State::Asking(own, _) if first + own == number);
                self.names.position(asks).is_some()
            }
        };
        let is_open = |number: &usize| self.desk.open & (1 << number) != 0;
        let unused = (0..self.sockets()).filter(is_open).find(|number| !is_used(*number)).map(socket)?;
        self.desk.open &= !(1 << unused.0);
        Some(unused)
    }

    /// When something is to be done that no input asks for.
    fn alarm(&self) -> Option<Instant> {
        let held = self.held.iter().flatten().filter_map(|held| match &held.stage {
            Stage::Out(exchange) => Some(exchange.alarm()),
            Stage::Answered { .. } => Some(self.deadline(held)),
            Stage::Ready(_) => None,
        });
        let names = self.names.states().filter_map(|state| match state {
            State::Asking(_, exchange) => Some(exchange.alarm()),
            State::Wanted => Some(self.desk.now + LATER),
            State::Validating(_) | State::Known(..) => None,
        });
        held.chain(names).chain(self.found.alarm()).min()
    }
}

/// `Resources` has fewer than 64 of them.
fn socket(number: usize) -> Socket {
    Socket(u8::try_from(number).unwrap_or(u8::MAX))
}
