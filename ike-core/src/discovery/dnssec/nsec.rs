//! NSEC: a name, its types, and the next name of the zone in canonical order; between them is nothing
//! (RFC 4034 §4).

use core::cmp::Ordering;

use domain::base::{ParsedName, ToName, name};

use super::super::Name;
use super::denial::{Absence, ancestor, common_labels, wildcard};
use super::rrset::Record;
use super::types::Types;

/// One record.
pub(super) struct Nsec<'m> {
    owner: ParsedName<&'m [u8]>,
    next: name::Name<&'m [u8]>,
    types: Types<'m>,
}

impl<'m> Nsec<'m> {
    /// `None` when its data is malformed. The next name is never compressed (RFC 4034 §4.1.1).
    pub(super) fn read(record: &Record<'m>) -> Option<Self> {
        let mut parser = domain::dep::octseq::Parser::from_ref(record.data.octets());
        let next = name::Name::parse(&mut parser).ok()?;
        let types = parser.parse_octets(parser.remaining()).ok()?;
        Some(Self { owner: record.owner, next, types: Types::read(types)? })
    }

    /// Whether `name` lies between owner and next name, and the zone itself says so: not its parent about
    /// what is below a delegation, nor anybody about what is below a DNAME (RFC 6840 §4.1). The last record
    /// of a zone leads back to its apex.
    fn covers(&self, name: &impl ToName, apex: &Name) -> bool {
        let is_before = match self.next.name_cmp(&self.owner) {
            Ordering::Greater => name.name_cmp(&self.next).is_lt(),
            Ordering::Equal | Ordering::Less => self.next.name_eq(apex),
        };
        let is_below_end = self.types.is_end() && name.ends_with(&self.owner);
        self.owner.name_cmp(name).is_lt() && is_before && !is_below_end
    }

    /// How many labels the closest encloser of `name` has, the root's included: owner and next name exist,
    /// and so do their ancestors.
    fn encloser(&self, name: &impl ToName) -> usize {
        common_labels(name, &self.owner).max(common_labels(name, &self.next))
    }

    /// What the record says of `name` alone: it has an owner's types, or none, if it lies between but the
    /// next name is below it (an empty non-terminal, RFC 4592 §2.2.2).
    fn types_of(&self, name: &impl ToName, apex: &Name) -> Option<Types<'m>> {
        if self.owner.name_eq(name) {
            return Some(self.types);
        }
        (self.covers(name, apex) && self.next.ends_with(name)).then_some(Types::NONE)
    }
}

/// RFC 4035 §5.4: a record at the name; or one over it and one at, or over, the wildcard that would stand for
/// it.
pub(super) fn absence<'m>(records: &[Nsec<'m>], name: &Name, apex: &Name) -> Option<Absence<'m>> {
    if let Some(types) = records.iter().find_map(|record| record.types_of(name, apex)) {
        return Some(Absence::Exists(types));
    }
    let over = records.iter().find(|record| record.covers(name, apex))?;
    let wildcard = wildcard(&ancestor(name, over.encloser(name))?)?;
    if let Some(types) = records.iter().find_map(|record| record.types_of(&wildcard, apex)) {
        return Some(Absence::Wildcard(types));
    }
    records.iter().any(|record| record.covers(&wildcard, apex)).then_some(Absence::NoName)
}

/// RFC 4035 §5.3.4: the name does not exist, and its closest encloser is what the wildcard is below.
pub(super) fn no_closer(records: &[Nsec<'_>], name: &Name, labels: u8, apex: &Name) -> bool {
    records.iter().any(|record| {
        let is_empty_non_terminal = record.next.ends_with(name);
        let encloser = record.encloser(name);
        record.covers(name, apex) && !is_empty_non_terminal && encloser == usize::from(labels) + 1
    })
}
