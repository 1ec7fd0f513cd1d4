//! The demo with somebody else's program at the other end: a device of ours, as `buttons run` runs it,
//! between a host and strongSwan, each in a namespace of its own.

use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use esp_engine::spd::Level;
use firmware::report::Event;

use super::eavesdropper::{self, Kind, tally};
use super::forge::{ahead_of_time, clear_ping};
use super::story::Story;
use super::{Failure, Options};
use crate::cable::{Origin, Seen};
use crate::peer::{self, Bird, BirdSession, PeerError, StrongSwan};
use crate::signal::Termination;
use crate::{capture, time};

mod stage;
mod tap;

pub use stage::DEVICE;
use stage::Stage;

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
    // Whoever interrupts the story ends the device in it; then a scene fails, and all is taken down.
    let _held_back = Termination::hold_back()?;
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

impl Stage<'_> {
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
        // From here on the host leaves checksums to hardware that is not there: the device finishes them.
        self.topology.host.run("ethtool", &["-K", "lan0", "tx", "on", "tso", "off", "gso", "off"])?;
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
        let strongswan = self.start_again(&stage::new_key()?)?;
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

fn require(condition: bool, what: &str) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(Failure::Scene(what.to_owned())) }
}
