//! strongSwan's charon with ESP in user space (`kernel-libipsec`): tunnel mode inside UDP, which
//! needs no kernel support and no module.

mod configuration;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::namespace::Namespace;
use super::{PeerError, check_program, output, stop, wait_until};
pub use configuration::{Authentication, Charon, Connection, DEVICE_NETWORKS, Options, PEER_NETWORKS, Ppk};

/// A running charon; it stops when this is dropped.
#[derive(Debug)]
pub struct StrongSwan {
    charon: Child,
    folder: PathBuf,
}

const CHARON: &str = "/usr/sbin/charon-systemd";
const PROGRAMS: [(&str, &str); 2] = [("charon-systemd", "charon-systemd"), ("swanctl", "strongswan-swanctl")];
const USER_SPACE_ESP: (&str, &str) =
    ("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so", "libcharon-extra-plugins");

impl StrongSwan {
    /// Whether it is installed with what is needed here.
    ///
    /// # Errors
    /// [`PeerError::Missing`] names what is not.
    pub fn check() -> Result<(), PeerError> {
        PROGRAMS.into_iter().try_for_each(|(program, package)| check_program(program, package))?;
        let (program, package) = USER_SPACE_ESP;
        Path::new(program).exists().then_some(()).ok_or(PeerError::Missing { program, package })
    }

    /// Starts charon in `namespace` with `folder` for configuration, log and socket, and loads `connection`.
    ///
    /// # Errors
    /// [`PeerError`] with charon's own words.
    pub fn start(namespace: &Namespace, folder: &Path, connection: &Connection) -> Result<Self, PeerError> {
        Self::check()?;
        Self::launch(namespace.command(CHARON), folder, connection)
    }

    /// The same with the charon that is unpacked under `root`, with all its libraries, which becomes its `/`.
    ///
    /// # Errors
    /// [`PeerError`] with charon's own words.
    pub fn start_under(
        root: &Path,
        namespace: &Namespace,
        folder: &Path,
        connection: &Connection,
    ) -> Result<Self, PeerError> {
        // A command in a namespace has mounts of its own, which go with it.
        let script = format!(
            "set -e; cd {root}; mount --rbind /dev dev; mount -t proc proc proc; mount -t tmpfs tmpfs run; \
             mount -t tmpfs tmpfs tmp; mkdir -p ./{folder}; mount --bind {folder} ./{folder}; \
             exec chroot . {CHARON}",
            root = root.display(),
            folder = folder.canonicalize()?.display(),
        );
        let mut command = namespace.command("sh");
        command.args(["-c", &script]);
        Self::launch(command, folder, connection)
    }

    fn launch(mut command: Command, folder: &Path, connection: &Connection) -> Result<Self, PeerError> {
        let folder = folder.canonicalize()?;
        let charon = Charon {
            esp: "kernel-libipsec kernel-netlink",
            socket: &folder.join("charon.vici"),
            log: &folder.join("charon.log"),
        };
        connection.write(&folder, &charon)?;
        let charon = command
            .env("STRONGSWAN_CONF", folder.join("strongswan.conf"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join("stdio.log"))?)
            .stderr(Stdio::null())
            .spawn()?;
        let running = Self { charon, folder };
        if !wait_until(Duration::from_secs(10), || running.folder.join("charon.vici").exists()) {
            return Err(PeerError::NotReady { program: "charon-systemd", log: running.log() });
        }
        running.control(&["--load-all", "--noprompt"])?;
        Ok(running)
    }

    /// `swanctl` with these arguments.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn control(&self, arguments: &[&str]) -> Result<String, PeerError> {
        output(
            Command::new("swanctl")
                .args(arguments)
                .arg("--uri")
                .arg(format!("unix://{}", self.folder.join("charon.vici").display()))
                .env("SWANCTL_DIR", &self.folder)
                .env("STRONGSWAN_CONF", self.folder.join("strongswan.conf")),
        )
    }

    /// Asks it to set up the Child SA.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn initiate(&self) -> Result<String, PeerError> {
        self.control(&["--initiate", "--child", "net", "--timeout", "10"])
    }

    /// Asks it to delete the IKE SA.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn terminate(&self) -> Result<String, PeerError> {
        self.control(&["--terminate", "--ike", "device", "--timeout", "10"])
    }

    /// Its SAs in its own words; empty without any.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn sas(&self) -> Result<String, PeerError> {
        self.control(&["--list-sas"])
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("charon.log")).unwrap_or_default()
    }
}

impl Drop for StrongSwan {
    fn drop(&mut self) {
        stop(&mut self.charon);
    }
}
