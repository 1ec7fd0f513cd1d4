//! Hostile IKE_AUTH: everything behind the integrity check or before it while the peer is not
//! authenticated (RFC 7296 §1.2, §2.15, §2.16, §2.21.2).

use std::time::Duration;

use host_tests::forge::{self, Payload};
use host_tests::pair::Pair;
use host_tests::parties::{self, PEER};
use host_tests::stage::*;
use ike_core::error::{Discarded, FailReason};
use ike_core::wire::code_point::{AuthMethod, ExchangeType, PayloadType};
use ike_core::wire::delete;
use ike_core::wire::header::Header;
use ike_core::wire::notify::NotifyType;

/// RFC 7296 §1.2: nothing but IKE_AUTH works on a half-open IKE SA, however well it is sealed.
#[test]
fn half_open_sa_takes_only_ike_auth() {
    let (mut pair, keys, auth) = before_auth();
    for exchange in
        [ExchangeType::CREATE_CHILD_SA, ExchangeType::INFORMATIONAL, ExchangeType::IKE_FOLLOWUP_KE]
    {
        let header = forge::header(&keys, exchange, FROM_A, 1);
        for payloads in
            [forge::sealed(&keys, &header, |_| Ok(())), forge::sealed(&keys, &header, delete::write_ike)]
        {
            assert_eq!(give(&mut pair, to_b(), &payloads), Err(Discarded::WrongState));
        }
    }
    for exchange in [0, 38, 42, 43, 45, 255] {
        let header = forge::header(&keys, ExchangeType(exchange), FROM_A, 1);
        let sealed = forge::sealed(&keys, &header, |_| Ok(()));
        assert_eq!(give(&mut pair, to_b(), &sealed), Err(Discarded::UnexpectedExchange));
    }
    assert_eq!(give(&mut pair, to_b(), &auth), Ok(()));
    pair.drain();
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 7296 §2.2: one wrong bit anywhere behind the header, and the message changes nothing.
#[test]
fn every_flipped_bit_is_noticed() {
    let (mut pair, _, auth) = before_auth();
    for place in Header::LENGTH..auth.len() {
        let mut forged = auth.clone();
        forged[place] ^= 1 << (place % 8);
        let verdict = give(&mut pair, to_b(), &forged);
        if place < Header::LENGTH + 4 {
            assert!(verdict.is_err(), "octet {place}");
        } else {
            assert_eq!(verdict, Err(Discarded::Forged), "octet {place}");
        }
    }
    pair.drain();
    assert!(pair.b.events.is_empty());
    assert_eq!(give(&mut pair, to_b(), &auth), Ok(()));
}

/// RFC 7296 §2.21.2: a message without a payload that it must have is refused, and the IKE SA is gone.
#[test]
fn incomplete_ike_auth_is_refused() {
    let cases = [
        (PayloadType::IDI, NotifyType::INVALID_SYNTAX, FailReason::BadMessage),
        (PayloadType::AUTH, NotifyType::AUTHENTICATION_FAILED, FailReason::WrongMethod),
        (PayloadType::SA, NotifyType::INVALID_SYNTAX, FailReason::BadMessage),
        (PayloadType::TSI, NotifyType::INVALID_SYNTAX, FailReason::BadMessage),
        (PayloadType::TSR, NotifyType::INVALID_SYNTAX, FailReason::BadMessage),
    ];
    for (kind, answer, reason) in cases {
        let (mut pair, keys, auth) = before_auth();
        let forged = forge::altered(&keys, &auth, |_, mut payloads| {
            payloads.retain(|payload| payload.kind != kind);
            payloads
        });
        assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
        let answers = answers(&mut pair, &keys);
        assert_eq!(notify(&answers[0]), Some(answer), "{kind:?}");
        assert_eq!(pair.b.failed()[0].reason, reason, "{kind:?}");
        assert_eq!(pair.b.endpoint.status().count(), 0);
        assert!(pair.b.installed.is_empty());
        // The true one comes too late.
        assert!(give(&mut pair, to_b(), &auth).is_err());
    }
}

/// A second payload of a kind is refused, never the last one taken; garbage behind the integrity check
/// is refused too.
#[test]
fn doubled_payloads_are_refused() {
    for kind in [PayloadType::IDI, PayloadType::AUTH, PayloadType::SA, PayloadType::TSI, PayloadType::TSR] {
        let (mut pair, keys, auth) = before_auth();
        let forged = forge::altered(&keys, &auth, |_, mut payloads| {
            let twin = payloads.iter().find(|payload| payload.kind == kind).expect("there").clone();
            payloads.push(twin);
            payloads
        });
        assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
        assert_eq!(notify(&answers(&mut pair, &keys)[0]), Some(NotifyType::INVALID_SYNTAX), "{kind:?}");
        assert!(pair.b.installed.is_empty());
    }
}

/// RFC 7296 §2.5: an unknown critical payload in a protected request is refused by its number.
#[test]
fn critical_payload_is_refused() {
    let (mut pair, keys, auth) = before_auth();
    let (header, first, text) = forge::opened(&keys, &auth);
    let unknown = [&[first.0, 0x80, 0, 5, 1][..], &text].concat();
    let forged = forge::sealed_text(&keys, &header, PayloadType(200), &unknown);
    assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
    let answers = answers(&mut pair, &keys);
    assert_eq!(notify(&answers[0]), Some(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD));
    assert_eq!(answers[0][0].body.last(), Some(&200));
}

fn with_auth(change: impl Fn(&mut Vec<u8>)) -> FailReason {
    let (mut pair, keys, auth) = before_auth();
    let forged = forge::altered(&keys, &auth, |_, mut payloads| {
        payloads.iter_mut().filter(|p| p.kind == PayloadType::AUTH).for_each(|p| change(&mut p.body));
        payloads
    });
    assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
    let answers = answers(&mut pair, &keys);
    assert_eq!(notify(&answers[0]), Some(NotifyType::AUTHENTICATION_FAILED));
    assert!(pair.b.established().is_empty() && pair.b.installed.is_empty());
    pair.b.failed()[0].reason
}

/// RFC 7296 §2.15, RFC 7427 §3: methods and signatures that do not prove the pinned key.
#[test]
fn other_proofs_are_refused() {
    for method in [
        AuthMethod(1),
        AuthMethod::SHARED_KEY,
        AuthMethod(9),
        AuthMethod::NULL,
        AuthMethod(0),
        AuthMethod(255),
    ] {
        let reason = with_auth(|body| body[0] = method.0);
        assert!(reason.is_authentication(), "{method:?}: {reason:?}");
    }
    assert_eq!(with_auth(|body| body[20] ^= 1), FailReason::BadAuthentication);
    assert_eq!(with_auth(|body| body[12..].fill(0)), FailReason::BadAuthentication);
    assert_eq!(with_auth(|body| body.truncate(40)), FailReason::BadAuthentication);
    assert_eq!(with_auth(|body| body[6] ^= 1), FailReason::BadAuthentication);
}

fn with_certs(certs: &[&[u8]]) -> Pair {
    let (mut pair, keys, auth) = before_auth();
    let forged = forge::altered(&keys, &auth, |_, mut payloads| {
        let certs = certs.iter().map(|body| Payload { kind: PayloadType::CERT, body: body.to_vec() });
        payloads.splice(1..1, certs);
        payloads
    });
    assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
    pair.drain();
    pair
}

/// RFC 7296 §3.6: only the first CERT counts; what is no key there is as if it were not.
#[test]
fn only_the_first_key_counts() {
    let cert = |key| [&[15][..], &ike_core::wire::spki::encode(&parties::public(key))].concat();
    let (own, other) = (cert(&parties::A_KEY), cert(&ike_core::crypto::PrivateKey::Ed25519([0xC3; 32])));
    assert_eq!(with_certs(&[&own, &other]).b.installed.len(), 1);
    let pair = with_certs(&[&other, &own]);
    assert_eq!(pair.b.failed()[0].reason, FailReason::BadAuthentication);
    for junk in
        [&[1, 2, 3][..], &[4, 0x30, 0x80], &[7], &[11, 0x30, 0x03], &[12, b'h'], &[15, 0x30, 0x80], &[15]]
    {
        assert_eq!(with_certs(&[junk]).b.installed.len(), 1, "{junk:?}");
    }
    let many: Vec<&[u8]> = vec![&own; 40];
    assert_eq!(with_certs(&many).b.failed()[0].reason, FailReason::BadMessage);
}

fn with_identity(body: &[u8]) -> FailReason {
    let (mut pair, keys, auth) = before_auth();
    let forged = forge::altered(&keys, &auth, |_, mut payloads| {
        payloads.iter_mut().filter(|p| p.kind == PayloadType::IDI).for_each(|p| p.body = body.to_vec());
        payloads
    });
    assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
    assert_eq!(notify(&answers(&mut pair, &keys)[0]), Some(NotifyType::AUTHENTICATION_FAILED));
    assert!(pair.b.established().is_empty());
    pair.b.failed()[0].reason
}

/// RFC 7296 §3.5, RFC 7619 §2.2: identities that are none, of somebody else, or too long.
#[test]
fn other_identities_are_refused() {
    assert_eq!(with_identity(b"\x0d\0\0\0data"), FailReason::BadMessage);
    assert_eq!(with_identity(b"\x02\0\0\0a.example\0"), FailReason::BadMessage);
    assert_eq!(with_identity(b"\x02\0\0\0"), FailReason::BadMessage);
    assert_eq!(with_identity(b"\x01\0\0\0\xc0\0\x02"), FailReason::BadMessage);
    assert_eq!(with_identity(b"\x0d\0\0\0"), FailReason::UnknownPeer);
    assert_eq!(with_identity(b"\x02\0\0\0c.example"), FailReason::UnknownPeer);
    assert_eq!(with_identity(b"\x0b\0\0\0a.example"), FailReason::UnknownPeer);
    assert_eq!(with_identity(&[&b"\x0b\0\0\0"[..], &[7; 900]].concat()), FailReason::UnknownPeer);
    // The right name in other letters: the signature was over another spelling (RFC 7296 §2.15).
    assert_eq!(with_identity(b"\x02\0\0\0A.example"), FailReason::BadAuthentication);
}

/// RFC 7296 §2.16 is not spoken here: EAP is refused, and an answer without AUTH proves nothing.
#[test]
fn eap_is_refused() {
    let (mut pair, keys, auth) = before_auth();
    let forged = forge::altered(&keys, &auth, |_, mut payloads| {
        payloads.retain(|p| p.kind != PayloadType::AUTH);
        payloads.push(Payload { kind: PayloadType::EAP, body: vec![1, 1, 0, 4] });
        payloads
    });
    assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
    assert_eq!(pair.b.endpoint.counters().authentication_failed, 1);
    let (mut pair, keys, auth) = before_auth();
    assert_eq!(give(&mut pair, to_b(), &auth), Ok(()));
    pair.link.cut = true;
    pair.drain();
    let answer = pair.datagrams[3].1.clone();
    let forged = forge::altered(&keys, &answer, |_, mut payloads| {
        payloads.retain(|p| p.kind != PayloadType::AUTH);
        payloads
    });
    assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
    pair.drain();
    assert_eq!(pair.a.failed()[0].reason, FailReason::WrongMethod);
    assert!(pair.a.installed.is_empty() && pair.a.established().is_empty());
}

/// RFC 7296 §2.6, RFC 8019: who guesses secrets gets few tries: each refused one keeps its place among
/// the half-open IKE SAs of its address.
#[test]
fn guesses_of_secrets_are_limited() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::share(&mut a, b"guess");
    parties::share(&mut b, b"secret");
    a.timing.tries = 1;
    let mut pair = Pair::new(a, b, 1);
    for _ in 0..200 {
        let _ = pair.a.endpoint.initiate(pair.now, PEER);
        pair.pass(Duration::from_millis(50));
    }
    let refused = pair.b.endpoint.counters().authentication_failed;
    assert!(refused <= 4, "{refused} guesses in ten seconds");
    assert!(pair.b.endpoint.counters().discarded(Discarded::HalfOpenLimit) > 0);
}
