//! Packets that came before their SA: a peer sends on an SA as soon as it knows both SPIs, and its
//! answer in IKE may still be on its way (RFC 7296 §2.8).
//!
//! Only packets from peers that have another SA here are kept, few, and for [`TIMEOUT`]; nothing about
//! them is authentic before their SA opens them. A stranger who writes a peer's address into his packets
//! can fill the room, and then those packets are lost that would be lost without it.

use core::time::Duration;

use crate::sa::Spi;
use crate::time::Instant;

/// Packets that may wait.
pub const PACKETS: usize = 12;
/// Octets that may wait in all.
pub const OCTETS: usize = 2_048;
/// Octets of the longest packet that may wait: an Ethernet frame.
pub const LONGEST: usize = 1_514;
/// How long a packet waits for its SA.
pub const TIMEOUT: Duration = Duration::from_secs(1);

/// A packet, or a frame with its link header, that is taken out again.
pub type Taken = heapless::Vec<u8, LONGEST>;

/// Packets that wait for the SA that opens them, oldest first.
pub struct Early {
    entries: heapless::Vec<Entry, PACKETS>,
    /// The packets, one behind the other in the order of `entries`.
    octets: heapless::Vec<u8, OCTETS>,
}

struct Entry {
    spi: Spi,
    until: Instant,
    length: usize,
}

/// The packet cannot wait: too many others do, or it is longer than [`LONGEST`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct EarlyFull;

impl Early {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self { entries: heapless::Vec::new(), octets: heapless::Vec::new() }
    }

    /// Keeps a packet on `spi`.
    ///
    /// # Errors
    /// [`EarlyFull`]; the packet is then to be dropped.
    pub fn push(&mut self, now: Instant, spi: Spi, packet: &[u8]) -> Result<(), EarlyFull> {
        self.expire(now);
        if self.entries.is_full() || packet.len() > LONGEST {
            return Err(EarlyFull);
        }
        self.octets.extend_from_slice(packet).map_err(|_| EarlyFull)?;
        let entry = Entry { spi, until: now + TIMEOUT, length: packet.len() };
        self.entries.push(entry).map_err(|_| EarlyFull)
    }

    /// Whether a packet waits whose SA is there.
    pub fn has(&self, now: Instant, is_there: impl Fn(Spi) -> bool) -> bool {
        self.place(now, is_there).is_some()
    }

    /// The oldest packet whose SA is there.
    pub fn take(&mut self, now: Instant, is_there: impl Fn(Spi) -> bool) -> Option<Taken> {
        let place = self.place(now, is_there)?;
        let start = self.entries.iter().take(place).map(|entry| entry.length).sum::<usize>();
        let entry = self.entries.remove(place);
        Some(self.octets.drain(start..start + entry.length).collect())
    }

    fn place(&self, now: Instant, is_there: impl Fn(Spi) -> bool) -> Option<usize> {
        self.entries.iter().position(|entry| now < entry.until && is_there(entry.spi))
    }

    fn expire(&mut self, now: Instant) {
        while let Some(entry) = self.entries.first().filter(|entry| entry.until <= now) {
            self.octets.drain(..entry.length);
            self.entries.remove(0);
        }
    }
}

impl Default for Early {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spi(n: u32) -> Spi {
        Spi::new(0x1000 + n).unwrap()
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn packets_come_out_in_order_once_their_sa_is_there() {
        let mut early = Early::new();
        early.push(at(0), spi(1), b"one").unwrap();
        early.push(at(1), spi(2), b"other").unwrap();
        early.push(at(2), spi(1), b"two").unwrap();
        assert!(!early.has(at(3), |_| false));
        let is_there = |known| known == spi(1);
        assert_eq!(early.take(at(3), is_there).as_deref(), Some(&b"one"[..]));
        assert_eq!(early.take(at(3), is_there).as_deref(), Some(&b"two"[..]));
        assert_eq!(early.take(at(3), is_there), None);
        assert_eq!(early.take(at(3), |_| true).as_deref(), Some(&b"other"[..]));
    }

    #[test]
    fn number_and_octets_are_bounded_in_all() {
        let mut early = Early::new();
        for n in 0..PACKETS as u32 {
            assert_eq!(early.push(at(0), spi(n), b"x"), Ok(()));
        }
        assert_eq!(early.push(at(0), spi(99), b"x"), Err(EarlyFull));

        let mut early = Early::new();
        assert_eq!(early.push(at(0), spi(1), &[0; LONGEST + 1]), Err(EarlyFull));
        assert_eq!(early.push(at(0), spi(1), &[0; LONGEST]), Ok(()));
        assert_eq!(early.push(at(0), spi(2), &[0; OCTETS - LONGEST + 1]), Err(EarlyFull));
        assert_eq!(early.push(at(0), spi(2), &[0; OCTETS - LONGEST]), Ok(()));
    }

    #[test]
    fn a_packet_whose_sa_does_not_come_makes_room_again() {
        let mut early = Early::new();
        for n in 0..PACKETS as u32 {
            early.push(at(0), spi(n), &[n as u8; OCTETS / PACKETS]).unwrap();
        }
        let late = at(TIMEOUT.as_millis() as u64);
        assert!(!early.has(late, |_| true), "it is too old");
        assert_eq!(early.push(late, spi(99), &[99; LONGEST]), Ok(()));
        assert_eq!(early.take(late, |_| true).as_deref(), Some(&[99; LONGEST][..]));
    }
}
