//! What the story with somebody else's program plays on: namespaces, our device in one, strongSwan in
//! another, an eavesdropper between them.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firmware::config::PrivateKey;
use firmware::management::{Request, Response, Status};
use firmware::report::Event;

use super::tap::Tap;
use crate::capture::{self, Keys};
use crate::demo::Failure;
use crate::demo::story::Story;
use crate::key::{self, Spelling};
use crate::peer::{self, Authentication, Connection, Options, StrongSwan, Topology};
use crate::{config, manage, run};

/// Our device's configuration.
pub const DEVICE: &str = r#"role = "gateway"
identity = "a.example"
key = "own.pem"
suites = ["hardware-aes"]
force-encapsulation = true
socket = "buttons.sock"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[interface]]
device = "lan0"
addresses = ["10.1.0.1/16"]

[[peer]]
name = "b"
identity = "b.example"
address = "192.0.2.2"
key = "b.pub"
ranges = ["10.2.0.0/16"]

[[policy]]
name = "net"
local = "10.1.0.0/16"
remote = "10.2.0.0/16"
action = "protect"
mode = "tunnel"
minimum = "pinned"
peer = "b"
"#;

/// Everything that plays, to be taken down in this order.
pub struct Stage<'s> {
    pub(super) story: &'s Story,
    pub(super) strongswan: Option<StrongSwan>,
    pub(super) tap: Tap,
    pub(super) events: Receiver<Event>,
    pub(super) heard: RefCell<Vec<Event>>,
    pub(super) keys: RefCell<Keys>,
    ours: Vec<u8>,
    pub(super) topology: Topology,
    pub(super) folder: Folder,
}

/// A folder that goes when this goes.
pub struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("buttons-peer-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// A folder inside.
    ///
    /// # Errors
    /// What the system says.
    pub fn inside(&self, name: &str) -> std::io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl<'s> Stage<'s> {
    /// Makes everything and starts everyone.
    ///
    /// # Errors
    /// What is missing, or who did not start.
    pub fn new(story: &'s Story) -> Result<Self, Failure> {
        let (folder, topology) = (Folder::new()?, Topology::new()?);
        let (own, peer) = (new_key()?, new_key()?);
        let ours = key::public(&own).unwrap_or_default();
        let theirs = key::public(&peer).unwrap_or_default();
        key::write_private(&folder.0.join("own.pem"), &own).map_err(words)?;
        fs::write(folder.0.join("b.pub"), key::spell(&theirs, Spelling::Strongswan).unwrap_or_default())?;
        fs::write(folder.0.join("device.toml"), DEVICE)?;
        let device = config::read(&folder.0.join("device.toml")).map_err(words)?;
        let tap = Tap::start(&topology)?;
        let (told, events) = channel();
        let failed = Arc::new(Mutex::new(None));
        let report = failed.clone();
        // Ends with the process: a device runs for ever.
        drop(topology.device.thread(move || {
            let stopped = run::run(&device, async |_| {}, |event| drop(told.send(event.clone())), |_| ());
            if let (Err(stopped), Ok(mut failed)) = (stopped, report.lock()) {
                *failed = Some(stopped.to_string());
            }
        })?);
        let strongswan = Some(start_strongswan(&topology, &folder, "first", &peer, &ours)?);
        let socket = folder.0.join("buttons.sock");
        if !peer::wait_until(Duration::from_secs(5), || socket.exists()) {
            let why = failed.lock().ok().and_then(|mut failed| failed.take());
            return Err(Failure::Scene(why.unwrap_or("the device did not start".into())));
        }
        Ok(Self {
            story,
            strongswan,
            tap,
            events,
            heard: RefCell::default(),
            keys: RefCell::default(),
            ours,
            topology,
            folder,
        })
    }

    /// Tells what the device has reported since the last time.
    pub fn catch_up(&self) {
        for event in self.events.try_iter() {
            capture::keep_keys(&mut self.keys.borrow_mut(), &event);
            self.story.event("a", &event);
            self.heard.borrow_mut().push(event);
        }
    }

    /// strongSwan again, with another key.
    ///
    /// # Errors
    /// Its own words.
    pub fn start_again(&self, own: &PrivateKey) -> Result<StrongSwan, Failure> {
        start_strongswan(&self.topology, &self.folder, "second", own, &self.ours)
    }

    /// Waits for `condition` and tells meanwhile what the device reports.
    pub fn until(&self, limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
        peer::wait_until(limit, || {
            self.catch_up();
            condition()
        })
    }

    /// Whether so many pings from the host come through, every one.
    pub fn ping(&self, count: &str) -> bool {
        let words = ["-q", "-c", count, "-i", "0.05", "-W", "1", "10.2.0.1"];
        self.topology.host.run("ping", &words).is_ok_and(|said| said.contains(" 0% packet loss"))
    }

    /// What the device says of itself.
    ///
    /// # Errors
    /// That it does not.
    pub fn status(&self) -> Result<Status, Failure> {
        match manage::ask(&self.folder.0.join("buttons.sock"), &Request::Status) {
            Ok(Response::Status(status)) => Ok(status),
            Ok(_) => Err(Failure::Scene("the device answered something else".into())),
            Err(words) => Err(Failure::Scene(words)),
        }
    }
}

fn words(error: impl std::fmt::Display) -> Failure {
    Failure::Scene(error.to_string())
}

/// A new Ed25519 key.
///
/// # Errors
/// No random numbers.
pub fn new_key() -> Result<PrivateKey, Failure> {
    key::generate(key::Kind::Ed25519).map_err(words)
}

fn start_strongswan(
    topology: &Topology,
    folder: &Folder,
    name: &str,
    own: &PrivateKey,
    device: &[u8],
) -> Result<StrongSwan, Failure> {
    let own = key::private_pem(own).map(|pem| pem.to_string()).unwrap_or_default();
    let peer = key::spell(device, Spelling::Strongswan).unwrap_or_default();
    let connection = Connection {
        identity: "b.example".into(),
        peer_identity: "a.example".into(),
        peer_address: "192.0.2.1".into(),
        authentication: Authentication::PinnedKeys { own, peer },
        ike: "aes128gcm16-prfsha256-ecp256",
        esp: "aes128gcm16",
        own_networks: "10.2.0.0/16",
        peer_networks: "10.1.0.0/16",
        options: Options::default(),
    };
    Ok(StrongSwan::start(&topology.peer, &folder.inside(name)?, &connection)?)
}
