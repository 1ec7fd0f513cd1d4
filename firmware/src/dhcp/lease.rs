//! A lease: where the device is, and how long.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use esp_engine::time::Instant;

use super::message::Reply;
use super::{FOR_EVER, SHORTEST};
use crate::config::{Prefix, Site};

/// What a server gave.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Lease {
    pub(super) site: Site,
    pub(super) address: Ipv4Addr,
    pub(super) server: Ipv4Addr,
    pub(super) times: Option<Times>,
}

/// When a lease is renewed, renewed with anybody, and over.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Times {
    pub(super) renew: Instant,
    pub(super) rebind: Instant,
    pub(super) end: Instant,
}

impl Times {
    /// `None` for a lease that never ends.
    pub(super) fn new(now: Instant, reply: &Reply) -> Option<Self> {
        if reply.lease == FOR_EVER {
            return None;
        }
        let after = |seconds: u32| now + Duration::from_secs(u64::from(seconds));
        let whole = reply.lease;
        // Seven eighths and a half, unless the server knows better and it makes sense (RFC 2131 §4.4.5).
        let rebind = reply.rebind.filter(|rebind| *rebind < whole).unwrap_or(whole - whole / 8);
        let renew = reply.renew.filter(|renew| *renew < rebind).unwrap_or(rebind.min(whole / 2));
        let shortest = SHORTEST / 2;
        let (renew, rebind) = (after(renew.max(shortest)), after(rebind.max(shortest)));
        Some(Self { renew, rebind, end: after(whole) })
    }
}

/// Where the device would be.
pub(super) fn site(reply: &Reply) -> Site {
    let length = reply.mask.map_or(32, |mask| u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32));
    let address = Prefix { address: reply.address.into(), length };
    // A way out that is not there leads nowhere.
    let gateway =
        reply.router.map(IpAddr::from).filter(|via| address.contains(*via) && *via != address.address);
    Site { address, gateway }
}
