//! The outbound index: chains of the SAs that serve one policy and one far address, newest first. Each
//! slot of the table is the head of one chain, and links are slot numbers.

use core::net::IpAddr;
use core::num::NonZeroU16;

use super::{Association, Sad};
use crate::sa::PeerKey;
use crate::spd::PolicyId;
use crate::time::Instant;

/// A slot's number, in chains.
pub(super) type Link = Option<Place>;

/// A slot's number plus one, so that [`Link`] takes two octets.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Place(NonZeroU16);

impl Place {
    /// Slots are fewer than `u16::MAX`.
    pub(super) fn new(slot: usize) -> Self {
        let number = u16::try_from(slot).unwrap_or(u16::MAX - 1);
        Self(NonZeroU16::MIN.saturating_add(number))
    }

    pub(super) fn slot(self) -> usize {
        usize::from(self.0.get() - 1)
    }
}

impl<C> Sad<'_, C> {
    pub(super) fn unlink_chain(&mut self, chain: usize, slot: usize) {
        let this = Some(Place::new(slot));
        let older = self.at(slot).and_then(|sa| sa.older);
        let Some(head) = self.slots.get_mut(chain) else { return };
        if head.chain == this {
            head.chain = older;
            return;
        }
        let mut at = head.chain;
        while let Some(sa) = at.and_then(|place| self.at_mut(place.slot())) {
            if sa.older == this {
                sa.older = older;
                return;
            }
            at = sa.older;
        }
    }

    /// Whoever lets go of a pair has what was made after it (RFC 7296 §2.8): so much is known now, and it
    /// comes before a later one that the peer may not have yet.
    pub(super) fn confirm_successors(&mut self, chain: usize, serial: u32, policy: PolicyId, peer: PeerKey) {
        let mut at = self.slots.get(chain).and_then(|head| head.chain);
        while let Some(sa) = at.and_then(|place| self.at_mut(place.slot())) {
            if sa.serial > serial && sa.policy == policy && sa.peer == peer {
                sa.confirm(Instant::ZERO);
            }
            at = sa.older;
        }
    }

    /// Every SA that may serve `policy` towards `remote`, and some that do not. An SA may come twice.
    pub(super) fn chains(&self, policy: PolicyId, remote: IpAddr) -> impl Iterator<Item = &Association<C>> {
        let narrow = self.chain(self.chain_of(policy, Some(remote)));
        narrow.chain(self.chain(self.chain_of(policy, None)))
    }

    fn chain(&self, chain: usize) -> impl Iterator<Item = &Association<C>> {
        let head = self.slots.get(chain).and_then(|slot| slot.chain);
        let first = head.and_then(|place| self.at(place.slot()));
        core::iter::successors(first, |sa| sa.older.and_then(|place| self.at(place.slot())))
    }

    /// Which chain holds the SAs of `policy` whose far side is the one address `remote`, or more
    /// than one. SAs of other policies and addresses may share it.
    pub(super) fn chain_of(&self, policy: PolicyId, remote: Option<IpAddr>) -> usize {
        let mut hash = 0x811c_9dc5 ^ u32::from(policy.0);
        let mut mix = |word: u32| hash = (hash ^ word).wrapping_mul(0x0100_0193).rotate_left(15);
        match remote {
            None => {}
            Some(IpAddr::V4(a)) => mix(a.to_bits()),
            Some(IpAddr::V6(a)) => {
                for word in a.octets().as_chunks().0 {
                    mix(u32::from_be_bytes(*word));
                }
            }
        }
        mix(0);
        (hash as usize).checked_rem(self.slots.len()).unwrap_or(0)
    }
}
