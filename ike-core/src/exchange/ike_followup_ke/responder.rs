//! IKE_FOLLOWUP_KE as responder: what was promised in CREATE_CHILD_SA, and the request that it is made upon.

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::PATIENCE;
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::error::{Discarded, FailReason};
use crate::exchange::create_child_sa::responder::{Fresh, Refusal, exchange_keys, refuse};
use crate::exchange::create_child_sa::{self, child, ike_sa, ours, owes_something};
use crate::exchange::{self, Received, informational};
use crate::handshake::{Followup, Handshake, Promised};
use crate::ike_sa::IkeSa;
use crate::ike_sa::keys::{Role, Secrets};
use crate::ike_sa::procedure::{Theirs, Verdict, decide};
use crate::ike_sa::timer::Timer;
use crate::resources::free_slot;
use crate::wire::code_point::ExchangeType;
use crate::wire::notify::NotifyType;
use crate::wire::payloads::Payloads;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// Whether there is room for a promise to the peer of this IKE SA: the last place in the pool is for
    /// handshakes, and a new promise takes the place of an old one.
    pub(crate) fn may_promise(&self, sa: &IkeSa) -> bool {
        let free = self.handshakes.iter().filter(|handshake| handshake.is_none()).count();
        free + usize::from(sa.followup.is_some()) > usize::from(self.handshakes.len() > 1)
    }

    /// Promises an SA. A peer that begins anew has given up what it was promised before.
    pub(crate) fn promise(&mut self, sa: &mut IkeSa, followup: Followup, now: Instant) {
        self.drop_followup(sa);
        let index = free_slot(self.handshakes).and_then(|index| u8::try_from(index).ok());
        if let Some(index) = index
            && let Some(entry) = self.handshakes.get_mut(usize::from(index))
        {
            *entry = Some(Handshake::Followup(followup));
            sa.followup = Some(index);
            sa.timers.set(Timer::Followup, now + PATIENCE);
        }
    }

    /// Takes the promise out, to keep it.
    fn take_followup(&mut self, sa: &mut IkeSa) -> Option<Followup> {
        let entry = self.handshakes.get_mut(usize::from(sa.followup?))?;
        let followup = entry.take_if(|handshake| matches!(handshake, Handshake::Followup(_)))?;
        sa.followup = None;
        sa.timers.stop(Timer::Followup);
        if let Handshake::Followup(followup) = followup { Some(followup) } else { None }
    }
}

/// The peer does not go on: what was put off for it has its turn (RFC 9370 §2.2.4).
pub(crate) fn expire<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
) {
    endpoint.drop_followup(sa);
    create_child_sa::resume(endpoint, slot, sa, now);
}

/// The peer's request.
#[inline(never)]
pub(crate) fn handle_request<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: Received<'_>,
) -> Result<(), Discarded> {
    let Some(payloads) = informational::well_formed(endpoint, slot, sa, now, &received)? else {
        return Ok(());
    };
    match answer(endpoint, slot, sa, now, &received, payloads) {
        Ok(()) => Ok(()),
        Err(refused) => {
            let keeps = matches!(refused, Refusal::None(_) | Refusal::Notify(NotifyType::STATE_NOT_FOUND));
            refuse(endpoint, slot, sa, now, &received, refused)?;
            if !keeps {
                endpoint.drop_followup(sa);
            }
            Ok(())
        }
    }
}

/// Makes what was promised and answers.
fn answer<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    now: Instant,
    received: &Received<'_>,
    payloads: &Payloads<'_>,
) -> Result<(), Refusal> {
    let link = payloads.notify(NotifyType::ADDITIONAL_KEY_EXCHANGE);
    let is_linked = |f: &&Followup| link.is_some_and(|link| link.data == f.promised.link());
    let Some(followup) = endpoint.followup(sa).filter(is_linked) else {
        return Err(Refusal::Notify(NotifyType::STATE_NOT_FOUND));
    };
    let group = followup.group;
    let verdict = judge(endpoint, slot, sa)?;
    let ke = payloads.ke.as_ref().filter(|ke| ke.method.0 == group.id()).ok_or(Refusal::Broken)?;
    let fresh = exchange_keys(endpoint, group, ke)?;
    let header = sa.header(ExchangeType::IKE_FOLLOWUP_KE, true, received.header.message_id);
    let response = exchange::seal(endpoint, sa, &header, |writer| fresh.write(writer))
        .ok_or(Refusal::None(Discarded::NoBuffer))?;
    if let Some(followup) = endpoint.take_followup(sa) {
        fulfil(endpoint, slot, sa, followup, &fresh, verdict == Verdict::Rival, now);
    }
    exchange::send_response(endpoint, sa, received.path, received.fingerprint, response, now);
    Ok(())
}

/// Whether what was promised may be made now: the same is decided as when it was asked for.
fn judge<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, slot: u16, sa: &IkeSa) -> Result<Verdict, Refusal> {
    let Some(Followup { promised, .. }) = endpoint.followup(sa) else {
        return Err(Refusal::Notify(NotifyType::STATE_NOT_FOUND));
    };
    let (theirs, taken) = match promised {
        Promised::IkeSa { .. } => (Theirs::RekeyIkeSa, false),
        Promised::Child(agreement, old) => {
            let key = sa.established().map(|established| established.key);
            let (local, remote) = (&agreement.local_ts, &agreement.remote_ts);
            let is_taken = key.is_none_or(|key| endpoint.children.is_taken(key, local, remote));
            let old = *old;
            let stage = |spi| endpoint.children.look(spi).filter(|c| c.owner == slot).map(|c| (spi, c.stage));
            (old.map_or(Theirs::CreateChild, |old| Theirs::RekeyChild(stage(old))), is_taken)
        }
    };
    match decide(ours(endpoint, sa), theirs) {
        // Meanwhile the flow has come to live under another key.
        _ if taken => Err(Refusal::Failed(FailReason::OtherKeysFlow)),
        verdict @ (Verdict::Normal | Verdict::Rival) => Ok(verdict),
        Verdict::NotNow | Verdict::Crossed | Verdict::NotFound => {
            Err(Refusal::Notify(NotifyType::TEMPORARY_FAILURE))
        }
    }
}

fn fulfil<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    slot: u16,
    sa: &mut IkeSa,
    followup: Followup,
    fresh: &Fresh,
    is_rival: bool,
    now: Instant,
) {
    let Followup { promised, first, .. } = followup;
    let secrets = Secrets { first: &first.secret, additional: Some(&fresh.secret) };
    let nonces = first.nonces(Role::Responder);
    match promised {
        Promised::Child(agreement, old) => {
            let made = (agreement, old);
            child::responder::install(endpoint, slot, sa, Some(secrets), nonces, made, now);
        }
        Promised::IkeSa { slot: place, spis, choice } => {
            let keys = (secrets, nonces);
            ike_sa::responder::fulfil(endpoint, (slot, sa), (place, spis, &choice), keys, is_rival, now);
        }
    }
    // What was put off goes on when the peer has had time to take our answer.
    if owes_something(endpoint, slot, sa) && !sa.timers.is_set(Timer::Resume) {
        sa.timers.set(Timer::Resume, now + endpoint.config.timing.retransmission);
    }
}
