//! The security association database (RFC 4301 §4.4.2). Inbound look-up is one array access, since
//! the SPI hides the slot; outbound look-up follows a short chain of the SAs that serve a policy and a
//! far address. What changes with time, and what has something to report, comes from indexes too.

use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::time::Duration;

use crate::index::{Chains, Heap, Member, Moment, Node};
use crate::latch::Latch;
use crate::sa::{ChildSa, SaReport, SaUpdate, Spi};
use crate::selector::{Selectors, single_address};
use crate::spd::PolicyId;
use crate::time::Instant;

pub(crate) use association::Association;
pub(crate) use limits::Stage;

mod association;
mod chain;
mod limits;

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

/// What the table keeps beside the SAs and their windows; it follows from them, but for the serial.
#[derive(Clone, Debug)]
pub(crate) struct Ledger<const N: usize> {
    /// Counts installations; the newest SA has the highest.
    serial: u32,
    /// No SA changes of itself before its moment, which may come early.
    changes: Heap<[Node<Moment>; N]>,
    /// SAs that have something to report.
    reports: Heap<[Node<()>; N]>,
    by_flow: Chains<[Member; N]>,
    by_remote: Chains<[Member; N]>,
}

impl<const N: usize> Ledger<N> {
    pub(crate) const fn new() -> Self {
        Self {
            serial: 0,
            changes: Heap::new(Moment::ZERO),
            reports: Heap::new(()),
            by_flow: Chains::new(),
            by_remote: Chains::new(),
        }
    }
}

impl<const N: usize> Hash for Ledger<N> {
    /// In what order SAs came and went makes no difference.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let changes: &Heap<[Node<Moment>]> = &self.changes;
        (self.serial, changes.first().map(|(at, _)| at.instant())).hash(state);
    }
}

/// The table itself, over memory of [`crate::resources::Resources`].
#[derive(Debug)]
pub(crate) struct Sad<'r, C> {
    slots: &'r mut [Option<Association<C>>],
    windows: &'r mut [u32],
    /// Words of each SA's window.
    words: usize,
    /// Unanswered packets are reported after this time; zero: never.
    silence: Duration,
    serial: &'r mut u32,
    changes: &'r mut Heap<[Node<Moment>]>,
    reports: &'r mut Heap<[Node<()>]>,
    /// A chain for each policy and far address, and one for each policy and whatever is more than an address.
    by_flow: &'r mut Chains<[Member]>,
    /// A chain for each outer address of a peer.
    by_remote: &'r mut Chains<[Member]>,
}

impl<'r, C> Sad<'r, C> {
    pub(crate) fn new<const N: usize>(
        slots: &'r mut [Option<Association<C>>; N],
        windows: &'r mut [u32],
        words: usize,
        silence: Duration,
        ledger: &'r mut Ledger<N>,
    ) -> Self {
        let Ledger { serial, changes, reports, by_flow, by_remote } = ledger;
        Self { slots, windows, words, silence, serial, changes, reports, by_flow, by_remote }
    }

    /// Places of the table.
    pub(crate) fn slots(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    /// The pair that we gave `spi`.
    pub(crate) fn get(&self, spi: Spi) -> Option<&Association<C>> {
        self.at(spi.slot(self.slots())).filter(|sa| sa.inbound == spi)
    }

    pub(crate) fn get_mut(&mut self, spi: Spi) -> Option<&mut Association<C>> {
        self.at_mut(spi.slot(self.slots())).filter(|sa| sa.inbound == spi)
    }

    /// The pair that we gave `spi`, with its window.
    pub(crate) fn get_with_window(&mut self, spi: Spi) -> Option<(&mut Association<C>, &mut [u32])> {
        let slot = self.slot_of(spi);
        let window = self.windows.get_mut(slot * self.words..(slot + 1) * self.words)?;
        let sa = self.slots.get_mut(slot)?.as_mut().filter(|sa| sa.inbound == spi)?;
        Some((sa, window))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Association<C>> {
        self.slots.iter().flatten()
    }

    /// Whether a pair could be installed.
    pub(crate) fn admits(&self, child: &ChildSa<C>) -> Result<(), InstallError> {
        match self.slots.get(self.slot_of(child.inbound)) {
            None => return Err(InstallError::NoSuchSlot),
            Some(Some(_)) => return Err(InstallError::Occupied),
            Some(None) => {}
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
        let index = self.slot_of(child.inbound);
        let (Ok(slot), Some(entry)) = (u16::try_from(index), self.slots.get_mut(index)) else { return };
        *self.serial = self.serial.wrapping_add(1);
        let sa = entry.insert(Association::new(now, *self.serial, child));
        let (policy, flow, remote) = (sa.policy, single_address(&sa.remote_ts), sa.remote);
        self.changes.set(slot, sa.next_change(now, self.silence).map(Moment::from));
        if let Some(window) = self.windows.get_mut(index * self.words..(index + 1) * self.words) {
            window.fill(0);
        }
        self.by_flow.put_first(slot, Some(self.chain_of(policy, flow)));
        self.by_remote.put_first(slot, Some(self.by_remote.of(&remote)));
    }

    /// Removes a pair and gives it back for a last look. Its successor need not wait any longer for a
    /// sign that the peer has it, unless the pair only received for a while: then what came meanwhile is another
    /// matter.
    pub(crate) fn remove(&mut self, spi: Spi) -> Option<Association<C>> {
        let index = self.slot_of(spi);
        let removed = self.slots.get_mut(index)?.take_if(|sa| sa.inbound == spi)?;
        let slot = u16::try_from(index).ok()?;
        self.changes.set(slot, None);
        self.reports.set(slot, None);
        self.by_flow.put_first(slot, None);
        self.by_remote.put_first(slot, None);
        if !removed.retired {
            let chain = self.chain_of(removed.policy, single_address(&removed.remote_ts));
            self.confirm_successors(chain, removed.serial, removed.policy, removed.peer);
        }
        Some(removed)
    }

    /// Moves a pair to other outer addresses; `false` when there is no such pair.
    pub(crate) fn relocate(&mut self, update: SaUpdate) -> bool {
        let SaUpdate { inbound, local, remote, encapsulation } = update;
        let Some(sa) = self.get_mut(inbound) else { return false };
        sa.relocate(local, remote, encapsulation);
        self.by_remote.put_first(inbound.slot(self.slots()), Some(self.by_remote.of(&remote)));
        true
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

    /// The pairs whose peer is at this address.
    pub(crate) fn towards(&self, remote: IpAddr) -> impl Iterator<Item = &Association<C>> {
        let chain = self.by_remote.iter(self.by_remote.of(&remote));
        chain.filter_map(|slot| self.at(slot)).filter(move |sa| sa.remote == remote)
    }

    /// The pair whose outbound SA has `spi` towards `remote`.
    pub(crate) fn by_outbound(&mut self, spi: Spi, remote: IpAddr) -> Option<&mut Association<C>> {
        let inbound = self.towards(remote).find(|sa| sa.outbound == spi)?.inbound;
        self.get_mut(inbound)
    }

    /// Lets those SAs see the time whose moment has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, slot)) = self.changes.first()
            && at.instant() <= now
        {
            let silence = self.silence;
            let change = self.at_mut(slot).and_then(|sa| {
                sa.age(now);
                if !silence.is_zero() {
                    sa.mind_silence(now, silence);
                }
                sa.next_change(now, silence)
            });
            self.changes.set(slot, change.map(Moment::from));
            self.queue_report(slot);
        }
    }

    /// An SA waits for an answer since now.
    pub(crate) fn await_answer(&mut self, now: Instant, spi: Spi) {
        let slot = spi.slot(self.slots());
        if self.silence.is_zero() || self.get_mut(spi).is_none_or(|sa| !sa.await_answer(now)) {
            return;
        }
        let at = Moment::from(now + self.silence);
        self.changes.set(slot, Some(self.changes.key(slot).map_or(at, |before| before.min(at))));
    }

    pub(crate) fn next_change(&self) -> Option<Instant> {
        self.changes.first().map(|(at, _)| at.instant())
    }

    /// Puts the SA among those with something to report, if it has.
    pub(crate) fn note(&mut self, spi: Spi) {
        self.queue_report(spi.slot(self.slots()));
    }

    fn queue_report(&mut self, slot: u16) {
        if self.at(slot).is_some_and(Association::has_report) {
            self.reports.set(slot, Some(()));
        }
    }

    /// The next thing that an SA has to say.
    pub(crate) fn next_report(&mut self) -> Option<SaReport> {
        while let Some(((), slot)) = self.reports.first() {
            let report = self.at_mut(slot).and_then(Association::take_report);
            if !self.at(slot).is_some_and(Association::has_report) {
                self.reports.set(slot, None);
            }
            if report.is_some() {
                return report;
            }
        }
        None
    }

    fn slot_of(&self, spi: Spi) -> usize {
        usize::from(spi.slot(self.slots()))
    }

    fn at(&self, slot: u16) -> Option<&Association<C>> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    fn at_mut(&mut self, slot: u16) -> Option<&mut Association<C>> {
        self.slots.get_mut(usize::from(slot))?.as_mut()
    }
}

/// No SA sends a packet now; whether one will as soon as its peer is known to have it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Waiting(pub(crate) bool);
