//! The Child SAs of an endpoint, and the indexes over them: what is to be said, whose they are, which flows
//! live in them. A flow that lives under one peer's key is never given to another key (RFC 5660 §2.3). Slot
//! and SPI belong together. Removal is said by `poll_output`, which then frees the slot; so a slot is never
//! reused before. Whatever changes goes through [`Children::change`], from which the indexes learn it.

use core::net::IpAddr;

use esp_engine::index::{Chains, Heap, Member, Moment, Node, Vacancies};
use esp_engine::sa::{PeerKey, Spi};
use esp_engine::selector::{Selectors, TrafficSelectors, single_address};
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use super::{Child, Sending, Stage};
use crate::crypto::RngFailure;
use crate::narrow::overlap;
use crate::random::Random;

use ending::Owed;

mod ending;
#[cfg(feature = "explore")]
mod walk;

/// The memory of the table: slots, and what follows from them.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone))]
pub(crate) struct Storage<const N: usize> {
    pub(crate) slots: [Option<Child>; N],
    vacant: Vacancies<[Node<()>; N]>,
    owed: Heap<[Node<Owed>; N]>,
    draining: Heap<[Node<Moment>; N]>,
    by_owner: Chains<[Member; N]>,
    by_flow: Chains<[Member; N]>,
}

impl<const N: usize> Storage<N> {
    /// Empty.
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { None }; N],
            vacant: Vacancies::new(),
            owed: Heap::new(Owed::Retire),
            draining: Heap::new(Moment::ZERO),
            by_owner: Chains::new(),
            by_flow: Chains::new(),
        }
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Children<'r> {
    slots: &'r mut [Option<Child>],
    vacant: &'r mut Vacancies<[Node<()>]>,
    owed: &'r mut Heap<[Node<Owed>]>,
    draining: &'r mut Heap<[Node<Moment>]>,
    /// A chain for each IKE SA, in the order of the slots.
    by_owner: &'r mut Chains<[Member]>,
    /// A chain for each far address, and one for whatever covers more than an address.
    by_flow: &'r mut Chains<[Member]>,
}

impl<'r> Children<'r> {
    pub(crate) fn new<const N: usize>(storage: &'r mut Storage<N>) -> Self {
        let Storage { slots, vacant, owed, draining, by_owner, by_flow } = storage;
        Self { slots, vacant, owed, draining, by_owner, by_flow }
    }

    /// Makes all slots vacant.
    pub(crate) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.owed.clear();
        self.draining.clear();
        self.by_owner.clear();
        self.by_flow.clear();
        self.vacant.clear();
    }

    fn capacity(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    fn at(&self, slot: u16) -> Option<&Child> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    /// Changes the pair in a slot, which may be gone then.
    fn change_at<T>(&mut self, slot: u16, change: impl FnOnce(&mut Option<Child>) -> T) -> Option<T> {
        let entry = self.slots.get_mut(usize::from(slot))?;
        let result = change(entry);
        self.index(slot);
        Some(result)
    }

    /// The indexes learn what a slot holds now.
    fn index(&mut self, slot: u16) {
        let child = self.slots.get(usize::from(slot)).and_then(Option::as_ref);
        if child.is_some() {
            self.vacant.take(slot)
        } else {
            self.vacant.leave(slot)
        }
        self.owed.set(slot, child.and_then(Child::owed));
        self.draining.set(slot, child.and_then(Child::drains_until).map(Moment::from));
        let owner = child.map(|child| self.by_owner.nth(usize::from(child.owner)));
        self.by_owner.put_in_order(slot, owner);
        // Nothing lives yet in what the peer was only asked for.
        let agreed = child.filter(|child| child.outbound.is_some());
        let flow = agreed.map(|child| self.by_flow.of(&single_address(&child.remote_ts)));
        self.by_flow.put_first(slot, flow);
    }

    /// An SPI in a free slot; `Ok(None)` when there is none. Then one that drains makes room for the next try.
    pub(crate) fn fresh_spi<R: TryCryptoRng>(
        &mut self,
        random: &mut Random<R>,
    ) -> Result<Option<Spi>, RngFailure> {
        let Some(slot) = self.vacant.lowest() else {
            if let Some((_, slot)) = self.draining.first() {
                self.change_at(slot, |child| child.iter_mut().for_each(|c| c.stage = Stage::Removed));
            }
            return Ok(None);
        };
        let octets = random.try_next_u32().map_err(|_| RngFailure)?;
        Ok(Some(Spi::for_slot(slot, self.capacity(), octets)))
    }

    /// Puts a Child SA into the slot of its SPI.
    pub(crate) fn insert(&mut self, child: Child) {
        self.change_at(child.inbound.slot(self.capacity()), |entry| *entry = Some(child));
    }

    /// Takes an SPI back whose Child SA never was.
    pub(crate) fn withdraw(&mut self, inbound: Spi) {
        let slot = inbound.slot(self.capacity());
        self.change_at(slot, |entry| entry.take_if(|child| child.inbound == inbound));
    }

    /// The Child SA that we receive on with this SPI, unless it is over.
    pub(crate) fn find(&self, inbound: Spi) -> Option<&Child> {
        self.look(inbound).filter(|child| !child.is_over())
    }

    /// The same, even if it is over.
    pub(crate) fn look(&self, inbound: Spi) -> Option<&Child> {
        self.at(inbound.slot(self.capacity())).filter(|child| child.inbound == inbound)
    }

    /// Changes the Child SA that we receive on with this SPI, unless it is over.
    pub(crate) fn change(&mut self, inbound: Spi, change: impl FnMut(&mut Child)) {
        if self.find(inbound).is_some() {
            self.change_at(inbound.slot(self.capacity()), |child| child.iter_mut().for_each(change));
        }
    }

    /// Those of one IKE SA, without those that are over.
    pub(crate) fn of(&self, owner: u16) -> impl Iterator<Item = &Child> {
        let chain = self.by_owner.iter(self.by_owner.nth(usize::from(owner)));
        let all = chain.filter_map(|slot| self.at(slot)).filter(move |child| child.owner == owner);
        all.filter(|child| !child.is_over())
    }

    /// Changes all of one IKE SA, those that are over included.
    fn change_all_of(&mut self, owner: u16, mut change: impl FnMut(&mut Child)) {
        let (chain, mut seen) = (self.by_owner.nth(usize::from(owner)), None);
        while let Some(slot) = self.by_owner.after(chain, seen) {
            seen = Some(slot);
            if self.at(slot).is_some_and(|child| child.owner == owner) {
                self.change_at(slot, |child| child.iter_mut().for_each(&mut change));
            }
        }
    }

    /// Changes those of one IKE SA, without those that are over.
    fn change_of(&mut self, owner: u16, mut change: impl FnMut(&mut Child)) {
        self.change_all_of(owner, |child| {
            if !child.is_over() {
                change(child);
            }
        });
    }

    /// How many of one IKE SA stand.
    pub(crate) fn count(&self, owner: u16) -> u16 {
        u16::try_from(self.of(owner).filter(|child| child.stands()).count()).unwrap_or(u16::MAX)
    }

    /// Those with flows to this address, or to a range around it, and others.
    fn towards(&self, remote: IpAddr) -> impl Iterator<Item = &Child> {
        let narrow = self.by_flow.iter(self.by_flow.of(&Some(remote)));
        let wide = self.by_flow.iter(self.by_flow.of(&None::<IpAddr>));
        narrow.chain(wide).filter_map(|slot| self.at(slot))
    }

    /// Whether a pair stands that this packet may leave by.
    pub(crate) fn serves(&self, policy: PolicyId, packet: &Selectors) -> bool {
        self.towards(packet.destination).any(|child| {
            child.policy == policy
                && child.stands()
                && child.local_ts.iter().any(|ts| ts.matches_source(packet))
                && child.remote_ts.iter().any(|ts| ts.matches_destination(packet))
        })
    }

    /// A pair of this policy that packets leave by; to this address, if there is one.
    pub(crate) fn carrying(&self, policy: PolicyId, remote: Option<IpAddr>) -> Option<&Child> {
        let fits = |child: &&Child| {
            child.policy == policy
                && child.stands()
                && child.outbound.is_some()
                && child.sending == Sending::Yes
        };
        match remote {
            Some(remote) => {
                let covers = |child: &&Child| child.remote_ts.iter().any(|ts| ts.addresses.contains(remote));
                self.towards(remote).filter(fits).find(covers)
            }
            None => self.slots.iter().flatten().find(fits),
        }
    }

    /// Whether packets of this policy between these selectors have a pair to leave by.
    pub(crate) fn are_served(
        &self,
        policy: PolicyId,
        local: &TrafficSelectors,
        remote: &TrafficSelectors,
    ) -> bool {
        let serves = |child: &Child| {
            child.policy == policy
                && child.stands()
                && child.outbound.is_some()
                && overlap(&child.local_ts, local)
                && overlap(&child.remote_ts, remote)
        };
        match single_address(remote) {
            Some(remote) => self.towards(remote).any(serves),
            None => self.slots.iter().flatten().any(serves),
        }
    }

    /// Whether a flow between these selectors lives under another key than this.
    pub(crate) fn is_taken(
        &self,
        peer: PeerKey,
        local: &TrafficSelectors,
        remote: &TrafficSelectors,
    ) -> bool {
        let is_in_the_way = |child: &Child| {
            child.peer.is_some_and(|owner| owner != peer)
                && child.stage != Stage::Removed
                && overlap(&child.local_ts, local)
                && overlap(&child.remote_ts, remote)
        };
        match single_address(remote) {
            Some(remote) => self.towards(remote).any(is_in_the_way),
            None => self.slots.iter().flatten().any(is_in_the_way),
        }
    }

    /// A successor of their IKE SA has them from now on.
    pub(crate) fn hand_over(&mut self, from: u16, to: u16) {
        self.change_all_of(from, |child| child.owner = to);
    }

    /// Whether an IKE SA has any that stands or may come to stand.
    pub(crate) fn has_any(&self, owner: u16) -> bool {
        self.of(owner).any(|child| child.stands() || child.stage == Stage::Reserved)
    }

    /// The SPIs of one IKE SA's Child SAs at this stage.
    pub(crate) fn at_stage<const N: usize>(&self, owner: u16, stage: Stage) -> heapless::Vec<u32, N> {
        let there = self.of(owner).filter(|child| child.stage == stage);
        there.map(|child| child.inbound.get()).take(N).collect()
    }

    /// A sign of the peer shows that it has all those of one IKE SA.
    pub(crate) fn confirm(&mut self, owner: u16) {
        self.change_of(owner, |child| child.unsure_until = None);
    }

    /// The SPIs of one IKE SA's Child SAs whose end the peer must be told and can understand.
    pub(crate) fn owed<const N: usize>(&self, owner: u16, now: Instant) -> heapless::Vec<u32, N> {
        let owed = self.of(owner).filter(|child| child.stage == Stage::DeleteOwed && child.is_known(now));
        owed.map(|child| child.inbound.get()).take(N).collect()
    }

    /// Whether something is owed of one that the peer may not know yet.
    pub(crate) fn is_waiting(&self, owner: u16, now: Instant) -> bool {
        self.of(owner).any(|c| !c.is_known(now) && (c.renewal_owed || c.stage == Stage::DeleteOwed))
    }

    /// Moves those of one IKE SA with these SPIs on to another stage.
    pub(crate) fn advance(&mut self, owner: u16, spis: &[u32], stage: Stage) {
        self.change_of(owner, |child| {
            if spis.contains(&child.inbound.get()) {
                child.stage = stage;
            }
        });
    }
}
