//! An answer as it comes from a server: where its chain of aliases ends, which addresses it gives, whether
//! it has a key, and its TTLs, the only thing that changes before a client gets it.

use core::net::IpAddr;

use domain::base::iana::{Opcode, Rcode};
use domain::base::message::{Message, RecordSection, Section};
use domain::base::name::ToName;
use domain::base::wire::ParseError;
use domain::base::{ParsedName, ParsedRecord, Rtype};
use domain::rdata::svcb::value::AllValues;
use domain::rdata::svcb::{Https, Svcb};
use domain::rdata::{A, Aaaa, Cname, Soa};

use super::error::Discarded;
use super::question::{self, Asked};
use crate::discovery::Name;

/// Addresses of one answer that are looked at; an answer with more cannot be protected.
pub(super) const MAX_ADDRESSES: usize = 16;
/// Aliases that are followed.
const MAX_ALIASES: usize = 8;
/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 128;

/// The addresses that a client may take from an answer.
pub(super) type Addresses = heapless::Vec<IpAddr, MAX_ADDRESSES>;

type Record<'a> = ParsedRecord<'a, [u8]>;

/// What matters of an answer to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    /// The end of the aliases, or the target of a service, where it is another name than the asked.
    pub(super) end: Option<Name>,
    /// Every address in it.
    pub(super) addresses: Addresses,
    /// There are more of them.
    pub(super) more: bool,
}

/// What a server says about the key of a name.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum KeyAnswer {
    /// There is one, or it did not fit.
    Some,
    /// There is none, for so many seconds.
    None(u32),
    /// It does not know.
    Unknown,
}

/// Whether a message answers this question.
///
/// # Errors
/// [`Discarded`].
pub(super) fn check(octets: &[u8], id: u16, name: &Name, rtype: Rtype) -> Result<(), Discarded> {
    let message = Message::from_slice(octets).map_err(|_| Discarded::Malformed)?;
    if question::id(octets) != id {
        return Err(Discarded::WrongId);
    }
    if !message.header().qr() || message.header().opcode() != Opcode::QUERY {
        return Err(Discarded::NotAnswer);
    }
    let question = message.sole_question().map_err(|_| Discarded::WrongQuestion)?;
    if question.qtype() != rtype || !question.qname().name_eq(name) {
        return Err(Discarded::WrongQuestion);
    }
    Ok(())
}

/// Reads an answer for a client; `None` when it cannot be read to its end.
pub(super) fn read(octets: &[u8], asked: &Asked) -> Option<Seen> {
    let message = Message::from_slice(octets).ok()?;
    if message.iter().count() > MAX_RECORDS {
        return None;
    }
    let end = end_of_aliases(message, asked)?;
    let mut seen = Seen { end: None, addresses: Addresses::new(), more: false };
    let is_service = matches!(asked.rtype, Rtype::SVCB | Rtype::HTTPS);
    for record in message.iter() {
        let (record, section) = record.ok()?;
        // What servers add to other answers is for servers.
        if section == Section::Answer || (section == Section::Additional && is_service) {
            each_address(record, &mut |address| {
                if !seen.addresses.contains(&address) {
                    seen.more |= seen.addresses.push(address).is_err();
                }
            });
        }
    }
    seen.end = service_target(message).unwrap_or(end).ok().filter(|end| *end != asked.name);
    Some(seen)
}

/// Reads an answer about a key.
pub(super) fn read_key(octets: &[u8]) -> KeyAnswer {
    let Ok(message) = Message::from_slice(octets) else { return KeyAnswer::Unknown };
    if message.header().tc() {
        return KeyAnswer::Some;
    }
    let (Rcode::NOERROR | Rcode::NXDOMAIN) = message.header().rcode() else { return KeyAnswer::Unknown };
    let Ok(mut answer) = message.answer() else { return KeyAnswer::Unknown };
    if answer.any(|record| record.is_ok_and(|record| record.rtype() == Rtype::IPSECKEY)) {
        return KeyAnswer::Some;
    }
    KeyAnswer::None(denial_ttl(message).unwrap_or(0))
}

/// How long a denial may be remembered, in seconds (RFC 2308 §5).
fn denial_ttl(message: &Message<[u8]>) -> Option<u32> {
    let soa = message.authority().ok()?.limit_to::<Soa<ParsedName<&[u8]>>>().next()?.ok()?;
    Some(soa.ttl().as_secs().min(soa.data().minimum().as_secs()))
}

/// Lowers every TTL to `cap` seconds; `false` when the message cannot be read, and then it is as it was.
pub(super) fn cap_ttls(octets: &mut [u8], cap: u32) -> bool {
    let mut places = heapless::Vec::<usize, MAX_RECORDS>::new();
    let found = Message::from_slice(octets).ok().and_then(|message| {
        each_section(message, |section| {
            while let Some(record) = section.next() {
                let record = record?;
                // In OPT, TSIG and SIG(0) the field is none, or zero and signed.
                let is_meta = matches!(record.rtype().to_int(), 24 | 41 | 250);
                let place = section.pos().checked_sub(usize::from(record.rdlen()) + 6);
                if let Some(place) = place.filter(|_| !is_meta && record.ttl().as_secs() > cap) {
                    places.push(place).map_err(|_| ParseError::form_error("too many records"))?;
                }
            }
            Ok(())
        })
        .ok()
    });
    for place in places {
        if let Some(ttl) = octets.get_mut(place..).and_then(|rest| rest.first_chunk_mut::<4>())
            && found.is_some()
        {
            *ttl = cap.to_be_bytes();
        }
    }
    found.is_some()
}

fn each_section(
    message: &Message<[u8]>,
    mut visit: impl FnMut(&mut RecordSection<'_, [u8]>) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    let mut section = Some(message.answer()?);
    while let Some(mut present) = section {
        visit(&mut present)?;
        section = present.next_section()?;
    }
    Ok(())
}

/// Follows the aliases of the answer section (RFC 1034 §3.6.2); those that DNAME makes are among them
/// (RFC 6672 §3.1).
fn end_of_aliases(message: &Message<[u8]>, asked: &Asked) -> Option<Result<Name, ()>> {
    let mut end = asked.name.clone();
    for _ in 0..MAX_ALIASES {
        let aliases = message.answer().ok()?.limit_to::<Cname<ParsedName<&[u8]>>>();
        let Some(alias) = aliases.flatten().find(|alias| alias.owner().name_eq(&end)) else {
            return Some(Ok(end));
        };
        match alias.data().cname().try_to_canonical_name() {
            Ok(target) => end = target,
            Err(_) => return Some(Err(())),
        }
    }
    None
}

/// Where the first service of an SVCB or HTTPS answer is, if it is under another name (RFC 9460 §2.4).
fn service_target(message: &Message<[u8]>) -> Option<Result<Name, ()>> {
    message.answer().ok()?.flatten().find_map(|record| {
        let target = match record.rtype() {
            Rtype::SVCB => *record.to_record::<Svcb<_, ParsedName<_>>>().ok()??.data().target(),
            Rtype::HTTPS => *record.to_record::<Https<_, ParsedName<_>>>().ok()??.data().target(),
            _ => return None,
        };
        (!target.is_root()).then(|| target.try_to_canonical_name().map_err(drop))
    })
}

/// Each address in a record: of A and AAAA, and the hints of SVCB and HTTPS (RFC 9460 §7.3).
fn each_address(record: Record<'_>, take: &mut impl FnMut(IpAddr)) {
    let mut hints = |value| match value {
        AllValues::Ipv4Hint(hint) => hint.iter().for_each(|address| take(IpAddr::V4(address))),
        AllValues::Ipv6Hint(hint) => hint.iter().for_each(|address| take(IpAddr::V6(address))),
        _ => {}
    };
    match record.rtype() {
        Rtype::A => {
            if let Ok(Some(a)) = record.to_record::<A>() {
                take(IpAddr::V4(a.data().addr()));
            }
        }
        Rtype::AAAA => {
            if let Ok(Some(aaaa)) = record.to_record::<Aaaa>() {
                take(IpAddr::V6(aaaa.data().addr()));
            }
        }
        Rtype::SVCB => {
            if let Ok(Some(svcb)) = record.to_record::<Svcb<_, ParsedName<_>>>() {
                svcb.data().params().iter_all().flatten().for_each(&mut hints);
            }
        }
        Rtype::HTTPS => {
            if let Ok(Some(https)) = record.to_record::<Https<_, ParsedName<_>>>() {
                https.data().params().iter_all().flatten().for_each(&mut hints);
            }
        }
        _ => {}
    }
}
