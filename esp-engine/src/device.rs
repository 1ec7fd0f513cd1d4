//! The adapter under smoltcp itself: a [`Device`] around a device, with ESP between them.
//!
//! ```text
//! SecureDevice::new(inner: D, engine: &'a RefCell<Engine<'r, C>>, port: &'a Port,
//!                   buffers: &'a mut DeviceBuffers<FRAME>)
//! ```
//! As [`crate::driver`], but a received frame of smoltcp may not be changed: it is copied once, and
//! opened in the copy. Time is what smoltcp says it is.

use core::cell::RefCell;

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, PacketMeta, RxToken, TxToken};

use crate::adapter::{Buffers, ETHERNET_FRAME, Link, Medium, Port, Wire};
use crate::crypto::Cipher;
use crate::engine::Engine;
use crate::reassembly::Reassembly;
use crate::time::Instant;

/// Where a device adapter keeps frames. `FRAME` is the largest frame of the link in octets, header
/// included.
pub struct DeviceBuffers<const FRAME: usize = ETHERNET_FRAME> {
    both: Buffers<FRAME>,
    receive: [u8; FRAME],
}

impl<const FRAME: usize> DeviceBuffers<FRAME> {
    /// Empty.
    pub const fn new() -> Self {
        Self { both: Buffers::new(), receive: [0; FRAME] }
    }
}

impl<const FRAME: usize> Default for DeviceBuffers<FRAME> {
    fn default() -> Self {
        Self::new()
    }
}

/// A device whose stack sees clear packets and whose wire sees what policy allows.
pub struct SecureDevice<'a, 'r, D: Device, C: Cipher> {
    inner: D,
    path: Path<'a, 'r, C>,
    transmit: &'a mut [u8],
    receive: &'a mut [u8],
    reassembly: &'a mut Reassembly,
}

struct Path<'a, 'r, C: Cipher> {
    engine: &'a RefCell<Engine<'r, C>>,
    port: &'a Port,
}

impl<C: Cipher> Clone for Path<'_, '_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Cipher> Copy for Path<'_, '_, C> {}

impl<'a, 'r, D: Device, C: Cipher> SecureDevice<'a, 'r, D, C> {
    /// Puts ESP over `inner`. `buffers` should take the largest frame of `inner`; the MTU told to
    /// the stack is lowered to what fits otherwise.
    pub fn new<const FRAME: usize>(
        inner: D,
        engine: &'a RefCell<Engine<'r, C>>,
        port: &'a Port,
        buffers: &'a mut DeviceBuffers<FRAME>,
    ) -> Self {
        Self {
            inner,
            path: Path { engine, port },
            transmit: &mut buffers.both.transmit,
            receive: &mut buffers.receive,
            reassembly: &mut buffers.both.reassembly,
        }
    }

    /// The device below.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    fn link(&self) -> Link {
        let capabilities = self.inner.capabilities();
        let medium = match capabilities.medium {
            smoltcp::phy::Medium::Ethernet => Medium::Ethernet,
            // What has neither Ethernet nor IP frames carries no IP packet where one is looked for.
            _ => Medium::Ip,
        };
        Link { medium, frame: capabilities.max_transmission_unit }
    }

    /// Held packets whose SA is there by now leave first.
    fn drain(&mut self, link: Link, timestamp: smoltcp::time::Instant) {
        let (Path { engine, port }, now) = (self.path, instant(timestamp));
        while port.has_due(now) {
            let Some(token) = self.inner.transmit(timestamp) else { return };
            port.transmit_held(engine, now, link, Frame(token));
        }
    }
}

impl<'r, D: Device, C: Cipher> Device for SecureDevice<'_, 'r, D, C> {
    type RxToken<'t>
        = SecureRx<'t, 'r, D::RxToken<'t>, C>
    where
        Self: 't;
    type TxToken<'t>
        = SecureTx<'t, 'r, D::TxToken<'t>, C>
    where
        Self: 't;

    fn receive(
        &mut self,
        timestamp: smoltcp::time::Instant,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (link, path, now) = (self.link(), self.path, instant(timestamp));
        self.drain(link, timestamp);
        let (source, token) = if path.port.has_error() {
            (Source::Error, self.inner.transmit(timestamp)?)
        } else if path.port.has_early(path.engine, now) {
            (Source::Early, self.inner.transmit(timestamp)?)
        } else {
            let (frame, token) = self.inner.receive(timestamp)?;
            (Source::Wire(frame), token)
        };
        let rx = SecureRx { source, path, link, now, buffer: self.receive, reassembly: self.reassembly };
        Some((rx, SecureTx { token, path, link, now, buffer: self.transmit }))
    }

    fn transmit(&mut self, timestamp: smoltcp::time::Instant) -> Option<Self::TxToken<'_>> {
        let (link, path) = (self.link(), self.path);
        let token = self.inner.transmit(timestamp)?;
        Some(SecureTx { token, path, link, now: instant(timestamp), buffer: self.transmit })
    }

    /// Those of the device below with the MTU that still fits once a packet is sealed. Checksums
    /// are the stack's: a device could finish or check only those outside of ESP.
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.max_transmission_unit =
            self.link().stack_frame(self.path.engine).min(self.transmit.len());
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}

/// Time before smoltcp's epoch does not occur.
fn instant(timestamp: smoltcp::time::Instant) -> Instant {
    Instant::from_millis(timestamp.total_millis().unsigned_abs())
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
    now: Instant,
    buffer: &'t mut [u8],
    reassembly: &'t mut Reassembly,
}

impl<T: RxToken, C: Cipher> RxToken for SecureRx<'_, '_, T, C> {
    fn consume<R, F>(self, f: F) -> R
    where
        F: FnOnce(&[u8]) -> R,
    {
        let Path { engine, port } = self.path;
        let frame = match self.source {
            Source::Error => return f(&port.next_error().unwrap_or_default()),
            Source::Early => copy(port, &port.next_early(engine, self.now).unwrap_or_default(), self.buffer),
            Source::Wire(token) => token.consume(|frame| copy(port, frame, self.buffer)),
        };
        let Some(frame) = frame else {
            port.note_oversize();
            return f(&[]);
        };
        f(port.receive(engine, self.now, self.link, self.reassembly, frame).unwrap_or_default())
    }

    fn meta(&self) -> PacketMeta {
        match &self.source {
            Source::Wire(token) => token.meta(),
            Source::Error | Source::Early => PacketMeta::default(),
        }
    }
}

fn copy<'b>(port: &Port, frame: &[u8], buffer: &'b mut [u8]) -> Option<&'b mut [u8]> {
    let copy = buffer.get_mut(..frame.len())?;
    copy.copy_from_slice(frame);
    port.note_copy_in(frame.len());
    Some(copy)
}

/// Room for one frame of the stack.
pub struct SecureTx<'t, 'r, T: TxToken, C: Cipher> {
    token: T,
    path: Path<'t, 'r, C>,
    link: Link,
    now: Instant,
    buffer: &'t mut [u8],
}

impl<T: TxToken, C: Cipher> TxToken for SecureTx<'_, '_, T, C> {
    /// `f` gets no more octets than [`Device::capabilities`] promise; what is larger is dropped.
    fn consume<R, F>(self, len: usize, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        let Path { engine, port } = self.path;
        let Some(frame) = self.buffer.get_mut(..len) else {
            port.note_oversize();
            return f(self.buffer);
        };
        let result = f(frame);
        port.transmit(engine, self.now, self.link, frame, Frame(self.token));
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.token.set_meta(meta);
    }
}

struct Frame<T>(T);

impl<T: TxToken> Wire for Frame<T> {
    fn send(self, length: usize, fill: impl FnOnce(&mut [u8])) {
        self.0.consume(length, fill);
    }
}
