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
use esp_engine::crypto::software::SoftwareCipher;
use firmware::config::PrivateKey;
use firmware::control;
use firmware::management::{Management, Request};
use firmware::network::Counters;
use firmware::report::Event;
use firmware::role::{Board, host};
use firmware::side_by_side::Wakers;
use firmware::storage::NoStorage;
use ike_core::crypto::software::Software;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::plan::{Plan, Speaks, address};
use super::story::Story;
use crate::bgp::{self, Session, Speaker, message};
use crate::cable::End;
use crate::capture::{self, Keys};
use crate::memory::room;
use crate::{executor, key};

/// What each speaker proposes, seconds: a session without packets ends after this.
pub const HOLD_TIME: u16 = 9;

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
            let mut memory = room(host::Memory::<SoftwareCipher, 8, 2, 26>::new);
            let mut key_management = room(control::Memory::<Software, 4, 2, 8, 8>::new);
            let board = Board {
                config: &config,
                crypto: Software,
                rng: ChaCha20Rng::seed_from_u64(self.seed),
                sink: |_now, event: &Event| self.hear(event),
                storage: NoStorage,
                management: &self.management,
                time_of_day: None,
                seed: self.seed,
                wakers: Box::leak(Box::new(Wakers::new())),
            };
            let app = async |stack: Stack<'_>| self.speak(stack).await;
            let life = room(|| host::run(board, end, &mut memory, &mut key_management, app));
            if Box::into_pin(life).await.is_err() {
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
