//! How two ends come together: strongSwan pins our key, and we find its key in DNS.

use std::net::IpAddr;
use std::time::Duration;

use buttons::peer::StrongSwan;
use esp_engine::spd::Level;
use firmware::config::PrivateKey;
use firmware::management::Shown;

use super::stage::{DEVICE, FAR, Stage, with_logs};
use super::witness::Witness;
use crate::device::Device;
use crate::dns::hosts::{KEYS, NEXT_KEY};
use crate::dns::relay::{Manner, RELAY, Relay};
use crate::dns::{BIND, UNBOUND};
use crate::ground::{expect, expect_soon};
use crate::{Fault, traffic};

/// What the device and strongSwan at FAR do when neither has to be told more than the other's name.
const BY_NAME: &str = r#"[[policy]]
name = "office"
local = "10.1.0.0/16"
remote = "dev2.nsec.test"
action = "protect"
mode = "tunnel"
"#;

/// RFC 4025 §1: nothing is known but an address, whose reverse name has the key.
const BY_ADDRESS: &str = r#"[[peer]]
name = "around"
dns-network = "192.0.2.0/24"

[[policy]]
name = "around"
local = "10.1.0.0/16"
remote = "192.0.2.0/24"
action = "protect"
mode = "tunnel"
minimum = "validated"
"#;

/// The first packet finds the key, by name and by address, through each of the resolvers; nothing goes in clear.
pub fn we_begin(stage: &Stage) -> Result<(), Fault> {
    stage.far_is_a_host()?;
    let witness = Witness::start(stage)?;
    for (policy, identity, server) in [
        (BY_NAME, "dev2.nsec.test", UNBOUND),
        (BY_NAME, "dev2.nsec.test", BIND),
        (BY_ADDRESS, "192.0.2.2", UNBOUND),
        (BY_ADDRESS, "192.0.2.2", BIND),
    ] {
        let (peer, _) = stage.strongswan(identity, &KEYS[1], "192.0.2.2/32")?;
        let device = stage.gateway(DEVICE, server, policy)?;
        let met = traffic::ping_once(&stage.host, FAR, Duration::from_secs(10))
            .and_then(|()| traffic::ping(&stage.host, FAR, 50, "0.01", Duration::from_secs(3)))
            .and_then(|()| is_validated(&device, identity));
        met.map_err(|fault| {
            with_logs(&format!("{identity} by {server}: {fault}").into(), &device, &peer.log())
        })?;
        device.stop()?;
    }
    witness.saw_only_esp()
}

/// One IKE SA and one Child SA stand with who is called that, whose key DNS proved.
pub fn is_validated(device: &Device, identity: &str) -> Result<(), Fault> {
    let status = device.status()?;
    let ([ike], [child]) = (&*status.ike_sas, &*status.child_sas) else {
        return Err(format!("not one of each SA: {status:?}").into());
    };
    let level = Some(Shown(Level::Validated));
    expect(
        ike.level == level && Some(child.level) == level && ike.identity.eq_ignore_ascii_case(identity),
        || format!("{status:?}"),
    )
}

/// Whoever has a name with this end may come.
const CUSTOMERS: &str = r#"[[peer]]
name = "customers"
dns-suffix = ".nsec.test"

[[peer]]
name = "forged"
dns-suffix = ".bogus.test"

[[policy]]
name = "customers"
local = "10.1.0.0/16"
remote = "192.0.2.0/24"
action = "protect"
mode = "tunnel"
minimum = "validated"
"#;

/// Whom strongSwan says to be, by which key it proves that, and why it is refused, if it is.
static COMERS: [(&str, &PrivateKey, Option<&str>); 8] = [
    ("dev2.nsec.test", &KEYS[1], None),
    ("DEV2.nsec.test", &KEYS[1], None),
    ("several2.nsec.test", &KEYS[1], None),
    ("192.0.2.2", &KEYS[1], None),
    ("elsewhere2.nsec.test", &KEYS[1], Some("not at the address that DNS has")),
    ("dev2.nsec.test", &NEXT_KEY, Some("does not verify")),
    ("dev2.bogus.test", &KEYS[1], Some("forged or signed wrongly")),
    ("dev2.nsec3.test", &KEYS[1], Some("unknown peer")),
];

/// strongSwan sends no CERT payload with a raw key, so what it proves has to be a key of its name in DNS.
pub fn strongswan_begins(stage: &Stage) -> Result<(), Fault> {
    stage.far_is_a_host()?;
    let relay = Relay::start(&stage.dns.namespace, Manner::Lying(Vec::new()))?;
    let witness = Witness::start(stage)?;
    for (identity, key, refused) in COMERS {
        // Whoever is refused makes his whole network wait; each finds a device that has not seen the others.
        let welcome = if identity.ends_with(".test") { CUSTOMERS } else { BY_ADDRESS };
        let device = stage.gateway(DEVICE, RELAY, welcome)?;
        let (peer, _) = stage.strongswan(identity, key, "192.0.2.2/32")?;
        let came = comes(stage, &device, &peer, identity, refused);
        came.map_err(|fault| with_logs(&format!("{identity}: {fault}").into(), &device, &peer.log()))?;
    }
    expect(relay.was_asked("dev2.nsec.test"), || "nobody was asked for who is on the list".into())?;
    expect(!relay.was_asked("dev2.nsec3.test"), || "who is not on the list was asked for".into())?;
    witness.saw_only_esp()
}

pub fn comes(
    stage: &Stage,
    device: &Device,
    peer: &StrongSwan,
    identity: &str,
    refused: Option<&str>,
) -> Result<(), Fault> {
    let said = peer.initiate();
    let Some(reason) = refused else {
        said?;
        traffic::ping(&stage.host, FAR, 20, "0.01", Duration::from_secs(3))?;
        is_validated(device, identity)?;
        peer.terminate()?;
        let gone = || device.status().is_ok_and(|status| status.ike_sas.is_empty());
        return expect_soon(Duration::from_secs(5), gone, || "the device keeps its SA".into());
    };
    expect(said.is_err(), || "it came in".into())?;
    let log = peer.log();
    expect(log.contains("AUTHENTICATION_FAILED"), || "strongSwan was not told".into())?;
    expect(device.log().contains(reason), || format!("the device does not say: {reason}"))?;
    let clear = traffic::ping_once(&stage.host, IpAddr::from([192, 0, 2, 3]), Duration::from_secs(1));
    expect(clear.is_err(), || "a packet in clear".into())
}
