//! What the client wants done, and what comes of it.

use core::net::{IpAddr, SocketAddr};

use esp_engine::time::Instant;

use super::MESSAGE;
use crate::config::Site;
use crate::config::check::Fault;

/// What a lease came to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The device may be there.
    Bound(Site),
    /// It may not be anywhere any more.
    Lost,
    /// An offer that cannot be taken, and why.
    Refused(IpAddr, Fault),
}

/// What is to be done next.
#[derive(PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no heap")]
pub(crate) enum Output {
    /// Send this from [`CLIENT_PORT`](super::CLIENT_PORT).
    Transmit(SocketAddr, [u8; MESSAGE]),
    /// No answer is wanted any more.
    Close,
    /// This came of it.
    Event(Event),
    /// Nothing until this moment.
    Timeout(Option<Instant>),
}

/// A message changed nothing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Discarded {
    /// It is no answer of a DHCP server.
    Malformed,
    /// It is not to our question, or not by the server that we chose.
    Unsolicited,
}
