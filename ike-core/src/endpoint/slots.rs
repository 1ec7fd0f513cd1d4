//! Places for IKE SAs: who gets one, who gives way, and what a peer that starts anew leaves behind.

use core::net::IpAddr;

use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::crypto::{Crypto, RngFailure};
use crate::error::CloseReason;
use crate::exchange::ike_auth::is_somebody;
use crate::ike_sa::keys::Role;
use crate::ike_sa::table::Who;
use crate::ike_sa::{Established, IkeSa, State};
use crate::pad::Identity;
use crate::setback::network;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// An IKE SPI with this slot hidden in it.
    pub(crate) fn fresh_ike_spi(&mut self, slot: u16) -> Result<u64, RngFailure> {
        let random = u64::from_be_bytes(self.random.array()?);
        // The top bit keeps it from being zero (RFC 7296 §3.1).
        Ok((random & !0xFFFF) | u64::from(slot) | (1 << 63))
    }

    /// A place for a stranger, who leaves the last one to negotiations of ours. Whom we are calling is none:
    /// both ends may begin at once, and neither may keep the other out for it.
    pub(crate) fn slot_for_stranger(&mut self, remote: IpAddr) -> Option<u16> {
        let is_call = |sa: &IkeSa| matches!((&sa.state, sa.role), (State::Handshake(_), Role::Initiator));
        let is_last = self.sas.vacant() <= 1 && self.sas.capacity() > 1;
        if is_last && !self.sas.at(remote).any(|(_, sa)| is_call(sa)) { None } else { self.sas.vacancy() }
    }

    /// Whether other strangers of this network have their share of the IKE SAs, which is half of them. The IKE SA
    /// of `who` is out of its slot.
    pub(crate) fn is_network_full(&self, who: Who<'_>, source: IpAddr) -> bool {
        let capacity = usize::from(self.sas.capacity());
        let share = (capacity / 2).max(1);
        let near = network(source);
        let is_there = |sa: &IkeSa| {
            let of_others = |e: &Established| !is_somebody(e.level) && !e.who().is_same(&who);
            network(sa.path.remote.ip()) == near && sa.established().is_some_and(of_others)
        };
        // A walk, which only a table that is half full is worth.
        capacity.saturating_sub(self.sas.vacant()) > share
            && self.sas.iter().filter(|(_, sa)| is_there(sa)).take(share).count() == share
    }

    /// Whether another IKE SA with the peer at this address stands, or is on its way because both ends began
    /// at once (RFC 7296 §2.4, INITIAL_CONTACT).
    pub(crate) fn knows(&self, sa: &IkeSa) -> bool {
        self.sas.at(sa.path.peer()).any(|(_, other)| !other.is_over())
    }

    /// The peer says that it knows of no other IKE SA with us: those that stood before this one began
    /// are dead. It has a say about its own only, where its name says nothing also by its address
    /// (RFC 7296 §2.4, RFC 7619 §2.3).
    pub(crate) fn forget_before(&mut self, sa: &IkeSa, who: Who<'_>) {
        let is_nameless = matches!(who.identity.view(), Identity::Null);
        let is_there = |other: &IkeSa| other.path.peer() == sa.path.peer();
        let mut seen = None;
        while let Some(slot) = self.sas.next_with(who, seen) {
            seen = Some(slot);
            let _ = self.with_sa(slot, |endpoint, other| {
                let is_older = matches!(&other.state, State::Established(old) if old.since < sa.created);
                if is_older && (is_there(other) || !is_nameless) {
                    endpoint.end(slot, other, CloseReason::InitialContact);
                }
                Ok(())
            });
        }
    }
}
