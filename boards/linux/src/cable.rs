//! A simulated Ethernet cable between embassy-net stacks. An eavesdropper keeps every frame, an
//! attacker may put frames of his own on it, and a saboteur may cut out what a rule names for a while.
//! One thread, no sockets, time from [`crate::time`]; the same seed gives the same run.

use std::cell::{Ref, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::time::now_micros;

/// Octets of the longest Ethernet frame, header included and checksum not.
pub const MAX_FRAME: usize = 1514;

/// Frames that may be under way to one end; more are lost, as in a switch.
const QUEUE: usize = 256;

/// Who put a frame on the cable.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The end with this number.
    End(usize),
    /// The attacker.
    Attacker,
}

/// A frame as the eavesdropper saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, in microseconds of [`crate::time`].
    pub micros: u64,
    /// Who sent it.
    pub origin: Origin,
    /// From the Ethernet header on.
    pub octets: Vec<u8>,
    /// Whether a rule cut it out before it arrived.
    pub blocked: bool,
}

/// A frame that a rule cuts out.
pub type Rule = fn(frame: &[u8]) -> bool;

/// A cable; clones are the same cable.
#[derive(Clone)]
pub struct Cable(Rc<RefCell<Hub>>);

struct Hub {
    ends: Vec<Port>,
    seen: Vec<Seen>,
    rules: Vec<Rule>,
    delay: ChaCha8Rng,
}

struct Port {
    address: [u8; 6],
    /// Frames with the moment in which they arrive.
    under_way: VecDeque<(u64, Vec<u8>)>,
    waker: Option<Waker>,
}

impl Cable {
    /// A cable without ends. `seed` decides how long each frame is under way.
    pub fn new(seed: u64) -> Self {
        let delay = ChaCha8Rng::seed_from_u64(seed);
        Self(Rc::new(RefCell::new(Hub { ends: Vec::new(), seen: Vec::new(), rules: Vec::new(), delay })))
    }

    /// Plugs in another end.
    pub fn plug(&self, address: [u8; 6]) -> End {
        let mut hub = self.0.borrow_mut();
        hub.ends.push(Port { address, under_way: VecDeque::new(), waker: None });
        End { number: hub.ends.len() - 1, cable: self.clone(), address }
    }

    /// Puts a frame of the attacker's on the cable.
    pub fn inject(&self, frame: &[u8]) {
        self.0.borrow_mut().send(Origin::Attacker, frame.to_vec());
    }

    /// Cuts out every frame that `rule` names, from now on until [`Cable::mend`].
    pub fn cut(&self, rule: Rule) {
        self.0.borrow_mut().rules.push(rule);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.0.borrow_mut().rules.clear();
    }

    /// All that the eavesdropper saw, oldest first.
    pub fn seen(&self) -> Ref<'_, [Seen]> {
        Ref::map(self.0.borrow(), |hub| hub.seen.as_slice())
    }
}

impl Hub {
    fn send(&mut self, origin: Origin, octets: Vec<u8>) {
        let micros = now_micros();
        let blocked = self.rules.iter().any(|rule| rule(&octets));
        self.seen.push(Seen { micros, origin, octets: octets.clone(), blocked });
        if blocked {
            return;
        }
        // About 100 km of fibre.
        let arrival = micros + 500 + u64::from(self.delay.next_u32() % 100);
        for (number, port) in self.ends.iter_mut().enumerate() {
            let meant = port.hears(&octets) && origin != Origin::End(number);
            if meant && port.under_way.len() < QUEUE {
                port.accept(arrival, octets.clone());
            }
        }
    }
}

impl Port {
    /// As a network interface does: frames to its own address, and those to many.
    fn hears(&self, frame: &[u8]) -> bool {
        frame.starts_with(&self.address) || frame.first().is_some_and(|octet| octet & 1 != 0)
    }

    fn accept(&mut self, arrival: u64, frame: Vec<u8>) {
        // A cable does not reorder.
        let arrival = self.under_way.back().map_or(arrival, |(last, _)| arrival.max(*last));
        self.under_way.push_back((arrival, frame));
        if let Some(waker) = &self.waker {
            embassy_time_driver::schedule_wake(arrival, waker);
        }
    }

    fn arrived(&mut self, cx: &Context<'_>) -> Option<Vec<u8>> {
        self.waker = Some(cx.waker().clone());
        let arrival = self.under_way.front()?.0;
        if arrival > now_micros() {
            embassy_time_driver::schedule_wake(arrival, cx.waker());
            return None;
        }
        self.under_way.pop_front().map(|(_, frame)| frame)
    }
}

/// One end of a [`Cable`]: what a stack takes for its network interface.
pub struct End {
    number: usize,
    cable: Cable,
    address: [u8; 6],
}

impl Driver for End {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Frame, Sender<'_>)> {
        let frame = self.cable.0.borrow_mut().ends.get_mut(self.number)?.arrived(cx)?;
        Some((Frame(frame), Sender(self)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Sender<'_>> {
        Some(Sender(self))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

/// A frame that arrived.
pub struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

/// Leave to put one frame on the cable.
pub struct Sender<'a>(&'a End);

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.cable.0.borrow_mut().send(Origin::End(self.0.number), frame);
        result
    }
}
