//! Nothing proves a peer's key any more: DNS has none, or its signatures ended while it was silent. What stands lives
//! to its end and has no successor, whoever asks. The peer still knows us, and goes on as ever.

mod names_support;

use std::time::Duration;

use esp_engine::sa::SaReport;
use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use host_tests::link::Fault;
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A, B, B_KEY, PEER};
use host_tests::stage::LONG;
use host_tests::zone::{absent, only, signed};
use ike_core::error::{AcquireError, CloseReason, FailReason, NameFault};
use ike_core::output::Event;
use ike_core::pad::{Identity, Security};
use ike_core::wire::notify::NotifyType;
use names_support::*;

const NO_ADDITIONAL_SAS: FailReason = FailReason::Refused(NotifyType::NO_ADDITIONAL_SAS.0);
/// The age at which IKE SAs end.
const LIFETIME: Duration = Duration::from_secs(600);
/// When the signatures of what is published first end.
const SIGNED_UNTIL: Instant = Instant::from_millis(100_000);

/// How A comes to have nothing that proves B's key, after at most 150 s.
#[derive(Copy, Clone, Debug)]
enum Loss {
    /// DNS proves that there is no key.
    Absent,
    /// Nobody answers, and the signatures end.
    SignaturesEnd,
}

/// Both stand with a policy for TCP and one for UDP, of which the first has its SA; A has lost what proves B's key.
fn ending(loss: Loss) -> Pair {
    let mut pair = about_to_end(loss);
    pair.pass(Duration::from_secs(150));
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    pair
}

/// The same before A learns it.
fn about_to_end(loss: Loss) -> Pair {
    let mut pair = standing_with(Some(SIGNED_UNTIL), |config| {
        parties::by_protocol(config, &[6, 17]);
        let is_a = config.identity == Identity::Fqdn("a.example");
        // B would let it stand for longer.
        config.timing.ike_lifetime = if is_a { LIFETIME } else { LIFETIME * 10 };
    });
    pair.zone.signed_until = None;
    pair.zone.publish(
        "b.example",
        match loss {
            Loss::Absent => absent(),
            Loss::SignaturesEnd => only(Security::Bogus, signed(&[&B_KEY], &[B])),
        },
    );
    pair
}

fn soften(side: &mut Side, now: Instant) {
    let spi = side.installed.last().expect("installed").inbound;
    side.endpoint.handle_sa_report(now, SaReport::SoftExpired(spi));
}

fn udp(source: std::net::IpAddr, destination: std::net::IpAddr) -> Selectors {
    Selectors { source, destination, protocol: 17, ports: Ports::Known { source: 4_000, destination: 4_000 } }
}

fn reasons(side: &Side) -> Vec<FailReason> {
    side.failed().iter().map(|failed| failed.reason).collect()
}

/// One pair stands at both ends, and none more when the IKE SA that A had has come to its end.
fn assert_ends_in_time(pair: &mut Pair, case: &str) {
    assert!(pair.agree() && pair.a.installed.len() == 1, "{case}: {}", pair.trace);
    pair.pass(LIFETIME - Duration::from_secs(150));
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{case}: {}", pair.trace);
    assert!(pair.a.successors().is_empty() && pair.a.established().len() == 1, "{case}: {}", pair.trace);
    assert_eq!(pair.a.closed(), [CloseReason::Expired], "{case}: {}", pair.trace);
}

/// RFC 7296 §1.3.3: a pair of Child SAs has its successor, whoever asks for it; it ends with the IKE SA.
#[test]
fn child_sas_are_rekeyed() {
    for (loss, by_us) in [(Loss::Absent, true), (Loss::Absent, false), (Loss::SignaturesEnd, false)] {
        let mut pair = ending(loss);
        let before = pair.a.installed[0].inbound;
        soften(if by_us { &mut pair.a } else { &mut pair.b }, pair.now);
        pair.settle(LONG);
        assert_ne!(pair.a.installed[0].inbound, before, "{}", pair.trace);
        assert_ends_in_time(&mut pair, &format!("{loss:?} {by_us}"));
    }
}

/// RFC 7296 §1.3: the peer is refused another Child SA, and then a new IKE SA, on which nothing would prove its key.
#[test]
fn peer_gets_no_other_child_sa() {
    for loss in [Loss::Absent, Loss::SignaturesEnd] {
        let mut pair = ending(loss);
        for _ in 0..2 {
            pair.b.endpoint.acquire(pair.now, PolicyId(1), udp(B, A)).expect("begins");
            pair.settle(LONG);
        }
        let refused = [NO_ADDITIONAL_SAS, FailReason::Refused(NotifyType::AUTHENTICATION_FAILED.0)];
        assert_eq!(reasons(&pair.b), refused, "{}", pair.trace);
        assert_ends_in_time(&mut pair, &format!("{loss:?}"));
    }
}

/// We ask for another Child SA on a new IKE SA only, whose peer nothing proves: nothing begins.
#[test]
fn we_want_no_other_child_sa() {
    for loss in [Loss::Absent, Loss::SignaturesEnd] {
        let mut pair = ending(loss);
        let sent = pair.datagrams.len();
        let begun = pair.a.endpoint.acquire(pair.now, PolicyId(1), udp(A, B));
        pair.settle(LONG);
        let is_told = |event: &Event| matches!(event, Event::NotBegun { reason: AcquireError::Name(_), .. });
        assert!(
            matches!(
                begun,
                Err(AcquireError::Name(NameFault::Absent | NameFault::Indeterminate | NameFault::Bogus))
            ) || pair.a.events.iter().any(is_told),
            "{begun:?}"
        );
        assert_eq!(pair.datagrams.len(), sent);
        assert_ends_in_time(&mut pair, &format!("{loss:?}"));
    }
}

/// RFC 7296 §1.3.2: the IKE SA has no successor, whoever asks for it.
#[test]
fn ike_sa_has_no_successor() {
    for (loss, by_us) in [(Loss::Absent, true), (Loss::Absent, false), (Loss::SignaturesEnd, false)] {
        let mut pair = ending(loss);
        let side = if by_us { &mut pair.a } else { &mut pair.b };
        side.endpoint.rekey_ike_sas(pair.now, PEER);
        pair.settle(LONG);
        let first = reasons(&pair.b).first().copied();
        assert_eq!(first, (!by_us).then_some(NO_ADDITIONAL_SAS), "{}", pair.trace);
        assert_ends_in_time(&mut pair, &format!("{loss:?} {by_us}"));
    }
}

/// A successor that we had asked for when nothing proved the key any more stands, and ends when the old one would
/// have.
#[test]
fn what_is_under_way_ends_no_later() {
    let mut pair = about_to_end(Loss::Absent);
    pair.pass(Duration::from_secs(60));
    let next = pair.link.sent();
    pair.link.script = (next + 1..next + 6).map(|number| (number, Fault::Drop)).collect();
    pair.a.endpoint.rekey_ike_sas(pair.now, PEER);
    pair.pass(Duration::from_secs(90));
    let successors = (pair.a.successors().len(), pair.b.successors().len());
    assert!(pair.agree() && successors == (1, 1), "{successors:?} {}", pair.trace);
    pair.pass(LIFETIME - Duration::from_secs(140));
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
}
