//! RRSIG: the signature over one RRset (RFC 4034 §3), and what makes it valid (RFC 4035 §5.3).

use domain::base::{ParsedName, Rtype, ToName};
use domain::rdata::Rrsig;

use super::super::{MAX_NAME, Name};
use super::dnskey::{self, ZoneKey};
use super::rrset::{self, Record, RrSet, Section};
use super::{Algorithm, Bogus, UnixTime, Validation, canonical};
use crate::crypto::Crypto;

/// Seconds that anything is kept at most.
const MAX_TTL: u32 = 86_400;

/// Seconds by which our clock may be slow, at most; and never more than a tenth of a signature's lifetime. It
/// counts at the beginning of that only: what has expired has expired.
const MAX_SKEW: u32 = 3_600;

/// What a good signature says of its RRset.
#[derive(Copy, Clone)]
pub(super) struct Signed {
    /// s.
    pub(super) ttl: u32,
    pub(super) until: UnixTime,
    /// When it was made, or later.
    pub(super) since: UnixTime,
    /// What the zone gives it, s.
    pub(super) original_ttl: u32,
    /// If the RRset comes from a wildcard: how many labels of its owner stand behind the asterisk.
    pub(super) wildcard: Option<u8>,
}

/// Verifies the RRset `owner` `rtype` of a section by keys of the zone `apex`. One good signature is enough
/// (RFC 6840 §5.4, §5.11); what it says of a wildcard is still to be proved.
pub(super) fn verify<C: Crypto>(
    zone: (&Name, &[ZoneKey<'_>]),
    section: Section,
    (owner, rtype): (&impl ToName, Rtype),
    answer: &mut Validation<'_, C>,
) -> Result<Signed, Bogus> {
    // Both by reference: what is moved takes its room on the stack twice.
    match (&RrSet::find(answer.answer, section, owner, rtype), &owner.try_to_canonical_name()) {
        (Ok(set), Ok(owner)) => verify_set(zone, section, (owner, rtype), set, answer),
        (Err(bogus), _) => Err(*bogus),
        (_, Err(_)) => Err(Bogus::Malformed),
    }
}

/// The same of an RRset that was found; its owner is in canonical form.
pub(super) fn verify_set<C: Crypto>(
    zone: (&Name, &[ZoneKey<'_>]),
    section: Section,
    of: (&Name, Rtype),
    set: &RrSet<'_>,
    answer: &mut Validation<'_, C>,
) -> Result<Signed, Bogus> {
    let (owner, rtype) = of;
    if !owner.ends_with(zone.0) || rtype == Rtype::RRSIG {
        return Err(Bogus::NoSignature);
    }
    match canonical::layout(rtype) {
        None => judge(zone, section, of, (set, &canonical::plain(set)), answer),
        Some(layout) => judge_written(zone, section, of, (set, layout), answer),
    }
}

/// Not inlined, so that the stack does not hold what only types with names in their data need.
#[inline(never)]
fn judge_written<C: Crypto>(
    zone: (&Name, &[ZoneKey<'_>]),
    section: Section,
    of: (&Name, Rtype),
    (set, layout): (&RrSet<'_>, &[canonical::Field]),
    answer: &mut Validation<'_, C>,
) -> Result<Signed, Bogus> {
    let mut scratch = canonical::Scratch::new();
    let data = canonical::written(set, layout, &mut scratch)?;
    judge(zone, section, of, (set, &data), answer)
}

/// Tries the signatures of an RRset, whose `data` is in canonical form.
fn judge<C: Crypto>(
    (apex, keys): (&Name, &[ZoneKey<'_>]),
    section: Section,
    (owner, rtype): (&Name, Rtype),
    (set, data): (&RrSet<'_>, &[&[u8]]),
    answer: &mut Validation<'_, C>,
) -> Result<Signed, Bogus> {
    let mut why = Bogus::NoSignature;
    for record in rrset::records(answer.answer, section)? {
        let record = record?;
        if !record.is(owner, Rtype::RRSIG) {
            continue;
        }
        let Some(signature) = Signature::read(&record).filter(|s| s.fields.type_covered() == rtype) else {
            continue;
        };
        match signature.verify((apex, keys), owner, data, answer) {
            Ok(signed) => return Ok(Signed { ttl: signed.ttl.min(set.ttl), ..signed }),
            Err(Bogus::TooMuchWork) => return Err(Bogus::TooMuchWork),
            // Another zone's, perhaps the parent's: says nothing about ours.
            Err(Bogus::NoSignature) => {}
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// One RRSIG record.
struct Signature<'m> {
    fields: Rrsig<&'m [u8], ParsedName<&'m [u8]>>,
    /// What stands before the signer's name.
    head: &'m [u8; 18],
    /// Of the record itself, s.
    ttl: u32,
}

impl<'m> Signature<'m> {
    fn read(record: &Record<'m>) -> Option<Self> {
        let fields = Rrsig::parse(&mut record.data.parser()?).ok()?;
        Some(Self { fields, head: record.data.octets().first_chunk()?, ttl: record.ttl })
    }

    /// RFC 4035 §5.3.1: what must hold before it is worth computing.
    fn verify<C: Crypto>(
        &self,
        (apex, keys): (&Name, &[ZoneKey<'_>]),
        owner: &Name,
        data: &[&[u8]],
        answer: &mut Validation<'_, C>,
    ) -> Result<Signed, Bogus> {
        let fields = &self.fields;
        if !fields.signer_name().name_eq(apex) {
            return Err(Bogus::NoSignature);
        }
        let labels = fields.labels();
        if labels > owner.rrsig_label_count() || labels < apex.rrsig_label_count() {
            return Err(Bogus::BadSignature);
        }
        let (inception, expiration) = (fields.inception().into_int(), fields.expiration().into_int());
        let left = time_left(inception, expiration, answer.now)?;
        let algorithm = Algorithm::from_number(fields.algorithm().to_int()).ok_or(Bogus::NoKey)?;
        let head = self.record_head(owner);
        let signed = self.signed_data(apex, &head, data);
        let mut why = Bogus::NoKey;
        for key in dnskey::candidates(keys, fields.key_tag(), algorithm) {
            match answer.verify(key, &signed, fields.signature()) {
                Ok(()) => {
                    let original_ttl = fields.original_ttl().as_secs();
                    let ttl = original_ttl.min(self.ttl).min(left).min(MAX_TTL);
                    let until = UnixTime(answer.now.0 + u64::from(left));
                    let lifetime = expiration.wrapping_sub(inception);
                    let since = UnixTime(until.0.saturating_sub(lifetime.into()));
                    let wildcard = (labels < owner.rrsig_label_count()).then_some(labels);
                    return Ok(Signed { ttl, until, since, original_ttl, wildcard });
                }
                Err(Bogus::TooMuchWork) => return Err(Bogus::TooMuchWork),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    /// RFC 4035 §5.3.2: the owner, or the wildcard that it comes from, type, class and Original TTL, as they
    /// stand in front of the data of each record.
    fn record_head(&self, owner: &Name) -> heapless::Vec<u8, { MAX_NAME + 10 }> {
        let labels = usize::from(self.fields.labels());
        let superfluous = usize::from(owner.rrsig_label_count()).saturating_sub(labels);
        let is_expanded = superfluous > 0;
        // An asterisk in front of an owner is no label in the sense of the field.
        let superfluous = superfluous + usize::from(is_expanded && owner.first().is_wildcard());
        let [covered0, covered1, _, _, ttl @ .., _, _, _, _, _, _, _, _, _, _] = self.head;
        let suffix = owner.iter_suffixes().nth(superfluous);
        let asterisk: &[u8] = if is_expanded { &[1, b'*'] } else { &[] };
        let owner = asterisk.iter().chain(suffix.iter().flat_map(|suffix| suffix.as_slice()));
        owner.chain([covered0, covered1, &0, &1]).chain(ttl).copied().collect()
    }

    /// RFC 4034 §3.1.8.1: the fields of the RRSIG with the signer in lower case, then each record.
    fn signed_data<'d>(
        &'d self,
        apex: &'d Name,
        head: &'d [u8],
        data: &[&'d [u8]],
    ) -> heapless::Vec<&'d [u8], { 2 + 2 * rrset::MAX_RRSET }> {
        let records = data.iter().flat_map(|counted| [head, counted]);
        [self.head, apex.as_slice()].into_iter().chain(records).collect()
    }
}

/// Seconds until a signature expires, in serial number arithmetic (RFC 4034 §3.1.5, RFC 1982): it is not
/// valid if the two moments are 2^31 s apart, or the wrong way round.
fn time_left(inception: u32, expiration: u32, now: UnixTime) -> Result<u32, Bogus> {
    let since = |earlier: u32, later: u32| u32::try_from(later.wrapping_sub(earlier).cast_signed()).ok();
    let now = now.0 as u32;
    let lifetime = since(inception, expiration).ok_or(Bogus::BadSignature)?;
    let left = since(now, expiration).ok_or(Bogus::Expired)?;
    let skew = (lifetime / 10).min(MAX_SKEW);
    since(inception, now.wrapping_add(skew)).ok_or(Bogus::NotYetValid)?;
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = 86_400;
    const NOW: UnixTime = UnixTime(1_795_000_000);

    fn left(inception: i64, expiration: i64) -> Result<u32, Bogus> {
        let at = |offset: i64| NOW.0.wrapping_add_signed(offset) as u32;
        time_left(at(inception), at(expiration), NOW)
    }

    /// RFC 4035 §5.3.1: inception ≤ now ≤ expiration.
    #[test]
    fn a_signature_is_valid_from_inception_to_expiration() {
        assert_eq!(left(-1, 100), Ok(100));
        assert_eq!(left(0, 0), Ok(0));
        assert_eq!(left(-100, 0), Ok(0));
        assert_eq!(left(-100, -1), Err(Bogus::Expired));
        assert_eq!(left(100, -100), Err(Bogus::BadSignature));
    }

    /// A clock may be slow by a tenth of the lifetime, an hour at most; being fast is no excuse.
    #[test]
    fn a_slow_clock_is_forgiven_a_little() {
        assert_eq!(left(3_600, 30 * i64::from(DAY)), Ok(30 * DAY));
        assert_eq!(left(3_601, 30 * i64::from(DAY)), Err(Bogus::NotYetValid));
        assert_eq!(left(100, 1_100), Ok(1_100));
        assert_eq!(left(100, 1_099), Err(Bogus::NotYetValid));
    }

    /// RFC 4034 §3.1.5: times go round in 2106, and nothing lasts 2^31 s (RFC 1982 §3.2).
    #[test]
    fn times_are_serial_numbers() {
        let after_2106 = UnixTime((1 << 32) + 1_000);
        assert_eq!(time_left(u32::MAX - 500, 2_000, after_2106), Ok(1_000));
        assert_eq!(time_left(u32::MAX - 500, u32::MAX - 1, after_2106), Err(Bogus::Expired));
        let now = NOW.0 as u32;
        assert_eq!(time_left(now - 1, (now - 1).wrapping_add(1 << 31), NOW), Err(Bogus::BadSignature));
    }
}
