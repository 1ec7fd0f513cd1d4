//! A question as it leaves (RFC 1035 §4.1), and the answer as it comes back, matched to it.
//!
//! ```text
//! header  ID, RD, CD | one question, letters at random | OPT: 1,232 octets, DO, COOKIE
//! ```
//! Whoever does not see the question has to guess port, ID and letters (RFC 5452 §9). What does not match is
//! dropped and we go on waiting; what matches is a whole message, of which nothing has been believed yet.

use domain::base::iana::{Class, Opcode};
use domain::base::{Message, ParsedRecord, Rtype, UnknownRecordData};

use super::output::Discarded;
use super::{MAX_NAME, Name};

/// Octets of the longest answer in a datagram (RFC 6891 §6.2.5): no path cuts it.
pub(crate) const UDP_SIZE: u16 = 1232;
/// Octets of the longest query.
pub(crate) const MAX_QUERY: usize = 12 + MAX_NAME + 4 + 11 + 4 + CLIENT_COOKIE + MAX_SERVER_COOKIE;
/// Octets of our half of a cookie (RFC 7873 §4).
pub(crate) const CLIENT_COOKIE: usize = 8;
/// Octets of the longest half of a server.
pub(crate) const MAX_SERVER_COOKIE: usize = 32;
/// Octets of a server's shortest half.
const MIN_SERVER_COOKIE: usize = 8;
/// Records of a message that we look at.
const MAX_RECORDS: u32 = 128;
/// The option's number (RFC 7873 §4).
const COOKIE: u16 = 10;
/// The extended RCODE that asks for another cookie (RFC 7873 §5.3).
pub(crate) const BADCOOKIE: u16 = 23;
/// The message is none to the server (RFC 1035 §4.1.1).
pub(crate) const FORMERR: u16 = 1;
/// The server does not do this kind of query.
pub(crate) const NOTIMP: u16 = 4;
/// The server does not know this version of EDNS (RFC 6891 §6.1.3).
pub(crate) const BADVERS: u16 = 16;

/// A query that is out, as far as its answer must repeat it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Query<'q> {
    pub(crate) id: u16,
    /// The name in the letters chosen.
    pub(crate) name: &'q [u8],
    pub(crate) rtype: Rtype,
    /// We validate ourselves, and want to see also what the server thinks bogus (RFC 6840 §5.9).
    pub(crate) checking_disabled: bool,
    pub(crate) client_cookie: [u8; CLIENT_COOKIE],
    /// What the server gave; empty at first.
    pub(crate) server_cookie: &'q [u8],
    /// Who answers a datagram has to prove that it is the server that gave it; a connection proves enough.
    pub(crate) datagram: bool,
}

/// An answer to one of our questions.
#[derive(Debug)]
pub(crate) struct Received<'m> {
    pub(crate) message: &'m Message<[u8]>,
    /// With its extended bits.
    pub(crate) rcode: u16,
    /// There is more than the datagram holds; what it holds is not to be looked at.
    pub(crate) truncated: bool,
    /// The server says that it validated it (RFC 4035 §3.2.3).
    pub(crate) authentic: bool,
    /// The server's half of the cookie.
    pub(crate) cookie: Option<&'m [u8]>,
}

/// The name's octets, each letter upper or lower as its bit of `letters` says.
pub(crate) fn spell(name: &Name, letters: &[u8; 32]) -> heapless::Vec<u8, MAX_NAME> {
    // Lengths of labels are below any letter.
    let upper = |at: usize| letters.get(at / 8).is_some_and(|bits| bits >> (at % 8) & 1 == 1);
    let spelled = name.as_slice().iter().enumerate();
    spelled.map(|(at, o)| if upper(at) { o.to_ascii_uppercase() } else { o.to_ascii_lowercase() }).collect()
}

impl Query<'_> {
    /// The message.
    pub(crate) fn write(&self) -> heapless::Vec<u8, MAX_QUERY> {
        let [id_high, id_low] = self.id.to_be_bytes();
        let [type_high, type_low] = self.rtype.to_int().to_be_bytes();
        let [size_high, size_low] = UDP_SIZE.to_be_bytes();
        let checking = if self.checking_disabled { 0x10 } else { 0x20 };
        let cookie_length = (CLIENT_COOKIE + self.server_cookie.len()) as u8;
        let header = [id_high, id_low, 0x01, checking, 0, 1, 0, 0, 0, 0, 0, 1];
        let question = [type_high, type_low, 0, 1];
        let opt =
            [0, 0, 41, size_high, size_low, 0, 0, 0x80, 0, 0, cookie_length + 4, 0, 10, 0, cookie_length];
        let front = header.iter().chain(self.name).chain(&question).chain(&opt);
        front.chain(&self.client_cookie).chain(self.server_cookie).copied().collect()
    }

    /// Takes `octets` for an answer to this query.
    ///
    /// # Errors
    /// [`Discarded`], when they are none, or none that can be read.
    pub(crate) fn read<'m>(&self, octets: &'m [u8]) -> Result<Received<'m>, Discarded> {
        let message = Message::from_slice(octets).map_err(|_| Discarded::Malformed)?;
        let (header, counts) = (message.header(), message.header_counts());
        if header.id() != self.id {
            return Err(Discarded::WrongId);
        }
        if !header.qr() || header.opcode() != Opcode::QUERY {
            return Err(Discarded::NotAnswer);
        }
        self.match_question(counts.qdcount(), octets, header.rcode().to_int())?;
        let mut received = Received {
            message,
            rcode: header.rcode().to_int().into(),
            truncated: header.tc(),
            authentic: header.ad(),
            cookie: None,
        };
        if !received.truncated {
            self.read_records(&mut received)?;
        }
        Ok(received)
    }

    /// RFC 5452 §9.1. Who did not understand the question may leave it out.
    fn match_question(&self, count: u16, octets: &[u8], rcode: u8) -> Result<(), Discarded> {
        if count == 0 && [FORMERR, NOTIMP].contains(&rcode.into()) {
            return Ok(());
        }
        let [type_high, type_low] = self.rtype.to_int().to_be_bytes();
        let rest = octets.get(12..).and_then(|rest| rest.split_at_checked(self.name.len()));
        let (name, rest) = rest.ok_or(Discarded::WrongQuestion)?;
        if count != 1
            || !name.eq_ignore_ascii_case(self.name)
            || !rest.starts_with(&[type_high, type_low, 0, 1])
        {
            return Err(Discarded::WrongQuestion);
        }
        if name == self.name || !self.datagram { Ok(()) } else { Err(Discarded::WrongCase) }
    }

    /// Every record can be read, and at most one is OPT (RFC 6891 §6.1.1).
    fn read_records(&self, received: &mut Received<'_>) -> Result<(), Discarded> {
        let counts = received.message.header_counts();
        let count = [counts.ancount(), counts.nscount(), counts.arcount()];
        if count.into_iter().map(u32::from).sum::<u32>() > MAX_RECORDS {
            return Err(Discarded::Malformed);
        }
        let mut seen = false;
        for (in_front, section) in [
            (true, received.message.answer()),
            (true, received.message.authority()),
            (false, received.message.additional()),
        ] {
            for record in section.map_err(|_| Discarded::Malformed)? {
                let record = record.map_err(|_| Discarded::Malformed)?;
                if record.rtype() != Rtype::OPT {
                    continue;
                }
                let version = record.ttl().as_secs() >> 16 & 0xFF;
                if in_front || seen || !record.owner().is_root() || version != 0 {
                    return Err(Discarded::BadOpt);
                }
                seen = true;
                received.rcode |= (record.ttl().as_secs() >> 24) as u16 * 16;
                received.cookie = self.read_cookie(rdata(&record))?;
            }
        }
        match received.cookie {
            None if self.datagram && !self.server_cookie.is_empty() => Err(Discarded::NoCookie),
            _ => Ok(()),
        }
    }

    /// The server's half, behind ours (RFC 7873 §5.3).
    fn read_cookie<'m>(&self, mut options: &'m [u8]) -> Result<Option<&'m [u8]>, Discarded> {
        let mut found = None;
        while !options.is_empty() {
            let ([code_high, code_low, high, low], rest) =
                options.split_first_chunk().ok_or(Discarded::BadOpt)?;
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (option, rest) = rest.split_at_checked(length).ok_or(Discarded::BadOpt)?;
            options = rest;
            if u16::from_be_bytes([*code_high, *code_low]) == COOKIE && found.is_none() {
                let server = option.strip_prefix(&self.client_cookie).ok_or(Discarded::BadCookie)?;
                if !(MIN_SERVER_COOKIE..=MAX_SERVER_COOKIE).contains(&server.len()) {
                    return Err(Discarded::BadCookie);
                }
                found = Some(server);
            }
        }
        Ok(found)
    }
}

/// The octets of a record's data; of the types of RFC 1035 with whatever compression is in them.
pub(crate) fn rdata<'m>(record: &ParsedRecord<'m, [u8]>) -> &'m [u8] {
    let record = record.to_record::<UnknownRecordData<&'m [u8]>>();
    record.ok().flatten().map_or(&[], |record| *record.data().data())
}

/// Whether a record is of the Internet.
pub(crate) fn is_in(record: &ParsedRecord<'_, [u8]>) -> bool {
    record.class() == Class::IN
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    fn query<'q>(name: &'q [u8], server_cookie: &'q [u8]) -> Query<'q> {
        Query {
            id: 0x1234,
            name,
            rtype: Rtype::IPSECKEY,
            checking_disabled: true,
            client_cookie: [7; CLIENT_COOKIE],
            server_cookie,
            datagram: true,
        }
    }

    /// RFC 1035 §4.1, RFC 6891 §6.1.2, RFC 7873 §4: recursion desired, checking disabled, one question, an OPT
    /// record for 1,232 octets with DO and a cookie.
    #[test]
    fn a_query_as_it_leaves() {
        let name = b"\x01B\x04tEsT\x00";
        #[rustfmt::skip]
        let expected = [
            0x12, 0x34, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, 1,
            1, b'B', 4, b't', b'E', b's', b'T', 0, 0, 45, 0, 1,
            0, 0, 41, 0x04, 0xD0, 0, 0, 0x80, 0, 0, 14, 0, 10, 0, 10, 7, 7, 7, 7, 7, 7, 7, 7, 9, 9,
        ];
        assert_eq!(query(name, &[9; 2]).write(), expected);
    }

    /// The longest query that there can be has room.
    #[test]
    fn the_longest_query() {
        let name = [[63; 64].as_slice(), &[63; 64], &[63; 64], &[61; 62], &[0]].concat();
        assert_eq!(name.len(), MAX_NAME);
        assert_eq!(query(&name, &[9; MAX_SERVER_COOKIE]).write().len(), MAX_QUERY);
    }

    /// draft-vixie-dnsext-dns0x20: letters may change, nothing else does.
    #[test]
    fn letters_at_random() {
        let name: Name = "a-1.eXample".parse().unwrap();
        assert_eq!(spell(&name, &[0; 32]), *b"\x03a-1\x07example\x00");
        assert_eq!(spell(&name, &[0xFF; 32]), *b"\x03A-1\x07EXAMPLE\x00");
        assert_eq!(spell(&name, &[0b10; 32])[..5], *b"\x03A-1\x07");
    }

    /// RFC 5452 §9.1: an answer repeats ID and question, and says that it is one.
    #[test]
    fn answers_match_their_query() {
        let name = b"\x01B\x04tEsT\x00";
        let query = query(name, &[]);
        let mut answer = query.write();
        answer[2] |= 0x80;
        let without_opt = |answer: &[u8]| [&answer[..11], &[0], &answer[12..24]].concat();
        assert!(query.read(&without_opt(&answer)).is_ok());
        // Our own half of a cookie alone is no cookie of a server (RFC 7873 §5.3).
        assert_eq!(query.read(&answer).unwrap_err(), Discarded::BadCookie);
        let mut other_case = answer.clone();
        other_case[13] = b'b';
        assert_eq!(query.read(&without_opt(&other_case)).unwrap_err(), Discarded::WrongCase);
        let mut other_id = answer.clone();
        other_id[0] = 0;
        assert_eq!(query.read(&other_id).unwrap_err(), Discarded::WrongId);
        assert_eq!(query.read(&query.write()).unwrap_err(), Discarded::NotAnswer);
    }
}
