//! What became of packets and datagrams, as Control and boards may see it.

use esp_engine::adapter;
use esp_engine::counters::{DropReason, Traffic};
use esp_engine::sa::Spi;
use heapless::Vec;

use crate::management::{MAX_LISTED, Packets};
use crate::queue::Overflow;
use crate::role::gateway::forward;

/// What became of packets and datagrams in Network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counters {
    /// The engine's verdicts.
    pub engine: esp_engine::counters::Counters,
    /// What happened around the engine.
    pub path: PathCounters,
    /// What each pair of SAs carried, at most [`MAX_LISTED`].
    pub sas: Vec<Carried, MAX_LISTED>,
    /// What Control was too busy for.
    pub overflow: Overflow,
    /// IKE datagrams that the stack had no room for or no way to send.
    pub unsent: u32,
    /// Datagrams on IKE ports longer than [`crate::queue::MAX_DATAGRAM`].
    pub oversize: u32,
}

/// What happened around the engine.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PathCounters {
    /// The adapter under the stack.
    Host(adapter::Counters),
    /// The forwarding path.
    Gateway(forward::Counters),
}

/// What the pair with this SPI of ours carried.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Carried {
    /// The SPI that we chose.
    pub spi: Spi,
    /// Opened.
    pub inbound: Traffic,
    /// Sealed.
    pub outbound: Traffic,
}

impl Counters {
    /// What the pair with this SPI of ours carried; nothing when it is not listed.
    pub fn carried(&self, spi: Spi) -> Carried {
        let listed = self.sas.iter().find(|sa| sa.spi == spi).copied();
        listed.unwrap_or(Carried { spi, inbound: Traffic::default(), outbound: Traffic::default() })
    }

    /// The totals that an operator sees.
    pub fn packets(&self) -> Packets {
        let harmless = |reason| matches!(reason, DropReason::Keepalive | DropReason::Dummy);
        Packets {
            sealed: self.engine.sealed.packets,
            opened: self.engine.opened.packets,
            bypassed_out: self.engine.bypassed_outbound,
            bypassed_in: self.engine.bypassed_inbound,
            without_sa: self.engine.without_sa,
            dropped: self.engine.drops().filter(|(reason, _)| !harmless(*reason)).map(|(_, n)| n).sum(),
            overflow: self.overflow.datagrams.saturating_add(self.overflow.notices),
        }
    }
}
