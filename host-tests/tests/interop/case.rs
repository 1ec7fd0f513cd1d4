//! One case against strongSwan in a namespace: what both ends are told, and how both are started.

use std::net::IpAddr;
use std::path::PathBuf;

use buttons::key::{self, Kind};
use buttons::peer::{
    self, Authentication, Behind, Connection, DEVICE_NETWORKS, Options, PEER_NETWORKS, StrongSwan,
};
use esp_engine::spd::Level;

use crate::Fault;
use crate::credentials::{DEVICE, KeyPair, PEER};
use crate::device::Device;
use crate::ground::Ground;

/// How both ends authenticate.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// Raw keys, both pinned.
    Pinned(Kind),
    /// A shared key.
    SharedKey,
    /// strongSwan shows a self-signed certificate with such a key, which the BTNS wildcard takes.
    Btns(Kind),
    /// The same, and the device remembers that key.
    FirstUse(Kind),
}

/// What both ends agree on.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Suite {
    AesCurve25519,
    ChaChaCurve25519,
    AesP256,
    AesP384,
    AesModp2048,
    Compat,
    /// AES-256-CBC with HMAC-SHA2-256, and HMAC-SHA2-384 as PRF.
    CbcPrf384,
    /// AES-256-GCM, and HMAC-SHA2-512 as PRF.
    GcmPrf512,
    /// Curve25519, then ML-KEM-768.
    MlKem768,
    /// ML-KEM-512 alone, in IKE_SA_INIT.
    MlKem512,
    /// ML-KEM-768 only if the other end has it, which it does not.
    MlKemIfPossible,
    /// ML-KEM-768 demanded of an end that does not have it.
    MlKemInVain,
    /// Curve25519, after whoever begins has guessed P-256.
    AfterWrongGuess,
}

impl Suite {
    /// Whether it takes a strongSwan newer than the distribution's.
    const fn is_new(self) -> bool {
        matches!(self, Self::MlKem768 | Self::MlKem512)
    }

    /// As strongSwan spells it: IKE, ESP.
    fn for_strongswan(self, first: First) -> (&'static str, &'static str) {
        match self {
            Self::AesCurve25519 => ("aes128gcm16-prfsha256-x25519", "aes128gcm16"),
            Self::ChaChaCurve25519 => ("chacha20poly1305-prfsha256-x25519", "chacha20poly1305"),
            Self::AesP256 => ("aes128gcm16-prfsha256-ecp256", "aes128gcm16"),
            Self::AesP384 => ("aes128gcm16-prfsha256-ecp384", "aes128gcm16"),
            Self::AesModp2048 => ("aes128gcm16-prfsha256-modp2048", "aes128gcm16"),
            Self::Compat => ("aes128-sha256-prfsha256-modp2048", "aes128-sha256"),
            Self::CbcPrf384 => ("aes256-sha256-prfsha384-x25519", "aes256-sha256"),
            Self::GcmPrf512 => ("aes256gcm16-prfsha512-x25519", "aes256gcm16"),
            Self::MlKem768 => ("chacha20poly1305-prfsha256-x25519-ke1_mlkem768", "chacha20poly1305"),
            Self::MlKem512 => ("aes128gcm16-prfsha256-mlkem512", "aes128gcm16"),
            Self::MlKemIfPossible | Self::MlKemInVain => Self::ChaChaCurve25519.for_strongswan(first),
            Self::AfterWrongGuess if first == First::Peer => {
                ("aes128gcm16-prfsha256-ecp256-x25519", "aes128gcm16")
            }
            Self::AfterWrongGuess => ("aes128gcm16-prfsha256-x25519", "aes128gcm16"),
        }
    }

    /// As the device's configuration spells it.
    fn for_device(self, first: First) -> &'static str {
        match self {
            Self::AesCurve25519 => r#"["aes128gcm16-curve25519"]"#,
            Self::ChaChaCurve25519 => r#"["fast-software"]"#,
            Self::AesP256 => r#"["hardware-aes"]"#,
            Self::AesP384 => r#"["aes128gcm16-p384"]"#,
            Self::AesModp2048 => r#"["aes128gcm16-modp2048"]"#,
            Self::Compat => r#"["compat"]"#,
            Self::CbcPrf384 => r#"["aes256-sha256-prfsha384-curve25519"]"#,
            Self::GcmPrf512 => r#"["aes256gcm16-prfsha512-curve25519"]"#,
            Self::MlKem768 | Self::MlKemInVain => r#"["post-quantum"]"#,
            Self::MlKem512 => r#"["aes128gcm16-mlkem512"]"#,
            Self::MlKemIfPossible => r#"["post-quantum", "fast-software"]"#,
            Self::AfterWrongGuess if first == First::Device => {
                r#"["hardware-aes", "aes128gcm16-curve25519"]"#
            }
            Self::AfterWrongGuess => r#"["aes128gcm16-curve25519"]"#,
        }
    }
}

/// Where a strongSwan with ML-KEM is unpacked, if somewhere.
pub fn newer_strongswan() -> Option<PathBuf> {
    std::env::var_os("BUTTONS_NEWER_STRONGSWAN").map(PathBuf::from)
}

/// Pinned Ed25519 keys, AES-GCM, our end first.
pub const ORDINARY: Case = Case {
    proof: Proof::Pinned(Kind::Ed25519),
    suite: Suite::AesCurve25519,
    first: First::Device,
    six: false,
    lifetime: 3_600,
    nat: None,
    datagrams: (1_280, 1_280),
    mobike: false,
    ppks: (None, None),
    own: Own::Fixed,
};

/// Where the device is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Own {
    /// Where it is configured.
    Fixed,
    /// And later at 192.0.2.7.
    Moving,
    /// Where a DHCP server puts it, at 192.0.2.50 or 192.0.2.60.
    Leased,
}

/// Which end begins; the other end's Delete is tried at the end.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum First {
    /// Traffic from behind the device makes it begin; strongSwan deletes.
    Device,
    /// strongSwan is told to begin; the device deletes.
    Peer,
}

/// One case.
#[derive(Copy, Clone, Debug)]
pub struct Case {
    pub proof: Proof,
    pub suite: Suite,
    pub first: First,
    /// IPv6 outside and inside.
    pub six: bool,
    /// Seconds after which a Child SA ends; it is replaced after five sixths of them.
    pub lifetime: u32,
    /// The end that is behind a NAT.
    pub nat: Option<Behind>,
    /// Octets of the longest IP datagram of a message in whole: ours, strongSwan's.
    pub datagrams: (u16, u16),
    /// Whether strongSwan may move.
    pub mobike: bool,
    pub ppks: Ppks,
    pub own: Own,
}

/// Post-quantum preshared keys: ours, strongSwan's.
pub type Ppks = (Option<Ppk>, Option<Ppk>);

/// A post-quantum preshared key at one end (RFC 8784).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ppk {
    /// What both ends should have in common.
    pub secret: &'static str,
    /// Whether this end insists.
    pub mandatory: bool,
}

impl Case {
    /// The host behind the device.
    pub fn near(&self) -> IpAddr {
        if self.six { [0xFD00, 0xA, 0, 0, 0, 0, 0, 2].into() } else { [10, 1, 0, 2].into() }
    }

    /// The address behind, or of, strongSwan that traffic goes to.
    pub fn far(&self) -> IpAddr {
        match (self.proof, self.six) {
            // A stranger speaks for nobody but itself.
            (Proof::Btns(_) | Proof::FirstUse(_), false) => [192, 0, 2, 2].into(),
            (_, false) => [10, 2, 0, 1].into(),
            (_, true) => [0xFD00, 0xB, 0, 0, 0, 0, 0, 1].into(),
        }
    }

    /// What the device makes of strongSwan's proof.
    pub fn level(&self) -> Level {
        match self.proof {
            Proof::Pinned(_) => Level::Pinned,
            Proof::SharedKey => Level::Shared,
            Proof::Btns(_) => Level::Any,
            Proof::FirstUse(_) => Level::First,
        }
    }

    /// Starts both ends; `liar` gets a key that the other end does not know.
    pub fn start(&self, ground: &Ground, liar: Option<First>) -> Result<(Device, StrongSwan), Fault> {
        let kind = match self.proof {
            Proof::Pinned(kind) | Proof::Btns(kind) | Proof::FirstUse(kind) => kind,
            Proof::SharedKey => Kind::Ed25519,
        };
        let (own, other) = (KeyPair::new(kind)?, KeyPair::new(kind)?);
        let signs_with =
            |end: First, key: KeyPair| if liar == Some(end) { KeyPair::new(kind) } else { Ok(key) };
        let (own_pem, other_pem) = (own.public_pem.clone(), other.public_pem.clone());
        let (own, other) = (signs_with(First::Device, own)?, signs_with(First::Peer, other)?);

        let folder = ground.folder.inside("device")?;
        key::write_private(&folder.join("own.pem"), &own.private)?;
        std::fs::write(folder.join("peer.pub"), &other_pem)?;
        std::fs::write(folder.join("shared"), SECRET)?;
        if let Some(ppk) = self.ppks.0 {
            std::fs::write(folder.join("ppk"), ppk.secret)?;
        }
        let device = Device::start(&ground.topology.device, &folder, &self.for_device())?;

        let folder = ground.folder.inside("peer")?;
        let connection = self.for_strongswan(match self.proof {
            Proof::Pinned(_) => Authentication::PinnedKeys { own: other.private_pem, peer: own_pem },
            Proof::SharedKey => Authentication::SharedKey(SECRET.into()),
            Proof::Btns(_) | Proof::FirstUse(_) => Authentication::Certificate {
                certificate: other.certificate(&folder, PEER)?,
                own: other.private_pem,
                peer: own_pem,
            },
        });
        let namespace = &ground.topology.peer;
        let peer = match newer_strongswan().filter(|_| self.suite.is_new()) {
            Some(root) => StrongSwan::start_under(&root, namespace, &folder, &connection)?,
            None => StrongSwan::start(namespace, &folder, &connection)?,
        };
        Ok((device, peer))
    }

    fn for_strongswan(&self, authentication: Authentication) -> Connection {
        let (ike, esp) = self.suite.for_strongswan(self.first);
        Connection {
            identity: PEER.into(),
            peer_identity: DEVICE.into(),
            peer_address: match self.own {
                Own::Fixed if self.six => "2001:db8::1",
                Own::Fixed => "192.0.2.1",
                Own::Moving => "192.0.2.1, 192.0.2.7",
                Own::Leased => "192.0.2.50, 192.0.2.60",
            }
            .into(),
            authentication,
            ike,
            esp,
            own_networks: if matches!(self.proof, Proof::Btns(_) | Proof::FirstUse(_)) {
                "192.0.2.2/32"
            } else {
                PEER_NETWORKS
            },
            peer_networks: DEVICE_NETWORKS,
            options: Options {
                mobike: self.mobike,
                datagram: self.datagrams.1,
                ppk: self.ppks.1.map(|ppk| peer::Ppk {
                    id: PPK.into(),
                    secret: ppk.secret.into(),
                    required: ppk.mandatory,
                }),
                ..Options::default()
            },
        }
    }

    pub fn for_device(&self) -> String {
        let suite = self.suite.for_device(self.first);
        let address = if self.six { "2001:db8::2" } else { "192.0.2.2" };
        let known = |by: &str| {
            format!(
                r#"identity = "{PEER}"
address = "{address}"
ranges = ["10.2.0.0/16", "fd00:b::/64"]
{by}"#
            )
        };
        let (peer, minimum) = match self.proof {
            Proof::Pinned(_) => (known(r#"key = "peer.pub""#), "pinned"),
            Proof::SharedKey => (known(r#"shared-key = "shared""#), "shared"),
            Proof::Btns(_) => (r#"btns = true"#.into(), "any"),
            Proof::FirstUse(_) => (r#"first-use = true"#.into(), "first"),
        };
        let far = match (self.proof, self.six) {
            (Proof::Btns(_) | Proof::FirstUse(_), _) => "192.0.2.2/32",
            (_, false) => "10.2.0.0/16",
            (_, true) => "fd00:b::/64",
        };
        let (lifetime, datagram, mobike) = (self.lifetime, self.datagrams.0, self.mobike);
        let ppk = self.ppks.0.map_or(String::new(), |Ppk { mandatory, .. }| {
            format!("ppk = {{ id = \"{PPK}\", secret = \"ppk\", optional = {} }}", !mandatory)
        });
        // A short life leaves no time for many.
        let tries = if lifetime < 600 { 2 } else { 6 };
        let (own, routes) = match self.nat {
            Some(Behind::Device) => ("198.51.100.2/24", vec![("0.0.0.0/0", "198.51.100.1")]),
            _ => ("192.0.2.1/24", vec![("10.2.0.0/16", "192.0.2.2"), ("fd00:b::/64", "2001:db8::2")]),
        };
        // What DHCP gives is no network that a route could be in before.
        let is_known = |via: &str| self.own != Own::Leased || via.contains(':');
        let routes: Vec<_> = routes.into_iter().filter(|(_, via)| is_known(via)).collect();
        let own = if self.own == Own::Leased { "dhcp" } else { own };
        let routes: String =
            routes.iter().map(|(to, via)| format!("[[route]]\nto = \"{to}\"\nvia = \"{via}\"\n\n")).collect();
        let near = if self.six { "fd00:a::/64" } else { "10.1.0.0/16" };
        format!(
            r#"role = "gateway"
identity = "{DEVICE}"
key = "own.pem"
suites = {suite}
force-encapsulation = true
mobike = {mobike}
socket = "device.sock"
timing = {{ child-lifetime-s = {lifetime}, tries = {tries}, datagram = {datagram} }}

[[interface]]
device = "wan0"
addresses = ["{own}", "2001:db8::1/64"]

[[interface]]
device = "lan0"
addresses = ["10.1.0.1/16", "fd00:a::1/64"]

{routes}[[peer]]
name = "strongswan"
{peer}
{ppk}

[[policy]]
name = "net"
local = "{near}"
remote = "{far}"
action = "protect"
mode = "tunnel"
minimum = "{minimum}"
peer = "strongswan"
"#
        )
    }
}

const SECRET: &str = "a secret of two ends";
/// How both ends call their post-quantum preshared key.
const PPK: &str = "ours";
