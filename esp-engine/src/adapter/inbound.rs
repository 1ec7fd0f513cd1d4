//! From the wire to the stack (RFC 4301 §5.2).

use core::cell::RefCell;
use core::net::IpAddr;
use core::ops::Range;

use super::counters::bump;
use super::link::{Content, ETHERNET_HEADER, Medium};
use super::port::{Port, TtlRule};
use super::{Link, Refusal};
use crate::crypto::Cipher;
use crate::encapsulation;
use crate::engine::{Engine, Inbound};
use crate::reassembly::{Collected, HEADROOM, Reassembly};
use crate::sa::Spi;
use crate::time::Instant;
use crate::wire::ip::{Fragment, Packet};
use crate::wire::{esp, get_u32, udp};

/// What the stack gets to see of a frame.
enum Admitted<'f> {
    Frame(&'f mut [u8]),
    /// It waits: for other fragments, or for its SA.
    Nothing,
}

impl Port {
    /// A frame from the wire, or the datagram that it completes, as the stack may see it.
    pub(crate) fn receive<'f, C: Cipher>(
        &self,
        engine: &RefCell<Engine<'_, C>>,
        now: Instant,
        link: Link,
        reassembly: &'f mut Reassembly,
        frame: &'f mut [u8],
    ) -> Option<&'f mut [u8]> {
        let expired = reassembly.expire(now);
        let admitted = self.admit(engine, now, link, reassembly, frame);
        let mut state = self.state.borrow_mut();
        let counters = &mut state.counters;
        counters.reassembly_expired = counters.reassembly_expired.wrapping_add(expired);
        let frame = match admitted {
            Ok(Admitted::Frame(frame)) => {
                bump(&mut counters.delivered);
                Some(frame)
            }
            Ok(Admitted::Nothing) => None,
            Err(refusal) => {
                counters.refuse(refusal);
                None
            }
        };
        drop(state);
        self.note_moved();
        frame
    }

    fn admit<'f, C: Cipher>(
        &self,
        engine: &RefCell<Engine<'_, C>>,
        now: Instant,
        link: Link,
        reassembly: &'f mut Reassembly,
        frame: &'f mut [u8],
    ) -> Result<Admitted<'f>, Refusal> {
        let Content::Packet(place) = link.parse(frame)? else { return Ok(Admitted::Frame(frame)) };
        let header = place.start;
        let frame = frame.get_mut(..place.end).ok_or(Refusal::Malformed)?;
        let packet = frame.get(header..).ok_or(Refusal::Malformed)?;
        let whole = match reassembly.collect(now, packet, |source| has_sa(engine, source)) {
            Collected::Passed => frame,
            Collected::Waiting => {
                self.note_fragment(packet.len(), false);
                return Ok(Admitted::Nothing);
            }
            Collected::Dropped(_) => return Err(Refusal::Fragment),
            Collected::Whole(datagram) => {
                self.note_fragment(packet.len(), true);
                let datagram = datagram.get_mut(HEADROOM - header..).ok_or(Refusal::Malformed)?;
                link.medium.write_header(frame, datagram).ok_or(Refusal::Malformed)?;
                datagram
            }
        };
        let packet = whole.get_mut(header..).ok_or(Refusal::Malformed)?;
        self.check_ttl(packet)?;
        let verdict = engine.borrow_mut().inbound(now, packet);
        match verdict {
            Inbound::Bypass => Ok(Admitted::Frame(whole)),
            Inbound::Deliver(clear) => {
                // The peer has shown that it has an SA: what waits for that may leave.
                self.state.borrow_mut().hold.retry();
                deliver(link.medium, whole, clear).ok_or(Refusal::Malformed)
            }
            Inbound::Early(spi) => self.keep(now, spi, whole),
            Inbound::Drop(_) => Err(Refusal::Engine),
        }
    }

    /// Keeps a frame until the SA is there that opens it.
    fn keep<'f>(&self, now: Instant, spi: Spi, frame: &[u8]) -> Result<Admitted<'f>, Refusal> {
        let state = &mut *self.state.borrow_mut();
        state.early.push(now, spi, frame).map_err(|_| Refusal::Engine)?;
        bump(&mut state.counters.early);
        state.counters.copied_in(frame.len());
        Ok(Admitted::Nothing)
    }

    fn note_fragment(&self, octets: usize, last: bool) {
        let counters = &mut self.state.borrow_mut().counters;
        bump(&mut counters.fragments);
        counters.copied_in(octets);
        if last {
            bump(&mut counters.reassembled);
        }
    }

    fn check_ttl(&self, packet: &[u8]) -> Result<(), Refusal> {
        let rules = &self.state.borrow().ttl;
        if rules.is_empty() {
            return Ok(());
        }
        let parsed = Packet::parse(packet).ok_or(Refusal::Malformed)?;
        let at = if parsed.is_v6() { 7 } else { 8 };
        let hops = *packet.get(at).ok_or(Refusal::Malformed)?;
        let source = parsed.selectors.source;
        let breaks = |rule: &TtlRule| rule.peers.contains(source) && hops < rule.minimum;
        if rules.iter().any(breaks) && carries_esp(&parsed, packet) {
            Err(Refusal::TimeToLive)
        } else {
            Ok(())
        }
    }
}

fn has_sa<C: Cipher>(engine: &RefCell<Engine<'_, C>>, peer: IpAddr) -> bool {
    engine.borrow().sas().any(|sa| sa.remote == peer && !sa.expired)
}

/// Inside UDP, four octets of zero say that it is IKE instead (RFC 3948 §2.2).
fn carries_esp(parsed: &Packet, packet: &[u8]) -> bool {
    let upper = packet.get(parsed.upper..).unwrap_or_default();
    match parsed.selectors.protocol {
        esp::PROTOCOL => true,
        udp::PROTOCOL if parsed.fragment == Fragment::Whole => {
            let to = udp::Header::read(upper).map(|header| header.destination);
            to == Some(encapsulation::PORT) && get_u32(upper, udp::HEADER).is_some_and(|marker| marker != 0)
        }
        _ => false,
    }
}

/// Moves the link header against the clear packet, which lies at `clear` counted from the IP header.
fn deliver(medium: Medium, frame: &mut [u8], clear: Range<usize>) -> Option<Admitted<'_>> {
    let mut addresses = [0; ETHERNET_HEADER];
    let header = medium.header_length();
    addresses.get_mut(..header)?.copy_from_slice(frame.get(..header)?);
    let frame = frame.get_mut(clear.start..header + clear.end)?;
    medium.write_header(&addresses, frame)?;
    Some(Admitted::Frame(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(protocol: u8, flags: u8, upper: &[u8]) -> heapless::Vec<u8, 64> {
        let mut packet = heapless::Vec::new();
        let length = 20 + upper.len() as u8;
        packet.extend_from_slice(&[0x45, 0, 0, length, 0, 0, flags, 0, 255, protocol]).unwrap();
        packet.extend_from_slice(&[0, 0, 192, 0, 2, 1, 192, 0, 2, 2]).unwrap();
        packet.extend_from_slice(upper).unwrap();
        packet
    }

    /// RFC 3948 §2.2: what begins with four octets of zero on port 4500 is IKE.
    #[test]
    fn ike_is_not_taken_for_esp() {
        let to_4500 = |first: u8| [0x11, 0x94, 0x11, 0x94, 0, 12, 0, 0, 0, 0, 0, first];
        let cases = [
            (ipv4(50, 0, &[0; 8]), true),
            (ipv4(17, 0, &to_4500(1)), true),
            (ipv4(17, 0, &to_4500(0)), false),
            (ipv4(17, 0, &[0x11, 0x94, 1, 0xF4, 0, 12, 0, 0, 0, 0, 0, 1]), false),
            (ipv4(17, 0, &to_4500(1)[..9]), false),
            (ipv4(6, 0, &to_4500(1)), false),
        ];
        for (packet, is_esp) in cases {
            assert_eq!(carries_esp(&Packet::parse(&packet).unwrap(), &packet), is_esp, "{packet:02x?}");
        }
    }

    #[test]
    fn the_link_header_moves_against_the_clear_packet_and_names_its_version() {
        let mut frame = [0_u8; 80];
        for (at, octet) in frame.iter_mut().enumerate().take(14) {
            *octet = at as u8;
        }
        frame[34] = 0x60;
        let Some(Admitted::Frame(up)) = deliver(Medium::Ethernet, &mut frame, 20..60) else { unreachable!() };
        assert_eq!(up.len(), 54);
        assert_eq!(up[..14], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x86, 0xDD]);
        assert_eq!(up[14], 0x60);
        assert!(deliver(Medium::Ethernet, &mut [0x45; 40], 20..41).is_none());
    }
}
