//! strongSwan's charon with ESP in user space (`kernel-libipsec`): tunnel mode inside UDP, which
//! needs no kernel support and no module.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::namespace::Namespace;
use super::{PeerError, check_program, output, stop, wait_until};

/// How strongSwan and the device authenticate each other.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Raw public keys, both pinned: strongSwan's private key and the device's public one, in PEM.
    PinnedKeys {
        /// strongSwan's private key, PKCS#8.
        own: String,
        /// The device's SubjectPublicKeyInfo.
        peer: String,
    },
    /// A self-signed X.509 certificate of strongSwan's, and the device's public key, in PEM.
    Certificate {
        /// strongSwan's private key, PKCS#8.
        own: String,
        /// Its self-signed certificate.
        certificate: String,
        /// The device's SubjectPublicKeyInfo.
        peer: String,
    },
    /// A shared key.
    SharedKey(String),
}

/// One connection as strongSwan's end sees it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// What strongSwan calls itself.
    pub identity: String,
    /// What the device calls itself.
    pub peer_identity: String,
    /// The device's address.
    pub peer_address: String,
    /// How both authenticate.
    pub authentication: Authentication,
    /// IKE proposal in strongSwan's spelling.
    pub ike: &'static str,
    /// ESP proposal in strongSwan's spelling.
    pub esp: &'static str,
    /// The networks behind strongSwan, with commas between them.
    pub own_networks: &'static str,
    /// The networks behind the device.
    pub peer_networks: &'static str,
}

/// What lies behind the peer of a [`Topology`](super::Topology).
pub const PEER_NETWORKS: &str = "10.2.0.0/16,fd00:b::/64";
/// What lies behind its device.
pub const DEVICE_NETWORKS: &str = "10.1.0.0/16,fd00:a::/64";

/// A running charon; it stops when this is dropped.
#[derive(Debug)]
pub struct StrongSwan {
    charon: Child,
    folder: PathBuf,
}

const PROGRAMS: [(&str, &str); 2] = [("charon-systemd", "charon-systemd"), ("swanctl", "strongswan-swanctl")];
const USER_SPACE_ESP: (&str, &str) =
    ("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so", "libcharon-extra-plugins");

impl StrongSwan {
    /// Whether it is installed with what is needed here.
    ///
    /// # Errors
    /// [`PeerError::Missing`] names what is not.
    pub fn check() -> Result<(), PeerError> {
        PROGRAMS.into_iter().try_for_each(|(program, package)| check_program(program, package))?;
        let (program, package) = USER_SPACE_ESP;
        Path::new(program).exists().then_some(()).ok_or(PeerError::Missing { program, package })
    }

    /// Starts charon in `namespace` with `folder` for configuration, log and socket, and loads `connection`.
    ///
    /// # Errors
    /// [`PeerError`] with charon's own words.
    pub fn start(namespace: &Namespace, folder: &Path, connection: &Connection) -> Result<Self, PeerError> {
        Self::check()?;
        let folder = folder.canonicalize()?;
        for kind in ["private", "pubkey", "x509", "x509ca", "rsa", "ecdsa", "pkcs8"] {
            fs::create_dir_all(folder.join(kind))?;
        }
        fs::write(folder.join("strongswan.conf"), daemon_configuration(&folder))?;
        fs::write(folder.join("swanctl.conf"), connection_configuration(connection))?;
        match &connection.authentication {
            Authentication::PinnedKeys { own, peer } => {
                fs::write(folder.join("private/own.pem"), own)?;
                fs::write(folder.join("pubkey/own.pem"), public_of(&folder)?)?;
                fs::write(folder.join("pubkey/peer.pem"), peer)?;
            }
            Authentication::Certificate { own, certificate, peer } => {
                fs::write(folder.join("private/own.pem"), own)?;
                fs::write(folder.join("x509/own.pem"), certificate)?;
                fs::write(folder.join("pubkey/peer.pem"), peer)?;
            }
            Authentication::SharedKey(_) => {}
        }
        let charon = namespace
            .command("/usr/sbin/charon-systemd")
            .env("STRONGSWAN_CONF", folder.join("strongswan.conf"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join("stdio.log"))?)
            .stderr(Stdio::null())
            .spawn()?;
        let running = Self { charon, folder };
        if !wait_until(Duration::from_secs(10), || running.folder.join("charon.vici").exists()) {
            return Err(PeerError::NotReady { program: "charon-systemd", log: running.log() });
        }
        running.control(&["--load-all", "--noprompt"])?;
        Ok(running)
    }

    /// `swanctl` with these arguments.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn control(&self, arguments: &[&str]) -> Result<String, PeerError> {
        output(
            std::process::Command::new("swanctl")
                .args(arguments)
                .arg("--uri")
                .arg(format!("unix://{}", self.folder.join("charon.vici").display()))
                .env("SWANCTL_DIR", &self.folder)
                .env("STRONGSWAN_CONF", self.folder.join("strongswan.conf")),
        )
    }

    /// Asks it to set up the Child SA.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn initiate(&self) -> Result<String, PeerError> {
        self.control(&["--initiate", "--child", "net", "--timeout", "10"])
    }

    /// Asks it to delete the IKE SA.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn terminate(&self) -> Result<String, PeerError> {
        self.control(&["--terminate", "--ike", "device", "--timeout", "10"])
    }

    /// Its SAs in its own words; empty without any.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words.
    pub fn sas(&self) -> Result<String, PeerError> {
        self.control(&["--list-sas"])
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("charon.log")).unwrap_or_default()
    }
}

impl Drop for StrongSwan {
    fn drop(&mut self) {
        stop(&mut self.charon);
    }
}

fn public_of(folder: &Path) -> Result<String, PeerError> {
    let key = folder.join("private/own.pem");
    output(std::process::Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(key))
}

fn daemon_configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "charon-systemd {{
  load = random nonce openssl chapoly curve25519 hmac kdf gcm aes sha1 sha2 pem pkcs1 pkcs8 pubkey x509 constraints kernel-libipsec kernel-netlink socket-default vici
  install_virtual_ip = no
  close_ike_on_child_failure = no
  plugins {{
    vici {{
      socket = unix://{folder}/charon.vici
    }}
  }}
  syslog {{
    daemon {{
      default = -1
    }}
    auth {{
      default = -1
    }}
  }}
  filelog {{
    log {{
      path = {folder}/charon.log
      flush_line = yes
      default = 1
    }}
  }}
}}
"
    )
}

fn connection_configuration(connection: &Connection) -> String {
    let Connection {
        identity,
        peer_identity,
        peer_address,
        authentication,
        ike,
        esp,
        own_networks,
        peer_networks,
    } = connection;
    let (local, remote, secrets) = match authentication {
        Authentication::PinnedKeys { .. } => {
            ("auth = pubkey\n pubkeys = own.pem", "auth = pubkey\n pubkeys = peer.pem", String::new())
        }
        Authentication::Certificate { .. } => {
            ("auth = pubkey\n certs = own.pem", "auth = pubkey\n pubkeys = peer.pem", String::new())
        }
        Authentication::SharedKey(secret) => (
            "auth = psk",
            "auth = psk",
            format!(
                "secrets {{\n ike-device {{\n id-1 = {identity}\n id-2 = {peer_identity}\n secret = \"{secret}\"\n }}\n}}\n"
            ),
        ),
    };
    format!(
        "connections {{
 device {{
  version = 2
  remote_addrs = {peer_address}
  proposals = {ike}
  mobike = no
  encap = yes
  send_cert = always
  local {{
   id = {identity}
   {local}
  }}
  remote {{
   id = {peer_identity}
   {remote}
  }}
  children {{
   net {{
    mode = tunnel
    local_ts = {own_networks}
    remote_ts = {peer_networks}
    esp_proposals = {esp}
   }}
  }}
 }}
}}
{secrets}"
    )
}
