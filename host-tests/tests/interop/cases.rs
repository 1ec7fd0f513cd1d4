//! Our gateway against strongSwan: every way to authenticate, every suite, either end first, either
//! end's Delete.

use std::net::IpAddr;
use std::time::Duration;

use buttons::key::{self, Kind};
use buttons::peer::{Authentication, Behind, Connection, DEVICE_NETWORKS, PEER_NETWORKS, StrongSwan};
use esp_engine::spd::Level;
use firmware::management::Shown;
use ike_core::error::CloseReason;
use libtest_mimic::Trial;

use crate::credentials::{DEVICE, KeyPair, PEER};
use crate::device::Device;
use crate::ground::{Ground, expect};
use crate::{Fault, case, traffic};

/// How both ends authenticate.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// Raw keys, both pinned.
    Pinned(Kind),
    /// A shared key.
    SharedKey,
    /// strongSwan shows a self-signed certificate with such a key, which the BTNS wildcard takes.
    Btns(Kind),
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
    /// Curve25519, after whoever begins has guessed P-256.
    AfterWrongGuess,
}

impl Suite {
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
            Self::AfterWrongGuess if first == First::Device => {
                r#"["hardware-aes", "aes128gcm16-curve25519"]"#
            }
            Self::AfterWrongGuess => r#"["aes128gcm16-curve25519"]"#,
        }
    }
}

/// Pinned Ed25519 keys, AES-GCM, our end first.
pub const ORDINARY: Case = Case {
    proof: Proof::Pinned(Kind::Ed25519),
    suite: Suite::AesCurve25519,
    first: First::Device,
    six: false,
    lifetime: 3_600,
    nat: None,
};

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
}

/// All of them.
pub fn trials() -> Vec<Trial> {
    let ways = [
        ("ed25519", Proof::Pinned(Kind::Ed25519), Suite::AesCurve25519),
        ("p256", Proof::Pinned(Kind::P256), Suite::AesP256),
        ("shared_key", Proof::SharedKey, Suite::ChaChaCurve25519),
        ("btns", Proof::Btns(Kind::P256), Suite::ChaChaCurve25519),
        ("rsa2048", Proof::Pinned(Kind::Rsa2048), Suite::AesCurve25519),
        ("rsa3072", Proof::Pinned(Kind::Rsa3072), Suite::AesCurve25519),
        ("rsa4096", Proof::Pinned(Kind::Rsa4096), Suite::AesCurve25519),
        ("rsa_btns", Proof::Btns(Kind::Rsa2048), Suite::AesCurve25519),
        ("p384", Proof::Pinned(Kind::P384), Suite::AesP384),
        ("modp2048", Proof::Pinned(Kind::Ed25519), Suite::AesModp2048),
        ("compat", Proof::Pinned(Kind::P256), Suite::Compat),
        ("cbc_prf384", Proof::SharedKey, Suite::CbcPrf384),
        ("gcm_prf512", Proof::SharedKey, Suite::GcmPrf512),
    ];
    let mut trials = Vec::new();
    for (first, who) in [(First::Device, "we_begin"), (First::Peer, "strongswan_begins")] {
        for (name, proof, suite) in ways {
            let plain = Case { proof, suite, first, ..ORDINARY };
            trials.push(case(format!("gateway::{name}::{who}"), move || plain.run()));
        }
        let six = Case { suite: Suite::AesP256, first, six: true, ..ORDINARY };
        trials.push(case(format!("gateway::ipv6::{who}"), move || six.run()));
        for (liar, wrong) in [("ours", First::Device), ("strongswans", First::Peer)] {
            let name = format!("gateway::wrong_key_of_{liar}::{who}");
            let plain = Case { six: false, ..six };
            trials.push(case(name, move || plain.run_with_wrong_key(wrong)));
        }
    }
    trials
}

impl Case {
    /// The host behind the device.
    fn near(&self) -> IpAddr {
        if self.six { [0xFD00, 0xA, 0, 0, 0, 0, 0, 2].into() } else { [10, 1, 0, 2].into() }
    }

    /// The address behind, or of, strongSwan that traffic goes to.
    pub fn far(&self) -> IpAddr {
        match (self.proof, self.six) {
            // A stranger speaks for nobody but itself.
            (Proof::Btns(_), false) => [192, 0, 2, 2].into(),
            (_, false) => [10, 2, 0, 1].into(),
            (_, true) => [0xFD00, 0xB, 0, 0, 0, 0, 0, 1].into(),
        }
    }

    fn run(self) -> Result<(), Fault> {
        let ground = Ground::new()?;
        let (device, peer) = self.start(&ground, None)?;
        let with_log = |fault: Fault| -> Fault { format!("{fault}\n--- strongSwan\n{}", peer.log()).into() };
        let up = self.converse(&ground, &device, &peer);
        up.map_err(|fault| with_log(format!("{fault}\n--- device\n{}", device.log()).into()))?;
        self.part(device, &peer).map_err(with_log)?;
        drop(peer);
        ground.only_esp()?;
        Ok(())
    }

    /// Brings the SA up and carries traffic.
    fn converse(&self, ground: &Ground, device: &Device, peer: &StrongSwan) -> Result<(), Fault> {
        if self.first == First::Peer {
            peer.initiate()?;
        }
        // The first packet waits for its SA and is not lost.
        traffic::ping_once(&ground.topology.host, self.far(), Duration::from_secs(5))?;
        let [out, back] = ground.traffic(self.near(), self.far(), self.first == First::Device)?;
        println!("{:.0} and {:.0} Mbit/s", out * 8e-6, back * 8e-6);
        let sas = peer.sas()?;
        expect(sas.matches("INSTALLED, TUNNEL").count() == 1, || format!("not one Child SA: {sas}"))?;
        let status = device.status()?;
        let [ike] = &*status.ike_sas else { return Err(format!("not one IKE SA: {status:?}").into()) };
        let [child] = &*status.child_sas else { return Err(format!("not one Child SA: {status:?}").into()) };
        let shown = [ike.level, Some(child.level)];
        expect(shown == [Some(Shown(self.level())); 2], || format!("level: {shown:?}"))?;
        expect(ike.identity == PEER, || format!("identity: {}", ike.identity))?;
        expect(child.packets.0 > traffic::PINGS.into() && child.packets.1 > traffic::PINGS.into(), || {
            format!("too few packets: {child:?}")
        })
    }

    /// One end deletes the IKE SA, the other has to know it.
    fn part(&self, device: Device, peer: &StrongSwan) -> Result<(), Fault> {
        match self.first {
            First::Device => {
                peer.terminate()?;
                let status = device.status()?;
                expect(status.ike_sas.is_empty() && status.child_sas.is_empty(), || format!("{status:?}"))?;
                let why = device.why("strongswan")?;
                expect(why == CloseReason::DeletedByPeer.words(), || format!("other reason: {why}"))
            }
            First::Peer => {
                let log = device.stop()?;
                expect(peer.sas()?.is_empty(), || format!("strongSwan keeps its SA; the device:\n{log}"))?;
                let told = "received DELETE for IKE_SA";
                expect(peer.log().contains(told), || format!("no Delete; the device:\n{log}"))
            }
        }
    }

    /// One end signs with a key that the other does not know. Both ends say AUTHENTICATION_FAILED.
    fn run_with_wrong_key(self, liar: First) -> Result<(), Fault> {
        let ground = Ground::new()?;
        let (device, peer) = self.start(&ground, Some(liar))?;
        match self.first {
            First::Device => {
                let ping = traffic::ping_once(&ground.topology.host, self.far(), Duration::from_secs(1));
                expect(ping.is_err(), || "a ping passed".into())?;
            }
            First::Peer => expect(peer.initiate().is_err(), || "strongSwan has an SA".into())?,
        }
        let (why, log) = (device.why("strongswan")?, peer.log());
        let both = || format!("why: {why}\n--- device\n{}\n--- strongSwan\n{log}", device.log());
        let told = match liar {
            First::Device => why.contains("AUTHENTICATION_FAILED"),
            First::Peer => why.starts_with("authentication failed"),
        };
        expect(told && log.contains("N(AUTH_FAILED)"), both)?;
        let status = device.status()?;
        expect(status.child_sas.is_empty() && !status.ike_sas.iter().any(|sa| sa.established), both)?;
        expect(peer.sas()?.is_empty(), both)?;
        drop(peer);
        ground.only_ike()?;
        Ok(())
    }

    /// What the device makes of strongSwan's proof.
    fn level(&self) -> Level {
        match self.proof {
            Proof::Pinned(_) => Level::Pinned,
            Proof::SharedKey => Level::Shared,
            Proof::Btns(_) => Level::Any,
        }
    }

    /// Starts both ends; `liar` gets a key that the other end does not know.
    pub fn start(&self, ground: &Ground, liar: Option<First>) -> Result<(Device, StrongSwan), Fault> {
        let kind = match self.proof {
            Proof::Pinned(kind) | Proof::Btns(kind) => kind,
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
        let device = Device::start(&ground.topology.device, &folder, &self.for_device())?;

        let folder = ground.folder.inside("peer")?;
        let connection = self.for_strongswan(match self.proof {
            Proof::Pinned(_) => Authentication::PinnedKeys { own: other.private_pem, peer: own_pem },
            Proof::SharedKey => Authentication::SharedKey(SECRET.into()),
            Proof::Btns(_) => Authentication::Certificate {
                certificate: other.certificate(&folder)?,
                own: other.private_pem,
                peer: own_pem,
            },
        });
        Ok((device, StrongSwan::start(&ground.topology.peer, &folder, &connection)?))
    }

    fn for_strongswan(&self, authentication: Authentication) -> Connection {
        let (ike, esp) = self.suite.for_strongswan(self.first);
        Connection {
            identity: PEER.into(),
            peer_identity: DEVICE.into(),
            peer_address: if self.six { "2001:db8::1" } else { "192.0.2.1" }.into(),
            authentication,
            ike,
            esp,
            own_networks: if matches!(self.proof, Proof::Btns(_)) { "192.0.2.2/32" } else { PEER_NETWORKS },
            peer_networks: DEVICE_NETWORKS,
        }
    }

    fn for_device(&self) -> String {
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
        };
        let far = match (self.proof, self.six) {
            (Proof::Btns(_), _) => "192.0.2.2/32",
            (_, false) => "10.2.0.0/16",
            (_, true) => "fd00:b::/64",
        };
        let lifetime = self.lifetime;
        // A short life leaves no time for many.
        let tries = if lifetime < 600 { 2 } else { 6 };
        let (own, routes) = match self.nat {
            Some(Behind::Device) => ("198.51.100.2/24", vec![("0.0.0.0/0", "198.51.100.1")]),
            _ => ("192.0.2.1/24", vec![("10.2.0.0/16", "192.0.2.2"), ("fd00:b::/64", "2001:db8::2")]),
        };
        let routes: String =
            routes.iter().map(|(to, via)| format!("[[route]]\nto = \"{to}\"\nvia = \"{via}\"\n\n")).collect();
        let near = if self.six { "fd00:a::/64" } else { "10.1.0.0/16" };
        format!(
            r#"role = "gateway"
identity = "{DEVICE}"
key = "own.pem"
suites = {suite}
force-encapsulation = true
socket = "device.sock"
timing = {{ child-lifetime-s = {lifetime}, tries = {tries} }}

[[interface]]
device = "wan0"
addresses = ["{own}", "2001:db8::1/64"]

[[interface]]
device = "lan0"
addresses = ["10.1.0.1/16", "fd00:a::1/64"]

{routes}[[peer]]
name = "strongswan"
{peer}

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
