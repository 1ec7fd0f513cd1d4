//! Messages of our own: answers that no server was asked for, refusals with their reasons, questions for keys.

use domain::base::iana::{Class, Rcode};
use domain::base::{Header, HeaderCounts, Rtype};

use super::question::{Asked, HEADER, UDP_SIZE};
use super::special::Special;
use crate::discovery::Name;

/// Octets of the longest answer of ours: header, question, an address, OPT.
const MAX_OWN: usize = HEADER + 255 + 4 + 28 + OPT + EDE;
/// Octets of an OPT record without options (RFC 6891 §6.1.2).
const OPT: usize = 11;
/// Octets of an extended error without text (RFC 8914 §2).
const EDE: usize = 6;
/// Life of an answer of ours, in seconds.
const OWN_TTL: u32 = 60;

/// A message of our own.
pub(super) type Own = heapless::Vec<u8, MAX_OWN>;

/// Why a question gets no answer, as its client hears it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Refused {
    /// It is no proper question (FORMERR).
    Malformed,
    /// It is no question at all (NOTIMP).
    NotImplemented,
    /// All types at once, a whole zone, or another class (REFUSED; RFC 8482 §4.1).
    NotServed,
    /// An outside name points inside (REFUSED).
    Rebinding,
    /// Its key is forged (SERVFAIL).
    Bogus,
    /// It requires protection, which is not there (SERVFAIL).
    Unprotected,
    /// No server answers (SERVFAIL).
    NoServer,
    /// Too many answers are held (SERVFAIL).
    Full,
    /// The answer is nothing that can be passed on (SERVFAIL).
    BadAnswer,
}

impl Refused {
    const fn rcode(self) -> Rcode {
        match self {
            Self::Malformed => Rcode::FORMERR,
            Self::NotImplemented => Rcode::NOTIMP,
            Self::NotServed | Self::Rebinding => Rcode::REFUSED,
            Self::Bogus | Self::Unprotected | Self::NoServer | Self::Full | Self::BadAnswer => {
                Rcode::SERVFAIL
            }
        }
    }

    /// The extended error that says more (RFC 8914 §4).
    const fn extended(self) -> u16 {
        match self {
            Self::Malformed | Self::Full => 0,
            Self::NotImplemented | Self::NotServed => 21,
            Self::Rebinding => 15,
            Self::Bogus => 6,
            Self::Unprotected => 18,
            Self::NoServer => 22,
            Self::BadAnswer => 23,
        }
    }
}

/// The answer that tells the sender of `query` why it gets no other.
pub(super) fn refusal(query: &[u8], asked: Option<&Asked>, why: Refused) -> Own {
    own(query, asked, why.rcode(), &[], Some(why.extended()))
}

/// The answer for a special name.
pub(super) fn special(query: &[u8], asked: &Asked, what: Special) -> Own {
    let loopback_v6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    match (what, asked.rtype) {
        (Special::Nonexistent, _) => own(query, Some(asked), Rcode::NXDOMAIN, &[], None),
        (Special::Loopback, Rtype::A) => own(query, Some(asked), Rcode::NOERROR, &[127, 0, 0, 1], None),
        (Special::Loopback, Rtype::AAAA) => own(query, Some(asked), Rcode::NOERROR, &loopback_v6, None),
        _ => own(query, Some(asked), Rcode::NOERROR, &[], None),
    }
}

/// The answer for who asked by UDP and has to come by TCP (RFC 7766 §5).
pub(super) fn truncated(query: &[u8], asked: &Asked) -> Own {
    let mut octets = own(query, Some(asked), Rcode::NOERROR, &[], None);
    if octets.len() >= HEADER {
        Header::for_message_slice_mut(&mut octets).set_tc(true);
    }
    octets
}

/// An answer of ours; it has room for all that is put in.
fn own(query: &[u8], asked: Option<&Asked>, rcode: Rcode, rdata: &[u8], extended: Option<u16>) -> Own {
    let mut out = Own::new();
    let end = asked.map_or(HEADER, |asked| asked.end);
    let opt = asked.and_then(|asked| asked.opt);
    let written = query.get(..end).is_some_and(|front| out.extend_from_slice(front).is_ok());
    if !written || out.len() < HEADER {
        return Own::new();
    }
    let header = Header::for_message_slice_mut(&mut out);
    header.set_qr(true);
    header.set_ra(true);
    header.set_aa(false);
    header.set_tc(false);
    header.set_ad(false);
    header.set_rcode(rcode);
    let counts = HeaderCounts::for_message_slice_mut(&mut out);
    counts.set_qdcount(u16::from(asked.is_some()));
    counts.set_ancount(u16::from(!rdata.is_empty()));
    counts.set_nscount(0);
    counts.set_arcount(u16::from(opt.is_some()));
    if let (false, Some(asked)) = (rdata.is_empty(), asked) {
        // The owner is the question's name, which always stands behind the header.
        put(&mut out, &[0xC0, 12]);
        put(&mut out, &asked.rtype.to_int().to_be_bytes());
        put(&mut out, &Class::IN.to_int().to_be_bytes());
        put(&mut out, &OWN_TTL.to_be_bytes());
        put(&mut out, &u16::try_from(rdata.len()).unwrap_or(0).to_be_bytes());
        put(&mut out, rdata);
    }
    if let Some(opt) = opt {
        put(&mut out, &[0]);
        put(&mut out, &Rtype::OPT.to_int().to_be_bytes());
        put(&mut out, &UDP_SIZE.to_be_bytes());
        put(&mut out, &(u32::from(opt.dnssec_ok) << 15).to_be_bytes());
        match extended {
            Some(code) => {
                put(&mut out, &6_u16.to_be_bytes());
                put(&mut out, &[0, 15, 0, 2]);
                put(&mut out, &code.to_be_bytes());
            }
            None => put(&mut out, &[0, 0]),
        }
    }
    out
}

fn put(out: &mut Own, octets: &[u8]) {
    // `MAX_OWN` is the sum of all that is ever put in.
    let put = out.extend_from_slice(octets);
    debug_assert!(put.is_ok());
}

/// A question of ours for the key of a name, with DO, because servers that strip DNSSEC are of no use to the
/// resolver either, and CD, so that what does not validate is left to it (RFC 6840 §5.9).
pub(super) fn for_key(name: &Name, id: u16) -> Own {
    let mut out = Own::new();
    let [high, low] = id.to_be_bytes();
    put(&mut out, &[high, low, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, 1]);
    put(&mut out, name.as_slice());
    put(&mut out, &Rtype::IPSECKEY.to_int().to_be_bytes());
    put(&mut out, &Class::IN.to_int().to_be_bytes());
    put(&mut out, &[0]);
    put(&mut out, &Rtype::OPT.to_int().to_be_bytes());
    put(&mut out, &UDP_SIZE.to_be_bytes());
    put(&mut out, &[0, 0, 0x80, 0, 0, 0]);
    out
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use domain::base::message::Message;

    use super::super::question::read;
    use super::super::tests::query;
    use super::*;

    fn with_opt(size: u16, copies: u8) -> Vec<u8> {
        let mut octets = query("example.net", Rtype::A, 1);
        octets[11] = copies;
        for _ in 0..copies {
            let [high, low] = size.to_be_bytes();
            octets.extend([0, 0, 41, high, low, 0, 0, 0x80, 0, 0, 0]);
        }
        octets
    }

    /// RFC 6891 §7: who sends OPT gets OPT, with a reason (RFC 8914); nobody else does.
    #[test]
    fn our_own_answers() {
        let plain = query("example.net", Rtype::A, 7);
        let answer = refusal(&plain, Some(&read(&plain).unwrap()), Refused::NoServer);
        let message = Message::from_slice(&answer).unwrap();
        assert_eq!((message.header().id(), message.header().rcode()), (7, Rcode::SERVFAIL));
        assert!(message.header().qr() && message.opt().is_none());
        let asked = with_opt(4_096, 1);
        let answer = refusal(&asked, Some(&read(&asked).unwrap()), Refused::Bogus);
        let message = Message::from_slice(&answer).unwrap();
        assert!(message.opt().is_some_and(|opt| opt.udp_payload_size() == UDP_SIZE && opt.dnssec_ok()));
        assert!(answer.ends_with(&[0, 15, 0, 2, 0, 6]));
    }

    /// RFC 6761 §6.3.
    #[test]
    fn localhost_is_here() {
        let query = query("localhost", Rtype::A, 7);
        let answer = special(&query, &read(&query).unwrap(), Special::Loopback);
        assert!(answer.ends_with(&[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]));
        assert_eq!(Message::from_slice(&answer).unwrap().header_counts().ancount(), 1);
    }

    #[test]
    fn the_longest_name_fits() {
        let label = [b'a'; 63];
        let mut longest = Vec::new();
        for length in [63, 63, 63, 61] {
            longest.push(length);
            longest.extend_from_slice(&label[..usize::from(length)]);
        }
        longest.push(0);
        let longest = Name::from_octets(longest.as_slice().try_into().unwrap()).unwrap();
        assert!(read(&for_key(&longest, 1)).is_ok());
    }
}
