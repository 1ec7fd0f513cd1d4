//! Our own device gets another address while strongSwan is at the other end: by order, with MOBIKE (RFC 4555) and
//! without, and from dnsmasq, a DHCP server (RFC 2131).

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use buttons::peer::StrongSwan;
use libtest_mimic::Trial;

use crate::case::{Case, First, ORDINARY, Own};
use crate::device::Device;
use crate::ground::{Ground, expect, expect_soon};
use crate::{Absent, Fault, case, needing, strongswan, traffic};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        case("moved::by_order_without_mobike", || by_order(false)),
        case("moved::by_order_with_mobike", || by_order(true)),
        needing("moved::address_from_dnsmasq", tools, || leased(false)),
        needing("moved::another_address_from_dnsmasq", tools, || leased(true)).with_ignored_flag(true),
    ]
}

fn tools() -> Result<(), Absent> {
    strongswan()?;
    let is_here = Command::new("dnsmasq").arg("--version").stdout(Stdio::null()).status().is_ok();
    if is_here { Ok(()) } else { Err(Absent::unless_installed("dnsmasq is not installed")) }
}

fn logs(device: &Device, peer: &StrongSwan) -> String {
    format!("--- device\n{}--- strongSwan\n{}", device.log(), peer.log())
}

/// Pings pass through one IKE SA and one pair, and the device is where it should be.
fn is_up_at(
    ground: &Ground,
    plain: &Case,
    device: &Device,
    peer: &StrongSwan,
    own: &str,
) -> Result<(), Fault> {
    let again = || traffic::ping_once(&ground.topology.host, plain.far(), Duration::from_secs(1)).is_ok();
    expect_soon(Duration::from_secs(20), again, || format!("no ping from {own}\n{}", logs(device, peer)))?;
    traffic::ping(&ground.topology.host, plain.far(), 100, "0.01", Duration::from_secs(3))?;
    let settled = || {
        let sas = peer.sas().unwrap_or_default();
        let ours =
            device.status().is_ok_and(|status| status.ike_sas.len() == 1 && status.child_sas.len() == 1);
        ours && sas.contains(own) && sas.matches("ESTABLISHED").count() == 1
    };
    expect_soon(Duration::from_secs(20), settled, || {
        format!(
            "not at {own}: {:?}\n{}\n{}",
            device.status(),
            peer.sas().unwrap_or_default(),
            logs(device, peer)
        )
    })?;
    let status = device.status()?;
    let site = status.outside.iter().find(|site| site.address.address.is_ipv4()).ok_or("no address")?;
    expect(site.address.address.to_string() == own, || format!("{status:?}"))
}

fn by_order(mobike: bool) -> Result<(), Fault> {
    let plain = Case { mobike, own: Own::Moving, first: First::Device, ..ORDINARY };
    let ground = Ground::new()?;
    let (device, peer) = plain.start(&ground, None)?;
    is_up_at(&ground, &plain, &device, &peer, "192.0.2.1")?;
    for own in ["192.0.2.7", "192.0.2.1"] {
        device.put(&format!("{own}/24"))?;
        is_up_at(&ground, &plain, &device, &peer, own)?;
    }
    drop((device, peer));
    ground.only_esp()?;
    Ok(())
}

/// A DHCP server in the peer's place that gives one address; it is killed when this is dropped.
struct Dnsmasq(Child);

impl Dnsmasq {
    fn start(ground: &Ground, address: &str) -> Result<Self, Fault> {
        let folder = ground.folder.inside("dnsmasq")?;
        let mut command = ground.topology.peer.command("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--user=root",
            "--group=root",
        ]);
        command.args([
            "--interface=wan0",
            "--bind-interfaces",
            "--dhcp-authoritative",
            "--log-dhcp",
            "--log-facility=-",
        ]);
        command.args(["--no-ping", "--dhcp-option=3,192.0.2.2", "--pid-file="]);
        command.arg(format!("--dhcp-range={address},{address},255.255.255.0,2m"));
        command.arg(format!("--dhcp-leasefile={}", folder.join("leases").display()));
        let log = fs::File::create(folder.join("log"))?;
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?))
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The device begins without an address and has one in time for the first ping; `is_changed`: after half of the lease
/// it is another one.
fn leased(is_changed: bool) -> Result<(), Fault> {
    let plain = Case { own: Own::Leased, first: First::Device, ..ORDINARY };
    let ground = Ground::new()?;
    let server = Dnsmasq::start(&ground, "192.0.2.50")?;
    let (device, peer) = plain.start(&ground, None)?;
    let told = |fault: Fault| -> Fault {
        let log =
            ground.folder.inside("dnsmasq").and_then(|folder| Ok(fs::read_to_string(folder.join("log"))?));
        format!("{fault}\n--- dnsmasq\n{}", log.unwrap_or_default()).into()
    };
    is_up_at(&ground, &plain, &device, &peer, "192.0.2.50").map_err(told)?;
    if is_changed {
        drop(server);
        fs::remove_file(ground.folder.inside("dnsmasq")?.join("leases"))?;
        let _server = Dnsmasq::start(&ground, "192.0.2.60")?;
        let is_there = || device.log().contains("it is at 192.0.2.60");
        expect_soon(Duration::from_secs(90), is_there, || logs(&device, &peer)).map_err(told)?;
        is_up_at(&ground, &plain, &device, &peer, "192.0.2.60").map_err(told)?;
    }
    drop((device, peer));
    let heard = ground.both()?;
    expect(heard.inside.marked > 0 && heard.wire.marked == 0 && heard.wire.esp > 50, || {
        format!("{:?} {:?}", heard.wire, heard.inside)
    })
}
