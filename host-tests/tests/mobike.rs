//! MOBIKE (RFC 4555): an end that gets another address takes its IKE SA and tunnels along.

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::sa::{SaReport, SaUpdate};
use host_tests::forge;
use host_tests::link::{Direction, Fault};
use host_tests::nat_box::NatBox;
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A, B, PEER};
use host_tests::stage::*;
use ike_core::config::{Config, Local};
use ike_core::error::CloseReason;
use ike_core::output::{Event, Path};
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::notify::{NotifyType, NotifyView};
use ike_core::wire::writer::Writer;

/// Where A is later.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

fn mobile(mut config: Config<'static>, own: IpAddr, peer: IpAddr) -> Config<'static> {
    parties::make_tunnel(&mut config, own, peer);
    config.mobike = true;
    config
}

/// A and B with MOBIKE and tunnel mode, whose SAs stand.
fn standing_mobile() -> Pair {
    let mut pair = Pair::new(mobile(parties::a(), A, B), mobile(parties::b(), B, A), 1);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    pair
}

fn move_a(pair: &mut Pair) {
    pair.a.endpoint.moved(pair.now, A, Local { interface: 0, address: ELSEWHERE });
    pair.drain();
}

fn updates(side: &Side) -> Vec<SaUpdate> {
    side.events
        .iter()
        .filter_map(|e| if let Event::Update(update) = e { Some(*update) } else { None })
        .collect()
}

fn path_of(side: &Side) -> Path {
    side.endpoint.status().next().expect("an IKE SA").path
}

/// RFC 4555 §3.3: with MOBIKE both ends are on port 4500 though there is no NAT, and ESP is not wrapped.
#[test]
fn mobike_moves_to_4500_at_once() {
    let pair = standing_mobile();
    assert_eq!(path_of(&pair.b), Path { interface: 0, local: (B, 4500).into(), remote: (A, 4500).into() });
    assert!(pair.a.installed[0].encapsulation.is_none());
}

/// RFC 4555 §3.5, §3.7: A says that it moved; B asks whether it is really there before its packets go
/// there; no SA is made anew.
#[test]
fn initiator_moves() {
    let mut pair = standing_mobile();
    let before = pair.link.sent();
    move_a(&mut pair);
    pair.settle(LONG);
    assert_eq!(pair.link.sent() - before, 4, "{}", pair.trace);
    assert_eq!(path_of(&pair.a).local, (ELSEWHERE, 4500).into());
    assert_eq!(path_of(&pair.b).remote, (ELSEWHERE, 4500).into());
    assert_eq!(updates(&pair.a).last().map(|update| (update.local, update.remote)), Some((ELSEWHERE, B)));
    assert_eq!(updates(&pair.b).last().map(|update| (update.local, update.remote)), Some((B, ELSEWHERE)));
    assert!(pair.agree() && pair.a.closed().is_empty(), "{}", pair.trace);
    pair.b.endpoint.rekey(pair.now, PEER).expect("begins");
    pair.settle(LONG);
    assert!(pair.agree() && pair.b.children().len() == 2, "{}", pair.trace);
    assert_eq!(pair.b.installed[0].remote, ELSEWHERE);
}

/// RFC 4555 §1.3: it stays the end that began the first IKE SA, whoever rekeyed it since.
#[test]
fn initiator_moves_after_any_rekeying() {
    for by_a in [true, false] {
        let mut pair = standing_mobile();
        let side = if by_a { &mut pair.a } else { &mut pair.b };
        side.endpoint.rekey_ike_sas(pair.now, PEER);
        pair.settle(LONG);
        move_a(&mut pair);
        pair.settle(LONG);
        assert_eq!(updates(&pair.b).last().map(|update| update.remote), Some(ELSEWHERE), "{}", pair.trace);
        assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    }
}

/// RFC 4555 §3.5, with each of its messages lost, doubled or late.
#[test]
fn moving_survives_a_bad_cable() {
    for fault in Fault::ALL {
        for number in 4..8 {
            let mut pair = standing_mobile();
            pair.link.script = vec![(number, fault)];
            move_a(&mut pair);
            pair.settle(Duration::from_secs(60));
            assert_eq!(
                path_of(&pair.b).remote,
                (ELSEWHERE, 4500).into(),
                "{fault:?} {number}\n{}",
                pair.trace
            );
            assert_eq!(updates(&pair.b).last().map(|update| update.remote), Some(ELSEWHERE));
            assert!(pair.agree(), "{}", pair.trace);
        }
    }
}

/// RFC 4555 §3.5: a second move before the first is through.
#[test]
fn moving_twice_ends_at_the_last_address() {
    let mut pair = standing_mobile();
    move_a(&mut pair);
    pair.step(pair.now + LONG);
    pair.a.endpoint.moved(pair.now, ELSEWHERE, Local { interface: 0, address: A });
    pair.settle(LONG);
    assert_eq!(path_of(&pair.b).remote, (A, 4500).into(), "{}", pair.trace);
    assert_eq!(updates(&pair.b).last().map_or(A, |update| update.remote), A);
    assert!(pair.agree() && pair.b.closed().is_empty(), "{}", pair.trace);
}

/// RFC 4555 §3.5: into a network behind a NAT, and out again: ESP is wrapped while it is there.
#[test]
fn moving_behind_a_nat_and_out() {
    let outside = IpAddr::from([203, 0, 113, 7]);
    let mut pair = standing_mobile();
    pair.link.nat_of_a = Some(NatBox::dynamic(outside));
    move_a(&mut pair);
    pair.settle(LONG);
    assert_eq!(path_of(&pair.b).remote.ip(), outside, "{}", pair.trace);
    for side in [&pair.a, &pair.b] {
        assert!(updates(side).last().expect("moved").encapsulation.is_some());
    }
    pair.link.nat_of_a = None;
    pair.a.endpoint.moved(pair.now, ELSEWHERE, Local { interface: 0, address: A });
    pair.settle(LONG);
    for side in [&pair.a, &pair.b] {
        assert!(updates(side).last().expect("moved").encapsulation.is_none(), "{}", pair.trace);
    }
}

/// RFC 4555 §3.8: "The host not behind a NAT MUST NOT use these dynamic updates": neither a genuine
/// message from elsewhere nor ESP moves anything.
#[test]
fn packets_alone_move_nothing() {
    let mut pair = standing_mobile();
    pair.link.nat_of_a = Some(NatBox::dynamic([203, 0, 113, 7].into()));
    move_a(&mut pair);
    pair.settle(LONG);
    let (known, before) = (path_of(&pair.b), updates(&pair.b).len());
    pair.link.nat_of_a.as_mut().expect("there").rebind();
    pair.a.endpoint.rekey(pair.now, PEER).expect("begins");
    pair.settle(LONG);
    let spi = pair.b.installed[0].inbound;
    let remote = "203.0.113.99:31000".parse().expect("address");
    pair.b.endpoint.handle_sa_report(pair.now, SaReport::PeerMoved { spi, remote });
    pair.drain();
    assert_eq!((path_of(&pair.b), updates(&pair.b).len()), (known, before), "{}", pair.trace);
}

/// Gives B a request of A's with these payloads, and returns what B answers first.
fn asked(pair: &mut Pair, payloads: impl FnOnce(&mut Writer<'_>)) -> Vec<forge::Payload> {
    let keys = forge::keys(&pair.a);
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let request = forge::sealed(&keys, &header, |writer| {
        payloads(writer);
        Ok(())
    });
    let elsewhere = Path { interface: 0, local: (B, 4500).into(), remote: (ELSEWHERE, 4500).into() };
    assert_eq!(give(pair, elsewhere, &[&[0; 4][..], &request].concat()), Ok(()));
    let before = pair.datagrams.len();
    pair.link.cut = true;
    pair.drain();
    pair.link.cut = false;
    let (_, answer) = &pair.datagrams[before];
    let (_, first, text) = forge::opened(&keys, &answer[4..]);
    forge::split(first, &text)
}

fn notification(kind: NotifyType, data: &[u8], writer: &mut Writer<'_>) {
    NotifyView::new(kind, data).write(writer).expect("room");
}

/// RFC 4555 §4.2.5: COOKIE2 comes back as it is; with another length than 8 to 64 it is none.
#[test]
fn cookie2_is_returned_unless_it_is_none() {
    for (length, returned) in [(0, false), (7, false), (8, true), (64, true), (65, false)] {
        let mut pair = standing_mobile();
        let cookie2 = vec![0xC2; length];
        let answer = asked(&mut pair, |writer| notification(NotifyType::COOKIE2, &cookie2, writer));
        let shown: Vec<_> =
            answer.iter().filter(|p| p.kind == PayloadType::NOTIFY).map(|p| p.body.clone()).collect();
        let whole = [&[0, 0][..], &NotifyType::COOKIE2.0.to_be_bytes(), &cookie2].concat();
        assert_eq!(shown, if returned { vec![whole] } else { vec![] });
    }
}

/// RFC 4555 §3.7: "If the values do not match, the IKE_SA MUST be closed."
#[test]
fn other_cookie2_closes_the_ike_sa() {
    let mut pair = standing_mobile();
    asked(&mut pair, |writer| notification(NotifyType::UPDATE_SA_ADDRESSES, &[], writer));
    let keys = forge::keys(&pair.a);
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 0);
    let header = ike_core::wire::header::Header {
        flags: ike_core::wire::header::Flags { initiator: true, response: true },
        ..header
    };
    let answer =
        forge::sealed(&keys, &header, |writer| NotifyView::new(NotifyType::COOKIE2, &[7; 16]).write(writer));
    let elsewhere = Path { interface: 0, local: (B, 4500).into(), remote: (ELSEWHERE, 4500).into() };
    assert_eq!(give(&mut pair, elsewhere, &[&[0; 4][..], &answer].concat()), Ok(()));
    pair.drain();
    assert_eq!(updates(&pair.b).len(), 0, "nothing went to an address that nobody answers at");
    assert!(pair.b.installed.is_empty(), "{}", pair.trace);
}

/// RFC 4555 §3.5: an address that somebody else has in the PAD is refused.
#[test]
fn address_of_somebody_else_is_refused() {
    let mut b = mobile(parties::b(), B, A);
    let other = parties::pinned("c.example", &ike_core::crypto::PrivateKey::Ed25519([0xC3; 32]), ELSEWHERE);
    b.pad = parties::leak_all(vec![b.pad[0], other]);
    let mut pair = Pair::new(mobile(parties::a(), A, B), b, 1);
    pair.initiate();
    pair.settle(LONG);
    move_a(&mut pair);
    pair.settle(LONG);
    assert_eq!(pair.a.closed(), [CloseReason::RefusedByPeer(NotifyType::UNACCEPTABLE_ADDRESSES.0)]);
    assert!(pair.b.installed.is_empty(), "{}", pair.trace);
}

/// RFC 4555 §3.5: only the end that began moves an IKE SA, and only where both announced MOBIKE. The
/// notification is otherwise ignored; an end that moves all the same begins anew.
#[test]
fn nobody_else_moves_an_ike_sa() {
    for with_mobike in [true, false] {
        let mut a = mobile(parties::a(), A, B);
        a.mobike = with_mobike;
        let mut pair = Pair::new(a, mobile(parties::b(), B, A), 1);
        pair.initiate();
        pair.settle(LONG);
        let keys = forge::keys(&pair.a);
        let (path, from) = if with_mobike {
            (Path { interface: 0, local: (A, 4500).into(), remote: (ELSEWHERE, 4500).into() }, FROM_B)
        } else {
            (Path { interface: 0, local: (B, 500).into(), remote: (ELSEWHERE, 500).into() }, FROM_A)
        };
        let id = if with_mobike { 0 } else { 2 };
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, from, id);
        let request = forge::sealed(&keys, &header, |writer| {
            NotifyView::new(NotifyType::UPDATE_SA_ADDRESSES, &[]).write(writer)
        });
        let marker: &[u8] = if with_mobike { &[0; 4] } else { &[] };
        assert_eq!(give(&mut pair, path, &[marker, &request].concat()), Ok(()));
        pair.settle(LONG);
        assert!(updates(&pair.a).is_empty() && updates(&pair.b).is_empty());
        assert!(pair.agree());
    }
    for b_moves in [true, false] {
        let mut pair = if b_moves { standing_mobile() } else { Pair::standing() };
        let (side, own) = if b_moves { (&mut pair.b, B) } else { (&mut pair.a, A) };
        side.endpoint.moved(pair.now, own, Local { interface: 0, address: ELSEWHERE });
        pair.settle(LONG);
        let side = if b_moves { &pair.b } else { &pair.a };
        assert_eq!(side.closed(), [CloseReason::Moved], "{}", pair.trace);
        assert!(pair.agree(), "{}", pair.trace);
        // In transport mode B's policy is for A's old address alone.
        assert_eq!(pair.a.installed.len(), usize::from(b_moves), "{}", pair.trace);
    }
}

/// RFC 4555 §3.8: behind a NAT that forgets, the answer to a question whether the peer lives shows that
/// we are seen elsewhere, and an update follows.
#[test]
fn changed_mapping_is_noticed_by_liveness() {
    let mut a = mobile(parties::a(), A, B);
    a.timing.liveness = Duration::from_secs(10);
    let mut pair = Pair::new(a, mobile(parties::b(), B, A), 1);
    pair.link.nat_of_a = Some(NatBox::dynamic([203, 0, 113, 7].into()));
    pair.initiate();
    pair.settle(LONG);
    let spi = pair.a.installed[0].inbound;
    pair.link.nat_of_a.as_mut().expect("there").rebind();
    pair.pass(Duration::from_secs(15));
    // A's packets go out, and B's answers do not find the way back.
    pair.a.endpoint.handle_sa_report(pair.now, SaReport::Unanswered(spi));
    pair.settle(LONG);
    let on_4500 = Path { interface: 0, local: (A, 4500).into(), remote: (B, 4500).into() };
    let seen = pair.link.translate(pair.now, Direction::AtoB, on_4500).expect("passes");
    assert_eq!(path_of(&pair.b).remote, seen.remote, "{}", pair.trace);
}
