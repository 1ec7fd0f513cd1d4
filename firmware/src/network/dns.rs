//! The sockets that the resolver asks through: each carries one question at a time, from a port of its own,
//! and drops what it did before when the next one comes (RFC 5452 §9.2, RFC 7766).
//!
//! A socket is open only while its question is out. What it needs meanwhile are two buffers, whatever way it asks:
//! ```text
//!          answers                    question
//!   UDP    datagrams that come        the datagram that leaves
//!   TCP    octets that come | leave   the message, until all of it has left
//! ```
//! A question that has just come lies on one desk for all: its socket takes it at once.

use core::cell::RefCell;
use core::convert::Infallible;
use core::net::{Ipv4Addr, SocketAddr};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embassy_futures::select::{Either, select};
use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpMetadata, UdpSocket};
use embassy_net::{IpAddress, Stack};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use ike_core::discovery::output::{Socket, Transport};

use super::endpoint;
use crate::queue::{Datagram, DnsReport, MAX_DATAGRAM, Queues, Report};

/// Sockets for questions of our own: three for each look-up that is under way, and one to try out servers.
pub(crate) const OWN_SOCKETS: u8 = 3 * crate::control::LOOKUPS as u8 + 1;
/// The socket for time servers; every device has it beside those for questions.
pub(crate) const TIME: Socket = Socket(u8::MAX - 1);
/// Sockets for questions of our own and, behind them, of clients.
pub(crate) const ALL_SOCKETS: usize = OWN_SOCKETS as usize + crate::control::CLIENT_SOCKETS;
/// The socket for updates of our own name, and to ask for an address; every device has it, too. Both ask again when the
/// other takes it from them.
pub(crate) const PUBLISHING: Socket = Socket(u8::MAX);

/// Octets of the longest question, our own or a client's: beside a name of 255 octets there are 70 for options
/// (RFC 6891 §6.1.2), a cookie takes 44.
pub(crate) const MAX_QUESTION: usize = 352;
/// Octets of the longest update: one with an RSA key of 2,048 bits.
pub const MAX_UPDATE: usize = 1_232;
/// Octets of the longest answer in a datagram, as every question says (RFC 6891 §6.2.3).
const MAX_ANSWER: usize = 1_232;
/// Octets of the longest answer in a datagram to an update, which does not say that it takes more than 512 (RFC 1035
/// §4.2.1), or to who asks for an address (RFC 2131 §2).
const MAX_UPDATE_ANSWER: usize = 548;
/// Octets of a question about the time (RFC 5905 §7.3).
const TIME_QUESTION: usize = 48;
/// Octets for answers about the time: each may have a key identifier and a digest that nobody asked for.
const TIME_ANSWERS: usize = ANSWERS * (TIME_QUESTION + 20);
/// Octets that wait to leave on a connection; the question goes in such pieces.
const LEAVING: usize = 256;

/// Datagrams that may wait in one socket, as far as there is room for their octets: what a stranger sends just before
/// the answer must not take its place (RFC 5452 §9).
const ANSWERS: usize = 2;

/// Whom to ask what.
pub struct Question {
    /// The server.
    pub server: SocketAddr,
    /// How it is asked.
    pub transport: Transport,
    /// The message.
    pub octets: heapless::Vec<u8, MAX_UPDATE>,
}

/// What a socket does next; a newer order takes the place of an older one.
#[derive(Copy, Clone)]
pub(crate) enum Order {
    /// Ask what lies on the desk.
    Ask,
    /// Nothing more is wanted.
    Close,
}

/// Where the orders for one socket come.
pub(crate) type Place = Signal<NoopRawMutex, Order>;

/// Orders for sockets for questions, and for those for time servers and for updates. `S` is an array of [`Place`]s or
/// a slice.
pub(crate) struct Orders<S: ?Sized> {
    time: Place,
    update: Place,
    desk: Desk,
    questions: S,
}

/// Where a question lies until its socket takes it.
pub(crate) struct Desk {
    question: RefCell<Option<Question>>,
    taken: Signal<NoopRawMutex, ()>,
}

impl<const SOCKETS: usize> Orders<[Place; SOCKETS]> {
    pub(crate) const fn new() -> Self {
        Self {
            time: Signal::new(),
            update: Signal::new(),
            desk: Desk { question: RefCell::new(None), taken: Signal::new() },
            questions: [const { Signal::new() }; SOCKETS],
        }
    }
}

impl Orders<[Place]> {
    /// Has a socket ask; returns when it has taken the question. Without such a socket nobody is asked.
    pub(crate) async fn ask(&self, socket: Socket, question: Question) {
        if let Some(place) = self.place(socket) {
            self.desk.question.replace(Some(question));
            place.signal(Order::Ask);
            self.desk.taken.wait().await;
        }
    }

    /// Nothing more is wanted of this socket.
    pub(crate) fn close(&self, socket: Socket) {
        if let Some(place) = self.place(socket) {
            place.signal(Order::Close);
        }
    }

    fn place(&self, socket: Socket) -> Option<&Place> {
        match socket {
            TIME => Some(&self.time),
            PUBLISHING => Some(&self.update),
            Socket(number) => self.questions.get(usize::from(number)),
        }
    }
}

impl Desk {
    /// Takes what lies there.
    fn take<T>(&self, read: impl FnOnce(&Question) -> T) -> Option<T> {
        let mut question = self.question.borrow_mut();
        let taken = question.as_ref().map(read);
        *question = None;
        self.taken.signal(());
        taken
    }

    fn transport(&self) -> Option<Transport> {
        self.question.borrow().as_ref().map(|question| question.transport)
    }
}

/// Buffers of one socket.
pub(crate) struct Memory<const QUESTION: usize = { 2 + MAX_QUESTION }, const ANSWERING: usize = MAX_ANSWER> {
    answers: Answers<[u8; ANSWERING]>,
    /// On a connection with its length in front.
    question: [u8; QUESTION],
}

/// Where answers come, `S` octets of them.
struct Answers<S: ?Sized> {
    /// Of the question, and of answers.
    meta: [PacketMetadata; 1 + ANSWERS],
    octets: S,
}

/// Buffers of the socket for time servers, which are asked by datagrams only.
pub(crate) type TimeMemory = Memory<TIME_QUESTION, TIME_ANSWERS>;
/// Buffers of the socket for updates.
pub(crate) type UpdateMemory = Memory<{ 2 + MAX_UPDATE }, MAX_UPDATE_ANSWER>;

impl<const QUESTION: usize, const ANSWERING: usize> Memory<QUESTION, ANSWERING> {
    pub(crate) const fn new() -> Self {
        let meta = [PacketMetadata::EMPTY; 1 + ANSWERS];
        Self { answers: Answers { meta, octets: [0; ANSWERING] }, question: [0; QUESTION] }
    }
}

/// What all sockets share.
pub(crate) struct Common<'a, 's, C> {
    pub(crate) orders: &'a Orders<[Place]>,
    pub(crate) stack: Stack<'s>,
    pub(crate) queues: &'a Queues<C>,
}

impl<'s, C> Common<'_, 's, C> {
    /// A socket at work.
    pub(crate) fn asking<'a, const QUESTION: usize, const ANSWERING: usize>(
        &'a self,
        socket: Socket,
        memory: &'a mut Memory<QUESTION, ANSWERING>,
    ) -> Asking<'a, 's, C> {
        let Memory { answers, question } = memory;
        Asking { socket, common: self, answers, question }
    }
}

/// One socket at work. There are many, so it holds little.
pub(crate) struct Asking<'a, 's, C> {
    socket: Socket,
    common: &'a Common<'a, 's, C>,
    answers: &'a mut Answers<[u8]>,
    question: &'a mut [u8],
}

impl<C> Asking<'_, '_, C> {
    /// Serves the socket for ever.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps what it is given twice, here for each socket"
    )]
    pub(crate) fn serve(mut self) -> impl Future<Output = Infallible> {
        async move {
            let Some(place) = self.common.orders.place(self.socket) else {
                return core::future::pending().await;
            };
            let mut order = place.wait().await;
            loop {
                order = match order {
                    Order::Close => place.wait().await,
                    Order::Ask => match select(place.wait(), self.ask()).await {
                        Either::First(order) => order,
                        Either::Second(()) => Order::Close,
                    },
                };
            }
        }
    }

    /// Asks, and reports what comes; in the end, that nothing more can come.
    async fn ask(&mut self) {
        match self.desk().transport() {
            Some(Transport::Udp { port }) => self.ask_by_datagram(port).await,
            Some(Transport::Tcp) => self.ask_on_a_connection().await,
            None => {}
        }
        self.common.queues.room().await;
        report(self.socket, DnsReport::Failed, self.common.queues);
    }

    const fn desk(&self) -> &Desk {
        &self.common.orders.desk
    }

    async fn ask_by_datagram(&mut self, port: u16) {
        let (tx_meta, rx_meta) = self.answers.meta.split_at_mut(1);
        let mut udp =
            UdpSocket::new(self.common.stack, rx_meta, &mut self.answers.octets, tx_meta, self.question);
        let is_bound = udp.bind(port).is_ok();
        let sent = self.common.orders.desk.take(|question| {
            let mut context = Context::from_waker(Waker::noop());
            let mut to = UdpMetadata::from(endpoint(question.server));
            // Who asks for an address has none (RFC 2131 §4.1).
            let is_nobody = question.server.is_ipv4() && self.common.stack.config_v4().is_none();
            to.local_address = is_nobody.then_some(IpAddress::Ipv4(Ipv4Addr::UNSPECIFIED));
            udp.poll_send_to(&question.octets, to, &mut context)
        });
        if !is_bound || !matches!(sent, Some(Poll::Ready(Ok(())))) {
            return;
        }
        loop {
            udp.wait_recv_ready().await;
            self.common.queues.room().await;
            pass_on(&udp, self.socket, self.common.queues);
        }
    }

    async fn ask_on_a_connection(&mut self) {
        let taken = self.common.orders.desk.take(|asked| {
            let left = 2 + asked.octets.len();
            let (length, message) = last(self.question, left)?.split_first_chunk_mut::<2>()?;
            *length = u16::try_from(asked.octets.len()).ok()?.to_be_bytes();
            message.copy_from_slice(&asked.octets);
            Some((endpoint(asked.server), left))
        });
        let Some((remote, mut left)) = taken.flatten() else { return };
        let Some((leaving, came)) = self.answers.octets.split_at_mut_checked(LEAVING) else { return };
        let mut tcp = TcpSocket::new(self.common.stack, came, leaving);
        if tcp.connect(remote).await.is_err() {
            return;
        }
        while left > 0 {
            let written = tcp.write(last(self.question, left).unwrap_or_default());
            let Ok(written) = written.await else { return };
            left = left.saturating_sub(written);
        }
        loop {
            tcp.wait_read_ready().await;
            self.common.queues.room().await;
            if !pass_on_octets(&mut tcp, self.socket, self.common.queues) {
                return;
            }
        }
    }
}

/// The last so many octets of a buffer: a question ends where its buffer ends, so that what is left of it is a number.
fn last(buffer: &mut [u8], octets: usize) -> Option<&mut [u8]> {
    buffer.len().checked_sub(octets).and_then(|start| buffer.get_mut(start..))
}

/// Tells Control, if there is room at once.
fn report<C>(socket: Socket, news: DnsReport, queues: &Queues<C>) -> bool {
    queues.try_report(Report::Dns { socket, news })
}

/// Reports a datagram that came. It is read only now that there is room for the report: many sockets wait,
/// and each would hold the octets meanwhile.
fn pass_on<C>(udp: &UdpSocket<'_>, socket: Socket, queues: &Queues<C>) {
    let mut octets = Datagram::new();
    let _ = octets.resize(MAX_ANSWER, 0);
    let mut context = Context::from_waker(Waker::noop());
    if let Poll::Ready(Ok((length, from))) = udp.poll_recv_from(&mut octets, &mut context) {
        octets.truncate(length);
        let server = SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port);
        // Who asked asks again.
        report(socket, DnsReport::Datagram { server, octets }, queues);
    }
}

/// Reports octets that came on a connection, now that there is room, as [`pass_on`] does; whether more may come.
fn pass_on_octets<C>(tcp: &mut TcpSocket<'_>, socket: Socket, queues: &Queues<C>) -> bool {
    let Some(from) = tcp.remote_endpoint() else { return false };
    let read = pin!(tcp.read_with(|came| {
        let (now, _) = came.split_at(came.len().min(MAX_DATAGRAM));
        let octets = Datagram::from_slice(now).unwrap_or_default();
        let news = DnsReport::Octets { server: SocketAddr::new(from.addr.into(), from.port), octets };
        let passed = !now.is_empty() && report(socket, news, queues);
        (if passed { now.len() } else { 0 }, !now.is_empty())
    }));
    matches!(read.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending | Poll::Ready(Ok(true)))
}

#[cfg(test)]
mod tests {
    use std::println;

    use esp_engine::crypto::software::SoftwareCipher;

    use super::*;

    /// Octets of what serving one socket keeps while a device lives; nothing is called.
    fn future() -> usize {
        fn of<F>(_: impl FnOnce(Asking<'static, 'static, SoftwareCipher>) -> F) -> usize {
            size_of::<F>()
        }
        of(Asking::serve)
    }

    /// All that asking takes of Network: orders, buffers and futures of its sockets.
    fn octets<const SOCKETS: usize>() -> usize {
        let questions = SOCKETS * (size_of::<Memory>() + future());
        let others = size_of::<TimeMemory>() + size_of::<UpdateMemory>() + 2 * future();
        size_of::<Orders<[Place; SOCKETS]>>() + questions + others
    }

    /// Of a socket that waits remains little but its buffers, and a host has none for clients.
    #[test]
    fn sizes() {
        let host = octets::<{ OWN_SOCKETS as usize }>();
        let gateway = octets::<ALL_SOCKETS>();
        println!(
            "sockets for questions, octets: a host's {host}, a gateway's {gateway}; the future of each {}",
            future()
        );
        assert!(host <= 20 << 10 && gateway <= 40 << 10);
    }
}
