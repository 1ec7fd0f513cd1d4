//! MOBIKE (RFC 4555): the end that began an IKE SA moves it to another address of its own, and the Child
//! SAs in tunnel mode go along.
//!
//! ```text
//! I ─▶ R   SK { N(UPDATE_SA_ADDRESSES) N(NAT_S) N(NAT_D) }      from the new address
//! R ─▶ I   SK { N(NAT_S) N(NAT_D) }
//! R ─▶ I   SK { N(COOKIE2) }                                    whether it is really there
//! I ─▶ R   SK { N(COOKIE2) }
//! ```
//!
//! A router has one address towards its peers, so this is left out: lists of further addresses (§3.4,
//! §3.6; such notifications are ignored), choosing among addresses and testing paths (§3.10), a responder
//! that moves (§3.5, §3.6: it begins anew), and NO_NATS_ALLOWED (§3.9: NAT traversal is always there).
//! Transport mode is not in the scope of the RFC (§1.1).

use esp_engine::sa::Mode;
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::ike_auth::child::mode_of;
use super::{seal, send_request};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::CloseReason;
use crate::ike_sa::keys::Role;
use crate::ike_sa::nat::{Detection, Nat};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, State};
use crate::output::Path;
use crate::wire::NoSpace;
use crate::wire::code_point::ExchangeType;
use crate::wire::notify::{MAX_COOKIE, NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::writer::Writer;

/// Octets of our COOKIE2.
const COOKIE2: usize = 16;

/// What an IKE SA with MOBIKE remembers.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Mobility {
    /// We began the first IKE SA of the line, whoever rekeyed it since: so it is us who moves (RFC 4555
    /// §1.3).
    began: bool,
    owed: Owed,
    /// What has to come back from the peer's new address.
    cookie2: [u8; COOKIE2],
    /// Where the peer last saw us, hashed.
    mapping: Option<[u8; 20]>,
}

/// What is to be said about addresses as soon as no other request waits for its answer.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
enum Owed {
    #[default]
    Nothing,
    /// UPDATE_SA_ADDRESSES: we moved.
    Update,
    /// COOKIE2: the peer says that it moved.
    Check,
}

/// Whether we offer MOBIKE for a negotiation that serves this policy.
pub(crate) fn is_wanted<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, policy: PolicyId) -> bool {
    let mode = endpoint.config.policy(policy).map(mode_of);
    endpoint.config.mobike && mode == Some(Mode::Tunnel)
}

/// Announces it, in either role.
pub(crate) fn write_supported(is_supported: bool, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    if is_supported { NotifyView::put(NotifyType::MOBIKE_SUPPORTED, &[], writer) } else { Ok(()) }
}

/// Both ends announced it.
pub(crate) fn agree(sa: &mut IkeSa) {
    let began = sa.role == Role::Initiator;
    if let State::Established(established) = &mut sa.state {
        established.mobility = Some(Mobility { began, ..Mobility::default() });
    }
}

/// What the answer to an INFORMATIONAL request says about addresses.
pub(super) struct Answer {
    cookie2: heapless::Vec<u8, MAX_COOKIE>,
    detection: Option<Detection>,
    verdict: Verdict,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Verdict {
    Nothing,
    /// UNACCEPTABLE_ADDRESSES.
    Refuse,
    /// The peer is where the request came from.
    Move(Nat),
}

/// Judges a request; nothing changes yet.
pub(super) fn judge<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    sa: &IkeSa,
    path: &Path,
    payloads: &Payloads<'_>,
) -> Answer {
    let mut answer = Answer { cookie2: heapless::Vec::new(), detection: None, verdict: Verdict::Nothing };
    let Some((established, mobility)) = sa.established().and_then(|e| Some((e, e.mobility?))) else {
        return answer;
    };
    let cookie2 = payloads.notify(NotifyType::COOKIE2).and_then(|notify| notify.cookie2());
    answer.cookie2.extend(cookie2.unwrap_or_default().iter().copied());
    let pretended = endpoint.config.force_encapsulation;
    if payloads.notify(NotifyType::NAT_DETECTION_SOURCE_IP).is_some() {
        answer.detection = Some(Detection::new(&endpoint.crypto, sa.spis, path, pretended));
    }
    // Only whoever began the IKE SA moves it.
    if !mobility.began && payloads.notify(NotifyType::UPDATE_SA_ADDRESSES).is_some() {
        answer.verdict = if endpoint.config.is_taken(endpoint.own(), established.peer, path.peer()) {
            Verdict::Refuse
        } else {
            Verdict::Move(Nat::detect(&endpoint.crypto, payloads, sa.spis, path, pretended))
        };
    }
    answer
}

impl Answer {
    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        if self.verdict == Verdict::Refuse {
            NotifyView::put(NotifyType::UNACCEPTABLE_ADDRESSES, &[], writer)?;
        }
        if let Some(detection) = &self.detection {
            detection.write(writer)?;
        }
        if self.cookie2.is_empty() {
            return Ok(());
        }
        NotifyView::put(NotifyType::COOKIE2, &self.cookie2, writer)
    }
}

/// The answer left: the IKE SA moves, and the peer is asked whether it is really there before the Child
/// SAs go along (RFC 4555 §3.7).
pub(super) fn carry_out<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    path: Path,
    answer: &Answer,
    now: Instant,
) {
    let Verdict::Move(nat) = answer.verdict else {
        return;
    };
    sa.path = path;
    take_nat(endpoint, sa, nat, now);
    owe(sa, Owed::Check);
    resume(endpoint, sa, now);
}

/// Whether we may move this IKE SA.
pub(crate) fn may_move(sa: &IkeSa) -> bool {
    sa.established().and_then(|established| established.mobility).is_some_and(|mobility| mobility.began)
}

/// Our own address is another now.
pub(crate) fn move_to<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    path: Path,
    now: Instant,
) {
    sa.path = path;
    endpoint.children.relocate(slot);
    owe(sa, Owed::Update);
    resume(endpoint, sa, now);
}

fn owe(sa: &mut IkeSa, owed: Owed) {
    if let Some(mobility) = mobility(sa) {
        mobility.owed = owed;
    }
}

fn mobility(sa: &mut IkeSa) -> Option<&mut Mobility> {
    match &mut sa.state {
        State::Established(established) => established.mobility.as_mut(),
        _ => None,
    }
}

fn take_nat<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, sa: &mut IkeSa, nat: Nat, now: Instant) {
    if let State::Established(established) = &mut sa.state {
        established.nat = nat;
    }
    let keepalive = endpoint.config.timing.keepalive;
    if nat.local && !keepalive.is_zero() {
        sa.timers.set(Timer::Keepalive, now + keepalive);
    } else {
        sa.timers.stop(Timer::Keepalive);
    }
}

/// Says what is owed, if no request of ours waits for its answer.
pub(super) fn resume<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    now: Instant,
) {
    let owed = mobility(sa).map_or(Owed::Nothing, |mobility| mobility.owed);
    let (Some(id), false) = (sa.window.next_request(), owed == Owed::Nothing) else {
        return;
    };
    let Ok(cookie2) = endpoint.random.array::<COOKIE2>() else {
        return;
    };
    let detection = Detection::new(&endpoint.crypto, sa.spis, &sa.path, endpoint.config.force_encapsulation);
    let header = sa.header(ExchangeType::INFORMATIONAL, false, id);
    let message = seal(endpoint, sa, &header, |writer| match owed {
        Owed::Check => NotifyView::put(NotifyType::COOKIE2, &cookie2, writer),
        Owed::Update | Owed::Nothing => {
            NotifyView::put(NotifyType::UPDATE_SA_ADDRESSES, &[], writer)?;
            detection.write(writer)
        }
    });
    let Some(message) = message else {
        return;
    };
    if let Some(mobility) = mobility(sa) {
        mobility.owed = Owed::Nothing;
        mobility.cookie2 = cookie2;
    }
    let purpose = if owed == Owed::Check { Purpose::CheckAddress } else { Purpose::UpdateAddresses };
    send_request(endpoint, sa, message, purpose, now);
}

/// What a question whether the peer lives carries beside: behind a NAT the answer shows whether the
/// mapping is the same (RFC 4555 §3.8).
pub(super) fn beside_probe<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, sa: &IkeSa) -> Option<Detection> {
    let established = sa.established()?;
    let is_watched = established.nat.local && established.mobility?.began;
    let pretended = endpoint.config.force_encapsulation;
    is_watched.then(|| Detection::new(&endpoint.crypto, sa.spis, &sa.path, pretended))
}

/// The peer answered a request of ours with this purpose; says why the IKE SA has to end now, if so.
pub(super) fn conclude<C: Crypto, R>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    purpose: Purpose,
    (path, payloads): (&Path, &Payloads<'_>),
) -> Option<CloseReason> {
    let spis = sa.spis;
    // When another move came in between, what the answer says is of yesterday.
    let mobility = mobility(sa).filter(|mobility| mobility.owed == Owed::Nothing)?;
    let seen = payloads.notify(NotifyType::NAT_DETECTION_DESTINATION_IP);
    let seen = seen.and_then(|notify| notify.nat_detection().copied());
    match purpose {
        Purpose::CheckAddress => {
            let cookie2 = mobility.cookie2;
            if payloads.notify(NotifyType::COOKIE2).is_none_or(|notify| notify.data != cookie2) {
                return Some(CloseReason::RefusedByPeer(NotifyType::COOKIE2.0));
            }
            endpoint.children.relocate(slot);
        }
        Purpose::UpdateAddresses => {
            mobility.mapping = seen;
            let refused = NotifyType::UNACCEPTABLE_ADDRESSES;
            if payloads.notify(refused).is_some() {
                return Some(CloseReason::RefusedByPeer(refused.0));
            }
            if seen.is_some() {
                let pretended = endpoint.config.force_encapsulation;
                let nat = Nat::detect(&endpoint.crypto, payloads, spis, path, pretended);
                take_nat(endpoint, sa, nat, now);
                endpoint.children.relocate(slot);
            }
        }
        Purpose::Liveness if seen.is_some() && mobility.mapping != seen => mobility.owed = Owed::Update,
        _ => {}
    }
    None
}
