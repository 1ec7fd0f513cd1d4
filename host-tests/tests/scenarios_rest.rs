//! Scenarios of other people's test suites that no other file here had a place for.

use std::time::Duration;

use esp_engine::sa::SaReport;
use esp_engine::time::Instant;
use host_tests::forge::{self, Payload};
use host_tests::pair::{Pair, Side};
use host_tests::stage::*;
use ike_core::error::{Discarded, FailReason};
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::header::{Flags, Header, IkeSpi, Message};
use ike_core::wire::notify::{NotifyType, NotifyView};

/// Refuses what the endpoint just asked its data plane to install, as the firmware does.
fn refuse(side: &mut Side, now: Instant) {
    let spi = side.installed.last().expect("installed").inbound;
    side.endpoint.handle_sa_report(now, SaReport::HardExpired(spi));
}

/// Nothing is left of the pair at either end, and the next one comes to stand.
fn assert_no_half(pair: &mut Pair, case: &str) {
    pair.settle(Duration::from_secs(60));
    assert!(pair.agree(), "{case}:\n{}", pair.trace);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{case}:\n{}", pair.trace);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{case}:\n{}", pair.trace);
}

/// RFC 7296 §1.4.1: a data plane that refuses a pair of SAs leaves no half of it: the peer is told, nothing
/// leaks. A pair is installed in one step here, so inbound and outbound, state and policy fail as one:
/// libreswan `impair-install-ipsec-sa-inbound-state-initiator`, `impair-install-ipsec-sa-inbound-policy-initiator`,
/// `impair-install-ipsec-sa-outbound-state-initiator`, `impair-install-ipsec-sa-outbound-policy-initiator`.
#[test]
fn initiators_data_plane_refuses_the_pair() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    while pair.a.installed.is_empty() {
        assert!(pair.step(pair.now + LONG));
    }
    refuse(&mut pair.a, pair.now);
    pair.drain();
    assert_no_half(&mut pair, "initiator");
}

/// The same at the other end: libreswan `impair-install-ipsec-sa-inbound-state-responder`,
/// `impair-install-ipsec-sa-inbound-policy-responder`, `impair-install-ipsec-sa-outbound-state-responder`,
/// `impair-install-ipsec-sa-outbound-policy-responder`.
#[test]
fn responders_data_plane_refuses_the_pair() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    while pair.b.installed.is_empty() {
        assert!(pair.step(pair.now + LONG));
    }
    refuse(&mut pair.b, pair.now);
    pair.drain();
    assert_no_half(&mut pair, "responder");
}

/// RFC 7296 §2.21.2: an answer to IKE_AUTH that lacks a payload of the Child SA leaves the initiator without
/// one, and the responder is told. libreswan `impair-09-ikev2-omit-ike-auth-child-responder`.
#[test]
fn answer_without_payloads_of_the_child_sa() {
    for missing in [PayloadType::SA, PayloadType::TSI, PayloadType::TSR] {
        let (mut pair, keys, auth) = before_auth();
        assert_eq!(give(&mut pair, to_b(), &auth), Ok(()));
        pair.link.cut = true;
        pair.drain();
        pair.link.cut = false;
        let answer = pair.datagrams[3].1.clone();
        let forged = forge::altered(&keys, &answer, |_, mut payloads| {
            payloads.retain(|payload| payload.kind != missing);
            payloads
        });
        assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
        pair.settle(Duration::from_secs(60));
        assert_eq!(pair.a.failed()[0].reason, FailReason::BadMessage, "{missing:?}\n{}", pair.trace);
        assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{missing:?}\n{}", pair.trace);
    }
}

/// RFC 7296 §3.2: the reserved bits of a payload's header are ignored. libreswan
/// `ikev2-payload-reserved-flags-01`.
#[test]
fn reserved_bits_of_payloads_are_ignored() {
    let mut pair = Pair::pinned(1);
    pair.link.cut = true;
    pair.initiate();
    let mut request = pair.datagrams[0].1.clone();
    let mut at = Header::LENGTH;
    while at < request.len() {
        request[at + 1] |= 0x7f;
        at += usize::from(u16::from_be_bytes([request[at + 2], request[at + 3]]));
    }
    Message::parse(&request).expect("well-formed").payloads().expect("well-formed");
    assert_eq!(give(&mut pair, to_b(), &request), Ok(()));
}

fn answered(pair: &Pair, responder: u64, payload: &NotifyView<'_>) -> Vec<u8> {
    let request = Header::parse(&pair.datagrams[0].1).expect("a header");
    let flags = Flags { initiator: false, response: true };
    let header = Header { flags, responder_spi: IkeSpi(responder), ..request };
    forge::clear(&header, |writer| payload.write(writer))
}

/// RFC 7296 §2.6: an answer that agrees and has no SPI of the responder's is none; the true one is taken.
/// libreswan `impair-14-ike-responder-spi-0-ikev2`.
#[test]
fn answer_without_the_responders_spi() {
    let (answered, _, _) = before_auth();
    let mut forged = answered.datagrams[1].1.clone();
    forged[8..16].fill(0);
    let mut pair = Pair::pinned(1);
    pair.initiate();
    assert_eq!(give(&mut pair, to_a(), &forged), Err(Discarded::BadSpi));
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1);
}

/// RFC 5685 §3: REDIRECT was not asked for, so it is not followed, however often it comes: in IKE_SA_INIT it
/// is an unprotected notification like any other, in IKE_AUTH an unknown status. libreswan
/// `ikev2-redirect-03-global-loop`, `ikev2-redirect-03-auth-loop`.
#[test]
fn redirections_are_not_followed() {
    const REDIRECT: NotifyType = NotifyType(16407);
    let gateway = [1, 4, 198, 51, 100, 9];
    let mut pair = Pair::pinned(1);
    pair.initiate();
    for _ in 0..20 {
        let forged = answered(&pair, 0, &NotifyView::new(REDIRECT, &gateway));
        drops(&mut pair, to_a(), &forged, Discarded::Hint);
    }
    assert_eq!(pair.link.sent(), 1);
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1);

    let (mut pair, keys, auth) = before_auth();
    let redirecting = forge::altered(&keys, &auth, |_, mut payloads| {
        let body = [&[0, 0][..], &REDIRECT.0.to_be_bytes(), &gateway].concat();
        payloads.insert(0, Payload { kind: PayloadType::NOTIFY, body });
        payloads
    });
    assert_eq!(give(&mut pair, to_b(), &redirecting), Ok(()));
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1, "{}", pair.trace);
}
