//! What the records of an answer say about a name, before anything is proven: records of the type, an alias
//! in their place, or nothing; and which zone claims to have signed it.
//!
//! Only records of the name that was asked for, and of the names that it is an alias under, are looked at:
//! whatever else a server puts into an answer is nobody's word.

use domain::base::name::ToName;
use domain::base::{Message, ParsedName, ParsedRecord, Rtype};
use domain::rdata::{AllRecordData, Cname, Dname, Rrsig, Soa};

use super::ipseckey::{Gateway, Ipseckey, RecordKey};
use super::outcome::{ADDRESSES, KEYS};
use super::query::{is_in, rdata};
use super::records::Records;
use super::{Name, ancestor, copy, depth, tlsa};

/// Seconds that the absence of something is remembered at most (RFC 2308 §5).
const MAX_NEGATIVE_TTL: u32 = 3 * 3600;
/// The same where nothing says how long.
const DEFAULT_NEGATIVE_TTL: u32 = 60;
/// Octets of the longest data that is rewritten without compression.
const MAX_RDATA: usize = 640;

/// What an answer says about a name and a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// There are records.
    Records,
    /// The name is an alias of this one (RFC 1034 §3.6.2).
    Alias(Name),
    /// Everything below the ancestor with so many labels is under another name (RFC 6672). `None`: the new
    /// name would be too long.
    Redirect(u8, Option<Name>),
    /// There is nothing.
    Nothing,
}

/// Records that were taken out of an answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Collected {
    /// Records of the type.
    pub(crate) seen: u8,
    /// Those that can be used.
    pub(crate) usable: u8,
    /// Those that were not taken.
    pub(crate) left_out: u8,
    /// The least of their TTLs, in seconds.
    pub(crate) ttl: u32,
}

fn answers(message: &Message<[u8]>) -> impl Iterator<Item = ParsedRecord<'_, [u8]>> {
    message.answer().into_iter().flatten().flatten().filter(is_in)
}

fn authorities(message: &Message<[u8]>) -> impl Iterator<Item = ParsedRecord<'_, [u8]>> {
    message.authority().into_iter().flatten().flatten().filter(is_in)
}

/// The records of an RRset in the answer section.
fn set<'m>(
    message: &'m Message<[u8]>,
    owner: &Name,
    rtype: Rtype,
) -> impl Iterator<Item = ParsedRecord<'m, [u8]>> {
    answers(message).filter(move |record| record.rtype() == rtype && record.owner().name_eq(owner))
}

/// What `message` says about `name` and `rtype`.
pub(crate) fn said(message: &Message<[u8]>, name: &Name, rtype: Rtype) -> Said {
    if set(message, name, rtype).next().is_some() {
        return Said::Records;
    }
    if let Some((owner, target)) = redirection(message, name) {
        return Said::Redirect(owner, target);
    }
    let alias = set(message, name, Rtype::CNAME).find_map(|record| {
        let record = record.into_record::<Cname<ParsedName<&[u8]>>>().ok()??;
        Some(copy(record.data().cname()))
    });
    alias.map_or(Said::Nothing, Said::Alias)
}

/// A DNAME above `name`; the CNAME that comes with it is made anew (RFC 6672 §5.3.1).
fn redirection(message: &Message<[u8]>, name: &Name) -> Option<(u8, Option<Name>)> {
    answers(message).filter(|record| record.rtype() == Rtype::DNAME).find_map(|record| {
        let owner = record.owner();
        if !name.ends_with(&owner) || name.name_eq(&owner) {
            return None;
        }
        let owner_depth = depth(&owner);
        let record = record.into_record::<Dname<ParsedName<&[u8]>>>().ok()??;
        Some((owner_depth, substitute(name, owner_depth, record.data().dname())))
    })
}

/// `name` with `target` in the place of its last `labels` labels (RFC 6672 §2.2).
fn substitute<N: ToName>(name: &Name, labels: u8, target: &N) -> Option<Name> {
    let suffix = ancestor(name.for_slice(), labels);
    let front = name.as_slice().get(..name.len().checked_sub(suffix.len())?)?;
    let mut octets = heapless::Vec::from_slice(front).ok()?;
    octets.extend_from_slice(copy(target).as_slice()).ok()?;
    Name::from_octets(octets).ok()
}

/// The zone that claims to have signed what is `said`: how many labels of `name` it has; `None` when nobody
/// claims it.
pub(crate) fn signer(message: &Message<[u8]>, name: &Name, rtype: Rtype, said: &Said) -> Option<u8> {
    let (owner, covered) = match said {
        Said::Records => (name.clone(), rtype),
        Said::Alias(_) => (name.clone(), Rtype::CNAME),
        Said::Redirect(labels, _) => (ancestor(name.for_slice(), *labels), Rtype::DNAME),
        Said::Nothing => {
            let of = |covered: Rtype| find_signer(authorities(message), None, covered, name);
            return of(Rtype::SOA).or_else(|| of(Rtype::NSEC)).or_else(|| of(Rtype::NSEC3));
        }
    };
    find_signer(answers(message), Some(&owner), covered, name)
}

fn find_signer<'m>(
    mut records: impl Iterator<Item = ParsedRecord<'m, [u8]>>,
    owner: Option<&Name>,
    covered: Rtype,
    name: &Name,
) -> Option<u8> {
    records.find_map(|record| {
        if record.rtype() != Rtype::RRSIG || owner.is_some_and(|owner| !record.owner().name_eq(owner)) {
            return None;
        }
        let record = record.into_record::<Rrsig<&[u8], ParsedName<&[u8]>>>().ok()??;
        let signer = record.data().signer_name();
        (record.data().type_covered() == covered && name.ends_with(signer)).then(|| depth(signer))
    })
}

/// Puts the records of `name` and `rtype` into `into`. Of addresses and keys the first few; keys by their
/// precedence, equals in the order of `draw` (RFC 4025 §2.2). With `own_only`, only keys that the name itself
/// holds (§4.1.2).
pub(crate) fn collect<const N: usize>(
    message: &Message<[u8]>,
    name: &Name,
    rtype: Rtype,
    own_only: bool,
    draw: u32,
    into: &mut Records<N>,
) -> Collected {
    let mut collected = Collected { ttl: u32::MAX, ..Collected::default() };
    for record in set(message, name, rtype) {
        collected.seen = collected.seen.saturating_add(1);
        collected.ttl = collected.ttl.min(record.ttl().as_secs());
    }
    let kept = match rtype {
        Rtype::IPSECKEY => collect_keys(message, name, own_only, draw, &mut collected, into),
        Rtype::A => collect_addresses::<4, N>(message, name, rtype, &mut collected, into),
        Rtype::AAAA => collect_addresses::<16, N>(message, name, rtype, &mut collected, into),
        Rtype::TLSA => {
            // What we can use comes first: of the others there may be more than there is room for.
            let kept = collect_fingerprints(message, name, into);
            let is_other = |record: &ParsedRecord<'_, [u8]>| tlsa::parse(rdata(record)).is_none();
            let others = set(message, name, rtype).filter(is_other);
            kept.saturating_add(collect_plain(others, into))
        }
        _ => collect_plain(set(message, name, rtype), into),
    };
    if !matches!(rtype, Rtype::IPSECKEY | Rtype::A | Rtype::AAAA) {
        collected.usable = kept;
    }
    collected.left_out = collected.seen.saturating_sub(kept);
    collected
}

fn collect_keys<const N: usize>(
    message: &Message<[u8]>,
    name: &Name,
    own_only: bool,
    draw: u32,
    collected: &mut Collected,
    into: &mut Records<N>,
) -> u8 {
    let mut best: heapless::Vec<(u8, u32, &[u8]), KEYS> = heapless::Vec::new();
    for (number, record) in (1..).zip(set(message, name, Rtype::IPSECKEY)) {
        let octets = rdata(&record);
        let Ok(key) = Ipseckey::parse(octets) else { continue };
        let own = match &key.gateway {
            Gateway::None => true,
            Gateway::V4(_) | Gateway::V6(_) => false,
            Gateway::Name(gateway) => gateway == name,
        };
        let usable = match key.key {
            RecordKey::Public(_) => true,
            RecordKey::Absent => false,
            RecordKey::Unusable { .. } => continue,
        };
        if own_only && !own {
            continue;
        }
        collected.usable = collected.usable.saturating_add(usable.into());
        if best.iter().any(|(_, _, other)| *other == octets) {
            continue;
        }
        let entry = (key.precedence, draw.wrapping_mul(number).rotate_left(number), octets);
        if best.is_full() && best.last().is_some_and(|last| *last > entry) {
            best.pop();
        }
        if best.push(entry).is_ok() {
            best.sort_unstable();
        }
    }
    let kept = best.iter().filter(|(_, _, octets)| into.push(Rtype::IPSECKEY, octets)).count();
    u8::try_from(kept).unwrap_or(u8::MAX)
}

fn collect_fingerprints<const N: usize>(message: &Message<[u8]>, name: &Name, into: &mut Records<N>) -> u8 {
    let mut all: heapless::Vec<&[u8], KEYS> = heapless::Vec::new();
    for record in set(message, name, Rtype::TLSA) {
        let octets = rdata(&record);
        if tlsa::parse(octets).is_some() && !all.contains(&octets) {
            // The first ones are enough.
            let _ = all.push(octets);
        }
    }
    let kept = all.iter().filter(|octets| into.push(Rtype::TLSA, octets)).count();
    u8::try_from(kept).unwrap_or(u8::MAX)
}

fn collect_plain<'m, const N: usize>(
    records: impl Iterator<Item = ParsedRecord<'m, [u8]>>,
    into: &mut Records<N>,
) -> u8 {
    let kept = records.filter(|record| push_plain(record, into)).count();
    u8::try_from(kept).unwrap_or(u8::MAX)
}

fn collect_addresses<const LENGTH: usize, const N: usize>(
    message: &Message<[u8]>,
    name: &Name,
    rtype: Rtype,
    collected: &mut Collected,
    into: &mut Records<N>,
) -> u8 {
    let addresses = set(message, name, rtype).filter(|record| rdata(record).len() == LENGTH);
    let kept = addresses.take(ADDRESSES).filter(|record| into.push(rtype, rdata(record))).count();
    collected.usable = u8::try_from(kept).unwrap_or(u8::MAX);
    collected.usable
}

/// Types of RFC 1035 are put down without compression (RFC 3597 §4), all others as they are.
fn push_plain<const N: usize>(record: &ParsedRecord<'_, [u8]>, into: &mut Records<N>) -> bool {
    use domain::base::rdata::ComposeRecordData;
    let rtype = record.rtype();
    if !matches!(
        rtype,
        Rtype::NS | Rtype::CNAME | Rtype::SOA | Rtype::PTR | Rtype::MX | Rtype::MINFO | Rtype::SRV
    ) {
        return into.push(rtype, rdata(record));
    }
    let Ok(record) = record.to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>() else {
        return false;
    };
    let mut octets = heapless::Vec::<u8, MAX_RDATA>::new();
    record.data().compose_canonical_rdata(&mut octets).is_ok() && into.push(rtype, &octets)
}

/// Seconds that the absence of something may be remembered (RFC 2308 §5).
pub(crate) fn negative_ttl(message: &Message<[u8]>) -> u32 {
    let soa = authorities(message).find_map(|record| {
        let ttl = record.ttl().as_secs();
        let record = record.into_record::<Soa<ParsedName<&[u8]>>>().ok()??;
        Some(ttl.min(record.data().minimum().as_secs()))
    });
    soa.unwrap_or(DEFAULT_NEGATIVE_TTL).min(MAX_NEGATIVE_TTL)
}

/// The TTL of the alias or redirection, in seconds.
pub(crate) fn alias_ttl(message: &Message<[u8]>, name: &Name, said: &Said) -> u32 {
    let (owner, rtype) = match said {
        Said::Redirect(labels, _) => (ancestor(name.for_slice(), *labels), Rtype::DNAME),
        _ => (name.clone(), Rtype::CNAME),
    };
    set(message, &owner, rtype).map(|record| record.ttl().as_secs()).min().unwrap_or(0)
}
