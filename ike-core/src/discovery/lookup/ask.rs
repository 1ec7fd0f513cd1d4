//! One query of a lookup, from server to server: datagrams after 0.4, 0.8 and 1.6 seconds, each to another
//! server where there is one, then connections (RFC 7766 §5).

use core::time::Duration;

use domain::base::Rtype;
use esp_engine::time::Instant;

use super::super::outcome::{Indeterminate, Security};
use super::super::upstream::Upstreams;

/// Queries of one lookup that can be out at once.
pub(crate) const ASKS: usize = 3;
/// How long each datagram is waited for.
const WAITS: [Duration; 3] =
    [Duration::from_millis(400), Duration::from_millis(800), Duration::from_millis(1600)];
/// How long a connection is waited for.
const CONNECTION: Duration = Duration::from_millis(2000);
/// Connections that are tried.
const CONNECTIONS: u8 = 2;
/// Tries with datagrams.
const DATAGRAMS: u8 = WAITS.len() as u8;
/// Answers with the wrong ID after which somebody seems to be guessing.
const MAX_STRAYS: u8 = 8;
/// Answers in other letters after which the server seems to change them.
const MAX_MISSPELT: u8 = 2;

/// A query that is to be sent, or is out.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Ask {
    /// Labels of the lookup's name that it is for.
    pub(crate) depth: u8,
    pub(crate) rtype: Rtype,
    /// Who is asked, or was.
    pub(crate) server: u8,
    /// Servers whose answers were of no use, as a set.
    pub(crate) refused: u8,
    /// Datagrams first, then connections.
    tries: u8,
    /// Datagrams were not answered.
    pub(crate) lost: bool,
    /// The answer was too long for a datagram.
    too_long: bool,
    /// Why the last answer was of no use, if there was one.
    useless: Option<Security>,
    cookie_renewed: bool,
    strays: u8,
    misspelt: u8,
    pub(crate) sent: Option<Sent>,
}

/// What makes a query that is out known again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Sent {
    pub(crate) id: u16,
    /// Which letters of the name are upper ones.
    pub(crate) letters: [u8; 32],
    pub(crate) until: Instant,
}

impl Ask {
    pub(crate) const fn new(depth: u8, rtype: Rtype, refused: u8) -> Self {
        Self {
            depth,
            rtype,
            server: 0,
            refused,
            tries: 0,
            lost: false,
            too_long: false,
            useless: None,
            cookie_renewed: false,
            strays: 0,
            misspelt: 0,
            sent: None,
        }
    }

    pub(crate) const fn is_unsent(&self) -> bool {
        self.sent.is_none()
    }

    pub(crate) const fn is_tcp(&self) -> bool {
        self.tries >= DATAGRAMS
    }

    /// How long this try is waited for.
    pub(crate) fn patience(&self) -> Duration {
        WAITS.get(usize::from(self.tries)).copied().unwrap_or(CONNECTION)
    }

    /// Chooses whom to ask, the last server at first if it still may be asked; `false` when nobody is left.
    pub(crate) fn choose(&mut self, servers: &Upstreams, now: Instant) -> bool {
        // The last connection may go to whose datagram was of no use.
        let refused =
            if self.is_tcp() && servers.choose(now, 0, self.refused).is_none() { 0 } else { self.refused };
        match servers.choose(now, self.server, refused) {
            Some(server) => self.server = server,
            None => return false,
        }
        if servers.is_lossy(self.server, now) {
            self.tries = self.tries.max(DATAGRAMS);
        }
        true
    }

    /// Nobody answered in time, or no connection came about. `false` when there is no other try.
    pub(crate) fn try_again(&mut self) -> bool {
        self.lost |= !self.is_tcp();
        self.tries += 1;
        self.server = self.server.wrapping_add(1);
        self.sent = None;
        self.tries < DATAGRAMS + CONNECTIONS
    }

    /// The same server, on a connection.
    pub(crate) fn over_tcp(self) -> Self {
        Self { tries: DATAGRAMS, sent: None, ..self }
    }

    /// The same, because the answer is too long for a datagram (RFC 7766 §5).
    pub(crate) fn truncated(self) -> Self {
        Self { too_long: true, ..self.over_tcp() }
    }

    /// What it comes to if nothing better comes any more; `None` while every try was answered.
    pub(crate) fn reason(&self) -> Option<Security> {
        let silence = if self.too_long { Indeterminate::NoConnection } else { Indeterminate::NoAnswer };
        let is_silent = self.lost || self.tries > DATAGRAMS;
        self.useless.or(is_silent.then_some(Security::Indeterminate(silence)))
    }

    /// The same server with the cookie that it just gave (RFC 7873 §5.3).
    pub(crate) fn with_new_cookie(self) -> Self {
        if self.cookie_renewed { self.over_tcp() } else { Self { cookie_renewed: true, sent: None, ..self } }
    }

    /// Another server, or the same on a connection, since this answer is of no use for that reason.
    pub(crate) fn elsewhere(mut self, reason: Security, servers: &Upstreams, now: Instant) -> Option<Self> {
        self.useless = Some(reason);
        self.refused |= 1_u8.checked_shl(self.server.into()).unwrap_or(0);
        match servers.choose(now, self.server, self.refused) {
            Some(server) => Some(Self { server, tries: 0, sent: None, ..self }),
            None if !self.is_tcp() => Some(self.over_tcp()),
            None => None,
        }
    }

    /// Somebody sent another ID. `true` when it looks like guessing: only a connection helps then.
    pub(crate) fn is_guessed_at(&mut self) -> bool {
        self.strays = self.strays.saturating_add(1);
        !self.is_tcp() && self.strays >= MAX_STRAYS
    }

    /// Somebody sent other letters. `true` when the server seems to change them.
    pub(crate) fn is_misspelt(&mut self) -> bool {
        self.misspelt = self.misspelt.saturating_add(1);
        !self.is_tcp() && self.misspelt >= MAX_MISSPELT
    }
}
