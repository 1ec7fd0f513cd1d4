//! Handshakes a second, one endpoint of ours beside strongSwan's charon, in the same run on the same machine:
//! `cargo bench -p host-tests --bench load`. Needs root and strongSwan; says so where they are absent.
//!
//! Both ways the initiators sit in one network namespace and the responder in another, over a veth pair and UDP
//! port 500, with at most [`AT_ONCE`] handshakes under way, no cookies, raw Ed25519 keys, X25519 and AES-128-GCM.
//! Each of our handshakes brings a Child SA along, charon's none, because it would need a kernel to put it into.
//! Rates depend on what else the machine does; the processor's time of each end does so much less.

mod charon;
mod ours;

use std::process::ExitCode;
use std::time::Duration;

use buttons::peer::{self, Cable, PeerError, StrongSwan};

/// IKE SAs in a round.
const ROUND: usize = 500;
/// Rounds of each, taking turns.
const ROUNDS: usize = 3;
/// Handshakes under way at the same time.
const AT_ONCE: usize = 20;
/// Addresses of the initiators and the responder.
const ENDS: [[u8; 4]; 2] = [[192, 0, 2, 1], [192, 0, 2, 2]];

/// What went wrong, in words.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What a round took.
#[derive(Copy, Clone)]
struct Round {
    time: Duration,
    /// The processor's time, of the initiators and of the responder.
    spent: [Duration; 2],
}

impl Round {
    fn rate(self) -> f64 {
        ROUND as f64 / self.time.as_secs_f64()
    }

    /// Milliseconds of the processor for one handshake at one end.
    fn cost(self, end: usize) -> f64 {
        self.spent[end].as_secs_f64() * 1_000.0 / ROUND as f64
    }
}

fn main() -> ExitCode {
    match peer::check_tools().and_then(|()| StrongSwan::check()) {
        Err(absent @ (PeerError::NotRoot | PeerError::Missing { .. })) => {
            println!("not measured: {absent}");
            return ExitCode::SUCCESS;
        }
        Err(fault) => println!("{fault}"),
        Ok(()) => match measure() {
            Ok(()) => return ExitCode::SUCCESS,
            Err(fault) => println!("{fault}"),
        },
    }
    ExitCode::FAILURE
}

fn measure() -> Result<(), Fault> {
    let cable = Cable::with_addresses()?;
    let (mut theirs, mut own) = (Vec::new(), Vec::new());
    println!("{:<12} {:>12} {:>18} {:>18}", "", "handshakes/s", "initiator, ms CPU", "responder, ms CPU");
    for _ in 0..ROUNDS {
        for (name, rounds, round) in [
            ("strongSwan", &mut theirs, charon::round as fn(&Cable) -> Result<Round, Fault>),
            ("Buttons", &mut own, ours::round),
        ] {
            let round = round(&cable)?;
            println!("{name:<12} {:>12.0} {:>18.2} {:>18.2}", round.rate(), round.cost(0), round.cost(1));
            rounds.push(round);
        }
    }
    let best = |rounds: &[Round]| rounds.iter().map(|round| round.rate()).fold(0.0, f64::max);
    let least =
        |rounds: &[Round], end| rounds.iter().map(|round| round.cost(end)).fold(f64::INFINITY, f64::min);
    println!(
        "best rounds, ours by theirs: {:.2} times as many a second; CPU of an initiator {:.2}, of a responder {:.2} of theirs",
        best(&own) / best(&theirs),
        least(&own, 0) / least(&theirs, 0),
        least(&own, 1) / least(&theirs, 1),
    );
    Ok(())
}
