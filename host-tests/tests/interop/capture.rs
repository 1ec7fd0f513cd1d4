//! Unmodified programs behind our gateway, which captures the names that they ask for: `ping` and `curl` reach
//! a name whose key is in DNS inside ESP, with not one packet in clear, and a name without key as ever.

mod server;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use buttons::key::{self, Kind};
use buttons::peer::{self, Authentication, Connection, Namespace, Options, StrongSwan, Topology};
use libtest_mimic::Trial;

use self::server::{Record, Server};
use crate::credentials::KeyPair;
use crate::device::Device;
use crate::ground::{Ground, expect, expect_soon};
use crate::sniffer::MARKER;
use crate::{Absent, Fault, needing, strongswan, traffic};

/// The device's identity, and the name of the protected server.
const DEVICE: &str = "gate.test";
const NAME: &str = "www.test";
/// Where both names lead.
const WITH_KEY: [u8; 4] = [192, 0, 2, 2];
const WITHOUT_KEY: [u8; 4] = [192, 0, 2, 3];

/// All of them.
pub fn trials() -> Vec<Trial> {
    let tools = || {
        strongswan()?;
        peer::check_program("curl", "curl").map_err(Absent::from)
    };
    let dig = || {
        strongswan()?;
        peer::check_program("dig", "bind9-dnsutils").map_err(Absent::from)
    };
    vec![
        needing("capture::ping_and_curl", tools, protected),
        needing("capture::by_tcp", dig, by_tcp),
        needing("capture::wrong_key", tools, with_wrong_key),
        needing("capture::required", tools, required),
    ]
}

/// What a host's resolver is, for as long as this lives: `ip netns exec` puts it in place.
pub struct ResolvConf(PathBuf);

impl ResolvConf {
    pub fn new(host: &Namespace) -> Result<Self, Fault> {
        let folder = PathBuf::from("/etc/netns").join(host.name());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("resolv.conf"), "nameserver 10.1.0.1\noptions timeout:3 attempts:2\n")?;
        Ok(Self(folder))
    }
}

impl Drop for ResolvConf {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // Only if nobody else has one.
        let _ = fs::remove_dir("/etc/netns");
    }
}

struct Stage {
    device: Device,
    peer: StrongSwan,
    server: Server,
    _resolver: ResolvConf,
}

impl Stage {
    /// The key in DNS is strongSwan's own, or another one.
    fn new(ground: &Ground, is_right: bool, rules: &str) -> Result<Self, Fault> {
        let Topology { device, host, peer, .. } = &ground.topology;
        let (ours, theirs) = (KeyPair::new(Kind::Ed25519)?, KeyPair::new(Kind::Ed25519)?);
        let published = if is_right {
            key::public(&theirs.private)
        } else {
            key::public(&KeyPair::new(Kind::Ed25519)?.private)
        };
        peer.run("ip", &["addr", "add", "192.0.2.53/24", "dev", "wan0"])?;
        peer.run("ip", &["route", "add", "10.1.0.0/16", "via", "192.0.2.1"])?;
        let server = Server::start(
            peer,
            &[
                (NAME, Record::Address(WITH_KEY)),
                (NAME, Record::Key(published.ok_or("no public key")?)),
                ("plain.test", Record::Address(WITHOUT_KEY)),
            ],
        )?;
        let connection = Connection {
            identity: NAME.into(),
            peer_identity: DEVICE.into(),
            peer_address: "192.0.2.1".into(),
            authentication: Authentication::PinnedKeys {
                own: theirs.private_pem.clone(),
                peer: ours.public_pem.clone(),
            },
            ike: "aes128gcm16-prfsha256-x25519",
            esp: "aes128gcm16",
            own_networks: "192.0.2.2/32",
            peer_networks: "10.1.0.0/16",
            options: Options::default(),
        };
        let folder = ground.folder.inside("peer")?;
        let strongswan = StrongSwan::start(peer, &folder, &connection)?;
        let folder = ground.folder.inside("device")?;
        key::write_private(&folder.join("own.pem"), &ours.private)?;
        fs::write(folder.join("root.ds"), server.anchor())?;
        let device = Device::start(device, &folder, &configuration(rules))?;
        Ok(Self { device, peer: strongswan, server, _resolver: ResolvConf::new(host)? })
    }

    fn with_logs(&self, fault: &Fault) -> Fault {
        format!("{fault}\n--- device\n{}\n--- strongSwan\n{}", self.device.log(), self.peer.log()).into()
    }
}

fn configuration(rules: &str) -> String {
    format!(
        r#"role = "gateway"
identity = "{DEVICE}"
key = "own.pem"
socket = "device.sock"
suites = ["aes128gcm16-curve25519"]

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[interface]]
device = "lan0"
addresses = ["10.1.0.1/16"]

[[policy]]
name = "rest"
local = "10.1.0.0/16"
remote = "0.0.0.0/0"
action = "bypass"

[dns]
servers = ["192.0.2.53"]
anchors = "root.ds"

[dns.capture]
{rules}
"#
    )
}

/// Three pings by name, with the marker.
pub fn ping(host: &Namespace, name: &str) -> Result<String, Fault> {
    let pattern: String = MARKER.iter().map(|octet| format!("{octet:02x}")).collect();
    let said = host
        .command("ping")
        .args(["-4", "-n", "-c", "3", "-i", "0.2", "-W", "3", "-p", &pattern, name])
        .output()?;
    Ok(String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned())
}

/// A page with the marker, served on the protected address.
fn serve_page(peer: &Namespace) -> Result<(), Fault> {
    let (ready, wait) = std::sync::mpsc::channel();
    let thread = peer.thread(move || {
        let Ok(listener) = TcpListener::bind("192.0.2.2:80") else { return };
        let _ = ready.send(());
        for mut stream in listener.incoming().take(1).flatten() {
            let page = [b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n", &MARKER[..], b"\n"].concat();
            let _ = stream.write_all(&page);
        }
    })?;
    wait.recv().map_err(|_| "nobody serves the page")?;
    drop(thread);
    Ok(())
}

/// `ping` and `curl` by name: everything is inside ESP, from the first packet on.
fn protected() -> Result<(), Fault> {
    let ground = Ground::new()?;
    let stage = Stage::new(&ground, true, "allow = [\".test\"]")?;
    let host = &ground.topology.host;
    let told = (|| {
        let said = ping(host, NAME)?;
        expect(said.contains(" 3 received, 0% packet loss"), || said)?;
        serve_page(&ground.topology.peer)?;
        let page = host.command("curl").args(["-s", "-m", "10", &format!("http://{NAME}/")]).output()?;
        expect(page.stdout.starts_with(MARKER), || format!("no page: {page:?}"))?;
        let status = stage.device.status()?;
        expect(status.child_sas.len() == 1, || format!("not one Child SA: {status:?}"))?;
        // A name without key goes on as ever, without anybody noticing.
        let start = Instant::now();
        let plain = host.command("getent").args(["ahostsv4", "plain.test"]).output()?;
        expect(plain.stdout.starts_with(b"192.0.2.3 "), || format!("a name without key: {plain:?}"))?;
        expect(start.elapsed() < Duration::from_secs(1), || format!("it took {:?}", start.elapsed()))
    })();
    told.map_err(|fault| stage.with_logs(&fault))?;
    expect(stage.server.keys_asked(NAME) >= 1, || "nobody asked for the key".into())?;
    stage.device.stop()?;
    drop(stage.peer);
    let heard = ground.both()?;
    expect(heard.inside.marked > 3, || format!("nothing to hear inside: {:?}", heard.inside))?;
    expect(heard.wire.esp > 6 && heard.wire.marked == 0, || format!("in clear on the wire: {:?}", heard.wire))
}

/// Clients may ask by TCP, several times on one connection (RFC 7766), and from the inside only.
fn by_tcp() -> Result<(), Fault> {
    let ground = Ground::new()?;
    let stage = Stage::new(&ground, true, "allow = [\".test\"]")?;
    let Topology { host, peer, .. } = &ground.topology;
    let questions = ["+tcp", "+keepopen", "+short", "+tries=1", "@10.1.0.1", "plain.test", "A", NAME, "A"];
    let said = host.command("dig").args(questions).output()?;
    // Signatures come unasked from this server.
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    let addresses = told.lines().filter(|line| line.starts_with("192.0.2."));
    expect(addresses.eq(["192.0.2.3", "192.0.2.2"]), || format!("{said:?}"))
        .map_err(|fault| stage.with_logs(&fault))?;
    for way in ["+tcp", "+notcp"] {
        let outside = ["+time=1", "+tries=1", "+short", way, "-b", "192.0.2.53", "@192.0.2.1", "plain.test"];
        let said = peer.command("dig").args(outside).output()?;
        expect(!said.stdout.starts_with(b"192.0.2.3"), || format!("served from outside: {said:?}"))?;
    }
    Ok(())
}

/// Somebody else's key is in DNS: IKE fails, and the name is as reachable as it would be without capturing.
fn with_wrong_key() -> Result<(), Fault> {
    let ground = Ground::new()?;
    let stage = Stage::new(&ground, false, "allow = [\".test\"]")?;
    let host = &ground.topology.host;
    let told = (|| {
        let _ = ping(host, NAME)?;
        expect_soon(
            Duration::from_secs(8),
            || ping(host, NAME).is_ok_and(|said| said.contains(" 3 received, 0%")),
            || "the name stays unreachable".into(),
        )
    })();
    told.map_err(|fault| stage.with_logs(&fault))?;
    expect(stage.device.status()?.child_sas.is_empty(), || "a Child SA with the wrong key".into())?;
    let heard = ground.both()?;
    expect(heard.wire.marked > 0, || format!("nothing passed: {:?}", heard.wire))
}

/// The same where protection is required: the name has no address, and nothing leaves in clear.
fn required() -> Result<(), Fault> {
    let ground = Ground::new()?;
    let stage = Stage::new(&ground, false, "require = [\".test\"]")?;
    let said = ping(&ground.topology.host, NAME)?;
    expect(!said.contains("bytes from"), || format!("a name that was to be protected: {said}"))
        .map_err(|fault| stage.with_logs(&fault))?;
    // Who knows the address does not get around it either.
    let forced = traffic::ping_once(&ground.topology.host, WITH_KEY.into(), Duration::from_secs(2));
    expect(forced.is_err(), || "a packet in clear to an address that is to be protected".into())?;
    let heard = ground.both()?;
    expect(heard.wire.marked == 0, || format!("in clear on the wire: {:?}", heard.wire))
}
