//! Moments as people write them: `2026-11-26`, `2026-11-26T18:30:00Z`, or seconds since 1970 (RFC 3339).

use std::time::{SystemTime, UNIX_EPOCH};

use ike_core::discovery::UnixTime;

const DAY: u64 = 86_400;

/// The system's time of day.
pub fn present() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// A moment from its text.
///
/// # Errors
/// What to write.
pub fn parse(text: &str) -> Result<UnixTime, String> {
    let seconds = text.parse().ok().or_else(|| parse_date(text));
    seconds.map(UnixTime).ok_or_else(|| "write 2026-11-26, 2026-11-26T18:30:00Z or seconds since 1970".into())
}

fn parse_date(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let is_date = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = hour < 24 && minute < 60 && second < 60;
    let days = days(year, month, day);
    let back = date_of(days) == (year, month, day);
    (is_date && is_time && back).then(|| days * DAY + hour * 3600 + minute * 60 + second)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = text.split(between).map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

/// Days from 1970-01-01: years are counted from March, so that the leap day is their last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    (year * 365 + leaps + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

fn date_of(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 366;
    while self::days(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| self::days(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days + 1 - self::days(year, month, 1))
}

/// A moment in UTC.
pub fn show(moment: UnixTime) -> String {
    let (year, month, day) = date_of(moment.0 / DAY);
    let rest = moment.0 % DAY;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leap years and ends of months, there and back.
    #[test]
    fn moments_there_and_back() {
        for (text, seconds, shown) in [
            ("1970-01-01", 0, "1970-01-01 00:00:00 UTC"),
            ("2000-02-29T12:00:00Z", 951_825_600, "2000-02-29 12:00:00 UTC"),
            ("2026-11-26T18:30:05", 1_795_717_805, "2026-11-26 18:30:05 UTC"),
            ("2100-03-01", 4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(parse(text), Ok(UnixTime(seconds)), "{text}");
            assert_eq!(show(UnixTime(seconds)), shown);
        }
        assert_eq!(parse("1795717805"), Ok(UnixTime(1_795_717_805)));
        for wrong in ["2100-02-29", "2026-13-01", "2026-11-26T24:00:00Z", "tomorrow", "2026-11"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
