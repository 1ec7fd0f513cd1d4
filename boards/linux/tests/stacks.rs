//! Two plain embassy-net stacks on the simulated cable: time driver, executor and cable carry a BGP
//! session, and the same seed gives the same frames.

use std::cell::RefCell;
use std::net::Ipv4Addr;

use buttons::bgp::{self, Ended, Session, Speaker, message::Prefix};
use buttons::cable::{Cable, Seen};
use buttons::{executor, time};
use embassy_net::tcp::TcpSocket;
use embassy_net::{ConfigV4, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_time::{Duration, Instant, Timer};

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn stack<'a>(
    cable: &Cable,
    resources: &'a mut StackResources<4>,
    address: Ipv4Addr,
) -> (Stack<'a>, Runner<'a, buttons::cable::End>) {
    let end = cable.plug([2, 0, 0, 0, 0, address.octets()[3]]);
    let config = ConfigV4::Static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    let mut both = embassy_net::Config::default();
    both.ipv4 = config;
    embassy_net::new(end, both, resources, u64::from(address.octets()[3]))
}

fn speaker(autonomous_system: u16, identifier: Ipv4Addr) -> Speaker {
    Speaker { autonomous_system, identifier, next_hop: identifier, hold_time: 9 }
}

fn prefix(third: u8) -> Prefix {
    Prefix { address: Ipv4Addr::new(198, 51, third, 0), length: 24 }
}

struct Outcome {
    active: Session,
    passive: Session,
    before_cut: (bool, bool),
    ended: Ended,
    at: Instant,
    frames: Vec<Seen>,
}

/// A session of a minute, then everything on the cable is cut.
fn a_session(seed: u64) -> Outcome {
    time::make_virtual();
    let cable = Cable::new(seed);
    let (mut r1, mut r2) = (StackResources::new(), StackResources::new());
    let (stack_a, mut runner_a) = stack(&cable, &mut r1, A);
    let (stack_b, mut runner_b) = stack(&cable, &mut r2, B);
    let active = RefCell::new(Session { to_announce: vec![prefix(100)], ..Session::default() });
    let passive = RefCell::new(Session { to_announce: vec![prefix(101), prefix(102)], ..Session::default() });

    let call = async {
        let (mut rx, mut tx) = ([0; 4096], [0; 4096]);
        let mut socket = TcpSocket::new(stack_a, &mut rx, &mut tx);
        socket.connect((B, bgp::PORT)).await.unwrap();
        speaker(64501, A).converse(&mut socket, &active).await
    };
    let listen = async {
        let (mut rx, mut tx) = ([0; 4096], [0; 4096]);
        let mut socket = TcpSocket::new(stack_b, &mut rx, &mut tx);
        socket.accept(bgp::PORT).await.unwrap();
        speaker(64502, B).converse(&mut socket, &passive).await;
    };
    let saboteur = async {
        Timer::after(Duration::from_secs(60)).await;
        let before_cut = (active.borrow().established, passive.borrow().established);
        cable.cut(|_| true);
        before_cut
    };
    let main = embassy_futures::join::join(call, saboteur);
    let tasks: Vec<executor::Task> = vec![
        Box::pin(async { runner_a.run().await }),
        Box::pin(async { runner_b.run().await }),
        Box::pin(listen),
    ];
    let (ended, before_cut) = executor::run(main, tasks).unwrap();
    let frames = cable.seen().to_vec();
    Outcome {
        active: active.into_inner(),
        passive: passive.into_inner(),
        before_cut,
        ended,
        at: Instant::now(),
        frames,
    }
}

#[test]
fn a_bgp_session_comes_up_and_lives_until_the_cable_is_cut() {
    let start = std::time::Instant::now();
    let outcome = a_session(1);
    assert_eq!(outcome.before_cut, (true, true));
    assert_eq!(outcome.active.peer, Some(64502));
    assert_eq!(outcome.active.learned, [prefix(101), prefix(102)]);
    assert_eq!(outcome.passive.learned, [prefix(100)]);
    assert!(outcome.active.keepalives >= 19, "{}", outcome.active.keepalives);
    assert_eq!(outcome.ended, Ended::HoldTimerExpired);
    assert!((60 + 6..=60 + 10).contains(&outcome.at.as_secs()), "{}", outcome.at);
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "virtual time does not wait");
}

#[test]
fn the_same_seed_gives_the_same_frames_at_the_same_moments() {
    let view = |o: Outcome| o.frames.into_iter().map(|s| (s.micros, s.octets)).collect::<Vec<_>>();
    let (first, second, other) = (view(a_session(7)), view(a_session(7)), view(a_session(8)));
    assert_eq!(first, second);
    assert_ne!(first, other);
}

#[test]
fn without_protection_the_eavesdropper_reads_the_session() {
    let outcome = a_session(1);
    let reads = |s: &Seen| s.octets.windows(16).any(|w| w == bgp::message::MARKER);
    assert!(outcome.frames.iter().any(reads), "else the search for it elsewhere proves nothing");
}
