//! Public keys as SubjectPublicKeyInfo (RFC 5280 §4.1, RFC 7670 §3), also taken out of a
//! certificate.
//!
//! Ed25519 (RFC 8410) and P-256 (RFC 5480) have one encoding each, compared octet by octet. Of a
//! certificate only the outer structure is walked, in strict DER without recursion: it is a carrier
//! of its key, nobody's signature or name is looked at.

use super::Malformed;
use super::reader::Reader;
use crate::crypto::PublicKey;

/// Octets of the longest SubjectPublicKeyInfo: that of a P-256 key.
pub const MAX_LENGTH: usize = 91;

/// SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING of 32 octets }.
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING of an uncompressed point }.
const P256_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Reads a SubjectPublicKeyInfo: the data of CERT with encoding 15. Whether it holds a point is found
/// out by verification.
///
/// # Errors
/// [`Malformed::UnknownKey`] for everything but the exact encodings of the two algorithms.
pub fn parse(der: &[u8]) -> Result<PublicKey, Malformed> {
    let ed25519 = || der.strip_prefix(&ED25519_PREFIX)?.try_into().ok().map(PublicKey::Ed25519);
    let p256 = || der.strip_prefix(&P256_PREFIX)?.try_into().ok().map(PublicKey::EcdsaP256);
    ed25519().or_else(p256).ok_or(Malformed::UnknownKey)
}

/// Takes the key out of an X.509 certificate: the data of CERT with encoding 4.
///
/// # Errors
/// [`Malformed::Der`], [`Malformed::UnknownKey`].
pub fn from_certificate(der: &[u8]) -> Result<PublicKey, Malformed> {
    parse(find_in_certificate(der).ok_or(Malformed::Der)?)
}

/// The SubjectPublicKeyInfo of a key.
pub fn encode(key: &PublicKey) -> heapless::Vec<u8, MAX_LENGTH> {
    let (prefix, key): (&[u8], &[u8]) = match key {
        PublicKey::Ed25519(key) => (&ED25519_PREFIX, key),
        PublicKey::EcdsaP256(key) => (&P256_PREFIX, key),
    };
    prefix.iter().chain(key).copied().collect()
}

/// Identifier octets of the elements that a certificate is made of.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const BIT_STRING: u8 = 0x03;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const VERSION: u8 = 0xa0;
}

/// The SubjectPublicKeyInfo within a certificate, header included (RFC 5280 §4.1).
fn find_in_certificate(der: &[u8]) -> Option<&[u8]> {
    let mut outer = Reader(der);
    let mut certificate = Reader(element(&mut outer, tag::SEQUENCE)?);
    let mut tbs = Reader(element(&mut certificate, tag::SEQUENCE)?);
    element(&mut certificate, tag::SEQUENCE)?;
    element(&mut certificate, tag::BIT_STRING)?;
    if !outer.is_empty() || !certificate.is_empty() {
        return None;
    }
    if tbs.0.first() == Some(&tag::VERSION) {
        element(&mut tbs, tag::VERSION)?;
    }
    element(&mut tbs, tag::INTEGER)?;
    for _signature_issuer_validity_subject in 0..4 {
        element(&mut tbs, tag::SEQUENCE)?;
    }
    let start = tbs.0;
    element(&mut tbs, tag::SEQUENCE)?;
    start.get(..start.len().checked_sub(tbs.0.len())?)
}

/// Takes one element with this identifier off `reader` and returns its contents.
fn element<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    if reader.u8()? != tag {
        return None;
    }
    let length = length(reader)?;
    reader.octets(length)
}

/// A definite length in its shortest form, below 65,536.
fn length(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.u8()? {
        short @ 0..=0x7f => Some(usize::from(short)),
        0x81 => reader.u8().filter(|&length| length >= 0x80).map(usize::from),
        0x82 => reader.u16().filter(|&length| length >= 0x100).map(usize::from),
        _ => None,
    }
}
