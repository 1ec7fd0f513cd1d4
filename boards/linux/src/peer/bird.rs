//! BIRD with one external BGP session.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::namespace::Namespace;
use super::{PeerError, check_program, output, stop, wait_until};

/// One end of a BGP session.
#[derive(Clone, Debug)]
pub struct BirdSession {
    /// Our address.
    pub local: &'static str,
    /// Our number.
    pub local_as: u32,
    /// The neighbour's address.
    pub neighbour: &'static str,
    /// The neighbour's number.
    pub neighbour_as: u32,
    /// Hold time, seconds.
    pub hold: u16,
    /// A network to announce.
    pub network: &'static str,
}

/// A running BIRD; it stops when this is dropped.
#[derive(Debug)]
pub struct Bird {
    bird: Child,
    folder: PathBuf,
}

impl Bird {
    /// Whether it is installed.
    ///
    /// # Errors
    /// [`PeerError::Missing`] if not.
    pub fn check() -> Result<(), PeerError> {
        check_program("bird", "bird2")
    }

    /// Starts BIRD in `namespace` with `folder` for configuration, log and socket.
    ///
    /// # Errors
    /// [`PeerError`] with BIRD's own words.
    pub fn start(namespace: &Namespace, folder: &Path, session: &BirdSession) -> Result<Self, PeerError> {
        Self::check()?;
        let folder = folder.canonicalize()?;
        fs::write(folder.join("bird.conf"), configuration(&folder, session))?;
        let bird = namespace
            .command("/usr/sbin/bird")
            .args(["-f", "-c"])
            .arg(folder.join("bird.conf"))
            .arg("-s")
            .arg(folder.join("bird.ctl"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join("stdio.log"))?)
            .stderr(fs::File::create(folder.join("stderr.log"))?)
            .spawn()?;
        let running = Self { bird, folder };
        if !wait_until(Duration::from_secs(5), || running.control(&["show", "status"]).is_ok()) {
            return Err(PeerError::NotReady { program: "bird", log: running.log() });
        }
        Ok(running)
    }

    /// `birdc` with these words.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn control(&self, words: &[&str]) -> Result<String, PeerError> {
        output(std::process::Command::new("birdc").arg("-s").arg(self.folder.join("bird.ctl")).args(words))
    }

    /// Whether the session is up.
    pub fn established(&self) -> bool {
        self.control(&["show", "protocols", "peer"]).is_ok_and(|said| said.contains("Established"))
    }

    /// How often the session has come up since the start.
    pub fn times_established(&self) -> usize {
        self.log().matches("peer: State changed to up").count()
    }

    /// Whether this network was learnt from the neighbour.
    pub fn has_route(&self, network: &str) -> bool {
        self.control(&["show", "route", network]).is_ok_and(|said| said.contains("peer"))
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("bird.log") + &read("stderr.log")
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        stop(&mut self.bird);
    }
}

fn configuration(folder: &Path, session: &BirdSession) -> String {
    let BirdSession { local, local_as, neighbour, neighbour_as, hold, network } = session;
    let keepalive = hold / 3;
    format!(
        "log \"{}/bird.log\" all;
router id {local};
protocol device {{ }}
protocol static announced {{ ipv4; route {network} blackhole; }}
protocol bgp peer {{
  local {local} as {local_as};
  neighbor {neighbour} as {neighbour_as};
  multihop 4;
  hold time {hold};
  keepalive time {keepalive};
  connect retry time 3;
  connect delay time 1;
  error wait time 1, 5;
  debug {{ states }};
  ipv4 {{ import all; export where source = RTS_STATIC; }};
}}
",
        folder.display()
    )
}
