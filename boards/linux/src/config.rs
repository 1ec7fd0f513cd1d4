//! A device's configuration in TOML, as operators write it, made into [`firmware::config::Config`].
//! Whatever is wrong is told with the file, the line and what to write instead. Keys lie in files of
//! their own, named relative to this one.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use esp_engine::spd::Level;
use firmware::config::capture::{Capture, NameRule};
use firmware::config::check::{Entry, Fault as Reason, Refused};
use firmware::config::{self, Config, PrivateKey, SharedKey};
use ike_core::discovery::proxy::settings::{Demand, Settings};
use zeroize::Zeroizing;

use crate::key;

mod anchor;
mod file;
mod publication;
pub(crate) mod value;

use file::{
    CaptureTable, ClockTable, DnsTable, OneOrMore, PeerTable, PolicyTable, PpkTable, PublishTable, Written,
};
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
        resolver: resolving(written).map(|dns| build_resolver(dns, folder)).transpose()?,
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
        let table = (table.get_ref(), table.span());
        let policy = build_policy(table.0, &mut config)?;
        push(&mut config.policies, policy, table.1)?;
    }
    Ok(config)
}

fn build_capture(table: &CaptureTable) -> Result<Capture, Fault> {
    let default = Settings::DEFAULT;
    let mut capture = Capture {
        rules: Default::default(),
        private: Default::default(),
        bogus: table.bogus.map_or(default.bogus, |word| word.0),
        full: table.full.map_or(default.full, |word| word.0),
        max_ttl_s: table.max_ttl.unwrap_or(default.max_ttl),
        hold_ms: table.hold_ms.unwrap_or(1_500),
    };
    // What is let be and what is required are the exceptions.
    let rules =
        [(&table.block, Demand::Nothing), (&table.require, Demand::Require), (&table.allow, Demand::Try)];
    for (patterns, demand) in rules {
        for pattern in patterns {
            push(&mut capture.rules, NameRule { names: text(pattern)?, demand }, pattern.span())?;
        }
    }
    for pattern in &table.private {
        push(&mut capture.private, text(pattern)?, pattern.span())?;
    }
    Ok(capture)
}

/// A pattern of names.
fn text(pattern: &file::Text) -> Result<heapless::String<{ config::MAX_IDENTITY }>, Fault> {
    heapless::String::try_from(pattern.get_ref().as_str())
        .map_err(|_| (Some(pattern.span()), format!("write at most {} characters", config::MAX_IDENTITY)))
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

fn build_resolver(table: &DnsTable, folder: &Path) -> Result<config::Resolver, Fault> {
    let mut resolver = config::Resolver {
        servers: Default::default(),
        anchors: Default::default(),
        believed: Default::default(),
        capture: table.capture.as_ref().map(build_capture).transpose()?,
    };
    for server in &table.servers {
        push(&mut resolver.servers, value::parse(server)?, server.span())?;
    }
    for server in &table.believe {
        push(&mut resolver.believed, value::parse(server)?, server.span())?;
    }
    if let Some(file) = &table.anchors {
        let anchors = anchor::read(&folder.join(file.get_ref()))
            .map_err(|error| (Some(file.span()), format!("{}: {error}", file.get_ref())))?;
        for anchor in anchors {
            push(&mut resolver.anchors, anchor, file.span())?;
        }
    }
    Ok(resolver)
}

fn push<T, const N: usize>(list: &mut heapless::Vec<T, N>, item: T, span: Range<usize>) -> Result<(), Fault> {
    list.push(item).map_err(|_| (Some(span), format!("there is room for {N} of these: remove this one")))
}

fn build_peer(table: &PeerTable, folder: &Path) -> Result<config::Peer, Fault> {
    let identity = match (&table.identity, &table.dns) {
        (None, name) => name.as_ref().map(value::parse).transpose()?,
        (Some(identity), None) => Some(value::parse(identity)?),
        (Some(identity), Some(_)) => {
            return Err((
                Some(identity.span()),
                "dns already says who the peer is: remove identity".to_owned(),
            ));
        }
    };
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
    let PeerTable { key, fingerprint, shared_key, dns, dns_suffix, dns_network, .. } = table;
    let anyone = for_anyone(table);
    if let (None, Some(hours)) = (&table.first_use, &table.replace_after_h) {
        let advice = "replace-after-h belongs to first-use = true: remove it, or write that";
        return Err((Some(hours.span()), advice.to_owned()));
    }
    let whose = build_whose(table)?;
    let is_in_dns = [dns, dns_suffix, dns_network].into_iter().flatten().count() == 1;
    match (key, fingerprint, shared_key, whose, anyone) {
        (None, None, None, Some(whose), [None, None]) if is_in_dns => {
            let (from_anywhere, wildcards) = (table.from_anywhere, table.wildcards);
            Ok(config::Authentication::Dns(config::Dns { whose, from_anywhere, wildcards }))
        }
        (_, _, _, None, _) if table.from_anywhere || table.wildcards || table.or_stranger => Err((
            Some(table.name.span()),
            "from-anywhere, wildcards and or-stranger belong to keys in DNS: remove them".to_owned(),
        )),
        (Some(keys), None, None, None, [None, None]) => {
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
        (None, Some(sums), None, None, [None, None]) => {
            let mut fingerprints = heapless::Vec::new();
            for sum in OneOrMore::texts(sums) {
                push(&mut fingerprints, value::fingerprint(&sum)?, sum.span())?;
            }
            Ok(config::Authentication::Fingerprints(fingerprints))
        }
        (None, None, Some(file), None, [None, None]) => read_secret(file, folder).map(config::Authentication::Shared),
        (None, None, None, None, [Some((true, authentication)), None]) => Ok(authentication),
        _ => Err((
            Some(table.name.span()),
            "say how this peer is known by exactly one of: key = \"peer.pub\", fingerprint = \"…\", \
             shared-key = \"FILE\", dns = \"NAME\", dns-suffix = \".END\", dns-network = \"192.0.2.0/24\", btns = true, \
             first-use = true, null = true"
                .to_owned(),
        )),
    }
}

/// The first two words that make an entry one for anyone, if there are any, and whether they say so.
fn for_anyone(table: &PeerTable) -> [Option<(bool, config::Authentication)>; 2] {
    let replace_after_h = table.replace_after_h.as_ref().map_or(0, |hours| *hours.get_ref());
    let words = [
        (&table.btns, config::Authentication::Btns),
        (&table.first_use, config::Authentication::FirstUse { replace_after_h }),
        (&table.null, config::Authentication::Null),
    ];
    let mut written = words
        .into_iter()
        .filter_map(|(word, authentication)| Some((*word.as_ref()?.get_ref(), authentication)));
    [written.next(), written.next()]
}

/// Whose keys DNS has, if that is how the peer is known.
fn build_whose(table: &PeerTable) -> Result<Option<config::Whose>, Fault> {
    let or_stranger = table.or_stranger;
    Ok(match (&table.dns, &table.dns_suffix, &table.dns_network) {
        (Some(_), ..) => Some(config::Whose::Name),
        (_, Some(suffix), _) => Some(config::Whose::Suffix(value::parse(suffix)?)),
        (_, _, Some(network)) => {
            Some(config::Whose::Network { network: value::parse(network)?, or_stranger })
        }
        (None, None, None) => None,
    })
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

/// The far side of a policy, and its peer. A name is that of a peer whose keys are in DNS; where none has it, it
/// becomes one.
fn build_remote(
    table: &PolicyTable,
    config: &mut Config,
) -> Result<(config::Remote, Option<config::Name>), Fault> {
    let peer = table.peer.as_ref().map(value::parse).transpose()?;
    let Some(remote) = &table.remote else {
        return match &table.peer {
            Some(_) => Ok((config::Remote::Peer, peer)),
            None => Err((
                Some(table.name.span()),
                "say where the far side is: remote = \"192.0.2.0/24\"".to_owned(),
            )),
        };
    };
    if let Some(network) = config::Prefix::from_text(remote.get_ref()) {
        return Ok((config::Remote::Network(network), peer));
    }
    let name: config::Identity = value::parse(remote)?;
    if !matches!(&name, config::Identity::Fqdn(name) if name.contains('.')) {
        return Err((
            Some(remote.span()),
            "write an address with its prefix length, such as 192.0.2.2/32, or a name whose keys are in DNS"
                .to_owned(),
        ));
    }
    let found = config.peers.iter().find(|peer| peer.identity.as_ref() == Some(&name));
    let called = match found {
        Some(peer) => peer.name.clone(),
        None => {
            let called: config::Name = value::parse(remote)?;
            let peer = by_name(called.clone(), name);
            // In front of those for anyone, which come last.
            let is_wildcard = |peer: &config::Peer| peer.authentication.is_wildcard();
            let place = config.peers.iter().position(is_wildcard).unwrap_or(config.peers.len());
            config.peers.insert(place, peer).map_err(|_| {
                (Some(remote.span()), format!("there is room for {} peers: remove one", config::MAX_PEERS))
            })?;
            called
        }
    };
    match peer {
        Some(peer) if peer != called => {
            let advice = format!("\"{called}\" is the peer with this name: remove peer");
            Err((Some(remote.span()), advice))
        }
        _ => Ok((config::Remote::Peer, Some(called))),
    }
}

/// A peer of whom nothing is known but its name.
fn by_name(called: config::Name, identity: config::Identity) -> config::Peer {
    let dns = config::Dns { whose: config::Whose::Name, from_anywhere: false, wildcards: false };
    config::Peer {
        name: called,
        identity: Some(identity),
        address: None,
        port: config::check::IKE_PORT,
        authentication: config::Authentication::Dns(dns),
        ranges: Default::default(),
        start: config::Start::OnTraffic,
        childless: false,
        ppk: None,
    }
}

fn build_policy(table: &PolicyTable, config: &mut Config) -> Result<config::Policy, Fault> {
    let ports = |ports: &Option<toml::Spanned<file::PortsText>>| match ports {
        None => Ok(config::Ports::ANY),
        Some(text) => value::ports(text),
    };
    let (remote, peer) = build_remote(table, config)?;
    let best = peer.as_ref().and_then(|name| config.peers.iter().find(|peer| peer.name == *name));
    let is_in_dns = best.is_some_and(|peer| matches!(peer.authentication, config::Authentication::Dns(_)));
    let usual = if is_in_dns { Level::Validated } else { Level::Pinned };
    let action = match table.action.get_ref() {
        file::ActionWord::Protect => config::Action::Protect {
            mode: table.mode.map_or(esp_engine::sa::Mode::Transport, |mode| mode.0),
            minimum: table.minimum.map_or(usual, |minimum| minimum.0),
            peer,
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
        remote,
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
