//! The command line.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use buttons::{config, demo, key, manage, pins, publish, resolve, run, why, words};
use clap::{Parser, Subcommand};
use embassy_net::Stack;
use firmware::config::Site;
use firmware::management::{Request, Response};
use firmware::report::Event;
use ike_core::crypto::PublicKey;
use ike_core::discovery::UnixTime;

/// IPsec for machines too small for an IKE daemon.
#[derive(Parser)]
#[command(version, max_term_width = 80, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: DemoArguments,
}

/// Without a command: the demo.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of the demo, which runs without a command")]
struct DemoArguments {
    /// Meet a program from the distribution (root).
    #[arg(long)]
    peer: Option<demo::against::PeerKind>,
    /// Let time pass as it does outside.
    #[arg(long)]
    real_time: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// What keys, ports and delays depend on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For capture and keys [default: buttons-demo in /tmp].
    #[arg(long, value_name = "FOLDER")]
    capture: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  buttons                            two routers, one cable, some attackers
  buttons --real-time                the same, to watch
  sudo buttons --peer strongswan     strongSwan at the other end
  buttons key new own.pem            make a key
  buttons key export own.pem         show its public half, for the peer
  buttons key dns b.example.net      show the record that publishes it
  buttons publish b.example.net …    put that record into its zone
  buttons run device.toml            be a device; `status` and `why` ask it
  buttons pins                       see which strangers a device knows
  buttons config check device.toml   find mistakes before they matter
  buttons resolve b.example          see a peer's keys as a device would";

#[derive(Subcommand)]
enum Command {
    /// Be a device, until stopped. Needs root for its interfaces.
    Run {
        /// The configuration.
        file: PathBuf,
    },
    /// Show how a running device is.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Where the device listens.
        #[arg(long, default_value = config::DEFAULT_SOCKET)]
        socket: PathBuf,
    },
    /// Say why traffic with somebody is encrypted, or is not.
    ///
    /// Exit status: 0 encrypted, 1 not, 2 if nobody can tell.
    Why {
        /// An address, a peer's name, or a name that a client asked for.
        whom: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Where the device listens.
        #[arg(long, default_value = config::DEFAULT_SOCKET)]
        socket: PathBuf,
    },
    /// Replace the Child SA with a peer, or its IKE SA, before their time.
    ///
    /// Where no SA stands, one is begun.
    Rekey {
        /// The peer's name in the configuration.
        peer: String,
        /// Replace the IKE SA, which has to stand.
        #[arg(long)]
        ike_sa: bool,
        /// Where the device listens.
        #[arg(long, default_value = config::DEFAULT_SOCKET)]
        socket: PathBuf,
    },
    /// List what a running device remembers of peers whose SAs are gone.
    Pins(pins::List),
    /// Have a device forget a peer; whoever comes next by that name is taken.
    Forget(pins::Forget),
    /// Have a device know a stranger by another key from now on.
    Accept(pins::Accept),
    /// Tell a running device how late it is.
    Clock {
        /// In UTC.
        #[arg(value_parser = resolve::moment::parse)]
        time: UnixTime,
        /// Where the device listens.
        #[arg(long, default_value = config::DEFAULT_SOCKET)]
        socket: PathBuf,
    },
    /// Give the outer interface of a running device another address.
    ///
    /// SAs move or are begun anew, and its name is published anew. It lasts until
    /// the device restarts.
    Address {
        /// In place of the one of this family, with its prefix length.
        address: String,
        /// Where the default route leads [default: as configured, if that is there].
        #[arg(long)]
        gateway: Option<IpAddr>,
        /// Where the device listens.
        #[arg(long, default_value = config::DEFAULT_SOCKET)]
        socket: PathBuf,
    },
    /// Say what a device would believe about a peer's name, and why.
    Resolve(Box<resolve::Arguments>),
    /// Make keys, and show public keys to peers.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Put our name's key, and its addresses, into its zone.
    Publish(Box<publish::Arguments>),
    /// Look at a device's configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a private key in a new file that only you can read.
    New {
        /// The file to make.
        file: PathBuf,
        /// What it signs with.
        #[arg(long, default_value = "ed25519")]
        kind: key::Kind,
    },
    /// Show kind, fingerprint and public key.
    Show {
        /// A private or public key.
        file: PathBuf,
    },
    /// Print SHA-256 of the public key, to compare over the telephone.
    Fingerprint {
        /// A private or public key.
        file: PathBuf,
    },
    /// Print the public key as a peer wants it.
    Export {
        /// A private or public key.
        file: PathBuf,
        /// How the peer wants it.
        #[arg(long, value_name = "SPELLING", default_value = "base64")]
        r#as: key::Spelling,
    },
    /// Print the DNS records that publish a key.
    Dns(Box<key::dns::Arguments>),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether a device could run by this file, and if not, what to write.
    Check {
        /// The configuration.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Key(command)) => key_command(command),
        Some(Command::Publish(arguments)) => arguments.run().map(|told| print!("{told}")),
        Some(Command::Run { file }) => run_device(&file),
        Some(Command::Status { json, socket }) => status(&socket, json),
        Some(Command::Why { whom, json, socket }) => match why(&socket, &whom, json) {
            Ok(status) => return ExitCode::from(status),
            Err(reason) => {
                eprintln!("buttons: {reason}");
                return ExitCode::from(why::UNKNOWN);
            }
        },
        Some(Command::Clock { time, socket }) => set_clock(&socket, time),
        Some(Command::Address { address, gateway, socket }) => put(&socket, &address, gateway),
        Some(Command::Rekey { peer, ike_sa, socket }) => rekey(&socket, &peer, ike_sa),
        Some(Command::Pins(list)) => list.run().map(|told| print!("{told}")),
        Some(Command::Forget(forget)) => forget.run(),
        Some(Command::Accept(accept)) => accept.run(),
        Some(Command::Config(ConfigCommand::Check { file })) => check(&file),
        Some(Command::Resolve(arguments)) => match resolve_name(&arguments) {
            Ok(status) => return status,
            Err(reason) => Err(reason),
        },
        None => run_demo(arguments.demo),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("buttons: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run_demo(arguments: DemoArguments) -> Result<(), String> {
    let DemoArguments { peer, real_time, json, seed, capture } = arguments;
    let capture = capture.unwrap_or_else(|| demo::Options::default().capture);
    let options = demo::Options { real_time, seed, json, capture };
    let out = Box::new(std::io::stdout());
    if let Some(kind) = peer {
        return demo::against::run(kind, &options, out).map_err(|failure| failure.to_string());
    }
    demo::run(&options, out).map(drop).map_err(|failure| failure.to_string())
}

fn run_device(file: &Path) -> Result<(), String> {
    let device = config::read(file).map_err(|bad| bad.to_string())?;
    let hear = |event: &Event| words::of(event).iter().for_each(|sentence| eprintln!("{sentence}"));
    let socket = device.socket.display();
    let running =
        async |_: Stack<'_>| eprintln!("buttons: running; `buttons status --socket {socket}` asks how it is");
    run::run(&device, running, hear, |hint| eprintln!("{hint}")).map_err(|stopped| stopped.to_string())
}

fn status(socket: &Path, json: bool) -> Result<(), String> {
    match manage::ask(socket, &Request::Status)? {
        Response::Status(status) if json => {
            println!("{}", serde_json::to_string_pretty(&status).map_err(|error| error.to_string())?);
            Ok(())
        }
        Response::Status(status) => {
            print!("{}", manage::show(&status));
            Ok(())
        }
        _ => Err("the device answered something else".to_owned()),
    }
}

fn why(socket: &Path, asked: &str, json: bool) -> Result<u8, String> {
    match manage::ask(socket, &Request::Why(why::subject(asked)?))? {
        Response::Why(explanation) => {
            if json {
                println!(
                    "{}",
                    serde_json::to_string_pretty(&explanation).map_err(|error| error.to_string())?
                );
            } else {
                print!("{}", why::show(asked, &explanation));
            }
            Ok(why::exit_status(&explanation))
        }
        Response::NoSuchPeer => {
            Err(format!("{asked}: no peer has this name, and no client asked for it: try its address"))
        }
        _ => Err("the device answered something else".to_owned()),
    }
}

fn set_clock(socket: &Path, time: UnixTime) -> Result<(), String> {
    let told = resolve::moment::show(time);
    match manage::ask(socket, &Request::SetClock(time.0))? {
        Response::Done => Ok(()),
        Response::Refused(reason) => Err(format!("{told}: {reason}")),
        _ => Err("the device answered something else".to_owned()),
    }
}

fn put(socket: &Path, address: &str, gateway: Option<IpAddr>) -> Result<(), String> {
    let site = Site { address: config::prefix(address)?, gateway };
    match manage::ask(socket, &Request::Put(site))? {
        Response::Done => Ok(()),
        Response::Refused(reason) => Err(format!("{address}: {reason}")),
        _ => Err("the device answered something else".to_owned()),
    }
}

fn rekey(socket: &Path, peer: &str, ike_sa: bool) -> Result<(), String> {
    let name = peer.try_into().map_err(|_| format!("no peer is called {peer}"))?;
    let order = if ike_sa { Request::RekeyIkeSa(name) } else { Request::Start(name) };
    match manage::ask(socket, &order)? {
        Response::Done => Ok(()),
        Response::NoSuchPeer => Err(format!("no peer is called {peer}: `buttons status` lists them")),
        Response::Refused(reason) => Err(format!("{peer}: {reason}")),
        _ => Err("the device answered something else".to_owned()),
    }
}

fn resolve_name(arguments: &resolve::Arguments) -> Result<ExitCode, String> {
    let found = resolve::resolve(arguments).map_err(|error| error.to_string())?;
    if arguments.json {
        let json = resolve::show::json(&found);
        println!("{}", serde_json::to_string_pretty(&json).map_err(|error| error.to_string())?);
    } else {
        print!("{}", resolve::show::text(&found));
    }
    Ok(ExitCode::from(found.exit_status()))
}

fn key_command(command: KeyCommand) -> Result<(), String> {
    let tell = |file: &PathBuf| {
        let file = file.display().to_string();
        move |error: key::KeyError| format!("{file}: {error}")
    };
    match command {
        KeyCommand::New { file, kind } => {
            let new = key::generate(kind).map_err(tell(&file))?;
            key::write_private(&file, &new).map_err(tell(&file))?;
            println!("{} holds a new private key; keep it to yourself. For the peer:", file.display());
            show(&key::read(&file).map_err(tell(&file))?);
        }
        KeyCommand::Show { file } => show(&key::read(&file).map_err(tell(&file))?),
        KeyCommand::Fingerprint { file } => {
            let spki = key::read(&file).map_err(tell(&file))?;
            println!("{}", key::hex(&key::fingerprint(&spki)));
        }
        KeyCommand::Export { file, r#as } => {
            let spki = key::read(&file).map_err(tell(&file))?;
            print!("{}", key::spell(&spki, r#as).map_err(tell(&file))?);
        }
        KeyCommand::Dns(arguments) => print!("{}", arguments.print()?),
    }
    Ok(())
}

fn show(spki: &[u8]) {
    let kind = match key::parse_spki(spki) {
        Some(PublicKey::Ed25519(_)) => "Ed25519".into(),
        Some(PublicKey::EcdsaP256(_)) => "ECDSA P-256".into(),
        Some(PublicKey::EcdsaP384(_)) => "ECDSA P-384".into(),
        Some(PublicKey::Rsa(key)) => format!("RSA, {} bits", 8 * key.modulus().len()),
        None => String::from("unknown"),
    };
    println!("kind         {kind}");
    println!("fingerprint  {}", key::hex(&key::fingerprint(spki)));
    print!("public key   {}", key::spell(spki, key::Spelling::Base64).unwrap_or_default());
}

fn check(file: &Path) -> Result<(), String> {
    let device = config::read(file).map_err(|bad| bad.to_string())?;
    println!("{}: a device can run by this. What happens to a packet, first match:", file.display());
    let config = &device.config;
    print!("{}{}{}", words::of_policies(config), words::of_suites(config), words::of_fingerprints(config));
    Ok(())
}
