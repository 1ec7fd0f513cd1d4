//! Forged answers, retransmissions and floods of IKE_SA_INIT: retries are bounded, octets are not
//! multiplied, pools recover, and the true answer wins (RFC 7296 §2.1, §2.6, §2.21.1, RFC 8019).

use std::net::IpAddr;
use std::time::Duration;

use host_tests::forge;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER};
use host_tests::stage::*;
use ike_core::config::Suite;
use ike_core::error::Discarded;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header, IkeSpi};
use ike_core::wire::notify::{NotifyType, NotifyView};

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
