//! Devices that know each other by name, and ask Unbound: one has policies for names and nothing else, the other
//! takes whoever has a name in the zone. What DNS does not prove is not reached, and the device says why.

use std::time::Duration;

use buttons::key;
use buttons::peer::Namespace;
use esp_engine::spd::Level;
use firmware::config::PrivateKey;

use super::Ground;
use crate::Fault;
use crate::device::Device;
use crate::ground::{Folder, expect, expect_soon};

/// The keys of both, whose public halves are in every zone of the tree.
pub const KEYS: [PrivateKey; 2] = [PrivateKey::Ed25519([0x51; 32]), PrivateKey::Ed25519([0x52; 32])];

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

pub fn devices(ground: &Ground) -> Result<(), Fault> {
    let servers = &ground.namespace;
    // A bridge without an address of its own takes another with each cable; and the kernel asks for neighbours in the
    // name of whichever address it answers from, unless it is told not to.
    servers.run("ip", &["link", "add", "br0", "address", "02:00:00:00:00:fe", "type", "bridge"])?;
    servers.run("sysctl", &["-qw", "net.ipv4.conf.all.arp_announce=2"])?;
    servers.run("ip", &["addr", "add", "192.0.2.254/24", "dev", "br0"])?;
    servers.run("ip", &["link", "set", "br0", "up"])?;
    let folder = Folder::new()?;
    let mut running = Vec::new();
    for ((name, text), own) in [("near", NEAR), ("far", FAR)].into_iter().zip(KEYS) {
        let namespace = Namespace::new(name)?;
        namespace.run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"])?;
        namespace.cable("wan0", servers, name)?;
        servers.run("ip", &["link", "set", name, "master", "br0"])?;
        let folder = folder.inside(name)?;
        key::write_private(&folder.join("own.pem"), &own).map_err(|error| error.to_string())?;
        std::fs::copy(&ground.anchor, folder.join("root.ds"))?;
        let dns = "\n[dns]\nservers = [\"203.0.113.56\"]\nanchors = \"root.ds\"\n";
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
        let begun = near.begin(peer).map_err(|refused| refused.to_string());
        expect(begun.as_ref().is_err_and(|said| said.contains(words)), || {
            format!("{peer}: {begun:?}\n{}", near.log())
        })?;
    }
    expect(stands(near) && stands(far), || "what stood is gone".into())
}
