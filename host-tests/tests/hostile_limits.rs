//! Limits of what peers can make us do, known ones and those that guess: requests in a second, wrong shared
//! keys, exchanges that do not exist, and what a flapping link or a jumping clock leaves behind (RFC 7296
//! §2.21, RFC 7619 §3.2).

use std::time::Duration;

use host_tests::forge;
use host_tests::pair::Pair;
use host_tests::parties::{self, PEER};
use host_tests::stage::*;
use ike_core::error::{CloseReason, Discarded, FailReason};
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::notify::{NotifyType, NotifyView};

/// RFC 7296 §2.21.3: a request of an exchange that does not exist ends the IKE SA with INVALID_SYNTAX once its sender
/// is known, and is dropped before; of exchanges that exist elsewhere nothing is said.
#[test]
fn unknown_exchanges() {
    for number in [0, 1, 33, 38, 42, 45, 255] {
        let exchange = ExchangeType(number);
        let (mut pair, keys) = standing();
        let header = forge::header(&keys, exchange, FROM_A, 2);
        assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()), "{number}");
        assert_eq!(notify(&answers(&mut pair, &keys)[0]), Some(NotifyType::INVALID_SYNTAX));
        assert_eq!(pair.b.closed(), [CloseReason::RefusedByPeer(NotifyType::INVALID_SYNTAX.0)]);
        let (mut pair, keys, _) = before_auth();
        let header = forge::header(&keys, exchange, FROM_A, 1);
        let sealed = forge::sealed(&keys, &header, |_| Ok(()));
        drops(&mut pair, to_b(), &sealed, Discarded::UnexpectedExchange);
        let (mut pair, keys) = standing();
        let header = forge::header(&keys, exchange, FROM_A, 2);
        let mut forged = forge::sealed(&keys, &header, |_| Ok(()));
        *forged.last_mut().expect("octets") ^= 1;
        drops(&mut pair, to_b(), &forged, Discarded::Forged);
        assert_eq!(pair.b.installed.len(), 1);
    }
}

/// RFC 7619 §3.2: a known peer that asks ten thousand times within a second is answered a hundred times, whatever it
/// asks, and goes on in the next second; the rest costs no decryption.
#[test]
fn storm_of_a_known_peer() {
    let (mut pair, keys) = standing();
    pair.now = pair.now + LONG;
    let mut taken = 0;
    for n in 0..10_000 {
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2 + taken);
        let request = forge::sealed(&keys, &header, |_| Ok(()));
        match ask(&mut pair, to_b(), &request) {
            (Ok(()), answers) => {
                assert_eq!(answers.len(), 1);
                taken += 1;
            }
            (verdict, answers) => assert_eq!((verdict, answers), (Err(Discarded::TooManyRequests), vec![])),
        }
        if n % 20 == 0 {
            pair.now = pair.now + Duration::from_millis(1);
        }
    }
    assert_eq!(taken, 100);
    pair.now = pair.now + Duration::from_secs(1);
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2 + taken);
    assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()));
    assert_eq!(pair.b.installed.len(), 1);
}

/// What nobody proved to be the peer's does not count against it.
#[test]
fn forged_requests_take_nothing_from_the_peer() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let genuine = forge::sealed(&keys, &header, |_| Ok(()));
    let mut forged = genuine.clone();
    *forged.last_mut().expect("octets") ^= 1;
    for _ in 0..1_000 {
        drops(&mut pair, to_b(), &forged, Discarded::Forged);
    }
    assert_eq!(give(&mut pair, to_b(), &genuine), Ok(()));
}

/// RFC 7296 §2.15: whoever guesses a shared key gets a guess at 0, 1, 3, 7 and 15 seconds, not twenty a second; the
/// one who knows it is let in once the present pause is over.
#[test]
fn shared_keys_are_guessed_slowly() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::share(&mut b, b"a secret of sixteen octets or so");
    b.timing.half_open = Duration::from_millis(400);
    b.timing.half_open_per_source = 200;
    let mut honest = parties::a();
    parties::share(&mut honest, b"a secret of sixteen octets or so");
    parties::share(&mut a, b"a guess of sixteen octets, wrong");
    let mut pair = Pair::new(a, b.clone(), 1);
    for _ in 0..400 {
        let _ = pair.a.endpoint.initiate(pair.now, PEER);
        pair.pass(Duration::from_millis(50));
    }
    let wrong = pair.b.failed().iter().filter(|f| f.reason == FailReason::BadAuthentication).count();
    assert!((3..=5).contains(&wrong), "{wrong} guesses in 20 s");
    assert!(pair.b.endpoint.counters().discarded(Discarded::GuessLimit) > 0);
    std::mem::swap(&mut pair.a, &mut Pair::new(honest, b, 7).a);
    for _ in 0..60 {
        let _ = pair.a.endpoint.initiate(pair.now, PEER);
        pair.pass(Duration::from_secs(1));
    }
    assert!(!pair.b.established().is_empty(), "{}", pair.trace);
}

/// RFC 7296 §2.3: whatever window the peer offers, we ask for one thing at a time, and malformed offers are ignored.
#[test]
fn offered_windows_change_nothing() {
    let (mut pair, keys) = standing();
    for (id, data) in [(2, &[0, 0, 0, 0][..]), (3, &[0xFF; 4]), (4, &[0, 0, 1])] {
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, id);
        let offer = NotifyView::new(NotifyType::SET_WINDOW_SIZE, data);
        assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |w| offer.write(w))), Ok(()));
        assert_eq!(answers(&mut pair, &keys), [vec![]]);
    }
    let before = pair.link.sent();
    pair.link.cut = true;
    for _ in 0..3 {
        pair.b.endpoint.rekey(pair.now, PEER).expect("begins once");
        pair.drain();
    }
    assert_eq!(pair.link.sent(), before + 1);
}

/// RFC 7296 §3.11: a Delete whose fields lie is refused as malformed; one of other protocols names nothing of ours; one
/// that names the IKE SA too ends it.
#[test]
fn lying_deletes() {
    type Body = fn(u32) -> Vec<u8>;
    const REFUSED: Option<NotifyType> = Some(NotifyType::INVALID_SYNTAX);
    let esp = |spi: u32| [&[3, 4, 0, 1][..], &spi.to_be_bytes()].concat();
    let bodies: [(Body, Option<NotifyType>, usize); 5] = [
        (|spi| [&[3, 4, 0, 2][..], &spi.to_be_bytes()].concat(), REFUSED, 0),
        (|spi| [&[3, 8, 0, 1][..], &spi.to_be_bytes()].concat(), REFUSED, 0),
        (|spi| [&[1, 4, 0, 1][..], &spi.to_be_bytes()].concat(), REFUSED, 0),
        (|spi| [&[2, 4, 0, 1][..], &spi.to_be_bytes()].concat(), None, 1),
        (|_| vec![3, 4, 0, 0], None, 1),
    ];
    for (n, (body, refusal, left)) in bodies.into_iter().enumerate() {
        let (mut pair, keys) = standing();
        let spi = pair.b.installed[0].outbound.get();
        let text = forge::join(&[forge::Payload { kind: PayloadType::DELETE, body: body(spi) }]);
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
        let sealed = forge::sealed_text(&keys, &header, PayloadType::DELETE, &text);
        assert_eq!(give(&mut pair, to_b(), &sealed), Ok(()), "{n}");
        assert_eq!(notify(&answers(&mut pair, &keys)[0]), refusal, "{n}");
        assert_eq!(pair.b.installed.len(), left, "{n}");
    }
    let (mut pair, keys) = standing();
    let spi = pair.b.installed[0].outbound.get();
    let both = [esp(spi), vec![1, 0, 0, 0]].map(|body| forge::Payload { kind: PayloadType::DELETE, body });
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let sealed = forge::sealed_text(&keys, &header, PayloadType::DELETE, &forge::join(&both));
    assert_eq!(give(&mut pair, to_b(), &sealed), Ok(()));
    assert_eq!(answers(&mut pair, &keys), [vec![]], "whoever deletes the IKE SA is answered with nothing");
    assert_eq!(pair.b.closed(), [CloseReason::DeletedByPeer]);
}

/// A link that comes and goes ten times a second while SAs are begun, replaced and closed leaves no slot and no buffer
/// behind: afterwards all is as at the start.
#[test]
fn flapping_link_leaves_nothing_behind() {
    let mut pair = Pair::pinned(11);
    for n in 0..500_u32 {
        pair.link.cut = n % 2 == 0;
        match n % 7 {
            0 | 3 => _ = pair.a.endpoint.initiate(pair.now, PEER),
            1 => _ = pair.b.endpoint.initiate(pair.now, PEER),
            2 | 5 => _ = pair.a.endpoint.rekey(pair.now, PEER),
            4 => pair.b.endpoint.close(pair.now, PEER),
            _ => pair.a.endpoint.close(pair.now, PEER),
        }
        pair.pass(Duration::from_millis(100));
    }
    pair.link.cut = false;
    pair.pass(Duration::from_secs(200));
    pair.a.endpoint.close(pair.now, PEER);
    pair.b.endpoint.close(pair.now, PEER);
    pair.pass(Duration::from_secs(600));
    for side in [&pair.a, &pair.b] {
        assert_eq!(side.endpoint.status().count(), 0);
        assert!(side.installed.is_empty());
    }
    for _ in 0..4 {
        pair.initiate();
        pair.pass(Duration::from_secs(10));
        assert!(pair.agree() && pair.a.installed.len() == 1, "room for a new one");
        pair.a.endpoint.close(pair.now, PEER);
        pair.pass(Duration::from_secs(100));
    }
}

/// A clock that stands still fires nothing twice, and one that leaps by 2^32 ms fires each timer once.
#[test]
fn clock_that_stands_and_leaps() {
    let mut pair = Pair::standing();
    let before = pair.link.sent();
    for _ in 0..100 {
        pair.tick();
    }
    assert_eq!(pair.link.sent(), before);
    pair.now = pair.now + Duration::from_millis(1 << 32);
    for _ in 0..100 {
        pair.tick();
    }
    pair.settle(Duration::from_secs(200));
    for side in [&pair.a, &pair.b] {
        assert!(side.installed.is_empty(), "a lifetime of a day is over after 49");
        assert_eq!(side.closed().len(), 1);
        assert_eq!(side.endpoint.status().count(), 0);
    }
}

/// An end that shuts down tells its peers, waits for their answers or gives them up in the time that any request has, and
/// lets nobody in again.
#[test]
fn shutdown_ends_in_bounded_time() {
    for is_cut in [false, true] {
        let mut pair = Pair::standing();
        pair.link.cut = is_cut;
        pair.a.endpoint.shutdown(pair.now);
        pair.settle(if is_cut { parties::a().timing.give_up() } else { Duration::from_millis(100) });
        assert_eq!(pair.a.endpoint.status().count(), 0, "{}", pair.trace);
        assert_eq!(pair.a.closed(), [CloseReason::Requested]);
        assert_eq!(pair.b.installed.is_empty(), !is_cut);
        let called = ask(&mut pair, path(parties::A, (parties::B, 500).into()), &request());
        assert_eq!(called, (Err(Discarded::ShuttingDown), vec![]));
    }
}
