//! What a server may lack of what validation needs (RFC 4035 §3.2, RFC 7766 §5).

/// One thing that it lacks.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Lack {
    /// It does not answer at all.
    Answers,
    /// The keys of the root come without signatures: it does not heed the DO bit (RFC 3225).
    Signatures,
    /// The keys of the root do not come in a datagram of up to 1,232 octets.
    Datagrams,
    /// It takes no connections (RFC 7766 §5), so long answers cannot be had.
    Connections,
    /// DS records come from the wrong side of a cut, or not at all (RFC 4035 §3.1.4.1).
    Delegations,
    /// What does not exist is said without proof (RFC 5155 §7.2).
    Denials,
    /// It repeats names in other letters, so that each question takes a connection.
    Letters,
}

impl Lack {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::Answers,
        Self::Signatures,
        Self::Datagrams,
        Self::Connections,
        Self::Delegations,
        Self::Denials,
        Self::Letters,
    ];

    /// What the server does, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Answers => "does not answer",
            Self::Signatures => "leaves out signatures, so nothing it says can be proven",
            Self::Datagrams => "its datagrams do not come through, TCP does",
            Self::Connections => "takes no TCP connections, so long answers cannot be had",
            Self::Delegations => "takes DS records from the wrong side of a cut",
            Self::Denials => "leaves out the proof of what does not exist",
            Self::Letters => "changes the letters of names, so each question takes TCP",
        }
    }

    /// Whether nothing can be proven with it.
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::Answers | Self::Signatures | Self::Delegations | Self::Denials)
    }
}

/// What a server lacks, as a set.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Lacks(u8);

impl Lacks {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    /// Whether it lacks nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One more.
    pub(crate) const fn add(&mut self, lack: Lack) {
        self.0 |= 1 << lack as u8;
    }

    /// Whether it is among them.
    pub const fn has(self, lack: Lack) -> bool {
        self.0 >> lack as u8 & 1 == 1
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Lack> {
        Lack::ALL.into_iter().filter(move |lack| self.has(*lack))
    }
}
