//! Addresses that names led to, each with the keys that whoever is there may show. An entry only raises
//! protection. It is for that very address and for nothing else; what a name says about gateways is not
//! heeded, and addresses that somebody else owns get none: a name's owner does not own the address.
//!
//! ```text
//! found ──▶ Installed ──▶ Protected ──▶ ended by its time, unless its key is found again
//!   └───────────┴───────▶ Failed    ──▶ forgotten after a while, and tried again then
//! ```

use core::net::IpAddr;
use core::time::Duration;

use domain::base::name::Label;
use esp_engine::spd::Level;
use esp_engine::time::Instant;

use super::settings::Demand;
use crate::crypto::PublicKey;
use crate::discovery::Name;
use crate::pad::{Gateway, MAX_KEYS, PublishedKey};

/// Entries that questions of one client may lead to.
const PER_CLIENT: usize = 16;
/// Entries that names of one zone may lead to.
const PER_ZONE: usize = 8;
/// How long an address where IKE failed is left alone.
const PAUSE: Duration = Duration::from_secs(60);

/// An entry for one address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The address; IKE runs to it, and it alone is protected.
    pub address: IpAddr,
    /// A name that led there, in lower case: the first of them.
    pub name: Name,
    /// Keys that may be shown there: the union of what its names have.
    pub keys: heapless::Vec<PublicKey, MAX_KEYS>,
    /// How well they are known: as well as the least of them.
    pub level: Level,
    /// [`Demand::Try`]: where IKE fails traffic goes on as without the entry. [`Demand::Require`]: it does not.
    pub demand: Demand,
    /// When it ends.
    pub expires: Instant,
    client: IpAddr,
    /// When its key is asked for again, if it is in use then.
    renewal: Option<Instant>,
    progress: Option<Progress>,
    has_news: bool,
    is_over: bool,
    /// Its end was said.
    is_gone: bool,
}

/// What became of an entry.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Progress {
    /// Traffic to the address waits for an SA from now on.
    Installed,
    /// An SA stands.
    Protected,
    /// There is none, and there will not be one soon.
    Failed,
}

/// Why an address gets no entry.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum NoEntry {
    /// None of the keys is for whoever is there.
    NoKey,
    /// Too many, of its client, of its zone or in all.
    TooMany,
}

/// What a name says about an address, and who asked for it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Claim<'a> {
    pub(super) name: &'a Name,
    pub(super) address: IpAddr,
    pub(super) keys: &'a [PublishedKey],
    pub(super) level: Level,
    pub(super) demand: Demand,
    pub(super) client: IpAddr,
    pub(super) expires: Instant,
}

impl Claim<'_> {
    /// The keys of whoever is at the address itself.
    fn keys(&self) -> impl Iterator<Item = PublicKey> {
        let is_there = |key: &&PublishedKey| match key.gateway() {
            Gateway::Owner => true,
            Gateway::Address(gateway) => gateway == self.address,
            Gateway::Elsewhere => false,
        };
        // Nobody asks for fingerprints of names that clients ask for.
        self.keys.iter().filter(is_there).filter_map(PublishedKey::whole).copied()
    }
}

/// The table, in memory that the proxy is lent.
#[derive(Debug)]
pub(super) struct Entries<'r>(&'r mut [Option<Found>]);

impl<'r> Entries<'r> {
    pub(super) const fn new(places: &'r mut [Option<Found>]) -> Self {
        Self(places)
    }

    /// Makes an entry, or adds to the one that is there. `true` when that is news.
    ///
    /// # Errors
    /// [`NoEntry`]; what is there stays as it is.
    pub(super) fn claim(&mut self, now: Instant, claim: &Claim<'_>) -> Result<bool, NoEntry> {
        if claim.keys().next().is_none() {
            return Err(NoEntry::NoKey);
        }
        self.free_gone();
        if let Some(entry) = self.find_mut(claim.address) {
            return Ok(entry.add(now, claim));
        }
        let entries = || self.0.iter().flatten();
        let of_client = entries().filter(|entry| entry.client == claim.client).count();
        let of_zone = entries().filter(|entry| zone(&entry.name).eq(zone(claim.name))).count();
        if of_client >= PER_CLIENT || of_zone >= PER_ZONE {
            return Err(NoEntry::TooMany);
        }
        let place = self.0.iter_mut().find(|place| place.is_none()).ok_or(NoEntry::TooMany)?;
        *place = Some(Found {
            address: claim.address,
            name: claim.name.clone(),
            keys: claim.keys().take(MAX_KEYS).collect(),
            level: claim.level,
            demand: claim.demand,
            expires: claim.expires,
            client: claim.client,
            renewal: Some(two_thirds(now, claim.expires)),
            progress: None,
            has_news: true,
            is_over: false,
            is_gone: false,
        });
        Ok(true)
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<&Found> {
        self.0.iter().flatten().find(|entry| entry.address == address)
    }

    fn find_mut(&mut self, address: IpAddr) -> Option<&mut Found> {
        self.0.iter_mut().flatten().find(|entry| entry.address == address)
    }

    /// Takes note of what became of an entry. Only its end ends the protection that it had.
    pub(super) fn progress(&mut self, now: Instant, address: IpAddr, progress: Progress) {
        let Some(entry) = self.find_mut(address) else { return };
        if progress == Progress::Failed && entry.progress != Some(Progress::Protected) {
            entry.expires = entry.expires.min(now + PAUSE);
        }
        entry.progress = Some(progress);
    }

    /// The keys of a name were asked for again, and it still has some: its entries live on until then.
    pub(super) fn extend(&mut self, now: Instant, name: &Name, keys: &[PublishedKey], until: Instant) {
        for entry in self.0.iter_mut().flatten().filter(|entry| entry.name == *name) {
            let claim = Claim {
                name,
                address: entry.address,
                keys,
                level: entry.level,
                demand: entry.demand,
                client: entry.client,
                expires: until,
            };
            if entry.progress != Some(Progress::Failed) && claim.keys().next().is_some() {
                entry.add(now, &claim);
            }
        }
    }

    /// The name of the next entry in use whose key is to be asked for again.
    pub(super) fn next_renewal(&mut self, now: Instant) -> Option<&Name> {
        let is_due = |entry: &&mut Found| {
            entry.progress == Some(Progress::Protected) && entry.renewal.is_some_and(|due| due <= now)
        };
        let entry = self.0.iter_mut().flatten().find(is_due)?;
        entry.renewal = None;
        Some(&entry.name)
    }

    /// The place of the next entry that is new, or changed; from now on it is neither.
    pub(super) fn take_news(&mut self) -> Option<usize> {
        let mut entries = self.0.iter_mut().enumerate();
        let (place, news) = entries.find_map(|(place, entry)| {
            let entry = entry.as_mut().filter(|entry| entry.has_news)?;
            Some((place, &mut entry.has_news))
        })?;
        *news = false;
        Some(place)
    }

    /// The entry at this place.
    pub(super) fn get(&self, place: usize) -> Option<&Found> {
        self.0.get(place)?.as_ref()
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for entry in self.0.iter_mut().flatten().filter(|entry| entry.expires <= now) {
            (entry.is_over, entry.has_news) = (true, false);
        }
    }

    fn free_gone(&mut self) {
        self.0.iter_mut().for_each(|place| drop(place.take_if(|entry| entry.is_gone)));
    }

    /// The place of the next entry whose time is up; those whose end was said before are forgotten.
    pub(super) fn next_over(&mut self) -> Option<usize> {
        self.free_gone();
        let mut entries = self.0.iter_mut().enumerate();
        let (place, is_gone) = entries.find_map(|(place, entry)| {
            let entry = entry.as_mut().filter(|entry| entry.is_over)?;
            Some((place, &mut entry.is_gone))
        })?;
        *is_gone = true;
        Some(place)
    }

    /// When there is something to do.
    pub(super) fn alarm(&self) -> Option<Instant> {
        let in_use = |entry: &Found| entry.progress == Some(Progress::Protected);
        let alarm = |entry: &Found| match entry.renewal.filter(|_| in_use(entry)) {
            Some(renewal) => renewal.min(entry.expires),
            None => entry.expires,
        };
        self.0.iter().flatten().map(alarm).min()
    }

    /// Each entry.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Found> {
        self.0.iter().flatten()
    }
}

impl Found {
    /// Who asked for it first.
    pub const fn client(&self) -> IpAddr {
        self.client
    }

    /// What became of it, as far as that was said.
    pub const fn progress(&self) -> Option<Progress> {
        self.progress
    }

    /// Another name leads here, or the same one again. Nothing that was promised is taken back: neither a key
    /// nor what an operator requires.
    fn add(&mut self, now: Instant, claim: &Claim<'_>) -> bool {
        let before = (self.keys.len(), self.level, self.demand);
        for key in claim.keys() {
            if !self.keys.contains(&key) {
                // Of an address that many share only so many keys count.
                let _ = self.keys.push(key);
            }
        }
        self.level = self.level.min(claim.level);
        self.demand = self.demand.max(claim.demand);
        if claim.expires > self.expires && self.progress != Some(Progress::Failed) {
            self.expires = claim.expires;
            self.renewal = Some(two_thirds(now, claim.expires));
        }
        let is_news = before != (self.keys.len(), self.level, self.demand);
        self.has_news |= is_news;
        is_news
    }
}

fn two_thirds(now: Instant, end: Instant) -> Instant {
    now + end.since(now) * 2 / 3
}

/// The last two labels of a name: who has names elsewhere has to register them.
fn zone(name: &Name) -> impl Iterator<Item = &Label> {
    name.iter().rev().take(3)
}

#[cfg(test)]
#[path = "found_tests.rs"]
mod tests;
