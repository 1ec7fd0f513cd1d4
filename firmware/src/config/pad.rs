//! From an operator's [`Config`] to what key management is told: the PAD (RFC 4301 §4.4.3), the
//! policies with their peers, suites and times.
//!
//! [`ike_core::config::Config`] borrows all of it, so it is put together in two steps: [`Tables`] own
//! the lists, [`Tables::pad`] and [`Tables::policies`] point into them. The peer at place n of the
//! configuration is [`PeerId`] n.

use core::net::SocketAddr;
use core::time::Duration;

use esp_engine::sa::{Lifetime, Limits};
use esp_engine::selector::AddressRange;
use esp_engine::spd::{self, PolicyId};
use heapless::Vec;
use ike_core::config::{self as ike, IkePolicy, Local};
use ike_core::crypto::PublicKey;
use ike_core::pad::{self, Claim, Matcher, PadEntry, PeerId};
use ike_core::wire::spki;

use super::policies::{self, MAX_SPD};
use super::{
    Action, Authentication, Config, Dns, Identity, MAX_INTERFACES, MAX_KEYS, MAX_PEERS, MAX_RANGES,
    MAX_SUITES, Peer, Prefix, PrivateKey, Start, Suite, Timing, Whose,
};

/// Entries of the PAD: the peers, and whoever is found.
const MAX_PAD: usize = MAX_PEERS + 1;

/// The lists that key management's configuration points into.
pub struct Tables<'c> {
    config: &'c Config,
    keys: Vec<Vec<PublicKey, MAX_KEYS>, MAX_PEERS>,
    ranges: Vec<Vec<AddressRange, MAX_RANGES>, MAX_PEERS>,
    spd: Vec<spd::Policy, MAX_SPD>,
    /// Algorithms, preferred first.
    pub suites: Vec<ike::Suite, MAX_SUITES>,
    /// Our own addresses; all of them on the stack's interface.
    pub local: Vec<Local, { 2 * MAX_INTERFACES }>,
}

impl<'c> Tables<'c> {
    /// The lists for a configuration that passed its check.
    pub fn new(config: &'c Config) -> Self {
        let keys = |peer: &Peer| match &peer.authentication {
            Authentication::Pinned(keys) => keys.iter().filter_map(|key| spki::parse(key).ok()).collect(),
            _ => Vec::new(),
        };
        // IKE runs on the stack's addresses, which are those of the first port.
        let own = config.interfaces.first().map(|port| port.addresses.as_slice()).unwrap_or_default();
        Self {
            config,
            keys: config.peers.iter().map(keys).collect(),
            ranges: config
                .peers
                .iter()
                .map(|p| p.ranges.iter().filter_map(Prefix::range).collect())
                .collect(),
            spd: spd(config),
            suites: config.suites.iter().map(|suite| suite.translate()).collect(),
            local: own.iter().map(|prefix| Local { interface: 0, address: prefix.address }).collect(),
        }
    }

    /// The PAD.
    pub fn pad(&self) -> Vec<PadEntry<'_>, MAX_PAD> {
        let lists = self.keys.iter().zip(&self.ranges);
        let peers =
            self.config.peers.iter().zip(lists).map(|(peer, (keys, ranges))| entry(peer, keys, ranges));
        peers.chain(self.config.capture().map(|_| FOUND)).collect()
    }

    /// The policies.
    pub fn policies(&self) -> Vec<IkePolicy<'_>, MAX_SPD> {
        (0..).zip(&self.spd).map(|(n, policy)| self.policy(policy, PolicyId(n))).collect()
    }

    fn policy<'t>(&'t self, policy: &'t spd::Policy, id: PolicyId) -> IkePolicy<'t> {
        let own = self.config.policy(id).map(|own| &own.action);
        let (named, pfs) = match own {
            Some(Action::Protect { peer, pfs, .. }) => {
                (peer.as_ref().and_then(|name| self.config.peer_id(name)), *pfs)
            }
            None if self.config.found_policies().any(|found| found == id) => {
                (self.config.found_peer(), false)
            }
            _ => (None, false),
        };
        IkePolicy {
            local: &policy.local,
            remote: &policy.remote,
            action: policy.action,
            peer: named.map_or(ike::Peer::Any, ike::Peer::Entry),
            pfs,
        }
    }
}

impl Config {
    /// The entry for those whom found names led to, behind all others.
    pub fn found_peer(&self) -> Option<PeerId> {
        self.capture()?;
        u16::try_from(self.peers.len()).ok().map(PeerId)
    }

    /// The place of the peer with this name.
    pub fn peer_id(&self, name: &str) -> Option<PeerId> {
        let place = self.peers.iter().position(|peer| peer.name == name)?;
        u16::try_from(place).ok().map(PeerId)
    }

    /// The peer at this place.
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(usize::from(id.0))
    }

    /// Key management's configuration over lists made from this one.
    pub fn for_key_management<'t>(
        &'t self,
        tables: &'t Tables<'_>,
        pad: &'t [PadEntry<'t>],
        policies: &'t [IkePolicy<'t>],
    ) -> ike::Config<'t> {
        ike::Config {
            identity: self.identity.translate(),
            key: self.key.translate(),
            pad,
            policies,
            suites: &tables.suites,
            local: &tables.local,
            timing: self.timing.translate(),
            force_encapsulation: self.force_encapsulation,
            mobike: self.mobike,
        }
    }
}

/// The entry for whoever is at an address that a client's name led to: it speaks for that address only.
const FOUND: PadEntry<'static> = PadEntry {
    matcher: Matcher::Reached,
    authentication: pad::Authentication::Dns(pad::Published {
        from_anywhere: false,
        wildcards: false,
        or_stranger: false,
        unproven: true,
    }),
    claim: Claim::OwnAddress,
    address: None,
    send_key: true,
    childless: false,
    ppk: None,
};

/// The SPD as key management sees it: whoever was found may be anywhere, but speaks for his address only.
fn spd(config: &Config) -> Vec<spd::Policy, MAX_SPD> {
    let mut spd = config.spd();
    for found in config.found_policies() {
        if let Some(policy) = spd.get_mut(usize::from(found.0)) {
            policy.remote = policies::all_with_anybody();
        }
    }
    spd
}

fn entry<'t>(peer: &'t Peer, keys: &'t [PublicKey], ranges: &'t [AddressRange]) -> PadEntry<'t> {
    let (authentication, knows_keys) = match &peer.authentication {
        Authentication::Pinned(_) => (pad::Authentication::Pinned(keys), true),
        Authentication::Fingerprints(sums) => (pad::Authentication::Fingerprints(sums), false),
        Authentication::Shared(key) => (pad::Authentication::SharedKey(key.octets()), true),
        Authentication::Dns(dns) => (pad::Authentication::Dns(dns.translate()), false),
        Authentication::Btns => (pad::Authentication::Btns, false),
        Authentication::FirstUse { replace_after_h } => {
            let replace_after = Duration::from_secs(u64::from(*replace_after_h) * 3_600);
            (pad::Authentication::FirstUse { replace_after }, false)
        }
        Authentication::Null => (pad::Authentication::Null, true),
    };
    PadEntry {
        matcher: matcher(peer),
        authentication,
        claim: if ranges.is_empty() { Claim::OwnAddress } else { Claim::Ranges(ranges) },
        // Key management never calls whom it has no address for.
        address: peer.address.filter(|_| peer.start != Start::Never).map(|a| SocketAddr::new(a, peer.port)),
        // Who is known by what it shows is taken to know us that way too.
        send_key: !knows_keys,
        childless: peer.childless,
        ppk: peer.ppk.as_ref().map(|ppk| pad::Ppk {
            id: &ppk.id,
            secret: ppk.secret.octets(),
            mandatory: ppk.mandatory,
        }),
    }
}

fn matcher(peer: &Peer) -> Matcher<'_> {
    match (&peer.identity, &peer.authentication) {
        (Some(identity), _) => Matcher::Exact(identity.translate()),
        (None, Authentication::Dns(Dns { whose: Whose::Suffix(suffix), .. })) => Matcher::Suffix(suffix),
        (None, Authentication::Dns(Dns { whose: Whose::Network { network, .. }, .. })) => {
            network.range().map_or(Matcher::Any, Matcher::Addresses)
        }
        (None, _) => Matcher::Any,
    }
}

impl Dns {
    fn translate(&self) -> pad::Published {
        pad::Published {
            from_anywhere: self.from_anywhere,
            wildcards: self.wildcards,
            or_stranger: matches!(self.whose, Whose::Network { or_stranger: true, .. }),
            unproven: false,
        }
    }
}

impl Identity {
    fn translate(&self) -> pad::Identity<'_> {
        match self {
            Self::Fqdn(name) => pad::Identity::Fqdn(name),
            Self::Address(address) => pad::Identity::Address(*address),
            Self::KeyId(octets) => pad::Identity::KeyId(octets),
        }
    }
}

impl PrivateKey {
    /// The same key as key management takes it.
    pub fn translate(&self) -> Option<ike_core::crypto::PrivateKey> {
        match self {
            Self::None => None,
            Self::Ed25519(octets) => Some(ike_core::crypto::PrivateKey::Ed25519(*octets)),
            Self::P256(octets) => Some(ike_core::crypto::PrivateKey::EcdsaP256(*octets)),
            Self::P384(parts) => {
                parts.as_flattened().try_into().ok().map(ike_core::crypto::PrivateKey::EcdsaP384)
            }
            Self::Rsa(key) => key.key().map(ike_core::crypto::PrivateKey::Rsa),
        }
    }
}

impl Suite {
    /// In key management's words.
    pub const fn translate(self) -> ike::Suite {
        match self {
            Self::FastSoftware => ike::Suite::FAST_SOFTWARE,
            Self::HardwareAes => ike::Suite::HARDWARE_AES,
            Self::PostQuantum => ike::Suite::POST_QUANTUM,
            Self::Compat => ike::Suite::COMPAT,
            Self::Custom { ike, prf, group, esp } => ike::Suite { ike, prf, group, additional: None, esp },
        }
    }
}

impl Timing {
    /// The same times as key management takes them.
    pub(super) fn translate(&self) -> ike::Timing {
        let seconds = |n| Duration::from_secs(u64::from(n));
        let lifetime = seconds(self.child_lifetime_s);
        let age = |time| Limits { time, ..ike::Timing::DEFAULT.child.soft };
        ike::Timing {
            retransmission: Duration::from_millis(u64::from(self.retransmit_ms)),
            tries: self.tries,
            liveness: seconds(self.liveness_s),
            ike_lifetime: seconds(self.ike_lifetime_s),
            reauthentication: seconds(self.reauthentication_s),
            keepalive: seconds(self.keepalive_s),
            child: Lifetime {
                soft: age(lifetime * 5 / 6),
                hard: Limits { time: lifetime, ..ike::Timing::DEFAULT.child.hard },
            },
            datagram: self.datagram,
            ..ike::Timing::DEFAULT
        }
    }
}

#[cfg(test)]
mod tests {
    use esp_engine::spd::{Level, PolicyId};

    use super::*;
    use crate::config::check::tests::{gateway, host};

    #[test]
    fn what_passes_our_check_passes_that_of_key_management() {
        for config in [host(), gateway()] {
            let tables = Tables::new(&config);
            let (pad, policies) = (tables.pad(), tables.policies());
            assert_eq!(config.for_key_management(&tables, &pad, &policies).check(), Ok(()));
        }
    }

    #[test]
    fn policies_keep_their_place_and_their_peer() {
        let config = gateway();
        let tables = Tables::new(&config);
        let policies = tables.policies();
        assert_eq!(policies.len(), config.spd().len());
        let PolicyId(first) = config.policy_id(0);
        assert_eq!(policies[usize::from(first)].peer, ike::Peer::Entry(PeerId(0)));
        assert_eq!(policies[0].peer, ike::Peer::Any);
    }

    #[test]
    fn a_peer_keeps_its_key_its_ranges_and_its_level() {
        let config = gateway();
        let tables = Tables::new(&config);
        let pad = tables.pad();
        assert_eq!(pad[0].authentication.level(), Level::Pinned);
        assert!(
            matches!(pad[0].authentication, pad::Authentication::Pinned([PublicKey::Ed25519(k)]) if *k == [2; 32])
        );
        assert!(matches!(pad[0].claim, Claim::Ranges([_, _])));
        assert_eq!(pad[0].address, Some("192.0.2.2:500".parse().unwrap()));
    }

    #[test]
    fn a_peer_that_begins_itself_is_never_called() {
        let mut config = host();
        config.peers[0].start = Start::Never;
        let tables = Tables::new(&config);
        assert_eq!(tables.pad()[0].address, None);
    }

    #[test]
    fn a_child_sa_is_replaced_before_it_ends() {
        let timing = Timing { child_lifetime_s: 3_600, ..Timing::default() }.translate();
        assert_eq!(timing.child.soft.time, Duration::from_secs(3_000));
        assert_eq!(timing.child.hard.time, Duration::from_secs(3_600));
    }
}
