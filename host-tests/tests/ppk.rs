//! Post-quantum preshared keys (RFC 8784). libreswan's family `ikev2-ppk-static-01..11` tries the same:
//! insisted on, optional, missing, unknown or of great length at either end.

use host_tests::forge;
use host_tests::pair::Pair;
use host_tests::parties::{self, PEER, leak_all};
use host_tests::stage::*;
use ike_core::config::Config;
use ike_core::error::{Discarded, FailReason};
use ike_core::pad::Ppk;
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::notify::{NotifyType, NotifyView};

const PPK: Ppk<'static> = Ppk { id: b"ours", secret: &[0x5A; 32], mandatory: true };

fn with(mut config: Config<'static>, ppk: Option<Ppk<'static>>) -> Config<'static> {
    let mut entry = config.pad[0];
    entry.ppk = ppk;
    config.pad = leak_all(vec![entry]);
    config
}

fn run(a: Option<Ppk<'static>>, b: Option<Ppk<'static>>) -> Pair {
    let mut pair = Pair::new(with(parties::a(), a), with(parties::b(), b), 1);
    pair.initiate();
    pair.settle(std::time::Duration::from_secs(120));
    pair
}

/// Whether the secret is in the keys at both ends, or `None` without an IKE SA.
fn outcome(pair: &Pair) -> Option<bool> {
    let used = |established: Vec<&ike_core::output::Established>| established.first().map(|e| e.ppk);
    let (at_a, at_b) = (used(pair.a.established()), used(pair.b.established()));
    if pair.a.installed.is_empty() {
        return None;
    }
    assert!(pair.agree(), "{}", pair.trace);
    assert_eq!(at_a, at_b);
    at_a
}

/// RFC 8784 §3, table 1, both ends at once: what each has, and what comes of it.
#[test]
fn every_combination_of_both_ends() {
    let optional = Ppk { mandatory: false, ..PPK };
    let other = Ppk { id: b"other", secret: &[0x77; 32], ..PPK };
    let other_optional = Ppk { mandatory: false, ..other };
    for (a, b, expected) in [
        (None, None, Some(false)),
        (Some(PPK), Some(PPK), Some(true)),
        (Some(optional), Some(optional), Some(true)),
        (Some(PPK), Some(optional), Some(true)),
        (Some(optional), Some(PPK), Some(true)),
        // Only one end has any.
        (Some(optional), None, Some(false)),
        (None, Some(optional), Some(false)),
        (Some(PPK), None, None),
        (None, Some(PPK), None),
        // Each has one that the other does not know.
        (Some(optional), Some(other_optional), Some(false)),
        (Some(PPK), Some(other_optional), None),
        (Some(optional), Some(other), None),
        (Some(PPK), Some(other), None),
    ] {
        let pair = run(a, b);
        assert_eq!(outcome(&pair), expected, "{a:?} and {b:?}:\n{}", pair.trace);
    }
}

/// RFC 8784 §3: another secret under the same name is another key: neither end takes the other for real.
#[test]
fn other_secret_under_the_same_name_fails() {
    for mandatory in [true, false] {
        let pair = run(Some(Ppk { mandatory, ..PPK }), Some(Ppk { secret: &[0x5B; 32], mandatory, ..PPK }));
        assert_eq!(outcome(&pair), None);
        assert_eq!(pair.b.failed()[0].reason, FailReason::BadAuthentication);
        assert_eq!(pair.a.failed()[0].reason, FailReason::Refused(24));
    }
}

/// RFC 8784 §3: the secret is in SK_d, from which all Child SAs and the next IKE SA come; it goes into no
/// rekeying by itself.
#[test]
fn successors_come_from_the_same_keys() {
    let mut pair = run(Some(PPK), Some(PPK));
    let without = run(None, None);
    let inbound = |pair: &Pair| pair.a.installed[0].keys.inbound.clone();
    assert_ne!(inbound(&pair), inbound(&without), "the same seed without the secret");
    for from_a in [true, false] {
        let side = if from_a { &mut pair.a } else { &mut pair.b };
        side.endpoint.rekey_ike_sas(pair.now, PEER);
        pair.settle(LONG);
        let side = if from_a { &mut pair.a } else { &mut pair.b };
        side.endpoint.rekey(pair.now, PEER).expect("begins");
        pair.settle(LONG);
        assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    }
}

/// RFC 8784 §3: "If the responder did not include the USE_PPK notification … the initiator MUST abort":
/// it is not protected, so the true answer is waited for, and the reason is told in the end.
#[test]
fn stripped_use_ppk_does_not_weaken() {
    let mut pair = Pair::new(with(parties::a(), Some(PPK)), with(parties::b(), Some(PPK)), 1);
    pair.initiate();
    while pair.datagrams.len() < 2 {
        assert!(pair.step(pair.now + LONG));
    }
    let stripped = forge::altered_clear(&pair.datagrams[1].1, |mut payloads| {
        let kind = |body: &[u8]| NotifyView::parse(body).expect("one").kind;
        payloads.retain(|p| p.kind != PayloadType::NOTIFY || kind(&p.body) != NotifyType::USE_PPK);
        payloads
    });
    assert_eq!(give(&mut pair, to_a(), &stripped), Err(Discarded::NoPpk));
    pair.settle(LONG);
    assert_eq!(outcome(&pair), Some(true), "{}", pair.trace);
    let alone = run(Some(PPK), None);
    assert_eq!(alone.a.failed()[0].reason, FailReason::NoAnswer { hint: Some(16435) });
}

/// RFC 8784 §3: an optional key is no way around a mandatory one: without the notification that names
/// it, or with a spoiled proof beside it, there is no IKE SA.
#[test]
fn downgrade_inside_ike_auth_is_refused() {
    let optional = Ppk { mandatory: false, ..PPK };
    for stripped in [NotifyType::PPK_IDENTITY, NotifyType::NO_PPK_AUTH] {
        let mut pair = Pair::new(with(parties::a(), Some(optional)), with(parties::b(), Some(optional)), 1);
        pair.link.script = vec![(2, host_tests::link::Fault::Drop)];
        pair.initiate();
        while pair.link.sent() < 3 {
            assert!(pair.step(pair.now + LONG));
        }
        let (keys, auth) = (forge::keys(&pair.a), pair.datagrams[2].1.clone());
        let forged = forge::altered(&keys, &auth, |_, mut payloads| {
            for payload in &mut payloads {
                if payload.kind != PayloadType::NOTIFY {
                    continue;
                }
                let kind = NotifyView::parse(&payload.body).expect("one").kind;
                if kind == stripped {
                    // Of no meaning any more.
                    payload.body[2..4].copy_from_slice(&40_000_u16.to_be_bytes());
                } else if kind == NotifyType::PPK_IDENTITY {
                    *payload.body.last_mut().expect("long") ^= 1;
                }
            }
            payloads
        });
        assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
        assert_eq!(notify(&answers(&mut pair, &keys)[0]), Some(NotifyType::AUTHENTICATION_FAILED));
        assert_eq!(pair.b.failed()[0].reason, FailReason::NoPpk);
    }
}

/// A name as long as one may be.
#[test]
fn long_names() {
    let ppk = Ppk { id: &[b'x'; 64], ..PPK };
    assert_eq!(outcome(&run(Some(ppk), Some(ppk))), Some(true));
}

/// RFC 8784 §5.1: the name goes behind an octet that says its type, PPK_ID_FIXED (2).
#[test]
fn names_have_a_type() {
    let mut pair = Pair::new(with(parties::a(), Some(PPK)), with(parties::b(), Some(PPK)), 1);
    pair.initiate();
    while pair.datagrams.len() < 3 {
        assert!(pair.step(pair.now + LONG));
    }
    let (keys, auth) = (forge::keys(&pair.a), pair.datagrams[2].1.clone());
    let mut named = Vec::new();
    let _same = forge::altered(&keys, &auth, |_, payloads| {
        let notifications = payloads.iter().filter(|payload| payload.kind == PayloadType::NOTIFY);
        named.extend(notifications.filter_map(|payload| {
            let notify = NotifyView::parse(&payload.body).expect("one");
            (notify.kind == NotifyType::PPK_IDENTITY).then(|| notify.data.to_vec())
        }));
        payloads
    });
    assert_eq!(named, [b"\x02ours".to_vec()]);
}
