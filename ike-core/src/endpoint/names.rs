//! Peers whose keys come from DNS (RFC 4025): before a negotiation of ours begins, and while an
//! initiator's IKE_AUTH waits. A stranger can make us ask for any name, so what it may cause is bounded:
//! few requests wait, one of each network, none for long, and so many look-ups a second.

use core::net::IpAddr;

use esp_engine::sa::Mode;
use esp_engine::selector::Selectors;
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::crypto::Crypto;
use crate::error::{AcquireError, Discarded, NameFault};
use crate::exchange::ike_auth;
use crate::handshake::Want;
use crate::names::{Asked, Ticket, Waiting};
use crate::output::{Event, Path};
use crate::pad::{Identity, OwnedIdentity, PeerId, PeerRecord};
use crate::setback::network;

/// Of so many IKE SAs one may wait for an answer.
const SAS_FOR_ONE_HELD: usize = 4;

/// A negotiation that may have to wait for an answer.
#[derive(Copy, Clone, Debug)]
pub(super) struct Question {
    pub(super) policy: PolicyId,
    pub(super) peer: Option<PeerId>,
    pub(super) packet: Option<Selectors>,
}

/// What DNS has to do with the beginning of a negotiation.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Consulted {
    /// Nothing.
    Unneeded,
    /// The peer is there.
    At(IpAddr),
    /// It has been asked; the negotiation begins when it has answered.
    Waits,
}

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// What DNS says about a peer: the answer to [`Event::Lookup`]. One that comes too late is kept for the
    /// next who needs it; one to no question changes nothing.
    pub fn handle_peer_record(&mut self, now: Instant, ticket: Ticket, record: PeerRecord) {
        if let Some((peer, of)) = self.names.answer(ticket, record, now) {
            self.revalidate(now, peer, &of);
            self.go_on(now);
        }
    }

    /// Look-ups that went unanswered, and records that should be renewed.
    pub(super) fn names_timeout(&mut self, now: Instant) {
        self.names.expire(now);
        while self.outbox.has_room()
            && let Some((peer, of)) = self.names.take_due(now)
        {
            if self.is_in_use(peer, &of) {
                let _ = self.look_up(now, peer, &of);
            }
        }
        self.go_on(now);
    }

    /// Asks DNS where the peer of this entry is, if it is known by name, without beginning anything: the answer
    /// becomes [`Event::Addresses`], and is renewed from then on.
    ///
    /// # Errors
    /// [`AcquireError::NoPeer`].
    pub fn locate(&mut self, now: Instant, peer: PeerId) -> Result<(), AcquireError> {
        let entry = self.config.entry(peer).ok_or(AcquireError::NoPeer)?;
        match entry.name(None) {
            Some(of) if self.names.fresh(peer, &of.view(), now).is_none() => {
                self.look_up(now, peer, &of).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// Goes on with those whose answer is there, as far as there is room for what that causes.
    fn go_on(&mut self, now: Instant) {
        while self.outbox.has_room() {
            if let Some(event) = self.next_addresses() {
                self.outbox.event(event);
            } else if let Some(Waiting { policy, peer, packet, .. }) =
                self.desk.lookups.take_ready(&self.names)
            {
                if let Err(reason) = self.begin(now, policy, peer, packet) {
                    let to = packet.map(|packet| packet.destination);
                    self.outbox.event(Event::NotBegun { peer, policy, to, reason });
                }
            } else if let Some(slot) = self.names.take_held() {
                let _ =
                    self.with_sa(slot, |endpoint, sa| ike_auth::responder::resume(endpoint, slot, sa, now));
            } else {
                return;
            }
        }
    }

    /// A peer that is elsewhere than it was.
    pub(super) fn next_addresses(&mut self) -> Option<Event> {
        let sas = &self.sas;
        let used = |peer| sas.of_entry(peer).map(|(_, sa)| sa.path.remote.ip());
        let (peer, addresses) = self.names.take_news(used)?;
        Some(Event::Addresses { peer, addresses })
    }

    /// Whether the configuration names it, or an IKE SA stands that rests on its record.
    fn is_in_use(&self, peer: PeerId, of: &OwnedIdentity) -> bool {
        let is_configured = self.config.entry(peer).is_some_and(|entry| entry.name(None).is_some());
        let mut current =
            self.sas.of_entry(peer).filter_map(|(_, sa)| Some((sa.current()?, sa.path.remote.ip())));
        is_configured
            || current.any(|(established, remote)| {
                ike_auth::peer::question(&established.identity.view(), remote)
                    .is_some_and(|question| question.is_same(&of.view()))
            })
    }

    /// Has DNS asked, unless it is being asked.
    fn look_up(&mut self, now: Instant, peer: PeerId, of: &OwnedIdentity) -> Result<Asked, AcquireError> {
        let entry = self.config.entry(peer).ok_or(AcquireError::NoPeer)?;
        let is_configured = entry.name(None).is_some();
        let known = self.config.entries().filter(|(_, entry)| entry.name(None).is_some()).count();
        let for_strangers = self.names.capacity().saturating_sub(known);
        let ticket = self.desk.lookups.ticket();
        let asked = self.names.ask((peer, of), is_configured, for_strangers, ticket, now);
        let asked = asked.ok_or(AcquireError::NoSlot)?;
        if let Asked::Now(ticket) = asked {
            self.outbox.event(Event::Lookup { ticket, of: of.clone() });
        }
        Ok(asked)
    }

    /// Before a negotiation with the peer of this entry: where DNS says that it is, if the entry is for a name;
    /// `remote`, where it is known to be.
    pub(super) fn consult(
        &mut self,
        now: Instant,
        peer: PeerId,
        remote: Option<IpAddr>,
        question: Question,
    ) -> Result<Consulted, AcquireError> {
        let Some(entry) = self.config.entry(peer) else {
            return Err(AcquireError::NoPeer);
        };
        let (Some(published), Some(of)) = (entry.published(), entry.name(remote)) else {
            return Ok(Consulted::Unneeded);
        };
        let Some(record) = self.names.fresh(peer, &of.view(), now) else {
            let ticket = self.look_up(now, peer, &of)?.ticket();
            let Question { policy, peer, packet } = question;
            self.desk.lookups.wait(Waiting { policy, peer, packet, ticket })?;
            return Ok(Consulted::Waits);
        };
        if let Some(fault) = record.fault(published) {
            return Err(AcquireError::Name(fault));
        }
        if let Some(known) = remote.or(entry.address.map(|address| address.ip())) {
            return Ok(Consulted::At(known));
        }
        // Where the peer speaks for itself only, a packet to one of its addresses needs that one.
        let wanted = question.packet.map(|packet| packet.destination);
        if let Some(wanted) = wanted.filter(|wanted| record.addresses.contains(wanted)) {
            return Ok(Consulted::At(wanted));
        }
        if wanted.is_some() && entry.is_bound_to_its_address() {
            return Err(AcquireError::Name(NameFault::OtherAddress));
        }
        let name = self.names.find(peer, &of.view());
        let address = name.and_then(|name| name.address(|address| self.config.has_local(address)));
        address.map(Consulted::At).ok_or(AcquireError::Name(NameFault::NoAddress))
    }

    /// Before a negotiation with somebody at `remote`, whom this entry is probably for: the entry by which it
    /// begins, or `None` while the reverse tree is being asked.
    pub(super) fn consult_reverse(
        &mut self,
        now: Instant,
        peer: PeerId,
        remote: IpAddr,
        question: Question,
    ) -> Result<Option<PeerId>, AcquireError> {
        match self.consult(now, peer, Some(remote), question) {
            Ok(Consulted::Waits) => Ok(None),
            Ok(_) => Ok(Some(peer)),
            Err(AcquireError::Name(fault)) => {
                let allows = self.config.entry(peer).and_then(|entry| entry.published());
                let stranger = self.config.strangers().map(|(stranger, _)| stranger);
                let may_be = fault.is_no_statement() && allows.is_some_and(|a| a.or_stranger);
                match stranger.filter(|_| may_be && !self.was_validated(&Identity::Address(remote))) {
                    Some(stranger) => Ok(Some(stranger)),
                    None => Err(AcquireError::Name(fault)),
                }
            }
            Err(reason) => Err(reason),
        }
    }

    /// The way to the next address of a peer that did not do at this one; `None` when all had their turn, or only
    /// this one will do.
    pub(super) fn other_address(&mut self, want: &Want) -> Option<Path> {
        let config = self.config;
        let entry = config.entry(want.entry)?;
        let of = entry.name(None).filter(|_| entry.address.is_none())?;
        let is_bound = want.packet.is_some_and(|packet| packet.destination == want.path.remote.ip());
        let name = self.names.find_mut(want.entry, &of.view())?;
        if is_bound || !name.next_address() {
            return None;
        }
        let address = name.address(|address| config.has_local(address))?;
        config.path_for(Some(want.entry), Some(address), Mode::Tunnel, None).ok()
    }

    /// The entry that somebody at this address probably falls under.
    pub fn likely_entry(&self, address: IpAddr) -> Option<PeerId> {
        let is_there = |record: &PeerRecord| record.addresses.contains(&address);
        let named = self.names.iter().find(|name| name.record.as_ref().is_some_and(is_there));
        named.map(|name| name.peer).or_else(|| self.config.likely_entry(address))
    }

    /// An IKE_AUTH request from `source`, on the IKE SA in this slot, has to wait for DNS.
    ///
    /// # Errors
    /// [`Discarded::LookupLimit`]: not now. [`Discarded::AwaitsRecord`]: the name is asked for already, by
    /// somebody else.
    pub(crate) fn hold(
        &mut self,
        now: Instant,
        slot: u16,
        source: IpAddr,
        (peer, of): (PeerId, &OwnedIdentity),
    ) -> Result<(), Discarded> {
        let near =
            |held: u16| self.sas.get(held).is_some_and(|sa| network(sa.path.remote.ip()) == network(source));
        let is_full =
            self.names.held().count() >= (usize::from(self.sas.capacity()) / SAS_FOR_ONE_HELD).max(1);
        if is_full || self.names.held().any(near) || !self.desk.lookups.may_ask(network(source), now) {
            return Err(Discarded::LookupLimit);
        }
        let asked = self.look_up(now, peer, of).map_err(|_| Discarded::LookupLimit)?;
        if let Asked::Now(_) = asked {
            self.desk.lookups.asked_by(network(source), now);
        }
        let name = self.names.find_mut(peer, &of.view());
        if name.is_some_and(|name| name.hold(slot)) { Ok(()) } else { Err(Discarded::AwaitsRecord) }
    }

    /// A peer proved a key that DNS has for it.
    pub(crate) fn name_validated(
        &mut self,
        now: Instant,
        peer: PeerId,
        of: &Identity<'_>,
        source: IpAddr,
        fingerprint: Option<[u8; 32]>,
    ) {
        self.desk.lookups.was_worth_it(network(source));
        if let Some(name) = self.names.find_mut(peer, of) {
            name.validated(now, fingerprint);
        }
    }
}
