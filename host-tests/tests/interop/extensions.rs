//! Extensions of IKEv2 with strongSwan, each with pings through what comes of it: messages in fragments
//! (RFC 7383), post-quantum preshared keys (RFC 8784), an end that moves (RFC 4555).

use std::time::Duration;

use buttons::key::Kind;
use libtest_mimic::Trial;

use crate::case::{Case, First, ORDINARY, Ppk, Ppks, Proof};
use crate::device::{Device, Sa};
use crate::ground::{Ground, expect, expect_soon};
use crate::negotiation::with;
use crate::{Fault, case, traffic};

/// All of them.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (first, who) in [(First::Device, "we_begin"), (First::Peer, "strongswan_begins")] {
        for (name, proof) in
            [("rsa4096", Proof::Pinned(Kind::Rsa4096)), ("certificate", Proof::Btns(Kind::Rsa4096))]
        {
            let plain = Case { proof, first, datagrams: (256, 576), ..ORDINARY };
            trials.push(case(format!("fragments::{name}::{who}"), move || in_fragments(plain)));
        }
        for (row, (name, ppks, expected)) in PPKS.into_iter().enumerate() {
            // What is not answered is given up within seconds.
            let plain = Case { first, ppks, lifetime: 300, ..ORDINARY };
            // Each combination is begun by one end in every run, by the other with `--ignored`.
            let is_long = row > 0 && (row % 2 == 0) == (first == First::Peer);
            let trial = case(format!("ppk::{name}::{who}"), move || with_ppk(plain, expected));
            trials.push(trial.with_ignored_flag(is_long));
        }
    }
    trials.push(case("mobike::strongswan_moves_under_pings", peer_moves));
    trials
}

/// Neither end's IKE_AUTH fits a datagram. Each takes the other's fragments.
fn in_fragments(plain: Case) -> Result<(), Fault> {
    with(plain, |ground, _, peer| {
        traffic::ping(&ground.topology.host, plain.far(), 100, "0.01", Duration::from_secs(3))?;
        let log = peer.log();
        let told = |words: &[&str]| log.lines().any(|line| words.iter().all(|word| line.contains(word)));
        expect(told(&["splitting IKE message", "fragments"]), || "strongSwan sent no fragments".into())?;
        expect(told(&["received fragment #1 of "]), || "we sent no fragments".into())
    })
}

/// What becomes of two ends and their post-quantum preshared keys.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Expected {
    Used,
    Unused,
    /// The side that says no, or both.
    Refused,
}

const fn ppk(secret: &'static str, mandatory: bool) -> Option<Ppk> {
    Some(Ppk { secret, mandatory })
}
/// 32 octets.
const OURS: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// RFC 8784 §3: each combination of ends that insist, do not insist, and have none.
const PPKS: [(&str, Ppks, Expected); 7] = [
    ("both_insist", (ppk(OURS, true), ppk(OURS, true)), Expected::Used),
    ("neither_insists", (ppk(OURS, false), ppk(OURS, false)), Expected::Used),
    ("they_lack_it", (ppk(OURS, false), None), Expected::Unused),
    ("we_lack_it", (None, ppk(OURS, false)), Expected::Unused),
    ("they_lack_it_and_we_insist", (ppk(OURS, true), None), Expected::Refused),
    ("we_lack_it_and_they_insist", (None, ppk(OURS, true)), Expected::Refused),
    ("the_secrets_differ", (ppk(OURS, true), ppk(OTHER, true)), Expected::Refused),
];

fn with_ppk(plain: Case, expected: Expected) -> Result<(), Fault> {
    if expected == Expected::Refused {
        return without_common_ppk(plain);
    }
    with(plain, |ground, device, peer| {
        traffic::ping(&ground.topology.host, plain.far(), 100, "0.01", Duration::from_secs(3))?;
        let used = peer.log().contains("using PPK for PPK_ID 'ours'");
        expect(used == (expected == Expected::Used), || format!("used: {used}"))?;
        // Successors come from the same keys.
        device.is_replaced(Sa::Ike, 1, Duration::from_secs(10), || device.rekey("strongswan", Sa::Ike))?;
        device
            .is_replaced(Sa::Child, 1, Duration::from_secs(10), || device.rekey("strongswan", Sa::Child))?;
        traffic::ping(&ground.topology.host, plain.far(), 100, "0.01", Duration::from_secs(3))
    })
}

/// No SA, and our device says why.
fn without_common_ppk(plain: Case) -> Result<(), Fault> {
    let ground = Ground::new()?;
    let (device, peer) = plain.start(&ground, None)?;
    let logs = || format!("--- device\n{}--- strongSwan\n{}", device.log(), peer.log());
    match plain.first {
        First::Device => {
            let ping = traffic::ping_once(&ground.topology.host, plain.far(), Duration::from_secs(1));
            expect(ping.is_err(), || format!("a ping passed\n{}", logs()))?;
        }
        First::Peer => expect(peer.initiate().is_err(), || format!("strongSwan has an SA\n{}", logs()))?,
    }
    // Whoever begins and insists sees at once that the other end does not announce it, and says nothing more.
    let why = || device.why("strongswan").unwrap_or_default();
    let told = || match (plain.first, plain.ppks) {
        (First::Device, (Some(_), None)) => why().contains("USE_PPK"),
        (First::Peer, (None, Some(_))) => peer.log().contains("PPK required but peer does not support PPK"),
        _ => why().contains("authentication failed") || why().contains("AUTHENTICATION_FAILED"),
    };
    expect_soon(Duration::from_secs(15), told, || format!("why: {}\n{}", why(), logs()))?;
    let (ours, theirs) = (device.status()?, peer.sas()?);
    let is_up = |sa: &firmware::management::IkeSaStatus| sa.established;
    expect(ours.child_sas.is_empty() && !ours.ike_sas.iter().any(is_up), logs)?;
    expect(!theirs.contains("ESTABLISHED") && !theirs.contains("INSTALLED"), logs)?;
    drop((device, peer));
    ground.only_ike()?;
    Ok(())
}

/// RFC 4555 §3.5: strongSwan began and gets another address, twice. The IKE SA goes along, and pings go on.
/// Its Child SA, which user-space ESP cannot move, is replaced by strongSwan.
fn peer_moves() -> Result<(), Fault> {
    let plain = Case { first: First::Peer, mobike: true, ..ORDINARY };
    with(plain, |ground, device, _| {
        let before = device.standing(Sa::Ike);
        // The second address of a network stays when the first one goes.
        ground.topology.peer.run("sysctl", &["-qw", "net.ipv4.conf.wan0.promote_secondaries=1"])?;
        for (old, new) in [("192.0.2.2/24", "192.0.2.3/24"), ("192.0.2.3/24", "192.0.2.4/24")] {
            let host = &ground.topology.host;
            traffic::ping(host, plain.far(), 200, "0.005", Duration::from_secs(3))?;
            ground.topology.peer.run("ip", &["addr", "add", new, "dev", "wan0"])?;
            ground.topology.peer.run("ip", &["addr", "del", old, "dev", "wan0"])?;
            let again = || traffic::ping_once(host, plain.far(), Duration::from_secs(1)).is_ok();
            expect_soon(Duration::from_secs(10), again, || format!("no ping from {new}"))?;
            is_at(device, new)?;
            traffic::ping(host, plain.far(), 200, "0.005", Duration::from_secs(3))?;
        }
        let after = device.standing(Sa::Ike);
        expect(before.is_some() && before == after, || format!("another IKE SA: {before:?}, {after:?}"))
    })
}

fn is_at(device: &Device, address: &str) -> Result<(), Fault> {
    let status = device.status()?;
    let there = |sa: &firmware::management::IkeSaStatus| {
        address.strip_suffix("/24").is_some_and(|address| sa.remote.ip().to_string() == address)
    };
    expect(status.ike_sas.iter().all(there), || format!("not at {address}: {status:?}"))
}
