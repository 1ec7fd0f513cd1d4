//! How pairs of Child SAs end, and what the data plane is told of them.

use esp_engine::sa::Spi;
use esp_engine::time::Instant;

use super::{Child, Children, Sending, Stage};

/// What the data plane has yet to be told of a pair, the most urgent first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Owed {
    Retire,
    Remove,
    Update,
}

impl Child {
    pub(super) fn owed(&self) -> Option<Owed> {
        match (self.sending, self.stage, self.update_owed) {
            (Sending::Ending, ..) => Some(Owed::Retire),
            (_, Stage::Removed, _) => Some(Owed::Remove),
            (.., true) => Some(Owed::Update),
            _ => None,
        }
    }

    pub(super) fn drains_until(&self) -> Option<Instant> {
        if let Stage::Draining(until) = self.stage { Some(until) } else { None }
    }
}

impl Children<'_> {
    /// Ends all of one IKE SA.
    pub(crate) fn remove_all(&mut self, owner: u16) {
        self.change_all_of(owner, |child| {
            child.stage = Stage::Removed;
            child.sending = Sending::Ended;
        });
    }

    /// Takes note that those of one IKE SA have other outer addresses.
    pub(crate) fn relocate(&mut self, owner: u16) {
        self.change_of(owner, |child| child.update_owed = child.outbound.is_some());
    }

    /// All of one IKE SA only receive from now on: their successors stand.
    pub(crate) fn retire_all(&mut self, owner: u16) {
        self.change_of(owner, |child| {
            child.stage = Stage::Deleting;
            child.end_sending();
        });
    }

    /// Both ends know that those of one IKE SA with these SPIs are gone. One that has a successor receives
    /// until this moment what was sent before the peer knew.
    pub(crate) fn release(&mut self, owner: u16, spis: &[u32], until: Instant) {
        for spi in spis.iter().filter_map(|spi| Spi::new(*spi)) {
            let Some(gone) = self.find(spi).filter(|child| child.owner == owner) else {
                continue;
            };
            let carries_on = |other: &Child| {
                other.inbound != spi
                    && other.policy == gone.policy
                    && other.peer == gone.peer
                    && other.stands()
            };
            let has_successor = self.of(owner).any(carries_on);
            self.change(spi, |gone| {
                if has_successor {
                    gone.stage = Stage::Draining(until);
                    gone.end_sending();
                } else {
                    gone.stage = Stage::Removed;
                }
            });
        }
    }

    /// Ends what has received for long enough.
    pub(crate) fn end_draining(&mut self, now: Instant) {
        while let Some((until, slot)) = self.draining.first()
            && until.instant() <= now
        {
            self.change_at(slot, |child| child.iter_mut().for_each(|c| c.stage = Stage::Removed));
        }
    }

    /// When the next one has received for long enough.
    pub(crate) fn next_drained(&self) -> Option<Instant> {
        self.draining.first().map(|(until, _)| until.instant())
    }

    /// The next of which something is owed to the data plane.
    fn next_owed(&self, owed: Owed) -> Option<u16> {
        self.owed.first().filter(|(first, _)| *first == owed).map(|(_, slot)| slot)
    }

    /// The next pair that the data plane must send nothing more on.
    pub(crate) fn sweep_retiring(&mut self) -> Option<Spi> {
        let slot = self.next_owed(Owed::Retire)?;
        self.change_at(slot, |child| {
            let child = child.as_mut()?;
            child.sending = Sending::Ended;
            Some(child.inbound)
        })?
    }

    /// Frees a slot whose Child SA was removed; returns its SPI if the data plane has it.
    pub(crate) fn sweep(&mut self) -> Option<Spi> {
        while let Some(slot) = self.next_owed(Owed::Remove) {
            let child = self.change_at(slot, Option::take)??;
            if child.outbound.is_some() {
                return Some(child.inbound);
            }
        }
        None
    }

    /// The next one whose outer addresses are others, of which the data plane is told now.
    pub(crate) fn take_relocated(&mut self) -> Option<&Child> {
        let slot = self.next_owed(Owed::Update)?;
        self.change_at(slot, |child| child.iter_mut().for_each(|child| child.update_owed = false));
        self.at(slot)
    }
}
