//! What a router of the demo is to be, and the configuration that makes it that.

use std::net::Ipv4Addr;

use esp_engine::crypto::Algorithm;
use esp_engine::sa::Mode;
use esp_engine::spd::Level;
use firmware::config::{
    Action, Authentication, Config, Identity, Interface, Peer, Policy, Ports, Prefix, PrivateKey, Role,
    Start, Suite, Timing,
};
use ike_core::crypto::{Group, Prf};

use crate::{bgp, key};

const TCP: u8 = 6;

/// What a router is to be.
pub struct Plan {
    pub(super) name: &'static str,
    pub(super) number: u8,
    pub(super) identity: &'static str,
    pub(super) key: PrivateKey,
    pub(super) trusts: Trust,
    pub(super) speaks: Speaks,
}

/// Whom a router believes.
#[expect(clippy::large_enum_variant, reason = "there are four of them in all")]
pub enum Trust {
    /// One peer, by its key.
    Pinned {
        /// Its short name.
        name: &'static str,
        /// Its number.
        number: u8,
        /// Its key; only the public half is used.
        key: PrivateKey,
        /// Who begins.
        start: Start,
    },
    /// Whoever it is (RFC 5386).
    Anyone,
}

/// Who opens the BGP session with whom.
#[derive(Copy, Clone)]
pub enum Speaks {
    /// It calls this number.
    Calls(u8),
    /// It waits for this number.
    ListensTo(u8),
}

impl Plan {
    /// Router `name` with the address 192.0.2.`number`.
    pub fn new(name: &'static str, number: u8, key: PrivateKey) -> Self {
        let identity = match name {
            "a" => "a.example",
            "b" => "b.example",
            "c" => "c.example",
            _ => "d.example",
        };
        Self { name, number, identity, key, trusts: Trust::Anyone, speaks: Speaks::ListensTo(0) }
    }

    /// It claims this name.
    pub fn called(self, identity: &'static str) -> Self {
        Self { identity, ..self }
    }

    /// It believes these.
    pub fn trusts(self, trusts: Trust) -> Self {
        Self { trusts, ..self }
    }

    /// It opens a BGP session with 192.0.2.`number`.
    pub fn calls(self, number: u8) -> Self {
        Self { speaks: Speaks::Calls(number), ..self }
    }

    /// It waits for 192.0.2.`number` to open a BGP session.
    pub fn listens_to(self, number: u8) -> Self {
        Self { speaks: Speaks::ListensTo(number), ..self }
    }

    /// What firmware is given.
    pub fn config(&self) -> Config {
        let far = match self.speaks {
            Speaks::Calls(far) | Speaks::ListensTo(far) => far,
        };
        let (local_ports, remote_ports) = match self.speaks {
            Speaks::Calls(_) => (Ports::ANY, Ports::single(bgp::PORT)),
            Speaks::ListensTo(_) => (Ports::single(bgp::PORT), Ports::ANY),
        };
        let minimum = if matches!(self.trusts, Trust::Anyone) { Level::Any } else { Level::Pinned };
        let policy = Policy {
            name: text("bgp"),
            local: Prefix { address: address(self.number).into(), length: 32 },
            remote: Prefix { address: address(far).into(), length: 32 }.into(),
            protocol: TCP,
            local_ports,
            remote_ports,
            action: Action::Protect { mode: Mode::Transport, minimum, peer: None, pfs: false },
        };
        let port = Prefix { address: address(self.number).into(), length: 24 };
        // AES-GCM, because tshark decrypts that.
        let gcm = Algorithm::Aes128Gcm16;
        let suite = Suite::Custom { ike: gcm, prf: Prf::HmacSha256, group: Group::Curve25519, esp: gcm };
        Config {
            role: Role::Host,
            identity: Identity::Fqdn(text(self.identity)),
            key: self.key.clone(),
            interfaces: [Interface { addresses: [port].into_iter().collect() }].into_iter().collect(),
            routes: Default::default(),
            peers: [self.trusts.peer()].into_iter().collect(),
            policies: [policy].into_iter().collect(),
            suites: [suite].into_iter().collect(),
            force_encapsulation: false,
            mobike: false,
            timing: Timing { liveness_s: 10, ..Timing::default() },
            clock: Default::default(),
            resolver: None,
            publication: None,
        }
    }
}

impl Trust {
    fn peer(&self) -> Peer {
        match self {
            Self::Anyone => Peer {
                name: text("anyone"),
                identity: None,
                address: None,
                authentication: Authentication::Btns,
                ranges: Default::default(),
                start: Start::OnTraffic,
                childless: false,
                port: 500,
                ppk: None,
            },
            Self::Pinned { name, number, key, start } => {
                let spki = key::public(key).unwrap_or_default();
                let pinned = heapless::Vec::from_slice(&spki).unwrap_or_default();
                Peer {
                    name: text(name),
                    identity: Some(Identity::Fqdn(text(&format!("{name}.example")))),
                    address: Some(address(*number).into()),
                    authentication: Authentication::Pinned([pinned].into_iter().collect()),
                    ranges: Default::default(),
                    start: *start,
                    childless: false,
                    port: 500,
                    ppk: None,
                }
            }
        }
    }
}

fn text<const N: usize>(text: &str) -> heapless::String<N> {
    text.try_into().unwrap_or_default()
}

/// 192.0.2.`number`.
pub const fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, number)
}

/// The hardware address of router `number`.
pub const fn hardware_address(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}
