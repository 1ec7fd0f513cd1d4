//! The way between the forwarding path and the device's own stack: IP packets, a few each way, as an
//! embassy-net driver.
//!
//! The two directions are borrowed apart, because a stack sends its answer inside the closure that
//! receives. A full direction is told to the stack as a busy driver, and to the forwarding path as
//! a packet that is dropped.

use core::cell::RefCell;
use core::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use heapless::{Deque, Vec};

/// Packets that wait in each direction.
const PACKETS: usize = 4;
/// Octets of the longest packet.
pub(super) const MAX_PACKET: usize = 1_500;

type Packet = Vec<u8, MAX_PACKET>;

/// Both directions.
pub(super) struct Local {
    up: RefCell<Direction>,
    down: RefCell<Direction>,
}

struct Direction {
    packets: Deque<Packet, PACKETS>,
    /// Who waits for a packet, or for room.
    waker: Option<Waker>,
}

impl Direction {
    const fn new() -> Self {
        Self { packets: Deque::new(), waker: None }
    }

    fn register(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Local {
    pub(super) const fn new() -> Self {
        Self { up: RefCell::new(Direction::new()), down: RefCell::new(Direction::new()) }
    }

    /// Whether the stack has to have a turn before it gets another packet.
    pub(super) fn is_full(&self) -> bool {
        self.up.borrow().packets.is_full()
    }

    /// A packet for the stack; `false` when it has no room for it.
    pub(super) fn deliver(&self, packet: &[u8]) -> bool {
        let mut up = self.up.borrow_mut();
        let taken = Packet::from_slice(packet).is_ok_and(|packet| up.packets.push_back(packet).is_ok());
        up.wake();
        taken
    }

    /// The next packet of the stack; when there is none, `cx` is woken for it.
    pub(super) fn next(&self, cx: &mut Context<'_>) -> Option<Packet> {
        let mut down = self.down.borrow_mut();
        let packet = down.packets.pop_front();
        match packet {
            // The stack may wait for the room that this packet took.
            Some(_) => self.up.borrow_mut().wake(),
            None => down.register(cx.waker()),
        }
        packet
    }
}

/// The stack's end.
pub(super) struct LocalDriver<'a> {
    pub(super) local: &'a Local,
    /// Octets of the longest packet that the stack may send.
    pub(super) mtu: usize,
}

impl Driver for LocalDriver<'_> {
    type RxToken<'t>
        = LocalRx<'t>
    where
        Self: 't;
    type TxToken<'t>
        = LocalTx<'t>
    where
        Self: 't;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let mut up = self.local.up.borrow_mut();
        up.register(cx.waker());
        if up.packets.is_empty() || self.local.down.borrow().packets.is_full() {
            return None;
        }
        Some((LocalRx(self.local), LocalTx(self.local)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        self.local.up.borrow_mut().register(cx.waker());
        (!self.local.down.borrow().packets.is_full()).then_some(LocalTx(self.local))
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.mtu.min(MAX_PACKET);
        capabilities
    }

    fn link_state(&mut self, _cx: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ip
    }
}

/// A packet for the stack.
pub(super) struct LocalRx<'t>(&'t Local);

impl RxToken for LocalRx<'_> {
    fn consume<R, F>(self, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        let mut up = self.0.up.borrow_mut();
        let mut packet = up.packets.pop_front().unwrap_or_default();
        f(&mut packet)
    }
}

/// Room for a packet of the stack.
pub(super) struct LocalTx<'t>(&'t Local);

impl TxToken for LocalTx<'_> {
    fn consume<R, F>(self, len: usize, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        let mut down = self.0.down.borrow_mut();
        let mut packet = Packet::new();
        // The stack keeps to the MTU; a longer packet would be cut and then refused as malformed.
        let _ = packet.resize(len.min(MAX_PACKET), 0);
        let result = f(&mut packet);
        let _ = down.packets.push_back(packet);
        down.wake();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn packets_arrive_in_order_both_ways() {
        let local = Local::new();
        let mut driver = LocalDriver { local: &local, mtu: 1_383 };
        assert!(driver.receive(&mut cx()).is_none());
        assert!(local.deliver(b"one") && local.deliver(b"two"));
        for expected in [&b"one"[..], b"two"] {
            let (rx, tx) = driver.receive(&mut cx()).unwrap();
            // As a stack does it: the answer leaves inside of the closure that receives.
            rx.consume(|packet| {
                assert_eq!(packet, expected);
                tx.consume(3, |answer| answer.copy_from_slice(b"ack"));
            });
        }
        assert_eq!(local.next(&mut cx()).unwrap(), b"ack");
        assert_eq!(local.next(&mut cx()).unwrap(), b"ack");
        assert_eq!(local.next(&mut cx()), None);
    }

    #[test]
    fn a_full_direction_refuses_and_recovers() {
        let local = Local::new();
        let mut driver = LocalDriver { local: &local, mtu: 1_383 };
        for _ in 0..PACKETS {
            assert!(local.deliver(b"up"));
            driver.transmit(&mut cx()).unwrap().consume(4, |out| out.fill(7));
        }
        assert!(!local.deliver(b"one too many"));
        assert!(driver.transmit(&mut cx()).is_none());
        assert!(driver.receive(&mut cx()).is_none(), "no answer could leave");
        local.next(&mut cx()).unwrap();
        assert!(driver.receive(&mut cx()).is_some());
        assert!(!local.deliver(&[0; MAX_PACKET + 1]));
    }

    #[test]
    fn the_stack_sees_the_lowered_mtu_and_no_link() {
        let local = Local::new();
        let driver = LocalDriver { local: &local, mtu: 1_383 };
        assert_eq!(driver.capabilities().max_transmission_unit, 1_383);
        assert_eq!(driver.hardware_address(), HardwareAddress::Ip);
    }
}
