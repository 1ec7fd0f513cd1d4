//! `buttons run`: a Linux machine as a device with one or two ports, for as long as the process lives.

use std::cell::Cell;
use std::os::unix::net::UnixListener;
use std::rc::Rc;

use embassy_futures::select::{Either, select};
use embassy_net::Stack;
use embassy_time::{Duration, Timer};
use esp_engine::crypto::software::SoftwareCipher;
use firmware::config::Role;
use firmware::control;
use firmware::management::{Management, Request, Response};
use firmware::report::Event;
use firmware::role::{Board, gateway, host};
use firmware::side_by_side::Wakers;
use getrandom::SysRng;
use ike_core::crypto::software::Software;
use ike_core::discovery::UnixTime;
use rand_core::TryRng;

use crate::config::{Device, PortName};
use crate::hook::Hook;
use crate::memory::room;
use crate::port::interface::Unusable;
use crate::port::{AnyWire, Losses, Port, packet, tap};
use crate::signal::Termination;
use crate::{executor, manage, state, time};

/// Pairs of SAs; a Linux machine has the room.
const SAS: usize = 64;
/// Words of 32 packets in a replay window.
const WORDS: usize = 8;
/// Sockets of the stack that applications may have.
const SPARE: usize = 2;
const IKE_SAS: usize = 32;
const HANDSHAKES: usize = 8;
const BUFFERS: usize = 32;
/// How long peers have to confirm that they forget us.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often they are looked after meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Why a device does not run.
#[derive(Debug)]
pub enum Stopped {
    /// A port cannot be used.
    Port(Unusable),
    /// There is nothing to run on, or nothing that could ever happen.
    NoPort,
    /// Nobody could ask it.
    Socket(std::path::PathBuf, std::io::Error),
    /// What is to be remembered has no place.
    State(String),
    /// Key management refuses the configuration.
    KeyManagement(ike_core::config::ConfigError),
    /// The system gives no random numbers.
    Random,
    /// Signals cannot be waited for.
    Signals(std::io::Error),
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Port(unusable) => write!(f, "{unusable}"),
            Self::NoPort => f.write_str("no port: write at least one [[interface]]"),
            Self::Socket(path, error) => {
                write!(f, "{}: {error}: name another place with socket = \"FILE\"", path.display())
            }
            Self::State(reason) => {
                write!(f, "{reason}; with state = \"none\" a device remembers nothing")
            }
            Self::KeyManagement(error) => write!(f, "key management refuses the configuration: {error:?}"),
            Self::Random => f.write_str("the system gives no random numbers"),
            Self::Signals(error) => write!(f, "signals cannot be waited for: {error}"),
        }
    }
}

impl std::error::Error for Stopped {}

/// Runs `device` until SIGTERM or SIGINT, on which it deletes its SAs with its peers. `app` gets its
/// stack, to serve something of its own; `hear` is told what happens, `warn` what the operator could
/// do better.
///
/// # Errors
/// [`Stopped`].
pub fn run(
    device: &Device,
    app: impl AsyncFnOnce(Stack<'_>),
    hear: impl Fn(&Event),
    warn: impl Fn(&str),
) -> Result<(), Stopped> {
    time::make_real();
    let termination = Termination::hold_back().map_err(Stopped::Signals)?;
    let ports = device.ports.iter().map(open).collect::<Result<Vec<_>, _>>().map_err(Stopped::Port)?;
    let listener = listen(&device.socket).map_err(|error| Stopped::Socket(device.socket.clone(), error))?;
    let storage = device.state.as_deref().map(state::open).transpose().map_err(Stopped::State)?;
    if storage.is_none() {
        warn("no storage: what is learnt is forgotten at the next start");
    }
    let management = Management::new();
    let hook = Hook::new(device.hook.clone());
    let mut key_management = room(control::Memory::<Software, IKE_SAS, HANDSHAKES, SAS, BUFFERS>::new);
    let board = Board {
        config: &device.config,
        crypto: Software,
        rng: SysRng,
        sink: |_now, event: &Event| {
            hook.hear(event);
            hear(event);
        },
        storage,
        management: &management,
        time_of_day: time_of_day(),
        seed: SysRng.try_next_u64().map_err(|_| Stopped::Random)?,
        wakers: Box::leak(Box::new(Wakers::new())),
    };
    let losses = device.ports.iter().zip(&ports).map(|(name, port)| (name.name(), port.losses())).collect();
    let tasks: Vec<executor::Task<'_>> = vec![
        Box::pin(manage::serve(&listener, &management, &device.policy_lines)),
        Box::pin(give_hints(losses, &warn)),
        Box::pin(hook.serve(&warn)),
    ];
    let end = async {
        termination.requested().await;
        say_goodbye(&management).await;
    };
    // The configuration was checked: a host has one port, a gateway two.
    let mut ports = ports.into_iter();
    let ran = match (device.config.role, ports.next(), ports.next()) {
        (Role::Gateway, Some(outside), Some(inside)) => {
            let mut memory = room(
                gateway::Memory::<SoftwareCipher, SAS, WORDS, { gateway::NETWORK_SOCKETS + SPARE }>::new,
            );
            let drivers = [outside, inside];
            let life = room(|| gateway::run(board, drivers, &mut memory, &mut key_management, app));
            executor::run(select(Box::into_pin(life), end), tasks)
        }
        (_, Some(port), _) => {
            let mut memory =
                room(host::Memory::<SoftwareCipher, SAS, WORDS, { host::NETWORK_SOCKETS + SPARE }>::new);
            let life = room(|| host::run(board, port, &mut memory, &mut key_management, app));
            executor::run(select(Box::into_pin(life), end), tasks)
        }
        (_, None, _) => Err(executor::Stalled),
    };
    match ran {
        Ok(Either::First(Err(error))) => Err(Stopped::KeyManagement(error)),
        Ok(Either::First(Ok(never))) => match never {},
        Ok(Either::Second(())) => Ok(()),
        Err(executor::Stalled) => Err(Stopped::NoPort),
    }
}

/// By this machine's clock.
fn time_of_day() -> Option<UnixTime> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(UnixTime(since.as_secs()))
}

/// Has every SA deleted, and waits until the peers have confirmed it or had their time.
async fn say_goodbye(management: &Management) {
    management.ask(Request::Shutdown).await;
    let all_gone = async {
        loop {
            match management.ask(Request::Status).await {
                Response::Status(status) if !status.ike_sas.is_empty() => Timer::after(LOOK).await,
                _ => return,
            }
        }
    };
    select(all_gone, Timer::after(FAREWELL)).await;
}

fn open(name: &PortName) -> Result<Port<AnyWire>, Unusable> {
    match name {
        PortName::Packet(name) => packet::open(name).map(|port| port.map(AnyWire::Packet)),
        PortName::Tap(name) => tap::open(name).map(|port| port.map(AnyWire::Tap)),
    }
}

/// Says what to do about frames that are lost, each time that more of them were.
async fn give_hints(ports: Vec<(&str, Rc<Cell<Losses>>)>, warn: impl Fn(&str)) {
    let mut told = vec![0; ports.len()];
    loop {
        Timer::after(Duration::from_secs(10)).await;
        for ((name, losses), told) in ports.iter().zip(&mut told) {
            let losses = losses.get();
            if losses.oversized > std::mem::replace(told, losses.oversized) {
                losses.hint(name).iter().for_each(|hint| warn(hint));
            }
        }
    }
}

/// Listens at `path`, in place of a device that is no longer there.
fn listen(path: &std::path::Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(std::io::Error::other("a device already runs here"));
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
