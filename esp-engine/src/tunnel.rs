//! Tunnel mode's outer header (RFC 4301 §5.1.2): what it takes from the inner one, and what the
//! inner one takes from it at the far end.

use core::net::IpAddr;

use crate::wire::{esp, ip, udp};

const ECN: u8 = 3;
const NOT_CAPABLE: u8 = 0;
const CAPABLE_1: u8 = 1;
const CAPABLE_0: u8 = 2;
const CONGESTED: u8 = 3;

/// What happens to the DF bit of an outer IPv4 header (RFC 4301 §8.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum DfPolicy {
    /// As in the inner header; set around IPv6, which routers never fragment.
    #[default]
    Copy,
    /// Always set.
    Set,
    /// Always clear.
    Clear,
}

/// Octets of an outer header towards `remote`.
pub(crate) fn outer_length(remote: IpAddr) -> usize {
    if remote.is_ipv6() { ip::V6_HEADER } else { ip::V4_HEADER }
}

/// The outer header around `inner`. DSCP and ECN are copied (RFC 6040 §4.1, normal mode).
pub(crate) fn outer_header(
    inner: &ip::Packet,
    source: IpAddr,
    destination: IpAddr,
    encapsulated: bool,
    df: DfPolicy,
    sequence: u64,
) -> ip::OuterHeader {
    let dont_fragment = match df {
        DfPolicy::Copy => inner.dont_fragment,
        DfPolicy::Set => true,
        DfPolicy::Clear => false,
    };
    ip::OuterHeader {
        source,
        destination,
        protocol: if encapsulated { udp::PROTOCOL } else { esp::PROTOCOL },
        traffic_class: inner.traffic_class,
        dont_fragment,
        identification: if dont_fragment { 0 } else { sequence as u16 },
    }
}

/// The packet was marked as congested on the way, and its sender would not understand.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unmarkable;

/// The inner packet's ECN bits at the end of the tunnel (RFC 6040 §4.2, figure 4), from the traffic
/// classes of both headers. `None` when they stay as they are.
pub(crate) fn ecn_at_exit(outer: u8, inner: u8) -> Result<Option<u8>, Unmarkable> {
    match (outer & ECN, inner & ECN) {
        (CONGESTED, NOT_CAPABLE) => Err(Unmarkable),
        (CONGESTED, CAPABLE_0 | CAPABLE_1) => Ok(Some(CONGESTED)),
        (CAPABLE_1, CAPABLE_0) => Ok(Some(CAPABLE_1)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6040 §4.2, figure 4, row by row.
    #[test]
    fn ecn_of_both_headers_combines() {
        for (inner, row) in [
            (NOT_CAPABLE, [Ok(None), Ok(None), Ok(None), Err(Unmarkable)]),
            (CAPABLE_1, [Ok(None), Ok(None), Ok(None), Ok(Some(CONGESTED))]),
            (CAPABLE_0, [Ok(None), Ok(Some(CAPABLE_1)), Ok(None), Ok(Some(CONGESTED))]),
            (CONGESTED, [Ok(None); 4]),
        ] {
            for (outer, expected) in (0..).zip(row) {
                assert_eq!(ecn_at_exit(0xb8 | outer, 0x20 | inner), expected, "{outer} around {inner}");
            }
        }
    }
}
