//! The time of day: set by somebody who is believed, or proposed and then proven by the keys of the root.

use domain::base::Rtype;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::clock::BeforeBound;
use super::super::lookup::{Purpose, Trust};
use super::super::outcome::{Indeterminate, Security};
use super::super::output::Busy;
use super::super::question::Question;
use super::super::{UnixTime, root};
use super::Resolver;
use crate::crypto::Crypto;

/// Why a time is not looked into.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum TimeRefused {
    /// It lies before what it certainly is.
    BeforeBound,
    /// All places for lookups are taken.
    Busy,
}

impl<C: Crypto, R: TryCryptoRng> Resolver<'_, C, R> {
    /// The time of day, on the word of somebody who is believed.
    ///
    /// # Errors
    /// [`BeforeBound`].
    pub fn set_time(&mut self, now: Instant, time: UnixTime) -> Result<(), BeforeBound> {
        self.clock.set(now, time)
    }

    /// Somebody who is not believed says that it is this late. Keys of the root, asked for now, have to
    /// verify at that time; then it is set. [`crate::discovery::output::Output::Proposed`] says what came of it.
    ///
    /// # Errors
    /// [`TimeRefused`]: nothing is asked.
    pub fn propose_time(&mut self, now: Instant, time: UnixTime) -> Result<(), TimeRefused> {
        self.desk.now = now;
        if time < self.clock.bound() {
            return Err(TimeRefused::BeforeBound);
        }
        let keys = Question::Records { name: root(), rtype: Rtype::DNSKEY };
        let mut lookup = self.begin(keys, Trust::Proof).map_err(|Busy| TimeRefused::Busy)?;
        lookup.purpose = Purpose::Time(now, time);
        self.start(lookup);
        Ok(())
    }

    /// What the keys of the root say of a time that was proposed.
    pub(super) fn judge_time(&mut self, time: UnixTime, proof: Security) {
        let not_set = |BeforeBound| Security::Indeterminate(Indeterminate::ClockNotSet);
        self.desk.proposed = Some(match proof {
            Security::Secure => self.clock.set(self.desk.now, time).map(|()| time).map_err(not_set),
            unproven => Err(unproven),
        });
    }

    /// What it certainly is not earlier than.
    pub const fn not_before(&self) -> UnixTime {
        self.clock.bound()
    }

    /// The time of day; `None` while it is not known.
    pub fn time(&self, now: Instant) -> Option<UnixTime> {
        self.clock.time(now)
    }
}
