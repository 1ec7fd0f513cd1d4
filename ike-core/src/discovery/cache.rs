//! What was found out and still holds: the keys of zones, where signing ends, and whole outcomes. A bounded
//! number of each; what was used longest ago makes room.

use esp_engine::time::Instant;

use super::dnssec::Zone;
use super::outcome::Outcome;
use super::question::{Question, Ticket};
use super::{Name, UnixTime, depth};

/// Askers of one outcome.
pub(crate) const TICKETS: usize = 4;

/// What is known of a zone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to put keys on")]
pub(crate) enum Cut {
    /// Its keys.
    Signed(Zone),
    /// That nobody signs it, nor what is below it.
    Unsigned(Name),
}

/// A zone, until when it holds, and when it was used last.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    cut: Cut,
    until: UnixTime,
    used: u32,
}

/// How deep below the root a zone is that a name lies in.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Deepest {
    /// Its keys are known. So many labels.
    Signed(u8),
    /// It is not signed.
    Unsigned(u8),
}

/// The zones.
#[derive(Debug)]
pub(crate) struct Zones<'r> {
    places: &'r mut [Option<Kept>],
    turn: u32,
}

impl Kept {
    fn apex(&self) -> &Name {
        match &self.cut {
            Cut::Signed(zone) => zone.apex(),
            Cut::Unsigned(apex) => apex,
        }
    }
}

impl<'r> Zones<'r> {
    pub(crate) const fn new(places: &'r mut [Option<Kept>]) -> Self {
        Self { places, turn: 0 }
    }

    /// The deepest zone known around `name`.
    pub(crate) fn deepest(&self, name: &Name, time: UnixTime) -> Option<Deepest> {
        let around = self.places.iter().flatten().filter(|kept| time < kept.until);
        let around = around.filter(|kept| name.ends_with(kept.apex()));
        around.map(|kept| (depth(kept.apex()), &kept.cut)).max_by_key(|(depth, _)| *depth).map(
            |(depth, cut)| match cut {
                Cut::Signed(_) => Deepest::Signed(depth),
                Cut::Unsigned(_) => Deepest::Unsigned(depth),
            },
        )
    }

    /// The signed zone that has the last `labels` labels of `name` for its name.
    pub(crate) fn signed(&mut self, name: &Name, labels: u8, time: UnixTime) -> Option<&Zone> {
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        self.places.iter_mut().flatten().find_map(|kept| match &kept.cut {
            Cut::Signed(zone)
                if time < kept.until && depth(zone.apex()) == labels && name.ends_with(zone.apex()) =>
            {
                kept.used = turn;
                Some(zone)
            }
            _ => None,
        })
    }

    /// Keeps what is known of a zone, in the place of what was known before.
    pub(crate) fn keep(&mut self, cut: Cut, until: UnixTime) {
        self.turn = self.turn.wrapping_add(1);
        let kept = Kept { cut, until, used: self.turn };
        let turn = self.turn;
        let place = self.places.iter_mut().min_by_key(|place| match place {
            None => (1, 0),
            Some(old) if old.apex() == kept.apex() => (0, 0),
            // What was used longest ago has the largest distance to now.
            Some(old) => (2, u32::MAX - turn.wrapping_sub(old.used)),
        });
        if let Some(place) = place {
            *place = Some(kept);
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.places.fill(None);
    }

    /// Keeps that nobody signs a zone. Not inlined: a place for a zone is as large as its keys.
    #[inline(never)]
    pub(crate) fn keep_unsigned(&mut self, apex: &Name, until: UnixTime) {
        self.keep(Cut::Unsigned(apex.clone()), until);
    }

    /// Zones that are kept.
    pub(crate) fn count(&self) -> usize {
        self.places.iter().flatten().count()
    }
}

/// An outcome, and those who still have to hear of it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) question: Question,
    pub(crate) outcome: Outcome,
    pub(crate) tickets: heapless::Vec<Ticket, TICKETS>,
    /// When it was asked for last.
    pub(crate) used: Instant,
}

/// The answer to `question`, if it still holds.
pub(crate) fn find<'a>(
    answers: &'a mut [Option<Answer>],
    question: &Question,
    now: Instant,
) -> Option<&'a mut Answer> {
    let fresh = |answer: &&mut Answer| answer.question == *question && now < answer.outcome.expires;
    answers.iter_mut().flatten().find(fresh)
}

/// A place for the answer to `question`: that of the old one, a free one, or of who was asked for longest
/// ago. Not that of an answer that somebody still waits for.
pub(crate) fn place<'a>(
    answers: &'a mut [Option<Answer>],
    question: &Question,
) -> Option<&'a mut Option<Answer>> {
    let free = |place: &&mut Option<Answer>| place.as_ref().is_none_or(|answer| answer.tickets.is_empty());
    answers.iter_mut().filter(free).min_by_key(|place| match place {
        Some(old) if old.question == *question => (0, Instant::ZERO),
        None => (1, Instant::ZERO),
        Some(old) => (2, old.used),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000);
    const LATER: UnixTime = UnixTime(2_000);

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// The zone around a name that has most of its labels; none whose time is over.
    #[test]
    fn the_deepest_zone_around_a_name() {
        let mut places = [const { None }; 3];
        let mut zones = Zones::new(&mut places);
        zones.keep(Cut::Unsigned(name("test")), LATER);
        zones.keep(Cut::Unsigned(name("a.test")), UnixTime(1_500));
        zones.keep(Cut::Unsigned(name("b.test")), LATER);
        let deepest = |text, time| zones.deepest(&name(text), time);
        assert_eq!(deepest("x.A.test", NOW), Some(Deepest::Unsigned(2)));
        assert_eq!(deepest("x.a.test", UnixTime(1_500)), Some(Deepest::Unsigned(1)));
        assert_eq!(deepest("xa.test", NOW), Some(Deepest::Unsigned(1)));
        assert_eq!(deepest("example", NOW), None);
    }

    /// What is known better takes the place of what was known of the same zone; where all places are taken,
    /// what was used longest ago goes.
    #[test]
    fn zones_make_room() {
        let mut places = [const { None }; 2];
        let mut zones = Zones::new(&mut places);
        for text in ["a.test", "b.test", "a.test"] {
            zones.keep(Cut::Unsigned(name(text)), LATER);
        }
        assert_eq!(zones.count(), 2);
        zones.keep(Cut::Unsigned(name("c.test")), LATER);
        let known = ["a.test", "b.test", "c.test"].map(|text| zones.deepest(&name(text), NOW).is_some());
        assert_eq!(known, [true, false, true]);
    }
}
