//! What a stranger who claims to be somebody's gateway can make us ask, keep and wait for.

use std::net::IpAddr;
use std::time::Duration;

use host_tests::forge;
use host_tests::parties::{B_KEY, leak, leak_all};
use host_tests::stage::{LONG, give, to_a};
use ike_core::config::{Config, Local};
use ike_core::error::{Discarded, FailReason, NameFault};
use ike_core::pad::{Gateway, Identity};
use ike_core::wire::code_point::PayloadType;

use crate::stage::*;

/// A signature that does not verify asks DNS for nothing.
#[test]
fn forged_signature_asks_for_nothing() {
    let mut pair = pair_with(by_address(), caller());
    pair.link.script = vec![(2, host_tests::link::Fault::Drop)];
    begin(&mut pair, OWNER);
    pair.drain();
    while pair.link.sent() < 3 {
        assert!(pair.step(pair.now + LONG));
    }
    let (keys, auth) = (forge::keys(&pair.b), pair.datagrams[2].1.clone());
    let forged = forge::altered(&keys, &auth, |_, mut payloads| {
        for payload in payloads.iter_mut().filter(|payload| payload.kind == PayloadType::AUTH) {
            if let Some(last) = payload.body.last_mut() {
                *last ^= 1;
            }
        }
        payloads
    });
    assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
    pair.settle(Duration::from_millis(500));
    assert!(pair.zone.asked.is_empty(), "{}", pair.trace);
    assert_eq!(pair.a.failed()[0].reason, FailReason::BadAuthentication);
}

/// B from another network, whose gateway it is.
fn stranger(n: u8) -> Config<'static> {
    let mut config = caller();
    config.local = leak_all(vec![Local { interface: 0, address: IpAddr::from([10, n, 0, 1]) }]);
    config.identity = Identity::Fqdn(leak(format!("n{n}.elsewhere")));
    config
}

/// While DNS is silent, forty gateways from networks of their own, each with another owner, cause one question at a
/// time, and each of them is refused after four seconds. Afterwards the true one is taken.
#[test]
fn flood_of_gateways() {
    let mut pair = pair_with(by_address(), caller());
    pair.zone.cut = true;
    let began = pair.now;
    for n in 100..140 {
        pair.restart_b(stranger(n));
        begin(&mut pair, IpAddr::from([198, 51, 100, n]));
        pair.settle(Duration::from_millis(200));
        assert!(pair.a.endpoint.status().count() <= 4);
    }
    let seconds = pair.now.since(began).as_secs() as usize;
    assert!(pair.zone.asked.len() <= seconds / 4 + 1, "{} in {seconds} s", pair.zone.asked.len());
    assert!(pair.a.discarded.contains(&Discarded::LookupLimit), "{}", pair.trace);
    assert!(pair.a.installed.is_empty());
    pair.zone.cut = false;
    pair.restart_b(caller());
    pair.pass(Duration::from_secs(40));
    call(&mut pair, OWNER);
    pair.settle(Duration::from_secs(40));
    assert_eq!(far_sides(&pair), single(OWNER), "{}", pair.trace);
}

/// RFC 4035 §4.3: nobody answers for four seconds: refused. A late answer is there for the next try.
#[test]
fn silence_of_dns_ends() {
    let mut pair = pair_with(by_address(), caller());
    pair.zone.latency = Duration::from_secs(6);
    begin(&mut pair, OWNER);
    pair.settle(Duration::from_millis(5_000));
    assert_eq!(pair.a.failed()[0].reason, FailReason::Name(NameFault::Indeterminate), "{}", pair.trace);
    pair.pass(Duration::from_secs(60));
    call(&mut pair, OWNER);
    assert_eq!(far_sides(&pair), single(OWNER), "{}", pair.trace);
}

/// What comes again while DNS is asked changes nothing, and is answered once.
#[test]
fn retransmissions_while_dns_is_asked() {
    let mut pair = pair_with(by_address(), caller());
    pair.zone.latency = Duration::from_millis(3_900);
    call(&mut pair, OWNER);
    assert!(pair.agree() && far_sides(&pair) == single(OWNER), "{}", pair.trace);
    assert!(pair.a.discarded.contains(&Discarded::AwaitsRecord), "{}", pair.trace);
    assert_eq!(pair.zone.asked.len(), 1);
}

/// An end with many owners that are not its own: the answers of DNS are kept in few places, and nothing comes of it.
#[test]
fn owners_of_somebody_else() {
    let mut pair = pair_with(by_address(), caller());
    for n in 20..60 {
        let owner = IpAddr::from([198, 51, 100, n]);
        pair.zone.publish(&owner.to_string(), at(&[(Gateway::Address(NOWHERE), &B_KEY)], &[]));
        pair.restart_b(caller());
        begin(&mut pair, owner);
        pair.settle(Duration::from_secs(1));
    }
    assert!(pair.a.installed.is_empty() && pair.a.established().is_empty(), "{}", pair.trace);
    assert!(pair.zone.asked.len() <= 8, "{:?}", pair.zone.asked);
}
