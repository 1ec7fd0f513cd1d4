//! Why traffic is encrypted, or is not: the chain from the policy to the SA, broken at each link in turn.

use embassy_time::{Duration, Timer};
use esp_engine::spd::Level;
use firmware::management::Explanation;
use firmware::management::explanation::{IkeStage, NextTry, Origin, PolicyAction, Verdict};
use ike_core::pad::{Presence, Security};

use crate::stage::*;

const FAR: &str = "192.0.2.2";

/// What near says about far after so many seconds, asked for by address; by name it says the same.
fn after(seconds: u64, zone: &Shared, prepare: impl Fn(&buttons::cable::Cable)) -> Explanation {
    with_stations(zone, async |cable, [near, _], _| {
        prepare(cable);
        Timer::after(Duration::from_secs(seconds)).await;
        let why = near.why(FAR).await.unwrap();
        let by_name = near.why("FAR.example.").await.unwrap();
        assert_eq!((why.verdict, &why.dns, &why.sa), (by_name.verdict, &by_name.dns, &by_name.sa));
        assert_eq!(why.policy, by_name.policy);
        let policy = why.policy.as_ref().unwrap();
        assert_eq!((policy.name.as_deref(), policy.place, policy.line), (Some("to far"), Some(1), Some(15)));
        why
    })
}

fn whole(_: &buttons::cable::Cable) {}

/// What near says when nothing was said by DNS but this.
fn with_answers(says: Says) -> Explanation {
    let zone = zone();
    zone.borrow_mut().says = says;
    after(20, &zone, whole)
}

#[test]
fn policy_name_dns_ike_and_sa_hold() {
    let why = after(10, &zone(), whole);
    assert_eq!(why.verdict, Verdict::Encrypted);
    assert_eq!(why.policy.unwrap().action, PolicyAction::Protect(Level::Validated));
    let name = why.name.unwrap();
    assert_eq!((name.name.as_str(), name.origin), ("far.example", Origin::Configured));
    let dns = why.dns.unwrap();
    assert_eq!((dns.security, dns.presence, &dns.reason), (Security::Secure, Presence::Present, &None));
    assert_eq!(dns.server, "192.0.2.53:53".parse().ok());
    assert!((5..=10).contains(&dns.age_s) && (1..=3595).contains(&dns.left_s), "{dns:?}");
    let ike = why.ike.unwrap();
    assert_eq!(
        (ike.peer.as_deref(), ike.stage, ike.next),
        (Some("far.example"), IkeStage::Established, None)
    );
    let sa = why.sa.unwrap();
    assert_eq!(sa.level.0, Level::Validated);
    assert!(sa.inbound != 0 && sa.outbound != 0 && sa.age_s.is_some_and(|age| (5..=10).contains(&age)));
}

#[test]
fn clear_by_policy_or_forbidden_for_the_lack_of_one() {
    with_stations(&zone(), async |_, [near, far], _| {
        Timer::after(Duration::from_secs(10)).await;
        let clear = near.why("192.0.2.77").await.unwrap();
        assert_eq!(clear.verdict, Verdict::Clear);
        let policy = clear.policy.unwrap();
        assert_eq!((policy.name.as_deref(), policy.line), (Some("rest"), Some(21)));
        assert!(clear.name.is_none() && clear.dns.is_none() && clear.ike.is_none() && clear.sa.is_none());
        let nowhere = near.why("2001:db8::9").await.unwrap();
        assert!(nowhere.verdict == Verdict::Discarded && nowhere.policy.is_none());
        assert!(near.why("nobody.example").await.is_none(), "nobody can tell");
        let of_near = far.why("192.0.2.1").await.unwrap();
        assert_eq!(
            (of_near.verdict, of_near.policy.unwrap().name.as_deref()),
            (Verdict::Encrypted, Some("customers"))
        );
    });
}

#[test]
fn dns_proves_that_there_is_no_key() {
    let zone = zone();
    zone.borrow_mut().names.remove("far.example");
    let why = after(20, &zone, whole);
    let dns = why.dns.unwrap();
    assert_eq!((dns.security, dns.presence), (Security::Secure, Presence::Absent));
    assert!(why.verdict == Verdict::Waiting && why.sa.is_none());
    assert_eq!(why.ike.unwrap().last_reason.unwrap().words, "DNS has no key for the peer");
}

#[test]
fn dns_is_not_signed_or_fails_or_is_silent() {
    for (says, security, reason) in [
        (Says::Unsigned, Security::Insecure, None),
        (Says::Failure, Security::Indeterminate, Some("the servers refused or failed: RCODE 2")),
        (Says::Nothing, Security::Indeterminate, Some("no server answered")),
    ] {
        let why = with_answers(says);
        assert_eq!(why.verdict, Verdict::Waiting);
        let dns = why.dns.unwrap();
        assert_eq!((dns.security, dns.reason.as_deref()), (security, reason));
        assert_eq!(why.ike.unwrap().stage, IkeStage::AwaitsDns);
    }
}

#[test]
fn ike_is_under_way_and_then_unanswered() {
    let without_ike = |cable: &buttons::cable::Cable| {
        cable.cut(|frame| frame.get(36..38).is_some_and(|port| port == 500_u16.to_be_bytes()));
    };
    let why = after(5, &zone(), without_ike);
    assert_eq!((why.verdict, why.dns.unwrap().security), (Verdict::Waiting, Security::Secure));
    let ike = why.ike.unwrap();
    assert_eq!((ike.stage, ike.last_reason, ike.next), (IkeStage::Negotiating, None, None));
    let ike = after(64, &zone(), without_ike).ike.unwrap();
    let reason = ike.last_reason.unwrap();
    assert!(reason.words.starts_with("no answer to IKE_SA_INIT"), "{}", reason.words);
    assert!(reason.at_ms > 30_000, "{}", reason.at_ms);
}

#[test]
fn peer_shows_another_key_than_dns_has() {
    let zone = zone();
    let of_near = zone.borrow().names["near.example"].1.clone();
    zone.borrow_mut().names.get_mut("far.example").unwrap().1 = of_near;
    let why = after(10, &zone, whole);
    assert_eq!((why.verdict, why.dns.unwrap().presence), (Verdict::Waiting, Presence::Present));
    let ike = why.ike.unwrap();
    assert_eq!(ike.stage, IkeStage::None);
    assert!(matches!(ike.next, Some(NextTry::WithPacketIn(1..) | NextTry::WithPacket)));
    assert_eq!(ike.last_reason.unwrap().words, "the peer's key is not the one in DNS");
}
