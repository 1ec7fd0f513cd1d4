//! The first Child SA: which policy it serves, which selectors it has, whose it is (RFC 7296 §2.9,
//! RFC 4301 §4.4.3.3). Both roles; what is refused never reaches the data plane.

use core::net::IpAddr;

use esp_engine::sa::{ChildSa, Mode, Spi};
use esp_engine::selector::{AddressRange, TrafficSelector, TrafficSelectors};
use esp_engine::spd::{Action, PolicyId};
use rand_core::TryCryptoRng;

use super::peer::Proven;
use crate::child_sa::Child;
use crate::config::IkePolicy;
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::handshake::Agreed;
use crate::ike_sa::IkeSa;
use crate::ike_sa::keys::ChildKeys;
use crate::output::{ChildEstablished, Event};
use crate::proposal::{EspChoice, PRF};
use crate::wire::notify::NotifyType;

pub(super) mod answer;
pub(super) mod offer;

/// A Child SA that both ends agree on.
pub(super) struct Agreement {
    pub(super) policy: PolicyId,
    pub(super) mode: Mode,
    pub(super) choice: EspChoice,
    pub(super) inbound: Spi,
    pub(super) local_ts: TrafficSelectors,
    pub(super) remote_ts: TrafficSelectors,
    /// The peer may ask for more (ADDITIONAL_TS_POSSIBLE).
    pub(super) more: bool,
    /// What the peer calls the two ends, where a NAT between us calls them otherwise.
    pub(super) translated: Translated,
}

impl Agreement {
    /// TSi and TSr of an answer, in the peer's words.
    pub(super) fn answered(&self) -> (TrafficSelectors, TrafficSelectors) {
        let in_words = |selectors: &TrafficSelectors, word: Option<IpAddr>| {
            selectors.iter().map(|ts| readdress(*ts, word)).collect::<TrafficSelectors>()
        };
        (in_words(&self.remote_ts, self.translated.remote), in_words(&self.local_ts, self.translated.local))
    }
}

/// In transport mode through a NAT the responder takes the addresses that it sees in place of those in
/// the selectors (RFC 7296 §2.23.1). These are the ones that were there.
#[derive(Copy, Clone, Default)]
pub(super) struct Translated {
    pub(super) local: Option<IpAddr>,
    pub(super) remote: Option<IpAddr>,
}

fn readdress(selector: TrafficSelector, address: Option<IpAddr>) -> TrafficSelector {
    let addresses = address.map_or(selector.addresses, AddressRange::single);
    TrafficSelector { addresses, ..selector }
}

pub(super) fn mode_of(policy: &IkePolicy<'_>) -> Mode {
    match policy.action {
        Action::Protect { mode, .. } => mode,
        Action::Bypass | Action::Discard => Mode::Tunnel,
    }
}

/// Keeps a slot while the peer has not answered.
pub(super) fn reserve<C: Crypto, R: TryCryptoRng>(
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
        peer: None,
        local_ts: TrafficSelectors::new(),
        remote_ts: TrafficSelectors::new(),
        removed: false,
        delete_owed: false,
    });
    Ok(inbound)
}

/// Hands the pair to the data plane and reports it.
pub(super) fn install<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    owner: u16,
    sa: &IkeSa,
    agreed: &Agreed,
    proven: &Proven,
    agreement: Agreement,
) {
    let Agreement { policy, mode, choice, inbound, local_ts, remote_ts, .. } = agreement;
    let sk_d = &agreed.keys.sk_d;
    let keys = ChildKeys::new(&endpoint.crypto, PRF, sk_d, choice.algorithm, None, agreed.nonces());
    let encapsulation = agreed.nat.encapsulation(&sa.path);
    endpoint.children.insert(Child {
        owner,
        inbound,
        outbound: Some(choice.outbound),
        policy,
        peer: Some(proven.key),
        local_ts: local_ts.clone(),
        remote_ts: remote_ts.clone(),
        removed: false,
        delete_owed: false,
    });
    endpoint.outbox.event(Event::Install(ChildSa {
        policy,
        inbound,
        outbound: choice.outbound,
        mode,
        local: sa.path.local.ip(),
        remote: sa.path.remote.ip(),
        encapsulation,
        extended_sequence: choice.extended_sequence,
        local_ts: local_ts.clone(),
        remote_ts: remote_ts.clone(),
        lifetime: endpoint.config.timing.child,
        level: proven.level,
        peer: proven.key,
        // There is no older SA to go on with, so the first one is used at once.
        may_send: true,
        keys: keys.pair(agreed.role),
    }));
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
pub(super) fn refusal(reason: FailReason) -> NotifyType {
    match reason {
        FailReason::NoProposal(_) | FailReason::ModeUnacceptable => NotifyType::NO_PROPOSAL_CHOSEN,
        FailReason::NoChildSlot | FailReason::Internal => NotifyType::NO_ADDITIONAL_SAS,
        _ => NotifyType::TS_UNACCEPTABLE,
    }
}
