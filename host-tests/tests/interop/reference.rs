//! strongSwan at both ends: shows that ground, traffic and eavesdroppers work, and what throughput
//! this machine has to offer.

use std::net::IpAddr;
use std::time::Duration;

use buttons::key::Kind;
use buttons::peer::{Authentication, Connection, DEVICE_NETWORKS, Options, PEER_NETWORKS, StrongSwan};
use libtest_mimic::Trial;

use crate::credentials::{DEVICE, KeyPair, PEER};
use crate::ground::{Ground, expect, expect_soon};
use crate::{Fault, case, traffic};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        case("reference::traffic", carries_traffic),
        case("reference::a_wrong_key_is_refused", refuses_a_wrong_key),
    ]
}

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 2));
const STUB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 2, 0, 1));

/// Both ends; each gets its own key and takes `known` for the other's.
fn ends(ground: &Ground, own: &KeyPair, peer: &KeyPair, known: &KeyPair) -> Result<[StrongSwan; 2], Fault> {
    let connection = |device: bool| {
        let (identity, peer_identity) = if device { (DEVICE, PEER) } else { (PEER, DEVICE) };
        let (own, other) = if device { (own, known) } else { (peer, own) };
        Connection {
            identity: identity.into(),
            peer_identity: peer_identity.into(),
            peer_address: if device { "192.0.2.2" } else { "192.0.2.1" }.into(),
            authentication: Authentication::PinnedKeys {
                own: own.private_pem.clone(),
                peer: other.public_pem.clone(),
            },
            ike: "aes128gcm16-prfsha256-x25519",
            esp: "aes128gcm16",
            own_networks: if device { DEVICE_NETWORKS } else { PEER_NETWORKS },
            peer_networks: if device { PEER_NETWORKS } else { DEVICE_NETWORKS },
            options: Options::default(),
        }
    };
    ground.topology.kernel_as_device()?;
    let device =
        StrongSwan::start(&ground.topology.device, &ground.folder.inside("device")?, &connection(true))?;
    let peer = StrongSwan::start(&ground.topology.peer, &ground.folder.inside("peer")?, &connection(false))?;
    Ok([device, peer])
}

fn carries_traffic() -> Result<(), Fault> {
    let ground = Ground::new()?;
    let (own, peer) = (KeyPair::new(Kind::Ed25519)?, KeyPair::new(Kind::Ed25519)?);
    let [device, peer] = ends(&ground, &own, &peer, &peer)?;
    device.initiate()?;
    traffic::ping_once(&ground.topology.host, STUB, Duration::from_secs(2))?;
    let [out, back] = ground.traffic(HOST, STUB, true)?;
    println!("strongSwan at both ends: {:.0} and {:.0} Mbit/s", out * 8e-6, back * 8e-6);
    device.terminate()?;
    expect_soon(Duration::from_secs(2), || peer.sas().is_ok_and(|sas| sas.is_empty()), || peer.log())?;
    ground.only_esp()?;
    Ok(())
}

fn refuses_a_wrong_key() -> Result<(), Fault> {
    let ground = Ground::new()?;
    let key = || KeyPair::new(Kind::Ed25519);
    let [device, peer] = ends(&ground, &key()?, &key()?, &key()?)?;
    expect(device.initiate().is_err(), || "a wrong key was accepted".into())?;
    expect(peer.log().contains("AUTHENTICATION_FAILED") || peer.log().contains("AUTH_FAILED"), || {
        peer.log()
    })?;
    ground.only_ike()?;
    Ok(())
}
