//! What belongs to no IKE SA.

use esp_engine::sa::Spi;
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;

use crate::cookie::Cookies;
use crate::counters::Counters;
use crate::handshake::Want;
use crate::names::Lookups;
use crate::own::Changes;
use crate::pace::Pace;
use crate::pad::PeerId;
use crate::setback::Setbacks;
use crate::wants::Wants;

/// State of the endpoint as a whole.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Desk {
    pub(crate) cookies: Cookies,
    pub(crate) counters: Counters,
    pub(crate) setbacks: Setbacks<PolicyId>,
    /// Wrong shared keys, by the entry whose they should have been.
    pub(crate) guesses: Setbacks<PeerId>,
    pub(crate) wants: Wants,
    pub(crate) lookups: Lookups,
    /// Unprotected hints that were sent.
    pub(crate) complaints: Pace,
    /// The Child SA whose successor a timer asks for.
    pub(crate) due: Option<Spi>,
    /// What is to be begun when the present input is dealt with.
    pub(crate) again: Option<Want>,
    /// Strangers that are not known may become so.
    pub(crate) admits_strangers: bool,
    /// When a stranger that was dead was replaced last.
    pub(crate) replaced: Option<Instant>,
    /// Our addresses that are not the configured ones.
    pub(crate) own: Changes,
    /// Nothing new begins any more.
    pub(crate) shutting_down: bool,
}

impl Desk {
    pub(crate) const fn new() -> Self {
        Self {
            cookies: Cookies::new(),
            counters: Counters::new(),
            setbacks: Setbacks::new(),
            guesses: Setbacks::new(),
            wants: Wants::new(),
            lookups: Lookups::new(),
            complaints: Pace::new(),
            due: None,
            again: None,
            admits_strangers: true,
            replaced: None,
            own: Changes::new(),
            shutting_down: false,
        }
    }
}
