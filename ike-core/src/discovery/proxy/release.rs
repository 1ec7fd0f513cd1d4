//! What becomes of an answer that is held: it waits, is released, or its client hears why not.

use core::net::IpAddr;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Proxy;
use super::answer::{self, Seen};
use super::error::bump;
use super::found::{Claim, NoEntry, Progress};
use super::held::{Held, Stage};
use super::names::{Knowledge, Known, UNKNOWN};
use super::reply::Refused;
use super::settings::{Demand, Fate, MAX_HOLD};

/// The verdict about an answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Verdict {
    /// Not yet.
    Wait,
    /// The client gets it, its TTLs not above so many seconds.
    Release(u32),
    /// The client hears why not.
    Refuse(Refused),
}

/// How the addresses of an answer stand together.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Standing {
    /// One of them has an entry of which nothing is known yet.
    is_waiting: bool,
    /// Each is protected.
    is_protected: bool,
    /// When the first of their entries ends.
    until: Instant,
}

impl<R: TryCryptoRng> Proxy<'_, R> {
    /// Makes entries for held answers whose key is known now, and releases what need not wait.
    pub(super) fn attend_answers(&mut self, now: Instant) {
        for place in 0..self.held.len() {
            self.claim(now, place);
            let Some(Some(held)) = self.held.get(place) else { continue };
            let Stage::Answered { seen, .. } = &held.stage else { continue };
            let is_late = self.deadline(held) <= now;
            let verdict = match self.judge(now, held, seen) {
                Verdict::Wait if is_late => {
                    bump(&mut self.desk.counters.out_of_time);
                    self.unprotected(held.demand, UNKNOWN)
                }
                verdict => verdict,
            };
            self.carry_out(place, verdict);
        }
    }

    /// When an answer is not held any longer.
    pub(super) fn deadline(&self, held: &Held) -> Instant {
        held.since + self.settings.hold.min(MAX_HOLD)
    }

    /// There is no more room for this one.
    pub(super) fn give_up(&mut self, place: usize) {
        let Some(Some(held)) = self.held.get_mut(place) else { return };
        let is_answered = matches!(held.stage, Stage::Answered { .. });
        if is_answered && held.demand < Demand::Require && self.settings.full == Fate::Release {
            self.carry_out(place, Verdict::Release(UNKNOWN));
        } else {
            self.carry_out(place, Verdict::Refuse(Refused::Full));
        }
    }

    fn carry_out(&mut self, place: usize, verdict: Verdict) {
        let Some(Some(held)) = self.held.get_mut(place) else { return };
        match verdict {
            Verdict::Wait => {}
            Verdict::Refuse(why) => held.refuse(why),
            Verdict::Release(cap) if answer::cap_ttls(&mut held.octets, cap) => held.release(),
            Verdict::Release(_) => held.refuse(Refused::BadAnswer),
        }
    }

    /// An answer whose addresses will not be protected.
    const fn unprotected(&self, demand: Demand, cap: u32) -> Verdict {
        match demand {
            Demand::Nothing | Demand::Try => Verdict::Release(cap),
            Demand::Require => Verdict::Refuse(Refused::Unprotected),
        }
    }

    fn judge(&self, now: Instant, held: &Held, seen: &Seen) -> Verdict {
        let (name, end) = (&held.asked.name, seen.end.as_ref());
        let Some(Known { knowledge, until, .. }) = self.names.nearest(now, name, end) else {
            return match self.names.is_under_way(name) || end.is_some_and(|end| self.names.is_under_way(end))
            {
                true => Verdict::Wait,
                false => self.unprotected(held.demand, UNKNOWN),
            };
        };
        match knowledge {
            Knowledge::Absent => self.unprotected(held.demand, u32::MAX),
            Knowledge::Unusable | Knowledge::Unknown => self.unprotected(held.demand, seconds(now, until)),
            Knowledge::Bogus if held.demand < Demand::Require && self.settings.bogus == Fate::Release => {
                Verdict::Release(seconds(now, until))
            }
            Knowledge::Bogus => Verdict::Refuse(Refused::Bogus),
            Knowledge::Keys(..) => {
                let standing = self.standing(seen, until);
                match (held.demand, standing) {
                    (Demand::Require, Standing { is_protected: true, .. }) if !seen.more => {
                        Verdict::Release(seconds(now, standing.until))
                    }
                    (_, Standing { is_waiting: true, .. }) => Verdict::Wait,
                    (Demand::Require, _) if self.may_come(seen) => Verdict::Wait,
                    (demand, _) => self.unprotected(demand, seconds(now, standing.until)),
                }
            }
        }
    }

    fn standing(&self, seen: &Seen, until: Instant) -> Standing {
        let mut all = Standing { is_waiting: false, is_protected: true, until };
        for address in &seen.addresses {
            let entry = self.found.find(*address);
            let progress = entry.map(|entry| entry.progress());
            all.is_waiting |= progress == Some(None);
            all.is_protected &= progress == Some(Some(Progress::Protected));
            all.until = entry.map_or(all.until, |entry| all.until.min(entry.expires));
        }
        all
    }

    /// Whether each address that is not protected may yet be.
    fn may_come(&self, seen: &Seen) -> bool {
        let may_come = |address: &IpAddr| {
            let progress = self.found.find(*address).map(|entry| entry.progress());
            matches!(progress, Some(Some(Progress::Installed | Progress::Protected)))
        };
        !seen.more && seen.addresses.iter().all(may_come)
    }

    /// Makes entries for the addresses of an answer, once its key is known.
    fn claim(&mut self, now: Instant, place: usize) {
        let Some(Some(held)) = self.held.get(place) else { return };
        let Stage::Answered { seen, is_claimed: false } = &held.stage else { return };
        let Some(Known { name, knowledge: Knowledge::Keys(keys, level), until }) =
            self.names.nearest(now, &held.asked.name, seen.end.as_ref())
        else {
            return;
        };
        for address in &seen.addresses {
            if self.settings.is_reserved(*address) {
                bump(&mut self.desk.counters.reserved);
                continue;
            }
            let claim = Claim {
                name,
                address: *address,
                keys,
                level: *level,
                demand: held.demand,
                client: held.client.address(),
                expires: until,
            };
            if self.found.claim(now, &claim) == Err(NoEntry::TooMany) {
                bump(&mut self.desk.counters.too_many_found);
            }
        }
        if let Some(Some(Held { stage: Stage::Answered { is_claimed, .. }, .. })) = self.held.get_mut(place) {
            *is_claimed = true;
        }
    }
}

/// Seconds that are left, one at least.
fn seconds(now: Instant, until: Instant) -> u32 {
    u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX).max(1)
}
