//! The resolver against servers that are slow, silent, broken or lying, and against those who answer in their
//! place. Virtual time; the numbers are those of the rules for whoever sends anything to a device.

use std::cell::Cell;
use std::rc::Rc;

use domain::base::iana::Rcode;
use domain::base::{Record, Rtype, Ttl};
use domain::rdata::ZoneRecordData;
use host_tests::dns::{Arrival, Asked, Reply, Server, Signing, Tree, World, honest, record, silent};
use ike_core::discovery::dnssec::Bogus;
use ike_core::discovery::outcome::{Indeterminate, Presence, Security};
use ike_core::discovery::output::{Discarded, Transport};
use ike_core::discovery::upstream::Unfit;

const KEY: &str = "GhuEwFlMIDHlzdvElFUqA3kXCkFqMvSPRCZcQvsFIqU=";

fn tree() -> Rc<Tree> {
    let many: String =
        (0..40).map(|n| format!("many.peer.test. IPSECKEY {} 0 4 . {KEY}\n", 40 - n)).collect();
    let chain: String = (0..50).map(|n| format!("c{n}.peer.test. CNAME c{}.peer.test.\n", n + 1)).collect();
    let long = "a".repeat(60);
    let peer = format!(
        "vpn.peer.test. IPSECKEY 10 0 4 . {KEY}\n\
         vpn.peer.test. A 192.0.2.1\n\
         loop.peer.test. CNAME pool.peer.test.\n\
         pool.peer.test. CNAME loop.peer.test.\n\
         grow.peer.test. DNAME {long}.{long}.{long}.grow.test.\n\
         {many}{chain}"
    );
    Rc::new(Tree::new(&[
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, ""),
        ("peer.test.", Signing::Signed, &peer),
        ("plain.test.", Signing::Unsigned, "vpn.plain.test. A 192.0.2.2\n"),
    ]))
}

fn world(servers: Vec<Server>) -> World {
    World::new(servers, tree().anchors())
}

/// A server that tells the truth, but for what `change` makes of its answers.
fn changed(change: impl Fn(&Asked, Reply) -> Reply + 'static) -> Server {
    let tree = tree();
    Box::new(move |asked| {
        let reply = change(asked, tree.answer(&asked.name(), asked.rtype()));
        asked.answered(asked.reply(&reply))
    })
}

/// A server whose octets `change` puts in front of the true answer.
fn preceded(change: impl Fn(&Asked, Vec<u8>) -> Option<Vec<u8>> + 'static) -> Server {
    let tree = tree();
    Box::new(move |asked| {
        let octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
        let mut arrivals = Vec::new();
        if let Some(octets) = change(asked, octets.clone()) {
            arrivals.push(Arrival { after: 5, from: asked.server, octets: Some(octets) });
        }
        arrivals.extend(asked.answered(octets));
        arrivals
    })
}

fn is_secure(world: &mut World) -> bool {
    let outcome = world.peer("vpn.peer.test.");
    (outcome.security, outcome.presence) == (Security::Secure, Presence::Present)
}

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

/// H15, RFC 6891 §6.1.1: OPT twice, in the answer, or of another version.
#[test]
fn impossible_opt_records() {
    let opt = |version: u8| -> Vec<u8> { vec![0, 0, 41, 4, 208, 0, version, 128, 0, 0, 0] };
    let twice = preceded(move |_, mut octets| {
        octets[11] += 1;
        octets.extend(opt(0));
        Some(octets)
    });
    let other_version = preceded(move |_, mut octets| {
        let at = octets.len() - 5;
        octets[at] = 1;
        Some(octets)
    });
    for server in [twice, other_version] {
        let mut world = world(vec![server]);
        assert!(is_secure(&mut world));
        assert!(world.discarded.iter().all(|it| *it == Discarded::BadOpt), "{:?}", world.discarded);
        assert!(!world.discarded.is_empty());
    }
}

/// The cookie that a query carries (RFC 7873 §4): our half and, if known, the server's.
fn cookie_of(asked: &Asked) -> Vec<u8> {
    let octets = &asked.octets;
    let at = octets.windows(2).rposition(|it| it == [0, 10]).unwrap();
    octets[at + 4..].to_vec()
}

/// H15, RFC 7873 §5.3: cookies that are not ours, or of lengths that there are not.
#[test]
fn wrong_cookies() {
    for length in [0, 7, 8, 9, 15, 41] {
        let tree = tree();
        let mut world = world(vec![Box::new(move |asked| {
            let reply = tree.answer(&asked.name(), asked.rtype());
            let mut cookie = cookie_of(asked);
            cookie.resize(length, 7);
            if length == 9 {
                cookie = vec![7; 16];
            }
            let forged = asked.reply_with(&reply, &[(10, cookie)]);
            vec![
                Arrival { after: 5, from: asked.server, octets: Some(forged) },
                Arrival { after: 10, from: asked.server, octets: Some(asked.reply(&reply)) },
            ]
        })]);
        assert!(is_secure(&mut world), "{length}");
        assert!(world.discarded.iter().all(|it| *it == Discarded::BadCookie), "{:?}", world.discarded);
        assert!(!world.discarded.is_empty(), "{length}");
    }
}

/// RFC 7873 §5.3: who has given a cookie gives one always; without it a datagram is forged.
#[test]
fn a_missing_cookie_is_missed() {
    let (tree, forged) = (tree(), Rc::new(Cell::new(0)));
    let count = Rc::clone(&forged);
    let mut world = world(vec![Box::new(move |asked| {
        let reply = tree.answer(&asked.name(), asked.rtype());
        let cookie = [&cookie_of(asked)[..8], &[9; 16]].concat();
        let with_cookie = asked.reply_with(&reply, &[(10, cookie)]);
        if !asked.is_datagram() || cookie_of(asked).len() == 8 {
            return asked.answered(with_cookie);
        }
        assert_eq!(cookie_of(asked)[8..], [9; 16]);
        count.set(count.get() + 1);
        let without = asked.reply(&Reply::empty(Rcode::NXDOMAIN));
        vec![Arrival { after: 5, from: asked.server, octets: Some(without) }]
    })]);
    assert!(is_secure(&mut world));
    assert!(forged.get() > 0);
    assert!(world.discarded.iter().all(|it| *it == Discarded::NoCookie), "{:?}", world.discarded);
    assert!(world.resolver.servers().next().unwrap().cookies);
}

/// RFC 7873 §5.3: BADCOOKIE is answered once with the cookie that came along, then with a connection.
#[test]
fn a_renewed_cookie() {
    for stubborn in [false, true] {
        let tree = tree();
        let mut world = world(vec![Box::new(move |asked| {
            let cookie = [&cookie_of(asked)[..8], &[9; 8]].concat();
            let has_cookie = cookie_of(asked).len() > 8 && !stubborn;
            if has_cookie || !asked.is_datagram() {
                let reply = tree.answer(&asked.name(), asked.rtype());
                return asked.answered(asked.reply_with(&reply, &[(10, cookie)]));
            }
            let mut octets = asked.reply_with(&Reply::empty(Rcode::NOERROR), &[(10, cookie)]);
            let at = octets.len() - 26;
            // BADCOOKIE is 23: 7 in the header, 1 in the OPT record.
            octets[3] |= 7;
            octets[at] = 1;
            asked.answered(octets)
        })]);
        assert!(is_secure(&mut world));
        assert_eq!(world.asked.iter().any(|asked| !asked.is_datagram()), stubborn);
    }
}

/// RFC 7766 §5: TC leads to a connection; what the datagram holds is not looked at.
#[test]
fn truncated_answers() {
    let tree = tree();
    let mut world = world(vec![Box::new(move |asked| {
        let reply = tree.answer(&asked.name(), asked.rtype());
        if !asked.is_datagram() {
            return asked.answered(asked.reply(&reply));
        }
        let mut octets = asked.reply(&reply);
        octets[2] |= 0x02;
        let length = octets.len();
        octets[length - 20..].fill(0xFF);
        asked.answered(octets)
    })]);
    assert!(is_secure(&mut world));
    assert_eq!(world.discarded, []);
}

/// RFC 6891 §6.2: who knows no EDNS is asked on a connection.
#[test]
fn servers_that_do_not_understand() {
    for rcode in [Rcode::FORMERR, Rcode::NOTIMP] {
        let tree = tree();
        let mut world = world(vec![Box::new(move |asked| {
            if !asked.is_datagram() {
                return asked.answered(asked.reply(&tree.answer(&asked.name(), asked.rtype())));
            }
            let mut octets = asked.reply(&Reply::empty(rcode))[..12].to_vec();
            octets[4..12].fill(0);
            asked.answered(octets)
        })]);
        assert!(is_secure(&mut world));
    }
}

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

/// One of two servers lies: the other is asked, and the lie changes nothing.
#[test]
fn one_of_two_servers_lies() {
    let liar = changed(|asked, mut reply| {
        if asked.rtype() == Rtype::IPSECKEY {
            let forged = format!("vpn.peer.test. IPSECKEY 1 0 4 . {}", KEY.replace('G', "H"));
            let signatures: Vec<_> = reply.answer.drain(1..).collect();
            reply.answer = vec![record(&forged)];
            reply.answer.extend(signatures);
        }
        reply
    });
    let tree = tree();
    let mut world = world(vec![liar, honest(&tree)]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Secure);
    assert_eq!(outcome.keys().next().unwrap().precedence, 10);
}

/// The only server lies, on connections too: bogus, kept for a minute, and no record of it is given away.
#[test]
fn a_lie_is_bogus() {
    let liar = changed(|asked, mut reply| {
        if asked.rtype() == Rtype::A {
            reply.answer[0] = record("vpn.peer.test. A 192.0.2.66");
        }
        reply
    });
    let mut world = world(vec![liar]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Bogus(Bogus::BadSignature));
    assert_eq!((outcome.addresses().count(), outcome.keys().count()), (0, 0));
    let begun = world.now;
    assert_eq!(outcome.expires.since(begun).as_secs(), 60);
    world.questions();
    world.peer("vpn.peer.test.");
    assert_eq!(world.questions(), [""; 0]);
}

/// RFC 4035 §4.3: where a zone is signed, an answer without signatures is bogus, not insecure.
#[test]
fn stripped_signatures_are_bogus() {
    let strip = |rtype: Rtype| {
        changed(move |asked, mut reply| {
            if asked.rtype() == rtype {
                for section in [&mut reply.answer, &mut reply.authority] {
                    section.retain(|it| ![Rtype::RRSIG, Rtype::NSEC].contains(&it.rtype()));
                }
            }
            reply
        })
    };
    for rtype in [Rtype::IPSECKEY, Rtype::A, Rtype::DS] {
        let outcome = world(vec![strip(rtype)]).peer("vpn.peer.test.");
        assert_eq!(outcome.security, Security::Bogus(Bogus::NoSignature), "{rtype}");
    }
}

/// The same at the root: the server is of no use for anything, is named, and another one is asked.
#[test]
fn a_server_without_dnssec_is_unfit() {
    let strip = || {
        changed(|_, mut reply| {
            for section in [&mut reply.answer, &mut reply.authority] {
                section.retain(|it| ![Rtype::RRSIG, Rtype::NSEC].contains(&it.rtype()));
            }
            reply
        })
    };
    let outcome = world(vec![strip()]).peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::Unfit));
    let tree = tree();
    let mut world = world(vec![strip(), honest(&tree)]);
    assert!(is_secure(&mut world));
    assert_eq!(world.resolver.servers().next().unwrap().unfit, Some(Unfit::NoSignatures));
    assert_eq!(world.asked.iter().filter(|it| it.server.ip().to_string() == "192.0.2.53").count(), 1);
}

/// H13: records that nobody asked for are not looked at, wherever they are, and not kept.
#[test]
fn records_that_nobody_asked_for() {
    let unasked = || record("other.plain.test. A 192.0.2.66");
    let mut world = world(vec![changed(move |asked, mut reply| {
        if asked.rtype() == Rtype::A {
            reply.answer.push(unasked());
            reply.authority.push(unasked());
            reply.additional.push(unasked());
        }
        reply
    })]);
    let outcome = world.peer("vpn.plain.test.");
    assert_eq!(outcome.addresses().collect::<Vec<_>>(), ["192.0.2.2".parse::<std::net::IpAddr>().unwrap()]);
    world.questions();
    let outcome = world.records("other.plain.test.", Rtype::A);
    assert!(world.questions().contains(&"other.plain.test. A".to_owned()));
    // It is answered as it was asked for, and then no more than unsigned.
    assert_eq!(outcome.security, Security::Insecure);
}

/// H16: loops, long chains and names that grow too long end after eight aliases.
#[test]
fn aliases_without_end() {
    let tree = tree();
    let long = "b".repeat(60);
    let too_long = format!("{long}.{long}.grow.peer.test.");
    for name in ["loop.peer.test.", "c0.peer.test.", &too_long] {
        let mut world = world(vec![honest(&tree)]);
        let outcome = world.peer(name);
        assert_eq!(outcome.security, Security::Bogus(Bogus::TooMuchWork), "{name}");
        assert!(world.asked.len() <= 40, "{}", world.asked.len());
    }
    let mut world = world(vec![honest(&tree)]);
    assert_eq!(world.peer("c42.peer.test.").security, Security::Secure);
}

/// H10: of a large RRset the first four by their precedence.
#[test]
fn many_keys() {
    let tree = tree();
    let mut world = world(vec![honest(&tree)]);
    let outcome = world.peer("many.peer.test.");
    assert_eq!(outcome.keys().map(|key| key.precedence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((outcome.security, outcome.left_out), (Security::Secure, 36));
    assert!(world.asked.iter().any(|it| !it.is_datagram()), "over 1,232 octets");
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

/// What was wrong with the last answer is still said when no connection brings a better one: who forges
/// datagrams and blocks connections does not turn bogus into unknown.
#[test]
fn the_reason_outlives_a_blocked_connection() {
    let blocked = |mut server: Server| -> Server {
        Box::new(move |asked| match asked.is_datagram() {
            true => server(asked),
            false => vec![Arrival { after: 1, from: asked.server, octets: None }],
        })
    };
    let refusing = changed(|_, _| Reply::empty(Rcode::REFUSED));
    let mut refused = world(vec![blocked(refusing)]);
    let outcome = refused.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::Refused(5)));
    assert!(refused.now.as_millis() < 100, "{:?}", refused.now);
    let lying = changed(|asked, mut reply| {
        if asked.rtype() == Rtype::IPSECKEY {
            reply.answer[0] = record(&format!("vpn.peer.test. IPSECKEY 1 0 4 . {KEY}"));
        }
        reply
    });
    let mut lied_to = world(vec![blocked(lying)]);
    let outcome = lied_to.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Bogus(Bogus::BadSignature));
    assert!(lied_to.now.as_millis() < 1000, "{:?}", lied_to.now);
}

/// A server that takes DS records from the child, which has none, is not believed that the child is unsigned.
#[test]
fn ds_from_the_wrong_side() {
    let wrong_side = || {
        changed(|asked, mut reply| {
            if asked.words() == "peer.test. ds" || asked.words() == "peer.test. DS" {
                let soa = tree().answer(&asked.name(), Rtype::SOA).answer;
                reply.answer.clear();
                reply.authority = soa;
            }
            reply
        })
    };
    let outcome = world(vec![wrong_side()]).peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Bogus(Bogus::NoSignature));
    let tree = tree();
    let mut world = world(vec![wrong_side(), honest(&tree)]);
    assert!(is_secure(&mut world));
    assert_eq!(world.resolver.servers().next().unwrap().unfit, Some(Unfit::ChildSide));
}

/// Who signs in the name of a zone that does not exist is not searched for without end.
#[test]
fn signers_that_do_not_exist() {
    let liar = || {
        changed(|asked, mut reply| {
            let name = asked.name();
            for record in &mut reply.answer {
                if let ZoneRecordData::Rrsig(rrsig) = record.data() {
                    use domain::rdata::Rrsig;
                    let signer = if asked.rtype() == Rtype::IPSECKEY {
                        name.clone()
                    } else {
                        rrsig.signer_name().clone()
                    };
                    let forged = Rrsig::new(
                        rrsig.type_covered(),
                        rrsig.algorithm(),
                        rrsig.labels(),
                        rrsig.original_ttl(),
                        rrsig.expiration(),
                        rrsig.inception(),
                        rrsig.key_tag(),
                        signer,
                        rrsig.signature().clone(),
                    );
                    let forged = ZoneRecordData::Rrsig(forged.unwrap());
                    *record = Record::new(record.owner().clone(), record.class(), Ttl::HOUR, forged);
                }
            }
            reply
        })
    };
    let mut world = world(vec![liar()]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Bogus(Bogus::NoKey));
    assert!(world.asked.len() <= 12, "{:?}", world.questions());
    let tree = tree();
    assert!(is_secure(&mut self::world(vec![liar(), honest(&tree)])));
}

/// Whatever becomes of answers on their way, nothing false is ever secure, and it all ends in five seconds:
/// octets are changed, cut off, put in and doubled.
#[test]
fn spoilt_answers_prove_nothing_false() {
    let (tree, mut secure, mut others) = (tree(), 0, 0);
    let anchors = tree.anchors();
    for seed in 0..300_u64 {
        let (tree, mut state) = (Rc::clone(&tree), seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut draw = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below.max(1) as u64) as usize
        };
        let server: Server = Box::new(move |asked| {
            let mut octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
            // Behind the question: what is in front is matched, and not more interesting.
            let front = 12 + asked.name().len() + 4;
            for _ in 0..draw(3) {
                let at = front + draw(octets.len() - front);
                match draw(4) {
                    0 => octets[at] ^= 1 << draw(8),
                    1 => octets.truncate(at),
                    2 => octets.insert(at, draw(256) as u8),
                    _ => octets.extend_from_within(at..),
                }
                if octets.len() <= front {
                    break;
                }
            }
            asked.answered(octets)
        });
        let mut world = World::new(vec![server], anchors.clone());
        let outcome = world.peer("vpn.peer.test.");
        assert!(world.now.as_millis() <= 5_000);
        if outcome.security == Security::Secure {
            secure += 1;
            assert_eq!(outcome.presence, Presence::Present);
            assert!(outcome.keys().all(|key| key.precedence == 10) && outcome.keys().count() == 1);
            assert!(outcome.addresses().all(|address| address.to_string() == "192.0.2.1"));
        } else {
            others += 1;
        }
    }
    assert!(secure > 20 && others > 20, "{secure} secure, {others} not");
}

/// RFC 7873, RFC 5452: no more than twenty queries a second leave, whoever asks for them.
#[test]
fn twenty_queries_a_second() {
    let tree = tree();
    let mut world = world(vec![honest(&tree)]);
    for n in 0..20 {
        world.peer(&format!("n{n}.peer.test."));
    }
    let first = world.asked.iter().filter(|it| it.at.as_millis() < 1000).count();
    assert!(first <= 20, "{first}");
    assert!(world.asked.len() >= 60);
}
