//! What DNS says about a peer has changed while SAs with it stand. A new key or another address: a new IKE SA is
//! made before the old one goes, so that no packet is lost. No key any more, or signatures that ended: what stands
//! lives to its end and has no successor, because that would never again have to prove anything. On such an IKE SA
//!
//! | wanted | by us | by the peer |
//! |---|---|---|
//! | a successor of a Child SA, for the same traffic or less | as ever: it ends with the IKE SA | as ever |
//! | another Child SA | on a new IKE SA, whose peer DNS has to prove | NO_ADDITIONAL_SAS (RFC 7296 §1.3) |
//! | a successor of the IKE SA | never | NO_ADDITIONAL_SAS |
//! | both ends to prove anew who they are | never | on a new IKE SA, as any other |
//!
//! What was under way when it came to this is brought to its end, and ends no later.

use esp_engine::sa::Spi;
use esp_engine::selector::TrafficSelectors;
use esp_engine::spd::{Level, PolicyId};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use super::names::asked_about;
use crate::child_sa::Child;
use crate::config::Config;
use crate::crypto::Crypto;
use crate::error::CloseReason;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::{IkeSa, Standing, State};
use crate::narrow::overlap;
use crate::pad::record::Way;
use crate::pad::{Identity, OwnedIdentity, PeerId, PublishedKey};
use crate::wire::spki;

/// What a new record means for an IKE SA that rests on the one before.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Change {
    /// Nothing.
    None,
    /// The peer has another key, or is elsewhere.
    Moved,
    /// It has none any more.
    Gone,
}

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// Holds the IKE SAs that rest on this name's record against the new one.
    pub(super) fn revalidate(&mut self, now: Instant, peer: PeerId, of: &OwnedIdentity) {
        let config = self.config;
        let concerned: heapless::Vec<(u16, Way), 4> = self
            .sas
            .of_entry(peer)
            .filter(|(_, sa)| rests_on(config, sa, &of.view()))
            .map(|(slot, sa)| (slot, sa.way()))
            .take(4)
            .collect();
        for (slot, way) in concerned {
            match self.change_for(peer, of, &way) {
                Change::None => {}
                Change::Gone => self.let_end(slot),
                Change::Moved => {
                    let child =
                        self.children.of(slot).find(|child| child.stands()).map(|child| child.inbound);
                    if let Some(spi) = child.filter(|_| self.outbox.has_room()) {
                        // When it fails, the next renewal of the record tries again.
                        let _ = self.succeed(now, spi);
                    }
                }
            }
        }
    }

    /// What stands with a peer lives to its end and has no successor: the signatures ended that prove its key.
    pub(super) fn let_all_end(&mut self, peer: PeerId, of: &OwnedIdentity) {
        let config = self.config;
        let rests = |sa: &IkeSa| rested_on(config, sa, &of.view()) && !sa.is_ending();
        loop {
            let next = self.sas.of_entry(peer).find(|(_, sa)| rests(sa)).map(|(slot, _)| slot);
            let Some(slot) = next else { return };
            self.let_end(slot);
        }
    }

    fn let_end(&mut self, slot: u16) {
        self.desk.wants.forget(slot);
        self.sas.change(slot, |sa| {
            sa.timers.stop(Timer::Renew);
            sa.timers.stop(Timer::Reauthenticate);
            if let State::Established(established) | State::Closing(established, _) = &mut sa.state {
                (established.is_ending, established.renewal_owed) = (true, false);
            }
        });
    }

    fn change_for(&self, peer: PeerId, of: &OwnedIdentity, way: &Way) -> Change {
        let published = self.config.entry(peer).and_then(|entry| entry.published());
        let (Some(published), Some(name)) = (published, self.names.find(peer, &of.view())) else {
            return Change::None;
        };
        let Some(record) = &name.record else {
            return Change::None;
        };
        match record.fault(published) {
            // Nobody knows better: the record before was kept if it was still good.
            Some(fault) if fault.is_statement() => return Change::Gone,
            Some(_) => return Change::None,
            None => {}
        }
        let has = |wanted: [u8; 32]| {
            let keys = record.keys.iter().filter(|published| published.gateway().is_at(way));
            keys.map(|published| match published {
                PublishedKey::Whole { key, .. } => self.crypto.sha256(&[&spki::encode(key)]),
                PublishedKey::Fingerprint(fingerprint) => *fingerprint,
            })
            .any(|hash| hash == wanted)
        };
        let may_be_anywhere = published.from_anywhere && way.behind.is_none();
        let is_elsewhere =
            !may_be_anywhere && !record.addresses.is_empty() && !record.addresses.contains(&way.owner());
        if is_elsewhere || name.fingerprint.is_some_and(|wanted| !has(wanted)) {
            Change::Moved
        } else {
            Change::None
        }
    }

    /// The way to a peer now, if that is another than it was for an SA of this policy.
    pub(super) fn moved_to(&self, peer: PeerId, policy: PolicyId, way: &Way) -> Option<Way> {
        let entry = self.config.entry(peer)?;
        let of = entry.name(way.behind).filter(|_| entry.address.is_none())?;
        let name = self.names.find(peer, &of.view())?;
        if name.record.as_ref().is_none_or(|record| record.has_way(way)) {
            return None;
        }
        let owner = name.record.as_ref().and_then(|record| record.addresses.is_empty().then(|| way.owner()));
        name.way(owner, |way| self.is_way(peer, policy, way))
    }

    /// The Child SA of an IKE SA to another address of the same peer has its like: the old IKE SA ends soon.
    pub(crate) fn retire_elsewhere(&mut self, replaced: Spi, now: Instant) {
        let owner = self.children.find(replaced).map(|child| child.owner);
        if let Some(owner) = owner {
            self.sas.change(owner, |sa| {
                if let State::Established(established) = &mut sa.state {
                    established.standing = Standing::Replaced;
                    sa.timers.stop(Timer::Renew);
                    sa.timers.stop(Timer::Reauthenticate);
                    sa.timers.set(Timer::Expire, now + super::rivals::OVERLAP);
                }
            });
        }
    }

    /// Somebody has a flow that was nobody's until now (RFC 7619 §3): that IKE SA ends.
    pub(crate) fn displace_nobody(&mut self, local: &TrafficSelectors, remote: &TrafficSelectors) {
        let Some((nobody, _)) = self.config.nobody() else {
            return;
        };
        let is_in_the_way =
            |child: &Child| overlap(&child.local_ts, local) && overlap(&child.remote_ts, remote);
        let mut theirs = self.sas.of_entry(nobody).map(|(slot, _)| slot);
        let owner = theirs.find(|slot| self.children.of(*slot).any(is_in_the_way));
        drop(theirs);
        if let Some(owner) = owner {
            let _ = self.with_sa(owner, |endpoint, sa| {
                endpoint.end(owner, sa, CloseReason::Replaced);
                Ok(())
            });
        }
    }
}

/// Whether the key that this IKE SA rests on is one that DNS has for this name or address.
pub(super) fn rests_on(config: &Config<'_>, sa: &IkeSa, of: &Identity<'_>) -> bool {
    sa.current().is_some() && rested_on(config, sa, of)
}

/// The same, also of one that another takes the place of.
fn rested_on(config: &Config<'_>, sa: &IkeSa, of: &Identity<'_>) -> bool {
    let validated = sa.established().filter(|established| established.level == Level::Validated);
    let asked = validated.and_then(|it| asked_about(config, it.peer, &it.identity, &sa.way()));
    asked.is_some_and(|asked| asked.view().is_same(of))
}

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// Whether this Child SA is on an IKE SA to another address than that of `sa`.
    pub(crate) fn runs_elsewhere(&self, spi: Spi, sa: &IkeSa) -> bool {
        let owner = self.children.look(spi).and_then(|child| self.sas.get(child.owner));
        owner.is_some_and(|old| old.path.peer() != sa.path.peer())
    }
}
