//! Why something did not happen. [`Discarded`]: a datagram that changed nothing, counted by reason.
//! [`FailReason`] and [`CloseReason`]: what ended a negotiation or an IKE SA, for the operator.
//! [`AcquireError`]: why a negotiation could not begin. [`Mismatch`]: where two proposals part.

use esp_engine::spd::Level;

use crate::wire::Malformed;

macro_rules! discarded {
    ($($(#[doc = $doc:literal])+ $name:ident => $words:literal,)+) => {
        /// Why a datagram was dropped. Nothing changed because of it but a counter.
        #[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Discarded {
            $($(#[doc = $doc])+ $name,)+
            /// The octets are no IKE message, or their payloads are none.
            Malformed(Malformed),
        }

        impl Discarded {
            /// Each reason but [`Self::Malformed`], in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// In words.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)+
                    Self::Malformed(_) => "malformed message",
                }
            }
        }
    };
}

discarded! {
    /// On port 4500 without the non-ESP marker, or too short to carry it (RFC 3948 §2.2).
    NotIke => "not an IKE message",
    /// Another major version (RFC 7296 §2.5).
    MajorVersion => "other major version",
    /// An exchange type that is none, or has no place here (RFC 7296 §3.1).
    UnexpectedExchange => "exchange type has no place here",
    /// The Initiator flag does not fit our role in this IKE SA (RFC 7296 §3.1).
    WrongDirection => "direction does not fit our role",
    /// An IKE SPI of zero where there has to be one, or one that is ours where it has to be the peer's.
    BadSpi => "impossible IKE SPI",
    /// No IKE SA has this SPI.
    UnknownSpi => "unknown IKE SPI",
    /// A good message that this state of the IKE SA has no use for.
    WrongState => "message does not fit the state of the IKE SA",
    /// A Message ID outside of the window (RFC 7296 §2.3).
    WrongMessageId => "Message ID outside the window",
    /// A request that was answered, whose answer is no longer kept.
    ResponseForgotten => "retransmission of a request whose answer is forgotten",
    /// The Message ID of the last request with another message.
    AlteredRetransmission => "retransmission with other content",
    /// Retransmissions faster than answers to them may leave.
    RetransmissionLimit => "retransmitted too often",
    /// The integrity check of the SK payload failed.
    Forged => "integrity check failed",
    /// A fragment although we did not agree on fragments (RFC 7383 §2.4).
    FragmentNotNegotiated => "fragment without agreement on fragments",
    /// A fragment that is there already, or of a set that a finer one took the place of (RFC 7383 §2.6).
    FragmentAgain => "fragment that is there already",
    /// More fragments, or more octets in them, than are put together.
    TooManyFragments => "message in fragments is too long",
    /// An IKE_SA_INIT message longer than a message buffer.
    TooLong => "message longer than a buffer",
    /// No place for another IKE SA or handshake.
    NoSlot => "no place for another IKE SA",
    /// No buffer for a message.
    NoBuffer => "no free message buffer",
    /// This source address has as many half-open IKE SAs as it may have.
    HalfOpenLimit => "too many half-open IKE SAs of this address",
    /// Answered with a demand for a cookie (RFC 7296 §2.6).
    CookieDemanded => "cookie demanded",
    /// The cookie is not one that we gave for this request.
    BadCookie => "wrong cookie",
    /// Answered: none of the proposals fits.
    NoProposalChosen => "no proposal fits",
    /// Answered: the KE payload is not of the group of the proposal that fits.
    OtherGroup => "KE payload of another group",
    /// Answered or not: the request has a payload with the critical bit that we do not know.
    CriticalPayload => "unknown critical payload",
    /// The KE payload's value is unusable (RFC 6989).
    BadKeyExchange => "unusable public value",
    /// A nonce of fewer than 16 or more than 256 octets, or our own (RFC 7296 §3.9).
    BadNonce => "unusable nonce",
    /// A payload that this message must have is missing, or one is there twice.
    MissingPayload => "payload missing or twice",
    /// An unprotected error: taken as a hint, it ends nothing (RFC 7296 §2.21.1).
    Hint => "unprotected error notification",
    /// The answer chooses what we did not offer (RFC 7296 §3.3.6).
    NotOffered => "answer chooses what was not offered",
    /// The answer asks for a group that we did not offer or have tried, or for another try too many.
    UselessRetry => "answer asks for a useless retry",
    /// The answer knows of no post-quantum preshared key, without which we do not go on.
    NoPpk => "answer without post-quantum preshared keys",
    /// An answer nobody waits for.
    Unsolicited => "answer to no request",
    /// The source of randomness failed: nothing new begins.
    NoRandom => "no randomness",
    /// The peer asks more often than it may (RFC 7619 §3.2).
    TooManyRequests => "more requests than a peer may send in a second",
    /// What DNS says about the peer is being asked for; the request is kept until then, or comes again.
    AwaitsRecord => "waits for what DNS says about the peer",
    /// Peers from about here made us ask DNS just now, or too many requests wait for its answers.
    LookupLimit => "too many look-ups for strangers",
    /// This identity was claimed from about here with a wrong shared key just now.
    GuessLimit => "another try with a shared key too soon after a wrong one",
    /// We are about to end and begin nothing new.
    ShuttingDown => "shutting down",
    /// An answer without IKE SA is waiting to be sent already.
    Busy => "another answer is waiting to be sent",
}

impl From<Malformed> for Discarded {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

/// Why a negotiation could not begin.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum AcquireError {
    /// No such policy, or none that protects.
    NoPolicy,
    /// No such entry in the PAD.
    NoPeer,
    /// Nothing says where the peer is.
    NoAddress,
    /// We have no address of the peer's family.
    NoLocalAddress,
    /// No place for another IKE SA or handshake.
    NoSlot,
    /// No buffer for a message.
    NoBuffer,
    /// The source of randomness failed.
    NoRandom,
    /// The last attempt failed a moment ago.
    TooSoon,
    /// The endpoint is shutting down.
    ShuttingDown,
    /// What DNS says about the peer does not do.
    Name(NameFault),
}

impl AcquireError {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoPolicy => "no policy protects traffic with this peer",
            Self::NoPeer => "no such peer",
            Self::NoAddress => "the peer's address is not known",
            Self::NoLocalAddress => "no address of our own in the peer's family",
            Self::NoSlot => "no place for another IKE SA",
            Self::NoBuffer => "no buffer for a message",
            Self::NoRandom => "the source of randomness failed",
            Self::TooSoon => "the last attempt failed a moment ago",
            Self::ShuttingDown => "shutting down",
            Self::Name(fault) => fault.words(),
        }
    }
}

/// Why what DNS says about a peer does not do.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum NameFault {
    /// It has no key, which is proven.
    Absent,
    /// It has no key of an algorithm that is usable.
    OnlyUnusable,
    /// What there is is not signed, so anybody may have written it.
    Insecure,
    /// The signatures are wrong or missing.
    Bogus,
    /// No answer, or no time of day to judge it by.
    Indeterminate,
    /// It comes from a wildcard, and the entry does not take those.
    Wildcard,
    /// The key that the peer proved is not among those published.
    OtherKey,
    /// The peer is at an address that its name does not have.
    OtherAddress,
    /// The name has no address that we could begin with.
    NoAddress,
    /// The keys are those of gateways elsewhere, which takes tunnel mode and an address that is nobody else's.
    Gateway,
}

impl NameFault {
    /// Whether DNS says, signed or proven to be unsigned, that the peer has no key that would do.
    pub(crate) const fn is_statement(self) -> bool {
        matches!(self, Self::Absent | Self::Insecure | Self::OnlyUnusable | Self::Wildcard)
    }

    /// Whether DNS says nothing of the peer that anybody could rely on.
    pub(crate) const fn is_no_statement(self) -> bool {
        matches!(self, Self::Absent | Self::Insecure | Self::Indeterminate)
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Absent => "DNS has no key for the peer",
            Self::OnlyUnusable => "DNS has only keys that cannot be used for the peer",
            Self::Insecure => "the peer's records in DNS are not signed",
            Self::Bogus => "the peer's records in DNS are forged or signed wrongly",
            Self::Indeterminate => "DNS did not answer, or the time of day is not known",
            Self::Wildcard => "the peer's records in DNS come from a wildcard",
            Self::OtherKey => "the peer's key is not the one in DNS",
            Self::OtherAddress => "the peer is not at the address that DNS has for it",
            Self::NoAddress => "DNS has no address for the peer",
            Self::Gateway => "DNS has only gateways for the peer, which need tunnel mode",
        }
    }
}

/// What ended a negotiation before there was an IKE SA, or left it without the Child SA.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum FailReason {
    /// No answer to any try of IKE_SA_INIT; the last hint that came without protection, if any.
    NoAnswer {
        /// Notify type of an unprotected error that was seen while waiting.
        hint: Option<u16>,
    },
    /// No answer to any try of IKE_AUTH.
    NoAuthAnswer,
    /// No IKE_AUTH came in time.
    HalfOpenExpired,
    /// None of the proposals fits.
    NoProposal(Mismatch),
    /// Nobody in the PAD is who the peer says that it is, and no wildcard takes it.
    UnknownPeer,
    /// The peer is somebody else than the one that this policy names.
    OtherPeer,
    /// The AUTH payload does not verify with any key that the peer may have.
    BadAuthentication,
    /// The peer proved a key, but not one of those in its entry. SHA-256 of its SubjectPublicKeyInfo.
    KeyMismatch([u8; 32]),
    /// The peer proved our own key: a reflection.
    OwnKey,
    /// The peer used a method of authentication that its entry does not allow, or none.
    WrongMethod,
    /// The peer sent neither its key nor do we know one.
    NoKey,
    /// The post-quantum preshared key that the entry asks for is not in the keys (RFC 8784).
    NoPpk,
    /// What DNS says about the peer does not do.
    Name(NameFault),
    /// A stranger of this name, or one at this address, had another key. SHA-256 of both SubjectPublicKeyInfos.
    KeyChanged {
        /// The key that is remembered.
        old: [u8; 32],
        /// The key that was proven now.
        new: [u8; 32],
    },
    /// The peer was once authenticated better, to this level.
    Lowered(Level),
    /// A stranger that is not known, and no room to remember it.
    NoRoomForStranger,
    /// A stranger, and others of its network (/24, /56) have the network's share: half of the places to remember
    /// strangers in, or half of the IKE SAs.
    NetworkFull,
    /// The peer is not authenticated well enough for any policy over these addresses.
    LevelTooLow,
    /// No policy and no claim of the peer allows these traffic selectors.
    SelectorsUnacceptable,
    /// The flow lives under another peer's key.
    OtherKeysFlow,
    /// The peer's answer widens or changes what we asked for.
    AnswerNotOffered,
    /// The peer does transport mode where we need tunnel mode, or the reverse.
    ModeUnacceptable,
    /// No place for another Child SA.
    NoChildSlot,
    /// The message lacks a payload, has one twice, or one that is critical and unknown.
    BadMessage,
    /// The peer refused with this notify type (RFC 7296 §3.10.1).
    Refused(u16),
    /// The source of randomness or a key failed.
    Internal,
}

impl FailReason {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoAnswer { .. } => "no answer to IKE_SA_INIT",
            Self::NoAuthAnswer => "no answer to IKE_AUTH",
            Self::HalfOpenExpired => "the peer did not go on after IKE_SA_INIT",
            Self::NoProposal(_) => "no proposal fits",
            Self::UnknownPeer => "unknown peer",
            Self::OtherPeer => "another peer answered than the policy names",
            Self::BadAuthentication => "authentication failed: the AUTH payload does not verify",
            Self::KeyMismatch(_) => "authentication failed: not the key that is pinned",
            Self::OwnKey => "authentication failed: our own key came back",
            Self::WrongMethod => "authentication failed: method not allowed for this peer",
            Self::NoKey => "authentication failed: the peer's key is not known and was not sent",
            Self::Name(fault) => fault.words(),
            Self::KeyChanged { .. } => "authentication failed: not the key that is remembered",
            Self::Lowered(_) => "authentication failed: the peer was authenticated better before",
            Self::NoRoomForStranger => "no room to remember another stranger",
            Self::NetworkFull => "the strangers of its network have their share of places already",
            Self::NoPpk => "authentication failed: no post-quantum preshared key in common",
            Self::LevelTooLow => "not authenticated well enough for the policy",
            Self::SelectorsUnacceptable => "traffic selectors not acceptable",
            Self::OtherKeysFlow => "the flow lives under another peer's key",
            Self::AnswerNotOffered => "the peer answered what was not offered",
            Self::ModeUnacceptable => "transport or tunnel mode not acceptable",
            Self::NoChildSlot => "no place for another Child SA",
            Self::BadMessage => "a protected message lacks a payload or cannot be understood",
            Self::Refused(_) => "the peer refused",
            Self::Internal => "randomness or a key failed",
        }
    }

    /// Whether the peer failed to prove who it is.
    pub const fn is_authentication(self) -> bool {
        matches!(
            self,
            Self::UnknownPeer
                | Self::OtherPeer
                | Self::BadAuthentication
                | Self::KeyMismatch(_)
                | Self::OwnKey
                | Self::WrongMethod
                | Self::NoKey
                | Self::NoPpk
                | Self::Name(_)
                | Self::KeyChanged { .. }
                | Self::Lowered(_)
                | Self::NoRoomForStranger
                | Self::NetworkFull
        )
    }
}

/// Why an established IKE SA ended, and its Child SAs with it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The peer deleted it.
    DeletedByPeer,
    /// We were told to.
    Requested,
    /// The peer no longer answers.
    PeerDead,
    /// Its time was over, or its Message IDs were.
    Expired,
    /// The same peer said that it starts anew (INITIAL_CONTACT, RFC 7296 §2.4).
    InitialContact,
    /// Its last Child SA ended.
    NoChildLeft,
    /// A successor took over.
    Replaced,
    /// For minutes the peer could not do what it was asked for: the two ends do not know the same
    /// (TEMPORARY_FAILURE, RFC 7296 §2.25).
    OutOfStep,
    /// Our address there is gone.
    Moved,
    /// The peer answered with an error that ends the IKE SA (RFC 7296 §2.21.3).
    RefusedByPeer(u16),
}

impl CloseReason {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::DeletedByPeer => "deleted by the peer",
            Self::Requested => "closed by request",
            Self::PeerDead => "the peer no longer answers",
            Self::Expired => "its lifetime is over",
            Self::InitialContact => "the peer started anew",
            Self::NoChildLeft => "its last Child SA ended",
            Self::Replaced => "a successor took over",
            Self::OutOfStep => "the peer put us off for minutes",
            Self::Moved => "our address there is gone",
            Self::RefusedByPeer(_) => "the peer ended it with an error",
        }
    }
}

/// The first transform type for which two proposals have nothing in common (RFC 7296 §3.3.2).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mismatch {
    /// Transform type: 1 ENCR, 2 PRF, 3 INTEG, 4 KE, 5 ESN, 6 to 12 additional KE (RFC 9370 §2.2.1).
    pub kind: u8,
    /// Identifier and key length of what we want.
    pub ours: Transform,
    /// The first that the peer offers of this type; `None` when it offers none or did not say.
    pub theirs: Option<Transform>,
}

/// An algorithm by its numbers (RFC 7296 §3.3.2).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Transform {
    /// Transform ID.
    pub id: u16,
    /// Key length attribute in bits.
    pub key_bits: Option<u16>,
}
