//! The machine: emulated, at the far end of a cable, with every daemon installed. Starting it takes long, so all
//! cases share one, each with its own device at the near end.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use buttons::peer::{self, Cable, Namespace, wait_until};

use super::daemon::Daemon;
use crate::ground::{Folder, expect, expect_soon};
use crate::sniffer::MARKER;
use crate::{Absent, Fault};

/// How the scripts call it.
const NAME: &str = "guest";
/// How long it may take to start while the machine below has other work.
const START: Duration = Duration::from_secs(300);
/// Seconds that one line of shell may take.
const PATIENCE: &str = "100";

/// What lies behind it, and the way back to what lies behind the device. Linux takes no clear advertisement of a
/// neighbour whose packets policy protects, so it has to remember that longer than a case lasts. A first SA has the kernel load and try
/// its ciphers, which takes longer than any exchange may.
const READY: &str = "ip link add inner type dummy; ip link set inner up
ip addr add 10.2.0.1/16 dev inner; ip addr add fd00:b::1/64 dev inner nodad
ip route add 10.1.0.0/16 via 192.0.2.1 dev eth0 src 10.2.0.1
ip route add fd00:a::/64 via 2001:db8::1 dev eth0 src fd00:b::1
sysctl -qw net.ipv6.neigh.eth0.base_reachable_time_ms=3600000
ip xfrm state add src 192.0.2.2 dst 192.0.2.1 proto esp spi 256 mode transport flag esn \\
 replay-window 32 aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128
ip xfrm state flush";

/// A running machine; it stops when this is dropped.
pub struct Machine {
    process: Child,
    /// Between device and machine.
    pub cable: Cable,
    folder: Folder,
    /// The daemon that may run.
    running: Option<&'static dyn Daemon>,
}

enum State {
    Off,
    Up(Box<Machine>),
    /// What kept it from starting; it is not tried again.
    Broken(String),
}

static STATE: Mutex<State> = Mutex::new(State::Off);

fn lab() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/lab")
}

/// Whether everything is here that a machine needs.
pub fn check() -> Result<(), Absent> {
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

/// Has `work` use the machine, which the first one starts.
pub fn with(work: impl FnOnce(&mut Machine) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let State::Off = *state {
        // A start that fails under load may succeed once more.
        let started = Machine::start().or_else(|_| Machine::start());
        *state = match started {
            Ok(machine) => State::Up(Box::new(machine)),
            Err(fault) => State::Broken(fault.to_string()),
        };
    }
    match &mut *state {
        State::Up(machine) => work(machine),
        State::Broken(why) => Err(format!("no machine: {why}").into()),
        State::Off => Err("no machine".into()),
    }
}

/// Stops the machine if there is one.
pub fn stop() {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) = State::Off;
}

impl Machine {
    fn start() -> Result<Self, Fault> {
        let (cable, folder) = (Cable::new()?, Folder::new()?);
        let state = folder.inside("state")?;
        let mut command = Command::new(lab().join("vm/run"));
        command
            .args(["-a", "192.0.2.2/24,2001:db8::2/64", NAME, cable.far.name()])
            .arg(folder.inside("host")?)
            .env("LAB_STATE", &state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(state.join("run.log"))?);
        // SAFETY: the call is safe between fork and exec.
        unsafe { command.pre_exec(stop_with_us) };
        let process = command.spawn()?;
        let mut machine = Self { process, cable, folder, running: None };
        let ready = state.join("vm").join(NAME).join("ready");
        let mut ended = || matches!(machine.process.try_wait(), Ok(Some(_)));
        expect_soon(START, || ready.exists() || ended(), || "the machine does not start".into())?;
        let log = std::fs::read_to_string(state.join("run.log")).unwrap_or_default();
        expect(ready.exists(), || log)?;
        machine.shell(READY)?;
        Ok(machine)
    }

    /// A folder of ours which the machine sees as /host/`name`.
    pub fn shared(&self, name: &str) -> Result<PathBuf, Fault> {
        self.folder.inside(&format!("host/{name}"))
    }

    /// A folder for one device.
    pub fn device_folder(&self, name: &str) -> Result<PathBuf, Fault> {
        self.folder.inside(&format!("device/{name}"))
    }

    /// The host behind the device.
    pub fn host(&self) -> &Namespace {
        &self.cable.host
    }

    /// Runs lines of shell inside and returns what they print; a line that fails ends them.
    pub fn shell(&self, lines: &str) -> Result<String, Fault> {
        let mut command = Command::new(lab().join("vm/ctl"));
        let lines = format!("set -e\n{lines}");
        let state = self.folder.inside("state")?;
        Ok(peer::output(command.args(["-t", PATIENCE, NAME, "sh", &lines]).env("LAB_STATE", state))?)
    }

    /// Sends pings with the marker from inside, none of which may be lost.
    pub fn ping(&self, to: &str) -> Result<(), Fault> {
        let pattern: String = MARKER.iter().map(|octet| format!("{octet:02x}")).collect();
        let said = self.shell(&format!("ping -q -n -c 100 -i 0.02 -W 5 -s 120 -p {pattern} {to} || true"))?;
        expect(said.contains("100 received, 0% packet loss"), || said.clone())
    }

    /// Makes room for `daemon`: no other one runs any more.
    pub fn switch_to(&mut self, daemon: &'static dyn Daemon) -> Result<(), Fault> {
        let other = self.running.replace(daemon).filter(|other| other.name() != daemon.name());
        other.map_or(Ok(()), |other| self.kill(other))
    }

    /// The daemon has no time to say goodbye, and the kernel forgets its SAs, as when the whole machine falls.
    pub fn kill(&self, daemon: &dyn Daemon) -> Result<(), Fault> {
        let process = daemon.process();
        self.shell(&format!(
            "kill -KILL $(pidof {process}) || true; while pidof {process} >/dev/null; do sleep 0.1; done
             ip xfrm state flush; ip xfrm policy flush"
        ))
        .map(drop)
    }
}

/// Has the system stop the calling process when the one that started it is gone.
fn stop_with_us() -> std::io::Result<()> {
    // SAFETY: sets an attribute of the process; there is no pointer.
    let done = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
    if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

impl Drop for Machine {
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
