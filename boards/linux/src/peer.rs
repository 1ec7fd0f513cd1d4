//! Other people's programs, to be tested against: strongSwan and BIRD from the distribution, each
//! in a network namespace that is made for it and removed with it. Needs root.
//!
//! A [`Topology`] is the ground they stand on; [`StrongSwan`] and [`Bird`] are running programs
//! that stop when they are dropped. What is missing is told by name, with its package.

mod bird;
mod namespace;
mod strongswan;

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub use bird::{Bird, BirdSession};
pub use namespace::{Behind, Cable, Namespace, Nat, Topology};
pub use strongswan::{
    Authentication, Charon, Connection, DEVICE_NETWORKS, Options, PEER_NETWORKS, Ppk, StrongSwan,
};

/// Why a peer is not there.
#[derive(Debug)]
pub enum PeerError {
    /// Namespaces and raw sockets are root's.
    NotRoot,
    /// A program is not installed.
    Missing {
        /// The program.
        program: &'static str,
        /// Debian's package.
        package: &'static str,
    },
    /// A program ran and said no.
    Refused {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// A program did not become ready in time.
    NotReady {
        /// The program.
        program: &'static str,
        /// The end of its log.
        log: String,
    },
    /// The operating system refused.
    System(io::Error),
}

impl core::fmt::Display for PeerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotRoot => f.write_str("network namespaces need root: run this with sudo"),
            Self::Missing { program, package } => {
                write!(f, "{program} is not installed: apt-get install {package}")
            }
            Self::Refused { command, said } => write!(f, "`{command}` failed: {}", said.trim()),
            Self::NotReady { program, log } => write!(f, "{program} did not become ready:\n{log}"),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for PeerError {}

impl From<io::Error> for PeerError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Programs that any test with namespaces needs.
const TOOLS: [(&str, &str); 4] =
    [("ip", "iproute2"), ("ethtool", "ethtool"), ("ping", "iputils-ping"), ("sysctl", "procps")];

/// Whether everything is here to make namespaces.
///
/// # Errors
/// [`PeerError::NotRoot`] or the first [`PeerError::Missing`] tool.
pub fn check_tools() -> Result<(), PeerError> {
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Err(PeerError::NotRoot);
    }
    TOOLS.into_iter().try_for_each(|(program, package)| check_program(program, package))
}

/// Whether a program is installed.
///
/// # Errors
/// [`PeerError::Missing`] with its package.
pub fn check_program(program: &'static str, package: &'static str) -> Result<(), PeerError> {
    let found =
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists());
    found.then_some(()).ok_or(PeerError::Missing { program, package })
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// [`PeerError::Refused`] with its words when it fails.
pub fn output(command: &mut Command) -> Result<String, PeerError> {
    let done = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(said);
    }
    Err(PeerError::Refused {
        command: format!("{command:?}").replace('"', ""),
        said: said + &String::from_utf8_lossy(&done.stderr),
    })
}

/// Asks ten times a second until `ready` says so; `false` when `limit` has passed.
pub fn wait_until(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Stops a child by TERM, after 5 s by KILL.
fn stop(child: &mut std::process::Child) {
    if let Ok(pid) = libc::pid_t::try_from(child.id()) {
        // SAFETY: signals a child that has not been waited for, so the number is still its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
    if !wait_until(Duration::from_secs(5), || matches!(child.try_wait(), Ok(Some(_)))) {
        let _ = child.kill();
        let _ = child.wait();
    }
}
