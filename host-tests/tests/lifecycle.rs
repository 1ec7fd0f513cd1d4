//! How SAs age and end: Delete, liveness, lifetimes, INITIAL_CONTACT, moves, clocks that jump, randomness
//! that fails (RFC 7296 §1.4, §2.4, §2.8, §2.23).

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::sa::SaReport;
use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use host_tests::pair::{Pair, Room};
use host_tests::parties::{self, A, B, PEER, leak};
use ike_core::config::Config;
use ike_core::crypto::software::Software;
use ike_core::endpoint::Endpoint;
use ike_core::error::{AcquireError, CloseReason, Discarded};
use ike_core::output::Phase;
use rand_core::{TryCryptoRng, TryRng};

const LONG: Duration = Duration::from_secs(10);

fn standing() -> Pair {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1);
    pair
}

fn packet() -> Selectors {
    Selectors {
        source: A,
        destination: B,
        protocol: 6,
        ports: Ports::Known { source: 50_000, destination: 179 },
    }
}

fn assert_empty(pair: &Pair) {
    for side in [&pair.a, &pair.b] {
        assert!(side.installed.is_empty(), "{}", pair.trace);
        assert_eq!(side.endpoint.status().count(), 0, "{}", pair.trace);
    }
}

/// RFC 7296 §1.4.1: a Delete from either end ends the IKE SA and its Child SAs at both.
#[test]
fn delete_from_either_end() {
    for from_a in [true, false] {
        let mut pair = standing();
        let (side, other) = if from_a { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
        let _ = other;
        side.endpoint.close(pair.now, PEER);
        pair.settle(LONG);
        let (side, other) = if from_a { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
        assert_eq!(side.closed(), [CloseReason::Requested]);
        assert_eq!(other.closed(), [CloseReason::DeletedByPeer]);
        assert_empty(&pair);
    }
}

/// RFC 7296 §2.25.2: Deletes that cross each other end the IKE SA once at each end.
#[test]
fn deletes_may_cross() {
    let mut pair = standing();
    pair.a.endpoint.close(pair.now, PEER);
    pair.b.endpoint.close(pair.now, PEER);
    pair.settle(Duration::from_secs(120));
    assert_eq!(pair.a.closed(), [CloseReason::Requested]);
    assert_eq!(pair.b.closed(), [CloseReason::Requested]);
    assert_empty(&pair);
}

/// RFC 7296 §2.1: a Delete whose messages are lost is repeated; a peer that stays silent is forgotten.
#[test]
fn lost_deletes_are_repeated() {
    use host_tests::link::Fault;
    for number in [4, 5] {
        let mut pair = standing();
        pair.link.script = vec![(number, Fault::Drop)];
        pair.a.endpoint.close(pair.now, PEER);
        pair.settle(Duration::from_secs(2));
        assert_empty(&pair);
        assert_eq!(pair.a.closed(), [CloseReason::Requested]);
    }
    let mut pair = standing();
    pair.link.cut = true;
    pair.a.endpoint.close(pair.now, PEER);
    pair.settle(Duration::from_secs(120));
    assert_eq!(pair.a.closed(), [CloseReason::Requested]);
    assert_eq!(pair.a.endpoint.status().count(), 0);
}

/// A Child SA at its hard limit is removed and deleted at the peer; the next packet brings a new one.
#[test]
fn expired_child_is_replaced_on_demand() {
    let mut pair = standing();
    let spi = pair.a.installed[0].inbound;
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(spi));
    pair.settle(LONG);
    assert_empty(&pair);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
    assert!(pair.agree());
}

/// One negotiation for many packets, and none while an SA serves them.
#[test]
fn packets_of_one_policy_share_a_negotiation() {
    let mut pair = Pair::pinned(1);
    for _ in 0..100 {
        pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins once");
    }
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 4);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("is there");
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 4);
}

/// The lifetime of the IKE SA ends it with a Delete at the end that began nothing.
#[test]
fn ike_sa_ends_with_its_lifetime() {
    let mut b = parties::b();
    b.timing.ike_lifetime = Duration::from_secs(600);
    let mut pair = Pair::new(parties::a(), b, 1);
    pair.initiate();
    pair.pass(Duration::from_secs(599));
    assert_eq!(pair.a.installed.len(), 1);
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.b.closed(), [CloseReason::Expired]);
    assert_empty(&pair);
}

/// RFC 7296 §2.8.3: the end that began an IKE SA begins its successor in time, and the old one goes only
/// when the new one stands: at every moment there is a pair of SAs to send on.
#[test]
fn successor_stands_before_the_old_one_goes() {
    let mut a = parties::a();
    a.timing.ike_lifetime = Duration::from_secs(600);
    let mut pair = Pair::new(a, parties::b(), 1);
    pair.initiate();
    pair.settle(LONG);
    for _ in 0..3_000 {
        pair.pass(Duration::from_secs(1));
        assert!(!pair.a.installed.is_empty() && !pair.b.installed.is_empty(), "{}", pair.trace);
        assert!(pair.a.installed.len() <= 2);
    }
    assert_eq!(pair.a.installed.len(), 1);
    assert!(pair.agree());
    assert_eq!(pair.a.closed(), [CloseReason::Replaced; 5]);
    assert_eq!(pair.b.closed(), [CloseReason::DeletedByPeer; 5]);
}

/// A Child SA at its soft limit gets a successor from the end that began it, once, and the other end
/// leaves it to that.
#[test]
fn soft_limit_brings_a_successor() {
    let mut pair = standing();
    let (at_a, at_b) = (pair.a.installed[0].inbound, pair.b.installed[0].inbound);
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(at_b));
    pair.drain();
    assert_eq!(pair.link.sent(), 4);
    for _ in 0..3 {
        pair.a.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(at_a));
    }
    pair.settle(Duration::from_secs(1));
    assert_eq!((pair.a.installed.len(), pair.b.installed.len()), (2, 2));
    assert_eq!(pair.link.sent(), 8);
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
    assert_ne!(pair.a.installed[0].inbound, at_a);
    assert!(pair.agree());
}

/// Either end may ask for a successor at any time; asking for an SA that stands begins nothing.
#[test]
fn successor_on_request() {
    for from_a in [true, false] {
        let mut pair = standing();
        let old = pair.a.installed[0].inbound;
        let side = if from_a { &mut pair.a } else { &mut pair.b };
        side.endpoint.initiate(pair.now, PEER).expect("stands");
        assert_eq!(pair.link.sent(), 4);
        side.endpoint.rekey(pair.now, PEER).expect("begins");
        pair.settle(LONG);
        assert_eq!(pair.a.installed.len(), 1);
        assert_ne!(pair.a.installed[0].inbound, old);
        assert!(pair.agree());
    }
}

/// A successor that does not come about leaves the old SA alone until its end.
#[test]
fn failed_successor_leaves_the_old_sa() {
    let mut pair = standing();
    let spi = pair.a.installed[0].inbound;
    pair.link.cut = true;
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(spi));
    pair.settle(Duration::from_secs(300));
    assert_eq!(pair.a.failed().len(), 1);
    assert_eq!(pair.a.installed[0].inbound, spi);
}

/// A peer that refuses is asked again ever more rarely, however many packets want it.
#[test]
fn refused_negotiations_are_begun_ever_more_rarely() {
    let mut a = parties::a();
    a.key = Some(ike_core::crypto::PrivateKey::Ed25519([0xC3; 32]));
    let mut b = parties::b();
    b.timing.half_open = Duration::from_millis(500);
    let mut pair = Pair::new(a, b, 1);
    for _ in 0..6_000 {
        let _ = pair.a.endpoint.acquire(pair.now, PolicyId(0), packet());
        pair.pass(Duration::from_millis(20));
    }
    assert_eq!(pair.a.failed().len(), 7, "at 0, 1, 3, 7, 15, 31 and 63 seconds");
    let verdict = pair.a.endpoint.acquire(pair.now, PolicyId(0), packet());
    assert_eq!(verdict, Err(AcquireError::TooSoon));
}

fn watchful() -> (Config<'static>, Config<'static>) {
    let (mut a, b) = (parties::a(), parties::b());
    a.timing.liveness = Duration::from_secs(30);
    (a, b)
}

/// RFC 7296 §2.4: a silent peer is asked whether it lives, and a living one answers.
#[test]
fn living_peer_answers() {
    let (a, b) = watchful();
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.pass(Duration::from_secs(3600));
    assert_eq!(pair.a.installed.len(), 1);
    assert!(pair.a.closed().is_empty());
    let probes = pair.link.sent() - 4;
    assert!((200..=242).contains(&probes), "{probes} datagrams in an hour");
}

/// RFC 7296 §2.4: a peer that does not answer any try is dead; its SAs are removed.
#[test]
fn dead_peer_is_noticed() {
    let (a, b) = watchful();
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    pair.link.cut = true;
    pair.pass(Duration::from_secs(300));
    assert_eq!(pair.a.closed(), [CloseReason::PeerDead]);
    assert!(pair.a.installed.is_empty());
}

/// RFC 7296 §2.21.4: a packet for an unknown SPI is a hint, which leads to a question and no more.
#[test]
fn unknown_spi_leads_to_a_probe() {
    let mut pair = standing();
    pair.now = pair.now + Duration::from_secs(60);
    for _ in 0..50 {
        pair.a.endpoint.handle_sa_report(pair.now, SaReport::UnknownSpi { spi: 12_345, remote: B });
        pair.drain();
    }
    assert_eq!(pair.link.sent(), 5);
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
}

/// RFC 7296 §2.4: a peer that restarts says so, and what it no longer knows is removed at once.
#[test]
fn restarted_peer_replaces_its_sas() {
    let mut pair = standing();
    let mut fresh = Pair::pinned(77);
    std::mem::swap(&mut pair.a, &mut fresh.a);
    let old = pair.b.installed[0].inbound;
    pair.now = pair.now + LONG;
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.closed(), [CloseReason::InitialContact]);
    assert_eq!(pair.b.installed.len(), 1);
    assert_ne!(pair.b.installed[0].inbound, old);
    assert!(pair.agree());
}

/// RFC 7296 §2.23: with a NAT between them both ends move to port 4500 and wrap ESP in UDP.
#[test]
fn nat_moves_both_ends_to_4500() {
    let (mut a, mut b) = (parties::a(), parties::b());
    let outside = IpAddr::from([203, 0, 113, 7]);
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut pair = Pair::new(a, b, 1);
    pair.link.nat = Some(outside);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree(), "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    let (at_a, at_b) = (&pair.a.installed[0], &pair.b.installed[0]);
    let udp = |child: &esp_engine::sa::ChildSa| child.encapsulation.expect("in UDP");
    assert_eq!((udp(at_a).local_port, udp(at_a).remote_port), (4500, 4500));
    assert_eq!((udp(at_b).local_port, udp(at_b).remote_port), (4500, 24_500));
    assert_eq!(at_b.remote, outside);
    // Whoever is behind it keeps the NAT's mapping alive (RFC 3948 §4), and nobody else does.
    let sent = pair.datagrams.len();
    pair.pass(Duration::from_secs(61));
    let kept: Vec<_> = pair.datagrams[sent..].iter().map(|(_, datagram)| datagram.as_slice()).collect();
    assert_eq!(kept, [[0xFF]; 3]);
}

/// RFC 7296 §2.23: a NAT may be claimed on purpose, so that ESP travels in UDP; in transport mode too.
#[test]
fn pretended_nat_is_as_good() {
    for (at_a, at_b) in [(true, false), (false, true), (true, true)] {
        let (mut a, mut b) = (parties::a(), parties::b());
        a.force_encapsulation = at_a;
        b.force_encapsulation = at_b;
        let mut pair = Pair::new(a, b, 1);
        pair.initiate();
        pair.settle(LONG);
        assert!(pair.agree(), "{}", pair.trace);
        assert!(pair.a.installed[0].encapsulation.is_some());
    }
}

/// RFC 7296 §2.23.1: transport mode through a NAT: the responder sees the NAT's address in place of the
/// initiator's, and answers with what was asked.
#[test]
fn transport_mode_through_a_nat() {
    let (a, mut b) = (parties::a(), parties::b());
    let outside = IpAddr::from([203, 0, 113, 7]);
    let level = esp_engine::spd::Level::Pinned;
    b.policies =
        parties::leak_all(vec![parties::between(B, outside, level, ike_core::config::Peer::Entry(PEER))]);
    let mut pair = Pair::new(a, b, 1);
    pair.link.nat = Some(outside);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert_eq!(pair.b.installed.len(), 1);
    assert_eq!(pair.a.installed[0].local_ts[0].addresses.first(), A);
    assert_eq!(pair.b.installed[0].remote_ts[0].addresses.first(), outside);
    assert_eq!(pair.a.installed[0].keys.inbound, pair.b.installed[0].keys.outbound);
}

/// RFC 7296 §2.23: a peer behind a NAT that moves is followed; without NAT nobody is.
#[test]
fn peer_behind_a_nat_may_move() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::make_tunnel(&mut a, A, B);
    parties::make_tunnel(&mut b, B, A);
    let mut pair = Pair::new(a, b, 1);
    pair.link.nat = Some(IpAddr::from([203, 0, 113, 7]));
    pair.initiate();
    pair.settle(LONG);
    let spi = pair.b.installed[0].inbound;
    let remote = "203.0.113.99:31000".parse().expect("address");
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::PeerMoved { spi, remote });
    pair.drain();
    assert!(pair.trace.contains("B updates"));
    let mut pair = standing();
    let spi = pair.b.installed[0].inbound;
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::PeerMoved { spi, remote });
    pair.drain();
    assert!(!pair.trace.contains("updates"));
}

/// Shutting down says goodbye to everybody and begins nothing.
#[test]
fn shutdown_says_goodbye() {
    let mut pair = standing();
    pair.a.endpoint.shutdown(pair.now);
    pair.settle(LONG);
    assert_empty(&pair);
    assert_eq!(pair.a.endpoint.initiate(pair.now, PEER), Err(AcquireError::ShuttingDown));
    assert_eq!(pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()), Err(AcquireError::ShuttingDown));
}

/// Status tells how far things are.
#[test]
fn status_tells_the_phase() {
    let mut pair = Pair::pinned(1);
    let phase = |side: &host_tests::pair::Side| side.endpoint.status().map(|s| s.phase).collect::<Vec<_>>();
    pair.initiate();
    assert_eq!(phase(&pair.a), [Phase::Init]);
    pair.step(pair.now + LONG);
    assert_eq!(phase(&pair.b), [Phase::Authenticating]);
    pair.step(pair.now + LONG);
    assert_eq!(phase(&pair.a), [Phase::Authenticating]);
    pair.settle(LONG);
    assert_eq!(phase(&pair.a), [Phase::Established]);
    assert_eq!(pair.a.endpoint.status().next().expect("one").children, 1);
    pair.link.cut = true;
    pair.a.endpoint.close(pair.now, PEER);
    pair.drain();
    assert_eq!(phase(&pair.a), [Phase::Closing]);
}

/// A device without a clock starts in 1970, and time may jump: each timer fires once.
#[test]
fn clock_from_1970_that_jumps() {
    let (mut a, b) = watchful();
    a.timing.ike_lifetime = Duration::from_secs(3600);
    let mut pair = Pair::starting_at(Instant::ZERO, a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
    pair.tick();
    pair.tick();
    assert_eq!(pair.link.sent(), 4);
    pair.now = pair.now + Duration::from_millis(1 << 32);
    pair.tick();
    pair.settle(Duration::from_secs(120));
    assert_eq!(pair.a.closed(), [CloseReason::Expired]);
    assert_empty(&pair);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
    // The call with an earlier time is harmless.
    pair.a.endpoint.handle_timeout(Instant::ZERO);
    pair.drain();
    assert_eq!(pair.a.installed.len(), 1);
}

/// Ten thousand negotiations that come to nothing or end at once leave no slot behind.
#[test]
fn slots_do_not_leak() {
    let (mut a, mut b) = (parties::a(), parties::b());
    for config in [&mut a, &mut b] {
        config.timing.half_open = Duration::from_secs(5);
        parties::share(config, b"secret");
    }
    let mut pair = Pair::new(a, b, 1);
    for round in 0..300 {
        pair.link.script.clear();
        let lost = pair.link.sent() + round % 5;
        pair.link.script.push((lost, host_tests::link::Fault::Drop));
        pair.link.cut = round % 7 == 6;
        pair.a.endpoint.initiate(pair.now, PEER).expect("there is always a slot");
        pair.settle(Duration::from_millis(30 * (round as u64 % 4)));
        pair.a.endpoint.close(pair.now, PEER);
        pair.settle(Duration::from_secs(200));
        pair.b.endpoint.close(pair.now, PEER);
        pair.settle(Duration::from_secs(200));
        pair.trace.clear();
        pair.datagrams.clear();
    }
    assert_empty(&pair);
    pair.link.cut = false;
    pair.link.script.clear();
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
}

struct Broken(u32);

impl TryRng for Broken {
    type Error = std::fmt::Error;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Err(std::fmt::Error)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Err(std::fmt::Error)
    }
    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
        self.0 = self.0.checked_sub(1).ok_or(std::fmt::Error)?;
        octets.fill(0x55);
        Ok(())
    }
}

impl TryCryptoRng for Broken {}

/// Without randomness, or with the same randomness again, nothing begins and nobody is answered.
#[test]
fn broken_randomness_stops_ike() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    let request = pair.datagrams[0].1.clone();
    for draws in [0, 1, 2, 3] {
        let room = leak_room();
        let mut broken = Endpoint::new(leak(parties::b()), room, Software, Broken(draws)).expect("works");
        assert_eq!(broken.initiate(pair.now, PEER), Err(AcquireError::NoRandom));
        let path = ike_core::output::Path { interface: 0, local: (B, 500).into(), remote: (A, 500).into() };
        let verdict = broken.handle_datagram(pair.now, path, &mut request.clone());
        assert_eq!(verdict, Err(Discarded::NoRandom));
        assert_eq!(broken.status().count(), 0);
    }
}

fn leak_room() -> &'static mut Room {
    Box::leak(Box::new(Room::new()))
}

/// What SAs at rest take, for the README.
#[test]
fn sizes() {
    println!(
        "one IKE SA {} octets, one Child SA pair {} octets",
        ike_core::ike_sa::IKE_SA,
        ike_core::child_sa::CHILD_SA
    );
    println!("resources for 4 IKE SAs, 3 handshakes, 8 Child SAs, 10 messages: {} octets", size_of::<Room>());
    const { assert!(ike_core::ike_sa::IKE_SA <= 1024) };
    const { assert!(ike_core::child_sa::CHILD_SA <= 400) };
}
