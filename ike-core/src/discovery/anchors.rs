//! Trust anchors that follow the keys of the root (RFC 5011).
//!
//! ```text
//!          NewKey            AddTime           KeyRem
//! (Start) ───────▶ AddPend ─────────▶ Valid ◀────────▶ Missing      Valid and Missing: trusted
//!    ▲────────────────┘ KeyRem          │ RevBit  KeyPres │ RevBit
//!                                       └──────▶ Revoked ◀┘ ─ RemTime ─▶ Removed
//! ```
//! [`Anchors::observe`] is told what each DNSKEY RRset shows that the resolver fetched for this purpose. Who
//! holds a key that signs nothing but data changes nothing here; who holds a trusted one has to keep the true
//! RRset away from us for the hold-down. That is counted while the device runs, between RRsets that it saw, and
//! not by the time of day: nobody can talk a clock into having waited.

use core::time::Duration;

use esp_engine::time::Instant;

use super::dnssec::{Ds, EntryPoint};

mod stored;
#[cfg(test)]
mod tests;

pub use stored::MAX_STORED;

/// Keys whose state is known (RFC 5011 §2.4.3: at least five).
pub const MAX_ANCHORS: usize = 8;

/// Add and remove hold-down time, s (RFC 5011 §2.4.1, §2.4.2).
const HOLD_DOWN: u32 = 30 * 86_400;
/// How often what changed is written at most, but for a revocation.
const WRITES: Duration = Duration::from_secs(86_400);

/// Where a key is in its life (RFC 5011 §4.2); one in Start is not listed.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// It was seen, signed by trusted keys, and is not trusted yet.
    AddPend {
        /// Seconds for which it was in every valid RRset.
        waited: u32,
        /// Seconds that it has to be.
        hold: u32,
        /// Places of the keys that vouched for it, as a set.
        vouchers: u8,
    },
    /// It is trusted.
    Valid,
    /// It is trusted, and was not in the last valid RRset.
    Missing,
    /// Its owner gave it up, for good.
    Revoked {
        /// Seconds for which it was in no valid RRset.
        waited: u32,
    },
    /// So long ago that nobody shows it any more.
    Removed,
}

impl State {
    /// Its name in RFC 5011 §4.2.
    pub const fn words(self) -> &'static str {
        match self {
            Self::AddPend { .. } => "AddPend",
            Self::Valid => "Valid",
            Self::Missing => "Missing",
            Self::Revoked { .. } => "Revoked",
            Self::Removed => "Removed",
        }
    }

    const fn is_trusted(self) -> bool {
        matches!(self, Self::Valid | Self::Missing)
    }

    /// The state behind a valid RRset that shows the key so, or not at all, so many seconds after the last one;
    /// `None` is Start. The keys at these places are given up.
    fn next(self, shown: Option<&EntryPoint>, elapsed: u32, given_up: u8) -> Option<Self> {
        let is_present = shown.is_some_and(|key| !key.is_revoked);
        Some(match self {
            Self::AddPend { vouchers, .. } if !is_present || vouchers & !given_up == 0 => return None,
            Self::AddPend { waited, hold, vouchers } => match waited.saturating_add(elapsed) {
                waited if waited >= hold => Self::Valid,
                waited => Self::AddPend { waited, hold, vouchers },
            },
            Self::Valid | Self::Missing if is_present => Self::Valid,
            Self::Valid | Self::Missing => Self::Missing,
            Self::Revoked { .. } if shown.is_some() => Self::Revoked { waited: 0 },
            Self::Revoked { waited } => match waited.saturating_add(elapsed) {
                waited if waited >= HOLD_DOWN => Self::Removed,
                waited => Self::Revoked { waited },
            },
            Self::Removed => Self::Removed,
        })
    }
}

/// One key of the root.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Anchor {
    /// What names it.
    pub key: Ds,
    /// How far it is trusted.
    pub state: State,
    /// It is one that the configuration names.
    pub is_configured: bool,
}

/// What is still to be written.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Unwritten {
    Nothing,
    /// A state changed, or a hold-down went on.
    Progress,
    /// A key was revoked: a power cut must not revive it.
    Revocation,
}

/// All keys whose state is known; each has its place.
#[derive(Clone, Debug)]
pub struct Anchors {
    places: [Option<Anchor>; MAX_ANCHORS],
    /// When the last valid RRset was seen.
    seen: Option<Instant>,
    unwritten: Unwritten,
    written: Option<Instant>,
}

impl Anchors {
    /// No key at all.
    pub const fn new() -> Self {
        Self { places: [None; MAX_ANCHORS], seen: None, unwritten: Unwritten::Nothing, written: None }
    }

    /// Trusts the keys of a configuration; `false` when there is no room for one.
    #[must_use]
    pub fn configure(&mut self, keys: &[Ds]) -> bool {
        keys.iter().all(|key| {
            let configured = Anchor { key: *key, state: State::Valid, is_configured: true };
            self.iter().any(|known| known.key == *key) || self.add(configured)
        })
    }

    /// Every key that is listed.
    pub fn iter(&self) -> impl Iterator<Item = &Anchor> {
        self.places.iter().flatten()
    }

    /// What may prove the root's keys.
    pub fn trusted(&self) -> heapless::Vec<Ds, MAX_ANCHORS> {
        self.iter().filter(|anchor| anchor.state.is_trusted()).map(|anchor| anchor.key).collect()
    }

    /// An RRset was fetched, and this is what it shows; `ttl` is its original TTL, s. Returns whether a trusted
    /// key was revoked: what was proven by it is to be forgotten.
    pub fn observe(&mut self, now: Instant, seen: &[EntryPoint], ttl: u32) -> bool {
        let revoked = self.revoke(seen);
        let vouchers = self.vouchers(seen);
        if vouchers == 0 {
            return revoked;
        }
        let elapsed = self.seen.replace(now).map_or(0, |last| now.since(last).as_secs());
        let elapsed = u32::try_from(elapsed).unwrap_or(u32::MAX);
        let given_up = self.set_of(|anchor| matches!(anchor.state, State::Revoked { .. } | State::Removed));
        for place in &mut self.places {
            let Some(anchor) = place else { continue };
            let shown = seen.iter().find(|key| key.is_named(&anchor.key));
            let next = anchor.state.next(shown, elapsed, given_up);
            if next != Some(anchor.state) {
                self.unwritten = self.unwritten.max(Unwritten::Progress);
            }
            *place = next.map(|state| Anchor { state, ..*anchor });
        }
        self.welcome(seen, ttl, vouchers);
        revoked
    }

    /// RevBit: a trusted key that says by its own signature that it is no longer to be trusted (RFC 5011 §2.1).
    /// Nobody else has to agree.
    fn revoke(&mut self, seen: &[EntryPoint]) -> bool {
        let mut revoked = false;
        for anchor in self.places.iter_mut().flatten().filter(|anchor| anchor.state.is_trusted()) {
            if seen.iter().any(|key| key.is_revoked && key.signs && key.is_named(&anchor.key)) {
                anchor.state = State::Revoked { waited: 0 };
                self.unwritten = Unwritten::Revocation;
                revoked = true;
            }
        }
        revoked
    }

    /// The places of trusted keys that signed the RRset; without any it is not valid.
    fn vouchers(&self, seen: &[EntryPoint]) -> u8 {
        self.set_of(|anchor| {
            let signs = |key: &EntryPoint| key.signs && !key.is_revoked && key.is_named(&anchor.key);
            anchor.state.is_trusted() && seen.iter().any(signs)
        })
    }

    fn set_of(&self, is_in: impl Fn(&Anchor) -> bool) -> u8 {
        let places = self.places.iter().enumerate();
        places.filter(|(_, place)| place.as_ref().is_some_and(&is_in)).fold(0, |set, (n, _)| set | 1 << n)
    }

    /// NewKey: keys that are marked as entry points, and not known yet.
    fn welcome(&mut self, seen: &[EntryPoint], ttl: u32, vouchers: u8) {
        for key in seen.iter().filter(|key| key.is_marked && !key.is_revoked) {
            if self.iter().any(|anchor| key.is_named(&anchor.key)) {
                continue;
            }
            let state = State::AddPend { waited: 0, hold: ttl.max(HOLD_DOWN), vouchers };
            if self.add(Anchor { key: key.anchor(), state, is_configured: false }) {
                self.unwritten = self.unwritten.max(Unwritten::Progress);
            }
        }
    }

    /// Takes a free place, or that of a key that is gone; `false` when there is none. What the configuration
    /// names keeps its place: it would be trusted again otherwise.
    fn add(&mut self, anchor: Anchor) -> bool {
        let is_gone = |place: &Option<Anchor>| {
            place.is_some_and(|old| old.state == State::Removed && !old.is_configured)
        };
        let free = self.places.iter().position(Option::is_none);
        let place = free.or_else(|| self.places.iter().position(is_gone));
        let place = place.and_then(|place| self.places.get_mut(place));
        place.map(|place| *place = Some(anchor)).is_some()
    }
}

impl Default for Anchors {
    fn default() -> Self {
        Self::new()
    }
}
