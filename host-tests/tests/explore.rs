//! Every order of events on the real code ([`host_tests::explore`]): any two procedures at once, begun at
//! any moment, each message delivered at once or late, lost or doubled. In every state nothing leaves in
//! clear and traffic arrives; at every end both ends agree and nothing is left over.
//!
//! `cargo test --release -p host-tests --test explore -- --ignored --nocapture` explores with a fault of each
//! message, and with timers that fire too early.

use std::collections::HashMap;
use std::time::Instant;

use host_tests::explore::cases::{self, ADDITIONAL, Case, LIBRESWAN, MIXED, ORDERS, STRONGSWAN};
use host_tests::explore::end::Who;
use host_tests::explore::lot::Order;
use host_tests::explore::scenario::Procedure::{
    self, CreateChild, DeleteChild, DeleteIkeSa, RekeyChild, RekeyIkeSa,
};
use host_tests::explore::scenario::{EACH, Exchanges, Scenario};
use host_tests::explore::search::{self, Explored};

const PROCEDURES: [Procedure; 5] = [RekeyChild, RekeyIkeSa, CreateChild, DeleteChild, DeleteIkeSa];

/// Any two procedures, at the same end or at both.
fn pairs() -> Vec<Vec<(Who, Procedure)>> {
    let all: Vec<_> = Who::BOTH.iter().flat_map(|who| PROCEDURES.map(|what| (*who, what))).collect();
    let mut pairs = Vec::new();
    for (index, one) in all.iter().enumerate() {
        pairs.extend(all[index..].iter().map(|other| vec![*one, *other]));
    }
    pairs
}

/// Of these, one procedure at each end, of which one has a key exchange of its own.
fn meetings() -> Vec<Vec<(Who, Procedure)>> {
    let makes_keys = |(_, what): &(Who, Procedure)| matches!(what, RekeyChild | RekeyIkeSa | CreateChild);
    pairs().into_iter().filter(|pair| pair[0].0 != pair[1].0 && pair.iter().any(makes_keys)).collect()
}

fn explore(scenario: &Scenario) -> Explored {
    let began = Instant::now();
    let explored = search::explore(scenario);
    let Explored { seen, steps, ends, depth } = &explored;
    println!(
        "{:>8} states, {steps:>8} steps, {ends:>6} ends, depth {depth:>3}, {:>7.1?}: {}",
        seen.len(),
        began.elapsed(),
        scenario.words()
    );
    explored
}

/// What was explored, by the words of its scenario.
type All = HashMap<String, Explored>;

/// Explores each of these pairs of procedures.
fn explore_pairs(
    pairs: Vec<Vec<(Who, Procedure)>>,
    (faults, haste): (u8, u8),
    orders: &[Order],
    exchanges: Exchanges,
) -> All {
    let mut all = HashMap::new();
    for begun in pairs {
        for order in if is_decided_by_nonces(&begun) { orders } else { &orders[..1] } {
            // Where a Child SA is deleted another one keeps the IKE SA.
            let is = |wanted| begun.iter().any(|(_, what)| *what == wanted);
            let second_stands = is(DeleteChild) && !is(CreateChild);
            let (begun, order) = (begun.clone(), *order);
            let scenario =
                Scenario { begun, second_stands, faults, haste, order, exchanges, strangers: false };
            all.insert(scenario.words(), explore(&scenario));
        }
    }
    let states: usize = all.values().map(|explored| explored.seen.len()).sum();
    println!("{states} distinct states in all");
    all
}

/// Nonces are compared only where both ends ask for a successor of the same SA (RFC 7296 §2.8.1, §2.8.2).
fn is_decided_by_nonces(begun: &[(Who, Procedure)]) -> bool {
    let asks = |who, what| begun.contains(&(who, what));
    [RekeyChild, RekeyIkeSa].into_iter().any(|what| asks(Who::A, what) && asks(Who::B, what))
}

/// Goes the ways of these cases through what was explored.
fn reach(all: &mut All, cases: &[Case], order: Order, exchanges: Exchanges) {
    for case in cases {
        let scenario = cases::scenario(case, order, exchanges);
        let explored = all.entry(scenario.words()).or_insert_with(|| explore(&scenario));
        cases::go(case.0, &scenario, explored, case.3);
        println!("reached: {}", case.0);
    }
}

/// RFC 7296 §2.8, §2.25: any two procedures with one fault. The ways of strongSwan's `exchange_tests` and
/// of libreswan's crossing streams are among those that were gone.
#[test]
fn any_two_procedures_with_one_fault() {
    let order = Order::ALL[0];
    let mut all = explore_pairs(pairs(), (1, 0), &[order], Exchanges::Few);
    for cases in [STRONGSWAN, LIBRESWAN] {
        reach(&mut all, cases, order, Exchanges::Few);
    }
}

/// RFC 9370 §2.2.4: the same where each procedure that makes keys has an additional key exchange, at both ends or
/// where one of them asks. strongSwan's `*_multi_ke` and `collision_mixed`.
#[test]
fn additional_key_exchanges() {
    let order = Order::ALL[0];
    let mut all = explore_pairs(meetings(), (1, 0), &[order], Exchanges::Additional);
    reach(&mut all, ADDITIONAL, order, Exchanges::Additional);
    for order in Order::ALL {
        reach(&mut HashMap::new(), MIXED, order, Exchanges::Mixed);
    }
}

/// RFC 9370 §2.2.4: the same with more faults, whoever has the lowest nonce.
#[test]
#[ignore = "takes minutes"]
fn additional_key_exchanges_with_more_faults() {
    for exchanges in [Exchanges::Additional, Exchanges::Mixed] {
        explore_pairs(pairs(), (2, 0), &Order::ALL, exchanges);
    }
}

/// RFC 7296 §2.8, §2.25: the same where each message may be lost or doubled, and whoever has the lowest nonce.
#[test]
#[ignore = "takes an hour"]
fn any_two_procedures_with_a_fault_of_each_message() {
    explore_pairs(pairs(), (EACH, 0), &Order::ALL, Exchanges::Few);
    for order in Order::ALL {
        explore(&Scenario { faults: EACH, ..cases::both_initiate(order) });
    }
}

/// The same with two faults and a timer that fires although something else could happen.
#[test]
#[ignore = "takes minutes"]
fn any_two_procedures_with_hasty_timers() {
    explore_pairs(pairs(), (2, 1), &Order::ALL, Exchanges::Few);
    for order in Order::ALL {
        explore(&Scenario { faults: 1, haste: 1, ..cases::both_initiate(order) });
    }
}

/// Two strangers meet (RFC 5386 §4.2), whoever begins, with one fault: each remembers the other's key and no other, and
/// one IKE SA stands.
#[test]
fn strangers_meet() {
    let both = cases::both_initiate(Order::ALL[0]);
    for begun in [vec![both.begun[0]], both.begun.clone()] {
        explore(&Scenario { begun, strangers: true, ..both.clone() });
    }
}

/// Two initiations at once (RFC 7296 §2.8 says nothing of them), with one fault; libreswan's
/// `crossing-streams-11` in all its orders.
#[test]
fn both_ends_initiate() {
    let scenario = cases::both_initiate(Order::ALL[0]);
    let explored = explore(&scenario);
    for steps in ORDERS {
        cases::go_order(steps, &scenario, &explored);
        println!("reached: crossing-streams-11-{steps}");
    }
}
