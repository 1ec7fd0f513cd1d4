//! Our own addresses as they are now. The configuration says where a device begins; each of these addresses may be
//! another later, or missing for a while. Whatever the configuration says about one then holds for the one in its
//! place: policies for it ([`spd::follow`]), and that nobody else may speak for it. What is not configured at first
//! may be a place holder, such as the unspecified address, until there is one.

use core::net::IpAddr;

use esp_engine::spd::{self, PolicySelectors};

use crate::config::{IkePolicy, Local};

/// Addresses that may be others than configured: an interface towards the peers has one of each family.
const MAX_CHANGED: usize = 4;

/// One of our addresses that is not the configured one.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct Change {
    configured: IpAddr,
    /// Where IKE SAs are that were made with it last.
    last: IpAddr,
    current: Option<Local>,
}

/// How our addresses differ from the configured ones.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Changes(heapless::Vec<Change, MAX_CHANGED>);

impl Changes {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// In place of `old` there is `current` now. An address that is none of ours changes nothing.
    pub(crate) fn note(&mut self, configured: &[Local], old: IpAddr, current: Option<Local>) {
        let place = self.0.iter().position(|change| change.last == old);
        let first = match place {
            Some(place) => Some(self.0.swap_remove(place).configured),
            None => configured.iter().map(|local| local.address).find(|address| *address == old),
        };
        if let Some(configured) = first
            && current.map(|local| local.address) != Some(configured)
        {
            let last = current.map_or(old, |local| local.address);
            let noted = self.0.push(Change { configured, last, current });
            debug_assert!(noted.is_ok());
        }
    }
}

/// Our addresses.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Own<'a> {
    pub(crate) configured: &'a [Local],
    pub(crate) changes: &'a Changes,
}

impl<'a> Own<'a> {
    /// Those that there are.
    pub(crate) fn iter(self) -> impl Iterator<Item = Local> + use<'a> {
        self.configured.iter().filter_map(move |local| match self.change_of(local.address) {
            Some(change) => change.current,
            None => Some(*local),
        })
    }

    /// The first of this one's family.
    pub(crate) fn like(self, address: IpAddr) -> Option<Local> {
        self.iter().find(|local| local.address.is_ipv4() == address.is_ipv4())
    }

    /// Whether this is ours.
    pub(crate) fn has(self, address: IpAddr) -> bool {
        self.iter().any(|local| local.address == address)
    }

    /// Our side of a policy.
    pub(crate) fn side_of(self, policy: &IkePolicy<'_>) -> PolicySelectors {
        let mut side: PolicySelectors =
            policy.local.iter().copied().take(spd::MAX_POLICY_SELECTORS).collect();
        for change in &self.changes.0 {
            let current = change.current.map(|local| local.address);
            let followed = spd::follow(&side, change.configured, current);
            side = followed.take(spd::MAX_POLICY_SELECTORS).collect();
        }
        side
    }

    fn change_of(self, configured: IpAddr) -> Option<&'a Change> {
        self.changes.0.iter().find(|change| change.configured == configured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn local(last: u8) -> Local {
        Local { interface: 0, address: IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, last)) }
    }

    const CONFIGURED: &[Local] = &[local(1), local(2)];

    fn now(changes: &Changes) -> heapless::Vec<Local, 2> {
        Own { configured: CONFIGURED, changes }.iter().collect()
    }

    #[test]
    fn each_address_has_its_place_whatever_it_is_now() {
        let mut changes = Changes::new();
        changes.note(CONFIGURED, local(1).address, Some(local(9)));
        assert_eq!(now(&changes), [local(9), local(2)]);
        changes.note(CONFIGURED, local(9).address, None);
        assert_eq!(now(&changes), [local(2)]);
        changes.note(CONFIGURED, local(9).address, Some(local(8)));
        changes.note(CONFIGURED, local(77).address, Some(local(78)));
        assert_eq!(now(&changes), [local(8), local(2)]);
        changes.note(CONFIGURED, local(8).address, Some(local(1)));
        assert_eq!(now(&changes), [local(1), local(2)]);
        assert_eq!(changes, Changes::new());
    }
}
