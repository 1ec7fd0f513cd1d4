//! One pair of SAs in the table: what was negotiated, what was counted, and where it stands in its
//! life (RFC 4301 §4.4.2.1).

use core::net::IpAddr;
use core::time::Duration;

use super::limits::{Bounds, Stage};
use crate::counters::Traffic;
use crate::crypto::Cipher;
use crate::latch::Latch;
use crate::mtu::Wrapping;
use crate::sa::{ChildSa, Encapsulation, KeyPair, Mode, PeerKey, SaReport, Spi};
use crate::selector::{Selectors, TrafficSelectors};
use crate::spd::{Level, PolicyId};
use crate::time::Instant;
use crate::tunnel;

/// An SA whose peer gives no sign of having it is used after this time if no other serves the flow:
/// a lost packet costs less than a flow that waits for ever.
const CONFIRMATION: Duration = Duration::from_secs(1);

/// Packets back to which a router's complaint is believed.
const LATELY: u32 = 4096;

/// A pair of SAs at work.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Association<C> {
    pub(crate) keys: KeyPair<C>,
    /// The number of the last packet sent; packets sent, therefore.
    pub(crate) sequence: u64,
    /// The highest number authenticated.
    pub(crate) highest: u64,
    pub(crate) received: Traffic,
    sent_octets: u64,
    soft: Bounds,
    hard: Bounds,
    pub(crate) usable_from: Instant,
    /// When the first packet was sent after the last that arrived.
    unanswered_since: Instant,
    path_mtu_until: Instant,
    /// When the last packet was sent, in whole seconds of our clock: a keepalive needs to know no better.
    sent_at: u32,
    path_mtu: u16,
    pub(crate) serial: u32,
    pub(crate) inbound: Spi,
    pub(crate) outbound: Spi,
    pub(crate) local_ts: TrafficSelectors,
    pub(crate) remote_ts: TrafficSelectors,
    pub(crate) encapsulation: Option<Encapsulation>,
    pub(crate) policy: PolicyId,
    pub(crate) peer: PeerKey,
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) mode: Mode,
    pub(crate) level: Level,
    pub(crate) stage: Stage,
    pub(crate) extended: bool,
    /// The peer is known to have the SA.
    confirmed: bool,
    /// It has a successor and only receives.
    pub(super) retired: bool,
    /// The table looks at it before the present silence lasts for too long.
    watched: bool,
    untold: Untold,
}

/// Reports that wait; none can be lost, since each has its place.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Untold {
    first_inbound: bool,
    unanswered: bool,
    soft: bool,
    hard: bool,
}

impl<C> Association<C> {
    pub(super) fn new(now: Instant, serial: u32, child: ChildSa<C>) -> Self {
        Self {
            keys: child.keys,
            sequence: 0,
            highest: 0,
            received: Traffic::default(),
            sent_octets: 0,
            sent_at: 0,
            soft: Bounds::soft(now, child.lifetime.soft, child.extended_sequence),
            hard: Bounds::hard(now, child.lifetime.hard, child.extended_sequence),
            usable_from: if child.may_send { now } else { now + CONFIRMATION },
            unanswered_since: Bounds::NEVER,
            path_mtu_until: Instant::ZERO,
            path_mtu: u16::MAX,
            serial,
            inbound: child.inbound,
            outbound: child.outbound,
            local_ts: child.local_ts,
            remote_ts: child.remote_ts,
            encapsulation: child.encapsulation,
            policy: child.policy,
            peer: child.peer,
            local: child.local,
            remote: child.remote,
            mode: child.mode,
            level: child.level,
            stage: Stage::Young,
            extended: child.extended_sequence,
            confirmed: child.may_send,
            retired: false,
            watched: false,
            untold: Untold::default(),
        }
    }

    /// Whether it lives and holds a flow of `claim` for another peer. Nobody (RFC 7619) holds any.
    pub(super) fn is_latched_against(&self, claim: &Latch<'_>) -> bool {
        let Self { policy, local_ts: local, remote_ts: remote, peer, .. } = self;
        self.stage != Stage::Expired
            && self.level > Level::Null
            && Latch { policy: *policy, local, remote, peer }.collides(claim)
    }

    /// Whether it may carry an outbound packet, but for the peer's having it.
    pub(super) fn serves(&self, now: Instant, policy: PolicyId, packet: &Selectors) -> bool {
        self.policy == policy && !self.retired && self.is_alive(now) && self.covers(packet)
    }

    /// Whether it still carries packets. The clock counts even when nobody called `handle_timeout`.
    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        self.stage != Stage::Expired && now < self.hard.at
    }

    /// Whether its selectors cover a packet, seen from our side.
    pub(crate) fn covers(&self, packet: &Selectors) -> bool {
        self.local_ts.iter().any(|ts| ts.matches_source(packet))
            && self.remote_ts.iter().any(|ts| ts.matches_destination(packet))
    }

    /// Confirmed SAs send before others, newer ones before older ones.
    pub(super) fn rank(&self) -> (bool, u32) {
        (self.confirmed, self.serial)
    }

    /// Takes the next sequence number for a packet of `octets`.
    pub(crate) fn send(&mut self, now: Instant, octets: usize) -> u64 {
        self.sequence = self.sequence.saturating_add(1);
        self.sent_octets = self.sent_octets.saturating_add(octets as u64);
        self.sent_at = u32::try_from(now.as_millis() / 1_000).unwrap_or(u32::MAX);
        self.age(now);
        self.sequence
    }

    /// Notes that a packet left and may be answered; whether the table has to look at it for that.
    pub(super) fn await_answer(&mut self, now: Instant) -> bool {
        self.unanswered_since = self.unanswered_since.min(now);
        !core::mem::replace(&mut self.watched, true)
    }

    /// Reports silence that lasted for `limit`, once until another packet is sent.
    pub(super) fn mind_silence(&mut self, now: Instant, limit: Duration) {
        if self.stage != Stage::Expired && self.unanswered_since + limit <= now {
            self.unanswered_since = Bounds::NEVER;
            self.untold.unanswered = true;
        }
    }

    /// Whether a packet was sent since then, for sure.
    pub(crate) fn has_sent_since(&self, since: Instant) -> bool {
        self.sequence > 0 && u64::from(self.sent_at) >= since.as_millis().div_ceil(1_000)
    }

    /// The peer is known to have it.
    pub(super) fn confirm(&mut self, now: Instant) {
        self.confirmed = true;
        self.usable_from = self.usable_from.min(now);
    }

    /// Counts an authenticated packet of `octets`.
    pub(crate) fn receive(&mut self, now: Instant, octets: usize) {
        if self.received.packets == 0 {
            self.untold.first_inbound = true;
            self.confirm(now);
        }
        self.unanswered_since = Bounds::NEVER;
        self.untold.unanswered = false;
        self.received.count(octets);
        self.age(now);
    }

    /// Moves on to the stage that time and traffic have reached.
    pub(super) fn age(&mut self, now: Instant) {
        let octets = self.received.octets.max(self.sent_octets);
        let packets = self.received.packets.max(self.sequence);
        if self.stage != Stage::Expired && self.hard.reached(now, octets, packets) {
            self.stage = Stage::Expired;
            self.untold.hard = true;
        }
        if self.stage == Stage::Young && self.soft.reached(now, octets, packets) {
            self.stage = Stage::Ageing;
            self.untold.soft = true;
        }
    }

    /// The next moment at which time alone changes something; `silence` is what is reported.
    pub(super) fn next_change(&mut self, now: Instant, silence: Duration) -> Option<Instant> {
        self.watched = self.unanswered_since != Bounds::NEVER;
        let limit = match self.stage {
            Stage::Young => self.soft.at.min(self.hard.at),
            Stage::Ageing => self.hard.at,
            Stage::Expired => Bounds::NEVER,
        };
        let limit = if self.stage == Stage::Expired || silence.is_zero() {
            limit
        } else {
            limit.min(self.unanswered_since + silence)
        };
        let change = if now < self.usable_from { limit.min(self.usable_from) } else { limit };
        (change != Bounds::NEVER).then_some(change)
    }

    pub(super) fn has_report(&self) -> bool {
        self.untold != Untold::default()
    }

    pub(super) fn take_report(&mut self) -> Option<SaReport> {
        let spi = self.inbound;
        let untold = &mut self.untold;
        let first = core::mem::take(&mut untold.first_inbound).then_some(SaReport::FirstInbound(spi));
        if first.is_none() && core::mem::take(&mut untold.unanswered) {
            return Some(SaReport::Unanswered(spi));
        }
        let soft = || core::mem::take(&mut untold.soft).then_some(SaReport::SoftExpired(spi));
        first
            .or_else(soft)
            .or_else(|| core::mem::take(&mut self.untold.hard).then_some(SaReport::HardExpired(spi)))
    }

    /// Packets sent, and the octets in them.
    pub(crate) fn sent(&self) -> Traffic {
        Traffic { packets: self.sequence, octets: self.sent_octets }
    }

    /// Whether `low` ends the number of one of the last packets sent; older ones say nothing about
    /// the path of today.
    pub(crate) fn sent_lately(&self, low: u32) -> bool {
        let behind = (self.sequence as u32).wrapping_sub(low);
        behind < LATELY && u64::from(behind) < self.sequence
    }

    /// Whether the peer is known to have it.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The path's MTU, at most `link` octets.
    pub(crate) fn path_mtu(&self, now: Instant, link: u16) -> u16 {
        if now < self.path_mtu_until { link.min(self.path_mtu) } else { link }
    }

    /// Believes that the path takes no more than `mtu` octets until `until`. Returns whether that
    /// is news.
    pub(crate) fn lower_path_mtu(&mut self, now: Instant, mtu: u16, until: Instant) -> bool {
        if now < self.path_mtu_until && mtu >= self.path_mtu {
            return false;
        }
        self.path_mtu = mtu;
        self.path_mtu_until = until;
        true
    }

    /// Moves to other outer addresses, whose path is unknown.
    pub(crate) fn relocate(&mut self, local: IpAddr, remote: IpAddr, encapsulation: Option<Encapsulation>) {
        self.local = local;
        self.remote = remote;
        self.encapsulation = encapsulation;
        self.path_mtu_until = Instant::ZERO;
    }
}

impl<C: Cipher> Association<C> {
    /// How its packets are wrapped; `headers` are the IP headers that stay before ESP in transport
    /// mode.
    pub(crate) fn wrapping(&self, headers: usize) -> Wrapping {
        Wrapping {
            mode: self.mode,
            headers: match self.mode {
                Mode::Transport => headers,
                Mode::Tunnel => tunnel::outer_length(self.remote),
            },
            encapsulated: self.encapsulation.is_some(),
            algorithm: self.keys.outbound.algorithm(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sad::limits::SOFT_PACKETS;
    use crate::selector::Ports;

    fn association(extended_sequence: bool) -> Association<()> {
        let address = IpAddr::from([192, 0, 2, 1]);
        let spi = Spi::new(4096).unwrap();
        let child = ChildSa {
            policy: PolicyId(0),
            inbound: spi,
            outbound: spi,
            mode: Mode::Transport,
            local: address,
            remote: address,
            encapsulation: None,
            extended_sequence,
            local_ts: TrafficSelectors::new(),
            remote_ts: TrafficSelectors::new(),
            lifetime: crate::sa::Lifetime::default(),
            level: Level::Known,
            peer: PeerKey([0; 32]),
            may_send: true,
            keys: KeyPair { inbound: (), outbound: () },
        };
        Association::new(Instant::ZERO, 1, child)
    }

    /// RFC 4303 §3.3.3: the last number is 2^32 - 1, and a successor is wanted long before.
    #[test]
    fn numbers_of_32_bits_end() {
        let mut sa = association(false);
        let spi = sa.inbound;
        sa.sequence = SOFT_PACKETS - 2;
        sa.send(Instant::ZERO, 100);
        assert_eq!(sa.take_report(), None);
        sa.send(Instant::ZERO, 100);
        assert_eq!(sa.take_report(), Some(SaReport::SoftExpired(spi)));
        sa.sequence = u64::from(u32::MAX) - 2;
        assert_eq!(sa.send(Instant::ZERO, 100), 0xffff_fffe);
        assert!(sa.is_alive(Instant::ZERO));
        assert_eq!(sa.send(Instant::ZERO, 100), 0xffff_ffff);
        assert!(!sa.is_alive(Instant::ZERO));
        assert_eq!(sa.take_report(), Some(SaReport::HardExpired(spi)));
        assert!(!sa.has_report());
    }

    /// RFC 4303 §2.2.1: numbers of 64 bits go on.
    #[test]
    fn numbers_of_64_bits_go_on() {
        let mut sa = association(true);
        sa.sequence = u64::from(u32::MAX);
        assert_eq!(sa.send(Instant::ZERO, 100), 1 << 32);
        assert!(sa.is_alive(Instant::ZERO));
        assert!(!sa.has_report());
    }

    /// A router quotes what was sent just now, not what may be sent one day.
    #[test]
    fn only_late_numbers_are_believed() {
        let mut sa = association(true);
        for (sequence, low, believed) in [
            (0, 0, false),
            (1, 1, true),
            (1, 2, false),
            (1, 0, false),
            (5000, 905, true),
            (5000, 904, false),
            ((1 << 32) + 3, u32::MAX, true),
        ] {
            sa.sequence = sequence;
            assert_eq!(sa.sent_lately(low), believed, "{low} of {sequence}");
        }
    }

    /// An SA without selectors carries nothing.
    #[test]
    fn no_selectors_cover_nothing() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let packet = Selectors { source: address, destination: address, protocol: 6, ports: Ports::Opaque };
        assert!(!association(false).covers(&packet));
    }
}
