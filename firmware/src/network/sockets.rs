//! The two UDP sockets that IKE runs over (RFC 7296 §2, §2.23).

use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};

pub(super) use crate::config::check::{IKE_PORT, NAT_PORT};
use crate::queue::MAX_DATAGRAM;

/// Datagrams that wait in a socket, each way.
const WAITING: usize = 3;

/// Buffers of the two IKE sockets.
pub(crate) struct Sockets {
    pub(super) ike: SocketMemory,
    pub(super) nat: SocketMemory,
}

impl Sockets {
    pub(super) const fn new() -> Self {
        Self { ike: SocketMemory::new(), nat: SocketMemory::new() }
    }
}

pub(super) struct SocketMemory {
    rx_meta: [PacketMetadata; WAITING],
    rx: [u8; WAITING * MAX_DATAGRAM],
    tx_meta: [PacketMetadata; WAITING],
    tx: [u8; WAITING * MAX_DATAGRAM],
}

impl SocketMemory {
    const fn new() -> Self {
        Self {
            rx_meta: [PacketMetadata::EMPTY; WAITING],
            rx: [0; WAITING * MAX_DATAGRAM],
            tx_meta: [PacketMetadata::EMPTY; WAITING],
            tx: [0; WAITING * MAX_DATAGRAM],
        }
    }

    pub(super) fn open<'s>(&'s mut self, stack: Stack<'s>, port: u16) -> UdpSocket<'s> {
        let mut socket =
            UdpSocket::new(stack, &mut self.rx_meta, &mut self.rx, &mut self.tx_meta, &mut self.tx);
        // A new socket on a port other than 0 can always be bound.
        let bound = socket.bind(port);
        debug_assert!(bound.is_ok());
        socket
    }
}
