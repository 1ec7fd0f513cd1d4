//! Hostile CREATE_CHILD_SA (RFC 7296 §1.3, §2.8, §2.18, §2.25): requests for what cannot be, answers that are
//! none, nonces that come back, and peers that ask without end.

use esp_engine::sa::SaReport;
use esp_engine::selector::{AddressRange, TrafficSelector};
use host_tests::forge;
use host_tests::link::Fault;
use host_tests::pair::Pair;
use host_tests::parties::{A, B, PEER};
use host_tests::stage::*;
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Group, KeyExchange};
use ike_core::error::{CloseReason, Discarded};
use ike_core::output::IkeKeys;
use ike_core::wire::code_point::{ExchangeType, PayloadType, Protocol};
use ike_core::wire::header::{Flags, Header};
use ike_core::wire::ke::KeView;
use ike_core::wire::nonce::NonceView;
use ike_core::wire::notify::{NotifyType, NotifyView};
use ike_core::wire::sa::{self, Proposal};
use ike_core::wire::transform::{KeyExchangeMethod, Transform, TransformType};
use ike_core::wire::writer::Writer;
use ike_core::wire::{NoSpace, ts};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

type Written = Result<(), NoSpace>;

/// A's next request in [`standing`].
const NEXT: u32 = 2;
const FROM_A_ANSWER: Flags = Flags { initiator: true, response: true };
const FROM_B_ANSWER: Flags = Flags { initiator: false, response: true };

/// What B answers to A's request: the notification, if it is one.
fn answer(
    pair: &mut Pair,
    keys: &IkeKeys,
    id: u32,
    payloads: impl FnOnce(&mut Writer<'_>) -> Written,
) -> Option<NotifyType> {
    // Slower than the rate at which a peer is answered.
    pair.now = pair.now + std::time::Duration::from_secs(1);
    let header = forge::header(keys, ExchangeType::CREATE_CHILD_SA, FROM_A, id);
    assert_eq!(give(pair, to_b(), &forge::sealed(keys, &header, payloads)), Ok(()));
    notify(answers(pair, keys).last().expect("answered"))
}

fn transform(kind: TransformType, id: u16) -> Transform {
    Transform { kind, id, key_length: None }
}

/// An offer for a successor of the IKE SA with this method of key exchange.
fn ike_offer(method: u16, spi: u64, writer: &mut Writer<'_>) -> Written {
    let transforms = [
        transform(TransformType::ENCR, 28),
        transform(TransformType::PRF, 5),
        transform(TransformType::KE, method),
    ];
    let spi = spi.to_be_bytes();
    sa::write([Proposal { number: 1, protocol: Protocol::IKE, spi: &spi, transforms }], writer)
}

fn esp_offer(spi: u32, writer: &mut Writer<'_>) -> Written {
    let transforms = [transform(TransformType::ENCR, 28), transform(TransformType::ESN, 1)];
    let spi = spi.to_be_bytes();
    sa::write([Proposal { number: 1, protocol: Protocol::ESP, spi: &spi, transforms }], writer)
}

fn nonce(octet: u8, writer: &mut Writer<'_>) -> Written {
    NonceView::parse(&[octet; 32]).expect("legal").write(writer)
}

fn public() -> Vec<u8> {
    let mut random = ChaCha20Rng::seed_from_u64(5);
    Software.generate(Group::Curve25519, &mut random).expect("random").public().to_vec()
}

fn exchange(writer: &mut Writer<'_>) -> Written {
    KeView { method: KeyExchangeMethod(31), data: &public() }.write(writer)
}

fn selectors(writer: &mut Writer<'_>) -> Written {
    let all = |address| [TrafficSelector::all(AddressRange::single(address))];
    ts::write(PayloadType::TSI, &all(A), writer)?;
    ts::write(PayloadType::TSR, &all(B), writer)?;
    NotifyView::new(NotifyType::USE_TRANSPORT_MODE, &[]).write(writer)
}

fn rekey_of(protocol: Protocol, spi: &[u8], writer: &mut Writer<'_>) -> Written {
    NotifyView { protocol, spi, kind: NotifyType::REKEY_SA, data: &[] }.write(writer)
}

/// RFC 7296 §2.18: an IKE SA has no successor without a key exchange of its own, none of which all that is
/// missing or too much is part.
#[test]
fn successors_that_cannot_be() {
    let refused = |expected, payloads: &dyn Fn(&mut Writer<'_>) -> Written| {
        let (mut pair, keys) = standing();
        assert_eq!(answer(&mut pair, &keys, NEXT, payloads), Some(expected));
        pair.drain();
        assert!(pair.b.successors().is_empty(), "{}", pair.trace);
        // INVALID_SYNTAX ends an IKE SA (RFC 7296 §2.21.3), anything else leaves it.
        assert_eq!(pair.b.installed.is_empty(), expected == NotifyType::INVALID_SYNTAX);
    };
    refused(NotifyType::NO_PROPOSAL_CHOSEN, &|w| {
        ike_offer(0, 7, w)?;
        nonce(1, w)?;
        exchange(w)
    });
    refused(NotifyType::INVALID_SYNTAX, &|w| {
        ike_offer(31, 7, w)?;
        nonce(1, w)
    });
    refused(NotifyType::INVALID_SYNTAX, &|w| {
        ike_offer(31, 7, w)?;
        nonce(1, w)?;
        exchange(w)?;
        selectors(w)
    });
    refused(NotifyType::INVALID_SYNTAX, &|w| {
        let child = [0x80, 0, 0, 9];
        rekey_of(Protocol::ESP, &child, w)?;
        ike_offer(31, 7, w)?;
        nonce(1, w)?;
        exchange(w)
    });
    refused(NotifyType::INVALID_SYNTAX, &|w| {
        ike_offer(31, 7, w)?;
        exchange(w)
    });
    // A value that is none (RFC 6989 §2.5), an SPI of zero, another group than is offered.
    refused(NotifyType::INVALID_SYNTAX, &|w| {
        ike_offer(31, 7, w)?;
        nonce(1, w)?;
        KeView { method: KeyExchangeMethod(31), data: &[0; 32] }.write(w)
    });
    refused(NotifyType::NO_PROPOSAL_CHOSEN, &|w| {
        ike_offer(31, 0, w)?;
        nonce(1, w)?;
        exchange(w)
    });
    refused(NotifyType::INVALID_KE_PAYLOAD, &|w| {
        ike_offer(31, 7, w)?;
        nonce(1, w)?;
        KeView { method: KeyExchangeMethod(19), data: &[4; 64] }.write(w)
    });
}

/// RFC 7296 §1.3.3, §3.10 (CVE-2023-38710): REKEY_SA names one ESP SA of the sender, by four octets; what names
/// something else is refused and ends nobody else's SA.
#[test]
fn rekey_sa_names_one_child() {
    let child = 0x8000_0009_u32.to_be_bytes();
    let long = [0x80; 8];
    for (protocol, spi) in [
        (Protocol(0), &child[..]),
        (Protocol::IKE, &child[..]),
        (Protocol(255), &child[..]),
        (Protocol::ESP, &[][..]),
        (Protocol::ESP, &child[..3]),
        (Protocol::ESP, &long[..]),
        (Protocol::IKE, &long[..]),
    ] {
        let (mut pair, keys) = standing();
        let kind = answer(&mut pair, &keys, NEXT, |w| {
            rekey_of(protocol, spi, w)?;
            esp_offer(0x8000_0001, w)?;
            nonce(1, w)?;
            selectors(w)
        });
        let expected = [Some(NotifyType::INVALID_SYNTAX), Some(NotifyType::CHILD_SA_NOT_FOUND)];
        assert!(expected.contains(&kind), "{protocol:?} {spi:?}: {kind:?}");
        assert!(pair.b.children().len() == 1);
    }
    // AH is a protocol of Child SAs, of which there is none.
    let (mut pair, keys) = standing();
    let kind = answer(&mut pair, &keys, NEXT, |w| {
        rekey_of(Protocol::AH, &child, w)?;
        esp_offer(0x8000_0001, w)?;
        nonce(1, w)?;
        selectors(w)
    });
    assert_eq!(kind, Some(NotifyType::CHILD_SA_NOT_FOUND));
    // Two of them at once.
    let (mut pair, keys) = standing();
    let own = pair.a.installed[0].inbound.get().to_be_bytes();
    let kind = answer(&mut pair, &keys, NEXT, |w| {
        rekey_of(Protocol::ESP, &own, w)?;
        rekey_of(Protocol::ESP, &own, w)?;
        esp_offer(0x8000_0001, w)?;
        nonce(1, w)?;
        selectors(w)
    });
    assert_eq!(kind, Some(NotifyType::INVALID_SYNTAX));
}

/// RFC 4303 §2.1: reserved SPIs are refused; one that is in use already is the peer's own business.
#[test]
fn spis_of_new_pairs() {
    for spi in [0, 1, 255] {
        let (mut pair, keys) = standing();
        let kind = answer(&mut pair, &keys, NEXT, |w| {
            esp_offer(spi, w)?;
            nonce(1, w)?;
            selectors(w)
        });
        assert_eq!(kind, Some(NotifyType::NO_PROPOSAL_CHOSEN), "{spi}");
        assert_eq!(pair.b.installed.len(), 1);
    }
    let (mut pair, keys) = standing();
    let in_use = pair.a.installed[0].inbound.get();
    let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, FROM_A, NEXT);
    let request = forge::sealed(&keys, &header, |w| {
        esp_offer(in_use, w)?;
        nonce(1, w)?;
        selectors(w)
    });
    assert_eq!(give(&mut pair, to_b(), &request), Ok(()));
    pair.drain();
    assert_eq!(pair.b.installed.len(), 2);
}

/// RFC 7296 §1.3: nobody gets Child SAs without end.
#[test]
fn child_sas_without_end() {
    let (mut pair, keys) = standing();
    let mut made = 0;
    for id in NEXT..NEXT + 1_000 {
        let kind = answer(&mut pair, &keys, id, |w| {
            esp_offer(0x8000_0000 + id, w)?;
            nonce(id as u8, w)?;
            selectors(w)
        });
        if kind == Some(NotifyType::NO_ADDITIONAL_SAS) {
            break;
        }
        made += 1;
    }
    assert_eq!(pair.b.installed.len(), 1 + made);
    assert!(made < 16, "one IKE SA has at most sixteen");
}

/// RFC 7296 §2.8: nobody gets IKE SAs without end: a peer that never deletes the old ones is told to wait, and
/// they end by themselves.
#[test]
fn ike_sas_without_end() {
    let (mut pair, keys) = standing();
    let kind = answer(&mut pair, &keys, NEXT, |w| {
        ike_offer(31, 7, w)?;
        nonce(1, w)?;
        exchange(w)
    });
    assert_eq!(kind, None);
    assert_eq!(pair.b.successors().len(), 1);
    assert_eq!(pair.b.endpoint.status().map(|sa| sa.children).collect::<Vec<_>>(), [0, 1]);
    for id in NEXT + 1..NEXT + 100 {
        let kind = answer(&mut pair, &keys, id, |w| {
            ike_offer(31, 8, w)?;
            nonce(id as u8, w)?;
            exchange(w)
        });
        assert_eq!(kind, Some(NotifyType::TEMPORARY_FAILURE));
    }
    // The old one was answered on for a while; then B sends the Delete that A owes, and goes on without it.
    let spis = pair.b.endpoint.status().next().expect("old").spis;
    pair.link.cut = true;
    pair.pass(std::time::Duration::from_secs(400));
    assert!(pair.b.endpoint.status().all(|sa| sa.spis != spis), "{}", pair.trace);
    assert_eq!(pair.b.closed(), [CloseReason::Replaced]);
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 7296 §2.8.1: a nonce of ours that comes back is no accident: the IKE SA ends, in both kinds of rekeying,
/// whether it comes in a request or in an answer.
#[test]
fn own_nonce_comes_back() {
    for is_ike in [false, true] {
        for in_request in [false, true] {
            let (mut pair, keys) = standing();
            pair.link.cut = true;
            if is_ike {
                pair.a.endpoint.rekey_ike_sas(pair.now, PEER);
            } else {
                let spi = pair.a.installed[0].inbound;
                pair.a.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(spi));
            }
            pair.drain();
            let (header, first, text) = forge::opened(&keys, &pair.datagrams.last().expect("sent").1);
            let flags = if in_request { FROM_B } else { FROM_B_ANSWER };
            let id = if in_request { 0 } else { header.message_id };
            let back = forge::sealed_text(&keys, &Header { flags, message_id: id, ..header }, first, &text);
            assert_eq!(give(&mut pair, to_a(), &back), Ok(()));
            pair.drain();
            assert!(pair.a.installed.is_empty(), "{is_ike}, {in_request}:\n{}", pair.trace);
            let invalid = CloseReason::RefusedByPeer(NotifyType::INVALID_SYNTAX.0);
            pair.pass(std::time::Duration::from_secs(300));
            assert_eq!(pair.a.closed(), [invalid], "{}", pair.trace);
            assert_eq!(pair.a.endpoint.status().count(), 0);
        }
    }
}

/// RFC 7296 §2.25: a peer that never can is asked ever more rarely, and after minutes the IKE SA ends.
#[test]
fn temporary_failure_without_end() {
    for is_ike in [false, true] {
        let (mut pair, keys) = standing();
        pair.link.cut = true;
        if is_ike {
            pair.a.endpoint.rekey_ike_sas(pair.now, PEER);
        } else {
            let spi = pair.a.installed[0].inbound;
            pair.a.endpoint.handle_sa_report(pair.now, SaReport::SoftExpired(spi));
        }
        pair.drain();
        let began = pair.now;
        let mut tries = 0;
        while pair.a.closed().is_empty() {
            let (_, asked) = pair.datagrams.last().expect("sent").clone();
            let asked = Header::parse(&asked).expect("IKE");
            if asked.exchange == ExchangeType::INFORMATIONAL {
                let header = forge::header(&keys, asked.exchange, FROM_B_ANSWER, asked.message_id);
                assert_eq!(give(&mut pair, to_a(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()));
                pair.drain();
                break;
            }
            tries += 1;
            let header = forge::header(&keys, asked.exchange, FROM_B_ANSWER, asked.message_id);
            let refusal = NotifyView::new(NotifyType::TEMPORARY_FAILURE, &[]);
            assert_eq!(give(&mut pair, to_a(), &forge::sealed(&keys, &header, |w| refusal.write(w))), Ok(()));
            let before = pair.datagrams.len();
            pair.drain();
            while pair.datagrams.len() == before {
                assert!(pair.step(pair.now + std::time::Duration::from_secs(1_000)), "{}", pair.trace);
            }
        }
        assert_eq!(pair.a.closed(), [CloseReason::OutOfStep], "{}", pair.trace);
        assert!(pair.a.installed.is_empty());
        assert!((4..=12).contains(&tries), "{tries} tries");
        let minutes = pair.now.since(began).as_secs() / 60;
        assert!((3..=8).contains(&minutes), "{minutes} minutes");
    }
}

/// RFC 7296 §1.3.2, §3.3.6: an answer for a successor that is not one to our offer ends the IKE SA, since the peer
/// believes in another that nobody knows.
#[test]
fn answers_that_are_none() {
    let changes: [fn(&mut forge::Payload); 4] = [
        |p| {
            if p.kind == PayloadType::SA {
                p.body[4] = 9
            }
        },
        |p| {
            if p.kind == PayloadType::SA {
                p.body[8..16].fill(0)
            }
        },
        |p| {
            if p.kind == PayloadType::KE {
                p.body[1] = 19
            }
        },
        |p| {
            if p.kind == PayloadType::KE {
                p.body[4..].fill(0)
            }
        },
    ];
    for change in changes {
        let (mut pair, keys) = standing();
        pair.link.script = vec![(5, Fault::Drop)];
        pair.a.endpoint.rekey_ike_sas(pair.now, PEER);
        pair.drain();
        pair.step(pair.now + LONG);
        let answer = pair.datagrams[5].1.clone();
        let forged = forge::altered(&keys, &answer, |_, mut payloads| {
            payloads.iter_mut().for_each(change);
            payloads
        });
        assert_eq!(give(&mut pair, to_a(), &forged), Ok(()));
        pair.settle(LONG);
        assert!(pair.a.installed.is_empty() && pair.a.successors().is_empty(), "{}", pair.trace);
        assert!(!pair.a.failed().is_empty());
    }
}

/// RFC 7296 §2.8, §2.21: an IKE SA that was replaced answers nothing but what it has answered and its end; its
/// successor knows nothing of its Message IDs and keys.
#[test]
fn old_ike_sa_is_over() {
    let (mut pair, keys) = standing();
    pair.a.endpoint.rekey_ike_sas(pair.now, PEER);
    pair.settle(LONG);
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, NEXT + 2);
    assert_eq!(
        give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))),
        Err(Discarded::WrongState)
    );
    let again = pair.datagrams[4].1.clone();
    assert_eq!(give(&mut pair, to_b(), &again), Err(Discarded::WrongMessageId));
    let new = forge::keys(&pair.a);
    assert_ne!(new.initiator, keys.initiator);
    let with_old_key = IkeKeys { initiator: keys.initiator.clone(), ..new.clone() };
    let header = forge::header(&new, ExchangeType::INFORMATIONAL, FROM_A, 0);
    let forged = forge::sealed(&with_old_key, &header, |_| Ok(()));
    assert_eq!(give(&mut pair, to_b(), &forged), Err(Discarded::Forged));
    let header = forge::header(&new, ExchangeType::INFORMATIONAL, FROM_A_ANSWER, 0);
    assert_eq!(
        give(&mut pair, to_b(), &forge::sealed(&new, &header, |_| Ok(()))),
        Err(Discarded::Unsolicited)
    );
    assert_eq!(pair.b.installed.len(), 1);
}
