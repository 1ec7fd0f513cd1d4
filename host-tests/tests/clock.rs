//! What a device trusts about time: what the README's table says of each case, and never more. A root that signs
//! its keys every ten days, time servers of any honesty, and a device that asks both, in virtual time.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use esp_engine::time::Instant;
use host_tests::dns::root::{DAY, TrueTime, data_keys, rolling, signed_at, signed_keys, started};
use host_tests::dns::{Reply, Server, Signing, Tree, World};
use host_tests::signed_zone::{INCEPTION, ZoneKey};
use ike_core::crypto::KeyKind;
use ike_core::discovery::UnixTime;
use ike_core::discovery::outcome::{Indeterminate, Presence, Security};
use ike_core::discovery::sntp::{Known, LENGTH, Output, Sntp, Use};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// The true time at first; the zones' signatures hold for 104 days more.
const START: UnixTime = UnixTime(INCEPTION as u64 + 11 * DAY);
/// When the device's program was made.
const BUILT: UnixTime = UnixTime(START.0 - 100 * DAY);
const DAY_MINUTES: i64 = (DAY / 60) as i64;
const NOT_SET: Security = Security::Indeterminate(Indeterminate::ClockNotSet);
const KEY: &str = "AQPEgYRXY8W2ozs8nyrnbPT0h3fnsT6vzt1Qz+8CK4A=";

/// What a time server says at a true time; `None` is silence.
type Says = fn(UnixTime) -> Option<UnixTime>;

/// A device: its resolver among its servers, and its client of time servers.
struct Device {
    world: World,
    sntp: Sntp<ChaCha20Rng>,
    says: Vec<Says>,
    time: TrueTime,
    /// Whose word counted, each time when they disagreed.
    disagreed: Vec<Vec<bool>>,
}

impl Device {
    /// It starts, with the bound that it had kept and the time that its board has.
    fn start(time: &TrueTime, root: Server, bound: UnixTime, board: Option<UnixTime>, says: &[Says]) -> Self {
        let world = started(root, vec![entry_point().ds(".")], (bound, None), board);
        let servers: Vec<_> = (0..says.len()).map(time_server).collect();
        let sntp = Sntp::new(Instant::ZERO, &servers, Duration::ZERO, ChaCha20Rng::seed_from_u64(2));
        Self { world, sntp, says: says.to_vec(), time: time.clone(), disagreed: Vec::new() }
    }

    /// Lets time pass.
    fn live(&mut self, seconds: u64) {
        let end = self.world.now + Duration::from_secs(seconds);
        loop {
            let alarm = self.talk();
            let Some(at) = alarm.into_iter().chain(self.world.alarm()).min().filter(|at| *at <= end) else {
                break;
            };
            self.world.pass_until(at.max(self.world.now));
            self.sntp.handle_timeout(self.world.now);
            for result in std::mem::take(&mut self.world.proposed) {
                self.sntp.judge(self.world.now, result.is_ok());
            }
        }
        self.world.pass_until(end);
    }

    /// Asks the time servers, which answer at once, and has proven what they say.
    fn talk(&mut self) -> Option<Instant> {
        loop {
            let now = self.world.now;
            match self.sntp.poll_output() {
                Output::Timeout(alarm) => return alarm,
                Output::Query { server, octets, .. } => {
                    let place = (0..self.says.len()).find(|place| time_server(*place) == server).unwrap();
                    if let Some(time) = (self.says[place])(self.time.at(now)) {
                        let known =
                            Known { not_before: self.world.resolver.not_before(), clock: self.clock() };
                        self.sntp.handle_datagram(now, known, server, &reply(&octets, time)).unwrap();
                    }
                }
                Output::Disagreement(opinions) => {
                    self.disagreed.push(opinions.iter().map(|opinion| opinion.is_taken).collect());
                }
                Output::Time(time) => {
                    if self.world.resolver.propose_time(now, time).is_err() {
                        self.sntp.judge(now, false);
                    }
                }
            }
        }
    }

    /// How late it thinks that it is.
    fn clock(&self) -> Option<UnixTime> {
        self.world.resolver.time(self.world.now)
    }

    /// Its distance from the true time, in whole minutes.
    fn error(&self) -> Option<i64> {
        Some((self.clock()?.0.cast_signed() - self.time.at(self.world.now).0.cast_signed()) / 60)
    }

    fn kept(&self) -> UnixTime {
        self.world.not_before.unwrap_or(BUILT)
    }

    fn verdict(&mut self) -> Security {
        self.world.peer("vpn.test.").security
    }

    /// What each time server was good for.
    fn uses(&self) -> Vec<Use> {
        self.sntp.servers().map(|(_, was)| was).collect()
    }

    /// The same device after a restart, off for so long, now with this time server.
    fn restart(self, off: u64, board: Option<UnixTime>, says: Says) -> Self {
        self.time.restart(self.world.now, off);
        let bound = self.kept();
        Self::start(&self.time, honest(&self.time), bound, board, &[says])
    }
}

fn time_server(place: usize) -> SocketAddr {
    ([192, 0, 2, 123 + place as u8], 123).into()
}

fn reply(query: &[u8; LENGTH], time: UnixTime) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    (octets[0], octets[1]) = (0x24, 1);
    octets[24..32].copy_from_slice(&query[40..]);
    octets[40..44].copy_from_slice(&((time.0 + 2_208_988_800) as u32).to_be_bytes());
    octets
}

fn entry_point() -> ZoneKey {
    ZoneKey::new(KeyKind::Ed25519, b'A', 257)
}

fn keys_at(time: UnixTime) -> Reply {
    let (entry, data) = (entry_point(), data_keys(0));
    signed_keys(&[&entry, &data], &[&entry], time)
}

fn tree() -> Rc<Tree> {
    let vpn = format!("vpn.test. IPSECKEY 10 0 4 . {KEY}\n");
    Rc::new(Tree::with_keys(&[(".", Signing::Signed, ""), ("test.", Signing::Signed, &vpn)], data_keys))
}

fn honest(time: &TrueTime) -> Server {
    rolling(time, &tree(), |now, _| keys_at(now))
}

const TRUE: Says = Some;
const NOBODY: Says = |_| None;
const IN_FIVE_DAYS: Says = |now| Some(UnixTime(now.0 + 5 * DAY));
const IN_A_YEAR: Says = |now| Some(UnixTime(now.0 + 365 * DAY));

fn device(board: Option<UnixTime>, says: Says) -> Device {
    among(board, &[says])
}

/// With several time servers.
fn among(board: Option<UnixTime>, says: &[Says]) -> Device {
    let time = TrueTime::new(START);
    let root = honest(&time);
    Device::start(&time, root, BUILT, board, says)
}

/// The board says 1970: that is no time. Nothing is proven until a time server's word is.
#[test]
fn clock_at_1970() {
    let mut device = device(Some(UnixTime(0)), NOBODY);
    device.live(60);
    assert_eq!((device.clock(), device.verdict()), (None, NOT_SET));
    device.says = vec![TRUE];
    device.live(300);
    assert_eq!((device.error(), device.verdict()), (Some(0), Security::Secure));
    assert_eq!(device.kept(), signed_at(START));
}

/// A clock that falls behind what was kept is none; a time server that says the same is not heeded.
#[test]
fn clock_running_backwards_once() {
    let mut device = device(Some(START), NOBODY);
    device.live(60);
    assert_eq!(device.verdict(), Security::Secure);
    let mut device =
        device.restart(60, Some(UnixTime(START.0 - 30 * DAY)), |now| Some(UnixTime(now.0 - 30 * DAY)));
    device.live(DAY);
    assert_eq!((device.clock(), device.verdict()), (None, NOT_SET));
    assert_eq!(device.sntp.servers().next().map(|(_, was)| was), Some(Use::Unproven));
    device.says = vec![TRUE];
    device.live(2 * DAY);
    assert_eq!((device.error(), device.verdict()), (Some(0), Security::Secure));
}

/// The board's own clock is a year ahead: all signatures have expired for it, nothing is proven, and nothing is
/// kept that would outlast the mistake.
#[test]
fn clock_a_year_ahead() {
    let mut device = device(Some(UnixTime(START.0 + 365 * DAY)), NOBODY);
    device.live(DAY);
    assert!(matches!(device.verdict(), Security::Bogus(_)));
    assert_eq!(device.kept(), BUILT);
    let time = UnixTime(device.time.at(device.world.now).0 + 60);
    let mut device = device.restart(60, Some(time), NOBODY);
    device.live(60);
    assert_eq!(device.verdict(), Security::Secure);
}

/// A time beyond the end of the root's signature is not believed, neither at first nor later.
#[test]
fn time_beyond_the_signature() {
    let mut device = device(None, |now| Some(UnixTime(now.0 + 22 * DAY)));
    device.live(DAY);
    assert_eq!((device.clock(), device.kept(), device.verdict()), (None, BUILT, NOT_SET));
    device.says = vec![TRUE];
    device.live(2 * DAY);
    device.says = vec![IN_A_YEAR];
    device.live(10 * DAY);
    assert_eq!((device.error(), device.verdict()), (Some(0), Security::Secure));
}

/// One false answer within the life of the root's signature is believed, until the next true one: what is kept
/// is no later than the true time, also across a restart.
#[test]
fn one_false_answer() {
    let mut device = device(None, IN_FIVE_DAYS);
    device.live(60);
    assert!(device.error().is_some_and(|ahead| (5 * DAY_MINUTES - 1..=5 * DAY_MINUTES).contains(&ahead)));
    assert!(device.kept() <= device.time.at(device.world.now));
    device.says = vec![TRUE];
    device.live(DAY + 60);
    assert_eq!(device.error(), Some(0));

    device.says = vec![IN_FIVE_DAYS];
    device.live(DAY);
    let mut device = device.restart(60, None, TRUE);
    device.live(60);
    assert_eq!((device.error(), device.verdict()), (Some(0), Security::Secure));
}

/// False answers for ever: a year ahead they are never believed; within the life of a signature the clock is
/// never further ahead than that signature lasts, and what is kept stays true.
#[test]
fn false_answers_for_ever() {
    let mut far = device(None, IN_A_YEAR);
    far.live(30 * DAY);
    assert_eq!((far.clock(), far.kept(), far.verdict()), (None, BUILT, NOT_SET));
    let mut near = device(None, |now| Some(UnixTime(signed_at(now).0 + 21 * DAY - 60)));
    for _ in 0..30 {
        near.live(DAY);
        assert!(near.kept() <= near.time.at(near.world.now));
        assert!(near.error().is_none_or(|ahead| ahead <= 21 * DAY_MINUTES));
    }
}

/// Old keys of the root, played again beside a time server that says that old time: never before what was kept,
/// and before that only for who has never proven anything since its program was made.
#[test]
fn old_keys_of_the_root() {
    const OLD: UnixTime = UnixTime(START.0 - 40 * DAY);
    let time = TrueTime::new(START);
    let old = || rolling(&time, &tree(), |_, _| keys_at(OLD));
    let says: Says = |_| Some(OLD);
    let mut fresh = Device::start(&time, old(), BUILT, None, &[says]);
    fresh.live(60);
    assert_eq!((fresh.error(), fresh.kept()), (Some(-40 * DAY_MINUTES), signed_at(OLD)));

    let mut lived = Device::start(&time, old(), signed_at(START), None, &[says]);
    lived.live(DAY);
    assert_eq!((lived.clock(), lived.kept()), (None, BUILT));
    lived.says = vec![TRUE];
    lived.live(2 * DAY);
    assert_eq!((lived.clock(), lived.verdict()), (None, NOT_SET));
}

/// No time server answers: names are not proven, and what is pinned needs no time. The keys are there to be
/// compared with it.
#[test]
fn no_time_server() {
    let mut device = device(None, NOBODY);
    device.live(3 * DAY);
    let outcome = device.world.peer("vpn.test.");
    assert_eq!((device.clock(), outcome.security, outcome.presence), (None, NOT_SET, Presence::Present));
    assert_eq!(outcome.keys().count(), 1);
}

/// A power cut loses the clock and keeps the bound.
#[test]
fn power_cut() {
    let mut device = device(None, TRUE);
    device.live(15 * DAY);
    let bound = signed_at(UnixTime(START.0 + 15 * DAY));
    assert_eq!(device.kept(), bound);
    let mut device = device.restart(3 * DAY, None, NOBODY);
    device.live(60);
    assert_eq!(
        (device.clock(), device.world.resolver.not_before(), device.verdict()),
        (None, bound, NOT_SET)
    );
    device.says = vec![TRUE];
    device.live(300);
    assert_eq!((device.error(), device.verdict()), (Some(0), Security::Secure));
}

/// Off the shelf after years: no anchor fits the keys of the root, so no time can be proven, whoever says it; and
/// with a time of its own it says what is wrong.
#[test]
fn off_the_shelf_for_years() {
    let time = TrueTime::new(START);
    let newer = || {
        rolling(&time, &tree(), |now, _| {
            let (entry, data) = (ZoneKey::new(KeyKind::Ed25519, b'N', 257), data_keys(0));
            signed_keys(&[&entry, &data], &[&entry], now)
        })
    };
    let mut device = Device::start(&time, newer(), BUILT, None, &[TRUE]);
    device.live(DAY);
    assert_eq!((device.clock(), device.kept(), device.verdict()), (None, BUILT, NOT_SET));
    let mut device = Device::start(&time, newer(), BUILT, Some(START), &[NOBODY]);
    device.live(DAY);
    assert_eq!(device.verdict(), Security::Indeterminate(Indeterminate::NoAnchor));
}

/// One of three lies, within the life of the root's signature or beyond: the other two are heeded, and it is named.
#[test]
fn one_of_three_lies() {
    for lie in [IN_FIVE_DAYS, IN_A_YEAR] {
        let mut device = among(None, &[TRUE, lie, TRUE]);
        device.live(60);
        assert_eq!((device.error(), device.verdict()), (Some(0), Security::Secure));
        assert_eq!(device.uses(), [Use::Proven, Use::Outvoted, Use::Proven]);
        assert_eq!(device.disagreed, [[true, false, true]]);
    }
}

/// Two disagree, and no clock runs: nothing is believed, not even what could be proven of one of them. What lies
/// before what was kept is no voice.
#[test]
fn two_disagree() {
    for lie in [IN_FIVE_DAYS, IN_A_YEAR] {
        let mut device = among(None, &[TRUE, lie]);
        device.live(3_600);
        assert_eq!((device.clock(), device.kept(), device.verdict()), (None, BUILT, NOT_SET));
        assert_eq!(device.uses(), [Use::Contested; 2]);
        device.says = vec![TRUE; 2];
        device.live(2 * 3_600);
        assert_eq!((device.error(), device.verdict()), (Some(0), Security::Secure));
    }
    let long_ago: Says = |now| Some(UnixTime(now.0 - 200 * DAY));
    let mut device = among(None, &[long_ago, TRUE]);
    device.live(60);
    assert_eq!((device.error(), device.uses()), (Some(0), vec![Use::Outvoted, Use::Proven]));
}

/// Two disagree, and one goes with the clock that runs: it is heeded. If neither does, the clock stays as it is.
#[test]
fn two_disagree_beside_a_clock() {
    let mut device = among(None, &[TRUE, TRUE]);
    device.live(60);
    device.says = vec![IN_FIVE_DAYS, TRUE];
    device.live(DAY);
    assert_eq!((device.error(), device.uses()), (Some(0), vec![Use::Outvoted, Use::Proven]));
    device.says = vec![IN_FIVE_DAYS, IN_A_YEAR];
    device.live(DAY);
    assert_eq!((device.error(), device.uses()), (Some(0), vec![Use::Contested; 2]));
}

/// Who is silent has no voice: the others are heeded as if it were not there, one alone as ever.
#[test]
fn one_is_silent() {
    let mut device = among(None, &[NOBODY, TRUE, TRUE]);
    device.live(60);
    assert_eq!((device.error(), device.uses()), (Some(0), vec![Use::Silent, Use::Proven, Use::Proven]));
    let mut device = among(None, &[NOBODY, TRUE]);
    device.live(60);
    assert_eq!((device.error(), device.uses()), (Some(0), vec![Use::Silent, Use::Proven]));
    assert!(device.disagreed.is_empty());
}

/// All lie alike: they are as one that lies. Within the life of the root's signature they are believed, and what is
/// kept stays true; a year ahead they are not.
#[test]
fn all_lie_alike() {
    let mut near = among(None, &[IN_FIVE_DAYS; 3]);
    near.live(60);
    assert!(near.error().is_some_and(|ahead| (5 * DAY_MINUTES - 1..=5 * DAY_MINUTES).contains(&ahead)));
    assert!(near.kept() <= near.time.at(near.world.now));
    let mut far = among(None, &[IN_A_YEAR; 3]);
    far.live(30 * DAY);
    assert_eq!((far.clock(), far.kept(), far.uses()), (None, BUILT, vec![Use::Unproven; 3]));
}
