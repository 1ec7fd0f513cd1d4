//! Public keys as SubjectPublicKeyInfo (RFC 5280 §4.1, RFC 7670 §3), also taken out of a
//! certificate.
//!
//! Ed25519 (RFC 8410), P-256 and P-384 (RFC 5480) have one encoding each, compared octet by octet; what precedes
//! an RSA key (RFC 3279 §2.3.1) likewise. Of a certificate only the outer structure is walked, in strict
//! DER without recursion: it is a carrier of its key, nobody's signature or name is looked at.

use super::der::{self, tag};
use super::reader::Reader;
use super::{Malformed, rsa_public_key};
use crate::crypto::{PublicKey, longer};

/// Octets of the longest SubjectPublicKeyInfo: that of a P-384 key, or of an RSA key.
pub const MAX_LENGTH: usize = longer(RSA_LENGTH, 120);

const RSA_LENGTH: usize = 4 + RSA_ALGORITHM.len() + 4 + 1 + rsa_public_key::MAX_LENGTH;

/// SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING of 32 octets }.
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING of an uncompressed point }.
const P256_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// SEQUENCE { SEQUENCE { id-ecPublicKey, secp384r1 }, BIT STRING of an uncompressed point }.
const P384_PREFIX: [u8; 24] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04,
];

/// SEQUENCE { rsaEncryption, NULL }.
const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// Reads a SubjectPublicKeyInfo: the data of CERT with encoding 15. Whether it holds a point is found
/// out by verification.
///
/// # Errors
/// [`Malformed::UnknownKey`] for everything but the exact encodings of the known algorithms.
pub fn parse(der: &[u8]) -> Result<PublicKey, Malformed> {
    let ed25519 = || der.strip_prefix(&ED25519_PREFIX)?.try_into().ok().map(PublicKey::Ed25519);
    let p256 = || der.strip_prefix(&P256_PREFIX)?.try_into().ok().map(PublicKey::EcdsaP256);
    let p384 = || der.strip_prefix(&P384_PREFIX)?.try_into().ok().map(PublicKey::EcdsaP384);
    let rsa = || rsa_public_key::parse(rsa_public_key(der)?).ok().map(PublicKey::Rsa);
    ed25519().or_else(p256).or_else(p384).or_else(rsa).ok_or(Malformed::UnknownKey)
}

/// The RSAPublicKey within.
fn rsa_public_key(der: &[u8]) -> Option<&[u8]> {
    let info = der::only(der, tag::SEQUENCE)?.strip_prefix(&RSA_ALGORITHM)?;
    der::only(info, tag::BIT_STRING)?.strip_prefix(&[0])
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
        PublicKey::EcdsaP384(key) => (&P384_PREFIX, key),
        PublicKey::Rsa(key) => return encode_rsa(&rsa_public_key::encode(key)),
    };
    prefix.iter().chain(key).copied().collect()
}

fn encode_rsa(key: &[u8]) -> heapless::Vec<u8, MAX_LENGTH> {
    let bits = der::header(tag::BIT_STRING, 1 + key.len());
    let outer = der::header(tag::SEQUENCE, RSA_ALGORITHM.len() + bits.len() + 1 + key.len());
    let front = outer.into_iter().chain(RSA_ALGORITHM).chain(bits).chain([0]);
    front.chain(key.iter().copied()).collect()
}

/// The SubjectPublicKeyInfo within a certificate, header included (RFC 5280 §4.1).
fn find_in_certificate(der: &[u8]) -> Option<&[u8]> {
    let mut outer = Reader(der);
    let mut certificate = Reader(der::element(&mut outer, tag::SEQUENCE)?);
    let mut tbs = Reader(der::element(&mut certificate, tag::SEQUENCE)?);
    der::element(&mut certificate, tag::SEQUENCE)?;
    der::element(&mut certificate, tag::BIT_STRING)?;
    if !outer.is_empty() || !certificate.is_empty() {
        return None;
    }
    if tbs.0.first() == Some(&tag::VERSION) {
        der::element(&mut tbs, tag::VERSION)?;
    }
    der::element(&mut tbs, tag::INTEGER)?;
    for _signature_issuer_validity_subject in 0..4 {
        der::element(&mut tbs, tag::SEQUENCE)?;
    }
    let start = tbs.0;
    der::element(&mut tbs, tag::SEQUENCE)?;
    start.get(..start.len().checked_sub(tbs.0.len())?)
}
