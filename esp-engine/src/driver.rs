//! The adapter under embassy-net: a [`Driver`] around a driver, with ESP between them.
//!
//! ```text
//! SecureDriver::new(inner: D, engine: &'a RefCell<Engine<'r, C>>, port: &'a Port,
//!                   buffers: &'a mut Buffers<FRAME>, now: fn() -> Instant)
//! ```
//! What the stack sends is written into `buffers`, and a frame of `inner` is taken only once the
//! length of what leaves is known. What arrives is opened in the frame of `inner` itself: nothing is
//! copied. What the stack must not see is handed up empty, because nothing at all would end its
//! poll. `port` stays with the network task, which calls [`Port::wake`] after each Install, Update,
//! Remove and timer, and polls the engine's output when [`Port::poll_moved`] is ready. In tunnel mode
//! the link address that the stack chose is kept: the peer must lie behind the same next hop as the
//! packet's own destination.

use core::cell::RefCell;
use core::task::Context;

use embassy_net_driver::{
    Capabilities, Checksum, ChecksumCapabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken,
};

use crate::adapter::{Buffers, Link, Medium, Port, Wire};
use crate::crypto::Cipher;
use crate::engine::Engine;
use crate::reassembly::Reassembly;
use crate::time::Instant;

/// A driver whose stack sees clear packets and whose wire sees what policy allows.
pub struct SecureDriver<'a, 'r, D: Driver, C: Cipher> {
    inner: D,
    path: Path<'a, 'r, C>,
    transmit: &'a mut [u8],
    reassembly: &'a mut Reassembly,
}

/// What a frame needs on its way, whichever the direction.
struct Path<'a, 'r, C: Cipher> {
    engine: &'a RefCell<Engine<'r, C>>,
    port: &'a Port,
    now: fn() -> Instant,
}

impl<C: Cipher> Clone for Path<'_, '_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Cipher> Copy for Path<'_, '_, C> {}

impl<'a, 'r, D: Driver, C: Cipher> SecureDriver<'a, 'r, D, C> {
    /// Puts ESP over `inner`. `buffers` should take the largest frame of `inner`; the MTU told to
    /// the stack is lowered to what fits otherwise.
    pub fn new<const FRAME: usize>(
        inner: D,
        engine: &'a RefCell<Engine<'r, C>>,
        port: &'a Port,
        buffers: &'a mut Buffers<FRAME>,
        now: fn() -> Instant,
    ) -> Self {
        Self {
            inner,
            path: Path { engine, port, now },
            transmit: &mut buffers.transmit,
            reassembly: &mut buffers.reassembly,
        }
    }

    fn link(&self) -> Link {
        Link { medium: medium(&self.inner), frame: self.inner.capabilities().max_transmission_unit }
    }

    /// Held packets whose SA is there by now leave first.
    fn drain(&mut self, link: Link, cx: &mut Context<'_>) {
        let Path { engine, port, now } = self.path;
        while port.has_due(now()) {
            let Some(token) = self.inner.transmit(cx) else { return };
            port.transmit_held(engine, now(), link, Frame(token));
        }
    }
}

impl<'r, D: Driver, C: Cipher> Driver for SecureDriver<'_, 'r, D, C> {
    type RxToken<'t>
        = SecureRx<'t, 'r, D::RxToken<'t>, C>
    where
        Self: 't;
    type TxToken<'t>
        = SecureTx<'t, 'r, D::TxToken<'t>, C>
    where
        Self: 't;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.path.port.register_stack(cx.waker());
        let (link, path) = (self.link(), self.path);
        self.drain(link, cx);
        let (source, token) = if path.port.has_error() {
            (Source::Error, self.inner.transmit(cx)?)
        } else if path.port.has_early(path.engine, (path.now)()) {
            (Source::Early, self.inner.transmit(cx)?)
        } else {
            let (frame, token) = self.inner.receive(cx)?;
            (Source::Wire(frame), token)
        };
        let rx = SecureRx { source, path, link, reassembly: self.reassembly };
        Some((rx, SecureTx { token, path, link, buffer: self.transmit }))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let (link, path) = (self.link(), self.path);
        let token = self.inner.transmit(cx)?;
        Some(SecureTx { token, path, link, buffer: self.transmit })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.inner.link_state(cx)
    }

    /// Those of the driver below with the MTU that still fits once a packet is sealed. Checksums
    /// are the stack's: a driver could finish or check only those outside of ESP.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.max_transmission_unit =
            self.link().stack_frame(self.path.engine).min(self.transmit.len());
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Both;
        checksum.udp = Checksum::Both;
        checksum.tcp = Checksum::Both;
        checksum.icmpv4 = Checksum::Both;
        checksum.icmpv6 = Checksum::Both;
        capabilities.checksum = checksum;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.inner.hardware_address()
    }
}

fn medium<D: Driver>(driver: &D) -> Medium {
    match driver.hardware_address() {
        HardwareAddress::Ethernet(_) => Medium::Ethernet,
        // What has neither Ethernet nor IP frames carries no IP packet where one is looked for.
        _ => Medium::Ip,
    }
}

enum Source<T> {
    Wire(T),
    /// An ICMP error of the adapter itself.
    Error,
    /// A frame that came before its SA.
    Early,
}

/// One received frame.
pub struct SecureRx<'t, 'r, T: RxToken, C: Cipher> {
    source: Source<T>,
    path: Path<'t, 'r, C>,
    link: Link,
    reassembly: &'t mut Reassembly,
}

impl<T: RxToken, C: Cipher> RxToken for SecureRx<'_, '_, T, C> {
    fn consume<R, F>(self, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        let Path { engine, port, now } = self.path;
        match self.source {
            Source::Error => f(&mut port.next_error().unwrap_or_default()),
            Source::Early => {
                let mut frame = port.next_early(engine, now()).unwrap_or_default();
                let up = port.receive(engine, now(), self.link, self.reassembly, &mut frame);
                f(up.unwrap_or_default())
            }
            Source::Wire(token) => token.consume(|frame| {
                let up = port.receive(engine, now(), self.link, self.reassembly, frame);
                f(up.unwrap_or_default())
            }),
        }
    }
}

/// Room for one frame of the stack.
pub struct SecureTx<'t, 'r, T: TxToken, C: Cipher> {
    token: T,
    path: Path<'t, 'r, C>,
    link: Link,
    buffer: &'t mut [u8],
}

impl<T: TxToken, C: Cipher> TxToken for SecureTx<'_, '_, T, C> {
    /// `f` gets no more octets than [`Driver::capabilities`] promise; what is larger is dropped.
    fn consume<R, F>(self, len: usize, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        let Path { engine, port, now } = self.path;
        let Some(frame) = self.buffer.get_mut(..len) else {
            port.note_oversize();
            return f(self.buffer);
        };
        let result = f(frame);
        port.transmit(engine, now(), self.link, frame, Frame(self.token));
        result
    }
}

struct Frame<T>(T);

impl<T: TxToken> Wire for Frame<T> {
    fn send(self, length: usize, fill: impl FnOnce(&mut [u8])) {
        self.0.consume(length, fill);
    }
}
