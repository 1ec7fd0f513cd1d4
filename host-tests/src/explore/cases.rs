//! Named cases of others, as ways through scenarios: which of them the exploration goes is looked up in
//! what it saw.
//!
//! A way is a row of words: `A!`, A begins; `Aq`, A's oldest request arrives; `Ar`, A's oldest response
//! arrives; `Ax`, A's oldest request is lost. What is left then takes its course.

use ike_core::wire::header::Header;

use super::check;
use super::end::Who;
use super::hash;
use super::lot::Order;
use super::scenario::Procedure::{
    self, CreateChild, DeleteChild, DeleteIkeSa, Initiate, RekeyChild, RekeyIkeSa,
};
use super::scenario::{Exchanges, Scenario};
use super::search::Explored;
use super::world::{Action, World};

/// A case: its name, what A and B begin, the way.
pub type Case = (&'static str, Option<Procedure>, Option<Procedure>, &'static str);

/// strongSwan's `exchange_tests`, but for those with several key exchanges ([`ADDITIONAL`], [`MIXED`]), other
/// groups or forged messages.
pub const STRONGSWAN: &[Case] = &[
    ("ike_delete/regular", Some(DeleteIkeSa), None, "A! Aq Br"),
    ("ike_delete/collision", Some(DeleteIkeSa), Some(DeleteIkeSa), "A! B! Aq Bq Ar Br"),
    ("ike_rekey/regular", Some(RekeyIkeSa), None, "A! Aq Br Aq Br"),
    ("ike_rekey/collision", Some(RekeyIkeSa), Some(RekeyIkeSa), "A! B! Aq Bq Br Ar"),
    ("ike_rekey/collision_delayed_response", Some(RekeyIkeSa), Some(RekeyIkeSa), "A! B! Aq Bq Ar Bq Br"),
    ("ike_rekey/collision_dropped_request", Some(RekeyIkeSa), Some(RekeyIkeSa), "A! B! Ax Bq Ar"),
    ("ike_rekey/collision_delayed_request", Some(RekeyIkeSa), Some(RekeyIkeSa), "A! B! Bq Ar Aq"),
    (
        "ike_rekey/collision_delayed_request_and_delete",
        Some(RekeyIkeSa),
        Some(RekeyIkeSa),
        "A! B! Bq Ar Bq Aq",
    ),
    ("ike_rekey/collision_delete", Some(RekeyIkeSa), Some(DeleteIkeSa), "A! B! Aq Bq Ar Br"),
    ("ike_rekey/collision_delete_drop_delete", Some(RekeyIkeSa), Some(DeleteIkeSa), "A! B! Bx Aq Br"),
    ("child_rekey/regular", Some(RekeyChild), None, "A! Aq Br Aq Br"),
    (
        "child_rekey/regular_responder_ignore_soft_expire",
        Some(RekeyChild),
        Some(RekeyChild),
        "A! Aq B! Br Aq Br",
    ),
    ("child_rekey/regular_responder_handle_hard_expire", Some(RekeyChild), Some(DeleteChild), "A! Aq B! Br"),
    ("child_rekey/collision", Some(RekeyChild), Some(RekeyChild), "A! B! Aq Bq Br Ar"),
    ("child_rekey/collision_delayed_response", Some(RekeyChild), Some(RekeyChild), "A! B! Aq Bq Ar Bq Br"),
    (
        "child_rekey/collision_delayed_response_delete",
        Some(RekeyChild),
        Some(RekeyChild),
        "A! B! Aq Bq Ar Bq Ar Br",
    ),
    ("child_rekey/collision_delayed_request", Some(RekeyChild), Some(RekeyChild), "A! B! Bq Ar Aq"),
    ("child_rekey/collision_delayed_request_more", Some(RekeyChild), Some(RekeyChild), "A! B! Bq Ar Bq Aq"),
    (
        "child_rekey/collision_delayed_request_more_delete",
        Some(RekeyChild),
        Some(RekeyChild),
        "A! B! Bq Ar Bq Ar Aq",
    ),
    ("child_rekey/collision_delete", Some(RekeyChild), Some(DeleteChild), "A! B! Aq Bq Ar Br"),
    ("child_rekey/collision_delete_drop_delete", Some(RekeyChild), Some(DeleteChild), "A! B! Bx Aq Br"),
    ("child_rekey/collision_delete_drop_rekey", Some(RekeyChild), Some(DeleteChild), "A! B! Ax Bq Ar"),
    ("child_rekey/collision_delete_delayed_response", Some(RekeyChild), Some(DeleteChild), "A! B! Aq Bq Ar"),
    ("child_rekey/collision_ike_rekey", Some(RekeyChild), Some(RekeyIkeSa), "A! B! Aq Bq Ar Br"),
    ("child_rekey/collision_ike_delete", Some(RekeyChild), Some(DeleteIkeSa), "A! B! Aq Bq Ar Br"),
    ("child_delete/regular", Some(DeleteChild), None, "A! Aq Br"),
    ("child_delete/collision", Some(DeleteChild), Some(DeleteChild), "A! B! Aq Bq Ar Br"),
    ("child_delete/collision_drop", Some(DeleteChild), Some(DeleteChild), "A! B! Ax Bq Ar"),
    ("child_delete/collision_ike_rekey", Some(DeleteChild), Some(RekeyIkeSa), "A! B! Aq Bq Ar Br"),
    ("child_delete/collision_ike_delete", Some(DeleteChild), Some(DeleteIkeSa), "A! B! Aq Bq Ar Br"),
    ("child_create/duplicate", Some(CreateChild), Some(CreateChild), "A! B! Aq Bq Ar Br"),
    ("child_create/collision_ike_rekey", Some(CreateChild), Some(RekeyIkeSa), "A! B! Aq Bq Ar Br"),
];

/// Those of strongSwan's in which both ends have two key exchanges.
pub const ADDITIONAL: &[Case] = &[
    ("ike_rekey/regular_multi_ke", Some(RekeyIkeSa), None, "A! Aq Br Aq Br Aq Br"),
    ("ike_rekey/collision_multi_ke", Some(RekeyIkeSa), Some(RekeyIkeSa), "A! B! Aq Bq Br Ar Bq Ar"),
    (
        "ike_rekey/collision_delayed_response_multi_ke",
        Some(RekeyIkeSa),
        Some(RekeyIkeSa),
        "A! B! Aq Bq Ar Bq Br",
    ),
    ("ike_rekey/collision_delayed_request_multi_ke", Some(RekeyIkeSa), Some(RekeyIkeSa), "A! B! Bq Ar Aq Bq"),
    ("ike_rekey/collision_delete_multi_ke", Some(RekeyIkeSa), Some(DeleteIkeSa), "A! B! Aq Bq Ar Br"),
    ("child_rekey/regular_multi_ke", Some(RekeyChild), None, "A! Aq Br Aq Br Aq Br"),
    ("child_rekey/collision_multi_ke", Some(RekeyChild), Some(RekeyChild), "A! B! Aq Bq Br Ar Bq Ar"),
    (
        "child_rekey/collision_delayed_response_multi_ke",
        Some(RekeyChild),
        Some(RekeyChild),
        "A! B! Aq Bq Ar Bq Br",
    ),
    (
        "child_rekey/collision_delayed_request_multi_ke",
        Some(RekeyChild),
        Some(RekeyChild),
        "A! B! Bq Ar Aq Bq",
    ),
    ("child_rekey/collision_delete_multi_ke", Some(RekeyChild), Some(DeleteChild), "A! B! Aq Bq Ar Br"),
    ("child_create/multi_ke", Some(CreateChild), None, "A! Aq Br Aq Br"),
];

/// Those in which one end has two, whoever has the lowest nonce.
pub const MIXED: &[Case] = &[
    ("ike_rekey/collision_mixed", Some(RekeyIkeSa), Some(RekeyIkeSa), "A! B! Aq Bq Br Ar"),
    ("child_rekey/collision_mixed", Some(RekeyChild), Some(RekeyChild), "A! B! Aq Bq Br Ar"),
];

/// libreswan's crossing streams between two ends that stand.
pub const LIBRESWAN: &[Case] = &[
    ("crossing-streams-03-ikev2-delete-child", Some(DeleteChild), Some(DeleteChild), "A! B! Aq Bq Br Ar"),
    ("crossing-streams-03-ikev2-delete-ike", Some(DeleteIkeSa), Some(DeleteIkeSa), "A! B! Aq Bq Br Ar"),
    (
        "crossing-streams-03-ikev2-delete-child-vs-ike",
        Some(DeleteChild),
        Some(DeleteIkeSa),
        "A! B! Aq Bq Br Ar",
    ),
    (
        "crossing-streams-03-ikev2-delete-ike-vs-child",
        Some(DeleteIkeSa),
        Some(DeleteChild),
        "A! B! Aq Bq Br Ar",
    ),
    (
        "crossing-streams-04-ikev2-initiator-child-up-ike-down",
        Some(CreateChild),
        Some(DeleteIkeSa),
        "A! B! Aq Bq",
    ),
    (
        "crossing-streams-04-ikev2-ike-rekey-responder-child-up",
        Some(RekeyIkeSa),
        Some(CreateChild),
        "A! B! Aq Bq",
    ),
];

/// The orders in which west takes two steps of east's initiation and three of its own, libreswan's
/// `crossing-streams-11-eewww` … `-wwwee`; east takes what comes at once.
pub const ORDERS: [&str; 10] =
    ["eewww", "eweww", "ewwew", "ewwwe", "weeww", "wewew", "wewwe", "wweew", "wwewe", "wwwee"];

/// The scenario of a case.
pub fn scenario((_, a, b, _): &Case, order: Order, exchanges: Exchanges) -> Scenario {
    let begun: Vec<_> =
        [(Who::A, a), (Who::B, b)].into_iter().filter_map(|(who, what)| Some((who, (*what)?))).collect();
    let second_stands = begun.iter().any(|(_, what)| *what == DeleteChild);
    Scenario { begun, second_stands, faults: 1, haste: 0, order, exchanges, strangers: false }
}

/// Both ends set up SAs.
pub fn both_initiate(order: Order) -> Scenario {
    let begun = vec![(Who::A, Initiate), (Who::B, Initiate)];
    let exchanges = Exchanges::Few;
    Scenario { begun, second_stands: false, faults: 1, haste: 0, order, exchanges, strangers: false }
}

/// Goes the way and then to the end.
///
/// # Panics
/// When a step is not possible, was not explored, or the end is not good.
pub fn go(name: &str, scenario: &Scenario, explored: &Explored, way: &str) {
    let before = World::new(scenario);
    let mut world = before.clone();
    for word in way.split(' ') {
        let action = action(&world, word).unwrap_or_else(|| panic!("{name}: {word} is not possible"));
        step(name, &mut world, explored, action);
    }
    finish(name, scenario, explored, &before, world);
}

/// Goes one of [`ORDERS`] with B as east; what is not there to be taken, because one IKE SA stands already
/// and no second begins, is left out.
///
/// # Panics
/// As [`go`].
pub fn go_order(order: &str, scenario: &Scenario, explored: &Explored) {
    let name = format!("crossing-streams-11-{order}");
    let before = World::new(scenario);
    let mut world = before.clone();
    let take = |world: &mut World, word: &str| {
        if let Some(action) = action(world, word) {
            step(&name, world, explored, action);
        }
        while let Some(index) = world.wire.iter().position(|message| message.to == Who::B) {
            step(&name, world, explored, Action::Deliver(index));
        }
    };
    take(&mut world, "B!");
    for letter in order.chars() {
        let begun = !world.pending.iter().any(|(who, _)| *who == Who::A);
        take(
            &mut world,
            if letter == 'e' {
                "Bq"
            } else if begun {
                "Br"
            } else {
                "A!"
            },
        );
    }
    finish(&name, scenario, explored, &before, world);
}

fn finish(name: &str, scenario: &Scenario, explored: &Explored, before: &World, mut world: World) {
    loop {
        let action = if world.wire.is_empty() { Action::Wait } else { Action::Deliver(0) };
        if action == Action::Wait && world.is_at_rest() {
            break;
        }
        step(name, &mut world, explored, action);
    }
    assert!(world.is_over(), "{name}: something was not begun");
    if let Err(violation) = check::end(&world, scenario, before) {
        panic!("{name}: {violation}");
    }
}

fn step(name: &str, world: &mut World, explored: &Explored, action: Action) {
    world.act(action, &mut |_| {});
    let state = hash::at(world.now, &*world);
    assert!(explored.seen.contains_key(&state), "{name}: {action:?} leads to what was not explored");
}

fn action(world: &World, word: &str) -> Option<Action> {
    let who = if word.starts_with('A') { Who::A } else { Who::B };
    let oldest = |response: bool| {
        world.wire.iter().position(|message| {
            let header = Header::parse(&message.octets);
            message.to == who.other() && header.is_ok_and(|header| header.flags.response == response)
        })
    };
    match word.as_bytes().last()? {
        b'!' => world.pending.iter().position(|(of, _)| *of == who).map(Action::Begin),
        b'q' => oldest(false).map(Action::Deliver),
        b'r' => oldest(true).map(Action::Deliver),
        b'x' => oldest(false).map(Action::Lose),
        _ => None,
    }
}
