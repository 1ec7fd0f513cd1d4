//! What charon reads: its own settings, one connection with one Child SA, and its keys.

use std::fs;
use std::path::Path;

use esp_engine::sa::Mode;

use super::super::{PeerError, output};

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
    /// What is seldom otherwise.
    pub options: Options,
}

/// What a connection has beside ends, keys and algorithms.
#[derive(Clone, Debug)]
pub struct Options {
    /// Transport or tunnel mode; in transport mode the networks are the ends themselves.
    pub mode: Mode,
    /// Whether ESP travels in UDP although no NAT lies between (RFC 3948).
    pub encapsulate: bool,
    /// Whether either end may move to another address (RFC 4555).
    pub mobike: bool,
    /// Octets of the longest IP datagram that a message leaves in whole (RFC 7383).
    pub datagram: u16,
    /// A post-quantum preshared key.
    pub ppk: Option<Ppk>,
}

impl Default for Options {
    /// What user-space ESP can do: tunnel mode, in UDP.
    fn default() -> Self {
        Self { mode: Mode::Tunnel, encapsulate: true, mobike: false, datagram: 1_280, ppk: None }
    }
}

/// A post-quantum preshared key (RFC 8784).
#[derive(Clone, Debug)]
pub struct Ppk {
    /// How both ends call it.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// Whether there is no IKE SA without it.
    pub required: bool,
}

/// What charon itself is told.
#[derive(Copy, Clone, Debug)]
pub struct Charon<'a> {
    /// The plugins that bring ESP.
    pub esp: &'a str,
    /// Where it listens for `swanctl`.
    pub socket: &'a Path,
    /// Where it tells what happens.
    pub log: &'a Path,
}

/// What lies behind the peer of a [`Topology`](crate::peer::Topology).
pub const PEER_NETWORKS: &str = "10.2.0.0/16,fd00:b::/64";
/// What lies behind its device.
pub const DEVICE_NETWORKS: &str = "10.1.0.0/16,fd00:a::/64";

impl Connection {
    /// Writes everything into `folder`: `strongswan.conf`, `swanctl.conf` and the keys.
    ///
    /// # Errors
    /// [`PeerError`] of the file system, or of a private key that openssl does not take.
    pub fn write(&self, folder: &Path, charon: &Charon<'_>) -> Result<(), PeerError> {
        for kind in ["private", "pubkey", "x509", "x509ca", "rsa", "ecdsa", "pkcs8"] {
            fs::create_dir_all(folder.join(kind))?;
        }
        fs::write(folder.join("strongswan.conf"), self.for_charon(charon))?;
        fs::write(folder.join("swanctl.conf"), self.for_swanctl())?;
        match &self.authentication {
            Authentication::PinnedKeys { own, peer } => {
                fs::write(folder.join("private/own.pem"), own)?;
                fs::write(folder.join("pubkey/own.pem"), public_of(folder)?)?;
                fs::write(folder.join("pubkey/peer.pem"), peer)?;
            }
            Authentication::Certificate { own, certificate, peer } => {
                fs::write(folder.join("private/own.pem"), own)?;
                fs::write(folder.join("x509/own.pem"), certificate)?;
                fs::write(folder.join("pubkey/peer.pem"), peer)?;
            }
            Authentication::SharedKey(_) => {}
        }
        Ok(())
    }

    fn for_charon(&self, charon: &Charon<'_>) -> String {
        let Charon { esp, socket, log } = charon;
        let (socket, log, datagram) = (socket.display(), log.display(), self.options.datagram);
        format!(
            "charon-systemd {{
  load = random nonce openssl chapoly curve25519 hmac kdf gcm aes sha1 sha2 pem pkcs1 pkcs8 pubkey x509 constraints {esp} socket-default vici
  install_virtual_ip = no
  close_ike_on_child_failure = no
  fragment_size = {datagram}
  plugins {{
    vici {{
      socket = unix://{socket}
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
      path = {log}
      flush_line = yes
      default = 1
    }}
  }}
}}
"
        )
    }

    fn for_swanctl(&self) -> String {
        let Connection {
            identity,
            peer_identity,
            peer_address,
            authentication,
            ike,
            esp,
            own_networks,
            peer_networks,
            options,
        } = self;
        let yes_or_no = |on: bool| if on { "yes" } else { "no" };
        let (mobike, encap) = (yes_or_no(options.mobike), yes_or_no(options.encapsulate));
        let mode = if options.mode == Mode::Tunnel { "tunnel" } else { "transport" };
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
                    " ike-device {{\n  id-1 = {identity}\n  id-2 = {peer_identity}\n  secret = \"{secret}\"\n }}\n"
                ),
            ),
        };
        let (ppk, ppk_secret) = options.ppk.as_ref().map(Ppk::spell).unwrap_or_default();
        format!(
            "connections {{
 device {{
  version = 2
  remote_addrs = {peer_address}
  proposals = {ike}
  mobike = {mobike}
  encap = {encap}
  {ppk}
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
    mode = {mode}
    local_ts = {own_networks}
    remote_ts = {peer_networks}
    esp_proposals = {esp}
   }}
  }}
 }}
}}
secrets {{
{secrets}{ppk_secret}}}
"
        )
    }
}

impl Ppk {
    /// Its lines in the connection and among the secrets.
    fn spell(&self) -> (String, String) {
        let Self { id, secret, required } = self;
        let required = if *required { "yes" } else { "no" };
        (
            format!("ppk_id = {id}\n  ppk_required = {required}"),
            format!(" ppk-device {{\n  id = {id}\n  secret = \"{secret}\"\n }}\n"),
        )
    }
}

fn public_of(folder: &Path) -> Result<String, PeerError> {
    let key = folder.join("private/own.pem");
    output(std::process::Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(key))
}
