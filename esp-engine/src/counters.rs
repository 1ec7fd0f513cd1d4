//! Why packets were dropped, and how often: every packet that enters is counted once.

/// Why one packet goes no further.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DropReason {
    /// Not an IP packet, or lengths that do not agree.
    Malformed,
    /// No policy matches (RFC 4301 §5).
    NoPolicy,
    /// A policy says so.
    Discard,
    /// A fragment that may belong to a flow whose policy asks for ports (RFC 4301 §7).
    UnclassifiableFragment,
    /// A fragment for a transport mode SA (RFC 4303 §3.3.4).
    FragmentInTransport,
    /// ESP in a fragment that nobody has put together (RFC 4303 §3.4.1).
    EspFragment,
    /// The outer IPv4 header is damaged.
    BadHeaderChecksum,
    /// A clear packet of a flow that policy protects (RFC 4301 §5.2).
    ClearWherePolicyProtects,
    /// A NAT keepalive (RFC 3948 §4): nothing is wrong.
    Keepalive,
    /// A dummy packet (RFC 4303 §2.6): nothing is wrong.
    Dummy,
    /// An SPI that nobody has here, or a reserved one.
    UnknownSpi,
    /// An ESP packet whose length cannot be.
    EspLength,
    /// Sequence number zero (RFC 4303 §3.3.3).
    ZeroSequence,
    /// A sequence number seen before (RFC 4303 §3.4.3).
    Replayed,
    /// A sequence number left of the window.
    TooOld,
    /// The SA has reached a hard limit.
    Expired,
    /// The ICV does not match.
    Forged,
    /// Authenticated, but the padding is not 1, 2, 3, … (RFC 4303 §2.4).
    BadPadding,
    /// Authenticated, but the next header cannot be in this SA.
    WrongNextHeader,
    /// Authenticated, but what is inside is no IP packet.
    InnerMalformed,
    /// Authenticated, but outside the SA's selectors (RFC 4301 §5.2).
    OutsideSelectors,
    /// Authenticated, but policy asks for another SA or for none (RFC 4301 §5.2).
    OutsidePolicy,
    /// Marked as congested on the way although the inner packet cannot say so (RFC 6040 §4.2).
    CongestionUnmarkable,
    /// The SA went away between decision and seal.
    SaGone,
    /// The buffer to seal into is too small.
    BufferTooSmall,
}

impl DropReason {
    /// All of them, in order.
    pub const ALL: [Self; 25] = [
        Self::Malformed,
        Self::NoPolicy,
        Self::Discard,
        Self::UnclassifiableFragment,
        Self::FragmentInTransport,
        Self::EspFragment,
        Self::BadHeaderChecksum,
        Self::ClearWherePolicyProtects,
        Self::Keepalive,
        Self::Dummy,
        Self::UnknownSpi,
        Self::EspLength,
        Self::ZeroSequence,
        Self::Replayed,
        Self::TooOld,
        Self::Expired,
        Self::Forged,
        Self::BadPadding,
        Self::WrongNextHeader,
        Self::InnerMalformed,
        Self::OutsideSelectors,
        Self::OutsidePolicy,
        Self::CongestionUnmarkable,
        Self::SaGone,
        Self::BufferTooSmall,
    ];
}

/// Packets and octets of one direction.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Octets of the clear IP packets.
    pub octets: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, octets: usize) {
        self.packets = self.packets.saturating_add(1);
        self.octets = self.octets.saturating_add(octets as u64);
    }
}

/// What became of the packets of one engine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Counters {
    drops: [u64; DropReason::ALL.len()],
    /// Clear packets that left.
    pub bypassed_outbound: u64,
    /// Clear packets that were let in.
    pub bypassed_inbound: u64,
    /// Packets sealed.
    pub sealed: Traffic,
    /// Packets opened and delivered.
    pub opened: Traffic,
    /// Packets that may have come before their SA. Those that are kept for it are counted again then.
    pub early: u64,
    /// Packets of protected flows that found no SA.
    pub without_sa: u64,
    /// Packets that no longer fit once they are sealed.
    pub too_big: u64,
    /// Acquires that found no room; the flow's next packet asks again.
    pub acquires_postponed: u64,
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self {
            drops: [0; DropReason::ALL.len()],
            bypassed_outbound: 0,
            bypassed_inbound: 0,
            sealed: Traffic { packets: 0, octets: 0 },
            opened: Traffic { packets: 0, octets: 0 },
            early: 0,
            without_sa: 0,
            too_big: 0,
            acquires_postponed: 0,
        }
    }

    /// Packets dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// Every reason with its count.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().zip(self.drops)
    }

    pub(crate) fn drop(&mut self, reason: DropReason) -> DropReason {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place() {
        let mut counters = Counters::new();
        for (times, reason) in (1_u64..).zip(DropReason::ALL) {
            for _ in 0..times {
                counters.drop(reason);
            }
        }
        for (times, (reason, count)) in (1_u64..).zip(counters.drops()) {
            assert_eq!((count, counters.dropped(reason)), (times, times));
        }
    }
}
