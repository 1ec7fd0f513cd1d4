//! `buttons resolve`: what a device would believe about a name, and why. The resolver is the device's own;
//! only its sockets are this program's.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant as Monotonic};

use esp_engine::time::Instant;
use getrandom::SysRng;
use ike_core::crypto::software::Software;
use ike_core::discovery::anchors::MAX_ANCHORS;
use ike_core::discovery::clock::Clock;
use ike_core::discovery::dnssec::{Ds, ROOT};
use ike_core::discovery::outcome::{Outcome, Presence, Security};
use ike_core::discovery::output::{Output, Transport};
use ike_core::discovery::question::{Question, Ticket};
use ike_core::discovery::resolver::{Config, Examples, Resolver, Resources};
use ike_core::discovery::upstream::{Server, ServerStatus};
use ike_core::discovery::{Name, Rtype, UnixTime};

use servers::{Came, Sockets};

pub mod anchors;
pub mod moment;
mod servers;
pub mod show;

/// Where the system's servers are named.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The port of DNS.
const PORT: u16 = 53;

const EXAMPLES: &str = "\
Examples:
  buttons resolve vpn.example.com                  its keys and addresses
  buttons resolve 192.0.2.2                        the keys of an address
  buttons resolve example.com --type a             other records
  buttons resolve b.example --server 192.0.2.53    by this server
  buttons resolve b.example --at 2027-01-01        is it still good then?
  buttons resolve b.test --anchor root.key         below another root
  buttons resolve b.example --probe                and what do the servers lack?

Exit status:
  0  secure, and there are keys (with --type: records)
  3  secure: there are none, or none that can be used;
     fingerprints of keys are shown, and devices do not look at them by default
  4  insecure: proven that nobody signs it, so anybody could have made it
  5  bogus: it should be signed, and the proof fails
  6  indeterminate: it could not be found out
  1  nothing was asked
  2  the command line is wrong";

/// What to ask, whom, and what to believe.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A name; or an address, for the keys of its reverse name.
    pub name: String,
    /// Whom to ask [default: those of /etc/resolv.conf].
    #[arg(long = "server", value_name = "ADDRESS", value_parser = parse_server)]
    pub servers: Vec<SocketAddr>,
    /// DS or DNSKEY records of the root [default: IANA's].
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
    /// Ask for records of this type only.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    pub rtype: Option<Rtype>,
    /// Judge as if it were then [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub at: Option<UnixTime>,
    /// Try the servers out first [default: arpa,com].
    #[arg(long, value_name = "ZONE,ZONE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "arpa,com", value_parser = parse_examples)]
    pub probe: Option<Examples>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was asked.
    pub question: Question,
    /// The answer.
    pub outcome: Outcome,
    /// Where it proves that there is no key: what came of the question about fingerprints.
    pub fingerprints: Option<Box<Self>>,
    /// Seconds for which it holds.
    pub ttl: u64,
    /// How the servers were.
    pub servers: Vec<ServerStatus>,
    /// Queries sent.
    pub queries: u32,
    /// Signatures verified.
    pub verifications: u32,
    /// Milliseconds that it took.
    pub took: u64,
}

/// Why nothing was asked; each says what to do.
#[derive(Debug)]
pub enum ResolveError {
    /// Neither a name nor an address.
    Name(String),
    /// The servers of the system are not known.
    NoServer,
    /// More than four servers.
    TooManyServers,
    /// More anchors than are looked at.
    TooManyAnchors,
    /// The file of anchors.
    Anchor(PathBuf, anchors::BadAnchor),
    /// The system gives no random numbers.
    Random,
}

impl std::fmt::Display for ResolveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name} is neither a name nor an address"),
            Self::NoServer => {
                write!(f, "{RESOLV_CONF} names no server that can be asked: name one with --server ADDRESS")
            }
            Self::TooManyServers => f.write_str("four servers can be asked, not more: leave out a --server"),
            Self::TooManyAnchors => {
                write!(f, "{MAX_ANCHORS} keys of a root are looked at, not more: shorten the file")
            }
            Self::Anchor(file, bad) => write!(f, "{}: {bad}", file.display()),
            Self::Random => f.write_str("the system gives no random numbers"),
        }
    }
}

impl std::error::Error for ResolveError {}

impl Found {
    /// What the program's exit status says: 0 only for what is proven and there.
    pub const fn exit_status(&self) -> u8 {
        match (self.outcome.security, self.outcome.presence) {
            (Security::Secure, Presence::Present) => 0,
            (Security::Secure, _) => 3,
            (Security::Insecure, _) => 4,
            (Security::Bogus(_), _) => 5,
            (Security::Indeterminate(_), _) => 6,
        }
    }
}

/// Asks, and waits for the answer.
///
/// # Errors
/// [`ResolveError`]: nothing was asked.
pub fn resolve(arguments: &Arguments) -> Result<Found, ResolveError> {
    let question = question(&arguments.name, arguments.rtype)?;
    let servers = match arguments.servers.as_slice() {
        [] => servers_of_system(),
        servers => servers.to_vec(),
    };
    let anchors = match &arguments.anchor {
        None => ROOT.to_vec(),
        Some(file) => read_anchors(file)?,
    };
    let mut clock = Clock::new(UnixTime(0));
    let time = arguments.at.unwrap_or_else(moment::present);
    // There is no time before the bound.
    let _ = clock.set(Instant::ZERO, time);
    let servers: Vec<Server> = servers.into_iter().map(Server::from).collect();
    let config = Config { servers: &servers, anchors: &anchors };
    let mut resources = Box::new(Resources::<1, 1, 8>::new());
    let mut resolver = Resolver::new(config, clock, &mut resources, Software, SysRng).map_err(bad_config)?;
    if arguments.probe.is_some() {
        resolver.probe_servers(Instant::ZERO, arguments.probe.clone());
    }
    Ok(run(&mut resolver, question, arguments.probe.as_ref().map_or(0, |_| servers.len())))
}

const fn bad_config(error: ike_core::discovery::resolver::ConfigError) -> ResolveError {
    use ike_core::discovery::resolver::ConfigError;
    match error {
        ConfigError::NoServer => ResolveError::NoServer,
        ConfigError::TooManyServers => ResolveError::TooManyServers,
        ConfigError::TooManyAnchors => ResolveError::TooManyAnchors,
        ConfigError::NoRandom => ResolveError::Random,
    }
}

/// Asks as soon as so many servers have been tried out.
fn run(resolver: &mut Resolver<'_, Software, SysRng>, question: Question, mut untried: usize) -> Found {
    let begun = Monotonic::now();
    let now = || Instant::from_millis(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
    let (sender, came) = channel();
    let mut sockets = Sockets::new(sender);
    let mut is_asked = false;
    let mut keyless: Option<(Outcome, Question)> = None;
    loop {
        if untried == 0 && !is_asked {
            // The only question, so there is room for it.
            is_asked = resolver.lookup(now(), Ticket(0), question.clone()).is_ok();
        }
        let alarm = match resolver.poll_output() {
            Output::Query { socket, server, transport, octets } => {
                match transport {
                    Transport::Udp { port } => sockets.ask(socket, server, port, octets),
                    Transport::Tcp => sockets.connect(socket, server, octets),
                }
                continue;
            }
            Output::Close { socket } => {
                sockets.close(socket);
                continue;
            }
            Output::Answer { outcome, .. } => {
                let answer = outcome.clone();
                if keyless.is_none()
                    && let Some(further) = answer.fingerprints_at(&question)
                    && resolver.lookup(now(), Ticket(1), further.clone()).is_ok()
                {
                    keyless = Some((answer, further));
                    continue;
                }
                let found = |question, outcome: Outcome, fingerprints| Found {
                    ttl: outcome.expires.since(now()).as_millis().div_ceil(1000) as u64,
                    question,
                    outcome,
                    fingerprints,
                    servers: resolver.servers().collect(),
                    queries: resolver.counters().queries,
                    verifications: resolver.counters().verifications,
                    took: now().as_millis(),
                };
                return match keyless {
                    None => found(question, answer, None),
                    Some((keyless, further)) => {
                        let fingerprints = Some(Box::new(found(further, answer, None)));
                        found(question, keyless, fingerprints)
                    }
                };
            }
            Output::Probed(_) => {
                untried = untried.saturating_sub(1);
                continue;
            }
            Output::Proposed(_) | Output::NotBefore(_) | Output::Anchors(_) => continue,
            Output::Timeout(alarm) => alarm,
        };
        let wait = alarm.map_or(Duration::from_secs(1), |alarm| alarm.since(now()));
        wait_for(resolver, &came, &sockets, wait, now);
    }
}

fn wait_for(
    resolver: &mut Resolver<'_, Software, SysRng>,
    came: &Receiver<Came>,
    sockets: &Sockets,
    wait: Duration,
    now: impl Fn() -> Instant,
) {
    match came.recv_timeout(wait) {
        Ok(came) if !sockets.is_current(&came) => {}
        // Whatever is wrong with a message is counted, and waited on.
        Ok(Came::Datagram { socket, server, octets, .. }) => {
            let _ = resolver.handle_datagram(now(), socket, server, &octets);
        }
        Ok(Came::Message { socket, octets, .. }) => {
            let _ = resolver.handle_stream(now(), socket, &octets);
        }
        Ok(Came::Failed { socket, .. }) => resolver.handle_failure(now(), socket),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => resolver.handle_timeout(now()),
    }
}

fn question(name: &str, rtype: Option<Rtype>) -> Result<Question, ResolveError> {
    let address = name.parse::<IpAddr>().ok();
    let reverse = address.map(ike_core::discovery::question::reverse);
    let parsed = || name.parse::<Name>().map_err(|_| ResolveError::Name(name.to_owned()));
    Ok(match (rtype, address) {
        (None, Some(address)) => Question::Reverse(address),
        (None, None) => Question::Peer(parsed()?),
        (Some(rtype), _) => Question::Records { name: reverse.map_or_else(parsed, Ok)?, rtype },
    })
}

fn read_anchors(file: &PathBuf) -> Result<Vec<Ds>, ResolveError> {
    let bad = |bad| ResolveError::Anchor(file.clone(), bad);
    let text = fs::read_to_string(file).map_err(|error| bad(anchors::BadAnchor::File(error)))?;
    anchors::parse(&text).map_err(bad)
}

/// Lines `nameserver ADDRESS`, as resolv.conf(5) has them.
fn servers_of_system() -> Vec<SocketAddr> {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|address| address.trim().parse::<IpAddr>().ok());
    addresses.map(|address| SocketAddr::new(address, PORT)).take(3).collect()
}

/// A server as it is written on the command line: an address, or an address and a port.
///
/// # Errors
/// What to write.
pub fn parse_server(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    let alone = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    with_port.or_else(|_| alone()).map_err(|_| "write an address, or ADDRESS:PORT, or [ADDRESS]:PORT".into())
}

/// Two zones as they are written on the command line.
///
/// # Errors
/// What to write.
pub fn parse_examples(text: &str) -> Result<Examples, String> {
    let zones = text.split_once(',').and_then(|(signed, hashed)| {
        Some(Examples { signed: signed.parse().ok()?, hashed: hashed.parse().ok()? })
    });
    zones.ok_or_else(|| "write two names of zones, as arpa,com".into())
}

/// A type as it is written on the command line.
///
/// # Errors
/// What to write.
pub fn parse_type(text: &str) -> Result<Rtype, String> {
    text.parse().map_err(|_| "write a type of records, as ipseckey, a or TYPE65".into())
}
