//! RFC 5011 with a root that signs for itself: a whole roll-over as a device lives through it, in virtual time,
//! with power cuts; and what an attacker may try meanwhile. The state table is tested beside it, in `ike-core`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use host_tests::dns::root::{DAY, TrueTime, data_keys, rolling, signed_keys, started};
use host_tests::dns::{Reply, Server, Signing, Tree, World};
use host_tests::signed_zone::{INCEPTION, ZoneKey};
use ike_core::crypto::KeyKind;
use ike_core::discovery::UnixTime;
use ike_core::discovery::anchors::State;
use ike_core::discovery::dnssec::Ds;
use ike_core::discovery::outcome::{Indeterminate, Security};

/// Day 0: the zones' signatures hold for 114 days more.
const START: UnixTime = UnixTime(INCEPTION as u64 + DAY);

fn tree() -> Rc<Tree> {
    Rc::new(Tree::with_keys(&[(".", Signing::Signed, ""), ("test.", Signing::Signed, "")], data_keys))
}

/// The key with this letter: a trust anchor, and as it is when its owner gives it up.
fn key(letter: u8) -> (ZoneKey, ZoneKey) {
    let key = |flags| ZoneKey::new(KeyKind::Ed25519, letter, flags);
    (key(257), key(257 | 0x80))
}

fn anchor(letter: u8) -> Ds {
    key(letter).0.ds(".")
}

const fn day(time: UnixTime) -> u64 {
    (time.0 - START.0) / DAY
}

/// The root's keys on a day: B comes on day 5, signs from day 60 on; A is given up on day 65 and gone on day 95.
/// The key that signs data, the tree's, is no entry point to anybody.
fn roll_over(time: UnixTime, data: &ZoneKey) -> Reply {
    let ((a, a_revoked), (b, _)) = (key(b'A'), key(b'B'));
    match day(time) {
        0..5 => signed_keys(&[&a, data], &[&a], time),
        5..60 => signed_keys(&[&a, &b, data], &[&a], time),
        60..65 => signed_keys(&[&a, &b, data], &[&b], time),
        65..95 => signed_keys(&[&a_revoked, &b, data], &[&a_revoked, &b], time),
        _ => signed_keys(&[&b, data], &[&b], time),
    }
}

fn honest(time: &TrueTime) -> Server {
    rolling(time, &tree(), |now, _| roll_over(now, &data_keys(0)))
}

fn state(world: &World, letter: u8) -> Option<State> {
    let anchors = world.resolver.anchors();
    anchors.iter().find(|it| it.key == anchor(letter)).map(|it| it.state)
}

fn pass(world: &mut World, days: u64) {
    let end = world.now + Duration::from_secs(days * DAY);
    world.pass_until(end);
}

fn at_start(server: Server) -> World {
    started(server, vec![anchor(b'A')], (UnixTime(0), None), Some(START))
}

/// RFC 5011 §6.3: the successor is learned, and believed alone when the old key is given up and gone; somebody
/// who knows only the old one is lost by then. Names are proven all the time; what was kept is little.
#[test]
fn a_roll_over() {
    let time = TrueTime::new(START);
    let mut world = at_start(honest(&time));
    let mut seen = BTreeMap::new();
    for today in 0..110_u64 {
        pass(&mut world, 1);
        assert_eq!(world.peer("nobody.test.").security, Security::Secure, "day {today}");
        for letter in *b"AB" {
            let words = state(&world, letter).map_or("Start", State::words);
            seen.entry((letter as char, words)).or_insert(today);
        }
    }
    let expected = [
        (('A', "Missing"), None),
        (('A', "Removed"), None),
        (('A', "Revoked"), Some(65)),
        (('A', "Valid"), Some(0)),
        (('B', "AddPend"), Some(5)),
        (('B', "Start"), Some(0)),
        (('B', "Valid"), Some(35)),
    ];
    for ((letter, words), on) in expected {
        let found: Option<u64> = seen.get(&(letter, words)).copied();
        let is_near = found.zip(on).is_some_and(|(found, on)| found.abs_diff(on) <= 1);
        assert!(found == on || is_near, "{letter} {words} {seen:?}");
    }
    let apart = world.stored.windows(2).map(|pair| pair[1].0.since(pair[0].0).as_secs());
    assert!(apart.filter(|apart| *apart < DAY).count() <= 1, "one write a day, and one revocation");
    assert!(world.stored.len() <= 30 + 15 + 4, "only while somebody waits: {}", world.stored.len());
    time.restart(world.now, 0);
    let board = Some(time.at(Default::default()));
    let mut forgetful = started(honest(&time), vec![anchor(b'A')], (UnixTime(0), None), board);
    assert_eq!(forgetful.peer("nobody.test.").security, Security::Indeterminate(Indeterminate::NoAnchor));
}

/// A device that loses power every three days goes on from what it had kept; the hold-down takes it longer, by
/// what was not kept, and never shorter.
#[test]
fn a_roll_over_with_power_cuts() {
    let time = TrueTime::new(START);
    let mut kept: Option<Vec<u8>> = None;
    let mut trusted_on = None;
    for turn in 0..36 {
        let board = Some(time.at(Default::default()));
        let mut world = started(honest(&time), vec![anchor(b'A')], (UnixTime(0), kept.as_deref()), board);
        pass(&mut world, 3);
        kept = world.stored.last().map(|(_, octets)| octets.clone()).or(kept);
        if state(&world, b'B') == Some(State::Valid) {
            trusted_on.get_or_insert(3 * turn + 2);
        }
        assert_eq!(world.peer("nobody.test.").security, Security::Secure, "day {}", 3 * turn);
        if turn * 3 > 66 {
            assert!(matches!(state(&world, b'A'), Some(State::Revoked { .. })), "day {}", 3 * turn);
        }
        time.restart(world.now, 60);
    }
    assert!(trusted_on.is_some_and(|on| (35..=55).contains(&on)), "{trusted_on:?}");
}

/// RFC 5011 §2.2: who has stolen a key that only signs data shows an RRset with a key of his own. It is not
/// valid: nothing is learned from it, nothing is forgotten.
#[test]
fn a_stolen_data_key_adds_no_anchor() {
    let time = TrueTime::new(START);
    let server = rolling(&time, &tree(), |now, _| {
        let ((a, _), (x, _)) = (key(b'A'), key(b'X'));
        match day(now) {
            0..2 => roll_over(now, &data_keys(0)),
            _ => signed_keys(&[&a, &x, &data_keys(0)], &[&x, &data_keys(0)], now),
        }
    });
    let mut world = at_start(server);
    pass(&mut world, 60);
    assert_eq!((state(&world, b'X'), state(&world, b'A')), (None, Some(State::Valid)));
    assert_eq!(world.stored.len(), 0);
}

/// An answer that was captured is good for as long as its signature: it delays the successor, and it does not
/// revive a key that was given up.
#[test]
fn captured_answers() {
    let time = TrueTime::new(START);
    let server = rolling(&time, &tree(), |now, _| match day(now) {
        15..17 => roll_over(UnixTime(START.0 + 4 * DAY), &data_keys(0)),
        67..71 => roll_over(UnixTime(START.0 + 64 * DAY), &data_keys(0)),
        _ => roll_over(now, &data_keys(0)),
    });
    let mut world = at_start(server);
    pass(&mut world, 15);
    assert!(matches!(state(&world, b'B'), Some(State::AddPend { waited, .. }) if waited > 8 * DAY as u32));
    pass(&mut world, 2);
    assert_eq!(state(&world, b'B'), None);
    pass(&mut world, 28);
    assert!(matches!(state(&world, b'B'), Some(State::AddPend { .. })));
    pass(&mut world, 5);
    assert_eq!(state(&world, b'B'), Some(State::Valid));
    pass(&mut world, 20);
    assert!(matches!(state(&world, b'A'), Some(State::Revoked { .. })));
    assert_eq!(world.resolver.anchors().trusted(), [anchor(b'B')]);
}

/// RFC 5011 §2.1, §5: whose last anchor is given up has none: nothing is proven any more. (The RFC would take
/// all for unsigned then, and let anybody speak.)
#[test]
fn the_last_anchor_given_up() {
    let time = TrueTime::new(START);
    let server = rolling(&time, &tree(), |now, _| {
        let (a, revoked) = key(b'A');
        match day(now) {
            0..5 => signed_keys(&[&a, &data_keys(0)], &[&a], now),
            _ => signed_keys(&[&revoked, &data_keys(0)], &[&revoked, &data_keys(0)], now),
        }
    });
    let mut world = at_start(server);
    pass(&mut world, 4);
    assert_eq!(world.peer("nobody.test.").security, Security::Secure);
    pass(&mut world, 3);
    assert_eq!(world.peer("nobody.test.").security, Security::Indeterminate(Indeterminate::NoAnchor));
    assert_eq!(world.stored.len(), 1);
    let kept = world.stored.remove(0).1;
    time.restart(world.now, 0);
    let server =
        rolling(&time, &tree(), |now, _| signed_keys(&[&key(b'A').0, &data_keys(0)], &[&key(b'A').0], now));
    let board = Some(time.at(Default::default()));
    let mut world = started(server, vec![anchor(b'A')], (UnixTime(0), Some(&kept)), board);
    assert_eq!(world.peer("nobody.test.").security, Security::Indeterminate(Indeterminate::NoAnchor));
}

/// RFC 5011 §2.3: half the TTL of two days while it goes well, a tenth of it while nobody answers.
#[test]
fn how_often_the_root_is_asked() {
    let time = TrueTime::new(START);
    let server = rolling(&time, &tree(), |now, _| match day(now) {
        10..12 => Reply::empty(domain::base::iana::Rcode::SERVFAIL),
        _ => roll_over(now, &data_keys(0)),
    });
    let mut world = at_start(server);
    pass(&mut world, 10);
    let datagrams = |world: &mut World| world.asked.drain(..).filter(|asked| asked.is_datagram()).count();
    assert_eq!(datagrams(&mut world), 10);
    pass(&mut world, 2);
    assert!((9..=11).contains(&datagrams(&mut world)));
    pass(&mut world, 10);
    assert!((10..=11).contains(&datagrams(&mut world)));
}
