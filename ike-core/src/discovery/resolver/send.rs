//! What a resolver says next: answers first, then queries, as fast as servers may be asked.

use core::time::Duration;

use rand_core::TryCryptoRng;

use super::super::lookup::{ASKS, Ask, Sent};
use super::super::outcome::{Indeterminate, Security};
use super::super::output::{Output, Socket, Transport};
use super::super::query::{Query, spell};
use super::super::question::Ticket;
use super::super::upstream::client_cookie;
use super::Resolver;
use crate::crypto::Crypto;

/// Queries a second, all servers together.
const QUERIES_A_SECOND: u16 = 20;

/// A query that goes out now.
pub(super) struct Leaving {
    pub(super) socket: Socket,
    pub(super) server: core::net::SocketAddr,
    pub(super) transport: Transport,
}

impl<C: Crypto, R: TryCryptoRng> Resolver<'_, C, R> {
    /// The next thing to be done; [`Output::Timeout`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output<'_> {
        self.sweep();
        if let Some((place, ticket)) = self.next_told() {
            return match self.answers.get(place) {
                Some(Some(answer)) => Output::Answer { ticket, outcome: &answer.outcome },
                _ => Output::Timeout(self.alarm()),
            };
        }
        if let Some(proposed) = self.desk.proposed.take() {
            return Output::Proposed(proposed);
        }
        if let Some(bound) = self.desk.not_before.take() {
            return Output::NotBefore(bound);
        }
        if let Some(server) = self.desk.probed.take() {
            return Output::Probed(server);
        }
        if self.is_followed() && self.desk.anchors.is_write_due(self.desk.now) {
            return Output::Anchors(&self.desk.anchors);
        }
        if let Some(socket) = self.next_idle() {
            return Output::Close { socket };
        }
        if let Some(Leaving { socket, server, transport }) = self.next_query() {
            return Output::Query { socket, server, transport, octets: &self.desk.draft };
        }
        Output::Timeout(self.alarm())
    }

    /// Somebody who waits for an answer that is there.
    fn next_told(&mut self) -> Option<(usize, Ticket)> {
        let mut answers = self.answers.iter_mut().enumerate();
        answers.find_map(|(place, answer)| Some((place, answer.as_mut()?.tickets.pop()?)))
    }

    /// A socket that is open although nothing is waited for on it.
    fn next_idle(&mut self) -> Option<Socket> {
        let asks = self.lookups.iter().flat_map(|lookup| match lookup {
            Some(lookup) => lookup.asks.each_ref().map(Option::as_ref),
            None => [None; ASKS],
        });
        let out = asks.map(|ask| ask.is_some_and(|ask| !ask.is_unsent()));
        let out = out.chain([self.desk.probing.is_out()]);
        let socket = (0..32_u8).zip(out).find(|(n, out)| !out && self.desk.open >> n & 1 == 1)?.0;
        self.desk.open &= !(1 << socket);
        Some(Socket(socket))
    }

    #[inline(never)]
    fn next_query(&mut self) -> Option<Leaving> {
        for slot in 0..self.lookups.len() {
            self.with_lookup(slot, |lookup, means, _| lookup.reconsider(means));
            for place in 0..ASKS {
                if self.desk.pace.is_spent(self.desk.now, QUERIES_A_SECOND) {
                    return None;
                }
                let leaving = self.send(slot, place);
                if leaving.is_some() {
                    return leaving;
                }
            }
        }
        self.next_probe().inspect(|leaving| self.count(leaving))
    }

    /// A query leaves.
    fn count(&mut self, leaving: &Leaving) {
        self.desk.open |= 1 << leaving.socket.0;
        self.desk.pace.spend(self.desk.now);
        self.desk.counters.queries = self.desk.counters.queries.saturating_add(1);
    }

    /// The query in this place, if it is to be sent and nobody waits for the answer to the same question: to
    /// answer many equal ones at once would be easier to guess (RFC 5452 §9.2, RFC 7873 has no part in it).
    fn send(&mut self, slot: usize, place: usize) -> Option<Leaving> {
        let lookup = self.lookups.get(slot)?.as_ref()?;
        let ask = lookup.asks.get(place)?.as_ref().filter(|ask| ask.is_unsent())?;
        let name = lookup.asked_name(ask);
        let rtype = ask.rtype;
        let equal = |other: &Ask| !other.is_unsent() && other.rtype == rtype;
        let mut others = self
            .lookups
            .iter()
            .flatten()
            .flat_map(|lookup| lookup.asks.iter().flatten().map(move |ask| (lookup, ask)));
        if others.any(|(lookup, ask)| equal(ask) && lookup.asked_name(ask) == name) {
            return None;
        }
        let drawn = self.random.array::<38>();
        let now = self.desk.now;
        self.with_lookup(slot, |lookup, means, secret| {
            if !lookup.spend_query() {
                return None;
            }
            let checking_disabled = lookup.checks_itself();
            let ask = lookup.asks.get_mut(place)?.as_mut()?;
            let Ok([id0, id1, port0, port1, port2, port3, letters @ ..]) = drawn else {
                lookup.end(Security::Indeterminate(Indeterminate::NoRandom));
                return None;
            };
            if !ask.choose(means.servers, now) {
                lookup.fail(place, Security::Indeterminate(Indeterminate::NoAnswer), means);
                return None;
            }
            let server = means.servers.address(ask.server)?;
            let id = u16::from_be_bytes([id0, id1]);
            ask.sent = Some(Sent { id, letters, until: now + ask.patience() });
            let query = Query {
                id,
                name: &spell(&name, &letters),
                rtype,
                checking_disabled,
                client_cookie: client_cookie(means.crypto, secret, server),
                server_cookie: means.servers.cookie(ask.server),
                datagram: !ask.is_tcp(),
            };
            let transport = match ask.is_tcp() {
                true => Transport::Tcp,
                false => Transport::datagram([port0, port1, port2, port3]),
            };
            Some((query.write(), server, transport))
        })?
        .map(|(octets, server, transport)| {
            let socket = Socket((slot * ASKS + place) as u8);
            self.desk.draft = octets;
            Leaving { socket, server, transport }
        })
        .inspect(|leaving| self.count(leaving))
    }

    /// When something is to be done that nobody from outside begins.
    fn alarm(&self) -> Option<esp_engine::time::Instant> {
        let lookups = self.lookups.iter().flatten();
        let waits = lookups.clone().flat_map(|lookup| lookup.asks.iter().flatten());
        let sent = waits.clone().filter_map(|ask| Some(ask.sent.as_ref()?.until));
        let held =
            self.desk.pace.is_spent(self.desk.now, QUERIES_A_SECOND) && waits.clone().any(Ask::is_unsent);
        let pace = held.then(|| self.desk.now + Duration::from_millis(100));
        let own = [self.next_refresh(), self.desk.probing.alarm()].into_iter().flatten();
        lookups.map(|lookup| lookup.deadline).chain(sent).chain(pace).chain(own).min()
    }
}
