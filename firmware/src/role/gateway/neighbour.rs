//! Link addresses of neighbours, learnt by ARP (RFC 826) and Neighbor Discovery (RFC 4861 §7).
//!
//! Sixteen places for both families and both ports. An address is learnt when we ask for it, or when
//! a neighbour asks for ours and a place is free; unasked answers change nothing. While an address
//! is asked for, the newest packet to it waits (RFC 1122 §2.3.2.2, RFC 4861 §7.2.2).

use core::time::Duration;

use esp_engine::time::Instant;

use super::route::Hop;

/// Neighbours that are known at a time.
pub const NEIGHBOURS: usize = 16;
/// Packets that wait for a link address, over all neighbours.
pub const WAITING: usize = 4;
/// Octets of the longest IP packet that waits.
pub const MAX_PACKET: usize = 1_500;
/// Between two questions (RFC 4861 §10: RETRANS_TIMER).
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Questions before a neighbour counts as absent (RFC 4861 §10: MAX_MULTICAST_SOLICIT).
pub const TRIES: u8 = 3;
/// How long an answer is believed before it is asked again (RFC 4861 §10: REACHABLE_TIME).
pub const REACHABLE: Duration = Duration::from_secs(30);

/// A packet that waits.
pub type HeldPacket = heapless::Vec<u8, MAX_PACKET>;

/// An Ethernet address.
pub type LinkAddress = [u8; 6];

/// The table.
pub struct Neighbours {
    places: [Option<Place>; NEIGHBOURS],
    waiting: [Option<Packet>; WAITING],
}

struct Place {
    hop: Hop,
    state: State,
    used: Instant,
}

enum State {
    /// Asked for, not known.
    Incomplete(Question),
    /// Known and believed.
    Reachable { link: LinkAddress, until: Instant },
    /// Known long ago; still used while it is asked for again.
    Probe { link: LinkAddress, question: Question },
}

#[derive(Copy, Clone)]
struct Question {
    asked: u8,
    next: Instant,
}

struct Packet {
    hop: Hop,
    octets: HeldPacket,
}

/// What a look-up says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// Send it there.
    Known(LinkAddress),
    /// Let the packet wait with [`Neighbours::hold`]; [`Neighbours::poll`] asks.
    Wait,
    /// No place: every neighbour in the table is being asked for.
    Full,
}

/// What has to be done about a neighbour.
#[derive(PartialEq, Eq, Debug)]
pub enum Task {
    /// Ask for its link address.
    Solicit(Hop),
    /// It does not answer: the packet that waited for it can be reported to its source.
    Absent(Hop),
}

impl Neighbours {
    /// Nobody is known.
    pub const fn new() -> Self {
        Self { places: [const { None }; NEIGHBOURS], waiting: [const { None }; WAITING] }
    }

    /// Where packets for `hop` go.
    pub fn resolve(&mut self, now: Instant, hop: Hop) -> Resolution {
        if let Some(place) = self.place(hop) {
            place.used = now;
            return match place.state {
                State::Incomplete(_) => Resolution::Wait,
                State::Probe { link, .. } => Resolution::Known(link),
                State::Reachable { link, until } => {
                    if until <= now {
                        place.state = State::Probe { link, question: Question { asked: 0, next: now } };
                    }
                    Resolution::Known(link)
                }
            };
        }
        let Some(free) = self.free_place() else { return Resolution::Full };
        *free = Some(Place { hop, state: State::Incomplete(Question { asked: 0, next: now }), used: now });
        Resolution::Wait
    }

    /// Keeps `packet` until the link address of `hop` is known; it replaces an older one to the same
    /// neighbour. `false` when there is no room or the packet is too long.
    pub fn hold(&mut self, hop: Hop, packet: &[u8]) -> bool {
        let same = self.waiting.iter().position(|w| w.as_ref().is_some_and(|w| w.hop == hop));
        let place = same.or_else(|| self.waiting.iter().position(Option::is_none));
        let (Some(slot), Ok(octets)) =
            (place.and_then(|n| self.waiting.get_mut(n)), heapless::Vec::from_slice(packet))
        else {
            return false;
        };
        *slot = Some(Packet { hop, octets });
        true
    }

    /// A neighbour answered our question.
    pub fn answered(&mut self, now: Instant, hop: Hop, link: LinkAddress) {
        if let Some(place) = self.place(hop) {
            place.state = State::Reachable { link, until: now + REACHABLE };
        }
    }

    /// A neighbour asked for one of our addresses and told its own.
    pub fn asked(&mut self, now: Instant, hop: Hop, link: LinkAddress) {
        if self.place(hop).is_some() {
            self.answered(now, hop, link);
        } else if let Some(free) = self.places.iter_mut().find(|place| place.is_none()) {
            *free = Some(Place { hop, state: State::Reachable { link, until: now + REACHABLE }, used: now });
        }
    }

    /// Forgets all neighbours of a port, and what waits for them.
    pub fn forget(&mut self, interface: u8) {
        self.places.iter_mut().for_each(|place| {
            place.take_if(|place| place.hop.interface == interface);
        });
        self.waiting.iter_mut().for_each(|packet| {
            packet.take_if(|packet| packet.hop.interface == interface);
        });
    }

    /// Takes a packet that waited and whose neighbour is known by now.
    pub fn take_ready(&mut self) -> Option<(Hop, LinkAddress, HeldPacket)> {
        for n in 0..WAITING {
            let Some(hop) = self.waiting.get(n).and_then(|w| w.as_ref()).map(|w| w.hop) else { continue };
            let Some(State::Reachable { link, .. }) = self.place(hop).map(|place| &place.state) else {
                continue;
            };
            let link = *link;
            if let Some(packet) = self.waiting.get_mut(n).and_then(Option::take) {
                return Some((hop, link, packet.octets));
            }
        }
        None
    }

    /// Takes the packet that waits for an absent neighbour.
    pub fn give_up(&mut self, hop: Hop) -> Option<HeldPacket> {
        let waiting = self.waiting.iter_mut().find(|w| w.as_ref().is_some_and(|w| w.hop == hop))?;
        waiting.take().map(|packet| packet.octets)
    }

    /// What is due at `now`; call until `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Task> {
        for slot in &mut self.places {
            let Some(place) = slot else { continue };
            let (State::Incomplete(question) | State::Probe { question, .. }) = &mut place.state else {
                continue;
            };
            if question.next > now {
                continue;
            }
            let hop = place.hop;
            if question.asked == TRIES {
                *slot = None;
                return Some(Task::Absent(hop));
            }
            *question = Question { asked: question.asked + 1, next: now + INTERVAL };
            return Some(Task::Solicit(hop));
        }
        None
    }

    /// When [`Self::poll`] has something to do next.
    pub fn next_timeout(&self) -> Option<Instant> {
        let due = self.places.iter().flatten().filter_map(|place| match &place.state {
            State::Incomplete(question) | State::Probe { question, .. } => Some(question.next),
            State::Reachable { .. } => None,
        });
        due.min()
    }

    fn place(&mut self, hop: Hop) -> Option<&mut Place> {
        self.places.iter_mut().flatten().find(|place| place.hop == hop)
    }

    /// An empty place, or that of the known neighbour that was not used for longest.
    fn free_place(&mut self) -> Option<&mut Option<Place>> {
        let rank = |place: &Option<Place>| match place {
            None => Some(Instant::ZERO),
            Some(Place { state: State::Incomplete(_), .. }) => None,
            Some(place) => Some(place.used + Duration::from_millis(1)),
        };
        let ranked = self.places.iter_mut().filter_map(|place| Some((rank(place)?, place)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, place)| place)
    }
}

impl Default for Neighbours {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkAddress = [2, 0, 0, 0, 0, 9];

    fn hop(n: u8) -> Hop {
        Hop { interface: n % 2, neighbour: [192, 0, 2, n].into() }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn released(table: &mut Neighbours) -> Option<(Hop, LinkAddress, std::vec::Vec<u8>)> {
        table.take_ready().map(|(hop, link, packet)| (hop, link, packet.to_vec()))
    }

    #[test]
    fn a_packet_waits_for_the_answer_and_then_leaves() {
        let mut table = Neighbours::new();
        assert_eq!(table.resolve(at(0), hop(2)), Resolution::Wait);
        assert!(table.hold(hop(2), b"packet"));
        assert_eq!(table.poll(at(0)), Some(Task::Solicit(hop(2))));
        assert_eq!(table.poll(at(0)), None);
        assert_eq!(released(&mut table), None);
        table.answered(at(5), hop(2), LINK);
        assert_eq!(released(&mut table), Some((hop(2), LINK, b"packet".to_vec())));
        assert_eq!(released(&mut table), None);
        assert_eq!(table.resolve(at(6), hop(2)), Resolution::Known(LINK));
    }

    #[test]
    fn ipv6_neighbours_on_one_port_are_not_those_on_the_other() {
        let v6 = |interface| Hop { interface, neighbour: "2001:db8::2".parse().unwrap() };
        let mut table = Neighbours::new();
        table.asked(at(0), v6(0), LINK);
        assert_eq!(table.resolve(at(0), v6(0)), Resolution::Known(LINK));
        assert_eq!(table.resolve(at(0), v6(1)), Resolution::Wait);
    }

    /// RFC 1122 §2.3.2.2: at least the latest packet is saved.
    #[test]
    fn the_newest_packet_to_a_neighbour_waits() {
        let mut table = Neighbours::new();
        table.resolve(at(0), hop(2));
        assert!(table.hold(hop(2), b"old") && table.hold(hop(2), b"new"));
        table.answered(at(1), hop(2), LINK);
        assert_eq!(released(&mut table), Some((hop(2), LINK, b"new".to_vec())));
        assert_eq!(released(&mut table), None);
    }

    #[test]
    fn waiting_packets_are_bounded_in_number_and_length() {
        let mut table = Neighbours::new();
        for n in 0..WAITING as u8 {
            assert!(table.hold(hop(n), b"x"));
        }
        assert!(!table.hold(hop(99), b"x"));
        assert!(table.hold(hop(0), &[0; MAX_PACKET]));
        assert!(!table.hold(hop(0), &[0; MAX_PACKET + 1]));
    }

    #[test]
    fn three_questions_a_second_apart_then_absent() {
        let mut table = Neighbours::new();
        table.resolve(at(0), hop(2));
        table.hold(hop(2), b"packet");
        for second in 0..3 {
            assert_eq!(table.next_timeout(), Some(at(second * 1_000)));
            assert_eq!(table.poll(at(second * 1_000)), Some(Task::Solicit(hop(2))));
            assert_eq!(table.poll(at(second * 1_000 + 999)), None);
        }
        assert_eq!(table.poll(at(3_000)), Some(Task::Absent(hop(2))));
        assert_eq!(table.give_up(hop(2)).unwrap(), b"packet");
        assert_eq!(table.give_up(hop(2)), None);
        assert_eq!(table.next_timeout(), None);
    }

    #[test]
    fn an_old_answer_is_used_while_it_is_asked_for_again() {
        let mut table = Neighbours::new();
        table.asked(at(0), hop(2), LINK);
        let late = at(0) + REACHABLE;
        assert_eq!(table.resolve(late, hop(2)), Resolution::Known(LINK));
        assert_eq!(table.poll(late), Some(Task::Solicit(hop(2))));
        let other = [2, 0, 0, 0, 0, 7];
        table.answered(late, hop(2), other);
        assert_eq!(table.resolve(late, hop(2)), Resolution::Known(other));
        assert_eq!(table.next_timeout(), None);
    }

    #[test]
    fn unasked_answers_teach_nothing() {
        let mut table = Neighbours::new();
        table.answered(at(0), hop(2), LINK);
        assert_eq!(table.resolve(at(0), hop(2)), Resolution::Wait);
    }

    #[test]
    fn a_full_table_forgets_the_longest_unused_and_no_stranger_gets_in() {
        let mut table = Neighbours::new();
        for n in 0..NEIGHBOURS as u8 {
            table.asked(at(u64::from(n)), hop(n), LINK);
        }
        table.resolve(at(100), hop(0));
        table.asked(at(101), hop(200), LINK);
        assert!(table.place(hop(200)).is_none());
        assert_eq!(table.resolve(at(102), hop(201)), Resolution::Wait);
        assert!(table.place(hop(1)).is_none() && table.place(hop(0)).is_some());
    }

    #[test]
    fn questions_under_way_are_not_forgotten_for_another() {
        let mut table = Neighbours::new();
        for n in 0..NEIGHBOURS as u8 {
            assert_eq!(table.resolve(at(0), hop(n)), Resolution::Wait);
        }
        assert_eq!(table.resolve(at(0), hop(99)), Resolution::Full);
    }
}
