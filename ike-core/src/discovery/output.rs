//! What a resolver says: questions to servers, answers to its askers, and when it wants to be called again.

use core::net::SocketAddr;

use esp_engine::time::Instant;

use super::UnixTime;
use super::anchors::Anchors;
use super::outcome::{Outcome, Security};
use super::question::Ticket;
use super::upstream::ServerStatus;

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
    /// What came of a time that was proposed: it is set, or why it is not.
    Proposed(Result<UnixTime, Security>),
    /// It is certainly not earlier than this, later than what was certain before: worth keeping where it
    /// survives a restart.
    NotBefore(UnixTime),
    /// What is known of the root's keys changed (RFC 5011 §4): to be kept where it survives a restart.
    Anchors(&'a Anchors),
    /// A server was tried out.
    Probed(ServerStatus),
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

/// Ports below are other people's.
const FIRST_PORT: u32 = 1024;
/// The port of IKE behind a NAT, which is ours already.
const IKE_NAT: u16 = 4500;

impl Transport {
    /// A datagram from a port above 1023, all as likely as possible (RFC 6056 §3.3.1), by what was drawn.
    pub(crate) fn datagram(drawn: [u8; 4]) -> Self {
        let span = u64::from(0x1_0000 - FIRST_PORT);
        let offset = (u64::from(u32::from_be_bytes(drawn)) * span) >> 32;
        match FIRST_PORT as u16 + offset as u16 {
            IKE_NAT => Self::Udp { port: IKE_NAT + 1 },
            port => Self::Udp { port },
        }
    }
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
