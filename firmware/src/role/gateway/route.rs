//! Where a packet goes next: the attached networks and the static routes, longest prefix first
//! (RFC 1812 §5.2.4.3). Nothing is learnt.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::Vec;

use super::forward::{INSIDE, OUTSIDE};
use crate::config::{Config, MAX_INTERFACES, MAX_ROUTES, Outside, Prefix};

/// Attached networks, the default routes of both families, and what is configured.
const MAX_ENTRIES: usize = 2 * MAX_INTERFACES + 2 + MAX_ROUTES;

/// The next hop of a packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    /// The port that it leaves by.
    pub interface: u8,
    /// The neighbour that it goes to; the destination itself on an attached network.
    pub neighbour: IpAddr,
}

/// The routing table.
#[derive(Clone, Debug)]
pub struct Routes(Vec<Entry, MAX_ENTRIES>);

#[derive(Copy, Clone, Debug)]
struct Entry {
    to: Prefix,
    interface: u8,
    /// `None` on an attached network.
    via: Option<IpAddr>,
}

impl Routes {
    /// The table for a configuration that passed its check, where the device is now.
    pub fn new(config: &Config, outside: &Outside) -> Self {
        let attached = || {
            let at = |interface| move |to| Entry { to, interface, via: None };
            outside.addresses().map(at(OUTSIDE)).chain(config.inside().copied().map(at(INSIDE)))
        };
        let default = |via: IpAddr| {
            let to = Prefix { address: unspecified(via), length: 0 };
            Entry { to, interface: OUTSIDE, via: Some(via) }
        };
        let defaults = outside.sites().filter_map(|site| site.gateway).map(default);
        let fixed = config.routes.iter().filter_map(|route| {
            let port = attached().find(|entry| entry.to.contains(route.via))?;
            Some(Entry { to: route.to, interface: port.interface, via: Some(route.via) })
        });
        Self(attached().chain(defaults).chain(fixed).take(MAX_ENTRIES).collect())
    }

    /// The way to `destination`; `None` when there is none.
    pub fn lookup(&self, destination: IpAddr) -> Option<Hop> {
        let matching = self.0.iter().filter(|entry| entry.to.contains(destination));
        // Of equal prefixes the attached network stands first, and `max_by_key` would take the last.
        let best = matching.rev().max_by_key(|entry| entry.to.length)?;
        Some(Hop { interface: best.interface, neighbour: best.via.unwrap_or(destination) })
    }
}

const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Route;
    use crate::config::check::tests::{gateway, prefix};

    fn way(config: &Config, to: &str) -> Option<(u8, IpAddr)> {
        Routes::new(config, &config.outside())
            .lookup(to.parse().unwrap())
            .map(|hop| (hop.interface, hop.neighbour))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn attached_networks_are_reached_directly() {
        let config = gateway();
        for (to, interface) in [("192.0.2.77", 0), ("10.1.9.9", 1), ("2001:db8::77", 0), ("fd00:a::9", 1)] {
            assert_eq!(way(&config, to), Some((interface, address(to))));
        }
    }

    #[test]
    fn everything_else_takes_the_default_route_of_its_family() {
        let config = gateway();
        assert_eq!(way(&config, "10.2.0.1"), Some((0, address("192.0.2.2"))));
        assert_eq!(way(&config, "fd00:b::1"), Some((0, address("2001:db8::2"))));
    }

    #[test]
    fn the_longest_prefix_decides_whatever_the_order() {
        let mut config = gateway();
        for (to, via) in [("10.2.3.0/24", "10.1.0.3"), ("10.2.0.0/16", "10.1.0.2")] {
            config.routes.push(Route { to: prefix(to), via: address(via) }).unwrap();
        }
        assert_eq!(way(&config, "10.2.3.4"), Some((1, address("10.1.0.3"))));
        assert_eq!(way(&config, "10.2.4.4"), Some((1, address("10.1.0.2"))));
    }

    #[test]
    fn an_attached_network_beats_a_route_of_the_same_length() {
        let mut config = gateway();
        config.routes.push(Route { to: prefix("10.1.0.0/16"), via: address("192.0.2.2") }).unwrap();
        assert_eq!(way(&config, "10.1.2.3"), Some((1, address("10.1.2.3"))));
    }

    #[test]
    fn without_a_default_route_there_is_no_way() {
        let mut config = gateway();
        config.routes.clear();
        assert_eq!(way(&config, "198.51.100.1"), None);
        assert_eq!(way(&config, "2001:db8:1::1"), None);
    }
}
