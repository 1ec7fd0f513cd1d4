//! What an operator decides about captured names.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use esp_engine::selector::AddressRange;

use crate::discovery::Name;

/// The longest that an answer is held: stub resolvers ask again after a second at the earliest, and most
/// after five.
pub const MAX_HOLD: Duration = Duration::from_millis(1_500);

/// Everything that a [`super::Proxy`] is told once.
#[derive(Copy, Clone, Debug)]
pub struct Settings<'c> {
    /// Whom questions are passed on to, the preferred one first.
    pub servers: &'c [SocketAddr],
    /// Who may ask: the attached networks. Everybody else hears nothing.
    pub clients: &'c [AddressRange],
    /// Which names are captured; the first rule that matches decides, and what none matches is passed on.
    pub rules: &'c [Rule<'c>],
    /// Addresses that no found name gets an entry for: other entries', our own, our routers', the servers'.
    pub reserved: &'c [AddressRange],
    /// Addresses that traffic may go to in clear. A found entry raises protection there, and opens no way
    /// anywhere else.
    pub open: &'c [AddressRange],
    /// Names that may have private addresses, or those of our own networks.
    pub private: &'c [Pattern<'c>],
    /// Our own networks, besides the private ranges: outside names may not point there.
    pub inside: &'c [AddressRange],
    /// How long an answer is held from the moment that its question came; at most [`MAX_HOLD`].
    pub hold: Duration,
    /// The longest life of a found entry, and of the answers that led to it, in seconds.
    pub max_ttl: u32,
    /// What becomes of an answer whose key is forged, as far as DNSSEC can tell.
    pub bogus: Fate,
    /// What becomes of the oldest held answer when there is no room for another.
    pub full: Fate,
    /// Questions of one client in a second.
    pub client_pace: u16,
    /// Questions of all clients in a second.
    pub clients_pace: u16,
    /// Questions of our own in a second.
    pub own_pace: u16,
}

impl Settings<'_> {
    /// Nothing is captured and nobody may ask.
    pub const DEFAULT: Self = Self {
        servers: &[],
        clients: &[],
        rules: &[],
        reserved: &[],
        open: &[],
        private: &[],
        inside: &[],
        hold: MAX_HOLD,
        max_ttl: 3_600,
        bogus: Fate::Refuse,
        full: Fate::Release,
        client_pace: 50,
        clients_pace: 200,
        own_pace: 20,
    };

    /// What is demanded for this name.
    pub(super) fn demand(&self, name: &Name) -> Demand {
        self.rules.iter().find(|rule| rule.names.matches(name)).map_or(Demand::Nothing, |rule| rule.demand)
    }

    pub(super) fn serves(&self, client: IpAddr) -> bool {
        self.clients.iter().any(|range| range.contains(client))
    }

    pub(super) fn is_reserved(&self, address: IpAddr) -> bool {
        let never = address.is_unspecified() || address.is_loopback() || address.is_multicast();
        never
            || !self.open.iter().any(|open| open.contains(address))
            || self.servers.iter().any(|server| server.ip() == address)
            || [self.reserved, self.clients, self.inside]
                .into_iter()
                .flatten()
                .any(|own| own.contains(address))
    }
}

/// What is demanded for some names.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Rule<'c> {
    /// Which names.
    pub names: Pattern<'c>,
    /// What.
    pub demand: Demand,
}

/// What is demanded for a name, the least first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Demand {
    /// Its questions are passed on, and that is all.
    Nothing,
    /// It is protected if it can be.
    Try,
    /// It is protected, or it has no address.
    Require,
}

/// What becomes of an answer.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// The client gets it.
    Release,
    /// The client gets SERVFAIL in its place. Names that require protection always do.
    Refuse,
}

/// Names: `example.net` is that one, `.example.net` are those below it, `.` are all.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Pattern<'c>(pub &'c str);

impl Pattern<'_> {
    /// Whether this is one of the names; letters are compared as DNS compares them (RFC 4343).
    pub fn matches(&self, name: &Name) -> bool {
        if self.0 == "." {
            return true;
        }
        let mut labels = name.iter().rev().skip(1);
        let mut wanted = self.0.trim_matches('.').rsplit('.');
        let is_same = |wanted: &str| {
            labels.next().is_some_and(|label| label.as_slice().eq_ignore_ascii_case(wanted.as_bytes()))
        };
        wanted.all(is_same) && labels.next().is_some() == self.0.starts_with('.')
    }
}

/// Private ranges, where a name from outside has no business (RFC 1918, RFC 3927, RFC 4193, RFC 6598).
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && second & 0xC0 == 64;
            first == 0 || shared || v4.is_private() || v4.is_loopback() || v4.is_link_local()
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => {
                v6.is_unspecified() || v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::name;
    use super::*;

    /// RFC 4343 §3: names are the same in all letters; a label is never matched in part.
    #[test]
    fn patterns() {
        for (pattern, of, expected) in [
            ("example.net", "example.net", true),
            ("example.net", "EXAMPLE.net", true),
            ("example.net", "www.example.net", false),
            (".example.net", "www.example.net", true),
            (".example.net", "a.b.example.net", true),
            (".example.net", "example.net", false),
            (".example.net", "badexample.net", false),
            (".", "anything.test", true),
        ] {
            assert_eq!(Pattern(pattern).matches(&name(of)), expected, "{pattern} {of}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rule = |names, demand| Rule { names: Pattern(names), demand };
        let rules = [
            rule("open.example.net", Demand::Nothing),
            rule("bank.example.net", Demand::Require),
            rule(".example.net", Demand::Try),
        ];
        let settings = Settings { rules: &rules, ..Settings::DEFAULT };
        for (of, demand) in [
            ("open.example.net", Demand::Nothing),
            ("bank.example.net", Demand::Require),
            ("www.example.net", Demand::Try),
            ("example.org", Demand::Nothing),
        ] {
            assert_eq!(settings.demand(&name(of)), demand, "{of}");
        }
    }

    #[test]
    fn private_addresses() {
        for address in
            ["10.0.0.1", "172.31.0.1", "192.168.1.1", "127.0.0.1", "169.254.0.1", "100.64.0.1", "0.0.0.0"]
        {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        for address in ["::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1", "::"] {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        for address in ["198.51.100.1", "2001:db8::1", "::ffff:198.51.100.1", "100.128.0.1"] {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }
}
