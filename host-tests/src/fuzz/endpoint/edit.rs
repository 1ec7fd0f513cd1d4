//! Messages of the toy backend taken apart, changed, and put together again: their text is readable and
//! their ICV does not matter.

use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header};

use super::Script;
use crate::forge::{self, Payload};

/// Octets of the IV and of the ICV.
const IV: usize = 8;
const ICV: usize = 16;

/// A message whose SK payload holds these octets.
pub(super) fn sealed(header: &Header, first: PayloadType, text: &[u8]) -> Vec<u8> {
    let length = 4 + IV + text.len() + 1 + ICV;
    let total = u32::try_from(Header::LENGTH + length).expect("short");
    let mut message = Header { next_payload: PayloadType::SK, ..*header }.octets(total).to_vec();
    message.extend([first.0, 0]);
    message.extend(u16::try_from(length).expect("short").to_be_bytes());
    message.extend([0; IV]);
    message.extend(text);
    message.extend([0; 1 + ICV]);
    message
}

/// Changes up to four octets, or cuts the end off.
pub(super) fn octets(datagram: &mut Vec<u8>, script: &mut Script<'_>) {
    let how = script.octet();
    for _ in 0..=how % 4 {
        let place = script.below(datagram.len().max(1));
        if let Some(octet) = datagram.get_mut(place) {
            *octet ^= script.octet();
        }
    }
    if how & 0x80 != 0 {
        datagram.truncate(script.below(datagram.len() + 1));
    }
}

/// Changes payloads of a message that an endpoint made, behind a marker of so many octets; lengths are right
/// again afterwards.
pub(super) fn payloads(datagram: &mut Vec<u8>, script: &mut Script<'_>, marker: usize) {
    let Some(Ok(mut header)) = datagram.get(marker..).map(Header::parse) else {
        return;
    };
    if header.next_payload == PayloadType::SKF {
        return fragment(datagram, script, marker);
    }
    let body = &datagram[marker + Header::LENGTH..];
    let is_sealed = header.next_payload == PayloadType::SK;
    let mut payloads = if is_sealed {
        let padding = usize::from(body[body.len() - ICV - 1]);
        forge::split(PayloadType(body[0]), &body[4 + IV..body.len() - ICV - 1 - padding])
    } else {
        forge::split(header.next_payload, body)
    };
    for _ in 0..=script.octet() % 3 {
        change(&mut header, &mut payloads, script);
    }
    let (first, text) = (payloads.first().map_or(PayloadType::NONE, |p| p.kind), forge::join(&payloads));
    let message = if is_sealed {
        sealed(&header, first, &text)
    } else {
        let total = u32::try_from(Header::LENGTH + text.len()).expect("short");
        [&Header { next_payload: first, ..header }.octets(total)[..], &text].concat()
    };
    datagram.splice(marker.., message);
}

/// Changes a fragment: what its first payload is said to be, its number, how many there are, one octet of what is in
/// it (RFC 7383 §2.5).
fn fragment(datagram: &mut [u8], script: &mut Script<'_>, marker: usize) {
    let start = marker + Header::LENGTH;
    let text = start + 8 + IV;
    for _ in 0..=script.octet() % 3 {
        let place = match script.octet() % 4 {
            0 => start,
            1 => start + 5,
            2 => start + 7,
            _ => text + script.below(datagram.len().saturating_sub(text).max(1)),
        };
        if let Some(octet) = datagram.get_mut(place) {
            *octet ^= script.octet();
        }
    }
}

fn change(header: &mut Header, payloads: &mut Vec<Payload>, script: &mut Script<'_>) {
    let how = script.octet() % 7;
    let place = script.below(payloads.len() + 1);
    match (how, payloads.get_mut(place)) {
        (0, Some(_)) => drop(payloads.remove(place)),
        (1, Some(payload)) => {
            let copy = payload.clone();
            payloads.push(copy);
        }
        (2, Some(_)) => payloads.swap(place, 0),
        (3, Some(payload)) => payload.kind = PayloadType(33 + script.octet() % 24),
        (4, Some(payload)) => {
            let from = script.below(payload.body.len() + 1);
            let removed = script.below(payload.body.len() - from + 1);
            let added = usize::from(script.octet() % 40);
            payload.body.splice(from..from + removed, script.octets(added).iter().copied());
        }
        (5, _) => {
            let kind = PayloadType(33 + script.octet() % 24);
            let length = usize::from(script.octet() % 80);
            payloads.insert(place, Payload { kind, body: script.octets(length).to_vec() });
        }
        _ => {
            header.exchange = ExchangeType(34 + script.octet() % 12);
            header.flags = Flags { initiator: script.flag(), response: script.flag() };
            header.message_id = u32::from(script.octet() % 8);
        }
    }
}
