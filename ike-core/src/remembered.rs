//! What is remembered of peers when their SAs are gone: the key of a stranger, which nobody takes over with another
//! one (RFC 5386 §4.2), and how well somebody was authenticated, so that nobody gets by with less later
//! (RFC 7435 §3).
//!
//! ```text
//! nothing ─ a stranger's Child SA ─▶ its key, level First ─ DNSSEC or the configuration knows it ─▶ level ≥ Shared
//! ```
//! A level never falls, a stranger's key never changes and no place is given to another, unless the operator says so
//! ([`forget_peer`], [`accept`]) or lets dead strangers be replaced. What is new leaves as [`Event::Remember`], before
//! the SA that it is about carries anything. A full table takes no more strangers, and of one network no more than half
//! of them; whom the configuration names has a place of his own, or else that of a stranger that may be replaced anyway.
//!
//! [`forget_peer`]: crate::endpoint::Endpoint::forget_peer
//! [`accept`]: crate::endpoint::Endpoint::accept
//! [`Event::Remember`]: crate::output::Event::Remember

use core::net::IpAddr;

use esp_engine::spd::Level;
use esp_engine::time::Instant;

use crate::crypto::PublicKey;
use crate::exchange::ike_auth::is_somebody;
use crate::pad::{Identity, OwnedIdentity};

/// What is remembered of one peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Remembered {
    /// What it calls itself; its address where that says nothing.
    pub of: OwnedIdentity,
    /// Where it was.
    pub address: IpAddr,
    /// The best that it ever was: [`Level::First`] for a stranger.
    pub level: Level,
    /// SHA-256 of the SubjectPublicKeyInfo that a stranger has to show.
    pub fingerprint: Option<[u8; 32]>,
    /// The key itself, once it has been shown.
    pub key: Option<PublicKey>,
}

impl Remembered {
    pub(crate) fn is_stranger(&self) -> bool {
        !is_somebody(self.level)
    }

    /// Whether whoever is at `address` has to be this one: it speaks for its address and nothing else.
    fn speaks_for(&self, address: IpAddr) -> bool {
        match self.of.view() {
            Identity::Address(own) => own == address,
            _ => self.is_stranger() && self.address == address,
        }
    }
}

/// A place of the table.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Place {
    pub(crate) remembered: Remembered,
    /// When the caller was told last.
    pub(crate) told: Instant,
    /// Since when a stranger is known to be dead.
    pub(crate) dead: Option<Instant>,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Memory<'r> {
    pub(crate) places: &'r mut [Option<Place>],
}

impl<'r> Memory<'r> {
    pub(crate) fn new(places: &'r mut [Option<Place>]) -> Self {
        Self { places }
    }

    /// Each with its place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &Remembered)> {
        let places = (0..=u8::MAX).zip(self.places.iter());
        places.filter_map(|(number, place)| Some((number, &place.as_ref()?.remembered)))
    }

    pub(crate) fn find(&self, of: &Identity<'_>) -> Option<&Remembered> {
        Some(&self.place(of)?.remembered)
    }

    pub(crate) fn place(&self, of: &Identity<'_>) -> Option<&Place> {
        self.places.iter().flatten().find(|place| place.remembered.of.view().is_same(of))
    }

    pub(crate) fn place_mut(&mut self, of: &Identity<'_>) -> Option<&mut Place> {
        self.places.iter_mut().flatten().find(|place| place.remembered.of.view().is_same(of))
    }

    /// What whoever shows `identity` at `source` is measured by: what is remembered of that name, and of whoever
    /// spoke for that address.
    pub(crate) fn concerning(
        &self,
        identity: &Identity<'_>,
        source: IpAddr,
    ) -> impl Iterator<Item = &Remembered> {
        let of = subject(identity, source);
        self.iter()
            .map(|(_, remembered)| remembered)
            .filter(move |remembered| remembered.of.view().is_same(&of) || remembered.speaks_for(source))
    }

    pub(crate) fn put(&mut self, number: u8, place: Option<Place>) {
        if let Some(entry) = self.places.get_mut(usize::from(number)) {
            *entry = place;
        }
    }
}

/// What somebody is remembered as.
pub(crate) fn subject<'i>(identity: &Identity<'i>, source: IpAddr) -> Identity<'i> {
    match identity {
        Identity::Null | Identity::Other { .. } => Identity::Address(source),
        named => *named,
    }
}
