//! Child SAs that are wanted beside those that stand. A window of one request lets one thing happen at a
//! time on an IKE SA (RFC 7296 §2.3), so what is wanted meanwhile waits here, in order, for all IKE SAs
//! together. When there is no room, the packet that asked asks again.

use esp_engine::sa::Spi;
use esp_engine::selector::Selectors;
use esp_engine::spd::PolicyId;

use crate::error::AcquireError;

/// Child SAs that wait at most.
const CAPACITY: usize = 8;

/// A Child SA that is wanted.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Wanted {
    /// The policy that it serves.
    pub(crate) policy: PolicyId,
    /// The packet that asked for it.
    pub(crate) packet: Option<Selectors>,
    /// The pair on another IKE SA, by the SPI that we chose, whose selectors it shall have.
    pub(crate) like: Option<Spi>,
}

/// What waits, with the slot of the IKE SA that it waits for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Wants(heapless::Vec<(u16, Wanted), CAPACITY>);

impl Wants {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Puts one at the end, unless its like waits already.
    ///
    /// # Errors
    /// [`AcquireError::NoSlot`] when there is no room.
    pub(crate) fn note(&mut self, owner: u16, wanted: Wanted) -> Result<(), AcquireError> {
        let is_like = |other: &Wanted| other.policy == wanted.policy && other.like == wanted.like;
        if self.0.iter().any(|(slot, other)| *slot == owner && is_like(other)) {
            return Ok(());
        }
        self.0.push((owner, wanted)).map_err(|_| AcquireError::NoSlot)
    }

    /// Takes the first that waits for this IKE SA.
    pub(crate) fn take(&mut self, owner: u16) -> Option<Wanted> {
        let index = self.0.iter().position(|(slot, _)| *slot == owner)?;
        Some(self.0.remove(index).1)
    }

    /// Whether any waits for this IKE SA.
    pub(crate) fn has_any(&self, owner: u16) -> bool {
        self.0.iter().any(|(slot, _)| *slot == owner)
    }

    /// What waited for an IKE SA waits for its successor.
    pub(crate) fn hand_over(&mut self, from: u16, to: u16) {
        self.0.iter_mut().filter(|(slot, _)| *slot == from).for_each(|(slot, _)| *slot = to);
    }

    /// Forgets all that wait for this IKE SA, which is gone.
    pub(crate) fn forget(&mut self, owner: u16) {
        self.0.retain(|(slot, _)| *slot != owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn wanted(policy: u16) -> Wanted {
        Wanted { policy: PolicyId(policy), packet: None, like: None }
    }

    /// What is wanted of one IKE SA comes in order and does not mix with what is wanted of another.
    #[test]
    fn first_in_first_out() {
        let mut wants = Wants::default();
        for (owner, policy) in [(1, 0), (2, 0), (1, 1), (1, 0)] {
            assert_eq!(wants.note(owner, wanted(policy)), Ok(()));
        }
        assert_eq!(wants.take(1), Some(wanted(0)));
        assert_eq!(wants.take(1), Some(wanted(1)));
        assert_eq!(wants.take(1), None);
        assert!(wants.has_any(2));
        wants.forget(2);
        assert!(!wants.has_any(2));
    }

    /// A full pool refuses, and keeps what it has.
    #[test]
    fn full_pool_refuses() {
        let mut wants = Wants::default();
        for policy in 0..8 {
            assert_eq!(wants.note(0, wanted(policy)), Ok(()));
        }
        assert_eq!(wants.note(0, wanted(3)), Ok(()), "waits already");
        assert_eq!(wants.note(0, wanted(8)), Err(AcquireError::NoSlot));
        assert_eq!(wants.take(0), Some(wanted(0)));
        assert_eq!(wants.note(0, wanted(8)), Ok(()));
    }
}
