//! The security association database (RFC 4301 §4.4.2). Inbound look-up is one array access, since
//! the SPI hides the slot; outbound look-up walks a short chain of the SAs that serve a policy and a
//! far address, newest first. Every link is an index: nothing is allocated.

use core::net::IpAddr;
use core::time::Duration;

use crate::latch::Latch;
use crate::sa::{ChildSa, Spi};
use crate::selector::{Selectors, single_address};
use crate::spd::PolicyId;
use crate::time::Instant;

pub(crate) use association::Association;
use chain::{Link, Place};
pub(crate) use limits::Stage;

mod association;
mod chain;
mod limits;
mod reports;

/// Why a pair of SAs was not installed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum InstallError {
    /// The SPI's slot holds a pair already.
    Occupied,
    /// The SPI names a slot that the table does not have.
    NoSuchSlot,
    /// No such policy, or one that does not protect.
    NotProtected,
    /// The policy asks for the other mode.
    WrongMode,
    /// The policy asks for better authentication.
    TooWeak,
    /// A flow of the pair lives under another peer's key (RFC 5660).
    Latched,
    /// The outer addresses are of different families.
    MixedFamilies,
}

/// One place of the table. It is also the head of one chain of the outbound index.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Slot<C> {
    association: Option<Association<C>>,
    chain: Link,
}

impl<C> Slot<C> {
    pub(crate) const EMPTY: Self = Self { association: None, chain: None };
}

/// What the table keeps beside its slots.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Ledger {
    /// Counts installations; the newest SA has the highest.
    serial: u32,
    /// A queue through the SAs that have something to report.
    first_report: Link,
    last_report: Link,
    /// No SA changes of itself before this moment.
    next_change: Option<Instant>,
}

impl Ledger {
    pub(crate) const fn new() -> Self {
        Self { serial: 0, first_report: None, last_report: None, next_change: None }
    }
}

/// The table itself, over memory of [`crate::resources::Resources`].
#[derive(Debug)]
pub(crate) struct Sad<'r, C> {
    slots: &'r mut [Slot<C>],
    windows: &'r mut [u32],
    /// Words of each SA's window.
    words: usize,
    /// Unanswered packets are reported after this time; zero: never.
    silence: Duration,
    ledger: &'r mut Ledger,
}

impl<'r, C> Sad<'r, C> {
    pub(crate) fn new(
        slots: &'r mut [Slot<C>],
        windows: &'r mut [u32],
        words: usize,
        silence: Duration,
        ledger: &'r mut Ledger,
    ) -> Self {
        Self { slots, windows, words, silence, ledger }
    }

    /// Places of the table.
    pub(crate) fn slots(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    /// The pair that we gave `spi`.
    pub(crate) fn get(&self, spi: Spi) -> Option<&Association<C>> {
        self.at(self.slot_of(spi)).filter(|sa| sa.inbound == spi)
    }

    pub(crate) fn get_mut(&mut self, spi: Spi) -> Option<&mut Association<C>> {
        let slot = self.slot_of(spi);
        self.at_mut(slot).filter(|sa| sa.inbound == spi)
    }

    /// The pair that we gave `spi`, with its window.
    pub(crate) fn get_with_window(&mut self, spi: Spi) -> Option<(&mut Association<C>, &mut [u32])> {
        let slot = self.slot_of(spi);
        let window = self.windows.get_mut(slot * self.words..(slot + 1) * self.words)?;
        let sa = self.slots.get_mut(slot)?.association.as_mut().filter(|sa| sa.inbound == spi)?;
        Some((sa, window))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Association<C>> {
        self.slots.iter().filter_map(|slot| slot.association.as_ref())
    }

    /// Whether a pair could be installed.
    pub(crate) fn admits(&self, child: &ChildSa<C>) -> Result<(), InstallError> {
        match self.slots.get(self.slot_of(child.inbound)) {
            None => return Err(InstallError::NoSuchSlot),
            Some(slot) if slot.association.is_some() => return Err(InstallError::Occupied),
            Some(_) => {}
        }
        let claim = Latch::of(child);
        let latched = match single_address(&child.remote_ts) {
            Some(remote) => self.chains(child.policy, remote).any(|sa| sa.is_latched_against(&claim)),
            None => self.iter().any(|sa| sa.is_latched_against(&claim)),
        };
        if latched { Err(InstallError::Latched) } else { Ok(()) }
    }

    /// Installs a pair that [`Self::admits`].
    pub(crate) fn insert(&mut self, now: Instant, child: ChildSa<C>) {
        let slot = self.slot_of(child.inbound);
        let chain = self.chain_of(child.policy, single_address(&child.remote_ts));
        self.ledger.serial = self.ledger.serial.wrapping_add(1);
        let mut sa = Association::new(now, self.ledger.serial, child);
        let Some(head) = self.slots.get_mut(chain) else { return };
        sa.older = head.chain.replace(Place::new(slot));
        if let Some(window) = self.windows.get_mut(slot * self.words..(slot + 1) * self.words) {
            window.fill(0);
        }
        let change = sa.next_change(now, self.silence);
        if let Some(place) = self.slots.get_mut(slot) {
            place.association = Some(sa);
        }
        self.ledger.next_change = earlier(self.ledger.next_change, change);
    }

    /// Removes a pair and gives it back for a last look. Its successor need not wait any longer for a
    /// sign that the peer has it, unless the pair only received for a while: then what came meanwhile is another
    /// matter.
    pub(crate) fn remove(&mut self, spi: Spi) -> Option<Association<C>> {
        let slot = self.slot_of(spi);
        let sa = self.get(spi)?;
        let chain = self.chain_of(sa.policy, single_address(&sa.remote_ts));
        self.unlink_report(slot);
        self.unlink_chain(chain, slot);
        let removed = self.slots.get_mut(slot)?.association.take()?;
        if !removed.retired {
            self.confirm_successors(chain, removed.serial, removed.policy, removed.peer);
        }
        Some(removed)
    }

    /// Sends nothing more on a pair, and lets its successors.
    pub(crate) fn retire(&mut self, spi: Spi) -> bool {
        let Some(sa) = self.get_mut(spi) else { return false };
        sa.retired = true;
        let (serial, policy, peer, remote) = (sa.serial, sa.policy, sa.peer, single_address(&sa.remote_ts));
        self.confirm_successors(self.chain_of(policy, remote), serial, policy, peer);
        true
    }

    /// The SA that sends a packet of `policy`: the newest whose peer is known to have it, else the
    /// newest that has waited long enough for a sign of it. `Err` tells whether there is at least
    /// one that still waits.
    pub(crate) fn sender(&self, now: Instant, policy: PolicyId, packet: &Selectors) -> Result<Spi, Waiting> {
        let mut best: Option<((bool, u32), Spi)> = None;
        let mut waiting = Waiting(false);
        let all = self.chains(policy, packet.destination);
        for sa in all.filter(|sa| sa.serves(now, policy, packet)) {
            if now < sa.usable_from {
                waiting = Waiting(true);
            } else if best.is_none_or(|(rank, _)| rank < sa.rank()) {
                best = Some((sa.rank(), sa.inbound));
            }
        }
        best.map(|(_, spi)| spi).ok_or(waiting)
    }

    /// The pair whose outbound SA has `spi` towards `remote`. Control path only: it walks the table.
    pub(crate) fn by_outbound(&mut self, spi: Spi, remote: IpAddr) -> Option<&mut Association<C>> {
        let all = self.slots.iter_mut().filter_map(|slot| slot.association.as_mut());
        all.into_iter().find(|sa| sa.outbound == spi && sa.remote == remote)
    }

    /// Lets every SA see the time; finds the next moment at which one changes.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.ledger.next_change.is_none_or(|at| now < at) {
            return;
        }
        let (mut next, silence) = (None, self.silence);
        for slot in 0..self.slots.len() {
            let Some(sa) = self.at_mut(slot) else { continue };
            sa.age(now);
            if !silence.is_zero() {
                sa.mind_silence(now, silence);
            }
            let change = sa.next_change(now, silence);
            next = earlier(next, change);
            self.queue_reports(slot);
        }
        self.ledger.next_change = next;
    }

    /// An SA waits for an answer since now.
    pub(crate) fn await_answer(&mut self, now: Instant) {
        if !self.silence.is_zero() {
            self.ledger.next_change = earlier(self.ledger.next_change, Some(now + self.silence));
        }
    }

    pub(crate) fn next_change(&self) -> Option<Instant> {
        self.ledger.next_change
    }

    fn slot_of(&self, spi: Spi) -> usize {
        usize::from(spi.slot(self.slots()))
    }

    fn at(&self, slot: usize) -> Option<&Association<C>> {
        self.slots.get(slot)?.association.as_ref()
    }

    fn at_mut(&mut self, slot: usize) -> Option<&mut Association<C>> {
        self.slots.get_mut(slot)?.association.as_mut()
    }
}

/// No SA sends a packet now; whether one will as soon as its peer is known to have it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Waiting(pub(crate) bool);

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
