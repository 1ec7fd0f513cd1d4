//! A NAT in front of one end of the cable, in virtual time (RFC 2663): it rewrites addresses and ports,
//! forgets mappings that nobody uses, and may forget all of them at once.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_engine::time::Instant;

/// The first port that a NAT gives out.
pub const FIRST_PORT: u16 = 20_000;

/// The NAT of one household.
#[derive(Clone, Debug)]
pub struct NatBox {
    /// The address that the other end sees.
    pub outside: IpAddr,
    /// A mapping that nothing used for so long is forgotten.
    pub timeout: Duration,
    /// The host that all traffic from outside goes to, whoever began (static NAT).
    forwards_to: Option<IpAddr>,
    mappings: Vec<Mapping>,
    next_port: u16,
}

#[derive(Clone, Debug)]
struct Mapping {
    inside: SocketAddr,
    port: u16,
    used: Instant,
}

impl NatBox {
    /// One whose hosts are reached only while a mapping of theirs lives; it lives for three minutes.
    pub fn dynamic(outside: IpAddr) -> Self {
        let timeout = Duration::from_secs(180);
        Self { outside, timeout, forwards_to: None, mappings: Vec::new(), next_port: FIRST_PORT }
    }

    /// One that stands for a single host on all ports, in both directions.
    pub fn forwarding(outside: IpAddr, host: IpAddr) -> Self {
        Self { forwards_to: Some(host), ..Self::dynamic(outside) }
    }

    /// The same NAT with another host behind it, whose ports begin here.
    pub fn from_port(mut self, port: u16) -> Self {
        self.next_port = port;
        self
    }

    /// Forgets every mapping, as after a restart; the next packet out gets another port.
    pub fn rebind(&mut self) {
        self.mappings.clear();
    }

    /// What the far end sees in place of `inside` as the source of a packet.
    pub fn leave(&mut self, now: Instant, inside: SocketAddr) -> SocketAddr {
        if self.forwards_to.is_some() {
            return SocketAddr::new(self.outside, inside.port());
        }
        self.forget(now);
        let known = self.mappings.iter_mut().find(|mapping| mapping.inside == inside);
        let port = match known {
            Some(mapping) => {
                mapping.used = now;
                mapping.port
            }
            None => {
                let port = self.next_port;
                self.next_port += 1;
                self.mappings.push(Mapping { inside, port, used: now });
                port
            }
        };
        SocketAddr::new(self.outside, port)
    }

    /// Which host inside a packet for `outside` is for; `None` when it is for none.
    pub fn enter(&mut self, now: Instant, outside: SocketAddr) -> Option<SocketAddr> {
        if outside.ip() != self.outside {
            return None;
        }
        if let Some(host) = self.forwards_to {
            return Some(SocketAddr::new(host, outside.port()));
        }
        self.forget(now);
        self.mappings.iter().find(|mapping| mapping.port == outside.port()).map(|mapping| mapping.inside)
    }

    fn forget(&mut self, now: Instant) {
        let timeout = self.timeout;
        self.mappings.retain(|mapping| now.since(mapping.used) < timeout);
    }
}
