//! Every octet of a resolver.

use super::super::cache::{Answer, Kept};
use super::super::lookup::Lookup;
use super::desk::Desk;

/// Room for a resolver's state: so many lookups at once, and so many answers and zones that are kept.
#[derive(Debug)]
pub struct Resources<const LOOKUPS: usize, const ANSWERS: usize, const ZONES: usize> {
    pub(super) lookups: [Option<Lookup>; LOOKUPS],
    pub(super) answers: [Option<Answer>; ANSWERS],
    pub(super) zones: [Option<Kept>; ZONES],
    pub(super) desk: Desk,
}

impl<const LOOKUPS: usize, const ANSWERS: usize, const ZONES: usize> Resources<LOOKUPS, ANSWERS, ZONES> {
    /// Octets of what one lookup needs while it is under way.
    pub const LOOKUP: usize = size_of::<Option<Lookup>>();
    /// Octets of an answer that is kept.
    pub const ANSWER: usize = size_of::<Option<Answer>>();
    /// Octets of a zone that is kept.
    pub const ZONE: usize = size_of::<Option<Kept>>();

    /// Empty; fit for a `static`.
    pub const fn new() -> Self {
        Self {
            lookups: [const { None }; LOOKUPS],
            answers: [const { None }; ANSWERS],
            zones: [const { None }; ZONES],
            desk: Desk::new(),
        }
    }
}

impl<const LOOKUPS: usize, const ANSWERS: usize, const ZONES: usize> Default
    for Resources<LOOKUPS, ANSWERS, ZONES>
{
    fn default() -> Self {
        Self::new()
    }
}
