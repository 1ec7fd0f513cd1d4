//! The side of the servers: what they answer, what becomes of their silence, and our own questions for keys.

use core::net::SocketAddr;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use domain::base::message::Message;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::answer::{self, KeyAnswer};
use super::error::{Discarded, bump};
use super::exchange::{Exchange, Silence};
use super::held::{Held, Stage};
use super::names::{Knowledge, Lookup, State};
use super::reply::Refused;
use super::settings::{Demand, is_private};
use super::{KEY_QUESTIONS, Proxy, question};
use crate::discovery::output::Socket;
use crate::discovery::question::Ticket;
use crate::pad::PeerRecord;

impl<R: TryCryptoRng> Proxy<'_, R> {
    /// A server answers: a datagram, or a message of a stream without its length.
    ///
    /// # Errors
    /// [`Discarded`]: nothing changed, except that the reason was counted.
    pub fn handle_answer(
        &mut self,
        now: Instant,
        socket: Socket,
        server: SocketAddr,
        octets: &[u8],
    ) -> Result<(), Discarded> {
        self.begin(now);
        let number = usize::from(socket.0);
        let result = match number.checked_sub(self.held.len()) {
            None => self.answered(number, server, octets, now),
            Some(number) => self.key_answered(number, server, octets, now),
        };
        if let Err(reason) = result {
            self.desk.counters.count(reason);
        }
        self.go_on(now);
        result
    }

    /// What a resolver says to a [`super::Output::Lookup`]; each ticket is answered once.
    pub fn handle_record(&mut self, now: Instant, ticket: Ticket, record: &PeerRecord) {
        self.begin(now);
        if let Some(entry) = self.names.with_ticket(ticket) {
            entry.learn(now, record, self.settings.max_ttl);
            if let State::Known(Knowledge::Keys(keys, _), until) = &entry.state {
                self.found.extend(now, &entry.name, keys, *until);
            }
        }
        self.go_on(now);
    }

    fn answered(
        &mut self,
        place: usize,
        server: SocketAddr,
        octets: &[u8],
        now: Instant,
    ) -> Result<(), Discarded> {
        let held = self.held.get_mut(place).and_then(Option::as_mut).ok_or(Discarded::Unsolicited)?;
        let Stage::Out(exchange) = &held.stage else { return Err(Discarded::Unsolicited) };
        if !exchange.is_from(server, self.settings.servers) {
            return Err(Discarded::Unsolicited);
        }
        answer::check(octets, exchange.id, &held.asked.name, held.asked.rtype)?;
        self.desk.server = exchange.server;
        if octets.len() > held.octets.capacity() {
            held.refuse(Refused::BadAnswer);
            return Ok(());
        }
        held.octets.clear();
        let _ = held.octets.extend_from_slice(octets);
        self.inspect(now, place);
        Ok(())
    }

    /// Looks at an answer that came: whether it may be released at once.
    fn inspect(&mut self, now: Instant, place: usize) {
        let Some(held) = self.held.get_mut(place).and_then(Option::as_mut) else { return };
        let has_addresses = matches!(held.asked.rtype, Rtype::A | Rtype::AAAA | Rtype::SVCB | Rtype::HTTPS);
        let header = Message::from_slice(&held.octets).map(Message::header).unwrap_or_default();
        if header.tc() {
            // Addresses in it are none to be used, but somebody might.
            return held.truncate();
        }
        if !has_addresses || header.rcode() != Rcode::NOERROR {
            return held.release();
        }
        let Some(seen) = answer::read(&held.octets, &held.asked) else {
            return held.refuse(Refused::BadAnswer);
        };
        let settings = self.settings;
        let is_inside =
            |address| is_private(address) || settings.inside.iter().any(|own| own.contains(address));
        let may_be_inside = || settings.private.iter().any(|names| names.matches(&held.asked.name));
        if seen.addresses.iter().any(|address| is_inside(*address)) && !may_be_inside() {
            bump(&mut self.desk.counters.rebinding);
            return held.refuse(Refused::Rebinding);
        }
        if held.demand == Demand::Nothing || seen.addresses.is_empty() {
            return held.release();
        }
        if let Some(end) = &seen.end {
            self.names.want(now, end);
        }
        bump(&mut self.desk.counters.captured);
        held.stage = Stage::Answered { seen, is_claimed: false };
    }

    fn key_answered(
        &mut self,
        number: usize,
        server: SocketAddr,
        octets: &[u8],
        now: Instant,
    ) -> Result<(), Discarded> {
        let entry = self.names.asking(number).ok_or(Discarded::Unsolicited)?;
        let State::Asking(_, exchange) = &entry.state else { return Err(Discarded::Unsolicited) };
        if !exchange.is_from(server, self.settings.servers) {
            return Err(Discarded::Unsolicited);
        }
        answer::check(octets, exchange.id, &entry.name, Rtype::IPSECKEY)?;
        match answer::read_key(octets) {
            KeyAnswer::Some => entry.state = State::Validating(Lookup::Due),
            KeyAnswer::None(seconds) => entry.is_absent(now, seconds),
            KeyAnswer::Unknown => entry.is_unknown(now),
        }
        Ok(())
    }

    /// Tries other servers where one is silent, and asks for keys as the pace allows.
    pub(super) fn attend_servers(&mut self, now: Instant) {
        let servers = self.settings.servers.len();
        for held in self.held.iter_mut().flatten() {
            let Stage::Out(exchange) = &mut held.stage else { continue };
            match exchange.silence(now) {
                Silence::Wait => {}
                Silence::Retry if exchange.retry(now, servers, &mut self.random).is_ok() => {
                    question::set_id(&mut held.octets, exchange.id);
                    self.desk.server = exchange.server;
                }
                Silence::Retry | Silence::GiveUp => held.refuse(Refused::NoServer),
            }
        }
        for place in 0..self.names.len() {
            self.attend_name(now, place, servers);
        }
    }

    fn attend_name(&mut self, now: Instant, place: usize, servers: usize) {
        let socket = self.names.free_socket(KEY_QUESTIONS);
        let Some(entry) = self.names.get_mut(place) else { return };
        match &mut entry.state {
            State::Asking(_, exchange) => match exchange.silence(now) {
                Silence::Wait => {}
                Silence::Retry if exchange.retry(now, servers, &mut self.random).is_ok() => {}
                Silence::Retry | Silence::GiveUp => entry.is_unknown(now),
            },
            State::Wanted => {
                let Some(socket) = socket else { return };
                if self.desk.paces.take_own(now, self.settings) {
                    match Exchange::begin(now, self.desk.server, false, &mut self.random) {
                        Ok(exchange) => entry.state = State::Asking(socket, exchange),
                        Err(_) => entry.is_unknown(now),
                    }
                }
            }
            State::Validating(_) | State::Known(..) => {}
        }
    }

    /// Keeps one place free for the next question, at the cost of the client that has most: its oldest answer
    /// goes, or its oldest question.
    pub(super) fn make_room(&mut self) {
        let held = || self.held.iter().flatten();
        let count = |client| held().filter(|other| other.client.address() == client).count();
        let rank = |held: &Held| {
            let is_answered = matches!(held.stage, Stage::Answered { .. });
            (core::cmp::Reverse((count(held.client.address()), is_answered)), held.since)
        };
        let places = self.held.iter().enumerate().filter_map(|(n, held)| Some((rank(held.as_ref()?), n)));
        let Some((_, place)) = places.min() else { return };
        self.give_up(place);
    }
}
