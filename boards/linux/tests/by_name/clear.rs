//! `minimum = "clear"`: rather protected than not. In clear only where DNSSEC proves that the other end has no key, or
//! where that end refuses with its own signature; for five minutes, and never while an SA stands (RFC 7435 §3).

use embassy_time::{Duration, Timer};
use firmware::management::explanation::Verdict;

use crate::stage::*;

/// Near, which would rather protect.
const RATHER: &str = r#"role = "host"
identity = "near.example"
key = "near.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[peer]]
name = "neighbours"
dns-network = "192.0.2.0/24"

[[policy]]
name = "dns"
local = "192.0.2.1/32"
remote = "192.0.2.53/32"
action = "bypass"

[[policy]]
name = "rather"
local = "192.0.2.1/32"
remote = "192.0.2.0/24"
action = "protect"
minimum = "clear"
peer = "neighbours"

[dns]
servers = ["192.0.2.53"]
"#;

/// The beginning of far, which is known by its address.
const FAR_ITSELF: &str = r#"role = "host"
identity = "192.0.2.2"
key = "far.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.2/24"]

[[peer]]
name = "customers"
dns-suffix = ".example"

[dns]
servers = ["192.0.2.53"]

[[policy]]
name = "dns"
local = "192.0.2.2/32"
remote = "192.0.2.53/32"
action = "bypass"

[[policy]]
name = "all"
local = "192.0.2.2/32"
remote = "192.0.2.0/24"
"#;

const IN_REVERSE: &str = "2.2.0.192.in-addr.arpa";

/// Far with this for everybody.
fn far(action: &str) -> String {
    format!("{FAR_ITSELF}{action}")
}

/// A zone in which far has its key under its address.
fn zone_with_key() -> Shared {
    let zone = zone();
    let of_far = zone.borrow().names["far.example"].clone();
    zone.borrow_mut().names.insert(IN_REVERSE, of_far);
    zone
}

fn asked_for_far(zone: &Shared) -> usize {
    zone.borrow().asked_for_keys.iter().filter(|name| *name == IN_REVERSE).count()
}

/// When near was told that far may be sent to in clear, in seconds from the start.
fn opened(near: &Station) -> Vec<u64> {
    let log = near.log.borrow();
    let lines = log.iter().filter_map(|line| line.split_once(" Open("));
    lines.map(|(at, _)| at.parse::<u64>().unwrap() / 1_000).collect()
}

/// DNSSEC proves that far has no key: in clear for five minutes; then it is looked again.
#[test]
fn proof_of_absence_opens_for_five_minutes() {
    let zone = zone();
    with_configured(&zone, [RATHER, &far("action = \"bypass\"")], async |cable, [near, _], came_back| {
        Timer::after(Duration::from_secs(5)).await;
        assert!(*came_back.borrow() && is_on_the_cable(cable), "{:#?}", near.log.borrow());
        let why = near.why("192.0.2.2").await.unwrap();
        assert_eq!(why.verdict, Verdict::Clear);
        assert_eq!((opened(near).len(), asked_for_far(&zone)), (1, 1));
        Timer::after(Duration::from_secs(285)).await;
        assert_eq!(opened(near).len(), 1, "nobody looks again before its time");
        Timer::after(Duration::from_secs(20)).await;
        let opened = opened(near);
        assert_eq!(opened.len(), 2, "{opened:?}");
        assert!((300..=303).contains(&(opened[1] - opened[0])), "{opened:?}");
    });
}

/// Five minutes later far has a key: from then on it is protected, and what is found once is never undone by silence.
#[test]
fn key_that_comes_later_protects() {
    let zone = zone();
    let protects = far("action = \"protect\"\nminimum = \"clear\"\npeer = \"customers\"");
    with_configured(&zone, [RATHER, &protects], async |cable, [near, _], _| {
        Timer::after(Duration::from_secs(5)).await;
        assert_eq!(opened(near).len(), 1, "{:#?}", near.log.borrow());
        let of_far = zone.borrow().names["far.example"].clone();
        zone.borrow_mut().names.insert(IN_REVERSE, of_far);
        Timer::after(Duration::from_secs(600)).await;
        let why = near.why("192.0.2.2").await.unwrap();
        assert_eq!(why.verdict, Verdict::Encrypted, "{:#?}", near.log.borrow());
        let before = marked(cable);
        zone.borrow_mut().says = Says::Nothing;
        Timer::after(Duration::from_secs(600)).await;
        assert_eq!(marked(cable), before, "nothing in clear beside an SA");
    });
}

/// Far has a key and wants this traffic in clear: it says so with its own signature.
#[test]
fn authenticated_refusal_opens() {
    with_configured(
        &zone_with_key(),
        [RATHER, &far("action = \"bypass\"")],
        async |cable, [near, _], back| {
            Timer::after(Duration::from_secs(10)).await;
            assert!(*back.borrow() && is_on_the_cable(cable), "{:#?}", near.log.borrow());
            assert_eq!(opened(near).len(), 1);
            assert_eq!(near.why("192.0.2.2").await.unwrap().verdict, Verdict::Clear);
        },
    );
}

/// Nor silence, nor failure, nor what nobody signed.
#[test]
fn silence_and_unsigned_answers_open_nothing() {
    for says in [Says::Nothing, Says::Failure, Says::Unsigned] {
        let zone = zone();
        zone.borrow_mut().says = says;
        with_configured(&zone, [RATHER, &far("action = \"bypass\"")], async |cable, [near, _], came_back| {
            Timer::after(Duration::from_secs(60)).await;
            assert!(!*came_back.borrow() && !is_on_the_cable(cable), "{:#?}", near.log.borrow());
            assert!(opened(near).is_empty());
            assert_eq!(near.why("192.0.2.2").await.unwrap().verdict, Verdict::Waiting);
        });
    }
}

/// IKE is cut off, before an SA stands or behind it: whoever does that opens nothing.
#[test]
fn silence_of_the_peer_opens_nothing() {
    let protects = far("action = \"protect\"\nminimum = \"validated\"\npeer = \"customers\"");
    for seconds in [0, 10] {
        with_configured(&zone_with_key(), [RATHER, &protects], async |cable, [near, _], came_back| {
            Timer::after(Duration::from_secs(seconds)).await;
            assert_eq!(*came_back.borrow(), seconds > 0, "{:#?}", near.log.borrow());
            // What is left is between near and the server: to and from port 53.
            cable.cut(|frame| {
                let ports = frame.get(34..38).unwrap_or_default();
                frame.get(12..14) == Some(&[8, 0][..]) && !ports.chunks(2).any(|port| port == [0, 53])
            });
            Timer::after(Duration::from_secs(200)).await;
            assert!(!is_on_the_cable(cable), "{:#?}", near.log.borrow());
            assert!(opened(near).is_empty());
        });
    }
}
