//! What an endpoint says: datagrams, events, and when it wants to be called again.

use core::net::SocketAddr;

use esp_engine::sa::{ChildSa, SaUpdate, Spi};
use esp_engine::time::Instant;

/// Where a datagram came from or goes to: an answer leaves by the path its question came.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The interface, by the caller's numbering.
    pub interface: u8,
    /// Our address and port (500 or 4500).
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
}

/// The next thing that an endpoint wants done. Drain until [`Output::Timeout`] after every input.
#[derive(Debug)]
pub enum Output<'a> {
    /// Something happened that the caller acts on or reports.
    Event(Event),
    /// Send this datagram. On port 4500 it already begins with the non-ESP marker (RFC 7296 §3.1).
    Transmit {
        /// The way it takes.
        path: Path,
        /// UDP payload.
        datagram: &'a [u8],
    },
    /// Nothing more; call `handle_timeout` at this moment, or never if `None`.
    Timeout(Option<Instant>),
}

/// What key management asks of the data plane, and what it reports.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "events are moved once, straight out of the endpoint")]
pub enum Event {
    /// Install this pair of SAs, both or neither.
    Install(ChildSa),
    /// Remove this pair of SAs, named by the SPI that we chose.
    Remove(Spi),
    /// Move this pair of SAs to other addresses.
    Update(SaUpdate),
}
