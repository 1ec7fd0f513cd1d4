//! A device that is an end of its own traffic: one port, ESP under its stack, transport mode.

use core::cell::RefCell;
use core::convert::Infallible;
use core::pin::pin;

use embassy_net::Stack;
use embassy_net_driver::Driver;
use esp_engine::adapter::{Buffers, Port};
use esp_engine::crypto::Cipher;
use esp_engine::driver::SecureDriver;
use ike_core::config::ConfigError;
use ike_core::crypto::Crypto;
use rand_core::TryCryptoRng;

use super::Board;
use crate::config::Config;
use crate::network::clients::Replies;
use crate::network::{self, Half, dns};
use crate::queue::Queues;
use crate::report::Sink;
use crate::side_by_side::{self, Wakers};
use crate::storage::Storage;
use crate::{clock, control};

/// Octets of an Ethernet header.
const LINK_HEADER: usize = 14;

/// Sockets for questions.
const QUESTIONS: usize = dns::OWN_SOCKETS as usize;

/// Sockets of the stack that a host needs itself; what is beyond them is for applications.
pub const NETWORK_SOCKETS: usize = network::IKE_SOCKETS + QUESTIONS + 2;

/// What a host's Network needs in memory: `SAS` pairs of SAs with replay windows of `WORDS` × 32 packets, and a
/// stack of so many sockets, [`NETWORK_SOCKETS`] of them its own.
pub struct Memory<C: Cipher, const SAS: usize, const WORDS: usize, const SOCKETS: usize> {
    shared: network::Memory<C, SAS, WORDS, SOCKETS, QUESTIONS>,
    buffers: Buffers,
}

impl<C: Cipher, const SAS: usize, const WORDS: usize, const SOCKETS: usize> Memory<C, SAS, WORDS, SOCKETS> {
    /// Unused; a device that starts again takes another.
    pub const fn new() -> Self {
        Self { shared: network::Memory::new(), buffers: Buffers::new() }
    }
}

impl<C: Cipher, const SAS: usize, const WORDS: usize, const SOCKETS: usize> Default
    for Memory<C, SAS, WORDS, SOCKETS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// The half that moves packets. `app` gets the stack for its own sockets; whether it ends does not
/// matter.
pub async fn network<D, C, A, const SAS: usize, const WORDS: usize, const SOCKETS: usize>(
    config: &Config,
    driver: D,
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
    let network::Memory { engine, stack, buffers } = &mut memory.shared;
    let mtu = driver.capabilities().max_transmission_unit.saturating_sub(LINK_HEADER);
    let link = driver.hardware_address();
    let engine = RefCell::new(network::engine(config, engine, mtu));
    let port = Port::new();
    let driver = SecureDriver::new(driver, &engine, &port, &mut memory.buffers, clock::now);
    let (stack, mut runner) =
        embassy_net::new(driver, network::stack_config(config.outside().sites()), stack, seed);
    let replies = Replies::new();
    let half = Half::new(config, link, &engine, &port, queues, &replies);
    let ike = pin!(half.run(stack, buffers));
    let runner = pin!(async { runner.run().await });
    let app = pin!(super::stay(app(stack)));
    let (path, clients, their_runner) =
        (pin!(core::future::pending()), pin!(core::future::pending()), pin!(core::future::pending()));
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
    driver: D,
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
    let network = pin!(network(board.config, driver, memory, &queues, board.seed, board.wakers, app));
    super::join(network, pin!(control::run(board, &queues, key_management))).await
}
