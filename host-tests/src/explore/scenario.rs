//! What is explored: who begins what, how unkind the cable is, whose nonces are lower.

use std::time::Duration;

use esp_engine::sa::{Lifetime, Limits, Mode};
use esp_engine::selector::{AddressRange, PortRange, TrafficSelector};
use esp_engine::spd::{Action, Level};
use ike_core::config::{Config, IkePolicy, Peer, Timing};

use super::end::Who;
use super::lot::Order;
use crate::parties::{self, A, B, PEER, leak, leak_all};

/// A UDP port of the first policy, on both sides.
pub const FIRST: u16 = 1_000;
/// Of the second policy.
pub const SECOND: u16 = 2_000;

/// Something that one end begins.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Procedure {
    /// Sets up an IKE SA and the first Child SA.
    Initiate,
    /// A soft limit asks for a successor of the first policy's Child SA.
    RekeyChild,
    /// Asks for a successor of the IKE SA.
    RekeyIkeSa,
    /// A packet asks for a Child SA for the second policy.
    CreateChild,
    /// A hard limit ends the first policy's Child SA.
    DeleteChild,
    /// The IKE SA is closed.
    DeleteIkeSa,
}

impl Procedure {
    /// Whether it ends what traffic needs.
    pub fn is_end(self) -> bool {
        matches!(self, Self::DeleteChild | Self::DeleteIkeSa)
    }
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What is begun, each once, at any moment.
    pub begun: Vec<(Who, Procedure)>,
    /// SAs stand at the beginning: those of the first policy, and with this also of the second.
    pub second_stands: bool,
    /// Messages that the cable loses or doubles in all; none of them twice.
    pub faults: u8,
    /// Timers that fire although something else could happen.
    pub haste: u8,
    /// Whose nonces are lower.
    pub order: Order,
}

impl Scenario {
    /// Whether SAs stand at the beginning.
    pub fn stands(&self) -> bool {
        !self.begun.iter().any(|(_, procedure)| *procedure == Procedure::Initiate)
    }

    /// In a line.
    pub fn words(&self) -> String {
        let begun: Vec<String> = self.begun.iter().map(|(who, what)| format!("{who:?} {what:?}")).collect();
        let Self { faults, haste, order, .. } = self;
        let lower = if order.a_is_lower { "A" } else { "B" };
        let rising = if order.rising { "first" } else { "last" };
        format!("{}, faults {faults}, haste {haste}, {lower}'s {rising} nonce is lowest", begun.join(" x "))
    }
}

/// What A or B is told.
pub fn config(who: Who) -> &'static Config<'static> {
    let (mut config, own, peer) = match who {
        Who::A => (parties::a(), A, B),
        Who::B => (parties::b(), B, A),
    };
    parties::share(&mut config, b"a secret");
    let policy = |port| {
        let side = |address| {
            let ports = PortRange::single(port);
            leak_all(vec![TrafficSelector { protocol: 17, ports, addresses: AddressRange::single(address) }])
        };
        let action = Action::Protect { mode: Mode::Transport, minimum: Level::Shared };
        IkePolicy { local: side(own), remote: side(peer), action, peer: Peer::Entry(PEER), pfs: false }
    };
    config.policies = leak_all(vec![policy(FIRST), policy(SECOND)]);
    let never = Limits { time: Duration::ZERO, octets: 0, packets: 0 };
    config.timing = Timing {
        jitter_percent: 0,
        ike_lifetime: Duration::from_secs(30 * 86_400),
        child: Lifetime { soft: never, hard: never },
        liveness: Duration::ZERO,
        keepalive: Duration::ZERO,
        ..Timing::DEFAULT
    };
    leak(config)
}
