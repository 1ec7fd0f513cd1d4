//! The demo with somebody else's program at the other end: a device of ours, as `buttons run` runs it,
//! between a host and strongSwan, each in a namespace of its own.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use esp_engine::spd::Level;
use firmware::management::{Request, Response, Status};
use firmware::report::Event;

use super::eavesdropper::{self, Kind, tally};
use super::story::Story;
use super::{Failure, Options};
use crate::cable::{MAX_FRAME, Origin, Seen};
use crate::capture::Keys;
use crate::key::{self, Spelling};
use crate::peer::{self, Authentication, Bird, BirdSession, Connection, PeerError, StrongSwan, Topology};
use crate::port::Wire;
use crate::port::packet::PacketSocket;
use crate::{capture, config, manage, run, time};

/// Whom to meet.
#[derive(Copy, Clone, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum PeerKind {
    /// strongSwan, with ESP in user space.
    Strongswan,
    /// BIRD behind strongSwan, and another behind us.
    Bird,
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        Self::Peer(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Peer(error.into())
    }
}

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

/// Tells the story; needs root.
///
/// # Errors
/// [`Failure`]: what is not installed, or the scene that failed.
pub fn run(kind: PeerKind, options: &Options, out: Box<dyn Write>) -> Result<(), Failure> {
    peer::check_tools()?;
    StrongSwan::check()?;
    if kind == PeerKind::Bird {
        Bird::check()?;
    }
    time::make_real();
    let story = Rc::new(Story::new(out, options.json));
    let mut stage = Stage::new(&story)?;
    let mut scenes = 3;
    story.scene("Our device, and strongSwan with ESP in user space. Both keys are pinned.");
    stage.handshake()?;
    if kind == PeerKind::Bird {
        story.scene("BIRD behind us, BIRD behind strongSwan");
        stage.birds()?;
        scenes += 1;
    }
    story.scene("What an eavesdropper has seen");
    stage.nothing_to_read()?;
    story.scene("An attacker on the cable");
    stage.attacks()?;
    story.scene("strongSwan comes back with another key");
    stage.another_key()?;
    let seen = stage.tap.seen();
    let written = capture::write(&options.capture, &seen, &stage.keys.borrow())
        .map_err(|error| Failure::Capture(options.capture.clone(), error))?;
    let protocol = if kind == PeerKind::Bird { "bgp" } else { "icmp" };
    story.finish(scenes + 1, &written, protocol);
    Ok(())
}

/// Everything that plays, to be taken down in this order.
struct Stage<'s> {
    story: &'s Story,
    strongswan: Option<StrongSwan>,
    tap: Tap,
    events: Receiver<Event>,
    heard: RefCell<Vec<Event>>,
    keys: RefCell<Keys>,
    ours: Vec<u8>,
    topology: Topology,
    folder: Folder,
}

/// A folder that goes when this goes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("buttons-peer-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn inside(&self, name: &str) -> std::io::Result<PathBuf> {
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
    fn new(story: &'s Story) -> Result<Self, Failure> {
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
        let failed = told_of_failure();
        let report = failed.clone();
        // Ends with the process: a device runs for ever.
        drop(topology.device.thread(move || {
            let stopped = run::run(&device, |event| drop(told.send(event.clone())), |_| ());
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
    fn catch_up(&self) {
        for event in self.events.try_iter() {
            capture::keep_keys(&mut self.keys.borrow_mut(), &event);
            self.story.event("a", &event);
            self.heard.borrow_mut().push(event);
        }
    }

    fn until(&self, limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
        peer::wait_until(limit, || {
            self.catch_up();
            condition()
        })
    }

    fn ping(&self, count: &str) -> bool {
        let words = ["-q", "-c", count, "-i", "0.05", "-W", "1", "10.2.0.1"];
        self.topology.host.run("ping", &words).is_ok_and(|said| said.contains(" 0% packet loss"))
    }

    fn status(&self) -> Result<Status, Failure> {
        match manage::ask(&self.folder.0.join("buttons.sock"), &Request::Status) {
            Ok(Response::Status(status)) => Ok(status),
            Ok(_) => Err(Failure::Scene("the device answered something else".into())),
            Err(words) => Err(Failure::Scene(words)),
        }
    }

    fn handshake(&mut self) -> Result<(), Failure> {
        let up = self.until(Duration::from_secs(20), || self.ping("1"));
        self.catch_up();
        require(up, "a ping has to come through")?;
        require(self.ping("100"), "100 pings have to come through")?;
        self.catch_up();
        let status = self.status()?;
        let pinned = status.ike_sas.iter().any(|sa| sa.level.is_some_and(|level| level.0 == Level::Pinned));
        require(pinned, "strongSwan has to be known by its pinned key")?;
        let theirs = self.strongswan.as_ref().map(StrongSwan::sas).transpose()?.unwrap_or_default();
        require(theirs.contains("INSTALLED, TUNNEL"), "strongSwan has to have the Child SA, too")?;
        for line in theirs.lines().filter(|line| line.contains("INSTALLED")) {
            self.story.say("b", line.trim().trim_end_matches(','));
        }
        let packets = status.packets;
        require(packets.sealed >= 101 && packets.opened >= 101, "pings have to pass through the engine")?;
        self.story.proven("101 pings and their answers came through, every one");
        Ok(())
    }

    fn birds(&mut self) -> Result<(), Failure> {
        let session = |local, local_as, neighbour, neighbour_as, network| BirdSession {
            local,
            local_as,
            neighbour,
            neighbour_as,
            hold: 9,
            network,
        };
        let near = session("10.1.0.2", 64501, "10.2.0.1", 64502, "198.51.100.0/24");
        let far = session("10.2.0.1", 64502, "10.1.0.2", 64501, "203.0.113.0/24");
        let near = Bird::start(&self.topology.host, &self.folder.inside("near")?, &near)?;
        let far = Bird::start(&self.topology.peer, &self.folder.inside("far")?, &far)?;
        let up = self.until(Duration::from_secs(30), || {
            near.has_route("203.0.113.0/24") && far.has_route("198.51.100.0/24")
        });
        require(up, "both have to learn the other's network")?;
        self.story.say("-", "each BIRD has learned the other's network");
        let end = Instant::now() + Duration::from_secs(20);
        self.until(Duration::from_secs(20), || Instant::now() >= end);
        let once = near.times_established() == 1 && far.times_established() == 1;
        require(once && near.established() && far.established(), "the session has to stay up")?;
        self.story.proven("hold time 9 s, 20 s later the session is the same one");
        Ok(())
    }

    fn nothing_to_read(&self) -> Result<(), Failure> {
        let seen = self.tap.seen();
        let tally = tally(&seen);
        require(tally.clear == 0 && tally.readable == 0, "nothing may pass in clear")?;
        require(tally.esp >= 202, "the pings have to pass as ESP")?;
        self.story.say(
            "-",
            &format!("{} ARP and the like, {} IKE, {} ESP frames", tally.arp, tally.ike, tally.esp),
        );
        self.story.proven("no octet of an inner packet in clear");
        Ok(())
    }

    fn attacks(&self) -> Result<(), Failure> {
        let old = {
            let seen = self.tap.seen();
            let from_b = |frame: &&Seen| {
                frame.origin == Origin::End(1) && eavesdropper::kind(&frame.octets) == Kind::Esp
            };
            seen.iter().rfind(from_b).map(|frame| frame.octets.clone())
        };
        let old = old.ok_or(Failure::Scene("strongSwan has to have sent ESP".into()))?;
        self.dropped(&old, "strongSwan's last ESP packet once more")?;
        self.dropped(&ahead_of_time(&old), "the same with one bit flipped")?;
        self.dropped(&clear_ping(&old), "a ping in clear from behind strongSwan")?;
        require(self.ping("10"), "pings have to come through as before")?;
        self.story.proven("pings came through as before");
        Ok(())
    }

    fn dropped(&self, frame: &[u8], what: &str) -> Result<(), Failure> {
        let before = self.status()?.packets.dropped;
        self.tap.inject(frame);
        std::thread::sleep(Duration::from_millis(200));
        let dropped = self.status()?.packets.dropped - before;
        require(dropped == 1, &format!("{what} has to be dropped once, not {dropped} times"))?;
        self.story.say("!", &format!("{what}: a drops it"));
        Ok(())
    }

    fn another_key(&mut self) -> Result<(), Failure> {
        self.strongswan = None;
        require(
            self.until(Duration::from_secs(10), || {
                self.heard.borrow().iter().any(|event| matches!(event, Event::Closed { .. }))
            }),
            "strongSwan's Delete has to be understood",
        )?;
        let other = new_key()?;
        let strongswan = start_strongswan(&self.topology, &self.folder, "second", &other, &self.ours)?;
        // It is refused, and says so by failing.
        let refused = strongswan.initiate().is_err() && strongswan.log().contains("AUTHENTICATION_FAILED");
        require(refused, "strongSwan has to be told AUTHENTICATION_FAILED")?;
        let seen = self.until(Duration::from_secs(5), || {
            // strongSwan never sends a raw key, so that it is another one is all there is to say.
            let is_it = |event: &Event| matches!(event, Event::Failed(f) if f.reason.is_authentication());
            self.heard.borrow().iter().any(is_it)
        });
        self.story.say("b", "received AUTHENTICATION_FAILED notify error");
        require(seen, "the device has to say why it refused")?;
        require(!self.ping("1"), "no ping may come through")?;
        self.catch_up();
        require(tally(&self.tap.seen()).clear == 0, "nothing may pass in clear")?;
        self.story.proven("refused on both sides, and not a packet in clear instead");
        Ok(())
    }
}

fn told_of_failure() -> Arc<Mutex<Option<String>>> {
    Arc::default()
}

fn words(error: impl std::fmt::Display) -> Failure {
    Failure::Scene(error.to_string())
}

fn new_key() -> Result<firmware::config::PrivateKey, Failure> {
    key::generate(key::Kind::Ed25519).map_err(words)
}

fn start_strongswan(
    topology: &Topology,
    folder: &Folder,
    name: &str,
    own: &firmware::config::PrivateKey,
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
    };
    Ok(StrongSwan::start(&topology.peer, &folder.inside(name)?, &connection)?)
}

/// The packet with its sequence number 2^20 ahead: one bit, and one that no window has seen.
fn ahead_of_time(frame: &[u8]) -> Vec<u8> {
    // Ethernet 14, IPv4 20, UDP 8, SPI 4; UDP's checksum is given up, which IPv4 allows.
    let mut flipped = frame.to_vec();
    if let Some(checksum) = flipped.get_mut(40..42) {
        checksum.fill(0);
    }
    if let Some(octet) = flipped.get_mut(47) {
        *octet ^= 0x10;
    }
    flipped
}

/// An echo request from 10.2.0.1 to 10.1.0.2 in a frame like this one.
fn clear_ping(frame: &[u8]) -> Vec<u8> {
    let mut ping = frame.get(..14).unwrap_or_default().to_vec();
    ping.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0]);
    ping.extend(Ipv4Addr::new(10, 2, 0, 1).octets());
    ping.extend(Ipv4Addr::new(10, 1, 0, 2).octets());
    ping.extend([8, 0, 0, 0, 0, 1, 0, 1]);
    let (header, icmp) = ping.split_at_mut(34);
    crate::port::checksum::finish(header, 14, 10);
    crate::port::checksum::finish(icmp, 0, 2);
    ping
}

fn require(condition: bool, what: &str) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(Failure::Scene(what.to_owned())) }
}

/// Who listens at strongSwan's end of the cable, and may send there.
struct Tap {
    seen: Arc<Mutex<Vec<Seen>>>,
    frames: Sender<Vec<u8>>,
    stop: Arc<AtomicBool>,
}

impl Tap {
    fn start(topology: &Topology) -> std::io::Result<Self> {
        let (frames, to_send) = channel::<Vec<u8>>();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, stopped, began) = (seen.clone(), stop.clone(), Instant::now());
        drop(topology.peer.thread(move || {
            let Ok(mut socket) = PacketSocket::eavesdrop("wan0") else { return };
            let mut frame = [0; MAX_FRAME];
            let mut injected: Vec<Vec<u8>> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                for frame in to_send.try_iter() {
                    let _ = socket.send(&frame);
                    injected.push(frame);
                }
                match socket.receive(&mut frame) {
                    Ok(length) => {
                        let octets = frame.get(..length).unwrap_or(&frame).to_vec();
                        let origin = match injected.iter().position(|own| *own == octets) {
                            Some(place) => {
                                injected.swap_remove(place);
                                Origin::Attacker
                            }
                            // 192.0.2.1 is the device.
                            None => Origin::End(usize::from(octets.get(26..30) != Some(&[192, 0, 2, 1]))),
                        };
                        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(0);
                        if let Ok(mut seen) = kept.lock() {
                            seen.push(Seen { micros, origin, octets, blocked: false });
                        }
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        })?);
        Ok(Self { seen, frames, stop })
    }

    fn inject(&self, frame: &[u8]) {
        let _ = self.frames.send(frame.to_vec());
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
