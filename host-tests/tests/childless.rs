//! IKE SAs without Child SA, and Child SAs that follow (RFC 6023).
//!
//! ```text
//! I ─▶ R   IKE_SA_INIT request        R ─▶ I   … N(CHILDLESS_IKEV2_SUPPORTED)
//! I ─▶ R   SK { IDi CERTREQ IDr AUTH }        R ─▶ I   SK { IDr AUTH }
//! I ─▶ R   CREATE_CHILD_SA request, when a packet wants it
//! ```

use std::time::Duration;

use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use host_tests::forge;
use host_tests::link::Direction;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, leak_all};
use host_tests::stage::*;
use ike_core::config::Config;
use ike_core::error::{CloseReason, FailReason};
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::notify::{NotifyType, NotifyView};

fn childless(mut config: Config<'static>) -> Config<'static> {
    let mut entry = config.pad[0];
    entry.childless = true;
    config.pad = leak_all(vec![entry]);
    config
}

fn packet() -> Selectors {
    let ports = Ports::Known { source: 50_000, destination: 179 };
    Selectors { source: A, destination: B, protocol: 6, ports }
}

fn ike_sas(pair: &Pair) -> (usize, usize) {
    (pair.a.endpoint.status().count(), pair.b.endpoint.status().count())
}

/// RFC 6023 §3: the IKE SA stands alone; a packet brings the Child SA. strongSwan `regular` and
/// `regular_manual` of its suite `childless`.
#[test]
fn ike_sa_stands_alone_and_child_sas_follow() {
    let mut pair = Pair::new(childless(parties::a()), parties::b(), 1);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!((pair.link.sent(), ike_sas(&pair)), (4, (1, 1)), "{}", pair.trace);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
    assert!(pair.a.failed().is_empty() && pair.b.failed().is_empty());
    // It is there: asking for it again begins nothing, however long it waits.
    pair.pass(Duration::from_secs(3_600));
    pair.initiate();
    pair.settle(LONG);
    assert_eq!((pair.link.sent(), ike_sas(&pair)), (4, (1, 1)), "{}", pair.trace);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    assert_eq!((pair.link.sent(), ike_sas(&pair)), (6, (1, 1)), "{}", pair.trace);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
}

/// RFC 6023 §3: the packet that makes us begin gets its Child SA right behind the IKE SA.
#[test]
fn packet_gets_its_child_sa_by_create_child_sa() {
    let mut pair = Pair::new(childless(parties::a()), parties::b(), 1);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 6, "{}", pair.trace);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
}

/// RFC 6023 §3: "The initiator MUST NOT send the modified IKE_AUTH request if the notification was not
/// present": such a peer gets the Child SA at once. strongSwan `failure_init` of its suite `childless`
/// (strongSwan can be told to give up then; we cannot).
#[test]
fn peer_that_does_not_announce_it_gets_a_child_sa_at_once() {
    let mut pair = Pair::new(childless(parties::a()), parties::b(), 1);
    pair.initiate();
    while pair.datagrams.len() < 2 {
        assert!(pair.step(pair.now + LONG));
    }
    // The answer as an older peer writes it; it is not genuine, so the proof over it fails at A.
    let old = forge::altered_clear(&pair.datagrams[1].1, |mut payloads| {
        let kind = |body: &[u8]| NotifyView::parse(body).expect("one").kind;
        payloads.retain(|p| {
            p.kind != PayloadType::NOTIFY || kind(&p.body) != NotifyType::CHILDLESS_IKEV2_SUPPORTED
        });
        payloads
    });
    assert_eq!(give(&mut pair, to_a(), &old), Ok(()));
    pair.drain();
    let (_, first, text) = forge::opened(&forge::keys(&pair.a), &pair.datagrams[2].1);
    let kinds: Vec<_> = forge::split(first, &text).iter().map(|payload| payload.kind).collect();
    for kind in [PayloadType::SA, PayloadType::TSI, PayloadType::TSR] {
        assert!(kinds.contains(&kind));
    }
}

/// RFC 6023 §5: all of SA, TSi and TSr are missing, or none: strongSwan `failure_resp` of its suite
/// `childless`, as far as it is ours.
#[test]
fn half_a_child_sa_is_refused() {
    for missing in [PayloadType::SA, PayloadType::TSI, PayloadType::TSR] {
        let (mut pair, keys, auth) = before_auth();
        let forged = forge::altered(&keys, &auth, |_, mut payloads| {
            payloads.retain(|p| p.kind != missing);
            payloads
        });
        assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
        assert_eq!(notify(&answers(&mut pair, &keys)[0]), Some(NotifyType::INVALID_SYNTAX));
        assert_eq!(pair.b.failed()[0].reason, FailReason::BadMessage);
    }
}

/// RFC 6023 §3: whoever is refused a Child SA later keeps the IKE SA, and the Delete of the last Child
/// SA ends it only where nobody wants it alone.
#[test]
fn ike_sa_outlives_its_child_sas_where_that_is_wanted() {
    for at_b in [true, false] {
        let b = if at_b { childless(parties::b()) } else { parties::b() };
        let mut pair = Pair::new(childless(parties::a()), b, 1);
        pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
        pair.settle(LONG);
        let spi = pair.a.installed[0].inbound;
        pair.a.endpoint.handle_sa_report(pair.now, esp_engine::sa::SaReport::HardExpired(spi));
        pair.settle(LONG);
        assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
        let (stays, closed) = if at_b { ((1, 1), vec![]) } else { ((0, 0), vec![CloseReason::NoChildLeft]) };
        assert_eq!((ike_sas(&pair), pair.b.closed()), (stays, closed), "{}", pair.trace);
    }
}

/// RFC 5386: a stranger gets no IKE SA for nothing.
#[test]
fn strangers_do_not_get_one_alone() {
    let (a, b) = parties::strangers();
    let mut pair = Pair::new(childless(a), b, 1);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    assert_eq!(pair.b.closed(), [CloseReason::NoChildLeft], "{}", pair.trace);
    assert!(pair.datagrams.iter().filter(|(way, _)| *way == Direction::BtoA).count() >= 3);
}
