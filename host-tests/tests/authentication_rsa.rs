//! Peers with RSA keys, in every size and both roles: pinned, by fingerprint, under the BTNS wildcard, with
//! the key in either encoding, and refused (RFC 7427, RFC 7670, RFC 5386, RFC 8247 §3.2).

mod rsa_support;

use std::time::Duration;

use esp_engine::spd::Level;
use host_tests::forge::{self, Payload};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, leak_all};
use host_tests::stage::to_b;
use ike_core::config::Config;
use ike_core::crypto::{PrivateKey, PublicKey};
use ike_core::error::FailReason;
use ike_core::output::Method;
use ike_core::pad::Authentication;
use ike_core::wire::code_point::{CertEncoding, PayloadType};
use ike_core::wire::{rsa_public_key, spki};
use rsa_support::*;

const LONG: Duration = Duration::from_secs(10);
const EC: PrivateKey = PrivateKey::EcdsaP384([0x11; 48]);

/// A and B, which pin each other's keys.
fn pinned(a: &PrivateKey, b: &PrivateKey) -> (Config<'static>, Config<'static>) {
    (
        parties::config("a.example", a.clone(), A, vec![parties::pinned("b.example", b, B)], B),
        parties::config("b.example", b.clone(), B, vec![parties::pinned("a.example", a, A)], A),
    )
}

fn run((a, b): (Config<'static>, Config<'static>)) -> Pair {
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    println!("{}", pair.trace);
    pair
}

fn assert_stands(pair: &Pair, level: Level, [of_b, of_a]: [Method; 2]) {
    for (side, method) in [(&pair.a, of_b), (&pair.b, of_a)] {
        assert_eq!(side.established().len(), 1, "{}", pair.trace);
        assert_eq!((side.established()[0].level, side.established()[0].method), (level, method));
        assert_eq!(side.installed.len(), 1);
    }
    assert!(pair.agree());
}

/// RFC 8247 §3.2: RSA signs by RSASSA-PSS; each size, as initiator and as responder, against itself and
/// against other kinds of keys (libreswan `ikev2-asymmetric-rsa-ecdsa`: each end has its own method).
#[test]
fn every_size_authenticates_in_both_roles() {
    let rsa = |pem| (key(pem), Method::Rsa);
    let ed25519 = || (parties::A_KEY, Method::Ed25519);
    for ((a, of_a), (b, of_b)) in [
        (rsa(RSA_2048_A), rsa(RSA_2048_B)),
        (rsa(RSA_3072), rsa(RSA_4096)),
        (rsa(RSA_4096), rsa(RSA_2064)),
        (rsa(RSA_2048_A), ed25519()),
        (ed25519(), rsa(RSA_2048_A)),
        ((EC, Method::EcdsaP384), rsa(RSA_2048_A)),
    ] {
        assert_stands(&run(pinned(&a, &b)), Level::Pinned, [of_b, of_a]);
    }
}

/// RFC 7670: a fingerprint is enough when the peer sends its key, which it is asked for.
#[test]
fn a_fingerprint_is_enough() {
    let (a_key, b_key) = (key(RSA_2048_A), key(RSA_2048_B));
    let (mut a, mut b) = pinned(&a_key, &b_key);
    for (config, key) in [(&mut a, &b_key), (&mut b, &a_key)] {
        let mut entry = config.pad[0];
        entry.authentication = Authentication::Fingerprints(leak_all(vec![parties::fingerprint(key)]));
        config.pad = leak_all(vec![entry]);
    }
    assert_stands(&run((a, b)), Level::Pinned, [Method::Rsa; 2]);
}

/// A key as long as the pinned one that differs somewhere is another key, and both ends know why
/// (libreswan `ikev2-58-rawrsa-idmismatch`, CVE-2020-16088).
#[test]
fn another_key_is_a_mismatch() {
    let (mut a, b) = pinned(&key(RSA_2048_A), &parties::B_KEY);
    a.key = Some(key(RSA_2048_B));
    let pair = run((a, b));
    let reason = FailReason::KeyMismatch(parties::fingerprint(&key(RSA_2048_B)));
    assert_eq!(pair.b.failed()[0].reason, reason);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
}

/// The right key under the name of somebody else is nobody (libreswan `ikev2-58-rawrsa-idmismatch`).
#[test]
fn another_name_is_nobody() {
    let (mut a, b) = pinned(&key(RSA_2048_A), &parties::B_KEY);
    a.identity = ike_core::pad::Identity::Fqdn("c.example");
    assert_eq!(run((a, b)).b.failed()[0].reason, FailReason::UnknownPeer);
}

fn strangers() -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = parties::strangers();
    (a.key, b.key) = (Some(key(RSA_2048_A)), Some(key(RSA_2048_B)));
    (a, b)
}

/// A packet of A's that asks for an SA.
fn traffic(pair: &mut Pair) {
    let packet = esp_engine::selector::Selectors {
        source: A,
        destination: B,
        protocol: 6,
        ports: esp_engine::selector::Ports::Known { source: 40_000, destination: 179 },
    };
    pair.a.endpoint.acquire(pair.now, esp_engine::spd::PolicyId(0), packet).expect("begins");
}

/// RFC 5386 §2: strangers with RSA keys, each of which goes with the AUTH payload that it made.
#[test]
fn strangers_show_their_rsa_keys() {
    let (a, b) = strangers();
    let mut pair = Pair::new(a, b, 1);
    traffic(&mut pair);
    pair.settle(LONG);
    assert_stands(&pair, Level::Any, [Method::Rsa; 2]);
    assert_eq!(pair.b.installed[0].peer.0, parties::fingerprint(&key(RSA_2048_A)));
}

/// Strangers stopped before A's IKE_AUTH arrives, with it and the keys of its SK payload.
fn before_auth(change_answer: impl Fn(&[u8]) -> Vec<u8>) -> (Pair, ike_core::output::IkeKeys, Vec<u8>) {
    let (a, b) = strangers();
    let mut pair = Pair::new(a, b, 1);
    pair.link.cut = true;
    traffic(&mut pair);
    pair.drain();
    let request = pair.datagrams[0].1.clone();
    host_tests::stage::give(&mut pair, to_b(), &request).expect("taken");
    pair.drain();
    let answer = change_answer(&pair.datagrams[1].1.clone());
    host_tests::stage::give(&mut pair, host_tests::stage::to_a(), &answer).expect("taken");
    pair.drain();
    let keys = forge::keys(&pair.a);
    let auth = pair.datagrams[2].1.clone();
    (pair, keys, auth)
}

fn certs(payloads: &[Payload]) -> Vec<&[u8]> {
    payloads.iter().filter(|p| p.kind == PayloadType::CERT).map(|p| &p.body[..]).collect()
}

/// RFC 5386 §2, RFC 7296 §3.6: a raw RSA key in the old encoding is the same key.
#[test]
fn a_key_in_the_old_encoding_is_taken() {
    let (mut pair, keys, auth) = before_auth(<[u8]>::to_vec);
    let PublicKey::Rsa(own) = parties::public(&key(RSA_2048_A)) else { unreachable!() };
    let forged = forge::altered(&keys, &auth, |_, mut payloads| {
        let cert = payloads.iter_mut().find(|p| p.kind == PayloadType::CERT).expect("strangers show keys");
        assert_eq!(cert.body[0], CertEncoding::RAW_PUBLIC_KEY.0);
        cert.body = [&[CertEncoding::RAW_RSA_KEY.0], &rsa_public_key::encode(&own)[..]].concat();
        payloads
    });
    host_tests::stage::give(&mut pair, to_b(), &forged).expect("taken");
    pair.drain();
    assert_eq!(pair.b.installed.len(), 1);
    assert_eq!(pair.b.installed[0].peer.0, parties::fingerprint(&key(RSA_2048_A)));
}

/// RFC 7670 §3, RFC 5386 §2: the peer says in which encoding it wants a key; the new one is preferred.
#[test]
fn a_key_is_sent_as_it_was_asked_for() {
    let asked = |encodings: &'static [u8]| {
        let (_, keys, auth) = before_auth(|answer| {
            forge::altered_clear(answer, |mut payloads| {
                payloads.retain(|p| p.kind != PayloadType::CERTREQ);
                let requests =
                    encodings.iter().map(|e| Payload { kind: PayloadType::CERTREQ, body: vec![*e] });
                payloads.extend(requests);
                payloads
            })
        });
        let (_, first, text) = forge::opened(&keys, &auth);
        let payloads = forge::split(first, &text);
        let [cert] = certs(&payloads)[..] else { panic!("one key") };
        cert.to_vec()
    };
    let public = parties::public(&key(RSA_2048_A));
    let PublicKey::Rsa(own) = &public else { unreachable!() };
    let new = [&[15], &spki::encode(&public)[..]].concat();
    let old = [&[11], &rsa_public_key::encode(own)[..]].concat();
    for (encodings, expected) in
        [(&[][..], &new), (&[15], &new), (&[11, 15], &new), (&[4], &new), (&[11], &old), (&[4, 11], &old)]
    {
        assert_eq!(asked(encodings), *expected, "{encodings:?}");
    }
}

/// RFC 7296 §3.6: a CERT that holds no key, or one that is none here, is as if it were not there: a
/// stranger without a key is refused.
#[test]
fn a_stranger_without_a_key_is_refused() {
    let PublicKey::Rsa(own) = parties::public(&key(RSA_2048_A)) else { unreachable!() };
    let bare = rsa_public_key::encode(&own);
    let with = |encoding: u8, data: &[u8]| [&[encoding], data].concat();
    let mut small_exponent = bare.to_vec();
    let end = small_exponent.len();
    small_exponent.splice(end - 5.., [0x02, 1, 3]);
    small_exponent[3] -= 2;
    for cert in [
        with(11, &bare[..bare.len() - 1]),
        with(11, &[&bare[..], &[0]].concat()),
        with(11, &small_exponent),
        with(11, &spki::encode(&PublicKey::Rsa(own))),
        with(15, &bare),
        with(12, b"http://192.0.2.9/key"),
        with(7, &bare),
        with(1, &bare),
    ] {
        let (mut pair, keys, auth) = before_auth(<[u8]>::to_vec);
        let forged = forge::altered(&keys, &auth, |_, mut payloads| {
            payloads.iter_mut().filter(|p| p.kind == PayloadType::CERT).for_each(|p| p.body = cert.clone());
            payloads
        });
        host_tests::stage::give(&mut pair, to_b(), &forged).expect("answered");
        pair.drain();
        assert_eq!(pair.b.failed()[0].reason, FailReason::NoKey, "{:02x?}", &cert[..8.min(cert.len())]);
        assert!(pair.b.installed.is_empty());
    }
}
