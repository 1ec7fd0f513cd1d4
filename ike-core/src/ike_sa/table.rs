//! The IKE SAs of an endpoint, and the indexes over them: what fires next, what is to be said, who is at an
//! address, whose they are. An exchange takes an IKE SA [out of its slot](IkeSas::take) and
//! [puts it back](IkeSas::put); there, and nowhere else, the indexes learn what has become of it. A slot whose
//! IKE SA is out is not vacant, and has nothing to show to whoever looks at the others.

use core::net::IpAddr;

use esp_engine::index::{Chains, Heap, Member, Moment, Node, Vacancies};
use esp_engine::sa::PeerKey;
use esp_engine::time::Instant;

use super::{Established, IkeSa, State};
use crate::pad::{Identity, OwnedIdentity, PeerId};

#[cfg(feature = "explore")]
mod walk;

/// The memory of the table: slots, and what follows from them.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone))]
pub(crate) struct Storage<const N: usize> {
    pub(crate) slots: [Option<IkeSa>; N],
    alarms: Heap<[Node<Moment>; N]>,
    vacancies: Vacancies<[Node<()>; N]>,
    over: Heap<[Node<()>; N]>,
    ended: Heap<[Node<()>; N]>,
    half_open: Heap<[Node<()>; N]>,
    by_address: Chains<[Member; N]>,
    by_peer: Chains<[Member; N]>,
    by_entry: Chains<[Member; N]>,
}

impl<const N: usize> Storage<N> {
    /// Empty.
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { None }; N],
            alarms: Heap::new(Moment::ZERO),
            vacancies: Vacancies::new(),
            over: Heap::new(()),
            ended: Heap::new(()),
            half_open: Heap::new(()),
            by_address: Chains::new(),
            by_peer: Chains::new(),
            by_entry: Chains::new(),
        }
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct IkeSas<'r> {
    slots: &'r mut [Option<IkeSa>],
    alarms: &'r mut Heap<[Node<Moment>]>,
    vacancies: &'r mut Vacancies<[Node<()>]>,
    over: &'r mut Heap<[Node<()>]>,
    ended: &'r mut Heap<[Node<()>]>,
    half_open: &'r mut Heap<[Node<()>]>,
    by_address: &'r mut Chains<[Member]>,
    by_peer: &'r mut Chains<[Member]>,
    by_entry: &'r mut Chains<[Member]>,
}

/// Who a peer is: the entry that it falls under, its name, and its key where the name alone says nothing,
/// because anybody may show it (RFC 5386, RFC 7619).
#[derive(Copy, Clone, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) peer: PeerId,
    pub(crate) identity: &'a OwnedIdentity,
    pub(crate) key: PeerKey,
    pub(crate) is_stranger: bool,
}

impl Who<'_> {
    /// Whether both are the same.
    pub(crate) fn is_same(&self, other: &Who<'_>) -> bool {
        self.peer == other.peer
            && self.identity.view().is_same(&other.identity.view())
            && (self.named_by_key() == other.named_by_key())
    }

    fn named_by_key(&self) -> Option<PeerKey> {
        let is_nameless = matches!(self.identity.view(), Identity::Null);
        (self.is_stranger || is_nameless).then_some(self.key)
    }
}

impl Established {
    /// Who the peer is.
    pub(crate) fn who(&self) -> Who<'_> {
        let is_stranger = !crate::exchange::ike_auth::is_somebody(self.level);
        Who { peer: self.peer, identity: &self.identity, key: self.key, is_stranger }
    }
}

impl<'r> IkeSas<'r> {
    pub(crate) fn new<const N: usize>(storage: &'r mut Storage<N>) -> Self {
        let Storage { slots, alarms, vacancies, over, ended, half_open, by_address, by_peer, by_entry } =
            storage;
        Self { slots, alarms, vacancies, over, ended, half_open, by_address, by_peer, by_entry }
    }

    /// Makes all slots vacant.
    pub(crate) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.alarms.clear();
        self.ended.clear();
        self.half_open.clear();
        self.by_address.clear();
        self.by_peer.clear();
        self.by_entry.clear();
        self.vacancies.clear();
        self.over.clear();
    }

    /// How many slots there are.
    pub(crate) fn capacity(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    /// The IKE SA in a slot, unless it is out.
    pub(crate) fn get(&self, slot: u16) -> Option<&IkeSa> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    /// Takes an IKE SA out of its slot, which waits for it.
    pub(crate) fn take(&mut self, slot: u16) -> Option<IkeSa> {
        let sa = self.slots.get_mut(usize::from(slot))?.take()?;
        self.over.set(slot, None);
        Some(sa)
    }

    /// Puts an IKE SA into its slot, for the first time or again.
    pub(crate) fn put(&mut self, slot: u16, sa: IkeSa) {
        let Some(entry) = self.slots.get_mut(usize::from(slot)) else { return };
        let sa = entry.insert(sa);
        self.alarms.set(slot, sa.timers.next().map(Moment::from));
        self.vacancies.take(slot);
        self.over.set(slot, sa.is_over().then_some(()));
        self.ended.set(slot, matches!(sa.state, State::Ended(..)).then_some(()));
        self.half_open.set(slot, sa.is_half_open().then_some(()));
        let at = self.by_address.of(&sa.path.peer());
        self.by_address.put_in_order(slot, Some(at));
        let established = sa.established();
        let peer = established.map(|established| chain_of(self.by_peer, &established.who()));
        self.by_peer.put_in_order(slot, peer);
        let entry = established.map(|established| self.by_entry.of(&established.peer));
        self.by_entry.put_first(slot, entry);
    }

    /// The IKE SA of a slot is gone for good.
    pub(crate) fn vacate(&mut self, slot: u16) {
        let Some(entry) = self.slots.get_mut(usize::from(slot)) else { return };
        *entry = None;
        self.alarms.set(slot, None);
        self.vacancies.leave(slot);
        self.over.set(slot, None);
        self.ended.set(slot, None);
        self.half_open.set(slot, None);
        self.by_address.put_in_order(slot, None);
        self.by_peer.put_in_order(slot, None);
        self.by_entry.put_first(slot, None);
    }

    /// Changes an IKE SA in its slot.
    pub(crate) fn change<T>(&mut self, slot: u16, change: impl FnOnce(&mut IkeSa) -> T) -> Option<T> {
        let mut sa = self.take(slot)?;
        let result = change(&mut sa);
        self.put(slot, sa);
        Some(result)
    }

    /// A vacant slot; an IKE SA that only repeats its last answer gives way.
    pub(crate) fn vacancy(&mut self) -> Option<u16> {
        self.vacancies.lowest().or_else(|| {
            let ((), slot) = self.over.first()?;
            self.vacate(slot);
            Some(slot)
        })
    }

    /// How many slots may be had.
    pub(crate) fn vacant(&self) -> usize {
        self.vacancies.len() + self.over.len()
    }

    /// How many have not shown yet that they are worth their place.
    pub(crate) fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// The slot whose timer fires next, and when.
    pub(crate) fn next_alarm(&self) -> Option<(Instant, u16)> {
        self.alarms.first().map(|(at, slot)| (at.instant(), slot))
    }

    /// A slot whose IKE SA ended, which has yet to be said.
    pub(crate) fn first_ended(&self) -> Option<u16> {
        self.ended.first().map(|((), slot)| slot)
    }

    /// All, by their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &IkeSa)> {
        (0..=u16::MAX).zip(self.slots.iter()).filter_map(|(slot, sa)| Some((slot, sa.as_ref()?)))
    }

    /// Those whose peer is at this address.
    pub(crate) fn at(&self, remote: IpAddr) -> impl Iterator<Item = (u16, &IkeSa)> {
        self.chained(self.by_address.of(&remote), self.by_address, move |sa| sa.path.peer() == remote)
    }

    /// The slot of the next of them behind this one: others may come and go between two calls.
    pub(crate) fn next_at(&self, remote: IpAddr, after: Option<u16>) -> Option<u16> {
        let is_there = |sa: &IkeSa| sa.path.peer() == remote;
        self.next_chained(self.by_address.of(&remote), self.by_address, after, is_there)
    }

    /// Those that both ends proved to, with this peer.
    pub(crate) fn with(&self, who: Who<'_>) -> impl Iterator<Item = &IkeSa> {
        let is_its = move |sa: &IkeSa| sa.established().is_some_and(|other| other.who().is_same(&who));
        self.chained(chain_of(self.by_peer, &who), self.by_peer, is_its).map(|(_, sa)| sa)
    }

    /// The slot of the next of them behind this one: others may come and go between two calls.
    pub(crate) fn next_with(&self, who: Who<'_>, after: Option<u16>) -> Option<u16> {
        let is_its = |sa: &IkeSa| sa.established().is_some_and(|other| other.who().is_same(&who));
        self.next_chained(chain_of(self.by_peer, &who), self.by_peer, after, is_its)
    }

    /// Those that stand with a peer of this entry, in no order.
    pub(crate) fn of_entry(&self, peer: PeerId) -> impl Iterator<Item = (u16, &IkeSa)> {
        let is_its = move |sa: &IkeSa| sa.established().is_some_and(|established| established.peer == peer);
        self.chained(self.by_entry.of(&peer), self.by_entry, is_its)
    }

    fn chained(
        &self,
        chain: u16,
        chains: &Chains<[Member]>,
        is_meant: impl Fn(&IkeSa) -> bool,
    ) -> impl Iterator<Item = (u16, &IkeSa)> {
        let there = chains.iter(chain).filter_map(|slot| Some((slot, self.get(slot)?)));
        there.filter(move |(_, sa)| is_meant(sa))
    }

    fn next_chained(
        &self,
        chain: u16,
        chains: &Chains<[Member]>,
        mut after: Option<u16>,
        is_meant: impl Fn(&IkeSa) -> bool,
    ) -> Option<u16> {
        loop {
            after = Some(chains.after(chain, after)?);
            if self.get(after?).is_some_and(&is_meant) {
                return after;
            }
        }
    }
}

/// The chain of a peer. Names compare without regard to case and to a trailing dot.
fn chain_of(chains: &Chains<[Member]>, who: &Who<'_>) -> u16 {
    let name = who.identity.data();
    let name = name.strip_suffix(b".").unwrap_or(name).iter().map(u8::to_ascii_lowercase);
    let mut letters = name.fold(0_u32, |sum, octet| sum.wrapping_mul(31).wrapping_add(u32::from(octet)));
    letters ^= u32::from(who.identity.kind());
    chains.of(&(who.peer, letters, who.named_by_key()))
}
