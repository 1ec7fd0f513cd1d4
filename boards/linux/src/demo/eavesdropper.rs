//! What someone on the cable learns: kinds of frames, and whether anything of the protected session
//! ever passed in clear.

use crate::bgp::message::MARKER;
use crate::cable::{Origin, Seen};

/// What a frame is to someone who cannot decrypt.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// ARP, Neighbor Discovery, multicast listeners: how neighbours find each other.
    Arp,
    /// UDP 500, or UDP 4500 with the non-ESP marker.
    Ike,
    /// ESP, bare or in UDP 4500.
    Esp,
    /// Anything else.
    Clear,
}

/// What kind a frame is of.
pub fn kind(frame: &[u8]) -> Kind {
    let Some((header, packet)) = frame.split_at_checked(14) else { return Kind::Clear };
    match header.last_chunk::<2>() {
        Some([0x08, 0x06]) => Kind::Arp,
        Some([0x86, 0xdd]) if is_link_local_icmp(packet) => Kind::Arp,
        Some([0x08, 0x00]) => kind_of_packet(packet),
        _ => Kind::Clear,
    }
}

/// ICMPv6, at once or behind a hop-by-hop header, from or to a link's own addresses.
fn is_link_local_icmp(packet: &[u8]) -> bool {
    let icmp = matches!(packet, [_, _, _, _, _, _, 58 | 0, ..]);
    icmp && matches!(packet.get(24..26), Some([0xff, 0x02] | [0xfe, 0x80]))
}

fn kind_of_packet(packet: &[u8]) -> Kind {
    const ESP: u8 = 50;
    const UDP: u8 = 17;
    let Some((header, payload)) = packet.split_at_checked(20) else { return Kind::Clear };
    match (header.get(9), payload) {
        (Some(&ESP), _) => Kind::Esp,
        (Some(&UDP), [0x01, 0xf4, ..] | [_, _, 0x01, 0xf4, ..]) => Kind::Ike,
        (Some(&UDP), [0x11, 0x94, _, _, _, _, _, _, rest @ ..]) if rest.starts_with(&[0; 4]) => Kind::Ike,
        (Some(&UDP), [0x11, 0x94, ..]) => Kind::Esp,
        _ => Kind::Clear,
    }
}

/// Frames by kind, those of the attacker left out.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// ARP and its like.
    pub arp: usize,
    /// IKE.
    pub ike: usize,
    /// ESP.
    pub esp: usize,
    /// Anything else.
    pub clear: usize,
    /// Frames in which the marker of a BGP message is to be read.
    pub readable: usize,
}

/// Counts frames.
pub fn tally(frames: &[Seen]) -> Tally {
    let mut tally = Tally::default();
    for frame in frames.iter().filter(|frame| frame.origin != Origin::Attacker) {
        *match kind(&frame.octets) {
            Kind::Arp => &mut tally.arp,
            Kind::Ike => &mut tally.ike,
            Kind::Esp => &mut tally.esp,
            Kind::Clear => &mut tally.clear,
        } += 1;
        tally.readable += usize::from(frame.octets.windows(MARKER.len()).any(|octets| octets == MARKER));
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0]);
        frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn frames_are_told_apart_as_an_eavesdropper_would() {
        let udp = |port: u16, payload: &[u8]| {
            let port = port.to_be_bytes();
            let head = [port[0], port[1], port[0], port[1], 0, 0, 0, 0];
            frame(17, &[&head, payload].concat())
        };
        assert_eq!(kind(&frame(50, &[1; 40])), Kind::Esp);
        assert_eq!(kind(&frame(6, &[1; 40])), Kind::Clear);
        assert_eq!(kind(&udp(500, &[1; 28])), Kind::Ike);
        assert_eq!(kind(&udp(4500, &[0; 28])), Kind::Ike);
        assert_eq!(kind(&udp(4500, &[1; 28])), Kind::Esp);
        assert_eq!(kind(&udp(53, &[1; 28])), Kind::Clear);
        assert_eq!(kind(&[0; 10]), Kind::Clear);
    }

    #[test]
    fn a_readable_session_is_noticed_and_the_attackers_own_frames_are_not_counted() {
        let seen = |origin| Seen { micros: 0, origin, octets: frame(6, &[0xff; 19]), blocked: false };
        let tally = tally(&[seen(Origin::End(0)), seen(Origin::Attacker)]);
        assert_eq!(tally, Tally { clear: 1, readable: 1, ..Tally::default() });
    }
}
