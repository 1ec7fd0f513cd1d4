//! Further Child SAs and successors on the IKE SA that stands (RFC 7296 §1.3). A window of one request
//! lets one thing happen at a time, so what is wanted is noted where it belongs and begun in its turn.

use core::net::IpAddr;

use esp_engine::sa::Spi;
use esp_engine::spd::{Action, PolicyId};
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::child_sa::Stage;
use crate::crypto::Crypto;
use crate::error::AcquireError;
use crate::exchange::create_child_sa;
use crate::handshake::Handshake;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::window::Purpose;
use crate::ike_sa::{IkeSa, Standing, State};
use crate::output::Path;
use crate::pad::PeerId;
use crate::wants::Wanted;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// The IKE SA that another Child SA for this policy can be made on: that with the same peer, between
    /// the same addresses.
    pub(super) fn usable_for(
        &self,
        entry: PeerId,
        is_named: bool,
        policy: PolicyId,
        path: &Path,
        behind: Option<IpAddr>,
    ) -> Option<u16> {
        let minimum = match self.config.policy(policy)?.action {
            Action::Protect { minimum, .. } => minimum,
            Action::Bypass | Action::Discard => return None,
        };
        let fits = |sa: &IkeSa| match &sa.state {
            State::Established(established) => {
                (established.peer == entry || !is_named)
                    && established.level >= minimum
                    && established.behind == behind
                    && established.standing == Standing::Current
                    && !established.is_full
                    && !established.is_ending
                    && sa.path.local.ip() == path.local.ip()
            }
            _ => false,
        };
        self.sas.at(path.peer()).find(|(_, sa)| fits(sa)).map(|(slot, _)| slot)
    }

    /// Asks for another Child SA on this IKE SA, as soon as no other request waits for its answer.
    pub(super) fn add(&mut self, now: Instant, owner: u16, wanted: Wanted) -> Result<(), AcquireError> {
        if self.sas.get(owner).is_some_and(|sa| self.is_asked(sa, wanted.policy)) {
            return Ok(());
        }
        self.desk.wants.note(owner, wanted)?;
        let _ = self.with_sa(owner, |endpoint, sa| {
            create_child_sa::resume(endpoint, owner, sa, now);
            Ok(())
        });
        Ok(())
    }

    /// Whether a request of ours will bring a Child SA for this policy.
    fn is_asked(&self, sa: &IkeSa, policy: PolicyId) -> bool {
        self.creation(sa).and_then(Handshake::aim).is_some_and(|aim| aim.policy() == policy)
    }

    /// Asks for a successor of an IKE SA, as soon as no other request waits for its answer.
    pub(super) fn renew_ike_sa(&mut self, now: Instant, slot: u16, sa: &mut IkeSa) {
        if let State::Established(established) = &mut sa.state
            && !established.is_ending
        {
            established.renewal_owed = true;
            self.resume(now, slot, sa);
        }
    }

    /// Asks for a successor of a Child SA, as soon as no other request waits for its answer.
    pub(super) fn renew(&mut self, now: Instant, spi: Spi) {
        let Some(child) = self.children.find(spi).filter(|child| child.stage == Stage::Live) else {
            return;
        };
        let owner = child.owner;
        self.children.change(spi, |child| child.renewal_owed = true);
        let _ = self.with_sa(owner, |endpoint, sa| {
            endpoint.resume(now, owner, sa);
            Ok(())
        });
    }

    /// Begins what is owed, now or as soon as there is room.
    fn resume(&mut self, now: Instant, slot: u16, sa: &mut IkeSa) {
        if self.outbox.has_room() {
            create_child_sa::resume(self, slot, sa, now);
        } else {
            sa.timers.set(Timer::Resume, now);
        }
    }
}

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// What our CREATE_CHILD_SA request that waits for its answer makes.
    pub(crate) fn creation(&self, sa: &IkeSa) -> Option<&Handshake<C>> {
        let Purpose::CreateChild(index) = sa.window.outstanding()?.purpose else {
            return None;
        };
        self.handshakes.get(usize::from(index))?.as_ref()
    }

    /// The same, to note what happens meanwhile.
    pub(crate) fn creation_mut(&mut self, sa: &IkeSa) -> Option<&mut Handshake<C>> {
        let Purpose::CreateChild(index) = sa.window.outstanding()?.purpose else {
            return None;
        };
        self.handshakes.get_mut(usize::from(index))?.as_mut()
    }
}
