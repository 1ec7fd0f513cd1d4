//! ML-KEM beside Curve25519 (RFC 9370) in IKE_INTERMEDIATE (RFC 9242): who takes what of which offer, bad
//! cables, and every message out of its place or spoiled.

use std::time::Duration;

use host_tests::forge::{self, Payload};
use host_tests::link::{Direction, Fault, Odds};
use host_tests::nat_box::NatBox;
use host_tests::pair::Pair;
use host_tests::parties::{self, PEER, leak_all};
use host_tests::stage::*;
use ike_core::config::{Config, ConfigError, Suite};
use ike_core::crypto::Group;
use ike_core::error::{Discarded, FailReason};
use ike_core::output::IkeKeys;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::encrypted::Encrypted;
use ike_core::wire::header::{Header, Message};
use ike_core::wire::notify::NotifyType;

const MINUTES: Duration = Duration::from_secs(180);
const HYBRID: &[Suite] = &[Suite::POST_QUANTUM];
const EITHER: &[Suite] = &[Suite::POST_QUANTUM, Suite::FAST_SOFTWARE];
const CLASSIC: &[Suite] = &[Suite::FAST_SOFTWARE];

fn parties(of_a: &'static [Suite], of_b: &'static [Suite]) -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = (parties::a(), parties::b());
    (a.suites, b.suites) = (of_a, of_b);
    (a, b)
}

fn hybrid(seed: u64) -> Pair {
    let (a, b) = parties(HYBRID, HYBRID);
    Pair::new(a, b, seed)
}

fn header(datagram: &[u8]) -> Header {
    Header::parse(datagram).expect("a header")
}

/// Exchange and Message ID of each message, fragments counted once.
fn exchanges(pair: &Pair) -> Vec<(ExchangeType, u32, bool)> {
    let mut all: Vec<_> = pair
        .datagrams
        .iter()
        .map(|(_, datagram)| header(datagram))
        .map(|header| (header.exchange, header.message_id, header.flags.response))
        .collect();
    all.dedup();
    all
}

fn totals(pair: &Pair, way: Direction, exchange: ExchangeType) -> Vec<u16> {
    let sent = pair.datagrams.iter().filter(|(w, d)| *w == way && header(d).exchange == exchange);
    let total = |datagram: &Vec<u8>| {
        let message = Message::parse(datagram).expect("a message");
        Encrypted::find(&message).expect("well-formed").expect("sealed").fragment.map_or(1, |f| f.total())
    };
    let mut totals: Vec<u16> = sent.map(|(_, datagram)| total(datagram)).collect();
    totals.dedup();
    totals
}

/// RFC 9242 §3.2, RFC 9370 §2.2.2: one exchange between IKE_SA_INIT and IKE_AUTH, Message IDs in a row, no
/// datagram longer than 1,280. libreswan `ikev2-intermediate-04-addke-ml-kem-768`.
#[test]
fn both_exchanges_take_place() {
    let mut pair = hybrid(1);
    pair.link.mtu = 1280;
    pair.initiate();
    pair.settle(MINUTES);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let both = |exchange, id| [(exchange, id, false), (exchange, id, true)];
    let expected = [
        both(ExchangeType::IKE_SA_INIT, 0),
        both(ExchangeType::IKE_INTERMEDIATE, 1),
        both(ExchangeType::IKE_AUTH, 2),
    ];
    assert_eq!(exchanges(&pair), expected.concat());
    assert_eq!(pair.a.established()[0].suite, Suite::POST_QUANTUM);
    assert_eq!(totals(&pair, Direction::AtoB, ExchangeType::IKE_INTERMEDIATE), [2]);
    assert_eq!(totals(&pair, Direction::BtoA, ExchangeType::IKE_INTERMEDIATE), [1]);
    pair.a.endpoint.rekey(pair.now, PEER).expect("begins");
    pair.settle(MINUTES);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
}

/// RFC 9370 §2.2.1: what is offered × what is accepted. Whoever has nothing but the hybrid suite never comes
/// to stand without it. libreswan `ikev2-intermediate-07-fallback-no-intermediate`.
#[test]
fn nobody_is_talked_out_of_it() {
    let table = [
        (HYBRID, HYBRID, Some(Suite::POST_QUANTUM)),
        (HYBRID, EITHER, Some(Suite::POST_QUANTUM)),
        (HYBRID, CLASSIC, None),
        (EITHER, HYBRID, Some(Suite::POST_QUANTUM)),
        (EITHER, EITHER, Some(Suite::POST_QUANTUM)),
        (EITHER, CLASSIC, Some(Suite::FAST_SOFTWARE)),
        (CLASSIC, HYBRID, None),
        (CLASSIC, EITHER, Some(Suite::FAST_SOFTWARE)),
        (CLASSIC, CLASSIC, Some(Suite::FAST_SOFTWARE)),
    ];
    for (offered, accepted, chosen) in table {
        let (a, b) = parties(offered, accepted);
        let mut pair = Pair::new(a, b, 1);
        pair.initiate();
        pair.settle(MINUTES);
        assert_eq!(pair.a.established().first().map(|e| e.suite), chosen, "{offered:?} {accepted:?}");
        assert_eq!(pair.a.installed.len(), usize::from(chosen.is_some()));
        assert_eq!(pair.b.installed.len(), usize::from(chosen.is_some()));
    }
}

/// An additional exchange may be any other than the first, and ML-KEM-512 fits into IKE_SA_INIT alone.
#[test]
fn other_combinations() {
    for (group, additional) in [
        (Group::Curve25519, Some(Group::MlKem512)),
        (Group::P256, Some(Group::MlKem768)),
        (Group::Curve25519, Some(Group::P256)),
        (Group::MlKem512, Some(Group::Curve25519)),
        (Group::MlKem512, None),
    ] {
        let suites = leak_all(vec![Suite { group, additional, ..Suite::FAST_SOFTWARE }]);
        let (a, b) = parties(suites, suites);
        let mut pair = Pair::new(a, b, 1);
        pair.link.mtu = 1280;
        pair.initiate();
        pair.settle(MINUTES);
        assert!(pair.agree() && pair.a.installed.len() == 1, "{group:?} {additional:?}\n{}", pair.trace);
    }
}

/// RFC 9370 §2.2.1: no method twice, and nothing in IKE_SA_INIT that is too long for it.
#[test]
fn impossible_suites_are_refused() {
    for (group, additional) in [
        (Group::MlKem768, None),
        (Group::Curve25519, Some(Group::Curve25519)),
        (Group::MlKem768, Some(Group::P256)),
    ] {
        let mut config = parties::a();
        let bad = Suite { group, additional, ..Suite::FAST_SOFTWARE };
        config.suites = leak_all(vec![Suite::FAST_SOFTWARE, bad]);
        assert_eq!(config.check(), Err(ConfigError::KeyExchanges(1)));
    }
}

/// RFC 7296 §2.1: whichever datagram suffers whichever fault, both ends agree at the first try.
#[test]
fn hybrid_handshake_under_loss() {
    let mut pair = hybrid(1);
    pair.initiate();
    pair.settle(MINUTES);
    for number in 0..pair.link.sent() {
        for fault in Fault::ALL {
            // What spoils IKE_SA_INIT unnoticed is for other tests.
            if fault == Fault::Corrupt && number < 2 {
                continue;
            }
            let mut pair = hybrid(1);
            pair.link.script = vec![(number, fault)];
            pair.initiate();
            pair.settle(MINUTES);
            assert!(pair.agree() && pair.a.installed.len() == 1, "{fault:?} of {number}:\n{}", pair.trace);
            assert!(pair.a.failed().is_empty(), "{fault:?} of {number}:\n{}", pair.trace);
        }
    }
}

/// Any seed, a quarter of all datagrams hurt, paths that carry less than they are taken to.
#[test]
fn hybrid_handshakes_survive_bad_cables() {
    for seed in 0..40 {
        let mut pair = hybrid(seed);
        pair.link.odds = Odds { drop: 8, duplicate: 8, delay: 8, corrupt: 1 };
        pair.link.mtu = if seed % 2 == 0 { 576 } else { 1280 };
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

/// RFC 7383 §2.5.2: unanswered fragments are cut smaller, the total grows, and the answer goes in small ones
/// too, because the request came in such (§2.5.1). RFC 9242 §3.3.2: none of that changes what is signed.
#[test]
fn narrow_path_is_found() {
    let mut pair = hybrid(1);
    pair.link.mtu = 576;
    pair.initiate();
    pair.settle(MINUTES);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    assert_eq!(totals(&pair, Direction::AtoB, ExchangeType::IKE_INTERMEDIATE), [2, 3]);
    assert_eq!(totals(&pair, Direction::BtoA, ExchangeType::IKE_INTERMEDIATE), [3]);
}

/// RFC 7383 §2.4: an answer that does not get through, as the retransmissions of its request show, is cut
/// smaller though the requests arrive; under the keys that it was sealed with before.
#[test]
fn narrow_way_back_is_found() {
    let mut pair = hybrid(1);
    pair.link.mtu_from_b = 576;
    pair.initiate();
    pair.settle(MINUTES);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    assert_eq!(totals(&pair, Direction::BtoA, ExchangeType::IKE_INTERMEDIATE), [1, 3]);
    assert!(pair.a.failed().is_empty(), "{}", pair.trace);
}

/// RFC 9242 §3.2: with a NAT between, IKE_INTERMEDIATE is the first to use port 4500.
#[test]
fn nat_moves_the_first_exchange_behind_init() {
    let mut pair = hybrid(1);
    pair.link.nat_of_a = Some(NatBox::dynamic("203.0.113.9".parse().expect("an address")));
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.a.established().len() == 1 && pair.b.established().len() == 1, "{}", pair.trace);
    let is_marked = |(_, datagram): &(Direction, Vec<u8>)| datagram.starts_with(&[0; 4]);
    assert_eq!(pair.datagrams.iter().position(is_marked), Some(2));
    assert!(pair.datagrams[2..].iter().all(is_marked));
}

/// A pair stopped in front of A's IKE_INTERMEDIATE, whose fragments are returned with the keys.
fn before_intermediate() -> (Pair, IkeKeys, Vec<Vec<u8>>) {
    let mut pair = hybrid(1);
    pair.link.script = vec![(2, Fault::Drop), (3, Fault::Drop)];
    pair.initiate();
    while pair.link.sent() < 4 {
        assert!(pair.step(pair.now + LONG));
    }
    let keys = forge::keys(&pair.a);
    let fragments = pair.datagrams[2..4].iter().map(|(_, datagram)| datagram.clone()).collect();
    (pair, keys, fragments)
}

/// A request of A's in one datagram.
fn request(keys: &IkeKeys, id: u32, method: u16, value: &[u8]) -> Vec<u8> {
    let header = forge::header(keys, ExchangeType::IKE_INTERMEDIATE, FROM_A, id);
    let body = [&method.to_be_bytes()[..], &[0, 0], value].concat();
    let text = forge::join(&[Payload { kind: PayloadType::KE, body }]);
    forge::sealed_text(keys, &header, PayloadType::KE, &text)
}

/// The encapsulation key that A sent.
fn key_of_a(keys: &IkeKeys, fragments: &[Vec<u8>]) -> Vec<u8> {
    let text: Vec<u8> = fragments.iter().flat_map(|fragment| forge::opened(keys, fragment).2).collect();
    text[8..].to_vec()
}

fn refused(pair: &mut Pair, keys: &IkeKeys) {
    let answers = answers(pair, keys);
    assert_eq!(notify(&answers[0]), Some(NotifyType::INVALID_SYNTAX));
    assert_eq!(pair.b.failed()[0].reason, FailReason::BadMessage);
    assert_eq!(pair.b.endpoint.status().count(), 0);
}

/// FIPS 203 §7.2: a key of another length, or with a coefficient beyond the modulus, is refused, and so is
/// another method or no KE payload at all; the IKE SA is gone.
#[test]
fn bad_encapsulation_keys_are_refused() {
    let (_, keys, fragments) = before_intermediate();
    let key = key_of_a(&keys, &fragments);
    assert_eq!(key.len(), 1184);
    let mut overflown = key.clone();
    overflown[..3].fill(0xFF);
    let cases: [(u16, &[u8]); 6] = [
        (36, &key[1..]),
        (36, &[&key[..], &[0]].concat()),
        (36, &[]),
        (36, &overflown),
        (35, &key),
        (31, &key[..32]),
    ];
    for (method, value) in cases {
        let (mut pair, keys, _) = before_intermediate();
        assert_eq!(give(&mut pair, to_b(), &request(&keys, 1, method, value)), Ok(()));
        refused(&mut pair, &keys);
    }
    let (mut pair, keys, _) = before_intermediate();
    let header = forge::header(&keys, ExchangeType::IKE_INTERMEDIATE, FROM_A, 1);
    assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()));
    refused(&mut pair, &keys);
}

/// FIPS 203 §6.3, §7.3: a ciphertext of another length ends the attempt; one that is not for our key leads to
/// keys that nobody else has, so that IKE_AUTH is not understood.
#[test]
fn bad_ciphertexts_lead_nowhere() {
    let answer = |change: fn(&mut Vec<u8>)| {
        let (mut pair, keys, fragments) = before_intermediate();
        for fragment in fragments {
            assert_eq!(give(&mut pair, to_b(), &fragment), Ok(()));
        }
        pair.link.cut = true;
        pair.drain();
        let answer = pair.datagrams.last().expect("sent").1.clone();
        let forged = forge::altered(&keys, &answer, |_, mut payloads| {
            payloads.iter_mut().for_each(|payload| change(&mut payload.body));
            payloads
        });
        assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
        pair.drain();
        pair
    };
    let pair = answer(|body| body.truncate(1091));
    assert_eq!(pair.a.failed()[0].reason, FailReason::BadMessage);
    let pair = answer(|body| body[1] = 35);
    assert_eq!(pair.a.failed()[0].reason, FailReason::BadMessage);
    let mut pair = answer(|body| body[700] ^= 1);
    let (_, auth) = pair.datagrams.last().expect("sent").clone();
    assert_eq!(header(&auth).exchange, ExchangeType::IKE_AUTH);
    assert_eq!(give(&mut pair, to_b(), &auth), Err(Discarded::Forged));
    assert!(pair.b.installed.is_empty());
}

/// RFC 9242 §3.2: nothing before its turn, nothing twice, nothing that was not agreed on. libreswan
/// `ikev2-intermediate-03-unsolicited`.
#[test]
fn messages_out_of_place_are_dropped() {
    let (mut pair, keys, fragments) = before_intermediate();
    let key = key_of_a(&keys, &fragments);
    let early = forge::header(&keys, ExchangeType::IKE_AUTH, FROM_A, 1);
    assert_eq!(
        give(&mut pair, to_b(), &forge::sealed(&keys, &early, |_| Ok(()))),
        Err(Discarded::WrongState)
    );
    for id in [0, 2, 3] {
        let verdict = give(&mut pair, to_b(), &request(&keys, id, 36, &key));
        assert!(matches!(verdict, Err(Discarded::WrongMessageId | Discarded::AlteredRetransmission)), "{id}");
    }
    for fragment in &fragments {
        assert_eq!(give(&mut pair, to_b(), fragment), Ok(()));
    }
    // Once more gets the same answer; another in its place gets nothing, and neither does a second one.
    pair.link.cut = true;
    pair.drain();
    assert_eq!(give(&mut pair, to_b(), &fragments[0]), Ok(()));
    pair.drain();
    let answers = &pair.datagrams[pair.datagrams.len() - 2..];
    assert_eq!(answers[0], answers[1]);
    pair.link.cut = false;
    assert_eq!(give(&mut pair, to_b(), &request(&keys, 1, 36, &key)), Err(Discarded::AlteredRetransmission));
    assert_eq!(give(&mut pair, to_b(), &request(&keys, 2, 36, &key)), Err(Discarded::UnexpectedExchange));
    pair.settle(MINUTES);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    let keys = forge::keys(&pair.a);
    assert_eq!(give(&mut pair, to_b(), &request(&keys, 3, 36, &key)), Err(Discarded::UnexpectedExchange));
}

/// The SA payload of B's answer to A's request with this SA payload.
fn chosen(transforms: &[[u8; 4]]) -> Result<Vec<[u8; 4]>, NotifyType> {
    let mut asker = hybrid(9);
    asker.initiate();
    let request = asker.datagrams[0].1.clone();
    let request = forge::altered_clear(&request, |mut payloads| {
        payloads.iter_mut().filter(|p| p.kind == PayloadType::SA).for_each(|p| p.body = proposal(transforms));
        payloads
    });
    let mut pair = hybrid(1);
    let (_, answers) = ask(&mut pair, to_b(), &request);
    let answer = &answers[0].1;
    let payloads = forge::split(header(answer).next_payload, &answer[Header::LENGTH..]);
    match payloads.iter().find(|payload| payload.kind == PayloadType::SA) {
        Some(sa) => Ok(sa.body[8..].chunks(8).map(|t| [t[4], t[5], t[6], t[7]]).collect()),
        None => Err(notified(answer)),
    }
}

const CIPHER: [u8; 4] = [1, 0, 0, 28];
const PRF: [u8; 4] = [2, 0, 0, 5];
const CURVE: [u8; 4] = [4, 0, 0, 31];

/// RFC 9370 §2.2.1: one transform of each type that is offered, NONE for the places that are not needed, and
/// the list may have holes. libreswan `ikev2-intermediate-06-addke2-dh19-addke4-none-addke6-dh20`,
/// `ikev2-intermediate-05-addke-duplicate`.
#[test]
fn places_of_additional_exchanges() {
    let base = [CIPHER, PRF, CURVE];
    let with = |more: &[[u8; 4]]| [&base[..], more].concat();
    assert_eq!(chosen(&with(&[[6, 0, 0, 36]])), Ok(with(&[[6, 0, 0, 36]])));
    assert_eq!(chosen(&with(&[[6, 0, 0, 0], [6, 0, 0, 36]])), Ok(with(&[[6, 0, 0, 36]])));
    assert_eq!(
        chosen(&with(&[[7, 0, 0, 36], [9, 0, 0, 19], [9, 0, 0, 0], [11, 0, 0, 0]])),
        Ok(with(&[[7, 0, 0, 36], [9, 0, 0, 0], [11, 0, 0, 0]]))
    );
    for refused in [
        // Two of them, or another beside it that may not be left out, or the first once more, or none.
        with(&[[6, 0, 0, 36], [7, 0, 0, 36]]),
        with(&[[6, 0, 0, 36], [7, 0, 0, 19]]),
        with(&[[6, 0, 0, 31]]),
        with(&[[6, 0, 0, 0]]),
        with(&[[6, 0, 0, 36], [13, 0, 0, 0]]),
        base.to_vec(),
    ] {
        assert_eq!(chosen(&refused), Err(NotifyType::NO_PROPOSAL_CHOSEN), "{refused:?}");
    }
}

/// RFC 9370 §2.2.1: the initiator takes no answer that repeats a method, leaves one out, or has one that was
/// not offered; the true answer still counts.
#[test]
fn other_answers_are_not_taken() {
    for transforms in [
        vec![CIPHER, PRF, CURVE],
        vec![CIPHER, PRF, CURVE, [6, 0, 0, 0]],
        vec![CIPHER, PRF, CURVE, [6, 0, 0, 31]],
        vec![CIPHER, PRF, CURVE, [6, 0, 0, 35]],
        vec![CIPHER, PRF, CURVE, [7, 0, 0, 36]],
        vec![CIPHER, PRF, CURVE, [6, 0, 0, 36], [7, 0, 0, 0]],
    ] {
        let mut pair = hybrid(1);
        pair.link.script = vec![(1, Fault::Delay(Duration::from_millis(300)))];
        pair.initiate();
        while pair.link.sent() < 2 {
            assert!(pair.step(pair.now + LONG));
        }
        let forged = forge::altered_clear(&pair.datagrams[1].1.clone(), |mut payloads| {
            payloads
                .iter_mut()
                .filter(|p| p.kind == PayloadType::SA)
                .for_each(|p| p.body = proposal(&transforms));
            payloads
        });
        assert_eq!(give(&mut pair, to_a(), &forged), Err(Discarded::NotOffered), "{transforms:?}");
        pair.settle(MINUTES);
        assert!(pair.agree() && pair.a.installed.len() == 1);
    }
}

/// RFC 9242 §3.1, RFC 7296 §2.15: whoever takes the hybrid suite out of the offer, or the word that
/// IKE_INTERMEDIATE is spoken out of either message, is found out by AUTH or comes to nothing.
#[test]
fn stripping_it_is_found_out() {
    let strip_notify = |payloads: Vec<Payload>| {
        let number = NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED.0.to_be_bytes();
        payloads.into_iter().filter(|p| p.kind != PayloadType::NOTIFY || p.body[2..4] != number).collect()
    };
    let (a, b) = parties(EITHER, EITHER);
    let mut pair = Pair::new(a, b, 1);
    pair.link.script = vec![(0, Fault::Drop)];
    pair.initiate();
    let stripped = forge::altered_clear(&pair.datagrams[0].1.clone(), strip_notify);
    assert_eq!(give(&mut pair, to_b(), &stripped), Ok(()));
    pair.drain();
    pair.settle(Duration::from_millis(500));
    assert!(pair.a.established().is_empty() && pair.b.established().is_empty(), "{}", pair.trace);
    assert_eq!(pair.b.failed()[0].reason, FailReason::BadAuthentication);

    let mut pair = hybrid(1);
    pair.link.script = vec![(1, Fault::Drop)];
    pair.initiate();
    while pair.link.sent() < 2 {
        assert!(pair.step(pair.now + LONG));
    }
    let stripped = forge::altered_clear(&pair.datagrams[1].1.clone(), strip_notify);
    assert_eq!(give(&mut pair, to_a(), &stripped), Err(Discarded::NotOffered));
}
