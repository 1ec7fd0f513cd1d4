//! Canonical form and order of an RRset's data (RFC 4034 §6.2, §6.3, with the list of types of RFC 6840
//! §5.1). Data that holds no names is used where it lies in the message; only names are written out, into
//! [`Scratch`], uncompressed and in lower case.

use domain::base::{ParsedName, Rtype, ToName};

use super::Bogus;
use super::rrset::{Data, MAX_RRSET, RrSet};

/// Octets of all data of one RRset whose data holds names.
const MAX_WRITTEN: usize = 1024;

/// Where names are written out.
pub(super) type Scratch = heapless::Vec<u8, MAX_WRITTEN>;

/// The data of each record with RDLENGTH in front, in canonical order, duplicates removed.
type Ordered<'s> = heapless::Vec<&'s [u8], MAX_RRSET>;

/// Of a type without names in its data: as it was received.
pub(super) fn plain<'s>(set: &RrSet<'s>) -> Ordered<'s> {
    ordered(set.data().map(Data::counted).collect())
}

fn ordered(mut all: Ordered<'_>) -> Ordered<'_> {
    all.sort_unstable_by(|one, other| one.get(2..).cmp(&other.get(2..)));
    let mut last = None;
    all.retain(|counted| last.replace(*counted) != Some(*counted));
    all
}

/// What stands in the data of a type; whatever follows the last field is taken as it is.
pub(super) enum Field {
    Octets(usize),
    /// `<character-string>`s of RFC 1035 §3.3.
    Strings(usize),
    Name,
}

/// The types whose names are lower case in canonical form. A6 is left out: it is historic (RFC 6563).
pub(super) const fn layout(rtype: Rtype) -> Option<&'static [Field]> {
    use Field::{Name, Octets, Strings};
    match rtype {
        Rtype::NS | Rtype::MD | Rtype::MF | Rtype::CNAME | Rtype::MB | Rtype::MG | Rtype::MR => Some(&[Name]),
        Rtype::PTR | Rtype::DNAME | Rtype::NXT => Some(&[Name]),
        Rtype::SOA | Rtype::MINFO | Rtype::RP => Some(&[Name, Name]),
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX => Some(&[Octets(2), Name]),
        Rtype::PX => Some(&[Octets(2), Name, Name]),
        Rtype::SRV => Some(&[Octets(6), Name]),
        Rtype::NAPTR => Some(&[Octets(4), Strings(3), Name]),
        Rtype::SIG => Some(&[Octets(18), Name]),
        _ => None,
    }
}

/// Of a type with names: written out in `scratch`.
pub(super) fn written<'s>(
    set: &RrSet<'_>,
    layout: &[Field],
    scratch: &'s mut Scratch,
) -> Result<Ordered<'s>, Bogus> {
    let mut ends = heapless::Vec::<usize, MAX_RRSET>::new();
    for data in set.data() {
        write(data, layout, scratch)?;
        ends.push(scratch.len()).map_err(|_| Bogus::TooMuchWork)?;
    }
    let starts = core::iter::once(0).chain(ends.iter().copied());
    Ok(ordered(starts.zip(&ends).filter_map(|(start, end)| scratch.get(start..*end)).collect()))
}

/// Appends the data of one record, with its length then in front.
fn write(data: Data<'_>, layout: &[Field], to: &mut Scratch) -> Result<(), Bogus> {
    let start = to.len();
    let mut parser = data.parser().ok_or(Bogus::Malformed)?;
    append(to, &[0; 2])?;
    for field in layout {
        match field {
            Field::Octets(n) => append(to, parser.parse_octets(*n).map_err(|_| Bogus::Malformed)?)?,
            Field::Strings(n) => {
                for _ in 0..*n {
                    let length = parser.parse_u8().map_err(|_| Bogus::Malformed)?;
                    let string = parser.parse_octets(length.into()).map_err(|_| Bogus::Malformed)?;
                    append(to, &[length])?;
                    append(to, string)?;
                }
            }
            Field::Name => {
                let name = ParsedName::parse_ref(&mut parser).map_err(|_| Bogus::Malformed)?;
                name.compose_canonical(to).map_err(|_| Bogus::TooMuchWork)?;
            }
        }
    }
    append(to, parser.peek_all())?;
    let length = u16::try_from(to.len() - start - 2).map_err(|_| Bogus::TooMuchWork)?;
    if let Some(place) = to.get_mut(start..start + 2) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn append(to: &mut Scratch, octets: &[u8]) -> Result<(), Bogus> {
    to.extend_from_slice(octets).map_err(|_| Bogus::TooMuchWork)
}
