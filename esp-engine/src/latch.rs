//! Connection latching (RFC 5660) in its least form: while an SA lives, its flows belong to the
//! peer that it was made with. An SA of another peer that claims any of them is refused, however
//! well that peer is authenticated; the latch opens when the last SA of the flow is removed.

use crate::sa::{ChildSa, PeerKey};
use crate::selector::TrafficSelectors;
use crate::spd::PolicyId;

/// What an SA holds on to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Latch<'a> {
    pub(crate) policy: PolicyId,
    pub(crate) local: &'a TrafficSelectors,
    pub(crate) remote: &'a TrafficSelectors,
    pub(crate) peer: &'a PeerKey,
}

impl<'a> Latch<'a> {
    pub(crate) fn of<K>(child: &'a ChildSa<K>) -> Self {
        Self { policy: child.policy, local: &child.local_ts, remote: &child.remote_ts, peer: &child.peer }
    }

    /// Whether both claim a flow for different peers.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        self.policy == other.policy
            && self.peer != other.peer
            && overlap(self.local, other.local)
            && overlap(self.remote, other.remote)
    }
}

fn overlap(one: &TrafficSelectors, other: &TrafficSelectors) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.intersect(b).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::{AddressRange, PortRange, TrafficSelector};

    fn ports(first: u16, last: u16) -> TrafficSelectors {
        let ports = PortRange::new(first, last).unwrap();
        let addresses = AddressRange::single([192, 0, 2, 1].into());
        [TrafficSelector { protocol: 6, ports, addresses }].into_iter().collect()
    }

    /// RFC 5660 §2: what is latched is the flow, and to the peer's key.
    #[test]
    fn only_another_peer_on_the_same_flow_collides() {
        let (any, bgp, web) = (ports(0, u16::MAX), ports(179, 179), ports(80, 178));
        let (us, them) = (PeerKey([1; 32]), PeerKey([2; 32]));
        let ours = Latch { policy: PolicyId(3), local: &bgp, remote: &any, peer: &us };
        assert!(ours.collides(&Latch { peer: &them, ..ours }));
        assert!(ours.collides(&Latch { peer: &them, local: &any, ..ours }));
        assert!(!ours.collides(&ours), "the same peer rekeys");
        assert!(!ours.collides(&Latch { peer: &them, local: &web, ..ours }));
        assert!(!ours.collides(&Latch { peer: &them, policy: PolicyId(4), ..ours }));
    }
}
