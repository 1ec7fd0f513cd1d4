//! A zone is changed (RFC 2136) while pings pass: the far end is at another address, of the other family, has
//! another key. Each change is there before what it replaces goes, and no ping is lost that the far end has answered
//! in time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use buttons::key::{self, Spelling};
use buttons::peer::{Namespace, StrongSwan};
use esp_engine::spd::Level;
use firmware::management::Shown;

use super::stage::{DEVICE, Stage, with_logs};
use crate::device::{Device, Sa};
use crate::dns::UNBOUND;
use crate::dns::hosts::{KEYS, NEXT_KEY, ipseckey};
use crate::ground::{expect, expect_soon};
use crate::sniffer::{MARKER, Sniffer};
use crate::{Fault, ground, traffic};

const NAME: &str = "dev2.live.test";
/// Behind the far end.
const BEHIND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 2, 0, 1));
/// Seconds between pings.
const INTERVAL: &str = "0.025";
/// How soon a change is followed: what is remembered of the zone is so for two seconds at Unbound, and renewed
/// every three to five seconds by the device.
const SOON: Duration = Duration::from_secs(20);

const FIRST: &str = "192.0.2.2";
const SECOND: &str = "192.0.2.22";
const SIX: &str = "2001:db8::2";

/// Where the name leads, one after the other, and where the SA then has to be.
const MOVES: [(&[&str], &str); 4] =
    [(&[FIRST, SECOND], FIRST), (&[SECOND], SECOND), (&[SECOND, SIX], SECOND), (&[SIX], SIX)];
/// For an end that has one address of a family.
const MOVES_OF_A_DEVICE: [(&[&str], &str); 2] = [(&[FIRST, SIX], FIRST), (&[SIX], SIX)];

/// The far end by its name, as the way to the network behind it.
const NEAR: &str = r#"[[peer]]
name = "far"
dns = "dev2.live.test"
ranges = ["10.2.0.0/16"]

[[route]]
to = "10.2.0.0/16"
via = "192.0.2.2"

[[policy]]
name = "net"
local = "10.1.0.0/16"
remote = "10.2.0.0/16"
action = "protect"
mode = "tunnel"
minimum = "validated"
peer = "far"
"#;

/// strongSwan moves from address to address, then has another key.
pub fn strongswan_moves(stage: &Stage) -> Result<(), Fault> {
    stage.far_is_a_host()?;
    let wire = Sniffer::start(&stage.far, "wan0", MARKER)?;
    let (peer, folder) = stage.strongswan(NAME, &KEYS[1], "10.2.0.0/16")?;
    let device = stage.gateway(DEVICE, UNBOUND, NEAR)?;
    // Asked for a new IKE SA, strongSwan sends on its Child SA before its answer has left, on an SPI that the device has
    // offered and cannot know the keys of yet; it is told so. RFC 7296 §2.8 lets a responder wait for our first packet.
    let early = || peer.log().matches("[ N(INVAL_SPI) ]").count();
    let done = under_pings(stage, early, || {
        moves(stage, &device, &MOVES)?;
        changes_key(stage, &device, &peer, &folder)
    });
    done.map_err(|fault| with_logs(&fault, &device, &peer.log()))?;
    ground::nothing_in_clear(wire.finish()?).map(drop)
}

/// The far end as a device of ours.
const FAR_DEVICE: &str = r#"role = "gateway"
identity = "dev2.live.test"
key = "own.pem"
socket = "device.sock"
suites = ["aes128gcm16-curve25519"]

[[interface]]
device = "wan0"
addresses = ["192.0.2.2/24", "2001:db8::2/64"]

[[interface]]
device = "lan0"
addresses = ["10.2.0.254/16"]

[[route]]
to = "0.0.0.0/0"
via = "192.0.2.254"

[dns]
servers = ["203.0.113.56"]
anchors = "root.ds"

[[peer]]
name = "near"
dns = "dev1.live.test"
ranges = ["10.1.0.0/16"]

[[route]]
to = "10.1.0.0/16"
via = "192.0.2.1"

[[policy]]
name = "net"
local = "10.2.0.0/16"
remote = "10.1.0.0/16"
action = "protect"
mode = "tunnel"
minimum = "validated"
peer = "near"
"#;

/// A second device of ours moves; both ends look each other up.
pub fn device_moves(stage: &Stage) -> Result<(), Fault> {
    let behind = Namespace::new("behind")?;
    for which in ["default", "wan0"] {
        stage.far.run("sysctl", &["-qw", &format!("net.ipv6.conf.{which}.disable_ipv6=1")])?;
    }
    stage.far.cable("lan0", &behind, "lan0")?;
    behind.run("ip", &["addr", "add", "10.2.0.1/16", "dev", "lan0"])?;
    behind.run("ip", &["route", "add", "default", "via", "10.2.0.254"])?;
    let wire = Sniffer::start(&stage.far, "wan0", MARKER)?;
    let far = stage.start(&stage.far, &KEYS[1], FAR_DEVICE)?;
    let device = stage.gateway("dev1.live.test", UNBOUND, NEAR)?;
    let done = under_pings(stage, || 0, || moves(stage, &device, &MOVES_OF_A_DEVICE));
    done.map_err(|fault| with_logs(&fault, &device, &far.log()))?;
    let heard = wire.finish()?;
    expect(heard.marked == 0 && heard.esp >= 100, || format!("in clear on the wire: {heard:?}"))
}

/// Does `work` under pings. None may be lost but those that came too `early`.
fn under_pings(
    stage: &Stage,
    early: impl Fn() -> usize,
    work: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    traffic::ping_once(&stage.host, BEHIND, Duration::from_secs(10))?;
    let pings = traffic::ping_while(&stage.host, BEHIND, INTERVAL, work)?;
    let early = early();
    println!("{pings:?}, {early} came too early");
    expect(pings.lost as usize <= early && pings.sent >= 100, || format!("{pings:?}, {early} came too early"))
}

/// The name leads to one set of addresses after the other.
fn moves(stage: &Stage, device: &Device, moves: &[(&[&str], &str)]) -> Result<(), Fault> {
    for (addresses, at) in moves {
        let family = |address: &&str| if address.contains(':') { "AAAA" } else { "A" };
        let records: Vec<String> = addresses.iter().map(|it| format!("{} {it}", family(it))).collect();
        stage.dns.change(&["A", "AAAA"], &records)?;
        let at = at.parse::<IpAddr>()?;
        let follows = || {
            let is_there = device.status().is_ok_and(|status| {
                status.ike_sas.len() == 1
                    && status.child_sas.len() == 1
                    && status.ike_sas.iter().all(|sa| sa.established && sa.remote.ip() == at)
            });
            is_there && covered(&device.log()) == addresses.iter().map(|it| (*it).to_owned()).collect()
        };
        expect_soon(SOON, follows, || format!("{addresses:?} are not followed: {:?}", device.status()))?;
    }
    Ok(())
}

/// Where the device last said that it takes the far end to be.
fn covered(log: &str) -> BTreeSet<String> {
    let last = log.lines().filter_map(|line| line.split_once("its policies cover ")).next_back();
    last.map(|(_, addresses)| addresses.split(" and ").map(str::to_owned).collect()).unwrap_or_default()
}

/// Both keys are in the zone; then strongSwan has the next one, and that alone stays. The device wants it proven.
fn changes_key(stage: &Stage, device: &Device, peer: &StrongSwan, folder: &Path) -> Result<(), Fault> {
    let record = |key| Ok::<_, Fault>(ipseckey(key)?.replacen("IN ", "", 1));
    stage.dns.change(&["IPSECKEY"], &[record(&KEYS[1])?, record(&NEXT_KEY)?])?;
    let both = || stage.dns.ask(NAME, &[UNBOUND], None).is_ok_and(|found| found.outcome.keys().count() == 2);
    expect_soon(SOON, both, || "the zone does not have both keys".into())?;
    let spki = key::public(&NEXT_KEY).ok_or("no public key")?;
    std::fs::write(
        folder.join("private/own.pem"),
        key::private_pem(&NEXT_KEY).ok_or("no private key")?.as_bytes(),
    )?;
    std::fs::write(folder.join("pubkey/own.pem"), key::spell(&spki, Spelling::Strongswan)?)?;
    peer.control(&["--load-creds", "--clear", "--noprompt"])?;
    peer.control(&["--load-conns"])?;
    let before = device.standing(Sa::Ike);
    stage.dns.change(&["IPSECKEY"], &[record(&NEXT_KEY)?])?;
    let is_new = || device.standing(Sa::Ike).is_some_and(|now| Some(now) != before);
    expect_soon(SOON, is_new, || "no SA that the new key proves".into())?;
    let status = device.status()?;
    let validated = Some(Shown(Level::Validated));
    expect(status.ike_sas.iter().all(|sa| sa.level == validated), || format!("{status:?}"))
}
