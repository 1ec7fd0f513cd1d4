//! What a running device remembers of its peers, and the operator's word on it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use firmware::management::{RememberedPeer, Request, Response};

use crate::config::{self, value};
use crate::manage;

const EXAMPLES: &str = "\
Examples:
  buttons pins                       who is known, and by which key
  buttons pins --json                the same for programs
  buttons forget b.example           whoever comes next is b.example
  buttons forget 192.0.2.2           the same, of somebody without name
  buttons accept b.example 7d40…     b.example has this key from now on";

/// Where the device listens.
#[derive(clap::Args)]
pub struct At {
    /// Where the device listens.
    #[arg(long, default_value = config::DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// `buttons pins`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

/// `buttons forget`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Forget {
    /// A name or an address, as `buttons pins` shows it.
    peer: String,
    #[command(flatten)]
    at: At,
}

/// `buttons accept`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Accept {
    /// A name or an address, as `buttons pins` shows it.
    peer: String,
    /// SHA-256 of the new key, as its owner's `buttons key fingerprint` prints it.
    fingerprint: String,
    #[command(flatten)]
    at: At,
}

impl List {
    /// What is remembered.
    ///
    /// # Errors
    /// What to do, in words.
    pub fn run(&self) -> Result<String, String> {
        let Response::Remembered(peers) = manage::ask(&self.at.socket, &Request::Remembered)? else {
            return Err("the device answered something else".to_owned());
        };
        if self.json {
            return serde_json::to_string_pretty(&peers)
                .map(|json| json + "\n")
                .map_err(|error| error.to_string());
        }
        Ok(show(&peers))
    }
}

impl Forget {
    /// # Errors
    /// What to do, in words.
    pub fn run(&self) -> Result<(), String> {
        order(&self.at.socket, &self.peer, Request::Forget)
    }
}

impl Accept {
    /// # Errors
    /// What to do, in words.
    pub fn run(&self) -> Result<(), String> {
        let sum = value::octets(&self.fingerprint).and_then(|sum| sum.try_into().ok());
        let fingerprint = sum.ok_or("a fingerprint has 64 hexadecimal digits")?;
        order(&self.at.socket, &self.peer, |of| Request::Accept { of, fingerprint })
    }
}

fn order(
    socket: &Path,
    peer: &str,
    request: impl FnOnce(firmware::management::Words) -> Request,
) -> Result<(), String> {
    let unknown = || format!("{peer}: nothing is remembered of it: `buttons pins` lists who is known");
    let of = peer.trim_end_matches('.').try_into().map_err(|_| unknown())?;
    match manage::ask(socket, &request(of))? {
        Response::Done => Ok(()),
        Response::NoSuchPeer => Err(unknown()),
        Response::Refused(reason) => Err(format!("{peer}: {reason}")),
        _ => Err("the device answered something else".to_owned()),
    }
}

/// Each peer in two lines: who it is and where it was, then by what it is known.
fn show(peers: &[RememberedPeer]) -> String {
    if peers.is_empty() {
        return "nobody is remembered\n".to_owned();
    }
    let mut text = String::new();
    for peer in peers {
        let _ = writeln!(text, "{} at {}", peer.of, peer.address);
        let _ = match &peer.fingerprint {
            Some(sum) => writeln!(text, "  key {sum}"),
            None => writeln!(text, "  not for less than: {}", peer.level.words()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use esp_engine::spd::Level;
    use firmware::management::Shown;

    use super::*;

    fn peer(of: &str, level: Level, sum: Option<&str>) -> RememberedPeer {
        RememberedPeer {
            of: of.try_into().unwrap(),
            address: [192, 0, 2, 2].into(),
            level: Shown(level),
            fingerprint: sum.map(|sum| sum.try_into().unwrap()),
        }
    }

    #[test]
    fn strangers_are_shown_by_their_keys_and_others_by_their_level() {
        let sum = "ab".repeat(32);
        let shown =
            show(&[peer("b.example", Level::First, Some(&sum)), peer("c.example", Level::Validated, None)]);
        assert_eq!(
            shown,
            format!(
                "b.example at 192.0.2.2\n  key {sum}\nc.example at 192.0.2.2\n  not for less than: validated by DNSSEC\n"
            )
        );
        assert!(shown.lines().all(|line| line.len() <= 80));
        assert_eq!(show(&[]), "nobody is remembered\n");
    }
}
