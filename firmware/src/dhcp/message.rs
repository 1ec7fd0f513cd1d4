//! The messages of DHCP (RFC 2131 §2, RFC 2132): what is written has one length, what is read has what is needed.

use core::net::Ipv4Addr;

/// Octets of our messages: what relays expect at least (RFC 951 §3).
pub(crate) const MESSAGE: usize = 300;

const OPTIONS: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// What a server says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Offer,
    Ack,
    Nak,
}

/// A server's message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    pub(super) kind: Kind,
    pub(super) id: u32,
    pub(super) link: [u8; 6],
    pub(super) address: Ipv4Addr,
    pub(super) server: Option<Ipv4Addr>,
    pub(super) mask: Option<Ipv4Addr>,
    pub(super) router: Option<Ipv4Addr>,
    /// Seconds.
    pub(super) lease: u32,
    pub(super) renew: Option<u32>,
    pub(super) rebind: Option<u32>,
}

/// What a client asks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// Who has an address for us?
    Discover,
    /// This one of this server's is taken.
    Take { server: Ipv4Addr, address: Ipv4Addr },
    /// May we keep ours?
    Renew { address: Ipv4Addr },
}

impl Reply {
    /// `None` for what is no message of a server.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let (fixed, options) = octets.split_at_checked(OPTIONS)?;
        // BOOTREPLY, Ethernet, six octets of address.
        if fixed.first_chunk()? != &[2, 1, 6] || fixed.last_chunk()? != &COOKIE {
            return None;
        }
        let field = |at: usize| fixed.get(at..)?.first_chunk::<4>();
        let mut kind = None;
        let mut reply = Self {
            kind: Kind::Nak,
            id: u32::from_be_bytes(*field(4)?),
            link: *fixed.get(28..)?.first_chunk()?,
            address: Ipv4Addr::from(*field(16)?),
            server: None,
            mask: None,
            router: None,
            lease: 0,
            renew: None,
            rebind: None,
        };
        for (code, value) in Options(options) {
            let number = value.first_chunk::<4>().copied();
            match (code, value) {
                (53, [2]) => kind = Some(Kind::Offer),
                (53, [5]) => kind = Some(Kind::Ack),
                (53, [6]) => kind = Some(Kind::Nak),
                (1, [_, _, _, _]) => reply.mask = number.map(Ipv4Addr::from),
                // The first of a list (RFC 2132 §3.5).
                (3, _) => reply.router = number.map(Ipv4Addr::from),
                (51, [_, _, _, _]) => reply.lease = number.map_or(0, u32::from_be_bytes),
                (54, [_, _, _, _]) => reply.server = number.map(Ipv4Addr::from),
                (58, [_, _, _, _]) => reply.renew = number.map(u32::from_be_bytes),
                (59, [_, _, _, _]) => reply.rebind = number.map(u32::from_be_bytes),
                _ => {}
            }
        }
        kind.map(|kind| Self { kind, ..reply })
    }
}

/// Options up to the end, or to the first that is cut off.
struct Options<'m>(&'m [u8]);

impl<'m> Iterator for Options<'m> {
    type Item = (u8, &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (code, rest) = self.0.split_first()?;
            self.0 = rest;
            match code {
                0 => {}
                255 => return None,
                _ => {
                    let (length, rest) = self.0.split_first()?;
                    let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                    self.0 = rest;
                    return Some((*code, value));
                }
            }
        }
    }
}

/// A message of ours. Who has no address yet has the answer sent to everybody (RFC 2131 §4.1).
pub(super) fn write(id: u32, link: [u8; 6], request: Request) -> [u8; MESSAGE] {
    let mut message = [0; MESSAGE];
    let mut put = |at: usize, octets: &[u8]| {
        if let Some(place) = message.get_mut(at..at + octets.len()) {
            place.copy_from_slice(octets);
        }
    };
    put(0, &[1, 1, 6]);
    put(4, &id.to_be_bytes());
    put(28, &link);
    put(236, &COOKIE);
    match request {
        Request::Renew { address } => put(12, &address.octets()),
        Request::Discover | Request::Take { .. } => put(10, &[0x80]),
    }
    let [a, b, c, d, e, f] = link;
    let kind = if request == Request::Discover { 1 } else { 3 };
    // The client's identifier; subnet mask, router, the times of the lease.
    put(OPTIONS, &[53, 1, kind, 61, 7, 1, a, b, c, d, e, f, 55, 5, 1, 3, 51, 58, 59]);
    let end = OPTIONS + 19;
    match request {
        Request::Take { server, address } => {
            put(end, &[50, 4]);
            put(end + 2, &address.octets());
            put(end + 6, &[54, 4]);
            put(end + 8, &server.octets());
            put(end + 12, &[255]);
        }
        Request::Discover | Request::Renew { .. } => put(end, &[255]),
    }
    message
}
