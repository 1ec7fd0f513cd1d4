//! Whence a device has the time of day, by which signatures in DNS are judged (RFC 4035 §5.3.1).

use core::net::SocketAddr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::Config;
use super::check::{Fault, require};

/// Servers that may be asked for the time: of three one may lie, of four one may be silent as well.
pub const MAX_TIME_SERVERS: usize = 4;

const _: () = assert!(MAX_TIME_SERVERS <= ike_core::discovery::sntp::MAX_SERVERS);

/// Who is believed about the time of day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Clock {
    /// Who.
    pub source: Source,
    /// Whom [`Source::Sntp`] asks: addresses, for a name would need the time to be proven.
    pub servers: Vec<SocketAddr, MAX_TIME_SERVERS>,
}

/// Whence the time of day is.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Source {
    /// The board has a clock that is believed.
    #[default]
    Board,
    /// The operator says it after each start.
    Operator,
    /// Servers say it (SNTP, RFC 4330), and the keys of DNS's root have to prove it.
    Sntp,
}

impl Source {
    /// As an operator writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Board => "board",
            Self::Operator => "operator",
            Self::Sntp => "sntp",
        }
    }
}

impl Config {
    pub(super) fn check_clock(&self) -> Result<(), Fault> {
        let Clock { source, servers } = &self.clock;
        if *source != Source::Sntp {
            return require(servers.is_empty(), Fault::IdleTimeServer);
        }
        require(!servers.is_empty(), Fault::NoTimeServer)?;
        require(self.resolver.is_some(), Fault::UnprovenTime)?;
        let same = |server: &SocketAddr| servers.iter().filter(|other| other.ip() == server.ip()).count();
        require(servers.iter().all(|server| same(server) == 1), Fault::SameTimeServer)?;
        servers.iter().try_for_each(|server| self.check_remote(server.ip()))
    }
}
