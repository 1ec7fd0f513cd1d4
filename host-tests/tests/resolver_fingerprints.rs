//! Fingerprints of keys at `_500._udp.NAME`: asked for where it is proven that a name has no key, and good where they
//! are proven themselves.

use std::rc::Rc;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use host_tests::dns::{Reply, Server, Signing, Tree, World, honest};
use ike_core::discovery::outcome::Outcome;
use ike_core::discovery::question::Question;
use ike_core::pad::{PeerRecord, Presence, PublishedKey, Security};

const KEY: &str = "GhuEwFlMIDHlzdvElFUqA3kXCkFqMvSPRCZcQvsFIqU=";

/// A fingerprint of so many times the same octet, as zones write it.
fn hex(octet: u8) -> String {
    format!("{octet:02x}").repeat(32)
}

/// TLSA records below a name of `peer.test`.
fn tlsa(name: &str, rdata: &[String]) -> String {
    rdata.iter().map(|rdata| format!("_500._udp.{name}.peer.test. TLSA {rdata}\n")).collect()
}

fn good(octets: &[u8]) -> Vec<String> {
    octets.iter().map(|octet| format!("3 1 1 {}", hex(*octet))).collect()
}

/// Other usages, selectors and matching types, other lengths, and many of each.
fn unusable() -> Vec<String> {
    let short = |n: u8| hex(n)[2..].to_owned();
    let long = |n: u8| hex(n) + "00";
    let forms = (1..=6).flat_map(|n| {
        [
            format!("2 1 1 {}", hex(n)),
            format!("3 0 1 {}", hex(n)),
            format!("3 1 0 {}", hex(n)),
            format!("3 1 2 {}{}", hex(n), hex(n)),
            format!("3 1 1 {}", short(n)),
            format!("3 1 1 {}", long(n)),
        ]
    });
    forms.collect()
}

fn tree() -> Rc<Tree> {
    let hosts: String = ["one", "two", "odd", "many", "crowd", "none", "plain", "both", "useless"]
        .iter()
        .map(|name| format!("{name}.peer.test. A 192.0.2.1\n"))
        .collect();
    let sets = [
        tlsa("one", &good(&[1])),
        tlsa("two", &good(&[1, 2])),
        tlsa("odd", &unusable()),
        tlsa("many", &[unusable(), good(&[1, 2, 3, 4])].concat()),
        tlsa("crowd", &good(&(0..60).collect::<Vec<_>>())),
        tlsa("both", &good(&[1])),
        tlsa("useless", &good(&[1])),
    ];
    let keys = format!(
        "both.peer.test. IPSECKEY 10 0 4 . {KEY}\n\
         useless.peer.test. IPSECKEY 10 0 9 . {KEY}\n\
         alias.peer.test. CNAME one.peer.test.\n\
         *.w.peer.test. A 192.0.2.1\n\
         *.w.peer.test. TLSA {}\n",
        good(&[1])[0]
    );
    let reverse = format!("_500._udp.1.2.0.192.in-addr.arpa. TLSA {}\n", good(&[1])[0]);
    let unsigned = format!("_500._udp.plain.peer.test. TLSA {}\n", good(&[1])[0]);
    let outside = format!("vpn.plain.test. A 192.0.2.2\n_500._udp.vpn.plain.test. TLSA {}\n", good(&[1])[0]);
    Rc::new(Tree::new(&[
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, ""),
        ("peer.test.", Signing::Signed, &[hosts, sets.concat(), keys].concat()),
        ("_udp.plain.peer.test.", Signing::Unsigned, &unsigned),
        ("plain.test.", Signing::Unsigned, &outside),
        ("2.0.192.in-addr.arpa.", Signing::Signed, &reverse),
    ]))
}

fn world() -> World {
    let tree = tree();
    World::new(vec![honest(&tree)], tree.anchors())
}

/// What key management is told where fingerprints count, and whether they were asked for.
fn record(world: &mut World, question: Question) -> (PeerRecord, bool) {
    let outcome = world.ask(question.clone());
    match outcome.fingerprints_at(&question) {
        Some(further) => (outcome.peer_record_by(&world.ask(further)), true),
        None => (outcome.peer_record(&question), false),
    }
}

fn of(world: &mut World, name: &str) -> (PeerRecord, bool) {
    record(world, Question::Peer(name.parse().expect("a name")))
}

fn verdict(record: &PeerRecord) -> (Security, Presence, Vec<u8>) {
    let print = |key: &PublishedKey| match key {
        PublishedKey::Fingerprint(print) => print[0],
        PublishedKey::Whole { .. } => panic!("a whole key"),
    };
    (record.security, record.presence, record.keys.iter().map(print).collect())
}

/// RFC 6698 §2.1: one question more than for a key, in the zone that is known by then; two records are two keys.
#[test]
fn fingerprints_are_asked_for_behind_the_proof() {
    let mut world = world();
    let (one, was_asked) = of(&mut world, "one.peer.test");
    assert!(was_asked);
    assert_eq!(verdict(&one), (Security::Secure, Presence::Present, vec![1]));
    assert_eq!(one.addresses.as_slice(), ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(world.questions().last().map(String::as_str), Some("_500._udp.one.peer.test. TLSA"));
    let (two, _) = of(&mut world, "two.peer.test");
    let mut found = verdict(&two);
    found.2.sort_unstable();
    assert_eq!(found, (Security::Secure, Presence::Present, vec![1, 2]));
    assert_eq!(world.questions().len(), 4, "IPSECKEY, A, AAAA and TLSA");
}

/// No question where there is an IPSECKEY record, be it unusable, nor where nothing proves that there is none.
#[test]
fn fingerprints_are_not_asked_for_beside_a_key() {
    let mut world = world();
    for (name, security, presence) in [
        ("both.peer.test", Security::Secure, Presence::Present),
        ("useless.peer.test", Security::Secure, Presence::OnlyUnusable),
        ("vpn.plain.test", Security::Insecure, Presence::Absent),
    ] {
        let (record, was_asked) = of(&mut world, name);
        assert_eq!((record.security, record.presence, was_asked), (security, presence, false), "{name}");
    }
    assert!(world.questions().iter().all(|question| !question.contains("TLSA")));
}

/// A server in the way that makes something else of what is asked about this type.
fn distorted(rtype: Rtype, change: impl Fn(Reply) -> Reply + 'static) -> World {
    let tree = tree();
    let anchors = tree.anchors();
    let server: Server = Box::new(move |asked| {
        let reply = tree.answer(&asked.name(), asked.rtype());
        asked.answered(asked.reply(&if asked.rtype() == rtype { change(reply) } else { reply }))
    });
    World::new(vec![server], anchors)
}

fn fails(_: Reply) -> Reply {
    Reply::empty(Rcode::SERVFAIL)
}

fn loses_signatures(mut reply: Reply) -> Reply {
    for section in [&mut reply.answer, &mut reply.authority] {
        section.retain(|record| record.rtype() != Rtype::RRSIG);
    }
    reply
}

/// RFC 4035 §4.3: whoever suppresses or forges what is said of keys does not make us look for fingerprints.
#[test]
fn nothing_is_gained_by_suppressing_keys() {
    for (change, class) in
        [(fails as fn(Reply) -> Reply, Security::Indeterminate), (loses_signatures, Security::Bogus)]
    {
        for name in ["both.peer.test", "one.peer.test"] {
            let (record, was_asked) = of(&mut distorted(Rtype::IPSECKEY, change), name);
            assert_eq!((record.security, was_asked, record.keys.len()), (class, false, 0), "{name}");
        }
    }
}

/// RFC 4035 §4.3: fingerprints that are not secure give no key, and it is said why.
#[test]
fn fingerprints_have_to_be_secure() {
    for (change, class) in
        [(fails as fn(Reply) -> Reply, Security::Indeterminate), (loses_signatures, Security::Bogus)]
    {
        let (record, was_asked) = of(&mut distorted(Rtype::TLSA, change), "one.peer.test");
        assert_eq!((record.security, was_asked, record.keys.len()), (class, true, 0));
    }
    let (unsigned, was_asked) = of(&mut world(), "plain.peer.test");
    assert_eq!((unsigned.security, was_asked, unsigned.keys.len()), (Security::Insecure, true, 0));
}

/// RFC 4035 §5.4: neither, which is proven.
#[test]
fn neither_key_nor_fingerprint() {
    let mut world = world();
    for name in ["none.peer.test", "nobody.peer.test"] {
        let (record, was_asked) = of(&mut world, name);
        assert!(was_asked);
        assert_eq!(verdict(&record), (Security::Secure, Presence::Absent, vec![]), "{name}");
    }
}

/// What is no fingerprint is as unusable as an unknown algorithm, and hides none that is, however much of it there
/// is. More records than anybody may make us put in order prove nothing (RFC 4034 §6.3).
#[test]
fn records_of_every_other_form() {
    let mut world = world();
    let (odd, _) = of(&mut world, "odd.peer.test");
    assert_eq!(verdict(&odd), (Security::Secure, Presence::OnlyUnusable, vec![]));
    let (many, _) = of(&mut world, "many.peer.test");
    assert_eq!((many.security, many.presence, many.keys.len()), (Security::Secure, Presence::Present, 4));
    let (crowd, _) = of(&mut world, "crowd.peer.test");
    assert_eq!((crowd.security, crowd.keys.len()), (Security::Bogus, 0));
}

/// RFC 4592: a wildcard's fingerprint says that it is one's.
#[test]
fn fingerprint_of_a_wildcard() {
    let (record, _) = of(&mut world(), "x.w.peer.test");
    assert!(record.is_wildcard && record.presence == Presence::Present);
}

/// RFC 4025 §1.2: they are where the keys would be, below the end of the aliases; and in the reverse tree.
#[test]
fn fingerprints_behind_an_alias_and_of_an_address() {
    let mut world = world();
    let (record, _) = of(&mut world, "alias.peer.test");
    assert_eq!(verdict(&record).2, [1]);
    assert_eq!(world.questions().last().map(String::as_str), Some("_500._udp.one.peer.test. TLSA"));
    let (record, was_asked) = self::record(&mut world, Question::Reverse([192, 0, 2, 1].into()));
    assert!(was_asked);
    assert_eq!(verdict(&record), (Security::Secure, Presence::Present, vec![1]));
}

/// `buttons resolve --type tlsa`: what is of no use to a peer is there nevertheless.
#[test]
fn other_records_of_the_type() {
    let outcome: Outcome = world().records("_500._udp.odd.peer.test.", Rtype::TLSA);
    assert_eq!((outcome.presence, outcome.fingerprints().count()), (Presence::Present, 0));
}
