//! Both ends begin at once (RFC 7296 has no word for it, libreswan has many tests): in every order of the
//! messages one IKE SA stays, the same at both ends, nothing is orphaned and no packet is lost.

use std::time::Duration;

use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use host_tests::link::{Direction, Odds};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};
use host_tests::plane::Devices;
use host_tests::stage::{give, to_a, to_b};
use ike_core::config::Config;
use ike_core::error::CloseReason;
use ike_core::wire::header::Header;

const EVERY: Duration = Duration::from_millis(20);
const MINUTES: Duration = Duration::from_secs(180);

/// Who takes the next step: its beginning, then the four messages of the negotiation that it began.
const STEPS: u32 = 5;

/// All orders of so many steps of each of two.
fn orders(steps: u32) -> impl Iterator<Item = Vec<bool>> {
    let all = 2 * steps;
    let in_order = move |bits: u32| (0..all).map(|n| bits >> n & 1 == 1).collect();
    (0..1_u32 << all).filter(move |bits| bits.count_ones() == steps).map(in_order)
}

/// Datagrams that are delivered in an order of the test's choice.
struct Post {
    pair: Pair,
    taken: Vec<bool>,
    spis: [Option<u64>; 2],
}

impl Post {
    fn new(parties: (Config<'static>, Config<'static>)) -> Self {
        let mut pair = Pair::new(parties.0, parties.1, 1);
        pair.link.cut = true;
        Self { pair, taken: Vec::new(), spis: [None, None] }
    }

    /// A's or B's negotiation goes on by one step, if it can.
    fn step(&mut self, of_a: bool) {
        self.pair.now = self.pair.now + Duration::from_millis(1);
        let own = usize::from(of_a);
        match self.spis[own] {
            None => {
                let before = self.pair.datagrams.len();
                let side = if of_a { &mut self.pair.a } else { &mut self.pair.b };
                side.endpoint.initiate(self.pair.now, PEER).expect("begins, or stands");
                self.pair.drain();
                self.spis[own] = self.pair.datagrams.get(before).map(|(_, first)| spi(first));
            }
            Some(mine) => {
                self.taken.resize(self.pair.datagrams.len(), false);
                let is_next = |(n, (_, datagram)): &(usize, &(Direction, Vec<u8>))| {
                    !self.taken[*n] && spi(datagram) == mine
                };
                let Some((n, (direction, datagram))) =
                    self.pair.datagrams.iter().enumerate().find(is_next).map(|(n, d)| (n, d.clone()))
                else {
                    return;
                };
                self.taken[n] = true;
                let path = if direction == Direction::AtoB { to_b() } else { to_a() };
                give(&mut self.pair, path, &datagram).expect("is taken");
                self.pair.drain();
            }
        }
    }
}

fn spi(datagram: &[u8]) -> u64 {
    Header::parse(datagram).expect("a header").initiator_spi.0
}

fn assert_one(pair: &Pair, case: &str) {
    for side in [&pair.a, &pair.b] {
        assert_eq!(side.endpoint.status().count(), 1, "{case}\n{}", pair.trace);
        assert_eq!(side.installed.len(), 1, "{case}\n{}", pair.trace);
    }
    assert!(pair.agree(), "{case}\n{}", pair.trace);
}

/// libreswan `crossing-streams-01-ikev2-github-1211`, `crossing-streams-11-ikev2-simultaneous` in all nine orders
/// (`eewww` to `wwwee`), `crossing-streams-12-ikev2-simultaneous-ike-auth-east`, `..-west`: all 252 orders of two
/// negotiations, from "one after the other" to "message by message", and some of them between strangers.
#[test]
fn one_of_two_negotiations_stays() {
    let mut stood = [0, 0];
    for (n, order) in orders(STEPS).enumerate() {
        for strangers in [false, true].into_iter().take(if n % 6 == 0 { 2 } else { 1 }) {
            let (mut a, mut b) = if strangers { parties::strangers() } else { (parties::a(), parties::b()) };
            if strangers {
                // Somebody has to know where the other is.
                (a, b) = (with_address(a, B), with_address(b, A));
            }
            let mut post = Post::new((a, b));
            order.iter().for_each(|of_a| post.step(*of_a));
            stood[usize::from(post.pair.a.established().len() == 2)] += 1;
            post.pair.link.cut = false;
            post.pair.settle(MINUTES);
            assert_one(&post.pair, &format!("{order:?}"));
        }
    }
    println!("IKE SAs that stood at once: one in {}, two in {} runs", stood[0], stood[1]);
    assert!(stood[0] > 0 && stood[1] > 0);
}

fn with_address(mut config: Config<'static>, address: std::net::IpAddr) -> Config<'static> {
    let mut entry = config.pad[0];
    entry.address = Some((address, 500).into());
    config.pad = parties::leak_all(vec![entry]);
    config
}

/// libreswan `crossing-streams-22-ikev2-ipsec-interface`: on bad cables too, and with whatever jitter.
#[test]
fn one_stays_on_bad_cables() {
    for seed in 0..60 {
        let mut pair = Pair::new(parties::a(), parties::b(), seed);
        pair.link.odds = Odds { drop: 5, duplicate: 5, delay: 20, corrupt: 0 };
        pair.a.endpoint.initiate(pair.now, PEER).expect("begins");
        pair.b.endpoint.initiate(pair.now, PEER).expect("begins");
        pair.settle(MINUTES);
        pair.link.odds = Odds::default();
        pair.settle(MINUTES);
        assert_one(&pair, &format!("seed {seed}"));
    }
}

/// Both hosts talk from the first moment: once a packet found an SA, it arrives, whichever of the two goes.
#[test]
fn no_packet_is_lost_between_two_ike_sas() {
    for seed in 0..8 {
        let mut devices = Devices::new(parties::a(), parties::b(), seed);
        (devices.from_a, devices.from_b) = (Some(EVERY), Some(EVERY));
        devices.pass(Duration::from_secs(16));
        (devices.from_a, devices.from_b) = (None, None);
        devices.pass(Duration::from_secs(1));
        assert_eq!(devices.pair.a.established().len(), 2, "{}", devices.pair.trace);
        assert_one(&devices.pair, "traffic");
        for (from, to) in [(&devices.a, &devices.b), (&devices.b, &devices.a)] {
            let lost: Vec<_> = from.sent.iter().filter(|n| !to.accepted.contains_key(n)).collect();
            assert!(lost.is_empty() && from.sent.len() > 700, "{lost:?}\n{}", devices.pair.trace);
        }
    }
}

/// libreswan `crossing-streams-02-ikev2-conn-fight`: each end wants another policy at once; both policies end on
/// the one IKE SA that stays.
#[test]
fn what_the_other_carried_comes_along() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::by_protocol(&mut a, &[6, 17]);
    parties::by_protocol(&mut b, &[6, 17]);
    let packet = |source, destination, protocol| {
        let ports = Ports::Known { source: 5_000, destination: 179 };
        Selectors { source, destination, protocol, ports }
    };
    for seed in 0..10 {
        let mut pair = Pair::new(a.clone(), b.clone(), seed);
        pair.a.endpoint.acquire(pair.now, PolicyId(0), packet(A, B, 6)).expect("begins");
        pair.b.endpoint.acquire(pair.now, PolicyId(1), packet(B, A, 17)).expect("begins");
        pair.settle(MINUTES);
        for side in [&pair.a, &pair.b] {
            assert_eq!(side.endpoint.status().count(), 1, "{}", pair.trace);
            let policies: Vec<_> = side.installed.iter().map(|child| child.policy.0).collect();
            assert!(policies.contains(&0) && policies.contains(&1), "{policies:?}\n{}", pair.trace);
        }
        assert!(pair.agree());
    }
}

/// libreswan `crossing-streams-04-ikev2-initiator-child-up-ike-down`: a further Child SA is wanted at one end while
/// the other deletes the IKE SA: it comes, on a new one.
#[test]
fn child_wanted_while_the_ike_sa_goes() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::by_protocol(&mut a, &[6, 17]);
    parties::by_protocol(&mut b, &[6, 17]);
    let ports = Ports::Known { source: 5_000, destination: 53 };
    let packet = Selectors { source: A, destination: B, protocol: 17, ports };
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(MINUTES);
    pair.a.endpoint.acquire(pair.now, PolicyId(1), packet).expect("is asked for");
    pair.b.endpoint.close(pair.now, PEER);
    for _ in 0..30 {
        pair.pass(Duration::from_secs(1));
        let _ = pair.a.endpoint.acquire(pair.now, PolicyId(1), packet);
    }
    pair.settle(MINUTES);
    assert_one(&pair, "child");
    assert_eq!(pair.a.installed[0].policy, PolicyId(1));
    assert_eq!(pair.b.closed(), [CloseReason::Requested]);
}

/// libreswan `crossing-streams-24-ikev2-delete-connswitch`: when the one that stayed is deleted, nothing is left of
/// the other.
#[test]
fn nothing_is_left_of_two() {
    let mut pair = Pair::pinned(3);
    pair.a.endpoint.initiate(pair.now, PEER).expect("begins");
    pair.b.endpoint.initiate(pair.now, PEER).expect("begins");
    // At once, while both stand.
    pair.pass(Duration::from_millis(200));
    pair.b.endpoint.close(pair.now, PEER);
    pair.settle(MINUTES);
    for side in [&pair.a, &pair.b] {
        assert!(side.installed.is_empty(), "{}", pair.trace);
        assert_eq!(side.endpoint.status().count(), 0, "{}", pair.trace);
    }
}

/// libreswan `crossing-streams-bootup-01`: a peer that boots later is found when it is there, whoever begins then;
/// until then it is called ever more rarely.
#[test]
fn late_peer_is_found() {
    for both in [false, true] {
        let mut devices = Devices::new(parties::a(), parties::b(), 1);
        devices.from_a = Some(EVERY);
        devices.pair.link.cut = true;
        devices.pass(Duration::from_secs(20));
        assert!(devices.pair.link.sent() <= 5, "{}", devices.pair.trace);
        devices.restart_b();
        devices.pair.link.cut = false;
        devices.from_b = both.then_some(EVERY);
        devices.pass(Duration::from_secs(40));
        assert!(devices.silence(&devices.b) < EVERY * 3, "{}", devices.pair.trace);
        assert_one(&devices.pair, "boot");
    }
}

/// A machine with room for two IKE SAs only does not keep out the peer that it is calling itself.
#[test]
fn whom_we_call_is_no_stranger() {
    let mut pair = Pair::pinned(1);
    pair.link.latency = Duration::from_millis(100);
    pair.a.endpoint.initiate(pair.now, PEER).expect("begins");
    let honest = host_tests::stage::request();
    for n in 0..2_u8 {
        let mut stranger = honest.clone();
        stranger[0] = n + 1;
        let from = host_tests::stage::path(A, ([198, 51, 100, n], 500).into());
        let _ = host_tests::stage::ask(&mut pair, from, &stranger);
    }
    pair.b.endpoint.initiate(pair.now, PEER).expect("begins");
    pair.settle(MINUTES);
    assert!(!pair.a.installed.is_empty() && pair.agree(), "{}", pair.trace);
}
