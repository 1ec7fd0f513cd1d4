//! The only words that the two halves exchange: [`Command`] down, [`Report`] up, each through one
//! bounded FIFO of plain `Send` values, so the halves may run in different executors.
//!
//! An SA is installed before the message that announces it leaves because both take the same way
//! down. Packets never wait for Control: when the way up is full, an IKE datagram is dropped (its
//! sender repeats it) and a [`Notice`] waits in a backlog, merged with its like.

use core::cell::{Cell, RefCell};
use core::net::SocketAddr;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use esp_engine::engine::InstallError;
use esp_engine::sa::{ChildSa, SaReport, SaUpdate, Spi};
use esp_engine::selector::{AddressRange, Selectors};
use esp_engine::spd::{PolicyId, PolicySelectors};
use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::discovery::output::Socket;
use ike_core::discovery::proxy::Client;
use ike_core::output::Path;
use ike_core::resources::MESSAGE;

use crate::config::Outside;
use crate::network::dns::Question;

/// Octets of the longest UDP payload that passes between the halves: the longest message that key
/// management keeps, behind a non-ESP marker (RFC 7296 §3.1).
pub const MAX_DATAGRAM: usize = MESSAGE + 4;
/// Places on the way down.
pub const COMMANDS: usize = 4;
/// Places on the way up.
pub const REPORTS: usize = 4;
/// Notices that wait while the way up is full.
pub const BACKLOG: usize = 16;

/// A UDP payload.
pub type Datagram = Vec<u8, MAX_DATAGRAM>;

/// What Control asks of Network.
pub enum Command<C> {
    /// Install this pair of SAs, key schedules built, both or neither.
    Install(ChildSa<C>),
    /// Send nothing more on the pair with this SPI of ours.
    Retire(Spi),
    /// Remove the pair with this SPI of ours.
    Remove(Spi),
    /// Move a pair to other addresses.
    Update(SaUpdate),
    /// Send this datagram; on port 4500 the non-ESP marker is in place (RFC 7296 §3.1).
    Transmit {
        /// The way it takes.
        path: Path,
        /// UDP payload.
        datagram: Datagram,
    },
    /// The far side of this policy is here from now on.
    Policy {
        /// Its place.
        policy: PolicyId,
        /// Its far side.
        remote: PolicySelectors,
    },
    /// The device is here from now on: its stack, its routes, and its side of policies.
    Outside(Outside),
    /// Policies that would rather protect let packets pass in clear here until then.
    LetClear {
        /// With whom.
        remote: AddressRange,
        /// How long.
        until: Instant,
    },
    /// Ask a DNS server; whatever the socket did before is over.
    Query {
        /// Which of the sockets for questions.
        socket: Socket,
        /// Whom, how and what.
        question: Question,
    },
    /// Nothing that comes on this socket for questions is wanted any more.
    CloseQuery(Socket),
    /// Answer a client of the capturing resolver.
    Reply {
        /// Whom.
        client: Client,
        /// A datagram, or the next octets of a stream.
        octets: Datagram,
        /// There is more to the answer.
        more: bool,
    },
    /// Report the counters.
    Count,
}

/// What came on a socket for questions.
pub enum DnsReport {
    /// A datagram.
    Datagram {
        /// From whom.
        server: SocketAddr,
        /// UDP payload.
        octets: Datagram,
    },
    /// Some octets on a connection.
    Octets {
        /// To whom it is.
        server: SocketAddr,
        /// As they came.
        octets: Datagram,
    },
    /// Nothing can come: the port is taken, the connection refused or over.
    Failed,
}

/// What Network tells Control.
pub enum Report {
    /// The Ethernet address of the outer port, where a DHCP server is to be asked by it.
    Link([u8; 6]),
    /// An IKE datagram; on port 4500 the non-ESP marker is still in front.
    Datagram {
        /// The way it came.
        path: Path,
        /// UDP payload.
        datagram: Datagram,
    },
    /// Something about an SA or a flow.
    Notice(Notice),
    /// Something about a question to a DNS server.
    Dns {
        /// Which of the sockets for questions.
        socket: Socket,
        /// What.
        news: DnsReport,
    },
    /// A client asks the capturing resolver.
    Asked {
        /// Who.
        client: Client,
        /// The question.
        octets: Datagram,
    },
    /// A client's connection has ended.
    Gone(u16),
    /// The answer to [`Command::Count`].
    Counted(crate::network::Counters),
}

/// News from the engine that Control acts on.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A packet needs an SA that is not there.
    Acquire {
        /// The policy that it met.
        policy: PolicyId,
        /// The packet.
        packet: Selectors,
    },
    /// News of an SA.
    Sa(SaReport),
    /// A pair of SAs could not be installed.
    NotInstalled {
        /// The SPI that we chose.
        spi: Spi,
        /// Why.
        reason: InstallError,
    },
}

/// Both channels; a `static` of the board, or a local where one executor runs both halves.
pub struct Queues<C> {
    down: Channel<CriticalSectionRawMutex, Command<C>, COMMANDS>,
    up: Channel<CriticalSectionRawMutex, Report, REPORTS>,
}

impl<C> Queues<C> {
    /// Both empty.
    pub const fn new() -> Self {
        Self { down: Channel::new(), up: Channel::new() }
    }

    /// Control's end: waits while the way down is full, for Network empties it within a packet.
    pub async fn command(&self, command: Command<C>) {
        self.down.send(command).await;
    }

    /// Control's end: the next report.
    pub async fn next_report(&self) -> Report {
        self.up.receive().await
    }

    /// Network's end, for what may wait: nothing else waits with it.
    pub(crate) async fn report(&self, report: Report) {
        self.up.send(report).await;
    }

    /// Network's end: waits until the way up has room for a report.
    pub(crate) async fn room(&self) {
        core::future::poll_fn(|cx| self.up.poll_ready_to_send(cx)).await;
    }

    /// Network's end: a report, right after [`Queues::room`]; `false` when somebody was quicker.
    pub(crate) fn try_report(&self, report: Report) -> bool {
        self.up.try_send(report).is_ok()
    }

    /// Network's end: the next command.
    pub async fn next_command(&self) -> Command<C> {
        self.down.receive().await
    }
}

impl<C> Default for Queues<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// How often the way up was full.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Overflow {
    /// IKE datagrams dropped.
    pub datagrams: u32,
    /// Notices dropped because the backlog was full too.
    pub notices: u32,
}

/// Network's end of the way up: never waits.
pub struct Upward<'q, C> {
    queues: &'q Queues<C>,
    backlog: RefCell<Backlog>,
    overflow: Cell<Overflow>,
}

impl<'q, C> Upward<'q, C> {
    /// An end of `queues`.
    pub const fn new(queues: &'q Queues<C>) -> Self {
        let overflow = Overflow { datagrams: 0, notices: 0 };
        Self { queues, backlog: RefCell::new(Backlog::new()), overflow: Cell::new(overflow) }
    }

    /// Passes a datagram or counters on, or drops and counts them.
    pub fn offer(&self, report: Report) {
        self.flush();
        if self.queues.up.try_send(report).is_err() {
            let overflow = self.overflow.get();
            self.overflow.set(Overflow { datagrams: overflow.datagrams.saturating_add(1), ..overflow });
        }
    }

    /// Passes a notice on, behind those that wait.
    pub fn notify(&self, notice: Notice) {
        if self.backlog.borrow_mut().push(notice).is_err() {
            let overflow = self.overflow.get();
            self.overflow.set(Overflow { notices: overflow.notices.saturating_add(1), ..overflow });
        }
        self.flush();
    }

    /// Resolves as soon as the way up has room again for what waits; at once when nothing does.
    pub async fn drained(&self) {
        core::future::poll_fn(|cx| {
            self.flush();
            if self.backlog.borrow().is_empty() {
                return core::task::Poll::Ready(());
            }
            let _ = self.queues.up.poll_ready_to_send(cx);
            core::task::Poll::Pending
        })
        .await;
    }

    /// Resolves as soon as the way up has room for a datagram, behind what waits.
    pub async fn room(&self) {
        self.drained().await;
        core::future::poll_fn(|cx| self.queues.up.poll_ready_to_send(cx)).await;
    }

    /// Whether notices wait.
    pub fn is_behind(&self) -> bool {
        !self.backlog.borrow().is_empty()
    }

    /// How often the way up was full.
    pub fn overflow(&self) -> Overflow {
        self.overflow.get()
    }

    fn flush(&self) {
        let mut backlog = self.backlog.borrow_mut();
        while let Some(notice) = backlog.first() {
            if self.queues.up.try_send(Report::Notice(notice)).is_err() {
                return;
            }
            backlog.remove_first();
        }
    }
}

/// Notices that wait for the way up, oldest first, each kind once for each SA or flow.
struct Backlog(Vec<Notice, BACKLOG>);

/// No room for another notice.
#[derive(Debug, PartialEq, Eq)]
struct BacklogFull;

impl Backlog {
    const fn new() -> Self {
        Self(Vec::new())
    }

    /// What strangers can cause takes at most half of the places, so a flood never hides that an SA
    /// expires.
    fn push(&mut self, notice: Notice) -> Result<(), BacklogFull> {
        if let Some(like) = self.0.iter_mut().find(|waiting| merges(waiting, &notice)) {
            *like = notice;
            return Ok(());
        }
        let from_strangers = self.0.iter().filter(|waiting| is_strangers(waiting)).count();
        if is_strangers(&notice) && from_strangers >= BACKLOG / 2 {
            return Err(BacklogFull);
        }
        self.0.push(notice).map_err(|_| BacklogFull)
    }

    fn first(&self) -> Option<Notice> {
        self.0.first().copied()
    }

    fn remove_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_strangers(notice: &Notice) -> bool {
    matches!(notice, Notice::Acquire { .. } | Notice::Sa(SaReport::UnknownSpi { .. }))
}

/// Whether the newer notice says all that the waiting one does.
fn merges(waiting: &Notice, newer: &Notice) -> bool {
    match (waiting, newer) {
        (Notice::Sa(SaReport::PeerMoved { spi: a, .. }), Notice::Sa(SaReport::PeerMoved { spi: b, .. })) => {
            a == b
        }
        _ => waiting == newer,
    }
}

#[cfg(test)]
mod tests {
    use esp_engine::crypto::software::SoftwareCipher;
    use esp_engine::selector::Ports;

    use super::*;

    fn spi(n: u32) -> Spi {
        Spi::new(0x8000_0000 | n).unwrap()
    }

    fn expired(n: u32) -> Notice {
        Notice::Sa(SaReport::SoftExpired(spi(n)))
    }

    fn unknown(n: u32) -> Notice {
        Notice::Sa(SaReport::UnknownSpi { spi: n, remote: "192.0.2.9".parse().unwrap(), port: None })
    }

    fn acquire(source: u16) -> Notice {
        let packet = Selectors {
            source: "192.0.2.1".parse().unwrap(),
            destination: "192.0.2.2".parse().unwrap(),
            protocol: 6,
            ports: Ports::Known { source, destination: 179 },
        };
        Notice::Acquire { policy: PolicyId(3), packet }
    }

    fn datagram(octet: u8) -> Report {
        let end: SocketAddr = "192.0.2.1:500".parse().unwrap();
        let path = Path { interface: 0, local: end, remote: end };
        Report::Datagram { path, datagram: Datagram::from_slice(&[octet]).unwrap() }
    }

    fn received(queues: &Queues<SoftwareCipher>) -> std::vec::Vec<Notice> {
        core::iter::from_fn(|| queues.up.try_receive().ok())
            .filter_map(|report| if let Report::Notice(notice) = report { Some(notice) } else { None })
            .collect()
    }

    /// The halves may run in executors of different priority.
    #[test]
    fn what_the_halves_share_may_cross_between_executors() {
        fn crosses<T: Send>() {}
        fn is_shared<T: Sync>() {}
        crosses::<Command<SoftwareCipher>>();
        crosses::<Report>();
        is_shared::<Queues<SoftwareCipher>>();
        is_shared::<crate::management::Management>();
        is_shared::<crate::side_by_side::Wakers>();
    }

    #[test]
    fn datagrams_that_find_the_way_up_full_are_dropped_and_counted() {
        let queues = Queues::<SoftwareCipher>::new();
        let up = Upward::new(&queues);
        for n in 0..REPORTS as u8 + 3 {
            up.offer(datagram(n));
        }
        assert_eq!(up.overflow(), Overflow { datagrams: 3, notices: 0 });
        let Ok(Report::Datagram { datagram, .. }) = queues.up.try_receive() else { panic!() };
        assert_eq!(datagram, [0]);
    }

    #[test]
    fn notices_wait_and_arrive_in_order_before_later_datagrams() {
        let queues = Queues::<SoftwareCipher>::new();
        let up = Upward::new(&queues);
        for n in 0..REPORTS as u8 {
            up.offer(datagram(n));
        }
        for n in 0..3 {
            up.notify(expired(n));
        }
        assert!(up.is_behind());
        for _ in 0..REPORTS {
            queues.up.try_receive().ok().unwrap();
        }
        up.offer(datagram(9));
        assert!(!up.is_behind());
        assert_eq!(received(&queues), [expired(0), expired(1), expired(2)]);
        assert_eq!(up.overflow(), Overflow::default());
    }

    #[test]
    fn like_notices_merge_and_the_newest_address_wins() {
        let moved = |port| {
            let remote = SocketAddr::new("192.0.2.2".parse().unwrap(), port);
            Notice::Sa(SaReport::PeerMoved { spi: spi(1), remote })
        };
        let mut backlog = Backlog::new();
        for notice in [expired(1), acquire(1), moved(4500), expired(1), acquire(1), moved(61_000)] {
            backlog.push(notice).unwrap();
        }
        assert_eq!(backlog.0, [expired(1), acquire(1), moved(61_000)]);
    }

    #[test]
    fn a_flood_from_strangers_leaves_room_for_news_of_sas() {
        let mut backlog = Backlog::new();
        for n in 0..BACKLOG as u32 {
            let _ = backlog.push(unknown(256 + n));
        }
        assert_eq!(backlog.push(acquire(1)), Err(BacklogFull));
        for n in 0..BACKLOG as u32 / 2 {
            assert_eq!(backlog.push(expired(n)), Ok(()));
        }
        assert_eq!(backlog.push(expired(999)), Err(BacklogFull));
    }

    #[test]
    fn notices_beyond_the_backlog_are_counted() {
        let queues = Queues::<SoftwareCipher>::new();
        let up = Upward::new(&queues);
        for n in 0..(REPORTS + BACKLOG) as u32 + 2 {
            up.notify(expired(n));
        }
        assert_eq!(up.overflow(), Overflow { datagrams: 0, notices: 2 });
    }
}
