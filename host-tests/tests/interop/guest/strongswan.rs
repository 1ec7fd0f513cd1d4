//! strongSwan in the machine.

use std::path::Path;

use buttons::peer::{Authentication, Charon, Connection, DEVICE_NETWORKS, Options, PEER_NETWORKS};
use esp_engine::sa::Mode;

use super::case::{Case, SECRET};
use super::daemon::Daemon;
use super::machine::Machine;
use crate::Fault;
use crate::case::Proof;
use crate::credentials::{DEVICE, KeyPair, PEER};
use crate::device::Sa;

/// The one there is.
pub struct StrongSwan;

const SOCKET: &str = "/run/charon.vici";
const LOG: &str = "/run/charon.log";

/// Lines that tell the others where everything is.
const PLACES: &str = "export STRONGSWAN_CONF=/host/strongswan/strongswan.conf SWANCTL_DIR=/host/strongswan
control() { swanctl \"$@\" --uri unix:///run/charon.vici 2>&1; }";
const START: &str = "rm -f /run/charon.vici
setsid /usr/sbin/charon-systemd </dev/null >/run/charon.out 2>&1 &
until [ -S /run/charon.vici ]; do kill -0 $!; sleep 0.1; done";
/// What an earlier case left goes.
const CLEAN: &str = "control --terminate --ike device --force --timeout 5 || true
control --reload-settings";
const LOAD: &str = ": >>/run/charon.log; truncate -s 0 /run/charon.log
control --load-all --clear --noprompt";

impl StrongSwan {
    fn control(machine: &Machine, arguments: &str) -> Result<(), Fault> {
        machine.shell(&format!("{PLACES}\ncontrol {arguments}")).map(drop)
    }
}

impl Daemon for StrongSwan {
    fn name(&self) -> &'static str {
        "strongswan"
    }

    fn process(&self) -> &'static str {
        "charon-systemd"
    }

    fn load(&self, machine: &Machine, case: &Case, device: &KeyPair) -> Result<String, Fault> {
        let own = KeyPair::new(case.key_kind())?;
        let (own_networks, peer_networks) = match case.mode {
            Mode::Tunnel => (PEER_NETWORKS, DEVICE_NETWORKS),
            Mode::Transport => ("dynamic", "dynamic"),
        };
        let connection = Connection {
            identity: PEER.into(),
            peer_identity: DEVICE.into(),
            peer_address: case.addresses().0.into(),
            authentication: match case.proof {
                Proof::SharedKey => Authentication::SharedKey(SECRET.into()),
                _ => Authentication::PinnedKeys { own: own.private_pem, peer: device.public_pem.clone() },
            },
            ike: "aes128gcm16-prfsha256-x25519",
            esp: if case.pfs { "aes128gcm16-x25519-esn" } else { "aes128gcm16-esn" },
            own_networks,
            peer_networks,
            options: Options {
                mode: case.mode,
                encapsulate: false,
                datagram: case.datagrams.1,
                ..Options::default()
            },
        };
        let charon = Charon { esp: "kernel-netlink", socket: Path::new(SOCKET), log: Path::new(LOG) };
        connection.write(&machine.shared(self.name())?, &charon)?;
        machine.shell(&format!(
            "{PLACES}\nif pidof charon-systemd >/dev/null; then\n{CLEAN}\nelse\n{START}\nfi\n{LOAD}"
        ))?;
        Ok(own.public_pem)
    }

    fn start(&self, machine: &Machine) -> Result<(), Fault> {
        machine.shell(&format!("{PLACES}\n{START}\n{LOAD}")).map(drop)
    }

    fn initiate(&self, machine: &Machine) -> Result<(), Fault> {
        Self::control(machine, "--initiate --child net --timeout 60")
    }

    fn terminate(&self, machine: &Machine) -> Result<(), Fault> {
        Self::control(machine, "--terminate --ike device --timeout 60")
    }

    fn rekey(&self, machine: &Machine, what: Sa) -> Result<(), Fault> {
        Self::control(machine, if what == Sa::Ike { "--rekey --ike device" } else { "--rekey --child net" })
    }

    fn log(&self, machine: &Machine) -> String {
        machine.shell(&format!("cat {LOG}")).unwrap_or_default()
    }

    fn tells_of_pfs(&self, log: &str) -> bool {
        log.lines().any(|line| line.contains("CREATE_CHILD_SA re") && line.contains(" No KE TS"))
    }
}
