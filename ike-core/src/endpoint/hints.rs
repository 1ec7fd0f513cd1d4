//! Hints (RFC 7296 §1.5, §2.4, §2.21.4): packets and messages that fit no SA, and what tells of such. One
//! end has lost its state, or somebody forges. So a hint changes no SA: it makes us ask the peer, over the
//! SA that stands, whether it lives. What reaches us for an SA that we do not have is answered with a hint,
//! rarely, so that after a restart of ours the peer need not wait for its own time-out.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use esp_engine::sa::Spi;
use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use super::Endpoint;
use super::path::IKE;
use crate::crypto::Crypto;
use crate::error::Discarded;
use crate::exchange::{self, informational};
use crate::ike_sa::nat::ENCAPSULATED;
use crate::ike_sa::timer::Timer;
use crate::ike_sa::{IkeSa, State};
use crate::output::Path;
use crate::wire::code_point::{ExchangeType, PayloadType};
use crate::wire::header::{Flags, Header, IkeSpi, Message};
use crate::wire::notify::{NotifyType, NotifyView};

/// A peer that was heard within this time is not asked because of a hint.
pub(super) const LATELY: Duration = Duration::from_secs(2);

/// Unprotected hints of ours in a second.
const COMPLAINTS: u16 = 10;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    /// Packets on this Child SA go unanswered: unless the peer was heard otherwise, it is asked
    /// (RFC 7296 §2.4).
    pub(super) fn unanswered(&mut self, now: Instant, spi: Spi) {
        let interval = self.config.timing.liveness;
        let Some(owner) = self.children.find(spi).map(|child| child.owner).filter(|_| !interval.is_zero())
        else {
            return;
        };
        self.sas.change(owner, |sa| {
            if let IkeSa { state: State::Established(established), timers, .. } = sa {
                timers.set(Timer::Liveness, now.max(established.heard + interval));
            }
        });
        self.run_timers(owner, now);
    }

    /// ESP came for an SPI that nobody has here. The peers at its source learn of it over their IKE SAs,
    /// which also shows whether they live; where none stands, a message without protection says it
    /// (RFC 7296 §1.5).
    pub(super) fn unknown_spi(&mut self, now: Instant, spi: u32, remote: IpAddr, port: Option<u16>) {
        let mut stands = false;
        self.each_at(remote, |endpoint, _, sa| {
            let is_there = matches!(sa.state, State::Established(_));
            stands |= is_there;
            if is_there && is_quiet(sa, now) && endpoint.outbox.has_room() {
                let spi = spi.to_be_bytes();
                let notify = NotifyView::new(NotifyType::INVALID_SPI, &spi);
                informational::probe(endpoint, sa, Some(&notify), now);
            }
        });
        // Zero would do too, but not every receiver knows of the exception.
        let initiator_spi = self.random.try_next_u64().map_or(IkeSpi(u64::MAX), |random| IkeSpi(random | 1));
        if let Some(local) = self.own().like(remote).filter(|_| !stands) {
            let own_port = if port.is_some() { ENCAPSULATED } else { IKE };
            let path = Path {
                interface: local.interface,
                local: SocketAddr::new(local.address, own_port),
                remote: SocketAddr::new(remote, port.unwrap_or(IKE)),
            };
            let header = Header {
                initiator_spi,
                responder_spi: IkeSpi::ZERO,
                next_payload: PayloadType::NONE,
                exchange: ExchangeType::INFORMATIONAL,
                flags: Flags { initiator: true, response: false },
                message_id: 0,
            };
            self.complain(now, path, &header, &NotifyView::new(NotifyType::INVALID_SPI, &spi.to_be_bytes()));
        }
    }

    /// A message within an IKE SA that we do not have. A request is answered with INVALID_IKE_SPI, a hint
    /// is taken, and an answer gets nothing (RFC 7296 §1.5, §2.21.4).
    #[inline(never)]
    pub(super) fn stray(&mut self, now: Instant, path: Path, octets: &[u8], header: &Header) -> Discarded {
        if header.flags.response {
            return Discarded::UnknownSpi;
        }
        if matches!(header.next_payload, PayloadType::SK | PayloadType::SKF) {
            let flags = Flags { initiator: !header.flags.initiator, response: true };
            let answer = Header { flags, ..*header };
            self.complain(now, path, &answer, &NotifyView::new(NotifyType::INVALID_IKE_SPI, &[]));
            return Discarded::UnknownSpi;
        }
        let payloads = Message::parse(octets).and_then(|message| message.payloads());
        let notify = payloads.ok().and_then(|payloads| payloads.notify(NotifyType::INVALID_SPI));
        match notify.and_then(|notify| notify.invalid_spi()) {
            Some(spi) => {
                self.suspect(now, path.peer(), spi);
                Discarded::Hint
            }
            None => Discarded::UnknownSpi,
        }
    }

    fn complain(&mut self, now: Instant, path: Path, header: &Header, notify: &NotifyView<'_>) {
        if !self.desk.complaints.is_spent(now, COMPLAINTS) {
            self.desk.complaints.spend(now);
            exchange::send_alone(self, path, header, notify);
        }
    }

    /// Somebody at this address says that he does not know the SPI that a peer there gave us.
    fn suspect(&mut self, now: Instant, remote: IpAddr, outbound: u32) {
        let mut seen = None;
        while let Some(slot) = self.sas.next_at(remote, seen) {
            seen = Some(slot);
            if self.children.of(slot).any(|child| child.outbound.is_some_and(|o| o.get() == outbound)) {
                self.doubt(slot, now);
                self.run_timers(slot, now);
            }
        }
    }

    /// A stranger came to stand at this address: others there may be what it was before it restarted
    /// (RFC 7619 §2.3).
    pub(crate) fn suspect_others(&mut self, now: Instant, remote: IpAddr) {
        let mut seen = None;
        while let Some(slot) = self.sas.next_at(remote, seen) {
            seen = Some(slot);
            self.doubt(slot, now);
        }
    }

    /// The peer of an IKE SA is to be asked whether it lives, unless it was heard of late.
    fn doubt(&mut self, slot: u16, now: Instant) {
        if self.sas.get(slot).is_some_and(|sa| is_quiet(sa, now)) {
            self.sas.change(slot, |sa| sa.timers.set(Timer::Liveness, now));
        }
    }
}

/// Whether the peer of this IKE SA was not heard of late.
pub(super) fn is_quiet(sa: &IkeSa, now: Instant) -> bool {
    sa.established().is_some_and(|established| now.since(established.heard) >= LATELY)
}
