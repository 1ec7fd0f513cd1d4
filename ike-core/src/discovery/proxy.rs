//! The capturing resolver: it stands between clients and a resolver, and for the names that an operator
//! lists it sees to it that the addresses in an answer are protected before a client knows them.
//!
//! ```text
//! client ──A──▶ proxy ──A──────────────▶ server       unchanged, side by side with
//!                 └─────IPSECKEY───────▶ server       one question for the key of the name
//!                 ◀──── both answers ────
//!          no key: released at once      a key: Lookup (it is validated), Found (an entry is made), then released
//! ```
//! Nobody but the attached networks is answered. Answers are released as they came, but for TTLs, so clients
//! can validate them. A name with a key that is found this way only raises protection: `found` says how far.
//! The longest that an answer is held is [`settings::MAX_HOLD`]; A, AAAA, SVCB and HTTPS share what is known
//! about a name, so that none of them goes ahead of the others.
//!
//! | module | what |
//! |---|---|
//! | [`settings`] | what an operator decides |
//! | `question`, `reply`, `special` | what clients ask, and what we answer ourselves |
//! | `answer` | what servers answer |
//! | `held`, `release` | questions on their way, and what becomes of their answers |
//! | `names`, `servers` | what is known about keys, and how it is asked for |
//! | `found` | addresses and the keys that go with them |
//! | `pace`, `exchange` | limits; IDs, ports, retries |

mod answer;
mod error;
mod exchange;
mod found;
mod held;
mod names;
mod output;
mod pace;
mod question;
mod release;
mod reply;
mod resources;
mod servers;
pub mod settings;
mod special;
#[cfg(test)]
mod tests;

use core::net::IpAddr;

use domain::base::Rtype;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use self::error::bump;
use self::exchange::Exchange;
use self::found::Entries;
use self::held::{Held, Stage};
use self::names::Names;
use self::pace::Paces;
use self::question::{Asked, Fault};
use self::reply::Own;
use self::settings::{Demand, Settings};
use crate::random::Random;

pub use self::error::{Counters, Discarded};
pub use self::found::{Found, Progress};
pub use self::held::Client;
pub use self::output::Output;
pub use self::reply::Refused;
pub use self::resources::Resources;

/// Octets of the longest answer that is passed on.
pub const MESSAGE: usize = crate::resources::LONGEST;

/// Questions for keys that are out at once.
pub const KEY_QUESTIONS: usize = 4;

/// The proxy; all it remembers is in [`Resources`].
#[derive(Debug)]
pub struct Proxy<'r, R> {
    settings: &'r Settings<'r>,
    random: Random<R>,
    held: &'r mut [Option<Held>],
    names: Names<'r>,
    found: Entries<'r>,
    desk: Desk,
}

#[derive(Debug)]
struct Desk {
    paces: Paces,
    counters: Counters,
    /// An answer of ours that waits for its turn.
    reply: Option<(Client, Own)>,
    /// The question for a key that is being sent.
    question: Own,
    /// What was handed out last.
    sent: Sent,
    /// Sockets that were used and not closed since, a bit each.
    open: u64,
    /// The server that answered last.
    server: usize,
    tickets: u32,
    now: Instant,
}

/// An answer whose place is free again once its reader has done with it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Sent {
    Nothing,
    /// That of the question at this place.
    Held(usize),
    /// One of ours.
    Own,
}

impl<'r, R: TryCryptoRng> Proxy<'r, R> {
    /// A proxy that lives in `resources`, whatever lay there before.
    pub fn new<const HELD: usize, const NAMES: usize, const FOUND: usize>(
        settings: &'r Settings<'r>,
        resources: &'r mut Resources<HELD, NAMES, FOUND>,
        rng: R,
    ) -> Self {
        resources.clear();
        let desk = Desk {
            paces: Paces::new(),
            counters: Counters::new(),
            reply: None,
            question: Own::new(),
            sent: Sent::Nothing,
            open: 0,
            server: 0,
            tickets: 0,
            now: Instant::ZERO,
        };
        Self {
            settings,
            random: Random::new(rng),
            held: &mut resources.held,
            names: Names::new(&mut resources.names),
            found: Entries::new(&mut resources.found),
            desk,
        }
    }

    /// How many sockets it uses at once.
    pub fn sockets(&self) -> usize {
        self.held.len() + KEY_QUESTIONS
    }

    /// A client asks: a datagram, or a message of a stream without its length.
    ///
    /// # Errors
    /// [`Discarded`]: nothing changed, except that the reason was counted.
    pub fn handle_query(&mut self, now: Instant, client: Client, octets: &[u8]) -> Result<(), Discarded> {
        self.begin(now);
        let result = self.take(now, client, octets);
        if let Err(reason) = result {
            self.desk.counters.count(reason);
        }
        self.go_on(now);
        result
    }

    /// What became of an entry that [`Output::Found`] showed.
    pub fn handle_progress(&mut self, now: Instant, address: IpAddr, progress: Progress) {
        self.begin(now);
        self.found.progress(now, address, progress);
        self.go_on(now);
    }

    /// A stream of a client has ended.
    pub fn handle_closed(&mut self, now: Instant, connection: u16) {
        self.begin(now);
        for place in self.held.iter_mut() {
            let is_its =
                |held: &Held| matches!(held.client, Client::Stream { connection: c, .. } if c == connection);
            if place.as_ref().is_some_and(is_its) {
                *place = None;
            }
        }
        self.go_on(now);
    }

    /// Time has passed. Earlier than [`Output::Timeout`] said it is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.begin(now);
        self.go_on(now);
    }

    /// What happened how often.
    pub const fn counters(&self) -> &Counters {
        &self.desk.counters
    }

    /// Each entry that was found.
    pub fn found(&self) -> impl Iterator<Item = &Found> {
        self.found.iter()
    }

    fn begin(&mut self, now: Instant) {
        self.desk.now = self.desk.now.max(now);
        self.free_sent();
    }

    /// What follows from any input.
    fn go_on(&mut self, now: Instant) {
        self.found.handle_timeout(now);
        while let Some(name) = self.found.next_renewal(now) {
            self.names.renew(name);
        }
        self.attend_servers(now);
        self.attend_answers(now);
    }

    fn take(&mut self, now: Instant, client: Client, octets: &[u8]) -> Result<(), Discarded> {
        if !self.settings.serves(client.address()) {
            return Err(Discarded::NotClient);
        }
        if !self.desk.paces.admits(now, client.address(), self.settings) {
            return Err(Discarded::TooMany);
        }
        let asked = match question::read(octets) {
            Ok(asked) => asked,
            Err(Fault::Drop(reason)) => return Err(reason),
            Err(Fault::Answer(why)) => {
                self.answer(client, reply::refusal(octets, None, why));
                return Ok(());
            }
        };
        if !asked.is_served {
            self.answer(client, reply::refusal(octets, Some(&asked), Refused::NotServed));
        } else if let Some(what) = special::find(&asked.name, asked.rtype) {
            bump(&mut self.desk.counters.special);
            self.answer(client, reply::special(octets, &asked, what));
        } else {
            self.pass_on(now, client, octets, asked)?;
        }
        Ok(())
    }

    fn answer(&mut self, client: Client, octets: Own) {
        bump(&mut self.desk.counters.refused);
        self.desk.reply = Some((client, octets));
    }

    fn pass_on(
        &mut self,
        now: Instant,
        client: Client,
        octets: &[u8],
        asked: Asked,
    ) -> Result<(), Discarded> {
        let id = question::id(octets);
        if self.held.iter().flatten().any(|held| held.is_repeated_by(&client, id, &asked)) {
            return Ok(());
        }
        let mut copy = heapless::Vec::from_slice(octets).map_err(|_| Discarded::Malformed)?;
        let place = self.held.iter_mut().find(|place| place.is_none()).ok_or(Discarded::TooMany)?;
        let exchange = Exchange::begin(now, self.desk.server, client.is_stream(), &mut self.random)?;
        question::prepare(&mut copy, &asked, exchange.id);
        let has_addresses = matches!(asked.rtype, Rtype::A | Rtype::AAAA | Rtype::SVCB | Rtype::HTTPS);
        let demand = if has_addresses { self.settings.demand(&asked.name) } else { Demand::Nothing };
        if demand != Demand::Nothing {
            self.names.want(now, &asked.name);
        }
        let stage = Stage::Out(exchange);
        *place = Some(Held { client, id, asked, demand, since: now, octets: copy, stage });
        bump(&mut self.desk.counters.passed_on);
        if self.held.iter().all(Option::is_some) {
            self.make_room();
        }
        Ok(())
    }
}
