//! Messages in fragments (RFC 7383): handshakes over paths that carry little, on good cables and bad ones.

use std::time::Duration;

use esp_engine::sa::SaReport;
use esp_engine::time::Instant;
use host_tests::link::{Direction, Fault, Odds};
use host_tests::pair::Pair;
use host_tests::parties::{self, PEER, leak_all};
use ike_core::config::Config;
use ike_core::pad::{Identity, Matcher};
use ike_core::wire::code_point::ExchangeType;
use ike_core::wire::encrypted::{Encrypted, Fragment};
use ike_core::wire::header::{Header, Message};

const MINUTES: Duration = Duration::from_secs(180);
/// The longest identity there is.
const LONG_NAME: &[u8] = &[b'n'; 128];

/// A and B, which send datagrams of this size.
fn parties(datagram: u16) -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = (parties::a(), parties::b());
    (a.timing.datagram, b.timing.datagram) = (datagram, datagram);
    (a, b)
}

/// Gives one party a name that makes its IKE_AUTH message, and by IDr also its peer's, longer than 576.
fn lengthen(config: &mut Config<'static>, other: &mut Config<'static>) {
    config.identity = Identity::KeyId(LONG_NAME);
    let mut entry = other.pad[0];
    entry.matcher = Matcher::Exact(Identity::KeyId(LONG_NAME));
    other.pad = leak_all(vec![entry]);
    let mut own = config.pad[0];
    own.send_key = true;
    config.pad = leak_all(vec![own]);
}

/// What is said of the fragment in a datagram.
fn fragment(datagram: &[u8]) -> Option<Fragment> {
    let message = Message::parse(datagram).expect("a message");
    Encrypted::find(&message).expect("well-formed")?.fragment
}

/// Numbers and totals of the fragments that went this way, in order.
fn fragments(pair: &Pair, way: Direction) -> Vec<(u16, u16)> {
    let sent = pair.datagrams.iter().filter(|(direction, _)| *direction == way);
    sent.filter_map(|(_, datagram)| fragment(datagram)).map(|f| (f.number(), f.total())).collect()
}

fn assert_up(pair: &Pair) {
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
}

/// RFC 7383 §2.4, §2.5: what is longer than the path carries goes in fragments, in both directions, and
/// what fits does not. libreswan `ikev2-frag-01`, `ikev2-frag-02`.
#[test]
fn what_is_too_long_goes_in_fragments() {
    for datagram in [256, 300, 576, 1280, 1400, 1500] {
        let (a, b) = parties(datagram);
        let mut pair = Pair::new(a, b, 1);
        pair.link.mtu = usize::from(datagram).max(320);
        pair.initiate();
        pair.settle(MINUTES);
        assert_up(&pair);
        for (_, octets) in &pair.datagrams[2..] {
            assert!(octets.len() + 28 <= usize::from(datagram), "{} of {datagram}", octets.len());
        }
        let cut = fragments(&pair, Direction::AtoB);
        assert_eq!(cut.is_empty(), datagram >= 576, "{datagram}: {cut:?}");
    }
}

/// RFC 7383 §2.5: same header but for Next Payload and length, only the first says what is inside, and no
/// IV is used twice.
#[test]
fn fragments_are_laid_out_as_the_rfc_draws_them() {
    let (mut a, mut b) = parties(256);
    lengthen(&mut a, &mut b);
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(MINUTES);
    let sent =
        pair.datagrams.iter().filter(|(way, octets)| *way == Direction::AtoB && fragment(octets).is_some());
    let octets: Vec<_> = sent.map(|(_, octets)| octets.clone()).collect();
    assert!(octets.len() > 2);
    for (index, octets_of_one) in octets.iter().enumerate() {
        let header = Header::parse(octets_of_one).expect("a header");
        assert_eq!((header.exchange, header.message_id), (ExchangeType::IKE_AUTH, 1));
        assert_eq!(octets_of_one[28] == 0, index > 0);
        let found = fragment(octets_of_one).expect("a fragment");
        assert_eq!((usize::from(found.number()), usize::from(found.total())), (index + 1, octets.len()));
    }
    let mut ivs: Vec<_> = octets.iter().map(|octets| octets[36..44].to_vec()).collect();
    ivs.sort();
    ivs.dedup();
    assert_eq!(ivs.len(), octets.len());
}

/// RFC 7383 §2.3, §2.4: no fragments unless both said that they can. libreswan `ikev2-frag-03`,
/// `ikev2-frag-04`.
#[test]
fn one_side_off_means_no_fragments() {
    for (of_a, of_b) in [(0, 256), (256, 0), (0, 0)] {
        let (mut a, mut b) = parties(0);
        (a.timing.datagram, b.timing.datagram) = (of_a, of_b);
        let mut pair = Pair::new(a, b, 1);
        pair.initiate();
        pair.settle(MINUTES);
        assert_up(&pair);
        assert!(pair.datagrams[2..].iter().all(|(_, octets)| fragment(octets).is_none()));
        assert!(pair.datagrams.len() == 4);
    }
}

/// RFC 7383 §2.5.2: a request that stays unanswered is cut into more and smaller fragments, and whatever
/// comes later on this IKE SA too.
#[test]
fn unanswered_request_is_cut_smaller() {
    let (mut a, mut b) = parties(1280);
    lengthen(&mut a, &mut b);
    lengthen(&mut b, &mut a);
    let mut pair = Pair::new(a, b, 1);
    pair.link.mtu = 576;
    pair.initiate();
    pair.settle(MINUTES);
    assert_up(&pair);
    assert_eq!(fragments(&pair, Direction::AtoB), [(1, 2), (2, 2)]);
    assert!(pair.now.since(Instant::from_millis(1_000)) < Duration::from_secs(5), "{}", pair.trace);
    assert_eq!(pair.a.failed().len() + pair.b.failed().len(), 0);
}

/// RFC 7296 §2.1, RFC 7383 §2.6.1: whichever fragment suffers whichever fault, both ends agree in the end,
/// at the first try, and nothing is left behind. libreswan `ikev2-frag-05`.
#[test]
fn fragments_under_loss() {
    let messages = {
        let (a, b) = parties(256);
        let mut pair = Pair::new(a, b, 1);
        pair.initiate();
        pair.settle(MINUTES);
        pair.link.sent()
    };
    for number in 2..messages {
        for fault in Fault::ALL {
            let (a, b) = parties(256);
            let mut pair = Pair::new(a, b, 1);
            pair.link.script = vec![(number, fault)];
            pair.initiate();
            pair.settle(MINUTES);
            assert!(pair.agree() && pair.a.installed.len() == 1, "{fault:?} of {number}:\n{}", pair.trace);
            assert!(pair.a.failed().is_empty(), "{fault:?} of {number}:\n{}", pair.trace);
        }
    }
}

/// Any seed, a quarter of all datagrams hurt or out of order, and a path that carries less than it is taken to.
#[test]
fn fragments_survive_bad_cables() {
    for seed in 0..100 {
        let (mut a, mut b) = parties([256, 300, 1280][seed as usize % 3]);
        lengthen(&mut a, &mut b);
        let mut pair = Pair::new(a, b, seed);
        pair.link.odds = Odds { drop: 8, duplicate: 8, delay: 8, corrupt: 2 };
        pair.link.mtu = 576;
        pair.initiate();
        for _ in 0..4 {
            pair.settle(MINUTES);
            if !pair.a.installed.is_empty() {
                break;
            }
            let _ = pair.a.endpoint.initiate(pair.now, PEER);
            pair.drain();
        }
        pair.link.odds = Odds::default();
        pair.settle(MINUTES);
        let newest = pair.a.installed.last().unwrap_or_else(|| panic!("seed {seed}:\n{}", pair.trace));
        let peer = pair.b.installed.iter().find(|b| b.inbound == newest.outbound).expect("paired");
        assert_eq!(newest.keys.inbound, peer.keys.outbound, "seed {seed}");
    }
}

/// RFC 7383 §2.4: there is no point in fragmenting the question whether the peer lives.
#[test]
fn liveness_is_not_fragmented() {
    let (a, b) = parties(256);
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(Duration::from_secs(5));
    let before = pair.datagrams.len();
    pair.now = pair.now + MINUTES;
    pair.a
        .endpoint
        .handle_sa_report(pair.now, SaReport::UnknownSpi { spi: 9_999, remote: parties::B, port: None });
    pair.settle(Duration::from_secs(5));
    assert!(pair.datagrams.len() > before);
    assert!(pair.datagrams[before..].iter().all(|(_, octets)| fragment(octets).is_none()));
}
