//! The way in (RFC 4301 §5.2): tell ESP from clear, open in place, and hold what comes out against
//! the SA's selectors and against policy.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

use super::unwrap::{self, Carrier};
use super::{Engine, Inbound};
use crate::counters::DropReason;
use crate::crypto::Cipher;
use crate::encapsulation::Datagram;
use crate::mtu::{PATH_MTU_AGE, TooBigMessage};
use crate::replay::{Refused, Window};
use crate::resources::Desk;
use crate::sa::{Mode, SaReport, Spi};
use crate::sad::Association;
use crate::spd::Action;
use crate::time::Instant;
use crate::transform::{self, Numbers, Opened};
use crate::wire::ip::{self, Fragment, Packet};
use crate::wire::{esp, tcp, udp};

/// What a packet turned out to be.
enum Arrival<'p> {
    Clear,
    Esp(Carrier<'p>),
}

impl<C: Cipher> Engine<'_, C> {
    /// Decides about `octets`, an IP packet that arrived, and opens it in place if it is ESP. Once
    /// it is dropped the buffer holds nothing that may be used. Fragments of ESP must have been put
    /// together before.
    pub fn inbound(&mut self, now: Instant, octets: &mut [u8]) -> Inbound {
        let verdict = self.decide_inbound(now, octets).unwrap_or_else(Inbound::Drop);
        let counters = &mut self.desk.counters;
        match &verdict {
            Inbound::Bypass => counters.bypassed_inbound += 1,
            Inbound::Deliver(place) => counters.opened.count(place.len()),
            Inbound::Early(_) => counters.early += 1,
            Inbound::Drop(reason) => _ = counters.drop(*reason),
        }
        verdict
    }

    fn decide_inbound(&mut self, now: Instant, octets: &mut [u8]) -> Result<Inbound, DropReason> {
        let parsed = Packet::parse(octets);
        let packet = parsed.as_ref().ok_or(DropReason::Malformed)?;
        match self.classify(packet, octets)? {
            Arrival::Clear => self.admit_clear(now, packet, octets),
            Arrival::Esp(carrier) => self.open(now, &carrier, octets),
        }
    }

    fn classify<'p>(&self, packet: &'p Packet, octets: &[u8]) -> Result<Arrival<'p>, DropReason> {
        let upper = octets.get(packet.upper..packet.length).ok_or(DropReason::Malformed)?;
        match packet.selectors.protocol {
            esp::PROTOCOL => Self::carrier(packet, octets, packet.upper..packet.length, None),
            udp::PROTOCOL if packet.fragment == Fragment::Whole => match udp::Header::read(upper) {
                Some(header) if header.destination == self.settings.encapsulation_port => {
                    Self::encapsulated(packet, octets, header)
                }
                _ => Ok(Arrival::Clear),
            },
            _ => Ok(Arrival::Clear),
        }
    }

    fn encapsulated<'p>(
        packet: &'p Packet,
        octets: &[u8],
        header: udp::Header,
    ) -> Result<Arrival<'p>, DropReason> {
        let payload = packet.upper + udp::HEADER..packet.upper + header.length;
        match Datagram::of(octets.get(payload.clone()).unwrap_or_default()) {
            Datagram::Keepalive => Err(DropReason::Keepalive),
            // Policy decides about it as about any clear packet (RFC 4301 §4.4.1).
            Datagram::Ike => Ok(Arrival::Clear),
            Datagram::Runt => Err(DropReason::EspLength),
            Datagram::Esp => Self::carrier(packet, octets, payload, Some(header.source)),
        }
    }

    fn carrier<'p>(
        packet: &'p Packet,
        octets: &[u8],
        esp: Range<usize>,
        port: Option<u16>,
    ) -> Result<Arrival<'p>, DropReason> {
        if packet.fragment != Fragment::Whole {
            return Err(DropReason::EspFragment);
        }
        // In transport mode this header is written anew, and a wrong sum would become a right one.
        let header = octets.get(..packet.upper).unwrap_or_default();
        if !packet.is_v6() && !ip::v4_checksum_is_right(header) {
            return Err(DropReason::BadHeaderChecksum);
        }
        Ok(Arrival::Esp(Carrier { packet, esp, port }))
    }

    fn admit_clear(&mut self, now: Instant, packet: &Packet, octets: &[u8]) -> Result<Inbound, DropReason> {
        if let Some(message) = TooBigMessage::parse(packet, octets) {
            self.learn_path_mtu(now, &message);
        }
        let ours = packet.selectors.reversed();
        match self.decide(&ours, packet.hidden)? {
            Some((policy, Action::Protect { minimum, .. }))
                if self.passes_in_clear(now, policy, minimum, &ours) =>
            {
                Ok(Inbound::Bypass)
            }
            Some((_, Action::Protect { .. })) => Err(DropReason::ClearWherePolicyProtects),
            _ => Ok(Inbound::Bypass),
        }
    }

    /// Anybody can write such a message: it must quote an SA of ours with a number that was sent,
    /// and lowers no path below what every path carries (RFC 4301 §8.2).
    fn learn_path_mtu(&mut self, now: Instant, message: &TooBigMessage) {
        let quoted = message.quoted;
        let sa = Spi::new(quoted.esp.spi).and_then(|spi| self.sad.by_outbound(spi, quoted.destination));
        let Some(sa) = sa.filter(|sa| sa.sent_lately(quoted.esp.sequence)) else { return };
        let known = sa.mode == Mode::Transport || sa.local == quoted.source;
        if let Some(mtu) = message.path_mtu().filter(|_| known) {
            sa.lower_path_mtu(now, mtu, now + PATH_MTU_AGE);
        }
    }

    fn open(
        &mut self,
        now: Instant,
        carrier: &Carrier<'_>,
        octets: &mut [u8],
    ) -> Result<Inbound, DropReason> {
        let sender = &carrier.packet.selectors.source;
        let esp = octets.get_mut(carrier.esp.clone()).ok_or(DropReason::EspLength)?;
        let header = esp::Header::read(esp).ok_or(DropReason::EspLength)?;
        let found = Spi::new(header.spi).and_then(|spi| self.sad.get_with_window(spi));
        let Some((sa, words)) = found else {
            let is_known = self.sad.towards(*sender).next().is_some();
            self.desk.note_unknown_spi(now, header.spi, *sender, carrier.port);
            let spi = Spi::new(header.spi).filter(|_| is_known);
            return spi.map(Inbound::Early).ok_or(DropReason::UnknownSpi);
        };
        if !sa.is_alive(now) {
            return Err(DropReason::Expired);
        }
        let newest = authenticate(sa, words, header, esp);
        let (spi, opened) = match newest {
            Err(reason) => return Err(reason),
            Ok((newest, authentic)) => {
                sa.receive(now, carrier.packet.length);
                if newest {
                    self.desk.notice_peer(sa, sender, carrier.port);
                }
                (sa.inbound, authentic.read(esp))
            }
        };
        self.sad.note(spi);
        let clear = self.unwrap(spi, carrier, opened?, octets)?;
        self.admit_opened(now, spi, clear, octets).map(Inbound::Deliver)
    }

    /// Takes the wrapping off: the range where the clear packet lies.
    fn unwrap(
        &self,
        spi: Spi,
        carrier: &Carrier<'_>,
        opened: Opened,
        octets: &mut [u8],
    ) -> Result<Range<usize>, DropReason> {
        if opened.next_header == esp::NEXT_DUMMY {
            return Err(DropReason::Dummy);
        }
        let payload = carrier.esp.start + opened.payload.start..carrier.esp.start + opened.payload.end;
        let mode = self.sad.get(spi).map(|sa| sa.mode).ok_or(DropReason::SaGone)?;
        match mode {
            Mode::Tunnel => unwrap::tunnel_mode(carrier, opened.next_header, payload, octets),
            Mode::Transport => unwrap::transport_mode(carrier, opened.next_header, payload, octets),
        }
    }

    /// Holds a clear packet against the SA's selectors and against policy (RFC 4301 §5.2, step 4).
    fn admit_opened(
        &self,
        now: Instant,
        spi: Spi,
        place: Range<usize>,
        octets: &mut [u8],
    ) -> Result<Range<usize>, DropReason> {
        let sa = self.sad.get(spi).ok_or(DropReason::SaGone)?;
        let clear = octets.get_mut(place.clone()).ok_or(DropReason::InnerMalformed)?;
        let mut parsed = Packet::parse(clear);
        let packet = parsed.as_mut().ok_or(DropReason::InnerMalformed)?;
        packet.selectors.reverse();
        if !sa.covers(&packet.selectors) {
            return Err(DropReason::OutsideSelectors);
        }
        match self.decide(&packet.selectors, packet.hidden) {
            Ok(Some((policy, Action::Protect { .. }))) if policy == sa.policy => {}
            _ => return Err(DropReason::OutsidePolicy),
        }
        if packet.selectors.protocol == tcp::PROTOCOL && !packet.hidden {
            let path = sa.path_mtu(now, self.settings.mtu);
            let limit = sa.wrapping(packet.upper).segment_size(path, packet.upper);
            tcp::clamp_mss(clear.get_mut(packet.upper..packet.length).unwrap_or_default(), limit);
        }
        Ok(place.start..place.start + packet.length)
    }
}

impl Desk {
    /// An SPI nobody has here: told to key management now and then (RFC 4303 §3.4.2).
    fn note_unknown_spi(&mut self, now: Instant, spi: u32, remote: IpAddr, port: Option<u16>) {
        let quiet = self.unknown_spi_told.is_some_and(|told| now.since(told).as_secs() < 1);
        let report = SaReport::UnknownSpi { spi, remote, port };
        // Reserved values name nothing that could be told.
        if !quiet && spi > Spi::RESERVED && self.notices.push(report).is_ok() {
            self.unknown_spi_told = Some(now);
        }
    }

    /// The newest packet of an SA shows where its peer is now (RFC 7296 §2.23). A notice that finds
    /// no room comes again with the next packet.
    fn notice_peer<C>(&mut self, sa: &Association<C>, address: &IpAddr, port: Option<u16>) {
        let (Some(port), Some(ports)) = (port, sa.encapsulation) else { return };
        if *address == sa.remote && port == ports.remote_port {
            return;
        }
        let report = SaReport::PeerMoved { spi: sa.inbound, remote: SocketAddr::new(*address, port) };
        let earlier = self
            .notices
            .iter_mut()
            .find(|notice| matches!(notice, SaReport::PeerMoved { spi, .. } if *spi == sa.inbound));
        match earlier {
            Some(notice) => *notice = report,
            None => _ = self.notices.push(report),
        }
    }
}

/// Checks the number, then the ICV, and only then moves the window (RFC 4303 §3.4.3). Tells whether
/// this is the newest packet so far.
fn authenticate<C: Cipher>(
    sa: &mut Association<C>,
    words: &mut [u32],
    header: esp::Header,
    esp: &mut [u8],
) -> Result<(bool, transform::Authentic), DropReason> {
    let mut window = Window::new(&mut sa.highest, words);
    let sequence = window.check(header.sequence, sa.extended).map_err(|refused| match refused {
        Refused::Replayed => DropReason::Replayed,
        Refused::TooOld => DropReason::TooOld,
        Refused::Zero => DropReason::ZeroSequence,
    })?;
    let numbers = Numbers { spi: sa.inbound, sequence, extended: sa.extended };
    let authentic = transform::open(&sa.keys.inbound, numbers, esp)?;
    Ok((window.update(sequence), authentic))
}
