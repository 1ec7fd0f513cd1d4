//! The times of an endpoint, in one place, and which of them cannot work together.
//!
//! | what | default | why |
//! |---|---|---|
//! | a request is sent again | after 1 s, then 1.75 times as late each, 7 times in all | a lost datagram costs a second, a dead peer 66 s to 76 s; RFC 7296 §2.4 leaves both to us |
//! | liveness | packets unanswered for 5 s | with a second and two thirds for two questions more, a peer that restarted is reached within 10 s; an idle peer costs nothing |
//! | Child SA | successor after 44 to 50 minutes, end after 60 | ten minutes for a successor, ten times what a request may take |
//! | IKE SA | successor after 19 to 22 hours, end after 24 | the same |
//! | reauthentication | never | a pinned key does not become less trustworthy with time |
//! | half-open | 30 s | the initiator's fourth try of IKE_AUTH still comes in time |
//! | keepalive | 20 s | RFC 3948 §4; NATs forget UDP after 30 s and more |

use core::time::Duration;

use esp_engine::sa::{Lifetime, Limits};

/// Times and thresholds.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Timing {
    /// Wait for an answer before the first retransmission.
    pub retransmission: Duration,
    /// Each further wait is this many eighths of the one before.
    pub backoff_eighths: u8,
    /// Each wait is lengthened by up to this many percent at random.
    pub jitter_percent: u8,
    /// How often a request is sent in all before the peer counts as dead (RFC 7296 §2.4).
    pub tries: u8,
    /// How long a responder waits for IKE_AUTH.
    pub half_open: Duration,
    /// Half-open IKE SAs from which on a cookie is demanded (RFC 7296 §2.6).
    pub cookie_threshold: u8,
    /// Age at which the cookie secret is replaced; the one before stays good for as long again.
    pub cookie_secret: Duration,
    /// Half-open IKE SAs that one source address may have.
    pub half_open_per_source: u8,
    /// How long the last response is kept for a retransmitted request.
    pub response: Duration,
    /// How long packets to a peer go unanswered before it is asked whether it lives; zero never asks. The
    /// data plane is told the same ([`SaReport::Unanswered`](esp_engine::sa::SaReport)).
    pub liveness: Duration,
    /// Age at which an IKE SA is followed by a new one, so that both ends prove again who they are
    /// (RFC 7296 §2.8.3); zero: never.
    pub reauthentication: Duration,
    /// Age at which an IKE SA ends.
    pub ike_lifetime: Duration,
    /// Limits of Child SAs.
    pub child: Lifetime,
    /// Interval of NAT keepalives (RFC 3948 §4); zero sends none.
    pub keepalive: Duration,
    /// Octets of the longest IP datagram that a message leaves in whole; a longer one leaves in fragments, and
    /// in smaller ones when they are not answered (RFC 7383 §2.5.1). Zero neither sends nor takes any.
    pub datagram: u16,
}

impl Timing {
    /// Values for ordinary networks.
    pub const DEFAULT: Self = Self {
        retransmission: Duration::from_millis(1_000),
        backoff_eighths: 14,
        jitter_percent: 15,
        tries: 7,
        half_open: Duration::from_secs(30),
        cookie_threshold: 2,
        cookie_secret: Duration::from_secs(60),
        half_open_per_source: 4,
        response: Duration::from_secs(180),
        liveness: Duration::from_secs(5),
        reauthentication: Duration::ZERO,
        ike_lifetime: Duration::from_secs(24 * 3600),
        child: Lifetime {
            soft: Limits { time: Duration::from_secs(50 * 60), octets: 0, packets: 3 << 46 },
            hard: Limits { time: Duration::from_secs(3600), octets: 0, packets: 1 << 48 },
        },
        keepalive: Duration::from_secs(20),
        datagram: 1280,
    };

    /// How long a request goes unanswered at most before the peer counts as dead.
    pub fn give_up(&self) -> Duration {
        let waits = (1..=self.tries).map(|tries| self.wait(tries, 0));
        let least = waits.fold(Duration::ZERO, Duration::saturating_add);
        least.saturating_mul(100 + u32::from(self.jitter_percent)) / 100
    }

    /// Whether these times can work together.
    ///
    /// # Errors
    /// [`BadTiming`], the first that is found.
    pub fn check(&self) -> Result<(), BadTiming> {
        let give_up = self.give_up();
        let dead =
            if self.liveness.is_zero() { Duration::ZERO } else { self.liveness.saturating_add(give_up) };
        let (soft, hard) = (self.child.soft, self.child.hard);
        let is_no_later = |soft: u64, hard: u64| hard != 0 && (soft == 0 || soft >= hard);
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let rules = [
            (
                self.tries == 0 || self.retransmission.is_zero() || self.backoff_eighths < 8,
                BadTiming::Unreachable,
            ),
            (
                self.half_open.is_zero() || self.cookie_secret.is_zero() || self.half_open_per_source == 0,
                BadTiming::Unreachable,
            ),
            (is_no_later(milliseconds(soft.time), milliseconds(hard.time)), BadTiming::SoftNotBeforeHard),
            (is_no_later(soft.octets, hard.octets), BadTiming::SoftNotBeforeHard),
            (is_no_later(soft.packets, hard.packets), BadTiming::SoftNotBeforeHard),
            (!hard.time.is_zero() && hard.time < soft.time.saturating_add(give_up), BadTiming::ShortMargin),
            (!hard.time.is_zero() && hard.time <= dead, BadTiming::LongLiveness),
            (self.ike_lifetime <= dead.max(give_up), BadTiming::ShortIkeLifetime),
            (
                !self.reauthentication.is_zero() && self.reauthentication / 10 < give_up,
                BadTiming::ShortReauthentication,
            ),
            (self.reauthentication >= self.ike_lifetime, BadTiming::LongReauthentication),
            (self.keepalive > LONGEST_KEEPALIVE, BadTiming::LongKeepalive),
        ];
        rules.into_iter().find(|(is_broken, _)| *is_broken).map_or(Ok(()), |(_, reason)| Err(reason))
    }
}

/// The shortest time after which NATs forget a UDP flow (RFC 4787 §4.3 wants two minutes, many take 30 s).
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(30);

/// Why times cannot work together.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum BadTiming {
    /// A time or a count is zero, or waits do not grow, so that no peer is ever reached (RFC 7296 §2.4).
    Unreachable,
    /// A Child SA ends before, or when, it asks for its successor.
    SoftNotBeforeHard,
    /// Between a Child SA's soft and hard limit of time there is no time for a request that is sent as often as it
    /// may be.
    ShortMargin,
    /// Before a dead peer would be noticed a Child SA is over anyway.
    LongLiveness,
    /// Before a dead peer would be noticed an IKE SA is over anyway.
    ShortIkeLifetime,
    /// A tenth of the time is left for reauthentication, and a request may take longer.
    ShortReauthentication,
    /// The IKE SA is over before anybody has to prove anew who it is.
    LongReauthentication,
    /// NATs forget before they are reminded.
    LongKeepalive,
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A dead peer is given up after about a minute, and the defaults work together.
    #[test]
    fn defaults_work_together() {
        assert_eq!(Timing::DEFAULT.check(), Ok(()));
        let give_up = Timing::DEFAULT.give_up().as_secs();
        assert!((65..=76).contains(&give_up), "{give_up} s");
    }

    /// Each rule is broken by one change of the defaults, and kept by the value next to it.
    #[test]
    fn what_cannot_work_is_refused_with_its_reason() {
        type Change = fn(&mut Timing);
        let table: [(Change, Option<BadTiming>); 19] = [
            (|t| t.tries = 0, Some(BadTiming::Unreachable)),
            (|t| t.retransmission = seconds(0), Some(BadTiming::Unreachable)),
            (|t| t.backoff_eighths = 7, Some(BadTiming::Unreachable)),
            (|t| t.half_open = seconds(0), Some(BadTiming::Unreachable)),
            (|t| t.child.soft.time = seconds(3_600), Some(BadTiming::SoftNotBeforeHard)),
            (|t| t.child.soft.time = seconds(0), Some(BadTiming::SoftNotBeforeHard)),
            (|t| t.child.hard.octets = 1 << 30, Some(BadTiming::SoftNotBeforeHard)),
            (|t| t.child.soft.packets = 1 << 48, Some(BadTiming::SoftNotBeforeHard)),
            (|t| t.child.soft.time = seconds(3_550), Some(BadTiming::ShortMargin)),
            (|t| t.child.soft.time = seconds(3_500), None),
            (|t| (t.child.soft.time, t.child.hard.time) = (seconds(1), seconds(0)), None),
            (|t| t.liveness = seconds(3_540), Some(BadTiming::LongLiveness)),
            (|t| t.ike_lifetime = seconds(80), Some(BadTiming::ShortIkeLifetime)),
            (|t| t.ike_lifetime = seconds(90), None),
            (|t| t.reauthentication = seconds(600), Some(BadTiming::ShortReauthentication)),
            (|t| t.reauthentication = seconds(800), None),
            (|t| t.reauthentication = seconds(24 * 3_600), Some(BadTiming::LongReauthentication)),
            (|t| t.keepalive = seconds(31), Some(BadTiming::LongKeepalive)),
            (|t| (t.keepalive, t.liveness) = (seconds(0), seconds(0)), None),
        ];
        for (n, (change, reason)) in table.into_iter().enumerate() {
            let mut timing = Timing::DEFAULT;
            change(&mut timing);
            assert_eq!(timing.check().err(), reason, "row {n}");
        }
    }
}
