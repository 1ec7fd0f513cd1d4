//! Messages from servers: matched to the query that is out on their socket, or dropped (RFC 5452 §9).

use core::net::SocketAddr;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::lookup::{ASKS, Ask, Lookup, Means};
use super::super::output::{Discarded, Socket};
use super::super::query::{Query, Received, spell};
use super::super::upstream::client_cookie;
use super::Resolver;
use crate::crypto::Crypto;

impl<C: Crypto, R: TryCryptoRng> Resolver<'_, C, R> {
    /// A datagram came on a socket, from `server`. It was not put together from fragments: whoever forges
    /// the second one need not guess what the first one holds.
    ///
    /// # Errors
    /// [`Discarded`]: nothing changed, but that the reason was counted, and that suspicion may lead to a
    /// connection.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: Socket,
        server: SocketAddr,
        octets: &[u8],
    ) -> Result<(), Discarded> {
        self.handle_message(now, socket, Some(server), octets)
    }

    /// A whole message came on a connection, without its length in front; see
    /// [`super::super::stream::Stream`].
    ///
    /// # Errors
    /// [`Discarded`]: as with a datagram.
    pub fn handle_stream(&mut self, now: Instant, socket: Socket, octets: &[u8]) -> Result<(), Discarded> {
        self.handle_message(now, socket, None, octets)
    }

    /// A socket could not be opened, a connection did not come about or ended too early, or what came on it
    /// is too long.
    pub fn handle_failure(&mut self, now: Instant, socket: Socket) {
        self.desk.now = now;
        if socket == self.probe_socket() {
            return self.handle_probe(true);
        }
        let (slot, place) = position(socket);
        self.with_lookup(slot, |lookup, means, _| lookup.handle_silence(place, means));
        self.sweep();
    }

    #[inline(never)]
    fn handle_message(
        &mut self,
        now: Instant,
        socket: Socket,
        server: Option<SocketAddr>,
        octets: &[u8],
    ) -> Result<(), Discarded> {
        self.desk.now = now;
        let (slot, place) = position(socket);
        let done = if socket == self.probe_socket() {
            self.take_probe(server, octets)
        } else {
            self.with_lookup(slot, |lookup, means, secret| {
                receive(lookup, place, server, octets, means, secret)
            })
            .unwrap_or(Err(Discarded::Unsolicited))
        };
        self.sweep();
        match done {
            Ok(()) => self.desk.counters.answers = self.desk.counters.answers.saturating_add(1),
            Err(reason) => self.desk.counters.discard(reason),
        }
        done
    }
}

/// The lookup and the query of it that a socket is for.
fn position(socket: Socket) -> (usize, usize) {
    let number = usize::from(socket.0);
    (number / ASKS, number % ASKS)
}

fn receive<C: Crypto>(
    lookup: &mut Lookup,
    place: usize,
    server: Option<SocketAddr>,
    octets: &[u8],
    means: &mut Means<'_, '_, C>,
    secret: &[u8; 16],
) -> Result<(), Discarded> {
    let ask = lookup.asks.get(place).and_then(Option::as_ref).ok_or(Discarded::Unsolicited)?;
    let sent = ask.sent.as_ref().ok_or(Discarded::Unsolicited)?;
    let address = means.servers.address(ask.server).ok_or(Discarded::Unsolicited)?;
    if ask.is_tcp() != server.is_none() || server.is_some_and(|server| server != address) {
        return Err(Discarded::Unsolicited);
    }
    let query = Query {
        id: sent.id,
        name: &[],
        rtype: ask.rtype,
        checking_disabled: lookup.checks_itself(),
        client_cookie: client_cookie(means.crypto, secret, address),
        server_cookie: means.servers.cookie(ask.server),
        datagram: server.is_some(),
    };
    let (number, lost) = (ask.server, ask.lost);
    let received = read(query, &sent.letters, lookup, ask, octets);
    let received = received.inspect_err(|reason| lookup.handle_stray(place, *reason))?;
    if received.cookie.is_none() {
        means.servers.forget_cookie(number);
    }
    means.servers.answered(number, received.cookie);
    lookup.outcome.server = Some(number);
    if server.is_none() && lost {
        means.servers.lossy(number, means.now);
    }
    lookup.handle_answer(place, &received, means);
    Ok(())
}

/// Reads the answer to a query, but for whose name all is known. Not inlined: that is off the stack when the answer is
/// judged.
#[inline(never)]
fn read<'m>(
    query: Query<'_>,
    letters: &[u8; 32],
    lookup: &Lookup,
    ask: &Ask,
    octets: &'m [u8],
) -> Result<Received<'m>, Discarded> {
    Query { name: &spell(&lookup.asked_name(ask), letters), ..query }.read(octets)
}
