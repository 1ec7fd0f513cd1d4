//! A cable between two ends that are drivers of embassy-net and devices of smoltcp alike. Every
//! frame that enters it is searched for [`MARKER`], which only plain text carries.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use smoltcp::phy::{Device, DeviceCapabilities};

/// Carried by what policy protects, and by nothing else.
pub const MARKER: &[u8] = b"only-plain-text-says-this";

/// What lies in front of the packets.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Medium {
    Ethernet,
    Ip,
}

impl Medium {
    pub fn header(self) -> usize {
        if self == Self::Ethernet { 14 } else { 0 }
    }
}

/// What happens to frames on their way.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Route {
    Direct,
    /// IP packets are cut into fragments of at most this many octets of payload.
    Fragmenting(usize),
}

pub struct Cable {
    queues: Rc<RefCell<[VecDeque<Vec<u8>>; 2]>>,
    seen: Rc<RefCell<Vec<Vec<u8>>>>,
    medium: Medium,
    mtu: usize,
}

/// One end; `side` is 0 or 1.
pub struct End {
    queues: Rc<RefCell<[VecDeque<Vec<u8>>; 2]>>,
    seen: Rc<RefCell<Vec<Vec<u8>>>>,
    medium: Medium,
    mtu: usize,
    side: usize,
    pub route: Route,
    /// No frame can be sent for now.
    pub full: Rc<Cell<bool>>,
}

impl Cable {
    /// `mtu`: octets of an IP packet.
    pub fn new(medium: Medium, mtu: usize) -> Self {
        Self { queues: Rc::default(), seen: Rc::default(), medium, mtu }
    }

    pub fn end(&self, side: usize) -> End {
        End {
            queues: self.queues.clone(),
            seen: self.seen.clone(),
            medium: self.medium,
            mtu: self.mtu,
            side,
            route: Route::Direct,
            full: Rc::default(),
        }
    }

    /// An attacker's frame towards `side`.
    pub fn inject(&self, side: usize, frame: Vec<u8>) {
        self.queues.borrow_mut()[side].push_back(frame);
    }

    /// Takes what was seen on the cable since the last time.
    pub fn take_seen(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.seen.borrow_mut())
    }

    /// IP protocol (behind Ethernet, without IPv6 extension headers) of every frame seen.
    pub fn take_protocols(&self) -> Vec<Option<u8>> {
        self.take_seen().iter().map(|frame| protocol(&frame[self.medium.header()..])).collect()
    }

    /// Loses everything that is under way.
    pub fn clear(&self) {
        self.queues.borrow_mut().iter_mut().for_each(VecDeque::clear);
    }
}

fn protocol(packet: &[u8]) -> Option<u8> {
    match packet[0] >> 4 {
        4 => Some(packet[9]),
        6 => Some(packet[6]),
        _ => None,
    }
}

impl End {
    fn send(&self, frame: Vec<u8>) {
        assert!(!frame.windows(MARKER.len()).any(|w| w == MARKER), "clear text on the cable: {frame:02x?}");
        assert!(frame.len() <= self.mtu + self.medium.header(), "{} octets do not fit", frame.len());
        self.seen.borrow_mut().push(frame.clone());
        let frames = match self.route {
            Route::Direct => vec![frame],
            Route::Fragmenting(payload) => super::fragments::cut(self.medium.header(), &frame, payload),
        };
        self.queues.borrow_mut()[1 - self.side].extend(frames);
    }

    fn next(&self) -> Option<Vec<u8>> {
        self.queues.borrow_mut()[self.side].pop_front()
    }

    fn room(&self) -> Option<Room<'_>> {
        (!self.full.get()).then_some(Room(self))
    }

    pub fn address(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.side as u8 + 1]
    }
}

pub struct Received(Vec<u8>);

pub struct Room<'e>(&'e End);

impl smoltcp::phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl smoltcp::phy::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0xEE; len];
        let result = f(&mut frame);
        self.0.send(frame);
        result
    }
}

impl embassy_net_driver::RxToken for Received {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl embassy_net_driver::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        smoltcp::phy::TxToken::consume(self, len, f)
    }
}

impl Device for End {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Room<'_>)> {
        let room = self.room()?;
        self.next().map(|frame| (Received(frame), room))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Room<'_>> {
        self.room()
    }

    /// Claims to do every checksum, which it does not.
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = self.mtu + self.medium.header();
        capabilities.checksum = smoltcp::phy::ChecksumCapabilities::ignored();
        capabilities.medium = match self.medium {
            Medium::Ethernet => smoltcp::phy::Medium::Ethernet,
            Medium::Ip => smoltcp::phy::Medium::Ip,
        };
        capabilities
    }
}

impl Driver for End {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Received, Room<'_>)> {
        let room = self.room()?;
        self.next().map(|frame| (Received(frame), room))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Room<'_>> {
        self.room()
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    /// Claims to do every checksum, which it does not.
    fn capabilities(&self) -> Capabilities {
        use embassy_net_driver::Checksum::None;
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.mtu + self.medium.header();
        capabilities.checksum.ipv4 = None;
        capabilities.checksum.udp = None;
        capabilities.checksum.tcp = None;
        capabilities.checksum.icmpv4 = None;
        capabilities.checksum.icmpv6 = None;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        match self.medium {
            Medium::Ethernet => HardwareAddress::Ethernet(self.address()),
            Medium::Ip => HardwareAddress::Ip,
        }
    }
}
