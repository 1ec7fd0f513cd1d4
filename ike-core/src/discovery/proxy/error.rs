//! Why a message is dropped without a word, and how often what happened.

/// Why a message was dropped. Nothing changed because of it but a counter.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Discarded {
    /// A client that is not on an attached network.
    NotClient,
    /// More questions than a client may ask in a second, or all of them together.
    TooMany,
    /// No message at all.
    Malformed,
    /// An answer where questions are expected.
    NotQuestion,
    /// No question is out on this socket, or it went to another server.
    Unsolicited,
    /// Its ID is not the question's (RFC 5452 §9.1).
    WrongId,
    /// It is a question itself, or of another operation.
    NotAnswer,
    /// It answers another question.
    WrongQuestion,
    /// The source of randomness failed: nothing can be asked.
    NoRandom,
}

impl Discarded {
    /// Each reason, in the order of the counters.
    pub const ALL: &'static [Self] = &[
        Self::NotClient,
        Self::TooMany,
        Self::Malformed,
        Self::NotQuestion,
        Self::Unsolicited,
        Self::WrongId,
        Self::NotAnswer,
        Self::WrongQuestion,
        Self::NoRandom,
    ];

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotClient => "asked from outside",
            Self::TooMany => "too many questions",
            Self::Malformed => "malformed message",
            Self::NotQuestion => "not a question",
            Self::Unsolicited => "answer to no question",
            Self::WrongId => "wrong ID",
            Self::NotAnswer => "not an answer",
            Self::WrongQuestion => "answer to another question",
            Self::NoRandom => "no randomness",
        }
    }
}

/// How often each thing happened. Counts stop at their end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    discarded: [u32; Discarded::ALL.len()],
    /// Questions that were passed on.
    pub passed_on: u32,
    /// Questions of our own for keys.
    pub keys_asked: u32,
    /// Answers that clients got from servers.
    pub answered: u32,
    /// Answers with addresses of captured names.
    pub captured: u32,
    /// Of these, such as waited until their time was up.
    pub out_of_time: u32,
    /// Answers that clients got from us.
    pub refused: u32,
    /// Of these, for special names.
    pub special: u32,
    /// Of these, because an outside name pointed inside.
    pub rebinding: u32,
    /// Entries that were made or changed.
    pub found: u32,
    /// Addresses that got no entry because somebody else owns them.
    pub reserved: u32,
    /// Addresses that got no entry because their client or their zone has enough, or all do.
    pub too_many_found: u32,
}

impl Counters {
    pub(super) const fn new() -> Self {
        Self {
            discarded: [0; Discarded::ALL.len()],
            passed_on: 0,
            keys_asked: 0,
            answered: 0,
            captured: 0,
            out_of_time: 0,
            refused: 0,
            special: 0,
            rebinding: 0,
            found: 0,
            reserved: 0,
            too_many_found: 0,
        }
    }

    /// Messages dropped for this reason.
    pub fn discarded(&self, reason: Discarded) -> u32 {
        let place = Discarded::ALL.iter().position(|other| *other == reason);
        place.and_then(|place| self.discarded.get(place)).copied().unwrap_or(0)
    }

    pub(super) fn count(&mut self, reason: Discarded) {
        let place = Discarded::ALL.iter().position(|other| *other == reason);
        if let Some(count) = place.and_then(|place| self.discarded.get_mut(place)) {
            bump(count);
        }
    }
}

pub(super) fn bump(count: &mut u32) {
    *count = count.saturating_add(1);
}
