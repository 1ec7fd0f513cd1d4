//! Hostile IKE_SA_INIT: send this, and this must happen. Nothing here is authenticated, so nothing may
//! change but counters, and answers stay rare and short (RFC 7296 §2.6, §2.21.1, RFC 8019).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use host_tests::forge::{self, Payload};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};
use ike_core::config::Suite;
use ike_core::error::Discarded;
use ike_core::output::{Output, Path};
use ike_core::wire::Malformed;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header, IkeSpi};
use ike_core::wire::notify::{NotifyType, NotifyView};

const LONG: Duration = Duration::from_secs(10);

fn path(local: IpAddr, remote: SocketAddr) -> Path {
    Path { interface: 0, local: (local, 500).into(), remote }
}

fn to_b() -> Path {
    path(B, (A, 500).into())
}

fn to_a() -> Path {
    path(A, (B, 500).into())
}

/// A's first request, taken off the cable.
fn request() -> Vec<u8> {
    let mut pair = Pair::pinned(9);
    pair.initiate();
    pair.datagrams[0].1.clone()
}

/// Datagrams with their ways.
type Sent = Vec<(Path, Vec<u8>)>;

/// What an endpoint answers to a datagram: its verdict and what it sends.
fn ask(pair: &mut Pair, path: Path, datagram: &[u8]) -> (Result<(), Discarded>, Sent) {
    let mut datagram = datagram.to_vec();
    let endpoint = if path.local.ip() == A { &mut pair.a.endpoint } else { &mut pair.b.endpoint };
    let verdict = endpoint.handle_datagram(pair.now, path, &mut datagram);
    let mut answers = Vec::new();
    loop {
        match endpoint.poll_output() {
            Output::Transmit { path, datagram } => answers.push((path, datagram.to_vec())),
            Output::Event(_) => {}
            Output::Timeout(_) => return (verdict, answers),
        }
    }
}

fn drops(pair: &mut Pair, path: Path, datagram: &[u8], reason: Discarded) {
    assert_eq!(ask(pair, path, datagram), (Err(reason), vec![]));
}

fn notified(answer: &[u8]) -> NotifyType {
    let header = Header::parse(answer).expect("a header");
    assert_eq!(header.next_payload, PayloadType::NOTIFY);
    NotifyView::parse(&answer[Header::LENGTH + 4..]).expect("a notification").kind
}

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

fn with_body(kind: PayloadType, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    forge::altered_clear(&request(), |mut payloads| {
        payloads
            .iter_mut()
            .filter(|payload| payload.kind == kind)
            .for_each(|payload| change(&mut payload.body));
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

fn proposal(transforms: &[[u8; 4]]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 1, 1, 0, u8::try_from(transforms.len()).expect("few")];
    for (index, [kind, _, id_high, id_low]) in transforms.iter().enumerate() {
        let more = if index + 1 == transforms.len() { 0 } else { 3 };
        body.extend([more, 0, 0, 8, *kind, 0, *id_high, *id_low]);
    }
    let length = u16::try_from(body.len()).expect("short").to_be_bytes();
    body[2..4].copy_from_slice(&length);
    body
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

fn answer(pair: &Pair, payload: &NotifyView<'_>) -> Vec<u8> {
    let request = Header::parse(&pair.datagrams[0].1).expect("a header");
    let header = Header { flags: Flags { initiator: false, response: true }, ..request };
    forge::clear(&header, |writer| payload.write(writer))
}

/// RFC 7296 §2.6: forged demands for cookies make an initiator try a few times, never for ever; the
/// true answer to what it sent last still wins.
#[test]
fn forged_cookies_are_bounded() {
    let mut pair = Pair::pinned(1);
    pair.link.cut = true;
    pair.initiate();
    for n in 0..1_000_u16 {
        let kind = if n % 2 == 0 { NotifyType::COOKIE } else { NotifyType::INVALID_KE_PAYLOAD };
        let forged = answer(&pair, &NotifyView::new(kind, &n.to_be_bytes()));
        let _ = pair.a.endpoint.handle_datagram(pair.now, to_a(), &mut forged.clone());
        pair.drain();
    }
    assert!(pair.link.sent() <= 6, "{} requests", pair.link.sent());
    pair.link.cut = false;
    pair.settle(Duration::from_secs(60));
    assert_eq!(pair.a.installed.len(), 1);
    assert!(pair.agree());
}

/// RFC 7296 §1.2: a demand for a group that was not offered or was tried already is ignored.
#[test]
fn downgrade_by_group_is_ignored() {
    let (mut a, b) = (parties::a(), parties::b());
    a.suites = &[Suite::FAST_SOFTWARE, Suite::HARDWARE_AES];
    let mut pair = Pair::new(a, b, 1);
    pair.link.cut = true;
    pair.initiate();
    for group in [0_u16, 1, 2, 14, 31, 0xFFFF] {
        let forged = answer(&pair, &NotifyView::new(NotifyType::INVALID_KE_PAYLOAD, &group.to_be_bytes()));
        drops(&mut pair, to_a(), &forged, Discarded::UselessRetry);
    }
    assert_eq!(pair.link.sent(), 1);
}

/// RFC 7296 §2.21.1: an unprotected error is a hint; the true answer that comes later is taken.
#[test]
fn unprotected_errors_are_hints() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    for kind in [4_u16, 7, 14, 24, 34, 44, 9999] {
        let forged = answer(&pair, &NotifyView::new(NotifyType(kind), &[]));
        drops(&mut pair, to_a(), &forged, Discarded::Hint);
    }
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
}

/// RFC 7296 §2.7, §3.3.6: an answer that chooses what was not offered is ignored; the true one wins.
#[test]
fn answers_beyond_the_offer_are_ignored() {
    const ENCR: [u8; 4] = [1, 0, 0, 28];
    const PRF: [u8; 4] = [2, 0, 0, 5];
    const KE: [u8; 4] = [4, 0, 0, 31];
    let mut pair = Pair::pinned(1);
    pair.initiate();
    let asked = pair.datagrams[0].1.clone();
    let (_, answers) = ask(&mut pair, to_b(), &asked);
    let with_sa = |sa: Vec<u8>| {
        forge::altered_clear(&answers[0].1, |mut payloads| {
            payloads.iter_mut().filter(|p| p.kind == PayloadType::SA).for_each(|p| p.body = sa.clone());
            payloads
        })
    };
    let mut numbered = proposal(&[ENCR, PRF, KE]);
    numbered[4] = 2;
    let one = proposal(&[ENCR, PRF, KE]);
    let mut first = one.clone();
    first[0] = 2;
    let mut second = one.clone();
    second[4] = 2;
    for sa in [
        numbered,
        [first, second].concat(),
        proposal(&[ENCR, PRF, KE, [3, 0, 0, 0]]),
        proposal(&[ENCR, PRF]),
        proposal(&[ENCR, PRF, [4, 0, 0, 19]]),
        proposal(&[[1, 0, 0, 12], PRF, KE]),
        proposal(&[ENCR, [2, 0, 0, 2], KE]),
    ] {
        drops(&mut pair, to_a(), &with_sa(sa), Discarded::NotOffered);
    }
    let own_nonce = pair.datagrams[0].1.clone();
    let nonce = forge::split(PayloadType::SA, &own_nonce[Header::LENGTH..]);
    let nonce = nonce.iter().find(|p| p.kind == PayloadType::NONCE).expect("there").body.clone();
    let mirrored = forge::altered_clear(&answers[0].1, |mut payloads| {
        payloads.iter_mut().filter(|p| p.kind == PayloadType::NONCE).for_each(|p| p.body = nonce.clone());
        payloads
    });
    drops(&mut pair, to_a(), &mirrored, Discarded::BadNonce);
    pair.settle(LONG);
    assert_eq!(pair.a.installed.len(), 1);
}

/// RFC 7296 §2.4: an answer forged with another key exchange makes IKE_AUTH fail; the handshake begins
/// anew and succeeds.
#[test]
fn forged_answer_only_delays() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    let mut mallory = Pair::pinned(66);
    let (_, answers) = ask(&mut mallory, to_b(), &pair.datagrams[0].1.clone());
    assert_eq!(ask(&mut pair, to_a(), &answers[0].1).0, Ok(()));
    pair.settle(Duration::from_secs(60));
    assert_eq!(pair.a.installed.len(), 1, "{}", pair.trace);
    assert!(pair.agree());
}

/// RFC 7296 §2.1: the same SPI from two sources makes two half-open IKE SAs; the very same request from
/// another port gets the very same answer, where it came from.
#[test]
fn same_spi_and_same_request() {
    let mut pair = Pair::pinned(1);
    let (_, first) = ask(&mut pair, to_b(), &request());
    let moved = path(B, (A, 40_000).into());
    let (verdict, again) = ask(&mut pair, moved, &request());
    assert_eq!(verdict, Ok(()));
    assert_eq!(again[0].0.remote, (A, 40_000).into());
    assert_eq!(again[0].1, first[0].1);
    assert_eq!(pair.b.endpoint.status().count(), 1);
    let twin = with_body(PayloadType::NONCE, |body| body[0] ^= 1);
    let (verdict, other) = ask(&mut pair, to_b(), &twin);
    assert_eq!(verdict, Ok(()));
    assert_ne!(other[0].1, first[0].1);
    assert_eq!(pair.b.endpoint.status().count(), 2);
}

/// A thousand retransmissions within two seconds get at most an answer a second beyond what they cost.
#[test]
fn retransmissions_do_not_multiply_octets() {
    let mut pair = Pair::pinned(1);
    let (_, first) = ask(&mut pair, to_b(), &request());
    let (mut octets_in, mut octets_out) = (0, 0);
    let honest = request();
    for _ in 0..1_000 {
        pair.now = pair.now + Duration::from_millis(2);
        octets_in += honest.len();
        octets_out += ask(&mut pair, to_b(), &honest).1.iter().map(|(_, d)| d.len()).sum::<usize>();
    }
    assert!(octets_out <= octets_in + 2 * first[0].1.len());
    assert!(octets_out <= 3 * first[0].1.len(), "longer answers leave once a second");
    let limited = pair.b.endpoint.counters().discarded(Discarded::RetransmissionLimit);
    assert!(limited > 990, "{limited}");
}

/// RFC 7296 §2.6: a flood costs no key exchange beyond the threshold, and does not keep a known peer out.
#[test]
fn flood_meets_cookies() {
    let mut pair = Pair::pinned(1);
    let honest = request();
    for n in 0..10_000_u32 {
        let mut datagram = honest.clone();
        datagram[..4].copy_from_slice(&(n + 1).to_be_bytes());
        let source = IpAddr::from([198, 51, (n >> 8) as u8, n as u8]);
        let (_, answers) = ask(&mut pair, path(B, (source, 500).into()), &datagram);
        let out: usize = answers.iter().map(|(_, d)| d.len()).sum();
        assert!(out <= datagram.len() + 64);
    }
    let counters = pair.b.endpoint.counters();
    assert_eq!(counters.key_exchanges, 2);
    assert_eq!(counters.discarded(Discarded::CookieDemanded), 9_998);
    pair.initiate();
    pair.settle(Duration::from_secs(60));
    assert_eq!(pair.b.installed.len(), 1, "{}", pair.trace);
}

/// RFC 8019 §4.2: one address that answers to cookies gets its share of half-open IKE SAs and no more.
#[test]
fn one_source_gets_its_share() {
    let (a, mut b) = (parties::a(), parties::b());
    b.timing.cookie_threshold = 200;
    b.timing.half_open_per_source = 2;
    let mut pair = Pair::new(a, b, 1);
    for n in 0..10_u8 {
        let mut datagram = request();
        datagram[0] = n + 1;
        let (verdict, _) = ask(&mut pair, to_b(), &datagram);
        assert_eq!(verdict, if n < 2 { Ok(()) } else { Err(Discarded::HalfOpenLimit) });
    }
    pair.pass(Duration::from_secs(31));
    assert_eq!(pair.b.endpoint.status().count(), 0);
    assert_eq!(ask(&mut pair, to_b(), &request()).0, Ok(()));
}

/// Full pools have an answer: silence for strangers, a place for us, and recovery by itself.
#[test]
fn full_pools_recover() {
    let (a, mut b) = (parties::a(), parties::b());
    b.timing.cookie_threshold = 200;
    b.timing.half_open_per_source = 200;
    let mut pair = Pair::new(a, b, 1);
    let mut verdicts = Vec::new();
    for n in 0..10_u8 {
        let mut datagram = request();
        datagram[0] = n + 1;
        verdicts.push(ask(&mut pair, to_b(), &datagram).0);
    }
    assert_eq!(verdicts.iter().filter(|v| v.is_ok()).count(), 3);
    assert!(verdicts[3..].iter().all(|v| *v == Err(Discarded::NoSlot)));
    let full = pair.b.endpoint.initiate(pair.now, PEER);
    assert_eq!(full, Err(ike_core::error::AcquireError::NoSlot));
    pair.pass(Duration::from_secs(31));
    assert_eq!(pair.b.endpoint.initiate(pair.now, PEER), Ok(()));
    pair.settle(LONG);
    assert_eq!(pair.b.installed.len(), 1);
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

/// An answer to no request, and one for another exchange.
#[test]
fn unasked_answers() {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    pair.settle(LONG);
    let init = pair.datagrams[1].1.clone();
    drops(&mut pair, to_a(), &init, Discarded::Unsolicited);
    let keys = forge::keys(&pair.a);
    let flags = Flags { initiator: false, response: true };
    for (exchange, id) in
        [(ExchangeType::INFORMATIONAL, 2), (ExchangeType::INFORMATIONAL, 7), (ExchangeType::IKE_AUTH, 1)]
    {
        let header = forge::header(&keys, exchange, flags, id);
        let forged = forge::sealed(&keys, &header, |_| Ok(()));
        drops(&mut pair, to_a(), &forged, Discarded::Unsolicited);
    }
    let unknown = Header {
        initiator_spi: IkeSpi(keys.spis.initiator ^ (1 << 40)),
        ..forge::header(&keys, ExchangeType::INFORMATIONAL, flags, 2)
    };
    drops(&mut pair, to_a(), &forge::sealed(&keys, &unknown, |_| Ok(())), Discarded::UnknownSpi);
}
