//! Places for IKE SAs: who gets one, who gives way, and what a peer that starts anew leaves behind.

use core::net::IpAddr;

use esp_engine::sa::PeerKey;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::crypto::{Crypto, RngFailure};
use crate::error::CloseReason;
use crate::ike_sa::keys::Role;
use crate::ike_sa::{IkeSa, State};
use crate::pad::{Identity, OwnedIdentity, PadEntry, PeerId};

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// An IKE SPI with this slot hidden in it.
    pub(crate) fn fresh_ike_spi(&mut self, slot: u16) -> Result<u64, RngFailure> {
        let random = u64::from_be_bytes(self.random.array()?);
        // The top bit keeps it from being zero (RFC 7296 §3.1).
        Ok((random & !0xFFFF) | u64::from(slot) | (1 << 63))
    }

    /// A free place; an IKE SA that only repeats its last answer gives way.
    pub(crate) fn free_place(&mut self) -> Option<u16> {
        self.place_where(|_| true)
    }

    /// A free place other than that of an IKE SA which is taken out of its slot at the moment.
    pub(crate) fn free_place_beside(&mut self, taken: u16) -> Option<u16> {
        self.place_where(|slot| slot != taken)
    }

    fn place_where(&mut self, may_be: impl Fn(u16) -> bool) -> Option<u16> {
        let mut places = (0..=u16::MAX).zip(self.sas.iter_mut()).filter(|(slot, _)| may_be(*slot));
        let (mut free, mut over) = (None, None);
        for (slot, entry) in &mut places {
            match entry {
                None => free = free.or(Some(slot)),
                Some(sa) if sa.is_over() => over = over.or(Some((slot, entry))),
                Some(_) => {}
            }
        }
        free.or_else(|| {
            let (slot, entry) = over?;
            *entry = None;
            Some(slot)
        })
    }

    /// A place for a stranger, who leaves the last one to negotiations of ours. Whom we are calling is none:
    /// both ends may begin at once, and neither may keep the other out for it.
    pub(crate) fn slot_for_stranger(&mut self, remote: IpAddr) -> Option<u16> {
        let is_call = |sa: &IkeSa| matches!((&sa.state, sa.role), (State::Handshake(_), Role::Initiator));
        if self.sas.iter().flatten().any(|sa| is_call(sa) && sa.path.remote.ip() == remote) {
            return self.free_place();
        }
        let used = self.sas.iter().flatten().filter(|sa| !sa.is_over()).count();
        if used + 1 >= self.sas.len() && self.sas.len() > 1 { None } else { self.free_place() }
    }

    /// Whether another IKE SA with the peer at this address stands, or is on its way because both ends began
    /// at once (RFC 7296 §2.4, INITIAL_CONTACT).
    pub(crate) fn knows(&self, sa: &IkeSa) -> bool {
        let address = sa.path.remote.ip();
        self.sas.iter().flatten().any(|other| other.path.remote.ip() == address && !other.is_over())
    }

    /// The peer says that it knows of no other IKE SA with us: those that stood before this one began
    /// are dead. It has a say about its own only: those of its entry under its own name, and where the
    /// name says nothing, under its own key and address (RFC 7296 §2.4, RFC 7619 §2.3).
    pub(crate) fn forget_before(&mut self, sa: &IkeSa, peer: PeerId, identity: &OwnedIdentity, key: PeerKey) {
        let entry = self.config.entry(peer);
        let is_stranger = entry.is_none_or(PadEntry::is_strangers);
        let is_nameless = matches!(identity.view(), Identity::Null);
        for slot in 0..u16::try_from(self.sas.len()).unwrap_or(u16::MAX) {
            let _ = self.with_sa(slot, |endpoint, other| {
                let State::Established(old) = &other.state else {
                    return Ok(());
                };
                let is_same = old.peer == peer
                    && old.identity.view().is_same(&identity.view())
                    && (old.key == key || !(is_stranger || is_nameless))
                    && (other.path.remote.ip() == sa.path.remote.ip() || !is_nameless);
                if is_same && old.since < sa.created {
                    endpoint.end(slot, other, CloseReason::InitialContact);
                }
                Ok(())
            });
        }
    }
}
