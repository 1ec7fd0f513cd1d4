//! Which SA a flow takes, and when an SA ends (RFC 4301 §4.4.2, RFC 7296 §2.8).

use core::net::IpAddr;
use core::time::Duration;

use esp_engine::engine::{Engine, Inbound, InstallError, Outbound, Output, Settings};
use esp_engine::sa::{ChildSa, Lifetime, Limits, Mode, PeerKey, SaReport, Spi};
use esp_engine::selector::{AddressRange, PortRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::{Action, Level, Policy, PolicyId};

use crate::common::*;

/// RFC 4301 §5.1: no SA, and nothing leaves; key management is told once a second and flow.
#[test]
fn flow_without_sa_is_held_and_asked_for() {
    let mut memory = Memory::new();
    let mut engine: TestEngine<'_> = Engine::new(Settings::default(), &mut memory);
    let policy = engine.add_policy(TRANSPORT.policy()).unwrap();
    let (a, b) = TRANSPORT.hosts();
    let ports = Ports::Known { source: 1024, destination: 179 };
    let flow = Selectors { source: a, destination: b, protocol: 6, ports };
    for (ms, told) in [(0, true), (500, false), (1000, true)] {
        let verdict = engine.outbound(after(ms), &TRANSPORT.packet(b"x"));
        assert_eq!(verdict, Outbound::Hold { policy, packet: flow });
        if told {
            assert_eq!(engine.poll_output(), Output::Acquire { policy, packet: flow });
        }
        assert_eq!(engine.poll_output(), Output::Timeout(None));
    }
    assert_eq!(engine.counters().without_sa, 3);
}

/// RFC 7296 §2.8: a new SA receives at once, but sends only when its peer is known to have it; the
/// old one still receives.
#[test]
fn newest_confirmed_sa_sends() {
    let case = TRANSPORT;
    let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
    let mut a = case.engine_a(&mut memory_a, Settings::default());
    let mut b = case.engine_b(&mut memory_b, Settings::default());
    let (next_a, next_b) = (Spi::new(A_SPI + 4).unwrap(), Spi::new(B_SPI + 4).unwrap());
    let child = ChildSa { inbound: next_b, outbound: next_a, may_send: false, ..case.child_b() };
    b.install(NOW, child).unwrap();
    let back = |b: &mut TestEngine<'_>, now| {
        let (host_a, host_b) = case.hosts();
        let sealed = seal(b, now, &udp(host_b, host_a, 1, 2, b"answer"));
        Spi::new(u32::from_be_bytes(*sealed[20..].first_chunk().unwrap())).unwrap()
    };
    assert_eq!(back(&mut b, after(60_000)), Spi::new(A_SPI).unwrap(), "time alone confirms no successor");

    a.install(NOW, ChildSa { inbound: next_a, outbound: next_b, ..case.child_a() }).unwrap();
    let on_old = {
        let (mut memory, now) = (Memory::new(), NOW);
        let mut old = case.engine_a(&mut memory, Settings::default());
        seal(&mut old, now, &case.packet(b"late"))
    };
    let on_new = seal(&mut a, NOW, &case.packet(b"first"));
    assert_eq!(on_new[20..24], (B_SPI + 4).to_be_bytes());
    assert!(open(&mut b, NOW, &on_new).is_ok());
    assert_eq!(b.poll_output(), Output::Sa(SaReport::FirstInbound(next_b)));
    assert_eq!(back(&mut b, NOW), next_a);
    assert!(open(&mut b, NOW, &on_old).is_ok(), "the old SA receives");
    assert!(b.remove(Spi::new(B_SPI).unwrap()));
    assert!(!b.remove(Spi::new(B_SPI).unwrap()));
    assert_eq!(back(&mut b, NOW), next_a);
}

/// A first SA whose peer says nothing is held back for a second only, and asks for no other.
#[test]
fn only_sa_is_used_after_a_second_without_a_sign() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let policy = engine.add_policy(TRANSPORT.policy()).unwrap();
    engine.install(NOW, ChildSa { may_send: false, ..TRANSPORT.child_a() }).unwrap();
    let packet = TRANSPORT.packet(b"x");
    let Outbound::Hold { policy: held, .. } = engine.outbound(after(999), &packet) else { panic!() };
    assert_eq!(held, policy);
    assert_eq!(engine.poll_output(), Output::Timeout(Some(after(1000))), "and nothing is acquired");
    engine.handle_timeout(after(1000));
    assert_eq!(engine.poll_output(), Output::Timeout(None));
    seal(&mut engine, after(1000), &packet);
}

/// RFC 7296 §2.8: who replaces a pair deletes the old one once it has the new one.
#[test]
fn a_successor_sends_as_soon_as_its_predecessor_is_gone() {
    let case = TRANSPORT;
    let mut memory = Memory::new();
    let mut engine = case.engine_a(&mut memory, Settings::default());
    let (next_a, next_b) = (Spi::new(A_SPI + 4).unwrap(), Spi::new(B_SPI + 4).unwrap());
    let successor = ChildSa { inbound: next_a, outbound: next_b, may_send: false, ..case.child_a() };
    engine.install(NOW, successor).unwrap();
    assert!(engine.remove(Spi::new(A_SPI).unwrap()));
    assert_eq!(seal(&mut engine, NOW, &case.packet(b"x"))[20..24], (B_SPI + 4).to_be_bytes());
}

/// RFC 7296 §2.8: a pair that only received for a while goes without a word about what was made meanwhile:
/// the peer may not have it.
#[test]
fn the_end_of_a_retired_pair_confirms_nothing() {
    let case = TRANSPORT;
    let mut memory = Memory::new();
    let mut engine = case.engine_a(&mut memory, Settings::default());
    let pair = |slot| ChildSa {
        inbound: Spi::new(A_SPI + slot).unwrap(),
        outbound: Spi::new(B_SPI + slot).unwrap(),
        may_send: false,
        ..case.child_a()
    };
    engine.install(NOW, pair(4)).unwrap();
    assert!(engine.retire(Spi::new(A_SPI).unwrap()));
    engine.install(NOW, pair(2)).unwrap();
    assert!(engine.remove(Spi::new(A_SPI).unwrap()));
    assert_eq!(seal(&mut engine, NOW, &case.packet(b"x"))[20..24], (B_SPI + 4).to_be_bytes());
}

/// RFC 7296 §2.8: who deletes a pair has its successor, which no later one overtakes that the peer may not
/// have, however long it waits.
#[test]
fn a_successor_that_the_peer_has_is_not_overtaken() {
    let case = TRANSPORT;
    let mut memory = Memory::new();
    let mut engine = case.engine_a(&mut memory, Settings::default());
    let pair = |slot| ChildSa {
        inbound: Spi::new(A_SPI + slot).unwrap(),
        outbound: Spi::new(B_SPI + slot).unwrap(),
        may_send: false,
        ..case.child_a()
    };
    engine.install(NOW, pair(4)).unwrap();
    assert!(engine.remove(Spi::new(A_SPI).unwrap()));
    engine.install(NOW, pair(2)).unwrap();
    for now in [NOW, after(60_000)] {
        assert_eq!(seal(&mut engine, now, &case.packet(b"x"))[20..24], (B_SPI + 4).to_be_bytes());
    }
}

/// RFC 4301 §4.4.2.1: soft limits report, hard limits stop both directions.
#[test]
fn limits_report_and_then_stop() {
    let soft = Limits { packets: 2, ..Limits::default() };
    let hard = Limits { packets: 3, ..Limits::default() };
    let case = TRANSPORT;
    let (mut memory_a, mut memory_b) = (Memory::new(), Memory::new());
    let mut b = case.engine_b(&mut memory_b, Settings::default());
    let mut a: TestEngine<'_> = Engine::new(Settings::default(), &mut memory_a);
    a.add_policy(case.policy()).unwrap();
    a.install(NOW, ChildSa { lifetime: Lifetime { soft, hard }, ..case.child_a() }).unwrap();
    let spi = Spi::new(A_SPI).unwrap();
    let mut reports = Vec::new();
    for _ in 0..3 {
        seal(&mut a, NOW, &case.packet(b"x"));
        reports.push(a.poll_output());
    }
    let quiet = Output::Timeout(None);
    let (ageing, ended) = (SaReport::SoftExpired(spi), SaReport::HardExpired(spi));
    assert_eq!(reports, [quiet, Output::Sa(ageing), Output::Sa(ended)]);
    assert!(matches!(a.outbound(NOW, &case.packet(b"x")), Outbound::Hold { .. }));
    let (host_a, host_b) = case.hosts();
    let answer = seal(&mut b, NOW, &udp(host_b, host_a, 1, 2, b"x"));
    let refused = open(&mut a, NOW, &answer);
    assert_eq!(refused, Err(Inbound::Drop(esp_engine::counters::DropReason::Expired)));
}

#[test]
fn time_ends_an_sa_even_when_nobody_calls() {
    let limit = |seconds| Limits { time: Duration::from_secs(seconds), ..Limits::default() };
    let lifetime = Lifetime { soft: limit(10), hard: limit(20) };
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    engine.add_policy(TRANSPORT.policy()).unwrap();
    engine.install(NOW, ChildSa { lifetime, ..TRANSPORT.child_a() }).unwrap();
    let spi = Spi::new(A_SPI).unwrap();
    assert_eq!(engine.poll_output(), Output::Timeout(Some(after(10_000))));
    engine.handle_timeout(after(9_999));
    assert_eq!(engine.poll_output(), Output::Timeout(Some(after(10_000))));
    engine.handle_timeout(after(10_000));
    assert_eq!(engine.poll_output(), Output::Sa(SaReport::SoftExpired(spi)));
    assert_eq!(engine.poll_output(), Output::Timeout(Some(after(20_000))));
    assert!(matches!(engine.outbound(after(20_000), &TRANSPORT.packet(b"x")), Outbound::Hold { .. }));
    engine.handle_timeout(after(20_000));
    assert_eq!(engine.poll_output(), Output::Sa(SaReport::HardExpired(spi)));
    assert!(engine.sas().all(|sa| sa.expired));
}

/// RFC 4301 §4.4.2: a slot is never overwritten, and policy decides what may be installed.
#[test]
fn install_refuses_what_policy_does_not_allow() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let strict = Action::Protect { mode: Mode::Transport, minimum: Level::Shared };
    engine.add_policy(Policy { action: strict, ..TRANSPORT.policy() }).unwrap();
    engine.add_policy(Policy { action: Action::Bypass, ..TRANSPORT.policy() }).unwrap();
    let mut install = |child| engine.install(NOW, child);
    let child = || TRANSPORT.child_a();
    assert_eq!(install(ChildSa { level: Level::Known, ..child() }), Err(InstallError::TooWeak));
    assert_eq!(install(ChildSa { mode: Mode::Tunnel, ..child() }), Err(InstallError::WrongMode));
    assert_eq!(install(ChildSa { policy: PolicyId(1), ..child() }), Err(InstallError::NotProtected));
    assert_eq!(install(ChildSa { policy: PolicyId(9), ..child() }), Err(InstallError::NotProtected));
    assert_eq!(install(ChildSa { remote: ip("::1"), ..child() }), Err(InstallError::MixedFamilies));
    assert_eq!(install(child()), Ok(()));
    assert_eq!(install(child()), Err(InstallError::Occupied));
    let same_slot = Spi::new(A_SPI + u32::from(SLOTS)).unwrap();
    assert_eq!(install(ChildSa { inbound: same_slot, ..child() }), Err(InstallError::Occupied));
}

/// RFC 5660: a flow that lives under one key is not given to another, until its SA is gone.
#[test]
fn flow_belongs_to_the_peer_it_began_with() {
    let mut memory = Memory::new();
    let mut engine = TRANSPORT.engine_a(&mut memory, Settings::default());
    let stranger = || {
        let inbound = Spi::new(A_SPI + 1).unwrap();
        ChildSa { inbound, peer: PeerKey([0xc; 32]), ..TRANSPORT.child_a() }
    };
    assert_eq!(engine.install(NOW, stranger()), Err(InstallError::Latched));
    let successor = ChildSa { inbound: Spi::new(A_SPI + 2).unwrap(), ..TRANSPORT.child_a() };
    assert_eq!(engine.install(NOW, successor), Ok(()), "the same peer rekeys");
    for spi in [A_SPI, A_SPI + 2] {
        assert!(engine.remove(Spi::new(spi).unwrap()));
    }
    assert_eq!(engine.install(NOW, stranger()), Ok(()));
}

/// RFC 4301 §4.4.1.1: one policy, an SA for each far address.
#[test]
fn each_flow_finds_its_own_sa() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let (a, _) = TRANSPORT.hosts();
    let remote = [TrafficSelector::all(AddressRange::prefix(ip("192.0.2.0"), 24).unwrap())];
    let policy = Policy { remote: remote.iter().copied().collect(), ..TRANSPORT.policy() };
    engine.add_policy(policy).unwrap();
    let peer = |n: u8| ip(&format!("192.0.2.{}", 100 + n));
    for n in 0..8 {
        let child = ChildSa {
            inbound: Spi::for_slot(n.into(), SLOTS, 0x1234_5600),
            outbound: Spi::new(0x1000 + u32::from(n)).unwrap(),
            remote: peer(n),
            remote_ts: all(peer(n)),
            peer: PeerKey([n; 32]),
            ..TRANSPORT.child_a()
        };
        engine.install(NOW, child).unwrap();
    }
    for round in 0..2 {
        for n in 0..8 {
            let sealed = seal(&mut engine, NOW, &udp(a, peer(n), 1, 2, b"x"));
            assert_eq!(sealed[20..24], (0x1000 + u32::from(n)).to_be_bytes());
            assert_eq!(sealed[24..28], [0, 0, 0, round + 1]);
        }
    }
    for n in [3, 0, 7] {
        assert!(engine.remove(Spi::for_slot(n.into(), SLOTS, 0x1234_5600)));
        assert!(matches!(engine.outbound(NOW, &udp(a, peer(n), 1, 2, b"x")), Outbound::Hold { .. }));
    }
    assert_eq!(engine.sas().count(), 5);
}

/// The table of one policy per flow as a BGP router has it: ports narrow the SA.
#[test]
fn ports_narrow_an_sa() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let (a, b) = TRANSPORT.hosts();
    engine.add_policy(TRANSPORT.policy()).unwrap();
    let bgp =
        TrafficSelector { protocol: 6, ports: PortRange::single(179), addresses: AddressRange::single(b) };
    let child = ChildSa { remote_ts: [bgp].into_iter().collect(), ..TRANSPORT.child_a() };
    engine.install(NOW, child).unwrap();
    seal(&mut engine, NOW, &tcp(a, b, 1024, 179, 0x18, &[], b"x"));
    let other = tcp(a, b, 179, 1024, 0x18, &[], b"x");
    assert!(matches!(engine.outbound(NOW, &other), Outbound::Hold { .. }));
}

/// RFC 4301 §4.4.1: a policy for a peer that is elsewhere now covers that address, and the one before is for the
/// policies behind it.
#[test]
fn policy_follows_its_peer() {
    let mut memory = Memory::new();
    let mut engine = Engine::new(Settings::default(), &mut memory);
    let [us, here, there] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
    let action = Action::Protect { mode: Mode::Transport, minimum: Level::Any };
    let policy = engine.add_policy(Policy { local: all(us), remote: all(here), action }).unwrap();
    let decides = |engine: &TestEngine<'_>, to: IpAddr| {
        let ports = Ports::Known { source: 1, destination: 2 };
        let packet = Selectors { source: us, destination: to, protocol: 17, ports };
        engine.policies().iter().any(|policy| policy.matches_outbound(&packet))
    };
    assert!(decides(&engine, here) && !decides(&engine, there));
    assert!(engine.set_remote(policy, all(there)));
    assert!(!decides(&engine, here) && decides(&engine, there));
    assert!(!engine.set_remote(PolicyId(1), all(here)));
}
