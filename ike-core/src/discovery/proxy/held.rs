//! Questions of clients on their way: out at a server, or answered and held until it is known whether the
//! addresses in the answer will be protected.

use core::net::{IpAddr, SocketAddr};

use esp_engine::time::Instant;

use super::MESSAGE;
use super::answer::Seen;
use super::exchange::Exchange;
use super::question::{self, Asked};
use super::reply::{self, Refused};
use super::settings::Demand;

/// Who asks, and where the answer goes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Client {
    /// By UDP.
    Datagram {
        /// Its address and port.
        remote: SocketAddr,
        /// Ours that it asked.
        local: IpAddr,
    },
    /// By TCP.
    Stream {
        /// Its address.
        remote: IpAddr,
        /// The connection, by the caller's numbering.
        connection: u16,
    },
}

impl Client {
    /// Its address.
    pub const fn address(&self) -> IpAddr {
        match self {
            Self::Datagram { remote, .. } => remote.ip(),
            Self::Stream { remote, .. } => *remote,
        }
    }

    /// Whether it asks by TCP.
    pub const fn is_stream(&self) -> bool {
        matches!(self, Self::Stream { .. })
    }
}

/// A question on its way.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) client: Client,
    /// The ID that the client gave it.
    pub(super) id: u16,
    pub(super) asked: Asked,
    pub(super) demand: Demand,
    /// When it came.
    pub(super) since: Instant,
    /// The question as it goes out; once there is one, the answer.
    pub(super) octets: heapless::Vec<u8, MESSAGE>,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no heap")]
pub(super) enum Stage {
    /// At a server, or about to be.
    Out(Exchange),
    /// Answered; the answer waits.
    Answered {
        /// What is in it.
        seen: Seen,
        /// Entries were made for its addresses.
        is_claimed: bool,
    },
    /// To be sent to the client: the server's answer, or why it gets none.
    Ready(Option<Refused>),
}

impl Held {
    /// Whether this is the same question once more.
    pub(super) fn is_repeated_by(&self, client: &Client, id: u16, asked: &Asked) -> bool {
        self.client == *client
            && self.id == id
            && self.asked.rtype == asked.rtype
            && self.asked.name == asked.name
    }

    /// Whether it is to be sent to a server now.
    pub(super) fn is_due(&self) -> bool {
        matches!(&self.stage, Stage::Out(exchange) if exchange.is_due)
    }

    /// The client hears why it gets no answer.
    pub(super) fn refuse(&mut self, why: Refused) {
        let refusal = reply::refusal(&self.octets, Some(&self.asked), why);
        self.replace(&refusal, Some(why));
    }

    /// The client gets the answer as it is, if it takes so much.
    pub(super) fn release(&mut self) {
        let fits = self.octets.len() <= usize::from(self.asked.udp_size.min(question::UDP_SIZE));
        if fits || self.client.is_stream() {
            self.make_ready(None);
        } else {
            self.truncate();
        }
    }

    /// The client has to come by TCP.
    pub(super) fn truncate(&mut self) {
        let truncated = reply::truncated(&self.octets, &self.asked);
        self.replace(&truncated, None);
    }

    fn replace(&mut self, octets: &[u8], refused: Option<Refused>) {
        self.octets.clear();
        // Our own messages are short.
        let _ = self.octets.extend_from_slice(octets);
        self.make_ready(refused);
    }

    fn make_ready(&mut self, refused: Option<Refused>) {
        question::set_id(&mut self.octets, self.id);
        self.stage = Stage::Ready(refused);
    }
}
