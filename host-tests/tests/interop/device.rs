//! The device under test: what `buttons run` does, as a process of its own inside a namespace. This
//! program starts itself again for it, so that the device is never older than the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use buttons::peer::{Namespace, wait_until};
use buttons::{config, manage, words};
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use firmware::config::Site;
use firmware::management::{Request, Response, Status, Subject};
use firmware::report::Event;

use crate::Fault;
use crate::ground::{expect, expect_soon};

/// The first word with which this program runs a device instead of tests.
pub const RUN: &str = "device";

/// Is a device by the configuration in `file`.
pub fn run(file: &Path) -> ExitCode {
    let done = config::read(file).map_err(|bad| bad.to_string()).and_then(|device| {
        let hear = |event: &Event| words::of(event).iter().for_each(|words| eprintln!("{words}"));
        buttons::run::run(&device, echo, hear, |hint| eprintln!("{hint}"))
            .map_err(|stopped| stopped.to_string())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// The port of the device's own echo service.
pub const ECHO: u16 = 7;

/// Sends back what comes over TCP, one connection after the other.
async fn echo(stack: Stack<'_>) {
    let (mut receive, mut send, mut octets) = ([0; 16_384], [0; 16_384], [0; 4_096]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        if socket.accept(ECHO).await.is_err() {
            continue;
        }
        while let Ok(count @ 1..) = socket.read(&mut octets).await {
            let mut rest = octets.get(..count).unwrap_or_default();
            while !rest.is_empty() {
                let Ok(written) = socket.write(rest).await else { break };
                rest = rest.get(written..).unwrap_or_default();
            }
        }
        socket.close();
        let _ = socket.flush().await;
    }
}

/// Which kind of SA.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Sa {
    Ike,
    Child,
}

/// A running device; it is killed when this is dropped.
pub struct Device {
    process: Child,
    folder: PathBuf,
}

impl Device {
    /// Starts it in `namespace` by this configuration, with its files in `folder`; its socket there
    /// has to be called `device.sock`.
    pub fn start(namespace: &Namespace, folder: &Path, configuration: &str) -> Result<Self, Fault> {
        let file = folder.join("device.toml");
        fs::write(&file, configuration)?;
        let process = namespace
            .command(std::env::current_exe()?)
            .arg(RUN)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("device.log"))?)
            .spawn()?;
        let mut device = Self { process, folder: folder.into() };
        let up = wait_until(Duration::from_secs(5), || device.status().is_ok() || device.has_ended());
        expect(up && !device.has_ended(), || device.log())?;
        Ok(device)
    }

    fn ask(&self, request: &Request) -> Result<Response, Fault> {
        Ok(manage::ask(&self.folder.join("device.sock"), request)?)
    }

    /// How it is.
    pub fn status(&self) -> Result<Status, Fault> {
        match self.ask(&Request::Status)? {
            Response::Status(status) => Ok(status),
            other => Err(format!("no status: {other:?}").into()),
        }
    }

    /// Puts it elsewhere on its outer port.
    pub fn put(&self, address: &str) -> Result<(), Fault> {
        self.order(&Request::Put(Site { address: config::prefix(address)?, gateway: None }))
    }

    /// Has it begin an IKE SA with `peer`; where one stands, a successor of the Child SA.
    pub fn begin(&self, peer: &str) -> Result<(), Fault> {
        self.order(&Request::Start(peer.try_into().map_err(|_| "long name")?))
    }

    /// Has it delete what stands with `peer`.
    pub fn close(&self, peer: &str) -> Result<(), Fault> {
        self.order(&Request::Close(peer.try_into().map_err(|_| "long name")?))
    }

    /// Has it begin a successor of the IKE SA with `peer`, or of the Child SA.
    pub fn rekey(&self, peer: &str, what: Sa) -> Result<(), Fault> {
        let name = peer.try_into().map_err(|_| "long name")?;
        self.order(&if what == Sa::Ike { Request::RekeyIkeSa(name) } else { Request::Start(name) })
    }

    fn order(&self, request: &Request) -> Result<(), Fault> {
        match self.ask(request)? {
            Response::Done => Ok(()),
            other => Err(format!("not begun: {other:?}").into()),
        }
    }

    /// The one SA of this kind that stands alone, by the SPI that tells it from its successor.
    pub fn standing(&self, what: Sa) -> Option<u64> {
        let status = self.status().ok()?;
        let ([ike], [child]) = (&*status.ike_sas, &*status.child_sas) else { return None };
        Some(if what == Sa::Ike { ike.spis.0 } else { child.inbound.into() })
    }

    /// Gives `order` so many times; each time another SA of this kind has to stand alone within `limit`.
    pub fn is_replaced(
        &self,
        what: Sa,
        times: u32,
        limit: Duration,
        order: impl Fn() -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for number in 1..=times {
            let before = self.standing(what);
            order()?;
            let is_new = || self.standing(what).is_some_and(|now| Some(now) != before);
            expect_soon(limit, is_new, || format!("{what:?} SA not replaced the {number}th time"))?;
        }
        Ok(())
    }

    /// What last kept `peer` from being connected, in words.
    pub fn why(&self, peer: &str) -> Result<String, Fault> {
        let peer = Subject::Name(peer.try_into().map_err(|_| "long name")?);
        match self.ask(&Request::Why(peer))? {
            Response::Why(why) => {
                let reason = why.ike.and_then(|ike| ike.last_reason);
                Ok(reason.map(|reason| reason.words.as_str().into()).unwrap_or_default())
            }
            other => Err(format!("no reason: {other:?}").into()),
        }
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// What it told so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("device.log")).unwrap_or_default()
    }

    /// Asks it by SIGTERM to close what it has, and waits until it is gone.
    pub fn stop(mut self) -> Result<String, Fault> {
        let process = libc::pid_t::try_from(self.process.id())?;
        // SAFETY: signals a child that has not been waited for, so the number is still its own.
        unsafe { libc::kill(process, libc::SIGTERM) };
        expect(wait_until(Duration::from_secs(5), || self.has_ended()), || self.log())?;
        let ended = self.process.wait()?;
        expect(ended.success(), || format!("{ended}: {}", self.log()))?;
        Ok(self.log())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
