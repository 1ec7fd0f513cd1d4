//! What a walk over all Child SAs finds, to hold the indexes against it.

use esp_engine::selector::single_address;

use super::{Child, Children};

impl Children<'_> {
    /// Whether the indexes say just what a walk finds.
    pub(crate) fn agree_with_a_walk(&self) -> bool {
        let all = || (0..=u16::MAX).zip(self.slots.iter());
        let vacant = all().filter(|(_, child)| child.is_none()).map(|(slot, _)| slot);
        let there = || all().filter_map(|(slot, child)| Some((slot, child.as_ref()?)));
        let owed = there().filter_map(|(slot, child)| Some((child.owed()?, slot)));
        let draining = there().filter_map(|(slot, child)| Some((child.drains_until()?.into(), slot)));
        self.vacant.lowest() == vacant.min()
            && self.owed.first() == owed.min()
            && self.draining.first() == draining.min()
            && there().all(|(_, child)| self.finds(child))
    }

    fn finds(&self, child: &Child) -> bool {
        let of = self.slots.iter().flatten().filter(|other| other.owner == child.owner && !other.is_over());
        let spi = |child: &Child| child.inbound;
        let is_found = single_address(&child.remote_ts)
            .is_none_or(|remote| self.towards(remote).any(|other| other.inbound == child.inbound));
        self.of(child.owner).map(spi).eq(of.map(spi)) && (is_found || child.outbound.is_none())
    }
}
