//! Every octet that the data plane owns, sized by its user: a `static` on a small machine.

use crate::acquire::Acquires;
use crate::counters::Counters;
use crate::open::Open;
use crate::sa::SaReport;
use crate::sad::{Association, Ledger};
use crate::spd::Policy;
use crate::time::Instant;

/// Reports of moved peers and unknown SPIs that wait at once.
pub(crate) const NOTICES: usize = 4;

/// Memory of one [`crate::engine::Engine`]: room for `POLICIES` entries of the SPD and `SAS` pairs of
/// SAs, each with a replay window of `WORDS` × 32 packets. `WORDS` is a power of two up to 128.
#[derive(Clone, Hash, Debug)]
pub struct Resources<C, const POLICIES: usize, const SAS: usize, const WORDS: usize> {
    pub(crate) policies: heapless::Vec<Policy, POLICIES>,
    pub(crate) sas: [Option<Association<C>>; SAS],
    pub(crate) windows: [[u32; WORDS]; SAS],
    pub(crate) ledger: Ledger<SAS>,
    pub(crate) desk: Desk,
}

impl<C, const POLICIES: usize, const SAS: usize, const WORDS: usize> Resources<C, POLICIES, SAS, WORDS> {
    /// Empty.
    pub const fn new() -> Self {
        const {
            assert!(WORDS.is_power_of_two() && WORDS <= 128, "a window is 32, 64, ... 4096 packets");
            assert!(SAS > 0 && SAS < u16::MAX as usize, "a slot's number has 16 bits");
            assert!(POLICIES <= u16::MAX as usize, "a policy's number has 16 bits");
        }
        Self {
            policies: heapless::Vec::new(),
            sas: [const { None }; SAS],
            windows: [[0; WORDS]; SAS],
            ledger: Ledger::new(),
            desk: Desk::new(),
        }
    }
}

impl<C, const POLICIES: usize, const SAS: usize, const WORDS: usize> Default
    for Resources<C, POLICIES, SAS, WORDS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// What belongs to no SA: counters, and what key management has yet to be told.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Desk {
    pub(crate) counters: Counters,
    pub(crate) acquires: Acquires,
    pub(crate) open: Open,
    pub(crate) notices: heapless::Vec<SaReport, NOTICES, u8>,
    /// An unknown SPI is reported once a second at most.
    pub(crate) unknown_spi_told: Option<Instant>,
}

impl Desk {
    const fn new() -> Self {
        Self {
            counters: Counters::new(),
            acquires: Acquires::new(),
            open: Open::new(),
            notices: heapless::Vec::new(),
            unknown_spi_told: None,
        }
    }
}
