//! Puts together why traffic with somebody is encrypted, or is not.

use core::fmt::Write;
use core::net::IpAddr;

use esp_engine::selector::AddressRange;
use esp_engine::spd::{Level, PolicyId};
use esp_engine::time::Instant;
use ike_core::crypto::Crypto;
use ike_core::output::{ChildStatus, Phase};
use ike_core::pad::PeerId;
use rand_core::TryCryptoRng;

use super::Control;
use crate::config::{self, Action, Authentication, Policy, Remote, Start, Whose};
use crate::management::explanation::{
    DnsLink, IkeLink, IkeStage, NameLink, NextTry, Origin, PolicyAction, PolicyLink, SaLink, Verdict,
};
use crate::management::{Explanation, Reason, Shown, Subject, Words};
use crate::report::Sink;
use crate::storage::Storage;

/// A policy and what is known of it.
#[derive(Copy, Clone)]
struct Match<'c> {
    id: PolicyId,
    /// Its place in the configuration; `None` for that of a found address.
    written: Option<(usize, &'c Policy)>,
}

impl<'c, C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'c, C, R, S, M> {
    /// Why; `None` for a name that nobody has.
    pub(super) fn explain(&self, now: Instant, subject: &Subject) -> Option<Explanation> {
        let (address, policy, peer) = match subject {
            Subject::Address(address) => (Some(*address), self.policy_for(*address), None),
            Subject::Name(name) => match self.peer_called(name) {
                Some(peer) => (self.whereabouts(peer), self.policy_of(peer), Some(peer)),
                None => {
                    let address = self.captor.as_ref()?.address_of(name)?;
                    (Some(address), self.policy_for(address), None)
                }
            },
        };
        // Behind a peer that is asked about by name lie whole networks: any SA of its policy will do.
        let towards = if peer.is_some() { None } else { address };
        let sa = policy.and_then(|policy| self.endpoint.protection(policy.id, towards));
        let peer = peer.or(sa.map(|sa| sa.peer)).or_else(|| self.peer_behind(policy?, address));
        let name = self.name_for(address, peer);
        Some(Explanation {
            at_ms: now.as_millis(),
            verdict: self.verdict(now, policy, sa, address),
            address,
            policy: policy.map(|policy| policy.link()),
            dns: self.dns(now, name.as_ref(), address),
            name,
            ike: self.ike(now, policy, peer, address, sa.is_some()),
            sa: sa.map(|sa| self.sa(now, sa)),
        })
    }

    /// The peer that the configuration calls so, or that calls itself so.
    fn peer_called(&self, name: &str) -> Option<PeerId> {
        let is_its = |peer: &config::Peer| match &peer.identity {
            Some(config::Identity::Fqdn(own)) => {
                own.trim_end_matches('.').eq_ignore_ascii_case(name.trim_end_matches('.'))
            }
            _ => false,
        };
        let place = || self.config.peers.iter().position(is_its);
        let by_identity = || u16::try_from(place()?).ok().map(PeerId);
        self.config.peer_id(name).or_else(by_identity)
    }

    /// The first policy that traffic with this address may meet: what the operator wrote in its order, and what
    /// was found at its place.
    fn policy_for(&self, address: IpAddr) -> Option<Match<'c>> {
        let config = self.config;
        let found = || self.captor.as_ref()?.policy_at(address);
        let mut written = config.policies.iter().enumerate();
        let matching = |(n, policy): (usize, &'c Policy)| {
            // What is found takes its place before the first that lets all pass.
            if n == config.place_of_found()
                && let Some(id) = found()
            {
                return Some(Match { id, written: None });
            }
            let covers = match policy.remote {
                Remote::Network(network) => network.contains(address),
                Remote::Peer => self.peer_of_policy(config.policy_id(n)).is_some_and(|peer| {
                    self.endpoint.whereabouts(peer).is_none_or(|all| all.contains(&address))
                }),
            };
            covers.then(|| Match { id: config.policy_id(n), written: Some((n, policy)) })
        };
        written.find_map(matching)
    }

    /// The first policy that this peer serves, or may if it is known well enough.
    fn policy_of(&self, peer: PeerId) -> Option<Match<'c>> {
        let config = self.config;
        let serves = |policy: &Policy| match &policy.action {
            Action::Protect { peer: Some(name), .. } => config.peer_id(name) == Some(peer),
            Action::Protect { peer: None, .. } => true,
            Action::Bypass | Action::Discard => false,
        };
        let (n, policy) = config.policies.iter().enumerate().find(|(_, policy)| serves(policy))?;
        Some(Match { id: config.policy_id(n), written: Some((n, policy)) })
    }

    /// Where a peer is, as far as that is known.
    fn whereabouts(&self, peer: PeerId) -> Option<IpAddr> {
        let mut standing = self.endpoint.status().filter(|sa| sa.peer == Some(peer));
        let standing = standing.next().map(|sa| sa.behind.unwrap_or(sa.path.remote.ip()));
        let located = || self.endpoint.whereabouts(peer)?.first().copied();
        standing.or(self.config.peer(peer)?.address).or_else(located)
    }

    /// Who would have to protect it, where nobody does.
    fn peer_behind(&self, policy: Match<'c>, address: Option<IpAddr>) -> Option<PeerId> {
        match policy.written.map(|(_, written)| &written.action) {
            None => self.config.found_peer(),
            Some(Action::Protect { peer: Some(name), .. }) => self.config.peer_id(name),
            Some(Action::Protect { peer: None, .. }) => self.endpoint.likely_entry(address?),
            Some(Action::Bypass | Action::Discard) => None,
        }
    }

    fn name_for(&self, address: Option<IpAddr>, peer: Option<PeerId>) -> Option<NameLink> {
        let captured = || {
            let name = self.captor.as_ref()?.name_at(address?)?;
            let mut words = Words::new();
            write!(words, "{name}").ok()?;
            Some(NameLink { name: words, origin: Origin::Captured })
        };
        let configured = peer.and_then(|peer| self.config.peer(peer)).and_then(|peer| match &peer.identity {
            Some(config::Identity::Fqdn(name)) => {
                Some(NameLink { name: Words::try_from(name.as_str()).ok()?, origin: Origin::Configured })
            }
            _ => None,
        });
        configured.or_else(captured)
    }

    fn dns(&self, now: Instant, name: Option<&NameLink>, address: Option<IpAddr>) -> Option<DnsLink> {
        let directory = self.directory.as_ref()?;
        let by_name = name.and_then(|name| directory.heard_of_name(&name.name));
        let heard = by_name.or_else(|| directory.heard_of_address(address?))?;
        let seconds =
            |from: Instant, to: Instant| u32::try_from(to.since(from).as_secs()).unwrap_or(u32::MAX);
        Some(DnsLink {
            security: heard.security.class(),
            reason: super::reason::unproven(heard.security),
            presence: heard.presence,
            fingerprints: heard.is_about_fingerprints,
            server: heard.server,
            age_s: seconds(heard.at, now),
            left_s: seconds(now, heard.expires),
        })
    }

    fn ike(
        &self,
        now: Instant,
        policy: Option<Match<'c>>,
        peer: Option<PeerId>,
        address: Option<IpAddr>,
        is_protected: bool,
    ) -> Option<IkeLink> {
        // Where a found address goes on in clear, its entry was tried all the same.
        let name_at = |address| self.captor.as_ref()?.name_at(address);
        let is_captured = address.is_some_and(|address| name_at(address).is_some());
        let policy = policy.filter(|policy| policy.protects() || is_captured)?;
        let entry = peer.and_then(|peer| self.config.peer(peer));
        let is_its = |sa: &ike_core::output::SaStatus| match entry {
            Some(_) => sa.peer == peer || sa.peer.is_none() && Some(sa.path.remote.ip()) == address,
            None => Some(sa.path.remote.ip()) == address,
        };
        let phases = || self.endpoint.status().filter(is_its).map(|sa| sa.phase);
        let by_name = entry.is_some_and(
            |entry| matches!(&entry.authentication, Authentication::Dns(dns) if dns.whose == Whose::Name),
        );
        let is_located = || peer.is_some_and(|peer| self.endpoint.whereabouts(peer).is_some());
        let stage = if phases().any(|phase| phase == Phase::Established) {
            IkeStage::Established
        } else if phases().any(|phase| matches!(phase, Phase::Init | Phase::Authenticating)) {
            IkeStage::Negotiating
        } else if by_name && !is_located() {
            IkeStage::AwaitsDns
        } else {
            IkeStage::None
        };
        let state = peer.and_then(|peer| self.peers.get(usize::from(peer.0)));
        let of_peer = state.and_then(|state| state.reason.clone());
        let is_idle = policy.protects() && !is_protected && stage != IkeStage::Negotiating;
        let mut gateways = self.endpoint.status().filter(|sa| sa.behind.is_some() && sa.behind == address);
        Some(IkeLink {
            peer: entry.map(|entry| entry.name.clone()),
            gateway: gateways.next().map(|sa| sa.path.remote.ip()),
            stage,
            last_reason: of_peer.or_else(|| self.setback_at(address?)),
            next: is_idle.then(|| self.next_try(now, policy.id, peer, address)),
        })
    }

    fn next_try(
        &self,
        now: Instant,
        policy: PolicyId,
        peer: Option<PeerId>,
        address: Option<IpAddr>,
    ) -> NextTry {
        let millis = |at: Instant| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
        let call = peer.and_then(|peer| self.peers.get(usize::from(peer.0))).and_then(|state| state.call);
        let remote = peer.and_then(|peer| self.whereabouts(peer)).or(address);
        let entry = peer.and_then(|peer| self.config.peer(peer));
        match (call, remote.and_then(|remote| self.endpoint.put_off(now, policy, remote))) {
            (Some(at), _) => NextTry::In(millis(at)),
            _ if entry.is_some_and(|entry| entry.start == Start::Never) => NextTry::ByPeer,
            (None, Some(until)) => NextTry::WithPacketIn(millis(until)),
            (None, None) => NextTry::WithPacket,
        }
    }

    fn verdict(
        &self,
        now: Instant,
        policy: Option<Match<'c>>,
        sa: Option<ChildStatus>,
        address: Option<IpAddr>,
    ) -> Verdict {
        let is_open = || {
            let is_it = |address| {
                move |(range, until): &(AddressRange, Instant)| range.contains(address) && now < *until
            };
            address.is_some_and(|address| self.open.iter().any(is_it(address)))
        };
        match (policy.map(|policy| policy.action()), sa) {
            (None | Some(PolicyAction::Discard), _) => Verdict::Discarded,
            (Some(PolicyAction::Bypass), _) => Verdict::Clear,
            (Some(PolicyAction::Protect(_)), Some(sa)) if sa.algorithm.is_confidential() => {
                Verdict::Encrypted
            }
            (Some(PolicyAction::Protect(_)), Some(_)) => Verdict::Authenticated,
            (Some(PolicyAction::Protect(Level::Clear)), None) if is_open() => Verdict::Clear,
            (Some(PolicyAction::Protect(_)), None) => Verdict::Waiting,
        }
    }

    fn setback_at(&self, address: IpAddr) -> Option<Reason> {
        self.setbacks.iter().find(|(to, _)| *to == address).map(|(_, reason)| reason.clone())
    }

    fn sa(&self, now: Instant, sa: ChildStatus) -> SaLink {
        let listed = self.children.iter().find(|child| child.is.inbound == sa.inbound);
        SaLink {
            level: Shown(sa.level),
            inbound: sa.inbound.get(),
            outbound: sa.outbound.get(),
            age_s: listed.map(|child| u32::try_from(now.since(child.since).as_secs()).unwrap_or(u32::MAX)),
        }
    }
}

impl Match<'_> {
    fn action(&self) -> PolicyAction {
        match self.written.map(|(_, written)| &written.action) {
            None => PolicyAction::Protect(Level::Any),
            Some(Action::Protect { minimum, .. }) => PolicyAction::Protect(*minimum),
            Some(Action::Bypass) => PolicyAction::Bypass,
            Some(Action::Discard) => PolicyAction::Discard,
        }
    }

    fn protects(&self) -> bool {
        matches!(self.action(), PolicyAction::Protect(_))
    }

    fn link(&self) -> PolicyLink {
        PolicyLink {
            name: self.written.map(|(_, written)| written.name.clone()),
            place: self.written.and_then(|(n, _)| u16::try_from(n).ok()),
            line: None,
            action: self.action(),
            is_partial: self.written.is_some_and(|(_, written)| !written.is_for_all_traffic()),
        }
    }
}
