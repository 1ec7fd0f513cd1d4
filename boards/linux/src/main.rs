//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use buttons::{config, demo, key};
use clap::{Parser, Subcommand};

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
    /// Let time pass as it does outside.
    #[arg(long)]
    real_time: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// What keys, ports and delays depend on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where capture and keys go [default: buttons-demo in /tmp].
    #[arg(long, value_name = "FOLDER")]
    capture: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  buttons                            two routers, one cable, some attackers
  buttons --real-time                the same, to watch
  buttons key new own.pem            make a key
  buttons key export own.pem         show its public half, for the peer
  buttons config check device.toml   find mistakes before they matter";

#[derive(Subcommand)]
enum Command {
    /// Make keys, and show public keys to peers.
    #[command(subcommand)]
    Key(KeyCommand),
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
        Some(Command::Config(ConfigCommand::Check { file })) => check(&file),
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
    let DemoArguments { real_time, json, seed, capture } = arguments;
    let capture = capture.unwrap_or_else(|| demo::Options::default().capture);
    let options = demo::Options { real_time, seed, json, capture };
    demo::run(&options, Box::new(std::io::stdout())).map(drop).map_err(|failure| failure.to_string())
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
            print!("{}", key::spell(&spki, r#as).unwrap_or_default());
        }
    }
    Ok(())
}

fn show(spki: &[u8]) {
    let kind = match key::kind_of(spki) {
        Some(key::Kind::Ed25519) => "Ed25519",
        Some(key::Kind::P256) => "ECDSA P-256",
        None => "unknown",
    };
    println!("kind         {kind}");
    println!("fingerprint  {}", key::hex(&key::fingerprint(spki)));
    print!("public key   {}", key::spell(spki, key::Spelling::Base64).unwrap_or_default());
}

fn check(file: &std::path::Path) -> Result<(), String> {
    let device = config::read(file).map_err(|bad| bad.to_string())?;
    let (peers, policies) = (device.config.peers.len(), device.config.policies.len());
    println!("{}: a device can run by this: {peers} peers, {policies} policies", file.display());
    Ok(())
}
