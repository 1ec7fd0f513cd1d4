//! Names of clients behind a gateway: which of them are captured, and what the capturing resolver is told.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use esp_engine::selector::AddressRange;
use heapless::{String, Vec};
use ike_core::discovery::proxy::settings::{Demand, Fate, Pattern, Rule, Settings};
use serde::{Deserialize, Serialize};

use super::{
    Config, MAX_IDENTITY, MAX_PEERS, MAX_POLICIES, MAX_RANGES, MAX_ROUTES, MAX_SERVERS, Prefix, Remote,
};

/// Rules for names.
pub const MAX_RULES: usize = 16;
/// Patterns of names that may have private addresses.
pub const MAX_PRIVATE: usize = 4;
/// Own addresses, neighbours, peers with their ranges, and networks of policies.
const MAX_RESERVED: usize = 4 + MAX_ROUTES + MAX_PEERS * (1 + MAX_RANGES) + MAX_POLICIES;

/// What is done about the names that clients ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Capture {
    /// Which names are captured; the first rule that matches decides.
    pub rules: Vec<NameRule, MAX_RULES>,
    /// Names that may have private addresses, or those of our own networks.
    pub private: Vec<String<MAX_IDENTITY>, MAX_PRIVATE>,
    /// What becomes of an answer whose key is forged.
    #[serde(with = "FateWords")]
    pub bogus: Fate,
    /// What becomes of the oldest held answer when there is no room for another.
    #[serde(with = "FateWords")]
    pub full: Fate,
    /// The longest life of a found entry, in seconds.
    pub max_ttl_s: u32,
    /// How long an answer is held, in ms.
    pub hold_ms: u16,
}

/// What is demanded for some names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NameRule {
    /// `example.net` is that one, `.example.net` are those below it, `.` are all.
    pub names: String<MAX_IDENTITY>,
    /// What.
    #[serde(with = "DemandWords")]
    pub demand: Demand,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Demand")]
enum DemandWords {
    Nothing,
    Try,
    Require,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Fate")]
enum FateWords {
    Release,
    Refuse,
}

impl Config {
    /// What is done about clients' names: on a gateway with servers to ask.
    pub fn capture(&self) -> Option<&Capture> {
        self.resolver.as_ref()?.capture.as_ref()
    }

    /// The networks of the protected side.
    pub fn inside(&self) -> impl Iterator<Item = &Prefix> {
        self.interfaces.iter().skip(1).flat_map(|port| &port.addresses)
    }
}

/// The lists that the settings of a capturing resolver point into.
pub struct Lists<'c> {
    capture: &'c Capture,
    servers: Vec<SocketAddr, MAX_SERVERS>,
    inside: Vec<AddressRange, 2>,
    reserved: Vec<AddressRange, MAX_RESERVED>,
    open: Vec<AddressRange, MAX_POLICIES>,
    rules: Vec<Rule<'c>, MAX_RULES>,
    private: Vec<Pattern<'c>, MAX_PRIVATE>,
}

impl<'c> Lists<'c> {
    /// The lists for a configuration that passed its check; `None` when it captures nothing.
    pub fn new(config: &'c Config) -> Option<Self> {
        let capture = config.capture()?;
        let single = |address: IpAddr| AddressRange::single(address);
        let own = config.addresses().map(|prefix| single(prefix.address));
        let neighbours = config.routes.iter().map(|route| single(route.via));
        let peers = config.peers.iter().filter_map(|peer| peer.address).map(single);
        let ranges = config.peers.iter().flat_map(|peer| &peer.ranges).filter_map(Prefix::range);
        // What stands in front of the entries for found addresses decides before them.
        let before = config.policies.iter().take(config.place_of_found()).filter_map(remote);
        let open = config.policies.iter().filter(|policy| policy.is_open()).filter_map(remote);
        Some(Self {
            capture,
            servers: config.resolver.as_ref()?.servers.clone(),
            inside: config.inside().filter_map(Prefix::range).collect(),
            reserved: own.chain(neighbours).chain(peers).chain(ranges).chain(before).collect(),
            open: open.collect(),
            rules: capture
                .rules
                .iter()
                .map(|rule| Rule { names: Pattern(&rule.names), demand: rule.demand })
                .collect(),
            private: capture.private.iter().map(|names| Pattern(names)).collect(),
        })
    }

    /// The settings.
    pub fn settings(&self) -> Settings<'_> {
        Settings {
            servers: &self.servers,
            clients: &self.inside,
            rules: &self.rules,
            reserved: &self.reserved,
            open: &self.open,
            private: &self.private,
            inside: &self.inside,
            hold: Duration::from_millis(u64::from(self.capture.hold_ms)),
            max_ttl: self.capture.max_ttl_s,
            bogus: self.capture.bogus,
            full: self.capture.full,
            ..Settings::DEFAULT
        }
    }
}

fn remote(policy: &super::Policy) -> Option<AddressRange> {
    match policy.remote {
        Remote::Network(network) => network.range(),
        Remote::Peer => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::check::Fault;
    use crate::config::check::tests::{gateway, host, prefix};
    use crate::config::{Action, Policy, Resolver};

    /// All names below `example`.
    pub(crate) fn capture() -> Capture {
        let names = ".example".try_into().unwrap();
        Capture {
            rules: [NameRule { names, demand: Demand::Try }].into_iter().collect(),
            private: Vec::new(),
            bogus: Fate::Refuse,
            full: Fate::Release,
            max_ttl_s: 3_600,
            hold_ms: 1_500,
        }
    }

    fn capturing(mut config: Config, capture: Capture) -> Config {
        let servers = ["192.0.2.53:53".parse().unwrap()].into_iter().collect();
        let (anchors, capture) = (Vec::new(), Some(capture));
        config.resolver =
            Some(Resolver { servers, anchors, believed: Vec::new(), fingerprints: false, capture });
        config
    }

    fn open(config: &mut Config, remote: &str) {
        let policy = Policy {
            name: "rest".try_into().unwrap(),
            remote: prefix(remote).into(),
            action: Action::Bypass,
            ..config.policies[0].clone()
        };
        config.policies.push(policy).unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let fault = |config: Config| config.check().map_err(|refused| refused.fault);
        assert_eq!(fault(capturing(gateway(), capture())), Err(Fault::NothingToRaise));
        assert_eq!(fault(capturing(host(), capture())), Err(Fault::CaptureOnHost));
        let mut config = gateway();
        open(&mut config, "0.0.0.0/0");
        assert_eq!(fault(capturing(config.clone(), capture())), Ok(()));
        assert_eq!(
            fault(capturing(config.clone(), Capture { hold_ms: 1_501, ..capture() })),
            Err(Fault::LongHold)
        );
        for odd in ["", "..", "a..b", "a b", ".example."] {
            let names = odd.try_into().unwrap();
            let rules = [NameRule { names, demand: Demand::Try }].into_iter().collect();
            let config = capturing(config.clone(), Capture { rules, ..capture() });
            assert_eq!(fault(config), Err(Fault::BadPattern), "{odd:?}");
        }
    }

    /// A name's owner does not own the address: what others have, is reserved.
    #[test]
    fn what_others_own_is_reserved() {
        let mut config = gateway();
        open(&mut config, "0.0.0.0/0");
        let config = capturing(config, capture());
        let lists = Lists::new(&config).unwrap();
        let settings = lists.settings();
        let is_reserved = |address: &str| {
            let address = address.parse().unwrap();
            [settings.reserved, settings.inside].into_iter().flatten().any(|range| range.contains(address))
        };
        for (whose, address) in [
            ("ours", "192.0.2.1"),
            ("a peer's", "192.0.2.2"),
            ("behind a peer", "10.2.3.4"),
            ("inside", "10.1.0.9"),
        ] {
            assert!(is_reserved(address), "{whose}");
        }
        assert!(!is_reserved("198.51.100.7"));
        assert!(settings.open[0].contains("198.51.100.7".parse().unwrap()));
    }
}
