//! Fingerprints of keys, in TLSA records (RFC 6698 §2.1) at `_500._udp.NAME`: 35 octets of data for any kind of key.
//! A convention of ours, which no RFC has: TLSA is for TLS (§1.2).
//!
//! RDATA: `usage | selector | matching type | association`. Of what these can say one combination counts, `3 1 1`: the
//! peer's own key (DANE-EE), of it the SubjectPublicKeyInfo, of that SHA-256 (RFC 7671 §5.1). Everything else is
//! as unusable as an unknown algorithm.
//!
//! They count only for names that are proven to have no IPSECKEY record ([`super::outcome::Outcome::fingerprints_at`]),
//! so whoever suppresses keys gains nothing by it.

use super::Name;

/// Octets of a record's data.
pub const RDATA: usize = HEAD.len() + 32;

/// Usage, selector and matching type: DANE-EE, SubjectPublicKeyInfo, SHA-256 (RFC 7218 §2).
const HEAD: [u8; 3] = [3, 1, 1];

/// IKE's port and protocol in front of a name (RFC 6698 §3).
const PREFIX: &[u8] = b"\x04_500\x04_udp";

/// Where the records of `name` are; `None` where that is too long for a name.
pub fn owner(name: &Name) -> Option<Name> {
    let mut octets = heapless::Vec::from_slice(PREFIX).ok()?;
    octets.extend_from_slice(name.as_slice()).ok()?;
    Name::from_octets(octets).ok()
}

/// A record's data for a key with this SHA-256 of its SubjectPublicKeyInfo.
pub fn encode(fingerprint: &[u8; 32]) -> [u8; RDATA] {
    let mut rdata = [0; RDATA];
    let octets = HEAD.iter().chain(fingerprint);
    rdata.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    rdata
}

/// The fingerprint in a record's data; `None` where it says something else.
pub fn parse(rdata: &[u8]) -> Option<[u8; 32]> {
    rdata.strip_prefix(&HEAD)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6698 §2.1: one combination, and one length; nothing is cut off or filled up.
    #[test]
    fn one_form_counts() {
        let print = [0xA5; 32];
        let rdata = encode(&print);
        assert_eq!((rdata[..3].as_ref(), &rdata[3..]), ([3, 1, 1].as_ref(), print.as_ref()));
        assert_eq!(parse(&rdata), Some(print));
        for (place, other) in [(0, [0, 1, 2, 255]), (1, [0, 2, 3, 255]), (2, [0, 2, 3, 255])] {
            for value in other {
                let mut rdata = rdata;
                rdata[place] = value;
                assert_eq!(parse(&rdata), None, "{place} {value}");
            }
        }
        for length in 0..RDATA {
            assert_eq!(parse(&rdata[..length]), None, "{length}");
        }
        assert_eq!(parse(&[&rdata[..], &[0]].concat()), None);
    }

    /// RFC 6698 §3, RFC 1035 §2.3.4.
    #[test]
    fn where_they_are() {
        let name: Name = "b.example.net".parse().unwrap();
        assert_eq!(owner(&name), Some("_500._udp.b.example.net".parse().unwrap()));
        let longest = |labels| -> Name {
            Name::from_octets(
                [&b"\x0aaaaaaaaaaa".repeat(labels)[..], &[0]].concat().as_slice().try_into().unwrap(),
            )
            .unwrap()
        };
        assert!(owner(&longest(22)).is_some_and(|name| name.len() == 253));
        assert_eq!(owner(&longest(23)), None);
    }
}
