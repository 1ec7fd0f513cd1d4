//! A root that signs its keys anew every ten days, each time for three weeks, as the Internet's does; and a world
//! in which the true time goes on across restarts of the device.

use std::cell::Cell;
use std::rc::Rc;

use domain::base::iana::{Class, Rcode};
use domain::base::{Record, Rtype, Ttl};
use domain::rdata::ZoneRecordData;
use esp_engine::time::Instant;
use ike_core::crypto::KeyKind;
use ike_core::discovery::UnixTime;
use ike_core::discovery::clock::Clock;
use ike_core::discovery::dnssec::Ds;

use super::{Asked, Reply, Server, Tree, World};
use crate::signed_zone::{DnsName, Rr, ZoneKey};

/// Seconds.
pub const DAY: u64 = 86_400;

/// How often the keys are signed, and for how long, in days.
const PERIOD: u64 = 10;
const LIFETIME: u64 = 21;

/// The DNSKEY RRset of the root with these keys, signed by some of them as it is at `time`.
pub fn signed_keys(keys: &[&ZoneKey], signers: &[&ZoneKey], time: UnixTime) -> Reply {
    let made = time.0 / (PERIOD * DAY) * (PERIOD * DAY);
    let times = (made as u32, (made + LIFETIME * DAY) as u32);
    let record = |key: &&ZoneKey| {
        let data = ZoneRecordData::Dnskey(key.record().clone());
        Record::new(DnsName::root_vec(), Class::IN, Ttl::from_secs(2 * DAY as u32), data)
    };
    let set: Vec<Rr> = keys.iter().map(record).collect();
    let signatures = signers.iter().map(|key| key.sign(&set, &DnsName::root_vec(), 0, times));
    Reply { answer: set.iter().cloned().chain(signatures).collect(), ..Reply::empty(Rcode::NOERROR) }
}

/// Keys for the zones of a tree that are no entry points, the root's among them: another key vouches for that one.
pub fn data_keys(zone: usize) -> ZoneKey {
    ZoneKey::new(KeyKind::Ed25519, zone as u8 + 1, 256)
}

/// When the signature in force at `time` was made.
pub const fn signed_at(time: UnixTime) -> UnixTime {
    UnixTime(time.0 / (PERIOD * DAY) * (PERIOD * DAY))
}

/// The true time, which a device learns from nobody here.
#[derive(Clone, Debug)]
pub struct TrueTime(Rc<Cell<u64>>);

impl TrueTime {
    /// It is `time` when the device starts.
    pub fn new(time: UnixTime) -> Self {
        Self(Rc::new(Cell::new(time.0)))
    }

    /// At this moment of the device's life.
    pub fn at(&self, now: Instant) -> UnixTime {
        UnixTime(self.0.get() + now.as_millis() / 1000)
    }

    /// The device starts again, so long after it had stopped.
    pub fn restart(&self, stopped: Instant, off: u64) {
        self.0.set(self.at(stopped).0 + off);
    }
}

/// A server that knows the tree, and of the root's keys what `keys` says at each time.
pub fn rolling(
    time: &TrueTime,
    tree: &Rc<Tree>,
    keys: impl Fn(UnixTime, &Asked) -> Reply + 'static,
) -> Server {
    let (time, tree) = (time.clone(), Rc::clone(tree));
    Box::new(move |asked| {
        let is_root = asked.name().is_root() && asked.rtype() == Rtype::DNSKEY;
        let reply = match is_root {
            true => keys(time.at(asked.at), asked),
            false => tree.answer(&asked.name(), asked.rtype()),
        };
        asked.answered(asked.reply(&reply))
    })
}

/// A device that has just started: with these anchors, what it had kept, and the time that its board has, if any.
pub fn started(
    server: Server,
    anchors: Vec<Ds>,
    kept: (UnixTime, Option<&[u8]>),
    board: Option<UnixTime>,
) -> World {
    let (bound, stored) = kept;
    let mut world = World::with_clock(vec![server], anchors, Clock::new(bound));
    if let Some(time) = board {
        // A clock that is behind the bound is none.
        let _ = world.resolver.set_time(world.now, time);
    }
    world.resolver.follow_root(world.now, stored);
    world
}
