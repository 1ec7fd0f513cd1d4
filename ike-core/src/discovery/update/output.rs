//! What a publisher says.

use esp_engine::time::Instant;

use super::Failure;
use crate::discovery::output::Transport;

/// The next thing to be done.
#[derive(Debug)]
pub enum Output<'a> {
    /// Send to the zone's primary server, port 53.
    Transmit {
        /// How.
        transport: Transport,
        /// The message, without length in front.
        octets: &'a [u8],
    },
    /// Something that is worth telling.
    Event(Event),
    /// Nothing more until this moment, or until an input.
    Timeout(Option<Instant>),
}

/// What came of it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The zone has what we wanted.
    Published,
    /// It has not.
    Failed {
        /// Why.
        failure: Failure,
        /// When it is tried again; `None` if nothing would be different then.
        again: Option<Instant>,
    },
    /// Everybody who asks gets the next key beside the present one: use it, and say so by
    /// [`super::Publisher::switched`].
    Usable,
}
