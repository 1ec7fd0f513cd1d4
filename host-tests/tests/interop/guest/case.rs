//! One case against the machine: what the device is told, and what both ends then have to do.

use std::path::Path;
use std::time::Duration;

use buttons::key::{self, Kind};
use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use firmware::management::Shown;

use super::daemon::Daemon;
use super::machine::Machine;
use crate::case::{First, Proof};
use crate::credentials::{DEVICE, KeyPair, PEER};
use crate::device::{Device, ECHO, Sa};
use crate::ground::{expect, expect_soon, nothing_in_clear};
use crate::sniffer::{Heard, MARKER, Sniffer};
use crate::{Fault, traffic};

pub const SECRET: &str = "a secret of two ends";
/// One exchange may take this long under emulation.
pub const EXCHANGE: Duration = Duration::from_secs(30);
/// Octets that are echoed over TCP.
const ECHOED: usize = 1_000_000;

/// One case. Both ends speak AES-GCM-128 with 64-bit sequence numbers, and Curve25519.
#[derive(Copy, Clone)]
pub struct Case {
    pub daemon: &'static dyn Daemon,
    /// How both ends prove themselves: raw keys, or a shared key.
    pub proof: Proof,
    pub mode: Mode,
    /// IPv6 outside and inside.
    pub six: bool,
    /// Whether a Child SA's successor has a key exchange of its own.
    pub pfs: bool,
    pub first: First,
    /// Milliseconds until the device sends a request again; emulation takes its time.
    pub retransmit: u32,
    /// Octets of the longest IP datagram of a message in whole: ours, the daemon's if it can be told.
    pub datagrams: (u16, u16),
    /// Whether the daemon does not prove itself, with ID_NULL for its name (RFC 7619).
    pub is_null: bool,
}

impl Case {
    /// The device's address and the machine's.
    pub const fn addresses(&self) -> (&'static str, &'static str) {
        if self.six { ("2001:db8::1", "2001:db8::2") } else { ("192.0.2.1", "192.0.2.2") }
    }

    /// What lies behind the machine.
    pub fn far(&self) -> std::net::IpAddr {
        if self.six { [0xFD00, 0xB, 0, 0, 0, 0, 0, 1].into() } else { [10, 2, 0, 1].into() }
    }

    pub const fn key_kind(&self) -> Kind {
        match self.proof {
            Proof::Pinned(kind) | Proof::Btns(kind) | Proof::FirstUse(kind) => kind,
            Proof::SharedKey => Kind::P256,
        }
    }

    /// Has both ends started, `then` use them, and looks at what was on the wire.
    pub fn with(
        self,
        machine: &mut Machine,
        name: &str,
        then: impl FnOnce(&Machine, &Device) -> Result<(), Fault>,
    ) -> Result<Heard, Fault> {
        machine.switch_to(self.daemon)?;
        let own = KeyPair::new(self.key_kind())?;
        let loaded = self.daemon.load(machine, &self, &own);
        let other = loaded.map_err(|fault| format!("{fault}\n{}", self.daemon.log(machine)))?;
        let folder = machine.device_folder(&name.replace("::", "-"))?;
        let wire = Sniffer::start(&machine.cable.device, "wan0", MARKER)?;
        let device = self.start(machine, &folder, &own, &other)?;
        then(machine, &device).map_err(|fault| {
            let log = self.daemon.log(machine);
            format!("{fault}\n--- device\n{}--- {}\n{log}", device.log(), self.daemon.name())
        })?;
        drop(device);
        nothing_in_clear(wire.finish()?)
    }

    fn start(&self, machine: &Machine, folder: &Path, own: &KeyPair, other: &str) -> Result<Device, Fault> {
        key::write_private(&folder.join("own.pem"), &own.private)?;
        std::fs::write(folder.join("peer.pub"), other)?;
        std::fs::write(folder.join("shared"), SECRET)?;
        Device::start(&machine.cable.device, folder, &self.for_device())
    }

    /// Whoever is first begins; packets pass, as both ends say.
    pub fn begin(&self, machine: &Machine, device: &Device) -> Result<(), Fault> {
        match self.first {
            First::Device => device.begin("guest")?,
            First::Peer => self.daemon.initiate(machine)?,
        }
        expect_soon(3 * EXCHANGE, || device.standing(Sa::Child).is_some(), || "no SA".into())?;
        let status = device.status()?;
        let level = if self.proof == Proof::SharedKey { Level::Shared } else { Level::Pinned };
        let shown = status.child_sas.iter().all(|child| child.level == Shown(level));
        expect(shown && status.ike_sas.iter().all(|sa| sa.identity == PEER), || format!("{status:?}"))
    }

    /// The kernel has this one pair of SAs, and pings pass.
    pub fn carries(&self, machine: &Machine, device: &Device) -> Result<(), Fault> {
        let mode = if self.mode == Mode::Tunnel { "mode tunnel" } else { "mode transport" };
        // The old pair of a replaced one goes a moment after the new one stands.
        let has_pair = || {
            let pair = machine.shell("ip xfrm state").unwrap_or_default();
            [mode, "esn"].iter().all(|word| pair.matches(word).count() >= 2)
                && pair.matches("proto esp").count() == 2
        };
        expect_soon(EXCHANGE, has_pair, || machine.shell("ip xfrm state").unwrap_or_default())?;
        match self.mode {
            Mode::Tunnel => traffic::ping(machine.host(), self.far(), 100, "0.01", Duration::from_secs(5))?,
            // A host has no place for a `ping` of ours: it answers.
            Mode::Transport => machine.ping(self.addresses().0)?,
        }
        let status = device.status()?;
        let [child] = &*status.child_sas else { return Err(format!("not one Child SA: {status:?}").into()) };
        expect(child.packets.0 >= 100 && child.packets.1 >= 100, || format!("{child:?}"))
    }

    /// A TCP connection to the device's echo service brings back every octet.
    pub fn echoes(&self, machine: &Machine) -> Result<(), Fault> {
        let lines =
            (0..ECHOED / 32).map(|number| format!("{}{number:015}\n", String::from_utf8_lossy(MARKER)));
        std::fs::write(machine.shared("text")?.join("lines"), lines.collect::<String>())?;
        let to = self.addresses().0;
        let said =
            machine.shell(&format!("cd /host/text; nc -N {to} {ECHO} <lines | cmp - lines && echo same"))?;
        expect(said == "same\n", || format!("TCP: {said}"))
    }

    /// The end that did not begin deletes, and the other knows it. Whoever began may begin again at once.
    pub fn part(&self, machine: &Machine, device: &Device) -> Result<(), Fault> {
        let status = device.status()?;
        let [child] = &*status.child_sas else { return Err(format!("not one Child SA: {status:?}").into()) };
        let (ours, theirs) = (child.inbound, format!("0x{:08x}", child.outbound));
        match self.first {
            First::Device => self.daemon.terminate(machine)?,
            First::Peer => device.close("guest")?,
        }
        let gone = || device.status().is_ok_and(|s| s.child_sas.iter().all(|child| child.inbound != ours));
        expect_soon(EXCHANGE, gone, || "the device keeps its SA".into())?;
        let gone = || machine.shell("ip xfrm state").is_ok_and(|state| !state.contains(&theirs));
        expect_soon(EXCHANGE, gone, || "the kernel keeps its SA".into())
    }

    fn for_device(&self) -> String {
        let (own, other) = self.addresses();
        let length = if self.six { 128 } else { 32 };
        let proof = if self.proof == Proof::SharedKey {
            ("shared-key = \"shared\"", "shared")
        } else {
            ("key = \"peer.pub\"", "pinned")
        };
        let (role, mode, inside) = match self.mode {
            Mode::Transport => ("host", "transport", ""),
            Mode::Tunnel => ("gateway", "tunnel", INSIDE),
        };
        let (local, remote) = match (self.mode, self.six) {
            (Mode::Transport, _) => (format!("{own}/{length}"), format!("{other}/{length}")),
            (Mode::Tunnel, false) => ("10.1.0.0/16".into(), "10.2.0.0/16".into()),
            (Mode::Tunnel, true) => ("fd00:a::/64".into(), "fd00:b::/64".into()),
        };
        let (datagram, pfs, retransmit) = (self.datagrams.0, self.pfs, self.retransmit);
        format!(
            r#"role = "{role}"
identity = "{DEVICE}"
key = "own.pem"
suites = ["aes128gcm16-curve25519"]
socket = "device.sock"
timing = {{ datagram = {datagram}, retransmit-ms = {retransmit} }}

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24", "2001:db8::1/64"]
{inside}
[[peer]]
name = "guest"
identity = "{PEER}"
address = "{other}"
ranges = ["{remote}"]
{}

[[policy]]
name = "all"
local = "{local}"
remote = "{remote}"
action = "protect"
mode = "{mode}"
minimum = "{}"
peer = "guest"
pfs = {pfs}
"#,
            proof.0, proof.1
        )
    }
}

/// A gateway's second port.
const INSIDE: &str = r#"
[[interface]]
device = "lan0"
addresses = ["10.1.0.1/16", "fd00:a::1/64"]

[[route]]
to = "10.2.0.0/16"
via = "192.0.2.2"

[[route]]
to = "fd00:b::/64"
via = "2001:db8::2"
"#;
