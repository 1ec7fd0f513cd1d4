//! libreswan in the machine: raw keys out of its NSS database, into which ours come as PKCS#12.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use buttons::key::{self, Kind, Spelling};
use buttons::peer;
use esp_engine::sa::Mode;

use super::case::{Case, SECRET};
use super::daemon::Daemon;
use super::machine::Machine;
use crate::Fault;
use crate::case::Proof;
use crate::credentials::{DEVICE, KeyPair, PEER};
use crate::device::Sa;

/// The one there is.
pub struct Libreswan;

/// What it may prove itself with.
const KINDS: [Kind; 3] = [Kind::P256, Kind::Rsa2048, Kind::Rsa4096];

/// Its keys, which live as long as its database.
static KEYS: OnceLock<Vec<(Kind, KeyPair)>> = OnceLock::new();

const IMPORT: &str = "mkdir -p /run/pluto /var/lib/ipsec/nss /etc/ipsec.d/policies
if [ ! -e /var/lib/ipsec/nss/key4.db ]; then
ipsec initnss; cp /host/libreswan/ipsec.secrets /etc/ipsec.secrets; chmod 600 /etc/ipsec.secrets
for key in /host/libreswan/*.p12; do pk12util -i $key -d sql:/var/lib/ipsec/nss -W ''; done
fi";
const START: &str = "rm -f /run/pluto/pluto.ctl /run/pluto/pluto.pid; : >/run/pluto.log
setsid /usr/libexec/ipsec/pluto --config /host/libreswan/ipsec.conf --nofork --logfile /run/pluto.log \
 </dev/null >/run/pluto.out 2>&1 &
until grep -q 'listening for IKE messages' /run/pluto.log; do kill -0 $!; sleep 0.1; done";
/// What an earlier case left goes.
const CLEAN: &str = "ipsec whack --delete --name device || true; truncate -s 0 /run/pluto.log";
const LOAD: &str = "/usr/libexec/ipsec/addconn --config /host/libreswan/ipsec.conf device";

impl Libreswan {
    /// Its keys, which it has in its database once this is done.
    pub fn keys(machine: &Machine) -> Result<&'static [(Kind, KeyPair)], Fault> {
        if let Some(keys) = KEYS.get() {
            return Ok(keys);
        }
        let folder = machine.shared("libreswan")?;
        std::fs::write(folder.join("ipsec.secrets"), format!("@{PEER} @{DEVICE} : PSK \"{SECRET}\"\n"))?;
        let mut keys = Vec::new();
        for kind in KINDS {
            let pair = KeyPair::new(kind)?;
            store(&pair, nickname(kind), &folder)?;
            keys.push((kind, pair));
        }
        machine.shell(IMPORT)?;
        Ok(KEYS.get_or_init(|| keys))
    }

    fn whack(machine: &Machine, arguments: &str) -> Result<(), Fault> {
        machine.shell(&format!("ipsec whack {arguments} 2>&1")).map(drop)
    }
}

const fn nickname(kind: Kind) -> &'static str {
    match kind {
        Kind::P256 => "p256",
        Kind::Rsa4096 => "rsa4096",
        _ => "rsa2048",
    }
}

/// Writes key and self-signed certificate as `name`.p12. NSS has one name for all certificates of one subject.
pub fn store(pair: &KeyPair, name: &str, folder: &Path) -> Result<(), Fault> {
    let (certificate, private) = (folder.join("certificate.pem"), folder.join("private.pem"));
    std::fs::write(&certificate, pair.certificate(folder, name)?)?;
    key::write_private(&private, &pair.private)?;
    peer::output(
        Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", "pass:", "-name", name, "-in"])
            .arg(&certificate)
            .arg("-inkey")
            .arg(&private)
            .arg("-out")
            .arg(folder.join(format!("{name}.p12"))),
    )?;
    std::fs::remove_file(&private)?;
    Ok(std::fs::remove_file(&certificate)?)
}

/// A line of ipsec.conf with a public key of ours (`left`) or of the other end (`right`).
pub fn key_line(side: &str, pair: &KeyPair) -> Result<String, Fault> {
    let spki = key::public(&pair.private).ok_or("no public key")?;
    let line = key::spell(&spki, Spelling::Libreswan)?;
    Ok(line.trim().replacen("left", side, 1))
}

/// Its connection; pluto is told nothing else but where its resolver is: nowhere.
fn configuration(case: &Case, own: &KeyPair, device: &KeyPair) -> Result<String, Fault> {
    let (right, left) = case.addresses();
    let known = || Ok::<_, Fault>(format!("{}\n  {}", key_line("left", own)?, key_line("right", device)?));
    let proof = match case.proof {
        Proof::SharedKey => "authby=secret".into(),
        Proof::Pinned(Kind::P256) => format!("authby=ecdsa\n  {}", known()?),
        // With a certificate its message is too long for one datagram.
        Proof::Pinned(kind @ Kind::Rsa4096) => format!(
            "authby=rsa-sha2\n  leftcert={}\n  leftsendcert=always\n  {}",
            nickname(kind),
            key_line("right", device)?
        ),
        Proof::Pinned(_) | Proof::Btns(_) | Proof::FirstUse(_) => format!("authby=rsa-sha2\n  {}", known()?),
    };
    let mode = match (case.mode, case.six) {
        (Mode::Transport, _) => "type=transport",
        (Mode::Tunnel, false) => "type=tunnel\n  leftsubnet=10.2.0.0/16\n  rightsubnet=10.1.0.0/16",
        (Mode::Tunnel, true) => "type=tunnel\n  leftsubnet=fd00:b::/64\n  rightsubnet=fd00:a::/64",
    };
    let identity = if case.is_null { "%null".into() } else { format!("@{PEER}") };
    let proof = if case.is_null { "authby=null".into() } else { proof };
    let pfs = if case.pfs { "yes" } else { "no" };
    Ok(format!(
        "config setup
  protostack=xfrm
  dnssec-enable=no

conn device
  ikev2=insist
  left={left}
  leftid={identity}
  right={right}
  rightid={}
  {proof}
  {mode}
  ike=aes_gcm128-sha2_256-dh31
  esp=aes_gcm128
  esn=yes
  pfs={pfs}
  auto=add
",
        if case.is_null { "%null".into() } else { format!("@{DEVICE}") }
    ))
}

impl Daemon for Libreswan {
    fn name(&self) -> &'static str {
        "libreswan"
    }

    fn process(&self) -> &'static str {
        "pluto"
    }

    fn load(&self, machine: &Machine, case: &Case, device: &KeyPair) -> Result<String, Fault> {
        let keys = Self::keys(machine)?;
        let kind = case.key_kind();
        let own = keys.iter().find(|(known, _)| *known == kind).map(|(_, pair)| pair).ok_or("no such key")?;
        let text = configuration(case, own, device)?;
        std::fs::write(machine.shared("libreswan")?.join("ipsec.conf"), text)?;
        machine.shell(&format!("if pidof pluto >/dev/null; then\n{CLEAN}\nelse\n{START}\nfi\n{LOAD}"))?;
        Ok(own.public_pem.clone())
    }

    fn start(&self, machine: &Machine) -> Result<(), Fault> {
        machine.shell(&format!("{START}\n{LOAD}")).map(drop)
    }

    fn initiate(&self, machine: &Machine) -> Result<(), Fault> {
        Self::whack(machine, "--initiate --name device")
    }

    fn terminate(&self, machine: &Machine) -> Result<(), Fault> {
        Self::whack(machine, "--terminate --name device")
    }

    fn rekey(&self, machine: &Machine, what: Sa) -> Result<(), Fault> {
        let what = if what == Sa::Ike { "--rekey-ike" } else { "--rekey-ipsec" };
        Self::whack(machine, &format!("{what} --name device"))
    }

    fn log(&self, machine: &Machine) -> String {
        machine.shell("cat /run/pluto.log").unwrap_or_default()
    }

    fn tells_of_pfs(&self, log: &str) -> bool {
        log.lines().any(|line| line.contains("rekeyed Child SA") && line.contains("-DH31"))
    }
}
