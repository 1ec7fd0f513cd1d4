//! The queue of SAs that have something to tell key management. It runs through the SAs themselves, so
//! that no report is ever without room.

use super::Sad;
use super::chain::Place;
use crate::sa::{SaReport, Spi};

impl<C> Sad<'_, C> {
    /// Puts the SA into the queue if it has something to report and is not in there.
    pub(crate) fn note(&mut self, spi: Spi) {
        self.queue_reports(self.slot_of(spi));
    }

    pub(super) fn queue_reports(&mut self, slot: usize) {
        let Some(sa) = self.at_mut(slot).filter(|sa| sa.has_report() && !sa.queued) else { return };
        sa.queued = true;
        sa.next_report = None;
        let place = Some(Place::new(slot));
        match self.ledger.last_report.and_then(|last| self.at_mut(last.slot())) {
            Some(last) => last.next_report = place,
            None => self.ledger.first_report = place,
        }
        self.ledger.last_report = place;
    }

    /// The next thing that an SA has to say.
    pub(crate) fn next_report(&mut self) -> Option<SaReport> {
        let slot = self.ledger.first_report?.slot();
        let sa = self.at_mut(slot)?;
        let report = sa.take_report();
        if !sa.has_report() {
            self.unlink_report(slot);
        }
        report
    }

    pub(super) fn unlink_report(&mut self, slot: usize) {
        let Some(sa) = self.at_mut(slot).filter(|sa| sa.queued) else { return };
        sa.queued = false;
        let next = sa.next_report.take();
        let this = Some(Place::new(slot));
        let mut before = None;
        let mut at = self.ledger.first_report;
        while at.is_some() && at != this {
            before = at;
            at = at.and_then(|place| self.at(place.slot())).and_then(|sa| sa.next_report);
        }
        match before.and_then(|place| self.at_mut(place.slot())) {
            Some(sa) => sa.next_report = next,
            None => self.ledger.first_report = next,
        }
        if self.ledger.last_report == this {
            self.ledger.last_report = before;
        }
    }
}
