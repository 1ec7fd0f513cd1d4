//! One host: a stack of smoltcp over one of the adapters over one end of the cable, its engine and
//! its port. Memory is leaked: it lives as long as the test.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use embassy_net_driver::{Driver, RxToken as _, TxToken as _};
use esp_engine::adapter::{Buffers, Port};
use esp_engine::crypto::software::SoftwareCipher;
use esp_engine::crypto::{Algorithm, RawKey};
use esp_engine::device::{DeviceBuffers, SecureDevice};
use esp_engine::driver::SecureDriver;
use esp_engine::engine::{Engine, Settings};
use esp_engine::resources::Resources;
use esp_engine::sa::{ChildSa, Encapsulation, KeyPair, Lifetime, Mode, PeerKey, SaUpdate, Spi};
use esp_engine::selector::{AddressRange, PortRange, TrafficSelector, TrafficSelectors};
use esp_engine::spd::{Action, Level, Policy, PolicyId, PolicySelectors};
use esp_engine::time::Instant;
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

use super::cable::{Cable, End, Medium};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Virtual time of this test.
pub fn now() -> Instant {
    Instant::from_millis(NOW.get())
}

pub fn pass(ms: u64) {
    NOW.set(NOW.get() + ms);
}

/// Which adapter lies under the stack.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Under {
    Driver,
    Device,
}

/// Either IP version.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Version {
    V4,
    V6,
}

impl Version {
    pub fn address(self, side: usize) -> IpAddr {
        match self {
            Self::V4 => IpAddr::from([192, 0, 2, side as u8 + 1]),
            Self::V6 => IpAddr::from([0xFD00, 0, 0, 0, 0, 0, 0, side as u16 + 1]),
        }
    }
}

pub type Shared = &'static RefCell<Engine<'static, SoftwareCipher>>;

pub struct Host {
    pub side: usize,
    pub engine: Shared,
    pub port: &'static Port,
    pub link: Link,
    pub iface: Interface,
    pub sockets: SocketSet<'static>,
    pub woken: Arc<Woken>,
}

/// The SPI that `side` chose.
pub fn spi(version: Version, side: usize) -> Spi {
    Spi::for_slot(version as u16, 4, 0x1234_0000 | (side as u32) << 8)
}

/// How often the stack was woken.
#[derive(Default)]
pub struct Woken(AtomicUsize);

impl Woken {
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Everything of either version is protected except address resolution of IPv6.
pub const PROTECTED: PolicyId = PolicyId(1);

impl Host {
    /// A host on `side` of `cable` without any SA.
    pub fn new(cable: &Cable, side: usize, under: Under, medium: Medium) -> Self {
        Self::over(cable.end(side), side, under, medium, Mode::Transport)
    }

    /// As [`Self::new`], on a prepared end, in either mode.
    pub fn over(end: End, side: usize, under: Under, medium: Medium, mode: Mode) -> Self {
        let resources = Box::leak(Box::new(Resources::<SoftwareCipher, 4, 4, 2>::new()));
        let mut engine =
            Engine::new(Settings { reserve_encapsulation: false, ..Settings::default() }, resources);
        let neighbours = TrafficSelector {
            protocol: 58,
            ports: PortRange::new(135 << 8, 136 << 8 | 0xFF).unwrap(),
            addresses: AddressRange::prefix(Version::V6.address(0), 0).unwrap(),
        };
        add(&mut engine, &[neighbours], Action::Bypass);
        let protect = Action::Protect { mode, minimum: Level::Pinned };
        assert_eq!(add(&mut engine, &everything(), protect), PROTECTED);
        let engine: Shared = Box::leak(Box::new(RefCell::new(engine)));
        let port: &'static Port = Box::leak(Box::default());
        let woken = Arc::new(Woken::default());
        let address = end.address();
        let mut link = match under {
            Under::Driver => {
                let buffers = Box::leak(Box::new(Buffers::<1514>::new()));
                Link::Driver(SecureDriver::new(end, engine, port, buffers, now), woken.clone().into())
            }
            Under::Device => {
                let buffers = Box::leak(Box::new(DeviceBuffers::<1514>::new()));
                Link::Device(SecureDevice::new(end, engine, port, buffers))
            }
        };
        let hardware = match medium {
            Medium::Ethernet => HardwareAddress::Ethernet(EthernetAddress(address)),
            Medium::Ip => HardwareAddress::Ip,
        };
        let mut iface = Interface::new(Config::new(hardware), &mut link, smoltcp::time::Instant::ZERO);
        iface.update_ip_addrs(|addresses| {
            for (version, bits) in [(Version::V4, 24), (Version::V6, 64)] {
                addresses.push(IpCidr::new(version.address(side).into(), bits)).unwrap();
            }
        });
        Self { side, engine, port, link, iface, sockets: SocketSet::new(Vec::new()), woken }
    }

    /// One poll of the stack; whether a socket changed.
    pub fn poll(&mut self) -> bool {
        let at = smoltcp::time::Instant::from_millis(now().as_millis() as i64);
        self.iface.poll(at, &mut self.link, &mut self.sockets) == PollResult::SocketStateChanged
    }

    /// The frames that the stack would see in one poll.
    pub fn receive(&mut self) -> Vec<Vec<u8>> {
        let at = smoltcp::time::Instant::from_millis(now().as_millis() as i64);
        let mut frames = Vec::new();
        while let Some((rx, _)) = self.link.receive(at) {
            frames.push(phy::RxToken::consume(rx, <[u8]>::to_vec));
        }
        frames
    }

    /// Sends a frame as the stack would.
    pub fn transmit(&mut self, frame: &[u8]) {
        let at = smoltcp::time::Instant::from_millis(now().as_millis() as i64);
        let token = self.link.transmit(at).unwrap();
        phy::TxToken::consume(token, frame.len(), |room| room.copy_from_slice(frame));
    }

    /// Installs this host's half of a manual SA and tells the port.
    pub fn install(&self, version: Version) {
        self.install_pair(version, true);
    }

    /// As [`Self::install`]; `may_send` says whether the peer is known to have its half.
    pub fn install_pair(&self, version: Version, may_send: bool) {
        self.install_sa(Mode::Transport, version, version, may_send);
    }

    /// Puts UDP around this host's half (RFC 3948).
    pub fn encapsulate(&self, version: Version) {
        let update = SaUpdate {
            inbound: spi(version, self.side),
            local: version.address(self.side),
            remote: version.address(1 - self.side),
            encapsulation: Some(Encapsulation { local_port: 4500, remote_port: 4500 }),
        };
        assert!(self.engine.borrow_mut().update(update));
    }

    /// A half of an SA for packets of `version` between addresses of `outer`.
    pub fn install_sa(&self, mode: Mode, version: Version, outer: Version, may_send: bool) {
        let spi = |side: usize| spi(version, side);
        let key = |side: usize| RawKey::new(Algorithm::Aes128Gcm16, &[side as u8 + 1; 20]).unwrap();
        let (us, peer) = (self.side, 1 - self.side);
        let only = |side| {
            let mut list = TrafficSelectors::new();
            list.push(TrafficSelector::all(AddressRange::single(version.address(side)))).unwrap();
            list
        };
        let child = ChildSa {
            policy: PROTECTED,
            inbound: spi(us),
            outbound: spi(peer),
            mode,
            local: outer.address(us),
            remote: outer.address(peer),
            encapsulation: None,
            extended_sequence: true,
            local_ts: only(us),
            remote_ts: only(peer),
            lifetime: Lifetime::default(),
            level: Level::Pinned,
            peer: PeerKey([peer as u8; 32]),
            may_send,
            keys: KeyPair { inbound: key(us), outbound: key(peer) },
        };
        let child = child.build::<SoftwareCipher>().unwrap();
        self.engine.borrow_mut().install(now(), child).unwrap();
        self.port.wake();
    }
}

fn add(engine: &mut Engine<'_, SoftwareCipher>, selectors: &[TrafficSelector], action: Action) -> PolicyId {
    let list = PolicySelectors::from_slice(selectors).unwrap();
    engine.add_policy(Policy { local: list.clone(), remote: list, action }).unwrap()
}

fn everything() -> [TrafficSelector; 2] {
    [Version::V4, Version::V6]
        .map(|version| TrafficSelector::all(AddressRange::prefix(version.address(0), 0).unwrap()))
}

/// Either adapter as smoltcp sees it; the driver as embassy-net shows it to smoltcp.
pub enum Link {
    Driver(SecureDriver<'static, 'static, End, SoftwareCipher>, Waker),
    Device(SecureDevice<'static, 'static, End, SoftwareCipher>),
}

type DriverRx<'a> = <SecureDriver<'static, 'static, End, SoftwareCipher> as Driver>::RxToken<'a>;
type DriverTx<'a> = <SecureDriver<'static, 'static, End, SoftwareCipher> as Driver>::TxToken<'a>;
type DeviceRx<'a> = <SecureDevice<'static, 'static, End, SoftwareCipher> as Device>::RxToken<'a>;
type DeviceTx<'a> = <SecureDevice<'static, 'static, End, SoftwareCipher> as Device>::TxToken<'a>;

pub enum Rx<'a> {
    Driver(DriverRx<'a>),
    Device(DeviceRx<'a>),
}

pub enum Tx<'a> {
    Driver(DriverTx<'a>),
    Device(DeviceTx<'a>),
}

impl Device for Link {
    type RxToken<'a> = Rx<'a>;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, at: smoltcp::time::Instant) -> Option<(Rx<'_>, Tx<'_>)> {
        match self {
            Self::Driver(driver, waker) => {
                let (rx, tx) = driver.receive(&mut Context::from_waker(waker))?;
                Some((Rx::Driver(rx), Tx::Driver(tx)))
            }
            Self::Device(device) => {
                let (rx, tx) = device.receive(at)?;
                Some((Rx::Device(rx), Tx::Device(tx)))
            }
        }
    }

    fn transmit(&mut self, at: smoltcp::time::Instant) -> Option<Tx<'_>> {
        match self {
            Self::Driver(driver, waker) => driver.transmit(&mut Context::from_waker(waker)).map(Tx::Driver),
            Self::Device(device) => device.transmit(at).map(Tx::Device),
        }
    }

    fn capabilities(&self) -> DeviceCapabilities {
        match self {
            Self::Device(device) => device.capabilities(),
            Self::Driver(driver, _) => {
                let from = driver.capabilities();
                let convert = |checksum| match checksum {
                    embassy_net_driver::Checksum::Both => phy::Checksum::Both,
                    embassy_net_driver::Checksum::Tx => phy::Checksum::Tx,
                    embassy_net_driver::Checksum::Rx => phy::Checksum::Rx,
                    embassy_net_driver::Checksum::None => phy::Checksum::None,
                };
                let mut to = DeviceCapabilities::default();
                to.max_transmission_unit = from.max_transmission_unit;
                to.checksum.ipv4 = convert(from.checksum.ipv4);
                to.checksum.udp = convert(from.checksum.udp);
                to.checksum.tcp = convert(from.checksum.tcp);
                to.checksum.icmpv4 = convert(from.checksum.icmpv4);
                to.checksum.icmpv6 = convert(from.checksum.icmpv6);
                to.medium = match driver.hardware_address() {
                    embassy_net_driver::HardwareAddress::Ethernet(_) => phy::Medium::Ethernet,
                    _ => phy::Medium::Ip,
                };
                to
            }
        }
    }
}

impl phy::RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        match self {
            Self::Driver(token) => token.consume(|frame| f(frame)),
            Self::Device(token) => token.consume(f),
        }
    }
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        match self {
            Self::Driver(token) => token.consume(len, f),
            Self::Device(token) => token.consume(len, f),
        }
    }
}
