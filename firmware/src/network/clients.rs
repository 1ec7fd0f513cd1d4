//! The side of the clients: DNS on port 53 of the protected side, by UDP and by TCP (RFC 7766), on a stack of
//! its own. Questions go up to Control as they come; its answers come back in the order of its commands.
//!
//! A connection carries one question at a time: the next one is read when the answer has left.

use core::convert::Infallible;
use core::net::{IpAddr, SocketAddr};

use embassy_futures::join::{join, join_array};
use embassy_futures::select::{Either, select};
use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpMetadata, UdpSocket};
use embassy_net::{IpAddress, Stack, StackResources};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::Duration;
use ike_core::discovery::proxy::Client;
use ike_core::discovery::stream::Stream;

use super::{dns::MAX_QUESTION, endpoint};
use crate::queue::{Datagram, MAX_DATAGRAM, Queues, Report};

/// DNS.
pub(crate) const PORT: u16 = 53;
/// Connections at once.
const CONNECTIONS: usize = 2;
/// Datagrams that wait in the socket, each way.
const WAITING: usize = 4;
/// Parts of answers that wait for their socket: the longest answer has three.
const PARTS: usize = 4;
/// A connection on which nothing happens for so long is closed (RFC 7766 §6.2.3).
const IDLE: Duration = Duration::from_secs(10);

/// Sockets that the clients need of their stack's.
const SOCKETS: usize = 1 + CONNECTIONS;

/// What the clients' side needs in memory.
pub(crate) struct Memory {
    pub(crate) stack: StackResources<SOCKETS>,
    pub(crate) sockets: Sockets,
}

/// Buffers of the sockets.
pub(crate) struct Sockets {
    meta: [[PacketMetadata; WAITING]; 2],
    rx: [u8; WAITING * MAX_QUESTION],
    tx: [u8; WAITING * MAX_DATAGRAM],
    connections: [Connection; CONNECTIONS],
}

struct Connection {
    rx: [u8; MAX_QUESTION + 2],
    tx: [u8; MAX_DATAGRAM],
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Self {
            stack: StackResources::new(),
            sockets: Sockets {
                meta: [[PacketMetadata::EMPTY; WAITING]; 2],
                rx: [0; WAITING * MAX_QUESTION],
                tx: [0; WAITING * MAX_DATAGRAM],
                connections: [const { Connection { rx: [0; MAX_QUESTION + 2], tx: [0; MAX_DATAGRAM] } };
                    CONNECTIONS],
            },
        }
    }
}

/// Answers on their way to the sockets.
pub(crate) struct Replies {
    datagrams: Channel<NoopRawMutex, (SocketAddr, IpAddr, Datagram), WAITING>,
    streams: [Channel<NoopRawMutex, (Datagram, bool), PARTS>; CONNECTIONS],
}

impl Replies {
    pub(crate) const fn new() -> Self {
        Self { datagrams: Channel::new(), streams: [const { Channel::new() }; CONNECTIONS] }
    }

    /// An answer, or a part of it; `false` when it is lost because too many wait. Clients ask again.
    pub(crate) fn give(&self, client: Client, octets: Datagram, more: bool) -> bool {
        match client {
            Client::Datagram { remote, local } => self.datagrams.try_send((remote, local, octets)).is_ok(),
            Client::Stream { connection, .. } => {
                let stream = self.streams.get(usize::from(connection));
                stream.is_some_and(|stream| stream.try_send((octets, more)).is_ok())
            }
        }
    }
}

/// Serves the clients for ever.
pub(crate) async fn serve<C>(
    stack: Stack<'_>,
    sockets: &mut Sockets,
    replies: &Replies,
    queues: &Queues<C>,
) -> Infallible {
    let Sockets { meta: [rx_meta, tx_meta], rx, tx, connections } = sockets;
    let mut udp = UdpSocket::new(stack, rx_meta, rx, tx_meta, tx);
    // A new socket on a port other than 0 can always be bound.
    let bound = udp.bind(PORT);
    debug_assert!(bound.is_ok());
    let mut number = 0;
    let streams = connections.each_mut().map(|memory| {
        let connection = number;
        number += 1;
        stream(stack, memory, connection, replies, queues)
    });
    let (never, _) = join(datagrams(&udp, replies, queues), join_array(streams)).await;
    never
}

async fn datagrams<C>(udp: &UdpSocket<'_>, replies: &Replies, queues: &Queues<C>) -> Infallible {
    loop {
        let mut octets = Datagram::new();
        let _ = octets.resize(MAX_QUESTION, 0);
        match select(udp.recv_from(&mut octets), replies.datagrams.receive()).await {
            Either::First(Ok((length, from))) => {
                octets.truncate(length);
                let Some(local) = from.local_address else { continue };
                let remote = SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port);
                let client = Client::Datagram { remote, local: local.into() };
                queues.report(Report::Asked { client, octets }).await;
            }
            // Longer than any question.
            Either::First(Err(_)) => {}
            Either::Second((remote, local, octets)) => {
                let mut to = UdpMetadata::from(endpoint(remote));
                to.local_address = Some(IpAddress::from(local));
                let _ = udp.send_to(&octets, to).await;
            }
        }
    }
}

async fn stream<C>(
    stack: Stack<'_>,
    memory: &mut Connection,
    connection: u16,
    replies: &Replies,
    queues: &Queues<C>,
) -> Infallible {
    loop {
        let mut tcp = TcpSocket::new(stack, &mut memory.rx, &mut memory.tx);
        tcp.set_timeout(Some(IDLE));
        if tcp.accept(PORT).await.is_ok() {
            while exchange(&mut tcp, connection, replies, queues).await.is_some() {}
            tcp.close();
            let _ = tcp.flush().await;
            queues.report(Report::Gone(connection)).await;
        }
        if let Some(stream) = replies.streams.get(usize::from(connection)) {
            stream.clear();
        }
        tcp.abort();
    }
}

/// One question and its answer; `None` when the connection has ended.
async fn exchange<C>(
    tcp: &mut TcpSocket<'_>,
    connection: u16,
    replies: &Replies,
    queues: &Queues<C>,
) -> Option<()> {
    let stream = replies.streams.get(usize::from(connection))?;
    let mut question = Stream::<MAX_QUESTION>::new();
    let message = loop {
        let mut octets = [0; MAX_QUESTION];
        let read = tcp.read(&mut octets).await.ok().filter(|read| *read > 0)?;
        if let Some(message) = question.push(octets.get(..read)?).ok()? {
            break Datagram::from_slice(message).ok()?;
        }
    };
    let remote = tcp.remote_endpoint()?.addr.into();
    let client = Client::Stream { remote, connection };
    queues.report(Report::Asked { client, octets: message }).await;
    loop {
        let (octets, more) = stream.receive().await;
        let mut rest = octets.as_slice();
        while !rest.is_empty() {
            let written = tcp.write(rest).await.ok()?;
            rest = rest.get(written..)?;
        }
        if !more {
            return Some(());
        }
    }
}
