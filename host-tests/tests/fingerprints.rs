//! Peers that are pinned by the fingerprint of their key (RFC 7670), as initiator and as responder.

use esp_engine::spd::Level;
use host_tests::forge;
use host_tests::link::Fault;
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A_KEY, B_KEY, leak_all};
use host_tests::stage::*;
use ike_core::config::Config;
use ike_core::crypto::PrivateKey;
use ike_core::error::FailReason;
use ike_core::pad::{Authentication, PadEntry};
use ike_core::wire::code_point::PayloadType;

const OTHER_KEY: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);

fn run(a: Config<'static>, b: Config<'static>) -> Pair {
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    pair
}

fn reasons(side: &Side) -> Vec<FailReason> {
    side.failed().iter().map(|failed| failed.reason).collect()
}

/// A, or B, knows the other by the fingerprint of this key.
fn by_fingerprint(at_a: bool, key: &PrivateKey) -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = (parties::a(), parties::b());
    let config = if at_a { &mut a } else { &mut b };
    let sums = leak_all(vec![parties::fingerprint(key)]);
    let entry = PadEntry { authentication: Authentication::Fingerprints(sums), ..config.pad[0] };
    config.pad = leak_all(vec![entry]);
    (a, b)
}

/// RFC 7670: in either role a fingerprint is enough, and another key than that is refused, although it is proven.
#[test]
fn fingerprint_is_held_against_in_either_role() {
    for at_a in [true, false] {
        let key = &if at_a { B_KEY } else { A_KEY };
        let (a, b) = by_fingerprint(at_a, key);
        let pair = run(a, b);
        assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
        assert!([&pair.a, &pair.b].iter().all(|side| side.installed[0].level == Level::Pinned));
        let (a, b) = by_fingerprint(at_a, &OTHER_KEY);
        let mismatch = FailReason::KeyMismatch(parties::fingerprint(key));
        let pair = run(a, b);
        assert_eq!(reasons(if at_a { &pair.a } else { &pair.b }), [mismatch], "{}", pair.trace);
        assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty(), "{}", pair.trace);
    }
}

/// RFC 7296 §3.6: without a CERT payload nobody knows which key has this fingerprint, in either role.
#[test]
fn fingerprint_alone_is_no_key() {
    for at_a in [true, false] {
        let (a, b) = by_fingerprint(at_a, &if at_a { B_KEY } else { A_KEY });
        let mut pair = Pair::new(a, b, 1);
        let number = if at_a { 3 } else { 2 };
        pair.link.script = vec![(number, Fault::Drop)];
        pair.initiate();
        while pair.link.sent() <= number {
            assert!(pair.step(pair.now + LONG), "{}", pair.trace);
        }
        let (keys, auth) = (forge::keys(&pair.a), pair.datagrams[number].1.clone());
        let mut had_key = false;
        let bare = forge::altered(&keys, &auth, |_, mut payloads| {
            had_key = payloads.iter().any(|payload| payload.kind == PayloadType::CERT);
            payloads.retain(|payload| payload.kind != PayloadType::CERT);
            payloads
        });
        assert!(had_key, "it was asked for");
        give(&mut pair, if at_a { to_a() } else { to_b() }, &bare).expect("taken");
        pair.drain();
        let refusing = if at_a { &pair.a } else { &pair.b };
        assert_eq!(reasons(refusing), [FailReason::NoKey], "{}", pair.trace);
        assert!(refusing.installed.is_empty(), "{}", pair.trace);
    }
}
