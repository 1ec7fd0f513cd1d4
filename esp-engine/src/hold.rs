//! The hold queue: the first packets of a flow that asked for an SA wait until it is there.
//!
//! RFC 4301 §5.1 leaves it to an implementation whether a packet that triggers key management is
//! kept; dropping it costs a TCP connection a second. Whole frames wait, so that the link address
//! is not asked for again: two a flow, bounded in all in number and octets, each for [`TIMEOUT`].
//! Whenever SAs changed, [`Hold::retry`] lets the adapter run them through the engine again, oldest
//! first; those whose SA is still missing stay in their place.

use core::net::IpAddr;
use core::time::Duration;

use crate::selector::Selectors;
use crate::time::Instant;

/// Packets of one flow that may wait.
pub const PER_FLOW: usize = 2;
/// Packets that may wait in all.
pub const PACKETS: usize = 16;
/// Octets that may wait in all.
pub const OCTETS: usize = 4_096;
/// How long a packet waits for its SA.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Packets that wait, oldest first.
pub struct Hold {
    entries: heapless::Vec<Entry, PACKETS>,
    /// The frames, one behind the other in the order of `entries`.
    octets: heapless::Vec<u8, OCTETS>,
    expired: u32,
}

struct Entry {
    flow: Selectors,
    until: Instant,
    length: usize,
    state: State,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum State {
    /// There was no SA when it was last tried.
    Waiting,
    /// SAs changed since.
    Due,
}

/// The packet cannot wait: its flow has [`PER_FLOW`] packets here, or the queue is full.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct HoldFull;

impl Hold {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self { entries: heapless::Vec::new(), octets: heapless::Vec::new(), expired: 0 }
    }

    /// Keeps `frame` of `flow`, link header included.
    ///
    /// # Errors
    /// [`HoldFull`]; the frame is then to be dropped.
    pub fn push(&mut self, now: Instant, flow: Selectors, frame: &[u8]) -> Result<(), HoldFull> {
        self.expire(now);
        let of_flow = self.entries.iter().filter(|entry| entry.flow == flow).count();
        if of_flow >= PER_FLOW || self.entries.is_full() {
            return Err(HoldFull);
        }
        self.octets.extend_from_slice(frame).map_err(|_| HoldFull)?;
        let entry = Entry { flow, until: now + TIMEOUT, length: frame.len(), state: State::Waiting };
        self.entries.push(entry).map_err(|_| HoldFull)
    }

    /// SAs changed: every packet may be tried again.
    pub fn retry(&mut self) {
        for entry in &mut self.entries {
            entry.state = State::Due;
        }
    }

    /// The oldest frame to be tried that is not too old.
    pub fn next_due(&mut self, now: Instant) -> Option<&[u8]> {
        self.expire(now);
        let place = self.due()?;
        let start = self.start_of(place);
        self.octets.get(start..start + self.entries.get(place)?.length)
    }

    /// Forgets the frame that [`Self::next_due`] shows: it left, or never will.
    pub fn remove_due(&mut self) {
        if let Some(place) = self.due() {
            self.remove(place);
        }
    }

    /// Lets the frame that [`Self::next_due`] shows wait on: its SA is still missing.
    pub fn wait_on(&mut self) {
        if let Some(entry) = self.due().and_then(|place| self.entries.get_mut(place)) {
            entry.state = State::Waiting;
        }
    }

    /// Forgets the packets from this address: it is no longer ours, and policy knows it no longer.
    pub fn forget_from(&mut self, source: IpAddr) {
        while let Some(place) = self.entries.iter().position(|entry| entry.flow.source == source) {
            self.remove(place);
        }
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Packets dropped because no SA came within [`TIMEOUT`].
    pub fn expired(&self) -> u32 {
        self.expired
    }

    fn expire(&mut self, now: Instant) {
        while self.entries.first().is_some_and(|entry| entry.until <= now) {
            self.remove(0);
            self.expired = self.expired.wrapping_add(1);
        }
    }

    fn due(&self) -> Option<usize> {
        self.entries.iter().position(|entry| entry.state == State::Due)
    }

    fn start_of(&self, place: usize) -> usize {
        self.entries.iter().take(place).map(|entry| entry.length).sum()
    }

    fn remove(&mut self, place: usize) {
        let start = self.start_of(place);
        let entry = self.entries.remove(place);
        self.octets.drain(start..start + entry.length);
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Ports;

    fn flow(source: u16) -> Selectors {
        Selectors {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            protocol: 6,
            ports: Ports::Known { source, destination: 179 },
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_flow_may_have_two_packets_waiting() {
        let mut hold = Hold::new();
        assert_eq!(hold.push(at(0), flow(1), b"one"), Ok(()));
        assert_eq!(hold.push(at(0), flow(1), b"two"), Ok(()));
        assert_eq!(hold.push(at(0), flow(1), b"three"), Err(HoldFull));
        assert_eq!(hold.push(at(0), flow(2), b"other"), Ok(()));
    }

    #[test]
    fn number_and_octets_are_bounded_in_all() {
        let mut hold = Hold::new();
        for n in 0..PACKETS as u16 {
            assert_eq!(hold.push(at(0), flow(n), b"x"), Ok(()));
        }
        assert_eq!(hold.push(at(0), flow(999), b"x"), Err(HoldFull));

        let mut hold = Hold::new();
        assert_eq!(hold.push(at(0), flow(1), &[0; OCTETS - 1]), Ok(()));
        assert_eq!(hold.push(at(0), flow(2), &[0; 2]), Err(HoldFull));
        assert_eq!(hold.push(at(0), flow(2), &[0; 1]), Ok(()));
    }

    #[test]
    fn packets_are_tried_again_oldest_first_once_sas_changed() {
        let mut hold = Hold::new();
        hold.push(at(0), flow(1), b"one").unwrap();
        hold.push(at(1), flow(2), b"two").unwrap();
        hold.push(at(2), flow(3), b"three").unwrap();
        assert_eq!(hold.next_due(at(3)), None);
        hold.retry();
        assert_eq!(hold.next_due(at(3)), Some(&b"one"[..]));
        hold.wait_on();
        assert_eq!(hold.next_due(at(3)), Some(&b"two"[..]));
        hold.remove_due();
        assert_eq!(hold.next_due(at(3)), Some(&b"three"[..]));
        hold.remove_due();
        assert_eq!(hold.next_due(at(3)), None);
        hold.retry();
        assert_eq!(hold.next_due(at(3)), Some(&b"one"[..]));
        assert_eq!(hold.len(), 1);
    }

    #[test]
    fn the_oldest_are_dropped_by_time_out_and_their_room_is_free_again() {
        let mut hold = Hold::new();
        hold.push(at(0), flow(1), &[1; OCTETS]).unwrap();
        let late = at(TIMEOUT.as_millis() as u64);
        assert_eq!(hold.push(late, flow(2), &[2; OCTETS]), Ok(()));
        assert_eq!(hold.expired(), 1);
        hold.retry();
        assert_eq!(hold.next_due(late), Some(&[2; OCTETS][..]));
        assert_eq!(hold.next_due(late + TIMEOUT), None);
        assert_eq!(hold.expired(), 2);
        assert!(hold.is_empty());
    }

    #[test]
    fn packets_of_an_address_that_is_gone_are_forgotten() {
        let other = Selectors { source: [192, 0, 2, 9].into(), ..flow(1) };
        let mut hold = Hold::new();
        for (flow, frame) in [(flow(1), &b"one"[..]), (other, b"other"), (flow(2), b"two")] {
            hold.push(at(0), flow, frame).unwrap();
        }
        hold.forget_from(flow(1).source);
        hold.retry();
        assert_eq!(hold.next_due(at(1)), Some(&b"other"[..]));
        assert_eq!(hold.len(), 1);
    }
}
