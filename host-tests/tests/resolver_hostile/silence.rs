//! Servers and ways that are slow, lossy, blocked or dead, and servers that refuse.

use super::*;

/// 0.4, 0.8 and 1.6 seconds, from server to server; then connections; after five seconds it is over.
#[test]
fn silence() {
    let mut world = world(vec![silent(), silent()]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::NoAnswer));
    assert_eq!(world.now.as_millis(), 5_000);
    let tries: Vec<_> = world
        .asked
        .iter()
        .map(|it| (it.at.as_millis(), it.server.ip().to_string(), it.is_datagram()))
        .collect();
    let server = |n: u8| format!("192.0.2.{n}");
    assert_eq!(
        tries,
        [
            (0, server(53), true),
            (400, server(54), true),
            (1200, server(53), true),
            (2800, server(54), false),
            (4800, server(53), false),
        ]
    );
}

/// One of two servers is dead: it is left alone for 15 seconds once that is clear.
#[test]
fn a_dead_server_is_left_alone() {
    let tree = tree();
    let mut world = world(vec![silent(), honest(&tree)]);
    assert!(is_secure(&mut world));
    let asked =
        |world: &World| world.asked.iter().filter(|it| it.server.ip().to_string() == "192.0.2.53").count();
    assert_eq!(asked(&world), 2);
    world.peer("other.peer.test.");
    assert_eq!(asked(&world), 2);
    assert!(world.resolver.servers().next().unwrap().silent);
    world.now = world.now + std::time::Duration::from_secs(16);
    world.peer("third.peer.test.");
    assert_eq!(asked(&world), 2 + 3);
}

/// Half of all datagrams are lost: it takes longer.
#[test]
fn loss() {
    let (tree, count) = (tree(), Cell::new(0));
    let mut world = world(vec![Box::new(move |asked| {
        count.set(count.get() + 1);
        if count.get() % 2 == 1 && asked.is_datagram() {
            return Vec::new();
        }
        asked.answered(asked.reply(&tree.answer(&asked.name(), asked.rtype())))
    })]);
    assert!(is_secure(&mut world));
    assert!((4_000..5_000).contains(&world.now.as_millis()), "{:?}", world.now);
}

/// Datagrams do not come through at all, connections do: the first query finds out, the others follow.
#[test]
fn datagrams_blocked() {
    let tree = tree();
    let mut world = world(vec![Box::new(move |asked| match asked.is_datagram() {
        true => Vec::new(),
        false => asked.answered(asked.reply(&tree.answer(&asked.name(), asked.rtype()))),
    })]);
    assert!(is_secure(&mut world));
    assert_eq!(world.asked.iter().filter(|it| it.is_datagram()).count(), 3);
    assert!(world.resolver.servers().next().unwrap().lossy);
}

/// Connections are blocked, and the answer needs one: that is what the reason says.
#[test]
fn connections_blocked() {
    let server: Server = Box::new(|asked| match asked.is_datagram() {
        true => asked.answered(asked.truncated()),
        false => vec![Arrival { after: 1, from: asked.server, octets: None }],
    });
    let mut world = world(vec![server]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::NoConnection));
}

/// H14: a connection on which nothing comes is given up; five seconds are the end.
#[test]
fn slow_connections() {
    let server: Server = Box::new(|asked| match asked.is_datagram() {
        true => asked.answered(asked.truncated()),
        false => Vec::new(),
    });
    let mut world = world(vec![server]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::NoConnection));
    assert!(world.now.as_millis() <= 5_000);
    let length = [0, 1, 2, 11].map(|length| vec![0; length]);
    for octets in length {
        let mut world = self::world(vec![Box::new(move |asked| match asked.is_datagram() {
            true => asked.answered(asked.truncated()),
            false => asked.answered(octets.clone()),
        })]);
        world.peer("vpn.peer.test.");
        assert!(world.discarded.contains(&Discarded::Malformed));
        assert!(world.now.as_millis() <= 5_000);
    }
}

/// Servers that refuse or fail: the next one; all of them: nothing is known.
#[test]
fn servers_that_refuse() {
    let refuse = |rcode: Rcode| changed(move |_, _| Reply::empty(rcode));
    let tree = tree();
    assert!(is_secure(&mut world(vec![refuse(Rcode::SERVFAIL), refuse(Rcode::REFUSED), honest(&tree)])));
    let outcome = world(vec![refuse(Rcode::REFUSED)]).peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::Refused(5)));
}
