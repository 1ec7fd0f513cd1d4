//! A client's question: what is read of it, and what is changed before it is passed on. Of a question that is passed on only the ID and a greedy UDP size change (RFC 6891 §6.2.5:
//! what does not fit IPv6's smallest packet would come in fragments).

use domain::base::Rtype;
use domain::base::iana::{Class, Opcode};
use domain::base::message::Message;
use domain::base::name::ToName;

use super::error::Discarded;
use super::reply::Refused;
use crate::discovery::Name;

/// Octets of the longest datagram that we ask for, and send.
pub(super) const UDP_SIZE: u16 = 1_232;
/// Octets of a header (RFC 1035 §4.1.1).
pub(super) const HEADER: usize = 12;
/// What matters of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    /// In lower case.
    pub(super) name: Name,
    pub(super) rtype: Rtype,
    /// Octets that the client takes in a datagram.
    pub(super) udp_size: u16,
    /// Octets up to the end of the question section.
    pub(super) end: usize,
    /// Its OPT record, where there is one.
    pub(super) opt: Option<Opt>,
    /// Whether we answer such questions: not those for all types at once (RFC 8482 §4.1), for a whole zone, or
    /// of another class.
    pub(super) is_served: bool,
}

/// An OPT record (RFC 6891 §6.1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Opt {
    at: usize,
    pub(super) dnssec_ok: bool,
}

/// What becomes of a message that is no question for us.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nobody hears of it.
    Drop(Discarded),
    /// Its sender hears why.
    Answer(Refused),
}

/// Reads a question.
///
/// # Errors
/// [`Fault`].
pub(super) fn read(octets: &[u8]) -> Result<Asked, Fault> {
    let message = Message::from_slice(octets).map_err(|_| Fault::Drop(Discarded::Malformed))?;
    let header = message.header();
    if header.qr() {
        return Err(Fault::Drop(Discarded::NotQuestion));
    }
    if header.opcode() != Opcode::QUERY {
        return Err(Fault::Answer(Refused::NotImplemented));
    }
    let malformed = Fault::Answer(Refused::Malformed);
    let counts = message.header_counts();
    if counts.qdcount() != 1 || counts.ancount() != 0 || counts.nscount() != 0 || counts.arcount() > 2 {
        return Err(malformed);
    }
    let mut questions = message.question();
    let question = questions.next().and_then(Result::ok).ok_or(malformed)?;
    let name = question.qname().try_to_canonical_name().map_err(|_| malformed)?;
    let end = questions.pos();
    let rtype = question.qtype();
    // IXFR, AXFR, MAILB, MAILA and ANY.
    let is_served = question.qclass() == Class::IN && !(251..=255).contains(&rtype.to_int());
    let opt = find_opt(message).map_err(|_| malformed)?;
    let udp_size = opt.map_or(512, |(_, size)| size.max(512));
    Ok(Asked { name, rtype, udp_size, end, opt: opt.map(|(opt, _)| opt), is_served })
}

/// The OPT record with its UDP size; an error when there are two, or it is misplaced.
fn find_opt(message: &Message<[u8]>) -> Result<Option<(Opt, u16)>, ()> {
    let mut section = message.additional().map_err(drop)?;
    let mut found = None;
    loop {
        let at = section.pos();
        let Some(record) = section.next() else { return Ok(found) };
        let record = record.map_err(drop)?;
        if record.rtype() == Rtype::OPT {
            if found.is_some() || !record.owner().is_root() {
                return Err(());
            }
            let dnssec_ok = record.ttl().as_secs() & 0x8000 != 0;
            found = Some((Opt { at, dnssec_ok }, record.class().to_int()));
        }
    }
}

/// Makes a question ready for a server: an ID of ours, and no more than [`UDP_SIZE`] octets in a datagram.
pub(super) fn prepare(octets: &mut [u8], asked: &Asked, id: u16) {
    set_id(octets, id);
    let size = asked.opt.and_then(|opt| octets.get_mut(opt.at.saturating_add(3)..)?.first_chunk_mut::<2>());
    if let Some(size) = size
        && u16::from_be_bytes(*size) > UDP_SIZE
    {
        *size = UDP_SIZE.to_be_bytes();
    }
}

/// Gives a message this ID.
pub(super) fn set_id(octets: &mut [u8], id: u16) {
    if let Some(place) = octets.first_chunk_mut::<2>() {
        *place = id.to_be_bytes();
    }
}

/// The ID of a message.
pub(super) fn id(octets: &[u8]) -> u16 {
    octets.first_chunk::<2>().map_or(0, |id| u16::from_be_bytes(*id))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::super::tests::{name, query};
    use super::*;

    #[test]
    fn what_matters_of_a_question() {
        let octets = query("WWW.Example.NET", Rtype::AAAA, 7);
        let asked = read(&octets).unwrap();
        assert_eq!((asked.name, asked.rtype, asked.udp_size), (name("www.example.net"), Rtype::AAAA, 512));
        assert_eq!(asked.end, octets.len());
    }

    /// RFC 8482 §4.1: nobody gets all types at once; RFC 5936: nor a zone.
    #[test]
    fn meta_types_are_refused() {
        for rtype in [Rtype::ANY, Rtype::AXFR, Rtype::IXFR] {
            assert!(!read(&query("example.net", rtype, 1)).unwrap().is_served);
        }
    }

    #[test]
    fn other_messages() {
        let good = query("example.net", Rtype::A, 1);
        let edited = |at: usize, octet: u8| {
            let mut octets = good.clone();
            octets[at] = octet;
            read(&octets)
        };
        assert_eq!(edited(2, 0x81), Err(Fault::Drop(Discarded::NotQuestion)), "QR");
        assert_eq!(edited(2, 0x29), Err(Fault::Answer(Refused::NotImplemented)), "an update");
        assert_eq!(edited(5, 2), Err(Fault::Answer(Refused::Malformed)), "two questions");
        assert_eq!(edited(7, 1), Err(Fault::Answer(Refused::Malformed)), "an answer in it");
        assert!(!edited(good.len() - 1, 3).unwrap().is_served, "class CHAOS");
        assert_eq!(read(&good[..11]), Err(Fault::Drop(Discarded::Malformed)));
        assert_eq!(read(&good[..good.len() - 1]), Err(Fault::Answer(Refused::Malformed)));
    }

    fn with_opt(size: u16, copies: u8) -> Vec<u8> {
        let mut octets = query("example.net", Rtype::A, 1);
        octets[11] = copies;
        for _ in 0..copies {
            let [high, low] = size.to_be_bytes();
            octets.extend([0, 0, 41, high, low, 0, 0, 0x80, 0, 0, 0]);
        }
        octets
    }

    /// RFC 6891 §6.1.1: one OPT; its other fields reach the server as they are.
    #[test]
    fn a_greedy_udp_size_is_lowered_and_nothing_else() {
        assert_eq!(read(&with_opt(4_096, 2)), Err(Fault::Answer(Refused::Malformed)));
        for (size, passed) in [(4_096, 1_232), (1_232, 1_232), (512, 512)] {
            let mut octets = with_opt(size, 1);
            let asked = read(&octets).unwrap();
            prepare(&mut octets, &asked, 0xABCD);
            let mut expected = with_opt(passed, 1);
            expected[..2].copy_from_slice(&[0xAB, 0xCD]);
            assert_eq!(octets, expected);
        }
    }
}
