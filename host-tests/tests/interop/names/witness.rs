//! tshark at the far end's port, which knows protocols by itself: what passes there is key exchange, ESP and
//! address resolution, or it is in clear.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use buttons::peer::{self, wait_until};

use super::Stage;
use crate::Fault;
use crate::ground::{expect, expect_soon};

/// What may pass. ESP in UDP is told from IKE on one port (RFC 3948).
const PROTECTED: &str = "isakmp || esp || udpencap || arp || icmpv6.type >= 130 || igmp";

/// A running capture.
pub struct Witness {
    tshark: Child,
    file: PathBuf,
}

impl Witness {
    pub fn start(stage: &Stage) -> Result<Self, Fault> {
        let folder = stage.folder()?;
        let (file, log) = (folder.join("wire.pcapng"), folder.join("tshark.log"));
        let mut command = stage.far.command("tshark");
        command.args(["-q", "-i", "wan0", "-w"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let witness = Self { tshark: command.spawn()?, file };
        // It says so when it has begun.
        let listens = || std::fs::read_to_string(&log).is_ok_and(|said| said.contains("Capturing on"));
        expect_soon(Duration::from_secs(20), listens, || "tshark does not listen".into())?;
        Ok(witness)
    }

    /// Packets that these words of tshark's fit.
    fn count(&self, filter: &str) -> Result<usize, Fault> {
        let said = peer::output(Command::new("tshark").args(["-n", "-Y", filter, "-r"]).arg(&self.file))?;
        Ok(said.lines().count())
    }

    /// Stops it, and checks that there was ESP and nothing in clear.
    pub fn saw_only_esp(mut self) -> Result<(), Fault> {
        let process = libc::pid_t::try_from(self.tshark.id())?;
        // SAFETY: signals a child that has not been waited for, so the number is still its own.
        unsafe { libc::kill(process, libc::SIGINT) };
        let mut ended = || matches!(self.tshark.try_wait(), Ok(Some(_)));
        expect(wait_until(Duration::from_secs(10), &mut ended), || "tshark does not end".into())?;
        expect(self.count("esp")? > 0, || "tshark saw no ESP".into())?;
        let clear = self.count(&format!("!({PROTECTED})"))?;
        expect(clear == 0, || format!("tshark saw {clear} packets in clear: {}", self.file.display()))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.tshark.kill();
        let _ = self.tshark.wait();
    }
}
