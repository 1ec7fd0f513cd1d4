//! Far addresses that were shown to protect nothing: policies that would rather protect than not, those with
//! [`Level::Clear`](crate::spd::Level::Clear) for their minimum, let packets pass in clear there while no SA stands.
//! Silence shows nothing (RFC 7435 §3), so key management says who they are, and for how long.

use core::net::IpAddr;

use crate::selector::AddressRange;
use crate::time::Instant;

/// Ranges that are remembered; the one that ends first makes room.
const CAPACITY: usize = 16;

/// Who they are.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Open(heapless::Vec<(AddressRange, Instant), CAPACITY, u8>);

impl Open {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Packets with these may pass in clear until then.
    pub(crate) fn add(&mut self, remote: AddressRange, until: Instant) {
        self.0.retain(|(other, _)| *other != remote);
        if self.0.is_full() {
            let first = self.0.iter().enumerate().min_by_key(|(_, (_, until))| *until);
            if let Some((place, _)) = first {
                self.0.swap_remove(place);
            }
        }
        // There is room now.
        let _ = self.0.push((remote, until));
    }

    /// Whether packets with this address may.
    pub(crate) fn has(&self, remote: IpAddr, now: Instant) -> bool {
        self.0.iter().any(|(range, until)| range.contains(remote) && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Each until its time is over; the newest finds room.
    #[test]
    fn they_are_open_for_a_while() {
        let mut open = Open::new();
        for n in 0..=CAPACITY as u8 {
            open.add(AddressRange::single(address(n)), Instant::from_millis(1_000 + u64::from(n)));
        }
        let has = |n: u8, at| open.has(address(n), Instant::from_millis(at));
        assert!(!has(0, 0), "it made room");
        assert!(has(1, 1_000) && !has(1, 1_001) && has(CAPACITY as u8, 1_015) && !has(99, 0));
    }
}
