//! From a datagram to its IKE SA: by our own SPI, whose slot is hidden in it, never by address
//! (RFC 7296 §2.6). Everything here happens before anything is authenticated, so it changes nothing.

use core::net::IpAddr;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::Endpoint;
use crate::counters::bump;
use crate::crypto::Crypto;
use crate::error::Discarded;
use crate::exchange::{self, fragment, ike_sa_init};
use crate::handshake::Handshake;
use crate::ike_sa::keys::Role;
use crate::ike_sa::nat::ENCAPSULATED;
use crate::ike_sa::window::Request;
use crate::ike_sa::{IkeSa, State};
use crate::output::Path;
use crate::wire::Malformed;
use crate::wire::code_point::ExchangeType;
use crate::wire::header::{Header, IkeSpi, Message};
use crate::wire::notify::{NotifyType, NotifyView};

/// A response that leaves again for this many times goes in smaller fragments.
const REPLAYS_BEFORE_NARROWING: u8 = 2;

impl<C: Crypto, R: TryCryptoRng> Endpoint<'_, C, R> {
    pub(super) fn demultiplex(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &mut [u8],
    ) -> Result<(), Discarded> {
        let octets = if path.local.port() == ENCAPSULATED {
            match datagram.split_first_chunk_mut::<4>() {
                Some((&mut [0, 0, 0, 0], octets)) => octets,
                _ => return Err(Discarded::NotIke),
            }
        } else {
            datagram
        };
        let message = match Message::parse(octets) {
            Ok(message) => message,
            Err(Malformed::MajorVersion(version)) => return Err(self.other_version(path, octets, version)),
            Err(malformed) => return Err(malformed.into()),
        };
        let header = message.header;
        let is_init = header.exchange == ExchangeType::IKE_SA_INIT;
        if is_init && header.message_id != 0 {
            return Err(Discarded::WrongMessageId);
        }
        if is_init && !header.flags.response {
            return self.init_request(now, path, octets);
        }
        if is_init {
            self.init_response(now, path, octets)
        } else {
            self.protected(now, path, octets, header)
        }
    }

    /// A higher major version gets the number of ours (RFC 7296 §2.5); IKEv1 gets nothing.
    fn other_version(&mut self, path: Path, octets: &[u8], version: u8) -> Discarded {
        if version > Header::VERSION >> 4
            && let Ok(header) = Header::parse(octets)
            && !header.flags.response
        {
            let notify = NotifyView::new(NotifyType::INVALID_MAJOR_VERSION, &[Header::VERSION >> 4]);
            exchange::reply(self, path, &header, &notify);
        }
        Discarded::MajorVersion
    }

    #[inline(never)]
    fn init_request(&mut self, now: Instant, path: Path, octets: &mut [u8]) -> Result<(), Discarded> {
        let message = Message::parse(octets)?;
        let header = message.header;
        if !header.flags.initiator {
            return Err(Discarded::WrongDirection);
        }
        if header.responder_spi != IkeSpi::ZERO || self.is_own_request(header.initiator_spi) {
            return Err(Discarded::BadSpi);
        }
        if let Some(slot) = self.half_open_with(message.octets()) {
            return self.replay(slot, now, path, octets.len());
        }
        if self.desk.shutting_down {
            return Err(Discarded::ShuttingDown);
        }
        ike_sa_init::responder::handle_request(self, now, path, &message)
    }

    /// Whether one of our own requests came back to us.
    fn is_own_request(&self, spi: IkeSpi) -> bool {
        self.slot_of(spi, Role::Initiator).is_ok()
    }

    /// The half-open IKE SA that this very request made: NATs and reused ports make addresses useless
    /// here (RFC 7296 §2.1).
    fn half_open_with(&self, request: &[u8]) -> Option<u16> {
        let answered = self.handshakes.iter().flatten().find_map(|handshake| match handshake {
            Handshake::InitAnswered(agreed) | Handshake::AuthHeld(agreed, _)
                if self.buffers.message(agreed.request) == Some(request) =>
            {
                self.buffers.message(agreed.response)
            }
            _ => None,
        });
        let answer = Header::parse(answered?).ok()?;
        self.slot_of(answer.responder_spi, Role::Responder).ok()
    }

    #[inline(never)]
    fn init_response(&mut self, now: Instant, path: Path, octets: &mut [u8]) -> Result<(), Discarded> {
        let message = Message::parse(octets)?;
        if message.header.flags.initiator {
            return Err(Discarded::WrongDirection);
        }
        let slot = self.slot_of(message.header.initiator_spi, Role::Initiator)?;
        self.with_sa(slot, |endpoint, sa| {
            ike_sa_init::initiator::handle_response(endpoint, slot, sa, now, path, &message)
        })
    }

    #[inline(never)]
    fn protected(
        &mut self,
        now: Instant,
        path: Path,
        octets: &mut [u8],
        header: Header,
    ) -> Result<(), Discarded> {
        let (own, role) = if header.flags.initiator {
            (header.responder_spi, Role::Responder)
        } else {
            (header.initiator_spi, Role::Initiator)
        };
        let slot = match self.slot_of(own, role) {
            Err(Discarded::UnknownSpi) => return Err(self.stray(now, path, octets, &header)),
            slot => slot?,
        };
        let sa = self.sas.get(slot).ok_or(Discarded::UnknownSpi)?;
        if sa.spis.initiator != header.initiator_spi.0 || sa.spis.responder != header.responder_spi.0 {
            return Err(Discarded::UnknownSpi);
        }
        if header.flags.response {
            if !sa.window.awaits(header.message_id) {
                return Err(Discarded::Unsolicited);
            }
        } else {
            match sa.window.check_request(header.message_id, octets) {
                Request::New => {}
                Request::Again(_) => return self.replay(slot, now, path, octets.len()),
                // Cut anew, because our answer does not get through (RFC 7383 §2.6.1).
                Request::Altered if fragment::is_first(octets) => return self.replay(slot, now, path, 0),
                Request::Altered => return Err(Discarded::AlteredRetransmission),
                Request::Outside => return Err(Discarded::WrongMessageId),
            }
        }
        self.with_sa(slot, |endpoint, sa| exchange::handle_protected(endpoint, slot, sa, now, path, octets))
    }

    /// The slot that this SPI of ours names.
    fn slot_of(&self, own: IkeSpi, role: Role) -> Result<u16, Discarded> {
        let slot = (own.0 & 0xFFFF) as u16;
        match self.sas.get(slot) {
            Some(sa) if sa.own_spi() == own.0 && sa.role == role => Ok(slot),
            Some(sa) if sa.own_spi() == own.0 => Err(Discarded::WrongDirection),
            _ => Err(Discarded::UnknownSpi),
        }
    }

    /// Takes the IKE SA out of its slot, so that an exchange may look at the others too.
    pub(crate) fn with_sa(
        &mut self,
        slot: u16,
        exchange: impl FnOnce(&mut Self, &mut IkeSa) -> Result<(), Discarded>,
    ) -> Result<(), Discarded> {
        let mut sa = self.sas.take(slot).ok_or(Discarded::UnknownSpi)?;
        let result = exchange(self, &mut sa);
        self.give_back(slot, sa);
        result
    }

    /// The IKE SA goes back into its slot, unless it is gone.
    fn give_back(&mut self, slot: u16, sa: IkeSa) {
        if matches!(sa.state, State::Gone) {
            self.desk.wants.forget(slot);
            self.free(slot, sa);
            self.sas.vacate(slot);
        } else {
            self.sas.put(slot, sa);
        }
    }

    /// Lets each IKE SA whose peer is at this address be seen to, as [`Self::with_sa`] does.
    pub(super) fn each_at(&mut self, remote: IpAddr, mut see_to: impl FnMut(&mut Self, u16, &mut IkeSa)) {
        let mut seen = None;
        while let Some(slot) = self.sas.next_at(remote, seen) {
            seen = Some(slot);
            let _ = self.with_sa(slot, |endpoint, sa| {
                see_to(endpoint, slot, sa);
                Ok(())
            });
        }
    }

    /// The last response leaves again, to where its request came from now (RFC 7296 §2.1). Nobody can
    /// use us to multiply octets: what is longer than its request leaves rarely. If it does not seem to get
    /// through, it leaves in smaller fragments (RFC 7383 §2.4).
    fn replay(&mut self, slot: u16, now: Instant, path: Path, request: usize) -> Result<(), Discarded> {
        self.with_sa(slot, |endpoint, sa| {
            let mut response = sa.window.last_response().ok_or(Discarded::ResponseForgotten)?;
            if endpoint.buffers.is_stale(response, now, endpoint.config.timing.response) {
                return Err(Discarded::ResponseForgotten);
            }
            if !sa.window.replay(now, endpoint.buffers.length(response) > request) {
                return Err(Discarded::RetransmissionLimit);
            }
            if sa.window.replays() >= REPLAYS_BEFORE_NARROWING
                && let Some(narrowed) = fragment::narrow(endpoint, sa, response)
            {
                response = narrowed;
                sa.window.replace_response(narrowed);
                endpoint.buffers.keep(narrowed, now);
            }
            bump(&mut endpoint.desk.counters.replayed);
            endpoint.outbox.message(path, response);
            Ok(())
        })
    }
}
