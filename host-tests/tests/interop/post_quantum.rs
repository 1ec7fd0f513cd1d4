//! ML-KEM with strongSwan, beside Curve25519 and alone (RFC 9242, RFC 9370): both ends have it, either end
//! begins and replaces the SAs; and what happens where strongSwan lacks it.

use std::time::Duration;

use libtest_mimic::Trial;

use crate::case::{Case, First, ORDINARY, Suite, newer_strongswan};
use crate::device::Sa;
use crate::ground::{Ground, expect, expect_soon};
use crate::negotiation::{strongswan_rekeys, with};
use crate::{Absent, Fault, case, needing, strongswan, traffic};

/// All of them.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (first, who) in [(First::Device, "we_begin"), (First::Peer, "strongswan_begins")] {
        for (name, suite, word) in [
            ("curve25519_and_ml_kem_768", Suite::MlKem768, "CURVE_25519/KE1_ML_KEM_768"),
            ("ml_kem_512_alone", Suite::MlKem512, "/ML_KEM_512"),
        ] {
            let plain = Case { first, suite, ..ORDINARY };
            trials.push(needing(format!("post_quantum::{name}::{who}"), newer, move || both(plain, word)));
        }
        let plain = Case { first, suite: Suite::MlKemIfPossible, ..ORDINARY };
        trials.push(case(format!("post_quantum::they_lack_it::{who}"), move || without(plain)));
        let plain = Case { first, suite: Suite::MlKemInVain, ..ORDINARY };
        trials.push(case(format!("post_quantum::they_lack_it_and_we_insist::{who}"), move || refused(plain)));
    }
    trials
}

fn newer() -> Result<(), Absent> {
    strongswan()?;
    newer_strongswan().map(drop).ok_or_else(|| {
        Absent::unless_installed(
            "no strongSwan with ML-KEM: `.ci/newer-strongswan FOLDER`, then BUTTONS_NEWER_STRONGSWAN=FOLDER",
        )
    })
}

/// Both have it: pings pass, and go on after either kind of SA was replaced by either end.
fn both(plain: Case, word: &str) -> Result<(), Fault> {
    with(plain, |ground, device, peer| {
        let ping = || traffic::ping(&ground.topology.host, plain.far(), 100, "0.01", Duration::from_secs(3));
        ping()?;
        let chosen = |log: &str| {
            log.lines().any(|line| line.contains("selected proposal: IKE") && line.contains(word))
        };
        expect(chosen(&peer.log()), || format!("strongSwan did not choose {word}"))?;
        for what in [Sa::Ike, Sa::Child] {
            device.is_replaced(what, 1, Duration::from_secs(10), || device.rekey("strongswan", what))?;
            ping()?;
        }
        for what in [Sa::Ike, Sa::Child] {
            device.is_replaced(what, 1, Duration::from_secs(10), || strongswan_rekeys(peer, what))?;
            ping()?;
        }
        Ok(())
    })
}

/// They lack it and we can do without: pings pass.
fn without(plain: Case) -> Result<(), Fault> {
    with(plain, |ground, _, peer| {
        traffic::ping(&ground.topology.host, plain.far(), 100, "0.01", Duration::from_secs(3))?;
        expect(!peer.log().contains("IKE_INTERMEDIATE"), || "an IKE_INTERMEDIATE".into())
    })
}

/// They lack it and we insist: no SA, and our device says which transform was missing.
fn refused(plain: Case) -> Result<(), Fault> {
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
    let why = || device.why("strongswan").unwrap_or_default();
    let told = || match plain.first {
        // Whoever says no to a first message is not authenticated, so it is not believed at once.
        First::Device => why().contains("someone sent NO_PROPOSAL_CHOSEN"),
        First::Peer => device.log().contains("additional key exchange: ours is 36"),
    };
    expect_soon(Duration::from_secs(60), told, || format!("why: {}\n{}", why(), logs()))?;
    expect(device.status()?.child_sas.is_empty() && peer.sas()?.is_empty(), logs)?;
    drop((device, peer));
    ground.only_ike()?;
    Ok(())
}
