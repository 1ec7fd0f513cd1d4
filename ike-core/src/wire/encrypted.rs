//! Encrypted payloads: SK (RFC 7296 §3.14, RFC 5282) and SKF (RFC 7383 §2.5).
//!
//! [`Encrypted`] knows where an encrypted payload lies in its message; [`Encrypted::open`] decrypts
//! it in place. [`EncryptedWriter`] writes a message whose payloads all lie inside SK.

use esp_engine::crypto::{Algorithm, Associated, Cipher};

use super::chain::{Chain, Critical, PAYLOAD_HEADER};
use super::code_point::PayloadType;
use super::header::{Header, Message};
use super::reader::Reader;
use super::writer::{LENGTH_IN_HEADER, NEXT_PAYLOAD_IN_HEADER, Writer};
use super::{Malformed, NoSpace};

/// Octets of fragment number and total.
const FRAGMENT_HEADER: usize = 4;

/// Which part of a fragmented message an SKF payload carries: 1 ≤ number ≤ total (RFC 7383 §2.5).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fragment {
    number: u16,
    total: u16,
}

impl Fragment {
    /// `None` unless 1 ≤ number ≤ total.
    pub const fn new(number: u16, total: u16) -> Option<Self> {
        if number != 0 && number <= total { Some(Self { number, total }) } else { None }
    }

    /// Counted from 1.
    pub const fn number(self) -> u16 {
        self.number
    }

    /// How many there are.
    pub const fn total(self) -> u16 {
        self.total
    }
}

/// Where the encrypted payload of a message lies.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Encrypted {
    /// Type of the first payload inside; zero in every fragment but the first.
    pub first: PayloadType,
    /// The reserved bits of its header and the critical one (RFC 9242 §3.3.2 authenticates them).
    pub reserved: u8,
    /// The fragment, if it is SKF.
    pub fragment: Option<Fragment>,
    /// Offset of the IV in the message: all before it is associated data.
    iv_at: usize,
}

/// An encrypted payload taken apart.
#[derive(Debug)]
pub struct Parts<'m> {
    /// From the first octet of the IKE header to the last before the IV (RFC 5282 §5.1).
    pub associated: &'m [u8],
    /// Explicit IV.
    pub iv: &'m mut [u8],
    /// Payloads, padding and pad length.
    pub text: &'m mut [u8],
    /// Integrity check value.
    pub icv: &'m mut [u8],
}

/// Why an encrypted payload does not open.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum OpenError {
    /// No place for IV, pad length and ICV, or a torn block: whoever sent it, it is dropped.
    Truncated,
    /// The ICV does not match: anybody may have sent it.
    Forged,
    /// More padding than text, and the ICV matches: the peer's own mistake.
    Padding,
}

impl Encrypted {
    /// Finds the encrypted payload. Known payloads before it are authenticated but not encrypted;
    /// they are passed over, and nothing here trusts them.
    ///
    /// # Errors
    /// What is wrong with the chain; [`Malformed::PayloadTruncated`] and
    /// [`Malformed::FragmentNumber`] for SKF. `Ok(None)` when nothing is encrypted.
    pub fn find(message: &Message<'_>) -> Result<Option<Self>, Malformed> {
        let mut found = None;
        for payload in message.chain() {
            let payload = payload?;
            if payload.kind.is_encrypted() {
                found = Some(payload);
            }
        }
        let Some(payload) = found else { return Ok(None) };
        let start = message.octets().len().saturating_sub(payload.body.len());
        let (first, reserved) = (payload.next, payload.flags);
        if payload.kind == PayloadType::SK {
            return Ok(Some(Self { first, reserved, fragment: None, iv_at: start }));
        }
        let fragment = Some(read_fragment(payload.body)?);
        let iv_at = start.saturating_add(FRAGMENT_HEADER);
        Ok(Some(Self { first, reserved, fragment, iv_at }))
    }

    /// Offset of the text in the message.
    pub const fn text_at(&self, algorithm: Algorithm) -> usize {
        self.iv_at.saturating_add(algorithm.iv_length())
    }

    /// Takes `message`, in which this was found or written, apart.
    ///
    /// # Errors
    /// [`Malformed::EncryptedTruncated`] unless there is room for IV, pad length and ICV, and the text is
    /// whole blocks.
    pub fn parts<'m>(&self, message: &'m mut [u8], algorithm: Algorithm) -> Result<Parts<'m>, Malformed> {
        self.split(message, algorithm).ok_or(Malformed::EncryptedTruncated)
    }

    fn split<'m>(&self, message: &'m mut [u8], algorithm: Algorithm) -> Option<Parts<'m>> {
        let (associated, rest) = message.split_at_mut_checked(self.iv_at)?;
        let (iv, rest) = rest.split_at_mut_checked(algorithm.iv_length())?;
        let (text, icv) = rest.split_at_mut_checked(rest.len().checked_sub(algorithm.icv_length())?)?;
        let is_whole = !text.is_empty() && text.len().is_multiple_of(algorithm.block_length());
        is_whole.then_some(Parts { associated, iv, text, icv })
    }

    /// Verifies and decrypts in place; returns the payloads' octets without padding. They are a
    /// chain of their own ([`Encrypted::chain`]) unless this is a fragment.
    ///
    /// # Errors
    /// [`OpenError`]; only with [`OpenError::Padding`] is the peer known to have sent it.
    pub fn open<'m, C: Cipher>(&self, message: &'m mut [u8], cipher: &C) -> Result<&'m [u8], OpenError> {
        let parts = self.split(message, cipher.algorithm()).ok_or(OpenError::Truncated)?;
        cipher
            .open(Associated::Message(parts.associated), parts.iv, parts.text, parts.icv)
            .map_err(|_| OpenError::Forged)?;
        without_padding(parts.text).map_err(|_| OpenError::Padding)
    }

    /// The chain of payloads that [`Encrypted::open`] returned from the message with `header`.
    pub const fn chain<'t>(&self, header: &Header, text: &'t [u8]) -> Chain<'t> {
        Chain::inside(self.first, text, header.critical())
    }
}

/// Octets of payloads that go into a datagram of this size as a fragment: with the pad length they fill whole
/// blocks.
pub const fn capacity(datagram: usize, algorithm: Algorithm) -> usize {
    const HEADERS: usize = Header::LENGTH + PAYLOAD_HEADER + FRAGMENT_HEADER;
    let text = datagram.saturating_sub(HEADERS + algorithm.iv_length() + algorithm.icv_length());
    (text - text % algorithm.block_length()).saturating_sub(1)
}

/// A message as it is without encryption and fragmentation, which is what IKE_INTERMEDIATE authenticates
/// (RFC 9242 §3.3.2). Payloads in front of the encrypted one are left out: none are defined.
#[derive(Clone, Debug)]
pub struct Clear<'m> {
    /// IKE header and header of an SK payload, with the lengths that they would have.
    pub head: [u8; Header::LENGTH + PAYLOAD_HEADER],
    /// The payloads inside.
    pub text: &'m [u8],
}

impl<'m> Clear<'m> {
    /// Of a message with this header, from any of its fragments, and `first` and reserved bits from the first.
    pub fn new(header: &[u8; Header::LENGTH], (first, reserved): (PayloadType, u8), text: &'m [u8]) -> Self {
        let mut head = [0; Header::LENGTH + PAYLOAD_HEADER];
        let all = u32::try_from(head.len().saturating_add(text.len())).unwrap_or(u32::MAX).to_be_bytes();
        let inner =
            u16::try_from(PAYLOAD_HEADER.saturating_add(text.len())).unwrap_or(u16::MAX).to_be_bytes();
        let parts: [(usize, &[u8]); 4] = [
            (0, header),
            (NEXT_PAYLOAD_IN_HEADER, &[PayloadType::SK.0]),
            (LENGTH_IN_HEADER, &all),
            (Header::LENGTH, &[first.0, reserved, inner[0], inner[1]]),
        ];
        for (at, part) in parts {
            head.iter_mut().skip(at).zip(part).for_each(|(to, from)| *to = *from);
        }
        Self { head, text }
    }

    /// Its payloads.
    pub fn chain(&self, critical: Critical) -> Chain<'m> {
        let first = self.head.get(Header::LENGTH).copied().unwrap_or_default();
        Chain::inside(PayloadType(first), self.text, critical)
    }
}

/// Removes pad length and padding, whose octets may be anything (RFC 7296 §3.14).
///
/// # Errors
/// [`Malformed::Padding`].
pub fn without_padding(text: &[u8]) -> Result<&[u8], Malformed> {
    let (pad_length, rest) = text.split_last().ok_or(Malformed::Padding)?;
    let length = rest.len().checked_sub(usize::from(*pad_length)).ok_or(Malformed::Padding)?;
    rest.get(..length).ok_or(Malformed::Padding)
}

fn read_fragment(body: &[u8]) -> Result<Fragment, Malformed> {
    let mut reader = Reader(body);
    let (number, total) =
        reader.u16().zip(reader.u16()).ok_or(Malformed::PayloadTruncated(PayloadType::SKF))?;
    Fragment::new(number, total).ok_or(Malformed::FragmentNumber)
}

/// Writes a message whose payloads lie inside SK or SKF.
#[derive(Debug)]
pub struct EncryptedWriter<'b> {
    writer: Writer<'b>,
    algorithm: Algorithm,
    fragment: Option<Fragment>,
    sk_at: usize,
}

impl<'b> EncryptedWriter<'b> {
    /// Begins the message and its SK payload.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn new(buffer: &'b mut [u8], header: &Header, algorithm: Algorithm) -> Result<Self, NoSpace> {
        Self::begin(buffer, header, algorithm, None)
    }

    /// Begins the message and its SK payload, or its SKF payload for this fragment.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn begin(
        buffer: &'b mut [u8],
        header: &Header,
        algorithm: Algorithm,
        fragment: Option<Fragment>,
    ) -> Result<Self, NoSpace> {
        let mut writer = Writer::new(buffer, header)?;
        let kind = if fragment.is_some() { PayloadType::SKF } else { PayloadType::SK };
        let sk_at = writer.open_payload(kind)?;
        if let Some(Fragment { number, total }) = fragment {
            writer.octets_mut().put(&number.to_be_bytes())?;
            writer.octets_mut().put(&total.to_be_bytes())?;
        }
        writer.octets_mut().zeros(algorithm.iv_length())?;
        Ok(Self { writer, algorithm, fragment, sk_at })
    }

    /// Puts payloads inside that were written before, the first of which is of this type, or a piece of
    /// them: only the first fragment says the type (RFC 7383 §2.5).
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn put(&mut self, first: PayloadType, text: &[u8]) -> Result<(), NoSpace> {
        if self.fragment.is_none_or(|fragment| fragment.number == 1) {
            self.writer.octets_mut().patch(self.sk_at, &[first.0])?;
        }
        self.writer.octets_mut().put(text)
    }

    /// What the payloads inside are written with.
    pub const fn payloads(&mut self) -> &mut Writer<'b> {
        &mut self.writer
    }

    /// Encrypts and authenticates; returns the message. `counter` must never repeat under one key.
    ///
    /// # Errors
    /// [`NoSpace`].
    pub fn seal<C: Cipher>(mut self, cipher: &C, counter: u64) -> Result<&'b mut [u8], NoSpace> {
        let header = PAYLOAD_HEADER + if self.fragment.is_some() { FRAGMENT_HEADER } else { 0 };
        let iv_at = self.sk_at.saturating_add(header);
        let octets = self.writer.octets_mut();
        // Padding up to the cipher's block, which combined modes do not need (RFC 5282 §3).
        let text = octets.length().saturating_sub(iv_at + self.algorithm.iv_length());
        let padding = (text + 1).next_multiple_of(self.algorithm.block_length()) - (text + 1);
        octets.zeros(padding)?;
        octets.put(&[u8::try_from(padding).map_err(|_| NoSpace)?])?;
        octets.zeros(self.algorithm.icv_length())?;
        octets.patch_length(self.sk_at, self.sk_at.saturating_add(2))?;
        let message = self.writer.finish()?;
        let here = Encrypted { first: PayloadType::NONE, reserved: 0, fragment: self.fragment, iv_at };
        let parts = here.split(message, self.algorithm).ok_or(NoSpace)?;
        cipher.seal(counter, Associated::Message(parts.associated), parts.iv, parts.text, parts.icv);
        Ok(message)
    }
}
