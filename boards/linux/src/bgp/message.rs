//! BGP messages as octets (RFC 4271 §4). OPEN carries no optional parameters, so both sides speak
//! IPv4 unicast with autonomous system numbers of 16 bits.

use std::fmt;
use std::net::Ipv4Addr;

/// What every message begins with (§4.1). No ciphertext holds it by chance, so it also serves as the
/// proof that nothing of a session is on a cable in clear.
pub const MARKER: [u8; 16] = [0xff; 16];

const HEADER: usize = 19;
const MAX_MESSAGE: usize = 4096;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// §4.2.
    Open {
        /// The sender's.
        autonomous_system: u16,
        /// In seconds.
        hold_time: u16,
        /// The sender's.
        identifier: Ipv4Addr,
    },
    /// §4.3; withdrawn routes are read over.
    Update {
        /// The only element of AS_PATH (zero when the peer sent no such path).
        autonomous_system: u16,
        /// NEXT_HOP.
        next_hop: Ipv4Addr,
        /// NLRI.
        announced: Vec<Prefix>,
    },
    /// §4.5: error code and subcode.
    Notification(u8, u8),
    /// §4.4.
    Keepalive,
}

/// An address prefix.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// Its first address.
    pub address: Ipv4Addr,
    /// Leading bits that count, 0…32.
    pub length: u8,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// These octets are no message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Malformed;

impl Message {
    /// The message with its header.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Open { autonomous_system, hold_time, identifier } => (1, {
                let mut body = vec![4];
                body.extend(autonomous_system.to_be_bytes());
                body.extend(hold_time.to_be_bytes());
                body.extend(identifier.octets());
                body.push(0);
                body
            }),
            Self::Update { autonomous_system, next_hop, announced } => {
                (2, encode_update(*autonomous_system, *next_hop, announced))
            }
            Self::Notification(code, subcode) => (3, vec![*code, *subcode]),
            Self::Keepalive => (4, Vec::new()),
        };
        let mut octets = MARKER.to_vec();
        let length = u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX);
        octets.extend(length.to_be_bytes());
        octets.push(kind);
        octets.extend(body);
        octets
    }

    /// The message at the beginning of `octets` and its length; `None` when it is not whole yet.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(octets: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some((header, _)) = octets.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        if !header.starts_with(&MARKER) || !(HEADER..=MAX_MESSAGE).contains(&length) {
            return Err(Malformed);
        }
        let Some(body) = octets.get(HEADER..length) else { return Ok(None) };
        let message = match header[18] {
            1 => decode_open(body).ok_or(Malformed)?,
            2 => decode_update(body).ok_or(Malformed)?,
            3 => match body {
                [code, subcode, ..] => Self::Notification(*code, *subcode),
                _ => return Err(Malformed),
            },
            4 if body.is_empty() => Self::Keepalive,
            _ => return Err(Malformed),
        };
        Ok(Some((message, length)))
    }
}

fn encode_update(autonomous_system: u16, next_hop: Ipv4Addr, announced: &[Prefix]) -> Vec<u8> {
    // No withdrawn routes; ORIGIN (IGP), AS_PATH (one sequence of one), NEXT_HOP (§4.3).
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 4, 2, 1];
    attributes.extend(autonomous_system.to_be_bytes());
    attributes.extend([0x40, 3, 4]);
    attributes.extend(next_hop.octets());
    let mut body = vec![0, 0];
    body.extend(u16::try_from(attributes.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend(attributes);
    for prefix in announced {
        body.push(prefix.length);
        body.extend(prefix.address.octets().iter().take(usize::from(prefix.length).div_ceil(8)));
    }
    body
}

fn decode_open(body: &[u8]) -> Option<Message> {
    let (head, _) = body.split_first_chunk::<10>()?;
    let [4, as0, as1, hold0, hold1, id0, id1, id2, id3, _] = *head else { return None };
    Some(Message::Open {
        autonomous_system: u16::from_be_bytes([as0, as1]),
        hold_time: u16::from_be_bytes([hold0, hold1]),
        identifier: Ipv4Addr::new(id0, id1, id2, id3),
    })
}

fn decode_update(body: &[u8]) -> Option<Message> {
    let (_withdrawn, rest) = split_counted(body)?;
    let (mut attributes, mut routes) = split_counted(rest)?;
    let (mut autonomous_system, mut next_hop) = (0, Ipv4Addr::UNSPECIFIED);
    while let [flags, kind, rest @ ..] = attributes {
        let (length, rest) = if flags & 0x10 == 0 {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        } else {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        match (kind, value) {
            (2, [2, 1, a, b]) => autonomous_system = u16::from_be_bytes([*a, *b]),
            (3, [a, b, c, d]) => next_hop = Ipv4Addr::new(*a, *b, *c, *d),
            _ => {}
        }
        attributes = rest;
    }
    let mut announced = Vec::new();
    while let [length @ 0..=32, rest @ ..] = routes {
        let (octets, rest) = rest.split_at_checked(usize::from(*length).div_ceil(8))?;
        let mut address = [0; 4];
        address.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        announced.push(Prefix { address: address.into(), length: *length });
        routes = rest;
    }
    let whole = attributes.is_empty() && routes.is_empty();
    whole.then_some(Message::Update { autonomous_system, next_hop, announced })
}

fn split_counted(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update() -> Message {
        Message::Update {
            autonomous_system: 64501,
            next_hop: Ipv4Addr::new(192, 0, 2, 1),
            announced: vec![
                Prefix { address: Ipv4Addr::new(198, 51, 100, 0), length: 24 },
                Prefix { address: Ipv4Addr::new(10, 0, 0, 0), length: 7 },
                Prefix { address: Ipv4Addr::UNSPECIFIED, length: 0 },
            ],
        }
    }

    #[test]
    fn each_message_survives_the_way_to_octets_and_back() {
        let identifier = Ipv4Addr::new(192, 0, 2, 1);
        for message in [
            Message::Open { autonomous_system: 64501, hold_time: 9, identifier },
            update(),
            Message::Notification(6, 2),
            Message::Keepalive,
        ] {
            let octets = message.encode();
            assert_eq!(Message::decode(&octets), Ok(Some((message, octets.len()))));
        }
    }

    #[test]
    fn a_message_cut_short_waits_for_the_rest() {
        let octets = update().encode();
        for length in 0..octets.len() {
            assert_eq!(Message::decode(&octets[..length]), Ok(None));
        }
    }

    #[test]
    fn a_wrong_length_marker_or_prefix_is_malformed() {
        let mut short = Message::Keepalive.encode();
        short[17] = 18;
        assert_eq!(Message::decode(&short), Err(Malformed));
        let mut marker = Message::Keepalive.encode();
        marker[3] = 0;
        assert_eq!(Message::decode(&marker), Err(Malformed));
        let mut prefix = update().encode();
        let last = prefix.len() - 1;
        prefix[last] = 33;
        assert_eq!(Message::decode(&prefix), Err(Malformed));
    }
}
