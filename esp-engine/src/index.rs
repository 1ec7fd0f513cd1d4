//! Indexes over the slots of a table, so that nothing is found by walking all of it: a [`Heap`] knows which
//! slot comes first, [`Chains`] know which slots have something in common, [`Vacancies`] which have nothing in
//! them. They lie beside the slots in the
//! memory of the table's owner, know them by number only and allocate nothing. The table says after each
//! change where a slot belongs; nobody else writes to an index. Whatever an index holds follows from the
//! slots, so two tables that are alike need not have indexes that are alike in memory.

use core::num::NonZeroU16;

pub use chains::{Chains, Member};
pub use heap::{Heap, Node};
pub use moment::Moment;
pub use vacancies::Vacancies;

mod chains;
mod heap;
mod moment;
mod vacancies;

/// Another slot, or none.
type Link = Option<Place>;

/// A number plus one, so that [`Link`] takes two octets. Numbers are lower than `u16::MAX`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct Place(NonZeroU16);

impl Place {
    fn new(number: u16) -> Self {
        Self(NonZeroU16::MIN.saturating_add(number))
    }

    fn number(self) -> u16 {
        self.0.get() - 1
    }

    fn index(self) -> usize {
        usize::from(self.number())
    }
}
