//! Messages and payloads as they lie on the wire (RFC 7296 §3).
//!
//! One guarantee for everything below: whatever the octets, parsing never panics, never reads
//! outside of the slice it was given, never copies more than a key, and ends after a number of steps
//! that is linear in the slice's length. Parsing a view checks all of it, so that its iterators
//! cannot fail. Views are values too: `write` puts them back on the wire.
//!
//! Code points are newtypes with constants, so a value that nobody here knows needs no arm.

pub mod auth;
pub mod cert;
pub mod chain;
pub mod code_point;
pub mod delete;
pub(crate) mod der;
pub mod encrypted;
pub mod header;
pub mod id;
pub mod ke;
pub mod nonce;
pub mod notify;
pub mod payloads;
pub(crate) mod reader;
pub mod rsa_public_key;
pub mod sa;
pub mod spki;
pub mod transform;
pub mod ts;
pub mod vendor;
pub mod writer;

use code_point::{IdType, PayloadType};
use notify::NotifyType;

/// Why octets are not an IKE message, a payload or a key. It is the sender's fault.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Malformed {
    /// Fewer octets than an IKE header has (RFC 7296 §3.1).
    HeaderTruncated,
    /// Another major version than 2 (RFC 7296 §2.5).
    MajorVersion(u8),
    /// The header's Length is not the size of the datagram (RFC 7296 §3.1).
    MessageLength,
    /// The initiator's SPI is zero (RFC 7296 §3.1).
    ZeroInitiatorSpi,
    /// A payload's length is below its header's, or reaches beyond the message (RFC 7296 §3.2).
    PayloadLength(PayloadType),
    /// A payload ends before its fixed fields do.
    PayloadTruncated(PayloadType),
    /// More than [`chain::MAX_PAYLOADS`].
    TooManyPayloads,
    /// Octets behind the last payload.
    TrailingOctets,
    /// An encrypted payload within another (RFC 7296 §3.14).
    NestedEncrypted,
    /// A payload that must be understood and is not (RFC 7296 §2.5).
    UnknownCritical(PayloadType),
    /// A second payload of a type that a message carries once.
    Duplicate(PayloadType),
    /// A proposal or transform is shorter than its fields or longer than what holds it.
    SubstructureLength,
    /// Last Substruc denies what follows, or promises what does not (RFC 7296 §3.3.1, §3.3.2).
    LastSubstructure,
    /// The number of transforms is not the one announced (RFC 7296 §3.3.1).
    TransformCount,
    /// An SPI has not its protocol's size (RFC 7296 §3.3.1).
    SpiSize,
    /// Proposals are not numbered upwards (RFC 7296 §3.3.1).
    ProposalNumber,
    /// More than [`sa::MAX_PROPOSALS`].
    TooManyProposals,
    /// More than [`sa::MAX_TRANSFORMS`] in one proposal.
    TooManyTransforms,
    /// Fewer than 16 or more than 256 octets of nonce (RFC 7296 §3.9).
    NonceLength,
    /// Identification data that its type does not allow (RFC 7296 §3.5, RFC 7619 §2.2).
    Identity(IdType),
    /// REKEY_SA without the protocol and SPI of a Child SA (RFC 7296 §1.3.3).
    RekeySa,
    /// Number, size and octets of the SPIs of a Delete payload disagree (RFC 7296 §3.11).
    DeleteSpis,
    /// The number of traffic selectors is zero or not the one announced (RFC 7296 §3.13).
    SelectorCount,
    /// A traffic selector has not its type's length (RFC 7296 §3.13.1).
    SelectorLength,
    /// A traffic selector ends before it starts (RFC 7296 §3.13.1).
    SelectorRange,
    /// No place for IV, pad length and ICV in an encrypted payload (RFC 7296 §3.14).
    EncryptedTruncated,
    /// More padding than text (RFC 7296 §3.14).
    Padding,
    /// Fragment number or total is zero, or the number exceeds the total (RFC 7383 §2.5).
    FragmentNumber,
    /// Octets that are not the distinguished encoding (X.690) of what they should be.
    Der,
    /// A public key of an algorithm, curve or form that is not supported.
    UnknownKey,
}

impl Malformed {
    /// The error notification for a request that was authentic and yet malformed (RFC 7296 §2.21).
    pub const fn notify(self) -> NotifyType {
        match self {
            Self::UnknownCritical(_) => NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD,
            Self::Identity(_) | Self::Der | Self::UnknownKey => NotifyType::AUTHENTICATION_FAILED,
            _ => NotifyType::INVALID_SYNTAX,
        }
    }
}

/// A message does not fit its buffer, or a payload its 16-bit length.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct NoSpace;
