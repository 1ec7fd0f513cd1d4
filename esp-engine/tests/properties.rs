//! What holds for every octet string and every order of events.

mod common;

use common::*;
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::engine::{Engine, Inbound, Outbound, Output, Settings};
use esp_engine::sa::{ChildSa, Spi};
use esp_engine::spd::{Action, Policy};
use proptest::prelude::*;
use proptest::sample::Index;

fn cases() -> Vec<Case> {
    Case::all().collect()
}

/// Octets that look enough like IP to get somewhere.
fn almost_ip() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0x45_u8), Just(0x46), Just(0x4f), Just(0x60), any::<u8>()];
    let protocol = prop_oneof![
        Just(50_u8),
        Just(17),
        Just(6),
        Just(1),
        Just(58),
        Just(0),
        Just(43),
        Just(44),
        Just(60),
        any::<u8>()
    ];
    (first, protocol, prop::collection::vec(any::<u8>(), 0..200), any::<bool>()).prop_map(
        |(first, protocol, mut octets, honest)| {
            let length = octets.len();
            let mut set = |at: usize, value: u8| octets.get_mut(at).into_iter().for_each(|o| *o = value);
            set(0, first);
            if first >> 4 == 6 {
                set(4, 0);
                set(5, if honest { length.saturating_sub(40) as u8 } else { 9 });
                set(6, protocol);
            } else {
                set(2, 0);
                set(3, if honest { length as u8 } else { 30 });
                set(9, protocol);
                set(6, 0x40);
                set(7, 0);
            }
            octets
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// No octet string makes the packet path panic, and none is delivered.
    #[test]
    fn no_octets_panic(octets in prop_oneof![almost_ip(), prop::collection::vec(any::<u8>(), 0..300)], which: Index) {
        let cases = cases();
        let mut memory = Memory::new();
        let mut engine = which.get(&cases).engine_a(&mut memory, Settings::default());
        engine.add_policy(Policy { action: Action::Bypass, ..TRANSPORT.policy() }).unwrap();
        if let Outbound::Seal(seal) = engine.outbound(NOW, &octets) {
            let mut out = vec![0; seal.length()];
            prop_assert!(engine.seal(seal, &octets, &mut out).is_ok());
        }
        let mut frame = octets.clone();
        prop_assert!(!matches!(engine.inbound(NOW, &mut frame), Inbound::Deliver(_)));
    }

    /// No authentic text makes it panic either, and what it delivers lies inside the buffer.
    #[test]
    fn no_authentic_text_panics(
        text in prop_oneof![almost_ip(), prop::collection::vec(any::<u8>(), 2..200)],
        next in any::<u8>(),
        tidy: bool,
        which: Index,
    ) {
        let cases = cases();
        let case = which.get(&cases);
        let mut memory = Memory::new();
        let mut engine = case.engine_a(&mut memory, Settings::default());
        let block = case.algorithm.block_length().max(4);
        let mut text = if tidy { padded_to(block, &text, next) } else { text };
        // The least text holds pad length and next header.
        text.resize(text.len().next_multiple_of(block).max(block), 0);
        let mut frame = craft(case, 1, &text);
        if let Inbound::Deliver(place) = engine.inbound(NOW, &mut frame) {
            prop_assert!(frame.get(place).is_some());
        }
        let heard = engine.sas().next().unwrap().received.packets;
        prop_assert_eq!(heard, 1, "authenticated, whatever it held");
    }

    /// A damaged copy of an honest packet is never delivered as anything else.
    #[test]
    fn damaged_packets_deliver_nothing_new(
        which: Index,
        payload in prop::collection::vec(any::<u8>(), 0..600),
        place: Index,
        flip in 1..=255_u8,
    ) {
        let cases = cases();
        let case = which.get(&cases);
        let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
        let mut a = case.engine_a(&mut memory_a, Settings::default());
        let mut b = case.engine_b(&mut memory_b, Settings::default());
        let clear = case.packet(&payload);
        let sealed = seal(&mut a, NOW, &clear);
        let mut damaged = sealed.clone();
        damaged[place.index(sealed.len())] ^= flip;
        if let Ok(opened) = open(&mut b, NOW, &damaged) {
            // Only fields that routers change on the way are not protected.
            prop_assert_eq!(&opened[opened.len() - payload.len()..], &payload[..]);
        }
    }

    /// Whatever happens to SAs, nothing that policy protects leaves in clear, no sequence number is
    /// used twice under one key, and polling ends.
    #[test]
    fn nothing_leaves_in_clear(events in prop::collection::vec((0..6_u8, 0..8_u32, 0..3_u64), 1..60)) {
        let case = TRANSPORT;
        let mut memory = Memory::new();
        let mut engine: TestEngine<'_> = Engine::new(Settings::default(), &mut memory);
        engine.add_policy(case.policy()).unwrap();
        let (mut now, mut installed, mut used) = (0, 0_u32, std::collections::HashSet::new());
        for (event, slot, seconds) in events {
            now += seconds * 1000;
            let spi = Spi::for_slot(slot as u16, SLOTS, 0x4000);
            match event {
                0 => {
                    installed += 1;
                    let outbound = Spi::new(0x1_0000 + installed).unwrap();
                    let may_send = seconds == 0;
                    let child: ChildSa<SoftwareCipher> =
                        ChildSa { inbound: spi, outbound, may_send, ..case.child_a() };
                    let _ = engine.install(after(now), child);
                }
                1 => _ = engine.remove(spi),
                2 => engine.handle_timeout(after(now)),
                _ => {
                    let packet = case.packet(MARKER);
                    match engine.outbound(after(now), &packet) {
                        Outbound::Seal(seal) => {
                            let mut out = vec![0; seal.length()];
                            engine.seal(seal, &packet, &mut out).unwrap();
                            prop_assert!(!contains(&out, MARKER));
                            prop_assert!(used.insert(out[20..28].to_vec()), "a number was used twice");
                        }
                        Outbound::Hold { .. } => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
            let polls = (0..64).take_while(|_| !matches!(engine.poll_output(), Output::Timeout(_))).count();
            prop_assert!(polls < 64);
        }
    }
}
