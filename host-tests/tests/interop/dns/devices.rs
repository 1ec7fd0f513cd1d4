//! Devices that know each other by name, and ask servers: one has policies for names and nothing else, the other
//! takes whoever has a name in the zone. What DNS does not prove is not reached, and the device says why.

use std::time::Duration;

use buttons::key;
use buttons::peer::Namespace;
use esp_engine::spd::Level;

use super::Ground;
use super::hosts::KEYS;
use crate::Fault;
use crate::device::Device;
use crate::ground::{Folder, expect, expect_soon};

const NEAR: &str = r#"role = "host"
identity = "dev1.nsec.test"
key = "own.pem"
socket = "device.sock"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[route]]
to = "0.0.0.0/0"
via = "192.0.2.254"

[[policy]]
name = "unsigned"
local = "192.0.2.1/32"
remote = "dev2.unsigned.test"
protocol = "tcp"
action = "protect"

[[policy]]
name = "forged"
local = "192.0.2.1/32"
remote = "dev2.bogus.test"
protocol = "udp"
action = "protect"

[[policy]]
name = "good"
local = "192.0.2.1/32"
remote = "dev2.nsec.test"
action = "protect"
"#;

const FAR: &str = r#"role = "host"
identity = "dev2.nsec.test"
key = "own.pem"
socket = "device.sock"

[[interface]]
device = "wan0"
addresses = ["192.0.2.2/24"]

[[route]]
to = "0.0.0.0/0"
via = "192.0.2.254"

[[peer]]
name = "customers"
dns-suffix = ".nsec.test"

[[policy]]
name = "customers"
local = "192.0.2.2/32"
remote = "192.0.2.0/24"
action = "protect"
minimum = "validated"
"#;

/// Both ask these servers.
pub fn meet(ground: &Ground, servers: &[&str]) -> Result<(), Fault> {
    ground.be_a_switch()?;
    let folder = Folder::new()?;
    let mut running = Vec::new();
    for ((name, text), own) in [("near", NEAR), ("far", FAR)].into_iter().zip(&KEYS) {
        let namespace = Namespace::new(name)?;
        namespace.run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"])?;
        ground.attach(&namespace, name)?;
        let folder = folder.inside(name)?;
        key::write_private(&folder.join("own.pem"), own).map_err(|error| error.to_string())?;
        std::fs::copy(&ground.tree.anchor, folder.join("root.ds"))?;
        let dns = format!("\n[dns]\nservers = {servers:?}\nanchors = \"root.ds\"\n");
        running.push((Device::start(&namespace, &folder, &format!("{text}{dns}"))?, namespace));
    }
    let [(near, _), (far, _)] = running.as_slice() else { return Err("two devices".into()) };
    let stands = |device: &Device| {
        let level = |sa: &firmware::management::IkeSaStatus| sa.level.map(|level| level.0);
        device.status().is_ok_and(|status| {
            status.child_sas.len() == 1 && status.ike_sas.iter().filter_map(level).eq([Level::Validated])
        })
    };
    let connects = || {
        // As long as DNS has not answered, the order is refused.
        if near.status().is_ok_and(|status| status.ike_sas.is_empty()) {
            let _ = near.begin("dev2.nsec.test");
        }
        stands(near) && stands(far)
    };
    expect_soon(Duration::from_secs(20), connects, || format!("near:\n{}\nfar:\n{}", near.log(), far.log()))?;
    for (peer, words) in
        [("dev2.unsigned.test", "not signed"), ("dev2.bogus.test", "forged or signed wrongly")]
    {
        let says_why = || near.begin(peer).is_err_and(|refused| refused.to_string().contains(words));
        expect_soon(Duration::from_secs(10), says_why, || format!("{peer}:\n{}", near.log()))?;
    }
    expect(stands(near) && stands(far), || "what stood is gone".into())
}
