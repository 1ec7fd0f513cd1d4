//! The outbound index: chains of the SAs that serve one policy and one far address.

use core::net::IpAddr;

use super::{Association, Sad};
use crate::sa::PeerKey;
use crate::spd::PolicyId;
use crate::time::Instant;

impl<C> Sad<'_, C> {
    /// Whoever lets go of a pair has what was made after it (RFC 7296 §2.8): so much is known now, and it
    /// comes before a later one that the peer may not have yet.
    pub(super) fn confirm_successors(&mut self, chain: u16, serial: u32, policy: PolicyId, peer: PeerKey) {
        let mut member = self.by_flow.first(chain);
        while let Some(slot) = member {
            let successor =
                |sa: &&mut Association<C>| sa.serial > serial && sa.policy == policy && sa.peer == peer;
            if let Some(sa) = self.at_mut(slot).filter(successor) {
                sa.confirm(Instant::ZERO);
            }
            member = self.by_flow.next(slot);
        }
    }

    /// Every SA that may serve `policy` towards `remote`, and some that do not. An SA may come twice.
    pub(super) fn chains(&self, policy: PolicyId, remote: IpAddr) -> impl Iterator<Item = &Association<C>> {
        let narrow = self.by_flow.iter(self.chain_of(policy, Some(remote)));
        let wide = self.by_flow.iter(self.chain_of(policy, None));
        narrow.chain(wide).filter_map(|slot| self.at(slot))
    }

    /// Which chain holds the SAs of `policy` whose far side is the one address `remote`, or more
    /// than one. SAs of other policies and addresses may share it.
    pub(super) fn chain_of(&self, policy: PolicyId, remote: Option<IpAddr>) -> u16 {
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
        self.by_flow.nth(hash as usize)
    }
}
