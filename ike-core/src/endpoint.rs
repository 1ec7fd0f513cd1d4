//! The endpoint: it finds the IKE SA that a datagram is for, keeps the gate for strangers, runs the
//! timers, and hands everything else to the exchanges (RFC 7296 §2.1, §2.6).

use esp_engine::sa::SaReport;
use esp_engine::selector::Selectors;
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use crate::child_sa::{Children, Stage};
use crate::config::Config;
use crate::counters::{Counters, bump};
use crate::crypto::{Crypto, PublicKey};
use crate::error::{AcquireError, CloseReason, Discarded};
use crate::handshake::Handshake;
use crate::ike_sa::nat::ENCAPSULATED;
use crate::ike_sa::table::IkeSas;
use crate::names::Names;
use crate::outbox::{Outbox, Queued};
use crate::output::{Event, Output, Path, SaStatus};
use crate::pad::PeerId;
use crate::random::Random;
use crate::remembered::Memory;
use crate::resources::{Buffers, Desk, Draft, Reassemblies};

mod begin;
mod children;
mod demultiplex;
mod hints;
mod lifecycle;
mod names;
mod path;
pub(crate) mod relocate;
mod remembered;
mod revalidate;
mod rivals;
mod setup;
mod slots;
mod status;
mod timers;

/// Key management for one device.
pub struct Endpoint<'r, C: Crypto, R> {
    pub(crate) config: &'r Config<'r>,
    pub(crate) crypto: C,
    pub(crate) random: Random<R>,
    pub(crate) signer: Option<C::Signer>,
    pub(crate) own_key: Option<PublicKey>,
    pub(crate) sas: IkeSas<'r>,
    pub(crate) handshakes: &'r mut [Option<Handshake<C>>],
    pub(crate) children: Children<'r>,
    pub(crate) buffers: Buffers<'r>,
    pub(crate) reassemblies: Reassemblies<'r>,
    pub(crate) names: Names<'r>,
    pub(crate) memory: Memory<'r>,
    pub(crate) draft: &'r mut Draft,
    pub(crate) outbox: &'r mut Outbox,
    pub(crate) desk: &'r mut Desk,
}

impl<'r, C: Crypto, R: TryCryptoRng> Endpoint<'r, C, R> {
    /// A datagram came on UDP port 500, or on 4500 with the non-ESP marker still in front. It is
    /// decrypted in place.
    ///
    /// # Errors
    /// [`Discarded`]: nothing changed, except that the reason was counted.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &mut [u8],
    ) -> Result<(), Discarded> {
        let result =
            if self.outbox.has_room() { self.demultiplex(now, path, datagram) } else { Err(Discarded::Busy) };
        self.begin_again(now);
        match result {
            Ok(()) => bump(&mut self.desk.counters.accepted),
            Err(reason) => self.desk.counters.count(reason),
        }
        result
    }

    /// Time has passed. Earlier than [`Output::Timeout`] said it is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.children.end_draining(now);
        self.names_timeout(now);
        self.run_all_timers(now);
    }

    /// The data plane says something about an SA.
    pub fn handle_sa_report(&mut self, now: Instant, report: SaReport) {
        match report {
            SaReport::HardExpired(spi) => {
                if let Some(owner) = self.children.find(spi).map(|child| child.owner) {
                    self.children.change(spi, |child| child.stage = Stage::DeleteOwed);
                    self.child_ended(owner, now);
                }
            }
            SaReport::PeerMoved { spi, remote } => self.peer_moved(spi, remote),
            SaReport::UnknownSpi { spi, remote, port } => self.unknown_spi(now, spi, remote, port),
            SaReport::Unanswered(spi) => self.unanswered(now, spi),
            SaReport::SoftExpired(spi) => self.renew(now, spi),
            SaReport::FirstInbound(spi) => {
                self.children.change(spi, |child| child.unsure_until = None);
            }
        }
    }

    /// A packet needs an SA for this policy. Its selectors go in front of the policy's, so that the
    /// peer knows what the SA is for (RFC 7296 §2.9).
    ///
    /// # Errors
    /// [`AcquireError`]: nothing begins.
    pub fn acquire(&mut self, now: Instant, policy: PolicyId, packet: Selectors) -> Result<(), AcquireError> {
        self.begin(now, policy, None, Some(packet))
    }

    /// Sets up an SA with the peer of this entry for the first policy that it may serve, without
    /// waiting for a packet. Nothing begins where one stands.
    ///
    /// # Errors
    /// [`AcquireError`]: nothing begins.
    pub fn initiate(&mut self, now: Instant, peer: PeerId) -> Result<(), AcquireError> {
        let policy = self.config.policy_of(peer).ok_or(AcquireError::NoPolicy)?;
        self.begin(now, policy, Some(peer), None)
    }

    /// Begins a successor of one Child SA with the peer of this entry, on its IKE SA; the old pair goes when
    /// the new one stands. Where none stands this is [`Self::initiate`].
    ///
    /// # Errors
    /// [`AcquireError`]: nothing begins.
    pub fn rekey(&mut self, now: Instant, peer: PeerId) -> Result<(), AcquireError> {
        match self.standing_with(peer) {
            Some(spi) => {
                self.renew(now, spi);
                Ok(())
            }
            None => self.initiate(now, peer),
        }
    }

    /// Begins a successor of each IKE SA with the peer of this entry; the Child SAs go over to it
    /// (RFC 7296 §2.8).
    pub fn rekey_ike_sas(&mut self, now: Instant, peer: PeerId) {
        for slot in 0..self.sas.capacity() {
            let _ = self.with_sa(slot, |endpoint, sa| {
                if sa.current().is_some_and(|established| established.peer == peer) {
                    endpoint.renew_ike_sa(now, slot, sa);
                }
                Ok(())
            });
        }
    }

    /// Ends all IKE SAs with the peer of this entry, and their Child SAs.
    pub fn close(&mut self, now: Instant, peer: PeerId) {
        self.close_where(now, CloseReason::Requested, |owner| owner == Some(peer));
    }

    /// Ends everything and begins nothing new.
    pub fn shutdown(&mut self, now: Instant) {
        self.desk.shutting_down = true;
        self.close_where(now, CloseReason::Requested, |_| true);
    }

    /// The next thing to be done; [`Output::Timeout`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output<'_> {
        if let Some(spi) = self.children.sweep_retiring() {
            return Output::Event(Event::Retire(spi));
        }
        match self.outbox.pop() {
            Some(Queued::Event(event)) => return Output::Event(event),
            Some(Queued::Message(path, buffer, number)) => {
                if self.buffers.fragment(buffer, number + 1).is_some() {
                    self.outbox.first(Queued::Message(path, buffer, number + 1));
                }
                let marker = path.local.port() == ENCAPSULATED;
                let datagram = self.buffers.datagram(buffer, number, marker).unwrap_or(&[]);
                return Output::Transmit { path, datagram };
            }
            Some(Queued::Keepalive(path)) => return Output::Transmit { path, datagram: &[0xFF] },
            None => {}
        }
        if let Some(event) = self.sweep_all() {
            return Output::Event(event);
        }
        if let Some(path) = self.outbox.take_reply() {
            return Output::Transmit { path, datagram: self.outbox.reply_octets() };
        }
        Output::Timeout(self.alarm())
    }

    /// What SAs have become that is to be said once the queue is empty.
    fn sweep_all(&mut self) -> Option<Event> {
        self.children
            .sweep()
            .map(Event::Remove)
            .or_else(|| self.next_update().map(Event::Update))
            .or_else(|| self.sweep())
            .or_else(|| self.next_aged())
            .or_else(|| self.next_addresses())
    }

    /// What happened how often.
    pub const fn counters(&self) -> &Counters {
        &self.desk.counters
    }

    /// Whether the indexes over IKE SAs and Child SAs say just what a walk over all of them finds.
    #[cfg(feature = "explore")]
    pub fn indexes_agree(&self) -> bool {
        self.sas.agree_with_a_walk() && self.children.agree_with_a_walk()
    }

    /// Each IKE SA, those under way included.
    pub fn status(&self) -> impl Iterator<Item = SaStatus> {
        self.sas.iter().filter_map(|(slot, sa)| self.status_of(slot, sa))
    }
}

impl<C: Crypto, R> core::fmt::Debug for Endpoint<'_, C, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Endpoint")
            .field("sas", &self.sas)
            .field("counters", &self.desk.counters)
            .finish_non_exhaustive()
    }
}
