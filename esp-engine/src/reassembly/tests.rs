use std::vec;
use std::vec::Vec;

use super::*;

const PEER: [u8; 4] = [192, 0, 2, 1];
const US: [u8; 4] = [192, 0, 2, 2];

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 % 251) as u8).collect()
}

struct Piece {
    protocol: u8,
    id: u16,
    offset: usize,
    more: bool,
    service: u8,
    options: usize,
}

impl Piece {
    fn esp(id: u16, offset: usize, more: bool) -> Self {
        Self { protocol: 50, id, offset, more, service: 0, options: 0 }
    }

    fn v4(&self, data: &[u8]) -> Vec<u8> {
        let header = 20 + self.options;
        let mut packet = vec![0x40 | (header / 4) as u8, self.service];
        packet.extend(((header + data.len()) as u16).to_be_bytes());
        packet.extend(self.id.to_be_bytes());
        packet.extend(((self.offset / 8) as u16 | if self.more { 0x2000 } else { 0 }).to_be_bytes());
        packet.extend([64, self.protocol, 0, 0]);
        packet.extend(PEER.iter().chain(&US));
        packet.extend(vec![1; self.options]);
        packet.extend(data);
        packet
    }

    fn v6(&self, data: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60 | self.service >> 4, self.service << 4, 0, 0];
        packet.extend(((self.options + 8 + data.len()) as u16).to_be_bytes());
        packet.extend([if self.options > 0 { 60 } else { 44 }, 64]);
        packet.extend([0x20; 15].iter().chain(&[1]).chain(&[0x20; 15]).chain(&[2]));
        if self.options > 0 {
            packet.extend([44, (self.options / 8 - 1) as u8]);
            packet.extend(vec![0; self.options - 2]);
        }
        packet.extend([self.protocol, 0]);
        packet.extend((self.offset as u16 | u16::from(self.more)).to_be_bytes());
        packet.extend(u32::from(self.id).to_be_bytes());
        packet.extend(data);
        packet
    }
}

fn add<'r>(reassembly: &'r mut Reassembly, ms: u64, packet: &[u8]) -> Collected<'r> {
    reassembly.collect(at(ms), packet, |_| true)
}

fn ones_complement_sum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]))).sum();
    ((sum & 0xFFFF) + (sum >> 16)) as u16
}

/// RFC 791 §3.2: in any order.
#[test]
fn fragments_of_ipv4_become_one_packet_without_fragment_fields() {
    let payload = pattern(1_500);
    let cuts = [(0, 496, true), (496, 992, true), (992, 1_500, false)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let mut reassembly = Reassembly::new();
        for place in &order[..2] {
            let (from, to, more) = cuts[*place];
            let piece = Piece::esp(7, from, more).v4(&payload[from..to]);
            assert_eq!(add(&mut reassembly, 0, &piece), Collected::Waiting);
        }
        let (from, to, more) = cuts[order[2]];
        let piece = Piece::esp(7, from, more).v4(&payload[from..to]);
        let Collected::Whole(frame) = add(&mut reassembly, 1, &piece) else { panic!("not whole: {order:?}") };
        let packet = &frame[HEADROOM..];
        assert_eq!(packet.len(), 1_520);
        assert_eq!(packet[2..4], 1_520_u16.to_be_bytes());
        assert_eq!(packet[6..8], [0, 0]);
        assert_eq!(ones_complement_sum(&packet[..20]), 0xFFFF);
        assert_eq!(packet[20..], payload);
    }
}

#[test]
fn options_of_the_first_fragment_stay() {
    let mut reassembly = Reassembly::new();
    let mut first = Piece::esp(7, 0, true);
    first.options = 40;
    assert_eq!(add(&mut reassembly, 0, &first.v4(&pattern(64))), Collected::Waiting);
    let Collected::Whole(frame) = add(&mut reassembly, 0, &Piece::esp(7, 64, false).v4(&[9; 3])) else {
        panic!()
    };
    assert_eq!(frame.len(), HEADROOM + 60 + 67);
    assert_eq!(frame[HEADROOM], 0x4F);
}

/// RFC 8200 §4.5: the unfragmentable part names the payload's protocol in place of the fragment header.
#[test]
fn fragments_of_ipv6_become_one_packet_without_fragment_header() {
    for options in [0, 8, 24] {
        let payload = pattern(1_501);
        let piece = |offset, more| Piece { options, ..Piece::esp(7, offset, more) };
        let mut reassembly = Reassembly::new();
        assert_eq!(add(&mut reassembly, 0, &piece(1_000, false).v6(&payload[1_000..])), Collected::Waiting);
        let Collected::Whole(frame) = add(&mut reassembly, 0, &piece(0, true).v6(&payload[..1_000])) else {
            panic!()
        };
        let packet = &frame[HEADROOM..];
        assert_eq!(packet[4..6], ((options + 1_501) as u16).to_be_bytes());
        assert_eq!(packet[if options > 0 { 40 } else { 6 }], 50);
        assert_eq!(packet[40 + options..], payload);
    }
}

/// RFC 6946 §4: it is processed in isolation from fragments with the same identification.
#[test]
fn an_atomic_fragment_is_whole_at_once_and_disturbs_no_other() {
    let mut reassembly = Reassembly::new();
    assert_eq!(add(&mut reassembly, 0, &Piece::esp(7, 0, true).v6(&[1; 8])), Collected::Waiting);
    let atomic = Piece::esp(7, 0, false).v6(&[2; 9]);
    assert!(matches!(add(&mut reassembly, 0, &atomic), Collected::Whole(f) if f[HEADROOM + 40..] == [2; 9]));
    let last = Piece::esp(7, 8, false).v6(&[3; 1]);
    assert!(matches!(add(&mut reassembly, 0, &last), Collected::Whole(f) if f.len() == HEADROOM + 49));
}

/// RFC 5722 §4, and the teardrop of old.
#[test]
fn an_overlap_drops_the_datagram_and_what_still_comes_of_it() {
    for (offset, length, more) in [(0, 8, true), (8, 8, true), (8, 3, false), (0, 24, true), (8, 16, true)] {
        let mut reassembly = Reassembly::new();
        assert_eq!(add(&mut reassembly, 0, &Piece::esp(7, 0, true).v4(&[1; 16])), Collected::Waiting);
        let second = Piece::esp(7, offset, more).v4(&vec![2; length]);
        assert_eq!(add(&mut reassembly, 0, &second), Collected::Dropped(FragmentError::Overlap));
        let rest = Piece::esp(7, 16, false).v4(&[3; 5]);
        assert_eq!(add(&mut reassembly, 0, &rest), Collected::Dropped(FragmentError::Refused));
    }
}

#[test]
fn impossible_fragments_are_dropped() {
    use FragmentError::{Malformed, TooLong};
    let cases = [
        (Piece::esp(1, 0, true).v4(&[]), Malformed),
        (Piece::esp(2, 0, true).v4(&[0; 9]), Malformed),
        (Piece::esp(3, 65_528, true).v4(&[0; 8]), TooLong),
        (Piece::esp(4, PAYLOAD_OCTETS, false).v4(&[0; 1]), TooLong),
        (Piece { options: 32, ..Piece::esp(5, 0, true) }.v6(&[0; 8]), TooLong),
        (Piece::esp(6, 0, true).v6(&[])[..47].to_vec(), Malformed),
        ([&[0x44][..], &Piece::esp(8, 0, true).v4(&[0; 8])[1..]].concat(), Malformed),
    ];
    for (packet, reason) in cases {
        assert_eq!(add(&mut Reassembly::new(), 0, &packet), Collected::Dropped(reason), "{packet:02x?}");
    }
}

/// Whether such octets are dropped is the engine's to say.
#[test]
fn what_shows_no_fragment_passes() {
    let cases = [
        Piece { options: 8, ..Piece::esp(7, 0, true) }.v6(&[])[..44].to_vec(),
        Piece::esp(9, 0, true).v6(&[])[..39].to_vec(),
        Piece::esp(9, 0, true).v4(&[0; 8])[..19].to_vec(),
        vec![0x50; 40],
        vec![],
    ];
    for packet in cases {
        assert_eq!(add(&mut Reassembly::new(), 0, &packet), Collected::Passed, "{packet:02x?}");
    }
}

#[test]
fn nothing_may_lie_behind_the_last_fragment() {
    let mut reassembly = Reassembly::new();
    assert_eq!(add(&mut reassembly, 0, &Piece::esp(7, 16, false).v4(&[0; 4])), Collected::Waiting);
    let behind = Piece::esp(7, 24, true).v4(&[0; 8]);
    assert_eq!(add(&mut reassembly, 0, &behind), Collected::Dropped(FragmentError::Malformed));

    let mut reassembly = Reassembly::new();
    assert_eq!(add(&mut reassembly, 0, &Piece::esp(7, 24, true).v4(&[0; 8])), Collected::Waiting);
    let last = Piece::esp(7, 8, false).v4(&[0; 8]);
    assert_eq!(add(&mut reassembly, 0, &last), Collected::Dropped(FragmentError::Malformed));
}

#[test]
fn a_datagram_waits_two_seconds_and_no_longer() {
    let mut reassembly = Reassembly::new();
    assert_eq!(add(&mut reassembly, 0, &Piece::esp(7, 0, true).v4(&[1; 8])), Collected::Waiting);
    let last = Piece::esp(7, 8, false).v4(&[2; 8]);
    assert_eq!(reassembly.expire(at(1_999)), 0);
    assert_eq!(reassembly.expire(at(2_000)), 1);
    assert_eq!(add(&mut reassembly, 2_000, &last), Collected::Waiting);
    assert_eq!(add(&mut reassembly, 4_000, &Piece::esp(7, 0, true).v4(&[1; 8])), Collected::Waiting);

    let mut reassembly = Reassembly::new();
    assert_eq!(add(&mut reassembly, 0, &Piece::esp(7, 0, true).v4(&[1; 8])), Collected::Waiting);
    assert!(matches!(add(&mut reassembly, 1_999, &last), Collected::Whole(_)));
}

#[test]
fn two_datagrams_are_collected_at_a_time() {
    let mut reassembly = Reassembly::new();
    for id in [1, 2] {
        assert_eq!(add(&mut reassembly, 0, &Piece::esp(id, 0, true).v4(&[1; 8])), Collected::Waiting);
    }
    let third = Piece::esp(3, 0, true).v4(&[1; 8]);
    assert_eq!(add(&mut reassembly, 0, &third), Collected::Dropped(FragmentError::NoContext));
    assert!(matches!(add(&mut reassembly, 0, &Piece::esp(2, 8, false).v4(&[1; 8])), Collected::Whole(_)));
    assert_eq!(add(&mut reassembly, 0, &third), Collected::Waiting);
}

#[test]
fn a_refused_datagram_gives_its_context_to_the_next() {
    let mut reassembly = Reassembly::new();
    for id in [1, 2] {
        let piece = Piece::esp(id, 0, true).v4(&[1; 8]);
        assert_eq!(add(&mut reassembly, 0, &piece), Collected::Waiting);
        assert_eq!(add(&mut reassembly, 0, &piece), Collected::Dropped(FragmentError::Overlap));
    }
    assert_eq!(add(&mut reassembly, 0, &Piece::esp(3, 0, true).v4(&[1; 8])), Collected::Waiting);
}

#[test]
fn strangers_and_other_protocols_take_no_context() {
    let mut reassembly = Reassembly::new();
    let esp = Piece::esp(7, 0, true).v4(&[1; 8]);
    assert_eq!(reassembly.collect(at(0), &esp, |source| source != IpAddr::from(PEER)), Collected::Passed);
    let tcp = Piece { protocol: 6, ..Piece::esp(7, 0, true) };
    assert_eq!(add(&mut reassembly, 0, &tcp.v4(&[1; 8])), Collected::Passed);
    assert_eq!(add(&mut reassembly, 0, &tcp.v6(&[1; 8])), Collected::Passed);
    let whole = Piece::esp(7, 0, false).v4(&[1; 8]);
    assert_eq!(add(&mut reassembly, 0, &whole), Collected::Passed);
    let udp = Piece { protocol: 17, ..Piece::esp(7, 0, true) };
    assert_eq!(add(&mut reassembly, 0, &udp.v4(&[1; 8])), Collected::Waiting);
}

/// RFC 3168 §5.3.
#[test]
fn congestion_marks_of_fragments_are_joined() {
    let with = |service, offset, more| Piece { service, ..Piece::esp(7, offset, more) };
    let mut reassembly = Reassembly::new();
    assert_eq!(add(&mut reassembly, 0, &with(2, 0, true).v4(&[1; 8])), Collected::Waiting);
    let marked = with(3, 8, false).v4(&[1; 8]);
    assert!(matches!(add(&mut reassembly, 0, &marked), Collected::Whole(f) if f[HEADROOM + 1] == 3));

    assert_eq!(add(&mut reassembly, 0, &with(2, 0, true).v6(&[1; 8])), Collected::Waiting);
    let marked_v6 = with(3, 8, false).v6(&[1; 8]);
    assert!(matches!(add(&mut reassembly, 0, &marked_v6), Collected::Whole(f) if f[HEADROOM + 1] == 0x30));

    assert_eq!(add(&mut reassembly, 0, &with(0, 0, true).v4(&[1; 8])), Collected::Waiting);
    assert_eq!(add(&mut reassembly, 0, &marked), Collected::Dropped(FragmentError::Congestion));
}

/// The largest datagram: it fills a context to its end.
#[test]
fn a_context_is_used_to_its_last_octet() {
    let payload = pattern(PAYLOAD_OCTETS);
    let mut reassembly = Reassembly::new();
    assert_eq!(add(&mut reassembly, 0, &Piece::esp(7, 0, true).v4(&payload[..1_480])), Collected::Waiting);
    let last = Piece::esp(7, 1_480, false).v4(&payload[1_480..]);
    assert!(matches!(add(&mut reassembly, 0, &last), Collected::Whole(f) if f[HEADROOM + 20..] == payload));
}
