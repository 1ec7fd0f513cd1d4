//! What an attacker on the cable tries against the adapters: clear packets, frames of other kinds,
//! lengths that lie, fragments that overlap, and plain noise.

mod adapter;

use adapter::cable::{Cable, MARKER, Medium};
use adapter::fragments;
use adapter::host::{Host, Under, Version, pass};
use adapter::packets::{IPV4, ethernet, framed, ip, udp};
use esp_engine::counters::DropReason;
use esp_engine::selector::AddressRange;
use proptest::prelude::*;

const ALL: [(Under, Version); 4] = [
    (Under::Driver, Version::V4),
    (Under::Driver, Version::V6),
    (Under::Device, Version::V4),
    (Under::Device, Version::V6),
];

fn hosts(cable: &Cable, under: Under, medium: Medium, version: Version) -> [Host; 2] {
    let hosts = [0, 1].map(|side| Host::new(cable, side, under, medium));
    hosts.iter().for_each(|host| host.install(version));
    hosts
}

/// What the stack on side 1 sees of frames; the adapters show nothing as an empty frame.
fn seen(cable: &Cable, host: &mut Host, frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let count = frames.len();
    frames.into_iter().for_each(|frame| cable.inject(1, frame));
    let up = host.receive();
    assert_eq!(up.len(), count, "a dropped frame must not end the stack's poll");
    up.into_iter().filter(|frame| !frame.is_empty()).collect()
}

/// Seals a datagram on side 0 and takes it from the cable.
fn sealed(cable: &Cable, hosts: &mut [Host; 2], medium: Medium, packet: &[u8]) -> Vec<u8> {
    let _ = cable.take_seen();
    hosts[0].transmit(&framed(medium, 1, packet));
    let frame = cable.take_seen().pop().unwrap();
    cable.clear();
    frame
}

/// RFC 4301 §5.2: whatever should have been protected and was not is dropped.
#[test]
fn clear_packets_do_not_reach_the_stack() {
    for (under, version) in ALL {
        for medium in [Medium::Ethernet, Medium::Ip] {
            let cable = Cable::new(medium, 1_500);
            let [_, mut host] = hosts(&cable, under, medium, version);
            let reset = [0, 179, 0xC3, 0x50, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 4, 0, 0, 0, 0, 0, 0];
            let whole = ip(version, 1, 6, 64, &reset);
            let (header, cut) = match version {
                Version::V4 => (20, fragments::v4 as fn(&[u8], &[u8], usize, bool) -> Vec<u8>),
                Version::V6 => (40, fragments::v6 as _),
            };
            let (head, data) = whole.split_at(header);
            let packets = [
                whole.clone(),
                udp(version, 1, (7, 7), b"hello"),
                cut(head, &data[..8], 0, true),
                cut(head, &data[8..], 8, false),
            ];
            let frames = packets.iter().map(|packet| framed(medium, 1, packet)).collect();
            assert_eq!(seen(&cable, &mut host, frames), Vec::<Vec<u8>>::new(), "{under:?} {version:?}");
            assert_eq!(host.port.counters().engine, 4);
            assert!(host.engine.borrow().counters().dropped(DropReason::ClearWherePolicyProtects) >= 2);
        }
    }
}

/// Only IP and ARP cross the adapter, in either direction.
#[test]
fn other_ether_types_and_vlan_tags_are_dropped_both_ways() {
    for under in [Under::Driver, Under::Device] {
        let cable = Cable::new(Medium::Ethernet, 1_500);
        let [_, mut host] = hosts(&cable, under, Medium::Ethernet, Version::V4);
        let arp = ethernet(1, 0x0806, &[7; 28]);
        let tagged = ethernet(1, 0x8100, &[&[0, 5, 8, 0][..], &udp(Version::V4, 1, (7, 7), b"x")].concat());
        let pppoe = ethernet(1, 0x8863, &[0; 46]);
        let frames = vec![tagged.clone(), pppoe.clone(), arp.clone(), vec![0; 13], vec![]];
        let up = seen(&cable, &mut host, frames);
        assert_eq!(up, std::slice::from_ref(&arp));
        let counters = host.port.counters();
        assert_eq!((counters.vlan, counters.ether_type, counters.malformed), (1, 1, 2));

        for frame in [&tagged, &pppoe, &arp] {
            host.transmit(frame);
        }
        assert_eq!(cable.take_seen(), [arp]);
        let counters = host.port.counters();
        assert_eq!((counters.vlan, counters.ether_type), (2, 2));
    }
}

/// An offload of the interface that joined segments leaves frames beyond the MTU.
#[test]
fn frames_beyond_the_mtu_are_dropped_and_counted() {
    for under in [Under::Driver, Under::Device] {
        let cable = Cable::new(Medium::Ethernet, 1_500);
        let [_, mut host] = hosts(&cable, under, Medium::Ethernet, Version::V4);
        let arp = ethernet(1, 0x0806, &[0; 1_501]);
        let joined = ethernet(1, IPV4, &ip(Version::V4, 1, 50, 64, &[0; 20_000]));
        assert!(seen(&cable, &mut host, vec![arp, joined]).is_empty());
        assert_eq!(host.port.counters().oversize, 2);
    }
}

/// Lengths that contradict each other, a jumbogram (RFC 2675) and IPv4 options around clear text.
#[test]
fn lying_lengths_are_dropped_after_the_check() {
    for under in [Under::Driver, Under::Device] {
        let cable = Cable::new(Medium::Ip, 1_500);
        let mut hosts = hosts(&cable, under, Medium::Ip, Version::V4);
        hosts[1].install(Version::V6);
        let esp = sealed(&cable, &mut hosts, Medium::Ip, &udp(Version::V4, 1, (7, 7), MARKER));
        let mut longer = esp.clone();
        longer[2..4].copy_from_slice(&(esp.len() as u16 + 1).to_be_bytes());
        let mut headless = esp.clone();
        headless[2..4].copy_from_slice(&19_u16.to_be_bytes());
        let mut version = esp.clone();
        version[0] = 0x55;
        let jumbo = {
            let mut packet = ip(Version::V6, 1, 0, 64, &[[50, 0, 0xC2, 4, 0, 1, 0, 0], [0; 8]].concat());
            packet[4..6].fill(0);
            packet
        };
        let mut options = ip(Version::V4, 1, 17, 64, &[1; 40]);
        options[0] = 0x4F;
        let frames = vec![longer, headless, version, esp[..20].to_vec(), jumbo, options, vec![0x40; 3]];
        let [_, host] = &mut hosts;
        assert!(seen(&cable, host, frames).is_empty(), "{under:?}");
        let counters = host.port.counters();
        assert_eq!((counters.malformed, counters.engine), (5, 2));
        // Octets behind the packet's own length are padding and no part of it.
        let padded = [&esp[..], &[0xAA; 30]].concat();
        assert_eq!(seen(&cable, host, vec![padded]), [udp(Version::V4, 1, (7, 7), MARKER)]);
    }
}

/// RFC 5722, and what teardrop did: overlapping, tiny and endless fragments cost their datagram and
/// nothing else.
#[test]
fn hostile_fragments_of_esp_are_dropped_and_good_ones_still_arrive() {
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ip, 1_500);
        let mut hosts = hosts(&cable, under, Medium::Ip, version);
        let clear = udp(version, 1, (7, 7), &MARKER.repeat(20));
        let esp = sealed(&cable, &mut hosts, Medium::Ip, &clear);
        let (header, cut) = match version {
            Version::V4 => (20, fragments::v4 as fn(&[u8], &[u8], usize, bool) -> Vec<u8>),
            Version::V6 => (40, fragments::v6 as _),
        };
        let (head, data) = esp.split_at(header);
        let [_, host] = &mut hosts;
        let overlap = vec![
            cut(head, &data[..64], 0, true),
            cut(head, &data[..24], 24, true),
            cut(head, &data[64..], 64, false),
        ];
        assert!(seen(&cable, host, overlap).is_empty());
        let tiny = vec![
            cut(head, &data[..4], 0, true),
            cut(head, &[], 8, true),
            cut(head, &data[..8], 65_528, false),
        ];
        assert!(seen(&cable, host, tiny).is_empty());
        assert_eq!(host.port.counters().fragments_dropped, 5, "{:?}", host.port.counters());

        pass(2_000);
        let good = vec![cut(head, &data[64..], 64, false), cut(head, &data[..64], 0, true)];
        let up = seen(&cable, host, good);
        assert_eq!(up.len(), 1);
        assert_eq!(up[0][header..], clear[header..]);
        assert_eq!(host.port.counters().reassembled, 1);
    }
}

/// A stranger's fragments take no context; the engine drops them.
#[test]
fn fragments_of_a_stranger_are_not_collected() {
    for under in [Under::Driver, Under::Device] {
        let cable = Cable::new(Medium::Ip, 1_500);
        let [_, mut host] = hosts(&cable, under, Medium::Ip, Version::V4);
        let mut stranger = ip(Version::V4, 1, 50, 64, &[0; 64]);
        stranger[15] = 99;
        let pieces = (0..8).map(|n| fragments::v4(&stranger[..20], &[0; 8], n * 8, true)).collect();
        assert!(seen(&cable, &mut host, pieces).is_empty());
        let counters = host.port.counters();
        assert_eq!((counters.fragments, counters.engine), (0, 8));
        assert_eq!(host.engine.borrow().counters().dropped(DropReason::EspFragment), 8);
    }
}

/// RFC 5082: checked on the ESP packet, before it is opened; the value goes up unchanged.
#[test]
fn the_time_to_live_of_esp_is_checked_and_kept() {
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ip, 1_500);
        let mut hosts = hosts(&cable, under, Medium::Ip, version);
        let peer = AddressRange::single(version.address(0));
        hosts[1].port.require_ttl(peer, 254).unwrap();
        for (hops, passes) in [(255, true), (254, true), (253, false), (1, false)] {
            let clear = ip(version, 1, 6, hops, &[MARKER, &[0; 20]].concat());
            let esp = sealed(&cable, &mut hosts, Medium::Ip, &clear);
            let up = seen(&cable, &mut hosts[1], vec![esp]);
            assert_eq!(up, if passes { vec![clear] } else { vec![] }, "{under:?} {version:?} {hops}");
        }
        assert_eq!(hosts[1].port.counters().time_to_live, 2);
        assert_eq!(hosts[1].engine.borrow().counters().opened.packets, 2);
    }
}

/// The stack answers inside the closure that receives: the adapter must not be borrowed then.
#[test]
fn an_answer_may_be_sent_from_within_the_receiving_closure() {
    use smoltcp::phy::{Device, RxToken, TxToken};
    for (under, version) in ALL {
        let cable = Cable::new(Medium::Ip, 1_500);
        let mut hosts = hosts(&cable, under, Medium::Ip, version);
        let question = udp(version, 1, (7, 8), MARKER);
        let answer = udp(version, 0, (8, 7), MARKER);
        hosts[0].transmit(&question);
        let (rx, tx) = hosts[1].link.receive(smoltcp::time::Instant::ZERO).unwrap();
        rx.consume(|frame| {
            assert_eq!(frame, question);
            tx.consume(answer.len(), |room| room.copy_from_slice(&answer));
        });
        assert_eq!(hosts[0].receive(), [answer]);
    }
}

proptest! {
    /// No frame makes an adapter panic, and no frame without the key gets past it.
    #[test]
    fn noise_neither_panics_nor_passes(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
        shape in any::<bool>(),
    ) {
        for under in [Under::Driver, Under::Device] {
            let cable = Cable::new(Medium::Ip, 1_500);
            let [_, mut host] = hosts(&cable, under, Medium::Ip, Version::V4);
            host.install(Version::V6);
            let frames: Vec<_> = frames.iter().map(|noise| if shape { shaped(noise) } else { noise.clone() }).collect();
            for frame in &frames {
                host.transmit(frame);
            }
            cable.clear();
            prop_assert!(seen(&cable, &mut host, frames).iter().all(|up| is_address_resolution(up)));
        }
    }
}

/// Noise that gets further: from the peer, with lengths that agree, often a fragment of ESP.
fn shaped(noise: &[u8]) -> Vec<u8> {
    let (kind, payload) = noise.split_first().unwrap_or((&0, &[]));
    let version = if kind & 1 == 0 { Version::V4 } else { Version::V6 };
    let protocol = [50, 50, 17, 44][usize::from(kind >> 1 & 3)];
    let mut packet = ip(version, 1, protocol, 64, payload);
    if version == Version::V4 {
        packet[6..8].copy_from_slice(&[kind >> 3 & 0x20, kind >> 4 & 3]);
    }
    packet
}

fn is_address_resolution(packet: &[u8]) -> bool {
    packet[0] >> 4 == 6 && matches!(packet[6], 58 | 0 | 43 | 44 | 60)
}
