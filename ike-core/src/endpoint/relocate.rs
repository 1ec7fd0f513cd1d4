//! Peers that show up elsewhere (RFC 7296 §2.23): whether one is followed says
//! [`Nat::follow`](crate::ike_sa::nat::Nat::follow), for IKE messages and ESP packets alike. All Child
//! SAs of the IKE SA go along, since IKE and ESP share one mapping of the NAT.

use core::net::SocketAddr;

use esp_engine::sa::{Mode, SaUpdate, Spi};

use super::Endpoint;
use crate::crypto::Crypto;
use crate::exchange::ike_auth::child::mode_of;
use crate::ike_sa::IkeSa;
use crate::output::Path;

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// The newest packet of a Child SA, which proved genuine, came from this address.
    pub(super) fn peer_moved(&mut self, spi: Spi, remote: SocketAddr) {
        let Some(owner) = self.children.find(spi).map(|child| child.owner) else {
            return;
        };
        let Some(sa) = self.sas.get_mut(usize::from(owner)).and_then(Option::as_mut) else {
            return;
        };
        let seen = Path { remote, ..sa.path };
        if let Some(path) = followed(sa, &seen) {
            sa.path = path;
            self.children.relocate(owner);
        }
    }

    /// What the data plane has to know next about outer addresses.
    pub(super) fn next_update(&mut self) -> Option<SaUpdate> {
        while let Some(child) = self.children.take_relocated() {
            let (owner, inbound, policy) = (usize::from(child.owner), child.inbound, child.policy);
            let ends = child.remote_ts.first().map(|ts| ts.addresses.first());
            let mode = self.config.policy(policy).map(mode_of);
            let Some(sa) = self.sas.get(owner).and_then(Option::as_ref) else { continue };
            // In transport mode the selectors name the peer's address: only its port may be another.
            let Some(established) = sa.established() else { continue };
            let remote = sa.path.remote.ip();
            if mode != Some(Mode::Transport) || ends == Some(remote) {
                let encapsulation = established.nat.encapsulation(&sa.path);
                return Some(SaUpdate { inbound, local: sa.path.local.ip(), remote, encapsulation });
            }
        }
        None
    }
}

/// Where the peer of an IKE SA that stands is from now on, if it moved.
pub(crate) fn followed(sa: &IkeSa, seen: &Path) -> Option<Path> {
    sa.established().and_then(|established| established.nat.follow(&sa.path, seen))
}
