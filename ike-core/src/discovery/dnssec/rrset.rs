//! RRsets as they lie in a message (RFC 2181 §5): all records of one owner and type, of class IN.

use core::iter;

use domain::base::iana::Class;
use domain::base::{Message, ParsedName, Rtype, ToName};
use domain::dep::octseq::Parser;

use super::Bogus;

/// Records in answer and authority section together; a message with more is not looked at.
const MAX_RECORDS: u32 = 128;

/// Records of one RRset; one with more is not looked at.
pub(super) const MAX_RRSET: usize = 40;

/// Where in a message.
#[derive(Copy, Clone)]
pub(super) enum Section {
    Answer,
    Authority,
}

/// One record.
#[derive(Copy, Clone)]
pub(super) struct Record<'m> {
    pub(super) owner: ParsedName<&'m [u8]>,
    pub(super) rtype: Rtype,
    /// s.
    pub(super) ttl: u32,
    pub(super) data: Data<'m>,
}

impl Record<'_> {
    pub(super) fn is(&self, owner: &impl ToName, rtype: Rtype) -> bool {
        self.rtype == rtype && self.owner.name_eq(owner)
    }
}

/// The data of a record, in its message: names in it may be compressed.
#[derive(Copy, Clone)]
pub(super) struct Data<'m> {
    message: &'m [u8],
    /// Where RDLENGTH begins.
    start: u16,
    length: u16,
}

impl<'m> Data<'m> {
    /// With RDLENGTH in front.
    pub(super) fn counted(self) -> &'m [u8] {
        let start = usize::from(self.start);
        self.message.get(start..start + 2 + usize::from(self.length)).unwrap_or_default()
    }

    /// As it was received.
    pub(super) fn octets(self) -> &'m [u8] {
        self.counted().get(2..).unwrap_or_default()
    }

    /// Reads it, following compressed names into the rest of the message.
    pub(super) fn parser(self) -> Option<Parser<'m, [u8]>> {
        let mut parser = Parser::from_ref(self.message);
        parser.advance(usize::from(self.start) + 2).ok()?;
        parser.parse_parser(usize::from(self.length)).ok()
    }
}

/// The records of a section.
pub(super) fn records(
    message: &Message<[u8]>,
    section: Section,
) -> Result<impl Iterator<Item = Result<Record<'_>, Bogus>>, Bogus> {
    let counts = message.header_counts();
    if u32::from(counts.ancount()) + u32::from(counts.nscount()) > MAX_RECORDS {
        return Err(Bogus::TooMuchWork);
    }
    let mut records = match section {
        Section::Answer => message.answer(),
        Section::Authority => message.authority(),
    }
    .map_err(|_| Bogus::Malformed)?;
    Ok(iter::from_fn(move || {
        loop {
            let Ok(record) = records.next()? else { return Some(Err(Bogus::Malformed)) };
            if record.class() != Class::IN {
                continue;
            }
            let length = record.rdlen();
            let start = records.pos().checked_sub(usize::from(length) + 2);
            let Some(start) = start.and_then(|start| u16::try_from(start).ok()) else {
                return Some(Err(Bogus::Malformed));
            };
            return Some(Ok(Record {
                owner: record.owner(),
                rtype: record.rtype(),
                ttl: record.ttl().as_secs(),
                data: Data { message: message.as_slice(), start, length },
            }));
        }
    }))
}

/// At least one record of one owner and type.
pub(super) struct RrSet<'m> {
    message: &'m [u8],
    /// Start and length of each record's data.
    places: heapless::Vec<(u16, u16), MAX_RRSET>,
    /// The smallest of its TTLs, s.
    pub(super) ttl: u32,
}

impl<'m> RrSet<'m> {
    /// [`Bogus::NoRecords`] when there is none.
    pub(super) fn find(
        message: &'m Message<[u8]>,
        section: Section,
        owner: &impl ToName,
        rtype: Rtype,
    ) -> Result<Self, Bogus> {
        let mut set = Self { message: message.as_slice(), places: heapless::Vec::new(), ttl: u32::MAX };
        for record in records(message, section)? {
            let record = record?;
            if record.is(owner, rtype) {
                set.ttl = set.ttl.min(record.ttl);
                let place = (record.data.start, record.data.length);
                set.places.push(place).map_err(|_| Bogus::TooMuchWork)?;
            }
        }
        if set.places.is_empty() { Err(Bogus::NoRecords) } else { Ok(set) }
    }

    /// The data of its records.
    pub(super) fn data(&self) -> impl Iterator<Item = Data<'m>> {
        let message = self.message;
        self.places.iter().map(move |(start, length)| Data { message, start: *start, length: *length })
    }

    /// How many there are, with duplicates.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}
