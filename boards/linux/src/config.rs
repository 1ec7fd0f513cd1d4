//! A device's configuration in TOML, as operators write it, made into [`firmware::config::Config`].
//! Whatever is wrong is told with the file, the line and what to write instead. Keys lie in files of
//! their own, named relative to this one.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use firmware::config::check::{Entry, Fault as Reason, Refused};
use firmware::config::{self, Config, PrivateKey, SharedKey};
use zeroize::Zeroizing;

use crate::key;

mod file;
mod value;

use file::{OneOrMore, PeerTable, PolicyTable, PpkTable, Written};
use value::Value;

/// Where `status` and `why` find the device unless the file says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/buttons.sock";

/// A device that can be run.
#[derive(Debug)]
pub struct Device {
    /// What firmware takes.
    pub config: Config,
    /// What each of its interfaces stands on.
    pub ports: Vec<PortName>,
    /// Where it answers `status` and `why`.
    pub socket: PathBuf,
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
            let number = text.get(..span.start).unwrap_or(&text).matches('\n').count() + 1;
            (number, text.lines().nth(number - 1).unwrap_or_default().trim().to_owned())
        });
        BadConfig { file: path.into(), line, advice }
    })
}

fn parse(text: &str, path: &Path) -> Result<Device, Fault> {
    let written: Written =
        toml::from_str(text).map_err(|error| (error.span(), error.message().trim().to_owned()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let config = build(&written, folder)?;
    config.check().map_err(|refused| place(&written, refused))?;
    let ports = written.interface.iter().map(|i| port_name(i.get_ref().device.get_ref())).collect();
    let socket = written.socket.as_ref().map_or(DEFAULT_SOCKET.into(), |name| folder.join(name.get_ref()));
    Ok(Device { config, ports, socket })
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
        mobike: written.mobike,
        timing: written.timing.as_ref().map(|timing| timing.get_ref().build()).unwrap_or_default(),
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
            push(&mut addresses, value::parse(address)?, address.span())?;
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
        push(&mut config.peers, build_peer(table.get_ref(), folder)?, table.span())?;
    }
    for table in &written.policy {
        push(&mut config.policies, build_policy(table.get_ref())?, table.span())?;
    }
    Ok(config)
}

fn push<T, const N: usize>(list: &mut heapless::Vec<T, N>, item: T, span: Range<usize>) -> Result<(), Fault> {
    list.push(item).map_err(|_| (Some(span), format!("there is room for {N} of these: remove this one")))
}

fn build_peer(table: &PeerTable, folder: &Path) -> Result<config::Peer, Fault> {
    let identity = table.identity.as_ref().map(value::parse).transpose()?;
    let address = table.address.as_ref().map(value::parse).transpose()?;
    let mut ranges = heapless::Vec::new();
    for range in &table.ranges {
        push(&mut ranges, value::parse(range)?, range.span())?;
    }
    Ok(config::Peer {
        name: value::parse(&table.name)?,
        identity,
        address,
        port: table.port.unwrap_or(config::check::IKE_PORT),
        authentication: build_authentication(table, folder)?,
        ranges,
        start: table.start.map_or(config::Start::OnTraffic, |start| start.0),
        childless: table.childless,
        ppk: table.ppk.as_ref().map(|ppk| build_ppk(ppk.get_ref(), folder)).transpose()?,
    })
}

fn build_authentication(table: &PeerTable, folder: &Path) -> Result<config::Authentication, Fault> {
    let PeerTable { key, fingerprint, shared_key, btns, .. } = table;
    match (key, fingerprint, shared_key, btns) {
        (Some(keys), None, None, None) => {
            let mut pinned = heapless::Vec::new();
            for key in OneOrMore::texts(keys) {
                let spki = read_public(key.get_ref(), folder)
                    .map_err(|error| (Some(key.span()), format!("{}: {error}", key.get_ref())))?;
                let spki = heapless::Vec::from_slice(&spki)
                    .map_err(|_| (Some(key.span()), "this key is too long".to_owned()))?;
                push(&mut pinned, spki, key.span())?;
            }
            Ok(config::Authentication::Pinned(pinned))
        }
        (None, Some(sums), None, None) => {
            let mut fingerprints = heapless::Vec::new();
            for sum in OneOrMore::texts(sums) {
                push(&mut fingerprints, value::fingerprint(&sum)?, sum.span())?;
            }
            Ok(config::Authentication::Fingerprints(fingerprints))
        }
        (None, None, Some(file), None) => read_secret(file, folder).map(config::Authentication::Shared),
        (None, None, None, Some(btns)) if *btns.get_ref() => Ok(config::Authentication::Btns),
        _ => Err((
            Some(table.name.span()),
            "say how this peer is known by exactly one of: key = \"peer.pub\", fingerprint = \"…\", \
             shared-key = \"FILE\", btns = true"
                .to_owned(),
        )),
    }
}

/// A secret from a file, without the line's end.
fn read_secret(file: &toml::Spanned<String>, folder: &Path) -> Result<SharedKey, Fault> {
    let octets = fs::read(folder.join(file.get_ref()))
        .map(Zeroizing::new)
        .map_err(|error| (Some(file.span()), format!("{}: {error}", file.get_ref())))?;
    SharedKey::new(octets.trim_ascii_end())
        .ok_or((Some(file.span()), format!("a shared key has at most {} octets", config::MAX_SHARED_KEY)))
}

fn build_ppk(table: &PpkTable, folder: &Path) -> Result<config::Ppk, Fault> {
    let id = heapless::Vec::from_slice(table.id.get_ref().as_bytes()).map_err(|_| {
        (Some(table.id.span()), format!("a PPK is called by at most {} octets", config::MAX_IDENTITY))
    })?;
    Ok(config::Ppk { id, secret: read_secret(&table.secret, folder)?, mandatory: !table.optional })
}

/// A public key from a file of this name, or spelled in the configuration itself.
fn read_public(text: &str, folder: &Path) -> Result<Vec<u8>, key::KeyError> {
    if let Ok(spki) = key::parse_public(text) {
        return Ok(spki);
    }
    key::parse_public(&fs::read_to_string(folder.join(text))?)
}

fn build_policy(table: &PolicyTable) -> Result<config::Policy, Fault> {
    let ports = |ports: &Option<toml::Spanned<file::PortsText>>| match ports {
        None => Ok(config::Ports::ANY),
        Some(text) => value::ports(text),
    };
    let action = match table.action.get_ref() {
        file::ActionWord::Protect => config::Action::Protect {
            mode: table.mode.map_or(esp_engine::sa::Mode::Transport, |mode| mode.0),
            minimum: table.minimum.map_or(esp_engine::spd::Level::Pinned, |minimum| minimum.0),
            peer: table.peer.as_ref().map(value::parse).transpose()?,
            pfs: table.pfs.unwrap_or(false),
        },
        word if table.mode.is_some()
            || table.minimum.is_some()
            || table.peer.is_some()
            || table.pfs.is_some() =>
        {
            return Err((
                Some(table.action.span()),
                format!(
                    "mode, minimum, peer and pfs belong to action = \"protect\": remove them from {word:?}"
                )
                .to_lowercase(),
            ));
        }
        file::ActionWord::Bypass => config::Action::Bypass,
        file::ActionWord::Discard => config::Action::Discard,
    };
    Ok(config::Policy {
        name: value::parse(&table.name)?,
        local: value::parse(&table.local)?,
        remote: value::parse(&table.remote)?,
        protocol: table.protocol.as_ref().map_or(Ok(config::EVERY_PROTOCOL), value::protocol)?,
        local_ports: ports(&table.local_ports)?,
        remote_ports: ports(&table.remote_ports)?,
        action,
    })
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
