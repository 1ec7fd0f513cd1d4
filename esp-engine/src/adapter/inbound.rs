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
use crate::time::Instant;
use crate::wire::ip::{Fragment, Packet};
use crate::wire::{esp, get_u32, udp};

/// What the stack gets to see of a frame.
enum Admitted<'f> {
    Frame(&'f mut [u8]),
    /// A fragment: others are missing.
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
            Inbound::Drop(_) => Err(Refusal::Engine),
        }
    }

    fn note_fragment(&self, octets: usize, last: bool) {
        let counters = &mut self.state.borrow_mut().counters;
        bump(&mut counters.fragments);
        counters.octets_copied_in = counters.octets_copied_in.wrapping_add(octets as u64);
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
