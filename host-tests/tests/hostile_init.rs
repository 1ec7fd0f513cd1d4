//! Hostile IKE_SA_INIT requests: send this, and this must happen. Nothing here is authenticated, so nothing
//! may change but counters (RFC 7296 §2.5, §2.6, §3, RFC 6989).

use std::net::IpAddr;
use std::time::Duration;

use host_tests::forge::{self, Payload};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B};
use host_tests::stage::*;
use ike_core::config::Suite;
use ike_core::crypto::Group;
use ike_core::error::Discarded;
use ike_core::output::Path;
use ike_core::wire::Malformed;
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::header::Header;
use ike_core::wire::notify::NotifyType;

/// RFC 7296 §2.5: IKEv1 is dropped, later versions are told ours, the minor version is ignored.
#[test]
fn other_versions() {
    for (version, answer) in [(0x10, None), (0x00, None), (0x30, Some(5)), (0xF0, Some(5))] {
        let mut pair = Pair::pinned(1);
        let mut datagram = request();
        datagram[17] = version;
        let (verdict, answers) = ask(&mut pair, to_b(), &datagram);
        assert_eq!(verdict, Err(Discarded::MajorVersion));
        assert_eq!(answers.first().map(|(_, octets)| notified(octets).0), answer, "{version:#x}");
    }
    let mut pair = Pair::pinned(1);
    let mut datagram = request();
    datagram[17] = 0x2F;
    assert_eq!(ask(&mut pair, to_b(), &datagram).0, Ok(()));
}

/// RFC 7296 §3.1: flags and SPIs that a first request cannot have; reserved flags are ignored.
#[test]
fn impossible_headers() {
    let mut pair = Pair::pinned(1);
    let with = |place: usize, value: u8| {
        let mut datagram = request();
        datagram[place] = value;
        datagram
    };
    drops(&mut pair, to_b(), &with(19, 0x00), Discarded::WrongDirection);
    drops(&mut pair, to_b(), &with(19, 0x28), Discarded::WrongDirection);
    drops(&mut pair, to_b(), &with(19, 0x20), Discarded::UnknownSpi);
    drops(&mut pair, to_b(), &with(15, 1), Discarded::BadSpi);
    drops(&mut pair, to_b(), &with(23, 1), Discarded::WrongMessageId);
    let mut zero = request();
    zero[..8].fill(0);
    drops(&mut pair, to_b(), &zero, Malformed::ZeroInitiatorSpi.into());
    assert_eq!(ask(&mut pair, to_b(), &with(19, 0xDF & !0x20)).0, Ok(()));
}

/// Our own request that comes back is dropped, on either port.
#[test]
fn own_request_comes_back() {
    let mut pair = Pair::pinned(1);
    pair.link.cut = true;
    pair.initiate();
    let own = pair.datagrams[0].1.clone();
    drops(&mut pair, to_a(), &own, Discarded::BadSpi);
    let marked = [&[0; 4][..], &own].concat();
    let at = Path { local: (A, 4500).into(), ..to_a() };
    drops(&mut pair, at, &marked, Discarded::BadSpi);
    drops(&mut pair, at, &own, Discarded::NotIke);
    drops(&mut pair, at, &[0; 4], Malformed::HeaderTruncated.into());
    drops(&mut pair, at, &[0; 3], Discarded::NotIke);
}

/// RFC 7296 §3.1: exchange types without an SA, and messages for SAs that are not there.
#[test]
fn other_exchanges_without_sa() {
    let mut pair = Pair::pinned(1);
    for exchange in [0, 33, 35, 36, 37, 38, 42, 43, 44, 45, 255] {
        let mut datagram = request();
        datagram[18] = exchange;
        drops(&mut pair, to_b(), &datagram, Discarded::UnknownSpi);
        datagram[19] = 0x20;
        drops(&mut pair, to_b(), &datagram, Discarded::UnknownSpi);
    }
}

fn without(kind: PayloadType) -> Vec<u8> {
    forge::altered_clear(&request(), |mut payloads| {
        payloads.retain(|payload| payload.kind != kind);
        payloads
    })
}

/// RFC 7296 §1.2, §3.9: payloads that must be there, and lengths of nonces.
#[test]
fn missing_payloads_and_bad_nonces() {
    let mut pair = Pair::pinned(1);
    for kind in [PayloadType::SA, PayloadType::KE, PayloadType::NONCE] {
        drops(&mut pair, to_b(), &without(kind), Discarded::MissingPayload);
    }
    for length in [0, 15, 257] {
        let datagram = with_body(PayloadType::NONCE, |body| body.resize(length, 7));
        drops(&mut pair, to_b(), &datagram, Malformed::NonceLength.into());
    }
    assert_eq!(pair.b.endpoint.counters().key_exchanges, 0);
}

/// RFC 7296 §1.2, RFC 6989: groups that are not ours are answered with ours, without any computation;
/// values of the wrong length or of small order are dropped.
#[test]
fn other_groups_and_bad_values() {
    let mut pair = Pair::pinned(1);
    for group in [0_u16, 14, 19, 1025, 0xFFFF] {
        let datagram = with_body(PayloadType::KE, |body| body[..2].copy_from_slice(&group.to_be_bytes()));
        let (verdict, answers) = ask(&mut pair, to_b(), &datagram);
        assert_eq!(verdict, Err(Discarded::OtherGroup));
        assert_eq!(notified(&answers[0].1), NotifyType::INVALID_KE_PAYLOAD);
    }
    for length in [0, 31, 33] {
        let datagram = with_body(PayloadType::KE, |body| body.resize(4 + length, 9));
        drops(&mut pair, to_b(), &datagram, Discarded::BadKeyExchange);
    }
    assert_eq!(pair.b.endpoint.counters().key_exchanges, 0);
    let zero = with_body(PayloadType::KE, |body| body[4..].fill(0));
    drops(&mut pair, to_b(), &zero, Discarded::BadKeyExchange);
    assert_eq!(pair.b.endpoint.status().count(), 0);
}

/// RFC 7296 §3.3, RFC 5282 §8: proposals that lack a type, have one too many, or mix cipher kinds.
#[test]
fn unusable_proposals() {
    const ENCR: [u8; 4] = [1, 0, 0, 28];
    const PRF: [u8; 4] = [2, 0, 0, 5];
    const KE: [u8; 4] = [4, 0, 0, 31];
    let bad: [&[[u8; 4]]; 8] = [
        &[ENCR, PRF],
        &[ENCR, KE],
        &[PRF, KE],
        &[ENCR, PRF, [3, 0, 0, 12], KE],
        &[ENCR, PRF, KE, [5, 0, 0, 0]],
        &[ENCR, PRF, KE, [77, 0, 0, 1]],
        &[ENCR, [2, 0, 0, 4], KE],
        &[[1, 0, 0, 20], PRF, KE],
    ];
    for transforms in bad {
        let mut pair = Pair::pinned(1);
        let datagram = with_body(PayloadType::SA, |body| *body = proposal(transforms));
        let (verdict, answers) = ask(&mut pair, to_b(), &datagram);
        assert_eq!(verdict, Err(Discarded::NoProposalChosen), "{transforms:?}");
        assert_eq!(notified(&answers[0].1), NotifyType::NO_PROPOSAL_CHOSEN);
    }
    for transforms in [&[ENCR, PRF, KE][..], &[ENCR, PRF, [3, 0, 0, 0], KE], &[[1, 0, 0, 99], ENCR, PRF, KE]]
    {
        let mut pair = Pair::pinned(1);
        let datagram = with_body(PayloadType::SA, |body| *body = proposal(transforms));
        assert_eq!(ask(&mut pair, to_b(), &datagram).0, Ok(()), "{transforms:?}");
    }
}

/// RFC 7296 §3.3.3, §3.3.5: AES-CBC needs a MAC that we have and a key length of AES, and takes its key length
/// once.
#[test]
fn a_cipher_without_mac_or_key_length_is_unusable() {
    const PRF: [u8; 4] = [2, 0, 0, 5];
    const HMAC_SHA2_256: [u8; 4] = [3, 0, 0, 12];
    const KE: [u8; 4] = [4, 0, 0, 19];
    let offer = |bits: &[u16], others: &[[u8; 4]]| {
        let mut body = proposal(&[&[[1, 0, 0, 12]], others].concat());
        let attributes: Vec<u8> =
            bits.iter().flat_map(|b| [&[0x80, 14], &b.to_be_bytes()[..]].concat()).collect();
        body[3] += attributes.len() as u8;
        body[11] += attributes.len() as u8;
        body.splice(16..16, attributes);
        let mut config = parties::b();
        config.suites = &[Suite::HARDWARE_AES, Suite { group: Group::P256, ..Suite::COMPAT }];
        let mut pair = Pair::new(parties::a(), config, 1);
        let datagram = with_body(PayloadType::SA, |old| old.clone_from(&body));
        ask(&mut pair, to_b(), &datagram).0
    };
    for (bits, others) in [
        (&[128][..], &[PRF, KE][..]),
        (&[128], &[PRF, [3, 0, 0, 0], KE]),
        (&[128], &[PRF, [3, 0, 0, 2], KE]),
        (&[256], &[PRF, HMAC_SHA2_256, KE]),
        (&[], &[PRF, HMAC_SHA2_256, KE]),
        (&[127], &[PRF, HMAC_SHA2_256, KE]),
        (&[128, 128], &[PRF, HMAC_SHA2_256, KE]),
    ] {
        assert_eq!(offer(bits, others), Err(Discarded::NoProposalChosen), "{bits:?} {others:?}");
    }
    // The public value is of another group than the suite's, so the right suite was chosen.
    for others in [[PRF, HMAC_SHA2_256, KE], [PRF, KE, HMAC_SHA2_256]] {
        assert_eq!(offer(&[128], &others), Err(Discarded::OtherGroup));
    }
}

/// RFC 7296 §2.5: an unknown critical payload in a request is refused by its number, an uncritical one
/// skipped.
#[test]
fn unknown_payloads() {
    let with = |critical: u8| {
        let mut datagram = forge::altered_clear(&request(), |mut payloads| {
            payloads.insert(0, Payload { kind: PayloadType(200), body: vec![1, 2, 3] });
            payloads
        });
        datagram[Header::LENGTH + 1] = critical;
        datagram
    };
    let mut pair = Pair::pinned(1);
    let (verdict, answers) = ask(&mut pair, to_b(), &with(0x80));
    assert_eq!(verdict, Err(Discarded::CriticalPayload));
    assert_eq!(notified(&answers[0].1), NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD);
    assert_eq!(answers[0].1.last(), Some(&200));
    assert_eq!(ask(&mut pair, to_b(), &with(0)).0, Ok(()));
}

/// RFC 7296 §2.6: a cookie is good for its nonce, address and SPI, under the present secret and the one
/// before; any other counts as none.
#[test]
fn cookies_are_bound() {
    let (a, mut b) = (parties::a(), parties::b());
    b.timing.cookie_threshold = 0;
    let mut pair = Pair::new(a, b, 1);
    let (verdict, answers) = ask(&mut pair, to_b(), &request());
    assert_eq!(verdict, Err(Discarded::CookieDemanded));
    assert_eq!(notified(&answers[0].1), NotifyType::COOKIE);
    assert!(answers[0].1.len() < request().len());
    let cookie = answers[0].1[Header::LENGTH + 8..].to_vec();
    let with = |datagram: &[u8], cookie: &[u8]| {
        forge::altered_clear(datagram, |mut payloads| {
            let body = [&[0, 0, 0x40, 0x06], cookie].concat();
            payloads.insert(0, Payload { kind: PayloadType::NOTIFY, body });
            payloads
        })
    };
    let mut other_spi = request();
    other_spi[3] ^= 1;
    let other_nonce = with_body(PayloadType::NONCE, |body| body[0] ^= 1);
    let mut spoiled = cookie.clone();
    spoiled[20] ^= 1;
    let other_address = path(B, (IpAddr::from([192, 0, 2, 9]), 500).into());
    let long = [1; 65];
    for (at, datagram) in [
        (to_b(), with(&other_spi, &cookie)),
        (to_b(), with(&other_nonce, &cookie)),
        (other_address, with(&request(), &cookie)),
        (to_b(), with(&request(), &spoiled)),
        (to_b(), with(&request(), &[])),
        (to_b(), with(&request(), &long)),
    ] {
        let (verdict, answers) = ask(&mut pair, at, &datagram);
        assert_eq!(verdict, Err(Discarded::BadCookie));
        assert_eq!(notified(&answers[0].1), NotifyType::COOKIE);
    }
    assert_eq!(pair.b.endpoint.counters().key_exchanges, 0);
    pair.now = pair.now + Duration::from_secs(61);
    assert_eq!(ask(&mut pair, to_b(), &other_spi).0, Err(Discarded::CookieDemanded));
    let other_port = path(B, (A, 1234).into());
    assert_eq!(ask(&mut pair, other_port, &with(&request(), &cookie)).0, Ok(()));
    pair.now = pair.now + Duration::from_secs(3600);
    assert_eq!(ask(&mut pair, to_b(), &with(&other_spi, &cookie)).0, Err(Discarded::BadCookie));
}

/// A message longer than a buffer is dropped before anything is computed.
#[test]
fn long_requests_are_dropped() {
    let mut pair = Pair::pinned(1);
    let datagram = forge::altered_clear(&request(), |mut payloads| {
        payloads.push(Payload { kind: PayloadType::VENDOR_ID, body: vec![7; 2_000] });
        payloads
    });
    drops(&mut pair, to_b(), &datagram, Discarded::TooLong);
    assert_eq!(pair.b.endpoint.counters().key_exchanges, 0);
}
