//! The sockets that the resolver asks through: each carries one question at a time, from a port of its own,
//! and drops what it did before when the next one comes (RFC 5452 §9.2, RFC 7766).

use core::convert::Infallible;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};

use embassy_futures::select::{Either, select};
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use ike_core::discovery::output::{Socket, Transport};

use super::endpoint;
use crate::queue::{Datagram, DnsReport, MAX_DATAGRAM, Queues, Report};

/// Sockets for questions of our own: three for each look-up that is under way.
pub(crate) const OWN_SOCKETS: u8 = 3 * crate::control::LOOKUPS as u8;

/// Sockets for questions; those of clients come behind our own, and behind them one for updates of our own name.
pub const DNS_SOCKETS: usize = PUBLISHING.0 as usize + 1;

/// The socket for updates of our own name.
pub(crate) const PUBLISHING: Socket = Socket(OWN_SOCKETS + crate::control::CLIENT_SOCKETS as u8);

/// Octets of the longest question: an update with an RSA key of 2,048 bits.
pub const MAX_QUESTION: usize = 1_232;

/// A question that is to be sent, or `None` when nothing more is wanted.
pub(crate) type Order = Option<Question>;

/// Whom to ask what.
pub struct Question {
    /// The server.
    pub server: SocketAddr,
    /// How it is asked.
    pub transport: Transport,
    /// The message.
    pub octets: heapless::Vec<u8, MAX_QUESTION>,
}

/// Where the next order of each socket waits; a newer one takes its place.
pub(crate) struct Orders([Signal<NoopRawMutex, Order>; DNS_SOCKETS]);

impl Orders {
    pub(crate) const fn new() -> Self {
        Self([const { Signal::new() }; DNS_SOCKETS])
    }

    /// What this socket does next; `false` when there is no such socket.
    pub(crate) fn give(&self, socket: Socket, order: Order) -> bool {
        let place = self.0.get(usize::from(socket.0));
        place.inspect(|place| place.signal(order)).is_some()
    }
}

/// Buffers of one socket.
pub(crate) struct Memory {
    meta: [[PacketMetadata; 1]; 2],
    rx: [u8; MAX_DATAGRAM],
    tx: [u8; MAX_QUESTION + 2],
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Self { meta: [[PacketMetadata::EMPTY; 1]; 2], rx: [0; MAX_DATAGRAM], tx: [0; MAX_QUESTION + 2] }
    }
}

/// Serves one socket for ever.
pub(crate) async fn serve<C>(
    socket: Socket,
    orders: &Orders,
    stack: Stack<'_>,
    memory: &mut Memory,
    queues: &Queues<C>,
) -> Infallible {
    let Some(place) = orders.0.get(usize::from(socket.0)) else {
        return core::future::pending().await;
    };
    let mut order = place.wait().await;
    loop {
        order = match order {
            None => place.wait().await,
            Some(question) => {
                let ask = async {
                    ask(socket, &question, stack, memory, queues).await;
                    queues.room().await;
                    queues.try_report(Report::Dns { socket, news: DnsReport::Failed });
                };
                match select(place.wait(), ask).await {
                    Either::First(order) => order,
                    Either::Second(()) => None,
                }
            }
        };
    }
}

/// Reports a datagram that came. It is read only now that there is room for the report: many sockets wait, and
/// each would hold the octets meanwhile.
fn pass_on<C>(socket: Socket, udp: &UdpSocket<'_>, queues: &Queues<C>) {
    let mut octets = Datagram::new();
    let _ = octets.resize(MAX_DATAGRAM, 0);
    let mut context = Context::from_waker(Waker::noop());
    if let Poll::Ready(Ok((length, from))) = udp.poll_recv_from(&mut octets, &mut context) {
        octets.truncate(length);
        let server = SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port);
        // Who asked asks again.
        queues.try_report(Report::Dns { socket, news: DnsReport::Datagram { server, octets } });
    }
}

/// Asks, and reports what comes; returns when nothing more can come.
async fn ask<C>(
    socket: Socket,
    question: &Question,
    stack: Stack<'_>,
    memory: &mut Memory,
    queues: &Queues<C>,
) {
    let Memory { meta: [rx_meta, tx_meta], rx, tx } = memory;
    let to = endpoint(question.server);
    match question.transport {
        Transport::Udp { port } => {
            let mut udp = UdpSocket::new(stack, rx_meta, rx, tx_meta, tx);
            if udp.bind(port).is_err() || udp.send_to(&question.octets, to).await.is_err() {
                return;
            }
            loop {
                udp.wait_recv_ready().await;
                queues.room().await;
                pass_on(socket, &udp, queues);
            }
        }
        Transport::Tcp => {
            let mut tcp = TcpSocket::new(stack, rx, tx);
            if tcp.connect(to).await.is_err() {
                return;
            }
            let length = u16::try_from(question.octets.len()).unwrap_or(u16::MAX).to_be_bytes();
            for mut part in [&length[..], &question.octets] {
                while !part.is_empty() {
                    let Ok(written) = tcp.write(part).await else { return };
                    part = part.get(written..).unwrap_or_default();
                }
            }
            loop {
                tcp.wait_read_ready().await;
                queues.room().await;
                let read = |came: &mut [u8]| {
                    let (now, _) = came.split_at(came.len().min(MAX_DATAGRAM));
                    let octets = Datagram::from_slice(now).unwrap_or_default();
                    let news = DnsReport::Octets { server: question.server, octets };
                    let passed = !now.is_empty() && queues.try_report(Report::Dns { socket, news });
                    (if passed { now.len() } else { 0 }, !now.is_empty())
                };
                if !matches!(tcp.read_with(read).await, Ok(true)) {
                    return;
                }
            }
        }
    }
}
