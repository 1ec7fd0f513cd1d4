//! SIG(0) (RFC 2931): a device's own key authenticates one message, and no secret is shared. The server finds the
//! public half in the KEY record of the name that signs.
//!
//! ```text
//! signature over   SIG record's data without the signature | message without the SIG record
//! ```
//! [`Publisher`](super::Publisher) signs by TSIG: the servers that we know take no SIG(0), and one that does has to
//! be answered for by a key of its own, or its answers prove nothing.

use domain::base::iana::{Class, SecurityAlgorithm};
use domain::base::{Message, Record, Rtype, Ttl, UnknownRecordData};
use domain::rdata::Dnskey;

use super::last_record::{find, without};
use super::{Discarded, Name, UnixTime};
use crate::crypto::{Crypto, PublicKey, Sha2, SignatureAlgorithm, Signer};
use crate::discovery::MAX_NAME;
use crate::discovery::dnssec::Algorithm;
use crate::discovery::ipseckey::{MAX_RDATA, encode_key};

/// Flags of a KEY record whose key is a host's and signs messages, and the protocol, DNSSEC
/// (RFC 2535 §3.1.2, §3.1.3).
const FLAGS: u16 = 0x0200;
const PROTOCOL: u8 = 3;
/// Octets of a SIG record's data in front of the signer's name (RFC 2535 §4.1).
const FIXED: usize = 18;
/// Octets of a SIG record in front of its data: the root's name, type, class, TTL, length.
const RECORD: usize = 11;

/// When a signature is good, as of the clocks of both ends. A few minutes each way are usual (RFC 2931 §3.2).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Validity {
    /// Not before.
    pub inception: UnixTime,
    /// Not after.
    pub expiration: UnixTime,
}

/// Why a message was not signed. It is as it was.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum NotSigned {
    /// It is no message, or has too many records.
    Malformed,
    /// There is no room for the signature.
    TooLong,
    /// The key makes none.
    Key,
}

/// The data of the KEY record (RFC 2535 §3.1) under which a server finds this key.
pub fn key_record(key: &PublicKey) -> heapless::Vec<u8, MAX_RDATA> {
    let [high, low] = FLAGS.to_be_bytes();
    let (algorithm, _) = algorithms(key);
    [high, low, PROTOCOL, algorithm.number()].into_iter().chain(encode_key(key).1).collect()
}

/// Signs a message whose last record is not signed yet, in the name of `signer`.
///
/// # Errors
/// [`NotSigned`].
pub fn sign<S: Signer, const N: usize>(
    key: &S,
    signer: &Name,
    validity: Validity,
    message: &mut heapless::Vec<u8, N>,
) -> Result<(), NotSigned> {
    let public = key.public_key();
    let (_, scheme) = algorithms(&public);
    let data = data(&public, signer, validity);
    let signature = key.sign(scheme, &[&data, message]).map_err(|_| NotSigned::Key)?;
    let length = data.len() + signature.len();
    if message.len() + RECORD + length > N {
        return Err(NotSigned::TooLong);
    }
    let [high, low] = u16::try_from(length).map_err(|_| NotSigned::TooLong)?.to_be_bytes();
    let count = message.get_mut(10..12).and_then(|count| count.first_chunk_mut::<2>());
    let count = count.ok_or(NotSigned::Malformed)?;
    *count = u16::from_be_bytes(*count).checked_add(1).ok_or(NotSigned::Malformed)?.to_be_bytes();
    let head: [u8; RECORD] = [0, 0, 24, 0, 255, 0, 0, 0, 0, high, low];
    for piece in [&head[..], &data, &signature] {
        message.extend_from_slice(piece).map_err(|_| NotSigned::TooLong)?;
    }
    Ok(())
}

/// Whether `signer`, who has this key, signed a request, and whether that is good now.
///
/// # Errors
/// [`Discarded`]: malformed, unsigned, misplaced, of another key, stale, or a wrong signature.
pub fn verify<C: Crypto>(
    crypto: &C,
    (signer, key): (&Name, &PublicKey),
    octets: &[u8],
    now: UnixTime,
) -> Result<(), Discarded> {
    let message = Message::from_slice(octets).map_err(|_| Discarded::Malformed)?;
    let rcode = message.header().rcode().to_int();
    let (start, record) = find(message, Rtype::from_int(24))?.ok_or(Discarded::Unsigned { rcode })?;
    let record: Record<_, UnknownRecordData<_>> =
        record.to_record().ok().flatten().ok_or(Discarded::Malformed)?;
    if record.class() != Class::ANY || record.ttl() != Ttl::ZERO {
        return Err(Discarded::Malformed);
    }
    let rdata: &[u8] = record.data().data();
    let (data, signature) =
        rdata.split_at_checked(FIXED + signer.as_slice().len()).ok_or(Discarded::Malformed)?;
    let validity = validity(data).ok_or(Discarded::Malformed)?;
    // All else that stands there is what the signer would have written.
    if !data.eq_ignore_ascii_case(&self::data(key, signer, validity)) {
        return Err(Discarded::OtherKey);
    }
    let (head, body) = without(octets, start, message.header().id()).ok_or(Discarded::Malformed)?;
    let (_, scheme) = algorithms(key);
    crypto.verify(key, scheme, &[data, &head, body], signature).map_err(|_| Discarded::BadMac)?;
    if is_over(validity.inception, now) && is_over(now, validity.expiration) {
        Ok(())
    } else {
        Err(Discarded::Stale)
    }
}

/// What of the record is signed.
fn data(key: &PublicKey, signer: &Name, validity: Validity) -> heapless::Vec<u8, { FIXED + MAX_NAME }> {
    let (algorithm, _) = algorithms(key);
    // Of no type, of no labels, and with no TTL of its own (RFC 2931 §3).
    let fixed = [0, 0, algorithm.number(), 0, 0, 0, 0, 0].into_iter();
    let times = [validity.expiration, validity.inception].map(|time| seconds(time).to_be_bytes());
    let name = signer.as_slice().iter().copied();
    fixed.chain(times.into_iter().flatten()).chain(key_tag(key).to_be_bytes()).chain(name).collect()
}

fn validity(data: &[u8]) -> Option<Validity> {
    let time = |at: usize| Some(UnixTime(u32::from_be_bytes(*data.get(at..)?.first_chunk()?).into()));
    Some(Validity { expiration: time(8)?, inception: time(12)? })
}

/// In 32 bits, as it is written.
fn seconds(time: UnixTime) -> u32 {
    time.0 as u32
}

/// Whether `earlier` is not behind `later`, in serial arithmetic (RFC 1982).
fn is_over(earlier: UnixTime, later: UnixTime) -> bool {
    seconds(later).wrapping_sub(seconds(earlier)) < 1 << 31
}

/// RFC 4034 App. B.
fn key_tag(key: &PublicKey) -> u16 {
    let (algorithm, _) = algorithms(key);
    let algorithm = SecurityAlgorithm::from_int(algorithm.number());
    Dnskey::new(FLAGS, PROTOCOL, algorithm, encode_key(key).1).map_or(0, |record| record.key_tag())
}

fn algorithms(key: &PublicKey) -> (Algorithm, SignatureAlgorithm) {
    match key {
        PublicKey::Ed25519(_) => (Algorithm::Ed25519, SignatureAlgorithm::Ed25519),
        PublicKey::EcdsaP256(_) => (Algorithm::EcdsaP256Sha256, SignatureAlgorithm::Ecdsa(Sha2::Sha256)),
        PublicKey::EcdsaP384(_) => (Algorithm::EcdsaP384Sha384, SignatureAlgorithm::Ecdsa(Sha2::Sha384)),
        PublicKey::Rsa(_) => (Algorithm::RsaSha256, SignatureAlgorithm::RsaPkcs1(Sha2::Sha256)),
    }
}

#[cfg(test)]
mod tests;
