//! A name server with a folder of its own, on a port of its own.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use buttons::peer::{output, wait_until};
use libtest_mimic::Failed;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

/// Whose server it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Brand {
    Bind,
    Knot,
}

impl Brand {
    pub const ALL: [Self; 2] = [Self::Bind, Self::Knot];

    pub const fn program(self) -> &'static str {
        match self {
            Self::Bind => "named",
            Self::Knot => "knotd",
        }
    }

    pub const fn package(self) -> &'static str {
        match self {
            Self::Bind => "bind9",
            Self::Knot => "knot",
        }
    }

    /// The README's block of configuration, which begins like this.
    fn recipe(self) -> Result<String, Failed> {
        let start = match self {
            Self::Bind => "```text\ninclude \"",
            Self::Knot => "```text\ninclude: ",
        };
        let readme = fs::read_to_string(README)?;
        let block = readme.split_once(start).and_then(|(_, rest)| rest.split_once("```"));
        let (block, _) = block.ok_or("the README has no such recipe")?;
        Ok(start.trim_start_matches("```text\n").to_owned() + block)
    }

    /// Has the server's own tool make a secret for a name.
    pub fn make_secret(self, name: &str, file: &Path) -> Result<(), Failed> {
        let text = match self {
            Self::Bind => output(Command::new("/usr/sbin/tsig-keygen").arg(name))?,
            Self::Knot => output(Command::new("/usr/sbin/keymgr").args(["-t", name, "hmac-sha256"]))?,
        };
        fs::write(file, text)?;
        Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
    }
}

/// A server of `example.net`; it stops and its folder goes when this goes.
pub struct Server {
    brand: Brand,
    pub folder: PathBuf,
    pub address: SocketAddr,
    /// The network namespace that it runs in, if it has one.
    namespace: Option<String>,
    child: Option<Child>,
}

impl Server {
    /// Configured by the README's recipe, not started.
    pub fn by_recipe(brand: Brand) -> Result<Self, Failed> {
        Self::new(brand)?.with_recipe()
    }

    /// The same in a network namespace, at an address there.
    pub fn within(brand: Brand, namespace: &str, address: SocketAddr) -> Result<Self, Failed> {
        let mut server = Self::new(brand)?;
        (server.address, server.namespace) = (address, Some(namespace.to_owned()));
        server.with_recipe()
    }

    fn with_recipe(self) -> Result<Self, Failed> {
        self.brand.make_secret("b.example.net", &self.path("b.tsig"))?;
        self.configure(&self.brand.recipe()?)?;
        Ok(self)
    }

    pub fn new(brand: Brand) -> Result<Self, Failed> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("buttons-ns-{}-{count}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { brand, folder, address, namespace: None, child: None })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes configuration and zone; files are named relative to the folder.
    pub fn configure(&self, text: &str) -> Result<(), Failed> {
        let (folder, ip, port) = (self.folder.display(), self.address.ip(), self.address.port());
        let start = match self.brand {
            Brand::Bind => format!(
                "options {{ directory \"{folder}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; \
                 pid-file none; session-keyfile none; recursion no; dnssec-validation no; }};\ncontrols {{ }};\n"
            ),
            Brand::Knot => format!(
                "server:\n  listen: {ip}@{port}\n  rundir: {folder}\ndatabase:\n  storage: {folder}\n\
                 template:\n  - id: default\n    storage: {folder}\n"
            ),
        };
        let zone = "$TTL 3600\n\
                    example.net. IN SOA ns.example.net. h.example.net. 1 7200 900 604800 300\n\
                    example.net. IN NS ns.example.net.\n\
                    ns.example.net. IN A 192.0.2.53\n";
        fs::write(self.path("example.net.zone"), zone)?;
        Ok(fs::write(self.path("server.conf"), start + text)?)
    }

    /// Adds to the zone, before the start.
    pub fn add_records(&self, records: &str) -> Result<(), Failed> {
        let zone = fs::read_to_string(self.path("example.net.zone"))?;
        Ok(fs::write(self.path("example.net.zone"), zone + records)?)
    }

    pub fn start(&mut self) -> Result<(), Failed> {
        let mut command = self.command(&format!("/usr/sbin/{}", self.brand.program()));
        command.current_dir(&self.folder).arg("-c").arg(self.path("server.conf"));
        if self.brand == Brand::Bind {
            command.args(["-g", "-n", "1"]);
        }
        let log = fs::File::create(self.path("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        let ready = || self.dig("example.net", "SOA").is_ok_and(|said| said.contains("ns.example.net."));
        if wait_until(Duration::from_secs(60), ready) {
            return Ok(());
        }
        Err(fs::read_to_string(self.path("log"))?.into())
    }

    fn command(&self, program: &str) -> Command {
        let Some(namespace) = &self.namespace else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]);
        command
    }

    /// What it says about a name, short.
    pub fn dig(&self, name: &str, rtype: &str) -> Result<String, Failed> {
        let mut command = self.command("dig");
        let (server, port) = (format!("@{}", self.address.ip()), self.address.port().to_string());
        command.args(["+short", "+tries=1", "+timeout=1", "-p", &port, &server, name, rtype]);
        Ok(output(&mut command)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
