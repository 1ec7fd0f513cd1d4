//! Peers of whom nothing is written down but a name, or an address: strongSwan, and a second device of ours.
//! The keys are in signed zones, served by Knot and BIND, asked for through Unbound and BIND, validated on the device.
//!
//! | part | what |
//! |---|---|
//! | `stage` | device and host at a switch, the far end at another of its ports, the servers behind it |
//! | `met` | a policy for a name is enough; an address is enough; strongSwan comes and says its name |
//! | `fingerprints` | DNS has a fingerprint only; strongSwan shows the key in a certificate |
//! | `captured` | unmodified programs behind the device ask for names |
//! | `moving` | addresses and keys change in the zone while packets flow |
//! | `witness` | tshark at the far end's port |

mod captured;
mod fingerprints;
mod met;
mod moving;
mod stage;
mod witness;

use buttons::peer;
use libtest_mimic::Trial;

use self::stage::Stage;
use crate::{Absent, Fault, dns, needing, strongswan};

/// All of them.
pub fn trials() -> Vec<Trial> {
    let case = |name: &str, run: fn(&Stage) -> Result<(), Fault>| {
        needing(format!("names::{name}"), present, move || run(&Stage::new()?))
    };
    vec![
        case("we_begin", met::we_begin),
        case("strongswan_begins", met::strongswan_begins),
        case("fingerprints", fingerprints::fingerprints),
        case("captured", captured::captured),
        case("strongswan_moves_and_changes_its_key", moving::strongswan_moves),
        case("a_device_moves", moving::device_moves),
    ]
}

fn present() -> Result<(), Absent> {
    strongswan()?;
    dns::present()?;
    for (program, package) in
        [("curl", "curl"), ("ssh", "openssh-client"), ("dig", "bind9-dnsutils"), ("tshark", "tshark")]
    {
        peer::check_program(program, package)?;
    }
    Ok(())
}
