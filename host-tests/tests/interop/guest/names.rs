//! libreswan asks DNS for our key, and we for its: both are in a signed zone, which each validates by itself. It
//! takes RSA keys only.

use buttons::key;
use esp_engine::spd::Level;
use firmware::management::Shown;

use super::case::EXCHANGE;
use super::daemon::Daemon;
use super::libreswan::{self, Libreswan};
use super::machine::Machine;
use crate::credentials::KeyPair;
use crate::device::{Device, Sa};
use crate::dns::{Tree, hosts};
use crate::ground::{expect, expect_soon};
use crate::sniffer::{MARKER, Sniffer};
use crate::{Absent, Fault, dns};

/// In a zone whose end libunbound, which libreswan asks by, does not keep for itself.
const OURS: &str = "rsa1.lab.example";
const THEIRS: &str = "rsa2.lab.example";

/// The machine's way to Unbound, and its key.
const READY: &str = "ip route replace 203.0.113.0/24 via 192.0.2.254
echo nameserver 203.0.113.56 >/etc/resolv.conf
pk12util -i /host/libreswan/named.p12 -d sql:/var/lib/ipsec/nss -W ''";

/// Whether everything is here.
pub fn present() -> Result<(), Absent> {
    super::machine::check().and_then(|()| dns::present())
}

/// Either end begins; the other finds its key, and both find each other worth it.
pub fn both_look_up(machine: &mut Machine, name: &str) -> Result<(), Fault> {
    machine.switch_to(&Libreswan)?;
    machine.kill(&Libreswan)?;
    Libreswan::keys(machine)?;
    let far = &machine.cable.far;
    far.run("sysctl", &["-qw", "net.ipv4.conf.all.arp_announce=2"])?;
    far.run("ip", &["addr", "replace", "192.0.2.254/24", "dev", "br0"])?;
    let tree = Tree::grow(far)?;
    let [own, theirs] = hosts::rsa_keys()?;
    let theirs = KeyPair::of(theirs)?;
    let shared = machine.shared("libreswan")?;
    libreswan::store(&theirs, "named", &shared)?;
    std::fs::copy(&tree.anchor, shared.join("anchor"))?;
    std::fs::write(shared.join("ipsec.conf"), configuration(&theirs)?)?;
    machine.shell(READY)?;
    Libreswan.start(machine)?;
    let folder = machine.device_folder(&name.replace("::", "-"))?;
    key::write_private(&folder.join("own.pem"), &own)?;
    std::fs::copy(&tree.anchor, folder.join("root.ds"))?;
    let wire = Sniffer::start(&machine.cable.device, "wan0", MARKER)?;
    let device = Device::start(&machine.cable.device, &folder, DEVICE)?;
    let done = (|| {
        meet(machine, &device, || device.begin("libreswan"))?;
        part(machine, &device)?;
        meet(machine, &device, || Libreswan.initiate(machine))?;
        let log = Libreswan.log(machine);
        let asked = log.matches(&format!("DNS query -- {OURS}. IN IPSECKEY")).count();
        expect(asked == 2, || format!("libreswan asked {asked} times for our key"))
    })();
    done.map_err(|fault: Fault| {
        let keys = machine.shell("ipsec whack --listpubkeys").unwrap_or_default();
        let told = Libreswan.log(machine);
        format!("{fault}\n--- device\n{}--- libreswan\n{told}\n{keys}", device.log())
    })?;
    drop(device);
    machine.kill(&Libreswan)?;
    let heard = wire.finish()?;
    expect(heard.marked == 0 && heard.esp >= 200, || format!("in clear on the wire: {heard:?}"))
}

/// An SA, and pings from the machine.
fn meet(machine: &Machine, device: &Device, begin: impl Fn() -> Result<(), Fault>) -> Result<(), Fault> {
    // As long as DNS has not answered, the device refuses to begin.
    let stands = || {
        if device.status().is_ok_and(|status| status.ike_sas.is_empty()) {
            let _ = begin();
        }
        device.standing(Sa::Child).is_some()
    };
    expect_soon(3 * EXCHANGE, stands, || "no SA".into())?;
    let status = device.status()?;
    let validated = Some(Shown(Level::Validated));
    expect(status.ike_sas.iter().all(|sa| sa.identity == THEIRS && sa.level == validated), || {
        format!("{status:?}")
    })?;
    machine.ping("192.0.2.1")
}

/// The device deletes. libreswan, which did not begin, leaves it at that.
fn part(machine: &Machine, device: &Device) -> Result<(), Fault> {
    device.close("libreswan")?;
    let gone = || {
        device.status().is_ok_and(|status| status.ike_sas.is_empty())
            && machine.shell("ip xfrm state").is_ok_and(|state| !state.contains("proto esp"))
    };
    expect_soon(EXCHANGE, gone, || "the SAs stay".into())
}

/// Our key is whatever DNS says, validated from our root's key down.
fn configuration(theirs: &KeyPair) -> Result<String, Fault> {
    Ok(format!(
        "config setup
  protostack=xfrm
  dnssec-enable=yes
  dnssec-rootkey-file=\"\"
  dnssec-anchors=/host/libreswan/anchor

conn device
  ikev2=insist
  left=192.0.2.2
  leftid=@{THEIRS}
  {}
  right=192.0.2.1
  rightid=@{OURS}
  rightrsasigkey=%dnsondemand
  authby=rsa-sha2
  type=transport
  ike=aes_gcm128-sha2_256-dh31
  esp=aes_gcm128
  esn=yes
  auto=add
",
        libreswan::key_line("left", theirs)?
    ))
}

const DEVICE: &str = r#"role = "host"
identity = "rsa1.lab.example"
key = "own.pem"
suites = ["aes128gcm16-curve25519"]
socket = "device.sock"
timing = { retransmit-ms = 4000 }

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[route]]
to = "0.0.0.0/0"
via = "192.0.2.254"

[dns]
servers = ["203.0.113.56"]
anchors = "root.ds"

[[peer]]
name = "libreswan"
dns = "rsa2.lab.example"

[[policy]]
name = "all"
local = "192.0.2.1/32"
remote = "rsa2.lab.example"
action = "protect"
"#;
