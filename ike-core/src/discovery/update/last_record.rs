//! The record that authenticates a message: the last of all, and not a part of what it authenticates (RFC 8945 §5.1,
//! RFC 2931 §3.1).

use domain::base::{Message, ParsedRecord, Rtype};

use super::Discarded;

/// Octets of a message's header.
const HEADER: usize = 12;

pub(super) type Found<'m> = ParsedRecord<'m, [u8]>;

/// The one record of this type and where it starts.
pub(super) fn find(message: &Message<[u8]>, rtype: Rtype) -> Result<Option<(usize, Found<'_>)>, Discarded> {
    let mut section = message.answer().map_err(|_| Discarded::Malformed)?;
    let mut last = None;
    let mut place = 0;
    loop {
        let mut start = section.pos();
        while let Some(record) = section.next() {
            if last.is_some() {
                return Err(Discarded::Misplaced);
            }
            let record = record.map_err(|_| Discarded::Malformed)?;
            if record.rtype() == rtype {
                last = Some((place, start, record));
            }
            start = section.pos();
        }
        let end = section.pos();
        match section.next_section().map_err(|_| Discarded::Malformed)? {
            Some(next) => section = next,
            None if end != message.as_slice().len() => return Err(Discarded::Malformed),
            None => break,
        }
        place += 1;
    }
    match last {
        None => Ok(None),
        // Answer, authority, additional.
        Some((2, start, record)) => Ok(Some((start, record))),
        Some(_) => Err(Discarded::Misplaced),
    }
}

/// The message with this ID and without its last record, from `start` on: header, and what follows it.
pub(super) fn without(octets: &[u8], start: usize, id: u16) -> Option<([u8; HEADER], &[u8])> {
    let mut head: [u8; HEADER] = *octets.first_chunk()?;
    let [id_high, id_low, .., count_high, count_low] = &mut head;
    [*id_high, *id_low] = id.to_be_bytes();
    [*count_high, *count_low] = u16::from_be_bytes([*count_high, *count_low]).checked_sub(1)?.to_be_bytes();
    Some((head, octets.get(HEADER..start)?))
}
