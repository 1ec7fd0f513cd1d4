//! The timers of one IKE SA: a small table, so that the next moment is its minimum. Retransmissions
//! back off exponentially with some jitter, so that peers that lost the same link do not come back in
//! step (RFC 7296 §2.4).

use core::time::Duration;

use esp_engine::sa::Lifetime;
use esp_engine::time::Instant;

use crate::config::Timing;
use crate::ike_sa::keys::Role;

/// Packets after which 32-bit sequence numbers are three quarters used up.
const SHORT_NUMBERS: u64 = 3 << 30;

/// What a timer is for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// Our request is sent again, or given up.
    Retransmit,
    /// The IKE SA ends: half-open for too long, or its lifetime is over.
    Expire,
    /// The peer is asked whether it lives.
    Liveness,
    /// The NAT is reminded of us.
    Keepalive,
    /// A successor is begun before the IKE SA's time is over.
    Renew,
    /// Both ends have to prove again who they are.
    Reauthenticate,
    /// What was put off is tried again.
    Resume,
    /// The peer no longer goes on with what its CREATE_CHILD_SA began.
    Followup,
}

impl Timer {
    /// All of them, in the order in which they fire at one moment.
    pub(crate) const ALL: [Self; 8] = [
        Self::Retransmit,
        Self::Expire,
        Self::Liveness,
        Self::Keepalive,
        Self::Renew,
        Self::Reauthenticate,
        Self::Resume,
        Self::Followup,
    ];
}

/// When each fires.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    /// Sets one, whatever it was before.
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(entry) = self.0.get_mut(timer as usize) {
            *entry = Some(at);
        }
    }

    /// Stops one.
    pub(crate) fn stop(&mut self, timer: Timer) {
        if let Some(entry) = self.0.get_mut(timer as usize) {
            *entry = None;
        }
    }

    /// When one fires.
    pub(crate) fn at(&self, timer: Timer) -> Option<Instant> {
        self.0.get(timer as usize).copied().flatten()
    }

    /// Whether one will fire.
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.0.get(timer as usize).is_some_and(Option::is_some)
    }

    /// Stops all.
    pub(crate) fn stop_all(&mut self) {
        *self = Self::default();
    }

    /// The next moment at which one fires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes the first timer whose moment has come; it fires once.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        Timer::ALL.into_iter().zip(&mut self.0).find_map(|(timer, at)| {
            at.filter(|at| *at <= now)?;
            *at = None;
            Some(timer)
        })
    }
}

impl Timing {
    /// Limits of one pair of Child SAs: the soft limits come up to an eighth early, so that both ends and many
    /// peers do not act in step (RFC 7296 §2.8.1). 32-bit sequence numbers ask for a successor a quarter
    /// before they end (RFC 4303 §3.3.3).
    pub(crate) fn child_lifetime(&self, extended_sequence: bool, random: u32) -> Lifetime {
        let mut lifetime = self.child;
        let soft = &mut lifetime.soft;
        if !extended_sequence && (soft.packets == 0 || soft.packets > SHORT_NUMBERS) {
            soft.packets = SHORT_NUMBERS;
        }
        soft.time -= jitter(soft.time / 8, random);
        for limit in [&mut soft.octets, &mut soft.packets] {
            *limit -= part(*limit / 8, random);
        }
        lifetime
    }

    /// Age at which an IKE SA asks for its successor: after eight to nine tenths of its life, by lot, so that
    /// both ends do not act in step (RFC 7296 §2.8.1).
    pub(crate) fn ike_soft_lifetime(&self, random: u32) -> Duration {
        let tenth = self.ike_lifetime / 10;
        tenth * 8 + jitter(tenth, random)
    }

    /// When the initiator of an IKE SA begins to prove anew who it is: a tenth and a little more before its
    /// time, so that it is done before the responder, who waits for all of it, acts (RFC 4478 §2).
    pub(crate) fn reauthentication(&self, role: Role, random: u32) -> Duration {
        match role {
            Role::Initiator => self.reauthentication / 10 * 9 - jitter(self.reauthentication / 10, random),
            Role::Responder => self.reauthentication,
        }
    }

    /// The wait before what the peer could not do is asked for again (RFC 7296 §2.25).
    pub(crate) fn respite(&self, random: u32) -> Duration {
        let wait = self.retransmission * 4;
        wait + jitter(wait, random)
    }

    /// How much longer whoever gives way waits: the other's longest respite and two retransmissions more.
    pub(crate) fn courtesy(&self) -> Duration {
        self.retransmission * 8 + self.wait(1, 0) + self.wait(2, 0)
    }

    /// The wait after a request was sent for the `tries`th time; `random` decides the jitter.
    pub(crate) fn wait(&self, tries: u8, random: u32) -> Duration {
        let mut wait = u64::try_from(self.retransmission.as_millis()).unwrap_or(u64::MAX);
        for _ in 1..tries {
            wait = wait.saturating_mul(u64::from(self.backoff_eighths)) / 8;
        }
        let span = wait / 100 * u64::from(self.jitter_percent) + 1;
        Duration::from_millis(wait.saturating_add(u64::from(random) % span))
    }
}

/// A part of `span`, chosen by lot.
/// `random` of `u32::MAX` parts of a number, in 64 bits: small machines have no more.
fn part(number: u64, random: u32) -> u64 {
    let (random, all) = (u64::from(random), u64::from(u32::MAX));
    let (high, low) = (number >> 32, number & all);
    high * random + (high * random) / all + (low * random) / all
}

fn jitter(span: Duration, random: u32) -> Duration {
    let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(u64::from(random) % milliseconds.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use esp_engine::sa::Limits;

    const fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// A timer that is due fires once, however late the call comes.
    #[test]
    fn due_timer_fires_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Expire, at(20));
        timers.set(Timer::Retransmit, at(10));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.take_due(at(1 << 40)), Some(Timer::Retransmit));
        assert_eq!(timers.take_due(at(1 << 40)), Some(Timer::Expire));
        assert_eq!(timers.take_due(at(1 << 40)), None);
        assert_eq!(timers.next(), None);
    }

    /// RFC 4303 §3.3.3, RFC 7296 §2.8.1: successors come long before numbers end, and not at both ends at once.
    #[test]
    fn soft_limits_come_early_and_by_lot() {
        let mut timing = Timing::DEFAULT;
        timing.child.soft = Limits { time: Duration::from_secs(80), octets: 8_000, packets: 1 << 40 };
        let soft = |extended, random| timing.child_lifetime(extended, random).soft;
        assert_eq!(soft(true, 0), timing.child.soft);
        assert_eq!(soft(true, u32::MAX).octets, 7_000);
        assert_eq!(soft(true, u32::MAX).packets, 7 << 37);
        assert_eq!(soft(false, 0).packets, 3 << 30);
        assert_eq!(soft(false, u32::MAX).packets, 21 << 27);
        assert!((70..=80).contains(&soft(true, 12_345).time.as_secs()));
        timing.child.soft = Limits::default();
        assert_eq!(timing.child_lifetime(true, 7).soft, Limits::default());
        assert!(timing.child_lifetime(false, 7).soft.packets > 0);
    }

    /// RFC 7296 §2.4: each wait is longer than the one before; jitter only lengthens.
    #[test]
    fn waits_grow_and_jitter_stays_in_bounds() {
        let timing = Timing::DEFAULT;
        let waits: [u128; 7] = core::array::from_fn(|n| timing.wait(n as u8 + 1, 0).as_millis());
        assert_eq!(waits, [1_000, 1_750, 3_062, 5_358, 9_376, 16_408, 28_714]);
        for random in [1, 77, u32::MAX] {
            let wait = timing.wait(1, random).as_millis();
            assert!((1_000..=1_150).contains(&wait), "{wait}");
        }
    }
}
