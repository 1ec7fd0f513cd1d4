//! BIND, which serves all the zones, and unbound, which asks it.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use buttons::peer::wait_until;

use super::ask;
use super::signing::Tree;
use crate::Fault;
use crate::ground::Folder;

/// Both, stopped when this goes.
pub struct Servers {
    running: Vec<Child>,
    /// unbound.
    pub recursive: SocketAddr,
}

impl Servers {
    pub fn start(folder: &Folder, tree: &Tree) -> Result<Self, Fault> {
        let (authoritative, recursive) = (free_port()?, free_port()?);
        let mut servers = Self { running: Vec::new(), recursive };
        let path = folder.inside("servers")?;
        let mut named = format!(
            "options {{ directory \"{}\"; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
            recursion no; dnssec-validation no; pid-file none; session-keyfile none; notify no; }};
            controls {{ }};\n",
            path.display(),
            authoritative.port()
        );
        let mut unbound = format!(
            "server:\n interface: 127.0.0.1\n port: {}\n do-daemonize: no\n chroot: \"\"\n username: \"\"
 pidfile: \"\"\n use-syslog: no\n do-not-query-localhost: no\n qname-minimisation: no\n num-threads: 1
 trust-anchor: \". DS {}\"\n module-config: \"validator iterator\"\n val-log-level: 2\n outgoing-range: 64
 outbound-msg-retry: 2\n",
            recursive.port(),
            tree.anchor_text
        );
        for (name, file) in &tree.zones {
            writeln!(
                named,
                "zone \"{name}\" {{ type primary; file \"{}\"; check-names ignore; }};",
                file.display()
            )?;
            let port = authoritative.port();
            write!(unbound, "stub-zone:\n name: \"{name}\"\n stub-addr: 127.0.0.1@{port}\n")?;
        }
        let (named_file, unbound_file) = (path.join("named.conf"), path.join("unbound.conf"));
        fs::write(&named_file, named)?;
        fs::write(&unbound_file, unbound)?;
        let start = |program: &str, arguments: &[&str]| -> Result<Child, Fault> {
            let log = fs::File::create(path.join(format!("{program}.log")))?;
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            Ok(command.spawn()?)
        };
        servers.running.push(start("named", &["-g", "-n", "1", "-c", &named_file.to_string_lossy()])?);
        servers.running.push(start("unbound", &["-d", "-c", &unbound_file.to_string_lossy()])?);
        for (program, server) in [("named", authoritative), ("unbound", recursive)] {
            let answers = || ask::rcode(server, ".", "NS").is_ok_and(|rcode| rcode == 0);
            if !wait_until(Duration::from_secs(60), answers) {
                let log = fs::read_to_string(path.join(format!("{program}.log")))?;
                return Err(format!("{program} does not answer:\n{log}").into());
            }
        }
        Ok(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> Result<SocketAddr, Fault> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
