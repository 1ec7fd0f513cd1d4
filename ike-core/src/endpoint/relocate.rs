//! Ends that get other addresses. Peers that show up elsewhere (RFC 7296 §2.23): whether one is followed says
//! [`Nat::follow`](crate::ike_sa::nat::Nat::follow), for IKE messages and ESP packets alike. All Child
//! SAs of the IKE SA go along, since IKE and ESP share one mapping of the NAT.

use core::net::{IpAddr, SocketAddr};

use esp_engine::sa::{Mode, SaUpdate, Spi};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::config::Local;
use crate::crypto::Crypto;
use crate::error::CloseReason;
use crate::exchange::ike_auth::child::mode_of;
use crate::exchange::mobike;
use crate::ike_sa::IkeSa;
use crate::output::Path;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// Our own address `old` is gone, and we have `new` in its place. IKE SAs that we began with MOBIKE go
    /// along (RFC 4555); all others there end, and what wants them begins anew.
    pub fn moved(&mut self, now: Instant, old: IpAddr, new: Local) {
        for slot in 0..self.sas.capacity() {
            let _ = self.with_sa(slot, |endpoint, sa| {
                if sa.path.local.ip() != old {
                    return Ok(());
                }
                let local = SocketAddr::new(new.address, sa.path.local.port());
                let path = Path { interface: new.interface, local, ..sa.path };
                if mobike::may_move(sa) && new.address.is_ipv4() == old.is_ipv4() {
                    mobike::move_to(endpoint, slot, sa, path, now);
                } else {
                    // The peer hears of it from where we are now.
                    sa.path = path;
                    endpoint.close_sa(slot, sa, CloseReason::Moved, now);
                }
                Ok(())
            });
        }
    }
}

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// The newest packet of a Child SA, which proved genuine, came from this address.
    pub(super) fn peer_moved(&mut self, spi: Spi, remote: SocketAddr) {
        let Some(owner) = self.children.find(spi).map(|child| child.owner) else {
            return;
        };
        let path = self.sas.get(owner).and_then(|sa| followed(sa, &Path { remote, ..sa.path }));
        if let Some(path) = path {
            self.sas.change(owner, |sa| sa.path = path);
            self.children.relocate(owner);
        }
    }

    /// What the data plane has to know next about outer addresses.
    pub(super) fn next_update(&mut self) -> Option<SaUpdate> {
        while let Some(child) = self.children.take_relocated() {
            let (owner, inbound, policy) = (child.owner, child.inbound, child.policy);
            let ends = child.remote_ts.first().map(|ts| ts.addresses.first());
            let mode = self.config.policy(policy).map(mode_of);
            let Some(sa) = self.sas.get(owner) else { continue };
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

/// Where the peer of an IKE SA that stands is from now on, if it moved. With MOBIKE it says so itself
/// (RFC 4555 §3.8).
pub(crate) fn followed(sa: &IkeSa, seen: &Path) -> Option<Path> {
    let established = sa.established().filter(|established| established.mobility.is_none())?;
    established.nat.follow(&sa.path, seen)
}
