//! The recursive servers that are asked, and what they have shown to be good for.
//!
//! A server is silent, and not asked for a while where another can be; it is unfit, when it leaves out what
//! belongs to DNSSEC, and asked last. Large datagrams may not come through from it, so that TCP is begun with.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use esp_engine::time::Instant;

use super::query::{CLIENT_COOKIE, MAX_SERVER_COOKIE};
use crate::crypto::Crypto;

pub use lack::{Lack, Lacks};

mod lack;

/// Servers that can be known.
pub const MAX_SERVERS: usize = 4;

/// Unanswered queries in a row that make a server silent.
const SILENT_AFTER: u8 = 2;
/// How long a silent server is left alone.
const SILENCE: Duration = Duration::from_secs(15);
/// How long TCP is begun with, after datagrams had not come through.
const LOSSY: Duration = Duration::from_secs(60);
/// How long an unfit server comes last.
const UNFIT: Duration = Duration::from_secs(900);

/// A server as it is configured.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// Its word that it validated an answer is enough (the AD bit, RFC 4035 §4.9.3). Only where the way to it is
    /// protected.
    pub is_believed: bool,
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self { address, is_believed: false }
    }
}

/// Why a server is of no use for validation.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Unfit {
    /// The keys of the root came from it without signatures.
    NoSignatures,
    /// It takes DS records from the child, which has none (RFC 4035 §3.1.4.1).
    ChildSide,
}

/// How a server is.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServerStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// It does not answer.
    pub silent: bool,
    /// Its datagrams do not come through, TCP does.
    pub lossy: bool,
    /// It is of no use for validation.
    pub unfit: Option<Unfit>,
    /// It gives cookies (RFC 7873).
    pub cookies: bool,
    /// Its word is believed.
    pub is_believed: bool,
    /// What it lacked when it was tried out; `None` before.
    pub lacks: Option<Lacks>,
}

#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    unanswered: u8,
    silent_until: Option<Instant>,
    lossy_until: Option<Instant>,
    unfit: Option<(Unfit, Instant)>,
    cookie: heapless::Vec<u8, MAX_SERVER_COOKIE>,
    is_believed: bool,
    lacks: Option<Lacks>,
}

/// All of them, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstreams {
    list: heapless::Vec<Upstream, MAX_SERVERS>,
}

fn lasts(until: Option<Instant>, now: Instant) -> bool {
    until.is_some_and(|until| now < until)
}

impl Upstreams {
    pub(crate) const fn new() -> Self {
        Self { list: heapless::Vec::new() }
    }

    /// `false` when there is no room.
    #[must_use]
    pub(crate) fn add(&mut self, server: Server) -> bool {
        let upstream = Upstream {
            address: server.address,
            is_believed: server.is_believed,
            lacks: None,
            unanswered: 0,
            silent_until: None,
            lossy_until: None,
            unfit: None,
            cookie: heapless::Vec::new(),
        };
        self.list.push(upstream).is_ok()
    }

    /// The best that is not in the set `refused`, equals from `first` on; `None` when all are in it.
    pub(crate) fn choose(&self, now: Instant, first: u8, refused: u8) -> Option<u8> {
        let count = u8::try_from(self.list.len()).unwrap_or(0);
        let numbers = (0..count).map(|n| first.wrapping_add(n).checked_rem(count).unwrap_or(0));
        numbers.filter(|n| refused >> n & 1 == 0).min_by_key(|n| {
            self.get(*n).is_none_or(|server| {
                let is_unfit = server.unfit.is_some_and(|(_, until)| now < until);
                let lacks = server.lacks.unwrap_or_default();
                is_unfit || lasts(server.silent_until, now) || lacks.iter().any(Lack::is_fatal)
            })
        })
    }

    /// Whether its word is believed.
    pub(crate) fn is_believed(&self, number: u8) -> bool {
        self.get(number).is_some_and(|server| server.is_believed)
    }

    /// Those whose word is not believed, as a set; `None` where nobody else is, or all others are silent.
    pub(crate) fn others_than_believed(&self, now: Instant) -> Option<u8> {
        let numbered = || (0_u32..).zip(&self.list);
        let helps = |server: &Upstream| server.is_believed && !lasts(server.silent_until, now);
        let others = numbered().filter(|(_, server)| !server.is_believed);
        self.list.iter().any(helps).then(|| others.fold(0, |set, (n, _)| set | 1 << n))
    }

    /// It was tried out.
    pub(crate) fn probed(&mut self, number: u8, lacks: Lacks) {
        if let Some(server) = self.get_mut(number) {
            server.lacks = Some(lacks);
        }
    }

    pub(crate) fn address(&self, number: u8) -> Option<SocketAddr> {
        Some(self.get(number)?.address)
    }

    /// Whether TCP is to be begun with.
    pub(crate) fn is_lossy(&self, number: u8, now: Instant) -> bool {
        self.get(number).is_some_and(|server| {
            let lacks = server.lacks.unwrap_or_default();
            lasts(server.lossy_until, now) || lacks.has(Lack::Datagrams) || lacks.has(Lack::Letters)
        })
    }

    /// What the server gave last.
    pub(crate) fn cookie(&self, number: u8) -> &[u8] {
        self.get(number).map_or(&[], |server| &server.cookie)
    }

    /// It answered, with a cookie of its own if it has one.
    pub(crate) fn answered(&mut self, number: u8, cookie: Option<&[u8]>) {
        let Some(server) = self.get_mut(number) else { return };
        (server.unanswered, server.silent_until) = (0, None);
        server.lacks = server.lacks.filter(|lacks| !lacks.has(Lack::Answers));
        if let Some(cookie) = cookie {
            server.cookie = cookie.iter().copied().take(MAX_SERVER_COOKIE).collect();
        }
    }

    /// It no longer gives cookies.
    pub(crate) fn forget_cookie(&mut self, number: u8) {
        if let Some(server) = self.get_mut(number) {
            server.cookie.clear();
        }
    }

    /// It did not answer.
    pub(crate) fn unanswered(&mut self, number: u8, now: Instant) {
        let Some(server) = self.get_mut(number) else { return };
        server.unanswered = server.unanswered.saturating_add(1);
        if server.unanswered >= SILENT_AFTER {
            server.silent_until = Some(now + SILENCE);
        }
    }

    /// What datagrams did not bring, TCP did.
    pub(crate) fn lossy(&mut self, number: u8, now: Instant) {
        if let Some(server) = self.get_mut(number) {
            server.lossy_until = Some(now + LOSSY);
        }
    }

    pub(crate) fn unfit(&mut self, number: u8, why: Unfit, now: Instant) {
        if let Some(server) = self.get_mut(number) {
            server.unfit = Some((why, now + UNFIT));
        }
    }

    pub(crate) fn status(&self, now: Instant) -> impl Iterator<Item = ServerStatus> {
        self.list.iter().map(move |server| ServerStatus {
            address: server.address,
            silent: lasts(server.silent_until, now),
            lossy: lasts(server.lossy_until, now),
            unfit: server.unfit.filter(|(_, until)| now < *until).map(|(why, _)| why),
            cookies: !server.cookie.is_empty(),
            is_believed: server.is_believed,
            lacks: server.lacks,
        })
    }

    fn get(&self, number: u8) -> Option<&Upstream> {
        self.list.get(usize::from(number))
    }

    fn get_mut(&mut self, number: u8) -> Option<&mut Upstream> {
        self.list.get_mut(usize::from(number))
    }
}

/// Our half of the cookie for this server: nobody else learns it, and it differs from server to server
/// (RFC 7873 §4.1).
pub(crate) fn client_cookie<C: Crypto>(
    crypto: &C,
    secret: &[u8; 16],
    server: SocketAddr,
) -> [u8; CLIENT_COOKIE] {
    let (v4, v6);
    let address: &[u8] = match server.ip() {
        IpAddr::V4(address) => {
            v4 = address.octets();
            &v4
        }
        IpAddr::V6(address) => {
            v6 = address.octets();
            &v6
        }
    };
    let hash = crypto.sha256(&[secret, address]);
    hash.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Upstreams {
        let mut servers = Upstreams::new();
        for text in ["192.0.2.1:53", "192.0.2.2:53"] {
            assert!(servers.add(text.parse::<SocketAddr>().unwrap().into()));
        }
        servers
    }

    /// A server that left two queries unanswered is asked last for 15 seconds, but asked where it is the only
    /// one.
    #[test]
    fn silent_servers_rest() {
        let (mut servers, now) = (two(), Instant::from_millis(1_000));
        servers.unanswered(0, now);
        assert_eq!(servers.choose(now, 0, 0), Some(0));
        servers.unanswered(0, now);
        assert_eq!(servers.choose(now, 0, 0), Some(1));
        assert_eq!(servers.choose(now, 0, 0b10), Some(0));
        assert_eq!(servers.choose(now, 0, 0b11), None);
        assert_eq!(servers.choose(now + SILENCE, 0, 0), Some(0));
        servers.answered(0, None);
        assert_eq!(servers.choose(now, 0, 0), Some(0));
    }

    /// An unfit server is named, and asked last.
    #[test]
    fn unfit_servers_come_last() {
        let (mut servers, now) = (two(), Instant::ZERO);
        servers.unfit(0, Unfit::NoSignatures, now);
        assert_eq!(servers.choose(now, 0, 0), Some(1));
        assert_eq!(servers.status(now).next().unwrap().unfit, Some(Unfit::NoSignatures));
    }
}
