//! What a resolver says: questions to servers, answers to its askers, and when it wants to be called again.

use core::net::SocketAddr;

use esp_engine::time::Instant;

use super::UnixTime;
use super::outcome::Outcome;
use super::question::Ticket;

/// The next thing to be done.
#[derive(Debug)]
pub enum Output<'a> {
    /// A lookup ended. Each ticket is answered once.
    Answer {
        /// Whose it was.
        ticket: Ticket,
        /// What came of it.
        outcome: &'a Outcome,
    },
    /// Ask a server. Whatever the socket was used for before is over.
    Query {
        /// Which of the caller's sockets: below [`super::resolver::Resolver::sockets`].
        socket: Socket,
        /// Whom.
        server: SocketAddr,
        /// How.
        transport: Transport,
        /// The message, without length in front.
        octets: &'a [u8],
    },
    /// Nothing that comes on this socket is wanted any more.
    Close {
        /// Which.
        socket: Socket,
    },
    /// The time of day is now known, or its lower bound rose: worth keeping where it survives a restart.
    Time(UnixTime),
    /// Nothing more until this moment, or until an input.
    Timeout(Option<Instant>),
}

/// One of the caller's sockets, by number.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Socket(pub u8);

/// How a question travels.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// In a datagram from this port, chosen at random for this question alone (RFC 5452 §9.2).
    Udp {
        /// Our port.
        port: u16,
    },
    /// On a connection of its own, in front of it two octets of length (RFC 7766 §8).
    Tcp,
}

/// Why a question was not taken.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Busy;

/// Why a message from a server was dropped. Nothing changed because of it but a counter.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Discarded {
    /// No question is out on this socket, or it went to another server.
    Unsolicited,
    /// Its ID is not the question's (RFC 5452 §9.1).
    WrongId,
    /// It is a question itself, or of another operation.
    NotAnswer,
    /// It answers another question.
    WrongQuestion,
    /// It repeats our question in other letters, upper or lower.
    WrongCase,
    /// Its octets are no message, or more records than we look at.
    Malformed,
    /// It has more than one OPT record, or one in the wrong place (RFC 6891 §6.1.1).
    BadOpt,
    /// Its cookie is not the one that we sent, or of a length that cookies do not have (RFC 7873 §5.3).
    BadCookie,
    /// It lacks the cookie that this server always gave (RFC 7873 §5.3).
    NoCookie,
}

impl Discarded {
    /// Each reason, in the order of the counters.
    pub const ALL: &'static [Self] = &[
        Self::Unsolicited,
        Self::WrongId,
        Self::NotAnswer,
        Self::WrongQuestion,
        Self::WrongCase,
        Self::Malformed,
        Self::BadOpt,
        Self::BadCookie,
        Self::NoCookie,
    ];

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unsolicited => "answer to no question",
            Self::WrongId => "wrong ID",
            Self::NotAnswer => "not an answer",
            Self::WrongQuestion => "answer to another question",
            Self::WrongCase => "question repeated in other letters",
            Self::Malformed => "malformed message",
            Self::BadOpt => "impossible OPT record",
            Self::BadCookie => "wrong cookie",
            Self::NoCookie => "cookie missing",
        }
    }
}
