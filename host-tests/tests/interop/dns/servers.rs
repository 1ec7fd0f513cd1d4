//! The servers: Knot and BIND with all zones, Unbound and BIND as recursive ones. They stop when dropped.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use buttons::peer::{Namespace, PeerError, wait_until};

use super::zones::{AUTHORITATIVE, LIVE, LIVE_TTL, ZONES, file};
use crate::Fault;

/// What signs updates of the zone that changes (RFC 8945).
const SECRET: &str = "SSBjaGFuZ2UgdGhlIHpvbmUgdGhhdCBjaGFuZ2VzLg==";

/// How long a server may take to begin.
const START: Duration = Duration::from_secs(20);

pub struct Servers(Vec<Child>);

impl Servers {
    pub fn start(namespace: &Namespace, folder: &Path, zones: &Path, anchor: &Path) -> Result<Self, Fault> {
        for last in [53, 54, 56, 57] {
            namespace.run("ip", &["addr", "add", &format!("203.0.113.{last}/32"), "dev", "lo"])?;
        }
        namespace.run("ip", &["route", "add", "203.0.113.0/24", "dev", "lo"])?;
        let mut servers = Self(Vec::new());
        let anchor_text = fs::read_to_string(anchor)?;
        for (name, program, text, arguments) in [
            ("knot", "knotd", knot(folder, zones), ["-c"].as_slice()),
            ("authoritative", "named", authoritative_bind(folder, zones), &["-f", "-4", "-c"]),
            ("unbound", "unbound", unbound(folder, anchor), &["-d", "-c"]),
            ("recursive", "named", recursive_bind(folder, &anchor_text), &["-f", "-4", "-c"]),
        ] {
            let configuration = folder.join(name).with_extension("conf");
            fs::write(&configuration, text)?;
            for (server, hints) in AUTHORITATIVE.iter().zip(["knot.hints", "bind.hints"]) {
                let hints = folder.join(hints);
                fs::write(hints, format!(". 3600 IN NS ns.test.\nns.test. 3600 IN A {server}\n"))?;
            }
            let log = fs::File::create(folder.join(name).with_extension("log"))?;
            let mut command = namespace.command(program);
            command.args(arguments).arg(&configuration).current_dir(folder);
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            servers.0.push(command.spawn()?);
        }
        for (server, program) in [("203.0.113.56", "unbound"), ("203.0.113.57", "named")] {
            let ready = || {
                let asked = ["+time=1", "+tries=1", &format!("@{server}"), "p256.nsec.test", "TYPE45"];
                namespace.run("dig", &asked).is_ok_and(|said| said.contains("status: NOERROR"))
            };
            if !wait_until(START, ready) {
                let logs = ["knot", "authoritative", "unbound", "recursive"].map(|name| {
                    fs::read_to_string(folder.join(name).with_extension("log")).unwrap_or_default()
                });
                return Err(PeerError::NotReady { program, log: logs.join("\n") }.into());
            }
        }
        Ok(servers)
    }
}

/// Has `name` of the zone that changes lose what it has of these types, and have these records, given from
/// their type on, in one update (RFC 2136).
pub fn change(
    namespace: &Namespace,
    folder: &Path,
    name: &str,
    types: &[&str],
    records: &[String],
) -> Result<(), Fault> {
    let gone: String = types.iter().map(|rtype| format!("update delete {name} {rtype}\n")).collect();
    let new: String =
        records.iter().map(|record| format!("update add {name} {LIVE_TTL} {record}\n")).collect();
    let orders = folder.join("update");
    fs::write(&orders, format!("server {}\nzone {LIVE}\n{gone}{new}send\n", AUTHORITATIVE[1]))?;
    let key = format!("hmac-sha256:lab:{SECRET}");
    namespace.run("nsupdate", &["-y", &key, &orders.to_string_lossy()])?;
    Ok(())
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Namespaces and folders go anyway; nothing of theirs is worth keeping.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn knot(folder: &Path, zones: &Path) -> String {
    let (folder, storage) = (folder.display(), zones.display());
    let zones: String = ZONES
        .iter()
        .filter(|zone| **zone != LIVE)
        .map(|zone| format!("  - domain: {zone}\n    file: {}\n", file(zone)))
        .collect();
    let address = AUTHORITATIVE[0];
    format!(
        "server:\n    rundir: {folder}\n    listen: {address}@53\n\
         log:\n  - target: stderr\n    any: warning\n\
         database:\n    storage: {folder}/knot\n\
         template:\n  - id: default\n    storage: {storage}\n    semantic-checks: off\n\
         \u{20}   zonefile-sync: -1\n    journal-content: none\n\
         zone:\n{zones}"
    )
}

fn authoritative_bind(folder: &Path, zones: &Path) -> String {
    let storage = zones.display();
    let zones: String = ZONES
        .iter()
        .map(|zone| {
            // It signs what is put in with the keys that the zone was signed with.
            let changes = format!("allow-update {{ key lab; }}; key-directory \"{storage}\";");
            let changes = if *zone == LIVE { &changes } else { "" };
            format!("zone \"{zone}\" {{ type primary; file \"{storage}/{}\"; {changes} }};\n", file(zone))
        })
        .collect();
    let options = bind_options(folder, "authoritative", AUTHORITATIVE[1]);
    format!(
        "key lab {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\noptions {{ {options} recursion no; dnssec-validation no; notify no; }};\ncontrols {{ }};\n{zones}"
    )
}

fn recursive_bind(folder: &Path, anchor: &str) -> String {
    let options = bind_options(folder, "recursive", "203.0.113.57");
    let words: Vec<&str> = anchor.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "DS").unwrap_or(0);
    let [tag, algorithm, kind] = [1, 2, 3].map(|n| words.get(at + n).copied().unwrap_or_default());
    let digest: String = words.get(at + 4..).unwrap_or_default().concat();
    let hints = folder.join("bind.hints");
    format!(
        "trust-anchors {{ . static-ds {tag} {algorithm} {kind} \"{digest}\"; }};\n\
         options {{ {options} recursion yes; dnssec-validation yes; allow-query {{ any; }}; }};\n\
         controls {{ }};\nzone \".\" {{ type hint; file \"{}\"; }};\n",
        hints.display()
    )
}

fn bind_options(folder: &Path, name: &str, address: &str) -> String {
    let folder = folder.display();
    format!(
        "directory \"{folder}\"; pid-file \"{folder}/{name}.pid\"; session-keyfile \"{folder}/{name}.key\"; \
         managed-keys-directory \"{folder}\"; listen-on port 53 {{ {address}; }}; listen-on-v6 {{ none; }}; \
         query-source address {address}; empty-zones-enable no;"
    )
}

fn unbound(folder: &Path, anchor: &Path) -> String {
    format!(
        "server:\n  interface: 203.0.113.56\n  access-control: 0.0.0.0/0 allow\n  do-ip6: no\n  \
         do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  directory: \"{folder}\"\n  \
         pidfile: \"{folder}/unbound.pid\"\n  use-syslog: no\n  root-hints: \"{folder}/knot.hints\"\n  \
         trust-anchor-file: \"{anchor}\"\n  module-config: \"validator iterator\"\n  \
         local-zone: \"test.\" nodefault\n  local-zone: \"2.0.192.in-addr.arpa.\" nodefault\n  \
         local-zone: \"8.b.d.0.1.0.0.2.ip6.arpa.\" nodefault\n  do-not-query-localhost: no\n\
         remote-control:\n  control-enable: no\n",
        folder = folder.display(),
        anchor = anchor.display()
    )
}
