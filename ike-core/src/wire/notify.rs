//! Notify payload (RFC 7296 §3.10): errors and facts, with what each carries.
//!
//! Data that a known type does not allow reads as `None` and is thereby ignored. Only REKEY_SA is
//! refused whole, because its sender wants an answer about the SA it names.

use super::code_point::{PayloadType, Protocol, code_points};
use super::reader::Reader;
use super::transform::KeyExchangeMethod;
use super::writer::Writer;
use super::{Malformed, NoSpace};

/// The most octets of a cookie (RFC 7296 §2.6).
pub const MAX_COOKIE: usize = 64;

/// The type of PPK_ID that names a fixed key (RFC 8784 §5.1).
const PPK_ID_FIXED: u8 = 2;

/// An error or a fact.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NotifyView<'a> {
    /// Whose SA the SPI names; otherwise of no meaning.
    pub protocol: Protocol,
    /// The SA that it is about; often empty.
    pub spi: &'a [u8],
    /// What is notified.
    pub kind: NotifyType,
    /// What the type says it is.
    pub data: &'a [u8],
}

impl<'a> NotifyView<'a> {
    /// A notification that is not about an existing Child SA.
    pub const fn new(kind: NotifyType, data: &'a [u8]) -> Self {
        Self { protocol: Protocol::NONE, spi: &[], kind, data }
    }

    /// Reads the body of a Notify payload.
    ///
    /// # Errors
    /// [`Malformed::PayloadTruncated`], [`Malformed::RekeySa`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let view = Self::fields(body).ok_or(Malformed::PayloadTruncated(PayloadType::NOTIFY))?;
        if view.kind == NotifyType::REKEY_SA && view.rekey_sa().is_none() {
            return Err(Malformed::RekeySa);
        }
        Ok(view)
    }

    fn fields(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let protocol = Protocol(reader.u8()?);
        let spi_size = usize::from(reader.u8()?);
        let kind = NotifyType(reader.u16()?);
        let spi = reader.octets(spi_size)?;
        Some(Self { protocol, spi, kind, data: reader.0 })
    }

    /// REKEY_SA: protocol and SPI of the Child SA to be replaced, as its sender receives on it
    /// (RFC 7296 §1.3.3).
    pub fn rekey_sa(&self) -> Option<(Protocol, u32)> {
        let is_child = matches!(self.protocol, Protocol::AH | Protocol::ESP);
        let spi = self.of(NotifyType::REKEY_SA)?.spi.try_into().ok().filter(|_| is_child)?;
        Some((self.protocol, u32::from_be_bytes(spi)))
    }

    /// COOKIE: 1 to 64 octets (RFC 7296 §2.6).
    pub fn cookie(&self) -> Option<&'a [u8]> {
        let data = self.of(NotifyType::COOKIE)?.data;
        (!data.is_empty() && data.len() <= MAX_COOKIE).then_some(data)
    }

    /// PPK_IDENTITY: the name of a fixed key, without its type; of no other type is anything known
    /// (RFC 8784 §5.1).
    pub fn fixed_ppk_id(&self) -> Option<&'a [u8]> {
        let (kind, id) = self.of(NotifyType::PPK_IDENTITY)?.data.split_first()?;
        (*kind == PPK_ID_FIXED).then_some(id)
    }

    /// Writes PPK_IDENTITY with the name of a fixed key.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn write_fixed_ppk_id(id: &[u8], writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        Self::new(NotifyType::PPK_IDENTITY, &[PPK_ID_FIXED]).write_with(id, writer)
    }

    /// INVALID_KE_PAYLOAD: the method that is wanted (RFC 7296 §1.2).
    pub fn wanted_key_exchange(&self) -> Option<KeyExchangeMethod> {
        let data = self.of(NotifyType::INVALID_KE_PAYLOAD)?.data.try_into().ok()?;
        Some(KeyExchangeMethod(u16::from_be_bytes(data)))
    }

    /// NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP: a SHA-1 digest (RFC 7296 §2.23).
    pub fn nat_detection(&self) -> Option<&'a [u8; 20]> {
        self.of(NotifyType::NAT_DETECTION_SOURCE_IP)
            .or(self.of(NotifyType::NAT_DETECTION_DESTINATION_IP))?
            .data
            .try_into()
            .ok()
    }

    /// COOKIE2: 8 to 64 octets (RFC 4555 §4.2.5).
    pub fn cookie2(&self) -> Option<&'a [u8]> {
        let data = self.of(NotifyType::COOKIE2)?.data;
        (8..=MAX_COOKIE).contains(&data.len()).then_some(data)
    }

    /// SET_WINDOW_SIZE: how many requests may be outstanding, not zero (RFC 7296 §2.3).
    pub fn window_size(&self) -> Option<u32> {
        let data = self.of(NotifyType::SET_WINDOW_SIZE)?.data.try_into().ok()?;
        Some(u32::from_be_bytes(data)).filter(|&size| size != 0)
    }

    /// AUTH_LIFETIME: seconds within which reauthentication is wanted (RFC 4478 §3).
    pub fn auth_lifetime(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.of(NotifyType::AUTH_LIFETIME)?.data.try_into().ok()?))
    }

    /// INVALID_SPI: the value that nobody has (RFC 7296 §1.5).
    pub fn invalid_spi(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.of(NotifyType::INVALID_SPI)?.data.try_into().ok()?))
    }

    fn of(&self, kind: NotifyType) -> Option<&Self> {
        (self.kind == kind).then_some(self)
    }

    /// Appends a notification that is not about an existing Child SA.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn put(kind: NotifyType, data: &'a [u8], writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        Self::new(kind, data).write(writer)
    }

    /// Appends this payload.
    ///
    /// # Errors
    /// [`NoSpace`], also for an SPI of more than 255 octets.
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        self.write_with(&[], writer)
    }

    /// Writes it with `more` behind its data.
    fn write_with(&self, more: &[u8], writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        let spi_size = u8::try_from(self.spi.len()).map_err(|_| NoSpace)?;
        writer.payload(PayloadType::NOTIFY, |body| {
            body.put(&[self.protocol.0, spi_size])?;
            body.put(&self.kind.0.to_be_bytes())?;
            body.put(self.spi)?;
            body.put(self.data)?;
            body.put(more)
        })
    }
}

code_points! {
    /// Types of notification: errors below 16384, status from there on (RFC 7296 §3.10.1).
    NotifyType(u16) {
        /// A critical payload is not understood; one octet, its type.
        UNSUPPORTED_CRITICAL_PAYLOAD = 1,
        /// No such IKE SA.
        INVALID_IKE_SPI = 4,
        /// Another major version; one octet, the highest that is spoken.
        INVALID_MAJOR_VERSION = 5,
        /// Malformed, or out of all bounds.
        INVALID_SYNTAX = 7,
        /// Outside of the window; four octets, the Message ID.
        INVALID_MESSAGE_ID = 9,
        /// ESP or AH for an SA that is not there.
        INVALID_SPI = 11,
        /// None of the proposals is acceptable.
        NO_PROPOSAL_CHOSEN = 14,
        /// Another key exchange method is wanted; two octets.
        INVALID_KE_PAYLOAD = 17,
        /// The peer is not who it says, or not allowed.
        AUTHENTICATION_FAILED = 24,
        /// Selectors of a single pair of addresses are wanted.
        SINGLE_PAIR_REQUIRED = 34,
        /// No more SAs on this IKE SA.
        NO_ADDITIONAL_SAS = 35,
        /// No address to be given.
        INTERNAL_ADDRESS_FAILURE = 36,
        /// Configuration was expected and is missing.
        FAILED_CP_REQUIRED = 37,
        /// No traffic selector is acceptable.
        TS_UNACCEPTABLE = 38,
        /// A packet did not match its SA's selectors.
        INVALID_SELECTORS = 39,
        /// The new addresses are refused (RFC 4555).
        UNACCEPTABLE_ADDRESSES = 40,
        /// A NAT where none may be (RFC 4555).
        UNEXPECTED_NAT_DETECTED = 41,
        /// Not now.
        TEMPORARY_FAILURE = 43,
        /// No such Child SA.
        CHILD_SA_NOT_FOUND = 44,
        /// No such follow-up state (RFC 9370).
        STATE_NOT_FOUND = 47,
        /// The sender knows of no other IKE SA with this peer.
        INITIAL_CONTACT = 16384,
        /// How many requests may be outstanding.
        SET_WINDOW_SIZE = 16385,
        /// Narrowed; more could be had.
        ADDITIONAL_TS_POSSIBLE = 16386,
        /// Compression.
        IPCOMP_SUPPORTED = 16387,
        /// Digest of the sender's address and port.
        NAT_DETECTION_SOURCE_IP = 16388,
        /// Digest of the receiver's address and port.
        NAT_DETECTION_DESTINATION_IP = 16389,
        /// To be returned before anything is computed.
        COOKIE = 16390,
        /// Transport mode instead of tunnel mode.
        USE_TRANSPORT_MODE = 16391,
        /// Which SA is rekeyed.
        REKEY_SA = 16393,
        /// No traffic flow confidentiality padding, please.
        ESP_TFC_PADDING_NOT_SUPPORTED = 16394,
        /// Fragments other than the first may use the SA.
        NON_FIRST_FRAGMENTS_ALSO = 16395,
        /// MOBIKE (RFC 4555).
        MOBIKE_SUPPORTED = 16396,
        /// RFC 4555.
        ADDITIONAL_IP4_ADDRESS = 16397,
        /// RFC 4555.
        ADDITIONAL_IP6_ADDRESS = 16398,
        /// RFC 4555.
        NO_ADDITIONAL_ADDRESSES = 16399,
        /// RFC 4555.
        UPDATE_SA_ADDRESSES = 16400,
        /// RFC 4555.
        COOKIE2 = 16401,
        /// RFC 4555.
        NO_NATS_ALLOWED = 16402,
        /// Reauthentication is wanted in so many seconds (RFC 4478).
        AUTH_LIFETIME = 16403,
        /// RFC 5685.
        REDIRECT_SUPPORTED = 16406,
        /// RFC 5685.
        REDIRECT = 16407,
        /// RFC 5685.
        REDIRECTED_FROM = 16408,
        /// An IKE SA without Child SA is welcome (RFC 6023).
        CHILDLESS_IKEV2_SUPPORTED = 16418,
        /// RFC 6290.
        QUICK_CRASH_DETECTION = 16419,
        /// RFC 6311.
        IKEV2_MESSAGE_ID_SYNC_SUPPORTED = 16420,
        /// RFC 6311.
        IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED = 16421,
        /// RFC 6311.
        IKEV2_MESSAGE_ID_SYNC = 16422,
        /// RFC 6311.
        IPSEC_REPLAY_COUNTER_SYNC = 16423,
        /// RFC 7383.
        IKEV2_FRAGMENTATION_SUPPORTED = 16430,
        /// RFC 7427.
        SIGNATURE_HASH_ALGORITHMS = 16431,
        /// RFC 8019.
        PUZZLE = 16434,
        /// RFC 8784.
        USE_PPK = 16435,
        /// RFC 8784.
        PPK_IDENTITY = 16436,
        /// RFC 8784.
        NO_PPK_AUTH = 16437,
        /// RFC 9242.
        INTERMEDIATE_EXCHANGE_SUPPORTED = 16438,
        /// RFC 9370.
        ADDITIONAL_KEY_EXCHANGE = 16441,
        /// RFC 9593.
        SUPPORTED_AUTH_METHODS = 16443,
        /// RFC 9867.
        USE_PPK_INT = 16445,
        /// RFC 9867.
        PPK_IDENTITY_KEY = 16446,
    }
}

impl NotifyType {
    /// Whether the request that is answered with this has failed (RFC 7296 §3.10.1).
    pub const fn is_error(self) -> bool {
        self.0 < 16384
    }
}
