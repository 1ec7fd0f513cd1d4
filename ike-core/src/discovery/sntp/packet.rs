//! The 48 octets of a message (RFC 4330 §4), as far as a client has to do with them.
//!
//! ```text
//! LI VN Mode | Stratum | Poll | Precision | Root Delay (4) | Root Dispersion (4) | Reference Identifier (4)
//! Reference Timestamp (8) | Originate Timestamp (8) | Receive Timestamp (8) | Transmit Timestamp (8)
//! ```

use super::super::UnixTime;
use super::Discarded;

/// Octets of a message without authenticator.
pub const LENGTH: usize = 48;

/// LI 0, version 4, mode 3: a client asks.
const CLIENT: u8 = 4 << 3 | 3;
/// Version 4, mode 4: a server answers.
const SERVER: u8 = 4 << 3 | 4;
/// The alarm condition: the server's clock is not synchronized.
const ALARM: u8 = 3;
/// The highest stratum of who is synchronized.
const MAX_STRATUM: u8 = 15;
/// One second in the fixed-point numbers of Root Delay and Root Dispersion.
const SECOND: u32 = 1 << 16;
/// From 1900, where NTP's time begins, to 1970.
const UNIX_EPOCH: u64 = 2_208_988_800;

/// Why a server's answer holds no time.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Useless {
    /// Its clock is not synchronized, or has not been for long (RFC 4330 §5, checks 4 and 5).
    NotSynchronized,
    /// It wants to be left alone (RFC 4330 §8), whatever the code.
    KissOfDeath,
}

/// A query: all zero (RFC 4330 §5) but for the mode and what comes back as Originate Timestamp.
pub(super) fn query(transmit: [u8; 8]) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    octets[0] = CLIENT;
    octets[40..].copy_from_slice(&transmit);
    octets
}

/// The seconds of the Transmit Timestamp of a reply to the query with this Transmit Timestamp. An
/// authenticator behind it is not looked at.
pub(super) fn read(octets: &[u8], sent: [u8; 8]) -> Result<Result<u32, Useless>, Discarded> {
    let (message, _) = octets.split_first_chunk::<LENGTH>().ok_or(Discarded::NotReply)?;
    let [first, stratum, ..] = *message;
    if first & 0x3F != SERVER {
        return Err(Discarded::NotReply);
    }
    if message.get(24..32) != Some(&sent) {
        return Err(Discarded::WrongOrigin);
    }
    let seconds = word(message, 40);
    let has_time = seconds != 0 || word(message, 44) != 0;
    let is_near = word(message, 4) < SECOND && word(message, 8) < SECOND;
    Ok(match stratum {
        0 => Err(Useless::KissOfDeath),
        1..=MAX_STRATUM if first >> 6 != ALARM && has_time && is_near => Ok(seconds),
        _ => Err(Useless::NotSynchronized),
    })
}

fn word(message: &[u8; LENGTH], at: usize) -> u32 {
    message.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_be_bytes(*word))
}

/// What `seconds` of a timestamp mean near `bound`: they go round every 136 years, in 2036 for the first time
/// (RFC 4330 §3).
pub(super) fn unix(seconds: u32, bound: UnixTime) -> UnixTime {
    let since_1900 = bound.0.saturating_add(UNIX_EPOCH);
    let ahead = seconds.wrapping_sub(since_1900 as u32).cast_signed();
    UnixTime(bound.0.saturating_add_signed(ahead.into()))
}
