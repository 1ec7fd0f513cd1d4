//! A router with two ports that protects the traffic of the network behind it: tunnel mode, static
//! routes, its own ARP and Neighbor Discovery.
//!
//! ```text
//!                 applications, IKE
//!                  embassy-net stack
//!                        ⇅ packets for our own addresses (`local`)
//!  outside ⇄ driver ⇄ Forwarding, Engine ⇄ driver ⇄ inside
//! ```
//! The stack lies beside the forwarding path and has the addresses of the first port only.

pub mod forward;
mod icmp;
mod inspect;
mod link;
mod local;
mod neighbour;
mod route;
mod shared;

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll};

use embassy_futures::select::select;
use embassy_futures::yield_now;
use embassy_net::Stack;
use embassy_net_driver::{Driver, HardwareAddress, RxToken, TxToken};
use esp_engine::crypto::Cipher;
use esp_engine::reassembly::Reassembly;
use ike_core::config::ConfigError;
use ike_core::crypto::Crypto;
use rand_core::TryCryptoRng;

use self::forward::{Forwarding, INSIDE, OUTSIDE, Port, Tables, Wire};
use self::local::{Local, LocalDriver, MAX_PACKET};
use self::shared::Shared;
use super::Board;
use crate::config::{Config, Interface};
use crate::network::clients::{self, Replies};
use crate::network::{self, Half, dns};
use crate::queue::Queues;
use crate::report::Sink;
use crate::side_by_side::{self, Wakers};
use crate::storage::Storage;
use crate::{clock, control};

/// Frames of each port that are handled before everyone else has a turn.
const TURN: usize = 8;

/// Sockets for questions.
const QUESTIONS: usize = dns::ALL_SOCKETS;

/// Sockets of the stack that a gateway needs itself; what is beyond them is for applications.
pub const NETWORK_SOCKETS: usize = network::IKE_SOCKETS + QUESTIONS + 2;

/// What a gateway's Network needs in memory: `SAS` pairs of SAs with replay windows of `WORDS` × 32 packets, and a
/// stack of so many sockets, [`NETWORK_SOCKETS`] of them its own.
pub struct Memory<C: Cipher, const SAS: usize, const WORDS: usize, const SOCKETS: usize> {
    shared: network::Memory<C, SAS, WORDS, SOCKETS, QUESTIONS>,
    desk: Shared,
    local: Local,
    clients: clients::Memory,
    to_clients: Local,
    tables: Tables,
    reassembly: Reassembly,
}

impl<C: Cipher, const SAS: usize, const WORDS: usize, const SOCKETS: usize> Memory<C, SAS, WORDS, SOCKETS> {
    /// Unused; a device that starts again takes another.
    pub const fn new() -> Self {
        Self {
            shared: network::Memory::new(),
            desk: Shared::new(),
            local: Local::new(),
            clients: clients::Memory::new(),
            to_clients: Local::new(),
            tables: Tables::new(),
            reassembly: Reassembly::new(),
        }
    }
}

impl<C: Cipher, const SAS: usize, const WORDS: usize, const SOCKETS: usize> Default
    for Memory<C, SAS, WORDS, SOCKETS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// The half that moves packets. The first driver is the port towards the peers. `app` gets the stack
/// for its own sockets; whether it ends does not matter.
pub async fn network<D, C, A, const SAS: usize, const WORDS: usize, const SOCKETS: usize>(
    config: &Config,
    drivers: [D; 2],
    memory: &mut Memory<C, SAS, WORDS, SOCKETS>,
    queues: &Queues<C>,
    seed: u64,
    wakers: &'static Wakers,
    app: A,
) -> Infallible
where
    D: Driver,
    C: Cipher,
    A: AsyncFnOnce(Stack<'_>),
{
    let Memory { shared, desk, local, clients, to_clients, tables, reassembly } = memory;
    let network::Memory { engine, stack, buffers } = shared;
    let (desk, local, to_clients) = (&*desk, &*local, &*to_clients);
    let [outside, inside] = &drivers;
    let link = outside.hardware_address();
    let ports = [port(outside, config, OUTSIDE), port(inside, config, INSIDE)];
    let engine = RefCell::new(network::engine(config, engine, ports[0].mtu));
    let captures = config.capture().is_some();
    let served = captures.then_some(to_clients);
    let forwarding = Forwarding::new(config, ports, &engine, desk, (local, served), tables);
    let below = LocalDriver { local, mtu: usize::from(engine.borrow().stack_mtu()) };
    let (stack, mut runner) =
        embassy_net::new(below, network::stack_config(config.outside().sites()), stack, seed);
    let below = LocalDriver { local: to_clients, mtu: MAX_PACKET };
    let (their_stack, mut their_runner) =
        embassy_net::new(below, network::stack_config(config.inner_sites()), &mut clients.stack, seed);
    let replies = Replies::new();
    let half = Half::new(config, link, &engine, desk, queues, &replies);
    let path = pin!(pass(drivers, forwarding, desk, [local, to_clients], reassembly));
    let ike = pin!(half.run(stack, buffers));
    let runner = pin!(async { runner.run().await });
    let app = pin!(super::stay(app(stack)));
    let clients = pin!(clients::serve(their_stack, &mut clients.sockets, &replies, queues));
    let their_runner = pin!(async { their_runner.run().await });
    side_by_side::run(wakers, [ike, runner, path, app, clients, their_runner]).await
}

/// Both halves in one executor.
///
/// # Errors
/// [`ConfigError`] when key management refuses its configuration at the start.
pub async fn run<
    D,
    C,
    R,
    S,
    M,
    A,
    const SAS: usize,
    const WORDS: usize,
    const SOCKETS: usize,
    const IKE_SAS: usize,
    const HANDSHAKES: usize,
    const BUFFERS: usize,
>(
    board: Board<'_, C, R, S, M>,
    drivers: [D; 2],
    memory: &mut Memory<C::Cipher, SAS, WORDS, SOCKETS>,
    key_management: &mut control::Memory<C, IKE_SAS, HANDSHAKES, SAS, BUFFERS>,
    app: A,
) -> Result<Infallible, ConfigError>
where
    D: Driver,
    C: Crypto + Copy,
    R: TryCryptoRng,
    S: Sink,
    M: Storage,
    A: AsyncFnOnce(Stack<'_>),
{
    let queues = Queues::new();
    let network = pin!(network(board.config, drivers, memory, &queues, board.seed, board.wakers, app));
    super::join(network, pin!(control::run(board, &queues, key_management))).await
}

fn port<D: Driver>(driver: &D, config: &Config, place: u8) -> Port {
    let link = match driver.hardware_address() {
        HardwareAddress::Ethernet(address) => address,
        // Without link addresses nobody can be asked for: such a port stays silent.
        _ => [0; 6],
    };
    let interface = config.interfaces.get(usize::from(place));
    Port {
        link,
        mtu: driver.capabilities().max_transmission_unit.saturating_sub(link::HEADER),
        addresses: interface.map(Interface::known).unwrap_or_default(),
    }
}

/// Moves frames between the ports for ever.
async fn pass<D: Driver, C: Cipher>(
    mut drivers: [D; 2],
    mut forwarding: Forwarding<'_, '_, C>,
    shared: &Shared,
    stacks: [&Local; 2],
    reassembly: &mut Reassembly,
) -> Infallible {
    loop {
        let busy = poll_fn(|cx| {
            shared.register(cx);
            Poll::Ready(turn(&mut drivers, &mut forwarding, stacks, reassembly, cx))
        })
        .await;
        if busy {
            yield_now().await;
        } else {
            select(woken(), clock::at(forwarding.next_timeout())).await;
        }
    }
}

/// Resolves when the task is polled again: the drivers, the stack and the rest of Network have its
/// waker.
async fn woken() {
    let mut again = false;
    poll_fn(|_| if core::mem::replace(&mut again, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Handles what has arrived; whether more may be there.
fn turn<D: Driver, C: Cipher>(
    drivers: &mut [D; 2],
    forwarding: &mut Forwarding<'_, '_, C>,
    stacks: [&Local; 2],
    reassembly: &mut Reassembly,
    cx: &mut Context<'_>,
) -> bool {
    let [local, _] = stacks;
    let now = clock::now();
    forwarding.follow();
    let mut busy = false;
    for port in [OUTSIDE, INSIDE] {
        // What comes in a burst for the stack, a message in fragments, waits in the driver.
        busy |= (0..TURN).all(|_| local.is_full() || receive(drivers, port, forwarding, reassembly, cx));
    }
    for stack in stacks {
        busy |= (0..TURN).all(|_| match stack.next(cx) {
            Some(mut packet) => {
                forwarding.send_own(now, &mut packet, &mut Idle { drivers, cx });
                true
            }
            None => false,
        });
    }
    forwarding.attend(now, &mut Idle { drivers, cx });
    busy
}

fn receive<D: Driver, C: Cipher>(
    drivers: &mut [D; 2],
    port: u8,
    forwarding: &mut Forwarding<'_, '_, C>,
    reassembly: &mut Reassembly,
    cx: &mut Context<'_>,
) -> bool {
    let [outside, inside] = drivers;
    let (this, other) = if port == OUTSIDE { (outside, inside) } else { (inside, outside) };
    let Some((frame, token)) = this.receive(cx) else { return false };
    frame.consume(|frame| {
        let mut wire = Received { port, token: Some(token), other, cx };
        forwarding.arrive(clock::now(), port, reassembly, frame, &mut wire);
    });
    true
}

/// Both ports while no frame is being received.
struct Idle<'d, 'c, 'w, D> {
    drivers: &'d mut [D; 2],
    cx: &'c mut Context<'w>,
}

impl<D: Driver> Wire for Idle<'_, '_, '_, D> {
    fn send(&mut self, port: u8, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        let driver = self.drivers.get_mut(usize::from(port));
        let Some(token) = driver.and_then(|driver| driver.transmit(self.cx)) else { return false };
        token.consume(length, fill);
        true
    }
}

/// Both ports inside the closure that receives a frame: the port that it came from lent one frame for
/// an answer.
struct Received<'d, 'c, 'w, T, D> {
    port: u8,
    token: Option<T>,
    other: &'d mut D,
    cx: &'c mut Context<'w>,
}

impl<T: TxToken, D: Driver> Wire for Received<'_, '_, '_, T, D> {
    fn send(&mut self, port: u8, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        if port == self.port {
            self.token.take().map(|token| token.consume(length, fill)).is_some()
        } else {
            self.other.transmit(self.cx).map(|token| token.consume(length, fill)).is_some()
        }
    }
}
