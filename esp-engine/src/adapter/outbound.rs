//! From the stack to the wire (RFC 4301 §5.1).

use core::cell::RefCell;
use core::net::IpAddr;

use super::counters::bump;
use super::link::{Content, Medium};
use super::port::{Port, Sources, State};
use super::too_big::{ErrorFrame, too_big};
use super::{Link, Refusal, Wire};
use crate::crypto::Cipher;
use crate::engine::{Engine, Outbound, Seal};
use crate::selector::Selectors;
use crate::time::Instant;
use crate::wire::ip;

impl Port {
    /// The stack's frame goes to the wire, into the hold queue, or nowhere.
    pub(crate) fn transmit<C: Cipher>(
        &self,
        engine: &RefCell<Engine<'_, C>>,
        now: Instant,
        link: Link,
        frame: &[u8],
        wire: impl Wire,
    ) {
        let attempt = attempt(engine, now, link, frame, self.state.borrow().sources.as_ref(), wire);
        let mut state = self.state.borrow_mut();
        match attempt {
            Ok(Attempt::Hold(flow)) => match state.hold.push(now, flow, frame) {
                Ok(()) => {
                    bump(&mut state.counters.held);
                    state.counters.copied_out(frame.len());
                }
                Err(_) => bump(&mut state.counters.hold_full),
            },
            done => state.note(done),
        }
        let error = !state.errors.is_empty();
        drop(state);
        self.note_moved();
        // The stack is inside its own poll: it must come back for the error.
        if error {
            self.wake();
        }
    }

    /// Tries the oldest held packet again.
    pub(crate) fn transmit_held<C: Cipher>(
        &self,
        engine: &RefCell<Engine<'_, C>>,
        now: Instant,
        link: Link,
        wire: impl Wire,
    ) {
        let mut state = self.state.borrow_mut();
        let State { hold, sources, .. } = &mut *state;
        let Some(frame) = hold.next_due(now) else { return };
        match attempt(engine, now, link, frame, sources.as_ref(), wire) {
            Ok(Attempt::Hold(_)) => state.hold.wait_on(),
            done => {
                state.hold.remove_due();
                if matches!(done, Ok(Attempt::Sent { .. })) {
                    bump(&mut state.counters.released);
                }
                state.note(done);
            }
        }
        drop(state);
        self.note_moved();
    }
}

/// What became of a frame.
enum Attempt {
    /// It left.
    Sent { copied: usize },
    /// It waits for an SA.
    Hold(Selectors),
    /// It does not fit; what the stack is told.
    TooBig(Option<ErrorFrame>),
}

impl State {
    fn note(&mut self, attempt: Result<Attempt, Refusal>) {
        match attempt {
            Ok(Attempt::Sent { copied }) => {
                bump(&mut self.counters.sent);
                self.counters.copied_out(copied);
            }
            Ok(Attempt::Hold(_)) => {}
            Ok(Attempt::TooBig(error)) => {
                bump(&mut self.counters.too_big);
                // The errors that fill the queue say the same.
                if let Some(error) = error.filter(|_| !self.errors.is_full()) {
                    let _ = self.errors.push_back(error);
                }
            }
            Err(refusal) => self.counters.refuse(refusal),
        }
    }
}

fn attempt<C: Cipher>(
    engine: &RefCell<Engine<'_, C>>,
    now: Instant,
    link: Link,
    frame: &[u8],
    sources: Option<&Sources>,
    wire: impl Wire,
) -> Result<Attempt, Refusal> {
    let place = match link.parse(frame)? {
        Content::Arp => return emit(link, frame.len(), wire, |out| copy(out, frame)),
        Content::Packet(place) => place,
    };
    let frame = frame.get(..place.end).ok_or(Refusal::Malformed)?;
    let (header, packet) = frame.split_at_checked(place.start).ok_or(Refusal::Malformed)?;
    if sources.is_some_and(|sources| !is_ours(sources, packet)) {
        return Err(Refusal::Source);
    }
    let verdict = engine.borrow_mut().outbound(now, packet);
    match verdict {
        Outbound::Bypass => emit(link, frame.len(), wire, |out| copy(out, frame)),
        Outbound::Seal(seal) => {
            let length = header.len() + seal.length();
            emit(link, length, wire, |out| write_sealed(engine, link.medium, seal, header, packet, out))
        }
        Outbound::Hold { packet: flow, .. } => Ok(Attempt::Hold(flow)),
        Outbound::TooBig { mtu } => Ok(Attempt::TooBig(too_big(link.medium, frame, mtu))),
        Outbound::Drop(_) => Err(Refusal::Engine),
    }
}

/// Whether a packet may come from us.
fn is_ours(sources: &Sources, packet: &[u8]) -> bool {
    ip::Packet::parse(packet).is_none_or(|parsed| {
        let source = parsed.selectors.source;
        let is_link_local = matches!(source, IpAddr::V6(address) if address.is_unicast_link_local());
        sources.contains(&source) || source.is_unspecified() || is_link_local
    })
}

/// Sends a frame that `write` fills; it says how many octets it copied. Once a frame of the driver
/// is taken something leaves: where writing fails these are zeros, and never the clear packet.
fn emit(
    link: Link,
    length: usize,
    wire: impl Wire,
    write: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Result<Attempt, Refusal> {
    if length > link.frame {
        return Err(Refusal::Oversize);
    }
    let mut copied = None;
    wire.send(length, |out| {
        copied = write(out);
        if copied.is_none() {
            out.fill(0);
        }
    });
    copied.map(|copied| Attempt::Sent { copied }).ok_or(Refusal::Engine)
}

fn copy(out: &mut [u8], frame: &[u8]) -> Option<usize> {
    out.get_mut(..frame.len())?.copy_from_slice(frame);
    Some(frame.len())
}

fn write_sealed<C: Cipher>(
    engine: &RefCell<Engine<'_, C>>,
    medium: Medium,
    seal: Seal,
    header: &[u8],
    packet: &[u8],
    out: &mut [u8],
) -> Option<usize> {
    let length = seal.length();
    let sealed = out.get_mut(header.len()..header.len() + length)?;
    let written = engine.borrow_mut().seal(seal, packet, sealed).ok()?;
    medium.write_header(header, out)?;
    (written == length).then_some(header.len() + packet.len())
}
