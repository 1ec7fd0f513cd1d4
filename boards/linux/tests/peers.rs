//! `buttons --peer` and `buttons run` with real programs in namespaces. Needs root; what is missing
//! shows as ignored with its name, and `BUTTONS_REQUIRE_PEERS=1` makes that a failure.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use buttons::demo::Options;
use buttons::demo::against::{self, PeerKind};
use buttons::key::{self, Kind, Spelling};
use buttons::peer::{self, Bird, PeerError, StrongSwan, Topology, wait_until};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

type Checked = Result<(), PeerError>;

fn main() {
    let mut arguments = Arguments::from_args();
    // Namespaces are named after the process.
    arguments.test_threads = Some(1);
    let strongswan = || peer::check_tools().and_then(|()| StrongSwan::check());
    let trials = vec![
        trial("the_story_with_strongswan", strongswan, || story(PeerKind::Strongswan)),
        trial(
            "the_story_with_bird",
            move || strongswan().and_then(|()| Bird::check()),
            || story(PeerKind::Bird),
        ),
        trial("a_running_device_answers_status_and_why", peer::check_tools, answers),
        trial("a_tap_device_is_a_neighbour_of_the_kernel", peer::check_tools, neighbour),
        trial("an_interface_with_a_kernel_address_is_refused", peer::check_tools, refuses),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(
    name: &str,
    check: impl FnOnce() -> Checked + Send + 'static,
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        let required = std::env::var_os("BUTTONS_REQUIRE_PEERS").is_some();
        match check() {
            Ok(()) => run().map(|()| Completion::Completed),
            Err(missing) if required => Err(missing.to_string().into()),
            Err(missing) => Ok(Completion::ignored_with(missing)),
        }
    })
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, Failed> {
        let path = std::env::temp_dir().join(format!("buttons-peers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn story(kind: PeerKind) -> Result<(), Failed> {
    let folder = Folder::new(&format!("{kind:?}"))?;
    let options = Options { capture: folder.0.clone(), ..Options::default() };
    Ok(against::run(kind, &options, Box::new(std::io::sink()))?)
}

/// A child that is stopped when this goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(topology: &Topology, folder: &Path, text: &str) -> Result<Running, Failed> {
    let own = key::generate(Kind::Ed25519)?;
    let peer = key::public(&key::generate(Kind::Ed25519)?).ok_or("no key")?;
    key::write_private(&folder.join("own.pem"), &own)?;
    std::fs::write(folder.join("b.pub"), key::spell(&peer, Spelling::Base64)?)?;
    std::fs::write(folder.join("device.toml"), text)?;
    let mut command = topology.device.command(env!("CARGO_BIN_EXE_buttons"));
    command.arg("run").arg(folder.join("device.toml")).stdin(Stdio::null());
    Ok(Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?))
}

fn ask(folder: &Path, words: &[&str]) -> Result<Output, Failed> {
    let socket = folder.join("buttons.sock");
    Ok(Command::new(env!("CARGO_BIN_EXE_buttons")).args(words).arg("--socket").arg(socket).output()?)
}

fn answers() -> Result<(), Failed> {
    let (folder, topology) = (Folder::new("answers")?, Topology::new()?);
    let quick = format!("{}\n[timing]\nretransmit-ms = 100\ntries = 2\n", against::DEVICE);
    let _device = start(&topology, &folder.0, &quick)?;
    let up =
        wait_until(Duration::from_secs(5), || ask(&folder.0, &["status"]).is_ok_and(|o| o.status.success()));
    expect(up, "the device has to answer")?;

    let json = ask(&folder.0, &["status", "--json"])?;
    let status: serde_json::Value = serde_json::from_slice(&json.stdout)?;
    expect(status["peers"][0]["name"] == "b", &format!("{status}"))?;
    expect(said(&ask(&folder.0, &["why", "b"])?).contains("nothing has asked for"), "no reason yet")?;
    let nobody = ask(&folder.0, &["why", "nobody"])?;
    expect(nobody.status.code() == Some(2), "of an unknown peer nobody can tell")?;

    // Nobody speaks IKE at the peer's address.
    let _ = topology.host.run("ping", &["-c", "1", "-W", "1", "10.2.0.1"]);
    let told = wait_until(Duration::from_secs(10), || {
        ask(&folder.0, &["why", "b"]).is_ok_and(|output| said(&output).contains("no answer to IKE_SA_INIT"))
    });
    expect(told, &format!("the reason has to be told: {}", said(&ask(&folder.0, &["why", "b"])?)))
}

/// The kernel finds the hardware address of a host on the far end of a TAP device, so frames pass both
/// ways.
fn neighbour() -> Result<(), Failed> {
    let (folder, topology) = (Folder::new("tap")?, Topology::new()?);
    let host = against::DEVICE
        .replace("\"gateway\"", "\"host\"")
        .replace("\"wan0\"", "\"tap:tap0\"")
        .replace("[[interface]]\ndevice = \"lan0\"\naddresses = [\"10.1.0.1/16\"]\n", "")
        .replace("10.1.0.0/16", "192.0.2.1/32")
        .replace("10.2.0.0/16", "192.0.2.2/32")
        .replace("\"tunnel\"", "\"transport\"");
    let _device = start(&topology, &folder.0, &host)?;
    let up =
        wait_until(Duration::from_secs(5), || ask(&folder.0, &["status"]).is_ok_and(|o| o.status.success()));
    expect(up, "the device has to answer")?;
    topology.device.run("ip", &["addr", "add", "192.0.2.9/24", "dev", "tap0"])?;
    topology.device.run("ip", &["link", "set", "tap0", "up"])?;
    // A ping in clear is dropped by policy; its sender knows the neighbour all the same.
    let ping = topology.device.run("ping", &["-c", "1", "-W", "1", "192.0.2.1"]);
    expect(ping.is_err(), "nothing answers in clear")?;
    let known = topology.device.run("ip", &["neigh", "show", "192.0.2.1", "dev", "tap0"])?;
    expect(known.contains("lladdr"), &known)?;
    let status: serde_json::Value = serde_json::from_slice(&ask(&folder.0, &["status", "--json"])?.stdout)?;
    expect(status["packets"]["dropped"] == 1, &status.to_string())
}

fn refuses() -> Result<(), Failed> {
    let (folder, topology) = (Folder::new("refuses")?, Topology::new()?);
    topology.device.run("ip", &["addr", "add", "192.0.2.1/24", "dev", "wan0"])?;
    let mut device = start(&topology, &folder.0, against::DEVICE)?;
    expect(
        wait_until(Duration::from_secs(5), || matches!(device.0.try_wait(), Ok(Some(_)))),
        "it has to stop",
    )?;
    let mut words = String::new();
    if let Some(mut stderr) = device.0.stderr.take() {
        std::io::Read::read_to_string(&mut stderr, &mut words)?;
    }
    expect(device.0.wait()?.code() == Some(1), "it has to fail")?;
    expect(words.contains("the kernel has the address 192.0.2.1 on wan0"), &words)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn expect(condition: bool, words: &str) -> Result<(), Failed> {
    if condition { Ok(()) } else { Err(words.into()) }
}
