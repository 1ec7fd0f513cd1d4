//! Recursive servers that are not what validation needs, found out before they are asked in earnest; and servers
//! whose word is enough, beside others whose word is not. In virtual time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use esp_engine::time::Instant;
use host_tests::dns::{Arrival, Asked, Reply, Server, Signing, Tree, World, honest, silent};
use host_tests::parties::leak_all;
use host_tests::signed_zone::NOW;
use ike_core::discovery::UnixTime;
use ike_core::discovery::clock::Clock;
use ike_core::discovery::outcome::{Presence, Security};
use ike_core::discovery::resolver::{Config, Examples};
use ike_core::discovery::upstream::{self, Lack};

const KEY: &str = "AQPEgYRXY8W2ozs8nyrnbPT0h3fnsT6vzt1Qz+8CK4A=";

fn tree() -> Rc<Tree> {
    let vpn = format!("vpn.test. IPSECKEY 10 0 4 . {KEY}\n");
    let plain = format!("vpn.plain.test. IPSECKEY 10 0 4 . {KEY}\n");
    Rc::new(Tree::new(&[
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, &vpn),
        ("plain.test.", Signing::Unsigned, &plain),
    ]))
}

fn examples() -> Option<Examples> {
    Some(Examples { signed: "test".parse().unwrap(), hashed: "test".parse().unwrap() })
}

/// An honest server, but for what `spoil` makes of its answers.
fn spoilt(spoil: impl Fn(&Asked, Reply) -> Vec<Arrival> + 'static) -> Server {
    let tree = tree();
    Box::new(move |asked| spoil(asked, tree.answer(&asked.name(), asked.rtype())))
}

fn without(rtype: Rtype) -> impl Fn(&Asked, Reply) -> Vec<Arrival> {
    move |asked, mut reply| {
        reply.answer.retain(|record| record.rtype() != rtype);
        reply.authority.retain(|record| record.rtype() != rtype);
        asked.answered(asked.reply(&reply))
    }
}

/// What the first server is found to lack, and the queries that it took.
fn lacks(servers: Vec<Server>) -> (Vec<Lack>, usize) {
    let mut world = World::new(servers, tree().anchors());
    world.resolver.probe_servers(world.now, examples());
    world.pass_until(Instant::from_millis(60_000));
    let first = world.resolver.servers().next().unwrap();
    let queries = world.asked.iter().filter(|asked| asked.server == first.address).count();
    (first.lacks.expect("it was tried out").iter().collect(), queries)
}

/// Four questions, and nothing to complain of.
#[test]
fn a_good_server_lacks_nothing() {
    assert_eq!(lacks(vec![honest(&tree())]), (vec![], 4));
}

/// Nobody there: three datagrams, one connection.
#[test]
fn a_server_that_does_not_answer() {
    assert_eq!(lacks(vec![silent()]), (vec![Lack::Answers], 4));
}

/// RFC 3225: it does not heed the DO bit, or does not know EDNS.
#[test]
fn a_server_without_signatures() {
    assert_eq!(lacks(vec![spoilt(without(Rtype::RRSIG))]).0, [Lack::Signatures]);
    let formerr = spoilt(|asked, _| asked.answered(asked.reply(&Reply::empty(Rcode::FORMERR))));
    assert_eq!(lacks(vec![formerr]).0, [Lack::Signatures]);
}

/// Datagrams are lost, or too short for the keys of the root; connections bring them.
#[test]
fn a_server_without_datagrams() {
    let lost = spoilt(|asked, reply| match asked.is_datagram() {
        true => Vec::new(),
        false => asked.answered(asked.reply(&reply)),
    });
    assert_eq!(lacks(vec![lost]).0, [Lack::Datagrams]);
    let short = spoilt(|asked, reply| match asked.is_datagram() {
        true => asked.answered(asked.truncated()),
        false => asked.answered(asked.reply(&reply)),
    });
    assert_eq!(lacks(vec![short]).0, [Lack::Datagrams]);
}

/// RFC 7766 §5: what is too long for a datagram comes on a connection, as it should.
#[test]
fn a_long_answer() {
    let server = spoilt(|asked, reply| match (asked.is_datagram(), asked.rtype()) {
        (true, Rtype::DS | Rtype::A) => asked.answered(asked.truncated()),
        _ => asked.answered(asked.reply(&reply)),
    });
    assert_eq!(lacks(vec![server]), (vec![], 6));
}

/// RFC 7766 §5.
#[test]
fn a_server_without_connections() {
    let server = spoilt(|asked, reply| match asked.is_datagram() {
        true => asked.answered(asked.reply(&reply)),
        false => vec![Arrival { after: 10, from: asked.server, octets: None }],
    });
    assert_eq!(lacks(vec![server]).0, [Lack::Connections]);
}

/// RFC 4035 §3.1.4.1: the DS records are asked of the child, which has none.
#[test]
fn a_server_that_takes_ds_from_the_child() {
    let tree = tree();
    let server: Server = Box::new(move |asked| {
        let of_child = asked.rtype() == Rtype::DS && !asked.name().is_root();
        let rtype = if of_child { Rtype::MX } else { asked.rtype() };
        asked.answered(asked.reply(&tree.answer(&asked.name(), rtype)))
    });
    assert_eq!(lacks(vec![server]).0, [Lack::Delegations]);
}

/// RFC 5155 §7.2: what does not exist, without the records that prove it.
#[test]
fn a_server_without_proof_of_absence() {
    assert_eq!(lacks(vec![spoilt(without(Rtype::NSEC))]).0, [Lack::Denials]);
}

/// The letters of names come back in lower case.
#[test]
fn a_server_that_changes_letters() {
    let server = spoilt(|asked, reply| {
        let mut octets = asked.reply(&reply);
        let end = 12 + asked.name().len();
        octets[12..end].make_ascii_lowercase();
        asked.answered(octets)
    });
    assert_eq!(lacks(vec![server]), (vec![Lack::Letters], 5));
}

/// Without examples, below another root than the Internet's, only the keys of that root are asked for.
#[test]
fn another_root() {
    let mut world = World::new(vec![honest(&tree())], tree().anchors());
    world.resolver.probe_servers(world.now, None);
    world.pass_until(Instant::from_millis(60_000));
    assert_eq!(world.questions(), [". DNSKEY", ". DNSKEY"]);
    assert!(world.resolver.servers().next().unwrap().lacks.unwrap().is_empty());
}

/// The next server is asked in earnest; the one that lacks something is tried out again after a quarter of an
/// hour, and preferred again when it is well.
#[test]
fn the_next_one_is_used_until_it_is_well() {
    let ill = Rc::new(Cell::new(true));
    let (tree, its) = (tree(), Rc::clone(&ill));
    let first: Server = Box::new({
        let tree = Rc::clone(&tree);
        move |asked| {
            let reply = tree.answer(&asked.name(), asked.rtype());
            if its.get() { without(Rtype::RRSIG)(asked, reply) } else { asked.answered(asked.reply(&reply)) }
        }
    });
    let mut world = World::new(vec![first, honest(&tree)], tree.anchors());
    world.resolver.probe_servers(world.now, examples());
    world.pass_until(Instant::from_millis(10_000));
    world.asked.clear();
    assert_eq!(world.peer("vpn.test.").security, Security::Secure);
    assert!(world.asked.iter().all(|asked| asked.server.ip().to_string() == "192.0.2.54"));
    ill.set(false);
    world.asked.clear();
    world.pass_until(Instant::from_millis(890_000));
    assert_eq!(world.asked.len(), 0);
    world.pass_until(Instant::from_millis(920_000));
    assert!(world.resolver.servers().all(|server| server.lacks.unwrap().is_empty()));
    world.asked.clear();
    assert_eq!(world.peer("nobody.test.").security, Security::Secure);
    assert!(world.asked.iter().all(|asked| asked.server.ip().to_string() == "192.0.2.53"));
}

/// A world in which the first server is believed and the second is not.
fn believing(first: Server, second: Server) -> World {
    let server = |n: u8, is_believed| upstream::Server { address: ([192, 0, 2, n], 53).into(), is_believed };
    let config = Config {
        servers: leak_all(vec![server(53, true), server(54, false)]),
        anchors: leak_all(tree().anchors()),
    };
    let mut clock = Clock::new(UnixTime(0));
    clock.set(Instant::ZERO, NOW).unwrap();
    World::with_config(vec![first, second], config, clock)
}

/// All that it says it says that it validated (RFC 4035 §3.2.3).
fn boastful() -> Server {
    spoilt(|asked, mut reply| {
        reply.answer.retain(|record| record.rtype() != Rtype::RRSIG);
        let mut octets = asked.reply(&reply);
        octets[3] |= 0x20;
        asked.answered(octets)
    })
}

/// RFC 4035 §4.9.3: the word of a server that is believed is enough, with the AD bit as without it. It is asked
/// without CD, so that it does the work.
#[test]
fn the_word_of_a_believed_server() {
    let mut world = believing(boastful(), silent());
    let outcome = world.peer("vpn.plain.test.");
    assert_eq!((outcome.security, outcome.presence), (Security::Secure, Presence::Present));
    assert!(world.asked.iter().all(|asked| !asked.message().header().cd()));
    let mut world = believing(spoilt(without(Rtype::RRSIG)), silent());
    assert_eq!(world.peer("vpn.test.").security, Security::Insecure);
}

/// Whoever silences the server that is believed has what the other one says validated: its AD bit says nothing.
#[test]
fn a_believed_server_that_is_silent() {
    let mut world = believing(silent(), boastful());
    assert!(!matches!(world.peer("vpn.plain.test.").security, Security::Secure));
    let mut world = believing(silent(), honest(&tree()));
    assert_eq!(world.peer("vpn.plain.test.").security, Security::Insecure);
    let begun = world.now;
    assert_eq!(world.peer("vpn.test.").security, Security::Secure);
    assert!(world.now.since(begun) < Duration::from_millis(500), "it is left alone for a while");
}

/// A believed server that fails says nothing; whether it is because the answer is bogus is found out here.
#[test]
fn a_believed_server_that_fails() {
    let failing = || spoilt(|asked, _| asked.answered(asked.reply(&Reply::empty(Rcode::SERVFAIL))));
    let mut world = believing(failing(), honest(&tree()));
    assert_eq!(world.peer("vpn.test.").security, Security::Secure);
    let mut world = believing(failing(), spoilt(without(Rtype::IPSECKEY)));
    assert!(matches!(world.peer("vpn.test.").security, Security::Bogus(_)));
}
