//! Every octet that a proxy owns.

use super::found::Found;
use super::held::Held;
use super::names::NameEntry;

/// Room for `HELD` questions on their way, for what is known about `NAMES` names, and for entries at `FOUND`
/// addresses.
#[derive(Debug)]
pub struct Resources<const HELD: usize, const NAMES: usize, const FOUND: usize> {
    pub(super) held: [Option<Held>; HELD],
    pub(super) names: [Option<NameEntry>; NAMES],
    pub(super) found: [Option<Found>; FOUND],
}

impl<const HELD: usize, const NAMES: usize, const FOUND: usize> Resources<HELD, NAMES, FOUND> {
    /// Empty; fit for a `static`.
    pub const fn new() -> Self {
        const { assert!(HELD >= 2 && HELD <= 56 && NAMES >= 2 && FOUND >= 1) };
        Self { held: [const { None }; HELD], names: [const { None }; NAMES], found: [const { None }; FOUND] }
    }

    /// Makes it as new where it lies.
    pub(super) fn clear(&mut self) {
        self.held.iter_mut().for_each(|place| *place = None);
        self.names.iter_mut().for_each(|place| *place = None);
        self.found.iter_mut().for_each(|place| *place = None);
    }
}

impl<const HELD: usize, const NAMES: usize, const FOUND: usize> Default for Resources<HELD, NAMES, FOUND> {
    fn default() -> Self {
        Self::new()
    }
}
