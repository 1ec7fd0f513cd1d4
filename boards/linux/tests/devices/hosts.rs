//! Two devices in the role of a host.

use embassy_time::{Duration, Timer};
use esp_engine::spd::Level;
use firmware::config::{Action, Authentication, PrivateKey, SharedKey, Start, Suite};
use firmware::management::{Request, Response, Subject};

use crate::stage::*;

#[test]
fn two_hosts_talk_through_esp_in_transport_mode() {
    for v4 in [true, false] {
        let to = if v4 { "192.0.2.2" } else { "2001:db8::2" }.parse().unwrap();
        with_hosts(&hosts(v4), to, async |cable, [near, far], came_back| {
            until(60, || came_back.borrow().is_some()).await;
            assert_eq!(*came_back.borrow(), Some(MARKER.len() + TRANSFER), "{:#?}", near.log.borrow());
            let overheard = overhear(cable);
            assert_eq!((overheard.ike, overheard.other), (4, 0), "{overheard:?}");
            assert!(overheard.esp > 100);
            let status = near.status().await;
            assert_eq!(status.ike_sas[0].level.unwrap().0, Level::Pinned);
            assert_eq!(status.ike_sas[0].peer.as_deref(), Some("far.example"));
            assert_eq!(status.ike_sas[0].identity, "far.example");
            assert!(
                status.child_sas[0].octets.0 > TRANSFER as u64
                    && status.child_sas[0].octets.1 > TRANSFER as u64
            );
            assert_eq!(near.why("far.example").await, None);
            assert!(far.has_seen("FirstInbound"));
        });
    }
}

#[test]
fn two_hosts_talk_through_esp_in_udp_when_told_to() {
    let mut configs = hosts(true);
    for config in &mut configs {
        config.force_encapsulation = true;
        config.suites = [Suite::HardwareAes].into_iter().collect();
    }
    with_hosts(&configs, "192.0.2.2".parse().unwrap(), async |cable, [near, _], came_back| {
        until(60, || came_back.borrow().is_some()).await;
        assert_eq!(*came_back.borrow(), Some(MARKER.len() + TRANSFER), "{:#?}", near.log.borrow());
        let overheard = overhear(cable);
        assert!(overheard.esp == 0 && overheard.esp_in_udp > 100 && overheard.other == 0, "{overheard:?}");
    });
}

#[test]
fn two_hosts_with_a_shared_key_or_none_at_all_are_shown_for_what_they_are() {
    let shared = Authentication::Shared(SharedKey::new(&[7; 32]).unwrap());
    for (authentication, level) in [(shared, Level::Shared), (Authentication::Btns, Level::Any)] {
        let mut configs = hosts(true);
        for config in &mut configs {
            config.peers[0].authentication = authentication.clone();
            if level == Level::Any {
                config.peers[0].identity = None;
                config.peers[0].address = None;
            }
            let name = config.peers[0].name.clone();
            let Action::Protect { minimum, peer, .. } = &mut config.policies[0].action else { panic!() };
            (*minimum, *peer) = (level, Some(name));
        }
        with_hosts(&configs, "192.0.2.2".parse().unwrap(), async |cable, [near, _], came_back| {
            until(60, || came_back.borrow().is_some()).await;
            assert_eq!(*came_back.borrow(), Some(MARKER.len() + TRANSFER), "{:#?}", near.log.borrow());
            overhear(cable);
            let status = near.status().await;
            assert_eq!(status.ike_sas[0].level.unwrap().0, level);
            let authenticated = !status.child_sas[0].level.words().ends_with("not authenticated");
            assert_eq!(authenticated, level == Level::Shared);
        });
    }
}

#[test]
fn a_peer_with_another_key_is_refused_on_both_sides_and_nothing_passes() {
    let mut configs = hosts(true);
    configs[1].key = PrivateKey::P256([3; 32]);
    with_hosts(&configs, "192.0.2.2".parse().unwrap(), async |cable, [near, far], came_back| {
        until(20, || far.has_seen("Failed(") || near.has_seen("Failed(")).await;
        assert_eq!(*came_back.borrow(), None);
        assert_eq!(overhear(cable).esp, 0);
        let why = near.why("far.example").await.unwrap();
        assert!(why.starts_with("authentication failed"), "{why}");
        let status = near.status().await;
        assert!(status.child_sas.is_empty() && status.packets.without_sa > 0);
    });
}

#[test]
fn lost_peers_with_at_once_are_called_again_and_closed_ones_are_not() {
    let mut configs = hosts(true);
    configs[0].peers[0].start = Start::AtOnce;
    with_hosts(&configs, "192.0.2.2".parse().unwrap(), async |cable, [near, far], _| {
        until(10, || near.has_seen(" Established(")).await;
        assert!(near.has_seen(" Established("), "before any traffic: {:#?}", near.log.borrow());
        far.management.ask(Request::Close("near.example".try_into().unwrap())).await;
        until(10, || near.has_seen(" Closed ")).await;
        let established =
            |at: &Surroundings| at.log.borrow().iter().filter(|l| l.contains(" Established(")).count();
        until(10, || established(near) == 2).await;
        assert_eq!(established(near), 2, "{:#?}", near.log.borrow());
        assert_eq!(near.why("far.example").await.as_deref(), Some("deleted by the peer"));
        cable.cut(|_| true);
        near.management.ask(Request::Close("far.example".try_into().unwrap())).await;
        Timer::after(Duration::from_secs(120)).await;
        cable.mend();
        assert_eq!(established(near), 2, "who was told to close stays closed");
    });
}

#[test]
fn an_operator_has_sas_replaced() {
    with_hosts(&hosts(true), "192.0.2.2".parse().unwrap(), async |_, [near, _], came_back| {
        let far = || "far.example".try_into().unwrap();
        let early = near.management.ask(Request::RekeyIkeSa(far())).await;
        assert_eq!(early, Response::Refused("no IKE SA with this peer stands".try_into().unwrap()));
        until(60, || came_back.borrow().is_some()).await;
        let before = near.status().await;
        assert_eq!(near.management.ask(Request::RekeyIkeSa(far())).await, Response::Done);
        until(10, || near.has_seen(" Rekeyed")).await;
        Timer::after(Duration::from_secs(5)).await;
        let between = near.status().await;
        assert_ne!(before.ike_sas[0].spis, between.ike_sas[0].spis);
        assert_eq!(before.child_sas[0].inbound, between.child_sas[0].inbound);
        assert_eq!(near.management.ask(Request::Start(far())).await, Response::Done);
        Timer::after(Duration::from_secs(5)).await;
        let after = near.status().await;
        assert_eq!(between.ike_sas[0].spis, after.ike_sas[0].spis);
        assert_ne!(between.child_sas[0].inbound, after.child_sas[0].inbound);
        assert_eq!((after.ike_sas.len(), after.child_sas.len()), (1, 1));
    });
}

#[test]
fn an_unknown_peer_is_not_asked_about() {
    with_hosts(&hosts(true), "192.0.2.2".parse().unwrap(), async |_, [near, _], _| {
        let answer = near.management.ask(Request::Why(Subject::Name("nobody".try_into().unwrap()))).await;
        assert_eq!(answer, Response::NoSuchPeer);
    });
}
