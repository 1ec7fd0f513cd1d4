//! The scenes. Each asserts on counters, events or captured frames; what it prints is only said after
//! it was seen.

use embassy_time::{Duration, Instant, Timer};
use esp_engine::counters::DropReason;
use esp_engine::spd::Level;
use firmware::report::Event;
use ike_core::error::FailReason;

use super::eavesdropper::{self, Kind, tally};
use super::forge::{self, RST, SYN, TcpEnd};
use super::plan::{address, hardware_address};
use super::router::{HOLD_TIME, Router};
use super::story::Story;
use crate::bgp;
use crate::cable::{Cable, Origin};
use crate::executor::Task;
use crate::key::hex;
use crate::words::AUTHENTICATION_FAILED;

/// How long IKE is cut out.
const BLOCKADE: Duration = Duration::from_secs(20);

/// The first cable and who is on it.
pub struct Cast<'a> {
    cable: &'a Cable,
    a: Router,
    b: Router,
    impostor: Router,
}

impl<'a> Cast<'a> {
    /// Two neighbours, and an impostor who is silent at first.
    pub fn new(cable: &'a Cable, [a, b]: [Router; 2], impostor: Router) -> Self {
        impostor.may_speak.set(false);
        Self { cable, a, b, impostor }
    }

    /// Everyone at work.
    pub fn tasks(&self) -> Vec<Task<'_>> {
        [&self.a, &self.b, &self.impostor]
            .map(|router| router.task(self.cable.plug(hardware_address(router.number()))))
            .into()
    }

    /// Puts a frame on the cable and returns by how much `router` has counted `reason` up since.
    async fn attack(&self, frame: &[u8], router: &Router, reason: DropReason) -> u64 {
        let before = router.dropped(reason).await;
        self.cable.inject(frame);
        Timer::after(Duration::from_millis(50)).await;
        router.dropped(reason).await - before
    }

    fn established(&self) -> bool {
        self.a.session.borrow().established && self.b.session.borrow().established
    }

    /// Waits a hold time and sees that the session, the same one, is still there and heard from both ends.
    async fn session_lives(&self) -> Result<(), String> {
        let heard = || (self.a.session.borrow().keepalives, self.b.session.borrow().keepalives);
        let since = || (self.a.session.borrow().since, self.b.session.borrow().since);
        let (before, began) = (heard(), since());
        Timer::after(Duration::from_secs(u64::from(HOLD_TIME) + 1)).await;
        let after = heard();
        require(
            self.established() && after.0 > before.0 && after.1 > before.1 && began == since(),
            "the BGP session has to live on",
        )
    }
}

/// The scenes of the first cable; how many there were.
pub async fn neighbours(cast: &Cast<'_>, story: &Story) -> Result<usize, String> {
    story.scene("Two routers, one cable. Each has the other's Ed25519 key.");
    handshake(cast, story).await?;
    story.scene("What an eavesdropper has seen");
    nothing_to_read(cast, story)?;
    story.scene("An attacker on the cable");
    spoofed_reset(cast, story).await?;
    replay(cast, story).await?;
    flipped_bit(cast, story).await?;
    clear_syn(cast, story).await?;
    cast.session_lives().await?;
    story.proven("the BGP session never noticed");
    story.scene("Somebody comes as b.example with another key");
    another_key(cast, story).await?;
    story.scene("Every IKE packet is cut out for 20 s");
    blockade(cast, story).await?;
    Ok(8)
}

async fn handshake(cast: &Cast<'_>, story: &Story) -> Result<(), String> {
    for router in [&cast.a, &cast.b] {
        let fingerprint = hex(&router.fingerprint()[..4]);
        story.say(
            router.name(),
            &format!("{}, {}, key {fingerprint}…", router.identity(), address(router.number())),
        );
    }
    let up =
        until(Duration::from_secs(30), || cast.established() && learned(&cast.a) && learned(&cast.b)).await;
    require(up, "the BGP session has to come up")?;
    for (router, peer) in [(&cast.a, &cast.b), (&cast.b, &cast.a)] {
        let level = level(router).ok_or("an IKE SA has to be reported")?;
        require(level == Level::Pinned, "the peer has to be known by its pinned key")?;
        let session = router.session.borrow();
        let (number, prefixes) = (session.peer.unwrap_or(0), &session.learned);
        require(number == 64500 + u16::from(peer.number()), "OPEN has to name the peer's number")?;
        for prefix in prefixes {
            story.say(router.name(), &format!("BGP with AS {number} is up; learned {prefix}"));
        }
    }
    Timer::after(Duration::from_secs(u64::from(HOLD_TIME))).await;
    let (sealed, opened) = cast.a.protected().await;
    require(sealed > 4 && opened > 4, "packets have to pass through the engine")?;
    story.proven(&format!("OPEN, KEEPALIVE, UPDATE both ways: {} ESP packets", sealed + opened));
    Ok(())
}

fn learned(router: &Router) -> bool {
    !router.session.borrow().learned.is_empty()
}

fn level(router: &Router) -> Option<Level> {
    router.events().iter().find_map(|event| match event {
        Event::Established(established) => Some(established.level),
        _ => None,
    })
}

fn nothing_to_read(cast: &Cast<'_>, story: &Story) -> Result<(), String> {
    let seen = cast.cable.seen();
    let tally = tally(&seen);
    require(tally.clear == 0, "only ARP, IKE and ESP may be on the cable")?;
    require(tally.readable == 0, "no BGP message may be readable on the cable")?;
    require(tally.esp > 8 && tally.ike == 4, "the handshake has to be four messages, then ESP")?;
    story.say("-", &format!("{} ARP, {} IKE, {} ESP frames", tally.arp, tally.ike, tally.esp));
    let last = seen.iter().rfind(|frame| eavesdropper::kind(&frame.octets) == Kind::Esp);
    let octets = last.and_then(|frame| frame.octets.get(34..58)).unwrap_or_default();
    story.say("-", &format!("the last one: {}…", hex(octets)));
    story.proven("no octet of TCP or BGP in clear");
    Ok(())
}

async fn spoofed_reset(cast: &Cast<'_>, story: &Story) -> Result<(), String> {
    let port = cast.a.tcp_port.get().ok_or("there has to be a connection")?;
    let frame = forge::tcp_segment(end(&cast.b, bgp::PORT), end(&cast.a, port), RST, 1);
    counted(cast, story, &frame, &cast.a, DropReason::ClearWherePolicyProtects, "a TCP RST in b's name").await
}

async fn clear_syn(cast: &Cast<'_>, story: &Story) -> Result<(), String> {
    let stranger = TcpEnd { hardware: hardware_address(66), address: address(66), port: 50_000 };
    let frame = forge::tcp_segment(stranger, end(&cast.b, bgp::PORT), SYN, 1);
    counted(cast, story, &frame, &cast.b, DropReason::NoPolicy, "a SYN to b's port 179 in clear").await
}

async fn replay(cast: &Cast<'_>, story: &Story) -> Result<(), String> {
    let old = {
        let seen = cast.cable.seen();
        let from_b = |frame: &&crate::cable::Seen| {
            frame.origin == Origin::End(1) && eavesdropper::kind(&frame.octets) == Kind::Esp
        };
        seen.iter().rfind(from_b).map(|frame| frame.octets.clone())
    };
    let old = old.ok_or("b has to have sent ESP")?;
    counted(cast, story, &old, &cast.a, DropReason::Replayed, "b's last ESP packet once more").await
}

async fn flipped_bit(cast: &Cast<'_>, story: &Story) -> Result<(), String> {
    // Held back and changed on the way, so that its sequence number is new.
    let from = cast.cable.seen().len();
    cast.cable.cut(|frame| eavesdropper::kind(frame) == Kind::Esp);
    let caught = || {
        let seen = cast.cable.seen();
        let from_b = |frame: &&crate::cable::Seen| frame.blocked && frame.origin == Origin::End(1);
        seen.iter().skip(from).find(from_b).map(|frame| frame.octets.clone())
    };
    let is_caught = until(Duration::from_secs(u64::from(HOLD_TIME)), || caught().is_some()).await;
    cast.cable.mend();
    require(is_caught, "b has to send an ESP packet in a hold time")?;
    let frame = forge::flip_one_bit(&caught().unwrap_or_default());
    counted(cast, story, &frame, &cast.a, DropReason::Forged, "b's next one with one bit flipped").await
}

/// Injects `frame` and sees it counted once, under `reason`.
async fn counted(
    cast: &Cast<'_>,
    story: &Story,
    frame: &[u8],
    router: &Router,
    reason: DropReason,
    what: &str,
) -> Result<(), String> {
    let dropped = cast.attack(frame, router, reason).await;
    require(dropped == 1, &format!("{what} has to be dropped as {reason:?} once, not {dropped} times"))?;
    story.say("!", &format!("{what}: {} drops it, {reason:?}", router.name()));
    Ok(())
}

fn end(router: &Router, port: u16) -> TcpEnd {
    TcpEnd { hardware: hardware_address(router.number()), address: address(router.number()), port }
}

async fn another_key(cast: &Cast<'_>, story: &Story) -> Result<(), String> {
    let (fingerprint, before) = (cast.impostor.fingerprint(), cast.a.events().len());
    story.say("x", &format!("{}, {}, key {}…", cast.impostor.identity(), address(3), hex(&fingerprint[..4])));
    cast.impostor.may_speak.set(true);
    let failed = |router: &Router, from: usize, reason: FailReason| {
        router.events().iter().skip(from).any(|event| matches!(event, Event::Failed(f) if f.reason == reason))
    };
    let refused = || {
        failed(&cast.a, before, FailReason::KeyMismatch(fingerprint))
            && failed(&cast.impostor, 0, FailReason::Refused(AUTHENTICATION_FAILED))
    };
    require(until(Duration::from_secs(10), refused).await, "both have to see AUTHENTICATION_FAILED")?;
    cast.impostor.may_speak.set(false);
    require(level(&cast.impostor).is_none(), "no IKE SA may come of it")?;
    cast.session_lives().await?;
    story.proven("refused on both sides; the session with the real b lives");
    Ok(())
}

async fn blockade(cast: &Cast<'_>, story: &Story) -> Result<(), String> {
    let from = cast.cable.seen().len();
    cast.cable.cut(|frame| eavesdropper::kind(frame) == Kind::Ike);
    // Two who want IKE meanwhile: the impostor, and each router that asks whether its peer lives.
    cast.impostor.may_speak.set(true);
    let end = Instant::now() + BLOCKADE;
    while Instant::now() < end {
        cast.session_lives().await?;
    }
    let (blocked, during, ever) = {
        let seen = cast.cable.seen();
        let during = seen.get(from..).unwrap_or_default();
        (during.iter().filter(|frame| frame.blocked).count(), tally(during), tally(&seen))
    };
    cast.impostor.may_speak.set(false);
    cast.cable.mend();
    require(blocked >= 3, "somebody has to have tried IKE again and again")?;
    require(ever.clear == 0 && ever.readable == 0, "no clear octet may ever have been on the cable")?;
    story.proven(&format!("{blocked} IKE packets lost, {} ESP packets passed, none in clear", during.esp));
    Ok(())
}

/// The second cable and who is on it.
pub struct Strangers<'a> {
    cable: &'a Cable,
    c: Router,
    d: Router,
}

impl<'a> Strangers<'a> {
    /// Two who know nothing of each other.
    pub fn new(cable: &'a Cable, [c, d]: [Router; 2]) -> Self {
        Self { cable, c, d }
    }

    /// Both at work.
    pub fn tasks(&self) -> Vec<Task<'_>> {
        [&self.c, &self.d]
            .map(|router| router.task(self.cable.plug(hardware_address(router.number()))))
            .into()
    }
}

/// The scene of the second cable; one.
pub async fn strangers(cast: &Strangers<'_>, story: &Story) -> Result<usize, String> {
    story.scene("Another cable: c and d know nothing of each other (BTNS)");
    let both = [&cast.c, &cast.d];
    let up =
        until(Duration::from_secs(30), || both.iter().all(|r| r.session.borrow().established && learned(r)))
            .await;
    require(up, "the BGP session has to come up")?;
    require(both.iter().all(|r| level(r) == Some(Level::Any)), "nobody may be called authenticated")?;
    let tally = tally(&cast.cable.seen());
    require(tally.clear == 0 && tally.readable == 0, "no clear octet may be on the cable")?;
    story.proven(&format!("BGP is up in {} ESP packets. Listeners learn nothing; but who", tally.esp));
    story.proven("was in the middle from the start would be believed, and it says so");
    Ok(1)
}

async fn until(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= end {
            return false;
        }
        Timer::after(Duration::from_millis(10)).await;
    }
    true
}

fn require(condition: bool, what: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what.to_owned()) }
}
