//! Further Child SAs on an IKE SA that stands, and what nobody gets there.

use super::*;

fn packet() -> Selectors {
    to_port(179)
}

fn to_port(port: u16) -> Selectors {
    Selectors {
        source: A,
        destination: B,
        protocol: 6,
        ports: Ports::Known { source: 50_000, destination: port },
    }
}

/// Two policies for two services of the same peer.
fn two_services() -> (Config<'static>, Config<'static>) {
    let (mut a, mut b) = (parties::a(), parties::b());
    let tcp = |address, ports| {
        let addresses = AddressRange::single(address);
        leak_all(vec![TrafficSelector { protocol: 6, ports, addresses }])
    };
    let rule = a.policies[0];
    let ports = [PortRange::single(179), PortRange::single(22)];
    let at_a = ports.map(|port| ike_core::config::IkePolicy {
        local: tcp(A, PortRange::ANY),
        remote: tcp(B, port),
        ..rule
    });
    let rule = b.policies[0];
    let at_b = ports.map(|port| ike_core::config::IkePolicy {
        local: tcp(B, port),
        remote: tcp(A, PortRange::ANY),
        ..rule
    });
    a.policies = leak_all(at_a.to_vec());
    b.policies = leak_all(at_b.to_vec());
    (a, b)
}

/// RFC 7296 §1.3.1: a second policy of the same peer gets its Child SA on the IKE SA that stands.
#[test]
fn second_policy_uses_the_same_ike_sa() {
    let (a, b) = two_services();
    let mut pair = Pair::new(a, b, 1);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 4);
    for _ in 0..3 {
        pair.a.endpoint.acquire(pair.now, PolicyId(1), to_port(22)).expect("begins once");
    }
    pair.settle(LONG);
    assert_eq!(pair.link.sent(), 6, "{}", pair.trace);
    assert!(pair.agree(), "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 2);
    assert_eq!(pair.a.endpoint.status().count(), 1);
    assert_eq!(pair.a.endpoint.status().next().expect("one").children, 2);
    // One of them may end, and the other goes on.
    let first = pair.a.installed[0].inbound;
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::HardExpired(first));
    pair.settle(LONG);
    assert!(pair.agree());
    assert_eq!((pair.a.installed.len(), pair.a.endpoint.status().count()), (1, 1));
}

/// RFC 7296 §2.3: one request at a time: what is wanted meanwhile waits for its turn.
#[test]
fn wishes_wait_for_their_turn() {
    let (a, b) = two_services();
    let mut pair = Pair::new(a, b, 1);
    pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
    pair.settle(LONG);
    let old = spis(&pair.a);
    soften(&mut pair.a, pair.now);
    pair.a.endpoint.acquire(pair.now, PolicyId(1), to_port(22)).expect("waits");
    pair.settle(LONG);
    assert!(pair.agree(), "{}", pair.trace);
    assert_eq!(pair.a.installed.len(), 2, "{}", pair.trace);
    assert!(!spis(&pair.a).contains(&old[0]));
    assert_eq!(pair.link.sent(), 4 + 6);
}

/// RFC 7296 §2.1: a new Child SA from both ends at once, on bad cables.
#[test]
fn additional_child_sas_on_bad_cables() {
    for seed in 0..50 {
        let (a, b) = two_services();
        let mut pair = Pair::new(a, b, seed);
        pair.a.endpoint.acquire(pair.now, PolicyId(0), packet()).expect("begins");
        pair.settle(LONG);
        pair.link.odds = Odds { drop: 10, duplicate: 5, delay: 5, corrupt: 5 };
        pair.a.endpoint.acquire(pair.now, PolicyId(1), to_port(22)).expect("begins");
        soften(&mut pair.b, pair.now);
        pair.settle(MINUTES);
        assert!(pair.agree(), "seed {seed}:\n{}", pair.trace);
        assert_eq!(pair.a.installed.len(), 2, "seed {seed}:\n{}", pair.trace);
        assert_eq!(pair.a.endpoint.status().count(), 1);
    }
}

/// RFC 7296 §2.25: CHILD_SA_NOT_FOUND names the SPI that was asked about, and changes nothing.
#[test]
fn unknown_child_is_not_found() {
    let mut pair = standing(1);
    let answer = ask(&mut pair, |writer| {
        rekey_of(0xDEAD_BEEF).write(writer)?;
        proposals(writer)?;
        nonce(writer)?;
        selectors(writer)
    });
    assert_eq!(answer, (NotifyType::CHILD_SA_NOT_FOUND, 0xDEAD_BEEF_u32.to_be_bytes().to_vec()));
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 7296 §2.7, §2.9, §1.3: what cannot be is refused with its reason, and the IKE SA stands.
#[test]
fn what_cannot_be_is_refused() {
    let mut pair = standing(1);
    let none = ask(&mut pair, |writer| {
        let transforms = [Transform { kind: TransformType::ENCR, id: 3, key_length: None }];
        let spi = [0x80, 0, 0, 1];
        wire::sa::write([Proposal { number: 1, protocol: Protocol::ESP, spi: &spi, transforms }], writer)?;
        nonce(writer)?;
        selectors(writer)
    });
    assert_eq!(none.0, NotifyType::NO_PROPOSAL_CHOSEN);
    let elsewhere = ask(&mut pair, |writer| {
        proposals(writer)?;
        nonce(writer)?;
        let all = [TrafficSelector::all(AddressRange::single([10, 9, 8, 7].into()))];
        ts::write(PayloadType::TSI, &all, writer)?;
        ts::write(PayloadType::TSR, &all, writer)?;
        NotifyView::new(NotifyType::USE_TRANSPORT_MODE, &[]).write(writer)
    });
    assert_eq!(elsewhere.0, NotifyType::TS_UNACCEPTABLE);
    let without_value = ask(&mut pair, |writer| {
        offer(Some(31), writer)?;
        nonce(writer)?;
        selectors(writer)
    });
    assert_eq!(without_value, (NotifyType::INVALID_KE_PAYLOAD, vec![0, 31]));
    let other_group = ask(&mut pair, |writer| {
        offer(Some(31), writer)?;
        nonce(writer)?;
        KeView { method: KeyExchangeMethod(19), data: &[4; 64] }.write(writer)?;
        selectors(writer)
    });
    assert_eq!(other_group, (NotifyType::INVALID_KE_PAYLOAD, vec![0, 31]));
    assert_eq!((pair.b.installed.len(), pair.b.endpoint.status().count()), (1, 1));
}

/// RFC 7296 §1.3.1: a peer that wants a key exchange for its Child SA gets one.
#[test]
fn fresh_keys_by_a_key_exchange() {
    let mut pair = standing(1);
    let keys = forge::keys(&pair.a);
    let ours = Software.generate(Group::Curve25519, &mut ChaCha20Rng::seed_from_u64(5)).expect("random");
    let id = next_id(&pair);
    let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, FROM_A, id);
    let request = forge::sealed(&keys, &header, |writer| {
        offer(Some(31), writer)?;
        nonce(writer)?;
        KeView { method: KeyExchangeMethod(31), data: &ours.public() }.write(writer)?;
        selectors(writer)
    });
    let answer = give(&mut pair, &keys, request);
    let body = |kind| answer.iter().find(|p| p.kind == kind).expect("there").body.clone();
    assert_eq!(body(PayloadType::KE)[..4], [0, 31, 0, 0]);
    assert!(ours.agree(&body(PayloadType::KE)[4..]).is_ok());
    assert_eq!(pair.b.installed.len(), 2);
}
