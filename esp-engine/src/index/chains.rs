//! Slots that have something in common: as many chains as the table has slots, and a slot is in one at most.
//! What is in common is hashed to the number of a chain, so others may be in it too, and whoever follows one
//! compares.

use core::hash::{Hash, Hasher};

use super::{Link, Place};

/// Chains through the slots of a table. `S` is an array of [`Member`]s, one for each slot, or a slice.
#[derive(Clone, Hash, Debug)]
pub struct Chains<S: ?Sized> {
    members: S,
}

/// The head of the chain of this number, and the slot of this number in its chain.
#[derive(Copy, Clone, Hash, Debug)]
pub struct Member {
    head: Link,
    chain: Link,
    next: Link,
    previous: Link,
}

impl Member {
    const ALONE: Self = Self { head: None, chain: None, next: None, previous: None };
}

impl<const N: usize> Chains<[Member; N]> {
    /// No slot is in any.
    pub const fn new() -> Self {
        const { assert!(N <= u16::MAX as usize, "a slot's number has 16 bits") };
        Self { members: [Member::ALONE; N] }
    }
}

impl<const N: usize> Default for Chains<[Member; N]> {
    fn default() -> Self {
        Self::new()
    }
}

impl Chains<[Member]> {
    /// The number of the chain for what has this in common.
    pub fn of(&self, common: &impl Hash) -> u16 {
        let mut words = Words(0x811c_9dc5);
        common.hash(&mut words);
        words.write_u32(0);
        self.nth(words.0 as usize)
    }

    /// The number of the chain for what has the number `n` in common: no other number has it too, as far as
    /// there are as many chains.
    pub fn nth(&self, n: usize) -> u16 {
        n.checked_rem(self.members.len()).and_then(|n| u16::try_from(n).ok()).unwrap_or(0)
    }

    /// The first slot of a chain.
    pub fn first(&self, chain: u16) -> Option<u16> {
        self.members.get(usize::from(chain))?.head.map(Place::number)
    }

    /// The slot behind this one in its chain.
    pub fn next(&self, slot: u16) -> Option<u16> {
        self.members.get(usize::from(slot))?.next.map(Place::number)
    }

    /// The slots of a chain.
    pub fn iter(&self, chain: u16) -> impl Iterator<Item = u16> {
        core::iter::successors(self.first(chain), |slot| self.next(*slot))
    }

    /// The first slot of a chain, or the first behind this one, where all were put [in
    /// order](Self::put_in_order). Others may have come and gone meanwhile, and this one too.
    pub fn after(&self, chain: u16, slot: Option<u16>) -> Option<u16> {
        match slot {
            None => self.first(chain),
            Some(slot) if self.chain(slot) == Some(chain) => self.next(slot),
            Some(slot) => self.iter(chain).find(|member| *member > slot),
        }
    }

    /// Puts a slot in front of this chain, unless it is in there, or in none.
    pub fn put_first(&mut self, slot: u16, chain: Option<u16>) {
        if self.leave(slot, chain)
            && let Some(chain) = chain
        {
            self.link(slot, chain, None, self.first(chain));
        }
    }

    /// Puts a slot into this chain, behind those with lower numbers, or in none. This takes as long as the
    /// chain is.
    pub fn put_in_order(&mut self, slot: u16, chain: Option<u16>) {
        if self.leave(slot, chain)
            && let Some(chain) = chain
        {
            let previous = self.iter(chain).take_while(|member| *member < slot).last();
            let next = previous.map_or_else(|| self.first(chain), |previous| self.next(previous));
            self.link(slot, chain, previous, next);
        }
    }

    /// Takes all slots out.
    pub fn clear(&mut self) {
        self.members.fill(Member::ALONE);
    }

    fn chain(&self, slot: u16) -> Option<u16> {
        self.members.get(usize::from(slot))?.chain.map(Place::number)
    }

    /// Takes a slot out of its chain, unless it is to be in there; whether it is in none.
    fn leave(&mut self, slot: u16, wanted: Option<u16>) -> bool {
        let Some(member) = self.members.get_mut(usize::from(slot)) else { return false };
        let Some(chain) = member.chain else { return true };
        if wanted == Some(chain.number()) {
            return false;
        }
        let (previous, next) = (member.previous, member.next);
        *member = Member { head: member.head, ..Member::ALONE };
        self.join(chain.number(), previous, next);
        true
    }

    fn link(&mut self, slot: u16, chain: u16, previous: Option<u16>, next: Option<u16>) {
        let this = Some(Place::new(slot));
        let (previous, next) = (previous.map(Place::new), next.map(Place::new));
        if let Some(member) = self.members.get_mut(usize::from(slot)) {
            *member = Member { chain: Some(Place::new(chain)), previous, next, ..*member };
        }
        self.join(chain, previous, this);
        self.join(chain, this, next);
    }

    /// Makes one follow the other in a chain; none are its ends.
    fn join(&mut self, chain: u16, previous: Link, next: Link) {
        if let Some(next) = next.and_then(|next| self.members.get_mut(next.index())) {
            next.previous = previous;
        }
        match previous {
            Some(previous) => {
                if let Some(previous) = self.members.get_mut(previous.index()) {
                    previous.next = next;
                }
            }
            None => {
                if let Some(member) = self.members.get_mut(usize::from(chain)) {
                    member.head = next;
                }
            }
        }
    }
}

/// A quick hash, a word at a time.
struct Words(u32);

impl Hasher for Words {
    fn write(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks::<4>();
        words.iter().for_each(|word| self.write_u32(u32::from_be_bytes(*word)));
        rest.iter().for_each(|octet| self.write_u32(u32::from(*octet)));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u32(u32::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u32(u32::from(number));
    }

    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0193).rotate_left(15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u32(number as u32);
    }

    fn finish(&self) -> u64 {
        u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const SLOTS: u16 = 8;

    proptest! {
        /// Whatever comes and goes, each chain has just its members: in the order of their numbers, or the last
        /// that came in front.
        #[test]
        fn members_are_those_of_a_walk(
            in_order: bool,
            changes in proptest::collection::vec((0..SLOTS, proptest::option::of(0_u16..4)), 0..100),
        ) {
            let mut memory = Chains::<[Member; SLOTS as usize]>::new();
            let chains: &mut Chains<[Member]> = &mut memory;
            let mut naive: [Vec<u16>; 4] = Default::default();
            for (slot, chain) in changes {
                if in_order { chains.put_in_order(slot, chain) } else { chains.put_first(slot, chain) }
                for (number, members) in (0..).zip(&mut naive) {
                    let was_there = members.contains(&slot);
                    if chain != Some(number) {
                        members.retain(|member| *member != slot);
                    } else if !was_there {
                        members.insert(0, slot);
                    }
                    if in_order {
                        members.sort_unstable();
                    }
                    prop_assert_eq!(&chains.iter(number).collect::<Vec<_>>(), &*members);
                    if in_order {
                        for after in 0..SLOTS {
                            let next = members.iter().copied().find(|member| *member > after);
                            prop_assert_eq!(chains.after(number, Some(after)), next);
                        }
                    }
                }
            }
        }
    }

    /// Slots that the table does not have are in no chain.
    #[test]
    fn no_such_slot_is_in_no_chain() {
        let mut memory = Chains::<[Member; 2]>::new();
        let chains: &mut Chains<[Member]> = &mut memory;
        chains.put_first(2, Some(0));
        assert_eq!((chains.first(0), chains.next(2)), (None, None));
        let mut none = Chains::<[Member; 0]>::new();
        let none: &mut Chains<[Member]> = &mut none;
        assert_eq!((none.of(&7), none.first(0)), (0, None));
    }
}
