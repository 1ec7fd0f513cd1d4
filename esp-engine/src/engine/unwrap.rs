//! From an opened ESP packet to the clear IP packet: tunnel mode takes the inner one, transport mode
//! puts the outer headers before the payload (RFC 4303 §3.1).

use core::ops::Range;

use crate::counters::DropReason;
use crate::encapsulation;
use crate::tunnel;
use crate::wire::ip::{self, Packet};
use crate::wire::{esp, udp};

/// An ESP packet and the headers that brought it.
pub(super) struct Carrier<'p> {
    pub(super) packet: &'p Packet,
    /// Where ESP lies.
    pub(super) esp: Range<usize>,
    /// The sender's port, where UDP lay between.
    pub(super) port: Option<u16>,
}

/// The inner packet, as it is but for its ECN bits.
pub(super) fn tunnel_mode(
    carrier: &Carrier<'_>,
    next_header: u8,
    payload: Range<usize>,
    octets: &mut [u8],
) -> Result<Range<usize>, DropReason> {
    if !matches!(next_header, ip::PROTOCOL_V4 | ip::PROTOCOL_V6) {
        return Err(DropReason::WrongNextHeader);
    }
    let inner = octets.get_mut(payload.clone()).ok_or(DropReason::InnerMalformed)?;
    let parsed = Packet::parse(inner);
    let packet = parsed.as_ref().ok_or(DropReason::InnerMalformed)?;
    if packet.protocol_inside() != next_header {
        return Err(DropReason::WrongNextHeader);
    }
    let ecn = tunnel::ecn_at_exit(carrier.packet.traffic_class, packet.traffic_class)
        .map_err(|_| DropReason::CongestionUnmarkable)?;
    if let Some(ecn) = ecn {
        ip::set_ecn(inner, ecn).ok_or(DropReason::InnerMalformed)?;
    }
    // What follows the packet's own length is TFC padding (RFC 4303 §2.7).
    Ok(payload.start..payload.start + packet.length)
}

/// Moves the IP headers up to the payload, so that the clear packet lies in one piece.
pub(super) fn transport_mode(
    carrier: &Carrier<'_>,
    next_header: u8,
    payload: Range<usize>,
    octets: &mut [u8],
) -> Result<Range<usize>, DropReason> {
    let never = matches!(
        next_header,
        ip::HOP_BY_HOP
            | ip::ROUTING
            | ip::FRAGMENT
            | ip::AUTHENTICATION
            | esp::PROTOCOL
            | ip::PROTOCOL_V4
            | ip::PROTOCOL_V6
    );
    if never {
        return Err(DropReason::WrongNextHeader);
    }
    let Carrier { packet, port, .. } = carrier;
    let body = octets.get_mut(payload.clone()).ok_or(DropReason::InnerMalformed)?;
    // A datagram that knows its own length may be followed by TFC padding (RFC 4303 §2.7).
    let length = match (next_header, udp::Header::read(body)) {
        (udp::PROTOCOL, Some(header)) => header.length,
        _ => body.len(),
    };
    let payload = payload.start..payload.start + length;
    let body = octets.get_mut(payload.clone()).ok_or(DropReason::InnerMalformed)?;
    if port.is_some() {
        let (source, destination) = (packet.selectors.source, packet.selectors.destination);
        encapsulation::mend_checksum(next_header, body, source, destination);
    }
    let headers = packet.upper;
    let start = payload.start.checked_sub(headers).ok_or(DropReason::InnerMalformed)?;
    octets.copy_within(..headers, start);
    let clear = octets.get_mut(start..payload.end).ok_or(DropReason::InnerMalformed)?;
    let length = clear.len();
    ip::rename(clear, packet.upper_named_at, next_header, headers, length)
        .ok_or(DropReason::InnerMalformed)?;
    Ok(start..payload.end)
}
