//! What servers say, held against each other: the intersection of RFC 5905 §11.2.1 in its simplest form.
//!
//! ```text
//! A       [────────]                 each says an interval: the time that it gave, and from there the round
//! B          [────────]              trip on, with a tolerance on both sides
//! C                        [──────]  C is outvoted: most of them hold a common moment
//!            ┆──↑──┆                 in the middle of what they have in common it is
//! ```

use esp_engine::time::Instant;

use super::super::UnixTime;

/// How far a server may be off, ms: signatures are judged by the hour, and of a signed update some minutes
/// are taken for right.
const TOLERANCE: i64 = 30_000;
/// Of a timestamp only the seconds are read, ms.
const RESOLUTION: i64 = 1_000;

/// What one server says. Moments are milliseconds from 1970 to [`Instant::ZERO`], so that answers of different
/// moments compare.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Sample {
    pub(super) server: usize,
    pub(super) says: UnixTime,
    earliest: i64,
    latest: i64,
    /// Not before what it certainly is.
    is_possible: bool,
    /// It is one of those who agree.
    pub(super) is_taken: bool,
}

impl Sample {
    /// What a server said, asked at `sent`, at `now`, when it certainly was `bound` or later.
    pub(super) fn new(
        server: usize,
        says: UnixTime,
        (sent, now): (Instant, Instant),
        bound: UnixTime,
    ) -> Self {
        let said = start(says, now);
        let round_trip = i64::try_from(now.since(sent).as_millis()).unwrap_or(i64::MAX);
        Self {
            server,
            says,
            earliest: said.saturating_sub(TOLERANCE),
            latest: said.saturating_add(round_trip).saturating_add(RESOLUTION + TOLERANCE),
            is_possible: says >= bound,
            is_taken: false,
        }
    }

    const fn holds(&self, moment: i64) -> bool {
        self.earliest <= moment && moment <= self.latest
    }
}

/// When the device started, if it is this late now.
pub(super) fn start(time: UnixTime, now: Instant) -> i64 {
    signed(time.0.saturating_mul(1000)).saturating_sub(signed(now.as_millis()))
}

/// How late it is now, if the device started then.
pub(super) fn time(start: i64, now: Instant) -> UnixTime {
    let now = start.saturating_add(signed(now.as_millis()));
    UnixTime(now.max(0).cast_unsigned() / 1000)
}

fn signed(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

/// When the device started, as most of them have it; where there is no such moment, as those have it who go with
/// the clock that runs already. Marks who they are. What cannot be is not heeded beside what can.
pub(super) fn agree(samples: &mut [Sample], clock: Option<i64>) -> Option<i64> {
    let can_be = samples.iter().any(|sample| sample.is_possible);
    let is_heard = |sample: &Sample| sample.is_possible == can_be;
    let heard = samples.iter().filter(|sample| is_heard(sample));
    let holders = |moment: i64| heard.clone().filter(move |sample| sample.holds(moment));
    // Where the most intervals overlap, one of them begins.
    let best = heard.clone().map(|sample| sample.earliest).max_by_key(|moment| holders(*moment).count())?;
    let is_majority = 2 * holders(best).count() > heard.clone().count();
    let moment = if is_majority { best } else { clock.filter(|clock| holders(*clock).next().is_some())? };
    let earliest = holders(moment).map(|sample| sample.earliest).max()?;
    let latest = holders(moment).map(|sample| sample.latest).min()?;
    for sample in samples {
        sample.is_taken = is_heard(sample) && sample.holds(moment);
    }
    Some(earliest.midpoint(latest))
}
