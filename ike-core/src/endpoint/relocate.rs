//! Ends that get other addresses. We do ([`Own`]): SAs there move or are begun anew. Peers that show up elsewhere
//! (RFC 7296 §2.23): whether one is followed says [`Nat::follow`](crate::ike_sa::nat::Nat::follow), for IKE messages
//! and ESP packets alike. All Child SAs of the IKE SA go along, since IKE and ESP share one mapping of the NAT.

use core::net::{IpAddr, SocketAddr};

use esp_engine::sa::{Mode, SaUpdate, Spi};
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::config::Local;
use crate::crypto::Crypto;
use crate::error::CloseReason;
use crate::exchange::ike_auth::child::mode_of;
use crate::exchange::mobike;
use crate::handshake::{Handshake, Want};
use crate::ike_sa::{IkeSa, State};
use crate::output::Path;
use crate::own::Own;

/// What is begun in place of one IKE SA.
type Anew = heapless::Vec<Want, 4>;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// Our own address `old` is gone, and we have `new` of its family in its place; policies for `old` are for `new`
    /// from now on. IKE SAs that we began with MOBIKE go along (RFC 4555). All others there end, as those do whose
    /// Child SAs are for `old` itself, and are begun anew, unless the peer is behind a NAT, which only it can open.
    pub fn moved(&mut self, now: Instant, old: IpAddr, new: Local) {
        self.desk.own.note(self.config.local, old, Some(new));
        for slot in (0..self.sas.capacity()).filter(|_| old != new.address) {
            let mut anew = Anew::new();
            let _ = self.with_sa(slot, |endpoint, sa| {
                if sa.path.local.ip() == old {
                    anew = endpoint.leave(now, slot, sa, new);
                }
                Ok(())
            });
            for want in anew {
                self.begin_in_place(now, want);
            }
        }
    }

    /// We have nothing in place of our own address `old` for now, until [`Self::moved`] tells. Nothing begins there,
    /// and what stands waits, as long as it lives.
    pub fn lost(&mut self, old: IpAddr) {
        self.desk.own.note(self.config.local, old, None);
    }

    /// Moves or ends an IKE SA; what is to be begun in its place.
    fn leave(&mut self, now: Instant, slot: u16, sa: &mut IkeSa, new: Local) -> Anew {
        let old = sa.path.local.ip();
        let path = from(new, sa.path);
        let is_about_old = |selector: &TrafficSelector| selector.addresses == AddressRange::single(old);
        let mut children = self.children.of(slot);
        let is_bound = children.any(|child| child.stands() && child.local_ts.iter().any(is_about_old));
        drop(children);
        if mobike::may_move(sa) && !is_bound {
            mobike::move_to(self, slot, sa, path, now);
            return Anew::new();
        }
        let anew = self.in_place_of(slot, sa, new);
        // The peer hears of it from where we are now.
        sa.path = path;
        if matches!(sa.state, State::Handshake(_)) {
            self.forget(sa);
        } else {
            self.close_sa(slot, sa, CloseReason::Moved, now);
        }
        anew
    }

    /// What an IKE SA carries or was to carry, as negotiations from `new`.
    fn in_place_of(&self, slot: u16, sa: &IkeSa, new: Local) -> Anew {
        if let Some(want) = self.handshake_of(sa).and_then(Handshake::want) {
            let packet = want.packet.filter(|packet| packet.source != sa.path.local.ip());
            return Anew::from_iter([Want { packet, path: from(new, want.path), restarts: 0, ..*want }]);
        }
        let mut anew = Anew::new();
        let Some(established) = sa.current().filter(|established| !established.nat.remote) else {
            return anew;
        };
        let (peer, behind) = (established.peer, sa.way().behind);
        let path = self.beginning(peer, from(new, sa.path));
        for child in self.children.of(slot).filter(|child| child.stands()) {
            let policy = child.policy;
            if anew.iter().all(|want| want.policy != policy) {
                // What has no place here comes with its next packet.
                let _ = anew.push(Want { behind, ..Want::with(peer, policy, path) });
            }
        }
        anew
    }
}

/// The same way, from this address of ours.
fn from(own: Local, path: Path) -> Path {
    let local = SocketAddr::new(own.address, path.local.port());
    Path { interface: own.interface, local, ..path }
}

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// Our addresses as they are now.
    pub(crate) fn own(&self) -> Own<'_> {
        Own { configured: self.config.local, changes: &self.desk.own }
    }

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
