//! The only words that the two halves exchange: [`Command`] down, [`Report`] up, each through one
//! bounded FIFO of plain `Send` values, so the halves may run in different executors.
//!
//! An SA is installed before the message that announces it leaves because both take the same way
//! down. Packets never wait for Control: when the way up is full, an IKE datagram is dropped (its
//! sender repeats it) and a [`Notice`] waits in a backlog, merged with its like.

use core::net::SocketAddr;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use esp_engine::engine::InstallError;
use esp_engine::sa::{ChildSa, SaReport, SaUpdate, Spi};
use esp_engine::selector::{AddressRange, Selectors};
use esp_engine::spd::{PolicyId, PolicySelectors};
use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::discovery::output::Socket;
use ike_core::discovery::proxy::Client;
use ike_core::output::Path;
use ike_core::resources::MESSAGE;

use crate::config::Outside;
use crate::network::dns::Question;

pub use upward::{Overflow, Upward};

#[cfg(test)]
mod tests;
mod upward;

/// Octets of the longest UDP payload that passes between the halves: the longest message that key
/// management keeps, behind a non-ESP marker (RFC 7296 §3.1).
pub const MAX_DATAGRAM: usize = MESSAGE + 4;
/// Places on the way down.
pub const COMMANDS: usize = 4;
/// Places on the way up.
pub const REPORTS: usize = 4;
/// Notices that wait while the way up is full.
pub const BACKLOG: usize = 16;

/// A UDP payload.
pub type Datagram = Vec<u8, MAX_DATAGRAM>;

/// What Control asks of Network.
pub enum Command<C> {
    /// Install this pair of SAs, key schedules built, both or neither.
    Install(ChildSa<C>),
    /// Send nothing more on the pair with this SPI of ours.
    Retire(Spi),
    /// Remove the pair with this SPI of ours.
    Remove(Spi),
    /// Move a pair to other addresses.
    Update(SaUpdate),
    /// Send this datagram; on port 4500 the non-ESP marker is in place (RFC 7296 §3.1).
    Transmit {
        /// The way it takes.
        path: Path,
        /// UDP payload.
        datagram: Datagram,
    },
    /// The far side of this policy is here from now on.
    Policy {
        /// Its place.
        policy: PolicyId,
        /// Its far side.
        remote: PolicySelectors,
    },
    /// The device is here from now on: its stack, its routes, and its side of policies.
    Outside(Outside),
    /// Policies that would rather protect let packets pass in clear here until then.
    LetClear {
        /// With whom.
        remote: AddressRange,
        /// How long.
        until: Instant,
    },
    /// Ask a DNS server; whatever the socket did before is over.
    Query {
        /// Which of the sockets for questions.
        socket: Socket,
        /// Whom, how and what.
        question: Question,
    },
    /// Nothing that comes on this socket for questions is wanted any more.
    CloseQuery(Socket),
    /// Answer a client of the capturing resolver.
    Reply {
        /// Whom.
        client: Client,
        /// A datagram, or the next octets of a stream.
        octets: Datagram,
        /// There is more to the answer.
        more: bool,
    },
    /// Report the counters.
    Count,
}

/// What came on a socket for questions.
pub enum DnsReport {
    /// A datagram.
    Datagram {
        /// From whom.
        server: SocketAddr,
        /// UDP payload.
        octets: Datagram,
    },
    /// Some octets on a connection.
    Octets {
        /// To whom it is.
        server: SocketAddr,
        /// As they came.
        octets: Datagram,
    },
    /// Nothing can come: the port is taken, the connection refused or over.
    Failed,
}

/// What Network tells Control.
pub enum Report {
    /// The Ethernet address of the outer port, where a DHCP server is to be asked by it.
    Link([u8; 6]),
    /// An IKE datagram; on port 4500 the non-ESP marker is still in front.
    Datagram {
        /// The way it came.
        path: Path,
        /// UDP payload.
        datagram: Datagram,
    },
    /// Something about an SA or a flow.
    Notice(Notice),
    /// Something about a question to a DNS server.
    Dns {
        /// Which of the sockets for questions.
        socket: Socket,
        /// What.
        news: DnsReport,
    },
    /// A client asks the capturing resolver.
    Asked {
        /// Who.
        client: Client,
        /// The question.
        octets: Datagram,
    },
    /// A client's connection has ended.
    Gone(u16),
    /// The answer to [`Command::Count`].
    Counted(crate::network::Counters),
}

/// News from the engine that Control acts on.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A packet needs an SA that is not there.
    Acquire {
        /// The policy that it met.
        policy: PolicyId,
        /// The packet.
        packet: Selectors,
    },
    /// News of an SA.
    Sa(SaReport),
    /// A pair of SAs could not be installed.
    NotInstalled {
        /// The SPI that we chose.
        spi: Spi,
        /// Why.
        reason: InstallError,
    },
}

/// Both channels; a `static` of the board, or a local where one executor runs both halves.
pub struct Queues<C> {
    down: Channel<CriticalSectionRawMutex, Command<C>, COMMANDS>,
    up: Channel<CriticalSectionRawMutex, Report, REPORTS>,
}

impl<C> Queues<C> {
    /// Both empty.
    pub const fn new() -> Self {
        Self { down: Channel::new(), up: Channel::new() }
    }

    /// Control's end: waits while the way down is full, for Network empties it within a packet.
    pub async fn command(&self, command: Command<C>) {
        self.down.send(command).await;
    }

    /// Control's end: the next report.
    pub async fn next_report(&self) -> Report {
        self.up.receive().await
    }

    /// Network's end, for what may wait: nothing else waits with it.
    pub(crate) async fn report(&self, report: Report) {
        self.up.send(report).await;
    }

    /// Network's end: waits until the way up has room for a report.
    pub(crate) async fn room(&self) {
        core::future::poll_fn(|cx| self.up.poll_ready_to_send(cx)).await;
    }

    /// Network's end: a report, right after [`Queues::room`]; `false` when somebody was quicker.
    pub(crate) fn try_report(&self, report: Report) -> bool {
        self.up.try_send(report).is_ok()
    }

    /// Network's end: the next command.
    pub async fn next_command(&self) -> Command<C> {
        self.down.receive().await
    }
}

impl<C> Default for Queues<C> {
    fn default() -> Self {
        Self::new()
    }
}
