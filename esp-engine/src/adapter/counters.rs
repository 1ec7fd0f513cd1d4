//! What an adapter did.

use super::Refusal;

/// What an adapter did, in frames unless a field says otherwise. Counts wrap.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Counters {
    /// Frames that left.
    pub sent: u32,
    /// Frames that went up to the stack.
    pub delivered: u32,
    /// Octets copied from one buffer to another on the way out: once a frame, and once more for
    /// packets that wait for an SA.
    pub octets_copied_out: u64,
    /// Octets copied from one buffer to another on the way in: none where the driver lends its
    /// frame to be changed, once a frame where it does not, once more for fragments and for packets
    /// that wait for their SA.
    pub octets_copied_in: u64,
    /// Packets that wait or waited for an SA.
    pub held: u32,
    /// Packets dropped because too many wait.
    pub hold_full: u32,
    /// Packets dropped because no SA came in time.
    pub hold_expired: u32,
    /// Held packets that left.
    pub released: u32,
    /// Packets that came before their SA and were kept for it.
    pub early: u32,
    /// Packets from the stack too big for the link once sealed.
    pub too_big: u32,
    /// Fragments kept.
    pub fragments: u32,
    /// Datagrams joined from fragments.
    pub reassembled: u32,
    /// Datagrams given up because fragments did not come in time.
    pub reassembly_expired: u32,
    /// Dropped: fragments that cannot belong to one datagram, or that found no context free.
    pub fragments_dropped: u32,
    /// Dropped: neither IP nor ARP.
    pub ether_type: u32,
    /// Dropped: VLAN tags.
    pub vlan: u32,
    /// Dropped: lengths or versions that contradict each other.
    pub malformed: u32,
    /// Dropped: larger than the link's MTU, such as what an offload left unfinished.
    pub oversize: u32,
    /// Dropped: time to live below what [`Port::require_ttl`](super::Port::require_ttl) asks for.
    pub time_to_live: u32,
    /// Dropped: sent from an address that is no longer ours.
    pub source: u32,
    /// Dropped by the engine, which counts its reasons.
    pub engine: u32,
}

impl Counters {
    pub(super) const fn new() -> Self {
        Self {
            sent: 0,
            delivered: 0,
            octets_copied_out: 0,
            octets_copied_in: 0,
            held: 0,
            hold_full: 0,
            hold_expired: 0,
            released: 0,
            early: 0,
            too_big: 0,
            fragments: 0,
            reassembled: 0,
            reassembly_expired: 0,
            fragments_dropped: 0,
            ether_type: 0,
            vlan: 0,
            malformed: 0,
            oversize: 0,
            time_to_live: 0,
            source: 0,
            engine: 0,
        }
    }

    pub(super) fn copied_out(&mut self, octets: usize) {
        self.octets_copied_out = self.octets_copied_out.wrapping_add(octets as u64);
    }

    pub(super) fn copied_in(&mut self, octets: usize) {
        self.octets_copied_in = self.octets_copied_in.wrapping_add(octets as u64);
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let count = match refusal {
            Refusal::EtherType => &mut self.ether_type,
            Refusal::Vlan => &mut self.vlan,
            Refusal::Malformed => &mut self.malformed,
            Refusal::Oversize => &mut self.oversize,
            Refusal::TimeToLive => &mut self.time_to_live,
            Refusal::Fragment => &mut self.fragments_dropped,
            Refusal::Source => &mut self.source,
            Refusal::Engine => &mut self.engine,
        };
        bump(count);
    }
}

pub(super) fn bump(count: &mut u32) {
    *count = count.wrapping_add(1);
}
