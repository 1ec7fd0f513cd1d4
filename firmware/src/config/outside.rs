//! Where a device is on its outer port: as configured at first, and wherever its operator or its provider moves it
//! later. What the configuration says about a configured address holds for the one in its place
//! ([`spd::follow`]): policies for it, the fixed ones among them, the default route, what is published. Another
//! address is held against the rest of the configuration before anybody hears of it ([`Config::check_outside`]): it
//! must not take what is inside, or what others are found by. It lasts until the device restarts.

use core::net::IpAddr;

use esp_engine::selector::AddressRange;
use esp_engine::spd::{self, PolicySelectors};
use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::check::{Fault, unicast};
use super::{Config, Prefix, Remote};

/// The outer port's addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outside {
    places: Vec<Place, 2>,
}

/// A configured address and what is in its place.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Place {
    configured: IpAddr,
    /// The address that was there last, or is.
    last: IpAddr,
    current: Option<Site>,
}

/// An address, and the way out from there.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Site {
    /// The address, with the length of the attached network.
    pub address: Prefix,
    /// The neighbour that the default route of its family leads to.
    pub gateway: Option<IpAddr>,
}

impl Outside {
    /// The addresses that there are.
    pub fn addresses(&self) -> impl Iterator<Item = Prefix> {
        self.sites().map(|site| site.address)
    }

    /// The addresses that there are, each with its way out.
    pub fn sites(&self) -> impl Iterator<Item = Site> {
        self.places.iter().filter_map(|place| place.current)
    }

    /// The address of this one's family.
    pub fn like(&self, address: IpAddr) -> Option<IpAddr> {
        self.addresses().map(|own| own.address).find(|own| own.is_ipv4() == address.is_ipv4())
    }

    /// Puts the device elsewhere, in the place of the address of the same family: the last that was there.
    ///
    /// # Errors
    /// [`Fault::NoSuchFamily`]: it has none to be replaced.
    pub fn put(&mut self, site: Site) -> Result<IpAddr, Fault> {
        let address = site.address.address;
        let place = self.places.iter_mut().find(|place| place.configured.is_ipv4() == address.is_ipv4());
        let place = place.ok_or(Fault::NoSuchFamily)?;
        place.current = Some(site);
        Ok(core::mem::replace(&mut place.last, address))
    }

    /// Takes the address of this family away: that which was there last.
    pub fn lose(&mut self, like: IpAddr) -> Option<IpAddr> {
        let place = self.places.iter_mut().find(|place| place.configured.is_ipv4() == like.is_ipv4())?;
        place.current.take().map(|_| place.last)
    }

    /// One side of a policy, as configured, for where the device is now.
    fn follow(&self, side: PolicySelectors) -> PolicySelectors {
        self.places.iter().fold(side, |side, place| {
            let current = place.current.map(|site| site.address.address);
            spd::follow(&side, place.configured, current).take(spd::MAX_POLICY_SELECTORS).collect()
        })
    }
}

impl Config {
    /// Where the device is at first.
    pub fn outside(&self) -> Outside {
        let port = self.interfaces.first().map(|port| port.addresses.as_slice()).unwrap_or_default();
        let place = |address: &Prefix| Place {
            configured: address.address,
            last: address.address,
            current: (!address.is_from_dhcp())
                .then(|| Site { address: *address, gateway: self.default_route(*address) }),
        };
        Outside { places: port.iter().map(place).collect() }
    }

    /// Whether a DHCP server gives the outer IPv4 address.
    pub fn has_dhcp(&self) -> bool {
        self.interfaces.first().is_some_and(|port| port.addresses.iter().any(Prefix::is_from_dhcp))
    }

    /// The addresses of the protected side, each with the way out if it is there.
    pub fn inner_sites(&self) -> impl Iterator<Item = Site> {
        self.inside().map(|address| Site { address: *address, gateway: self.default_route(*address) })
    }

    /// Where the configured default route leads from here, if it leads out of this network.
    pub fn default_route(&self, network: Prefix) -> Option<IpAddr> {
        let mut routes = self.routes.iter().filter(|route| route.to.length == 0);
        routes.find(|route| network.contains(route.via)).map(|route| route.via)
    }

    /// Our sides of all policies in [`Config::spd`], in order, for where the device is now.
    pub fn local_sides<'c>(&'c self, outside: &'c Outside) -> impl Iterator<Item = PolicySelectors> + 'c {
        self.spd_entries().map(|policy| outside.follow(policy.local))
    }

    /// Whether the device may be there.
    ///
    /// # Errors
    /// Why not.
    pub fn check_outside(&self, site: &Site) -> Result<(), Fault> {
        let Site { address: Prefix { address, .. }, gateway } = *site;
        unicast(address)?;
        let network = site.address.range().ok_or(Fault::PrefixLength)?;
        if !network.is_single() && address.is_ipv4() && [network.first(), network.last()].contains(&address) {
            return Err(Fault::NotUnicast);
        }
        let is_inside = |inside: &Prefix| inside.range().is_some_and(|r| r.intersect(&network).is_some());
        if self.inside().any(is_inside) {
            return Err(Fault::SameNetwork);
        }
        if self.others().any(|range| range.contains(address)) {
            return Err(Fault::Others);
        }
        match gateway {
            Some(via) if via.is_ipv4() != address.is_ipv4() => Err(Fault::MixedFamilies),
            Some(via) if !network.contains(via) => Err(Fault::Unreachable),
            Some(via) if via == address => Err(Fault::Ourselves),
            Some(via) => unicast(via),
            None => Ok(()),
        }
    }

    /// Addresses and networks of others: peers, what they may speak for, and servers. What the device was in at first
    /// is not for others alone.
    fn others(&self) -> impl Iterator<Item = AddressRange> {
        let peers = self.peers.iter().filter_map(|peer| peer.address);
        let asked = self.resolver.iter().flat_map(|resolver| &resolver.servers).chain(&self.clock.servers);
        let servers = asked.chain(self.publication.iter().map(|to| &to.server)).map(|server| server.ip());
        let ranges = self.peers.iter().flat_map(|peer| &peer.ranges).filter_map(Prefix::range);
        let tunnels = self.policies.iter().filter(|policy| policy.is_tunnel());
        let behind = tunnels.filter_map(|policy| match policy.remote {
            Remote::Network(network) => network.range(),
            Remote::Peer => None,
        });
        let networks = ranges.chain(behind).filter(|range| !self.is_first_in(range));
        peers.chain(servers).map(AddressRange::single).chain(networks)
    }

    fn is_first_in(&self, range: &AddressRange) -> bool {
        let mut port = self.interfaces.first().into_iter().flat_map(|port| &port.addresses);
        port.any(|own| range.contains(own.address))
    }
}
