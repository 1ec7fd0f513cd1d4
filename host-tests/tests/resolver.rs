//! The resolver against servers that tell the truth: each class of outcome, and the way to it. Virtual time.

use std::net::IpAddr;
use std::rc::Rc;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use host_tests::dns::{Room, Signing, Tree, World, honest};
use host_tests::signed_zone::{EXPIRATION, INCEPTION};
use ike_core::discovery::UnixTime;
use ike_core::discovery::clock::Clock;
use ike_core::discovery::dnssec::Bogus;
use ike_core::discovery::ipseckey::RecordKey;
use ike_core::discovery::outcome::{Indeterminate, Outcome, Presence, Security};
use ike_core::discovery::output::Busy;
use ike_core::discovery::question::{Question, Ticket};
use ike_core::discovery::resolver::{Config, TimeRefused};
use ike_core::discovery::upstream::Server;

const KEY: &str = "GhuEwFlMIDHlzdvElFUqA3kXCkFqMvSPRCZcQvsFIqU=";

fn tree() -> Rc<Tree> {
    let peer = format!(
        "vpn.peer.test. IPSECKEY 10 0 4 . {KEY}\n\
         vpn.peer.test. A 192.0.2.1\n\
         vpn.peer.test. AAAA 2001:db8::1\n\
         *.w.peer.test. IPSECKEY 10 0 4 . {KEY}\n\
         alias.peer.test. CNAME vpn.peer.test.\n\
         out.peer.test. CNAME vpn.plain.test.\n\
         away.peer.test. DNAME other.test.\n\
         elsewhere.peer.test. IPSECKEY 10 3 4 gw.peer.test. {KEY}\n\
         odd.peer.test. IPSECKEY 10 0 4 . AAAA\n\
         odd.peer.test. IPSECKEY 10 0 9 . AAAA\n\
         far.below.it.peer.test. A 192.0.2.7\n"
    );
    let plain = format!(
        "vpn.plain.test. IPSECKEY 10 0 4 . {KEY}\n\
         vpn.plain.test. A 192.0.2.2\n\
         gw.plain.test. IPSECKEY 10 1 4 192.0.2.9 {KEY}\n\
         back.plain.test. CNAME vpn.peer.test.\n"
    );
    let other = format!("vpn.other.test. IPSECKEY 10 0 4 . {KEY}\n");
    let reverse = format!("1.2.0.192.in-addr.arpa. IPSECKEY 10 1 4 192.0.2.1 {KEY}\n");
    Rc::new(Tree::new(&[
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, ""),
        ("peer.test.", Signing::Signed, &peer),
        ("plain.test.", Signing::Unsigned, &plain),
        ("island.test.", Signing::Island, &other.replace("other", "island")),
        ("other.test.", Signing::Signed, &other),
        ("2.0.192.in-addr.arpa.", Signing::Signed, &reverse),
    ]))
}

fn world() -> World {
    let tree = tree();
    World::new(vec![honest(&tree)], tree.anchors())
}

fn keys(outcome: &Outcome) -> usize {
    outcome.keys().filter(|key| matches!(key.key, RecordKey::Public(_))).count()
}

fn verdict(outcome: &Outcome) -> (Security, Presence, usize) {
    (outcome.security, outcome.presence, keys(outcome))
}

/// RFC 4035 §5: from the trust anchor down, one zone after the other, each by the DS record of its parent.
#[test]
fn a_signed_name_is_secure() {
    let mut world = world();
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(verdict(&outcome), (Security::Secure, Presence::Present, 1));
    let addresses: Vec<IpAddr> = ["2001:db8::1", "192.0.2.1"].map(|it| it.parse().unwrap()).into();
    assert_eq!(outcome.addresses().collect::<Vec<_>>(), addresses);
    assert_eq!(outcome.signed_until, Some(UnixTime(EXPIRATION.into())));
    assert_eq!(
        world.questions(),
        [
            ". DNSKEY",
            "vpn.peer.test. IPSECKEY",
            "peer.test. DS",
            "test. DS",
            "test. DNSKEY",
            "peer.test. DS",
            "peer.test. DNSKEY",
            "vpn.peer.test. IPSECKEY",
            "vpn.peer.test. A",
            "vpn.peer.test. AAAA",
        ]
    );
}

/// A cold lookup costs ten queries and eight signatures; one more of the same zone three queries, and as many
/// signatures as its answers have, here one of records and two of each absence; the same again nothing.
#[test]
fn what_is_known_is_not_asked_again() {
    let mut world = world();
    world.peer("vpn.peer.test.");
    let cold = (world.resolver.counters().queries, world.resolver.counters().verifications);
    world.peer("elsewhere.peer.test.");
    let warm = (world.resolver.counters().queries, world.resolver.counters().verifications);
    world.peer("vpn.peer.test.");
    println!(
        "a cold lookup: {} queries, {} signatures; a warm one: {} and {}",
        cold.0,
        cold.1,
        warm.0 - cold.0,
        warm.1 - cold.1
    );
    assert_eq!(cold, (10, 8));
    assert_eq!((warm.0 - cold.0, warm.1 - cold.1), (3, 5));
    assert_eq!(world.resolver.counters().queries, warm.0);
    assert_eq!(world.resolver.zones(), 3);
}

/// RFC 2308 §5, RFC 4035 §5.3.3: an answer holds for its TTL, then it is asked for again.
#[test]
fn answers_expire() {
    let mut world = world();
    let outcome = world.peer("vpn.peer.test.");
    world.questions();
    world.now = outcome.expires;
    world.peer("vpn.peer.test.");
    assert!(world.questions().contains(&"vpn.peer.test. IPSECKEY".to_owned()));
}

/// RFC 4035 §5.4: that there is no record, or no name, is proven too.
#[test]
fn absence_is_secure() {
    let mut world = world();
    for name in ["far.below.it.peer.test.", "it.peer.test.", "nobody.peer.test.", "test.", "."] {
        assert_eq!(verdict(&world.peer(name)), (Security::Secure, Presence::Absent, 0), "{name}");
    }
    assert_eq!(world.peer("far.below.it.peer.test.").addresses().count(), 1);
}

/// RFC 4592, RFC 4035 §5.3.4.
#[test]
fn a_wildcard_is_said() {
    let outcome = world().peer("x.y.w.peer.test.");
    assert_eq!(verdict(&outcome), (Security::Secure, Presence::Present, 1));
    assert!(outcome.wildcard);
}

/// RFC 4035 §5.2: signing ends at a cut without DS, also where the child signs for itself.
#[test]
fn below_an_unsigned_cut_all_is_insecure() {
    let mut world = world();
    for name in ["vpn.plain.test.", "vpn.island.test."] {
        assert_eq!(verdict(&world.peer(name)), (Security::Insecure, Presence::Present, 1), "{name}");
    }
    assert_eq!(verdict(&world.peer("no.plain.test.")), (Security::Insecure, Presence::Absent, 0));
}

/// RFC 4025 §4.1.2: of unsigned records only those are used whose gateway is none or the owner.
#[test]
fn a_gateway_elsewhere_needs_a_signature() {
    let mut world = world();
    assert_eq!(verdict(&world.peer("elsewhere.peer.test.")), (Security::Secure, Presence::Present, 1));
    let outcome = world.peer("gw.plain.test.");
    assert_eq!(verdict(&outcome), (Security::Insecure, Presence::OnlyUnusable, 0));
    assert_eq!(outcome.left_out, 1);
}

/// RFC 4025 §2.4: keys that we cannot use are there nevertheless.
#[test]
fn unusable_keys_are_not_absent() {
    let outcome = world().peer("odd.peer.test.");
    assert_eq!((outcome.security, outcome.presence), (Security::Secure, Presence::OnlyUnusable));
    assert_eq!(outcome.left_out, 2);
}

/// RFC 4025 §1.2: aliases are followed; the outcome is as good as its weakest link.
#[test]
fn aliases_are_followed() {
    let mut world = world();
    let outcome = world.peer("alias.peer.test.");
    assert_eq!(verdict(&outcome), (Security::Secure, Presence::Present, 1));
    assert_eq!(outcome.aliases().map(|it| it.to_string()).collect::<Vec<_>>(), ["vpn.peer.test"]);
    assert_eq!(verdict(&world.peer("out.peer.test.")).0, Security::Insecure);
    assert_eq!(verdict(&world.peer("back.plain.test.")), (Security::Insecure, Presence::Present, 1));
}

/// One family of addresses that nobody answers for does not spoil the other, nor does it make better what the
/// name is an alias of.
#[test]
fn one_family_of_addresses_is_enough() {
    for (name, security) in [("alias.peer.test.", Security::Secure), ("back.plain.test.", Security::Insecure)]
    {
        let tree = tree();
        let anchors = tree.anchors();
        let server: host_tests::dns::Server = Box::new(move |asked| match asked.rtype() {
            Rtype::AAAA => asked.answered(asked.reply(&host_tests::dns::Reply::empty(Rcode::SERVFAIL))),
            rtype => asked.answered(asked.reply(&tree.answer(&asked.name(), rtype))),
        });
        let outcome = World::new(vec![server], anchors).peer(name);
        assert_eq!(verdict(&outcome), (security, Presence::Present, 1), "{name}");
        assert_eq!(outcome.addresses().count(), 1);
    }
}

/// RFC 6672 §5.3.1: the alias that a DNAME makes is made by us.
#[test]
fn redirections_are_followed() {
    let outcome = world().peer("vpn.away.peer.test.");
    assert_eq!(verdict(&outcome), (Security::Secure, Presence::Present, 1));
    assert_eq!(outcome.aliases().map(|it| it.to_string()).collect::<Vec<_>>(), ["vpn.other.test"]);
}

/// RFC 4025 §1.2: a peer that is known by its address.
#[test]
fn reverse_names() {
    let mut world = world();
    let outcome = world.ask(Question::Reverse("192.0.2.1".parse().unwrap()));
    assert_eq!(verdict(&outcome), (Security::Secure, Presence::Present, 1));
    let outcome = world.ask(Question::Reverse("192.0.2.9".parse().unwrap()));
    assert_eq!(verdict(&outcome), (Security::Secure, Presence::Absent, 0));
}

/// Records of other types come as they are, names in them without compression (RFC 3597 §4).
#[test]
fn other_records() {
    let mut world = world();
    let outcome = world.records("peer.test.", Rtype::NS);
    assert_eq!((outcome.security, outcome.presence), (Security::Secure, Presence::Present));
    assert_eq!(outcome.records.of(Rtype::NS).collect::<Vec<_>>(), [b"\x02ns\x04test\x00"]);
}

/// RFC 4035 §5.3.1: before and after its time no signature counts.
#[test]
fn times_of_signatures() {
    for (time, reason) in
        [(INCEPTION - 5_000_000, Bogus::NotYetValid), (EXPIRATION + 5_000_000, Bogus::Expired)]
    {
        let tree = tree();
        let mut clock = Clock::new(UnixTime(0));
        clock.set(Default::default(), UnixTime(time.into())).unwrap();
        let mut world = World::with_clock(vec![honest(&tree)], tree.anchors(), clock);
        assert_eq!(world.peer("vpn.peer.test.").security, Security::Bogus(reason));
    }
}

/// Without the time of day nothing is proven; the records are there to be compared with what is pinned.
#[test]
fn without_a_clock_nothing_is_proven() {
    let tree = tree();
    let mut world = World::with_clock(vec![honest(&tree)], tree.anchors(), Clock::new(UnixTime(0)));
    let outcome = world.peer("vpn.peer.test.");
    let unknown = Security::Indeterminate(Indeterminate::ClockNotSet);
    assert_eq!(verdict(&outcome), (unknown, Presence::Present, 1));
    assert_eq!(world.questions().len(), 3);
}

/// A time from the network is believed if keys of the root, asked for then, are signed for that time.
#[test]
fn a_time_is_proven_by_the_keys_of_the_root() {
    let tree = tree();
    let bound = UnixTime(u64::from(INCEPTION) - 1000);
    let mut world = World::with_clock(vec![honest(&tree)], tree.anchors(), Clock::new(bound));
    let now = world.now;
    let true_time = u64::from(INCEPTION) + 86_400;
    assert_eq!(world.resolver.propose_time(now, UnixTime(bound.0 - 1)), Err(TimeRefused::BeforeBound));
    world.resolver.propose_time(now, UnixTime(u64::from(EXPIRATION) + 1_000_000_000)).unwrap();
    world.rest();
    assert_eq!(world.resolver.time(world.now), None);
    assert_eq!(world.proposed, [Err(Security::Bogus(Bogus::Expired))]);
    world.resolver.propose_time(world.now, UnixTime(true_time)).unwrap();
    world.rest();
    assert_eq!(
        (world.proposed.last(), world.not_before),
        (Some(&Ok(true_time)), Some(UnixTime(INCEPTION.into())))
    );
    world.now = world.now + std::time::Duration::from_secs(6);
    assert_eq!(world.peer("vpn.peer.test.").security, Security::Secure);
}

/// RFC 4035 §4.9.3: where the way to the servers is protected their word may be enough, if we are told so.
#[test]
fn a_servers_word_counts_only_where_it_is_to_be_believed() {
    let tree = tree();
    let with_ad = |tree: &Rc<Tree>| -> host_tests::dns::Server {
        let tree = Rc::clone(tree);
        Box::new(move |asked| {
            let mut octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
            octets[3] |= 0x20;
            asked.answered(octets)
        })
    };
    let address = "192.0.2.53:53".parse().unwrap();
    for (is_believed, security) in [(true, Security::Secure), (false, Security::Insecure)] {
        let anchors = host_tests::parties::leak_all(tree.anchors());
        let servers = host_tests::parties::leak([Server { address, is_believed }]);
        let config = Config { servers, anchors };
        let mut clock = Clock::new(UnixTime(0));
        clock.set(Default::default(), host_tests::signed_zone::NOW).unwrap();
        let mut world = World::with_config(vec![with_ad(&tree)], config, clock);
        assert_eq!(world.peer("vpn.plain.test.").security, security);
    }
}

/// No trust anchor, or none of the root's keys: nothing can be proven, and nothing is refuted.
#[test]
fn without_an_anchor_nothing_is_proven() {
    let tree = tree();
    let no_anchor = Security::Indeterminate(Indeterminate::NoAnchor);
    let other = tree.key("test.").ds(".");
    for anchors in [vec![], vec![other]] {
        let mut world = World::new(vec![honest(&tree)], anchors);
        assert_eq!(world.peer("vpn.peer.test.").security, no_anchor);
    }
}

/// Two who ask the same cause one lookup; each is answered once.
#[test]
fn one_lookup_for_all_who_ask() {
    let mut world = world();
    let question = Question::Peer(host_tests::signed_zone::owned("vpn.peer.test."));
    let one = world.begin(question.clone());
    let other = world.begin(question);
    assert_eq!(world.wait_for(one), world.wait_for(other));
    assert_eq!(world.questions().len(), 10);
}

/// RFC 5452 §9.2: two lookups below the same zones never wait for the same question at once; the second one
/// goes on with what the first one found.
#[test]
fn no_question_is_out_twice() {
    let mut world = world();
    let [one, other] = ["vpn.peer.test.", "alias.peer.test."]
        .map(|name| world.begin(Question::Peer(host_tests::signed_zone::owned(name))));
    assert_eq!(world.wait_for(one).security, Security::Secure);
    assert_eq!(world.wait_for(other).security, Security::Secure);
    let questions = world.questions();
    for what in [". DNSKEY", "test. DNSKEY", "peer.test. DNSKEY"] {
        assert_eq!(questions.iter().filter(|it| *it == what).count(), 1, "{what} in {questions:?}");
    }
}

/// All places taken is said; nothing of those who have one is lost.
#[test]
fn all_places_taken() {
    let mut world = world();
    let ask = |name: &str| Question::Peer(host_tests::signed_zone::owned(name));
    let one = world.begin(ask("vpn.peer.test."));
    let other = world.begin(ask("alias.peer.test."));
    let now = world.now;
    assert_eq!(world.resolver.lookup(now, Ticket(100), ask("third.peer.test.")), Err(Busy));
    for n in 101..104 {
        assert_eq!(world.resolver.lookup(now, Ticket(n), ask("vpn.peer.test.")), Ok(()));
    }
    assert_eq!(world.resolver.lookup(now, Ticket(104), ask("vpn.peer.test.")), Err(Busy));
    for ticket in [one, other, Ticket(101), Ticket(102), Ticket(103)] {
        assert_eq!(world.wait_for(ticket).security, Security::Secure);
    }
    assert_eq!(world.peer("third.peer.test.").presence, Presence::Absent);
}

/// What one lookup needs while it is under way, and what each answer and zone takes that is kept.
#[test]
fn sizes() {
    println!(
        "resolver, octets: a lookup {}, an answer {}, a zone {}; for 2, 4 and 6 of them {}",
        Room::LOOKUP,
        Room::ANSWER,
        Room::ZONE,
        size_of::<Room>()
    );
    const { assert!(2 * Room::LOOKUP <= 8192, "two lookups under way") };
}

/// RFC 4035 §3.1.4.1: of DS records the zone above answers. Its keys are asked for again when they had to make room,
/// also where those of the zone below are still there.
#[test]
fn ds_records_when_the_zone_above_had_to_make_room() {
    let others = ["x1.", "x2.", "x3.", "x4."];
    let text = others.map(|apex| format!("{apex} TXT x\n"));
    let mut zones = vec![
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, ""),
        ("peer.test.", Signing::Signed, "peer.test. TXT x\nvpn.peer.test. TXT x\n"),
    ];
    zones.extend(others.iter().zip(&text).map(|(apex, text)| (*apex, Signing::Signed, text.as_str())));
    let tree = Rc::new(Tree::new(&zones));
    let mut world = World::new(vec![honest(&tree)], tree.anchors());
    for name in ["peer.test.", "x1.", "x2.", "x3.", "vpn.peer.test.", "x4."] {
        assert_eq!(world.records(name, Rtype::TXT).security, Security::Secure, "{name}");
    }
    world.questions();
    let outcome = world.records("peer.test.", Rtype::DS);
    assert_eq!((outcome.security, outcome.presence), (Security::Secure, Presence::Present));
    assert_eq!(world.questions(), ["peer.test. DS", "test. DS", "test. DNSKEY", "peer.test. DS"]);
}
