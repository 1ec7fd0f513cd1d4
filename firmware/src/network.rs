//! The half that moves packets: it owns the engine, the stack and every socket, and never works longer
//! than one packet at a time.
//!
//! This module is what both roles share: the two IKE ports (RFC 7296 §2), the commands of Control in
//! their order, and what the engine has to say. How frames reach the engine is the role's affair.
//! Nothing here waits for Control.

pub use counters::{Carried, Counters, PathCounters};

pub(crate) mod clients;
mod counters;
pub mod dns;
mod sockets;

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::task::{Context, Poll};
use core::time::Duration;

use embassy_futures::join::{join_array, join5};
use embassy_futures::select::{Either4, select4};
use embassy_futures::yield_now;
use embassy_net::udp::{UdpMetadata, UdpSocket};
use embassy_net::{
    ConfigV4, ConfigV6, IpAddress, IpEndpoint, Ipv4Cidr, Ipv6Cidr, Stack, StackResources, StaticConfigV4,
    StaticConfigV6,
};
use embassy_net_driver::HardwareAddress;
use esp_engine::adapter;
use esp_engine::crypto::Cipher;
use esp_engine::encapsulation::KEEPALIVE;
use esp_engine::engine::{Engine, Output, Settings};
use esp_engine::resources::Resources;
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use heapless::Vec;
use ike_core::discovery::output::Socket;
use ike_core::output::Path;

use crate::clock;
use crate::config::policies::MAX_SPD;
use crate::config::{Config, Outside, Site};
use crate::management::MAX_LISTED;
use crate::queue::{Command, Datagram, MAX_DATAGRAM, Notice, Queues, Report, Upward};
use clients::Replies;
use dns::{Common, Orders, PUBLISHING, Place, TIME};
use sockets::{IKE_PORT, NAT_PORT, Sockets};

/// A NAT that saw ESP within so many ms needs no keepalive: the next one comes after 20 s, and no NAT
/// forgets within 25 (RFC 3948 §4).
const QUIET: u64 = 5_000;

/// Sockets that IKE needs of the stack's.
pub const IKE_SOCKETS: usize = 2;

/// What Network needs in memory, apart from what the role adds: `SAS` pairs of SAs with replay windows
/// of `WORDS` × 32 packets, and `SOCKETS` sockets, [`IKE_SOCKETS`], one for time servers, one for
/// updates and `QUESTIONS` of them its own.
pub(crate) struct Memory<
    C: Cipher,
    const SAS: usize,
    const WORDS: usize,
    const SOCKETS: usize,
    const QUESTIONS: usize,
> {
    pub(crate) engine: Resources<C, MAX_SPD, SAS, WORDS>,
    pub(crate) stack: StackResources<SOCKETS>,
    pub(crate) buffers: Buffers<QUESTIONS>,
}

/// Buffers of Network's own sockets.
pub(crate) struct Buffers<const QUESTIONS: usize> {
    ike: Sockets,
    questions: [dns::Memory; QUESTIONS],
    time: dns::TimeMemory,
    update: dns::UpdateMemory,
}

impl<C: Cipher, const SAS: usize, const WORDS: usize, const SOCKETS: usize, const QUESTIONS: usize>
    Memory<C, SAS, WORDS, SOCKETS, QUESTIONS>
{
    pub(crate) const fn new() -> Self {
        const { assert!(SOCKETS > IKE_SOCKETS + QUESTIONS + 1, "the stack has too few sockets for Network") };
        Self {
            engine: Resources::new(),
            stack: StackResources::new(),
            buffers: Buffers {
                ike: Sockets::new(),
                questions: [const { dns::Memory::new() }; QUESTIONS],
                time: dns::Memory::new(),
                update: dns::Memory::new(),
            },
        }
    }
}

/// The engine for a configuration, over a link that takes IP packets of `mtu` octets.
pub(crate) fn engine<'r, C: Cipher, const SAS: usize, const WORDS: usize>(
    config: &Config,
    resources: &'r mut Resources<C, MAX_SPD, SAS, WORDS>,
    mtu: usize,
) -> Engine<'r, C> {
    let silence = Duration::from_secs(u64::from(config.timing.liveness_s));
    let mut settings =
        Settings { mtu: u16::try_from(mtu).unwrap_or(u16::MAX), silence, ..Settings::default() };
    let offered = config.suites.iter().map(|suite| suite.translate().esp);
    let widest = offered.max_by_key(|algorithm| algorithm.iv_length() + algorithm.block_length());
    settings.reserve_algorithm = widest.unwrap_or(settings.reserve_algorithm);
    let mut engine = Engine::new(settings, resources);
    for policy in config.spd() {
        // `MAX_SPD` places, and no more policies than that.
        let added = engine.add_policy(policy);
        debug_assert!(added.is_ok());
    }
    follow(config, &config.outside(), &mut engine);
    engine
}

/// Lets our sides of the policies follow where the device is.
fn follow<C: Cipher>(config: &Config, outside: &Outside, engine: &mut Engine<'_, C>) {
    for (policy, local) in (0..).map(PolicyId).zip(config.local_sides(outside)) {
        engine.set_local(policy, local);
    }
}

/// A stack with these addresses and the default routes from there.
pub(crate) fn stack_config(sites: impl Iterator<Item = Site>) -> embassy_net::Config {
    let mut out = embassy_net::Config::default();
    for Site { address: own, gateway } in sites {
        match own.address {
            IpAddr::V4(address) => {
                let gateway =
                    gateway.and_then(|via| if let IpAddr::V4(via) = via { Some(via) } else { None });
                let address = Ipv4Cidr::new(address, own.length);
                out.ipv4 = ConfigV4::Static(StaticConfigV4 { address, gateway, dns_servers: Vec::new() });
            }
            IpAddr::V6(address) => {
                let gateway =
                    gateway.and_then(|via| if let IpAddr::V6(via) = via { Some(via) } else { None });
                let address = Ipv6Cidr::new(address, own.length);
                out.ipv6 = ConfigV6::Static(StaticConfigV6 { address, gateway, dns_servers: Vec::new() });
            }
        }
    }
    out
}

/// How frames reach the engine.
pub(crate) trait DataPath {
    /// SAs changed: packets that wait may be tried again.
    fn wake(&self);
    /// Ready once packets went through the engine since the last time.
    fn poll_moved(&self, cx: &mut Context<'_>) -> Poll<()>;
    /// The device is elsewhere, and what waits or comes from where it was goes no further.
    fn readdress(&self, outside: &Outside);
    /// What it did.
    fn counters(&self) -> PathCounters;
}

impl DataPath for adapter::Port {
    fn wake(&self) {
        Self::wake(self);
    }

    fn poll_moved(&self, cx: &mut Context<'_>) -> Poll<()> {
        Self::poll_moved(self, cx)
    }

    fn readdress(&self, outside: &Outside) {
        self.set_sources(outside.addresses().map(|own| own.address));
    }

    fn counters(&self) -> PathCounters {
        PathCounters::Host(Self::counters(self))
    }
}

/// The part of Network that both roles share.
pub(crate) struct Half<'a, 'r, C: Cipher, P, const QUESTIONS: usize> {
    config: &'a Config,
    /// The Ethernet address of the outer port.
    link: HardwareAddress,
    engine: &'a RefCell<Engine<'r, C>>,
    path: &'a P,
    queues: &'a Queues<C>,
    up: Upward<'a, C>,
    orders: Orders<[Place; QUESTIONS]>,
    replies: &'a Replies,
    unsent: Cell<u32>,
    oversize: Cell<u32>,
}

impl<'a, 'r, C: Cipher, P: DataPath, const QUESTIONS: usize> Half<'a, 'r, C, P, QUESTIONS> {
    pub(crate) const fn new(
        config: &'a Config,
        link: HardwareAddress,
        engine: &'a RefCell<Engine<'r, C>>,
        path: &'a P,
        queues: &'a Queues<C>,
        replies: &'a Replies,
    ) -> Self {
        Self {
            config,
            link,
            engine,
            replies,
            path,
            queues,
            up: Upward::new(queues),
            orders: Orders::new(),
            unsent: Cell::new(0),
            oversize: Cell::new(0),
        }
    }

    /// Serves Control for ever.
    pub(crate) async fn run(&self, stack: Stack<'_>, buffers: &mut Buffers<QUESTIONS>) -> Infallible {
        let Buffers { ike, questions, time, update } = buffers;
        let [ike, nat] = [ike.ike.open(stack, IKE_PORT), ike.nat.open(stack, NAT_PORT)];
        let common = Common { orders: &self.orders, stack, queues: self.queues };
        let mut number = 0;
        let questions = questions.each_mut().map(|memory| {
            let socket = Socket(number);
            number += 1;
            common.asking(socket, memory).serve()
        });
        let others = [common.asking(TIME, time).serve(), common.asking(PUBLISHING, update).serve()];
        let (never, _, _, _, _) = join5(
            self.attend(stack, &ike, &nat),
            self.receive(&ike, IKE_PORT),
            self.receive(&nat, NAT_PORT),
            join_array(questions),
            join_array(others),
        )
        .await;
        never
    }

    const fn orders(&self) -> &Orders<[Place]> {
        &self.orders
    }

    /// Carries out commands and passes on what the engine has to say.
    async fn attend(&self, stack: Stack<'_>, ike: &UdpSocket<'_>, nat: &UdpSocket<'_>) -> Infallible {
        if let HardwareAddress::Ethernet(link) = self.link
            && self.config.has_dhcp()
        {
            self.queues.report(Report::Link(link)).await;
        }
        loop {
            let wake = self.pass_on();
            let moved = poll_fn(|cx| self.path.poll_moved(cx));
            let room = async {
                if !self.up.is_behind() {
                    core::future::pending::<()>().await;
                }
                self.up.drained().await;
            };
            match select4(self.queues.next_command(), moved, clock::at(wake), room).await {
                Either4::First(Command::Transmit { path, datagram }) => {
                    let socket = if path.local.port() == NAT_PORT { nat } else { ike };
                    self.transmit(socket, path, &datagram).await;
                }
                Either4::First(Command::Query { socket, question }) => {
                    self.orders().ask(socket, question).await
                }
                Either4::First(Command::Outside(outside)) => self.readdress(stack, &outside),
                Either4::First(command) => self.obey(clock::now(), command),
                Either4::Third(()) => {
                    self.engine.borrow_mut().handle_timeout(clock::now());
                    self.path.wake();
                }
                Either4::Second(()) | Either4::Fourth(()) => {}
            }
        }
    }

    fn obey(&self, now: Instant, command: Command<C>) {
        match command {
            Command::Install(child) => {
                let spi = child.inbound;
                if let Err(reason) = self.engine.borrow_mut().install(now, child) {
                    self.up.notify(Notice::NotInstalled { spi, reason });
                }
            }
            Command::Retire(spi) => drop(self.engine.borrow_mut().retire(spi)),
            Command::Remove(spi) => drop(self.engine.borrow_mut().remove(spi)),
            Command::Update(update) => drop(self.engine.borrow_mut().update(update)),
            Command::Policy { policy, remote } => drop(self.engine.borrow_mut().set_remote(policy, remote)),
            Command::LetClear { remote, until } => self.engine.borrow_mut().let_clear(remote, until),
            Command::CloseQuery(socket) => self.orders().close(socket),
            Command::Reply { client, octets, more } => {
                if !self.replies.give(client, octets, more) {
                    bump(&self.unsent);
                }
                return;
            }
            Command::Count => return self.up.offer(Report::Counted(self.count())),
            Command::Transmit { .. } | Command::Query { .. } | Command::Outside(_) => return,
        }
        self.path.wake();
    }

    /// Puts the device elsewhere, all at once: no packet meets one part of it without the others.
    fn readdress(&self, stack: Stack<'_>, outside: &Outside) {
        follow(self.config, outside, &mut self.engine.borrow_mut());
        let embassy_net::Config { ipv4, ipv6, .. } = stack_config(outside.sites());
        stack.set_config_v4(ipv4);
        stack.set_config_v6(ipv6);
        self.path.readdress(outside);
        self.path.wake();
    }

    /// Hands a datagram to the stack. One that finds the socket full, behind the fragments of one message,
    /// lets the stack have a turn; then it is dropped, for IKE repeats it, and an SA that waits behind it
    /// must not.
    async fn transmit(&self, socket: &UdpSocket<'_>, path: Path, datagram: &[u8]) {
        let quiet = Instant::from_millis(clock::now().as_millis().saturating_sub(QUIET));
        if *datagram == [KEEPALIVE] && self.engine.borrow().has_sent_since(quiet, path.remote) {
            return;
        }
        let mut to = UdpMetadata::from(endpoint(path.remote));
        to.local_address = Some(IpAddress::from(path.local.ip()));
        let has_taken = || {
            let mut context = Context::from_waker(core::task::Waker::noop());
            matches!(socket.poll_send_to(datagram, to, &mut context), Poll::Ready(Ok(())))
        };
        if has_taken() {
            return;
        }
        yield_now().await;
        if !has_taken() {
            bump(&self.unsent);
        }
    }

    async fn receive(&self, socket: &UdpSocket<'_>, port: u16) -> Infallible {
        loop {
            // While Control is busy the socket keeps what comes.
            self.up.room().await;
            let mut datagram = Datagram::new();
            let _ = datagram.resize(MAX_DATAGRAM, 0);
            match socket.recv_from(&mut datagram).await {
                Ok((length, from)) => {
                    datagram.truncate(length);
                    let Some(local) = from.local_address else { continue };
                    let local = SocketAddr::new(local.into(), port);
                    let remote = SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port);
                    self.up.offer(Report::Datagram { path: Path { interface: 0, local, remote }, datagram });
                }
                Err(embassy_net::udp::RecvError::Truncated) => bump(&self.oversize),
            }
        }
    }

    /// Tells Control what the engine has to say; returns when the engine wants to be called.
    fn pass_on(&self) -> Option<Instant> {
        loop {
            let output = self.engine.borrow_mut().poll_output();
            match output {
                Output::Acquire { policy, packet } => self.up.notify(Notice::Acquire { policy, packet }),
                Output::Sa(report) => {
                    // The first packet from a peer also says that we may send.
                    self.path.wake();
                    self.up.notify(Notice::Sa(report));
                }
                Output::Timeout(moment) => return moment,
            }
        }
    }

    fn count(&self) -> Counters {
        let engine = self.engine.borrow();
        let carried = engine.sas().take(MAX_LISTED);
        Counters {
            engine: engine.counters().clone(),
            path: self.path.counters(),
            sas: carried
                .map(|sa| Carried { spi: sa.inbound, inbound: sa.received, outbound: sa.sent })
                .collect(),
            overflow: self.up.overflow(),
            unsent: self.unsent.get(),
            oversize: self.oversize.get(),
        }
    }
}

fn endpoint(address: SocketAddr) -> IpEndpoint {
    IpEndpoint { addr: IpAddress::from(address.ip()), port: address.port() }
}

fn bump(count: &Cell<u32>) {
    count.set(count.get().saturating_add(1));
}
