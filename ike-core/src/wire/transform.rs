//! Transforms and their attributes (RFC 7296 §3.3.2, §3.3.5).
//!
//! A transform with an identifier or attribute that is not understood can still be read past: it
//! is unusable, and the others of its type are not (§3.3.6).

use super::code_point::code_points;
use super::reader::Reader;
use super::writer::Octets;
use super::{Malformed, NoSpace};

code_points! {
    /// What a transform is for (RFC 7296 §3.3.2).
    TransformType(u8) {
        /// Encryption.
        ENCR = 1,
        /// Pseudorandom function.
        PRF = 2,
        /// Integrity.
        INTEG = 3,
        /// Key exchange method, formerly Diffie-Hellman group.
        KE = 4,
        /// Sequence numbers.
        ESN = 5,
        /// Additional key exchanges in the order in which they take place (RFC 9370 §2.2.1), with the
        /// identifiers of KE.
        ADDKE1 = 6,
        /// The second.
        ADDKE2 = 7,
        /// The third.
        ADDKE3 = 8,
        /// The fourth.
        ADDKE4 = 9,
        /// The fifth.
        ADDKE5 = 10,
        /// The sixth.
        ADDKE6 = 11,
        /// The seventh.
        ADDKE7 = 12,
    }
}

code_points! {
    /// Encryption algorithms: transform type 1.
    EncryptionId(u16) {
        /// No encryption (RFC 2410).
        NULL = 11,
        /// AES in CBC mode (RFC 3602).
        AES_CBC = 12,
        /// AES-CCM with an ICV of 8 octets (RFC 4309).
        AES_CCM_8 = 14,
        /// AES-GCM with an ICV of 16 octets (RFC 4106).
        AES_GCM_16 = 20,
        /// No encryption, AES-GMAC (RFC 4543).
        NULL_AUTH_AES_GMAC = 21,
        /// ChaCha20-Poly1305 (RFC 7634).
        CHACHA20_POLY1305 = 28,
    }
}

code_points! {
    /// Integrity algorithms: transform type 3.
    IntegrityId(u16) {
        /// None: the encryption algorithm authenticates too.
        NONE = 0,
        /// HMAC-SHA-256, ICV of 16 octets (RFC 4868).
        HMAC_SHA2_256_128 = 12,
        /// HMAC-SHA-512, ICV of 32 octets.
        HMAC_SHA2_512_256 = 14,
    }
}

code_points! {
    /// Key exchange methods: transform type 4 (RFC 7296 §3.3.2, RFC 8031, RFC 5903).
    KeyExchangeMethod(u16) {
        /// None.
        NONE = 0,
        /// 2048-bit MODP group.
        MODP_2048 = 14,
        /// NIST P-256.
        P256 = 19,
        /// NIST P-384.
        P384 = 20,
        /// Curve25519.
        CURVE25519 = 31,
        /// ML-KEM-512.
        ML_KEM_512 = 35,
        /// ML-KEM-768.
        ML_KEM_768 = 36,
    }
}

code_points! {
    /// Sequence numbers: transform type 5.
    SequenceNumbers(u16) {
        /// 32 bits.
        SHORT = 0,
        /// 64 bits.
        EXTENDED = 1,
    }
}

const KEY_LENGTH: u16 = 14;
/// Bit of an attribute's type: the value is the next 16 bits (TV form).
const SHORT_FORM: u16 = 0x8000;
const LAST: u8 = 0;
const MORE: u8 = 3;

/// A transform to be offered or chosen.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Transform {
    /// What it is for.
    pub kind: TransformType,
    /// Which one, by the numbers of its type.
    pub id: u16,
    /// Key length in bits, where the algorithm has several (RFC 7296 §3.3.5).
    pub key_length: Option<u16>,
}

/// A transform that was offered or chosen.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct TransformView {
    /// What it is for.
    pub kind: TransformType,
    /// Which one, by the numbers of its type.
    pub id: u16,
    /// Key length in bits, if it is a good one.
    pub key_length: Option<u16>,
    /// Whether all its attributes are understood and good (RFC 7296 §3.3.6). Whether `kind` and
    /// `id` are, the negotiation knows.
    pub usable: bool,
}

impl TransformView {
    /// The transform, unless it is unusable.
    pub fn transform(&self) -> Option<Transform> {
        let Self { kind, id, key_length, .. } = *self;
        self.usable.then_some(Transform { kind, id, key_length })
    }
}

impl TransformType {
    /// Those of additional key exchanges.
    pub const ADDITIONAL: [Self; 7] =
        [Self::ADDKE1, Self::ADDKE2, Self::ADDKE3, Self::ADDKE4, Self::ADDKE5, Self::ADDKE6, Self::ADDKE7];

    /// Whether a proposal with transforms of this type can be used at all (RFC 7296 §3.3.6).
    pub const fn is_understood(self) -> bool {
        self.name().is_some()
    }
}

/// Takes the next transform off `reader`; `None` at the end.
pub(super) fn next(reader: &mut Reader<'_>) -> Option<Result<TransformView, Malformed>> {
    if reader.is_empty() {
        return None;
    }
    let transform = read(reader);
    if transform.is_err() {
        *reader = Reader(&[]);
    }
    Some(transform)
}

fn read(reader: &mut Reader<'_>) -> Result<TransformView, Malformed> {
    let (last, mut body) = split(reader).ok_or(Malformed::SubstructureLength)?;
    if last != if reader.is_empty() { LAST } else { MORE } {
        return Err(Malformed::LastSubstructure);
    }
    fields(&mut body).ok_or(Malformed::SubstructureLength)
}

/// Last Substruc, and what follows the length.
fn split<'a>(reader: &mut Reader<'a>) -> Option<(u8, Reader<'a>)> {
    let (last, _reserved) = (reader.u8()?, reader.u8()?);
    let length = usize::from(reader.u16()?);
    Some((last, Reader(reader.octets(length.checked_sub(4)?)?)))
}

fn fields(body: &mut Reader<'_>) -> Option<TransformView> {
    let (kind, _reserved, id) = (TransformType(body.u8()?), body.u8()?, body.u16()?);
    let key_length = read_attributes(body).filter(|length| kind == TransformType::ENCR || length.is_none());
    Some(TransformView { kind, id, key_length: key_length.flatten(), usable: key_length.is_some() })
}

/// The key length, if there is one; `None` when an attribute is unknown, malformed or repeated.
fn read_attributes(reader: &mut Reader<'_>) -> Option<Option<u16>> {
    let mut key_length = None;
    while !reader.is_empty() {
        let (kind, value) = (reader.u16()?, reader.u16()?);
        let is_good = matches!(value, 128 | 192 | 256);
        if kind != SHORT_FORM | KEY_LENGTH || !is_good || key_length.is_some() {
            return None;
        }
        key_length = Some(value);
    }
    Some(key_length)
}

impl Transform {
    /// Appends this substructure as the last of its proposal.
    pub(super) fn write(&self, octets: &mut Octets<'_>) -> Result<(), NoSpace> {
        let start = octets.length();
        octets.put(&[LAST, 0, 0, 0, self.kind.0, 0])?;
        octets.put(&self.id.to_be_bytes())?;
        if let Some(bits) = self.key_length {
            octets.put(&(SHORT_FORM | KEY_LENGTH).to_be_bytes())?;
            octets.put(&bits.to_be_bytes())?;
        }
        octets.patch_length(start, start.saturating_add(2))
    }

    /// Says of the substructure at `at` that another follows.
    pub(super) fn continued(at: usize, octets: &mut Octets<'_>) -> Result<(), NoSpace> {
        octets.patch(at, &[MORE])
    }
}
