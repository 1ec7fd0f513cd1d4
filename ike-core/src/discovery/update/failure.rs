//! Why our name is not published, by who is at fault, and why an answer was dropped.

/// Why an update came to nothing.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// No authentic answer came.
    NoAnswer {
        /// What one said that nothing vouches for.
        hint: Option<Hint>,
    },
    /// The server cannot now: SERVFAIL, NOTIMP (RFC 2136 §4.6).
    Server {
        /// Its RCODE.
        rcode: u8,
    },
    /// The server does not want it: this key may not change this name (REFUSED).
    Refused,
    /// The server has no such zone, or is not the one to change it (NOTAUTH).
    NotAuthoritative,
    /// The name does not lie in the zone (NOTZONE).
    NotInZone,
    /// The name is an alias (YXRRSET: our prerequisite failed).
    Alias,
    /// Another RCODE.
    Rejected {
        /// It.
        rcode: u8,
    },
    /// The clocks still differ after ours was corrected, by this many seconds.
    Clock {
        /// The server's less ours.
        difference: i64,
    },
    /// Names, keys and addresses do not fit into one update.
    TooLong,
    /// The source of randomness failed.
    NoRandom,
}

impl Failure {
    /// Of an authentic answer.
    pub(super) const fn of(rcode: u8) -> Self {
        match rcode {
            2 | 4 => Self::Server { rcode },
            5 => Self::Refused,
            7 => Self::Alias,
            9 => Self::NotAuthoritative,
            10 => Self::NotInZone,
            rcode => Self::Rejected { rcode },
        }
    }

    /// What happened, after "our name is not published: ".
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoAnswer { hint: None } => "the server does not answer",
            Self::NoAnswer { hint: Some(Hint::UnknownKey) } => {
                "an unsigned answer says that the server has no such key for this name"
            }
            Self::NoAnswer { hint: Some(Hint::OtherSecret) } => {
                "an unsigned answer says that the server has another secret"
            }
            Self::NoAnswer { hint: Some(Hint::Rcode(_)) } => "the server's answers are not signed",
            Self::Server { .. } => "the server cannot change the zone now",
            Self::Refused => "the server does not let this key change this name",
            Self::NotAuthoritative => "the server is not the zone's primary server",
            Self::NotInZone => "the name does not lie in the zone",
            Self::Alias => "the name is an alias (CNAME)",
            Self::Rejected { .. } => "the server rejected the update",
            Self::Clock { .. } => "the server's clock and ours differ, and one of them jumps",
            Self::TooLong => "its records do not fit into one update",
            Self::NoRandom => "there are no random numbers",
        }
    }

    /// Whether it may be otherwise later, without anybody changing a configuration of ours.
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Server { .. } | Self::Clock { .. })
    }
}

/// What an answer without a valid signature said. It may be anybody's, so it changes nothing.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Hint {
    /// The server does not know our key, or not for this name (BADKEY).
    UnknownKey,
    /// The server has another secret for our key (BADSIG).
    OtherSecret,
    /// Another RCODE.
    Rcode(u8),
}

/// Why a message was dropped. Nothing changed because of it but a counter.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Discarded {
    /// No update is out.
    Unsolicited,
    /// Its octets are no message, or its TSIG record is none.
    Malformed,
    /// It is a question itself, or of another operation.
    NotAnswer,
    /// Its ID is not the update's.
    WrongId,
    /// It has no TSIG record (RFC 8945 §5.4).
    Unsigned {
        /// Its RCODE.
        rcode: u8,
    },
    /// It says that our own signature could not be verified, and is not signed itself (§5.3.2).
    UnsignedError {
        /// Its RCODE.
        rcode: u8,
        /// The error in its TSIG record.
        error: u16,
    },
    /// The record that authenticates it is not the last, or not the only one (§5.1).
    Misplaced,
    /// It is signed with another key or algorithm (§5.2.1).
    OtherKey,
    /// Its MAC is wrong (§5.2.2).
    BadMac,
    /// It was signed at another time (§5.2.3).
    Stale,
    /// Its MAC is cut shorter than ours was (§5.2.4).
    ShortMac,
}

impl Discarded {
    /// What it would mean if it were true.
    pub(super) const fn hint(self) -> Option<Hint> {
        match self {
            Self::UnsignedError { error: 16, .. } => Some(Hint::OtherSecret),
            Self::UnsignedError { error: 17, .. } => Some(Hint::UnknownKey),
            Self::UnsignedError { rcode, .. } | Self::Unsigned { rcode } => Some(Hint::Rcode(rcode)),
            _ => None,
        }
    }
}
