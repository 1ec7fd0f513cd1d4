//! What is explored: who begins what, how unkind the cable is, whose nonces are lower.

use std::time::Duration;

use esp_engine::crypto::Algorithm;
use esp_engine::sa::{Lifetime, Limits, Mode};
use esp_engine::selector::{AddressRange, PortRange, TrafficSelector};
use esp_engine::spd::{Action, Level};
use ike_core::config::{Config, IkePolicy, Peer, Suite, Timing};
use ike_core::crypto::Group;

use super::end::Who;
use super::lot::Order;
use crate::parties::{self, A, B, FIRST_USE, PEER, leak, leak_all};

/// A UDP port of the first policy, on both sides.
pub const FIRST: u16 = 1_000;
/// Of the second policy.
pub const SECOND: u16 = 2_000;

/// As many faults as there are messages.
pub const EACH: u8 = u8::MAX;

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

/// Which key exchanges CREATE_CHILD_SA brings.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Exchanges {
    /// One for a successor of the IKE SA, none for Child SAs.
    Few,
    /// Two for both (RFC 9370 §2.2.4).
    Additional,
    /// Two where B asks, one where A does: each takes of the other's offer what it likes best, and what was
    /// negotiated at first is not offered any more.
    Mixed,
}

const PLAIN: Suite = Suite::FAST_SOFTWARE;
const HYBRID: Suite = Suite { additional: Some(Group::P256), ..PLAIN };
const FIRST_SUITE: Suite = Suite { ike: Algorithm::Aes256Gcm16, ..PLAIN };

impl Exchanges {
    /// The suites of this end, at the beginning and then.
    fn suites(self, who: Who, at_first: bool) -> &'static [Suite] {
        match (self, who) {
            (Self::Few, _) => &[PLAIN],
            (Self::Additional, _) => &[HYBRID],
            (Self::Mixed, _) if at_first => &[FIRST_SUITE],
            (Self::Mixed, Who::A) => &[HYBRID, PLAIN],
            (Self::Mixed, Who::B) => &[PLAIN, HYBRID],
        }
    }
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What is begun, each once, at any moment.
    pub begun: Vec<(Who, Procedure)>,
    /// SAs stand at the beginning: those of the first policy, and with this also of the second.
    pub second_stands: bool,
    /// Messages that the cable loses or doubles in all, or [`EACH`]; none of them twice.
    pub faults: u8,
    /// Timers that fire although something else could happen.
    pub haste: u8,
    /// Whose nonces are lower.
    pub order: Order,
    /// Which key exchanges there are.
    pub exchanges: Exchanges,
    /// Neither end knows the other: the first key that comes is taken and remembered.
    pub strangers: bool,
}

impl Scenario {
    /// Whether SAs stand at the beginning.
    pub fn stands(&self) -> bool {
        !self.begun.iter().any(|(_, procedure)| *procedure == Procedure::Initiate)
    }

    /// In a line.
    pub fn words(&self) -> String {
        let begun: Vec<String> = self.begun.iter().map(|(who, what)| format!("{who:?} {what:?}")).collect();
        let Self { faults, haste, order, exchanges, strangers, .. } = self;
        let lower = if order.a_is_lower { "A" } else { "B" };
        let rising = if order.rising { "first" } else { "last" };
        let begun = begun.join(" x ");
        let keys = if *exchanges == Exchanges::Few { String::new() } else { format!(", {exchanges:?}") };
        let keys = if *strangers { keys + ", strangers" } else { keys };
        let faults = if *faults == EACH { "each message".into() } else { faults.to_string() };
        format!("{begun}, faults {faults}, haste {haste}, {lower}'s {rising} nonce is lowest{keys}")
    }
}

/// What A or B is told, at the beginning or then.
pub fn config(who: Who, scenario: &Scenario, at_first: bool) -> &'static Config<'static> {
    let Scenario { exchanges, strangers, .. } = *scenario;
    let (mut config, own, peer) = match who {
        Who::A => (parties::a(), A, B),
        Who::B => (parties::b(), B, A),
    };
    if strangers {
        config.pad = leak_all(vec![FIRST_USE]);
    } else {
        parties::share(&mut config, b"a secret");
    }
    let policy = |port| {
        let side = |address| {
            let ports = PortRange::single(port);
            leak_all(vec![TrafficSelector { protocol: 17, ports, addresses: AddressRange::single(address) }])
        };
        let (minimum, whose) =
            if strangers { (Level::First, Peer::Any) } else { (Level::Shared, Peer::Entry(PEER)) };
        let action = Action::Protect { mode: Mode::Transport, minimum };
        let pfs = exchanges != Exchanges::Few;
        IkePolicy { local: side(own), remote: side(peer), action, peer: whose, pfs }
    };
    config.suites = exchanges.suites(who, at_first);
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
