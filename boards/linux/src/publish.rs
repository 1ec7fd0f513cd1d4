//! `buttons publish`: our name's records into its zone, once, from this machine's own sockets. What is sent
//! and what is believed is the business of [`ike_core::discovery::update`]; here are sockets and words.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use esp_engine::time::Instant;
use getrandom::SysRng;
use ike_core::crypto::PublicKey;
use ike_core::crypto::software::Software;
use ike_core::discovery::ipseckey::Gateway;
use ike_core::discovery::output::Transport;
use ike_core::discovery::update::{Config, Event, Failure, Form, MAX_UPDATE, Output, Publisher, Wanted};
use ike_core::discovery::{Name, UnixTime};
use serde_json::json;

use crate::key::{self, dns};

mod secret;
mod sentence;

pub use secret::{read as read_secret, read_parts as read_secret_parts};
pub use sentence::sentence;

/// Where servers listen.
pub const DNS_PORT: u16 = 53;

/// What `buttons publish` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The name that peers look up.
    #[arg(value_parser = dns::host_name)]
    name: Name,
    /// Address or name of the zone's primary server.
    #[arg(long, value_name = "SERVER")]
    server: String,
    /// The secret, as tsig-keygen or keymgr -t wrote it.
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
    /// A private or public key.
    #[arg(long, value_name = "FILE", default_value = "own.pem")]
    key: PathBuf,
    /// The key to follow, beside the present one.
    #[arg(long, value_name = "FILE")]
    next_key: Option<PathBuf>,
    /// All addresses of NAME [default: those it has].
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
    /// What NAME is reached through [default: itself].
    #[arg(long, value_parser = dns::gateway)]
    gateway: Option<Gateway>,
    /// Seconds others may remember this.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl: u32,
    /// The zone of NAME [default: the name above it].
    #[arg(long, value_parser = dns::host_name)]
    zone: Option<Name>,
    /// The key itself, or its fingerprint in its place.
    #[arg(long, value_name = "FORM", default_value = "key")]
    form: FormWord,
    /// Take the keys of NAME out of its zone, by FORM fingerprints too.
    #[arg(long, conflicts_with = "next_key")]
    withdraw: bool,
    /// Do not give up when the server does not answer.
    #[arg(long)]
    keep_trying: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a key stands in DNS as.
#[derive(Copy, Clone, PartialEq, Eq, Debug, clap::ValueEnum)]
enum FormWord {
    /// An IPSECKEY record.
    Key,
    /// A TLSA record instead, a convention of ours
    Fingerprint,
}

const EXAMPLES: &str = "\
Examples:
  buttons publish b.example.net --server ns.example.net --secret b.tsig
  buttons publish b.example.net --server 192.0.2.53 --secret b.tsig \\
      --address 192.0.2.2 --address 2001:db8::2
  buttons publish b.example.net --server ns.example.net --secret b.tsig \\
      --next-key new.pem      then wait for the TTL, and publish new.pem alone";

impl Arguments {
    /// Publishes; returns what was done.
    ///
    /// # Errors
    /// Why it was not, in words.
    pub fn run(&self) -> Result<String, String> {
        let done = self.publish();
        if !self.json {
            return done;
        }
        let name = self.name.to_string();
        let told = match &done {
            Ok(_) => json!({ "name": name, "published": true }),
            Err(reason) => json!({ "name": name, "published": false, "reason": reason }),
        };
        match done {
            Ok(_) => Ok(format!("{told:#}\n")),
            Err(reason) => {
                println!("{told:#}");
                Err(reason)
            }
        }
    }

    fn publish(&self) -> Result<String, String> {
        let server = resolve(&self.server)?;
        let config = Config {
            zone: self.zone.clone().unwrap_or_else(|| above(&self.name)),
            name: self.name.clone(),
            key: read_secret(&self.secret)?,
        };
        let persist = |failure| {
            let told = sentence(failure, &config, server);
            if self.keep_trying {
                eprintln!("buttons: {told}; it is tried again");
            }
            self.keep_trying
        };
        let done = once(server, &config, self.wanted()?, || Some(time_of_day()), persist);
        done.map(|()| self.told()).map_err(|failure| sentence(failure, &config, server))
    }

    fn wanted(&self) -> Result<Wanted, String> {
        let files = [Some(&self.key), self.next_key.as_ref()];
        let files = files.into_iter().flatten().filter(|_| !self.withdraw);
        let addresses = self.address.iter().copied().collect::<heapless::Vec<_, _>>();
        if addresses.len() < self.address.len() {
            return Err(format!("a name has at most {} addresses here", addresses.len()));
        }
        let form = match self.form {
            FormWord::Fingerprint if self.gateway.is_some() => {
                return Err("a fingerprint names no gateway: leave out --gateway".into());
            }
            FormWord::Fingerprint => Form::Fingerprint,
            FormWord::Key => Form::Key,
        };
        Ok(Wanted {
            addresses: (!self.address.is_empty()).then_some(addresses),
            keys: files.map(|file| public_key(file)).collect::<Result<_, _>>()?,
            form,
            gateway: self.gateway.clone().unwrap_or(Gateway::None),
            precedence: 10,
            ttl: self.ttl,
        })
    }

    fn told(&self) -> String {
        let Self { name, ttl, .. } = self;
        if self.withdraw {
            return format!("{name} has no key any more; some may remember it for {ttl} s\n");
        }
        let what = match self.form {
            FormWord::Key => "",
            FormWord::Fingerprint => "the fingerprint of ",
        };
        match self.next_key {
            None => format!("{name} has {what}this key\n"),
            Some(_) => format!(
                "{name} has {what}both keys. In {ttl} s everybody who asks gets the next one: use it then, \
                 and publish it alone\n"
            ),
        }
    }
}

/// Has the server at this address make the update, by this clock. Of a failure that may pass `persist` says
/// whether it is waited for.
///
/// # Errors
/// The [`Failure`] that ended it.
pub fn once(
    server: SocketAddr,
    config: &Config,
    wanted: Wanted,
    clock: impl Fn() -> Option<UnixTime>,
    persist: impl Fn(Failure) -> bool,
) -> Result<(), Failure> {
    let mut publisher = Publisher::new(config.clone(), Software, SysRng);
    publisher.publish(Instant::ZERO, wanted, Duration::ZERO);
    let mut line = Line { server, started: std::time::Instant::now(), clock, socket: None };
    loop {
        match line.serve(&mut publisher) {
            Event::Failed { failure, again } if again.is_none() || !persist(failure) => return Err(failure),
            Event::Failed { .. } => {}
            // There is no next key, so nothing waits for it.
            Event::Published | Event::Usable => return Ok(()),
        }
    }
}

/// The public key in a file.
///
/// # Errors
/// What is wrong with it, in words.
pub fn public_key(file: &Path) -> Result<PublicKey, String> {
    let spki = key::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    key::parse_spki(&spki).ok_or_else(|| format!("{}: {}", file.display(), key::KeyError::NotPublic))
}

/// The name above another; of the root itself the root.
pub fn above(name: &Name) -> Name {
    name.iter_suffixes().nth(1).and_then(|zone| zone.to_string().parse().ok()).unwrap_or_else(|| name.clone())
}

fn resolve(server: &str) -> Result<SocketAddr, String> {
    let with_port = (server, DNS_PORT).to_socket_addrs().or_else(|_| server.to_socket_addrs());
    with_port.ok().and_then(|mut all| all.next()).ok_or_else(|| {
        format!("no server is called {server}: give the address of the zone's primary server with --server")
    })
}

/// The sockets of one update, and the time.
struct Line<T> {
    server: SocketAddr,
    started: std::time::Instant,
    clock: T,
    socket: Option<UdpSocket>,
}

impl<T: Fn() -> Option<UnixTime>> Line<T> {
    fn now(&self) -> Instant {
        Instant::from_millis(self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX))
    }

    /// Does what the publisher wants, until something is worth telling.
    fn serve(&mut self, publisher: &mut Publisher<Software, SysRng>) -> Event {
        loop {
            let answer = match publisher.poll_output() {
                Output::Event(event) => return event,
                // What cannot be sent is what goes unanswered: the publisher's affair.
                Output::Transmit { transport: Transport::Udp { port }, octets } => {
                    self.socket = self.open(port).ok();
                    let _ = self.socket.as_ref().map(|socket| socket.send(octets));
                    None
                }
                Output::Transmit { transport: Transport::Tcp, octets } => self.converse(octets).ok(),
                Output::Timeout(at) => {
                    let wait = at.map_or(Duration::MAX, |at| at.since(self.now()));
                    let answer = self.receive(wait);
                    if answer.is_none() {
                        publisher.handle_timeout(self.now(), (self.clock)());
                    }
                    answer
                }
            };
            if let Some(octets) = answer {
                // Whatever is not the server's answer is dropped, and told as a hint in the end.
                let _ = publisher.handle_message(self.now(), (self.clock)(), &octets);
            }
        }
    }

    /// A socket that hears the server only.
    fn open(&self, port: u16) -> io::Result<UdpSocket> {
        let any: IpAddr =
            if self.server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, port)).or_else(|_| UdpSocket::bind((any, 0)))?;
        socket.connect(self.server)?;
        Ok(socket)
    }

    fn receive(&self, wait: Duration) -> Option<Vec<u8>> {
        let wait = wait.min(Duration::from_secs(3600));
        let Some(socket) = self.socket.as_ref().filter(|_| !wait.is_zero()) else {
            std::thread::sleep(wait);
            return None;
        };
        let _ = socket.set_read_timeout(Some(wait));
        let mut octets = vec![0; MAX_UPDATE];
        match socket.recv(&mut octets) {
            Ok(length) => {
                octets.truncate(length);
                Some(octets)
            }
            // Nobody listens there yet; the time passes all the same.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::thread::sleep(wait.min(Duration::from_millis(100)));
                None
            }
            Err(_) => None,
        }
    }

    /// RFC 7766 §8: two octets of length in front of each message.
    fn converse(&self, octets: &[u8]) -> io::Result<Vec<u8>> {
        let patience = Duration::from_secs(10);
        let mut stream = TcpStream::connect_timeout(&self.server, patience)?;
        stream.set_read_timeout(Some(patience))?;
        let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), octets].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// The time of day, as this machine has it.
pub fn time_of_day() -> UnixTime {
    UnixTime(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()))
}
