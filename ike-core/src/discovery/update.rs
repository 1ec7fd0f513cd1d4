//! Publishing our own name: its addresses and keys go into its zone by dynamic update (RFC 2136), signed with
//! a secret that we share with the zone's primary server (TSIG, RFC 8945).
//!
//! A [`Publisher`] is a pure machine: it is told what the name shall have and says what to send where. What
//! its updates rest on is the secret alone: an answer that the secret does not vouch for is dropped, counted,
//! and at most remembered as a hint for whoever reads why nothing happened. The server's name and address are
//! evidence of nothing.
//!
//! ```text
//! Idle ── publish ──▶ Waiting ── time ──▶ Asked ── authentic answer ──▶ Idle      Event::Published
//!                        ▲                  │                      └──▶ Stopped   Event::Failed, for good
//!                        └─ 1 min … 1 h ────┘ silence, server's fault             Event::Failed, again later
//! ```

use core::net::IpAddr;
use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

mod failure;
mod last_record;
mod message;
mod output;
mod rollover;
pub mod sig0;
#[cfg(test)]
mod tests;
mod tsig;

pub use failure::{Discarded, Failure, Hint};
pub use message::{Form, MAX_ADDRESSES, MAX_KEYS, MAX_UPDATE, Wanted};
pub use output::{Event, Output};
pub use tsig::{BadSecret, FUDGE, TsigKey};

use super::output::Transport;
use super::{Name, UnixTime};
use crate::crypto::{Crypto, PublicKey, RngFailure};
use crate::random::Random;
use message::Unsigned;
use rollover::Rollover;
use tsig::Signed;

/// How long the first datagram waits for an answer; each further one twice as long (RFC 2136 leaves it open).
const PATIENCE: Duration = Duration::from_secs(2);
/// Datagrams of one update.
const TRIES: u8 = 3;
/// How long a connection has for its answer.
const STREAM_PATIENCE: Duration = Duration::from_secs(10);
/// The break after a first failure; each further one twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest break.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Octets of the longest update in a datagram: no path cuts it.
const MAX_DATAGRAM: usize = 1232;
/// The lowest port that we send from (RFC 5452 §9.2).
const FIRST_PORT: u16 = 1024;

/// Who publishes what where.
#[derive(Clone, Debug)]
pub struct Config {
    /// The zone that our name lies in.
    pub zone: Name,
    /// Our name.
    pub name: Name,
    /// The secret.
    pub key: TsigKey,
}

/// Keeps our name in DNS as it shall be.
#[derive(Debug)]
pub struct Publisher<C, R> {
    config: Config,
    crypto: C,
    random: Random<R>,
    wanted: Option<Wanted>,
    rollover: Rollover,
    state: State,
    pause: Duration,
    /// The server's clock less ours, in seconds, once it told.
    correction: i64,
    event: Option<Event>,
    discarded: u32,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the message lies where the state is")]
enum State {
    /// Nothing is to be said.
    Idle,
    /// Something is, at this moment.
    Waiting(Instant),
    /// An update is out.
    Asked(Asked),
    /// The server refused, and would again.
    Stopped,
}

/// An update that is out.
#[derive(Debug)]
struct Asked {
    request: Signed,
    transport: Transport,
    tries: u8,
    /// When it is sent again, or given up.
    again: Instant,
    unsent: bool,
    /// It was signed for the server's clock.
    corrected: bool,
    hint: Option<Hint>,
}

impl<C: Crypto, R: TryCryptoRng> Publisher<C, R> {
    /// Has published nothing and wants nothing.
    pub fn new(config: Config, crypto: C, rng: R) -> Self {
        Self {
            config,
            crypto,
            random: Random::new(rng),
            wanted: None,
            rollover: Rollover::Steady,
            state: State::Idle,
            pause: FIRST_PAUSE,
            correction: 0,
            event: None,
            discarded: 0,
        }
    }

    /// From now on the name shall have this. The update leaves after `delay`, and replaces one that is out;
    /// many devices that start at the same moment better have different ones.
    pub fn publish(&mut self, now: Instant, wanted: Wanted, delay: Duration) {
        if self.wanted.as_ref() != Some(&wanted) {
            self.wanted = Some(wanted);
            self.rollover = Rollover::Steady;
            self.begin_at(now + delay);
        }
    }

    /// The name's addresses are others now.
    pub fn readdress(&mut self, now: Instant, addresses: &[IpAddr]) {
        let Some(wanted) = &mut self.wanted else { return };
        let addresses = addresses.iter().copied().take(MAX_ADDRESSES).collect();
        if wanted.addresses.as_ref() != Some(&addresses) {
            wanted.addresses = Some(addresses);
            self.begin_at(now);
        }
    }

    /// Begins to replace the present key. It stays published and in use until [`Event::Usable`].
    pub fn roll_over(&mut self, now: Instant, next: PublicKey) {
        self.rollover = Rollover::Adding { next };
        self.begin_at(now);
    }

    /// The next key is in use: the old one goes.
    pub fn switched(&mut self, now: Instant) {
        if let (Rollover::Usable { next }, Some(wanted)) = (&self.rollover, &mut self.wanted) {
            wanted.keys = [*next].into_iter().collect();
            self.rollover = Rollover::Steady;
            self.begin_at(now);
        }
    }

    fn begin_at(&mut self, at: Instant) {
        self.pause = FIRST_PAUSE;
        self.state = State::Waiting(at);
    }

    /// A message came from the server.
    ///
    /// # Errors
    /// [`Discarded`]: nothing changed.
    pub fn handle_message(
        &mut self,
        now: Instant,
        time: Option<UnixTime>,
        octets: &[u8],
    ) -> Result<(), Discarded> {
        let result = self.take(now, time, octets);
        if let Err(reason) = result {
            self.discarded = self.discarded.saturating_add(1);
            if let (State::Asked(asked), Some(hint)) = (&mut self.state, reason.hint()) {
                asked.hint = Some(hint);
            }
        }
        result
    }

    fn take(&mut self, now: Instant, time: Option<UnixTime>, octets: &[u8]) -> Result<(), Discarded> {
        let State::Asked(asked) = &mut self.state else { return Err(Discarded::Unsolicited) };
        let at_server = corrected(time, self.correction);
        let answer = tsig::verify(&self.crypto, &self.config.key, &asked.request, octets, at_server)?;
        if let Some(server) = answer.bad_time {
            let ours = i64::try_from(time.unwrap_or(UnixTime(0)).0).unwrap_or(i64::MAX);
            let difference = i64::try_from(server.0).unwrap_or(i64::MAX).saturating_sub(ours);
            if asked.corrected {
                self.fail(now, Failure::Clock { difference });
            } else {
                // For signatures only: the device's own clock takes no time from here (RFC 8945 §5.4.3).
                self.correction = difference;
                self.ask(now, time, true);
            }
        } else if answer.truncated && asked.transport != Transport::Tcp {
            asked.transport = Transport::Tcp;
            asked.unsent = true;
            asked.again = now + STREAM_PATIENCE;
        } else if answer.rcode == 0 {
            let ttl = self.wanted.as_ref().map_or(0, |wanted| wanted.ttl);
            self.rollover.published(now, ttl);
            self.pause = FIRST_PAUSE;
            self.state = State::Idle;
            self.event = Some(Event::Published);
        } else {
            self.fail(now, Failure::of(answer.rcode));
        }
        Ok(())
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant, time: Option<UnixTime>) {
        if self.rollover.becomes_usable(now) {
            self.event = Some(Event::Usable);
        }
        match &mut self.state {
            State::Waiting(at) if now >= *at => self.ask(now, time, false),
            State::Asked(asked) if now >= asked.again => {
                if asked.transport == Transport::Tcp || asked.tries >= TRIES {
                    let failure = Failure::NoAnswer { hint: asked.hint };
                    return self.fail(now, failure);
                }
                // The same octets: whichever copy is answered, the answer is to our request (RFC 2136 §5.2).
                asked.again = now + PATIENCE * (1 << asked.tries);
                asked.tries += 1;
                asked.unsent = true;
            }
            _ => {}
        }
    }

    /// Writes and signs the update that is wanted now.
    fn ask(&mut self, now: Instant, time: Option<UnixTime>, is_corrected: bool) {
        let Some(mut wanted) = self.wanted.clone() else {
            self.state = State::Idle;
            return;
        };
        if let Some(next) = self.rollover.next() {
            wanted.keys = wanted.keys.first().into_iter().chain([next]).copied().collect();
        }
        let Ok((id, port)) = self.numbers() else { return self.fail(now, Failure::NoRandom) };
        let at_server = corrected(time, self.correction);
        let Config { zone, name, key } = &self.config;
        let update = Unsigned::new(zone, name, id, &wanted, &self.crypto).ok();
        let request = update.and_then(|update| tsig::sign(&self.crypto, key, update, at_server).ok());
        let Some(request) = request else { return self.fail(now, Failure::TooLong) };
        let (transport, patience) = if request.octets.len() > MAX_DATAGRAM {
            (Transport::Tcp, STREAM_PATIENCE)
        } else {
            (Transport::Udp { port }, PATIENCE)
        };
        let again = now + patience;
        let asked =
            Asked { request, transport, tries: 1, again, unsent: true, corrected: is_corrected, hint: None };
        self.state = State::Asked(asked);
    }

    /// A message ID and a port that nobody can guess.
    fn numbers(&mut self) -> Result<(u16, u16), RngFailure> {
        let [a, b, c, d] = self.random.array()?;
        let ports = u16::MAX - FIRST_PORT;
        Ok((u16::from_be_bytes([a, b]), FIRST_PORT + u16::from_be_bytes([c, d]) % ports))
    }

    fn fail(&mut self, now: Instant, failure: Failure) {
        let again = failure.may_pass().then(|| now + self.next_pause());
        self.state = again.map_or(State::Stopped, State::Waiting);
        self.event = Some(Event::Failed { failure, again });
    }

    /// Between half of the present break and all of it, so that devices do not come together.
    fn next_pause(&mut self) -> Duration {
        let whole = self.pause;
        self.pause = (whole * 2).min(LONGEST_PAUSE);
        let [octet] = self.random.array().unwrap_or([0xFF]);
        whole / 2 + whole / 2 * u32::from(octet) / 0xFF
    }

    /// The next thing to be done; drain it after every input until [`Output::Timeout`].
    pub fn poll_output(&mut self) -> Output<'_> {
        if let Some(event) = self.event.take() {
            return Output::Event(event);
        }
        let own = match &self.state {
            State::Waiting(at) => Some(*at),
            State::Asked(asked) => Some(asked.again),
            State::Idle | State::Stopped => None,
        };
        if let State::Asked(asked) = &mut self.state
            && core::mem::take(&mut asked.unsent)
        {
            return Output::Transmit { transport: asked.transport, octets: &asked.request.octets };
        }
        Output::Timeout(own.into_iter().chain(self.rollover.deadline()).min())
    }

    /// Messages that were dropped.
    pub const fn discarded(&self) -> u32 {
        self.discarded
    }
}

/// The server's time, as far as we know it; the beginning of 1970 where the time is not known, which a server
/// answers by telling its own.
fn corrected(time: Option<UnixTime>, correction: i64) -> UnixTime {
    UnixTime(time.unwrap_or(UnixTime(0)).0.saturating_add_signed(correction))
}
