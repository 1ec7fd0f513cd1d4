//! One end: an endpoint of key management and its data plane, both as bare state.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use esp_engine::engine::{self, Engine, Inbound, Outbound, Settings};
use esp_engine::sa::{ChildSa, SaReport, Spi};
use esp_engine::spd::{Policy, PolicyId};
use esp_engine::time::Instant;
use ike_core::config::Config;
use ike_core::crypto::Crypto;
use ike_core::crypto::toy::Toy;
use ike_core::endpoint::Endpoint;
use ike_core::output::{Event, Output, Path};
use ike_core::resources::Resources;

use super::lot::Lot;

/// The backend.
pub type Backend = Toy<false>;
/// Its cipher.
pub type Cipher = <Backend as Crypto>::Cipher;
/// Places for Child SAs, the same in key management and data plane.
const CHILD_SAS: usize = 6;
type Room = Resources<Backend, 4, 3, CHILD_SAS, 9, 0, 0, 1>;
type Plane = esp_engine::resources::Resources<Cipher, 2, CHILD_SAS, 1>;
/// An endpoint put on an end's state.
pub type Standing<'e> = Endpoint<'e, Backend, &'e mut Lot>;

/// Which end.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// The one that set the first SA up, where one stands.
    A,
    /// The other.
    B,
}

impl Who {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A datagram on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Message {
    /// Where to.
    pub to: Who,
    /// The way, as its receiver sees it.
    pub path: Path,
    /// UDP payload.
    pub octets: Rc<[u8]>,
    /// It was delivered before: this is its double.
    pub echo: bool,
}

impl Message {
    /// Whether the other is the same sent again.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.to, &self.octets) == (other.to, &other.octets)
    }
}

/// One end.
#[derive(Clone)]
pub struct End {
    who: Who,
    config: &'static Config<'static>,
    room: Box<Room>,
    plane: Box<Plane>,
    lot: Lot,
    /// When it wants to be called.
    pub timeout: Option<Instant>,
}

impl Hash for End {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.room.hash(state);
        self.plane.hash(state);
        self.lot.hash(state);
    }
}

impl End {
    /// An end that knows of nothing yet.
    pub fn new(who: Who, config: &'static Config<'static>, lot: Lot) -> Self {
        let mut plane = Box::new(Plane::new());
        let mut engine = Engine::new(Settings::default(), &mut plane);
        for policy in config.policies {
            let [local, remote] = [policy.local, policy.remote].map(|ts| ts.iter().copied().collect());
            engine.add_policy(Policy { local, remote, action: policy.action }).expect("room");
        }
        let room = Box::new(Room::new());
        Self { who, config, room, plane, lot, timeout: None }
    }

    /// It is told something else, of which its data plane notices nothing.
    pub fn reconfigure(&mut self, config: &'static Config<'static>) {
        self.config = config;
    }

    /// Gives the endpoint an input and does what it asks for then; what it sends is put behind `sent`, and
    /// what it reports goes to `told`.
    pub fn act(
        &mut self,
        now: Instant,
        sent: &mut Vec<Message>,
        told: &mut dyn FnMut(&Event),
        input: impl FnOnce(&mut Standing<'_>),
    ) {
        let Self { who, config, room, plane, lot, timeout } = self;
        let mut endpoint = Endpoint::attach(config, room, Toy, lot).expect("the configuration worked before");
        let mut engine = Engine::new(Settings::default(), plane);
        input(&mut endpoint);
        loop {
            let ike = loop {
                match endpoint.poll_output() {
                    Output::Event(event) => {
                        told(&event);
                        obey(&mut engine, now, event);
                    }
                    Output::Transmit { path, datagram } => {
                        let path = Path { local: path.remote, remote: path.local, ..path };
                        let octets = Rc::from(datagram);
                        sent.push(Message { to: who.other(), path, octets, echo: false });
                    }
                    Output::Timeout(at) => break at,
                }
            };
            engine.handle_timeout(now);
            match engine.poll_output() {
                engine::Output::Sa(report) => endpoint.handle_sa_report(now, report),
                engine::Output::Acquire { policy, packet } => {
                    let _ = endpoint.acquire(now, policy, packet);
                }
                engine::Output::Timeout(esp) => {
                    *timeout = ike.into_iter().chain(esp).min();
                    assert!(endpoint.indexes_agree(), "an index errs");
                    return;
                }
            }
        }
    }

    /// The pair that a packet would leave by.
    pub fn sends_on(&self, now: Instant, clear: &[u8]) -> Option<Spi> {
        let mut plane = self.plane.clone();
        let mut engine = Engine::new(Settings::default(), &mut *plane);
        let before: Vec<_> = engine.sas().map(|sa| (sa.inbound, sa.sent)).collect();
        let _ = engine.outbound(now, clear);
        engine.sas().map(|sa| (sa.inbound, sa.sent)).find(|sa| !before.contains(sa)).map(|(spi, _)| spi)
    }

    /// A copy of the data plane, to try something on.
    pub fn try_plane(&self) -> Trial {
        Trial(self.plane.clone())
    }

    /// A look at the endpoint, on a copy.
    pub fn look<T>(&self, look: impl FnOnce(&mut Standing<'_>) -> T) -> T {
        let mut room = self.room.clone();
        let mut lot = self.lot.clone();
        look(&mut Endpoint::attach(self.config, &mut room, Toy, &mut lot).expect("worked before"))
    }

    /// Whether it may send this message again.
    pub fn keeps(&self, message: &[u8]) -> bool {
        self.room.messages().any(|kept| kept == message)
    }

    /// What of the endpoint's resources is in use.
    pub fn usage(&self) -> ike_core::resources::Usage {
        self.room.usage()
    }
}

fn obey(engine: &mut Engine<'_, Cipher>, now: Instant, event: Event) {
    match event {
        Event::Install(child) => {
            let child: ChildSa<Cipher> = child.build().expect("a known algorithm");
            engine.install(now, child).expect("there is room for each SA");
        }
        Event::Remove(spi) => assert!(engine.remove(spi), "removes what is installed"),
        Event::Retire(spi) => assert!(engine.retire(spi), "retires what is installed"),
        Event::Update(update) => assert!(engine.update(update), "moves what is installed"),
        _ => {}
    }
}

/// A data plane to try something on.
pub struct Trial(Box<Plane>);

impl Trial {
    /// What becomes of a clear packet; the sealed one if it may leave.
    pub fn send(&mut self, now: Instant, clear: &[u8]) -> Result<Vec<u8>, Outbound> {
        let mut engine = Engine::new(Settings::default(), &mut self.0);
        match engine.outbound(now, clear) {
            Outbound::Seal(seal) => {
                let mut frame = vec![0; seal.length()];
                engine.seal(seal, clear, &mut frame).map_err(Outbound::Drop)?;
                Ok(frame)
            }
            verdict => Err(verdict),
        }
    }

    /// What becomes of a packet that arrives.
    pub fn receive(&mut self, now: Instant, frame: &[u8]) -> Inbound {
        Engine::new(Settings::default(), &mut self.0).inbound(now, &mut frame.to_vec())
    }

    /// The pairs of SAs, with their policy, our SPI and the peer's.
    pub fn pairs(&mut self) -> Vec<(PolicyId, Spi, Spi)> {
        let engine = Engine::new(Settings::default(), &mut self.0);
        engine.sas().map(|sa| (sa.policy, sa.inbound, sa.outbound)).collect()
    }
}

/// What the data plane says when the SA's time is over, or nearly.
pub fn report(spi: Spi, is_over: bool) -> SaReport {
    if is_over { SaReport::HardExpired(spi) } else { SaReport::SoftExpired(spi) }
}
