//! What is no answer to the question: of other numbers, names, letters or senders, or no message at all.

use super::*;

/// H11, RFC 5452 §9.1: what does not match the question is dropped, and the true answer still counts.
#[test]
fn answers_that_do_not_match() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(Discarded, Change); 6] = [
        (Discarded::WrongId, |octets| octets[0] ^= 1),
        (Discarded::NotAnswer, |octets| octets[2] &= 0x7F),
        (Discarded::NotAnswer, |octets| octets[2] |= 0x28),
        (Discarded::WrongQuestion, |octets| {
            let at = 12 + octets[12..].iter().position(|octet| *octet == 0).unwrap();
            octets[at + 2] ^= 1;
        }),
        (Discarded::WrongQuestion, |octets| octets[5] = 0),
        (Discarded::Malformed, |octets| {
            octets.truncate(octets.len() - 1);
        }),
    ];
    for (reason, change) in cases {
        let mut world = world(vec![preceded(move |_, mut octets| {
            change(&mut octets);
            Some(octets)
        })]);
        assert!(is_secure(&mut world), "{reason:?}");
        assert!(world.discarded.iter().all(|other| *other == reason), "{:?}", world.discarded);
        assert_eq!(world.resolver.counters().discarded(reason) as usize, world.discarded.len());
        assert!(world.discarded.len() >= 8);
    }
}

/// H11: the same from another address or port, or without a question that is out.
#[test]
fn answers_from_others() {
    for from in ["192.0.2.54:53", "192.0.2.53:54"] {
        let tree = tree();
        let mut world = world(vec![Box::new(move |asked| {
            let octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
            let from = from.parse().unwrap();
            let forged = Arrival { after: 5, from, octets: Some(octets) };
            asked.is_datagram().then_some(forged).into_iter().collect()
        })]);
        let outcome = world.peer("vpn.peer.test.");
        assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::NoAnswer));
        assert!(world.discarded.contains(&Discarded::Unsolicited));
    }
}

/// RFC 5452 §9.2: nothing of a query repeats: port, ID, letters.
#[test]
fn queries_cannot_be_guessed() {
    let mut world = world(vec![silent(), silent()]);
    for name in ["a.test.", "b.test.", "c.test."] {
        world.peer(name);
    }
    let datagrams: Vec<_> = world.asked.iter().filter(|asked| asked.is_datagram()).collect();
    let port = |asked: &&Asked| match asked.transport {
        Transport::Udp { port } => port,
        Transport::Tcp => 0,
    };
    let mut ports: Vec<_> = datagrams.iter().map(port).collect();
    let mut ids: Vec<_> = datagrams.iter().map(|asked| asked.message().header().id()).collect();
    assert!(ports.iter().all(|port| *port >= 1024));
    for drawn in [&mut ports, &mut ids] {
        drawn.sort_unstable();
        drawn.dedup();
        assert!(drawn.len() + 1 >= datagrams.len(), "{} of {}", drawn.len(), datagrams.len());
    }
}

/// H12: one who guesses at IDs drives us to a connection, where guessing is of no use.
#[test]
fn guessing_ends_in_a_connection() {
    let tree = tree();
    let mut world = world(vec![Box::new(move |asked| {
        let octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
        let guess = |n: u8| {
            let mut octets = octets.clone();
            octets[1] ^= n;
            Arrival { after: u64::from(n), from: asked.server, octets: Some(octets) }
        };
        match asked.transport {
            Transport::Udp { .. } => (1..100).map(guess).collect(),
            Transport::Tcp => asked.answered(octets),
        }
    })]);
    assert!(is_secure(&mut world));
    assert!(world.now.as_millis() < 1000, "without waiting for a datagram: {:?}", world.now);
}

/// A server that answers in lower case is asked on a connection, where letters prove nothing.
#[test]
fn letters_changed_on_the_way() {
    let tree = tree();
    let mut world = world(vec![Box::new(move |asked| {
        let mut octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
        let length = asked.name().len();
        octets[12..12 + length].make_ascii_lowercase();
        asked.answered(octets)
    })]);
    assert!(is_secure(&mut world));
    assert!(world.discarded.contains(&Discarded::WrongCase));
    assert!(world.asked.iter().any(|asked| !asked.is_datagram()));
}

/// H1 to H3: octets that are no message, counts that lie, names that point in circles: dropped, whatever
/// comes afterwards counts.
#[test]
fn octets_that_are_no_message() {
    let cases: [fn(&mut Vec<u8>); 5] = [
        |octets| octets.truncate(11),
        |octets| octets[6..8].fill(0xFF),
        |octets| {
            let at = octets.len() - 11;
            octets.splice(at..at + 1, [0xC0, at as u8]);
        },
        |octets| {
            let at = octets.len() - 2;
            octets[at..].fill(0xFF);
        },
        |octets| octets.splice(12..13, [0xC0, 12]).for_each(drop),
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let mut world = world(vec![preceded(move |_, mut octets| {
            change(&mut octets);
            Some(octets)
        })]);
        assert!(is_secure(&mut world), "case {number}");
        assert!(!world.discarded.is_empty());
    }
}
