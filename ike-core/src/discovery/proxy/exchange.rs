//! One question out at a server: where it went, under which number, and when another server is tried.

use core::net::SocketAddr;
use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::error::Discarded;
use crate::discovery::output::Transport;
use crate::random::Random;

/// A server that is silent for so long is not waited for.
const PATIENCE: Duration = Duration::from_millis(800);
/// Servers that are tried, one after the other, before there is none.
const TRIES: u8 = 4;
/// The lowest of the ports that questions leave from.
const FIRST_PORT: u16 = 0x8000;

/// A question that is out, or about to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Exchange {
    /// The place of the server in the list.
    pub(super) server: usize,
    /// The ID that it has on its way.
    pub(super) id: u16,
    pub(super) transport: Transport,
    /// It has yet to be sent.
    pub(super) is_due: bool,
    tries: u8,
    retry: Instant,
}

/// What becomes of a question that stays unanswered.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Silence {
    /// It waits on.
    Wait,
    /// The next server is asked.
    Retry,
    /// No server is left.
    GiveUp,
}

impl Exchange {
    /// A question for the server at this place, with an ID and a port that nobody can guess
    /// (RFC 5452 §9.2).
    ///
    /// # Errors
    /// [`Discarded::NoRandom`].
    pub(super) fn begin(
        now: Instant,
        server: usize,
        is_stream: bool,
        random: &mut Random<impl TryCryptoRng>,
    ) -> Result<Self, Discarded> {
        let [a, b, c, d, ..] = random.array::<8>().map_err(|_| Discarded::NoRandom)?;
        let port = FIRST_PORT | u16::from_be_bytes([c, d]);
        let transport = if is_stream { Transport::Tcp } else { Transport::Udp { port } };
        let id = u16::from_be_bytes([a, b]);
        Ok(Self { server, id, transport, is_due: true, tries: 1, retry: now + PATIENCE })
    }

    /// What has come of waiting until now.
    pub(super) fn silence(&self, now: Instant) -> Silence {
        match self.retry > now {
            true => Silence::Wait,
            false if self.tries < TRIES => Silence::Retry,
            false => Silence::GiveUp,
        }
    }

    /// Asks the next of so many servers, under a new number.
    ///
    /// # Errors
    /// [`Discarded::NoRandom`].
    pub(super) fn retry(
        &mut self,
        now: Instant,
        servers: usize,
        random: &mut Random<impl TryCryptoRng>,
    ) -> Result<(), Discarded> {
        let tries = self.tries.saturating_add(1);
        let server = (self.server + 1) % servers.max(1);
        *self = Self { tries, ..Self::begin(now, server, self.transport == Transport::Tcp, random)? };
        Ok(())
    }

    /// When [`Self::silence`] says something new.
    pub(super) const fn alarm(&self) -> Instant {
        self.retry
    }

    /// Whether something on its socket can be the answer at all.
    pub(super) fn is_from(&self, server: SocketAddr, servers: &[SocketAddr]) -> bool {
        !self.is_due && servers.get(self.server) == Some(&server)
    }
}
