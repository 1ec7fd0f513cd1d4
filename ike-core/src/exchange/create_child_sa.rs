//! CREATE_CHILD_SA (RFC 7296 §1.3): a pair of Child SAs beside those that stand, a pair in place of one,
//! or an IKE SA in place of this one.
//!
//! ```text
//! new         SK { SA Ni [KEi] TSi TSr [N(USE_TRANSPORT_MODE)] }
//! successor   SK { N(REKEY_SA) SA Ni [KEi] TSi TSr [N(USE_TRANSPORT_MODE)] }
//! answer      SK { SA Nr [KEr] TSi TSr [N(USE_TRANSPORT_MODE)] }
//! IKE SA      SK { SA Ni KEi }, answered by SK { SA Nr KEr }
//! ```
//! Where an additional key exchange is agreed on, the answer carries N(ADDITIONAL_KEY_EXCHANGE) too, and
//! nothing is made before IKE_FOLLOWUP_KE ([`super::ike_followup_ke`]).
//!
//! A successor stands before the old SA goes: the responder can receive on it before it answers and
//! sends on it when it hears on it, the initiator uses it with the answer and then deletes the old one
//! (RFC 7296 §2.8). Where both ends ask for the same at once, two successors come to be, and that whose
//! exchange has the lowest of the four nonces goes again (RFC 7296 §2.8.1, §2.8.2).

use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use crate::child_sa::{Child, Stage};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::CloseReason;
use crate::exchange::ike_auth::peer::Proven;
use crate::exchange::{informational, mobike};
use crate::handshake::{Aim, CompletingChild, Creating, Handshake, Rekeying, Tried};
use crate::ike_sa::procedure::Ours;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{Established, IkeSa, Standing, State};

/// How long TEMPORARY_FAILURE is taken for temporary.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) mod child;
pub(crate) mod ike_sa;
pub(crate) mod initiator;
pub(crate) mod responder;

/// Begins the next thing that was put off, if no request of ours waits for its answer: Deletes first, so
/// that there is room, then the successor of the IKE SA, then those of Child SAs, then what is new.
pub(crate) fn resume<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
) {
    mobike::resume(endpoint, sa, now);
    informational::delete_children(endpoint, slot, sa, now);
    let Some(established) = sa.current() else {
        return;
    };
    if sa.window.next_request().is_none() || sa.timers.is_set(Timer::Resume) {
        return;
    }
    // What the peer has begun comes first: nothing else but Deletes can meet it.
    if sa.followup.is_some() {
        return;
    }
    if !established.is_ending && (established.renewal_owed || sa.window.is_nearly_used_up()) {
        let tried = Tried::from_iter([established.suite.group]);
        return ike_sa::initiator::begin(endpoint, sa, tried, now);
    }
    let group = established.suite.group;
    match next_child(endpoint, slot, now) {
        Some(aim) => {
            let is_pfs = endpoint.config.policy(aim.policy()).is_some_and(|policy| policy.pfs);
            let tried = is_pfs.then_some(group).into_iter().collect();
            child::initiator::begin(endpoint, slot, sa, aim, tried, now);
        }
        None if endpoint.children.is_waiting(slot, now) => {
            sa.timers.set(Timer::Resume, now + endpoint.config.timing.retransmission);
        }
        None => forgive(sa),
    }
}

/// Whether anything was put off.
pub(crate) fn owes_something<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, slot: u16, sa: &IkeSa) -> bool {
    sa.current().is_some_and(|established| {
        established.renewal_owed
            || endpoint.desk.wants.has_any(slot)
            || endpoint.children.of(slot).any(|child| child.renewal_owed)
    })
}

fn next_child<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, slot: u16, now: Instant) -> Option<Aim> {
    let is_due = |child: &&Child| child.renewal_owed && child.stage == Stage::Live && child.is_known(now);
    let due = endpoint.children.of(slot).find(is_due).map(Aim::successor);
    match due {
        Some(aim) => {
            if let Aim::Successor { of, .. } = &aim {
                endpoint.children.change(*of, |child| child.renewal_owed = false);
            }
            Some(aim)
        }
        None => endpoint.desk.wants.take(slot).map(Aim::New),
    }
}

/// Tries it again later.
pub(crate) fn put_off<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    aim: Aim,
    now: Instant,
) {
    match aim {
        Aim::Successor { of, .. } => {
            endpoint.children.change(of, |child| child.renewal_owed = true);
        }
        // When there is no room, the packet that asked for it asks again.
        Aim::New(wanted) => _ = endpoint.desk.wants.note(slot, wanted),
    }
    try_later(endpoint, sa, now);
}

/// Does for a while without requests of its own, for longer the longer it has been refused. Where both ends have
/// refused each other, both wait alike and would meet again: the one that wants a Child SA lets the successor of the
/// IKE SA go first.
fn try_later<C: Crypto, R: TryCryptoRng>(endpoint: &mut Endpoint<'_, C, R>, sa: &mut IkeSa, now: Instant) {
    let refused = sa.established().and_then(|established| established.refused_since);
    let so_far = refused.map_or(Duration::ZERO, |since| now.since(since));
    let gives_way = sa.established().is_some_and(|established| established.gives_way);
    let courtesy = if gives_way { endpoint.config.timing.courtesy() } else { Duration::ZERO };
    // Without randomness there is no jitter, but there is still another try.
    let random = endpoint.random.try_next_u32().unwrap_or(0);
    sa.timers.set(Timer::Resume, now + endpoint.config.timing.respite(random) + courtesy + so_far / 2);
}

/// The peer cannot do now what it was asked for. Whoever says so for minutes does not know the same as we
/// do, and the IKE SA ends (RFC 7296 §2.25); says whether that is so.
fn is_out_of_step<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
) -> bool {
    let State::Established(established) = &mut sa.state else {
        return false;
    };
    let since = *established.refused_since.get_or_insert(now);
    let is_over = now.since(since) > PATIENCE;
    if is_over {
        endpoint.close_sa(slot, sa, CloseReason::OutOfStep, now);
    }
    is_over
}

/// The peer did what it was asked for, or nothing more is asked.
fn forgive(sa: &mut IkeSa) {
    if let State::Established(established) = &mut sa.state {
        established.refused_since = None;
    }
}

/// What our request that waits for its answer does.
pub(crate) fn ours<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, sa: &IkeSa) -> Ours {
    match &sa.state {
        State::Closing(..) => return Ours::ClosingIkeSa,
        State::Established(Established {
            standing: Standing::Replaced | Standing::Redundant | Standing::Yielding,
            ..
        }) => {
            return Ours::Succeeded;
        }
        _ => {}
    }
    match sa.window.outstanding().map(|outstanding| outstanding.purpose) {
        None
        | Some(Purpose::Handshake | Purpose::Liveness | Purpose::UpdateAddresses | Purpose::CheckAddress) => {
            Ours::Nothing
        }
        Some(Purpose::DeleteIkeSa) => Ours::ClosingIkeSa,
        Some(Purpose::DeleteChild) => Ours::DeletingChildren,
        Some(Purpose::CreateChild(_)) => match endpoint.creation(sa) {
            Some(Handshake::Creating(Creating { aim: Aim::Successor { of, .. }, .. })) => {
                Ours::RekeyingChild(*of)
            }
            Some(Handshake::CompletingChild(CompletingChild { aim: Aim::Successor { of, .. }, .. })) => {
                Ours::CompletingChild(*of)
            }
            Some(Handshake::Rekeying(Rekeying { rival_slot: Some(_), .. })) => Ours::Succeeded,
            Some(Handshake::Rekeying(_)) => Ours::RekeyingIkeSa,
            Some(Handshake::CompletingIkeSa(_)) => Ours::CompletingIkeSa,
            _ => Ours::CreatingChild,
        },
    }
}

/// Who the peer of an IKE SA proved to be.
fn proven(established: &Established) -> Proven {
    Proven {
        peer: established.peer,
        behind: established.behind,
        identity: established.identity.clone(),
        key: established.key,
        level: established.level,
        method: established.method,
        fingerprint: None,
        public: None,
    }
}
