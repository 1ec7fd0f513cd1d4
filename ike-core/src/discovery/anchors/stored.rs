//! Anchors as they survive a restart: a version, then each key with its place, so that vouchers are found again.
//!
//! ```text
//! version | place (4 bits), configured (1), state (3) | waited (4) | hold (4) | vouchers | length | DS as in DNS | …
//! ```
//! What was learned follows from what the configuration named then. If it names other keys now, the operator's
//! word is newer: only what was given up stays so.

use esp_engine::time::Instant;

use super::super::dnssec::{Ds, MAX_DS_DATA};
use super::{Anchor, Anchors, MAX_ANCHORS, State, Unwritten, WRITES};

/// Octets of the longest form.
pub const MAX_STORED: usize = 1 + MAX_ANCHORS * (HEAD + MAX_DS_DATA);

/// Octets in front of a DS record.
const HEAD: usize = 1 + 4 + 4 + 1 + 1;
/// The first octet.
const VERSION: u8 = 1;

impl Anchors {
    /// Whether they are to be written now: once a day at most, but a revocation at once. Then it counts as done.
    pub(crate) fn is_write_due(&mut self, now: Instant) -> bool {
        let is_early = self.written.is_some_and(|last| now < last + WRITES);
        let is_due = match self.unwritten {
            Unwritten::Nothing => false,
            Unwritten::Progress => !is_early,
            Unwritten::Revocation => true,
        };
        if is_due {
            (self.unwritten, self.written) = (Unwritten::Nothing, Some(now));
        }
        is_due
    }

    /// What [`Anchors::resume`] goes on from.
    pub fn stored(&self) -> heapless::Vec<u8, MAX_STORED> {
        let mut octets = heapless::Vec::new();
        octets.extend([VERSION]);
        for (place, anchor) in (0_u8..).zip(&self.places) {
            let Some(Anchor { key, state, is_configured }) = anchor else { continue };
            let (number, waited, hold, vouchers) = match *state {
                State::AddPend { waited, hold, vouchers } => (1, waited, hold, vouchers),
                State::Valid => (2, 0, 0, 0),
                State::Missing => (3, 0, 0, 0),
                State::Revoked { waited } => (4, waited, 0, 0),
                State::Removed => (5, 0, 0, 0),
            };
            let data = key.data();
            octets.extend([place << 4 | u8::from(*is_configured) << 3 | number]);
            octets.extend(waited.to_be_bytes().into_iter().chain(hold.to_be_bytes()));
            octets.extend([vouchers, data.len() as u8].into_iter().chain(data));
        }
        octets
    }

    /// Goes on from what was written before a restart; `false`, and nothing changes, when that has no form.
    pub fn resume(&mut self, stored: &[u8]) -> bool {
        let Some(before) = read(stored) else { return false };
        let configured =
            |anchors: &Self, key: &Ds| anchors.iter().any(|it| it.is_configured && it.key == *key);
        let same = self.iter().filter(|it| it.is_configured).all(|it| configured(&before, &it.key))
            && before.iter().filter(|it| it.is_configured).all(|it| configured(self, &it.key));
        if same {
            self.places = before.places;
            return true;
        }
        for old in before.iter().filter(|old| matches!(old.state, State::Revoked { .. } | State::Removed)) {
            match self.places.iter_mut().flatten().find(|anchor| anchor.key == old.key) {
                Some(anchor) => anchor.state = old.state,
                None => drop(self.add(Anchor { is_configured: false, ..*old })),
            }
        }
        true
    }
}

fn read(stored: &[u8]) -> Option<Anchors> {
    let (&version, mut rest) = stored.split_first()?;
    let mut anchors = Anchors::new();
    if version != VERSION {
        return None;
    }
    while !rest.is_empty() {
        let (head, behind) = rest.split_first_chunk::<HEAD>()?;
        let [first, w0, w1, w2, w3, h0, h1, h2, h3, vouchers, length] = *head;
        let (data, behind) = behind.split_at_checked(usize::from(length))?;
        rest = behind;
        let waited = u32::from_be_bytes([w0, w1, w2, w3]);
        let hold = u32::from_be_bytes([h0, h1, h2, h3]);
        let state = match first & 7 {
            1 => State::AddPend { waited, hold, vouchers },
            2 => State::Valid,
            3 => State::Missing,
            4 => State::Revoked { waited },
            5 => State::Removed,
            _ => return None,
        };
        let anchor = Anchor { key: Ds::read(data).ok()?, state, is_configured: first & 8 != 0 };
        *anchors.places.get_mut(usize::from(first >> 4))? = Some(anchor);
    }
    Some(anchors)
}
