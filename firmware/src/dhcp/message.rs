//! What of DHCP's messages (RFC 2131 §2, RFC 2132) the client writes and reads; smoltcp knows how they are spelt.

use core::net::Ipv4Addr;

use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};

/// Octets of our messages: what relays expect at least (RFC 951 §3).
pub(crate) const MESSAGE: usize = 300;

/// Option code of a list of routers (RFC 2132 §3.5).
const ROUTERS: u8 = 3;
/// Options that we want to be told: subnet mask, routers, the times of the lease (RFC 2132).
const WANTED: &[u8] = &[1, ROUTERS, 51, 58, 59];

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
        let packet = DhcpPacket::new_checked(octets).ok()?;
        let message = DhcpRepr::parse(&packet).ok()?;
        let kind = match message.message_type {
            DhcpMessageType::Offer => Kind::Offer,
            DhcpMessageType::Ack => Kind::Ack,
            DhcpMessageType::Nak => Kind::Nak,
            _ => return None,
        };
        // smoltcp reads lists of one.
        let routers = packet.options().find(|option| option.kind == ROUTERS).map(|option| option.data);
        Some(Self {
            kind,
            id: message.transaction_id,
            link: message.client_hardware_address.0,
            address: message.your_ip,
            server: message.server_identifier,
            mask: message.subnet_mask,
            router: routers.and_then(<[u8]>::first_chunk::<4>).copied().map(Ipv4Addr::from),
            lease: message.lease_duration.unwrap_or(0),
            renew: message.renew_duration,
            rebind: message.rebind_duration,
        })
    }
}

/// A message of ours. Who has no address yet has the answer sent to everybody (RFC 2131 §4.1).
pub(super) fn write(id: u32, link: [u8; 6], request: Request) -> [u8; MESSAGE] {
    let link = EthernetAddress(link);
    let (message_type, kept, taken) = match request {
        Request::Discover => (DhcpMessageType::Discover, None, None),
        Request::Take { server, address } => (DhcpMessageType::Request, None, Some((server, address))),
        Request::Renew { address } => (DhcpMessageType::Request, Some(address), None),
    };
    let message = DhcpRepr {
        message_type,
        transaction_id: id,
        secs: 0,
        client_hardware_address: link,
        client_ip: kept.unwrap_or(Ipv4Addr::UNSPECIFIED),
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: kept.is_none(),
        requested_ip: taken.map(|(_, address)| address),
        client_identifier: Some(link),
        server_identifier: taken.map(|(server, _)| server),
        parameter_request_list: Some(WANTED),
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let mut octets = [0; MESSAGE];
    let written = message.emit(&mut DhcpPacket::new_unchecked(octets.as_mut_slice()));
    debug_assert!(written.is_ok(), "the longest has room");
    octets
}
