//! Our name in other people's servers: BIND and Knot from the distribution, each configured by the recipe
//! in the README and started for one case, take our updates and refuse those of others; Knot signs a zone
//! whose answers are measured.
//!
//! What is not installed shows as ignored with its name; `BUTTONS_REQUIRE_PEERS=1` makes that a failure.

mod publishing;
mod server;
mod sizes;

use std::process::ExitCode;

use buttons::peer::{self, check_program};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use server::Brand;

fn main() -> ExitCode {
    let cases = Brand::ALL.into_iter().flat_map(|brand| {
        publishing::CASES.map(|(name, run)| trial(format!("{}: {name}", brand.program()), brand, run))
    });
    // One after the other, for the namespaces of a process have one name. They are root's.
    let device = trial("a device publishes itself".into(), Brand::Bind, |_| {
        Brand::ALL.into_iter().try_for_each(publishing::by_device)
    });
    let device = device.with_ignored_flag(peer::check_tools().is_err());
    let sizes = trial("sizes of signed answers".into(), Brand::Knot, |_| sizes::measure());
    let mut arguments = Arguments::from_args();
    // Most of them wait for silence to end.
    arguments.test_threads = arguments.test_threads.or(Some(6));
    libtest_mimic::run(&arguments, cases.chain([device, sizes]).collect()).exit_code()
}

fn trial(name: String, brand: Brand, run: fn(Brand) -> Result<(), Failed>) -> Trial {
    let tools = [(brand.program(), brand.package()), ("dig", "bind9-dnsutils"), ("keymgr", "knot")];
    Trial::ignorable_test(name, move || {
        match tools.into_iter().try_for_each(|(program, package)| check_program(program, package)) {
            Ok(()) => run(brand).map(|()| Completion::Completed),
            Err(missing) if std::env::var_os("BUTTONS_REQUIRE_PEERS").is_some() => Err(missing.into()),
            Err(missing) => Ok(Completion::ignored_with(missing.to_string())),
        }
    })
}
