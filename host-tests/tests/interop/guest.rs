//! Our device and the Linux kernel's ESP, in a small virtual machine that runs strongSwan or libreswan: both modes,
//! both families, and 64-bit sequence numbers, most of which user-space ESP has not.
//!
//! The machine comes from a folder of scripts that lies beside the project, or not. It is emulated,
//! so an exchange may take its time.

mod case;
mod daemon;
mod libreswan;
mod machine;
mod names;
mod strongswan;

use std::time::{Duration, Instant};

use buttons::key::Kind;
use esp_engine::sa::Mode;
use libtest_mimic::Trial;

use self::case::{Case, EXCHANGE};
use self::daemon::Daemon;
use self::machine::Machine;
pub use self::machine::stop;
use crate::case::{First, Proof};
use crate::device::{Device, Sa};
use crate::ground::{expect, expect_soon};
use crate::{Fault, needing, traffic};

const ED25519: Proof = Proof::Pinned(Kind::Ed25519);
const P256: Proof = Proof::Pinned(Kind::P256);
const RSA: Proof = Proof::Pinned(Kind::Rsa2048);

/// Replacements of each kind by each end.
const REKEYS: u32 = 10;
/// In every run.
const FEW_REKEYS: u32 = 3;

/// All of them, daemon by daemon. What takes minutes is left to `--ignored`.
pub fn trials() -> Vec<Trial> {
    let daemons: [(&'static dyn Daemon, &[Proof]); 2] = [
        (&strongswan::StrongSwan, &[ED25519, P256, RSA, Proof::SharedKey]),
        (&libreswan::Libreswan, &[P256, RSA, Proof::SharedKey]),
    ];
    daemons.into_iter().flat_map(|(daemon, proofs)| trials_with(daemon, proofs)).collect()
}

fn trials_with(daemon: &'static dyn Daemon, proofs: &[Proof]) -> Vec<Trial> {
    let plain = Case {
        daemon,
        proof: P256,
        mode: Mode::Tunnel,
        six: false,
        pfs: false,
        first: First::Device,
        retransmit: 4_000,
        datagrams: (1_280, 1_280),
        is_null: false,
    };
    let name = |what: &str| format!("guest::{}::{what}", daemon.name());
    let mut trials = Vec::new();
    for (row, &proof) in proofs.iter().enumerate() {
        let ways =
            [(Mode::Transport, false), (Mode::Tunnel, false), (Mode::Transport, true), (Mode::Tunnel, true)];
        for (column, (mode, six)) in ways.into_iter().enumerate() {
            // Each proof with and without PFS, in each mode, and each begun by either end.
            let (pfs, first) = (
                (row + column / 2) % 2 == 0,
                if (row + column) % 2 == 0 { First::Device } else { First::Peer },
            );
            let each = Case { proof, mode, six, pfs, first, ..plain };
            let what = format!(
                "{}::{}_ipv{}{}::{}",
                word(proof),
                if mode == Mode::Tunnel { "tunnel" } else { "transport" },
                if six { 6 } else { 4 },
                if pfs { "_pfs" } else { "" },
                if first == First::Device { "we_begin" } else { "they_begin" },
            );
            let is_long = column != row % ways.len();
            trials.push(trial(name(&what), is_long, move |machine, name| meets(each, machine, name)));
        }
    }
    let quick = move |machine: &mut Machine, name: &str| replaced(plain, machine, name, FEW_REKEYS);
    trials.push(trial(name("sas_are_replaced_without_loss"), false, quick));
    let long =
        move |machine: &mut Machine, name: &str| replaced(Case { pfs: true, ..plain }, machine, name, REKEYS);
    trials.push(trial(name("sas_are_replaced_ten_times_without_loss"), true, long));
    for (what, first) in [("fragments::we_begin", First::Device), ("fragments::they_begin", First::Peer)] {
        let each = Case { proof: Proof::Pinned(Kind::Rsa4096), datagrams: (256, 576), first, ..plain };
        trials.push(trial(name(what), first == First::Device, move |machine, name| {
            in_fragments(each, machine, name)
        }));
    }
    let ordinary = Case { retransmit: 1_000, ..plain };
    trials.push(trial(name("a_killed_daemon_is_found_again"), false, move |machine, name| {
        killed(ordinary, machine, name)
    }));
    if daemon.name() == "libreswan" {
        let null = Case { is_null: true, first: First::Peer, ..plain };
        trials.push(trial(name("null_is_refused"), false, move |machine, name| {
            refuses_null(null, machine, name)
        }));
        let called = name("names_are_looked_up_by_either_end");
        let trial = called.clone();
        trials.push(needing(trial, names::present, move || {
            machine::with(|machine| names::both_look_up(machine, &called))
        }));
    }
    trials
}

/// A case on the machine; a long one runs only when asked for.
fn trial(
    name: String,
    is_long: bool,
    run: impl FnOnce(&mut Machine, &str) -> Result<(), Fault> + Send + 'static,
) -> Trial {
    let called = name.clone();
    needing(name, machine::check, move || machine::with(|machine| run(machine, &called)))
        .with_ignored_flag(is_long)
}

const fn word(proof: Proof) -> &'static str {
    match proof {
        Proof::Pinned(Kind::Ed25519) => "ed25519",
        Proof::Pinned(Kind::P256) => "p256",
        Proof::Pinned(_) | Proof::Btns(_) | Proof::FirstUse(_) => "rsa2048",
        Proof::SharedKey => "shared_key",
    }
}

/// An SA, traffic, a successor of the Child SA, traffic, Delete.
fn meets(case: Case, machine: &mut Machine, name: &str) -> Result<(), Fault> {
    let heard = case.with(machine, name, |machine, device| {
        case.begin(machine, device)?;
        case.carries(machine, device)?;
        if case.proof == ED25519 && case.mode == Mode::Transport {
            case.echoes(machine)?;
        }
        device.is_replaced(Sa::Child, 1, EXCHANGE, || rekey(case, machine, device, case.first, Sa::Child))?;
        let has_pfs = case.daemon.tells_of_pfs(&case.daemon.log(machine));
        expect(has_pfs == case.pfs, || format!("a key exchange for the successor: {has_pfs}"))?;
        case.carries(machine, device)?;
        case.part(machine, device)
    })?;
    expect(heard.esp >= 400, || format!("too little ESP: {heard:?}"))
}

fn rekey(case: Case, machine: &Machine, device: &Device, by: First, what: Sa) -> Result<(), Fault> {
    match by {
        First::Device => device.rekey("guest", what),
        First::Peer => case.daemon.rekey(machine, what),
    }
}

/// Each kind of SA is replaced so many times by each end, under pings of which none is lost.
fn replaced(case: Case, machine: &mut Machine, name: &str, times: u32) -> Result<(), Fault> {
    case.with(machine, name, |machine, device| {
        case.begin(machine, device)?;
        case.carries(machine, device)?;
        let work = || {
            for by in [First::Device, First::Peer] {
                for what in [Sa::Child, Sa::Ike] {
                    device
                        .is_replaced(what, times, EXCHANGE, || rekey(case, machine, device, by, what))
                        .map_err(|fault| format!("{by:?}: {fault}"))?;
                }
            }
            Ok(())
        };
        let pings = traffic::ping_while(machine.host(), case.far(), "0.01", work)?;
        println!("{name}: {} replacements, {pings:?}", 4 * times);
        expect(pings.lost == 0, || format!("{pings:?}"))?;
        case.carries(machine, device)
    })
    .map(drop)
}

/// Neither end's IKE_AUTH fits a datagram.
fn in_fragments(case: Case, machine: &mut Machine, name: &str) -> Result<(), Fault> {
    let heard = case.with(machine, name, |machine, device| {
        case.begin(machine, device)?;
        case.carries(machine, device)
    })?;
    expect(heard.fragments.iter().all(|count| *count > 1), || format!("no fragments: {heard:?}"))
}

/// The daemon dies and comes back without memory. Traffic is back within ten seconds.
fn killed(case: Case, machine: &mut Machine, name: &str) -> Result<(), Fault> {
    case.with(machine, name, |machine, device| {
        case.begin(machine, device)?;
        case.carries(machine, device)?;
        let answers =
            |seconds| traffic::ping_once(machine.host(), case.far(), Duration::from_secs(seconds)).is_ok();
        machine.kill(case.daemon)?;
        expect(!answers(1), || "somebody still answers".into())?;
        case.daemon.start(machine)?;
        let back = Instant::now();
        expect_soon(Duration::from_secs(10), || answers(1), || "no traffic 10 s after the start".into())?;
        println!("{name}: traffic {:.1} s after the start", back.elapsed().as_secs_f64());
        // The old IKE SA stays until its last question has been asked.
        traffic::ping(machine.host(), case.far(), 100, "0.01", Duration::from_secs(5))
    })
    .map(drop)
}

/// RFC 7619: whoever proves nothing is nobody that we know.
fn refuses_null(case: Case, machine: &mut Machine, name: &str) -> Result<(), Fault> {
    let heard = case.with(machine, name, |machine, device| {
        let _refused = case.daemon.initiate(machine);
        let status = device.status()?;
        let log = device.log();
        expect(status.child_sas.is_empty() && !status.ike_sas.iter().any(|sa| sa.established), || {
            format!("{status:?}")
        })?;
        expect(log.contains("authentication failed: method not allowed for this peer"), || {
            "no reason".into()
        })?;
        let told = case.daemon.log(machine);
        expect(told.contains("AUTHENTICATION_FAILED"), || "the daemon was not told".into())
    })?;
    expect(heard.esp == 0, || format!("ESP without an SA: {heard:?}"))
}
