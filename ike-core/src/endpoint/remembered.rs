//! What is remembered of peers, at work: who is measured by it, what is added to it, and the operator's word.

use core::net::IpAddr;
use core::time::Duration;

use esp_engine::spd::Level;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::config::Config;
use crate::crypto::{Crypto, PublicKey};
use crate::error::{CloseReason, FailReason};
use crate::exchange::ike_auth::is_somebody;
use crate::exchange::ike_auth::peer::Proven;
use crate::ike_sa::IkeSa;
use crate::output::Event;
use crate::pad::{Authentication, Identity, Matcher};
use crate::remembered::{Place, Remembered, subject};
use crate::setback::network;

/// How long a stranger's new address is not worth a word, so that one who moves all the time wears out no flash.
const STEADY: Duration = Duration::from_secs(3_600);

/// One stranger in this time may be replaced.
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// How well somebody is authenticated whom nobody vouches for, and who proved a key with this SHA-256 of its
    /// SubjectPublicKeyInfo.
    pub(crate) fn judge_stranger(
        &self,
        (identity, source): (&Identity<'_>, IpAddr),
        new: [u8; 32],
        replace_after: Duration,
        now: Instant,
    ) -> Result<Level, FailReason> {
        if self.may_replace(&subject(identity, source), replace_after, now) {
            return Ok(Level::First);
        }
        for known in self.memory.concerning(identity, source) {
            match known.fingerprint {
                _ if !known.is_stranger() => return Err(FailReason::Lowered(known.level)),
                Some(old) if old != new => return Err(FailReason::KeyChanged { old, new }),
                _ => {}
            }
        }
        if self.memory.find(&subject(identity, source)).is_some() {
            Ok(Level::Known)
        } else if !self.desk.admits_strangers || self.room_for(identity).is_none() {
            Err(FailReason::NoRoomForStranger)
        } else if self.is_crowded(source) {
            Err(FailReason::NetworkFull)
        } else {
            Ok(Level::First)
        }
    }

    /// Whether strangers of this network have half of the places for those whom the configuration does not name.
    fn is_crowded(&self, source: IpAddr) -> bool {
        let near = network(source);
        let is_of_it = |known: &Remembered| known.is_stranger() && network(known.address) == near;
        let share = (self.places_for_others() / 2).max(1);
        self.memory.iter().filter(|(_, known)| is_of_it(known)).count() >= share
    }

    fn places_for_others(&self) -> usize {
        self.memory.places.len().saturating_sub(names(self.config).count())
    }

    /// Whether the stranger of this name has been dead for so long, and no other was replaced for a day.
    fn may_replace(&self, of: &Identity<'_>, replace_after: Duration, now: Instant) -> bool {
        let dead = self.memory.place(of).and_then(|place| place.dead);
        let was_quiet = self.desk.replaced.is_none_or(|replaced| now.since(replaced) >= DAY);
        !replace_after.is_zero()
            && was_quiet
            && dead.is_some_and(|dead| now.since(dead) >= replace_after)
            && !self.sas.iter().any(|(_, sa)| is_with_stranger(sa, of))
    }

    /// Whether somebody was authenticated better before than to this level.
    pub(crate) fn check_floor(
        &self,
        identity: &Identity<'_>,
        source: IpAddr,
        level: Level,
    ) -> Result<(), FailReason> {
        let before = self.memory.concerning(identity, source).map(|known| known.level).max();
        match before {
            Some(before) if before > level => Err(FailReason::Lowered(before)),
            _ => Ok(()),
        }
    }

    /// Whether somebody is remembered who speaks for this address.
    pub(super) fn is_known_at(&self, address: IpAddr) -> bool {
        self.memory.concerning(&Identity::Null, address).next().is_some()
    }

    /// Whether somebody was once known to DNS, or better, under this identity.
    pub(crate) fn was_validated(&self, identity: &Identity<'_>) -> bool {
        self.memory.find(identity).is_some_and(|known| known.level >= Level::Validated)
    }

    /// The key of a stranger, for one that shows none.
    pub(crate) fn remembered_key(&self, identity: &Identity<'_>, source: IpAddr) -> Option<&PublicKey> {
        self.memory.find(&subject(identity, source))?.key.as_ref()
    }

    /// A free place for this identity: each that the configuration names has one of its own.
    fn room_for(&self, identity: &Identity<'_>) -> Option<u8> {
        let is_named = is_configured(self.config, identity);
        let known = self.memory.iter();
        let others = known.filter(|(_, known)| !is_configured(self.config, &known.of.view())).count();
        let free = self.memory.places.iter().position(Option::is_none)?;
        u8::try_from(free).ok().filter(|_| is_named || others < self.places_for_others())
    }

    /// Where nothing is free, the place that somebody gets whom the configuration names: that of a stranger whose name
    /// anybody could take by now. No other stranger's, whose key would be forgotten, and nobody's who was better.
    fn place_of_the_dead(&self, identity: &Identity<'_>, now: Instant) -> Option<u8> {
        let (_, entry) = self.config.strangers().filter(|_| is_configured(self.config, identity))?;
        let Authentication::FirstUse { replace_after } = entry.authentication else { return None };
        let may_go = |known: &Remembered| {
            known.is_stranger() && self.may_replace(&known.of.view(), replace_after, now)
        };
        self.memory.iter().find(|(_, known)| may_go(known)).map(|(number, _)| number)
    }

    /// What is remembered, each with its place.
    pub fn remembered(&self) -> impl Iterator<Item = (u8, &Remembered)> {
        self.memory.iter()
    }

    /// At the start: what was in this place when the device stopped. `false`: there is no such place.
    pub fn recall(&mut self, number: u8, remembered: Remembered) -> bool {
        self.memory.put(number, Some(Place { remembered, told: Instant::ZERO, dead: None }));
        usize::from(number) < self.memory.places.len()
    }

    /// No stranger is taken that is not known already: what is learnt cannot be kept, or what was kept cannot be
    /// read, and each of them might be one whose key was remembered.
    pub fn admit_no_strangers(&mut self) {
        self.desk.admits_strangers = false;
    }
}

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// A peer is about to carry traffic: what is new about it is remembered.
    pub(crate) fn remember(&mut self, sa: &IkeSa, proven: &Proven, now: Instant) {
        let source = sa.path.remote.ip();
        let is_reached =
            self.config.entry(proven.peer).is_some_and(|entry| entry.matcher == Matcher::Reached);
        // Nor does DNS know a gateway by what it calls itself.
        if proven.level < Level::First || is_reached || proven.behind.is_some() {
            return;
        }
        let identity = proven.identity.view();
        let Some(of) = subject(&identity, source).to_owned() else { return };
        let strangers = (Level::First, proven.fingerprint, proven.public);
        let (level, fingerprint, key) =
            if is_somebody(proven.level) { (proven.level, None, None) } else { strangers };
        let found = self.memory.iter().find(|(_, known)| known.of.view().is_same(&of.view()));
        let found = found.map(|(number, known)| (number, known.clone()));
        let (number, before) = match (found, self.room_for(&identity)) {
            (Some((number, before)), _) => (number, Some(before)),
            (None, Some(number)) => (number, None),
            (None, None) => match self.place_of_the_dead(&identity, now) {
                Some(number) => {
                    self.desk.replaced = Some(now);
                    self.memory.put(number, None);
                    (number, None)
                }
                // Who is authenticated anyway is not refused for it.
                None => return self.outbox.event(Event::NoPlace(of)),
            },
        };
        let level = before.as_ref().map_or(level, |before| before.level.max(level));
        let is_other = |before: &Remembered| before.is_stranger() && before.fingerprint != fingerprint;
        if fingerprint.is_some() && before.as_ref().is_some_and(is_other) {
            self.desk.replaced = Some(now);
        }
        let remembered = Remembered { of, address: source, level, fingerprint, key };
        let told = self.memory.places.get(usize::from(number)).and_then(|place| Some(place.as_ref()?.told));
        let is_news = before.is_none_or(|before| {
            let has_moved = before.address != source && told.is_none_or(|told| now.since(told) >= STEADY);
            (before.level, before.key) != (level, key) || has_moved
        });
        let told = if is_news { now } else { told.unwrap_or(now) };
        self.memory.put(number, Some(Place { remembered, told, dead: None }));
        if is_news {
            self.outbox.event(Event::Remember(number));
        }
    }

    /// The peer of this IKE SA answers no more.
    pub(super) fn note_dead(&mut self, now: Instant, sa: &IkeSa) {
        let Some(established) = sa.established().filter(|of_sa| !is_somebody(of_sa.level)) else { return };
        let identity = established.identity.view();
        if let Some(place) = self.memory.place_mut(&subject(&identity, sa.path.remote.ip())) {
            place.dead = Some(now);
        }
    }

    /// The operator's word: nothing is remembered of this peer any more, and if it was a stranger its IKE SAs end.
    /// The place that it had, unless it was not remembered.
    pub fn forget_peer(&mut self, now: Instant, of: &Identity<'_>) -> Option<u8> {
        let (number, known) = self.memory.iter().find(|(_, known)| known.of.view().is_same(of))?;
        let was_stranger = known.is_stranger();
        self.memory.put(number, None);
        if was_stranger {
            self.close_strangers(now, of);
        }
        Some(number)
    }

    /// The operator's word: this peer, a stranger that is remembered, has a key with this SHA-256 of its
    /// SubjectPublicKeyInfo from now on; IKE SAs under another one end. The place that it has.
    pub fn accept(&mut self, now: Instant, of: &Identity<'_>, fingerprint: [u8; 32]) -> Option<u8> {
        let is_it = |known: &Remembered| known.is_stranger() && known.of.view().is_same(of);
        let (number, known) = self.memory.iter().find(|(_, known)| is_it(known))?;
        if known.fingerprint != Some(fingerprint) {
            let remembered = Remembered { fingerprint: Some(fingerprint), key: None, ..known.clone() };
            self.memory.put(number, Some(Place { remembered, told: now, dead: None }));
            self.close_strangers(now, of);
        }
        Some(number)
    }

    /// The IKE SAs with a stranger of this name end, or at this address, if it has none.
    fn close_strangers(&mut self, now: Instant, of: &Identity<'_>) {
        self.close_sas(now, CloseReason::Requested, |sa| is_with_stranger(sa, of));
    }

    /// Whom DNS or the configuration vouches for comes under the name of a stranger that is remembered: that one was
    /// somebody else, and its flows are free.
    pub(crate) fn outrank(&mut self, proven: &Proven, source: IpAddr) {
        let identity = proven.identity.view();
        let of = subject(&identity, source);
        if !is_somebody(proven.level) || !self.memory.find(&of).is_some_and(Remembered::is_stranger) {
            return;
        }
        for slot in 0..self.sas.capacity() {
            let _ = self.with_sa(slot, |endpoint, sa| {
                if is_with_stranger(sa, &of) {
                    endpoint.end(slot, sa, CloseReason::Replaced);
                }
                Ok(())
            });
        }
    }
}

/// Whether an IKE SA stands with a stranger of this name, or at this address, if it has none.
fn is_with_stranger(sa: &IkeSa, of: &Identity<'_>) -> bool {
    sa.established().is_some_and(|established| {
        let of_sa = subject(&established.identity.view(), sa.path.remote.ip()).is_same(of);
        of_sa && !is_somebody(established.level)
    })
}

/// Whether the configuration has an entry for this identity and no other.
fn is_configured(config: &Config<'_>, identity: &Identity<'_>) -> bool {
    names(config).any(|name| name.is_same(identity))
}

/// Identities that the configuration has.
pub(super) fn names<'c>(config: &Config<'c>) -> impl Iterator<Item = Identity<'c>> {
    config.pad.iter().filter_map(|entry| match entry.matcher {
        Matcher::Exact(identity) => Some(identity),
        _ => None,
    })
}
