//! A Linux interface as an embassy-net driver: raw frames from a [`Wire`], which is an AF_PACKET
//! socket on an interface that the kernel leaves alone ([`packet`]) or the near end of a TAP device
//! ([`tap`]). Only this module and its children make system calls for frames.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

use crate::cable::MAX_FRAME;
use crate::readiness::{self, Interest};

pub mod checksum;
pub mod interface;
pub mod packet;
pub mod tap;

/// Frames in one turn before other tasks have theirs.
const BURST: usize = 64;

/// Where frames come from and go to. Neither call blocks.
pub trait Wire {
    /// Fills `frame` with the next one and returns its length; `WouldBlock` when there is none.
    ///
    /// # Errors
    /// As the system says; [`io::ErrorKind::InvalidData`] for a frame that is passed over.
    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize>;

    /// Sends one frame.
    ///
    /// # Errors
    /// As the system says.
    fn send(&self, frame: &[u8]) -> io::Result<()>;

    /// What to wait for.
    fn descriptor(&self) -> BorrowedFd<'_>;
}

/// What did not get through a port.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Losses {
    /// Frames longer than the interface's MTU, joined by an offload of the driver's.
    pub oversized: u64,
    /// Frames that the kernel had no room to send.
    pub unsent: u64,
}

impl Losses {
    /// What an operator can do about it; `None` when there is nothing to do.
    pub fn hint(&self, interface: &str) -> Option<String> {
        (self.oversized > 0).then(|| {
            format!(
                "{} frames on {interface} were longer than its MTU and were dropped: an offload joins \
                 them. Switch it off: ethtool -K {interface} gro off lro off (at the far end of a veth: \
                 tso off gso off)",
                self.oversized
            )
        })
    }
}

fn count(losses: &Cell<Losses>, which: impl FnOnce(&mut Losses) -> &mut u64) {
    let mut counted = losses.get();
    *which(&mut counted) += 1;
    losses.set(counted);
}

/// A [`Wire`] with a hardware address: the driver.
pub struct Port<W> {
    wire: W,
    address: [u8; 6],
    /// Octets of the longest frame.
    limit: usize,
    buffer: Box<[u8]>,
    losses: Rc<Cell<Losses>>,
}

impl<W: Wire> Port<W> {
    /// A port that stands on `wire` with `address` and an IP MTU of `mtu` octets (at most 1,500 count).
    pub fn new(wire: W, address: [u8; 6], mtu: usize) -> Self {
        let limit = (mtu + 14).min(MAX_FRAME);
        // One octet more than fits, so that a longer frame shows.
        Self { wire, address, limit, buffer: vec![0; limit + 1].into(), losses: Rc::default() }
    }

    /// The same port over a wire made from its own.
    pub fn map<V>(self, wrap: impl FnOnce(W) -> V) -> Port<V> {
        let Self { wire, address, limit, buffer, losses } = self;
        Port { wire: wrap(wire), address, limit, buffer, losses }
    }

    /// Where the port counts what does not get through, for whoever gives it away.
    pub fn losses(&self) -> Rc<Cell<Losses>> {
        self.losses.clone()
    }

    /// The next frame that fits; waits in `cx` when there is none.
    fn next(&mut self, cx: &Context<'_>) -> Option<usize> {
        for _ in 0..BURST {
            match self.wire.receive(&mut self.buffer) {
                Ok(length) if length <= self.limit => return Some(length),
                Ok(_) => count(&self.losses, |losses| &mut losses.oversized),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => {
                    readiness::when_ready(self.wire.descriptor(), Interest::Readable, cx.waker());
                    return None;
                }
            }
        }
        cx.waker().wake_by_ref();
        None
    }
}

impl<W: Wire> Driver for Port<W> {
    type RxToken<'a>
        = Frame<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sender<'a, W>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Frame<'_>, Sender<'_, W>)> {
        let length = self.next(cx)?;
        let Self { wire, buffer, losses, .. } = self;
        Some((Frame(buffer.get_mut(..length)?), Sender { wire, losses }))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Sender<'_, W>> {
        Some(Sender { wire: &self.wire, losses: &self.losses })
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.limit;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

/// A frame that arrived.
pub struct Frame<'a>(&'a mut [u8]);

impl RxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Leave to send one frame.
pub struct Sender<'a, W> {
    wire: &'a W,
    losses: &'a Cell<Losses>,
}

impl<W: Wire> TxToken for Sender<'_, W> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = [0; MAX_FRAME];
        let Some(frame) = frame.get_mut(..length) else {
            // The stack keeps to the MTU that it was told; whatever it meant to send is not sent.
            count(self.losses, |losses| &mut losses.unsent);
            return f(&mut vec![0; length]);
        };
        let result = f(frame);
        if self.wire.send(frame).is_err() {
            count(self.losses, |losses| &mut losses.unsent);
        }
        result
    }
}

/// Any of the two kinds.
pub enum AnyWire {
    /// An AF_PACKET socket.
    Packet(packet::PacketSocket),
    /// A TAP device.
    Tap(tap::Tap),
}

impl Wire for AnyWire {
    fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Packet(wire) => wire.receive(frame),
            Self::Tap(wire) => wire.receive(frame),
        }
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self {
            Self::Packet(wire) => wire.send(frame),
            Self::Tap(wire) => wire.send(frame),
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Packet(wire) => wire.as_fd(),
            Self::Tap(wire) => wire.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    #[derive(Clone, Default)]
    struct Scripted(Rc<RefCell<VecDeque<usize>>>);

    impl Wire for Scripted {
        fn receive(&mut self, frame: &mut [u8]) -> io::Result<usize> {
            let length = self.0.borrow_mut().pop_front().ok_or(io::ErrorKind::WouldBlock)?;
            Ok(length.min(frame.len()))
        }
        fn send(&self, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::WouldBlock.into())
        }
        fn descriptor(&self) -> BorrowedFd<'_> {
            // SAFETY: descriptor 0 is only registered, never read.
            unsafe { BorrowedFd::borrow_raw(0) }
        }
    }

    #[test]
    fn frames_that_an_offload_joined_are_counted_with_a_hint_and_the_next_one_is_taken() {
        let script = Scripted::default();
        script.0.borrow_mut().extend([64, 1514, 1515, 9000, 60]);
        let mut port = Port::new(script, [2, 0, 0, 0, 0, 1], 1500);
        let mut cx = Context::from_waker(Waker::noop());
        let mut lengths = Vec::new();
        while let Some((frame, _)) = port.receive(&mut cx) {
            lengths.push(frame.consume(|octets| octets.len()));
        }
        assert_eq!(lengths, [64, 1514, 60]);
        assert_eq!(port.losses().get(), Losses { oversized: 2, unsent: 0 });
        assert!(port.losses().get().hint("wan0").unwrap().contains("ethtool -K wan0"));
        port.transmit(&mut cx).unwrap().consume(60, |_| ());
        assert_eq!(port.losses().get().unsent, 1);
    }
}
