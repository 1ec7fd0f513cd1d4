//! Network's end of the way up, and the notices that wait for it.

use core::cell::{Cell, RefCell};

use esp_engine::sa::SaReport;
use heapless::Vec;

use super::{BACKLOG, Notice, Queues, Report};

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
pub(super) struct Backlog(pub(super) Vec<Notice, BACKLOG>);

/// No room for another notice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BacklogFull;

impl Backlog {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// What strangers can cause takes at most half of the places, so a flood never hides that an SA
    /// expires.
    pub(super) fn push(&mut self, notice: Notice) -> Result<(), BacklogFull> {
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
