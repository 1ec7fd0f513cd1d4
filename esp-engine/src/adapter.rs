//! What both adapters share: one frame on its way from the stack to the wire or back
//! (RFC 4301 §5.1, §5.2).
//!
//! ```text
//! stack ─▶ MTU buffer ─▶ Engine::outbound ─┬─ bypass, ARP ──────────────▶ frame on the wire
//!             one copy at most ────────────┼─ seal, exact length known ─▶ frame on the wire
//!                                          ├─ hold ─▶ Hold ─ SA there ──▶ tried again
//!                                          ├─ too big ─▶ ICMP error ────▶ stack
//!                                          └─ dropped and counted
//! wire ─▶ frame ─▶ Reassembly ─▶ Engine::inbound, in place ─▶ link header moved in front ─▶ stack
//! ```
//! The [`Port`] lies beside the engine and outside the adapter, so that the network task, which no
//! longer owns the driver, releases held packets and wakes the stack. Everything is synchronous;
//! engine and port are borrowed for one packet and never while the stack's closures run, because
//! the stack sends its answer inside the closure that receives.

use core::cell::RefCell;

use crate::crypto::Cipher;
use crate::engine::Engine;
use crate::reassembly::Reassembly;
pub use counters::Counters;
use link::Content;
pub use link::Medium;
pub use port::{Port, TTL_RULES};

mod counters;
mod inbound;
mod link;
mod outbound;
mod port;
mod too_big;

/// Octets of an Ethernet frame without its check sequence, for an IP MTU of 1,500.
pub const ETHERNET_FRAME: usize = 1_514;

/// Where an adapter keeps frames: one frame of the stack while its policy is searched, and
/// fragments. `FRAME` is the largest frame of the link in octets, header included.
pub struct Buffers<const FRAME: usize = ETHERNET_FRAME> {
    pub(crate) transmit: [u8; FRAME],
    pub(crate) reassembly: Reassembly,
}

impl<const FRAME: usize> Buffers<FRAME> {
    /// Empty.
    pub const fn new() -> Self {
        Self { transmit: [0; FRAME], reassembly: Reassembly::new() }
    }
}

impl<const FRAME: usize> Default for Buffers<FRAME> {
    fn default() -> Self {
        Self::new()
    }
}

/// A kind of link and its largest frame.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Link {
    pub(crate) medium: Medium,
    /// Octets, link header included.
    pub(crate) frame: usize,
}

impl Link {
    /// Finds the IP packet in a frame, unless it is too large.
    fn parse(self, frame: &[u8]) -> Result<Content, Refusal> {
        if frame.len() > self.frame { Err(Refusal::Oversize) } else { self.medium.parse(frame) }
    }

    /// The largest frame that the stack may send, so that it fits once it is sealed.
    pub(crate) fn stack_frame<C: Cipher>(self, engine: &RefCell<Engine<'_, C>>) -> usize {
        self.frame.min(self.medium.header_length() + usize::from(engine.borrow().stack_mtu()))
    }
}

/// A frame of the link that is filled once its length is known.
pub(crate) trait Wire {
    /// Takes a frame of `length` octets, lets `fill` write all of them, and sends it.
    fn send(self, length: usize, fill: impl FnOnce(&mut [u8]));
}

/// Why the adapter drops a frame.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Refusal {
    EtherType,
    Vlan,
    Malformed,
    Oversize,
    TimeToLive,
    Fragment,
    Source,
    Engine,
}
