//! Our host and the Linux kernel's ESP, in a small virtual machine that runs strongSwan: transport
//! mode, and 64-bit sequence numbers, which strongSwan's user-space ESP has neither of.
//!
//! The machine comes from a folder of scripts that lies beside the project, or not. It is emulated,
//! so an exchange may take its time.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use buttons::peer::{self, Cable, Namespace, wait_until};
use libtest_mimic::Trial;

use crate::device::{Device, ECHO};
use crate::ground::{Folder, expect, expect_soon, nothing_in_clear};
use crate::sniffer::{MARKER, Sniffer};
use crate::{Absent, Fault, needing};

/// Each of three exchanges may take this long under emulation.
const EXCHANGE: Duration = Duration::from_secs(20);
const NAME: &str = "guest";
/// Octets that are echoed over TCP.
const ECHOED: usize = 1_000_000;

/// The one case: a machine takes long to start.
pub fn trials() -> Vec<Trial> {
    vec![needing("guest::transport_mode_and_esn_with_the_kernel", check, transport_mode_and_esn)]
}

fn lab() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/lab")
}

fn check() -> Result<(), Absent> {
    peer::check_tools()?;
    let absent = |what: String| Absent { reason: what, required_by: Some("BUTTONS_REQUIRE_VM") };
    let run = lab().join("vm/run");
    if !run.exists() {
        return Err(absent(format!("no virtual machine: {} is not here", run.display())));
    }
    let image = std::env::var_os("LAB_VM")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/lab-vm")));
    let built = image.is_some_and(|image| image.join("root.squashfs").exists());
    if !built {
        return Err(absent(format!("no image: run {}", lab().join("vm/build").display())));
    }
    Ok(())
}

/// A running machine; it stops when this is dropped.
struct Guest {
    process: Child,
    state: PathBuf,
}

impl Guest {
    /// Boots one at the far end of `cable`; it sees `shared` as /host.
    fn boot(far: &Namespace, state: PathBuf, shared: &Path) -> Result<Self, Fault> {
        let process = Command::new(lab().join("vm/run"))
            .args(["-a", "192.0.2.2/24", NAME, far.name()])
            .arg(shared)
            .env("LAB_STATE", &state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(state.join("run.log"))?)
            .spawn()?;
        let guest = Self { process, state };
        let ready = guest.state.join("vm").join(NAME).join("ready");
        expect_soon(Duration::from_secs(120), || ready.exists(), || "the machine does not start".into())?;
        Ok(guest)
    }

    /// Runs a line of shell inside.
    fn shell(&self, line: &str) -> Result<String, Fault> {
        let mut command = Command::new(lab().join("vm/ctl"));
        Ok(peer::output(command.args(["-t", "60", NAME, "sh", line]).env("LAB_STATE", &self.state))?)
    }

    fn swanctl(&self, arguments: &str) -> Result<String, Fault> {
        self.shell(&format!("/lab/strongswan/ctl - {arguments}"))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Ok(process) = libc::pid_t::try_from(self.process.id()) {
            // SAFETY: signals a child that has not been waited for, so the number is still its own.
            unsafe { libc::kill(process, libc::SIGTERM) };
        }
        if !wait_until(Duration::from_secs(10), || matches!(self.process.try_wait(), Ok(Some(_)))) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn transport_mode_and_esn() -> Result<(), Fault> {
    let (folder, cable) = (Folder::new()?, Cable::new()?);
    let wire = Sniffer::start(&cable.device, "wan0", MARKER)?;
    // Configurations with fresh keys: `a` is ours, `b` the guest's.
    let ends = folder.inside("ends")?;
    peer::output(
        Command::new(lab().join("strongswan/conf"))
            .args(["-t", "-e", "aes128gcm16-esn", "ed25519"])
            .arg(&ends),
    )?;
    let guest = Guest::boot(&cable.far, folder.inside("lab")?, &ends.join("b"))?;
    guest.shell("/lab/vm/start-strongswan")?;
    let own = ends.join("a");
    std::fs::set_permissions(own.join("private/own.pem"), std::fs::Permissions::from_mode(0o600))?;
    let mut text = std::fs::File::create(ends.join("b/text"))?;
    for number in 0..ECHOED / 32 {
        writeln!(text, "{}{number:015}", String::from_utf8_lossy(MARKER))?;
    }

    let device = Device::start(&cable.device, &own, CONFIGURATION)?;
    let logs = |device: &Device| {
        let theirs = guest.shell("cat /tmp/lab/strongswan/charon.log; ip -s xfrm state").unwrap_or_default();
        format!("--- device\n{}--- guest\n{theirs}", device.log())
    };
    let ran = (|| -> Result<(), Fault> {
        guest.swanctl("--initiate --child net --timeout 20")?;
        protects(&device, &guest)?;
        guest.swanctl("--terminate --ike peer --timeout 20")?;
        let gone = || device.status().is_ok_and(|s| s.ike_sas.is_empty() && s.child_sas.is_empty());
        expect_soon(EXCHANGE, gone, || "Delete was not understood".into())?;

        device.begin("guest")?;
        let up = || guest.swanctl("--list-sas").is_ok_and(|sas| sas.contains("INSTALLED"));
        expect_soon(3 * EXCHANGE, up, || "no SA".into())?;
        protects(&device, &guest)
    })();
    ran.map_err(|fault| format!("{fault}\n{}", logs(&device)))?;
    let log = device.stop()?;
    let gone = || guest.swanctl("--list-sas").is_ok_and(|sas| sas.is_empty());
    expect_soon(EXCHANGE, gone, || format!("the guest keeps its SA; the device:\n{log}"))?;
    drop(guest);
    let heard = nothing_in_clear(wire.finish()?)?;
    expect(heard.esp > 2 * ECHOED as u64 / 1_500, || format!("too little ESP: {heard:?}"))
}

/// Transport mode and ESN at both ends; pings and TCP.
fn protects(device: &Device, guest: &Guest) -> Result<(), Fault> {
    let sas = guest.swanctl("--list-sas")?;
    expect(sas.contains("TRANSPORT, ESP:AES_GCM_16-128/ESN"), || sas.clone())?;
    let pattern: String = MARKER.iter().map(|octet| format!("{octet:02x}")).collect();
    let said = guest.shell(&format!("ping -q -c 100 -i 0.05 -W 5 -s 120 -p {pattern} 192.0.2.1"))?;
    expect(said.contains("100 received, 0% packet loss"), || said.clone())?;
    let said = guest.shell(&format!("nc -N 192.0.2.1 {ECHO} <text | cmp - text && echo same"))?;
    expect(said == "same\n", || format!("TCP: {said}"))?;
    let status = device.status()?;
    let [child] = &*status.child_sas else { return Err(format!("not one Child SA: {status:?}").into()) };
    expect(child.packets.0 > 100 && child.packets.1 > 100, || format!("{child:?}"))
}

const CONFIGURATION: &str = r#"role = "host"
identity = "a.lab"
key = "private/own.pem"
suites = ["aes128gcm16-curve25519"]
socket = "device.sock"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[peer]]
name = "guest"
identity = "b.lab"
address = "192.0.2.2"
key = "pubkey/peer.pem"

[[policy]]
name = "all"
local = "192.0.2.1/32"
remote = "192.0.2.2/32"
action = "protect"
mode = "transport"
minimum = "pinned"
peer = "guest"
"#;
