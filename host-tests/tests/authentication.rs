//! Who may be at the other end, and how it proves itself: suites, methods, the PAD's order, BTNS
//! (RFC 4301 §4.4.3, RFC 5386, RFC 7427, RFC 8420).

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::crypto::Algorithm;
use esp_engine::selector::AddressRange;
use esp_engine::spd::{Action, Level};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, A_KEY, B, B_KEY, BTNS, leak_all};
use ike_core::config::{Config, ConfigError, IkePolicy, Peer, Suite};
use ike_core::crypto::{Group, Prf, PrivateKey};
use ike_core::error::{FailReason, Mismatch, Transform};
use ike_core::output::Method;
use ike_core::pad::{Authentication, Claim, Identity, Matcher, PeerId};

const LONG: Duration = Duration::from_secs(10);
const OTHER_KEY: PrivateKey = PrivateKey::Ed25519([0xC3; 32]);
const EC_A: PrivateKey = PrivateKey::EcdsaP256([0x11; 32]);
const EC_B: PrivateKey = PrivateKey::EcdsaP256([0x22; 32]);

fn run(a: Config<'static>, b: Config<'static>) -> Pair {
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    println!("{}", pair.trace);
    pair
}

fn reasons(pair: &Pair) -> (Vec<FailReason>, Vec<FailReason>) {
    let of = |failed: Vec<&ike_core::output::Failed>| failed.iter().map(|f| f.reason).collect();
    (of(pair.a.failed()), of(pair.b.failed()))
}

fn assert_stands(pair: &Pair, level: Level, method: Method) {
    for side in [&pair.a, &pair.b] {
        assert_eq!(side.established().len(), 1);
        assert_eq!(side.established()[0].level, level);
        assert_eq!(side.established()[0].method, method);
        assert_eq!(side.installed.len(), 1);
        assert_eq!(side.installed[0].level, level);
    }
    assert!(pair.agree());
}

fn assert_refused(pair: &Pair, a: FailReason, b: FailReason) {
    assert_eq!(reasons(pair), (vec![a], vec![b]));
    for side in [&pair.a, &pair.b] {
        assert!(side.established().is_empty());
        assert!(side.installed.is_empty());
        assert_eq!(side.endpoint.status().count(), 0);
    }
}

const AUTHENTICATION_FAILED: FailReason = FailReason::Refused(24);

/// RFC 8247, RFC 8221: every suite makes IKE SA and Child SA.
#[test]
fn every_suite_makes_an_sa() {
    for (_, suite) in Suite::NAMED {
        let (mut a, mut b) = (parties::a(), parties::b());
        a.suites = leak_all(vec![suite]);
        b.suites = a.suites;
        let pair = run(a, b);
        assert_stands(&pair, Level::Pinned, Method::Ed25519);
        assert_eq!(pair.a.established()[0].suite, suite);
        assert_eq!(pair.a.children()[0].algorithm, suite.esp);
    }
}

/// RFC 8221 §5: each algorithm of ESP is negotiated and carries keys of its length; what does not encrypt
/// protects packets only (RFC 7296 §3.14).
#[test]
fn every_algorithm_makes_an_sa() {
    for esp in Algorithm::ALL {
        let suite = Suite { esp, ike: Algorithm::Aes256CbcHmacSha256, ..Suite::FAST_SOFTWARE };
        let (mut a, mut b) = (parties::a(), parties::b());
        a.suites = leak_all(vec![Suite::HARDWARE_AES, suite]);
        b.suites = leak_all(vec![suite, Suite::FAST_SOFTWARE]);
        let pair = run(a, b);
        assert_stands(&pair, Level::Pinned, Method::Ed25519);
        assert_eq!(pair.b.established()[0].suite, suite);
        assert_eq!(pair.a.children()[0].algorithm, esp);

        let (mut config, ike) = (parties::a(), esp);
        config.suites = leak_all(vec![Suite::FAST_SOFTWARE, Suite { ike, ..Suite::FAST_SOFTWARE }]);
        let refused = if esp.is_confidential() { Ok(()) } else { Err(ConfigError::ReadableIke(1)) };
        assert_eq!(config.check(), refused);
    }
}

/// RFC 7296 §2.15, §2.17: the negotiated PRF proves a shared key and makes the keys of Child SAs; it is
/// chosen like any transform.
#[test]
fn every_prf_makes_an_sa() {
    let with = |prf| Suite { prf, ..Suite::FAST_SOFTWARE };
    for prf in [Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512] {
        let (mut a, mut b) = (parties::a(), parties::b());
        for config in [&mut a, &mut b] {
            parties::share(config, b"a secret that both know");
        }
        a.suites = leak_all(vec![with(Prf::HmacSha256), with(Prf::HmacSha512), with(Prf::HmacSha384)]);
        b.suites = leak_all(vec![with(prf)]);
        let pair = run(a, b);
        assert_stands(&pair, Level::Shared, Method::SharedKey);
        assert_eq!(pair.a.established()[0].suite, with(prf));
    }
}

/// RFC 3526 §3: the group that RFC 8247 §2.4 wants of everybody, also when the responder asks for it
/// (RFC 7296 §1.2).
#[test]
fn modp_2048_makes_an_sa() {
    const MODP: Suite = Suite { group: Group::Modp2048, ..Suite::FAST_SOFTWARE };
    for (offered, datagrams) in [(&[MODP][..], 4), (&[Suite::HARDWARE_AES, MODP], 6)] {
        let (mut a, mut b) = (parties::a(), parties::b());
        a.suites = offered;
        b.suites = &[MODP];
        let pair = run(a, b);
        assert_stands(&pair, Level::Pinned, Method::Ed25519);
        assert_eq!(pair.a.established()[0].suite, MODP);
        assert_eq!(pair.link.sent(), datagrams);
    }
}

/// RFC 7296 §2.7: of several suites the responder takes the first of its own that is offered; its group
/// may need another try with the whole offer (§1.2).
#[test]
fn responder_chooses_by_its_own_order() {
    const AES256: Suite =
        Suite { ike: Algorithm::Aes256Gcm16, esp: Algorithm::Aes256Gcm16, ..Suite::FAST_SOFTWARE };
    let (mut a, mut b) = (parties::a(), parties::b());
    a.suites = &[Suite::FAST_SOFTWARE, AES256, Suite::HARDWARE_AES];
    b.suites = &[Suite::HARDWARE_AES, AES256];
    let pair = run(a, b);
    assert_stands(&pair, Level::Pinned, Method::Ed25519);
    assert_eq!(pair.a.established()[0].suite, Suite::HARDWARE_AES);
    assert_eq!(pair.link.sent(), 6);
}

/// RFC 7427 §3, RFC 4754: ECDSA keys sign by method 14.
#[test]
fn ecdsa_keys_authenticate() {
    let a = parties::config("a.example", EC_A, A, vec![parties::pinned("b.example", &EC_B, B)], B);
    let b = parties::config("b.example", EC_B, B, vec![parties::pinned("a.example", &EC_A, A)], A);
    assert_stands(&run(a, b), Level::Pinned, Method::EcdsaP256);
}

/// RFC 7296 §2.15: a shared key.
#[test]
fn shared_key_authenticates() {
    let (mut a, mut b) = (parties::a(), parties::b());
    for config in [&mut a, &mut b] {
        parties::share(config, b"a secret that both know");
        config.key = None;
    }
    assert_stands(&run(a, b), Level::Shared, Method::SharedKey);
}

/// RFC 7296 §2.15: another shared key is refused, and both ends know why.
#[test]
fn other_shared_key_is_refused() {
    let (mut a, mut b) = (parties::a(), parties::b());
    parties::share(&mut a, b"a secret that both know");
    parties::share(&mut b, b"a secret that none knows");
    assert_refused(&run(a, b), AUTHENTICATION_FAILED, FailReason::BadAuthentication);
}

/// RFC 4301 §4.4.3.4: the entry fixes the method, in both directions.
#[test]
fn method_is_the_entrys() {
    let mut shared = parties::a();
    parties::share(&mut shared, b"a secret that both know");
    assert_refused(&run(shared.clone(), parties::b()), AUTHENTICATION_FAILED, FailReason::WrongMethod);
    let mut b = parties::b();
    parties::share(&mut b, b"a secret that both know");
    assert_refused(&run(parties::a(), b), AUTHENTICATION_FAILED, FailReason::WrongMethod);
}

/// RFC 7670: a fingerprint is enough when the peer sends its key, which it is asked for.
#[test]
fn fingerprint_authenticates_a_key_that_is_sent() {
    let (mut a, mut b) = (parties::a(), parties::b());
    for (config, key) in [(&mut a, &B_KEY), (&mut b, &A_KEY)] {
        let mut entry = config.pad[0];
        entry.authentication = Authentication::Fingerprints(leak_all(vec![parties::fingerprint(key)]));
        config.pad = leak_all(vec![entry]);
    }
    assert_stands(&run(a, b), Level::Pinned, Method::Ed25519);
}

/// A peer with another key than the pinned one is refused, although it proves that key; the reason
/// names it.
#[test]
fn other_key_is_a_mismatch() {
    let mut a = parties::a();
    a.key = Some(OTHER_KEY);
    let pair = run(a, parties::b());
    let mismatch = FailReason::KeyMismatch(parties::fingerprint(&OTHER_KEY));
    assert_refused(&pair, AUTHENTICATION_FAILED, mismatch);
    assert_eq!(pair.b.failed()[0].peer, Some(PeerId(0)));
    assert_eq!(pair.b.failed()[0].identity.as_ref().expect("asserted").to_string(), "a.example");
    assert_eq!(pair.b.endpoint.counters().authentication_failed, 1);
}

/// A responder with another key than the pinned one is refused by the initiator, and hears of it
/// (RFC 7296 §2.21.2).
#[test]
fn initiator_refuses_another_key_and_says_so() {
    let mut b = parties::b();
    b.key = Some(OTHER_KEY);
    let pair = run(parties::a(), b);
    let mismatch = FailReason::KeyMismatch(parties::fingerprint(&OTHER_KEY));
    assert_eq!(reasons(&pair).0, [mismatch]);
    assert!(pair.a.established().is_empty());
    assert_eq!(pair.b.closed(), [ike_core::error::CloseReason::RefusedByPeer(24)]);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
}

/// RFC 5386 §2: who claims a known name with the wrong key is refused and never becomes a stranger who
/// is welcome.
#[test]
fn known_name_with_wrong_key_does_not_fall_through_to_btns() {
    let mut a = parties::a();
    a.key = Some(OTHER_KEY);
    let mut b = parties::b();
    b.pad = leak_all(vec![b.pad[0], BTNS]);
    b.policies = leak_all(vec![parties::between(B, A, Level::Any, Peer::Any)]);
    assert_refused(
        &run(a, b),
        AUTHENTICATION_FAILED,
        FailReason::KeyMismatch(parties::fingerprint(&OTHER_KEY)),
    );
}

/// RFC 5386 §2: strangers are protected under the wildcard, and the level says what that is worth.
#[test]
fn strangers_are_protected_by_btns() {
    let (a, b) = parties::strangers();
    let mut pair = Pair::new(a, b, 1);
    let packet = esp_engine::selector::Selectors {
        source: A,
        destination: B,
        protocol: 6,
        ports: esp_engine::selector::Ports::Known { source: 40_000, destination: 179 },
    };
    pair.a.endpoint.acquire(pair.now, esp_engine::spd::PolicyId(0), packet).expect("begins");
    pair.settle(LONG);
    assert_stands(&pair, Level::Any, Method::Ed25519);
    assert_eq!(pair.b.installed[0].peer.0, parties::fingerprint(&A_KEY));
}

/// RFC 5386 §2: BTNS only where the policy accepts it.
#[test]
fn btns_is_refused_where_the_policy_demands_more() {
    let (mut a, mut b) = parties::strangers();
    a.pad = leak_all(vec![parties::pinned("b.example", &B_KEY, B)]);
    a.policies = leak_all(vec![parties::between(A, B, Level::Pinned, Peer::Entry(PeerId(0)))]);
    b.pad = leak_all(vec![parties::pinned("somebody.example", &EC_A, IpAddr::from([192, 0, 2, 77])), BTNS]);
    b.policies = leak_all(vec![parties::between(B, A, Level::Pinned, Peer::Any)]);
    let pair = run(a, b);
    assert_eq!(reasons(&pair), (vec![FailReason::Refused(38)], vec![FailReason::LevelTooLow]));
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
}

/// RFC 5386 §2, second search: a stranger does not get the address of a peer that is known.
#[test]
fn stranger_does_not_get_a_known_peers_address() {
    let (mut a, mut b) = parties::strangers();
    a.pad = leak_all(vec![parties::pinned("b.example", &B_KEY, B)]);
    a.policies = leak_all(vec![parties::between(A, B, Level::Pinned, Peer::Entry(PeerId(0)))]);
    let mut owner = parties::pinned("owner.example", &EC_A, A);
    owner.address = None;
    owner.claim = Claim::Ranges(leak_all(vec![AddressRange::single(A)]));
    b.pad = leak_all(vec![owner, BTNS]);
    let pair = run(a, b);
    assert_eq!(reasons(&pair), (vec![FailReason::Refused(38)], vec![FailReason::SelectorsUnacceptable]));
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
}

/// RFC 4301 §4.4.3.3: the same key gives no right to another's addresses.
#[test]
fn peer_speaks_only_for_what_its_entry_allows() {
    let mut b = parties::b();
    let mut entry = b.pad[0];
    entry.claim = Claim::Ranges(leak_all(vec![AddressRange::single(IpAddr::from([192, 0, 2, 99]))]));
    b.pad = leak_all(vec![entry]);
    let pair = run(parties::a(), b);
    assert_eq!(reasons(&pair), (vec![FailReason::Refused(38)], vec![FailReason::SelectorsUnacceptable]));
    // The Child SA failed, not the IKE SA (RFC 7296 §1.2).
    assert_eq!((pair.a.established().len(), pair.b.established().len()), (1, 1));
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
}

/// RFC 4301 §4.4.3.4: the initiator checks that it reached the one it wanted.
#[test]
fn responder_must_be_the_one_that_was_asked_for() {
    let mut a = parties::a();
    let other = parties::pinned("other.example", &OTHER_KEY, B);
    let mut known = parties::pinned("b.example", &B_KEY, B);
    known.address = None;
    a.pad = leak_all(vec![other, known]);
    let pair = run(a, parties::b());
    assert_eq!(reasons(&pair).0, [FailReason::OtherPeer]);
    assert!(pair.a.installed.is_empty() && pair.b.installed.is_empty());
}

/// Our own key that comes back is a reflection, whoever carries it.
#[test]
fn own_key_is_refused() {
    let (mut a, mut b) = parties::strangers();
    a.key = Some(B_KEY);
    a.pad = leak_all(vec![parties::pinned("b.example", &OTHER_KEY, B)]);
    a.policies = leak_all(vec![parties::between(A, B, Level::Pinned, Peer::Entry(PeerId(0)))]);
    b.key = Some(B_KEY);
    assert_refused(&run(a, b), AUTHENTICATION_FAILED, FailReason::OwnKey);
}

/// RFC 4301 §4.4.3.1: a name that no entry has is nobody without a wildcard.
#[test]
fn unknown_name_is_refused() {
    for name in [Identity::Fqdn("elsewhere.example"), Identity::KeyId(b"k"), Identity::Null] {
        let mut a = parties::a();
        a.identity = name;
        assert_refused(&run(a, parties::b()), AUTHENTICATION_FAILED, FailReason::UnknownPeer);
    }
}

/// A name in other letters or with the dot of the root is the same name, with the same key.
#[test]
fn same_name_in_other_letters_is_the_same_peer() {
    for name in ["A.EXAMPLE", "a.example.", "A.Example."] {
        let mut a = parties::a();
        a.identity = Identity::Fqdn(name);
        let pair = run(a, parties::b());
        assert_eq!(pair.b.established()[0].peer, PeerId(0), "{name}");
    }
}

/// An entry by address knows a peer by its address identity, or by where it is when it has none
/// (RFC 7619 §2.2).
#[test]
fn entry_by_address_knows_peers_by_address() {
    for identity in [Identity::Address(A), Identity::Null] {
        let (mut a, mut b) = (parties::a(), parties::b());
        a.identity = identity;
        let mut entry = b.pad[0];
        entry.matcher = Matcher::Addresses(AddressRange::single(A));
        b.pad = leak_all(vec![entry]);
        assert_stands(&run(a, b), Level::Pinned, Method::Ed25519);
    }
}

/// No proposal fits: the report names the first transform that differs, ours and theirs.
#[test]
fn report_names_the_transform_that_differs() {
    let (mut a, mut b) = (parties::a(), parties::b());
    a.suites = &[Suite::HARDWARE_AES];
    b.suites = &[Suite::FAST_SOFTWARE];
    let pair = run(a, b);
    let mismatch = Mismatch {
        kind: 1,
        ours: Transform { id: 28, key_bits: None },
        theirs: Some(Transform { id: 20, key_bits: Some(128) }),
    };
    assert_eq!(reasons(&pair).1[0], FailReason::NoProposal(mismatch));
    assert!(pair.a.established().is_empty());
}

/// So it is when only the additional key exchange is missing (RFC 9370 §2.2.1).
#[test]
fn report_names_a_missing_additional_key_exchange() {
    let (mut a, mut b) = (parties::a(), parties::b());
    a.suites = &[Suite::FAST_SOFTWARE];
    b.suites = &[Suite::POST_QUANTUM];
    let ours = Transform { id: Group::MlKem768.id(), key_bits: None };
    let mismatch = Mismatch { kind: 6, ours, theirs: None };
    assert_eq!(reasons(&run(a, b)).1[0], FailReason::NoProposal(mismatch));
}

/// RFC 7296 §2.9: a policy for one port gives an SA for that port.
#[test]
fn selectors_are_narrowed_to_the_policy() {
    use esp_engine::selector::{PortRange, TrafficSelector};
    let mut b = parties::b();
    let bgp =
        TrafficSelector { protocol: 6, ports: PortRange::single(179), addresses: AddressRange::single(B) };
    let action = Action::Protect { mode: esp_engine::sa::Mode::Transport, minimum: Level::Pinned };
    let remote = b.policies[0].remote;
    b.policies = leak_all(vec![IkePolicy {
        local: leak_all(vec![bgp]),
        remote,
        action,
        peer: Peer::Entry(PeerId(0)),
        pfs: false,
    }]);
    let pair = run(parties::a(), b);
    assert_stands(&pair, Level::Pinned, Method::Ed25519);
    assert_eq!(pair.a.installed[0].remote_ts.as_slice(), [bgp]);
}
