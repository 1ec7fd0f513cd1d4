//! The security policy database (RFC 4301 §4.4.1): an ordered list, first match decides, and what
//! matches nothing is discarded.

use core::net::IpAddr;

use crate::sa::Mode;
use crate::selector::{AddressRange, Selectors, TrafficSelector};
use crate::wire::ip;

/// A policy's place in the SPD.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyId(pub u16);

/// How well a peer is authenticated, weakest first. A policy names the least it accepts.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// No protection at all.
    Clear,
    /// NULL authentication (RFC 7619): passive protection only.
    Null,
    /// Any key, by the BTNS wildcard (RFC 5386): continuity within the SA.
    Any,
    /// A key seen for the first time and remembered.
    First,
    /// The key that was remembered.
    Known,
    /// A shared key of the peer's entry.
    Shared,
    /// A key validated by DNSSEC for the peer's name or address.
    Validated,
    /// A key or fingerprint pinned in the peer's entry.
    Pinned,
}

/// Selectors that one side of a policy can have; a peer that is known by name may have several addresses.
pub const MAX_POLICY_SELECTORS: usize = 4;

/// One side of a policy.
pub type PolicySelectors = heapless::Vec<TrafficSelector, MAX_POLICY_SELECTORS, u8>;

/// One entry of the SPD; its selectors are named from our side and hold in both directions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    /// Traffic on our side.
    pub local: PolicySelectors,
    /// Traffic on the far side.
    pub remote: PolicySelectors,
    /// What happens to it.
    pub action: Action,
}

/// One side of a policy where our own address is no longer `configured` but `current`, or none for now. What is for that
/// address alone is for the one in its place; what is for a wider range is for the new one too.
pub fn follow(
    side: &[TrafficSelector],
    configured: IpAddr,
    current: Option<IpAddr>,
) -> impl Iterator<Item = TrafficSelector> {
    side.iter().flat_map(move |selector| {
        let own = &selector.addresses;
        let is_about_us = own.contains(configured);
        let new = current.filter(|current| is_about_us && !own.contains(*current));
        let is_gone = is_about_us && own.is_single() && current != Some(configured);
        let moved = new.map(|new| TrafficSelector { addresses: AddressRange::single(new), ..*selector });
        (!is_gone).then_some(*selector).into_iter().chain(moved)
    })
}

/// What a policy does (RFC 4301 §4.4.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Only inside ESP.
    Protect {
        /// Transport or tunnel.
        mode: Mode,
        /// The weakest authentication that is accepted.
        minimum: Level,
    },
    /// In clear.
    Bypass,
    /// Not at all.
    Discard,
}

impl Policy {
    /// Whether a packet that leaves matches.
    pub fn matches_outbound(&self, packet: &Selectors) -> bool {
        self.local.iter().any(|ts| ts.matches_source(packet))
            && self.remote.iter().any(|ts| ts.matches_destination(packet))
    }

    /// Whether a packet that arrived matches.
    pub fn matches_inbound(&self, packet: &Selectors) -> bool {
        self.matches_outbound(&packet.reversed())
    }
}

/// What happens to packets that no policy matches.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Unmatched {
    /// They are dropped (RFC 4301 §4.4.1).
    #[default]
    Discard,
    /// They pass in clear.
    Bypass,
}

/// What an ordered list of policies says of one packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// The first policy that matches, and what it does.
    Policy(PolicyId, Action),
    /// None matches.
    None,
    /// The packet does not show enough to tell: a policy that asks for ports may mean it, and
    /// what lies behind that policy must not decide instead (RFC 4301 §7).
    Unclassifiable,
}

/// Looks a packet up, its selectors seen from our side: the source is local. `hidden` tells that the
/// packet does not show its ports (or protocol) although it has them.
pub(crate) fn decide(policies: &[Policy], packet: &Selectors, hidden: bool) -> Decision {
    for (index, policy) in (0..=u16::MAX).zip(policies) {
        if policy.matches_outbound(packet) {
            return Decision::Policy(PolicyId(index), policy.action);
        }
        if hidden && policy.may_match_outbound(packet) {
            return Decision::Unclassifiable;
        }
    }
    Decision::None
}

impl Policy {
    fn may_match_outbound(&self, packet: &Selectors) -> bool {
        let protocol_is_hidden = ip::is_extension(packet.protocol);
        let far = packet.reversed();
        self.local.iter().any(|ts| ts.may_match_source(packet, protocol_is_hidden))
            && self.remote.iter().any(|ts| ts.may_match_source(&far, protocol_is_hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::{PortRange, Ports};

    const US: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
    const PEER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 2));

    fn policy(protocol: u8, local: PortRange, action: Action) -> Policy {
        let side = |address, ports| {
            let addresses = AddressRange::single(address);
            [TrafficSelector { protocol, ports, addresses }].into_iter().collect()
        };
        Policy { local: side(US, local), remote: side(PEER, PortRange::ANY), action }
    }

    fn packet(protocol: u8, ports: Ports) -> Selectors {
        Selectors { source: US, destination: PEER, protocol, ports }
    }

    const PROTECT: Action = Action::Protect { mode: Mode::Transport, minimum: Level::Any };

    /// RFC 4301 §4.4.1: the SPD is ordered.
    #[test]
    fn first_match_decides() {
        let spd = [policy(6, PortRange::single(179), PROTECT), policy(6, PortRange::ANY, Action::Bypass)];
        let bgp = packet(6, Ports::Known { source: 179, destination: 1024 });
        let other = packet(6, Ports::Known { source: 80, destination: 1024 });
        assert_eq!(decide(&spd, &bgp, false), Decision::Policy(PolicyId(0), PROTECT));
        assert_eq!(decide(&spd, &other, false), Decision::Policy(PolicyId(1), Action::Bypass));
        assert_eq!(decide(&spd, &bgp.reversed(), false), Decision::None);
        assert_eq!(decide(&spd, &packet(17, Ports::Opaque), false), Decision::None);
    }

    /// RFC 4301 §7: a fragment that may belong to a protected flow must not pass by a later policy.
    #[test]
    fn hidden_ports_stop_at_a_policy_that_asks_for_them() {
        let spd = [policy(6, PortRange::single(179), PROTECT), policy(0, PortRange::ANY, Action::Bypass)];
        assert_eq!(decide(&spd, &packet(6, Ports::Opaque), true), Decision::Unclassifiable);
        let udp = decide(&spd, &packet(17, Ports::Opaque), true);
        assert_eq!(udp, Decision::Policy(PolicyId(1), Action::Bypass), "another protocol is none of it");
        let unknown = packet(ip::DESTINATION_OPTIONS, Ports::Opaque);
        assert_eq!(decide(&spd, &unknown, true), Decision::Unclassifiable, "not even the protocol shows");
    }

    /// RFC 4301 §4.4.1.1: OPAQUE means exactly the packets whose ports are not to be seen.
    #[test]
    fn opaque_policy_takes_fragments() {
        let spd = [policy(6, PortRange::OPAQUE, PROTECT), policy(6, PortRange::ANY, Action::Discard)];
        let fragment = packet(6, Ports::Opaque);
        assert_eq!(decide(&spd, &fragment, true), Decision::Policy(PolicyId(0), PROTECT));
        let whole = packet(6, Ports::Known { source: 0, destination: 0 });
        assert_eq!(decide(&spd, &whole, false), Decision::Policy(PolicyId(1), Action::Discard));
    }

    /// RFC 4301 §4.4.1.2: policies name addresses; those that name our own stay about us.
    #[test]
    fn policies_for_our_own_address_follow_it() {
        let all = |range| TrafficSelector { protocol: 6, ..TrafficSelector::all(range) };
        let single = |address| all(AddressRange::single(address));
        let elsewhere = IpAddr::from([198, 51, 100, 7]);
        let network = all(AddressRange::prefix([192, 0, 2, 0].into(), 24).unwrap());
        let ours = |side: &[TrafficSelector], now| follow(side, US, now).collect::<std::vec::Vec<_>>();
        assert_eq!(ours(&[single(US), single(PEER)], Some(elsewhere)), [single(elsewhere), single(PEER)]);
        assert_eq!(ours(&[network], Some(elsewhere)), [network, single(elsewhere)]);
        assert_eq!(ours(&[network], Some([192, 0, 2, 9].into())), [network]);
        assert_eq!(ours(&[network, single(US)], None), [network]);
        assert_eq!(ours(&[network, single(US)], Some(US)), [network, single(US)]);
    }
}
