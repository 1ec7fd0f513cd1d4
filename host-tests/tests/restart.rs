//! A device that was switched off and on has forgotten its SAs (RFC 7296 §2.4): traffic is back within ten
//! seconds, whoever restarted, whoever has something to say first, and whoever is known to whom.

use std::time::Duration;

use esp_engine::sa::SaReport;
use host_tests::forge;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B};
use host_tests::plane::Devices;
use host_tests::stage::{FROM_A, ask, give, notified, standing, to_a, to_b};
use ike_core::config::Config;
use ike_core::error::{CloseReason, Discarded};
use ike_core::output::Output;
use ike_core::wire::Malformed;
use ike_core::wire::code_point::ExchangeType;
use ike_core::wire::header::{Flags, Header, IkeSpi};
use ike_core::wire::notify::{NotifyType, NotifyView};

const EVERY: Duration = Duration::from_millis(100);
const SHORT: Duration = Duration::from_secs(10);

type Parties = fn() -> (Config<'static>, Config<'static>);

/// What each of the two kinds of peers is known by.
const KINDS: [(&str, Parties); 2] =
    [("pinned", || (parties::a(), parties::b())), ("strangers", parties::strangers)];

/// Devices whose hosts have talked for a while.
fn talking(parties: Parties) -> Devices {
    let (a, b) = parties();
    let mut devices = Devices::new(a, b, 1);
    devices.from_a = Some(EVERY);
    devices.pass(Duration::from_secs(1));
    devices.from_b = Some(EVERY);
    devices.pass(Duration::from_secs(30));
    assert!(devices.silence(&devices.a) < EVERY * 2 && devices.silence(&devices.b) < EVERY * 2);
    devices
}

/// Demands that packets go both ways again, over one IKE SA in the end.
fn assert_back(devices: &mut Devices, case: &str) {
    devices.pass(SHORT - EVERY * 2);
    (devices.from_a, devices.from_b) = (Some(EVERY), Some(EVERY));
    devices.pass(EVERY * 2);
    let trace = devices.pair.trace.clone();
    assert!(devices.silence(&devices.a) < EVERY * 3, "{case}: A hears nothing\n{trace}");
    assert!(devices.silence(&devices.b) < EVERY * 3, "{case}: B hears nothing\n{trace}");
    devices.rest(Duration::from_secs(120));
    for side in [&devices.pair.a, &devices.pair.b] {
        assert_eq!(side.endpoint.status().count(), 1, "{case}\n{}", devices.pair.trace);
        assert_eq!(side.installed.len(), 1, "{case}\n{}", devices.pair.trace);
    }
}

/// libreswan `newoe-08-restart`: the end that restarted has packets to send and begins; INITIAL_CONTACT tells
/// the other what to forget.
#[test]
fn restarted_end_begins() {
    for (kind, parties) in KINDS {
        let mut devices = talking(parties);
        devices.restart_a();
        devices.from_b = None;
        assert_back(&mut devices, kind);
        assert_eq!(devices.pair.b.closed(), [CloseReason::InitialContact], "{kind}");
    }
}

/// The end that restarted waits; the other's ESP meets INVALID_SPI, its question nobody answers, and a new
/// IKE SA beside the old one brings the packets back before the old one is given up.
#[test]
fn restarted_end_waits() {
    for (kind, parties) in KINDS {
        let mut devices = talking(parties);
        devices.restart_b();
        devices.from_b = None;
        assert_back(&mut devices, kind);
    }
}

/// The same when the peer is of a make that says nothing of SPIs it does not know.
#[test]
fn restarted_end_waits_and_gives_no_hint() {
    for (kind, parties) in KINDS {
        let mut devices = talking(parties);
        devices.restart_b();
        devices.from_b = None;
        devices.deaf_to_hints = true;
        assert_back(&mut devices, kind);
    }
}

/// libreswan `newoe-09-mutual`: both have something to say when one of them restarts.
#[test]
fn both_ends_want_it() {
    for (kind, parties) in KINDS {
        let mut devices = talking(parties);
        devices.restart_b();
        assert_back(&mut devices, kind);
    }
}

/// Both restart.
#[test]
fn both_ends_restart() {
    for (kind, parties) in KINDS {
        let mut devices = talking(parties);
        devices.restart_a();
        devices.restart_b();
        assert_back(&mut devices, kind);
    }
}

/// libreswan `crossing-streams-20-peer-restarts-ondemand-ike-sa-init`, `crossing-streams-20-peer-restarts-ondemand-ike-auth`:
/// the peer restarts in the middle of a handshake, after each of its messages.
#[test]
fn peer_restarts_in_the_middle_of_a_handshake() {
    for (kind, parties) in KINDS {
        for messages in 1..=4 {
            let (a, b) = parties();
            let mut devices = Devices::new(a, b, 1);
            devices.from_a = Some(EVERY);
            while devices.pair.link.sent() < messages {
                devices.pass(Duration::from_millis(5));
            }
            devices.restart_b();
            devices.pass(Duration::from_secs(20));
            assert!(devices.silence(&devices.b) < EVERY * 2, "{kind} {messages}\n{}", devices.pair.trace);
        }
    }
}

/// RFC 7296 §1.5, §2.21.4: a sealed request for an IKE SA that we do not have is answered with INVALID_IKE_SPI
/// under its own SPIs and Message ID; an answer is not, nor is any of this multiplied.
#[test]
fn unknown_ike_spi_is_answered() {
    let (_, keys) = standing();
    let mut other = Pair::pinned(5);
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 7);
    let sealed = forge::sealed(&keys, &header, |_| Ok(()));
    let (verdict, answers) = ask(&mut other, to_b(), &sealed);
    assert_eq!(verdict, Err(Discarded::UnknownSpi));
    let answer = Header::parse(&answers[0].1).expect("a header");
    assert_eq!(answers[0].0, to_b());
    assert_eq!((answer.initiator_spi, answer.responder_spi), (header.initiator_spi, header.responder_spi));
    assert_eq!((answer.exchange, answer.message_id), (ExchangeType::INFORMATIONAL, 7));
    assert_eq!(answer.flags, Flags { initiator: false, response: true });
    assert_eq!(notified(&answers[0].1), NotifyType::INVALID_IKE_SPI);
    assert!(answers[0].1.len() <= sealed.len());
    let response = Header { flags: Flags { response: true, ..FROM_A }, ..header };
    let sealed_response = forge::sealed(&keys, &response, |_| Ok(()));
    assert_eq!(ask(&mut other, to_b(), &sealed_response), (Err(Discarded::UnknownSpi), vec![]));
    let answered = (0..1_000).filter(|_| !ask(&mut other, to_b(), &sealed).1.is_empty()).count();
    assert_eq!(answered, 9, "ten in a second, with the first");
}

/// RFC 7296 §1.5: ESP that nobody here has a use for, where no IKE SA stands: INVALID_SPI to where it came
/// from, on the port of IKE or through the NAT, which the receiver does not answer.
#[test]
fn unknown_spi_without_an_ike_sa() {
    let mut pair = Pair::pinned(5);
    for (port, expected) in [(None, ((B, 500), (A, 500))), (Some(40_000), ((B, 4500), (A, 40_000)))] {
        let report = SaReport::UnknownSpi { spi: 0x8123_4567, remote: A, port };
        pair.b.endpoint.handle_sa_report(pair.now, report);
        let Output::Transmit { path, datagram } = pair.b.endpoint.poll_output() else {
            panic!("a message");
        };
        assert_eq!((path.local, path.remote), (expected.0.into(), expected.1.into()));
        let octets = if port.is_some() { &datagram[4..] } else { datagram }.to_vec();
        let header = Header::parse(&octets).expect("a header");
        assert_eq!(header.flags, FROM_A);
        assert_eq!(header.responder_spi, IkeSpi::ZERO);
        assert_eq!(notified(&octets), NotifyType::INVALID_SPI);
        assert_eq!(ask(&mut pair, to_a(), &octets), (Err(Discarded::Hint), vec![]));
    }
}

/// RFC 7296 §1.5: "using zero values or random values are both acceptable": such a hint may come without any
/// SPI of an IKE SA, and nothing else may.
#[test]
fn hint_without_spis_of_an_ike_sa() {
    let mut pair = Pair::pinned(5);
    let unnamed = Header { initiator_spi: IkeSpi::ZERO, ..forge::init_header(1) };
    let hint = Header { exchange: ExchangeType::INFORMATIONAL, ..unnamed };
    let invalid_spi = |header: &Header| {
        forge::clear(header, |w| NotifyView::new(NotifyType::INVALID_SPI, &[0x81, 2, 3, 4]).write(w))
    };
    assert_eq!(ask(&mut pair, to_a(), &invalid_spi(&hint)), (Err(Discarded::Hint), vec![]));
    let refused = Err(Malformed::ZeroInitiatorSpi.into());
    for other in [
        unnamed,
        Header { message_id: 1, ..hint },
        Header { responder_spi: IkeSpi(7), ..hint },
        Header { flags: Flags { initiator: false, response: false }, ..hint },
        Header { flags: Flags { initiator: true, response: true }, ..hint },
    ] {
        assert_eq!(ask(&mut pair, to_a(), &invalid_spi(&other)), (refused, vec![]), "{other:?}");
    }
}

/// RFC 7296 §2.21.4: hints without protection, thousands of them, end nothing; they lead to a question, and to
/// no other until two seconds have passed.
#[test]
fn forged_hints_only_ask() {
    let mut pair = Pair::standing();
    pair.now = pair.now + Duration::from_secs(60);
    let outbound = pair.a.installed[0].outbound.get();
    let header = forge::init_header(0x1234);
    let header = Header { exchange: ExchangeType::INFORMATIONAL, ..header };
    let before = pair.link.sent();
    for n in 0..2_000_u32 {
        for spi in [outbound, n] {
            let data = spi.to_be_bytes();
            let hint = forge::clear(&header, |w| NotifyView::new(NotifyType::INVALID_SPI, &data).write(w));
            assert_eq!(give(&mut pair, to_a(), &hint), Err(Discarded::Hint));
        }
        pair.pass(Duration::from_millis(1));
    }
    assert_eq!(pair.link.sent(), before + 2, "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 1);
    assert!(pair.a.closed().is_empty());
}

/// RFC 7296 §1.5, §2.25: a peer that says over the IKE SA that it does not know the SPI we send with is asked for
/// a successor of that pair, and of no other.
#[test]
fn lost_child_is_replaced() {
    let (mut pair, keys) = standing();
    let spi = pair.b.installed[0].outbound.get();
    for (id, named, renewed) in [(2, spi ^ 1, false), (3, spi, true)] {
        let data = named.to_be_bytes();
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, id);
        let told =
            forge::sealed(&keys, &header, |w| NotifyView::new(NotifyType::INVALID_SPI, &data).write(w));
        let before = pair.b.children().len();
        assert_eq!(give(&mut pair, to_b(), &told), Ok(()));
        assert_eq!(pair.b.installed.len(), 1, "nothing ends because of it");
        pair.settle(SHORT);
        assert_eq!(pair.b.children().len() > before, renewed, "{}", pair.trace);
    }
    assert_eq!(pair.b.installed.len(), 1);
    assert!(pair.agree());
}

/// RFC 7619 §2.3: a stranger that comes to stand makes us ask its like at the same address whether they live.
#[test]
fn stranger_makes_us_ask_its_like() {
    let (a, b) = parties::strangers();
    let mut entry = a.pad[0];
    entry.address = Some((B, 500).into());
    let a = Config { pad: parties::leak_all(vec![entry]), ..a };
    let mut pair = Pair::new(a.clone(), b, 1);
    pair.initiate();
    pair.settle(SHORT);
    let mut changed = a;
    changed.key = Some(ike_core::crypto::PrivateKey::Ed25519([0xC3; 32]));
    let mut fresh = Pair::new(changed, parties::strangers().1, 7);
    std::mem::swap(&mut pair.a, &mut fresh.a);
    pair.now = pair.now + Duration::from_secs(60);
    pair.initiate();
    pair.settle(Duration::from_secs(120));
    assert!(pair.b.closed().contains(&CloseReason::PeerDead), "{}", pair.trace);
}
