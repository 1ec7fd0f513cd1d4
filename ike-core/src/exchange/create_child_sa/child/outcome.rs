//! What comes of a Child SA that we asked for: a pair in place of another, one that goes again, or none.

use esp_engine::sa::Spi;
use esp_engine::spd::Level;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::super::{forgive, is_out_of_step, proven, put_off};
use crate::child_sa::{Sending, Stage};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, FailReason};
use crate::exchange::ike_auth::child::{self, Agreement, Making};
use crate::handshake::Aim;
use crate::ike_sa::keys::{Nonces, Role, Secrets};
use crate::ike_sa::{IkeSa, State};
use crate::output::Event;
use crate::wants::Wanted;
use crate::wire::notify::NotifyType;

/// Installs the pair and says which one goes: `is_redundant`, the nonces tell that it is this one.
#[expect(clippy::too_many_arguments, reason = "all of them are what a pair is made of")]
pub(super) fn conclude<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    aim: &Aim,
    is_redundant: bool,
    nonces: Nonces<'_>,
    secrets: Option<Secrets<'_>>,
    agreement: Agreement,
) {
    forgive(sa);
    let Some(established) = sa.established() else {
        return;
    };
    let making = Making {
        role: Role::Initiator,
        prf: established.suite.prf,
        sk_d: &established.sk_d,
        secrets,
        nonces,
        nat: established.nat,
        may_send: !is_redundant,
        unsure_until: None,
    };
    let inbound = agreement.inbound;
    child::install(endpoint, slot, sa, &making, &proven(established), agreement);
    match aim {
        Aim::New(wanted) => endpoint.desk.setbacks.succeeded(wanted.policy, sa.path.peer()),
        // The pair whose exchange has the lowest of the four nonces goes (RFC 7296 §2.8.1).
        Aim::Successor { .. } if is_redundant => {
            endpoint.children.advance(slot, &[inbound.get()], Stage::DeleteOwed);
            retire(endpoint, inbound);
            keep_owed(endpoint, aim);
        }
        Aim::Successor { of, .. } => {
            prevail(endpoint, sa, aim);
            retire(endpoint, *of);
            supersede(endpoint, *of);
        }
    }
}

/// Nothing more is sent on a pair that we delete: the peer may forget it long before we hear so.
fn retire<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, spi: Spi) {
    if endpoint.children.find(spi).is_some_and(|child| child.sending == Sending::Yes) {
        endpoint.children.change(spi, |child| child.sending = Sending::Ended);
        endpoint.outbox.event(Event::Retire(spi));
    }
}

/// The old pair has a successor and goes, unless its end has come for another reason.
fn supersede<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, of: Spi) {
    endpoint.children.change(of, |child| {
        if child.stands() {
            child.stage = Stage::DeleteOwed;
            child.renewal_owed = false;
        }
    });
}

/// Ours is the exchange that stays: of the peer's, what it was promised is not made, and what was made it will
/// delete.
pub(super) fn prevail<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    aim: &Aim,
) {
    let Aim::Successor { of, .. } = aim else {
        return;
    };
    endpoint.children.change(*of, |child| {
        if child.stage == Stage::Replaced {
            child.stage = Stage::Live;
        }
    });
    if endpoint.promises_successor_of(sa, *of) {
        endpoint.drop_followup(sa);
    }
}

/// The peer has installed what we refuse.
pub(super) fn take_back<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &IkeSa,
    aim: &Aim,
    inbound: Spi,
    reason: FailReason,
    now: Instant,
) {
    endpoint.children.advance(slot, &[inbound.get()], Stage::DeleteOwed);
    if let Aim::New(wanted) = aim {
        endpoint.desk.setbacks.failed(wanted.policy, sa.path.peer(), now);
    }
    endpoint.fail(sa, None, reason);
}

/// The successor is still to come, from the peer or from our next try.
pub(super) fn keep_owed<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, aim: &Aim) {
    if let Aim::Successor { of, .. } = aim
        && endpoint.children.find(*of).is_some_and(|child| child.stage == Stage::Live)
    {
        endpoint.children.change(*of, |child| child.renewal_owed = true);
    }
}

/// Nothing comes of it, for now or for good.
pub(super) fn give_up<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    aim: Aim,
    kind: NotifyType,
    now: Instant,
) {
    let reason = FailReason::Refused(kind.0);
    match &aim {
        _ if matches!(kind, NotifyType::INVALID_SYNTAX | NotifyType::AUTHENTICATION_FAILED) => {
            endpoint.end(slot, sa, CloseReason::RefusedByPeer(kind.0));
        }
        // The peer's Delete or its own successor overtook the answer.
        aim if !is_still_wanted(endpoint, aim) => {}
        _ if matches!(kind, NotifyType::TEMPORARY_FAILURE | NotifyType::STATE_NOT_FOUND) => {
            if !is_out_of_step(endpoint, slot, sa, now) {
                put_off(endpoint, slot, sa, aim, now);
            }
        }
        Aim::Successor { of, policy, .. } if kind == NotifyType::CHILD_SA_NOT_FOUND => {
            endpoint.children.advance(slot, &[of.get()], Stage::Removed);
            if !sa.is_ending() {
                let wanted = Wanted { policy: *policy, packet: None, like: None };
                // When there is no room, the next packet asks for it.
                let _ = endpoint.desk.wants.note(slot, wanted);
            }
        }
        Aim::Successor { of, .. } => {
            endpoint.fail(sa, None, reason);
            // What this IKE SA cannot bring, another one may (RFC 7296 §2.8.3).
            endpoint.desk.due = Some(*of);
        }
        Aim::New(wanted)
            if kind == NotifyType::TS_UNACCEPTABLE && endpoint.begin_apart(slot, sa, wanted, now) => {}
        Aim::New(wanted) => {
            let level = sa.established().map(|established| established.level);
            if let Some(packet) = wanted.packet
                && kind == NotifyType::TS_UNACCEPTABLE
                && level >= Some(Level::Validated)
            {
                endpoint.open(now, wanted.policy, packet.destination);
            }
            if kind == NotifyType::NO_ADDITIONAL_SAS
                && let State::Established(established) = &mut sa.state
            {
                established.is_full = true;
            } else {
                endpoint.desk.setbacks.failed(wanted.policy, sa.path.peer(), now);
            }
            endpoint.fail(sa, None, reason);
        }
    }
}

/// Whether it has not been done or made needless by the peer.
pub(super) fn is_still_wanted<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, aim: &Aim) -> bool {
    match aim {
        Aim::New(_) => true,
        Aim::Successor { of, .. } => endpoint.children.find(*of).is_some_and(|c| c.stage == Stage::Live),
    }
}
