//! The way out (RFC 4301 §5.1): decide, then seal from the stack's buffer into the frame.

use core::net::IpAddr;

use super::{Engine, Outbound};
use crate::counters::DropReason;
use crate::crypto::Cipher;
use crate::encapsulation;
use crate::mtu;
use crate::sa::{Mode, Spi};
use crate::sad::{Association, Waiting};
use crate::selector::Selectors;
use crate::spd::{Action, Level, PolicyId};
use crate::time::Instant;
use crate::transform::{self, Numbers};
use crate::tunnel;
use crate::wire::ip::{self, Fragment, Packet};
use crate::wire::{esp, tcp, udp};

/// The right to seal one packet under one sequence number.
#[derive(PartialEq, Eq, Debug)]
#[must_use]
pub struct Seal {
    spi: Spi,
    /// Tells an SA from a later one in the same slot.
    serial: u32,
    sequence: u64,
    packet: usize,
    length: usize,
    segment_size: u16,
}

impl Seal {
    /// Octets of the sealed IP packet, exactly.
    pub fn length(&self) -> usize {
        self.length
    }
}

impl<C: Cipher> Engine<'_, C> {
    /// Decides about `packet`, an IP packet that wants to leave.
    pub fn outbound(&mut self, now: Instant, packet: &[u8]) -> Outbound {
        let verdict = self.decide_outbound(now, packet).unwrap_or_else(Outbound::Drop);
        let counters = &mut self.desk.counters;
        match &verdict {
            Outbound::Bypass => counters.bypassed_outbound += 1,
            Outbound::Hold { .. } => counters.without_sa += 1,
            Outbound::TooBig { .. } => counters.too_big += 1,
            Outbound::Drop(reason) => _ = counters.drop(*reason),
            Outbound::Seal(_) => {}
        }
        verdict
    }

    fn decide_outbound(&mut self, now: Instant, octets: &[u8]) -> Result<Outbound, DropReason> {
        let parsed = Packet::parse(octets);
        let packet = parsed.as_ref().ok_or(DropReason::Malformed)?;
        match self.decide(&packet.selectors, packet.hidden)? {
            Some((policy, Action::Protect { minimum, .. }))
                if self.passes_in_clear(now, policy, minimum, &packet.selectors) =>
            {
                Ok(Outbound::Bypass)
            }
            Some((policy, Action::Protect { mode, .. })) => self.protect(now, policy, mode, packet),
            _ => Ok(Outbound::Bypass),
        }
    }

    /// Whether a packet of this policy, seen from our side, may do without an SA: the policy would rather have one,
    /// there is none, and the other end was shown to protect nothing.
    pub(super) fn passes_in_clear(
        &self,
        now: Instant,
        policy: PolicyId,
        minimum: Level,
        packet: &Selectors,
    ) -> bool {
        minimum == Level::Clear
            && self.desk.open.has(packet.destination, now)
            && self.sad.sender(now, policy, packet).is_err_and(|Waiting(comes)| !comes)
    }

    fn protect(
        &mut self,
        now: Instant,
        policy: PolicyId,
        mode: Mode,
        packet: &Packet,
    ) -> Result<Outbound, DropReason> {
        if mode == Mode::Transport && packet.fragment != Fragment::Whole {
            return Err(DropReason::FragmentInTransport);
        }
        match self.sad.sender(now, policy, &packet.selectors) {
            Ok(spi) => self.grant(now, spi, packet).ok_or(DropReason::SaGone),
            Err(waiting) => Ok(self.hold(now, policy, packet.selectors, waiting)),
        }
    }

    fn hold(
        &mut self,
        now: Instant,
        policy: PolicyId,
        packet: Selectors,
        Waiting(waiting): Waiting,
    ) -> Outbound {
        if !waiting && self.desk.acquires.ask(now, policy, packet).is_err() {
            self.desk.counters.acquires_postponed += 1;
        }
        Outbound::Hold { policy, packet }
    }

    fn grant(&mut self, now: Instant, spi: Spi, packet: &Packet) -> Option<Outbound> {
        let sa = self.sad.get_mut(spi)?;
        let wrapping = sa.wrapping(packet.esp_goes.at);
        let payload = match sa.mode {
            Mode::Transport => packet.length - packet.esp_goes.at,
            Mode::Tunnel => packet.length,
        };
        let length = wrapping.sealed(payload);
        let path = sa.path_mtu(now, self.settings.mtu);
        if length > usize::from(path) {
            let fits = wrapping.inner_mtu(path);
            return Some(Outbound::TooBig {
                mtu: if packet.is_v6() { fits.max(mtu::V6_MINIMUM) } else { fits },
            });
        }
        let seal = Seal {
            spi,
            serial: sa.serial,
            sequence: sa.send(now, packet.length),
            packet: packet.length,
            length,
            segment_size: wrapping.segment_size(path, packet.upper),
        };
        self.sad.await_answer(now, spi);
        self.sad.note(spi);
        Some(Outbound::Seal(seal))
    }

    /// Where the packet goes once it is sealed, for whoever finds its next hop; `None` when the SA was
    /// removed in between.
    pub fn outer_destination(&self, seal: &Seal) -> Option<IpAddr> {
        self.sad.get(seal.spi).filter(|sa| sa.serial == seal.serial).map(|sa| sa.remote)
    }

    /// Seals `packet`, the one that [`Engine::outbound`] decided about, into the front of `out`: the
    /// whole IP packet, [`Seal::length`] octets, which it returns.
    ///
    /// # Errors
    /// [`DropReason::SaGone`] when the SA was removed in between, [`DropReason::BufferTooSmall`], and
    /// [`DropReason::Malformed`] for another packet. `out` then holds nothing to send.
    pub fn seal(&mut self, seal: Seal, packet: &[u8], out: &mut [u8]) -> Result<usize, DropReason> {
        let sealed = self.seal_into(&seal, packet, out);
        match sealed {
            Ok(length) => {
                self.desk.counters.sealed.count(seal.packet);
                Ok(length)
            }
            Err(reason) => {
                out.fill(0);
                Err(self.desk.counters.drop(reason))
            }
        }
    }

    fn seal_into(&self, seal: &Seal, octets: &[u8], out: &mut [u8]) -> Result<usize, DropReason> {
        let sa = self.sad.get(seal.spi).filter(|sa| sa.serial == seal.serial).ok_or(DropReason::SaGone)?;
        let out = out.get_mut(..seal.length).ok_or(DropReason::BufferTooSmall)?;
        let parsed = Packet::parse(octets);
        let packet = parsed.as_ref().filter(|packet| packet.length == seal.packet);
        let written = packet.and_then(|packet| match sa.mode {
            Mode::Transport => write_transport(sa, seal, packet, octets, out),
            Mode::Tunnel => {
                let df = self.settings.df;
                let sequence = seal.sequence;
                let encapsulated = sa.encapsulation.is_some();
                let outer = tunnel::outer_header(packet, sa.local, sa.remote, encapsulated, df, sequence);
                write_tunnel(sa, seal, packet, octets, outer, out)
            }
        });
        written.map(|()| seal.length).ok_or(DropReason::Malformed)
    }
}

/// The packet's own headers, then ESP around the rest (RFC 4303 §3.1.1).
fn write_transport<C: Cipher>(
    sa: &Association<C>,
    seal: &Seal,
    packet: &Packet,
    octets: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let (headers, payload) = octets.get(..packet.length)?.split_at_checked(packet.esp_goes.at)?;
    let next_header = *headers.get(packet.esp_goes.named_at)?;
    let protocol = if sa.encapsulation.is_some() { udp::PROTOCOL } else { esp::PROTOCOL };
    let length = out.len();
    out.get_mut(..headers.len())?.copy_from_slice(headers);
    ip::rename(out, packet.esp_goes.named_at, protocol, headers.len(), length)?;
    let upper = packet.upper - headers.len();
    let body = out.get_mut(headers.len()..)?;
    write_esp(sa, seal, (payload, next_header), upper, packet, body)?;
    write_encapsulation(sa, body, packet.selectors.source, packet.selectors.destination)
}

/// An outer header, then ESP around the whole packet.
fn write_tunnel<C: Cipher>(
    sa: &Association<C>,
    seal: &Seal,
    packet: &Packet,
    octets: &[u8],
    outer: ip::OuterHeader,
    out: &mut [u8],
) -> Option<()> {
    let payload = octets.get(..packet.length)?;
    outer.write(out, out.len())?;
    let body = out.get_mut(tunnel::outer_length(sa.remote)..)?;
    write_esp(sa, seal, (payload, packet.protocol_inside()), packet.upper, packet, body)?;
    write_encapsulation(sa, body, sa.local, sa.remote)
}

/// Copies the payload to its place in `body`, which begins behind the IP headers, and seals it there.
fn write_esp<C: Cipher>(
    sa: &Association<C>,
    seal: &Seal,
    (payload, next_header): (&[u8], u8),
    upper: usize,
    packet: &Packet,
    body: &mut [u8],
) -> Option<()> {
    let cipher = &sa.keys.outbound;
    let esp = body.get_mut(if sa.encapsulation.is_some() { udp::HEADER } else { 0 }..)?;
    let start = esp::HEADER + cipher.algorithm().iv_length();
    let place = esp.get_mut(start..)?.get_mut(..payload.len())?;
    place.copy_from_slice(payload);
    if packet.selectors.protocol == tcp::PROTOCOL && !packet.hidden {
        tcp::clamp_mss(place.get_mut(upper..)?, seal.segment_size);
    }
    let numbers = Numbers { spi: sa.outbound, sequence: seal.sequence, extended: sa.extended };
    transform::seal(cipher, numbers, esp, payload.len(), next_header)
}

/// Over IPv6 the checksum covers what is sealed, so this comes last.
fn write_encapsulation<C>(
    sa: &Association<C>,
    body: &mut [u8],
    source: IpAddr,
    destination: IpAddr,
) -> Option<()> {
    match sa.encapsulation {
        Some(ports) => encapsulation::write_header(body, ports, source, destination),
        None => Some(()),
    }
}
