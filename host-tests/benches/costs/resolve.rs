//! A peer by its name: from the root down through two zones, every key Ed25519, and one more name of a zone that
//! is known already. The servers' part is played back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use host_tests::dns::{Room, Server, Signing, Tree, World};
use ike_core::discovery::outcome::Security;

use crate::meter::Best;

const TURNS: usize = 50;
const KEY: &str = "GhuEwFlMIDHlzdvElFUqA3kXCkFqMvSPRCZcQvsFIqU=";

pub fn measure() {
    let text = ["one", "two"].map(|name| {
        format!("{name}.peer.test. IPSECKEY 10 0 4 . {KEY}\n{name}.peer.test. A 192.0.2.1\n{name}.peer.test. AAAA 2001:db8::1\n")
    });
    let tree = Rc::new(Tree::new(&[
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, ""),
        ("peer.test.", Signing::Signed, &text.concat()),
    ]));
    let answers = Rc::new(RefCell::new(VecDeque::new()));
    let (tape, asked_of) = (Rc::clone(&answers), Rc::clone(&tree));
    let recording: Server = Box::new(move |asked| {
        let octets = asked.reply(&asked_of.answer(&asked.name(), asked.rtype()));
        tape.borrow_mut().push_back(octets.clone());
        asked.answered(octets)
    });
    let mut world = World::new(vec![recording], tree.anchors());
    let mut counts = Vec::new();
    for name in ["one.peer.test.", "two.peer.test."] {
        assert_eq!(world.peer(name).security, Security::Secure);
        let counters = world.resolver.counters();
        counts.push((counters.queries, counters.verifications));
    }
    let (mut cold, mut warm) = (Best::new(), Best::new());
    for _ in 0..TURNS {
        // The same seed draws the same IDs and letters, so that the answers fit again.
        let mut tape = answers.borrow().clone();
        let playing: Server = Box::new(move |asked| asked.answered(tape.pop_front().expect("recorded")));
        let mut world = World::new(vec![playing], tree.anchors());
        cold.time(|| world.peer("one.peer.test."));
        warm.time(|| world.peer("two.peer.test."));
    }
    let [(queries, checks), (all_queries, all_checks)] = counts[..] else { unreachable!("two names") };
    println!(
        "a name, two zones below the root: {queries} queries, {checks} signatures, {:.0} µs",
        cold.microseconds()
    );
    println!(
        "another name of that zone: {} queries, {} signatures, {:.0} µs",
        all_queries - queries,
        all_checks - checks,
        warm.microseconds()
    );
    println!("octets: a lookup {}, an answer {}, a zone {}", Room::LOOKUP, Room::ANSWER, Room::ZONE);
}
