//! A device's configuration in TOML, as operators write it, made into [`firmware::config::Config`].
//! Whatever is wrong is told with the file, the line and what to write instead. Keys lie in files of
//! their own, named relative to this one.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use firmware::config::check::{Entry, Fault as Reason, Refused};
use firmware::config::{self, Config, PrivateKey};

use crate::key;

mod anchor;
mod file;
mod names;
mod peer;
mod policy;
mod publication;
pub(crate) mod value;

use file::{ClockTable, DnsTable, PolicyTable, PublishTable, Written};
use value::Value;

/// Where `status` and `why` find the device unless the file says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/buttons.sock";
/// The port of NTP.
const NTP_PORT: u16 = 123;

/// A device that can be run.
#[derive(Debug)]
pub struct Device {
    /// What firmware takes.
    pub config: Config,
    /// What each of its interfaces stands on.
    pub ports: Vec<PortName>,
    /// What is run when a captured name gets protection, or loses it.
    pub hook: Option<PathBuf>,
    /// The line that each policy begins in.
    pub policy_lines: Vec<u32>,
    /// Where it answers `status` and `why`.
    pub socket: PathBuf,
    /// What it remembers across restarts; `None`: nothing.
    pub state: Option<PathBuf>,
}

/// What an interface of the device stands on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortName {
    /// An interface of this machine, opened raw.
    Packet(String),
    /// A TAP device.
    Tap(String),
}

impl PortName {
    /// The interface's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Packet(name) | Self::Tap(name) => name,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadConfig {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, and what stands there.
    pub line: Option<(usize, String)>,
    /// What is wrong with it and what to write instead.
    pub advice: String,
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.line {
            Some((number, text)) => write!(f, "{file}:{number}: {}\n  {number} | {text}", self.advice),
            None => write!(f, "{file}: {}", self.advice),
        }
    }
}

impl std::error::Error for BadConfig {}

/// A fault and the octets of the file that it is about.
type Fault = (Option<Range<usize>>, String);

/// Reads and checks a configuration.
///
/// # Errors
/// [`BadConfig`].
pub fn read(path: &Path) -> Result<Device, BadConfig> {
    let text = fs::read_to_string(path).map_err(|error| BadConfig {
        file: path.into(),
        line: None,
        advice: format!("cannot be read: {error}"),
    })?;
    parse(&text, path).map_err(|(span, advice)| {
        let line = span.map(|span| {
            let number = line_at(&text, span.start);
            (number, text.lines().nth(number - 1).unwrap_or_default().trim().to_owned())
        });
        BadConfig { file: path.into(), line, advice }
    })
}

/// An address with a prefix length, as operators write it.
///
/// # Errors
/// What to write instead.
pub fn prefix(text: &str) -> Result<config::Prefix, String> {
    config::Prefix::from_text(text).ok_or_else(|| format!("{text} is not {}", config::Prefix::WHAT))
}

/// The line, from 1, that an octet stands in.
fn line_at(text: &str, octet: usize) -> usize {
    text.get(..octet).unwrap_or(text).matches('\n').count() + 1
}

fn parse(text: &str, path: &Path) -> Result<Device, Fault> {
    let written: Written =
        toml::from_str(text).map_err(|error| (error.span(), error.message().trim().to_owned()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let config = build(&written, folder)?;
    config.check().map_err(|refused| place(&written, refused))?;
    let ports = written.interface.iter().map(|i| port_name(i.get_ref().device.get_ref())).collect();
    let socket = written.socket.as_ref().map_or(DEFAULT_SOCKET.into(), |name| folder.join(name.get_ref()));
    let state = match &written.state {
        None => Some(path.with_extension("state")),
        Some(word) if word.get_ref() == "none" => None,
        Some(name) => Some(folder.join(name.get_ref())),
    };
    let remembers = written.peer.iter().find_map(|peer| peer.get_ref().first_use.as_ref());
    if let (None, Some(first_use)) = (&state, remembers) {
        let advice = "nothing is remembered without storage: write state = \"FILE\", or btns = true here";
        return Err((Some(first_use.span()), advice.to_owned()));
    }
    let line = |table: &toml::Spanned<PolicyTable>| {
        u32::try_from(line_at(text, table.span().start)).unwrap_or(u32::MAX)
    };
    let hook = written.dns.as_ref().and_then(|dns| dns.get_ref().capture.as_ref()?.hook.as_ref());
    let hook = hook.map(|program| find_hook(program, folder)).transpose()?;
    let policy_lines = written.policy.iter().map(line).collect();
    Ok(Device { config, ports, hook, policy_lines, socket, state })
}

/// A program that can be run.
fn find_hook(program: &toml::Spanned<String>, folder: &Path) -> Result<PathBuf, Fault> {
    use std::os::unix::fs::PermissionsExt;
    let place = folder.join(program.get_ref());
    let is_program =
        fs::metadata(&place).is_ok_and(|of| of.is_file() && of.permissions().mode() & 0o111 != 0);
    let advice = || format!("{}: no program: name a file that may be executed", place.display());
    if is_program { Ok(place) } else { Err((Some(program.span()), advice())) }
}

/// The line that an entry refused by firmware stands in.
fn place(written: &Written, refused: Refused) -> Fault {
    let span = match refused.entry {
        Entry::Identity => Some(written.identity.span()),
        Entry::Key => written.key.as_ref().map(|key| key.span()),
        Entry::Interfaces => Some(written.role.span()),
        Entry::Interface(n) => written.interface.get(usize::from(n)).map(|i| i.get_ref().addresses.span()),
        Entry::Route(n) => written.route.get(usize::from(n)).map(|r| r.get_ref().to.span()),
        Entry::Peer(n) => written.peer.get(usize::from(n)).map(|p| p.get_ref().name.span()),
        Entry::Policy(n) => written.policy.get(usize::from(n)).map(|p| p.get_ref().name.span()),
        Entry::Publication => publishing(written).map(toml::Spanned::span),
        Entry::Clock => written.clock.as_ref().map(toml::Spanned::span),
        Entry::Resolver => written.dns.as_ref().map(toml::Spanned::span),
        Entry::Suites => written.suites.as_ref().and_then(|suites| suites.first()).map(toml::Spanned::span),
        Entry::Timing => written.timing.as_ref().map(|timing| match refused.fault {
            Reason::Timing(reason) => timing.get_ref().place(reason).unwrap_or(timing.span()),
            _ => timing.span(),
        }),
    };
    (span, refused.fault.advice().to_owned())
}

fn build(written: &Written, folder: &Path) -> Result<Config, Fault> {
    let key = match &written.key {
        None => PrivateKey::None,
        Some(file) => key::read_private(&folder.join(file.get_ref()))
            .map_err(|error| (Some(file.span()), format!("{}: {error}", file.get_ref())))?,
    };
    let mut config = Config {
        role: written.role.get_ref().0,
        identity: value::parse(&written.identity)?,
        key,
        interfaces: Default::default(),
        routes: Default::default(),
        peers: Default::default(),
        policies: Default::default(),
        suites: Default::default(),
        force_encapsulation: written.force_encapsulation,
        clock: written
            .clock
            .as_ref()
            .map(|table| build_clock(table.get_ref()))
            .transpose()?
            .unwrap_or_default(),
        mobike: written.mobike,
        timing: written.timing.as_ref().map(|timing| timing.get_ref().build()).unwrap_or_default(),
        resolver: resolving(written).map(|dns| names::build(dns, folder)).transpose()?,
        publication: publishing(written)
            .map(|table| publication::build(table, written, folder))
            .transpose()?,
    };
    let suites: Vec<_> = match &written.suites {
        Some(suites) => suites.iter().map(|suite| (suite.get_ref().0, suite.span())).collect(),
        None => vec![(config::Suite::FastSoftware, 0..0), (config::Suite::HardwareAes, 0..0)],
    };
    for (suite, span) in suites {
        push(&mut config.suites, suite, span)?;
    }
    for table in &written.interface {
        let mut addresses = heapless::Vec::new();
        for address in table.get_ref().addresses.get_ref() {
            let parsed = match address.get_ref().as_str() {
                "dhcp" => config::Prefix::DHCP,
                _ => value::parse(address)?,
            };
            push(&mut addresses, parsed, address.span())?;
        }
        push(&mut config.interfaces, config::Interface { addresses }, table.span())?;
    }
    for table in &written.route {
        let route = config::Route {
            to: value::parse(&table.get_ref().to)?,
            via: value::parse(&table.get_ref().via)?,
        };
        push(&mut config.routes, route, table.span())?;
    }
    for table in &written.peer {
        push(&mut config.peers, peer::build(table.get_ref(), folder)?, table.span())?;
    }
    for table in &written.policy {
        let table = (table.get_ref(), table.span());
        let policy = policy::build(table.0, &mut config)?;
        push(&mut config.policies, policy, table.1)?;
    }
    Ok(config)
}

/// How names are looked up, unless [dns] is there for publishing alone.
fn resolving(written: &Written) -> Option<&DnsTable> {
    let dns = written.dns.as_ref()?.get_ref();
    (!dns.servers.is_empty() || dns.publish.is_none()).then_some(dns)
}

fn publishing(written: &Written) -> Option<&toml::Spanned<PublishTable>> {
    written.dns.as_ref()?.get_ref().publish.as_ref()
}

fn build_clock(table: &ClockTable) -> Result<config::clock::Clock, Fault> {
    let mut clock = config::clock::Clock { source: table.source.0, servers: Default::default() };
    for server in &table.servers {
        let address = value::server(server, NTP_PORT)?;
        push(&mut clock.servers, address, server.span())?;
    }
    Ok(clock)
}

fn push<T, const N: usize>(list: &mut heapless::Vec<T, N>, item: T, span: Range<usize>) -> Result<(), Fault> {
    list.push(item).map_err(|_| (Some(span), format!("there is room for {N} of these: remove this one")))
}

fn port_name(device: &str) -> PortName {
    match device.strip_prefix("tap:") {
        Some(name) => PortName::Tap(name.into()),
        None => PortName::Packet(device.into()),
    }
}

fn fault<T: Value>(text: &toml::Spanned<String>) -> Fault {
    (Some(text.span()), format!("\"{}\" is not {}", text.get_ref(), T::WHAT))
}
