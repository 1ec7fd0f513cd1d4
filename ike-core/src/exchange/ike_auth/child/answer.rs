//! The Child SA as responder: the policy that the peer may serve, and the part of its offer that lies
//! within (RFC 7296 §2.9, §2.23.1, RFC 4301 §4.4.3.3).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, TrafficSelectors};
use esp_engine::spd::{Action, PolicyId};
use rand_core::TryCryptoRng;

use super::super::is_somebody;
use super::super::peer::Proven;
use super::substitution::Substitution;
use super::{Agreement, reserve};
use crate::config::Peer;
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::ike_sa::IkeSa;
use crate::ike_sa::nat::Nat;
use crate::narrow::narrow;
use crate::pad::record::Way;
use crate::proposal::EspChoice;
use crate::wire::notify::NotifyType;
use crate::wire::payloads::Payloads;
use crate::wire::ts::TsView;

/// As responder: what of the peer's offer we take.
pub(crate) fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    owner: u16,
    sa: &IkeSa,
    proven: &Proven,
    nat: Nat,
    choice: EspChoice,
    payloads: &Payloads<'_>,
) -> Result<Agreement, FailReason> {
    let (Some(tsi), Some(tsr)) = (&payloads.tsi, &payloads.tsr) else {
        return Err(FailReason::BadMessage);
    };
    if proven.behind.is_some_and(|owner| is_for_another(tsi, owner)) {
        return Err(FailReason::SelectorsUnacceptable);
    }
    let is_transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
    let as_named =
        |is_transport| choose_policy(endpoint, sa, proven, (tsi, tsr), is_transport, Substitution::default());
    let as_seen = Substitution::new(nat, &sa.path);
    let fit = if is_transport && as_seen.is_needed() {
        match choose_policy(endpoint, sa, proven, (tsi, tsr), true, as_seen) {
            Ok(fit) if fit.mode == Mode::Transport => fit,
            // No transport mode with whom we see: tunnel mode, perhaps, with whom the peer names.
            Ok(_) => as_named(false)?,
            Err(reason) => as_named(false).map_err(|_| reason)?,
        }
    } else {
        as_named(is_transport)?
    };
    if endpoint.children.is_taken(proven.key, &fit.local_ts, &fit.remote_ts) {
        return Err(FailReason::OtherKeysFlow);
    }
    let inbound = reserve(endpoint, owner, fit.policy)?;
    let Fit { policy, mode, local_ts, remote_ts, more } = fit;
    Ok(Agreement { policy, mode, choice, inbound, local_ts, remote_ts, more })
}

/// Whether an offer is for another address in the first place, that of its packet: whoever is the gateway of this one has
/// to prove that of the other first (RFC 4025 §2.5), and a pair for this one would not help.
fn is_for_another(tsi: &TsView<'_>, owner: IpAddr) -> bool {
    let first = tsi.selectors().next().map(|selector| selector.addresses);
    first.is_some_and(|first| first.is_single() && !first.contains(owner))
}

struct Fit {
    policy: PolicyId,
    mode: Mode,
    local_ts: TrafficSelectors,
    remote_ts: TrafficSelectors,
    more: bool,
}

/// The first policy that this peer may serve and that has something in common with the offer.
fn choose_policy<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    sa: &IkeSa,
    proven: &Proven,
    (tsi, tsr): (&TsView<'_>, &TsView<'_>),
    is_transport: bool,
    substitution: Substitution,
) -> Result<Fit, FailReason> {
    let way = Way { at: sa.path.peer(), behind: proven.behind };
    let claims = endpoint.config.claims(endpoint.own(), proven.peer, &way);
    let mut failure = FailReason::SelectorsUnacceptable;
    for (policy, rule) in endpoint.config.policies() {
        let Action::Protect { mode, minimum } = rule.action else {
            continue;
        };
        let own = own_ranges(mode, sa.path.local.ip());
        let theirs = their_ranges(mode, claims.ranges(), sa.path.peer());
        let local = narrow(substitution.local(tsr.selectors()), &endpoint.own().side_of(rule), &own);
        let remote = narrow(substitution.remote(tsi.selectors()), rule.remote, &theirs);
        if local.selectors.is_empty() || remote.selectors.is_empty() {
            continue;
        }
        let is_others = matches!(rule.peer, Peer::Entry(entry) if entry != proven.peer);
        if proven.level < minimum || (is_others && !is_somebody(proven.level)) {
            // The first match decides: a weaker policy behind this one is not for these addresses.
            return Err(FailReason::LevelTooLow);
        }
        if is_others {
            continue;
        }
        if mode == Mode::Transport && !is_transport {
            failure = FailReason::ModeUnacceptable;
        } else {
            let more = local.more || remote.more;
            return Ok(Fit { policy, mode, local_ts: local.selectors, remote_ts: remote.selectors, more });
        }
    }
    Err(failure)
}

/// Addresses that we may speak for: the policy says which, and in transport mode only our own.
fn own_ranges(mode: Mode, own: IpAddr) -> heapless::Vec<AddressRange, 2> {
    match mode {
        Mode::Transport => heapless::Vec::from_iter([AddressRange::single(own)]),
        Mode::Tunnel => everything().into_iter().flatten().collect(),
    }
}

fn everything() -> [Option<AddressRange>; 2] {
    [
        AddressRange::new(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
        AddressRange::new(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from_bits(u128::MAX).into()),
    ]
}

fn their_ranges(mode: Mode, claims: &[AddressRange], end: IpAddr) -> heapless::Vec<AddressRange, 8> {
    let end = AddressRange::single(end);
    claims
        .iter()
        .filter_map(|range| if mode == Mode::Transport { range.intersect(&end) } else { Some(*range) })
        .take(8)
        .collect()
}
