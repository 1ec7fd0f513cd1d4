//! Where these cases play:
//! ```text
//!   host 10.1.0.2 ── lan0 [ device ] wan0 192.0.2.1 ── switch ── wan0 [ far ] stub 10.2.0.1
//!                                                        └ 192.0.2.254: the servers of `dns`
//! ```
//! The far end has 192.0.2.2, .3 and .22, and 2001:db8::2.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use buttons::key;
use buttons::peer::{Authentication, Connection, Namespace, Options, StrongSwan};
use firmware::config::PrivateKey;

use crate::Fault;
use crate::credentials::KeyPair;
use crate::device::Device;
use crate::dns::Ground;
use crate::dns::hosts::KEYS;
use crate::ground::Folder;

/// The device's name.
pub const DEVICE: &str = "dev1.nsec.test";
/// What is behind it.
pub const INSIDE: &str = "10.1.0.0/16";
/// Where the far end is at first.
pub const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

pub struct Stage {
    pub dns: Ground,
    pub device: Namespace,
    pub host: Namespace,
    pub far: Namespace,
    folder: Folder,
    folders: AtomicU32,
}

impl Stage {
    pub fn new() -> Result<Self, Fault> {
        let (dns, device) = (Ground::new()?, Namespace::new("device")?);
        let (host, far) = (Namespace::new("host")?, Namespace::new("far")?);
        dns.be_a_switch()?;
        device.run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"])?;
        dns.attach(&device, "device")?;
        dns.attach(&far, "far")?;
        device.cable("lan0", &host, "lan0")?;
        host.run("ip", &["addr", "add", "10.1.0.2/16", "dev", "lan0"])?;
        host.run("ip", &["route", "add", "default", "via", "10.1.0.1"])?;
        Ok(Self { dns, device, host, far, folder: Folder::new()?, folders: AtomicU32::new(0) })
    }

    /// A new folder for whatever is started.
    pub fn folder(&self) -> Result<PathBuf, Fault> {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        self.folder.inside(&number.to_string())
    }

    /// The far end gets addresses in the kernel, as whoever runs there wants it.
    pub fn far_is_a_host(&self) -> Result<(), Fault> {
        let far = &self.far;
        far.cable("stub", far, "stub-end")?;
        for (device, address) in [
            ("wan0", "192.0.2.2/24"),
            ("wan0", "192.0.2.3/24"),
            ("wan0", "192.0.2.22/24"),
            ("stub", "10.2.0.1/16"),
        ] {
            far.run("ip", &["addr", "add", address, "dev", device])?;
        }
        far.run("ip", &["addr", "add", "2001:db8::2/64", "dev", "wan0", "nodad"])?;
        far.run("ip", &["route", "add", INSIDE, "via", "192.0.2.1"])?;
        Ok(())
    }

    /// A gateway called `identity` with the key of `dev1` that asks `server`; `rest` are its peers and policies.
    pub fn gateway(&self, identity: &str, server: &str, rest: &str) -> Result<Device, Fault> {
        let text = format!(
            r#"role = "gateway"
identity = "{identity}"
key = "own.pem"
socket = "device.sock"
suites = ["aes128gcm16-curve25519"]

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24", "2001:db8::1/64"]

[[interface]]
device = "lan0"
addresses = ["10.1.0.1/16"]

[[route]]
to = "0.0.0.0/0"
via = "192.0.2.254"

[dns]
servers = ["{server}"]
anchors = "root.ds"

{rest}"#
        );
        self.start(&self.device, &KEYS[0], &text)
    }

    /// A device with this key and configuration.
    pub fn start(&self, at: &Namespace, key: &PrivateKey, text: &str) -> Result<Device, Fault> {
        let folder = self.folder()?;
        key::write_private(&folder.join("own.pem"), key)?;
        std::fs::copy(&self.dns.tree.anchor, folder.join("root.ds"))?;
        Device::start(at, &folder, text)
    }

    /// strongSwan at the far end, which calls itself `identity`, proves that by `key`, and speaks for `networks`.
    pub fn strongswan(
        &self,
        identity: &str,
        key: &PrivateKey,
        networks: &'static str,
    ) -> Result<(StrongSwan, PathBuf), Fault> {
        let own = key::private_pem(key).ok_or("no private key")?.to_string();
        self.strongswan_by(
            identity,
            Authentication::PinnedKeys { own, peer: Self::key_of_device()? },
            networks,
        )
    }

    /// The same, but it shows its key, in a certificate that nobody signed but itself.
    pub fn strongswan_with_certificate(
        &self,
        identity: &str,
        key: &PrivateKey,
        networks: &'static str,
    ) -> Result<(StrongSwan, PathBuf), Fault> {
        let pair = KeyPair::of(key.clone())?;
        let certificate = pair.certificate(&self.folder()?, identity)?;
        let authentication =
            Authentication::Certificate { own: pair.private_pem, certificate, peer: Self::key_of_device()? };
        self.strongswan_by(identity, authentication, networks)
    }

    fn key_of_device() -> Result<String, Fault> {
        let spki = key::public(&KEYS[0]).ok_or("no public key")?;
        Ok(key::spell(&spki, key::Spelling::Strongswan)?)
    }

    fn strongswan_by(
        &self,
        identity: &str,
        authentication: Authentication,
        networks: &'static str,
    ) -> Result<(StrongSwan, PathBuf), Fault> {
        let connection = Connection {
            identity: identity.into(),
            peer_identity: DEVICE.into(),
            peer_address: "192.0.2.1,2001:db8::1".into(),
            authentication,
            ike: "aes128gcm16-prfsha256-x25519",
            esp: "aes128gcm16",
            own_networks: networks,
            peer_networks: INSIDE,
            options: Options::default(),
        };
        let folder = self.folder()?;
        Ok((StrongSwan::start(&self.far, &folder, &connection)?, folder))
    }
}

/// A fault with what both ends told.
pub fn with_logs(fault: &Fault, device: &Device, other: &str) -> Fault {
    format!("{fault}\n--- device\n{}--- far end\n{other}", device.log()).into()
}
