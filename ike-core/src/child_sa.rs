//! The Child SAs of an endpoint, as key management keeps them: whose they are and which flows live in
//! them. A flow that lives under one peer's key is never given to another key (RFC 5660 §2.3).
//! Removal is said by `poll_output`, which then frees the slot; so a slot is never reused before.

use core::mem::size_of;
use core::time::Duration;

use esp_engine::sa::{PeerKey, Spi};
use esp_engine::selector::{Selectors, TrafficSelectors};
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use crate::crypto::RngFailure;
use crate::narrow::overlap;
use crate::random::Random;
use crate::resources::free_slot;

/// Octets that one pair of Child SAs takes in the resources.
pub const CHILD_SA: usize = size_of::<Option<Child>>();

/// How long a pair that we made as responder waits for a sign that the peer has it: longer than the peer tries to
/// get our answer.
pub(crate) const UNSURE: Duration = Duration::from_secs(120);

/// How long what was on its way to a pair that was replaced may still arrive.
pub(crate) const DRAIN: Duration = Duration::from_secs(2);

/// A pair of Child SAs.
#[derive(Clone, Hash, Debug)]
pub struct Child {
    /// The slot of its IKE SA.
    pub(crate) owner: u16,
    /// The SPI that we chose.
    pub(crate) inbound: Spi,
    /// The SPI that the peer chose; `None` while the peer has not answered.
    pub(crate) outbound: Option<Spi>,
    pub(crate) policy: PolicyId,
    pub(crate) peer: Option<PeerKey>,
    pub(crate) local_ts: TrafficSelectors,
    pub(crate) remote_ts: TrafficSelectors,
    pub(crate) stage: Stage,
    /// We made it as responder, and the peer has given no sign of having our answer: until this moment it is not
    /// asked about what it may not know.
    pub(crate) unsure_until: Option<Instant>,
    /// A successor is to be asked for as soon as no other request waits for its answer.
    pub(crate) renewal_owed: bool,
    /// The data plane has to be told that its outer addresses are others.
    pub(crate) update_owed: bool,
    pub(crate) sending: Sending,
}

/// Whether packets leave on a pair. The data plane is told once that they do no more.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Sending {
    /// As far as the data plane finds none better.
    Yes,
    /// The data plane has to be told that it only receives from now on.
    Ending,
    /// It only receives.
    Ended,
}

/// How far a pair of Child SAs has come. Whatever is no longer [`Stage::Live`] still receives until the
/// peer has said, or heard, that it is gone (RFC 7296 §1.4.1, §2.8).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    /// Only the SPI is taken: the peer has not answered.
    Reserved,
    /// It carries packets.
    Live,
    /// The peer made a successor and will delete it.
    Replaced,
    /// The peer must be told that it ends.
    DeleteOwed,
    /// Our Delete waits for its answer.
    Deleting,
    /// Both ends have said that it is gone, and its successor carries the flow; until this moment it receives
    /// what was on its way.
    Draining(Instant),
    /// The data plane must forget it.
    Removed,
}

impl Child {
    /// Whether it was agreed on and its end is not under way.
    pub(crate) fn stands(&self) -> bool {
        matches!(self.stage, Stage::Live | Stage::Replaced)
    }

    /// Whether the peer is taken to know it.
    pub(crate) fn is_known(&self, now: Instant) -> bool {
        self.unsure_until.is_none_or(|until| until <= now)
    }

    /// Nothing more may leave on it.
    fn end_sending(&mut self) {
        if self.sending == Sending::Yes && self.outbound.is_some() {
            self.sending = Sending::Ending;
        }
    }

    /// Whether key management has done with it.
    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Draining(_) | Stage::Removed)
    }
}

/// The table; slot and SPI belong together.
#[derive(Debug)]
pub(crate) struct Children<'r> {
    slots: &'r mut [Option<Child>],
}

impl<'r> Children<'r> {
    pub(crate) fn new(slots: &'r mut [Option<Child>]) -> Self {
        Self { slots }
    }

    fn capacity(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    /// An SPI in a free slot; `Ok(None)` when there is none. Then one that drains makes room for the next try.
    pub(crate) fn fresh_spi<R: TryCryptoRng>(
        &mut self,
        random: &mut Random<R>,
    ) -> Result<Option<Spi>, RngFailure> {
        let Some(slot) = free_slot(self.slots) else {
            if let Some(child) = self.slots.iter_mut().flatten().find(|child| child.is_over()) {
                child.stage = Stage::Removed;
            }
            return Ok(None);
        };
        let octets = random.try_next_u32().map_err(|_| RngFailure)?;
        Ok(Some(Spi::for_slot(slot, self.capacity(), octets)))
    }

    /// Puts a Child SA into the slot of its SPI.
    pub(crate) fn insert(&mut self, child: Child) {
        let slot = usize::from(child.inbound.slot(self.capacity()));
        if let Some(entry) = self.slots.get_mut(slot) {
            *entry = Some(child);
        }
    }

    /// Takes an SPI back whose Child SA never was.
    pub(crate) fn withdraw(&mut self, inbound: Spi) {
        let slot = usize::from(inbound.slot(self.capacity()));
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.take_if(|child| child.inbound == inbound);
        }
    }

    /// The Child SA that we receive on with this SPI.
    pub(crate) fn find(&mut self, inbound: Spi) -> Option<&mut Child> {
        let slot = usize::from(inbound.slot(self.capacity()));
        self.slots.get_mut(slot)?.as_mut().filter(|child| child.inbound == inbound && !child.is_over())
    }

    /// The same, to look at.
    pub(crate) fn look(&self, inbound: Spi) -> Option<&Child> {
        self.slots.get(usize::from(inbound.slot(self.capacity())))?.as_ref().filter(|c| c.inbound == inbound)
    }

    /// Those of one IKE SA, without those that are over.
    pub(crate) fn of(&mut self, owner: u16) -> impl Iterator<Item = &mut Child> {
        self.slots.iter_mut().flatten().filter(move |child| child.owner == owner && !child.is_over())
    }

    /// How many of one IKE SA stand.
    pub(crate) fn count(&self, owner: u16) -> u16 {
        let own = |c: &&Child| c.owner == owner && c.stands();
        u16::try_from(self.slots.iter().flatten().filter(own).count()).unwrap_or(u16::MAX)
    }

    /// Whether a pair stands that this packet may leave by.
    pub(crate) fn serves(&self, policy: PolicyId, packet: &Selectors) -> bool {
        self.slots.iter().flatten().any(|child| {
            child.policy == policy
                && child.stands()
                && child.local_ts.iter().any(|ts| ts.matches_source(packet))
                && child.remote_ts.iter().any(|ts| ts.matches_destination(packet))
        })
    }

    /// Those that stand.
    pub(crate) fn standing(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().flatten().filter(|child| child.stands())
    }

    /// Whether a flow between these selectors lives under another key than this.
    pub(crate) fn is_taken(
        &self,
        peer: PeerKey,
        local: &TrafficSelectors,
        remote: &TrafficSelectors,
    ) -> bool {
        self.slots.iter().flatten().any(|child| {
            child.peer.is_some_and(|owner| owner != peer)
                && child.stage != Stage::Removed
                && overlap(&child.local_ts, local)
                && overlap(&child.remote_ts, remote)
        })
    }

    /// A successor of their IKE SA has them from now on.
    pub(crate) fn hand_over(&mut self, from: u16, to: u16) {
        self.slots
            .iter_mut()
            .flatten()
            .filter(|child| child.owner == from)
            .for_each(|child| child.owner = to);
    }

    /// Ends all of one IKE SA.
    pub(crate) fn remove_all(&mut self, owner: u16) {
        for child in self.slots.iter_mut().flatten().filter(|child| child.owner == owner) {
            child.stage = Stage::Removed;
            child.sending = Sending::Ended;
        }
    }

    /// Takes note that those of one IKE SA have other outer addresses.
    pub(crate) fn relocate(&mut self, owner: u16) {
        for child in self.of(owner).filter(|child| child.outbound.is_some()) {
            child.update_owed = true;
        }
    }

    /// The next one whose outer addresses are others, of which the data plane is told now.
    pub(crate) fn take_relocated(&mut self) -> Option<&Child> {
        let child = self.slots.iter_mut().flatten().find(|child| child.update_owed)?;
        child.update_owed = false;
        Some(child)
    }

    /// All of one IKE SA only receive from now on: their successors stand.
    pub(crate) fn retire_all(&mut self, owner: u16) {
        for child in self.of(owner) {
            child.stage = Stage::Deleting;
            child.end_sending();
        }
    }

    /// The next pair that the data plane must send nothing more on.
    pub(crate) fn sweep_retiring(&mut self) -> Option<Spi> {
        let child = self.slots.iter_mut().flatten().find(|child| child.sending == Sending::Ending)?;
        child.sending = Sending::Ended;
        Some(child.inbound)
    }

    /// Whether an IKE SA has any that stands or may come to stand.
    pub(crate) fn has_any(&self, owner: u16) -> bool {
        let counts = |c: &Child| c.owner == owner && (c.stands() || c.stage == Stage::Reserved);
        self.slots.iter().flatten().any(counts)
    }

    /// The SPIs of one IKE SA's Child SAs at this stage.
    pub(crate) fn at<const N: usize>(&self, owner: u16, stage: Stage) -> heapless::Vec<u32, N> {
        let there = self.slots.iter().flatten().filter(|c| c.owner == owner && c.stage == stage);
        there.map(|child| child.inbound.get()).take(N).collect()
    }

    /// A sign of the peer shows that it has all those of one IKE SA.
    pub(crate) fn confirm(&mut self, owner: u16) {
        self.of(owner).for_each(|child| child.unsure_until = None);
    }

    /// The SPIs of one IKE SA's Child SAs whose end the peer must be told and can understand.
    pub(crate) fn owed<const N: usize>(&mut self, owner: u16, now: Instant) -> heapless::Vec<u32, N> {
        let owed = self.of(owner).filter(|child| child.stage == Stage::DeleteOwed && child.is_known(now));
        owed.map(|child| child.inbound.get()).take(N).collect()
    }

    /// Whether something is owed of one that the peer may not know yet.
    pub(crate) fn is_waiting(&mut self, owner: u16, now: Instant) -> bool {
        self.of(owner).any(|c| !c.is_known(now) && (c.renewal_owed || c.stage == Stage::DeleteOwed))
    }

    /// Moves those of one IKE SA with these SPIs on to another stage.
    pub(crate) fn advance(&mut self, owner: u16, spis: &[u32], stage: Stage) {
        for child in self.of(owner).filter(|child| spis.contains(&child.inbound.get())) {
            child.stage = stage;
        }
    }

    /// Both ends know that those of one IKE SA with these SPIs are gone. One that has a successor receives
    /// until this moment what was sent before the peer knew.
    pub(crate) fn release(&mut self, owner: u16, spis: &[u32], until: Instant) {
        for spi in spis {
            let Some(gone) = self.of(owner).find(|child| child.inbound.get() == *spi) else {
                continue;
            };
            let (policy, peer) = (gone.policy, gone.peer);
            gone.stage = Stage::Removed;
            let carries_on = |c: &mut Child| c.policy == policy && c.peer == peer && c.stands();
            if self.of(owner).any(carries_on)
                && let Some(gone) = self.slots.iter_mut().flatten().find(|child| child.inbound.get() == *spi)
            {
                gone.stage = Stage::Draining(until);
                gone.end_sending();
            }
        }
    }

    /// Ends what has received for long enough.
    pub(crate) fn end_draining(&mut self, now: Instant) {
        for child in self.slots.iter_mut().flatten() {
            if matches!(child.stage, Stage::Draining(until) if until <= now) {
                child.stage = Stage::Removed;
            }
        }
    }

    /// When the next one has received for long enough.
    pub(crate) fn next_drained(&self) -> Option<Instant> {
        let until = |child: &Child| if let Stage::Draining(until) = child.stage { Some(until) } else { None };
        self.slots.iter().flatten().filter_map(until).min()
    }

    /// Frees a slot whose Child SA was removed; returns its SPI if the data plane has it.
    pub(crate) fn sweep(&mut self) -> Option<Spi> {
        for entry in self.slots.iter_mut() {
            if let Some(child) = entry.take_if(|child| child.stage == Stage::Removed)
                && child.outbound.is_some()
            {
                return Some(child.inbound);
            }
        }
        None
    }
}
