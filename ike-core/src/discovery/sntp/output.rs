//! What goes into the client and comes out of it.

use core::net::SocketAddr;

use esp_engine::time::Instant;

use super::super::UnixTime;
use super::super::output::Transport;
use super::MAX_SERVERS;
use super::packet::{LENGTH, Useless};

/// What is known of the time without asking.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// It certainly is not earlier than this.
    pub not_before: UnixTime,
    /// The clock that runs, if one does.
    pub clock: Option<UnixTime>,
}

/// Who says what, where not all say the same.
pub type Opinions = heapless::Vec<Opinion, MAX_SERVERS>;

/// What a server said, held against the others.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    /// Which one.
    pub server: SocketAddr,
    /// How late it was, as it said.
    pub says: UnixTime,
    /// It is one of those whose word counts.
    pub is_taken: bool,
}

/// The next thing to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Ask a server, from this port; whatever the socket was used for before is over.
    Query {
        /// Whom.
        server: SocketAddr,
        /// How: always a datagram.
        transport: Transport,
        /// The message.
        octets: [u8; LENGTH],
    },
    /// Servers disagree. A time that counts all the same follows.
    Disagreement(Opinions),
    /// Servers say that it is this late. Say by [`Sntp::judge`](super::Sntp::judge) what came of it.
    Time(UnixTime),
    /// Nothing more until this moment, or until an input.
    Timeout(Option<Instant>),
}

/// Why a datagram was dropped. Nothing changed.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Discarded {
    /// Nobody was asked, or somebody else.
    Unsolicited,
    /// It is no SNTP reply of our version (RFC 4330 §4, §5).
    NotReply,
    /// It does not repeat what we sent (RFC 4330 §5, check 3).
    WrongOrigin,
}

/// What a server was good for when it was asked last.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Use {
    /// Nobody knows yet.
    #[default]
    Untried,
    /// Its time was proven.
    Proven,
    /// The keys of the root say that it cannot be as late as it said, or nobody could say.
    Unproven,
    /// It says another time than those whose word counted.
    Outvoted,
    /// It says another time than the others, and no word counted.
    Contested,
    /// It did not answer.
    Silent,
    /// It answered, and has no time to give.
    Useless(Useless),
}

impl Use {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Untried => "not asked yet",
            Self::Proven => "its time was proven",
            Self::Unproven => "its time could not be proven",
            Self::Outvoted => "disagrees with those that are heeded",
            Self::Contested => "disagrees with the others; none is heeded",
            Self::Silent => "does not answer",
            Self::Useless(Useless::NotSynchronized) => "has no time itself",
            Self::Useless(Useless::KissOfDeath) => "asks not to be asked",
        }
    }
}
