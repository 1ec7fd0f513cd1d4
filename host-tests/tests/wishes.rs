//! What two ends wish for the traffic between them, each of five against each (newoe-18): clear, clear or private,
//! private or clear, private, block. Nobody sends in clear whom only silence speaks for (RFC 7435 §3): where an end
//! would rather protect, only DNSSEC's proof that the other end has no key, or the other end's own authenticated
//! refusal, lets packets pass.

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::sa::Mode;
use esp_engine::selector::AddressRange;
use esp_engine::spd::{Action, Level};
use esp_engine::time::Instant;
use host_tests::pair::Side;
use host_tests::parties::{self, A, A_KEY, B, B_KEY, between, leak_all, published};
use host_tests::plane::{Devices, Plane};
use host_tests::zone::{absent, only, signed};
use ike_core::config::{Config, IkePolicy, Peer};
use ike_core::crypto::PrivateKey;
use ike_core::output::Event;
use ike_core::pad::{Identity, Matcher, Security};

use Outcome::{Clear, Nothing, Protected};
use Wish::{Block, ClearOrPrivate, InClear, Private, PrivateOrClear};

/// What an end wishes.
#[derive(Copy, Clone, PartialEq, Debug)]
enum Wish {
    /// A bypass.
    InClear,
    /// Minimum `clear`, and whoever begins is the other end: nothing waits.
    ClearOrPrivate,
    /// Minimum `clear`: packets wait until it is known whether they can be protected.
    PrivateOrClear,
    /// Nothing but protected.
    Private,
    /// Nothing at all.
    Block,
}

const WISHES: [Wish; 5] = [InClear, ClearOrPrivate, PrivateOrClear, Private, Block];

/// What passes in the end, in both directions.
#[derive(Copy, Clone, PartialEq, Debug)]
enum Outcome {
    Protected,
    Clear,
    Nothing,
}

/// Rows and columns in the order of [`WISHES`].
const MATRIX: [[Outcome; 5]; 5] = [
    [Clear, Clear, Clear, Nothing, Nothing],
    [Clear, Clear, Protected, Protected, Nothing],
    [Clear, Protected, Protected, Protected, Nothing],
    [Nothing, Protected, Protected, Protected, Nothing],
    [Nothing, Nothing, Nothing, Nothing, Nothing],
];

impl Wish {
    fn action(self) -> Action {
        let mode = Mode::Transport;
        match self {
            InClear => Action::Bypass,
            ClearOrPrivate | PrivateOrClear => Action::Protect { mode, minimum: Level::Clear },
            Private => Action::Protect { mode, minimum: Level::Validated },
            Block => Action::Discard,
        }
    }

    /// Whether the end publishes a key: it has a use for one.
    fn has_key(self) -> bool {
        matches!(self, ClearOrPrivate | PrivateOrClear | Private)
    }
}

/// An end that finds its peer's key in the reverse tree.
fn end(mut config: Config<'static>, own: IpAddr, peer: IpAddr, wish: Wish) -> Config<'static> {
    config.identity = Identity::Address(own);
    config.pad = leak_all(vec![published(Matcher::Addresses(AddressRange::single(peer)))]);
    let policy = between(own, peer, Level::Validated, Peer::Any);
    config.policies = leak_all(vec![IkePolicy { action: wish.action(), ..policy }]);
    config
}

fn devices(a: Wish, b: Wish) -> Devices {
    let mut devices = Devices::new(end(parties::a(), A, B, a), end(parties::b(), B, A, b), 1);
    let publish = |devices: &mut Devices, address: IpAddr, key: &PrivateKey, wish: Wish| {
        let record = if wish.has_key() { signed(&[key], &[]) } else { absent() };
        devices.pair.zone.publish(&address.to_string(), record);
    };
    publish(&mut devices, A, &A_KEY, a);
    publish(&mut devices, B, &B_KEY, b);
    let for_ever = devices.pair.now + Duration::from_secs(86_400);
    for (wish, plane, peer) in [(a, &mut devices.a, B), (b, &mut devices.b, A)] {
        if wish == ClearOrPrivate {
            plane.let_clear(AddressRange::single(peer), for_ever);
        }
    }
    (devices.from_a, devices.from_b) = (Some(Duration::from_millis(200)), Some(Duration::from_millis(200)));
    devices
}

/// What passed since this moment.
fn outcome(devices: &Devices, since: Instant) -> Outcome {
    let late = |plane: &Plane| plane.accepted.values().filter(|at| **at > since).count();
    let sealed = devices.a.sent.len() + devices.b.sent.len();
    match (late(&devices.a), late(&devices.b)) {
        (0, 0) => Nothing,
        (5.., 5..) if sealed > 0 => Protected,
        (5.., 5..) => Clear,
        one_way => panic!("{one_way:?}"),
    }
}

/// All twenty-five. What is lost before each end has found out about the other does not count.
#[test]
fn five_wishes_at_either_end() {
    for (a, row) in WISHES.into_iter().zip(MATRIX) {
        for (b, expected) in WISHES.into_iter().zip(row) {
            let mut devices = devices(a, b);
            devices.pass(Duration::from_secs(8));
            let since = devices.pair.now;
            devices.pass(Duration::from_secs(2));
            assert_eq!(outcome(&devices, since), expected, "{a:?} and {b:?}: {}", devices.pair.trace);
            let is_sealed = !devices.a.sent.is_empty() || !devices.b.sent.is_empty();
            assert_eq!(is_sealed, expected == Protected, "{a:?} and {b:?}");
        }
    }
}

fn is_open(side: &Side) -> bool {
    side.events.iter().any(|event| matches!(event, Event::Open { .. }))
}

/// An end that has a key and wants this traffic in clear refuses it with its own signature: that is a statement.
#[test]
fn authenticated_refusal_opens() {
    let mut devices = devices(PrivateOrClear, InClear);
    devices.pair.zone.publish(&B.to_string(), signed(&[&B_KEY], &[]));
    devices.pair.zone.publish(&A.to_string(), signed(&[&A_KEY], &[]));
    devices.pass(Duration::from_secs(8));
    let since = devices.pair.now;
    devices.pass(Duration::from_secs(2));
    assert_eq!(outcome(&devices, since), Clear, "{}", devices.pair.trace);
    assert!(is_open(&devices.pair.a));
}

/// RFC 7435 §3, RFC 4322 §3.2: neither silence of DNS or of IKE nor an answer that is forged or unsigned is a
/// statement. Packets wait and are dropped.
#[test]
fn silence_and_forgery_do_not_open() {
    for security in [None, Some(Security::Insecure), Some(Security::Bogus), Some(Security::Indeterminate)] {
        let mut devices = devices(PrivateOrClear, InClear);
        match security {
            None => devices.pair.zone.cut = true,
            Some(security) => devices.pair.zone.publish(&B.to_string(), only(security, absent())),
        }
        devices.pass(Duration::from_secs(20));
        assert!(devices.b.accepted.is_empty() && !is_open(&devices.pair.a), "{security:?}");
    }
    let mut devices = devices(PrivateOrClear, Private);
    devices.pair.link.nobody = Some(B);
    devices.pass(Duration::from_secs(120));
    assert!(devices.b.accepted.is_empty() && !is_open(&devices.pair.a), "{}", devices.pair.trace);
}

/// What was found out lasts for five minutes (RFC 4322 §3.2); then it is looked again, and nothing passes in clear where
/// an SA comes to stand.
#[test]
fn what_is_open_is_looked_at_again() {
    let mut devices = devices(PrivateOrClear, InClear);
    devices.pair.zone.ttl = Duration::from_secs(60);
    devices.pass(Duration::from_secs(5));
    assert!(is_open(&devices.pair.a) && !devices.b.accepted.is_empty());
    let before = devices.pair.zone.asked.len();
    devices.pass(Duration::from_secs(290));
    assert_eq!(devices.pair.zone.asked.len(), before, "it is open, and nobody asks");
    devices.pair.zone.publish(&B.to_string(), signed(&[&B_KEY], &[]));
    devices.pair.zone.publish(&A.to_string(), signed(&[&A_KEY], &[]));
    devices.pass(Duration::from_secs(10));
    assert!(devices.pair.zone.asked.len() > before, "{}", devices.pair.trace);
    assert_eq!(devices.pair.b.established().len(), 1, "whom it asked is somebody now");
}
