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

mod cases;
mod credentials;
mod device;
mod ground;
mod reference;
mod sniffer;
mod traffic;

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
    libtest_mimic::run(&arguments, trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    [reference::trials(), cases::trials()].into_iter().flatten().collect()
}

/// A case that needs strongSwan.
pub fn case(name: impl Into<String>, run: impl FnOnce() -> Result<(), Fault> + Send + 'static) -> Trial {
    needing(name, || peer::check_tools().and_then(|()| StrongSwan::check()), run)
}

/// A case that is ignored unless `check` finds what it needs.
pub fn needing(
    name: impl Into<String>,
    check: impl FnOnce() -> Result<(), PeerError> + Send + 'static,
    run: impl FnOnce() -> Result<(), Fault> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        let required = std::env::var_os("BUTTONS_REQUIRE_PEERS").is_some();
        match check() {
            Ok(()) => run().map(|()| Completion::Completed).map_err(|fault| fault.to_string().into()),
            Err(missing @ PeerError::Missing { .. }) if required => Err(Failed::from(missing.to_string())),
            Err(reason) => Ok(Completion::ignored_with(reason)),
        }
    })
}
