//! One router of the demo: `firmware` as a host on an end of the cable, a BGP speaker on its stack,
//! and what can be seen of it from outside.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;

use embassy_futures::select::{Either, select};
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Timer};
use esp_engine::counters::DropReason;
use esp_engine::crypto::Algorithm;
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use firmware::config::{
    Action, Authentication, Config, Identity, Interface, Peer, Policy, Ports, Prefix, PrivateKey, Role,
    Suite, Timing,
};
use firmware::management::{Management, Request};
use firmware::network::Counters;
use firmware::report::Event;
use firmware::role::{Board, host};
use firmware::side_by_side::Wakers;
use ike_core::crypto::Group;
use ike_core::crypto::software::Software;
use ike_core::resources::Resources;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::story::Story;
use crate::bgp::{self, Session, Speaker, message};
use crate::cable::End;
use crate::capture::{self, Keys};
use crate::{executor, key};

pub use firmware::config::Start;

const TCP: u8 = 6;
/// What each speaker proposes, seconds: a session without packets ends after this.
pub const HOLD_TIME: u16 = 9;

/// What a router is to be.
pub struct Plan {
    name: &'static str,
    number: u8,
    identity: &'static str,
    key: PrivateKey,
    trusts: Trust,
    speaks: Speaks,
}

/// Whom a router believes.
pub enum Trust {
    /// One peer, by its key.
    Pinned {
        /// Its short name.
        name: &'static str,
        /// Its number.
        number: u8,
        /// Its key; only the public half is used.
        key: PrivateKey,
        /// Who begins.
        start: Start,
    },
    /// Whoever it is (RFC 5386).
    Anyone,
}

/// Who opens the BGP session with whom.
#[derive(Copy, Clone)]
enum Speaks {
    Calls(u8),
    ListensTo(u8),
}

impl Plan {
    /// Router `name` with the address 192.0.2.`number`.
    pub fn new(name: &'static str, number: u8, key: PrivateKey) -> Self {
        let identity = match name {
            "a" => "a.example",
            "b" => "b.example",
            "c" => "c.example",
            _ => "d.example",
        };
        Self { name, number, identity, key, trusts: Trust::Anyone, speaks: Speaks::ListensTo(0) }
    }

    /// It claims this name.
    pub fn called(self, identity: &'static str) -> Self {
        Self { identity, ..self }
    }

    /// It believes these.
    pub fn trusts(self, trusts: Trust) -> Self {
        Self { trusts, ..self }
    }

    /// It opens a BGP session with 192.0.2.`number`.
    pub fn calls(self, number: u8) -> Self {
        Self { speaks: Speaks::Calls(number), ..self }
    }

    /// It waits for 192.0.2.`number` to open a BGP session.
    pub fn listens_to(self, number: u8) -> Self {
        Self { speaks: Speaks::ListensTo(number), ..self }
    }

    fn config(&self) -> Config {
        let far = match self.speaks {
            Speaks::Calls(far) | Speaks::ListensTo(far) => far,
        };
        let (local_ports, remote_ports) = match self.speaks {
            Speaks::Calls(_) => (Ports::ANY, Ports::single(bgp::PORT)),
            Speaks::ListensTo(_) => (Ports::single(bgp::PORT), Ports::ANY),
        };
        let minimum = if matches!(self.trusts, Trust::Anyone) { Level::Any } else { Level::Pinned };
        let policy = Policy {
            name: text("bgp"),
            local: Prefix { address: address(self.number).into(), length: 32 },
            remote: Prefix { address: address(far).into(), length: 32 },
            protocol: TCP,
            local_ports,
            remote_ports,
            action: Action::Protect { mode: Mode::Transport, minimum, peer: None },
        };
        let port = Prefix { address: address(self.number).into(), length: 24 };
        // AES-GCM, because tshark decrypts that.
        let gcm = Algorithm::Aes128Gcm16;
        let suite = Suite::Custom { ike: gcm, group: Group::Curve25519, esp: gcm };
        Config {
            role: Role::Host,
            identity: Identity::Fqdn(text(self.identity)),
            key: self.key.clone(),
            interfaces: [Interface { addresses: [port].into_iter().collect() }].into_iter().collect(),
            routes: Default::default(),
            peers: [self.trusts.peer()].into_iter().collect(),
            policies: [policy].into_iter().collect(),
            suites: [suite].into_iter().collect(),
            force_encapsulation: false,
            timing: Timing { liveness_s: 10, ..Timing::default() },
        }
    }
}

impl Trust {
    fn peer(&self) -> Peer {
        match self {
            Self::Anyone => Peer {
                name: text("anyone"),
                identity: None,
                address: None,
                authentication: Authentication::Btns,
                ranges: Default::default(),
                start: Start::OnTraffic,
            },
            Self::Pinned { name, number, key, start } => {
                let spki = key::public(key).unwrap_or_default();
                let pinned = heapless::Vec::from_slice(&spki).unwrap_or_default();
                Peer {
                    name: text(name),
                    identity: Some(Identity::Fqdn(text(&format!("{name}.example")))),
                    address: Some(address(*number).into()),
                    authentication: Authentication::Pinned([pinned].into_iter().collect()),
                    ranges: Default::default(),
                    start: *start,
                }
            }
        }
    }
}

fn text<const N: usize>(text: &str) -> heapless::String<N> {
    text.try_into().unwrap_or_default()
}

/// 192.0.2.`number`.
pub const fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, number)
}

/// The hardware address of router `number`.
pub const fn hardware_address(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}

/// A router, and what can be seen of it from outside.
pub struct Router {
    plan: Plan,
    seed: u64,
    story: Rc<Story>,
    keys: Option<Rc<RefCell<Keys>>>,
    management: Management,
    events: RefCell<Vec<Event>>,
    counters: RefCell<Option<Counters>>,
    /// Its BGP session.
    pub session: RefCell<Session>,
    /// Its end of the TCP connection under that, once there is one.
    pub tcp_port: Cell<Option<u16>>,
    /// Whether it may speak.
    pub may_speak: Cell<bool>,
}

impl Router {
    /// A router by `plan`; `seed` decides all that it leaves to chance.
    pub fn new(plan: Plan, seed: u64, story: &Rc<Story>) -> Self {
        let announced = |third| message::Prefix { address: Ipv4Addr::new(198, 51, third, 0), length: 24 };
        let to_announce = vec![announced(100 + plan.number)];
        Self {
            plan,
            seed,
            story: story.clone(),
            keys: None,
            management: Management::new(),
            events: RefCell::default(),
            counters: RefCell::default(),
            session: RefCell::new(Session { to_announce, ..Session::default() }),
            tcp_port: Cell::new(None),
            may_speak: Cell::new(true),
        }
    }

    /// Its keys are kept for the capture.
    pub fn with_keys(self, keys: &Rc<RefCell<Keys>>) -> Self {
        Self { keys: Some(keys.clone()), ..self }
    }

    /// What the story calls it.
    pub fn name(&self) -> &'static str {
        self.plan.name
    }

    /// Whom it claims to be.
    pub fn identity(&self) -> &'static str {
        self.plan.identity
    }

    /// Its number, the last octet of its addresses.
    pub fn number(&self) -> u8 {
        self.plan.number
    }

    /// Its private key.
    pub fn key(&self) -> &PrivateKey {
        &self.plan.key
    }

    /// SHA-256 of its SubjectPublicKeyInfo.
    pub fn fingerprint(&self) -> [u8; 32] {
        key::fingerprint(&key::public(&self.plan.key).unwrap_or_default())
    }

    /// What it reported so far.
    pub fn events(&self) -> std::cell::Ref<'_, Vec<Event>> {
        self.events.borrow()
    }

    /// Packets that it has dropped for this reason.
    pub async fn dropped(&self, reason: DropReason) -> u64 {
        self.count().await;
        self.counters.borrow().as_ref().map_or(0, |counters| counters.engine.dropped(reason))
    }

    /// Packets that its engine sealed and opened.
    pub async fn protected(&self) -> (u64, u64) {
        self.count().await;
        let counters = self.counters.borrow();
        counters.as_ref().map_or((0, 0), |c| (c.engine.sealed.packets, c.engine.opened.packets))
    }

    async fn count(&self) {
        // Asking for the status has the counters reported, too.
        let _ = self.management.ask(Request::Status).await;
    }

    /// The router at work on `end`.
    pub fn task(&self, end: End) -> executor::Task<'_> {
        Box::pin(async move {
            let config = self.plan.config();
            if let Err(refused) = config.check() {
                self.story.say(self.name(), &format!("refuses its configuration: {refused}"));
                return;
            }
            let mut memory = Box::new(host::Memory::<SoftwareCipher, 8, 2, 4>::new());
            let mut key_management = Box::new(Resources::<Software, 4, 2, 8, 8>::new());
            let board = Board {
                config: &config,
                crypto: Software,
                rng: ChaCha20Rng::seed_from_u64(self.seed),
                sink: |_now, event: &Event| self.hear(event),
                management: &self.management,
                seed: self.seed,
                wakers: Box::leak(Box::new(Wakers::new())),
            };
            let app = async |stack: Stack<'_>| self.speak(stack).await;
            if host::run(board, end, &mut memory, &mut key_management, app).await.is_err() {
                self.story.say(self.name(), "key management refuses its configuration");
            }
        })
    }

    fn hear(&self, event: &Event) {
        match event {
            Event::Counted(counters) => {
                self.counters.replace(Some(counters.clone()));
                return;
            }
            Event::IkeKeys(_) | Event::ChildKeys(_) => self.keep_keys(event),
            _ => self.story.event(self.name(), event),
        }
        self.events.borrow_mut().push(event.clone());
    }

    fn keep_keys(&self, event: &Event) {
        if let Some(keys) = &self.keys {
            capture::keep_keys(&mut keys.borrow_mut(), event);
        }
    }

    async fn until_it_may_speak(&self, may: bool) {
        while self.may_speak.get() != may {
            Timer::after(Duration::from_millis(10)).await;
        }
    }

    /// Holds a BGP session whenever there is none.
    async fn speak(&self, stack: Stack<'_>) {
        let own = address(self.plan.number);
        let speaker = Speaker {
            autonomous_system: 64500 + u16::from(self.plan.number),
            identifier: own,
            next_hop: own,
            hold_time: HOLD_TIME,
        };
        loop {
            self.until_it_may_speak(true).await;
            let (mut rx, mut tx) = ([0; 4096], [0; 4096]);
            let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
            let connect = async {
                match self.plan.speaks {
                    Speaks::Calls(far) => socket.connect((address(far), bgp::PORT)).await.is_ok(),
                    Speaks::ListensTo(_) => socket.accept(bgp::PORT).await.is_ok(),
                }
            };
            if let Either::First(true) = select(connect, self.until_it_may_speak(false)).await {
                self.tcp_port.set(socket.local_endpoint().map(|end| end.port));
                let ended = speaker.converse(&mut socket, &self.session).await;
                self.story.say(self.name(), &format!("BGP session ended: {ended:?}"));
                // Gives the reset its chance to leave.
                let _ = socket.flush().await;
            }
            drop(socket);
            Timer::after(Duration::from_secs(1)).await;
        }
    }
}
