//! Other people's IPsec at the other end: strongSwan and BIRD from the distribution in namespaces of
//! their own, and the Linux kernel's ESP in a small virtual machine.
//!
//! Needs root. What is not installed shows as ignored with its name; `BUTTONS_REQUIRE_PEERS=1` makes
//! that a failure, `BUTTONS_REQUIRE_VM=1` does so for the virtual machine. `BUTTONS_KEEP=1` leaves
//! configurations and logs in the folder for temporary files.
//!
//! | case | what it shows |
//! |---|---|
//! | `reference` | strongSwan at both ends: that ground, traffic and eavesdroppers work |
//! | `gateway` | our gateway and strongSwan: every proof and suite, either end first, either end's Delete |
//! | `negotiation` | a wrong guess of the group, SAs that are replaced in time, rekeying by order of either end |
//! | `fragments`, `ppk`, `mobike` | IKE messages in fragments, post-quantum preshared keys, strongSwan moves |
//! | `post_quantum` | ML-KEM with a newer strongSwan (`.ci/newer-strongswan`), and without it at the other end |
//! | `nat` | a NAT in front of either end, which forgets its mappings under pings |
//! | `moved` | we move, by order and by a DHCP server (dnsmasq) |
//! | `bgp` | BIRD's session with BIRD through our gateway and strongSwan stays up |
//! | `verdicts` | unbound and our resolver judge some 240 signed and damaged zones alike; needs no root |
//! | `dns` | our resolver through Unbound and BIND: every class of outcome, and bad networks |
//! | `names` | strongSwan known by its name in a real signed zone, and how either end moves in it under pings |
//! | `capture` | `ping` and `curl` behind our gateway, which protects names whose keys are in DNS |
//! | `strangers` | strongSwan's key is remembered over a restart of the device, and another one refused |
//! | `guest` | the kernel's ESP under strongSwan and libreswan: both modes and families, 64-bit sequence numbers |

mod bgp;
mod capture;
mod case;
mod credentials;
mod device;
mod dns;
mod extensions;
mod gateway;
mod ground;
mod guest;
mod moved;
mod names;
mod nat;
mod negotiation;
mod post_quantum;
mod reference;
mod sniffer;
mod strangers;
mod traffic;
mod verdicts;

use std::process::ExitCode;

use buttons::peer::{self, PeerError, StrongSwan};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// What went wrong, in words.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == device::RUN) {
        return device::run(words.next().unwrap_or_default().as_ref());
    }
    let mut arguments = Arguments::from_args();
    // Throughput and timing are measured, and both cores are used by one case.
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, trials());
    guest::stop();
    conclusion.exit_code()
}

/// All of them; the guest last, for it keeps its namespaces from its first case to its last.
fn trials() -> Vec<Trial> {
    [
        reference::trials(),
        gateway::trials(),
        negotiation::trials(),
        nat::trials(),
        moved::trials(),
        extensions::trials(),
        post_quantum::trials(),
        bgp::trials(),
        capture::trials(),
        verdicts::trials(),
        dns::trials(),
        names::trials(),
        strangers::trials(),
        guest::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A case that needs strongSwan.
pub fn case(name: impl Into<String>, run: impl FnOnce() -> Result<(), Fault> + Send + 'static) -> Trial {
    needing(name, strongswan, run)
}

/// Whether strongSwan is here, and everything to make namespaces.
pub fn strongswan() -> Result<(), Absent> {
    peer::check_tools().and_then(|()| StrongSwan::check()).map_err(Absent::from)
}

/// Why a case cannot be tried.
pub struct Absent {
    reason: String,
    /// The variable that makes this a failure.
    required_by: Option<&'static str>,
}

impl Absent {
    /// Not here, and nobody insists that it is.
    pub fn unless_installed(reason: &str) -> Self {
        Self { reason: reason.into(), required_by: None }
    }
}

impl From<PeerError> for Absent {
    fn from(error: PeerError) -> Self {
        let required_by = matches!(error, PeerError::Missing { .. }).then_some("BUTTONS_REQUIRE_PEERS");
        Self { reason: error.to_string(), required_by }
    }
}

/// A case that is ignored unless `check` finds what it needs.
pub fn needing(
    name: impl Into<String>,
    check: impl FnOnce() -> Result<(), Absent> + Send + 'static,
    run: impl FnOnce() -> Result<(), Fault> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match check() {
        Ok(()) => run().map(|()| Completion::Completed).map_err(|fault| fault.to_string().into()),
        Err(Absent { reason, required_by })
            if required_by.is_some_and(|it| std::env::var_os(it).is_some()) =>
        {
            Err(Failed::from(reason))
        }
        Err(Absent { reason, .. }) => Ok(Completion::ignored_with(reason)),
    })
}
