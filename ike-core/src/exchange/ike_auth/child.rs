//! The first Child SA: which policy it serves, which selectors it has, whose it is (RFC 7296 §2.9,
//! RFC 4301 §4.4.3.3). Both roles; what is refused never reaches the data plane.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use esp_engine::sa::{ChildSa, Mode, Spi};
use esp_engine::selector::{AddressRange, TrafficSelector, TrafficSelectors};
use esp_engine::spd::{Action, PolicyId};
use rand_core::TryCryptoRng;

use super::is_somebody;
use super::peer::Proven;
use crate::child_sa::Child;
use crate::config::{IkePolicy, Peer};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::FailReason;
use crate::handshake::{Agreed, Want};
use crate::ike_sa::IkeSa;
use crate::ike_sa::keys::ChildKeys;
use crate::ike_sa::nat::Nat;
use crate::narrow::{is_subset, narrow};
use crate::output::{ChildEstablished, Event};
use crate::proposal::{self, EspChoice, PRF};
use crate::wire::notify::NotifyType;
use crate::wire::payloads::Payloads;
use crate::wire::sa::SaView;
use crate::wire::ts::TsView;

/// Selectors that are offered on one side: the packet's own, then the policy's.
pub(super) type Offered = heapless::Vec<TrafficSelector, 8>;

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
    translated: Translated,
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
struct Translated {
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
}

/// The one address of all selectors, if there is but one.
fn only_address(selectors: &TsView<'_>) -> Option<IpAddr> {
    let mut addresses = selectors.selectors().map(|ts| ts.addresses);
    let first = addresses.next()?;
    (first.is_single() && addresses.all(|other| other == first)).then_some(first.first())
}

fn readdress(selector: TrafficSelector, address: Option<IpAddr>) -> TrafficSelector {
    let addresses = address.map_or(selector.addresses, AddressRange::single);
    TrafficSelector { addresses, ..selector }
}

/// What an initiator offers for this want: TSi and TSr.
pub(super) fn offer(
    policy: &IkePolicy<'_>,
    want: &Want,
    local: IpAddr,
    remote: IpAddr,
) -> (Offered, Offered) {
    let mode = mode_of(policy);
    let packet = want.packet.as_ref();
    (
        selectors(packet.map(|p| p.source_selector()), policy.local, mode, local),
        selectors(packet.map(|p| p.destination_selector()), policy.remote, mode, remote),
    )
}

fn selectors(
    packet: Option<TrafficSelector>,
    policy: &[TrafficSelector],
    mode: Mode,
    end: IpAddr,
) -> Offered {
    let clipped = policy.iter().filter_map(|ts| clip(ts, mode, end));
    packet.into_iter().chain(clipped).take(8).collect()
}

/// In transport mode both ends are the ends of IKE.
fn clip(selector: &TrafficSelector, mode: Mode, end: IpAddr) -> Option<TrafficSelector> {
    match mode {
        Mode::Tunnel => Some(*selector),
        Mode::Transport => {
            let addresses = selector.addresses.intersect(&AddressRange::single(end))?;
            Some(TrafficSelector { addresses, ..*selector })
        }
    }
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

/// As responder: what of the peer's offer we take.
pub(super) fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    owner: u16,
    sa: &IkeSa,
    proven: &Proven,
    nat: Nat,
    payloads: &Payloads<'_>,
) -> Result<Agreement, FailReason> {
    let (Some(offer), Some(tsi), Some(tsr)) = (&payloads.sa, &payloads.tsi, &payloads.tsr) else {
        return Err(FailReason::BadMessage);
    };
    let choice = proposal::choose_esp(offer, endpoint.config.suites).map_err(FailReason::NoProposal)?;
    let is_transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
    let mut translated = Translated::default();
    if is_transport {
        translated.remote = only_address(tsi).filter(|_| nat.remote);
        translated.local = only_address(tsr).filter(|_| nat.local);
    }
    let fit = choose_policy(endpoint, sa, proven, (tsi, tsr), is_transport, translated)?;
    if endpoint.children.is_taken(proven.key, &fit.local_ts, &fit.remote_ts) {
        return Err(FailReason::OtherKeysFlow);
    }
    let inbound = reserve(endpoint, owner, fit.policy)?;
    let Fit { policy, mode, local_ts, remote_ts, more } = fit;
    Ok(Agreement { policy, mode, choice, inbound, local_ts, remote_ts, more, translated })
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
    translated: Translated,
) -> Result<Fit, FailReason> {
    let seen = |word: Option<IpAddr>, address| word.map(|_| address);
    let (near, far) =
        (seen(translated.local, sa.path.local.ip()), seen(translated.remote, sa.path.remote.ip()));
    let claims = endpoint.config.claims(proven.peer, sa.path.remote.ip());
    let mut failure = FailReason::SelectorsUnacceptable;
    for (policy, rule) in endpoint.config.policies() {
        let Action::Protect { mode, minimum } = rule.action else {
            continue;
        };
        let own = own_ranges(mode, sa.path.local.ip());
        let theirs = their_ranges(mode, claims.ranges(), sa.path.remote.ip());
        let local = narrow(tsr.selectors().map(|ts| readdress(ts, near)), rule.local, &own);
        let remote = narrow(tsi.selectors().map(|ts| readdress(ts, far)), rule.remote, &theirs);
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

/// As initiator: whether the peer's answer is within what we offered and it may have that.
pub(super) fn accept<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    sa: &IkeSa,
    proven: &Proven,
    want: &Want,
    inbound: Spi,
    (answer, tsi, tsr): (&SaView<'_>, &TsView<'_>, &TsView<'_>),
    is_transport: bool,
) -> Result<Agreement, FailReason> {
    let policy = endpoint.config.policy(want.policy).ok_or(FailReason::Internal)?;
    let Action::Protect { mode, minimum } = policy.action else {
        return Err(FailReason::Internal);
    };
    if proven.level < minimum {
        return Err(FailReason::LevelTooLow);
    }
    let choice = proposal::accept_esp(answer, endpoint.config.suites).ok_or(FailReason::AnswerNotOffered)?;
    if is_transport != (mode == Mode::Transport) {
        return Err(FailReason::ModeUnacceptable);
    }
    let (local_offer, remote_offer) = offer(policy, want, sa.path.local.ip(), sa.path.remote.ip());
    let local_ts = within(tsi, &local_offer)?;
    let remote_ts = within(tsr, &remote_offer)?;
    let translated = Translated::default();
    let claims = endpoint.config.claims(proven.peer, sa.path.remote.ip());
    if !remote_ts.iter().all(|selector| claims.cover(selector)) {
        return Err(FailReason::SelectorsUnacceptable);
    }
    if endpoint.children.is_taken(proven.key, &local_ts, &remote_ts) {
        return Err(FailReason::OtherKeysFlow);
    }
    Ok(Agreement { policy: want.policy, mode, choice, inbound, local_ts, remote_ts, more: false, translated })
}

/// The selectors of an answer, if all lie within the offer and an SA can hold them.
fn within(answer: &TsView<'_>, offer: &[TrafficSelector]) -> Result<TrafficSelectors, FailReason> {
    let mut selectors = TrafficSelectors::new();
    for selector in answer.selectors() {
        if !selectors.iter().any(|other| other.covers(&selector)) {
            selectors.retain(|other| !selector.covers(other));
            selectors.push(selector).map_err(|_| FailReason::AnswerNotOffered)?;
        }
    }
    if is_subset(&selectors, offer) { Ok(selectors) } else { Err(FailReason::AnswerNotOffered) }
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
