//! Hostile messages behind the integrity check or before it, once there are keys: order of exchanges,
//! authentication, selectors, Message IDs (RFC 7296 §1.2, §2.2, §2.9, §2.15, §2.21).

use std::time::Duration;

use esp_engine::selector::{AddressRange, TrafficSelector};
use host_tests::forge::{self, Payload};
use host_tests::link::Direction;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};
use ike_core::error::{CloseReason, Discarded, FailReason};
use ike_core::output::{IkeKeys, Output, Path};
use ike_core::wire::code_point::{AuthMethod, ExchangeType, PayloadType};
use ike_core::wire::delete;
use ike_core::wire::header::{Flags, Header};
use ike_core::wire::notify::{NotifyType, NotifyView};

const LONG: Duration = Duration::from_secs(10);
const FROM_A: Flags = Flags { initiator: true, response: false };
const FROM_B: Flags = Flags { initiator: false, response: false };

fn to_b() -> Path {
    Path { interface: 0, local: (B, 500).into(), remote: (A, 500).into() }
}

fn to_a() -> Path {
    Path { interface: 0, local: (A, 500).into(), remote: (B, 500).into() }
}

/// A pair stopped in front of A's IKE_AUTH, which is returned with the keys.
fn before_auth() -> (Pair, IkeKeys, Vec<u8>) {
    let mut pair = Pair::pinned(1);
    pair.link.script = vec![(2, host_tests::link::Fault::Drop)];
    pair.initiate();
    while pair.link.sent() < 3 {
        assert!(pair.step(pair.now + LONG));
    }
    let keys = forge::keys(&pair.a);
    let auth = pair.datagrams[2].1.clone();
    (pair, keys, auth)
}

fn standing() -> (Pair, IkeKeys) {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    pair.settle(LONG);
    let keys = forge::keys(&pair.a);
    (pair, keys)
}

fn give(pair: &mut Pair, path: Path, datagram: &[u8]) -> Result<(), Discarded> {
    let side = if path.local.ip() == A { &mut pair.a } else { &mut pair.b };
    side.endpoint.handle_datagram(pair.now, path, &mut datagram.to_vec())
}

/// What an endpoint sends now, opened; events go to the pair.
fn answers(pair: &mut Pair, keys: &IkeKeys) -> Vec<Vec<Payload>> {
    let before = pair.datagrams.len();
    pair.link.cut = true;
    pair.drain();
    pair.link.cut = false;
    let open = |(_, datagram): &(Direction, Vec<u8>)| {
        let (_, first, text) = forge::opened(keys, datagram);
        forge::split(first, &text)
    };
    pair.datagrams[before..].iter().map(open).collect()
}

fn notify(payloads: &[Payload]) -> Option<NotifyType> {
    let payload = payloads.iter().find(|p| p.kind == PayloadType::NOTIFY)?;
    Some(NotifyView::parse(&payload.body).expect("a notification").kind)
}

/// RFC 7296 §1.2: nothing but IKE_AUTH works on a half-open IKE SA, however well it is sealed.
#[test]
fn half_open_sa_takes_only_ike_auth() {
    let (mut pair, keys, auth) = before_auth();
    for exchange in [ExchangeType::CREATE_CHILD_SA, ExchangeType::INFORMATIONAL] {
        let header = forge::header(&keys, exchange, FROM_A, 1);
        for payloads in
            [forge::sealed(&keys, &header, |_| Ok(())), forge::sealed(&keys, &header, delete::write_ike)]
        {
            assert_eq!(give(&mut pair, to_b(), &payloads), Err(Discarded::WrongState));
        }
    }
    for exchange in [0, 38, 42, 43, 44, 45, 255] {
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

/// RFC 7296 §1.2: only one IKE_AUTH, and only from the initiator.
#[test]
fn ike_auth_does_not_repeat() {
    let (mut pair, keys) = standing();
    let (_, first, text) = forge::opened(&keys, &pair.datagrams[2].1);
    for (at, flags, id) in [(to_b(), FROM_A, 2), (to_a(), FROM_B, 0)] {
        let header = forge::header(&keys, ExchangeType::IKE_AUTH, flags, id);
        let forged = forge::sealed_text(&keys, &header, first, &text);
        assert_eq!(give(&mut pair, at, &forged), Err(Discarded::WrongState));
    }
    // Own messages that come back.
    let own = pair.datagrams[2].1.clone();
    assert_eq!(give(&mut pair, to_a(), &own), Err(Discarded::UnknownSpi));
    let own = pair.datagrams[3].1.clone();
    assert_eq!(give(&mut pair, to_b(), &own), Err(Discarded::UnknownSpi));
}

fn with_answer(change: impl Fn(&mut Vec<Payload>)) -> Pair {
    let (mut pair, keys, auth) = before_auth();
    assert_eq!(give(&mut pair, to_b(), &auth), Ok(()));
    pair.link.cut = true;
    pair.drain();
    pair.link.cut = false;
    let answer = pair.datagrams[3].1.clone();
    let forged = forge::altered(&keys, &answer, |_, mut payloads| {
        change(&mut payloads);
        payloads
    });
    assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
    pair.settle(LONG);
    pair
}

fn assert_child_deleted(pair: &Pair, reason: FailReason) {
    assert_eq!(pair.a.failed()[0].reason, reason, "{}", pair.trace);
    assert!(pair.a.failed()[0].established);
    assert!(pair.a.installed.is_empty());
    // The other end was told, so that nothing is sent into the void (RFC 7296 §1.3.1).
    assert!(pair.b.installed.is_empty(), "{}", pair.trace);
}

/// RFC 7296 §2.9: an answer that widens the selectors, or of another family, is deleted.
#[test]
fn wider_selectors_are_deleted() {
    let wide = |a: &str, b: &str| {
        let range =
            AddressRange::new(a.parse().expect("address"), b.parse().expect("address")).expect("range");
        forge::clear(&forge::init_header(1), |writer| {
            ike_core::wire::ts::write(PayloadType::TSR, &[TrafficSelector::all(range)], writer)
        })
    };
    for selector in
        [wide("192.0.2.0", "192.0.2.255"), wide("192.0.2.9", "192.0.2.9"), wide("2001:db8::1", "2001:db8::1")]
    {
        let pair = with_answer(|payloads| {
            let body = selector[Header::LENGTH + 4..].to_vec();
            payloads.iter_mut().filter(|p| p.kind == PayloadType::TSR).for_each(|p| p.body = body.clone());
        });
        assert_child_deleted(&pair, FailReason::AnswerNotOffered);
    }
}

/// RFC 7296 §1.3.1: tunnel mode where transport mode was asked for is deleted.
#[test]
fn other_mode_is_deleted() {
    let pair = with_answer(|payloads| payloads.retain(|p| p.kind != PayloadType::NOTIFY));
    assert_child_deleted(&pair, FailReason::ModeUnacceptable);
}

/// RFC 7296 §3.3.6: an ESP answer that is not one of the offers is deleted.
#[test]
fn other_esp_answer_is_deleted() {
    let pair = with_answer(|payloads| {
        payloads.iter_mut().filter(|p| p.kind == PayloadType::SA).for_each(|p| p.body[4] = 9);
    });
    assert_child_deleted(&pair, FailReason::AnswerNotOffered);
}

/// RFC 4303 §2.1: SPIs of the reserved range are refused.
#[test]
fn reserved_spi_is_refused() {
    for spi in [0_u32, 1, 255] {
        let (mut pair, keys, auth) = before_auth();
        let forged = forge::altered(&keys, &auth, |_, mut payloads| {
            let sa = payloads.iter_mut().find(|p| p.kind == PayloadType::SA).expect("there");
            sa.body[8..12].copy_from_slice(&spi.to_be_bytes());
            payloads
        });
        assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
        pair.drain();
        assert!(matches!(pair.b.failed()[0].reason, FailReason::NoProposal(_)));
        assert!(pair.b.installed.is_empty());
    }
}

/// RFC 7296 §2.2, §2.3: Message IDs outside of the window of 1, at both ends of the number space.
#[test]
fn message_ids_outside_the_window() {
    let (mut pair, keys) = standing();
    for id in [0, 3, 4, 100, u32::MAX - 1, u32::MAX] {
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, id);
        let sealed = forge::sealed(&keys, &header, |_| Ok(()));
        assert_eq!(give(&mut pair, to_b(), &sealed), Err(Discarded::WrongMessageId), "{id}");
    }
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()));
    assert_eq!(answers(&mut pair, &keys), [vec![]]);
}

/// RFC 7296 §2.1: the same Message ID with other content is never executed; the very same message is
/// answered with the very same octets.
#[test]
fn retransmission_is_not_executed() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let probe = forge::sealed(&keys, &header, |_| Ok(()));
    assert_eq!(give(&mut pair, to_b(), &probe), Ok(()));
    pair.link.cut = true;
    pair.drain();
    let first = pair.datagrams.last().expect("sent").1.clone();
    let delete = forge::sealed(&keys, &header, delete::write_ike);
    assert_eq!(give(&mut pair, to_b(), &delete), Err(Discarded::AlteredRetransmission));
    assert_eq!(give(&mut pair, to_b(), &probe), Ok(()));
    pair.drain();
    assert_eq!(pair.datagrams.last().expect("sent").1, first);
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 7296 §2.4: INITIAL_CONTACT counts in IKE_AUTH only.
#[test]
fn initial_contact_in_a_later_exchange_changes_nothing() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let contact = NotifyView::new(NotifyType::INITIAL_CONTACT, &[]);
    assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |w| contact.write(w))), Ok(()));
    pair.drain();
    assert_eq!(pair.b.installed.len(), 1);
    assert!(pair.b.closed().is_empty());
}

/// RFC 7296 §3.11: a Delete names only the sender's own SAs; what it does not have changes nothing.
#[test]
fn delete_of_others_changes_nothing() {
    let (mut pair, keys) = standing();
    let (own, theirs) = (pair.b.installed[0].inbound.get(), pair.b.installed[0].outbound.get());
    for (id, spis) in [(2, vec![own]), (3, vec![1, 2, 3]), (4, vec![theirs ^ 1])] {
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, id);
        assert_eq!(
            give(&mut pair, to_b(), &forge::sealed(&keys, &header, |w| delete::write_esp(&spis, w))),
            Ok(())
        );
        assert_eq!(answers(&mut pair, &keys), [vec![]]);
        assert_eq!(pair.b.installed.len(), 1);
    }
}

/// RFC 7296 §2.21.3: what is malformed behind a good integrity check ends the IKE SA on both sides.
#[test]
fn malformed_behind_the_check_ends_the_sa() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let forged = forge::sealed_text(&keys, &header, PayloadType::NOTIFY, &[0, 0, 0, 3]);
    assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
    let answers = answers(&mut pair, &keys);
    assert_eq!(notify(&answers[0]), Some(NotifyType::INVALID_SYNTAX));
    assert!(pair.b.installed.is_empty());
}

/// RFC 7296 §1.3: more Child SAs on one IKE SA are refused, and the IKE SA stands.
#[test]
fn further_child_sas_are_refused() {
    let (mut pair, keys) = standing();
    for id in 2..50 {
        let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, FROM_A, id);
        assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()));
        assert_eq!(notify(&answers(&mut pair, &keys)[0]), Some(NotifyType::NO_ADDITIONAL_SAS));
    }
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 7383 §2.4: fragments are for those who negotiated them.
#[test]
fn fragments_are_dropped() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let mut fragment = forge::sealed(&keys, &header, |_| Ok(()));
    fragment[16] = PayloadType::SKF.0;
    fragment[35] = 1;
    fragment[33] = 1;
    fragment[32] = 0;
    fragment[34] = 0;
    assert_eq!(give(&mut pair, to_b(), &fragment), Err(Discarded::UnexpectedExchange));
}

/// RFC 7296 §2.21.1: an error without protection ends nothing that stands.
#[test]
fn unprotected_message_for_a_standing_sa_is_a_hint() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let forged = forge::clear(&header, |w| NotifyView::new(NotifyType::INVALID_IKE_SPI, &[]).write(w));
    assert_eq!(give(&mut pair, to_b(), &forged), Err(Discarded::Hint));
    let forged = forge::clear(&header, delete::write_ike);
    assert_eq!(give(&mut pair, to_b(), &forged), Err(Discarded::Hint));
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 5660 §2.3: a flow that lives under one key is not given to another key, even of a stranger who
/// may speak for the address.
#[test]
fn flow_of_a_living_key_is_not_given_away() {
    let (a, b) = parties::strangers();
    let mut a = a;
    a.pad = parties::leak_all(vec![parties::pinned("b.example", &parties::B_KEY, B), parties::BTNS]);
    a.policies = parties::leak_all(vec![parties::between(
        A,
        B,
        esp_engine::spd::Level::Pinned,
        ike_core::config::Peer::Entry(PEER),
    )]);
    let mut other = a.clone();
    other.key = Some(ike_core::crypto::PrivateKey::Ed25519([0xC3; 32]));
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1);
    let standing = pair.b.installed[0].clone();
    let mut thief = Pair::new(other, parties::strangers().1, 2);
    std::mem::swap(&mut pair.b, &mut thief.b);
    thief.now = pair.now;
    thief.initiate();
    thief.settle(LONG);
    assert_eq!(thief.b.failed()[0].reason, FailReason::OtherKeysFlow, "{}", thief.trace);
    assert_eq!(thief.b.installed, [standing]);
    assert!(thief.a.installed.is_empty());
    assert!(!thief.b.closed().contains(&CloseReason::InitialContact));
}

/// RFC 7296 §2.4, RFC 7619 §2.3: INITIAL_CONTACT of a nameless stranger removes nobody else's SA, not even
/// that of a peer which is known by its address and has no name either.
#[test]
fn initial_contact_of_a_nameless_stranger_removes_nothing() {
    use esp_engine::spd::Level;
    use ike_core::config::Peer;
    use ike_core::pad::{Identity, Matcher};
    let elsewhere = std::net::IpAddr::from([192, 0, 2, 3]);
    let nameless = |key, own| {
        let known = parties::pinned("b.example", &parties::B_KEY, B);
        let mut config = parties::config("", key, own, vec![known], B);
        config.identity = Identity::Null;
        config
    };
    let mut b = parties::b();
    let mut by_address = b.pad[0];
    by_address.matcher = Matcher::Addresses(AddressRange::single(A));
    b.pad = parties::leak_all(vec![by_address, parties::BTNS]);
    let stranger = parties::between(B, elsewhere, Level::Any, Peer::Any);
    b.policies = parties::leak_all(vec![b.policies[0], stranger]);
    let mut pair = Pair::new(nameless(parties::A_KEY, A), b, 1);
    pair.initiate();
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1, "{}", pair.trace);
    let key = ike_core::crypto::PrivateKey::Ed25519([0xC3; 32]);
    let mut other = Pair::new(nameless(key, elsewhere), parties::b(), 2);
    std::mem::swap(&mut pair.b, &mut other.b);
    other.now = pair.now + LONG;
    other.initiate();
    other.settle(LONG);
    assert_eq!(other.b.established().len(), 2, "{}", other.trace);
    assert!(other.b.closed().is_empty());
    assert_eq!(other.b.installed.len(), 2);
}

/// RFC 7296 §2.9: SINGLE_PAIR_REQUIRED brings another try with the packet's own selectors, and only one.
#[test]
fn single_pair_is_tried_once() {
    use esp_engine::selector::{Ports, Selectors};
    let mut pair = Pair::pinned(1);
    let ports = Ports::Known { source: 50_000, destination: 179 };
    let packet = Selectors { source: A, destination: B, protocol: 6, ports };
    pair.a.endpoint.acquire(pair.now, esp_engine::spd::PolicyId(0), packet).expect("begins");
    pair.drain();
    for attempt in 1..=2 {
        let asked = |(way, d): &&(Direction, Vec<u8>)| *way == Direction::AtoB && d[18] == 35;
        while pair.datagrams.iter().filter(asked).count() < attempt {
            assert!(pair.step(pair.now + LONG), "{}", pair.trace);
        }
        pair.link.cut = true;
        while pair.datagrams.last().is_none_or(|(way, d)| *way == Direction::AtoB || d[18] != 35) {
            assert!(pair.step(pair.now + LONG), "{}", pair.trace);
        }
        pair.link.cut = false;
        let keys = forge::keys(&pair.a);
        let asked = pair.datagrams.iter().rfind(asked).expect("sent");
        let (_, first, text) = forge::opened(&keys, &asked.1);
        let offered = forge::split(first, &text);
        let tsi = offered.iter().find(|p| p.kind == PayloadType::TSI).expect("there");
        assert_eq!(tsi.body[0], if attempt == 1 { 2 } else { 1 });
        let answer = pair.datagrams.last().expect("sent").1.clone();
        let refused = forge::altered(&keys, &answer, |_, mut payloads| {
            payloads.retain(|p| matches!(p.kind, PayloadType::IDR | PayloadType::AUTH));
            payloads.push(Payload { kind: PayloadType::NOTIFY, body: vec![0, 0, 0, 34] });
            payloads
        });
        assert_eq!(give(&mut pair, to_a(), &refused), Ok(()));
        pair.drain();
    }
    assert_eq!(pair.a.failed().iter().map(|f| f.reason).collect::<Vec<_>>(), [FailReason::Refused(34)]);
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

/// The endpoint says nothing after all this but what was asked.
#[test]
fn nothing_is_left_to_say() {
    let (mut pair, _) = standing();
    assert!(matches!(pair.a.endpoint.poll_output(), Output::Timeout(Some(_))));
}
