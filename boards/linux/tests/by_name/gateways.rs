//! Two gateways of which one knows the other by nothing but signed records in the reverse tree (RFC 4025 §2.5), whoever
//! begins.

use std::cell::Cell;
use std::net::Ipv4Addr;

use embassy_time::{Duration, Timer};
use esp_engine::spd::Level;
use firmware::management::explanation::Verdict;
use ike_core::discovery::ipseckey::Gateway;

use crate::inside::*;
use crate::stage::*;

/// Near has an entry for whoever has a key in the reverse tree.
const OF_NEAR: &str = r#"
[[peer]]
name = "others"
dns-network = "198.51.100.0/24"

[[policy]]
name = "dns"
local = "192.0.2.1/32"
remote = "192.0.2.53/32"
action = "bypass"

[[policy]]
name = "net"
local = "10.1.0.0/16"
remote = "198.51.100.0/24"
action = "protect"
mode = "tunnel"
minimum = "validated"
peer = "others"

[dns]
servers = ["192.0.2.53"]
"#;

/// Far has near's key.
const OF_FAR: &str = r#"
[[policy]]
name = "net"
local = "198.51.100.0/24"
remote = "10.1.0.0/16"
action = "protect"
mode = "tunnel"
minimum = "pinned"
peer = "near"
"#;

/// Far is the gateway of the host behind it.
fn zone_with_gateway() -> Shared {
    let zone = zone();
    let of_client = record(&FAR, &Gateway::V4(Ipv4Addr::new(192, 0, 2, 2)));
    zone.borrow_mut().names.insert("2.100.51.198.in-addr.arpa", (FAR_CLIENT, of_client));
    zone
}

async fn assert_gateway(near: &Station) {
    let status = near.status().await;
    assert_eq!(status.ike_sas.len(), 1, "{status:#?}");
    let sa = &status.ike_sas[0];
    assert_eq!((sa.gateway_for, sa.level.unwrap().0), (Some(FAR_CLIENT.into()), Level::Validated));
    assert_eq!((sa.identity.as_str(), sa.peer.as_deref()), ("far.example", Some("others")));
    let shown = buttons::manage::show(&status);
    assert!(shown.contains("  gateway for 198.51.100.2\n"), "{shown}");
    let why = near.why("198.51.100.2").await.unwrap();
    let ike = why.ike.as_ref().unwrap();
    assert_eq!((why.verdict, ike.gateway), (Verdict::Encrypted, "192.0.2.2".parse().ok()));
    let shown = buttons::why::show("198.51.100.2", &why);
    assert!(shown.contains("IKE SA stands with its gateway 192.0.2.2 > SA"), "{shown}");
    let other = near.why("198.51.100.9").await.unwrap();
    assert_eq!((other.verdict, other.ike.unwrap().gateway), (Verdict::Waiting, None));
}

/// The host behind far sends first, so far begins: near asks for the record of that host's address.
#[test]
fn gateway_begins() {
    let zone = zone_with_gateway();
    with_gateways(
        &zone,
        [OF_NEAR, OF_FAR],
        async |stack, _| echo(stack).await,
        async |stack, came_back| call(stack, &Cell::new(Some(NEAR_CLIENT.into())), came_back).await,
        async |cable, [near, far], came_back| {
            Timer::after(Duration::from_secs(10)).await;
            assert!(*came_back.borrow(), "{:#?}\n{:#?}", near.log.borrow(), far.log.borrow());
            assert!(!is_on_the_cable(cable));
            assert_eq!(zone.borrow().asked_for_keys, ["2.100.51.198.in-addr.arpa"]);
            assert_gateway(near).await;
        },
    );
}

/// The host behind near sends first: the same SA from the other end.
#[test]
fn gateway_is_reached() {
    with_gateways(
        &zone_with_gateway(),
        [OF_NEAR, OF_FAR],
        async |stack, came_back| call(stack, &Cell::new(Some(FAR_CLIENT.into())), came_back).await,
        async |stack, _| echo(stack).await,
        async |cable, [near, far], came_back| {
            Timer::after(Duration::from_secs(10)).await;
            assert!(*came_back.borrow(), "{:#?}\n{:#?}", near.log.borrow(), far.log.borrow());
            assert!(!is_on_the_cable(cable));
            assert_gateway(near).await;
        },
    );
}

/// Far is nobody's gateway as far as DNS says, or what it says is not proven: nothing passes, and far is told so.
#[test]
fn gateway_that_nobody_proves() {
    for says in [None, Some(Says::Unsigned), Some(Says::Nothing)] {
        let zone = says.map_or_else(zone, |_| zone_with_gateway());
        zone.borrow_mut().says = says.unwrap_or(Says::Proven);
        with_gateways(
            &zone,
            [OF_NEAR, OF_FAR],
            async |stack, _| echo(stack).await,
            async |stack, came_back| call(stack, &Cell::new(Some(NEAR_CLIENT.into())), came_back).await,
            async |cable, [near, far], came_back| {
                Timer::after(Duration::from_secs(20)).await;
                assert!(!*came_back.borrow() && !is_on_the_cable(cable));
                assert!(near.status().await.child_sas.is_empty(), "{:#?}", near.log.borrow());
                let why = far.why("near").await.unwrap().ike.unwrap().last_reason.unwrap();
                assert!(why.words.contains("AUTHENTICATION_FAILED"), "{}", why.words);
            },
        );
    }
}

/// The record names the DNS server itself as the gateway: IKE goes there, or comes from nobody, and questions go on in
/// clear as before.
#[test]
fn gateway_at_the_server() {
    let zone = zone_with_gateway();
    let at_server = record(&FAR, &Gateway::V4(Ipv4Addr::new(192, 0, 2, 53)));
    zone.borrow_mut().names.insert("2.100.51.198.in-addr.arpa", (FAR_CLIENT, at_server));
    let of_near = OF_NEAR.to_owned() + "\n[timing]\nretry-s = 1\n";
    with_gateways(
        &zone,
        [&of_near, OF_FAR],
        async |stack, came_back| call(stack, &Cell::new(Some(FAR_CLIENT.into())), came_back).await,
        async |stack, _| echo(stack).await,
        async |cable, [near, _], came_back| {
            Timer::after(Duration::from_secs(20)).await;
            assert!(!*came_back.borrow() && !is_on_the_cable(cable), "{:#?}", near.log.borrow());
            let right = record(&FAR, &Gateway::V4(Ipv4Addr::new(192, 0, 2, 2)));
            zone.borrow_mut().names.insert("2.100.51.198.in-addr.arpa", (FAR_CLIENT, right));
            let other = record(&FAR, &Gateway::V4(Ipv4Addr::new(192, 0, 2, 53)));
            zone.borrow_mut().names.insert("53.2.0.192.in-addr.arpa", (FAR_CLIENT, other));
            // The record that is kept is good for an hour; it is renewed in time, by the same server.
            Timer::after(Duration::from_secs(3_700)).await;
            assert!(*came_back.borrow(), "{:#?}", near.log.borrow());
            assert_gateway(near).await;
        },
    );
}
