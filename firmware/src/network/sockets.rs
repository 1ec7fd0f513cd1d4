//! The two UDP sockets that IKE runs over (RFC 7296 §2, §2.23).

use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};

pub(super) use crate::config::check::{IKE_PORT, NAT_PORT};
use crate::queue::MAX_DATAGRAM;

/// Datagrams that wait in a socket, each way: the fragments of the longest message, sent at once, where a path
/// carries 576 octets (RFC 7383 §2.5.1).
const WAITING: usize = 8;
/// Octets that wait: the longest message in fragments, whole datagrams in its place.
const OCTETS: usize = 3 * MAX_DATAGRAM;

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
    rx: [u8; OCTETS],
    tx_meta: [PacketMetadata; WAITING],
    tx: [u8; OCTETS],
}

impl SocketMemory {
    const fn new() -> Self {
        Self {
            rx_meta: [PacketMetadata::EMPTY; WAITING],
            rx: [0; OCTETS],
            tx_meta: [PacketMetadata::EMPTY; WAITING],
            tx: [0; OCTETS],
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
