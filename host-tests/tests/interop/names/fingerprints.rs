//! DNS has the fingerprint of strongSwan's key and not the key, which comes in a certificate: with a raw key
//! strongSwan shows none.

use std::time::Duration;

use super::met::{comes, is_validated};
use super::stage::{DEVICE, FAR, Stage, with_logs};
use super::witness::Witness;
use crate::dns::hosts::{KEYS, NEXT_KEY};
use crate::dns::{BIND, UNBOUND};
use crate::ground::expect_soon;
use crate::{Fault, traffic};

/// Whom DNS knows by a fingerprint only.
const PRINT: &str = "print2.nsec.test";

/// A policy for its name, and whoever has a name there may come. The rest of `[dns]` is in front.
const POLICIES: &str = r#"
[[policy]]
name = "office"
local = "10.1.0.0/16"
remote = "print2.nsec.test"
action = "protect"
mode = "tunnel"
"#;

const CUSTOMERS: &str = r#"
[[peer]]
name = "customers"
dns-suffix = ".nsec.test"

[[policy]]
name = "customers"
local = "10.1.0.0/16"
remote = "192.0.2.0/24"
action = "protect"
mode = "tunnel"
minimum = "validated"
"#;

/// We begin, strongSwan begins; another key, a key that is not shown, and a device that does not look for fingerprints.
pub fn fingerprints(stage: &Stage) -> Result<(), Fault> {
    stage.far_is_a_host()?;
    let witness = Witness::start(stage)?;
    for server in [UNBOUND, BIND] {
        let (peer, _) = stage.strongswan_with_certificate(PRINT, &KEYS[1], "192.0.2.2/32")?;
        let device = stage.gateway(DEVICE, server, &format!("fingerprints = true\n{POLICIES}"))?;
        let met = traffic::ping_once(&stage.host, FAR, Duration::from_secs(10))
            .and_then(|()| traffic::ping(&stage.host, FAR, 50, "0.01", Duration::from_secs(3)))
            .and_then(|()| is_validated(&device, PRINT));
        met.map_err(|fault| with_logs(&format!("by {server}: {fault}").into(), &device, &peer.log()))?;
        device.stop()?;
    }
    for (switch, key, shows_it, refused) in [
        ("fingerprints = true\n", &KEYS[1], true, None),
        ("fingerprints = true\n", &NEXT_KEY, true, Some("not the one in DNS")),
        ("fingerprints = true\n", &KEYS[1], false, Some("not known and was not sent")),
        ("", &KEYS[1], true, Some("DNS has no key")),
    ] {
        let device = stage.gateway(DEVICE, UNBOUND, &format!("{switch}{CUSTOMERS}"))?;
        let (peer, _) = match shows_it {
            true => stage.strongswan_with_certificate(PRINT, key, "192.0.2.2/32")?,
            false => stage.strongswan(PRINT, key, "192.0.2.2/32")?,
        };
        let came = comes(stage, &device, &peer, PRINT, refused);
        came.map_err(|fault| with_logs(&format!("{refused:?}: {fault}").into(), &device, &peer.log()))?;
    }
    not_begun_without_the_switch(stage)?;
    witness.saw_only_esp()
}

/// Off by default: the name has no key, and the device says so.
fn not_begun_without_the_switch(stage: &Stage) -> Result<(), Fault> {
    let (peer, _) = stage.strongswan_with_certificate(PRINT, &KEYS[1], "192.0.2.2/32")?;
    let device = stage.gateway(DEVICE, UNBOUND, POLICIES)?;
    let says_why = || device.begin(PRINT).is_err_and(|refused| refused.to_string().contains("has no key"));
    expect_soon(Duration::from_secs(10), says_why, || format!("{}\n{}", device.log(), peer.log()))
}
