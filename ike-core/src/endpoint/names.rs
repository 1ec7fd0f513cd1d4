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
use super::revalidate::rests_on;
use crate::config::Config;
use crate::crypto::Crypto;
use crate::error::{AcquireError, Discarded, NameFault};
use crate::exchange::ike_auth;
use crate::exchange::ike_auth::child::mode_of;
use crate::handshake::{Handshake, Want};
use crate::ike_sa::State;
use crate::names::{Age, Asked, Ticket, Waiting};
use crate::output::{Event, Path};
use crate::pad::record::Way;
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

/// Whom a negotiation is with, and how it gets there.
#[derive(Copy, Clone, Debug)]
pub(super) struct Direction {
    pub(super) entry: PeerId,
    pub(super) path: Path,
    /// The address whose gateway is there (RFC 4025 §2.5).
    pub(super) behind: Option<IpAddr>,
}

/// What DNS has to do with the beginning of a negotiation.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Consulted {
    /// Nothing.
    Unneeded,
    /// This is the way to the peer.
    At(Way),
    /// It has been asked; the negotiation begins when it has answered.
    Waits,
}

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// What DNS says about a peer: the answer to [`Event::Lookup`]. One that comes too late is kept for the
    /// next who needs it; one to no question changes nothing.
    pub fn handle_peer_record(&mut self, now: Instant, ticket: Ticket, record: PeerRecord) {
        let (config, sas) = (self.config, &self.sas);
        let in_use = |peer, of: &Identity<'_>| sas.of_entry(peer).any(|(_, sa)| rests_on(config, sa, of));
        if let Some((peer, of)) = self.names.answer(ticket, record, now, in_use) {
            self.revalidate(now, peer, &of);
            self.go_on(now);
        }
    }

    /// Look-ups that went unanswered, and records that should be renewed.
    pub(super) fn names_timeout(&mut self, now: Instant) {
        let (config, sas) = (self.config, &self.sas);
        self.names.expire(now, |peer, of| sas.of_entry(peer).any(|(_, sa)| rests_on(config, sa, of)));
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
            if let Some(event) = self.next_aged().or_else(|| self.next_addresses()) {
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

    /// A peer whose record nobody renews any more.
    pub(super) fn next_aged(&mut self) -> Option<Event> {
        let (peer, of, age) = self.names.take_aged()?;
        let until = match age {
            Age::Stale(until) => Some(until),
            Age::Fresh | Age::Ended => None,
        };
        if until.is_none() {
            self.let_all_end(peer, &of);
        }
        Some(Event::Unrenewed { peer, until })
    }

    /// A peer that is elsewhere than it was.
    pub(super) fn next_addresses(&mut self) -> Option<Event> {
        let (sas, handshakes) = (&self.sas, &self.handshakes);
        // A gateway's address is not the peer's.
        let used = |peer| {
            sas.of_entry(peer).map(|(_, sa)| match sa.state {
                State::Handshake(index) => {
                    let handshake = handshakes.get(usize::from(index)).and_then(Option::as_ref);
                    let behind = handshake.and_then(Handshake::want).and_then(|want| want.behind);
                    behind.unwrap_or(sa.path.remote.ip())
                }
                _ => sa.way().owner(),
            })
        };
        let (peer, addresses) = self.names.take_news(used)?;
        Some(Event::Addresses { peer, addresses })
    }

    /// Whether the configuration names it, or an IKE SA stands that rests on its record.
    fn is_in_use(&self, peer: PeerId, of: &OwnedIdentity) -> bool {
        let is_configured = self.config.entry(peer).is_some_and(|entry| entry.name(None).is_some());
        let mut current = self.sas.of_entry(peer).filter_map(|(_, sa)| Some((sa.current()?, sa.way())));
        is_configured
            || current.any(|(established, way)| {
                self.asked_about(peer, &established.identity, &way)
                    .is_some_and(|asked| asked.view().is_same(&of.view()))
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

    /// Before a negotiation: whom it is with and how it gets there; `None` while DNS is being asked.
    pub(super) fn direction(
        &mut self,
        now: Instant,
        mode: Mode,
        wanted: Option<PeerId>,
        question: Question,
    ) -> Result<Option<Direction>, AcquireError> {
        let packet = question.packet;
        let by_name = match wanted {
            Some(entry) => self.consult(now, entry, None, question)?,
            None => Consulted::Unneeded,
        };
        let (entry, way) = match (by_name, wanted) {
            (Consulted::Waits, _) => return Ok(None),
            (Consulted::At(way), Some(entry)) => (entry, Some(way)),
            _ => {
                let to = self.config.path_for(self.own(), wanted, None, mode, packet.as_ref())?.remote.ip();
                let entry = wanted.or_else(|| self.likely_entry(to)).ok_or(AcquireError::NoPeer)?;
                match self.consult_reverse(now, entry, to, question)? {
                    Some(consulted) => consulted,
                    None => return Ok(None),
                }
            }
        };
        // Whoever DNS knows nothing of is where the packet goes to.
        let to = wanted.or(way.map(|_| entry));
        let path = self.config.path_for(self.own(), to, way.map(|way| way.at), mode, packet.as_ref())?;
        Ok(Some(Direction { entry, path, behind: way.and_then(|way| way.behind) }))
    }

    /// The way to the peer of this entry as DNS has it, if the entry is for a name; `remote`, where the peer, or
    /// what it speaks for, is known to be.
    fn consult(
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
        if let Some(known) = entry.address.map(|address| address.ip()) {
            return Ok(Consulted::At(Way::direct(known)));
        }
        // Where the peer speaks for itself only, a packet to one of its addresses needs that one.
        let wanted = question.packet.map(|packet| packet.destination);
        let owner = remote.or(wanted.filter(|wanted| record.addresses.contains(wanted)));
        if owner.is_none() && wanted.is_some() && entry.is_bound_to_its_address() {
            return Err(AcquireError::Name(NameFault::OtherAddress));
        }
        let is_reachable = owner.is_some() || !record.addresses.is_empty();
        let name = self.names.find(peer, &of.view());
        let way = name.and_then(|name| name.way(owner, |way| self.is_way(peer, question.policy, way)));
        let fault = if is_reachable { NameFault::Gateway } else { NameFault::NoAddress };
        way.map(Consulted::At).ok_or(AcquireError::Name(fault))
    }

    /// Before a negotiation with somebody at `remote`, whom this entry is probably for: the entry by which it
    /// begins and the way that DNS has, if it has one, or `None` while the reverse tree is being asked.
    fn consult_reverse(
        &mut self,
        now: Instant,
        peer: PeerId,
        remote: IpAddr,
        question: Question,
    ) -> Result<Option<(PeerId, Option<Way>)>, AcquireError> {
        match self.consult(now, peer, Some(remote), question) {
            Ok(Consulted::Waits) => Ok(None),
            Ok(Consulted::At(way)) => Ok(Some((peer, Some(way)))),
            Ok(Consulted::Unneeded) => Ok(Some((peer, None))),
            Err(AcquireError::Name(fault)) => {
                let allows = self.config.entry(peer).and_then(|entry| entry.published());
                let stranger = self.config.strangers().map(|(stranger, _)| stranger);
                let may_be = fault.is_no_statement() && allows.is_some_and(|a| a.or_stranger);
                match stranger.filter(|_| may_be && !self.was_validated(&Identity::Address(remote))) {
                    Some(stranger) => Ok(Some((stranger, None))),
                    None => Err(AcquireError::Name(fault)),
                }
            }
            Err(reason) => Err(reason),
        }
    }

    /// The next way to a peer of whom nothing came on this one; `None` when all had their turn.
    pub(super) fn other_way(&mut self, want: &Want) -> Option<(Path, Option<IpAddr>)> {
        let config = self.config;
        let entry = config.entry(want.entry).filter(|entry| entry.address.is_none())?;
        let here = Way { at: want.path.remote.ip(), behind: want.behind };
        let of = entry.name(Some(here.owner()))?;
        // Where the packet goes to one of its addresses, only that one will do.
        let is_bound = want.packet.is_some_and(|packet| packet.destination == here.owner());
        let owner = (is_bound || entry.is_in_reverse()).then(|| here.owner());
        if !self.names.find_mut(want.entry, &of.view())?.next_way(owner) {
            return None;
        }
        let name = self.names.find(want.entry, &of.view())?;
        let way =
            name.way(owner, |way| self.is_way(want.entry, want.policy, way)).filter(|way| *way != here)?;
        let path = config.path_for(self.own(), Some(want.entry), Some(way.at), Mode::Tunnel, None).ok()?;
        Some((path, way.behind))
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

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// What DNS is asked about a peer that calls itself so and is reached like this: of a gateway, its owner.
    pub(crate) fn asked_about(
        &self,
        peer: PeerId,
        identity: &OwnedIdentity,
        way: &Way,
    ) -> Option<OwnedIdentity> {
        asked_about(self.config, peer, identity, way)
    }

    /// Whether a negotiation for this policy may go this way: to a gateway only in tunnel mode, not where we or
    /// somebody else are, and not for what is near us.
    pub(crate) fn is_way(&self, peer: PeerId, policy: PolicyId, way: &Way) -> bool {
        let is_tunnel = self.config.policy(policy).map(mode_of) == Some(Mode::Tunnel);
        let may_be_gateway = |owner| {
            is_tunnel && !self.config.is_taken(self.own(), peer, way.at) && !self.config.is_near(owner)
        };
        self.own().like(way.at).is_some() && way.behind.is_none_or(may_be_gateway)
    }
}

/// As [`Endpoint::asked_about`].
pub(super) fn asked_about(
    config: &Config<'_>,
    peer: PeerId,
    identity: &OwnedIdentity,
    way: &Way,
) -> Option<OwnedIdentity> {
    match way.behind {
        Some(owner) => config.entry(peer)?.name(Some(owner)),
        None => ike_auth::peer::question(&identity.view(), way.at)?.to_owned(),
    }
}
