//! TSIG (RFC 8945): a secret that we share with a server authenticates one message and its answer, by
//! HMAC-SHA-256.
//!
//! ```text
//! request   MAC over                          message | key name, class, TTL, algorithm, times, error, other
//! answer    MAC over  length, request's MAC | message | the same of the answer's TSIG record
//! ```
//! The message is hashed as it is without its TSIG record, with the ID that the record remembers (§4.3.2).

use domain::base::iana::{Class, Opcode, TsigRcode};
use domain::base::{Message, ParsedName, Record, Rtype, ToName, Ttl};
use domain::rdata::tsig::{Time48, Tsig};
use subtle::ConstantTimeEq;

use super::Discarded;
use super::last_record::{Found, find, without};
use super::message::{Octets, Unsigned};
use crate::crypto::{Crypto, Prf, PrfOutput};
use crate::discovery::{Name, UnixTime};

/// Seconds by which the clocks of both ends may differ (RFC 8945 §10).
pub const FUDGE: u16 = 300;

/// Octets of a MAC.
const MAC: usize = 32;
/// Octets of the shortest MAC that is one (RFC 8945 §5.2.2.1): the larger of 10 and half of it.
const MIN_MAC: usize = MAC / 2;

/// The name of HMAC-SHA-256 (RFC 8945 §6).
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\0";

/// A secret and the name that both ends have for it.
#[derive(Clone, Debug)]
pub struct TsigKey {
    name: Name,
    secret: PrfOutput,
}

/// Why octets are no secret.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum BadSecret {
    /// Fewer than [`TsigKey::MIN_SECRET`] octets, which can be guessed.
    Short,
    /// More than [`TsigKey::MAX_SECRET`].
    Long,
}

impl TsigKey {
    /// Octets of the shortest secret.
    pub const MIN_SECRET: usize = 16;
    /// Octets of the longest.
    pub const MAX_SECRET: usize = crate::crypto::MAX_PRF;

    /// A key by its name and secret.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn new(mut name: Name, secret: &[u8]) -> Result<Self, BadSecret> {
        if secret.len() < Self::MIN_SECRET {
            return Err(BadSecret::Short);
        }
        name.make_canonical();
        Ok(Self { name, secret: PrfOutput::new(secret).ok_or(BadSecret::Long)? })
    }

    /// What both ends call it.
    pub const fn name(&self) -> &Name {
        &self.name
    }
}

/// An update that may leave.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) octets: Octets,
    id: u16,
    mac: PrfOutput,
}

/// The message does not fit.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

/// Signs an update as of this time.
pub(super) fn sign<C: Crypto>(
    crypto: &C,
    key: &TsigKey,
    update: Unsigned,
    time: UnixTime,
) -> Result<Signed, TooLong> {
    let time = time48(time);
    let (id, message) = (update.id(), update.octets());
    let variables = Variables { time, fudge: FUDGE, error: 0, other: &[] };
    let mac = compute(crypto, key, None, [message, &[]], &variables);
    let none: &[u8] = &[];
    let rdata = Tsig::new(algorithm(), time, FUDGE, mac.octets(), id, TsigRcode::NOERROR, none);
    let record = Record::new(&key.name, Class::ANY, Ttl::ZERO, rdata.map_err(|_| TooLong)?);
    Ok(Signed { octets: update.finish(record).map_err(|_| TooLong)?, id, mac })
}

/// What an authentic answer says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) rcode: u8,
    /// More was to be said than a datagram holds (§5.3).
    pub(super) truncated: bool,
    /// The server's clock, which it tells when ours is wrong (§5.2.3).
    pub(super) bad_time: Option<UnixTime>,
}

/// Takes `octets` for the answer to `request`, in the order of RFC 8945 §5.2: key, MAC, time, truncation.
pub(super) fn verify<C: Crypto>(
    crypto: &C,
    key: &TsigKey,
    request: &Signed,
    octets: &[u8],
    time: UnixTime,
) -> Result<Answer, Discarded> {
    let message = Message::from_slice(octets).map_err(|_| Discarded::Malformed)?;
    let header = message.header();
    if !header.qr() || header.opcode() != Opcode::UPDATE {
        return Err(Discarded::NotAnswer);
    }
    if header.id() != request.id {
        return Err(Discarded::WrongId);
    }
    let rcode = header.rcode().to_int();
    let (start, record) = find(message, Rtype::TSIG)?.ok_or(Discarded::Unsigned { rcode })?;
    let tsig = read(&record).ok_or(Discarded::Malformed)?;
    if !record.owner().name_eq(&key.name) || !tsig.algorithm().name_eq(&algorithm()) {
        return Err(Discarded::OtherKey);
    }
    match tsig.mac().len() {
        0 => return Err(Discarded::UnsignedError { rcode, error: tsig.error().to_int() }),
        MIN_MAC..=MAC => {}
        _ => return Err(Discarded::Malformed),
    }
    let (head, body) = without(octets, start, tsig.original_id()).ok_or(Discarded::Malformed)?;
    let variables = Variables {
        time: tsig.time_signed(),
        fudge: tsig.fudge(),
        error: tsig.error().to_int(),
        other: tsig.other(),
    };
    let mac = compute(crypto, key, Some(&request.mac), [&head, body], &variables);
    let expected = mac.octets().get(..tsig.mac().len()).unwrap_or_default();
    if !bool::from(expected.ct_eq(tsig.mac())) {
        return Err(Discarded::BadMac);
    }
    let bad_time = match tsig.error() {
        // The answer has our own wrong time; the server's stands behind it.
        TsigRcode::BADTIME => Some(UnixTime(tsig.other_time().ok_or(Discarded::Malformed)?.into())),
        _ if !tsig.is_valid_at(time48(time)) => return Err(Discarded::Stale),
        _ => None,
    };
    if tsig.mac().len() < MAC {
        return Err(Discarded::ShortMac);
    }
    Ok(Answer { rcode, truncated: header.tc(), bad_time })
}

type Data<'m> = Tsig<&'m [u8], ParsedName<&'m [u8]>>;

fn read<'m>(record: &Found<'m>) -> Option<Data<'m>> {
    if record.class() != Class::ANY || record.ttl() != Ttl::ZERO {
        return None;
    }
    record.to_record().ok()?.map(Record::into_data)
}

/// What of a TSIG record enters its MAC (§4.3.3).
struct Variables<'v> {
    time: Time48,
    fudge: u16,
    error: u16,
    other: &'v [u8],
}

fn compute<C: Crypto>(
    crypto: &C,
    key: &TsigKey,
    request: Option<&PrfOutput>,
    [head, body]: [&[u8]; 2],
    variables: &Variables<'_>,
) -> PrfOutput {
    let Variables { time, fudge, error, other } = variables;
    let request_mac = request.map_or(&[][..], PrfOutput::octets);
    let request_length = (request_mac.len() as u16).to_be_bytes();
    let class_and_ttl = [0, 255, 0, 0, 0, 0];
    let pieces: [&[u8]; 12] = [
        if request.is_some() { &request_length } else { &[] },
        request_mac,
        head,
        body,
        key.name.as_slice(),
        &class_and_ttl,
        ALGORITHM,
        &time.into_octets(),
        &fudge.to_be_bytes(),
        &error.to_be_bytes(),
        &(other.len() as u16).to_be_bytes(),
        other,
    ];
    crypto.prf(Prf::HmacSha256, key.secret.octets(), &pieces)
}

fn algorithm() -> domain::base::Name<&'static [u8]> {
    domain::base::Name::from_octets(ALGORITHM).unwrap_or_else(|_| domain::base::Name::root())
}

/// The time as it is written, in 48 bits.
fn time48(time: UnixTime) -> Time48 {
    Time48::from_u64(time.0 & 0xFFFF_FFFF_FFFF)
}

#[cfg(test)]
mod tests;
