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

/// Sockets for questions of our own: three for each look-up that is under way, one to try out servers, and one for
/// time servers.
pub(crate) const OWN_SOCKETS: u8 = 3 * crate::control::LOOKUPS as u8 + 2;
/// The socket for time servers.
pub(crate) const TIME: Socket = Socket(OWN_SOCKETS - 1);
/// Sockets for questions of our own and, behind them, of clients.
pub(crate) const ALL_SOCKETS: usize = OWN_SOCKETS as usize + crate::control::CLIENT_SOCKETS;
/// The socket for updates of our own name, and to ask for an address; every device has it beside those for questions.
/// Both ask again when the other takes it from them.
pub(crate) const PUBLISHING: Socket = Socket(u8::MAX);

/// Octets of the longest question, our own or a client's: beside a name of 255 octets there are 70 for options
/// (RFC 6891 §6.1.2), a cookie takes 44.
pub(crate) const MAX_QUESTION: usize = 352;
/// Octets of the longest update: one with an RSA key of 2,048 bits.
pub const MAX_UPDATE: usize = 1_232;
/// Octets of the longest answer in a datagram, as every question says (RFC 6891 §6.2.3).
const MAX_ANSWER: usize = 1_232;
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
enum Order {
    /// Ask what lies on the desk.
    Ask,
    /// Nothing more is wanted.
    Close,
}

/// Orders for so many sockets for questions, and for that for updates.
pub(crate) struct Orders<const SOCKETS: usize> {
    questions: [Signal<NoopRawMutex, Order>; SOCKETS],
    update: Signal<NoopRawMutex, Order>,
    desk: Desk,
}

/// Where a question lies until its socket takes it.
pub(crate) struct Desk {
    question: RefCell<Option<Question>>,
    taken: Signal<NoopRawMutex, ()>,
}

impl<const SOCKETS: usize> Orders<SOCKETS> {
    pub(crate) const fn new() -> Self {
        Self {
            questions: [const { Signal::new() }; SOCKETS],
            update: Signal::new(),
            desk: Desk { question: RefCell::new(None), taken: Signal::new() },
        }
    }

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

    /// A socket at work.
    pub(crate) fn asking<'a, 's, C, const OCTETS: usize>(
        &'a self,
        socket: Socket,
        stack: Stack<'s>,
        memory: &'a mut Memory<OCTETS>,
        queues: &'a Queues<C>,
    ) -> Asking<'a, 's, C> {
        let Memory { meta, answers, question } = memory;
        let (place, desk) = (self.place(socket), &self.desk);
        Asking { socket, place, desk, stack, queues, meta, answers, question }
    }

    fn place(&self, socket: Socket) -> Option<&Signal<NoopRawMutex, Order>> {
        if socket == PUBLISHING { Some(&self.update) } else { self.questions.get(usize::from(socket.0)) }
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
pub(crate) struct Memory<const OCTETS: usize = { 2 + MAX_QUESTION }> {
    /// Of the question, and of answers.
    meta: [PacketMetadata; 1 + ANSWERS],
    answers: [u8; MAX_ANSWER],
    /// On a connection with its length in front.
    question: [u8; OCTETS],
}

impl<const OCTETS: usize> Memory<OCTETS> {
    pub(crate) const fn new() -> Self {
        Self { meta: [PacketMetadata::EMPTY; 1 + ANSWERS], answers: [0; MAX_ANSWER], question: [0; OCTETS] }
    }
}

/// One socket at work.
pub(crate) struct Asking<'a, 's, C> {
    socket: Socket,
    place: Option<&'a Signal<NoopRawMutex, Order>>,
    desk: &'a Desk,
    stack: Stack<'s>,
    queues: &'a Queues<C>,
    meta: &'a mut [PacketMetadata; 1 + ANSWERS],
    answers: &'a mut [u8; MAX_ANSWER],
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
            let Some(place) = self.place else {
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
        match self.desk.transport() {
            Some(Transport::Udp { port }) => self.ask_by_datagram(port).await,
            Some(Transport::Tcp) => self.ask_on_a_connection().await,
            None => {}
        }
        self.queues.room().await;
        report(self.socket, DnsReport::Failed, self.queues);
    }

    async fn ask_by_datagram(&mut self, port: u16) {
        let (tx_meta, rx_meta) = self.meta.split_at_mut(1);
        let mut udp = UdpSocket::new(self.stack, rx_meta, self.answers, tx_meta, self.question);
        let is_bound = udp.bind(port).is_ok();
        let sent = self.desk.take(|question| {
            let mut context = Context::from_waker(Waker::noop());
            let mut to = UdpMetadata::from(endpoint(question.server));
            // Who asks for an address has none (RFC 2131 §4.1).
            let is_nobody = question.server.is_ipv4() && self.stack.config_v4().is_none();
            to.local_address = is_nobody.then_some(IpAddress::Ipv4(Ipv4Addr::UNSPECIFIED));
            udp.poll_send_to(&question.octets, to, &mut context)
        });
        if !is_bound || !matches!(sent, Some(Poll::Ready(Ok(())))) {
            return;
        }
        loop {
            udp.wait_recv_ready().await;
            self.queues.room().await;
            pass_on(&udp, self.socket, self.queues);
        }
    }

    async fn ask_on_a_connection(&mut self) {
        let Some((server, mut question)) = self
            .desk
            .take(|asked| {
                let whole = self.question.get_mut(..2 + asked.octets.len())?;
                let (length, message) = whole.split_first_chunk_mut::<2>()?;
                *length = u16::try_from(asked.octets.len()).ok()?.to_be_bytes();
                message.copy_from_slice(&asked.octets);
                Some((asked.server, &*whole))
            })
            .flatten()
        else {
            return;
        };
        let (leaving, came) = self.answers.split_at_mut(LEAVING);
        let mut tcp = TcpSocket::new(self.stack, came, leaving);
        if tcp.connect(endpoint(server)).await.is_err() {
            return;
        }
        while !question.is_empty() {
            let Ok(written) = tcp.write(question).await else { return };
            question = question.get(written..).unwrap_or_default();
        }
        loop {
            tcp.wait_read_ready().await;
            self.queues.room().await;
            let read = |came: &mut [u8]| {
                let (now, _) = came.split_at(came.len().min(MAX_DATAGRAM));
                let octets = Datagram::from_slice(now).unwrap_or_default();
                let news = DnsReport::Octets { server, octets };
                let passed = !now.is_empty() && report(self.socket, news, self.queues);
                (if passed { now.len() } else { 0 }, !now.is_empty())
            };
            if !matches!(tcp.read_with(read).await, Ok(true)) {
                return;
            }
        }
    }
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
        let update = size_of::<Memory<{ 2 + MAX_UPDATE }>>() + future();
        size_of::<Orders<SOCKETS>>() + questions + update
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
        assert!(host <= 21 << 10 && gateway <= 45 << 10);
    }
}
