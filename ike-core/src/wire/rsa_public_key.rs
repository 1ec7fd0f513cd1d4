//! RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 Appendix A.1.1): an RSA
//! key within a SubjectPublicKeyInfo (RFC 3279 §2.3.1), and the whole data of CERT with encoding 11.

use super::Malformed;
use super::der::{self, Number, tag};
use super::reader::Reader;
use crate::crypto::{MAX_MODULUS, RsaPublicKey};

/// Octets of the longest encoding.
pub const MAX_LENGTH: usize = 4 + 4 + 1 + MAX_MODULUS + 2 + 1 + 4;

/// Reads one.
///
/// # Errors
/// [`Malformed::Der`]; [`Malformed::UnknownKey`] for numbers that are no key here.
pub fn parse(octets: &[u8]) -> Result<RsaPublicKey, Malformed> {
    let (modulus, exponent) = numbers(octets).ok_or(Malformed::Der)?;
    RsaPublicKey::new(modulus, exponent).ok_or(Malformed::UnknownKey)
}

fn numbers(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(der::only(octets, tag::SEQUENCE)?);
    let numbers = (der::number(&mut reader)?, der::number(&mut reader)?);
    reader.is_empty().then_some(numbers)
}

/// Writes one.
pub fn encode(key: &RsaPublicKey) -> heapless::Vec<u8, MAX_LENGTH> {
    let exponent = key.exponent().to_be_bytes();
    let (modulus, exponent) = (Number::new(key.modulus()), Number::new(&exponent));
    let header = der::header(tag::SEQUENCE, modulus.length() + exponent.length());
    header.into_iter().chain(modulus.octets()).chain(exponent.octets()).collect()
}
