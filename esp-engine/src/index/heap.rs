//! Slots in the order of a key: a binary heap, in which each slot knows its place. What changes costs the
//! logarithm of what is in it.

use super::{Link, Place};

/// Slots, each with a key of its own. The one with the lowest key comes first; of those with the same key the
/// one with the lowest number. `S` is an array of [`Node`]s, one for each slot of the table, or a slice.
#[derive(Clone, Hash, Debug)]
pub struct Heap<S: ?Sized> {
    length: usize,
    nodes: S,
}

/// One place of the heap, and where in the heap the slot of this number is.
#[derive(Copy, Clone, Hash, Debug)]
pub struct Node<K> {
    key: K,
    slot: u16,
    place: Link,
}

impl<K: Copy, const N: usize> Heap<[Node<K>; N]> {
    /// Empty. `any` key fills the memory.
    pub const fn new(any: K) -> Self {
        const { assert!(N <= u16::MAX as usize, "a slot's number has 16 bits") };
        Self { length: 0, nodes: [Node { key: any, slot: 0, place: None }; N] }
    }
}

impl<K: Copy + Ord> Heap<[Node<K>]> {
    /// The slot that comes first, with its key.
    pub fn first(&self) -> Option<(K, u16)> {
        self.at(0)
    }

    /// How many slots the table has.
    pub fn capacity(&self) -> u16 {
        u16::try_from(self.nodes.len()).unwrap_or(u16::MAX)
    }

    /// How many slots are in it.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no slot is in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The key of a slot that is in it.
    pub fn key(&self, slot: u16) -> Option<K> {
        self.at(self.place(slot)?).map(|(key, _)| key)
    }

    /// Puts a slot in, moves it to where it belongs now, or takes it out.
    pub fn set(&mut self, slot: u16, key: Option<K>) {
        match (self.place(slot), key) {
            (None, None) => {}
            (None, Some(key)) if usize::from(slot) < self.nodes.len() => {
                let last = self.length;
                self.length += 1;
                self.write(last, key, slot);
                self.rise(last);
            }
            (None, Some(_)) => {}
            (Some(place), Some(key)) => {
                self.write(place, key, slot);
                let place = self.rise(place);
                self.sink(place);
            }
            (Some(place), None) => self.take_out(place, slot),
        }
    }

    /// Takes all slots out.
    pub fn clear(&mut self) {
        self.length = 0;
        self.nodes.iter_mut().for_each(|node| node.place = None);
    }

    fn take_out(&mut self, place: usize, slot: u16) {
        self.length -= 1;
        let last = self.at_any(self.length);
        if let Some(node) = self.nodes.get_mut(usize::from(slot)) {
            node.place = None;
        }
        if let Some((key, moved)) = last.filter(|(_, moved)| *moved != slot) {
            self.write(place, key, moved);
            let place = self.rise(place);
            self.sink(place);
        }
    }

    fn place(&self, slot: u16) -> Option<usize> {
        self.nodes.get(usize::from(slot))?.place.map(Place::index)
    }

    fn at(&self, place: usize) -> Option<(K, u16)> {
        if place < self.length { self.at_any(place) } else { None }
    }

    fn at_any(&self, place: usize) -> Option<(K, u16)> {
        self.nodes.get(place).map(|node| (node.key, node.slot))
    }

    fn write(&mut self, place: usize, key: K, slot: u16) {
        if let Some(node) = self.nodes.get_mut(place) {
            (node.key, node.slot) = (key, slot);
        }
        if let (Some(node), Ok(place)) = (self.nodes.get_mut(usize::from(slot)), u16::try_from(place)) {
            node.place = Some(Place::new(place));
        }
    }

    /// Moves what is at a place up as far as it belongs; where it is then.
    fn rise(&mut self, mut place: usize) -> usize {
        let Some(moving) = self.at(place) else { return place };
        while let Some(above) = place.checked_sub(1).map(|below| below / 2)
            && let Some(other) = self.at(above).filter(|other| moving < *other)
        {
            self.write(place, other.0, other.1);
            place = above;
        }
        self.write(place, moving.0, moving.1);
        place
    }

    /// Moves what is at a place down as far as it belongs.
    fn sink(&mut self, mut place: usize) {
        let Some(moving) = self.at(place) else { return };
        let lower = |heap: &Self, place: usize| {
            let below = (2 * place + 1..=2 * place + 2).filter_map(|below| Some((heap.at(below)?, below)));
            below.min().filter(|(other, _)| *other < moving)
        };
        while let Some((other, below)) = lower(self, place) {
            self.write(place, other.0, other.1);
            place = below;
        }
        self.write(place, moving.0, moving.1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes and goes, the first is that of a walk over all.
        #[test]
        fn first_is_that_of_a_walk(
            changes in proptest::collection::vec((0_u16..12, proptest::option::of(0_u8..6)), 0..200),
        ) {
            let mut memory = Heap::<[Node<u8>; 10]>::new(0);
            let heap: &mut Heap<[Node<u8>]> = &mut memory;
            let mut naive = BTreeMap::new();
            for (slot, key) in changes {
                heap.set(slot, key);
                match key {
                    // Slots that the table does not have are left out.
                    Some(key) if slot < 10 => _ = naive.insert(slot, key),
                    _ => _ = naive.remove(&slot),
                }
                prop_assert_eq!(heap.first(), naive.iter().map(|(slot, key)| (*key, *slot)).min());
                prop_assert_eq!(heap.len(), naive.len());
                for slot in 0..12 {
                    prop_assert_eq!(heap.key(slot), naive.get(&slot).copied());
                }
            }
            while let Some((key, slot)) = heap.first() {
                prop_assert_eq!(naive.remove(&slot), Some(key));
                heap.set(slot, None);
            }
            prop_assert!(naive.is_empty());
        }
    }
}
