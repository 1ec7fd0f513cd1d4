//! Trust on first use (RFC 5386 §4.2): a stranger's key is remembered, and nobody takes its place with another one;
//! what somebody was once authenticated as is not undercut later (RFC 7435 §3).

use std::net::IpAddr;

use esp_engine::sa::SaReport;
use esp_engine::selector::{AddressRange, Ports, Selectors};
use esp_engine::spd::{Level, PolicyId};
use host_tests::forge;
use host_tests::pair::Pair;
use host_tests::parties::{
    self, A, A_KEY, B, B_KEY, BTNS, FIRST_USE, between, fingerprint, leak_all, pinned, public, published,
};
use host_tests::stage::*;
use host_tests::zone::{absent, fingerprints, only, signed};
use ike_core::config::{Config, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::error::{CloseReason, FailReason, NameFault};
use ike_core::output::Event;
use ike_core::pad::{Authentication, Identity, Matcher, PadEntry, Published, Security};
use ike_core::remembered::Remembered;
use ike_core::wire::code_point::PayloadType;

const OTHER: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);
const YET_ANOTHER: PrivateKey = PrivateKey::Ed25519([0xC4; 32]);
const NULL: PadEntry<'static> = PadEntry { authentication: Authentication::Null, ..BTNS };
/// Where A may move to.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

/// A, which knows B, as whoever it likes to be, from wherever it likes.
fn caller(name: &'static str, key: PrivateKey, own: IpAddr) -> Config<'static> {
    parties::config(name, key, own, vec![pinned("b.example", &B_KEY, B)], B)
}

/// B with these entries, which takes from anywhere whoever reaches this level.
fn host(pad: Vec<PadEntry<'static>>, minimum: Level) -> Config<'static> {
    let mut b = parties::b();
    b.pad = leak_all(pad);
    b.policies =
        leak_all(vec![A, ELSEWHERE].into_iter().map(|a| between(B, a, minimum, Peer::Any)).collect());
    b
}

fn strangers(minimum: Level) -> Pair {
    Pair::new(parties::a(), host(vec![FIRST_USE], minimum), 1)
}

/// A packet of A's to B.
fn packet() -> Selectors {
    let ports = Ports::Known { source: 1, destination: 2 };
    Selectors { source: A, destination: B, protocol: 17, ports }
}

/// What B makes of A's attempt.
fn attempt(pair: &mut Pair) -> Result<Level, FailReason> {
    let before = (pair.b.established().len(), pair.b.failed().len());
    // Nobody is called without a packet for him.
    let begun = pair.a.endpoint.initiate(pair.now, parties::PEER);
    begun.or_else(|_| pair.a.endpoint.acquire(pair.now, PolicyId(0), packet())).expect("begins");
    pair.settle(LONG);
    match (pair.b.established().get(before.0), pair.b.failed().get(before.1)) {
        (_, Some(failed)) => Err(failed.reason),
        (Some(established), None) => Ok(established.level),
        (None, None) => panic!("{}", pair.trace),
    }
}

/// The attempt of somebody who starts where A was.
fn attempt_by(pair: &mut Pair, config: Config<'static>) -> Result<Level, FailReason> {
    pair.restart_a(config);
    attempt(pair)
}

fn changed(old: &PrivateKey, new: &PrivateKey) -> FailReason {
    FailReason::KeyChanged { old: fingerprint(old), new: fingerprint(new) }
}

/// B starts anew and is told what it had remembered.
fn restart_b(pair: &mut Pair, config: Config<'static>) {
    let kept: Vec<(u8, Remembered)> =
        pair.b.endpoint.remembered().map(|(place, known)| (place, known.clone())).collect();
    pair.b = Pair::new(parties::a(), config, 7).b;
    for (place, known) in kept {
        assert!(pair.b.endpoint.recall(place, known));
    }
}

fn told(pair: &Pair) -> usize {
    pair.b.events.iter().filter(|event| matches!(event, Event::Remember(_))).count()
}

/// A key that was never seen is the first, and is to be kept before its SA carries anything; when it comes again it
/// is known, and there is nothing to keep.
#[test]
fn key_is_first_and_then_known() {
    let mut pair = strangers(Level::First);
    assert_eq!(attempt(&mut pair), Ok(Level::First), "{}", pair.trace);
    let place = |is_it: fn(&Event) -> bool| pair.b.events.iter().position(is_it);
    let kept = place(|event| matches!(event, Event::Remember(0)));
    assert!(kept.is_some() && kept < place(|event| matches!(event, Event::Install(_))), "{}", pair.trace);
    let (_, known) = pair.b.endpoint.remembered().next().unwrap();
    assert_eq!((known.of.view(), known.address), (Identity::Fqdn("a.example"), A));
    assert_eq!((known.level, known.key), (Level::First, Some(public(&A_KEY))));
    assert_eq!(attempt_by(&mut pair, parties::a()), Ok(Level::Known));
    assert_eq!((told(&pair), pair.b.installed[0].level), (1, Level::Known), "{}", pair.trace);
}

/// The key of a stranger changes: refused, the old SA still carries traffic, and the event has both keys and the
/// address.
#[test]
fn another_key_is_refused_and_the_old_sa_stays() {
    let mut pair = strangers(Level::First);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    let before = pair.b.installed[0].inbound;
    assert_eq!(attempt_by(&mut pair, caller("a.example", OTHER, A)), Err(changed(&A_KEY, &OTHER)));
    assert_eq!(pair.a.failed()[0].reason, FailReason::Refused(24), "AUTHENTICATION_FAILED");
    assert_eq!((pair.b.installed.len(), pair.b.installed[0].inbound), (1, before), "{}", pair.trace);
    assert_eq!((pair.b.closed(), pair.b.failed()[0].path.remote.ip()), (vec![], A));
    assert_eq!(told(&pair), 1);
}

/// A stranger speaks for its address: who is there later under another name has to be the same.
#[test]
fn another_name_at_the_address_is_refused() {
    let mut pair = strangers(Level::First);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    assert_eq!(attempt_by(&mut pair, caller("c.example", OTHER, A)), Err(changed(&A_KEY, &OTHER)));
    assert_eq!(attempt_by(&mut pair, caller("A.Example.", A_KEY, A)), Ok(Level::Known), "the same name");
}

/// A stranger that moved is known by its key, and nobody else gets the new address; a name that was taken along does
/// not open the old one to another key of that name.
#[test]
fn stranger_moves_and_is_known() {
    let mut pair = strangers(Level::First);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    pair.pass(std::time::Duration::from_secs(3_600));
    assert_eq!(attempt_by(&mut pair, caller("a.example", A_KEY, ELSEWHERE)), Ok(Level::Known));
    assert_eq!((told(&pair), pair.b.endpoint.remembered().count()), (2, 1), "{}", pair.trace);
    for name in ["a.example", "c.example"] {
        let refused = attempt_by(&mut pair, caller(name, OTHER, ELSEWHERE));
        assert_eq!(refused, Err(changed(&A_KEY, &OTHER)), "{name}");
    }
}

/// Whoever moves all the time wears out no flash: a new address is told once an hour.
#[test]
fn moving_is_told_once_an_hour() {
    let mut pair = strangers(Level::First);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    for own in [ELSEWHERE, A, ELSEWHERE] {
        assert_eq!(attempt_by(&mut pair, caller("a.example", A_KEY, own)), Ok(Level::Known));
    }
    assert_eq!(told(&pair), 1, "{}", pair.trace);
}

/// An attacker comes first and is taken for the stranger; the true peer is refused until the operator forgets the
/// first, whose SA ends with that.
#[test]
fn attacker_comes_first_and_is_forgotten() {
    let mut pair = Pair::new(caller("a.example", OTHER, A), host(vec![FIRST_USE], Level::First), 1);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    assert_eq!(attempt_by(&mut pair, parties::a()), Err(changed(&OTHER, &A_KEY)));
    let name = Identity::Fqdn("a.example");
    assert_eq!(pair.b.endpoint.forget_peer(pair.now, &name), Some(0));
    assert_eq!(pair.b.endpoint.forget_peer(pair.now, &name), None);
    pair.settle(LONG);
    assert!(pair.b.installed.is_empty(), "{}", pair.trace);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
}

/// Where the operator allows it, a key may be replaced when its owner has been dead for so long, the first time in a
/// day; and not one that is alive, or at whose address another name comes.
#[test]
fn dead_stranger_is_replaced_where_that_is_allowed() {
    let hours = |n: u64| std::time::Duration::from_secs(n * 3_600);
    for (replace_after, waits, expected) in [
        (hours(2), hours(3), Ok(Level::First)),
        (hours(2), hours(1), Err(changed(&A_KEY, &OTHER))),
        (hours(0), hours(48), Err(changed(&A_KEY, &OTHER))),
    ] {
        let entry = PadEntry { authentication: Authentication::FirstUse { replace_after }, ..FIRST_USE };
        let mut pair = Pair::new(parties::a(), host(vec![entry], Level::First), 1);
        assert_eq!(attempt(&mut pair), Ok(Level::First));
        pair.pass(hours(1));
        let alive = attempt_by(&mut pair, caller("a.example", OTHER, A));
        assert_eq!(alive, Err(changed(&A_KEY, &OTHER)), "B has heard of nobody's death");
        // B's packets go unanswered, because A knows nothing of their SA any more.
        let inbound = pair.b.installed[0].inbound;
        pair.b.endpoint.handle_sa_report(pair.now, SaReport::Unanswered(inbound));
        pair.link.cut = true;
        pair.pass(std::time::Duration::from_secs(600));
        pair.link.cut = false;
        assert_eq!(pair.b.closed(), [CloseReason::PeerDead], "{}", pair.trace);
        pair.pass(waits);
        let other_name = attempt_by(&mut pair, caller("c.example", YET_ANOTHER, A));
        assert_eq!(other_name, Err(changed(&A_KEY, &YET_ANOTHER)));
        assert_eq!(attempt_by(&mut pair, caller("a.example", OTHER, A)), expected, "{}", pair.trace);
        if expected.is_ok() {
            assert_eq!(attempt_by(&mut pair, parties::a()), Err(changed(&OTHER, &A_KEY)));
        }
    }
}

/// The operator may say which key it is from now on, before whoever has it comes.
#[test]
fn operator_accepts_another_key() {
    let mut pair = strangers(Level::First);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    let name = Identity::Fqdn("a.example");
    assert_eq!(pair.b.endpoint.accept(pair.now, &name, fingerprint(&OTHER)), Some(0));
    assert_eq!(pair.b.endpoint.accept(pair.now, &Identity::Fqdn("c.example"), [0; 32]), None);
    pair.settle(LONG);
    assert!(pair.b.installed.is_empty(), "{}", pair.trace);
    assert_eq!(attempt_by(&mut pair, parties::a()), Err(changed(&OTHER, &A_KEY)));
    assert_eq!(attempt_by(&mut pair, caller("a.example", OTHER, A)), Ok(Level::Known));
    assert_eq!(pair.b.endpoint.remembered().next().unwrap().1.key, Some(public(&OTHER)));
}

/// What was kept holds after a restart.
#[test]
fn restart_keeps_what_is_remembered() {
    let mut pair = strangers(Level::First);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    restart_b(&mut pair, host(vec![FIRST_USE], Level::First));
    assert_eq!(attempt_by(&mut pair, caller("a.example", OTHER, A)), Err(changed(&A_KEY, &OTHER)));
    assert_eq!(attempt_by(&mut pair, parties::a()), Ok(Level::Known));
}

/// A full table takes no more strangers, lets nobody go for them, and still knows those that it has.
#[test]
fn full_table_takes_no_stranger() {
    let mut pair = strangers(Level::First);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    let (_, known) = pair.b.endpoint.remembered().next().map(|(n, known)| (n, known.clone())).unwrap();
    for (place, name) in (1..).zip(["x.example", "y.example", "z.example"]) {
        let of = Identity::Fqdn(name).to_owned().unwrap();
        let address = IpAddr::from([198, 51, 100, place]);
        assert!(pair.b.endpoint.recall(place, Remembered { of, address, ..known.clone() }));
    }
    assert!(!pair.b.endpoint.recall(4, known));
    let newcomer = attempt_by(&mut pair, caller("c.example", OTHER, ELSEWHERE));
    assert_eq!(newcomer, Err(FailReason::NoRoomForStranger));
    assert_eq!(pair.b.endpoint.remembered().count(), 4);
    assert_eq!(attempt_by(&mut pair, parties::a()), Ok(Level::Known));
}

/// Strangers do not take the places of those whom the configuration names.
#[test]
fn named_peers_keep_their_places() {
    let named = ["k.example", "l.example", "m.example"].map(|name| pinned(name, &OTHER, ELSEWHERE));
    let mut pad = named.to_vec();
    pad.iter_mut().for_each(|entry| entry.address = None);
    pad.push(FIRST_USE);
    let mut pair = Pair::new(parties::a(), host(pad, Level::First), 1);
    assert_eq!(attempt(&mut pair), Ok(Level::First));
    let newcomer = attempt_by(&mut pair, caller("c.example", YET_ANOTHER, ELSEWHERE));
    assert_eq!(newcomer, Err(FailReason::NoRoomForStranger));
    assert_eq!(attempt_by(&mut pair, caller("k.example", OTHER, ELSEWHERE)), Ok(Level::Pinned));
    let levels: Vec<_> = pair.b.endpoint.remembered().map(|(_, known)| known.level).collect();
    assert_eq!(levels, [Level::First, Level::Pinned]);
}

/// Where nothing can be kept, no stranger is taken.
#[test]
fn without_storage_there_is_no_first() {
    let mut pair = strangers(Level::First);
    pair.b.endpoint.admit_no_strangers();
    assert_eq!(attempt(&mut pair), Err(FailReason::NoRoomForStranger));
}

/// A policy that wants known strangers takes no first one, nor one that just failed at that.
#[test]
fn minimum_known_is_not_learnt_by_trying() {
    let mut pair = strangers(Level::Known);
    for _ in 0..2 {
        assert_eq!(attempt(&mut pair), Err(FailReason::LevelTooLow), "{}", pair.trace);
        pair.restart_a(parties::a());
    }
    assert_eq!((told(&pair), pair.b.endpoint.remembered().count()), (0, 0));
}

/// RFC 7670: peers that do not show their key are tried with the one that is remembered.
#[test]
fn remembered_key_need_not_be_shown() {
    for (key, expected) in [(A_KEY, true), (OTHER, false)] {
        let mut pair = strangers(Level::First);
        assert_eq!(attempt(&mut pair), Ok(Level::First));
        pair.restart_a(caller("a.example", key, A));
        let before = pair.link.sent();
        pair.link.script = vec![(before + 2, host_tests::link::Fault::Drop)];
        pair.initiate();
        while pair.link.sent() < before + 3 {
            assert!(pair.step(pair.now + LONG));
        }
        let keys = forge::keys(&pair.a);
        let auth = pair.datagrams.last().expect("IKE_AUTH").1.clone();
        let bare = forge::altered(&keys, &auth, |_, mut payloads| {
            payloads.retain(|payload| payload.kind != PayloadType::CERT);
            payloads
        });
        assert_eq!(give(&mut pair, to_b(), &bare), Ok(()));
        pair.settle(std::time::Duration::from_millis(500));
        let is_known = pair.b.established().last().is_some_and(|last| last.level == Level::Known);
        assert_eq!(is_known, expected, "{}", pair.trace);
    }
}

/// As initiator we know a stranger by its key and its address as well.
#[test]
fn initiator_refuses_another_key() {
    let both = |key: PrivateKey, name: &'static str| {
        let mut a = parties::config("a.example", A_KEY, A, vec![FIRST_USE], B);
        let mut b = parties::config(name, key, B, vec![FIRST_USE], A);
        a.policies = leak_all(vec![between(A, B, Level::First, Peer::Any)]);
        b.policies = leak_all(vec![between(B, A, Level::First, Peer::Any)]);
        Pair::new(a, b, 1)
    };
    let mut pair = both(B_KEY, "b.example");
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    assert_eq!(pair.a.established()[0].level, Level::First, "{}", pair.trace);
    for name in ["b.example", "c.example"] {
        let (_, known) = pair.a.endpoint.remembered().next().map(|(n, known)| (n, known.clone())).unwrap();
        let mut next = both(OTHER, name);
        assert!(next.a.endpoint.recall(0, known));
        next.a.endpoint.acquire(next.now, PolicyId(0), packet()).expect("begins");
        next.settle(LONG);
        assert_eq!(next.a.failed()[0].reason, changed(&B_KEY, &OTHER), "{}", next.trace);
        assert!(next.a.installed.is_empty());
    }
}

/// Whoever is looked for in DNS, and is a stranger if it is not there.
fn everybody() -> PadEntry<'static> {
    let allowed = Published { or_stranger: true, ..Published::default() };
    PadEntry { authentication: Authentication::Dns(allowed), ..published(Matcher::Any) }
}

/// RFC 7435 §3: who was validated once is no stranger later, whatever DNS says then, also after a restart.
#[test]
fn validated_peer_becomes_no_stranger() {
    let silent = || only(Security::Indeterminate, absent());
    let answers = [
        (absent(), FailReason::Lowered(Level::Validated)),
        (only(Security::Insecure, absent()), FailReason::Lowered(Level::Validated)),
        (silent(), FailReason::Name(NameFault::Indeterminate)),
    ];
    for (record, refused) in answers {
        let config = || host(vec![everybody(), FIRST_USE], Level::First);
        let mut pair = Pair::new(parties::a(), config(), 1);
        pair.zone.publish("a.example", signed(&[&A_KEY], &[A]));
        assert_eq!(attempt(&mut pair), Ok(Level::Validated), "{}", pair.trace);
        restart_b(&mut pair, config());
        pair.zone.publish("a.example", record);
        assert_eq!(attempt_by(&mut pair, parties::a()), Err(refused), "{}", pair.trace);
        assert_eq!(pair.b.endpoint.forget_peer(pair.now, &Identity::Fqdn("a.example")), Some(0));
        restart_b(&mut pair, config());
        assert_eq!(attempt_by(&mut pair, parties::a()), Ok(Level::First), "{}", pair.trace);
    }
}

/// Where packets pass in clear because DNS proves that there is no key, they do not at the address of somebody who
/// had one.
#[test]
fn known_peer_is_not_talked_to_in_clear() {
    for was_known in [false, true] {
        let mut a = parties::a();
        a.pad = leak_all(vec![published(Matcher::Addresses(AddressRange::single(B)))]);
        a.policies = leak_all(vec![between(A, B, Level::Clear, Peer::Any)]);
        let mut pair = Pair::new(a, parties::b(), 1);
        pair.zone.publish("192.0.2.2", absent());
        let of = Identity::Address(B).to_owned().unwrap();
        let level = Level::Validated;
        let known = Remembered { of, address: B, level, fingerprint: None, key: None };
        assert!(!was_known || pair.a.endpoint.recall(0, known));
        pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
        pair.settle(LONG);
        let is_open = pair.a.events.iter().any(|event| matches!(event, Event::Open { .. }));
        assert_eq!(is_open, !was_known, "{}", pair.trace);
    }
}

/// A key that DNS has, signed, takes over the flow that lived under a stranger's, who had the name for a while.
#[test]
fn signed_key_takes_the_flow() {
    let mut pair =
        Pair::new(caller("a.example", OTHER, A), host(vec![everybody(), FIRST_USE], Level::First), 1);
    pair.zone.publish("a.example", absent());
    assert_eq!(attempt(&mut pair), Ok(Level::First), "{}", pair.trace);
    pair.zone.publish("a.example", signed(&[&A_KEY], &[A]));
    pair.pass(std::time::Duration::from_secs(4_000));
    assert_eq!(attempt_by(&mut pair, parties::a()), Ok(Level::Validated), "{}", pair.trace);
    assert_eq!((pair.b.installed.len(), pair.b.installed[0].level), (1, Level::Validated), "{}", pair.trace);
}

/// A key that DNS has, signed, takes the place of a stranger's; the stranger's does not come back. So does a key
/// whose fingerprint DNS has.
#[test]
fn signed_key_replaces_a_strangers() {
    for record in [signed(&[&A_KEY], &[A]), fingerprints(&[&A_KEY], &[A])] {
        let config = || host(vec![everybody(), FIRST_USE], Level::First);
        let mut pair = Pair::new(caller("a.example", OTHER, A), config(), 1);
        pair.zone.publish("a.example", absent());
        assert_eq!(attempt(&mut pair), Ok(Level::First), "{}", pair.trace);
        restart_b(&mut pair, config());
        pair.zone.publish("a.example", record);
        assert_eq!(attempt_by(&mut pair, parties::a()), Ok(Level::Validated), "{}", pair.trace);
        let (_, known) = pair.b.endpoint.remembered().next().unwrap();
        assert_eq!((known.level, known.fingerprint), (Level::Validated, None));
        restart_b(&mut pair, config());
        pair.zone.publish("a.example", absent());
        let refused = attempt_by(&mut pair, caller("a.example", OTHER, A));
        assert_eq!(refused, Err(FailReason::Lowered(Level::Validated)), "{}", pair.trace);
    }
}

/// RFC 7619 §3: nobody gets what a stranger had; nor does any key, where one was remembered.
#[test]
fn less_than_before_is_refused() {
    let mut nobody = parties::a();
    nobody.pad = leak_all(vec![NULL]);
    nobody.policies = leak_all(vec![between(A, B, Level::Null, Peer::Any)]);
    for (wildcard, caller) in [(NULL, nobody), (BTNS, parties::a())] {
        let mut pair = Pair::new(parties::a(), host(vec![FIRST_USE, NULL], Level::Null), 1);
        assert_eq!(attempt(&mut pair), Ok(Level::First));
        restart_b(&mut pair, host(vec![wildcard], Level::Null));
        assert_eq!(attempt_by(&mut pair, caller), Err(FailReason::Lowered(Level::First)), "{}", pair.trace);
        assert!(pair.b.installed.is_empty());
    }
}

/// What is shown of an IKE SA, what its Child SA is installed with and what policies were asked for is one level, for
/// each that there is.
#[test]
fn level_shown_is_level_used() {
    let secret =
        |config: &mut Config<'static>| parties::share(config, b"a secret of two that is long enough");
    let null = |config: &mut Config<'static>, own, peer| {
        config.pad = leak_all(vec![NULL]);
        config.policies = leak_all(vec![between(own, peer, Level::Null, Peer::Any)]);
    };
    for level in
        [Level::Null, Level::Any, Level::First, Level::Known, Level::Shared, Level::Validated, Level::Pinned]
    {
        let (mut a, mut b) = (parties::a(), parties::b());
        match level {
            Level::Null => {
                null(&mut a, A, B);
                null(&mut b, B, A);
            }
            Level::Any => b = host(vec![BTNS], Level::Any),
            Level::First | Level::Known => b = host(vec![FIRST_USE], Level::First),
            Level::Shared => {
                secret(&mut a);
                secret(&mut b);
            }
            Level::Validated => b = host(vec![everybody()], Level::Validated),
            _ => {}
        }
        let mut pair = Pair::new(a.clone(), b, 1);
        pair.zone.publish("a.example", signed(&[&A_KEY], &[A]));
        if level == Level::Known {
            assert_eq!(attempt(&mut pair), Ok(Level::First));
            pair.restart_a(a);
        }
        assert_eq!(attempt(&mut pair), Ok(level), "{}", pair.trace);
        let installed = pair.b.installed.last().unwrap();
        let shown = pair.b.endpoint.status().filter_map(|sa| sa.level).max();
        assert_eq!((installed.level, shown), (level, Some(level)));
        assert_eq!(pair.b.children().last().unwrap().level, level);
    }
}
