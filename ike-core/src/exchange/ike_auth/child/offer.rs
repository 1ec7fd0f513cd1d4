//! The Child SA as initiator: what is offered, and whether the answer is within it and the peer may have
//! it (RFC 7296 §2.9).

use core::net::IpAddr;

use esp_engine::sa::{Mode, Spi};
use esp_engine::selector::{AddressRange, Selectors, TrafficSelector, TrafficSelectors};
use esp_engine::spd::{Action, PolicyId};

use super::super::peer::Proven;
use super::substitution::Substitution;
use super::{Agreement, mode_of};
use crate::child_sa::Child;
use crate::config::IkePolicy;
use crate::crypto::{Crypto, Group};
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::ike_sa::IkeSa;
use crate::narrow::is_subset;
use crate::own::Own;
use crate::pad::record::Way;
use crate::proposal;
use crate::wire::sa::SaView;
use crate::wire::ts::TsView;

/// Selectors that are offered on one side: the packet's own, then the policy's.
pub(crate) type Offered = heapless::Vec<TrafficSelector, 8>;

/// What an initiator offers for a pair that takes over from this one: just what that has, and no packet in front
/// (RFC 7296 §2.9.2).
pub(crate) fn like(child: &Child) -> (Offered, Offered) {
    (child.local_ts.iter().copied().collect(), child.remote_ts.iter().copied().collect())
}

/// What an initiator offers, for a packet or without one: TSi and TSr. A gateway is asked for the address alone
/// whose gateway it is.
pub(crate) fn offer(
    own: Own<'_>,
    policy: &IkePolicy<'_>,
    packet: Option<&Selectors>,
    is_single_pair: bool,
    local: IpAddr,
    way: &Way,
) -> (Offered, Offered) {
    let ends = match mode_of(policy) {
        Mode::Transport => (Some(local), Some(way.at)),
        Mode::Tunnel => (None, way.behind),
    };
    let all = if is_single_pair { 1 } else { usize::MAX };
    let (mut tsi, mut tsr) = (
        selectors(packet.map(|p| p.source_selector()), &own.side_of(policy), ends.0),
        selectors(packet.map(|p| p.destination_selector()), policy.remote, ends.1),
    );
    tsi.truncate(all);
    tsr.truncate(all);
    (tsi, tsr)
}

fn selectors(packet: Option<TrafficSelector>, policy: &[TrafficSelector], only: Option<IpAddr>) -> Offered {
    let clipped = policy.iter().filter_map(|ts| clip(ts, only));
    packet.into_iter().chain(clipped).take(8).collect()
}

/// In transport mode both ends are the ends of IKE.
fn clip(selector: &TrafficSelector, only: Option<IpAddr>) -> Option<TrafficSelector> {
    match only {
        None => Some(*selector),
        Some(end) => {
            let addresses = selector.addresses.intersect(&AddressRange::single(end))?;
            Some(TrafficSelector { addresses, ..*selector })
        }
    }
}

/// As initiator: whether the peer's answer is within what we offered, `exchange` among it, and it may have
/// that.
#[expect(clippy::too_many_arguments, reason = "all of them are what an answer is judged by")]
pub(crate) fn accept<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    sa: &IkeSa,
    proven: &Proven,
    (policy_id, offered): (PolicyId, &(Offered, Offered)),
    inbound: Spi,
    exchange: Option<Group>,
    (answer, tsi, tsr): (&SaView<'_>, &TsView<'_>, &TsView<'_>),
    is_transport: bool,
) -> Result<Agreement, FailReason> {
    let policy = endpoint.config.policy(policy_id).ok_or(FailReason::Internal)?;
    let Action::Protect { mode, minimum } = policy.action else {
        return Err(FailReason::Internal);
    };
    if proven.level < minimum {
        return Err(FailReason::LevelTooLow);
    }
    let choice = proposal::accept_esp(answer, endpoint.config.suites, exchange);
    let choice = choice.ok_or(FailReason::AnswerNotOffered)?;
    if is_transport != (mode == Mode::Transport) {
        return Err(FailReason::ModeUnacceptable);
    }
    let substitution = match sa.established() {
        Some(established) if is_transport => Substitution::new(established.nat, &sa.path),
        _ => Substitution::default(),
    };
    let local_ts = within(substitution.local(tsi.selectors()), &offered.0)?;
    let remote_ts = within(substitution.remote(tsr.selectors()), &offered.1)?;
    let way = Way { at: sa.path.peer(), behind: proven.behind };
    let claims = endpoint.config.claims(endpoint.own(), proven.peer, &way);
    if !remote_ts.iter().all(|selector| claims.cover(selector)) {
        return Err(FailReason::SelectorsUnacceptable);
    }
    if endpoint.children.is_taken(proven.key, &local_ts, &remote_ts) {
        return Err(FailReason::OtherKeysFlow);
    }
    Ok(Agreement { policy: policy_id, mode, choice, inbound, local_ts, remote_ts, more: false })
}

/// The selectors of an answer, if all lie within the offer and an SA can hold them.
fn within(
    answer: impl Iterator<Item = TrafficSelector>,
    offer: &[TrafficSelector],
) -> Result<TrafficSelectors, FailReason> {
    let mut selectors = TrafficSelectors::new();
    for selector in answer {
        if !selectors.iter().any(|other| other.covers(&selector)) {
            selectors.retain(|other| !selector.covers(other));
            selectors.push(selector).map_err(|_| FailReason::AnswerNotOffered)?;
        }
    }
    if is_subset(&selectors, offer) { Ok(selectors) } else { Err(FailReason::AnswerNotOffered) }
}
