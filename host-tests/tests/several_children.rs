//! Several Child SAs under one IKE SA: what is wanted at once is made one after the other, since only one
//! request waits for its answer at a time (RFC 7296 §1.3, §2.3).

use std::time::Duration;

use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use host_tests::link::Odds;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};
use ike_core::error::AcquireError;

const LONG: Duration = Duration::from_secs(10);
const PROTOCOLS: [u8; 4] = [6, 17, 47, 132];

fn packet(protocol: u8) -> Selectors {
    let ports = if protocol == 47 { Ports::Opaque } else { Ports::Known { source: 5_000, destination: 179 } };
    Selectors { source: A, destination: B, protocol, ports }
}

fn pair(protocols: &[u8], seed: u64) -> Pair {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::by_protocol(&mut a, protocols);
    parties::by_protocol(&mut b, protocols);
    Pair::new(a, b, seed)
}

fn acquire(pair: &mut Pair, n: u16) -> Result<(), AcquireError> {
    pair.a.endpoint.acquire(pair.now, PolicyId(n), packet(PROTOCOLS[usize::from(n)]))
}

fn assert_one_ike_sa(pair: &Pair, children: usize) {
    for side in [&pair.a, &pair.b] {
        assert_eq!(side.endpoint.status().count(), 1, "{}", pair.trace);
        assert_eq!(side.installed.len(), children, "{}", pair.trace);
    }
    assert!(pair.agree(), "{}", pair.trace);
}

/// Packets of four policies at once, before there is an IKE SA and while there is one: all four get their
/// pair, on one IKE SA.
#[test]
fn policies_wanted_at_once_share_an_ike_sa() {
    for stands in [false, true] {
        let mut pair = pair(&PROTOCOLS, 1);
        if stands {
            pair.initiate();
            pair.settle(LONG);
        }
        for n in 0..4 {
            acquire(&mut pair, n).expect("begins, or waits its turn");
            pair.drain();
        }
        pair.settle(LONG);
        assert_one_ike_sa(&pair, 4);
    }
}

/// The same on bad cables, and with a packet for each policy every second as long as it has no pair.
#[test]
fn policies_wanted_at_once_survive_bad_cables() {
    for seed in 0..50 {
        let mut pair = pair(&PROTOCOLS, seed);
        pair.link.odds = Odds { drop: 10, duplicate: 5, delay: 5, corrupt: 5 };
        for _ in 0..120 {
            for n in 0..4 {
                let _ = acquire(&mut pair, n);
                pair.drain();
            }
            pair.pass(Duration::from_secs(1));
        }
        pair.link.odds = Odds::default();
        pair.settle(LONG);
        let policies: std::collections::BTreeSet<_> = pair.a.installed.iter().map(|c| c.policy.0).collect();
        assert_eq!(policies.len(), 4, "seed {seed}:\n{}", pair.trace);
    }
}

/// What waits is forgotten with the IKE SA that it waited for, and asked for again by the next packet.
#[test]
fn what_waits_goes_with_its_ike_sa() {
    let mut pair = pair(&PROTOCOLS, 1);
    pair.link.cut = true;
    for n in 0..4 {
        acquire(&mut pair, n).expect("begins, or waits its turn");
    }
    pair.a.endpoint.close(pair.now, PEER);
    pair.settle(LONG);
    pair.link.cut = false;
    acquire(&mut pair, 2).expect("begins");
    pair.settle(LONG);
    assert_one_ike_sa(&pair, 1);
    assert_eq!(pair.a.installed[0].policy, PolicyId(2));
}
