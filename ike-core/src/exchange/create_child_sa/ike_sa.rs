//! A successor of the IKE SA by CREATE_CHILD_SA (RFC 7296 §1.3.2, §2.8, §2.18): fresh keys, SPIs and
//! Message IDs between ends that have proved who they are.
//!
//! Whoever asks is the original initiator of the new IKE SA. It lies in a slot of its own, because its SPI
//! hides the slot, and all Child SAs move there: they change their owner, and the data plane notices
//! nothing. The end that asked deletes the old one, and sends nothing else on it. Where both ends asked, two
//! successors come to be; the Child SAs are in the peer's until the nonces tell which one stays
//! (RFC 7296 §2.8.2).

use core::time::Duration;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use crate::config::Suite;
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::handshake::{Handshake, Rekeying};
use crate::ike_sa::keys::{self, IkeKeys, IkeSpis, Nonces, Role, Secrets};
use crate::ike_sa::timer::Timer;
use crate::ike_sa::{Established, IkeSa, Standing, State, cipher_keys};
use crate::output::{self, Event};

pub(super) mod initiator;
mod outcome;
pub(crate) mod responder;

/// How long an IKE SA waits for the Delete of the end that has to send it: longer than that end tries to
/// get our answer. Afterwards we send one.
const PATIENCE: Duration = Duration::from_secs(240);

/// What a successor is made of.
struct Making<'a> {
    /// Ours in the exchange that makes it.
    role: Role,
    spis: IkeSpis,
    suite: Suite,
    secrets: Secrets<'a>,
    nonces: Nonces<'a>,
}

/// A successor of `old` with the identities, the level and the addresses of that, under keys of its own.
fn successor<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    old: (&IkeSa, &Established),
    making: &Making<'_>,
    standing: Standing,
    now: Instant,
) -> IkeSa {
    let (old_sa, old) = old;
    let Making { role, spis, suite, secrets, nonces } = *making;
    let of_keys = keys::Suite { prf: suite.prf, cipher: suite.ike };
    let keys = IkeKeys::rekeyed(&endpoint.crypto, old.suite.prf, &old.sk_d, of_keys, secrets, nonces, spis);
    let mut sa = IkeSa::new(role, spis, old_sa.path, old_sa.created);
    sa.fragmentation = old_sa.fragmentation;
    #[cfg(feature = "keylog")]
    crate::exchange::ike_auth::log_keys(endpoint, &sa, suite, &keys);
    sa.state = State::Established(Established {
        keys: cipher_keys(&keys, role),
        peer: old.peer,
        behind: old.behind,
        identity: old.identity.clone(),
        key: old.key,
        level: old.level,
        method: old.method,
        nat: old.nat,
        mobility: old.mobility,
        since: old.since,
        heard: now,
        standing,
        suite,
        sk_d: keys.sk_d.clone(),
        ppk: old.ppk,
        renewal_owed: false,
        refused_since: None,
        gives_way: false,
        is_full: false,
        is_ending: old.is_ending,
    });
    endpoint.start_timers(&mut sa, old.nat, now);
    // Fresh keys prove nothing anew (RFC 4478 §2).
    if let Some(at) = old_sa.timers.at(Timer::Reauthenticate) {
        sa.timers.set(Timer::Reauthenticate, at);
    }
    if old.is_ending {
        // It was under way when the old one lost what proves the peer's key, and ends with that.
        sa.timers.stop(Timer::Renew);
        sa.timers.set(Timer::Expire, old_sa.timers.at(Timer::Expire).unwrap_or(now));
    }
    sa
}

/// The peer has to delete this IKE SA: it made, or knows of, the one that stays.
fn wait_for_delete(sa: &mut IkeSa, standing: Standing, now: Instant) {
    if let State::Established(established) = &mut sa.state {
        established.standing = standing;
    }
    for timer in [Timer::Liveness, Timer::Renew, Timer::Reauthenticate, Timer::Resume, Timer::Keepalive] {
        sa.timers.stop(timer);
    }
    sa.timers.set(Timer::Expire, now + PATIENCE);
}

/// Tells that an IKE SA took the place of another.
fn announce<C: Crypto, R>(endpoint: &mut Endpoint<'_, C, R>, old: IkeSpis, sa: &IkeSa) {
    if let State::Established(established) = &sa.state {
        let new = output::Established::of(sa, established);
        endpoint.outbox.event(Event::Rekeyed { old, new });
    }
}

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// The slot of the successor that the peer made of the IKE SA in slot `of` while we ask for one too, if
    /// it still stands.
    fn rival_of(&self, of: u16, slot: u16) -> Option<u16> {
        let sa = self.sas.get(slot)?;
        matches!(&sa.state, State::Established(e) if e.standing == Standing::Rival { of }).then_some(slot)
    }

    /// The Child SAs of one IKE SA, those that are wanted included, belong to another from now on.
    pub(crate) fn hand_over(&mut self, from: u16, to: u16) {
        self.children.hand_over(from, to);
        self.desk.wants.hand_over(from, to);
    }

    /// The successor that the peer made while our request for one waits for its answer.
    pub(crate) fn rival_made_on(&self, slot: u16, sa: &IkeSa) -> Option<u16> {
        match self.creation(sa)? {
            Handshake::Rekeying(Rekeying { rival_slot: Some(rival), .. }) => self.rival_of(slot, *rival),
            _ => None,
        }
    }

    /// The nonces, or the peer's Delete of the old IKE SA, have decided for the successor in this slot.
    pub(crate) fn prevail(&mut self, slot: u16, old: IkeSpis) {
        let Some(mut sa) = self.sas.take(slot) else {
            return;
        };
        if let State::Established(established) = &mut sa.state {
            established.standing = Standing::Current;
            sa.timers.set(Timer::Resume, established.heard);
        }
        announce(self, old, &sa);
        self.sas.put(slot, sa);
    }
}
