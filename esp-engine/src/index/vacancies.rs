//! Slots that nothing is in. Memory that is all zeros says that they all are.

use super::{Heap, Node};

/// The vacant slots of a table. `S` is an array of [`Node`]s, one for each slot, or a slice.
#[derive(Clone, Hash, Debug)]
pub struct Vacancies<S: ?Sized> {
    /// Slots from this one on were never taken, and are not in the heap.
    untouched: u16,
    left: Heap<S>,
}

impl<const N: usize> Vacancies<[Node<()>; N]> {
    /// All are vacant.
    pub const fn new() -> Self {
        Self { untouched: 0, left: Heap::new(()) }
    }
}

impl<const N: usize> Default for Vacancies<[Node<()>; N]> {
    fn default() -> Self {
        Self::new()
    }
}

impl Vacancies<[Node<()>]> {
    /// The vacant slot with the lowest number.
    pub fn lowest(&self) -> Option<u16> {
        let left = self.left.first().map(|((), slot)| slot);
        left.or_else(|| (self.untouched < self.left.capacity()).then_some(self.untouched))
    }

    /// How many slots are vacant.
    pub fn len(&self) -> usize {
        self.left.len() + usize::from(self.left.capacity() - self.untouched)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Something is in this slot from now on.
    pub fn take(&mut self, slot: u16) {
        while self.untouched <= slot && self.untouched < self.left.capacity() {
            self.left.set(self.untouched, Some(()));
            self.untouched += 1;
        }
        self.left.set(slot, None);
    }

    /// Nothing is in this slot any more.
    pub fn leave(&mut self, slot: u16) {
        if slot < self.untouched {
            self.left.set(slot, Some(()));
        }
    }

    /// All are vacant again.
    pub fn clear(&mut self) {
        self.untouched = 0;
        self.left.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is taken and left, the lowest is that of a walk over all.
        #[test]
        fn lowest_is_that_of_a_walk(changes in proptest::collection::vec((0_u16..9, any::<bool>()), 0..60)) {
            let mut memory = Vacancies::<[Node<()>; 8]>::new();
            let vacancies: &mut Vacancies<[Node<()>]> = &mut memory;
            let mut naive: BTreeSet<u16> = (0..8).collect();
            for (slot, is_taken) in changes {
                if is_taken {
                    vacancies.take(slot);
                    naive.remove(&slot);
                } else {
                    vacancies.leave(slot);
                    naive.extend((slot < 8).then_some(slot));
                }
                prop_assert_eq!(vacancies.lowest(), naive.first().copied());
                prop_assert_eq!(vacancies.len(), naive.len());
            }
        }
    }
}
