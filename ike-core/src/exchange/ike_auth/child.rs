//! A Child SA, the first or a later one: which policy it serves, which selectors it has, whose it is (RFC 7296 §2.9,
//! RFC 4301 §4.4.3.3). Both roles; what is refused never reaches the data plane.

use esp_engine::sa::{ChildSa, Mode, Spi};
use esp_engine::selector::TrafficSelectors;
use esp_engine::spd::{Action, Level, PolicyId};
use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use super::peer::Proven;
use crate::child_sa::{Child, Sending, Stage};
use crate::config::IkePolicy;
use crate::crypto::{Crypto, Prf, PrfOutput};
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::ike_sa::IkeSa;
use crate::ike_sa::keys::{ChildKeys, Nonces, Role, Secrets};
use crate::ike_sa::nat::Nat;
use crate::output::{ChildEstablished, Event};
use crate::proposal::EspChoice;
use crate::wire::notify::NotifyType;

pub(crate) mod answer;
pub(crate) mod offer;
mod substitution;

/// A Child SA that both ends agree on.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Agreement {
    pub(crate) policy: PolicyId,
    pub(crate) mode: Mode,
    pub(crate) choice: EspChoice,
    pub(crate) inbound: Spi,
    pub(crate) local_ts: TrafficSelectors,
    pub(crate) remote_ts: TrafficSelectors,
    /// The peer may ask for more (ADDITIONAL_TS_POSSIBLE).
    pub(crate) more: bool,
}

pub(crate) fn mode_of(policy: &IkePolicy<'_>) -> Mode {
    match policy.action {
        Action::Protect { mode, .. } => mode,
        Action::Bypass | Action::Discard => Mode::Tunnel,
    }
}

/// Keeps a slot while the peer has not answered.
pub(crate) fn reserve<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    owner: u16,
    policy: PolicyId,
) -> Result<Spi, FailReason> {
    let fresh = endpoint.children.fresh_spi(&mut endpoint.random).map_err(|_| FailReason::Internal)?;
    let inbound = fresh.ok_or(FailReason::NoChildSlot)?;
    endpoint.children.insert(Child {
        owner,
        inbound,
        outbound: None,
        policy,
        algorithm: None,
        peer: None,
        local_ts: TrafficSelectors::new(),
        remote_ts: TrafficSelectors::new(),
        stage: Stage::Reserved,
        unsure_until: None,
        renewal_owed: false,
        update_owed: false,
        sending: Sending::Yes,
    });
    Ok(inbound)
}

/// What the keys of a pair are made of, and when it may carry our packets.
pub(crate) struct Making<'a> {
    /// Ours in the exchange that makes it.
    pub(crate) role: Role,
    pub(crate) prf: Prf,
    pub(crate) sk_d: &'a PrfOutput,
    pub(crate) secrets: Option<Secrets<'a>>,
    pub(crate) nonces: Nonces<'a>,
    pub(crate) nat: Nat,
    /// The peer is known to have it, so it may send at once (RFC 7296 §2.8).
    pub(crate) may_send: bool,
    /// See [`Child::unsure_until`].
    pub(crate) unsure_until: Option<Instant>,
}

/// Hands the pair to the data plane and reports it.
pub(crate) fn install<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    owner: u16,
    sa: &IkeSa,
    making: &Making<'_>,
    proven: &Proven,
    agreement: Agreement,
) {
    let Agreement { policy, mode, choice, inbound, local_ts, remote_ts, .. } = agreement;
    let Making { role, prf, sk_d, secrets, nonces, nat, may_send, .. } = *making;
    let keys = ChildKeys::new(&endpoint.crypto, prf, sk_d, choice.algorithm, secrets, nonces);
    let encapsulation = nat.encapsulation(&sa.path);
    // Without randomness there is no jitter, but there is still a limit.
    let random = endpoint.random.try_next_u32().unwrap_or(0);
    endpoint.children.insert(Child {
        owner,
        inbound,
        outbound: Some(choice.outbound),
        policy,
        algorithm: Some(choice.algorithm),
        // A flow of nobody's is in nobody's way (RFC 7619 §3).
        peer: (proven.level > Level::Null).then_some(proven.key),
        local_ts: local_ts.clone(),
        remote_ts: remote_ts.clone(),
        stage: Stage::Live,
        unsure_until: making.unsure_until,
        renewal_owed: false,
        update_owed: false,
        sending: Sending::Yes,
    });
    endpoint.outbox.event(Event::Install(ChildSa {
        policy,
        inbound,
        outbound: choice.outbound,
        mode,
        local: sa.path.local.ip(),
        remote: sa.path.peer(),
        encapsulation,
        extended_sequence: choice.extended_sequence,
        local_ts: local_ts.clone(),
        remote_ts: remote_ts.clone(),
        lifetime: endpoint.config.timing.child_lifetime(choice.extended_sequence, random),
        level: proven.level,
        peer: proven.key,
        may_send,
        keys: keys.pair(role),
    }));
    if proven.level > Level::Null {
        endpoint.displace_nobody(&local_ts, &remote_ts);
    }
    endpoint.outbox.event(Event::ChildEstablished(ChildEstablished {
        ike: sa.spis,
        peer: proven.peer,
        policy,
        inbound,
        outbound: choice.outbound,
        mode,
        algorithm: choice.algorithm,
        extended_sequence: choice.extended_sequence,
        encapsulated: encapsulation.is_some(),
        level: proven.level,
        local_ts,
        remote_ts,
    }));
}

/// What the peer is told about a Child SA that we refuse; its IKE SA stands (RFC 7296 §1.2).
pub(crate) fn refusal(reason: FailReason) -> NotifyType {
    match reason {
        FailReason::NoProposal(_) | FailReason::ModeUnacceptable => NotifyType::NO_PROPOSAL_CHOSEN,
        FailReason::NoChildSlot | FailReason::Internal => NotifyType::NO_ADDITIONAL_SAS,
        _ => NotifyType::TS_UNACCEPTABLE,
    }
}
